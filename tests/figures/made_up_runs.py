"""Training runs for the figures that took no training."""

from __future__ import annotations

from dataclasses import replace

from figures.training_runs import COLUMNS, DISCRETE_COLUMNS, RunRow, TrainedRuns
from numerics.training_presets import layer_kinds
from tests.training_rows import made_up_records, small_table

CHANCE = 2.3
RATES = (5e-3, 5e-2, 1.5e-1, 5e-1)


def made_up_runs(seeds: int = 8, level: str = "quick") -> TrainedRuns:
    """The columns of the figures at four learning rates; direct diverges from 5e-2 on, best has the least of all."""
    table = small_table(COLUMNS, RATES, seeds=tuple(range(seeds)))
    return TrainedRuns(table, made_up_records(table), CHANCE, "digits")


def made_up_discrete_runs(seeds: int = 8) -> TrainedRuns:
    table = small_table(rates=(5e-2,), seeds=tuple(range(seeds)))
    table = replace(table, kinds=tuple(layer_kinds(DISCRETE_COLUMNS, time="discrete")))
    return TrainedRuns(table, made_up_records(table), CHANCE, "digits")


def changed(runs: tuple[RunRow, ...], column: str, **values: object) -> tuple[RunRow, ...]:
    """The runs of a column with other values."""
    return tuple(replace(run, **values) if run.column == column else run for run in runs)  # type: ignore[arg-type]
