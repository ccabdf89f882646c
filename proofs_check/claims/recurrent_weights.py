"""What Theorem 3.5 rests on: how far modes move with their eigenvalues, and what bounded weights can represent."""

from __future__ import annotations

from fractions import Fraction
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

# K(r) = factor * r^{-exponent/(r-1)} |1 - 1/r|, and K(e^ω) <= slope ω / e.


def _stated_gap_integral(parameters: Parameters, ratio: Any) -> Any:
    factor, exponent = sp.Rational(parameters["factor"]), sp.Rational(parameters["exponent"])
    return factor * ratio ** (-exponent / (ratio - 1)) * sp.Abs(1 - 1 / ratio)


def _gap_symbolic(parameters: Parameters, context: Context) -> Evidence:
    """K from the turning point of the difference of two exponentials, against the stated form."""
    from numerics.enclosure import enclose, less
    from theory.approximation import gap_integral, gap_integral_slope, turning_time

    del context
    excess = sp.Symbol("q", positive=True)
    ratio, at = 1 + excess, sp.Integer(2)
    derived, stated = gap_integral(at), _stated_gap_integral(parameters, at)
    if derived != stated:
        return refuted(f"K(2) = {derived}, not {stated}", {"r": "2", "K": str(derived)}, Verdict.PROVED)
    slope = sp.Rational(parameters["slope"])
    if less(enclose(slope * sp.log(at) / sp.E, {}), enclose(derived, {})):
        return refuted(f"K(2) = {derived} > {slope} log(2)/e", {"r": "2", "K": str(derived)}, Verdict.PROVED)
    powers = sp.expand_power_exp(sp.expand(sp.powsimp(gap_integral(ratio).replace(sp.Abs, lambda x: x))))
    difference = sp.expand(powers) ** 2 - sp.expand(_stated_gap_integral(parameters, ratio)) ** 2
    same = _vanishes(difference, excess)
    even = gap_integral(1 / ratio) == gap_integral(ratio)
    derivative = gap_integral_slope(ratio)
    on_right = _stated_gap_integral(parameters, ratio).replace(sp.Abs, lambda value: value)  # r > 1
    rising = derivative.is_positive and sp.simplify(sp.diff(on_right, excess) - derivative) == 0
    # dK/d log r = r K' = 2xe^{-x} at x = r t*, at most 2/e
    x = sp.Symbol("x", positive=True)
    hump = 2 * x * sp.exp(-x)
    (top,) = sp.solve(sp.diff(hump, x), x)
    per_log = sp.simplify(ratio * derivative - hump.subs(x, ratio * turning_time(ratio))) == 0
    bounded = per_log and (slope / sp.E - hump.subs(x, top)).is_nonnegative
    if same and even and rising and bounded:
        return proved("derived from its turning point; 0 < dK/d log r = 2x exp(-x) <= 2/e", K=str(gap_integral()))
    return inconclusive(f"same: {same}, K(1/r) = K(r): {even}, increasing: {rising}, slope: {bounded}")


def _vanishes(difference: sp.Expr, excess: sp.Symbol) -> bool:
    """Whether an expression in (1+q)^{1/q} and 1+q is 0: with these two as independent symbols."""
    root, base = sp.symbols("y x", positive=True)
    powers = {base ** (sp.S.One / excess): root, base ** (-sp.S.One / excess): 1 / root}
    text = sp.expand_power_exp(difference.rewrite(sp.exp).subs(sp.log(1 + excess), sp.log(base)))
    return sp.simplify(sp.powsimp(sp.expand(text.subs(1 + excess, base))).subs(powers)) == 0


def _gap_floating(parameters: Parameters, context: Context) -> Evidence:
    """K by adaptive quadrature."""
    from numerics.norms import l1_estimate

    worst = 0.0
    for ratio in context.pick((0.2, 0.9, 1.5, 4.0, 100.0), tuple(np.geomspace(1e-3, 1e3, 40))):
        integral = l1_estimate([ratio, -1.0], [-ratio, -1.0])
        stated = float(_stated_gap_integral(parameters, sp.Float(ratio)))
        bound = float(sp.Rational(parameters["slope"])) * abs(np.log(ratio)) / np.e
        # The stated form itself is computed with a few roundings.
        tolerance = integral.error + 1e-14 * max(1.0, stated)
        example = {"r": ratio, "quadrature": integral.value, "error": integral.error, "stated": stated, "bound": bound}
        if abs(integral.value - stated) > tolerance or integral.value > bound + tolerance:
            return refuted(f"K({ratio:g}) = {integral.value:.12g} by quadrature", example, Verdict.SUPPORTED)
        worst = max(worst, abs(integral.value - stated))
    return supported("quadrature agrees with the stated form", largest_difference=worst)


def _gap_enclosed(parameters: Parameters, context: Context) -> Evidence:
    """K at a few r by rigorous integration, the tail after T = 60 bounded by the two exponentials."""
    from numerics.enclosure import Interval, enclose, integrate, less

    t, widest = sp.Symbol("t", real=True), 0.0
    horizon = 60
    for ratio in context.pick((Fraction(3), Fraction(1, 2)), (Fraction(3), Fraction(1, 2), Fraction(21, 20))):
        q = sp.Rational(ratio.numerator, ratio.denominator)
        gap = sp.Abs(q * sp.exp(-q * t) - sp.exp(-t))
        tail = enclose(sp.exp(-q * horizon) + sp.exp(-sp.Integer(horizon)), {})
        body = integrate(gap, t, 0, horizon)
        integral = Interval.of(body, body + tail)
        stated = enclose(_stated_gap_integral(parameters, q), {})
        bound = enclose(sp.Rational(parameters["slope"]) * sp.Abs(sp.log(q)) / sp.E, {})
        differs = less(integral, stated) or less(stated, integral)
        if differs or less(bound, integral):
            example = {"r": str(q), "K": [integral.lower, integral.upper], "stated": [stated.lower, stated.upper]}
            return refuted(f"K({q}) lies in [{integral.lower}, {integral.upper}]", example, Verdict.ENCLOSED)
        widest = max(widest, integral.width())
    if widest > 1e-9:
        return inconclusive(f"the enclosures of K are too wide: {widest}")
    # Only single points were enclosed, and an overlap is no proof of equality.
    return supported("the enclosures of K contain the stated values", largest_width=widest)


# E_m(β) <= E_m(0) + memory_factor A_m g + jump_factor B_m K(1+g).


def _bound_symbolic(parameters: Parameters, context: Context) -> Evidence:
    """The move of one mode against the stated bound; equality for a single mode under exp."""
    from theory.approximation import gap_integral, gap_integral_slope, mode_gap, recurrent_error_upper
    from theory.notation import lam

    del context
    memory, jump = sp.Rational(parameters["memory_factor"]), sp.Rational(parameters["jump_factor"])
    # One mode, c = u = 1, λ = -1/τ, exp, β = log 2 (g = 1): w̃ = w - β halves |λ|.
    for tau in (sp.Rational(1, 1000), sp.Integer(1), sp.Integer(1000)):
        error = mode_gap(sp.Rational(1, 2)).subs(lam, -1 / tau)
        stated = memory * tau + jump * gap_integral(2)
        if stated < error:
            example = {"f": "exp", "beta": "log 2", "lambda": str(-1 / tau), "E": str(error), "bound": str(stated)}
            return refuted(f"one mode has E(log 2) = {error} > {stated}", example, Verdict.PROVED)
    g, q, memory_sum, weight_sum = sp.symbols("g q A B", positive=True)
    slower, faster = g, 1 - 1 / (1 + g)  # |1/r - 1| at r = 1/(1+g) and at r = 1+g
    monotone = gap_integral_slope(1 + q).is_positive  # K increases in |log r|, as K(r) = K(1/r)
    worst_is_slower = sp.factor(slower - faster).is_positive
    derived = recurrent_error_upper(0, memory_sum, weight_sum, g)
    spare = sp.expand(memory * memory_sum * g + jump * weight_sum * gap_integral(1 + g) - derived)
    if worst_is_slower and monotone and spare.is_nonnegative:
        return proved("the worst ratio of eigenvalues is 1/(1+g) for both parts of the norm, and one mode attains it")
    return inconclusive("the constants were neither proved nor refuted")


def _bound_floating(parameters: Parameters, context: Context) -> Evidence:
    """Random models, random moves of w in the ball, under exp, where g = e^β - 1; and one slow and one fast mode."""
    from numerics.norms import l1_norm, w1inf_estimate

    rng = context.rng("recurrent bound")
    memory, jump = (float(sp.Rational(parameters[name])) for name in ("memory_factor", "jump_factor"))
    closest = 0.0
    single = [(np.array([1.0]), np.array([x]), np.array([-beta]), beta) for x in (-7.0, 7.0) for beta in (0.1, 1.0)]
    for trial in range(context.pick(40, 400)):
        modes = int(rng.integers(1, 6))
        radius = float(rng.uniform(0.05, 1.5))
        model = (rng.standard_normal(modes), rng.uniform(-7, 3, modes), rng.uniform(-radius, radius, modes), radius)
        c, x, step, beta = single[trial] if trial < len(single) else model
        lam, moved, g = -np.exp(x), -np.exp(x + step), np.expm1(beta)
        change = w1inf_estimate(np.concatenate([c, -c]), np.concatenate([moved, lam]))
        k = l1_norm([1 + g, -1.0], [-(1 + g), -1.0])
        bound = memory * np.sum(np.abs(c / lam)) * g + jump * np.sum(np.abs(c)) * k
        if change.value > bound * (1 + 1e-12) + change.error:
            example = {"c": c.tolist(), "lambda": lam.tolist(), "moved": moved.tolist(), "change": change.value}
            return refuted(f"a move of {change.value:.6g} > {bound:.6g}", example, Verdict.SUPPORTED)
        closest = max(closest, float(change.value / bound))
    return supported("no random move exceeds the bound", largest_ratio=closest)


# |ρ(t)| <= amplitude C V e^{-rate ε t} where |c| <= C, |U|_F <= V, |λ_i| >= ε.


def _memory_symbolic(parameters: Parameters, context: Context) -> Evidence:
    from theory.approximation import bounded_weights_memory_upper
    from theory.notation import t

    del context
    output, input_, eps, inputs = sp.symbols("C V epsilon_0 d", positive=True)
    derived = bounded_weights_memory_upper(output, input_, eps, inputs)
    amplitude = sp.Rational(parameters["amplitude"])
    power, rate = sp.Rational(parameters["dimension_power"]), sp.Rational(parameters["rate"])
    stated = amplitude * inputs**power * output * input_ * sp.exp(-rate * eps * t)
    # One mode, c = 1, U = (1, ..., 1)/√d, λ = -ε: |ρ(t)|_1 = √d e^{-εt}.
    unit = {output: 1, input_: 1}
    for d, time in ((1, 0), (1, 10), (4, 0)):
        point = {inputs: d, t: time, eps: 1}
        memory, claimed = (sp.sqrt(d) * sp.exp(-time)), stated.subs(unit).subs(point)
        if (memory - claimed).is_positive:
            example = {"c": 1, "U": f"1/sqrt({d})", "d": d, "lambda": -1, "t": time, "memory": str(memory)}
            return refuted(f"one mode has |rho({time})| = {memory} > {claimed}", example, Verdict.PROVED)
    one_input = derived.subs(unit).subs(inputs, 1)
    derived_amplitude, derived_rate = one_input.subs(t, 0), -sp.diff(sp.log(one_input), t) / eps
    derived_power = sp.simplify(sp.diff(sp.log(derived), inputs) * inputs)
    if amplitude >= derived_amplitude and power >= derived_power and rate <= sp.simplify(derived_rate):
        return proved(f"at most {derived}, by Cauchy-Schwarz", bound=str(derived))
    return inconclusive("the constants were neither proved nor refuted")


def _memory_floating(parameters: Parameters, context: Context) -> Evidence:
    rng = context.rng("bounded memory")
    amplitude, power, rate = (float(sp.Rational(parameters[x])) for x in ("amplitude", "dimension_power", "rate"))
    times, largest = np.geomspace(1e-3, 30, 40), 0.0
    for trial in range(context.pick(50, 1000)):
        modes, d = (1, 1 + trial % 4) if trial % 2 else (int(rng.integers(1, 6)), int(rng.integers(1, 5)))
        c, u = rng.standard_normal(modes), np.abs(rng.standard_normal((modes, d)))
        u = np.ones((1, d)) if trial % 2 else u
        rates = 1 + (rng.exponential(1.0, modes) if trial % 2 == 0 else np.zeros(modes))
        memory = np.abs(np.exp(-np.outer(times, rates)) @ (c[:, None] * u)).sum(axis=1)  # (times,)
        size = amplitude * d**power * np.linalg.norm(c) * np.linalg.norm(u)
        ratio = float(np.max(memory / (size * np.exp(-rate * rates.min() * times))))
        if ratio > 1 + 1e-12:
            return refuted(f"the memory is {ratio:.4g} times the bound", {"ratio": ratio, "d": d}, Verdict.SUPPORTED)
        largest = max(largest, ratio)
    return supported("no random model exceeds the bound", largest_ratio=largest)


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="thm-3.5-gap-integral",
        label="Theorem 3.5",
        title="The variation of the difference of two exponentials",
        statement=(
            "The integral K(r) of |r exp(-rt) - exp(-t)| over t > 0 is 2 r^(-1/(r-1)) |1 - 1/r|; it increases in "
            "|log r| and is at most (2/e) |log r|."
        ),
        latex=r"K(r)=\int_0^\infty|re^{-rt}-e^{-t}|\,dt=2\,r^{-1/(r-1)}\,|1-1/r|=K(1/r)\leq\frac{2}{e}|\log r|",
        hypotheses=("r > 0, r not 1; K(1) = 0.",),
        kind=Kind.DERIVED,
        expected=Verdict.PROVED,
        routes=(
            Route("turning point", Method.SYMBOLIC, _gap_symbolic),
            Route("rigorous integration", Method.ENCLOSURE, _gap_enclosed),
            Route("quadrature", Method.FLOATING, _gap_floating),
        ),
        mutants=(
            Variant("factor 1", {"factor": "1"}),
            Variant("exponent 2", {"exponent": "2"}),
            Variant("slope 1/e", {"slope": "1"}),
        ),
        theory=(
            "theory.approximation:gap_integral",
            "theory.approximation:gap_integral_slope",
            "theory.approximation:gap_integral_upper",
        ),
        parameters={"factor": "2", "exponent": "1", "slope": "2"},
    ),
    Claim(
        id="thm-3.5-recurrent-bound",
        label="Theorem 3.5",
        title="The error of perturbed recurrent weights",
        statement=(
            "If only the recurrent weights are perturbed, the error grows by at most A_m g(beta) + B_m K(1 + g(beta)), "
            "with g the least modulus of Definition 3.4; for f = -exp(w) a single mode with H equal to it attains this."
        ),
        latex=(
            r"E_m(\beta)\leq E_m(0)+A_m\,g(\beta)+B_m\,K(1+g(\beta)),\quad A_m=\sum_i\frac{|c_i||U_i|_1}{|\lambda_i|},"
            r"\ B_m=\sum_i|c_i||U_i|_1"
        ),
        hypotheses=("f < 0 with a finite g(beta).", "sigma = id, real eigenvalues.", "U and c stay."),
        kind=Kind.AMENDED,
        expected=Verdict.PROVED,
        routes=(
            Route("worst eigenvalue of one mode", Method.SYMBOLIC, _bound_symbolic),
            Route("random models", Method.FLOATING, _bound_floating),
        ),
        mutants=(
            Variant("half the memory term", {"memory_factor": "1/2"}),
            Variant("half the jump term", {"jump_factor": "1/2"}),
        ),
        theory=("theory.approximation:recurrent_error_upper", "theory.approximation:mode_gap"),
        parameters={"memory_factor": "1", "jump_factor": "1"},
    ),
    Claim(
        id="thm-3.5-bounded-weights-memory",
        label="Theorem 3.5",
        title="Bounded weights reach exponentially decaying memory only",
        statement=(
            "If f < 0 is continuous and all weights stay bounded, w included, then the eigenvalues stay away from "
            "0 and every H that is approximated has an exponentially decaying memory function."
        ),
        latex=r"|\rho(t)|_1\leq\sqrt{d}\,C\,V\,e^{-\varepsilon t},\quad\varepsilon=\min_{|w|\leq W}|f(w)|>0",
        hypotheses=(
            "|c_m|_2 <= C, |U_m|_F <= V, max_i |w_i| <= W for all m.",
            "E(0) = 0, H linear, sigma = id, real eigenvalues.",
        ),
        kind=Kind.DERIVED,
        expected=Verdict.PROVED,
        routes=(
            Route("Cauchy-Schwarz", Method.SYMBOLIC, _memory_symbolic),
            Route("random models", Method.FLOATING, _memory_floating),
        ),
        mutants=(
            Variant("half the amplitude", {"amplitude": "1/2"}),
            Variant("twice the rate", {"rate": "2"}),
            Variant("no factor for d inputs", {"dimension_power": "0"}),
        ),
        theory=("theory.approximation:bounded_weights_memory_upper",),
        parameters={"amplitude": "1", "rate": "1", "dimension_power": "1/2"},
    ),
)
