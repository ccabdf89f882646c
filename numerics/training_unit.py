"""The training of one unit: rows of a table that step together, from where they are to their end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from numerics.layers import ModelShape
from numerics.optim import Evaluation, Rule, Walk
from numerics.stacked_models import StackedModels
from numerics.training_files import Checkpoint
from numerics.training_table import DTYPES, PER_EPOCH, PER_STEP, Run, RunRecord, TrainingTable

if TYPE_CHECKING:
    from numerics.datasets import Dataset

_THETA = "param.0"
"""The weights in the state of a walk."""
_FINISHED = {"alive", "steps"}
"""What is kept of that state when no step is left."""
SAVE_SECONDS = 30.0
"""Within an epoch the state is saved so often; it is saved at the end of every epoch besides."""


class Stopped(Exception):
    """The table was interrupted."""


class TrainingData:
    """A data set on a device, inputs in a table's precision."""

    def __init__(self, dataset: Dataset, device: torch.device, dtype: torch.dtype) -> None:
        def moved(x: Tensor) -> Tensor:
            return x.to(device=device, dtype=dtype if x.is_floating_point() else None)

        self.task = dataset.task
        self.train = moved(dataset.train_inputs), moved(dataset.train_targets)
        self.test = moved(dataset.test_inputs), moved(dataset.test_targets)

    def __len__(self) -> int:
        """The sequences to train with."""
        return len(self.train[0])


def data_order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The order in which a run sees `count` sequences: decided by its seed and the epoch alone."""
    return np.random.default_rng((seed, epoch)).permutation(count)


class UnitTraining:
    """The rows of a unit on their way: after k steps the weights are those after k steps, the curves those before.

    curves: PER_STEP (R, K) and PER_EPOCH (R, epochs), NaN where nothing is logged yet, and where a row has diverged.
    """

    def __init__(
        self,
        table: TrainingTable,
        runs: Sequence[Run],
        shape: ModelShape,
        data: TrainingData,
        device: torch.device,
        *,
        together: bool | None = None,
    ) -> None:
        self._table, self._runs, self._shape, self._data, self._device = table, runs, shape, data, device
        self.models = StackedModels(shape, runs, data.task, device=device, dtype=DTYPES[table.dtype], together=together)
        self.epoch_steps = len(data) // table.batch
        self.steps = self.epoch_steps * table.epochs
        rates = tuple(run.learning_rate for run in runs)
        rule = Rule(rates, self.steps, table.optimizer, table.schedule, table.weight_decay)
        self.walk = Walk(rule, (self.models.start,))
        self.curves = {name: np.full((len(runs), self.steps), np.nan) for name in PER_STEP}
        self.curves |= {name: np.full((len(runs), table.epochs), np.nan) for name in PER_EPOCH}
        self._log: list[Tensor] = []

    @property
    def finished(self) -> bool:
        """No row has a step left."""
        return self.walk.taken == self.steps or not bool(self.walk.alive.any())

    def train(
        self,
        *,
        stop: threading.Event | None = None,
        on_step: Callable[[], None] | None = None,
        save: Callable[[], None] | None = None,
    ) -> None:
        """Goes on to the end. `save` is called between steps: at the end of each epoch, within one every SAVE_SECONDS,
        and before the exception Stopped, which is raised within a step after `stop` was set."""
        saved = time.monotonic()
        while not self.finished:
            epoch, first = divmod(self.walk.taken, self.epoch_steps)
            order = self._order(epoch)
            for step in range(first, self.epoch_steps):
                stopped = stop is not None and stop.is_set()
                if save is not None and step > first and (stopped or time.monotonic() - saved > SAVE_SECONDS):
                    save()
                    saved = time.monotonic()
                if stopped:
                    raise Stopped
                self._step(order[:, step * self._table.batch : (step + 1) * self._table.batch])
                if on_step is not None:
                    on_step()
            self._flush()
            self._test(epoch)
            if save is not None:
                save()
                saved = time.monotonic()

    def records(self) -> list[RunRecord]:
        """What came of the rows."""
        alive, steps, margins = (
            x.tolist() for x in (self.walk.alive, self.walk.steps, self.models.margin(self.walk.params[0]))
        )
        found = []
        for row, run in enumerate(self._runs):
            curves = {name: curve[row] for name, curve in self.curves.items()}
            found.append(_record(run, alive[row], steps[row], margins[row], curves, self.epoch_steps))
        return found

    def checkpoint(self, asked: Mapping[str, Any]) -> Checkpoint:
        """Where the rows are; `asked` says what for."""
        self._flush()
        kept = _FINISHED if self.finished else self.walk.state().keys() - {_THETA}
        state = {name: x for name, x in self.walk.state().items() if name in kept}
        curves = {name: torch.from_numpy(curve) for name, curve in self.curves.items()}
        weights = self.models.state(self.walk.params[0])
        return Checkpoint(self._shape, tuple(self._runs), asked, self.walk.taken, weights, state, curves)

    def resume(self, found: Checkpoint) -> None:
        """Goes on from there, by the same numbers as without the interruption.

        Raises ValueError for a checkpoint of other sizes.
        """
        theta = self.models.packed(found.weights)
        state = {name: x.to(self._device) for name, x in found.state.items()}
        if state.keys() == _FINISHED:
            state = {**self.walk.state(), **state}
        for name, curve in self.curves.items():
            if name not in found.curves or tuple(found.curves[name].shape) != curve.shape:
                raise ValueError(f"curves: {name}: a shape of {curve.shape} is needed")
        self.walk.restore(found.step, {**state, _THETA: theta})
        self.curves = {name: found.curves[name].numpy().copy() for name in self.curves}

    def _step(self, batch: Tensor) -> None:
        inputs, targets = self._data.train
        found = self.models.evaluate(self.walk.params[0], inputs[batch], targets[batch])
        alive = self.walk.judge(found)
        values = torch.stack([found.loss, *(found.measures[name] for name in PER_STEP[1:])])
        self._log.append(torch.where(alive, values, torch.nan))
        self.walk.move(found.grads)

    def _flush(self) -> None:
        """Brings the logs of the last steps from the device."""
        if self._log:
            values = torch.stack(self._log, dim=-1).cpu().numpy()  # (names, R, steps)
            for name, value in zip(PER_STEP, values, strict=True):
                self.curves[name][:, self.walk.taken - len(self._log) : self.walk.taken] = value
            self._log = []

    def _test(self, epoch: int) -> None:
        """Logs the test set; a row whose loss on it is not finite has diverged as well."""
        theta, (inputs, targets) = self.walk.params[0], self._data.test
        sums = torch.zeros(len(PER_EPOCH), len(theta), dtype=torch.float64, device=theta.device)
        for at in range(0, len(inputs), self._table.batch):
            x, y = (part[at : at + self._table.batch] for part in (inputs, targets))
            sums += len(x) * torch.stack(_loss_and_accuracy(self._data.task, self.models.outputs(theta, x), y))
        values = sums / len(inputs)
        alive = self.walk.judge(Evaluation(values[0], ()))
        for name, value in zip(PER_EPOCH, torch.where(alive, values, torch.nan).cpu().numpy(), strict=True):
            self.curves[name][:, epoch] = value

    def _order(self, epoch: int) -> Tensor:
        """(R, n): the order of the training data of every row."""
        orders = {run.seed: data_order(run.seed, epoch, len(self._data)) for run in self._runs}
        return torch.from_numpy(np.stack([orders[run.seed] for run in self._runs])).to(self._device)


def _loss_and_accuracy(task: str, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Of every row (R,), outputs (R, B, ...) for the same targets (B, ...)."""
    if task == "regression":
        loss = (outputs - targets).square().flatten(1).mean(1)
        return loss.double(), torch.full_like(loss, torch.nan).double()
    targets = targets.expand(outputs.shape[:-1])
    loss = -outputs.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).flatten(1).mean(1)
    return loss.double(), (outputs.argmax(-1) == targets).flatten(1).double().mean(1)


def _record(
    run: Run, alive: bool, steps: int, margin: float, curves: Mapping[str, NDArray[np.float64]], epoch_steps: int
) -> RunRecord:
    def at_end(name: str) -> float:
        return float(curves[name][-1]) if alive else np.nan

    ratios, margins = (curve[~np.isnan(curve)] for curve in (curves["gradient_over_weight"], curves["margin"]))
    return RunRecord(
        run,
        result="finished" if alive else "diverged",
        steps=steps,
        train_loss=float(curves["train_loss"][-epoch_steps:].mean()) if alive else np.nan,
        test_loss=at_end("test_loss"),
        test_accuracy=at_end("test_accuracy"),
        gradient_over_weight=float(ratios.max()) if len(ratios) else np.nan,
        margin=margin,
        least_margin=min([margin, *margins.tolist()]),
        curves=curves,
    )
