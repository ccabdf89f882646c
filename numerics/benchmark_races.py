"""The fitter in races with one model after another: Adam in a loop, SciPy's least squares, the same training in a loop.

A few models, spread over the batch, stand for all of them on the slow side, whose time is proportional to their number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from numerics.benchmark_baselines import AdamFit, Samples, adam_fit, least_squares_fit
from numerics.benchmark_meters import seconds
from numerics.benchmark_reduction import l2_error
from numerics.benchmark_rows import (
    FUNCTIONS,
    HORIZON,
    LEARNING_RATE,
    LOOSE,
    TIGHT,
    BenchmarkRow,
    Sizes,
    mean,
    optimal_times,
    polynomial_target,
    spread,
    sweep_problem,
    uniform_nodes,
)
from numerics.fit_problem import FitProblem, Fits
from numerics.fitted_sequence import fitted_kernel
from numerics.gradient_fit import fit_gradient
from numerics.gradient_start import Packing, starting_weights
from numerics.kernel_columns import KernelColumns
from numerics.starting_rates import fastest_start, perturbed_rates, row_generator, smooth_rates
from numerics.threads import on_threads
from numerics.time_nodes import TimeNodes, time_nodes

Array = NDArray[np.float64]


# Against Adam


def against_adam(sizes: Sizes, cores: int) -> BenchmarkRow:
    """Fits a second, and the L² error on the points that both sides see."""
    problem = sweep_problem(sizes.batch, sizes.m)
    chosen = spread(sizes.adam_models, sizes.batch)
    spent, loops = _loops(problem, chosen, sizes.points, sizes.adam_steps, 1)
    every, one, fits = optimal_times(problem, cores, sizes.repeats, LOOSE, uniform_nodes(problem, sizes.points))
    errors = []
    for row, found in zip(chosen, loops, strict=True):
        samples, f = _uniform_samples(problem, row, sizes.points), problem.reparameterizations[row]
        errors.append(
            (_error_on(samples, *fitted_kernel(fits, row)), _error_on(samples, f(found.w).numpy(), found.weights))
        )
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


def _loops(
    problem: FitProblem, rows: Sequence[int], points: int, steps: int, repeats: int
) -> tuple[float, list[AdamFit]]:
    """(seconds of the loop over these rows, its fits), from the starts that gradient mode gives them."""
    given = []
    for row in rows:
        some = problem.rows([row])
        w, U, c, _ = Packing(some).split(starting_weights(some))
        given.append((_uniform_samples(problem, row, points), some.reparameterizations[0], (w[0], U[0, :, 0], c[0])))

    def work(steps: int) -> list[AdamFit]:
        return [adam_fit(*each, learning_rate=LEARNING_RATE, steps=steps) for each in given]

    work(min(10, steps))
    return seconds(lambda: work(steps), repeats)


def _uniform_samples(problem: FitProblem, row: int, points: int) -> Samples:
    return _samples(problem, row, uniform_nodes(problem, points))


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
    every, one, fits = optimal_times(problem, cores, sizes.repeats, TIGHT)
    chosen = spread(sizes.least_squares_models, sizes.batch)
    starts = _common_starts(problem, chosen)
    ours = [l2_error(polynomial_target(problem, row), *fitted_kernel(fits, row)) for row in chosen]
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
        theirs = [
            l2_error(polynomial_target(problem, row), lam, a) for row, (lam, a, _) in zip(chosen, found, strict=True)
        ]
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
                note=f"{len(chosen)} models stand for SciPy, {mean([n for *_, n in found]):.1f} evaluations each, "
                f"analytic Jacobian; ours {mean(fits.steps.tolist()):.1f} steps; one start, tolerance {TIGHT:g}",
            )
        )
    return rows


def _common_starts(problem: FitProblem, rows: Sequence[int]) -> list[tuple[Samples, Array]]:
    """For each row the nodes with its target, and the λ from which optimal mode starts when it has one start."""
    curves: dict[int, tuple[Samples, Array]] = {}
    starts = []
    for row in rows:
        targets, m, which = problem.targets[row], problem.m, problem.target_index[row]
        if which not in curves:
            nodes = time_nodes(targets, m, horizon=problem.horizon)
            fastest = fastest_start(problem.reparameterizations[row])
            curves[which] = (
                _samples(problem, row, nodes),
                smooth_rates(KernelColumns(nodes, targets, m), targets, fastest),
            )
        samples, smooth = curves[which]
        rates = np.exp(perturbed_rates(smooth, 0, row_generator(problem.seeds[row], m, targets)))
        starts.append((samples, -rates))
    return starts


# Gradient mode


def against_gradient_loop(sizes: Sizes, cores: int) -> BenchmarkRow:
    """Steps a second of the same training, and how far the losses are apart."""
    rows, steps = sizes.gradient_batch, sizes.gradient_steps
    problem = sweep_problem(rows, sizes.m)
    rates = [LEARNING_RATE] * rows

    def batched(steps: int = steps) -> Fits:
        return fit_gradient(problem, rates, steps=steps, schedule="constant", points=sizes.points, record_every=1)

    chosen = spread(sizes.gradient_models, rows)
    spent, loops = _loops(problem, chosen, sizes.points, steps, sizes.repeats)
    with on_threads(cores):
        batched(2)
        every, fits = seconds(batched, sizes.repeats)
    one = every
    if cores > 1:
        with on_threads(1):
            one, _ = seconds(batched)
    pairs = list(zip(chosen, loops, strict=True))
    by_loss = max(float((fits.history["loss"][:steps, row] / loop.losses - 1).abs().max()) for row, loop in pairs)
    by_weight = max(float((fits.w[row] - loop.w).abs().max()) for row, loop in pairs)
    alone = rows * spent / len(chosen)
    return BenchmarkRow(
        what=f"gradient mode, m = {sizes.m}, {rows} models, {steps} steps",
        alternative="torch Adam in a loop, the same models and points",
        aim="ratio at least 4, trajectories equal to 1e-9",
        unit="model steps a second",
        measured=rows * steps / every,
        reference=rows * steps / alone,
        ratio=alone / every,
        ratio_one_core=alone / one,
        met=alone / every >= 4 and max(by_loss, by_weight) <= 1e-9,
        errors={"losses, relative, at any step": by_loss, "w at the end": by_weight},
        note=f"{len(chosen)} models stand for the loop; {sizes.points:,} points of [0, {HORIZON:g}]",
    )
