"""The PDF report: its pages, its fonts, its text and the numbers of its contents."""

from __future__ import annotations

import re
import warnings
import zlib
from dataclasses import replace
from itertools import pairwise

import pytest

from figures import report_pdf
from figures.figure import Kept
from figures.pdf_layout import BOTTOM, HEIGHT, SIDE, TOP, WHOLE, WIDTH, Bar, Flow, Picture, Text
from figures.pdf_pages import pdf_of
from figures.pdf_table import set_table
from figures.pdf_text import BODY, CODE, Font, Run, broken, extent, fitting, width_of, wrap
from figures.report_contents import items
from figures.table_files import Table
from proofs_check import ledger
from proofs_check.claim import Verdict
from proofs_check.formula_svg import displayed
from proofs_check.ledger import LedgerResult
from proofs_check.report_html import STYLE
from tests.figures import toy_figures


@pytest.fixture(scope="module")
def result() -> LedgerResult:
    return ledger.verify(mutants=True, jobs=1, seed=5, loader="tests.toy_claims:good")


@pytest.fixture(scope="module")
def flow(result: LedgerResult) -> Flow:
    return report_pdf.laid_out(result, items(toy_figures.given()))


@pytest.fixture(scope="module")
def content(result: LedgerResult) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a letter that no font has is a warning
        return report_pdf.pdf(result, toy_figures.given())


def texts(flow: Flow) -> list[list[str]]:
    return [[mark.text for mark in page if isinstance(mark, Text)] for page in flow.pages]


def streams(content: bytes) -> list[bytes]:
    found = []
    for part in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL):
        try:
            found.append(zlib.decompress(part))
        except zlib.error:
            found.append(part)
    return found


def test_file_has_its_pages_and_fonts(content: bytes, flow: Flow) -> None:
    assert content.startswith(b"%PDF-1.")
    assert len(re.findall(rb"/Type /Page\b", content)) == len(flow.pages)
    assert re.search(rb"/Count %d\b" % len(flow.pages), content)
    assert set(re.findall(rb"/MediaBox \[ ?([^\]]*?) ?\]", content)) == {b"0 0 595.28 841.89"}
    assert b"/FontFile2" in content
    assert b"/Type3" not in content
    assert b"/Title (What the StableSSM paper says, and what holds)" in content
    assert b"CreationDate" not in content


def test_pictures_are_vectors(content: bytes) -> None:
    assert b"/Subtype /Image" not in content
    assert sum(b" l\n" in stream for stream in streams(content)) > 0


def test_fonts_are_embedded_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    pdf_of([[Text(SIDE, TOP, "λ", BODY), Text(SIDE, TOP, "$\\lambda$", BODY, math=True)]], "quiet")
    assert caplog.records == []


def test_equal_results_give_equal_files(result: LedgerResult, content: bytes) -> None:
    assert report_pdf.pdf(result, toy_figures.given()) == content


def test_text_is_there(flow: Flow) -> None:
    found = " ".join(text for page in texts(flow) for text in page)
    for text in (
        "What the StableSSM paper says, and what holds",
        "3 statements: 2 PROVED, 1 REFUTED.",
        "✗ REFUTED",
        "AS PRINTED",
        "WHAT HOLDS",
        "Counterexample: x = pi/2, value = 1",
        "For every x & y, sin(x) <= 0.9.",
        "Figure 1. A parabola, λ and all",
        "E_m(β) ≈ β² for λ → ∞",
        "toy-prints",
        "All statements",
        "How it was made",
        "Under a figure or a table the verdict is about what its own data show",
    ):
        assert text in found, text
    assert r"$\sup_{x \in \mathrm{R}} |\sin x| \leq \dfrac{\omega(\beta)}{2}$" in found


def test_contents_name_the_pages(flow: Flow) -> None:
    first = [mark for mark in flow.pages[0] if isinstance(mark, Text)]
    for name in ("What the paper says, what holds", "Figure 1. A parabola, λ and all", "How it was made"):
        place = flow.places[name]
        assert any(name in text for text in texts(flow)[place - 1])
        (entry,) = [mark for mark in first if mark.text == name]
        assert any(mark.text == str(place) and mark.y == entry.y and mark.x > entry.x for mark in first)


def test_nothing_leaves_its_page(flow: Flow) -> None:
    for page in flow.pages:
        for mark in page:
            if isinstance(mark, Text):
                width = extent(mark.text, mark.font, mark.math)[0]
                assert mark.x + width <= WIDTH - SIDE + 1, mark
                assert TOP <= mark.y <= HEIGHT - 20, mark
            else:
                assert mark.x + mark.width <= WIDTH - SIDE + 1, mark
                assert mark.y + mark.height <= HEIGHT - BOTTOM + 1, mark
            assert mark.x >= SIDE - 1, mark


def test_all_statements_of_the_toolkit_can_be_set() -> None:
    """Every text and formula of the ledger fits its line, in letters that the fonts have."""
    from proofs_check.claims import all_claims

    flow = Flow()
    for claim in all_claims().values():
        flow.paragraph(claim.statement)
        flow.paragraph(" ".join(claim.hypotheses), Font(9.5))
        flow.formula(claim.latex)
    marks = [mark for page in flow.pages for mark in page if isinstance(mark, Text)]
    assert all(mark.x + extent(mark.text, mark.font, mark.math)[0] <= WIDTH - SIDE for mark in marks)
    assert min(mark.font.size for mark in marks) >= 6.5
    signs = {sign for mark in marks if not mark.math for sign in mark.text}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pdf_of([[Text(SIDE, TOP, "".join(sorted(signs)), BODY)]], "all signs")


def test_unexpected_verdicts_and_interruptions_are_told(result: LedgerResult) -> None:
    first = result.claims[0]
    wrong = replace(first, outcome=replace(first.outcome, verdict=Verdict.INCONCLUSIVE, reason="for a test"))
    flow = report_pdf.laid_out(replace(result, claims=(wrong,), unfinished=("toy-late",), interrupted=2), ())
    (page, *_) = texts(flow)
    assert "Not as expected" in page
    found = " ".join(page)
    assert "INTERRUPTED" in found
    assert "toy-late not finished" in found


def test_empty_ledger_and_hostile_figures_make_a_file(result: LedgerResult) -> None:
    assert report_pdf.pdf(replace(result, claims=()), []).startswith(b"%PDF")
    (kind, kept), *_ = toy_figures.given()
    hostile = Kept(kept.settings, replace(kept.data, name="$\\x{ $ 5 % _^"))
    assert report_pdf.pdf(result, [(kind, hostile)]).startswith(b"%PDF")


def test_badges_have_the_colours_of_the_page() -> None:
    style = STYLE.read_text(encoding="utf-8")
    for verdict, colour in report_pdf.COLOURS.items():
        assert f".{verdict.name} {{ background: {colour}; }}" in style


# Setting


def test_lines_are_as_long_as_the_measure() -> None:
    lines = wrap([Run("word " * 100, BODY), Run("bold " * 20, Font(10, bold=True))], 200.0)
    ends = [line[-1][1] + width_of(line[-1][0].text, line[-1][0].font) for line in lines]
    assert max(ends) <= 201
    assert min(ends[:-1]) > 150
    assert " ".join(run.text for line in lines for run, _ in line).split() == ["word"] * 100 + ["bold"] * 20


@pytest.mark.parametrize("word", ["x" * 300, "a-long-name-" * 30])
def test_long_words_are_broken(word: str) -> None:
    lines = wrap([Run(word, BODY)], 100.0)
    assert "".join(run.text for line in lines for run, _ in line) == word
    assert all(width_of(run.text, run.font) <= 100 for line in lines for run, _ in line)
    if "-" in word:
        assert all(line[-1][0].text.endswith("-") for line in lines)


def test_indices_and_exponents_are_lowered_and_raised() -> None:
    flow = Flow()
    flow.paragraph([Run("so E_m(β) = x^(n)", BODY), Run("w_1 as code", CODE)])
    marks = [mark for mark in flow.pages[0] if isinstance(mark, Text)]
    assert [mark.text for mark in marks] == ["so E", "m", "(β) = x", "(n)", "w_1 as code"]
    line, index, _, exponent, _ = (mark.y for mark in marks)
    assert exponent < line < index
    assert marks[1].font.size < BODY.size
    assert all(a.x + width_of(a.text, a.font) <= b.x for a, b in pairwise(marks))


def test_wide_formulas_break_or_shrink() -> None:
    short, long = r"a = b", r"\quad ".join(["a + b + c + d + e + f"] * 8)
    assert broken(short, Font(12), 300) == [short]
    parts = broken(long, Font(12), 300)
    assert len(parts) > 1
    assert r"\quad".join(parts).replace(" ", "") == long.replace(" ", "")
    for part in (*parts, "x + " * 40 + "y"):
        font = fitting(part, Font(12), 300)
        assert extent(f"${displayed(part)}$", font, True)[0] <= 301 or font.size == 6.5
    flow = Flow()
    flow.formula(r"\nonsense{x}")
    assert texts(flow) == [[r"\nonsense{x}"]]


def test_content_is_kept_together() -> None:
    flow = Flow()
    flow.y = HEIGHT - BOTTOM - 30
    flow.keep(lambda flow: flow.paragraph("word " * 60))
    assert [len(page) > 0 for page in flow.pages] == [False, True]
    flow.keep(lambda flow: flow.paragraph("word " * 6000))
    assert len(flow.pages) > 2


def test_paragraph_leaves_no_single_line_behind() -> None:
    flow = Flow()
    flow.y = HEIGHT - BOTTOM - 1.5 * BODY.leading
    flow.paragraph("word " * 60)
    assert [bool(page) for page in flow.pages] == [False, True]


def test_picture_is_drawn_in_its_place() -> None:
    flow = Flow()
    flow.picture(toy_figures.picture(), toy_figures.compute())
    (mark,) = flow.pages[0]
    assert isinstance(mark, Picture)
    assert (mark.width, mark.height) == (3.25 * 72, 144.0)
    assert flow.y == TOP + 144
    flow.picture(toy_figures.picture(size=lambda data: (9.0, 20.0)), toy_figures.compute())
    mark = flow.pages[1][0]
    assert isinstance(mark, Picture)
    assert mark.height <= HEIGHT - TOP - BOTTOM + 1
    assert mark.width / mark.height == pytest.approx(9 / 20)


def test_table_repeats_its_head_and_numbers_are_flush_right() -> None:
    flow = Flow()
    table = Table("t", ("name", "value"), tuple((f"row {n}", str(10 ** (n % 5))) for n in range(120)))
    set_table(flow, table)
    assert len(flow.pages) == 3
    assert all(page[:2] == ["name", "value"] for page in texts(flow))
    numbers = [mark for page in flow.pages for mark in page if isinstance(mark, Text) and mark.text.isdigit()]
    ends = {round(mark.x + width_of(mark.text, mark.font), 6) for mark in numbers}
    assert len(ends) == 1
    bars = [mark for page in flow.pages for mark in page if isinstance(mark, Bar)]
    assert len(bars) == 7


@pytest.mark.parametrize("cell", ["many words " * 12, r"$\frac{a}{b}$", r"$\nonsense{a}$", "a_name_without_spaces" * 9])
def test_wide_tables_fit(cell: str) -> None:
    flow = Flow()
    set_table(flow, Table("t", ("a", "b", "c"), ((cell, cell, "1"),) * 3))
    for mark in flow.pages[0]:
        width = extent(mark.text, mark.font, mark.math)[0] if isinstance(mark, Text) else mark.width
        assert mark.x + width <= SIDE + WHOLE + 1
