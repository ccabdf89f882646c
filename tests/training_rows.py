"""Records of training runs that took no training."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from numerics.training_presets import layer_kinds
from numerics.training_table import PER_EPOCH, PER_STEP, Run, RunRecord, TrainingTable, variant_name

STEPS_AN_EPOCH = 20
DIVERGES = {"direct": 5e-2, "softplus": 0.5, "exp": 0.5, "best:b=0.1": math.inf, "direct@published": 5e-3}
"""The least rate at which the runs of a column diverge, the last seed at once and the others soon after."""


def small_table(
    columns: Iterable[str] = ("direct", "softplus", "exp", "best:b=0.1"),
    rates: Iterable[float] = (5e-4, 5e-3, 5e-2, 5e-1),
    **settings: object,
) -> TrainingTable:
    given: dict[str, object] = {"epochs": 3, "width": 4, "modes": 2, **settings}
    return TrainingTable(tuple(layer_kinds(columns)), tuple(rates), **given)  # type: ignore[arg-type]


def made_up_records(table: TrainingTable) -> list[RunRecord]:
    """A record for every run, the same for the same table: losses that fall the faster the larger the rate."""
    return [made_up_record(run, table.epochs) for run in table.runs]


def made_up_record(run: Run, epochs: int) -> RunRecord:
    name = variant_name(run.kind)
    rng = np.random.default_rng([run.seed, len(name)])
    steps = STEPS_AN_EPOCH * epochs
    time = np.arange(steps)
    limit = DIVERGES.get(name, math.inf)
    end = steps if run.learning_rate < limit else (steps // 4 if run.seed else steps // 3)
    noise = np.exp(0.2 * rng.standard_normal(steps))
    loss = 0.05 + 2.3 * np.exp(-3 * run.learning_rate**0.3 * time / steps) * noise
    ratio = (0.05 + run.learning_rate) * noise * (1 + time / steps) / (1 + len(name) / 5)
    curves = {name: np.where(time < end, 0.1 * ratio, np.nan) for name in PER_STEP}
    curves["train_loss"] = np.where(time < end, loss, np.nan)
    curves["gradient_over_weight"] = np.where(time < end, ratio, np.nan)
    ends = np.arange(1, epochs + 1) * STEPS_AN_EPOCH
    curves |= {name: np.where(ends <= end, loss[ends - 1], np.nan) for name in PER_EPOCH}
    finished = end == steps
    return RunRecord(
        run,
        "finished" if finished else "diverged",
        end,
        float(loss[:end][-STEPS_AN_EPOCH:].mean()),
        float(loss[-1]) if finished else math.nan,
        float(1 - loss[-1] / 5) if finished else math.nan,
        float(ratio[:end].max()),
        0.1 * run.learning_rate,
        0.05 * run.learning_rate if name != "direct@published" else -0.5,
        curves,
    )
