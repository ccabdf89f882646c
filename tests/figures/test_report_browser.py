"""The report as a reader sees it: in a browser, on a telephone, in the dark, on paper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from figures.report_page import page
from proofs_check import ledger
from tests.browser import Visit
from tests.figures import toy_figures

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

CLAIMS = ("def-3.4-best-b0", "def-3.4-best", "thm-3.6-kernel-equality")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a report on three real statements, with a picture and a table."""
    result = ledger.verify(CLAIMS, mutants=True, jobs=1)
    path: Path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page(result, toy_figures.given()), encoding="utf-8")
    return path.as_uri()


def sideways(shown: Page) -> int:
    """By how many pixels the page is wider than the window."""
    return int(shown.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def brightness(shown: Page) -> float:
    """Of the ground of the page, from 0 (black) to 255, where the paper behind it is white."""
    *colour, opacity = shown.evaluate(
        "[...getComputedStyle(document.body).backgroundColor.match(/[0-9.]+/g).map(Number), 1].slice(0, 4)"
    )
    return float(opacity * sum(colour) / 3 + (1 - opacity) * 255)


def test_a_reader_goes_from_the_contents_to_the_evidence(report: str, visit: Visit) -> None:
    shown = visit(report)
    shown.get_by_role("heading", level=1).wait_for()
    shown.get_by_role("link", name="What the paper says, what holds").first.click()
    assert shown.url.endswith("#what-holds")
    card = shown.locator("section, div").filter(has_text="As printed").filter(has_text="What holds").last
    card.get_by_role("link").first.click()
    article = shown.locator("article#def-3\\.4-best-b0")
    assert "REFUTED" in article.inner_text()
    assert shown.evaluate("document.querySelector('article[id=\"def-3.4-best-b0\"]').getBoundingClientRect().top") < 900
    derivation = article.locator("details").last
    assert not derivation.locator("pre").first.is_visible()
    derivation.locator("summary").click()
    assert derivation.locator("pre").first.is_visible()


def test_pictures_and_formulas_are_there(report: str, visit: Visit) -> None:
    shown = visit(report)
    sizes = shown.evaluate("[...document.images].map(image => [image.complete, image.naturalWidth])")
    assert sizes
    assert all(complete and width > 50 for complete, width in sizes)
    formula = shown.locator("svg[role=img]").first.bounding_box()
    assert formula is not None
    assert formula["width"] > 20


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
def test_it_fits_a_telephone_and_follows_the_dark(report: str, visit: Visit, width: int, scheme: str) -> None:
    shown = visit(report, width=width, color_scheme=scheme)
    assert sideways(shown) == 0
    assert (brightness(shown) < 80) == (scheme == "dark")


def test_it_prints_with_its_evidence_on_white(report: str, visit: Visit) -> None:
    shown = visit(report, width=794, color_scheme="dark")  # A4 at 96 pixels an inch
    shown.emulate_media(media="print")
    assert brightness(shown) > 250
    assert sideways(shown) == 0
    paper = shown.pdf(format="A4")
    assert paper.startswith(b"%PDF")
    assert paper.count(b"/Type /Page\n") + paper.count(b"/Type /Page ") >= 2
