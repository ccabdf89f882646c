"""Optimal mode: the best rates of a batch of models by variable projection, from several starts, in parallel.

    minimize over λ_1..λ_m = f(w):   min over c of ∫ |ρ - Σ c_i e^{λ_i t}|² dt

on weighted nodes (numerics.time_nodes), by Levenberg-Marquardt on w, and on ω where modes are complex
(numerics.projection, numerics.levenberg_marquardt), from smooth and from random starts (numerics.starting_rates). The
loss that is returned, and by which the best start is chosen, is taken on twice as many nodes. Rows with the same
targets run together; a row's random numbers depend on its seed, m and targets only.

The least loss depends on f through its range alone: where two f reach the same rates, their best fits have the
same kernel.
Source: Golub and Pereyra, Inverse Problems 19 (2003), a survey of variable projection; the rest as in the modules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from numerics.absolute_fit import AbsoluteLoss, fit_absolute
from numerics.arguments import check_counts
from numerics.balanced_fits import Found, balanced_fits, gathered
from numerics.complex_starts import complex_starts, hankel_modes
from numerics.fit_problem import FitProblem, Fits
from numerics.kernel_columns import KernelColumns
from numerics.levenberg_marquardt import DIVERGED, Search, minimize, start_search
from numerics.model_checks import check_device, check_dtype, check_memory
from numerics.projection import jacobian_rank, least_squares
from numerics.rate_evaluation import Evaluator, RateMap
from numerics.reach import weights_for
from numerics.reparameterization import Reparameterization
from numerics.starting_rates import (
    fastest_start,
    perturbed_rates,
    row_generator,
    slowest_start,
    smooth_rates,
    warm_rates,
    within,
)
from numerics.threads import one_thread
from numerics.time_nodes import TimeNodes, problem_nodes

Array = NDArray[np.float64]

CHUNK = 192
"""Fits that run together on a CPU: enough to hide the cost of a call, few enough to stay in the cache."""
_DEVICE_CHUNK = 65536
_TURNED = 1 + 0.1j
"""A real mode as the start of a complex one."""
_SET_ASIDE_EVERY = 2
"""Steps after which, on a CPU, fits that have ended no longer take part."""
_STARTS = 4


def fit_optimal(
    problem: FitProblem,
    *,
    warm: Sequence[Fits] = (),
    starts: int | None = None,
    steps: int = 100,
    tolerance: float = 1e-8,
    nodes: TimeNodes | None = None,
    workers: int | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float64,
    progress: Callable[[int, int], None] | None = None,
) -> Fits:
    """Fits of every row of the problem: the best of `starts` starts and two more for each of `warm`.

    starts: without a number one for real modes of any rate, completely monotone targets and continuous time (others
    were never seen to end lower), else 4. warm: fits of the same rows with at most as many modes; steps: of
    Levenberg-Marquardt, for each start; tolerance: of the relative decrease of the loss; nodes: the times that define
    the loss, by default those of the horizon; workers: threads with chunks of their own on a CPU, by default as many as
    torch has; progress: called with the number of rows done and of all rows. The loss "w1inf" is minimized from the
    fits in L², plain and with log-time weights (numerics.absolute_fit), and is taken at the nodes, to about 1e-2 of it;
    there CONVERGED means that a round of reweighting lowered it by less than a thousandth.
    Raises ValueError for the loss "sequences" (it has no optimal mode), an infinite horizon with a target whose energy
    (for "w1inf" L¹ norm) is infinite, counts below 1, `warm` fits of other rows, a device that is absent, an f that
    reaches no stable rate, and where memory would run out.
    """
    place = _checked(problem, warm, steps, tolerance, device, dtype)
    workers = (torch.get_num_threads() if place.type == "cpu" else 1) if workers is None else workers
    check_counts(starts=(1 if starts is None else starts, 1), workers=(workers, 1))
    settings = _Settings(starts, steps, tolerance, nodes, workers, place, dtype)
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    with one_thread(place.type == "cpu"), pool:
        groups = list(pool.map(lambda rows: _Group(problem, rows, warm, settings), _groups(problem)))
        jobs = [partial(group.fit, chunk) for group in groups for chunk in group.chunks]
        found: list[Found] = []
        for part in pool.map(lambda job: job(), jobs):
            found.append(part)
            if progress:
                progress(sum(len(each.rows) for each in found), len(problem))
    return balanced_fits(problem, gathered(found))


def _groups(problem: FitProblem) -> list[list[int]]:
    """The rows of one target each, those whose f reaches every rate apart from the others."""
    bounded = {f: math.isfinite(fastest_start(f)) for f in dict.fromkeys(problem.reparameterizations)}
    groups: dict[tuple[int, bool], list[int]] = {}
    for row, (index, f) in enumerate(zip(problem.target_index, problem.reparameterizations, strict=True)):
        groups.setdefault((index, bounded[f]), []).append(row)
    return list(groups.values())


@dataclass(frozen=True)
class _Settings:
    starts: int | None
    steps: int
    tolerance: float
    nodes: TimeNodes | None
    workers: int
    device: torch.device
    dtype: torch.dtype


def _checked(
    problem: FitProblem,
    warm: Sequence[Fits],
    steps: int,
    tolerance: float,
    device: torch.device | str,
    dtype: torch.dtype,
) -> torch.device:
    check_counts(steps=(steps, 1))
    check_dtype("dtype", dtype)
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance: a number between 0 and 1 is needed, got {tolerance!r}")
    if problem.loss == "sequences":
        raise ValueError("loss: 'sequences' has no optimal mode; use 'l2' or 'w1inf', or gradient mode")
    place = check_device(device)
    for fits in warm:
        other = fits.problem
        if other.specs != problem.specs or other.is_complex != problem.is_complex:
            raise ValueError("warm: fits of the same targets and kind of modes, row by row, are needed")
        if other.time != problem.time or other.m > problem.m:
            raise ValueError(f"warm: fits in {problem.time} time with at most m = {problem.m} modes are needed")
    return place


class _Group:
    """The rows with the same targets: their nodes, all their starts, and the fit of some of them.

    `norms` are the norms in which a search starts, as columns on the nodes and on finer ones, with θ (R, S, P).
    """

    def __init__(self, problem: FitProblem, rows: list[int], warm: Sequence[Fits], settings: _Settings) -> None:
        self.problem, self.rows, self.settings = problem, rows, settings
        self.targets = problem.targets[rows[0]]
        given = settings.nodes
        nodes = [given or problem_nodes(problem, self.targets, fine) for fine in (1, 2)]
        options: dict[str, Any] = {
            "is_complex": problem.is_complex,
            "step_size": problem.step_size,
            "device": settings.device,
            "dtype": settings.dtype,
        }
        needed = problem.m * (2 if problem.is_complex else 1)
        if len(nodes[0]) <= needed:
            left = f"step_size and horizon leave {len(nodes[0])}"
            raise ValueError(f"m: {problem.m} modes need more than {needed} times, {left}")
        coarse, fine = (KernelColumns(each, self.targets, problem.m, **options) for each in nodes)
        columns, self.fine = [coarse], fine
        self.absolute: tuple[AbsoluteLoss, ...] | None = None
        if problem.loss == "w1inf":
            self.absolute = tuple(AbsoluteLoss(each, self.targets, problem.m, **options) for each in nodes)
            columns.append(KernelColumns(self._log_weighted(nodes[0]), self.targets, problem.m, **options))
        self.monotone = all(target.completely_monotone for target in self.targets)
        real = None
        if problem.is_complex and self.monotone:
            real = KernelColumns(nodes[0], self.targets, problem.m, **options | {"is_complex": False})
        self.norms = [(each, _starts(problem, rows, warm, self._count(), each, real)) for each in columns]
        self.chunks = self._chunks()

    def _log_weighted(self, nodes: TimeNodes) -> TimeNodes:
        """Errors count by their size at every scale of time: ∫|e|² (1 + t/τ) dt."""
        shortest = min(min(target.time_scales) for target in self.targets)
        unit = self.problem.step_size if nodes.odd is not None else 1.0
        return replace(nodes, weights=nodes.weights * (1 + nodes.times * unit / shortest))

    def _count(self) -> int:
        if self.settings.starts is not None:
            return self.settings.starts
        bounded = math.isfinite(fastest_start(self.problem.reparameterizations[self.rows[0]]))
        plain = not self.problem.is_complex and self.problem.time == "continuous"
        return 1 if self.monotone and plain and not bounded else _STARTS

    def _chunks(self) -> list[slice]:
        starts = self.norms[0][1].shape[1]
        wanted = CHUNK if self.settings.device.type == "cpu" else _DEVICE_CHUNK
        share = -(-len(self.rows) // self.settings.workers)
        step = max(1, min(wanted // starts, share))
        long = max(len(self.fine), sum(self.absolute[1].parts) if self.absolute else 0)
        each = 64 * long * (2 * self.fine.columns + len(self.targets)) * starts
        check_memory("fit", each * min(step * self.settings.workers, len(self.rows)), self.settings.device)
        return [slice(first, first + step) for first in range(0, len(self.rows), step)]

    def fit(self, chunk: slice) -> Found:
        """All starts of some rows, and the best of them."""
        here = self.rows[chunk]
        found = [self._search(columns, theta[chunk], here) for columns, theta in self.norms]
        search, coef, loss = (_beside([each[k] for each in found], len(here)) for k in range(3))
        good = torch.isfinite(loss) & (search.result != DIVERGED)
        ranked = torch.where(good, loss, math.inf).view(len(here), -1)
        best = ranked.argmin(1) + ranked.shape[1] * torch.arange(len(here), device=loss.device)
        lam, phi, _ = self._rates(here, 1)(search.theta[best], torch.arange(len(here), device=loss.device))
        rank = jacobian_rank(self.norms[0][0].system(lam)[0], self.fine.columns, phi)
        chosen = (search.theta[best], coef[best], loss[best], search.result[best], search.steps[best], rank)
        return Found(torch.tensor(here), *(value.cpu() for value in chosen))

    def _rates(self, here: list[int], starts: int) -> RateMap:
        problem = self.problem
        fs = [problem.reparameterizations[row] for row in here for _ in range(starts)]
        discrete = problem.time == "discrete"
        return RateMap(fs, problem.m, is_complex=problem.is_complex, is_discrete=discrete, device=self.settings.device)

    def _search(self, columns: KernelColumns, theta: Tensor, here: list[int]) -> tuple[Search, Tensor, Tensor]:
        """All starts in one norm, with coefficients and losses, as (R · S) rows."""
        rates, settings = self._rates(here, theta.shape[1]), self.settings
        evaluator = Evaluator(columns, rates)
        aside = _SET_ASIDE_EVERY if settings.device.type == "cpu" else 0
        search = start_search(evaluator, theta.flatten(0, 1))
        search = minimize(evaluator, search, settings.steps, settings.tolerance, aside)
        every = torch.arange(len(search.theta), device=settings.device)
        if self.absolute is None:
            lam, _, _ = rates(search.theta, every)
            return search, *least_squares(self.fine.system(lam)[0], self.fine.columns)
        search, coef = fit_absolute(self.absolute[0], rates, search, settings.tolerance)
        lam, _, _ = rates(search.theta, every)
        fine = self.absolute[1]
        return search, coef, fine.value(fine.errors(fine.modes(lam)[0], coef))


def _beside(parts: list[Any], rows: int) -> Any:
    """Rows of several searches, (R · S) each, as those of one with all starts of a row together."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], Search):
        return Search(*(_beside([getattr(part, f.name) for part in parts], rows) for f in fields(Search)))
    return torch.cat([part.view(rows, -1, *part.shape[1:]) for part in parts], dim=1).flatten(0, 1)


# Starts


def _starts(
    problem: FitProblem,
    rows: list[int],
    warm: Sequence[Fits],
    starts: int,
    columns: KernelColumns,
    real: KernelColumns | None,
) -> Tensor:
    """θ of all starts of the rows, (R, S, P); complex modes start from the best curve of `real` ones where given."""
    targets = problem.targets[rows[0]]
    fs = [problem.reparameterizations[row] for row in rows]
    limits = {f: (fastest_start(f), slowest_start(f)) for f in dict.fromkeys(fs)}
    curves, found = {}, np.zeros(0, dtype=np.complex128)
    if problem.is_complex:
        found = hankel_modes(columns, targets) if real is None else -np.exp(smooth_rates(real, targets)[0]) * _TURNED
    else:
        curves = {ends: smooth_rates(columns, targets, *ends) for ends in set(limits.values())}
    logs = []
    for row, f in zip(rows, fs, strict=True):
        generator = row_generator(problem.seeds[row], problem.m, targets)
        if problem.is_complex:
            cold = [complex_starts(columns, targets, found, generator, start) for start in range(starts)]
        else:
            cold = [-np.exp(perturbed_rates(curves[limits[f]], start, generator)) for start in range(starts)]
        known: list[NDArray[Any]] = []
        for fits in warm:
            extra = (
                [complex_starts(columns, targets, found, generator, k) for k in (1, 3)] if problem.is_complex else []
            )
            known += _warm_starts(fits, row, columns, extra) or [cold[0], cold[0]]
        cold = [within(start, columns, *limits[f]) for start in cold]
        logs.append([*cold, *(within(start, columns, *limits[f], warm=True) for start in known)])
    return _to_theta(fs, np.array(logs), columns)


def _warm_starts(
    fits: Fits, row: int, columns: KernelColumns, extra: Sequence[NDArray[np.complex128]]
) -> list[NDArray[Any]]:
    """Two starts of one row from its fit with fewer modes, with `extra` ones if complex; none where that diverged."""
    problem = fits.problem
    f = problem.reparameterizations[row]
    value = f(fits.w[row].double()).cpu().numpy()
    omega = np.zeros_like(value) if fits.omega is None else fits.omega[row].double().cpu().numpy()
    known = value + 1j * omega
    if columns.is_discrete:
        known = np.log(np.maximum(np.abs(value), 1e-30)) + 1j * (omega + np.pi * (value < 0))
    if not (np.all(np.isfinite(known)) and np.all(known.real < 0)):
        return []
    if fits.omega is None:
        return list(warm_rates(known, columns.columns))
    return [np.concatenate([known, new[fits.problem.m :]]) for new in extra]


def _to_theta(fs: Sequence[Reparameterization], logs: NDArray[Any], columns: KernelColumns) -> Tensor:
    """Weights of λ = logs, in discrete time of λ = e^logs; (R, S, m) to (R, S, P)."""
    if columns.is_complex:
        value, omega = (np.exp(logs.real) if columns.is_discrete else logs.real), logs.imag
    else:
        value = (np.exp(logs) if columns.is_discrete else logs).real
    w = torch.empty(value.shape, dtype=torch.float64)
    for f in dict.fromkeys(fs):
        index = [place for place, other in enumerate(fs) if other == f]
        w[index] = weights_for(f, value[index].ravel()).reshape(value[index].shape)
    theta = torch.cat([w, torch.from_numpy(omega)], dim=-1) if columns.is_complex else w
    return theta.to(columns.target)
