"""Definition 3.4: f is stable if and only if it is constant, or negative with log|f| uniformly continuous on R."""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from numerics.enclosure import Interval, enclose, integrate, less
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
from proofs_check.comparison import compare_exact, prove_all, read
from proofs_check.polynomial import prove_polynomial
from theory.formula import parse
from theory.notation import beta, t, w
from theory.stability import BOUND, divergence_at_boundary, least_g, modulus_from_g

R = sp.Rational
LINE = Interval.of("-inf", "inf")
SMALL = R(1, 10)
"""A β for which e^ω - 1 is well below 1 in all examples whose ω vanishes at 0."""


@dataclass(frozen=True)
class Example:
    """A function, the modulus of continuity ω(β) of log|f|, and pairs (w, w̃) closer than 1."""

    formula: str
    modulus: str
    pairs: tuple[tuple[str, str], ...]

    @property
    def f(self) -> sp.Expr:
        return parse(self.formula)

    @property
    def omega(self) -> sp.Expr:
        return read(self.modulus)

    @property
    def negative(self) -> bool:
        return enclose(self.f, {w: LINE}).negative() is True

    @property
    def vanishing(self) -> bool:
        """ω → 0 at 0: log|f| is uniformly continuous."""
        return bool(sp.limit(self.omega, beta, 0, "+") == 0)

    def values(self, pair: tuple[str, str]) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
        """f(w), f(w̃) and |w̃ - w| of a pair."""
        first, second = (sp.sympify(text) for text in pair)
        return self.f.subs(w, first), self.f.subs(w, second), sp.Abs(second - first)


EXAMPLES = (
    Example("-exp(w)", "beta", (("0", "-9/10"), ("1", "19/10"))),
    Example("-exp(sqrt(abs(w)))", "sqrt(beta)", (("0", "9/10"), ("9/10", "0"))),
    Example("exp(w)", "beta", (("0", "1/2"),)),
    Example("-(2+sin(w**2))", "log(3)", (("sqrt(200*pi+pi/2)", "sqrt(200*pi-pi/2)"),)),
)


def criterion_enclosure(first: sp.Expr, second: sp.Expr) -> Interval:
    """|f(w)| ∫_0^∞ |e^{f(w̃)t} - e^{f(w)t}| dt from the two values, by quadrature; [lower, ∞] where one is ≥ 0."""
    end = 30
    rates = [enclose(value, {}) for value in (first, second)]
    partial = integrate(sp.Abs(sp.exp(second * t) - sp.exp(first * t)), t, 0, end)
    if all(rate.negative() for rate in rates):
        slow = Interval.of(min(-rate.upper for rate in rates))
        partial = partial + Interval.of(0).hull((slow * -end).exp() / slow)
    else:
        partial = Interval.of(partial.lower, "inf")
    return rates[0].abs() * partial


# --- sufficient ------------------------------------------------------------------------------------------------------


def _admitted(parameters: Parameters) -> list[Example]:
    """The examples that meet the statement's hypotheses."""
    needs_sign, needs_limit = parameters["negative"], parameters["modulus"] == "vanishing"
    return [e for e in EXAMPLES if (e.negative or not needs_sign) and (e.vanishing or not needs_limit)]


def sufficient_symbolic(parameters: Parameters, context: Context) -> Evidence:
    power = R(parameters["power"])
    value = sp.Symbol("c", real=True)
    if sp.integrate(sp.Abs(sp.exp(value * t) - sp.exp(value * t)), (t, 0, sp.oo)) != 0:
        return inconclusive("the criterion of a constant f was not shown to be 0")
    for example in _admitted(parameters):
        first, second, _ = example.values(example.pairs[0])
        if not example.negative:
            value = divergence_at_boundary(first, second)
            pair = {"f": example.formula, "w, w_tilde": list(example.pairs[0]), "integral": str(value)}
            return refuted("a positive f has infinite integrals", pair, Verdict.PROVED)
        if not example.vanishing:
            jump = sp.limit(least_g(example.omega), beta, 0, "+")
            case = {"f": example.formula, "g(0)": "0", "lim g*(beta)": str(jump)}
            return refuted("the least g is not continuous at 0", case, Verdict.PROVED)
    if (power - 1).is_nonnegative:
        # e^{cω} - 1 ≥ e^ω - 1 for c ≥ 1, ω ≥ 0
        return proved("g = e^(cω) - 1, c ≥ 1, is at least the least g e^ω - 1, which is finite and continuous")
    excess = least_g(sp.Integer(1)) - (sp.exp(power) - 1)
    case = {"f": "-exp(w)", "beta": "1", "criterion - g": str(excess)}
    return refuted("g is smaller than the criterion of -exp(w), ω(β) = β", case, Verdict.PROVED)


def sufficient_polynomial(parameters: Parameters, context: Context) -> Evidence:
    """The inequality alone, Q = e^{ω/2}: |f(w)| and |f(w̃)| within the factor Q² of each other."""
    size, size_tilde, bound = sp.symbols("p q Q", positive=True)
    claimed = bound ** int(2 * R(parameters["power"])) - 1
    given = [bound >= 1, size <= bound**2 * size_tilde, size_tilde <= bound**2 * size]
    statement = sp.And(size - size_tilde <= claimed * size_tilde, size_tilde - size <= claimed * size_tilde)
    outcome = prove_polynomial(statement, given)
    if outcome is None:
        return inconclusive("z3 gave up")
    if outcome is not True:
        return refuted("|p/q - 1| > g for |f(w)| = p, |f(w_tilde)| = q, e^(ω/2) = Q", outcome, Verdict.PROVED)
    if parameters["negative"] and parameters["modulus"] == "vanishing":
        return proved("|f(w)/f(w̃) - 1| ≤ g")
    return inconclusive("the inequality |f(w)/f(w̃) - 1| ≤ g holds, but says nothing about the signs or the limit of g")


def sufficient_enclosure(parameters: Parameters, context: Context) -> Evidence:
    """The definition itself on pairs of examples: its integral by rigorous quadrature against g."""
    power = R(parameters["power"])
    for example in _admitted(parameters):
        for pair in example.pairs:
            first, second, gap = example.values(pair)
            criterion = criterion_enclosure(first, second)
            claimed = enclose(sp.exp(power * example.omega.subs(beta, 1)) - 1, {})
            case = {"f": example.formula, "w": pair[0], "w_tilde": pair[1], "criterion": criterion.lower}
            if less(claimed, criterion):
                return refuted("the criterion exceeds g(1)", {**case, "g(1)": claimed.upper}, Verdict.ENCLOSED)
            if less(enclose(gap, {}), Interval.of(SMALL)) and criterion.lower > 1:
                case["beta"] = str(SMALL)
                return refuted("the criterion is not small for small β", case, Verdict.ENCLOSED)
    return supported("no pair of the examples violates g", examples=[e.formula for e in _admitted(parameters)])


SUFFICIENT = Claim(
    id="def-3.4-characterization-sufficient",
    label="Definition 3.4",
    title="Which f are stable: sufficient",
    statement="Every f < 0 whose logarithm log|f| is uniformly continuous on R is a stable reparameterization, with "
    "g(β) = exp(ω(β)) - 1. So is every constant f.",
    latex=r"f<0,\ \omega(\beta)\to 0\ (\beta\to 0)\ \Rightarrow\ f\ \mathrm{stable\ with}\ g=e^{\omega}-1",
    hypotheses=("f < 0 on R.", "log|f| is uniformly continuous on R, with modulus ω."),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"power": "1", "negative": True, "modulus": "vanishing"},
    routes=(
        Route("comparison with the least g", Method.SYMBOLIC, sufficient_symbolic),
        Route("the inequality, by z3", Method.POLYNOMIAL, sufficient_polynomial),
        Route("the definition's integral on pairs", Method.ENCLOSURE, sufficient_enclosure),
    ),
    mutants=(
        Variant("half the modulus", {"power": "1/2"}),
        Variant("f of any sign", {"negative": False}),
        Variant("the modulus is finite but need not vanish", {"modulus": "finite"}),
    ),
    theory=("theory.stability:characterization", "theory.stability:modulus_splitting"),
)


# --- necessary -------------------------------------------------------------------------------------------------------

CONSTANTS = (sp.Integer(-1), sp.Integer(0), sp.Integer(1))


def necessary_symbolic(parameters: Parameters, context: Context) -> Evidence:
    if not parameters["except_constants"]:
        for value in CONSTANTS:  # equal modes: the integral of 0
            distance = sp.integrate(sp.Abs(sp.exp(value * t) - sp.exp(value * t)), (t, 0, sp.oo))
            if distance == 0 and value >= 0:
                case = {"f": str(value), "g": "0"}
                return refuted("a constant f ≥ 0 is stable with g = 0", case, Verdict.PROVED)
    # two values, the larger one ≥ 0: infinite in either order, and one factor |f| is not 0
    larger, gap = sp.Symbol("mu", nonnegative=True), sp.Symbol("delta", positive=True)
    for first, second in ((larger, larger - gap), (larger - gap, larger)):
        if divergence_at_boundary(first, second) != sp.oo:
            return inconclusive(f"the integral for {first}, {second} was not shown to be infinite")
    claimed = R(parameters["factor"]) * sp.log(1 + BOUND)
    if (R(parameters["factor"]) - 1).is_nonnegative:
        return proved(f"a non-constant stable f is negative, and ω ≤ {modulus_from_g()} ≤ {claimed}")
    return compare_exact(modulus_from_g(), claimed, {BOUND: R(1)}, "the best bound on ω, attained by g = g*")


def necessary_polynomial(parameters: Parameters, context: Context) -> Evidence:
    """p = |f(w)|, q = |f(w̃)|; the integral is finite only for equal modes or for two decaying ones."""
    size, size_tilde, bound = sp.symbols("p q g", positive=True)
    first, second = sp.symbols("lambda lambda_tilde", real=True)
    finite = sp.Or(sp.Eq(first, second), sp.And(first < 0, second < 0))
    given = [finite] if not parameters["except_constants"] else [finite, sp.Ne(first, second)]
    doubled = int(2 * R(parameters["factor"]))
    both_orders = [size - size_tilde <= bound * size_tilde, size_tilde - size <= bound * size]
    statements = (
        ("f < 0", sp.And(first < 0, second < 0), given),
        ("ω ≤ factor · log(1+g)", size**2 <= (1 + bound) ** doubled * size_tilde**2, both_orders),
    )
    return prove_all(
        statements, "values of a stable f are equal or negative, and their logarithms differ by at most log(1+g)"
    )


def necessary_enclosure(parameters: Parameters, context: Context) -> Evidence:
    """Examples: the criterion v of a pair by quadrature (both orders), and |log f(w̃)/f(w)| ≤ factor · log(1+v)."""
    factor = Interval.of(R(parameters["factor"]))
    values = [example.values(pair)[:2] for example in EXAMPLES if example.negative for pair in example.pairs]
    for first, second in values:
        # a pair and its swap; a hair more, so that the equality case is decided
        worst = max(criterion_enclosure(first, second).upper, criterion_enclosure(second, first).upper)
        change = enclose(sp.Abs(sp.log(second / first)), {})
        case = {"f(w)": str(first), "f(w_tilde)": str(second), "criterion": worst}
        if less(factor * (Interval.of(worst) + R(1, 10**6)).log1p(), change):
            return refuted("log|f| changes more", {**case, "change": change.lower}, Verdict.ENCLOSED)
    for value in CONSTANTS if not parameters["except_constants"] else ():
        distance = criterion_enclosure(value, value)
        if value >= 0 and distance.lower == 0:
            case = {"f": str(value), "integral on [0, 30]": distance.lower}
            return refuted("a constant f ≥ 0 has integral 0", case, Verdict.ENCLOSED)
    return supported("log|f| changes by at most factor · log(1+v) on all pairs", pairs=len(values))


NECESSARY = Claim(
    id="def-3.4-characterization-necessary",
    label="Definition 3.4",
    title="Which f are stable: necessary",
    statement="A stable reparameterization that is not constant is negative everywhere, and log|f| is uniformly "
    "continuous on R: its modulus of continuity is at most log(1 + g(β)). Continuity of f need not be assumed.",
    latex=r"f\ \mathrm{stable,\ not\ constant}\ \Rightarrow\ f<0,\ \omega(\beta)\leq\log(1+g(\beta))\to 0",
    hypotheses=("f: R → R satisfies Definition 3.4 with a finite g.", "f is not constant."),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"factor": "1", "except_constants": True},
    routes=(
        Route("divergence at the boundary, inversion of g*", Method.SYMBOLIC, necessary_symbolic),
        Route("signs and ratios, by z3", Method.POLYNOMIAL, necessary_polynomial),
        Route("the definition's integral on pairs", Method.ENCLOSURE, necessary_enclosure),
    ),
    mutants=(
        Variant("half the modulus", {"factor": "1/2"}),
        Variant("constants are not excepted", {"except_constants": False}),
    ),
    theory=("theory.stability:characterization", "theory.stability:modulus_from_g"),
)

CLAIMS = (SUFFICIENT, NECESSARY)
