"""Throughput: what is measured, and what is said of measurements that are made up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from figures import throughput
from figures.figure import from_json, to_json
from figures.style import new_figure, style
from figures.throughput import Alternative, Speed, Throughput, caption, compute, draw, finding, size, tables
from numerics.benchmark_rows import QUICK, BenchmarkRow, Sizes
from numerics.fit_benchmark import gpu_name
from proofs_check.claim import Verdict

DATA = Throughput(
    m=16,
    speeds=tuple(
        Speed(place, models, speed * models**0.5)
        for place, speed in (("cpu", 20.0), ("one core", 12.0), ("gpu", 5.0))
        for models in (1, 16, 256, 4096)
    ),
    alternatives=(
        Alternative("scipy.optimize.least_squares, lm, LAPACK's QR", 300.0, 4.2, 2.6, 0.9999, 12),
        Alternative("scipy.optimize.least_squares, trf, numpy.linalg.qr", 190.0, 6.7, 4.0, 1.0, 12),
    ),
    repeats=3,
    cores=2,
    processor="x86_64, AVX2",
    threads="fitter 2; alternatives 1 (OMP_NUM_THREADS=1)",
    gpu="NVIDIA H100",
    versions=(("numpy", "2.0"), ("torch", "2.13")),
)


def test_a_small_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "_CURVES", {"quick": (1, 6)})
    monkeypatch.setattr("numerics.benchmark_rows.QUICK", replace(QUICK, m=2, least_squares_models=2))
    data = compute()
    assert from_json(Throughput, to_json(data)) == data
    assert [speed.models for speed in data.speeds if speed.place == "cpu"] == [1, 6]
    assert all(speed.fits_a_second > 0 for speed in data.speeds)
    first = data.alternatives[0]
    last = next(speed for speed in data.speeds if (speed.place, speed.models) == ("cpu", 6))
    assert first.ratio == pytest.approx(last.fits_a_second / first.fits_a_second, rel=1e-12)
    assert all(one.largest_error_ratio < 1.01 for one in data.alternatives)
    assert data.gpu == gpu_name()
    assert {"numpy", "scipy", "torch"} <= {name for name, _ in data.versions}
    on_device = throughput._on_device((1, 6), replace(QUICK, m=2), "cpu")
    assert [(speed.place, speed.models) for speed in on_device] == [("gpu", 1), ("gpu", 6)]


def test_the_race_is_that_of_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest batch is not measured twice: its speed on one core follows from the two ratios."""
    asked: list[int] = []

    def race(sizes: Sizes, cores: int) -> list[BenchmarkRow]:
        asked.append(sizes.batch)
        return [
            BenchmarkRow(
                "w",
                "SciPy",
                measured=100.0,
                reference=20.0,
                ratio=5.0,
                ratio_one_core=4.0,
                errors={"largest ratio": 1.0},
            )
        ]

    def times(problem: Any, *_: Any) -> tuple[float, float, None]:
        return 2.0, 4.0, None

    monkeypatch.setattr("numerics.benchmark_races.against_least_squares", race)
    monkeypatch.setattr("numerics.benchmark_rows.optimal_times", times)
    monkeypatch.setattr("numerics.cores.usable_cores", lambda: 2)
    monkeypatch.setattr("numerics.fit_benchmark.gpu_name", lambda: None)
    data = compute()
    assert asked == [4096]
    assert [speed for speed in data.speeds if speed.models in (16, 4096)] == [
        Speed("cpu", 16, 8.0), Speed("one core", 16, 4.0), Speed("cpu", 4096, 100.0), Speed("one core", 4096, 80.0),
    ]  # fmt: skip


def test_the_finding_follows_the_ratios() -> None:
    assert finding(DATA).verdict is Verdict.SUPPORTED
    assert "4.20 times SciPy lm (2.60 with one core on both sides)" in finding(DATA).reason

    def with_first(**values: Any) -> Throughput:
        return replace(DATA, alternatives=(replace(DATA.alternatives[0], **values), DATA.alternatives[1]))

    assert finding(with_first(ratio=0.8, ratio_one_core=0.9)).verdict is Verdict.REFUTED
    assert finding(with_first(ratio=0.8)).verdict is Verdict.INCONCLUSIVE
    assert (
        finding(with_first(ratio=1.1, ratio_one_core=1.1)).verdict is Verdict.INCONCLUSIVE
    )  # as two runs of one thing
    assert "at errors at most 1 % larger" in finding(DATA).reason
    larger = finding(with_first(largest_error_ratio=1.2))
    assert larger.verdict is Verdict.REFUTED
    assert "with larger errors" in larger.reason


def test_the_picture_and_the_words() -> None:
    with style():
        figure = new_figure(*size(DATA))
        draw(DATA, figure)
        figure.canvas.draw()
    (ax,), (legend,) = figure.axes, figure.legends
    assert [text.get_text() for text in legend.texts] == [
        "fitter, 2 cores", "fitter, 1 core", "fitter, NVIDIA H100", "SciPy lm, one by one", "SciPy trf, one by one",
    ]  # fmt: skip
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    text = caption(DATA)
    for part in ("x86_64, AVX2 and NVIDIA H100", "threads: fitter 2; alternatives 1", "torch 2.13", "median of 3"):
        assert part in text
    (table,) = tables(DATA)
    assert len(table.rows) == 14
    with pytest.raises(ValueError, match="level: 'fast' is not one of quick, full"):
        compute("fast")
