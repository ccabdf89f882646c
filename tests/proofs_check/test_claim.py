"""Claims and the rule that combines routes into a verdict."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from proofs_check.claim import (
    Context,
    Evidence,
    Kind,
    Variant,
    Verdict,
    combine,
    enclosed,
    inconclusive,
    proved,
    refuted,
    supported,
)
from tests.toy_claims import toy

PROVED, ENCLOSED, SUPPORTED, OPEN = proved("p"), enclosed("e"), supported("s"), inconclusive("o")
NO_PROVED, NO_ENCLOSED, NO_SEEN = (
    refuted("r", {"x": 1}, grade) for grade in (Verdict.PROVED, Verdict.ENCLOSED, Verdict.SUPPORTED)
)


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        ([PROVED, ENCLOSED], Verdict.PROVED),
        ([SUPPORTED, ENCLOSED], Verdict.ENCLOSED),
        ([SUPPORTED, SUPPORTED], Verdict.SUPPORTED),
        ([PROVED, OPEN, SUPPORTED], Verdict.PROVED),
        ([PROVED], Verdict.INCONCLUSIVE),
        ([PROVED, OPEN], Verdict.INCONCLUSIVE),
        ([OPEN, OPEN], Verdict.INCONCLUSIVE),
        ([], Verdict.INCONCLUSIVE),
        ([PROVED, NO_PROVED], Verdict.INCONCLUSIVE),
        ([PROVED, ENCLOSED, NO_SEEN], Verdict.INCONCLUSIVE),
        ([NO_PROVED, NO_SEEN], Verdict.REFUTED),
        ([NO_SEEN, NO_ENCLOSED, OPEN], Verdict.REFUTED),
        ([NO_SEEN, NO_SEEN], Verdict.INCONCLUSIVE),
        ([NO_PROVED], Verdict.INCONCLUSIVE),
    ],
)
def test_combined_verdict(evidence: Sequence[Evidence], verdict: Verdict) -> None:
    assert combine(evidence)[0] is verdict
    assert combine(list(reversed(evidence)))[0] is verdict


def test_reason_names_what_was_not_decided() -> None:
    assert "only 1 of 2 routes decided: because" in combine([PROVED, inconclusive("because")])[1]
    assert "routes disagree" in combine([PROVED, NO_PROVED])[1]
    assert "floating point only" in combine([NO_SEEN, NO_SEEN])[1]


@pytest.mark.parametrize(("verdict", "holds"), [(v, v is not Verdict.REFUTED) for v in list(Verdict)[:4]])
def test_holds(verdict: Verdict, holds: bool) -> None:
    assert verdict.holds is holds
    assert Verdict.INCONCLUSIVE.holds is None


@pytest.mark.parametrize(
    ("counterexample", "grade"), [(None, Verdict.PROVED), ({"x": 1}, None), ({"x": 1}, Verdict.REFUTED)]
)
def test_refuted_needs_an_established_counterexample(
    counterexample: dict[str, int] | None, grade: Verdict | None
) -> None:
    with pytest.raises(ValueError, match="counterexample and its grade"):
        Evidence(Verdict.REFUTED, "no", {}, counterexample, grade)


def test_claim_needs_two_routes() -> None:
    with pytest.raises(ValueError, match="at least two routes"):
        toy("x", lambda parameters, context: PROVED)


def test_claim_needs_a_mutant() -> None:
    with pytest.raises(ValueError, match="at least one mutant"):
        toy("x", mutants=())


def test_refuted_claim_needs_a_control() -> None:
    with pytest.raises(ValueError, match="needs a control"):
        toy("x", kind=Kind.PRINTED, expected=Verdict.REFUTED, controls=())


@pytest.mark.parametrize("changes", [{"lower": 1}, {}])
def test_variant_must_change_a_parameter(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="changes unknown parameters"):
        toy("x", mutants=(Variant("odd", changes),))


def test_variant_replaces_parameters_and_leaves_the_claim_alone() -> None:
    claim = toy("x")
    assert dict(claim.with_changes(claim.mutants[0])) == {"upper": 0.5}
    assert dict(claim.with_changes(None)) == {"upper": 1}
    with pytest.raises(TypeError):
        claim.parameters["upper"] = 3  # type: ignore[index]


def test_context_depends_on_seed_and_name_alone() -> None:
    draws = [Context(seed=seed).rng(name).random() for seed, name in ((0, "a"), (0, "a"), (0, "b"), (1, "a"))]
    assert draws[0] == draws[1]
    assert len(set(draws)) == 3
    assert (Context().pick(1, 2), Context(full=True).pick(1, 2)) == (1, 2)
