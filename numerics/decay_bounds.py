"""The bound of Theorem 3.3 on a model's memory function, beside the memory function itself, and how tight it is.

For ℓ layers with Re λ ≤ -r for every mode (r the stability margin), σ L-Lipschitz, d inputs:

    sharp    M(Ĥ)(t) ≤ √d · L^ℓ · |c|_2 Π_l |ν U_l|_2 · t^{ℓ-1}/(ℓ-1)! · e^{-rt}
    printed  M(Ĥ)(t) ≤ (d+1) · L^ℓ · |θ|_2^{ℓ+1} · t^{ℓ-1} · e^{-rt},   θ all weights, w and ω among them

in discrete time, |λ| ≤ α, with binom(k+ℓ-1, ℓ-1) α^k in the place of t^{ℓ-1}/(ℓ-1)! e^{-rt}, and of t^{ℓ-1} e^{-rt}.
The output of a complex model is twice the real part of its sum: a factor 2 in the sharp form. The printed form needs
none, 2√d ≤ d+1 being (√d-1)² ≥ 0; nor do unit-norm modes change it, since their gain ν is below 1/2.
The theorem bounds the memory of the target that the models tend to: M(H)(t) ≤ M(Ĥ)(t) + ½‖d(H - Ĥ)/dt‖ for linear H,
so that the limit of the bounds counts there. Source: Theorem 3.3; the sharp form is derived in numerics.memory_bounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from numerics.arguments import json_number
from numerics.heaviside_rates import System
from numerics.memory import memory_function
from numerics.memory_bounds import lipschitz_upper
from numerics.model_checks import checked_times
from numerics.models import DiagonalModel

Array = NDArray[np.float64]

_POINTS = 120
_LIVE = 45.0
"""The grid ends where e^{-rt} has left the rounding errors of what it began with."""
_SAME_RATE = 1e-13
"""Rates nearer than this, relatively, count as one: they came from equal weights."""
_REAL = 1e-15
"""A multiplier fe^{iω} is real for ω = π, up to the rounding of sin π."""


@dataclass(frozen=True, eq=False)
class DecayBounds:
    """The two bounds at each of `times`, the bracket of the memory function, and where the sharp bound is tightest.

    `ratio_min`: the smallest sharp bound over the lower end of the memory function, `ratio_time` where it is; below 1
    the bound would be broken. `ratio_at_infinity`: the limit (for oscillating modes the limes inferior) as t → ∞, inf
    where the slowest mode is not seen, None where it is not known in closed form. `theta` is |θ|_2.
    Shapes: times, printed, sharp, memory_lower, memory_upper (T,).
    """

    times: Array
    printed: Array
    sharp: Array
    memory_lower: Array
    memory_upper: Array
    theta: float
    margin: float
    ratio_min: float
    ratio_time: float
    ratio_at_infinity: float | None

    @property
    def holds(self) -> bool:
        """Whether neither bound lies below the memory function (its lower end) at any of the times."""
        return bool(np.all(self.memory_lower <= np.minimum(self.printed, self.sharp)))

    def as_json(self) -> dict[str, Any]:
        """Every field by its name, arrays as lists, infinity as "inf"."""
        columns = {name: [json_number(x) for x in getattr(self, name).tolist()] for name in _COLUMNS}
        last = self.ratio_at_infinity
        return columns | {
            "theta": self.theta,
            "margin": self.margin,
            "ratio_min": json_number(self.ratio_min),
            "ratio_time": json_number(self.ratio_time),
            "ratio_at_infinity": None if last is None else json_number(last),
        }


_COLUMNS = ("times", "printed", "sharp", "memory_lower", "memory_upper")


def decay_bounds(model: DiagonalModel, times: Tensor | Sequence[float] | None = None, *, seed: int = 0) -> DecayBounds:
    """Both bounds and the memory function of one model over a time grid.

    `times`: t ≥ 0, or whole steps; by default `decay_times`. `seed`: of the search for the memory of a nonlinear model.
    Raises ValueError for a batch, for a model discretized with a step size, and for bad times.
    """
    if model.batch_shape:
        raise ValueError(f"model: one model is needed, this is a batch of shape {model.batch_shape}")
    model = model.to(dtype=torch.float64)
    wanted = torch.from_numpy(decay_times(model)) if times is None else times
    t = checked_times(wanted, model.is_discrete, model.dtype, model.device)
    bracket = memory_function(model, t, seed=seed)
    sharp, printed = sharp_upper(model, t), printed_upper(model, t)
    lower = bracket.lower
    ratio = torch.where(lower > 0, sharp / lower, math.inf)
    place = int(ratio.argmin())
    columns = {"times": t, "printed": printed, "sharp": sharp, "memory_lower": lower, "memory_upper": bracket.upper}
    arrays: dict[str, Any] = {name: column.cpu().numpy() for name, column in columns.items()}
    return DecayBounds(
        **arrays,
        theta=float(theta_norm(model)),
        margin=float(model.stability_margin),
        ratio_min=float(ratio[place]),
        ratio_time=float(t[place]),
        ratio_at_infinity=ratio_at_infinity(model),
    )


def decay_times(model: DiagonalModel) -> Array:
    """Times from 0 over the fastest scale to 45 memory times of the slowest mode, in whole steps in discrete time."""
    rates = torch.cat([model.transition(index).flatten() for index in range(len(model.layers))])
    if model.is_discrete:
        slow = -math.log(max(float(rates.abs().max()), 1e-300))
        return np.unique(np.rint(np.append(0.0, np.geomspace(1, max(2.0, _LIVE / slow), _POINTS))))
    slow, fast = float((-rates.real).min()), float(rates.abs().max())
    return np.append(0.0, np.geomspace(1e-2 / fast, _LIVE / slow, _POINTS))


def theta_norm(model: DiagonalModel) -> Tensor:
    """|θ|_2 over every weight of the model, those of the state w and ω among them; one member of each pair: (*batch,).

    Source: Theorem 3.3, θ_max = sup_m |θ_m|_2.
    """
    axes = len(model.batch_shape)
    squares = [x.abs().square().flatten(axes).sum(-1) for group in model.weights.values() for x in group]
    return torch.stack(squares).sum(0).sqrt()


def sharp_upper(model: DiagonalModel, times: Tensor) -> Tensor:
    """The sharp form of the module's text at each time, rounded up: (T,). One model without batch axes."""
    return lipschitz_upper(_system(model), times)


def printed_upper(model: DiagonalModel, times: Tensor) -> Tensor:
    """The printed form of the module's text at each time, with this model's |θ|_2 for θ_max: (T,).

    Raises ValueError for a model discretized with a step size: its weights are those of another equation.
    """
    if model.step_size is not None:
        raise ValueError(f"model: native time is needed for the printed bound, got step_size {model.step_size!r}")
    depth = len(model.layers)
    growth = torch.ones_like(times)
    for order in range(1, depth):
        growth = growth * ((times + order) / order if model.is_discrete else times)
    rates = torch.cat([model.transition(index) for index in range(depth)])
    decay = rates.abs().max() ** times if model.is_discrete else torch.exp(rates.real.max() * times)
    return (model.input_dim + 1) * model.activation.lipschitz**depth * theta_norm(model) ** (depth + 1) * growth * decay


def _system(model: DiagonalModel) -> System:
    depth = range(len(model.layers))
    lam, drives = tuple(model.transition(i) for i in depth), tuple(model.drive(i) for i in depth)
    return System(lam, drives, model.c, model.activation, model.is_discrete)


def ratio_at_infinity(model: DiagonalModel) -> float | None:
    """lim inf_{t→∞} of the sharp bound over M(Ĥ)(t), where the slowest modes alone count; None where not known.

        σ = id, real modes of all layers, one λ slowest:  √d |c|_2 Π|ν U_l|_2 / |c_S (νU_ℓ)_SS … (νU_1)_S|_1,

    S the modes of each layer with that λ: the rest of the kernel is smaller by a power of t or an exponential. It is
    inf where a layer has no such mode or they are not seen. Real modes ±α of one layer in discrete time: the larger of
    the sizes at even and at odd steps. One slowest complex mode of one layer, z = 2c νU ∈ C^d: the bound over
    max_φ Σ_j |Re(z_j e^{iφ})|, which the phase ωt comes near again and again (in discrete time unless ω/π is rational,
    where this is a lower bound); one that does not turn, over Σ_j |Re z_j|.
    One output, no batch axes. Source: derived here.
    """
    if not model.is_linear or model.output_dim > 1 or (model.is_discrete and len(model.layers) > 1):
        return None
    system = _system(model)
    sizes = [lam.abs().log() if model.is_discrete else lam.real for lam in system.lam]
    top = max(float(size.max()) for size in sizes)
    slowest = [size >= top - _SAME_RATE * abs(top) for size in sizes]
    zero = torch.zeros(1, dtype=torch.float64, device=model.device)
    bound = float(sharp_upper(model, zero)) if len(sizes) == 1 else _constant(system)
    limit: float
    if model.is_complex:
        if len(sizes) > 1 or int(slowest[0].sum()) > 1:
            return None
        terms = 2 * system.c[0, slowest[0], None] * system.drives[0][slowest[0]]
        limit = largest_wave(terms.squeeze(0), complex(system.lam[0][slowest[0]].item()), model.is_discrete)
    elif model.is_discrete:
        signs = system.lam[0][slowest[0]].sign()
        terms = system.c[0, slowest[0], None] * system.drives[0][slowest[0]]
        limit = max(float((s * terms).sum(0).abs().sum()) for s in (torch.ones_like(signs)[:, None], signs[:, None]))
    else:
        path = torch.eye(model.input_dim, dtype=torch.float64, device=model.device)
        for drive, rows, before in zip(system.drives, slowest, [None, *slowest[:-1]], strict=True):
            path = (drive[rows] if before is None else drive[rows][:, before]) @ path
        limit = float((system.c[0, slowest[-1]] @ path).abs().sum())
    return bound / limit if limit > 0 else math.inf


def _constant(system: System) -> float:
    """√d |c|_2 Π|U_l|_2 of a real linear model: the sharp bound without its time profile."""
    value = system.drives[0].shape[-1] ** 0.5 * float(torch.linalg.vector_norm(system.c[0]))
    return value * math.prod(float(torch.linalg.matrix_norm(drive, ord=2)) for drive in system.drives)


def largest_wave(z: Tensor, lam: complex, is_discrete: bool) -> float:
    """lim sup of Σ_j |Re(z_j e^{iωt})| for z (d,) complex, ω the turn of λ: there is none where λ is real."""
    turns = abs(lam.imag) > _REAL * abs(lam) if is_discrete else lam.imag != 0
    return largest_phase(z) if turns else float(z.real.abs().sum())


def largest_phase(z: Tensor) -> float:
    """max over φ of Σ_j |Re(z_j e^{iφ})| for z (d,) complex.

    Between neighbouring zeros of its terms it is |Re(s·z e^{iφ})| with fixed signs s, so that the maximum is the
    largest |s·z| over the d patterns of signs. Source: derived here.
    """
    zeros = torch.sort((math.pi / 2 - z.angle()) % math.pi).values
    ends = torch.cat([zeros, zeros[:1] + math.pi])
    middles = (ends[1:] + ends[:-1]) / 2
    signs = torch.polar(torch.ones_like(middles), middles).outer(z).real.sign().to(z.dtype)
    return float((signs @ z).abs().max())
