"""The output of a diagonal model, and its rate, at time 0 under inputs that are constant on cells of the past.

Cell k holds the ages s_k < s < s_{k+1} (time -s); before the last one the input is 0 and all layers are at rest. The
first layer is solved exactly. A deeper one is driven by σ(h⁽ˡ⁻¹⁾), taken to be linear on each substep (second order),

    h(t+δ) = e^{λδ}h(t) + δ φ_1(λδ) g(t) + δ φ_2(λδ)(g(t+δ) - g(t)),   g = νUσ(h⁽ˡ⁻¹⁾),

with φ_1(z) = (e^z - 1)/z, φ_2(z) = (e^z - 1 - z)/z². Substeps grow geometrically inside a cell, as transients start
at its beginning. The recurrences are summed in log₂(number of steps) rounds. Source: derived here (exponential time
differencing).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from numerics.models import DiagonalModel

_SERIES = 14


@dataclass(frozen=True)
class Steps:
    """Substeps from the oldest to the newest: their widths (n,) and the cell of each (n,)."""

    widths: Tensor
    cells: Tensor


def steps_of(edges: NDArray[np.float64], like: Tensor, *, levels: int = 1, split: int = 1) -> Steps:
    """`levels` geometric substeps (ratio 2) in each cell of ages `edges` (K+1,), each cut into `split` equal parts."""
    shares = np.repeat(2.0 ** np.arange(levels) / (2.0**levels - 1) / split, split)
    widths = (np.diff(edges)[::-1, None] * shares).ravel()
    cells = np.repeat(np.arange(len(edges) - 1)[::-1], levels * split)
    real = like.real if like.is_complex() else like
    return Steps(torch.from_numpy(widths).to(real), torch.from_numpy(cells.copy()).to(like.device))


def output_and_rate(model: DiagonalModel, inputs: Tensor, steps: Steps) -> tuple[Tensor, Tensor]:
    """y and dy/dt at time 0: (N,) each; dy/dt = cᵀ(σ'(h) dh/dt), with σ' = 0 at a kink.

    Shapes: inputs (N, K+1, d): cells from the newest on, and at the end the input at time 0 itself, which only the rate
    sees; the model has one output and no batch axes, or one of length N. Continuous time is taken for granted.
    """
    past, now = inputs[:, :-1], inputs[:, -1]
    drive = past.to(model.lam(0).dtype) @ model.drive(0).mT
    lam = model.lam(0).unsqueeze(-2)
    z = lam * steps.widths[:, None]
    states = _recurrence(torch.exp(z), torch.expm1(z) / lam * drive[:, steps.cells], None)
    last = states[:, -1]
    slope = model.lam(0) * last + (model.drive(0) @ now.to(last.dtype).unsqueeze(-1)).squeeze(-1)
    for layer in range(1, len(model.layers)):
        lam = model.lam(layer).unsqueeze(-2)
        drive = model.activation(states) @ model.drive(layer).mT
        z = lam * steps.widths[:, None]
        first, second = _phi(z)
        added = steps.widths[:, None] * (first * drive[:, :-1] + second * drive.diff(dim=1))
        states = _recurrence(torch.exp(z), added, -drive[:, 0] / lam.squeeze(-2))
        last = states[:, -1]
        slope = model.lam(layer) * last + drive[:, -1]
    return _read(model, model.activation(last)), _read(model, _chain(model, last, slope))


def rest_output(model: DiagonalModel) -> Tensor:
    """Ĥ(0), the output with no input: (*batch,)."""
    state = torch.zeros_like(model.lam(0))
    for layer in range(1, len(model.layers)):
        drive = model.drive(layer) @ model.activation(state).unsqueeze(-1)
        state = -drive.squeeze(-1) / model.lam(layer)
    return _read(model, model.activation(state))


def _read(model: DiagonalModel, values: Tensor) -> Tensor:
    total = (model.c[..., 0, :] * values).sum(dim=-1)
    return 2 * total.real if model.is_complex else total


def _chain(model: DiagonalModel, state: Tensor, slope: Tensor) -> Tensor:
    """d/dt σ(h), of the real and the imaginary part separately."""
    if not state.is_complex():
        return model.activation.slope(state) * slope
    parts = model.activation.slope(state.real) * slope.real, model.activation.slope(state.imag) * slope.imag
    return torch.complex(*parts)


def _recurrence(factors: Tensor, added: Tensor, start: Tensor | None) -> Tensor:
    """h_0 = start (or 0) and h_k = factor_k h_{k-1} + added_k, k = 1..n: (N, n+1, m), by doubling."""
    factors = factors.expand(added.shape)
    initial = torch.zeros_like(added[:, 0]) if start is None else start.expand_as(added[:, 0])
    values = torch.cat([added[:, :1] + factors[:, :1] * initial.unsqueeze(1), added[:, 1:]], dim=1)
    shift, n = 1, values.shape[1]
    while shift < n:
        values = torch.cat([values[:, :shift], values[:, shift:] + factors[:, shift:] * values[:, :-shift]], dim=1)
        factors = torch.cat([factors[:, :shift], factors[:, shift:] * factors[:, :-shift]], dim=1)
        shift *= 2
    return torch.cat([initial.unsqueeze(1), values], dim=1)


def _phi(z: Tensor) -> tuple[Tensor, Tensor]:
    """φ_1 and φ_2, by their series for |z| < 1/2 (the rest below 2^{-14}/16!)."""
    small = z.abs() < 0.5
    inside = torch.where(small, z, 0.0)
    series = torch.ones_like(z)
    for k in range(_SERIES, 2, -1):
        series = 1 + inside / k * series
    outside = torch.where(small, -1.0, z)
    first = torch.expm1(outside) / outside
    second = (first - 1) / outside
    return torch.where(small, 1 + inside * series / 2, first), torch.where(small, series / 2, second)
