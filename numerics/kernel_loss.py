"""Losses of a batch of kernels and their gradients by all weights, in closed form: no tape, and few exponentials.

    e_c(n) = ρ_c(n) - κ Re Σ_i a_ci E_i(n),   E_i(n) = e^{λ_i t_n}   (discrete time: λ_i^{k_n}),   κ = 1, complex: 2,

with the amplitudes a_ci = c_i ν_i U_ic for the d inputs; where the loss knows slopes, d more channels hold
ρ' - ρ̂' (discrete: differences), whose amplitudes are μ_i a_ci, μ = λ (discrete: λ - 1). A loss is ⟨g, e⟩ with

    l2         g = q e,       l = Σ q e²         sequences  g = C e,    l = eᵀCe
    w1inf      g = q sign e,  l = Σ q |e|        ∂l/∂e = power · g, power = 2, for w1inf 1

where q are the quadrature weights and C is the empirical covariance of the lags of the inputs. Then with
r = ∂l/∂ρ̂ = -power · g the gradients are moments of r: ∂l/∂a_ci = κ Σ_n r_c E_i, and by f_i = Re λ_i (discrete: by
f_i in λ_i = f_i e^{iω_i}) κ Re Σ_cn a_ci r_c ∂E_i/∂f; by ω, ∂E/∂ω = is ∂E/∂f with s = 1 (discrete: f).

On the times t_a + t_b of numerics.loss_times E factors into P_a Q_b, so that ρ̂ = (a P)ᵀQ and the moments of r are
products of small matrices, and no exponential is formed for every mode and time. Source: derived here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from numerics.fit_problem import FitProblem, RowFunctions
from numerics.loss_times import Resolution, TimeGrid
from numerics.mode_gains import gains
from numerics.targets import Target

Array = NDArray[np.float64]

EVERYTHING = Resolution()
_LEAST = 1e-30
"""Discrete modes with a smaller |λ| are taken to have it: λ^0 = 1 and 0^k come out to rounding."""


class KernelLoss:
    """The loss of a problem on a time grid, with its gradients.

    Source: the module's text. `covariance`: C of the loss `sequences`, (d, K, d, K) for the first K times, those that
    are not filled up. Every target is sampled once, whatever the number of rows.
    """

    def __init__(
        self,
        problem: FitProblem,
        grid: TimeGrid,
        device: torch.device,
        dtype: torch.dtype,
        *,
        resolution: Resolution = EVERYTHING,
        covariance: Array | None = None,
    ) -> None:
        largest = max(float(grid.times.max()), float(grid.weights.max()))
        if largest > torch.finfo(dtype).max:
            raise ValueError(
                f"dtype: {dtype} has no times of {largest:.3g}, which this target needs; use torch.float64"
            )

        def tensor(array: Array) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device=device, dtype=dtype)

        self.problem, self.resolution = problem, resolution
        self.discrete = problem.time == "discrete"
        self.with_slopes = problem.loss == "w1inf"
        self.outer, self.inner = tensor(grid.outer), tensor(grid.inner)
        odd = grid.inner % 2 == 1 if grid.odd is None else grid.odd
        self.outer_sign, self.inner_sign = (tensor(np.where(x, -1.0, 1.0)) for x in (grid.outer % 2 == 1, odd))
        channels = [grid.weights] * problem.input_dim + [grid.slope_weights] * problem.input_dim * self.with_slopes
        self.weights = tensor(np.concatenate(channels))
        sampled = [_sampled(row, grid.times, problem, self.with_slopes) for row in problem.distinct_targets]
        self.targets = tensor(np.stack([values for values, _ in sampled]))
        self.jumps = tensor(np.array([jumps for _, jumps in sampled]))
        self.covariance = None if covariance is None else tensor(_filled_up(covariance, grid.weights.size))

    @property
    def bytes_per_row(self) -> int:
        """What a row needs while its loss is computed, about."""
        channels, times = self.weights.shape
        modes = self.problem.m * (2 if self.problem.is_complex else 1)
        tables = modes * (6 * len(self.outer) + 8 * len(self.inner))
        return self.targets.element_size() * (4 * channels * times + tables)

    def rows(self, index: Sequence[int] | range) -> RowsLoss:
        """The loss of some of the rows."""
        return RowsLoss(self, self.problem.rows(index), [self.problem.target_index[i] for i in index])


def _sampled(row: Sequence[Target], times: Array, problem: FitProblem, with_slopes: bool) -> tuple[Array, float]:
    """The values of all channels, (C·A, N), and the total size of the jumps, which no model can follow."""
    if problem.time == "discrete":
        delta = problem.step_size
        values = [delta * target.rho(delta * times) for target in row]
        slopes = [delta * target.rho(delta * (times + 1)) - v for target, v in zip(row, values, strict=True)]
        return np.concatenate(values + slopes * with_slopes), 0.0
    values = [target.rho(times) for target in row]
    slopes = [target.slope(times) for target in row] if with_slopes else []
    jumps = sum(abs(size) for target in row for time, size in target.jumps if time < problem.horizon)
    return np.concatenate(values + slopes), jumps * with_slopes


def _filled_up(covariance: Array, size: int) -> Array:
    d, lags = covariance.shape[:2]
    full = np.zeros((d, size, d, size))
    full[:, :lags, :, :lags] = covariance
    return full.reshape(d * size, d * size)


class Gradients(NamedTuple):
    """∂l/∂w (B, m), ∂l/∂U (B, m, d), ∂l/∂c (B, m), complex: ∂l/∂Re c + i ∂l/∂Im c, and ∂l/∂ω (B, m) or None."""

    w: Tensor
    U: Tensor
    c: Tensor
    omega: Tensor | None


class RowsLoss:
    """A KernelLoss for fixed rows; call it with their weights, one call at a time."""

    def __init__(self, loss: KernelLoss, problem: FitProblem, targets: Sequence[int]) -> None:
        device = loss.targets.device
        self.problem = problem
        self.f = RowFunctions(problem.reparameterizations, device)
        self._loss, self._room = loss, _Room(loss.targets)
        several = len(set(targets)) > 1
        index = torch.tensor(targets if several else targets[:1], device=device)
        self._targets = loss.targets.index_select(0, index).expand(len(problem), -1, -1)
        self._jumps = loss.jumps.index_select(0, index)
        unit = torch.tensor([kind == "unit-norm" for kind in problem.modes], device=device)
        self._unit = unit[:, None] if "unit-norm" in problem.modes else None
        self._power = 1.0 if problem.loss == "w1inf" else 2.0

    def __call__(self, w: Tensor, U: Tensor, c: Tensor, omega: Tensor | None) -> tuple[Tensor, Tensor, Gradients]:
        """(loss (B,), f(w) (B, m), gradients)."""
        f, slope = self.f.with_slope(w)
        loss = self._loss
        modes = _Modes(f, omega, loss, self._room)
        gain = None if self._unit is None else gains(f, omega, loss.discrete, self._unit)
        drive = U.mT if gain is None else U.mT * gain.nu[:, None]
        amplitudes = c[:, None] * drive
        value, by_amplitude, by_f, by_omega = self._moments(modes, amplitudes)
        # l changes by Re of Σ by_amplitude · d(c ν U) besides what f and ω do through E
        by_readout = (by_amplitude * U.mT).sum(dim=1)
        if gain is None:
            by_c, by_U = by_readout, (by_amplitude * c[:, None]).mT
        else:
            by_nu = _real(by_readout * c)
            by_c, by_U = by_readout * gain.nu, (by_amplitude * (c * gain.nu)[:, None]).mT
            by_f = by_f + by_nu * gain.by_f
            if by_omega is not None and gain.by_omega is not None:
                by_omega = by_omega + by_nu * gain.by_omega
        gradients = Gradients(by_f * slope, _real(by_U), by_c.conj() if by_c.is_complex() else by_c, by_omega)
        return value, f, gradients

    def is_stable(self, f: Tensor) -> Tensor:
        """Are all modes of a row stable? (B,), from f(w) (B, m)."""
        return (f.abs() < 1 if self._loss.discrete else f < 0).all(dim=1)

    def is_resolved(self, f: Tensor, omega: Tensor | None) -> Tensor:
        """Does the loss see all modes of a row as they are? (B,), from f(w) and ω (B, m)."""
        limits = self._loss.resolution
        rate = 1 - f.abs() if self._loss.discrete else -f
        seen = (rate >= limits.slowest) & (rate <= limits.fastest)
        return (seen if omega is None else seen & (omega.abs() <= limits.highest)).all(dim=1)

    def _moments(self, modes: _Modes, amplitudes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """The loss, its gradient by a = c ν U (B, d, m) (∂Re - i∂Im), and by f and ω at fixed a."""
        loss = self._loss
        d = amplitudes.shape[1]
        everything = amplitudes
        if loss.with_slopes:
            everything = torch.cat([amplitudes, amplitudes * modes.mu[:, None]], dim=1)
        error = modes.subtracted(self._targets, everything)
        weighted = self._weighted(error)
        size = torch.bmm(weighted.view(len(error), 1, -1), error.view(len(error), -1, 1))
        value = size.view(-1) + self._jumps
        by_all, by_rate = modes.moments(weighted, everything.shape[1], -self._power)
        by_amplitude, moved = by_all, (everything * by_rate).sum(dim=1)
        if loss.with_slopes:
            by_amplitude = by_all[:, :d] + modes.mu[:, None] * by_all[:, d:]
            moved = moved + (amplitudes * by_all[:, d:]).sum(dim=1) * modes.mu_by_f
        return value, by_amplitude, _real(moved), modes.by_omega(moved)

    def _weighted(self, error: Tensor) -> Tensor:
        """g, in the shape of the error."""
        loss, room = self._loss, self._room("weighted", *error.shape)
        if loss.covariance is not None:
            return torch.mm(error.flatten(1), loss.covariance, out=room.view(len(error), -1)).view_as(error)
        return torch.mul(loss.weights, error.sign() if loss.with_slopes else error, out=room)


class _Modes:
    """E_i and ∂E_i/∂f at the times of a grid, in tables of the factors of outer and of inner times.

    A table (B, T, 2, m, κ) holds E and ∂E/∂f, in complex problems real and imaginary parts. `room` gives the same
    memory at every step: large tensors that come and go cost more than what is computed in them.
    """

    def __init__(self, f: Tensor, omega: Tensor | None, loss: KernelLoss, room: _Room) -> None:
        self.f, self.omega, self._discrete, self._room = f, omega, loss.discrete, room
        self._kappa = 1 if omega is None else 2
        self._outer = self._table("outer", loss.outer, loss.outer_sign)
        self._inner = self._table("inner", loss.inner, loss.inner_sign)

    def _table(self, name: str, t: Tensor, sign: Tensor) -> Tensor:
        f, times, shape = self.f[:, None], t[:, None], (len(self.f), len(t), self.f.shape[-1])
        table = self._room(name, *shape[:2], 2, shape[2], self._kappa)
        size = self._room(name + " exponentials", *shape)  # in one piece: exp is faster there
        least = math.log(torch.finfo(f.dtype).tiny) + 8  # and many times slower where it underflows
        base, factor = f, torch.ones_like(f)
        if self._discrete:  # f^k = ±e^{k log|f|} and k f^{k-1}; (-1)^k is `sign` at nodes between the steps as well
            base = torch.copysign(f.abs().clamp(min=_LEAST), f)
            factor = torch.where(f < 0, sign[:, None], factor)
        rate = base.abs().log_() if self._discrete else f
        torch.mul(rate, times, out=size).clamp_(min=least).exp_()
        if self.omega is None:
            torch.mul(size, factor, out=table[:, :, 0, :, 0])
        else:
            angle = self.omega[:, None] * times
            torch.mul(size.mul_(factor), torch.cos(angle), out=table[:, :, 0, :, 0])
            torch.mul(size, torch.sin(angle), out=table[:, :, 0, :, 1])
        slope = torch.mul(table[:, :, 0], times[..., None], out=table[:, :, 1])
        if self._discrete:
            slope.mul_(base.reciprocal()[..., None])
        return table

    @cached_property
    def _turn(self) -> Tensor:
        """e^{iω}, 1 where there is no ω or time is continuous."""
        if self.omega is None or not self._discrete:
            return torch.ones_like(self.f)
        return torch.complex(torch.cos(self.omega), torch.sin(self.omega))

    @cached_property
    def mu(self) -> Tensor:
        """The slope of a mode is μE: μ is λ, in discrete time λ - 1."""
        if self._discrete:
            return self.f * self._turn - 1
        return self.f if self.omega is None else torch.complex(self.f, self.omega)

    @property
    def mu_by_f(self) -> Tensor:
        return self._turn

    def by_omega(self, moved: Tensor) -> Tensor | None:
        """∂l/∂ω where ∂l/∂f = Re moved: every derivative by ω is is times that by f."""
        if self.omega is None:
            return None
        return -self.f * moved.imag if self._discrete else -moved.imag

    def subtracted(self, targets: Tensor, amplitudes: Tensor) -> Tensor:
        """ρ - ρ̂: (B, C·A, N), from (B, C, m)."""
        scaled = self._scaled(amplitudes[:, :, None], self._outer[:, None, :, 0])
        inner = self._inner[:, :, 0].flatten(2).mT
        error = self._room("error", *targets.shape)
        return torch.baddbmm(targets, scaled.flatten(1, 2).flatten(2), inner, alpha=-self._kappa, out=error)

    def _scaled(self, amplitudes: Tensor, outer: Tensor) -> Tensor:
        """a P (B, C, A, m, κ); of a complex product the conjugate, whose scalar product with Q is Re(a P Q)."""
        batch, channels, _, m = amplitudes.shape
        scaled = self._room("scaled", batch, channels, outer.shape[2], m, self._kappa)
        if self.omega is None:
            return torch.mul(amplitudes[..., None], outer, out=scaled)
        torch.mul(amplitudes, torch.view_as_complex(outer), out=torch.view_as_complex(scaled))
        scaled[..., 1].neg_()
        return scaled

    def moments(self, g: Tensor, channels: int, factor: float) -> tuple[Tensor, Tensor]:
        """factor · κ Σ_n g_c(n) E_i(n), and with ∂E_i/∂f: both (B, C, m), from (B, C·A, N)."""
        table = self._inner.flatten(2)
        inside = torch.bmm(g, table, out=self._room("inside", *g.shape[:2], table.shape[-1]))
        inside = inside.view(len(g), channels, -1, *self._inner.shape[2:])  # (B, C, A, 2, m, κ)
        outer = self._outer[:, None]
        if self.omega is None:
            inside, outer = inside[..., 0], outer[..., 0]
        else:
            inside, outer = torch.view_as_complex(inside), torch.view_as_complex(outer)
        product = self._room("product", *inside.shape, like=inside)
        torch.mul(inside, outer[:, :, :, :1], out=product)
        by_value, by_slope = product.sum(dim=2).mul_(factor * self._kappa).unbind(2)
        torch.mul(inside[:, :, :, 0], outer[:, :, :, 1], out=product[:, :, :, 0])
        return by_value, by_slope + product[:, :, :, 0].sum(dim=2).mul_(factor * self._kappa)


class _Room:
    """Tensors by name, made once and used again at every step."""

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._tensors: dict[str, Tensor] = {}

    def __call__(self, name: str, *shape: int, like: Tensor | None = None) -> Tensor:
        if name not in self._tensors:
            self._tensors[name] = (self._like if like is None else like).new_empty(shape)
        return self._tensors[name]


def _real(x: Tensor) -> Tensor:
    return x.real if x.is_complex() else x
