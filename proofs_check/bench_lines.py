"""The table that the command line prints of a benchmark, as lines of plain text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from proofs_check.tables import table, wrapped

_WORDS = {True: "met", False: "NOT met", None: ""}


def bench_lines(answer: Mapping[str, Any], width: int | None) -> Iterator[str]:
    """A paragraph for each comparison, then the curve; `answer` is the JSON form of a report."""
    machine = answer["machine"]
    versions = ", ".join(f"{name} {found or 'absent'}" for name, found in machine["versions"].items())
    cores = machine["cores"]
    yield from wrapped(f"{cores} core{'s' if cores != 1 else ''} ({machine['processor']}), {versions}", width)
    yield from wrapped(f"threads: {machine['threads']}", width)
    for row in answer["rows"]:
        yield from ("", *wrapped(f"{row['what']} / {row['alternative']}", width))
        if row["ratio"] is not None:
            measured, reference = _short(row["measured"]), _short(row["reference"])
            text = f"{measured} / {reference} {row['unit']} = {row['ratio']:.3g}{_one_core(row)}"
            yield from wrapped(text, width, "  ")
        if row["aim"]:
            verdict = _WORDS[row["met"]]
            yield from wrapped(f"aim: {row['aim']}{verdict and f' ({verdict})'}", width, "  ")
        if row["errors"]:
            errors = "; ".join(f"{name} {value:.4g}" for name, value in _few(row["errors"]).items())
            yield from wrapped(errors, width, "  ")
        if row["note"]:
            yield from wrapped(row["note"], width, "  ")
    if answer["curve"]:
        rows = [
            (f"{point['models']:,}", f"{point['seconds']:.3g}", f"{point['bytes'] / 2**20:.4g}")
            for point in answer["curve"]
        ]
        yield from ("", *table(("models", "seconds", "MiB of tensors"), rows))


def _few(errors: Mapping[str, float]) -> dict[str, float]:
    """All of them, or the least and the largest where they are many."""
    if len(errors) <= 4:
        return dict(errors)
    return {name: errors[name] for name in (min(errors, key=lambda k: errors[k]), max(errors, key=lambda k: errors[k]))}


def _one_core(row: Mapping[str, Any]) -> str:
    return "" if row["ratio_one_core"] is None else f" ({row['ratio_one_core']:.3g} with one core on both sides)"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
