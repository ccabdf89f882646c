"""Images from OpenML: what is fetched is checked, what is kept is never believed unseen, and nothing waits for long."""

from __future__ import annotations

import inspect
import socket
import sys
import time
import urllib.error
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
import sklearn.datasets
from sklearn.datasets import _openml

from numerics import dataset_files
from numerics.dataset_files import IMAGE_SETS, PATIENCE, ImageSet, NotFetchedError, cache_folder, images
from numerics.datasets import load_dataset

TINY = ImageSet("mnist", "tiny", 3, 2, 5, (3, 2), (1, 2), (0.2, 0.6))
"""8 images of 2 channels with 5 pixels, two classes."""
REAL = sklearn.datasets.fetch_openml


def tiny_pixels() -> np.ndarray[Any, np.dtype[np.float64]]:
    """Channel means 51 = 0.2 · 255 and 153 = 0.6 · 255, every image different."""
    noise = np.array([-2, -1, 0, 1, 2]) * (1 + np.arange(8))[:, None]
    return np.hstack([51.0 + noise, 153.0 - noise])


LABELS = np.array(["0", "1", "0", "0", "1", "1", "0", "1"], dtype=object)


class OpenML:
    """Answers as fetch_openml does, and remembers how it was asked."""

    def __init__(self) -> None:
        self.pixels, self.labels = tiny_pixels(), LABELS
        self.calls: list[dict[str, Any]] = []
        self.patience: float | None = None
        self.error: Exception | None = None

    def __call__(self, name: str, **settings: Any) -> tuple[Any, Any]:
        inspect.signature(REAL).bind(name, **settings)
        self.calls.append({"name": name, **settings})
        self.patience = socket.getdefaulttimeout()
        if self.error is not None:
            raise self.error
        return self.pixels, self.labels


@pytest.fixture
def openml(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenML]:
    fake = OpenML()
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fake)
    monkeypatch.setitem(IMAGE_SETS, "mnist", TINY)
    yield fake
    assert socket.getdefaulttimeout() is None


@pytest.fixture(autouse=True)
def no_surprise() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_the_known_sets_have_the_usual_split() -> None:
    assert [(sum(known.training), sum(known.test)) for known in IMAGE_SETS.values()] == [(60000, 10000), (50000, 10000)]
    assert [known.channels * known.pixels for known in IMAGE_SETS.values()] == [784, 3072]


def test_what_is_fetched_is_kept_and_not_fetched_again(openml: OpenML, tmp_path: Path) -> None:
    first, second = (images(TINY, tmp_path / "new" / "folder") for _ in range(2))
    assert len(openml.calls) == 1
    assert openml.calls[0]["name"] == "tiny"
    assert openml.calls[0]["version"] == 3
    for found in (first, second):
        np.testing.assert_array_equal(found.pixels, tiny_pixels())
        np.testing.assert_array_equal(found.labels, LABELS.astype(int))
        assert found.pixels.dtype == found.labels.dtype == np.uint8
    assert first.sha256 == second.sha256
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["mnist.npz"]


def test_no_connection_is_waited_for_without_end(openml: OpenML, tmp_path: Path) -> None:
    images(TINY, tmp_path)
    assert openml.patience == PATIENCE
    assert openml.calls[0]["n_retries"] == 1


def test_the_data_set_of_the_images(openml: OpenML, tmp_path: Path) -> None:
    dataset = load_dataset("mnist", cache=tmp_path)
    planes = tiny_pixels().reshape(8, 2, 5)
    mean, deviation = planes[:5].mean((0, 2)), planes[:5].std((0, 2))
    assert dataset.train_inputs.shape == (5, 5, 2)
    assert dataset.test_inputs.shape == (3, 5, 2)
    for c in range(2):
        expected = (planes[:, c] - mean[c]) / deviation[c]
        np.testing.assert_allclose(dataset.train_inputs[:, :, c], expected[:5], rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(dataset.test_inputs[:, :, c], expected[5:], rtol=1e-13, atol=1e-15)
    assert dataset.train_targets.tolist() == [0, 1, 0, 0, 1]
    assert dataset.test_targets.tolist() == [1, 0, 1]
    assert (dataset.name, dataset.task, dataset.outputs, dataset.tokens) == ("mnist", "classification", 2, 0)
    few = load_dataset("mnist", examples=2, cache=tmp_path)
    assert few.train_targets.tolist() == [0, 1]
    assert few.test_targets.tolist() == [1, 0]
    assert few.train_inputs.mean((0, 1)).abs().max() < 1e-14
    assert few.checksum != dataset.checksum


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [cut, flipped, lambda _: b"", lambda _: b"no archive"])
def test_a_damaged_file_is_fetched_again(openml: OpenML, tmp_path: Path, damage: Any) -> None:
    images(TINY, tmp_path)
    path = tmp_path / "mnist.npz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(UserWarning, match=r"mnist\.npz is damaged; it is fetched again"):
        found = images(TINY, tmp_path)
    np.testing.assert_array_equal(found.pixels, tiny_pixels())
    assert images(TINY, tmp_path).sha256 == found.sha256
    assert len(openml.calls) == 2


def altered(arrays: dict[str, Any], **new: Any) -> dict[str, Any]:
    return {**arrays, **new}


@pytest.mark.parametrize(
    "change",
    [
        lambda a: altered(a, pixels=a["pixels"][::-1].copy()),
        lambda a: altered(a, pixels=a["pixels"] + (np.arange(80).reshape(8, 10) == 79)),
        lambda a: altered(a, labels=a["labels"][:4]),
        lambda a: altered(a, labels=np.append(a["labels"][:4], [0, 0, 1, 1]).astype(np.uint8)),
        lambda a: altered(a, pixels=a["pixels"].astype(np.int64)),
        lambda a: altered(a, pixels=np.array([{}], dtype=object)),
        lambda a: {"pixels": a["pixels"], "labels": a["labels"]},
    ],
)
def test_a_whole_file_with_other_content_is_not_used(openml: OpenML, tmp_path: Path, change: Any) -> None:
    found = images(TINY, tmp_path)
    path = tmp_path / "mnist.npz"
    with np.load(path) as arrays:
        np.savez(path, **change(dict(arrays)))
    with pytest.warns(UserWarning, match="is damaged; it is fetched again"):
        assert images(TINY, tmp_path).sha256 == found.sha256


def test_a_whole_file_of_another_set_is_not_used(openml: OpenML, tmp_path: Path) -> None:
    other = replace(TINY, training=(2, 3), test=(2, 1))
    openml.labels = np.array(list("11001001"))
    kept = images(other, tmp_path)
    assert images(other, tmp_path).sha256 == kept.sha256
    openml.labels = LABELS
    with pytest.warns(UserWarning, match="is damaged"):
        assert images(TINY, tmp_path).sha256 != kept.sha256


@pytest.mark.parametrize(
    ("pixels", "labels", "problem"),
    [
        (tiny_pixels() + 0.5, LABELS, "values that are not whole numbers from 0 to 255"),
        (tiny_pixels() - 60, LABELS, "values that are not whole numbers from 0 to 255"),
        (tiny_pixels() * np.nan, LABELS, "values that are not whole numbers from 0 to 255"),
        (tiny_pixels(), np.array(["cat"] * 8), "values that are not whole numbers from 0 to 255"),
        (tiny_pixels()[:7], LABELS[:7], r"shape \(7, 10\), not \(8, 10\)"),
        (tiny_pixels(), LABELS[::-1], "other numbers of images of the classes in the training part"),
        (tiny_pixels(), np.array(list("11001101")), "other numbers of images of the classes in the training part"),
        (tiny_pixels(), np.array(list("01001223")), "other numbers of images of the classes in the test part"),
        (tiny_pixels()[:, ::-1], LABELS, r"mean values 0\.6000, 0\.2000 of the channels"),
    ],
)
def test_other_data_is_refused_and_not_kept(
    openml: OpenML, tmp_path: Path, pixels: Any, labels: Any, problem: str
) -> None:
    openml.pixels, openml.labels = pixels, labels
    with pytest.raises(ValueError, match=f"mnist: OpenML tiny, version 3 is not the known data set, it has {problem}"):
        load_dataset("mnist", cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_download_with_another_checksum_is_refused(openml: OpenML, tmp_path: Path) -> None:
    openml.error = ValueError("The md5 checksum of the file\ndoes not match")
    with pytest.raises(ValueError, match=r"mnist: OpenML's answer cannot be used: The md5 checksum") as caught:
        load_dataset("mnist", cache=tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (urllib.error.URLError(socket.gaierror(-2, "Name or service not known")), "Name or service not known"),
        (urllib.error.HTTPError("https://x", 503, "Service Unavailable", None, None), "Service Unavailable"),  # type: ignore[arg-type]
        (TimeoutError("timed out"), "timed out"),
        (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
        (EOFError(), "EOFError"),
    ],
)
def test_without_a_network_digits_takes_the_place(
    openml: OpenML, tmp_path: Path, error: Exception, reason: str
) -> None:
    openml.error = error
    with pytest.warns(UserWarning, match="digits is used instead") as caught:
        dataset = load_dataset("mnist", examples=10, cache=tmp_path)
    assert dataset.name == "digits"
    assert dataset.checksum == load_dataset("digits", examples=10).checksum
    assert [str(warning.message) for warning in caught] == [
        f"mnist: is not in the cache and OpenML cannot be reached ({reason}); digits is used instead"
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [urllib.error.URLError("no route"), TimeoutError("timed out")])
def test_scikit_learn_itself_gives_up_soon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception) -> None:
    """The real fetch_openml takes these settings, and tries a few times."""
    asked = []

    def urlopen(request: Any) -> None:
        asked.append(request)
        raise error

    monkeypatch.setattr(_openml, "urlopen", urlopen)
    begin = time.monotonic()
    with pytest.raises(NotFetchedError, match=r"OpenML cannot be reached \((no route|timed out)\)"):
        images(IMAGE_SETS["mnist"], tmp_path)
    assert 2 <= len(asked) <= 4
    assert time.monotonic() - begin < PATIENCE


def test_damaged_and_no_network_says_both(openml: OpenML, tmp_path: Path) -> None:
    images(TINY, tmp_path)
    (tmp_path / "mnist.npz").write_bytes(b"damaged")
    openml.error = TimeoutError("timed out")
    with pytest.warns(UserWarning, match="mnist:") as caught:
        assert load_dataset("mnist", cache=tmp_path).name == "digits"
    assert ["is damaged" in str(caught[0].message), "digits is used" in str(caught[1].message)] == [True, True]
    assert (tmp_path / "mnist.npz").read_bytes() == b"damaged"


def test_a_cache_that_cannot_be_written_loses_only_itself(openml: OpenML, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="what was fetched is not kept"):
        found = images(TINY, tmp_path / "file" / "cache")
    np.testing.assert_array_equal(found.pixels, tiny_pixels())


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ValueError, match=r"mnist: scikit-learn is needed to fetch it: pip install \"stablessm\[data\]"):
        load_dataset("mnist", cache=tmp_path)
    with pytest.raises(ValueError, match=r"digits: scikit-learn is needed: pip install \"stablessm\[data\]\""):
        load_dataset("digits")


def test_a_kept_set_needs_no_scikit_learn(openml: OpenML, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    load_dataset("mnist", cache=tmp_path)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert load_dataset("mnist", cache=tmp_path).name == "mnist"


def test_more_than_the_memory_is_refused(openml: OpenML, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("numerics.model_checks.available_memory", lambda device: 1000)
    with pytest.raises(ValueError, match="mnist: needs about"):
        images(TINY, tmp_path)
    assert not openml.calls


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STABLESSM_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"
    assert cache_folder(tmp_path) == tmp_path
    monkeypatch.setenv("STABLESSM_CACHE", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "stablessm"


def test_the_module_reads_no_pickles() -> None:
    assert "allow_pickle=False" in inspect.getsource(dataset_files)
