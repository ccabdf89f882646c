"""The ball of weights around a model over which a perturbed error is taken, and its geometry.

A perturbation δ moves the weights in the chosen groups: w, omega, U (of every layer) and c; the others stay fixed.

    joint:  |δw|² + |δω|² + |δU|_F² + |δc|² ≤ β²
    block:  max_i|δw_i| ≤ β,  max_i|δω_i| ≤ β,  |δU|_2 ≤ β (spectral norm, each layer),  |δc|_2 ≤ β

Complex weights count with their modulus, one member of each conjugate pair. Source: Definition 2.5, whose |θ|_2 is
read as the Euclidean norm of all weights ("joint") or as the largest of the norms of the blocks ("block").
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from numerics.arguments import check_choice
from numerics.models import DiagonalModel

BALLS = ("joint", "block")
GROUPS = ("w", "omega", "U", "c")

_ALWAYS_INSIDE = ("exp", "softplus", "sigmoid", "tanh")
"""Named f that lie inside the region of stability for every w, but whose values round to its boundary for large |w|."""

_NARROWEST = 1e-100

Move = Mapping[str, tuple[Tensor, ...]]
"""A perturbation by group, a tensor per layer (c: one); leading axes may be added to those of the weights."""


@dataclass(frozen=True)
class Ball:
    """The kind of ball and the groups of weights that move.

    Raises ValueError for an unknown kind or group, a group given twice, and none at all.
    """

    kind: str = "joint"
    groups: tuple[str, ...] = GROUPS

    def __post_init__(self) -> None:
        check_choice("ball", self.kind, BALLS)
        if not self.groups:
            raise ValueError(f"groups: at least one of {', '.join(GROUPS)} is needed")
        for group in self.groups:
            check_choice("groups", group, GROUPS)
        if len(set(self.groups)) < len(self.groups):
            raise ValueError(f"groups: {', '.join(self.groups)} names one twice")

    @staticmethod
    def of(model: DiagonalModel, kind: str, groups: Sequence[str] | None) -> Ball:
        """The ball with these groups, by default all the model has. Raises ValueError for omega in a real model."""
        present = tuple(group for group in GROUPS if model.weights[group])
        ball = Ball(kind, present if groups is None else tuple(groups))
        if "omega" in ball.groups and not model.is_complex:
            raise ValueError("groups: omega is no weight of a real model; allowed are w, U, c")
        return ball

    @property
    def moves_rates(self) -> bool:
        """Whether λ moves at all."""
        return "w" in self.groups or "omega" in self.groups


def moved(model: DiagonalModel, move: Move) -> DiagonalModel:
    """The model with weights θ + δ."""
    weights = model.weights
    changed = {
        group: tuple(x + step for x, step in zip(weights[group], steps, strict=True)) for group, steps in move.items()
    }
    c = changed.pop("c", None)
    return model.replace_weights(**changed, c=None if c is None else c[0])


def size(ball: Ball, move: Move, batch_axes: int) -> Tensor:
    """The smallest β whose ball contains δ; `batch_axes` leading axes are kept."""
    if ball.kind == "joint":
        squares = [_flat(x, batch_axes).abs().square().sum(-1) for steps in move.values() for x in steps]
        return torch.stack(squares).sum(0).sqrt()
    return torch.stack([_block_size(group, x, batch_axes) for group, steps in move.items() for x in steps]).amax(0)


def farthest(ball: Ball, gradient: Move, batch_axes: int) -> Move:
    """The δ of size 1 that maximizes ⟨gradient, δ⟩ (the real inner product); 0 where the gradient is 0.

    Joint and c: along the gradient; w and omega of a block ball: its signs; U of a block ball: its polar factor.
    """
    if ball.kind == "joint":
        norm = _nonzero(size(ball, gradient, batch_axes))
        return {group: tuple(_scaled(x, 1 / norm) for x in steps) for group, steps in gradient.items()}
    return {group: tuple(_farthest_block(group, x, batch_axes) for x in steps) for group, steps in gradient.items()}


def scaled(move: Move, factor: Tensor) -> Move:
    """δ times a factor with the shape of the batch axes."""
    return {group: tuple(_scaled(x, factor) for x in steps) for group, steps in move.items()}


def chosen(condition: Tensor, a: Move, b: Move) -> Move:
    """δ from `a` where the condition holds, else from `b`; the condition has the shape of the batch axes."""
    return {
        group: tuple(
            torch.where(condition.view(*condition.shape, *[1] * (x.ndim - condition.ndim)), x, y)
            for x, y in zip(xs, b[group], strict=True)
        )
        for group, xs in a.items()
    }


def random_moves(model: DiagonalModel, ball: Ball, axes: Sequence[int], generator: torch.Generator) -> Move:
    """Gaussian directions of size 1, with `axes` added in front of the weights' own.

    Modes that stay dead do not move: their λ̃ could cross the boundary of stability unseen.
    """
    lead = len(axes) + len(model.batch_shape)

    def draw(x: Tensor) -> Tensor:
        shape = (*axes, *x.shape)
        return torch.randn(shape, generator=generator, dtype=x.dtype, device=generator.device).to(x.device)

    direction = {group: tuple(draw(x) for x in model.weights[group]) for group in ball.groups}
    for group in {"w", "omega"} & set(ball.groups):
        direction[group] = tuple(x * can_be_seen(model, ball, index) for index, x in enumerate(direction[group]))
    return scaled(direction, 1 / _nonzero(size(ball, direction, lead)))


def reaches_boundary(model: DiagonalModel, ball: Ball, betas: Tensor) -> Tensor:
    """Whether the ball holds weights with some λ̃ on or beyond the boundary of stability and c̃, Ũ ≠ 0 there.

    A mode that is dead in c or U counts where that group moves. In a joint ball whose radius is the distance of the
    boundary, λ̃ at -ε leaves about √ε to move the other weights: |c̃Ũ|/ε is unbounded where one of them is dead, and
    bounded where both are. Modes of the layers before the last, whose path to the output is a product of several
    matrices, count as alive where their own row and the column behind them can be. By convention a mode on the boundary
    has no finite norm, also where its gain ν vanishes there.
    Shapes: betas (n,); result (n, *batch).
    """
    reached = torch.zeros(len(betas), *model.batch_shape, dtype=torch.bool, device=model.device)
    if "w" not in ball.groups:
        return reached
    for index, layer in enumerate(model.layers):
        driven, seen = _alive(model, index)
        can_live = can_be_seen(model, ball, index)
        radius = betas.view(-1, *[1] * layer.w.ndim)
        at = _unstable(model, layer.w, radius)
        before = _unstable(model, layer.w, torch.nextafter(radius, torch.zeros_like(radius)))
        late = at if ball.kind == "block" else before & (radius > 0)
        reached |= (can_live & torch.where(driven | seen, at, late)).any(-1)
    return reached


def can_be_seen(model: DiagonalModel, ball: Ball, index: int = 0) -> Tensor:
    """Whether the modes of a layer have nonzero weights before and behind them somewhere in the ball: (*batch, m)."""
    driven, seen = _alive(model, index)
    behind = "c" if index + 1 == len(model.layers) else "U"
    return (driven | ("U" in ball.groups)) & (seen | (behind in ball.groups))


def _alive(model: DiagonalModel, index: int) -> tuple[Tensor, Tensor]:
    """Whether the modes of a layer have nonzero weights before and behind them: (*batch, m)."""
    last = index + 1 == len(model.layers)
    before, behind = model.layers[index].U, model.c if last else model.layers[index + 1].U
    return before.abs().amax(-1) > 0, behind.abs().amax(-2) > 0


def rounds_to_boundary(model: DiagonalModel, radius: Tensor) -> Tensor:
    """Whether some λ̃ within `radius` (n, *batch) comes too near the boundary of stability for float64; same shape.

    That is so where it reaches the boundary, for e^{-800} = 0, and for margins whose inverse squares overflow.
    """
    found = [_at_boundary(model, layer.w, radius[..., None], _NARROWEST).any(-1) for layer in model.layers]
    return torch.stack(found).any(0)


def _unstable(model: DiagonalModel, w: Tensor, radius: Tensor) -> Tensor:
    """Whether f reaches the boundary within `radius` of w; never where its values only round to it."""
    if model.reparameterization.name in _ALWAYS_INSIDE:
        return torch.zeros_like(w + radius, dtype=torch.bool)
    return _at_boundary(model, w, radius)


def _at_boundary(model: DiagonalModel, w: Tensor, radius: Tensor, margin: float = 0.0) -> Tensor:
    low, high = model.reparameterization.bounds(w, radius)
    native = model.is_discrete and model.step_size is None
    return (high >= 1 - margin) | (low <= margin - 1) if native else high >= -margin


def _block_size(group: str, x: Tensor, batch_axes: int) -> Tensor:
    if group in ("w", "omega"):
        return x.abs().amax(-1)
    if group == "U":
        return torch.linalg.matrix_norm(x, 2)
    return _flat(x, batch_axes).abs().square().sum(-1).sqrt()


def _farthest_block(group: str, x: Tensor, batch_axes: int) -> Tensor:
    if group in ("w", "omega"):
        return x.sign()
    if group == "U":
        left, values, right = torch.linalg.svd(x, full_matrices=False)
        return (left * (values > 0).unsqueeze(-2)) @ right
    return _scaled(x, 1 / _nonzero(_block_size(group, x, batch_axes)))


def _flat(x: Tensor, batch_axes: int) -> Tensor:
    return x.flatten(batch_axes) if x.ndim > batch_axes else x.unsqueeze(-1)


def _scaled(x: Tensor, factor: Tensor) -> Tensor:
    return x * factor.view(*factor.shape, *[1] * (x.ndim - factor.ndim))


def _nonzero(norm: Tensor) -> Tensor:
    return torch.where(norm > 0, norm, math.inf)
