"""The complex modes of a layer: multipliers λ̄, input gains γ, and the kernel k_j = 2 Re Σ_n C_n γ_n λ̄_n^j.

    continuous time   λ = f + iω, λ̄ = e^{λΔ}      discrete time   λ̄ = f e^{iω}

with f = f(w) and, for each of the GAINS,

    plain      (λ̄ - 1)/λ, zero-order hold; Δ at λ = 0       discrete 1
    dc         plain · |λ|                                   discrete |1 - λ̄|
    lru        √(1 - |λ̄|²)                                   in both times
    unit-norm  plain · r/(1 + r + |λ|), r = -Re λ            discrete (1 - |λ̄|)/(2 - |λ̄| + |1 - λ̄|)

By them a decaying mode answers a constant with a number of modulus 1 in the limit (dc), has ℓ² norm 1 (lru), or has
W^{1,∞} norm 1 (unit-norm; in continuous time the mode e^{λt} before its discretization). Plain modes answer a constant
with -1/λ: a gain ΔB keeps that response where Δ alone sets the time scale and λ stays, dc where λ = f(w) does.
Growing modes have no such norms: lru is NaN for |λ̄| > 1, unit-norm is negative.
Source: Gu et al., NeurIPS 2022 (plain); Orvieto et al., ICML 2023 (lru); numerics.models (unit-norm).
Shapes: f, ω (H, N); log Δ (H,) in continuous time, None in discrete time.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

GAINS = ("plain", "dc", "lru", "unit-norm")


def log_multiplier(rate: Tensor, omega: Tensor, log_step: Tensor | None) -> Tensor:
    """log λ̄, (H, N): λΔ in continuous time; in discrete time log|f| + i(ω + π where f < 0).

    f = 0 counts as the smallest positive number there, with gradient 0.
    """
    if log_step is not None:
        return torch.complex(rate, omega) * log_step.exp()[:, None]
    angle = torch.where(rate < 0, omega + math.pi, omega)
    return torch.complex(rate.abs().clamp(min=torch.finfo(rate.dtype).tiny).log(), angle)


def input_gain(gain: str, rate: Tensor, omega: Tensor, log_step: Tensor | None) -> Tensor:
    """The gain of the module's text, (H, N), complex."""
    exponent = log_multiplier(rate, omega, log_step)
    if gain == "lru":
        return torch.complex(torch.sqrt(-torch.expm1(2 * exponent.real)), torch.zeros_like(omega))
    if log_step is None:
        scale = _discrete_scale(gain, rate, torch.expm1(exponent).abs())
        return torch.complex(scale, torch.zeros_like(scale))
    plain = log_step.exp()[:, None] * _mean_exponential(exponent)
    if gain == "plain":
        return plain
    size = torch.complex(rate, omega).abs()
    return plain * (size if gain == "dc" else -rate / (1 - rate + size))


def mode_kernel(exponent: Tensor, weight: Tensor, length: int) -> Tensor:
    """2 Re Σ_n weight_n e^{exponent_n j} for j = 0, ..., length - 1: (H, N) twice to (H, length).

    Of j = a + bs the powers of a and bs, about √length of each, are multiplied in the sum over the modes, which makes
    it one product of matrices, with 2√length exponentials a mode instead of length.
    """
    few = math.ceil(math.sqrt(length))
    steps = torch.arange(few, dtype=exponent.real.dtype, device=exponent.device)
    near = _exponential(exponent[:, :, None] * steps)  # (H, N, few): λ̄^a
    far = _exponential(exponent[:, :, None] * (few * steps)) * (2 * weight)[:, :, None]  # λ̄^{bs}
    left, right = torch.cat((far.real, -far.imag), dim=1), torch.cat((near.real, near.imag), dim=1)
    return (left.mT @ right).flatten(-2)[:, :length]  # (H, few, few), b before a


def _exponential(z: Tensor) -> Tensor:
    """e^z, by real functions: torch's complex exponential takes four times as long on the CPU."""
    return torch.polar(torch.exp(z.real), z.imag)


def _discrete_scale(gain: str, rate: Tensor, gap: Tensor) -> Tensor:
    """`gap`: |1 - λ̄|."""
    if gain == "plain":
        return torch.ones_like(gap)
    inside = 1 - rate.abs()
    return gap if gain == "dc" else inside / (1 + inside + gap)


def _mean_exponential(z: Tensor) -> Tensor:
    """(e^z - 1)/z, the mean of e^{zs} over 0 ≤ s ≤ 1, which is 1 + z/2 near 0."""
    zero = z == 0
    divisor = torch.where(zero, torch.ones_like(z), z)
    return torch.where(zero, 1 + z / 2, torch.expm1(divisor) / divisor)
