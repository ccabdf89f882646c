"""Answers questions about formulas in a process of its own, which `figures.demos.desk` can stop at any time.

It reads a question a line from standard input and writes an answer a line to standard output, both JSON. A process of
its own has a main thread for the time limit of `decide`, a limit on memory, and does no harm when it is killed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from numerics.enclosure import DomainError, Interval, compile_interval
from proofs_check.decide import decide
from theory.formula import FormulaError, format_formula, parse, resolve
from theory.notation import w

BETAS = (Fraction(1, 10), Fraction(1))
"""β at which the least modulus g is enclosed."""
POINTS = tuple(Fraction(k, 20) for k in range(-120, 121))
"""Where f is evaluated."""
MEMORY_BYTES = 4 * 2**30


def values(text: str, constants: Mapping[str, str]) -> dict[str, Any]:
    """f at POINTS, None where it is not defined. Raises FormulaError."""
    formula = resolve(text, "continuous", constants)
    return {"expression": format_formula(formula.expr), "f": _sampled(formula.expr)}


def decision(text: str, constants: Mapping[str, str]) -> dict[str, Any]:
    """The verdict on f as in `stablessm reparam --json`, and its gradient scale at POINTS. Raises FormulaError."""
    found = decide(text, values=constants, betas=BETAS)
    return {**found.as_json(), "scale": _scale(found.gradient_scale)}


def _scale(formula: str | None) -> list[float | None]:
    if formula is None:
        return [None] * len(POINTS)
    try:
        return _sampled(parse(formula))
    except FormulaError:  # a number, without w
        return _sampled(parse(f"{formula} + 0*w"))


def _sampled(expr: Any) -> list[float | None]:
    """The middle of an enclosure at each point; None where there is none that tells a number."""
    at = compile_interval(expr, (w,))
    found: list[float | None] = []
    for point in POINTS:
        try:
            value = at(Interval.of(point))
            middle = (value.lower + value.upper) / 2
        except (DomainError, ArithmeticError):
            middle = float("nan")
        found.append(middle if abs(middle) < 1e300 else None)
    return found


ASKED = {"values": values, "decision": decision}


def answer(question: str) -> str:
    """The answer to one line; {"error": ...} where the formula cannot be read."""
    asked = json.loads(question)
    try:
        found = ASKED[asked["asked"]](asked["text"], asked["constants"])
    except FormulaError as error:
        found = {"error": str(error)}
    except (ArithmeticError, RecursionError, MemoryError, ValueError, TimeoutError) as error:
        found = {"error": f"formula: it could not be examined ({type(error).__name__})"}
    return json.dumps(found)


def main() -> None:
    """Until standard input ends."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    except (ImportError, ValueError, OSError):
        pass  # not on Windows, and not where less is allowed already
    for line in sys.stdin:
        print(answer(line), flush=True)
