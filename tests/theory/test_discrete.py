"""Discrete time in numbers: sums term by term, least g by search over pairs."""

import numpy as np
import pytest
import sympy as sp

from theory import discrete
from theory.notation import a, b, beta, w
from theory.reparameterization import symbolic_formula

POWERS = np.arange(6000)


def distance_by_terms(first: float, second: float) -> float:
    return float(np.abs(second**POWERS - first**POWERS).sum())


def criterion_by_search(f: sp.Expr, radius: float, weights: np.ndarray) -> float:
    """The largest (1-|λ|) Σ|λ̃^k - λ^k| over a grid, from |1/(1-sλ̃) - 1/(1-sλ)|, s the sign of the larger."""
    values = sp.lambdify(w, f, "numpy")
    first = values(weights)[:, None]
    second = values(weights[:, None] + np.linspace(-radius, radius, 41)[None, :])
    sign = np.sign(np.where(np.abs(first) >= np.abs(second), first, second))
    return float(((1 - np.abs(first)) * np.abs(1 / (1 - sign * second) - 1 / (1 - sign * first))).max())


@pytest.mark.parametrize("first", ["9/10", "-3/4", "1/50", "0"])
@pytest.mark.parametrize("second", ["99/100", "-9/10", "-1/2", "0", "3/4"])
def test_difference_sum(first: str, second: str) -> None:
    one, two = sp.Rational(first), sp.Rational(second)
    expected = distance_by_terms(float(one), float(two))
    assert float(discrete.difference_sum(one, two)) == pytest.approx(expected, rel=1e-11)
    assert float(discrete.criterion(one, two)) == pytest.approx((1 - abs(float(one))) * expected, rel=1e-11)


def test_opposite_sign_criterion() -> None:
    at = {discrete.P: sp.Rational(4, 5), discrete.Q: sp.Rational(1, 2)}
    assert discrete.opposite_sign_criterion(True).subs(at) == discrete.criterion(at[discrete.P], -at[discrete.Q])
    assert discrete.opposite_sign_criterion(False).subs(at) == discrete.criterion(-at[discrete.Q], at[discrete.P])


def test_least_g_bounds_on_random_pairs() -> None:
    rng = np.random.default_rng(0)
    for first, second in rng.uniform(-0.99, 0.99, (300, 2)):
        sign = np.sign(first if abs(first) >= abs(second) else second)
        value = (1 - abs(first)) * abs(1 / (1 - sign * second) - 1 / (1 - sign * first))
        upper = max(abs(np.log((1 - s * first) / (1 - s * second))) for s in (1, -1))
        change = abs((1 - abs(first)) / (1 - abs(second)) - 1)
        assert change - 1e-12 <= value <= np.expm1(upper) + 1e-12


def test_characterization_returns_both_sides() -> None:
    sufficient, necessary = discrete.characterization()
    (omega,) = sufficient.free_symbols
    assert sufficient == sp.exp(omega) - 1
    assert necessary.subs(next(iter(necessary.free_symbols)), 0) == 0


def test_sign_jump() -> None:
    first, second, value = discrete.sign_jump()
    assert float(value) == pytest.approx(0.5 * distance_by_terms(float(first), float(second)))


@pytest.mark.parametrize("name", ["exp", "softplus", "sigmoid", "tanh"])
def test_least_g_named(name: str) -> None:
    derived = float(discrete.least_g_named(name).subs(beta, 0.6))
    # tanh approaches ±1 twice as fast, and 1-|tanh| loses digits twice as fast
    end = 6 if name == "tanh" else 12
    found = criterion_by_search(symbolic_formula(name, "discrete"), 0.6, np.linspace(-end, end, 97))
    assert found <= derived * (1 + 1e-9)
    # the supremum is approached like e^{-12}
    assert found == pytest.approx(derived, rel=1e-4)


@pytest.mark.parametrize("name", ["best", "reciprocal"])
def test_least_g_where_eigenvalues_are_not_negative(name: str) -> None:
    at = {a: 2, b: sp.Rational(5, 4)}
    derived = float(discrete.least_g_named(name).subs({**at, beta: 0.6}))
    found = criterion_by_search(symbolic_formula(name, "discrete").subs(at), 0.6, np.linspace(-4, 4, 8001))
    assert found == pytest.approx(derived, rel=1e-5)


@pytest.mark.parametrize("value_b", [0.51, 0.6, 1.0, 3.0])
def test_best_modulus_upper(value_b: float) -> None:
    constant = float(discrete.best_modulus_upper().subs({a: 2, b: value_b}))
    tau = 2 * np.linspace(-10, 10, 20001) ** 2 + value_b
    for logarithm in (np.log(tau), np.log((2 * tau - 1) / tau)):
        assert np.abs(np.diff(logarithm)).max() / 1e-3 <= constant * (1 + 1e-9)
    found = criterion_by_search(
        symbolic_formula("best", "discrete").subs({a: 2, b: value_b}), 0.3, np.linspace(-4, 4, 8001)
    )
    assert found <= np.expm1(constant * 0.3)


def test_best_boundary_and_half() -> None:
    assert discrete.best_boundary() == sp.Rational(1, 2)
    assert discrete.best_half_limits() == (0, 4)
    f = sp.lambdify(w, symbolic_formula("best", "discrete").subs({a: 1, b: sp.Rational(1, 2)}), "numpy")
    assert (1 - abs(f(2e-5))) / (1 - abs(f(1e-5))) == pytest.approx(4, rel=1e-5)


def test_broken_hypotheses() -> None:
    for first, second, name in ((1, 0, "lam"), (0, -1, "lam_tilde"), (w, 0, "lam")):
        with pytest.raises(ValueError, match=rf"^{name}: "):
            discrete.difference_sum(sp.sympify(first), sp.sympify(second))
    with pytest.raises(ValueError, match="name: 'direct' has no least g"):
        discrete.least_g_named("direct")
