"""The numbers that go with a verdict on f: boundary distance, log-Lipschitz constant, least modulus, gradient scales.

Every bracket (lower, upper) holds true bounds, rounded outward. L = log d, where d is the distance to the boundary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import sympy as sp

from numerics.enclosure import DomainError, Interval, compile_interval
from numerics.optimum import supremum
from numerics.tails import germs, point_germs, tail_germs, tail_range
from proofs_check.core_scan import SAMPLES
from proofs_check.forms import log_magnitude, log_slope, resolved, simpler
from theory.formula import format_formula

Bracket = tuple[float, float]
Tail = Callable[[sp.Expr, sp.Symbol], Callable[[Interval], Interval]]
CORES = (Fraction(8), Fraction(64), Fraction(1024))
FAR: tuple[Fraction, ...] = tuple(Fraction(2) ** k for k in (3, 5, 7, 9, 12, 16))
MAX_BOXES = 2000
TOLERANCE = 1e-8


def extremum(
    d: sp.Expr,
    symbol: sp.Symbol,
    whole: sp.Expr | None,
    quantity: Callable[[sp.Expr, sp.Symbol], sp.Expr],
    tail: Tail | None = None,
) -> Bracket:
    """sup over the line of a quantity of d: over one period `whole`, or over both half-lines, with |w| = x resolved.

    `tail` is what else is known of the quantity of a given d on a tail.
    """
    if whole is not None:
        return _on_box(quantity(d, symbol), {symbol: (0, whole)})
    x = sp.Dummy("x", positive=True)
    sides = [_half_line(resolved(d.subs(symbol, direction * x)), x, quantity, tail) for direction in (1, -1)]
    return max(lower for lower, _ in sides), max(upper for _, upper in sides)


def _half_line(
    d: sp.Expr,
    x: sp.Symbol,
    quantity: Callable[[sp.Expr, sp.Symbol], sp.Expr],
    tail: Tail | None,
) -> Bracket:
    """sup over x ≥ 0: over a core [0, M] and the tail beyond it.

    The core grows while the tail might exceed it; where the supremum is only approached at infinity, the limit and
    values far out give the lower end.
    """
    expr = quantity(d, x)
    if not expr.has(x):
        value = Interval.of(expr)
        return value.lower, value.upper
    limit = next((germ.limit for _, germ in germs(expr, x, Fraction(8)) if germ.limit is not None), None)
    lower = max([-math.inf if limit is None else limit.lower, *_values(compile_interval(expr, (x,)), FAR)])
    upper = math.inf
    tails = [tail_range(expr, x)] + ([] if tail is None else [tail(d, x)])
    for core in CORES:
        outside = min(bound(Interval.of(core, "inf")).upper for bound in tails)
        if outside == math.inf and core != CORES[-1]:
            continue
        inner = _on_box(expr, {x: (0, core)})
        lower = max(lower, inner[0])
        upper = min(upper, max(inner[1], outside))
        if outside <= inner[1] or upper <= lower + TOLERANCE * max(1.0, abs(lower)):
            break
    return lower, upper


def _on_box(expr: sp.Expr, domain: Mapping[sp.Symbol, tuple[Any, Any]]) -> Bracket:
    """sup over a box; where interval arithmetic does not close the bracket, a simplified form has a try."""
    lower, upper = -math.inf, math.inf
    for simplify in (False, True):
        found = supremum(simpler(expr) if simplify else expr, domain, tolerance=TOLERANCE, max_boxes=MAX_BOXES)
        lower, upper = max(lower, found.lower), min(upper, found.upper)
        if upper <= lower + TOLERANCE * max(1.0, abs(lower)):
            break
    return lower, upper


def boundary_distance(
    f: sp.Expr, d: sp.Expr, symbol: sp.Symbol, time: str, inside: bool, whole: sp.Expr | None
) -> Bracket:
    """inf |f| in continuous time, inf (1 - |f|) in discrete time; `inside`: d > 0 everywhere."""
    if time == "continuous" and not inside:
        d = sp.Abs(f)
    try:
        found = extremum(d, symbol, whole, lambda distance, x: -distance)
    except DomainError:
        return (0.0 if time == "continuous" else -math.inf), math.inf
    lower, upper = 0.0 - found[1], 0.0 - found[0]
    if time == "continuous" or inside:
        lower = max(lower, 0.0)
    return lower, upper


@cache
def log_lipschitz(d: sp.Expr, symbol: sp.Symbol, whole: sp.Expr | None) -> Bracket:
    """sup |L'| = sup |d'/d| over the line; the upper end is inf where no finite bound was found."""
    lower, upper = extremum(d, symbol, whole, lambda distance, x: sp.Abs(log_slope(distance, x)), _tail_slope)
    if upper == math.inf and _diverges_at_zero(log_slope(d, symbol), symbol):
        lower = math.inf
    return max(lower, 0.0), upper


def log_lipschitz_of_both_signs(f: sp.Expr, symbol: sp.Symbol, whole: sp.Expr | None) -> Bracket:
    """sup |f'|/(1-|f|), the log-Lipschitz constant of 1 - |f| for an f that may change its sign."""

    def by_quotient() -> Bracket:
        return extremum(
            f,
            symbol,
            whole,
            lambda value, x: sp.Abs(sp.diff(value, x)) / (1 - sp.Abs(value)),
            lambda value, x: _tail_slope(1 - sp.Abs(value), x),
        )

    def by_distance() -> Bracket:
        return log_lipschitz(1 - sp.Abs(f), symbol, whole)

    lower, upper = 0.0, math.inf
    for way in (by_distance, by_quotient) if f.has(sp.tanh) else (by_quotient, by_distance):
        found = way()
        lower, upper = max(lower, found[0]), min(upper, found[1])
        if upper <= lower * (1 + 1e-5):
            break
    return lower, upper


def _tail_slope(d: sp.Expr, x: sp.Symbol) -> Callable[[Interval], Interval]:
    return tail_range(d, x, lambda germ: germ.log_slope.abs())


def _diverges_at_zero(expr: sp.Expr, symbol: sp.Symbol) -> bool:
    sides = (germ for direction in (1, -1) for _, germ in point_germs(expr, symbol, sp.S.Zero, Fraction(64), direction))
    return any(germ.diverges for germ in sides)


def modulus(d: sp.Expr, symbol: sp.Symbol, beta: Fraction, lipschitz: Bracket, whole: sp.Expr | None) -> Bracket:
    """The least g(β) = e^{ω(β)} - 1, ω(β) = sup_{|w̃-w| ≤ β} |L(w̃) - L(w)|, of an f that does not change its sign.

    ω is at most β·sup|L'|; where values of L at sample points do not reach that, |L(w+δ) - L(w)| is maximized over
    w ∈ [-M, M], 0 ≤ δ ≤ β, and the tails are bounded by β·sup|L'| or by the oscillation of L there.
    """
    logarithm = log_magnitude(d)
    radius = sp.Rational(beta.numerator, beta.denominator)
    gap = sp.Abs(logarithm.subs(symbol, symbol + radius) - logarithm)
    lower = max(_values(compile_interval(gap, (symbol,)), SAMPLES + FAR + tuple(-p for p in FAR)), default=0.0)
    upper = (Interval.of(beta) * Interval.of(lipschitz[1])).upper if math.isfinite(lipschitz[1]) else math.inf
    if upper > lower * (1 + TOLERANCE):
        delta = sp.Dummy("delta", nonnegative=True)
        moved = sp.Abs(logarithm.subs(symbol, symbol + delta) - logarithm)
        found = _over_pairs(moved, symbol, delta, (0, radius), [d], beta, whole)
        lower, upper = max(lower, found[0]), min(upper, found[1])
    return Interval.of(lower).expm1().lower, Interval.of(upper).expm1().upper if upper < math.inf else math.inf


def modulus_of_both_signs(f: sp.Expr, symbol: sp.Symbol, beta: Fraction, whole: sp.Expr | None) -> Bracket:
    """The least g(β) in discrete time, for an f that may change its sign:

        (1-|λ|) Σ_k |λ̃^k - λ^k| = (1-|λ|)·( |A(λ̃) - A(λ)| + |B(λ̃) - B(λ)| ),  A = 1/(1-λ²),  B = λ/(1-λ²),

    the sums over even and over odd k, each of one sign. It is at most e^ω - 1 with ω the larger of the moduli of
    log(1-f) and log(1+f) (see theory.discrete); where values at sample points do not reach that, it is maximized over
    pairs, and bounded on the tails by these two moduli.
    """
    delta = sp.Dummy("delta", real=True)
    even, odd = 1 / (1 - f**2), f / (1 - f**2)
    gaps = (sp.Abs(part.subs(symbol, symbol + delta) - part) for part in (even, odd))
    normalized = (1 - sp.Abs(f)) * sp.Add(*gaps)
    radius = sp.Rational(beta.numerator, beta.denominator)
    moved = [compile_interval(normalized.subs(delta, side * radius), (symbol,)) for side in (1, -1)]
    lower = max((value for closure in moved for value in _values(closure, SAMPLES)), default=0.0)
    lower = max(lower, *(_same_sign_lower(f.subs(symbol, side * symbol), symbol, radius) for side in (1, -1)))
    sides = [simpler(resolved(1 + sign * f)) for sign in (1, -1)]
    constants = [log_lipschitz(side, symbol, whole) for side in sides]
    steepest = max(constant[1] for constant in constants)
    upper = (Interval.of(beta) * Interval.of(steepest)).expm1().upper if steepest < math.inf else math.inf
    if upper > lower * (1 + 1e-5):
        upper = max(modulus(side, symbol, beta, c, whole)[1] for side, c in zip(sides, constants, strict=True))
    if upper > lower * (1 + 1e-5):
        found = _over_pairs(normalized, symbol, delta, (-radius, radius), sides, beta, whole, exponential=True)
        lower, upper = max(lower, found[0]), min(upper, found[1])
    return max(lower, 0.0), upper


def _same_sign_lower(f: sp.Expr, symbol: sp.Symbol, radius: sp.Rational) -> float:
    """e^{|ΔL|} - 1 at some pairs on the right half-line, L = log(1-|f|): what the sum is at least, of any signs."""
    x = sp.Dummy("x", positive=True)
    logarithm = log_magnitude(resolved(1 - sp.Abs(f.subs(symbol, x))))
    gap = compile_interval(sp.Abs(logarithm.subs(x, x + radius) - logarithm), (x,))
    largest = max(_values(gap, tuple(p for p in SAMPLES + FAR if p > 0)), default=0.0)
    return Interval.of(max(largest, 0.0)).expm1().lower


def _over_pairs(
    moved: sp.Expr,
    symbol: sp.Symbol,
    delta: sp.Symbol,
    deltas: tuple[sp.Expr | int, sp.Expr],
    distances: Sequence[sp.Expr],
    beta: Fraction,
    whole: sp.Expr | None,
    exponential: bool = False,
) -> Bracket:
    """sup of a function of w and δ; on the tails bounded by the largest |Δ log d| (e^{…} - 1 with `exponential`)."""
    lower, upper = 0.0, math.inf
    for core in CORES:
        ends = (-core, core) if whole is None else (0, whole)
        found = supremum(moved, {symbol: ends, delta: deltas}, tolerance=TOLERANCE, max_boxes=MAX_BOXES)
        outside = 0.0
        if whole is None:
            outside = max(_tail_oscillation(d, symbol, core - beta, beta, side) for d in distances for side in (1, -1))
        if exponential and outside < math.inf:
            outside = Interval.of(outside).expm1().upper
        lower, upper = max(lower, found.lower), min(upper, max(found.upper, outside))
        if outside <= found.upper:
            break
    return lower, upper


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


def modulus_of_oscillating(d: sp.Expr, symbol: sp.Symbol, gap: Interval | None) -> Bracket:
    """The least g(β), every β > 0, where log d takes values that far apart ever closer together.

    At least e^gap - 1, at most sup d/inf d - 1.
    """
    high = extremum(d, symbol, None, lambda distance, x: distance)[1]
    low = -extremum(d, symbol, None, lambda distance, x: -distance)[1]
    upper = (Interval.of(high) / Interval.of(low) - 1).upper if low > 0 and high < math.inf else math.inf
    return 0.0 if gap is None else gap.expm1().lower, upper


def gradient_scale(f: sp.Expr, d: sp.Expr, symbol: sp.Symbol) -> str:
    """|f'|/d² as a formula."""
    return format_formula(_scale(f, d, symbol))


@cache
def _scale(f: sp.Expr, d: sp.Expr, symbol: sp.Symbol) -> sp.Expr:
    scale = simpler(sp.Abs(sp.diff(f, symbol)) / d**2)
    scale = scale.replace(sp.Abs, lambda u: sp.S.One if isinstance(u, sp.sign) else sp.Abs(u))
    return scale.replace(sp.Heaviside, lambda u, *_: (1 + u / sp.Abs(u)) / 2).replace(sp.sign, lambda u: u / sp.Abs(u))


def gradient_over_weight(f: sp.Expr, d: sp.Expr, symbol: sp.Symbol) -> Bracket | None:
    """sup_w |f'|/(d²|w|); None where it could not be enclosed near 0."""
    ratio = simpler(_scale(f, d, symbol) / sp.Abs(symbol))
    if not ratio.has(symbol):
        size = Interval.of(ratio)
        return size.lower, size.upper
    start = Fraction(16)
    brackets: list[Bracket] = []
    for direction in (1, -1):
        near = [germ for _, germ in point_germs(ratio, symbol, sp.S.Zero, start, direction)]
        far = [germ for _, germ in tail_germs(ratio, symbol, Fraction(8), direction)]
        if any(germ.diverges for germ in near + far):
            return math.inf, math.inf
        if not near:
            return None
        brackets.append((max(germ.start.lower for germ in near), min(germ.value.upper for germ in near)))
        x = sp.Dummy("x", positive=True)
        mirrored = ratio.subs(symbol, direction * x)
        outside = min((germ.value.upper for germ in far), default=math.inf)
        found = supremum(mirrored, {x: (1 / start, 8)}, tolerance=TOLERANCE, max_boxes=MAX_BOXES)
        brackets.append((found.lower, max(found.upper, outside)))
    return max(0.0, *(lower for lower, _ in brackets)), max(upper for _, upper in brackets)
