"""Gradient over weight and spectral margin of recurrent weights, recorded in anybody's training loop.

The ratios are |∂loss/∂w|/|w| over all elements of all recurrent weights: the largest, and quantiles. The margin is the
distance of the recurrence from the boundary of stability, the least over the recurrent weights:

    λ = f(w), continuous time      -max Re λ
    λ = f(w), discrete time        1 - max |λ|
    h_k = σ(W h_{k-1} + ...)       1 - spectral radius of W, the margin of the linear part where σ has slope 1
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from numerics.arguments import shown
from numerics.layers import S4DLayer
from numerics.parametrizations import StableRate
from numerics.reparameterization import Reparameterization
from numerics.store import write_file
from numerics.training_table import QUANTILES

RATIO = "gradient_over_weight"
MATRIX = "matrix"
_BLOCK = 1024
_RECURRENT = re.compile(r"weight_hh(_l\d+)?(_reverse)?")


class RecurrenceLog:
    """Records the ratios and the margin of a module's recurrent weights.

        log = RecurrenceLog(module)
        for ...: loss.backward(); log.record(loss); optimizer.step()
        log.write_csv("log.csv")

    Found by itself: the w of every StableRate (alone on its tensor) and of every S4DLayer in the module, and the
    recurrent matrices of torch.nn.RNN and RNNCell. Of other modules name the parameters with what they mean:

        weights={"layers.0.A_log": "exp", "cell.W": "matrix", "lstm.weight_hh_l0": None}

    with an f of numerics.reparameterization (a name or formula, in continuous time; or a Reparameterization),
    "matrix" for a full (n, n) recurrent matrix, None where only the ratios are wanted (then the margin is NaN). Only
    the named ones are recorded then. The parameters are looked up by name at each call; nothing is attached to the
    module, and nothing in it is changed. On a GPU nothing is read back before `curves`, but for the spectral radius of
    a matrix.
    Raises ValueError, in one line: no recurrent weight found; a name that is no parameter of the module (any more), or
    not trained, or empty; an f that cannot be read, or of complex weights; a matrix that is not square.
    """

    def __init__(self, module: nn.Module, weights: Mapping[str, str | Reparameterization | None] | None = None) -> None:
        self._module = module
        self._weights = _found(module) if weights is None else {n: _checked(module, n, f) for n, f in weights.items()}
        if not self._weights:
            raise ValueError(
                f"module: no recurrent weight was found in {type(module).__name__}; name them, for example "
                "weights={'A_log': 'exp'}"
            )
        self._steps: list[int] = []
        self._rows: list[Tensor] = []
        self._blocks: list[Tensor] = []

    @property
    def names(self) -> tuple[str, ...]:
        """The recurrent weights, as `module.get_parameter` knows them."""
        return tuple(self._weights)

    def record(self, loss: Tensor | float = math.nan, step: int | None = None) -> None:
        """Adds a row: after loss.backward() and before the optimizer's step (with a GradScaler, after its unscale_).

        `step`: the number of the step, one more than the last unless given. Raises ValueError where a recurrent weight
        has no gradient.
        """
        weights = [_parameter(self._module, name) for name in self._weights]
        grads = [w.grad for w in weights]
        for name, grad in zip(self._weights, grads, strict=True):
            if grad is None:
                raise ValueError(f"{name}: has no gradient; call record after loss.backward() and before zero_grad()")
        place = weights[0].device
        with torch.no_grad():
            ratios = weight_ratios([g.to(place) for g in grads if g is not None], [w.to(place) for w in weights])
            margins = [_margin(f, w).to(place) for w, f in zip(weights, self._weights.values(), strict=True)]
            value = loss.to(place) if isinstance(loss, Tensor) else torch.tensor(loss, device=place)
            if value.numel() != 1:
                raise ValueError(f"loss: one number is needed, got shape {tuple(value.shape)}")
            self._rows.append(torch.stack([value.reshape(()), *ratios.values(), torch.stack(margins).amin()]))
        self._steps.append(step if step is not None else self._steps[-1] + 1 if self._steps else 0)
        if len(self._rows) == _BLOCK:
            self._blocks, self._rows = [*self._blocks, torch.stack(self._rows)], []

    def curves(self) -> dict[str, NDArray[np.float64]]:
        """What was recorded, (records,) each: "step", "train_loss", "gradient_over_weight" and its quantiles
        "gradient_over_weight_q0.5", ..., "margin"."""
        columns = ("train_loss", *_ratio_names(), "margin")
        blocks = [*self._blocks, *([torch.stack(self._rows)] if self._rows else [])]
        parts = [block.to("cpu", torch.float64).numpy() for block in blocks]
        table = np.concatenate(parts) if parts else np.empty((0, len(columns)))
        return {"step": np.array(self._steps, dtype=np.float64), **dict(zip(columns, table.T.copy(), strict=True))}

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """The curves as a table, one row a record, floats with all their digits; an older file is replaced.

        Raises ValueError where the file cannot be written; then an older file is still whole.
        """
        curves = self.curves()
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(curves)
        steps = (int(step) for step in curves["step"])
        rest = (curves[name].tolist() for name in curves if name != "step")
        writer.writerows(zip(steps, *rest, strict=True))
        write_file(Path(path), text.getvalue().encode())


def _found(module: nn.Module) -> dict[str, Reparameterization | str | None]:
    """The names of the recurrent weights that are trained, with what they mean; shared ones once."""
    found: dict[str, Reparameterization | str | None] = {}
    seen: set[int] = set()
    for path, part in module.named_modules():
        own: dict[str, Reparameterization | str | None] = {}
        if isinstance(part, ParametrizationList) and len(part) == 1 and isinstance(part[0], StableRate):
            own["original"] = part[0].reparameterization
        elif isinstance(part, S4DLayer):
            own["w"] = part.kind.reparameterization
        elif isinstance(part, nn.RNN | nn.RNNCell):
            own.update({name: MATRIX for name, _ in part.named_parameters() if _RECURRENT.fullmatch(name)})
        for name, w in part.named_parameters():
            if name in own and w.requires_grad and w.numel() and id(w) not in seen:
                seen.add(id(w))
                found[f"{path}.{name}".lstrip(".")] = own[name]
    return found


def _parameter(module: nn.Module, name: str) -> nn.Parameter:
    try:
        return module.get_parameter(name)
    except AttributeError:
        raise ValueError(f"weights: {shown(name)!r} is no parameter of {type(module).__name__}") from None


def _checked(module: nn.Module, name: str, meaning: str | Reparameterization | None) -> Reparameterization | str | None:
    w = _parameter(module, name)
    if not w.numel():
        raise ValueError(f"weights: {shown(name)!r} has shape {tuple(w.shape)}; it must not be empty")
    if not w.requires_grad:
        raise ValueError(f"weights: {shown(name)!r} is not trained: its requires_grad is False")
    if meaning == MATRIX and (w.ndim != 2 or w.shape[0] != w.shape[1]):
        raise ValueError(f"weights: {shown(name)!r} has shape {tuple(w.shape)}, a recurrent matrix is square")
    if not (meaning is None or isinstance(meaning, str | Reparameterization)):
        raise ValueError(f"weights: {shown(name)!r} needs an f, 'matrix' or None, got {shown(meaning)}")
    if w.is_complex() and not (meaning is None or meaning == MATRIX):
        raise ValueError(f"weights: {shown(name)!r} is complex, an f needs real weights; give None for its ratios")
    return Reparameterization(meaning) if isinstance(meaning, str) and meaning != MATRIX else meaning


def _margin(meaning: Reparameterization | str | None, w: Tensor) -> Tensor:
    """The least distance of the eigenvalues from the boundary, (); NaN where a weight is not finite."""
    if meaning is None:
        return torch.tensor(math.nan, device=w.device)
    if isinstance(meaning, Reparameterization):
        lam = meaning(w)
        return -lam.amax() if meaning.time == "continuous" else 1 - lam.abs().amax()
    finite = torch.isfinite(w).all()
    matrix = torch.where(finite, w, 0.0).to(torch.promote_types(w.dtype, torch.float32))
    return torch.where(finite, 1 - torch.linalg.eigvals(matrix).abs().amax(), math.nan)


def _ratio_names() -> tuple[str, ...]:
    return RATIO, *(f"{RATIO}_q{q:g}" for q in QUANTILES)


def weight_ratios(grads: Sequence[Tensor], weights: Sequence[Tensor], *, row_axes: int = 0) -> dict[str, Tensor]:
    """The largest and the quantiles of |∂loss/∂w|/|w| over all elements of all the tensors.

    The ratio is 0 where gradient and weight are both 0, and inf where the weight alone is. The q-quantile is the
    smallest of the ratios that at least a share q of them does not exceed (the one of rank ⌈qn⌉); NaN counts as the
    largest. Names: "gradient_over_weight" (the largest), "gradient_over_weight_q0.5", ..., as in
    numerics.training_table.PER_STEP.
    Shapes: each gradient that of its weight, (*rows, ...) with `row_axes` leading axes of rows that all tensors share;
    values (*rows). Nothing is read from the device.
    """
    with torch.no_grad():
        parts = []
        for g, w in zip(grads, weights, strict=True):
            ratio = torch.where((g == 0) & (w == 0), 0.0, g.abs() / w.abs())
            parts.append(ratio.flatten(row_axes) if ratio.ndim > row_axes else ratio.unsqueeze(-1))
        ratios = torch.cat(parts, dim=-1).sort(dim=-1).values
        n = ratios.shape[-1]
        ranks = [n, *(math.ceil(q * n) for q in QUANTILES)]
        return {name: ratios[..., rank - 1] for name, rank in zip(_ratio_names(), ranks, strict=True)}
