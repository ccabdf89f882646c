"""The report as a PDF that reads like a paper: what fails and what holds, the figures, and a table of all statements.

The evidence of each statement, its routes, falsified variants and derivation, is in the HTML report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from figures.pdf_layout import HEIGHT, MEASURE, SIDE, WHOLE, WIDTH, Flow, Text
from figures.pdf_pages import pdf_of
from figures.pdf_table import set_table
from figures.pdf_text import BODY, CODE, SMALL, SOFT, Font, Run, width_of
from figures.report_contents import (
    FIGURES,
    HOW_MADE,
    OF_FIGURES,
    WHAT_HOLDS,
    Amendment,
    Given,
    Item,
    abstract,
    amendments,
    holding_heading,
    illustrations,
    items,
    printed_and_not_refuted,
    said_where,
    settings,
)
from figures.table_files import Table
from proofs_check.claim import Verdict
from proofs_check.ledger import ClaimResult, LedgerResult
from proofs_check.report import TITLE, brief, by_label, heading, surprises
from proofs_check.report_html import SIGNS

COLOURS = {
    Verdict.PROVED: "#0b4f8a",
    Verdict.ENCLOSED: "#0b655a",
    Verdict.SUPPORTED: "#59626c",
    Verdict.REFUTED: "#a33a00",
    Verdict.INCONCLUSIVE: "#7a2f6c",
}
_H1 = Font(15.0, bold=True)
_H2 = Font(12.0, bold=True)
_H3 = Font(10.0, bold=True)
_LABEL = Font(7.5, "sans", bold=True, colour=SOFT)
_BADGE = Font(6.0, "sans", bold=True, colour="#ffffff")
_INDENT = 16.0
_KEPT_ROWS = 16
"""A table with more may run over pages."""


def pdf(result: LedgerResult, figures: Given) -> bytes:
    """The file."""
    return pdf_of(laid_out(result, items(figures)).pages, TITLE)


def laid_out(result: LedgerResult, found: Sequence[Item]) -> Flow:
    """All pages with their numbers, laid out until the contents name the pages where things stand."""
    places: Mapping[str, int] = {}
    for _ in range(4):
        flow = _report(result, found, places)
        if flow.places == places:
            break
        places = flow.places
    for number, marks in enumerate(flow.pages[1:], 2):
        text = str(number)
        marks.append(Text((WIDTH - width_of(text, SMALL)) / 2, HEIGHT - 36.0, text, SMALL))
    return flow


def _report(result: LedgerResult, found: Sequence[Item], places: Mapping[str, int]) -> Flow:
    flow = Flow()
    _title_page(flow, result, found)
    _unexpected(flow, result)
    _contents(flow, result, found, places)
    _what_holds(flow, result)
    if found:
        _section(flow, FIGURES)
        for item in found:
            _item(flow, item)
    _statements(flow, result, found)
    _made(flow, result, found)
    return flow


def _section(flow: Flow, title: str, new_page: bool = True) -> None:
    if new_page and flow.y > 500:
        flow.new_page()
    flow.gap(22.0)
    flow.need(120.0)
    flow.mark(title)
    flow.paragraph(title, _H1)
    flow.gap(6.0)


def badge(verdict: Verdict) -> Run:
    return Run(f"{SIGNS[verdict]} {verdict.name}", _BADGE, COLOURS[verdict])


# Title and contents


def _title_page(flow: Flow, result: LedgerResult, found: Sequence[Item]) -> None:
    flow.y += 8.0
    flow.paragraph(TITLE, Font(21.0, bold=True))
    flow.gap(4.0)
    flow.paragraph("A verification of the theory of StableSSM", Font(11.0, italic=True, colour=SOFT))
    flow.gap(14.0)
    for text in abstract(result, found):
        flow.paragraph(text)
        flow.gap(6.0)
    flow.gap(4.0)
    for verdict in Verdict:
        count = sum(claim.outcome.verdict is verdict for claim in result.claims)
        if count:
            flow.paragraph([badge(verdict), Run(f"{count}: {verdict.value}", SMALL)], indent=_INDENT)
            flow.gap(1.5)
    flow.gap(4.0)
    flow.paragraph("The routes, falsified variants and derivation of every statement are in report.html.", SMALL)


def _unexpected(flow: Flow, result: LedgerResult) -> None:
    lines = [(claim.claim.id, line) for claim in result.claims for line in surprises(claim)]
    lines += [(id, "not finished") for id in result.unfinished]
    if lines:
        flow.gap(10.0)
        flow.paragraph("Not as expected", Font(12.0, bold=True, colour=COLOURS[Verdict.REFUTED]))
    for id, line in lines:
        flow.paragraph([Run(id, CODE), Run(line)], indent=_INDENT)


def _contents(flow: Flow, result: LedgerResult, found: Sequence[Item], places: Mapping[str, int]) -> None:
    flow.gap(14.0)
    flow.need(90.0)
    flow.paragraph("Contents", _H1)
    flow.gap(4.0)
    entries = [(WHAT_HOLDS, 0)]
    entries += [(label, 1) for label in amendments(result)]
    entries += [(FIGURES, 0)] if found else []
    entries += [(f"{item.name}. {item.title}", 1) for item in found]
    entries += [("All statements", 0), (HOW_MADE, 0)]
    for text, depth in entries:
        _entry(flow, text, places.get(text, 0), Font(9.2, bold=depth == 0), _INDENT * depth)


def _entry(flow: Flow, text: str, page: int, font: Font, indent: float) -> None:
    """A line of the contents, with dots up to the number of the page."""
    flow.paragraph(text, font, indent=indent, measure=MEASURE - 24.0)
    last = flow.pages[-1][-1]
    assert isinstance(last, Text)
    number, dots = str(page), Font(font.size, colour=SOFT)
    start = SIDE + MEASURE - width_of(number, font)
    flow.put(Text(start, last.y, number, font))
    step = width_of(". . . ", dots) - width_of(". . ", dots)
    count = int((start - 12.0 - last.x - width_of(last.text, last.font)) / step)
    if count > 0:
        flow.put(Text(start - 6.0 - count * step, last.y, ". " * count, dots))


# What the paper says, what holds


def _what_holds(flow: Flow, result: LedgerResult) -> None:
    flow.new_page()
    _section(flow, WHAT_HOLDS)
    groups = amendments(result)
    for label, group in groups.items():
        flow.gap(8.0)
        flow.need(110.0)
        flow.mark(label)
        flow.paragraph(label, _H2)
        flow.rule(WHOLE, 0.5)
        for amendment in group:
            _amendment(flow, amendment)
    if not groups:
        flow.paragraph("No statement of this run is false or amended.")
    holding = printed_and_not_refuted(result)
    if holding:
        flow.gap(8.0)
        flow.need(60.0)
        flow.paragraph(holding_heading(holding), _H2)
        flow.rule(WHOLE, 0.5)
        flow.gap(4.0)
    for claim in holding:
        flow.paragraph([badge(claim.outcome.verdict), Run(f"{heading(claim.claim.label)}: {claim.claim.title}")])


def _amendment(flow: Flow, amendment: Amendment) -> None:
    for found in amendment.fails:
        flow.keep(partial(_fails, found=found))
    if amendment.holds:
        title = "WHAT HOLDS" if amendment.fails else "AMENDED"
        flow.keep(partial(_holds, found=amendment.holds, title=title))
    elif amendment.fails[0].claim.amended_by:
        flow.paragraph(f"What holds, {amendment.fails[0].claim.amended_by}, is not in this run.", SMALL)


def _statement(flow: Flow, found: ClaimResult, title: str) -> None:
    flow.gap(7.0)
    flow.paragraph(title, _LABEL)
    flow.paragraph([badge(found.outcome.verdict), Run(found.claim.title, _H3), Run(found.claim.id, CODE)])
    flow.gap(2.0)
    flow.paragraph(found.claim.statement)
    flow.gap(2.0)
    flow.formula(found.claim.latex)


def _fails(flow: Flow, found: ClaimResult) -> None:
    _statement(flow, found, said_where(found).upper())
    example = [Run("Counterexample:", Font(9.5, italic=True)), Run(brief(found.outcome.counterexample, 400), CODE)]
    flow.paragraph([*example, Run(f"({found.outcome.reason})", Font(9.5))])


def _holds(flow: Flow, found: ClaimResult, title: str) -> None:
    _statement(flow, found, title)
    if found.claim.hypotheses:
        hypotheses = " ".join(found.claim.hypotheses)
        flow.paragraph([Run("Hypotheses:", Font(9.5, italic=True)), Run(hypotheses, Font(9.5))])


# Figures and tables


def _item(flow: Flow, item: Item) -> None:
    """What it shows with its caption; its tables may run over pages."""
    tables = list(item.kind.tables(item.kept.data))
    first = [] if item.is_picture else tables[:1]
    flow.keep(partial(_drawn, item=item, tables=first))
    for table in tables[len(first) :]:
        flow.gap(6.0)
        if len(table.rows) <= _KEPT_ROWS:
            flow.keep(partial(_table, table=table))
        else:
            flow.need(100.0)
            _table(flow, table)
    if not item.is_picture:
        flow.gap(3.0)
        flow.keep(partial(_caption, item=item))
    flow.gap(20.0)


def _drawn(flow: Flow, item: Item, tables: Sequence[Table]) -> None:
    """Its name with the picture and its caption, or with these tables."""
    name = f"{item.name}. {item.title}"
    flow.mark(name)
    flow.paragraph(name, _H3)
    flow.paragraph(item.kind.shows, Font(9.5, italic=True, colour=SOFT))
    flow.gap(4.0)
    for table in tables:
        _table(flow, table)
    if item.is_picture:
        flow.picture(item.kind, item.kept.data)
        flow.gap(3.0)
        _caption(flow, item)


def _table(flow: Flow, table: Table) -> None:
    if table.title:
        flow.paragraph(table.title, SMALL)
        flow.gap(3.0)
    set_table(flow, table)


def _caption(flow: Flow, item: Item) -> None:
    small = Font(9.0)
    flow.paragraph([Run(f"{item.name}.", Font(9.0, bold=True)), Run(item.caption, small)])
    flow.gap(2.0)
    flow.paragraph([badge(item.finding.verdict), Run(item.finding.reason, small)])
    if item.kind.claims:
        flow.gap(1.0)
        flow.paragraph([Run("Illustrates", small), Run(", ".join(item.kind.claims), Font(7.5, "mono"))])


# All statements, and how it was made


def _statements(flow: Flow, result: LedgerResult, found: Sequence[Item]) -> None:
    flow.new_page()
    _section(flow, "All statements")
    flow.paragraph(
        "Each with its id, whether the paper prints it, and how many falsified variants are refuted, or undecided as "
        "declared, of all."
    )
    by_claim = illustrations(found)
    for label, claims in by_label(result.claims).items():
        flow.gap(9.0)
        flow.need(60.0)
        flow.paragraph(heading(label), _H3)
        flow.gap(1.0)
        flow.rule(WHOLE, 0.5)
        flow.gap(2.0)
        for claim in claims:
            _row(flow, claim, by_claim.get(claim.claim.id, []))


def _row(flow: Flow, result: ClaimResult, shown_in: Sequence[Item]) -> None:
    """A statement in the table of all."""
    claim, small, soft = result.claim, Font(8.8), Font(8.2, colour=SOFT)
    run = "" if result.killed is None else f"{result.killed}/{len(result.mutants)}"
    title = [Run(claim.title, small)]
    if shown_in:
        title.append(Run(f"({', '.join(item.name for item in shown_in)})", soft))
    cells = [([badge(result.outcome.verdict)], 66.0), (title, 226.0), ([], 8.0)]
    cells += [
        ([Run(claim.id, Font(7.0, "mono"))], 130.0),
        ([Run(claim.kind.value, soft)], 36.0),
        ([Run(run, soft)], 20.0),
    ]
    flow.columns(cells)
    flow.gap(1.6)


def _made(flow: Flow, result: LedgerResult, found: Sequence[Item]) -> None:
    _section(flow, HOW_MADE)
    flow.paragraph(
        "Every number comes from the settings below; the same versions, level and seed give the same numbers, except "
        "for times."
    )
    flow.gap(6.0)
    for name, value in settings(result, found).items():
        flow.columns([([Run(name, Font(9.5))], 130.0), ([Run(value, CODE)], MEASURE - 130.0)])
    flow.gap(8.0)
    flow.paragraph("What the verdicts mean", _H2)
    flow.gap(3.0)
    for verdict in Verdict:
        flow.paragraph([badge(verdict), Run(verdict.value, BODY)], indent=_INDENT)
        flow.gap(2.0)
    if found:
        flow.paragraph(OF_FIGURES)
