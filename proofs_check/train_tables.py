"""The tables that the command line prints of training runs, laid out like the paper's Table 2, as lines of text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from proofs_check.tables import WIDTH, table, wrapped

BEST = "*"
_NONE = "-"
_DIGITS = 3
_SPREAD_DIGITS = 2

Cell = Mapping[str, Any]
Cells = Mapping[tuple[str, float], Cell]
Entry = Callable[[Cell], str]


def train_lines(answer: Mapping[str, Any], width: int | None) -> Iterator[str]:
    """The losses, accuracies, gradients and margins of a table, then the answers; `answer`: its JSON."""
    asked, dataset, found = answer["asked"], answer["dataset"], answer["table"]
    yield from wrapped(_intention(asked, dataset), width)
    yield from wrapped(f"data {dataset['name']}: {dataset['source']}", width)
    for optimizer in asked["optimizer"]:
        cells = {_place(cell): cell for cell in found["cells"] if cell["optimizer"] == optimizer}
        for title, entry, least in _quantities(dataset["task"], asked["tokens"], asked["time"] == "discrete"):
            if any(entry(cell) != _NONE for cell in cells.values()):
                yield from ("", *wrapped(f"{title}; {optimizer}" if len(asked["optimizer"]) > 1 else title, width))
                yield from _one_table(answer, cells, entry, least, width or WIDTH)
    yield ""
    for note in _notes(answer, found):
        yield from wrapped(note, width)
    for item in answer["answers"]:
        yield from ("", *wrapped(item["question"], width))
        yield from wrapped(f"  {item['verdict']}: {item['answer']}", width)


def _one_table(
    answer: Mapping[str, Any], cells: Cells, entry: Entry, least: Callable[[Cell], float] | None, width: int
) -> Iterator[str]:
    columns, rates = answer["table"]["columns"], answer["table"]["learning_rates"]
    grid = _grid_axes(columns)
    if grid is not None:
        return _grid_tables(cells, *grid, rates, entry, least, width)
    printed = _published(answer["published"], columns) if least is not None else {}
    return _rate_table(cells, columns, rates, entry, least, printed, width)


def _place(cell: Cell) -> tuple[str, float]:
    return cell["column"], cell["learning_rate"]


def _intention(asked: Mapping[str, Any], dataset: Mapping[str, Any]) -> str:
    layers, epochs = _many(asked["depth"], "layer"), _many(asked["epochs"], "epoch")
    first, last = asked["seeds"][0], asked["seeds"][-1]
    seeds = f"seed {first}" if first == last else f"seeds {first} to {last}"
    return (
        f"Training of {layers} of width {asked['width']} with {asked['modes']} modes, {asked['time']} time, "
        f"{dataset['training_sequences']} sequences of length {dataset['length']}, {epochs} in "
        f"batches of {asked['batch']}, {' and '.join(asked['optimizer'])}, {asked['dtype']}, {seeds}"
    )


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


# Quantities


def _quantities(task: str, token: str, discrete: bool) -> Iterator[tuple[str, Entry, Callable[[Cell], float] | None]]:
    """Of each table: its title, what stands in a cell, and, where the least is the best, the number to compare."""
    scale = 1 / math.log(2) if task == "language" else 1.0
    loss = {"language": f"bits a {token} of the test text", "regression": "mean square error of the test data"}.get(
        task, "cross entropy of the test data"
    )

    def mean_loss(cell: Cell) -> float:
        return cell["test_loss"]["mean"] * scale if cell["test_loss"] else math.inf

    yield f"test loss ({loss}): mean (standard deviation)", _mean("test_loss", scale), mean_loss
    yield "test accuracy in %: mean (standard deviation)", _mean("test_accuracy", 100.0), None
    yield "largest |gradient|/|weight| of w over all steps: median of the seeds", _one("gradient_over_weight"), None
    margin = "1 - max|λ|" if discrete else "-max Re λ"
    yield f"least margin {margin} over all steps: the smallest of the seeds", _one("least_margin", "least"), None


def _mean(name: str, scale: float) -> Entry:
    """Mean (standard deviation), or mean (NaN 1/3) where one of three runs diverged."""

    def entry(cell: Cell) -> str:
        nan = f"NaN {cell['nan']}/{cell['runs']}"
        if cell[name] is None:
            return nan if cell["nan"] == cell["runs"] and name == "test_loss" else _NONE
        mean, spread = cell[name]["mean"], cell[name]["standard_deviation"]
        inside = nan if cell["nan"] else None if spread is None else _short(spread * scale, _SPREAD_DIGITS)
        return _short(mean * scale, _DIGITS) + ("" if inside is None else f" ({inside})")

    return entry


def _one(name: str, which: str = "median") -> Entry:
    return lambda cell: _NONE if cell[name] is None else _short(cell[name][which], _DIGITS)


def _short(value: float, digits: int) -> str:
    """So many digits, and an exponent without zeros: 2.30, 2.3e-5, 1.2e6."""
    text = f"{value:#.{digits}g}".rstrip(".").replace(".e", "e")
    return re.sub(r"e([+-])0*(\d+)", lambda e: f"e{e[1].replace('+', '')}{e[2]}", text)


def _rate(value: float) -> str:
    """Always with an exponent: 5e-4, 5e0."""
    digits, exponent = f"{value:.2e}".split("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}"


# Layouts


def _rate_table(
    cells: Cells,
    columns: Sequence[str],
    rates: Sequence[float],
    entry: Entry,
    least: Callable[[Cell], float] | None,
    printed: Cells,
    width: int,
) -> Iterator[str]:
    """Learning rates down, columns across, as many as fit; the paper's numbers below ours."""
    best = {rate: _best([cells[column, rate] for column in columns], least) for rate in rates}
    lines: list[list[str]] = []
    for rate in rates:
        marked = [entry(cell) + (BEST if cell is best[rate] else " ") for cell in (cells[c, rate] for c in columns)]
        lines.append([_rate(rate), *marked])
        if any((column, rate) in printed for column in columns):
            lines.append(["paper", *(_printed(printed.get((column, rate))) + " " for column in columns)])
    yield from _blocks(("rate", *columns), lines, width)


def _blocks(heads: Sequence[str], lines: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """A table, and where it is too wide several below each other, each with the first column."""
    first, *widths = (max(len(head), *(len(line[i]) for line in lines)) + 2 for i, head in enumerate(heads))
    across = next((n for n in range(len(widths), 0, -1) if first + sum(widths[:n]) <= width), 1)
    for start in range(1, len(heads), across):
        some = slice(start, start + across)
        if start > 1:
            yield ""
        marked = [f"{head} " for head in heads[some]]
        yield from table((heads[0], *marked), [(line[0], *line[some]) for line in lines], indent="")


def _best(cells: Sequence[Cell], least: Callable[[Cell], float] | None) -> Cell | None:
    """Of the cells in which the fewest runs diverged the one with the least number; None without one."""
    if least is None:
        return None
    cell = min(cells, key=lambda cell: (cell["nan"] / cell["runs"], least(cell)))
    return cell if math.isfinite(least(cell)) else None


def _grid_axes(columns: Sequence[str]) -> tuple[list[str], list[str]] | None:
    """The two constants of `best:a=..:b=..` with their values, where the columns are all combinations of some."""
    parts = [re.fullmatch(r"best:a=([^:/@]+):b=([^:/@]+)", column) for column in columns]
    found = [(part[1], part[2]) for part in parts if part is not None]
    a_values, b_values = (list(dict.fromkeys(values)) for values in (zip(*found, strict=True) if found else ((), ())))
    whole = len(found) == len(columns) == len(a_values) * len(b_values)
    return (a_values, b_values) if whole and min(len(a_values), len(b_values)) > 1 else None


def _grid_tables(
    cells: Cells,
    a_values: Sequence[str],
    b_values: Sequence[str],
    rates: Sequence[float],
    entry: Entry,
    least: Callable[[Cell], float] | None,
    width: int,
) -> Iterator[str]:
    """For each learning rate a down and b across."""
    for rate in rates:
        best = _best([cell for (_, own), cell in cells.items() if own == rate], least)
        lines = []
        for a in a_values:
            some = [cells[f"best:a={a}:b={b}", rate] for b in b_values]
            lines.append([f"a={a}", *(entry(cell) + (BEST if cell is best else " ") for cell in some)])
        yield from _blocks((f"rate {_rate(rate)}", *(f"b={b}" for b in b_values)), lines, width)


# What the paper has, and what is to be said


def _published(published: Mapping[str, Any] | None, columns: Sequence[str]) -> dict[tuple[str, float], Cell]:
    """The paper's cells by column and rate; its direct stands beside direct where its own start is not asked for."""
    if published is None:
        return {}
    found = {}
    for cell in published["cells"]:
        name = cell["column"]
        if name not in columns:
            name = name.split("@")[0]
        found[name, cell["learning_rate"]] = cell
    return found


def _printed(cell: Cell | None) -> str:
    if cell is None:
        return _NONE
    if cell["mean"] is None:
        return "nan"
    return f"{_short(cell['mean'], _DIGITS)} [{_short(cell['spread'], _SPREAD_DIGITS)}]"


def _notes(answer: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    spread = f"(…): {found['spread']}. " if len(found["seeds"]) > 1 else ""
    yield f"{spread}{BEST}: the best at a learning rate."
    if any(cell["nan"] for cell in found["cells"]):
        yield "NaN 1/3: one of three runs diverged, its loss is not a number; the mean is that of the others."
    published = answer["published"]
    if published is not None:
        yield f"paper: {published['source']}; […]: {published['spread']}."
        if "direct@published" not in found["columns"]:
            yield "The paper's direct started at Re λ = +1/2, as direct@published does; direct starts at -1/2."
    markov = answer["dataset"]["markov"]
    if markov is not None:
        yield (
            f"A Markov model of order {markov['order']} of the same text needs {markov['bits']:.4g} bits a "
            f"{answer['asked']['tokens']}."
        )
