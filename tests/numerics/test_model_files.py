"""Model files: what is written is read back exactly; every damaged or wrong file is one clear line."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from safetensors.torch import save_file

from numerics import model_files
from numerics.model_files import read_model, write_model
from numerics.models import DiagonalModel, FullModel, Layer
from numerics.reparameterization import Reparameterization
from tests.strategies import diagonal_models, full_models

D = torch.float64
PLAIN: dict[str, Any] = {
    "time": "continuous",
    "layers": [{"lam": [-0.5, -2], "U": [[1, 2], [0.5, 3]]}],
    "c": [1, -1],
    "activation": "identity",
    "reparameterization": "exp",
    "modes": "plain",
}
PAIRS: dict[str, Any] = {
    "layers": [{"lam": [[-0.5, 2], [-1, 0.25]], "U": [[1], [[0, 1]]]}],
    "c": [[2, -1], 3],
    "reparameterization": "softplus",
}


def saved(tmp_path: Path, value: Any, name: str = "model.json") -> Path:
    path = tmp_path / name
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def read(tmp_path: Path, value: Any) -> Any:
    return read_model(saved(tmp_path, value))


def same(one: DiagonalModel | FullModel, other: DiagonalModel | FullModel) -> bool:
    """Equal in every field and bit."""
    if isinstance(one, FullModel) or isinstance(other, FullModel):
        return one.time == other.time and all(torch.equal(getattr(one, n), getattr(other, n)) for n in ("A", "B", "C"))
    fields = ("activation", "modes", "time", "step_size", "discretization")
    tensors = zip(sum(one.weights.values(), ()), sum(other.weights.values(), ()), strict=True)
    return (
        all(getattr(one, n) == getattr(other, n) for n in fields)
        and one.reparameterization.expr == other.reparameterization.expr
        and all(x.dtype == y.dtype and torch.equal(x, y) for x, y in tensors)
    )


# Round trips


@settings(max_examples=25)
@given(diagonal_models())
def test_a_diagonal_model_survives_json_and_safetensors(tmp_path_factory: Any, model: DiagonalModel) -> None:
    folder = tmp_path_factory.mktemp("models")
    for name in ("a.json", "a.safetensors"):
        write_model(model, folder / name)
        again = read_model(folder / name)
        assert isinstance(again, DiagonalModel)
        assert same(model, again)
    assert sorted(path.name for path in folder.iterdir()) == ["a.json", "a.safetensors"]


@settings(max_examples=15)
@given(full_models())
def test_a_full_model_survives(tmp_path_factory: Any, model: FullModel) -> None:
    folder = tmp_path_factory.mktemp("models")
    for name in ("a.json", "a.safetensors"):
        write_model(model, folder / name)
        assert same(model, read_model(folder / name))


@settings(max_examples=15)
@given(diagonal_models(batch=None))
def test_a_batch_survives_safetensors(tmp_path_factory: Any, model: DiagonalModel) -> None:
    path = tmp_path_factory.mktemp("models") / "a.safetensors"
    write_model(model, path)
    assert same(model, read_model(path))
    if model.batch_shape:
        with pytest.raises(ValueError, match="JSON holds one model"):
            write_model(model, path.with_suffix(".json"))
        assert not path.with_suffix(".json").exists()


def test_single_precision(tmp_path: Path) -> None:
    model = read(tmp_path, PAIRS).to(dtype=torch.float32)
    write_model(model, tmp_path / "m.safetensors")
    assert same(model, read_model(tmp_path / "m.safetensors"))
    write_model(model, tmp_path / "m.json")
    assert same(model.to(dtype=D), read_model(tmp_path / "m.json"))


def test_values_of_a_formula_are_written_into_it(tmp_path: Path) -> None:
    f = Reparameterization("-a*exp(w)", values={"a": "1/3"})
    model = DiagonalModel((Layer(torch.zeros(1, dtype=D), torch.ones(1, 1, dtype=D)),), torch.ones(1, dtype=D), f)
    for name in ("m.json", "m.safetensors"):
        write_model(model, tmp_path / name)
        assert same(model, read_model(tmp_path / name))


# The JSON form


def test_the_form_with_lam(tmp_path: Path) -> None:
    model = read(tmp_path, PLAIN)
    torch.testing.assert_close(model.layers[0].w, torch.log(torch.tensor([0.5, 2.0], dtype=D)))
    assert model.layers[0].U.tolist() == [[1.0, 2.0], [0.5, 3.0]]
    assert model.c.tolist() == [[1.0, -1.0]]
    assert model.dtype == D
    assert (model.input_dim, model.output_dim, model.is_complex) == (2, 1, False)


def test_complex_numbers_are_pairs(tmp_path: Path) -> None:
    model = read(tmp_path, PAIRS)
    torch.testing.assert_close(model.lam(), torch.tensor([-0.5 + 2j, -1 + 0.25j], dtype=torch.complex128))
    assert model.layers[0].U.tolist() == [[1 + 0j], [1j]]
    assert model.c.tolist() == [[2 - 1j, 3 + 0j]]
    several = read(tmp_path, {**PAIRS, "c": [[[2, -1], 3], [[0, 1], [1, 0]]]})
    assert several.c.tolist() == [[2 - 1j, 3 + 0j], [1j, 1 + 0j]]


def test_rows_of_a_real_c_are_outputs_and_not_pairs(tmp_path: Path) -> None:
    model = read(tmp_path, {**PLAIN, "c": [[1, 2], [3, 4], [5, 6]]})
    assert model.output_dim == 3
    assert model.c.tolist() == [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


def test_w_with_omega_is_complex(tmp_path: Path) -> None:
    model = read(tmp_path, {**PAIRS, "layers": [{"w": [0, 1], "omega": [1, -1], "U": [[1], [2]]}]})
    assert model.is_complex
    assert model.lam()[1].imag == -1


def test_keys_left_out(tmp_path: Path) -> None:
    model = read(tmp_path, {"layers": [{"lam": [-1], "U": [[1]]}], "c": [1], "step_size": None})
    assert (model.time, model.activation.name, model.reparameterization.text, model.modes) == (
        "continuous", "identity", "direct", "plain")  # fmt: skip


def test_discrete_time(tmp_path: Path) -> None:
    native = read(tmp_path, {**PLAIN, "time": "discrete", "layers": [{"lam": [0.5, 0.25], "U": [[1], [1]]}]})
    assert native.transition().tolist() == pytest.approx([0.5, 0.25])
    sampled = read(tmp_path, {**PLAIN, "time": "discrete", "step_size": 1, "discretization": "zoh"})
    assert sampled.transition().tolist() == pytest.approx([math.exp(-0.5), math.exp(-2)])
    turning = {
        **PAIRS,
        "time": "discrete",
        "reparameterization": "sigmoid",
        "layers": [{"lam": [[0, 0.5]], "U": [[1]]}],
    }
    model = read(tmp_path, {**turning, "c": [1]})
    torch.testing.assert_close(model.lam(), torch.tensor([0.5j], dtype=torch.complex128))


def test_full_matrices(tmp_path: Path) -> None:
    model = read(tmp_path, {"time": "discrete", "A": [[0.5, 1], [0, 0.5]], "B": [[0], [1]], "C": [[1, 0]]})
    assert isinstance(model, FullModel)
    assert model.impulse_response(range(4)).flatten().tolist() == pytest.approx([0, 1, 1, 0.75])


LAYER = PLAIN["layers"][0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": [{"lam": [-0.5, 2], "U": LAYER["U"]}]}, r"layer 1: lam: 2\.0 is not a value of .* 'exp', range"),
        (
            {"layers": [{"lam": [-0.5, 2], "U": LAYER["U"]}], "reparameterization": "direct"},
            r"layer 1: lam: Re λ = 2\.0",
        ),
        ({"reparameterization": "-exp(w)"}, "no inverse is known for '-exp"),
        ({"reparameterization": "expp"}, "did you mean exp"),
        ({"reparameterization": 3}, "reparameterization: a text is needed, got a number"),
        ({"activation": "tahn"}, "activation: 'tahn' is unknown; did you mean tanh"),
        ({"modes": "norm"}, "modes: 'norm' is not one of plain, unit-norm"),
        ({"time": True}, "time: a text is needed, got true"),
        ({"step_size": 0.1}, "step_size: 0.1 is for time 'discrete'"),
        ({"time": "discrete", "step_size": "0.1"}, "step_size: a positive number is needed, got the text '0.1'"),
        ({"layres": []}, "unknown key 'layres'; did you mean 'layers'"),
        ({"zzz": 1}, "unknown key 'zzz'; allowed: time"),
        ({"layers": []}, r"layers: a list with at least one layer is needed, got \[\]"),
        ({"layers": {}}, "layers: a list with at least one layer"),
        ({"layers": [3]}, "layer 1: an object with lam"),
        ({"layers": [LAYER, {"lam": [-1]}]}, "layer 2: the key 'U' is missing"),
        ({"layers": [{"U": [[1]]}]}, r"layer 1: the key 'lam' \(or 'w'\) is missing"),
        ({"layers": [{**LAYER, "w": [1, 2]}]}, "layer 1: lam and w are both given"),
        ({"layers": [{**LAYER, "omega": [1, 2]}]}, "layer 1: lam and omega are both given"),
        ({"layers": [{**LAYER, "lan": [1]}]}, "layer 1: unknown key 'lan'; did you mean 'lam'"),
        ({"layers": [{**LAYER, "lam": []}]}, "layer 1: lam: must not be empty"),
        ({"layers": [{**LAYER, "lam": -1}]}, "layer 1: lam: a list is needed, got a number"),
        ({"layers": [{**LAYER, "lam": [-1, True]}]}, "layer 1: lam: a number or .* is needed in each place, got true"),
        ({"layers": [{**LAYER, "lam": [-1, [-1, 0]]}]}, "layer 1: lam: real and complex values are mixed"),
        ({"layers": [{**LAYER, "lam": [-1, [-1, 0, 3]]}]}, r"lam: a number or \[re, im\] is needed in each place"),
        ({"layers": [{**LAYER, "U": []}]}, "layer 1: U: must not be empty"),
        ({"layers": [{**LAYER, "U": [[]]}]}, "layer 1: U: must not be empty"),
        ({"layers": [{**LAYER, "U": [1, 2]}]}, "layer 1: U: a list is needed, got a number"),
        ({"layers": [{**LAYER, "U": [[1, 2], [3]]}]}, "layer 1: U: its rows have 2 and 1 entries"),
        ({"layers": [{**LAYER, "U": [[1], [2], [3]]}]}, r"layer 1: U: has shape \(3, 1\)"),
        ({"layers": [{**LAYER, "U": [[1], [[0, 1]]]}]}, "layer 1: U: is complex, but the model is real"),
        ({"layers": [{"w": [[0, 1], 0], "U": [[1], [2]]}]}, "layer 1: w: a number is needed in each place, got a list"),
        ({"layers": [LAYER, {"w": [1], "U": [[1, 1]]}]}, "layer 1: lam is given where other layers give w"),
        ({"layers": [LAYER, {"lam": [[-1, 1]], "U": [[1, 1]]}]}, "layer 2: omega: real and complex λ"),
        ({"c": [1, 2, 3]}, r"c: has shape \(3,\)"),
        ({"c": []}, "c: must not be empty"),
        ({"c": "x"}, "c: a list is needed, got the text 'x'"),
        ({"c": [1, None]}, "c: a number is needed in each place, got null"),
        ({"c": [1e999, 1]}, "Infinity is not a number"),
    ],
)
def test_what_json_refuses(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = saved(tmp_path, {**PLAIN, **changes})
    with pytest.raises(ValueError, match=message) as caught:
        read_model(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["layers", "c"])
def test_a_missing_key(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match=f"the key '{key}' is missing"):
        read(tmp_path, {k: v for k, v in PLAIN.items() if k != key})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("   ", r"is not JSON: Expecting value \(line 1, column 4\)"),
        ('{"c": [1,\n 2', r"is not JSON: .* \(line 2, column 3\)"),
        ("[1, 2]", r"a JSON object \{...\} is needed, got a list"),
        ("true", "is needed, got true"),
        ('{"c": [NaN]}', "NaN is not a number of a model"),
        ('{"c": [-Infinity]}', "-Infinity is not a number"),
        ('{"c": [1], "c": [2]}', "the key 'c' occurs twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"c":' * 100_000, "nested too deeply"),
        ('{"layers": [{"lam": [-1], "U": [[1e400]]}], "c": [1]}', "layer 1: U: contains a number that is not finite"),
        (
            '{"layers": [{"lam": [-1], "U": [[1]]}], "c": [1' + "0" * 5000 + "]}",
            "c: contains a number that is not finite",
        ),
        ('{"A": [[-1]], "B": [[1]]}', "the key 'C' is missing"),
        ('{"A": [[-1]], "B": [[1]], "C": [[1]], "D": [[1]]}', "unknown key 'D'"),
        ('{"A": [[1]], "B": [[1]], "C": [[1]]}', "A: its largest real part of an eigenvalue is 1"),
        ('{"A": [[-1]], "B": [[1]], "C": [[1]], "activation": "tanh"}', "activation: a model with A, B, C is linear"),
    ],
)
def test_a_text_that_is_no_model(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"missing\.json: cannot be read: No such file"):
        read_model(tmp_path / "missing.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(ValueError, match="is not a file"):
        read_model(tmp_path / "folder.json")
    with pytest.raises(ValueError, match=r"ends in \.json or \.safetensors"):
        read_model(saved(tmp_path, PLAIN, "model.txt"))
    (tmp_path / "latin.json").write_bytes(b'{"time": "\xe9"}')
    with pytest.raises(ValueError, match=r"is not UTF-8 text \(byte 10\)"):
        read_model(tmp_path / "latin.json")


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_bytes(b'\xef\xbb\xbf{"A": [[-1]], "B": [[1]], "C": [[1]]}')
    assert isinstance(read_model(tmp_path / "m.json"), FullModel)


def test_a_huge_json_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(2 * 2**30)  # sparse: no disk is used
    with pytest.raises(ValueError, match=r"2048 MiB of JSON; at most 64 are read, write a \.safetensors"):
        read_model(path)


def test_a_model_too_large_for_json_is_not_written(tmp_path: Path) -> None:
    size = 2**21
    model = DiagonalModel(
        (Layer(torch.zeros(size, dtype=D), torch.ones(size, 1, dtype=D)),), torch.ones(size, dtype=D), "exp"
    )
    with pytest.raises(ValueError, match=r"numbers are too many for JSON; write a \.safetensors"):
        write_model(model, tmp_path / "m.json")
    assert list(tmp_path.iterdir()) == []


# safetensors


def tensors() -> dict[str, torch.Tensor]:
    return {
        "layers.0.w": torch.zeros(2, dtype=D),
        "layers.0.U": torch.ones(2, 1, dtype=D),
        "c": torch.ones(2, dtype=D),
    }


def read_tensors(tmp_path: Path, changes: dict[str, Any], metadata: dict[str, str] | None = None) -> Any:
    value = {key: x for key, x in {**tensors(), **changes}.items() if x is not None}
    save_file(value, tmp_path / "m.safetensors", metadata or {"reparameterization": "exp"})
    return read_model(tmp_path / "m.safetensors")


def test_tensors_by_hand(tmp_path: Path) -> None:
    assert read_tensors(tmp_path, {}).lam().tolist() == [-1.0, -1.0]
    lam = {"layers.0.w": None, "layers.0.lam": -torch.ones(2, dtype=D)}
    assert read_tensors(tmp_path, lam).layers[0].w.tolist() == [0.0, 0.0]
    pairs = {
        "layers.0.w": None,
        "layers.0.lam": torch.tensor([[-1.0, 2.0]], dtype=D),
        "layers.0.U": torch.tensor([[[1.0, 1.0]]], dtype=D),
        "c": torch.tensor([[2.0, 0.0]], dtype=D),
    }
    model = read_tensors(tmp_path, pairs, {"reparameterization": "exp", "complex": "true"})
    assert model.lam().tolist() == [-1 + 2j]
    assert model.c.tolist() == [[2 + 0j]]


@pytest.mark.parametrize(
    ("changes", "metadata", "message"),
    [
        ({"c": None}, None, "tensors: the key 'c' is missing"),
        ({"d": torch.ones(1)}, None, "tensors: unknown key 'd'"),
        ({"layers.2.w": torch.zeros(1)}, None, "layers.1: the key 'U' is missing"),
        ({"layers.99999999.w": torch.zeros(1)}, None, "tensors: layers are numbered from 0"),
        ({"layers.x.w": torch.zeros(1)}, None, r"tensors: unknown key 'layers\.x\.w'"),
        ({"layers.0.U": None}, None, r"layers\.0: the key 'U' is missing"),
        ({"layers.0.omega": torch.zeros(2, dtype=D)}, None, r"layers\.0\.U: a complex model needs a last axis of 2"),
        ({"c": torch.ones(2, dtype=torch.int64)}, None, r"c: torch\.int64 is not one of"),
        ({"c": torch.tensor([1.0, math.nan], dtype=D)}, None, "c: contains a number that is not finite"),
        ({"c": torch.ones(3, dtype=D)}, None, r"c: has shape \(3,\)"),
        (
            {},
            {"reparametrization": "exp"},
            "unknown key 'reparametrization'; did you mean 'reparam",
        ),
        ({}, {"complex": "yes"}, "metadata: complex: 'yes' is not one of true, false"),
        ({"layers." + "1" * 5000 + ".w": torch.ones(1)}, None, "tensors: unknown key 'layers.1111"),
        ({}, {"time": "discrete", "step_size": "x"}, "metadata: step_size: a number is needed, got 'x'"),
        ({}, {"time": "discrete", "step_size": "nan", "discretization": "zoh"}, "step_size: a positive finite number"),
        ({"A": torch.ones(1, 1)}, None, "tensors: unknown key"),
        (dict.fromkeys(tensors()) | {"A": torch.ones(1, 1)}, {"time": "continuous"}, "tensors: the key 'B' is"),
    ],
)
def test_what_safetensors_refuses(
    tmp_path: Path, changes: dict[str, Any], metadata: dict[str, str] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_tensors(tmp_path, changes, metadata)
    assert "\n" not in str(caught.value)


def test_damaged_files(tmp_path: Path) -> None:
    model = read(tmp_path, PLAIN)
    whole = tmp_path / "whole.safetensors"
    write_model(model, whole)
    data = whole.read_bytes()
    part = tmp_path / "part.safetensors"
    for content in (data[:-1], data[: len(data) // 2], data[:7], b"\xff" * 64, b"{}", data + b"\0"):
        part.write_bytes(content)
        with pytest.raises(ValueError, match=r"part\.safetensors: is not a whole safetensors file") as caught:
            read_model(part)
        assert "\n" not in str(caught.value)
    part.write_bytes(b"")
    with pytest.raises(ValueError, match="is empty"):
        read_model(part)


def test_memory_is_estimated_before_loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(read(tmp_path, PLAIN), tmp_path / "m.safetensors")
    monkeypatch.setattr("numerics.model_checks.available_memory", lambda device: 100)
    for name in ("m.safetensors", "model.json"):
        with pytest.raises(ValueError, match="model: needs about"):
            read_model(tmp_path / name)


# Writing


def test_writing_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = read(tmp_path, PLAIN)
    path = saved(tmp_path, "old", "m.json")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_files.os, "replace", fail)
    for name in ("m.json", "m.safetensors"):
        with pytest.raises(ValueError, match="cannot be written: No space left"):
            write_model(model, tmp_path / name)
    assert path.read_text() == "old"
    assert {p.name for p in tmp_path.iterdir()} == {"m.json", "model.json"}


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    model = read(tmp_path, PLAIN)
    for name in ("no/such/m.json", "no/such/m.safetensors"):
        with pytest.raises(ValueError, match=r"cannot be written: .*No such file"):
            write_model(model, tmp_path / name)
    with pytest.raises(ValueError, match=r"ends in \.json or \.safetensors"):
        write_model(model, tmp_path / "m.pt")
