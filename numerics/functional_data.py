"""Sequences of a linear functional: white noise in, y_t = Σ_{j≤t} Δ ρ(jΔ) x_{t-j} out, with Δ = 1 as published."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from numerics.arguments import check_count, shown
from numerics.model_checks import check_memory
from numerics.targets import Target

Array = NDArray[np.float64]

STEP_SIZE = 1.0
"""Δ."""
LENGTH = 100
"""Steps of a sequence, T = 100 in the published experiments."""


def sampled_kernel(target: Target, length: int) -> Array:
    """Δ ρ(jΔ), j = 0, ..., length - 1. Raises ValueError where one is not finite, or all are 0."""
    check_count("length", length, 1)
    check_memory("length", 8 * 8 * length, torch.device("cpu"))
    with np.errstate(all="ignore"):
        kernel = STEP_SIZE * target.rho(STEP_SIZE * np.arange(length))
    if not np.isfinite(kernel).all():
        first = int(np.flatnonzero(~np.isfinite(kernel))[0])
        raise ValueError(f"functional: {shown(target.spec)} is {kernel[first]} at t = {first * STEP_SIZE:g}")
    return kernel


def output_scale(kernel: Array) -> float:
    """The root mean square over t < L of y_t for standard normal white noise: its mean square is Σ_{j≤t} k_j².

    Raises ValueError where it is 0 or overflows, naming `functional`.
    """
    largest = float(np.abs(kernel).max())
    squares = (kernel / largest) ** 2 if largest > 0 else kernel
    scale = largest * float(np.sqrt(np.cumsum(squares).mean()))
    if not 1e-150 < scale < 1e150:
        raise ValueError(f"functional: its outputs over {len(kernel)} steps have size {scale:.3g}; nothing to learn")
    return scale


def white_noise_pairs(kernel: Array, count: int, seed: int) -> tuple[Array, Array]:
    """Inputs x (count, L, 1) standard normal and y (count, L, 1), divided by `output_scale`.

    The first rows do not depend on the count; NumPy keeps the stream of RandomState the same in all its versions.
    """
    length = len(kernel)
    check_memory("functional", 8 * count * 10 * length, torch.device("cpu"))
    x = np.random.RandomState(seed).standard_normal((count, length))
    y = causal_filter(x, kernel) / output_scale(kernel)
    return x[..., None], y[..., None]


def causal_filter(x: Array, kernel: Array) -> Array:
    """y_t = Σ_{j≤t} k_j x_{t-j} by FFT, along the last axis: both (..., L), padded to 2L so that nothing wraps."""
    size = 2 * x.shape[-1]
    return np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(kernel, size), size)[..., : x.shape[-1]]
