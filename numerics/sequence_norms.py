"""Norms of sequences e_k = ρ_k - Σ_i c_i λ_i^k, k ≥ 0 (2 Re of the sum where λ is complex), in float64.

For the discrete-time functional y_k = Σ_j e_j x_{k-j} and e_{-1} = 0

    ‖e‖ = Σ_{k≥0} |e_k| + Σ_{k≥0} |e_k - e_{k-1}|.

All terms up to the index K at which the powers have died away are summed, in blocks of a matrix product; from K on the
target is alone, and its sums are enclosed in closed form. Where K is large and all λ_i that live long are positive,
only the first terms are summed one by one; further out e is a polynomial p on each of a few dozen ranges a ≤ k < 2a
(numerics.panels), and between two sign changes (Euler and Maclaurin)

    Σ_{k=a}^{b-1} e_k = [ ∫p - p/2 + p⁽¹⁾/12 - p⁽³⁾/720 ]_a^b,    Σ_{k=a}^{b-1} (e_k - e_{k-1}) = e_{b-1} - e_{a-1}.

The next term, p⁽⁵⁾/30240, is below 1e-17 of p where λ^a > e^{-45} and a ≥ 2^14.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numerics.exponential_sums import NormEstimate
from numerics.panels import NODES, sign_changes
from numerics.panels import coefficients as chebyshev
from numerics.target_base import TailBounds, Target

Array = NDArray[np.float64]

_EPS = float(np.finfo(np.float64).eps)
_DEAD = 45.0
_KNOWN = 1e-13
_BLOCK = 1024
_MOST_TERMS = 2**26
_FEW_TERMS = 2**18
"""So many terms are summed one by one in any case."""
_FAR = 2**14
_FEATURES = 64
"""So many of its longest time scales later, a kernel that is not monotone has no features left."""
_FARTHEST = 2.0**52
_CHUNK = 2**22
"""How many terms are held in memory at once."""


def sequence_norm(
    targets: Target | ArrayLike | Sequence[Target | ArrayLike],
    coefficients: ArrayLike,
    lam: ArrayLike,
    step: float = 1.0,
) -> NormEstimate:
    """Σ_k |e_k|_1 + Σ_{k≥0} |e_k - e_{k-1}|_1 for e_k = ρ_k - Σ_i c_i λ_i^k, |λ_i| < 1, summed over d inputs.

    A target is a kernel, sampled as ρ_k = ρ(k·step), or an array ρ_0, ..., ρ_{K-1}, zero from K on. The error estimate
    contains rounding, 12 ε Σ |c_i|/(1-|λ_i|) (and ε k |λ|^k for the angle of a complex power), and what is not known of
    the target's tail.
    Shapes: coefficients (m,), or (m, d) with d targets; lam (m,), real (any sign) or complex.
    Raises: ValueError where some |λ| ≥ 1, shapes differ, ρ is not summable, step is not positive, or |λ| is so close to
    1 that more than 2^26 terms would be needed (for λ > 0, where they are not summed one by one, 2^52).
    """
    if not (math.isfinite(step) and step > 0):
        raise ValueError(f"step must be a positive number, got {step!r}")
    many = _target_list(targets)
    c, rates = np.asarray(coefficients), np.asarray(lam)
    c = c[:, None] if c.ndim == 1 else c
    if rates.ndim != 1 or c.shape != (len(rates), len(many)):
        raise ValueError(
            f"coefficients must have shape (m, {len(many)}) with lam (m,), one column for each target, "
            f"got {np.shape(coefficients)} and {rates.shape}"
        )
    if np.iscomplexobj(c) and not np.iscomplexobj(rates):
        raise ValueError("coefficients are complex but lam is real; give lam as complex numbers, too")
    if not np.all(np.isfinite(c)):
        raise ValueError(f"coefficients must be finite, got {c[~np.isfinite(c)][0]}")
    if not np.all(np.abs(rates) < 1):
        raise ValueError(f"lam must lie inside the unit circle, got {rates[~(np.abs(rates) < 1)][0]}")
    norms = [_one_norm(target, c[:, i], rates, step) for i, target in enumerate(many)]
    return NormEstimate(sum(norm.value for norm in norms), sum(norm.error for norm in norms))


def _target_list(targets: Any) -> list[Target | Array]:
    if isinstance(targets, Target):
        return [targets]
    if isinstance(targets, list | tuple) and any(isinstance(one, Target) or np.ndim(one) for one in targets):
        return [one if isinstance(one, Target) else _samples(one) for one in targets]
    return [_samples(targets)]


def _samples(values: Any) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not np.all(np.isfinite(array)):
        raise ValueError(f"a target must be a kernel or a finite array (K,), got shape {array.shape}")
    return array


def _one_norm(target: Target | Array, c: NDArray[Any], rates: NDArray[Any], step: float) -> NormEstimate:
    sizes = np.abs(c[c != 0]) * (2 if np.iscomplexobj(rates) else 1)
    c, rates = c[c != 0], rates[c != 0]
    moduli = np.abs(rates)
    count = _term_count(target, moduli, step)
    one_by_one = _first_terms(target, rates, step, count)
    value, magnitude, last = _summed(target, c, rates, step, one_by_one)
    if one_by_one < count:
        value += _far_sums(target, c, rates, step, one_by_one, count)
    tail, change = _target_tails(target, count, step)
    value += 0.5 * (tail.lower + tail.upper + change.lower + change.upper)
    error = 0.5 * (tail.upper - tail.lower + change.upper - change.lower)
    left_over = float(np.sum(sizes * moduli**count * (1 + 2 * (1 - moduli)) / (1 - moduli)))
    turning = 1 / (1 - moduli) if np.iscomplexobj(rates) else 0.0
    rounding = 3 * float(np.sum(sizes * (4 + turning) / (1 - moduli))) + 16 * magnitude
    return NormEstimate(value, error + left_over + _EPS * (rounding + abs(last)))


def _term_count(target: Target | Array, moduli: Array, step: float) -> int:
    """The number of terms after which all powers are below e^{-45}, and the target's tails known to rounding."""
    count = _lifetime(moduli)
    if not isinstance(target, Target):
        return max(count, len(target))
    target.require_integrable()
    negligible = _EPS**2 * max(target.tail(0.0).lower / step, target.tail_variation(0.0).lower, 1e-290)
    while 2 * count <= _MOST_TERMS // 16:
        bounds = _target_tails(target, count, step)
        if all(bound.upper - bound.lower <= max(_KNOWN * bound.lower, negligible) for bound in bounds):
            break
        count *= 2
    return count


def _lifetime(moduli: Array) -> int:
    """The number of terms after which all powers are below e^{-45}."""
    slowest = float(np.max(moduli, initial=0.0))
    needed = 2.0 if slowest == 0 else max(2.0, math.ceil(_DEAD / -math.log(slowest)) + 1)
    if needed > _FARTHEST:
        raise ValueError(f"lam: |λ| = {slowest!r} needs {needed:.3g} terms, at most {_FARTHEST:.3g} are possible")
    return int(needed)


def _first_terms(target: Target | Array, rates: NDArray[Any], step: float, count: int) -> int:
    """How many of `count` terms are summed one by one: few, or until the target is smooth and only λ > 0 are alive."""
    if count <= _FEW_TERMS:
        return count
    rough = np.abs(rates) if np.iscomplexobj(rates) else -rates[rates <= 0]
    first = max(_FAR, _lifetime(rough))
    if isinstance(target, Target):
        features = [_FEATURES * max(term.time_scales) for term in target.terms if not term.is_monotone]
        first = max([first, *(math.ceil(time / step) + 2 for time in (*features, *target.breaks))])
    else:
        first = max(first, len(target) + 1)
    if min(first, count) > _MOST_TERMS:
        raise ValueError(f"lam: {min(first, count):.3g} terms are needed, at most {_MOST_TERMS} are summed one by one")
    return min(first, count)


def _far_sums(target: Target | Array, c: NDArray[Any], rates: NDArray[Any], step: float, begin: int, end: int) -> float:
    """Σ |e_k| + Σ |e_k - e_{k-1}| over begin ≤ k < end, by ranges that double (see the module's text)."""
    positive = rates > 0
    c, rates = c[positive], rates[positive]

    def smooth(weights: Array, x: Array) -> Array:
        return np.asarray(np.power(rates, x[..., None]) @ weights)

    def own(x: Array) -> Array:
        return target.rho(x * step) if isinstance(target, Target) else np.zeros_like(x)

    edges = np.append(begin * 2.0 ** np.arange(math.ceil(math.log2(end / begin))), float(end))
    middle, half = 0.5 * (edges[1:] + edges[:-1]), 0.5 * np.diff(edges)
    x = middle[:, None] + half[:, None] * NODES
    e = own(x) - smooth(c, x)
    change = own(x) - own(x - 1) - smooth(c * (1 - 1 / rates), x)
    total = 0.0
    for values, is_change in ((e, False), (change, True)):
        rows, u = sign_changes(values)
        cuts = np.unique(np.concatenate([edges, np.ceil(middle[rows] + half[rows] * u)]))
        if is_change:
            total += float(np.sum(np.abs(np.diff(own(cuts - 1) - smooth(c, cuts - 1)))))
        else:
            panel = np.minimum(np.searchsorted(edges, cuts[:-1], side="right") - 1, len(half) - 1)
            ends = (_primitive(values, middle, half, panel, n) for n in (cuts[:-1], cuts[1:]))
            total += float(np.sum(np.abs(np.subtract(*ends))))
    return total


def _primitive(values: Array, middle: Array, half: Array, panel: NDArray[np.intp], n: Array) -> Array:
    """∫p - p/2 + p⁽¹⁾/12 - p⁽³⁾/720 at n, p the polynomial of the given panel: its differences are sums of p(k)."""
    from numpy.polynomial.chebyshev import chebder, chebint, chebval

    c, h = chebyshev(values).T, half[panel]
    u = (n - middle[panel]) / h
    parts = ((chebint(c), h), (c, -0.5), (chebder(c), 1 / (12 * h)), (chebder(c, 3), -1 / (720 * h**3)))
    return np.asarray(sum(weight * chebval(u, part[:, panel], tensor=False) for part, weight in parts))


def _target_tails(target: Target | Array, count: int, step: float) -> tuple[TailBounds, TailBounds]:
    """Enclosures of Σ_{k≥count} |ρ_k| and Σ_{k≥count} |ρ_k - ρ_{k-1}|.

    The second lies between |ρ_{count-1}| and the variation of ρ from there on: they are equal for monotone kernels.
    """
    if not isinstance(target, Target):
        return TailBounds(0.0, 0.0), TailBounds(*[abs(float(target[-1])) if len(target) == count else 0.0] * 2)
    before = (count - 1) * step
    value = abs(float(target.rho(before)))
    jump = abs(target.right_limit(before) - float(target.rho(before)))
    variation = target.tail_variation(before)
    upper = variation.upper + jump
    return target.sampled_tail(count, step), TailBounds(min(value, upper), upper)


def _summed(
    target: Target | Array, c: NDArray[Any], rates: NDArray[Any], step: float, count: int
) -> tuple[float, float, float]:
    """Both sums over k < count, the sum of |ρ_k|, and the last e_k."""
    value, magnitude, last = 0.0, 0.0, 0.0
    for begin in range(0, count, _CHUNK):
        end = min(count, begin + _CHUNK)
        rho = _sampled(target, begin, end, step)
        e = rho - _powers(c, rates, begin, end)
        value += float(np.sum(np.abs(e)) + np.sum(np.abs(np.diff(e, prepend=last))))
        magnitude += float(np.sum(np.abs(rho)))
        last = float(e[-1])
    return value, magnitude, last


def _sampled(target: Target | Array, begin: int, end: int, step: float) -> Array:
    if isinstance(target, Target):
        return target.rho(np.arange(begin, end, dtype=np.float64) * step)
    values = target[begin:end]
    return np.pad(values, (0, end - begin - len(values)))


def _powers(c: NDArray[Any], rates: NDArray[Any], begin: int, end: int) -> Array:
    """Σ_i c_i λ_i^k (2 Re of it for complex λ) for begin ≤ k < end, as λ^{jL+l} = λ^{jL} λ^l."""
    if not len(c):
        return np.zeros(end - begin)
    inner, outer = np.arange(_BLOCK), np.arange(begin, end, _BLOCK)
    table = _power(rates, outer) * c @ _power(rates, inner).T
    sums = table.ravel()[: end - begin]
    return np.asarray(2 * sums.real if np.iscomplexobj(rates) else sums, dtype=np.float64)


def _power(rates: NDArray[Any], exponents: NDArray[np.int64]) -> NDArray[Any]:
    """λ_i^k, shape (k, m)."""
    k = exponents[:, None].astype(np.float64)
    if not np.iscomplexobj(rates):
        return np.asarray(np.power(rates, k))
    return np.asarray(np.power(np.abs(rates), k) * np.exp(1j * np.angle(rates) * k))
