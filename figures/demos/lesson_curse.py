"""The numbers and pictures of the lesson on the curse of memory: λ is a weight itself, and moves by up to β."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from figures.demos.one_mode import Point, mode_error
from figures.style import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RATES = (-1.0, -0.7, -0.5, -0.3, -0.2, -0.15, -0.1, -0.07, -0.05, -0.03, -0.02, -0.01)
"""λ of the single mode, from a short memory to a long one."""
RADII = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""β."""
SIZES = (1, 2, 4, 8, 16)
"""m of the models of the slow memory."""
SLOW = "polynomial:p=1.5"
"""The slow memory, (1+t)^{-3/2}."""

_SHARES = (0.03, 0.1, 0.3, 0.6, 0.9, 0.99)
"""Of the margin min|λ|, at which E is drawn."""
_WINDOW = 30.0
"""Of time, in the picture of one memory."""
_LINE, _BEYOND = COLOURS["direct"], "#D55E00"


@dataclass(frozen=True)
class Approximation:
    """The explicit model with m modes of the slow memory: |λ_i| from the slowest on, and E_m(β), at β = 0 first."""

    m: int
    rates: tuple[float, ...]
    points: tuple[Point, ...]

    @property
    def margin(self) -> float:
        """min|λ|, from which on E_m is infinite."""
        return min(self.rates)


def error_of_mode(rate: float, beta: float) -> Point:
    """E(β) of one mode, with β among RADII."""
    return next(point for point in mode_error("direct", rate, RADII) if point.beta == beta)


def curve_of_mode(rate: float) -> tuple[Point, ...]:
    """E below its wall at β = |λ|, for the picture."""
    near = tuple(-rate * share for share in _SHARES)
    points = [*mode_error("direct", rate, RADII), *mode_error("direct", rate, near)]
    return tuple(sorted((point for point in points if point.upper < math.inf), key=lambda point: point.beta))


@lru_cache(maxsize=16)
def approximation(m: int) -> Approximation:
    """The model with m modes, w alone moving. Source: Definition 2.5; numerics.expsum for the model."""
    from numerics.expsum import explicit_model
    from numerics.perturbation import linear_perturbed_error
    from numerics.targets import parse_target

    target = parse_target(SLOW)
    model = explicit_model(target, m, "direct")
    rates = sorted((-model.lam()).tolist())
    betas = (0.0, *(rates[0] * share for share in _SHARES))
    error = linear_perturbed_error(model, target, betas, groups=("w",), starts=4, steps=10)
    points = zip(betas, error.lower.tolist(), error.upper.tolist(), strict=True)
    return Approximation(m, tuple(rates), tuple(Point(*point) for point in points))


def approximations(largest: int) -> tuple[Approximation, ...]:
    """Those with at most so many modes."""
    return tuple(approximation(m) for m in SIZES if m <= largest)


# Drawn


def draw_memory(figure: Figure, rate: float, beta: float) -> None:
    """e^{λt}, and between which curves it lies after a move of λ by up to β."""
    ax = figure.add_subplot()
    t = np.linspace(0.0, _WINDOW, 301)
    with np.errstate(over="ignore"):
        low, high = np.exp((rate - beta) * t), np.exp((rate + beta) * t)
    beyond = rate + beta >= 0
    label = rf"all $\tilde\lambda\in[{rate - beta:.4g},\ {rate + beta:.4g}]$"
    colour = _BEYOND if beyond else _LINE
    ax.fill_between(t, low, np.minimum(high, 10.0), color=colour, alpha=0.25, linewidth=0, label=label)
    ax.plot(t, np.exp(rate * t), color=_LINE, label=rf"$\lambda={rate:g}$")
    ax.set(xlim=(0, _WINDOW), ylim=(0, 1.6), xlabel="time $t$", ylabel=r"memory $\rho(t)/\rho(0)$")
    ax.legend(loc="upper right", frameon=False)


def draw_error(figure: Figure, rate: float, beta: float) -> None:
    """E against β with its wall at β = |λ|, and where the slider stands."""
    ax = figure.add_subplot()
    _curve(ax, curve_of_mode(rate), COLOURS["direct"])
    low, high = RADII[0] * 0.7, RADII[-1] * 2.5
    ax.set(xscale="log", yscale="log", xlim=(low, high), ylim=(5e-4, 2e3))
    ax.minorticks_off()
    ax.set(xlabel=r"perturbation $\beta$", ylabel=r"perturbed error $E(\beta)$")
    ax.axvspan(-rate, high, color=_BEYOND, alpha=0.15, linewidth=0)
    ax.axvline(-rate, color=_BEYOND, linestyle="--", linewidth=0.9)
    ax.annotate(rf"$|\lambda|={-rate:g}$", (-rate, 6e-4), (-3, 2), textcoords="offset points", ha="right")
    here = error_of_mode(rate, beta)
    if here.upper < math.inf:
        ax.plot([beta], [here.upper], "o", color=_LINE, markersize=5)
    else:
        ax.plot([beta], [1.2e3], "^", color=_BEYOND, markersize=6)
        ax.annotate(r"$E=\infty$", (beta, 1.2e3), (0, -13), textcoords="offset points", ha="center", color="#A03E00")


def draw_rates(figure: Figure, some: Sequence[Approximation]) -> None:
    """The rates of every model on one axis, the slowest filled."""
    ax = figure.add_subplot()
    for row, one in enumerate(some):
        ax.plot(one.rates, [row] * one.m, "o", color=_LINE, markersize=3.5, fillstyle="none", markeredgewidth=0.7)
        ax.plot([one.margin], [row], "o", color=_BEYOND, markersize=5)
    ax.set(
        xscale="log", xlim=(30.0, 1e-6), ylim=(len(SIZES) - 0.5, -0.5), xlabel=r"$|\lambda_i|$, boundary to the right"
    )
    ax.minorticks_off()
    ax.set_yticks(range(len(some)), [f"$m={one.m}$" for one in some])
    ax.grid(axis="x")


def draw_sequence(figure: Figure, some: Sequence[Approximation]) -> None:
    """E_m(β) of every model up to its wall."""
    ax = figure.add_subplot()
    shades = {m: str(0.68 - 0.68 * index / (len(SIZES) - 1)) for index, m in enumerate(SIZES)}
    for one in some:
        _curve(ax, one.points[1:], shades[one.m])
        ax.axvline(one.margin, color=_BEYOND, linestyle="--", linewidth=0.7)
        ax.annotate(
            f"$m={one.m}$",
            (one.margin, 2.8e2),
            (-2, 0),
            textcoords="offset points",
            ha="right",
            va="top",
            rotation=90,
            color=shades[one.m],
        )
    ax.set(xscale="log", yscale="log", xlim=(1e-7, 3.0), ylim=(3e-3, 3e2))
    ax.minorticks_off()
    ax.set(xlabel=r"perturbation $\beta$", ylabel=r"perturbed error $E_m(\beta)$")


def _curve(ax: Axes, points: Sequence[Point], colour: str) -> None:
    """The bracket, a band where it is wide enough to be seen."""
    betas = [point.beta for point in points]
    ax.fill_between(betas, [p.lower for p in points], [p.upper for p in points], color=colour, alpha=0.3, linewidth=0)
    ax.plot(betas, [point.upper for point in points], color=colour)
