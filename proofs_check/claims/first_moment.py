"""Perturbing only c or only u: the first moment of the kernel, for any state matrix."""

from __future__ import annotations

from itertools import pairwise
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

# The first moment:  E_c(β) E_u(β) >= β² (moment ∫tρ + mass ∫ρ + peak ρ(0)), infinite for (1+t)^{-p}, p <= threshold.


def _moment_symbolic(parameters: Parameters, context: Context) -> Evidence:
    """The identity behind it; single modes, where both errors are exact; the power laws.

    The entries of e^{At} are sums of t^k e^{zt}, and t^k e^{zt} is the k-th derivative in z of e^{zt}: an identity
    that is linear in the kernel and holds for e^{zt}, z ≠ 0 complex, holds for every ρ̂ = c·e^{At}u.
    """
    from theory.all_weights import first_moment_lower, power_law_moment, triangle_weight
    from theory.norms import real_mode_norms
    from theory.notation import lam, t

    del context
    moment, mass, peak = (sp.Rational(parameters[name]) for name in ("moment", "mass", "peak"))
    for rate in (sp.Rational(1, 1000), sp.Integer(1), sp.Integer(1000)):
        # c = u = 1, λ = -rate: moving c alone by a changes the kernel by a e^{λt}, so E_c(1) = E_u(1) = its norm.
        product = real_mode_norms().total.subs(lam, -rate) ** 2
        stated = moment / rate**2 + mass / rate + peak
        if stated > product:
            example = {"c": 1, "u": 1, "lambda": str(-rate), "beta": 1, "E_c E_u": str(product)}
            return refuted(f"one mode has E_c E_u = {product} < {stated}", example, Verdict.PROVED)
    threshold = sp.Rational(parameters["threshold"])
    for power in (threshold, threshold - sp.Rational(1, 4)):
        value = power_law_moment(power)
        if power > 1 and value != sp.oo:
            example = {"p": str(power), "first moment": str(value)}
            return refuted(f"(1+t)^(-{power}) has the first moment {value}", example, Verdict.PROVED)
    if power_law_moment(threshold + sp.Rational(1, 4)) == sp.oo:
        example = {"p": str(threshold + sp.Rational(1, 4)), "first moment": "oo"}
        return refuted("the first moment is infinite above the threshold, too", example, Verdict.PROVED)
    r, end = sp.symbols("r T", positive=True)
    z = sp.Symbol("z", zero=False)
    rho = sp.exp(z * t)
    left = sp.integrate(rho, (t, 0, end)) ** 2  # the double integral of e^{z(s+s')} over the square
    if triangle_weight(end) != sp.Min(t, 2 * end - t):
        return inconclusive("another weight than min(r, 2T - r)")
    rising, falling = (t, 0, end), (t, end, 2 * end)
    right = sp.integrate(t * rho, rising) + sp.integrate((2 * end - t) * rho, falling)
    identity = sp.simplify(left - right) == 0
    derived = sp.expand(first_moment_lower(sp.exp(-r * t), 1) - (moment / r**2 + mass / r + peak))
    if identity and derived.is_nonnegative:
        return proved("v_T . w_T is the weighted integral of rho, for every matrix exponential; Cauchy-Schwarz")
    return inconclusive(f"identity: {identity}, derived minus stated: {derived}")


def _moment_floating(parameters: Parameters, context: Context) -> Evidence:
    """E_c and E_u of random models by trial moves and by their best one, moments by quadrature."""
    from scipy.integrate import quad

    from numerics.norms import l1_norm, w1inf_norm

    rng = context.rng("first moment")
    moment, mass, peak = (float(sp.Rational(parameters[name])) for name in ("moment", "mass", "peak"))
    ratios = []
    for trial in range(context.pick(20, 200)):
        modes = 1 if trial < 6 else int(rng.integers(2, 6))
        s = np.array([[1e-2], [1.0], [1e2]][trial % 3]) if trial < 6 else np.exp(rng.uniform(-3, 3, modes))
        c, u = np.abs(rng.standard_normal((2, modes)))  # ρ ≥ 0
        errors = []
        for fixed in (u, c):
            tries = [fixed * (2 + 1 / s), fixed, *rng.standard_normal((2, modes))]
            errors.append(max(w1inf_norm(a / np.linalg.norm(a) * fixed, -s) for a in tries))
        p = c * u
        stated = moment * _first_moment(p, s) + mass * l1_norm(p, -s) + peak * float(np.sum(p))
        ratios.append(errors[0] * errors[1] / stated)
        # For one mode the trial moves are all that there are, so the product is E_c E_u itself.
        if modes == 1 and ratios[-1] < 1 - 1e-6:
            example = {"lambda": -float(s[0]), "c": float(c[0]), "u": float(u[0]), "E_c E_u": errors[0] * errors[1]}
            return refuted(f"E_c E_u is {ratios[-1]:.6g} of the stated bound", example, Verdict.SUPPORTED)
    exponents = {}
    for power in (float(sp.Rational(parameters["threshold"])) + step for step in (-0.25, 0.0, 0.25)):
        decades = [quad(lambda x, p=power: np.exp(2 * x) * (1 + np.exp(x)) ** -p, k, k + 1)[0] for k in (20, 30)]
        exponents[power] = float(np.log(decades[1] / decades[0]) / 10)  # growth of ∫ t ρ dt per unit of log t
    below, at, above = exponents.values()
    if below < -1e-3 or at < -1e-3 or above > 1e-3:
        return refuted(
            "the tail of the first moment changes elsewhere", {"growth": list(exponents.values())}, Verdict.SUPPORTED
        )
    if min(ratios) < 1 - 1e-6:
        return inconclusive(f"the moves that were tried reach {min(ratios):.6g} of the stated bound")
    return supported("explicit moves of c and of u reach the bound", smallest_ratio=float(min(ratios)))


def _first_moment(p: Any, s: Any) -> float:
    """∫ t Σ p_i e^{-s_i t} dt by quadrature on a geometric partition; e^{-60} is left out."""
    from scipy.integrate import quad

    from numerics.norms import exponential_sum

    pieces = pairwise([0.0, *np.geomspace(1 / s.max(), 60 / s.min(), 30)])
    return float(sum(quad(lambda t: t * float(exponential_sum(p, -s, t)), left, right)[0] for left, right in pieces))


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="all-weights-first-moment",
        label="Theorem 3.5",
        title="Moving only c or only u costs the first moment, for any state matrix",
        statement=(
            "With one input, a kernel rho >= 0 and E(0) = 0, the errors with only c and with only u perturbed satisfy "
            "E_c E_u >= beta^2 (int t rho + 4 int rho + 4 rho(0)); this is infinite for (1+t)^(-p), p > 1, "
            "exactly when p <= 2."
        ),
        latex=r"E_c(\beta)\,E_u(\beta)\geq"
        r"\beta^2\left(\int_0^\infty t\rho(t)\,dt+4\int_0^\infty\rho(t)\,dt+4\rho(0)\right)",
        hypotheses=(
            "d = 1, sigma = id, any Hurwitz state matrix.",
            "rho >= 0 in L1, right-continuous, of bounded variation.",
            "E(0) = 0.",
        ),
        kind=Kind.DERIVED,
        expected=Verdict.PROVED,
        routes=(
            Route("Cauchy-Schwarz and an identity for e^{zt}", Method.SYMBOLIC, _moment_symbolic),
            Route("explicit moves", Method.FLOATING, _moment_floating),
        ),
        mutants=(
            Variant("twice the moment", {"moment": "2"}),
            Variant("twice the mass", {"mass": "8"}),
            Variant("twice the peak", {"peak": "8"}),
            Variant("infinite for p <= 3", {"threshold": "3"}),
            Variant("infinite only for p <= 3/2", {"threshold": "3/2"}),
        ),
        theory=(
            "theory.all_weights:first_moment_lower",
            "theory.all_weights:triangle_weight",
            "theory.all_weights:power_law_moment",
        ),
        parameters={"moment": "1", "mass": "4", "peak": "4", "threshold": "2"},
        controls=(Variant("the first moment alone", {"mass": "0", "peak": "0"}),),
    ),
)
