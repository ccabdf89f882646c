"""The ledger as one self-contained HTML page: no script, no network, formulas drawn as paths."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from proofs_check.claim import Claim, Verdict
from proofs_check.derivation import derivations
from proofs_check.formula_svg import FormulaSheet
from proofs_check.ledger import ClaimResult, LedgerResult, VariantResult
from proofs_check.outcome import RouteResult, json_value
from proofs_check.report import TITLE, brief, by_label, failing_as_printed, heading, state_line, surprises
from proofs_check.scripts import html_text

SIGNS = {
    Verdict.PROVED: "✓",
    Verdict.ENCLOSED: "✓",
    Verdict.SUPPORTED: "≈",
    Verdict.REFUTED: "✗",
    Verdict.INCONCLUSIVE: "?",
}

STYLE = Path(__file__).with_name("report.css")


def html(result: LedgerResult) -> str:
    """The whole page."""
    sheet = FormulaSheet()
    shown = {claim.claim.id for claim in result.claims}
    body = [
        f"<h1>{TITLE}</h1>",
        f'<p class="soft">{escape(_made(result))}</p>',
        state(result),
        alarm(result),
        _failing(result, sheet, shown),
        "<h2>Contents</h2>",
        contents(result),
        "<h2>The statements</h2>",
        *(article(claim, sheet, shown) for claim in result.claims),
        "<h2>Verdicts</h2>",
        meanings(),
        "<h2>Made with</h2>",
        values(made_with(result)),
    ]
    return document("StableSSM: what holds", body, sheet)


def document(title: str, body: Sequence[str], sheet: FormulaSheet) -> str:
    """A page of these parts, with its style and the glyphs of its formulas inside."""
    style = STYLE.read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n{sheet.definitions()}\n"
        "<main>\n" + "\n".join(part for part in body if part) + "\n</main>\n</body>\n</html>"
    )


def state(result: LedgerResult) -> str:
    """The sentence on the whole run."""
    return f'<p class="card{"" if result.as_expected else " alarm"}">{escape(state_line(result))}</p>'


def _made(result: LedgerResult) -> str:
    level = f"{result.level} level, seed {result.seed}, {result.seconds:.1f} s in {result.jobs} processes"
    return f"Wang & Li, StableSSM, ICML 2024 (arXiv:2311.14495), checked by stablessm: {level}."


def badge(verdict: Verdict) -> str:
    """The verdict as a coloured label; sign and text say it without the colour."""
    return f'<span class="badge {verdict.name}" title="{escape(verdict.value)}">{SIGNS[verdict]} {verdict.name}</span>'


def link(claim_id: str, shown: Collection[str]) -> str:
    """The id of a claim, linked where the page shows the claim."""
    code = f"<code>{escape(claim_id)}</code>"
    return f'<a href="#{escape(claim_id)}">{code}</a>' if claim_id in shown else code


def alarm(result: LedgerResult) -> str:
    """What is not as expected, nothing where all is."""
    items = [(claim.claim.id, line) for claim in result.claims for line in surprises(claim)]
    items += [(id, "not finished") for id in result.unfinished]
    if not items:
        return ""
    shown = {claim.claim.id for claim in result.claims}
    rows = "".join(f"<li>{link(id, shown)}: {html_text(line)}</li>" for id, line in items)
    return f'<section class="card alarm"><h3>Not as expected</h3><ul>{rows}</ul></section>'


def _failing(result: LedgerResult, sheet: FormulaSheet, shown: Collection[str]) -> str:
    """The top of the page: printed statements that are false, each with its counterexample and what holds instead."""
    failing = failing_as_printed(result)
    if not failing:
        return ""
    cards = []
    for found in failing:
        claim = found.claim
        instead = f"<p>What holds instead: {link(claim.amended_by, shown)}</p>" if claim.amended_by else ""
        cards.append(
            f'<section class="card"><h3>{badge(found.outcome.verdict)} {escape(claim.label)}: '
            f'<a href="#{escape(claim.id)}">{html_text(claim.title)}</a></h3><p>{html_text(claim.statement)}</p>'
            f'<div class="formula">{sheet.lines(claim.latex)}</div>'
            f"<p>Counterexample: <code>{escape(brief(found.outcome.counterexample, 300))}</code></p>{instead}</section>"
        )
    return "<h2>What is false as printed</h2>" + "".join(cards)


def contents(result: LedgerResult) -> str:
    """A link to each statement, under the label of the paper."""
    parts = ['<nav class="contents">']
    for label, claims in by_label(result.claims).items():
        items = "".join(
            f"<li><span>{badge(claim.outcome.verdict)}</span>"
            f'<a href="#{escape(claim.claim.id)}">{html_text(claim.claim.title)}</a></li>'
            for claim in claims
        )
        parts.append(f"<h4>{escape(heading(label))}</h4><ul>{items}</ul>")
    return "".join([*parts, "</nav>"])


def article(result: ClaimResult, sheet: FormulaSheet, shown: Collection[str], more: str = "") -> str:
    """A statement with all its evidence; more: HTML behind its verdict."""
    claim, outcome = result.claim, result.outcome
    mark = "as expected" if result.as_expected else f"NOT as expected, {claim.expected.name} was; see the top"
    kinds = {"printed": "as the paper prints it", "amended": "amended", "derived": "derived here"}
    parts = [
        f'<article id="{escape(claim.id)}"><h3>{badge(outcome.verdict)} {html_text(claim.title)}</h3>',
        f'<p class="soft">{escape(heading(claim.label))} · {kinds[claim.kind.value]} · ',
        f"<code>{escape(claim.id)}</code></p>",
        f'<p>{html_text(claim.statement)}</p><div class="formula">{sheet.lines(claim.latex)}</div>',
        hypotheses(claim),
        f"<p><strong>{outcome.verdict.name}</strong> ({mark}): {html_text(outcome.reason)}</p>",
        f'<p class="soft">{outcome.verdict.name} means {escape(outcome.verdict.value)}.</p>',
        more,
        f"<h4>Counterexample</h4>{values(outcome.counterexample)}" if outcome.counterexample else "",
        f"<p>What holds instead: {link(claim.amended_by, shown)}</p>" if claim.amended_by else "",
        "<h4>Routes</h4>",
        *(_route(route) for route in outcome.routes),
        _variants("Falsified variants, which the same routes must refute", result.mutants, "refuted", "NOT refuted"),
        _variants("Controls, which the same routes must affirm", result.controls, "affirmed", "NOT affirmed"),
        _derivation(claim),
        "</article>",
    ]
    return "".join(parts)


def hypotheses(claim: Claim) -> str:
    """The hypotheses of a statement as a list."""
    if not claim.hypotheses:
        return ""
    return "<h4>Hypotheses</h4><ul>" + "".join(f"<li>{html_text(text)}</li>" for text in claim.hypotheses) + "</ul>"


def _route(route: RouteResult) -> str:
    head = f"{badge(route.verdict)} <strong>{html_text(route.name)}</strong>"
    found = dict(route.details)
    if route.counterexample:
        found["counterexample"] = route.counterexample
    computed = f"<details><summary>what was computed</summary>{values(found)}</details>" if found else ""
    return (
        f'<div class="route">{head} <span class="soft">{escape(route.method.value)}, {route.seconds:.2f} s</span>'
        f"<p>{html_text(route.summary)}</p>{computed}</div>"
    )


def _variants(title: str, variants: Sequence[VariantResult], passed: str, failed: str) -> str:
    if not variants:
        return ""
    items = []
    for result in variants:
        item = f"<strong>{html_text(result.variant.name)}</strong>"
        item += f" <code>{escape(brief(json_value(result.variant.changes), 200))}</code>"
        if result.outcome is not None:
            ok = result.killed if passed == "refuted" else result.held
            declared = ok and result.verdict is Verdict.INCONCLUSIVE
            word = "undecided, as declared" if declared else passed if ok else failed
            fate = f"{word}: {html_text(result.outcome.reason)}"
            item += f"<br>{badge(result.outcome.verdict)} {fate}"
        items.append(f"<li>{item}</li>")
    if all(result.outcome is None for result in variants):
        title += " (not run this time)"
    return f"<h4>{escape(title)}</h4><ul>{''.join(items)}</ul>"


def _derivation(claim: Claim) -> str:
    texts = "".join(
        f"<p><code>{escape(reference)}</code></p><pre>{escape(text)}</pre>"
        for reference, text in derivations(claim.theory)
    )
    return f"<details><summary>Derivation</summary>{texts}</details>" if texts else ""


def values(given: Mapping[str, Any] | None) -> str:
    """Names and JSON values."""
    rows = [f"<dt>{escape(str(key))}</dt><dd>{escape(_text(value))}</dd>" for key, value in (given or {}).items()]
    return f"<dl>{''.join(rows)}</dl>"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, allow_nan=False)


def meanings() -> str:
    """What each verdict means."""
    return "<ul>" + "".join(f"<li>{badge(verdict)} {escape(verdict.value)}</li>" for verdict in Verdict) + "</ul>"


def made_with(result: LedgerResult) -> dict[str, str]:
    """Versions and settings of the run."""
    more = {"level": result.level, "seed": str(result.seed), "number type": "float64, on the CPU"}
    return {**result.versions, **more}
