"""Tables set in a flow of pages: rules above, below and under the head, which stands again on each new page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from figures.pdf_layout import SIDE, WHOLE, Flow, Text
from figures.pdf_text import Font, Run, extent, is_math, width_of, wrap
from figures.table_files import Table, plain
from proofs_check.formula_svg import displayed

SIZES = (9.0, 8.5, 8.0, 7.5, 7.0)
"""Of the letters; a table that is too wide in the smallest has its widest columns broken into lines."""
_GAP = 9.0


def set_table(flow: Flow, table: Table) -> None:
    """Rows between rules, in the largest letters with which they fit; its head again on each new page."""
    room = WHOLE
    for size in SIZES:
        font = Font(size)
        bold = replace(font, bold=True)
        widths = [
            max(_cell_width(head, bold), *(_cell_width(row[i], font) for row in table.rows), 0.0)
            for i, head in enumerate(table.header)
        ]
        if sum(widths) + _GAP * (len(widths) - 1) <= room:
            break
    else:
        widths = _squeezed(widths, room - _GAP * (len(widths) - 1))
    whole = sum(widths) + _GAP * (len(widths) - 1)
    numbers = [table.is_number(i) for i in range(len(widths))]
    setter = _Rows(flow, font, widths, numbers, whole)
    setter.head(table.header)
    for row in table.rows:
        setter.row(row, table.header)
    flow.rule(whole, 0.9)
    flow.y += 3.0


def _cell_width(text: str, font: Font) -> float:
    return extent(displayed(text), font, True)[0] if is_math(text) else width_of(plain(text), font)


def _squeezed(widths: Sequence[float], room: float) -> list[float]:
    """The widest columns made narrower, all to one width, until they fit."""
    low, high = 0.0, max(widths)
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(min(width, middle) for width in widths) <= room else (low, middle)
    return [min(width, low) for width in widths]


@dataclass
class _Rows:
    """Sets the rows of a table."""

    flow: Flow
    font: Font
    widths: Sequence[float]
    numbers: Sequence[bool]
    whole: float

    def head(self, cells: Sequence[str]) -> None:
        self.flow.need(4 * self.font.leading)
        self.flow.rule(self.whole, 0.9)
        self.flow.y += 2.0
        self._set(cells, replace(self.font, bold=True))
        self.flow.y += 2.0
        self.flow.rule(self.whole, 0.5)
        self.flow.y += 2.0

    def row(self, cells: Sequence[str], header: Sequence[str]) -> None:
        page = len(self.flow.pages)
        self.flow.need(self._height(cells, self.font) + 4.0)
        if len(self.flow.pages) != page:
            self.head(header)
        self._set(cells, self.font)

    def _lines(self, text: str, width: float, font: Font) -> list[str]:
        if is_math(text) and _cell_width(text, font) <= width + 0.5:
            return [displayed(text)]
        return [" ".join(run.text for run, _ in line) for line in wrap([Run(plain(text), font)], width + 0.5)]

    def _height(self, cells: Sequence[str], font: Font) -> float:
        heights = []
        for text, width in zip(cells, self.widths, strict=True):
            lines = self._lines(text, width, font)
            tall = max((extent(line, font, True)[1] + 6.0 for line in lines if is_math(line)), default=0.0)
            heights.append(max(tall, len(lines) * font.leading))
        return max(heights, default=0.0)

    def _set(self, cells: Sequence[str], font: Font) -> None:
        """The lines of all cells from the top on; numbers flush right."""
        height = self._height(cells, font)
        x = SIDE
        for text, width, number in zip(cells, self.widths, self.numbers, strict=True):
            lines = self._lines(text, width, font)
            first = (height - len(lines) * font.leading) / 2 if len(lines) == 1 else 0.0
            for count, line in enumerate(lines, 1):
                space = width - _cell_width(line, font) if number else 0.0
                base = self.flow.y + first + count * font.leading - 0.3 * font.size
                self.flow.put(Text(x + space, base, line, font, math=is_math(line)))
            x += width + _GAP
        self.flow.y += height
