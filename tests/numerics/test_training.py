"""Tables of training runs beside plain loops of torch; rows that diverge; threads, interrupts, bad input."""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from numerics.datasets import Dataset
from numerics.layers import LayerKind, SequenceModel
from numerics.reparameterization import Reparameterization
from numerics.stacked_models import StackedModels
from numerics.training import model_shape, row_bytes, train_table, units
from numerics.training_table import QUANTILES, Run, TrainingTable
from numerics.training_unit import TrainingData, UnitTraining, data_order
from tests.numerics.training_examples import SMALL, assert_same, dataset, kinds, table

CPU = torch.device("cpu")


def plain_loss(task: str, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    if task == "regression":
        return ((outputs - targets) ** 2).mean()
    return F.cross_entropy(outputs.movedim(-1, 1), targets)


def plain_run(run: Run, asked: TrainingTable, data: Dataset) -> dict[str, list[float]]:
    """One run as one writes it: a module, torch.optim, a scheduler, one step after the other."""
    model = SequenceModel(model_shape(asked, data), run.kind, run.seed)
    count = len(data.train_inputs) // asked.batch
    settings: dict[str, Any] = {"lr": run.learning_rate, "weight_decay": 0.01 if asked.optimizer == "adamw" else 0.0}
    rule = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[asked.optimizer](model.parameters(), **settings)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(rule, T_max=count * asked.epochs)
    weights = [block.ssm.w for block in model.blocks]
    f = run.kind.reparameterization
    logs: dict[str, list[float]] = {}

    def log(**values: torch.Tensor | float) -> None:
        for name, value in values.items():
            logs.setdefault(name, []).append(float(value))

    for epoch in range(asked.epochs):
        order = data_order(run.seed, epoch, len(data.train_inputs))
        for step in range(count):
            batch = order[step * asked.batch : (step + 1) * asked.batch]
            rule.zero_grad()
            loss = plain_loss(data.task, model(data.train_inputs[batch]), data.train_targets[batch])
            loss.backward()
            w = torch.cat([w.detach().flatten() for w in weights])
            ratio = np.abs(torch.cat([x.grad.flatten() for x in weights]).numpy() / w.numpy())
            rates = f(w)
            margin = 1 - rates.abs().max() if run.kind.is_discrete else -rates.max()
            log(train_loss=loss.detach(), gradient_over_weight=ratio.max(), margin=margin)
            log(**{f"gradient_over_weight_q{q:g}": np.quantile(ratio, q, method="inverted_cdf") for q in QUANTILES})
            rule.step()
            schedule.step()
        with torch.no_grad():
            outputs = model(data.test_inputs)
        right = (outputs.argmax(-1) == data.test_targets).double().mean() if data.outputs > 1 else math.nan
        log(test_loss=plain_loss(data.task, outputs, data.test_targets), test_accuracy=right)
    with torch.no_grad():
        rates = f(torch.cat([w.flatten() for w in weights]))
    log(end_margin=1 - rates.abs().max() if run.kind.is_discrete else -rates.max())
    return logs


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize(
    ("task", "asked"),
    [
        (
            "classification",
            table("exp", "best:b=0.1", dtype="float64", learning_rates=(1e-2, 1e-1), seeds=(3,), epochs=6),
        ),
        ("classification", table("softplus", gain="unit-norm", dtype="float64", depth=2, epochs=6)),
        ("classification", table("exp", dtype="float64", optimizer="sgd", learning_rates=(0.3,), epochs=6)),
        ("regression", table("direct", dtype="float64", epochs=6)),
        ("regression", table("tanh", time="discrete", gain="lru", dtype="float64", epochs=6)),
        ("language", table("exp", dtype="float64", epochs=6)),
    ],
)
def test_a_table_is_its_runs_one_after_another(task: str, asked: TrainingTable) -> None:
    """30 steps in float64: the same operations in another order, whose roundings the steps of Adam (η times a ratio of
    gradients) amplify where a gradient is near 0; hence 1e-9 where one step agrees to 1e-15."""
    data = dataset(task)
    records = train_table(asked, data, threads=1)
    assert [record.run for record in records] == list(asked.runs)
    for record in records:
        wanted = plain_run(record.run, asked, data)
        assert (record.result, record.steps) == ("finished", 30)
        for name, curve in record.curves.items():
            assert curve.tolist() == pytest.approx(wanted[name], rel=1e-9, abs=1e-10, nan_ok=True), name
        assert record.train_loss == pytest.approx(np.mean(wanted["train_loss"][-5:]), rel=1e-9)
        assert record.test_loss == pytest.approx(wanted["test_loss"][-1], rel=1e-9)
        assert record.gradient_over_weight == pytest.approx(max(wanted["gradient_over_weight"]), rel=1e-9)
        assert record.margin == pytest.approx(wanted["end_margin"][0], rel=1e-9)
        assert record.least_margin == pytest.approx(min(wanted["margin"] + wanted["end_margin"]), rel=1e-9)
        assert math.isnan(record.test_accuracy) == (task == "regression")


def trained(asked: TrainingTable, data: Dataset, runs: list[Run], together: bool) -> UnitTraining:
    moved = TrainingData(data, CPU, torch.float64 if asked.dtype == "float64" else torch.float32)
    found = UnitTraining(asked, runs, model_shape(asked, data), moved, CPU, together=together)
    found.train()
    return found


@pytest.mark.parametrize("task", ["classification", "regression", "language"])
@pytest.mark.parametrize("time", ["continuous", "discrete"])
def test_the_program_of_a_gpu_is_that_of_the_cpu(task: str, time: str) -> None:
    """Rows of several f, rates and seeds under vmap, and one after the other."""
    asked = table(
        "exp",
        "softplus",
        "best:b=" + ("0.1" if time == "continuous" else "1"),
        time=time,
        dtype="float64",
        learning_rates=(1e-2, 5e-2),
        depth=2,
        epochs=2,
    )
    looped, together = (trained(asked, dataset(task), list(asked.runs), x).records() for x in (False, True))
    assert len(together) == 12
    assert_same(together, looped, 1e-9)


@pytest.mark.parametrize("together", [False, True])
def test_a_row_that_diverges_is_not_noticed_by_the_others(together: bool) -> None:
    asked = table("direct", learning_rates=(1e-2, 1e30), seeds=(0, 1, 2), epochs=4)
    runs = [asked.runs[row] for row in (0, 4, 2)]  # the second one at the rate 1e30
    sane = [asked.runs[row] for row in (0, 1, 2)]
    found, wanted = (trained(asked, dataset(), rows, together).records() for rows in (runs, sane))
    assert_same([found[0], found[2]], [wanted[0], wanted[2]])
    broken = found[1]
    assert (broken.result, broken.steps) == ("diverged", 1)
    for name in ("train_loss", "test_loss", "test_accuracy"):
        assert math.isnan(getattr(broken, name))
    assert np.isfinite(broken.curves["train_loss"][0])
    for curve in broken.curves.values():
        assert np.isnan(curve[1:]).all()
    assert broken.gradient_over_weight == broken.curves["gradient_over_weight"][0]
    assert broken.margin == broken.least_margin == 0.5  # the weights of the last good evaluation, the start


def test_a_unit_whose_rows_have_all_diverged_ends_after_the_epoch() -> None:
    asked = table("direct", learning_rates=(1e30,), epochs=50)
    counted: list[tuple[int, int]] = []
    records = train_table(asked, dataset(), threads=1, progress=lambda done, total, _: counted.append((done, total)))
    assert [record.result for record in records] == ["diverged"] * 2
    assert len(counted) < 10
    assert counted[-1] == (500, 500)


def test_a_test_loss_that_is_not_finite_is_a_divergence() -> None:
    data = dataset()
    broken = data.test_inputs.clone()
    broken[3, 2, 1] = math.inf
    names = ("name", "task", "train_inputs", "train_targets")
    given = Dataset(*(getattr(data, name) for name in names), broken, data.test_targets, 3, 0, (), "random", "1" * 64)
    (record, _) = train_table(table("exp"), given, threads=1)
    assert record.result == "diverged"
    assert record.steps == 5
    assert np.isfinite(record.curves["train_loss"][:5]).all()
    assert np.isnan(record.curves["test_loss"]).all()


def test_equal_tables_are_equal_whatever_the_number_of_threads() -> None:
    asked = table("exp", "direct", learning_rates=(1e-2, 1.0))
    one = train_table(asked, dataset(), threads=1)
    assert_same(train_table(asked, dataset(), threads=1), one)
    assert_same(train_table(asked, dataset(), threads=2), one)


def test_a_run_does_not_depend_on_the_table_around_it() -> None:
    """Its seed alone decides the start and the data: other columns, rates and seeds change nothing but rounding."""
    whole = train_table(table("exp", "best", learning_rates=(1e-2, 1e-1), dtype="float64"), dataset(), threads=1)
    alone = train_table(table("best", learning_rates=(1e-1,), seeds=(1,), dtype="float64"), dataset(), threads=1)
    assert_same([whole[-1]], alone, 1e-9)


def test_seeds_decide_the_order_of_the_data() -> None:
    assert data_order(3, 4, 50).tolist() == data_order(3, 4, 50).tolist()
    orders = [data_order(seed, epoch, 50).tolist() for seed in range(3) for epoch in range(3)]
    assert len({tuple(order) for order in orders}) == 9
    assert all(sorted(order) == list(range(50)) for order in orders)


def test_all_columns_and_rates_of_a_seed_start_alike() -> None:
    """The first loss is that of one function on one batch."""
    records = train_table(table("exp", "best", "direct", learning_rates=(1e-3, 1e-1), dtype="float64"), dataset())
    for seed in (0, 1):
        first = {round(r.curves["train_loss"][0], 12) for r in records if r.run.seed == seed}
        assert len(first) == 1
    assert len({round(r.curves["train_loss"][0], 12) for r in records}) == 2


def test_rows_of_other_time_or_gain_share_a_table() -> None:
    both = TrainingTable((*kinds("exp"), *kinds("exp", time="discrete"), *kinds("exp", gain="dc")), (1e-2,), **SMALL)
    records = train_table(both, dataset(), threads=1)
    assert_same(records[2:4], train_table(table("exp", time="discrete"), dataset(), threads=1))
    with pytest.raises(ValueError, match="runs: the rows of one program need the same time"):
        trained(both, dataset(), list(both.runs), True)


def test_the_range_of_step_sizes_follows_the_length() -> None:
    shape = model_shape(table("exp"), dataset(length=64))
    assert shape.step_sizes == pytest.approx((0.784 / 64, 78.4 / 64))
    assert (shape.inputs, shape.tokens, shape.outputs, shape.pooled) == (2, 0, 3, True)
    given = model_shape(table("exp", step_sizes=(0.1, 0.2)), dataset("language"))
    assert given.step_sizes == (0.1, 0.2)
    assert (given.inputs, given.tokens, given.outputs, given.pooled) == (0, 5, 5, False)


# Progress and interrupts


def test_progress_counts_run_steps_one_call_at_a_time() -> None:
    calls: list[tuple[int, int, str]] = []
    inside = threading.Lock()

    def progress(done: int, total: int, label: str) -> None:
        assert inside.acquire(blocking=False)
        calls.append((done, total, label))
        inside.release()

    train_table(table("exp", "best:b=0.1", learning_rates=(1e-2, 0.5)), dataset(), threads=2, progress=progress)
    assert [done for done, _, _ in calls] == sorted(done for done, _, _ in calls)
    assert {total for _, total, _ in calls} == {8 * 15}
    assert calls[-1][0] == 8 * 15
    assert {label for _, _, label in calls} == {
        f"{f}, rate {rate}" for f in ("exp", "best:b=0.1") for rate in (0.01, 0.5)
    }


def control_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def from_the_thread() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("interrupt", [control_c, from_the_thread])
def test_an_interrupt_stops_every_thread_and_keeps_what_is_finished(
    interrupt: Callable[[], None], tmp_path: Path
) -> None:
    asked = table("exp", "best", learning_rates=(1e-2, 1e-1), seeds=(0,), epochs=8)
    asked_once = threading.Event()
    late: list[int] = []

    def progress(done: int, total: int, _: str) -> None:
        late.append(done)
        if (tmp_path / "a" / "chunks" / "unit-0000.npz").exists() and not asked_once.is_set():
            asked_once.set()
            late.clear()
            interrupt()

    with pytest.raises(KeyboardInterrupt):
        train_table(asked, dataset(), threads=2, folder=tmp_path / "a", progress=progress)
    assert threading.active_count() == 1
    assert len(late) < 20  # of 160 calls for all
    assert_same(train_table(asked, dataset(), threads=2, folder=tmp_path / "a"), train_table(asked, dataset()))


def test_an_error_in_one_thread_ends_the_table() -> None:
    def progress(done: int, total: int, label: str) -> None:
        if done > 20:
            raise RuntimeError("no paper left")

    with pytest.raises(RuntimeError, match="no paper left"):
        train_table(table("exp", "best", epochs=200), dataset(), threads=2, progress=progress)


# Bad input and memory


@pytest.mark.parametrize(
    ("asked", "given", "settings", "message"),
    [
        (table("exp", batch=64), dataset(), {}, "batch: 64 sequences a step are asked for, small has 43 to train with"),
        (table("best:b=1.5", time="discrete"), dataset(), {}, "'best:b=1.5' cannot start at λ = f"),
        (table("exp", weight_decay=-1.0), dataset(), {}, "weight_decay: must be finite and at least 0, got -1.0"),
        (table("exp"), dataset(), {"threads": 0}, "threads: at least 1 is needed, got 0"),
        (table("exp"), dataset(), {"device": "tpu"}, "device: 'tpu' is not one of auto, cpu, cuda"),
        (table("exp", width=10**6, modes=10**4), dataset(), {}, r"table: needs about \S+ GiB, \S+ GiB are available"),
        (table("exp", epochs=10**12), dataset(), {}, r"table: needs about \S+ GiB, \S+ GiB are available"),
    ],
)
def test_bad_input(
    asked: TrainingTable, given: Dataset, settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        train_table(asked, given, folder=tmp_path / "none", **settings)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("task", "changes"),
    [
        ("classification", {"batch": 32}),
        ("classification", {"batch": 1, "width": 32, "modes": 64}),
        ("language", {"depth": 2, "batch": 16, "width": 12}),
        ("regression", {"dtype": "float64", "batch": 16, "width": 24, "modes": 16}),
    ],
)
def test_the_memory_asked_for_is_enough_and_not_far_too_much(task: str, changes: dict[str, Any]) -> None:
    """The peak of one step of one row by torch's own profiler."""
    data, asked = dataset(task, length=64), table("best:b=0.1", seeds=(0,), **changes)
    moved = TrainingData(data, CPU, torch.float64 if asked.dtype == "float64" else torch.float32)
    shape = model_shape(asked, data)
    models = StackedModels(
        shape, asked.runs, task, device=CPU, dtype=moved.train[0].dtype if task != "language" else torch.float32
    )
    batch = [x[: asked.batch].unsqueeze(0) for x in moved.train]
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        models.evaluate(models.start, *batch)
    assert profile.profiler is not None
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = np.cumsum([e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())])
    assert 1 < row_bytes(asked, shape, data) / held.max() < 3


def test_units_on_the_cpu_are_the_seeds_of_a_column_and_rate() -> None:
    asked = table("exp", "direct", learning_rates=(1e-2, 1e-1), seeds=(0, 5, 7))
    found = units(asked, model_shape(asked, dataset()), dataset(), CPU)
    assert [unit.rows for unit in found] == [(0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11)]
    assert [unit.label for unit in found] == [f"{f}, rate {rate}" for f in ("exp", "direct") for rate in (0.01, 0.1)]


@pytest.mark.parametrize("task", ["classification", "regression", "language"])
def test_a_step_reads_no_value(task: str) -> None:
    """On the device "meta", which has none, the program of a GPU takes its steps; the end of an epoch reads some."""
    asked, meta = table("exp", "direct", "best:b=0.1", depth=2), torch.device("meta")
    moved = TrainingData(dataset(task), meta, torch.float32)
    found = UnitTraining(asked, asked.runs, model_shape(asked, dataset(task)), moved, meta)
    assert found.models.together
    for _ in range(2):
        found._step(torch.empty(6, 8, dtype=torch.int64, device=meta))
    assert found.walk.params[0].device == meta
    assert found._log[1].shape == (6, 6)
    with pytest.raises(Exception, match=r"meta|data-dependent"):
        bool(found.finished)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("task", ["classification", "regression", "language"])
def test_cuda_gives_the_numbers_of_the_cpu(task: str) -> None:
    asked = table("exp", "direct", "best:b=0.1", learning_rates=(1e-2, 5e-2), dtype="float64")
    mixed = TrainingTable((*asked.kinds, *kinds("tanh", time="discrete")), (1e-2,), dtype="float64", **SMALL)
    for each in (asked, mixed):
        on_gpu, on_cpu = (train_table(each, dataset(task), device=device) for device in ("cuda", "cpu"))
        assert_same(on_gpu, on_cpu, 1e-8)


def test_growing_modes_are_trained_as_they_are() -> None:
    """The published start of `direct`: a negative margin is logged, not refused."""
    asked = TrainingTable((LayerKind(Reparameterization("direct"), start="published"),), (1e-3,), **SMALL)
    for record in train_table(asked, dataset(), threads=1):
        assert record.curves["margin"][0] == -0.5
        assert record.least_margin <= -0.5
