"""Where a fit with complex modes starts: from samples of the target, or spread at random.

A sum of n exponentials, sampled at t = 0, h, 2h, ..., has a Hankel matrix of rank n whose column space is shift
invariant: with a basis V of it, V without its first row is V without its last row times a matrix with the eigenvalues
e^{λh}. For other targets the n leading singular vectors serve. Source: Kung, 12th Asilomar Conference (1978); Roy and
Kailath, IEEE Trans. ASSP 37 (1989).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from numerics.kernel_columns import KernelColumns
from numerics.targets import Target

_SAMPLES = 320
"""Of the target, for the Hankel matrix."""
_LONGEST_STEP = 2.0
"""Steps of the samples, at most, in units of the shortest time scale."""
_RANK_TOLERANCE = 1e-12


def complex_starts(
    columns: KernelColumns,
    targets: Sequence[Target],
    found: NDArray[np.complex128],
    generator: np.random.Generator,
    start: int,
) -> NDArray[np.complex128]:
    """λ of m modes in the upper half-plane for one start (m,), in discrete time log λ.

    Even starts are those `found` by `hankel_modes`, from the third on perturbed; odd ones spread rates over the time
    scales and frequencies up to what the shortest of them shows.
    """
    m, unit = columns.columns // 2, columns.unit
    scales = [s / unit for target in targets for s in target.time_scales]
    span = min(4 * max(scales), columns.last_time)
    slow, fast = max(2 * columns.rates[0], 0.5 / span), min(2 / min(scales), columns.fastest_start)
    highest = 3 / min(scales)
    if columns.is_discrete:
        fast, highest = min(fast, 2.0), min(highest, 3.0)
    fast = max(fast, 1.5 * slow)
    if start % 2 == 0:
        missing = m - len(found)
        extra = np.exp(generator.uniform(math.log(slow), math.log(fast), missing))
        lam = np.concatenate([found, -extra + 1j * generator.uniform(0, highest, missing)])
        lam = lam * np.exp(0.05 * start * generator.standard_normal(m))
    else:
        rate = np.exp(generator.uniform(math.log(slow), math.log(fast), m))
        lam = -rate + 1j * highest * np.sort(generator.random(m)) * generator.random()
    upper: NDArray[np.complex128] = lam.real + 1j * np.abs(lam.imag)
    return upper


def hankel_modes(columns: KernelColumns, targets: Sequence[Target]) -> NDArray[np.complex128]:
    """At most m λ with Im λ ≥ 0 of the shift-invariant subspace of the samples' Hankel matrix, the largest first."""
    m = columns.columns // 2
    scales = [s / columns.unit for target in targets for s in target.time_scales]
    step = min(min(4 * max(scales), columns.last_time) / _SAMPLES, _LONGEST_STEP * min(scales))
    if columns.is_discrete:
        step = max(1.0, round(step))
    times = step * np.arange(_SAMPLES)
    samples = sum(target.rho(times * columns.unit) for target in targets)
    half = _SAMPLES // 2
    hankel = np.asarray(samples)[np.add.outer(np.arange(half), np.arange(half))]
    left, sizes, _ = np.linalg.svd(hankel)
    rank = max(1, min(2 * m, int(np.sum(sizes > _RANK_TOLERANCE * max(sizes[0], 1e-300)))))
    shift = np.linalg.lstsq(left[:-1, :rank], left[1:, :rank], rcond=None)[0]
    z = np.linalg.eigvals(shift)
    z = z[np.abs(z) > 1e-8]
    lam = np.log(z.astype(np.complex128)) / step
    lam = lam[lam.imag >= -1e-12]
    size = np.linalg.lstsq(np.exp(np.outer(times, lam)), np.asarray(samples).astype(complex), rcond=1e-12)[0]
    return np.array(lam[np.argsort(-np.abs(size))][:m], dtype=np.complex128)
