"""Small data sets and tables for the tests of training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from numerics.datasets import Dataset
from numerics.layers import LayerKind
from numerics.reparameterization import Reparameterization
from numerics.training_table import PER_EPOCH, PER_STEP, RunRecord, TrainingTable

SMALL: dict[str, Any] = {"width": 6, "modes": 4, "epochs": 3, "batch": 8, "seeds": (0, 1), "data": "small"}


def dataset(task: str = "classification", *, train: int = 43, test: int = 21, length: int = 12) -> Dataset:
    """Random sequences of two numbers with 3 classes, or with a sum to follow, or 5 tokens with a pattern."""
    generator = torch.Generator().manual_seed(3)
    n = train + test
    x = torch.randn(n, length, 2, dtype=torch.float64, generator=generator)
    if task == "classification":
        y, outputs, tokens = x.mean((1, 2)).mul(4).round().long() % 3, 3, 0
    elif task == "regression":
        y, outputs, tokens = x.sum(2, keepdim=True).cumsum(1) / 4, 1, 0
    else:
        text = (torch.arange(length + 1) * torch.randint(1, 5, (n, 1), generator=generator)) % 5
        x, y, outputs, tokens = text[:, :-1], text[:, 1:], 5, 5
    parts = x[:train], y[:train], x[train:], y[train:]
    return Dataset("small", task, *parts, outputs, tokens, tuple("abcde"[:tokens]), "random", "0" * 64)


def kinds(*names: str, time: str = "continuous", gain: str = "plain") -> tuple[LayerKind, ...]:
    return tuple(LayerKind(Reparameterization(name, time), gain) for name in names)


def table(*names: str, time: str = "continuous", gain: str = "plain", **changes: Any) -> TrainingTable:
    rates = changes.pop("learning_rates", (1e-2,))
    return TrainingTable(kinds(*names, time=time, gain=gain), rates, **{**SMALL, **changes})


def assert_same(found: list[RunRecord], wanted: list[RunRecord], tolerance: float = 0.0) -> None:
    """All numbers and curves, bit by bit or within a relative tolerance."""
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert (one.run, one.result, one.steps) == (other.run, other.result, other.steps)
        for name, value in vars(one).items():
            if isinstance(value, float):
                np.testing.assert_allclose(value, getattr(other, name), rtol=tolerance, atol=0, err_msg=name)
        assert one.curves.keys() == other.curves.keys() == {*PER_STEP, *PER_EPOCH}
        for name, curve in one.curves.items():
            np.testing.assert_allclose(curve, other.curves[name], rtol=tolerance, atol=0, err_msg=name)
