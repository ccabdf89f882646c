"""The curves of a training table: what they show, that they are kept, that they are drawn."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from figures import training_curves
from figures.style import looks
from figures.training_curves import (
    QUANTITIES,
    Curve,
    TrainingCurves,
    caption,
    check_curves,
    compute,
    draw_curves,
    load,
    save,
)
from numerics.training_table import RunRecord, variant_name
from tests.training_rows import STEPS_AN_EPOCH, made_up_records, small_table

TABLE = small_table()
RECORDS = made_up_records(TABLE)


def curve(data: TrainingCurves, quantity: str, rate: float, column: str) -> Curve:
    (found,) = [c for c in data.curves if (c.quantity, c.learning_rate, c.column) == (quantity, rate, column)]
    return found


def runs(rate: float, column: str) -> list[RunRecord]:
    return [r for r in RECORDS if r.run.learning_rate == rate and variant_name(r.run.kind) == column]


@pytest.mark.parametrize("rate", [5e-3, 5e-2])
@pytest.mark.parametrize("column", ["direct", "exp"])
def test_points_are_statistics_over_the_seeds_of_stretches_of_steps(rate: float, column: str) -> None:
    """A second route: NumPy over all runs at once, NaN where one has diverged."""
    data = compute(RECORDS, (5e-3, 5e-2))
    for quantity, gather in (("gradient_over_weight", np.max), ("train_loss", np.mean)):
        found = curve(data, quantity, rate, column)
        stacked = np.stack([run.curves[quantity] for run in runs(rate, column)])
        assert stacked.shape[1] == 3 * STEPS_AN_EPOCH == training_curves.POINTS  # so that a stretch is one step
        for k, point in enumerate(found.points):
            values = stacked[:, k][~np.isnan(stacked[:, k])]
            assert point.step == k + 1
            wanted = (np.median(values), values.min(), values.max(), len(values))
            assert (point.median, point.least, point.largest, point.alive) == pytest.approx(wanted, rel=1e-15)
        assert np.isnan(stacked[:, len(found.points) :]).all()
        halves = training_curves._points(list(stacked), np.arange(0, 61, 2), quantity)
        for k, point in enumerate(halves):
            pairs = stacked[:, 2 * k : 2 * k + 2]
            values = gather(pairs[~np.isnan(pairs).any(axis=1)], axis=1)
            assert (point.step, point.median) == pytest.approx((2 * k + 1.5, np.median(values)), rel=1e-15)


def test_crosses_stand_where_runs_diverge() -> None:
    data = compute(RECORDS, (5e-3, 5e-2))
    found = curve(data, "train_loss", 5e-2, "direct")
    assert (found.seeds, found.finished) == (3, 0)
    assert [point.step for point in found.ends] == [run.steps for run in runs(5e-2, "direct")]
    assert [point.median for point in found.ends] == [
        run.curves["train_loss"][run.steps - 1] for run in runs(5e-2, "direct")
    ]
    assert curve(data, "train_loss", 5e-3, "direct").ends == ()


def test_a_run_that_ends_within_the_first_stretch_or_by_its_test_loss_alone_has_a_cross() -> None:
    records = [replace(r, result="diverged", test_loss=math.nan) if r.run.seed == 1 else r for r in RECORDS]
    found = curve(compute(records, (5e-3,)), "train_loss", 5e-3, "exp")
    assert (found.finished, [point.step for point in found.ends]) == (2, [3 * STEPS_AN_EPOCH])
    long = made_up_records(small_table(columns=("direct",), rates=(5e-2,), epochs=12))
    early = np.arange(240) < 3
    ended = [replace(r, curves={name: np.where(early, r.curves[name], np.nan) for name in QUANTITIES}) for r in long]
    found = curve(compute(ended), "gradient_over_weight", 5e-2, "direct")
    assert (found.points, [point.step for point in found.ends]) == ((), [3, 3, 3])


def test_the_two_rates_are_the_best_and_the_next_larger() -> None:
    """The made-up losses fall with the rate; at 5e-1 only best finishes."""
    assert training_curves.two_rates(RECORDS) == (5e-2, 5e-1)
    below = made_up_records(small_table(columns=("softplus", "exp")))
    assert training_curves.two_rates(below) == (5e-2, 5e-1)
    wider = made_up_records(small_table(columns=("direct",), rates=(5e-4, 5e-3, 5e-2, 5e-1)))
    assert training_curves.two_rates(wider) == (5e-3, 5e-2)
    lost = made_up_records(small_table(columns=("direct",), rates=(5e-1, 5e-2, 5.0)))
    assert training_curves.two_rates(lost) == (5e-2, 5e-1)
    assert training_curves.two_rates(made_up_records(small_table(rates=(5e-3,)))) == (5e-3,)


def test_what_is_saved_is_loaded_and_drawn_alike(tmp_path: Path) -> None:
    data = compute(RECORDS, (5e-3, 5e-2))
    path = save(data, tmp_path / "curves.csv")
    assert load(path) == data
    assert save(load(path), tmp_path / "again.csv").read_bytes() == path.read_bytes()
    files = draw_curves(RECORDS, tmp_path / "a" / "b", (5e-3, 5e-2))
    assert [file.name for file in files] == ["curves.csv", "curves.txt", "curves.png", "curves.pdf", "curves.svg"]
    assert files[0].read_bytes() == path.read_bytes()
    svg = files[-1].read_text(encoding="utf-8")
    for text in ("learning rate 0.05; diverged: direct 3/3", "best:b=0.1", "max |gradient|/|weight|", "step"):
        assert f">{text}</text>" in svg
    assert b"/Type3" not in files[3].read_bytes()
    assert int.from_bytes(files[2].read_bytes()[16:20], "big") == 2025  # pixels: 6.75 inches at 300 a inch
    for look in looks(data.columns).values():
        assert look["color"].lower() in svg
    assert "0.005 and 0.05" in files[1].read_text(encoding="utf-8")


def test_runs_that_end_at_once_and_infinite_numbers_can_be_drawn(tmp_path: Path) -> None:
    records = made_up_records(small_table(columns=("direct", "relu"), rates=(5e-3,)))
    for index, record in enumerate(records):
        curves = {name: values.copy() for name, values in record.curves.items()}
        if index < 3:
            curves = {name: np.full_like(values, np.nan) for name, values in curves.items()}
        curves["gradient_over_weight"][5:7] = math.inf if index >= 3 else math.nan
        records[index] = replace(record, result="diverged" if index < 3 else "finished", curves=curves)
    data = compute(records)
    assert curve(data, "train_loss", 5e-3, "direct").points == ()
    assert load(save(data, tmp_path / "curves.csv")) == data
    assert len(draw_curves(records, tmp_path)) == 5
    assert "diverged: direct 3/3" in (tmp_path / "curves.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", "quantity,learning_rate,column,seeds,finished\nx,y,z,1,1\n", "\xff"]
)
def test_another_file_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "curves.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match="is not a file of training curves"):
        load(path)
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        load(tmp_path / "none.csv")


def test_what_cannot_be_drawn_is_said_before() -> None:
    check_curves((5e-3,), TABLE)
    with pytest.raises(ValueError, match=r"curves-at: 0.1 is not a learning rate of the table; it has 0.0005, 0.005"):
        check_curves((0.1,), TABLE)
    with pytest.raises(ValueError, match="curves-at: at most 2 learning rates are allowed, got 3"):
        check_curves((5e-4, 5e-3, 5e-2), TABLE)
    many = small_table(columns=[f"best:a={a}" for a in range(1, 10)])
    with pytest.raises(ValueError, match="at most 8 columns, the table has 9"):
        check_curves((), many)


def test_the_caption_says_what_is_shown() -> None:
    text = caption(compute(RECORDS, (5e-3, 5e-2)))
    assert "median (line) and range (band) of 3 seeds" in text


def test_crosses_stay_within_the_axes() -> None:
    """Of runs whose last values are far below and above all the others."""
    points = tuple(training_curves.Point(k, 1.0, 1.0, 1.0, 1) for k in (1.0, 2.0, 3.0))
    ends = tuple(training_curves.Point(2.0, x, x, x, 0) for x in (0.0, 1e-9, 1e9))
    data = TrainingCurves(tuple(Curve(quantity, 0.1, "direct", 4, 1, points, ends) for quantity in QUANTITIES))
    for ax in training_curves.figure_of(data).axes:
        low, high = ax.get_ylim()
        (crosses,) = [line.get_ydata() for line in ax.get_lines() if line.get_marker() == "x"]
        assert list(np.asarray(crosses)) == [low, low, high]
