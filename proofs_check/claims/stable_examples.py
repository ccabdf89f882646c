"""Two examples around Definition 3.4: log|f| need not be Lipschitz, and its boundedness is not enough."""

from __future__ import annotations

import sympy as sp

from numerics.enclosure import Interval, enclose, less
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
    enclosed,
    inconclusive,
    refuted,
    supported,
)
from proofs_check.comparison import compare_exact, read
from theory.notation import beta, n, w
from theory.stability import least_g, power_modulus

R = sp.Rational
LINE = Interval.of("-inf", "inf")


# --- what does not decide --------------------------------------------------------------------------------------------


def lipschitz_symbolic(parameters: Parameters, context: Context) -> Evidence:
    p = R(parameters["power"])
    x = sp.Symbol("x", positive=True)
    far = sp.limit(sp.simplify((x + 1) ** p - x**p), x, sp.oo)
    if far == sp.oo:
        case = {"beta": "1", "lim log|f(w+1)/f(w)|": str(far)}
        return refuted("log|f| is not uniformly continuous: f is not stable", case, Verdict.PROVED)
    slopes = [sp.limit(sp.diff(x**p, x), x, end, side) for end, side in ((0, "+"), (sp.oo, "-"))]
    if sp.oo not in slopes:
        return refuted("log|f| is Lipschitz", {"slopes at 0 and at infinity": [str(s) for s in slopes]}, Verdict.PROVED)
    derived = least_g(power_modulus(p))
    return compare_exact(derived, read(parameters["g"]), {beta: R(1, 4)}, "the least g")


def lipschitz_enclosure(parameters: Parameters, context: Context) -> Evidence:
    p = R(parameters["power"])
    x = sp.Symbol("x", nonnegative=True)
    slope = enclose(p * x ** (p - 1), {x: LINE.max0()})
    if slope.is_finite():
        return refuted("the slope of log|f| is bounded", {"slope": [slope.lower, slope.upper]}, Verdict.ENCLOSED)
    claimed = [(radius, enclose(read(parameters["g"]), {beta: radius})) for radius in (R(1, 4), R(1))]
    for radius, g in claimed:
        step = x**p - (x - radius) ** p  # w̃ = x, w = x - β
        for start in (R(0), R(10**8)):
            criterion = enclose(sp.exp(step.subs(x, start + radius)) - 1, {})
            if less(g, criterion):
                case = {"beta": str(radius), "w": str(start), "criterion": criterion.lower, "g": g.upper}
                return refuted("the criterion exceeds g", case, Verdict.ENCLOSED)
        # above: branch and bound near 0, the decreasing slope beyond
        border = 64
        near = supremum(step.subs(x, x + radius), {x: (0, border)}, tolerance=1e-3)
        far = enclose(radius * p * x ** (p - 1), {x: Interval.of(border, "inf")})
        least = Interval.of(max(near.upper, far.upper)).expm1()
        if less(least + R(1, 100), g):
            case = {"beta": str(radius), "least g at most": least.upper, "g": g.lower}
            return refuted("g is not the least", case, Verdict.ENCLOSED)
    steep = enclose(p * x ** (p - 1), {x: R(1, 10**12)})
    return supported("g is reached, and missed by less than 1/100 from above, at the radii tried", steep=steep.lower)


LIPSCHITZ = Claim(
    id="def-3.4-lipschitz-not-necessary",
    label="derived",
    title="log|f| need not be Lipschitz",
    statement="f(w) = -exp(√|w|) is stable, with least g(β) = exp(√β) - 1, although the slope of log|f| is unbounded.",
    latex=r"f(w)=-e^{\sqrt{|w|}}:\ g^*(\beta)=e^{\sqrt{\beta}}-1,\ \sup|f'/f|=\infty",
    hypotheses=(),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"power": "1/2", "g": "exp(sqrt(beta)) - 1"},
    routes=(
        Route("the modulus of a power", Method.SYMBOLIC, lipschitz_symbolic),
        Route("branch and bound and the tail's slope", Method.ENCLOSURE, lipschitz_enclosure),
    ),
    mutants=(
        Variant("half the g", {"g": "(exp(sqrt(beta)) - 1)/2"}),
        Variant("a larger g", {"g": "exp(2*sqrt(beta)) - 1"}),
        Variant("-exp(|w|), which is Lipschitz", {"power": "1"}),
        Variant("-exp(|w|^(3/2)), which is not stable", {"power": "3/2"}),
    ),
    theory=("theory.stability:power_modulus",),
)


def _oscillation(parameters: Parameters) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """|f| = c + sin(phase), and points w_n < w̃_n where the sine is -1 and 1."""
    phase = read(parameters["phase"])
    x = sp.Symbol("x", positive=True)
    ends = [sp.solve(sp.Eq(phase.subs(w, x), 2 * sp.pi * n + side), x)[-1] for side in (-sp.pi / 2, sp.pi / 2)]
    return R(parameters["centre"]) + sp.sin(phase), ends[0], ends[1]


def oscillation_symbolic(parameters: Parameters, context: Context) -> Evidence:
    size, low, high = _oscillation(parameters)
    index = sp.Symbol("n", positive=True)
    gap = sp.limit((high - low).subs(n, index), index, sp.oo)
    speed = sp.diff(read(parameters["phase"]), w)
    if gap == 0:
        largest, smallest = (sp.simplify(size.subs(w, point)) for point in (high, low))
        claimed = read(parameters["g"])
        return compare_exact(largest / smallest - 1, claimed, {beta: R(1)}, "the least g, for every β > 0")
    if speed.is_number:  # |cos| ≤ 1 and c + sin ≥ c - 1
        constant = sp.Abs(speed) / (R(parameters["centre"]) - 1)
        small = sp.limit(sp.exp(constant * beta) - 1, beta, 0)
        case = {"Lipschitz constant of log|f|": str(constant), "least g at 0+": str(small)}
        return refuted("log|f| is Lipschitz: f is stable", case, Verdict.PROVED)
    return inconclusive(f"the extremes are {gap} apart")


def oscillation_enclosure(parameters: Parameters, context: Context) -> Evidence:
    size, low, high = _oscillation(parameters)
    claimed = enclose(read(parameters["g"]), {beta: R(1)})
    everywhere = enclose(size, {w: LINE})
    most = Interval.of(everywhere.upper) / Interval.of(everywhere.lower) - 1
    slope = enclose(sp.Abs(sp.diff(size, w)) / size, {w: LINE})
    for radius in (R(1, 10), R(1, 1000)):
        if slope.is_finite() and less(bound := (slope * radius).expm1(), claimed):
            case = {"beta": str(radius), "least g at most": bound.upper, "claimed": claimed.lower}
            return refuted("the criterion is small for small β", case, Verdict.ENCLOSED)
        first, second = (point.subs(n, 10**8) for point in (low, high))
        if not less(enclose(second - first, {}), Interval.of(radius)):
            return inconclusive(f"no pair within {radius} was found")
        reached = enclose(size.subs(w, second) / size.subs(w, first) - 1, {})
        least = reached.hull(most)
        if less(least, claimed) or less(claimed, least):
            case = {"beta": str(radius), "least g": [least.lower, least.upper], "claimed": str(parameters["g"])}
            return refuted("another least g", case, Verdict.ENCLOSED)
    return enclosed("g bounds the criterion, and is reached for every β ≥ 1/1000", least_g_upper=most.upper)


OSCILLATION = Claim(
    id="def-3.4-bounded-oscillation-not-sufficient",
    label="derived",
    title="Boundedness of log|f| is not enough",
    statement="f(w) = -(2 + sin w²) keeps -3 ≤ f ≤ -1, yet it is not stable: the least g is 2 for every β > 0, and 0 "
    "at β = 0.",
    latex=r"f(w)=-(2+\sin w^2):\ g^*(\beta)=2\ \mathrm{for\ all}\ \beta>0",
    hypotheses=(),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"phase": "w**2", "centre": "2", "g": "2"},
    routes=(
        Route("pairs of neighbouring extremes, n → ∞", Method.SYMBOLIC, oscillation_symbolic),
        Route("enclosed pairs and ranges", Method.ENCLOSURE, oscillation_enclosure),
    ),
    mutants=(
        Variant("half the jump", {"g": "1"}),
        Variant("a phase of constant speed", {"phase": "w"}),
        Variant("another centre", {"centre": "3"}),
    ),
    theory=("theory.stability:bounded_oscillation",),
)

CLAIMS = (LIPSCHITZ, OSCILLATION)
