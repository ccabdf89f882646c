"""Sequence models of one shape as one program: weights, outputs, losses and gradients of all of them together.

Row r is the model of run r: its weights are row r of one tensor (R, P), P numbers a model, so that an optimizer moves
all of them at once. Rows may differ in f and in the start, not in time and gain. On a GPU the rows run together under
torch.func.vmap, with λ = f(w) computed outside for the rows that share an f; on the CPU one after the other, which
keeps what a row works on in the core's own cache. Both give the same numbers to rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from numerics.fit_problem import RowFunctions
from numerics.layers import LayerKind, ModelShape, SequenceModel
from numerics.optim import Evaluation
from numerics.recurrence_log import weight_ratios
from numerics.training_table import Run

_W = ".ssm.w"


def task_loss(task: str, outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean loss of one model: cross entropy in nats (classification, language: over all tokens), mean square.

    Shapes: outputs (B, K) with targets (B,); (B, L, K) with (B, L); in regression (B, L, 1) both.
    """
    if task == "regression":
        return F.mse_loss(outputs, targets)
    return F.cross_entropy(outputs.flatten(0, -2), targets.flatten())


class StackedModels:
    """R models on a device; `start` (R, P) are their weights as made, by their seeds.

    Raises ValueError where rows differ in time or gain.
    """

    def __init__(
        self,
        shape: ModelShape,
        runs: Sequence[Run],
        task: str,
        *,
        device: torch.device,
        dtype: torch.dtype,
        together: bool | None = None,
    ) -> None:
        kinds = [run.kind for run in runs]
        if len({program(kind) for kind in kinds}) != 1:
            raise ValueError("runs: the rows of one program need the same time and the same kind of modes")
        self.shape, self.task, self.kinds = shape, task, kinds
        self.together = device.type != "cpu" if together is None else together
        models = [SequenceModel(shape, run.kind, run.seed).to(dtype=dtype, device=device) for run in runs]
        weights, buffers = stack_module_state(list(models))
        self._template, self._buffers = models[0], buffers
        self._shapes = {name: tuple(x.shape[1:]) for name, x in weights.items()}
        self._sizes = [x[0].numel() for x in weights.values()]
        self._functions = RowFunctions([kind.reparameterization for kind in kinds], device)
        self._recurrent = [name for name in self._shapes if name.endswith(_W)]
        self.start = torch.cat([x.detach().flatten(1) for x in weights.values()], dim=1)

    def named(self, theta: Tensor) -> dict[str, Tensor]:
        """Copies of the weights by their names in SequenceModel: theta (..., P) to tensors (..., *shape).

        Copies, since a part of a row need not begin where complex numbers may.
        """
        rows = theta.shape[:-1]
        return {
            name: part.clone(memory_format=torch.contiguous_format).view(*rows, *size)
            for (name, size), part in zip(self._shapes.items(), torch.split(theta, self._sizes, dim=-1), strict=True)
        }

    def packed(self, weights: Mapping[str, Tensor]) -> Tensor:
        """The theta (R, P) of which these are the `named` weights. Raises ValueError where they do not fit."""
        for name, size in self._shapes.items():
            if name not in weights or weights[name].shape != (len(self.kinds), *size):
                raise ValueError(f"weights: {name}: a shape of {(len(self.kinds), *size)} is needed")
        parts = [weights[name].flatten(1) for name in self._shapes]
        return torch.cat(parts, dim=1).to(device=self.start.device, dtype=self.start.dtype)

    def state(self, theta: Tensor) -> dict[str, Tensor]:
        """The weights and buffers of all models, (R, ...), by their names in SequenceModel."""
        return {**self.named(theta), **self._buffers}

    def evaluate(self, theta: Tensor, inputs: Tensor, targets: Tensor) -> Evaluation:
        """Loss and gradient of every row on its own batch, inputs (R, B, ...) and targets (R, B, ...).

        Measures (R,): `margin`, and those of numerics.recurrence_log.weight_ratios over all w of a row.
        """
        work = self._evaluate_together if self.together else self._evaluate_looped
        loss, grad = work(theta, inputs, targets)
        g, w = self.named(grad), self.named(theta)
        ratios = weight_ratios([g[name] for name in self._recurrent], [w[name] for name in self._recurrent], row_axes=1)
        return Evaluation(loss, (grad,), None, {"margin": self._margin(w), **ratios})

    def outputs(self, theta: Tensor, inputs: Tensor) -> Tensor:
        """Outputs (R, B, ...) of every row for the same inputs (B, ...), without a graph."""
        with torch.no_grad():
            if self.together:
                weights = self.named(theta)
                call = vmap(self._call, in_dims=(0, 0, None, 0))
                return call(weights, self._buffers, inputs, self._rates(weights))
            rows = enumerate(self._rows(theta))
            return torch.stack([self._call(*found, inputs, self._row_rates(row, found[0])) for row, found in rows])

    def margin(self, theta: Tensor) -> Tensor:
        """-max Re λ over all modes of a row, in discrete time 1 - max|λ|; (R,)."""
        return self._margin(self.named(theta))

    def _margin(self, weights: dict[str, Tensor]) -> Tensor:
        with torch.no_grad():
            rates = torch.cat([rate.flatten(1) for rate in self._rates(weights)], dim=1)
        return 1 - rates.abs().amax(1) if self.kinds[0].is_discrete else -rates.amax(1)

    # The two programs

    def _evaluate_together(self, theta: Tensor, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        leaves = {name: x.detach().requires_grad_() for name, x in self.named(theta).items()}
        losses = vmap(self._loss)(leaves, self._buffers, inputs, targets, self._rates(leaves))
        grads = _gradients(losses.sum(), leaves)
        return losses.detach(), torch.cat([g.flatten(1) for g in grads], dim=1)

    def _evaluate_looped(self, theta: Tensor, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        losses, grads = [], []
        for row, (weights, buffers) in enumerate(self._rows(theta)):
            leaves = {name: x.detach().requires_grad_() for name, x in weights.items()}
            loss = self._loss(leaves, buffers, inputs[row], targets[row], self._row_rates(row, leaves))
            losses.append(loss.detach())
            grads.append(torch.cat([g.flatten() for g in _gradients(loss, leaves)]))
        return torch.stack(losses), torch.stack(grads)

    def _rows(self, theta: Tensor) -> list[tuple[dict[str, Tensor], dict[str, Tensor]]]:
        buffers = ({name: x[row] for name, x in self._buffers.items()} for row in range(len(theta)))
        return list(zip((self.named(row) for row in theta), buffers, strict=True))

    def _rates(self, weights: dict[str, Tensor]) -> list[Tensor]:
        return [self._functions(weights[name]) for name in self._recurrent]

    def _row_rates(self, row: int, weights: dict[str, Tensor]) -> list[Tensor]:
        return [self.kinds[row].reparameterization(weights[name]) for name in self._recurrent]

    def _call(self, weights: Any, buffers: Any, inputs: Tensor, rates: Any) -> Tensor:
        return functional_call(self._template, (weights, buffers), (inputs, rates))

    def _loss(self, weights: Any, buffers: Any, inputs: Tensor, targets: Tensor, rates: Any) -> Tensor:
        return task_loss(self.task, self._call(weights, buffers, inputs, rates), targets)


def _gradients(loss: Tensor, leaves: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """0 where the loss does not know of a weight, as of w in a formula like -1/2 + 0w."""
    return torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)


def program(kind: LayerKind) -> tuple[bool, str]:
    """What the rows of one program share: time and gain."""
    return kind.is_discrete, kind.gain
