"""Sweeps: the grid and its units, what is kept and resumed, and the table."""

from __future__ import annotations

import csv
import itertools
import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics.fit_grid import Sweep, Unit, read_sweep, sweep_of_json
from numerics.store import Columns, Store
from numerics.sweep import fitted_model, json_rows, run_sweep
from tests.numerics.fake_fits import fake_fit, fake_unit, same_tables

ROOT = Path(__file__).parent.parent.parent
GRID: dict[str, Any] = {
    "target": ["polynomial:p=1.5", "exponential"],
    "reparam": ["exp", "softplus"],
    "m": [4, 1, 2],
    "seeds": 4,
    "modes": ["plain", "unit-norm"],
    "batch": 5,
}
GRADIENT = {**GRID, "mode": "gradient", "learning_rate": [0.1, 0.01], "optimizer": ["sgd", "adam"]}


# The grid


@pytest.mark.parametrize("content", [GRID, GRADIENT], ids=["optimal", "gradient"])
def test_every_combination_is_in_exactly_one_unit(content: dict[str, Any]) -> None:
    sweep = sweep_of_json(content)
    found = [
        (line.optimizer, line.target, line.reparam, line.modes, line.learning_rate, m, line.seed)
        for unit in sweep.units()
        for line in unit.lines
        for m in sweep.m
    ]
    wanted = list(itertools.product(*sweep.axes))
    assert len(found) == len(set(found)) == len(wanted) == sweep.size
    assert set(found) == set(wanted)
    for unit in sweep.units():
        assert len(unit.lines) <= 5
        assert len({line.optimizer for line in unit.lines}) == 1


@pytest.mark.parametrize("content", [GRID, GRADIENT], ids=["optimal", "gradient"])
def test_rows_are_numbered_in_the_order_of_the_axes(content: dict[str, Any]) -> None:
    sweep = sweep_of_json(content)
    wanted = {choice: row for row, choice in enumerate(itertools.product(*sweep.axes))}
    for line in sweep.lines():
        for m in sweep.m:
            choice = (line.optimizer, line.target, line.reparam, line.modes, line.learning_rate, m, line.seed)
            assert sweep.row(line, m) == wanted[choice]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 3))
def test_the_default_batch_depends_on_the_grid_alone(seeds: int, reparams: int) -> None:
    sweep = Sweep((("exponential",),), ("exp", "softplus", "direct")[:reparams], (1,), seeds=tuple(range(seeds)))
    sizes = [len(unit.lines) for unit in sweep.units()]
    lines = seeds * reparams
    assert sum(sizes) == lines
    assert len(set(sizes[:-1])) <= 1
    assert max(sizes) <= 512
    assert len(sizes) == 1 or min(sizes[:-1]) >= 16
    assert len(sizes) >= min(8, lines // 16)


@pytest.mark.parametrize("content", [GRID, GRADIENT, {"target": [["exponential", "airy"]], "reparam": "exp", "m": 2}])
def test_a_grid_is_read_back_from_its_json(content: dict[str, Any], tmp_path: Path) -> None:
    sweep = sweep_of_json(content)
    text = json.dumps(sweep.as_json(), allow_nan=False)
    assert sweep_of_json(json.loads(text)) == sweep
    path = tmp_path / "sweep.json"
    path.write_text(text)
    assert read_sweep(path) == sweep


def test_single_values_and_a_number_of_seeds() -> None:
    sweep = sweep_of_json({"target": "exponential", "reparam": "exp", "m": 3, "seeds": 3, "horizon": "inf"})
    assert (sweep.target, sweep.reparam, sweep.m, sweep.seeds) == ((("exponential",),), ("exp",), (3,), (0, 1, 2))
    assert sweep_of_json({"target": "exponential", "reparam": "exp", "m": 3, "seeds": [7, 5]}).seeds == (7, 5)


MINIMAL = {"target": ["exponential"], "reparam": ["exp"], "m": [2]}
TRAINED = {**MINIMAL, "mode": "gradient"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({**MINIMAL, "reparm": ["exp"]}, "'reparm' is no axis; did you mean reparam?"),
        ({**MINIMAL, "learning-rate": [1]}, "did you mean learning_rate?"),
        ({**MINIMAL, "seed": 3}, "'seed' is no axis; did you mean seeds?"),
        ({**MINIMAL, "qqqq": 3}, "'qqqq' is no axis; known: target, reparam, m"),
        ({"target": ["exponential"], "m": [2]}, "reparam is missing"),
        ({**MINIMAL, "target": []}, "target: at least one value"),
        ({**MINIMAL, "target": ["polynominal:p=2"]}, "did you mean polynomial?"),
        ({**MINIMAL, "target": [["exponential", "airy"], "airy"]}, "the same number of kernels"),
        ({**MINIMAL, "target": ["sine"]}, "sine"),
        ({**MINIMAL, "target": [3]}, "target: texts are needed, got 3"),
        ({**MINIMAL, "reparam": ["expp"]}, "expp"),
        ({**MINIMAL, "reparam": ["exp", "exp"]}, "reparam: exp is given twice"),
        ({**MINIMAL, "m": [0]}, "m: at least 1 is needed, got 0"),
        ({**MINIMAL, "m": [2.5]}, "m: a whole number is needed, got 2.5"),
        ({**MINIMAL, "m": [True]}, "m: a whole number is needed, got True"),
        ({**MINIMAL, "m": ["4"]}, "m: a whole number is needed, got 4"),
        ({**MINIMAL, "m": [2, [3]]}, r"m: single values are needed, got \[3\]"),
        ({**MINIMAL, "m": [4097]}, "m: 4097 is too large; at most 4096"),
        ({**MINIMAL, "seeds": {"a": 1}}, r'seeds: single values are needed, got \{"a": 1\}'),
        ({**MINIMAL, "seeds": [2**63]}, "seeds: 9223372036854775808 is too large"),
        ({**TRAINED, "learning_rate": [[0.1]]}, r"learning_rate: single values are needed, got \[0.1\]"),
        ({**MINIMAL, "horizon": 10**400}, "horizon: a number is needed, got 1000"),
        ({**MINIMAL, "seeds": 0}, "seeds: at least 1 is needed"),
        ({**MINIMAL, "seeds": [-1]}, "seeds: at least 0 is needed"),
        ({**MINIMAL, "seeds": 10_000_001}, "seeds: there are 10000001; at most 10000000"),
        ({**MINIMAL, "seeds": 5_000_001, "m": [1, 2]}, "the grid has 10000002 fits"),
        ({**MINIMAL, "modes": ["norm"]}, "modes: 'norm' is not one of plain, unit-norm"),
        ({**MINIMAL, "mode": "best"}, "mode: 'best' is not one of optimal, gradient"),
        ({**MINIMAL, "mode": 3}, "mode: '3' is not one of"),
        ({**MINIMAL, "loss": "l1"}, "loss: 'l1' is not one of"),
        ({**MINIMAL, "complex": "yes"}, "complex: true or false"),
        ({**MINIMAL, "time": "sometimes"}, "time: 'sometimes' is not one of"),
        ({**MINIMAL, "step_size": 0}, "step_size: a positive number"),
        ({**MINIMAL, "step_size": "1"}, "step_size: a number is needed, got '1'"),
        ({**MINIMAL, "horizon": -1}, "horizon: a positive number"),
        ({**MINIMAL, "horizon": math.nan}, "horizon: a number is needed, got nan"),
        ({**MINIMAL, "loss": "sequences"}, "sequences need a finite number of steps"),
        ({**MINIMAL, "steps": 0}, "steps: at least 1"),
        (
            {**MINIMAL, "m": [1, 2, 60], "time": "discrete", "horizon": 60},
            "horizon: 60 steps are too few .* m = 60; at ",
        ),
        ({**MINIMAL, "batch": 0}, "batch: at least 1"),
        ({**MINIMAL, "learning_rate": [0.1]}, "learning_rate: has a meaning in gradient mode alone"),
        ({**MINIMAL, "weight_decay": 0.1}, "weight_decay: has a meaning in gradient mode alone"),
        ({**TRAINED, "learning_rate": [0]}, "learning_rates: each must be positive and finite, got 0"),
        ({**TRAINED, "learning_rate": [-0.1]}, "learning_rates: each must be positive and finite, got -0.1"),
        ({**TRAINED, "learning_rate": ["fast"]}, "learning_rates: each must be positive and finite, got 'fast'"),
        ({**TRAINED, "optimizer": ["lion"]}, "optimizer: 'lion' is not one of"),
        ({**TRAINED, "schedule": "step"}, "schedule: 'step' is not one of"),
        ({**TRAINED, "weight_decay": -1}, "weight_decay: must be finite and at least 0, got -1"),
        ([1], r"an object with axes is needed, got \[1\]"),
    ],
)
def test_a_grid_that_cannot_be_is_one_line(content: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        sweep_of_json(content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "is not JSON"),
        (b"\xff", "is not UTF-8 text"),
        (b"[" * 100_000, "nested too deeply|is not JSON"),
        (b'{"m": 1, "m": 2}', "'m' is given twice"),
        (b'{"m": 1}', "target is missing"),
        (b" " * 10_000_001, "has more than 10000000 bytes"),
    ],
)
def test_a_sweep_file_that_cannot_be_names_the_file(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "sweep.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"sweep\.json.*({words})"):
        read_sweep(path)


def test_of_a_device_without_an_end_no_more_is_read_than_may_be() -> None:
    with pytest.raises(ValueError, match="/dev/zero: has more than 10000000 bytes"):
        read_sweep("/dev/zero")


def test_a_missing_sweep_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.json: cannot be read: No such file"):
        read_sweep(tmp_path / "none.json")


# Running


def run(content: dict[str, Any], **given: Any) -> Columns:
    return run_sweep(sweep_of_json(content), **{"worker": fake_unit, "device": "cpu", **given})


@pytest.mark.parametrize("content", [GRID, GRADIENT], ids=["optimal", "gradient"])
def test_the_table_is_in_the_order_of_the_grid(content: dict[str, Any]) -> None:
    sweep, table = sweep_of_json(content), run(content)
    for row, (optimizer, target, reparam, modes, rate, m, seed) in enumerate(itertools.product(*sweep.axes)):
        wanted = {"target": target[0], "reparam": reparam, "modes": modes, "m": m, "seed": seed}
        if sweep.mode == "gradient":
            wanted |= {"optimizer": optimizer, "learning_rate": rate}
        assert {name: table[name][row] for name in wanted} == wanted


@pytest.mark.parametrize("content", [GRID, GRADIENT], ids=["optimal", "gradient"])
def test_rows_do_not_depend_on_units_or_on_the_folder(content: dict[str, Any], tmp_path: Path) -> None:
    plain = run(content)
    assert same_tables(plain, run(content, folder=tmp_path))
    assert same_tables(plain, run(content, folder=tmp_path))
    for batch in (1, 7, None):
        assert same_tables(plain, run({**content, "batch": batch}))


def test_the_weights_of_a_row_are_those_of_its_fit() -> None:
    sweep, table = sweep_of_json(GRID), run(GRID)
    row = next(row for row in range(sweep.size) if table["m"][row] == 2 and table["seed"][row] == 1)
    line = next(line for line in sweep.lines() if line.seed == 1)
    fits = [fake_fit(sweep.problem([line], 1))]
    fits.append(fake_fit(sweep.problem([line], 2), warm=fits))
    model = fitted_model(sweep, table, row)
    assert model.layers[0].w.tolist() == fits[1].w[0].tolist()
    assert model.layers[0].U.tolist() == fits[1].U[0].tolist()
    assert model.c.tolist() == fits[1].model(0).c.tolist()
    assert np.isnan(table["w"][row, 2:]).all()


def test_complex_models_of_two_inputs_are_rebuilt(tmp_path: Path) -> None:
    content = {**MINIMAL, "target": [["exponential", "polynomial:p=2"]], "complex": True, "m": [1, 3]}
    sweep, table = sweep_of_json(content), run(content, folder=tmp_path)
    assert table["target"].tolist() == ["exponential,polynomial:p=2"] * 2
    first = fake_fit(sweep.problem(list(sweep.lines()), 1))
    wanted = fake_fit(sweep.problem(list(sweep.lines()), 3), warm=[first]).model(0)
    model = fitted_model(sweep, table, 1)
    assert model.is_complex
    assert model.lam().tolist() == wanted.lam().tolist()
    assert model.c.tolist() == wanted.c.tolist()
    assert model.layers[0].U.shape == (3, 2)


def test_rows_as_json() -> None:
    rows = json_rows(run(GRID))
    json.dumps(rows, allow_nan=False)
    assert len(rows) == sweep_of_json(GRID).size
    named = ["target", "reparam", "m", "seed", "error_l2", "error_w1inf", "margin", "decay_rate", "bound_ratio_min"]
    assert [name for name in rows[0] if name in named] == named
    assert rows[0]["finite_up_to"] == "inf"
    assert rows[0]["decay_rate"] == [rows[0]["margin"], 2 * rows[0]["margin"]]
    without = [row for row in rows if row["decay_rate"] is None]
    assert without
    assert all(row["error_w1inf"] is None for row in without)
    assert {row["result"] for row in rows} == {"converged", "diverged"}


def test_the_table_is_written_for_other_programs(tmp_path: Path) -> None:
    table = run(GRID, folder=tmp_path)
    with open(tmp_path / "table.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["error_l2"]) for row in rows] == table["error_l2"].tolist()
    assert [row["target"] for row in rows] == table["target"].tolist()
    assert not {"w", "U", "c", "omega"} & set(rows[0])


class Stop(Exception):
    pass


@pytest.mark.parametrize("finished", [0, 1, 4])
def test_a_stopped_run_goes_on_and_repeats_nothing(tmp_path: Path, finished: int) -> None:
    computed: list[str] = []

    def worker(sweep: Sweep, unit: Unit, **given: Any) -> Columns:
        if len(computed) == finished and not stopped:
            stopped.append(True)
            raise Stop
        computed.append(unit.key)
        return fake_unit(sweep, unit, **given)

    stopped: list[bool] = []
    with pytest.raises(Stop):
        run(GRID, folder=tmp_path, worker=worker)
    assert len(list((tmp_path / "chunks").iterdir())) == finished
    table = run(GRID, folder=tmp_path, worker=worker)
    assert computed == [unit.key for unit in sweep_of_json(GRID).units()]
    assert same_tables(table, run(GRID))


def test_a_damaged_unit_is_computed_again(tmp_path: Path) -> None:
    table = run(GRID, folder=tmp_path)
    path = tmp_path / "chunks" / "unit-00002.npz"
    path.write_bytes(path.read_bytes()[:-50])
    computed: list[str] = []

    def worker(sweep: Sweep, unit: Unit, **given: Any) -> Columns:
        computed.append(unit.key)
        return fake_unit(sweep, unit, **given)

    with pytest.warns(UserWarning, match=r"unit-00002\.npz is damaged and will be computed again"):
        again = run(GRID, folder=tmp_path, worker=worker)
    assert computed == ["unit-00002"]
    assert same_tables(table, again)


def test_another_grid_is_refused_by_its_axis(tmp_path: Path) -> None:
    run(MINIMAL, folder=tmp_path)
    with pytest.raises(ValueError, match=r"begun with m \[2\], asked for is \[2, 3\]"):
        run({**MINIMAL, "m": [2, 3]}, folder=tmp_path)


def test_progress_counts_fits(tmp_path: Path) -> None:
    said: list[tuple[int, int, str]] = []
    run(GRID, folder=tmp_path, on_progress=lambda *given: said.append(given))
    size = sweep_of_json(GRID).size
    assert [done for done, _, _ in said] == sorted(done for done, _, _ in said)
    assert (said[0][0], said[-1][0]) == (0, size)
    assert {total for _, total, _ in said} == {size}
    said.clear()
    (tmp_path / "chunks" / "unit-00000.npz").unlink()
    run(GRID, folder=tmp_path, on_progress=lambda *given: said.append(given))
    assert (said[0][0], said[-1][0]) == (size - 15, size)


def test_a_wrong_device_or_dtype_stops_before_the_folder_is_begun(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="device: 'gpu' is not one of"):
        run(MINIMAL, folder=tmp_path / "new", device="gpu")
    with pytest.raises(ValueError, match="dtype: 'float16' is not one of float64, float32"):
        run(MINIMAL, folder=tmp_path / "new", dtype="float16")
    assert not (tmp_path / "new").exists()


SLOW_RUN = f"""
import json, sys, time
from numerics.fit_grid import sweep_of_json
from numerics.sweep import run_sweep
from tests.numerics.fake_fits import fake_unit

def worker(sweep, unit, **given):
    print(unit.key, flush=True)
    time.sleep(float(sys.argv[2]))
    return fake_unit(sweep, unit, **given)

run_sweep(sweep_of_json({GRID!r}), folder=sys.argv[1], worker=worker, device="cpu")
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_and_repeats_nothing_finished(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SLOW_RUN, str(tmp_path)]
    process = subprocess.Popen([*command, "0.2"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    begun = [process.stdout.readline().strip() for _ in range(3)]
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    assert begun == ["unit-00000", "unit-00001", "unit-00002"]
    keys = [unit.key for unit in sweep_of_json(GRID).units()]
    kept = set(keys) - set(Store.read(tmp_path).missing(keys))
    assert kept == {"unit-00000", "unit-00001"}
    computed: list[str] = []

    def worker(sweep: Sweep, unit: Unit, **given: Any) -> Columns:
        computed.append(unit.key)
        return fake_unit(sweep, unit, **given)

    assert same_tables(run(GRID, folder=tmp_path, worker=worker), run(GRID))
    assert computed == keys[2:]
