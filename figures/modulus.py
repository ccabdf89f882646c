"""The least modulus g*(β) of every named reparameterization, enclosed, beside its closed form.

Continuous time: g*(β) = sup_{|w̃-w| ≤ β} |f(w)| ∫|e^{f(w̃)t} - e^{f(w)t}| dt, in discrete time the sum with 1 - |f(w)|
before it; f is stable where g* is continuous and tends to 0 at 0. The enclosures are those of proofs_check.decide, by
interval arithmetic over the whole line; the closed forms are derived in theory.stability and theory.discrete.
Source: Definition 3.4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from figures.figure import FigureKind, Finding
from figures.style import PAGE, base_name, looks
from proofs_check.claim import Verdict
from proofs_check.decide import decide
from theory import discrete, stability
from theory.formula import NAMED, format_formula, named
from theory.notation import a, b, beta, w
from theory.reparameterization import memory_time, symbolic_formula

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from figures.figure import Canvas

REPARAMS = {
    "continuous": (
        *("exp", "softplus", "sigmoid", "reciprocal", "best", "best:b=0.1"),
        *("direct", "relu", "best:b=0", "-(2+sin(w**2))"),
    ),
    "discrete": ("exp", "softplus", "sigmoid", "tanh", "reciprocal:b=1", "best:b=1", "direct", "relu", "best"),
}
_STEPS = ("1/1000", "1/100", "1/5", "3")
_FINE = tuple(f"{n}/1000" for n in (1, 2, 3, 5, 7, 10, 20, 30, 50, 70, 100, 200, 300, 500, 700, 1000, 1500, 2000, 3000))
RADII = {"quick": _STEPS, "full": _FINE}
POINTS_OF_LINE = 36
AT_ONCE = 4
"""Radii in one question: each has its own limit of time."""


@dataclass(frozen=True)
class Modulus:
    """lower ≤ g*(β) ≤ upper for one f; formula is the text of the closed form, line has (β, g*) of it; empty for none.

    stable: the answer of the whole line, None where it was not decided; inside: the closed form, to 40 digits, lies in
    every enclosure, None where there is none.
    """

    reparam: str
    time: str
    verdict: str
    stable: bool | None
    betas: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    formula: str
    line: tuple[tuple[float, float], ...]
    inside: bool | None

    @property
    def width(self) -> float:
        """The largest relative width of an enclosure, inf where one is open."""
        pairs = zip(self.lower, self.upper, strict=True)
        return max(0.0 if low == high else high / low - 1 if low else math.inf for low, high in pairs)


@dataclass(frozen=True)
class Moduli:
    curves: tuple[Modulus, ...]

    def some(self, time: str) -> list[Modulus]:
        return [curve for curve in self.curves if curve.time == time]


def compute(level: str = "quick", *, seed: int = 0, folder: Path | None = None) -> Moduli:
    """The enclosures, and the closed form of every stable f with a name."""
    radii = [Fraction(text) for text in RADII[level]]
    return Moduli(tuple(_modulus(f, time, radii) for time, fs in REPARAMS.items() for f in fs))


def _modulus(f: str, time: str, radii: Sequence[Fraction]) -> Modulus:
    parts = [decide(f, time=time, betas=radii[k : k + AT_ONCE]) for k in range(0, len(radii), AT_ONCE)]
    known = {radius: bracket for part in parts for radius, bracket in part.modulus}
    brackets = [known.get(radius, (0.0, math.inf)) for radius in radii]
    answers = {part.stable for part in parts}
    stable = answers.pop() if len(answers) == 1 else None
    inside: bool | None = None
    formula, line = "", tuple[tuple[float, float], ...]()
    if stable and base_name(f) in NAMED:
        general, g = closed_form(f, time)
        exact = [sp.N(g.subs(beta, sp.Rational(radius.numerator, radius.denominator)), 40) for radius in radii]
        ends = zip(brackets, exact, strict=True)
        inside = all(bool(sp.Float(low, 40) <= value <= sp.Float(high, 40)) for (low, high), value in ends)
        places = np.geomspace(float(radii[0]), float(radii[-1]), POINTS_OF_LINE).tolist()
        formula, line = format_formula(general), tuple((x, float(g.subs(beta, x))) for x in places)
    lower, upper = zip(*brackets, strict=True)
    betas = tuple(float(radius) for radius in radii)
    return Modulus(f, time, parts[0].verdict.name, stable, betas, lower, upper, formula, line, inside)


def closed_form(text: str, time: str) -> tuple[sp.Expr, sp.Expr]:
    """g* of a stable named f in beta: for any a and b, and for those of the text. ValueError where none is known."""
    base = base_name(text)
    f = symbolic_formula(base, time)
    if base not in ("best", "reciprocal"):
        g = stability.least_g_at_tail(-f) if time == "continuous" else discrete.least_g_named(base)
        return g, g
    g = stability.least_g_even(memory_time(f)) if time == "continuous" else discrete.least_g_named(base)
    tau = 1 / ((0 if time == "continuous" else 1) - named(text, time))  # a|w|^n + b
    at_zero, at_one = tau.subs(w, 0), tau.subs(w, 1)
    if time == "discrete" and not at_zero >= 1:
        raise ValueError(f"f: {text} in discrete time: a closed form is known for b >= 1 only")
    return g, g.subs({a: at_one - at_zero, b: at_zero})


# Drawn

_TITLES = {"continuous": "continuous time", "discrete": "discrete time"}
_RINGS: dict[str, dict[str, Any]] = {
    "exp": {"markersize": 6.5, "markerfacecolor": "none"},
    "softplus": {"markersize": 4.2, "markerfacecolor": "none"},
    "sigmoid": {"markersize": 1.8},
}
"""Three f with one g*: rings around each other."""
_TOP = 1e5
_LOW = 5e-4


def plot(data: Moduli, axes: NDArray[Any]) -> None:
    """Draws on two axes, continuous and discrete time; where g* is infinite, a line at the upper edge."""
    look = looks(list(dict.fromkeys(curve.reparam for curve in data.curves)))
    for ax, (time, title) in zip(axes, _TITLES.items(), strict=True):
        curves = data.some(time)
        ax.set(
            xscale="log", yscale="log", ylim=(_LOW, _TOP), xlim=(min(curves[0].betas) / 1.2, curves[0].betas[-1] * 1.2)
        )
        ax.set(xlabel=r"$\beta$", title=title)
        ticks = [10.0**k for k in range(-3, 4)]
        ax.yaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_locator(LogLocator(numticks=6))
        infinite = [curve for curve in curves if curve.lower[0] == math.inf]
        levels = [_TOP / 2.2**k for k in range(len(infinite))]
        middle = levels[len(levels) // 2] if levels else _TOP
        ax.set_yticks([*ticks, middle], [*(f"$10^{{{k}}}$" for k in range(-3, 4)), r"$\infty$"])
        ax.grid(axis="y")
        ax.axhspan(
            levels[-1] / 2.2 if levels else _TOP, _TOP * 1.5, color="#F3F3F3", zorder=0, clip_on=False, linewidth=0
        )
        ax.set_axisbelow(True)
        for curve, level in zip(infinite, levels, strict=True):
            ax.plot(curve.betas, [level] * len(curve.betas), label=curve.reparam, clip_on=False, **look[curve.reparam])
        for curve in curves:
            if curve not in infinite:
                _draw(ax, curve, look[curve.reparam])
    axes[0].set_ylabel(r"least modulus $g^*(\beta)$")


def _draw(ax: Axes, curve: Modulus, look: dict[str, Any]) -> None:
    """The closed form as a line, or else the middle of the enclosures; the enclosures as bars with a marker."""
    middle = [
        math.sqrt(low * high) if high < math.inf else low for low, high in zip(curve.lower, curve.upper, strict=True)
    ]
    x, y = zip(*curve.line, strict=True) if curve.line else (curve.betas, middle)
    ax.plot(x, y, linewidth=0.8, **look)
    marker = _RINGS.get(curve.reparam, {"markersize": 2.8})
    bars = [[m - low for m, low in zip(middle, curve.lower, strict=True)]]
    bars.append([high - m if high < math.inf else 0.0 for m, high in zip(middle, curve.upper, strict=True)])
    ax.errorbar(
        curve.betas, middle, yerr=bars, fmt="o", color=look["color"], markeredgewidth=0.8, elinewidth=0.8, **marker
    )


def draw(data: Moduli, figure: Canvas) -> None:
    axes = figure.subplots(1, 2, sharey=True)
    plot(data, axes)
    names = list(dict.fromkeys(curve.reparam for curve in data.curves))
    handles = [
        Line2D([], [], marker="o", label=name, **_RINGS.get(name, {"markersize": 2.8}), **look)
        for name, look in looks(names).items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=5, handlelength=2.6)


def size(data: Moduli) -> tuple[float, float]:
    return PAGE, 3.5


# Said


def caption(data: Moduli) -> str:
    """What was computed and how to read it."""
    first = data.curves[0].betas
    return (
        "The least modulus g*(β) that Definition 3.4 admits, in continuous time (left) and with sums and 1 - |f(w)| in "
        f"discrete time (right), for {len(first)} radii β from {first[0]:g} to {first[-1]:g}. Bars with a marker: "
        "rigorous enclosures by interval arithmetic over the whole line, most narrower than the marker (rings within "
        "each other: equal g*); lines: the closed forms, derived symbolically and independently. Those are, left, "
        f"{_forms(data, 'continuous')}; right, {_forms(data, 'discrete')}. A stable f has a g* that is continuous and "
        "tends to 0 with β; lines at the upper edge: g*(β) = ∞ for every β > 0. -(2+sin(w²)) is bounded away from 0 "
        "and ∞ and yet not stable: its g* is 2 for every β > 0. In discrete time best needs b > 1/2: with the printed "
        "b = 1/2 it starts on the boundary."
    )


def _forms(data: Moduli, time: str) -> str:
    """The closed forms, each once with the f that have it."""
    found: dict[str, list[str]] = {}
    for curve in data.some(time):
        if curve.formula:
            found.setdefault(curve.formula, []).append(curve.reparam)
    return ", ".join(f"{_readable(form)} ({', '.join(names)})" for form, names in found.items())


def _readable(form: str) -> str:
    """Without the signs of a program."""
    for sign, written in (("beta", "β"), ("sqrt", "√"), ("**2", "²"), ("*", "")):
        form = form.replace(sign, written)
    return form


def finding(data: Moduli) -> Finding:
    """Whether the enclosures and the closed forms agree for every stable f, and which f are not."""
    stable = [curve for curve in data.curves if curve.stable]
    named_ones = [curve for curve in stable if curve.inside is not None]
    outside = [f"{curve.reparam} ({curve.time} time)" for curve in named_ones if not curve.inside]
    open_ones = [f"{c.reparam} ({c.time} time)" for c in data.curves if c.stable is None or c.width == math.inf]
    if outside:
        return Finding(Verdict.REFUTED, f"The closed form of g* lies outside an enclosure: {', '.join(outside)}.")
    if open_ones or not named_ones:
        return Finding(Verdict.INCONCLUSIVE, f"Not decided: {', '.join(open_ones) or 'no stable f was looked at'}.")
    width = max(curve.width for curve in named_ones)
    reason = (
        f"Every closed form of g* lies in every enclosure of it (relative width at most {width:.2g}). Stable are, "
        f"{'; '.join(_listed(data, time) for time in _TITLES)}."
    )
    return Finding(Verdict.ENCLOSED, reason)


def _listed(data: Moduli, time: str) -> str:
    """The stable f, and the others with what their g* is."""
    curves = data.some(time)
    stable = ", ".join(curve.reparam for curve in curves if curve.stable)
    kinds = {"g* = ∞": True, "g* finite, not tending to 0": False}
    others = [
        f"{', '.join(names)} ({what})"
        for what, infinite in kinds.items()
        if (names := [c.reparam for c in curves if c.stable is False and (c.lower[0] == math.inf) == infinite])
    ]
    return f"in {_TITLES[time]}, {stable}; not stable are {' and '.join(others) or 'none'}"


FIGURE = FigureKind(
    name="modulus",
    title="Modulus g*(β) of every f",
    shows="Which reparameterizations are stable in the sense of Definition 3.4, and how stable.",
    claims=(
        "def-3.4-least-modulus",
        "def-3.4-direct",
        "def-3.4-relu",
        "def-3.4-exp",
        "def-3.4-softplus",
        "def-3.4-sigmoid",
        "def-3.4-reciprocal",
        "def-3.4-best",
        "def-3.4-best-b0",
        "def-3.4-bounded-oscillation-not-sufficient",
        "discrete-exp",
        "discrete-softplus",
        "discrete-sigmoid",
        "discrete-tanh",
        "discrete-best-half",
        "discrete-best-b",
    ),
    data=Moduli,
    compute=compute,
    caption=caption,
    finding=finding,
    size=size,
    draw=draw,
)
