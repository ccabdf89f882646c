"""Axes with a title, for the pictures of the lessons."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLE = 0.26
"""Of the height, in inches, for the title."""


def titled_axes(figure: Figure, title: str) -> Axes:
    """The axes of a figure that is empty so far, lowered to make room for the title."""
    figure.subplots_adjust(top=1 - _TITLE / float(figure.get_figheight()))
    ax: Axes = figure.add_subplot()
    ax.set_title(title)
    return ax
