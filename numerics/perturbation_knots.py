"""Worse weights, mode by mode: each w is put to the knot of its range where the error is largest.

The ascent of numerics.perturbation_lower follows gradients and stays at a local maximum; where f is not monotone on the
ball, or modes could move either way, another knot may be far worse. It only proposes, on the cells of time.
Source: derived here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from numerics.perturbation_ball import Move, moved, scaled, size
from numerics.perturbation_shares import Setting, error_on_grid, gap_on_grid, knots

_SWEEPS = 2


def worse_knots(at: Setting, move: Move) -> Move:
    """A move inside the ball with at least the error of this one on the cells of time: from it or its opposite."""
    if "w" not in at.ball.groups:
        return move
    ways = [_climbed(at, start) for start in (move, scaled(move, -torch.ones_like(at.beta)))]
    return max(ways, key=lambda way: error_on_grid(at, way))


def _climbed(at: Setting, move: Move) -> Move:
    ends = knots(at.beta, at.curves.shape[3] - 1)
    places = torch.stack([ends, -ends]).flatten()
    best = error_on_grid(at, move)
    for mode in list(range(len(at.region.a))) * _SWEEPS:
        tried = _placed(at, move, mode, places[_worst_knot(at, move, mode)])
        error = error_on_grid(at, tried)
        if error > best:
            move, best = tried, error
    return move


def _worst_knot(at: Setting, move: Move, mode: int) -> int:
    weights = moved(at.model, move)
    kernels, gap = gap_on_grid(at, weights)
    a = (weights.c[0, mode] * weights.layers[0].U[mode])[:, None, None, None, None]
    rest = (gap + kernels[:, :, mode])[:, :, None, None]  # (d, nodes, 1, 1, cells)
    return int((rest - a * at.curves[:, mode]).square().sum(1).sqrt().sum((0, -1)).argmax())


def _placed(at: Setting, move: Move, mode: int, place: Tensor) -> Move:
    """The move with δw of one mode at this place; in a joint ball the others shrink to make room."""
    still = {group: tuple(x.clone() for x in xs) for group, xs in move.items()}
    still["w"][0][mode] = 0.0
    if at.ball.kind == "joint":
        room = (at.beta**2 - place**2).clamp(min=0).sqrt()
        length = size(at.ball, still, 0)
        still = dict(scaled(still, torch.where(length > room, room / length, torch.ones_like(room))))
    still["w"][0][mode] = place
    return still
