"""Three small claims for the tests of the ledger and the door, and misbehaving ones; workers load them by name."""

from __future__ import annotations

import os
import time
from typing import Any

import sympy as sp

from proofs_check.claim import (
    Claim,
    Context,
    Evidence,
    Kind,
    Method,
    Parameters,
    Route,
    Variant,
    Verdict,
    enclosed,
    inconclusive,
    proved,
    refuted,
)


def bound_exact(upper: Any) -> Evidence:
    """sup sin = 1, exactly."""
    if sp.Integer(1) <= sp.sympify(upper):
        return proved("the supremum is 1", supremum=1)
    return refuted("sin(π/2) = 1 exceeds it", {"x": "pi/2", "value": 1}, Verdict.PROVED)


def _symbolic(parameters: Parameters, context: Context) -> Evidence:
    return bound_exact(parameters["upper"])


def _numeric(parameters: Parameters, context: Context) -> Evidence:
    if parameters["upper"] >= 1:
        return enclosed("1 lies in the enclosure", ends=[1.0, float("inf")])
    return refuted("1 is larger", {"x": 1.5707963267948966, "value": 1.0}, Verdict.ENCLOSED)


def toy(
    id: str, *checks: Any, upper: float = 1, kind: Kind = Kind.DERIVED, expected: Verdict = Verdict.PROVED, **more: Any
) -> Claim:
    """A claim that sin x ≤ upper, with the given checks (or two good ones)."""
    routes = tuple(
        Route(f"route {number}", method, check)
        for number, (method, check) in enumerate(
            zip((Method.SYMBOLIC, Method.ENCLOSURE, Method.FLOATING), checks or (_symbolic, _numeric), strict=False)
        )
    )
    settings: dict[str, Any] = {
        "mutants": (Variant("a smaller bound", {"upper": 0.5}),),
        "controls": (Variant("a true bound", {"upper": 2}),) if expected is Verdict.REFUTED else (),
        "theory": ("tests.toy_claims:bound_exact",),
        **more,
    }
    return Claim(
        id=id,
        label="Toy",
        title="Sine <is> bounded & small",
        statement=f"For every x & y, sin(x) <= {upper}.",
        latex=r"\sup_{x \in \mathrm{R}} |\sin x| \leq \frac{\omega(\beta)}{2}",
        hypotheses=("x is real.",),
        kind=kind,
        expected=expected,
        routes=routes,
        parameters={"upper": upper},
        **settings,
    )


def _raise(parameters: Parameters, context: Context) -> Evidence:
    raise ZeroDivisionError("in the route")


def _die(parameters: Parameters, context: Context) -> Evidence:
    os._exit(7)


def _sleep(parameters: Parameters, context: Context) -> Evidence:
    time.sleep(600)
    return proved("slept")


def _print(parameters: Parameters, context: Context) -> Evidence:
    print("this must not reach standard output")
    return _numeric(parameters, context)


def _only_the_claim(parameters: Parameters, context: Context) -> Evidence:
    return _symbolic(parameters, context) if parameters["upper"] == 1 else inconclusive("cannot tell")


def _crash_on_mutants(parameters: Parameters, context: Context) -> Evidence:
    return _symbolic(parameters, context) if parameters["upper"] == 1 else _raise(parameters, context)


def _yes(parameters: Parameters, context: Context) -> Evidence:
    return proved("whatever it says")


def _seed(parameters: Parameters, context: Context) -> Evidence:
    if parameters["upper"] < 1:
        return _numeric(parameters, context)
    return enclosed("drawn", seed=context.seed, full=context.full, draw=float(context.rng("toy").random()))


def _by_id(*claims: Claim) -> dict[str, Claim]:
    return {claim.id: claim for claim in claims}


def good() -> dict[str, Claim]:
    """Claims that are all as expected."""
    return _by_id(
        toy("toy-holds"),
        toy(
            "toy-printed",
            upper=0.9,
            kind=Kind.PRINTED,
            expected=Verdict.REFUTED,
            amended_by="toy-holds",
        ),
        toy("toy-prints", _symbolic, _print, _seed, limit_seconds=30.0),
    )


def sleepy() -> dict[str, Claim]:
    """Two claims that finish at once and one that does not."""
    return _by_id(toy("toy-holds"), toy("toy-sleeps", _sleep, _numeric), toy("toy-also-holds", limit_seconds=70.0))


def bad() -> dict[str, Claim]:
    """One claim for each thing that can go wrong."""
    declared = (Variant("declared", {"upper": 0.5}, "no route reads it"),)
    return _by_id(
        toy("toy-wrong", expected=Verdict.ENCLOSED),
        toy("toy-survivor", _yes, _yes),
        toy("toy-raises", _symbolic, _raise),
        toy("toy-one-raises", _symbolic, _numeric, _raise),
        toy("toy-dies", _die, _numeric),
        toy("toy-slow", _sleep, _numeric, limit_seconds=0.5),
        toy("toy-declared", _only_the_claim, _only_the_claim, mutants=declared),
        toy("toy-undeclared", _only_the_claim, _only_the_claim),
        toy("toy-declared-crash", _symbolic, _crash_on_mutants, mutants=declared),
        toy("toy-bad-control", upper=0.9, expected=Verdict.REFUTED, controls=(Variant("false", {"upper": 0.8}),)),
        toy("toy-none", _symbolic, lambda parameters, context: None),
        toy("toy-silent", expected=Verdict.INCONCLUSIVE, upper=1),
    )
