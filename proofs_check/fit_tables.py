"""The table that the command line prints of fits: of every target, f and m the best of the seeds, as lines of text."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from proofs_check.tables import above, below, table, wrapped

REACHED = 1.01
"""A seed has reached the best one if its error is at most this many times the best error."""
_GROUP = ("target", "modes", "optimizer", "learning_rate")
_HEADS = ("f", "m", "error L²", "error W", "seeds", "margin", "decay", "bound/M", "results")
_NONE = "-"
_DIGITS = 3
"""Of all numbers, so that the table fits 80 columns."""
_LETTERS = {"converged": "c", "stalled": "s", "budget_spent": "b", "diverged": "d"}


def fit_lines(answer: Mapping[str, Any], width: int | None) -> Iterator[str]:
    """The best fits, a table for each target and kind of modes, then the answers; `answer`: rows, answers, asked."""
    asked, rows = answer["asked"], answer["rows"]
    judged = "error_w1inf" if asked["loss"] == "w1inf" else "error_l2"
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(name) for name in _GROUP), []).append(row)
    yield from wrapped(_intention(asked), width)
    for (target, modes, optimizer, rate), members in groups.items():
        how = "" if optimizer is None else f", {optimizer} with learning rate {rate:g}"
        yield from ("", *wrapped(f"target {target}, {modes} modes{how}", width))
        cells: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
        for row in members:
            cells.setdefault((row["reparam"], row["m"]), []).append(row)
        yield from table(_HEADS, [_best_line(f, m, some, judged) for (f, m), some in cells.items()], indent="")
    yield ""
    results = [result for result in _LETTERS if any(row["result"] == result for row in rows)]
    for note in _notes(asked, judged, any(map(_rough, rows)), results):
        yield from wrapped(note, width)
    for found in answer["answers"]:
        yield from ("", *wrapped(found["question"], width))
        yield from wrapped(f"  {found['verdict']}: {found['answer']}", width)


def _intention(asked: Mapping[str, Any]) -> str:
    kind = "complex" if asked["complex"] else "real"
    time = "continuous time" if asked["time"] == "continuous" else f"discrete time, step size {asked['step_size']:g}"
    horizon = "" if asked["horizon"] == "inf" else f", horizon {asked['horizon']:g}"
    return f"Fits in {asked['mode']} mode, loss {asked['loss']}, {kind} modes, {time}{horizon}"


def _best_line(f: str, m: int, rows: Sequence[Mapping[str, Any]], judged: str) -> tuple[str, ...]:
    errors = [_number(row[judged]) for row in rows]
    counts = Counter(row["result"] for row in rows)
    results = " ".join(f"{count}{_LETTERS[result]}" for result, count in counts.most_common())
    least = min(errors)
    if not math.isfinite(least):
        return f, str(m), *[_NONE] * 6, results
    best = rows[errors.index(least)]
    reached = sum(error <= REACHED * least for error in errors)
    return (
        f,
        str(m),
        _rough(best) + _shown(best["error_l2"]),
        _rough(best) + _shown(best["error_w1inf"]),
        f"{reached}/{len(rows)}",
        _shown(best["margin"]),
        _NONE if best["decay_rate"] is None else _interval(*best["decay_rate"]),
        _shown(best["bound_ratio_min"]),
        results,
    )


def _interval(low: float | str, high: float | str) -> str:
    """The middle where the whole interval is within one unit of its last digit, else both ends."""
    middle = f"{(float(low) + float(high)) / 2:.{_DIGITS}g}"
    if 0 < float(middle) < math.inf:
        unit = 10.0 ** (math.floor(math.log10(float(middle))) + 1 - _DIGITS)
        if float(middle) - unit <= float(low) and float(high) <= float(middle) + unit:
            return middle
    return f"[{below(low, _DIGITS)}, {above(high, _DIGITS)}]"


def _notes(asked: Mapping[str, Any], judged: str, rough: bool, results: Sequence[str]) -> Iterator[str]:
    discrete = asked["time"] == "discrete"
    change = "Σ|e_k| + Σ|e_k - e_{k-1}|" if discrete else "∫|e| + total variation of e"
    name = "W" if judged == "error_w1inf" else "L²"
    yield f"Shown is the seed with the least error {name}; seeds: how many come within 1 %."
    yield f"error W: {change}, e the error of the kernel."
    if rough:
        yield "~: huge coefficients cancel; rounding errors reach the digits shown."
    yield f"margin: {'1 - max|λ|' if discrete else 'min|Re λ|'}."
    per = " per step" if discrete else ""
    yield f"decay: the rate of the measured memory function M{per}, to one unit of its last digit; - if not decided."
    yield "bound/M: the least ratio of the bound of Theorem 3.3, in its sharp form, to M."
    yield f"results: {', '.join(f'{_LETTERS[result]} {result}' for result in results).replace('_', ' ')}."


def _number(value: float | str | None) -> float:
    """inf for an error that is infinite or not known."""
    return math.inf if value is None else float(value)


def _rough(row: Mapping[str, Any]) -> str:
    """A mark where rounding may change the third digit of the errors."""
    rounding, error = row.get("rounding"), row["error_l2"]
    known = rounding is None or error is None or _number(rounding) <= 10.0**-_DIGITS * _number(error)
    return "" if known else "~"


def _shown(value: float | str | None) -> str:
    return _NONE if value is None else f"{float(value):.{_DIGITS}g}"
