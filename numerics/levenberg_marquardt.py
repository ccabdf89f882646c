"""Levenberg-Marquardt for many small least squares problems at once: one tensor program, no branch on a row.

    (H + μ diag(JᵀJ)) δ = -Jᵀr,     accepted where the loss |r|² falls by more than 1e-4 of what its model predicts,
                                    |r|² + 2 δᵀJᵀr + δᵀHδ; μ falls after good steps and rises after refused ones

with H half the Hessian of the loss where H + μ diag(JᵀJ) is positive definite, which makes the last steps those of
Newton's method, and H = JᵀJ elsewhere. Every row has its own damping μ and ends for itself; a step that leads out of
the allowed set, or to a loss that is not finite, is refused like one that raises the loss. Scaling by diag(JᵀJ) makes
the steps independent of the units of the parameters.
Source: Marquardt, SIAM J. Appl. Math. 11 (1963); the rise of μ by a factor that doubles is Nielsen's (Technical
University of Denmark, IMM-REP-1999-05); the stopping test on actual and predicted decrease is MINPACK's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import torch
from torch import Tensor

from numerics.fit_problem import RESULTS, Result

_ACCEPTED = 1e-4
_FIRST_DAMPING = 1e-3
_LEAST_DAMPING = 1e-14
_CEILING = 1e10
_FREE = 1.0
"""Damping above which a step is short whatever the gradient is, so that a small decrease says nothing."""
_FLAT = 1e-6
"""Cosine between the residual and the columns of its Jacobian below which a gradient counts as zero."""
_LARGEST_CHANGE = 0.9
_RUNNING = -1
_FEWER = 0.9
"""Rows are set aside where at most this part of them still runs."""
_TINY = 1e-36  # its square is still a float32
CONVERGED, STALLED, DIVERGED, BUDGET_SPENT = (RESULTS.index(result) for result in Result)


class Evaluation(NamedTuple):
    """One evaluation of B rows with P parameters: everything that a step needs.

    allowed (B,): whether the point may be accepted; loss, noise (B,); coef (B, p, d); normal (B, P, P): JᵀJ;
    gradient (B, P): Jᵀr; hessian (B, P, P): half the Hessian of the loss or what is used for it; speed (B, P): the
    relative change of λ per unit of each parameter.
    """

    allowed: Tensor
    loss: Tensor
    noise: Tensor
    coef: Tensor
    normal: Tensor
    gradient: Tensor
    hessian: Tensor
    speed: Tensor


@dataclass(frozen=True, eq=False)
class Search:
    """Where B rows stand. result: an index into RESULTS, or -1 while a row runs; steps: those taken until it ended."""

    theta: Tensor
    loss: Tensor
    noise: Tensor
    coef: Tensor
    normal: Tensor
    gradient: Tensor
    hessian: Tensor
    speed: Tensor
    damping: Tensor
    growth: Tensor
    result: Tensor
    steps: Tensor

    def where(self, mask: Tensor, other: Search) -> Search:
        """Rows of `other` where the mask holds."""
        return Search(*(_select(mask, getattr(other, f.name), getattr(self, f.name)) for f in fields(self)))

    def take(self, index: Tensor) -> Search:
        return Search(*(getattr(self, f.name).index_select(0, index) for f in fields(self)))

    def put(self, index: Tensor, part: Search) -> Search:
        """Rows `index` replaced by those of `part`."""
        return Search(*(getattr(self, f.name).index_copy(0, index, getattr(part, f.name)) for f in fields(self)))


Evaluate = Callable[[Tensor, Tensor], Evaluation]
"""(theta (B, P), rows (B,)) ↦ Evaluation; rows are the indices of these rows in the whole batch."""


def start_search(evaluate: Evaluate, theta: Tensor) -> Search:
    """The first evaluation; rows that cannot be evaluated there end as DIVERGED."""
    rows = torch.arange(len(theta), device=theta.device)
    first = evaluate(theta, rows)
    good = first.allowed & torch.isfinite(first.loss)
    one = torch.ones_like(first.loss)
    result = torch.where(good, _RUNNING, DIVERGED)
    steps = torch.zeros_like(rows)
    return Search(theta, *first[1:], _FIRST_DAMPING * one, 2 * one, result, steps)


def minimize(evaluate: Evaluate, search: Search, steps: int, tolerance: float, compact_every: int = 0) -> Search:
    """The search after at most so many steps.

    A row ends CONVERGED where a step with damping of at most 1 was accepted and its actual and predicted decrease were
    below `tolerance` times the loss, or the loss is at rounding level; where damping reaches its ceiling, CONVERGED if
    the gradient vanishes, else STALLED; BUDGET_SPENT otherwise. `compact_every` steps the rows that have ended are set
    aside, which reads their number from the device (0: never).
    """
    rows = torch.arange(len(search.theta), device=search.theta.device)
    whole, current = search, search
    for step in range(steps):
        if compact_every and step % compact_every == 0:
            running = (current.result == _RUNNING).nonzero().squeeze(1)
            if len(running) <= _FEWER * len(rows):
                whole = whole.put(rows, current)
                rows, current = rows[running], current.take(running)
            if not len(rows):
                break
        current = _step(evaluate, current, rows, tolerance)
    whole = whole.put(rows, current)
    return replace(whole, result=torch.where(whole.result == _RUNNING, BUDGET_SPENT, whole.result))


def _step(evaluate: Evaluate, now: Search, rows: Tensor, tolerance: float) -> Search:
    """One step of every row that still runs."""
    running = now.result == _RUNNING
    delta, predicted, solved = _damped_step(now)
    theta = torch.where((running & solved)[:, None], now.theta + delta, now.theta)
    trial = evaluate(theta, rows)
    actual = now.loss - trial.loss
    good = solved & trial.allowed & torch.isfinite(trial.loss) & (predicted > 0) & (actual > _ACCEPTED * predicted)
    ratio = actual / predicted
    fall = torch.where(ratio > 0.75, 0.1, torch.where(ratio > 0.25, 0.5, 2.0))
    damping = torch.where(good, (now.damping * fall).clamp(min=_LEAST_DAMPING), now.damping * now.growth)
    growth = torch.where(good, 2.0, 2 * now.growth)
    free = good & (now.damping <= _FREE)
    small = free & (actual <= tolerance * now.loss) & (predicted <= tolerance * now.loss)
    loss, noise = torch.where(good, trial.loss, now.loss), torch.where(good, trial.noise, now.noise)
    high = damping > _CEILING
    result = torch.where(small | (loss <= noise), CONVERGED, torch.where(high, _at_ceiling(now), _RUNNING))
    moved = Search(theta, *trial[1:], damping, growth, result, now.steps + 1)
    stayed = replace(now, damping=damping, growth=growth, result=result, steps=now.steps + 1)
    return now.where(running, stayed.where(good, moved))


def _damped_step(now: Search) -> tuple[Tensor, Tensor, Tensor]:
    """(δ, the decrease that its model predicts, whether it could be solved for)."""
    diagonal = now.normal.diagonal(dim1=-2, dim2=-1)
    unit = diagonal.clamp(min=1e-30 * diagonal.amax(-1, keepdim=True) + _TINY).rsqrt()
    newton, definite = _solved(now.hessian, now, unit)
    gauss, solved = _solved(now.normal, now, unit)
    delta = torch.where(definite[:, None], newton, gauss)
    model = torch.where(definite[:, None, None], now.hessian, now.normal)
    along = (delta * now.gradient).sum(-1)
    predicted = -2 * along - (delta * (model @ delta[..., None]).squeeze(-1)).sum(-1)
    return delta, predicted, definite | solved


def _solved(model: Tensor, now: Search, unit: Tensor) -> tuple[Tensor, Tensor]:
    """δ for one H with no λ changed by more than 0.9 of its size to first order, and whether H + μ diag is definite."""
    scaled = model * unit[:, :, None] * unit[:, None, :] + torch.diag_embed(now.damping[:, None].expand_as(unit))
    factor, info = torch.linalg.cholesky_ex(scaled)
    delta = -unit * torch.cholesky_solve((unit * now.gradient)[..., None], factor).squeeze(-1)
    limit = _LARGEST_CHANGE / now.speed.abs().clamp(min=_TINY)
    delta = torch.minimum(torch.maximum(delta, -limit), limit)
    good = (info == 0) & torch.isfinite(delta).all(-1)
    return torch.where(good[:, None], delta, 0.0), good


def _at_ceiling(now: Search) -> Tensor:
    """CONVERGED where no column of the Jacobian is seen by the residual, else STALLED."""
    norms = (now.normal.diagonal(dim1=-2, dim2=-1) * now.loss[:, None]).clamp(min=0).sqrt()
    flat = (now.gradient.abs() <= _FLAT * norms + now.noise[:, None].sqrt() * norms / now.loss[:, None].sqrt()).all(-1)
    return torch.where(flat, CONVERGED, STALLED)


def _select(mask: Tensor, this: Tensor, other: Tensor) -> Tensor:
    return torch.where(mask.view(-1, *[1] * (this.ndim - 1)), this, other)
