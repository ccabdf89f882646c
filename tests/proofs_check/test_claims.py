"""Every claim of the toolkit: its verdict, its form, and its falsified variants."""

from __future__ import annotations

from pathlib import Path

import pytest

import proofs_check.claims as claims_package
from proofs_check.claim import Claim, Context, Kind, Variant, Verdict
from proofs_check.claims import all_claims
from proofs_check.derivation import derivation
from proofs_check.formula_svg import readable
from proofs_check.ledger import VariantResult
from proofs_check.outcome import examine

CLAIMS = list(all_claims().values())
MUTANTS = [pytest.param(c, v, id=f"{c.id}: {v.name}") for c in CLAIMS for v in c.mutants]
CONTROLS = [pytest.param(c, v, id=f"{c.id}: {v.name}") for c in CLAIMS for v in c.controls]
each_claim = pytest.mark.parametrize("claim", [pytest.param(c, id=c.id) for c in CLAIMS])


def test_no_file_of_claims_is_forgotten() -> None:
    files = Path(claims_package.__file__).parent.glob("[a-z]*.py")
    assert {file.stem for file in files if "\nCLAIMS" in file.read_text(encoding="utf-8")} == set(
        claims_package.MODULES
    )


@each_claim
def test_verdict_is_the_expected_one(claim: Claim) -> None:
    outcome = examine(claim, None, Context())
    assert not outcome.crashed, [route for route in outcome.routes if route.crashed]
    assert outcome.verdict is claim.expected, outcome.reason
    assert all(route.verdict is not Verdict.INCONCLUSIVE for route in outcome.routes), outcome.routes


@each_claim
def test_form(claim: Claim) -> None:
    assert claim.id == claim.id.lower().strip()
    assert " " not in claim.id
    assert readable(claim.latex), claim.latex
    assert len({route.name for route in claim.routes}) == len(claim.routes)
    assert len({variant.name for variant in (*claim.mutants, *claim.controls)}) == len(claim.mutants + claim.controls)
    assert claim.statement.rstrip().endswith((".", ")"))
    assert claim.title


@each_claim
def test_derivation_is_written_out(claim: Claim) -> None:
    assert claim.theory
    for reference in claim.theory:
        assert reference.startswith("theory.")
        assert "Source:" in derivation(reference)


@each_claim
def test_a_failing_statement_names_the_one_that_holds(claim: Claim) -> None:
    if claim.amended_by is not None:
        assert all_claims()[claim.amended_by].expected.holds
    if claim.kind is not Kind.PRINTED:
        assert claim.expected is not Verdict.REFUTED or claim.amended_by


@pytest.mark.full
@each_claim
def test_verdict_at_the_full_level(claim: Claim) -> None:
    outcome = examine(claim, None, Context(full=True))
    assert not outcome.crashed
    assert outcome.verdict is claim.expected, outcome.reason


@pytest.mark.parametrize(("claim", "variant"), MUTANTS)
def test_mutant_is_killed(claim: Claim, variant: Variant) -> None:
    outcome = examine(claim, variant, Context())
    assert VariantResult(variant, outcome).killed, outcome.reason


@pytest.mark.parametrize(("claim", "variant"), CONTROLS)
def test_control_holds(claim: Claim, variant: Variant) -> None:
    outcome = examine(claim, variant, Context())
    assert VariantResult(variant, outcome).held, outcome.reason
