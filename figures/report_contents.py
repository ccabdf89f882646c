"""What the report tells, for the page and the PDF alike: its sentences, what fails with what holds, the numbering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from figures.figure import FigureKind, Finding, Kept
from figures.wording import counted
from proofs_check.claim import Kind, Method, Verdict
from proofs_check.ledger import ClaimResult, LedgerResult
from proofs_check.report import by_label, failing_as_printed, heading, state_line
from proofs_check.report_html import made_with

WHAT_HOLDS = "What the paper says, what holds"
FIGURES = "Figures and tables"
HOW_MADE = "How it was made"
"""Titles of sections, in the page and the PDF."""
PAPER = (
    "Shida Wang and Qianxiao Li, StableSSM: Alleviating the Curse of Memory in State-space Models through Stable "
    "Reparameterization, ICML 2024, arXiv:2311.14495"
)
OF_FIGURES = (
    "Under a figure or a table the verdict is about what its own data show: SUPPORTED and REFUTED rest there on "
    "floating-point numbers, or on tests over seeds, and neither is a proof."
)
Given = Sequence[tuple[FigureKind[Any], Kept[Any]]]


@dataclass(frozen=True)
class Item:
    """A figure of the report: a picture ("Figure 3"), or tables alone ("Table 1")."""

    kind: FigureKind[Any]
    kept: Kept[Any]
    number: int

    @property
    def name(self) -> str:
        return f"{'Figure' if self.is_picture else 'Table'} {self.number}"

    @property
    def title(self) -> str:
        """The title of the figure, without "Table 1: " where it begins with its own name."""
        text = self.kind.title.removeprefix(f"{self.name}:").strip()
        return text[:1].upper() + text[1:]

    @property
    def is_picture(self) -> bool:
        return self.kind.is_picture

    @property
    def caption(self) -> str:
        return self.kind.caption(self.kept.data)

    @property
    def finding(self) -> Finding:
        return self.kind.finding(self.kept.data)


def items(figures: Given) -> tuple[Item, ...]:
    """The figures in their order, pictures and tables each numbered from 1."""
    found: list[Item] = []
    for kind, kept in figures:
        alike = [item for item in found if item.is_picture == kind.is_picture]
        found.append(Item(kind, kept, len(alike) + 1))
    return tuple(found)


def illustrations(found: Sequence[Item]) -> dict[str, list[Item]]:
    """For each id of a claim the figures that illustrate it."""
    by_claim: dict[str, list[Item]] = {}
    for item in found:
        for claim in item.kind.claims:
            by_claim.setdefault(claim, []).append(item)
    return by_claim


# What fails, and what holds


@dataclass(frozen=True)
class Amendment:
    """Statements that are false, and the one that holds instead.

    fails: empty where an amended statement answers to no single sentence that is false; holds: None where the run left
    it out.
    """

    fails: tuple[ClaimResult, ...]
    holds: ClaimResult | None


def amendments(result: LedgerResult) -> dict[str, list[Amendment]]:
    """Under each label of the paper what is refuted with what holds, and then what is amended besides."""
    by_id = {found.claim.id: found for found in result.claims}
    refuted = [found for found in result.claims if found.outcome.verdict is Verdict.REFUTED]
    targets = {found.claim.amended_by for found in refuted}
    groups: dict[str, list[Amendment]] = {}
    for label, claims in by_label(result.claims).items():
        fails = [found for found in claims if found in refuted]
        pairs: dict[str | None, list[ClaimResult]] = {}
        for found in fails:
            pairs.setdefault(found.claim.amended_by, []).append(found)
        group = [Amendment(tuple(some), by_id.get(target or "")) for target, some in pairs.items()]
        group += [
            Amendment((), found)
            for found in claims
            if found.claim.kind is Kind.AMENDED and found not in refuted and found.claim.id not in targets
        ]
        if group:
            groups[heading(label)] = group
    return groups


def said_where(found: ClaimResult) -> str:
    """Whether a statement that fails is printed in the paper."""
    return "As printed" if found.claim.kind is Kind.PRINTED else "Read another way, not printed"


def printed_and_not_refuted(result: LedgerResult) -> list[ClaimResult]:
    """The statements of the paper that hold as they are printed, or are undecided."""
    claims = [found for found in result.claims if found.claim.kind is Kind.PRINTED]
    return [found for found in claims if found.outcome.verdict is not Verdict.REFUTED]


def holding_heading(found: Sequence[ClaimResult]) -> str:
    """Of the list of these statements."""
    verdicts = [claim.outcome.verdict for claim in found]
    if not all(verdict.holds for verdict in verdicts):
        return "Not refuted as printed"
    return f"What holds{', or is supported,' if Verdict.SUPPORTED in verdicts else ''} as printed"


# Sentences


def abstract(result: LedgerResult, found: Sequence[Item]) -> list[str]:
    """What was checked and how, and what came out, in paragraphs."""
    checked = (
        f"The statements of the paper ({PAPER}) and what follows from them, checked by the theory verification toolkit "
        "stablessm. Each statement is reached by at least two routes that share no formula, among "
        f"{', '.join(method.value for method in Method)}. The same routes must refute falsified variants of it, with a "
        "wrong constant, exponent, sign or hypothesis."
    )
    if not any(variant.outcome for claim in result.claims for variant in claim.mutants):
        checked += " This run has not tried them (--mutants does)."
    return [checked, _what_came_out(result), *_pictures(found)]


def _what_came_out(result: LedgerResult) -> str:
    printed = [claim for claim in result.claims if claim.claim.kind is Kind.PRINTED]
    failing = failing_as_printed(result)
    supported = [claim for claim in printed if claim.outcome.verdict is Verdict.SUPPORTED]
    hold = [claim for claim in printed if claim.outcome.verdict.holds and claim not in supported]
    text = state_line(result)
    if printed:
        text += f" Of {counted(len(printed), 'statement')} as the paper prints them {_are(len(hold), 'hold')}"
        text += f", {len(supported)} {'is' if len(supported) == 1 else 'are'} supported" if supported else ""
        text += f" and {_are(len(failing), 'fail')}"
        left = len(printed) - len(hold) - len(supported) - len(failing)
        text += f"; {left} undecided." if left else "."
    if failing:
        text += " For each that fails there is a counterexample, and the statement that holds instead."
    return text


def _are(number: int, verb: str) -> str:
    return f"{number} {verb}{'s' if number == 1 else ''}"


def _pictures(found: Sequence[Item]) -> list[str]:
    if not found:
        return []
    pictures = sum(item.is_picture for item in found)
    parts = [counted(pictures, "figure"), counted(len(found) - pictures, "table")]
    shown = " and ".join(part for part in parts if not part.startswith("0 "))
    verb = "shows" if len(found) == 1 else "show"
    return [
        f"{shown} {verb} the statements at work. They are made from computed numbers, and say what these show; where "
        "that is more than floating-point numbers can support, the statement in the ledger proves it, not the picture."
    ]


def settings(result: LedgerResult, found: Sequence[Item]) -> dict[str, str]:
    """Versions, level and seed of the run and of its figures, and of single figures what differs."""
    made = made_with(result)
    for item in found:
        theirs = {key: str(value) for key, value in item.kept.settings.items() if not isinstance(value, Mapping)}
        other = [f"{key} {value}" for key, value in theirs.items() if key in made and value != made[key]]
        if "code" in theirs and "code of the figures" not in made:
            made["code of the figures"] = theirs["code"]
        elif "code" in theirs and theirs["code"] != made["code of the figures"]:
            other.append(f"code {theirs['code']}")
        versions = item.kept.settings.get("versions", {})
        other += [f"{name} {value}" for name, value in versions.items() if made.setdefault(name, value) != value]
        if other:
            made[f"but {item.name}"] = ", ".join(other)
    return made
