"""Models as JSON text.

A diagonal model (complex numbers are [re, im]; a model is complex if and only if its λ are):

    {"time": "continuous", "layers": [{"lam": [...], "U": [[...]]}], "c": [...], "activation": "identity",
     "reparameterization": "exp", "modes": "plain"}

A layer has "U" (m_l × m_{l-1}, rows are modes) and either "lam", of which w = f⁻¹(Re λ) is taken on the named inverse
branch, or "w", for a complex model with "omega". "c" is a list of m numbers, or a list of such lists for several
outputs. With "time": "discrete" there may be "step_size" and "discretization" ("zoh" or "bilinear"). Keys left out:
time "continuous", activation "identity", reparameterization "direct", modes "plain". A full-matrix model has "A", "B",
"C" (lists of rows) and "time".
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from numerics.models import DiagonalModel, FullModel, Layer
from numerics.reparameterization import Reparameterization

LARGEST_JSON = 64 * 2**20
"""Bytes; larger models belong into safetensors."""
SETTINGS = ("time", "activation", "reparameterization", "modes", "step_size", "discretization")
_DIAGONAL = (*SETTINGS, "layers", "c")
_FULL = ("time", "A", "B", "C")
LAYER = ("lam", "w", "omega", "U")

Model = DiagonalModel | FullModel


def model_of_json(text: str) -> Model:
    """The model that a JSON text describes, in float64 on the CPU. Raises ValueError, in one line."""
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_int=_number, object_pairs_hook=_without_repetition)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError(f"a JSON object {{...}} is needed, got {_kind(value)}")
    return _full_of_json(value) if {"A", "B", "C"} & set(value) else _diagonal_of_json(value)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of a model; every number must be finite")


def _number(digits: str) -> float:
    return float(digits)  # too many digits give inf, which the checks of the model name


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)[:60]!r} occurs twice")
    return result


def _kind(value: object) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    kinds = {dict: "an object", list: "a list", str: f"the text {str(value)[:40]!r}", float: "a number"}
    return kinds.get(type(value), type(value).__name__)


def check_keys(value: Mapping[str, Any], allowed: Iterable[str], where: str = "") -> None:
    """Raises ValueError for a key that is not allowed, with the nearest one that is."""
    for key in value:
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"allowed: {', '.join(allowed)}"
            raise ValueError(f"{where}unknown key {key[:60]!r}; {hint}")


def needed(value: Mapping[str, Any], key: str, where: str = "") -> Any:
    """The value of a key. Raises ValueError where it is missing."""
    if key not in value:
        raise ValueError(f"{where}the key {key!r} is missing")
    return value[key]


def read_settings(value: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of DiagonalModel, and the reparameterization as a text."""
    settings: dict[str, Any] = {"reparameterization": "direct"}
    for key in SETTINGS:
        given = value.get(key)
        if given is None:  # null stands for a key left out
            continue
        if key == "step_size":
            if not isinstance(given, float):
                raise ValueError(f"step_size: a positive number is needed, got {_kind(given)}")
        elif not isinstance(given, str):
            raise ValueError(f"{key}: a text is needed, got {_kind(given)}")
        settings[key] = given
    return settings


def _diagonal_of_json(value: Mapping[str, Any]) -> DiagonalModel:
    check_keys(value, _DIAGONAL)
    layers = needed(value, "layers")
    if not isinstance(layers, list) or not layers:
        got = _kind(layers) if layers else json.dumps(layers)
        raise ValueError(f"layers: a list with at least one layer is needed, got {got}")
    read = [_layer_of_json(layer, f"layer {index + 1}: ") for index, layer in enumerate(layers)]
    is_complex = any("omega" in layer or layer.get("lam", layer["U"].real).is_complex() for layer in read)
    c = needed(value, "c")
    return built(read, _array(c, "c", _readout_axes(c, is_complex), is_complex), read_settings(value))


def _layer_of_json(layer: Any, where: str) -> dict[str, Tensor]:
    if not isinstance(layer, dict):
        raise ValueError(f"{where}an object with lam (or w) and U is needed, got {_kind(layer)}")
    check_keys(layer, LAYER, where)
    check_layer_keys(set(layer), where)
    axes = {"lam": 1, "w": 1, "omega": 1, "U": 2}
    tensors = {key: _array(layer[key], where + key, axes[key], key in ("lam", "U")) for key in layer}
    lam = layer.get("lam", [])
    if any(isinstance(x, list) for x in lam) and not all(isinstance(x, list) for x in lam):
        raise ValueError(f"{where}lam: real and complex values are mixed; write [re, im] for every one, or for none")
    return tensors


def check_layer_keys(keys: set[str], where: str) -> None:
    """Raises ValueError unless there is U and either lam, or w with or without omega."""
    if "U" not in keys:
        raise ValueError(f"{where}the key 'U' is missing")
    if "lam" in keys and keys & {"w", "omega"}:
        raise ValueError(f"{where}lam and {'w' if 'w' in keys else 'omega'} are both given; one of the two is needed")
    if not keys & {"lam", "w"}:
        raise ValueError(f"{where}the key 'lam' (or 'w') is missing")


def _readout_axes(c: Any, is_complex: bool) -> int:
    """2 where c is a list of outputs: its first entry is a list and, in a complex model, not [re, im]."""
    if not isinstance(c, list) or not any(isinstance(entry, list) for entry in c):
        return 1
    return 1 if is_complex and all(_is_pair(x) or isinstance(x, float) for x in c) else 2


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(x, float) for x in value)


def _array(value: Any, name: str, axes: int, may_be_complex: bool = True) -> Tensor:
    """Nested lists as a tensor with so many axes; complex where some entry is [re, im]."""
    shape: list[int] = []
    rows = [value]
    for axis in range(axes):
        for row in rows:
            if not isinstance(row, list):
                raise ValueError(f"{name}: a list {'of lists ' * (axes - 1 - axis)}is needed, got {_kind(row)}")
            if len(row) != len(rows[0]):
                raise ValueError(
                    f"{name}: its rows have {len(rows[0])} and {len(row)} entries; equally many are needed"
                )
        if not rows or not rows[0]:
            raise ValueError(f"{name}: must not be empty")
        shape.append(len(rows[0]))
        rows = [entry for row in rows for entry in row]
    for entry in rows:
        if not (isinstance(entry, float) or (may_be_complex and _is_pair(entry))):
            allowed = "a number or [re, im]" if may_be_complex else "a number"
            raise ValueError(f"{name}: {allowed} is needed in each place, got {_kind(entry)}")
    if any(isinstance(entry, list) for entry in rows):
        numbers = [complex(*entry) if isinstance(entry, list) else entry for entry in rows]
        return torch.tensor(numbers, dtype=torch.complex128).reshape(shape)
    return torch.tensor(rows, dtype=torch.float64).reshape(shape)


def _full_of_json(value: Mapping[str, Any]) -> FullModel:
    check_keys(value, (*_FULL, "activation"))
    if value.get("activation", "identity") != "identity":
        raise ValueError("activation: a model with A, B, C is linear, its activation is 'identity'")
    matrices = {key: _array(needed(value, key), key, 2, may_be_complex=False) for key in ("A", "B", "C")}
    return FullModel(**matrices, time=read_settings({"time": value.get("time")}).get("time", "continuous"))


def json_text(model: Model) -> str:
    """The JSON text of a model without batch axes. Raises ValueError for a batch, and above LARGEST_JSON bytes."""
    if model.batch_shape:
        raise ValueError(f"JSON holds one model, this batch is {model.batch_shape}; write a .safetensors file instead")
    tensors, metadata = named_tensors(model)
    count = sum(tensor.numel() for tensor in tensors.values())
    if count * 26 > LARGEST_JSON:  # the longest float and a comma
        raise ValueError(f"{count} numbers are too many for JSON; write a .safetensors file instead")
    value: dict[str, Any] = {key: metadata[key] for key in SETTINGS if key in metadata}
    if isinstance(model, FullModel):
        value |= {key: tensors[key].tolist() for key in ("A", "B", "C")}
    else:
        if "step_size" in value:
            value["step_size"] = model.step_size
        keys = ("w", "omega", "U")
        value["layers"] = [
            {key: tensors[f"layers.{i}.{key}"].tolist() for key in keys if f"layers.{i}.{key}" in tensors}
            for i in range(len(model.layers))
        ]
        value["c"] = (tensors["c"][0] if model.output_dim == 1 else tensors["c"]).tolist()
    return json.dumps(value, allow_nan=False) + "\n"


def built(layers: list[dict[str, Tensor]], c: Tensor, settings: dict[str, Any]) -> DiagonalModel:
    """The model from tensors by key, w taken from lam where lam is given."""
    f_text = settings.pop("reparameterization")
    given_lam = ["lam" in layer for layer in layers]
    if all(given_lam):
        lams = [layer["lam"] for layer in layers]
        return DiagonalModel.from_lam(lams, [layer["U"] for layer in layers], c, f_text, **settings)
    if any(given_lam):
        raise ValueError(
            f"layer {given_lam.index(True) + 1}: lam is given where other layers give w; use one of the two"
        )
    native = settings.get("time") == "discrete" and "step_size" not in settings
    f = Reparameterization(f_text, "discrete" if native else "continuous")
    return DiagonalModel(tuple(Layer(x["w"], x["U"], x.get("omega")) for x in layers), c, f, **settings)


def named_tensors(model: Model) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of the file, contiguous on the CPU and none sharing memory, and its metadata."""
    if isinstance(model, FullModel):
        return {key: _plain(getattr(model, key)) for key in ("A", "B", "C")}, {"time": model.time}
    tensors = {"c": _plain(model.c)}
    for index, layer in enumerate(model.layers):
        for key, value in (("w", layer.w), ("U", layer.U), ("omega", layer.omega)):
            if value is not None:
                tensors[f"layers.{index}.{key}"] = _plain(value)
    metadata = {
        "time": model.time,
        "activation": model.activation.name,
        "reparameterization": model.reparameterization.specification,
        "modes": model.modes,
    }
    if model.step_size is not None:
        metadata |= {"step_size": repr(float(model.step_size)), "discretization": str(model.discretization)}
    return tensors, metadata


def _plain(x: Tensor) -> Tensor:
    real = torch.view_as_real(x.detach().resolve_conj()) if x.is_complex() else x.detach()
    return real.to("cpu", copy=True).contiguous()
