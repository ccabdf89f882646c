"""Where gradient descent starts: seeded weights, the same λ and kernel for every f and kind of modes that reach them.

    |Re λ_i| one in each of m equal parts, in logarithms, of the range between 1/10 (for polynomial decay 1/100) of the
             slowest and the fastest rate of the row's targets (at most 1/Δ); in discrete time λ_i = e^{-rate_i Δ}
    ω_i      π u times that rate, u uniform on [0, 1); in discrete time π u
    U_i, c_i N(0, 1) · m^{-1/4} (Re c and Im c half of it); for unit-norm modes both divided by √ν

The range is cut to what an f reaches. The random numbers depend on seed, m and targets alone.
Source: chosen here.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from numerics.fit_problem import FitProblem, RowFunctions
from numerics.mode_gains import gains
from numerics.reach import weights_for
from numerics.reparameterization import Reparameterization
from numerics.starting_rates import fastest_start, row_generator, slowest_start

Array = NDArray[np.float64]

_FARTHEST_WEIGHT = 700.0
_INSIDE = 0.9


class Packing:
    """All weights of a row in one real vector: w, U, c (real, then imaginary parts) and ω."""

    def __init__(self, problem: FitProblem) -> None:
        m, self._d, self._complex = problem.m, problem.input_dim, problem.is_complex
        self._sizes = [m, m * self._d, m, m, m] if problem.is_complex else [m, m * self._d, m]

    def split(self, packed: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """w (B, m), U (B, m, d), c (B, m), ω (B, m) or None."""
        w, U, c, *rest = torch.split(packed, self._sizes, dim=1)
        U = U.reshape(len(U), -1, self._d)
        return (w, U, torch.complex(c, rest[0]), rest[1]) if self._complex else (w, U, c, None)

    def join(self, w: Tensor, U: Tensor, c: Tensor, omega: Tensor | None) -> Tensor:
        """(B, n)."""
        parts = [w, U.flatten(1), c.real, c.imag, omega] if omega is not None else [w, U.flatten(1), c]
        return torch.cat([part for part in parts if part is not None], dim=1)


def starting_weights(problem: FitProblem) -> Tensor:
    """The packed weights (B, n) of every row at its start, on the CPU; see the module's text.

    Raises ValueError where an f reaches no stable λ, or a formula not the wanted one.
    """
    reach = {f: _reach(f, problem.step_size) for f in set(problem.reparameterizations)}
    size, parts = problem.m**-0.25, []
    w = torch.empty(len(problem), problem.m, dtype=torch.float64)
    for row, f in enumerate(problem.reparameterizations):
        random = row_generator(problem.seeds[row], problem.m, problem.targets[row])
        rates = _starting_rates(problem, row, reach[f], random)
        w[row] = weights_for(f, np.exp(-rates * problem.step_size) if f.time == "discrete" else -rates)
        shape = (problem.input_dim + 2, problem.m)
        normal, turns = random.standard_normal(shape) * size, math.pi * random.random(problem.m)
        parts.append((normal, turns if f.time == "discrete" else turns * rates))
    normal = torch.from_numpy(np.stack([part for part, _ in parts]))
    U, c = normal[:, 2:].mT, normal[:, 0]
    omega = None
    if problem.is_complex:
        c, omega = torch.complex(c, normal[:, 1]) / 2, torch.from_numpy(np.stack([part for _, part in parts]))
    lam = RowFunctions(problem.reparameterizations, w.device)(w)
    unit = torch.tensor([[kind == "unit-norm"] for kind in problem.modes])
    share = gains(lam, omega, problem.time == "discrete", unit).nu.rsqrt()
    return Packing(problem).join(w, U * share[..., None], c * share, omega)


def _starting_rates(problem: FitProblem, row: int, reach: tuple[float, float], random: np.random.Generator) -> Array:
    """-Re λ, (m,), increasing: one in each of m equal parts of the logarithmic range."""
    scales = [scale for target in problem.targets[row] for scale in target.time_scales]
    heavy = any(target.decay.kind == "polynomial" for target in problem.targets[row])
    fast = 1 / min(scales)
    if problem.time == "discrete":
        fast = min(fast, 1 / problem.step_size)
    slow = (0.01 if heavy else 0.1) / max(scales)
    fast = min(max(fast, 4 * reach[0]), reach[1])
    slow = max(min(slow, fast / 4), reach[0])
    return slow * (fast / slow) ** ((np.arange(problem.m) + random.random(problem.m)) / problem.m)


def _reach(f: Reparameterization, step_size: float) -> tuple[float, float]:
    """The slowest and the fastest rate that f reaches, a little inside its range: at its ends f' may vanish."""
    if f.time == "continuous":
        return slowest_start(f), fastest_start(f)
    low, high = (float(end) for end in f.bounds(torch.zeros((), dtype=torch.float64), _FARTHEST_WEIGHT))
    slowest, fastest = (-math.log(end) / step_size if end > 0 else math.inf for end in (high, low))
    if fastest <= 0 or slowest == math.inf:
        raise ValueError(f"reparam: {f.text[:60]!r} takes no value between 0 and 1, where modes start")
    return max(0.0, slowest) / _INSIDE, fastest * _INSIDE
