"""The data sets of the training tables: image classification, linear functionals, texts.

    digits              scikit-learn's 1797 images of 8 × 8 pixels, as 64 numbers; needs no network
    mnist, cifar10      784 numbers; 1024 × 3 numbers; from OpenML, kept in a cache folder
    functional:TARGET   y_t = Σ_{j≤t} Δ ρ(jΔ) x_{t-j} of white noise x, any target of numerics.targets
    text, text:FILE     the next character (or byte) of a text, the embedded one or that of a file

Where mnist or cifar10 can neither be found in the cache nor fetched, a warning says so and digits takes its place, also
in the name. The split of digits is a fixed random permutation (not stratified; the same writers are in both parts).
"""

from __future__ import annotations

import difflib
import hashlib
import os
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from numerics.arguments import check_choice, check_count, shown
from numerics.dataset_files import IMAGE_SETS, NotFetchedError, images
from numerics.functional_data import LENGTH, output_scale, sampled_kernel, white_noise_pairs
from numerics.model_checks import check_memory
from numerics.targets import parse_target
from numerics.text_data import TOKENS, text_sequences, token_text

Array = NDArray[np.float64]

NAMES = ("digits", "mnist", "cifar10", "functional:TARGET", "text", "text:FILE")
FUNCTIONAL_EXAMPLES = 2048
"""Training sequences of a functional where nothing else is asked for."""
_DIGITS_TRAINING = 1437
_TRAINING_SEED, _TEST_SEED, _SPLIT_SEED = 1, 2, 0


@dataclass(frozen=True, eq=False)
class Dataset:
    """Sequences with what is to be learned from them, split into training and test (for texts: validation) data.

    inputs (n, L, d) float64, or tokens (n, L) int64; targets by task

        classification   (n,) int64, the class, 0 <= class < outputs
        regression       (n, L, 1) float64
        language         (n, L) int64, the next token; outputs = tokens

    Images are standardized with the mean and deviation of each channel over the training data; regression targets are
    divided by `scale`, the root mean square over the sequence of what white noise gives, so that a mean square error of
    1 is that of predicting 0, whatever the target. tokens: the size of the alphabet, 0 for numbers. source: one line.
    checksum: SHA-256 of the four tensors, with their shapes.
    """

    name: str
    task: str
    train_inputs: Tensor
    train_targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor
    outputs: int
    tokens: int
    alphabet: tuple[str, ...]
    source: str
    checksum: str
    scale: float = 1.0

    @property
    def length(self) -> int:
        """L."""
        return int(self.train_inputs.shape[1])

    @property
    def input_dim(self) -> int:
        """d, 0 for tokens."""
        return 0 if self.tokens else int(self.train_inputs.shape[2])

    def as_json(self) -> dict[str, Any]:
        """What it is, without the data and the alphabet."""
        return {
            "name": self.name,
            "task": self.task,
            "training_sequences": len(self.train_inputs),
            "test_sequences": len(self.test_inputs),
            "length": self.length,
            "input_dim": self.input_dim,
            "outputs": self.outputs,
            "tokens": self.tokens,
            "scale": self.scale,
            "source": self.source,
            "checksum": self.checksum,
        }


def load_dataset(
    spec: str,
    *,
    examples: int | None = None,
    length: int | None = None,
    tokens: str = "character",
    cache: str | os.PathLike[str] | None = None,
) -> Dataset:
    """The data set of a spec; the module's text lists them.

    examples: the first so many training sequences (functional: so many are made), and at most as many test sequences
    (functional: a quarter); length: of the sequences of functionals (100) and texts (256); tokens: "character" or
    "byte", for texts; cache: folder of what was fetched, None for $STABLESSM_CACHE or ~/.cache/stablessm.
    Raises ValueError, in one line, naming what does not fit.
    """
    if examples is not None:
        check_count("examples", examples, 1)
    if length is not None:
        check_count("length", length, 1)
    check_choice("tokens", tokens, TOKENS)
    name, colon, rest = spec.partition(":")
    if name not in ("text", "functional") and length is not None:
        raise ValueError(f"length: is for functional and text, {shown(spec)} has one of its own; got {length}")
    if name != "text" and tokens != "character":
        raise ValueError(f"tokens: {tokens} tokens are for text, not for {shown(spec)}")
    if name == "text" and bool(colon) == bool(rest):
        return _language(rest or None, examples, length, tokens)
    if name == "functional" and rest:
        return _functional(rest, examples, length)
    if spec == "digits":
        return _digits(examples)
    if spec in IMAGE_SETS:
        return _images(spec, examples, cache)
    raise ValueError(f"data: {_unknown(spec, name)}; known: {', '.join(NAMES)}")


def _unknown(spec: str, name: str) -> str:
    if name in ("functional", "text"):
        needed = "a target, as in functional:polynomial:p=1.5" if name == "functional" else "a file after the colon"
        return f"{shown(spec)!r} needs {needed}"
    kinds = [kind.partition(":")[0] for kind in NAMES]
    near = difflib.get_close_matches(name.lower(), kinds, 1)
    return f"{shown(spec)!r} is not a data set{f'; did you mean {near[0]}?' if near else ''}"


# Images


def _digits(examples: int | None) -> Dataset:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ValueError('digits: scikit-learn is needed: pip install "stablessm[data]"') from None
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.RandomState(_SPLIT_SEED).permutation(len(pixels))  # a stream that NumPy never changes
    source = "scikit-learn load_digits (UCI optdigits, CC BY 4.0), 1797 images"
    return _classification("digits", pixels[order][:, None], labels[order], _DIGITS_TRAINING, source, examples)


def _images(name: str, examples: int | None, cache: str | os.PathLike[str] | None) -> Dataset:
    known = IMAGE_SETS[name]
    try:
        found = images(known, cache)
    except NotFetchedError as error:
        warnings.warn(f"{name}: is not in the cache and {error}; digits is used instead", stacklevel=3)
        return _digits(examples)
    planes = found.pixels.reshape(known.rows, known.channels, known.pixels)
    source = f"{known.source}, {known.rows} images, sha256 {found.sha256}"
    return _classification(name, planes, found.labels, sum(known.training), source, examples)


def _classification(
    name: str, planes: NDArray[np.generic], labels: NDArray[np.generic], training: int, source: str, limit: int | None
) -> Dataset:
    """Of images (n, channels, pixels) whose first `training` are for training; the inputs are (n, pixels, channels)."""
    parts = (slice(None, training), slice(training, None))
    chosen = [(planes[part][:limit], labels[part][:limit]) for part in parts]
    check_memory(name, 16 * sum(x.size for x, _ in chosen), torch.device("cpu"))
    arrays = [np.ascontiguousarray(x.swapaxes(1, 2), dtype=np.float64) for x, _ in chosen]
    mean, deviation = arrays[0].mean(axis=(0, 1)), arrays[0].std(axis=(0, 1))
    if not (deviation > 0).all():
        raise ValueError(f"examples: all pixels of the first {limit} images are equal; more are needed")
    for array in arrays:
        array -= mean
        array /= deviation
    (train, test), (y_train, y_test) = arrays, (y.astype(np.int64) for _, y in chosen)
    return _dataset(name, "classification", (train, y_train, test, y_test), int(labels.max()) + 1, source)


# Sequences


def _functional(text: str, examples: int | None, length: int | None) -> Dataset:
    target = parse_target(text)
    count = FUNCTIONAL_EXAMPLES if examples is None else examples
    kernel = sampled_kernel(target, LENGTH if length is None else length)
    scale = output_scale(kernel)
    train = white_noise_pairs(kernel, count, _TRAINING_SEED)
    test = white_noise_pairs(kernel, -(-count // 4), _TEST_SEED)
    source = f"{target.spec} at unit steps, filtered white noise, outputs divided by {scale:.6g}"
    return _dataset(f"functional:{target.spec}", "regression", (*train, *test), 1, source, scale=scale)


def _language(file: str | None, examples: int | None, length: int | None, tokens: str) -> Dataset:
    text = token_text(file, tokens)
    arrays = tuple(array[:examples].copy() for array in text_sequences(text, length))  # inputs and targets overlap
    name = "text" if file is None else f"text:{file}"
    return _dataset(name, "language", arrays, len(text.alphabet), text.source, alphabet=text.alphabet)


def _dataset(
    name: str,
    task: str,
    arrays: tuple[NDArray[np.generic], ...],
    outputs: int,
    source: str,
    *,
    alphabet: tuple[str, ...] = (),
    scale: float = 1.0,
) -> Dataset:
    digest = hashlib.sha256()
    for array in arrays:
        whole = np.ascontiguousarray(array)
        digest.update(repr((whole.dtype.str, whole.shape)).encode())
        digest.update(whole.data)
    train_inputs, train_targets, test_inputs, test_targets = (
        torch.from_numpy(np.ascontiguousarray(array)) for array in arrays
    )
    return Dataset(
        name,
        task,
        train_inputs,
        train_targets,
        test_inputs,
        test_targets,
        outputs=outputs,
        tokens=len(alphabet),
        alphabet=alphabet,
        source=source,
        checksum=digest.hexdigest(),
        scale=scale,
    )
