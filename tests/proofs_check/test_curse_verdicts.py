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
    fs = ["direct", "exp", "softplus", "best:b=0.01", "best:b=0", "best"]
    table = curse_table(TARGET, [2, 4, 8], fs, [0.1], modes=["plain", "unit-norm"])
    return {(v.reparam, v.modes, "".join(v.groups)): v for v in curse_verdicts(table)}


def test_the_vanilla_curse(verdicts: dict[tuple[str, str, str], CurseVerdict]) -> None:
    for modes in ("plain", "unit-norm"):
        for groups in ("w", "wUc"):
            verdict = verdicts["direct", modes, groups]
            assert (verdict.stable, verdict.bounded, verdict.verdict) == (False, False, Verdict.PROVED)


@pytest.mark.parametrize("f", ["exp", "softplus"])
def test_what_a_stable_f_changes(verdicts: dict[tuple[str, str, str], CurseVerdict], f: str) -> None:
    assert verdicts[f, "plain", "w"].stable is True
    assert verdicts[f, "plain", "wUc"].stable is False
    assert verdicts[f, "unit-norm", "wUc"].stable is True
    for groups in ("w", "wUc"):
        assert verdicts[f, "plain", groups].verdict is Verdict.PROVED


@pytest.mark.parametrize("f", ["best", "best:b=0.01"])
def test_a_range_that_does_not_hold_the_rates(verdicts: dict[tuple[str, str, str], CurseVerdict], f: str) -> None:
    """Of all m: rates up to 100 hold those of the m asked for, and no more."""
    for modes, groups in (("plain", "w"), ("unit-norm", "wUc")):
        verdict = verdicts[f, modes, groups]
        assert (verdict.bounded, verdict.stable) == (True, False)
        assert "range" in verdict.reason
    assert verdicts[f, "plain", "wUc"].bounded is False


def test_few_modes_do_not_close_a_verdict_for_a_formula() -> None:
    """The rates asked for lie in its range, those of larger m below 0.001 do not."""
    table = curse_table(parse_target("polynomial:p=2"), [2, 3], ["-0.001-exp(w)"], [0.1], modes=["plain", "unit-norm"])
    assert {v.verdict for v in curse_verdicts(table)} == {Verdict.INCONCLUSIVE}


def test_a_unit_norm_mode_that_stops_at_the_boundary_is_closed_by_no_theorem() -> None:
    table = curse_table(TARGET, [2, 3], ["relu"], [0.1], modes=["plain", "unit-norm"], groups=["w"])
    assert [v.verdict for v in curse_verdicts(table)] == [Verdict.PROVED, Verdict.INCONCLUSIVE]


def test_a_finite_sum_needs_no_rates_but_its_own() -> None:
    target = parse_target("exponential:rate=1+exponential:rate=3")
    table = curse_table(target, [2, 4], ["best:b=0.3", "best:b=0.5", "-0.001-exp(w)"], [0.1], groups=["w"])
    found = [(v.bounded, v.stable, v.verdict) for v in curse_verdicts(table)]
    assert found == [(True, stable, Verdict.PROVED) for stable in (True, False, True)]


def test_every_claim_that_closes_a_verdict_exists(verdicts: dict[tuple[str, str, str], CurseVerdict]) -> None:
    assert {v.claim for v in verdicts.values() if v.claim} <= set(all_claims())


def row(m: int, lower: float, upper: float, initial: float) -> CurseRow:
    return CurseRow("exp", "plain", ("w",), m, 0.1, lower, upper, initial, 0.1, 1.0, 1.0)


def numeric(rows: list[CurseRow]) -> CurseVerdict:
    """The verdict without a theorem: on a fitted sequence."""
    table = CurseTable(TARGET, "fitted", "joint", tuple(rows), {"exp": True}, ())
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
