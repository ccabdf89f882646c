"""Text, formulas, tables and figures set on A4 pages: a flow from top to bottom that measures before it draws.

Lengths are points (1/72 inch), counted from the top left corner of a page. The result is a list of marks for each page,
which `figures.pdf_pages` draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from figures.figure import FigureKind
from figures.pdf_text import (
    BODY,
    CODE,
    INK,
    Font,
    Run,
    broken,
    extent,
    fitting,
    is_math,
    leading_of,
    pieces,
    width_of,
    wrap,
)
from proofs_check.formula_svg import displayed

WIDTH, HEIGHT = 595.28, 841.89
"""Of the page: A4."""
SIDE, TOP, BOTTOM = 54.64, 60.0, 66.0
"""Margins; between the sides a figure as wide as both columns of a paper just fits."""
WHOLE = WIDTH - 2 * SIDE
"""Width between the sides."""
MEASURE = 452.0
"""Length of a line of text, from the left side on."""


# What stands on a page


@dataclass(frozen=True)
class Text:
    """x, y: where the base line begins; math: with formulas between dollar signs."""

    x: float
    y: float
    text: str
    font: Font
    math: bool = False


@dataclass(frozen=True)
class Bar:
    """A filled rectangle, with round corners or not; a rule is one without much height."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    radius: float = 0.0


@dataclass(frozen=True)
class Picture:
    """A figure at its natural size."""

    x: float
    y: float
    width: float
    height: float
    kind: FigureKind[Any]
    data: Any


Mark = Text | Bar | Picture


@dataclass
class Flow:
    """Sets one thing below the other and begins new pages; `places` tells on which page a name stands."""

    height: float = HEIGHT - BOTTOM
    pages: list[list[Mark]] = field(default_factory=lambda: [[]])
    places: dict[str, int] = field(default_factory=dict)
    y: float = TOP

    def put(self, mark: Mark) -> None:
        self.pages[-1].append(mark)

    def new_page(self) -> None:
        self.pages.append([])
        self.y = TOP

    def need(self, height: float) -> None:
        """A new page where so much room is not left."""
        if self.y + height > self.height and self.y > TOP:
            self.new_page()

    def gap(self, height: float) -> None:
        """Room between two things, none at the head of a page."""
        if self.y > TOP:
            self.y += height

    def mark(self, name: str) -> None:
        self.places.setdefault(name, len(self.pages))

    def keep(self, content: Callable[[Flow], None]) -> None:
        """Content that stands on one page where it fits on one."""
        trial = Flow(height=float("inf"))
        content(trial)
        height = trial.y - TOP
        if height <= self.height - TOP:
            self.need(height)
        content(self)

    def paragraph(
        self, text: str | Sequence[Run], font: Font = BODY, *, indent: float = 0.0, measure: float = MEASURE
    ) -> None:
        """Lines up to the measure, flush left; indent: of all of them."""
        runs = [Run(text, font)] if isinstance(text, str) else text
        lines = wrap(runs, measure - indent)
        for number, line in enumerate(lines):
            leading = leading_of(line)
            together = 2 if number == 0 or number == len(lines) - 2 else 1
            self.need(leading * min(together, len(lines) - number))
            self.y += leading
            self._line(line, SIDE + indent)

    def columns(self, cells: Sequence[tuple[Sequence[Run], float]]) -> None:
        """Texts beside each other, each with the width of its column, on one page."""
        wrapped = [(wrap(runs, width), width) for runs, width in cells]
        height = max(sum(leading_of(line) for line in lines) for lines, _ in wrapped)
        first = max(leading_of(lines[0]) for lines, _ in wrapped)
        self.need(height)
        top, x = self.y, SIDE
        for lines, width in wrapped:
            self.y = top + first - leading_of(lines[0])  # the first lines stand on one base line
            for line in lines:
                self.y += leading_of(line)
                self._line(line, x)
            x += width
        self.y = top + height

    def _line(self, line: Sequence[tuple[Run, float]], left: float) -> None:
        base = self.y - 0.22 * leading_of(line)
        for run, x in line:
            self._run(run, left + x, base)

    def _run(self, run: Run, x: float, base: float) -> None:
        if run.box:
            pad = 0.45 * run.font.size
            width = width_of(run.text, run.font) + 2 * pad
            size = run.font.size
            self.put(Bar(x, base - 1.06 * size, width, 1.42 * size, run.box, 2.0))
            x += pad
        for text, font, start, raised in pieces(run.text, run.font):
            self.put(Text(x + start, base - raised, text, font))

    def formula(self, latex: str, size: float = 12.0, *, indent: float = 18.0, measure: float = MEASURE) -> None:
        """A formula on lines of its own; smaller, or broken at its wide spaces, where it is too long."""
        room = measure - indent
        if not is_math(f"${displayed(latex)}$"):
            self.paragraph(latex, CODE, indent=indent, measure=measure)
            return
        for part in broken(latex, Font(size), room):
            font = fitting(part, Font(size), room)
            text = f"${displayed(part)}$"
            _, height, depth = extent(text, font, True)
            self.need(height + 9.0)
            self.y += height + 4.5
            self.put(Text(SIDE + indent, self.y - depth, text, font, math=True))
            self.y += 4.5

    def rule(self, width: float, thickness: float = 0.6, colour: str = INK) -> None:
        self.put(Bar(SIDE, self.y, width, thickness, colour))

    def picture(self, kind: FigureKind[Any], data: Any) -> None:
        assert kind.size is not None
        width, height = (72 * inches for inches in kind.size(data))
        shrink = min(1.0, (WHOLE + 1) / width, (self.height - TOP) / height)
        width, height = width * shrink, height * shrink
        self.need(height)
        self.put(Picture((WIDTH - width) / 2, self.y, width, height, kind, data))
        self.y += height
