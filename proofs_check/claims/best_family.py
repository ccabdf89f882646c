"""The family with any wanted gradient scale, and in what sense best is its best member."""

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
from proofs_check.claims.best_reparameterization import polynomial_route, read_formula
from theory.best import (
    best,
    family,
    from_memory_time,
    gradient_over_weight,
    memory_time_upper,
    relative_memory_step,
)
from theory.formula import named
from theory.gradient import time_constant
from theory.notation import a, b, n, w
from theory.reparameterization import symbolic_formula

_EPS = float(np.finfo(float).eps)
_x = sp.Symbol("x", positive=True)


# --- Any wanted gradient scale ---------------------------------------------------------------------------------------

_SCALES = ("2*a*Abs(w)", "a", "exp(-w)", "1/(1 + w**2)", "w**2 + w + 1", "2*Abs(w)*exp(w**2)")


def _family_by_calculus(parameters: Parameters, context: Context) -> Evidence:
    """An unspecified G by the fundamental theorem of calculus, then named members of the family."""
    v = sp.Symbol("v", real=True)
    scale = sp.Function("G", nonnegative=True) if parameters["nonnegative"] else sp.Function("G", real=True)
    for side in (1, -1):
        # |∫_0^w G| on the side of 0 where w = side·x, as an integral over positive arguments
        time = b + parameters["multiplier"] * sp.Integral(scale(side * v), (v, 0, _x))
        f = from_memory_time(time)
        slope = sp.simplify(sp.diff(f, _x) / (-f) ** parameters["power"])
        derived = slope if slope.is_nonnegative else sp.Abs(slope)
        if sp.simplify(derived - scale(side * _x)) != 0:
            example = sp.cos if not parameters["nonnegative"] else (lambda _: sp.Integer(1))
            value = derived.subs(b, 2).replace(scale, example).doit().subs(_x, 3)
            stated = example(sp.Integer(3))
            point = {"G": str(example(w)), "b": "2", "w": str(3 * side), "scale": str(value), "wanted": str(stated)}
            if sp.simplify(value - stated) == 0:
                return inconclusive(f"the scale is {derived}, but not at the sample")
            return refuted(f"the scale is {derived}", point, Verdict.PROVED)
    members = context.pick(_SCALES[:3], _SCALES)
    for text in members:
        f = family(read_formula(text))
        for side in (1, -1):
            inside = f.subs(w, side * _x)
            if sp.simplify((sp.diff(inside, _x) / inside**2) ** 2 - read_formula(text).subs(w, side * _x) ** 2) != 0:
                return inconclusive(f"SymPy does not see that the member of G = {text} has this scale")
    return proved("|d tau/dw| = G by the fundamental theorem of calculus", members=list(members))


def _family_by_quadrature(parameters: Parameters, context: Context) -> Evidence:
    """τ by quadrature of the formula of G, the scale of f by central differences of f itself."""
    from scipy.integrate import quad

    texts = [*_SCALES[:-1], "cos(w)"] if not parameters["nonnegative"] else _SCALES[:-1]
    rng, worst = context.rng("family"), 0.0
    for text in texts:
        wanted = sp.lambdify(w, read_formula(text).subs(a, 0.7), "math")

        def f(at: float, wanted: Any = wanted) -> float:
            integral = quad(wanted, 0, at, epsabs=1e-12, epsrel=1e-12)[0]
            return float(-1 / (0.4 + parameters["multiplier"] * abs(integral)))

        for w0 in (rng.uniform(0.3, 1.5), rng.uniform(-2.9, -1.8)):
            coarse, fine = (abs(f(w0 + h) - f(w0 - h)) / (2 * h) for h in (2e-3, 1e-3))
            size = abs(f(w0)) ** parameters["power"]
            scale = (fine + (fine - coarse) / 3) / size
            tolerance = (abs(fine - coarse) + 1e-11 / 1e-3 * f(w0) ** 2) / size
            if abs(scale - wanted(w0)) > tolerance:
                point = {"G": text, "a": 0.7, "b": 0.4, "w": float(w0), "scale": scale, "wanted": wanted(w0)}
                return refuted("differences of f give another scale", point, Verdict.SUPPORTED)
            worst = max(worst, abs(scale / wanted(w0) - 1))
    return supported("differences of f give the wanted scale", largest_relative_difference=float(worst))


# --- A family member that is not stable ------------------------------------------------------------------------------


def _unstable_by_limits(parameters: Parameters, context: Context) -> Evidence:
    """τ(n + 1/n)/τ(n) - 1 has a limit above 0: not stable. G/τ bounded: log|f| is Lipschitz, so f is stable.

    b > 0 is a symbol. G and τ ≥ b are continuous, so finite limits of G/τ at both ends bound it.
    """
    scale = read_formula(parameters["scale"])
    f = family(scale, b)
    step = relative_memory_step(f, 1 / n)
    if step.is_positive:
        fixed = str(relative_memory_step(f, sp.Rational(1, 10)))
        summary = "the quantity of Definition 3.4 does not vanish along w = n, w~ = n + 1/n"
        return proved(summary, limit=str(step), limit_with_step_one_tenth=fixed)
    ends = [sp.limit((scale / time_constant(f)).subs(w, side * _x), _x, sp.oo) for side in (1, -1)]
    if all(end.is_finite for end in ends):
        limits = {"log-derivative |f'/f| = G/tau at -inf and +inf": [str(end) for end in reversed(ends)]}
        return refuted("|f'/f| is bounded, with these limits, so f is stable", limits, Verdict.PROVED)
    return inconclusive(f"limit along the sequence {step}, of |f'/f| {ends}")


def _log_slope_upper(log_slope: sp.Expr) -> float:
    """A rigorous upper end over the whole line: boxes up to |w| = 8, beyond it in s = 1/|w|."""
    from numerics.enclosure import Interval, enclose

    ends = []
    for side in (1, -1):
        inside = sp.simplify(log_slope.subs(w, side * _x))
        boxes = [Interval.of(sp.Rational(k, 8), sp.Rational(k + 1, 8)) for k in range(64)]
        ends += [enclose(inside, {_x: box}).upper for box in boxes]
        beyond = sp.simplify(inside.subs(_x, 1 / _x))
        ends.append(enclose(beyond, {_x: Interval.of(0, sp.Rational(1, 8))}).upper)
    return max(ends)


def _unstable_by_balls(parameters: Parameters, context: Context) -> Evidence:
    """For b = 1: the same ratio in balls for n = 2, 4, ..., 24; or a rigorous upper end of |f'/f| = G/τ on R."""
    from numerics.enclosure import enclose, less

    scale = read_formula(parameters["scale"])
    time = time_constant(family(scale, sp.Integer(1)))
    ratios = [
        enclose((time.subs(w, k + sp.Rational(1, k)) / time.subs(w, k)).rewrite(sp.exp), {}) for k in range(2, 26, 2)
    ]
    if all(less(2, ratio) for ratio in ratios):
        smallest = min(ratio.lower for ratio in ratios)
        return supported("a step of 1/n more than doubles the memory time at w = n <= 24", smallest_ratio=smallest)
    upper = _log_slope_upper(scale / time)
    if np.isfinite(upper):
        point = {"log-Lipschitz constant, at most": upper}
        return refuted("log|f| is Lipschitz, so f is stable", point, Verdict.ENCLOSED)
    return inconclusive("the ratios do not stay above 2, and |f'/f| was not bounded")


# --- Best has the longest memory -------------------------------------------------------------------------------------


def _slope_bound(parameters: Parameters) -> sp.Expr:
    return parameters["slope"] * a * sp.Abs(w)


def _longest_by_integration(parameters: Parameters, context: Context) -> Evidence:
    start = b if parameters["pinned"] else 2 * b
    largest = memory_time_upper(_slope_bound(parameters), start)
    claimed = b + sp.Rational(parameters["bound"]) * a * w**2
    excess = sp.simplify(claimed - largest)
    if excess == 0:
        return proved("tau(w) - tau(0) is at most the integral of the bound on |tau'|, and best attains it")
    if excess.is_nonnegative:
        return inconclusive("the bound holds but is not attained")
    point = {"tau": str(largest), "claimed upper end": str(claimed), "a": "2", "b": "1/3"}
    for w0 in (sp.Integer(1), sp.Integer(0)):
        if excess.subs({a: 2, b: sp.Rational(1, 3), w: w0}) < 0:
            point |= {"w": str(w0), "difference": str(excess.subs({a: 2, b: sp.Rational(1, 3), w: w0}))}
            return refuted("this memory time meets the hypotheses and is larger", point, Verdict.PROVED)
    return inconclusive(f"the sign of {excess} is not known")


def _longest_by_polynomials(parameters: Parameters) -> tuple[Any, str]:
    """Over a step [w0, w1] τ gains at most slope·a·w1·(w1 - w0); the surplus (slope/2)a(w1 - w0)² sums to 0.

    By induction over a partition of [0, w] of mesh h, τ(w) ≤ b + bound·aw² + (slope/2)a·h·w, and h → 0.
    """
    from proofs_check.polynomial import prove_polynomial

    w0, gap, tau0 = sp.symbols("w0 gap tau0", nonnegative=True)
    slope, bound = sp.Rational(parameters["slope"]), sp.Rational(parameters["bound"])
    start = sp.Symbol("tau_at_0", positive=True)
    pinned = [sp.Eq(start, b)] if parameters["pinned"] else []
    # τ(0) + (slope/2) a w² has the slope slope·a|w| and meets the hypotheses
    extremal = prove_polynomial(start + slope / 2 * a * w**2 <= b + bound * a * w**2, pinned)
    if extremal is not True:
        return extremal, ""
    w1 = w0 + gap
    step = tau0 + slope * a * w1 * gap <= b + bound * a * w1**2 + slope / 2 * a * gap**2
    return prove_polynomial(step, [tau0 <= b + bound * a * w0**2]), "one step of a partition, for all a, b, w"


def _longest_by_sampling(parameters: Parameters, context: Context) -> Evidence:
    """Random admissible slopes: |τ'| = fraction(w)·slope·a|w|, the fractions piecewise constant in [-1, 1]."""
    rng, edges = context.rng("slopes"), np.linspace(0, 3, 301)
    largest = -np.inf
    for trial in range(context.pick(50, 1000)):
        a_value, b_value = rng.uniform(0.2, 3.0), rng.uniform(0.1, 2.0)
        fraction = np.ones(300) if trial == 0 else np.repeat(rng.choice([-1.0, -0.3, 0.4, 1.0], 30), 10)
        start = b_value if parameters["pinned"] else b_value * rng.uniform(0.5, 2.0)
        gains = fraction * parameters["slope"] / 2 * a_value * np.diff(edges**2)
        time = start + np.concatenate([[0.0], np.cumsum(gains)])
        if time.min() <= 0:
            continue  # f would not be negative
        excess = time - (b_value + float(sp.Rational(parameters["bound"])) * a_value * edges**2)
        if excess.max() > 300 * _EPS * time.max():
            at = int(np.argmax(excess))
            point = {"a": a_value, "b": b_value, "w": float(edges[at]), "tau above the bound by": float(excess[at])}
            return refuted("a sampled memory time is larger", point, Verdict.SUPPORTED)
        largest = max(largest, float(np.max(excess[1:] / time[1:])))
    return supported("no sampled memory time is larger", largest_relative_excess=largest)


# --- The gradient scale over the weight ------------------------------------------------------------------------------

_NEAR_ZERO, _FAR_LEFT = "near w = 0", "as w tends to -infinity"


def _ratios(parameters: Parameters) -> list[tuple[str, str, sp.Expr]]:
    """(name, where, |f'|/(f²|w|) in the symbol x = |w|) for every ratio that is said to be unbounded."""
    found = []
    for where in (_NEAR_ZERO, _FAR_LEFT):
        for name in parameters[where]:
            side = 1 if name in ("relu", "reciprocal") else -1  # relu lives on w > 0
            inside = symbolic_formula(name).subs(w, side * _x)
            found.append((name, where, sp.simplify(sp.Abs(sp.diff(inside, _x)) / (inside**2 * _x))))
    return found


def _over_weight_by_limits(parameters: Parameters, context: Context) -> Evidence:
    ratio, stated = gradient_over_weight(best()), read_formula(parameters["best"])
    if sp.simplify(ratio - stated) != 0:
        return refuted("the ratio of best is another", {"ratio": str(ratio), "claimed": str(stated)}, Verdict.PROVED)
    for name, where, other in _ratios(parameters):
        limit = sp.limit(other, _x, 0, "+") if where == _NEAR_ZERO else sp.limit(other, _x, sp.oo)
        if limit != sp.oo:
            point = {"f": name, "where": where, "ratio": str(other), "limit": str(limit)}
            return refuted(f"the ratio of {name} has a limit {where}", point, Verdict.PROVED)
    return proved("the ratio of best is constant; those of the others diverge", best=str(ratio))


def _over_weight_by_balls(parameters: Parameters, context: Context) -> Evidence:
    from numerics.enclosure import Interval, enclose, less, taylor

    values = {a: sp.Integer(2), b: sp.Rational(1, 3)}
    stated = enclose(read_formula(parameters["best"]).subs(values), {})
    for w0 in (sp.Rational(-7, 2), sp.Rational(1, 100), sp.Integer(20)):
        value, slope = taylor(best().subs(values), w, w0, 1)
        ratio = slope.abs() / (value**2 * abs(w0))
        if less(ratio, stated) or less(stated, ratio):
            point = {"f": "best", "w": str(w0), "ratio": [ratio.lower, ratio.upper], "claimed": str(stated)}
            return refuted("balls exclude the ratio of best", point, Verdict.ENCLOSED)
    for name, where, formula in _ratios(parameters):
        other = formula.subs(values)
        points = [sp.Rational(1, 2**k) for k in (10, 20, 40)] if where == _NEAR_ZERO else [5, 10, 20]
        lower = [enclose(other, {_x: x}).lower for x in points]
        if not 100 * lower[0] < 10 * lower[1] < lower[2]:
            rest = (0, points[0]) if where == _NEAR_ZERO else (points[0], "inf")
            upper = enclose(other, {_x: Interval.of(*rest)}).upper
            if not np.isfinite(upper):
                return inconclusive(f"the ratio of {name} neither grows nor is it bounded")
            return refuted(f"the ratio of {name} is bounded {where}", {"f": name, "bound": upper}, Verdict.ENCLOSED)
    return supported("the ratio of best is the claimed one in balls; lower ends of the others grow without a stop")


def _over_weight_by_differences(parameters: Parameters, context: Context) -> Evidence:
    def ratio(f: Any, w0: float) -> float:
        h = 1e-4 * abs(w0)
        coarse, fine = ((f(w0 + s) - f(w0 - s)) / (2 * s) for s in (2 * h, h))
        return float(abs(fine + (fine - coarse) / 3) / (f(w0) ** 2 * abs(w0)))

    rng = context.rng("over weight")
    f = sp.lambdify(w, best().subs({a: 2, b: sp.Rational(1, 3)}), "math")
    stated = float(read_formula(parameters["best"]).subs(a, 2))
    for w0 in rng.uniform(0.5, 5.0, context.pick(5, 50)):
        value = ratio(f, float(w0))
        # rounding of f over h is 1e4 ε relative to f/w, a few times that relative to f'
        if abs(value / stated - 1) > 1e6 * _EPS:
            point = {"f": "best", "w": float(w0), "ratio": value, "claimed": stated}
            return refuted("differences of best give another ratio", point, Verdict.SUPPORTED)
    for where, points in ((_NEAR_ZERO, (1e-2, 1e-4)), (_FAR_LEFT, (3.0, 12.0))):
        for name in parameters[where]:
            f = sp.lambdify(w, named(name), "math")
            side = 1 if name in ("relu", "reciprocal") else -1
            first, second = (ratio(f, side * x) for x in points)
            if not second > 10 * first:
                point = {"f": name, "ratio at": {str(x): r for x, r in zip(points, (first, second), strict=True)}}
                return refuted(f"the ratio of {name} does not grow {where}", point, Verdict.SUPPORTED)
    return supported("differences of f: constant for best, growing for the others")


# --- The claims ------------------------------------------------------------------------------------------------------

CLAIMS = (
    Claim(
        id="best-family",
        label="derived",
        title="A reparameterization for any wanted gradient scale",
        statement="For every continuous G >= 0 and b > 0 the function f = -1/tau with the memory time "
        "tau(w) = b + |integral of G from 0 to w| is negative and continuous with f(0) = -1/b, and its gradient scale "
        "|f'|/f² is G(w) for every w other than 0. Best is the member of G = 2a|w|.",
        latex=r"f(w) = -\frac{1}{b + \left|\int_0^w G(v)\,dv\right|}\ \Rightarrow\ "
        r"\frac{|f'(w)|}{f(w)^2} = G(w)\ (w\neq 0)",
        hypotheses=("G is continuous and G >= 0.", "b > 0."),
        kind=Kind.DERIVED,
        expected=Verdict.PROVED,
        parameters={"multiplier": 1, "power": 2, "nonnegative": True},
        routes=(
            Route("fundamental theorem of calculus", Method.SYMBOLIC, _family_by_calculus),
            Route("quadrature and differences", Method.FLOATING, _family_by_quadrature),
        ),
        mutants=(
            Variant("|f'|/|f|³", {"power": 3}),
            Variant("twice the integral", {"multiplier": 2}),
            Variant("G of either sign", {"nonnegative": False}),
        ),
        theory=("theory.best:family", "theory.best:family_scale"),
    ),
    Claim(
        id="best-family-not-always-stable",
        label="derived",
        title="A wanted gradient scale does not make a reparameterization stable",
        statement="The member of the family with the gradient scale G = 2|w| exp(w²), f = -1/(b - 1 + exp(w²)), is "
        "negative and smooth but not stable in the sense of Definition 3.4: from w = n to n + 1/n the memory time "
        "is multiplied by a factor that tends to e².",
        latex=r"G(w) = 2|w|e^{w^2}:\quad \lim_{n\to\infty} \left|\frac{f(n)}{f(n+1/n)} - 1\right| = e^2 - 1 > 0",
        hypotheses=("Stable in the sense of Definition 3.4.", "b > 0; the route in balls takes b = 1."),
        kind=Kind.DERIVED,
        expected=Verdict.PROVED,
        parameters={"scale": "2*Abs(w)*exp(w**2)"},
        routes=(
            Route("limits along w = n", Method.SYMBOLIC, _unstable_by_limits),
            Route("ratios in balls, or a Lipschitz constant", Method.ENCLOSURE, _unstable_by_balls),
        ),
        mutants=(
            Variant("best: G = 2|w|", {"scale": "2*Abs(w)"}),
            Variant("the reciprocal: G = 1", {"scale": "1"}),
            Variant("G = exp(|w|)", {"scale": "exp(Abs(w))"}),
        ),
        theory=("theory.best:unstable_scale", "theory.best:relative_memory_step"),
    ),
    Claim(
        id="best-extremality",
        label="derived",
        title="Best has the longest memory for its gradient scale",
        statement="Among all f < 0 with f(0) = -1/b and a gradient scale |f'|/f² of at most 2a|w| almost everywhere, "
        "best has the largest memory time at every w: tau(w) <= b + a w², with equality everywhere for best alone.",
        latex=r"\frac{|f'|}{f^2} \leq 2a|w|,\ f(0) = -\frac{1}{b}\ \Rightarrow\ \frac{1}{|f(w)|} \leq b + a w^2",
        hypotheses=(
            "f < 0 is continuous, and 1/f absolutely continuous on bounded intervals.",
            "f(0) = -1/b; a, b > 0.",
        ),
        kind=Kind.DERIVED,
        expected=Verdict.PROVED,
        parameters={"slope": 2, "bound": "1", "pinned": True},
        routes=(
            Route("integral of the bound", Method.SYMBOLIC, _longest_by_integration),
            Route("induction over a partition", Method.POLYNOMIAL, polynomial_route(_longest_by_polynomials)),
            Route("random slopes", Method.FLOATING, _longest_by_sampling),
        ),
        mutants=(
            Variant("f(0) left free", {"pinned": False}),
            Variant("slopes up to 3a|w|", {"slope": 3}),
            Variant("half the bound", {"bound": "1/2"}),
        ),
        theory=("theory.best:memory_time_upper", "theory.best:family"),
    ),
    Claim(
        id="best-gradient-over-weight",
        label="Best reparameterization",
        title="Of the named, best alone has a bounded gradient scale over the weight",
        statement="The ratio |f'|/(f²|w|) is the constant 2a for best. It is unbounded near w = 0 for direct, relu, "
        "exp, softplus, sigmoid and the reciprocal, and as w tends to -infinity for exp, softplus and sigmoid.",
        latex=r"\frac{|f'(w)|}{f(w)^2\,|w|} = 2a\ (\mathrm{best}),\quad = \frac{e^{-w}}{|w|}\ (\mathrm{exp})",
        hypotheses=("w is not 0, f(w) < 0; a, b > 0.",),
        kind=Kind.DERIVED,
        expected=Verdict.PROVED,
        parameters={
            "best": "2*a",
            _NEAR_ZERO: ("direct", "relu", "exp", "softplus", "sigmoid", "reciprocal"),
            _FAR_LEFT: ("exp", "softplus", "sigmoid"),
        },
        routes=(
            Route("limits", Method.SYMBOLIC, _over_weight_by_limits),
            Route("balls at and beyond sample weights", Method.ENCLOSURE, _over_weight_by_balls),
            Route("finite differences", Method.FLOATING, _over_weight_by_differences),
        ),
        mutants=(
            Variant("a instead of 2a", {"best": "a"}),
            Variant("best unbounded near 0 too", {_NEAR_ZERO: ("exp", "best")}),
            Variant("direct unbounded at -infinity", {_FAR_LEFT: ("exp", "direct")}),
        ),
        theory=("theory.best:gradient_over_weight",),
    ),
)
