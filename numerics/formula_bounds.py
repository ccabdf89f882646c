"""Enclosures of a formula's values over many balls of weights: ends where it is monotone, else interval search."""

from __future__ import annotations

import math
from collections.abc import Iterable

import sympy as sp
import torch
from torch import Tensor

from numerics.compiler import real_derivative, singular_parts
from numerics.enclosure import Interval, compile_interval
from numerics.optimum import infimum, prove_nonnegative, supremum
from theory.notation import w as WEIGHT

Ball = tuple[float, float]
_TOLERANCE = 1e-9
_BOXES = 200
"""Boxes that a proof of monotonicity may take; it saves a search for each ball."""


def formula_bounds(expr: sp.Expr, lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
    """(lower, upper) with lower ≤ f(w) ≤ upper for all real w in [lo, hi], elementwise.

    Where the balls on one side of 0 lie in a common interval on which f is continuous and f' has one sign, their bounds
    are enclosures of f at their ends; elsewhere each comes from branch and bound, to 1e-9 of max(1, |f|).
    Shapes: lo and hi broadcast. Raises ValueError where f is not real on a ball.
    """
    lo, hi = torch.broadcast_tensors(lo, hi)  # type: ignore[no-untyped-call]
    balls = list(zip(lo.flatten().tolist(), hi.flatten().tolist(), strict=True))
    distinct = dict.fromkeys(balls)
    sides = [
        [ball for ball in distinct if ball[0] >= 0],
        [ball for ball in distinct if ball[0] < 0 and ball[1] <= 0],
        [ball for ball in distinct if ball[0] < 0 < ball[1]],
    ]
    found: dict[Ball, Ball] = {}
    for side in sides:
        found |= _of_monotone(expr, side) or {ball: _searched(expr, ball) for ball in side}
    ends = torch.tensor([found[ball] for ball in balls], dtype=torch.float64).reshape(*lo.shape, 2)
    return _round_down(ends[..., 0], lo), -_round_down(-ends[..., 1], lo)


def _of_monotone(expr: sp.Expr, balls: list[Ball]) -> dict[Ball, Ball] | None:
    """The bounds of all balls, where f is seen to be monotone on an interval that holds them."""
    direction = _direction(expr, balls) if balls else 0
    if not direction:
        return None
    value = compile_interval(expr, (WEIGHT,))
    at: dict[float, Interval] = {end: value(Interval.of(end)) for ball in balls for end in ball}
    ordered: Iterable[tuple[Ball, Ball]] = ((ball, ball if direction > 0 else ball[::-1]) for ball in balls)
    return {ball: (at[low].lower, at[high].upper) for ball, (low, high) in ordered}


def _direction(expr: sp.Expr, balls: list[Ball]) -> int:
    """1 where f is nondecreasing on the common interval, -1 where nonincreasing, 0 where neither is proved.

    f is real on the interval, else there is a DomainError, and hence continuous if none of its singular parts vanishes
    there; the sign of f' then suffices.
    """
    slope = real_derivative(expr, WEIGHT)
    if slope is None:
        return 0
    lo, hi = min(ball[0] for ball in balls), max(ball[1] for ball in balls)
    try:
        parts = [compile_interval(part, (WEIGHT,)) for part in (expr, *singular_parts(expr))]
        _, *singular = (part(Interval.of(lo, hi)) for part in parts)
        if not all(part.excludes_zero for part in singular):
            return 0
        for sign in (1, -1):
            if prove_nonnegative(sign * slope, {WEIGHT: (lo, hi)}, max_boxes=_BOXES):
                return sign
    except ValueError:  # not real on a part of it: each ball for itself
        return 0
    return 0


def _searched(expr: sp.Expr, ball: Ball) -> Ball:
    try:
        lower = infimum(expr, {WEIGHT: ball}, tolerance=_TOLERANCE).lower
        return lower, supremum(expr, {WEIGHT: ball}, tolerance=_TOLERANCE).upper
    except ValueError as error:
        raise ValueError(f"reparameterization: {expr} on [{ball[0]!r}, {ball[1]!r}]: {error}") from None


def _round_down(x: Tensor, like: Tensor) -> Tensor:
    """x, in float64, as a tensor of the dtype and device of `like`, not greater than x."""
    short = x.to(like.dtype)
    down = torch.nextafter(short, torch.full_like(short, -math.inf))
    return torch.where(short.to(x.dtype) > x, down, short).to(like.device)
