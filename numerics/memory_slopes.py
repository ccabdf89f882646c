"""The gradient scale |f'|/f² of a parameterization as the slope of its memory time τ = 1/|f|, by central differences.

    |dτ/dw| = |f'|/f²      (Theorem 3.6; f < 0, continuous time)

No derivative of f is taken, by hand or by differentiation: a route of its own beside the closed forms.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from numerics.reach import largest_rate, weights_for
from numerics.reparameterization import Reparameterization

Array = NDArray[np.float64]

STEP = 1e-4
"""Of the differences, times |w| where that lies between 1e-4 and 1: what they miss is of the order STEP²."""


def rates(f: Reparameterization, w: Array) -> Array:
    """f(w), on an array."""
    return np.asarray(f(torch.from_numpy(w)).numpy())


def memory_slopes(f: Reparameterization, w: Array) -> tuple[Array, Array, Array]:
    """(w, τ, |dτ/dw|) at those w where f < 0 and stays so within the step.

    Hypotheses: continuous time. Shapes: (n,), and three of one length up to n. Raises ValueError for another time.
    """
    if f.time != "continuous":
        raise ValueError(f"reparameterization: continuous time is needed, got {f.time}")
    step = STEP * np.clip(np.abs(w), 1e-4, 1.0)
    below, above = w - step, w + step
    left, value, right = (rates(f, x) for x in (below, w, above))
    kept = (value < 0) & (left < 0) & (right < 0)
    w, width, left, value, right = (x[kept] for x in (w, above - below, left, value, right))
    return w, -1 / value, np.abs((right - left) / (width * left * right))


def weights_of_times(f: Reparameterization, times: Array) -> Array:
    """w with f(w) = -1/τ, those τ left out that f does not reach. Shapes: (n,), up to (n,)."""
    return np.asarray(weights_for(f, -1 / times[1 / times <= largest_rate(f)]).numpy())
