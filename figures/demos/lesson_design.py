"""The pictures of the lesson in which one designs an f, and its numbers as `figures.demos.clerk` gives them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from figures.demos.brackets import bracket
from figures.demos.desk import ask
from figures.style import COLOURS
from proofs_check.claim import Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXAMPLES = {
    "exp": "-exp(w)",
    "best, with a and b": "-1/(a*w**2 + b)",
    "a bend, with a and b": "-1/(a + b*abs(w))",
    "a round bend, with a and b": "-exp(-sqrt(a + b*w**2))",
    "bounded, with b": "-exp(b*atan(w))",
    "waves, ever faster": "-exp(sin(w**2))",
    "too steep": "-exp(-w**2)",
    "touches 0": "-abs(w)",
}
"""Formulas to start from."""
SETTINGS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)
"""Of the constants a and b."""

_BEYOND, _OTHER = "#D55E00", "#444444"
_LEAST = 1e-8


def values(text: str, a: float, b: float) -> Mapping[str, Any]:
    """f on a grid, at once. Raises ValueError for what is no formula."""
    return ask("values", text, repr(a), repr(b))


def decision(text: str, a: float, b: float) -> Mapping[str, Any]:
    """The verdict with its numbers, within some seconds. Raises ValueError for what is no formula."""
    return ask("decision", text, repr(a), repr(b))


def tried(
    asked: Callable[[str, float, float], Mapping[str, Any]], text: str, a: float, b: float
) -> tuple[Mapping[str, Any] | None, str]:
    """The answer to a question, or None and what is wrong with the text."""
    try:
        return asked(text, a, b), ""
    except ValueError as error:
        return None, str(error)


def modulus_text(row: Mapping[str, Any]) -> str:
    """The bracket of g* at one β."""
    lower, upper = map(float, row["g"])
    return bracket(lower, upper, 4)


def verdict(found: Mapping[str, Any]) -> Verdict:
    return Verdict[found["verdict"]]


def statement(found: Mapping[str, Any]) -> str:
    """The verdict in words, its reason, and the counterexample if there is one."""
    word = {True: "is stable", False: "is not stable", None: "is not decided"}[found["stable"]]
    lines = [f"f(w) = {found['expression']} {word}: {found['reason']}."]
    example = found["counterexample"] or {}
    if example.get("kind") == "sequence":
        lines.append(
            f"The weights w = {example['w']} and w̃ = {example['w_tilde']} come ever closer as n grows, but "
            f"f(w)/f(w̃) tends to {example['ratio']:.5g}."
        )
    return " ".join(lines)


def grid() -> NDArray[np.float64]:
    """The w of all values."""
    return np.arange(-120, 121) / 20


# Drawn


def draw_f(figure: Figure, found: Mapping[str, Any]) -> None:
    """f against w, and the side where modes do not decay."""
    ax = figure.add_subplot()
    f = _numbers(found["f"])
    _line(ax, f)
    ax.axhspan(0, 10, color=_BEYOND, alpha=0.15, linewidth=0)
    ax.axhline(0, color=_BEYOND, linestyle="--", linewidth=0.8)
    finite = f[np.isfinite(f)]
    low = max(float(finite.min()), -5.0) if finite.size else -5.0
    ax.set(ylim=(min(low * 1.05, -0.05), max(-low * 0.15, 0.05)), ylabel=r"$\lambda=f(w)$")


def draw_logarithm(figure: Figure, found: Mapping[str, Any]) -> None:
    """log|f| against w, where f < 0: it is this curve that must be uniformly continuous."""
    ax = figure.add_subplot()
    f = _numbers(found["f"])
    with np.errstate(invalid="ignore", divide="ignore"):
        _line(ax, np.where(f < 0, np.log(-f), np.nan))
    ax.set(ylabel=r"$\log\,|f(w)|$")


def draw_scale(figure: Figure, found: Mapping[str, Any]) -> None:
    """|f'|/f² against w."""
    ax = figure.add_subplot()
    scale = np.maximum(_numbers(found["scale"]), _LEAST)
    _line(ax, scale)
    ax.set(ylabel=r"gradient scale $|f'|/f^2$")
    if np.isfinite(scale).any():
        low, high = float(np.nanquantile(scale, 0.02)), float(np.nanmax(scale))
        low = max(low, high * 1e-8)
        ax.set(yscale="log", ylim=(low / 2, high * 2))
        if high > 100 * low:
            ax.yaxis.minorticks_off()
    else:
        _no_data(ax)


def draw_modulus(figure: Figure, found: Mapping[str, Any]) -> None:
    """The least g against β, with that of exp."""
    ax = figure.add_subplot()
    betas = np.geomspace(0.01, 1, 41)
    ax.plot(betas, np.expm1(betas), color=COLOURS["exp"], linestyle="--", label="exp")
    rows = [(row["beta"], *map(float, row["g"])) for row in found["modulus"]]
    finite = [row for row in rows if row[2] < math.inf and row[2] > 0]
    ax.plot([row[0] for row in finite], [row[2] for row in finite], "o-", color=_OTHER, markersize=4, label="your f")
    lost = [row[0] for row in rows if row[2] == math.inf]
    highest = max([10.0, *(3 * row[2] for row in finite)])
    if lost:
        label = None if finite else "your f: infinite"
        ax.plot(lost, [highest * 0.7] * len(lost), "^", color=_BEYOND, markersize=5, label=label)
    ax.set(xscale="log", yscale="log", xlim=(0.008, 1.3), ylim=(min([5e-3, *(row[2] / 2 for row in finite)]), highest))
    ax.set(xlabel=r"perturbation $\beta$", ylabel=r"least modulus $g^*(\beta)$")
    ax.minorticks_off()
    ax.legend(loc="lower right", frameon=False)


def _numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([math.nan if value is None else value for value in values])


def _line(ax: Axes, values: NDArray[np.float64]) -> None:
    ax.plot(grid(), values, color=_OTHER)
    ax.set(xlim=(-6, 6), xlabel="$w$")


def _no_data(ax: Axes) -> None:
    ax.text(0.5, 0.5, "not determined", transform=ax.transAxes, ha="center", va="center")
