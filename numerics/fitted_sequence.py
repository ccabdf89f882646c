"""Sums of real exponentials fitted to a target: variable projection with a Gauss-Newton method on the rates.

    minimize over x ∈ R^m:  min over c of  ∫ (e² + e'²) dt,   e(t) = ρ(t) - Σ_i c_i exp(-e^{x_i} t),

on Gauss-Legendre panels that grow with t. For fixed rates the coefficients are a linear least squares problem; with its
projector P⊥ the Jacobian of the residual is -P⊥(∂A/∂x_i)c (Kaufman's form). Starts from the explicit sequence where the
target is completely monotone, otherwise from rates spread over its time scales. A local minimum, not the best sum; the
coefficients may have either sign. Source: Golub and Pereyra, SIAM J. Numer. Anal. 10 (1973); Kaufman, BIT 15 (1975).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from numerics.expsum import explicit_weights
from numerics.quadrature import gauss_legendre
from numerics.targets import Target

Array = NDArray[np.float64]

_NODES = 8
"""Of the Gauss-Legendre rule on a panel."""
_SINGULAR = 1e-13
_EVALUATIONS = 60
_NARROWEST = 1e-3
"""How near, in log rate, two rates may come: nearer ones only breed large coefficients of opposite sign."""


def fitted_weights(target: Target, m: int, max_rate: float = math.inf) -> tuple[Array, Array]:
    """(lam, weights) of a fitted sum Σ weight_i e^{lam_i t} with m terms, slowest first, no rate above `max_rate`.

    Shapes: both (m,). Source: see the module's text. Raises ValueError where the target is not in L¹ or m < 1.
    """
    if isinstance(m, bool) or not isinstance(m, int | np.integer) or m < 1:
        raise ValueError(f"m: a whole number of at least 1 is needed, got {m!r}")
    target.require_integrable()
    start = _starting_rates(target, m, max_rate)
    t, weight = _quadrature(target, start)
    wanted = np.concatenate([weight * target.rho(t), weight * target.slope(t)])
    from scipy.optimize import least_squares  # slow to import

    state: dict[str, Array] = {}

    def residual(x: Array) -> Array:
        matrix = _matrix(np.exp(x), t, weight)
        state["c"] = np.linalg.lstsq(matrix, wanted, rcond=_SINGULAR)[0]
        state["basis"] = np.linalg.qr(matrix)[0]
        return wanted - matrix @ state["c"]

    def jacobian(x: Array) -> Array:
        residual(x)
        rates = np.exp(x)
        decays = np.exp(-np.outer(t, rates))
        slope = np.concatenate(
            [-weight[:, None] * t[:, None] * decays, weight[:, None] * (rates * t[:, None] - 1) * decays]
        )
        moved = slope * (rates * state["c"])
        return -(moved - state["basis"] @ (state["basis"].T @ moved))

    upper = math.log(max_rate) if math.isfinite(max_rate) else np.inf
    first = np.minimum(np.log(start), upper - 1e-9)
    fit = least_squares(residual, first, jac=jacobian, bounds=(-np.inf, upper), max_nfev=_EVALUATIONS, xtol=1e-10)
    rates = np.exp(_apart(np.sort(fit.x), upper))
    weights = np.linalg.lstsq(_matrix(rates, t, weight), wanted, rcond=_SINGULAR)[0]
    return -rates, weights


def _starting_rates(target: Target, m: int, max_rate: float) -> Array:
    if target.completely_monotone:
        lam, _ = explicit_weights(target, m, max_rate)
        rates = np.unique(-lam)
        if len(rates) == m:
            return rates
    scales = target.time_scales
    slow, fast = 0.3 / max(scales), min(10 / min(scales), max_rate)
    return np.geomspace(min(slow, fast / 2), fast, m) if m > 1 else np.array([math.sqrt(slow * fast)])


def _quadrature(target: Target, rates: Array) -> tuple[Array, Array]:
    """Nodes and the square roots of their weights, up to where the slowest mode and the target have died away."""
    end = max(30 / float(rates.min()), 100 * max(target.time_scales))
    first = 1e-2 / float(rates.max())
    edges = np.concatenate([[0.0], np.geomspace(first, end, math.ceil(4 * math.log10(end / first)) + 1), target.breaks])
    edges = np.unique(edges[edges <= end])
    times, weights = gauss_legendre(edges, _NODES)
    return times, np.sqrt(weights)


def _matrix(rates: Array, t: Array, weight: Array) -> Array:
    decays = weight[:, None] * np.exp(-np.outer(t, rates))
    return np.concatenate([decays, -rates * decays])


def _apart(x: Array, upper: float) -> Array:
    """Sorted log rates, moved down where they come nearer than _NARROWEST."""
    spread = np.minimum(x, upper).copy()
    for index in range(len(spread) - 2, -1, -1):
        spread[index] = min(spread[index], spread[index + 1] - _NARROWEST)
    return spread
