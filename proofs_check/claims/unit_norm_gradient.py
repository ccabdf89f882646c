"""The gradient scale of unit-norm modes, and what the gains of other models do to a mode's norm."""

from __future__ import annotations

import numpy as np
import sympy as sp

from numerics.enclosure import Interval, enclose, less
from numerics.norms import w1inf_norm
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
from proofs_check.claims.unit_norm import gain
from proofs_check.comparison import (
    Pair,
    compare_enclosures,
    compare_exact,
    compare_floats,
    w1inf_enclosure,
)
from theory import unit_norm
from theory.notation import r, t, tau, w

_Q = unit_norm.q


# --- gradients ------------------------------------------------------------------------------------------------------


def _stated_gradient(parameters: Parameters) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    factor, lower, upper = (sp.sympify(parameters[key], locals={"q": _Q}) for key in ("factor", "lower", "upper"))
    return factor, lower, sp.nsimplify(upper)


def _gradient_exact(parameters: Parameters, _: Context) -> Evidence:
    factor, lower, upper = _stated_gradient(parameters)
    evidence = compare_exact(unit_norm.gradient_factor(), factor, {_Q: sp.Rational(1, 2)}, "N(q)")
    if evidence.verdict is not Verdict.PROVED:
        return evidence
    least, largest, maximizer = unit_norm.gradient_factor_range()
    if less(enclose(upper, {}), enclose(largest, {})):
        example = {"q": float(maximizer), "factor": float(largest), "stated_upper": float(upper)}
        return refuted("the factor is larger at q*", example, Verdict.PROVED)
    return compare_exact(least, lower, {}, "the infimum of N(q), its maximum being below the stated one;")


def _mode_slope(rate: sp.Expr) -> sp.Expr:
    """∂φ/∂log|λ| at a rate, from the definition φ = ν(λ)e^{λt}."""
    x = sp.Symbol("x", positive=True)
    return (x * sp.diff(x / (1 + 2 * x) * sp.exp(-x * t), x)).subs(x, rate)


def _gradient_enclosed(parameters: Parameters, _: Context) -> Evidence:
    """Rigorous quadrature of ∂φ/∂log|λ| at four rates, and the stated factor's range over 0 ≤ q ≤ 1."""
    factor, lower, upper = _stated_gradient(parameters)
    cases = []
    for rate in (sp.Rational(1, 100), sp.Rational(29, 200), sp.S.One, sp.Integer(50)):
        end = int(sp.ceiling(60 / rate))
        tail = enclose(sp.exp(-rate * end) * (2 + rate * end) * (1 / rate + 2), {})
        computed = w1inf_enclosure(_mode_slope(rate), t, end, tail)
        if less(enclose(upper, {}), computed):
            example = {"lambda": -float(rate), "norm": [computed.lower, computed.upper], "stated_upper": float(upper)}
            return refuted("the norm of the derivative is larger", example, Verdict.ENCLOSED)
        cases.append((f"λ = -{rate}", computed, enclose(factor, {_Q: 1 / (1 + 2 * rate)})))
    evidence = compare_enclosures(cases, "‖∂φ/∂log|λ|‖")
    if evidence.verdict is not Verdict.SUPPORTED:
        return evidence
    below = -supremum(-factor, {_Q: (0, 1)}, tolerance=1e-7).upper
    above = supremum(factor, {_Q: (0, 1)}, tolerance=1e-7).upper
    if above <= float(upper) and below >= float(lower) - 1e-6:
        return supported(f"{evidence.summary}; the factor lies in [{below:.6f}, {above:.6f}]", lower=below, upper=above)
    return inconclusive(f"the factor's range [{below:.6f}, {above:.6f}] does not confirm the stated one")


def _gradient_differences(parameters: Parameters, _: Context) -> Evidence:
    """Central differences of unit-norm modes in log|λ|."""
    factor, _lower, upper = _stated_gradient(parameters)
    stated, step, pairs = sp.lambdify(_Q, factor), 1e-3, []
    for rate in (1e-3, 0.145, 2.0, 40.0):
        ends = rate * np.exp([-step, step])
        computed = w1inf_norm(gain(ends) * [-1, 1], -ends) / (2 * step)
        if computed > float(upper) + step**2:
            return refuted("a difference quotient is larger", {"rate": rate, "value": computed}, Verdict.SUPPORTED)
        pairs.append(Pair(f"λ = -{rate}", float(stated(1 / (1 + 2 * rate))), computed, 10 * step**2))
    return compare_floats(pairs, "‖∂φ/∂log|λ|‖")


UNIT_NORM_GRADIENT = Claim(
    id="unit-norm-gradient",
    label="Theorem 3.6",
    title="The gradient scale of unit-norm modes",
    statement="‖∂(ν(λ)e^{λt})/∂w‖_{W^{1,∞}} = (|f'|/|f|)e^{-q}(2q+(1-q)/e) with q = 1/(1+2|λ|), where the factor "
    "beside |f'|/|f| lies between 1/e (short memory) and 0.752225.",
    latex=r"\left\| \frac{\partial}{\partial w} \nu(\lambda) e^{\lambda t} \right\|_{W^{1,\infty}} = "
    r"\frac{|f'|}{|f|} e^{-q} \left( 2q + \frac{1-q}{e} \right), \quad q = \frac{1}{1 + 2|\lambda|}",
    hypotheses=("λ = f(w) < 0, f differentiable.",),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"factor": "exp(-q)*(2*q + (1 - q)*exp(-1))", "lower": "exp(-1)", "upper": "0.752225"},
    routes=(
        Route("derivation in q", Method.SYMBOLIC, _gradient_exact),
        Route("rigorous quadrature and range", Method.ENCLOSURE, _gradient_enclosed),
        Route("difference quotients", Method.FLOATING, _gradient_differences),
    ),
    mutants=(
        Variant("another factor", {"factor": "exp(-q)*(2*q + (1 - q))"}),
        Variant("largest for long memory", {"upper": "2*exp(-1)"}),
        Variant("the L¹ part only", {"factor": "q*(q - 1 + 2*exp(-q))"}),
    ),
    theory=(
        "theory.unit_norm:gradient_scale",
        "theory.unit_norm:gradient_factor",
        "theory.unit_norm:gradient_factor_range",
    ),
)


def _stated_uniform(parameters: Parameters) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """f, and the stated lower and upper end of its gradient scale."""
    lower, upper = sp.sympify(parameters["lower"]), sp.Rational(parameters["upper"])
    return sp.sympify(parameters["formula"], locals={"w": w}), lower, upper


def _uniform_exact(parameters: Parameters, _: Context) -> Evidence:
    """|f'|/|f| = 1 leaves the factor alone, and q runs over (0, 1); otherwise the scale far out."""
    f, lower, upper = _stated_uniform(parameters)
    if sp.simplify(sp.diff(f, w) / f) == 1:
        least, largest, maximizer = unit_norm.gradient_factor_range()
        if less(enclose(upper, {}), enclose(largest, {})):
            highest = {"q": float(maximizer), "scale": float(largest), "stated_upper": float(upper)}
            return refuted("the scale is larger at q*", highest, Verdict.PROVED)
        if (least - lower).is_nonnegative and less(enclose(largest, {}), enclose(upper, {})):
            return proved("|f'|/|f| = 1, so the scale is the factor", lower=float(least), upper=float(largest))
        return inconclusive(f"the factor ranges between {least} and {largest}")
    for place in (-100, 100):
        scale = enclose(unit_norm.gradient_scale(f).subs(w, place), {})
        if less(scale, enclose(lower, {})):
            example = {"w": place, "scale": [scale.lower, scale.upper]}
            return refuted(f"the gradient scale falls to {scale.upper:.1e}", example, Verdict.PROVED)
    return inconclusive("|f'|/|f| is not constant")


def _uniform_enclosed(parameters: Parameters, _: Context) -> Evidence:
    """Rigorous quadrature of ∂(ν(f(w))e^{f(w)t})/∂w at six weights; for f = -e^w the scale is largest near w = -2."""
    f, lower, upper = _stated_uniform(parameters)
    derivative = sp.diff(-f / (1 - 2 * f) * sp.exp(f * t), w)
    scales = []
    for place in (-5, -2, sp.Rational(-193, 100), 0, 2, 5):
        rate = enclose(-f.subs(w, place), {})
        end = int(60 / rate.lower) + 1
        size = enclose(sp.Abs(sp.diff(f, w).subs(w, place)), {})
        # |∂φ/∂w| ≤ |f'|(1 + xt)e^{-xt}, and its derivative in t at most x(2 + xt) times |f'|e^{-xt}
        tail = size * (-(rate * end)).exp() * (rate * end + 3) * (1 / rate + 1)
        scale = w1inf_enclosure(derivative.subs(w, place), t, end, tail)
        if less(scale, enclose(lower, {})) or less(enclose(upper, {}), scale):
            example = {"w": str(place), "scale": [scale.lower, scale.upper]}
            return refuted("the gradient scale is outside the stated range", example, Verdict.ENCLOSED)
        scales.append(scale)
    least, largest = min(v.lower for v in scales), max(v.upper for v in scales)
    if largest > float(upper):
        return inconclusive(f"a scale of {largest} was not excluded")
    return supported(f"scales between {least:.4f} and {largest:.4f} at the weights tried", lower=least, upper=largest)


UNIT_NORM_UNIFORM = Claim(
    id="unit-norm-exp-uniform",
    label="Theorem 3.6",
    title="Under unit-norm modes the exponential has a uniform gradient scale",
    statement="With unit-norm modes and f = -e^w the gradient scale lies between 1/e and 0.752225 at every w. The best "
    "reparameterization of plain modes has no such lower bound: its scale tends to 0 for long memory.",
    latex=r"\frac{1}{e} < \left\| \frac{\partial}{\partial w} \nu(\lambda) e^{\lambda t} \right\|_{W^{1,\infty}} "
    r"\leq 0.752225, \quad \lambda = -e^w",
    hypotheses=("f = -e^w.",),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"formula": "-exp(w)", "lower": "exp(-1)", "upper": "0.752225"},
    routes=(
        Route("|f'|/|f| and the factor's range", Method.SYMBOLIC, _uniform_exact),
        Route("rigorous quadrature", Method.ENCLOSURE, _uniform_enclosed),
    ),
    mutants=(
        Variant("best", {"formula": "-1/(w**2 + 1/2)"}),
        Variant("softplus", {"formula": "-log(1 + exp(w))"}),
        Variant("at most 3/4", {"upper": "3/4"}),
    ),
    theory=("theory.unit_norm:gradient_scale", "theory.unit_norm:gradient_factor_range"),
)


# --- gains in use ---------------------------------------------------------------------------------------------------


def _stated_lru(parameters: Parameters) -> sp.Expr:
    return ((1 + r) / (1 - r)) ** sp.Rational(parameters["norm_power"])


def _lru_exact(parameters: Parameters, _: Context) -> Evidence:
    stated = _stated_lru(parameters)
    derived = unit_norm.lru_mode_norm(sp.Rational(parameters["gain_power"]))
    # SymPy assumes nothing about 1 - r; both sides are positive, so their squares are compared.
    evidence = compare_exact(sp.simplify(derived**2), sp.simplify(stated**2), {r: sp.Rational(3, 5)}, "(Σγ|λ|^k)²")
    if evidence.verdict is Verdict.PROVED and sp.limit(stated, r, 1, "-") != sp.oo:
        return inconclusive("the norm stays bounded")
    return evidence


def _lru_sums(parameters: Parameters, _: Context) -> Evidence:
    """Partial sums of the kernel in interval arithmetic, with the geometric tail as an enclosure."""
    cases = []
    for size in (sp.Rational(1, 2), sp.Rational(9, 10), sp.Rational(99, 100)):
        x, power = Interval.of(size), Interval.of(1)
        gain = enclose((1 - size**2) ** sp.Rational(parameters["gain_power"]), {})
        total = Interval.of(0)
        for _k in range(int(40 / (1 - size))):
            total, power = total + power, power * x
        total = (total + Interval.of(0).hull(power / (1 - x))) * gain
        cases.append((f"|λ| = {size}", total, enclose(_stated_lru(parameters).subs(r, size), {})))
    return compare_enclosures(cases, "Σγ|λ|^k")


LRU_GAIN = Claim(
    id="lru-gain-unbounded",
    label="derived",
    title="The LRU's gain does not bound a mode's norm",
    statement="With the LRU's gain √(1-|λ|²) a discrete mode has ℓ¹ norm √((1+|λ|)/(1-|λ|)), which is unbounded as "
    "|λ| → 1: the gain normalizes the ℓ² norm, not the response to bounded inputs.",
    latex=r"\sum_k \sqrt{1 - |\lambda|^2} \, |\lambda|^k = \sqrt{\frac{1 + |\lambda|}{1 - |\lambda|}}",
    hypotheses=("0 < |λ| < 1, discrete time.",),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"gain_power": "1/2", "norm_power": "1/2"},
    routes=(
        Route("geometric series", Method.SYMBOLIC, _lru_exact),
        Route("partial sums", Method.ENCLOSURE, _lru_sums),
    ),
    mutants=(
        Variant("gain 1-|λ|²", {"gain_power": "1"}),
        Variant("norm (1+|λ|)/(1-|λ|)", {"norm_power": "1"}),
    ),
    theory=("theory.unit_norm:lru_mode_norm",),
)


def _step_exact(parameters: Parameters, _: Context) -> Evidence:
    """The limit Δ → 0 of the derived norm, times the power of Δ by which the stated gain differs."""
    norm, _limit = unit_norm.step_size_mode_norm()
    limit = sp.limit(norm * tau ** (sp.Rational(parameters["gain_power"]) - 1), tau, 0, "+")
    if limit == sp.oo:
        return refuted("the norm is unbounded as Δ → 0", {"limit": "inf", "rate": 1.0}, Verdict.PROVED)
    return compare_exact(limit, 1 / r, {r: 2}, "the limit of the norm")


def _step_sums(parameters: Parameters, _: Context) -> Evidence:
    """Partial sums of ΔΣe^{-rΔk} at r = 2 for small steps."""
    pairs, rate, power = [], 2.0, float(sp.Rational(parameters["gain_power"]))
    for step in (1e-2, 1e-3, 1e-4):
        decays = np.exp(-rate * step * np.arange(int(20 / step)))
        # Δ/(1-e^{-rΔ}) = 1/r + Δ/2 + O(Δ²)
        pairs.append(Pair(f"Δ = {step}", 1 / rate, float(step**power * decays.sum()), step))
    return compare_floats(pairs, "the ℓ¹ norm")


STEP_GAIN = Claim(
    id="step-gain-bounded",
    label="derived",
    title="Mamba's gain Δ bounds a mode's norm for small steps",
    statement="With the gain Δ (Mamba's ΔB) a mode e^{-rΔk} has ℓ¹ norm Δ/(1-e^{-rΔ}), which tends to 1/r as Δ → 0 "
    "for fixed r.",
    latex=r"\sum_k \Delta \, e^{-r \Delta k} = \frac{\Delta}{1 - e^{-r\Delta}} \to \frac{1}{r}",
    hypotheses=("r > 0 is fixed, Δ > 0.",),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"gain_power": "1"},
    routes=(
        Route("geometric series and limit", Method.SYMBOLIC, _step_exact),
        Route("partial sums", Method.FLOATING, _step_sums),
    ),
    mutants=(
        Variant("gain √Δ", {"gain_power": "1/2"}),
        Variant("gain Δ²", {"gain_power": "2"}),
    ),
    theory=("theory.unit_norm:step_size_mode_norm",),
)


CLAIMS: tuple[Claim, ...] = (UNIT_NORM_GRADIENT, UNIT_NORM_UNIFORM, LRU_GAIN, STEP_GAIN)
