"""Norms of real exponential sums ρ(t) = Σ_i c_i e^{λ_i t}, t ≥ 0, λ_i < 0, in float64.

For the linear functional H_t(x) = ∫_0^∞ ρ(s) x_{t-s} ds (one input) and ρ continued by 0 to t < 0

    ‖H‖_∞ = ∫_0^∞ |ρ|,    ‖dH/dt‖_∞ = |ρ(0)| + ∫_0^∞ |ρ'|  (the total variation of ρ on R),

and ‖H‖_{W^{1,∞}} is their sum. For d inputs the norms are the sums over the components of ρ.

Method. All sign changes are found by Rolle's theorem: with the terms sorted by λ and a number λ* between two
neighbours of opposite sign, (e^{-λ*t} ρ)' = e^{-λ*t} Σ c_i (λ_i - λ*) e^{λ_i t} is again an exponential sum, with one
sign change of the coefficients fewer, and ρ has at most one zero between two neighbouring zeros of it. Between the
zeros ρ is integrated by adaptive Gauss-Legendre panels. No antiderivative is used.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_EPS = float(np.finfo(np.float64).eps)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_MAX_BISECTIONS = 30
_UNDERFLOW = 745.0  # e^{-745} is the smallest positive double


class NormEstimate(NamedTuple):
    """A norm with an estimate of its absolute error (quadrature plus rounding; an estimate, not a bound)."""

    value: float
    error: float


def exponential_sum(coefficients: ArrayLike, lam: ArrayLike, times: ArrayLike) -> Array:
    """ρ(t) = Σ_i c_i e^{λ_i t} at each of `times`.

    Shapes: coefficients (m,), lam (m,), times any shape; the result has the shape of `times`.
    Raises: ValueError where the arguments are not finite, differ in length, or some λ_i ≥ 0 or t < 0.
    """
    c, rates = _checked(coefficients, lam)
    t = np.asarray(times, dtype=np.float64)
    if not np.all(t >= 0):
        raise ValueError(f"times must be at least 0, got {times!r}")
    return np.asarray(np.exp(np.multiply.outer(t, rates)) @ c)


def sign_changes(coefficients: ArrayLike, lam: ArrayLike) -> Array:
    """The times t > 0, increasing, at which ρ(t) = Σ_i c_i e^{λ_i t} changes sign.

    There are at most as many as sign changes among the coefficients sorted by λ (Laguerre's rule). Zeros at which the
    computed ρ is below its own rounding error are not to be trusted, and do not matter to an integral.
    Shapes: coefficients (m,), lam (m,). Raises: ValueError as `exponential_sum`.
    """
    return np.array(_zeros(*_merged(*_checked(coefficients, lam))))


def l1_estimate(coefficients: ArrayLike, lam: ArrayLike) -> NormEstimate:
    """‖ρ‖_{L¹} = ∫_0^∞ |ρ(t)| dt with its error estimate.

    Shapes: coefficients (m,), lam (m,). Raises: ValueError as `exponential_sum`.
    """
    return _integral_of_absolute_value(*_merged(*_checked(coefficients, lam)))


def derivative_estimate(coefficients: ArrayLike, lam: ArrayLike) -> NormEstimate:
    """‖dH/dt‖_∞ = |ρ(0)| + ∫_0^∞ |ρ'(t)| dt with its error estimate.

    Shapes: coefficients (m,), lam (m,). Raises: ValueError as `exponential_sum`.
    """
    c, rates = _merged(*_checked(coefficients, lam))
    variation = _integral_of_absolute_value(c * rates, rates)
    jump_error = _EPS * len(c) * float(np.sum(np.abs(c)))
    return NormEstimate(abs(float(np.sum(c))) + variation.value, jump_error + variation.error)


def w1inf_estimate(coefficients: ArrayLike, lam: ArrayLike) -> NormEstimate:
    """‖H‖_{W^{1,∞}} = ∫|ρ| + |ρ(0)| + ∫|ρ'| with its error estimate.

    Shapes: coefficients (m,), lam (m,). Raises: ValueError as `exponential_sum`.
    """
    size, change = l1_estimate(coefficients, lam), derivative_estimate(coefficients, lam)
    return NormEstimate(size.value + change.value, size.error + change.error)


def l1_norm(coefficients: ArrayLike, lam: ArrayLike) -> float:
    """∫_0^∞ |ρ(t)| dt; see `l1_estimate`."""
    return l1_estimate(coefficients, lam).value


def derivative_norm(coefficients: ArrayLike, lam: ArrayLike) -> float:
    """|ρ(0)| + ∫_0^∞ |ρ'(t)| dt; see `derivative_estimate`."""
    return derivative_estimate(coefficients, lam).value


def w1inf_norm(coefficients: ArrayLike, lam: ArrayLike) -> float:
    """∫|ρ| + |ρ(0)| + ∫|ρ'|; see `w1inf_estimate`."""
    return w1inf_estimate(coefficients, lam).value


def _checked(coefficients: ArrayLike, lam: ArrayLike) -> tuple[Array, Array]:
    c, rates = np.asarray(coefficients, dtype=np.float64), np.asarray(lam, dtype=np.float64)
    if c.ndim != 1 or c.shape != rates.shape or not c.size:
        raise ValueError(f"coefficients and lam must be non-empty and of one length, got {c.shape} and {rates.shape}")
    if not np.all(np.isfinite(c)):
        raise ValueError(f"coefficients must be finite, got {coefficients!r}")
    if not np.all(np.isfinite(rates) & (rates < 0)):
        raise ValueError(f"lam must be finite and negative, got {lam!r}")
    return c, rates


def _merged(c: Array, rates: Array) -> tuple[Array, Array]:
    """The same sum with distinct λ, slowest first, and without zero terms."""
    distinct, index = np.unique(-rates, return_inverse=True)
    total = np.zeros_like(distinct)
    np.add.at(total, index, c)
    return total[total != 0], -distinct[total != 0]


def _relative(c: Array, rates: Array, t: float) -> float:
    """e^{-λ_0 t} ρ(t) with the slowest λ_0: the sign of ρ(t), without underflow."""
    return float(np.exp((rates - rates[0]) * t) @ c)


def _zeros(c: Array, rates: Array) -> list[float]:
    """The sign changes on (0, ∞) of a merged sum, by Rolle's theorem (see the module's text)."""
    flips = np.flatnonzero(np.sign(c[1:]) != np.sign(c[:-1]))
    if not flips.size:
        return []
    middle = 0.5 * (rates[flips[0]] + rates[flips[0] + 1])
    slopes = c * (rates - middle)
    slopes /= np.max(np.abs(slopes))  # no overflow in a deep recursion
    critical = _zeros(slopes[slopes != 0], rates[slopes != 0])
    # From `last` on, the slowest term outweighs the sum of all others.
    lead = np.log(np.sum(np.abs(c[1:]))) - np.log(abs(c[0]))
    last = max(0.0, float(lead)) / float(rates[0] - rates[1]) * (1 + 1e-9)
    ends = [0.0, *(z for z in critical if z < last), last]
    resolution = _EPS**2 / -rates[-1]  # what is earlier than this does not matter to any integral
    values = [_relative(c, rates, end) for end in ends]
    from scipy.optimize import brentq  # slow to import

    found = []
    for left, right, at_left, at_right in zip(ends, ends[1:], values, values[1:], strict=False):
        if at_left * at_right < 0:
            root = brentq(lambda t: _relative(c, rates, t), left, right, xtol=resolution, rtol=4 * _EPS, maxiter=1000)
            found.append(float(root))
    return found


def _integral_of_absolute_value(c: Array, rates: Array) -> NormEstimate:
    """∫_0^∞ |Σ c_i e^{λ_i t}| dt of a merged sum."""
    if not c.size:
        return NormEstimate(0.0, 0.0)
    fastest, slowest = -rates[-1], -rates[0]
    doublings = int(np.ceil(np.log2(_UNDERFLOW * fastest / slowest)))
    grid = np.ldexp(1.0 / fastest, np.arange(doublings + 1))
    zeros = [z for z in _zeros(c, rates) if z < grid[-1]]
    return _panels(c, rates, np.unique(np.concatenate([[0.0], grid, zeros])))


def _panels(c: Array, rates: Array, ends: Array) -> NormEstimate:
    """∫ |ρ| over panels on which ρ keeps its sign: bisected until two halves agree with the whole."""
    left, right = ends[:-1], ends[1:]
    whole, size = _gauss(c, rates, left, right)
    rounding = _EPS * (len(c) + 8) * float(np.sum(size))
    value, error = 0.0, rounding
    for _ in range(_MAX_BISECTIONS):
        middle = 0.5 * (left + right)
        first, _ = _gauss(c, rates, left, middle)
        second, _ = _gauss(c, rates, middle, right)
        gap = np.abs(first + second - whole)
        done = gap <= rounding / len(ends)
        value += float(np.sum(np.abs(first + second)[done]))
        error += float(np.sum(gap[done]))
        if np.all(done):
            return NormEstimate(value, error)
        left, right = (np.concatenate(pair) for pair in ((left[~done], middle[~done]), (middle[~done], right[~done])))
        whole = np.concatenate([first[~done], second[~done]])
    return NormEstimate(value + float(np.sum(np.abs(whole))), error + float(np.sum(np.abs(whole))))


def _gauss(c: Array, rates: Array, left: Array, right: Array) -> tuple[Array, Array]:
    """Gauss-Legendre on each panel: the integrals of ρ and of Σ|c_i|e^{λ_i t} (the scale of its rounding errors)."""
    half = 0.5 * (right - left)
    times = 0.5 * (right + left)[:, None] + half[:, None] * _NODES  # (panels, nodes)
    terms = np.exp(times[:, :, None] * rates)  # (panels, nodes, m)
    return half * ((terms @ c) @ _WEIGHTS), half * ((terms @ np.abs(c)) @ _WEIGHTS)
