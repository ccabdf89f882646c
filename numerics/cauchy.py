"""Hankel singular values of completely monotone kernels to high relative accuracy, in float64.

For ρ(t) = ∫ e^{-xt} dμ(x), μ ≥ 0, the Hankel operator (Γφ)(s) = ∫_0^∞ ρ(s+t) φ(t) dt on L²(0,∞) is a sum of
projections, Γ = ∫ e_x ⊗ e_x dμ(x) with e_x(t) = e^{-xt} and <e_x, e_y> = 1/(x+y). For finitely many nodes its nonzero
eigenvalues are those of the Gram matrix, a scaled Cauchy matrix: with x_i = e^{y_i} and v_i = √(weight_i/x_i)

    A_ij = √(weight_i weight_j)/(x_i + x_j) = v_i v_j / (2 cosh((y_i - y_j)/2)).

They decay like e^{-c√j}, far below what an eigenvalue routine resolves (1e-16 of the largest). But the Schur
complements of a Cauchy matrix are Cauchy matrices: eliminating row k multiplies v_i by tanh((y_i - y_k)/2). So the
Cholesky factor with diagonal pivoting, A = X Xᵀ, is a product without any subtraction of rounded numbers,

    X_ik = g_i / (√2 cosh((y_i - y_k)/2)),   g_i = v_i Π_{l before k} tanh((y_i - y_l)/2),

each entry right to a few units of roundoff; X is a well-conditioned matrix K times a graded diagonal, and one-sided
Jacobi iterations (LAPACK's dgejsv) find the singular values of such a product to high relative accuracy.
Source: Demmel, SIAM J. Matrix Anal. Appl. 21 (1999) 562; Drmač and Veselić, ibid. 29 (2008) 1322.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numerics.spectral import alias_error, log_density, mass_over_rate
from numerics.targets import SpectralMeasure

Array = NDArray[np.float64]

_EPS = float(np.finfo(np.float64).eps)
_GOAL = 1e-9  # relative width of the enclosures
_DEEPEST = 620.0  # e^{-620} = 1e-269: smaller eigenvalues are not represented
_MAX_RANK = 600
_MAX_NODES = 200_000
_FALL_FOR_LANCZOS = 14.0  # where σ_count/σ_1 is about 1e-6 or more
_COARSEST_STEP = 0.5


class Nodes(NamedTuple):
    """Log-rates y = high + low (two floats, so that close rates keep their distance) and log v, each (n,)."""

    high: Array
    low: Array
    log_v: Array


class Factor(NamedTuple):
    """A = e^{2·log_scale} (X Xᵀ + R) with R positive semidefinite and tr R = remainder; X is (n, rank)."""

    X: Array
    remainder: float
    log_scale: float


def singular_values(measure: SpectralMeasure, count: int) -> tuple[Array, Array, Array]:
    """The `count` largest Hankel singular values σ_1 ≥ σ_2 ≥ … with lower and upper bounds, each of shape (count,).

    The measure is replaced by the trapezoidal rule in log x with finitely many nodes, ρ by ρ_h. Then

        |σ_j(ρ) - σ_j(ρ_h)| ≤ ‖ρ - ρ_h‖_{L¹} ≤ ε_h ‖ρ‖_{L¹},

    and nodes left out and the remainder R of the factorization only lower σ_j, by at most their traces. Rounding
    enters as estimated in the code, times the computed condition of K. Step, ends and rank are refined until all but
    rounding is below 1e-9 of each value, or the rank is 600; values below 1e-269 ‖ρ‖ count as 0. Where densities with
    p near 1 make X too large, the spectrum falls slowly, float64 is enough, and Lanczos iterations with the same matrix
    take over.
    """
    total = mass_over_rate(measure)
    largest = norm_bound(measure)
    slow = min((density.p for density in measure.densities), default=math.inf) - 1
    depth = 25.0 + _expected_fall(measure, count)
    while True:
        if depth**2 > _MAX_RANK * 2 * math.pi**2 * slow and _expected_fall(measure, count) < _FALL_FOR_LANCZOS:
            return _by_lanczos(measure, count)
        values, truncation, rounding, rank = _attempt(measure, count, depth)
        enough = np.all(truncation[1] <= np.maximum(_GOAL * values, math.exp(-_DEEPEST) * total))
        if enough or depth >= _DEEPEST or rank == _MAX_RANK:
            break
        depth = min(1.5 * depth, _DEEPEST)
    lower = np.maximum(values * (1 - rounding) - truncation[0], 0.0)
    return values, lower, np.minimum(values * (1 + rounding) + truncation[1], largest)


def norm_bound(measure: SpectralMeasure) -> float:
    """An upper bound of ‖Γ‖: traces and, as (1+t/s)^{-p} ≤ s/t, Hilbert's inequality ‖Γ‖ ≤ π s."""
    atoms = [0.5 * weight / rate for rate, weight in measure.atoms]
    parts = [d.scale * d.s * min(0.5 / (d.p - 1), math.pi) for d in measure.densities]
    return math.fsum([*atoms, *parts]) * (1 + 1e-12)


def _expected_fall(measure: SpectralMeasure, count: int) -> float:
    """A guess of log(‖ρ‖/σ_count): for one density σ_j is about e^{-π√(2(p-1)j)}.

    (In the variable y and its frequency ξ the operator has the symbol e^{-(p-1)|y|} π/cosh(πξ) on y < 0; the area of
    (p-1)|y| + π|ξ| < L is L²/((p-1)π), and each eigenvalue takes 2π of it.)
    """
    powers = [density.p for density in measure.densities]
    return math.pi * math.sqrt(2 * (min(powers) - 1) * count) if powers else 0.0


def _attempt(measure: SpectralMeasure, count: int, depth: float) -> tuple[Array, tuple[float, float], float, int]:
    """Values, what truncation may have added and taken away, the relative rounding error, and the rank."""
    nodes, step, dropped = quadrature(measure, depth)
    factor = cholesky(nodes, math.exp(-depth), _MAX_RANK)
    scale = math.exp(2 * factor.log_scale)
    values, rounding = _squared_singular_values(factor.X)
    values = np.concatenate([scale * values, np.zeros(count)])[:count]
    alias = sum(alias_error(d.p, step) * d.scale * d.s / (d.p - 1) for d in measure.densities)
    return values, (alias, alias + dropped + scale * factor.remainder), rounding, factor.X.shape[1]


def _by_lanczos(measure: SpectralMeasure, count: int) -> tuple[Array, Array, Array]:
    """The same, for a slowly falling spectrum: A times a vector by FFT on the grid, where 1/cosh is a Toeplitz matrix.

    Ritz values lie below the eigenvalues; the upper bounds take for granted that Lanczos has missed none.
    """
    from scipy.fft import next_fast_len  # slow to import
    from scipy.sparse.linalg import LinearOperator, eigsh

    nodes, step, dropped = quadrature(measure, 20.0 + _expected_fall(measure, count))
    atoms, n = len(measure.atoms), len(nodes.high)
    scale, v = math.exp(2 * np.max(nodes.log_v)), np.exp(nodes.log_v - np.max(nodes.log_v))
    grid = n - atoms
    length = next_fast_len(2 * grid, real=True)
    lags = np.minimum(np.arange(length), length - np.arange(length))
    symbol = np.fft.rfft(_half_sech(step * lags))
    edge = _half_sech(nodes.high[:, None] - nodes.high[:atoms])  # (n, atoms)

    def multiply(x: Array) -> Array:
        scaled = v * np.ravel(x)
        result = edge @ scaled[:atoms]
        result[:atoms] += edge[atoms:].T @ scaled[atoms:]
        result[atoms:] += np.fft.irfft(symbol * np.fft.rfft(scaled[atoms:], length), length)[:grid]
        return v * result

    start = np.sqrt(v)  # fixed, so that the result is the same every time
    operator = LinearOperator((n, n), matvec=multiply, dtype=np.float64)
    found, vectors = eigsh(operator, k=min(count, n - 1), which="LA", v0=start, ncv=min(n, 3 * count + 30))
    order = np.argsort(-found)
    residual = max(float(np.linalg.norm(multiply(vectors[:, j]) - found[j] * vectors[:, j])) for j in order)
    values = np.concatenate([scale * found[order], np.zeros(count)])[:count]
    alias = sum(alias_error(d.p, step) * d.scale * d.s / (d.p - 1) for d in measure.densities)
    slack = alias + scale * (residual + 1000 * _EPS * float(found[order[0]]))
    return values, np.maximum(values - slack, 0.0), np.minimum(values + slack + dropped, norm_bound(measure))


def signed_singular_values(plus: SpectralMeasure, minus: SpectralMeasure, count: int) -> tuple[Array, Array, Array]:
    """The same for ρ(t) = ∫ e^{-xt} d(μ₊ - μ₋): values, lower and upper bounds, to about 1e-14 of the largest.

    Γ = Σ_i S_i weight_i e_i ⊗ e_i with weights of μ₊ + μ₋ and S_i ∈ [-1, 1]; with A = X Xᵀ + Y Yᵀ the matrix Xᵀ S X is
    a compression of Γ: its |eigenvalues| lie below the singular values, by at most 2‖X‖‖Y‖ + ‖Y‖².
    """
    union = SpectralMeasure((*plus.atoms, *minus.atoms), (*plus.densities, *minus.densities))
    nodes, step, dropped = quadrature(union, 60.0)
    y = nodes.high[len(union.atoms) :]
    both = log_density(union, y)
    grid = np.exp(log_density(plus, y) - both) - np.exp(log_density(minus, y) - both)
    sign = np.concatenate([np.ones(len(plus.atoms)), -np.ones(len(minus.atoms)), grid])
    factor = cholesky(nodes, math.exp(-60.0), _MAX_RANK)
    scale = math.exp(2 * factor.log_scale)
    compressed = np.linalg.eigvalsh(factor.X.T @ (sign[:, None] * factor.X))
    values = np.concatenate([scale * np.sort(np.abs(compressed))[::-1], np.zeros(count)])[:count]
    size = float(np.linalg.norm(factor.X, 2)) ** 2
    alias = sum(alias_error(d.p, step) * d.scale * d.s / (d.p - 1) for d in union.densities)
    rank = factor.X.shape[1]
    slack = alias + dropped + scale * (4 * rank + 60) * _EPS * math.sqrt(rank) * size
    loss = scale * (2 * math.sqrt(size * factor.remainder) + factor.remainder)
    lower = np.where(np.arange(count) < rank, np.maximum(values - slack, 0.0), 0.0)
    upper = np.minimum(values + slack + loss, norm_bound(union))
    return values, lower, np.where(np.arange(count) < len(nodes.high), upper, alias + dropped)


def _half_sech(y: Array) -> Array:
    """1/(2 cosh(y/2))."""
    return np.asarray(0.5 / np.cosh(0.5 * np.minimum(np.abs(y), 1400.0)))


def quadrature(measure: SpectralMeasure, depth: float) -> tuple[Nodes, float, float]:
    """Nodes for errors of about e^{-depth}, relative to ‖ρ‖: (nodes, step, the trace of what was left out)."""
    high, low, log_v = _atoms(measure)
    if not measure.densities:
        return Nodes(high, low, log_v), 0.0, 0.0
    step = _COARSEST_STEP
    while max(alias_error(d.p, step) for d in measure.densities) > math.exp(-depth) and step > 2**-10:
        step /= 2  # dyadic: every multiple of it is exact
    first = min(-math.log(d.s) - max(depth - math.lgamma(d.p), 1.0) / (d.p - 1) for d in measure.densities)
    last = max(math.log(3 * (d.p + depth) / d.s) for d in measure.densities)
    k_last = math.ceil(last / step)
    k_first = max(math.floor(first / step), k_last - _MAX_NODES)
    y: Array = step * np.arange(k_first, k_last + 1, dtype=np.float64)
    grid = 0.5 * (log_density(measure, y) - y + math.log(step))
    kept = 2 * grid > 2 * np.max(grid) - 1.5 * depth - 20
    dropped = 0.5 * float(np.sum(np.exp(2 * grid[~kept]))) + _beyond(measure, step, y[0], y[-1])
    nodes = Nodes(
        np.concatenate([high, y[kept]]),
        np.concatenate([low, np.zeros(int(kept.sum()))]),
        np.concatenate([log_v, grid[kept]]),
    )
    return nodes, step, dropped


def _atoms(measure: SpectralMeasure) -> tuple[Array, Array, Array]:
    import mpmath  # slow to import

    with mpmath.workdps(40):
        logs = [mpmath.log(rate) for rate, _ in measure.atoms]
        high = np.array([float(y) for y in logs])
        low = np.array([float(y - float(y)) for y in logs])
    return high, low, np.array([0.5 * math.log(weight / rate) for rate, weight in measure.atoms])


def _beyond(measure: SpectralMeasure, step: float, first: float, last: float) -> float:
    """Σ v²/2 over the nodes before `first` (a geometric series bounds it) and after `last` (the ratio is below 1/e)."""
    total = 0.0
    for p, s, scale in ((d.p, d.s, d.scale) for d in measure.densities):
        constant = math.log(step * scale) + p * math.log(s) - math.lgamma(p)
        total += 0.5 * math.exp(constant + (p - 1) * (first - step)) / -math.expm1(-(p - 1) * step)
        # After `last`, s x ≥ 3(p + depth): the logarithm falls with slope -(s x - p + 1) ≤ -(2p + 1) in y.
        after = last + step
        total += 0.5 * math.exp(constant + (p - 1) * after - s * math.exp(after)) / -math.expm1(-(2 * p + 1) * step)
    return total


def cholesky(nodes: Nodes, tolerance: float, max_rank: int) -> Factor:
    """The pivoted Cholesky factor of the scaled Cauchy matrix, column by column, until tr R ≤ tolerance·(largest v²).

    Entries of g below 1e-150 of the largest v (squares below the smallest double) are taken as 0.
    """
    log_scale = float(np.max(nodes.log_v))
    g = np.exp(nodes.log_v - log_scale)
    columns: list[Array] = []
    while len(columns) < min(max_rank, len(g)):
        k = int(np.argmax(np.abs(g)))
        if 0.5 * float(g @ g) <= tolerance**1.5 or abs(g[k]) < 1e-150:
            break
        half = 0.5 * ((nodes.high - nodes.high[k]) + (nodes.low - nodes.low[k]))
        columns.append(g / (math.sqrt(2) * np.cosh(np.minimum(np.abs(half), 700.0))))
        g = g * np.tanh(half)
    return Factor(np.stack(columns, axis=1), 0.5 * float(g @ g), log_scale)


def _squared_singular_values(X: Array) -> tuple[Array, float]:
    """The eigenvalues of X Xᵀ, falling, and a bound of their relative rounding error: twice that of X's.

    An entry of X has the relative error η = (4 rank + 60) roundoffs (a tanh, a product, a cosh a column, and exp(log v)
    of a logarithm of up to a few hundred).
    """
    values, rounding = graded_singular_values(X, (4 * X.shape[1] + 60) * _EPS)
    return values**2, 2 * rounding


def graded_singular_values(X: Array, entry_error: float) -> tuple[Array, float]:
    """The singular values of X = K·diag, falling, and a bound of their relative rounding error; X is (n, rank).

    A relative error η of the entries moves each singular value by at most the fraction ‖δK‖ ‖K⁺‖ ≤ η √rank/σ_min(K),
    where K has unit columns; dgejsv adds about n roundoffs times the condition of K.
    """
    from scipy.linalg import lapack  # slow to import

    n, rank = X.shape
    spread = np.linalg.svd(X / np.linalg.norm(X, axis=0), compute_uv=False)
    ratio, _, _, work, _, info = lapack.dgejsv(np.asfortranarray(X), joba=0)
    if info != 0:
        raise ArithmeticError(f"the Jacobi iteration of a {n}×{rank} factor did not converge (dgejsv info = {info})")
    error = (entry_error * math.sqrt(rank) + n * _EPS * float(spread[0])) / float(spread[-1])
    return ratio * (work[0] / work[1]), error
