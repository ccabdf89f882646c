"""Verdicts on sequences: closed by a theorem where one applies, otherwise SUPPORTED at most."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from numerics.curse import CurseRow, CurseTable, curse_table
from numerics.targets import parse_target
from proofs_check.claim import Verdict
from proofs_check.claims import all_claims
from proofs_check.curse_verdicts import CurseVerdict, curse_verdicts

TARGET = parse_target("polynomial:p=1.5")


@pytest.fixture(scope="module")
def verdicts() -> dict[tuple[str, str, str], CurseVerdict]:
    fs = ["direct", "exp", "softplus", "best:b=0.01", "best"]
    table = curse_table(TARGET, [2, 4, 8], fs, [0.1], modes=["plain", "unit-norm"])
    return {(v.reparam, v.modes, "".join(v.groups)): v for v in curse_verdicts(table)}


def test_the_vanilla_curse(verdicts: dict[tuple[str, str, str], CurseVerdict]) -> None:
    for modes in ("plain", "unit-norm"):
        for groups in ("w", "wUc"):
            verdict = verdicts["direct", modes, groups]
            assert (verdict.stable, verdict.bounded, verdict.verdict) == (False, False, Verdict.PROVED)


@pytest.mark.parametrize("f", ["exp", "softplus", "best:b=0.01"])
def test_what_a_stable_f_changes(verdicts: dict[tuple[str, str, str], CurseVerdict], f: str) -> None:
    assert verdicts[f, "plain", "w"].stable is True
    assert verdicts[f, "plain", "wUc"].stable is False
    assert verdicts[f, "unit-norm", "wUc"].stable is True
    for groups in ("w", "wUc"):
        assert verdicts[f, "plain", groups].verdict is Verdict.PROVED


def test_a_range_that_does_not_hold_the_rates(verdicts: dict[tuple[str, str, str], CurseVerdict]) -> None:
    verdict = verdicts["best", "plain", "w"]
    assert (verdict.bounded, verdict.stable) == (True, False)
    assert "range" in verdict.reason


def test_every_claim_that_closes_a_verdict_exists(verdicts: dict[tuple[str, str, str], CurseVerdict]) -> None:
    assert {v.claim for v in verdicts.values() if v.claim} <= set(all_claims())


def row(m: int, lower: float, upper: float, initial: float) -> CurseRow:
    return CurseRow("exp", "plain", ("w",), m, 0.1, lower, upper, initial, 0.1, 1.0, 1.0)


def numeric(rows: list[CurseRow]) -> CurseVerdict:
    """The verdict without a theorem: on a fitted sequence."""
    table = CurseTable(TARGET, "fitted", "joint", tuple(rows), frozenset({"exp"}), ())
    return curse_verdicts(table)[0]


def test_numbers_support_at_most() -> None:
    settled = [row(m, 0.5, 0.51, 1 / m) for m in (2, 4, 8)]
    assert (numeric(settled).stable, numeric(settled).verdict) == (True, Verdict.SUPPORTED)
    growing = [row(m, m, 1.1 * m, 1 / m) for m in (2, 4, 8)]
    assert (numeric(growing).stable, numeric(growing).verdict) == (False, Verdict.SUPPORTED)
    infinite = [row(2, 0.1, 0.2, 0.5), row(4, 0.1, 0.2, 0.2), row(8, math.inf, math.inf, 0.1)]
    assert numeric(infinite).stable is False
    slow = [row(m, 1 + m / 20, 1.6 + m / 20, 1 / m) for m in (2, 4, 8)]
    assert (numeric(slow).stable, numeric(slow).verdict) == (None, Verdict.INCONCLUSIVE)
    assert numeric(settled[:2]).verdict is Verdict.INCONCLUSIVE
    no_fit = [replace(r, initial=0.4) for r in settled]
    assert (numeric(no_fit).bounded, numeric(no_fit).stable) == (True, None)
