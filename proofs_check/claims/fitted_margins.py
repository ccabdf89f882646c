"""Spectral margins of fitted models: bounded by their errors, and how fast they vanish for power laws."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import sympy as sp
from numpy.typing import NDArray

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
from theory import margins
from theory.norms import kernel_norms
from theory.notation import t

if TYPE_CHECKING:
    from numerics.models import DiagonalModel

Array = NDArray[np.float64]

ONE_LAYER = "One linear layer, one input, real modes: ρ̂(t) = Σ a_i e^{λ_i t}, a_i = c_i ν_i U_i; e = ρ - ρ̂."
value, left = sp.symbols("rho R", positive=True)
"""|ρ(t)| and ∫_t^∞|ρ|."""
_SYMBOLS = {
    "S": margins.size,
    "A": margins.memory,
    "V": margins.variation,
    "epsilon": margins.error,
    "p": margins.power,
    "kappa": margins.decay,
    "rho": value,
    "R": left,
    "t": t,
}


def _read(text: str) -> sp.Expr:
    return sp.sympify(text, locals=_SYMBOLS, rational=True)


@cache
def fits(m: int, exponents: tuple[float, ...]) -> list[DiagonalModel]:
    """The best fits of λ = w to (1+t)^{-p}, one for each p."""
    from numerics.fit_problem import FitProblem
    from numerics.projection_fit import fit_optimal
    from numerics.reparameterization import Reparameterization
    from numerics.targets import parse_target

    count = len(exponents)
    problem = FitProblem(
        tuple((parse_target(f"polynomial:p={p}"),) for p in exponents),
        (Reparameterization("direct"),) * count,
        (0,) * count,
        m,
        ("plain",) * count,
    )
    return list(fit_optimal(problem, starts=2).models())


def _sum_of(model: DiagonalModel) -> tuple[Array, Array]:
    """(coefficients, λ)."""
    return (model.c[0, :, None] * model.drive())[:, 0].numpy(), model.lam().numpy()


# --- the margin against the error -----------------------------------------------------------------------------------


@cache
def _exact_systems() -> list[tuple[str, sp.Expr, dict[sp.Symbol, sp.Expr]]]:
    """Models a·e^{-xt}, their margin x and targets ρ ≥ 0, with every quantity of the two bounds at one time.

    The hump 4(e^{-t} - e^{-2t}) is 1 at t = log 2 and has the variation 2: there the first bound is an equality.
    """
    hump, slow = 4 * (sp.exp(-t) - sp.exp(-2 * t)), sp.exp(-t / 2)
    found = []
    for height, rate, missed, time in (
        (1, 1, hump, sp.log(2)),
        (3, 1, sp.S.Zero, sp.S.One),
        (1, sp.Rational(1, 4), sp.S.Zero, sp.Integer(2)),
        (1, 1, slow, sp.S.One),
    ):
        target = height * sp.exp(-rate * t) + missed
        norms = kernel_norms(missed) if missed != 0 else None
        values = {
            margins.size: sp.Integer(height),
            margins.memory: sp.sympify(height) / rate,
            margins.variation: norms.derivative if norms else sp.S.Zero,
            margins.error: norms.functional if norms else sp.S.Zero,
            value: target.subs(t, time),
            left: -sp.integrate(target, t).subs(t, time),  # the antiderivative vanishes at infinity
            t: time,
        }
        where = f"target {target}, model {height * sp.exp(-rate * t)}, t = {time}"
        found.append((where, sp.sympify(rate), values))
    return found


def _margin_exact(parameters: Parameters, _: Context) -> Evidence:
    """The stated bounds against the derived ones; where they differ, against exact models."""
    stated = {name: _read(parameters[name]) for name in ("by_value", "by_tail")}
    derived = {"by_value": margins.margin_upper(value), "by_tail": margins.margin_upper_by_tail(left)}
    if all(sp.simplify(stated[name] - derived[name]) == 0 for name in stated):
        small = margins.power_law_margin_upper(sp.Integer(2)).subs(margins.memory, 1)
        if sp.limit(small, margins.error, 0, "+") != 0:
            return inconclusive(f"{small} does not tend to 0 with the error")
        return proved("S e^{-μt} ≥ ρ - V/2 and A e^{-μt} ≥ ∫_t^∞ρ - ε; for a power law it tends to 0 with ε")
    for where, margin, values in _exact_systems():
        for name, formula in stated.items():
            bound = sp.simplify(formula.subs(values))
            if bound.is_real and (margin - bound).is_positive:
                example = {"where": where, "margin": str(margin), "stated": str(bound), "about": float(bound)}
                return refuted(f"the margin {margin} exceeds the stated bound {name}", example, Verdict.PROVED)
    return inconclusive("the stated bounds differ from the derived ones, and no exact model refutes them")


class _Measured(NamedTuple):
    """A model with its margin, at several times."""

    where: str
    margin: float
    values: dict[str, Any]


def _random_systems(context: Context) -> Iterator[_Measured]:
    """Exponential sums as models and as errors, the exact systems among them; norms by numerics.norms."""
    from numerics.norms import derivative_norm, exponential_sum, l1_norm

    rng = context.rng("fitted margins")
    pairs: list[tuple[Array, Array, Array, Array]] = [
        (np.ones(1), -np.ones(1), np.array([4.0, -4.0]), np.array([-1.0, -2.0])),
        (3 * np.ones(1), -np.ones(1), np.zeros(1), -np.ones(1)),
        (np.ones(1), -np.ones(1) / 4, np.zeros(1), -np.ones(1)),
        (np.ones(1), -np.ones(1), np.ones(1), -np.ones(1) / 2),
    ]
    for _ in range(context.pick(30, 300)):
        sizes, rates = np.exp(rng.normal(size=3)), -np.exp(rng.normal(size=3))
        pairs.append((sizes, rates, 0.2 * np.exp(rng.normal(size=2)), -np.exp(rng.normal(size=2))))
    times = np.concatenate([[math.log(2)], np.geomspace(0.05, 50, 60)])
    for index, (c, lam, error, rates) in enumerate(pairs):
        both, all_rates = np.concatenate([c, error]), np.concatenate([lam, rates])
        yield _Measured(
            f"exponential sums {index}",
            float(-lam.max()),
            {
                "S": float(np.abs(c).sum()),
                "A": float(np.abs(c / lam).sum()),
                "V": derivative_norm(error, rates),
                "epsilon": l1_norm(error, rates),
                "rho": exponential_sum(both, all_rates, times),
                "R": exponential_sum(-both / all_rates, all_rates, times),
                "t": times,
            },
        )


def _fitted_systems(context: Context) -> Iterator[_Measured]:
    from numerics.norms import kernel_norms as measured_norms
    from numerics.targets import parse_target

    exponents = (1.5, 2.0, 3.0)
    for m in context.pick((2, 4, 8), (2, 4, 8, 12, 16)):
        for p, model in zip(exponents, fits(m, exponents), strict=True):
            target, (c, lam) = parse_target(f"polynomial:p={p}"), _sum_of(model)
            norms = measured_norms(target, c[None], lam[None])
            times = np.geomspace(0.1, 100 / -lam.max(), 200)
            values = {
                "S": float(np.abs(c).sum()),
                "A": float(np.abs(c / lam).sum()),
                "V": float(norms.change[0]),
                "epsilon": float(norms.size[0]),
                "rho": target.rho(times),
                "R": np.array([target.tail(float(time)).lower for time in times]),
                "t": times,
            }
            yield _Measured(f"fit, p = {p}, m = {m}", float(-lam.max()), values)


def _margin_measured(parameters: Parameters, context: Context) -> Evidence:
    """Random exponential sums and the fits: the margin against the least stated bound over many times."""
    table: dict[str, Any] = {}
    names = ("S", "A", "V", "epsilon", "rho", "R", "t")
    stated = {
        name: sp.lambdify([_SYMBOLS[n] for n in names], _read(parameters[name]), "numpy")
        for name in ("by_value", "by_tail")
    }
    for system in chain(_random_systems(context), _fitted_systems(context)):
        for name, bound in stated.items():
            with np.errstate(invalid="ignore", divide="ignore"):  # bounds that say nothing at that time
                bounds = np.asarray(bound(*(system.values[n] for n in names)))
            bounds = np.where(np.isfinite(bounds), bounds, np.inf)
            least = float(bounds.min())
            if least < system.margin * (1 - 1e-9) - 1e-12:
                example = {"where": system.where, "margin": system.margin, f"{name}": least}
                return refuted(f"{system.where}: the margin exceeds the bound {name}", example, Verdict.SUPPORTED)
            if system.where.startswith("fit"):
                table.setdefault(system.where, {"margin": system.margin})[name] = least
    return supported("no margin exceeds either bound", table=table)


SHRINKS = Claim(
    id="fitted-margin-shrinks",
    label="Theorem 3.3",
    title="Margins of direct fits are bounded by their errors and tend to 0 with them",
    statement="For every t > 0 a model has min|λ_i| ≤ log(S/(|ρ(t)| - V/2))/t and min|λ_i| ≤ log(A/(∫_t^∞|ρ| - ε))/t, "
    "S = Σ|a_i|, A = Σ|a_i/λ_i|, V the total variation of e, ε = ∫|e|. Hence for (1+t)^{-p} the margins of fits "
    "are O(ε^{1/(p-1)} log(A/ε)), and tend to 0 with ε as long as log A = o(ε^{-1/(p-1)}).",
    latex=r"\min_i |\lambda_i| \leq \frac{1}{t} \log \frac{S}{|\rho(t)| - V/2}, \quad "
    r"\min_i |\lambda_i| \leq \frac{1}{t} \log \frac{A}{\int_t^\infty |\rho| - \varepsilon}",
    hypotheses=(ONE_LAYER, "Times at which the logarithms have a positive denominator."),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"by_value": "log(S/(rho - V/2))/t", "by_tail": "log(A/(R - epsilon))/t"},
    routes=(
        Route("triangle inequality, exact models", Method.SYMBOLIC, _margin_exact),
        Route("exponential sums and fits", Method.FLOATING, _margin_measured),
    ),
    mutants=(
        Variant("a quarter of the variation", {"by_value": "log(S/(rho - V/4))/t"}),
        Variant("without the sum of the weights", {"by_value": "log(1/(rho - V/2))/t"}),
        Variant("half the bound by the value", {"by_value": "log(S/(rho - V/2))/(2*t)"}),
        Variant("without the error of the tail", {"by_tail": "log(A/R)/t"}),
        Variant("half the error of the tail", {"by_tail": "log(A/(R - epsilon/2))/t"}),
        Variant("S for A", {"by_tail": "log(S/(R - epsilon))/t"}),
    ),
    theory=(
        "theory.margins:margin_upper",
        "theory.margins:margin_upper_by_tail",
        "theory.margins:power_law_margin_upper",
        "theory.margins:power_law_tail",
    ),
)


# --- the rate that is proved ----------------------------------------------------------------------------------------


def _rate_exact(parameters: Parameters, _: Context) -> Evidence:
    """The limit of the bound, and the trapezoidal rule, which attains it."""
    stated, derived = _read(parameters["rate"]), margins.margin_rate_lower()
    if sp.simplify(stated - derived) == 0:
        reached = margins.trapezoidal_decay()
        if sp.simplify(derived.subs(margins.decay, reached[0]) - reached[1]) != 0:
            return inconclusive(f"the trapezoidal rule reaches {reached}, not the bound")
        return proved("log T grows like κ√m/(p-1), and the trapezoidal rule attains it", trapezoidal=str(reached))
    for p in (sp.Rational(3, 2), sp.Integer(2), sp.Integer(3)):
        kappa, slope = margins.trapezoidal_decay(p)
        claimed = stated.subs({margins.power: p, margins.decay: kappa})
        if (claimed - slope).is_positive:
            example = {"p": str(p), "kappa": str(kappa), "slope": str(slope), "stated": str(claimed)}
            return refuted("the trapezoidal rule has a smaller slope", example, Verdict.PROVED)
    return inconclusive(f"stated {stated}, derived {derived}")


def _rate_explicit(parameters: Parameters, _: Context) -> Evidence:
    """The slowest rates of the explicit sequences, whose κ = π√(p-1) is known, extrapolated from m = 256 to 4096."""
    from numerics.expsum import explicit_weights
    from numerics.margin_rate import margin_rate
    from numerics.targets import parse_target

    stated, table = _read(parameters["rate"]), {}
    for p in ("1.5", "2", "3"):
        target = parse_target(f"polynomial:p={p}")
        sums = {m: explicit_weights(target, m) for m in (256, 1024, 4096)}
        found = margin_rate({m: float(-lam.max()) for m, (lam, _) in sums.items()})
        if found is None:
            return inconclusive("too few explicit sequences")
        memory = max(float(np.sum(a / -lam)) for lam, a in sums.values())
        exponent = sp.Rational(p)
        kappa = sp.pi * sp.sqrt(exponent - 1)
        claimed = float(stated.subs({margins.power: exponent, margins.decay: kappa}))
        table[p] = {"slope": found.rate, "interval": found.interval, "stated": claimed, "sum a/|lambda|": memory}
        if found.interval[1] < claimed:
            return refuted(f"p = {p}: the slope is {found.rate:.4g}, not {claimed:.4g}", table[p], Verdict.SUPPORTED)
    return supported("no slope of an explicit sequence stays below the stated one", table=table)


LEAST_RATE = Claim(
    id="fitted-margin-rate",
    label="Theorem 3.3",
    title="How fast margins vanish at the least, for a power law",
    statement="If models of (1+t)^{-p}, p > 1, have ∫|e| ≤ e^{-κ√m + o(√m)} and log Σ|a_i/λ_i| = o(√m), then "
    "liminf log(1/min|λ_i|)/√m ≥ κ/(p-1); the trapezoidal rule, κ = π√(p-1), attains it. So positive sums no worse "
    "than that rule have the slope π/√(p-1) at least, whatever f is.",
    latex=r"\liminf_m \frac{\log(1/\min_i |\lambda_i|)}{\sqrt{m}} \geq \frac{\kappa}{p-1}",
    hypotheses=(ONE_LAYER, "The target is (1+t)^{-p} with p > 1. Positive sums have Σ a_i/|λ_i| ≤ ∫ρ + ∫|e|."),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"rate": "kappa/(p-1)"},
    routes=(
        Route("limit of the bound, trapezoidal rule", Method.SYMBOLIC, _rate_exact),
        Route("explicit sequences", Method.FLOATING, _rate_explicit),
    ),
    mutants=(
        Variant("twice the rate", {"rate": "2*kappa/(p-1)"}),
        Variant("√2 times the rate", {"rate": "sqrt(2)*kappa/(p-1)"}),
        Variant("a tenth more", {"rate": "11*kappa/(10*(p-1))"}),
    ),
    theory=("theory.margins:margin_rate_lower", "theory.margins:trapezoidal_decay"),
)


# --- the rate that is measured --------------------------------------------------------------------------------------


def _compared(found: dict[str, dict[int, float]], stated: sp.Expr) -> Evidence:
    """Extrapolated slopes by p against the stated ones."""
    from numerics.margin_rate import margin_rate

    table: dict[str, Any] = {}
    for p, by_dim in found.items():
        rate = margin_rate(by_dim)
        if rate is None:
            return inconclusive("fewer than three m")
        claimed = float(stated.subs(margins.power, sp.Rational(p)))
        table[p] = {"rate": rate.rate, "interval": rate.interval, "m": rate.dims, "stated": claimed}
        if not rate.interval[0] <= claimed <= rate.interval[1]:
            low, high = rate.interval
            text = f"p = {p}: the slope lies in [{low:.3f}, {high:.3f}], {claimed:.3f} does not"
            return refuted(text, table[p], Verdict.SUPPORTED)
    rates = ", ".join(f"{row['rate']:.3f} for p = {p} (stated {row['stated']:.3f})" for p, row in table.items())
    return supported(f"extrapolated slopes: {rates}", table=table)


def _fitted_rates(parameters: Parameters, context: Context) -> Evidence:
    """Margins of optimal fits, three m, extrapolated."""
    exponents = (1.5, 2.0, 3.0)
    dims = context.pick((2, 4, 8), (4, 8, 16))
    by_dim = {m: [float(-model.lam().max()) for model in fits(m, exponents)] for m in dims}
    found = {f"{p:g}": {m: by_dim[m][i] for m in dims} for i, p in enumerate(exponents)}
    return _compared(found, _read(parameters["rate"]))


def _optimality_rates(parameters: Parameters, _: Context) -> Evidence:
    """No fit: the conditions of optimality at the mirror images of the poles, by exponential integrals; m = 1, 2, 4."""
    found: dict[str, dict[int, float]] = {}
    for p in (2, 3):
        found[str(p)] = {m: _stationary_margin(p, m) for m in (1, 2, 4)}
    return _compared(found, _read(parameters["rate"]))


def _stationary_margin(p: int, m: int) -> float:
    """min x_i where Ĝ = G and Ĝ' = G' at every x_i, Ĝ(s) = Σ a_i/(s + x_i), G(s) = ∫(1+t)^{-p}e^{-st} dt = e^s E_p(s).

    G' = G_p - G_{p-1}, since t(1+t)^{-p} = (1+t)^{1-p} - (1+t)^{-p}. Source: Meier and Luenberger, IEEE Trans. Autom.
    Control 12 (1967): the conditions of the least ∫|e|².
    """
    from scipy.optimize import least_squares
    from scipy.special import expn

    from numerics.expsum import explicit_weights
    from numerics.targets import parse_target

    def residual(y: Array) -> Array:
        x = np.exp(y)
        cauchy, size = 1 / np.add.outer(x, x), np.exp(x)
        a = np.linalg.solve(cauchy * x[:, None], size * expn(p, x) * x)
        return np.asarray((cauchy**2 @ a - size * (expn(p - 1, x) - expn(p, x))) * x**2)

    start = np.log(-explicit_weights(parse_target(f"polynomial:p={p}"), m)[0])
    found = least_squares(residual, start, xtol=1e-15, ftol=1e-15, gtol=1e-15)
    if np.abs(found.fun).max() > 1e-10:
        raise ArithmeticError(f"p = {p}, m = {m}: the conditions of optimality were not met")
    return float(np.exp(found.x).min())


L2_RATE = Claim(
    id="fitted-margin-rate-l2",
    label="Theorem 3.3",
    title="How fast the margins of the best fits vanish, for a power law",
    statement="The fits of (1+t)^{-p} with the least ∫|e|² have log(1/min|λ_i|)/√m → π√(2/(p-1/2)).",
    latex=r"\frac{\log(1/\min_i |\lambda_i|)}{\sqrt{m}} \to \pi \sqrt{\frac{2}{p - 1/2}}",
    hypotheses=(ONE_LAYER, "The target is (1+t)^{-p} with p > 1. A limit seen in finitely many m."),
    kind=Kind.DERIVED,
    expected=Verdict.SUPPORTED,
    parameters={"rate": "pi*sqrt(2/(p - 1/2))"},
    routes=(
        Route("optimal fits", Method.FLOATING, _fitted_rates),
        Route("conditions of optimality", Method.FLOATING, _optimality_rates),
    ),
    mutants=tuple(
        Variant(name, {"rate": rate}, "both routes contradict it, but a limit is not refuted by finitely many m")
        for name, rate in (
            ("the rate of the least ∫|e|", "pi*sqrt(2/(p - 1))"),
            ("half of the modes wasted", "pi/sqrt(p - 1/2)"),
            ("twice the rate", "2*pi*sqrt(2/(p - 1/2))"),
        )
    ),
    theory=("theory.margins:equal_share_rate",),
)

CLAIMS = (SHRINKS, LEAST_RATE, L2_RATE)
"""The order in which they build on each other."""
