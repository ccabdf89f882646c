"""The ledger written out: report.json for machines, report.md and report.html for readers."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from proofs_check.claim import Claim, Kind, Variant, Verdict
from proofs_check.derivation import derivations
from proofs_check.ledger import ClaimResult, LedgerResult, VariantResult
from proofs_check.outcome import RouteResult, json_value

FILES = ("report.json", "report.md", "report.html")
TITLE = "What the StableSSM paper says, and what holds"
BEYOND = "Beyond the paper"


def write_reports(result: LedgerResult, out: Path) -> list[Path]:
    """Write the three reports into `out`. Each replaces the former one whole: nobody ever reads half a file."""
    from proofs_check.report_html import html

    texts = (json.dumps(as_json(result), indent=1, ensure_ascii=False, allow_nan=False), markdown(result), html(result))
    paths = [out / name for name in FILES]
    for path, text in zip(paths, texts, strict=True):
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            temporary.write_text(text + "\n", encoding="utf-8")
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    return paths


def check_writable(out: Path, files: Sequence[str] = FILES, option: str = "--out") -> None:
    """Make the folder and try to write into it. Raises ValueError, before any work is done, where that fails.

    files: the names that are going to be written; option: what a message calls the folder.
    """
    probe = out / f".probe.{os.getpid()}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        reason = f"cannot write there ({error.strerror}); give a writable folder"
        raise ValueError(f"{option} {str(out)!r}: {reason}") from None
    for name in files:
        if (out / name).is_dir():
            raise ValueError(f"{option} {str(out)!r}: {name} in it is a folder; give another folder")


def as_json(result: LedgerResult) -> dict[str, Any]:
    """The ledger as JSON values; infinities are strings and NaN does not occur."""
    return {
        "claims": [_claim_json(claim) for claim in result.claims],
        "as_expected": result.as_expected,
        "exit_code": result.exit_code(),
        "interrupted": result.interrupted is not None,
        "unfinished": list(result.unfinished),
        "level": result.level,
        "seed": result.seed,
        "jobs": result.jobs,
        "seconds": round(result.seconds, 3),
        "versions": dict(result.versions),
        "verdicts": {verdict.name: verdict.value for verdict in Verdict},
    }


def claim_json(claim: Claim) -> dict[str, Any]:
    """What a claim says, without its verdict."""
    return {
        "id": claim.id,
        "label": claim.label,
        "title": claim.title,
        "kind": claim.kind.value,
        "statement": claim.statement,
        "latex": claim.latex,
        "hypotheses": list(claim.hypotheses),
        "parameters": json_value(claim.parameters),
        "expected": claim.expected.name,
        "amended_by": claim.amended_by,
        "theory": list(claim.theory),
    }


def full_claim_json(claim: Claim) -> dict[str, Any]:
    """What a claim says, how it is checked, and its derivation."""
    return {
        **claim_json(claim),
        "routes": [{"name": route.name, "method": route.method.value} for route in claim.routes],
        "mutants": [_changes(variant) for variant in claim.mutants],
        "controls": [_changes(variant) for variant in claim.controls],
        "derivation": [{"reference": reference, "text": text} for reference, text in derivations(claim.theory)],
    }


def _changes(variant: Variant) -> dict[str, Any]:
    return {"name": variant.name, "changes": json_value(variant.changes)}


def _claim_json(result: ClaimResult) -> dict[str, Any]:
    return {
        **claim_json(result.claim),
        "verdict": result.outcome.verdict.name,
        "reason": result.outcome.reason,
        "as_expected": result.as_expected,
        "counterexample": result.outcome.counterexample,
        "routes": [_route_json(route) for route in result.outcome.routes],
        "mutants": {
            "total": len(result.mutants),
            "killed": result.killed,
            "variants": [{**_variant_json(v), "killed": _if_run(v, v.killed)} for v in result.mutants],
        },
        "controls": {
            "total": len(result.controls),
            "held": result.held,
            "variants": [{**_variant_json(v), "held": _if_run(v, v.held)} for v in result.controls],
        },
        "seconds": round(result.outcome.seconds, 4),
    }


def _route_json(route: RouteResult) -> dict[str, Any]:
    return {
        "name": route.name,
        "method": route.method.value,
        "verdict": route.verdict.name,
        "summary": route.summary,
        "seconds": round(route.seconds, 4),
        "details": route.details,
        "counterexample": route.counterexample,
        "grade": None if route.grade is None else route.grade.name,
        "crashed": route.crashed,
    }


def _variant_json(result: VariantResult) -> dict[str, Any]:
    outcome = result.outcome
    return {
        **_changes(result.variant),
        "verdict": None if outcome is None else outcome.verdict.name,
        "reason": None if outcome is None else outcome.reason,
        "counterexample": None if outcome is None else outcome.counterexample,
        "seconds": None if outcome is None else round(outcome.seconds, 4),
    }


def _if_run(result: VariantResult, passed: bool) -> bool | None:
    return None if result.outcome is None else passed


def count_verdicts(results: Sequence[ClaimResult]) -> str:
    """For example "12 PROVED, 3 ENCLOSED, 4 REFUTED"."""
    verdicts = [result.outcome.verdict for result in results]
    return ", ".join(f"{verdicts.count(v)} {v.name}" for v in Verdict if v in verdicts) or "none"


def state_line(result: LedgerResult) -> str:
    """One sentence on the whole run."""
    text = f"{len(result.claims)} statements: {count_verdicts(result.claims)}."
    mutants = [mutant for claim in result.claims for mutant in claim.mutants if mutant.outcome is not None]
    controls = [control for claim in result.claims for control in claim.controls if control.outcome is not None]
    if mutants or controls:
        refuted, held = sum(m.verdict is Verdict.REFUTED for m in mutants), sum(c.held for c in controls)
        declared = sum(m.killed for m in mutants) - refuted
        undecided = f", {declared} INCONCLUSIVE as declared" if declared else ""
        text += f" Falsified variants refuted: {refuted} of {len(mutants)}{undecided};"
        text += f" controls affirmed: {held} of {len(controls)}."
    if result.interrupted is not None:
        return f"{text} INTERRUPTED: {len(result.unfinished)} statements were not finished."
    if result.as_expected:
        return f"{text} Every verdict is the expected one."
    unexpected = ", ".join(claim.claim.id for claim in result.claims if not claim.as_expected)
    return f"{text} NOT AS EXPECTED: {unexpected}."


def by_label(results: Sequence[ClaimResult]) -> dict[str, list[ClaimResult]]:
    """The results under the label of the paper that they belong to; what the paper does not label comes last."""
    groups: dict[str, list[ClaimResult]] = {}
    for result in sorted(results, key=lambda result: result.claim.label == "derived"):
        groups.setdefault(result.claim.label, []).append(result)
    return groups


def heading(label: str) -> str:
    """The label of the paper, or a heading for what it does not label."""
    return BEYOND if label == "derived" else label


def failing_as_printed(result: LedgerResult) -> list[ClaimResult]:
    """The statements of the paper that are false as they are printed."""
    return [c for c in result.claims if c.claim.kind is Kind.PRINTED and c.outcome.verdict is Verdict.REFUTED]


def surprises(result: ClaimResult) -> list[str]:
    """What in a claim is not as expected, a line each."""
    lines = []
    found, expected = result.outcome.verdict, result.claim.expected
    if found is not expected:
        lines.append(f"{found.name}, but {expected.name} was expected: {result.outcome.reason}")
    else:
        crashed = [route for route in result.outcome.routes if route.crashed]
        lines += [f"route {route.name!r} crashed: {route.summary}" for route in crashed]
    for mutant in result.mutants:
        if mutant.outcome is not None and not mutant.killed:
            lines.append(f"falsified variant {mutant.variant.name!r} was not refuted: {_told(mutant)}")
    for control in result.controls:
        if control.outcome is not None and not control.held:
            lines.append(f"control {control.variant.name!r} was not affirmed: {_told(control)}")
    return lines


def _told(result: VariantResult) -> str:
    assert result.outcome is not None
    return f"{result.outcome.verdict.name}: {result.outcome.reason}"


def brief(values: Mapping[str, Any] | None, limit: int = 160) -> str:
    """JSON values on one line, numbers to six digits, cut at `limit` characters."""
    text = ", ".join(f"{key} = {_short(value)}" for key, value in (values or {}).items())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return "[" + ", ".join(_short(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_short(item)}" for key, item in value.items()) + "}"
    return str(value)


def markdown(result: LedgerResult) -> str:
    """The ledger as Markdown: what fails as printed, then a table of all statements, then the surprises."""
    lines = [f"# {TITLE}", "", state_line(result), ""]
    surprising = [(claim, line) for claim in result.claims for line in surprises(claim)]
    if surprising:
        lines += ["## Not as expected", "", *(f"- `{c.claim.id}`: {_cell(line)}" for c, line in surprising), ""]
    failing = failing_as_printed(result)
    if failing:
        lines += ["## False as printed", ""]
        for claim in failing:
            lines += [f"- **{_cell(claim.claim.label)}** (`{claim.claim.id}`): {_cell(claim.claim.statement)}"]
            lines += [f"  Counterexample: {_cell(brief(claim.outcome.counterexample))}."]
            lines += [f"  What holds instead: `{claim.claim.amended_by}`."] if claim.claim.amended_by else []
        lines += [""]
    lines += ["## All statements", "", "| id | label | statement | kind | verdict | as expected | mutants killed |"]
    lines += ["|---|---|---|---|---|---|---|", *(_row(claim) for claim in result.claims), "", "## Verdicts", ""]
    lines += [f"- {verdict.name}: {verdict.value}." for verdict in Verdict]
    made = ", ".join(f"{name} {text}" for name, text in result.versions.items())
    lines += ["", f"Level {result.level}, seed {result.seed}, {result.jobs} processes, {result.seconds:.1f} s; {made}."]
    return "\n".join(lines)


def _row(result: ClaimResult) -> str:
    claim = result.claim
    killed = "not run" if result.killed is None else f"{result.killed} of {len(result.mutants)}"
    cells = (f"`{claim.id}`", claim.label, claim.title, claim.kind.value, result.outcome.verdict.name)
    return "| " + " | ".join(_cell(c) for c in (*cells, "yes" if result.as_expected else "NO", killed)) + " |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
