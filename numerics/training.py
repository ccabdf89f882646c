"""Trains all runs of a table: columns × learning rates × seeds, on a GPU or on the cores of this machine.

A run is a SequenceModel (numerics.layers) that takes, epoch after epoch, the batches of the training data in an order
decided by its seed and the epoch alone, so that all columns and rates of a seed see the same batches; sequences left
over at the end of an epoch that fill no batch are not used in it. The learning rate follows the schedule step by step
(numerics.optim). Losses: cross entropy in nats (classification; language: a token), mean square (regression).

Weight decay pulls w towards 0 as it does every weight, hence λ towards f(0), which is another for every f.

Rows that share time and gain train in one program (numerics.stacked_models). A unit is what trains at a time: on a GPU
as many of them as fit; on the CPU the seeds of one column and rate, each unit on one core and one thread. Units are
decided by the table alone and never by the number of threads, so that equal tables have equal numbers on one device.
"""

from __future__ import annotations

import json
import math
import os
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from numerics.arguments import check_count, shown_path
from numerics.cores import usable_cores
from numerics.fitting import resolve_device
from numerics.layers import ModelShape, SequenceModel
from numerics.model_checks import check_memory
from numerics.optim import Rule
from numerics.stacked_models import program
from numerics.store import Store, library_versions
from numerics.threads import SharedCount, one_thread
from numerics.training_files import (
    CHECKPOINTS,
    Checkpoint,
    column_records,
    read_checkpoint,
    unit_columns,
    write_checkpoint,
)
from numerics.training_table import DTYPES, PER_EPOCH, PER_STEP, Run, RunRecord, TrainingTable, variant_name
from numerics.training_unit import Stopped, TrainingData, UnitTraining

if TYPE_CHECKING:
    from numerics.datasets import Dataset

Progress = Callable[[int, int, str], None]


def model_shape(table: TrainingTable, dataset: Dataset) -> ModelShape:
    """The sizes of a table's models on a data set; the range of Δ is (0.784/L, 78.4/L) where the table has none."""
    return ModelShape(
        outputs=dataset.outputs,
        inputs=dataset.input_dim,
        tokens=dataset.tokens,
        width=table.width,
        modes=table.modes,
        depth=table.depth,
        pooled=dataset.task == "classification",
        step_sizes=table.step_sizes or (0.784 / dataset.length, 78.4 / dataset.length),
    )


def train_table(
    table: TrainingTable,
    dataset: Dataset,
    *,
    folder: str | os.PathLike[str] | None = None,
    device: str | torch.device = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> list[RunRecord]:
    """The records of table.runs, in their order.

    folder: finished units are kept there (numerics.store) and not trained again, a running one goes on from its
    checkpoint, by the same numbers as without the interruption; the weights at the end stay in checkpoints/, see
    numerics.training_files.load_checkpoint. device: "auto" is CUDA where there is a device, else the CPU. threads: on
    the CPU, None for the cores there are. progress(done, total, label) counts runs times steps; it is called by one
    thread at a time. An interrupt ends all threads within a step.
    Raises ValueError, in one line, for a data set with fewer sequences than a batch, an absent device, an f that cannot
    start, a folder begun with other settings or that cannot be written, and where the memory is too small.
    """
    place = resolve_device(device)
    count = usable_cores() if threads is None else threads
    check_count("threads", count, 1)
    if len(dataset.train_inputs) < table.batch:
        raise ValueError(
            f"batch: {table.batch} sequences a step are asked for, {dataset.name} has {len(dataset.train_inputs)} to "
            "train with"
        )
    job = _Job(table, dataset, place, count if place.type == "cpu" else 1, folder, progress)
    _in_threads(job.work, job.open(), job.threads, job.stop)
    return job.result()


class _Job:
    """One call of train_table: its units, the folder, and the records as they come."""

    def __init__(
        self,
        table: TrainingTable,
        dataset: Dataset,
        device: torch.device,
        threads: int,
        folder: str | os.PathLike[str] | None,
        progress: Progress | None,
    ) -> None:
        self.table, self.device, self.threads = table, device, threads
        self.shape = model_shape(table, dataset)
        self.units = units(table, self.shape, dataset, device)
        self.stop = threading.Event()
        need = memory_needed(table, self.shape, dataset, self.units, device, threads)
        check_memory("table", need, device)
        _check_runs(table, self.shape)
        asked = _asked(table, dataset, self.units, device)
        self._store = None if folder is None else Store.open(folder, asked)
        self._about = json.loads(json.dumps({**asked, "versions": library_versions()}))
        self._data = TrainingData(dataset, device, DTYPES[table.dtype])
        self._steps = table.epochs * (len(self._data) // table.batch)
        self._report = SharedCount(progress, len(table.runs) * self._steps)
        self._records: dict[int, RunRecord] = {}
        self._checkpoints: dict[str, Checkpoint] = {}

    def open(self) -> list[Unit]:
        """The units that are still to be trained."""
        if self._store is None:
            return self.units
        missing = set(self._store.missing(unit.key for unit in self.units))
        for unit in self.units:
            if unit.key not in missing:
                self._records.update(column_records(self.table, self._store.load(unit.key)))
                self._report.add(len(unit.rows) * self._steps, unit.label)
            elif self._path(unit).exists():
                self._find(unit)
        return [unit for unit in self.units if unit.key in missing]

    def work(self, unit: Unit) -> None:
        """Trains a unit and keeps what came of it."""
        torch.set_num_threads(1)  # a setting that each thread has for itself
        runs = self.table.runs
        training = UnitTraining(self.table, [runs[row] for row in unit.rows], self.shape, self._data, self.device)
        if unit.key in self._checkpoints:
            training.resume(self._checkpoints.pop(unit.key))
        rows = len(unit.rows)
        self._report.add(rows * training.walk.taken, unit.label)
        save = None
        if self._store is not None:

            def save() -> None:
                write_checkpoint(self._path(unit), training.checkpoint(self._about))

        training.train(stop=self.stop, on_step=lambda: self._report.add(rows, unit.label), save=save)
        records = training.records()
        if self._store is not None:
            self._store.save(unit.key, unit_columns(unit.rows, records))
        self._records.update(zip(unit.rows, records, strict=True))
        self._report.add(rows * (training.steps - training.walk.taken), unit.label)

    def result(self) -> list[RunRecord]:
        """All records; in a folder the table of their numbers as well."""
        records = [self._records[row] for row in range(len(self.table.runs))]
        if self._store is not None:
            self._store.write_table(unit_columns(range(len(records)), records))
        return records

    def _path(self, unit: Unit) -> Path:
        assert self._store is not None
        return self._store.folder / CHECKPOINTS / f"{unit.key}.safetensors"

    def _find(self, unit: Unit) -> None:
        """The checkpoint of a unit, where it is whole and of this table."""
        try:
            found = read_checkpoint(self._path(unit))
            runs = [self.table.runs[row] for row in unit.rows]
            if found.asked != self._about or [run.as_json() for run in found.runs] != [run.as_json() for run in runs]:
                raise ValueError(f"{shown_path(self._path(unit))}: is of another table")
        except ValueError as error:
            warnings.warn(f"{error}; {unit.label} is trained anew", stacklevel=2)
            return
        self._checkpoints[unit.key] = found


def _check_runs(table: TrainingTable, shape: ModelShape) -> None:
    """Raises ValueError, before anything is written, where no optimizer or no start can be made."""
    Rule(table.learning_rates, 1, table.optimizer, table.schedule, table.weight_decay)
    for kind, seed in product(table.kinds, table.seeds):
        SequenceModel(shape, kind, seed)


def _asked(table: TrainingTable, dataset: Dataset, todo: Sequence[Unit], device: torch.device) -> dict[str, Any]:
    """What decides the numbers, as plain values."""
    return {
        "kind": "train",
        **table.as_json(),
        "times": [kind.reparameterization.time for kind in table.kinds],
        "data_name": dataset.name,
        "data_checksum": dataset.checksum,
        "units": [len(unit.rows) for unit in todo],
        "device": device.type,
    }


# Units


@dataclass(frozen=True)
class Unit:
    """Rows of a table that train together, and a name for them."""

    key: str
    rows: tuple[int, ...]
    label: str


def units(table: TrainingTable, shape: ModelShape, dataset: Dataset, device: torch.device) -> list[Unit]:
    """What trains at a time: on the CPU the seeds of a column and rate, on a GPU rows of one program that fit."""
    runs, parts = table.runs, []
    if device.type == "cpu":
        seeds = len(table.seeds)
        parts = [tuple(range(first, first + seeds)) for first in range(0, len(runs), seeds)]
    else:
        room = max(1, torch.cuda.mem_get_info(device)[1] // 2 // row_bytes(table, shape, dataset))
        for kind in dict.fromkeys(program(kind) for kind in table.kinds):
            rows = [row for row, run in enumerate(runs) if program(run.kind) == kind]
            parts += [tuple(rows[first : first + room]) for first in range(0, len(rows), room)]
    return [Unit(f"unit-{i:04d}", part, _label([runs[row] for row in part])) for i, part in enumerate(parts)]


def row_bytes(table: TrainingTable, shape: ModelShape, dataset: Dataset) -> int:
    """About how many bytes a step of one row needs at its peak; rather too many than too few.

    Counted in numbers: 20 for each entry of a block's sequences (B, L, H), 24 for each power of a mode that a kernel is
    made of, 4 for each output, 12 for each weight with its gradient and the moments.
    """
    B, L, H, N, K = table.batch, dataset.length, shape.width, shape.modes, shape.outputs
    block = 20 * B * L * H + 24 * H * N * math.ceil(math.sqrt(L))
    weights = shape.depth * H * (4 * N + 2 * H + 8) + H * (max(shape.inputs, shape.tokens) + 1 + K) + K
    numbers = shape.depth * block + 4 * B * K * (1 if shape.pooled else L) + 12 * weights
    return numbers * torch.finfo(DTYPES[table.dtype]).bits // 8


def memory_needed(
    table: TrainingTable, shape: ModelShape, dataset: Dataset, todo: Sequence[Unit], device: torch.device, threads: int
) -> int:
    """Bytes at the peak: the data, the curves of all runs, and what steps at a time.

    That is on the CPU one row in each thread. The curves are there twice where they are put together for a table.
    """
    data = (dataset.train_inputs, dataset.train_targets, dataset.test_inputs, dataset.test_targets)
    at_once = min(threads, len(todo)) if device.type == "cpu" else max(len(unit.rows) for unit in todo)
    steps = table.epochs * (len(dataset.train_inputs) // table.batch)
    curves = 2 * 8 * len(table.runs) * (steps * len(PER_STEP) + table.epochs * len(PER_EPOCH))
    return at_once * row_bytes(table, shape, dataset) + curves + sum(x.nbytes for x in data)


def _label(runs: Sequence[Run]) -> str:
    names = ", ".join(dict.fromkeys(variant_name(run.kind) for run in runs))
    rates = {run.learning_rate for run in runs}
    return f"{names}, rate {min(rates):g}" if len(rates) == 1 else names


# Threads


def _in_threads(work: Callable[[Unit], None], todo: Sequence[Unit], threads: int, stop: threading.Event) -> None:
    """The work on all units; what ends it early, in a thread or here, stops every thread within a step."""
    with one_thread(), ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work, unit) for unit in todo]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
        errors = [future.exception() for future in futures if not future.cancelled()]
    for error in errors:
        if error is not None and not isinstance(error, Stopped):
            raise error
