"""How far the weights of a model may move before a mode reaches the boundary of stability.

    E_m(β) < ∞ for β < min_i dist(w_i, {w : f(w) ≥ 0}),   in discrete time {w : |f(w)| ≥ 1},

over the modes that the moved weights can make visible; from there on E_m(β) = ∞ (a mode dead in c and in U is seen
only beyond it). For λ = w that is the spectral margin, for a stable f there is no such distance. Source: Definition
2.5; one mode moved alone changes the kernel by its own norm, ∞ at the boundary.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from numerics.models import DiagonalModel
from numerics.perturbation_ball import Ball, can_be_seen
from numerics.reparameterization import Reparameterization

_FARTHEST = 700.0
"""Formulas are looked at for |w| up to this; e^{-700} is the smallest value that keeps its digits."""
_NARROWEST = 1e-10
_MOST_CELLS = 3000
_ON_IT = 1e-12
"""A boundary value, at the w that the inverse rounds to."""


def finite_up_to(model: DiagonalModel, groups: Sequence[str] | None = None) -> Tensor:
    """The β up to which E_m(β) is finite, inf where no β is too large: (*batch,).

    `groups`: the weights that move, by default all. Modes count that can be seen where these move: all of them if c and
    U move, those with c_i ≠ 0 ≠ U_i if only w does. Both balls give the same β. For a formula f the boundary is known
    from the stable side for |w| ≤ 700, to 1e-10, or to 1e-4 where f touches it without crossing it; a value that rounds
    to the boundary counts as on it. What lies farther off counts as never reached.
    Raises ValueError as `Ball.of`.
    """
    ball = Ball.of(model, "joint", groups)
    radii = torch.full(model.batch_shape, math.inf, dtype=model.dtype, device=model.device)
    if "w" not in ball.groups:
        return radii
    for index, layer in enumerate(model.layers):
        reach = boundary_distance(model.reparameterization, layer.w)
        seen = can_be_seen(model, ball, index)
        radii = torch.minimum(radii, torch.where(seen, reach, math.inf).amin(-1))
    return radii


def boundary_distance(f: Reparameterization, w: Tensor) -> Tensor:
    """The distance of each weight from the nearest one that is not stable, inf where there is none; any shape."""
    edges = _edges(f)
    if edges is None:
        found = {x: _searched(f, x) for x in dict.fromkeys(w.flatten().tolist())}
        return torch.tensor([found[x] for x in w.flatten().tolist()], dtype=w.dtype, device=w.device).reshape(w.shape)
    distance = torch.full_like(w, math.inf)
    for edge in edges:
        distance = torch.minimum(distance, (w - edge).abs())
    return distance


@lru_cache(maxsize=256)
def _edges(f: Reparameterization) -> tuple[float, ...] | None:
    """The ends of the intervals of stable weights, where f has an inverse; else None.

    These are the weights at which f takes a boundary value, and those opposite where f is even.
    """
    one = torch.ones(1, dtype=torch.float64)
    try:
        f.inverse(f(one))
    except ValueError:
        return None
    found: list[float] = []
    for value in (one, -one) if f.time == "discrete" else (0 * one,):
        try:
            edge = f.inverse(value)
        except ValueError:
            continue  # not a value of f
        found += [float(w) for w in (edge, -edge) if not bool(_is_stable(f(w), f.time))]
    return tuple(found)


def _is_stable(lam: Tensor, time: str) -> Tensor:
    return lam.abs() < 1 - _ON_IT if time == "discrete" else lam < 0


def _searched(f: Reparameterization, w: float) -> float:
    """The distance of w from the nearest cell of [-700, 700] on which f is not seen to be stable, nearest cells first.

    All that is nearer than the cell at hand is stable, so that its distance is a lower bound at any time.
    """
    queue = [(0.0, -_FARTHEST, _FARTHEST)]
    for _ in range(_MOST_CELLS):
        if not queue:
            return math.inf
        distance, left, right = heapq.heappop(queue)
        middle, half = (left + right) / 2, (right - left) / 2
        answer = _on_cell(f, middle, half)
        if answer is False or (answer is None and half < _NARROWEST * max(1.0, abs(middle))):
            return distance
        if answer is None:
            for low, high in ((left, middle), (middle, right)):
                heapq.heappush(queue, (max(low - w, w - high, 0.0), low, high))
    return queue[0][0] if queue else math.inf


@lru_cache(maxsize=2**16)
def _on_cell(f: Reparameterization, middle: float, half: float) -> bool | None:
    """Whether f is stable on the whole cell (True), on none of it (False), or neither is known."""
    try:
        low, high = (float(end) for end in f.bounds(torch.tensor(middle, dtype=torch.float64), half))
    except ValueError:  # not real somewhere
        points = f(torch.tensor([middle - half, middle, middle + half], dtype=torch.float64))
        return False if bool(points.isnan().all()) else None
    if f.time == "discrete":
        return True if low > -1 and high < 1 else (False if low >= 1 or high <= -1 else None)
    return True if high < 0 else (False if low >= 0 else None)
