"""Memory functions of targets and of models fitted to them, with the bound of Theorem 3.3, printed and sharp.

A target that decays like a power leaves every exponential bound in the end. The models follow it ever longer, at the
price of a margin min|λ| that shrinks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from figures.figure import FigureKind, Finding
from figures.style import PAGE
from figures.wording import number
from proofs_check.claim import Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from figures.figure import Canvas
    from numerics.fit_problem import Fits
    from numerics.targets import Target

REPARAM = "exp"
"""Every f that takes all negative values reaches the same models; |θ| in the printed bound is that of this one."""
POINTS = 240
_OUTLIVED = 60.0
"""Memory times of the slowest mode after which a power law has left every bound."""
_ROUNDING = 1e-9
"""Relative; the bounds themselves are rounded up."""


@dataclass(frozen=True)
class FittedMemory:
    """M(Ĥ)(t) of one fit and its bounds, at the times of its panel; `memory` is the lower end of its bracket.

    m: real modes, or conjugate pairs where `pairs`; slack: half the total variation of ρ - ρ̂, by which M(H) may exceed
    M(Ĥ) at most.
    """

    m: int
    pairs: bool
    margin: float
    slack: float
    memory: tuple[float, ...]
    sharp: tuple[float, ...]
    printed: tuple[float, ...]


@dataclass(frozen=True)
class TargetMemory:
    """M(H)(t) = |ρ(t)| of one target, and its fits, fewest modes first."""

    spec: str
    title: str
    decay: str
    times: tuple[float, ...]
    memory: tuple[float, ...]
    fits: tuple[FittedMemory, ...]

    def left_at(self, fit: FittedMemory) -> float | None:
        """From which time on M(H) exceeds the sharp bound of the fit; None where it does not at the last time."""
        within = np.flatnonzero(np.array(self.memory) <= np.array(fit.sharp))
        if not len(within):
            return self.times[0]
        return self.times[within[-1] + 1] if within[-1] + 1 < len(self.times) else None


@dataclass(frozen=True)
class MemoryFunctions:
    level: str
    seed: int
    reparam: str
    targets: tuple[TargetMemory, ...]


@dataclass(frozen=True)
class _Plan:
    """A panel: its target, the numbers of modes, and the last time on a linear axis (None: a logarithmic axis)."""

    spec: str
    title: str
    quick: tuple[int, ...]
    full: tuple[int, ...]
    pairs: bool = False
    horizon: float | None = None


_PLANS = (
    _Plan("polynomial:p=1.5", "power law $(1+t)^{-1.5}$", (2, 4, 8), (4, 8, 16)),
    _Plan("exponential", "exponential $e^{-t}$", (1,), (1,), horizon=16.0),
    _Plan("airy", r"Airy $\mathrm{Ai}(t-6)$", (2, 4), (2, 4, 6), pairs=True, horizon=16.0),
    _Plan("two-part", r"two parts $e^{-t} + e^{-(t-9)^2}$", (4, 8), (4, 8, 12), pairs=True, horizon=30.0),
)


# Computed


def compute(level: str = "quick", *, seed: int = 0, folder: Path | None = None) -> MemoryFunctions:
    """Fits each target in the norm of Definition 2.5, and takes memory functions and bounds over a grid of times."""
    del folder
    return MemoryFunctions(level, seed, REPARAM, tuple(_target_memory(plan, level, seed) for plan in _PLANS))


def _target_memory(plan: _Plan, level: str, seed: int) -> TargetMemory:
    from numerics.fitted_sequence import fitted_sequence
    from numerics.reparameterization import Reparameterization
    from numerics.targets import parse_target

    target, counts = parse_target(plan.spec), plan.full if level == "full" else plan.quick
    fits = fitted_sequence(target, counts, Reparameterization(REPARAM), is_complex=plan.pairs, seed=seed)
    margin = min(float(fits[m].model(0).stability_margin) for m in counts)
    times = (
        np.append(0.0, np.geomspace(0.1, _OUTLIVED / margin, POINTS))
        if plan.horizon is None
        else np.linspace(0.0, plan.horizon, POINTS + 1)
    )
    memory = tuple(np.abs(target.rho(times)).tolist())
    some = tuple(_fitted_memory(target, fits[m], m, plan.pairs, times, seed) for m in counts)
    return TargetMemory(plan.spec, plan.title, target.decay.kind, tuple(times.tolist()), memory, some)


def _fitted_memory(
    target: Target, fits: Fits, m: int, pairs: bool, times: NDArray[np.float64], seed: int
) -> FittedMemory:
    from numerics.decay_bounds import decay_bounds
    from numerics.fitted_sequence import fitted_kernel
    from numerics.norms import kernel_norms

    found = decay_bounds(fits.model(0), times.tolist(), seed=seed)
    lam, coefficients = fitted_kernel(fits)
    norms = kernel_norms(target, coefficients[None], lam[None])
    slack = float(norms.change[0] + norms.change_error[0]) / 2
    curves: list[tuple[float, ...]] = [tuple(c.tolist()) for c in (found.memory_lower, found.sharp, found.printed)]
    return FittedMemory(m, pairs, found.margin, slack, *curves)


# Drawn

_SHADES = {1: ("#0072B2",), 2: ("#6BB3DD", "#08306B"), 3: ("#86C5EA", "#2B83BF", "#08306B")}
"""Of the colour of exp, darker for more modes."""
_TARGET: dict[str, Any] = {"color": "#BDBDBD", "linewidth": 3.6, "solid_capstyle": "butt"}
_LINES: dict[str, Any] = {"memory": "-", "sharp": (0, (4, 1.5)), "printed": (0, (1, 1.4))}
_CIRCLE: dict[str, Any] = {"markersize": 5, "markeredgecolor": "white", "markeredgewidth": 0.7, "zorder": 5}
_FLOOR, _LEAST = 1e-3, 1e-6
"""Lower end of the axis: of a power law relative to its last value, of others as it is."""


def plot(data: MemoryFunctions, axes: Sequence[Axes]) -> None:
    """One panel a target: logarithmic in both axes for a power law, else in the memory alone."""
    for ax, target in zip(axes, data.targets, strict=True):
        _panel(ax, target)


def _panel(ax: Axes, target: TargetMemory) -> None:
    slow = target.decay == "polynomial"
    low = target.memory[-1] * _FLOOR if slow else _LEAST
    high = 4 * max(max(fit.printed) for fit in target.fits)
    ax.plot(target.times, target.memory, **_TARGET)
    for fit, colour in zip(target.fits, _SHADES[len(target.fits)], strict=True):
        for name, width in (("printed", 0.9), ("sharp", 0.9), ("memory", 1.2)):
            ax.plot(target.times, getattr(fit, name), color=colour, linestyle=_LINES[name], linewidth=width)
        left = target.left_at(fit)
        if left is not None:
            place = target.memory[target.times.index(left)]
            ax.plot([left], [place], "o", color=colour, **_CIRCLE)
    ax.set(yscale="log", ylim=(low, high), title=target.title, xlabel="time $t$")
    if slow:
        ax.set(xscale="log", xlim=(target.times[1], target.times[-1]))
    else:
        ax.set_xlim(0, target.times[-1])
    ax.yaxis.minorticks_off()
    ax.grid(axis="y")
    ax.set_axisbelow(True)
    _sizes_key(ax, target)


def _sizes_key(ax: Axes, target: TargetMemory) -> None:
    from matplotlib.lines import Line2D

    colours = _SHADES[len(target.fits)]
    handles = [Line2D([], [], color=colour) for colour in colours]
    labels = [_size_text(fit) for fit in target.fits]
    ax.legend(handles, labels, loc="lower left" if target.decay == "polynomial" else "upper right", handlelength=1.2)


def _size_text(fit: FittedMemory) -> str:
    kind = ("pair" if fit.pairs else "mode") + ("" if fit.m == 1 else "s")
    return f"{fit.m} {kind}"


def draw(data: MemoryFunctions, figure: Canvas) -> None:
    from matplotlib.lines import Line2D

    axes = figure.subplots(2, 2)
    plot(data, axes.ravel().tolist())
    for row in axes:
        row[0].set_ylabel(r"memory function $\mathcal{M}(t)$")
    grey: dict[str, Any] = {"color": "#444444"}
    handles = [
        Line2D([], [], **_TARGET),
        *(Line2D([], [], linestyle=_LINES[name], **grey) for name in ("memory", "sharp", "printed")),
        Line2D([], [], marker="o", linestyle="", **_CIRCLE, **grey),
    ]
    labels = ["target", "fitted model", "its sharp bound", "its printed bound", "target leaves the sharp bound"]
    figure.legend(handles, labels, loc="outside upper center", ncols=5, columnspacing=1.4, handlelength=2.2)


def size(data: MemoryFunctions) -> tuple[float, float]:
    return PAGE, 4.7


def caption(data: MemoryFunctions) -> str:
    return (
        "Memory functions M(t) of four targets (grey) and of linear models fitted to them in the norm of Definition "
        f"2.5 (blue, darker with more modes; λ = f(w), f = {data.reparam}, real modes or conjugate pairs, seed "
        f"{data.seed}). Dashed: the sharp bound √d |c||U| e^(-rt), twice that for pairs, r = min|Re λ|, for every "
        "model (PROVED, thm-3.3-sharp). Dotted: the printed bound (d+1) |θ|² e^(-rt) (PROVED, thm-3.3-one-layer). "
        "The exponential target attains its sharp bound: memory function and bound are one line. The power law leaves "
        "the bound of every model (circles), later with more modes, whose margin r is smaller: the curse of memory, "
        "since with λ = w the perturbed error is infinite from β = r on (PROVED, thm-3.3-boundary)."
    )


def finding(data: MemoryFunctions) -> Finding:
    """Refuted by a memory function above a bound, or a target above bound + slack; else what the power laws show."""
    pairs = [(target, fit) for target in data.targets for fit in target.fits]
    for target, fit in pairs:
        for text, values, allowed in _rules(target, fit):
            broken = np.flatnonzero(np.array(values) > np.array(allowed) * (1 + _ROUNDING))
            if len(broken):
                at = f"t = {target.times[broken[0]]:.4g}, {target.spec}, {_size_text(fit)}"
                return Finding(Verdict.REFUTED, f"In floating point {text} at {at}.")
    held = f"None of {len(pairs)} fits exceeds the sharp or the printed bound at any of {len(pairs[0][0].times)} times"
    slow = [target for target in data.targets if target.decay == "polynomial"]
    for target in slow:
        left = [target.left_at(fit) for fit in target.fits]
        known = [time for time in left if time is not None]
        rising = len(known) == len(left) and all(a < b for a, b in pairwise(known))
        shrinking = all(a.margin > b.margin for a, b in pairwise(target.fits))
        if not (rising and shrinking):
            reason = f"{held}, but the data do not show {target.spec} leave later and later bounds as margins shrink."
            return Finding(Verdict.INCONCLUSIVE, reason)
        where, sizes = ", ".join(number(time, 2) for time in known), ", ".join(str(fit.m) for fit in target.fits)
        held += f"; {target.spec} leaves the sharp bounds of m = {sizes} at t = {where}"
    return Finding(Verdict.SUPPORTED, f"{held}.")


def _rules(
    target: TargetMemory, fit: FittedMemory
) -> Sequence[tuple[str, Sequence[float], Sequence[float] | NDArray[np.float64]]]:
    """(what is broken, values, their upper bounds)."""
    return (
        ("a fit's memory exceeds its sharp bound", fit.memory, fit.sharp),
        ("a fit's memory exceeds its printed bound", fit.memory, fit.printed),
        ("the target exceeds the sharp bound by more than half the variation", target.memory,
         np.array(fit.sharp) + fit.slack),
    )  # fmt: skip


FIGURE = FigureKind(
    name="memory-functions",
    title="Memory functions and the bound of Theorem 3.3",
    shows="How do the memories of targets and fitted models decay, and how do the printed and the sharp bound hold?",
    claims=(
        "def-2.1-kernel",
        "thm-3.3-sharp",
        "thm-3.3-one-layer",
        "thm-3.3-limit",
        "thm-3.3-boundary",
        "fitted-decay-bound",
    ),
    data=MemoryFunctions,
    compute=compute,
    caption=caption,
    finding=finding,
    size=size,
    draw=draw,
)
