"""The numbers that go with a verdict on f: boundary distance, log-Lipschitz constant, least modulus, gradient scales.

Every bracket (lower, upper) holds true bounds, rounded outward. L = log d, where d is the distance to the boundary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import sympy as sp

from numerics.enclosure import DomainError, Interval, compile_interval
from numerics.optimum import infimum, supremum
from numerics.tails import point_germs, tail_germs, tail_range
from proofs_check.core_scan import SAMPLES
from proofs_check.uniform_continuity import log_magnitude

Bracket = tuple[float, float]
LINE = ("-inf", "inf")
MAX_BOXES = 4000


def boundary_distance(f: sp.Expr, d: sp.Expr, symbol: sp.Symbol, time: str, attained: bool) -> Bracket:
    """inf |f| in continuous time, inf (1 - |f|) in discrete time."""
    if time == "continuous":
        if attained:
            return 0.0, 0.0
        d = sp.Abs(f) if f.has(sp.Abs) else d
    try:
        found = infimum(d, {symbol: LINE}, max_boxes=MAX_BOXES, tail=tail_range(d, symbol))
    except DomainError:
        return -math.inf, math.inf
    lower, upper = found.lower, found.upper
    if not attained and time == "continuous":
        lower = max(lower, 0.0)
    if any(germ.vanishes for direction in (1, -1) for _, germ in tail_germs(d, symbol, Fraction(8), direction)):
        upper = min(upper, 0.0)
    return lower, upper


def log_lipschitz(d: sp.Expr, symbol: sp.Symbol) -> Bracket:
    """sup |L'| = sup |d'/d| over the line; the upper end is inf where no finite bound was found."""
    slope = sp.diff(log_magnitude(d), symbol)
    if not slope.has(symbol):
        size = Interval.of(slope).abs()
        return size.lower, size.upper
    by_slope, by_rule = tail_range(slope, symbol), tail_range(d, symbol, lambda germ: germ.log_slope)

    def tail(box: Interval) -> Interval:
        return by_slope(box).abs().intersect(by_rule(box).abs())

    found = supremum(sp.Abs(slope), {symbol: LINE}, max_boxes=MAX_BOXES, tail=tail)
    upper = found.upper
    lower = math.inf if upper == math.inf and _diverges_at_zero(slope, symbol) else max(found.lower, 0.0)
    return lower, upper


def _diverges_at_zero(expr: sp.Expr, symbol: sp.Symbol) -> bool:
    sides = (germ for direction in (1, -1) for _, germ in point_germs(expr, symbol, sp.S.Zero, Fraction(64), direction))
    return any(germ.diverges for germ in sides)


def modulus(d: sp.Expr, symbol: sp.Symbol, beta: Fraction, lipschitz: Bracket) -> Bracket:
    """The least g(β) = e^{ω(β)} - 1, ω(β) = sup_{|w̃-w| ≤ β} |L(w̃) - L(w)|.

    ω is at most β·sup|L'|; where values of L at sample points do not reach that, |L(w+δ) - L(w)| is maximized over
    w ∈ [-M, M], 0 ≤ δ ≤ β, and the tails are bounded by β·sup|L'| or by the oscillation of L there.
    """
    logarithm = log_magnitude(d)
    radius = sp.Rational(beta.numerator, beta.denominator)
    gap = sp.Abs(logarithm.subs(symbol, symbol + radius) - logarithm)
    lower = max(_values(compile_interval(gap, (symbol,)), SAMPLES), default=0.0)
    upper = (Interval.of(beta) * Interval.of(lipschitz[1])).upper if math.isfinite(lipschitz[1]) else math.inf
    if upper > lower * (1 + 1e-9):
        delta = sp.Dummy("delta", nonnegative=True)
        moved = sp.Abs(logarithm.subs(symbol, symbol + delta) - logarithm)
        for core in (Fraction(8), Fraction(64), Fraction(1024)):
            found = supremum(moved, {symbol: (-core, core), delta: (0, radius)}, max_boxes=MAX_BOXES)
            lower = max(lower, found.lower)
            tails = max(_tail_oscillation(d, symbol, core - beta, beta, side) for side in (1, -1))
            upper = min(upper, max(found.upper, tails))
            if tails <= found.upper:
                break
    return Interval.of(lower).expm1().lower, Interval.of(upper).expm1().upper if upper < math.inf else math.inf


def _values(closure: Callable[..., Interval], points: tuple[Fraction, ...]) -> list[float]:
    """Proved lower bounds of a function at points; those where it is undefined are left out."""
    values = []
    for p in points:
        try:
            values.append(closure(Interval.of(p)).lower)
        except DomainError:
            continue
    return values


def _tail_oscillation(d: sp.Expr, symbol: sp.Symbol, start: Fraction, beta: Fraction, direction: int) -> float:
    """A bound of |L(w̃) - L(w)|, |w̃ - w| ≤ β, both on the tail."""
    bound = math.inf
    for _, germ in tail_germs(d, symbol, max(start, Fraction(1)), direction) if start >= 1 else ():
        if germ.log_slope.is_finite():
            bound = min(bound, (Interval.of(beta) * germ.log_slope.abs()).upper)
        size = germ.value.abs()
        if size.lo > 0 and size.is_finite():
            bound = min(bound, (size.log() - Interval(size.lo, size.lo).log()).upper)
        if bound < math.inf:
            break
    if bound == math.inf:
        for _, germ in tail_germs(log_magnitude(d), symbol, max(start, Fraction(1)), direction) if start >= 1 else ():
            if germ.slope.is_finite():
                bound = min(bound, (Interval.of(beta) * germ.slope.abs()).upper)
    return bound


def modulus_of_unstable(d: sp.Expr | None, symbol: sp.Symbol, counterexample: Mapping[str, Any] | None) -> Bracket:
    """The least g(β) of an unstable f, the same for every β: at least |ratio - 1|, at most sup d/inf d - 1.

    With d None (f reaches the boundary or leaves the line) the normalized integral itself is infinite.
    """
    if d is None or counterexample is None:
        return (math.inf, math.inf) if d is None else (0.0, math.inf)
    low = infimum(d, {symbol: LINE}, max_boxes=MAX_BOXES, tail=tail_range(d, symbol)).lower
    high = supremum(d, {symbol: LINE}, max_boxes=MAX_BOXES, tail=tail_range(d, symbol)).upper
    ratio = float(counterexample["ratio"])
    if low > 0 and high < math.inf:
        return math.nextafter(ratio, 0) - 1, (Interval.of(high) / Interval.of(low) - 1).upper
    return ratio - 1, math.inf


def gradient_scale(f: sp.Expr, d: sp.Expr, symbol: sp.Symbol) -> str:
    """|f'|/d² as a formula."""
    return str(_scale(f, d, symbol))


def _scale(f: sp.Expr, d: sp.Expr, symbol: sp.Symbol) -> sp.Expr:
    return sp.simplify(sp.Abs(sp.diff(f, symbol)) / d**2)


def gradient_over_weight(f: sp.Expr, d: sp.Expr, symbol: sp.Symbol) -> Bracket | None:
    """sup_w |f'|/(d²|w|); None where it could not be enclosed near 0."""
    ratio = sp.simplify(_scale(f, d, symbol) / sp.Abs(symbol))
    if not ratio.has(symbol):
        size = Interval.of(ratio)
        return size.lower, size.upper
    start = Fraction(16)
    near: list[Bracket] = []
    for direction in (1, -1):
        germs = [germ for _, germ in point_germs(ratio, symbol, sp.S.Zero, start, direction)]
        if any(germ.diverges for germ in germs):
            return math.inf, math.inf
        if not germs:
            return None
        near.append((max(germ.start.lower for germ in germs), min(germ.value.upper for germ in germs)))
    edge = 1 / start
    for ends in ((edge, "inf"), ("-inf", -edge)):
        direction = 1 if ends[1] == "inf" else -1
        if any(germ.diverges for _, germ in tail_germs(ratio, symbol, Fraction(8), direction)):
            return math.inf, math.inf
        found = supremum(ratio, {symbol: ends}, max_boxes=MAX_BOXES, tail=tail_range(ratio, symbol))
        near.append((found.lower, found.upper))
    return max(lower for lower, _ in near), max(upper for _, upper in near)
