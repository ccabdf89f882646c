"""Definition 3.4: its integral, its least g, and the modulus of continuity behind it."""

from __future__ import annotations

from collections.abc import Iterator

import sympy as sp

from numerics.enclosure import Interval, enclose, integrate
from numerics.optimum import supremum
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
from proofs_check.comparison import Pair, compare_enclosures, compare_exact, compare_floats, prove_all
from proofs_check.polynomial import prove_polynomial
from theory.notation import lam, lam_tilde, t, w
from theory.stability import OMEGA, difference_integral, divergence_at_boundary, least_g, modulus_splitting

R = sp.Rational
STEP = sp.Symbol("delta", real=True)
"""δ = w̃ - w."""
SEARCH = 1e-4
"""The width that branch and bound aims at."""
HORIZON = 40
"""Integrals over [0, ∞) are cut at T = HORIZON / (slower rate): the tail is below e^{-40}/rate."""


def mode_distance(rate: sp.Expr, rate_tilde: sp.Expr) -> Interval:
    """An enclosure of ∫_0^∞ |e^{λ̃t} - e^{λt}| dt for negative rational λ, λ̃, by rigorous quadrature and its tail."""
    slow = max(rate, rate_tilde)
    end = sp.Integer(HORIZON) / -slow
    head = integrate(sp.Abs(sp.exp(rate_tilde * t) - sp.exp(rate * t)), t, 0, end)
    tail = enclose(sp.exp(slow * end) / -slow, {})
    return head + Interval.of(0).hull(tail)


# --- the integral ----------------------------------------------------------------------------------------------------

NEGATIVE_PAIRS = ((R(-1), R(-1, 2)), (R(-1, 7), R(-3)), (R(-2), R(-2)))
OTHER_PAIRS = ((R(-1), R(1, 2)),)


def _pairs(parameters: Parameters) -> tuple[tuple[sp.Rational, sp.Rational], ...]:
    return NEGATIVE_PAIRS if parameters["signs"] == "negative" else NEGATIVE_PAIRS + OTHER_PAIRS


def _claimed_integral(parameters: Parameters, first: sp.Expr, second: sp.Expr) -> sp.Expr:
    power = R(parameters["power"])
    return R(parameters["scale"]) * sp.Abs(second**power - first**power)


def integral_symbolic(parameters: Parameters, context: Context) -> Evidence:
    for first, second in _pairs(parameters):
        if max(first, second) >= 0:
            value = divergence_at_boundary(first, second)
            pair = {"lambda": str(first), "lambda_tilde": str(second), "integral": str(value)}
            return refuted("the integral is infinite where a mode does not decay", pair, Verdict.PROVED)
    derived = difference_integral(lam, lam_tilde)
    point = {lam: R(-1, 7), lam_tilde: R(-3)}
    return compare_exact(derived, _claimed_integral(parameters, lam, lam_tilde), point, "the integral")


def integral_enclosure(parameters: Parameters, context: Context) -> Evidence:
    def cases() -> Iterator[tuple[str, Interval, Interval]]:
        for first, second in _pairs(parameters):
            if max(first, second) < 0:
                value = mode_distance(first, second)
            else:  # a lower bound: the integral up to T = 40 alone
                partial = integrate(sp.Abs(sp.exp(second * t) - sp.exp(first * t)), t, 0, HORIZON)
                value = Interval.of(partial.lower, "inf")
            if first != second:
                claimed = enclose(_claimed_integral(parameters, first, second), {})
                yield f"lambda = {first}, lambda_tilde = {second}", value, claimed

    return compare_enclosures(cases(), "the integral")


def integral_quadrature(parameters: Parameters, context: Context) -> Evidence:
    import numpy as np
    from scipy.integrate import quad

    cases = []
    for first, second in _pairs(parameters):
        end = np.inf if max(first, second) < 0 else HORIZON
        value, error = quad(lambda x, p=float(first), q=float(second): abs(np.exp(q * x) - np.exp(p * x)), 0, end)
        claimed = float(_claimed_integral(parameters, first, second))
        tolerance = error + 8 * np.finfo(float).eps * abs(value)
        cases.append(Pair(f"lambda = {first}, lambda_tilde = {second}", claimed, value, tolerance))
    return compare_floats(cases, "the integral")


INTEGRAL = Claim(
    id="def-3.4-integral",
    label="Definition 3.4",
    title="The integral of Definition 3.4 in closed form",
    statement="The L¹ distance of two decaying modes is the difference of their memory times, |1/λ̃ - 1/λ|.",
    latex=r"\int_0^\infty |e^{\tilde\lambda t}-e^{\lambda t}|\,dt = |1/\tilde\lambda-1/\lambda|",
    hypotheses=("λ < 0 and λ̃ < 0.",),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"power": "-1", "scale": "1", "signs": "negative"},
    routes=(
        Route("SymPy integrates the sign-definite difference", Method.SYMBOLIC, integral_symbolic),
        Route("rigorous quadrature and tail", Method.ENCLOSURE, integral_enclosure),
        Route("scipy quadrature", Method.FLOATING, integral_quadrature),
    ),
    mutants=(
        Variant("squared memory times", {"power": "-2"}),
        Variant("twice as large", {"scale": "2"}),
        Variant("a mode that does not decay", {"signs": "any"}),
    ),
    theory=("theory.stability:difference_integral", "theory.stability:divergence_at_boundary"),
)


# --- the least g -----------------------------------------------------------------------------------------------------


def least_g_symbolic(parameters: Parameters, context: Context) -> Evidence:
    claimed = sp.exp(R(parameters["exponent"]) * OMEGA) - R(parameters["constant"])
    return compare_exact(least_g(OMEGA), claimed, {OMEGA: R(1, 2)}, "the least g")


def least_g_polynomial(parameters: Parameters, context: Context) -> Evidence:
    """With y = e^{ω/2}: all ratios f(w)/f(w̃) between y^{-2} and y² differ from 1 by at most g, and y² by g."""
    y, ratio = sp.symbols("y ratio", positive=True)
    claimed = y ** int(2 * R(parameters["exponent"])) - R(parameters["constant"])
    reachable = [y >= 1, ratio <= y**2, ratio * y**2 >= 1]
    statements = (
        ("g bounds the criterion, y = e^(ω/2)", sp.And(ratio - 1 <= claimed, 1 - ratio <= claimed), reachable),
        ("no smaller g does, y = e^(ω/2)", y**2 - 1 >= claimed, [y >= 1]),
    )
    return prove_all(statements, "g bounds the criterion and no smaller g does")


def least_g_enclosure(parameters: Parameters, context: Context) -> Evidence:
    """f(w) = -(2 + sin w), period 2π < 6.3: both sides by branch and bound over w and δ."""
    size = 2 + sp.sin(w)
    shifted = size.subs(w, w + STEP)

    def cases() -> Iterator[tuple[str, Interval, Interval]]:
        for radius in context.pick((R(1, 2),), (R(1, 10), R(1, 2), R(1))):
            box = {w: (0, R(63, 10)), STEP: (-radius, radius)}
            g = supremum(sp.Abs(size / shifted - 1), box, tolerance=SEARCH)
            modulus = supremum(sp.log(shifted / size), box, tolerance=SEARCH)
            omega = Interval.of(modulus.lower, modulus.upper)
            claimed = (omega * Interval.of(R(parameters["exponent"]))).exp() - Interval.of(R(parameters["constant"]))
            yield f"f = -(2+sin(w)), beta = {radius}", Interval.of(g.lower, g.upper), claimed

    return compare_enclosures(cases(), "the least g", width=10 * SEARCH)


LEAST_G = Claim(
    id="def-3.4-least-modulus",
    label="Definition 3.4",
    title="The least g is the exponential of a modulus of continuity",
    statement="For f < 0 the smallest g that Definition 3.4 admits is g*(β) = exp(ω(β)) - 1, where ω is the modulus of "
    "continuity of log|f|.",
    latex=r"g^*(\beta)=e^{\omega(\beta)}-1,"
    r"\quad \omega(\beta)=\sup_{|\tilde w-w|\leq\beta}\left|\log\frac{f(\tilde w)}{f(w)}\right|",
    hypotheses=("f < 0 on R.",),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"exponent": "1", "constant": "1"},
    routes=(
        Route("the worse of each pair and its swap", Method.SYMBOLIC, least_g_symbolic),
        Route("reachable ratios, by z3", Method.POLYNOMIAL, least_g_polynomial),
        Route("branch and bound for -(2+sin w)", Method.ENCLOSURE, least_g_enclosure),
    ),
    mutants=(
        Variant("half the modulus", {"exponent": "1/2"}),
        Variant("twice the modulus", {"exponent": "2"}),
        Variant("without the -1", {"constant": "0"}),
    ),
    theory=("theory.stability:least_g", "theory.stability:criterion"),
)


# --- the modulus of continuity ---------------------------------------------------------------------------------------


def modulus_symbolic(parameters: Parameters, context: Context) -> Evidence:
    factor, gap = R(parameters["factor"]), R(parameters["gap"])
    if gap > 0:  # log|f| = 0 left of the gap and 1 right of it
        jump = {"domain": f"R without (0, {gap})", "omega(gap)": "1", "omega(gap/2)": "0"}
        return refuted("no pair closer than the gap straddles it", jump, Verdict.PROVED)
    first, second = sp.symbols("beta_1 beta_2", positive=True)
    delta = sp.Symbol("delta", real=True)
    shares = [step / delta for step in modulus_splitting()]
    longest = [sp.simplify(share * (first + second)) for share in shares]
    if longest != [first, second]:
        return inconclusive(f"the steps of the splitting are as long as {longest}")
    if factor < 1:
        line = {"log|f|": "w", "omega(2)": "2", "factor*(omega(1)+omega(1))": str(2 * factor)}
        return refuted("a linear log|f| has ω(β) = β", line, Verdict.PROVED)
    return proved("each step of length ≤ β₁+β₂ is split at a point of R into steps ≤ β₁ and ≤ β₂")


def modulus_polynomial(parameters: Parameters, context: Context) -> Evidence:
    factor, gap = R(parameters["factor"]), R(parameters["gap"])
    x, y, z, at_x, at_y, at_z = sp.symbols("x y z L_x L_y L_z", real=True)
    first, second, one, two = sp.symbols("beta_1 beta_2 omega_1 omega_2", positive=True)

    def inside(point: sp.Symbol) -> sp.Expr:
        return sp.true if gap == 0 else sp.Or(point <= 0, point >= gap)

    def near(p: sp.Symbol, q: sp.Symbol, distance: sp.Expr) -> sp.Expr:
        return sp.And(p - q <= distance, q - p <= distance)

    between = sp.Eq(z * (first + second), second * x + first * y)
    given = [inside(x), inside(y), near(x, y, first + second), between]
    split = prove_polynomial(sp.And(inside(z), near(x, z, first), near(z, y, second)), given)
    values = [near(at_x, at_z, one), near(at_z, at_y, two)]
    triangle = prove_polynomial(near(at_x, at_y, factor * (one + two)), values)
    if split is True and triangle is True:
        return proved("an intermediate point exists, and the triangle inequality holds there")
    # a counterexample must be a function: log|f| = w, or a step across the gap
    linear = prove_polynomial(sp.Le(first + second, factor * (first + second), evaluate=False))
    if isinstance(linear, dict):
        return refuted("log|f| = w", linear, Verdict.PROVED)
    if gap > 0:
        straddles = [x <= 0, y >= gap, near(x, y, first + second), first < gap, second < gap]
        step = prove_polynomial(sp.false, straddles)
        if isinstance(step, dict):
            return refuted("log|f| = 0 for w ≤ 0, 1 for w ≥ gap", step, Verdict.PROVED)
    return inconclusive("no splitting and no counterexample was found")


def modulus_lattice(parameters: Parameters, context: Context) -> Evidence:
    """On a lattice of spacing 1/16 without the gap: every ω(β₁+β₂) against ω(β₁) + ω(β₂)."""
    import numpy as np

    spacing, factor, gap = 1 / 16, float(R(parameters["factor"])), float(R(parameters["gap"]))
    points = np.arange(-64, 65) * spacing
    points = points[(points <= 0) | (points >= gap)]
    distances = np.rint(np.abs(points[:, None] - points[None, :]) / spacing).astype(int)
    functions = {"w": points, "sqrt|w|": np.sqrt(np.abs(points)), "log(1+w²)": np.log1p(points**2)}
    functions["a step at the gap"] = (points > gap / 2).astype(float)
    for name, values in functions.items():
        change = np.abs(values[:, None] - values[None, :])
        omega = np.array([change[distances <= k].max() for k in range(64)])
        for k in range(1, 32):
            excess = omega[k : k + 32] - factor * (omega[k] + omega[:32])
            worst = int(np.argmax(excess))
            if excess[worst] > 1e-12 * (1 + omega[-1]):
                pair = {"log|f|": name, "beta_1": k * spacing, "beta_2": worst * spacing}
                return refuted("ω(β₁+β₂) is larger", pair, Verdict.SUPPORTED)
    return supported("subadditive on the lattice", functions=list(functions))


MODULUS = Claim(
    id="def-3.4-modulus",
    label="derived",
    title="The modulus of continuity is subadditive",
    statement="The modulus of continuity ω of a function on R is subadditive, ω(β₁+β₂) ≤ ω(β₁)+ω(β₂). Hence, if it "
    "tends to 0 at 0, it is finite and continuous everywhere, and exp(ω) - 1 is a g as Definition 3.4 asks for.",
    latex=r"\omega(\beta_1+\beta_2)\leq\omega(\beta_1)+\omega(\beta_2)",
    hypotheses=("log|f| is defined on all of R.",),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"factor": "1", "gap": "0"},
    routes=(
        Route("splitting a step at a point of R", Method.SYMBOLIC, modulus_symbolic),
        Route("the intermediate point, by z3", Method.POLYNOMIAL, modulus_polynomial),
        Route("all pairs of a lattice", Method.FLOATING, modulus_lattice),
    ),
    mutants=(
        Variant("three quarters of the sum", {"factor": "3/4"}),
        Variant("f is not defined on an interval", {"gap": "1"}),
    ),
    theory=("theory.stability:modulus_splitting",),
)


CLAIMS = (INTEGRAL, LEAST_G, MODULUS)
