"""Tables of training runs ready to use: for every kind of data a quick one, and a full one like those of the paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from numerics.arguments import check_choice
from numerics.datasets import Dataset, load_dataset
from numerics.layers import LayerKind
from numerics.reparameterization import Reparameterization
from numerics.training_table import TrainingTable

LEVELS = ("quick", "full")
TABLES = ("lr", "grid")
"""lr: reparameterizations over learning rates; grid: best over its constants a and b."""
COLUMNS: tuple[str, ...] = ("direct", "softplus", "exp", "best:b=0.1")
"""Those of the paper's Table 2, all from the same start; "direct@published" is its own direct, which starts growing."""

MOST_SEEDS, MOST_RUNS = 1000, 100_000

_SEEDS = 3
_RATES: Mapping[str, tuple[float, ...]] = {
    "quick": (5e-3, 5e-2, 5e-1, 5e0),
    "full": (5e-6, 5e-5, 5e-4, 5e-3, 5e-2, 5e-1, 5e0),
}
_SMALL: Mapping[str, Any] = {"width": 32, "modes": 16, "epochs": 6}
_LONG: Mapping[str, Any] = {**_SMALL, "epochs": 4, "learning_rates": (5e-3, 5e-2, 5e-1), "seeds": 2}
_SETTINGS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "digits": {"quick": _SMALL, "full": {}},
    "functional": {"quick": {**_SMALL, "width": 16}, "full": {}},
    "mnist": {"quick": {**_LONG, "examples": 2000}, "full": {"batch": 128}},
    "cifar10": {"quick": {**_LONG, "examples": 2000}, "full": {"batch": 128}},
    "text": {
        "quick": {**_LONG, "width": 48, "epochs": 5, "batch": 8, "learning_rates": (2e-3, 2e-2, 2e-1)},
        "full": {"width": 128, "modes": 16, "depth": 2, "epochs": 6, "batch": 8},
    },
}
"""What differs from the usual settings of TrainingTable, `_RATES` and `_SEEDS`; small batches for texts, whose training
data are few sequences with a loss at every time."""
_GRIDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], tuple[float, ...]]] = {
    "quick": (("0.1", "1", "10"), ("0.1", "0.5", "1"), (5e-2,)),
    "full": (("0.01", "0.1", "1", "10", "100"), ("0.01", "0.1", "0.5", "1.5"), (5e-3, 5e-2, 5e-1)),
}
"""a, b (below 2, so that -1/(aw² + b) takes the value -1/2 of the start) and learning rates."""


def layer_kinds(columns: Iterable[str], gains: Iterable[str] = ("plain",), time: str = "continuous") -> list[LayerKind]:
    """Every column with every gain of its modes; `F@published` is F from the start of the published code.

    Raises ValueError, in one line, for an f, start or gain that there is not, and for the published start of growing
    modes with a gain that they do not have.
    """
    kinds = []
    for text, gain in product(columns, gains):
        f, at, start = text.rpartition("@")
        kinds.append(LayerKind(Reparameterization(f if at else text, time), gain, start if at else "same"))
    return kinds


def training_table(
    table: str = "lr",
    data: str = "digits",
    level: str = "quick",
    *,
    columns: Iterable[str] | None = None,
    gains: Iterable[str] = ("plain",),
    time: str = "continuous",
    learning_rates: Iterable[float] | None = None,
    seed: int = 0,
    seeds: int | None = None,
    **settings: Any,
) -> TrainingTable:
    """The table of a level for a data set, with what is given (not None) in place of its settings.

    seeds: how many, from `seed` on; settings: fields of TrainingTable. Raises ValueError as TrainingTable does, and for
    an unknown table or level.
    """
    check_choice("table", table, TABLES)
    check_choice("level", level, LEVELS)
    usual = {"learning_rates": _RATES[level], "seeds": _SEEDS, **_SETTINGS.get(_kind(data), {}).get(level, {})}
    names = COLUMNS
    if table == "grid":
        a_values, b_values, usual["learning_rates"] = _GRIDS[level]
        names = tuple(f"best:a={a}:b={b}" for a, b in product(a_values, b_values))
    given = {"learning_rates": learning_rates, "seeds": seeds, **settings}
    found = usual | {name: value for name, value in given.items() if value is not None}
    count = found.pop("seeds")
    if count > MOST_SEEDS:
        raise ValueError(f"seeds: at most {MOST_SEEDS} are allowed, got {count}")
    kinds = tuple(layer_kinds(names if columns is None else columns, gains, time))
    rates = tuple(found.pop("learning_rates"))
    if len(kinds) * len(rates) * count > MOST_RUNS:
        raise ValueError(
            f"runs: at most {MOST_RUNS} are allowed; {len(kinds)} columns, {len(rates)} rates and {count} seeds make "
            f"{len(kinds) * len(rates) * count}"
        )
    return TrainingTable(
        kinds=kinds,
        learning_rates=rates,
        seeds=tuple(range(seed, seed + count)),
        data=data,
        **found,
    )


def prepared_tables(optimizers: Sequence[str] = ("adamw",), **asked: Any) -> tuple[list[TrainingTable], Dataset]:
    """The tables that `training_table` makes of what is asked, one for each optimizer, with their data set.

    Where another data set takes the place of one that cannot be had, the tables are those for it. Raises ValueError as
    `training_table` and numerics.datasets.load_dataset do, and warns as that does.
    """
    tables = [training_table(optimizer=optimizer, **asked) for optimizer in optimizers]
    first = tables[0]
    dataset = load_dataset(first.data, examples=first.examples, length=first.length, tokens=first.tokens)
    if _kind(dataset.name) != _kind(first.data):
        return prepared_tables(optimizers, **{**asked, "data": dataset.name})
    return tables, dataset


def table_folders(folder: str | None, tables: Sequence[TrainingTable]) -> list[Path | None]:
    """Where each table is kept: in the folder, and of several tables each in one of its own there."""
    if folder is None:
        return [None] * len(tables)
    return [Path(folder) / table.optimizer if len(tables) > 1 else Path(folder) for table in tables]


def _kind(data: str) -> str:
    """The word before the colon: functional of functional:airy."""
    return data.partition(":")[0]
