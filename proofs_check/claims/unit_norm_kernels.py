"""Which kernels unit-norm modes reach with bounded weights, and how far perturbations move them beside plain modes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import sympy as sp

from numerics.enclosure import Interval, enclose, less
from numerics.norms import w1inf_norm
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
from proofs_check.claims.unit_norm import Array, change_norm, gain, moved
from proofs_check.comparison import (
    Pair,
    compare_exact,
    compare_floats,
)
from theory import norms, unit_norm
from theory.notation import t

# --- which kernels are reached --------------------------------------------------------------------------------------


def _reach_exact(parameters: Parameters, _: Context) -> Evidence:
    """Σc_iu_i against the norm of a kernel of two modes; the cell bound on one mode at a cell's end.

    Two modes stand for all: for positive weights both sides are sums over the modes.
    """
    weights, rates = sp.symbols("a:2", positive=True), sp.symbols("x:2", positive=True)
    jump, half, slope = (sp.Rational(parameters[k]) for k in ("jump_constant", "cell_factor", "slope"))
    c = unit_norm.balanced_weights(weights, rates)
    stated = sum(a * (1 / x + jump) for a, x in zip(weights, rates, strict=True))
    kernel = sum(a * sp.exp(-x * t) for a, x in zip(weights, rates, strict=True))
    for derived in (sum(v**2 for v in c), norms.kernel_norms(kernel).total):
        evidence = compare_exact(sp.expand(derived), stated, dict.fromkeys((*weights, *rates), 1), "‖ρ̂‖")
        if evidence.verdict is not Verdict.PROVED:
            return evidence
    # All mass at the end of a cell of width 1 in log x around x = 1/2: moving it to the middle costs at least 2|q̃ - q|.
    cost = 2 * (sp.Rational(1, 2) - 1 / (1 + sp.exp(sp.Rational(1, 2))))
    derived_bound = unit_norm.quantization_error_upper(sp.S.Zero, sp.S.One, sp.S.One)
    stated_bound = slope * half
    if less(enclose(stated_bound, {}), enclose(cost, {})):
        example = {"rate": 0.5, "cell_width": 1.0, "error_lower": float(cost), "stated": float(stated_bound)}
        return refuted("moving one mode to its cell's midpoint costs more", example, Verdict.PROVED)
    if less(enclose(derived_bound, {}), enclose(stated_bound, {})):
        return proved("Σc_iu_i = |c|² = |u|² = ‖ρ̂‖, and the cell bound follows from the slope of κ")
    return inconclusive("the cell factor is below the derived one, and no counterexample was found")


def _power_law_cells(p: float, lowest: float, step: float) -> tuple[Array, Array]:
    """Midpoints x_i and masses η_i of cells in log x for (1+t)^{-p} = ∫ x^{p-1}e^{-x}/Γ(p) e^{-xt} dx, η = μ/ν."""
    from scipy.special import gammainc

    edges = np.exp(np.arange(np.log(lowest), np.log(40.0) + step, step))
    # ∫ x^{p-1}e^{-x}(1/x + 2) dx / Γ(p), by the incomplete gamma functions of p-1 and p
    cumulated = gammainc(p - 1, edges) / (p - 1) + 2 * gammainc(p, edges)
    return np.sqrt(edges[1:] * edges[:-1]), np.diff(cumulated)


def _power_law_error(p: float, rates: Array, masses: Array) -> float:
    """‖ρ - ρ̂‖_{W^{1,∞}} for ρ = (1+t)^{-p} and ρ̂ = Σ masses_i φ_i, by Gauss-Legendre panels in log(1+t)."""
    nodes, gauss = np.polynomial.legendre.leggauss(6)
    edges = np.linspace(0, np.log(1e3 / rates[0]), 600)
    half = (edges[1:] - edges[:-1]) / 2
    shifted = np.exp((edges[1:] + edges[:-1])[:, None] / 2 + half[:, None] * nodes).ravel()  # 1 + t
    measure = (half[:, None] * gauss).ravel() * shifted
    coefficients = masses * gain(rates)
    modes = np.exp(-np.outer(shifted - 1, rates))
    size = measure @ np.abs(shifted**-p - modes @ coefficients) + shifted[-1] ** (1 - p) / (p - 1)
    slope = measure @ np.abs(-p * shifted ** (-p - 1) + modes @ (coefficients * rates)) + shifted[-1] ** -p
    return float(size + slope + abs(1 - coefficients.sum()))


def _reach_power_law(parameters: Parameters, _: Context) -> Evidence:
    """Σc_iu_i by quadrature of the norm; one mode at a cell's end; and (1+t)^{-p} in ever finer and wider cells."""
    p, jump, half, slope = (float(sp.Rational(parameters[k])) for k in ("p", "jump_constant", "cell_factor", "slope"))
    a, rates = np.array([0.5, 0.2, 3.0]), np.array([0.01, 1.0, 4.0])
    evidence = compare_floats([Pair("3 modes", float(a @ (1 / rates + jump)), w1inf_norm(a, -rates), 1e-8)], "Σc_iu_i")
    if evidence.verdict is not Verdict.SUPPORTED:
        return evidence
    pair = np.array([0.5, 0.5 * np.exp(0.5)])
    if w1inf_norm(gain(pair) * [-1, 1], -pair) > half * slope:
        return refuted("one mode moves by more", {"rate": 0.5, "cell_width": 1.0}, Verdict.SUPPORTED)
    errors, total = [], 1 / (p - 1) + 2
    for lowest, step in ((1e-1, 1.0), (1e-2, 0.5), (1e-4, 0.25), (1e-6, 0.125)):
        rates, masses = _power_law_cells(p, lowest, step)
        error, bound = _power_law_error(p, rates, masses), total - masses.sum() + slope * half * step * masses.sum()
        if error > bound * (1 + 1e-3):
            example = {"p": p, "modes": len(rates), "error": error, "bound": bound}
            return refuted("the error exceeds the cell bound", example, Verdict.SUPPORTED)
        errors.append(error)
    if any(later >= 0.7 * earlier for earlier, later in pairwise(errors)):
        return inconclusive("the errors do not decrease", errors=errors)
    return supported("E_m(0) of (1+t)^(-p) falls below the cell bound at every size", errors=errors, weight=total)


UNIT_NORM_REACH = Claim(
    id="unit-norm-completely-monotone",
    label="derived",
    title="Unit-norm modes reach every integrable completely monotone kernel, with bounded weights",
    statement="A positive sum of modes is realized by c_i = u_i = √(weight_i/ν_i), with |c|² = |u|² = Σc_iu_i = "
    "‖ρ̂‖_{W^{1,∞}} = Σweight_i(1/|λ_i|+2). Every completely monotone ρ ∈ L¹ with ρ(0) < ∞ is approximated so, E_m(0) "
    "→ 0, with |c|² = |u|² ≤ ‖ρ‖: cells of width h in log|λ| cost at most 0.7523(h/2)‖ρ‖, plus the norm of the part "
    "of ρ that lies outside the cells.",
    latex=r"|c|^2 = |u|^2 = \sum_i c_i u_i = \| \hat{\rho} \|_{W^{1,\infty}} \leq \| \rho \|_{W^{1,\infty}}, \quad "
    r"E_m(0) \to 0",
    hypotheses=("ρ(t) = ∫e^{-xt}dμ(x) with μ ≥ 0, ρ is integrable and ρ(0) < ∞.",),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"jump_constant": "2", "cell_factor": "1/2", "slope": "0.7523", "p": "13/10"},
    routes=(
        Route("exact norms and cells", Method.SYMBOLIC, _reach_exact),
        Route("a power law in finer cells", Method.FLOATING, _reach_power_law),
    ),
    mutants=(
        Variant("without the jump at 0", {"jump_constant": "1"}),
        Variant("a quarter of the cell bound", {"cell_factor": "1/8"}),
    ),
    theory=("theory.unit_norm:balanced_weights", "theory.unit_norm:quantization_error_upper"),
)


# --- against plain modes --------------------------------------------------------------------------------------------

_STEP = sp.Rational(3, 5)
_GAMMA = {sp.Rational(13, 10): sp.Rational(8974706963, 10**10)}
"""Γ(p), to ten digits: a constant of the models, whose weights the claim is about."""


def _trapezoidal(p: sp.Rational, decades: int) -> tuple[list[sp.Expr], list[sp.Expr]]:
    """(1+t)^{-p} by the trapezoidal rule: weights h x_j^p e^{-x_j}/Γ(p), rates x_j = 10^{-decades}e^{jh}."""
    count = int((decades * sp.log(10).evalf() + 3.7) / _STEP) + 1
    rates = [sp.exp(j * _STEP) / 10**decades for j in range(count)]
    return [_STEP * x**p * sp.exp(-x) / _GAMMA[p] for x in rates], rates


def _growth_enclosed(parameters: Parameters, _: Context) -> Evidence:
    """Rigorous lower and upper ends of the change D(β) of both models, for min|λ| = 1e-1 ... 1e-5 and f = -e^w."""
    p, radius, power = (sp.Rational(parameters[k]) for k in ("p", "beta", "plain_power"))
    b, unit_upper = Interval.of(radius), Interval.of(sp.Rational(parameters["unit_upper"]))
    kappa = enclose(unit_norm.kappa_upper().subs(unit_norm.log_change, radius), {})
    table, undecided = {}, []
    for decades in range(1, 6):
        a, x = ([enclose(v, {}) for v in values] for values in _trapezoidal(p, decades))
        total = sum(a, Interval.of(0))
        norm = sum((v / rate + v * 2 for v, rate in zip(a, x, strict=True)), Interval.of(0))
        stated = b * b / 2 * (x[0] ** -int(power) + 2)
        # c = u = √a of the slowest mode grow by β/√2 each
        lower = ((a[0] * 2).sqrt() * b + b * b / 2) * (1 / x[0] + 2)
        upper = (b * (total * 2).sqrt() + b * b / 2) * (b.exp() / x[0] + 2) + norm * b.expm1()
        if less(upper, stated):
            example = {"min_rate": x[0].lower, "change_upper": upper.upper, "stated": stated.lower}
            return refuted("plain modes change by less", example, Verdict.ENCLOSED)
        unit_lower = b * (norm * 2).sqrt() + b * b / 2  # c and u grow in proportion: positive kernels, norms add
        unit = unit_lower + norm * kappa
        if less(unit_upper, unit_lower):
            example = {"min_rate": x[0].lower, "change_lower": unit_lower.lower, "stated": unit_upper.upper}
            return refuted("unit-norm modes change by more", example, Verdict.ENCLOSED)
        if not less(unit, unit_upper) or less(lower, stated):
            undecided.append(f"1e-{decades}")
        table[f"1e-{decades}"] = {"plain_lower": lower.lower, "unit_lower": unit_lower.lower, "unit_upper": unit.upper}
    if undecided:
        return inconclusive(f"not decided at min|λ| = {', '.join(undecided)}")
    return enclosed("plain modes change by at least (β²/2)/min|λ|, unit-norm modes stay below the bound", table=table)


def _growth_trial(parameters: Parameters, context: Context) -> Evidence:
    """The largest change over random, proportional and single-mode perturbations, in floating point."""
    p, radius = sp.Rational(parameters["p"]), float(sp.Rational(parameters["beta"]))
    power, unit_upper = float(sp.Rational(parameters["plain_power"])), float(sp.Rational(parameters["unit_upper"]))
    rng = context.rng("unit-norm-vs-plain")
    plain: list[float] = []
    unit: list[float] = []
    for decades in range(1, 6, context.pick(2, 1)):
        a, rates = (np.array(values, dtype=float) for values in _trapezoidal(p, decades))
        m = len(a)
        for found, gains, is_unit in ((plain, 1.0, False), (unit, gain(rates), True)):
            c = np.sqrt(a / gains)
            slowest = np.eye(m)[0]
            starts = [np.concatenate([s * np.ones(m), v, v]) for s in (0, -1) for v in (c, slowest)]
            starts += list(rng.normal(size=(context.pick(1, 10), 3 * m)))
            weights = (np.log(rates), c, c)
            found.append(max(change_norm(weights, moved(weights, d, radius), is_unit) for d in starts))
        stated = radius**2 / 2 * (2 + 10.0 ** (decades * power))
        if plain[-1] < stated or unit[-1] > unit_upper:
            example = {"min_rate": 10.0**-decades, "plain": plain[-1], "stated": stated, "unit_norm": unit[-1]}
            return refuted("the trial does not behave as stated", example, Verdict.SUPPORTED)
    return supported(
        f"plain {plain[0]:.2f} → {plain[-1]:.0f}, unit-norm {unit[0]:.2f} → {unit[-1]:.2f}", plain=plain, unit=unit
    )


UNIT_NORM_VS_PLAIN = Claim(
    id="unit-norm-vs-plain",
    label="derived",
    title="Plain against unit-norm modes on a power law",
    statement="Take five sums of modes that approximate (1+t)^{-1.3}, with min|λ| = 0.1, 0.01, ..., 0.00001, and let "
    "all weights move in the ball of radius β = 0.05 under f = -e^w. The kernel with plain modes changes by at least "
    "(β²/2)(2 + 1/min|λ|), more than 125 at the last; with unit-norm modes all five change by less than 0.37. (E_m(β) "
    "differs from this change by at most E_m(0).)",
    latex=r"D_\mathrm{plain}(\beta) \geq \frac{\beta^2}{2} \left( 2 + \frac{1}{\min_i |\lambda_i|} \right), \quad "
    r"D_\mathrm{unit}(\beta) \leq 0.37",
    hypotheses=("f = -e^w, β = 0.05; weights of the trapezoidal rule with step 0.6 in log|λ|, c_i = u_i.",),
    kind=Kind.DERIVED,
    expected=Verdict.ENCLOSED,
    parameters={"p": "13/10", "beta": "1/20", "plain_power": "1", "unit_upper": "37/100"},
    routes=(
        Route("bounds in interval arithmetic", Method.ENCLOSURE, _growth_enclosed),
        Route("trial perturbations", Method.FLOATING, _growth_trial),
    ),
    mutants=(
        Variant("plain modes grow with the square", {"plain_power": "2"}),
        Variant("unit-norm modes hardly change", {"unit_upper": "1/10"}),
    ),
    theory=("theory.unit_norm:perturbed_error_upper", "theory.unit_norm:kappa_upper"),
)


CLAIMS: tuple[Claim, ...] = (UNIT_NORM_REACH, UNIT_NORM_VS_PLAIN)
