"""Hankel singular values of analytic kernels beyond float64: a Nyström matrix of the formula, in high precision.

With a quadrature rule (t_i, w_i) on [0, T] the Hankel operator of k becomes the symmetric matrix

    K_ij = √(w_i w_j) k(t_i + t_j),

whose singular values fall like those of Γ, to 1e-30 of the largest and further, where float64 has noise. Its entries
and the pivoted factorization K = Q R + E are computed in as many bits as that needs. The rows of R are graded,
R = diag·(well-conditioned), so that R can be rounded to float64: one-sided Jacobi iterations find its singular values
to high relative accuracy, and σ_j(R)² ≤ σ_j(K)² ≤ σ_j(R)² + ‖E‖².

The rule is Gauss-Legendre on panels in u, t = s(e^u - 1): a kernel with its singularities at t ≤ -s, such as
(1+t/s)^{-p}, is analytic for |Im u| < π, where Bernstein's ellipse around a panel of length 4 has the parameter 3.43:
the error falls by a factor between 3.43 and 3.43² with every node a panel, and faster and faster for entire kernels.
A rule is no compression: unlike Galerkin's matrix, K does not bound from below by itself. Its error falls geometrically
with the number of nodes, and the difference between two rules, the finer with 5/4 as many nodes, is subtracted; it
estimates the error of the coarser. Leaving out t > T is a compression, so that it only lowers the values, by at most
2 ∫_T^∞|k|.
Source: derived here; Demmel et al., Linear Algebra Appl. 299 (1999) 21, for singular values from graded factors.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numerics.cauchy import graded_singular_values
from numerics.targets import Target

Array = NDArray[np.float64]

_EPS = float(np.finfo(np.float64).eps)
_AGREE = 1e-7  # of two rules, relative; also the tail left out, relative to the last value wanted
_REST = 1e-5  # of the factorization, relative to it; only the square counts
_SMALLEST = 1e-100  # of the largest: values below it are not looked for
_LONGEST = 4.0  # panel, in u
_GAIN = 1.6  # log of the accuracy gained by a node a panel (a first guess)
_FINER = 1.25
_MAX_SIZE = 800  # of a matrix


def formula(target: Target, derivative: bool) -> Any | None:
    """The expression of ρ or ρ', where it is analytic on [0, ∞); None for others."""
    import sympy as sp

    from theory.notation import t

    expr = target.expression
    if expr is None or target.jumps or expr.has(sp.Heaviside, sp.Abs, sp.sign, sp.Max, sp.Min, sp.Piecewise):
        return None
    return expr.diff(t) if derivative else expr


def singular_values(
    target: Target, count: int, derivative: bool, guess: float = 1e-16
) -> tuple[Array, Array, Array] | None:
    """The `count` largest with lower bounds (up to the estimate of the rule's error) and upper estimates, (count,).

    `guess` is a guess of σ_count/σ_1. Values below 1e-100 of the largest have wide bounds. None where the kernel has no
    analytic formula, or its matrix would be too large.
    """
    expr = formula(target, derivative)
    if expr is None:
        return None
    if expr == 0:
        return np.zeros(count), np.zeros(count), np.zeros(count)
    tail = target.tail_variation if derivative else target.tail
    last = min(max(0.5 * guess, _SMALLEST), 1e-3)
    while True:
        end = _end(target, tail, _AGREE * last)
        found = _two_rules(expr, *_edges(target, end), count, last)
        if found is None:
            return None
        values, error, rest = found
        if error is not None:
            upper = np.hypot(values, rest) + error + 2 * tail(end).upper
            return values, np.maximum(values - error, 0.0), upper
        last = max(_SMALLEST, _deeper(values, last))


def _deeper(values: Array, last: float) -> float:
    """A new guess of σ_count/σ_1 where it is below `last`: what was seen, or else extrapolated from those above."""
    seen = 0.5 * float(values[-1] / values[0])
    above = int(np.count_nonzero(values >= last * values[0]))
    return seen if seen > 0 else float(last ** max(1.3, 1.15 * len(values) / above))


def _two_rules(
    expr: Any, edges: list[float], scale: float, count: int, last: float
) -> tuple[Array, Array | None, float] | None:
    """Values, their error and ‖E‖ of two rules that agree on all above `last`; no error where σ_count/σ_1 is below."""
    nodes = max(8, math.ceil(-math.log(0.1 * _AGREE * last) / _GAIN))
    coarse: Array | None = None
    while (len(edges) - 1) * nodes <= _MAX_SIZE:
        values, rounding, rest = _by_rule(expr, edges, scale, nodes, count, _REST * last)
        large = values >= last * values[0]
        if not large[-1] and last > _SMALLEST:
            return values, None, rest
        if coarse is not None:
            error = np.abs(values - coarse) + rounding * values
            if np.all(error[large] <= _AGREE * values[large]):
                return values, error, rest
        coarse, nodes = values, math.ceil(_FINER * nodes)
    return None


def _by_rule(
    expr: Any, edges: list[float], scale: float, nodes: int, count: int, goal: float
) -> tuple[Array, float, float]:
    from numerics.enclosure import hankel_rows
    from theory.notation import t

    rows, rest, norm = hankel_rows(expr, t, edges, scale, nodes, goal)
    values, rounding = graded_singular_values(np.array(rows).T, _EPS)
    return norm * np.concatenate([values, np.zeros(count)])[:count], rounding, norm * rest


def _end(target: Target, tail: Any, depth: float) -> float:
    """T such that the part after T is below the fraction `depth` of all."""
    end, goal = max(target.time_scales), depth * tail(0.0).lower
    while tail(end).upper > goal and end < 1e150:
        end *= 1.2
    return end


def _edges(target: Target, end: float) -> tuple[list[float], float]:
    """Panels in u of [0, end], t = scale·(e^u - 1), that end at the breaks and are at most _LONGEST long."""
    scale = min(target.time_scales)
    marks = [math.log1p(time / scale) for time in (*(x for x in sorted(target.breaks) if x < end), end)]
    edges = [0.0]
    for mark in marks:
        pieces = math.ceil((mark - edges[-1]) / _LONGEST)
        edges += [edges[-1] + (mark - edges[-1]) * (k + 1) / pieces for k in range(pieces)]
    return edges, scale
