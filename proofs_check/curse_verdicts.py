"""Is a sequence of models a stable approximation? The verdict on a table of E_m(β), by a theorem or by the numbers.

Definition 2.5: stable up to β0 means E(0) = 0 and E continuous on [0, β0], for which E(β) = limsup_m E_m(β) must be
finite. Finitely many m prove nothing about a limsup, so the numbers SUPPORT a verdict at most. A theorem of the ledger
closes it for the explicit sequence: its sums Σ|c_iu_i|ν_i and Σ|c_iu_i|ν_i/|λ_i| are bounded; min|λ_i| → 0 for a target
that decays like a power; and E(0) = 0 if the range of f holds the rates for every m, else E(0) > 0 (numerics.expsum).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from numerics.curse import CurseRow, CurseTable
from numerics.reparameterization import Reparameterization
from proofs_check.claim import Verdict
from proofs_check.decide import decide
from proofs_check.tendency import tendency

_SHRUNK = 0.5
"""Approximating: E_m(0) at the largest m is at most so much of that at the smallest."""
_REACHES_BOUNDARY = {"plain": ("direct", "relu"), "unit-norm": ("direct",)}
"""By modes the named f with |λ| = |w| wherever λ is stable: a slow mode lies at the distance |λ| from the boundary.
Under relu λ̃ does not pass 0, where the gain of a unit-norm mode is 0 as well."""


@dataclass(frozen=True)
class CurseVerdict:
    """The verdict on one sequence; `stable` and `bounded` are None where nothing is decided."""

    reparam: str
    modes: str
    groups: tuple[str, ...]
    beta: float
    bounded: bool | None
    stable: bool | None
    verdict: Verdict
    reason: str
    claim: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "reparam": self.reparam,
            "modes": self.modes,
            "groups": list(self.groups),
            "beta": self.beta,
            "bounded": self.bounded,
            "stable": self.stable,
            "verdict": self.verdict.name,
            "reason": self.reason,
            "claim": self.claim,
        }


def curse_verdicts(table: CurseTable) -> list[CurseVerdict]:
    """One verdict for every combination of f, modes and groups, in the order of the table."""
    verdicts = []
    for rows in _sequences(table.rows):
        first, beta = rows[0], max(row.beta for row in rows)
        complete = table.complete[first.reparam]
        found = _by_theorem(table, first, complete) if table.sequence == "explicit" else None
        bounded, stable, verdict, reason, claim = found or _by_numbers(rows, complete)
        verdicts.append(
            CurseVerdict(first.reparam, first.modes, first.groups, beta, bounded, stable, verdict, reason, claim)
        )
    return verdicts


_Answer = tuple[bool | None, bool | None, Verdict, str, str | None]


def _sequences(rows: Sequence[CurseRow]) -> Iterator[list[CurseRow]]:
    found: dict[tuple[str, str, tuple[str, ...]], list[CurseRow]] = {}
    for row in rows:
        if row.beta > 0:
            found.setdefault((row.reparam, row.modes, row.groups), []).append(row)
    yield from found.values()


def _by_theorem(table: CurseTable, row: CurseRow, complete: bool | None) -> _Answer | None:
    if complete is None or (not complete and Reparameterization(row.reparam).name is None):
        return None
    slow = table.target.decay.kind == "polynomial"
    if slow and "w" in row.groups and row.reparam in _REACHES_BOUNDARY[row.modes]:
        reason = "min|λ| → 0 and a move of w by min|λ| reaches the boundary of stability: E(β) = inf for every β > 0"
        return False, False, Verdict.PROVED, reason, "thm-3.3-boundary"
    if slow and row.modes == "plain" and {"U", "c"} <= set(row.groups):
        reason = "U and c move together, which costs β²/(2 min|λ|) at least, and min|λ| → 0, whatever f is"
        return False, False, Verdict.PROVED, reason, "all-weights-lower-bound"
    if "w" in row.groups and not _is_stable(row.reparam):
        return None
    ending = "" if complete else ", but E(0) > 0: the range of f does not hold the rates"
    if row.groups == ("w",) and row.modes == "plain":
        reason = "only w moves, f is stable, and the sums Σ|c_i u_i|, Σ|c_i u_i|/|λ_i| stay bounded"
        return True, complete, Verdict.PROVED, reason + ending, "thm-3.5-recurrent-only"
    if row.modes == "unit-norm" and table.ball == "joint":
        return True, complete, Verdict.PROVED, "unit-norm modes, |c| and |u| bounded" + ending, "unit-norm-bound"
    return None


@cache
def _is_stable(reparam: str) -> bool:
    """Whether f is proved to be a stable reparameterization."""
    return decide(reparam).stable is True


def _by_numbers(rows: Sequence[CurseRow], complete: bool | None) -> _Answer:
    dims = sorted({row.m for row in rows})
    if len(dims) < 3:
        return None, None, Verdict.INCONCLUSIVE, f"{len(dims)} values of m show no tendency; give three or more", None
    answers = {
        beta: tendency({row.m: (row.lower, row.upper) for row in rows if row.beta == beta})
        for beta in sorted({row.beta for row in rows})
    }
    diverging = [beta for beta, answer in answers.items() if answer is False]
    if diverging:
        reason = f"E_m({diverging[0]:g}) grows from m = {dims[0]} to m = {dims[-1]}"
        return False, False, Verdict.SUPPORTED, reason, None
    if any(answer is None for answer in answers.values()):
        undecided = next(beta for beta, answer in answers.items() if answer is None)
        reason = f"E_m({undecided:g}) neither settles nor doubles up to m = {dims[-1]}"
        return None, None, Verdict.INCONCLUSIVE, reason, None
    if complete is False:
        reason = "E_m(β) is bounded, but E(0) > 0: the range of f does not hold the rates"
        return True, False, Verdict.SUPPORTED, reason, None
    by_dim = sorted(rows, key=lambda row: row.m)
    if by_dim[-1].initial > _SHRUNK * by_dim[0].initial:
        return True, None, Verdict.SUPPORTED, "E_m(β) is bounded, but E_m(0) does not shrink", None
    return True, True, Verdict.SUPPORTED, f"E_m(β) settles and E_m(0) shrinks up to m = {dims[-1]}", None
