"""Training loss against the step at two learning rates, for every f."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures import training_curves
from figures.figure import FigureKind, Finding
from figures.style import PAGE, looks
from figures.table_files import Table
from figures.training_curves import Curve, TrainingCurves, plot_curves
from figures.training_runs import (
    RunRow,
    TrainingSetting,
    cell_runs,
    curve_rates,
    how_decided,
    median_of,
    run_rows,
    training_runs,
    training_setting,
)
from figures.wording import number, sentence
from proofs_check.claim import Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from figures.figure import Canvas

_QUANTITY = "train_loss"


@dataclass(frozen=True)
class TrainingLoss:
    """The curves at two learning rates, and all runs of the table they are from."""

    setting: TrainingSetting
    runs: tuple[RunRow, ...]
    curves: TrainingCurves


def compute(level: str = "quick", *, seed: int = 0, folder: Path | None = None) -> TrainingLoss:
    """From the training runs that the figures share."""
    runs = training_runs(level, seed, folder)
    curves = training_curves.compute(runs.records, curve_rates(runs), (_QUANTITY,))
    return TrainingLoss(training_setting(runs), run_rows(runs), curves)


# Drawn


def plot(data: TrainingLoss, axes: NDArray[Any]) -> None:
    """On an axes for each learning rate."""
    look = looks(data.curves.columns)
    for ax, rate in zip(axes, data.curves.rates, strict=True):
        plot_curves(ax, _at(data, rate), look, data.curves.curves)
        ax.axhline(data.setting.chance, color="#888888", linewidth=0.8, linestyle=(0, (1, 2)), zorder=0.5)
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(lambda x, _: f"{x:g}" if f"{x:e}"[0] in "25" else "")
        ax.set_xlim(0, data.setting.steps)
        ax.set_title(f"learning rate {rate:g}{_lost(_at(data, rate))}")
        ax.set_xlabel("step")
    axes[0].set_ylabel("training loss (nats)")
    axes[-1].annotate(
        "guessing",
        (1, data.setting.chance),
        (2, 0),
        ("axes fraction", "data"),
        "offset points",
        va="center",
        fontsize=7,
    )


def _at(data: TrainingLoss, rate: float) -> list[Curve]:
    return [curve for curve in data.curves.curves if curve.learning_rate == rate]


def _lost(curves: Sequence[Curve]) -> str:
    """How many runs of which columns diverged."""
    lost = [f"{c.column} {c.seeds - c.finished}/{c.seeds}" for c in curves if c.finished < c.seeds]
    return f"\ndiverged: {', '.join(lost)}" if lost else "\nnone diverged"


def draw(data: TrainingLoss, figure: Canvas) -> None:
    axes = figure.subplots(1, len(data.curves.rates), sharey=True, squeeze=False)[0]
    plot(data, axes)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=6)


def size(data: TrainingLoss) -> tuple[float, float]:
    return PAGE, 2.6


# Told


def caption(data: TrainingLoss) -> str:
    rates = " and ".join(f"{rate:g}" for rate in data.curves.rates)
    return (
        f"Training loss against the step at the learning rates {rates}: median (line) and range (band) over the seeds "
        "of the mean over a stretch of steps. A cross is where a run diverged; from there on it is left out. Dotted: "
        f"the loss of guessing by the frequencies of the classes. {sentence(str(data.setting))} All start at "
        "Re λ = -1/2 and as the same function, but direct@published at Re λ = +1/2, growing, as in the published code."
    )


def finding(data: TrainingLoss) -> Finding:
    """Does best end with the least loss at the larger of the two rates?"""
    rate, columns = max(data.curves.rates), data.setting.columns
    (best,) = [column for column in columns if column.startswith("best")]
    verdict = _is_least(data, best, rate)
    medians = ", ".join(f"{column} {number(median_of(_losses(data, column, rate)))}" for column in columns)
    return Finding(
        verdict,
        f"At learning rate {rate:g} best ends with a smaller training loss than every other column. "
        f"{how_decided(verdict, data.setting.seeds)} Medians over the last epoch (∞: diverged): {medians}.",
    )


def _is_least(data: TrainingLoss, best: str, rate: float) -> Verdict:
    from numerics.paired import compare_paired
    from proofs_check.train_report import compared_with, smallest_of

    def losses(column: str) -> list[float]:
        return [float("nan") if loss is None else loss for loss in _losses(data, column, rate)]

    others = [column for column in data.setting.columns if column != best]
    compared = compared_with(others, lambda other: compare_paired(losses(best), losses(other), ratio=True))
    return Verdict[smallest_of(compared)[0]]


def _losses(data: TrainingLoss, column: str, rate: float) -> list[float | None]:
    """At the end, one for each seed, None for a run that diverged."""
    return [run.train_loss if run.result == "finished" else None for run in cell_runs(data.runs, column, rate)]


def tables(data: TrainingLoss) -> tuple[Table, ...]:
    """The losses at the end at every learning rate of the table."""
    rows = []
    for column in data.setting.columns:
        cells = [number(median_of(_losses(data, column, rate))) for rate in data.setting.learning_rates]
        rows.append((column, *cells))
    header = ("f", *(f"{rate:g}" for rate in data.setting.learning_rates))
    title = "Training loss over the last epoch by learning rate: median over the seeds, ∞ where most runs diverged"
    return (Table("training-loss", header, tuple(rows), title),)


FIGURE = FigureKind(
    name="training-loss",
    title="Training loss at two learning rates",
    shows="How does the training loss fall at a moderate learning rate and at a larger one, and which f diverge?",
    claims=("training-direct-start", "training-direct-rate"),
    data=TrainingLoss,
    compute=compute,
    caption=caption,
    finding=finding,
    size=size,
    draw=draw,
    tables=tables,
    shares="training",
)
