"""A tiny image classification that needs neither scikit-learn nor a network: zeros and ones as 16 numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from numerics.datasets import Dataset

_FILE = Path(__file__).parent / "examples" / "zeros_and_ones.csv"
_TRAINING = 294
_MEAN, _DEVIATION = 4.886330027835769, 6.013809292480242
"""Of all pixels of the training digits 0 to 9 of `numerics.datasets.load_dataset("digits")`, by which its inputs are
standardized too."""


def zeros_and_ones() -> Dataset:
    """The zeros and ones of `load_dataset("digits")`, in its split, averaged over 2 × 2 pixels: 16 numbers each.

    Source: UCI optical recognition of handwritten digits (Alpaydin and Kaynak, 1998; CC BY 4.0), as scikit-learn's
    load_digits has them.
    """
    table = np.loadtxt(_FILE, delimiter=",", dtype=np.int64)
    classes = torch.from_numpy(table[:, 0].copy())
    inputs = torch.from_numpy((table[:, 1:, None] / 4 - _MEAN) / _DEVIATION)
    return Dataset(
        name="zeros and ones",
        task="classification",
        train_inputs=inputs[:_TRAINING],
        train_targets=classes[:_TRAINING],
        test_inputs=inputs[_TRAINING:],
        test_targets=classes[_TRAINING:],
        outputs=2,
        tokens=0,
        alphabet=(),
        source="UCI optdigits (CC BY 4.0), 360 images of 4 × 4 means",
        checksum="",
    )
