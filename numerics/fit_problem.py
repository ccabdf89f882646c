"""What is to be fitted, and what came of it: batches of one-layer linear state-space models of one size.

    ρ̂(t) = Σ_i c_i ν_i U_i e^{λ_i t},   λ_i = f(w_i)   (2 Re of that sum where λ_i = f(w_i) + iω_i),

in discrete time ρ̂_k = Σ_i c_i ν_i U_i λ_i^k with λ_i = f(w_i) (complex: f(w_i) e^{iω_i}), held against the target
Δ ρ(kΔ). Every row of a batch has its own targets, reparameterization, kind of modes, seed and learning rate. Losses of
e = ρ - ρ̂, a sum over the d inputs:

    l2         ∫_0^T |e|² dt;                          Σ_k |e_k|² in discrete time
    w1inf      ∫_0^T |e| + |e(0)| + ∫_0^T |e'| with the jumps of ρ;   Σ_k |e_k| + Σ_k |e_k - e_{k-1}|, e_{-1} = 0
    sequences  the mean over sequences and steps of (y - ŷ)², y = Σ_j Δ ρ(jΔ) x_{k-j}, ŷ alike

T is the `horizon`, in discrete time a number of steps. Source: Definition 2.5 for w1inf; the published experiments
train by `sequences` (white noise; Δ is the `step_size` in continuous time too).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property

import torch
from torch import Tensor

from numerics.arguments import check_choice
from numerics.model_checks import TIMES
from numerics.models import MODES, DiagonalModel, Layer
from numerics.reparameterization import Reparameterization
from numerics.targets import Target

LOSSES = ("l2", "w1inf", "sequences")


class Result(Enum):
    """How the fit of one model ended; the value is the message that a user reads."""

    CONVERGED = "converged: no step lowers the loss by more than the tolerance"
    STALLED = "stalled: no step lowers the loss, though its gradient does not vanish"
    DIVERGED = "diverged: a loss or weight was not finite, or a mode not stable; the last good weights are kept"
    BUDGET_SPENT = "budget spent: the loss was still falling when the steps ran out"


RESULTS = tuple(Result)
"""The order in which `Fits.result` counts them."""


@dataclass(frozen=True, eq=False)
class FitProblem:
    """B models with m modes each.

    targets: for every row the kernels of its d inputs; reparameterizations, modes, seeds: one for every row (the same
    number everywhere). `time`: "continuous", or "discrete" with `step_size` Δ. `horizon`: T, inf for all times.
    Raises ValueError, in one line, naming what does not fit.
    """

    targets: tuple[tuple[Target, ...], ...]
    reparameterizations: tuple[Reparameterization, ...]
    seeds: tuple[int, ...]
    m: int
    modes: tuple[str, ...]
    is_complex: bool = False
    time: str = "continuous"
    step_size: float = 1.0
    loss: str = "l2"
    horizon: float = math.inf

    def __post_init__(self) -> None:
        rows = len(self.targets)
        if not rows:
            raise ValueError("targets: at least one row is needed")
        for name in ("reparameterizations", "seeds", "modes"):
            if len(getattr(self, name)) != rows:
                raise ValueError(f"{name}: {len(getattr(self, name))} entries for {rows} targets")
        check_choice("time", self.time, TIMES)
        check_choice("loss", self.loss, LOSSES)
        for kind in set(self.modes):
            check_choice("modes", kind, MODES)
        if isinstance(self.m, bool) or not isinstance(self.m, int) or self.m < 1:
            raise ValueError(f"m: a whole number of at least 1 is needed, got {self.m!r}")
        if len({len(row) for row in self.targets}) != 1 or not self.targets[0]:
            raise ValueError("targets: every row needs the same number of kernels, one for each input")
        for name in ("step_size", "horizon"):
            value = getattr(self, name)
            if not value > 0 or (name == "step_size" and math.isinf(value)):
                raise ValueError(f"{name}: a positive number is needed, got {value!r}")
        if self.loss == "sequences" and math.isinf(self.horizon):
            raise ValueError("horizon: sequences need a finite number of steps")
        for f in set(self.reparameterizations):
            if f.time != self.time:
                raise ValueError(f"reparameterizations: {f.text!r} is for {f.time} time, {self.time} is needed")

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def input_dim(self) -> int:
        """d."""
        return len(self.targets[0])

    @cached_property
    def specs(self) -> tuple[tuple[str, ...], ...]:
        """For every row the specs of its targets; rows that share the tuple of targets are read once."""
        known: dict[int, tuple[str, ...]] = {}
        for row in self.targets:
            if id(row) not in known:
                known[id(row)] = tuple(target.spec for target in row)
        return tuple(known[id(row)] for row in self.targets)

    @cached_property
    def distinct_targets(self) -> tuple[tuple[Target, ...], ...]:
        """The rows of targets without repetition, by their specs."""
        return tuple(dict(zip(self.specs, self.targets, strict=True)).values())

    @cached_property
    def target_index(self) -> tuple[int, ...]:
        """For every row its place in `distinct_targets`."""
        place = {specs: index for index, specs in enumerate(dict.fromkeys(self.specs))}
        return tuple(place[specs] for specs in self.specs)

    def rows(self, index: Sequence[int] | range) -> FitProblem:
        """The problem of some of the rows."""
        return replace(
            self,
            targets=tuple(self.targets[i] for i in index),
            reparameterizations=tuple(self.reparameterizations[i] for i in index),
            seeds=tuple(self.seeds[i] for i in index),
            modes=tuple(self.modes[i] for i in index),
        )


class RowFunctions:
    """λ = f(w) for rows with different f: equal ones are evaluated together; no value is read on the way.

    w and λ have shape (B, ...), row b with the b-th of `fs`.
    """

    def __init__(self, fs: Sequence[Reparameterization], device: torch.device) -> None:
        kinds = list(dict.fromkeys(fs))
        self._parts = [(f, torch.tensor([i for i, g in enumerate(fs) if g == f], device=device)) for f in kinds]
        self._only = kinds[0] if len(kinds) == 1 else None

    def __call__(self, w: Tensor) -> Tensor:
        if self._only is not None:
            return self._only(w)
        parts = [(index, f(w.index_select(0, index))) for f, index in self._parts]
        return torch.empty_like(w).index_copy(0, torch.cat([i for i, _ in parts]), torch.cat([x for _, x in parts]))

    def with_slope(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """(f(w), f'(w)), both without a graph."""
        with torch.enable_grad():
            leaf = w.detach().requires_grad_()
            value = self(leaf)
            (slope,) = torch.autograd.grad(value.sum(), leaf)
        return value.detach(), slope


@dataclass(frozen=True, eq=False)
class Fits:
    """What came of a FitProblem; every tensor has B rows.

    Shapes: w (B, m); U (B, m, d); c (B, m); omega (B, m) or None in real problems (c complex in complex ones, U too
    where optimal mode fits several inputs); loss (B,); result (B,), an index into RESULTS; steps (B,), those taken;
    rank (B,): numerical rank of the Jacobian of the residual by w (and ω), -1 where it was not computed;
    gradient_over_weight (B,): the largest |∂loss/∂w|/|w| met (0 where it was not computed); history: named (steps, B)
    curves, such as "loss" and "gradient_over_weight".
    """

    problem: FitProblem
    w: Tensor
    U: Tensor
    c: Tensor
    omega: Tensor | None
    loss: Tensor
    result: Tensor
    steps: Tensor
    rank: Tensor
    gradient_over_weight: Tensor
    history: dict[str, Tensor]

    def results(self) -> list[Result]:
        """The outcome of every row."""
        return [RESULTS[int(code)] for code in self.result.tolist()]

    def model(self, row: int) -> DiagonalModel:
        """The fitted model of one row. Raises ValueError where its weights are no stable model."""
        problem = self.problem
        omega = None if self.omega is None else self.omega[row]
        layer = Layer(self.w[row], self.U[row], omega)
        f = problem.reparameterizations[row]
        return DiagonalModel((layer,), self.c[row], f, modes=problem.modes[row], time=problem.time)

    def models(self) -> Iterator[DiagonalModel]:
        return (self.model(row) for row in range(len(self.problem)))
