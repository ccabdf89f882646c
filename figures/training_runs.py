"""The training runs that several figures share: once trained they are kept in the folder, and the others find them.

    training_runs   continuous time: the columns of the paper's Table 2 and relu, over its learning rates
    discrete_runs   discrete time: relu, softplus, exp, best and tanh, which there is in discrete time alone

All are S4D-style layers (numerics.layers) trained by AdamW. In discrete time best has b = 1: with the printed b = 1/2
it touches the boundary (claim discrete-best-half).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from figures.figure import LEVELS
from figures.wording import counted
from numerics.arguments import check_choice
from proofs_check.claim import Verdict

if TYPE_CHECKING:
    from numerics.training_table import RunRecord, TrainingTable

COLUMNS = ("relu", "direct", "direct@published", "softplus", "exp", "best:b=0.1")
DISCRETE_COLUMNS = ("relu", "softplus", "exp", "best:b=1", "tanh")
MODERATE_RATE = 5e-2
"""A learning rate at which everything trains that starts inside the boundary."""

_DATA = {
    "digits": "scikit-learn's digits as sequences of 64 pixels, which are not the paper's data",
    "mnist": "MNIST as sequences of 784 pixels",
}
_SIZES: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("digits", "quick"): {"width": 16, "modes": 8, "epochs": 4, "seeds": 3},
    ("digits", "full"): {"width": 32, "modes": 16, "epochs": 8, "seeds": 8},
    ("mnist", "full"): {"width": 64, "modes": 32, "epochs": 10, "seeds": 3, "batch": 128},
}
"""By data set and level; eight seeds are the least that can refute as well, with Holm over five other columns; MNIST as
published, with its three repeats."""
_RATES: Mapping[tuple[str, str], tuple[float, ...]] = {
    ("digits", "quick"): (5e-3, 5e-2, 1.5e-1, 5e-1),
    ("digits", "full"): (5e-3, 1.5e-2, 5e-2, 1.5e-1, 5e-1, 1.5, 5.0),
    ("mnist", "full"): (5e-6, 5e-5, 5e-4, 5e-3, 5e-2, 5e-1, 5e0),
}
"""Those of the paper's Table 2, and on the digits some between them, where the columns begin to differ."""


@dataclass(frozen=True)
class TrainedRuns:
    """A table, its records in the order of table.runs, and the test loss of the best constant prediction."""

    table: TrainingTable
    records: list[RunRecord]
    chance: float
    dataset: str


@dataclass(frozen=True)
class RunRow:
    """What a figure keeps of a run; numbers that are not finite are None. result: "finished" or "diverged"."""

    column: str
    learning_rate: float
    seed: int
    result: str
    steps: int
    train_loss: float | None
    test_loss: float | None
    gradient_over_weight: float | None


@dataclass(frozen=True)
class TrainingSetting:
    """What was trained on what, for a caption. chance: the loss of the best constant prediction."""

    time: str
    dataset: str
    columns: tuple[str, ...]
    learning_rates: tuple[float, ...]
    seeds: int
    first_seed: int
    width: int
    modes: int
    epochs: int
    batch: int
    steps: int
    chance: float

    def __str__(self) -> str:
        return (
            f"one S4D-style layer of width {self.width} with {self.modes} complex modes a channel in {self.time} time, "
            f"on {_DATA[self.dataset]}: AdamW (weight decay 0.01, cosine schedule), {self.epochs} epochs of batches of "
            f"{self.batch} ({self.steps} steps), {counted(self.seeds, 'seed')} from {self.first_seed} on"
        )


def training_runs(level: str = "quick", seed: int = 0, folder: Path | None = None) -> TrainedRuns:
    """The runs in continuous time, kept in folder/training.

    At the full level they are trained on MNIST where its file is in the cache (`stablessm train --data mnist` puts it
    there) and a CUDA device is at hand, else on scikit-learn's digits. Raises ValueError as load_dataset and
    train_table do, such as for a missing scikit-learn.
    """
    data = data_name(level)
    place = folder and folder / "training"
    return _train(data, level, seed, place, columns=COLUMNS, learning_rates=_RATES[data, level])


def discrete_runs(level: str = "quick", seed: int = 0, folder: Path | None = None) -> TrainedRuns:
    """The runs in discrete time, on the digits at one learning rate, kept in folder/training-discrete."""
    check_choice("level", level, LEVELS)
    place = folder and folder / "training-discrete"
    return _train(
        "digits", level, seed, place, columns=DISCRETE_COLUMNS, learning_rates=(MODERATE_RATE,), time="discrete"
    )


def curve_rates(runs: TrainedRuns) -> tuple[float, ...]:
    """The two learning rates at which curves are drawn: the moderate one, and the next larger of the table."""
    larger = sorted(rate for rate in runs.table.learning_rates if rate >= MODERATE_RATE)
    return tuple(larger[:2])


def data_name(level: str) -> str:
    """mnist where it is wanted, there, and can be trained on in minutes; else digits."""
    from numerics.dataset_files import cache_folder
    from numerics.fitting import resolve_device

    check_choice("level", level, LEVELS)
    is_there = (cache_folder() / "mnist.npz").exists()
    return "mnist" if level == "full" and is_there and resolve_device("auto").type == "cuda" else "digits"


def _train(data: str, level: str, seed: int, folder: Path | None, **asked: Any) -> TrainedRuns:
    from numerics.chance import constant_loss
    from numerics.training import train_table
    from numerics.training_presets import prepared_tables

    (table,), dataset = prepared_tables(data=data, level=level, seed=seed, **_SIZES[data, level], **asked)
    records = train_table(table, dataset, folder=folder)
    return TrainedRuns(table, records, constant_loss(dataset), dataset.name)


def training_setting(runs: TrainedRuns) -> TrainingSetting:
    """The setting of the runs."""
    from numerics.training_table import variant_name

    table = runs.table
    return TrainingSetting(
        time=table.kinds[0].reparameterization.time,
        dataset=runs.dataset,
        columns=tuple(variant_name(kind) for kind in table.kinds),
        learning_rates=table.learning_rates,
        seeds=len(table.seeds),
        first_seed=table.seeds[0],
        width=table.width,
        modes=table.modes,
        epochs=table.epochs,
        batch=table.batch,
        steps=max(len(record.curves["train_loss"]) for record in runs.records),
        chance=runs.chance,
    )


def run_rows(runs: TrainedRuns) -> tuple[RunRow, ...]:
    """The runs without their curves."""
    fields = RunRow.__dataclass_fields__
    rows = [record.as_json() for record in runs.records]
    return tuple(RunRow(**{name: value for name, value in row.items() if name in fields}) for row in rows)


def answered(question: str, runs: Sequence[RunRow], chance: float) -> tuple[Verdict, str]:
    """The verdict on a question of proofs_check.train_report, by exact paired tests over the seeds, and how it came."""
    from proofs_check.train_report import train_answers

    answers = train_answers([asdict(run) for run in runs], chance)
    (found,) = [answer for answer in answers if answer["question"] == question]
    verdict = Verdict[found["verdict"]]
    return verdict, how_decided(verdict, len({run.seed for run in runs}))


def how_decided(verdict: Verdict, seeds: int) -> str:
    """By how many seeds, and whether so many can decide at all."""
    if verdict is not Verdict.INCONCLUSIVE:
        return f"Exact paired tests over {counted(seeds, 'seed')} at 5 % {'say so' if verdict.holds else 'refute it'}."
    least = 2.0 ** (1 - seeds)
    if least > 0.05:
        return f"{counted(seeds, 'seed')} can decide nothing: no p-value is below {least:.3g}, six seeds are the least."
    return f"Exact paired tests over {counted(seeds, 'seed')} do not decide it at 5 %."


def median_of(values: Sequence[float | None]) -> float:
    """With ∞ for a run that diverged."""
    return median(math.inf if value is None else value for value in values)


def cell_runs(runs: Sequence[RunRow], column: str, learning_rate: float) -> list[RunRow]:
    """The runs of all seeds of a column at a rate."""
    return [run for run in runs if (run.column, run.learning_rate) == (column, learning_rate)]
