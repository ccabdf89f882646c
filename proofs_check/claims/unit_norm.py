"""Unit-norm modes dh/dt = Λh + ν(Λ)Ux: stable in all weights, where the plain parameterization is not."""

from __future__ import annotations

import numpy as np
import sympy as sp
from numpy.typing import NDArray

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
    inconclusive,
    proved,
    refuted,
    supported,
)
from proofs_check.comparison import (
    Pair,
    compare_exact,
    compare_floats,
    compare_upper_bounds,
    w1inf_enclosure,
)
from theory import unit_norm
from theory.notation import beta, lam, omega, r, t

Array = NDArray[np.float64]
Weights = tuple[Array, Array, Array]
"""(w, c, u), each of shape (m,)."""


def gain(rates: Array) -> Array:
    """ν(λ) of λ = -rate."""
    return np.asarray(rates / (1 + 2 * rates))


def change_norm(weights: Weights, perturbed: Weights, unit: bool) -> float:
    """‖ρ̃ - ρ̂‖_{W^{1,∞}} in floating point for weights (w, c, u) and f = -e^w, with unit-norm or plain modes."""
    coefficients, eigenvalues = [], []
    for sign, (w_, c, u) in ((-1.0, weights), (1.0, perturbed)):
        rates = np.exp(w_)
        coefficients.append(sign * c * u * (gain(rates) if unit else 1.0))
        eigenvalues.append(-rates)
    return w1inf_norm(np.concatenate(coefficients), np.concatenate(eigenvalues))


def moved(weights: Weights, direction: Array, radius: float) -> Weights:
    """The weights moved by `radius` in a direction of R^{3m}."""
    step = radius * direction / np.linalg.norm(direction)
    dw, dc, du = np.split(step, 3)
    return weights[0] + dw, weights[1] + dc, weights[2] + du


# --- the gain -------------------------------------------------------------------------------------------------------


def _stated_gains(parameters: Parameters) -> tuple[sp.Expr, sp.Expr]:
    real = sp.Abs(lam) / (1 + sp.Rational(parameters["constant"]) * sp.Abs(lam))
    complex_ = r / (1 + sp.Rational(parameters["complex_constant"]) * r + sp.sqrt(r**2 + omega**2))
    return real, complex_


def _gain_exact(parameters: Parameters, _: Context) -> Evidence:
    real, complex_ = _stated_gains(parameters)
    evidence = compare_exact(unit_norm.gain(), real, {lam: sp.Integer(-2)}, "1/‖e^{λt}‖")
    if evidence.verdict is not Verdict.PROVED:
        return evidence
    return compare_exact(unit_norm.complex_gain(), complex_, {r: 2, omega: 1}, "1/‖e^{λt}‖ of a complex mode")


def _gain_float(parameters: Parameters, _: Context) -> Evidence:
    """ν·‖e^{λt}‖ = 1, the norm by quadrature (real) and over partitions (complex)."""
    real, complex_ = _stated_gains(parameters)
    pairs = []
    for rate in (1e-3, 1.0, 30.0):
        stated = float(real.subs(lam, -sp.Rational(rate)))
        pairs.append(Pair(f"λ = -{rate}", 1.0, stated * w1inf_norm([1.0], [-rate]), 1e-9))
    times, step = np.linspace(0, 30, 120_001, retstep=True)
    for frequency in (0.5, 4.0):
        mode = np.exp((-1 + 1j * frequency) * times)
        norm = float(np.trapezoid(np.abs(mode), dx=step) + np.sum(np.abs(np.diff(mode, prepend=0.0))))
        stated = float(complex_.subs({r: 1, omega: sp.Rational(frequency)}))
        pairs.append(Pair(f"λ = -1+{frequency}i", 1.0, stated * norm, 1e-6))  # chords: |λ|²step²/24
    return compare_floats(pairs, "ν·‖e^{λt}‖")


UNIT_NORM_GAIN = Claim(
    id="unit-norm-gain",
    label="derived",
    title="The gain that makes a mode's norm 1",
    statement="With the gain ν(λ) = |λ|/(1+2|λ|) a real mode, and with ν(λ) = r/(1+r+|λ|), r = -Re λ, a complex one, "
    "has W^{1,∞} norm 1.",
    latex=r"\nu(\lambda) = \frac{|\lambda|}{1 + 2|\lambda|} = \frac{1}{\| e^{\lambda t} \|_{W^{1,\infty}}}, \quad "
    r"\nu(\lambda) = \frac{r}{1 + r + |\lambda|}",
    hypotheses=("Re λ < 0.", "Complex modes have complex inputs (on real inputs their norm is then at most 1)."),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"constant": "2", "complex_constant": "1"},
    routes=(
        Route("inverse of the exact norm", Method.SYMBOLIC, _gain_exact),
        Route("norms by quadrature", Method.FLOATING, _gain_float),
    ),
    mutants=(
        Variant("without the jump at 0", {"constant": "1"}),
        Variant("complex, without the jump at 0", {"complex_constant": "0"}),
    ),
    theory=("theory.unit_norm:gain", "theory.unit_norm:complex_gain"),
)


# --- the bound in all weights ---------------------------------------------------------------------------------------


def _sums_of_squares() -> bool:
    """Cauchy-Schwarz in R^{2m} and δ_c δ_u ≤ (δ_c² + δ_u²)/2, the halves of the bound on the output weights.

    For vectors of any length with A = |a|², B = |b|², P = a·b: 0 ≤ |Ba - Pb|² = B(AB - P²).
    """
    x, y, a_square, b_square, product = sp.symbols("x y A B P", real=True)
    square = b_square**2 * a_square - 2 * b_square * product * product + product**2 * b_square
    cauchy_schwarz = sp.expand(square - b_square * (a_square * b_square - product**2)) == 0
    return bool(cauchy_schwarz and sp.expand((x**2 + y**2) / 2 - x * y - (x - y) ** 2 / 2) == 0)


def _stated_change(parameters: Parameters, c: sp.Expr, u: sp.Expr, radius: sp.Expr) -> sp.Expr:
    """What the claim allows one mode to change, with f = -e^w."""
    linear, quadratic, mode = (sp.Rational(parameters[key]) for key in ("linear", "quadratic", "mode"))
    kappa = unit_norm.kappa_upper().subs(unit_norm.log_change, radius)
    return linear * radius * sp.sqrt(c**2 + u**2) + quadratic * radius**2 + mode * c * u * kappa


def _bound_exact(parameters: Parameters, _: Context) -> Evidence:
    """Cauchy-Schwarz as sums of squares; and, for the constants, one mode whose change is known exactly."""
    # f constant, so that κ does not enter: c = u = 1 grow by β/√2 each.
    for radius in (sp.Rational(1, 100), sp.Integer(100)):
        change = (1 + radius / sp.sqrt(2)) ** 2 - 1
        stated = _stated_change({**parameters, "mode": 0}, sp.S.One, sp.S.One, radius)
        if less(enclose(stated, {}), enclose(change, {})):
            example = {"c": 1.0, "u": 1.0, "f": "constant", "beta": float(radius), "change": float(change)}
            example["stated"] = float(stated)
            return refuted("moving c and u changes one mode by more", example, Verdict.PROVED)
    # c = u = 10, f = -e^w, λ = -1/2 and only w moves: the norm is at least |∫| + 2|value at 0| = 2|q̃ - q|.
    radius = sp.Rational(1, 10)
    change = 100 * 2 * (sp.Rational(1, 2) - 1 / (1 + sp.exp(radius)))
    stated = _stated_change(parameters, sp.Integer(10), sp.Integer(10), radius)
    if less(enclose(stated, {}), enclose(change, {})):
        example = {"c": 10.0, "u": 10.0, "lambda": -0.5, "beta": 0.1, "change": float(change), "stated": float(stated)}
        return refuted("moving w changes one mode by more", example, Verdict.PROVED)
    proven = unit_norm.output_change_upper(sp.Symbol("C", nonnegative=True), sp.S.Zero)
    constants = proven.coeff(beta, 1) / sp.Symbol("C", nonnegative=True), proven.coeff(beta, 2), sp.S.One
    enough = all(
        sp.Rational(parameters[k]) >= v for k, v in zip(("linear", "quadratic", "mode"), constants, strict=True)
    )
    if enough and _sums_of_squares():
        return proved("Cauchy-Schwarz for any m, from |Ba - Pb|² ≥ 0; for constant f one mode attains it")
    return inconclusive("the constants are below those that were derived, and no counterexample was found")


def _kappa_estimate(change: float) -> float:
    """κ by a grid over λ: the largest change of one unit-norm mode."""
    rates = np.geomspace(1e-4, 1e2, 61)
    faster = rates * np.exp(change)
    return max(
        w1inf_norm([b, -a], [-y, -x]) for x, y, a, b in zip(rates, faster, gain(rates), gain(faster), strict=True)
    )


def _bound_random(parameters: Parameters, context: Context) -> Evidence:
    """Random models moved in random, aligned and single directions, against the stated bound with f = -e^w."""
    rng, least = context.rng("unit-norm-bound"), np.inf
    linear, quadratic, mode = (float(sp.Rational(parameters[key])) for key in ("linear", "quadratic", "mode"))
    kappa = {radius: _kappa_estimate(radius) for radius in (0.01, 0.5, 3.0)}
    for trial in range(context.pick(25, 250)):
        m = 1 + trial % 4
        scale = 10.0 if trial % 2 else 0.5
        weights = (rng.uniform(-5, 2, m), scale * rng.normal(size=m), scale * rng.normal(size=m))
        c, u = weights[1:]
        directions = [
            np.concatenate([np.zeros(m), u, c]),
            np.concatenate([np.ones(m), np.zeros(2 * m)]),
            np.concatenate([np.zeros(m), np.sign(c), np.sign(u)]),
            rng.normal(size=3 * m),
        ]
        for radius, largest in kappa.items():
            bound = linear * radius * np.hypot(np.linalg.norm(c), np.linalg.norm(u)) + quadratic * radius**2
            bound += mode * float(np.abs(c) @ np.abs(u)) * largest
            for direction in directions:
                change = change_norm(weights, moved(weights, direction, radius), unit=True)
                least = min(least, bound / change - 1)
                if change > bound * (1 + 1e-3):  # the grid of κ is 0.23 wide in log λ: less than 1e-3 of its maximum
                    example = {"c": c.tolist(), "u": u.tolist(), "w": weights[0].tolist(), "beta": radius}
                    return refuted("the bound is exceeded", {**example, "change": change}, Verdict.SUPPORTED)
    return supported(f"never exceeded; the closest case left {least:.1e} of the change", closest=float(least))


UNIT_NORM_BOUND = Claim(
    id="unit-norm-bound",
    label="Theorem 3.5",
    title="Unit-norm modes are stable in all weights",
    statement="With unit-norm modes, E_m(β) ≤ E_m(0) + β√(|c|²+|u|²) + β²/2 + Σ|c_iu_i|κ(ω(β)), where all weights w, "
    "c, u move in the joint ball of radius β: an approximating sequence is a stable approximation for every stable f, "
    "as long as |c| and |u| stay bounded.",
    latex=r"E_m(\beta) \leq E_m(0) + \beta \sqrt{|c|^2 + |u|^2} + \frac{\beta^2}{2} + \sum_i |c_i u_i| \, "
    r"\kappa(\omega(\beta))",
    hypotheses=(
        "f < 0, and ω is the modulus of continuity of log|f|.",
        "One input, σ the identity, one layer, the joint ball of (w, c, u).",
        "κ(ω) is the largest change of a unit-norm mode whose log|λ| moves by at most ω.",
        "For the stable approximation: E(0) = 0, and sup_m |c|, sup_m |u| are finite.",
    ),
    kind=Kind.AMENDED,
    expected=Verdict.PROVED,
    parameters={"linear": "1", "quadratic": "1/2", "mode": "1"},
    routes=(
        Route("Cauchy-Schwarz as sums of squares", Method.SYMBOLIC, _bound_exact),
        Route("random and aligned perturbations", Method.FLOATING, _bound_random),
    ),
    mutants=(
        Variant("half the linear term", {"linear": "1/2"}),
        Variant("half the quadratic term", {"quadratic": "1/4"}),
        Variant("without the recurrent weights", {"mode": "0"}),
    ),
    theory=("theory.unit_norm:perturbed_error_upper", "theory.unit_norm:output_change_upper"),
)


# --- κ --------------------------------------------------------------------------------------------------------------


def _kappa_exact(parameters: Parameters, _: Context) -> Evidence:
    """The two derived bounds against the stated ones; counterexamples from the limit λ → 0."""
    cap, slope, change = sp.Rational(parameters["cap"]), sp.Rational(parameters["slope"]), unit_norm.log_change
    ratio = unit_norm.ratio
    largest = unit_norm.gradient_factor_range()[1]
    for value in (sp.Integer(20), sp.Rational(1, 100)):
        reached = enclose(unit_norm.kappa_lower().subs(change, value), {})
        stated = enclose(sp.Min(cap * (1 - sp.exp(-value)), slope * value), {})
        if less(stated, reached):
            example = {"omega": float(value), "kappa_lower": reached.lower, "stated": stated.upper}
            return refuted("slow modes change by more", example, Verdict.PROVED)
    derived_cap = sp.simplify(unit_norm.mode_difference_upper() * ratio / (ratio - 1))
    if derived_cap <= cap and less(enclose(largest, {}), Interval.of(slope)):
        return proved(f"κ ≤ min({derived_cap}(1-e^(-ω)), N(q*)ω), N(q*) = {largest}", slope=float(largest))
    return inconclusive("the stated bounds are below the derived ones, and slow modes do not exceed them")


def _kappa_enclosed(parameters: Parameters, _: Context) -> Evidence:
    """Norms of differences of two modes by rigorous quadrature; log(λ̃/λ) = log R with R rational."""
    cap, slope = sp.Rational(parameters["cap"]), sp.Rational(parameters["slope"])
    cases = []
    for rate, ratio in ((sp.Rational(3, 20), sp.Rational(6, 5)), (sp.Rational(1, 1000), sp.Integer(3000)),
                        (sp.S.One, sp.Rational(1, 2)), (sp.Integer(20), sp.Integer(2))):  # fmt: skip
        fast = rate * ratio
        kernel = fast / (1 + 2 * fast) * sp.exp(-fast * t) - rate / (1 + 2 * rate) * sp.exp(-rate * t)
        slowest = min(rate, fast)
        end = int(sp.ceiling(40 / slowest))
        tail = enclose(sp.exp(-slowest * end) * (2 / slowest + 2), {})
        size = sp.Abs(sp.log(ratio))
        bound = enclose(sp.Min(cap * (1 - sp.exp(-size)), slope * size), {})
        cases.append((f"λ = -{rate}, λ̃ = -{fast}", w1inf_enclosure(kernel, t, end, tail), bound))
    return compare_upper_bounds(cases, "the bound for κ")


UNIT_NORM_KAPPA = Claim(
    id="unit-norm-kappa",
    label="derived",
    title="How much a unit-norm mode changes",
    statement="κ(ω), the largest W^{1,∞} change of a unit-norm mode whose log|λ| moves by at most ω, is at most "
    "2(1-e^{-ω}) (hence at most 2 and at most 2(e^ω-1)) and at most 0.752225·ω.",
    latex=r"\kappa(\omega) \leq \min\left( 2 (1 - e^{-\omega}), \ 0.752225 \, \omega \right)",
    hypotheses=("λ and the perturbed eigenvalue are negative.",),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"cap": "2", "slope": "0.752225"},
    routes=(
        Route("derivation and the limit of long memory", Method.SYMBOLIC, _kappa_exact),
        Route("rigorous quadrature of differences", Method.ENCLOSURE, _kappa_enclosed),
    ),
    mutants=(
        Variant("κ at most 1", {"cap": "1"}),
        Variant("a smaller slope", {"slope": "0.7"}),
    ),
    theory=("theory.unit_norm:kappa_upper", "theory.unit_norm:mode_difference_upper", "theory.unit_norm:kappa_lower"),
)


CLAIMS: tuple[Claim, ...] = (UNIT_NORM_GAIN, UNIT_NORM_BOUND, UNIT_NORM_KAPPA)
