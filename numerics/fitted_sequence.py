"""Sequences of fitted models of one target: more and more modes, each fit started from the one before.

The loss is the norm of Definition 2.5, ∫|e| + total variation of e. A local minimum, not the best sum; coefficients may
have either sign. Source: derived here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numerics.fit_problem import FitProblem, Fits
from numerics.norms import kernel_norm
from numerics.projection_fit import fit_optimal
from numerics.reparameterization import Reparameterization
from numerics.targets import Target

_ANY_RATE = Reparameterization("exp")


def fitted_sequence(
    target: Target,
    counts: Sequence[int],
    f: Reparameterization = _ANY_RATE,
    *,
    is_complex: bool = False,
    seed: int = 0,
    on_fit: Callable[[int], None] | None = None,
) -> dict[int, Fits]:
    """The fit for every number of modes (complex: of conjugate pairs) in `counts`; its rates are in the range of f.

    `on_fit` is called with each number as it is done. Raises: ValueError where the target is not in L¹ or m < 1.
    """
    target.require_integrable()
    found: dict[int, Fits] = {}
    warm: tuple[Fits, ...] = ()
    for m in sorted(set(counts)):
        problem = FitProblem(((target,),), (f,), (seed,), m, ("plain",), is_complex=is_complex, loss="w1inf")
        found[m] = fit_optimal(problem, warm=warm)
        warm = (found[m],)
        if on_fit is not None:
            on_fit(m)
    return found


def fitted_kernel(fits: Fits, row: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """(lam, coefficients) of one fit with one input: ρ̂ = Σ coefficient_i e^{lam_i t} (complex: 2 Re), slowest first.

    Shapes: both (m,). Raises: ValueError where the fit is no stable model.
    """
    model = fits.model(row)
    lam, coefficients = model.lam().numpy(), (model.c[0] * model.drive()[:, 0]).numpy()
    order = np.argsort(-lam.real, kind="stable")
    return lam[order], coefficients[order]


def fitted_error(fits: Fits) -> float:
    """‖ρ - ρ̂‖ of the first fit, one input; inf where it is no stable model."""
    try:
        lam, coefficients = fitted_kernel(fits)
    except ValueError:
        return math.inf
    return kernel_norm(fits.problem.targets[0][0], coefficients, lam).value
