"""The baselines of the benchmark against second routes, its meters on known work, its rows on tiny sizes."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from numerics import benchmark_reduction as reduction
from numerics import fit_benchmark
from numerics.benchmark_baselines import Projected, Samples, adam_fit, least_squares_fit
from numerics.benchmark_meters import Tally, exp_throughput, seconds
from numerics.benchmark_rows import BenchmarkReport, BenchmarkRow, Sizes, spread, sweep_problem
from numerics.cores import usable_cores
from numerics.fit_benchmark import run_benchmark
from numerics.fit_problem import FitProblem
from numerics.targets import Polynomial, parse_target
from numerics.threads import on_threads

Array = NDArray[np.float64]


def samples(values: Array, times: Array, weights: Array) -> Samples:
    return Samples(*(torch.from_numpy(array) for array in (times, weights, values)))


TIMES = np.linspace(0, 5, 40)
WEIGHTS = np.full(40, 5 / 40)


# Adam


def adam_by_hand(
    y: Array, start: list[Array], rate: float, steps: int, cosine: bool
) -> tuple[list[Array], list[float]]:
    """The published update with gradients written out, λ = -e^w."""
    w, U, c = (array.copy() for array in start)
    first, second = [[np.zeros_like(x) for x in (w, U, c)] for _ in range(2)]
    losses = []
    for k in range(1, steps + 1):
        decays = np.exp(np.outer(TIMES, -np.exp(w)))
        error = decays @ (c * U) - y
        losses.append(float(WEIGHTS @ error**2))
        pulled = 2 * WEIGHTS * error
        by_weight = decays.T @ pulled
        by_rate = -np.exp(w) * (decays.T @ (pulled * TIMES)) * c * U
        step = rate * ((1 + math.cos(math.pi * (k - 1) / steps)) / 2 if cosine else 1)
        for x, gradient, a, b in zip((w, U, c), (by_rate, by_weight * c, by_weight * U), first, second, strict=True):
            a += 0.1 * (gradient - a)
            b += 0.001 * (gradient**2 - b)
            x -= step * (a / (1 - 0.9**k)) / (np.sqrt(b / (1 - 0.999**k)) + 1e-8)
    return [w, U, c], losses


@pytest.mark.parametrize("cosine", [False, True])
def test_the_adam_loop_is_adam(cosine: bool) -> None:
    y = (1 + TIMES) ** -1.5
    start = [np.array([-1.0, 0.0, 1.0]), np.array([1.0, -0.5, 2.0]), np.array([0.3, 0.2, 0.1])]
    tensors = tuple(torch.from_numpy(x) for x in start)
    found = adam_fit(
        samples(y, TIMES, WEIGHTS),
        lambda w: -torch.exp(w),
        (tensors[0], tensors[1], tensors[2]),
        learning_rate=0.02,
        steps=50,
        cosine=cosine,
    )
    ends, losses = adam_by_hand(y, start, 0.02, 50, cosine)
    for got, wanted in zip((found.w, found.U, found.c), ends, strict=True):
        np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-9)
    np.testing.assert_allclose(found.losses.numpy(), losses, rtol=1e-9)
    np.testing.assert_array_equal(start[0], [-1.0, 0.0, 1.0])


# SciPy's least squares


@pytest.mark.parametrize("numpy_qr", [False, True])
def test_residual_and_gradient_of_the_projection(numpy_qr: bool) -> None:
    """The residual is that of numpy's lstsq, and Jᵀr is the exact gradient of |r|²/2: P⊥r = r."""
    y = (1 + TIMES) ** -2
    problem = Projected(TIMES, WEIGHTS, y, numpy_qr=numpy_qr)
    x = np.array([-1.5, 0.0, 1.0])

    def half_loss(x: Array) -> Any:
        rates = [mpmath.exp(value) for value in x]
        columns = mpmath.matrix([[mpmath.exp(-rate * t) for rate in rates] for t in TIMES])
        a = mpmath.lu_solve(columns.T * columns, columns.T * mpmath.matrix(y))
        error = columns * a - mpmath.matrix(y)
        return WEIGHTS[0] * (error.T * error)[0] / 2

    with mpmath.workdps(40):
        gradient = [
            (half_loss([*x[:j], x[j] + mpmath.mpf(10) ** -12, *x[j + 1 :]]) - half_loss(list(x))) * 10**12
            for j in range(3)
        ]
        loss = 2 * half_loss(list(x))
    residual, jacobian = problem.residual(x), problem.jacobian(x)
    assert residual @ residual == pytest.approx(float(loss), rel=1e-10, abs=0)
    np.testing.assert_allclose(jacobian.T @ residual, np.array(gradient, dtype=float), rtol=1e-7)
    assert problem.evaluations == 1


@pytest.mark.parametrize("method", ["lm", "trf"])
def test_least_squares_finds_the_exponentials(method: str) -> None:
    y = 2 * np.exp(-0.5 * TIMES) - np.exp(-3 * TIMES)
    found = least_squares_fit(
        samples(y, TIMES, WEIGHTS), np.array([-1.0, -2.0]), tolerance=1e-12, evaluations=100, method=method
    )
    np.testing.assert_allclose(np.sort(found.lam), [-3.0, -0.5], rtol=1e-5)
    np.testing.assert_allclose(found.weights[np.argsort(found.lam)], [-1.0, 2.0], rtol=1e-5)
    assert found.loss < 1e-14
    assert 1 <= found.evaluations <= 100


# The reduction


@pytest.mark.parametrize("spec", ["polynomial:p=1.5", "polynomial:p=3:s=10:scale=2", "polynomial:p=2"])
@pytest.mark.parametrize("z", [0.3 + 0.2j, 2.0 + 0j])
def test_transfer_function_against_quadrature(spec: str, z: complex) -> None:
    target = parse_target(spec)
    assert isinstance(target, Polynomial)
    value, slope = reduction.transfer_function(target, z)
    edges = [0, 1, 3, 10, 30, 100, 200]

    def kernel(t: Any) -> Any:
        return target.scale * (1 + t / target.s) ** -target.p * mpmath.exp(-z * t)

    assert value == pytest.approx(complex(mpmath.quad(kernel, edges)), rel=1e-12)
    assert slope == pytest.approx(complex(mpmath.quad(lambda t: -t * kernel(t), edges)), rel=1e-12)


def exact_l2_error(p: float, lam: list[float], weights: list[float]) -> float:
    """∫ρ² - 2 Σ a_i H(-λ_i) + Σ a_i a_j/(-λ_i - λ_j) with 40 digits, which the cancellation needs."""
    with mpmath.workdps(40):
        pairs = [(mpmath.mpf(a), -mpmath.mpf(x)) for a, x in zip(weights, lam, strict=True)]
        square = 1 / (2 * mpmath.mpf(p) - 1)
        square -= 2 * sum(a * mpmath.exp(x) * mpmath.expint(p, x) for a, x in pairs)
        square += sum(a * b / (x + y) for a, x in pairs for b, y in pairs)
        return float(mpmath.sqrt(square))


@pytest.mark.parametrize("p", [1.5, 2.0, 3.0])
@pytest.mark.parametrize("lam", [[-1.0], [-1e-3, -0.05, -1.0, -40.0]])
def test_l2_error_against_the_closed_form(p: float, lam: list[float]) -> None:
    weights = [0.1, 0.3, 0.5, 0.1][: len(lam)]
    target = parse_target(f"polynomial:p={p}")
    assert isinstance(target, Polynomial)
    error = reduction.l2_error(target, np.array(lam), np.array(weights))
    assert error == pytest.approx(exact_l2_error(p, lam, weights), rel=1e-10)


def test_the_reduction_is_stationary() -> None:
    """One mode: moving its rate either way, with the best weight, raises the closed form of the error."""
    pytest.importorskip("pymor")
    target = parse_target("polynomial:p=2")
    assert isinstance(target, Polynomial)
    lam, weights = reduction.reduced_model(target, 1)
    rate = -float(lam[0])

    def error(rate: float) -> float:
        weight = 2 * rate * float(mpmath.exp(rate) * mpmath.expint(2, rate))
        return exact_l2_error(2, [-rate], [weight])

    assert error(rate) == pytest.approx(reduction.l2_error(target, lam, weights), rel=1e-9)
    assert error(rate) < min(error(0.99 * rate), error(1.01 * rate))


# The meters


def test_tally_counts_exponentials_and_bytes() -> None:
    with Tally() as tally:
        x = torch.zeros(1000, dtype=torch.float64)
        for _ in range(3):
            y = torch.exp(x)
        parts = [torch.ones(500, dtype=torch.float64) for _ in range(3)]
        assert y[3:].view(-1).shape == (997,)
        del parts, y
        x.expm1_()
    assert tally.exponentials == 4000
    assert tally.peak == 8000 + 8000 + 3 * 4000


def test_tally_follows_threads() -> None:
    def work(n: int) -> int:
        return torch.exp(torch.zeros(n)).numel()

    with Tally() as tally, ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, [10, 20, 30])) == [10, 20, 30]
    assert tally.exponentials == 60
    with ThreadPoolExecutor(1) as pool:
        assert list(pool.map(work, [10])) == [10]
    assert tally.exponentials == 60


def test_seconds_and_cores() -> None:
    taken, value = seconds(lambda: 7, repeats=3)
    assert (taken >= 0, value) == (True, 7)
    before = torch.get_num_threads()
    with on_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    assert usable_cores() >= 1
    assert exp_throughput(1, 2**16) > 0


# The comparisons

TINY = Sizes(
    m=2,
    points=40,
    batch=12,
    adam_models=2,
    adam_steps=30,
    least_squares_models=3,
    gradient_batch=6,
    gradient_steps=5,
    gradient_models=2,
    orders=(1, 2),
    curve=(6, 12),
    repeats=1,
    exponentials=2**16,
)


@pytest.fixture(scope="module")
def report() -> BenchmarkReport:
    steps: list[tuple[int, int, str]] = []
    found = run_benchmark(TINY, cores=2, on_progress=lambda *step: steps.append(step))
    assert [done for done, _, _ in steps] == list(range(steps[0][1]))
    return found


def row_of(report: BenchmarkReport, alternative: str) -> BenchmarkRow:
    (row,) = (row for row in report.rows if row.alternative.startswith(alternative))
    return row


def test_every_row_has_its_numbers(report: BenchmarkReport) -> None:
    for row in report.rows:
        if row.note == reduction.MISSING:  # pyMOR is not installed
            continue
        assert row.measured is not None
        assert row.reference is not None
        assert row.ratio == pytest.approx(row.measured / row.reference)
        assert row.unit
        assert row.met in ((True, False) if row.aim else (None,))
    for name in ("torch Adam in a loop, 30 steps", "scipy", "torch Adam in a loop, the same"):
        found = [row for row in report.rows if row.alternative.startswith(name)]
        assert all((row.ratio_one_core or 0) > 0 for row in found)
    assert report.machine["cores"] == 2
    assert report.machine["versions"]["torch"] == torch.__version__


def test_errors_are_those_of_both_sides(report: BenchmarkReport) -> None:
    """Two modes: the optimum on the points is below what 30 steps of Adam reach, and SciPy finds the same one."""
    adam = row_of(report, "torch Adam in a loop, 30 steps").errors
    assert 0 < adam["ours"] < adam["alternative"]
    for method in ("lm", "trf"):
        errors = row_of(report, f"scipy.optimize.least_squares, {method}").errors
        assert errors["ours"] == pytest.approx(errors["alternative"], rel=1e-4)
    assert all(value < 1e-9 for value in row_of(report, "torch Adam in a loop, the same").errors.values())


def test_the_curve(report: BenchmarkReport) -> None:
    assert [point.models for point in report.curve] == [6, 12]
    assert all(point.seconds > 0 and point.bytes > 0 for point in report.curve)
    share, last = row_of(report, "torch.exp"), report.curve[-1]
    assert share.measured is not None
    assert share.measured * last.seconds >= last.models * TINY.m * 2, "two evaluations on two nodes at least"
    assert last.bytes >= 2 * last.models * TINY.m * 8


def test_the_report_is_json(report: BenchmarkReport) -> None:
    answer = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert set(answer) == {"rows", "curve", "machine"}
    fields = {"what", "alternative", "aim", "unit", "measured", "reference", "ratio", "ratio_one_core", "met"}
    assert all(set(row) == fields | {"errors", "note"} for row in answer["rows"])
    assert BenchmarkReport((BenchmarkRow("", "", ratio=math.inf),), (), {}).as_json()["rows"][0]["ratio"] == "inf"


def test_without_pymor_the_row_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_benchmark, "has_pymor", lambda: False)
    row = fit_benchmark.against_reduction(TINY)
    assert (row.note, row.met, row.ratio) == ("install stablessm[bench]", None, None)


def test_a_reduction_that_fails_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def failed(_: object) -> None:
        raise reduction.NotConvergedError("TF-IRKA found no real stable model of order 2")

    monkeypatch.setattr(fit_benchmark, "has_pymor", lambda: True)
    monkeypatch.setattr(fit_benchmark, "reduction_errors", failed)
    row = fit_benchmark.against_reduction(TINY)
    assert (row.note, row.met) == ("TF-IRKA found no real stable model of order 2", None)


def test_a_sweep_has_every_target_and_f() -> None:
    problem = sweep_problem(13, 4)
    assert isinstance(problem, FitProblem)
    pairs = [(target.spec, f.text) for (target,), f in zip(problem.targets, problem.reparameterizations, strict=True)]
    assert len(set(pairs[:6])) == 6
    assert pairs[6:12] == pairs[:6]
    assert problem.seeds == (0,) * 6 + (1,) * 6 + (2,)


@pytest.mark.parametrize(("count", "rows"), [(1, 5), (4, 1024), (12, 256), (9, 9), (20, 6), (48, 1024)])
def test_chosen_rows_are_spread(count: int, rows: int) -> None:
    chosen = spread(count, rows)
    assert len(set(chosen)) == min(count, rows)
    assert max(chosen) < rows
    assert len({row % 6 for row in chosen}) == min(count, rows, 6)


@pytest.mark.slow
def test_optimal_mode_reaches_the_reduction() -> None:
    """The best L² error of p = 2, m = 1, 2, 4 by two routes; the error of the reduction also in closed form."""
    pytest.importorskip("pymor")
    errors = fit_benchmark.reduction_errors((1, 2, 4))
    assert len(errors) == 9
    for m in (1, 2, 4):
        ours, theirs = errors[f"p = 2, m = {m}"]
        assert ours == pytest.approx(theirs, rel=0.01)
        target = parse_target("polynomial:p=2")
        assert isinstance(target, Polynomial)
        lam, weights = reduction.reduced_model(target, m)
        assert theirs == pytest.approx(exact_l2_error(2, lam.tolist(), weights.tolist()), rel=1e-6)
