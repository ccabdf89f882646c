"""Polynomials on panels: values at Chebyshev points, and the integral of the absolute value.

A function on a panel, an interval mapped to u = cos θ ∈ [-1, 1], is represented by its values at the DEGREE + 1 points
u_j = cos((j + 1/2)π/(DEGREE + 1)), all of them inside, hence by p(cos θ) = Σ_k c_k cos kθ. A function that is analytic
and bounded in the right half plane, as every Σ c_i e^{λ_i t} with λ_i < 0, has coefficients of size (3 + 2√2)^{-k} on a
panel [a, 2a] (Bernstein's ellipse around it touches 0), below 1e-18 at the end.

∫_{-1}^1 |p| du is the sum of |Q(b) - Q(a)| between neighbouring sign changes of p, Q an antiderivative. The sign
changes are isolated with a bound that leaves none out: with M ≥ |d²p/dθ²| on a cell of width h in θ

    p has no zero if both its end values have one sign and exceed M h²/8;
    p is monotone if |dp/dθ| at the middle exceeds M h/2;

M is Σ k² |c_k| at first, then that of Taylor's formula of order 6 about the middle, with Σ k⁶ |c_k| in the remainder;
every other cell is divided, until M h²/8 is below the rounding errors of p, or below a given floor: zeros that stay
hidden in cells where |p| ≤ M h²/8 change the integral by at most π M h²/8. A zero that is off by δ changes it by O(δ²).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

DEGREE = 23
_EPS = float(np.finfo(np.float64).eps)
_K = np.arange(DEGREE + 1.0)
_ANGLES = (_K + 0.5) * np.pi / (DEGREE + 1)
NODES: Array = np.cos(_ANGLES)
"""The points u_j, decreasing."""
_TO_COEFFICIENTS = 2 / (DEGREE + 1) * np.cos(np.outer(_K, _ANGLES))
_TO_COEFFICIENTS[0] /= 2
_CELLS = 4 * (DEGREE + 1)
_GRID = np.linspace(0, np.pi, _CELLS + 1)
_ON_GRID = np.cos(np.outer(_K, _GRID))
_INTEGRALS = np.where(_K % 2 == 0, 2 / (1 - np.where(_K == 1, 2, _K) ** 2), 0.0)
_LEVELS, _PARTS = 10, 4
_NEWTON_STEPS = 8


def coefficients(values: Array) -> Array:
    """The Chebyshev coefficients c_k of rows of values at NODES. Shapes: (rows, DEGREE + 1), the same."""
    return values @ _TO_COEFFICIENTS.T


def differentiated(values: Array) -> Array:
    """dp/du at NODES from p at NODES. Shapes: (rows, DEGREE + 1), the same."""
    sines = _K[:, None] * np.sin(np.outer(_K, _ANGLES)) / np.sin(_ANGLES)
    return coefficients(values) @ sines


def absolute_integrals(values: Array, floor: Array | float = 0.0) -> Array:
    """∫_{-1}^1 |p(u)| du for each row p of values at NODES; sign changes where |p| ≤ floor may be left out.

    Shapes: values (rows, DEGREE + 1), floor (rows,); the result (rows,).
    """
    c = coefficients(values)
    result = np.abs(c @ _INTEGRALS)
    rows, zeros = _sign_changes(c, floor)
    changed = np.unique(rows)
    result[changed] = _between_zeros(c, changed, rows, zeros)
    return result


def sign_changes(values: Array, floor: Array | float = 0.0) -> tuple[Indices, Array]:
    """Every sign change of the rows of values at NODES, above the floor: the rows and the points u, in no order.

    Shapes: values (rows, DEGREE + 1), floor (rows,); the result twice (number of sign changes,).
    """
    rows, angles = _sign_changes(coefficients(values), floor)
    return rows, np.cos(angles)


def _sign_changes(c: Array, floor: Array | float) -> tuple[Indices, Array]:
    """The sign changes of Σ c_k cos kθ: rows and angles."""
    grid = c @ _ON_GRID
    bend = np.abs(c) @ _K**2
    limit = bend * (_GRID[1] ** 2 / 8)
    low, high = grid[:, :-1], grid[:, 1:]
    quiet = ((low >= 0) == (high >= 0)) & (np.minimum(np.abs(low), np.abs(high)) > limit[:, None])
    rows, cells = np.nonzero(~quiet & (bend > 0)[:, None])
    noise = np.maximum(8 * _EPS * np.sum(np.abs(c), axis=1), np.maximum(floor, 1e-290))
    return _zeros(c, noise, rows, cells, grid)


def _evaluate(c: Array, rows: Indices, theta: Array) -> Array:
    return np.einsum("nk,nk->n", c[rows], np.cos(np.multiply.outer(theta, _K)))


def _slopes(c: Array, rows: Indices, theta: Array) -> Array:
    return -np.einsum("nk,nk->n", c[rows] * _K, np.sin(np.multiply.outer(theta, _K)))


def _slope_and_bend(c: Array, rows: Indices, theta: Array, radius: float) -> tuple[Array, Array]:
    """|dp/dθ| at θ, and a bound of |d²p/dθ²| within the radius of it."""
    angles = np.multiply.outer(theta, _K)
    even = (c[rows] * np.cos(angles)) @ _K[:, None] ** [2, 4]
    odd = (c[rows] * np.sin(angles)) @ _K[:, None] ** [1, 3, 5]
    terms = np.abs(np.stack([even[:, 0], odd[:, 1], even[:, 1], odd[:, 2], (np.abs(c) @ _K**6)[rows]]))
    return np.abs(odd[:, 0]), radius ** np.arange(5) / [1, 1, 2, 6, 24] @ terms


def _zeros(c: Array, noise: Array, rows: Indices, cells: Indices, grid: Array) -> tuple[Indices, Array]:
    """Every sign change in the given cells of the grid: its row and its angle."""
    left, width = _GRID[cells], float(_GRID[1])
    at_left, at_right = grid[rows, cells], grid[rows, cells + 1]
    found: list[tuple[Indices, Array, Array]] = []
    for level in range(_LEVELS):
        slope, bend = _slope_and_bend(c, rows, left + width / 2, width / 2)
        limit = bend * (width**2 / 8)
        changes = (at_left >= 0) != (at_right >= 0)
        quiet = ~changes & (np.minimum(np.abs(at_left), np.abs(at_right)) > limit)
        monotone = slope > bend * (width / 2)
        done = quiet | monotone | (limit <= noise[rows]) | (level == _LEVELS - 1)
        bracket = done & changes
        found.append((rows[bracket], left[bracket], np.full(np.count_nonzero(bracket), width)))
        rows, left = np.repeat(rows[~done], _PARTS), left[~done]
        if not rows.size:
            break
        width /= _PARTS
        left = (left[:, None] + width * np.arange(_PARTS)).ravel()
        at_left, at_right = _evaluate(c, rows, left), _evaluate(c, rows, left + width)
    where, starts, widths = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return where, _polished(c, where, starts, widths)


def _polished(c: Array, rows: Indices, left: Array, width: Array) -> Array:
    """Newton's method inside brackets, halving them where a step would leave them."""
    right, slack = left + width, 1e-3 * width
    rising = _evaluate(c, rows, left) < 0
    theta = left + width / 2
    for _ in range(_NEWTON_STEPS):
        value, slope = _evaluate(c, rows, theta), _slopes(c, rows, theta)
        before = (value < 0) == rising
        left, right = np.where(before, theta, left), np.where(before, right, theta)
        step = theta - value / np.where(slope == 0, 1, slope)
        theta = np.where((step > left - slack) & (step < right + slack), step, (left + right) / 2)
    return theta


def _between_zeros(c: Array, changed: Indices, rows: Indices, zeros: Array) -> Array:
    """Σ |Q(b) - Q(a)| over neighbouring zeros and ends; ∫cos kθ sin θ dθ gives Q = Σ q_k cos kθ."""
    owner = np.concatenate([rows, changed, changed])
    theta = np.concatenate([zeros, np.zeros(len(changed)), np.full(len(changed), np.pi)])
    order = np.lexsort((theta, owner))
    owner, theta = owner[order], theta[order]
    k = np.arange(DEGREE + 2)
    padded = np.pad(c, ((0, 0), (0, 3)))
    q = (np.where(k == 1, 2, 1) * padded[:, k - 1] - padded[:, k + 1]) / np.maximum(2 * k, 1)
    q[:, 0] = 0
    value = np.einsum("nk,nk->n", q[owner], np.cos(np.multiply.outer(theta, k)))
    same = owner[1:] == owner[:-1]
    sums = np.bincount(owner[1:][same], np.abs(np.diff(value))[same], minlength=len(c))
    return np.asarray(sums[changed], dtype=np.float64)
