"""How fast spectral margins of fits fall with the number of modes: log(1/margin) against √m."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

LEAST_RATIO = 1.4
"""Neighbouring m must be so far apart, lest the noise of single fits decides the slope."""


class MarginRate(NamedTuple):
    """`rate` is the estimated limit of the slope of log(1/margin) in √m, `interval` (lower, upper); `dims` the three m
    that were used, `slopes` those between them."""

    rate: float
    interval: tuple[float, float]
    dims: tuple[int, int, int]
    slopes: tuple[float, float]


def margin_rate(margins: Mapping[int, float]) -> MarginRate | None:
    """The rate κ in margin ≈ e^{-κ√m} from margins by m; None for fewer than three m that are 1.4 times apart.

        κ = s_2 + (s_2 - s_1) x_2/(x_1 - x_2),   x = 1/√m at the middle of the two m of each slope s,

    from the largest m and two smaller ones. The interval is the hull of s_2 and of κ moved on by half the distance
    from s_2: it holds the limit where the slopes approach it monotonically and about as fast as 1/√m. For power laws
    they do so up to a logarithm, m = κ'L² + O(L log L) with L = log(1/margin): see the text of numerics.expsum.
    Source: derived here, Richardson's extrapolation. Raises ValueError for a margin that is not in (0, ∞) or m < 1.
    """
    for m, margin in margins.items():
        if not (m >= 1 and 0 < margin < math.inf):
            raise ValueError(f"margins: a positive number for m >= 1 is needed, got {margin!r} for m = {m!r}")
    dims: list[int] = []
    for m in sorted(margins, reverse=True):
        if not dims or dims[-1] >= LEAST_RATIO * m:
            dims.append(m)
    if len(dims) < 3:
        return None
    last, middle, first = dims[:3]
    (s_1, x_1), (s_2, x_2) = (_slope(margins, *pair) for pair in ((first, middle), (middle, last)))
    limit = s_2 + (s_2 - s_1) * x_2 / (x_1 - x_2)
    beyond = limit + (limit - s_2) / 2
    return MarginRate(limit, (min(s_2, beyond), max(s_2, beyond)), (first, middle, last), (s_1, s_2))


def _slope(margins: Mapping[int, float], first: int, last: int) -> tuple[float, float]:
    """The slope between two m, and 1/√m at their middle."""
    low, high = math.sqrt(first), math.sqrt(last)
    return math.log(margins[first] / margins[last]) / (high - low), 2 / (low + high)
