"""The gain ν of unit-norm modes with its derivatives; the formulas of ν are those of numerics.models.

    continuous  ν = -f/D, D = 1 - f + |λ|:                 ∂ν/∂f = -(1 + ω²/|λ|)/D²,   ∂ν/∂ω = fω/(|λ|D²)
    discrete    ν = (1-|f|)/D, D = 2 - |f| + b, b = |1-λ|:  ∂ν = -((1+b) ∂|f| + (1-|f|) ∂b)/D²,
                b ∂b/∂f = f - cos ω,  b ∂b/∂ω = f sin ω

for λ = f + iω, in discrete time λ = f e^{iω}; a quotient by 0 counts as 0. Source: derived here.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Gains(NamedTuple):
    """ν and ∂ν/∂f, ∂ν/∂ω (None in a real problem): (B, m)."""

    nu: Tensor
    by_f: Tensor
    by_omega: Tensor | None


def gains(f: Tensor, omega: Tensor | None, discrete: bool, unit: Tensor) -> Gains:
    """For the rows that are `unit` (B, 1); 1 with derivatives 0 in the others. Shapes: f and ω (B, m)."""
    found = (_discrete if discrete else _continuous)(f, omega)
    zero = torch.zeros_like(f)
    by_omega = None if found.by_omega is None else torch.where(unit, found.by_omega, zero)
    return Gains(torch.where(unit, found.nu, zero + 1), torch.where(unit, found.by_f, zero), by_omega)


def _continuous(f: Tensor, omega: Tensor | None) -> Gains:
    size = f.abs() if omega is None else torch.hypot(f, omega)
    whole = 1 - f + size
    if omega is None:
        return Gains(-f / whole, -1 / whole**2, None)
    part = _quotient(omega, size)
    return Gains(-f / whole, -(1 + omega * part) / whole**2, f * part / whole**2)


def _discrete(f: Tensor, omega: Tensor | None) -> Gains:
    size = f.abs()
    if omega is None:
        cosine, gap = torch.ones_like(f), (1 - f).abs()
    else:
        cosine = torch.cos(omega)
        gap = torch.hypot(1 - f * cosine, f * torch.sin(omega))
    whole = 2 - size + gap
    by_f = -((1 + gap) * f.sign() + (1 - size) * _quotient(f - cosine, gap)) / whole**2
    by_omega = None if omega is None else -(1 - size) * _quotient(f * torch.sin(omega), gap) / whole**2
    return Gains((1 - size) / whole, by_f, by_omega)


def _quotient(x: Tensor, y: Tensor) -> Tensor:
    return torch.where(y > 0, x / y, torch.zeros_like(x))
