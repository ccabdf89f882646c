"""Definition 3.4 for the named reparameterizations: least g of the stable ones, instability of direct and relu."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import sympy as sp

from numerics.enclosure import Interval, compile_interval, enclose, integrate
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
    inconclusive,
    proved,
    refuted,
    supported,
)
from proofs_check.comparison import Pair, compare_enclosures, compare_exact, compare_floats, read
from theory.notation import a, b, beta, t, w
from theory.stability import divergence_at_boundary, least_g_at_tail, least_g_even

R = sp.Rational
LINE = Interval.of("-inf", "inf")
INSTANCES = ({a: R(1), b: R(1, 2)}, {a: R(3), b: R(2)})
"""Values of a and b for the routes that need numbers."""
RADII = (R(1, 10), R(1))
WIDTH = 1e-2
"""The width of an enclosure of g* that counts as tight; the mutants differ by 5 % and more."""
GRID_ERROR = 1e-4
"""The grid holds the worst w where there is one (0 for reciprocal); at w = -12 softplus and sigmoid are within e^{-12}
of their limits, relatively."""
PROBES = tuple(Interval.of(k) for k in range(-40, 41))


def derived_least_g(f: sp.Expr) -> sp.Expr | None:
    """g* of a negative f by whichever of the two derivations applies."""
    for derive, argument in ((least_g_at_tail, -f), (least_g_even, sp.simplify(-1 / f))):
        try:
            return derive(argument)
        except (ValueError, NotImplementedError):
            continue
    return None


# --- the stable ones -------------------------------------------------------------------------------------------------


def least_g_symbolic(parameters: Parameters, context: Context) -> Evidence:
    derived = derived_least_g(read(parameters["formula"]))
    if derived is None:
        return inconclusive("neither derivation of the least g applies")
    return compare_exact(derived, read(parameters["g"]), {a: R(2), b: R(3), beta: R(1, 2)}, "the least g")


def _highest(expr: sp.Expr) -> float:
    """An upper bound of the supremum over the whole line."""
    if not expr.has(w):
        return enclose(expr, {}).upper
    return supremum(expr, {w: ("-inf", "inf")}, tolerance=1e-3, max_boxes=300, tail=tail_range(expr, w)).upper


def _log_lipschitz_upper(f: sp.Expr) -> float:
    """An upper bound of sup |f'/f| over the whole line."""
    slope = sp.diff(f, w) / f
    slope = slope if slope.has(sp.Abs) else sp.simplify(slope)
    return max(_highest(slope), _highest(-slope), 0.0)


def _bracket(f: sp.Expr, radius: sp.Rational, lipschitz_upper: float) -> Interval:
    """[lower, upper] of sup |f(w)/f(w̃) - 1| over |w̃-w| ≤ β, for |f| monotone in w or in |w|, so that |w̃-w| = β.

    Lower: values at points. Upper: e^{Kβ} - 1 with K ≥ sup |f'/f|, and where that is far, the supremum of the ratio.
    """
    ratios = [f / f.subs(w, w + step) - 1 for step in (radius, -radius)]
    closures = [compile_interval(ratio, (w,)) for ratio in ratios]
    lower = max(closure(point).lower for closure in closures for point in PROBES)
    upper = (Interval.of(lipschitz_upper) * radius).expm1().upper if math.isfinite(lipschitz_upper) else math.inf
    if upper > lower + WIDTH:
        upper = min(upper, max(_highest(ratio) for ratio in ratios))
    return Interval.of(lower, upper)


def least_g_enclosure(parameters: Parameters, context: Context) -> Evidence:
    formula, g = read(parameters["formula"]), read(parameters["g"])
    instances = INSTANCES if formula.free_symbols > {w} else INSTANCES[:1]

    def cases() -> Iterator[tuple[str, Interval, Interval]]:
        for values in context.pick(instances[:1], instances):
            f = formula.subs(values)
            lipschitz_upper = _log_lipschitz_upper(f)
            for radius in RADII:
                claimed = enclose(g.subs({**values, beta: radius}), {})
                yield f"f = {f}, beta = {radius}", _bracket(f, radius, lipschitz_upper), claimed

    return compare_enclosures(cases(), "the least g", width=WIDTH)


def least_g_quadrature(parameters: Parameters, context: Context) -> Evidence:
    """Definition 3.4 in floating point: its integral by scipy, the largest value over a grid of w and w̃."""
    import numpy as np
    from scipy.integrate import quad

    formula, g = read(parameters["formula"]), read(parameters["g"])
    f = sp.lambdify(w, formula.subs(INSTANCES[0]), "numpy")
    pairs = []
    for radius in RADII:
        values = []
        for weight in np.linspace(-12, 2, 29):
            for step in (-float(radius), float(radius)):
                # in the time unit 1/|f(w)|
                ratio = f(weight + step) / f(weight)
                values.append(quad(lambda x, q=ratio: abs(np.exp(-q * x) - np.exp(-x)), 0, np.inf)[0])
        claimed = float(g.subs({**INSTANCES[0], beta: radius}))
        pairs.append(Pair(f"beta = {radius}", claimed, max(values), GRID_ERROR * claimed))
    return compare_floats(pairs, "the largest criterion on a grid")


def _stable(identifier: str, title: str, statement: str, latex: str, formula: str, g: str, **fields: Any) -> Claim:
    """The claim that f is stable with the least g given."""
    return Claim(
        id=identifier,
        label="Definition 3.4",
        title=title,
        statement=statement,
        latex=latex,
        expected=Verdict.PROVED,
        parameters={"formula": formula, "g": g},
        routes=(
            Route("derivation of the worst pair", Method.SYMBOLIC, least_g_symbolic),
            Route("branch and bound over the line", Method.ENCLOSURE, least_g_enclosure),
            Route("the definition's integral on a grid", Method.FLOATING, least_g_quadrature),
        ),
        **fields,
    )


def _wrong_g(g: str) -> tuple[Variant, Variant]:
    return Variant("half the g", {"g": f"({g})/2"}), Variant("twice the g", {"g": f"2*({g})"})


EXP = _stable(
    "def-3.4-exp",
    "-exp(w) is stable",
    "f(w) = -exp(w) is a stable reparameterization; the least g is g(β) = exp(β) - 1.",
    r"f(w)=-e^w:\ g^*(\beta)=e^\beta-1",
    "-exp(w)",
    "exp(beta) - 1",
    kind=Kind.PRINTED,
    hypotheses=(),
    mutants=(*_wrong_g("exp(beta) - 1"), Variant("-exp(2w)", {"formula": "-exp(2*w)"})),
    theory=("theory.stability:least_g_at_tail", "theory.stability:least_g"),
)
SOFTPLUS = _stable(
    "def-3.4-softplus",
    "-softplus(w) is stable",
    "f(w) = -log(1+exp(w)) is a stable reparameterization; the least g is g(β) = exp(β) - 1, approached as w → -∞.",
    r"f(w)=-\log(1+e^w):\ g^*(\beta)=e^\beta-1",
    "-log(1+exp(w))",
    "exp(beta) - 1",
    kind=Kind.PRINTED,
    hypotheses=(),
    mutants=(*_wrong_g("exp(beta) - 1"), Variant("-softplus(2w)", {"formula": "-log(1+exp(2*w))"})),
    theory=("theory.stability:least_g_at_tail",),
)
SIGMOID = _stable(
    "def-3.4-sigmoid",
    "-sigmoid(w) is stable",
    "f(w) = -1/(1+exp(-w)) is a stable reparameterization; the least g is g(β) = exp(β) - 1, approached as w → -∞.",
    r"f(w)=-1/(1+e^{-w}):\ g^*(\beta)=e^\beta-1",
    "-1/(1+exp(-w))",
    "exp(beta) - 1",
    kind=Kind.DERIVED,
    hypotheses=(),
    mutants=(*_wrong_g("exp(beta) - 1"), Variant("-sigmoid(w)²", {"formula": "-1/(1+exp(-w))**2"})),
    theory=("theory.stability:least_g_at_tail",),
)
RECIPROCAL = _stable(
    "def-3.4-reciprocal",
    "-1/(a|w|+b) is stable",
    "f(w) = -1/(a|w|+b) with a, b > 0 is a stable reparameterization; the least g is linear, g(β) = aβ/b.",
    r"f(w)=-1/(a|w|+b):\ g^*(\beta)=a\beta/b",
    "-1/(a*abs(w)+b)",
    "a*beta/b",
    kind=Kind.DERIVED,
    hypotheses=("a > 0.", "b > 0."),
    mutants=(*_wrong_g("a*beta/b"), Variant("a and b exchanged", {"g": "b*beta/a"})),
    theory=("theory.stability:least_g_even", "theory.stability:growth_maximiser"),
)


# --- the unstable ones -----------------------------------------------------------------------------------------------


def unstable_symbolic(parameters: Parameters, context: Context) -> Evidence:
    """Unstable where f takes a value ≥ 0 and another value; stable where a least g is derived."""
    f = read(parameters["formula"])
    values = [sp.simplify(f.subs(w, sp.Integer(k))) for k in range(-2, 3)]
    first = max(values)
    if first >= 0:
        second = min(values)
        integral = divergence_at_boundary(first, second)
        return proved(f"f takes the values {first} and {second}, and the integral of that pair is {integral}")
    g = derived_least_g(f)
    if g is None:
        return inconclusive("f is negative at the points tried and no least g was derived")
    return refuted("f is stable", {"f": str(f), "least g": str(g)}, Verdict.PROVED)


def unstable_enclosure(parameters: Parameters, context: Context) -> Evidence:
    """The integral up to T exceeds T/2 for two weights; or f < 0 with a finite log-Lipschitz constant."""
    f = read(parameters["formula"])
    if enclose(f, {w: LINE}).negative():
        constant = _log_lipschitz_upper(f)
        if math.isfinite(constant):
            case = {"f": str(f), "log-Lipschitz constant at most": constant}
            return refuted("f < 0 and log|f| is Lipschitz: f is stable", case, Verdict.ENCLOSED)
        return inconclusive("f < 0, and no bound of f'/f was found")
    first, second = (f.subs(w, k) for k in (1, -1))
    sizes = []
    for horizon in (10, 20, 30):
        distance = integrate(sp.Abs(sp.exp(second * t) - sp.exp(first * t)), t, 0, horizon)
        if not (distance - R(horizon, 2)).positive():
            return inconclusive(f"the integral up to {horizon} is {distance}")
        sizes.append(distance.lower)
    return supported("the integral for w = ±1 grows at least like T/2", lower_ends=sizes)


def _unstable(identifier: str, title: str, statement: str, latex: str, formula: str) -> Claim:
    return Claim(
        id=identifier,
        label="Definition 3.4",
        title=title,
        statement=statement,
        latex=latex,
        hypotheses=(),
        kind=Kind.DERIVED,
        expected=Verdict.PROVED,
        parameters={"formula": formula},
        routes=(
            Route("a value on the wrong side of 0", Method.SYMBOLIC, unstable_symbolic),
            Route("growth of the integral", Method.ENCLOSURE, unstable_enclosure),
        ),
        mutants=(
            Variant("-exp(w) is not stable", {"formula": "-exp(w)"}),
            Variant("best with b = 1/2 is not stable", {"formula": "-1/(w**2 + 1/2)"}),
        ),
        theory=("theory.stability:characterization", "theory.stability:divergence_at_boundary"),
    )


DIRECT = _unstable(
    "def-3.4-direct",
    "λ = w is not stable",
    "The direct parameterization f(w) = w is not stable: it reaches λ ≥ 0, where the integral is infinite.",
    r"f(w)=w\ \mathrm{is\ not\ stable}",
    "w",
)
RELU = _unstable(
    "def-3.4-relu",
    "-max(w, 0) is not stable",
    "f(w) = -max(w, 0) is not stable: it is 0 for w ≤ 0, where the integral is infinite.",
    r"f(w)=-\max(w,0)\ \mathrm{is\ not\ stable}",
    "-Max(w, 0)",
)

CLAIMS = (DIRECT, RELU, EXP, SOFTPLUS, SIGMOID, RECIPROCAL)
