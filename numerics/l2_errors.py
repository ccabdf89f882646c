"""The L² norm of kernel differences e = ρ - Σ_i c_i e^{λ_i t} (2 Re of the sum where λ is complex), in float64.

    continuous  ∫_0^T |e|² dt,         discrete  Σ_{k<K} |e_k|²,  e_k = Δ ρ(kΔ) - Σ_i c_i λ_i^k

Expanding the square would lose all digits of a small e. On the panels of numerics.kernel_norms e is a polynomial of
degree 23 to rounding, so that 24 Gauss nodes integrate e² exactly; the target alone is followed until its remainder,
at most ∫|ρ| times the variation of ρ beyond that time, is below 1e-26 of its size. The first steps of a sequence are
summed one by one; where only λ > 0 are left alive, g(k) = e_k² is smooth, and (Euler and Maclaurin)

    Σ_{k=a}^{b-1} g(k) = ∫_a^b g + [ g'/12 - g/2 ]_a^b,

up to g'''/720, below 1e-12 of the sum from a = 4096 on: g changes like e^{-2μk} with e^{-2μa} (2μ)³ ≤ (3/(ea))³, or
like a power. Source: derived here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numerics.kernel_norms import panel_ends
from numerics.panels import DEGREE
from numerics.quadrature import gauss_legendre
from numerics.targets import Target

Array = NDArray[np.float64]

_DEAD = 45.0
_UNDERFLOW = 700.0
_REMAINDER = 1e-26
_DOUBLINGS = 300
_FIRST_STEPS = 4096
_FEATURES = 64
"""So many of its longest time scales later, a kernel that is not monotone has no features left."""
_MOST_STEPS = 2**22
_PLAIN_PANELS = 4096
_CHUNK = 2_000_000
"""Exponentials held in memory at once."""


def l2_squares(target: Target, coefficients: NDArray[Any], lam: NDArray[Any], end: float = math.inf) -> Array:
    """∫_0^end |e|² dt for a batch of sums, inf where the target is not in L¹ and `end` is infinite.

    Shapes: coefficients and lam (B, m), Re λ < 0; the result (B,). Raises ValueError where |Im λ/Re λ| is so large
    that the panels would not fit into memory.
    """
    if not target.is_integrable and math.isinf(end):
        return np.full(len(lam), math.inf)
    edges = _edges(target, lam, end) if target.is_integrable else _plain_edges(target, lam, end)
    return _squares(target, _doubled(coefficients, lam), lam, edges)


def l2_step_squares(
    target: Target, coefficients: NDArray[Any], lam: NDArray[Any], step: float = 1.0, end: float = math.inf
) -> Array:
    """Σ_{k<end} |e_k|², e_k = step·ρ(k·step) - Σ_i c_i λ_i^k, for a batch; inf where ρ is not in L¹ and `end` infinite.

    Shapes: coefficients and lam (B, m), |λ| < 1; the result (B,). Raises ValueError where a λ that is complex or
    negative lives for more than 2^22 steps.
    """
    if not target.is_integrable and math.isinf(end):
        return np.full(len(lam), math.inf)
    c = _doubled(coefficients, lam)
    first = int(min(end, _first_steps(target, lam, step, end)))
    total = _summed(target, c, lam, step, first)
    if first < end:
        total += _far(target, c, lam, step, first, end)
    return total


def _doubled(coefficients: NDArray[Any], lam: NDArray[Any]) -> NDArray[Any]:
    return coefficients * 2 if np.iscomplexobj(lam) else coefficients


def _edges(target: Target, lam: NDArray[Any], end: float) -> Array:
    """Panels of the exponentials and of the target, up to where its remainder is negligible."""
    last = max(1.0, *target.time_scales)
    limit = _REMAINDER * target.tail(0.0).upper * target.tail_variation(0.0).upper
    for _ in range(_DOUBLINGS):
        if last >= end or target.tail(last).upper * target.tail_variation(last).upper <= limit:
            break
        last *= 2
    return _until(panel_ends(target, np.append(lam.ravel(), -_DEAD / last)[None]), end)


def _plain_edges(target: Target, lam: NDArray[Any], end: float) -> Array:
    """Panels that double, and even ones no longer than the target's shortest time scale (at most 4096 of them)."""
    scale = min(target.time_scales)
    first = min(scale, 1 / float(np.abs(lam).max()))
    doubling = first * np.ldexp(1.0, np.arange(math.ceil(math.log2(max(end / first, 1))) + 1))
    fastest = max(1 / scale, float(np.abs(lam.imag).max()))
    even = np.linspace(0, end, min(_PLAIN_PANELS, math.ceil(end * fastest)) + 1)
    return _until(np.unique(np.concatenate([even, doubling, target.breaks])), end)


def _until(edges: Array, end: float) -> Array:
    return edges if math.isinf(end) else np.append(edges[edges < end], end)


def _squares(target: Target, c: NDArray[Any], lam: NDArray[Any], edges: Array) -> Array:
    """Σ over the panels of ∫e², some members at once."""
    times, weights = gauss_legendre(edges, DEGREE + 1)
    rho = target.rho(times)
    alive = int(np.searchsorted(times, _UNDERFLOW / float((-lam.real).min())))
    rest = float(weights[alive:] @ rho[alive:] ** 2)
    result = np.full(len(lam), rest)
    at_once = max(1, _CHUNK // max(1, alive * lam.shape[1]))
    for begin in range(0, len(lam), at_once):
        some = slice(begin, begin + at_once)
        fitted = c[some, None, :] @ np.exp(lam[some, :, None] * times[:alive])
        result[some] += (rho[:alive] - fitted[:, 0].real) ** 2 @ weights[:alive]
    return result


def _first_steps(target: Target, lam: NDArray[Any], step: float, end: float) -> float:
    """How many steps are summed one by one."""
    rough = np.abs(lam) if np.iscomplexobj(lam) else -lam[lam < 0]
    slowest = float(rough.max(initial=0.0))
    life = _DEAD / -math.log(slowest) if slowest > 0 else 0.0
    features = [_FEATURES * max(term.time_scales) for term in target.terms if not term.is_monotone]
    first = max(_FIRST_STEPS, life, *(time / step + 2 for time in (*features, *target.breaks, 0.0)))
    if min(first, end) > _MOST_STEPS:
        raise ValueError(f"lam: {min(first, end):.3g} steps are needed, at most {_MOST_STEPS} are summed one by one")
    return math.ceil(first)


def _summed(target: Target, c: NDArray[Any], lam: NDArray[Any], step: float, count: int) -> Array:
    result = np.zeros(len(lam))
    width = max(1, _CHUNK // lam.size)
    for begin in range(0, count, width):
        k = np.arange(begin, min(count, begin + width), dtype=np.float64)
        e = step * target.rho(k * step) - (c[:, None, :] @ powers(lam, k))[:, 0].real
        result += np.sum(e**2, axis=-1)
    return result


def powers(lam: NDArray[Any], k: Array) -> NDArray[Any]:
    """λ^k for whole k ≥ 0, as e^{k log|λ|} with its sign or phase: (..., m) and (K,), or broadcast; (..., m, K)."""
    log_size = np.log(np.where(lam == 0, 1.0, np.abs(lam)))
    size = np.exp(np.where(lam == 0, -1e300, log_size)[..., None] * k)
    if np.iscomplexobj(lam):
        return np.asarray(size * np.exp(1j * np.angle(lam)[..., None] * k))
    return np.asarray(np.where((lam < 0)[..., None] & (k % 2 == 1), -size, size))


def _far(target: Target, c: NDArray[Any], lam: NDArray[Any], step: float, first: int, end: float) -> Array:
    """The sum over first ≤ k < end by the formula of Euler and Maclaurin; only λ > 0 are alive there."""
    alive = lam.real > 0 if not np.iscomplexobj(lam) else np.zeros(lam.shape, dtype=bool)
    rates = np.where(alive, np.log(np.where(alive, lam.real, 0.5)), -1.0) / step
    c = np.where(alive, c.real, 0.0) / step
    edges = _edges(target, rates, end * step) if target.is_integrable else _plain_edges(target, rates, end * step)
    start = first * step
    total = step * _squares(target, c, rates, np.append(start, edges[edges > start]))
    for time, sign in ((start, 1), (end * step, -1)):
        if math.isfinite(time):
            waves = c * np.exp(rates * time)
            e, slope = target.rho(time) - waves.sum(-1), target.slope(time) - (rates * waves).sum(-1)
            total += sign * step**2 * (e**2 / 2 - step * e * slope / 6)
    return np.asarray(total)
