"""Image data sets from OpenML, through scikit-learn, kept in a cache folder.

    FOLDER/NAME.npz     pixels (n, values) and labels (n,) as bytes, training rows first, and a SHA-256 of both

OpenML's own checksum of the download is compared by scikit-learn; what the download must be is known besides: how many
images of each class the training and the test part have, which tells their rows apart, and the mean of every channel,
which tells the order of the values. What passes is kept with its SHA-256, recorded at the first fetch and compared at
every later use. Nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from numerics.arguments import shown, shown_path
from numerics.model_checks import check_memory
from numerics.store import write_whole

Bytes = NDArray[np.uint8]

PATIENCE = 10.0
"""Seconds without a byte after which a connection counts as lost; scikit-learn tries two to four times."""
_MEAN_ERROR = 1e-3
"""How far a channel's mean may be from the published one, which is rounded to 4 digits."""


@dataclass(frozen=True)
class ImageSet:
    """What is known about a set: rows of `channels` planes of pixels, values 0 to 255, one after the other.

    training, test: images of each class, in this order of the rows; means: of the training part's channels over 255.
    """

    name: str
    openml: str
    version: int
    channels: int
    pixels: int
    training: tuple[int, ...]
    test: tuple[int, ...]
    means: tuple[float, ...]

    @property
    def rows(self) -> int:
        return sum(self.training) + sum(self.test)

    @property
    def source(self) -> str:
        return f"OpenML {self.openml}, version {self.version}"


IMAGE_SETS = {
    "mnist": ImageSet(
        "mnist",
        "mnist_784",
        1,
        1,
        784,
        (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
        (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
        (0.1307,),
    ),
    "cifar10": ImageSet("cifar10", "CIFAR_10", 1, 3, 1024, (5000,) * 10, (1000,) * 10, (0.4914, 0.4822, 0.4465)),
}


class NotFetchedError(Exception):
    """OpenML gave nothing; the text says why, in one line."""


@dataclass(frozen=True, eq=False)
class Images:
    """pixels (n, channels · pixels) and labels (n,); sha256 of both."""

    pixels: Bytes
    labels: Bytes
    sha256: str


def images(known: ImageSet, cache: str | os.PathLike[str] | None = None) -> Images:
    """The images from the cache, or fetched and then kept there.

    A damaged file is fetched again, with a warning. Raises NotFetchedError without a network, ValueError without
    scikit-learn and where OpenML answers with other data than this set.
    """
    path = cache_folder(cache) / f"{known.name}.npz"
    found = _read(path, known) if path.exists() else None
    if found is None:
        found = _fetch(known)
        _keep(path, found)
    return found


def cache_folder(cache: str | os.PathLike[str] | None = None) -> Path:
    """The one given, else $STABLESSM_CACHE, else ~/.cache/stablessm."""
    given = os.fspath(cache) if cache is not None else os.environ.get("STABLESSM_CACHE", "")
    return Path(given) if given else Path("~/.cache/stablessm").expanduser()


# Cache


def _sum(pixels: Bytes, labels: Bytes) -> str:
    digest = hashlib.sha256(repr((pixels.shape, labels.shape)).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    digest.update(np.ascontiguousarray(labels).data)
    return digest.hexdigest()


def _read(path: Path, known: ImageSet) -> Images | None:
    """What is kept; None, after a warning, where it is damaged or of another shape."""
    reason = "is damaged"
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            found = Images(arrays["pixels"], arrays["labels"], str(arrays["sha256"]))
        if _problem(found.pixels, found.labels, known) is None and found.sha256 == _sum(found.pixels, found.labels):
            return found
    except OSError as error:
        reason = f"cannot be read: {error.strerror or 'it is damaged'}"
    except Exception:  # damaged bytes make zipfile, zlib and NumPy raise almost anything
        pass
    warnings.warn(f"{known.name}: {shown_path(path)} {reason}; it is fetched again", stacklevel=4)
    return None


def _keep(path: Path, found: Images) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, pixels=found.pixels, labels=found.labels, sha256=np.array(found.sha256))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, lambda part: part.write(buffer.getbuffer()))
    except OSError as error:
        reason = error.strerror or "it cannot be written"
        warnings.warn(f"{shown_path(path)}: {reason}; what was fetched is not kept", stacklevel=4)


# Fetch


def _fetch(known: ImageSet) -> Images:
    # parsed numbers, a copy, and what scikit-learn works with
    check_memory(known.name, 3 * 8 * known.rows * known.channels * known.pixels, torch.device("cpu"))
    try:
        from sklearn.datasets import fetch_openml
    except ImportError:
        raise ValueError(f'{known.name}: scikit-learn is needed to fetch it: pip install "stablessm[data]"') from None
    try:
        with _patience(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn's own about tries
            values, labels = fetch_openml(
                known.openml,
                version=known.version,
                return_X_y=True,
                as_frame=False,
                parser="liac-arff",  # the one that does without pandas
                cache=False,
                n_retries=1,
                delay=0.5,
            )
    except (OSError, http.client.HTTPException, EOFError) as error:
        raise NotFetchedError(f"OpenML cannot be reached ({_reason(error)})") from None
    except (ValueError, ArithmeticError) as error:  # another checksum, other columns
        raise ValueError(f"{known.name}: OpenML's answer cannot be used: {shown(error, 140)}") from None
    pixels, names = _as_bytes(values), _as_bytes(labels)
    problem = "values that are not whole numbers from 0 to 255"
    if pixels is not None and names is not None:
        problem = _problem(pixels, names, known) or ""
        if not problem:
            return Images(pixels, names, _sum(pixels, names))
    raise ValueError(f"{known.name}: {known.source} is not the known data set, it has {problem}; nothing is kept")


@contextmanager
def _patience() -> Iterator[None]:
    """scikit-learn sets no time-out of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _reason(error: BaseException) -> str:
    cause = getattr(error, "reason", error)
    return shown(getattr(cause, "strerror", None) or str(cause) or type(error).__name__)


def _as_bytes(values: Any) -> Bytes | None:
    """Numbers, or texts of numbers, as bytes; None where one is no whole number from 0 to 255."""
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    if not ((numbers >= 0) & (numbers <= 255) & (numbers == np.floor(numbers))).all():
        return None
    return numbers.astype(np.uint8)


def _problem(pixels: Bytes, labels: Bytes, known: ImageSet) -> str | None:
    """What is other than known; None where nothing is."""
    shape = (known.rows, known.channels * known.pixels)
    if pixels.shape != shape or labels.shape != shape[:1] or pixels.dtype != np.uint8 or labels.dtype != np.uint8:
        return f"shape {pixels.shape}, not {shape}"
    training = sum(known.training)
    for part, counts in (("training", known.training), ("test", known.test)):
        own = labels[:training] if part == "training" else labels[training:]
        if tuple(np.bincount(own, minlength=len(counts)).tolist()) != counts:
            return f"other numbers of images of the classes in the {part} part"
    planes = pixels[:training].reshape(training, known.channels, known.pixels)
    means = planes.mean(axis=(0, 2)) / 255
    if np.abs(means - known.means).max() > _MEAN_ERROR:
        return f"mean values {', '.join(f'{mean:.4f}' for mean in means)} of the channels"
    return None
