"""Lesson 4: its numbers, its verdicts, and what its page shows."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from matplotlib.figure import Figure

from figures.demos import lesson_memory as lesson
from figures.style import style
from proofs_check.claim import Verdict
from tests.figures.demos.conftest import move
from tests.figures.demos.notebooks import claims_of, fits_its_width, known_claims, run_as_script

if TYPE_CHECKING:
    from playwright.sync_api import Page

STARTS = {one.name: one.start for one in lesson.ARCHITECTURES}


def found(name: str) -> str:
    return lesson.finding(lesson.compute(name, 8, STARTS[name])).reason


def test_how_each_architecture_forgets() -> None:
    assert "Exponential decay" in found("rnn")
    assert "Exponential decay" in found("s4d")
    assert "A power law" in found("gru")
    assert "A power law" in found("lstm")
    assert found("attention") == "The memory ends: M(k) is 0, up to rounding, from k = 16 on."


@pytest.mark.parametrize(("name", "knob", "rate"), [("rnn", 0.7, 0.3567), ("s4d", 0.2, 0.2)])
def test_the_rate_is_that_of_the_recurrent_weight(name: str, knob: float, rate: float) -> None:
    reason = lesson.finding(lesson.compute(name, 4, knob)).reason
    low, high = (float(word.strip(".")) for word in reason.split("between ")[1].split(" and "))
    assert low <= rate <= high
    assert lesson.architecture(name).guide(knob) == pytest.approx(rate, rel=1e-3)


def test_every_step_stays_below_the_memory_function() -> None:
    for name in ("rnn", "gru", "attention"):
        memory = lesson.compute(name, 4, STARTS[name])
        step = lesson.response(name, 4, STARTS[name], 1.0)
        for k, (below, above) in enumerate(zip(step, memory.lower, strict=True)):
            assert below <= 1.05 * above + 4 * memory.doubt[k], (name, k)


def test_the_envelope_of_the_gru_needs_growing_inputs() -> None:
    memory = lesson.compute("gru", 8, 0)
    assert memory.size[100] > memory.size[20] > memory.size[5]
    assert memory.lower[100] > 50 * lesson.response("gru", 8, 0, 1.0)[100]


def test_the_data_decide() -> None:
    gru = lesson.compute("gru", 8, 0)
    steps = range(len(gru.lower))
    exact = replace(gru, doubt=(0.0,) * len(gru.lower))
    exponential = lesson.finding(replace(exact, lower=tuple(0.1 * 0.9**k for k in steps)))
    assert "Exponential decay" in exponential.reason
    power = lesson.finding(replace(exact, lower=tuple(0.1 / (k + 1) ** 2 for k in steps)))
    assert "A power law" in power.reason
    short = lesson.finding(replace(exact, lower=tuple(0.1 * 0.999**k for k in steps)))
    assert short.verdict is Verdict.INCONCLUSIVE
    ended = lesson.finding(replace(exact, lower=tuple(0.1 if k < 7 else 0.0 for k in steps)))
    assert "from k = 7 on" in ended.reason


def test_pictures_show_the_data() -> None:
    memory = lesson.compute("gru", 8, 0)
    with style():
        figure = Figure(figsize=(4.6, 3.0))
        lesson.draw_memory(memory, 1.0, figure, log_time=True)
        (ax,) = figure.axes
        blue, dashed, _ = ax.get_lines()
        assert tuple(blue.get_ydata()) == memory.lower[1 : memory.seen]
        assert tuple(dashed.get_ydata()) == lesson.response("gru", 8, 0, 1.0)[1 : memory.seen]
        assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
        figure = Figure(figsize=(4.6, 3.0))
        lesson.draw_size(memory, 1.0, figure)
        assert tuple(figure.axes[0].get_lines()[0].get_ydata()) == memory.size[1 : memory.seen]


def test_an_unknown_architecture() -> None:
    with pytest.raises(ValueError, match="no such one; allowed: rnn, gru"):
        lesson.architecture("cnn")


@pytest.mark.slow
def test_the_script() -> None:
    run_as_script("memory")


def test_the_claims_exist() -> None:
    assert claims_of("memory") <= known_claims()


@pytest.mark.browser
def test_the_page(visit_demo: "Callable[..., Page]") -> None:
    page = visit_demo("memory")
    page.get_by_text(found("rnn").split(",")[0]).first.wait_for()
    move(page, "largest eigenvalue", 1)
    after = lesson.finding(lesson.compute("rnn", 8, 0.85)).reason
    page.get_by_text(after.split("between ")[1]).first.wait_for()
    page.get_by_alt_text(after).first.wait_for()
    page.locator("select").first.select_option(label="GRU")
    page.get_by_text("A power law on the steps").first.wait_for()
    move(page, "height", 3)
    page.get_by_text("the input sets the gate").first.wait_for()
    page.locator("select").first.select_option(label="windowed attention")
    page.get_by_text("from k = 16 on").first.wait_for()
    move(page, "window", -1)
    page.get_by_text("from k = 12 on").first.wait_for()
    page.get_by_role("button", name="Answer").click()
    page.get_by_text("The derivative of").last.wait_for()


@pytest.mark.browser
def test_on_a_telephone(visit_demo: "Callable[..., Page]") -> None:
    fits_its_width(visit_demo("memory", width=360), 360)
