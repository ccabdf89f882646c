"""Small trainings over several seeds, by two trainers that share no code, and what pairs of them say.

The task: the zeros and ones of scikit-learn's digits, each image a sequence of 16 numbers (means of 2 × 2 pixels, row
by row), 294 to train on and 66 to test on. The model: one block of width 16 with 8 complex modes a channel, Δ
log-uniform in [0.784/16, 78.4/16], every f from λ = -1/2 + iπn. The training: 45 steps of 32 sequences, cosine
schedule, AdamW with weight decay 0.01 or plain SGD, float64. Large rates are chaotic even so: single runs differ from
one processor to the next, and only what all seeds have in common is stated.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from proofs_check.claim import Context, Evidence, Verdict, inconclusive, refuted, supported

if TYPE_CHECKING:
    from numerics.paired import PairedComparison

SETTING = (
    "Zeros and ones of scikit-learn's digits as 16 numbers, 294 training images, 66 test images; one block of width 16 "
    "with 8 complex modes, Δ from 0.049 to 4.9; 45 steps of 32 sequences, AdamW with weight decay 0.01 or SGD without, "
    "cosine schedule, float64; every f starts at λ = -1/2 + iπn."
)
WIDTH, MODES, BATCH, EPOCHS, LENGTH = 16, 8, 32, 5, 16
STEPS = 45
SEEDS = 10
_OTHER_SEEDS = 100
"""So much later the seeds of the second route begin."""
_APART = 1000
"""So far apart the seeds of runs with different --seed begin."""


@dataclass(frozen=True)
class Scores:
    """Of the runs of one column and rate, one number a seed, NaN where a run diverged.

    gradient_over_weight: the largest |∂loss/∂w|/|w| over recurrent weights and steps."""

    test_loss: tuple[float, ...]
    gradient_over_weight: tuple[float, ...]

    @staticmethod
    def of(runs: Iterable[tuple[float, float]]) -> Scores:
        """Of the test losses and the largest ratios."""
        both = [(loss, math.nan if math.isnan(loss) else ratio) for loss, ratio in runs]
        return Scores(tuple(loss for loss, _ in both), tuple(ratio for _, ratio in both))


Trainer = Callable[[str, float, str, range], Scores]


@cache
def batched(column: str, rate: float, optimizer: str, seeds: range) -> Scores:
    """By the library's trainer."""
    from numerics.training import train_table
    from numerics.training_presets import layer_kinds
    from numerics.training_table import TrainingTable
    from numerics.zeros_and_ones import zeros_and_ones

    name, gain = (column.removesuffix("/unit-norm"), "unit-norm") if "/" in column else (column, "plain")
    table = TrainingTable(
        tuple(layer_kinds([name], [gain])), (rate,), tuple(seeds), width=WIDTH, modes=MODES, epochs=EPOCHS,
        batch=BATCH, optimizer=optimizer, dtype="float64",
    )  # fmt: skip
    records = train_table(table, zeros_and_ones(), device="cpu", threads=1)
    return Scores.of((record.test_loss, record.gradient_over_weight) for record in records)


@cache
def plain(column: str, rate: float, optimizer: str, seeds: range) -> Scores:
    """By the plain trainer, with other seeds."""
    from numerics.plain_training import PlainData, train_plain
    from numerics.zeros_and_ones import zeros_and_ones

    found = zeros_and_ones()
    parts = (found.train_inputs[..., 0], found.train_targets, found.test_inputs[..., 0], found.test_targets)
    data = PlainData(*(part.numpy() for part in parts))
    results = [
        train_plain(
            column, data, learning_rate=rate, seed=_OTHER_SEEDS + seed, steps=STEPS, batch=BATCH, width=WIDTH,
            modes=MODES, step_sizes=(0.784 / LENGTH, 78.4 / LENGTH), optimizer=optimizer, dtype="float64",
        )
        for seed in seeds
    ]  # fmt: skip
    return Scores.of((result.test_loss, result.gradient_over_weight) for result in results)


def seeds(context: Context) -> range:
    first = _APART * context.seed
    return range(first, first + context.pick(SEEDS, 2 * SEEDS))


@dataclass(frozen=True)
class Cell:
    """A column at a learning rate, written `exp at 0.3`, or `exp at 0.3 by sgd`."""

    column: str
    rate: float
    optimizer: str = "adamw"

    @staticmethod
    def parse(text: str) -> Cell:
        column, _, rest = text.partition(" at ")
        rate, _, optimizer = rest.partition(" by ")
        return Cell(column, float(rate), optimizer or "adamw")


def ordered(
    trainer: Trainer,
    orders: Sequence[str],
    quantity: str,
    context: Context,
    factor: float = 1.0,
    most: float = math.inf,
    within: float = 1.0,
) -> Evidence:
    """Is in every order, written `exp at 0.3 < direct at 0.3`, the first smaller by the factor at least, and in those
    written `exp at 0.3 ~ direct at 0.3` within a factor of the second?

    Affirmed where the exact Wilcoxon test says "smaller" at 5 % for each (all of them hold then at 5 %), the
    Hodges-Lehmann ratio is 1/factor or less, and the interval of the ratio does not go below 1/most; for ~ where the
    interval lies within the factor. Contradicted where one is larger at 5 %, or its interval lies beyond 1/factor or
    1/most; for ~ where it lies outside.
    """
    details: dict[str, Any] = {}
    undecided = ""
    for order in orders:
        found = _compared(trainer, order, quantity, seeds(context))
        details[order] = {"text": str(found), "p": found.p_value, "ratio": found.effect, "interval": found.interval}
        low, high = found.interval
        if " ~ " in order:
            wrong, right = low > within or high < 1 / within, found.within(within)
        else:
            wrong = found.sign() > 0 or low > 1 / factor or high < 1 / most
            right = found.sign() < 0 and found.effect <= 1 / factor and low >= 1 / most
        if wrong:
            return refuted(f"{order}: {found}", {"order": order, **details[order]}, Verdict.SUPPORTED)
        if not right:
            undecided = undecided or f"{order}: {found}"
    if undecided:
        return inconclusive(undecided, **details)
    return supported("; ".join(f"{order}: {found['text']}" for order, found in details.items()), comparisons=details)


def _compared(trainer: Trainer, order: str, quantity: str, runs: range) -> PairedComparison:
    from numerics.paired import compare_paired

    cells = [Cell.parse(text) for text in re.split(" [<~] ", order)]
    scores = [trainer(cell.column, cell.rate, cell.optimizer, runs) for cell in cells]
    first, second = (getattr(score, quantity) for score in scores)
    return compare_paired(first, second, ratio=True)
