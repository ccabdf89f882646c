"""One evaluation of a fit: from weights to λ, the least squares system, the loss and its derivatives.

θ = w, or (w, ω) where modes are complex; λ = f(w), f(w) + iω, in discrete time f(w) e^{iω}. By the chain rule

    ∂λ/∂w = f'(w), in discrete time with e^{iω};     ∂λ/∂ω = i,  in discrete time iλ.

f'' is left out of the Hessian: it comes with a factor that vanishes where the gradient does.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from numerics.fit_problem import RowFunctions
from numerics.kernel_columns import KernelColumns
from numerics.levenberg_marquardt import Evaluation
from numerics.projection import curvature, project
from numerics.reparameterization import Reparameterization

_LEAST = 1e-30


class RateMap:
    """θ ↦ λ with derivatives for rows with different f; rows may be looked at in any selection."""

    def __init__(
        self, fs: Sequence[Reparameterization], m: int, *, is_complex: bool, is_discrete: bool, device: torch.device
    ) -> None:
        kinds = list(dict.fromkeys(fs))
        self._functions = [RowFunctions([f], device) for f in kinds]
        self._kind = torch.tensor([kinds.index(f) for f in fs], device=device)
        self.m, self.is_complex, self.is_discrete = m, is_complex, is_discrete

    def __call__(self, theta: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """λ (B, m), φ = ∂λ/∂θ (B, k, m), and the relative change of λ, or of what keeps it stable, by θ (B, P)."""
        w = theta[:, : self.m]
        value, slope = self._values(w, self._kind.index_select(0, rows))
        room = (1 - value.abs() if self.is_discrete else value.abs()).clamp(min=_LEAST)
        if not self.is_complex:
            return value, slope[:, None], slope / room
        omega = theta[:, self.m :]
        if self.is_discrete:
            turn = torch.complex(torch.cos(omega), torch.sin(omega))
            lam, phi = value * turn, torch.stack([slope * turn, 1j * value * turn], dim=1)
            return lam, phi, torch.cat([slope / room, torch.ones_like(omega)], dim=1)
        lam, one = torch.complex(value, omega), torch.ones_like(omega)
        phi = torch.stack([torch.complex(slope, 0 * slope), torch.complex(0 * one, one)], dim=1)
        return lam, phi, torch.cat([slope / room, 1 / lam.abs().clamp(min=_LEAST)], dim=1)

    def _values(self, w: Tensor, kind: Tensor) -> tuple[Tensor, Tensor]:
        value, slope = self._functions[0].with_slope(w)
        for index, function in enumerate(self._functions[1:], start=1):
            here = (kind == index)[:, None]
            other, other_slope = function.with_slope(w)
            value, slope = torch.where(here, other, value), torch.where(here, other_slope, slope)
        return value, slope


class Evaluator:
    """θ ↦ Evaluation by variable projection in the L² norm on the nodes of `columns`."""

    def __init__(self, columns: KernelColumns, rates: RateMap) -> None:
        self.columns, self.rates = columns, rates

    def __call__(self, theta: Tensor, rows: Tensor) -> Evaluation:
        lam, phi, speed = self.rates(theta, rows)
        columns = self.columns
        allowed = columns.allows(lam) & torch.isfinite(phi).flatten(1).all(-1)
        system, slope = columns.system(lam)
        result = project(system, columns.columns, phi)
        hessian = result.normal - curvature(columns.bend(lam, system, slope, result.coef), result.coef, phi)
        return Evaluation(allowed, *result, hessian, speed)
