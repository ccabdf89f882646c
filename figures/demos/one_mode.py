"""The perturbed error of a single mode, which the first two lessons are about.

The mode remembers an impulse as ρ(t) = |λ| e^{λt}, λ = f(w), so that all it remembers adds up to ∫ρ = 1, for short and
long memories alike. It is its own target: without perturbation the error is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

_STARTS, _STEPS = 4, 10
"""Of the search for the worst weights. Few are enough for one mode; the upper end does not rely on them."""


@dataclass(frozen=True)
class Point:
    """lower ≤ E(beta) ≤ upper; both are inf where the ball of perturbed weights reaches the boundary of stability."""

    beta: float
    lower: float
    upper: float


@lru_cache(maxsize=4096)
def mode_error(
    f: str, rate: float, betas: tuple[float, ...], groups: tuple[str, ...] = ("w",), modes: str = "plain"
) -> tuple[Point, ...]:
    """E(β) of the mode with λ = rate < 0 for every β, where the weights in `groups` move.

    f: a reparameterization that reaches the rate; groups: of w, U and c; modes: plain, or unit-norm with the gain
    |λ|/(1 + 2|λ|) outside U. |c| = |U| in both. Source: Definition 2.5, by numerics.perturbation.
    """
    from numerics.expsum import balanced_model
    from numerics.perturbation import linear_perturbed_error
    from numerics.reach import weights_for
    from numerics.reparameterization import Reparameterization
    from numerics.targets import parse_target

    parameterization, lam = Reparameterization(f), np.array([rate])
    model = balanced_model(lam, -lam, weights_for(parameterization, lam), parameterization, modes)
    target = parse_target(f"exponential:rate={-rate!r}:scale={-rate!r}")
    error = linear_perturbed_error(model, target, betas, groups=groups, starts=_STARTS, steps=_STEPS)
    return tuple(Point(*row) for row in zip(betas, error.lower.tolist(), error.upper.tolist(), strict=True))
