"""The command `train`: its rows, its table, its curves, what it keeps, and bad input."""

from __future__ import annotations

import csv
import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import stablessm
from numerics import training as training_module
from numerics.training_table import RunRecord, TrainingTable
from tests.training_rows import made_up_records

ROOT = Path(__file__).parent.parent
Run = Callable[..., SimpleNamespace]
TINY = (
    *("--reparam", "exp,best:b=0.1", "--lr", "1e-2,5e-2", "--seeds", "2", "--width", "4", "--m", "2"),
    *("--epochs", "2", "--batch", "32", "--examples", "64", "--device", "cpu"),
)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str, seed: str = "0") -> SimpleNamespace:
        capsys.readouterr()
        code = stablessm.main(("--seed", seed, "train", *arguments))
        captured = capsys.readouterr()
        return SimpleNamespace(code=code, out=captured.out, err=captured.err)

    return call


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Replaces the trainer by one that takes no time; the tables that were asked for."""
    asked: list[Any] = []

    def train(table: TrainingTable, dataset: Any, **given: Any) -> list[RunRecord]:
        asked.append((table, dataset, given))
        return made_up_records(table)

    monkeypatch.setattr(training_module, "train_table", train)
    return asked


# Answers


def test_a_tiny_table_is_trained(run: Run) -> None:
    result = run(*TINY, "--json")
    assert (result.code, result.err) == (0, "")
    answer = json.loads(result.out)
    assert list(answer) == ["rows", "table", "published", "answers", "asked", "dataset", "files"]
    rows = answer["rows"]
    assert [(row["column"], row["learning_rate"], row["seed"]) for row in rows] == [
        (column, rate, seed) for column in ("exp", "best:b=0.1") for rate in (0.01, 0.05) for seed in (0, 1)
    ]
    for row in rows:
        assert (row["optimizer"], row["result"], row["steps"]) == ("adamw", "finished", 4)
        assert 0 < row["test_loss"] < 2 * math.log(10)
        assert 0 <= row["test_accuracy"] <= 1
        assert row["least_margin"] > 0
    assert (answer["published"], answer["files"]) == (None, [])
    assert (answer["dataset"]["name"], answer["dataset"]["task"]) == ("digits", "classification")
    assert answer["dataset"]["chance"] == pytest.approx(math.log(10), rel=0.05)
    for found in answer["answers"]:
        assert set(found) == {"question", "verdict", "answer"}
        assert found["verdict"] in ("SUPPORTED", "REFUTED", "INCONCLUSIVE")
    assert len(answer["answers"]) == 8
    assert run(*TINY, "--json").out == result.out


def test_text_and_functionals_are_trained(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("so it goes, and so it went. " * 60)
    tiny = ("--reparam", "exp", "--lr", "1e-2", "--seeds", "1", "--width", "4", "--m", "2", "--epochs", "1")
    tiny += ("--length", "16", "--batch", "8", "--device", "cpu")
    result = run("--data", f"text:{path}", *tiny)
    assert (result.code, result.err) == (0, "")
    assert "test loss (bits a character of the test text): mean (standard deviation)" in result.out
    assert "A Markov model of order 2 of the same text needs" in result.out
    result = run("--data", "functional:polynomial:p=1.5", *tiny, "--examples", "16")
    assert (result.code, result.err) == (0, "")
    assert "mean square error of the test data" in result.out
    assert "accuracy" not in result.out


def test_the_table_for_a_reader(run: Run, fake: list[Any]) -> None:
    result = run("--lr", "5e-4,5e-3,5e-2,5e-1")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert max(map(len, lines)) <= 80
    start = lines.index("test loss (cross entropy of the test data): mean (standard deviation)")
    assert lines[start + 1].split() == ["rate", "direct", "softplus", "exp", "best:b=0.1"]
    assert lines[start + 4].split()[:4] == ["5e-2", "NaN", "3/3", "0.693"]
    assert [line.split()[0] for line in lines[start + 2 : start + 6]] == ["5e-4", "5e-3", "5e-2", "5e-1"]
    for title in ("test accuracy in %", "largest |gradient|/|weight|", "least margin -max Re λ"):
        assert any(line.startswith(title) for line in lines)
    assert "Does best keep the smallest maximal gradient over weight?" in lines


def test_every_option_reaches_the_table(run: Run, fake: list[Any]) -> None:
    options = (
        *("--data", "functional:polynomial:p=2", "--reparam", "exp,tanh", "--modes", "dc,lru", "--time", "discrete"),
        *("--lr", "0.1,1e-3", "--seeds", "2", "--optimizer", "sgd", "--epochs", "3", "--batch", "5", "--width", "6"),
        *("--m", "7", "--depth", "2", "--examples", "20", "--length", "9", "--dtype", "float64", "--device", "cpu"),
    )
    result = run(*options, "--json", seed="7")
    assert (result.code, result.err) == (0, "")
    table, dataset, given = fake[0]
    assert given == {"folder": None, "device": "cpu", "progress": given["progress"]}
    assert dataset.train_inputs.shape == (20, 9, 1)
    wanted = {
        "columns": ["exp/dc", "exp/lru", "tanh/dc", "tanh/lru"],
        "time": "discrete",
        "learning_rates": [0.1, 0.001],
        "seeds": [7, 8],
        "data": "functional:polynomial:p=2",
        "width": 6,
        "modes": 7,
        "depth": 2,
        "epochs": 3,
        "batch": 5,
        "optimizer": "sgd",
        "schedule": "cosine",
        "weight_decay": None,
        "step_sizes": None,
        "examples": 20,
        "length": 9,
        "tokens": "character",
        "dtype": "float64",
    }
    assert table.as_json() == wanted
    assert json.loads(result.out)["asked"] == {**wanted, "optimizer": ["sgd"]}


def test_the_levels_are_those_of_the_data(run: Run, fake: list[Any]) -> None:
    assert run().code == run("--level", "full").code == 0
    quick, full = (table for table, _, _ in fake)
    assert (len(quick.runs), quick.width, quick.modes) == (4 * 4 * 3, 32, 16)
    assert (len(full.runs), full.width, full.modes, full.epochs) == (4 * 7 * 3, 64, 32, 10)
    assert full.learning_rates == (5e-6, 5e-5, 5e-4, 5e-3, 5e-2, 5e-1, 5e0)


def test_a_grid_of_the_constants_of_best(run: Run, fake: list[Any]) -> None:
    result = run("--table", "grid")
    assert result.code == 0
    lines = result.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert ["rate 5e-2", "b=0.1", "b=0.5", "b=1"] in [[line[:9], *line[9:].split()] for line in lines]
    assert sum(line.startswith("   a=0.1") or line.strip().startswith("a=0.1 ") for line in lines) == 4
    assert {row["column"] for row in json.loads(run("--table", "grid", "--json").out)["rows"]} >= {"best:a=10:b=0.5"}


def test_two_optimizers_are_two_tables(run: Run, fake: list[Any], tmp_path: Path) -> None:
    options = ("--optimizer", "adamw,sgd", "--lr", "5e-3", "--out", str(tmp_path))
    answer = json.loads(run(*options, "--json").out)
    assert [given["folder"] for _, _, given in fake] == [tmp_path / "adamw", tmp_path / "sgd"]
    assert [row["optimizer"] for row in answer["rows"]] == ["adamw"] * 12 + ["sgd"] * 12
    assert answer["asked"]["optimizer"] == ["adamw", "sgd"]
    text = run(*options).out
    assert "mean (standard deviation); adamw" in text
    assert "mean (standard deviation); sgd" in text


def test_the_published_numbers_stand_below_those_of_mnist(
    run: Run, fake: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from numerics import training_presets
    from numerics.datasets import load_dataset

    monkeypatch.setattr(
        training_presets, "load_dataset", lambda *_, **__: replace(load_dataset("digits"), name="mnist")
    )
    answer = json.loads(run("--data", "mnist", "--level", "full", "--json").out)
    assert answer["published"]["cells"][0]["column"] == "direct@published"
    lines = run("--data", "mnist", "--level", "full").out.splitlines()
    assert max(map(len, lines)) <= 80
    papers = [line.split() for line in lines if line.lstrip().startswith("paper ")]
    assert len(papers) == 7
    assert papers[3] == ["paper", "nan", "0.0238", "[4.0e-6]", "0.0238", "[3.0e-6]", "0.0235", "[2.0e-6]"]
    assert any(line.startswith("paper: Wang and Li") for line in lines)
    beside = run("--data", "mnist", "--level", "full", "--reparam", "direct,direct@published").out.splitlines()
    papers = [line.split() for line in beside if line.lstrip().startswith("paper ")]
    assert papers[0] == ["paper", "-", "2.31", "[7.2e-5]"]


def test_another_data_set_in_its_place_is_said(run: Run, fake: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from numerics import datasets
    from numerics.dataset_files import NotFetchedError

    def absent(*_: Any) -> Any:
        raise NotFetchedError("cannot be fetched")

    monkeypatch.setattr(datasets, "images", absent)
    result = run("--data", "mnist", "--json")
    assert result.code == 0
    assert len(result.err.splitlines()) == 1
    assert result.err.startswith("note: mnist: ")
    assert "digits is used instead" in result.err
    answer = json.loads(result.out)
    assert (answer["dataset"]["name"], answer["asked"]["data"], answer["published"]) == ("digits", "digits", None)


def test_nothing_but_diverged_runs_is_exit_code_3(run: Run, fake: list[Any]) -> None:
    result = run("--reparam", "direct", "--lr", "0.5,5")
    assert result.code == 3
    assert "NaN 3/3" in result.out
    json.loads(run("--reparam", "direct", "--lr", "0.5", "--json").out, parse_constant=pytest.fail)


# Curves


def test_curves_are_written_beside_the_table(
    run: Run, fake: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["curves.csv", "curves.pdf", "curves.png", "curves.svg", "curves.txt"]
    result = run("--curves", "--out", str(tmp_path / "a"))
    assert result.code == 0
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == names
    assert f"Curves: {tmp_path / 'a' / 'curves.png'}" in result.out.splitlines()
    monkeypatch.setattr("figures.style.FORMATS", ("svg",))
    given = run("--curves-at", "5e-3,5e0", "--out", str(tmp_path / "b"), "--json")
    assert [Path(name).name for name in json.loads(given.out)["files"]][:1] == ["curves.csv"]
    with open(tmp_path / "b" / "curves.csv", encoding="utf-8") as file:
        assert {row["learning_rate"] for row in csv.DictReader(file)} == {"0.005", "5.0"}


def test_pictures_are_not_loaded_without_curves() -> None:
    code = (
        "import stablessm, sys\n"
        "from numerics import training\n"
        "from tests.training_rows import made_up_records\n"
        "training.train_table = lambda table, *_, **__: made_up_records(table)\n"
        "assert stablessm.main(['train', '--lr', '5e-3', '--json']) == 0\n"
        "print('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


# Bad input


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--data", "digts"), "data: 'digts' is not a data set; did you mean digits?"),
        (("--data", "functional:expontial"), "'expontial' is not a target; did you mean exponential?"),
        (("--data", "text:/nowhere/a.txt"), "/nowhere/a.txt"),
        (("--reparam", "expp"), "'expp' is not a reparameterization; did you mean exp?"),
        (("--reparam", "exp,exp"), "--reparam: 'exp' is given twice"),
        (("--reparam", "exp@there"), "start: 'there' is not one of same, published"),
        (("--reparam", "direct@published", "--modes", "dc"), "growing modes have no norm"),
        (("--reparam", "tanh"), "tanh"),
        (("--modes", "norm"), "modes: 'norm' is not one of plain, dc, lru, unit-norm"),
        (("--table", "heat"), "--table"),
        (("--lr", "0"), "--lr '0': '0' is not a positive number"),
        (("--lr", "1e-3,-1"), "--lr '1e-3,-1': '-1' is not a positive number"),
        (("--lr", "1e-3,1e-3"), "--lr: '0.001' is given twice"),
        (("--seeds", "0"), "--seeds '0': a whole number of at least 1"),
        (("--seeds", "999999999"), "seeds: at most 1000 are allowed, got 999999999"),
        (("--m", "0"), "--m '0': a whole number of at least 1"),
        (("--width", "x"), "--width 'x': a whole number of at least 1"),
        (("--optimizer", "lion"), "optimizer: 'lion' is not one of sgd, adam, adamw"),
        (("--optimizer", "sgd,sgd"), "--optimizer: 'sgd' is given twice"),
        (("--dtype", "half"), "dtype: 'half' is not one of float32, float64"),
        (("--tokens", "word"), "tokens: 'word' is not one of"),
        (("--length", "9"), "length: is for functional and text"),
        (("--curves",), "--curves: a folder for the curves is needed, as in --curves --out runs/a"),
        (("--curves-at", "1", "--out", "{new}"), "curves-at: 1 is not a learning rate of the table"),
        (("--curves", "--table", "grid", "--out", "{new}"), "at most 8 columns, the table has 9"),
        (("--level", "slow"), "--level"),
        (("--lrs", "1"), "no such option '--lrs'; did you mean --lr?"),
    ],
)
def test_bad_input_is_one_line(run: Run, fake: list[Any], tmp_path: Path, arguments: Sequence[str], words: str) -> None:
    new = tmp_path / "new"
    result = run(*(str(new) if text == "{new}" else text for text in arguments))
    assert (result.code, result.out) == (2, "")
    assert words in result.err
    assert len(result.err.splitlines()) == 1
    assert not fake
    assert not new.exists()


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02" * 100])
def test_an_empty_or_binary_text_is_one_line(run: Run, fake: list[Any], tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    result = run("--data", f"text:{path}")
    assert (result.code, result.out, len(result.err.splitlines())) == (2, "", 1)
    assert "a.txt" in result.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--batch", "65"), "batch: 65 sequences a step are asked for, digits has 64"),
        (("--device", "gpu"), "device: 'gpu' is not one of auto, cpu, cuda"),
        (("--out", "/dev/null/x"), "/dev/null/x: cannot be written: Not a directory"),
        (("--reparam", "best:b=3"), "best:b=3"),
        (("--width", "99999999", "--m", "99999"), "table: needs about"),
    ],
)
def test_what_the_trainer_refuses_is_one_line(run: Run, arguments: Sequence[str], words: str) -> None:
    result = run(*TINY, *arguments)
    assert (result.code, result.out, len(result.err.splitlines())) == (2, "", 1)
    assert words in result.err


# What is kept


def test_a_folder_goes_on_and_refuses_another_table(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = ("--out", str(tmp_path / "a"))
    first = run(*TINY, *out, "--json")
    assert (first.code, first.err) == (0, "")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "a" / "chunks").iterdir()}
    again = run(*TINY, *out, "--json")
    assert (again.code, again.out) == (0, first.out)
    assert kept == {path: path.stat().st_mtime_ns for path in (tmp_path / "a" / "chunks").iterdir()}
    result = run(*TINY, *out, "--epochs", "3")
    assert result.code == 2
    assert "begun with epochs 2, asked for is 3; use another folder" in result.err
    monkeypatch.setattr("figures.style.FORMATS", ("svg",))
    drawn = run(*TINY, *out, "--curves")  # from what is kept
    assert (drawn.code, drawn.err) == (0, "")
    assert (tmp_path / "a" / "curves.svg").stat().st_size > 1000


@pytest.mark.slow
def test_an_interrupted_table_goes_on_with_the_same_command(run: Run, tmp_path: Path) -> None:
    rates = ",".join(f"{k}e-3" for k in range(1, 13))
    options = [*TINY, "--reparam", "exp", "--lr", rates, "--seeds", "1", "--epochs", "16", "--json"]
    command = [sys.executable, "-m", "stablessm", "train", *options, "--out", str(tmp_path / "a")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "a" / "chunks").glob("*.npz")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    kept = f"finished runs are kept in {str(tmp_path / 'a')!r}, the same command goes on"
    assert said == f"error: interrupted; {kept}\n"
    done = run(*command[4:])
    assert done.code == 0
    assert json.loads(done.out) == json.loads(run(*options).out)


def test_an_interrupt_before_the_training_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    for name in ("parse_words", "_said"):
        monkeypatch.setattr(stablessm, name, interrupted)
        result = run()
        assert (result.code, result.out, result.err) == (130, "", "error: interrupted\n")
        monkeypatch.undo()


def test_an_estimate_is_said_once_where_there_is_no_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = iter([0.0, *range(0, 1000, 20)])
    monkeypatch.setattr(stablessm, "monotonic", lambda: next(now))
    tell = stablessm._estimate()
    for done in range(100, 120):  # 100 were there before; one in 20 seconds
        tell(done, 160, "")
    assert capsys.readouterr().err == "note: 102 of 160 steps done, about 19 more minutes\n"
    now = iter([0.0, *range(0, 1000, 20)])
    tell = stablessm._estimate()
    for done in range(4):
        tell(done, 4, "")
    assert capsys.readouterr().err == ""
