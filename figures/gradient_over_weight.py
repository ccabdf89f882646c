"""The largest |gradient|/|weight| of the recurrent weights during training, for every f, in both times."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures import training_curves
from figures.figure import FigureKind, Finding
from figures.style import PAGE, looks
from figures.table_files import Table
from figures.training_curves import TrainingCurves, plot_curves
from figures.training_runs import (
    RunRow,
    TrainedRuns,
    TrainingSetting,
    answered,
    cell_runs,
    curve_rates,
    discrete_runs,
    median_of,
    run_rows,
    training_runs,
    training_setting,
)
from figures.wording import number, sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from figures.figure import Canvas

QUESTION = "Does best keep the smallest maximal gradient over weight?"
_QUANTITY = "gradient_over_weight"


@dataclass(frozen=True)
class Part:
    """One training table: its setting, runs, and the curves at one or two learning rates."""

    setting: TrainingSetting
    runs: tuple[RunRow, ...]
    curves: TrainingCurves


@dataclass(frozen=True)
class GradientOverWeight:
    """The runs in continuous and in discrete time."""

    continuous: Part
    discrete: Part


def compute(level: str = "quick", *, seed: int = 0, folder: Path | None = None) -> GradientOverWeight:
    """From the training runs that the figures share."""
    return GradientOverWeight(_part(training_runs(level, seed, folder)), _part(discrete_runs(level, seed, folder)))


def _part(runs: TrainedRuns) -> Part:
    curves = training_curves.compute(runs.records, curve_rates(runs), (_QUANTITY,))
    return Part(training_setting(runs), run_rows(runs), curves)


# Drawn


def _panels(data: GradientOverWeight) -> list[tuple[Part, float]]:
    return [(part, rate) for part in (data.continuous, data.discrete) for rate in part.curves.rates]


def _columns(data: GradientOverWeight) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*data.continuous.setting.columns, *data.discrete.setting.columns)))


def plot(data: GradientOverWeight, axes: NDArray[Any]) -> None:
    """On axes (2, panels): above the curves, below a point for each run: its largest value."""
    look = looks(_columns(data))
    every = [curve for part in (data.continuous, data.discrete) for curve in part.curves.curves]
    for (part, rate), above, below in zip(_panels(data), axes[0], axes[1], strict=True):
        plot_curves(above, [curve for curve in part.curves.curves if curve.learning_rate == rate], look, every)
        above.set_xlim(0, part.setting.steps)
        above.set_title(f"{part.setting.time} time, rate {rate:g}")
        above.set_xlabel("step")
        _plot_maxima(below, part, rate, look)
        below.set_xlim(_span(data))
    axes[0, 0].set_ylabel("max |gradient|/|weight|")


def _plot_maxima(ax: Axes, part: Part, rate: float, look: dict[str, dict[str, Any]]) -> None:
    """A row for each column: a disc for a run that finished, a cross for one that diverged, a bar at the median."""
    columns = part.setting.columns
    for row, column in enumerate(columns):
        colour = look[column]["color"]
        runs = [run for run in cell_runs(part.runs, column, rate) if run.gradient_over_weight]
        for marker, result in (("o", "finished"), ("x", "diverged")):
            values = [run.gradient_over_weight or math.nan for run in runs if run.result == result]
            (points,) = ax.plot(
                values, [row] * len(values), marker, color=colour, markersize=3.5, zorder=3, clip_on=False
            )
            points.set_in_layout(False)
        if runs:
            middle = median_of([run.gradient_over_weight for run in runs])
            ax.plot([middle, middle], [row - 0.32, row + 0.32], color=colour, linewidth=1.4)
    ax.set(xscale="log", ylim=(len(columns) - 0.5, -0.5), yticks=range(len(columns)), yticklabels=columns)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x")
    ax.set_axisbelow(True)
    ax.set_xlabel("largest of all steps")
    ax.minorticks_off()


def _span(data: GradientOverWeight) -> tuple[float, float]:
    values = [
        run.gradient_over_weight
        for part, rate in _panels(data)
        for run in part.runs
        if run.learning_rate == rate and run.gradient_over_weight
    ]
    return (min(values) / 1.6, max(values) * 1.6) if values else (0.5, 2.0)


def draw(data: GradientOverWeight, figure: Canvas) -> None:
    axes = figure.subplots(2, len(_panels(data)), squeeze=False)
    plot(data, axes)
    for ax in axes[0, 1:]:
        ax.sharey(axes[0, 0])
        ax.tick_params(labelleft=False)
    for ax in axes[1, 1 : len(data.continuous.curves.rates)]:
        ax.tick_params(labelleft=False)
    look = looks(_columns(data))
    handles = [axes[0, 0].plot([], [], label=name, **style)[0] for name, style in look.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 4))


def size(data: GradientOverWeight) -> tuple[float, float]:
    return PAGE, 4.2


# Told


def caption(data: GradientOverWeight) -> str:
    rates = " and ".join(f"{rate:g}" for rate in data.continuous.curves.rates)
    return (
        "Largest |∂loss/∂w|/|w| of the recurrent weights w. Above, in stretches of steps: median (line) and range "
        "(band) over the seeds; a cross is where a run diverged. Below, over all steps: a point for each run, a cross "
        f"for one that diverged, a bar at the median. Learning rates {rates}. {sentence(str(data.continuous.setting))} "
        f"{_right(data)}, where there is tanh, and best has b = 1. The measure depends on the unit and the origin of "
        "w: -exp(w + 5), exp with another origin, had a smaller one than best in a like experiment (SUPPORTED, "
        "training-ratio-origin), and part of what best gains is arithmetic at the start (PROVED, training-start-ratio)."
    )


def _right(data: GradientOverWeight) -> str:
    """What the panels of discrete time are made of: all but f as on the left, or another data set."""
    left, right = data.continuous.setting, data.discrete.setting
    if (left.dataset, left.steps) == (right.dataset, right.steps):
        return "On the right the same in discrete time"
    return f"On the right {right}"


def finding(data: GradientOverWeight) -> Finding:
    """About all learning rates of the table in continuous time."""
    part = data.continuous
    verdict, how = answered(QUESTION, part.runs, part.setting.chance)
    rate = part.curves.rates[0]
    medians = ", ".join(
        f"{column} {number(median_of([run.gradient_over_weight for run in cell_runs(part.runs, column, rate)]), 2)}"
        for column in part.setting.columns
    )
    return Finding(
        verdict,
        f"Best keeps the smallest maximal |gradient|/|weight| of all columns. {how} Medians at learning rate {rate:g} "
        f"(of a run that diverged, until it did): {medians}.",
    )


def tables(data: GradientOverWeight) -> tuple[Table, ...]:
    """The medians with their ranges, at every learning rate of both tables."""
    rows = []
    for part in (data.continuous, data.discrete):
        for rate in part.setting.learning_rates:
            for column in part.setting.columns:
                runs = cell_runs(part.runs, column, rate)
                values = [run.gradient_over_weight for run in runs if run.gradient_over_weight is not None]
                diverged = sum(run.result != "finished" for run in runs)
                ends = (
                    [number(value) for value in (median_of(values), min(values), max(values))] if values else ["—"] * 3
                )
                rows.append((part.setting.time, f"{rate:g}", column, *ends, f"{diverged}/{len(runs)}"))
    header = ("time", "learning rate", "f", "median", "least", "largest", "diverged")
    return (Table("gradient-over-weight", header, tuple(rows), "Largest |gradient|/|weight| of each run, over seeds"),)


FIGURE = FigureKind(
    name="gradient-over-weight",
    title="Gradient over weight during training",
    shows="How large does |gradient|/|weight| of the recurrent weights get while a layer trains, for every f?",
    claims=(
        "training-ratio-best",
        "training-start-ratio",
        "training-ratio-origin",
        "training-ratio-sgd",
        "best-gradient-over-weight",
    ),
    data=GradientOverWeight,
    compute=compute,
    caption=caption,
    finding=finding,
    size=size,
    draw=draw,
    tables=tables,
    shares="training",
)
