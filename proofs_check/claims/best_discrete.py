"""The best reparameterization in discrete time: its equation, and where its gradient scale is the exact one."""

from __future__ import annotations

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
from proofs_check.claims.best_reparameterization import (
    SIMULATION_TOLERANCE,
    SLOPE,
    TAU,
    VALUE,
    polynomial_route,
    read_formula,
    relative_gap,
    shown,
    solve_ode,
)
from theory.best import best, ode_left_side
from theory.gradient import mode_gradient_norm
from theory.notation import a, b, w

_EPS = float(np.finfo(float).eps)


def _discrete_ode_by_derivation(parameters: Parameters, context: Context) -> Evidence:
    excess = sp.Symbol("excess", positive=True)
    f = best("discrete").subs(b, read_formula(parameters["b_above"]) + excess)
    residual = sp.simplify(ode_left_side(f, "discrete") - read_formula(parameters["rate"]))
    if residual != 0:
        gap = residual.subs({a: 2, excess: 1, w: 1})
        return refuted("the equation fails", {"a": "2", "w": "1", "residual": str(gap)}, Verdict.PROVED)
    tau = 1 / (1 - f)
    room = sp.simplify(tau - sp.Rational(1, 2))  # |f| < 1 is τ > 1/2
    if room.is_positive:
        return proved("differentiation; tau > 1/2 is |f| < 1", f=str(f))
    worst = f.subs(w, 0).subs(excess, sp.Rational(1, 100))
    if not worst <= -1:
        return inconclusive(f"tau - 1/2 = {room} has no known sign")
    point = {"b": str(read_formula(parameters["b_above"]) + sp.Rational(1, 100)), "w": "0", "f": str(worst)}
    return refuted("f leaves (-1, 1)", point, Verdict.PROVED)


def _discrete_definition() -> list[Any]:
    """(1-f) τ = 1, and its derivative -f' τ + (1-f) τ' = 0."""
    return [sp.Eq((1 - VALUE) * TAU, 1), sp.Eq(-SLOPE * TAU + (1 - VALUE) * sp.diff(TAU, w), 0)]


def _discrete_ode_by_polynomials(parameters: Parameters) -> tuple[Any, str]:
    from proofs_check.polynomial import prove_polynomial

    known = [*_discrete_definition(), b > read_formula(parameters["b_above"])]
    statement = sp.And(sp.Eq(SLOPE, read_formula(parameters["rate"]) * (1 - VALUE) ** 2), VALUE > -1, VALUE < 1)
    return prove_polynomial(statement, known), "for all a, b, w by the product rule"


def _discrete_ode_by_simulation(parameters: Parameters, context: Context) -> Evidence:
    """f - 1 obeys (f-1)' = 2aw (f-1)², the continuous equation."""
    ends, rng = np.linspace(0.3, 3.0, 7), context.rng("discrete ode")
    for _ in range(context.pick(3, 20)):
        lowest = float(read_formula(parameters["b_above"]))
        values = {a: float(rng.uniform(0.3, 3)), b: lowest + 0.01 + float(rng.uniform(0, 0.1))}
        simulated = solve_ode(read_formula(parameters["rate"]), 2, values, -1 / values[b], ends)
        gap, low = relative_gap(simulated, -1 / (values[a] * ends**2 + values[b])), 1 - 1 / values[b]
        if gap > SIMULATION_TOLERANCE or low <= -1:
            point = {"a": values[a], "b": values[b], "largest difference of f - 1": shown(gap), "f(0)": low}
            return refuted("the simulated solution differs or leaves (-1, 1)", point, Verdict.SUPPORTED)
    return supported("Runge-Kutta runs agree and stay inside (-1, 1)")


def _discrete_scale_by_derivation(parameters: Parameters, context: Context) -> Evidence:
    """The exact scale |f'|/(1-|f|)² for b = b_from + excess, excess ≥ 0."""
    excess = sp.Symbol("excess", nonnegative=True)
    f = best("discrete").subs(b, read_formula(parameters["b_from"]) + excess)
    claimed = sp.Abs(read_formula(parameters["rate"]))
    sign_known = sp.factor(sp.together(f))
    if sign_known.is_nonnegative and sp.simplify(mode_gradient_norm(sign_known, "discrete") - claimed) == 0:
        return proved("f >= 0, so the modulus inside the scale drops out")
    for point in ({w: sp.Rational(1, 10)}, {w: sp.Integer(1)}):
        values = {**point, a: sp.Integer(2), excess: sp.Integer(0)}
        exact, stated = mode_gradient_norm(f, "discrete").subs(values), claimed.subs(values)
        if exact != stated:
            where = {"a": "2", "b": parameters["b_from"], "w": str(point[w])}
            sides = {"scale": str(exact), "claimed": str(stated)}
            return refuted("the exact scale is another", where | sides, Verdict.PROVED)
    return inconclusive("the sign of f is not known, and no sample decides")


def _discrete_scale_by_polynomials(parameters: Parameters) -> tuple[Any, str]:
    from proofs_check.polynomial import prove_polynomial

    modulus = sp.Symbol("modulus", nonnegative=True)
    known = [*_discrete_definition(), b >= read_formula(parameters["b_from"]), sp.Eq(modulus**2, VALUE**2)]
    statement = sp.Eq(SLOPE**2, read_formula(parameters["rate"]) ** 2 * (1 - modulus) ** 4)
    return prove_polynomial(statement, known), "for all a, b, w by the product rule, with |f| as a variable"


def _discrete_scale_by_summation(parameters: Parameters, context: Context) -> Evidence:
    """Central differences of Σ_k |f(w)|^k, the loss of one mode against H = 0.

    A rounding ε of |f| changes the sum by ε/(1-|f|)², the square of the loss.
    """
    rate = sp.lambdify(w, read_formula(parameters["rate"]).subs(a, 1.0), "math")
    for b_value in (float(read_formula(parameters["b_from"])), float(read_formula(parameters["b_from"])) + 0.3):
        for w0 in (0.2, 0.4, 1.0, 2.0):

            def loss(at: float, b_value: float = b_value) -> float:
                modulus = abs(1 - 1 / (at**2 + b_value))
                return float(np.sum(modulus ** np.arange(int(45 / (1 - modulus)) + 2)))

            coarse, fine = (abs(loss(w0 + h) - loss(w0 - h)) / (2 * h) for h in (2e-4, 1e-4))
            value, stated = fine + (fine - coarse) / 3, abs(rate(w0))
            if abs(value - stated) > abs(fine - coarse) + 4 * _EPS * loss(w0) ** 2 / 1e-4:
                point = {"a": 1.0, "b": b_value, "w": w0, "gradient": value, "claimed": stated}
                return refuted("a gradient summed in floating point differs", point, Verdict.SUPPORTED)
    return supported("gradients of the loss of one mode agree")


# --- The claims -------------------------------------------------------------------------------------------------------

CLAIMS = (
    Claim(
        id="best-discrete-ode",
        label="Best reparameterization",
        title="1 - 1/(aw²+b) solves the discrete-time equation, inside (-1, 1) for b > 1/2",
        statement="For a > 0 and b > 1/2 the discrete-time best reparameterization f(w) = 1 - 1/(aw² + b) has |f| < 1 "
        "for every real w and satisfies f'/(1-f)² = 2aw. At b = 1/2 already f(0) = -1.",
        latex=r"f(w) = 1-\frac{1}{a w^2 + b},\ b > \frac{1}{2}\ \Rightarrow\ "
        r"\frac{f'(w)}{(1-f(w))^2} = 2 a w,\ |f(w)| < 1",
        hypotheses=("Real parameters a > 0, b > 1/2.",),
        kind=Kind.AMENDED,
        expected=Verdict.PROVED,
        parameters={"rate": "2*a*w", "b_above": "1/2"},
        routes=(
            Route("differentiation", Method.SYMBOLIC, _discrete_ode_by_derivation),
            Route("product rule", Method.POLYNOMIAL, polynomial_route(_discrete_ode_by_polynomials)),
            Route("Runge-Kutta", Method.FLOATING, _discrete_ode_by_simulation),
        ),
        mutants=(
            Variant("b > 1/4 is enough", {"b_above": "1/4"}),
            Variant("a instead of 2a", {"rate": "a*w"}),
            Variant("the other sign", {"rate": "-2*a*w"}),
        ),
        theory=("theory.best:best", "theory.best:general_solution_by_integration", "theory.best:from_memory_time"),
    ),
    Claim(
        id="best-discrete-scale",
        label="derived",
        title="The exact discrete-time gradient scale of best is 2a|w| for b >= 1",
        statement="For a > 0 and b >= 1 the discrete-time best reparameterization has f >= 0, and its exact gradient "
        "scale |f'|/(1-|f|)² is 2a|w|. For 1/2 < b < 1, f is negative near w = 0 and the scale is larger there.",
        latex=r"f(w) = 1-\frac{1}{a w^2 + b},\ b \geq 1\ \Rightarrow\ \frac{|f'(w)|}{(1-|f(w)|)^2} = 2 a |w|",
        hypotheses=("Real parameters a > 0, b >= 1.",),
        kind=Kind.AMENDED,
        expected=Verdict.PROVED,
        parameters={"rate": "2*a*w", "b_from": "1"},
        routes=(
            Route("sign of f", Method.SYMBOLIC, _discrete_scale_by_derivation),
            Route("product rule with a modulus", Method.POLYNOMIAL, polynomial_route(_discrete_scale_by_polynomials)),
            Route("loss of one mode, summed", Method.FLOATING, _discrete_scale_by_summation),
        ),
        mutants=(
            Variant("b >= 3/5 is enough", {"b_from": "3/5"}),
            Variant("b >= 9/10 is enough", {"b_from": "9/10"}),
            Variant("a instead of 2a", {"rate": "a*w"}),
        ),
        theory=("theory.best:best", "theory.gradient:mode_gradient_norm"),
    ),
)
