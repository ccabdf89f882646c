"""Perturbing all weights: lower bounds that do not depend on f, and the curse of memory that they bring back."""

from __future__ import annotations

from collections.abc import Iterator
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

# The lower bounds, stated:  E_m(β) >= pair d^{dimension_power} β² (jump + 1/min|λ|), and
# E_m(β) >= weights β √(|U|² + d|c|²) in the joint ball, weights β (|U| + √d|c|) in the block ball.


def _stated_lower(parameters: Parameters, slowest: Any, output: Any, input_: Any, radius: Any, d: Any) -> list[sp.Expr]:
    pair, jump, weights = (sp.Rational(parameters[name]) for name in ("pair", "jump", "weights"))
    slow = pair * d ** sp.Rational(parameters["dimension_power"]) * radius**2 * (jump + 1 / slowest)
    if parameters["ball"] == "joint":
        return [slow, weights * radius * sp.sqrt(input_**2 + d * output**2)]
    return [slow, weights * radius * (input_ + sp.sqrt(d) * output)]


def _lower_symbolic(parameters: Parameters, context: Context) -> Evidence:
    """Single modes with frozen eigenvalue, whose E(β) is known exactly; and the derived bounds."""
    from theory.all_weights import large_weights_lower, one_mode_error, slow_mode_lower

    del context
    ball = parameters["ball"]
    for x, rate, d in ((0, 1, 1), (0, 1000, 1), (0, 1, 4), (1000, 1000, 1), (1000, 1000, 4)):
        # c = x, U = x (1, ..., 1)/√d: √d times the error of the mode with one input, since |b|_1 <= √d |b|_2.
        error = sp.sqrt(d) * one_mode_error(x, rate, 1, ball)
        for stated in _stated_lower(parameters, sp.Integer(rate), sp.Integer(x), sp.Integer(x), 1, sp.Integer(d)):
            if (stated - error).is_positive:
                example = {"c": x, "|U|": x, "lambda": -rate, "d": d, "beta": 1, "f": "constant", "E": str(error)}
                return refuted(f"one mode has E(1) = {error} < {stated}", example, Verdict.PROVED)
    rate, radius, c, u, extra = sp.symbols("mu beta c u k", positive=True)
    d = 1 + extra  # d >= 1
    derived = [slow_mode_lower(rate, radius, ball, d), large_weights_lower(c, u, radius, ball, d)]
    stated_bounds = _stated_lower(parameters, rate, c, u, radius, d)
    ratios = [sp.simplify(low / stated) for low, stated in zip(derived, stated_bounds, strict=True)]
    if all((ratio - 1).is_nonnegative for ratio in ratios):
        return proved("derived by convexity from moves of opposite sign", derived_over_stated=[str(x) for x in ratios])
    return inconclusive(f"derived over stated: {ratios}")


def _lower_z3(parameters: Parameters, context: Context) -> Evidence:
    """The inequalities for one mode, c, u and both moves quantified; four inputs by their factor √4 = 2."""
    from proofs_check.polynomial import prove_polynomial

    del context
    c, u, a, b = sp.symbols("c u a b", real=True)
    x, time = sp.symbols("x tau", nonnegative=True)
    beta, s = sp.symbols("beta s", positive=True)
    joint = parameters["ball"] == "joint"
    corner = [sp.Eq(2 * s**2, beta**2) if joint else sp.Eq(s, beta)]
    inside = [a**2 + b**2 <= beta**2] if joint else [a**2 <= beta**2, b**2 <= beta**2]
    pair, jump, weights = (sp.Rational(parameters[name]) for name in ("pair", "jump", "weights"))
    # Upward at least s² by moves of equal signs, downward at least s² by moves of opposite signs.
    upward = sp.Or(*(sign * s * (u + c) + s**2 >= s**2 for sign in (1, -1)))
    downward = sp.Or(*(sign * s * (u - c) - s**2 <= -(s**2) for sign in (1, -1)))
    power = sp.Integer(4) ** sp.Rational(parameters["dimension_power"])
    needs = {
        "slow mode": pair * beta**2 * (jump + time) <= s**2 * (2 + time),
        "slow mode, d = 4": pair * power * beta**2 * (jump + time) <= 2 * s**2 * (2 + time),
    }
    # The largest linear move: along (u, c) in the joint ball, each factor along its own sign in the block ball.
    length = sp.Symbol("l", nonnegative=True)
    aim = [sp.Eq(length**2, u**2 + c**2), sp.Eq(a * length, beta * u), sp.Eq(b * length, beta * c)] if joint else []
    reach = a * u + b * c if joint else beta * length
    aim = aim or [length >= 0]
    large = prove_polynomial(weights * beta * length <= 2 * reach, [*aim, length > 0])
    slow = {name: prove_polynomial(need, corner) for name, need in needs.items()}
    if large is True and all(x is True for x in slow.values()):
        both = [prove_polynomial(claim, corner) for claim in (upward, downward)]
        within = prove_polynomial(2 * s**2 <= beta**2 if joint else s <= beta, corner)
        if all(x is True for x in (*both, within)):
            return proved("z3, one mode, d = 1 and 4: for all c, u, beta some move of each sign is at least that large")
        return inconclusive("z3 did not prove the moves")
    # Refutation: no move in the ball does better, and the stated bound exceeds the exact error of one mode.
    # With c = u = x the largest |x(a+b) + ab| is 2xs + s²; for d = 4 the error is twice that of one input.
    best_move = 2 * x * s + s**2
    move = x * (a + b) + a * b
    exact = prove_polynomial(sp.And(move <= best_move, -move <= best_move), [*corner, *inside], seconds=10)
    twice_x_squared = sp.Symbol("n", nonnegative=True)  # √2 x: joint; 2x: block
    size = [sp.Eq(twice_x_squared**2, 2 * x**2) if joint else sp.Eq(twice_x_squared, 2 * x)]
    checks = {
        **{name: (need, corner) for name, need in needs.items()},
        "weights": (weights * beta * twice_x_squared <= best_move * (2 + time), [*corner, *size]),
    }
    for name, (claim, assumptions) in checks.items():
        found = prove_polynomial(claim, assumptions)
        if exact is True and isinstance(found, dict):
            return refuted(f"z3: {name}: one mode has a smaller error", {"case": name, **found}, Verdict.PROVED)
    return inconclusive(f"z3: slow mode {slow}, weights {large}, exact {exact}")


def _moves(c: Any, u: Any, radius: float, ball: str) -> Iterator[tuple[Any, Any]]:
    """Moves (a, b) of c (m,) and U (m, d): each mode's pair in four sign patterns; c, U along the weights."""
    modes, d = u.shape
    pair = radius / np.sqrt(2) if ball == "joint" else radius
    for i in range(modes):
        unit = np.eye(modes)[i]
        for p in (1, -1):
            yield from ((p * pair * unit, q * pair * np.outer(unit, np.ones(d)) / np.sqrt(d)) for q in (1, -1))
    signs = np.array(np.meshgrid(*[[-1, 1]] * d)).reshape(d, -1)
    best = signs[:, np.argmax(np.linalg.norm(u @ signs, axis=0))]
    toward_c, toward_u = u @ best, np.outer(c, best) / np.sqrt(d)
    lengths = np.linalg.norm(toward_c), np.linalg.norm(c)
    if min(lengths) > 0:
        shares = np.array([lengths[0], np.sqrt(d) * lengths[1]])
        shares = shares / np.linalg.norm(shares) if ball == "joint" else np.ones(2)
        a, b = radius * shares[0] * toward_c / lengths[0], radius * shares[1] * toward_u / lengths[1]
        yield from ((a, b), (-a, -b))


def _error(products: Any, lam: Any) -> float:
    """‖Σ_i p_i e^{λ_i t}‖_{W^{1,∞}} for p of shape (m, d): the sum over the components."""
    from numerics.norms import w1inf_norm

    return sum(w1inf_norm(column, lam) for column in products.T if np.any(column))


def _error_lower(c: Any, u: Any, lam: Any, radius: float, ball: str, residual: tuple[Any, Any]) -> float:
    """A lower estimate of E_m(β): the largest ‖H - Ĥ(·;θ̃)‖ over `_moves`; residual = H - Ĥ as (products, lam)."""
    extra, extra_lam = residual
    rates = np.concatenate([lam, extra_lam])
    changes = ((c + a)[:, None] * (u + b) - c[:, None] * u for a, b in _moves(c, u, radius, ball))
    return max(_error(np.concatenate([-change, extra]), rates) for change in changes)


def _brute_force_error(weight: float, rate: float, radius: float, ball: str) -> float:
    """E(β) of one mode c = u = weight with frozen eigenvalue: the best of a grid of moves on the ball's boundary."""
    angle = np.linspace(0, 2 * np.pi, 721)  # contains the corners
    a, b = np.cos(angle), np.sin(angle)
    if ball == "block":
        largest = np.maximum(np.abs(a), np.abs(b))
        a, b = a / largest, b / largest
    change = np.abs((weight + radius * a) * (weight + radius * b) - weight**2)
    return _error(np.array([[change.max()]]), np.array([-rate]))


def _random_model(rng: np.random.Generator) -> tuple[Any, Any, Any]:
    modes, d = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    scale = 10.0 ** rng.uniform(-2, 1)
    return (
        scale * rng.standard_normal(modes),
        scale * rng.standard_normal((modes, d)),
        -np.exp(rng.uniform(-6, 3, modes)),
    )


def _lower_floating(parameters: Parameters, context: Context) -> Evidence:
    rng, ball = context.rng("all weights lower"), parameters["ball"]
    for x, rate, d in ((0.0, 1.0, 1), (0.0, 1e3, 1), (0.0, 1.0, 4), (1e3, 1e3, 1)):
        error = np.sqrt(d) * _brute_force_error(x, rate, 1.0, ball)
        stated = max(float(v) for v in _stated_lower(parameters, rate, x, x, 1.0, d))
        if stated > error * (1 + 1e-4):  # a grid of half degrees misses less than 4e-5 of the maximum
            example = {"c = |U|": x, "lambda": -rate, "d": d, "E(1)": error, "stated": stated}
            return refuted(f"one mode has E(1) = {error:.6g} < {stated:.6g}", example, Verdict.SUPPORTED)
    closest = np.inf
    for _ in range(context.pick(25, 250)):
        c, u, lam = _random_model(rng)
        radius, (modes, d) = 10.0 ** rng.uniform(-2, 0.5), u.shape
        other = rng.standard_normal((modes, d)), -np.exp(rng.uniform(-6, 3, modes))
        residual = (rng.choice([0.0, 0.1, 10.0]) * other[0], other[1])
        error = _error_lower(c, u, lam, radius, ball, residual)
        slowest, output, input_ = (float(v) for v in (np.abs(lam).min(), np.linalg.norm(c), np.linalg.norm(u)))
        stated = max(float(v) for v in _stated_lower(parameters, slowest, output, input_, radius, d))
        closest = min(closest, error / stated)
    if closest >= 1 - 1e-9:  # the quadrature is accurate to about 1e-12
        return supported("explicit moves reach the bound for random models and targets", smallest_ratio=float(closest))
    return inconclusive(f"the moves that were tried reach only {closest:.6g} of the stated bound")


# The curse:  |ρ(t)|_1 <= amplitude (E/β)² exp(-t/T),  T = time_factor E/(√d β²) - time_offset.


def _symbols() -> tuple[sp.Symbol, sp.Symbol, sp.Symbol]:
    return sp.symbols("E beta d", positive=True)


def _curse_symbolic(parameters: Parameters, context: Context) -> Evidence:
    """Models with exactly known E(β) against the stated bound; and the derived bound."""
    from theory.all_weights import memory_upper, one_mode_error
    from theory.notation import t

    del context
    ball = parameters["ball"]
    amplitude, factor, offset = (sp.Rational(parameters[x]) for x in ("amplitude", "time_factor", "time_offset"))
    if not parameters["approximates"]:
        # Ĥ = 0 by one unused mode λ = -1, f constant, β = 1: E(1) is finite, by the triangle inequality.
        kernel, some_time = (1 + t) ** -2, sp.Symbol("T", positive=True)
        if sp.limit(sp.log(kernel) + t / some_time, t, sp.oo) == sp.oo:
            example = {"rho": str(kernel), "model": "c = u = 0, lambda = -1, f constant", "E(0)": "3", "E(1)": "<= 6"}
            return refuted("a power law, not approximated, exceeds every exponential", example, Verdict.PROVED)
    small, large = sp.Rational(1, 1000), sp.Integer(1000)
    for weight, rate in ((small, small), (small, large), (large, large)):
        x = weight / sp.sqrt(2) if ball == "joint" else weight  # keeps E rational
        error = one_mode_error(x, rate, 1, ball)
        time, peak = factor * error - offset, amplitude * error**2
        example = {"c": str(x), "u": str(x), "lambda": str(-rate), "f": "constant", "beta": "1", "E": str(error)}
        if time < 1 / rate:
            return refuted(f"one mode decays with time 1/r = {1 / rate} > {time}", example, Verdict.PROVED)
        if x**2 > peak:
            return refuted(f"one mode has rho(0) = {x**2} > {peak}", example, Verdict.PROVED)
    error, radius, d = _symbols()
    derived = memory_upper(error, radius, ball, d)
    peak, time = derived.subs(t, 0), sp.expand(-1 / sp.diff(sp.log(derived), t))
    spare_time = sp.expand(factor * error / (sp.sqrt(d) * radius**2) - offset - time)
    if sp.simplify(amplitude * (error / radius) ** 2 - peak).is_nonnegative and spare_time.is_nonnegative:
        return proved("solved from the lower bounds for E(beta)", derived=str(derived))
    return inconclusive(f"the derived bound {derived} does not give the stated one")


def _curse_floating(parameters: Parameters, context: Context) -> Evidence:
    """Random models H = Ĥ with a lower estimate of E(β), which makes the bound smaller: ρ must stay below it still."""
    rng, ball = context.rng("all weights curse"), parameters["ball"]
    amplitude, factor, offset = (float(sp.Rational(parameters[x])) for x in ("amplitude", "time_factor", "time_offset"))
    if not parameters["approximates"]:
        error = 3.0 + _brute_force_error(0.0, 1.0, 1.0, ball)  # H = (1+t)^{-2} has norm 3; the model is 0, λ = -1
        time = max(factor * error - offset, 1e-9)
        late = 200 * max(time, 1.0)
        ratio = (1 + late) ** -2 / (amplitude * error**2 * np.exp(-late / time))
        if ratio > 1:
            return refuted(f"rho(t) is {ratio:.3g} times the bound", {"t": late, "E": error}, Verdict.SUPPORTED)
    for weight, rate in ((1e-3, 1e-3), (1e-3, 1e3), (1e3, 1e3)):
        error = _brute_force_error(weight, rate, 1.0, ball) * (1 + 1e-4)  # the grid misses less than 4e-5
        time, peak = factor * error - offset, amplitude * error**2
        if 1 / rate > time or weight**2 > peak:
            example = {"rate": rate, "stated time": time, "rho(0)": weight**2, "stated peak": peak, "E": error}
            return refuted("one mode decays more slowly, or is larger, than stated", example, Verdict.SUPPORTED)
    closest = 0.0
    for _ in range(context.pick(25, 250)):
        c, u, lam = _random_model(rng)
        radius, slowest = 10.0 ** rng.uniform(-2, 0.5), float(np.abs(lam).min())
        error = _error_lower(c, u, lam, radius, ball, (np.zeros_like(u), lam))
        time = factor * error / (np.sqrt(u.shape[1]) * radius**2) - offset
        times = np.array([0.0, *np.geomspace(1e-3, 50, 30)]) / slowest
        rho = np.abs(np.exp(np.outer(times, lam)) @ (c[:, None] * u)).sum(axis=1)
        ratio = np.max(rho * np.exp(slowest * times)) / (amplitude * (error / radius) ** 2)
        closest = max(closest, float(ratio), float(1 / slowest / time) if time > 0 else np.inf)
    if closest > 1 + 1e-9:
        return inconclusive(f"the moves that were tried leave a ratio of {closest:.6g}")
    growth = _power_law_growth(context.pick((8, 16, 32), (8, 16, 32, 64)))
    summary = "random models obey the bound; the error of a power law grows with m"
    return supported(summary, largest_ratio=closest, power_law_error_lower=growth)


def _power_law_growth(sizes: tuple[int, ...], power: float = 1.5, radius: float = 0.05) -> dict[str, float]:
    """Lower estimates of E_m(β) for (1+t)^{-p} = (1/Γ(p)) ∫ s^{p-1}e^{-s}e^{-st}ds by the trapezoidal rule in log s."""
    from math import gamma

    found = {}
    for m in sizes:
        step = np.pi / np.sqrt((power - 1) * m)
        s = np.exp(step * (np.arange(m) - m + 3))
        weight = step * s**power * np.exp(-s) / gamma(power)
        root = np.sqrt(weight)
        found[str(m)] = _error_lower(root, root[:, None], -s, radius, "joint", (np.zeros((m, 1)), -s))
    return found


SETTING = "d inputs, sigma = id, real eigenvalues < 0; f is arbitrary."
JOINT_BALL = "Joint ball: the squares of the moves of w, U (Frobenius) and c add up to at most beta squared."

CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="all-weights-lower-bound",
        label="Definition 2.5",
        title="What perturbing all weights costs at least, for every reparameterization",
        statement=(
            "When all weights are perturbed, E_m(beta) is at least sqrt(d) (beta^2/2) (2 + 1/min|lambda_i|) and at "
            "least 2 beta sqrt(|U|^2 + d|c|^2), whatever the target, the reparameterization and the weights."
        ),
        latex=(
            r"E_m(\beta)\geq\max\left(\sqrt{d}\,\frac{\beta^2}{2}\left(2+\frac{1}{\min_i|\lambda_i|}\right),"
            r"\ 2\beta\sqrt{|U|_F^2+d\,|c|_2^2}\right)"
        ),
        hypotheses=(SETTING, JOINT_BALL),
        kind=Kind.DERIVED,
        expected=Verdict.PROVED,
        routes=(
            Route("convexity and moves of opposite sign", Method.SYMBOLIC, _lower_symbolic),
            Route("one mode, all weights quantified", Method.POLYNOMIAL, _lower_z3),
            Route("explicit moves", Method.FLOATING, _lower_floating),
        ),
        mutants=(
            Variant("twice the slow-mode term", {"pair": "1"}),
            Variant("jump 3", {"jump": "3"}),
            Variant("twice the weights' term", {"weights": "4"}),
            Variant("a factor d", {"dimension_power": "1"}),
        ),
        theory=("theory.all_weights:slow_mode_lower", "theory.all_weights:large_weights_lower"),
        parameters={"ball": "joint", "pair": "1/2", "jump": "2", "weights": "2", "dimension_power": "1/2"},
        controls=(
            Variant("block ball: beta^2 and the sum of the norms", {"ball": "block", "pair": "1"}),
            Variant("without the factor for d inputs", {"dimension_power": "0"}),
        ),
    ),
    Claim(
        id="all-weights-curse",
        label="Theorem 3.5",
        title="The curse of memory with all weights perturbed does not depend on f",
        statement=(
            "If linear models with real eigenvalues approximate H and E = E(beta) is finite for one beta > 0, all "
            "weights perturbed, then the memory function of H decays exponentially, whatever the reparameterization."
        ),
        latex=r"|\rho(t)|_1\leq\frac{E^2}{8\beta^2}\,\exp\left(-\frac{t}{2E/(\sqrt{d}\,\beta^2)-2}\right)",
        hypotheses=(
            SETTING,
            JOINT_BALL,
            "E(0) = 0.",
            "The kernel rho of H is in L1, right-continuous, of bounded variation; |rho|_1 is its memory function.",
        ),
        kind=Kind.DERIVED,
        expected=Verdict.PROVED,
        routes=(
            Route("solved from the lower bounds", Method.SYMBOLIC, _curse_symbolic),
            Route("random models", Method.FLOATING, _curse_floating),
        ),
        mutants=(
            Variant("half the amplitude", {"amplitude": "1/16"}),
            Variant("half the time", {"time_factor": "1"}),
            Variant("time shorter by 1", {"time_offset": "3"}),
            Variant("H need not be approximated", {"approximates": False}),
        ),
        theory=("theory.all_weights:memory_upper", "theory.all_weights:one_mode_error"),
        parameters={"ball": "joint", "amplitude": "1/8", "time_factor": "2", "time_offset": "2", "approximates": True},
        controls=(
            Variant("block ball", {"ball": "block", "amplitude": "1/16", "time_factor": "1"}),
            Variant("twice the amplitude", {"amplitude": "1/4"}),
        ),
    ),
)
