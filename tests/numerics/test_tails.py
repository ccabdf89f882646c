"""Germs: what the rules claim about a tail is compared with high-precision values on that tail."""

from __future__ import annotations

from fractions import Fraction

import mpmath as mp
import pytest
import sympy as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from numerics.enclosure import Interval
from numerics.germs import Germ
from numerics.tails import germs, point_germs, tail_germs, tail_range
from theory.formula import parse
from theory.notation import w

START = Fraction(4)
POINTS = [mp.mpf(4), mp.mpf("4.3"), mp.mpf(7), mp.mpf(20), mp.mpf(150)]
x = sp.Symbol("x", positive=True)


def contains(interval: Interval, value: mp.mpf) -> bool:
    """Containment with a margin for the rounding of the high-precision reference and of the float ends."""
    slack = abs(value) * mp.mpf("1e-14") + mp.mpf("1e-300")
    return bool(mp.mpf(interval.lower) - slack <= value <= mp.mpf(interval.upper) + slack)


def check(expr: sp.Expr, germ: Germ) -> None:
    """Every field of a germ against the values, slopes and logarithmic slopes at some points of the tail."""
    with mp.workdps(250):
        value, slope = (sp.lambdify(x, e, "mpmath") for e in (expr, sp.diff(expr, x)))
        for p in POINTS:
            try:
                u, du = value(p), slope(p)
            except (ZeroDivisionError, OverflowError, ValueError):
                continue
            if not (mp.isfinite(u) and mp.isfinite(du)) or abs(u) > mp.mpf(10) ** 300 or 0 < abs(u) < mp.mpf(10) ** -40:
                continue
            assert contains(germ.value, u), (expr, p, u, germ.value)
            assert contains(germ.slope, du), (expr, p, du, germ.slope)
            assert germ.sign == 0 or mp.sign(u) == germ.sign, (expr, p, u)
            if germ.sign:
                assert contains(germ.log_slope, du / u), (expr, p, du / u, germ.log_slope)
                assert contains(germ.elasticity, p * du / u), (expr, p, p * du / u, germ.elasticity)


def expressions() -> st.SearchStrategy[sp.Expr]:
    """Expressions of x that are often, but not always, defined on the tail."""
    leaf = st.sampled_from([x, x, sp.Integer(1), sp.Integer(2), sp.Rational(1, 3), sp.Integer(-1)])
    unary = [
        sp.exp,
        sp.log,
        sp.sqrt,
        sp.sin,
        sp.cos,
        sp.atan,
        sp.tanh,
        sp.cosh,
        sp.sinh,
        sp.Abs,
        lambda e: -e,
        lambda e: 1 / e,
        lambda e: e**2,
        lambda e: sp.log(1 + sp.exp(e)),
        lambda e: sp.exp(-e),
    ]

    def apply(function: object, *args: sp.Expr) -> sp.Expr:
        result = function(*args)  # type: ignore[operator]
        return result if result.is_real is not False and not result.has(sp.zoo, sp.nan, sp.I) else sp.Integer(1)

    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.builds(apply, st.sampled_from(unary), inner),
            st.builds(lambda a, b: a + b, inner, inner),
            st.builds(lambda a, b: a * b, inner, inner),
        ),
        max_leaves=5,
    )


@given(expressions())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_germs_contain_the_truth(expr: sp.Expr) -> None:
    for count, (form, germ) in enumerate(germs(expr, x, START)):
        check(form, germ)
        if count == 2:
            break


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("w*exp(-w)", 0),
        ("log(w)/w", 0),
        ("atan(w)", "1.5707963267948966"),
        ("(w**2+1)/(2*w**2+w)", "0.5"),
        ("w - log(w)", "inf"),
        ("exp(-w)*sin(w)", 0),
        ("sqrt(w**2+1) - w", 0),
        ("tanh(w)", 1),
        ("log(1+exp(w)) - w", 0),
        ("2 + sin(w**2)/sqrt(w)", 2),
    ],
)
def test_limits(text: str, limit: object) -> None:
    found = [germ.limit for _, germ in tail_germs(parse(text), w, START) if germ.limit is not None]
    target = mp.mpf(str(limit))
    assert found
    assert any(mp.mpf(i.lower) - mp.mpf("1e-15") <= target <= mp.mpf(i.upper) + mp.mpf("1e-15") for i in found)
    assert any(i.lo == i.hi or i.width() < 0.8 for i in found)


@pytest.mark.parametrize(
    ("text", "widest"),
    [("log(1+exp(w))", 0.3), ("w**2+w+1", 0.51), ("exp(w)*w**3", 0.8), ("2*cosh(w)", 1e-2), ("1/(w**2+1/2)", 0.6)],
)
def test_logarithmic_slopes_are_tight(text: str, widest: float) -> None:
    germ = next(germ for _, germ in tail_germs(parse(text), w, START))
    assert germ.log_slope.width() < widest


def test_both_sides_of_the_line() -> None:
    left = next(germ for _, germ in tail_germs(parse("exp(w)"), w, START, -1))
    assert left.vanishes
    assert left.log_slope == Interval.of(-1)


@pytest.mark.parametrize("text", ["tan(w)", "1/sin(w)", "log(sin(w))", "sqrt(cos(w))"])
def test_nothing_is_said_where_it_may_be_undefined(text: str) -> None:
    assert not list(tail_germs(parse(text), w, START))


@pytest.mark.parametrize("text", ["sin(w)", "w*sin(w)", "2+cos(w**2)"])
def test_no_limit_of_a_wave(text: str) -> None:
    assert all(germ.limit is None for _, germ in tail_germs(parse(text), w, START))


@pytest.mark.parametrize(
    ("text", "uniform"),
    [("sqrt(abs(sin(w)))", True), ("sin(w)", True), ("sin(w**2)", False), ("w**2", False), ("sin(w**2)/w", True)],
)
def test_uniform_continuity(text: str, uniform: bool) -> None:
    assert any(germ.uniform for _, germ in tail_germs(parse(text), w, START)) is uniform


def test_a_point_is_approached_from_one_side() -> None:
    right = next(germ for _, germ in point_germs(parse("exp(-1/w)"), w, sp.S.Zero, START, 1))
    left = next(germ for _, germ in point_germs(parse("exp(-1/w)"), w, sp.S.Zero, START, -1))
    assert right.vanishes
    assert left.diverges


def test_range_on_boxes() -> None:
    bound = tail_range(parse("w*exp(-w)"), w)
    assert bound(Interval.of(4, "inf")).upper < 0.0733
    assert bound(Interval.of("-inf", -4)).upper < -218
    assert bound(Interval.of("-inf", "inf")) == Interval.of("-inf", "inf")


def test_start_must_be_positive() -> None:
    with pytest.raises(ValueError, match="start: 0"):
        next(germs(x, x, Fraction(0)))
