"""What a figure is: data that are computed once and kept, a picture drawn from them, and what they show.

Each figure or table is a file of this folder with

    compute(level, seed=..., folder=...)   the data, a frozen dataclass of plain values
    plot(data, ax)                         the picture, on axes (one, or an array of them)
    FIGURE                                 a `FigureKind`, which names these and the rest

`KINDS` lists the files; `figures.drawing` computes, keeps and writes any of them.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from figures.table_files import Table
from numerics.arguments import shown, shown_path
from numerics.store import write_file
from proofs_check.claim import Verdict

if typing.TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

    Canvas = Figure | SubFigure

D = TypeVar("D")
D_co = TypeVar("D_co", covariant=True)

LEVELS = ("quick", "full")

KINDS = {
    "parameterizations": "figures.parameterizations",
    "modulus": "figures.modulus",
    "perturbation-error": "figures.perturbation_error",
    "error-against-size": "figures.error_against_size",
    "memory-functions": "figures.memory_functions",
    "approximation-error": "figures.approximation_error",
    "stability-margin": "figures.stability_margin",
    "gradient-over-weight": "figures.gradient_over_weight",
    "training-loss": "figures.training_loss",
    "learning-rates": "figures.learning_rates",
    "table-1": "figures.table1_gradient_scales",
    "table-2": "figures.table2_test_loss",
    "throughput": "figures.throughput",
}
"""The module of each figure, in the order of the report."""


@dataclass(frozen=True)
class Finding:
    """What the data show about a statement: a verdict, and the statement with its numbers in one or two sentences.

    It is decided by the data alone, so that other data can refute it.
    """

    verdict: Verdict
    reason: str


class Compute(Protocol[D_co]):
    """Computes the data of a figure.

    level: quick (seconds) or full; seed: of every random number; folder: where long computations keep finished parts
    and go on after an interruption, None for nowhere.
    """

    def __call__(self, level: str = "quick", *, seed: int = 0, folder: Path | None = None) -> D_co: ...


def _no_tables(data: Any) -> tuple[Table, ...]:
    return ()


@dataclass(frozen=True)
class FigureKind(Generic[D]):
    """A figure of the paper, or of what follows from it.

    name, title    as in `stablessm figures --list`
    shows          the question that the picture answers, in one sentence
    claims         ids of the statements in the ledger that it illustrates
    data           the type of the data: a frozen dataclass of numbers, texts, tuples and such dataclasses
    size           width and height of the picture in inches; None: there are tables only
    draw           makes the axes on an empty figure or part of one, and plots the data on them
    caption        what was computed and with what settings, in sentences; the finding is put behind it
    tables         the tables that are written beside or in place of the picture
    shares         figures with the same word here use the same long computation: never at the same time
    alone          measures time: computed while nothing else runs
    """

    name: str
    title: str
    shows: str
    claims: tuple[str, ...]
    data: type[D]
    compute: Compute[D]
    caption: Callable[[D], str]
    finding: Callable[[D], Finding]
    size: Callable[[D], tuple[float, float]] | None = None
    draw: Callable[[D, Canvas], None] | None = None
    tables: Callable[[D], tuple[Table, ...]] = _no_tables
    shares: str = ""
    alone: bool = False

    @property
    def is_picture(self) -> bool:
        return self.size is not None and self.draw is not None

    @property
    def has_tables(self) -> bool:
        return self.tables is not _no_tables

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "title": self.title, "shows": self.shows, "claims": list(self.claims)}


def figure_kind(name: str) -> FigureKind[Any]:
    """The figure of a name. Raises ValueError for one that does not exist."""
    if name not in KINDS:
        raise ValueError(f"figure {shown(name)!r}: no such figure; allowed: all, {', '.join(KINDS)}")
    return importlib.import_module(KINDS[name]).FIGURE


# Kept


@dataclass(frozen=True)
class Kept(Generic[D]):
    """Data with the settings they were computed with: level, seed, and the versions of code and libraries."""

    settings: Mapping[str, Any]
    data: D


def data_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def save(kind: FigureKind[D], kept: Kept[D], folder: Path) -> Path:
    """Writes the data with all digits. Raises ValueError where that fails."""
    content = {"figure": kind.name, "settings": dict(kept.settings), "data": to_json(kept.data)}
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    return write_file(data_path(folder, kind.name), f"{text}\n".encode())


def load(kind: FigureKind[D], folder: Path) -> Kept[D]:
    """What `save` wrote. Raises ValueError, naming the file, where it is missing, damaged or another."""
    path = data_path(folder, kind.name)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["figure"] != kind.name:
            raise ValueError
        json.dumps(content["settings"], allow_nan=False)  # a ValueError for NaN, which is no JSON
        return Kept(dict(content["settings"]), from_json(kind.data, content["data"]))
    except OSError as error:
        raise ValueError(f"{shown_path(path)}: cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        raise ValueError(f"{shown_path(path)}: is not a file of the data of {kind.name}") from None


def to_json(value: Any) -> Any:
    """Dataclasses as objects, tuples as lists, and numbers that JSON lacks as texts ("inf", "-inf", "nan")."""
    if dataclasses.is_dataclass(value):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [to_json(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(f"data of a figure: {type(value).__name__} is none of str, int, float, tuples, dataclasses")


def from_json(kind: Any, value: Any) -> Any:
    """The value of a type from what `to_json` made of it. Raises ValueError or TypeError where they do not fit."""
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        fields = [field.name for field in dataclasses.fields(kind)]
        if set(value) != set(fields):
            raise ValueError(f"{kind}: fields {sorted(value)}")
        return typing.cast(Any, kind)(**{name: from_json(hints[name], value[name]) for name in fields})
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{kind}: {type(value).__name__}")
        if len(parts) == 2 and parts[1] is Ellipsis:
            return tuple(from_json(parts[0], item) for item in value)
        return tuple(from_json(part, item) for part, item in zip(parts, value, strict=True))
    if origin in (typing.Union, types.UnionType):
        (other,) = (part for part in parts if part is not type(None))
        return None if value is None else from_json(other, value)
    if kind is float and (isinstance(value, int | float) or value in ("inf", "-inf", "nan")):
        return float(value)
    if kind in (str, int, bool) and type(value) is kind:
        return value
    raise ValueError(f"{kind}: {value!r}")
