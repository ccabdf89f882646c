"""The sign of the distance d on a compact core, by interval bisection, and the points where it cannot be seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp

from numerics.compiler import singular_parts
from numerics.enclosure import DomainError, Interval, MeanValue, compile_interval

SAMPLES: tuple[Fraction, ...] = tuple(
    sorted(
        {Fraction(k, 4) for k in range(-40, 41)} | {s * Fraction(2) ** k for k in range(-6, 9) for s in (1, -1)},
        key=lambda p: (p.denominator, abs(p)),
    )
)
"""Where a formula is looked at first, the simplest points first."""
MAX_BOXES = 20000
NARROWEST = Fraction(1, 2**36)


@dataclass(frozen=True)
class CoreScan:
    """What was seen; positive: d is defined, continuous and > 0 there."""

    positive: bool
    violation: Fraction | None = None
    """A point where certainly d ≤ 0."""
    suspects: tuple[sp.Expr, ...] = ()
    """Points that could not be decided, in exact form where one was recognized, one for each cluster."""
    undecided: tuple[Fraction, ...] = ()
    """All of them, as found."""


def scan_core(d: sp.Expr, symbol: sp.Symbol, lo: Fraction, hi: Fraction, singular: Iterable[sp.Expr] = ()) -> CoreScan:
    """Bisects [lo, hi] until d > 0 is certain on every box, or a point (anywhere) is found where it is not.

    A finite range does not show that d is continuous (atan(1/w) is bounded): on every box the divisors, arguments of
    logarithms and cosines of tangents in d, and the further expressions `singular`, must certainly not vanish.
    """
    form = MeanValue(d, (symbol,))
    parts = [compile_interval(part, (symbol,)) for part in dict.fromkeys([*singular_parts(d), *singular])]
    undecided: list[Fraction] = []
    for p in SAMPLES:
        try:
            if form.natural(Interval.of(p)).nonpositive():
                return CoreScan(False, violation=p)
        except DomainError:
            undecided.append(p)
    boxes = [(lo, hi)]
    for _ in range(MAX_BOXES):
        if not boxes or len(undecided) > 64:
            break
        left, right = boxes.pop()
        middle = (left + right) / 2
        if _positive(form, Interval.of(left, right)) and nowhere_zero(parts, Interval.of(left, right)):
            continue
        try:
            if form.natural(Interval.of(middle)).nonpositive():
                return CoreScan(False, violation=middle)
        except DomainError:
            undecided.append(middle)
        if right - left < NARROWEST:
            undecided.append(middle)
        else:
            boxes += [(left, middle), (middle, right)]
    suspects = _recognized(undecided + [(left + right) / 2 for left, right in boxes[:4]])
    return CoreScan(not suspects, suspects=suspects, undecided=tuple(undecided))


def _positive(form: MeanValue, box: Interval) -> bool:
    try:
        values = form(box)
    except DomainError:
        return False
    return bool(values.is_finite() and values.positive())


def nowhere_zero(parts: Iterable[Callable[..., Interval]], box: Interval) -> bool:
    """Whether all the functions are certainly defined and different from 0 on a box."""
    try:
        ranges = [part(box) for part in parts]
    except DomainError:
        return False
    return all(bool(values.lo > 0 or values.hi < 0) for values in ranges)


def not_real_at(arguments: Iterable[sp.Expr], symbol: sp.Symbol, points: Iterable[Fraction]) -> Fraction | None:
    """A point at which one of the arguments of logarithms and roots is certainly negative."""
    closures = [compile_interval(argument, (symbol,)) for argument in arguments]
    for p in points if closures else ():
        for closure in closures:
            try:
                if closure(Interval.of(p)).hi < 0:
                    return p
            except DomainError:
                continue
    return None


def _recognized(points: Sequence[Fraction]) -> tuple[sp.Expr, ...]:
    """The points with those that lie close together merged, and named exactly where they are simple."""
    kept: list[sp.Expr] = []
    for p in sorted(points, key=abs):
        if any(abs(sp.N(p - q)) < 1e-5 for q in kept):
            continue
        exact = sp.Rational(p.numerator, p.denominator)
        if abs(p) < Fraction(1, 10**9):
            exact = sp.S.Zero
        elif p.denominator > 2**16:
            exact = sp.nsimplify(float(p), [sp.pi], tolerance=1e-9)
        kept.append(exact)
        if len(kept) == 8:
            break
    return tuple(kept)
