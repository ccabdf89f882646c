"""Theorem 3.5 in its three readings: which perturbations, and which bounds on the sequence, make it true.

All readings are one statement with different parameters, and the same two routes check each of them. Both try to
refute it on a family of sequences Ĥ_n, each of which equals its target exactly (so E_n(0) = 0), keeping only those
that meet the hypotheses. The symbolic route affirms by the modulus of continuity of E in theory.approximation; the
floating route by perturbed errors of the family and of random models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
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
from theory.formula import named
from theory.notation import beta, w
from theory.notation import lam as LAM

EPSILON = sp.Symbol("epsilon", positive=True)
"""1/n, tending to 0 along a sequence."""


@dataclass(frozen=True)
class ModelSequence:
    """Models with the modes (c_i, u_i, λ_i), functions of ε = 1/n; the target is the sum itself, the same for all n."""

    name: str
    modes: tuple[tuple[sp.Expr, sp.Expr, sp.Expr], ...]


def _mode(c: Any, u: Any, lam: Any) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    return sp.sympify(c), sp.sympify(u), sp.sympify(lam)


FAMILY = (
    ModelSequence("one mode, H = exp(-t)", (_mode(1, 1, -1),)),
    ModelSequence("unused slow mode, H = 0", (_mode(0, 0, -EPSILON),)),
    ModelSequence("cancelling slow pair, H = 0", (_mode(1, 1, -(EPSILON**2)), _mode(-1, 1, -(EPSILON**2)))),
    ModelSequence("cancelling large pair, H = 0", (_mode(1 / EPSILON, 1, -1), _mode(-1 / EPSILON, 1, -1))),
    ModelSequence(
        "cancelling slow pair of bounded memory, H = 0",
        (_mode(EPSILON**2, 1, -(EPSILON**2)), _mode(-(EPSILON**2), 1, -(EPSILON**2))),
    ),
)


def _limit(expression: sp.Expr) -> sp.Expr:
    """The limit ε → 0, at β = log(1+q), for which SymPy sees that e^β > 1."""
    q = sp.Symbol("q", positive=True)
    return sp.limit(expression.subs(beta, sp.log(1 + q)), EPSILON, 0, "+")


WEIGHTS = {
    "exp": sp.log(-LAM),
    "softplus": sp.log(sp.exp(-LAM) - 1),
    "best": sp.sqrt(-1 / LAM - sp.Rational(1, 2)),
    "direct": LAM,
    "relu": -LAM,
}
"""Witnesses w with f(w) = λ; `_recurrent_weight` checks them."""


@cache
def _recurrent_weight(name: str, lam: sp.Expr) -> sp.Expr:
    """The w with f(w) = λ."""
    weight = WEIGHTS[name].subs(LAM, lam)
    if sp.simplify(named(name).subs(w, weight) - lam) != 0:
        raise ArithmeticError(f"{weight} is no w with f(w) = {lam} for {name}")
    return weight


def _meets_hypotheses(parameters: Parameters, name: str, sequence: ModelSequence) -> bool:
    """Whether the sequence has the bounds that the statement asks for."""
    bounded: list[sp.Expr] = []
    if parameters["sums_bounded"]:
        bounded += [sum(sp.Abs(c * u / lam) for c, u, lam in sequence.modes)]
        bounded += [sum(sp.Abs(c * u) for c, u, _ in sequence.modes)]
    if parameters["weights_bounded"]:
        bounded += [x for c, u, lam in sequence.modes for x in (c, u, _recurrent_weight(name, lam))]
    return not any(_limit(x).is_infinite for x in bounded)


def _infinite_move(parameters: Parameters, name: str, sequence: ModelSequence) -> str | None:
    """A move within the ball whose cost is infinite in the limit ε → 0, for every β > 0; None if none is seen."""
    from theory.all_weights import slow_mode_lower

    f = named(name)
    for c, u, lam in sequence.modes:
        if parameters["moved"] == "all" and _limit(slow_mode_lower(-lam, beta, parameters["ball"])) == sp.oo:
            return "the output and the input weight of one mode"
        for sign in (1, -1) if c * u != 0 else ():
            moved = f.subs(w, _recurrent_weight(name, lam) + sign * beta)
            if not f.is_negative and _limit(moved).is_positive:
                return f"one w by {'+' if sign > 0 else '-'}beta, to an eigenvalue > 0"
            if _limit(sp.Abs(c * u * (1 / moved - 1 / lam))).is_infinite:
                return f"one w by {'+' if sign > 0 else '-'}beta"
    return None


@cache
def _is_stable(name: str) -> bool:
    """Whether the least g of Definition 3.4 tends to 0, by its closed form."""
    from theory.stability import least_g_at_tail, least_g_even

    f = named(name)
    for least, argument in ((least_g_at_tail, -f), (least_g_even, -1 / f)):
        try:
            return bool(sp.limit(least(argument), beta, 0, "+") == 0)
        except ValueError:
            continue
    return False


@cache
def _vanishes(reading: str) -> bool:
    """Whether the modulus of continuity of E tends to 0 with ω(δ) and δ, whatever its finite constants."""
    from theory.approximation import bounded_weights_modulus_upper, recurrent_modulus_upper

    step, delta, slowest, inputs = sp.symbols("omega_delta delta epsilon_0 d", positive=True)
    output, input_, growth = sp.symbols("C V omega_beta", nonnegative=True)
    if reading == "bounded weights":  # linear in delta
        bounds = [bounded_weights_modulus_upper(output, input_, slowest, step, delta, inputs).subs(delta, 0)]
    else:  # linear in the two sums
        bounds = [recurrent_modulus_upper(*sums, growth, step) for sums in ((1, 0), (0, 1))]
    return all(sp.limit(bound, step, 0, "+") == 0 for bound in bounds)


def _modulus(parameters: Parameters, name: str) -> str | None:
    """Why the hypotheses give E a modulus of continuity; None if they do not."""
    if parameters["weights_bounded"] and named(name).is_negative and _vanishes("bounded weights"):
        return "bounded weights keep |f(w)| away from 0, on a compact interval where log|f| is uniformly continuous"
    recurrent = parameters["moved"] == "recurrent" and parameters["sums_bounded"]
    if recurrent and _is_stable(name) and _vanishes("recurrent weights"):
        return "bounded sums, and omega(delta) -> 0"
    return None


def _symbolic(parameters: Parameters, context: Context) -> Evidence:
    """Sequences that refute the reading, or the modulus of continuity that proves it."""
    del context
    reasons = {}
    for name in parameters["reparameterization"]:
        for sequence in FAMILY:
            if not _meets_hypotheses(parameters, name, sequence):
                continue
            move = _infinite_move(parameters, name, sequence)
            if move is not None:
                text = f"E(0) = 0 and E(beta) = oo for every beta > 0: {name}, {sequence.name}, moving {move}"
                modes = [[str(x.subs(EPSILON, 1 / sp.Symbol("n"))) for x in mode] for mode in sequence.modes]
                return refuted(text, {"f": name, "modes (c, u, lambda)": modes, "moved": move}, Verdict.PROVED)
        reasons[name] = _modulus(parameters, name)
    if all(reasons.values()):
        return proved("E(beta + delta) - E(beta) is at most a modulus that tends to 0", why=reasons)
    return inconclusive(f"neither a counterexample nor a modulus of continuity: {reasons}")


# The floating route: numbers only, with its own f and its own inverse.

Function = Callable[[Any], Any]
NUMERIC: dict[str, tuple[Function, Function]] = {
    "exp": (lambda x: -np.exp(x), lambda lam: np.log(-lam)),
    "softplus": (lambda x: -np.logaddexp(0.0, x), lambda lam: np.log(np.expm1(-lam))),
    "best": (lambda x: -1 / (x * x + 0.5), lambda lam: np.sqrt(-1 / lam - 0.5)),
    "direct": (lambda x: 1.0 * x, lambda lam: lam),
    "relu": (lambda x: -np.maximum(x, 0.0), lambda lam: -lam),
}


def _moves(c: Any, u: Any, x: Any, radius: float, parameters: Parameters) -> Iterator[tuple[Any, Any, Any]]:
    """Perturbed (c, u, w): one weight w either way; or one pair (c_i, u_i) in all four directions of the signs."""
    pair = radius / np.sqrt(2) if parameters["ball"] == "joint" else radius
    for i in range(len(x)):
        unit = np.eye(len(x))[i]
        yield from ((c, u, x + sign * radius * unit) for sign in (1, -1))
        if parameters["moved"] == "all":
            yield from ((c + p * pair * unit, u + q * pair * unit, x) for p in (1, -1) for q in (1, -1))


def _change(f: Function, before: tuple[Any, Any, Any], after: tuple[Any, Any, Any]) -> float:
    """‖Ĥ(·;θ̃) - Ĥ(·;θ)‖ in W^{1,∞}; infinite where a mode that is used does not decay."""
    from numerics.norms import w1inf_norm

    (c, u, x), (c2, u2, x2) = before, after
    products, lam = np.concatenate([c2 * u2, -c * u]), np.concatenate([f(x2), f(x)])
    used = products != 0
    if np.any(lam[used] >= 0):
        return float("inf")
    return w1inf_norm(products[used], lam[used]) if np.any(used) else 0.0


def _cost(f: Function, model: tuple[Any, Any, Any], radius: float, parameters: Parameters) -> float:
    return max(_change(f, model, moved) for moved in _moves(*model, radius, parameters))


def _family_model(sequence: ModelSequence, inverse: Function, size: float) -> tuple[Any, Any, Any]:
    c, u, lam = np.array([[float(x.subs(EPSILON, 1 / size)) for x in mode] for mode in sequence.modes]).T
    return c, u, inverse(lam)


def _sizes(model: tuple[Any, Any, Any], f: Function, parameters: Parameters) -> float:
    """The largest of the quantities that the hypotheses want bounded."""
    c, u, x = model
    sums = np.sum(np.abs(c * u)) + np.sum(np.abs(c * u / f(x))) if parameters["sums_bounded"] else 0.0
    weights = np.max(np.abs(np.concatenate(model))) if parameters["weights_bounded"] else 0.0
    return float(max(sums, weights))


def _random_model(f: Function, rng: np.random.Generator, parameters: Parameters) -> tuple[Any, Any, Any]:
    """A random model that meets the hypotheses with bounds of order 1."""
    modes = int(rng.integers(1, 5))
    c, u = rng.standard_normal((2, modes))
    if parameters["weights_bounded"]:
        x = rng.uniform(-2.0, 2.0, modes)
        return c / np.linalg.norm(c), u / np.linalg.norm(u), np.where(f(x) < 0, x, -np.abs(x) - 0.1)
    x = rng.uniform(-12.0, 1.0, modes)
    x = np.where(f(x) < 0, x, -np.abs(x) - 0.1)
    size = np.sum(np.abs(c * u)) + np.sum(np.abs(c * u / f(x)))
    return c / size, u, x


def _floating(parameters: Parameters, context: Context) -> Evidence:
    """Does the cost of a move grow along a sequence, or does it shrink with the radius for all models alike?"""
    rng = context.rng("three readings")
    small, large, ratios = 1e-4, 1e-2, {}
    for name in parameters["reparameterization"]:
        f, inverse = NUMERIC[name]
        models = [_random_model(f, rng, parameters) for _ in range(context.pick(4, 40))]
        for sequence in FAMILY:
            early, late = (_family_model(sequence, inverse, size) for size in (1e2, 1e4))
            if _sizes(late, f, parameters) > 1.5 * _sizes(early, f, parameters):
                continue
            costs = [_cost(f, model, 0.1, parameters) for model in (early, late)]
            if costs[1] > 5 * costs[0] or np.isinf(costs[1]):
                example = {"f": name, "sequence": sequence.name, "n": [100, 10000], "E_n(0.1)": [str(x) for x in costs]}
                return refuted(
                    f"the cost of a move grows without bound: {name}, {sequence.name}", example, Verdict.SUPPORTED
                )
            models.append(late)
        at_small, at_large = (max(_cost(f, model, x, parameters) for model in models) for x in (small, large))
        ratios[name] = at_small / at_large if at_large > 0 else 0.0
    if max(ratios.values()) <= 0.1:
        return supported("a hundredth of the radius costs at most a tenth, uniformly over the models", ratios=ratios)
    return inconclusive(f"the cost does not shrink with the radius: {ratios}")


STABLE = ("exp", "softplus", "best")
PRINTED = {
    "reparameterization": STABLE,
    "moved": "all",
    "sums_bounded": False,
    "weights_bounded": False,
    "ball": "joint",
}
ROUTES = (
    Route("sequences and modulus of continuity", Method.SYMBOLIC, _symbolic),
    Route("perturbed errors", Method.FLOATING, _floating),
)
DEFINITION = "E(0) = 0 along the sequence, H linear, sigma = id, real eigenvalues."

CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="thm-3.5-all-weights",
        label="Theorem 3.5",
        title="Stability by reparameterization, all weights perturbed",
        statement=(
            "With a stable reparameterization every sequence of linear models that approximates H is a stable "
            "approximation in the sense of Definition 2.5, in which all weights w, U and c are perturbed."
        ),
        latex=r"f\ \mathrm{stable},\ E(0)=0\ \Rightarrow\ E\ \mathrm{continuous\ on}\ [0,\beta_0]",
        hypotheses=("f is stable in the sense of Definition 3.4.", DEFINITION),
        kind=Kind.PRINTED,
        expected=Verdict.REFUTED,
        routes=ROUTES,
        mutants=(
            Variant("even with bounded sums", {"sums_bounded": True}),
            Variant("for exp alone", {"reparameterization": ("exp",)}),
            Variant("for best alone", {"reparameterization": ("best",)}),
            Variant("a ball for each block of weights", {"ball": "block"}),
        ),
        theory=("theory.all_weights:zero_model_error_lower", "theory.all_weights:memory_upper"),
        parameters=PRINTED,
        controls=(
            Variant("recurrent weights only, bounded sums", {"moved": "recurrent", "sums_bounded": True}),
            Variant("bounded weights, w included", {"weights_bounded": True}),
        ),
        amended_by="thm-3.5-recurrent-only",
    ),
    Claim(
        id="thm-3.5-recurrent-only",
        label="Theorem 3.5",
        title="Stability by reparameterization, recurrent weights perturbed",
        statement=(
            "With a stable reparameterization, a sequence of linear models that approximates H and has bounded sums "
            "of |c_i||U_i|/|lambda_i| and of |c_i||U_i| is a stable approximation, for every radius, if only the "
            "recurrent weights w are perturbed."
        ),
        latex=(
            r"E(\beta+\delta)-E(\beta)\leq A e^{\omega(\beta)}(e^{\omega(\delta)}-1)+B\,K(e^{\omega(\delta)}),\quad "
            r"A=\sup_m\sum_i\frac{|c_i||U_i|_1}{|\lambda_i|}<\infty,\ B=\sup_m\sum_i|c_i||U_i|_1<\infty"
        ),
        hypotheses=(
            "f is stable in the sense of Definition 3.4.",
            "Only w is perturbed; U and c stay.",
            "sup_m sum_i |c_i||U_i|_1/|lambda_i| and sup_m sum_i |c_i||U_i|_1 are finite.",
            DEFINITION,
        ),
        kind=Kind.AMENDED,
        expected=Verdict.PROVED,
        routes=ROUTES,
        mutants=(
            Variant("the sums need not be bounded", {"sums_bounded": False}),
            Variant("all weights are perturbed", {"moved": "all"}),
            Variant("without reparameterization", {"reparameterization": ("direct",)}),
        ),
        theory=("theory.approximation:recurrent_modulus_upper", "theory.approximation:recurrent_error_upper"),
        parameters={**PRINTED, "moved": "recurrent", "sums_bounded": True},
    ),
    Claim(
        id="thm-3.5-sum-condition-needed",
        label="Theorem 3.5",
        title="Recurrent weights only, without a condition on the sums",
        statement=(
            "With a stable reparameterization every sequence of linear models that approximates H is a stable "
            "approximation if only the recurrent weights w are perturbed."
        ),
        latex=r"f\ \mathrm{stable},\ E(0)=0\ \Rightarrow\ E\ \mathrm{continuous}\ (\mathrm{only}\ w\ \mathrm{moves})",
        hypotheses=("f is stable in the sense of Definition 3.4.", "Only w is perturbed; U and c stay.", DEFINITION),
        kind=Kind.PRINTED,
        expected=Verdict.REFUTED,
        routes=ROUTES,
        mutants=(
            Variant("for exp alone", {"reparameterization": ("exp",)}),
            Variant("for softplus alone", {"reparameterization": ("softplus",)}),
            Variant("for best alone", {"reparameterization": ("best",)}),
        ),
        theory=("theory.approximation:cancelling_pair_lower",),
        parameters={**PRINTED, "moved": "recurrent"},
        controls=(
            Variant("with bounded sums", {"sums_bounded": True}),
            Variant("with bounded weights", {"weights_bounded": True}),
        ),
        amended_by="thm-3.5-recurrent-only",
    ),
    Claim(
        id="thm-3.5-bounded-weights",
        label="Theorem 3.5",
        title="Stability by reparameterization, all weights perturbed, all weights bounded",
        statement=(
            "If f < 0 is continuous and all weights stay bounded along the sequence, w included, then a sequence of "
            "linear models that approximates H is a stable approximation, for every radius, with all weights perturbed."
        ),
        latex=(
            r"E(\beta+\delta)-E(\beta)\leq\sqrt{d}\,\left(\delta(C+V)\left(2+\frac{1}{\varepsilon}\right)"
            r"+CV\left(\frac{e^{\omega(\delta)}-1}{\varepsilon}+K(e^{\omega(\delta)})\right)\right)"
        ),
        hypotheses=(
            "f < 0 is continuous; it need not be stable.",
            "sup_m |c|_2, sup_m |U|_F and sup_m max_i |w_i| are finite.",
            "C and V bound |c|_2 and |U|_F, and epsilon bounds |f(w)| from below, in the balls of the largest radius; "
            "omega is the modulus of log|f| there.",
            "Joint ball: the squares of the moves of w, U (Frobenius) and c add up to at most the squared radius.",
            DEFINITION,
        ),
        kind=Kind.AMENDED,
        expected=Verdict.PROVED,
        routes=ROUTES,
        mutants=(
            Variant("the weights need not be bounded", {"weights_bounded": False}),
            Variant("f may reach 0: direct", {"reparameterization": ("direct",)}),
            Variant("f may reach 0: relu", {"reparameterization": ("relu",)}),
        ),
        theory=(
            "theory.approximation:bounded_weights_modulus_upper",
            "theory.approximation:bounded_weights_memory_upper",
        ),
        parameters={**PRINTED, "weights_bounded": True},
        controls=(Variant("a ball for each block of weights", {"ball": "block"}),),
    ),
)
