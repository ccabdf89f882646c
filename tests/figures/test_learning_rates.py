"""The heat map of learning rates, on runs that took no training."""

from __future__ import annotations

from dataclasses import replace
from statistics import mean

import matplotlib as mpl
import pytest
from matplotlib.colors import to_hex

from figures import learning_rates
from figures.figure import from_json, to_json
from figures.style import new_figure, style
from figures.training_runs import run_rows, training_setting
from proofs_check.claim import Verdict
from tests.figures.made_up_runs import CHANCE, RATES, made_up_runs

BEST = "best:b=0.1"


@pytest.fixture(autouse=True)
def _no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning_rates, "training_runs", lambda *_: made_up_runs())


def test_cells_are_means_over_the_runs_that_finished() -> None:
    data = learning_rates.compute()
    assert from_json(learning_rates.LearningRates, to_json(data)) == data
    some = tuple(
        replace(run, result="diverged", test_loss=None) if (run.column, run.seed) == ("exp", 1) else run
        for run in data.runs
    )
    cells = {(cell.column, cell.learning_rate): cell for cell in learning_rates.cells(replace(data, runs=some))}
    for rate in RATES[:3]:
        losses = [
            run.test_loss or 0 for run in some if (run.column, run.learning_rate) == ("exp", rate) and run.test_loss
        ]
        cell = cells["exp", rate]
        assert cell.loss == pytest.approx(mean(losses), rel=1e-15)
        assert (cell.runs, cell.diverged) == (8, 1)
        assert cell.trained == sum(loss < CHANCE / 2 for loss in losses)
    assert (cells["direct", 0.5].loss, cells["direct", 0.5].diverged) == (None, 8)


def test_the_heat_map_writes_every_number_and_marks_what_diverged() -> None:
    data = learning_rates.compute()
    with style():
        figure = new_figure(*learning_rates.size(data))
        learning_rates.draw(data, figure)
        figure.canvas.draw()
    ax = figure.axes[0]
    cells = learning_rates.cells(data)
    assert len(ax.patches) == len(ax.texts) == len(cells) == 24
    for cell, patch, text in zip(cells, ax.patches, ax.texts, strict=True):
        assert (patch.get_hatch() is None) == (cell.diverged == 0)
        assert ("8/8 diverged" in text.get_text()) == (cell.loss is None)
        if cell.loss is not None:
            assert text.get_text().startswith(f"{cell.loss:.3g}"[:4])
            norm = mpl.colors.Normalize(min(c.loss for c in cells if c.loss), CHANCE, clip=True)
            assert to_hex(patch.get_facecolor()) == to_hex(mpl.colormaps["cividis"](norm(cell.loss)))
    (table,) = learning_rates.tables(data)
    assert table.rows[1][-1] == "NaN (8/8)"


def test_the_finding_on_ranges_follows_the_data() -> None:
    data = learning_rates.compute()
    assert learning_rates.finding(data).verdict is not Verdict.SUPPORTED
    alone = tuple(
        replace(run, test_loss=0.1, result="finished") if run.column == BEST else replace(run, test_loss=2.3)
        for run in data.runs
    )
    found = learning_rates.finding(replace(data, runs=alone))
    assert found.verdict is Verdict.SUPPORTED
    assert f"of 4: relu 0, direct 0, direct@published 0, softplus 0, exp 0, {BEST} 4." in found.reason
    none = tuple(replace(run, test_loss=2.3 if run.column == BEST else 0.1, result="finished") for run in data.runs)
    assert learning_rates.finding(replace(data, runs=none)).verdict is Verdict.REFUTED


def test_settings_are_those_of_the_table() -> None:
    assert learning_rates.compute().setting == training_setting(made_up_runs())
    assert learning_rates.compute().runs == run_rows(made_up_runs())
