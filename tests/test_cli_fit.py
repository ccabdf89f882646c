"""The command `fit`: its rows, its table, what it keeps, and bad input."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import stablessm
from numerics import sweep as sweep_module
from numerics.fit_grid import sweep_of_json
from numerics.sweep import run_sweep
from proofs_check import fit_tables
from proofs_check.fit_tables import fit_lines
from tests.numerics.fake_fits import fake_unit

ROOT = Path(__file__).parent.parent
Run = Callable[..., SimpleNamespace]
KEYS = [
    "target", "reparam", "m", "seed", "error_l2", "error_w1inf", "margin", "decay_rate", "bound_ratio_min", "result",
]  # fmt: skip


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> SimpleNamespace:
        capsys.readouterr()
        code = stablessm.main(("fit", *arguments))
        captured = capsys.readouterr()
        return SimpleNamespace(code=code, out=captured.out, err=captured.err)

    return call


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Replaces the fitters by one that takes no time; the sweeps that were asked for."""
    asked: list[Any] = []

    def unit(sweep: Any, *given: Any, **named: Any) -> Any:
        asked.append(sweep)
        return fake_unit(sweep, *given, **named)

    monkeypatch.setattr(sweep_module, "run_unit", unit)
    return asked


SMALL = ("--target", "exponential:rate=2", "--reparam", "exp", "--m", "1", "--seeds", "2", "--device", "cpu")


def test_an_exponential_is_found_again(run: Run) -> None:
    result = run(*SMALL, "--json")
    assert (result.code, result.err) == (0, "")
    rows = json.loads(result.out)["rows"]
    assert [row["seed"] for row in rows] == [0, 1]
    for row in rows:
        assert [name for name in row if name in KEYS] == KEYS
        assert (row["target"], row["reparam"], row["m"], row["result"]) == ("exponential:rate=2", "exp", 1, "converged")
        assert row["error_l2"] < 1e-6
        assert row["margin"] == pytest.approx(2, rel=1e-6)
        assert row["decay_rate"][0] <= row["margin"] <= row["decay_rate"][1]
        assert row["bound_ratio_min"] == pytest.approx(1, rel=1e-9)  # M is the bound: |c||U|e^{-2t}


def test_training_goes_on_to_the_same_model(run: Run) -> None:
    rows = json.loads(run(*SMALL, "--mode", "gradient", "--lr", "0.05,0.01", "--steps", "400", "--json").out)["rows"]
    assert [(row["learning_rate"], row["seed"]) for row in rows] == [(0.05, 0), (0.05, 1), (0.01, 0), (0.01, 1)]
    assert all(row["error_l2"] < 0.3 for row in rows)
    assert min(row["error_l2"] for row in rows) < 1e-2


def test_the_table_for_a_reader(run: Run) -> None:
    result = run(*SMALL)
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == "Fits in optimal mode, loss l2, real modes, continuous time"
    assert "target exponential:rate=2, plain modes" in lines
    heads = ["f", "m", "error", "L²", "error", "W", "seeds", "margin", "decay", "bound/M", "results"]
    assert lines[3].split() == heads
    assert lines[4].split()[:2] == ["exp", "1"]
    assert lines[4].endswith(" 2c")
    assert "results: c converged." in lines
    assert "Does the measured decay of every fit respect the bound of Theorem 3.3?" in lines
    assert any(line.startswith("  SUPPORTED: yes, all 2") for line in lines)
    assert " 2/2 " in lines[4]
    assert max(map(len, lines)) <= 80


def test_the_table_of_all_outcomes_fits_80_columns() -> None:
    row = {
        "target": "polynomial:p=1.5", "reparam": "softplus", "modes": "plain", "m": 32, "error_l2": 8.936e-10,
        "error_w1inf": 2.103e-10, "margin": 2.909e-10, "decay_rate": [2.908e-10, 2.9095e-10],
        "bound_ratio_min": 1.148e11,
    }  # fmt: skip
    outcomes = ["converged"] * 4 + ["budget_spent"] * 3 + ["stalled"]
    rows = [{**row, "seed": seed, "result": result} for seed, result in enumerate(outcomes)]
    asked = sweep_of_json({"target": "airy", "reparam": "exp", "m": 1}).as_json()
    lines = list(fit_lines({"answers": [], "rows": rows, "asked": asked}, None))
    wanted = ["softplus", "32", "8.94e-10", "2.1e-10", "8/8", "2.91e-10", "2.91e-10", "1.15e+11", "4c", "3b", "1s"]
    assert lines[4].split() == wanted
    rough = [{**each, "rounding": 1e-11} for each in rows]
    marked = list(fit_lines({"answers": [], "rows": rough, "asked": asked}, None))[4].split()
    assert marked == [*wanted[:2], "~8.94e-10", "~2.1e-10", *wanted[4:]]
    assert lines[-1] == "results: c converged, s stalled, b budget spent."
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("ends", "cell"),
    [
        ([0.02051, 0.02052], "0.0205"),
        ([0.9999, 1.001], "1"),
        ([0.9956, 1.02], "[0.995, 1.02]"),
        ([0.0, 0.0], "[0, 0]"),
        ([1.0, "inf"], "[1, inf]"),
        ([9.995, 10.004], "10"),
        ([0.0, 0.3], "[0, 0.3]"),
    ],
)
def test_a_decay_rate_is_one_number_where_its_interval_is_short(ends: list[float | str], cell: str) -> None:
    assert fit_tables._interval(*ends) == cell


def test_every_option_reaches_the_grid(run: Run, fake: list[Any], tmp_path: Path) -> None:
    options = (
        *("--target", "airy,exponential,polynomial:p=2,exponential", "--inputs", "2", "--reparam", "exp,softplus"),
        *("--m", "2,1", "--seeds", "3", "--mode", "gradient", "--loss", "sequences", "--modes", "unit-norm,plain"),
        *("--complex", "--time", "discrete", "--step-size", "0.1", "--horizon", "50", "--lr", "0.1,1e-3"),
        *("--optimizer", "sgd,adamw", "--steps", "17", "--batch", "5", "--device", "cpu"),
    )
    result = run(*options, "--json")
    assert (result.code, result.err) == (0, "")
    wanted = {
        "target": [["airy", "exponential"], ["polynomial:p=2", "exponential"]],
        "reparam": ["exp", "softplus"],
        "m": [2, 1],
        "seeds": [0, 1, 2],
        "modes": ["unit-norm", "plain"],
        "mode": "gradient",
        "loss": "sequences",
        "complex": True,
        "time": "discrete",
        "step_size": 0.1,
        "horizon": 50.0,
        "steps": 17,
        "learning_rate": [0.1, 0.001],
        "optimizer": ["sgd", "adamw"],
        "schedule": "cosine",
        "weight_decay": None,
        "batch": 5,
    }
    answer = json.loads(result.out)
    assert answer["asked"] == wanted
    assert fake[0] == sweep_of_json(wanted)
    assert len(answer["rows"]) == 2 * 2 * 2 * 2 * 2 * 2 * 3
    path = tmp_path / "sweep.json"
    path.write_text(json.dumps(wanted))
    assert json.loads(run("--sweep", str(path), "--device", "cpu", "--json").out) == answer


def test_seeds_begin_at_the_seed_of_the_program(fake: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert stablessm.main(("--seed", "7", "fit", *SMALL, "--json")) == 0
    assert [row["seed"] for row in json.loads(capsys.readouterr().out)["rows"]] == [7, 8]


def test_a_seed_beside_a_file_with_seeds(fake: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert stablessm.main(("--seed", "7", "fit", "--sweep", "a.json")) == 2
    assert capsys.readouterr().err == "error: --seed '7': the seeds are in the file of --sweep\n"


def test_nothing_but_diverged_fits_is_exit_code_3(fake: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--target", "exponential", "--reparam", "exp", "--m", "2", "--seeds", "1", "--device", "cpu")
    assert stablessm.main(("--seed", "3", "fit", *options)) == 3  # the seed that the fake fitter fails for
    assert " 1d" in capsys.readouterr().out


def test_a_file_name_with_a_comma_is_one_target(tmp_path: Path) -> None:
    text = f'csv:file="{tmp_path}/a,b.csv",airy'
    assert stablessm.parse_specs(text, 1) == [[f'csv:file="{tmp_path}/a,b.csv"'], ["airy"]]


def test_results_are_kept_and_not_computed_again(run: Run, fake: list[Any], tmp_path: Path) -> None:
    out = tmp_path / "runs" / "a"
    options = ("--target", "airy,exponential", "--m", "1,2", "--seeds", "4", "--device", "cpu", "--out", str(out))
    first = run(*options, "--json")
    units = len(fake)
    assert units == 2
    again = run(*options, "--json")
    assert (again.code, again.out, again.err, len(fake)) == (0, first.out, "", units)
    with open(out / "table.csv", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(json.loads(first.out)["rows"])
    chunk = out / "chunks" / "unit-00001.npz"
    chunk.write_bytes(chunk.read_bytes()[:-9])
    repaired = run(*options, "--json")
    assert repaired.out == first.out
    assert repaired.err.splitlines() == [f"note: {out}: unit-00001.npz is damaged and will be computed again"]


TARGET = ("--target", "exponential")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--target: a kernel is needed, as in --target polynomial:p=1.5; or --sweep FILE"),
        (("--target", "expontial"), "'expontial' is not a target; did you mean exponential?"),
        (("--target", "sine"), "sine"),
        ((*TARGET, "--reparam", "expp"), "expp"),
        ((*TARGET, "--reparam", "exp,exp"), "--reparam: 'exp' is given twice"),
        ((*TARGET, "--m", "0"), "--m '0': a whole number of at least 1 is needed"),
        ((*TARGET, "--m", "2,2"), "--m: '2' is given twice"),
        ((*TARGET, "--seeds", "0"), "--seeds '0': a whole number of at least 1"),
        ((*TARGET, "--seeds", "999999999"), "seeds: there are 999999999; at most 10000000 are allowed"),
        ((*TARGET, "--inputs", "2"), "--target: 1 kernels do not make targets of 2 inputs each"),
        ((*TARGET, "--mode", "fast"), "--mode"),
        ((*TARGET, "--lr", "0.1"), "learning_rate: has a meaning in gradient mode alone"),
        ((*TARGET, "--mode", "gradient", "--lr", "0"), "--lr '0': '0' is not a positive number"),
        ((*TARGET, "--mode", "gradient", "--lr", "-1"), "--lr '-1': '-1' is not a positive number"),
        ((*TARGET, "--mode", "gradient", "--optimizer", "lion"), "optimizer: 'lion' is not one of"),
        ((*TARGET, "--modes", "norm"), "modes: 'norm' is not one of plain, unit-norm"),
        ((*TARGET, "--horizon", "0"), "--horizon '0'"),
        ((*TARGET, "--horizon", "1,2"), "--horizon '1,2': 2 entries; at most 1"),
        ((*TARGET, "--device", "gpu"), "device: 'gpu' is not one of auto, cpu, cuda"),
        ((*TARGET, "--cluster", "here"), "cluster: 'here' is neither local:N nor an address"),
        ((*TARGET, "--out", "/dev/null/x"), "/dev/null/x: cannot be written: Not a directory"),
        ((*TARGET, "--sweep", "none.json"), "--sweep: the grid is in the file; --target cannot be given beside it"),
        (("--sweep", "none.json"), "none.json: cannot be read: No such file"),
        ((*TARGET, "--sed", "1"), "no such option '--sed'"),
    ],
)
def test_bad_input_is_one_line(run: Run, fake: list[Any], arguments: tuple[str, ...], words: str) -> None:
    result = run(*arguments)
    assert (result.code, result.out) == (2, "")
    assert words in result.err
    assert len(result.err.splitlines()) == 1
    assert not fake


def test_cuda_that_is_absent(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    result = run(*SMALL[:-1], "cuda")
    assert result.code == 2
    assert result.err == "error: device: cuda was asked for and this torch sees no CUDA device; use auto or cpu\n"


def test_a_folder_of_another_grid(run: Run, fake: list[Any], tmp_path: Path) -> None:
    assert run(*SMALL, "--out", str(tmp_path)).code == 0
    result = run(*SMALL, "--out", str(tmp_path), "--steps", "9")
    assert result.code == 2
    assert "begun with steps null, asked for is 9; use another folder" in result.err


@pytest.mark.parametrize("wrong", [("--cluster", "here"), ("--device", "gpu"), ("--m", "0")])
def test_no_folder_is_made_for_what_cannot_run(run: Run, tmp_path: Path, wrong: tuple[str, str]) -> None:
    out = tmp_path / "a"
    assert run(*SMALL[:-2], *wrong, "--out", str(out)).code == 2
    assert not out.exists()


def test_a_misspelt_axis_in_a_file(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "sweep.json"
    path.write_text('{"target": "airy", "reparams": "exp", "m": 2}')
    result = run("--sweep", str(path))
    assert result.code == 2
    assert "'reparams' is no axis; did you mean reparam?" in result.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is full")
def test_an_output_that_is_full_is_one_line() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        command = [sys.executable, "-m", "stablessm", "claims"]
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: the output cannot be written: No space left on device\n"


TRAIN = (
    *("--target", "exponential", "--reparam", "exp,softplus", "--m", "2", "--seeds", "2", "--batch", "1"),
    *("--mode", "gradient", "--steps", "500", "--device", "cpu", "--json"),
)


@pytest.mark.slow
def test_an_interrupted_run_goes_on_with_the_same_command(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "a"
    command = [sys.executable, "-m", "stablessm", "fit", *TRAIN, "--steps", "800", "--out", str(out)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    chunks = out / "chunks"
    deadline = time.monotonic() + 60
    while not list(chunks.glob("unit-*.npz")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == f"error: interrupted; finished units are kept in {str(out)!r}, the same command goes on\n"
    kept = {path.name: path.stat().st_mtime_ns for path in chunks.glob("unit-*.npz")}
    assert 1 <= len(kept) < 4
    done = run(*command[4:])
    assert done.code == 0
    assert kept.items() <= {path.name: path.stat().st_mtime_ns for path in chunks.glob("unit-*.npz")}.items()
    assert done.out == run(*command[4:-2]).out


def test_the_cluster_and_the_device_are_passed_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def fake_run(sweep: Any, **given: Any) -> Any:
        asked.update(given)
        return run_sweep(sweep, worker=fake_unit, device="cpu")

    monkeypatch.setattr(sweep_module, "run_sweep", fake_run)
    assert run(*SMALL, "--cluster", "tcp://there:8786", "--device", "cuda:1", "--out", "runs/a").code == 0
    assert asked == {"folder": "runs/a", "cluster": "tcp://there:8786", "device": "cuda:1", "on_progress": None}


def test_lines_of_a_table_without_good_fits() -> None:
    content = {
        "target": "exponential",
        "reparam": "exp",
        "m": [1, 2],
        "seeds": [3],
        "loss": "w1inf",
        "mode": "gradient",
    }
    sweep = sweep_of_json(content)
    rows = sweep_module.json_rows(run_sweep(sweep, worker=fake_unit, device="cpu"))
    for row in rows:
        row |= {"error_l2": "inf", "error_w1inf": None, "decay_rate": None, "bound_ratio_min": None}
    lines = list(fit_lines({"answers": [], "rows": rows, "asked": sweep.as_json()}, None))
    assert "target exponential, plain modes, adam with learning rate 0.01" in lines
    assert lines[4].split() == ["exp", "1", *["-"] * 6, "1d"]
    assert any("the seed with the least error W" in line for line in lines)
