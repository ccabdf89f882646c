"""What a sweep of fits says about Theorem 3.3, in words: margins and their rate, the bound, where it is tight.

The answers are about the fits at hand, in floating point: SUPPORTED at most. What is known of every model and of every
sequence is proved in the ledger, and an answer names the claim.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from proofs_check.claim import Verdict

Row = Mapping[str, Any]

_ROUNDING = 1e-9
_TIGHTEST = 3


def fit_answers(rows: Sequence[Row]) -> list[dict[str, str]]:
    """The answers, each {"question", "verdict", "answer"}, to rows as `numerics.fit_evaluation.FitRow.as_json`.

    Fits that diverged or came to no stable model are left out.
    """
    good = [row for row in rows if row["margin"] is not None]
    answers = [*_margins(good), _bound(good), _tightness(good), _radii(good)]
    return [dict(zip(("question", "verdict", "answer"), answer, strict=True)) for answer in answers]


_Answer = tuple[str, str, str]


def _margins(rows: Sequence[Row]) -> list[_Answer]:
    question = "Do the margins of directly parameterized fits to polynomial targets tend to 0 with m, and how fast?"
    sequences: dict[tuple[str, str], dict[int, Row]] = {}
    for row in rows:
        if row["reparam"] == "direct" and _exponent(row["target"]) is not None:
            best = sequences.setdefault((row["target"], row["modes"]), {})
            if row["m"] not in best or _number(row["error_l2"]) < _number(best[row["m"]]["error_l2"]):
                best[row["m"]] = row
    if not sequences:
        return [(question, Verdict.INCONCLUSIVE.name, "no fit of λ = w to a polynomial target")]
    return [
        (f"{question} {target}, {modes} modes", *_sequence(target, by_dim))
        for (target, modes), by_dim in sequences.items()
    ]


def _sequence(target: str, by_dim: Mapping[int, Row]) -> tuple[str, str]:
    """Of the best fit for each m."""
    from numerics.margin_rate import margin_rate

    dims = sorted(by_dim)
    margins = [by_dim[m]["margin"] for m in dims]
    seen = f"{margins[0]:.3g} at m = {dims[0]}, {margins[-1]:.3g} at m = {dims[-1]}"
    rate = margin_rate(dict(zip(dims, margins, strict=True)))
    if rate is None:
        return Verdict.INCONCLUSIVE.name, f"{seen}; a rate needs three m, each 1.4 times the one before"
    low, high = rate.interval
    if low <= 0 or not all(after < before for before, after in pairwise(margins)):
        return Verdict.INCONCLUSIVE.name, f"{seen}, but they do not fall from each m to the next"
    exponent = _exponent(target) or math.inf
    predicted = math.pi * math.sqrt(2 / (exponent - 0.5))
    return Verdict.SUPPORTED.name, (
        f"yes: {seen}; log(1/margin) grows like κ√m with κ = {rate.rate:.3g}, in [{low:.3g}, {high:.3g}] (m = "
        f"{', '.join(map(str, rate.dims))}); the best fits in L² have π√(2/(p-1/2)) = {predicted:.3g} "
        "(claims fitted-margin-shrinks, fitted-margin-rate-l2)"
    )


def _exponent(spec: str) -> float | None:
    """The least exponent of the targets of a row; None unless all decay like a power."""
    from numerics.targets import parse_targets

    try:
        decays = [target.decay for target in parse_targets(spec)]
    except ValueError:  # data that is no longer there
        return None
    found = [decay.exponent for decay in decays if decay.kind == "polynomial" and decay.exponent is not None]
    return min(found) if len(found) == len(decays) else None


def _bound(rows: Sequence[Row]) -> _Answer:
    question = "Does the measured decay of every fit respect the bound of Theorem 3.3?"
    seen = [row for row in rows if row["bound_ratio_min"] is not None]
    if not seen:
        return question, Verdict.INCONCLUSIVE.name, "no fit with a memory function to compare"
    over = [row for row in seen if _number(row["bound_ratio_min"]) < 1 - _ROUNDING]
    rated = [row for row in seen if row["decay_rate"] is not None]
    slow = [row for row in rated if _number(row["decay_rate"][1]) < row["margin"] * (1 - _ROUNDING)]
    if over or slow:
        worst = (over or slow)[0]
        reason = "its memory function exceeds the bound" if over else "it decays more slowly than its margin"
        return question, Verdict.INCONCLUSIVE.name, f"not in floating point: {_named(worst)}: {reason}"
    return (
        question,
        Verdict.SUPPORTED.name,
        (
            f"yes, all {len(seen)}: bound/measured is never below 1 (smallest {_smallest(seen):.6g}), and none of the "
            f"{len(rated)} decay rates found is below its margin (proved for every model: claim thm-3.3-sharp)"
        ),
    )


def _tightness(rows: Sequence[Row]) -> _Answer:
    question = "Where is the bound tight?"
    seen = sorted((row for row in rows if row["bound_ratio_min"] is not None), key=_ratio)
    if not seen:
        return question, Verdict.INCONCLUSIVE.name, "no fit with a memory function to compare"
    touching = [row for row in seen if _ratio(row) <= 1 + _ROUNDING]
    parts = []
    if touching:
        at_start = sum(_number(row["ratio_time"]) == 0 for row in touching)
        parts.append(f"{len(touching)} of {len(seen)} fits attain it, {at_start} of them at t = 0")
    if touching and at_start:
        parts[-1] += ", where balanced weights of one sign have |c||νU| = ρ̂(0)"
    rest = seen[len(touching) : len(touching) + _TIGHTEST]
    if rest:
        parts.append(
            "over the times looked at bound/measured comes down to "
            + ", ".join(f"{_ratio(r):.4g} at {_time(r)} ({_named(r)})" for r in rest)
        )
    late = [_number(row["bound_ratio_late"]) for row in seen if row["bound_ratio_late"] is not None]
    if late:
        parts.append(f"as t → ∞ it is {min(late):.3g} to {max(late):.3g}, the less the slowest mode weighs the more")
    return question, Verdict.SUPPORTED.name, "; ".join(parts)


def _radii(rows: Sequence[Row]) -> _Answer:
    question = "Up to which β is E_m(β) finite?"
    by_f: dict[str, list[float]] = {}
    for row in rows:
        if row["finite_up_to"] is not None:
            by_f.setdefault(row["reparam"], []).append(_number(row["finite_up_to"]))
    if not by_f:
        return question, Verdict.INCONCLUSIVE.name, "no fit that is a stable model"
    parts = []
    for f, radii in by_f.items():
        low, high = min(radii), max(radii)
        ends = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
        parts.append(f"{f}: {'every β' if low == math.inf else ends}")
    return question, Verdict.SUPPORTED.name, "; ".join(parts)


def _number(value: float | str | None) -> float:
    """A number as JSON has it; a missing one is larger than all."""
    return math.inf if value is None else float(value)


def _ratio(row: Row) -> float:
    return _number(row["bound_ratio_min"])


def _smallest(rows: Sequence[Row]) -> float:
    return min(map(_ratio, rows))


def _time(row: Row) -> str:
    time = _number(row["ratio_time"])
    return "t → ∞" if time == math.inf else f"t = {time:.3g}"


def _named(row: Row) -> str:
    return f"{row['target']}, {row['reparam']}, {row['modes']}, m = {row['m']}, seed {row['seed']}"
