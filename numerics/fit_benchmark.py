"""The fitter beside named alternatives, all in one run on the same cores.

    optimal mode against Adam in a Python loop            fits a second; L² error on 1,000 uniform points of [0, 100]
    optimal mode against scipy.optimize.least_squares     fits a second; the same nodes, starts and tolerance on [0, ∞)
    gradient mode against the Adam loop                   steps a second; the losses step by step
    optimal mode against pyMOR's TF-IRKA                  L² error on [0, ∞)
    optimal mode by itself, up to 16,384 models           seconds and bytes a model; exponentials a second

The targets are (1+t)^{-p}, p = 1.5, 2, 3; every row has its own seed. An alternative fits one model after another on
one thread, and a few of the models, spread over the batch, stand for all of them. `ratio` is that of the fitter on all
usable cores, `ratio_one_core` that of the fitter on one. Errors that are compared come from one quadrature for both.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from numerics.benchmark_meters import Tally, exp_throughput
from numerics.benchmark_races import against_adam, against_gradient_loop, against_least_squares
from numerics.benchmark_reduction import MISSING, NotConvergedError, has_pymor, l2_error, reduced_model
from numerics.benchmark_rows import (
    FULL,
    FUNCTIONS,
    LOOSE,
    POWERS,
    BenchmarkReport,
    BenchmarkRow,
    CurvePoint,
    Sizes,
    optimal_times,
    polynomial_target,
    sweep_problem,
    uniform_nodes,
)
from numerics.cores import usable_cores
from numerics.fitted_sequence import fitted_kernel
from numerics.projection_fit import fit_optimal
from numerics.threads import on_threads

_PATIENCE = 45.0
"""Seconds that a point of the curve may be expected to take; larger batches are left out."""


def run_benchmark(
    sizes: Sizes = FULL, *, cores: int | None = None, on_progress: Callable[[int, int, str], None] | None = None
) -> BenchmarkReport:
    """All comparisons, one after another; `cores`: threads of the fitter, None for all usable ones.

    Wall-clock times, after a warm-up. on_progress(done, total, what comes next).
    """
    cores = usable_cores() if cores is None else cores
    curve: list[CurvePoint] = []
    stages: dict[str, Callable[[], list[BenchmarkRow]]] = {
        "Adam in a loop": lambda: [against_adam(sizes, cores)],
        "least squares": lambda: against_least_squares(sizes, cores),
        "gradient mode": lambda: [against_gradient_loop(sizes, cores)],
        "TF-IRKA": lambda: [against_reduction(sizes)],
        "large batches": lambda: growth(sizes, cores, curve),
    }
    rows: list[BenchmarkRow] = []
    for done, (name, stage) in enumerate(stages.items()):
        if on_progress is not None:
            on_progress(done, len(stages), name)
        rows += stage()
    return BenchmarkReport(tuple(rows), tuple(curve), machine(cores))


def machine(cores: int) -> dict[str, Any]:
    """Where the numbers come from."""
    versions: dict[str, str | None] = {}
    for name in ("numpy", "scipy", "torch", "pymor"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return {
        "cores": cores,
        "processor": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "python": platform.python_version(),
        "threads": f"fitter {cores}; alternatives 1 (OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')})",
        "versions": versions,
    }


def gpu_name() -> str | None:
    """The name of the CUDA device that work goes to, None without one."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


# Against the H2-optimal reduction


def against_reduction(sizes: Sizes) -> BenchmarkRow:
    """The largest ratio of the errors on [0, ∞)."""
    row = BenchmarkRow(
        what=f"optimal mode, error on [0, ∞), m = {', '.join(map(str, sizes.orders))}",
        alternative="TF-IRKA of pyMOR",
        aim="error within 1 %",
        unit="L² error",
    )
    if not has_pymor():
        return replace(row, note=MISSING)
    try:
        pairs = reduction_errors(sizes.orders)
    except NotConvergedError as error:
        return replace(row, note=str(error))
    measured, reference = max(pairs.values(), key=lambda pair: pair[0] / pair[1])
    return replace(
        row,
        measured=measured,
        reference=reference,
        ratio=measured / reference,
        met=measured <= 1.01 * reference,
        errors={f"{name}: ratio - 1": ours / theirs - 1 for name, (ours, theirs) in pairs.items()},
        note="measured: the case of the largest ratio",
    )


def reduction_errors(orders: Sequence[int]) -> dict[str, tuple[float, float]]:
    """The L² errors on [0, ∞) of optimal mode and of TF-IRKA, by power and order. Raises ImportError without pyMOR."""
    errors = {}
    for m in orders:
        fits = fit_optimal(sweep_problem(len(POWERS), m, FUNCTIONS[:1], math.inf))
        for row, p in enumerate(POWERS):
            target = polynomial_target(fits.problem, row)
            ours, theirs = l2_error(target, *fitted_kernel(fits, row)), l2_error(target, *reduced_model(target, m))
            errors[f"p = {p}, m = {m}"] = ours, theirs
    return errors


# Large batches


def growth(sizes: Sizes, cores: int, curve: list[CurvePoint]) -> list[BenchmarkRow]:
    """How seconds and bytes grow with the number of models, and the share of the machine's exponentials."""
    counted = {}
    for rows in sizes.curve:
        if len(curve) >= 2 and rows / curve[-1].models * curve[-1].seconds > _PATIENCE:
            break
        problem = sweep_problem(rows, sizes.m)
        nodes = uniform_nodes(problem, sizes.points)
        every, _, _ = optimal_times(problem, cores, 1, LOOSE, nodes, also_one=False)
        with on_threads(1), Tally() as tally:
            fit_optimal(problem, starts=1, tolerance=LOOSE, nodes=nodes)
        counted[rows] = tally.exponentials
        curve.append(CurvePoint(rows, every, tally.peak))
    last = curve[-1]
    done, possible = counted[last.models] / last.seconds, exp_throughput(cores, sizes.exponentials)
    left_out = "" if last.models == sizes.curve[-1] else f"; up to {sizes.curve[-1]:,} models would take too long here"
    each = counted[last.models] / last.models
    return [
        _growth_row("seconds", "ms", [(point.models, 1e3 * point.seconds) for point in curve]),
        _growth_row("bytes of tensors", "KiB", [(point.models, point.bytes / 1024) for point in curve]),
        BenchmarkRow(
            what=f"exponentials of optimal mode, {last.models:,} models",
            alternative="torch.exp on tensors in the cache, one thread a core",
            unit="exponentials a second",
            measured=done,
            reference=possible,
            ratio=done / possible,
            note=f"the achieved fraction of the machine's throughput; {each:,.0f} exponentials a model{left_out}",
        ),
    ]


def _growth_row(name: str, unit: str, points: Sequence[tuple[int, float]]) -> BenchmarkRow:
    """The slope of the logarithms between the two largest batches: 1 where a model costs the same in both."""
    (fewer, less), (most, more) = points[-2:]
    slope = math.log(more / less) / math.log(most / fewer)
    costs = ", ".join(f"{value / models:.3g} of {models:,}" for models, value in points)
    return BenchmarkRow(
        what=f"{name} of optimal mode, {fewer:,} to {most:,} models",
        alternative="growth in proportion",
        aim="slope at most 1.1",
        unit="slope of the logarithms",
        measured=slope,
        reference=1.0,
        ratio=slope,
        met=slope <= 1.1,
        note=f"{unit} a model: {costs}",
    )
