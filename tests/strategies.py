"""Hypothesis strategies for models: small, valid, of every kind. Arrays come from a seed, so that they shrink fast."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from numerics.activations import ACTIVATIONS
from numerics.models import DiagonalModel, FullModel, Layer
from numerics.reparameterization import Reparameterization

CONTINUOUS_NAMES = ("direct", "relu", "exp", "softplus", "sigmoid", "best", "best:a=3:b=0.1", "reciprocal")
DISCRETE_NAMES = ("direct", "relu", "exp", "softplus", "sigmoid", "tanh", "best:b=2", "reciprocal:b=1")


def kinds() -> st.SearchStrategy[dict[str, Any]]:
    """The settings that make a model's time: continuous, native discrete, zoh, bilinear."""
    continuous = st.just({"time": "continuous"})
    native = st.just({"time": "discrete"})
    sampled = st.builds(
        lambda step, rule: {"time": "discrete", "step_size": step, "discretization": rule},
        st.floats(1e-3, 2.0),
        st.sampled_from(["zoh", "bilinear"]),
    )
    return st.one_of(continuous, native, sampled)


def eigenvalues(generator: torch.Generator, shape: tuple[int, ...], native: bool, name: str) -> Tensor:
    """Real λ inside the range of a named f, or for native discrete time f(w) in (0, 1)."""
    u = torch.rand(shape, generator=generator, dtype=torch.float64)
    if native:
        low = 0.51 if name == "best:b=2" else 0.02
        return low + (0.98 - low) * u
    return -0.02 * 45.0**u  # in (-0.9, -0.02)


@st.composite
def diagonal_models(
    draw: st.DrawFn,
    *,
    linear: bool = False,
    layers: int | None = None,
    complex_modes: bool | None = None,
    batch: tuple[int, ...] | None = (),
    largest: int = 5,
    inputs: int | None = None,
    outputs: int | None = None,
    settings: dict[str, Any] | None = None,
) -> DiagonalModel:
    """A stable DiagonalModel; arguments that are None (batch too) are drawn. `settings` fixes the model's time."""
    kind = draw(kinds()) if settings is None else settings
    native = kind.get("time") == "discrete" and "step_size" not in kind
    name = draw(st.sampled_from(DISCRETE_NAMES if native else CONTINUOUS_NAMES))
    is_complex = draw(st.booleans()) if complex_modes is None else complex_modes
    depth = layers or (1 if linear else draw(st.integers(1, 3)))
    batch_shape = draw(st.sampled_from([(), (1,), (3,), (2, 2)])) if batch is None else batch
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    widths = [inputs or draw(st.integers(1, 3)), *(draw(st.integers(1, largest)) for _ in range(depth))]
    dtype = torch.complex128 if is_complex else torch.float64
    f = Reparameterization(name, "discrete" if native else "continuous")

    def normal(*shape: int) -> Tensor:
        return torch.randn(*batch_shape, *shape, generator=generator, dtype=dtype)

    made = []
    for before, m in itertools.pairwise(widths):
        w = f.inverse(eigenvalues(generator, (*batch_shape, m), native, name))
        limit = math.pi if native else 5.0
        omega = limit * torch.rand(*batch_shape, m, generator=generator, dtype=torch.float64) if is_complex else None
        made.append(Layer(w, normal(m, before) / math.sqrt(before), omega))
    readout = normal(outputs or draw(st.integers(1, 2)), widths[-1])
    sigma = ACTIVATIONS["identity" if linear else draw(st.sampled_from(list(ACTIVATIONS)))]
    modes = draw(st.sampled_from(["plain", "unit-norm"]))
    return DiagonalModel(tuple(made), readout, f, sigma, modes, **kind)


@st.composite
def full_models(draw: st.DrawFn, *, batch: tuple[int, ...] = (), largest: int = 4) -> FullModel:
    """A stable FullModel: a random matrix shifted or scaled to a margin of 0.1."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    n, d, k = (draw(st.integers(1, top)) for top in (largest, 3, 2))
    time = draw(st.sampled_from(["continuous", "discrete"]))
    A, B, C = (
        torch.randn(*batch, *shape, generator=generator, dtype=torch.float64) for shape in ((n, n), (n, d), (k, n))
    )
    eigenvalues = torch.linalg.eigvals(A)
    if time == "discrete":
        A = 0.9 * A / eigenvalues.abs().amax(dim=-1)[..., None, None]
    else:
        A = A - (eigenvalues.real.amax(dim=-1)[..., None, None] + 0.1) * torch.eye(n, dtype=torch.float64)
    return FullModel(A, B, C, time)
