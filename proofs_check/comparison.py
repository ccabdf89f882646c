"""How a route compares what it computed with what a claim states: exactly, in balls or in floating point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import sympy as sp
from sympy.logic.boolalg import Boolean

from numerics.enclosure import Interval, enclose, integrate, less
from proofs_check.claim import Evidence, Verdict, inconclusive, proved, refuted, supported
from proofs_check.polynomial import prove_polynomial
from theory.notation import a, b, beta, w


class Pair(NamedTuple):
    """A stated and a computed value at one point."""

    where: str
    stated: float
    computed: float
    tolerance: float


Statement: TypeAlias = tuple[str, Boolean, Sequence[Boolean]]
"""A polynomial statement: its name, what is claimed, and the assumptions."""


def read(text: str) -> sp.Expr:
    """A formula in w, β, a, b from a statement's parameters; decimals are exact."""
    return sp.sympify(text, locals={"w": w, "beta": beta, "a": a, "b": b, "abs": sp.Abs}, rational=True)


def compare_exact(derived: sp.Expr, stated: sp.Expr, point: Mapping[sp.Symbol, object], what: str) -> Evidence:
    """PROVED where the difference simplifies to 0, REFUTED (ENCLOSED) where balls separate the two at the point."""
    if sp.simplify(derived - stated) == 0:
        return proved(f"{what} = {derived}, as stated", derived=str(derived))
    values = {symbol: value for symbol, value in point.items() if symbol in derived.free_symbols | stated.free_symbols}
    left, right = enclose(derived, values), enclose(stated, values)
    if less(left, right) or less(right, left):
        example = {
            "point": {str(k): str(v) for k, v in values.items()},
            "derived": left.lower,
            "stated": right.lower,
        }
        return refuted(f"{what} = {derived}, not {stated}", example, Verdict.ENCLOSED)
    return inconclusive(f"{what}: {derived} against {stated} was not decided")


def compare_enclosures(cases: Iterable[tuple[str, Interval, Interval]], what: str, width: float = 1e-8) -> Evidence:
    """Stated equalities `(where, computed, stated)`: REFUTED if disjoint, SUPPORTED if narrow and meeting."""
    widest = 0.0
    for where, computed, stated in cases:
        if less(computed, stated) or less(stated, computed):
            example = {"where": where, "computed": [computed.lower, computed.upper], "stated": stated.lower}
            return refuted(f"{what} differs at {where}", example, Verdict.ENCLOSED)
        widest = max(widest, computed.width(), stated.width())
    if widest > width:
        return inconclusive(f"{what}: an enclosure as wide as {widest:.1e} decides nothing")
    return supported(f"{what}: computed and stated enclosures meet, none wider than {widest:.1e}", widest=widest)


def compare_upper_bounds(cases: Iterable[tuple[str, Interval, Interval]], what: str) -> Evidence:
    """Stated upper bounds `(where, computed, bound)`: REFUTED where exceeded in balls, SUPPORTED if all cases hold."""
    smallest, undecided = float("inf"), []
    for where, computed, bound in cases:
        if less(bound, computed):
            example = {"where": where, "computed": [computed.lower, computed.upper], "bound": bound.upper}
            return refuted(f"{what} is exceeded at {where}", example, Verdict.ENCLOSED)
        slack = (bound - computed).lower
        if slack < 0:
            undecided.append(where)
        smallest = min(smallest, slack)
    if undecided:
        return inconclusive(f"{what}: not decided at {', '.join(undecided)}")
    return supported(f"{what} holds in balls wherever tried, with at least {smallest:.2e} to spare", slack=smallest)


def compare_floats(pairs: Iterable[Pair], what: str) -> Evidence:
    """Stated equalities in floating point, each with its own error estimate as tolerance."""
    worst = 0.0
    for pair in pairs:
        gap = float(abs(pair.stated - pair.computed))
        if not gap <= pair.tolerance:
            example = {"where": pair.where, "stated": float(pair.stated), "computed": float(pair.computed)}
            return refuted(f"{what} differs at {pair.where}", example, Verdict.SUPPORTED)
        worst = max(worst, gap)
    return supported(f"{what}: largest deviation {worst:.1e}, within the error estimates", worst=worst)


def prove_all(statements: Iterable[Statement], summary: str) -> Evidence:
    """PROVED where z3 proves all the statements, REFUTED by the first false one."""
    for name, claim, assumptions in statements:
        outcome = prove_polynomial(claim, assumptions)
        if outcome is None:
            return inconclusive(f"{name}: z3 gave up")
        if outcome is not True:
            return refuted(f"false: {name}", outcome, Verdict.PROVED)
    return proved(summary)


def w1inf_enclosure(kernel: sp.Expr, variable: sp.Symbol, end: int, tail: Interval) -> Interval:
    """‖ρ‖_{W^{1,∞}} = ∫|ρ| + |ρ(0)| + ∫|ρ'| by rigorous quadrature on [0, end].

    `tail` encloses what lies beyond `end`: an upper bound of ∫_end^∞ (|ρ| + |ρ'|).
    """
    size = integrate(sp.Abs(kernel), variable, 0, end)
    slope = integrate(sp.Abs(sp.diff(kernel, variable)), variable, 0, end)
    jump = enclose(kernel.subs(variable, 0), {}).abs()
    return size + jump + slope + Interval.of(0).hull(tail)
