"""The upper end of a perturbed error: a triangle inequality mode by mode, bounded by its Lagrangian dual.

For one linear layer ρ̂ = Σ_i c_i ψ_i U_i. If the recurrent weights of mode i move by a_i, its row of U by b_i and its c
by e_i (Euclidean lengths), the mode's kernel moves in ‖·‖_W by at most

    F_i = |c_i||U_i|_1 D_i(a_i) + G_i(a_i) (√d |c_i| b_i + |U_i|_1 e_i + √d b_i e_i),

with D_i, G_i the distance and the norm of numerics.mode_bounds (twice that for a conjugate pair), because
|c̃Ũ - cU|_1 ≤ |c||δU|_1 + |U|_1|δc| + |δc||δU|_1 and |δU|_1 ≤ √d|δU|_2. Hence

    E_m(β) ≤ E_m(0) + sup { Σ_i F_i : the moves lie in the ball },

bounded by the dual of numerics.perturbation_dual. The range of a is split into cells; on a cell D and G are taken at
its far end and a² at its near end, which bounds it. For real models in continuous time numerics.perturbation_split is
sharper.
Source: derived here.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from numerics.mode_bounds import Box, Reach, mode_reach
from numerics.models import DiagonalModel
from numerics.perturbation_ball import Ball
from numerics.perturbation_dual import Terms, block_supremum, joint_supremum

_CELLS, _SEARCHED_CELLS = 96, 12
"""Cells for a named f, and for a formula, whose range over every cell is searched for."""
_SLOWEST = -1e100
"""What stands for λ = -∞; its mode is 0 to rounding."""


def increment_upper(model: DiagonalModel, ball: Ball, betas: Tensor) -> Tensor:
    """An upper bound of sup ‖ρ̂(θ̃) - ρ̂(θ)‖_W over the ball: shape (n, *batch); inf where none is found.

    Hypotheses: one linear layer, one output; betas (n,) ≥ 0. Floating point: rounding is not enclosed.
    """
    terms = _terms(model, ball, betas)
    rows = min(model.input_dim, model.hidden_dims[0])
    bound = joint_supremum(terms, betas) if ball.kind == "joint" else block_supremum(terms, betas, rows)
    return torch.where(_column(betas, bound) == 0, 0.0, bound.nan_to_num(math.inf))


def _column(betas: Tensor, like: Tensor) -> Tensor:
    return betas.view(-1, *[1] * (like.ndim - 1))


def _terms(model: DiagonalModel, ball: Ball, betas: Tensor) -> Terms:
    layer, factor = model.layers[0], 2.0 if model.is_complex else 1.0
    cells = 1
    if ball.moves_rates and ball.kind == "joint":
        cells = _CELLS if model.reparameterization.name else _SEARCHED_CELLS
    angles = torch.linspace(0, math.pi, cells + 1, dtype=betas.dtype, device=betas.device)
    ends = (1 - torch.cos(angles)) / 2 * _column(betas, layer.w[None, ..., None])  # (n, *1, 1, cells + 1)
    near, far = ends[..., :-1], ends[..., 1:]
    if not ball.moves_rates:
        far = torch.zeros_like(far)
    if ball.kind == "block":
        near = torch.zeros_like(near)
    distance, norm = (factor * bound for bound in _reach(model, ball, near, far))
    c, U = model.c[..., 0, :].abs()[..., None], layer.U.abs().sum(-1)[..., None]
    moves_u, moves_c = math.sqrt(model.input_dim) * ("U" in ball.groups), float("c" in ball.groups)
    weights = (moves_u * c, moves_c * U, torch.full_like(c, moves_u * moves_c))
    x, y, q = (_times(weight, norm) for weight in weights)
    return Terms(_times(c * U, distance), x, y, q, near)


def _reach(model: DiagonalModel, ball: Ball, near: Tensor, far: Tensor) -> Reach:
    """D and G where the recurrent weights move by between `near` and `far`: the larger of the two directions of w."""
    layer, f = model.layers[0], model.reparameterization
    centre = f(layer.w)[..., None]
    shape = torch.broadcast_shapes(centre.shape, far.shape)  # type: ignore[no-untyped-call]
    omega = None if layer.omega is None else layer.omega[..., None].expand(shape)
    turn = far.expand(shape) if "omega" in ball.groups else torch.zeros(shape, dtype=far.dtype, device=far.device)

    def of(low: Tensor, high: Tensor) -> Reach:
        return mode_reach(model, Box(centre.expand(shape), low.clamp(min=_SLOWEST), high, omega, turn))

    if "w" not in ball.groups:
        return of(centre.expand(shape), centre.expand(shape))
    w = layer.w[..., None].expand(shape)
    if "omega" in ball.groups or ball.kind == "block":
        return of(*f.bounds(w, far.expand(shape)))
    middle, half = (near + far) / 2, (far - near) / 2 * (1 + 1e-12) + 1e-300
    sides = [of(*f.bounds(w + sign * middle, half.expand(shape))) for sign in (1.0, -1.0)]
    return Reach(*(torch.maximum(a, b) for a, b in zip(*sides, strict=True)))


def _times(weight: Tensor, bound: Tensor) -> Tensor:
    """Their product, 0 where the weight is 0 even if the bound is infinite."""
    return torch.where(weight == 0, 0.0, weight * bound)
