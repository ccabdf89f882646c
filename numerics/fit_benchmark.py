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
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from numerics.arguments import json_number
from numerics.benchmark_baselines import AdamFit, Samples, adam_fit, least_squares_fit
from numerics.benchmark_meters import Tally, exp_throughput, on_threads, seconds, usable_cores
from numerics.benchmark_reduction import MISSING, has_pymor, l2_error, reduced_model
from numerics.fit_problem import FitProblem, Fits
from numerics.gradient_fit import fit_gradient
from numerics.gradient_start import Packing, starting_weights
from numerics.kernel_columns import KernelColumns
from numerics.loss_times import time_grid
from numerics.projection_fit import fit_optimal
from numerics.reparameterization import Reparameterization
from numerics.starting_rates import fastest_start, perturbed_rates, row_generator, smooth_rates
from numerics.targets import Polynomial, parse_target
from numerics.time_nodes import TimeNodes, sampled_nodes, time_nodes

Array = NDArray[np.float64]

POWERS = ("1.5", "2", "3")
FUNCTIONS = ("exp", "softplus")
HORIZON = 100.0
LEARNING_RATE = 1e-2
LOOSE, TIGHT = 0.1, 1e-6
"""Relative fall of the loss in a step below which a fit stops: in the race with Adam, where the loss is at rounding
level from the first steps on, and in that with SciPy, on both sides."""
_PATIENCE = 45.0
"""Seconds that a point of the curve may be expected to take; larger batches are left out."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    batch: rows of the optimal fits, of which adam_models stand for the loop of adam_steps over so many points, and
    least_squares_models for SciPy; gradient_batch rows take gradient_steps, gradient_models stand for the loop; orders:
    the m of TF-IRKA; curve: batch sizes; repeats: of which the median counts.
    """

    m: int = 16
    points: int = 1000
    batch: int = 4096
    adam_models: int = 4
    adam_steps: int = 2000
    least_squares_models: int = 48
    gradient_batch: int = 256
    gradient_steps: int = 200
    gradient_models: int = 12
    orders: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    curve: tuple[int, ...] = (256, 1024, 4096, 16384)
    repeats: int = 3
    exponentials: int = 2**25


FULL = Sizes()
QUICK = Sizes(
    batch=1024,
    adam_models=2,
    least_squares_models=12,
    gradient_steps=40,
    gradient_models=6,
    orders=(1, 2, 4),
    curve=(128, 512, 2048),
    repeats=1,
)


@dataclass(frozen=True)
class BenchmarkRow:
    """One comparison: the number measured, in its unit, that of the alternative, and their ratio beside the aim.

    met: whether the aim holds, None where there is none or nothing was measured; errors: by name.
    """

    what: str
    alternative: str
    aim: str = ""
    unit: str = ""
    measured: float | None = None
    reference: float | None = None
    ratio: float | None = None
    ratio_one_core: float | None = None
    met: bool | None = None
    errors: dict[str, float] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class CurvePoint:
    """A batch: the seconds of fitting it on all cores, and the largest sum of bytes of its tensors on one."""

    models: int
    seconds: float
    bytes: int


@dataclass(frozen=True)
class BenchmarkReport:
    """The rows, the points of the curve, and where all was measured."""

    rows: tuple[BenchmarkRow, ...]
    curve: tuple[CurvePoint, ...]
    machine: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The report as JSON has it, an infinite number as "inf"."""
        rows = [{key: _plain(value) for key, value in asdict(row).items()} for row in self.rows]
        return {"rows": rows, "curve": [asdict(point) for point in self.curve], "machine": self.machine}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return json_number(value) if isinstance(value, float) else value


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
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "threads": f"fitter {cores}; alternatives 1 (OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')})",
        "versions": versions,
    }


def sweep_problem(rows: int, m: int, functions: Sequence[str] = FUNCTIONS, horizon: float = HORIZON) -> FitProblem:
    """So many rows: every target with every f, and as many seeds as it takes."""
    targets = [parse_target(f"polynomial:p={p}") for p in POWERS]
    pairs = [(target, Reparameterization(name)) for name in functions for target in targets]
    chosen = [pairs[row % len(pairs)] for row in range(rows)]
    return FitProblem(
        targets=tuple((target,) for target, _ in chosen),
        reparameterizations=tuple(f for _, f in chosen),
        seeds=tuple(row // len(pairs) for row in range(rows)),
        m=m,
        modes=("plain",) * rows,
        horizon=horizon,
    )


# Against Adam


def against_adam(sizes: Sizes, cores: int) -> BenchmarkRow:
    """Fits a second, and the L² error on the points that both sides see."""
    problem = sweep_problem(sizes.batch, sizes.m)
    _loop(problem, 0, sizes.points, min(20, sizes.adam_steps))
    chosen = _spread(sizes.adam_models, sizes.batch)
    spent, loops = seconds(lambda: [_loop(problem, row, sizes.points, sizes.adam_steps) for row in chosen])
    every, one, fits = _optimal(problem, cores, sizes.repeats, LOOSE, _uniform_nodes(problem, sizes.points))
    errors = []
    for row, found in zip(chosen, loops, strict=True):
        samples, f = _uniform_samples(problem, row, sizes.points), problem.reparameterizations[row]
        errors.append((_error_on(samples, *_kernel(fits, row)), _error_on(samples, f(found.w).numpy(), found.weights)))
    worst = max(ours / theirs for ours, theirs in errors)
    loop = spent / len(chosen)
    ratio = sizes.batch * loop / every
    return BenchmarkRow(
        what=f"optimal mode, m = {sizes.m}, {sizes.batch:,} models",
        alternative=f"torch Adam in a loop, {sizes.adam_steps:,} steps, learning rate {LEARNING_RATE:g}",
        aim="ratio at least 300 at an error no larger",
        unit="fits a second",
        measured=sizes.batch / every,
        reference=1 / loop,
        ratio=ratio,
        ratio_one_core=sizes.batch * loop / one,
        met=ratio >= 300 and worst <= 1,
        errors={"ours": max(a for a, _ in errors), "alternative": min(b for _, b in errors), "largest ratio": worst},
        note=f"{len(chosen)} models stand for the loop; error in L² on {sizes.points:,} points of [0, {HORIZON:g}]; "
        f"one start, tolerance {LOOSE:g}",
    )


def _loop(problem: FitProblem, row: int, points: int, steps: int) -> AdamFit:
    """One model, from the start that gradient mode gives it."""
    some = problem.rows([row])
    w, U, c, _ = Packing(some).split(starting_weights(some))
    return adam_fit(
        _uniform_samples(problem, row, points),
        some.reparameterizations[0],
        (w[0], U[0, :, 0], c[0]),
        learning_rate=LEARNING_RATE,
        steps=steps,
    )


def _uniform_nodes(problem: FitProblem, points: int) -> TimeNodes:
    """The trapezoidal rule on uniform points, as gradient mode has it."""
    grid, _ = time_grid(problem.rows([0]), points)
    used = grid.weights.ravel() > 0
    return sampled_nodes(grid.times.ravel()[used], grid.weights.ravel()[used])


def _uniform_samples(problem: FitProblem, row: int, points: int) -> Samples:
    return _samples(problem, row, _uniform_nodes(problem, points))


def _samples(problem: FitProblem, row: int, nodes: TimeNodes) -> Samples:
    values = problem.targets[row][0].rho(nodes.times)
    return Samples(*(torch.from_numpy(array) for array in (nodes.times, nodes.weights, values)))


def _error_on(samples: Samples, lam: Array, weights: Tensor | Array) -> float:
    times, quadrature, values = (tensor.numpy() for tensor in (samples.times, samples.weights, samples.values))
    error = values - np.exp(np.outer(times, lam)) @ np.asarray(weights)
    return math.sqrt(quadrature @ error**2)


# Against SciPy


def against_least_squares(sizes: Sizes, cores: int) -> list[BenchmarkRow]:
    """Fits a second and errors, beside SciPy at its best and as it comes."""
    problem = sweep_problem(sizes.batch, sizes.m, FUNCTIONS[:1], math.inf)
    every, one, fits = _optimal(problem, cores, sizes.repeats, TIGHT)
    chosen = _spread(sizes.least_squares_models, sizes.batch)
    starts = [(_default_samples(problem, row), _start(problem, row)) for row in chosen]
    ours = [l2_error(_polynomial(problem, row), *_kernel(fits, row)) for row in chosen]
    rows = []
    for method, numpy_qr, words in (("lm", False, "LAPACK's QR"), ("trf", True, "numpy.linalg.qr")):

        def alternative(method: str = method, numpy_qr: bool = numpy_qr) -> list[tuple[Array, Array, int]]:
            found = [
                least_squares_fit(samples, lam, tolerance=TIGHT, evaluations=100, method=method, numpy_qr=numpy_qr)
                for samples, lam in starts
            ]
            return [(fit.lam, fit.weights, fit.evaluations) for fit in found]

        alternative()
        spent, found = seconds(alternative, sizes.repeats)
        theirs = [l2_error(_polynomial(problem, row), lam, a) for row, (lam, a, _) in zip(chosen, found, strict=True)]
        worst = max(a / b for a, b in zip(ours, theirs, strict=True))
        single = spent / len(chosen)
        ratio = sizes.batch * single / every
        rows.append(
            BenchmarkRow(
                what=f"optimal mode, m = {sizes.m}, {sizes.batch:,} models on [0, ∞)",
                alternative=f"scipy.optimize.least_squares, {method}, {words}",
                aim="ratio at least 8 at an error within 1 %",
                unit="fits a second",
                measured=sizes.batch / every,
                reference=1 / single,
                ratio=ratio,
                ratio_one_core=sizes.batch * single / one,
                met=ratio >= 8 and worst <= 1.01,
                errors={"ours": max(ours), "alternative": max(theirs), "largest ratio": worst},
                note=f"{len(chosen)} models stand for SciPy, {_mean([n for *_, n in found]):.1f} evaluations each, "
                f"analytic Jacobian; ours {_mean(fits.steps.tolist()):.1f} steps; one start, tolerance {TIGHT:g}",
            )
        )
    return rows


def _default_samples(problem: FitProblem, row: int) -> Samples:
    return _samples(problem, row, time_nodes(problem.targets[row], problem.m, horizon=problem.horizon))


def _start(problem: FitProblem, row: int) -> Array:
    """The λ from which optimal mode starts when it has one start."""
    targets, m = problem.targets[row], problem.m
    columns = KernelColumns(time_nodes(targets, m, horizon=problem.horizon), targets, m)
    curves = smooth_rates(columns, targets, fastest_start(problem.reparameterizations[row]))
    return -np.exp(perturbed_rates(curves, 0, row_generator(problem.seeds[row], m, targets)))


def _polynomial(problem: FitProblem, row: int) -> Polynomial:
    (target,) = problem.targets[row]
    assert isinstance(target, Polynomial)
    return target


# Gradient mode


def against_gradient_loop(sizes: Sizes, cores: int) -> BenchmarkRow:
    """Steps a second of the same training, and how far the losses are apart."""
    rows, steps = sizes.gradient_batch, sizes.gradient_steps
    problem = sweep_problem(rows, sizes.m)
    rates = [LEARNING_RATE] * rows

    def batched(steps: int = steps) -> Fits:
        return fit_gradient(problem, rates, steps=steps, schedule="constant", points=sizes.points, record_every=1)

    chosen = _spread(sizes.gradient_models, rows)
    _loop(problem, 0, sizes.points, min(20, steps))
    spent, loops = seconds(lambda: [_loop(problem, row, sizes.points, steps) for row in chosen], sizes.repeats)
    with on_threads(cores):
        batched(2)
        every, fits = seconds(batched, sizes.repeats)
    one = every
    if cores > 1:
        with on_threads(1):
            one, _ = seconds(batched)
    losses = fits.history["loss"]
    apart = max(
        float((losses[:steps, row] / found.losses - 1).abs().max()) for row, found in zip(chosen, loops, strict=True)
    )
    loop = rows * spent / len(chosen)
    return BenchmarkRow(
        what=f"gradient mode, m = {sizes.m}, {rows} models, {steps} steps",
        alternative="torch Adam in a loop, the same models and points",
        aim="ratio at least 4, losses equal to 1e-9",
        unit="model steps a second",
        measured=rows * steps / every,
        reference=rows * steps / loop,
        ratio=loop / every,
        ratio_one_core=loop / one,
        met=loop / every >= 4 and apart <= 1e-9,
        errors={"largest relative difference of losses": apart},
        note=f"{len(chosen)} models stand for the loop; {sizes.points:,} points of [0, {HORIZON:g}]",
    )


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
    pairs = reduction_errors(sizes.orders)
    measured, reference = max(pairs.values(), key=lambda pair: pair[0] / pair[1])
    return replace(
        row,
        measured=measured,
        reference=reference,
        ratio=measured / reference,
        met=measured <= 1.01 * reference,
        errors={name: ours / theirs for name, (ours, theirs) in pairs.items()},
        note="the case of the largest ratio; all ratios are among the errors",
    )


def reduction_errors(orders: Sequence[int]) -> dict[str, tuple[float, float]]:
    """The L² errors on [0, ∞) of optimal mode and of TF-IRKA, by power and order. Raises ImportError without pyMOR."""
    errors = {}
    for m in orders:
        fits = fit_optimal(sweep_problem(len(POWERS), m, FUNCTIONS[:1], math.inf))
        for row, p in enumerate(POWERS):
            target = _polynomial(fits.problem, row)
            ours, theirs = l2_error(target, *_kernel(fits, row)), l2_error(target, *reduced_model(target, m))
            errors[f"p = {p}, m = {m}"] = ours, theirs
    return errors


# Large batches


def growth(sizes: Sizes, cores: int, curve: list[CurvePoint]) -> list[BenchmarkRow]:
    """How seconds and bytes grow with the number of models, and the share of the machine's exponentials."""
    counted = {}
    for rows in sizes.curve:
        if curve and rows / curve[-1].models * curve[-1].seconds > _PATIENCE:
            break
        problem = sweep_problem(rows, sizes.m)
        nodes = _uniform_nodes(problem, sizes.points)
        every, _, _ = _optimal(problem, cores, 1, LOOSE, nodes, also_one=False)
        with on_threads(1), Tally() as tally:
            fit_optimal(problem, starts=1, tolerance=LOOSE, nodes=nodes)
        counted[rows] = tally.exponentials
        curve.append(CurvePoint(rows, every, tally.peak))
    last = curve[-1]
    done, possible = counted[last.models] / last.seconds, exp_throughput(cores, sizes.exponentials)
    left_out = "" if last.models == sizes.curve[-1] else f"; up to {sizes.curve[-1]:,} models would take too long here"
    each = counted[last.models] / last.models
    spent = [point.seconds / point.models for point in curve]
    held = [point.bytes / point.models for point in curve]
    return [
        _growth_row("seconds", "ms a model", [1e3 * x for x in spent], curve),
        _growth_row("largest bytes of tensors", "KiB a model", [x / 1024 for x in held], curve),
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


def _growth_row(name: str, unit: str, each: Sequence[float], curve: Sequence[CurvePoint]) -> BenchmarkRow:
    """What a model costs in the largest batch beside the smallest; linear growth or less has a ratio of at most 1."""
    return BenchmarkRow(
        what=f"{name}, {curve[-1].models:,} models",
        alternative=f"{curve[0].models:,} models",
        aim="linear: at most 1.25 times as much a model",
        unit=unit,
        measured=each[-1],
        reference=each[0],
        ratio=each[-1] / each[0],
        met=each[-1] <= 1.25 * each[0],
        errors={f"{point.models:,} models": value for point, value in zip(curve, each, strict=True)},
    )


# What several share


def _optimal(
    problem: FitProblem,
    cores: int,
    repeats: int,
    tolerance: float,
    nodes: TimeNodes | None = None,
    also_one: bool = True,
) -> tuple[float, float, Fits]:
    """Seconds of optimal mode with one start on all cores and on one, after a warm-up, and the fits."""

    def work(workers: int, some: FitProblem = problem) -> Fits:
        return fit_optimal(some, starts=1, tolerance=tolerance, nodes=nodes, workers=workers)

    with on_threads(1):
        work(cores, problem.rows(range(min(len(problem), 2 * len(POWERS)))))
        every, fits = seconds(lambda: work(cores), repeats)
        one = seconds(lambda: work(1), repeats)[0] if also_one and cores > 1 else every
    return every, one, fits


def _kernel(fits: Fits, row: int) -> tuple[Array, Array]:
    """(λ, coefficients) of a fit with plain modes and one input."""
    lam = fits.problem.reparameterizations[row](fits.w[row])
    return lam.numpy(), (fits.c[row] * fits.U[row, :, 0]).numpy()


def _spread(count: int, rows: int) -> list[int]:
    """At most so many row numbers, spread over all: a step that shares no factor with the pattern of the rows."""
    count = min(count, rows)
    step = max(1, rows // count)
    while count > 1 and step > 1 and math.gcd(step, len(POWERS) * len(FUNCTIONS)) > 1:
        step -= 1
    return [index * step for index in range(count)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
