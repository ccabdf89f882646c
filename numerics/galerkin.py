"""Hankel singular values of any kernel by compression to piecewise polynomials of time.

For an orthogonal projection P, the singular values of PΓP are at most those of Γ, so that the matrix of

    (Γφ)(s) = ∫_0^∞ ρ(s+t) φ(t) dt

in an orthonormal system, H_ij = ∫∫ p_i(s) ρ(s+t) p_j(t) dt ds, gives lower bounds; it is symmetric, and its singular
values are the |eigenvalues|. Here p_i are the Legendre polynomials of panels of [0, T]. Panels end where singular
functions may break: σφ = Γφ takes a break x of φ to τ - x for each break τ of ρ, starting from x = 0. Samples have too
many breaks for that; their panels are equal, and H depends on the sum of two panel numbers only. On a pair of panels
over which ρ(s+t) is smooth, H is a Gauss rule in both variables. Where it is not, it is a Gauss rule in r = s+t, split
at the breaks, with the inner integral ∫ p_i(u) p_j(r-u) du of polynomials done exactly.
Source: derived here; Eckart-Young and Cauchy interlacing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Kernel = Callable[[Array], Array]
Panel = tuple[float, float]

_EPS = float(np.finfo(np.float64).eps)
_DEGREE, _NODES = 14, (22, 17)  # polynomials a panel, and nodes of two rules
_MANY = 3000  # breaks, from which on these are cheaper:
_LOW_DEGREE, _FEW_NODES = 6, (9, 8)  # exact where ρ is linear between the breaks
_MAX_REFLECTED = 40
_MAX_PANELS = 90
_EQUAL_PANELS, _MORE_PANELS = 40, 120  # for samples, by degree
_CHUNK = 256  # pieces of an integral at once


def singular_values(
    kernel: Kernel, count: int, breaks: tuple[float, ...], end: float, shortest: float, outside: float
) -> tuple[Array, Array, Array]:
    """The `count` largest singular values with a lower bound and an upper estimate, each of shape (count,).

    `kernel` is ρ, smooth between the `breaks` (> 0); [0, end] is the support kept and `outside` bounds what is left
    out, ∫_end^∞|ρ|; `shortest` is the shortest time over which ρ changes. Panels are halved until polynomials of four
    degrees fewer give the same values to 1e-7, those above 1e-9 of the largest. The lower bounds are true up to the
    quadrature error (estimated by a second rule) and rounding, both subtracted; values below about 1e-14 of the largest
    have the lower bound 0.
    """
    edges = panel_edges(breaks, end, shortest)
    degree, nodes = (_DEGREE, _NODES) if len(breaks) < _MANY else (_LOW_DEGREE, _FEW_NODES)
    while True:
        matrix, error = _matrix(kernel, edges, breaks, degree, nodes)
        values = _falling(matrix, count)
        kept = np.arange(len(matrix)) % degree < degree - 4
        gap = values - _falling(matrix[np.ix_(kept, kept)], count)
        significant = values > 1e-9 * values[0]
        if not np.any(gap[significant] > 1e-7 * values[significant]) or 2 * len(edges) > _MAX_PANELS:
            break
        edges = np.sort(np.concatenate([edges, 0.5 * (edges[1:] + edges[:-1])]))
    slack = error + len(matrix) * _EPS * float(values[0])
    return values, np.maximum(values - slack, 0.0), values + slack + np.maximum(gap, 0.0) + 2 * outside


def panel_edges(breaks: tuple[float, ...], end: float, shortest: float) -> Array:
    """0, the breaks of the singular functions, a geometric grid from `shortest` to `end`, and `end`."""
    if len(breaks) > 4 and end <= 4 * breaks[-1]:
        return np.linspace(0.0, end, 1 + (_EQUAL_PANELS if len(breaks) < _MANY else _MORE_PANELS))
    points, frontier = {0.0}, {0.0}
    while frontier and breaks and len(points) < _MAX_REFLECTED and len(breaks) <= 4:
        reflected = {tau - x for tau in breaks for x in frontier if tau > x}
        frontier = {x for x in reflected if min(abs(x - y) for y in points) > 1e-9 * breaks[-1]}
        points |= frontier
    if len(breaks) > 4:  # samples and a long tail: the panels follow as many breaks as are affordable
        points |= set(breaks[:: max(1, len(breaks) // _MAX_REFLECTED)])
    grid = shortest * 2.0 ** np.arange(0, max(0.0, math.log2(end / shortest)))
    points |= {float(x) for x in grid if x < end}
    kept = [0.0]
    for x in sorted(points):
        if x - kept[-1] > 1e-9 * x and x < end * (1 - 1e-9):
            kept.append(x)
    return np.array([*kept, end])


def _falling(matrix: Array, count: int) -> Array:
    values = np.sort(np.abs(np.linalg.eigvalsh(matrix)))[::-1]
    return np.concatenate([values, np.zeros(count)])[:count]


def _legendre(x: Array, degree: int) -> Array:
    """Orthonormal Legendre polynomials of [-1, 1] of degree 0..degree-1 at x: shape (*x, degree)."""
    return np.polynomial.legendre.legvander(x, degree - 1) * np.sqrt(np.arange(degree) + 0.5)


def _matrix(
    kernel: Kernel, edges: Array, breaks: tuple[float, ...], degree: int, nodes: tuple[int, int]
) -> tuple[Array, float]:
    """H in the Legendre basis of the panels, and an estimate of the quadrature error (Frobenius norm)."""
    panels = list(pairwise(edges))
    matrix = np.zeros((degree * len(panels), degree * len(panels)))
    error = 0.0
    rules = [np.polynomial.legendre.leggauss(n) for n in nodes]
    bases = [(x, w, _legendre(x, degree) * w[:, None]) for x, w in rules]
    marks = np.array(sorted(breaks))
    equal = np.ptp(np.diff(edges)) <= 1e-12 * edges[-1]
    known: dict[int, list[Array]] = {}
    for a, first in enumerate(panels):
        for b, second in enumerate(panels[a:], a):
            inside = marks[(marks > first[0] + second[0]) & (marks < first[1] + second[1])]
            blocks = (known.get(a + b) if equal else None) or [
                _smooth_block(kernel, first, second, *basis) if not inside.size else
                _broken_block(kernel, first, second, inside, degree, *basis[:2])
                for basis in bases
            ]  # fmt: skip
            known[a + b] = blocks
            rows, columns = (slice(degree * k, degree * (k + 1)) for k in (a, b))
            matrix[rows, columns], matrix[columns, rows] = blocks[0], blocks[0].T
            error += float(np.sum((blocks[0] - blocks[1]) ** 2)) * (1 if a == b else 2)
    return matrix, math.sqrt(error)


def _smooth_block(kernel: Kernel, first: Panel, second: Panel, x: Array, w: Array, weighted: Array) -> Array:
    half_s, half_t = 0.5 * (first[1] - first[0]), 0.5 * (second[1] - second[0])
    s, t = first[0] + half_s * (1 + x), second[0] + half_t * (1 + x)
    return np.asarray(math.sqrt(half_s) * math.sqrt(half_t) * weighted.T @ kernel(s[:, None] + t) @ weighted)


def _broken_block(kernel: Kernel, first: Panel, second: Panel, inside: Array, degree: int, x: Array, w: Array) -> Array:
    """∫ ρ(r) ∫ p_i(u) p_j(r-u) du dr, split where the inner range changes its form and at the breaks."""
    (s0, s1), (t0, t1) = first, second
    cuts = np.unique(np.concatenate([[s0 + t0, s0 + t1, s1 + t0, s1 + t1], inside]))
    total = np.zeros((degree, degree))
    for k in range(0, len(cuts) - 1, _CHUNK):
        total += _pieces(kernel, first, second, cuts[k : k + _CHUNK + 1], degree, x, w)
    return total


def _pieces(kernel: Kernel, first: Panel, second: Panel, cuts: Array, degree: int, x: Array, w: Array) -> Array:
    (s0, s1), (t0, t1) = first, second
    half = 0.5 * np.diff(cuts)[:, None]
    r = (cuts[:-1, None] + half * (1 + x)).ravel()
    weight = (half * w).ravel() * kernel(r)
    low, high = np.maximum(s0, r - t1), np.minimum(s1, r - t0)
    span = 0.5 * (high - low)[:, None]
    u = low[:, None] + span * (1 + x)
    half_s, half_t = 0.5 * (s1 - s0), 0.5 * (t1 - t0)
    left = _legendre((u - s0) / half_s - 1, degree).reshape(-1, degree)
    right = _legendre((r[:, None] - u - t0) / half_t - 1, degree).reshape(-1, degree)
    scaled = (weight[:, None] * span * w).reshape(-1, 1) / (math.sqrt(half_s) * math.sqrt(half_t))
    return np.asarray((left * scaled).T @ right)
