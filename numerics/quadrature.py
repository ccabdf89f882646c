"""Composite Gauss-Legendre quadrature."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def gauss_legendre(edges: Array, nodes: int) -> tuple[Array, Array]:
    """The times and weights of the Gauss-Legendre rule on every panel between increasing edges.

    Shapes: edges (P + 1,), both results (P · nodes,), in order of time.
    """
    points, weights = np.polynomial.legendre.leggauss(nodes)
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    return (middle[:, None] + half[:, None] * points).ravel(), (half[:, None] * weights).ravel()
