"""Definition 3.4 for the best reparameterization -1/(aw²+b): least g, log-Lipschitz constant, and why b = 0 fails."""

from __future__ import annotations

import math
from collections.abc import Iterator

import sympy as sp

from numerics.enclosure import Interval, enclose, less
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
)
from proofs_check.comparison import Statement, compare_enclosures, compare_exact, prove_all
from proofs_check.polynomial import prove_polynomial, satisfiable
from theory.notation import a, b, beta, n, w
from theory.stability import growth_maximiser, least_g_even, log_lipschitz_constant, pair_limits

R = sp.Rational
LINE = Interval.of("-inf", "inf")
INSTANCES = ({a: R(1), b: R(1, 2)}, {a: R(3), b: R(2)}, {a: R(1, 10), b: R(5)})
RADII = (R(1, 10), R(1))
SEARCH = 1e-5
"""The width that branch and bound aims at."""


# --- the least g -----------------------------------------------------------------------------------------------------


def _memory_time(parameters: Parameters) -> sp.Expr:
    """τ = 1/|f| as the statement has it."""
    return a * w**2 + R(parameters["b_factor"]) * b


def _claimed_g(parameters: Parameters) -> sp.Expr:
    root = sp.sqrt(beta**2 + R(parameters["root"]) * b / a)
    return R(parameters["scale"]) * a * beta * (beta + root) / b


def least_g_symbolic(parameters: Parameters, context: Context) -> Evidence:
    tau = _memory_time(parameters)
    at_zero = tau.subs(w, 0)
    if not at_zero.is_positive:
        case = {"w": "0", "f(w)": str(-1 / at_zero)}
        return refuted("f is positive at w = 0", case, Verdict.PROVED)
    return compare_exact(least_g_even(tau), _claimed_g(parameters), {a: R(2), b: R(3), beta: R(1, 2)}, "the least g")


def least_g_polynomial(parameters: Parameters, context: Context) -> Evidence:
    """For all a, b, β > 0 at once. The square root enters as s > 0 with a s² = a β² + root · b."""
    step = sp.Symbol("delta", real=True)
    root = sp.Symbol("s", positive=True)
    tau = _memory_time(parameters)
    # b·(1 + g), and the pair (s-β)/2, (s+β)/2
    grown = b + R(parameters["scale"]) * a * beta * (beta + root)
    is_root = sp.Eq(a * root**2, a * beta**2 + R(parameters["root"]) * b)
    first, second = tau.subs(w, (root - beta) / 2), tau.subs(w, (root + beta) / 2)
    inside = [is_root, step <= beta, step >= -beta]
    statements: tuple[Statement, ...] = (
        ("f < 0", tau > 0, []),
        ("tau(w+δ) ≤ (1+g) tau(w) for |δ| ≤ β", b * tau.subs(w, w + step) <= grown * tau, inside),
        ("equality at w = (s-β)/2, w̃ = (s+β)/2", sp.Eq(sp.expand(b * second), sp.expand(grown * first)), [is_root]),
    )
    return prove_all(statements, "for all a, b, β > 0: f < 0, the criterion is at most g, and a pair attains it")


def least_g_enclosure(parameters: Parameters, context: Context) -> Evidence:
    """sup τ(w+β)/τ(w) - 1 over the whole line, for some a, b, β."""

    def cases() -> Iterator[tuple[str, Interval, Interval]]:
        for values in context.pick(INSTANCES[:2], INSTANCES):
            tau = _memory_time(parameters).subs(values)
            for radius in RADII:
                ratio = tau.subs(w, w + radius) / tau - 1
                found = supremum(ratio, {w: ("-inf", "inf")}, tolerance=SEARCH, tail=tail_range(ratio, w))
                claimed = enclose(_claimed_g(parameters).subs({**values, beta: radius}), {})
                yield f"tau = {tau}, beta = {radius}", Interval.of(found.lower, found.upper), claimed

    for values in INSTANCES:
        lowest = enclose(_memory_time(parameters).subs(values), {w: R(0)})
        if not lowest.positive():
            case = {"a": str(values[a]), "b": str(values[b]), "w": "0", "1/f(w)": -lowest.upper}
            return refuted("f is not negative", case, Verdict.ENCLOSED)
    return compare_enclosures(cases(), "the least g", width=10 * SEARCH)


BEST = Claim(
    id="def-3.4-best",
    label="Definition 3.4",
    title="-1/(aw²+b) is stable for b > 0",
    statement="f(w) = -1/(aw²+b) with a > 0 and b > 0 is a stable reparameterization; the least g is "
    "g(β) = β(β+√(β²+4b/a))·a/(2b), attained by the pair w, w̃ = (√(β²+4b/a) ∓ β)/2.",
    latex=r"f(w)=-\frac{1}{aw^2+b}:\ g^*(\beta)=\frac{a\beta}{2b}\left(\beta+\sqrt{\beta^2+4b/a}\right)",
    hypotheses=("a > 0.", "b > 0."),
    kind=Kind.AMENDED,
    expected=Verdict.PROVED,
    parameters={"scale": "1/2", "root": "4", "b_factor": "1"},
    routes=(
        Route("the maximiser of τ(w+β)/τ(w)", Method.SYMBOLIC, least_g_symbolic),
        Route("polynomial inequalities in a, b, w, w̃, β", Method.POLYNOMIAL, least_g_polynomial),
        Route("branch and bound over the line", Method.ENCLOSURE, least_g_enclosure),
    ),
    mutants=(
        Variant("half the g", {"scale": "1/4"}),
        Variant("twice the g", {"scale": "1"}),
        Variant("2b/a under the root", {"root": "2"}),
        Variant("the other sign of b", {"b_factor": "-1"}),
    ),
    theory=("theory.stability:least_g_even", "theory.stability:growth_maximiser", "theory.stability:characterization"),
)


# --- the log-Lipschitz constant --------------------------------------------------------------------------------------


def _claimed_square(parameters: Parameters) -> sp.Expr:
    """K² as a rational function of a and b."""
    return R(parameters["factor"]) ** 2 * sp.sympify(parameters["square"], locals={"a": a, "b": b})


def lipschitz_symbolic(parameters: Parameters, context: Context) -> Evidence:
    tau = a * w**2 + b
    claimed = sp.sqrt(_claimed_square(parameters))
    constant = compare_exact(log_lipschitz_constant(tau), claimed, {a: R(2), b: R(3)}, "sup |f'/f|")
    slope_at_zero = sp.limit(least_g_even(tau) / beta, beta, 0, "+")
    if constant.verdict is Verdict.PROVED and sp.simplify(slope_at_zero - claimed) != 0:
        return inconclusive(f"the slope of g* at 0 is {slope_at_zero}, not the constant {claimed}")
    return constant


def lipschitz_polynomial(parameters: Parameters, context: Context) -> Evidence:
    """(f'/f)² = (2aw)²/(aw²+b)² ≤ K², with equality where aw² = b."""
    upper, lower = sp.fraction(sp.together(_claimed_square(parameters)))
    left, right = lower * (2 * a * w) ** 2, upper * (a * w**2 + b) ** 2
    statements: tuple[Statement, ...] = (
        ("|f'/f| ≤ K", left <= right, []),
        ("|f'/f| ≥ K where aw² = b", left >= right, [sp.Eq(a * w**2, b)]),
    )
    return prove_all(statements, "K bounds |f'/f| and is attained, for all a, b > 0")


def lipschitz_enclosure(parameters: Parameters, context: Context) -> Evidence:
    def cases() -> Iterator[tuple[str, Interval, Interval]]:
        for values in INSTANCES:
            f = (-1 / (a * w**2 + b)).subs(values)
            slope = sp.Abs(sp.diff(f, w)) / -f
            found = supremum(slope, {w: ("-inf", "inf")}, tolerance=SEARCH, tail=tail_range(slope, w))
            claimed = enclose(sp.sqrt(_claimed_square(parameters).subs(values)), {})
            yield f"f = {f}", Interval.of(found.lower, found.upper), claimed

    return compare_enclosures(cases(), "sup |f'/f|", width=10 * SEARCH)


LOG_LIPSCHITZ = Claim(
    id="def-3.4-best-log-lipschitz",
    label="derived",
    title="The log-Lipschitz constant of best",
    statement="For f(w) = -1/(aw²+b) with a, b > 0, log|f| has the Lipschitz constant √(a/b), which is also the "
    "slope of the least g at β = 0.",
    latex=r"\sup_w |f'/f|=\sqrt{a/b}=\lim_{\beta\to 0} g^*(\beta)/\beta",
    hypotheses=("a > 0.", "b > 0."),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"square": "a/b", "factor": "1"},
    routes=(
        Route("critical points and limits", Method.SYMBOLIC, lipschitz_symbolic),
        Route("polynomial inequalities in a, b, w", Method.POLYNOMIAL, lipschitz_polynomial),
        Route("branch and bound over the line", Method.ENCLOSURE, lipschitz_enclosure),
    ),
    mutants=(
        Variant("half the constant", {"factor": "1/2"}),
        Variant("twice the constant", {"factor": "2"}),
        Variant("√(b/a)", {"square": "b/a"}),
    ),
    theory=("theory.stability:log_lipschitz_constant",),
)


# --- b ≥ 0, as printed -----------------------------------------------------------------------------------------------


def b_range_symbolic(parameters: Parameters, context: Context) -> Evidence:
    """The smallest b decides, for g* falls as b grows (g* = β/w*, and w* grows)."""
    smallest = R(parameters["b_min"])
    if smallest < 0:
        return refuted("f is positive at w = 0", {"b": str(smallest), "f(0)": str(-1 / smallest)}, Verdict.PROVED)
    if smallest == 0:
        gap, ratio = pair_limits(-1 / (a * w**2), 2 / n, 1 / n)
        if gap == 0 and ratio != 1:
            case = {"b": "0", "w": "2/n", "w_tilde": "1/n", "limit of f(w_tilde)/f(w)": str(ratio)}
            return refuted("the ratio does not tend to 1 as w̃ - w → 0 (and f(0) = -∞)", case, Verdict.PROVED)
        return inconclusive(f"the sequence has gap {gap} and ratio {ratio}")
    tau = a * w**2 + b
    grows = sp.diff(growth_maximiser(tau), b).is_positive
    start = sp.limit(least_g_even(tau).subs(b, smallest), beta, 0, "+")
    if grows and start == 0:
        return proved(f"g* at b = {smallest} is finite, tends to 0 at β = 0, and bounds g* for all larger b")
    return inconclusive("the monotonicity of g* in b was not shown")


def b_range_polynomial(parameters: Parameters, context: Context) -> Evidence:
    """Is there a δ such that τ(w̃) ≤ 2τ(w) for all |w̃-w| ≤ δ and b ≥ b_min? Or do w = δ, w̃ = 2δ exclude it?"""
    smallest = R(parameters["b_min"])
    delta = sp.Symbol("delta", positive=True)
    other, shift = sp.symbols("w_tilde b_shift", real=True)

    def tau(x: sp.Expr) -> sp.Expr:
        return a * x**2 + smallest + shift

    negative = prove_polynomial(tau(w) >= 0, [shift >= 0])
    if isinstance(negative, dict):
        return refuted("1/|f| is negative somewhere: f > 0", negative, Verdict.PROVED)
    small = 16 * a * delta**2 <= smallest
    if satisfiable([small]):
        given = [small, shift >= 0, other - w <= delta, w - other <= delta]
        if prove_polynomial(tau(other) <= 2 * tau(w), given) is True:
            return proved("16aδ² ≤ b_min makes τ(w̃) ≤ 2τ(w), hence the criterion at most 1, for all b ≥ b_min")
        return inconclusive("the bound was not proved")
    # no such δ: at b = b_min, every δ > 0 has a pair that doubles τ
    doubles = prove_polynomial(tau(2 * delta) > 2 * tau(delta), [sp.Eq(shift, 0)])
    if doubles is True:
        case = {"b": str(smallest), "w": "delta", "w_tilde": "2*delta", "delta": "every delta > 0"}
        return refuted("pairs at arbitrarily small distance have a criterion above 1", case, Verdict.PROVED)
    return inconclusive(f"z3 returned {doubles}")


def b_range_enclosure(parameters: Parameters, context: Context) -> Evidence:
    """a = 1 by scaling w; b = b_min, since 2|w|/(w²+b) falls as b grows."""
    smallest = R(parameters["b_min"])
    tau = w**2 + smallest
    for index in (10, 10**3, 10**6):
        first, second = R(1, index), R(2, index)
        criterion = enclose(tau.subs(w, second) / tau.subs(w, first) - 1, {}).abs()
        bottom = enclose(tau, {w: first})
        if index == 10**6 and (bottom.negative() or less(Interval.of(1), criterion)):
            case = {"b": str(smallest), "w": str(first), "w_tilde": str(second), "criterion": criterion.lower}
            return refuted("f is not negative, or the criterion stays above 1 as w̃ - w → 0", case, Verdict.ENCLOSED)
    if not enclose(tau, {w: LINE}).positive():
        return inconclusive("τ > 0 was not shown")
    slope = sp.diff(tau, w) / tau
    bound = supremum(slope, {w: ("-inf", "inf")}, tolerance=SEARCH, tail=tail_range(slope, w)).upper
    if not math.isfinite(bound):
        return inconclusive("no bound of |f'/f| was found")
    return enclosed("log|f| is Lipschitz at b = b_min", log_lipschitz_upper=bound)


BEST_B0 = Claim(
    id="def-3.4-best-b0",
    label="Definition 3.4",
    title="-1/(aw²+b) is stable for b ≥ 0",
    statement="f(w) = -1/(aw²+b) with a > 0 and b ≥ 0 is a stable reparameterization.",
    latex=r"f(w)=-\frac{1}{aw^2+b},\ a>0,\ b\geq 0\ \mathrm{is\ stable}",
    hypotheses=("a > 0.", "b ≥ 0."),
    kind=Kind.PRINTED,
    expected=Verdict.REFUTED,
    parameters={"b_min": "0"},
    routes=(
        Route("a sequence of pairs, or the least g", Method.SYMBOLIC, b_range_symbolic),
        Route("doubling pairs, by z3", Method.POLYNOMIAL, b_range_polynomial),
        Route("enclosed pairs, or the log-Lipschitz constant", Method.ENCLOSURE, b_range_enclosure),
    ),
    mutants=(Variant("b ≥ -1/2", {"b_min": "-1/2"}),),
    controls=(Variant("b ≥ 1/10", {"b_min": "1/10"}), Variant("b ≥ 2", {"b_min": "2"})),
    amended_by="def-3.4-best",
    theory=("theory.stability:pair_limits", "theory.stability:characterization"),
)

CLAIMS = (BEST, LOG_LIPSCHITZ, BEST_B0)
