"""Plain arguments: checks that raise ValueError with the name and value, in one line, and how values are shown."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray


def shown(value: object, limit: int = 60) -> str:
    """The text of a value for a message: one line, not longer than the limit."""
    printable = "".join(c if c.isprintable() else "?" for c in str(value)[: limit + 1])
    return printable if len(printable) <= limit else printable[:limit] + "…"


def shown_path(path: Path) -> str:
    """The end of a path, on one line."""
    text = "".join(c if c.isprintable() else "?" for c in str(path))
    return text if len(text) <= 120 else "…" + text[-119:]


def check_choice(name: str, value: str, allowed: Iterable[str]) -> None:
    """One of the words that are allowed."""
    if value not in allowed:
        raise ValueError(f"{name}: {shown(value)!r} is not one of {', '.join(allowed)}")


def check_count(name: str, value: object, least: int) -> None:
    """A whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name}: a whole number is needed, got {shown(value)}")
    if value < least:
        raise ValueError(f"{name}: at least {least} is needed, got {value}")


def check_counts(**given: tuple[object, int]) -> None:
    """`check_count` for each name=(value, least)."""
    for name, (value, least) in given.items():
        check_count(name, value, least)


def real_array(name: str, value: ArrayLike) -> NDArray[np.float64]:
    """The value as an array of real float64 numbers, of any shape; not a copy where it is one."""
    try:
        array = np.asarray(value)
        if array.dtype.kind in "biuf":
            return array.astype(np.float64, copy=False)
        if array.dtype.kind == "O":
            return np.array(array, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        pass
    raise ValueError(f"{name}: an array of real numbers is needed, got {shown(repr(value))}")


def json_number(x: float) -> float | str:
    """The number itself, or "inf" or "-inf", which JSON has no number for."""
    return x if abs(x) != float("inf") else ("inf" if x > 0 else "-inf")
