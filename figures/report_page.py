"""The report as one self-contained HTML page: no script, no network, pictures and formulas drawn as paths."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Collection, Sequence
from html import escape
from pathlib import Path
from typing import Any

import matplotlib as mpl

from figures.figure import FigureKind
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
from figures.style import NO_DATES, new_figure, style
from figures.table_files import html as table_html
from numerics.store import write_file
from proofs_check.formula_svg import FormulaSheet
from proofs_check.ledger import ClaimResult, LedgerResult
from proofs_check.report import TITLE, brief, by_label, heading
from proofs_check.report_html import (
    alarm,
    article,
    badge,
    contents,
    document,
    hypotheses,
    link,
    meanings,
    state,
    values,
)
from proofs_check.scripts import html_text

FILES = ("report.html", "report.pdf")

LARGEST_SVG = 2_000_000
"""Bytes; a picture with more is put in as pixels."""
PIXELS = 220
"""Per inch, for such a picture."""
ZOOM = 1.3
"""A picture on the page is so much larger than in print, as far as the page is wide."""

SECTIONS = {
    "what-holds": WHAT_HOLDS,
    "figures": FIGURES,
    "statements": "The statements with their evidence",
    "made": HOW_MADE,
}


def write_report(result: LedgerResult, figures: Given, out: Path) -> list[Path]:
    """Writes report.html and report.pdf, each as a whole. Raises ValueError where that fails."""
    from figures.report_pdf import pdf

    files = (f"{page(result, figures)}\n".encode(), pdf(result, figures))  # both, before one is written
    return [write_file(out / name, content) for name, content in zip(FILES, files, strict=True)]


def page(result: LedgerResult, figures: Given) -> str:
    """The whole page: what was checked, what fails and holds, the figures, each statement with its evidence."""
    sheet = FormulaSheet()
    shown = {claim.claim.id for claim in result.claims}
    found = items(figures)
    body = [
        f"<h1>{TITLE}</h1>",
        *(f'<p class="abstract">{escape(text)}</p>' for text in abstract(result, found)),
        "" if result.as_expected else state(result),
        alarm(result),
        _contents(result, found),
        _what_holds(result, sheet, shown),
        *([_title("figures"), *(_item(item, sheet, shown) for item in found)] if found else []),
        *_statements(result, found, sheet, shown),
        _title("made"),
        _made(result, found),
    ]
    return document(f"StableSSM: {TITLE}", body, sheet)


def _title(section: str) -> str:
    return f'<h2 id="{section}" class="section">{SECTIONS[section]}</h2>'


def _contents(result: LedgerResult, found: Sequence[Item]) -> str:
    """Links to the sections, to the labels with amendments, and to the figures."""
    inner = {
        "what-holds": [(_anchor(label), escape(label)) for label in amendments(result)],
        "figures": [(_item_id(item), f"{item.name}. {html_text(item.title)}") for item in found],
    }
    rows = []
    for section, title in SECTIONS.items():
        if section == "figures" and not found:
            continue
        links = "".join(f'<li><a href="#{escape(to)}">{text}</a></li>' for to, text in inner.get(section, []))
        rows.append(f'<li><a href="#{section}">{title}</a>{f"<ul>{links}</ul>" if links else ""}</li>')
    return f'<h2>Contents</h2><nav class="outline"><ul>{"".join(rows)}</ul></nav>'


def _anchor(label: str) -> str:
    """An id of the page for a label of the paper."""
    return "what-holds-" + "".join(sign if sign.isalnum() else "-" for sign in label.lower())


def _item_id(item: Item) -> str:
    return f"figure-{item.kind.name}"


# What the paper says, what holds


def _what_holds(result: LedgerResult, sheet: FormulaSheet, shown: Collection[str]) -> str:
    parts = [_title("what-holds")]
    for label, group in amendments(result).items():
        parts.append(f'<section><h3 id="{escape(_anchor(label))}" class="label">{escape(label)}</h3>')
        parts += [_amendment(amendment, sheet, shown) for amendment in group]
        parts.append("</section>")
    if len(parts) == 1:
        parts.append("<p>No statement of this run is false or amended.</p>")
    holding = printed_and_not_refuted(result)
    if holding:
        rows = "".join(
            f"<li><span>{badge(claim.outcome.verdict)}</span><span>{escape(heading(claim.claim.label))}: "
            f"{_to(claim)}</span></li>"
            for claim in holding
        )
        parts.append(
            f'<section><h3 class="label">{holding_heading(holding)}</h3><ul class="verdicts">{rows}</ul></section>'
        )
    return "".join(parts)


def _to(result: ClaimResult) -> str:
    return f'<a href="#{escape(result.claim.id)}">{html_text(result.claim.title)}</a>'


def _amendment(amendment: Amendment, sheet: FormulaSheet, shown: Collection[str]) -> str:
    """Two columns where the page is wide: what fails, and what holds instead."""
    if not amendment.fails and amendment.holds:
        return f'<div class="amendment one">{_holds(amendment.holds, "Amended", sheet)}</div>'
    fails = "".join(_fails(found, sheet) for found in amendment.fails)
    if amendment.holds:
        return f'<div class="amendment">{fails}{_holds(amendment.holds, "What holds", sheet)}</div>'
    target = amendment.fails[0].claim.amended_by
    absent = f"{link(target, shown)}, not in this run" if target else "Not known."
    return f'<div class="amendment">{fails}<div class="holds"><h4>What holds</h4><p>{absent}</p></div></div>'


def _statement(result: ClaimResult, sheet: FormulaSheet) -> str:
    claim = result.claim
    return (
        f'<p class="named">{badge(result.outcome.verdict)} {_to(result)}</p><p>{html_text(claim.statement)}</p>'
        f'<div class="formula">{sheet.lines(claim.latex)}</div>'
    )


def _fails(result: ClaimResult, sheet: FormulaSheet) -> str:
    counterexample = escape(brief(result.outcome.counterexample, 400))
    return (
        f'<div class="fails"><h4>{said_where(result)}</h4>{_statement(result, sheet)}'
        f"<p>Counterexample: <code>{counterexample}</code></p><p>{html_text(result.outcome.reason)}</p></div>"
    )


def _holds(result: ClaimResult, title: str, sheet: FormulaSheet) -> str:
    return (
        f'<div class="holds"><h4>{title}</h4>{_statement(result, sheet)}{hypotheses(result.claim)}'
        f'<p class="soft"><code>{escape(result.claim.id)}</code></p></div>'
    )


# Figures and tables


def _item(item: Item, sheet: FormulaSheet, shown: Collection[str]) -> str:
    """A figure with what it shows, its caption, its finding and the statements that it illustrates."""
    kind, data, finding = item.kind, item.kept.data, item.finding
    claims = ", ".join(link(id, shown) for id in kind.claims)
    parts = [
        f'<figure id="{escape(_item_id(item))}"><h3>{item.name}. {html_text(item.title)}</h3>',
        f'<p class="soft">{html_text(kind.shows)}</p>',
        picture(kind, data, f"{item.name}. {item.title}") if item.is_picture else "",
        *(_table(table, sheet) for table in kind.tables(data)),
        f"<figcaption><p><strong>{item.name}.</strong> {_linked(item.caption, shown)}</p>",
        f"<p>{badge(finding.verdict)} {_linked(finding.reason, shown)}</p>",
        f"<p>Illustrates: {claims}</p>" if claims else "",
        "</figcaption></figure>",
    ]
    return "".join(parts)


def _linked(text: str, shown: Collection[str]) -> str:
    """The text with links where it names statements that the page shows."""
    parts = re.split(r"((?<![\w.-])[a-z][\w.]*(?:-[\w.]*\w)+)", text)
    return "".join(link(part, shown) if part in shown else html_text(part) for part in parts)


def _table(table: Any, sheet: FormulaSheet) -> str:
    title = f'<p class="soft">{html_text(table.title)}</p>' if table.title else ""
    return f'<div class="table" tabindex="0">{title}{table_html(table, sheet.svg)}</div>'


def picture(kind: FigureKind[Any], data: Any, text: str) -> str:
    """The picture as an <img> that holds its own SVG with letters as paths, or PNG where that is very large.

    text: what is read in place of it.
    """
    assert kind.size is not None
    assert kind.draw is not None
    width, height = kind.size(data)
    with style():
        mpl.rcParams["svg.fonttype"] = "path"
        drawn = new_figure(width, height)
        kind.draw(data, drawn)
        content, form = _saved(drawn, "svg"), "svg+xml"
        if len(content) > LARGEST_SVG:
            content, form = _saved(drawn, "png"), "png"
    source = f"data:image/{form};base64,{base64.b64encode(content).decode()}"
    size = f"--width:{width * ZOOM:.2f}in;aspect-ratio:{width:g}/{height:g}"
    return f'<div class="picture" tabindex="0"><img alt="{escape(text)}" src="{source}" style="{size}"></div>'


def _saved(figure: Any, form: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, dpi=PIXELS, metadata=dict(NO_DATES[form]))
    return buffer.getvalue()


# Statements


def _statements(result: LedgerResult, found: Sequence[Item], sheet: FormulaSheet, shown: Collection[str]) -> list[str]:
    """A list of them all, and then each with its evidence, under the labels of the paper."""
    by_claim = illustrations(found)
    parts = [_title("statements"), contents(result)]
    for label, claims in by_label(result.claims).items():
        parts.append(f'<h3 class="label">{escape(heading(label))}</h3>')
        parts += [article(claim, sheet, shown, _illustrated(by_claim.get(claim.claim.id, []))) for claim in claims]
    return parts


def _illustrated(found: Sequence[Item]) -> str:
    links = ", ".join(
        f'<a href="#{escape(_item_id(item))}">{item.name}</a> ({html_text(item.title)})' for item in found
    )
    return f"<p>Illustrated by {links}.</p>" if links else ""


def _made(result: LedgerResult, found: Sequence[Item]) -> str:
    return (
        "<p>Every number comes from the settings below; the same versions, level and seed give the same numbers, "
        "except for times.</p>"
        f"{values(settings(result, found))}<h3>What the verdicts mean</h3>{meanings()}"
        f"{f'<p>{OF_FIGURES}</p>' if found else ''}"
    )
