"""Perturbed errors of unit-norm modes along sequences of models for a power law: bounded, all weights perturbed."""

from __future__ import annotations

import math
from typing import Any

import sympy as sp

from numerics.enclosure import enclose, less
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
from proofs_check.claims.perturbed_sequences import (
    POSITIVE_SUMS,
    POWER_LAW,
    ROUNDING,
    bracket,
    sequence_model,
    slowest_rate,
)
from theory import unit_norm
from theory.notation import beta, r

_NORM = 3
"""‖(1+t)^{-2}‖_{W^{1,∞}} = ∫ρ + 2ρ(0)."""


def _stated(parameters: Parameters, error: Any, norm: Any, radius: Any, modulus: Any) -> Any:
    linear, quadratic, mode = (sp.sympify(parameters[key], rational=True) for key in ("linear", "quadratic", "mode"))
    size = norm + error
    kappa = unit_norm.kappa_upper().subs(unit_norm.log_change, modulus)
    return error + linear * radius * sp.sqrt(size) + quadratic * radius**2 + mode * size * kappa


def _repair_exact(parameters: Parameters, _: Context) -> Evidence:
    """What growing c and u in proportion costs exactly, as E_m(0) → 0, against the bound; else the derivation."""
    from theory.all_weights import slow_mode_lower
    from theory.sequences import unit_norm_growth, unit_norm_sequence_upper

    if parameters["modes"] == "plain" and sp.limit(slow_mode_lower(r), r, 0, "+") == sp.oo:
        bound = _stated(parameters, sp.S.Zero, _NORM, sp.S.One, sp.S.One)
        example = {"modes": "plain", "beta": "1", "E(1)": "infinite", "stated": str(sp.N(bound, 6))}
        return refuted("plain modes have E_m(β) → ∞, as min|λ| → 0", example, Verdict.PROVED)
    for radius in (sp.Rational(1, 10), sp.Integer(10)):
        reached = unit_norm_growth(_NORM, radius)
        stated = _stated(parameters, sp.S.Zero, _NORM, radius, radius)
        if less(enclose(stated, {}), enclose(reached, {})):
            example = {"f": "exp", "beta": str(radius), "E at least": str(reached), "stated": str(sp.N(stated, 8))}
            return refuted(f"moving c and u alone costs {reached} at β = {radius}", example, Verdict.PROVED)
    error, norm, modulus = sp.symbols("E_m N omega", positive=True)
    derived = unit_norm_sequence_upper(error, norm, beta, modulus)
    spare = sp.expand(_stated(parameters, error, norm, beta, modulus) - derived)
    larger = _stated(parameters, sp.S.Zero, _NORM, beta, beta).replace(sp.Min, lambda first, *_: first)
    vanishes = larger.subs(beta, 0) == 0  # it is continuous in β
    one_mode = sp.symbols("x", positive=True)
    attained = sp.expand(unit_norm_growth(one_mode**2, beta)) == sp.sqrt(2) * beta * one_mode + beta**2 / 2
    if spare == 0 and vanishes and attained:
        return proved(
            "|c|² = |u|² = Σ|c_iu_i| = ‖ρ̂‖ ≤ ‖ρ‖ + E_m(0) in the bound of unit-norm modes", bound=str(derived)
        )
    return inconclusive(f"stated less derived: {spare}; E(β) → 0: {vanishes}; one mode: {attained}")


def _repair_brackets(parameters: Parameters, context: Context) -> Evidence:
    """Both ends of the brackets: all weights at small β, and c and U alone at β = 10, against the stated bound."""
    modes: str = parameters["modes"]
    table: dict[str, list[float]] = {}
    linear, quadratic, mode = (float(sp.sympify(parameters[key])) for key in ("linear", "quadratic", "mode"))
    cases: list[tuple[str, int, list[float], tuple[str, ...]]] = [("exp", 8, [10.0], ("U", "c"))]
    for m in context.pick((16,), (8, 16, 32)):
        cases += [(name, m, [0.02, 0.2], ("w", "U", "c")) for name in ("exp", "softplus")]
    for name, m, betas, groups in cases:
        model = sequence_model(m, name, modes=modes)
        lower, upper = bracket(model, POWER_LAW, [0.0, *betas], groups, steps=10)
        size = _NORM + upper[0]
        for radius, low, high in zip(betas, lower[1:], upper[1:], strict=True):
            # exp and softplus: ω(β) = β. κ(ω) is at most 2(1 - e^{-ω}) and at most 0.752225 ω.
            kappa = min(-2 * math.expm1(-radius), 0.752225 * radius)
            stated = upper[0] + linear * radius * math.sqrt(size) + quadratic * radius**2 + mode * size * kappa
            example = {"f": name, "m": m, "min|lambda|": slowest_rate(model), "beta": radius, "E_m": [low, high]}
            if low > stated * ROUNDING:
                text = f"{modes} modes, m = {m}: E_m({radius}) ≥ {low:.5g} > {stated:.5g}"
                return refuted(text, {**example, "groups": ",".join(groups), "stated": stated}, Verdict.SUPPORTED)
            if high > stated * ROUNDING:
                return inconclusive(f"{name}, m = {m}: E_m({radius}) ≤ {high:.5g} only, {stated:.5g} is stated")
            table[f"{name}, m = {m}, β = {radius}, {','.join(groups)}"] = [low, high, stated]
    return supported("every bracket lies below the bound", table=table)


REPAIR = Claim(
    id="sequence-unit-norm-repair",
    label="Theorem 3.5",
    title="Bounded perturbed errors along a sequence for a power law, unit-norm modes, all weights perturbed",
    statement="Let positive sums of unit-norm modes with c_i = u_i tend to H. If all weights are perturbed, E_m(β) ≤ "
    "E_m(0) + √2 β√N + β²/2 + N κ(ω(β)) with N = ‖ρ‖ + E_m(0): bounded uniformly in m, and E(β) → 0 as β → 0 for every "
    "stable f. With w fixed the increment of one mode c = u = x is exactly √2 βx + β²/2.",
    latex=r"E_m(\beta) \leq E_m(0) + \sqrt{2} \, \beta \sqrt{N} + \frac{\beta^2}{2} + N \, \kappa(\omega(\beta)), "
    r"\quad N = \| \rho \|_{W^{1,\infty}} + E_m(0)",
    hypotheses=(
        *POSITIVE_SUMS,
        "Unit-norm modes, gain ν(λ) = |λ|/(1+2|λ|); joint ball of (w, U, c).",
        "f < 0, ω the modulus of continuity of log|f|; κ(ω) ≤ min(2(1-e^{-ω}), 0.752225 ω) stands for its bound.",
    ),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"linear": "sqrt(2)", "quadratic": "1/2", "mode": "1", "modes": "unit-norm"},
    routes=(
        Route("proportional growth of c and u", Method.SYMBOLIC, _repair_exact),
        Route("brackets of the explicit sequence", Method.FLOATING, _repair_brackets),
    ),
    mutants=(
        Variant("half the quadratic term", {"quadratic": "1/4"}),
        Variant("without √2", {"linear": "1"}),
        Variant("plain modes", {"modes": "plain"}),
    ),
    theory=(
        "theory.sequences:unit_norm_sequence_upper",
        "theory.sequences:unit_norm_growth",
        "theory.unit_norm:perturbed_error_upper",
    ),
)

CLAIMS: tuple[Claim, ...] = (REPAIR,)
