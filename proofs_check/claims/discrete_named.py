"""The named reparameterizations in discrete time: least g of exp, softplus, sigmoid, tanh; best needs b > 1/2."""

from __future__ import annotations

import math
from collections.abc import Iterator

import sympy as sp

from numerics.enclosure import Interval, compile_interval, enclose, less
from numerics.optimum import supremum
from numerics.tails import tail_range
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
    enclosed,
    inconclusive,
    proved,
    refuted,
    supported,
)
from proofs_check.claims.discrete_characterization import DEFINITION
from proofs_check.comparison import compare_enclosures, compare_exact, prove_all, read
from proofs_check.polynomial import prove_polynomial
from theory.discrete import best_half_limits, best_modulus_upper, least_g_named
from theory.notation import a, b, beta, w
from theory.reparameterization import symbolic_formula

R = sp.Rational
RADII = (R(1, 10), R(1))
PROBES = tuple(Interval.of(k) for k in range(-30, 31))
WIDTH = 1e-2
"""The width of an enclosure of g* that counts as tight; the mutants differ by more."""


DISTANCES = {
    "exp": ("1-exp(-exp(w))",),
    "softplus": ("1-1/(1+exp(w))",),
    "sigmoid": ("1-1/(1+exp(-w))",),
    "tanh": ("1-tanh(w)", "1+tanh(w)"),
}
"""1-f, and 1+f where f changes sign."""


def slope_upper(expr: sp.Expr) -> float:
    """An upper bound of sup |expr'| over the whole line."""
    slope = sp.simplify(sp.diff(expr, w).rewrite(sp.exp))
    bounds = []
    for side in (slope, -slope):
        found = supremum(side, {w: ("-inf", "inf")}, tolerance=1e-3, max_boxes=300, tail=tail_range(side, w))
        bounds.append(found.upper)
    return max(bounds)


# --- the least g -----------------------------------------------------------------------------------------------------


def named_symbolic(parameters: Parameters, context: Context) -> Evidence:
    name = parameters["name"]
    return compare_exact(least_g_named(name), read(parameters["g"]), {beta: R(1, 2)}, "the least g")


def named_enclosure(parameters: Parameters, context: Context) -> Evidence:
    """From below: the ratio of 1-|f| at points. From above: e^{Kβ} - 1, K bounding the slopes of log(1∓f)."""
    distances = [read(text) for text in DISTANCES[parameters["name"]]]
    if parameters["name"] == "exp":
        # u = e^w: the slope is u e^{-u}/(1-e^{-u}), and 1-e^{-u} = u e^{-θu} for some 0 ≤ θ ≤ 1 (mean value theorem)
        theta = sp.Symbol("theta", real=True)
        box = {theta: Interval.of(0, 1), w: Interval.of("-inf", "inf")}
        constant = enclose(sp.exp(-(1 - theta) * sp.exp(w)), box).upper
    else:
        constant = max(slope_upper(sp.log(distance)) for distance in distances)

    def cases() -> Iterator[tuple[str, Interval, Interval]]:
        for radius in RADII:
            upper = (Interval.of(constant) * radius).expm1().upper
            ratios = [distances[0].subs(w, w + step) / distances[0] - 1 for step in (radius, -radius)]
            # 1-f is the distance 1-|f| where f ≥ 0: for tanh at w ≥ 2 and w±β
            usable = [p for p in PROBES if len(distances) == 1 or p.lower >= 2]
            lower = max(compile_interval(ratio, (w,))(p).lower for ratio in ratios for p in usable)
            claimed = enclose(read(parameters["g"]), {beta: radius})
            yield f"{parameters['name']}, beta = {radius}", Interval.of(lower, upper), claimed

    return compare_enclosures(cases(), "the least g", width=WIDTH)


def _named(name: str, formula: str, latex: str, g: str, words: str) -> Claim:
    return Claim(
        id=f"discrete-{name}",
        label="derived",
        title=f"{formula} is stable in discrete time",
        statement=f"The discrete reparameterization f(w) = {formula} is stable; the least g is {words}.",
        latex=latex,
        hypotheses=(DEFINITION,),
        kind=Kind.DERIVED,
        expected=Verdict.PROVED,
        parameters={"name": name, "g": g},
        routes=(
            Route("derivation of the worst pair", Method.SYMBOLIC, named_symbolic),
            Route("branch and bound over the line", Method.ENCLOSURE, named_enclosure),
        ),
        mutants=(
            Variant("half the g", {"g": f"({g})/2"}),
            Variant("twice the exponent", {"g": g.replace("beta", "2*beta")}),
        ),
        theory=("theory.discrete:least_g_named", "theory.discrete:least_g_bounds"),
    )


EXP = _named("exp", "exp(-exp(w))", r"f(w)=e^{-e^w}:\ g^*(\beta)=e^\beta-1", "exp(beta) - 1", "exp(β) - 1")
SOFTPLUS = _named("softplus", "1/(1+exp(w))", r"f=1/(1+e^w):\ g^*(\beta)=e^\beta-1", "exp(beta) - 1", "exp(β) - 1")
SIGMOID = _named("sigmoid", "1/(1+exp(-w))", r"f=1/(1+e^{-w}):\ g^*(\beta)=e^\beta-1", "exp(beta) - 1", "exp(β) - 1")
TANH = _named("tanh", "tanh(w)", r"f(w)=\tanh w:\ g^*(\beta)=e^{2\beta}-1", "exp(2*beta) - 1", "exp(2β) - 1")


# --- best with b = 1/2 -----------------------------------------------------------------------------------------------


def half_symbolic(parameters: Parameters, context: Context) -> Evidence:
    value_b = R(parameters["b"])
    f = symbolic_formula("best", "discrete").subs(b, value_b)
    at_zero = f.subs(w, 0)
    if abs(at_zero) < 1:
        constant = best_modulus_upper().subs(b, value_b)
        return proved(f"|f| < 1, and log(1-f), log(1+f) have the Lipschitz constant {constant}")
    case = {"b": str(value_b), "w": "0", "f(0)": str(at_zero), "f(1) with a = 1": str(f.subs({a: 1, w: 1}))}
    if at_zero == -1:
        _, ratio = best_half_limits()
        case |= {"w_n": "1/n", "w_tilde_n": "2/n", "limit of the ratio of 1-|f|": str(ratio)}
    return refuted("|f(0)| ≥ 1: the sum diverges for every other weight", case, Verdict.PROVED)


def half_polynomial(parameters: Parameters, context: Context) -> Evidence:
    """|1-1/τ| < 1 ⇔ 2τ > 1; then the slopes of log τ and log(2τ-1), both squared, are at most 4a/(2b-1)."""
    value_b = R(parameters["b"])
    tau = a * w**2 + value_b
    inside = prove_polynomial(2 * tau > 1)
    if inside is None:
        return inconclusive("z3 gave up")
    if inside is not True:
        return refuted("|f| ≥ 1 where 2τ ≤ 1", inside, Verdict.PROVED)
    room = 2 * value_b - 1
    slopes = sp.And(
        room * (2 * a * w) ** 2 <= 4 * a * tau**2,
        room * (4 * a * w) ** 2 <= 4 * a * (2 * tau - 1) ** 2,
    )
    if prove_polynomial(slopes) is not True:
        return inconclusive("the slopes of the logarithms were not bounded")
    return proved("2τ > 1, and the slopes of log τ and log(2τ-1) are bounded")


def half_enclosure(parameters: Parameters, context: Context) -> Evidence:
    """a = 1: the distance 1-|f| at 1/n, 2/n, or the slopes of log(1∓f)."""
    tau = w**2 + R(parameters["b"])
    distance = sp.together((2 * tau - 1) / tau)  # 1+f, near 0
    for index in (10, 10**3, 10**6):
        first, second = R(1, index), R(2, index)
        values = [enclose(distance, {w: point}) for point in (first, second)]
        case = {"w": str(first), "w_tilde": str(second), "1+f": [value.upper for value in values]}
        if values[0].nonpositive():
            return refuted("f ≤ -1", case, Verdict.ENCLOSED)
        if index == 10**6 and less(Interval.of(1), values[1] / values[0] - 1):
            return refuted("1-|f| more than doubles within 1e-6", case, Verdict.ENCLOSED)
    if not enclose(2 * tau - 1, {w: Interval.of("-inf", "inf")}).positive():
        return inconclusive("2τ > 1 was not shown")
    constant = max(slope_upper(sp.log(tau)), slope_upper(sp.log(2 * tau - 1)))
    if not math.isfinite(constant):
        return inconclusive("no bound of the slopes was found")
    return enclosed("the slopes of log τ and log(2τ-1) are bounded on the line", slope_upper=constant)


HALF = Claim(
    id="discrete-best-half",
    label="Theorem 3.6",
    title="The printed choice b = 1/2 in discrete time",
    statement="f(w) = 1 - 1/(aw²+b) with b = 1/2, the printed choice, is a stable reparameterization in discrete time.",
    latex=r"f(w)=1-\frac{1}{aw^2+1/2}\ \mathrm{is\ stable\ in\ discrete\ time}",
    hypotheses=(DEFINITION, "a > 0."),
    kind=Kind.PRINTED,
    expected=Verdict.REFUTED,
    parameters={"b": "1/2"},
    routes=(
        Route("the value at 0 and a sequence", Method.SYMBOLIC, half_symbolic),
        Route("|f| < 1 for all w and a, by z3", Method.POLYNOMIAL, half_polynomial),
        Route("enclosed pairs or slopes", Method.ENCLOSURE, half_enclosure),
    ),
    mutants=(Variant("b = 2/5", {"b": "2/5"}), Variant("b = 1/4", {"b": "1/4"})),
    controls=(Variant("b = 1", {"b": "1"}), Variant("b = 3/5", {"b": "3/5"})),
    amended_by="discrete-best-b",
    theory=("theory.discrete:best_half_limits", "theory.discrete:best_boundary", "theory.discrete:characterization"),
)


# --- best with b > 1/2 -----------------------------------------------------------------------------------------------

SQUARE = sp.Symbol("x", nonnegative=True)
"""x = aw²."""


def _squares(parameters: Parameters) -> tuple[sp.Expr, sp.Expr]:
    """K_u² and K_v² in a and b."""
    first = R(parameters["factor_u"]) ** 2 * a / b
    return first, R(parameters["factor_v"]) ** 2 * a / ((4 * b - 2) * b**2)


def best_symbolic(parameters: Parameters, context: Context) -> Evidence:
    smallest = R(parameters["b_min"])
    if smallest < R(1, 2):
        middle = (smallest + R(1, 2)) / 2
        case = {"b": str(middle), "f(0)": str(1 - 1 / middle)}
        return refuted("|f(0)| ≥ 1 for a b in the range", case, Verdict.PROVED)
    claimed = sp.Max(*(sp.sqrt(square) for square in _squares(parameters)))
    derived = best_modulus_upper()
    for point in ({a: R(1), b: R(51, 100)}, {a: R(1), b: R(3)}):
        if less(enclose(claimed.subs(point), {}), enclose(derived.subs(point), {})):
            outcome = compare_exact(derived.subs(point), claimed.subs(point), {}, f"the constant at {point}")
            return outcome
    above = sp.Symbol("c", positive=True)  # b = 1/2 + c tells SymPy that 4b - 2 > 0
    if sp.simplify((derived - claimed).subs(b, R(1, 2) + above)) == 0:
        return proved(f"log(1-f) and log(1+f) have the Lipschitz constant {derived}")
    return inconclusive(f"{derived} and {claimed} were not compared")


def best_polynomial(parameters: Parameters, context: Context) -> Evidence:
    """With x = aw², τ = x+b: u' = 2aw/τ, v' = 2aw/(τ(2τ-1)); squares divided by a."""
    tau = SQUARE + b
    given = [b > R(parameters["b_min"])]
    statements = [("|f| < 1", 2 * tau > 1, given), ("f ≥ 0 for b ≥ 1", sp.Implies(b >= 1, tau >= 1), given)]
    rates = (4 * SQUARE / tau**2, 4 * SQUARE / (tau * (2 * tau - 1)) ** 2)
    for name, square, rate_squared in zip(("|u'| ≤ K_u", "|v'| ≤ K_v"), _squares(parameters), rates, strict=True):
        top, bottom = sp.fraction(sp.together(square / a))
        rate_top, rate_bottom = sp.fraction(sp.together(rate_squared))
        statements.append((f"{name}, x = aw²", rate_top * bottom <= top * rate_bottom, given))
    return prove_all(statements, "for all a > 0, b > b_min and w: |f| < 1 and the two slopes are bounded")


def best_enclosure(parameters: Parameters, context: Context) -> Evidence:
    """a = 1 and some b: the slopes of log(1-f), log(1+f) at their steepest points."""
    smallest = R(parameters["b_min"])
    for value_b in (smallest + R(1, 100), smallest + R(1, 2), smallest + R(5, 2)):
        tau = w**2 + value_b
        if not enclose(2 * tau - 1, {w: Interval.of("-inf", "inf")}).positive():
            case = {"b": str(value_b), "f(0)": enclose(1 - 1 / tau, {w: R(0)}).lower}
            return refuted("|f| < 1 fails", case, Verdict.ENCLOSED)
        slopes = (sp.diff(tau, w) / tau, sp.diff(tau, w) / (tau * (2 * tau - 1)))
        for square, slope in zip(_squares(parameters), slopes, strict=True):
            claimed = enclose(sp.sqrt(square.subs({a: 1, b: value_b})), {})
            found = supremum(slope, {w: ("-inf", "inf")}, tolerance=1e-5, tail=tail_range(slope, w))
            if less(claimed, Interval.of(found.lower, found.upper)):
                case = {"b": str(value_b), "slope": found.lower, "claimed": claimed.upper}
                return refuted(f"|{slope}| is larger", case, Verdict.ENCLOSED)
            if less(claimed + R(1, 1000), Interval.of(found.upper)):
                return inconclusive(f"the slope at b = {value_b} was not bounded")
    return supported("the slopes of log(1∓f) stay below the constants for some b near 1/2 and beyond")


BEST = Claim(
    id="discrete-best-b",
    label="Theorem 3.6",
    title="Best in discrete time needs b > 1/2",
    statement="f(w) = 1 - 1/(aw²+b) with a > 0 is stable in discrete time for every b > 1/2: |f| < 1, log(1-f) has the "
    "Lipschitz constant √(a/b) and log(1+f) has √(a/(4b-2))/b. For b ≥ 1 eigenvalues are ≥ 0.",
    latex=r"b>\frac{1}{2}:\ g^*(\beta)\leq e^{K\beta}-1,\ K=\max(\sqrt{a/b},\sqrt{a/(4b-2)}/b)",
    hypotheses=(DEFINITION, "a > 0.", "b > 1/2."),
    kind=Kind.AMENDED,
    expected=Verdict.PROVED,
    parameters={"b_min": "1/2", "factor_u": "1", "factor_v": "1"},
    routes=(
        Route("steepest points of the logarithms", Method.SYMBOLIC, best_symbolic),
        Route("polynomial inequalities in aw² and b", Method.POLYNOMIAL, best_polynomial),
        Route("branch and bound over the line", Method.ENCLOSURE, best_enclosure),
    ),
    mutants=(
        Variant("b > 1/4", {"b_min": "1/4"}),
        Variant("half the first constant", {"factor_u": "1/2"}),
        Variant("half the second constant", {"factor_v": "1/2"}),
    ),
    theory=("theory.discrete:best_modulus_upper", "theory.discrete:best_boundary"),
)

CLAIMS = (EXP, SOFTPLUS, SIGMOID, TANH, HALF, BEST)
