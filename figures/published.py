"""The numbers printed in the paper, read from figures/data with their source."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class PublishedCell:
    """One mean of a table with its spread as printed; mean None where "nan" is printed."""

    column: str
    learning_rate: float
    mean: float | None
    spread: float | None


@dataclass(frozen=True)
class PublishedTable:
    """A table of the paper: columns and learning rates in the order printed, and what the columns mean here.

    meant: the column of this toolkit that trains what the paper's column did, by the published code.
    """

    name: str
    source: str
    spread: str
    repeats: int
    cells: tuple[PublishedCell, ...]
    meant: tuple[tuple[str, str], ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values; `cells` name the columns of this toolkit in `column`, those of the paper in `printed`."""
        meant = dict(self.meant)
        cells = [
            {
                "column": meant[cell.column],
                "printed": cell.column,
                "learning_rate": cell.learning_rate,
                "mean": cell.mean,
                "spread": cell.spread,
            }
            for cell in self.cells
        ]
        about = {"name": self.name, "source": self.source, "spread": self.spread, "repeats": self.repeats}
        return {**about, "cells": cells}


def table2() -> PublishedTable:
    """Table 2 of the paper: test loss on MNIST, seven learning rates and four parameterizations.

    Its direct started at Re λ = +1/2, and its best is -1/(w²+0.1), as the published code has them.
    Source: figures/data/table2_mnist.csv, which says where from.
    """
    lines = (DATA / "table2_mnist.csv").read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    names = [name for name in rows[0] if name != "learning_rate" and not name.endswith("_spread")]
    return PublishedTable(
        name="Table 2",
        source="Wang and Li, StableSSM, ICML 2024, arXiv:2311.14495, Table 2 (MNIST, test loss, 3 repeats)",
        spread="as printed; its kind is not stated, and three of them are too large for a standard deviation of three "
        "losses: probably variances",
        repeats=3,
        cells=tuple(
            PublishedCell(name, float(row["learning_rate"]), _number(row[name]), _number(row[f"{name}_spread"]))
            for row in rows
            for name in names
        ),
        meant=(("direct", "direct@published"), ("softplus", "softplus"), ("exp", "exp"), ("best", "best:b=0.1")),
    )


def published(data: str) -> dict[str, Any] | None:
    """The paper's table for a data set, as JSON; None where it has none."""
    return table2().as_json() if data == "mnist" else None


def _number(text: str) -> float | None:
    value = float(text or "nan")
    return value if math.isfinite(value) else None
