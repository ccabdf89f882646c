"""Table 2: test loss by learning rate and parameterization, as printed in the paper and as trained here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from figures.figure import FigureKind, Finding
from figures.published import PublishedCell, table2
from figures.table_files import Table
from figures.training_runs import (
    RunRow,
    TrainingSetting,
    answered,
    cell_runs,
    median_of,
    run_rows,
    training_runs,
    training_setting,
)
from figures.wording import number

QUESTION = "Does best win at the largest rates?"
_NONE = "—"


@dataclass(frozen=True)
class LossTable:
    """The printed cells, the column of this toolkit that each printed column means, and the runs of these columns."""

    published: tuple[PublishedCell, ...]
    repeats: int
    meant: tuple[tuple[str, str], ...]
    setting: TrainingSetting
    runs: tuple[RunRow, ...]

    @property
    def printed_columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(cell.column for cell in self.published))

    @property
    def own_columns(self) -> tuple[str, ...]:
        """What the printed ones mean, and direct from the start of the others."""
        return (*(own for _, own in self.meant), "direct")


def compute(level: str = "quick", *, seed: int = 0, folder: Path | None = None) -> LossTable:
    """From the training runs that the figures share."""
    runs, printed = training_runs(level, seed, folder), table2()
    own = {name for _, name in printed.meant} | {"direct"}
    some = tuple(run for run in run_rows(runs) if run.column in own)
    return LossTable(printed.cells, printed.repeats, printed.meant, training_setting(runs), some)


# Told


def impossible_spreads(data: LossTable) -> list[PublishedCell]:
    """The printed cells whose spread no standard deviation can have.

    Of n losses of at least 0 with the mean x̄ the sample's standard deviation is at most √n x̄, where all but one are 0.
    Source: derived here: Σ(x_i - x̄)² = Σx_i² - n x̄² <= (Σx_i)² - n x̄² = n(n-1)x̄².
    """
    largest = math.sqrt(data.repeats)
    return [
        cell
        for cell in data.published
        if cell.mean is not None and cell.spread is not None and cell.spread > largest * cell.mean
    ]


def least_printed(data: LossTable) -> dict[float, str]:
    """At each printed rate the column with the smallest mean."""
    found = {}
    for rate in dict.fromkeys(cell.learning_rate for cell in data.published):
        some = [cell for cell in data.published if cell.learning_rate == rate and cell.mean is not None]
        if some:
            found[rate] = min(some, key=lambda cell: cell.mean or 0.0).column
    return found


def caption(data: LossTable) -> str:
    wrong = impossible_spreads(data)
    cells = ", ".join(f"{cell.column} at {cell.learning_rate:g}" for cell in wrong)
    return (
        f"Test loss after training. Published: Table 2 of the paper (MNIST, {data.repeats} repeats); its direct "
        "started at Re λ = +1/2, growing, as direct@published does here, where direct starts at -1/2 like the others; "
        f"its best is -1/(w² + 0.1). {len(wrong)} of the printed spreads ({cells}) exceed √{data.repeats} times their "
        f"mean, which no standard deviation of {data.repeats} losses can: they are probably variances. Here: "
        f"{data.setting}; mean and standard deviation (divisor n - 1) over the runs that finished, NaN where none did, "
        f"and how many diverged. {_comparable(data)}"
    )


def _comparable(data: LossTable) -> str:
    if data.setting.dataset == "mnist":
        return "Guessing loses " + number(data.setting.chance) + "."
    return (
        "The data are not the paper's, so the order of the columns can be compared, not the losses; guessing loses "
        f"{number(data.setting.chance)}."
    )


def finding(data: LossTable) -> Finding:
    """About the columns of the paper: is best's loss the smallest at the largest rate at which layers train?"""
    columns = [own for _, own in data.meant]
    runs = [run for run in data.runs if run.column in columns]
    verdict, how = answered(QUESTION, runs, data.setting.chance)
    least = least_printed(data)
    wins = sum(column == "best" for column in least.values())
    rate = _largest_trained(data, columns)
    medians = "" if rate is None else _medians(data, columns, rate)
    return Finding(
        verdict,
        "At the largest learning rate at which layers train, best has the least test loss of the paper's columns. "
        f"{how}{medians} In the printed table best has the smallest mean at {wins} of {len(least)} rates, from "
        f"{data.repeats} repeats each, too few to decide it.",
    )


def _largest_trained(data: LossTable, columns: Sequence[str]) -> float | None:
    """The largest rate at which in most seeds a column trains."""
    from proofs_check.train_report import TRAINED

    limit = TRAINED * data.setting.chance
    for rate in sorted(data.setting.learning_rates, reverse=True):
        runs = [run for column in columns for run in cell_runs(data.runs, column, rate)]
        seeds = {run.seed for run in runs if run.test_loss is not None and run.test_loss < limit}
        if 2 * len(seeds) > data.setting.seeds:
            return rate
    return None


def _medians(data: LossTable, columns: Sequence[str], rate: float) -> str:
    parts = [f"{c} {number(median_of([run.test_loss for run in cell_runs(data.runs, c, rate)]))}" for c in columns]
    return f" Medians here at {rate:g} (∞: diverged): {', '.join(parts)}."


# Tables


def tables(data: LossTable) -> tuple[Table, ...]:
    """The printed means beside those here, and the printed table as it is."""
    printed = {(cell.column, cell.learning_rate): cell for cell in data.published}
    rates = list(dict.fromkeys(cell.learning_rate for cell in data.published))
    beside, alone = [], []
    for rate in sorted({*rates, *data.setting.learning_rates}):
        left = [_rounded(printed.get((column, rate))) for column in data.printed_columns]
        beside.append((f"{rate:g}", *left, *(_own(cell_runs(data.runs, column, rate)) for column in data.own_columns)))
    for rate in rates:
        alone.append((f"{rate:g}", *(_printed(printed[column, rate]) for column in data.printed_columns)))
    header = (
        "learning rate",
        *(f"paper: {column}" for column in data.printed_columns),
        *(f"here: {column}" for column in data.own_columns),
    )
    title = f"Test loss: published (MNIST) and here ({data.setting.dataset}, with the standard deviation)"
    return (
        Table("table-2", header, tuple(beside), title),
        Table("table-2-published", ("learning rate", *data.printed_columns), tuple(alone), "Table 2 as printed"),
    )


def _rounded(cell: PublishedCell | None) -> str:
    return _NONE if cell is None else number(cell.mean)


def _printed(cell: PublishedCell) -> str:
    return "NaN" if cell.mean is None else f"{cell.mean:.6f} ({cell.spread:g})"


def _own(runs: Sequence[RunRow]) -> str:
    """Mean (standard deviation), and how many runs diverged."""
    if not runs:
        return _NONE
    losses = [run.test_loss for run in runs if run.test_loss is not None]
    parts = [number(stdev(losses), 2)] if len(losses) > 1 else []
    parts += [f"{len(runs) - len(losses)}/{len(runs)} diverged"] if len(losses) < len(runs) else []
    return number(mean(losses) if losses else None) + (f" ({', '.join(parts)})" if parts else "")


FIGURE = FigureKind(
    name="table-2",
    title="Table 2: test loss beside the published numbers",
    shows="Is the order of the parameterizations in the paper's Table 2 seen here too?",
    claims=("training-direct-start", "training-direct-rate"),
    data=LossTable,
    compute=compute,
    caption=caption,
    finding=finding,
    tables=tables,
    shares="training",
)
