"""The parameterizations side by side: distance to the stability boundary, gradient scale, gradient over weight.

|λ| = |f(w)| in continuous and 1 - λ in discrete time; the gradient scale |f'|/f² of Theorem 3.6, which is |dτ/dw| for
the memory time τ = 1/|λ|, against w and against τ; and the same over |w|. The scale is the slope of τ by central
differences of f; beside it stands the closed form in τ that theory.gradient derives.
Source: Theorem 3.6 and the best reparameterization.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from figures.figure import FigureKind, Finding
from figures.style import PAGE, base_name, looks
from figures.wording import number
from proofs_check.claim import Verdict
from theory.formula import NAMED, named
from theory.gradient import memory_time_rate
from theory.notation import tau

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from figures.figure import Canvas

    Array = NDArray[np.float64]

CONTINUOUS = ("direct", "relu", "exp", "softplus", "sigmoid", "best", "reciprocal", "-exp(w+5)")
DISCRETE = ("direct", "relu", "exp", "softplus", "sigmoid", "tanh", "best", "reciprocal")
RANGE = 6.0
POINTS = {"quick": 121, "full": 241}
_HALF_LINE = ("relu", "best", "reciprocal")


@dataclass(frozen=True)
class Curve:
    """One f over w: distance is -f in continuous and 1 - f in discrete time."""

    reparam: str
    time: str
    w: tuple[float, ...]
    distance: tuple[float, ...]


@dataclass(frozen=True)
class Gradients:
    """|dτ/dw| of one f in continuous time; closed is that of the closed form in τ, empty where there is none."""

    reparam: str
    along: str
    w: tuple[float, ...]
    tau: tuple[float, ...]
    scale: tuple[float, ...]
    closed: tuple[float, ...]

    @property
    def over_weight(self) -> tuple[float, ...]:
        return tuple(scale / abs(w) for scale, w in zip(self.scale, self.w, strict=True))

    @property
    def spread(self) -> float:
        """The largest gradient over weight over the least."""
        return max(self.over_weight) / min(self.over_weight)

    @property
    def mismatch(self) -> float:
        """How far slope and closed form are apart at most, relatively."""
        return max((abs(x / y - 1) for x, y in zip(self.scale, self.closed, strict=False)), default=0.0)


@dataclass(frozen=True)
class Parameterizations:
    """along is w (w evenly from -6 to 6) or tau (τ evenly in its logarithm, on the inverse branch of f)."""

    curves: tuple[Curve, ...]
    gradients: tuple[Gradients, ...]

    def some(self, along: str) -> list[Gradients]:
        return [found for found in self.gradients if found.along == along]


def compute(level: str = "quick", *, seed: int = 0, folder: Path | None = None) -> Parameterizations:
    """All f on a grid of w, and of τ where f reaches them."""
    from numerics.memory_slopes import rates, weights_of_times
    from numerics.reparameterization import Reparameterization

    w = np.linspace(-RANGE, RANGE, 2 * POINTS[level])  # an even number: w = 0 is not among them
    times = np.geomspace(0.1, 1e4, POINTS[level])
    curves = []
    for time, fs in (("continuous", CONTINUOUS[:-1]), ("discrete", DISCRETE)):
        for f in fs:
            value = rates(Reparameterization(f, time), w)
            distance = -value if time == "continuous" else 1 - value
            kept = (distance > 0) & ((time == "continuous") | (value >= -1))
            curves.append(Curve(f, time, tuple(w[kept].tolist()), tuple(distance[kept].tolist())))
    gradients = [_gradients(f, "w", w) for f in CONTINUOUS]
    gradients += [_gradients(f, "tau", weights_of_times(Reparameterization(f), times)) for f in CONTINUOUS]
    return Parameterizations(tuple(curves), tuple(gradients))


def _gradients(f: str, along: str, w: Array) -> Gradients:
    """The slopes of τ; w = 0, over which nothing can be divided, is left out."""
    from numerics.memory_slopes import memory_slopes
    from numerics.reparameterization import Reparameterization

    w, times, scale = memory_slopes(Reparameterization(f), w[w != 0])
    closed: tuple[float, ...] = ()
    if base_name(f) in NAMED:
        rate = memory_time_rate(named(f), half_line=base_name(f) in _HALF_LINE)
        closed = tuple(abs(float(rate.subs(tau, sp.Float(time, 30)))) for time in times.tolist())
    return Gradients(f, along, tuple(w.tolist()), tuple(times.tolist()), tuple(scale.tolist()), closed)


# Drawn


_LINES: dict[str, Any] = {
    "relu": (0, (3, 2)),
    "softplus": (0, (3, 2)),
    "sigmoid": (0, (1, 1.5)),
    "reciprocal": (0, (5, 1)),
}
"""Broken lines for those that lie on others."""


def plot(data: Parameterizations, axes: NDArray[Any]) -> None:
    """Draws on axes (2, 3): distances and the scale above, the scale and the ratio over τ, the ratio over w below."""
    look = _look(data)
    for ax, time in zip(axes[0], ("continuous", "discrete"), strict=False):
        for curve in data.curves:
            if curve.time == time:
                ax.plot(curve.w, curve.distance, **look[curve.reparam])
        ax.set(ylim=(1e-3, 30), xlabel="$w$", title=f"{time} time")
    axes[0, 0].set_ylabel(r"$-\lambda=-f(w)$")
    axes[0, 1].set_ylabel(r"$1-\lambda=1-f(w)$")
    axes[0, 1].axhline(2, color="#999999", linewidth=0.6, zorder=0)
    axes[0, 1].text(-5.8, 2.4, r"$\lambda=-1$", color="#666666", fontsize=7)
    _plot_gradients(axes[0, 2], data, "w", False)
    _plot_gradients(axes[1, 0], data, "tau", False)
    _plot_gradients(axes[1, 1], data, "w", True)
    _plot_gradients(axes[1, 2], data, "tau", True)
    for ax in axes.flat:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(numticks=6))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.grid()
        ax.set_axisbelow(True)


def _plot_gradients(ax: Axes, data: Parameterizations, along: str, over_weight: bool) -> None:
    look = _look(data)
    for found in data.some(along):
        y = found.over_weight if over_weight else found.scale
        ax.plot(found.w if along == "w" else found.tau, y, **look[found.reparam])
    ax.set(title="gradient over weight" if over_weight else "gradient scale")
    ax.set(ylabel=r"$|f\,'|\,/\,(f^2|w|)$" if over_weight else r"$|f\,'|\,/\,f^2$")
    if along == "w":
        ax.set(xlabel="$w$", ylim=(1e-3, 1e5))
    else:
        ax.set(xlabel=r"memory time $\tau=1/|\lambda|$", xscale="log", ylim=(1e-3, 1e6))


def _look(data: Parameterizations) -> dict[str, dict[str, Any]]:
    return {name: {**look, "linestyle": _LINES.get(name, "-")} for name, look in looks(_names(data)).items()}


def _names(data: Parameterizations) -> list[str]:
    found = [curve.reparam for curve in data.curves] + [one.reparam for one in data.gradients]
    return list(dict.fromkeys(found))


def draw(data: Parameterizations, figure: Canvas) -> None:
    plot(data, figure.subplots(2, 3))
    handles = [Line2D([], [], label=name, **look) for name, look in _look(data).items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), columnspacing=1.1, handlelength=1.8)


def size(data: Parameterizations) -> tuple[float, float]:
    return PAGE, 4.3


# Said


def caption(data: Parameterizations) -> str:
    """What was computed and how to read it."""
    return (
        "The named parameterizations λ = f(w) with their default constants (best: a = 1, b = 1/2). Above: -λ against w "
        "on a logarithmic axis, 1 - λ in discrete time (the grey line is λ = -1, the other end of the stable region, "
        "which best with b = 1/2 touches at w = 0 and tanh approaches), and the gradient scale |f'|/f² of Theorem 3.6, "
        "the slope of the memory time τ, by central differences. Below: the scale against τ, where direct has τ², exp "
        "τ, best 2√(a(τ - b)) and reciprocal a; and the scale over |w|, which training sees relative to the weight. "
        "best has the constant 2a, and of the others none has a constant. That ratio depends on the origin of w: "
        "-exp(w+5) is exp moved by 5, with the same scale at every τ, but another ratio."
    )


_CONSTANT = 1e-6


def finding(data: Parameterizations) -> Finding:
    """Whether best alone has a constant gradient over weight, equal to 2a, and slopes agree with the closed forms."""
    worst = max(found.mismatch for found in data.gradients)
    spread = {
        f: max(found.spread for found in data.gradients if found.reparam == f) for f in _names(data) if f in CONTINUOUS
    }
    constant = [f for f, ratio in spread.items() if ratio < 1 + _CONSTANT]
    value = max(
        (ratio for found in data.gradients if found.reparam == "best" for ratio in found.over_weight), default=0
    )
    if constant != ["best"] or abs(value - 2) > 2 * _CONSTANT or worst > _CONSTANT:
        names = ", ".join(constant) or "none"
        apart = f"slopes and closed forms differ by up to {number(worst, 2)}"
        return Finding(Verdict.INCONCLUSIVE, f"Gradient over weight is constant for: {names}; {apart}.")
    least = min((ratio, f) for f, ratio in spread.items() if f != "best")
    reason = (
        f"Gradient over weight is constant for best alone: 2a = 2 with a spread of {number(spread['best'] - 1, 1)}; "
        f"of the others it varies over these w and τ by a factor of {number(least[0])} ({least[1]}) at least. Slopes "
        f"agree with the closed forms in τ to {number(worst, 1)}. On the whole line it is proved, see "
        "best-gradient-over-weight and thm-3.6-memory-time."
    )
    return Finding(Verdict.SUPPORTED, reason)


FIGURE = FigureKind(
    name="parameterizations",
    title="Parameterizations and their gradient scales",
    shows="How each f maps weights to eigenvalues, and how large gradients are for it, by weight and by memory time.",
    claims=(
        "thm-3.6-kernel-equality",
        "thm-3.6-memory-time",
        "best-ode",
        "best-gradient-over-weight",
        "best-extremality",
        "discrete-best-half",
        "training-ratio-origin",
    ),
    data=Parameterizations,
    compute=compute,
    caption=caption,
    finding=finding,
    size=size,
    draw=draw,
)
