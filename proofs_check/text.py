"""What the command line prints for a reader, as lines of plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from proofs_check.claim import Claim
from proofs_check.derivation import derivations
from proofs_check.ledger import LedgerResult
from proofs_check.report import brief, by_label, failing_as_printed, state_line, surprises


def ledger_lines(result: LedgerResult, width: int | None) -> Iterator[str]:
    """The verdicts under their labels, what is false as printed, what is not as expected, and a sentence on all."""

    rows: list[tuple[str, ...]] = []
    for label, results in by_label(result.claims).items():
        rows.append((label,))
        for found in results:
            mark = "ok" if found.as_expected else "UNEXPECTED"
            claim = found.claim
            rows.append((f"  {found.outcome.verdict.name}", mark, claim.kind.value, claim.id, claim.title))
    if result.claims:
        yield from columns(rows, width)
    lines = []
    for found in failing_as_printed(result):
        lines.append(f"  {found.claim.label}: {found.claim.title}  ({found.claim.id})")
        lines.append(f"    counterexample: {brief(found.outcome.counterexample, 120)}")
        if found.claim.amended_by:
            lines.append(f"    what holds: {found.claim.amended_by}")
    if lines:
        yield from ("", "False as printed:", *lines)
    unexpected = [f"  {found.claim.id}: {line}" for found in result.claims for line in surprises(found)]
    if unexpected:
        yield from ("", "Not as expected:", *unexpected)
    yield from ("", f"{state_line(result)} {result.seconds:.1f} s.")


def list_lines(claims: Sequence[Claim], width: int | None) -> Iterator[str]:
    """A line for each claim."""
    return columns(
        [(claim.label, claim.kind.value, claim.expected.name, claim.id, claim.title) for claim in claims], width
    )


def claim_lines(claim: Claim) -> Iterator[str]:
    """One claim in full, with its derivation."""
    yield f"{claim.id}: {claim.title}"
    yield f"{claim.label}, {claim.kind.value}, expected {claim.expected.name}"
    yield from ("", claim.statement, "", f"  {claim.latex}", "")
    if claim.amended_by:
        yield from (f"What holds instead: {claim.amended_by}", "")
    yield from _section("Hypotheses", claim.hypotheses)
    yield from _section("Routes", [f"{route.name} ({route.method.value})" for route in claim.routes])
    yield from _section("Falsified variants that must be refuted", [variant.name for variant in claim.mutants])
    yield from _section("Controls that must hold", [variant.name for variant in claim.controls])
    yield "Derivation"
    for reference, text in derivations(claim.theory):
        yield from ("", f"  {reference}", "", *(f"    {line}".rstrip() for line in text.splitlines()))


def _section(title: str, items: Sequence[str]) -> Iterator[str]:
    if items:
        yield from (title, *(f"  - {item}" for item in items), "")


def decision_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """The answer in lines of `what  value`."""
    words = {True: "yes", False: "no", None: "not decided"}
    stable = {True: "stable", False: "NOT stable", None: "not decided"}[answer["stable"]]
    facts = [
        ("f(w)", f"{answer['expression']}  ({answer['time']} time)"),
        ("verdict", f"{stable} ({answer['verdict']})"),
        ("reason", answer["reason"]),
    ]
    continuous = answer["time"] == "continuous"
    distance, square = ("|f|", "f²") if continuous else ("(1-|f|)", "(1-|f|)²")
    if continuous:
        facts.append(("f < 0 everywhere", words[answer["negative"]]))
    facts += [
        ("reaches λ = 0" if continuous else "reaches |λ| = 1", words[answer["attains_boundary"]]),
        (f"inf {distance}", _interval(answer["boundary_distance"])),
        (f"sup |f'|/{distance}", _interval(answer["log_lipschitz"])),
        *((f"least g({item['beta']})", _interval(item["g"])) for item in answer["modulus"]),
        (f"|f'|/{square}", str(answer["gradient_scale"] or "not determined")),
        (f"sup |f'|/({square}|w|)", _interval(answer["gradient_over_weight"])),
    ]
    counterexample = answer["counterexample"]
    if counterexample:
        pairs = ", ".join(f"{key} = {value}" for key, value in counterexample.items() if value is not None)
        facts.append(("counterexample", pairs))
    width = max(len(name) for name, _ in facts)
    return (f"{name:<{width}}  {value}" for name, value in facts)


def _interval(ends: Sequence[float | str] | None) -> str:
    return "not determined" if ends is None else f"in [{ends[0]}, {ends[1]}]"


def columns(rows: Sequence[tuple[str, ...]], width: int | None) -> Iterator[str]:
    """Rows in columns, a row of one cell as a heading; only the last cell breaks, at `width` (None: not at all)."""
    width = width or 10_000
    table = [row for row in rows if len(row) > 1]
    if width < 130:  # the id goes before the title instead of taking a column
        table = [(*row[:-2], f"{row[-2]}: {row[-1]}") for row in table]
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)][:-1]
    indent = " " * (sum(widths) + 2 * len(widths))
    shaped = iter(table)
    for row in rows:
        if len(row) == 1:
            yield row[0]
            continue
        *cells, last = next(shaped)
        lines = textwrap.wrap(last, max(width - len(indent), 20), break_on_hyphens=False) or [""]
        yield "".join(f"{cell:<{size}}  " for cell, size in zip(cells, widths, strict=True)) + lines[0]
        yield from (indent + line for line in lines[1:])
