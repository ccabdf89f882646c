"""The perturbed error E_m(β) of a model against a target, as a bracket.

    E_m(β) = sup { ‖ρ - ρ̂(θ̃)‖_W : |θ̃ - θ| ≤ β }        (Definition 2.5; the ball is one of numerics.perturbation_ball)

`lower` is the norm at the worst weights found, less its estimated error, so that it is attained; `upper` is the smaller
of two bounds over the whole ball (numerics.perturbation_upper and numerics.perturbation_split). Both are inf exactly
where the ball holds weights on the boundary of stability with a mode that is seen. In discrete time
‖k‖_W = Σ|k_j| + Σ|k_j - k_{j-1}|, and with a step size Δ the target is sampled as Δρ(kΔ).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from numerics.arguments import json_number
from numerics.models import DiagonalModel
from numerics.norms import kernel_norms, sequence_norm
from numerics.perturbation_ball import (
    Ball,
    Move,
    can_be_seen,
    chosen,
    moved,
    reaches_boundary,
    rounds_to_boundary,
    scaled,
)
from numerics.perturbation_lower import Window, ascend, window
from numerics.perturbation_split import split_upper, splits, worse_moves
from numerics.perturbation_upper import increment_upper
from numerics.targets import Target

_FINITE = "attained below, dual bound above"
_INFINITE = "the ball reaches the boundary of stability at a mode with nonzero weight"
_HALVINGS = 60
_INSIDE = 1 - 1e-12
"""How much of β the ascent uses, so that rounding does not carry it out of the ball or over the boundary."""
_ROUNDING = 1 + 1e-9
"""What the upper end is multiplied by for the rounding of its float64 arithmetic, which loses far fewer digits."""

_CLOSE = 1.01
"""Ends whose ratio is at most this are left as they are."""

_FAR = 1.1
"""Ends whose ratio is above this have the knots of w searched for worse weights."""


@dataclass(frozen=True, eq=False)
class PerturbedError:
    """E_m(β) for every β in the order asked.

    Shapes: betas (n,), lower and upper (n, *batch), margin (*batch,). `worst` holds the perturbations that attain the
    lower end, by group and layer, with axes (n, *batch, ...); it is 0 where the error is infinite. `reasons` says for
    every β where the ends come from.
    """

    betas: Tensor
    lower: Tensor
    upper: Tensor
    margin: Tensor
    worst: Move
    ball: Ball
    reasons: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The rows of one model; raises ValueError for a batch."""
        if self.lower.ndim != 1:
            raise ValueError(f"model: one model is needed, this is a batch of shape {tuple(self.lower.shape[1:])}")
        columns = zip(self.betas.tolist(), self.lower.tolist(), self.upper.tolist(), self.reasons, strict=True)
        return {
            "rows": [
                {"beta": beta, "lower": json_number(low), "upper": json_number(high), "reason": reason}
                for beta, low, high, reason in columns
            ],
            "stability_margin": float(self.margin),
            "ball": self.ball.kind,
            "groups": list(self.ball.groups),
        }


def linear_perturbed_error(
    model: DiagonalModel,
    targets: Target | Sequence[Target],
    betas: Sequence[float] | Tensor,
    *,
    ball: str = "joint",
    groups: Sequence[str] | None = None,
    starts: int = 12,
    steps: int = 40,
    seed: int = 0,
) -> PerturbedError:
    """The bracket of E_m(β) for a linear model of one layer; see the module's text.

    Hypotheses: activation identity, one layer, one output; as many targets as inputs, each in L¹. Computed in float64,
    whatever the model's dtype, on its device. Batched over β and over the starts of the ascent; the members of a batch
    are taken one after another, each with the window and the starts that it would have alone, so that batched equals
    looped.
    Shapes: betas (n,), each ≥ 0 and finite. Raises ValueError where a hypothesis fails.
    """
    many = check_linear(model, targets)
    region = Ball.of(model, ball, groups)
    model = model.to(dtype=torch.float64)
    radii = checked_betas(betas, model)
    if model.batch_shape:
        settings: dict[str, Any] = {"ball": ball, "groups": groups, "starts": starts, "steps": steps, "seed": seed}
        members = range(model.batch_shape[0])
        return _stacked([linear_perturbed_error(model[index], many, radii, **settings) for index in members])
    margin, infinite = model.stability_margin, reaches_boundary(model, region, radii)
    model = _without_idle_rates(model, region)
    initial = error_at(model, many)
    inside = torch.where(infinite, 0.0, radii) * _INSIDE
    inside = _representable(model, region, inside)
    worst, lower = _lower(model, many, region, inside, initial, (starts, steps, seed))
    upper = initial[0] + initial[1] + increment_upper(model, region, radii)
    if splits(model):
        loose = (upper > _CLOSE * lower) & (inside > 0)
        upper = torch.minimum(upper, split_upper(model, many, region, radii, worst, loose))
        worst, lower = _worse(model, many, region, inside, (worst, lower), (upper > _FAR * lower) & (inside > 0))
    upper = upper * _ROUNDING
    lower, upper = torch.where(infinite, math.inf, lower), torch.where(infinite, math.inf, upper)
    lower, worst, upper = _sorted_rows(radii, lower, worst, upper)
    reasons = tuple(_INFINITE if found else _FINITE for found in infinite.tolist())
    return PerturbedError(radii, lower, upper, margin, worst, region, reasons)


def _without_idle_rates(model: DiagonalModel, ball: Ball) -> DiagonalModel:
    """The model with w of a live mode at those that stay dead: they are never seen, wherever λ̃ lies, nor moved."""
    live = can_be_seen(model, ball)
    if bool(live.all()) or not bool(live.any()):
        return model
    w = model.layers[0].w
    return model.replace_weights(w=torch.where(live, w, w[live][0]))


def _stacked(members: Sequence[PerturbedError]) -> PerturbedError:
    """One batch axis from its members, behind that of β."""
    first = members[0]
    lower, upper = (torch.stack([getattr(one, end) for one in members], dim=1) for end in ("lower", "upper"))
    worst = {
        group: tuple(torch.stack(xs, dim=1) for xs in zip(*(one.worst[group] for one in members), strict=True))
        for group in first.worst
    }
    reasons = tuple("; ".join(dict.fromkeys(found)) for found in zip(*(one.reasons for one in members), strict=True))
    margin = torch.stack([one.margin for one in members])
    return PerturbedError(first.betas, lower, upper, margin, worst, first.ball, reasons)


def _representable(model: DiagonalModel, ball: Ball, radii: Tensor) -> Tensor:
    """Radii (n, *batch), halved where a λ̃ in the ball would come too near the boundary for float64."""
    for _ in range(_HALVINGS if "w" in ball.groups else 0):
        too_far = rounds_to_boundary(model, radii) & (radii > 0)
        if not bool(too_far.any()):
            break
        radii = torch.where(too_far, radii / 2, radii)
    return radii


def check_linear(model: DiagonalModel, targets: Target | Sequence[Target]) -> list[Target]:
    """The targets as a list. Raises ValueError where the model has no kernel that could be compared with them."""
    if not model.is_linear or len(model.layers) > 1:
        raise ValueError(f"model: one layer with activation identity is needed, not {model.activation.name}")
    if model.output_dim > 1:
        raise ValueError(f"model: a perturbed error needs one output, this model has {model.output_dim}")
    many = [targets] if isinstance(targets, Target) else list(targets)
    if len(many) != model.input_dim:
        raise ValueError(f"target: {len(many)} given, one for each of the model's {model.input_dim} inputs is needed")
    for target in many:
        target.require_integrable()
    return many


def checked_betas(betas: Sequence[float] | Tensor, model: DiagonalModel) -> Tensor:
    """β as a tensor (n,) on the model's device. Raises ValueError unless each is finite and at least 0."""
    radii = torch.as_tensor(betas, dtype=model.dtype, device=model.device)
    if radii.ndim != 1 or not radii.numel():
        raise ValueError(f"beta: a list of at least one number is needed, got shape {tuple(radii.shape)}")
    if not bool((torch.isfinite(radii) & (radii >= 0)).all()):
        raise ValueError(f"beta: each must be finite and at least 0, got {betas}")
    return radii


def error_at(model: DiagonalModel, targets: Sequence[Target]) -> tuple[Tensor, Tensor]:
    """‖ρ - ρ̂‖_W and its estimated error for every member of a batch: two tensors (*batch,)."""
    m = model.hidden_dims[0]
    weights = (model.c[..., 0, :, None] * model.drive()).reshape(-1, m, model.input_dim).cpu().numpy()
    rates = model.transition().reshape(-1, m).cpu().numpy()
    value, error = np.zeros(len(rates)), np.zeros(len(rates))
    if model.is_discrete:
        step = model.step_size or 1.0
        pairs = zip(weights / step, rates, strict=True)
        norms = [sequence_norm(list(targets), c, multipliers, step) for c, multipliers in pairs]
        value, error = (step * np.array(column) for column in zip(*norms, strict=True))
    else:
        for index, target in enumerate(targets):
            parts = kernel_norms(target, weights[:, :, index], rates)
            value += parts.size + parts.change
            error += parts.size_error + parts.change_error
    shape = model.batch_shape
    found = [torch.as_tensor(x, dtype=model.dtype, device=model.device).reshape(shape) for x in (value, error)]
    return found[0], found[1]


def _lower(
    model: DiagonalModel,
    targets: Sequence[Target],
    ball: Ball,
    radii: Tensor,
    initial: tuple[Tensor, Tensor],
    search: tuple[int, int, int],
) -> tuple[Move, Tensor]:
    """The worst perturbations found for radii (n, *batch), and the norm there less its error."""
    starts, steps, seed = search
    view = search_window(model, targets, ball, radii)
    worst = ascend(model, view, ball, radii, starts=starts, steps=steps, seed=seed)
    value, error = error_at(moved(model, worst), targets)
    at_rest = (initial[0] - initial[1]).clamp(min=0)
    found = value - error
    keep = found > at_rest
    return chosen(keep, worst, scaled(worst, torch.zeros_like(radii))), torch.where(keep, found, at_rest)


def _worse(
    model: DiagonalModel, targets: Sequence[Target], ball: Ball, radii: Tensor, known: tuple[Move, Tensor], far: Tensor
) -> tuple[Move, Tensor]:
    """The known moves and lower ends; where `far`, those of worse knots of w if they are larger."""
    worst, lower = known
    if not bool(far.any()):
        return known
    moves = worse_moves(model, targets, ball, radii, worst, far)
    value, error = error_at(moved(model, moves), targets)
    keep = far & (value - error > lower)
    return chosen(keep, moves, worst), torch.where(keep, value - error, lower)


def search_window(model: DiagonalModel, targets: Sequence[Target], ball: Ball, radii: Tensor) -> Window:
    """The quadrature of the ascent, wide enough for every model in the balls with these radii (n, *batch)."""
    return window(model, targets, *_rates(model, ball, radii))


def _rates(model: DiagonalModel, ball: Ball, radii: Tensor) -> tuple[float, float]:
    """The slowest and the fastest decay of a mode over the balls; per step in discrete time."""
    w = model.layers[0].w
    radius = radii[..., None] if "w" in ball.groups else torch.zeros_like(radii[..., None])
    low, high = model.reparameterization.bounds(w, radius.expand(len(radii), *w.shape))
    if model.is_discrete and model.step_size is None:
        modulus = torch.maximum(low.abs(), high.abs())
        return float(1 - modulus.max()), 36.0
    step = model.step_size or 1.0
    return float(-high.max()) * step, min(float(-low.min()) * step, 1e100)


def _sorted_rows(radii: Tensor, lower: Tensor, worst: Move, upper: Tensor) -> tuple[Tensor, Move, Tensor]:
    """E_m grows with β: the worst of a smaller ball lies in the larger one, whose bound holds for the smaller."""
    order = torch.argsort(radii)
    back = torch.argsort(order)
    best, index = torch.cummax(lower[order], dim=0)
    above = torch.cummin(upper[order].flip(0), dim=0).values.flip(0)

    def follow(x: Tensor) -> Tensor:
        rows = index.view(*index.shape, *[1] * (x.ndim - index.ndim)).expand_as(x)
        return x[order].gather(0, rows)[back]

    return best[back], {group: tuple(follow(x) for x in xs) for group, xs in worst.items()}, above[back]
