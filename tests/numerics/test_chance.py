"""The loss of guessing, by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from numerics.chance import constant_loss
from numerics.datasets import load_dataset


def test_classification() -> None:
    digits = load_dataset("digits", examples=60)
    tiny = replace(digits, outputs=3, train_targets=torch.tensor([0, 0, 1]), test_targets=torch.tensor([0, 1, 2]))
    assert constant_loss(tiny) == pytest.approx(-(math.log(3 / 6) + math.log(2 / 6) + math.log(1 / 6)) / 3, rel=1e-12)
    assert constant_loss(load_dataset("digits")) == pytest.approx(math.log(10), rel=1e-2)


def test_regression_is_the_variance_about_the_training_mean() -> None:
    data = load_dataset("functional:exponential:rate=1", examples=8, length=5)
    assert constant_loss(data) == pytest.approx(
        float((data.test_targets.numpy() - data.train_targets.numpy().mean()).__pow__(2).mean()), rel=1e-12
    )


def test_language_counts_tokens() -> None:
    text = load_dataset("text", examples=20, length=32)
    flat = text.test_targets.flatten().tolist()
    train = text.train_targets.flatten().tolist()
    size = len(train) + text.outputs
    expected = -sum(math.log((train.count(token) + 1) / size) for token in flat) / len(flat)
    assert constant_loss(text) == pytest.approx(expected, rel=1e-12)
