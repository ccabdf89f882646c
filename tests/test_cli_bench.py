"""The command `bench`: its JSON, its text, and bad input; the sizes are tiny here."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import stablessm
from numerics import fit_benchmark
from numerics.benchmark_rows import FULL, QUICK, BenchmarkReport, BenchmarkRow, CurvePoint, Sizes
from proofs_check.bench_lines import bench_lines

REPORT = BenchmarkReport(
    rows=(
        BenchmarkRow(
            what="optimal mode",
            alternative="a loop",
            aim="ratio at least 300",
            unit="fits a second",
            measured=1200.0,
            reference=2.4,
            ratio=500.0,
            ratio_one_core=250.0,
            met=True,
            errors={"ours": 1e-7, "alternative": 1e-3},
            note="4 models stand for the loop",
        ),
        BenchmarkRow(what="error", alternative="TF-IRKA", aim="error within 1 %", note="install stablessm[bench]"),
        BenchmarkRow(
            what="slow", alternative="fast", aim="ratio at least 8", measured=1.0, reference=2.0, ratio=0.5, met=False
        ),
    ),
    curve=(CurvePoint(64, 0.5, 2**20), CurvePoint(16384, 64.0, 2**28)),
    machine={"cores": 2, "processor": "x86_64", "threads": "fitter 2", "versions": {"torch": "2.13", "pymor": None}},
)


def test_text() -> None:
    text = "\n".join(bench_lines(REPORT.as_json(), None))
    assert "2 cores (x86_64), torch 2.13, pymor absent" in text
    assert "1,200 / 2.4 fits a second = 500 (250 with one core on both sides)" in text
    assert "aim: ratio at least 300 (met)" in text
    assert "ours 1e-07; alternative 0.001" in text
    assert "aim: error within 1 %\n  install stablessm[bench]" in text
    assert "aim: ratio at least 8 (NOT met)" in text
    assert text.splitlines()[-1].split() == ["16,384", "64", "256"]
    assert all(len(line) <= 80 for line in text.splitlines())


def test_of_many_errors_the_ends_are_printed() -> None:
    row = replace(REPORT.rows[0], errors={f"m = {m}": m / 10 for m in (3, 1, 5, 2, 4)})
    text = "\n".join(bench_lines(replace(REPORT, rows=(row,)).as_json(), None))
    assert "m = 1 0.1; m = 5 0.5" in text
    assert "m = 3" not in text


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[Sizes]:
    """The sizes that the command asks for; nothing is measured."""
    asked: list[Sizes] = []

    def measured(sizes: Sizes, on_progress: object) -> BenchmarkReport:
        asked.append(sizes)
        return REPORT

    monkeypatch.setattr(fit_benchmark, "run_benchmark", measured)
    return asked


@pytest.mark.parametrize(("options", "wanted"), [([], FULL), (["--quick"], QUICK)])
def test_sizes(options: list[str], wanted: Sizes, sizes: list[Sizes], capsys: pytest.CaptureFixture[str]) -> None:
    assert stablessm.main(["bench", "--json", *options]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(REPORT.as_json()))
    assert sizes == [wanted]


def test_a_table_is_printed(sizes: list[Sizes], capsys: pytest.CaptureFixture[str]) -> None:
    assert stablessm.main(["bench"]) == 0
    assert "optimal mode / a loop" in capsys.readouterr().out


def test_a_mistyped_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert stablessm.main(["bench", "--quik"]) == 2
    assert "did you mean --quick?" in capsys.readouterr().err


def test_an_interrupt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fit_benchmark, "run_benchmark", stopped)
    assert stablessm.main(["bench"]) == 130
    assert "interrupted" in capsys.readouterr().err
