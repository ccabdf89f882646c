"""The lower end of a perturbed error: projected ascent over the ball, batched over radii, starts and models.

‖ρ - ρ̂(θ̃)‖_W is convex in the kernel ρ̂, so its largest value tends to lie on the sphere, where moving to the δ that
maximizes the linearized error (a step of the power method, or of Frank and Wolfe) climbs fast. A step is kept only
where the error grows; otherwise it is halved towards the present point. The ascent sees the norm through a fixed
quadrature; it only proposes: what counts is the norm of the proposal, taken afterwards with its own error estimate.
Source: derived here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from numerics.models import DiagonalModel
from numerics.perturbation_ball import Ball, Move, chosen, farthest, moved, random_moves, scaled, size
from numerics.quadrature import gauss_legendre
from numerics.targets import Target

_NODES = 8
"""Of the Gauss-Legendre rule on a panel."""
_PANELS_A_DECADE = 4
_LIFETIMES = 45.0
"""How many 1/|λ| of the slowest mode the window holds: e^{-45} is below rounding."""
_TURNS = 400
"""How many radians of the fastest oscillation are resolved, in panels of four."""
_DENSE_STEPS = 256
_ELEMENTS = 2**20
"""Numbers in one intermediate tensor; more are computed in chunks of radii."""


@dataclass(frozen=True)
class Window:
    """A quadrature for ‖·‖_W: times t (T,), their weights (T,), and ρ, and ρ' or ρ_{k+1} - ρ_k, at them (T, d).

    Continuous time: Gauss-Legendre on panels that grow with t. Discrete time: every step at first, then a sparse choice
    of steps weighted by those they stand for. `start` is ρ(0), (d,).
    """

    t: Tensor
    weight: Tensor
    rho: Tensor
    change: Tensor
    start: Tensor
    discrete: bool

    def error(self, model: DiagonalModel) -> Tensor:
        """‖ρ - ρ̂‖_W by this quadrature, jumps of ρ at t > 0 left out: shape of the model's batch; differentiable."""
        weights = model.c[..., 0, :, None] * model.drive()  # (*batch, m, d)
        powers = model.powers(self.t)  # (*batch, T, m)
        rate = model.transition() - 1 if self.discrete else model.transition()
        kernel, slope = powers @ weights, powers @ (rate[..., None] * weights)
        begin = weights.sum(-2)
        if model.is_complex:
            kernel, slope, begin = 2 * kernel.real, 2 * slope.real, 2 * begin.real
        gaps = (self.rho - kernel).abs().sum(-1) + (self.change - slope).abs().sum(-1)
        return gaps @ self.weight + (self.start - begin).abs().sum(-1)


def window(model: DiagonalModel, targets: Sequence[Target], slowest: float, fastest: float) -> Window:
    """A window for models whose decay rates lie in [slowest, fastest] (discrete: -log|λ̄|) and for these targets."""
    end = max(_LIFETIMES / slowest, *(100 * scale for target in targets for scale in target.time_scales))
    if model.is_discrete:
        t, weight = _steps(end)
        step = model.step_size
        rho, ahead = (_sampled(targets, at, step) for at in (t, t + 1))
        change, start = ahead - rho, _sampled(targets, np.zeros(1), step)[0]
    else:
        t, weight = _panels(model, targets, min(1e-3 / fastest, end / 2), end)
        rho = np.stack([target.rho(t) for target in targets], axis=-1)
        change = np.stack([target.slope(t) for target in targets], axis=-1)
        start = np.array([float(target.rho(np.zeros(1))[0]) for target in targets])
    like = model.layers[0].w
    arrays = [torch.as_tensor(x, dtype=like.dtype, device=like.device) for x in (t, weight, rho, change, start)]
    return Window(arrays[0], arrays[1], arrays[2], arrays[3], arrays[4], model.is_discrete)


def _panels(model: DiagonalModel, targets: Sequence[Target], first: float, end: float) -> tuple[np.ndarray, np.ndarray]:
    count = max(2, math.ceil(_PANELS_A_DECADE * math.log10(end / first)))
    edges = [np.zeros(1), np.geomspace(first, end, count + 1), *(np.array(target.breaks) for target in targets)]
    omega = model.layers[0].omega
    if omega is not None and bool((omega != 0).any()):
        turn = 4 / float(omega.abs().max())
        edges.append(np.arange(1, _TURNS // 4) * turn)
    merged = np.unique(np.concatenate(edges))
    merged = merged[merged <= end]
    return gauss_legendre(merged, _NODES)


def _steps(end: float) -> tuple[np.ndarray, np.ndarray]:
    dense = np.arange(min(_DENSE_STEPS, math.ceil(end) + 1), dtype=np.float64)
    if end <= _DENSE_STEPS:
        return dense, np.ones_like(dense)
    count = math.ceil(8 * _PANELS_A_DECADE * math.log10(end / _DENSE_STEPS)) + 2
    sparse = np.unique(np.round(np.geomspace(_DENSE_STEPS, end, count)))
    stands_for = np.append(np.diff(sparse), 1.0)
    return np.concatenate([dense, sparse + np.floor((stands_for - 1) / 2)]), np.append(np.ones_like(dense), stands_for)


def _sampled(targets: Sequence[Target], steps: np.ndarray, step_size: float | None) -> np.ndarray:
    """ρ_k = ρ(k), or Δρ(kΔ) where there is a step size: (T, d)."""
    step = 1.0 if step_size is None else step_size
    return np.stack([step * target.rho(steps * step) for target in targets], axis=-1)


def ascend(
    model: DiagonalModel, view: Window, ball: Ball, betas: Tensor, *, starts: int, steps: int, seed: int
) -> Move:
    """The worst δ found for every radius (n, *batch), inside stability: tensors with axes (n, *batch, ...).

    The directions that are worst for neighbouring radii are tried as well.
    """

    def chunks(count: int) -> list[Tensor]:
        each = model.c[..., 0, 0].numel() * count * view.t.numel() * model.hidden_dims[0]
        return list(torch.split(torch.arange(len(betas), device=betas.device), max(1, _ELEMENTS // each)))

    move = _joined(
        [
            _ascend(model, view, ball, betas[rows], starts, steps, torch.Generator().manual_seed(seed))
            for rows in chunks(starts)
        ]
    )
    if len(betas) == 1:
        return move
    own = torch.arange(len(betas), device=betas.device)
    near = torch.stack([own, (own - 1).clamp(min=0), (own + 1).clamp(max=len(own) - 1)], dim=1)
    factor = torch.where(betas[near] > 0, betas[:, None] / betas[near], 0.0)
    begin = scaled({group: tuple(x[near] for x in xs) for group, xs in move.items()}, factor)
    parts = []
    for rows in chunks(3):
        start = {group: tuple(x[rows] for x in xs) for group, xs in begin.items()}
        reached, value = _climb(model, view, ball, betas[rows, None], start, steps // 4)
        parts.append(_first(_picked(reached, value.argmax(1, keepdim=True))))
    return _joined(parts)


def _joined(parts: Sequence[Move]) -> Move:
    return {
        group: tuple(torch.cat(xs) for xs in zip(*(part[group] for part in parts), strict=True)) for group in parts[0]
    }


def _first(move: Move) -> Move:
    return {group: tuple(x[:, 0] for x in xs) for group, xs in move.items()}


def _ascend(
    model: DiagonalModel, view: Window, ball: Ball, betas: Tensor, starts: int, steps: int, generator: torch.Generator
) -> Move:
    """A few steps from every start, the rest from the best few."""
    beta = betas.unsqueeze(1)
    begin = _starts(model, view, ball, len(betas), starts, generator)
    move = scaled(begin, beta.expand(-1, starts, *model.batch_shape))
    for count in (steps // 4, steps - steps // 4):
        move, value = _climb(model, view, ball, beta, move, count)
        move = _picked(move, value.argsort(1, descending=True)[:, : max(1, starts // 3)])
    return _first(move)


def _climb(
    model: DiagonalModel, view: Window, ball: Ball, radius: Tensor, move: Move, steps: int
) -> tuple[Move, Tensor]:
    """Every start after some steps, and its value: (n, starts, *batch)."""
    lead = 2 + len(model.batch_shape)
    value, gradient = _value_and_gradient(model, view, ball, move)
    beta, rate = radius.expand_as(value), torch.ones_like(value)
    for _ in range(steps):
        vertex = scaled(farthest(ball, gradient, lead), beta)
        tried = _on_sphere(ball, _mixed(move, vertex, rate), beta, lead)
        new, slope = _value_and_gradient(model, view, ball, tried)
        better = new > value
        move, gradient = chosen(better, tried, move), chosen(better, slope, gradient)
        value, rate = torch.where(better, new, value), torch.where(better, (2 * rate).clamp(max=1), rate / 2)
    return move, value


def _starts(
    model: DiagonalModel, view: Window, ball: Ball, radii: int, starts: int, generator: torch.Generator
) -> Move:
    """Along and against the gradient at the centre, towards larger and slower modes and back, and random directions.

    Also towards slower modes that grow while faster ones shrink, and back; and, where both U and c move, towards larger
    modes with one of the two reversed: c̃Ũ may then change its sign.
    """
    axes = (radii, starts)
    lead = 2 + len(model.batch_shape)
    move = dict(farthest(ball, random_moves(model, ball, axes, generator), lead))
    zero = {group: tuple(torch.zeros_like(x[:1, :1]) for x in xs) for group, xs in move.items()}
    _, gradient = _value_and_gradient(model, view, ball, zero)
    growth = _growth(model, ball)
    uphill, tilt = farthest(ball, gradient, lead), farthest(ball, _tilted(model, growth), lead)
    growth = farthest(ball, growth, lead)
    plans = [(direction, sign, "") for direction in (uphill, growth, tilt) for sign in (1.0, -1.0)]
    if {"U", "c"} <= set(ball.groups):
        plans += [(growth, 1.0, "U"), (growth, 1.0, "c")]
    for index, (direction, sign, turned) in enumerate(plans[:starts]):
        for group, xs in move.items():
            for x, towards in zip(xs, direction[group], strict=True):
                x[:, index] = (-sign if group == turned else sign) * towards[:, 0]
    return move


def _tilted(model: DiagonalModel, growth: Move) -> Move:
    """The growth with its sign changed at modes that are faster than the median."""
    slow = model.transition().abs() if model.is_discrete else model.transition().real
    sign = torch.where(slow >= slow.median(-1, keepdim=True).values, 1.0, -1.0).to(slow.dtype)
    shaped = {"U": sign[..., None], "c": sign[..., None, :]}
    return {group: tuple(x * shaped.get(group, sign) for x in xs) for group, xs in growth.items()}


def _growth(model: DiagonalModel, ball: Ball) -> Move:
    """The gradient of Σ_i |c_i||U_i|_1 ‖e^{λ_i t}‖_{L¹}, all modes with one sign: with axes (1, 1) in front."""
    weights = {
        group: tuple(x[None, None].detach().clone().requires_grad_() for x in model.weights[group])
        for group in ball.groups
    }
    flat = [x for xs in weights.values() for x in xs]
    with torch.enable_grad():
        zero = {group: tuple(x - x.detach() for x in xs) for group, xs in weights.items()}
        changed = moved(model, zero)
        margin = 1 - changed.transition().abs() if model.is_discrete else -changed.transition().real
        total = (changed.c[..., 0, :].abs() * changed.drive().abs().sum(-1) / margin).sum()
        gradients = torch.autograd.grad(total, flat)
    found = iter(gradients)
    return {group: tuple(next(found) for _ in xs) for group, xs in weights.items()}


def _value_and_gradient(model: DiagonalModel, view: Window, ball: Ball, move: Move) -> tuple[Tensor, Move]:
    leaves = {group: tuple(x.detach().requires_grad_() for x in xs) for group, xs in move.items()}
    flat = [x for xs in leaves.values() for x in xs]
    with torch.enable_grad():
        value = view.error(moved(model, leaves))
        gradients = iter(torch.autograd.grad(value.sum(), flat))
    return value.detach(), {group: tuple(next(gradients) for _ in xs) for group, xs in leaves.items()}


def _on_sphere(ball: Ball, move: Move, beta: Tensor, lead: int) -> Move:
    length = size(ball, move, lead)
    return scaled(move, torch.where(length > 0, beta / length, 0.0))


def _mixed(a: Move, b: Move, share: Tensor) -> Move:
    one, other = scaled(a, 1 - share), scaled(b, share)
    return {group: tuple(x + y for x, y in zip(xs, other[group], strict=True)) for group, xs in one.items()}


def _picked(move: Move, starts: Tensor) -> Move:
    """The starts with these indices (n, few, *batch) along axis 1."""

    def pick(x: Tensor) -> Tensor:
        index = starts.view(*starts.shape, *[1] * (x.ndim - starts.ndim))
        return x.gather(1, index.expand(*starts.shape, *x.shape[starts.ndim :]))

    return {group: tuple(pick(x) for x in xs) for group, xs in move.items()}
