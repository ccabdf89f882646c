"""Figures on a terminal: which there are, and what those that were made show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def list_lines(figures: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line a figure, with the question it answers below."""
    lines = []
    for figure in figures:
        lines += [f"{figure['name']:<22}{figure['title']}", f"{'':<22}{figure['shows']}"]
    return lines


def drawn_lines(answers: Sequence[Mapping[str, Any]], folder: str) -> list[str]:
    """What each figure shows, and where its files are."""
    lines = []
    for answer in answers:
        ends = ", ".join(dict.fromkeys(Path(path).suffix[1:] for path in answer["files"]))
        made = f"{answer['seconds']:.1f} s" if answer["computed"] else "computed before"
        lines += [f"{answer['name']}: {answer['title']}  ({ends}; {made})"]
        lines += [f"  {answer['verdict']}: {answer['finding']}"]
    return [*lines, f"Captions, data and pictures: {folder}"]
