"""Norms of kernel differences e(t) = ρ(t) - Σ_i c_i e^{λ_i t} (2 Re of the sum where λ is complex), in float64.

For the linear functional of a target ρ minus a linear model, with e continued by 0 to t < 0,

    ‖e‖_{W^{1,∞}} = ∫_0^∞ |e| + (total variation of e on R) = ∫_0^∞ |e| + |e(0)| + ∫_0^∞ |e'| + Σ |jumps of e|.

Up to the time at which the exponentials have died away, e and e' are polynomials on each of a few dozen panels that
double in length, to the last digit, and their absolute values are integrated exactly between sign changes of which
none is left out (numerics.panels). Beyond that time the target is alone, and its tails are known in closed form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numerics.exponential_sums import NormEstimate
from numerics.panels import DEGREE, NODES, absolute_integrals, differentiated, sign_changes
from numerics.panels import coefficients as chebyshev
from numerics.target_base import Target

Array = NDArray[np.float64]

_EPS = float(np.finfo(np.float64).eps)
_DEAD = 45.0
"""An exponential is left out after e^{-45} = 3e-20."""
_PHASE = 5.0
"""Radians of an oscillation in one panel: its Chebyshev coefficients J_k(2.5) are below 1e-17 at the end."""
_RESOLVED = 1e-14
_KNOWN = 1e-14
_HALVINGS = 40
_DOUBLINGS = 400
_MOST_PANELS = 200_000
_CHUNK = 4_000_000
"""How many exponentials are held in memory at once."""


class KernelNorms(NamedTuple):
    """∫|e| (`size`) and the total variation of e on R (`change`), each with its estimated error; shapes (batch,)."""

    size: Array
    size_error: Array
    change: Array
    change_error: Array


def kernel_norm(targets: Target | Sequence[Target], coefficients: ArrayLike, lam: ArrayLike) -> NormEstimate:
    """‖e‖_{W^{1,∞}} of e(t) = ρ(t) - Σ_i c_i e^{λ_i t}, or ρ(t) - 2 Re Σ_i c_i e^{λ_i t} where `lam` is complex.

        ∫_0^∞ |e|_1 + |e(0)|_1 + ∫_0^∞ |e'|_1 + Σ |jumps of e|_1,

    summed over d inputs, each with its own target and column of coefficients. Up to the time at which the exponentials
    have died away e is integrated panel by panel (see numerics.panels) between its sign changes; beyond it by the tails
    of the target in closed form. The error is that of rounding, ε Σ |c_i| (4 + |λ_i|/r_i)/r_i for ∫|e|, r = -Re λ,
    and of the tails; quadrature itself is exact to rounding (unless a callable target has an unlisted jump or kink).
    Shapes: coefficients (m,), or (m, d) with d targets; lam (m,).
    Raises: ValueError where λ is not stable, shapes differ, a target is not in L¹, or |Im λ/Re λ| is beyond memory.
    """
    many = _target_list(targets)
    c, rates = _checked_sum(coefficients, lam, len(many))
    norms = [kernel_norms(target, c[None, :, i], rates[None]) for i, target in enumerate(many)]
    value = sum(float(norm.size[0] + norm.change[0]) for norm in norms)
    return NormEstimate(value, sum(float(norm.size_error[0] + norm.change_error[0]) for norm in norms))


def target_norm(targets: Target | Sequence[Target]) -> NormEstimate:
    """‖ρ‖_{W^{1,∞}} = ∫|ρ|_1 + total variation of ρ on R, summed over d inputs; from tails at 0 that are exact.

    Raises: ValueError where a target is not in L¹.
    """
    many = _target_list(targets)
    value, error = 0.0, 0.0
    for target in many:
        target.require_integrable()
        size, change = target.tail(0.0), target.tail_variation(0.0)
        if size.upper - size.lower + change.upper - change.lower <= 1e-12 * (size.upper + change.upper):
            start = abs(target.right_limit(0.0))
            parts = [_middle(size), _middle(change), NormEstimate(start, _EPS * start)]
        else:
            fastest = 1 / min(target.time_scales)
            norms = kernel_norms(target, np.zeros((1, 1)), np.full((1, 1), -fastest))
            parts = [NormEstimate(float(norms.size[0]), float(norms.size_error[0]))]
            parts.append(NormEstimate(float(norms.change[0]), float(norms.change_error[0])))
        value += sum(part.value for part in parts)
        error += sum(part.error for part in parts)
    return NormEstimate(value, error)


def kernel_norms(target: Target, coefficients: ArrayLike, lam: ArrayLike) -> KernelNorms:
    """The two parts of `kernel_norm` for a batch of sums and one target, on one grid of panels.

    Shapes: coefficients and lam (batch, m). Raises: ValueError as `kernel_norm`.
    """
    c, rates = np.asarray(coefficients), np.asarray(lam)
    if c.ndim != 2 or c.shape != rates.shape:
        raise ValueError(f"coefficients and lam must have one shape (batch, m), got {c.shape} and {rates.shape}")
    _require_sum(c, rates)
    target.require_integrable()
    c = c * 2 if np.iscomplexobj(rates) else c
    live = np.any(c != 0, axis=0)
    c, rates = c[:, live], rates[:, live]
    ends = panel_ends(target, rates)
    per_member = (len(ends) - 1) * (DEGREE + 1) * max(1, rates.shape[1])
    chunk = max(1, _CHUNK // per_member)
    parts = [_chunk_norms(target, ends, c[i : i + chunk], rates[i : i + chunk]) for i in range(0, len(c), chunk)]
    return KernelNorms(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def sign_change_times(target: Target, coefficients: ArrayLike, lam: ArrayLike) -> tuple[Array, Array]:
    """The times at which e = ρ - Σ_i c_i e^{λ_i t} and e' change sign, increasing, jumps of ρ not counted.

    Shapes: coefficients and lam (m,). Raises: ValueError as `kernel_norm`.
    """
    c, rates = _checked_sum(coefficients, lam, 1)
    _require_sum(c, rates)
    ends = panel_ends(target, rates[None])
    values, half = _difference_values(target, ends, c.T * (2 if np.iscomplexobj(rates) else 1), rates[None])
    times, floor = [], _floor(values, half)
    for k in range(2):
        rows, u = sign_changes(values[0, k], floor[0, k])
        times.append(np.sort(ends[rows] + half[rows] * (1 + u)))
    return times[0], times[1]


def _target_list(targets: Target | Sequence[Target]) -> list[Target]:
    many = [targets] if isinstance(targets, Target) else list(targets)
    if not many:
        raise ValueError("targets must not be empty")
    return many


def _checked_sum(coefficients: ArrayLike, lam: ArrayLike, inputs: int) -> tuple[Any, Any]:
    """Coefficients (m, inputs) and λ (m,), real or complex."""
    c, rates = np.asarray(coefficients), np.asarray(lam)
    if c.ndim == 1:
        c = c[:, None]
    if rates.ndim != 1 or c.shape != (len(rates), inputs):
        raise ValueError(
            f"coefficients must have shape (m, {inputs}) with lam (m,), one column for each target, "
            f"got {np.shape(coefficients)} and {rates.shape}"
        )
    return c, rates


def _require_sum(c: NDArray[Any], rates: NDArray[Any]) -> None:
    if np.iscomplexobj(c) and not np.iscomplexobj(rates):
        raise ValueError("coefficients are complex but lam is real; give lam as complex numbers, too")
    if not np.all(np.isfinite(c)):
        raise ValueError(f"coefficients must be finite, got {c[~np.isfinite(c)][0]}")
    if not np.all(np.isfinite(rates) & (rates.real < 0)):
        raise ValueError(f"lam must be finite with negative real part, got {rates[~(rates.real < 0)][:1]}")


def panel_ends(target: Target, rates: NDArray[Any]) -> Array:
    """Ends of the panels, from 0 to a time at which the exponentials are dead and the tails of the target known.

    The panels double in length, end at the target's breaks, hold at most _PHASE of the phase of any live oscillation,
    and are halved until the target is a polynomial on each of them.
    """
    decay, waves = -rates.real, np.abs(rates.imag)
    first = min([*target.time_scales, *(1 / np.abs(rates)).min(initial=np.inf, keepdims=True).ravel().tolist()])
    last = max([first, *(_DEAD / decay).max(initial=0.0, keepdims=True).ravel().tolist()])
    last = _where_tails_are_known(target, last)
    ends = first * np.ldexp(1.0, np.arange(int(np.ceil(np.log2(last / first))) + 1))
    breaks = [time for time in target.breaks if time < ends[-1]]
    ends = np.unique(np.concatenate([[0.0], ends, breaks]))
    phase = np.diff(ends) * _fastest_wave(decay.ravel(), waves.ravel(), ends[:-1])
    ends = _divided(ends, np.ceil(np.maximum(phase / _PHASE, 1)))
    return _resolved(target, ends)


def _fastest_wave(decay: Array, waves: Array, times: Array) -> Array:
    """The largest |Im λ| among the exponentials that are alive at each time."""
    order = np.argsort(decay)
    largest = np.maximum.accumulate(np.append(0.0, waves[order]))
    return np.asarray(largest[np.searchsorted(decay[order] * (1 / _DEAD), 1 / np.maximum(times, 1e-300))])


def _where_tails_are_known(target: Target, last: float) -> float:
    """The time, doubled until the tails of the target are known to rounding, of course only up to a limit."""
    size, change = target.tail(0.0).upper, target.tail_variation(0.0).upper
    for _ in range(_DOUBLINGS):
        tail, variation = target.tail(last), target.tail_variation(last)
        known = tail.upper - tail.lower <= max(_KNOWN * tail.lower, _EPS * _EPS * size)
        if known and variation.upper - variation.lower <= max(_KNOWN * variation.lower, _EPS * _EPS * change):
            break
        last *= 2
    return last


def _divided(ends: Array, counts: Array) -> Array:
    """Each panel in as many equal parts as its count says."""
    total = float(np.sum(counts))
    if total > _MOST_PANELS:
        raise ValueError(f"lam: its oscillations need {total:.3g} panels, at most {_MOST_PANELS:g} are allowed")
    if total == len(counts):
        return ends
    repeats = counts.astype(np.intp)
    starts, widths = np.repeat(ends[:-1], repeats), np.repeat(np.diff(ends) / counts, repeats)
    index = np.arange(len(starts)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    return np.append(starts + index * widths, ends[-1])


def _resolved(target: Target, ends: Array) -> Array:
    """Panels halved until the last Chebyshev coefficients of ρ and ρ' are rounding errors."""
    settled = np.zeros(len(ends) - 1, dtype=bool)
    for _ in range(_HALVINGS):
        left, right = ends[:-1][~settled], ends[1:][~settled]
        unresolved = np.zeros(len(settled), dtype=bool)
        unresolved[~settled] = _unresolved(target, left, right)
        if not np.any(unresolved) or len(ends) > _MOST_PANELS:
            break
        middles = 0.5 * (ends[:-1] + ends[1:])[unresolved]
        repeats = np.where(unresolved, 2, 1)
        settled = np.repeat(~unresolved, repeats)
        ends = np.sort(np.concatenate([ends, middles]))
    return ends


def _unresolved(target: Target, left: Array, right: Array) -> NDArray[np.bool_]:
    half = 0.5 * (right - left)
    rho, slope = _target_values(target, left, right)
    answer = np.zeros(len(left), dtype=bool)
    for values, exact in ((rho, True), (slope, target.has_slope)):
        if exact:
            c = np.abs(chebyshev(values))
            size, rest = np.max(np.abs(values), axis=1), np.max(c[:, -3:], axis=1)
            total = float(np.sum(size * half))
            answer |= (rest > _RESOLVED * size) & (rest * half > _EPS**2 * total)
    return answer


def _target_values(target: Target, left: Array, right: Array) -> tuple[Array, Array]:
    """ρ and ρ' at the nodes of each panel; a slope that is not known is that of the polynomial."""
    half, times = _panel_times(left, right)
    rho = target.rho(times)
    return rho, target.slope(times) if target.has_slope else differentiated(rho) / half[:, None]


def _panel_times(left: Array, right: Array) -> tuple[Array, Array]:
    half = 0.5 * (right - left)
    return half, left[:, None] + half[:, None] * (1 + NODES)


def _chunk_norms(target: Target, ends: Array, c: NDArray[Any], rates: NDArray[Any]) -> tuple[Array, ...]:
    """The parts of `KernelNorms` for some members of the batch."""
    last = float(ends[-1])
    integrals, own = np.zeros((len(c), 2)), np.zeros(2)
    at_once = max(1, _CHUNK // ((DEGREE + 1) * max(1, c.size)))
    for begin in range(0, len(ends) - 1, at_once):
        some = ends[begin : begin + at_once + 1]
        values, half = _difference_values(target, some, c, rates)
        own += np.abs(_target_values(target, some[:-1], some[1:])).mean(axis=-1) @ half  # about half of ∫|ρ|, ∫|ρ'|
        rows = absolute_integrals(values.reshape(-1, DEGREE + 1), _floor(values, half).ravel())
        integrals += rows.reshape(len(c), 2, len(half)) @ half
    sizes, decay, speed = np.abs(c), -rates.real, np.abs(rates)
    start = target.right_limit(0.0) - np.sum(c.real, axis=1)
    jumps = sum(abs(size) for time, size in target.jumps if time <= last)  # the tail begins after `last`
    results = []
    for k, bounds in enumerate((target.tail(last), target.tail_variation(last))):
        tail = _middle(bounds)
        weight = sizes * speed**k
        left_over = np.sum(weight / decay * np.exp(-decay * last), axis=1)
        rounding = np.sum(weight / decay * (4 + speed / decay), axis=1)
        rounding = rounding + 16 * own[k]
        extra = np.abs(start) + jumps if k else np.zeros(len(c))
        rounding = rounding + (sizes.sum(axis=1) + abs(target.right_limit(0.0)) if k else 0.0)
        results += [integrals[:, k] + tail.value + extra, tail.error + left_over + _EPS * rounding]
    return tuple(results)


def _difference_values(target: Target, ends: Array, c: NDArray[Any], rates: NDArray[Any]) -> tuple[Array, Array]:
    """e and e' at the nodes of each panel, shape (batch, 2, panels, nodes), and half the panels' lengths."""
    half, times = _panel_times(ends[:-1], ends[1:])
    own = np.stack(_target_values(target, ends[:-1], ends[1:]))
    phases = np.exp(times.ravel() * rates[:, :, None])  # (batch, m, panels · nodes)
    fitted = np.stack([c, c * rates], axis=1) @ phases  # (batch, 2, panels · nodes)
    return own - fitted.real.reshape(len(c), *own.shape), half


def _floor(values: Array, half: Array) -> Array:
    """Values of e or e' so small that together they contribute a rounding error, (batch, 2, panels)."""
    total = np.abs(values).mean(axis=-1) @ half
    return np.asarray(0.5 * _EPS / np.pi * total[:, :, None] / half)


def _middle(bounds: tuple[float, float]) -> NormEstimate:
    lower, upper = bounds
    return NormEstimate(0.5 * (lower + upper), 0.5 * (upper - lower))
