"""The supremum over x of a nonlinear model's Heaviside rates, from below: candidates, then projected gradient ascent.

With x = r·u, r > 0 and |u|_∞ ≤ 1, M(t) = sup |d/dt y_t(u^{ru})|/(r + 1), smooth in (log r, u) over a box. Where σ is
positively homogeneous (relu) the rate is r times that of u, and M(t) = sup_{|u|_∞ ≤ 1} |d/dt y_t(u^u)|, the limit
r → ∞, exactly.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from numerics.heaviside_rates import Plan, System, make_plan, march, one_layer_rates

_SIZES = 18
_FAR = 1e3  # largest |λh| or |h|/t of a mode: beyond, bounded σ are saturated and gelu is close to its limit
_SEARCH_NODES, _FINE_NODES, _KINK_NODES = 8, 12, 48
_DIRECTIONS = (40, 400)  # at least, at most
_CANDIDATE_WORK = 1e7  # states evaluated for all candidates together
_SUBSET = 12
_FEW = 60  # so many starts altogether cost little
_CHUNK = 2**23
_TINY = 1e-300


@dataclass(frozen=True)
class Found:
    """The best inputs at each time: value (T,) less the estimated error, inputs (T, d)."""

    value: Tensor
    inputs: Tensor


Rates = Callable[[Tensor, Tensor, bool], Tensor]


class _Search:
    """The objective of one system at increasing, distinct times, and its ascent."""

    def __init__(self, system: System, times: Tensor, homogeneous: bool) -> None:
        self.system, self.times, self.homogeneous = system, times, homogeneous
        self.kinked = system.sigma.name in ("relu", "hardtanh")
        self.log_sizes = _log_sizes(system, times)
        self._plans: dict[tuple[tuple[int, ...], int], Plan] = {}

    def scores(self, sizes: Tensor, directions: Tensor, at: Tensor | None = None) -> Tensor:
        """|d/dt y|/(r + 1), the largest output: (K, T), or (K,) at the times of index `at`, which increases."""
        rates = self.rates(sizes[:, None] * directions, at).abs().amax(-1)
        if self.homogeneous:
            return rates
        return rates / (1 + (sizes[:, None] if at is None else sizes))

    def rates(self, inputs: Tensor, at: Tensor | None, *, nodes: int = _SEARCH_NODES, refine: int = 1) -> Tensor:
        """(K, T, k), or (K, k) at the times `at`; cut into pieces that fit into memory."""
        width = sum(lam.numel() for lam in self.system.lam)
        if self.system.depth == 1:
            each = width * (self.times.numel() if at is None else 1)
        else:
            plan = self._plan(inputs, nodes, refine)
            each = width * (plan.points if at is None else plan.nodes * len(plan.panels))
        pieces = range(0, inputs.shape[0], max(1, _CHUNK // each))
        found = []
        for start in pieces:
            part = slice(start, start + max(1, _CHUNK // each))
            x, owner = inputs[part], None if at is None else at[part]
            if self.system.depth > 1:
                found.append(march(self.system, x, plan, owner))
            elif owner is None:
                found.append(one_layer_rates(self.system, x, self.times, paired=False))
            else:
                found.append(one_layer_rates(self.system, x, self.times[owner], paired=True))
        return torch.cat(found)

    def _plan(self, inputs: Tensor, nodes: int, refine: int) -> Plan:
        """A plan for inputs up to the next power of 16, so that few are made."""
        size = float((inputs.detach().to(self.system.c.dtype) @ self.system.drives[0].mT).abs().max())
        level = max(0, int(torch.tensor(max(size, 1.0)).log2().item()) // 4 + 1)
        key = ((nodes, refine), level)
        if key not in self._plans:
            self._plans[key] = make_plan(self.system, self.times, 16.0**level, nodes=nodes, refine=refine)
        return self._plans[key]

    def improve(self, point: Tensor, at: Tensor, steps: int, generator: torch.Generator) -> Tensor:
        """Ascent of the points (log r, u), (K, 1 + d), at the times `at`; for σ with kinks random moves as well."""
        point = self._ascend(point, at, steps)
        return self._jitter(point, at, 2 * steps, generator) if self.kinked else point

    def _ascend(self, point: Tensor, at: Tensor, steps: int) -> Tensor:
        """Projected gradient ascent of the logarithm of the score with Barzilai-Borwein steps; never goes down.

        The first trial step is long, so that u goes to a corner of the box at once where that is best.
        """
        value, slope = self._value_and_slope(point, at)
        pace = torch.full_like(value, 10.0)
        for _ in range(steps):
            trial = self.project(point + pace[:, None] * slope)
            new_value, new_slope = self._value_and_slope(trial, at)
            better = new_value > value
            move, bend = trial - point, new_slope - slope
            curvature = -(move * bend).sum(-1)
            free = torch.where(curvature > 0, (move * move).sum(-1) / curvature.clamp(min=_TINY), 4 * pace)
            pace = torch.where(better, free.clamp(1e-8, 1e4), pace * 0.15)
            value = torch.where(better, new_value, value)
            point = torch.where(better[:, None], trial, point)
            slope = torch.where(better[:, None], new_slope, slope)
        return point

    def _jitter(self, point: Tensor, at: Tensor, rounds: int, generator: torch.Generator) -> Tensor:
        """Random moves of shrinking size, kept where they improve: the gradient does not see the jumps of σ'."""
        value = self.scores(self.sizes(point), point[:, 1:], at)
        for index in range(rounds):
            noise = torch.randn(point.shape, generator=generator, dtype=torch.float64).to(point)
            trial = self.project(point + 0.5 * 1e-3 ** (index / rounds) * noise)
            new_value = self.scores(self.sizes(trial), trial[:, 1:], at)
            point = torch.where((new_value > value)[:, None], trial, point)
            value = torch.maximum(value, new_value)
        return point

    def sizes(self, point: Tensor) -> Tensor:
        """r, where the objective depends on it."""
        return torch.ones_like(point[:, 0]) if self.homogeneous else point[:, 0].exp()

    def _value_and_slope(self, point: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            leaf = point.detach().requires_grad_()
            value = (self.scores(self.sizes(leaf), leaf[:, 1:], at) + _TINY).log()
            (slope,) = torch.autograd.grad(value.sum(), leaf)
        return value.detach(), torch.where(torch.isfinite(slope), slope, torch.zeros_like(slope))

    def project(self, point: Tensor) -> Tensor:
        """The nearest point of the box."""
        return torch.cat([point[:, :1].clamp(*self.log_sizes), point[:, 1:].clamp(-1, 1)], 1)


def _log_sizes(system: System, times: Tensor) -> tuple[float, float]:
    """The range of log r: from where all states stay small, to where they are all far out (or 10³)."""
    reach = float(system.drives[0].abs().sum(-1).max()) or 1.0
    positive = times[times > 0]
    fastest = 1.0 if system.discrete else float(system.lam[0].abs().max())
    shortest = 1.0 if system.discrete or not positive.numel() else float(positive.min())
    far = _FAR * max(1.0, fastest / reach, 1 / (shortest * reach))
    return math.log(1e-2 * min(1.0, fastest / reach)), math.log(far)


def search(
    system: System,
    times: Tensor,
    *,
    starts: int,
    steps: int,
    seed: int,
    homogeneous: bool,
    extra: Tensor | None = None,
) -> Found:
    """The best input found for each of the increasing, distinct `times` (T,), its value less the error estimate.

    Candidates: sign vectors (all, or those of the linearization, of U_1's rows, and random ones) and random directions,
    in many sizes. Some of the times are ascended from at least `starts` candidates each; what is found is offered to
    all times; then every time's best is ascended, twice. `extra` (N, d): more directions.
    """
    task = _Search(system, times, homogeneous)
    generator = torch.Generator().manual_seed(seed)
    directions = _directions(task, generator)
    if extra is not None:
        directions = torch.cat([directions, extra])
    sizes = (torch.zeros(1) if homogeneous else torch.linspace(*task.log_sizes, _SIZES)).to(times).exp()
    table = task.scores(sizes.repeat_interleave(len(directions)), directions.repeat(len(sizes), 1))
    table = table.reshape(len(sizes), len(directions), -1)  # (sizes, directions, T)
    by_direction, size_index = table.max(0)
    count = times.numel()
    everywhere = torch.arange(count, device=times.device)
    few = everywhere
    if system.depth > 1:
        few = torch.linspace(0, count - 1, min(_SUBSET, count), device=times.device).round().long()
    starts = min(max(starts, _FEW // len(few)), len(directions))
    ranked = by_direction.topk(starts, dim=0).indices  # (S, T)
    at = few.repeat_interleave(ranked.shape[0])
    chosen = ranked[:, few].mT.flatten()
    point = torch.cat([sizes[size_index[chosen, at]].log()[:, None], directions[chosen]], 1)
    point = task.improve(point, at, steps, generator)
    first = torch.cat([sizes[size_index[ranked[0], everywhere]].log()[:, None], directions[ranked[0]]], 1)
    point = torch.cat([first, point])
    stages = []
    for share in (2, 4):
        best = task.scores(task.sizes(point), point[:, 1:]).argmax(0)
        stages.append(point[best])
        point = task.improve(stages[-1], everywhere, max(1, steps // share), generator)
    if not task.kinked:
        return _certified(task, point)
    # The ascent drives x to jumps of σ', where the integration is least accurate: points on either side, or found
    # earlier, may certify more.
    aside = 3e-3 * torch.randn(point.shape, generator=generator, dtype=torch.float64).to(point)
    found = _certified(task, point)
    for other in (first, stages[0], task.project(point + aside), task.project(point - aside)):
        rival = _certified(task, other)
        better = rival.value > found.value
        inputs = torch.where(better[:, None], rival.inputs, found.inputs)
        found = Found(torch.maximum(rival.value, found.value), inputs)
    return found


def _certified(task: _Search, point: Tensor) -> Found:
    """The value of each time's input on a finer plan, less the difference to a still finer one."""
    logs, units = point[:, 0], point[:, 1:]
    norms = units.abs().amax(-1)
    units = torch.where(norms[:, None] > 0, units / norms.clamp(min=_TINY)[:, None], torch.ones_like(units))
    sizes = torch.ones_like(logs) if task.homogeneous else logs.exp() * norms.clamp(min=_TINY)
    inputs = sizes[:, None] * units
    at = torch.arange(len(logs), device=logs.device)
    scale = torch.ones_like(sizes) if task.homogeneous else 1 + sizes
    rounding = 1 - 1e-12
    if task.system.depth == 1 or task.system.discrete:
        return Found(task.rates(inputs, at).abs().amax(-1) / scale * rounding, inputs)
    nodes = _KINK_NODES if task.system.increments else _FINE_NODES
    rates = [task.rates(inputs, at, nodes=nodes, refine=refine) for refine in (1, 2)]
    gap = (rates[-1] - rates[-2]).abs().amax(-1)
    for refine in () if task.system.increments else (4, 8):
        if bool((gap <= 1e-8 * rates[-1].abs().amax(-1)).all()):
            break
        rates.append(task.rates(inputs, at, nodes=nodes, refine=refine))
        gap = (rates[-1] - rates[-2]).abs().amax(-1)
    return Found(((rates[-1].abs().amax(-1) - gap) / scale * rounding).clamp(min=0), inputs)


def _directions(task: _Search, generator: torch.Generator) -> Tensor:
    """Directions with largest entry ±1, (N, d): the smaller the model, the more."""
    dim = task.system.drives[0].shape[-1]
    like = task.times
    work = _SIZES * sum(lam.numel() for lam in task.system.lam) * (task.times.numel() + 100 * (task.system.depth - 1))
    count = int(min(max(_CANDIDATE_WORK / work, _DIRECTIONS[0]), _DIRECTIONS[1]))

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(like)

    if dim <= 4:
        signs = torch.tensor(list(itertools.product([1.0, -1.0], repeat=dim)), dtype=like.dtype, device=like.device)
    else:
        signs = torch.cat([torch.ones(1, dim).to(like), random(count // 4, dim)])
    # The signs of the rates under small inputs along the axes maximize the linearization.
    small = 1e-6 * torch.eye(dim).to(like)
    linear = task.rates(small, None).permute(1, 2, 0).flatten(0, 1)
    linear = linear[:: max(1, len(linear) // _DIRECTIONS[0])]
    rows = task.system.drives[0].real[:: max(1, len(task.system.drives[0]) // 8)]
    found = torch.cat([torch.where(p >= 0, 1.0, -1.0).to(like) for p in (signs, linear, rows)])
    found = torch.unique(found, dim=0)
    if dim == 1:
        return torch.tensor([[1.0], [-1.0]]).to(like)
    loose = random(count // 2, dim)
    return torch.cat([found, -found, loose / loose.abs().amax(-1, keepdim=True)])
