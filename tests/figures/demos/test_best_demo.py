"""Lesson 5: its numbers beside what is known by hand, its verdicts, and what its page shows."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from matplotlib.figure import Figure

from figures.demos import lesson_best as lesson
from figures.style import style
from tests.figures.demos.conftest import move
from tests.figures.demos.notebooks import claims_of, fits_its_width, known_claims, run_as_script

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_scales_of_plain_modes_by_hand() -> None:
    """direct τ², exp τ, softplus τ²(1 - e^{-1/τ}), best 2√(a(τ-b)), reciprocal a; best over |w| is 2a."""
    a, b = 0.5, 0.2
    found = lesson.compute(a, b, 0.0)
    scales = {
        "direct": lambda tau: tau**2,
        "exp": lambda tau: tau,
        "softplus": lambda tau: -(tau**2) * math.expm1(-1 / tau),
        "best": lambda tau: 2 * math.sqrt(a * (tau - b)),
        "reciprocal": lambda tau: a,
    }
    for name, scale in scales.items():
        curve = found.curve(name)
        for tau, value in zip(curve.tau[1::50], curve.scale[1::50], strict=True):
            assert value == pytest.approx(scale(tau), rel=1e-6), name
    assert {round(x, 6) for x in found.curve("best").ratio} == {2 * a}
    assert min(found.curve("best").tau) >= b


def test_the_origin_moves_the_weight_and_nothing_else() -> None:
    here, there = (lesson.compute(1.0, 0.5, s).curve("exp") for s in (0.0, 5.0))
    assert here.scale == there.scale
    assert all(w - v == pytest.approx(5.0) for w, v in zip(here.w, there.w, strict=True))


def test_unit_norm_exp_is_uniform() -> None:
    found = lesson.compute(1.0, 0.5, 0.0, "unit-norm")
    assert all(1 / math.e < scale < 0.7523 for scale in found.curve("exp").scale)
    assert found.curve("best").scale[-1] == pytest.approx(
        0.7358 * 2 / found.curve("best").w[-1], rel=1e-3
    )  # 2/|w| times the factor 2/e of long memory: 4/(e|w|), as the lesson says
    assert "like $4/(e|w|)$" in Path(lesson.__file__).with_name("best.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("s", "modes", "early", "late"),
    [
        (0.0, "plain", ("best", "best"), ("best", "best")),
        (10.0, "plain", ("best", "exp"), ("best", "best")),
        (0.0, "unit-norm", ("exp", "best"), ("exp", "best")),
    ],
)
def test_who_is_better_depends(s: float, modes: str, early: tuple[str, str], late: tuple[str, str]) -> None:
    """On the origin at short memory times, on the kind of modes everywhere."""
    found = lesson.compute(1.0, 0.1, s, modes)
    windows = [lesson.window(found, *window) for window in lesson.WINDOWS]
    assert [(lesson.winner(one.spread), lesson.winner(one.largest)) for one in windows] == [early, late]


def test_a_window_holds_its_ends() -> None:
    """The scale of exp is τ, so that over the memory times from 10 to 1000 it varies by 100."""
    for low, high in lesson.WINDOWS:
        found = lesson.window(lesson.compute(1.0, 0.5, 0.0), low, high)
        assert found.spread == pytest.approx((math.sqrt((high - 0.5) / (low - 0.5)), high / low))


def test_the_data_decide() -> None:
    found = lesson.window(lesson.compute(1.0, 0.5, 0.0), *lesson.WINDOWS[1])
    assert "gradient scale: best" in lesson.finding(found).reason
    other = replace(found, spread=found.spread[::-1], largest=found.largest[::-1])
    assert "gradient scale: exp" in lesson.finding(other).reason
    assert "over weight: exp" in lesson.finding(other).reason
    assert lesson.winner((1.0, 1.0 + 1e-9)) == "neither"


def test_windows_that_hold_a_zero() -> None:
    assert lesson.window(lesson.compute(1.0, 2.0, 0.0), 1.0, 10.0).spread[0] == math.inf  # best begins at w = 0
    assert lesson.window(lesson.compute(1.0, 0.5, 0.0), 1.0, 10.0).largest[1] == math.inf  # exp passes w = 0
    assert lesson.window(lesson.compute(1.0, 0.5, 3.0), 1.0, 10.0).largest[1] < math.inf


def test_the_equation_solved_step_by_step() -> None:
    w, tau = lesson.ode_points(0.7, 0.3)
    assert w == tuple(sorted(w))
    assert all(y == pytest.approx(0.7 * x**2 + 0.3, rel=1e-7) for x, y in zip(w, tau, strict=True))


def test_the_start_and_the_exercise() -> None:
    """At λ = -1/2 exp is below best's 2a where |log(1/2) - s| > 1."""
    for s in lesson.ORIGINS:
        rows = {name: ratio for name, _, _, ratio in lesson.at_start(lesson.compute(1.0, 0.5, s))}
        assert rows["best"] == pytest.approx(2.0)
        assert (rows["exp"] < rows["best"]) == (abs(math.log(0.5) - s) > 1)
        assert (rows["exp"] < rows["best"]) == (s >= 0.5 or s <= -2)
    assert "best" not in [row[0] for row in lesson.at_start(lesson.compute(1.0, 2.0, 0.0))]


def test_pictures_show_the_data() -> None:
    found = lesson.compute(1.0, 0.5, 2.0)
    with style():
        for draw, field in ((lesson.draw_scale, "scale"), (lesson.draw_ratio, "ratio")):
            figure = Figure(figsize=(4.6, 3.0))
            draw(found, figure)
            lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
            for name in lesson.NAMES:
                assert tuple(lines[name].get_ydata()) == getattr(found.curve(name), field)
        figure = Figure(figsize=(4.6, 3.0))
        lesson.draw_memory_time(found, figure)
        assert any("e^{w+2}" in str(line.get_label()) for line in figure.axes[0].get_lines())


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="a, b, modes: 1, 0, 'plain'"):
        lesson.compute(1.0, 0.0, 0.0)


@pytest.mark.slow
def test_the_script() -> None:
    run_as_script("best")


def test_the_claims_exist() -> None:
    assert claims_of("best") <= known_claims()


@pytest.mark.browser
def test_the_page(visit_demo: "Callable[..., Page]") -> None:
    page = visit_demo("best")
    page.get_by_text("145 for exp").wait_for()
    page.get_by_role("radio", name="unit-norm modes").click()
    page.get_by_text("more uniform gradient scale: exp").first.wait_for()
    page.get_by_role("radio", name="plain modes").click()
    page.get_by_text("145 for exp").wait_for()
    move(page, "origin", 1)
    start = lesson.at_start(lesson.compute(1.0, 0.5, 0.5))
    (ratio,) = (ratio for name, _, _, ratio in start if name == "exp")
    page.get_by_role("cell", name=f"{ratio:.3g}").first.wait_for()
    move(page, "best: scale", 1)
    page.get_by_text("at most 4 for best").first.wait_for()
    page.get_by_role("button", name="Answer").click()
    page.get_by_text("Exp is smaller where").last.wait_for()


@pytest.mark.browser
def test_on_a_telephone(visit_demo: "Callable[..., Page]") -> None:
    fits_its_width(visit_demo("best", width=360), 360)
