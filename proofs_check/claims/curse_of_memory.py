"""Theorem 3.3, the curse of memory: its bounds with constants, the model that attains them, the step to the target."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from numerics.heaviside import LayeredModel, heaviside_rates, memory_estimate
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
from proofs_check.claims.curse_hypotheses import TIMES, tanh_slope
from proofs_check.comparison import Pair, compare_exact, compare_floats
from proofs_check.polynomial import prove_polynomial
from theory import curse
from theory.norms import kernel_norms
from theory.notation import beta, t

Array = NDArray[np.float64]

_SYMBOLS = {
    "d": curse.dimension,
    "l": curse.layers,
    "L": curse.lipschitz,
    "G": curse.gain,
    "theta": curse.theta_max,
    "beta": beta,
    "t": t,
}


def _formula(text: str, count: int | None = None) -> sp.Expr:
    """A stated bound; `count` puts in the number of layers before SymPy can stumble over t^(l-1) at l = 1."""
    return sp.sympify(text, locals=_SYMBOLS if count is None else {**_SYMBOLS, "l": sp.Integer(count)})


def _chain(count: int, dim: int, rate: float, slope: float, size: float = 1.0) -> LayeredModel:
    """The extremal model: σ(h) = slope·h, one mode a layer, U_1 = size·(1..1)/√d, all other weights `size`."""
    weights = (np.full((1, dim), size * dim**-0.5), *(np.full((1, 1), size) for _ in range(count - 1)))
    lam = tuple(np.array([-rate]) for _ in range(count))
    return LayeredModel(lam, weights, np.full(1, size), lambda x: slope * x, lambda x: np.full_like(x, slope))


def _random_model(count: int, rng: np.random.Generator) -> LayeredModel:
    """tanh layers of width 3 with two inputs and random weights."""
    lam = tuple(-rng.uniform(0.5, 2.0, size=3) for _ in range(count))
    weights = (rng.normal(size=(3, 2)), *(rng.normal(size=(3, 3)) for _ in range(count - 1)))
    return LayeredModel(lam, weights, rng.normal(size=3), np.tanh, tanh_slope)


def _models(
    counts: tuple[int, ...], rng: np.random.Generator, repeats: int
) -> Iterator[tuple[str, LayeredModel, float]]:
    """Models with the Lipschitz constant of their activation."""
    for count in counts:
        yield f"chain of {count}, d = 9, L = 2", _chain(count, 9, 0.8, 2.0), 2.0
        yield f"chain of {count}, d = 1, L = 1/2", _chain(count, 1, 1.5, 0.5), 0.5
        yield f"chain of {count}, d = 1, L = 5", _chain(count, 1, 0.6, 5.0), 5.0
        yield f"chain of {count}, d = 1, weights 3", _chain(count, 1, 0.6, 1.0, 3.0), 1.0
        for index in range(repeats):
            yield f"{count} tanh layers, no. {index}", _random_model(count, rng), 1.0


# --- bounds: symbolic ----------------------------------------------------------------------------------------------


def _at_most_one(ratio: sp.Expr) -> bool:
    """Whether a quotient in d and ℓ is ≤ 1 for all integers d, ℓ ≥ 1.

    Its inverse is split into factorials, positive integers, and a rest in d alone, decided with √d = 1 + z, z ≥ 0.
    """
    if ratio == 1:
        return True
    root = sp.Symbol("root_d", positive=True)
    factors = sp.Mul.make_args(sp.factor(sp.simplify(1 / ratio)))
    rest = sp.Integer(1)
    for factor in factors:
        if factor.is_integer and factor.is_positive and factor.has(sp.factorial):
            continue  # a positive integer is at least 1
        rest *= factor
    if rest.free_symbols - {curse.dimension}:
        return False
    # the rest is at least 1 if neither denominator > 0 nor numerator - denominator has a negative coefficient in z
    z = sp.Symbol("z", nonnegative=True)
    numerator, denominator = sp.fraction(sp.together(rest.subs(curse.dimension, root**2).subs(root, 1 + z)))
    return all(c >= 0 for part in (denominator, numerator - denominator) for c in sp.Poly(sp.expand(part), z).coeffs())


def _bound_symbolic(parameters: Parameters, _: Context) -> Evidence:
    """Divides the derived bound by the stated one; where that may exceed 1, looks for a violating chain of modes."""
    text = parameters["bound"]
    for count in parameters["layers"]:
        index = curse.layers if count == "all" else sp.Integer(count)
        stated = _formula(text, None if count == "all" else count)
        derived = curse.layer_bound(index)
        if stated.has(curse.theta_max):
            derived = derived.subs(curse.gain, curse.theta_max ** (index + 1))
        ratio = sp.simplify(sp.powsimp(sp.simplify(derived / stated), force=True))
        if _at_most_one(ratio):
            continue
        example = _violation(text, parameters["layers"])
        if example is None:
            return inconclusive(f"derived/stated = {ratio}, with no violation found")
        return refuted(f"derived/stated = {ratio} exceeds 1", example, Verdict.PROVED)
    return proved("the layer induction, convolved for symbolic ℓ, gives at most the stated bound")


def _violation(text: str, counts: tuple[object, ...]) -> dict[str, str] | None:
    """An exact point at which the extremal model's memory function exceeds the stated bound."""
    for count in (1, 2, 3, 4) if "all" in counts else tuple(int(str(c)) for c in counts):
        for slope, size in ((sp.Integer(5), 1), (sp.Rational(1, 2), 1), (sp.Integer(1), 3)):
            # σ(h) = slope·h and |c| = |U_l| = size: the memory is that of slope = size = 1 times slope^ℓ size^{ℓ+1}
            memory = curse.attained_memory(count) * slope**count * sp.Integer(size) ** (count + 1)
            point = {curse.lipschitz: slope, curse.gain: size ** (count + 1), curse.theta_max: size}
            stated = _formula(text, count).subs(point)
            for d, rate, time in ((9, 1, 1), (9, 1, sp.Rational(1, 8)), (1, 1, 9), (9, sp.Rational(1, 2), 12)):
                values = {curse.dimension: d, beta: rate, t: time}
                left, right = memory.subs(values), stated.subs(values)
                if right.is_finite and (left - right).is_positive:
                    where = {"layers": str(count), "L": str(slope), "norms": str(size)}
                    where |= {str(key): str(value) for key, value in values.items()}
                    return {**where, "memory": str(left), "bound": str(right)}
    return None


# --- bounds: simulation --------------------------------------------------------------------------------------------


def _bound_value(text: str, count: int, model: LayeredModel, lipschitz: float, times: Array) -> Array:
    """The stated bound at the model's own constants; θ_max is the largest norm of its weights (the block norm)."""
    blocks = [*(np.linalg.norm(u, 2) for u in model.weights), np.linalg.norm(model.readout)]
    theta = float(max(*blocks, *(np.abs(eigenvalues).max() for eigenvalues in model.lam)))
    constants = {"d": model.input_dim, "L": lipschitz, "G": model.gain, "theta": theta, "beta": model.decay_rate}
    expression = _formula(text, count).subs({_SYMBOLS[key]: value for key, value in constants.items()})
    values = sp.lambdify(t, expression, "numpy")(times)
    return np.broadcast_to(np.asarray(values, dtype=float), times.shape)


def _bound_simulated(parameters: Parameters, context: Context) -> Evidence:
    """Integrates the layers' equations, searches over the Heaviside heights, and compares with the stated bound."""
    counts = (1, 2, 3) if "all" in parameters["layers"] else tuple(parameters["layers"])
    rng = context.rng("curse-bound")
    closest, times = 0.0, TIMES[1:]
    for name, model, lipschitz in _models(counts, rng, context.pick(2, 20)):
        found = memory_estimate(model, times, rng, draws=context.pick(24, 96), rounds=context.pick(1, 4))
        bound = _bound_value(parameters["bound"], len(model.lam), model, lipschitz, times)
        excess = found.value - found.error - bound
        worst = int(excess.argmax())
        if excess[worst] > 1e-9:
            example = {"model": name, "t": times[worst], "memory": found.value[worst], "bound": float(bound[worst])}
            return refuted(f"the memory of {name} exceeds the bound", example, Verdict.SUPPORTED)
        closest = max(closest, float((found.value / bound).max()))
    return supported(f"no simulated model exceeds the bound; the largest quotient is {closest:.4f}", quotient=closest)


_BOUND_ROUTES = (
    Route("layer induction", Method.SYMBOLIC, _bound_symbolic),
    Route("simulated layers", Method.FLOATING, _bound_simulated),
)
_BOUND_HYPOTHESES = (
    "Re λ ≤ -β for all modes of all layers.",
    "σ is L-Lipschitz; where the output has no derivative, d/dt is the limsup of |difference quotients|.",
    "Layers from the second on are at equilibrium before t = 0 (automatic for h_{-∞} = 0).",
)

ONE_LAYER = Claim(
    id="thm-3.3-one-layer",
    label="Theorem 3.3",
    title="The printed constant for one layer",
    statement="A one-layer model with eigenvalues of real part at most -β has M(Ĥ)(t) ≤ (d+1) L θ_max² e^{-βt}.",
    latex=r"\mathcal{M}(\hat H)(t) \leq (d+1) \, L \, \theta_{\max}^2 \, e^{-\beta t}",
    hypotheses=(*_BOUND_HYPOTHESES[:2], "θ_max bounds |U|_2 and |c|_2, as either norm of θ does."),
    kind=Kind.PRINTED,
    expected=Verdict.PROVED,
    parameters={"bound": "(d+1)*L*theta**2*exp(-beta*t)", "layers": (1,)},
    routes=_BOUND_ROUTES,
    mutants=(
        Variant("without the dimension", {"bound": "L*theta**2*exp(-beta*t)"}),
        Variant("θ_max to the first power", {"bound": "(d+1)*L*theta*exp(-beta*t)"}),
        Variant("twice the rate", {"bound": "(d+1)*L*theta**2*exp(-2*beta*t)"}),
        Variant("two layers with the bound of one", {"layers": (2,)}),
    ),
    theory=("theory.curse:printed_bound", "theory.curse:layer_bound"),
)

PRINTED = Claim(
    id="thm-3.3-printed",
    label="Theorem 3.3",
    title="The printed bound for two and three layers, with constant 1 in the O",
    statement="An ℓ-layer model, ℓ = 2, 3, with eigenvalues of real part at most -β has "
    "M(Ĥ)(t) ≤ (d+1) L^ℓ θ_max^{ℓ+1} t^k e^{-βt} with k = ℓ-1.",
    latex=r"\mathcal{M}(\hat H)(t) \leq (d+1) \, L^\ell \, \theta_{\max}^{\ell+1} \, t^{\ell-1} e^{-\beta t}",
    hypotheses=(*_BOUND_HYPOTHESES, "θ_max bounds every |U_l|_2 and |c|_2, as either norm of θ does."),
    kind=Kind.PRINTED,
    expected=Verdict.PROVED,
    parameters={"bound": "(d+1)*L**l*theta**(l+1)*t**(l-1)*exp(-beta*t)", "layers": (2, 3)},
    routes=_BOUND_ROUTES,
    mutants=(
        Variant("k = ℓ-2", {"bound": "(d+1)*L**l*theta**(l+1)*t**(l-2)*exp(-beta*t)"}),
        Variant("L^(ℓ-1)", {"bound": "(d+1)*L**(l-1)*theta**(l+1)*t**(l-1)*exp(-beta*t)"}),
        Variant("twice the rate", {"bound": "(d+1)*L**l*theta**(l+1)*t**(l-1)*exp(-2*beta*t)"}),
        Variant("k = ℓ", {"bound": "(d+1)*L**l*theta**(l+1)*t**l*exp(-beta*t)"}),
    ),
    theory=("theory.curse:printed_bound", "theory.curse:layer_bound"),
)

SHARP = Claim(
    id="thm-3.3-sharp",
    label="Theorem 3.3",
    title="The sharp bound for any number of layers",
    statement="An ℓ-layer model with eigenvalues of real part at most -β has "
    "M(Ĥ)(t) ≤ √d L^ℓ |c|_2 Π|U_l|_2 t^{ℓ-1}/(ℓ-1)! e^{-βt} for every t ≥ 0, by induction over the layers.",
    latex=r"\mathcal{M}(\hat H)(t) \leq \sqrt{d} \, L^\ell \, |c|_2 \prod_l |U_l|_2 \, "
    r"\frac{t^{\ell-1}}{(\ell-1)!} \, e^{-\beta t}",
    hypotheses=_BOUND_HYPOTHESES,
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"bound": "sqrt(d)*L**l*G*t**(l-1)/factorial(l-1)*exp(-beta*t)", "layers": ("all",)},
    routes=_BOUND_ROUTES,
    mutants=(
        Variant("without √d", {"bound": "L**l*G*t**(l-1)/factorial(l-1)*exp(-beta*t)"}),
        Variant("ℓ! for (ℓ-1)!", {"bound": "sqrt(d)*L**l*G*t**(l-1)/factorial(l)*exp(-beta*t)"}),
        Variant("L^(ℓ-1)", {"bound": "sqrt(d)*L**(l-1)*G*t**(l-1)/factorial(l-1)*exp(-beta*t)"}),
        Variant("nine tenths of it", {"bound": "9*sqrt(d)*L**l*G*t**(l-1)/(10*factorial(l-1))*exp(-beta*t)"}),
        Variant("rate 11/10", {"bound": "sqrt(d)*L**l*G*t**(l-1)/factorial(l-1)*exp(-11*beta*t/10)"}),
    ),
    theory=("theory.curse:layer_bound", "theory.curse:induction_step_ratio", "theory.curse:convolve"),
)


# --- attained -------------------------------------------------------------------------------------------------------


def _attained_exact(parameters: Parameters, _: Context) -> Evidence:
    """Solves the layers' equations in turn for ℓ ≤ 3; for every ℓ the next equation's residual is 0 as well."""
    for count in (1, 2, 3):
        stated = _formula(parameters["memory"], count)
        point = {curse.dimension: 5, beta: sp.Rational(2, 3), t: sp.Rational(7, 4)}
        evidence = compare_exact(curse.attained_memory(count), stated, point, f"M(Ĥ)(t) for {count} layers")
        if evidence.verdict is not Verdict.PROVED:
            return evidence
    here = _formula(parameters["memory"])
    after = here.subs(curse.layers, curse.layers + 1)
    residual = sp.diff(after, t) + beta * after - here
    start = after.subs(t, 0)
    if sp.gammasimp(sp.expand_func(sp.simplify(residual))) != 0 or start != 0:
        return inconclusive(f"v' = -βv + (the layer before), v(0) = 0, left {residual} and {start} for symbolic ℓ")
    return proved("solved for ℓ = 1, 2, 3, and v' = -βv + (the layer before), v(0) = 0, holds for symbolic ℓ")


def _attained_simulated(parameters: Parameters, context: Context) -> Evidence:
    """Simulates the chain with a large input along (1..1)."""
    pairs, size, times = [], 1e6, TIMES[1:]
    for count in (1, 2, 3, 4):
        model = _chain(count, 5, 0.7, 1.0)
        fine, rough = (heaviside_rates(model, np.full((1, 5), size), times, rtol=r)[0] for r in (1e-10, 1e-8))
        stated = sp.lambdify(t, _formula(parameters["memory"], count).subs({curse.dimension: 5, beta: 0.7}))(times)
        for time, left, right, error in zip(times, stated, fine / (size + 1), abs(fine - rough) / size, strict=True):
            pairs.append(Pair(f"{count} layers, t = {time}", left, right, error + 2e-6 * abs(right) + 1e-12))
    return compare_floats(pairs, "the simulated memory function of the chain")


ATTAINED = Claim(
    id="thm-3.3-attained",
    label="Theorem 3.3",
    title="The sharp bound is attained",
    statement="σ = id, one mode λ = -β a layer, U_1 = (1..1)/√d and all other weights 1 give "
    "M(Ĥ)(t) = √d t^{ℓ-1}/(ℓ-1)! e^{-βt}, so no constant, power or rate in the sharp bound can be improved.",
    latex=r"\mathcal{M}(\hat H)(t) = \sqrt{d} \, \frac{t^{\ell-1}}{(\ell-1)!} \, e^{-\beta t}",
    hypotheses=("L = 1 and |c|_2 = |U_l|_2 = 1 here; other values scale.",),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"memory": "sqrt(d)*t**(l-1)/factorial(l-1)*exp(-beta*t)"},
    routes=(
        Route("the layers' equations solved", Method.SYMBOLIC, _attained_exact),
        Route("simulation", Method.FLOATING, _attained_simulated),
    ),
    mutants=(
        Variant("d for √d", {"memory": "d*t**(l-1)/factorial(l-1)*exp(-beta*t)"}),
        Variant("no factorial", {"memory": "sqrt(d)*t**(l-1)*exp(-beta*t)"}),
        Variant("half the rate", {"memory": "sqrt(d)*t**(l-1)/factorial(l-1)*exp(-beta*t/2)"}),
    ),
    theory=("theory.curse:attained_memory",),
)


# --- from the models to the target ----------------------------------------------------------------------------------


def _limit_terms(parameters: Parameters) -> tuple[sp.Rational, sp.Rational]:
    return sp.Rational(parameters["value_weight"]), sp.Rational(parameters["rate_weight"])


def _limit_exact(parameters: Parameters, _: Context) -> Evidence:
    """H = e^{-rt} and Ĥ = q e^{-rt}: M(H)(0) against M(Ĥ)(0) + weighted norms, for all r > 0 and 0 ≤ q ≤ 1.

    Where these allow it: the triangle inequality for the rates under x·1_{t≥0}, of any functionals.
    """
    value_weight, rate_weight = _limit_terms(parameters)
    r, q = sp.Symbol("r", positive=True), sp.Symbol("q", nonnegative=True)
    norms = kernel_norms(sp.exp(-r * t))
    bound = curse.limit_bound(q, (1 - q) * value_weight * norms.functional, (1 - q) * rate_weight * norms.derivative)
    slack = sp.simplify((bound - 1) / (1 - q))
    worst = sp.limit(slack, r, sp.oo)
    if worst.is_nonnegative and sp.simplify(sp.diff(slack, r)).is_nonpositive:
        if _triangle(value_weight, rate_weight) is not True:
            return inconclusive("it holds for exponential kernels, but the triangle inequality does not give it")
        return proved("the triangle inequality for the rates gives it for all functionals", slack_of_modes=str(worst))
    for rate in (1, 10, 1000):
        if slack.subs(r, rate).is_negative:
            example = {
                "target": f"exp(-{rate} t)",
                "model": "0",
                "t": 0,
                "M(H)": 1,
                "excess": str(-slack.subs(r, rate)),
            }
            return refuted("the target's memory exceeds the bound at t = 0", example, Verdict.PROVED)
    return inconclusive(f"the slack {slack} was not decided")


def _triangle(value_weight: sp.Rational, rate_weight: sp.Rational) -> object:
    """Whether |rate of Ĥ| ≤ M(|x|+1) and |difference of the rates| ≤ N(|x|+1) bound |rate of H| as stated (z3)."""
    rate, model_rate = sp.symbols("rate model_rate", real=True)
    memory, value_error, rate_error, height = sp.symbols("M value_error rate_error height", nonnegative=True)
    given = [sign * model_rate <= memory * (height + 1) for sign in (1, -1)]
    given += [sign * (rate - model_rate) <= rate_error * (height + 1) for sign in (1, -1)]
    bound = memory + value_weight * value_error + rate_weight * rate_error
    return prove_polynomial(sp.And(*(sign * rate <= bound * (height + 1) for sign in (1, -1))), given)


def _limit_sampled(parameters: Parameters, context: Context) -> Evidence:
    """Random pairs of exponential sums, their norms by quadrature."""
    from numerics.norms import derivative_norm, l1_norm

    value_weight, rate_weight = (float(weight) for weight in _limit_terms(parameters))
    rng = context.rng("curse-limit")
    times = np.linspace(0, 5, 60)
    for _ in range(context.pick(25, 200)):
        count = int(rng.integers(1, 4))
        rates = 10.0 ** rng.uniform(-1, 3, size=2 * count)
        c = rng.normal(size=2 * count)
        mode = np.exp(-rates[:, None] * times)
        target, model = c[:count] @ mode[:count], c[count:] @ mode[count:]
        signed = np.concatenate([c[:count], -c[count:]])
        bound = np.abs(model) + value_weight * l1_norm(signed, -rates) + rate_weight * derivative_norm(signed, -rates)
        excess = np.abs(target) - bound
        if excess.max() > 1e-7 * (1 + np.abs(c).sum()):
            example = {"rates": rates.tolist(), "coefficients": signed.tolist(), "excess": float(excess.max())}
            return refuted("the target's memory exceeds the bound", example, Verdict.SUPPORTED)
    return supported("no random pair of exponential sums exceeds the bound")


LIMIT = Claim(
    id="thm-3.3-limit",
    label="Theorem 3.3",
    title="The step from the models to the target",
    statement="M(H)(t) ≤ M(Ĥ_m)(t) + ‖H - Ĥ_m‖_{W^{1,∞}}, so that a bound on the models passes to the target when "
    "E(0) = 0.",
    latex=r"\mathcal{M}(H)(t) \leq \mathcal{M}(\hat H_m)(t) + \|H - \hat H_m\|_{W^{1,\infty}}",
    hypotheses=("H - Ĥ_m extends to Heaviside inputs with the same norm of its rate.",),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"value_weight": "1", "rate_weight": "1"},
    routes=(
        Route("exponential kernels, triangle inequality", Method.SYMBOLIC, _limit_exact),
        Route("random exponential sums", Method.FLOATING, _limit_sampled),
    ),
    mutants=(
        Variant("without the norm of the derivative", {"rate_weight": "0"}),
        Variant(
            "a quarter of the norm of the derivative, none of the value", {"value_weight": "0", "rate_weight": "1/4"}
        ),
    ),
    theory=("theory.curse:limit_bound",),
)


CLAIMS = (ONE_LAYER, PRINTED, SHARP, ATTAINED, LIMIT)
