"""Lesson 6: fits that keep to the theorems, verdicts that the data decide, and what the page shows."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from matplotlib.figure import Figure

from figures.demos import lesson_fit as lesson
from figures.style import style
from numerics.targets import parse_target
from proofs_check.claim import Verdict
from tests.figures.demos.conftest import move
from tests.figures.demos.notebooks import claims_of, fits_its_width, known_claims, run_as_script

if TYPE_CHECKING:
    from playwright.sync_api import Page

POWER = "polynomial:p=1.5"


def test_an_exponential_is_found() -> None:
    found = lesson.compute("exponential:rate=0.5", "exp", 1)
    assert found.rates[0] == pytest.approx(-0.5)
    assert found.error is not None
    assert found.error < 1e-9
    assert "the limit is 0" in lesson.finding(found).reason


@pytest.mark.parametrize("goal", [one.spec for one in lesson.GOALS])
def test_every_goal_keeps_to_bound_and_limit(goal: str) -> None:
    found = lesson.compute(goal, "softplus", 2)
    assert lesson.finding(found).verdict is Verdict.SUPPORTED
    assert found.target == tuple(parse_target(goal).rho(found.times).tolist())


def test_longer_memory_costs_margin() -> None:
    errors, margins = [], []
    for m in (1, 2, 4, 8):
        found = lesson.compute(POWER, "direct", m)
        assert found.error is not None
        assert found.margin is not None
        assert found.finite_up_to == pytest.approx(found.margin)
        errors.append(found.error)
        margins.append(found.margin)
    assert errors == sorted(errors, reverse=True)
    assert margins == sorted(margins, reverse=True)
    assert f"{errors[3]:.3g}" in lesson.answer()
    assert f"by a factor of {margins[1] / margins[3]:.3g}" in lesson.answer()


def test_what_f_changes() -> None:
    """The same kernel wherever f reaches the rates; best with b = 2 reaches |λ| < 1/2 alone."""
    direct, exp, short = (lesson.compute(POWER, f, 3) for f in ("direct", "exp", "best:b=2"))
    assert direct.error == pytest.approx(exp.error, rel=1e-4)
    assert exp.finite_up_to == math.inf
    assert min(rate.real for rate in short.rates) > -0.5
    assert (short.error or 0) > 1.5 * (exp.error or math.inf)


def test_pairs_for_what_oscillates() -> None:
    real, pairs = lesson.compute("airy", "exp", 6), lesson.compute("airy", "exp", 3, True)
    assert real.states == pairs.states == 6
    assert (pairs.error or math.inf) < 0.1 * (real.error or 0)
    assert "i" in lesson.rates_text(pairs)
    assert "M(t) stays below 2|c||U|e⁻ʳᵗ" in lesson.finding(pairs).reason  # the output is twice the real part
    assert "M(t) stays below |c||U|e⁻ʳᵗ" in lesson.finding(real).reason


def test_the_shift_is_never_approximated() -> None:
    assert min(lesson.limits("shift")) >= 2
    assert (lesson.compute("shift", "exp", 4, True).error or 0) > 2


def test_the_data_decide() -> None:
    found = lesson.compute(POWER, "exp", 2)
    assert found.error is not None
    over = replace(found, memory=tuple(1.01 * x for x in found.sharp))
    assert lesson.finding(over).verdict is Verdict.REFUTED
    too_good = replace(found, error=0.5 * found.limit)
    assert lesson.finding(too_good).verdict is Verdict.REFUTED
    assert lesson.finding(replace(found, error=None)).verdict is Verdict.INCONCLUSIVE
    assert lesson.numbers(replace(found, error=None)) == (("the fit", found.result),)


def test_pictures_show_the_data() -> None:
    few, many = (lesson.compute(POWER, "exp", m) for m in (2, 3))
    with style():
        figure = Figure(figsize=(4.6, 3.0))
        lesson.draw_kernel(many, figure)
        assert [tuple(line.get_ydata()) for line in figure.axes[0].get_lines()[:2]] == [many.target, many.fitted]
        figure = Figure(figsize=(4.6, 3.0))
        lesson.draw_memory(many, figure)
        curves = [tuple(line.get_ydata()) for line in figure.axes[0].get_lines()[:3]]
        assert curves == [many.target_memory, many.memory, many.sharp]
        figure = Figure(figsize=(4.6, 3.0))
        lesson.draw_errors(many, (few, many, lesson.compute("airy", "exp", 1)), figure)
        lines = figure.axes[0].get_lines()
        assert tuple(lines[0].get_ydata()) == lesson.limits(POWER)
        assert [line.get_ydata()[0] for line in lines[1:3]] == [few.error, many.error]  # of this goal alone


def test_an_unknown_goal() -> None:
    with pytest.raises(ValueError, match="not in the lesson; allowed: exponential"):
        lesson.compute("sine", "exp", 2)


@pytest.mark.slow
def test_the_script() -> None:
    run_as_script("fit")


def test_the_claims_exist() -> None:
    assert claims_of("fit") <= known_claims()


@pytest.mark.browser
def test_the_page(visit_demo: "Callable[..., Page]") -> None:
    page = visit_demo("fit")
    for steps, m in ((0, 2), (1, 3), (2, 5)):
        move(page, "number of", steps)
        found = lesson.compute("polynomial:p=2", "exp", m)
        page.get_by_text(lesson.finding(found).reason.split("times")[0]).first.wait_for()
        page.get_by_role("cell", name=f"{found.margin:.3g}", exact=True).first.wait_for()
    page.locator("select").first.select_option(label="Airy Ai(t-6)")
    page.get_by_text("try pairs of oscillating modes").first.wait_for()
    page.get_by_role("radio", name="pairs of oscillating modes").click()
    page.get_by_role("cell", name="±").first.wait_for()
    page.locator("select").last.select_option(label="direct")
    page.get_by_role("cell", name="β <").first.wait_for()
    page.get_by_role("button", name="Answer").click()
    page.get_by_text("already makes the slowest mode unstable").last.wait_for()


@pytest.mark.browser
def test_on_a_telephone(visit_demo: "Callable[..., Page]") -> None:
    fits_its_width(visit_demo("fit", width=360), 360)
