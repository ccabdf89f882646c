"""Rigorous suprema, infima and signs of formulas over boxes with finite or infinite ends, by branch and bound."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from numerics.enclosure import WHOLE, DomainError, Interval, MeanValue

Box = tuple[Interval, ...]
Domain = Mapping[sp.Symbol, tuple[Any, Any]]
Tail = Callable[[Interval], Interval]
Proved = tuple[float, tuple[float, ...] | None]
"""A lower bound of f at a point, and the point."""

FARTHEST = 2.0**64
"""Boxes [x, ∞) with x beyond this are not split any more."""
_NARROWEST = 2.0**-100
"""Nor are boxes narrower than this."""
_MOST_STARTS = 1000
"""Where a grid of starting points would have more, the search begins at the middle of the domain alone."""
_STEP_HALVINGS = 30
_BOXES_AFTER_LOSS = 500
"""How many more boxes to examine, for the sake of the other end, once a box that cannot be split settles one end."""


@dataclass(frozen=True)
class Bounds:
    """True bounds, lower ≤ sup f ≤ upper (or inf f), as floats rounded outward; an end may be infinite.

    `argument` is the point of the domain that proves the inner end: f there is ≥ lower for a supremum, ≤ upper for an
    infimum (None where f could be evaluated nowhere). `boxes` counts the boxes examined.
    """

    lower: float
    upper: float
    argument: dict[sp.Symbol, float] | None
    boxes: int


def supremum(
    expr: Any, domain: Domain, *, tolerance: float = 1e-6, max_boxes: int = 20000, tail: Tail | None = None
) -> Bounds:
    """Bounds of the supremum of an expression over a box.

        lower ≤ sup_{x ∈ X} f(x) ≤ upper,   upper - lower ≤ tolerance · max(1, |lower|) where that was reached.

    The box with the greatest upper bound is split first. Its range is the natural interval extension cut with the
    mean-value form; where a partial derivative has one sign, only a face is left; values at midpoints and corners give
    the lower end. Boxes with an infinite end are split at 0, or at 2 max(1, |x|) beyond their finite end x, as far as
    2^64. Where f is unbounded, or a tail cannot be bounded, upper is inf and lower the largest value that was proved.

    `tail` (one variable only) encloses f on boxes with an infinite end better than the natural extension does.
    Raises ValueError for an unknown node, a symbol without a range or an empty range; DomainError where f is real
    nowhere on some box that the search meets. On the boundary of the domain alone f may be undefined.
    Source: Moore, Kearfott, Cloud, Introduction to Interval Analysis, SIAM 2009, chapters 6 and 11.
    """
    search = _Search(expr, domain, tail)
    order = itertools.count()
    best, argument = search.climb(max(map(search.proved, search.starts()), key=_proved_value))
    box, values = search.examine(search.domain)
    waiting = [(-values.upper, next(order), box)]
    lost = -math.inf  # the greatest upper bound among boxes that cannot be split
    while waiting and search.examined < max_boxes:
        if -waiting[0][0] <= best + (tolerance * max(1.0, abs(best)) if math.isfinite(best) else 0.0):
            break
        upper, _, box = heapq.heappop(waiting)
        best, argument = max((best, argument), search.proved(search.middle(box)), key=_proved_value)
        parts = search.split(box)
        if not parts:
            if lost == -math.inf:
                max_boxes = min(max_boxes, search.examined + _BOXES_AFTER_LOSS)
            lost = max(lost, -upper)
        for part in parts:
            box, values = search.examine(part)
            if values.upper > best:
                heapq.heappush(waiting, (-values.upper, next(order), box))
    reached = max(lost, best, -waiting[0][0] if waiting else best)
    where = None if argument is None else dict(zip(domain, argument, strict=True))
    return Bounds(best, reached, where, search.examined)


def infimum(
    expr: Any, domain: Domain, *, tolerance: float = 1e-6, max_boxes: int = 20000, tail: Tail | None = None
) -> Bounds:
    """Bounds of the infimum of an expression over a box: inf f = -sup(-f), see `supremum`."""
    mirrored = None if tail is None else lambda box: -tail(box)
    negative = supremum(-sp.sympify(expr), domain, tolerance=tolerance, max_boxes=max_boxes, tail=mirrored)
    return Bounds(0.0 - negative.upper, 0.0 - negative.lower, negative.argument, negative.boxes)


def prove_negative(expr: Any, domain: Domain, *, max_boxes: int = 20000, tail: Tail | None = None) -> bool | None:
    """Is f < 0 on the whole box? True: proved. False: a point where certainly f ≥ 0 was found. None: not decided.

    Boxes on which f < 0 is certain are dropped; no margin is needed at infinity, where f may tend to 0 from below.
    Points at which f is undefined without being unreal around them (a pole, log|w| at 0) do not count; see
    `numerics.compiler.singular_parts`. Errors as for `supremum`.
    """
    return _decide(expr, domain, Interval.negative, max_boxes, tail)


def prove_positive(expr: Any, domain: Domain, *, max_boxes: int = 20000, tail: Tail | None = None) -> bool | None:
    """Is f > 0 on the whole box? True: proved. False: a point where certainly f ≤ 0 was found. None: not decided."""
    mirrored = None if tail is None else lambda box: -tail(box)
    return prove_negative(-sp.sympify(expr), domain, max_boxes=max_boxes, tail=mirrored)


def prove_nonnegative(expr: Any, domain: Domain, *, max_boxes: int = 20000, tail: Tail | None = None) -> bool | None:
    """Is f ≥ 0 on the whole box? True: proved. False: a point where certainly f < 0 was found. None: not decided."""
    mirrored = None if tail is None else lambda box: -tail(box)
    return _decide(-sp.sympify(expr), domain, Interval.nonpositive, max_boxes, mirrored)


def _decide(
    expr: Any, domain: Domain, question: Callable[[Interval], bool | None], max_boxes: int, tail: Tail | None
) -> bool | None:
    search = _Search(expr, domain, tail)
    _, argument = search.climb(max(map(search.proved, search.starts()), key=_proved_value))
    value = argument and search.value(argument)
    if value and question(value) is False:
        return False
    order = itertools.count()
    box, values = search.examine(search.domain)
    waiting = [] if question(values) else [(-values.upper, next(order), box)]
    stuck = False
    while waiting and search.examined < max_boxes:
        _, _, box = heapq.heappop(waiting)
        value = search.value(search.middle(box))
        parts = search.split(box)
        if value and question(value) is False:
            return False
        if not parts and not stuck:  # only a point where the answer is no can still decide
            stuck, max_boxes = True, min(max_boxes, search.examined + _BOXES_AFTER_LOSS)
        for part in parts:
            box, values = search.examine(part)
            if not question(values):
                heapq.heappush(waiting, (-values.upper, next(order), box))
    return None if waiting or stuck else True


class _Search:
    """Ranges, values and splits of boxes, for an upper bound of one expression."""

    def __init__(self, expr: Any, domain: Domain, tail: Tail | None) -> None:
        if tail is not None and len(domain) != 1:
            raise ValueError(f"tail: for one variable only, but the domain has {len(domain)}")
        self.form = MeanValue(expr, tuple(domain))
        self.tail = tail
        self.domain: Box = tuple(Interval.of(lo, hi) for lo, hi in domain.values())
        self.inside = [_floats_inside(lo, hi) for lo, hi in domain.values()]
        self.examined = 0

    def examine(self, box: Box) -> tuple[Box, Interval]:
        """The part of a box that has its supremum (a face, where f is monotone), and the range of f there."""
        self.examined += 1
        values = self._range(box)
        slopes = self.form.slopes(*box)
        if slopes is None:
            return box, values
        face = tuple(_upper_face(x, slope) for x, slope in zip(box, slopes, strict=True))
        if face == box:
            return box, values
        try:
            return face, self._range(face)
        except DomainError:  # the face lies on the boundary, where f is undefined
            return box, values

    def _range(self, box: Box) -> Interval:
        try:
            values = self.form(*box)
        except DomainError as error:
            if error.certain:
                raise
            values = WHOLE
        if self.tail is not None and not box[0].is_finite():
            values = values.intersect(self.tail(box[0]))
        return values

    def value(self, point: tuple[float, ...]) -> Interval | None:
        """f at a point; None where f is undefined, at the border of its domain for instance."""
        try:
            return self.form.natural(*map(Interval.of, point))
        except DomainError:
            return None

    def proved(self, point: tuple[float, ...]) -> Proved:
        """A lower bound of f at a point, and the point; -inf and None where f is undefined."""
        value = self.value(point)
        return (-math.inf, None) if value is None else (value.lower, point)

    def starts(self) -> list[tuple[float, ...]]:
        """A coarse grid, ends included, around 0 where a side is infinite."""
        grid = []
        for lo, hi in self.inside:
            if math.isfinite(hi - lo):
                grid.append(sorted({lo, hi, *(min(max(lo + (hi - lo) * k / 4, lo), hi) for k in (1, 2, 3))}))
            else:
                grid.append(sorted({min(max(x, lo), hi) for x in (-8.0, -2.0, -0.5, 0.0, 0.5, 2.0, 8.0)}))
        if math.prod(map(len, grid)) > _MOST_STARTS:
            return [self.middle(self.domain)]
        return list(itertools.product(*grid))

    def climb(self, start: Proved) -> Proved:
        """Walks uphill along the coordinates from a starting point, with ever smaller steps; each value is proved."""
        best, point = start
        if point is None:
            return start
        steps = [min(hi - lo, max(1.0, abs(x))) / 4 for x, (lo, hi) in zip(point, self.inside, strict=True)]
        for _ in range(_STEP_HALVINGS):
            for i, (lo, hi) in enumerate(self.inside):
                for step in (steps[i], -steps[i]):
                    moved = (*point[:i], min(max(point[i] + step, lo), hi), *point[i + 1 :])
                    value, _ = self.proved(moved)
                    if value > best:
                        best, point = value, moved
            steps = [step / 2 for step in steps]
        return best, point

    def middle(self, box: Box) -> tuple[float, ...]:
        """The middle of a box, moved into the domain where rounding put it outside."""
        return tuple(min(max(_middle(x), lo), hi) for x, (lo, hi) in zip(box, self.inside, strict=True))

    def split(self, box: Box) -> tuple[Box, ...]:
        """Two halves along an infinite side, or else the longest one; nothing where the box is too small or far."""
        i = max(range(len(box)), key=lambda k: box[k].width())
        middle = _middle(box[i])
        if abs(middle) > FARTHEST or box[i].width() < _NARROWEST or not box[i].lower < middle < box[i].upper:
            return ()
        lower_half = Interval(box[i].lo, Interval.of(middle).hi)
        upper_half = Interval(Interval.of(middle).lo, box[i].hi)
        return tuple((*box[:i], half, *box[i + 1 :]) for half in (lower_half, upper_half))


def _proved_value(candidate: Proved) -> float:
    return candidate[0]


def _upper_face(x: Interval, slope: Interval) -> Interval:
    """The end at which a function of this slope is greatest; x itself for an unknown sign or an infinite end."""
    if slope.nonnegative() and x.upper < math.inf:
        return Interval(x.hi, x.hi)
    if slope.nonpositive() and x.lower > -math.inf:
        return Interval(x.lo, x.lo)
    return x


def _middle(x: Interval) -> float:
    """The midpoint; 0, or twice as far out as the finite end, where an end is infinite."""
    if x.is_finite():
        return x.lower + (x.upper - x.lower) / 2
    if x.upper < math.inf:
        return -2 * max(1.0, abs(x.upper))
    return 2 * max(1.0, abs(x.lower)) if x.lower > -math.inf else 0.0


def _floats_inside(lo: Any, hi: Any) -> tuple[float, float]:
    """The least and the greatest float of a range, infinite ends kept."""
    box = Interval.of(lo, hi)
    least = -math.inf if box.lower == -math.inf else Interval.of(lo).upper
    greatest = math.inf if box.upper == math.inf else Interval.of(hi).lower
    if least > greatest:
        raise ValueError(f"domain: no floating-point number lies between lo = {lo} and hi = {hi}")
    return least, greatest
