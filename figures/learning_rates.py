"""Heat map of the test loss after training: learning rate by reparameterization."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from figures.figure import FigureKind, Finding
from figures.style import PAGE
from figures.table_files import Table
from figures.training_runs import (
    RunRow,
    TrainingSetting,
    answered,
    cell_runs,
    run_rows,
    training_runs,
    training_setting,
)
from figures.wording import number, sentence
from proofs_check.train_report import TRAINED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from figures.figure import Canvas

QUESTION = "Is the range of learning rates at which best trains the widest?"


@dataclass(frozen=True)
class LearningRates:
    """All runs of a table."""

    setting: TrainingSetting
    runs: tuple[RunRow, ...]


@dataclass(frozen=True)
class Cell:
    """Over the seeds of a column at a rate: the mean test loss of the runs that finished, None without any."""

    column: str
    learning_rate: float
    loss: float | None
    runs: int
    diverged: int
    trained: int


def compute(level: str = "quick", *, seed: int = 0, folder: Path | None = None) -> LearningRates:
    """From the training runs that the figures share."""
    runs = training_runs(level, seed, folder)
    return LearningRates(training_setting(runs), run_rows(runs))


def cells(data: LearningRates) -> list[Cell]:
    """Column by column, the learning rates in the order of size. trained: runs below half of the loss of guessing."""
    found = []
    for column in data.setting.columns:
        for rate in sorted(data.setting.learning_rates):
            runs = cell_runs(data.runs, column, rate)
            losses = [run.test_loss for run in runs if run.result == "finished" and run.test_loss is not None]
            trained = sum(loss < TRAINED * data.setting.chance for loss in losses)
            loss = mean(losses) if losses else None
            found.append(Cell(column, rate, loss, len(runs), len(runs) - len(losses), trained))
    return found


# Drawn


def plot(data: LearningRates, ax: Axes) -> None:
    """A row for each column, darker where the loss is smaller; white and hatched where every run diverged."""
    columns, rates = data.setting.columns, sorted(data.setting.learning_rates)
    found = cells(data)
    losses = [cell.loss for cell in found if cell.loss is not None]
    norm = Normalize(min(losses, default=0.0), max(data.setting.chance, min(losses, default=0.0) + 1e-9), clip=True)
    colours = mpl.colormaps["cividis"]
    for cell in found:
        x, y = rates.index(cell.learning_rate), columns.index(cell.column)
        fill = (1.0, 1.0, 1.0, 1.0) if cell.loss is None else colours(norm(cell.loss))
        hatch = "////" if cell.diverged else None
        edge = "#999999" if cell.loss is None else "#FFFFFF"
        ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=fill, edgecolor=edge, linewidth=0, hatch=hatch))
        _write(ax, x, y, cell, is_dark=cell.loss is not None and _luminance(fill) < 0.45)
    for x in range(1, len(rates)):
        ax.axvline(x - 0.5, color="white", linewidth=1.2)
    for y in range(1, len(columns)):
        ax.axhline(y - 0.5, color="white", linewidth=1.2)
    ax.set(xlim=(-0.5, len(rates) - 0.5), ylim=(len(columns) - 0.5, -0.5))
    ax.set(xticks=range(len(rates)), xticklabels=[f"{rate:g}" for rate in rates], xlabel="learning rate")
    ax.set(yticks=range(len(columns)), yticklabels=columns)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    scale = mpl.cm.ScalarMappable(norm, colours)
    bar = ax.figure.colorbar(scale, ax=ax, extend="max", pad=0.02, aspect=25)
    bar.set_label("test loss (nats)")
    bar.outline.set_visible(False)


def _write(ax: Axes, x: int, y: int, cell: Cell, is_dark: bool) -> None:
    """The loss, and below it how many of the runs diverged, on a plain ground where there is a hatch."""
    lines = [number(cell.loss)] if cell.loss is not None else []
    lines += [f"{cell.diverged}/{cell.runs} diverged"] if cell.diverged else []
    front, behind = ("white", "black") if is_dark else ("black", "white")
    ground = {"boxstyle": "round,pad=0.15", "linewidth": 0, "facecolor": behind, "alpha": 0.75}
    ax.text(
        x, y, "\n".join(lines), ha="center", va="center", color=front, fontsize=7,
        fontweight="bold" if cell.trained == cell.runs else "normal", bbox=ground if cell.diverged else None,
    )  # fmt: skip


def _luminance(colour: tuple[float, ...]) -> float:
    red, green, blue = colour[:3]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def draw(data: LearningRates, figure: Canvas) -> None:
    plot(data, figure.subplots())


def size(data: LearningRates) -> tuple[float, float]:
    return PAGE, 0.9 + 0.33 * len(data.setting.columns)


# Told


def caption(data: LearningRates) -> str:
    return (
        "Mean test loss after training over the seeds whose runs finished, by learning rate; hatched where runs "
        "diverged, with how many of how many, white where all did. Bold: every run trained, to less than half of "
        f"{number(data.setting.chance)}, the loss of guessing, at which the colours end. {sentence(str(data.setting))} "
        "All columns of a seed start as the same function and see the same batches, but direct@published, which "
        "starts at Re λ = +1/2 as in the published code."
    )


def finding(data: LearningRates) -> Finding:
    verdict, how = answered(QUESTION, data.runs, data.setting.chance)
    wide = ", ".join(f"{column} {median(_widths(data, column)):g}" for column in data.setting.columns)
    return Finding(
        verdict,
        f"Best trains over the widest range of learning rates. {how} Rates in a row at which a run trains, median over "
        f"the seeds, of {len(data.setting.learning_rates)}: {wide}.",
    )


def _widths(data: LearningRates, column: str) -> list[int]:
    """For each seed the most rates in a row at which its run trains."""
    from proofs_check.train_report import trainable_widths

    return trainable_widths([vars(run) for run in data.runs], data.setting.chance, column)


def tables(data: LearningRates) -> tuple[Table, ...]:
    """The numbers of the picture."""
    rates = sorted(data.setting.learning_rates)
    found = {(cell.column, cell.learning_rate): cell for cell in cells(data)}
    rows = [(column, *(_text(found[column, rate]) for rate in rates)) for column in data.setting.columns]
    title = "Test loss by learning rate: mean over the runs that finished (in brackets: how many diverged)"
    return (Table("learning-rates", ("f", *(f"{rate:g}" for rate in rates)), tuple(rows), title),)


def _text(cell: Cell) -> str:
    return number(cell.loss) + (f" ({cell.diverged}/{cell.runs})" if cell.diverged else "")


FIGURE = FigureKind(
    name="learning-rates",
    title="Test loss by learning rate and parameterization",
    shows="At which learning rates does a layer train with each f, and where does it diverge?",
    claims=("training-direct-start", "training-direct-rate"),
    data=LearningRates,
    compute=compute,
    caption=caption,
    finding=finding,
    size=size,
    draw=draw,
    tables=tables,
    shares="training",
)
