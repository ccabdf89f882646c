"""Splits of the target among the modes of a model, and the triangle inequality after them.

One linear layer, real λ, continuous time. Write the target as a sum of shares, ρ = Σ_i ρ_i, one for each mode. Then

    ‖ρ - ρ̂(θ̃)‖_W ≤ Σ_i ‖ρ_i - k̃_i‖_W,        k̃_i = c̃_i ψ̃_i Ũ_i,

and the supremum of the right side over the ball is separable, hence bounded by the dual of numerics.perturbation_dual.
Sharing ρ - ρ̂ out beside ρ_i = k_i gives back the plain triangle inequality. For any θ* and π_i(t) ≥ 0, Σ_i π_i = 1,

    ρ_i = k_i(θ*) + π_i (ρ - ρ̂(θ*))

make it an equality at θ*: there every ρ_i - k̃_i has the sign of ρ - ρ̂. So θ* is chosen where the error is largest,
and π_i in proportion to how far mode i can move against that sign (in a joint ball: in the ball of half the radius).
Where these lengths sum to less than |ρ - ρ̂(θ*)|, no sign changes over the whole ball and nothing is lost. The parts
∫|·|, |·(0)| and ∫|·'| of the norm have shares of their own, as the inequality holds for each. Three splits are looked
at: around a θ* that is given, around θ* = θ, and the mean of both.

A mode's term is bounded as follows.

* Time: ∫|g| ≤ (h ∫g²)^{1/2} on every cell of length h (Cauchy-Schwarz), with ∫g² by Gauss-Legendre. For e^{-rt} that
  inequality gives away (rh)²/24 of the value, and three nodes miss 2e-5 (rh)⁶, which is less up to rh = 7, where
  e^{-28} is left of the mode. For the target the error is estimated with twice the nodes, and added. Jumps of ρ and
  its tail enter as they are.
* w: between two knots of w̃ the term is at most h(knot) + |ã|L, with L the length of the curve of modes from that knot.
  In r, L = |1/r - 1/r'| + (2/e)|log(r/r')|, as ∫te^{-rt} = 1/r² and ∫|(1 - rt)e^{-rt}| = 2/(er); with unit-norm modes
  L = 0.7523 |log(r/r')|.
* c, U: the term is convex in ã = c̃Ũ, hence below its chords from ã = cU to the two ends of the range of ã.
* Several inputs, block ball: a linear functional Σ G_ij ã_ij of the moves may be taken out of the terms first; its
  supremum is known from the nuclear norm. It keeps the signs that are lost where |b_ij| stands for b_ij.

Source: derived here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from numerics.kernel_norms import panel_ends
from numerics.mode_bounds import UNIT_NORM_SPEED
from numerics.models import DiagonalModel
from numerics.perturbation_ball import Ball, Move, moved
from numerics.perturbation_dual import Terms, disk_supremum
from numerics.targets import Target

_PIECES, _GAUSS = 4, 3
"""Cells in a panel, whose length doubles from one to the next, and nodes in a cell."""
_KNOTS, _BETWEEN = 20, 5
"""Knots of w̃ on either side of w, and cells between two of them; fewer for a formula, whose ranges are searched for."""
_FORMULA_KNOTS = 6
_MOST_SIGNED = 3
"""Up to so many inputs every choice of signs is looked at."""
_ELEMENTS = 2**27
"""The largest intermediate tensor that is tried."""


class Grid(NamedTuple):
    """Cells of time for ∫|g|, for ∫|g'| and one for |g(0)|: the target there, (d, nodes, cells).

    `t` (nodes, cells) are the nodes of the cells for ∫|g|. Values on the grid are multiplied by `scale` (nodes, cells):
    (Σ_nodes g²)^{1/2} is the bound of ∫|g| over a cell. `rest` is what no mode touches, and the quadrature error.
    """

    t: Tensor
    scale: Tensor
    target: Tensor
    rest: float


class Range(NamedTuple):
    """How one model's modes move in one ball: ã = c̃Ũ in [a - down, a + up] (m, d), and w̃ over knots and cells.

    rates (m, sides, knots); slow, fast: ends of the rates on each cell (m, sides, knots - 1, between); near (cells,).
    """

    a: Tensor
    up: Tensor
    down: Tensor
    rates: Tensor
    slow: Tensor
    fast: Tensor
    near: Tensor


class Setting(NamedTuple):
    """One model, one ball, and the modes at each knot of w̃ on the cells of time: (nodes, m, sides, knots, cells)."""

    model: DiagonalModel
    ball: Ball
    beta: Tensor
    region: Range
    grid: Grid
    curves: Tensor


class Split(NamedTuple):
    """The terms of the modes for one split of the target, and what is to be added to the supremum of their sum."""

    terms: Terms
    rest: float


def setting(model: DiagonalModel, targets: Sequence[Target], ball: Ball, beta: Tensor) -> Setting | None:
    """What the bounds of one model (no batch) and one radius need; None where they are not known or too large."""
    region = _range(model, ball, beta)
    slowest, fastest = float(region.slow.min()), float(region.fast.max())
    known = all(target.has_slope for target in targets)
    if not (known and slowest > 0 and math.isfinite(fastest)):
        return None
    grid = _grid(targets, slowest, fastest, beta)
    if region.rates.numel() * grid.scale.numel() > _ELEMENTS:
        return None
    return Setting(model, ball, beta, region, grid, _curves(model, region.rates, grid))


def error_on_grid(at: Setting, move: Move) -> float:
    """About ‖ρ - ρ̂(θ + δ)‖_W, by the cells of time."""
    return float(gap_on_grid(at, moved(at.model, move))[1].square().sum(1).sqrt().sum())


def splits_around(at: Setting, move: Move) -> list[Split]:
    """The three splits of the module's text for θ* = θ + δ."""
    star, rest = (_shares(at, model) for model in (moved(at.model, move), at.model))
    return [
        _terms(at, shares, tilted)
        for shares in (star, rest, (star + rest) / 2)
        for tilted in ((False, True) if can_tilt(at) else (False,))
    ]


def cell_signs(at: Setting) -> Tensor:
    """The signs of δw_i and of (c̃Ũ - cU)_ij that every cell of the terms stands for: (cells, 1 + d); 0 is either."""
    d, cells, like = at.model.input_dim, len(at.region.near), at.beta
    sides = torch.zeros(cells, dtype=like.dtype, device=like.device)
    if "w" in at.ball.groups:
        sides[: cells // 2], sides[cells // 2 :] = 1.0, -1.0
    either = d > _MOST_SIGNED or not {"U", "c"} & set(at.ball.groups)
    ways = [(0.0,) * d] * (2 if d > _MOST_SIGNED else 2**d) if either else _choices(d)
    rows = [torch.cat([sides[:, None], sides.new_tensor(way).expand(cells, d)], dim=-1) for way in ways]
    return torch.cat(rows)


def _choices(d: int) -> list[tuple[float, ...]]:
    return list(itertools.product((1.0, -1.0), repeat=d))


def can_tilt(at: Setting) -> bool:
    """Whether taking out a linear functional of the moves can help."""
    return at.ball.kind == "block" and "U" in at.ball.groups and at.model.input_dim > 1


def _range(model: DiagonalModel, ball: Ball, beta: Tensor) -> Range:
    f, w, c, U = model.reparameterization, model.layers[0].w, model.c[0, :, None], model.layers[0].U
    zero = torch.zeros_like(beta)
    if "w" in ball.groups:
        count, between = (_KNOTS, _BETWEEN) if f.name else (_FORMULA_KNOTS, 1)
        ends = knots(beta, count)
        parts = torch.arange(between + 1, dtype=w.dtype, device=w.device) / between
        inner = ends[:-1, None] + (ends[1:] - ends[:-1])[:, None] * parts  # (count, between + 1)
        near, middle, half = inner[:, :-1], (inner[:, 1:] + inner[:, :-1]) / 2, inner.diff(dim=-1) / 2 * (1 + 1e-12)
        sides = torch.tensor([1.0, -1.0], dtype=w.dtype, device=w.device)
        centres = w[:, None, None, None] + sides[:, None, None] * middle
        low, high = f.bounds(centres, half.expand_as(centres))
        rates, near = -f(w[:, None, None] + sides[:, None] * ends), near.flatten().repeat(2)
    else:
        rates = -f(w)[:, None, None].expand(-1, 1, 2)
        low = high = -rates[..., :1, None]
        near = zero.view(1)
    up, down = (_farthest(c, U, ball, beta, sign) for sign in (1.0, -1.0))
    return Range(c * U, up, down, rates, -high, -low, near)


def knots(beta: Tensor, count: int) -> Tensor:
    """How far w is moved at the knots on either side of it: (count + 1,) from 0 to β."""
    angles = torch.linspace(0, math.pi, count + 1, dtype=beta.dtype, device=beta.device)
    return (1 - torch.cos(angles)) / 2 * beta


def _farthest(c: Tensor, U: Tensor, ball: Ball, beta: Tensor, sign: float) -> Tensor:
    """How far c̃Ũ can rise (sign 1) or fall (sign -1), an upper bound, tight for the joint ball: (m, d)."""
    c, U = (c * float("U" in ball.groups)).expand_as(U), U * float("c" in ball.groups)
    both = sign * torch.ones_like(U) * float("U" in ball.groups and "c" in ball.groups)
    if ball.kind == "joint":
        return disk_supremum(c, U, both, torch.zeros_like(U), (beta**2).expand_as(U)) * (1 + 1e-9)
    corners = [beta * (s * c + t * U) + s * t * both * beta**2 for s in (1, -1) for t in (1, -1)]
    return torch.stack(corners).amax(0).clamp(min=0)


def _grid(targets: Sequence[Target], slowest: float, fastest: float, beta: Tensor) -> Grid:
    rates = np.array([[-slowest, -fastest]])
    ends = np.unique(np.concatenate([panel_ends(target, rates) for target in targets]))
    last = float(ends[-1])
    fine = np.append((ends[:-1, None] + np.diff(ends)[:, None] * np.arange(_PIECES) / _PIECES).ravel(), last)
    t, scale, target = _on_cells(targets, fine, _GAUSS)
    rest = 2 * float(np.abs(_norms(target) - _norms(_on_cells(targets, fine, 2 * _GAUSS)[2])).sum())
    for known in targets:
        rest += known.tail(last).upper + known.tail_variation(last).upper
        rest += sum(abs(size) for time, size in known.jumps if time < last)
    arrays = [torch.as_tensor(x, dtype=beta.dtype, device=beta.device) for x in (t, scale, target)]
    return Grid(arrays[0], arrays[1], arrays[2], rest)


def _on_cells(targets: Sequence[Target], ends: np.ndarray, nodes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    points, weights = np.polynomial.legendre.leggauss(nodes)
    half = np.diff(ends) / 2
    t = ends[:-1] + half * (1 + points[:, None])
    start = np.array([target.right_limit(0.0) for target in targets])
    values = [np.stack([target.rho(t) for target in targets]), np.stack([target.slope(t) for target in targets])]
    values.append(np.broadcast_to(start[:, None, None], (len(targets), nodes, 1)))
    length = half * np.sqrt(2 * weights[:, None])
    scale = np.concatenate([length, length, np.full((nodes, 1), nodes**-0.5)], axis=1)
    return t, scale, scale * np.concatenate(values, axis=2)


def _norms(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt((values**2).sum(-2)))


def _curves(model: DiagonalModel, rates: Tensor, grid: Grid) -> Tensor:
    """ψ, ψ' and ψ(0) of modes with these rates on the grid: (nodes, *rates, cells)."""
    r, lead = rates[..., None], (len(grid.t), *[1] * rates.ndim)
    decay = torch.exp(-r * grid.t.view(*lead, -1))
    curve = torch.cat([decay, -r * decay, torch.ones_like(decay[..., :1])], dim=-1)
    curve *= grid.scale.view(*lead, -1)
    return curve / (2 + 1 / r) if model.modes == "unit-norm" else curve


def gap_on_grid(at: Setting, model: DiagonalModel) -> tuple[Tensor, Tensor]:
    """The kernels of the modes of `model` on the grid, (d, nodes, m, cells), and ρ - ρ̂, (d, nodes, cells)."""
    a = (model.c[0, :, None] * model.layers[0].U).T[:, None, :, None]
    kernels = a * _curves(model, -model.lam(), at.grid)
    return kernels, at.grid.target - kernels.sum(-2)


def _shares(at: Setting, model: DiagonalModel) -> Tensor:
    """The shares ρ_i = k_i + π_i(ρ - ρ̂) on the grid, for k and ρ̂ of this model: (d, nodes, m, cells)."""
    kernels, gap = gap_on_grid(at, model)
    region, half = at.region, 0.5 if at.ball.kind == "joint" else 1.0
    near = at.curves[:, :, :, : math.ceil(half * at.curves.shape[3])]
    largest, smallest = near.amax((2, 3)), near.amin((2, 3))  # (nodes, m, cells)
    result = []
    for j, kernel in enumerate(kernels):
        ways = [(region.a + way)[:, j, None] for way in (-half * region.down, 0.0, half * region.up)]
        sign = gap[j].sign()[:, None]
        moves = [(amount * extreme - kernel) * sign for amount in ways for extreme in (largest, smallest)]
        size = (region.a.abs() + region.up + region.down)[:, j, None]
        least = 1e-9 * size * torch.maximum(largest, -smallest) + 1e-300
        reach = (torch.stack(moves).amax(0).clamp(min=0) + least).sum(0)  # (m, cells)
        result.append(kernel + reach / reach.sum(0) * gap[j][:, None])
    return torch.stack(result)


def _terms(at: Setting, shares: Tensor, tilted: bool) -> Split:
    """The numbers of each mode's term where the target is split into these shares."""
    model, ball, beta, region = at.model, at.ball, at.beta, at.region
    d, c, U = model.input_dim, model.c[0, :, None, None], model.layers[0].U[:, None, :]
    bounds = [_over_w(at, shares[j], j) for j in range(d)]
    still, top, bottom = (torch.stack(x, dim=-1) for x in zip(*bounds, strict=True))  # (m, cells, d)
    slopes = [
        torch.where(way > 0, (end - still) / way.clamp(min=1e-300), 0.0)
        for end, way in ((top, region.up[:, None]), (bottom, region.down[:, None]))
    ]
    more = torch.zeros_like(beta)
    if tilted:
        knot = (still.sum(-1) + beta * (c.abs() * slopes[0]).sum(-1)).argmax(-1)[:, None, None].expand(-1, 1, d)
        tilt = (slopes[0].gather(1, knot) - slopes[1].gather(1, knot)) / 2
        slopes, more = [slopes[0] - tilt, slopes[1] + tilt], _linear_supremum(model, ball, beta, tilt[:, 0])
    ways = _ways([slope.clamp(min=0) for slope in slopes], U)
    moves_u, moves_c = float("U" in ball.groups), float("c" in ball.groups)
    x = torch.cat([moves_u * c[..., 0] * length for length, _ in ways], dim=-1)
    y = torch.cat([moves_c * weight for _, weight in ways], dim=-1)
    q = torch.cat([moves_u * moves_c * length for length, _ in ways], dim=-1)
    terms = Terms(still.sum(-1).repeat(1, len(ways)), x, y, q, region.near.repeat(len(ways))[None])
    return Split(terms, float(more) + at.grid.rest)


def _ways(slopes: Sequence[Tensor], U: Tensor) -> list[tuple[Tensor, Tensor]]:
    """For every choice of signs σ_j of the moves of ã_j: |s|_2 and Σ_j σ_j s_j U_j, s the slopes that way, (m, cells).

    Σ_j s_j σ_j (cb_j + U_je + b_je) is largest for b along σs. With many inputs one choice bounds them all.
    """
    if U.shape[-1] > _MOST_SIGNED:
        slope = torch.maximum(slopes[0], slopes[1])
        return [(sign * slope.norm(dim=-1), (slope * U.abs()).sum(-1)) for sign in (1, -1)]
    ways = []
    for signs in _choices(U.shape[-1]):
        sigma = torch.tensor(signs, dtype=U.dtype, device=U.device)
        slope = torch.where(sigma > 0, slopes[0], slopes[1])
        ways.append((slope.norm(dim=-1), (sigma * slope * U).sum(-1)))
    return ways


def _linear_supremum(model: DiagonalModel, ball: Ball, beta: Tensor, tilt: Tensor) -> Tensor:
    """An upper bound of sup Σ_ij G_ij (c̃_i Ũ_ij - c_i U_ij) over the block ball, tight to first order; G = tilt (m, d).

    It is β‖diag(c)G‖_* + β|(G∘U)1|_2 + β² √min(m, d) max_i|G_i|_2, the nuclear norm being dual to the spectral one, and
    ‖diag(e)G‖_* ≤ √rank ‖diag(e)G‖_F in the last.
    """
    c, U = model.c[0, :, None], model.layers[0].U
    total: Tensor = beta * torch.linalg.matrix_norm(c * tilt, "nuc")
    if "c" in ball.groups:
        total = total + beta * (tilt * U).sum(-1).norm() + beta**2 * math.sqrt(min(U.shape)) * tilt.norm(dim=-1).amax()
    return total


def _over_w(at: Setting, share: Tensor, j: int) -> tuple[Tensor, Tensor, Tensor]:
    """Upper bounds of ‖ρ_i - ãψ̃‖_W over every cell of w̃ for ã = a, a + up, a - down and input j: each (m, cells)."""
    model, region, curves = at.model, at.region, at.curves
    a, up, down = (x[:, j, None, None, None] for x in (region.a, region.up, region.down))
    gap = share[:, :, None, None] - a * curves
    square, both, own = ((x * y).sum(0) for x, y in ((gap, gap), (gap, curves), (curves, curves)))
    rates = region.rates[..., None]
    lengths = [
        torch.maximum(*(_length(model, rates[..., ends, :], other) for other in (region.slow, region.fast)))
        for ends in (slice(None, -1), slice(1, None))
    ]

    def bound(way: Tensor) -> Tensor:
        norm = (square - 2 * way * both + way**2 * own).clamp(min=0).sqrt().sum(-1)[..., None]
        size = (a + way).abs()
        return torch.minimum(norm[..., :-1, :] + size * lengths[0], norm[..., 1:, :] + size * lengths[1]).flatten(1)

    return bound(0 * a), bound(up), bound(-down)


def _length(model: DiagonalModel, rate: Tensor, other: Tensor) -> Tensor:
    """The length of the curve of modes between two rates; see the module's text."""
    turn = torch.log(rate / other).abs()
    return UNIT_NORM_SPEED * turn if model.modes == "unit-norm" else (1 / rate - 1 / other).abs() + 2 / math.e * turn
