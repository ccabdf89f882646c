"""At which times a loss compares kernels, with which weights; white noise and the covariance of its lags.

Times are sums t_ab = t_a + t_b of a few outer and inner times, so that e^{λt_ab} = e^{λt_a} e^{λt_b}: 1000 uniform
times need 25 + 40 exponentials for each mode. Any other times are inner times beside the one outer time 0.

The mean over N input sequences x and K steps of (Σ_j e_j · x_{k-j})² is the quadratic form eᵀCe in the empirical
covariance of the lags (x_k = 0 before k = 0):

    C_{ja,lb} = 1/(NK) Σ_n Σ_{k=max(j,l)}^{K-1} x_{n,k-j,a} x_{n,k-l,b}

With I = K-1-j, I' = K-1-l the inner sum is Σ_{s=0}^{min(I,I')} G_{I-s,I'-s}, G = Σ_n x_n x_nᵀ: sums along the diagonals
of one matrix. For N → ∞ it is (1 - j/K) δ_jl δ_ab. Source: derived here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from numerics.arguments import check_count
from numerics.fit_problem import FitProblem
from numerics.model_checks import available_memory
from numerics.time_nodes import TimeNodes, problem_nodes, sampled_nodes

Array = NDArray[np.float64]

_CPU = torch.device("cpu")
_MOST_STEPS = 4096
"""Of a finite horizon in discrete time that l2 takes one by one."""
_MOST_DIFFERENCES = 2**16
"""And w1inf."""
_MOST_SEQUENCE_STEPS = 1e9


class Resolution(NamedTuple):
    """The slowest and fastest -Re λ and the largest |Im λ| that times tell apart; in discrete time 1 - |λ| and |ω|."""

    slowest: float = 0.0
    fastest: float = math.inf
    highest: float = math.inf


@dataclass(frozen=True, eq=False)
class TimeGrid:
    """Times t_ab = outer_a + inner_b (steps in discrete time) with quadrature weights for ρ and for its slopes.

    Shapes: outer (A,), inner (N,), weights and slope_weights (A, N). Times of weight 0 do not count. In discrete time
    a node may stand between the steps; `odd` (N,) says which inner nodes then stand for odd steps.
    """

    outer: Array
    inner: Array
    weights: Array
    slope_weights: Array
    odd: NDArray[np.bool_] | None = None

    @property
    def times(self) -> Array:
        """(A, N)."""
        return self.outer[:, None] + self.inner


def product_grid(step: float, weights: Array, slope_weights: Array | None = None) -> TimeGrid:
    """The times 0, step, 2 step, ..., as many as there are weights; times of weight 0 may fill up the last row."""
    count, root = len(weights), math.isqrt(len(weights))
    outer = next((a for a in range(root, root // 2, -1) if count % a == 0), root)
    inner = -(-count // outer)
    given = (weights, weights if slope_weights is None else slope_weights)
    padded = [np.append(x, np.zeros(outer * inner - count)).reshape(outer, inner) for x in given]
    steps = step * np.arange(outer * inner, dtype=np.float64)
    return TimeGrid(steps[::inner], steps[:inner], padded[0], padded[1])


def plain_grid(
    times: Array, weights: Array, slope_weights: Array | None = None, odd: NDArray[np.bool_] | None = None
) -> TimeGrid:
    """Any times: the outer time is 0."""
    slope_weights = weights if slope_weights is None else slope_weights
    return TimeGrid(np.zeros(1), times, weights[None], slope_weights[None], odd)


def time_grid(
    problem: FitProblem, points: int | None = None, nodes: TimeNodes | None = None
) -> tuple[TimeGrid, Resolution]:
    """The times and weights of a problem whose rows share one target, and what they resolve.

    Raises ValueError for `points` and `nodes` that do not fit the problem, and where the loss of all times is infinite.
    """
    if nodes is not None and (points is not None or problem.loss == "sequences" or problem.time == "discrete"):
        raise ValueError("nodes: are for l2 and w1inf in continuous time, without points")
    if problem.loss == "sequences":
        step = problem.step_size if problem.time == "continuous" else 1.0
        return product_grid(step, np.ones(sequence_steps(problem))), Resolution()
    if problem.loss == "w1inf" and math.isinf(problem.horizon):
        for target in problem.targets[0]:
            target.require_integrable()
    if problem.time == "discrete":
        return _step_grid(problem)
    if points is not None:
        nodes = _uniform_nodes(problem, points)
    elif nodes is None:
        nodes = problem_nodes(problem, problem.targets[0])
    resolution = Resolution(*nodes.rates, nodes.highest)
    values, slopes = nodes.weights.copy(), nodes.weights.copy()
    times = nodes.times
    if problem.loss == "w1inf":  # |e(0)| among the values
        if times[0] > 0:
            times, values, slopes = (np.concatenate([[0.0], x]) for x in (times, values, slopes))
            values[0] = slopes[0] = 0.0
        values[0] += 1.0
    step = times[-1] / max(1, len(times) - 1)
    if np.allclose(times, step * np.arange(len(times)), rtol=1e-14, atol=0):
        return product_grid(step, values, slopes), resolution
    return plain_grid(times, values, slopes), resolution


def _uniform_nodes(problem: FitProblem, points: int) -> TimeNodes:
    """The trapezoidal rule."""
    check_count("points", points, 2)
    if math.isinf(problem.horizon):
        raise ValueError("points: uniform times need a finite horizon")
    step = problem.horizon / (points - 1)
    weights = np.full(points, step)
    weights[[0, -1]] = step / 2
    return sampled_nodes(np.linspace(0.0, problem.horizon, points), weights)


def _step_grid(problem: FitProblem) -> tuple[TimeGrid, Resolution]:
    """Sums over steps: one by one where there are few, else lumped; the first difference of w1inf is e_0 itself."""
    T, with_slopes = problem.horizon, problem.loss == "w1inf"
    if T < 1:
        raise ValueError(f"horizon: at least 1 step is needed, got {T!r}")
    if with_slopes and _MOST_DIFFERENCES < T < math.inf:
        raise ValueError(f"horizon: at most {_MOST_DIFFERENCES} steps are possible for w1inf, or all, got {T!r}")
    few = _MOST_DIFFERENCES if with_slopes else _MOST_STEPS
    if few >= T:
        weights, nodes = np.ones(math.floor(T)), None
    else:
        nodes = problem_nodes(problem, problem.targets[0])
        weights = nodes.weights
    values, slopes = weights.copy(), weights.copy()
    values[0] += with_slopes
    slopes[-1] *= math.isinf(T)  # T steps have T - 1 further differences
    if nodes is None:
        return product_grid(1.0, values, slopes), Resolution()
    if np.array_equal(nodes.times, np.arange(len(nodes))):
        return product_grid(1.0, values, slopes), Resolution(*nodes.rates)
    return plain_grid(nodes.times, values, slopes, nodes.odd), Resolution(*nodes.rates)


# Sequences


def white_noise(problem: FitProblem, count: int, seed: int) -> Array:
    """Standard normal inputs (count, K, d), K the steps of the horizon."""
    check_count("sequences", count, 1)
    check_count("data_seed", seed, 0)
    steps = sequence_steps(problem)
    size, left = 8 * steps * problem.input_dim * (count + 3 * steps * problem.input_dim), available_memory(_CPU)
    if size > left:
        raise ValueError(
            f"horizon: sequences of {steps:.6g} steps need about {size / 2**30:.3g} GiB and {left / 2**30:.3g} GiB are "
            "left; give a shorter one"
        )
    return np.random.default_rng([seed, steps]).standard_normal((count, steps, problem.input_dim))


def lag_covariance(x: Array) -> Array:
    """C (d, K, d, K) of inputs (N, K, d); see the module's text."""
    count, steps, d = x.shape
    flat = x.reshape(count, steps * d)
    sums = (flat.T @ flat).reshape(steps, d, steps, d)
    for later in range(1, steps):
        sums[later, :, 1:] += sums[later - 1, :, :-1]
    return sums[::-1, :, ::-1].transpose(1, 0, 3, 2) / (count * steps)


def sequence_steps(problem: FitProblem) -> int:
    """K."""
    steps = problem.horizon / problem.step_size if problem.time == "continuous" else problem.horizon
    if not steps <= _MOST_SEQUENCE_STEPS:
        raise ValueError(
            f"horizon: {problem.horizon!r} is {steps:.3g} steps; at most {_MOST_SEQUENCE_STEPS:.0e} are allowed"
        )
    count = round(steps) if problem.time == "continuous" else math.floor(steps)
    if count < 1:
        raise ValueError(f"horizon: {problem.horizon!r} is not one step")
    return count
