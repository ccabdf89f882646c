"""Suprema, infima and signs: true bounds, tight ones, and honest ones where tight cannot be had."""

import math

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics.enclosure import DomainError, Interval, enclose
from numerics.optimum import FARTHEST, infimum, prove_negative, prove_nonnegative, prove_positive, supremum

u, v, w = sp.symbols("u v w", real=True)
LINE = ("-inf", "inf")
HALF = sp.Rational(1, 2)

SUPREMA = [  # expression, domain, supremum
    (-1 / (w**2 + HALF), {w: LINE}, 0),  # approached at infinity
    (-sp.log(1 + sp.exp(w)), {w: LINE}, 0),
    (sp.exp(w) / (1 + sp.exp(w)), {w: LINE}, 1),
    (1 / (w**2 + HALF), {w: LINE}, 2),
    (sp.cos(w) * sp.exp(-sp.Abs(w)), {w: LINE}, 1),
    (sp.exp(-(w**2)) * (2 + sp.sin(3 * w)), {w: LINE}, None),
    (w - w**3, {w: (0, 1)}, 2 / sp.sqrt(27)),
    (w**3 - w, {w: (-2, 2)}, 6),
    (sp.sin(w), {w: (0, sp.pi / 4)}, 1 / sp.sqrt(2)),
    (sp.Abs(w) - w**2, {w: (-3, 3)}, sp.Rational(1, 4)),
    (-sp.Abs(w - sp.Rational(1, 3)), {w: LINE}, 0),  # at a kink that is no float
    (sp.Min(w, 1 - w), {w: LINE}, HALF),
    (-sp.sqrt(sp.Abs(w)), {w: (-1, 2)}, 0),  # at a cusp
    (-w * sp.log(w), {w: (0, 1)}, sp.exp(-1)),  # not defined at 0
    (sp.sqrt(1 - w**2), {w: (-1, 1)}, 1),
    (sp.atan(1 / w), {w: (-1, 1)}, sp.pi / 2),  # approached at a jump
    (sp.sin(w**2), {w: LINE}, 1),
    (-((1 - w) ** 2) - 100 * (v - w**2) ** 2, {w: (-2, 2), v: (-1, 3)}, 0),
    (w * v * sp.exp(-(w**2) - v**2), {w: (-3, 4), v: (-4, 3)}, sp.exp(-1) / 2),
    (sp.cos(u) + sp.cos(v) + sp.sin(w), {u: (1, 3), v: (-1, 2), w: (0, 1)}, sp.cos(1) + 1 + sp.sin(1)),
    (sp.Integer(7), {w: LINE}, 7),
]


@pytest.mark.parametrize(("expr", "domain", "value"), SUPREMA, ids=str)
def test_known_suprema(expr: sp.Expr, domain: dict, value: object) -> None:
    bounds = supremum(expr, domain)
    mirrored = infimum(-expr, domain)
    if value is not None:
        truth = Interval.of(sp.sympify(value))
        assert bounds.lower <= truth.upper
        assert truth.lower <= bounds.upper
        assert mirrored.lower <= -truth.lower
        assert -truth.upper <= mirrored.upper
    assert bounds.upper - bounds.lower <= 1.0001e-6 * max(1, abs(bounds.lower))
    assert mirrored.upper - mirrored.lower <= 1.0001e-6 * max(1, abs(bounds.lower))
    assert bounds.boxes < 2000


@pytest.mark.parametrize(("expr", "domain", "value"), SUPREMA, ids=str)
def test_the_argument_proves_the_inner_end(expr: sp.Expr, domain: dict, value: object) -> None:
    bounds = supremum(expr, domain)
    assert bounds.argument is not None
    assert enclose(expr, bounds.argument).lower >= bounds.lower
    for symbol, (lo, hi) in domain.items():
        assert Interval.of(lo, hi).contains(bounds.argument[symbol])


def test_a_finer_tolerance() -> None:
    bounds = supremum(sp.sin(3 * w) * sp.exp(-w), {w: (0, "inf")}, tolerance=1e-12)
    truth = math.sin(math.atan(3)) * math.exp(-math.atan(3) / 3)
    assert bounds.lower - 1e-15 <= truth <= bounds.upper + 1e-15
    assert bounds.upper - bounds.lower <= 1e-12


@pytest.mark.parametrize(
    ("expr", "domain", "at_least"),
    [
        (w**2, {w: LINE}, FARTHEST),
        (sp.exp(w), {w: LINE}, 1e308),
        (1 / w, {w: (-1, 1)}, 1e20),
        (sp.tan(w), {w: (0, 3)}, 1e10),
        (-sp.log(w), {w: (0, 1)}, 60),
        (w * v, {w: LINE, v: (0, 1)}, FARTHEST / 2),
    ],
    ids=str,
)
def test_unbounded_above(expr: sp.Expr, domain: dict, at_least: float) -> None:
    bounds = supremum(expr, domain)
    assert bounds.upper == math.inf
    assert at_least <= bounds.lower < math.inf


def test_a_tail_that_cannot_be_bounded_is_reported_as_infinite_and_the_hook_helps() -> None:
    expr = w / (1 + w**2)  # its natural extension on [x, ∞) is [0, ∞)

    def tail(box: Interval) -> Interval:
        """|w/(1 + w²)| ≤ min(1/2, 1/|w|)."""
        distance = min(abs(box.lower), abs(box.upper)) if box.excludes_zero else 0.0
        bound = HALF if distance < 2 else 1 / sp.Rational(distance)
        return Interval.of(-bound, bound)

    plain = supremum(expr, {w: LINE})
    assert plain.upper == math.inf
    assert plain.lower == pytest.approx(0.5, abs=1e-6)
    helped = supremum(expr, {w: LINE}, tail=tail)
    assert helped.lower <= 0.5 <= helped.upper < 0.5 + 2e-6
    assert infimum(expr, {w: LINE}, tail=tail).lower > -0.5 - 2e-6
    assert prove_negative(expr - 1, {w: LINE}) is None
    assert prove_negative(expr - 1, {w: LINE}, tail=lambda box: tail(box) - 1) is True
    with pytest.raises(ValueError, match="tail"):
        supremum(expr * v, {w: LINE, v: (0, 1)}, tail=tail)


def test_few_boxes_give_wide_but_true_bounds() -> None:
    expr = sp.sin(10 * w) * sp.cos(7 * w + 1) + w * (1 - w)
    grid = np.linspace(-3, 3, 20001)
    seen = np.max(np.sin(10 * grid) * np.cos(7 * grid + 1) + grid * (1 - grid))
    previous = math.inf
    for max_boxes in (1, 10, 100, 1000):
        bounds = supremum(expr, {w: (-3, 3)}, max_boxes=max_boxes)
        assert bounds.boxes <= max_boxes + 1
        assert bounds.lower <= bounds.upper <= previous
        assert bounds.upper >= seen
        previous = bounds.upper
    assert previous <= seen + 1e-4


@given(st.lists(st.integers(-9, 9), min_size=2, max_size=6))
def test_polynomials_against_their_critical_points(coefficients: list[int]) -> None:
    expr = sp.Poly(coefficients, w).as_expr()
    roots = np.roots(np.polyder(coefficients)) if any(coefficients[:-1]) else np.array([])
    points = [-1.0, 2.0, *(r.real for r in np.atleast_1d(roots) if abs(r.imag) < 1e-3 and -1 <= r.real <= 2)]
    truth = max(np.polyval(coefficients, p) for p in points)  # a little low where a root is inexact
    bounds = supremum(expr, {w: (-1, 2)})
    assert truth <= bounds.upper + 1e-9
    assert bounds.upper <= truth + 1e-4 * max(1, abs(truth))
    assert bounds.lower <= bounds.upper <= bounds.lower + 1.0001e-6 * max(1, abs(bounds.lower))


@settings(max_examples=25)
@given(st.lists(st.floats(-2, 2).map(lambda x: round(x, 3)), min_size=3, max_size=3), st.floats(-5, 5))
def test_no_value_lies_outside(coefficients: list[float], x: float) -> None:
    a, b, c = map(sp.Rational, map(str, coefficients))
    expr = a * sp.tanh(3 * w) + b * sp.exp(-(w**2)) + c * sp.Abs(sp.sin(w))
    value = enclose(expr, {w: x})
    assert value.lower <= supremum(expr, {w: (-5, 5)}, max_boxes=60).upper
    assert value.upper >= infimum(expr, {w: (-5, 5)}, max_boxes=60).lower


SIGNS = [  # expression, domain, is it positive, is it nonnegative
    (sp.exp(w), {w: LINE}, True, True),  # tends to 0
    (1 / (w**2 + HALF), {w: LINE}, True, True),
    (sp.log(1 + sp.exp(w)), {w: LINE}, True, True),
    (w**2 - 2 * w + 2, {w: LINE}, True, True),
    (sp.exp(w) - w, {w: LINE}, True, True),  # ∞ - ∞ on the tail, but monotone
    (2 + sp.sin(w) * w / (1 + w**2), {w: LINE}, None, None),  # ∞/∞ on the tail
    (w**2, {w: LINE}, False, True),  # 0 at 0
    (w, {w: LINE}, False, False),
    (w - sp.Rational(1, 10**9), {w: (0, 1)}, False, False),
    (sp.Abs(w), {w: LINE}, False, True),
    (w**2 * v**2 + HALF - w * v, {w: (-4, 4), v: (-4, 4)}, True, True),
    ((w - sp.sqrt(2)) ** 2, {w: (0, 2)}, None, True),  # 0 at no float
]


@pytest.mark.parametrize(("expr", "domain", "positive", "nonnegative"), SIGNS, ids=str)
def test_signs(expr: sp.Expr, domain: dict, positive: bool | None, nonnegative: bool | None) -> None:
    assert prove_positive(expr, domain, max_boxes=3000) is positive
    assert prove_negative(-expr, domain, max_boxes=3000) is positive
    assert prove_nonnegative(expr, domain, max_boxes=3000) is nonnegative


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="gamma"):
        supremum(sp.gamma(w), {w: (1, 2)})
    with pytest.raises(ValueError, match="no value is given"):
        supremum(w + v, {w: (1, 2)})
    with pytest.raises(ValueError, match="no real number"):
        supremum(w, {w: (2, 1)})
    with pytest.raises(DomainError):
        supremum(sp.log(w), {w: (-2, -1)})
    with pytest.raises(DomainError):
        infimum(sp.sqrt(w), {w: (-2, 5)})
