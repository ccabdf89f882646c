"""Target kernels cut into cells of time: their integrals and edge values, the data of a lower bound of a norm.

    ∫|k| ≥ Σ_cells |∫_cell k|,      total variation of k on R ≥ |k(0)| + Σ |k(t_{j+1}) - k(t_j)| + |k(T)|,

for any increasing times 0 = t_0 < ... < T: no quadrature of an absolute value is needed, and no sign change located.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numerics.targets import Target

Array = NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)


@dataclass(frozen=True)
class KernelCells:
    """d kernels on the cells between `edges` (N+1,): `integrals` (d, N) and `values` ρ(t+) at the edges (d, N+1)."""

    edges: Array
    integrals: Array
    values: Array


def one_per_input(targets: Target | Sequence[Target], input_dim: int) -> list[Target]:
    """The kernels of the d inputs as a list. Raises ValueError unless there are d of them, each integrable."""
    given = [targets] if isinstance(targets, Target) else list(targets)
    if len(given) != input_dim:
        raise ValueError(f"target: {len(given)} given, one for each of the model's {input_dim} inputs is needed")
    for target in given:
        target.require_integrable()
    return given


def cut(targets: Sequence[Target], edges: Array) -> KernelCells:
    """Integrals by 12-point Gauss-Legendre on each cell, split where a kernel breaks. `edges` increase from 0."""
    breaks = sorted({time for target in targets for time in target.breaks if 0 < time < edges[-1]})
    fine = np.unique(np.concatenate([edges, np.array(breaks, dtype=np.float64)]))
    half, middle = 0.5 * np.diff(fine), 0.5 * (fine[1:] + fine[:-1])
    times = middle[:, None] + half[:, None] * _NODES
    starts = np.searchsorted(fine, edges[:-1])
    integrals = [np.add.reduceat(half * (target.rho(times) @ _WEIGHTS), starts) for target in targets]
    jumping = {time for target in targets for time, _ in target.jumps}
    values = [target.rho(edges) for target in targets]
    for index, edge in enumerate(edges):
        if edge in jumping:
            for value, target in zip(values, targets, strict=True):
                value[index] = target.right_limit(float(edge))
    return KernelCells(edges, np.array(integrals), np.array(values))


def geometric_edges(first: float, end: float, per_doubling: int) -> Array:
    """0, h, 2h, ... up to `first`, then `per_doubling` equal cells in each doubling, until `end` is passed."""
    doublings = max(1, int(np.ceil(np.log2(end / first))))
    steps = np.arange(per_doubling) / per_doubling
    panels = [first * steps, *(first * 2.0**j * (1 + steps) for j in range(doublings))]
    return np.append(np.concatenate(panels), first * 2.0**doublings)
