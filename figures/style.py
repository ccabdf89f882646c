"""One style for all figures: sizes of a two-column page, letters legible in print, colours for colour-blind readers.

Every reparameterization has one colour in every figure, from the palette of Okabe and Ito (Color Universal Design,
2008); what differs besides (gain, start, constants) is told by the kind of line. Figures are drawn without a window and
written as PNG, PDF and SVG, with text that stays text (Type 42 fonts, no outlines) and without dates, so that equal
data give equal files.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from numerics.store import write_file

COLUMN = 3.25
"""Width of one column of the page, in inches."""
PAGE = 6.75
"""Width of both columns."""
FORMATS = ("png", "pdf", "svg")

COLOURS = {
    "direct": "#000000",
    "softplus": "#E69F00",
    "exp": "#0072B2",
    "best": "#009E73",
    "relu": "#CC79A7",
    "reciprocal": "#56B4E9",
    "sigmoid": "#D55E00",
    "tanh": "#7A5195",
}
_OTHERS = ("#666666", "#8C510A", "#B8A500", "#5E3C99")
"""For formulas without a name, in their order in the figure."""
_LINES: tuple[Any, ...] = (
    "-",
    (0, (4, 1.5)),
    (0, (1, 1.2)),
    (0, (5, 1.2, 1, 1.2)),
    (0, (2.5, 1)),
    (0, (7, 1, 1, 1)),
)

_SETTINGS: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "mathtext.fontset": "dejavusans",
    "font.size": 7.5,
    "axes.labelsize": 7.5,
    "axes.titlesize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "lines.linewidth": 1.1,
    "lines.solid_capstyle": "round",
    "grid.linewidth": 0.4,
    "grid.color": "#DDDDDD",
    "legend.frameon": False,
    "figure.dpi": 100,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "stablessm",
    "axes.unicode_minus": True,
}
NO_DATES: Mapping[str, Mapping[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "svg": {"Date": None, "Creator": None},
}


@contextmanager
def style() -> Iterator[None]:
    """The settings of all figures, for what is drawn inside."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


@contextmanager
def quiet_fonts() -> Iterator[None]:
    """Without the warnings that the date of a font that comes with matplotlib is odd."""
    log = logging.getLogger("fontTools")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches that needs no window."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def base_name(column: str) -> str:
    """The reparameterization of a column's name: best of best:b=0.1@published or best/dc; of a formula the formula."""
    text = re.sub(r"(@published)?(/(dc|lru|unit-norm))?$", "", column)
    name = text.split(":")[0]
    return name if name in COLOURS else text


def looks(columns: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour and kind of line of each column: the colour by its f, the line by how it differs from others with it."""
    found: dict[str, dict[str, Any]] = {}
    used: dict[str, int] = {}
    for column in columns:
        base = base_name(column)
        count = used.setdefault(base, 0)
        used[base] += 1
        unnamed = [name for name in used if name not in COLOURS]
        colour = COLOURS.get(base) or _OTHERS[unnamed.index(base) % len(_OTHERS)]
        found[column] = {"color": colour, "linestyle": _LINES[count % len(_LINES)]}
    return found


def write_figure(figure: Figure, folder: Path, name: str, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Writes folder/name.png, .pdf and .svg, or some of them, each as a whole. Raises ValueError where that fails."""
    return [write_file(folder / file, content) for file, content in figure_contents(figure, name, formats).items()]


def figure_contents(figure: Figure, name: str, formats: Sequence[str] = FORMATS) -> dict[str, bytes]:
    """What `write_figure` writes, by the name of the file."""
    found = {}
    with style(), quiet_fonts():
        figure.draw_without_rendering()  # lays out once for all: each drawing would move the axes a little
        figure.set_layout_engine("none")
        for kind in formats:
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata=dict(NO_DATES[kind]))
            found[f"{name}.{kind}"] = buffer.getvalue()
    return found
