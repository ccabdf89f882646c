"""What a benchmark of the fitter measures and reports: sizes, rows, the models, and the times of optimal mode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numerics.arguments import json_number
from numerics.benchmark_meters import seconds
from numerics.fit_problem import FitProblem, Fits
from numerics.loss_times import time_grid
from numerics.projection_fit import fit_optimal
from numerics.reparameterization import Reparameterization
from numerics.targets import Polynomial, parse_target
from numerics.threads import on_threads
from numerics.time_nodes import TimeNodes, sampled_nodes

Array = NDArray[np.float64]

POWERS = ("1.5", "2", "3")
FUNCTIONS = ("exp", "softplus")
HORIZON = 100.0
LEARNING_RATE = 1e-2
LOOSE, TIGHT = 0.1, 1e-6
"""Relative fall of the loss in a step below which a fit stops: in the race with Adam, where the loss is at rounding
level from the first steps on, and in that with SciPy, on both sides."""


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


def uniform_nodes(problem: FitProblem, points: int) -> TimeNodes:
    """The trapezoidal rule on uniform points, as gradient mode has it."""
    grid, _ = time_grid(problem.rows([0]), points)
    used = grid.weights.ravel() > 0
    return sampled_nodes(grid.times.ravel()[used], grid.weights.ravel()[used])


def polynomial_target(problem: FitProblem, row: int) -> Polynomial:
    (target,) = problem.targets[row]
    assert isinstance(target, Polynomial)
    return target


def optimal_times(
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
        one = seconds(lambda: work(1))[0] if also_one and cores > 1 else every
    return every, one, fits


def spread(count: int, rows: int) -> list[int]:
    """At most so many row numbers, spread over all: a step that shares no factor with the pattern of the rows."""
    count = min(count, rows)
    step = max(1, rows // count)
    while count > 1 and step > 1 and math.gcd(step, len(POWERS) * len(FUNCTIONS)) > 1:
        step -= 1
    return [index * step for index in range(count)]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
