"""Pages of marks drawn into one PDF: vectors, Type 42 fonts, and no dates, so that equal pages give equal files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.patches import FancyBboxPatch, Rectangle

from figures.pdf_layout import HEIGHT, WIDTH, Bar, Mark, Picture, Text
from figures.pdf_text import properties
from figures.style import NO_DATES, new_figure, quiet_fonts, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INCH = 72.0


def pdf_of(pages: Sequence[Sequence[Mark]], title: str) -> bytes:
    """The file; title: in its metadata."""
    buffer = io.BytesIO()
    metadata = {**NO_DATES["pdf"], "Title": title}
    with quiet_fonts(), style(), PdfPages(buffer, metadata=metadata) as file:
        for marks in pages:
            file.savefig(_page(marks))
    return buffer.getvalue()


def _page(marks: Sequence[Mark]) -> Figure:
    figure = new_figure(WIDTH / INCH, HEIGHT / INCH)
    if not any(isinstance(mark, Picture) for mark in marks):
        figure.set_layout_engine("none")  # there is nothing to lay out, so draw it once
    for mark in marks:
        if isinstance(mark, Picture):
            _picture(figure, mark)
        elif isinstance(mark, Bar):
            _bar(figure, mark)
        else:
            _text(figure, mark)
    return figure


def _text(figure: Figure, mark: Text) -> None:
    figure.text(
        mark.x / INCH,
        (HEIGHT - mark.y) / INCH,
        mark.text,
        transform=figure.dpi_scale_trans,
        fontproperties=properties(mark.font),
        color=mark.font.colour,
        parse_math=mark.math,
        va="baseline",
    )


def _bar(figure: Figure, mark: Bar) -> None:
    corner = (mark.x / INCH, (HEIGHT - mark.y - mark.height) / INCH)
    width, height = mark.width / INCH, mark.height / INCH
    look: dict[str, Any] = {"facecolor": mark.colour, "linewidth": 0, "transform": figure.dpi_scale_trans}
    if mark.radius:
        round_box = f"round,pad=0,rounding_size={mark.radius / INCH}"
        figure.add_artist(FancyBboxPatch(corner, width, height, boxstyle=round_box, mutation_aspect=1, **look))
    else:
        figure.add_artist(Rectangle(corner, width, height, **look))


def _picture(figure: Figure, mark: Picture) -> None:
    """Draws the figure into the middle cell of a grid of three by three over the page."""
    assert mark.kind.draw is not None
    grid = figure.add_gridspec(
        3,
        3,
        width_ratios=[mark.x, mark.width, WIDTH - mark.x - mark.width],
        height_ratios=[mark.y, mark.height, HEIGHT - mark.y - mark.height],
    )
    mark.kind.draw(mark.data, figure.add_subfigure(grid[1, 1]))
