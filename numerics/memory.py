"""Memory functions of models: exact where the model is linear, a bracket where it is not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from numerics.activations import activation
from numerics.arguments import check_counts
from numerics.heaviside_rates import System
from numerics.linear_memory import Kernel, full_kernel, layered_kernel
from numerics.memory_bounds import memory_upper
from numerics.memory_search import search
from numerics.model_checks import check_memory, checked_times
from numerics.models import DiagonalModel, FullModel
from numerics.threads import one_thread


@dataclass(frozen=True, eq=False)
class MemoryBracket:
    """lower ≤ M(t) ≤ upper at each of `times`, in the order asked.

    `inputs`: for each time the x that gave the lower end, and `at_infinity` says whether the lower end is the limit
    R → ∞ along R·x (then |x|_∞ = 1) instead of the value at x. `method` says how the ends were found.
    Shapes: times (T,), lower, upper, at_infinity (*batch, T), inputs (*batch, T, d).
    """

    times: Tensor
    lower: Tensor
    upper: Tensor
    inputs: Tensor
    at_infinity: Tensor
    method: str

    def as_json(self) -> dict[str, Any]:
        """{"t", "memory_lower", "memory_upper", "method"}; nested lists, infinity as "inf"."""
        ends = {"t": self.times, "memory_lower": self.lower, "memory_upper": self.upper}
        return {name: _plain(value.tolist()) for name, value in ends.items()} | {"method": self.method}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return "inf" if value == math.inf else value


def memory_function(
    model: DiagonalModel | FullModel,
    times: Tensor | Sequence[float],
    *,
    starts: int = 4,
    steps: int = 16,
    seed: int = 0,
) -> MemoryBracket:
    """The memory function of a model, as a bracket.

    M(t) = sup_{x≠0} |d/dt y_t(u^x)|/(|x|_∞ + 1),  u^x = x·1_{t≥0};  discrete M(k) = sup |y_k - y_{k-1}|/(|x|_∞ + 1),
    y_{-1} the rest value; several outputs: the largest. Layers ≥ 2 are at rest (under x = 0) before t = 0. Where y
    has a kink in t, the derivative is the one from the right.

    Linear models: d/dt y = ρ(t)x, hence M(t) = max over the outputs of |ρ(t)|_1, the limit R → ∞ along R·sign ρ(t);
    both ends differ by a bound on the rounding error. Nonlinear models: the lower end is |d/dt y|/(|x|_∞+1) at the
    returned x, found by gradient ascent from many starts; with several layers in continuous time the rate is
    integrated on two grids and their difference, an estimate of the error, is subtracted. The upper end is the least
    of the bounds in numerics.memory_bounds.

    `starts`, `steps`: of the ascent. `seed`: of the random directions; equal seeds give equal results.
    Shapes: times (T,), t ≥ 0 in any order, or whole steps k ≥ 0. Computed in float64 on the model's device, for the
    eigenvalues as the model gives them in floating point; the members of a nonlinear batch one after another, so that
    they do not influence each other. The nonlinear search runs on one thread, where its many small products are
    several times faster than on two; torch's setting is restored.
    Raises ValueError for bad times, starts < 1, steps < 1, and where the work would not fit into memory.
    Source: Definition 2.1; the linear case is Hölder's inequality, |ρx| ≤ |ρ|_1|x|_∞ with equality at x = R·sign ρ.
    """
    check_counts(starts=(starts, 1), steps=(steps, 1), seed=(seed, 0))
    if not isinstance(model, DiagonalModel | FullModel):
        raise ValueError(f"model: a DiagonalModel or FullModel is needed, got {type(model).__name__}")
    model = model.to(dtype=torch.float64)
    t = checked_times(times, model.is_discrete, torch.float64, model.device)
    order, back = torch.unique(t, return_inverse=True)
    with torch.no_grad():
        if isinstance(model, FullModel) or model.is_linear:
            found = _linear(model, order)
        else:
            with one_thread():
                found = _nonlinear(model, order, starts, steps, seed)
    return MemoryBracket(
        t,
        found.lower.nan_to_num(0.0)[..., back],  # NaN where numbers overflow, of which [0, inf] is true
        found.upper.nan_to_num(math.inf, math.inf)[..., back],
        found.inputs[..., back, :],
        found.at_infinity[..., back],
        found.method,
    )


def linear_kernel(model: DiagonalModel | FullModel, times: Tensor) -> Kernel:
    """ρ(t), with d/dt y_t(u^x) = ρ(t)x, and a bound on its rounding error; see numerics.linear_memory.

    Shapes: times (T,); result (*batch, T, k, d). Raises ValueError where the model is not linear.
    """
    if isinstance(model, FullModel):
        return full_kernel(model.A, model.B, model.C, times, discrete=model.is_discrete)
    if not model.is_linear:
        raise ValueError(f"model: a linear one is needed, the activation is {model.activation.name}")
    lam, drives = _dynamics(model)
    return layered_kernel(lam, drives, model.c, times, discrete=model.is_discrete)


def _dynamics(model: DiagonalModel) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    depth = range(len(model.layers))
    return tuple(model.transition(layer) for layer in depth), tuple(model.drive(layer) for layer in depth)


def _linear(model: DiagonalModel | FullModel, times: Tensor) -> MemoryBracket:
    size = math.prod(model.batch_shape) * times.numel() * model.output_dim * model.input_dim
    check_memory("times", 8 * 8 * size, times.device)
    kernel = linear_kernel(model, times)
    size_each, doubt = kernel.value.abs().sum(-1), kernel.error.sum(-1)  # (*batch, T, k)
    doubt = doubt + 4 * model.input_dim * torch.finfo(torch.float64).eps * size_each
    value, output = size_each.max(-1)
    index = output[..., None, None].expand(*output.shape, 1, model.input_dim)
    signs = kernel.value.gather(-2, index).squeeze(-2)
    lower = (size_each - doubt).amax(-1).clamp(min=0)
    upper = (size_each + doubt).amax(-1)
    ones = torch.ones_like(signs)
    inputs = torch.where(signs < 0, -ones, ones)
    return MemoryBracket(times, lower, upper, inputs, torch.ones_like(value, dtype=torch.bool), "exact")


def _nonlinear(model: DiagonalModel, times: Tensor, starts: int, steps: int, seed: int) -> MemoryBracket:
    lam, drives = _dynamics(model)
    batch = model.batch_shape
    members = [
        System(tuple(x[i] for x in flat_lam), tuple(x[i] for x in flat_drives), c, model.activation, model.is_discrete)
        for flat_lam, flat_drives in [([x.reshape(-1, *x.shape[-1:]) for x in lam], [_flat(x) for x in drives])]
        for i, c in enumerate(_flat(model.c))
    ]
    found = [_member(system, times, starts, steps, seed) for system in members]
    methods = sorted({one.method for one in found})

    def stack(name: str) -> Tensor:
        value = torch.stack([getattr(one, name) for one in found])
        return value.reshape(*batch, *value.shape[1:])

    names = ("lower", "upper", "inputs", "at_infinity")
    return MemoryBracket(times, **{name: stack(name) for name in names}, method="; ".join(methods))


def _real_output(x: Tensor) -> Tensor:
    return 2 * x.real if x.is_complex() else x


def _flat(x: Tensor) -> Tensor:
    return x.reshape(-1, *x.shape[-2:])


def _member(system: System, times: Tensor, starts: int, steps: int, seed: int) -> MemoryBracket:
    upper, bound = memory_upper(system, times)
    relu = system.sigma.name == "relu"
    best = search(system, times, starts=starts, steps=steps, seed=seed, homogeneous=relu)
    value, inputs = best.value, best.inputs
    limit = torch.full_like(value, relu, dtype=torch.bool)
    if system.sigma.name == "gelu":
        # y(Rx)/R tends to the output of the model with relu, and so do the rates for t > 0.
        far_system = replace(system, sigma=activation("relu"))
        extra = inputs / inputs.abs().amax(-1, keepdim=True)
        far = search(far_system, times, starts=starts, steps=steps, seed=seed, homogeneous=True, extra=extra)
        limit = (far.value > value) & (times > 0)
        value = torch.where(limit, far.value, value)
        inputs = torch.where(limit[:, None], far.inputs, inputs)
    if system.depth == 1 and not system.discrete and not relu and float(times[0]) == 0:
        # h = 0 at t = 0, so that d/dt y = σ'(0) c U x: the linear case.
        kernel = system.sigma.slope(torch.zeros_like(value[:1])) * _real_output(system.c @ system.drives[0])
        exact, output = kernel.abs().sum(-1).max(0)
        value, upper, limit = value.clone(), upper.clone(), limit.clone()
        value[0], upper[0], limit[0] = exact * (1 - 1e-12), exact * (1 + 1e-12), True
        inputs[0] = torch.where(kernel[output] < 0, -1.0, 1.0)
    lower = torch.minimum(value, upper)
    return MemoryBracket(times, lower, upper, inputs, limit, f"ascent below, {bound} bound above")
