"""What tensors of a model must satisfy; each check raises ValueError with the argument's name, in one line."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from numerics.arguments import real_array

COMPLEX = {torch.float64: torch.complex128, torch.float32: torch.complex64}
"""The real dtypes a model may have, and their complex partners."""
TIMES = ("continuous", "discrete")
CHUNK = 2**22
"""Numbers in an intermediate tensor of an impulse response."""


def check_dtype(name: str, dtype: torch.dtype) -> None:
    if dtype not in COMPLEX:
        raise ValueError(f"{name}: {dtype} is not one of torch.float64, torch.float32")


def check_device(device: torch.device | str) -> torch.device:
    """The device, which must be there."""
    place = torch.device(device)
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: CUDA is not available here; use 'cpu'")
    return place


def check_tensor(name: str, value: object, axes: int) -> None:
    if not isinstance(value, Tensor):
        raise ValueError(f"{name}: a tensor is needed, got {type(value).__name__}")
    check_dtype(name, value.real.dtype if value.is_complex() else value.dtype)
    if value.layout is not torch.strided or value.device.type == "meta":
        raise ValueError(f"{name}: a dense tensor with values is needed, got {value.layout} on {value.device}")
    if value.ndim < axes:
        raise ValueError(f"{name}: has shape {tuple(value.shape)}, at least {axes} axes are needed")
    if not value.numel():
        raise ValueError(f"{name}: has shape {tuple(value.shape)}; it must not be empty")
    if not bool(torch.isfinite(value).all()):
        bad = value[~torch.isfinite(value)][0].item()
        raise ValueError(f"{name}: contains a number that is not finite, {bad!r}")


def check_alike(tensors: Mapping[str, Tensor]) -> None:
    """One device and one precision."""
    (first, model), *others = tensors.items()
    for name, value in others:
        if value.device != model.device:
            raise ValueError(f"{name}: is on {value.device}, {first} on {model.device}; one device is needed")
        if torch.finfo(value.dtype).bits != torch.finfo(model.dtype).bits:
            raise ValueError(f"{name}: has dtype {value.dtype}, {first} {model.dtype}; one precision is needed")


def check_shape(name: str, value: Tensor, expected: Sequence[int | None]) -> None:
    """The last axes of a tensor; None in `expected` is any size."""
    shape = value.shape[-len(expected) :]
    if any(wanted is not None and size != wanted for size, wanted in zip(shape, expected, strict=True)):
        text = ", ".join("any" if wanted is None else str(wanted) for wanted in expected)
        raise ValueError(f"{name}: has shape {tuple(value.shape)}, its last axes should be ({text})")


def check_bracketed(model: Any, kind: str, betas: Iterable[float]) -> None:
    """What a perturbed error of a nonlinear, layered or full-matrix model needs: one such model in continuous time."""
    if model.is_discrete:
        raise ValueError(f"model: continuous time is needed for {kind}, got discrete time")
    if model.batch_shape or model.dtype != torch.float64:
        raise ValueError(f"model: float64 without batch axes is needed, got {model.dtype}, batch {model.batch_shape}")
    if model.output_dim != 1:
        raise ValueError(f"model: one output is needed, got {model.output_dim}")
    for beta in betas:
        if not (beta >= 0 and math.isfinite(beta)):
            raise ValueError(f"beta: each must be finite and at least 0, got {beta!r}")


def broadcast(tensors: Mapping[str, Tensor], axes: Sequence[int]) -> tuple[int, ...]:
    """The common batch shape of tensors with so many axes of their own."""
    shapes = {name: value.shape[: value.ndim - own] for (name, value), own in zip(tensors.items(), axes, strict=True)}
    try:
        return tuple(torch.broadcast_shapes(*shapes.values()))  # type: ignore[no-untyped-call]
    except RuntimeError:
        text = ", ".join(f"{name} {tuple(shape)}" for name, shape in shapes.items())
        raise ValueError(f"layers, c: their batch shapes do not fit together: {text}") from None


def checked_times(times: Tensor | Sequence[float], discrete: bool, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The times as a tensor of shape (T,), each finite and at least 0, in discrete time a whole number."""
    given = times if isinstance(times, Tensor) else torch.from_numpy(np.array(real_array("times", times)))
    if given.ndim != 1 or not given.numel() or given.is_complex():
        raise ValueError(f"times: shape (T,) of T >= 1 real numbers is needed, got {given.dtype} {tuple(given.shape)}")
    check_memory("times", 16 * given.numel(), device)
    t = given.to(device=device, dtype=dtype)
    for good, allowed in (
        ((t >= 0) & torch.isfinite(t), "must be finite and at least 0"),
        (t == t.round() if discrete else t == t, "step indices are needed for a discrete-time model"),
    ):
        if not bool(good.all()):
            raise ValueError(f"times: {allowed}, got {float(t[~good][0])!r}")
    return t


def available_memory(device: torch.device) -> int:
    """Bytes that can still be allocated on a device, as the system estimates it."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):  # not Linux: all that there is
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def check_memory(what: str, size: int, device: torch.device) -> None:
    """Raises ValueError where `size` bytes are more than the device has left."""
    left = available_memory(device)
    if size > left:
        raise ValueError(f"{what}: needs about {size / 2**30:.3g} GiB, {max(left, 0) / 2**30:.3g} GiB are available")
