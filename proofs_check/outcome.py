"""What checking one statement gave: the answers of its routes, fit to be sent between processes and written as JSON."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from proofs_check.claim import Claim, Context, Evidence, Method, Route, Variant, Verdict, combine


@dataclass(frozen=True)
class RouteResult:
    """The evidence of one route and the time it took; `crashed` where the route raised or was stopped."""

    name: str
    method: Method
    verdict: Verdict
    summary: str
    details: Mapping[str, Any]
    counterexample: Mapping[str, Any] | None
    seconds: float
    grade: Verdict | None = None
    crashed: bool = False


@dataclass(frozen=True)
class Outcome:
    """The combined verdict of a claim, or of one of its variants, with the routes behind it."""

    verdict: Verdict
    reason: str
    routes: tuple[RouteResult, ...]
    seconds: float

    @property
    def crashed(self) -> bool:
        """Whether some route raised, or was stopped from outside."""
        return any(route.crashed for route in self.routes)

    @property
    def counterexample(self) -> Mapping[str, Any] | None:
        """The best established counterexample of a REFUTED statement."""
        if self.verdict is not Verdict.REFUTED:
            return None
        order = {Verdict.PROVED: 0, Verdict.ENCLOSED: 1}
        refuting = [route for route in self.routes if route.counterexample and route.grade in order]
        return min(refuting, key=lambda route: order[route.grade or Verdict.SUPPORTED]).counterexample


def examine(claim: Claim, variant: Variant | None, context: Context) -> Outcome:
    """Run every route on the claim itself (None) or on a variant of it; a route that raises decides nothing."""
    parameters = claim.with_changes(variant)
    start = time.perf_counter()
    evidence: list[Evidence] = []
    routes: list[RouteResult] = []
    for route in claim.routes:
        route_start = time.perf_counter()
        crashed = False
        try:
            found = _as_evidence(route.check(parameters, context))
        except Exception as error:  # one broken route must not silence the others
            crashed = True
            found = Evidence(Verdict.INCONCLUSIVE, f"{type(error).__name__}: {one_line(error)}")
        evidence.append(found)
        routes.append(_route_result(route, found, time.perf_counter() - route_start, crashed))
    verdict, reason = combine(evidence)
    return Outcome(verdict, reason, tuple(routes), time.perf_counter() - start)


def stopped(claim: Claim, reason: str, seconds: float) -> Outcome:
    """The outcome of a task whose worker process was stopped or died."""
    evidence = Evidence(Verdict.INCONCLUSIVE, reason)
    routes = tuple(_route_result(route, evidence, 0.0, crashed=True) for route in claim.routes)
    return Outcome(Verdict.INCONCLUSIVE, reason, routes, seconds)


def one_line(text: object, limit: int = 300) -> str:
    """`text` on one line of at most `limit` characters."""
    line = " ".join(str(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def json_value(value: Any) -> Any:
    """`value` as JSON allows it: infinities and NaN as strings, exact numbers and unknown objects as their text."""
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_value(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return json_value(value.tolist())
    return str(value)


def _as_evidence(found: object) -> Evidence:
    if not isinstance(found, Evidence):
        raise TypeError(f"the route returned {type(found).__name__}, not Evidence")
    return found


def _route_result(route: Route, evidence: Evidence, seconds: float, crashed: bool) -> RouteResult:
    counterexample = None if evidence.counterexample is None else json_value(evidence.counterexample)
    details = json_value(evidence.details)
    summary = evidence.summary
    return RouteResult(
        route.name, route.method, evidence.verdict, summary, details, counterexample, seconds, evidence.grade, crashed
    )
