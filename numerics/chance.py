"""The loss of guessing: what a model that ignores its input comes to on the test data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from numerics.datasets import Dataset


def constant_loss(dataset: Dataset) -> float:
    """The test loss of the constant prediction that is best on the training data.

    classification, language   -mean log p(test class), p(c) = (n_c + 1)/(n + K) the training frequencies, in nats
    regression                 mean (y - ȳ)², ȳ the training mean

    The 1 that is added to every count keeps the loss finite where a test class is not among the training data.
    """
    train, test = dataset.train_targets.flatten(), dataset.test_targets.flatten()
    if dataset.task == "regression":
        return float((test - train.mean()).square().mean())
    counts = torch.bincount(train, minlength=dataset.outputs).double() + 1
    return -float((counts / counts.sum()).log()[test].mean())
