"""Stable reparameterizations in discrete time: which f are, and why log(1-|f|) alone does not decide."""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from numerics.enclosure import Interval, enclose, less
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
from proofs_check.comparison import compare_exact, prove_all
from proofs_check.polynomial import prove_polynomial
from theory.discrete import P, Q, least_g_bounds, opposite_sign_criterion, sign_jump
from theory.stability import BOUND, OMEGA, modulus_from_g

R = sp.Rational
DEFINITION = (
    "Discrete definition: some continuous g, g(0) = 0, has |1-|f(w)||·Σ_k|f(w̃)^k - f(w)^k| ≤ g(β) for |w̃-w| ≤ β, "
    "where 0·∞ = ∞."
)
TERMS = 400
"""Sums are cut after this many terms; what is left is below 2 p^TERMS/(1-p)."""


def power_sum(first: Interval, second: Interval) -> Interval:
    """An enclosure of Σ_{k≥0} |λ̃^k - λ^k| for two values of modulus below 1, term by term."""
    total, one, two = Interval.of(0), Interval.of(1), Interval.of(1)
    for _ in range(TERMS):
        one, two = one * first, two * second
        total = total + (two - one).abs()
    larger = Interval.of(max(first.abs().upper, second.abs().upper))
    return total + Interval.of(0).hull(2 * larger**TERMS / (1 - larger))


# --- the characterization --------------------------------------------------------------------------------------------
# Below x is the value of larger modulus, positive (else f is replaced by -f), and |y| ≤ x the other value. The sum is
# 1/(1-x) - 1/(1-y); Y ≥ 1 stands for e^ω, Z for its square root, G for a value of g.

x, y = sp.symbols("x y", real=True)
VALUES = [x >= 0, x < 1, y <= x, -y <= x]


def _criterion_at_most(bound: sp.Expr) -> sp.Expr:
    """Both orders of the pair (x, y) have a criterion of at most `bound`."""
    sizes = (1 - y, 1 + y)  # 1 - |y| is the smaller of the two
    of_smaller = [size * (x - y) <= bound * (1 - x) * (1 - y) for size in sizes]
    return sp.And(x - y <= bound * (1 - y), sp.Or(*of_smaller))


@dataclass(frozen=True)
class Example:
    """Two values of f at weights whose distance is below 1, with e^{ω(1)} for the two logarithms and for log(1-|f|)."""

    name: str
    values: tuple[str, str]
    both: str
    distance: str


EXAMPLES = (
    Example("exp(-exp(w)) at -21/10, -3", ("exp(-exp(-21/10))", "exp(-exp(-3))"), "E", "E"),
    Example("tanh(w) at 0, 9/10", ("0", "tanh(9/10)"), "E**2", "E**2"),
    Example("sign(w)/2 at -1/10, 1/10", ("-1/2", "1/2"), "3", "1"),
)


def _criterion(first: sp.Expr, second: sp.Expr) -> Interval:
    weight = enclose(first, {})
    return (1 - weight.abs()) * power_sum(weight, enclose(second, {}))


def sufficient_symbolic(parameters: Parameters, context: Context) -> Evidence:
    power = R(parameters["power"])
    if parameters["uniform"] == "distance":
        first, second, value = sign_jump()
        case = {"f": "sign(w)/2", "values": [str(first), str(second)], "criterion": str(value), "omega": "0"}
        return refuted("log(1-|f|) is constant and the criterion of a pair across 0 is not 0", case, Verdict.PROVED)
    upper = least_g_bounds()[1]
    if (power - 1).is_nonnegative:
        return proved(f"the criterion is at most {upper}, ω the larger modulus of log(1-f) and log(1+f)")
    # attained where f ≥ 0, as by exp(-e^w) with ω(β) = β
    claimed = sp.exp(power * OMEGA) - 1
    return compare_exact(upper, claimed, {OMEGA: R(1)}, "the least g of an f ≥ 0")


def sufficient_polynomial(parameters: Parameters, context: Context) -> Evidence:
    root = sp.Symbol("Z", positive=True)
    bound = root ** int(2 * R(parameters["power"])) - 1
    if parameters["uniform"] == "both":
        near = [1 - y <= root**2 * (1 - x), 1 + x <= root**2 * (1 + y)]
    else:  # 1 - |y| ≤ Y (1 - x), where 1-|y| is one of 1 ± y
        near = [sp.Or(1 - y <= root**2 * (1 - x), 1 + y <= root**2 * (1 - x))]
    outcome = prove_polynomial(_criterion_at_most(bound), [*VALUES, root >= 1, *near])
    if outcome is None:
        return inconclusive("z3 gave up")
    if outcome is True:
        return proved("the criterion of every pair is at most g")
    return refuted("values f = x, y with a larger criterion", outcome, Verdict.PROVED)


def sufficient_enclosure(parameters: Parameters, context: Context) -> Evidence:
    for example in EXAMPLES:
        first, second = (sp.sympify(text) for text in example.values)
        growth = enclose(sp.sympify(example.both if parameters["uniform"] == "both" else example.distance), {})
        claimed = (growth.log() * Interval.of(R(parameters["power"]))).exp() - 1
        for pair in ((first, second), (second, first)):
            criterion = _criterion(*pair)
            if less(claimed, criterion):
                case = {"f": example.name, "criterion": criterion.lower, "g(1)": claimed.upper}
                return refuted("the criterion exceeds g(1)", case, Verdict.ENCLOSED)
    return supported("no pair of the examples violates g", examples=[example.name for example in EXAMPLES])


SUFFICIENT = Claim(
    id="discrete-characterization-sufficient",
    label="derived",
    title="Which f are stable in discrete time: sufficient",
    statement="Every f with |f| < 1 for which both log(1-f) and log(1+f) are uniformly continuous on R is stable in "
    "discrete time, with g(β) = exp(ω(β)) - 1, ω the larger of the two moduli of continuity.",
    latex=r"|f|<1,\ \omega=\max(\omega_{\log(1-f)},\omega_{\log(1+f)})\to 0\ \Rightarrow\ g=e^{\omega}-1",
    hypotheses=(DEFINITION, "|f| < 1 on R.", "log(1-f) and log(1+f) are uniformly continuous on R."),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"power": "1", "uniform": "both"},
    routes=(
        Route("from the sum's closed form", Method.SYMBOLIC, sufficient_symbolic),
        Route("all pairs of values, by z3", Method.POLYNOMIAL, sufficient_polynomial),
        Route("enclosed sums of examples", Method.ENCLOSURE, sufficient_enclosure),
    ),
    mutants=(
        Variant("half the modulus", {"power": "1/2"}),
        Variant("only log(1-|f|) is uniformly continuous", {"uniform": "distance"}),
    ),
    theory=("theory.discrete:characterization", "theory.discrete:least_g_bounds"),
)


def necessary_symbolic(parameters: Parameters, context: Context) -> Evidence:
    if not parameters["except_constants"]:
        k = sp.Symbol("k", integer=True, nonnegative=True)
        total = sp.summation(sp.Integer(1) ** k - sp.Integer(1) ** k, (k, 0, sp.oo))
        if total == 0:
            return refuted("the constant f = 1 is stable with g = 0", {"f": "1", "sum": "0"}, Verdict.PROVED)
    # opposite signs: (p+q)/(1+q) ≤ g, so p+q ≤ (1+q) g ≤ 2g; smallest ratio of (p+q)/(1+q) to p+q as q → 1, largest 1
    ratio = sp.simplify(opposite_sign_criterion(True) / (P + Q))
    steepest = 1 / sp.limit(ratio, Q, 1)
    slack = 2 * P + sp.log(1 - P)  # concave on [0, 1/2], so smallest at an end
    concave = sp.simplify(sp.diff(slack, P, 2) * (1 - P) ** 2).is_negative
    ends = (slack.subs(P, 0), slack.subs(P, R(1, 2)))
    if not (concave and ends[0] == 0 and ends[1].is_positive):
        return inconclusive("-log(1-p) ≤ 2p was not shown for p ≤ 1/2")
    total = R(parameters["sum"])
    if total < 1:  # q = 0, p = g/(1+g): the two criteria are p and p/(1-p) = g
        g = (1 / total - 1) / 2
        p = g / (1 + g)
        larger, smaller = (opposite_sign_criterion(side).subs({P: p, Q: 0}) for side in (True, False))
        if max(larger, smaller) <= g and p > total * g:
            return refuted("p + q > sum·g is possible", {"g": str(g), "p": str(p), "q": "0"}, Verdict.PROVED)
    if total < steepest:
        return inconclusive("the constant is below the one derived")
    claimed = R(parameters["factor"]) * sp.log(1 + BOUND)
    if (R(parameters["factor"]) - 1).is_nonnegative:
        return proved(f"ω ≤ {modulus_from_g()} for log(1-|f|); values of opposite signs have p+q ≤ {steepest} g")
    return compare_exact(modulus_from_g(), claimed, {BOUND: R(1)}, "the best bound on ω, attained where f ≥ 0")


def necessary_polynomial(parameters: Parameters, context: Context) -> Evidence:
    """From both orders' criteria ≤ G: |f| < 1, 1-|y| ≤ (1+G)^factor (1-x), and x+|y| ≤ sum·G for opposite signs."""
    bound = sp.Symbol("G", nonnegative=True)
    doubled, total = int(2 * R(parameters["factor"])), R(parameters["sum"])
    first, second = sp.symbols("lambda lambda_tilde", real=True)
    finite = sp.Or(sp.Eq(first, second), sp.And(first**2 < 1, second**2 < 1))
    given = [finite, sp.Ne(first, second)] if parameters["except_constants"] else [finite]
    pair = [*VALUES, _criterion_at_most(bound)]
    statements = [
        ("|f| < 1", sp.And(first**2 < 1, second**2 < 1), given),
        ("p+q ≤ sum·g for opposite signs", x - y <= total * bound, [*pair, y <= 0]),
    ]
    for sign in (1, -1):  # 1 - |y| = 1 - sign·y
        squared = (1 - sign * y) ** 2 <= (1 + bound) ** doubled * (1 - x) ** 2
        statements.append(("1-|y| ≤ (1+g)^factor (1-x)", squared, [*pair, sign * y >= 0]))
    return prove_all(statements, "values of a stable f are equal or of modulus below 1, and near each other")


def necessary_enclosure(parameters: Parameters, context: Context) -> Evidence:
    """Examples: the largest criterion v of a pair by sums; |log((1-|λ̃|)/(1-|λ|))| ≤ factor·log(1+v); p+q ≤ sum·v."""
    factor, total = Interval.of(R(parameters["factor"])), Interval.of(R(parameters["sum"]))
    small = (R(1, 100), -R(1, 100))
    for first, second in (small, *(tuple(sp.sympify(v) for v in example.values) for example in EXAMPLES)):
        values = [enclose(value, {}) for value in (first, second)]
        # a hair more, so that the case of equality is decided
        worst = Interval.of(max(_criterion(first, second).upper, _criterion(second, first).upper) + 1e-9)
        change = ((1 - values[0].abs()) / (1 - values[1].abs())).log().abs()
        case = {"f(w)": str(first), "f(w_tilde)": str(second), "criterion": worst.upper}
        if less(factor * worst.log1p(), change):
            return refuted("log(1-|f|) changes more", {**case, "change": change.lower}, Verdict.ENCLOSED)
        if first * second < 0 and less(total * worst, values[0].abs() + values[1].abs()):
            return refuted("p + q is larger", case, Verdict.ENCLOSED)
    if not parameters["except_constants"]:
        one = Interval.of(1)
        if all((one**k - one**k).abs().upper == 0 for k in range(TERMS)):
            return refuted("f = 1 has the sum 0", {"f": "1", "sum": "0"}, Verdict.ENCLOSED)
    return supported("the bounds hold for all pairs tried", pairs=len(EXAMPLES) + 1)


NECESSARY = Claim(
    id="discrete-characterization-necessary",
    label="derived",
    title="Which f are stable in discrete time: necessary",
    statement="A stable f in discrete time that is not constant has |f| < 1 everywhere; the modulus of continuity of "
    "log(1-|f|) is at most log(1+g(β)); and values of opposite signs within β have |f(w)|+|f(w̃)| ≤ 2g(β). Hence f, "
    "log(1-f) and log(1+f) are uniformly continuous.",
    latex=r"f\ \mathrm{stable,\ not\ constant}\ \Rightarrow\ |f|<1,\ \omega_{\log(1-|f|)}(\beta)\leq\log(1+g(\beta))",
    hypotheses=(DEFINITION, "f: R → R satisfies it with a finite g.", "f is not constant."),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"factor": "1", "sum": "2", "except_constants": True},
    routes=(
        Route("inversion of the closed forms", Method.SYMBOLIC, necessary_symbolic),
        Route("all pairs of values, by z3", Method.POLYNOMIAL, necessary_polynomial),
        Route("enclosed sums of examples", Method.ENCLOSURE, necessary_enclosure),
    ),
    mutants=(
        Variant("half the modulus", {"factor": "1/2"}),
        Variant("half the sum of the moduli", {"sum": "1/2"}),
        Variant("constants are not excepted", {"except_constants": False}),
    ),
    theory=("theory.discrete:characterization",),
)


# --- log(1-|f|) alone ------------------------------------------------------------------------------------------------


def distance_symbolic(parameters: Parameters, context: Context) -> Evidence:
    factor = R(parameters["factor"])
    if not parameters["continuous"]:
        first, second, value = sign_jump()
        case = {"f": "sign(w)/2", "values": [str(first), str(second)], "criterion": str(value), "omega": "0"}
        return refuted("log(1-|f|) is constant, yet the criterion is not 0", case, Verdict.PROVED)
    growth = sp.Symbol("Y", positive=True)  # e^ω; f vanishes between values of opposite signs: 1-p ≥ 1/Y
    worst = sp.simplify((2 * P / (1 - P)).subs(P, 1 - 1 / growth))  # (1-q)(p+q)/((1-p)(1+q)) ≤ 2p/(1-p)
    gap, least = sp.symbols("gap q", nonnegative=True)
    slack = sp.simplify((2 * P / (1 - P) - opposite_sign_criterion(False)) * (1 - P) * (1 + Q))
    below = sp.expand(slack.subs(P, gap + Q).subs(Q, least)).is_nonnegative  # p = q + gap
    if factor >= 2 and sp.simplify(worst - 2 * (growth - 1)) == 0 and below:
        return proved("opposite signs: the criterion is at most 2p/(1-p) ≤ 2(e^ω - 1); equal signs: at most e^ω - 1")
    return inconclusive("the bound was not derived")


def distance_polynomial(parameters: Parameters, context: Context) -> Evidence:
    growth = sp.Symbol("Y", positive=True)
    bound = R(parameters["factor"]) * (growth - 1)
    for sign in (1, -1):  # |y| = sign·y
        near = [sign * y >= 0, 1 - sign * y <= growth * (1 - x), growth >= 1]
        if parameters["continuous"] and sign < 0:  # a zero of f between
            near += [growth * (1 - x) >= 1, growth * (1 + y) >= 1]
        outcome = prove_polynomial(_criterion_at_most(bound), [*VALUES, *near])
        if outcome is None:
            return inconclusive("z3 gave up")
        if outcome is not True:
            return refuted("values f = x, y with a larger criterion; Y = e^ω", outcome, Verdict.PROVED)
    return proved("the criterion of every pair is at most factor·(e^ω - 1)")


def distance_enclosure(parameters: Parameters, context: Context) -> Evidence:
    jumps = ("sign(w)/2 at -1/10, 1/10",)
    for example in EXAMPLES:
        if parameters["continuous"] and example.name in jumps:
            continue
        first, second = (sp.sympify(text) for text in example.values)
        claimed = (enclose(sp.sympify(example.distance), {}) - 1) * Interval.of(R(parameters["factor"]))
        criterion = _criterion(first, second)
        if less(claimed, criterion):
            case = {"f": example.name, "criterion": criterion.lower, "claimed": claimed.upper}
            return refuted("the criterion exceeds the bound", case, Verdict.ENCLOSED)
    return supported("no pair of the examples exceeds the bound")


DISTANCE = Claim(
    id="discrete-log-distance",
    label="derived",
    title="Uniform continuity of log(1-|f|) alone",
    statement="Every f with |f| < 1 for which log(1-|f|) is uniformly continuous on R, with modulus ω, is stable in "
    "discrete time, with g = 2(exp(ω) - 1), whether f is continuous or not.",
    latex=r"|f|<1,\ \omega_{\log(1-|f|)}\to 0\ \Rightarrow\ g=2(e^{\omega}-1)",
    hypotheses=(DEFINITION, "|f| < 1 on R.", "log(1-|f|) is uniformly continuous on R."),
    kind=Kind.DERIVED,
    expected=Verdict.REFUTED,
    parameters={"continuous": False, "factor": "2"},
    routes=(
        Route("a jump of the sign, or the zero between", Method.SYMBOLIC, distance_symbolic),
        Route("all pairs of values, by z3", Method.POLYNOMIAL, distance_polynomial),
        Route("enclosed sums of examples", Method.ENCLOSURE, distance_enclosure),
    ),
    mutants=(Variant("a larger g, still without continuity", {"factor": "100"}),),
    controls=(Variant("f is continuous", {"continuous": True}),),
    amended_by="discrete-characterization-sufficient",
    theory=("theory.discrete:sign_jump", "theory.discrete:characterization"),
)

CLAIMS = (SUFFICIENT, NECESSARY, DISTANCE)
