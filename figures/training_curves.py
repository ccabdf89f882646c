"""Gradient over weight and training loss against steps, at two learning rates of a table of training runs.

`compute` makes plain data of the runs, `save` and `load` keep it as curves.csv, `plot` draws it: a picture can be drawn
again without training again.
"""

from __future__ import annotations

import csv
import io
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from figures.style import COLUMN, PAGE, looks, new_figure, style, write_figure
from figures.wording import counted
from numerics.arguments import shown_path
from numerics.store import write_file
from proofs_check.train_answer import cells_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from numerics.training_table import RunRecord, TrainingTable

MOST_COLUMNS = 8
"""That can be told apart in one picture."""
POINTS = 60
"""Of a curve at most: its steps are gathered in so many stretches of equal length."""
QUANTITIES = ("gradient_over_weight", "train_loss")
TITLES = {"gradient_over_weight": "max |gradient|/|weight|", "train_loss": "training loss"}
_CURVE = ("quantity", "learning_rate", "column", "seeds", "finished")
_POINT = ("step", "median", "least", "largest", "alive")


@dataclass(frozen=True)
class Point:
    """A stretch of steps around `step` (the first is 1): median and ends over the `alive` runs that came through it.

    alive 0: the last value of one run that diverged, at its step.
    """

    step: float
    median: float
    least: float
    largest: float
    alive: int


_NO_POINT = Point(0.0, math.nan, math.nan, math.nan, 0)


@dataclass(frozen=True)
class Curve:
    """A quantity of one column at one learning rate, over so many seeds, of which so many finished.

    ends: where the others ended, those that had a value at all.
    """

    quantity: str
    learning_rate: float
    column: str
    seeds: int
    finished: int
    points: tuple[Point, ...]
    ends: tuple[Point, ...]


@dataclass(frozen=True)
class TrainingCurves:
    """All curves of a picture."""

    curves: tuple[Curve, ...]

    @property
    def rates(self) -> tuple[float, ...]:
        return tuple(dict.fromkeys(curve.learning_rate for curve in self.curves))

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(curve.column for curve in self.curves))


# What is drawn


def check_curves(rates: Sequence[float], table: TrainingTable) -> None:
    """Raises ValueError for more than two rates or others than the table's, and for columns that are too many."""
    if len(rates) > 2:
        raise ValueError(f"curves-at: at most 2 learning rates are allowed, got {len(rates)}")
    for rate in rates:
        if rate not in table.learning_rates:
            known = ", ".join(f"{x:g}" for x in table.learning_rates)
            raise ValueError(f"curves-at: {rate:g} is not a learning rate of the table; it has {known}")
    if len(table.kinds) > MOST_COLUMNS:
        raise ValueError(f"curves: one picture shows at most {MOST_COLUMNS} columns, the table has {len(table.kinds)}")


def two_rates(records: Sequence[RunRecord]) -> tuple[float, ...]:
    """The rate with the least mean test loss of a column that finished for all seeds, and the next larger in the table.

    The next smaller where it is the largest; where no column finished, the two smallest. In the order of size.
    """
    found = cells_json([{"optimizer": "", **record.as_json()} for record in records])
    rates = sorted(found["learning_rates"])
    whole = [cell for cell in found["cells"] if not cell["nan"]]
    if not whole:
        return tuple(rates[:2])
    best = rates.index(min(whole, key=lambda cell: cell["test_loss"]["mean"])["learning_rate"])
    start = min(best, max(len(rates) - 2, 0))
    return tuple(rates[start : start + 2])


def compute(
    records: Sequence[RunRecord], rates: Sequence[float] = (), quantities: Sequence[str] = QUANTITIES
) -> TrainingCurves:
    """The curves of all columns at the rates (none: `two_rates`), over the seeds."""
    from numerics.training_table import variant_name  # needs torch

    wanted = tuple(rates) or two_rates(records)
    edges = _edges(max(len(record.curves[QUANTITIES[0]]) for record in records))
    groups: dict[tuple[float, str], list[RunRecord]] = {}
    for record in records:
        groups.setdefault((record.run.learning_rate, variant_name(record.run.kind)), []).append(record)
    curves = []
    for quantity in quantities:
        for rate in wanted:
            for column in dict.fromkeys(name for _, name in groups):
                runs = groups[rate, column]
                finished = sum(run.result == "finished" for run in runs)
                points = tuple(_points([run.curves[quantity] for run in runs], edges, quantity))
                ends = tuple(_ends([run.curves[quantity] for run in runs if run.result != "finished"]))
                curves.append(Curve(quantity, rate, column, len(runs), finished, points, ends))
    return TrainingCurves(tuple(curves))


def _edges(steps: int) -> NDArray[np.int64]:
    """Ends of the stretches of steps, from 0 on."""
    return np.unique(np.rint(np.linspace(0, steps, min(steps, POINTS) + 1)).astype(np.int64))


def _points(runs: Sequence[NDArray[np.float64]], edges: NDArray[np.int64], quantity: str) -> Iterator[Point]:
    """Of each run and stretch the largest gradient over weight, the mean loss; a run that diverges in it is out."""
    for start, end in pairwise(edges):
        parts = [run[start:end] for run in runs if not np.isnan(run[start:end]).any()]
        if not parts:
            return
        values = [float(part.mean() if quantity == "train_loss" else part.max()) for part in parts]
        yield Point((float(start) + 1 + float(end)) / 2, median(values), min(values), max(values), len(values))


def _ends(runs: Sequence[NDArray[np.float64]]) -> Iterator[Point]:
    """The last value of each run that has one."""
    for run in runs:
        (steps,) = np.nonzero(~np.isnan(run))
        if len(steps):
            value = float(run[steps[-1]])
            yield Point(float(steps[-1]) + 1, value, value, value, 0)


# Kept


def save(data: TrainingCurves, path: Path) -> Path:
    """Writes the data as CSV, a line a point, with all digits. Raises ValueError where that fails."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CURVE + _POINT)
    for curve in data.curves:
        about = [getattr(curve, name) for name in _CURVE]
        for point in (*curve.points, *curve.ends) or (_NO_POINT,):
            writer.writerow([*about, *(getattr(point, name) for name in _POINT)])
    return write_file(path, text.getvalue().encode())


def load(path: Path) -> TrainingCurves:
    """What `save` wrote. Raises ValueError where the file cannot be read or is another."""
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))
        curves = [
            Curve(quantity, float(rate), column, int(seeds), int(finished), *_read_points(list(lines)))
            for (quantity, rate, column, seeds, finished), lines in groupby(rows, _curve_of)
        ]
    except OSError as error:
        raise ValueError(f"{shown_path(path)}: cannot be read: {error.strerror or error}") from None
    except (KeyError, TypeError, ValueError, csv.Error):
        raise ValueError(f"{shown_path(path)}: is not a file of training curves") from None
    if not curves:
        raise ValueError(f"{shown_path(path)}: is not a file of training curves")
    return TrainingCurves(tuple(curves))


def _curve_of(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in _CURVE)


def _read_points(lines: Sequence[Mapping[str, str]]) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
    """The points and the ends of one curve."""
    found = []
    for line in lines:
        step, middle, least, largest = (float(line[name]) for name in _POINT[:-1])
        found.append(Point(step, middle, least, largest, int(line["alive"])))
    return tuple(p for p in found if p.alive), tuple(p for p in found if not p.alive and p.step)


# Drawn


def plot(data: TrainingCurves, axes: NDArray[np.object_]) -> None:
    """Draws on axes (2, rates): gradient over weight above, on one scale, and loss below, each on its own."""
    for row, quantity in zip(axes, QUANTITIES, strict=True):
        together = [curve for curve in data.curves if curve.quantity == quantity]
        for ax, rate in zip(row, data.rates, strict=True):
            some = [curve for curve in together if curve.learning_rate == rate]
            plot_curves(ax, some, looks(data.columns), together if quantity == QUANTITIES[0] else some)
            ax.set_xlim(0, last_step(together))
        row[0].set_ylabel(TITLES[quantity])
    titles = [_title(data, rate) for rate in data.rates]
    for ax, title, below in zip(axes[0], titles, axes[1], strict=True):
        ax.set_title("\n".join([*title, *[""] * (max(map(len, titles)) - len(title))]))
        below.set_xlabel("step")


def plot_curves(
    ax: Axes, curves: Sequence[Curve], look: Mapping[str, Mapping[str, Any]], scale: Sequence[Curve]
) -> None:
    """Draws curves of one quantity and rate against the step; `scale`: those that decide the range of the values."""
    low, high = _limits(scale)
    ax.set(yscale="log", ylim=(low, high), xlim=(0, last_step(curves)))
    ax.grid(axis="y")
    ax.set_axisbelow(True)
    for curve in curves:
        _draw(ax, curve, look[curve.column], (low, high))


def last_step(curves: Sequence[Curve]) -> float:
    """The last step of any curve."""
    return max((point.step for curve in curves for point in (*curve.points, *curve.ends)), default=1.0)


def _limits(curves: Sequence[Curve]) -> tuple[float, float]:
    """Of the axis: room for the curves, and for ends where there are no curves."""
    some = [p for curve in curves for p in curve.points] or [p for curve in curves for p in curve.ends]
    values = [x for point in some for x in (point.least, point.largest) if 0 < x < math.inf] or [0.5, 2.0]
    return min(values) / 1.5, max(values) * 1.5


def _title(data: TrainingCurves, rate: float) -> list[str]:
    some = [curve for curve in data.curves if (curve.quantity, curve.learning_rate) == (QUANTITIES[0], rate)]
    lost = [
        f"{curve.column} {curve.seeds - curve.finished}/{curve.seeds}" for curve in some if curve.finished < curve.seeds
    ]
    return textwrap.wrap(f"learning rate {rate:g}{'; diverged: ' if lost else ''}{', '.join(lost)}", 60)


def _draw(ax: Axes, curve: Curve, look: Mapping[str, Any], limits: tuple[float, float]) -> None:
    """Median, band, and the crosses of runs that diverged."""
    points = curve.points
    steps, middle = [point.step for point in points], [point.median for point in points]
    low, top = [point.least for point in points], [point.largest for point in points]
    ax.fill_between(steps, low, top, color=look["color"], alpha=0.15, linewidth=0)
    ax.plot(steps, middle, label=curve.column, **look)
    at = [point.step for point in curve.ends]
    ends = [min(max(point.median, limits[0]), limits[1]) for point in curve.ends]
    (crosses,) = ax.plot(at, ends, "x", color=look["color"], markersize=4.5, clip_on=False, zorder=3)
    crosses.set_in_layout(False)


def figure_of(data: TrainingCurves) -> Figure:
    """The picture, as wide as both columns of a page, or as one where there is one learning rate."""
    count = len(data.rates)
    with style():
        figure = new_figure(PAGE if count > 1 else COLUMN, 3.7)
        axes = figure.subplots(2, count, sharex=True, squeeze=False)
        plot(data, axes)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), 4 if count > 1 else 2))
    return figure


def caption(data: TrainingCurves) -> str:
    """What the picture shows, in words."""
    seeds = max((curve.seeds for curve in data.curves), default=0)
    runs = counted(seeds, "seed")
    rates = " and ".join(f"{rate:g}" for rate in data.rates)
    return (
        "Largest |gradient|/|weight| of the recurrent weights w of all layers (above) and training loss (below) "
        f"against the step, at the learning rates {rates}: median (line) and range (band) of {runs}. A cross is "
        "where a run diverged, at the edge where its last value lies beyond; from there on it is left out. A point "
        "stands for a stretch of steps: of the gradient it shows the largest value, of the loss the mean."
    )


def draw_curves(records: Sequence[RunRecord], folder: Path, rates: Sequence[float] = ()) -> list[Path]:
    """Writes curves.csv, its caption curves.txt, and the picture as PNG, PDF and SVG; raises ValueError as `save`."""
    data = compute(records, rates)
    kept = [save(data, folder / "curves.csv"), write_file(folder / "curves.txt", f"{caption(data)}\n".encode())]
    return [*kept, *write_figure(figure_of(data), folder, "curves")]
