"""Containment and width of intervals, balls, mean-value forms, power series and integrals."""

import functools
import itertools
import math
from fractions import Fraction

import mpmath
import pytest
import sympy as sp
from flint import acb, arb
from hypothesis import assume, given
from hypothesis import strategies as st

from numerics.enclosure import (
    WHOLE,
    DomainError,
    Interval,
    MeanValue,
    compile_ball,
    compile_interval,
    enclose,
    integrate,
    less,
    maximum,
    minimum,
    precision,
    taylor,
)

w, v = sp.symbols("w v", real=True)
HALF = sp.Rational(1, 2)
EVERYWHERE = [  # real on the whole line
    -1 / (w**2 + HALF),
    -sp.log(1 + sp.exp(w)),
    -2 * sp.cosh(w),
    -(w + sp.sqrt(w**2 + 1)) + sp.Rational(1, 3),
    -sp.exp(sp.sqrt(sp.Abs(w))),
    -sp.exp(sp.sin(w**2)),
    sp.exp(w) / (1 + sp.exp(w)),
    sp.exp(-2 * w) / (1 + sp.exp(-2 * w)) ** 2,
    3 - 3 * sp.exp(-w) + w,
    sp.Max(w, 0) - sp.Min(w, HALF, 2 * w),
    sp.tanh(w) * sp.cos(3 * w) - sp.atan(w / 7),
    sp.pi * w**3 - sp.E * w**2 + 2**w,
    (w**2 + HALF) ** sp.Rational(-3, 2),
    (1 + sp.Abs(w)) ** sp.Rational(4, 3) * sp.sinh(w),
    (w**2 + 1) ** w,
]
ends = st.floats(-30, 30, allow_nan=False).map(lambda x: round(x, 6))
intervals = st.tuples(ends, ends).map(lambda pair: Interval.of(min(pair), max(pair)))


lambdified = functools.cache(lambda expr: sp.lambdify(w, expr, "mpmath"))
mean_value_form = functools.cache(lambda expr: MeanValue(expr, [w]))
compiled_ball = functools.cache(lambda expr: compile_ball(expr, [w]))


def exact(expr: sp.Expr, x: float) -> mpmath.mpf:
    """The value at a float, with many digits."""
    with mpmath.workdps(60):
        return mpmath.mpf(lambdified(expr)(mpmath.mpf(x)))


def holds(enclosure: Interval, value: mpmath.mpf) -> bool:
    """Containment with room for the reference's own rounding at 60 digits alone."""
    with mpmath.workdps(60):
        slack = abs(value) * mpmath.mpf(10) ** -50
        return bool(enclosure.lower <= value + slack and value - slack <= enclosure.upper)


def contains_exactly(enclosure: Interval, value: Fraction) -> bool:
    """Containment in exact rational arithmetic."""
    above = enclosure.lower == -math.inf or Fraction(enclosure.lower) <= value
    return above and (enclosure.upper == math.inf or value <= Fraction(enclosure.upper))


# --- intervals ------------------------------------------------------------------------------------------------------


def test_decimal_strings_are_decimals_and_floats_are_binary() -> None:
    tenth = Fraction(1, 10)
    assert Interval.of("0.1").contains(tenth)
    assert not Interval.of(0.1).contains(tenth)
    assert Fraction(Interval.of("0.1").lower) <= tenth <= Fraction(Interval.of("0.1").upper)
    assert 0 < Interval.of("0.1").width() < 1e-16
    assert Interval.of(0.1).width() == 0
    assert Interval.of(sp.Rational(1, 10)) == Interval.of(tenth) == Interval.of("1/10")


def test_numbers_that_are_accepted() -> None:
    assert Interval.of(3) == Interval.of(3.0) == Interval.of(Fraction(3)) == Interval.of(sp.Integer(3))
    assert Interval.of("-inf", "inf") == Interval.of(-sp.oo, sp.oo) == Interval.of(-math.inf, math.inf) == WHOLE
    assert Interval.of(sp.pi).lower < math.pi <= Interval.of(sp.pi).upper  # math.pi is less than π
    assert Interval.of(sp.sqrt(2)).width() < 1e-15


@pytest.mark.parametrize("arguments", [(math.nan,), (1, 0), ("inf",), ("-inf",), ("inf", "inf"), (sp.nan,), (sp.I,)])
def test_no_real_number(arguments: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match=r"NaN|no real number|cannot be evaluated"):
        Interval.of(*arguments)


def test_floats_are_rounded_outward() -> None:
    tiny = Interval.of(-1000000).exp()
    assert tiny.lower == 0.0
    assert tiny.upper == 5e-324
    assert tiny.positive() is True
    assert tiny.lo > 0  # the exact end has not underflowed
    huge = Interval.of(1000000).exp()
    assert huge.lower == math.nextafter(math.inf, 0)
    assert huge.upper == math.inf
    third = Interval.of(1) / 3
    assert Fraction(third.lower) < Fraction(1, 3) < Fraction(third.upper)


def test_infinite_ends() -> None:
    low, high = Interval.of("-inf", 0), Interval.of(0, "inf")
    assert low.exp() == Interval.of(0, 1)
    assert low.exp().positive() is True
    assert low.positive() is False
    assert high.exp() == Interval.of(1, "inf")
    assert WHOLE.sin() == WHOLE.cos() == Interval.of(-1, 1)
    assert WHOLE.tanh() == Interval.of(-1, 1)
    assert WHOLE.atan().width() < 3.1415926535898
    assert high == WHOLE**2
    assert (WHOLE**3) == WHOLE
    assert Interval.of(2, "inf").log().upper == math.inf
    assert high.log() == WHOLE
    assert high.log1p() == high.sqrt() == high.sinh() == high.expm1() == high
    assert WHOLE.cosh() == Interval.of(1, "inf")
    assert WHOLE.tan() == WHOLE
    assert 1 / Interval.of(2, "inf") == Interval.of(0, 0.5)
    assert (1 / Interval.of(2, "inf")).positive() is True
    assert high * Interval.of(0, 3) == high
    assert Interval.of(0) * WHOLE == Interval.of(0)
    assert high - high == WHOLE


def test_division_by_what_contains_zero() -> None:
    one = Interval.of(1)
    assert one / Interval.of(-1, 2) == WHOLE
    assert one / Interval.of(0, 2) == Interval.of(0.5, "inf")
    assert one / Interval.of(-4, 0) == Interval.of("-inf", -0.25)
    assert Interval.of(-1, 1) / Interval.of(0, 2) == WHOLE
    assert Interval.of(-3, -2) / Interval.of(-4, 0) == Interval.of(0.5, "inf")
    assert Interval.of(2, "inf") / Interval.of(1, "inf") == Interval.of(0, "inf")
    with pytest.raises(DomainError) as caught:
        one / Interval.of(0)
    assert caught.value.certain


def test_powers() -> None:
    x = Interval.of(-2, 3)
    assert x**2 == Interval.of(0, 9)
    assert x**3 == Interval.of(-8, 27)
    assert x**0 == Interval.of(1)
    assert Interval.of(-4, -2) ** -2 == Interval.of(0.0625, 0.25)
    root = Interval.of(0, 16) ** Fraction(1, 4)
    assert root.contains(Interval.of(0, 2))
    assert root.width() <= 2 + 1e-14
    assert Interval.of(0, 4) ** Fraction(-1, 2) == Interval.of(0.5, "inf")
    assert Interval.of(0, 4) ** Fraction(4, 2) == Interval.of(0, 16)
    assert (Interval.of(0, 2) ** Interval.of(1, 2)).contains(Interval.of(0, 4))


@pytest.mark.parametrize("operation", [Interval.log, Interval.sqrt, lambda x: x ** Fraction(1, 3)])
def test_out_of_the_domain_certainly_or_perhaps(operation) -> None:
    for x, certain in [(Interval.of(-2, -1), True), (Interval.of(-1, 1), False)]:
        with pytest.raises(DomainError) as caught:
            operation(x)
        assert caught.value.certain is certain
    with pytest.raises(DomainError):
        Interval.of(-3, -1).log1p()


def test_waves_find_their_extrema() -> None:
    assert Interval.of(1, 2).sin().upper == 1.0
    assert Interval.of(1, 2).sin().lower == pytest.approx(math.sin(1), abs=1e-15)
    assert Interval.of(4, 5).sin().lower == -1.0
    assert Interval.of(-1, 1).cos() == Interval.of(Interval.of(1).cos(), 1)
    assert Interval.of(3, 4).cos().lower == -1.0
    assert Interval.of(0.1, 1.5).sin().upper < 1
    assert Interval.of(0, 6.5).cos() == Interval.of(-1, 1)
    assert Interval.of(1e30, 1e30).sin().upper <= 1
    assert Interval.of(1, 2).tan() == WHOLE
    assert Interval.of(2, 4).tan().width() < 4


FUNCTIONS = ["sin", "cos", "tan", "atan", "tanh", "sinh", "cosh", "exp", "expm1"]


@given(intervals, st.floats(0, 1), st.sampled_from(FUNCTIONS))
def test_functions_contain_their_values(x: Interval, share: float, name: str) -> None:
    point = min(max(x.lower + share * (x.upper - x.lower), x.lower), x.upper)
    with mpmath.workdps(60):
        assert holds(getattr(x, name)(), getattr(mpmath, name)(mpmath.mpf(point)))


wide = st.sampled_from([-math.inf, -1e300, -2.0, -1e-300, 0.0, 1e-300, 0.5, 3.0, 1e300, math.inf])


@given(wide, wide, wide, wide)
def test_nan_never_leaks(a: float, b: float, c: float, d: float) -> None:
    assume(min(a, b) < math.inf and max(a, b) > -math.inf and min(c, d) < math.inf and max(c, d) > -math.inf)
    x, y = Interval.of(min(a, b), max(a, b)), Interval.of(min(c, d), max(c, d))
    results = [x + y, x - y, x * y, x**2, x**3, x.hull(y), x.exp(), x.sin(), x.tan(), x.tanh(), x.sinh()]
    results += [x**-3] if x.excludes_zero else []
    results += [x.abs(), x.max0(), x.cosh(), x.expm1(), x.atan(), maximum(x, y), minimum(x, y), x.sign(), x.step()]
    results += [x / y] if y.lower < 0 or y.upper > 0 else []
    results += [x.log(), x.sqrt(), x ** Fraction(-2, 3)] if x.lower >= 0 and x.upper > 0 else []
    for result in results:
        assert result.lo <= result.hi
        assert result.lower <= result.upper
        assert result.lower < math.inf
        assert result.upper > -math.inf
    for p in (x.lower, x.upper):
        for q in (y.lower, y.upper):
            if math.isfinite(p) and math.isfinite(q):
                assert contains_exactly(x * y, Fraction(p) * Fraction(q))
                assert contains_exactly(x + y, Fraction(p) + Fraction(q))
                assert contains_exactly(x - y, Fraction(p) - Fraction(q))
                assert q == 0 or contains_exactly(x / y, Fraction(p) / Fraction(q))


def test_comparisons_have_three_values() -> None:
    assert less(1, 2) is True
    assert less(2, 1) is False
    assert less(1, 1) is False
    assert less(Interval.of(0, 2), Interval.of(1, 3)) is None
    assert less(Interval.of(1, 3), Interval.of(0, 2)) is None
    assert less(Interval.of(0, 1), Interval.of(1, 2)) is None
    assert less("0.1", 0.1) is True or less("0.1", 0.1) is None
    touching = Interval.of(0, 1)
    assert touching.positive() is None
    assert touching.nonnegative() is True
    assert touching.negative() is False
    assert Interval.of(-1, 0).nonpositive() is True
    assert Interval.of(-1, 1).nonnegative() is None
    with pytest.raises(TypeError):
        assert Interval.of(0) < Interval.of(1)  # type: ignore[operator]


def test_hull_and_intersection() -> None:
    assert Interval.of(0, 1).hull(3) == Interval.of(0, 3)
    assert Interval.of(0, 2).intersect(Interval.of(1, "inf")) == Interval.of(1, 2)
    with pytest.raises(ValueError, match="disjoint"):
        Interval.of(0, 1).intersect(2)


# --- expressions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expr", EVERYWHERE, ids=str)
@given(x=intervals, share=st.floats(0, 1))
def test_enclosures_contain_the_values(expr: sp.Expr, x: Interval, share: float) -> None:
    point = min(max(x.lower + share * (x.upper - x.lower), x.lower), x.upper)
    value = exact(expr, point)
    form = mean_value_form(expr)
    assert holds(form.natural(x), value)
    assert holds(form(x), value)
    assert holds(Interval.from_ball(compiled_ball(expr)(x.ball)), value)


@pytest.mark.parametrize("expr", EVERYWHERE, ids=str)
@pytest.mark.parametrize("x", [-20.0, -1.5, 0.375, 2.0, 11.0])
def test_enclosures_at_a_point_are_narrow(expr: sp.Expr, x: float) -> None:
    value = exact(expr, x)
    slope = exact(sp.diff(expr.subs(sp.Abs(w), sp.sign(x) * w).doit(), w), x)
    size = max(abs(value), abs(x * slope), abs(x), 1)
    for enclosure in (enclose(expr, {w: x}), Interval.from_ball(compile_ball(expr, [w])(arb(x)))):
        assert holds(enclosure, value)
        assert enclosure.width() <= 2**-46 * size  # 53 bits, a few dozen roundings


def test_softplus_does_not_touch_zero_far_out() -> None:
    softplus = sp.log(1 + sp.exp(w))
    value = enclose(softplus, {w: -1000})
    assert value.positive() is True
    assert value.lo > 0
    ratio = value / Interval.of(-1000).exp()
    assert ratio.contains(1) or abs(ratio.lower - 1) < 1e-14
    assert ratio.width() < 1e-14
    assert enclose(softplus, {w: WHOLE}).positive() is True
    ball = compile_ball(softplus, [w])(arb(-1000))
    assert ball > 0
    assert ball.rel_accuracy_bits() > 45


def test_differences_keep_their_digits() -> None:
    x = Fraction(1, 10**12)
    for expr in ((sp.exp(w) - 1) / w, (1 - sp.exp(-w)) / w, (HALF * sp.exp(2 * w) - HALF) / w, sp.log(1 + w) / w):
        value = enclose(expr, {w: x})
        assert value.width() < 1e-14
        assert abs(value.lower - 1) < 2e-12


def test_sigmoid_on_the_whole_line() -> None:
    for expr in (sp.exp(w) / (1 + sp.exp(w)), 1 / (1 + sp.exp(-w)), 3 * sp.exp(-w) / (1 + sp.exp(-w)) / 3):
        assert enclose(expr, {w: WHOLE}) == Interval.of(0, 1)
        assert enclose(expr, {w: WHOLE}).positive() is True
        assert enclose(expr, {w: "0.25"}).width() < 1e-15


def test_several_symbols_and_shared_subexpressions() -> None:
    shared = sp.exp(w * v) + sp.sin(sp.exp(w * v)) ** 2
    closure = compile_interval(shared, [w, v])
    value = math.exp(0.5) + math.sin(math.exp(0.5)) ** 2
    assert closure(Interval.of(0.25), Interval.of(2)).lower == pytest.approx(value, abs=1e-14)
    assert closure(Interval.of(0.25), Interval.of(2)).width() < 1e-14
    assert compile_ball(shared, [v, w])(arb(2), arb(0.25)).overlaps(closure(Interval.of(0.25), Interval.of(2)).ball)


@pytest.mark.parametrize("expr", [sp.gamma(w), sp.I * w, sp.oo * sp.Symbol("x"), sp.Function("g")(w), sp.zoo + w])
def test_unknown_nodes_are_named(expr: sp.Expr) -> None:
    with pytest.raises(ValueError, match=r"cannot be evaluated rigorously|no value is given"):
        compile_interval(expr, [w])


def test_a_symbol_without_a_value() -> None:
    with pytest.raises(ValueError, match="'v'"):
        enclose(w + v, {w: 1})


def test_more_digits() -> None:
    with precision(200):
        value = enclose(sp.exp(w), {w: 1})
        assert (value - enclose(sp.E, {})).contains(0)
        assert 0 < value.width() < 1e-58


# --- mean-value form ------------------------------------------------------------------------------------------------


MONOTONE = [(w - w**2, 0.2), (-1 / (w**2 + HALF), 0.7), (sp.exp(w) * sp.cos(w), 0.1)]


@pytest.mark.parametrize(("expr", "x"), MONOTONE, ids=str)
def test_the_overestimation_of_the_mean_value_form_is_quadratic(expr: sp.Expr, x: float) -> None:
    """On boxes where f is monotone the true range is known; halving the width divides the excess by four."""
    form, excesses, natural_excesses = MeanValue(expr, [w]), [], []
    for k in range(3, 8):
        box = Interval.of(x, x + 2.0**-k)
        true = abs(float(exact(expr, box.upper) - exact(expr, box.lower)))
        excesses.append(Interval.from_ball(form.centred(box.ball)).width() - true)
        natural_excesses.append(form.natural(box).width() - true)
    orders = [math.log2(a / b) for a, b in itertools.pairwise(excesses)]
    assert all(1.8 < order < 2.2 for order in orders)
    if natural_excesses[-1] > 1e-9:  # more than one occurrence of w
        assert math.log2(natural_excesses[-2] / natural_excesses[-1]) == pytest.approx(1, abs=0.15)


def test_the_mean_value_form_knows_kinks_and_refuses_jumps() -> None:
    kink = MeanValue(sp.Abs(w) - w / 2, [w])
    assert kink.centred(arb(0.0, 0.1)).contains(Interval.of(0, "0.149").ball)
    jump = MeanValue(sp.atan(1 / w), [w])
    assert not jump.centred(arb(0.01, 0.1)).is_finite()
    assert jump(Interval.of(-0.09, 0.11)).width() > 3.1
    assert jump.slopes(Interval.of(-0.09, 0.11)) is None
    assert not MeanValue(sp.sign(w), [w]).centred(arb(3.0, 0.1)).is_finite()
    assert MeanValue(sp.log(sp.Abs(w)), [w]).slopes(Interval.of(-1, 1)) is None


# --- power series ---------------------------------------------------------------------------------------------------

SMOOTH = [
    sp.log(1 + sp.exp(w)), -1 / (w**2 + HALF), sp.tanh(w), sp.sinh(w) - 2 * sp.cosh(w), sp.sqrt(w + 1), 2**w,
    w ** sp.Rational(1, 3), sp.atan(w), sp.tan(w), sp.exp(w) - 1, sp.Abs(w) * w, sp.Max(w, 0) ** 2, w**w,
]  # fmt: skip


@pytest.mark.parametrize("expr", SMOOTH, ids=str)
def test_taylor_against_sympy(expr: sp.Expr) -> None:
    """Containment; narrow at a point; the width is proportional to that of the box."""
    smooth = expr.subs({sp.Abs(w): w, sp.Max(0, w): w})  # w > 0 here
    at_point = taylor(expr, w, 0.25, 4)
    wide, narrow = (taylor(expr, w, Interval.of(0.25 - r, 0.25 + r), 4) for r in (2.0**-13, 2.0**-14))
    for k in range(5):
        value = exact(sp.diff(smooth, w, k), 0.25)
        assert holds(at_point[k], value)
        assert at_point[k].width() < 1e-11 * max(1, abs(value))
        assert narrow[k].contains(at_point[k])
        assert wide[k].contains(narrow[k])
        assert wide[k].width() == 0 or 1.9 < wide[k].width() / narrow[k].width() < 2.1


def test_taylor_at_a_kink_and_of_a_polynomial() -> None:
    value, slope, second = taylor(sp.Abs(w), w, Interval.of(-1, 1), 2)
    assert value == Interval.of(0, 1)
    assert slope.contains(Interval.of(-1, 1))
    assert slope.width() < 2.0001
    assert second == WHOLE
    assert taylor(w**3, w, 2, 5) == [Interval.of(x) for x in (8, 12, 12, 6, 0, 0)]
    assert len(taylor(sp.exp(w), w, 0, 14)) == 15


def test_taylor_errors() -> None:
    with pytest.raises(ValueError, match="finite box"):
        taylor(w, w, WHOLE, 1)
    with pytest.raises(DomainError):
        taylor(sp.log(w), w, -1, 1)
    assert taylor(sp.log(w), w, Interval.of(-1, 1), 1)[1] == WHOLE


# --- integrals ------------------------------------------------------------------------------------------------------

INTEGRALS = [
    (sp.Abs(w), -1, 2, sp.Rational(5, 2)),
    (sp.Abs(w - sp.Rational(1, 3)), 0, 1, sp.Rational(5, 18)),
    (sp.sqrt(w), 0, 1, sp.Rational(2, 3)),
    (sp.sqrt(w), 1, 4, sp.Rational(14, 3)),
    (w ** sp.Rational(1, 3), 0, 8, sp.Integer(12)),
    (sp.Max(w, 0), -1, 1, HALF),
    (sp.Min(w, 1 - w), 0, 1, sp.Rational(1, 4)),
    (sp.log(w), 1, 2, 2 * sp.log(2) - 1),
    (sp.sin(w), 0, sp.pi, sp.Integer(2)),
    (sp.atan(w), 0, 5, 5 * sp.atan(5) - sp.log(26) / 2),
    (1 / w, 1, 2, sp.log(2)),
    (sp.sign(w - HALF), 0, 2, sp.Integer(1)),
    (sp.exp(-(w**2)), 0, 10, sp.sqrt(sp.pi) / 2),  # erfc(10) < 1e-44
    (sp.Abs(sp.exp(-w) - sp.exp(-2 * w) * 2), 0, 3, HALF - sp.exp(-3) + sp.exp(-6)),
    (w, 2, 1, sp.Rational(-3, 2)),
]


@pytest.mark.parametrize(("expr", "lo", "hi", "value"), INTEGRALS, ids=lambda p: str(p))
def test_integrals(expr: sp.Expr, lo: object, hi: object, value: sp.Expr) -> None:
    enclosure = integrate(expr, w, lo, hi)
    assert less(enclosure, Interval.of(value)) is None
    assert less(Interval.of(value), enclosure) is None
    assert enclosure.width() < 1e-8


def test_the_trap_of_the_analytic_flag() -> None:
    """Without the flag a real absolute value integrates to a narrow ball around a wrong number."""
    trap = acb.integral(lambda x, _: (x - arb(1) / 3).real_abs(), 0, 1).real
    assert not trap.overlaps(arb(5) / 18)
    assert trap.rad() < 1e-9
    assert integrate(sp.Abs(w - sp.Rational(1, 3)), w, 0, 1).contains(Fraction(5, 18))


def test_what_cannot_be_integrated() -> None:
    assert integrate(1 / w, w, -1, 2) == WHOLE
    with pytest.raises(DomainError):
        integrate(sp.sqrt(w), w, -1, 1)
    with pytest.raises(ValueError, match="no real number"):
        integrate(sp.exp(-w), w, 0, "inf")
