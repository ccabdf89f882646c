"""Eigenvalues of symmetric matrices in high precision, by counting signs: Sylvester's law of inertia, with mpmath."""

from collections.abc import Callable, Sequence

import mpmath
import numpy as np

Rule = Sequence[tuple[mpmath.mpf, mpmath.mpf]]


def hankel_matrix(kernel: Callable[[mpmath.mpf], mpmath.mpf], rule: Rule) -> list[list[mpmath.mpf]]:
    """The lower triangle of √(w_i w_j) k(t_i + t_j) for the nodes and weights of a rule."""
    return [[mpmath.sqrt(v * w) * kernel(s + t) for t, w in rule[: i + 1]] for i, (s, v) in enumerate(rule)]


def gauss_legendre(n: int, first: int, last: int) -> list[tuple[mpmath.mpf, mpmath.mpf]]:
    """The Gauss-Legendre rule with n nodes, by Newton's method from float64 nodes, in the present precision."""
    rule = []
    for start in np.polynomial.legendre.leggauss(n)[0]:
        x = mpmath.mpf(float(start))
        for _ in range(3):
            before, value = mpmath.mpf(1), x
            for k in range(2, n + 1):
                before, value = value, ((2 * k - 1) * x * value - (k - 1) * before) / k
            slope = n * (x * value - before) / (x * x - 1)
            x -= value / slope
        half = mpmath.mpf(last - first) / 2
        rule.append((first + (1 + x) * half, 2 * half / ((1 - x * x) * slope**2)))
    return rule


def log_trapezoid(first: int, last: int, step: mpmath.mpf) -> list[tuple[mpmath.mpf, mpmath.mpf]]:
    """The trapezoidal rule in y = step·k, k = first..last-1, for t = e^{y - e^{-y}}."""
    rule = []
    for k in range(first, last):
        y = step * k
        t = mpmath.exp(y - mpmath.exp(-y))
        rule.append((t, step * t * (1 + mpmath.exp(-y))))
    return rule


def below(lower: list[list[mpmath.mpf]], x: mpmath.mpf) -> int:
    """The number of eigenvalues < x: that of negative pivots of A - x."""
    a = [row.copy() for row in lower]
    for i, row in enumerate(a):
        row[i] -= x
    for k in range(len(a)):
        for i in range(k + 1, len(a)):
            row, factor = a[i], a[i][k] / a[k][k]
            for j in range(k + 1, i + 1):
                row[j] -= factor * a[j][k]
    return sum(row[i] < 0 for i, row in enumerate(a))


def beyond(lower: list[list[mpmath.mpf]], size: float | mpmath.mpf) -> int:
    """The number of eigenvalues λ with |λ| > size."""
    x = mpmath.mpf(size)
    return len(lower) - below(lower, x) + below(lower, -x)
