"""Seconds of a training table beside the same runs one after another on one thread, with plain torch, in one run.

The alternative is the loop that one writes: a module and torch.optim.AdamW for each run, the same batches, the same
test evaluations, none of the logs. Both are timed in turn, and the faster of two times counts: other work on the
machine only slows.

python -m tests.benchmarks.bench_training [--device cpu|cuda] [--threads N]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from numerics.cores import usable_cores
from numerics.datasets import Dataset, load_dataset
from numerics.layers import LayerKind, SequenceModel
from numerics.reparameterization import Reparameterization
from numerics.threads import one_thread
from numerics.training import model_shape, train_table
from numerics.training_table import Run, TrainingTable
from numerics.training_unit import data_order

REPEATS = 2


def table() -> TrainingTable:
    """12 runs of 2 epochs on digits, at the width of the experiments."""
    kinds = tuple(LayerKind(Reparameterization(name)) for name in ("exp", "best:b=0.1"))
    return TrainingTable(kinds, (5e-3, 2e-2), seeds=(0, 1, 2), epochs=2)


def plain(run: Run, asked: TrainingTable, data: Dataset) -> float:
    """One run; the test loss at its end."""
    model = SequenceModel(model_shape(asked, data), run.kind, run.seed).float()
    inputs, test = data.train_inputs.float(), data.test_inputs.float()
    steps = len(inputs) // asked.batch
    rule = torch.optim.AdamW(model.parameters(), lr=run.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(rule, T_max=steps * asked.epochs)
    for epoch in range(asked.epochs):
        order = torch.from_numpy(data_order(run.seed, epoch, len(inputs)))
        for batch in order[: steps * asked.batch].split(asked.batch):
            rule.zero_grad()
            F.cross_entropy(model(inputs[batch]), data.train_targets[batch]).backward()  # type: ignore[no-untyped-call]
            rule.step()
            schedule.step()
        with torch.no_grad():
            outputs = torch.cat([model(x) for x in test.split(asked.batch)])
            loss = float(F.cross_entropy(outputs, data.test_targets))
    return loss


def plain_table(asked: TrainingTable, data: Dataset) -> list[float]:
    with one_thread():
        return [plain(run, asked, data) for run in asked.runs]


def timed(work: Callable[[], list[float]]) -> tuple[float, list[float]]:
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def main() -> None:
    """Prints one line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=min(2, usable_cores()))
    given = parser.parse_args()
    asked, data = table(), load_dataset("digits")

    def ours() -> list[float]:
        return [record.test_loss for record in train_table(asked, data, device=given.device, threads=given.threads)]

    times = [(timed(ours), timed(lambda: plain_table(asked, data))) for _ in range(REPEATS)]
    (fast, losses), (slow, wanted) = (min(pair[side] for pair in times) for side in (0, 1))
    apart = max(abs(x / y - 1) for x, y in zip(losses, wanted, strict=True))
    where = f"{given.threads} threads" if given.device == "cpu" else given.device
    aim = "1.5" if given.device == "cpu" else "20"
    what = f"digits, {len(asked.runs)} runs, {where}: {fast:.1f} s; one after another in plain torch {slow:.1f} s"
    print(f"{what:75} {slow / fast:>9.2f}x  at least {aim}x; test losses equal to {apart:.0e}", flush=True)


if __name__ == "__main__":
    main()
