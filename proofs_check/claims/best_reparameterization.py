"""The equation for the best reparameterization: solutions, uniqueness, discrete time."""

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
from theory.best import (
    absolute_ode_branches,
    best,
    branch_end,
    constant,
    general_solution_by_dsolve,
    general_solution_by_integration,
    poles,
    zigzag_memory_time,
)
from theory.notation import a, b, w

_EPS = float(np.finfo(float).eps)
TAU = a * w**2 + b
"""The memory time of best."""
VALUE, SLOPE = sp.symbols("f slope", real=True)
"""f(w) and f'(w) where they are defined without a quotient."""
_SAMPLE = {a: sp.Integer(2), b: sp.Rational(1, 3)}
SIMULATION_TOLERANCE = 1e-8
"""Runge-Kutta of order 8 at a local tolerance of 1e-12, in some hundred steps, stays well below this."""


def read_formula(text: str) -> sp.Expr:
    """A claimed rate, a text in w, a and b."""
    return sp.sympify(text, locals={"w": w, "a": a, "b": b})


def polynomial_route(check: Callable[[Parameters], tuple[Any, str]]) -> Callable[[Parameters, Context], Evidence]:
    """A route from a function that returns z3's answer and, for a proof, what was proved."""

    def route(parameters: Parameters, context: Context) -> Evidence:
        outcome, summary = check(parameters)
        if outcome is None:
            return inconclusive("z3 gave up")
        if outcome is True:
            return proved(summary)
        return refuted("z3 found values that contradict it", dict(outcome), Verdict.PROVED)

    return route


# --- f'/f² = 2aw ------------------------------------------------------------------------------------------------------


def _lowest_b(parameters: Parameters) -> sp.Expr:
    """b as far down as the hypotheses let it, where that is a worst case: 0 if b = 0 is allowed."""
    return sp.Integer(0) if parameters["b"] == "nonnegative" else b


def _ode_by_derivation(parameters: Parameters, context: Context) -> Evidence:
    found = poles(_lowest_b(parameters))
    if found:
        return refuted("f has a pole", {"b": str(_lowest_b(parameters)), "w": [str(p) for p in found]}, Verdict.PROVED)
    f = best()
    left = sp.diff(f, w) / (-f) ** parameters["power"]
    residual = sp.factor(sp.simplify(left - read_formula(parameters["rate"])))
    if residual == 0:
        return proved("differentiation; aw² + b > 0 has no real root", f=str(f))
    gap = residual.subs(_SAMPLE).subs(w, 1)
    if gap == 0:
        return inconclusive(f"the residual {residual} vanishes at the sample")
    return refuted("the equation fails", {"a": "2", "b": "1/3", "w": "1", "residual": str(gap)}, Verdict.PROVED)


def _ode_by_polynomials(parameters: Parameters) -> tuple[Any, str]:
    """f τ = -1 and, differentiated, f' τ + f τ' = 0 define f and f' without a quotient."""
    from proofs_check.polynomial import prove_polynomial

    free = sp.Symbol("b", real=True)
    tau, known = TAU.subs(b, free), [free >= 0 if parameters["b"] == "nonnegative" else free > 0]
    positive = prove_polynomial(tau > 0, known)
    if positive is not True:
        return positive, ""
    defining = [sp.Eq(VALUE * tau, -1), sp.Eq(SLOPE * tau + VALUE * sp.diff(tau, w), 0)]
    equation = sp.Eq(SLOPE, read_formula(parameters["rate"]) * (-VALUE) ** parameters["power"])
    return prove_polynomial(equation, [*known, *defining]), "for all a, b, w by the product rule"


def solve_ode(rate: sp.Expr, power: int, values: dict[sp.Symbol, Any], start: float, ends: Any) -> Any:
    """f at ±ends by Runge-Kutta from f(0) = start, f' = rate |f|^power; rows for -ends and +ends."""
    from scipy.integrate import solve_ivp

    rate_of_w = sp.lambdify(w, rate.subs(values), "math")

    def slope(at: float, f: Any) -> Any:
        return rate_of_w(at) * np.abs(f) ** power

    runs = [solve_ivp(slope, (0, s * ends[-1]), [start], "DOP853", s * ends, rtol=1e-12, atol=1e-14) for s in (-1, 1)]
    return np.array([run.y[0] if run.success else np.full(len(ends), np.nan) for run in runs])


def relative_gap(simulated: Any, stated: Any) -> float:
    """The largest relative difference; infinite where the simulation did not reach its end."""
    gap = float(np.max(np.abs(simulated / stated - 1)))
    return gap if np.isfinite(gap) else np.inf


def shown(gap: float) -> float | str:
    return gap if np.isfinite(gap) else "inf"


def _ode_by_simulation(parameters: Parameters, context: Context) -> Evidence:
    """Runge-Kutta from f(0) = -1/b against -1/(aw² + b)."""
    rng, ends, worst = context.rng("best ode"), np.linspace(0.3, 3.0, 7), 0.0
    for _ in range(context.pick(3, 20)):
        values = {a: float(rng.uniform(0.3, 3)), b: float(rng.uniform(0.1, 2))}
        if _lowest_b(parameters) == 0:
            return refuted("f(0) = -1/b is infinite", {"b": 0.0, "w": 0.0}, Verdict.SUPPORTED)
        simulated = solve_ode(read_formula(parameters["rate"]), parameters["power"], values, -1 / values[b], ends)
        stated = -1 / (values[a] * ends**2 + values[b])
        gap = relative_gap(simulated, stated)
        if gap > SIMULATION_TOLERANCE:
            point = {"a": values[a], "b": values[b], "largest relative difference": shown(gap)}
            return refuted("the simulated solution is another function", point, Verdict.SUPPORTED)
        worst = max(worst, gap)
    return supported("Runge-Kutta runs agree", largest_relative_difference=worst)


# --- Uniqueness for the equation with its sign -----------------------------------------------------------------------


def _unique_by_general_solution(parameters: Parameters, context: Context) -> Evidence:
    """Two derivations of the general solution; f(0) = -1/b fixes the constant, if it is prescribed."""
    rate = read_formula(parameters["rate"])
    starts = [-1 / b] if parameters["pinned"] else [-1 / b, -1 / (2 * b)]
    for general in (general_solution_by_dsolve(rate=rate), general_solution_by_integration(rate=rate)):
        for start in starts:
            values = sp.solve(sp.Eq(general.subs(w, 0), start), constant)
            if len(values) != 1:
                return inconclusive(f"f(0) = {start} does not fix the constant: {values}")
            solution = sp.simplify(general.subs(constant, values[0]))
            if sp.simplify(solution - best()) != 0:
                return refuted("another solution", {"f": str(solution), "best": str(best())}, Verdict.PROVED)
    return proved("d(-1/f) = 2aw dw: -1/f - aw² is constant, and f(0) fixes it", starts=[str(x) for x in starts])


def _unique_by_polynomials(parameters: Parameters) -> tuple[Any, str]:
    """1/f - 1/best has derivative 0; so it keeps its value at 0, which is 0 if f(0) = -1/b is prescribed."""
    from proofs_check.polynomial import prove_polynomial

    start = sp.Symbol("f_at_0", negative=True)
    value = sp.Symbol("f_at_w", negative=True)
    rate = read_formula(parameters["rate"])
    best_value = [sp.Eq(VALUE * TAU, -1), sp.Eq(SLOPE * TAU + VALUE * sp.diff(TAU, w), 0)]
    solution_slope = rate * value**2  # the equation for the other solution
    # (1/f - 1/best)' = -f'/f² + best'/best², cleared of denominators
    conserved = sp.Eq(-solution_slope * VALUE**2 + SLOPE * value**2, 0)
    outcome = prove_polynomial(conserved, best_value)
    if outcome is not True:
        return outcome, ""
    # conservation, 1/f(w) - 1/best(w) = 1/f(0) + b, cleared of denominators
    kept = sp.Eq((VALUE - value) * start, value * VALUE * (1 + b * start))
    pinned = [sp.Eq(b * start, -1)] if parameters["pinned"] else []
    unique = prove_polynomial(sp.Eq(value, VALUE), [*best_value[:1], kept, *pinned])
    return unique, "1/f - 1/best is conserved, for all a, b, w"


def _unique_by_simulation(parameters: Parameters, context: Context) -> Evidence:
    ends, values = np.linspace(0.3, 3.0, 7), {a: 1.5, b: 0.4}
    stated = -1 / (values[a] * ends**2 + values[b])
    starts = [-1 / values[b]] if parameters["pinned"] else [-1 / values[b], -0.5 / values[b]]
    for start in starts:
        gap = relative_gap(solve_ode(read_formula(parameters["rate"]), 2, values, start, ends), stated)
        if gap > SIMULATION_TOLERANCE:
            point = {"f(0)": start, "largest relative difference": shown(gap)}
            return refuted("a solution that is not best", point, Verdict.SUPPORTED)
    return supported("every simulated solution is best", starts=starts)


# --- Uniqueness for the equation with moduli -------------------------------------------------------------------------


def _zigzag_solves() -> bool:
    """|τ'| = 2a|w| on every piece: both moduli replaced by a sign, s² = 1."""
    inner, outer = sp.symbols("s_inner s_outer", real=True)
    piece = b + a * outer * (1 - inner * (1 - w**2))
    square = sp.expand(sp.diff(piece, w) ** 2).subs({inner**2: 1, outer**2: 1})
    return bool(sp.simplify(square - 4 * a**2 * w**2) == 0)


def _absolute_by_branches(parameters: Parameters, context: Context) -> Evidence:
    """The four choices of sign, and where the derivative may jump the zigzag; those that stay positive survive."""
    reach = sp.oo if parameters["reach"] is None else read_formula(parameters["reach"]) * sp.sqrt(b / a)
    survivors = {}
    for signs, halves in absolute_ode_branches().items():
        if any(sp.simplify(sp.diff(half, w) ** 2 - 4 * a**2 * w**2) != 0 for half in halves):
            return inconclusive(f"the branch {signs} does not solve the equation")
        if all(branch_end(s) == sp.oo or (branch_end(s) - reach).is_nonnegative for s in signs):
            survivors[str(signs)] = [str(half) for half in halves]
    if parameters["regularity"] == "absolutely continuous":
        zigzag = zigzag_memory_time()
        if _zigzag_solves() and (zigzag - b).is_nonnegative and reach == sp.oo:
            survivors["zigzag"] = [str(zigzag)]
    others = {key: halves for key, halves in survivors.items() if key != "(1, 1)"}
    if others:
        return refuted("another positive memory time solves it", {"tau": others}, Verdict.PROVED)
    return proved("the sign can change at w = 0 only, and the other signs reach tau = 0", survivors=survivors)


def _absolute_by_polynomials(parameters: Parameters) -> tuple[Any, str]:
    """τ = b - aw² must reach 0 inside the domain; a zigzag must not be allowed."""
    from proofs_check.polynomial import prove_polynomial, satisfiable

    reach = parameters["reach"]
    domain = [] if reach is None else [a * w**2 < read_formula(reach) ** 2 * b]
    falling = prove_polynomial(b - a * w**2 > 0, domain)
    if falling is None:
        return None, ""
    if falling is True:
        return {"tau": "b - a*w**2", "domain": "a*w**2 < reach**2 * b"}, ""
    if parameters["regularity"] == "absolutely continuous":
        inner, outer = sp.symbols("inner outer", nonnegative=True)  # |1 - w²| and |1 - inner|
        moduli = [sp.Eq(inner**2, (1 - w**2) ** 2), sp.Eq(outer**2, (1 - inner) ** 2)]
        positive = prove_polynomial(b + a * outer > 0, moduli)
        differs = satisfiable([*moduli, sp.Ne(outer, w**2), *domain])
        if positive is True and differs is True:
            return {"tau": "b + a*||w**2 - 1| - 1|", "differs from b + a*w**2": "yes, and is positive"}, ""
        return None, ""
    return True, f"tau = b - aw² is not positive at {falling}; w -> w sqrt(b/a) carries this to all a, b"


def _absolute_by_simulation(parameters: Parameters, context: Context) -> Evidence:
    """Sums of ±2a|w| dw over all signs and switches that the regularity allows; survivors stay positive."""
    reach = 4.0 if parameters["reach"] is None else float(read_formula(parameters["reach"]))
    rng, edges = context.rng("switches"), np.linspace(0, reach, 4001)  # a = b = 1
    increments = np.diff(edges**2)
    patterns = [np.ones(4000), -np.ones(4000)]
    if parameters["regularity"] == "absolutely continuous":
        period = 2.0  # switch whenever w² crosses an integer of the zigzag
        patterns.append(np.where((edges[1:] ** 2) % period <= 1, 1.0, -1.0))
        patterns += [np.repeat(rng.choice([-1.0, 1.0], 40), 100) for _ in range(20)]
    for pattern in patterns:
        time = 1 + np.concatenate([[0], np.cumsum(pattern * increments)])
        interior = time[:-1] if parameters["reach"] is not None else time
        if interior.min() > 0 and np.max(np.abs(time - 1 - edges**2)) > 1e-6:
            point = {"smallest tau": float(interior.min()), "tau at the end": float(time[-1]), "w at the end": reach}
            return refuted("another memory time stays positive", point, Verdict.SUPPORTED)
    return supported("only the increasing memory time stays positive", patterns=len(patterns))


# --- The claims ------------------------------------------------------------------------------------------------------

_PARAMETERS = "Real parameters a > 0, b > 0."

CLAIMS = (
    Claim(
        id="best-ode",
        label="Best reparameterization",
        title="-1/(aw²+b) solves f'/f² = 2aw",
        statement="For a, b > 0 the best reparameterization f(w) = -1/(aw² + b) is finite and negative for every real "
        "w and satisfies f'/f² = 2aw. With b = 0, which the paper allows, it has a pole at w = 0.",
        latex=r"f(w) = -\frac{1}{a w^2 + b}\ \Rightarrow\ \frac{f'(w)}{f(w)^2} = 2 a w",
        hypotheses=(_PARAMETERS,),
        kind=Kind.AMENDED,
        expected=Verdict.PROVED,
        parameters={"rate": "2*a*w", "power": 2, "b": "positive"},
        routes=(
            Route("differentiation and real roots", Method.SYMBOLIC, _ode_by_derivation),
            Route("product rule", Method.POLYNOMIAL, polynomial_route(_ode_by_polynomials)),
            Route("Runge-Kutta", Method.FLOATING, _ode_by_simulation),
        ),
        mutants=(
            Variant("a instead of 2a", {"rate": "a*w"}),
            Variant("the other sign", {"rate": "-2*a*w"}),
            Variant("f³ instead of f²", {"power": 3}),
            Variant("b = 0 allowed", {"b": "nonnegative"}),
        ),
        theory=("theory.best:best", "theory.best:ode_left_side", "theory.best:poles"),
    ),
    Claim(
        id="best-uniqueness",
        label="Best reparameterization",
        title="The equation f'/f² = 2aw has one solution through f(0) = -1/b",
        statement="Every continuously differentiable f < 0 on the real line with f'/f² = 2aw and f(0) = -1/b is the "
        "best reparameterization -1/(aw² + b).",
        latex=r"\frac{f'}{f^2} = 2 a w,\ f(0) = -\frac{1}{b}\ \Rightarrow\ f(w) = -\frac{1}{a w^2 + b}",
        hypotheses=(_PARAMETERS, "f is continuously differentiable and negative.", "f(0) = -1/b."),
        kind=Kind.DERIVED,
        expected=Verdict.PROVED,
        parameters={"rate": "2*a*w", "pinned": True},
        routes=(
            Route("dsolve and integration", Method.SYMBOLIC, _unique_by_general_solution),
            Route("conserved difference", Method.POLYNOMIAL, polynomial_route(_unique_by_polynomials)),
            Route("Runge-Kutta", Method.FLOATING, _unique_by_simulation),
        ),
        mutants=(
            Variant("f(0) left free", {"pinned": False}),
            Variant("a instead of 2a", {"rate": "a*w"}),
            Variant("the other sign", {"rate": "-2*a*w"}),
        ),
        theory=(
            "theory.best:general_solution_by_dsolve",
            "theory.best:general_solution_by_integration",
            "theory.best:best",
        ),
    ),
    Claim(
        id="best-absolute-ode-uniqueness",
        label="Best reparameterization",
        title="Also |f'|/f² = 2a|w| has one smooth solution on the whole line",
        statement="Among continuously differentiable f < 0 on the whole real line with f(0) = -1/b, the equation with "
        "moduli, |f'|/f² = 2a|w|, is solved by the best reparameterization alone. It has further solutions on a "
        "bounded interval around 0, and on the line if f need only be locally absolutely continuous.",
        latex=r"\frac{|f'|}{f^2} = 2 a |w|\ (w\in\mathbf{R}),\ f(0) = -\frac{1}{b},\ f\in C^1,\ f<0"
        r"\ \Rightarrow\ f(w) = -\frac{1}{a w^2 + b}",
        hypotheses=(
            _PARAMETERS,
            "f is continuously differentiable and negative on the whole real line.",
            "f(0) = -1/b.",
        ),
        kind=Kind.DERIVED,
        expected=Verdict.PROVED,
        parameters={"regularity": "continuously differentiable", "reach": None},
        routes=(
            Route("the choices of sign", Method.SYMBOLIC, _absolute_by_branches),
            Route("positivity of each choice", Method.POLYNOMIAL, polynomial_route(_absolute_by_polynomials)),
            Route("sums over sign patterns", Method.FLOATING, _absolute_by_simulation),
        ),
        mutants=(
            Variant("absolutely continuous is enough", {"regularity": "absolutely continuous"}),
            Variant("on |w| < sqrt(b/a) only", {"reach": "1"}),
            Variant("on |w| < sqrt(b/a)/2 only", {"reach": "1/2"}),
        ),
        theory=(
            "theory.best:absolute_ode_branches",
            "theory.best:branch_end",
            "theory.best:zigzag_memory_time",
        ),
    ),
)
