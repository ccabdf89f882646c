"""The z3 wrapper: proofs, exact counterexamples, assumptions, and what it refuses."""

import pytest
import sympy as sp

from proofs_check.polynomial import prove_polynomial, satisfiable

x, y = sp.symbols("x y", real=True)
positive = sp.Symbol("p", positive=True)


def test_proofs() -> None:
    assert prove_polynomial(x**2 + y**2 >= 2 * x * y) is True
    assert prove_polynomial(sp.Or(x <= 0, x**3 > 0)) is True
    assert prove_polynomial(sp.Implies(x > 1, x**2 > x)) is True
    assert prove_polynomial(sp.Not(x**2 < 0)) is True
    assert prove_polynomial(sp.Rational(1, 3) * positive > 0) is True


def test_counterexamples_are_exact() -> None:
    found = prove_polynomial(x**2 > sp.Rational(1, 4), [x >= 0])
    assert isinstance(found, dict)
    assert 0 <= sp.Rational(found["x"]) <= sp.Rational(1, 2)
    root = prove_polynomial(sp.Ne(x**2, 2), [x > 0])
    assert isinstance(root, dict)
    assert "root-obj" in root["x"]


def test_assumptions_count() -> None:
    assert isinstance(prove_polynomial(x + y > 0), dict)
    assert prove_polynomial(x + y > 0, [x > 0, y >= 0]) is True
    assert prove_polynomial(positive + y**2 > 0) is True
    assert isinstance(prove_polynomial(sp.Symbol("q", nonnegative=True) > 0), dict)
    negative, nonpositive = sp.Symbol("m", negative=True), sp.Symbol("o", nonpositive=True)
    assert prove_polynomial(negative * x**2 <= 0) is True
    assert prove_polynomial(nonpositive * x**2 <= 0) is True


def test_contradictory_assumptions_are_seen() -> None:
    assert satisfiable([x > 0, x < 1]) is True
    assert satisfiable([x > 1, x < 0]) is False
    assert satisfiable([positive < 0]) is False


def test_an_exhausted_time_limit_is_not_an_answer() -> None:
    symbols = sp.symbols("z0:9", real=True)
    hard = sum(s**6 for s in symbols) - 3 * sp.prod(symbols[:6]) + sp.prod(symbols[3:]) * x
    assert prove_polynomial(hard**2 + x**4 - x**3 * y + sp.prod(symbols) >= -1, seconds=0.05) is not True


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (sp.sqrt(positive) > 1, "not a polynomial"),
        (1 / positive > 1, "not a polynomial"),
        (sp.exp(x) > 1, "not a polynomial"),
        (sp.pi * x > 0, "not a polynomial"),
        (sp.Symbol("z") > 0, "z is not declared real"),
        (x, "not a relation"),
    ],
)
def test_refusals(statement: sp.Basic, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prove_polynomial(statement)


def test_time_limit_must_be_positive() -> None:
    with pytest.raises(ValueError, match="seconds: 0 is not positive"):
        prove_polynomial(x > 0, seconds=0)
