"""What a table of training runs comes to: its cells over the seeds, what to compare them with, the answers in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from statistics import mean, median, stdev
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numerics.datasets import Dataset
    from numerics.training_table import RunRecord, TrainingTable

OF_ALL_RUNS = ("gradient_over_weight", "least_margin")
SPREAD = "standard deviation of the sample of seeds (divisor n - 1)"
MARKOV_ORDER = 2
_CELL = ("optimizer", "column", "learning_rate")

Row = Mapping[str, Any]


def training_answer(
    tables: Sequence[TrainingTable],
    dataset: Dataset,
    records: Sequence[Sequence[RunRecord]],
    published: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The JSON of tables that differ in their optimizer alone, and their records.

    rows: each run; table: the cells, see `cells_json`; published: the paper's numbers, as given; answers: to what the
    paper claims, each with its verdict; asked, dataset: what it was, chance: the loss of the best constant prediction.
    Numbers that are not finite are null.
    """
    from numerics.chance import constant_loss
    from proofs_check.train_report import train_answers

    rows = [
        {"optimizer": table.optimizer, **record.as_json()}
        for table, some in zip(tables, records, strict=True)
        for record in some
    ]
    chance = constant_loss(dataset)
    return {
        "rows": rows,
        "table": cells_json(rows),
        "published": published,
        "answers": train_answers(rows, chance),
        "asked": {**tables[0].as_json(), "optimizer": [table.optimizer for table in tables]},
        "dataset": {**dataset.as_json(), "chance": chance, "markov": _markov_json(dataset)},
    }


def cells_json(rows: Sequence[Row]) -> dict[str, Any]:
    """Optimizers × columns × learning rates: of every quantity the statistics over the seeds whose runs finished.

    runs: how many there are; nan: how many of them diverged; standard_deviation: of the sample, null for fewer than
    two. What a run that diverged has until then, its largest gradient over weight and least margin, counts as well.
    """
    from numerics.training_table import NUMBERS  # needs torch

    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in _CELL), []).append(row)
    cells = []
    for key, members in groups.items():
        finished = [row for row in members if row["result"] == "finished"]
        cell: dict[str, Any] = {
            **dict(zip(_CELL, key, strict=True)),
            "runs": len(members),
            "nan": len(members) - len(finished),
        }
        for name in NUMBERS:
            counted = members if name in OF_ALL_RUNS else finished
            cell[name] = statistics_json([row[name] for row in counted if row[name] is not None])
        cells.append(cell)
    return {
        "columns": list(dict.fromkeys(row["column"] for row in rows)),
        "learning_rates": list(dict.fromkeys(row["learning_rate"] for row in rows)),
        "seeds": list(dict.fromkeys(row["seed"] for row in rows)),
        "spread": SPREAD,
        "cells": cells,
    }


def statistics_json(values: Sequence[float]) -> dict[str, float | None] | None:
    """Mean, standard deviation of the sample, median, ends of finite numbers; None without any.

    In exact arithmetic, as statistics does it: sums of huge numbers do not overflow.
    """
    if not values:
        return None
    return {
        "mean": mean(values),
        "standard_deviation": stdev(values) if len(values) > 1 else None,
        "median": float(median(map(Fraction, values))),
        "least": min(values),
        "largest": max(values),
    }


def _markov_json(dataset: Dataset) -> dict[str, Any] | None:
    """What a Markov model of a text reaches."""
    if dataset.task != "language":
        return None
    from numerics.markov import text_bits

    return {"order": MARKOV_ORDER, "bits": text_bits(dataset, MARKOV_ORDER)}
