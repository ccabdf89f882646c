"""Gradient over weight, on runs that took no training."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

import numpy as np
import pytest
from matplotlib.colors import to_hex

from figures import gradient_over_weight
from figures.figure import from_json, to_json
from figures.style import COLOURS, new_figure, style
from figures.training_runs import COLUMNS, RunRow
from proofs_check.claim import Verdict
from tests.figures.made_up_runs import changed, made_up_discrete_runs, made_up_runs

BEST = "best:b=0.1"


@pytest.fixture(autouse=True)
def _no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradient_over_weight, "training_runs", lambda *_: made_up_runs())
    monkeypatch.setattr(gradient_over_weight, "discrete_runs", lambda *_: made_up_discrete_runs())


def test_the_largest_ratios_are_those_of_the_runs() -> None:
    data = gradient_over_weight.compute()
    assert from_json(gradient_over_weight.GradientOverWeight, to_json(data)) == data
    runs = made_up_runs()
    for row, record in zip(data.continuous.runs, runs.records, strict=True):
        assert row.gradient_over_weight == pytest.approx(np.nanmax(record.curves["gradient_over_weight"]), rel=1e-15)
    assert data.continuous.curves.rates == (5e-2, 1.5e-1)
    assert data.discrete.curves.rates == (5e-2,)
    assert {curve.quantity for curve in data.continuous.curves.curves} == {"gradient_over_weight"}
    (table,) = gradient_over_weight.tables(data)
    line = next(row for row in table.rows if row[:3] == ("continuous", "0.15", "exp"))
    values = [
        run.gradient_over_weight for run in data.continuous.runs if run.column == "exp" and run.learning_rate == 0.15
    ]
    assert line[3] == f"{median(value or 0 for value in values):.3f}"
    assert [row[2] for row in table.rows if row[0] == "discrete"] == ["relu", "softplus", "exp", "best:b=1", "tanh"]


def test_gradient_over_weight_is_drawn_in_the_colours_of_the_columns() -> None:
    data = gradient_over_weight.compute()
    with style():
        figure = new_figure(*gradient_over_weight.size(data))
        gradient_over_weight.draw(data, figure)
        figure.canvas.draw()
    assert len(figure.axes) == 6
    (legend,) = figure.legends
    shown = {
        text.get_text(): to_hex(line.get_color()) for text, line in zip(legend.texts, legend.get_lines(), strict=True)
    }
    assert shown == {name: COLOURS[name.split(":")[0].split("@")[0]].lower() for name in shown}
    assert set(shown) == {*COLUMNS, "best:b=1", "tanh"}
    below = figure.axes[3]
    assert [label.get_text() for label in below.get_yticklabels()] == list(COLUMNS)
    crosses = [line for line in below.get_lines() if line.get_marker() == "x"]
    assert [len(np.asarray(line.get_xdata())) for line in crosses] == [0, 8, 8, 0, 0, 0]  # of direct, direct@published


def test_the_finding_on_ratios_follows_the_data() -> None:
    data = gradient_over_weight.compute()
    finding = gradient_over_weight.finding(data)
    assert finding.verdict is Verdict.SUPPORTED
    assert "Medians at learning rate 0.05 (of a run that diverged, until it did): relu 0." in finding.reason
    worse = changed(data.continuous.runs, BEST, gradient_over_weight=1e9)
    assert gradient_over_weight.finding(_with(data, worse)).verdict is Verdict.REFUTED
    few = tuple(run for run in data.continuous.runs if run.seed < 3)
    found = gradient_over_weight.finding(_with(data, few))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "3 seeds can decide nothing: no p-value is below 0.25" in found.reason
    assert "depends on the unit and the origin of w" in gradient_over_weight.caption(data)


def test_the_caption_tells_the_data_of_both_times() -> None:
    data = gradient_over_weight.compute()
    assert "On the right the same in discrete time, where there is tanh" in gradient_over_weight.caption(data)
    setting = replace(data.continuous.setting, dataset="mnist", steps=4690)
    other = replace(data, continuous=replace(data.continuous, setting=setting))
    assert "in continuous time, on MNIST" in gradient_over_weight.caption(other)
    assert "in discrete time, on scikit-learn's digits" in gradient_over_weight.caption(other)


def _with(
    data: gradient_over_weight.GradientOverWeight, runs: tuple[RunRow, ...]
) -> gradient_over_weight.GradientOverWeight:
    return replace(data, continuous=replace(data.continuous, runs=runs))
