"""The perturbed error E_m(β) against m: where Theorem 3.5 holds and where it does not.

Explicit models of one power law, the same rates for every f. Only w moves: bounded for a stable f. All weights move, as
Definition 2.5 is printed: E_m(β) grows like 1/min|λ| whatever f is. All weights of unit-norm modes: bounded again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from figures.figure import FigureKind, Finding
from figures.model_sizes import MARKS, logarithmic_sizes
from figures.style import PAGE, looks
from proofs_check.claim import Verdict
from proofs_check.tendency import tendency

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from figures.figure import Canvas
    from numerics.curse import CurseTable

TARGET = "polynomial:p=1.5"
REPARAMS = ("direct", "softplus", "exp", "best:b=0.02")
SIZES = {"quick": ((8, 16, 32), (0.001, 0.1)), "full": ((8, 16, 32, 64, 128), (0.001, 0.1))}
"""m and β."""
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Setting:
    """A column of the figure: which weights move, and the kind of modes."""

    name: str
    title: str
    modes: str
    groups: tuple[str, ...]


SETTINGS = (
    Setting("recurrent", "recurrent weights $w$ move", "plain", ("w",)),
    Setting("all", "all weights move", "plain", ("w", "U", "c")),
    Setting("unit-norm", "all weights, unit-norm modes", "unit-norm", ("w", "U", "c")),
)


@dataclass(frozen=True)
class Bracket:
    """lower ≤ E_m(β) ≤ upper; `initial` is E_m(0), `margin` min|λ|."""

    setting: str
    reparam: str
    beta: float
    m: int
    lower: float
    upper: float
    initial: float
    margin: float


@dataclass(frozen=True)
class Proved:
    """What a theorem of the ledger says of E_m(β) as m → ∞; claim None: none says anything, nor does `bounded`."""

    setting: str
    reparam: str
    bounded: bool | None
    claim: str | None


@dataclass(frozen=True)
class CostOfAllWeights:
    """E_m(β) ≥ lower where all weights of a model with this margin move, plain modes, whatever f is."""

    beta: float
    m: int
    lower: float


@dataclass(frozen=True)
class ErrorAgainstSize:
    level: str
    seed: int
    target: str
    sequence: str
    brackets: tuple[Bracket, ...]
    proved: tuple[Proved, ...]
    costs: tuple[CostOfAllWeights, ...]
    notes: tuple[str, ...]

    @property
    def betas(self) -> tuple[float, ...]:
        return tuple(sorted({row.beta for row in self.brackets}))

    @property
    def dims(self) -> tuple[int, ...]:
        return tuple(sorted({row.m for row in self.brackets}))

    @property
    def reparams(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(row.reparam for row in self.brackets))

    def curve(self, setting: str, reparam: str, beta: float) -> list[Bracket]:
        """The brackets of one f and β in a column, by m."""
        wanted = (setting, reparam, beta)
        found = [row for row in self.brackets if (row.setting, row.reparam, row.beta) == wanted]
        return sorted(found, key=lambda row: row.m)


# Computed


def compute(level: str = "quick", *, seed: int = 0, folder: Path | None = None) -> ErrorAgainstSize:
    """The brackets of the explicit sequence, the verdicts of the theorems, and the lower bound for all weights."""
    from numerics.curse import curse_table
    from numerics.targets import parse_target
    from proofs_check.curse_verdicts import curse_verdicts
    from theory.all_weights import slow_mode_lower

    del folder
    dims, betas = SIZES[level]
    target = parse_target(TARGET)
    brackets: list[Bracket] = []
    proved: list[Proved] = []
    notes: list[str] = []
    for setting in SETTINGS:
        table = curse_table(
            target, dims, REPARAMS, betas, modes=(setting.modes,), groups=setting.groups, seed=seed
        )  # fmt: skip
        brackets += _brackets(setting, table)
        proved += [Proved(setting.name, v.reparam, v.bounded, v.claim) for v in curse_verdicts(table)]
        notes += table.notes
    margins = {row.m: row.margin for row in brackets if row.setting == "all"}
    costs = [CostOfAllWeights(beta, m, float(slow_mode_lower(margins[m], beta))) for beta in betas for m in dims]
    once = tuple(dict.fromkeys(notes))
    return ErrorAgainstSize(level, seed, TARGET, table.sequence, tuple(brackets), tuple(proved), tuple(costs), once)


def _brackets(setting: Setting, table: CurseTable) -> list[Bracket]:
    return [
        Bracket(setting.name, row.reparam, row.beta, row.m, row.lower, row.upper, row.initial, row.margin)
        for row in table.rows
    ]


# Drawn

_DODGE = 0.06
"""Of a doubling of m, by which the marks of neighbouring f stand apart."""


def plot(data: ErrorAgainstSize, axes: NDArray[np.object_]) -> None:
    """One row a β, one column a setting; all on one scale."""
    top = _top(data)
    for row, beta in zip(axes, data.betas, strict=True):
        for ax, setting in zip(row, SETTINGS, strict=True):
            _panel(ax, data, setting, beta, top)
        row[0].set_ylabel(rf"$E_m(\beta)$ at $\beta = {beta:g}$")
    for ax, setting in zip(axes[0], SETTINGS, strict=True):
        ax.set_title(setting.title)
    for ax in axes[:-1].ravel():
        ax.set_xlabel("")


def _top(data: ErrorAgainstSize) -> float:
    """The upper edge of all panels, where what is infinite is marked."""
    finite = [x for row in data.brackets for x in (row.lower, row.upper) if x < math.inf]
    return 30 * max(finite)


def _panel(ax: Axes, data: ErrorAgainstSize, setting: Setting, beta: float, top: float) -> None:
    ax.set_yscale("log")
    logarithmic_sizes(ax, data.dims)
    low = min(row.initial for row in data.brackets)
    _powers(ax, low / 3, top)
    ax.set(ylim=(low / 3, top), xlim=(data.dims[0] / 1.25, data.dims[-1] * 1.25))
    ax.yaxis.minorticks_off()
    ax.grid(axis="y")
    ax.set_axisbelow(True)
    if setting.name == "all":
        costs = [cost for cost in data.costs if cost.beta == beta]
        ax.plot([cost.m for cost in costs], [cost.lower for cost in costs], color="#999999", linestyle=":", zorder=1)
    look = looks(data.reparams)
    for place, reparam in enumerate(data.reparams):
        rows = data.curve(setting.name, reparam, beta)
        shift = 2 ** (_DODGE * (place - (len(data.reparams) - 1) / 2))
        _draw(ax, rows, {**look[reparam], "marker": MARKS[place]}, shift, top)
    rows = data.curve(setting.name, data.reparams[0], beta)
    ax.plot([row.m for row in rows], [row.initial for row in rows], color="#BBBBBB", linewidth=1.6, zorder=0)


def _powers(ax: Axes, low: float, top: float) -> None:
    """Ticks at about six powers of 10, and ∞ at the upper edge."""
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(top) - 1.4)
    step = max(1, math.ceil((last - first) / 6))
    powers = range(step * math.ceil(first / step), last + 1, step)
    ax.set_yticks([*(10.0**power for power in powers), top], [*(f"$10^{{{power}}}$" for power in powers), r"$\infty$"])


def _draw(ax: Axes, rows: Sequence[Bracket], look: Mapping[str, Any], shift: float, top: float) -> None:
    """Brackets as bars joined by a line through their middles; infinite ones as triangles at the upper edge."""
    finite = [row for row in rows if row.upper < math.inf]
    at = [row.m * shift for row in finite]
    ax.vlines(at, [row.lower for row in finite], [row.upper for row in finite], color=look["color"], linewidth=2.4)
    middles = [math.sqrt(row.lower * row.upper) for row in finite]
    ax.plot(at, middles, markersize=3, linewidth=0.9, **look)
    beyond = [row.m * shift for row in rows if math.isinf(row.upper)]
    if at and beyond:
        ax.plot([at[-1], beyond[0]], [middles[-1], top], color=look["color"], linewidth=0.6, linestyle=(0, (4, 2)))
    (marks,) = ax.plot(beyond, [top] * len(beyond), "^", markersize=4.5, color=look["color"], clip_on=False, zorder=4)
    marks.set_in_layout(False)


def draw(data: ErrorAgainstSize, figure: Canvas) -> None:
    from matplotlib.lines import Line2D

    axes = figure.subplots(len(data.betas), len(SETTINGS), sharex=True, sharey=True, squeeze=False)
    plot(data, axes)
    look = looks(data.reparams)
    handles = [Line2D([], [], marker=MARKS[i], markersize=3, **look[name]) for i, name in enumerate(data.reparams)]
    handles += [
        Line2D([], [], color="#BBBBBB", linewidth=1.6),
        Line2D([], [], color="#999999", linestyle=":"),
        Line2D([], [], color="#444444", linestyle="", marker="^", markersize=4.5),
    ]
    labels = [*data.reparams, "$E_m(0)$", "lower bound for any $f$", "infinite"]
    figure.legend(handles, labels, loc="outside upper center", ncols=7, columnspacing=1.2, handlelength=1.8)


def size(data: ErrorAgainstSize) -> tuple[float, float]:
    return PAGE, 0.9 + 1.75 * len(data.betas)


def caption(data: ErrorAgainstSize) -> str:
    betas, sizes = " and ".join(f"{beta:g}" for beta in data.betas), ", ".join(str(m) for m in data.dims)
    notes = "".join(f" {note}." for note in data.notes)
    return (
        f"Perturbed error E_m(β) of {data.sequence} models of {data.target} with m = {sizes} real modes (trapezoidal "
        f"rule in log λ, |c| = |u|, the same rates for every f), β = {betas}, joint ball, seed {data.seed}. Bars are "
        "brackets of E_m(β), mostly smaller than the marks; triangles at the upper edge are infinite. Left: only w "
        "moves, and Theorem 3.5 holds for a stable f (PROVED, thm-3.5-recurrent-only) but not for λ = w (PROVED, "
        "thm-3.3-boundary). Middle: all weights move, as printed, and no f is stable: E_m(β) ≥ β²(2 + 1/min|λ|)/2, "
        "dotted (PROVED, all-weights-lower-bound). Right: unit-norm modes repair it for a stable f (PROVED, "
        f"unit-norm-bound).{notes}"
    )


def finding(data: ErrorAgainstSize) -> Finding:
    """The tendency of the brackets in m against what is proved of every sequence, and against the lower bound."""
    for row, cost in _above(data):
        if row.upper < cost.lower * (1 - _ROUNDING):
            at = f"{row.reparam}, m = {row.m}, β = {row.beta:g}"
            return Finding(Verdict.REFUTED, f"E_m(β) ≤ {row.upper:.5g} lies below β²(2 + 1/min|λ|)/2 at {at}.")
    undecided, agreed = [], 0
    for proved in data.proved:
        seen = _seen(data, proved)
        where = f"{proved.reparam}, {proved.setting}"
        if seen is None or proved.claim is None:
            undecided.append(where)
        elif seen is not proved.bounded:
            word = "grows" if proved.bounded else "stays bounded"
            return Finding(Verdict.REFUTED, f"E_m(β) {word} for {where}, against {proved.claim}.")
        else:
            agreed += 1
    if undecided or not agreed:
        return Finding(Verdict.INCONCLUSIVE, f"No tendency up to m = {data.dims[-1]}: {'; '.join(undecided)}.")
    groups = {s.name: [p.reparam for p in data.proved if p.setting == s.name and p.bounded] for s in SETTINGS}
    texts = [f"{', '.join(names) or 'no f'} ({setting})" for setting, names in groups.items()]
    return Finding(
        Verdict.SUPPORTED,
        f"Up to m = {data.dims[-1]} E_m(β) stays bounded for {'; '.join(texts)}, and grows or is infinite otherwise, "
        "as is proved of the sequence.",
    )


def _above(data: ErrorAgainstSize) -> Iterator[tuple[Bracket, CostOfAllWeights]]:
    costs = {(cost.beta, cost.m): cost for cost in data.costs}
    for row in data.brackets:
        if row.setting == "all":
            yield row, costs[row.beta, row.m]


def _seen(data: ErrorAgainstSize, proved: Proved) -> bool | None:
    """Whether E_m(β) stays bounded: False where it grows for one β, None where one is unclear."""
    curves = [data.curve(proved.setting, proved.reparam, beta) for beta in data.betas]
    answers = [tendency({row.m: (row.lower, row.upper) for row in curve}) for curve in curves]
    return False if False in answers else None if None in answers else True


FIGURE = FigureKind(
    name="error-against-size",
    title="Perturbed error against the number of modes",
    shows="For which weights does Theorem 3.5 hold as the models grow?",
    claims=(
        "thm-3.5-all-weights",
        "thm-3.5-recurrent-only",
        "all-weights-lower-bound",
        "unit-norm-bound",
        "thm-3.3-boundary",
        "sequence-recurrent-bounded",
        "sequence-all-weights-diverges",
        "sequence-unit-norm-repair",
    ),
    data=ErrorAgainstSize,
    compute=compute,
    caption=caption,
    finding=finding,
    size=size,
    draw=draw,
)
