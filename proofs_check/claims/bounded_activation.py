"""Models with a bounded activation approximate no target but 0 in the norm of Definition 2.4."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from proofs_check.claim import (
    Claim,
    Context,
    Evidence,
    Kind,
    Method,
    Parameters,
    Route,
    Variant,
    Verdict,
    inconclusive,
    proved,
    refuted,
    supported,
)
from theory import curse
from theory.norms import kernel_norms
from theory.notation import t

_h = sp.Symbol("h", real=True)
_ACTIVATIONS = {
    "tanh": sp.tanh(_h),
    "sigmoid": 1 / (1 + sp.exp(-_h)),
    "atan": sp.atan(_h),
    "identity": _h,
    "relu": sp.Max(_h, 0),
}
_VALUES: dict[str, Callable[[Any], Any]] = {
    "tanh": np.tanh,
    "sigmoid": lambda h: 0.5 + 0.5 * np.tanh(h / 2),
    "atan": np.arctan,
    "identity": lambda h: h,
    "relu": lambda h: np.maximum(h, 0.0),
}


def _exact(parameters: Parameters, _: Context) -> Evidence:
    """The limit of large inputs for a bounded σ; otherwise a model that is the target itself, c = u = (1, -1)."""
    sigma, factor = _ACTIVATIONS[parameters["sigma"]], sp.Rational(parameters["factor"])
    odd_part = sp.simplify((sigma - sigma.subs(_h, -_h)).rewrite(sp.Piecewise))
    ends = [sp.limit(sigma, _h, end) for end in (sp.oo, -sp.oo)]
    if not all(end.is_finite for end in ends):
        if sp.simplify(odd_part / _h).is_positive and sp.diff(sp.simplify(odd_part / _h), _h) == 0:
            example = {"sigma": parameters["sigma"], "c": [1, -1], "u": [1, -1], "c^T sigma(h)": str(odd_part)}
            return refuted("two modes give a linear functional exactly: E_m(0) = 0", example, Verdict.PROVED)
        return inconclusive("σ is not bounded, and no exact model was found")
    response, size, bound = sp.symbols("response size B", positive=True)
    distance = curse.large_input_distance(response, size, bound)
    if (distance * size / response - factor).is_nonnegative:
        return proved("for every H, model and input the ratio tends to |H_t(x)|/‖x‖_∞", distance=str(distance))
    rate = sp.Symbol("r", positive=True)
    norm = kernel_norms(sp.exp(-rate * t)).functional
    example = {"H": "exp(-r t)", "model": "0 (c = 0)", "distance": str(norm), "stated": str(factor * norm)}
    return refuted(f"the zero model has the distance ‖H‖_∞ = {norm}", example, Verdict.PROVED)


def _sampled(parameters: Parameters, context: Context) -> Evidence:
    """H = e^{-t} against random models of up to 3 modes, the zero model and pairs of opposite modes, for |x| to 1e12.

    The input was the constant x for all the past, which C_0 approaches: h_i = u_i x/|λ_i| and H = x.
    """
    value, factor = _VALUES[parameters["sigma"]], float(sp.Rational(parameters["factor"]))
    rng = context.rng("bounded activation")
    sizes = np.concatenate([-np.logspace(-3, 12, 61), np.logspace(-3, 12, 61)])
    pair = np.array([1.0, -1.0])
    models = [(np.zeros(1), np.ones(1)), (pair, pair), (pair / 2, pair)]
    models += [tuple(10 ** rng.uniform(-3, 3) * rng.normal(size=(2, 3))) for _ in range(context.pick(200, 5000))]
    worst = np.inf
    for c, u in models:
        outputs = value(np.multiply.outer(sizes, u)) @ c
        distance = float(np.max(np.abs(sizes - outputs) / (np.abs(sizes) + 1)))
        if distance < factor * (1 - 1e-6):  # |x| = 1e12 reaches the limit to 1e-12 |c|_1
            example = {"c": c.tolist(), "u/|lambda|": u.tolist(), "largest |H - model|/(|x| + 1)": distance}
            return refuted(f"a model comes within {distance:.3g} of H, ‖H‖_∞ = 1", example, Verdict.SUPPORTED)
        worst = min(worst, distance)
    return supported("no model comes nearer than ‖H‖_∞", nearest=worst, models=len(models))


CANNOT_APPROXIMATE = Claim(
    id="thm-3.3-bounded-activation",
    label="Theorem 3.3",
    title="With a bounded σ no target but 0 is approximated",
    statement="For a bounded activation (tanh, sigmoid, hardtanh), any number of layers and any weights, "
    "‖H_t - Ĥ_t‖_∞ ≥ ‖H_t‖_∞ over all inputs of C_0: the hypothesis E(0) = 0 of Theorem 3.3 holds for H = 0 only.",
    latex=r"\sigma \ \mathrm{bounded}: \quad E_m(\beta) \geq \|H\|_\infty",
    hypotheses=("H is linear; inputs are all of C_0, as in Definition 2.4.", "|σ| is bounded."),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"sigma": "tanh", "factor": "1"},
    routes=(
        Route("large inputs", Method.SYMBOLIC, _exact),
        Route("random models", Method.FLOATING, _sampled),
    ),
    mutants=(
        Variant("twice as far", {"factor": "2"}),
        Variant("a tenth farther", {"factor": "11/10"}),
        Variant("relu", {"sigma": "relu"}),
        Variant("no activation", {"sigma": "identity"}),
    ),
    controls=(Variant("sigmoid", {"sigma": "sigmoid"}), Variant("atan", {"sigma": "atan"})),
    theory=("theory.curse:large_input_distance",),
)

CLAIMS = (CANNOT_APPROXIMATE,)
