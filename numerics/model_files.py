"""Models in files: JSON to read and write by hand, safetensors for large and batched models.

The JSON form is in numerics.model_json.

safetensors: tensors "layers.0.w", "layers.0.omega", "layers.0.U", ..., "c", or "A", "B", "C", real, with any leading
batch axes; "layers.0.lam" may stand for w and omega. The other keys are the file's metadata, as texts. In a complex
model (one with an omega, or a lam with a last axis of 2 and `"complex": "true"` in the metadata) U, c and lam have one
more axis, the last, of real and imaginary part.

What is written holds w and omega, and is read back bit by bit (a float32 model in JSON as float64).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from numerics.arguments import check_choice, shown_path
from numerics.model_checks import check_memory
from numerics.model_json import (
    LARGEST_JSON,
    LAYER,
    SETTINGS,
    Model,
    built,
    check_keys,
    check_layer_keys,
    json_text,
    model_of_json,
    named_tensors,
    needed,
    read_settings,
)
from numerics.models import DiagonalModel, FullModel

_MEMORY_PER_BYTE = 3
"""Bytes of memory for each byte of a safetensors file: the tensors, and f(w) with its intermediates in the checks."""
_MEMORY_PER_BYTE_OF_JSON = 30
"""A number of two characters, "1,", becomes a Python float and its place in a list, 32 bytes, and more in tensors."""
_CPU = torch.device("cpu")


def read_model(path: str | os.PathLike[str]) -> Model:
    """The model in a .json or .safetensors file; the form is in the module's text.

    Tensors are on the CPU; from JSON in float64. Raises ValueError, in one line that begins with the path, for a file
    that cannot be read, is too large, damaged or not such a model.
    """
    file = Path(path)
    try:
        if file.suffix not in (".json", ".safetensors"):
            raise ValueError("the name of a model file ends in .json or .safetensors")
        size = _size(file)
        return _read_json(file, size) if file.suffix == ".json" else _read_tensors(file, size)
    except ValueError as error:
        raise ValueError(f"{shown_path(file)}: {' '.join(str(error).split())}") from None
    except OSError as error:
        raise ValueError(f"{shown_path(file)}: cannot be read: {error.strerror or error}") from None


def write_model(model: Model, path: str | os.PathLike[str]) -> None:
    """Writes a model to a .json or .safetensors file, whole or not at all.

    Raises ValueError for another ending, a batched or too large model in JSON, and a file that cannot be written.
    """
    file = Path(path)
    if file.suffix not in (".json", ".safetensors"):
        raise ValueError(f"{shown_path(file)}: the name of a model file ends in .json or .safetensors")
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        if file.suffix == ".json":
            text = json_text(model)
            _write_whole(file, lambda part: part.write_text(text, encoding="utf-8"))
        else:
            tensors, metadata = named_tensors(model)
            _write_whole(file, lambda part: save_file(tensors, part, metadata))
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{shown_path(file)}: cannot be written: {reason}") from None
    except ValueError as error:
        raise ValueError(f"{shown_path(file)}: {error}") from None


def _size(file: Path) -> int:
    status = file.stat()
    if not file.is_file():
        raise ValueError("is not a file")
    if not status.st_size:
        raise ValueError("is empty")
    return status.st_size


def _write_whole(file: Path, write: Callable[[Path], object]) -> None:
    """Through a temporary file beside it, so that no reader ever sees half a model."""
    part = file.with_name(f".{file.name[:40]}.{os.getpid()}.part")
    try:
        write(part)
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


def _read_json(file: Path, size: int) -> Model:
    if size > LARGEST_JSON:
        limit = LARGEST_JSON // 2**20
        raise ValueError(f"{size / 2**20:.0f} MiB of JSON; at most {limit} are read, write a .safetensors file instead")
    check_memory("model", _MEMORY_PER_BYTE_OF_JSON * size, _CPU)
    try:
        return model_of_json(file.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 text (byte {error.start})") from None


def _read_tensors(file: Path, size: int) -> Model:
    from safetensors import SafetensorError, safe_open

    check_memory("model", _MEMORY_PER_BYTE * size, _CPU)
    try:
        with safe_open(file, framework="pt") as content:
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
            metadata: dict[str, str] = content.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"is not a whole safetensors file: {error}") from None
    metadata.pop("format", None)
    if {"A", "B", "C"} & set(tensors):
        return _full_of_tensors(tensors, metadata)
    check_keys(metadata, (*SETTINGS, "complex"), "metadata: ")
    return _diagonal_of_tensors(tensors, metadata)


def _full_of_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> FullModel:
    check_keys(tensors, ("A", "B", "C"), "tensors: ")
    check_keys(metadata, ("time",), "metadata: ")
    matrices = {key: needed(tensors, key, "tensors: ") for key in ("A", "B", "C")}
    return FullModel(**matrices, time=metadata.get("time", "continuous"))


def _diagonal_of_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> DiagonalModel:
    check_choice("metadata: complex", metadata.get("complex", "false"), ("true", "false"))
    is_complex = "layers.0.omega" in tensors or metadata.get("complex") == "true"
    numbers = (name.split(".")[1] for name in tensors if name.startswith("layers."))
    count = 1 + max((int(number) for number in numbers if number.isdecimal() and len(number) < 20), default=0)
    if count > len(tensors):
        raise ValueError("tensors: layers are numbered from 0 on without a gap")
    known = ("c", *(f"layers.{i}.{key}" for i in range(count) for key in LAYER))
    check_keys(tensors, known, "tensors: ")
    layers = []
    for i in range(count):
        found = {key: tensors[f"layers.{i}.{key}"] for key in LAYER if f"layers.{i}.{key}" in tensors}
        check_layer_keys(set(found), f"layers.{i}: ")
        for key in {"lam", "U"} & set(found) if is_complex else ():
            found[key] = _joined(found[key], f"layers.{i}.{key}")
        layers.append(found)
    c = needed(tensors, "c", "tensors: ")
    settings = read_settings({key: value for key, value in metadata.items() if key != "step_size"})
    if "step_size" in metadata:
        settings["step_size"] = _float_of_text("step_size", metadata["step_size"])
    return built(layers, _joined(c, "c") if is_complex else c, settings)


def _float_of_text(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"metadata: {name}: a number is needed, got {text[:40]!r}") from None


def _joined(x: Tensor, name: str) -> Tensor:
    """Real and imaginary part, on the last axis, as complex numbers."""
    if x.is_complex():
        return x
    if x.ndim < 2 or x.shape[-1] != 2 or x.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name}: a complex model needs a last axis of 2 (re, im), got shape {tuple(x.shape)}")
    return torch.view_as_complex(x.contiguous())
