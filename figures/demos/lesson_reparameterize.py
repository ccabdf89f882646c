"""The numbers and pictures of the lesson on reparameterization: w moves by up to β, and λ = f(w) with it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from figures.demos.one_mode import Point, mode_error
from figures.style import looks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FS = ("direct", "exp", "best:b=0.1")
"""The f that are compared. Softplus is exp for long memories."""
TIMES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Memory times τ = 1/|λ|."""
RADII = (0.01, 0.03, 0.1, 0.3, 1.0)
"""β."""
MOVING = {
    "w alone": (("w",), "plain"),
    "all weights: w, U, c": (("w", "U", "c"), "plain"),
    "all weights, unit-norm mode": (("w", "U", "c"), "unit-norm"),
}
"""The weights that move, and the gain of the mode."""

_LONGEST = 3e4
"""End of the axis of memory times."""


@dataclass(frozen=True)
class Reach:
    """The memory times that λ̃ = f(w̃), |w̃ - w| ≤ β, takes; `longest` is inf where the ball reaches λ̃ ≥ 0."""

    f: str
    shortest: float
    longest: float


@lru_cache(maxsize=4096)
def reach(f: str, time: float, beta: float) -> Reach:
    """From bounds of f over the ball around the w with f(w) = -1/time."""
    from numerics.reach import weights_for
    from numerics.reparameterization import Reparameterization

    parameterization = Reparameterization(f)
    low, high = parameterization.bounds(weights_for(parameterization, np.array([-1 / time])), beta)
    return Reach(f, -1 / float(low), -1 / float(high) if float(high) < 0 else math.inf)


def errors(f: str, time: float, moving: str) -> tuple[Point, ...]:
    """E(β) of the mode with this memory time, for every β of RADII."""
    return mode_error(f, -1 / time, RADII, *MOVING[moving])


def error(f: str, time: float, moving: str, beta: float) -> Point:
    """E(β) at one β of RADII."""
    return next(point for point in errors(f, time, moving) if point.beta == beta)


# Drawn


def draw_reach(figure: Figure, time: float, beta: float) -> None:
    """For every f the memory times that a move of w by up to β can turn τ into."""
    ax = figure.add_subplot()
    look = looks(FS)
    for row, f in enumerate(FS):
        found = reach(f, time, beta)
        ends = [found.shortest, min(found.longest, _LONGEST)]
        ax.plot(ends, [row, row], color=look[f]["color"], linewidth=7, solid_capstyle="butt")
        if found.longest == math.inf:
            ax.annotate(r"$\infty$ ", (_LONGEST, row), (0, 7), textcoords="offset points", ha="right", fontsize=10)
    ax.axvline(time, color="#888888", linewidth=0.8, linestyle="--")
    ax.set(xscale="log", xlim=(0.3, _LONGEST), ylim=(len(FS) - 0.4, -0.6))
    ax.set(xlabel=r"memory time $1/|\tilde\lambda|$ after a move of $w$ by up to $\beta$")
    ax.minorticks_off()
    ax.set_yticks(range(len(FS)), FS)


def draw_errors(figure: Figure, time: float, moving: str, beta: float) -> None:
    """E against β for every f, and where the slider stands."""
    ax = figure.add_subplot()
    look = looks(FS)
    for f in FS:
        points = errors(f, time, moving)
        finite = [point for point in points if point.upper < math.inf]
        ax.plot([p.beta for p in finite], [p.upper for p in finite], marker="o", markersize=3, label=f, **look[f])
        lost = [point.beta for point in points if point.upper == math.inf]
        ax.plot(lost, [1.3e3] * len(lost), "^", markersize=4.5, color=look[f]["color"], clip_on=False)
    if error(FS[0], time, moving, RADII[-1]).upper == math.inf:
        ax.annotate(r"$\blacktriangle$ infinite", (1.3, 3.5e2), ha="right", fontsize=7)
    ax.axvline(beta, color="#888888", linewidth=0.8, linestyle="--")
    ax.set(xscale="log", yscale="log", xlim=(RADII[0] * 0.7, RADII[-1] * 1.5), ylim=(5e-4, 2e3))
    ax.set(xlabel=r"perturbation $\beta$ of $w$", ylabel=r"perturbed error $E(\beta)$")
    ax.minorticks_off()
    ax.legend(loc="upper left", frameon=False)
