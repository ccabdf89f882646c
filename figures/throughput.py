"""Throughput of the fitter: fits a second against the number of models that are fitted together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures.figure import FigureKind, Finding
from figures.style import COLUMN
from figures.table_files import Table
from figures.wording import number
from numerics.arguments import check_choice
from proofs_check.claim import Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from figures.figure import Canvas
    from numerics.benchmark_rows import BenchmarkRow, Sizes

_CURVES = {"quick": (1, 16, 256, 4096), "full": (1, 4, 16, 64, 256, 1024, 4096, 16384)}
_ERROR = 1.01
"""The largest ratio of the errors of two sides of which the speed is compared."""
_CLEAR = 1.2
"""The least ratio of speeds that counts: two measurements of one thing may be so far apart."""
_LINES: tuple[Any, ...] = ((0, (5, 2)), (0, (1, 1.5)))
_LOOKS = {"cpu": ("#0072B2", "o"), "one core": ("#56B4E9", "s"), "gpu": ("#D55E00", "^")}


@dataclass(frozen=True)
class Speed:
    """Fits a second at a batch size. place: cpu (all cores), one core, or gpu."""

    place: str
    models: int
    fits_a_second: float


@dataclass(frozen=True)
class Alternative:
    """One model after another on one thread. ratio: of the fitter on all cores at its largest batch, on one core.

    largest_error_ratio: of the errors in L² on [0, ∞), the fitter's over the alternative's, over the models compared.
    """

    name: str
    fits_a_second: float
    ratio: float
    ratio_one_core: float
    largest_error_ratio: float
    models: int


@dataclass(frozen=True)
class Throughput:
    """All measured in one run on one machine."""

    m: int
    speeds: tuple[Speed, ...]
    alternatives: tuple[Alternative, ...]
    repeats: int
    cores: int
    processor: str
    threads: str
    gpu: str | None
    versions: tuple[tuple[str, str], ...]


def compute(level: str = "quick", *, seed: int = 0, folder: Path | None = None) -> Throughput:
    """Measured anew each time: wall-clock times, after a warm-up, while nothing else should run."""
    from numerics.benchmark_races import against_least_squares
    from numerics.benchmark_rows import FULL, QUICK
    from numerics.cores import usable_cores
    from numerics.fit_benchmark import gpu_name, machine

    check_choice("level", level, _CURVES)
    curve, cores = _CURVES[level], usable_cores()
    sizes = replace(FULL if level == "full" else QUICK, batch=curve[-1])
    where, rows = machine(cores), against_least_squares(sizes, cores)
    gpu = gpu_name()
    return Throughput(
        m=sizes.m,
        speeds=(
            *_on_cpu(curve[:-1], sizes, cores),
            *_from_race(rows[0], curve[-1], cores),
            *(_on_device(curve, sizes, "cuda") if gpu else ()),
        ),
        alternatives=tuple(
            Alternative(
                row.alternative,
                _known(row.reference),
                _known(row.ratio),
                _known(row.ratio_one_core),
                row.errors["largest ratio"],
                sizes.least_squares_models,
            )
            for row in rows
        ),
        repeats=sizes.repeats,
        cores=cores,
        processor=where["processor"],
        threads=where["threads"],
        gpu=gpu,
        versions=tuple((name, found) for name, found in where["versions"].items() if found),
    )


def _known(value: float | None) -> float:
    assert value is not None
    return value


def _on_cpu(curve: Sequence[int], sizes: Sizes, cores: int) -> list[Speed]:
    """The same models, starts and tolerance as in the race with the alternatives."""
    from numerics.benchmark_rows import FUNCTIONS, TIGHT, optimal_times, sweep_problem

    found = []
    for models in curve:
        problem = sweep_problem(models, sizes.m, FUNCTIONS[:1], math.inf)
        every, one, _ = optimal_times(problem, cores, sizes.repeats, TIGHT)
        found += [Speed("cpu", models, models / every)]
        found += [Speed("one core", models, models / one)] if cores > 1 else []
    return found


def _from_race(row: BenchmarkRow, models: int, cores: int) -> list[Speed]:
    """The fitter's own speed in a race: on all cores, and on one."""
    every, ratio, ratio_one = _known(row.measured), _known(row.ratio), _known(row.ratio_one_core)
    found = [Speed("cpu", models, every)]
    return [*found, Speed("one core", models, every * ratio_one / ratio)] if cores > 1 else found


def _on_device(curve: Sequence[int], sizes: Sizes, device: str) -> list[Speed]:
    """The same on a GPU, after a warm-up."""
    from numerics.benchmark_meters import seconds
    from numerics.benchmark_rows import FUNCTIONS, TIGHT, sweep_problem
    from numerics.fitting import fit

    found = []
    for models in curve:
        problem = sweep_problem(models, sizes.m, FUNCTIONS[:1], math.inf)
        fit(problem.rows(range(min(models, 4))), device=device, starts=1, tolerance=TIGHT)
        work = partial(fit, problem, device=device, starts=1, tolerance=TIGHT)
        spent, _ = seconds(work, sizes.repeats)
        found.append(Speed("gpu", models, models / spent))
    return found


# Drawn


def plot(data: Throughput, ax: Axes) -> None:
    """Lines for the fitter, level lines for the alternatives."""
    names = {"cpu": f"{data.cores} cores" if data.cores > 1 else "1 core", "one core": "1 core", "gpu": data.gpu or ""}
    for place, (colour, marker) in _LOOKS.items():
        some = [speed for speed in data.speeds if speed.place == place]
        if some:
            xs, ys = [speed.models for speed in some], [speed.fits_a_second for speed in some]
            ax.plot(xs, ys, color=colour, marker=marker, markersize=3.5, label=f"fitter, {names[place]}")
    for alternative, line in zip(data.alternatives, _LINES, strict=False):
        label = f"{_short(alternative.name)}, one by one"
        ax.axhline(alternative.fits_a_second, color="#444444", linewidth=1.0, linestyle=line, label=label)
    ax.set(xscale="log", yscale="log", xlabel="models fitted together", ylabel="fits a second")
    ax.grid(axis="y")
    ax.set_axisbelow(True)


def _short(name: str) -> str:
    """scipy.optimize.least_squares, lm, LAPACK's QR as SciPy lm."""
    parts = name.split(", ")
    return f"SciPy {parts[1]}" if parts[0].startswith("scipy") and len(parts) > 1 else parts[0]


def draw(data: Throughput, figure: Canvas) -> None:
    ax = figure.subplots()
    plot(data, ax)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=2)


def size(data: Throughput) -> tuple[float, float]:
    return COLUMN, 2.9


# Told


def caption(data: Throughput) -> str:
    versions = ", ".join(f"{name} {found}" for name, found in data.versions)
    gpu = f" and {data.gpu}" if data.gpu else ""
    others = " and ".join(alternative.name for alternative in data.alternatives)
    count = max((alternative.models for alternative in data.alternatives), default=0)
    return (
        f"Fits a second of kernels (1+t)^(-p), p = 1.5, 2, 3, on [0, ∞) by m = {data.m} exponentials, λ = -exp(w), in "
        "optimal mode with one start, against how many models are fitted together (the three targets in turn, each "
        f"model fitted by itself). Beside them {others}, one model after another on one thread with the same "
        f"start, nodes and tolerance; {count} models stand for the loop. "
        f"All wall-clock times of one run (median of {data.repeats}) on {data.cores} cores of {data.processor}{gpu}; "
        f"threads: {data.threads}; {versions}. A single fit pays for the nodes and starts of its target alone, which "
        "SciPy is given."
    )


def finding(data: Throughput) -> Finding:
    """Whether a large batch beats each alternative, at errors that are no larger.

    By two measurements, on all cores and on one: where they disagree, as on a busy machine, it is not decided.
    """
    last = max((speed for speed in data.speeds if speed.place == "cpu"), key=lambda speed: speed.models)
    ratios = "; ".join(
        f"{number(one.ratio)} times {_short(one.name)} ({number(one.ratio_one_core)} with one core on both sides)"
        for one in data.alternatives
    )
    equal = all(one.largest_error_ratio <= _ERROR for one in data.alternatives)
    errors = "at errors at most 1 % larger" if equal else "but with larger errors"
    return Finding(
        _verdict(data, equal),
        f"Fitted {last.models:,} at a time, models take less time than one after another: {number(last.fits_a_second)} "
        f"fits a second, {errors}; {ratios}.",
    )


def _verdict(data: Throughput, equal: bool) -> Verdict:
    pairs = [(one.ratio, one.ratio_one_core) for one in data.alternatives]
    if not equal or any(max(pair) <= 1 for pair in pairs):
        return Verdict.REFUTED
    return Verdict.SUPPORTED if all(min(pair) > _CLEAR for pair in pairs) else Verdict.INCONCLUSIVE


def tables(data: Throughput) -> tuple[Table, ...]:
    """The points of the picture."""
    names = {"cpu": f"fitter, {data.cores} cores", "one core": "fitter, 1 core", "gpu": f"fitter, {data.gpu}"}
    rows = [(names[speed.place], f"{speed.models:,}", number(speed.fits_a_second)) for speed in data.speeds]
    rows += [(one.name, "1", number(one.fits_a_second)) for one in data.alternatives]
    return (Table("throughput", ("what", "models at a time", "fits a second"), tuple(rows), "Fits a second"),)


FIGURE = FigureKind(
    name="throughput",
    title="Throughput of the fitter",
    shows="How many models a second are fitted, against how many are fitted together?",
    claims=(),
    data=Throughput,
    compute=compute,
    caption=caption,
    finding=finding,
    size=size,
    draw=draw,
    tables=tables,
    alone=True,
)
