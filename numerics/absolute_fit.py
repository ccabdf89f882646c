"""Fits in the norm W^{1,∞}: the sum of absolute errors of kernel and slope, by reweighted least squares.

    V = Σ_n v_n |e(t_n)| + |e(0)| + Σ_n v_n |e'(t_n)|          (in discrete time Σ v_k |e_k| + Σ v_k |e_k - e_{k-1}|)

(continuous time: and the jumps of the target, which no model can follow) is minimized through
Σ_n v_n e_n²/max(|e_n|, δ E_n), e_n the errors of the last round and E_n the largest of them near t_n: a local scale,
because errors at late times are smaller by many orders and count as much. Each round takes a few steps of
Levenberg-Marquardt on the rates with the coefficients projected out; the best V that was met is kept.
Source: Lawson's idea in the form of Weiszfeld's weights; Daubechies, DeVore, Fornasier and Güntürk, Comm. Pure Appl.
Math. 63 (2010) for the least squares; the local scale is derived here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from numerics.kernel_columns import KernelColumns
from numerics.levenberg_marquardt import BUDGET_SPENT, CONVERGED, DIVERGED, Evaluation, Search, minimize, start_search
from numerics.projection import Projection, project
from numerics.rate_evaluation import RateMap
from numerics.targets import Target
from numerics.time_nodes import TimeNodes

ROUNDS = 20
_STEPS = 4
_SHARPNESS = 0.05
"""δ."""
_NEAR = 9
"""Nodes over which the largest error is the local scale."""
_LEAST = 1e-30
"""Share of the largest error below which one is as good as 0, where target and modes have died away."""
_SETTLED = 1e-3
"""Relative fall of V in the last quarter of the rounds below which a fit has converged."""


class AbsoluteLoss:
    """The errors of kernel and slope at the nodes, and V."""

    def __init__(
        self,
        nodes: TimeNodes,
        targets: Sequence[Target],
        m: int,
        *,
        is_complex: bool = False,
        step_size: float = 1.0,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        plain = replace(nodes, weights=np.ones_like(nodes.weights))
        self._modes = KernelColumns(
            plain, targets, m, is_complex=is_complex, step_size=step_size, device=device, dtype=dtype, compress=False
        )
        discrete = nodes.odd is not None
        values = self._modes.target.cpu().double().numpy()
        if discrete:
            before = step_size * np.stack([t.rho(step_size * np.maximum(nodes.times - 1, 0)) for t in targets])
            first, weights = np.zeros((len(targets), 0)), [nodes.weights, nodes.weights]
            changes = np.where(nodes.times > 0, values - before, values)
        else:
            first = np.array([[target.right_limit(0.0)] for target in targets])
            weights = [nodes.weights, np.ones(1), nodes.weights]
            changes = np.stack([target.slope(nodes.times) for target in targets])
        self.parts = (values.shape[1], first.shape[1], changes.shape[1])
        self.target = torch.from_numpy(np.concatenate([values, first, changes], axis=1)).to(device, dtype)
        self.weights = torch.from_numpy(np.concatenate(weights)).to(device, dtype)
        self.columns = self._modes.columns
        last = 0.0 if discrete else float(nodes.times[-1])
        self._jumps = sum(abs(size) for target in targets for time, size in target.jumps if time < last)

    def allows(self, lam: Tensor) -> Tensor:
        return self._modes.allows(lam)

    def modes(self, lam: Tensor) -> tuple[Tensor, Tensor]:
        """Modes and their slopes at the nodes, and the derivatives of both by λ: (B, p, M)."""
        z, by_lam = self._modes.modes(lam)
        if self._modes.is_discrete:
            base = self._modes.base(lam)
            later = self._modes.times.real > 0
            change = torch.where(later, z - z / base, z)
            change_by_lam = torch.where(later, by_lam - by_lam / base + z / base**2, 0.0)
            values, slopes = torch.cat([z, change], -1), torch.cat([by_lam, change_by_lam], -1)
        else:
            rate, one = lam[..., None], torch.ones_like(lam)[..., None]
            values = torch.cat([z, one, rate * z], -1)
            slopes = torch.cat([by_lam, 0 * one, z + rate * by_lam], -1)
        if not values.is_complex():
            return values, slopes
        return torch.cat([values.real, values.imag], 1), torch.cat([slopes.real, slopes.imag], 1)

    def errors(self, values: Tensor, coef: Tensor) -> Tensor:
        """e and e' at the nodes, (B, d, M)."""
        return self.target - coef.mT @ values

    def value(self, errors: Tensor) -> Tensor:
        """V, (B,)."""
        return (self.weights * errors.abs()).sum((1, 2)) + self._jumps

    def reweighted(self, errors: Tensor) -> Tensor:
        """The roots of v_n/max(|e_n|, δ E_n), (B, d, M)."""
        size = errors.abs()
        pooled = [
            torch.nn.functional.max_pool1d(part, _NEAR, 1, _NEAR // 2)
            for part in torch.split(size, list(self.parts), dim=-1)
            if part.shape[-1]
        ]
        floor = _SHARPNESS * torch.cat(pooled, -1)
        least = _LEAST * size.amax(-1, keepdim=True) + torch.finfo(size.dtype).tiny
        return (self.weights / torch.maximum(torch.maximum(size, floor), least)).sqrt()


class _Weighted:
    """θ ↦ Evaluation for fixed weights; inputs have weights, and projections, of their own."""

    def __init__(self, loss: AbsoluteLoss, rates: RateMap, root: Tensor) -> None:
        self._loss, self._rates, self._root = loss, rates, root

    def __call__(self, theta: Tensor, rows: Tensor) -> Evaluation:
        lam, phi, speed = self._rates(theta, rows)
        values, slopes = self._loss.modes(lam)
        allowed = self._loss.allows(lam) & torch.isfinite(phi).flatten(1).all(-1)
        root = self._root.index_select(0, rows)
        parts: list[Projection] = []
        for j in range(root.shape[1]):
            target = self._loss.target[j].expand(len(lam), 1, -1)
            system = torch.cat([values, slopes, target], dim=1) * root[:, j : j + 1]
            parts.append(project(system, self._loss.columns, phi))
        loss, noise, normal, gradient = (
            sum((getattr(part, name) for part in parts), torch.zeros((), device=theta.device, dtype=theta.dtype))
            for name in ("loss", "noise", "normal", "gradient")
        )
        coef = torch.cat([part.coef for part in parts], dim=-1)
        return Evaluation(allowed, loss, noise, coef, normal, gradient, normal, speed)


def fit_absolute(
    loss: AbsoluteLoss, rates: RateMap, search: Search, tolerance: float, rounds: int = ROUNDS
) -> tuple[Search, Tensor]:
    """The search with the θ of the least V met, with its result and steps, and the coefficients there.

    `search` is a fit in another norm to start from; rows that diverged there stay as they are.
    """
    every = torch.arange(len(search.theta), device=search.theta.device)
    lam, _, _ = rates(search.theta, every)
    theta, coef, errors = search.theta, search.coef, loss.errors(loss.modes(lam)[0], search.coef)
    best_theta, best_coef, best = theta, coef, loss.value(errors)
    before, steps = best, search.steps
    for index in range(rounds):
        evaluate = _Weighted(loss, rates, loss.reweighted(errors))
        found = minimize(evaluate, start_search(evaluate, theta), _STEPS, tolerance)
        good = torch.isfinite(found.loss) & (found.result != DIVERGED)
        theta = torch.where(good[:, None], found.theta, theta)
        coef = torch.where(good[:, None, None], found.coef, coef)
        lam, _, _ = rates(theta, every)
        errors = loss.errors(loss.modes(lam)[0], coef)
        value = loss.value(errors)
        lower = good & (value < best)
        best_theta = torch.where(lower[:, None], theta, best_theta)
        best_coef = torch.where(lower[:, None, None], coef, best_coef)
        if index == rounds - 1 - rounds // 4:
            before = best
        best, steps = torch.where(lower, value, best), steps + found.steps
    settled = torch.where(before - best <= max(_SETTLED, tolerance) * best, CONVERGED, BUDGET_SPENT)
    result = torch.where(search.result == DIVERGED, DIVERGED, settled)
    return replace(search, theta=best_theta, result=result, steps=steps), best_coef
