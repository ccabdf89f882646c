"""The text form of target kernels, and kernels from CSV files.

    list   = target { "," target }
    target = term { "+" term }
    term   = name { ":" key "=" value }

Values are plain decimal numbers, but for `file`, a path without double quotes, to be put in them where it contains a
space or one of `, + :`. A plus
sign that is not followed by a name, as in 1e+3, belongs to its number. Nothing is evaluated.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from numerics.arguments import shown
from numerics.target_base import Target, TargetSum
from numerics.target_data import Samples
from numerics.target_kernels import Airy, Exponential, Polynomial, Shift, Sine, TwoPart

MAX_LENGTH = 10_000
MAX_CSV_BYTES = 50_000_000
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class _Kind:
    build: Callable[..., Target]
    parameters: tuple[str, ...]
    required: tuple[str, ...] = ()


KINDS: Mapping[str, _Kind] = {
    "exponential": _Kind(Exponential, ("rate", "scale")),
    "polynomial": _Kind(Polynomial, ("p", "s", "scale"), ("p",)),
    "shift": _Kind(Shift, ("start", "end", "scale")),
    "two-part": _Kind(TwoPart, ("scale",)),
    "airy": _Kind(Airy, ("scale",)),
    "sine": _Kind(Sine, ("omega", "scale")),
    "csv": _Kind(lambda file, scale=1.0: read_csv(file, scale), ("file", "scale"), ("file",)),
}


def parse_target(text: str) -> Target:
    """The kernel of one spec, "polynomial:p=1.5" or "exponential:rate=2+shift:scale=-0.5".

    Raises: ValueError, in one line, for anything outside the grammar, unknown names (with the nearest known one), a
    missing, repeated or impossible parameter, and whatever is wrong with a CSV file.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"target: {len(text)} characters; at most {MAX_LENGTH} are allowed")
    if len(list(_pieces(text, re.compile(",")))) > 1:
        raise ValueError(f"target: one target was expected, got the list {shown(text)!r}")
    terms = tuple(_term(piece.strip()) for piece in _pieces(text, re.compile(r"\+(?=\s*([A-Za-z]|$))")))
    return terms[0] if len(terms) == 1 else TargetSum(terms)


def parse_targets(text: str) -> list[Target]:
    """The kernels of a list of specs separated by commas. Raises: ValueError as `parse_target`."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"target: {len(text)} characters; at most {MAX_LENGTH} are allowed")
    return [parse_target(piece) for piece in _pieces(text, re.compile(","))]


def _pieces(text: str, separator: re.Pattern[str]) -> Iterator[str]:
    """The parts of a text between separators that are not inside double quotes."""
    begin, quoted = 0, False
    for position, character in enumerate(text):
        quoted ^= character == '"'
        if not quoted and separator.match(text, position):
            yield text[begin:position]
            begin = position + 1
    if quoted:
        raise ValueError(f"target: a double quote is not closed in {shown(text)!r}")
    yield text[begin:]


def _term(text: str) -> Target:
    name, *settings = (piece.strip() for piece in _pieces(text, re.compile(":")))
    if name not in KINDS:
        near = difflib.get_close_matches(name.lower(), KINDS, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"target: {shown(name)!r} is not a target; {hint}known: {', '.join(KINDS)}")
    kind, values = KINDS[name], dict[str, float | str]()
    for setting in settings:
        key, equals, value = (part.strip() for part in setting.partition("="))
        if not equals or key not in kind.parameters or key in values:
            problem = "is given twice" if key in values else f"is not a parameter of {name!r}"
            near = difflib.get_close_matches(key, kind.parameters, 1) if key not in values else []
            hint = f"did you mean {near[0]}? " if near and near[0] != key else ""
            allowed = ", ".join(f"{parameter}=…" for parameter in kind.parameters)
            raise ValueError(f"target: {shown(setting)!r} {problem}; {hint}allowed: {allowed}")
        values[key] = value.strip('"') if key == "file" else _number(name, key, value)
    missing = [key for key in kind.required if values.get(key, "") == ""]
    if missing:
        raise ValueError(f"target: {name!r} needs {missing[0]}, as in {name}:{missing[0]}=…")
    if name == "csv":
        return kind.build(**values)
    try:
        return kind.build(**values)
    except ValueError as error:
        raise ValueError(f"target {shown(text)!r}: {error}") from None


def _number(name: str, key: str, value: str) -> float:
    if not _NUMBER.fullmatch(value) or not math.isfinite(float(value)):
        raise ValueError(f"target: {key} of {name!r} must be a finite decimal number, got {shown(value)!r}")
    return float(value)


def read_csv(path: str, scale: float = 1.0) -> Samples:
    """The kernel through the rows t, ρ of a CSV file (UTF-8): linear between the rows, 0 after the last time.

    The first row may be a header; blank lines at the end and lines that begin with # are passed over. t starts at 0
    and increases.
    Raises: ValueError naming the file and the line for a gap (a missing value or NaN), a repeated or decreasing time,
    text, a wrong number of columns; and for a file that is missing, too large, empty or not text.
    """
    lines = _lines(path)
    rows: list[tuple[float, float]] = []
    for number, line in enumerate(_without_end(lines), 1):
        if line.lstrip().startswith("#") or (not rows and _is_header(line)):
            continue
        row = _row(line, f"{shown(path)}, line {number}")
        if rows and row[0] <= rows[-1][0]:
            what = "repeated" if row[0] == rows[-1][0] else "less than the time before it"
            raise ValueError(f"{shown(path)}, line {number}: the time {row[0]:g} is {what}")
        if not rows and row[0] != 0:
            raise ValueError(f"{shown(path)}, line {number}: the first time must be 0, got {row[0]:g}")
        rows.append(row)
    if len(rows) < 2:
        raise ValueError(f"{shown(path)}: at least 2 rows of numbers t, rho are needed, got {len(rows)}")
    table = np.array(rows)
    quoted = f'"{path}"' if re.search(r"[,+:\s]", path) else path
    try:
        return Samples(table[:, 0], table[:, 1], f"csv:file={quoted}", scale)
    except ValueError as error:
        raise ValueError(f"{shown(path)}: {error}") from None


def _lines(path: str) -> list[str]:
    if '"' in path or "\0" in path:
        raise ValueError(f"{shown(path)}: a path without double quotes and null characters is needed")
    file = Path(path)
    try:
        status = file.stat()
        if not file.is_file():  # a pipe or a device never ends
            raise ValueError(f"{shown(path)}: it is not a file")
        if status.st_size > MAX_CSV_BYTES:
            raise ValueError(f"{shown(path)}: {status.st_size} bytes; at most {MAX_CSV_BYTES} are allowed")
        return file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{shown(path)}: it is not UTF-8 text") from None
    except OSError as error:
        raise ValueError(f"{shown(path)}: {error.strerror or 'it cannot be read'}") from None


def _without_end(lines: list[str]) -> list[str]:
    last = max((i for i, line in enumerate(lines) if line.strip()), default=-1)
    return lines[: last + 1]


def _is_header(line: str) -> bool:
    cells = [cell.strip().strip('"').lower() for cell in line.split(",")]
    return len(cells) == 2 and cells[0] in ("t", "time") and cells[1] in ("rho", "ρ", "value")


def _row(line: str, where: str) -> tuple[float, float]:
    cells = [cell.strip() for cell in line.split(",")]
    if len(cells) != 2:
        raise ValueError(f"{where}: 2 columns t, rho were expected, got {shown(line, 30)!r}")
    for cell in cells:
        if not cell or cell.lower() in ("nan", "na", "null", "none"):
            raise ValueError(f"{where}: a gap, {shown(line, 30)!r}; every row needs a time and a value")
        if not _NUMBER.fullmatch(cell) or not math.isfinite(float(cell)):
            raise ValueError(f"{where}: {shown(cell, 30)!r} is not a finite number")
    return float(cells[0]), float(cells[1])
