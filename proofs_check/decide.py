"""Is this f a stable reparameterization? A rigorous answer for one formula, with the numbers that go with it.

With the distance to the stability boundary d = -f (continuous time) or d = 1 - |f| (discrete time), a non-constant
continuous f is stable exactly where d > 0 on R and log d is uniformly continuous on R. On a compact core [-M, M] a
positive continuous d needs only its sign (Heine-Cantor); the tails are decided by rules over growth and smoothness.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import sympy as sp

from numerics.enclosure import DomainError, Interval, compile_interval
from numerics.tails import point_germs
from proofs_check.claim import Verdict
from proofs_check.core_scan import SAMPLES, CoreScan, scan_core
from proofs_check.measures import (
    Bracket,
    boundary_distance,
    gradient_over_weight,
    gradient_scale,
    log_lipschitz,
    modulus,
    modulus_of_unstable,
)
from proofs_check.time_limit import time_limit
from proofs_check.uniform_continuity import TailAnswer, decide_tail
from theory.formula import FormulaError, resolve
from theory.notation import w

CORES = (Fraction(8), Fraction(64))
LIMIT_SECONDS = 20.0


@dataclass(frozen=True)
class Decision:
    """The answer for one f; brackets are (lower, upper), true bounds rounded outward, None where not determined."""

    expression: str
    time: str
    verdict: Verdict
    """Of the statement "f is a stable reparameterization": PROVED or ENCLOSED, REFUTED, or INCONCLUSIVE."""
    reason: str
    negative: bool | None = None
    attains_boundary: bool | None = None
    boundary_distance: Bracket | None = None
    log_lipschitz: Bracket | None = None
    modulus: Sequence[tuple[Fraction, Bracket]] = ()
    gradient_scale: str | None = None
    gradient_over_weight: Bracket | None = None
    counterexample: Mapping[str, Any] | None = None

    @property
    def stable(self) -> bool | None:
        """True, False, or None where it is not decided."""
        return self.verdict.holds

    def as_json(self) -> dict[str, Any]:
        """JSON values only: brackets as [lo, hi], infinity as the string "inf"."""

        def bracket(value: Bracket | None) -> list[float | str] | None:
            return None if value is None else [_json_number(value[0]), _json_number(value[1])]

        return {
            "expression": self.expression,
            "time": self.time,
            "verdict": self.verdict.name,
            "stable": self.stable,
            "negative": self.negative,
            "attains_boundary": self.attains_boundary,
            "boundary_distance": bracket(self.boundary_distance),
            "log_lipschitz": bracket(self.log_lipschitz),
            "modulus": [{"beta": float(beta), "g": bracket(g)} for beta, g in self.modulus],
            "gradient_scale": self.gradient_scale,
            "gradient_over_weight": bracket(self.gradient_over_weight),
            "counterexample": None if self.counterexample is None else dict(self.counterexample),
            "reason": self.reason,
        }


def _json_number(x: float) -> float | str:
    return x if abs(x) != float("inf") else ("inf" if x > 0 else "-inf")


def decide(
    text: str,
    *,
    time: str = "continuous",
    values: Mapping[str, object] | None = None,
    betas: Sequence[Fraction] = (),
) -> Decision:
    """Decides whether a formula (or a named reparameterization) is stable in the sense of Definition 3.4.

    `betas` are the perturbation radii at which the least modulus g is enclosed. Raises FormulaError for text that is
    not a formula, or not real somewhere on R. What is not decided within 20 s is INCONCLUSIVE.
    Source: Definition 3.4; the characterization in theory.stability and, for discrete time, theory.discrete.
    """
    f = resolve(text, time, values)
    question = _Question(f, time, tuple(betas))
    try:
        with time_limit(LIMIT_SECONDS):
            return question.decide()
    except TimeoutError as timeout:
        return Decision(str(f), time, Verdict.INCONCLUSIVE, str(timeout), **question.found)


@dataclass
class _Question:
    f: sp.Expr
    time: str
    betas: tuple[Fraction, ...]
    found: dict[str, Any] = field(default_factory=dict)
    """The fields of the Decision that are known so far; they survive a time-out."""

    @property
    def distance(self) -> sp.Expr:
        return -self.f if self.time == "continuous" else 1 - sp.Abs(self.f)

    def answer(self, verdict: Verdict, reason: str) -> Decision:
        return Decision(str(self.f), self.time, verdict, reason, **self.found)

    def decide(self) -> Decision:
        if not self.f.has(w) or sp.simplify(sp.diff(self.f, w)) == 0:
            return self._constant()
        d = self.distance
        scan = scan_core(d, w, CORES[0])
        if scan.not_real is not None:
            raise FormulaError(f"formula: it is not real at w = {scan.not_real}")
        if scan.violation is not None:
            return self._reaches_boundary(d, scan.violation)
        if scan.suspects:
            return self._suspicious(d, scan)
        for core in CORES:
            if core != CORES[0] and not scan_core(d, w, core).positive:
                break
            tails = [decide_tail(d, w, core, direction) for direction in (1, -1)]
            if all(tail.uniform is not None for tail in tails):
                break
        return self._from_tails(d, tails)

    def _constant(self) -> Decision:
        value = Interval.of(sp.simplify(self.f.subs(w, 0)))
        size = value.abs() if self.time == "continuous" else 1 - value.abs()
        self.found = {
            "negative": value.negative() if self.time == "continuous" else None,
            "attains_boundary": size.lo == size.hi == 0 if size.contains(0) else False,
            "boundary_distance": (size.lower, size.upper),
            "log_lipschitz": (0.0, 0.0),
            "modulus": tuple((beta, (0.0, 0.0)) for beta in self.betas),
            "gradient_scale": "0",
            "gradient_over_weight": None if size.contains(0) else (0.0, 0.0),
        }
        return self.answer(Verdict.PROVED, "f is constant, so nothing is perturbed and g = 0 will do")

    # The unstable ones that reach the boundary, or leave the line.

    def _unstable(self, reason: str, counterexample: Mapping[str, Any] | None, bounded_by: sp.Expr | None) -> Decision:
        self.found |= {
            "counterexample": counterexample,
            "modulus": tuple((beta, modulus_of_unstable(bounded_by, w, counterexample)) for beta in self.betas),
            "gradient_scale": gradient_scale(self.f, self.distance, w),
        }
        return self.answer(Verdict.REFUTED, reason)

    def _reaches_boundary(self, d: sp.Expr, point: Fraction) -> Decision:
        value = compile_interval(d, (w,))
        zero = value(Interval.of(point))
        exact = zero.lo == zero.hi == 0
        changes_sign = any(_certainly_positive(value, p) for p in SAMPLES) and not self._has_gap(value, point)
        self.found = {
            "negative": False if self.time == "continuous" else None,
            "attains_boundary": True if exact or changes_sign else None,
            "boundary_distance": boundary_distance(self.f, d, w, self.time, exact or changes_sign),
        }
        other = next((p for p in SAMPLES if _certainly_differ(compile_interval(self.f, (w,)), p, point)), None)
        where = "f(w) ≥ 0" if self.time == "continuous" else "|f(w)| ≥ 1"
        return self._unstable(
            f"{where} at w = {point}: the mode does not decay there, and the integral of the definition diverges"
            if self.time == "continuous"
            else f"{where} at w = {point}: the mode does not decay there, and the sum of the definition diverges",
            {"kind": "zero", "w": str(other), "w_tilde": str(point), "ratio": "inf"},
            None,
        )

    def _has_gap(self, value: Any, point: Fraction) -> bool:
        """Whether d may be undefined somewhere between the sample points."""
        try:
            return not all(value(Interval.of(k, k + 1)).is_finite() for k in range(-8, 8))
        except DomainError:
            return True

    def _suspicious(self, d: sp.Expr, scan: CoreScan) -> Decision:
        """Points where the sign of d could not be seen: exact zeros, poles, or none of both."""
        for point in scan.suspects:
            if sp.simplify(d.subs(w, point)) == 0:
                self.found = {
                    "negative": False if self.time == "continuous" else None,
                    "attains_boundary": True,
                    "boundary_distance": boundary_distance(self.f, d, w, self.time, True),
                }
                reason = f"f reaches the stability boundary at w = {point}"
                other = str(sp.simplify(point + 1))
                return self._unstable(
                    reason, {"kind": "zero", "w": other, "w_tilde": str(point), "ratio": "inf"}, None
                )
            kind = _singularity(d, point)
            if kind is not None:
                self.found = {"negative": None, "attains_boundary": None}
                limit = "|f| → ∞" if kind == "pole" else "f tends to the stability boundary"
                near, far = str(point + 1 / sp.Symbol("n")), str(sp.simplify(point + 1))
                pair = (near, far) if kind == "pole" else (far, near)
                counterexample = {"kind": kind, "w": pair[0], "w_tilde": pair[1], "ratio": "inf"}
                return self._unstable(f"{limit} at w = {point}", counterexample, None)
        near = ", ".join(str(sp.N(p, 6)) for p in scan.suspects[:3])
        self.found = {"negative": None, "attains_boundary": None}
        return self.answer(
            Verdict.INCONCLUSIVE, f"near w = {near} it is not decided whether f is defined and inside the boundary"
        )

    # Where d > 0 on the core: the tails decide.

    def _from_tails(self, d: sp.Expr, tails: Sequence[TailAnswer]) -> Decision:
        if any(tail.sign < 0 for tail in tails):
            return self._reaches_boundary(d, next(p for p in _far_points() if _certainly_negative(d, p)))
        positive = all(tail.sign > 0 for tail in tails)
        self.found = {
            "negative": (True if positive else None) if self.time == "continuous" else None,
            "attains_boundary": False if positive else None,
            "boundary_distance": boundary_distance(self.f, d, w, self.time, False) if positive else None,
        }
        broken = next((tail for tail in tails if tail.uniform is False), None)
        if broken is not None and positive:
            self.found |= {"log_lipschitz": (float("inf"), float("inf"))}
            return self._unstable(broken.reason, broken.counterexample, d)
        if positive and all(tail.uniform for tail in tails):
            return self._stable(d, tails)
        unclear = next(tail for tail in tails if not tail.sign or tail.uniform is None)
        return self.answer(Verdict.INCONCLUSIVE, unclear.reason)

    def _stable(self, d: sp.Expr, tails: Sequence[TailAnswer]) -> Decision:
        lipschitz = log_lipschitz(d, w)
        self.found |= {"log_lipschitz": lipschitz, "gradient_scale": gradient_scale(self.f, d, w)}
        self.found |= {"modulus": tuple((beta, modulus(d, w, beta, lipschitz)) for beta in self.betas)}
        self.found |= {"gradient_over_weight": gradient_over_weight(self.f, d, w)}
        what = "log|f|" if self.time == "continuous" else "log(1-|f|)"
        if lipschitz[1] < float("inf"):
            return self.answer(
                Verdict.ENCLOSED, f"{what} is Lipschitz on the whole line, with a constant of at most {lipschitz[1]:.6g}"
            )
        return self.answer(
            Verdict.ENCLOSED, f"{what} is uniformly continuous: continuous on the core, and {tails[0].reason}; {tails[1].reason}"
        )


def _singularity(d: sp.Expr, point: sp.Expr) -> str | None:
    """What d does at a point where it is not defined: "pole" (|d| → ∞), "zero" (d → 0) or None."""
    for direction in (1, -1):
        for _, germ in point_germs(d, w, point, Fraction(64), direction):
            if germ.diverges:
                return "pole"
            if germ.vanishes:
                return "zero"
    return None


def _far_points() -> Sequence[Fraction]:
    return [sign * Fraction(2**k) for k in range(3, 40) for sign in (1, -1)]


def _certainly_negative(d: sp.Expr, point: Fraction) -> bool:
    return compile_interval(d, (w,))(Interval.of(point)).hi < 0


def _certainly_positive(value: Any, point: Fraction) -> bool:
    try:
        return bool(value(Interval.of(point)).lo > 0)
    except DomainError:
        return False


def _certainly_differ(value: Any, p: Fraction, q: Fraction) -> bool:
    try:
        gap = value(Interval.of(p)) - value(Interval.of(q))
    except DomainError:
        return False
    return bool(gap.lo > 0 or gap.hi < 0)
