"""What the lessons share: pictures on a page, brackets as text, verdicts, and where to go on."""

from __future__ import annotations

import base64
import html
import inspect
import io
import threading
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import Literal

import marimo as mo
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from figures.demos.brackets import bracket
from figures.demos.server import DEMOS, demo
from figures.style import style
from proofs_check.claim import Verdict

__all__ = [
    "bracket",
    "exercise",
    "further",
    "message",
    "picture",
    "said",
    "said_plainly",
    "shared_picture",
    "side_by_side",
    "table",
    "title",
    "told",
]

WIDTH, HEIGHT = 4.6, 3.0
"""Of a picture, in inches: its letters can be read on a telephone, and two stand side by side on a large screen."""
DOTS = 180
"""Dots an inch, more than most screens show at this size."""
_PIXELS = 104
"""An inch on the screen, where there is room."""
_BOTTOM, _RIGHT, _TOP = 0.42, 0.1, 0.1
"""Space around the axes, in inches. To let matplotlib find it by itself takes longer than to draw the picture."""
_LITERAL = {ord(sign): f"&#{ord(sign)};" for sign in "&<>\"'\\`*_{}[]()#+-.!|~$^=:"}
"""Characters that HTML or Markdown may read as their own."""
_drawing = threading.Lock()
"""Every visitor has a thread, and matplotlib's settings are the same for all threads."""


def picture(
    draw: Callable[[Figure], None], alt: str, width: float = WIDTH, height: float = HEIGHT, left: float = 0.6
) -> mo.Html:
    """What `draw` draws on an empty figure, in the style of all figures; alt: the same in words, for who cannot see it.

    left: space for the labels of the axis, in inches. It keeps a white ground in dark mode, and shrinks with the page.
    """
    return _image(_png(draw, (), width, height, left), alt, width)


def shared_picture(draw: Callable[..., None], *arguments: Hashable, alt: str, left: float = 0.6) -> mo.Html:
    """What `draw(figure, *arguments)` draws, as `picture`; drawn once for all visitors who come by these arguments."""
    return _image(_remembered_png(draw, arguments, WIDTH, HEIGHT, left), alt, WIDTH)


def _png(draw: Callable[..., None], arguments: tuple[Hashable, ...], width: float, height: float, left: float) -> str:
    """The picture in base64."""
    buffer = io.BytesIO()
    with _drawing, style():
        figure = _paper(width, height)
        figure.clear()
        figure.subplots_adjust(left / width, _BOTTOM / height, 1 - _RIGHT / width, 1 - _TOP / height)
        draw(figure, *arguments)
        figure.savefig(buffer, format="png", dpi=DOTS)
    return base64.b64encode(buffer.getvalue()).decode()


@lru_cache
def _paper(width: float, height: float) -> Figure:
    """A figure to draw on again and again: matplotlib remembers formulas and the sizes of texts by what draws them."""
    figure = Figure(figsize=(width, height), dpi=DOTS)
    FigureCanvasAgg(figure)
    return figure


_remembered_png = lru_cache(maxsize=1000)(_png)


def _image(data: str, alt: str, width: float) -> mo.Html:
    look = f"width:{round(width * _PIXELS)}px;max-width:100%;height:auto;background:white;border-radius:4px"
    return mo.Html(f'<img alt="{html.escape(alt)}" style="{look}" src="data:image/png;base64,{data}">')


def side_by_side(*items: object) -> mo.Html:
    """Items in a row, below each other where the page is narrow."""
    return mo.hstack(list(items), justify="start", align="start", wrap=True, gap=1.0)


def said(verdict: Verdict, text: str) -> mo.Html:
    """A verdict and what it is about, in its colour."""
    kind: Literal["success", "danger", "warn"] = "danger"
    if verdict.holds is not False:
        kind = "success" if verdict.holds else "warn"
    return mo.callout(mo.md(f"**{verdict.name}** {text}"), kind=kind)


def said_plainly(verdict: Verdict, text: str) -> mo.Html:
    """As `said`, for text that is no Markdown: what a visitor typed may be in it."""
    return said(verdict, text.translate(_LITERAL))


def message(text: str) -> mo.Html:
    """What went wrong, in words that are shown as they are."""
    return mo.callout(mo.md(text.translate(_LITERAL)), kind="danger")


def told(text: str, good: bool | None = None) -> mo.Html:
    """What the numbers say at the place of the sliders: good, bad, or neither."""
    kind: Literal["neutral", "success", "danger"] = "neutral" if good is None else "success" if good else "danger"
    return mo.callout(mo.md(text), kind=kind)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> mo.Html:
    """A small table of Markdown texts."""
    lines = [heads, ["---"] * len(heads), *rows]
    return mo.md("\n".join(f"| {' | '.join(line)} |" for line in lines))


def title(name: str) -> mo.Html:
    """The title of a lesson and what one does in it."""
    return mo.md(f"# {demo(name).title}\n\n*{demo(name).about} About ten minutes.*")


def exercise(question: str, answer: str) -> mo.Html:
    """A question, and its answer behind a line to be opened."""
    asked = mo.md(f"## Exercise\n\n{inspect.cleandoc(question)}")
    return mo.vstack([asked, mo.accordion({"Answer": mo.md(inspect.cleandoc(answer))})])


def further(name: str, claims: Sequence[str], commands: Sequence[str]) -> mo.Html:
    """The statements behind a lesson, the same on the command line, and the next lesson."""
    statements = "\n".join(f"stablessm claims {claim}" for claim in claims)
    names = [one.name for one in DEMOS]
    after = names.index(name) + 1
    following = (
        f"**Next lesson:** {DEMOS[after].title} (`stablessm demo {names[after]}`)." if after < len(names) else ""
    )
    return mo.md(
        "## Further\n\nThe statements that this lesson relies on, each with its derivation and its verdict:\n\n"
        f"```text\n{statements}\n```\n\nThe same from the command line:\n\n"
        f"```text\n{chr(10).join(commands)}\n```\n\n{following}"
    )
