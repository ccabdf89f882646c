"""Fits by gradient descent in all weights, as the paper trains: w, U, c, in complex problems ω too.

Every row has its own seed and learning rate, and rows do not influence each other, whatever else is in the batch; they
start as numerics.gradient_start says. On a finite horizon a loss is finite for unstable λ too, and training may pass
through them: such a row has diverged only if its last λ are not stable. On an infinite horizon it diverges as soon as
one λ is not. Source: the published experiments train by `sequences`; see numerics.kernel_loss for the gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from numerics.arguments import check_count
from numerics.fit_problem import RESULTS, FitProblem, Fits, Result
from numerics.gradient_start import Packing, starting_weights
from numerics.kernel_loss import KernelLoss, RowsLoss
from numerics.loss_times import lag_covariance, time_grid, white_noise
from numerics.model_checks import available_memory, check_device, check_dtype, check_memory
from numerics.optim import Descent, Evaluation, Rule, Tensors, minimize
from numerics.threads import SharedCount, one_thread
from numerics.time_nodes import TimeNodes

TOLERANCE = 1e-6
"""A row has converged if its loss fell by at most this share in the last tenth of the steps, and if the gradient by
every weight θ, times max(|θ|, 1), is at most the root of this share of the loss."""
_CACHED_BYTES = 12 * 2**20
"""What one core works on at a time: a little more than its own cache, to hide the cost of a call of torch."""


def fit_gradient(
    problem: FitProblem,
    learning_rates: Sequence[float],
    *,
    optimizer: str = "adam",
    steps: int = 2000,
    schedule: str = "cosine",
    weight_decay: float | None = None,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    points: int | None = None,
    nodes: TimeNodes | None = None,
    sequences: int = 128,
    data_seed: int = 0,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float64,
    record_every: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Fits:
    """The fits after `steps` steps of an optimizer (see numerics.optim) from seeded starts.

    The losses are those of numerics.fit_problem; the integrals of l2 and w1inf are sums over numerics.time_nodes or, in
    continuous time, over given `nodes`, or by the trapezoidal rule on so many `points` from 0 to a finite T. Of
    `sequences` there are so many inputs of white noise, standard normal, drawn by `data_seed`, the same for all rows;
    the loss is over all of them at every step.
    weight_decay: None is 0.01 for adamw, else 0; it acts on all weights alike. record_every = n > 0 fills the history
    with "loss" and "gradient_over_weight" at steps 0, n, 2n, ... and at the last weights.
    On the CPU, chunks of rows are shared among torch.get_num_threads() threads. progress(done, total) counts rows times
    evaluations. Result: see TOLERANCE; "budget spent" also where a λ has left the rates that the nodes resolve.
    Raises ValueError for a learning rate that is not positive and finite or not one for each row, steps < 1, an unknown
    optimizer or schedule, a negative weight decay, a device that is absent, and as numerics.time_nodes.
    """
    if len(learning_rates) != len(problem):
        raise ValueError(f"learning_rates: {len(learning_rates)} for {len(problem)} rows; one for each is needed")
    rule = Rule(tuple(learning_rates), steps, optimizer, schedule, weight_decay, betas, eps)
    check_dtype("dtype", dtype)
    check_count("record_every", record_every, 0)
    where = check_device(device)
    start = starting_weights(problem).to(device=where, dtype=dtype)
    threads = torch.get_num_threads() if where.type == "cpu" else 1
    parts: list[_Part] = []
    for group in _groups(problem, points is not None or nodes is not None):
        loss = kernel_loss(
            problem.rows(group), where, dtype, points=points, nodes=nodes, sequences=sequences, data_seed=data_seed
        )
        parts += [_Part([group[i] for i in local], loss, local) for local in _chunks(loss, threads)]
    report = SharedCount(progress, (steps + 1) * len(problem))

    def work(part: _Part) -> tuple[Descent, Tensor]:
        if threads > 1:
            torch.set_num_threads(1)  # a setting that each thread has for itself
        on_step = None if progress is None else lambda _: report.add(len(part.rows))
        loss = part.loss.rows(part.local)
        descent = train(loss, start[part.rows], rule.rows(part.rows), record_every, on_step)
        return descent, outcome(loss, descent)

    if threads == 1:
        found = [work(part) for part in parts]
    else:
        with one_thread(), ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(work, parts))
    return _fits(problem, [row for part in parts for row in part.rows], found)


def train(
    loss: RowsLoss, start: Tensor, rule: Rule, record_every: int = 0, on_step: Callable[[int], None] | None = None
) -> Descent:
    """The descent of rows whose weights are packed into (B, n): the program of one device, which reads no value."""
    pack = Packing(loss.problem)
    unstable_is_divergence = math.isinf(loss.problem.horizon)

    def evaluate(_: int, params: Tensors) -> Evaluation:
        w, U, c, omega = pack.split(params[0])
        value, f, by = loss(w, U, c, omega)
        ratio = (by.w.abs() / w.abs()).amax(dim=1)
        valid = loss.is_stable(f) if unstable_is_divergence else None
        return Evaluation(value, (pack.join(*by),), valid, {"gradient_over_weight": ratio})

    return minimize(evaluate, (start,), rule, record_every=record_every, on_step=on_step)


def kernel_loss(
    problem: FitProblem,
    device: torch.device,
    dtype: torch.dtype,
    *,
    points: int | None = None,
    nodes: TimeNodes | None = None,
    sequences: int = 128,
    data_seed: int = 0,
) -> KernelLoss:
    """The loss of a problem whose rows share the times at which kernels are compared."""
    if problem.loss != "sequences":
        grid, resolution = time_grid(problem, points, nodes)
        return KernelLoss(problem, grid, device, dtype, resolution=resolution)
    inputs = white_noise(problem, sequences, data_seed)  # which refuses more steps than there is memory for
    covariance, (grid, resolution) = lag_covariance(inputs), time_grid(problem, points, nodes)
    scale = problem.step_size**2 if problem.time == "continuous" else 1.0  # y = Σ Δ ρ(jΔ) x_{k-j}
    return KernelLoss(problem, grid, device, dtype, resolution=resolution, covariance=scale * covariance)


# Chunks of rows


class _Part(NamedTuple):
    """Rows of the problem, which in the problem of `loss` are the rows `local`."""

    rows: list[int]
    loss: KernelLoss
    local: range


def _groups(problem: FitProblem, one_grid: bool) -> list[list[int]]:
    """Rows that are compared at the same times, those with the same f beside each other."""
    shared = problem.loss == "sequences" or one_grid
    groups: dict[int, list[int]] = {}
    for row, target in enumerate(problem.target_index):
        groups.setdefault(0 if shared else target, []).append(row)
    order = {f: place for place, f in enumerate(dict.fromkeys(problem.reparameterizations))}
    return [sorted(group, key=lambda row: order[problem.reparameterizations[row]]) for group in groups.values()]


def _chunks(loss: KernelLoss, threads: int) -> list[range]:
    """As many rows as the caches hold, in equal shares for the threads; on a GPU as many as fit."""
    rows, device = len(loss.problem), loss.targets.device
    room = _CACHED_BYTES if device.type == "cpu" else available_memory(device) // 2
    chunk = max(1, min(room // loss.bytes_per_row, math.ceil(rows / threads)))
    check_memory("problem", chunk * loss.bytes_per_row * threads, device)
    count = min(rows, math.ceil(rows / chunk / threads) * threads)
    ends = [rows * i // count for i in range(count + 1)]
    return [range(a, b) for a, b in pairwise(ends)]


# Outcomes


def _fits(problem: FitProblem, rows: Sequence[int], found: Sequence[tuple[Descent, Tensor]]) -> Fits:
    """`rows` are those of all parts, one part after the other."""
    descents = [descent for descent, _ in found]
    order = torch.tensor(rows).argsort().to(descents[0].loss.device)

    def joined(values: Iterable[Tensor], dim: int = 0) -> Tensor:
        return torch.cat(list(values), dim=dim).index_select(dim, order)

    w, U, c, omega = Packing(problem).split(joined(d.params[0] for d in descents))
    return Fits(
        problem,
        w=w.contiguous(),
        U=U.contiguous(),
        c=c.contiguous(),
        omega=None if omega is None else omega.contiguous(),
        loss=joined(d.loss for d in descents),
        result=joined(result for _, result in found),
        steps=joined(d.steps for d in descents),
        rank=torch.full_like(order, -1),
        gradient_over_weight=joined(d.largest["gradient_over_weight"] for d in descents),
        history={name: joined((d.history[name] for d in descents), dim=1) for name in descents[0].history},
    )


def outcome(loss: RowsLoss, descent: Descent) -> Tensor:
    """The index into RESULTS of every row, (B,); see TOLERANCE."""
    theta, gradient = descent.params[0], descent.grads[0]
    w, _, _, omega = Packing(loss.problem).split(theta)
    f = loss.f(w)
    fell = descent.late_loss - descent.loss
    steepest = (gradient.abs() * theta.abs().clamp(min=1)).amax(dim=1)
    settled = (fell <= TOLERANCE * descent.late_loss) & (steepest <= math.sqrt(TOLERANCE) * descent.loss)
    code = torch.where(settled & loss.is_resolved(f, omega), _code(Result.CONVERGED), _code(Result.BUDGET_SPENT))
    return torch.where(descent.alive & loss.is_stable(f), code, _code(Result.DIVERGED))


def _code(result: Result) -> int:
    return RESULTS.index(result)
