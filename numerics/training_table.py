"""What a table of training runs asks for, and what one run answers: columns × learning rates × seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from numerics.arguments import check_choice, check_count, check_counts, shown
from numerics.layers import LayerKind
from numerics.optim import OPTIMIZERS, SCHEDULES
from numerics.text_data import TOKENS

DTYPES = {"float32": torch.float32, "float64": torch.float64}
QUANTILES = (0.5, 0.9, 0.99)
"""Of |gradient|/|weight| over the recurrent weights w of all layers, logged beside its largest."""
PER_STEP = ("train_loss", "gradient_over_weight", *(f"gradient_over_weight_q{q:g}" for q in QUANTILES), "margin")
"""Curves with one value a step k = 0, ..., K - 1, at the weights before the step."""
PER_EPOCH = ("test_loss", "test_accuracy")
"""Curves with one value an epoch, at the weights after it."""
NUMBERS = ("train_loss", "test_loss", "test_accuracy", "gradient_over_weight", "margin", "least_margin")
"""Of a RunRecord."""


def variant_name(kind: LayerKind) -> str:
    """A column's name, `F`, `F@published`, `F/unit-norm`: the reparameterization, a start or gain other than usual."""
    start = "" if kind.start == "same" else f"@{kind.start}"
    gain = "" if kind.gain == "plain" else f"/{kind.gain}"
    return f"{kind.reparameterization.specification}{start}{gain}"


@dataclass(frozen=True)
class Run:
    """One training: a column, a learning rate, a seed (which decides the start and the order of the data)."""

    kind: LayerKind
    learning_rate: float
    seed: int

    def as_json(self) -> dict[str, Any]:
        """Plain values that say which run it is."""
        return {
            "reparam": self.kind.reparameterization.specification,
            "start": self.kind.start,
            "modes": self.kind.gain,
            "time": self.kind.reparameterization.time,
            "learning_rate": self.learning_rate,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class TrainingTable:
    """All runs of a table. Names of the fields are those of its JSON, where kinds are `columns` by their names.

    data: a data set's name as `numerics.datasets.load_dataset` reads it; modes: N per channel; batch: sequences a
    step; step_sizes: the range of Δ, None for (0.784/L, 78.4/L), which is the published [1e-3, 1e-1] at the length
    L = 784 of MNIST; examples: at most so many of the training data, None for all; length, tokens: of the sequences of
    texts and functionals, None for the data set's usual one; weight_decay None: the optimizer's usual one (0.01 for
    adamw). float32 as in the published runs: where numbers overflow is part of what the table shows.
    Raises ValueError, in one line, naming what does not fit.
    """

    kinds: tuple[LayerKind, ...]
    learning_rates: tuple[float, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    data: str = "digits"
    width: int = 64
    modes: int = 32
    depth: int = 1
    epochs: int = 10
    batch: int = 32
    optimizer: str = "adamw"
    schedule: str = "cosine"
    weight_decay: float | None = None
    step_sizes: tuple[float, float] | None = None
    examples: int | None = None
    length: int | None = None
    tokens: str = "character"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for name in ("kinds", "learning_rates", "seeds"):
            values = getattr(self, name)
            if not values:
                raise ValueError(f"{name}: at least one is needed")
            if len(set(values)) != len(values):
                raise ValueError(f"{name}: each may be given once only")
        check_counts(**{name: (getattr(self, name), 1) for name in ("width", "modes", "depth", "epochs", "batch")})
        for name in ("examples", "length"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name), 1)
        check_choice("tokens", self.tokens, TOKENS)
        for seed in self.seeds:
            check_count("seeds", seed, 0)
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_choice("schedule", self.schedule, SCHEDULES)
        check_choice("dtype", self.dtype, DTYPES)
        for rate in self.learning_rates:
            if not 0 < rate < math.inf:
                raise ValueError(f"learning_rates: each must be positive and finite, got {shown(rate)}")

    @property
    def runs(self) -> tuple[Run, ...]:
        """Column by column, rate by rate, seed by seed."""
        return tuple(Run(*found) for found in product(self.kinds, self.learning_rates, self.seeds))

    def as_json(self) -> dict[str, Any]:
        """Plain values that decide every number of the table."""
        values = {name: value for name, value in vars(self).items() if name != "kinds"}
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        return {
            "columns": [variant_name(kind) for kind in self.kinds],
            "time": self.kinds[0].reparameterization.time,
            **values,
        }


@dataclass(frozen=True, eq=False)
class RunRecord:
    """What came of one run.

    result: "finished", or "diverged" where a loss, gradient or weight was not finite (then test_loss is NaN);
    steps: those taken; test_loss, test_accuracy (NaN where it has no meaning), train_loss: at the end, train_loss the
    mean over the last epoch; margin: -max Re λ, in discrete time 1 - max|λ|, at the end; least_margin: over all steps;
    gradient_over_weight: the largest |∂loss/∂w|/|w| over all recurrent weights and steps, up to where a run diverged.
    curves: PER_STEP (steps,) and PER_EPOCH (epochs,) arrays, NaN after a run diverged.
    """

    run: Run
    result: str
    steps: int
    train_loss: float
    test_loss: float
    test_accuracy: float
    gradient_over_weight: float
    margin: float
    least_margin: float
    curves: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """A row for tables: numbers that are not finite are null; without the curves."""
        numbers = {name: float(getattr(self, name)) for name in NUMBERS}
        return {
            "column": variant_name(self.run.kind),
            **self.run.as_json(),
            "result": self.result,
            "steps": self.steps,
            **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
        }
