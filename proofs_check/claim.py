"""What a claim is: a statement, the routes that reach it, and the falsified variants that they must refute."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any

import numpy as np


class Verdict(Enum):
    """The five answers; the value is the message that a reader sees."""

    PROVED = "exact: derived symbolically or decided by an exact procedure"
    ENCLOSED = "rigorous: shown by ball arithmetic or outward-rounded intervals"
    SUPPORTED = "agrees in floating point or statistics; not a proof"
    REFUTED = "false: there is a counterexample that is itself proved or enclosed"
    INCONCLUSIVE = "not decided"

    @property
    def holds(self) -> bool | None:
        """True, False, or None where nothing was decided."""
        if self is Verdict.INCONCLUSIVE:
            return None
        return self is not Verdict.REFUTED


_STRENGTH = {Verdict.SUPPORTED: 1, Verdict.ENCLOSED: 2, Verdict.PROVED: 3}


class Kind(Enum):
    """Where a statement comes from."""

    PRINTED = "printed"  # as the paper prints it
    AMENDED = "amended"  # the paper's statement with the correction that makes it true
    DERIVED = "derived"  # our own


class Method(Enum):
    """How a route reaches its verdict; two routes of one claim share no formula."""

    SYMBOLIC = "symbolic derivation"
    ENCLOSURE = "rigorous enclosure"
    POLYNOMIAL = "polynomial inequalities (z3)"
    FLOATING = "floating-point experiment"


@dataclass(frozen=True)
class Evidence:
    """What one route computed. `details` and `counterexample` hold JSON values only.

    A REFUTED evidence carries its counterexample and the `grade` (PROVED, ENCLOSED or, for a violation seen in
    floating point only, SUPPORTED) at which that counterexample was established.
    """

    verdict: Verdict
    summary: str
    details: Mapping[str, Any] = field(default_factory=dict)
    counterexample: Mapping[str, Any] | None = None
    grade: Verdict | None = None

    def __post_init__(self) -> None:
        if self.verdict is Verdict.REFUTED and (not self.counterexample or self.grade not in _STRENGTH):
            raise ValueError("a REFUTED evidence needs a counterexample and its grade")


def proved(summary: str, **details: Any) -> Evidence:
    """An exact proof."""
    return Evidence(Verdict.PROVED, summary, details)


def enclosed(summary: str, **details: Any) -> Evidence:
    """A proof by balls or outward-rounded intervals."""
    return Evidence(Verdict.ENCLOSED, summary, details)


def supported(summary: str, **details: Any) -> Evidence:
    """Agreement in floating point."""
    return Evidence(Verdict.SUPPORTED, summary, details)


def refuted(summary: str, counterexample: Mapping[str, Any], grade: Verdict, **details: Any) -> Evidence:
    """A counterexample, established at `grade`."""
    return Evidence(Verdict.REFUTED, summary, details, counterexample, grade)


def inconclusive(summary: str, **details: Any) -> Evidence:
    """Nothing was decided; `summary` says why."""
    return Evidence(Verdict.INCONCLUSIVE, summary, details)


@dataclass(frozen=True)
class Context:
    """Settings of a run, handed to every route."""

    full: bool = False
    seed: int = 0

    def pick(self, quick: Any, full: Any) -> Any:
        """`quick` or `full`, by the level of the run."""
        return full if self.full else quick

    def rng(self, name: str) -> np.random.Generator:
        """A random generator that depends on the seed and on `name` alone."""
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])


Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Route:
    """One way to check a statement: `check(parameters, context) -> Evidence`."""

    name: str
    method: Method
    check: Callable[[Parameters, Context], Evidence]


@dataclass(frozen=True)
class Variant:
    """The claim's statement with some of its `parameters` replaced."""

    name: str
    changes: Mapping[str, Any]
    inconclusive_because: str | None = None
    """For a mutant only: why the routes are allowed to leave it INCONCLUSIVE."""


@dataclass(frozen=True)
class Claim:
    """A statement with everything that is needed to check it.

    `parameters` are the constants, exponents, signs and hypotheses that the statement is made of: the routes read
    them, and a mutant replaces some of them so that the statement becomes false. `controls` are variants that must
    hold; a claim that is expected to be REFUTED has at least one, which shows that its routes can also affirm.
    """

    id: str
    label: str
    title: str
    statement: str
    latex: str
    hypotheses: tuple[str, ...]
    kind: Kind
    expected: Verdict
    routes: tuple[Route, ...]
    mutants: tuple[Variant, ...]
    theory: tuple[str, ...]
    """Where it is derived, as `module:function`; the docstrings there are the derivation."""
    parameters: Parameters = field(default_factory=dict)
    controls: tuple[Variant, ...] = ()
    amended_by: str | None = None
    """For a printed statement that fails: the id of the claim that holds instead."""
    limit_seconds: float = 60.0

    def __post_init__(self) -> None:
        if len(self.routes) < 2:
            raise ValueError(f"claim {self.id}: at least two routes are needed")
        if not self.mutants:
            raise ValueError(f"claim {self.id}: at least one mutant is needed")
        if self.expected is Verdict.REFUTED and not self.controls:
            raise ValueError(f"claim {self.id}: a refuted claim needs a control that holds")
        for variant in (*self.mutants, *self.controls):
            unknown = set(variant.changes) - set(self.parameters)
            if unknown or not variant.changes:
                raise ValueError(f"claim {self.id}: variant {variant.name!r} changes unknown parameters {unknown}")
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))

    def with_changes(self, variant: Variant | None) -> Parameters:
        """The parameters of the claim itself (None) or of one of its variants."""
        return self.parameters if variant is None else {**self.parameters, **variant.changes}


def combine(evidence: Sequence[Evidence]) -> tuple[Verdict, str]:
    """The verdict of several independent routes, with its reason.

    Routes that disagree, or fewer than two that decide, leave a statement INCONCLUSIVE. A statement is REFUTED only
    where at least one counterexample is PROVED or ENCLOSED. Otherwise the strongest verdict counts, since a second
    route agrees with it.
    """
    decided = [e for e in evidence if e.verdict.holds is not None]
    if len(decided) < 2:
        undecided = "; ".join(e.summary for e in evidence if e.verdict.holds is None)
        return Verdict.INCONCLUSIVE, f"only {len(decided)} of {len(evidence)} routes decided: {undecided}"
    if len({e.verdict.holds for e in decided}) == 2:
        return Verdict.INCONCLUSIVE, "routes disagree: " + "; ".join(f"{e.verdict.name}: {e.summary}" for e in decided)
    if decided[0].verdict.holds:
        best = max(decided, key=lambda e: _STRENGTH[e.verdict])
        return best.verdict, best.summary
    best = max(decided, key=lambda e: _STRENGTH[e.grade or Verdict.SUPPORTED])
    if best.grade is Verdict.SUPPORTED:
        return Verdict.INCONCLUSIVE, f"a violation was seen in floating point only: {best.summary}"
    return Verdict.REFUTED, best.summary
