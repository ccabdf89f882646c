"""The door to the fitters: chunks, memory, devices; batched rows against rows one by one."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from numerics import fitting, gradient_fit, projection_fit
from numerics.cores import usable_cores
from numerics.fit_grid import sweep_of_json
from numerics.fit_problem import FitProblem, Fits
from numerics.fitting import fit, merged, resolve_device, row_bytes, rows_of
from numerics.time_nodes import time_nodes
from tests.numerics.fake_fits import fake_fit

TENSORS = ("w", "U", "c", "loss", "result", "steps", "rank", "gradient_over_weight")


def problem(m: int = 2, **given: Any) -> FitProblem:
    content = {"target": ["polynomial:p=2", "exponential:rate=3"], "reparam": ["exp", "softplus"], "m": m, "seeds": 3}
    sweep = sweep_of_json({**content, **given})
    return sweep.problem(list(sweep.lines()), m)


def equal(left: Fits, right: Fits) -> bool:
    return all(torch.equal(getattr(left, name), getattr(right, name)) for name in TENSORS) and (
        left.omega is right.omega is None or (left.omega is not None and torch.equal(left.omega, right.omega))
    )


class Recorder:
    """Stands for a fitter: notes the chunks it gets, and fails for chunks of more than `most` rows."""

    def __init__(self, most: int, fail: Callable[[], object]) -> None:
        self.most, self.fail, self.chunks, self.given = most, fail, list[int](), list[dict[str, Any]]()

    def __call__(self, problem: FitProblem, rates: list[float] | None = None, **given: Any) -> Fits:
        self.chunks.append(len(problem))
        self.given.append(given)
        if len(problem) > self.most:
            self.fail()
        if given.get("progress"):
            given["progress"](1, 2)
            given["progress"](2, 2)
        return fake_fit(problem, **given)


def allocate() -> object:
    """More than any machine has: the error of the allocator itself."""
    return torch.empty(2**55)


def refuse(error: Exception) -> Callable[[], object]:
    def fail() -> object:
        raise error

    return fail


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Recorder]:
    def replace(most: int = 100, fail: Callable[[], object] = allocate) -> Recorder:
        recorder = Recorder(most, fail)
        monkeypatch.setattr(projection_fit, "fit_optimal", recorder)
        monkeypatch.setattr(gradient_fit, "fit_gradient", recorder)
        return recorder

    return replace


@pytest.mark.parametrize(
    "fail",
    [
        allocate,
        refuse(MemoryError()),
        refuse(torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")),
        refuse(RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: not enough memory")),
        refuse(ValueError("fit: needs about 9 GiB, 3 GiB are available")),
    ],
    ids=["allocator", "python", "cuda", "windows", "estimate"],
)
def test_out_of_memory_halves_the_chunk_and_says_so_once(
    replaced: Callable[..., Recorder], fail: Callable[[], object]
) -> None:
    given = problem()
    replaced()
    whole = fit(given, device="cpu")
    recorder = replaced(most=2, fail=fail)
    with pytest.warns(UserWarning, match="out of memory on cpu: going on with 6 models at a time") as said:
        found = fit(given, device="cpu")
    assert len(said) == 1
    assert recorder.chunks == [12, 6, 3, 2, 2, 2, 2, 2, 2]
    assert equal(found, whole)
    assert found.problem is whole.problem is given


def test_one_row_that_does_not_fit_is_one_line(replaced: Callable[..., Recorder]) -> None:
    replaced(most=0)
    with pytest.warns(UserWarning, match="out of memory"), pytest.raises(ValueError, match="m: there is not enough"):
        fit(problem(), device="cpu")


@pytest.mark.parametrize("is_complex", [False, True])
def test_steps_too_few_for_the_coefficients(is_complex: bool) -> None:
    least = 5 if is_complex else 3
    given = problem(time="discrete", complex=is_complex, horizon=least)
    few = replace(given, horizon=least - 0.5)
    with pytest.raises(ValueError, match=rf"horizon: .* steps are too few .* m = 2; at least {least} are needed"):
        fit(few, device="cpu")
    assert bool((fit(given, device="cpu").loss < 1e-3).all())


@pytest.mark.parametrize("error", [RuntimeError("size mismatch"), ValueError("target: not in L²")])
def test_other_errors_pass(replaced: Callable[..., Recorder], error: Exception) -> None:
    replaced(most=0, fail=refuse(error))
    with pytest.raises(type(error), match=str(error)):
        fit(problem(), device="cpu")


def test_rows_are_cut_to_the_budget(replaced: Callable[..., Recorder]) -> None:
    recorder = replaced()
    given = problem()
    whole = fit(given, device="cpu")
    for rows, chunks in ((12, [12]), (5, [5, 5, 2]), (1, [1] * 12)):
        recorder.chunks.clear()
        budget = rows * row_bytes(given, "optimal", torch.float64)
        assert equal(fit(given, device="cpu", memory_budget=budget), whole)
        assert recorder.chunks == chunks
    assert equal(fit(given, device="cpu", memory_budget=1), whole)


def test_warm_fits_and_learning_rates_are_cut_along(replaced: Callable[..., Recorder]) -> None:
    recorder = replaced()
    small, large = problem(), problem(m=3)
    first = fit(small, device="cpu")
    whole = fit(large, device="cpu", warm=[first])
    assert equal(
        fit(large, device="cpu", warm=[first], memory_budget=5 * row_bytes(large, "optimal", torch.float64, 4, 1)),
        whole,
    )
    assert [len(given["warm"][0].problem) for given in recorder.given[-3:]] == [5, 5, 2]
    rates = [0.1 * (i + 1) for i in range(12)]
    whole = fit(large, "gradient", device="cpu", learning_rates=rates)
    cut = fit(
        large,
        "gradient",
        device="cpu",
        learning_rates=rates,
        memory_budget=5 * row_bytes(large, "gradient", torch.float64),
    )
    assert equal(cut, whole)
    assert [given["learning_rates"] for given in recorder.given[-3:]] == [rates[:5], rates[5:10], rates[10:]]


def test_progress_is_the_share_of_all_rows(replaced: Callable[..., Recorder]) -> None:
    replaced()
    shares: list[float] = []
    fit(
        problem(),
        device="cpu",
        memory_budget=6 * row_bytes(problem(), "optimal", torch.float64),
        progress=shares.append,
    )
    assert shares == [0.25, 0.5, 0.75, 1.0]


def test_rows_and_chunks_are_inverse() -> None:
    fits = fake_fit(problem(complex=True))
    parts = [rows_of(fits, index) for index in (range(5), [5, 6], range(7, 12))]
    assert [part.problem.seeds for part in parts] == [
        fits.problem.seeds[:5],
        fits.problem.seeds[5:7],
        fits.problem.seeds[7:],
    ]
    again = merged(fits.problem, parts)
    assert equal(again, fits)
    assert torch.equal(again.history["loss"], fits.history["loss"])


def test_a_shorter_history_keeps_its_last_value() -> None:
    fits = fake_fit(problem())
    short = rows_of(fits, range(6))
    short.history["loss"] = short.history["loss"][:1]
    curve = merged(fits.problem, [short, rows_of(fits, range(6, 12))]).history["loss"]
    assert torch.equal(curve[0], fits.history["loss"][0])
    assert torch.equal(curve[1, :6], curve[0, :6])
    assert torch.equal(curve[1, 6:], fits.history["loss"][1, 6:])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"mode": "best"}, "mode: 'best' is not one of optimal, gradient"),
        ({"dtype": torch.float16}, "dtype"),
        ({"memory_budget": 0}, "memory_budget: at least 1"),
        ({"threads": 0}, "threads: at least 1"),
        ({"learning_rates": [0.1]}, "learning_rates: they have a meaning in gradient mode alone"),
        ({"mode": "gradient"}, "learning_rates: 0 for 12 rows"),
        ({"mode": "gradient", "learning_rates": [0.1]}, "learning_rates: 1 for 12 rows"),
        ({"mode": "gradient", "learning_rates": [0.1] * 12, "warm": [fake_fit(problem())]}, "warm: only the optimal"),
        ({"warm": [rows_of(fake_fit(problem()), [0])]}, "warm: has 1 rows, the problem 12"),
    ],
)
def test_what_cannot_be_is_one_line(replaced: Callable[..., Recorder], given: dict[str, Any], words: str) -> None:
    replaced()
    with pytest.raises(ValueError, match=words):
        fit(problem(), **given)


def test_devices() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for wrong in ("gpu", "", "mps", "cpu:x", "meta"):
        with pytest.raises(ValueError, match="is not one of auto, cpu, cuda"):
            resolve_device(wrong)


def test_cuda_that_is_absent_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")
    with pytest.raises(
        ValueError, match="device: cuda was asked for and this torch sees no CUDA device; use auto or cpu"
    ):
        resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert resolve_device("auto") == torch.device("cuda")
    with pytest.raises(ValueError, match="device: cuda:1 was asked for and it sees 1 of them"):
        resolve_device("cuda:1")


def test_cores() -> None:
    assert usable_cores() >= 1


# With the fitters themselves


@pytest.mark.parametrize("spec", ["polynomial:p=1.5", "airy", "shift"])
@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("m", [4, 64])
def test_the_estimate_has_enough_nodes(spec: str, is_complex: bool, m: int) -> None:
    target = problem(target=[spec]).targets[0][0]
    found = [
        len(
            time_nodes(
                [target], m, time="continuous", horizon=float("inf"), step_size=1.0, is_complex=is_complex, fine=fine
            ).times
        )
        for fine in (1, 2)
    ]
    columns = m * (2 if is_complex else 1)
    assert sum(found) <= 3 * (fitting._NODES + fitting._NODES_PER_COLUMN[is_complex] * columns)


@pytest.mark.parametrize("mode", ["optimal", "gradient"])
def test_chunks_and_threads_change_nothing_but_rounding(mode: str) -> None:
    given, before = problem(), torch.get_num_threads()
    settings: dict[str, Any] = {"steps": 50, "device": "cpu"}
    if mode == "gradient":
        settings["learning_rates"] = [0.01] * 12
    whole = fit(given, mode, threads=1, **settings)
    budget = 5 * row_bytes(given, mode, torch.float64)
    for found in (
        fit(given, mode, threads=1, memory_budget=budget, **settings),
        fit(given, mode, threads=2, **settings),
    ):
        assert torch.equal(found.result, whole.result)
        # an optimum is flat: weights are known to the root of the tolerance of the loss
        torch.testing.assert_close(found.w, whole.w, rtol=1e-4 if mode == "optimal" else 1e-12, atol=0)
        torch.testing.assert_close(found.loss, whole.loss, rtol=1e-7 if mode == "optimal" else 1e-12, atol=1e-15)
    assert torch.get_num_threads() == before


def test_no_warning_without_a_reason() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(problem(m=1), device="cpu", steps=2, starts=1)
