"""Data sets against direct reconstructions: images from their source, functionals by sums, texts as they read."""

from __future__ import annotations

import hashlib
import math
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from numerics.datasets import NAMES, Dataset, load_dataset
from numerics.functional_data import causal_filter, output_scale, sampled_kernel, white_noise_pairs
from numerics.targets import parse_target
from numerics.text_data import UNKNOWN, embedded_text, next_token_sequences, token_text

KERNELS = (
    "exponential",
    "polynomial:p=1.1:s=10",
    "shift",
    "two-part",
    "airy",
    "sine:omega=0.3",
    "exponential:rate=0.5+shift:scale=-0.5",
)


def tensors(dataset: Dataset) -> tuple[torch.Tensor, ...]:
    return dataset.train_inputs, dataset.train_targets, dataset.test_inputs, dataset.test_targets


# Digits


def test_digits_are_those_of_scikit_learn() -> None:
    sklearn_datasets = pytest.importorskip("sklearn.datasets")
    pixels, labels = sklearn_datasets.load_digits(return_X_y=True)
    dataset = load_dataset("digits")
    assert [tuple(x.shape) for x in tensors(dataset)] == [(1437, 64, 1), (1437,), (360, 64, 1), (360,)]
    assert (dataset.task, dataset.outputs, dataset.tokens, dataset.length, dataset.input_dim) == (
        "classification", 10, 0, 64, 1,
    )  # fmt: skip
    assert dataset.train_inputs.dtype == torch.float64
    assert dataset.train_targets.dtype == torch.int64
    assert float(dataset.train_inputs.mean()) == pytest.approx(0, abs=1e-13)
    assert float(dataset.train_inputs.std(correction=0)) == pytest.approx(1, rel=1e-13)
    both = torch.cat((dataset.train_inputs, dataset.test_inputs))[:, :, 0]
    low, high = both.min(), both.max()  # 0 and 16
    found = ((both - low) * (16 / (high - low))).round().to(torch.int64).tolist()
    classes = torch.cat((dataset.train_targets, dataset.test_targets)).tolist()
    expected = Counter((*map(int, image), int(label)) for image, label in zip(pixels, labels, strict=True))
    assert Counter((*image, label) for image, label in zip(found, classes, strict=True)) == expected


def test_the_split_of_digits_never_changes() -> None:
    pytest.importorskip("sklearn")
    labels = load_dataset("digits").test_targets.to(torch.uint8).numpy().tobytes()
    assert hashlib.sha256(labels).hexdigest()[:16] == "2afb26f01c4ab83c"


def test_fewer_examples_are_the_first_and_standardized_again() -> None:
    pytest.importorskip("sklearn")
    whole, few = load_dataset("digits"), load_dataset("digits", examples=50)
    assert torch.equal(few.train_targets, whole.train_targets[:50])
    assert torch.equal(few.test_targets, whole.test_targets[:50])
    assert float(few.train_inputs.std(correction=0)) == pytest.approx(1, rel=1e-13)
    assert len(load_dataset("digits", examples=1000).test_inputs) == 360
    shift = few.test_inputs * whole.train_inputs[:50].std(correction=0) + whole.train_inputs[:50].mean()
    assert torch.allclose(shift, whole.test_inputs[:50], rtol=0, atol=1e-13)


# Functionals


@pytest.mark.parametrize("spec", KERNELS)
def test_the_outputs_of_a_functional_are_its_sums(spec: str) -> None:
    """y_t scale = Σ_{j≤t} ρ(j) x_{t-j}, summed one by one; the error of an FFT is some ε log L |k| |x|."""
    dataset = load_dataset(f"functional:{spec}", examples=6, length=30)
    target = parse_target(spec)
    x, y = dataset.train_inputs[:, :, 0].numpy(), dataset.train_targets[:, :, 0].numpy() * dataset.scale
    for t in range(30):
        direct = sum(float(target.rho(float(j))) * x[:, t - j] for j in range(t + 1))
        np.testing.assert_allclose(y[:, t], direct, rtol=0, atol=1e-13)
    assert [tuple(part.shape) for part in tensors(dataset)] == [(6, 30, 1), (6, 30, 1), (2, 30, 1), (2, 30, 1)]
    assert (dataset.task, dataset.outputs, dataset.tokens) == ("regression", 1, 0)


def test_a_kernel_from_a_file(tmp_path: Path) -> None:
    """Linear between (0, 2) and (4, 0): 2, 1.5, 1, 0.5, 0, 0."""
    file = written(tmp_path, "t,rho\n0,2\n4,0\n", "kernel.csv")
    dataset = load_dataset(f'functional:csv:file="{file}"', examples=2, length=6)
    kernel, x = torch.tensor([2, 1.5, 1, 0.5, 0, 0], dtype=torch.float64), dataset.train_inputs[:, :, 0]
    assert torch.allclose(x.flip(1) @ kernel / dataset.scale, dataset.train_targets[:, 5, 0], rtol=0, atol=1e-13)
    assert dataset.name == f'functional:csv:file="{file}"' or dataset.name == f"functional:csv:file={file}"


def test_an_exponential_follows_its_recurrence() -> None:
    """h_t = e^{-1} h_{t-1} + x_t."""
    dataset = load_dataset("functional:exponential", examples=3)
    assert dataset.length == 100
    h = torch.zeros(3, dtype=torch.float64)
    for t in range(100):
        h = math.exp(-1) * h + dataset.train_inputs[:, t, 0]
        assert torch.allclose(h / dataset.scale, dataset.train_targets[:, t, 0], rtol=0, atol=1e-13)


@pytest.mark.parametrize("spec", KERNELS)
def test_predicting_zero_costs_one(spec: str) -> None:
    """scale² = mean over t of E y_t², which is |T|²_F / L of the Toeplitz matrix T of the kernel."""
    kernel = sampled_kernel(parse_target(spec), 40)
    matrix = causal_filter(np.eye(40), kernel)
    assert output_scale(kernel) == pytest.approx(np.linalg.norm(matrix) / math.sqrt(40), rel=1e-12)
    y = load_dataset(f"functional:{spec}", length=40).train_targets
    per_sequence = y.square().mean((1, 2))
    error = float(per_sequence.std()) / math.sqrt(len(y))
    assert float(per_sequence.mean()) == pytest.approx(1, abs=5 * error)


def test_the_noise_is_fixed_and_grows_by_rows() -> None:
    whole, few = load_dataset("functional:airy"), load_dataset("functional:airy", examples=5)
    assert len(whole.train_inputs) == 2048
    assert len(whole.test_inputs) == 512
    assert torch.equal(few.train_inputs, whole.train_inputs[:5])
    assert torch.equal(load_dataset("functional:shift").train_inputs, whole.train_inputs)
    assert not torch.isin(whole.test_inputs, whole.train_inputs).any()
    assert len(load_dataset("functional:airy", examples=3000, length=2).train_inputs) == 3000
    assert float(whole.train_inputs[0, 0, 0]) == 1.6243453636632417  # RandomState(1), which NumPy keeps


def test_the_scale_of_large_and_small_kernels() -> None:
    tiny, usual, large = (
        output_scale(sampled_kernel(parse_target(f"airy:scale={s}"), 9)) for s in ("1e-90", "1", "1e90")
    )
    assert tiny == pytest.approx(usual * 1e-90, rel=1e-12, abs=0)
    assert large == pytest.approx(usual * 1e90, rel=1e-12)


def test_inputs_stay_as_they_are() -> None:
    kernel = np.ones(4)
    x = np.ones((2, 4))
    causal_filter(x, kernel)
    white_noise_pairs(kernel, 2, 0)
    assert (x == 1).all()
    assert (kernel == 1).all()


class Broken:
    """A target with a pole in step 3."""

    spec = "broken"

    def rho(self, t: np.ndarray[Any, np.dtype[np.float64]]) -> Any:
        return 1 / (t - 3)


def test_a_kernel_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="functional: broken is inf at t = 3"):
        sampled_kernel(Broken(), 10)  # type: ignore[arg-type]


# Texts

TEXT = "".join(chr(97 + (i * i + i // 7) % 11) + ("\r\n" if i % 13 == 0 else "") for i in range(500)) + "zÄ" * 3


def written(folder: Path, content: str | bytes, name: str = "a text.txt") -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def test_the_tokens_are_the_text(tmp_path: Path) -> None:
    file = written(tmp_path, TEXT)
    dataset = load_dataset(f"text:{file}", length=10)
    cut = len(TEXT) * 9 // 10
    assert dataset.alphabet == (*sorted(set(TEXT[:cut])), UNKNOWN)
    assert dataset.tokens == dataset.outputs == len(dataset.alphabet)
    for inputs, targets, part in (
        (dataset.train_inputs, dataset.train_targets, TEXT[:cut]),
        (dataset.test_inputs, dataset.test_targets, TEXT[cut:]),
    ):
        count = (len(part) - 1) // 10
        assert inputs.shape == targets.shape == (count, 10)
        known = [c if c in dataset.alphabet else UNKNOWN for c in part]
        assert [dataset.alphabet[i] for i in inputs.flatten()] == known[: 10 * count]
        assert [dataset.alphabet[i] for i in targets.flatten()] == known[1 : 10 * count + 1]
        assert inputs.dtype == torch.int64
    assert "6 of the 59 validation characters unknown" in dataset.source
    assert hashlib.sha256(TEXT.encode()).hexdigest() in dataset.source


def test_bytes_need_no_text(tmp_path: Path) -> None:
    content = bytes(range(256)) * 3
    dataset = load_dataset(f"text:{written(tmp_path, content)}", length=20, tokens="byte")
    assert dataset.outputs == 256
    assert dataset.alphabet[65] == "A"
    assert dataset.alphabet[0] == "<0x00>"
    assert len(set(dataset.alphabet)) == 256
    assert bytes(dataset.train_inputs.flatten().tolist()) == content[: dataset.train_inputs.numel()]


def test_a_byte_order_mark_is_no_character(tmp_path: Path) -> None:
    plain, marked = (
        load_dataset(f"text:{written(tmp_path, head + TEXT.encode(), name)}", length=5)
        for head, name in ((b"", "plain"), (b"\xef\xbb\xbf", "marked"))
    )
    assert plain.checksum == marked.checksum


def test_the_embedded_text_says_where_it_is_from() -> None:
    dataset = load_dataset("text")
    assert dataset.name == "text"
    assert dataset.length == 256
    assert f"pydoc_data.topics of Python {sys.version_info[0]}.{sys.version_info[1]}" in dataset.source
    assert hashlib.sha256(embedded_text().encode()).hexdigest() in dataset.source
    assert dataset.tokens < 200
    assert len(dataset.train_inputs) > 1000
    few = load_dataset("text", examples=20, length=64)
    assert few.train_inputs.shape == few.test_inputs.shape == (20, 64)
    assert few.alphabet == dataset.alphabet


def test_the_embedded_text_repeats_no_paragraph() -> None:
    from pydoc_data.topics import topics

    paragraphs = embedded_text().split("\n\n")
    assert len(set(paragraphs)) == len(paragraphs)
    assert set(paragraphs) == {
        part.strip("\n") for text in topics.values() for part in text.split("\n\n") if part.strip()
    }
    assert len("".join(topics.values())) > len(embedded_text())


def test_next_tokens() -> None:
    inputs, targets = next_token_sequences(np.arange(8), 3)
    assert inputs.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert targets.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert next_token_sequences(np.arange(4), 3)[0].tolist() == [[0, 1, 2]]
    assert next_token_sequences(np.arange(3), 3)[0].shape == (0, 3)


def test_the_longest_possible_length_is_named_rightly(tmp_path: Path) -> None:
    file = written(tmp_path, TEXT)
    most = len(TEXT) - len(TEXT) * 9 // 10 - 1
    with pytest.raises(ValueError, match=f"too few for sequences of 256; at most length={most} is possible"):
        load_dataset(f"text:{file}")
    assert load_dataset(f"text:{file}", length=most).test_inputs.shape == (1, most)
    with pytest.raises(ValueError, match="too few for sequences"):
        load_dataset(f"text:{file}", length=most + 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"x", "has 1 characters; at least 20 are needed"),
        (b"xy" * 9 + b"z", "has 19 characters; at least 20 are needed"),
        (b"xy" * 10, "at most length=1 is possible"),
        (b"text\0" * 100, "is not a text, it has null characters; for any file give byte tokens"),
        ("Ärger".encode("latin-1") * 100, "is not UTF-8 text, from byte 0 on; for any file give byte tokens"),
        (b"abc\xed\xa0\x80" * 100, "is not UTF-8 text, from byte 3 on"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load_dataset(f"text:{written(tmp_path, content)}")
    assert str(caught.value).startswith("text: ")
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file, message in (
        (tmp_path / "none", "No such file or directory"),
        (tmp_path, "is not a file"),
        ("/dev/null", "is not a file"),
        ("a\0b", "is not a file"),
        ("x" * 5000, "File name too long"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            load_dataset(f"text:{file}")
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 250

    def refused(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    file = written(tmp_path, TEXT)
    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(ValueError, match="Permission denied"):
        load_dataset(f"text:{file}")


def test_a_python_without_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(ValueError, match=r"text: this Python has no pydoc_data\.topics.*give a file, as in text:FILE"):
        load_dataset("text")


def test_unknown_characters_are_none_of_the_alphabet(tmp_path: Path) -> None:
    """U+FFFD in a text is a character like another."""
    text = token_text(written(tmp_path, "ab\ufffd" * 30 + "c" * 9), "character")
    assert text.alphabet == ("a", "b", "\ufffd", UNKNOWN)
    assert text.unknown == 9
    assert (text.validation[-9:] == 3).all()


# All


@pytest.mark.parametrize(
    ("spec", "settings", "message"),
    [
        ("digit", {}, "data: 'digit' is not a data set; did you mean digits"),
        ("", {}, "data: '' is not a data set; known: digits, mnist, cifar10, functional:TARGET, text, text:FILE"),
        ("Text", {}, "did you mean text"),
        ("mnist:3", {}, "data: 'mnist:3' is not a data set; did you mean mnist"),
        ("text:", {}, "data: 'text:' needs a file after the colon"),
        ("functional", {}, "data: 'functional' needs a target, as in functional:polynomial:p=1.5"),
        ("functional:", {}, "needs a target"),
        ("functional:exponentail", {}, "target: 'exponentail' is not a target; did you mean exponential"),
        ("functional:exponential:scale=0", {}, "functional: its outputs over 100 steps have size 0; nothing to learn"),
        ("functional:shift", {"length": 9}, "functional: its outputs over 9 steps have size 0"),
        ("functional:shift", {"length": 0}, "length: at least 1 is needed, got 0"),
        ("functional:shift", {"length": 10**15}, "length: needs about"),
        ("functional:shift", {"examples": 10**12}, "functional: needs about"),
        ("digits", {"examples": 0}, "examples: at least 1 is needed, got 0"),
        ("digits", {"length": 8}, "length: is for functional and text, digits has one of its own; got 8"),
        ("digits", {"tokens": "byte"}, "tokens: byte tokens are for text, not for digits"),
        ("text", {"tokens": "word"}, "tokens: 'word' is not one of character, byte"),
        ("x" * 1000 + "\n", {}, "data: 'x+…' is not a data set"),
    ],
)
def test_what_does_not_fit_is_named(spec: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load_dataset(spec, **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spec", ["digits", "functional:airy", "text"])
def test_equal_data_has_equal_checksums(spec: str) -> None:
    if spec == "digits":
        pytest.importorskip("sklearn")
    first, second, other = (load_dataset(spec, examples=n) for n in (40, 40, 39))
    assert first.checksum == second.checksum != other.checksum
    digest = hashlib.sha256()
    for tensor in tensors(first):
        array = tensor.numpy()
        digest.update(repr((array.dtype.str, array.shape)).encode() + array.tobytes())
    assert first.checksum == digest.hexdigest()
    assert "\n" not in first.source
    row = first.as_json()
    assert (row["name"], row["training_sequences"], row["checksum"]) == (first.name, 40, first.checksum)


def test_every_name_has_a_data_set(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    specs = {"functional:TARGET": "functional:sine", "text:FILE": f"text:{written(tmp_path, TEXT * 10)}"}
    fetched = {"mnist", "cifar10"}
    for name in set(NAMES) - fetched:
        dataset = load_dataset(specs.get(name, name))
        assert all(torch.isfinite(x.double()).all() for x in tensors(dataset))
        assert dataset.name.partition(":")[0] == name.partition(":")[0]
