"""Tables written for a paper (LaTeX with booktabs), for a page (Markdown) and for a spreadsheet (CSV)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table of texts; parts between dollar signs are formulas in LaTeX.

    name: of its files; header: one text a column; rows: as many texts each.
    """

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
