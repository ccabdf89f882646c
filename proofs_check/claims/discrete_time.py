"""Discrete time: the distance of two modes, and what a change of sign does to it."""

from __future__ import annotations

from collections.abc import Iterator

import sympy as sp

from numerics.enclosure import Interval, enclose
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
)
from proofs_check.claims.discrete_characterization import power_sum
from proofs_check.comparison import Pair, compare_enclosures, compare_exact, compare_floats
from theory.discrete import (
    P,
    Q,
    opposite_sign_criterion,
    opposite_sign_sum,
    same_sign_sum,
)

R = sp.Rational
PAIRS = ((R(9, 10), R(1, 2)), (R(3, 4), R(3, 4)), (R(1, 2), R(0)), (R(4, 5), R(1, 10)))
"""Moduli p ≥ q."""


def read(text: str) -> sp.Expr:
    """A formula in p and q from a statement's parameters."""
    return sp.sympify(text, locals={"p": P, "q": Q}, rational=True)


# --- the sum ---------------------------------------------------------------------------------------------------------


def sum_symbolic(parameters: Parameters, context: Context) -> Evidence:
    point = {P: R(3, 4), Q: R(1, 4)}
    same = compare_exact(same_sign_sum(), read(parameters["same"]), point, "the sum for equal signs")
    if same.verdict is not Verdict.PROVED:
        return same
    return compare_exact(opposite_sign_sum(), read(parameters["opposite"]), point, "the sum for opposite signs")


def sum_enclosure(parameters: Parameters, context: Context) -> Evidence:
    def cases() -> Iterator[tuple[str, Interval, Interval]]:
        for p, q in PAIRS:
            for sign, key in ((1, "same"), (-1, "opposite")):
                value = power_sum(Interval.of(p), Interval.of(sign * q))
                yield f"p = {p}, q = {q}, {key} sign", value, enclose(read(parameters[key]), {P: p, Q: q})

    return compare_enclosures(cases(), "the sum")


def sum_floating(parameters: Parameters, context: Context) -> Evidence:
    import numpy as np

    rng, powers = context.rng("discrete-difference-sum"), np.arange(4000)
    pairs = []
    for p, q in rng.uniform(0, 0.98, (20, 2)):
        p, q = max(p, q), min(p, q)
        for sign, key in ((1, "same"), (-1, "opposite")):
            value = float(np.abs((sign * q) ** powers - p**powers).sum())
            claimed = float(read(parameters[key]).subs({P: p, Q: q}))
            # p^4000 < 1e-35; rounding: a sum of positive terms, and 1/(1-p) ≤ 50 with p known to 1 ulp
            pairs.append(Pair(f"p = {p}, q = {q}, {key} sign", claimed, value, 1e3 * np.finfo(float).eps * (1 + value)))
    return compare_floats(pairs, "the sum")


SUM = Claim(
    id="discrete-difference-sum",
    label="derived",
    title="The distance of two discrete modes",
    statement="For |λ|, |λ̃| < 1 with larger modulus p and smaller modulus q, the L¹ distance of the two modes is "
    "1/(1-p) - 1/(1-q) for equal signs and 1/(1-p) - 1/(1+q) for opposite signs.",
    latex=r"\sum_{k\geq 0}|\tilde\lambda^k-\lambda^k|=\frac{1}{1-p}-\frac{1}{1\mp q}",
    hypotheses=("|λ| < 1 and |λ̃| < 1.",),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"same": "1/(1-p) - 1/(1-q)", "opposite": "1/(1-p) - 1/(1+q)"},
    routes=(
        Route("geometric series over even and odd k", Method.SYMBOLIC, sum_symbolic),
        Route("enclosed partial sums", Method.ENCLOSURE, sum_enclosure),
        Route("floating-point sums", Method.FLOATING, sum_floating),
    ),
    mutants=(
        Variant("the signs ignored", {"opposite": "1/(1-p) - 1/(1-q)"}),
        Variant("the sum of the norms", {"opposite": "1/(1-p) + 1/(1-q)"}),
        Variant("squares", {"same": "1/(1-p)**2 - 1/(1-q)**2"}),
    ),
    theory=("theory.discrete:same_sign_sum", "theory.discrete:opposite_sign_sum", "theory.discrete:difference_sum"),
)


def opposite_symbolic(parameters: Parameters, context: Context) -> Evidence:
    point = {P: R(3, 4), Q: R(1, 4)}
    for key in ("larger", "smaller"):
        derived = opposite_sign_criterion(key == "larger")
        outcome = compare_exact(derived, read(parameters[key]), point, f"the criterion, |λ| the {key} modulus")
        if outcome.verdict is not Verdict.PROVED:
            return outcome
    return outcome


def opposite_enclosure(parameters: Parameters, context: Context) -> Evidence:
    def cases() -> Iterator[tuple[str, Interval, Interval]]:
        for p, q in PAIRS:
            for key, weight, other in (("larger", p, -q), ("smaller", -q, p)):
                value = (1 - abs(weight)) * power_sum(Interval.of(weight), Interval.of(other))
                yield f"lambda = {weight}, lambda_tilde = {other}", value, enclose(read(parameters[key]), {P: p, Q: q})

    return compare_enclosures(cases(), "the criterion")


OPPOSITE = Claim(
    id="discrete-opposite-signs",
    label="derived",
    title="The discrete criterion across a change of sign",
    statement="For λ, λ̃ of opposite signs with larger modulus p and smaller modulus q, (1-|λ|) Σ|λ̃^k - λ^k| is "
    "(p+q)/(1+q) if |λ| = p, and (1-q)(p+q)/((1-p)(1+q)) if |λ| = q. Both tend to 0 where p and q do.",
    latex=r"(1-|\lambda|)\sum_k|\tilde\lambda^k-\lambda^k|=\frac{p+q}{1+q}\ \mathrm{or}\ \frac{(1-q)(p+q)}{(1-p)(1+q)}",
    hypotheses=("|λ| < 1 and |λ̃| < 1.", "λλ̃ ≤ 0."),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"larger": "(p+q)/(1+q)", "smaller": "(1-q)*(p+q)/((1-p)*(1+q))"},
    routes=(
        Route("from the geometric series", Method.SYMBOLIC, opposite_symbolic),
        Route("enclosed partial sums", Method.ENCLOSURE, opposite_enclosure),
    ),
    mutants=(
        Variant("the difference of the moduli", {"larger": "(p-q)/(1-q)"}),
        Variant("1-q in the denominator", {"larger": "(p+q)/(1-q)"}),
        Variant("without the factor 1-q", {"smaller": "(p+q)/((1-p)*(1+q))"}),
    ),
    theory=("theory.discrete:opposite_sign_sum", "theory.discrete:opposite_sign_criterion"),
)

CLAIMS = (SUM, OPPOSITE)
