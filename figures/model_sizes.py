"""Axes for the number m of modes, with a tick at every m that was computed, and marks for curves that lie close."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKS = ("v", "s", "o", "D")
"""Of the reparameterizations of a figure, in their order; they stand side by side where values agree."""


def logarithmic_sizes(ax: Axes, dims: Sequence[int], label: str = "modes $m$") -> None:
    """Doubling m is one step."""
    ax.set_xscale("log", base=2)
    _ticks(ax, dims, label)


def root_sizes(ax: Axes, dims: Sequence[int], label: str = "modes $m$") -> None:
    """Equal steps of √m: e^{-κ√m} is a straight line where the other axis is logarithmic."""
    ax.set_xscale("function", functions=(lambda m: np.sqrt(np.maximum(m, 0.0)), np.square))
    _ticks(ax, dims, label)


def _ticks(ax: Axes, dims: Sequence[int], label: str) -> None:
    ax.set_xticks(list(dims), [str(m) for m in dims])
    ax.set_xticks([], minor=True)
    ax.set_xlabel(label)
