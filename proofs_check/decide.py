"""Is this f a stable reparameterization? A rigorous answer for one formula, with the numbers that go with it.

With the distance to the stability boundary d = -f (continuous time) or d = 1 - |f| (discrete time), a non-constant
continuous f is stable exactly where d > 0 on R and log d is uniformly continuous on R. On a compact core [-M, M] a
positive continuous d needs only its sign (Heine-Cantor); the tails are decided by rules over growth and smoothness.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any

import sympy as sp

from numerics.arguments import json_number
from numerics.compiler import singular_parts
from numerics.enclosure import DomainError, Interval, compile_interval
from numerics.optimum import prove_nonnegative
from numerics.tails import point_germs, tail_germs, tail_range
from proofs_check.claim import Verdict
from proofs_check.core_scan import SAMPLES, CoreScan, not_real_at, nowhere_zero, scan_core
from proofs_check.forms import resolved, simpler
from proofs_check.measures import (
    Bracket,
    boundary_distance,
    gradient_over_weight,
    gradient_scale,
    log_lipschitz,
    log_lipschitz_of_both_signs,
    modulus,
    modulus_of_both_signs,
    modulus_of_oscillating,
)
from proofs_check.period import period
from proofs_check.time_limit import time_limit
from proofs_check.uniform_continuity import TailAnswer, decide_tail
from theory.formula import Formula, FormulaError, format_formula, resolve
from theory.notation import n, w

CORES = (Fraction(8), Fraction(64), Fraction(2048))
FAR_POINTS = tuple(sign * Fraction(2) ** k for k in range(12, 100, 4) for sign in (1, -1))
INFINITE: Bracket = (float("inf"), float("inf"))
_PERIODIC = (TailAnswer(1, True, "continuous and periodic"),) * 2
LIMIT_SECONDS = 10.0


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
            return None if value is None else [json_number(value[0]), json_number(value[1])]

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
            "counterexample": None
            if self.counterexample is None
            else {key: json_number(x) if isinstance(x, float) else x for key, x in self.counterexample.items()},
            "reason": self.reason,
        }


def decide(
    text: str,
    *,
    time: str = "continuous",
    values: Mapping[str, object] | None = None,
    betas: Sequence[Fraction] = (),
) -> Decision:
    """Decides whether a formula (or a named reparameterization) is stable in the sense of Definition 3.4.

    `betas` are the perturbation radii at which the least modulus g is enclosed. Raises FormulaError for text that is
    not a formula, or not real somewhere on R. What is not decided within 10 s is INCONCLUSIVE.
    Source: Definition 3.4; the characterization in theory.stability and, for discrete time, theory.discrete.
    """
    formula = resolve(text, time, values)
    question = _Question(formula, time, tuple(betas))
    try:
        with time_limit(LIMIT_SECONDS):
            return question.decide()
    except FormulaError:
        raise
    except TimeoutError as stopped:
        return question.answer(*(question.reached or (Verdict.INCONCLUSIVE, str(stopped))))
    except (ArithmeticError, RecursionError, MemoryError, ValueError) as error:
        reason = f"the search broke off ({type(error).__name__}: {error})"
        if question.reached is not None and not isinstance(error, BoundsError):
            return question.answer(*question.reached)
        return Decision(format_formula(formula.expr), time, Verdict.INCONCLUSIVE, reason)


class BoundsError(ArithmeticError):
    """A lower bound above its upper bound: a defect, after which no number of the answer is to be trusted."""


@dataclass
class _Question:
    formula: Formula
    time: str
    betas: tuple[Fraction, ...]
    found: dict[str, Any] = field(default_factory=dict)
    """The fields of the Decision that are known so far; they survive a time-out."""
    reached: tuple[Verdict, str] | None = None
    """The verdict and its reason, once they are known; the numbers that go with them may take longer."""

    @property
    def f(self) -> sp.Expr:
        return self.formula.expr

    @cached_property
    def distance(self) -> sp.Expr:
        if self.time == "continuous":
            return -self.f
        return 1 - sp.Abs(self.f) if self.sign is None else simpler(resolved(1 - self.sign * self.f))

    @cached_property
    def value(self) -> Callable[..., Interval]:
        """f at a point or on an interval."""
        return compile_interval(self.f, (w,))

    @cached_property
    def whole(self) -> sp.Expr | None:
        """The period of f, if it has one."""
        return period(self.f, w)

    @cached_property
    def sign(self) -> int | None:
        """+1 for f ≥ 0 everywhere, -1 for f ≤ 0 everywhere, None where neither was proved."""
        for sign in (1, -1):
            if all(_sign_at(self.value, p) != -sign for p in SAMPLES) and prove_nonnegative(
                sign * self.f, {w: ("-inf", "inf")}, max_boxes=2000, tail=tail_range(sign * self.f, w)
            ):
                return sign
        return None

    @cached_property
    def singular(self) -> tuple[sp.Expr, ...]:
        """What must not vanish for f, as it was typed, to be defined and continuous."""
        return tuple(dict.fromkeys([*self.formula.divisors, *singular_parts(self.f)]))

    @property
    def logarithm_name(self) -> str:
        return "log|f|" if self.time == "continuous" else "log(1-|f|)"

    def negative(self, answer: bool) -> bool | None:
        """The answer to "f < 0 everywhere?", a question that is asked in continuous time alone."""
        return answer if self.time == "continuous" else None

    def answer(self, verdict: Verdict, reason: str) -> Decision:
        decision = Decision(format_formula(self.f), self.time, verdict, reason, **self.found)
        brackets = [decision.boundary_distance, decision.log_lipschitz, decision.gradient_over_weight]
        for bracket in [*brackets, *(g for _, g in decision.modulus)]:
            if bracket is not None and not bracket[0] <= bracket[1]:
                raise BoundsError(f"bounds {bracket} that exclude each other")
        return decision

    def decide(self) -> Decision:
        self._demand_real(SAMPLES)
        if not any(_certainly_differ(self.value, p, SAMPLES[1]) for p in SAMPLES):
            simple = simpler(self.f)
            if not simple.has(w):
                return self._constant(simple)
        cores = [(-core, core) for core in CORES]
        if self.whole is not None:
            cores = [(Fraction(0), Fraction(Interval.of(self.whole).upper))]
        for lo, hi in cores:
            scan = scan_core(self.distance, w, lo, hi, self.singular)
            self._demand_real(scan.undecided)
            if scan.violation is not None:
                return self._reaches_boundary(scan.violation)
            if scan.suspects:
                return self._suspicious(scan)
            tails = self._tails(self.distance, hi) if self.whole is None else _PERIODIC
            if all(tail.uniform is not None for tail in tails):
                break
        return self._from_tails(tails)

    def _demand_real(self, points: Sequence[Fraction]) -> None:
        point = not_real_at(self.formula.roots_and_logarithms, w, points)
        if point is not None:
            raise FormulaError(
                f"formula: it is not real at w = {point}, which has a root or logarithm of a negative number"
            )

    def _tails(self, d: sp.Expr, start: Fraction) -> tuple[TailAnswer, ...]:
        unclear = TailAnswer(0, None, "it is not decided whether f is defined and continuous far out")
        return tuple(
            decide_tail(d, w, start, side, self.logarithm_name) if self._is_continuous(start, side) else unclear
            for side in (1, -1)
        )

    def _is_continuous(self, start: Fraction, side: int) -> bool:
        """Whether nothing that f divides by, or takes the logarithm of, vanishes on a tail."""
        return all(any(germ.sign for _, germ in tail_germs(part, w, start, side)) for part in self.singular)

    def _constant(self, constant: sp.Expr) -> Decision:
        defined = scan_core(sp.S.One, w, -CORES[0], CORES[0], self.singular)
        if not defined.positive or not all(self._is_continuous(CORES[0], side) for side in (1, -1)):
            return self.answer(Verdict.INCONCLUSIVE, "f is constant where it is defined, but not defined everywhere")
        value = Interval.of(constant)
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

    def _unstable(self, reason: str, counterexample: Mapping[str, Any] | None, g: Bracket) -> Decision:
        self.found |= {"counterexample": counterexample, "modulus": tuple((beta, g) for beta in self.betas)}
        self.reached = (Verdict.REFUTED, reason)
        self.found |= {"gradient_scale": gradient_scale(self.f, self.distance, w)}
        return self.answer(Verdict.REFUTED, reason)

    def _reaches_boundary(self, point: Fraction) -> Decision:
        where, what = ("f(w) ≥ 0", "integral") if self.time == "continuous" else ("|f(w)| ≥ 1", "sum")
        reason = f"{where} at w = {point}: the mode does not decay there, and the {what} of the definition diverges"
        other = next((str(p) for p in (*SAMPLES, *FAR_POINTS) if _certainly_differ(self.value, p, point)), None)
        counterexample = {"kind": "zero", "w": other, "w_tilde": str(point), "ratio": INFINITE[0]}
        self.found = {"negative": self.negative(False), "counterexample": counterexample}
        self.reached = (Verdict.REFUTED, reason)
        attained = self._attains(point)
        self.found |= {"attains_boundary": attained}
        self.found |= {"boundary_distance": self._boundary_distance(bool(attained))}
        return self._unstable(reason, counterexample, INFINITE)

    def _attains(self, point: Fraction) -> bool | None:
        """Whether d = 0 somewhere, given a point with d ≤ 0."""
        value, beyond = compile_interval(self.distance, (w,)), -self.distance
        at_point = value(Interval.of(point))
        inside = next((p for p in SAMPLES if _sign_at(value, p) > 0), None)
        parts = [compile_interval(part, (w,)) for part in self.singular]
        if at_point.lo == at_point.hi == 0 or (inside is not None and _continuous_between(parts, point, inside)):
            return True
        positive = scan_core(beyond, w, -CORES[0], CORES[0], self.singular).positive
        return False if positive and all(tail.sign > 0 for tail in self._tails(beyond, CORES[0])) else None

    def _boundary_distance(self, attained: bool) -> Bracket:
        if attained and self.time == "continuous":
            return 0.0, 0.0
        lower, upper = boundary_distance(self.f, self.distance, w, self.time, False, self.whole)
        return lower, min(upper, 0.0) if attained else upper

    def _suspicious(self, scan: CoreScan) -> Decision:
        """Points where the sign of d could not be seen: exact zeros, poles, or neither."""
        d = self.distance
        for point in scan.suspects:
            far = str(sp.simplify(point + 1))
            if sp.simplify(d.subs(w, point)) == 0:
                self.found = {
                    "negative": self.negative(False),
                    "attains_boundary": True,
                    "boundary_distance": self._boundary_distance(True),
                }
                counterexample = {"kind": "zero", "w": far, "w_tilde": str(point), "ratio": INFINITE[0]}
                return self._unstable(f"f reaches the stability boundary at w = {point}", counterexample, INFINITE)
            kind = _singularity(d, point)
            if kind is not None:
                if self._only_poles(scan):
                    self.found = {
                        "negative": self.negative(True),
                        "attains_boundary": False,
                        "boundary_distance": boundary_distance(self.f, d, w, self.time, True, None),
                    }
                limit = "|f| → ∞" if kind == "pole" else "f tends to the stability boundary"
                pair = (str(point + 1 / n), far) if kind == "pole" else (far, str(point + 1 / n))
                counterexample = {"kind": kind, "w": pair[0], "w_tilde": pair[1], "ratio": INFINITE[0]}
                return self._unstable(f"{limit} at w = {point}", counterexample, INFINITE)
        near = ", ".join(str(sp.N(p, 6)) for p in scan.suspects[:3])
        return self.answer(
            Verdict.INCONCLUSIVE, f"near w = {near} it is not decided whether f is defined and inside the boundary"
        )

    def _only_poles(self, scan: CoreScan) -> bool:
        """Whether d > 0 wherever it is defined: every suspect is a pole with d → +∞ on both sides."""
        for point in scan.suspects:
            for direction in (1, -1):
                germs = point_germs(self.distance, w, point, Fraction(64), direction)
                if not any(germ.diverges and germ.sign > 0 for _, germ in germs):
                    return False
        return all(tail.sign > 0 for tail in self._tails(self.distance, CORES[0]))

    # Where d > 0 on the core: the tails decide.

    def _from_tails(self, tails: Sequence[TailAnswer]) -> Decision:
        d, whole = self.distance, self.whole
        if any(tail.sign < 0 for tail in tails):
            side = 1 if tails[0].sign < 0 else -1
            return self._reaches_boundary(side * CORES[-1])
        if not all(tail.sign > 0 for tail in tails):
            value = compile_interval(d, (w,))
            far = next((p for p in FAR_POINTS if _sign_at(value, p) < 0), None)
            if far is not None:
                return self._reaches_boundary(far)
            return self.answer(Verdict.INCONCLUSIVE, next(tail.reason for tail in tails if not tail.sign))
        self.found = {"negative": self.negative(True), "attains_boundary": False}
        broken = next((tail for tail in tails if tail.uniform is False), None)
        if broken is not None:
            self.found |= {"log_lipschitz": INFINITE}
            self.reached = (Verdict.REFUTED, broken.reason)
            self.found |= {"boundary_distance": boundary_distance(self.f, d, w, self.time, True, whole)}
            g = INFINITE if broken.steep else modulus_of_oscillating(d, w, broken.gap)
            return self._unstable(broken.reason, broken.counterexample, g)
        if all(tail.uniform for tail in tails):
            return self._stable(tails)
        return self.answer(Verdict.INCONCLUSIVE, next(tail.reason for tail in tails if tail.uniform is None))

    def _stable(self, tails: Sequence[TailAnswer]) -> Decision:
        d, whole, name = self.distance, self.whole, self.logarithm_name
        reason = f"{name} is continuous, and uniformly so: " + "; ".join(tail.reason for tail in tails)
        self.reached = (Verdict.ENCLOSED, reason)
        self.found |= {"boundary_distance": boundary_distance(self.f, d, w, self.time, True, whole)}
        both_signs = self.time == "discrete" and self.sign is None
        lipschitz = log_lipschitz_of_both_signs(self.f, w, whole) if both_signs else log_lipschitz(d, w, whole)
        if lipschitz[1] < INFINITE[1]:
            reason = f"{name} is Lipschitz on the whole line, with a constant of at most {lipschitz[1]:.9g}"
            self.reached = (Verdict.ENCLOSED, reason)
        self.found |= {"log_lipschitz": lipschitz, "gradient_scale": gradient_scale(self.f, d, w)}
        self.found |= {"gradient_over_weight": gradient_over_weight(self.f, d, w)}
        for beta in self.betas:
            g = modulus_of_both_signs(self.f, w, beta, whole) if both_signs else modulus(d, w, beta, lipschitz, whole)
            self.found["modulus"] = (*self.found.get("modulus", ()), (beta, g))
        return self.answer(Verdict.ENCLOSED, reason)


def _sign_at(value: Callable[..., Interval], point: Fraction) -> int:
    """The certain sign of a function at a point, or 0."""
    try:
        there = value(Interval.of(point))
    except DomainError:
        return 0
    return 1 if there.lo > 0 else -1 if there.hi < 0 else 0


def _continuous_between(parts: Sequence[Callable[..., Interval]], p: Fraction, q: Fraction) -> bool:
    """Whether nothing singular lies between p and q, as a chain of boxes shows."""
    lo, hi = min(p, q), max(p, q)
    steps = [lo + (hi - lo) * k / 64 for k in range(65)]
    return all(nowhere_zero(parts, Interval.of(*ends)) for ends in pairwise(steps))


def _singularity(d: sp.Expr, point: sp.Expr) -> str | None:
    """What d does at a point where it is not defined: "pole" (|d| → ∞), "zero" (d → 0) or None."""
    for direction in (1, -1):
        for _, germ in point_germs(d, w, point, Fraction(64), direction):
            if germ.diverges:
                return "pole"
            if germ.vanishes:
                return "zero"
    return None


def _certainly_differ(value: Callable[..., Interval], p: Fraction, q: Fraction) -> bool:
    try:
        gap = value(Interval.of(p)) - value(Interval.of(q))
    except DomainError:
        return False
    return bool(gap.lo > 0 or gap.hi < 0)
