"""The least squares system of a fit: modes, their derivatives and the target on weighted nodes, batched over rates.

For n over the nodes, with q_n their weights, the rows of a system are

    √q_n z_i(t_n),   √q_n ∂z_i/∂λ_i (t_n),   √q_n ρ_j(t_n),        z = e^{λt},   in discrete time λ^k,

the real and then the imaginary parts where λ is complex. In discrete time ρ_j is Δ ρ_j(kΔ). The layout (B, 2p + d, N)
is what LAPACK reads as columns.

Many nodes are compressed where modes are real: all these functions, for rates that the nodes resolve, lie to 1e-14 in a
space of a few dozen dimensions. With an orthonormal basis V of it (N, K) and K nodes picked by pivoting, the
coordinates of a function are L times its values there, L = V[picked]⁻¹; sums over all nodes are sums of K squares.
Source: derived here; picking nodes by a pivoted QR is that of the discrete empirical interpolation (Drmac and Gugercin,
SIAM J. Sci. Comput. 38 (2016)).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from numerics.model_checks import COMPLEX, check_memory
from numerics.targets import Target
from numerics.time_nodes import TimeNodes

Array = NDArray[np.float64]

_MANY = 3
"""Nodes are compressed where so many times fewer do, which then are more than the columns of a system."""
_SPAN_TOLERANCE = 1e-14
_SPAN_RATES = 300
_TINY = 1e-30
"""Discrete modes with a smaller |λ| are taken to have it: λ^0 = 1 and 0^k are right to rounding."""


class KernelColumns:
    """The systems of one row of targets on given nodes, for any number of rates at once."""

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
        compress: bool = True,
    ) -> None:
        self.is_discrete = nodes.odd is not None
        self.is_complex = is_complex
        self.rates, self._highest = nodes.rates, nodes.highest
        self.columns = 2 * m if is_complex else m
        times, odd = nodes.times, nodes.odd
        self.unit = unit = step_size if self.is_discrete else 1.0
        self.last_time = float(times[-1])
        self.fastest_start = 5.0 if self.is_discrete else 0.9 * nodes.rates[1]
        rho = unit * np.stack([target.rho(unit * times) for target in targets])
        basis = None
        least = 2 * self.columns + len(targets) + 2
        found = _compression(nodes, rho, least) if compress and not is_complex else None
        if found is not None:
            basis, picked = found
            self.target = _tensor((np.sqrt(nodes.weights) * rho)[:, picked] @ basis.T, device, dtype)
            times, odd, half_log = times[picked], None if odd is None else odd[picked], np.log(nodes.weights[picked])
        else:
            self.target = _tensor(np.sqrt(nodes.weights) * rho, device, dtype)
            half_log = np.log(nodes.weights)
        self.times = _tensor(times, device, dtype)
        self.half_log = _tensor(half_log / 2, device, dtype)
        self.basis = None if basis is None else _tensor(basis.T, device, dtype)
        self.signs = _tensor(np.where(odd, -1.0, 1.0) if odd is not None else np.ones(len(times)), device, dtype)
        self._least = -300.0 if dtype == torch.float64 else -40.0
        if is_complex:
            self.times, self.half_log = self.times.to(COMPLEX[dtype]), self.half_log.to(COMPLEX[dtype])

    def __len__(self) -> int:
        """How many rows of a least squares problem there are."""
        return self.target.shape[1]

    def system(self, lam: Tensor) -> tuple[Tensor, Tensor]:
        """The system (B, 2p + d, N) for lam (B, m), and the derivatives √q_n ∂z_i/∂λ_i at the nodes (B, m, nodes)."""
        p = self.columns
        whole = self.target.new_empty(len(lam), 2 * p + len(self.target), len(self))
        whole[:, 2 * p :] = self.target
        if self.basis is not None:
            z, slope = self.modes(lam)
            whole[:, :p], whole[:, p : 2 * p] = z @ self.basis, slope @ self.basis
        elif self.is_complex:
            z, slope = self.modes(lam)
            for place, part in enumerate((z.real, z.imag, slope.real, slope.imag)):
                whole[:, place * p // 2 : (place + 1) * p // 2] = part
        else:
            _, slope = self.modes(lam, whole[:, :p], whole[:, p : 2 * p])
        return whole, slope

    def bend(self, lam: Tensor, system: Tensor, slope: Tensor, coef: Tensor) -> Tensor:
        """Σ_n √q_n ∂²z_i/∂λ_i² (t_n) r_d(t_n), r the residual with these coefficients: (B, m, d).

        ∂²z/∂λ² is t ∂z/∂λ, in discrete time (k-1)/λ ∂z/∂λ.
        """
        p = self.columns
        rest = system[:, 2 * p :] - coef.mT @ system[:, :p]
        rest = rest if self.basis is None else rest @ self.basis.mT
        if not self.is_discrete:
            return slope @ (self.times * rest).mT
        return slope @ ((self.times - 1) * rest).mT / self.base(lam)

    def base(self, lam: Tensor) -> Tensor:
        """λ, away from 0: (B, m, 1)."""
        return torch.where(lam.abs() < _TINY, torch.full_like(lam, _TINY), lam)[..., None]

    def modes(self, lam: Tensor, z: Tensor | None = None, slope: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """√q_n z_i and √q_n ∂z_i/∂λ_i at the nodes, (B, m, nodes), in the places given where real.

        Real ones below e^{-300} are raised to it: numbers whose squares underflow are many times slower.
        """
        base = self.base(lam) if self.is_discrete else lam[..., None]
        if self.is_complex:
            z = torch.addcmul(self.half_log, base.log() if self.is_discrete else base, self.times).exp_()
        else:
            rate = base.abs().log() if self.is_discrete else base
            z = torch.addcmul(self.half_log, rate, self.times, out=z).clamp_(min=self._least).exp_()
        if not self.is_discrete:
            return z, torch.mul(z, self.times, out=slope)
        if not self.is_complex:
            z.mul_(torch.where(base < 0, self.signs, 1.0))
        return z, torch.mul(z, self.times / base, out=slope)

    def allows(self, lam: Tensor) -> Tensor:
        """Rows whose modes are all finite, stable and resolved by the nodes: (B,)."""
        slowest, fastest = self.rates
        if self.is_discrete:
            return (lam.abs() <= 1 - slowest).all(-1)
        speed = -lam.real
        good = (speed >= slowest) & (speed <= fastest)
        if self.is_complex:
            good = good & (lam.imag.abs() <= self._highest)
        return good.all(-1)


def _compression(nodes: TimeNodes, rho: Array, least: int) -> tuple[Array, NDArray[np.intp]] | None:
    """L (K, K) and the K nodes picked, in order, K at least `least`; None where that is not few against all nodes."""
    if len(nodes) < _MANY * least:
        return None
    check_memory("nodes", 64 * _SPAN_RATES * len(nodes), torch.device("cpu"))
    root = np.sqrt(nodes.weights)
    span = root[:, None] * np.concatenate([_sample_modes(nodes), rho.T], axis=1)
    span /= np.maximum(np.linalg.norm(span, axis=0), 1e-300)
    left, sizes, _ = np.linalg.svd(span, full_matrices=False)
    count = min(max(int(np.sum(sizes > _SPAN_TOLERANCE * sizes[0])), least), left.shape[1])
    if len(nodes) < _MANY * count:
        return None
    from scipy.linalg import qr  # slow to import

    space = left[:, :count]
    picked = np.sort(qr(space.T, mode="r", pivoting=True)[1][:count])
    return np.linalg.inv(space[picked]), picked


def _sample_modes(nodes: TimeNodes) -> Array:
    """Modes at rates that cover what the nodes resolve, (N, G)."""
    end = float(nodes.times[-1])
    slowest, fastest = max(nodes.rates[0], 1e-3 / end), nodes.rates[1]
    if nodes.odd is None:
        return np.exp(-np.outer(nodes.times, np.geomspace(slowest, fastest, _SPAN_RATES)))
    size = np.exp(-np.geomspace(slowest, 60.0, _SPAN_RATES))
    powers = np.exp(np.outer(nodes.times, np.log(size)))
    return np.concatenate([powers, np.where(nodes.odd, -1.0, 1.0)[:, None] * powers], axis=1)


def _tensor(value: Array, device: torch.device | str, dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(value)).to(device=device, dtype=dtype)
