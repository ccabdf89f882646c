"""Interrupted tables go on by the same numbers; checkpoints that are damaged, foreign or of another shape."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from numerics import training_unit
from numerics.layers import ModelShape
from numerics.store import Store
from numerics.training import model_shape, train_table
from numerics.training_files import load_checkpoint, read_checkpoint, write_checkpoint
from numerics.training_table import Run, RunRecord, TrainingTable
from tests.numerics.training_examples import assert_same, dataset, kinds, table

ASKED = table("exp", "direct", learning_rates=(1e-2, 1e30), epochs=4)
"""Four units of two rows of 20 steps; direct diverges at the second rate."""


@cache
def whole_table() -> list[RunRecord]:
    """ASKED without an interruption."""
    return train_table(ASKED, dataset(), threads=1)


def checkpoint_of(folder: Path, unit: int) -> Path:
    return folder / "checkpoints" / f"unit-{unit:04d}.safetensors"


def kill_after(calls: int, asked: TrainingTable, folder: Path, at: Path, threads: int = 1) -> None:
    """Leaves in `at` what a kill after so many steps leaves on the disk."""
    count = 0

    def progress(done: int, total: int, label: str) -> None:
        nonlocal count
        count += 1
        if count == calls:
            shutil.copytree(folder, at)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_table(asked, dataset(), folder=folder, threads=threads, progress=progress)


@pytest.mark.parametrize(
    ("calls", "save_seconds", "optimizer"),
    [(9, 0.0, "adamw"), (13, 30.0, "adamw"), (24, 0.0, "sgd"), (44, 30.0, "sgd"), (44, 0.0, "adamw")],
)
def test_a_killed_table_goes_on_by_the_same_numbers(
    calls: int, save_seconds: float, optimizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within an epoch and at its end, in the first unit and in one that diverged, saved at each step or epoch."""
    monkeypatch.setattr(training_unit, "SAVE_SECONDS", save_seconds)
    asked = replace(ASKED, optimizer=optimizer)
    counted: list[tuple[int, int]] = []

    def progress(done: int, total: int, label: str) -> None:
        counted.append((done, total))

    whole = train_table(asked, dataset(), threads=1, progress=progress)
    assert {record.result for record in whole} == {"finished", "diverged"}
    calls_of_all = len(counted)
    counted.clear()
    kill_after(calls, asked, tmp_path / "a", tmp_path / "b")
    assert_same(train_table(asked, dataset(), folder=tmp_path / "b", threads=2, progress=progress), whole)
    assert len(counted) < calls_of_all - 4  # it did not begin anew
    assert counted[-1] == (160, 160)
    counted.clear()
    assert_same(train_table(asked, dataset(), folder=tmp_path / "b", progress=progress), whole)
    assert counted == [(40, 160), (80, 160), (120, 160), (160, 160)]
    assert not list((tmp_path / "b").rglob("*.part"))


def test_a_table_may_be_interrupted_again_and_again(tmp_path: Path) -> None:
    """Steps between a stop and the last save are kept by what the stop saves."""
    whole = whole_table()
    for _ in range(30):
        count = 0

        def progress(done: int, total: int, label: str) -> None:
            nonlocal count
            count += 1
            if count > 12:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(1e-3)

        try:
            found = train_table(ASKED, dataset(), folder=tmp_path, threads=1, progress=progress)
            break
        except KeyboardInterrupt:
            continue
    assert_same(found, whole)


@pytest.mark.slow
def test_a_process_that_is_killed_loses_nothing_that_it_saved(tmp_path: Path) -> None:
    """kill -9 while two threads are at work."""
    asked = replace(ASKED, epochs=8)
    script = (
        "from tests.numerics.test_training_files import *\n"
        f"train_table(replace(ASKED, epochs=8), dataset(), folder={str(tmp_path / 'a')!r}, threads=2)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[2])
    while child.poll() is None and not checkpoint_of(tmp_path / "a", 0).exists():
        time.sleep(0.02)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    assert read_checkpoint(checkpoint_of(tmp_path / "a", 0)).step >= 5
    assert_same(train_table(asked, dataset(), folder=tmp_path / "a"), train_table(asked, dataset()))


def test_the_weights_at_the_end_stay(tmp_path: Path) -> None:
    data = dataset()
    records = train_table(ASKED, data, folder=tmp_path)
    for unit, first in enumerate(range(0, 8, 2)):
        for row in (0, 1):
            record = records[first + row]
            model = load_checkpoint(checkpoint_of(tmp_path, unit), record.run, shape=model_shape(ASKED, data))
            assert model.kind == record.run.kind
            by_place = load_checkpoint(checkpoint_of(tmp_path, unit), row).state_dict()
            assert all(torch.equal(x, by_place[name]) for name, x in model.state_dict().items())
            assert float(-model.blocks[0].ssm.rate().detach().max()) == record.margin
            if record.result == "finished":  # the same in one batch, in float32
                loss = F.cross_entropy(model(data.test_inputs.float()), data.test_targets)
                assert float(loss.detach()) == pytest.approx(record.test_loss, rel=1e-5)
    tensors = load_file(checkpoint_of(tmp_path, 0))
    assert {name.split(".")[0] for name in tensors} == {"weights", "state", "curves"}
    assert {name for name in tensors if name.startswith("state")} == {"state.alive", "state.steps"}
    columns = Store.read(tmp_path).load("unit-0000")
    assert columns["curve_train_loss"].shape == (2, 20)
    lines = (tmp_path / "table.csv").read_text().splitlines()
    assert lines[0].startswith("row,column,learning_rate,seed,result,steps,train_loss,test_loss,test_accuracy")
    assert len(lines) == 9
    assert lines[1].startswith("0,exp,0.01,0,finished,20,")


# Files that are not what they should be


def began(tmp_path: Path) -> Path:
    kill_after(9, ASKED, tmp_path / "a", tmp_path / "b")
    assert checkpoint_of(tmp_path / "b", 0).exists()
    return tmp_path / "b"


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def pickled(path: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, path)


def of_another_tool(path: Path) -> None:
    save_file({"weights": torch.zeros(3)}, path)


def of_another_table(path: Path) -> None:
    found = read_checkpoint(path)
    write_checkpoint(path, replace(found, asked={**found.asked, "epochs": 5}))


def of_other_runs(path: Path) -> None:
    found = read_checkpoint(path)
    write_checkpoint(path, replace(found, runs=tuple(replace(run, seed=9) for run in found.runs)))


BROKEN = {
    damaged: "the checkpoint is damaged: its content is not what its checksum says",
    cut: "is damaged, or not a safetensors file",
    emptied: "is damaged, or not a safetensors file",
    pickled: "is damaged, or not a safetensors file",
    of_another_tool: "is not a checkpoint of a training table that this version reads",
    of_another_table: "is of another table",
    of_other_runs: "is of another table",
}


@pytest.mark.parametrize("change", BROKEN, ids=lambda change: change.__name__)
def test_a_checkpoint_that_does_not_fit_is_named_and_the_unit_trained_anew(change: Any, tmp_path: Path) -> None:
    folder = began(tmp_path)
    change(checkpoint_of(folder, 0))
    with pytest.warns(
        UserWarning, match=f"unit-0000.safetensors: {BROKEN[change]}; exp, rate 0.01 is trained anew"
    ) as one:
        found = train_table(ASKED, dataset(), folder=folder)
    assert len(one) == 1
    assert "\n" not in str(one[0].message)
    assert_same(found, whole_table())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train_table(ASKED, dataset(), folder=folder)


def test_a_checkpoint_whose_tensors_do_not_fit_is_refused_in_one_line(tmp_path: Path) -> None:
    """With a right checksum: what a changed version of the program might write."""
    folder = began(tmp_path)
    path = checkpoint_of(folder, 0)
    found = read_checkpoint(path)
    for changed in (
        replace(found, weights={**found.weights, "decoder.bias": torch.zeros(2, 9)}),
        replace(found, state={}),
        replace(found, curves={}),
    ):
        write_checkpoint(path, changed)
        with pytest.raises(ValueError, match=r"weights: decoder.bias|state: |curves: ") as caught:
            train_table(ASKED, dataset(), folder=folder)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"), [item for item in BROKEN.items() if not item[0].__name__.startswith("of_other_runs")][:5]
)
def test_load_checkpoint_refuses_what_is_none(change: Any, message: str, tmp_path: Path) -> None:
    path = checkpoint_of(began(tmp_path), 0)
    change(path)
    with pytest.raises(ValueError, match=message) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_load_checkpoint_names_what_it_was_asked_for(tmp_path: Path) -> None:
    path = checkpoint_of(began(tmp_path), 0)
    other = ModelShape(outputs=3, inputs=2, width=7, modes=4, step_sizes=model_shape(ASKED, dataset()).step_sizes)
    cases: list[tuple[Any, dict[str, Any], str]] = [
        (path, {"shape": other}, "holds models of width 6, 7 is asked for"),
        (path, {"run": 2}, r"run: 2: .* has the runs 0 to 1"),
        (path, {"run": True}, "run: a whole number is needed, got True"),
        (path, {"run": "exp"}, "run: a whole number is needed, got exp"),
        (path, {"run": Run(kinds("best")[0], 1e-2, 0)}, "run: best, rate 0.01, seed 0: is not in"),
        (path.parent / "none", {}, "none: cannot be read: No such file or directory"),
        (path.parent, {}, "cannot be read: Is a directory"),
    ]
    for where, given, message in cases:
        with pytest.raises(ValueError, match=message) as caught:
            load_checkpoint(where, **given)
        assert "\n" not in str(caught.value)
    found = read_checkpoint(path)
    write_checkpoint(path, replace(found, shape=other))
    with pytest.raises(ValueError, match=r"its weights do not fit its sizes: encoder.weight has another shape"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 5}, "begun with epochs 4, asked for is 5; use another folder"),
        ({"learning_rates": (1e-2, 2e-2)}, "begun with learning_rates"),
        ({"kinds": kinds("exp", "softplus")}, "begun with columns"),
        ({"kinds": kinds("exp", "direct", time="discrete")}, "begun with time"),
        ({"dtype": "float64"}, "begun with dtype float32, asked for is float64"),
    ],
)
def test_other_settings_need_another_folder(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = began(tmp_path)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=message) as caught:
        train_table(replace(ASKED, **change), dataset(), folder=folder)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="begun with data_checksum"):
        train_table(ASKED, replace(dataset(), checksum="f" * 64), folder=folder)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a letter")
    with pytest.raises(ValueError, match=r"file: cannot be written"):
        train_table(ASKED, dataset(), folder=tmp_path / "file")
    folder = began(tmp_path)
    shutil.rmtree(folder / "checkpoints")
    (folder / "checkpoints").write_text("a letter")
    with pytest.raises(ValueError, match=r"checkpoints: cannot be made: File exists"):
        train_table(ASKED, dataset(), folder=folder)
    assert json.loads((folder / "settings.json").read_text())["asked"]["kind"] == "train"
