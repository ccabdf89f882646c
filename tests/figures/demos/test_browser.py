"""The first three lessons as a student sees them: sliders, formulas, pictures, answers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from figures.demos.server import DEMOS
from tests.browser import Visit
from tests.figures.demos.conftest import VisitDemo, move, slider

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_the_index_leads_to_a_lesson(demo_server: str, visit: Visit) -> None:
    page = visit(demo_server, width=400)
    assert page.get_by_role("link").all_inner_texts() == [one.title for one in DEMOS]
    page.get_by_role("link", name="The curse of memory").click()
    page.get_by_role("heading", name="The curse of memory").wait_for()


def test_the_curse_of_memory(visit_demo: VisitDemo) -> None:
    page = visit_demo("curse")
    page.get_by_text("[0.0903, 0.0904]").wait_for()
    move(page, "Rate", 8)
    page.get_by_alt_text("Perturbed error against β for λ = -0.05").wait_for()
    page.get_by_text("E(β) = ∞").wait_for()
    move(page, "Perturbation", -2)
    page.get_by_text("[0.258, 0.259]").wait_for()
    assert slider(page, "Perturbation").get_attribute("aria-valuenow") == "3"  # the place of 0.01 among the steps
    move(page, "Modes", 2)
    page.get_by_role("cell", name="0.0013", exact=True).wait_for()
    page.get_by_role("button", name="Answer").click()
    page.get_by_text("At most up to").last.wait_for()


def test_why_one_reparameterizes(visit_demo: VisitDemo) -> None:
    page = visit_demo("reparameterize")
    page.get_by_text("[0.119, 0.12]").wait_for()
    move(page, "Memory time", 7)
    page.get_by_alt_text("with w alone").wait_for()
    page.get_by_role("cell", name="∞").wait_for()
    page.get_by_role("cell", name=re.compile(r"\[0\.105, 0\.106\]")).wait_for()
    page.get_by_role("radio", name="all weights: w, U, c").click()
    page.get_by_text("the curse is back").wait_for()
    page.get_by_role("cell", name=re.compile(r"\[9\.52, 9\.5\d\]")).first.wait_for()
    page.get_by_role("radio", name="all weights, unit-norm mode").click()
    page.get_by_text("makes every mode").wait_for()
    page.get_by_role("cell", name=re.compile(r"\[0\.146, 0\.1\d+\]")).first.wait_for()


def type_formula(page: Page, text: str) -> None:
    box = page.get_by_label("f(w) =")
    box.fill(text)
    box.press("Enter")


def test_a_good_and_a_bad_formula(visit_demo: VisitDemo) -> None:
    page = visit_demo("design")
    page.get_by_text("with a constant of at most 1.41421357").wait_for()
    page.get_by_role("cell", name="[2.732, 2.733]").wait_for()
    move(page, "Constant b", 1)
    page.get_by_text("with a constant of at most 1.195").wait_for()
    type_formula(page, "-softplus(w)")
    page.get_by_text("f(w) = -log(exp(w) + 1) is stable").wait_for()
    type_formula(page, "-exp(w")
    page.get_by_text("a closing parenthesis is missing").wait_for()
    type_formula(page, "-exp(sin(w**2))")
    page.get_by_text("f(w) = -exp(sin(w**2)) is not stable").wait_for()
    page.get_by_text("f(w)/f(w̃) tends to 7.3891").wait_for()


def test_hostile_formulas_are_refused_and_the_lesson_goes_on(visit_demo: VisitDemo) -> None:
    page = visit_demo("design", width=400)
    for text, message in (
        ("__import__('os').system('touch /tmp/hacked')", 'unexpected "\'" at'),
        ("w**w**w**w", "not real at w = -1"),
        ("<img src=x onerror=alert(1)>", "unexpected '<' at '<img"),
        ("w" * 10**6, "1000000 characters; at most 2000 are allowed"),
    ):
        type_formula(page, text)
        page.get_by_text(message).wait_for()
    type_formula(page, "-1/(1 + abs(w))")
    page.get_by_text("with a constant of at most 1.").wait_for()
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.parametrize("name", ["curse", "reparameterize", "design"])
def test_nothing_is_wider_than_a_telephone(name: str, visit_demo: VisitDemo) -> None:
    page = visit_demo(name, width=400)
    page.get_by_role("heading", name="Further").wait_for()
    for picture in page.locator("img[alt]").all():
        box = picture.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 400
