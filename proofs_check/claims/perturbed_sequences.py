"""Perturbed errors along sequences of models for a power law: the vanilla curse, stable f, and all weights.

The exact routes hold for every sequence of positive sums of modes that tends to its target, as one does by the
trapezoidal rule; the numerical ones take brackets of E_m(β) along the explicit sequence.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Any

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
from proofs_check.comparison import compare_exact
from theory.notation import beta, lam, r

if TYPE_CHECKING:
    from numerics.models import DiagonalModel

POWER_LAW = "polynomial:p=2"
ROUNDING = 1 + 1e-6
"""The brackets are computed in float64; their ends are good to far more digits."""
POSITIVE_SUMS = (
    "σ the identity, one input, real eigenvalues.",
    "Ĥ_m is a sum of modes with positive weights, |c_i| = |u_i|, and E_m(0) → 0.",
)


def sequence_model(m: int, f: str, target: str = POWER_LAW, modes: str = "plain") -> DiagonalModel:
    """The explicit model with m modes."""
    from numerics.expsum import explicit_model
    from numerics.targets import parse_target

    return explicit_model(parse_target(target), m, f, modes)


def one_layer(lam: list[Any], inputs: list[Any], outputs: list[Any], f: str) -> DiagonalModel:
    """A linear layer with one input and one output; complex numbers as pairs [re, im]."""
    from numerics.model_json import model_of_json
    from numerics.models import DiagonalModel

    layer = {"lam": lam, "U": [[u] for u in inputs]}
    model = model_of_json(json.dumps({"layers": [layer], "c": outputs, "reparameterization": f}))
    if not isinstance(model, DiagonalModel):
        raise TypeError(f"a diagonal model is needed, not {type(model).__name__}")
    return model


def bracket(
    model: DiagonalModel, target: str, betas: list[float], groups: tuple[str, ...], ball: str = "joint", steps: int = 8
) -> tuple[list[float], list[float]]:
    """The lower and the upper ends of E_m(β)."""
    from numerics.perturbation import linear_perturbed_error
    from numerics.targets import parse_target

    error = linear_perturbed_error(model, parse_target(target), betas, ball=ball, groups=groups, steps=steps)
    return error.lower.tolist(), error.upper.tolist()


def slowest_rate(model: DiagonalModel) -> float:
    return float(model.lam().abs().min())


def some_sequence_approximates() -> bool:
    """Whether the trapezoidal rule with m = n² nodes tends to the power law, by its error bound."""
    from theory.sequences import trapezoidal_error_upper, trapezoidal_rule

    n = sp.Symbol("n", positive=True)
    parts = sp.Add.make_args(trapezoidal_error_upper(*trapezoidal_rule(n)))
    return all(sp.limit(part, n, sp.oo) == 0 for part in parts)


# --- the vanilla curse ----------------------------------------------------------------------------------------------


def _vanilla_exact(parameters: Parameters, _: Context) -> Evidence:
    """The slowest mode on both sides of the boundary, in units of min|λ|; and what its memory must be."""
    from theory.approximation import mode_gap, recurrent_error_upper
    from theory.curse import boundary_error
    from theory.formula import named
    from theory.sequences import power_law_exceeds

    name, boundary = parameters["reparameterization"], sp.Rational(parameters["boundary"])
    if named(name).is_negative:
        bound = recurrent_error_upper(0, 1, 1, sp.E - 1)  # A = B = 1, as for the one mode e^{-t}
        example = {"f": name, "lambda": "-1", "beta": "1", "E(1) at most": str(bound)}
        return refuted(f"{name} keeps every mode stable: E_m(1) is finite though min|λ| ≤ 1", example, Verdict.PROVED)
    if parameters["target"] != POWER_LAW:
        cost = mode_gap(sp.Rational(1, 2)).subs(lam, -1)
        example = {"target": "exp(-t)", "lambda": "-1", "beta": "1/2", "E(1/2)": str(cost)}
        return refuted("a target of one mode needs no slow ones: E(1/2) is finite", example, Verdict.PROVED)
    for position in (boundary, boundary * sp.Rational(99, 100), sp.S.One, sp.Rational(99, 100)):
        # The ball of radius position·min|λ|: infinite in a smaller ball is infinite in this one.
        infinite = boundary_error(1 / sp.Min(position, 1), live=True, ball="joint") == sp.oo
        if infinite is not bool(position >= boundary):
            example = {"beta over min|lambda|": str(position), "infinite": infinite, "stated": not infinite}
            return refuted(f"E_m is not as stated at β = {position} min|λ|", example, Verdict.PROVED)
    beyond, rate = sp.symbols("q epsilon_0", positive=True)
    before = boundary_error(1 + beyond, live=True, ball="joint")
    no_floor = power_law_exceeds(rate) == sp.oo
    if before.is_finite is False or before.has(sp.oo) or not no_floor or not some_sequence_approximates():
        return inconclusive(f"before the boundary: {before}; rates without a floor: {no_floor}")
    return proved(
        "at β = min|λ| the slowest mode is a constant c_iu_i ≠ 0, before it its norm is finite; min|λ| → 0, as bounded "
        "weights with a floor of the rates reach exponential decay only",
        norm_before=str(before),
    )


def _vanilla_brackets(parameters: Parameters, context: Context) -> Evidence:
    """Where the brackets turn infinite along the explicit sequence, and how they grow on the way there."""
    name, target = parameters["reparameterization"], parameters["target"]
    boundary = float(sp.Rational(parameters["boundary"]))
    table: dict[str, Any] = {}
    for m in context.pick((4, 8, 16), (4, 8, 16, 32, 64)):
        model = sequence_model(m, name, target)
        slowest, weight = slowest_rate(model), float((model.c[0] * model.drive()[:, 0])[model.lam().argmax()])
        positions = [0.0, 0.5, 0.99, 0.999 * boundary, boundary]
        lower, upper = bracket(model, target, [x * slowest for x in positions], ("w",), "block", 4)
        for x, low, high in zip(positions, lower, upper, strict=True):
            if (x < boundary and low == inf) or (x >= boundary and high < inf):
                example = {"m": m, "min|lambda|": slowest, "beta over min|lambda|": x, "E_m": [str(low), str(high)]}
                return refuted(f"m = {m}: E_m({x:g} min|λ|) is not as stated", example, Verdict.SUPPORTED)
        moved = weight * (1 / 0.01 - 1) / slowest - lower[0]  # ∫ of the slowest mode's change, λ̃ = λ/100
        if lower[2] < moved / ROUNDING:
            return inconclusive(f"m = {m}: a lower end of {lower[2]} misses a single move of {moved}")
        table[str(m)] = {"min_rate": slowest, "E_m(0)": lower[0], "half way": [lower[1], upper[1]], "at 0.99": lower[2]}
    rows = list(table.values())
    shrinks = all(2 * b["min_rate"] < a["min_rate"] and b["E_m(0)"] < a["E_m(0)"] for a, b in pairwise(rows))
    if not shrinks:
        example = {"rates": [row["min_rate"] for row in rows], "E_m(0)": [row["E_m(0)"] for row in rows]}
        return refuted("the slowest rate does not tend to 0, and E(β) is finite below it", example, Verdict.SUPPORTED)
    return supported("the brackets are infinite from min|λ| on, and min|λ| → 0 with E_m(0)", table=table)


VANILLA = Claim(
    id="sequence-vanilla-curse",
    label="Theorem 3.3",
    title="The curse of memory along a sequence for a power law, λ = w",
    statement="Let positive sums of modes tend to (1+t)^{-2}, with λ = w and only w perturbed. Then E_m(β) = ∞ exactly "
    "for β ≥ min|λ_i|, and min|λ_i| → 0 while E_m(0) → 0: E(β) = ∞ for every β > 0.",
    latex=r"E_m(\beta) = \infty \Leftrightarrow \beta \geq \min_i |\lambda_i| \to 0",
    hypotheses=(*POSITIVE_SUMS, "λ = w; U and c stay. Either ball."),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"boundary": "1", "reparameterization": "direct", "target": POWER_LAW},
    routes=(
        Route("norms at the boundary", Method.SYMBOLIC, _vanilla_exact),
        Route("brackets of the explicit sequence", Method.FLOATING, _vanilla_brackets),
    ),
    mutants=(
        Variant("infinite from 2 min|λ| on only", {"boundary": "2"}),
        Variant("infinite from min|λ|/2 on", {"boundary": "1/2"}),
        Variant("under exp", {"reparameterization": "exp"}),
        Variant("an exponential target", {"target": "exponential:rate=1"}),
    ),
    theory=(
        "theory.curse:boundary_error",
        "theory.sequences:power_law_exceeds",
        "theory.sequences:trapezoidal_rule",
        "theory.sequences:trapezoidal_error_upper",
    ),
)


# --- recurrent weights only -----------------------------------------------------------------------------------------

BEST_B = sp.Rational(1, 20)
"""best with b = 1/20 reaches rates up to 20, as much as the sequences here need."""
_SPECS = {"exp": "exp", "softplus": "softplus", "best": "best:b=0.05", "direct": "direct"}


def _recurrent_exact(parameters: Parameters, _: Context) -> Evidence:
    """What slowing down all modes costs, exactly, against the stated bound as E_m(0) → 0; else the derivation."""
    from theory.approximation import gap_integral
    from theory.curse import boundary_error
    from theory.formula import named
    from theory.sequences import dilated_power_law_norm, recurrent_sequence_upper
    from theory.stability import least_g_at_tail, least_g_even

    memory, value, share = (sp.Rational(parameters[key]) for key in ("memory", "value", "modulus"))
    for name in parameters["reparameterizations"]:
        if not named(name).is_negative and boundary_error(1, live=True, ball="block") == sp.oo:
            example = {"f": name, "beta": "min|lambda|", "E_m": "infinite"}
            return refuted(f"under {name} the ball reaches λ = 0, at min|λ| → 0", example, Verdict.PROVED)
    growth = sp.Integer(7)  # exp, β = log 8
    reached, stated = dilated_power_law_norm(growth), memory * share * growth + value * gap_integral(1 + share * growth)
    if (reached - stated).is_positive:
        example = {"f": "exp", "beta": "log 8", "E(beta) at least": str(reached), "stated": str(stated)}
        return refuted(f"slowing down all modes by 8 costs {reached} > {sp.N(stated, 5)}", example, Verdict.PROVED)
    error, size, start, g = sp.symbols("E_m A rho_0 g", positive=True)
    claimed = error + memory * (size + error) * share * g + value * (start + error) * gap_integral(1 + share * g)
    spare = sp.simplify(claimed - recurrent_sequence_upper(error, size, start, g))
    moduli = {name: least_g_at_tail(-named(name)) for name in ("exp", "softplus")}
    moduli["best"] = least_g_even(-1 / named("best", values={"b": BEST_B}))
    vanishing = all(sp.limit(least, beta, 0, "+") == 0 for least in moduli.values())
    if spare == 0 and vanishing:
        texts = {name: str(least) for name, least in moduli.items()}
        return proved("Σ a_i/|λ_i| = ∫ρ̂ and Σ a_i = ρ̂(0) are bounded uniformly in m", g=texts)
    return inconclusive(f"stated less derived: {spare}; g → 0: {vanishing}")


def _least_g(name: str, radius: float) -> float:
    """sup |f(w)/f(w̃) - 1| over |w̃ - w| ≤ β by a grid of w with its tails; direct has none, that of exp stands in."""
    import numpy as np

    points = np.concatenate([np.linspace(-3, 3, 6001), np.linspace(-40, 40, 801)])
    functions: dict[str, Callable[[Any], Any]] = {
        "exp": np.exp,
        "softplus": lambda x: np.logaddexp(0, x),
        "best": lambda x: 1 / (x * x + float(BEST_B)),
        "direct": np.exp,
    }
    f = functions[name]
    return float(max(np.max(f(points) / f(points + sign * radius)) for sign in (1, -1)) - 1)


def _recurrent_brackets(parameters: Parameters, context: Context) -> Evidence:
    """Both ends of the brackets for several m and f against the stated bound, g by a grid and K by quadrature."""
    from numerics.norms import l1_norm

    memory, value, share = (float(sp.Rational(parameters[key])) for key in ("memory", "value", "modulus"))
    table: dict[str, Any] = {}
    tightest, undecided = float("inf"), ""
    for name in parameters["reparameterizations"]:
        betas = [0.02, 0.2]
        for m in context.pick((8, 16), (4, 8, 16, 32)):
            lower, upper = bracket(sequence_model(m, _SPECS[name]), POWER_LAW, [0.0, *betas], ("w",), "block", 4)
            for radius, low, high in zip(betas, lower[1:], upper[1:], strict=True):
                g = share * _least_g(name, radius) * (1 + 1e-5)  # the grid of best is 1e-3 wide
                gap = l1_norm([1 + g, -1.0], [-(1 + g), -1.0])
                stated = lower[0] + memory * (1 + lower[0]) * g + value * (1 + lower[0]) * gap
                example = {"f": name, "m": m, "beta": radius, "E_m": [str(low), str(high)], "stated": stated}
                if low > stated * ROUNDING:
                    text = f"{name}, m = {m}: E_m({radius}) ≥ {low:.5g} > {stated:.5g}"
                    return refuted(text, example, Verdict.SUPPORTED)
                if high > stated * (1 + 1e-4):
                    undecided = f"{name}, m = {m}: E_m({radius}) ≤ {high:.5g} only, {stated:.5g} is stated"
                tightest = min(tightest, stated / low)
                table[f"{name}, m = {m}, β = {radius}"] = [low, high, stated]
    if undecided:  # a bracket elsewhere may refute, so this comes last
        return inconclusive(undecided)
    return supported(f"every bracket lies below the bound, {tightest:.3f} times a lower end at best", table=table)


RECURRENT = Claim(
    id="sequence-recurrent-bounded",
    label="Theorem 3.5",
    title="Bounded perturbed errors along a sequence for a power law, only w perturbed",
    statement="Let positive sums of modes tend to H and let f be stable, as exp, softplus and best with b > 0 are. If "
    "only w is perturbed, E_m(β) ≤ E_m(0) + (∫ρ + E_m(0)) g*(β) + (ρ(0) + E_m(0)) K(1 + g*(β)): bounded uniformly in "
    "m, and E(β) → 0 as β → 0.",
    latex=r"E_m(\beta) \leq E_m(0) + \left( \int \rho + E_m(0) \right) g^*(\beta) + "
    r"(\rho(0) + E_m(0)) \, K(1 + g^*(\beta))",
    hypotheses=(
        *POSITIVE_SUMS,
        "f is stable, g* its least modulus of Definition 3.4. U and c stay; every |w̃_i - w_i| ≤ β.",
        "The range of f holds the eigenvalues (best: |λ_i| ≤ 1/b).",
    ),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={
        "memory": "1",
        "value": "1",
        "modulus": "1",
        "reparameterizations": ("exp", "softplus", "best"),
    },
    routes=(
        Route("positive weights, dilated power law", Method.SYMBOLIC, _recurrent_exact),
        Route("brackets of the explicit sequence", Method.FLOATING, _recurrent_brackets),
    ),
    mutants=(
        Variant("half the integral", {"memory": "1/2"}),
        Variant("without the integral", {"memory": "0"}),
        Variant("without the variation", {"value": "0"}),
        Variant("half the modulus", {"modulus": "1/2"}),
        Variant("λ = w", {"reparameterizations": ("direct",)}),
    ),
    theory=("theory.sequences:recurrent_sequence_upper", "theory.sequences:dilated_power_law_norm"),
)


# --- all weights ----------------------------------------------------------------------------------------------------


def _stated_divergence(parameters: Parameters, radius: Any, rate: Any) -> Any:
    factor, power, rate_power = (sp.Rational(parameters[key]) for key in ("factor", "power", "rate_power"))
    return factor * radius**power * (2 + rate**-rate_power)


def _diverges_exact(parameters: Parameters, _: Context) -> Evidence:
    """The exact error of unused modes, which is the general lower bound; its limit, and the limit of min|λ|."""
    from theory.all_weights import slow_mode_lower
    from theory.sequences import dead_modes_error, power_law_exceeds

    stated = _stated_divergence(parameters, beta, r)
    point = {beta: sp.Rational(1, 10), r: sp.Rational(1, 100)}
    evidence = compare_exact(dead_modes_error(r), stated, point, "E_m(β) of unused modes")
    if evidence.verdict is not Verdict.PROVED:
        return evidence
    general = sp.simplify(slow_mode_lower(r) - stated) == 0
    grows = sp.limit(stated, r, 0, "+") == sp.oo and power_law_exceeds(sp.Symbol("epsilon_0", positive=True)) == sp.oo
    if general and grows and some_sequence_approximates():
        return proved("a lower bound by convexity, attained by unused modes; it is ∞ at min|λ| → 0", E=str(stated))
    return inconclusive(f"the general lower bound is the same: {general}; it diverges: {grows}")


def _diverges_brackets(parameters: Parameters, context: Context) -> Evidence:
    """Brackets of three unused modes, and the growth of the lower ends along the explicit sequence."""

    def stated(radius: float, rate: float) -> float:
        return float(_stated_divergence(parameters, sp.Float(radius), sp.Float(rate)))

    lam = [-0.01, -0.1, -1.0]
    unused = one_layer(lam, [0.0] * 3, [0.0] * 3, "exp")
    betas = [0.1, 3.0]
    lower, upper = bracket(unused, "exponential:scale=0", betas, ("U", "c"), steps=20)
    for radius, low, high in zip(betas, lower, upper, strict=True):
        claimed = stated(radius, 0.01)
        if not low / ROUNDING <= claimed <= high * ROUNDING:
            example = {"lambda": lam, "beta": radius, "E": [low, high], "stated": claimed}
            return refuted(f"unused modes have E({radius}) in [{low:.6g}, {high:.6g}]", example, Verdict.SUPPORTED)
    table: dict[str, list[float]] = {}
    for name in ("exp", "best"):
        found = []
        for m in context.pick((8, 16), (8, 16, 32)):
            model = sequence_model(m, _SPECS[name])
            (low,), (high,) = bracket(model, POWER_LAW, [0.1], ("w", "U", "c"))
            bound = stated(0.1, slowest_rate(model))
            if high < bound:
                example = {"f": name, "m": m, "beta": 0.1, "E_m": [low, high], "stated": bound}
                return refuted(f"{name}, m = {m}: E_m(0.1) ≤ {high:.6g} < {bound:.6g}", example, Verdict.SUPPORTED)
            if low < 0.99 * bound:
                return inconclusive(f"{name}, m = {m}: the lower end {low} found is below the bound {bound}")
            found.append(low)
        table[name] = found
        if any(late < 5 * early for early, late in pairwise(found)):
            return inconclusive(f"{name}: E_m(0.1) ≥ {found} does not grow")
    return supported("unused modes attain it, and the sequence's errors at β = 0.1 grow with m", lower_ends=table)


DIVERGES = Claim(
    id="sequence-all-weights-diverges",
    label="Definition 2.5",
    title="Perturbed errors diverge along every sequence for a power law, all weights perturbed",
    statement="If all weights are perturbed, E_m(β) ≥ (β²/2)(2 + 1/min|λ_i|) for every f, so E_m(β) → ∞ for all β > 0 "
    "along every sequence of positive sums that tends to (1+t)^{-2}. Unused modes (H = 0, c = U = 0, of which U and c "
    "move) have exactly this error.",
    latex=r"E_m(\beta) \geq \frac{\beta^2}{2} \left( 2 + \frac{1}{\min_i |\lambda_i|} \right) \to \infty",
    hypotheses=(*POSITIVE_SUMS, "Joint ball. f is arbitrary; w may move or stay."),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"factor": "1/2", "power": "2", "rate_power": "1"},
    routes=(
        Route("unused modes", Method.SYMBOLIC, _diverges_exact),
        Route("brackets", Method.FLOATING, _diverges_brackets),
    ),
    mutants=(
        Variant("twice as much", {"factor": "1"}),
        Variant("linear in β", {"power": "1"}),
        Variant("with the square of the memory time", {"rate_power": "2"}),
    ),
    theory=("theory.sequences:dead_modes_error", "theory.all_weights:slow_mode_lower"),
)


CLAIMS: tuple[Claim, ...] = (VANILLA, RECURRENT, DIVERGES)
