"""Training loss at two learning rates, on runs that took no training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from figures import training_loss
from figures.figure import from_json, to_json
from figures.style import new_figure, style
from proofs_check.claim import Verdict
from tests.figures.made_up_runs import CHANCE, changed, made_up_runs

BEST = "best:b=0.1"


@pytest.fixture(autouse=True)
def _no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_loss, "training_runs", lambda *_: made_up_runs())


def test_the_training_loss_is_drawn_at_two_rates() -> None:
    data = training_loss.compute()
    assert from_json(training_loss.TrainingLoss, to_json(data)) == data
    with style():
        figure = new_figure(*training_loss.size(data))
        training_loss.draw(data, figure)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == [
        "learning rate 0.05\ndiverged: direct 8/8, direct@published 8/8",
        "learning rate 0.15\ndiverged: direct 8/8, direct@published 8/8",
    ]
    assert any(np.array_equal(line.get_ydata(), [CHANCE, CHANCE]) for line in figure.axes[0].get_lines())
    (table,) = training_loss.tables(data)
    assert table.rows[1] == ("direct", *table.rows[1][1:2], "∞", "∞", "∞")


def test_the_finding_on_losses_follows_the_data() -> None:
    data = training_loss.compute()
    lower, higher = (replace(data, runs=changed(data.runs, BEST, train_loss=loss)) for loss in (1e-3, 9.0))
    assert training_loss.finding(lower).verdict is Verdict.SUPPORTED
    assert training_loss.finding(higher).verdict is Verdict.REFUTED
    lost = replace(data, runs=changed(data.runs, BEST, train_loss=None, result="diverged"))
    assert training_loss.finding(lost).verdict is Verdict.REFUTED
    assert "best:b=0.1 ∞." in training_loss.finding(lost).reason
    few = replace(lower, runs=tuple(run for run in lower.runs if run.seed < 3), setting=replace(data.setting, seeds=3))
    assert training_loss.finding(few).verdict is Verdict.INCONCLUSIVE
    assert "3 seeds can decide nothing" in training_loss.finding(few).reason
