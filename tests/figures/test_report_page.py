"""The HTML report: what it tells, that its links lead somewhere, and that it needs nothing from outside."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from figures import report_page, report_pdf
from figures.report_contents import OF_FIGURES, abstract, amendments, items, settings
from figures.report_page import page, picture, write_report
from proofs_check import ledger
from proofs_check.claim import Kind, Verdict
from proofs_check.ledger import LedgerResult
from proofs_check.report import BEYOND
from tests.figures import toy_figures


@pytest.fixture(scope="module")
def result() -> LedgerResult:
    """toy-printed is false as printed, and toy-holds is what holds."""
    return ledger.verify(mutants=True, jobs=1, seed=5, loader="tests.toy_claims:good")


class Page(HTMLParser):
    """Ids, links, sources and text of a page; every element must be closed in order."""

    VOID = frozenset({"meta", "br", "path", "use", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.alts: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        assert len(values) == len(attrs)
        self.tags.append(tag)
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values["href"]] if "href" in values else []
        self.sources += [values["src"]] if "src" in values else []
        self.alts += [values["alt"]] if "alt" in values else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def check_self_contained(text: str) -> Page:
    found = Page(text)
    assert len(found.ids) == len(set(found.ids))
    assert found.links
    assert all(link.startswith("#") and link[1:] in found.ids for link in found.links)
    assert all(source.startswith("data:image/") for source in found.sources)
    assert not {"script", "link", "iframe", "object", "base"} & set(found.tags)
    assert "@import" not in text
    assert "http" not in text
    assert "url(" not in text
    return found


def test_page_tells_all(result: LedgerResult) -> None:
    found = check_self_contained(page(result, toy_figures.given()))
    for section in report_page.SECTIONS:
        assert section in found.ids
    assert {"toy-holds", "toy-printed", "toy-prints", "figure-parabola", "figure-squares"} <= set(found.ids)
    assert "3 statements: 2 PROVED, 1 REFUTED." in found.text
    assert "Of 1 statement as the paper prints them 0 hold and 1 fails." in found.text
    assert "2 figures and 1 table show the statements at work." in found.text
    assert "Figure 1. A parabola, λ and all" in found.text
    assert "Table 1. Squares" in found.text
    assert "Figure 2. Another" in found.text
    assert "Illustrated by Figure 1 (A parabola, λ and all), Table 1 (Squares), Figure 2 (Another)." in found.text
    assert "≈ SUPPORTED It grows: Em(β) ≈ β² for λ → ∞." in found.text
    assert found.alts == ["Figure 1. A parabola, λ and all", "Figure 2. Another"]
    assert OF_FIGURES in found.text
    assert OF_FIGURES not in page(result, [])


def test_what_fails_stands_beside_what_holds(result: LedgerResult) -> None:
    text = page(result, [])
    part = text[text.index('id="what-holds"') : text.index('id="statements"')]
    fails, holds = part.split('<div class="holds">')
    assert "As printed" in fails
    assert '<a href="#toy-printed">' in fails
    assert "x = pi/2, value = 1" in fails
    assert "What holds" in holds
    assert '<a href="#toy-holds">' in holds
    assert holds.count("<svg") == fails.count("<svg") == 1


def test_amendments_group_by_label_and_target(result: LedgerResult) -> None:
    first, printed, other = result.claims
    ((label, (pair,)),) = amendments(result).items()
    assert (label, pair.fails, pair.holds) == ("Toy", (printed,), first)
    again = replace(printed, claim=replace(printed.claim, id="toy-again", kind=Kind.DERIVED))
    besides = replace(other, claim=replace(other.claim, kind=Kind.AMENDED, label="derived"))
    groups = amendments(replace(result, claims=(first, printed, again, besides)))
    assert list(groups) == ["Toy", BEYOND]
    assert groups["Toy"][0].fails == (printed, again)
    assert (groups[BEYOND][0].fails, groups[BEYOND][0].holds) == ((), besides)
    alone = amendments(replace(result, claims=(printed,)))
    assert alone["Toy"][0].holds is None
    assert amendments(replace(result, claims=(first,))) == {}


@pytest.mark.parametrize("keep", [(), ("toy-holds",), ("toy-printed",)])
def test_part_of_a_ledger_makes_a_page(keep: Sequence[str], result: LedgerResult) -> None:
    claims = tuple(claim for claim in result.claims if claim.claim.id in keep)
    found = check_self_contained(page(replace(result, claims=claims), []))
    assert "figures" not in found.ids
    assert ("not in this run" in found.text) == (keep == ("toy-printed",))


def test_abstract_tells_whether_falsified_variants_were_tried(result: LedgerResult) -> None:
    assert "has not tried" not in abstract(result, ())[0]
    claims = tuple(
        replace(claim, mutants=tuple(replace(v, outcome=None) for v in claim.mutants)) for claim in result.claims
    )
    assert abstract(replace(result, claims=claims), ())[0].endswith("This run has not tried them (--mutants does).")


def test_printed_statements_that_hold_are_listed(result: LedgerResult) -> None:
    first, *_ = result.claims
    printed = replace(first, claim=replace(first.claim, kind=Kind.PRINTED))
    part = replace(result, claims=(printed,))
    assert "What holds as printed✓ PROVEDToy: Sine" in Page(page(part, [])).text
    assert "1 holds and 0 fail." in abstract(part, ())[1]
    seen = replace(printed, outcome=replace(printed.outcome, verdict=Verdict.SUPPORTED))
    part = replace(result, claims=(printed, seen))
    assert "What holds, or is supported, as printed✓ PROVEDToy: Sine" in Page(page(part, [])).text
    assert "Of 2 statements as the paper prints them 1 holds, 1 is supported and 0 fail." in abstract(part, ())[1]
    undecided = replace(printed, outcome=replace(printed.outcome, verdict=Verdict.INCONCLUSIVE))
    part = replace(result, claims=(undecided,))
    assert "0 hold and 0 fail; 1 undecided." in abstract(part, ())[1]
    text = Page(page(part, [])).text
    assert "Not as expected" in text
    assert "Not refuted as printed? INCONCLUSIVE" in text


def test_interrupted_run_is_said(result: LedgerResult) -> None:
    part = replace(result, claims=result.claims[:1], unfinished=("toy-late",), interrupted=2)
    found = Page(page(part, []))
    assert "INTERRUPTED: 1 statements were not finished." in found.text
    assert "toy-late: not finished" in found.text


def test_hostile_text_stays_text(result: LedgerResult) -> None:
    text = page(result, toy_figures.hostile())
    found = check_self_contained(text)
    assert "<script" not in text
    assert found.text.count(toy_figures.HOSTILE) >= 8
    assert "✗ REFUTED It grows" in found.text


def test_picture_has_letters_as_paths() -> None:
    kind, data = toy_figures.picture(), toy_figures.compute()
    text = picture(kind, data, 'a "picture"')
    assert text == picture(kind, data, 'a "picture"')
    assert 'alt="a &quot;picture&quot;"' in text
    assert "aspect-ratio:3.25/2" in text
    encoded = re.search('data:image/svg\\+xml;base64,([^"]*)', text)
    assert encoded is not None
    svg = base64.b64decode(encoded[1]).decode()
    assert "<text" not in svg
    assert "font-family" not in svg
    assert re.search(r'width="234(\.0*)?pt" height="144(\.0*)?pt"', svg)


def test_captions_link_the_statements_that_they_name(result: LedgerResult) -> None:
    text = page(result, toy_figures.given()[:1])
    caption = text[text.index("<figcaption>") : text.index("</figcaption>")]
    assert 'E<sub>m</sub>(β) ≈ β² for λ → ∞, drawn on logarithmic axes (PROVED, <a href="#toy-holds">' in caption
    assert "; not toy-elsewhere)" in caption


def test_huge_picture_becomes_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_page, "LARGEST_SVG", 1000)
    text = picture(toy_figures.picture(), toy_figures.compute(), "")
    assert "data:image/png;base64,iVBOR" in text


def test_tables_have_heads_and_formulas(result: LedgerResult) -> None:
    text = page(result, toy_figures.given()[1:2])
    part = text[text.index("<table>") : text.index("</table>")]
    assert part.count("<svg") == 5
    assert 'aria-label="\\frac{2}{1}"' in part
    assert "what &amp; why" in part
    assert 'class="number">0.25<' in part


def test_settings_name_what_differs(result: LedgerResult) -> None:
    found = settings(result, items(toy_figures.given(level="full")))
    assert (found["level"], found["seed"], found["code of the figures"]) == ("quick", "5", "1f")
    assert found["but Figure 1"] == "level full, seed 0"
    assert "sympy" in found


def test_report_is_written_whole(result: LedgerResult, tmp_path: Path) -> None:
    paths = write_report(result, toy_figures.given()[:1], tmp_path / "new")
    assert [path.name for path in paths] == list(report_page.FILES)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(report_page.FILES)
    assert paths[0].read_text(encoding="utf-8").endswith("</html>\n")
    assert paths[1].read_bytes().startswith(b"%PDF")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be written"):
        write_report(result, [], tmp_path / "file")


def test_page_and_pdf_are_of_one_run(result: LedgerResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> bytes:
        raise ValueError("no letters")

    monkeypatch.setattr(report_pdf, "pdf", fails)
    with pytest.raises(ValueError, match="no letters"):
        write_report(result, [], tmp_path)
    assert not list(tmp_path.iterdir())
