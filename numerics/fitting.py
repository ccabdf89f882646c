"""The door to the fitters: one problem of any number of rows, on a device, within a memory budget.

The rows are cut into chunks that fit the budget, and where the device runs out of memory all the same the chunk is
halved and the work goes on. Rows do not know of each other, so that the cut changes nothing but rounding; where the
search for the best rates is at a watershed between two local minima, rounding decides which one it ends in.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from numerics.arguments import check_choice, check_count, shown
from numerics.cores import usable_cores
from numerics.fit_problem import FitProblem, Fits
from numerics.model_checks import available_memory, check_dtype
from numerics.threads import on_threads, one_thread

FIT_MODES = ("optimal", "gradient")
_SHARE = 4
"""One part in so many of the memory available is the default budget on a GPU."""
_NODES, _NODES_PER_COLUMN = 250, {False: 6, True: 24}
"""More times than numerics.time_nodes takes, for real and for complex modes."""
_OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "alloc_failed", "gib are available")


def fit(
    problem: FitProblem,
    mode: str = "optimal",
    *,
    device: str | torch.device = "auto",
    dtype: torch.dtype = torch.float64,
    memory_budget: int | None = None,
    threads: int | None = None,
    warm: Sequence[Fits] = (),
    learning_rates: Sequence[float] | None = None,
    progress: Callable[[float], None] | None = None,
    **settings: Any,
) -> Fits:
    """Fits every row of a problem.

    mode: "optimal", by variable projection (numerics.projection_fit), or "gradient", as one trains
    (numerics.gradient_fit), with a learning rate for every row; `settings` go to that fitter. warm, in optimal mode:
    fits of the same rows with smaller m. device: "auto" is CUDA where there is a device, else the CPU. memory_budget:
    bytes, None for a quarter of what a GPU has left; a CPU works on few rows at a time by itself. threads: on the CPU,
    None for the cores there are. progress: called with the share of the work that is done.
    Raises ValueError for CUDA asked for and absent, for what the fitter refuses, and where not even one row fits into
    the memory. Warns, once, where a chunk was halved.
    """
    check_choice("mode", mode, FIT_MODES)
    check_dtype("dtype", dtype)
    place = resolve_device(device)
    for name, value in (("memory_budget", memory_budget), ("threads", threads)):
        if value is not None:
            check_count(name, value, 1)
    if mode == "gradient":
        settings["learning_rates"] = _checked_rates(problem, learning_rates, warm)
    elif learning_rates is not None:
        raise ValueError("learning_rates: they have a meaning in gradient mode alone")
    else:
        check_steps(problem)
    for smaller in warm:
        if len(smaller.problem) != len(problem):
            raise ValueError(f"warm: has {len(smaller.problem)} rows, the problem {len(problem)}")
    settings |= {"device": place, "dtype": dtype}
    size = len(problem)
    if memory_budget is not None or place.type != "cpu":
        budget = available_memory(place) // _SHARE if memory_budget is None else memory_budget
        per_row = row_bytes(problem, mode, dtype, settings.get("starts") or 4, len(warm))
        size = max(1, min(size, budget // per_row))
    parts: list[Fits] = []
    start, halved = 0, False
    while start < len(problem):
        index = range(start, min(start + size, len(problem)))
        part = _within_memory(mode, problem, index, warm, threads or usable_cores(), progress, settings)
        if part is not None:
            parts.append(part)
            start = index.stop
            continue
        _free(place)
        if len(index) == 1:
            raise ValueError(f"m: there is not enough memory on {place} for one model with {problem.m} modes")
        size = -(-len(index) // 2)
        if not halved:
            warnings.warn(f"out of memory on {place}: going on with {size} models at a time", stacklevel=2)
            halved = True
    return merged(problem, parts)


def check_steps(problem: FitProblem) -> None:
    """Raises ValueError where optimal mode has as many coefficients as there are steps: many models fit exactly."""
    least = problem.m * (2 if problem.is_complex else 1) + 1
    if problem.time == "discrete" and problem.horizon < least:
        raise ValueError(
            f"horizon: {problem.horizon:g} steps are too few for optimal mode with m = {problem.m}; at least {least} "
            "are needed"
        )


def resolve_device(device: str | torch.device) -> torch.device:
    """The device of a name: "auto", "cpu", "cuda" or "cuda:1". Raises ValueError for another, or an absent one."""
    cuda = torch.cuda.is_available()
    if device == "auto":
        return torch.device("cuda" if cuda else "cpu")
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        found = torch.device("meta")
    if found.type not in ("cpu", "cuda"):
        raise ValueError(f"device: {shown(device)!r} is not one of auto, cpu, cuda, cuda:0, cuda:1, ...")
    if found.type == "cuda" and (not cuda or (found.index or 0) >= torch.cuda.device_count()):
        there = f"it sees {torch.cuda.device_count()} of them" if cuda else "this torch sees no CUDA device"
        raise ValueError(f"device: {found} was asked for and {there}; use auto or cpu")
    return found


def row_bytes(problem: FitProblem, mode: str, dtype: torch.dtype, starts: int = 4, warm: int = 0) -> int:
    """About how many bytes one row needs at the peak; rather too many than too few.

    Gradient mode keeps a row's weights, its gradient, the moments and copies of them. Optimal mode has, for each start,
    some six matrices of (nodes + twice as many) × (2 columns a mode, two columns a complex one, + d).
    """
    size, m, d = torch.finfo(dtype).bits // 8, problem.m, problem.input_dim
    if mode == "gradient":
        return 32 * size * m * (2 + d) * (2 if problem.is_complex else 1)
    columns = m * (2 if problem.is_complex else 1)
    nodes = 3 * (_NODES + _NODES_PER_COLUMN[problem.is_complex] * columns)
    return 6 * size * nodes * (2 * columns + d) * (starts + 2 * warm)


def rows_of(fits: Fits, index: Sequence[int] | range) -> Fits:
    """Some of the rows of Fits."""
    place = torch.tensor(list(index), device=fits.w.device)

    def some(x: Tensor) -> Tensor:
        return x.index_select(0, place.to(x.device))

    return replace(
        fits,
        problem=fits.problem.rows(index),
        omega=None if fits.omega is None else some(fits.omega),
        history={name: curve.index_select(1, place.to(curve.device)) for name, curve in fits.history.items()},
        **{name: some(getattr(fits, name)) for name in _ROW_TENSORS},
    )


def merged(problem: FitProblem, parts: Sequence[Fits]) -> Fits:
    """The Fits of the chunks of one problem as one; a shorter history keeps its last value."""
    if len(parts) == 1:
        return replace(parts[0], problem=problem)
    omegas = [part.omega for part in parts if part.omega is not None]
    return Fits(
        problem=problem,
        omega=torch.cat(omegas) if omegas else None,
        history={name: _beside([part.history[name] for part in parts]) for name in parts[0].history},
        **{name: torch.cat([getattr(part, name) for part in parts]) for name in _ROW_TENSORS},
    )


_ROW_TENSORS = ("w", "U", "c", "loss", "result", "steps", "rank", "gradient_over_weight")


def _beside(curves: Sequence[Tensor]) -> Tensor:
    longest = max(len(curve) for curve in curves)
    return torch.cat([torch.cat([curve, curve[-1:].expand(longest - len(curve), -1)]) for curve in curves], 1)


def _checked_rates(problem: FitProblem, rates: Sequence[float] | None, warm: Sequence[Fits]) -> list[float]:
    if warm:
        raise ValueError("warm: only the optimal mode starts from fits with smaller m")
    if rates is None or len(rates) != len(problem):
        raise ValueError(f"learning_rates: {len(rates or ())} for {len(problem)} rows; one for each is needed")
    return list(rates)


def _within_memory(
    mode: str,
    problem: FitProblem,
    index: range,
    warm: Sequence[Fits],
    threads: int,
    progress: Callable[[float], None] | None,
    settings: Mapping[str, Any],
) -> Fits | None:
    """The fits of some rows, or None where the memory ran out; by then the tensors of the attempt can be freed."""
    given = dict(settings)
    if "learning_rates" in given:
        given["learning_rates"] = [given["learning_rates"][i] for i in index]
    if progress is not None:
        given["progress"] = lambda done, total: progress((index.start + len(index) * done / total) / len(problem))
    try:
        if mode == "gradient":
            from numerics.gradient_fit import fit_gradient

            with on_threads(threads):
                return fit_gradient(problem.rows(index), **given)
        from numerics.projection_fit import fit_optimal

        with one_thread():
            some = [rows_of(fits, index) for fits in warm]
            return fit_optimal(problem.rows(index), warm=some, workers=threads, **given)
    except (MemoryError, RuntimeError, ValueError) as error:
        if isinstance(error, MemoryError) or any(words in str(error).lower() for words in _OUT_OF_MEMORY):
            return None
        raise


def _free(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
