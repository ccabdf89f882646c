"""One target, one small model, fitted while one waits: what lesson 6 computes and draws.

    ρ̂(t) = Σ_i c_i U_i e^{λ_i t},   λ_i = f(w_i)   (pairs of oscillating modes: 2 Re of that sum, λ_i = f(w_i) + iω_i)

is fitted to ρ in L² (numerics.fitting, optimal rates). Errors are in the norm of Definition 2.5, ∫|ρ - ρ̂| + its total
variation, beside the least error that any model with as many states can have (numerics.hankel), and the memory function
stands beside the sharp bound of Theorem 3.3 for this very model (numerics.decay_bounds).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from figures.demos.lesson_axes import titled_axes
from figures.figure import Finding
from figures.style import looks
from proofs_check.claim import Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from numerics.models import DiagonalModel
    from numerics.targets import Target

SEED = 0
MOST_MODES, MOST_PAIRS = 8, 4
MOST_STATES = 12
"""Shown in the picture of errors."""
REPARAMS = ("direct", "softplus", "exp", "best:b=0.1", "best:b=2")
_POINTS = 241
_OUTLIVED = 12.0
"""Memory times of the slowest mode that the picture of memory shows."""
_ROUNDING = 1e-9
_LEAST = 1e-16
_TARGET: dict[str, Any] = {"color": "#BDBDBD", "linewidth": 4.0, "solid_capstyle": "butt"}
_BOUND = "#D55E00"


@dataclass(frozen=True)
class Goal:
    """A target, the name that a reader chooses, and the last time that the picture of the kernel shows."""

    spec: str
    title: str
    horizon: float
    about: str


GOALS = (
    Goal("exponential:rate=0.5", "exponential e⁻⁰·⁵ᵗ", 12.0, "Exponential memory: one mode is enough."),
    Goal("polynomial:p=2", "power law (1+t)⁻²", 12.0, "A power law: no finite sum of exponentials equals it."),
    Goal("polynomial:p=1.5", "power law (1+t)⁻¹·⁵", 12.0, "A slower power law: longer memory, smaller margins."),
    Goal("two-part", "e⁻ᵗ and a bump at t = 9", 16.0, "A memory of now, and one of nine time units ago."),
    Goal("airy", "Airy Ai(t-6)", 16.0, "A memory that oscillates: try pairs of oscillating modes."),
    Goal("shift", "shift, 1 for 9 < t < 11", 16.0, "A delay with jumps: no model follows a jump."),
)


@dataclass(frozen=True)
class Fitted:
    """A fit and what it is worth; see the text of the module.

    states: the state dimension, m, or 2m for pairs; result: how the fit ended, in words; error, limit: in the norm of
    Definition 2.5, limit the least possible with as many states, rounded down; margin: min|Re λ|; finite_up_to: E_m(β)
    is infinite for larger β; ρ and ρ̂ at `times`, memory and its sharp bound at `late`. None where the fit failed.
    """

    goal: str
    f: str
    m: int
    pairs: bool
    states: int
    result: str
    limit: float
    error: float | None = None
    margin: float | None = None
    finite_up_to: float | None = None
    rates: tuple[complex, ...] = ()
    times: tuple[float, ...] = ()
    target: tuple[float, ...] = ()
    fitted: tuple[float, ...] = ()
    late: tuple[float, ...] = ()
    target_memory: tuple[float, ...] = ()
    memory: tuple[float, ...] = ()
    sharp: tuple[float, ...] = ()


def goal(spec: str) -> Goal:
    """The goal of a spec. Raises ValueError for one that the lesson has not."""
    for one in GOALS:
        if one.spec == spec:
            return one
    raise ValueError(f"target {spec[:40]!r}: not in the lesson; allowed: {', '.join(one.spec for one in GOALS)}")


@lru_cache(maxsize=16)
def limits(spec: str) -> tuple[float, ...]:
    """The least error of any stable linear model with 1, 2, …, `MOST_STATES` states, rounded down."""
    from numerics.hankel import limit_table
    from numerics.targets import parse_target

    table = limit_table(parse_target(goal(spec).spec), range(1, MOST_STATES + 1))
    return tuple(row.error_lower for row in table.rows)


@lru_cache(maxsize=512)
def compute(spec: str, f: str, m: int, pairs: bool = False, seed: int = SEED) -> Fitted:
    """Fits m modes, or m pairs, to a target. Raises ValueError for unknown targets and as numerics.fitting."""
    from numerics.fit_evaluation import evaluate_fits
    from numerics.fit_problem import FitProblem, Result
    from numerics.fitting import fit
    from numerics.reparameterization import Reparameterization
    from numerics.targets import parse_target

    target, states = parse_target(goal(spec).spec), 2 * m if pairs else m
    problem = FitProblem(((target,),), (Reparameterization(f),), (seed,), m, ("plain",), is_complex=pairs)
    fits = fit(problem, threads=1, device="cpu")
    (row,) = evaluate_fits(fits)
    limit = limits(spec)[states - 1]
    if row.result is Result.DIVERGED or row.margin is None:
        return Fitted(spec, f, m, pairs, states, row.result.value, limit)
    model = fits.model(0)
    return Fitted(
        spec, f, m, pairs, states, row.result.value, limit, row.error_w1inf, row.margin, row.finite_up_to,
        tuple(complex(x) for x in sorted(model.lam().tolist(), key=lambda x: -complex(x).real)),
        **_curves(target, model, goal(spec).horizon),
    )  # fmt: skip


def _curves(target: Target, model: DiagonalModel, horizon: float) -> Mapping[str, tuple[float, ...]]:
    """Kernels on a linear grid of times; memory functions and the sharp bound on a logarithmic one."""
    from numerics.decay_bounds import decay_bounds
    from numerics.memory import linear_kernel

    times = np.linspace(0.0, horizon, _POINTS)
    kernel = linear_kernel(model, model.layers[0].w.new_tensor(times.tolist())).value[:, 0, 0]
    late = np.geomspace(0.05, max(_OUTLIVED / float(model.stability_margin), 2 * horizon), _POINTS)
    found = decay_bounds(model, late.tolist())
    curves = {"times": times, "target": target.rho(times), "fitted": kernel.numpy(), "late": late}
    curves |= {"target_memory": np.abs(target.rho(late)), "memory": found.memory_lower, "sharp": found.sharp}
    return {name: tuple(np.asarray(curve).tolist()) for name, curve in curves.items()}


def finding(fitted: Fitted) -> Finding:
    """Whether the fit keeps to the two theorems: below the sharp bound at every time, and no nearer than the limit."""
    if fitted.error is None:
        return Finding(Verdict.INCONCLUSIVE, f"The fit failed: {fitted.result}.")
    pairs = zip(fitted.memory, fitted.sharp, strict=True)
    if any(memory > sharp * (1 + _ROUNDING) for memory, sharp in pairs):
        return Finding(Verdict.REFUTED, "The memory of this model exceeds the sharp bound of Theorem 3.3.")
    if fitted.error < fitted.limit * (1 - _ROUNDING):
        return Finding(Verdict.REFUTED, f"The error {fitted.error:.3g} is below the limit {fitted.limit:.3g}.")
    twice = "2" if fitted.pairs else ""
    words = f"M(t) stays below {twice}|c||U|e⁻ʳᵗ, r = {fitted.margin:.3g}, and the error {fitted.error:.3g}"
    if fitted.limit == 0:
        return Finding(
            Verdict.SUPPORTED, f"{words} is {'rounding' if fitted.error < 1e-9 else 'not yet 0'}: the limit is 0."
        )
    words += f" is {fitted.error / fitted.limit:.3g} times the limit {fitted.limit:.3g} for {fitted.states} states"
    return Finding(Verdict.SUPPORTED, f"{words}.")


def rates_text(fitted: Fitted) -> str:
    """The rates λ, slowest first: "-0.0205, -0.301" or "-0.24 ± 1.2i"."""
    parts = (f"{x.real:.3g} ± {abs(x.imag):.3g}i" if fitted.pairs else f"{x.real:.3g}" for x in fitted.rates)
    return ", ".join(parts)


def numbers(fitted: Fitted) -> tuple[tuple[str, str], ...]:
    """The numbers of a fit, each with what it is."""
    if fitted.error is None or fitted.margin is None:
        return (("the fit", fitted.result),)
    up_to = "every β" if fitted.finite_up_to in (None, math.inf) else f"β < {fitted.finite_up_to:.3g}"
    return (
        ("rates λ", rates_text(fitted)),
        ("margin r = min |Re λ|".replace("|", "∣"), f"{fitted.margin:.3g}"),
        ("memory time 1/r", f"{1 / fitted.margin:.3g}"),
        ("error", f"{fitted.error:.3g}"),
        (f"least error, {fitted.states} states", f"{fitted.limit:.3g}" if fitted.limit else "0"),
        ("E(β) is finite for", up_to),
        ("the fit", fitted.result.partition(":")[0]),
    )


def answer() -> str:
    """The numbers of the exercise, from the fits themselves."""
    few, many = (compute("polynomial:p=1.5", "direct", m) for m in (2, 8))
    few_error, error = few.error or math.nan, many.error or math.nan
    few_margin, margin = few.margin or math.nan, many.margin or math.nan
    return (
        f"From $m = 2$ to $m = 8$ the error falls from {few_error:.3g} to {error:.3g}, by a factor of "
        f"{few_error / error:.3g}; the margin falls from {few_margin:.3g} to {margin:.3g}, by a factor of "
        f"{few_margin / margin:.3g}. For `direct`, $E_m(\\beta)$ is finite only for $\\beta$ below the margin: at "
        f"$m = 8$ a perturbation of {margin:.3g} already makes the slowest mode unstable."
    )


# Drawn


def draw_kernel(fitted: Fitted, figure: Figure) -> None:
    """The target, grey, and what the model made of it."""
    ax = titled_axes(figure, "the target and the model")
    ax.plot(fitted.times, fitted.target, label=r"target $\rho$", **_TARGET)
    ax.plot(fitted.times, fitted.fitted, label=r"model $\hat\rho$", **_look(fitted.f))
    ax.axhline(0.0, color="#777777", linewidth=0.5)
    ax.set(xlabel="time $t$", ylabel="kernel", xlim=(0, fitted.times[-1]))
    ax.legend(loc="upper right")


def draw_memory(fitted: Fitted, figure: Figure) -> None:
    """Memory functions on logarithmic axes, under the sharp bound of Theorem 3.3 for this model."""
    ax = titled_axes(figure, f"memory, and its bound with margin $r = {fitted.margin:.3g}$")
    ax.plot(fitted.late, fitted.target_memory, label=r"target $\mathcal{M}(H)$", **_TARGET)
    ax.plot(fitted.late, fitted.memory, label=r"model $\mathcal{M}(\hat{H})$", **_look(fitted.f))
    bound = rf"bound ${'2' if fitted.pairs else ''}|c||U|e^{{-rt}}$"
    ax.plot(fitted.late, fitted.sharp, "--", color=_BOUND, label=bound)
    ax.axvline(1 / (fitted.margin or math.inf), color="#777777", linewidth=0.9, linestyle=":", label="$1/r$")
    top, seen = max(*fitted.sharp, *fitted.target_memory), max(*fitted.memory, *fitted.target_memory)
    ax.set(xscale="log", yscale="log", xlabel="time $t$", ylabel="memory")
    ax.set(xlim=(fitted.late[0], fitted.late[-1]), ylim=(seen * 1e-6, top * 3))
    ax.minorticks_off()
    ax.legend(loc="lower left")


def draw_errors(fitted: Fitted, tried: Sequence[Fitted], figure: Figure) -> None:
    """The errors of all fits of this target that were tried, above the least possible."""
    ax = titled_axes(figure, "your fits, above the limit of approximation")
    states, least = range(1, MOST_STATES + 1), limits(fitted.goal)
    if least[0] > 0:
        ax.plot(states, least, color="#777777", linewidth=1.2, marker="_", label="no model is below")
        ax.fill_between(states, least, 1e-20, color="#DDDDDD", linewidth=0)
    seen = [one for one in tried if one.goal == fitted.goal and one.error is not None]
    for one in seen:
        marker = "o" if one.pairs else "s"
        ax.plot([one.states], [max(one.error or 0.0, _LEAST)], marker, color=_look(one.f)["color"], markersize=4)
    if fitted.error is not None:
        ax.plot([fitted.states], [max(fitted.error, _LEAST)], "o", markersize=11, markerfacecolor="none", color="black")
    _error_axes(ax, [*least, *(one.error or _LEAST for one in seen)])


def _error_axes(ax: Axes, values: Sequence[float]) -> None:
    shown = [max(value, _LEAST) for value in values if value > 0] or [_LEAST]
    ax.set(yscale="log", xlim=(0.5, MOST_STATES + 0.5), ylim=(min(shown) / 3, max(shown) * 4))
    ax.set(xlabel="state dimension", ylabel=r"error in $W^{1,\infty}$", xticks=range(1, MOST_STATES + 1))
    ax.plot([], [], "s", color="#444444", markersize=4, label="your fits, real modes")
    ax.plot([], [], "o", color="#444444", markersize=4, label="your fits, pairs")
    ax.minorticks_off()
    ax.legend(loc="lower left")


def _look(f: str) -> dict[str, Any]:
    return looks([f])[f]
