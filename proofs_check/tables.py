"""The tables that the command line prints of memory functions, perturbed errors and limits, as lines of plain text.

A lower bound is rounded down and an upper bound up, so that what is printed holds as well.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from typing import Any

WIDTH = 80

NORM = "‖ρ‖_W = ∫|ρ| + total variation of ρ"
_SUM_NORM = "‖ρ‖_W = Σ|ρ_k| + Σ|ρ_k - ρ_{k-1}|"
_BALLS = {
    "joint": "the sum of |δ|² over {groups} at most β²",
    "block": "each of {groups} moved by at most β (w, omega: every entry; matrices: spectral norm)",
}
_WORDS = {True: "stable", False: "NOT stable", None: "not decided"}


def below(value: float | str, digits: int = 6) -> str:
    """A lower bound with so many digits, rounded down."""
    return _rounded(value, digits, ROUND_FLOOR)


def above(value: float | str, digits: int = 6) -> str:
    """An upper bound with so many digits, rounded up."""
    return _rounded(value, digits, ROUND_CEILING)


def _rounded(value: float | str, digits: int, direction: str) -> str:
    number = float(value)
    if not math.isfinite(number):
        return str(number)
    return f"{float(Context(prec=digits, rounding=direction).create_decimal(repr(number))):.{digits}g}"


def memory_lines(answer: Mapping[str, Any], model: Any, width: int | None) -> Iterator[str]:
    """The bracket of the memory function; `answer` is its JSON form."""
    rate = "|y_k - y_{k-1}|" if model.is_discrete else "|d/dt y_t|"
    argument = "k" if model.is_discrete else "t"
    yield from wrapped(f"M({argument}) = sup over constant inputs x of {rate}/(|x|_∞ + 1)", width)
    yield from wrapped(describe(model), width)
    yield ""
    columns = zip(answer["t"], answer["memory_lower"], answer["memory_upper"], strict=True)
    yield from table((argument, "lower", "upper"), [(f"{t:.12g}", below(low), above(up)) for t, low, up in columns])
    yield from ("", *wrapped(f"The ends: {answer['method']}.", width))


def error_lines(answer: Mapping[str, Any], model: Any, targets: Sequence[Any], width: int | None) -> Iterator[str]:
    """The brackets of the perturbed error; `answer` is their JSON form."""
    norm = _SUM_NORM if model.is_discrete else NORM
    yield from wrapped(f"E_m(β) = sup ‖ρ - ρ̂‖_W over the ball, {norm}", width)
    yield from wrapped(f"target {', '.join(target.spec for target in targets)}", width)
    yield from wrapped(describe(model), width)
    yield from wrapped(f"ball {_ball(answer['ball'], answer['groups'])}", width)
    yield from (f"stability margin {below(answer['stability_margin'])}", "")
    notes = list(dict.fromkeys(row["reason"] for row in answer["rows"]))
    rows = [
        (f"{row['beta']:.12g}", below(row["lower"]), above(row["upper"]), f"({notes.index(row['reason']) + 1})")
        for row in answer["rows"]
    ]
    yield from table(("β", "lower", "upper", ""), rows)
    yield ""
    for number, note in enumerate(notes, 1):
        yield from wrapped(f"({number}) {note}", width)


def curse_lines(answer: Mapping[str, Any], target: Any, sequence: str, ball: str, width: int | None) -> Iterator[str]:
    """E_m(β) in a table for each sequence of models, the verdict on it below; `answer` is the JSON form."""
    yield from wrapped(f"E_m(β) = sup ‖ρ - ρ̂_m‖_W over the ball, {NORM}", width)
    yield from wrapped(f"target {target.spec}; {sequence} sequence of models with m modes, continuous time", width)
    yield from wrapped(f"ball {_ball(ball, ['the groups'])}", width)
    verdicts = {_key(verdict): verdict for verdict in answer["verdicts"]}
    for key in dict.fromkeys(_key(row) for row in answer["rows"]):
        reparam, modes, groups = key
        verb = "moves" if len(groups) == 1 else "move"
        yield from ("", f"{reparam}, {modes} modes, {', '.join(groups)} {verb}")
        yield from _grid([row for row in answer["rows"] if _key(row) == key], (width or WIDTH) - 2)
        if key in verdicts:
            found = verdicts[key]
            claim = f" [{found['claim']}]" if found["claim"] else ""
            text = f"{_WORDS[found['stable']]} ({found['verdict']}): {found['reason']}{claim}"
            yield from wrapped(text, width, indent="  ")
    notes = answer.get("notes", ())
    if notes:
        yield ""
        for note in notes:
            yield from wrapped(note, width)


def limit_lines(answer: Mapping[str, Any], target: Any, width: int | None) -> Iterator[str]:
    """The limits of approximation, and what was reached where that was asked; `answer` is their JSON form."""
    yield from wrapped("No stable linear model with m states comes closer to the target than E_m(0)", width)
    yield from wrapped(f"in the norm {NORM}", width)
    yield from (*wrapped(f"target {target.spec}", width), "")
    unresolved = [not row.get("resolved", True) for row in answer["rows"]]
    rows: list[tuple[str, ...]] = [
        (str(row["m"]), f"{'≤ ' if coarse else ''}{row['hankel_singular_value']:.6g}", below(row["error_lower"]))
        for row, coarse in zip(answer["rows"], unresolved, strict=True)
    ]
    head: tuple[str, ...] = ("m", "σ_{m+1}(Γ_ρ)", "E_m(0) ≥")
    if "error_fitted" in answer["rows"][0]:
        rows = [(*row, *_reached(found)) for row, found in zip(rows, answer["rows"], strict=True)]
        head = (*head, "fitted", "ratio", "states", "explicit")
    yield from table(head, rows)
    if len(head) > 3:
        legend = (
            "fitted: the best model found, of real modes or of complex pairs; ratio: fitted by the lower bound; "
            "explicit: the model of a quadrature rule."
        )
        yield from ("", *wrapped(legend, width))
    if any(unresolved):
        yield from ("", *wrapped("≤: float64 does not resolve this singular value; an estimate from above.", width))


def _reached(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The cells of the errors that fitted and explicit models have."""
    fitted, explicit = float(row["error_fitted"]), row["error_explicit"]
    ratio = f"{fitted / row['error_lower']:.3g}" if row["error_lower"] > 0 else "-"
    return f"{fitted:.5g}", ratio, row["states"], "-" if explicit is None else f"{float(explicit):.5g}"


def describe(model: Any) -> str:
    """A model in one line."""
    time = "continuous time"
    if model.is_discrete:
        step = getattr(model, "step_size", None)
        time = "discrete time" + (f" (step size {step:g}, {model.discretization})" if step else "")
    size = f"{_count(model.input_dim, 'input')}, {_count(model.output_dim, 'output')}"
    if not hasattr(model, "layers"):
        return f"full matrix of {_count(model.hidden_dim, 'state')}, {time}, {size}"
    modes = "+".join(str(m) for m in model.hidden_dims)
    kind = "complex" if model.is_complex else "real"
    parts = (f"{_count(len(model.layers), 'layer')} of {modes} {kind} modes ({model.modes})", model.activation.name)
    return ", ".join((*parts, f"λ = f(w) with f {model.reparameterization.text}", time, size))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], indent: str = "  ") -> Iterator[str]:
    """Rows under their heads, each column flush right."""
    lines = [heads, *rows]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    for line in lines:
        yield (indent + "  ".join(f"{cell:>{size}}" for cell, size in zip(line, widths, strict=True))).rstrip()


def wrapped(text: str, width: int | None, indent: str = "") -> list[str]:
    """A paragraph, broken at `width` (None: at 80); what follows its first line is indented."""
    return textwrap.wrap(
        text,
        max(width or WIDTH, 40),
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def _ball(kind: str, groups: Sequence[str]) -> str:
    return f"{kind}: {_BALLS[kind].format(groups=', '.join(groups))}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _key(row: Mapping[str, Any]) -> tuple[str, str, tuple[str, ...]]:
    return row["reparam"], row["modes"], tuple(row["groups"])


def _grid(rows: Sequence[Mapping[str, Any]], width: int) -> Iterator[str]:
    """m down, E_m(0) and the β across: as many β beside each other as fit."""
    betas = list(dict.fromkeys(row["beta"] for row in rows))
    cells = {(row["m"], row["beta"]): f"[{below(row['lower'], 5)}, {above(row['upper'], 5)}]" for row in rows}
    initial = {row["m"]: below(row["error_at_zero"], 5) for row in rows}
    room = max(len(cell) for cell in cells.values()) + 2
    across = max(1, (width - 20) // room)
    for start in range(0, len(betas), across):
        some = betas[start : start + across]
        heads = ("m", "E_m(0) ≥", *(f"E_m({beta:.6g})" for beta in some))
        yield from table(heads, [(str(m), low, *(cells[m, beta] for beta in some)) for m, low in initial.items()])
