"""Nodes and weights in time for sums over kernels: few, dense where kernels change fast, and valid for stated rates.

    ∫_0^T g(t) dt ≈ Σ_n weight_n g(t_n),      in discrete time  Σ_{k<T} g(k) ≈ Σ_n weight_n g(k_n)

for g = |e|² and the like, e = ρ - Σ c_i e^{λ_i t}. In continuous time one Gauss-Legendre rule in s = log(1 + t/τ) for
each range between the breaks of the targets: it converges geometrically for sums of exponentials and crowds at both
ends, at t = 0 for fast modes and at a finite horizon T for the fit's steep last oscillations. Where a target may
oscillate (it is not completely monotone) or modes may, equal panels cover its time scales first.

In discrete time the first steps are taken one by one. Later ones are lumped into blocks that double in length, even and
odd steps apart (λ may be negative): on L equally spaced points the rule with n nodes that is exact for all polynomials
of degree < 2n is that of the Gram polynomials, whose recurrence coefficients are

    b_j = j² (L² - j²) / (4 (4j² - 1)),   j = 1..n-1,   centre (L-1)/2,   total weight L.

Its nodes lie between the points. Source: Golub and Welsch, Math. Comp. 23 (1969); Gautschi, Orthogonal Polynomials
(2004), 1.5.2. Times are numbers of steps Δ in discrete time.

All of [0, ∞) is cut at a T beyond which the energy ∫ρ² of the target is below what m modes can reach, and the rates
that are slower or faster than these nodes integrate to 1e-3 are named: a fit does not go there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from numerics.arguments import real_array
from numerics.quadrature import gauss_legendre
from numerics.targets import Target

if TYPE_CHECKING:
    from numerics.fit_problem import FitProblem

Array = NDArray[np.float64]

_RESOLVED = 1e-3
"""Relative error to which the energy of a mode must be integrated."""
_NODES_PER_PANEL = 10
_FEWEST = 3
_PHASE = 8.0
"""Radians of a mode in one panel: ten nodes integrate its square, of twice the phase, to 1e-6."""
_MOST_PANELS = 256
_PAIRS = 4
"""Pairs of complex modes that panels of two short time scales serve; more reach higher frequencies, about m of them."""
_EXACT_STEPS = 64
"""Steps taken one by one in discrete time, at least."""
_NODES_PER_BLOCK = 10
_MOST_STEPS = 2**16
"""Steps of a complex discrete problem, whose modes may oscillate at any frequency and cannot be lumped."""
_FARTHEST = 1e60


@dataclass(frozen=True, eq=False)
class TimeNodes:
    """Times t_n ≥ 0 (in discrete time numbers of steps, not always whole) and their positive weights, both (N,).

    odd: which nodes stand for odd steps (N,), None in continuous time; rates: the slowest and fastest -Re λ that the
    nodes resolve, in discrete time the smallest 1 - |λ| and 1; highest: the largest |Im λ| in continuous time.
    """

    times: Array
    weights: Array
    odd: NDArray[np.bool_] | None
    rates: tuple[float, float]
    highest: float = math.inf

    def __len__(self) -> int:
        return len(self.times)


def sampled_nodes(times: Sequence[float] | Array, weights: Sequence[float] | Array | None = None) -> TimeNodes:
    """Given times, with equal weights T/N unless stated (T the last time): a plain sum as a loss.

    Modes may be as fast as the first step lets them be seen, and as slow as they like.
    Raises ValueError where times are not increasing from at least 0 or weights are not positive.
    """
    t = real_array("times", times)
    if t.ndim != 1 or len(t) < 2 or not (np.all(np.diff(t) > 0) and t[0] >= 0 and math.isfinite(t[-1])):
        raise ValueError("times: at least two finite times are needed, increasing from 0 or later")
    w = np.full(len(t), t[-1] / len(t)) if weights is None else real_array("weights", weights)
    if w.shape != t.shape or not np.all((w > 0) & np.isfinite(w)):
        raise ValueError("weights: one positive number for each time is needed")
    step = float(np.diff(t).min())
    return TimeNodes(t, w, None, (1e-9 / t[-1], 10 / (t[1] - t[0])), math.pi / step)


def time_nodes(
    targets: Sequence[Target],
    m: int,
    *,
    time: str = "continuous",
    horizon: float = math.inf,
    step_size: float = 1.0,
    is_complex: bool = False,
    fine: int = 1,
    loss: str = "l2",
) -> TimeNodes:
    """Nodes for kernels with m modes against the targets of one row; `fine` times as many where 2 or more.

    All of [0, ∞) is cut where the energy ∫ρ² beyond is small for the loss "l2", where ∫|ρ| is for "w1inf".
    Raises ValueError where the horizon is infinite and a target has infinite energy ∫ρ², or a complex discrete problem
    needs more than 65,536 steps.
    """
    if time == "discrete":
        return _step_nodes(targets, m, horizon, step_size, is_complex, fine, loss)
    end = horizon if math.isfinite(horizon) else _farthest_time(targets, m, loss) * (10 if fine > 1 else 1)
    breaks = sorted({b for target in targets for b in target.breaks if 0 < b < end})
    first = min(min(target.time_scales) for target in targets) / 10
    uniform = _uniform_end(targets, is_complex, end)
    edges, highest = [0.0], math.inf
    if uniform:
        panel = 20 * first * (min(1.0, _PAIRS / m) if is_complex else 1.0)
        count = min(math.ceil(uniform / panel), _MOST_PANELS)
        first = uniform / count
        highest = _PHASE / first
        edges = [0.0, *(first / 4.0**k for k in (3, 2, 1)), *map(float, np.linspace(0.0, uniform, count + 1)[1:])]
    times, weights = _panel_rule(sorted({*edges, *(b for b in breaks if b < uniform)}), fine)
    log_edges = [uniform, *(b for b in breaks if b > uniform), end]
    if uniform < end:
        count = fine * _log_count(m * (2 if is_complex else 1), math.log1p((end - uniform) / first))
        late = _log_rule(log_edges, uniform, first, count)
        times, weights = np.append(times, late[0]), np.append(weights, late[1])
    return TimeNodes(times, weights, None, _resolved_rates(times, weights, math.isfinite(horizon)), highest)


def problem_nodes(problem: FitProblem, targets: Sequence[Target], fine: int = 1) -> TimeNodes:
    """The nodes of a problem for its rows with these targets. Raises ValueError as `time_nodes`."""
    return time_nodes(
        targets,
        problem.m,
        time=problem.time,
        horizon=problem.horizon,
        step_size=problem.step_size,
        is_complex=problem.is_complex,
        fine=fine,
        loss=problem.loss,
    )


def _uniform_end(targets: Sequence[Target], is_complex: bool, end: float) -> float:
    """Up to which time equal panels are needed: 0 where everything is smooth in log time."""
    if not is_complex and all(target.completely_monotone for target in targets):
        return 0.0
    if any(target.decay.kind == "none" for target in targets):
        return end
    return min(end, 2 * max(max(target.time_scales) for target in targets))


def _panel_rule(edges: Sequence[float], fine: int) -> tuple[Array, Array]:
    """Ten nodes on every panel, three where a sampled target has a kink at every step; none where there is no panel."""
    nodes = _NODES_PER_PANEL if len(edges) < 2 * _MOST_PANELS else _FEWEST
    return gauss_legendre(np.array(edges), nodes * fine) if len(edges) > 1 else (np.zeros(0), np.zeros(0))


def _log_count(m: int, length: float) -> int:
    """Nodes for m real modes over a range of `length` in log time."""
    return math.ceil(4 * m + 3 * length + 16)


def _log_rule(edges: Sequence[float], start: float, scale: float, count: int) -> tuple[Array, Array]:
    """Gauss-Legendre in s = log(1 + (t - start)/scale) between edges, `count` nodes in all, or 3 a piece at least."""
    s = np.log1p((np.array(edges) - start) / scale)
    share = np.diff(s) / s[-1]
    least = max(_FEWEST, min(16, count // len(share)))
    times, weights = [], []
    for left, right, part in zip(s[:-1], s[1:], share, strict=True):
        points, weight = gauss_legendre(np.array([left, right]), max(least, math.ceil(part * count)))
        times.append(start + scale * np.expm1(points))
        weights.append(weight * scale * np.exp(points))
    return np.concatenate(times), np.concatenate(weights)


def _resolved_rates(times: Array, weights: Array, finite: bool) -> tuple[float, float]:
    """The slowest and fastest r for which Σ weight e^{-2rt} is 1/(2r) to 1e-3; any slow one before a finite horizon."""
    end = float(times[-1])
    r = np.geomspace(1e-3 / end, 10 / float(times[0]), 400)
    mass = -np.expm1(-2 * r * end) if finite else np.ones_like(r)
    value = np.array([float(weights @ np.exp(-2 * rate * times)) for rate in r]) * 2 * r
    good = np.flatnonzero(np.abs(value - mass) <= _RESOLVED)
    return (1e-9 / end if finite else float(r[good[0]])), float(r[good[-1]])


# How far


def _farthest_time(targets: Sequence[Target], m: int, loss: str) -> float:
    return max(_mass_time(target, m) if loss == "w1inf" else _energy_time(target, m) for target in targets)


def _mass_time(target: Target, m: int) -> float:
    """T such that ∫_T^∞ |ρ| is small against what m modes can reach in W^{1,∞}, and at least 30 time scales."""
    target.require_integrable()
    decay, longest = target.decay, max(target.time_scales)
    kappa = decay.exponent - 1 if decay.kind == "polynomial" and decay.exponent is not None else 1.0
    wanted = max(1e-3 * math.exp(-math.pi * math.sqrt(2 * kappa * m)), 1e-16) * target.tail(0.0).upper
    end = 30 * longest
    while target.tail(end).upper > wanted and end < _FARTHEST:
        end *= 2
    return end


def _energy_time(target: Target, m: int) -> float:
    """T such that ∫_T^∞ ρ² is small against what m modes can reach, and at least 30 of the longest time scale.

    For ρ ~ t^{-p} with κ = p - 1/2 the tail falls as T^{-2κ} and the least error of m modes about as e^{-π√(2κm)}
    (numerics.expsum, with the energy in place of the L¹ norm).
    """
    longest = max(target.time_scales)
    edges = np.concatenate([[0.0], longest * 2.0 ** np.arange(-12, 200)])
    t, weights = gauss_legendre(edges, 8)
    parts = (weights * target.rho(t) ** 2).reshape(-1, 8).sum(axis=1)
    tails = np.cumsum(parts[::-1])[::-1] / max(float(parts.sum()), 1e-300)
    exponent = target.decay.exponent
    if not tails[-1] < 1e-3 or (target.decay.kind == "polynomial" and exponent is not None and exponent <= 0.5):
        raise ValueError(f"target {target.spec!r}: its energy ∫ρ² over all times is infinite; give a finite horizon")
    kappa = exponent - 0.5 if target.decay.kind == "polynomial" and exponent is not None else 1.0
    wanted = max(1e-6 * math.exp(-2 * math.pi * math.sqrt(2 * kappa * m)), 1e-33)
    reached = np.flatnonzero(tails <= wanted)
    last = edges[reached[0]] if reached.size else edges[-1]
    return float(min(max(last, 30 * longest), _FARTHEST))


# Discrete time


def _step_nodes(
    targets: Sequence[Target], m: int, horizon: float, step_size: float, is_complex: bool, fine: int, loss: str
) -> TimeNodes:
    end = horizon if math.isfinite(horizon) else _farthest_time(targets, m, loss) / step_size * (10 if fine > 1 else 1)
    steps = max(1.0, math.floor(end)) if end < 2.0**53 else end
    slowest = 1e-9 / steps if math.isfinite(horizon) else 4 / steps
    breaks = max((b for target in targets for b in target.breaks), default=0.0) / step_size
    exact = min(steps, max(_EXACT_STEPS, 2 * math.ceil(breaks)))
    if is_complex:
        exact = steps
    if exact > _MOST_STEPS:
        raise ValueError(f"horizon: {exact:.3g} single steps are too many, at most {_MOST_STEPS}; give a shorter one")
    k = np.arange(exact)
    times, weights, odd = [k], [np.ones_like(k)], [k % 2 == 1]
    first, length = exact, exact
    while first < steps:
        length = min(length, steps - first)
        for parity in (0, 1):
            points = math.floor((length - parity + 1) / 2)
            nodes, weight = _gram_rule(points, _NODES_PER_BLOCK * fine)
            times.append(first + parity + 2 * nodes)
            weights.append(weight)
            odd.append(np.full(len(nodes), (first + parity) % 2 == 1))
        first, length = first + length, 2 * length
    return TimeNodes(np.concatenate(times), np.concatenate(weights), np.concatenate(odd), (slowest, 1.0))


def _gram_rule(points: float, nodes: int) -> tuple[Array, Array]:
    """Nodes in [0, points - 1] and weights of Σ_{k<points} g(k), exact for polynomials of degree < 2 · nodes."""
    if points <= nodes:
        return np.arange(points, dtype=np.float64), np.ones(int(points))
    j = np.arange(1, nodes, dtype=np.float64)
    off = np.sqrt((1 - (j / points) ** 2) / (4 * (4 * j**2 - 1))) * j
    values, vectors = np.linalg.eigh(np.diag(off, 1) + np.diag(off, -1))
    return (points - 1) / 2 + points * values, points * vectors[0] ** 2
