"""The perturbed error against β for every parameterization: brackets of E_m(β), and the estimate that was published.

Above: E_m(β) with w alone moved; middle: with all weights moved, plain and unit-norm modes; below: the largest error
of random moves, stepped exactly and by explicit Euler with dt = 1 (numerics.euler_perturbation). A column for each f;
all models of one size have the same kernel, the explicit sum for the target, so that only f differs.
Source: the first figure of the paper; what it estimates is Definition 2.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from figures.figure import FigureKind, Finding
from figures.style import COLOURS, PAGE, base_name
from proofs_check.claim import Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from figures.figure import Canvas
    from numerics.targets import Target

TARGET = "polynomial:p=1.5:s=2"
REPARAMS = ("direct", "softplus", "exp", "best:b=0.1")
SIZES = (8, 16, 32, 64)
RADII = {"quick": (1e-3, 1e-2, 1e-1, 2.0), "full": tuple(1e-3 * 2.0**k for k in range(12))}
UNIT_NORM = {"quick": ("exp",), "full": ("softplus", "exp", "best:b=0.1")}
SEARCH = {"quick": (2, 15), "full": (12, 40)}
"""Starts and steps of the search for the lower ends: fewer make a bracket wider, not wrong."""
SHARES = {"quick": (0.01, 0.1, 0.99, 1.001), "full": (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.001)}
"""Of min|λ|, where direct is looked at."""
RANDOM_RADII = tuple(1e-3 * 2.0 ** (k / 2) for k in range(23))
BLOWN_UP = 100.0
"""How many times larger than after the exact step an estimate is where it has blown up under Euler's."""


@dataclass(frozen=True)
class Band:
    """lower ≤ E_m(β) ≤ upper for one model; groups is w or all; margin is min|λ|."""

    reparam: str
    modes: str
    groups: str
    m: int
    margin: float
    betas: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]

    @property
    def width(self) -> float:
        """The largest relative width of a finite bracket."""
        pairs = zip(self.lower, self.upper, strict=True)
        return max((high / low - 1 for low, high in pairs if low < math.inf), default=0.0)


@dataclass(frozen=True)
class Estimate:
    """The largest error of random moves under either step.

    passing: how many of the moves of each size have an eigenvalue below -1 under Euler's step; radius: the least β for
    which the weights can be moved so, from f and w.
    """

    reparam: str
    m: int
    radius: float
    betas: tuple[float, ...]
    euler: tuple[float, ...]
    exact: tuple[float, ...]
    passing: tuple[int, ...]

    @property
    def blow_up(self) -> float:
        """The least β at which Euler's estimate is 100 times the exact one; inf where it is nowhere."""
        pairs = zip(self.betas, self.euler, self.exact, strict=True)
        return min((beta for beta, euler, exact in pairs if euler > BLOWN_UP * exact), default=math.inf)

    @property
    def ratio_before(self) -> float:
        """The largest ratio of the two estimates over the β up to which no move has passed -1."""
        rows = zip(self.euler, self.exact, np.cumsum(self.passing).tolist(), strict=True)
        return max((max(euler / exact, exact / euler) for euler, exact, count in rows if not count), default=math.nan)


@dataclass(frozen=True)
class PerturbationError:
    target: str
    level: str
    draws: int
    horizon: int
    bands: tuple[Band, ...]
    estimates: tuple[Estimate, ...]

    @property
    def reparams(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(band.reparam for band in self.bands))

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(band.m for band in self.bands))

    def some(self, reparam: str, groups: str, modes: str = "plain") -> list[Band]:
        wanted = (reparam, groups, modes)
        return [band for band in self.bands if (band.reparam, band.groups, band.modes) == wanted]


def compute(level: str = "quick", *, seed: int = 0, folder: Path | None = None) -> PerturbationError:
    """The brackets and the estimates for every f and size."""
    from numerics.euler_perturbation import DRAWS, HORIZON
    from numerics.targets import parse_target

    target = parse_target(TARGET)
    kinds = [(f, "plain", groups) for groups in ("w", "all") for f in REPARAMS]
    kinds += [(f, "unit-norm", "all") for f in UNIT_NORM[level]]
    bands = tuple(_band(target, *kind, m, level, seed) for kind in kinds for m in SIZES)
    estimates = tuple(_estimate(target, f, m, seed) for f in REPARAMS for m in SIZES)
    return PerturbationError(TARGET, level, DRAWS, HORIZON, bands, estimates)


def _band(target: Target, f: str, modes: str, groups: str, m: int, level: str, seed: int) -> Band:
    from numerics.expsum import explicit_model
    from numerics.perturbation import linear_perturbed_error

    model = explicit_model(target, m, f, modes)
    margin = float(model.stability_margin)
    betas = [share * margin for share in SHARES[level]] if f == "direct" else RADII[level]
    starts, steps = SEARCH[level]
    moved = ("w",) if groups == "w" else None
    found = linear_perturbed_error(model, target, betas, groups=moved, starts=starts, steps=steps, seed=seed)
    lower, upper = (tuple(end.tolist()) for end in (found.lower, found.upper))
    return Band(f, modes, groups, m, margin, tuple(betas), lower, upper)


def _estimate(target: Target, f: str, m: int, seed: int) -> Estimate:
    from numerics.euler_perturbation import euler_model, euler_radius, random_errors
    from numerics.expsum import explicit_model

    model = explicit_model(target, m, f)
    stepped = euler_model(model)
    euler = random_errors(stepped, target, RANDOM_RADII, step="euler", seed=seed)
    exact = random_errors(model, target, RANDOM_RADII, step="exact", seed=seed)
    first, second = (tuple(found.estimate.tolist()) for found in (euler, exact))
    passing = tuple((euler.least < -1).sum(-1).tolist())
    return Estimate(f, m, euler_radius(stepped), RANDOM_RADII, first, second, passing)


# Drawn

_LIMITS = ((1e-6, 30.0), (1e-6, 1e14), (1e-6, 1e7))
_WIDE = (1e-14, 2.0)
_NARROW = (1e-3, 2.1)


def plot(data: PerturbationError, axes: NDArray[np.object_]) -> None:
    """Draws on axes (3, number of f)."""
    for column, f in enumerate(data.reparams):
        wide = f == "direct"
        for row, ax in enumerate(axes[:, column]):
            ax.set(xscale="log", yscale="log", ylim=_LIMITS[row], xlim=_WIDE if wide and row < 2 else _NARROW)
            ax.yaxis.set_major_locator(LogLocator(numticks=6))
            ax.yaxis.set_minor_locator(NullLocator())
            ax.xaxis.set_major_locator(LogLocator(numticks=5))
            ax.grid(axis="y")
            ax.set_axisbelow(True)
            if column:
                ax.tick_params(labelleft=False)
        axes[0, column].set_title(f)
        axes[2, column].set_xlabel(r"$\beta$")
        for row, groups in enumerate(("w", "all")):
            for band in data.some(f, groups):
                _draw_band(axes[row, column], band, data.sizes)
        for band in data.some(f, "all", "unit-norm"):
            _draw_band(axes[1, column], band, data.sizes)
        for estimate in data.estimates:
            if estimate.reparam == f:
                _draw_estimate(axes[2, column], estimate, data.sizes)
    labels = (r"$E_m(\beta)$, only $w$ moves", r"$E_m(\beta)$, all weights move", "estimate, random moves")
    for ax, label in zip(axes[:, 0], labels, strict=True):
        ax.set_ylabel(label)


def _shade(colour: str, m: int, sizes: tuple[int, ...]) -> tuple[float, float, float]:
    """The colour for the largest model, lighter for smaller ones."""
    share = 0.32 + 0.68 * (sizes.index(m) + 1) / len(sizes) if len(sizes) > 1 else 1.0
    red, green, blue = (1 - share * (1 - part) for part in to_rgb(colour))
    return red, green, blue


def _draw_band(ax: Axes, band: Band, sizes: tuple[int, ...]) -> None:
    """The bracket as a band; where it becomes infinite, a rise at the last finite β to the edge."""
    colour = _shade(COLOURS[base_name(band.reparam)], band.m, sizes)
    finite = [k for k, high in enumerate(band.upper) if math.isfinite(high)]
    x, low, high = ([values[k] for k in finite] for values in (band.betas, band.lower, band.upper))
    if len(finite) < len(band.betas):
        x, low, high = [min(ax.get_xlim()[0], x[0]), *x], [low[0], *low], [high[0], *high]
        ax.plot([band.margin] * 2, [high[-1], ax.get_ylim()[1]], color=colour, linestyle=(0, (1, 1.2)))
        ax.plot(band.margin, ax.get_ylim()[1], "^", color=colour, markersize=4, clip_on=False, zorder=4)
    line = "-" if band.modes == "plain" else (0, (3, 1.2))
    ax.fill_between(x, low, high, color=colour, alpha=0.5, linewidth=0)
    ax.plot(x, [math.sqrt(a * b) for a, b in zip(low, high, strict=True)], color=colour, linestyle=line, linewidth=0.9)


def _draw_estimate(ax: Axes, found: Estimate, sizes: tuple[int, ...]) -> None:
    colour = _shade(COLOURS[base_name(found.reparam)], found.m, sizes)
    top = ax.get_ylim()[1] * 10
    for values, line in ((found.euler, "-"), (found.exact, (0, (1, 1.2)))):
        ax.plot(found.betas, np.minimum(values, top), color=colour, linestyle=line)
    if found.radius < ax.get_xlim()[1]:
        ax.plot(found.radius, ax.get_ylim()[0], "v", color=colour, markersize=4, clip_on=False, zorder=4)


def draw(data: PerturbationError, figure: Canvas) -> None:
    plot(data, figure.subplots(3, len(data.reparams), squeeze=False))
    grey = "#000000"
    handles = [Line2D([], [], color=_shade(grey, m, data.sizes), label=f"$m$ = {m}") for m in data.sizes]
    styles: tuple[tuple[str, dict[str, Any]], ...] = (
        ("unit-norm modes", {"linestyle": (0, (3, 1.2))}),
        (r"min$|\lambda|$: $E_m=\infty$ beyond", {"marker": "^", "linestyle": (0, (1, 1.2)), "markersize": 4}),
        ("Euler's step", {"linestyle": "-"}),
        ("exact step", {"linestyle": (0, (1, 1.2))}),
        (r"Euler's step can pass $-1$", {"marker": "v", "linestyle": "none", "markersize": 4}),
    )
    handles += [Line2D([], [], color="#555555", label=label, **look) for label, look in styles]
    figure.legend(handles=handles, loc="outside upper center", ncols=5)


def size(data: PerturbationError) -> tuple[float, float]:
    return PAGE, 5.6


# Said


def caption(data: PerturbationError) -> str:
    """What was computed and how to read it."""
    widest = max(band.width for band in data.bands)
    unit = ", ".join(dict.fromkeys(band.reparam for band in data.bands if band.modes == "unit-norm"))
    return (
        f"Perturbed error against β for the target {data.target} and models with m = "
        f"{', '.join(map(str, data.sizes))} modes (darker: larger m) of one kernel, the explicit sum of exponentials "
        "with |c_i| = |U_i|, so that only f differs between the columns. Above and middle: E_m(β) of Definition 2.5 "
        f"in W^{{1,∞}} over a joint ball, a band between an attained lower and an upper bound, {widest:.0%} wide at "
        "most; for direct an arrow marks min|λ|, from which E_m is infinite (that column has a longer axis there). "
        f"Dashed: unit-norm modes ({unit}). Below: the published way to estimate it, the largest time-weighted mean "
        f"square error over {data.draws} Gaussian moves of w, U and c scaled to maximum norm β, for white noise over "
        f"T = {data.horizon} steps from h = 0, running maximum over β; solid by explicit Euler with dt = 1, dotted by "
        "the exact step e^λ, from weights that give both the same kernel. A triangle marks the β from which some "
        "λ̃ < -2 can be reached, where an eigenvalue of Euler's step passes -1. As published: weights in time, noise, "
        "moves, horizon and step; not so: the models are explicit and not trained, diagonal and without biases, and "
        "the mean over the noise is taken in closed form. Which f meets the triangle first depends on where its "
        "weights start: here, from equal rates, exp before softplus; in the published figure softplus, and exp not up "
        "to β = 1. In this way neither a supremum over the ball nor a norm over all inputs and times is seen, so that "
        "for direct nothing shows at min|λ|."
    )


def finding(data: PerturbationError) -> Finding:
    """Whether the data show the three readings, and whose the blow-ups under random moves are."""
    stable = [f for f in data.reparams if f != "direct"]
    failed = [name for name, holds in _checks(data, stable) if not holds]
    worst = max(estimate.ratio_before for estimate in data.estimates if estimate.reparam in stable)
    places = "; ".join(f"{f}: {_place(data, f)}" for f in stable)
    last = max(beta for band in data.bands for beta in band.betas)
    highest = max(band.upper[-1] for f in stable for band in data.some(f, "w"))
    if failed:
        return Finding(Verdict.INCONCLUSIVE, f"Not seen in these data: {'; '.join(failed)}.")
    least = data.some("direct", "w")[-1].margin
    reason = (
        f"With w alone moved, E_m(β) of {', '.join(stable)} stays at most {highest:.3g} up to β = {last:g} and does "
        f"not grow with m, while direct's is infinite from min|λ| on, which falls to {least:.1g} at m = "
        f"{data.sizes[-1]}; with all weights moved it grows with m for every f, but not with unit-norm modes. Under "
        f"random moves the blow-ups of {', '.join(stable)} are the discretization's: up to where a move passes -1 "
        f"under Euler's step the estimates of the two steps agree within a factor {worst:.2g}, beyond it Euler's alone "
        f"blows up ({places})."
    )
    return Finding(Verdict.SUPPORTED, reason)


def _place(data: PerturbationError, f: str) -> str:
    some = [estimate for estimate in data.estimates if estimate.reparam == f]
    radius, blow_up = (min(getattr(x, name) for x in some) for name in ("radius", "blow_up"))
    return f"-1 can be passed from β = {radius:.2g}, blow-up seen at {blow_up:.2g}"


def _checks(data: PerturbationError, stable: list[str]) -> list[tuple[str, bool]]:
    """What the finding says, statement by statement."""
    direct = [band for groups in ("w", "all") for band in data.some("direct", groups)]
    recurrent = [data.some(f, "w") for f in stable]
    plain = [data.some(f, "all") for f in stable]
    unit = [bands for f in stable if (bands := data.some(f, "all", "unit-norm"))]
    estimates = [estimate for estimate in data.estimates if estimate.reparam in stable]
    return [
        ("direct infinite exactly from min|λ| on", all(map(_infinite_from_margin, direct))),
        ("min|λ| falling as m grows", all(a.margin > b.margin for a, b in pairwise(data.some("direct", "w")))),
        ("w alone: finite, and not growing with m", all(map(_bounded, recurrent))),
        ("all weights: growing with m", all(one[-1].lower[-1] > 10 * one[0].upper[-1] for one in plain)),
        ("unit-norm modes: finite, and not growing with m", bool(unit) and all(map(_bounded, unit))),
        ("no blow-up before Euler's step can pass -1", all(x.blow_up >= x.radius for x in estimates)),
        ("a blow-up of every f", all(x.blow_up < math.inf for x in estimates)),
        ("equal estimates up to there", all(x.ratio_before < 2 for x in estimates)),
    ]


def _infinite_from_margin(band: Band) -> bool:
    pairs = zip(band.betas, band.lower, band.upper, strict=True)
    return all(math.isfinite(high) if beta < band.margin else low == math.inf for beta, low, high in pairs)


def _bounded(bands: list[Band]) -> bool:
    """No upper end of the largest model more than a tenth above that of the smallest."""
    pairs = zip(bands[-1].upper, bands[0].upper, strict=True)
    return all(large < 1.1 * small < math.inf for large, small in pairs)


FIGURE = FigureKind(
    name="perturbation-error",
    title="Perturbation error against β",
    shows="Which parameterizations keep the perturbed error finite, and what the published estimate sees of it.",
    claims=(
        "sequence-vanilla-curse",
        "sequence-recurrent-bounded",
        "sequence-all-weights-diverges",
        "sequence-unit-norm-repair",
        "all-weights-lower-bound",
    ),
    data=PerturbationError,
    compute=compute,
    caption=caption,
    finding=finding,
    size=size,
    draw=draw,
)
