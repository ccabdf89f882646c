"""The training runs that figures share: trained once, kept, found again."""

from __future__ import annotations

import builtins
import math
from pathlib import Path
from typing import Any

import pytest

from figures import training_runs as module
from figures.figure import from_json, to_json
from figures.training_runs import (
    COLUMNS,
    DISCRETE_COLUMNS,
    RunRow,
    TrainingSetting,
    answered,
    curve_rates,
    data_name,
    discrete_runs,
    how_decided,
    run_rows,
    training_runs,
    training_setting,
)
from numerics import training
from proofs_check.claim import Verdict
from tests.figures.made_up_runs import CHANCE, RATES, changed, made_up_runs

QUESTION = "Does best keep the smallest maximal gradient over weight?"


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"width": 2, "modes": 2, "epochs": 1, "seeds": 2, "examples": 64}
    monkeypatch.setattr(module, "_SIZES", {("digits", "quick"): small, ("digits", "full"): {**small, "seeds": 1}})
    monkeypatch.setattr(module, "_RATES", {("digits", "quick"): RATES[:2]})


@pytest.mark.usefixtures("tiny")
def test_runs_are_trained_once_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, other = training_runs("quick", 3, tmp_path), discrete_runs("quick", 3, tmp_path)
    setting = training_setting(first)
    assert (setting.columns, setting.learning_rates, setting.steps) == (COLUMNS, RATES[:2], 2)
    assert (setting.seeds, setting.first_seed, setting.time, setting.dataset) == (2, 3, "continuous", "digits")
    assert training_setting(other).columns == DISCRETE_COLUMNS
    assert (training_setting(other).time, training_setting(other).learning_rates) == ("discrete", (5e-2,))
    assert abs(setting.chance - math.log(10)) < 0.05
    assert len(first.records) == len(COLUMNS) * 2 * 2
    assert len(other.records) == len(DISCRETE_COLUMNS) * 2

    def never(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(training, "UnitTraining", never)
    assert run_rows(training_runs("quick", 3, tmp_path)) == run_rows(first)
    assert run_rows(discrete_runs("quick", 3, tmp_path)) == run_rows(other)
    with pytest.raises(AssertionError):
        training_runs("quick", 4, None)


def test_settings_and_rows_survive_json() -> None:
    runs = made_up_runs()
    rows, setting = run_rows(runs), training_setting(runs)
    assert from_json(tuple[RunRow, ...], to_json(rows)) == rows
    assert from_json(TrainingSetting, to_json(setting)) == setting
    assert {(run.result, run.test_loss is None) for run in rows} == {("finished", False), ("diverged", True)}
    assert "width 4 with 2 complex modes a channel in continuous time, on scikit-learn's digits" in str(setting)
    assert "which are not the paper's data" in str(setting)


def test_the_verdict_is_that_of_the_runs() -> None:
    rows = run_rows(made_up_runs())
    assert answered(QUESTION, rows, CHANCE) == (Verdict.SUPPORTED, "Exact paired tests over 8 seeds at 5 % say so.")
    worse = changed(rows, "best:b=0.1", gradient_over_weight=1e9)
    assert answered(QUESTION, worse, CHANCE) == (Verdict.REFUTED, "Exact paired tests over 8 seeds at 5 % refute it.")
    verdict, how = answered(QUESTION, run_rows(made_up_runs(seeds=3)), CHANCE)
    assert verdict is Verdict.INCONCLUSIVE
    assert how == "3 seeds can decide nothing: no p-value is below 0.25, six seeds are the least."
    assert how_decided(Verdict.INCONCLUSIVE, 6) == "Exact paired tests over 6 seeds do not decide it at 5 %."
    assert how_decided(Verdict.INCONCLUSIVE, 1).startswith("1 seed can decide nothing: no p-value is below 1,")


def test_curves_are_drawn_at_a_moderate_rate_and_the_next_larger() -> None:
    assert curve_rates(made_up_runs(1)) == (5e-2, 1.5e-1)


def test_mnist_is_taken_at_full_where_it_is_there_and_a_gpu_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Device:
        type = "cuda"

    monkeypatch.setenv("STABLESSM_CACHE", str(tmp_path))
    monkeypatch.setattr("numerics.fitting.resolve_device", lambda _: Device)
    assert data_name("full") == "digits"
    (tmp_path / "mnist.npz").write_bytes(b"")
    assert (data_name("full"), data_name("quick")) == ("mnist", "digits")
    Device.type = "cpu"
    assert data_name("full") == "digits"


def test_bad_input_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for compute in (training_runs, discrete_runs):
        with pytest.raises(ValueError, match="level: 'fast' is not one of quick, full"):
            compute("fast")
    load = builtins.__import__

    def without_sklearn(name: str, *others: Any, **more: Any) -> Any:
        if name.startswith("sklearn"):
            raise ImportError
        return load(name, *others, **more)

    monkeypatch.setattr(builtins, "__import__", without_sklearn)
    with pytest.raises(ValueError, match=r'scikit-learn is needed: pip install "stablessm\[data\]"'):
        training_runs("quick")
