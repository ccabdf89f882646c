"""A sharper upper end of a perturbed error: the least bound that a few splits of the target among the modes give.

One linear layer, real λ, continuous time; the splits and their bounds are those of numerics.perturbation_shares, around
θ* = the worst weights found. Where the error is nearly as large at a very different point of the ball (at the opposite
one, if the model fits its target), no one split serves both. Where weights are positive and the bound is not close, the
ball is therefore cut into parts by the sign in which a mode's w or its c̃Ũ moves; for several inputs in a block ball
with U that gains nothing, and is not done. Each part has splits of its own, and

    E_m(β) ≤ max over the parts of min over splits of the bound,

as the terms of a mode are known for either sign: those of the other sign are left out. The part with the largest bound
is cut next, at the mode whose term gains most from moving against the θ* of the part.
Source: derived here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from numerics.models import DiagonalModel
from numerics.perturbation_ball import Ball, Move, moved, scaled
from numerics.perturbation_dual import Terms, block_supremum, disk_supremum, joint_supremum
from numerics.perturbation_knots import worse_knots
from numerics.perturbation_shares import Setting, Split, can_tilt, cell_signs, error_on_grid, setting, splits_around
from numerics.targets import Target

_ALLOWANCE = 1 + 1e-7
"""For rounding where squares cancel: √ε of the size of the moves."""
_LOOSE, _HOPELESS = 1.2, 2.0
"""The ball is cut into parts where the bound is between so many times the error at θ*."""
_CUTS, _DEPTH = 32, 8
"""How often it is cut at most, and how many signs a part may fix."""


class _Part(NamedTuple):
    """A part of the ball: the sign of δw_i and of (c̃Ũ - cU)_ij, (m, 1 + d), 0 for either; where it is cut next."""

    signs: Tensor
    bound: float
    cut: tuple[int, int] | None


def splits(model: DiagonalModel) -> bool:
    """Whether the bound is known for such a model."""
    return not (model.is_discrete or model.is_complex)


def split_upper(
    model: DiagonalModel, targets: Sequence[Target], ball: Ball, betas: Tensor, worst: Move, wanted: Tensor
) -> Tensor:
    """An upper bound of E_m(β) as in the module's text: (n, *batch); inf where none is found or `wanted` is not.

    Hypotheses: one linear layer, one output, continuous time, real modes, targets in L¹; `worst` (n, *batch, ...) are
    moves inside the balls, `wanted` (n, *batch) says where the bound is to be tried. Floating point: rounding is not
    enclosed, the cancellation in squares is allowed for.
    """
    result = torch.full((len(betas), *model.batch_shape), math.inf, dtype=betas.dtype, device=betas.device)
    found: list[tuple[tuple[int, ...], Setting, Move]] = []
    for index in (tuple(row) for row in wanted.nonzero().tolist()):
        at = setting(_member(model, index[1:]), targets, ball, betas[index[0]])
        if at is not None:
            found.append((index, at, {group: tuple(x[index] for x in xs) for group, xs in worst.items()}))
    bounds = _suprema([(at, splits_around(at, move)) for _, at, move in found])
    for (index, at, move), bound in zip(found, bounds, strict=True):
        loose = math.isfinite(bound) and bound > _LOOSE * error_on_grid(at, move)
        result[index] = _sharper(at, worse_knots(at, move), bound) if loose else bound
    return result


def worse_moves(
    model: DiagonalModel, targets: Sequence[Target], ball: Ball, betas: Tensor, worst: Move, wanted: Tensor
) -> Move:
    """Moves inside the balls for which the error is about that of `worst` or larger; arguments as in split_upper."""
    moves = {group: tuple(x.clone() for x in xs) for group, xs in worst.items()}
    for index in (tuple(row) for row in wanted.nonzero().tolist()):
        at = setting(_member(model, index[1:]), targets, ball, betas[index[0]])
        if at is not None:
            found = worse_knots(at, {group: tuple(x[index] for x in xs) for group, xs in worst.items()})
            for group, xs in found.items():
                for x, changed in zip(moves[group], xs, strict=True):
                    x[index] = changed
    return moves


def _member(model: DiagonalModel, index: tuple[int, ...]) -> DiagonalModel:
    layer = model.layers[0]
    return model.replace_weights(w=layer.w[index], U=layer.U[index], c=model.c[index]) if index else model


def _suprema(found: Sequence[tuple[Setting, list[Split]]]) -> list[float]:
    """The least bound that the splits of each setting give."""
    if not found:
        return []
    terms = [split.terms for _, splits in found for split in splits]
    stacked = Terms(*(torch.stack(numbers) for numbers in zip(*terms, strict=True)))
    radii = torch.stack([at.beta for at, splits in found for _ in splits])
    at = found[0][0]
    if at.ball.kind == "joint":
        bound = joint_supremum(stacked, radii)
    else:
        bound = block_supremum(stacked, radii, min(at.region.a.shape))
    values = iter((bound.nan_to_num(math.inf) * _ALLOWANCE).tolist())
    return [min(next(values) + split.rest for split in splits) for _, splits in found]


def _sharper(at: Setting, move: Move, bound: float) -> float:
    """The bound over the whole ball around this move, or the largest over its parts where that is not close."""
    error = error_on_grid(at, move)
    if bound > _HOPELESS * error or bool((at.region.a < 0).any()) or can_tilt(at):
        return min(bound, *_suprema([(at, splits_around(at, move))]))
    parts = [_part(at, move, at.beta.new_zeros(len(at.region.a), 1 + at.model.input_dim), bound)]
    for _ in range(_CUTS):
        parts.sort(key=lambda part: part.bound)
        last = parts[-1]
        if last.bound <= _LOOSE * error or last.cut is None or int(last.signs.count_nonzero()) == _DEPTH:
            break
        parts.pop()
        for sign in (1.0, -1.0):
            signs = last.signs.clone()
            signs[last.cut] = sign
            parts.append(_part(at, move, signs, last.bound))
    return max(part.bound for part in parts)


def _part(at: Setting, move: Move, signs: Tensor, bound: float) -> _Part:
    """The part with these signs, which lies in one with this bound."""
    tried = [_turned(at, way, signs) for way in (move, scaled(move, -torch.ones_like(at.beta)))]
    star = max(tried, key=lambda way: error_on_grid(at, way))
    sides = cell_signs(at)
    allowed = (signs[:, None] * sides >= 0).all(-1)  # (m, cells)
    splits = [
        split._replace(terms=split.terms._replace(still=torch.where(allowed, split.terms.still, -math.inf)))
        for split in splits_around(at, star)
    ]
    bound = min(bound, *_suprema([(at, splits)]))
    return _Part(signs, bound, _next_cut(at, star, splits[0].terms, signs, bound))


def _turned(at: Setting, move: Move, signs: Tensor) -> Move:
    """The move with w, U and c turned to the signs of a part; to propose θ*, which may lie anywhere."""
    rows = signs[:, 1:]
    towards = {"w": signs[:, 0], "U": rows, "c": rows.sum(-1).sign()}
    return {
        group: tuple(torch.where(towards[group] == 0, x, x.abs() * towards[group]) for x in xs)
        for group, xs in move.items()
    }


def _next_cut(at: Setting, star: Move, terms: Terms, signs: Tensor, bound: float) -> tuple[int, int] | None:
    """The mode and the sign not yet fixed in which moving against θ* gains most over moving with it, if any."""
    weights, zero = moved(at.model, star), torch.zeros_like(at.beta)
    change = weights.c[0, :, None] * weights.layers[0].U - at.region.a
    own = torch.cat([(weights.layers[0].w - at.model.layers[0].w)[:, None], change], dim=-1)
    own = torch.where(own >= 0, 1.0, -1.0)
    increment = bound - error_on_grid(at, scaled(star, zero))
    mu = (increment / (2 * at.beta**2)).clamp(min=1e-12)
    near = terms.near if at.ball.kind == "joint" else 0 * terms.near
    left = (at.beta**2 - near**2).clamp(min=0)
    value = terms.still - mu * near**2 + disk_supremum(terms.x, terms.y, terms.q, mu, left)  # (m, cells)
    side = own[:, None] * cell_signs(at)
    with_it, against = (torch.where(x, value[..., None], -math.inf).amax(1) for x in (side > 0, side < 0))
    gain = torch.where(signs == 0, against - with_it, -math.inf).nan_to_num(nan=-math.inf)
    index = divmod(int(gain.argmax()), gain.shape[-1])
    return index if math.isfinite(gain[index]) else None
