"""Table 2 beside runs that took no training."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import mean, stdev

import numpy as np
import pytest

from figures import table2_test_loss
from figures.figure import from_json, to_json
from figures.table2_test_loss import LossTable, caption, compute, finding, impossible_spreads, least_printed, tables
from figures.table_files import latex
from proofs_check.claim import Verdict
from tests.figures.made_up_runs import changed, made_up_runs

BEST = "best:b=0.1"


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> LossTable:
    monkeypatch.setattr(table2_test_loss, "training_runs", lambda *_: made_up_runs())
    return compute()


def test_what_is_printed_stands_beside_what_is_trained(data: LossTable) -> None:
    assert from_json(LossTable, to_json(data)) == data
    beside, alone = tables(data)
    assert beside.header == (
        "learning rate", "paper: direct", "paper: softplus", "paper: exp", "paper: best",
        "here: direct@published", "here: softplus", "here: exp", "here: best:b=0.1", "here: direct",
    )  # fmt: skip
    assert [row[0] for row in beside.rows] == ["5e-06", "5e-05", "0.0005", "0.005", "0.05", "0.15", "0.5", "5"]
    assert beside.rows[5][1:5] == ("—",) * 4
    assert beside.rows[0][5:] == ("—",) * 5
    losses = [run.test_loss or 0.0 for run in data.runs if (run.column, run.learning_rate) == ("exp", 0.05)]
    assert beside.rows[4][7] == f"{mean(losses):.3f} ({stdev(losses):.3f})"
    assert beside.rows[4][5] == "NaN (8/8 diverged)"
    assert alone.rows[4] == ("0.05", "NaN", "0.802772 (1.69448)", "0.868350 (1.55032)", "0.089073 (0.000774)")
    assert latex(beside).isascii()


def test_three_printed_spreads_are_no_standard_deviations(data: LossTable) -> None:
    found = [(cell.column, cell.learning_rate) for cell in impossible_spreads(data)]
    assert found == [("softplus", 0.05), ("exp", 0.05), ("best", 5.0)]
    text = caption(data)
    assert "3 of the printed spreads (softplus at 0.05, exp at 0.05, best at 5) exceed √3 times their mean" in text
    assert "started at Re λ = +1/2" in text
    assert "which are not the paper's data" in text


def test_the_largest_standard_deviation_of_losses_that_are_not_negative() -> None:
    """Random triples stay below √3 times their mean; one loss among zeros attains it."""
    rng = np.random.default_rng(0)
    for losses in rng.exponential(size=(1000, 3)) ** rng.uniform(0.2, 5, size=(1000, 1)):
        assert stdev(losses) <= math.sqrt(3) * mean(losses) * (1 + 1e-12)
    assert stdev([6.0, 0.0, 0.0]) == pytest.approx(math.sqrt(3) * 2)


def test_the_least_printed_means(data: LossTable) -> None:
    assert set(least_printed(data).values()) == {"best"}
    assert len(least_printed(data)) == 7
    other = tuple(replace(cell, mean=0.0) if cell.column == "exp" else cell for cell in data.published)
    assert set(least_printed(replace(data, published=other)).values()) == {"exp"}


def test_the_finding_follows_the_data(data: LossTable) -> None:
    lower, higher = (replace(data, runs=changed(data.runs, BEST, test_loss=loss)) for loss in (1e-3, 2.0))
    assert finding(lower).verdict is Verdict.SUPPORTED
    assert finding(higher).verdict is not Verdict.SUPPORTED
    assert "best has the smallest mean at 7 of 7 rates" in finding(lower).reason
    few = replace(lower, runs=tuple(run for run in lower.runs if run.seed < 3), setting=replace(data.setting, seeds=3))
    assert finding(few).verdict is Verdict.INCONCLUSIVE
    assert "3 seeds can decide nothing" in finding(few).reason
    # a loss of direct from another start than the paper's decides nothing about the paper's columns
    assert finding(replace(lower, runs=changed(lower.runs, "direct", test_loss=0.0))).verdict is Verdict.SUPPORTED
    nothing = finding(replace(data, runs=tuple(replace(run, test_loss=2.3) for run in data.runs)))
    assert nothing.verdict is Verdict.INCONCLUSIVE
