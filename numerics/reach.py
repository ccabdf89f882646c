"""Which rates an f reaches, and the weights that reach them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from numerics.reparameterization import Reparameterization

_FARTHEST_WEIGHT = 700.0
_SEARCHED = np.linspace(-60.0, 60.0, 4801)
"""Where a w with f(w) = λ is looked for if f is a formula."""
_BISECTIONS = 60
_JUMP = 1e-6
"""Of |λ|, or of 1 where |λ| is less: how far from λ the f found by bisection may be."""
_INSIDE = 1 - 1e-9
"""How far inside its range an f is asked for its end: the rounded end itself may have no w."""


def largest_rate(f: Reparameterization) -> float:
    """sup|f| over negative λ = f(w), |w| ≤ 700: where it is finite, a little inside it; else inf.

    Continuous time. Raises ValueError where f is nowhere negative.
    """
    zero = torch.zeros((), dtype=torch.float64)
    largest, before = (-float(f.bounds(zero, share * _FARTHEST_WEIGHT)[0]) for share in (1.0, 0.5))
    if largest <= 0:
        raise ValueError(f"reparam: {f.text[:60]!r} is nowhere negative, so that no λ = f(w) is stable")
    still_grows = largest >= _FARTHEST_WEIGHT * _INSIDE and largest > 1.001 * before
    return math.inf if still_grows else largest * _INSIDE


def weights_for(f: Reparameterization, lam: NDArray[np.float64]) -> Tensor:
    """w with f(w) = λ: by the inverse branch of a named f; for a formula, of several with |w| ≤ 60, the largest.

    Shapes: lam (m,); w (m,), float64. Raises ValueError where there is none.
    """
    return f.inverse(torch.from_numpy(lam)) if f.name else _solved(f, lam)


def _solved(f: Reparameterization, lam: NDArray[np.float64]) -> Tensor:
    """By bisection in the last cell of a grid in which f crosses λ without a jump."""
    values = f(torch.from_numpy(_SEARCHED)).numpy()
    gap = np.sign(values - lam[:, None])
    crosses = gap[:, :-1] * gap[:, 1:] <= 0
    while True:
        if not crosses.any(axis=1).all():
            raise ValueError(_unreached(f, float(lam[~crosses.any(axis=1)][0]), values))
        last = crosses.shape[1] - 1 - np.argmax(crosses[:, ::-1], axis=1)
        w, jumps = _bisected(f, lam, last)
        if not jumps.any():
            return w
        crosses[jumps, last[jumps]] = False


def _bisected(f: Reparameterization, lam: NDArray[np.float64], cell: NDArray[Any]) -> tuple[Tensor, NDArray[np.bool_]]:
    """The place in the cell where f - λ changes its sign, and whether f jumps there (as at a pole)."""
    left, right = torch.from_numpy(_SEARCHED[cell]), torch.from_numpy(_SEARCHED[cell + 1])
    wanted = torch.from_numpy(lam)
    rising = f(right) >= f(left)
    for _ in range(_BISECTIONS):
        middle = (left + right) / 2
        below = (f(middle) < wanted) == rising
        left, right = torch.where(below, middle, left), torch.where(below, right, middle)
    w = (left + right) / 2
    return w, ~((f(w) - wanted).abs() <= _JUMP * wanted.abs().clamp(min=1.0)).numpy()


def _unreached(f: Reparameterization, lam: float, values: NDArray[np.float64]) -> str:
    finite = values[np.isfinite(values)]
    found = f"[{finite.min():.6g}, {finite.max():.6g}]" if finite.size else "no finite number"
    ends = f"[{_SEARCHED[0]:g}, {_SEARCHED[-1]:g}]"
    return f"reparam: {f.text[:60]!r} does not take the value λ = {lam:.6g} for w in {ends}, its values are in {found}"
