"""The embedded zeros and ones are those of scikit-learn's digits."""

from __future__ import annotations

import pytest
import torch

from numerics.datasets import load_dataset
from numerics.zeros_and_ones import zeros_and_ones


def test_they_are_means_of_the_digits() -> None:
    pytest.importorskip("sklearn")
    digits, found = load_dataset("digits"), zeros_and_ones()
    for part in ("train", "test"):
        images, classes = getattr(digits, f"{part}_inputs"), getattr(digits, f"{part}_targets")
        chosen = classes < 2
        means = images[chosen].reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(-1, 16, 1)
        torch.testing.assert_close(getattr(found, f"{part}_inputs"), means, rtol=0, atol=1e-14)
        assert torch.equal(getattr(found, f"{part}_targets"), classes[chosen])


def test_shapes() -> None:
    found = zeros_and_ones()
    assert found.train_inputs.shape == (294, 16, 1)
    assert found.test_inputs.shape == (66, 16, 1)
    assert set(found.train_targets.tolist()) == {0, 1}
