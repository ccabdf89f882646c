"""Gradient mode: equal to one model after another by torch.optim; starts, outcomes, history, threads, bad input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from numerics import gradient_fit
from numerics.fit_problem import RESULTS, FitProblem, Fits, Result, RowFunctions
from numerics.gradient_fit import fit_gradient, kernel_loss, outcome, train
from numerics.gradient_start import Packing, starting_weights
from numerics.loss_times import time_grid
from numerics.optim import Descent, Rule
from numerics.reparameterization import Reparameterization
from numerics.targets import parse_target
from numerics.time_nodes import sampled_nodes

POLYNOMIAL, SHIFT = parse_target("polynomial:p=1.5"), parse_target("shift")
NAMES = ("direct", "relu", "exp", "softplus", "best", "reciprocal")


def problem(names: tuple[str, ...] = NAMES, m: int = 4, **settings: Any) -> FitProblem:
    """One row for each f, all with the same seed."""
    rows, time = len(names), settings.get("time", "continuous")
    fs = tuple(Reparameterization(name, time) for name in names)
    given = {
        "targets": ((POLYNOMIAL,),) * rows,
        "seeds": (3,) * rows,
        "modes": ("plain",) * rows,
        "horizon": 20.0,
        **settings,
    }
    return FitProblem(reparameterizations=fs, m=m, **given)


def looped(given: FitProblem, row: int, rule: Rule, points: int | None) -> tuple[list[float], list[float], Tensor]:
    """One model by torch.optim and autograd: losses, largest |gradient|/|w|, and the last weights, packed."""
    grid, _ = time_grid(given.rows([row]), points)
    times, weights = (torch.from_numpy(x.ravel()) for x in (grid.times, grid.weights))
    discrete, f = given.time == "discrete", given.reparameterizations[row]
    rho = torch.stack([torch.from_numpy(target.rho(grid.times.ravel())) for target in given.targets[row]])
    w, U, c, omega = Packing(given).split(starting_weights(given)[row : row + 1])
    leaves = [x[0].clone().requires_grad_() for x in (w, U, c, omega) if x is not None]
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[rule.optimizer]
    optimizer = kind(leaves, lr=rule.learning_rates[row], weight_decay=rule.decay)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=rule.steps)
    losses, ratios = [], []
    for _ in range(rule.steps):
        optimizer.zero_grad()
        lam = f(leaves[0])
        if given.is_complex:
            lam = lam * torch.exp(1j * leaves[3]) if discrete else torch.complex(lam, leaves[3])
        modes = lam ** times[:, None] if discrete else torch.exp(lam * times[:, None])
        kernel = (modes @ (leaves[2][:, None] * leaves[1]).to(modes.dtype)).mT
        kernel = 2 * kernel.real if given.is_complex else kernel
        loss = (weights * (rho - kernel) ** 2).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(float(loss.detach()))
        ratios.append(float((leaves[0].grad / leaves[0].detach()).abs().max()))
        optimizer.step()
        if rule.schedule == "cosine":
            cosine.step()
    ends = [x.detach()[None] for x in leaves]
    return losses, ratios, Packing(given).join(*ends, *[None] * (4 - len(ends)))[0]


def check_against_loop(given: FitProblem, rates: list[float], points: int | None, **settings: Any) -> None:
    found = fit_gradient(given, rates, points=points, record_every=1, **settings)
    rule = Rule(tuple(rates), **settings)
    ends = Packing(given).join(found.w, found.U, found.c, found.omega)
    for row in range(len(given)):
        losses, ratios, last = looped(given, row, rule, points)
        assert found.history["loss"][:-1, row].tolist() == pytest.approx(losses, rel=1e-9, abs=0)
        assert found.history["gradient_over_weight"][:-1, row].tolist() == pytest.approx(ratios, rel=1e-9, abs=0)
        assert torch.allclose(ends[row], last, rtol=1e-9, atol=1e-10)
    assert found.steps.tolist() == [rule.steps] * len(given)


def test_trajectories_are_those_of_models_trained_one_after_another() -> None:
    """Per-row learning rates and f in one batch; 300 steps in which the loss falls by more than 10."""
    rates = [1e-2, 5e-3, 1e-2, 2e-2, 1e-2, 1e-2]
    check_against_loop(problem(), rates, 60, optimizer="adam", steps=300, schedule="cosine")


@pytest.mark.parametrize(("optimizer", "schedule"), [("sgd", "constant"), ("adamw", "cosine")])
def test_trajectories_of_other_optimizers_with_complex_modes_and_two_inputs(optimizer: str, schedule: str) -> None:
    """On the nodes that optimal mode integrates by."""
    given = problem(("exp", "softplus"), m=3, is_complex=True, targets=((POLYNOMIAL, SHIFT),) * 2)
    check_against_loop(given, [5e-3, 2e-3], None, optimizer=optimizer, steps=120, schedule=schedule)


def test_trajectories_in_discrete_time() -> None:
    given = problem(("exp", "tanh", "direct"), time="discrete", horizon=40.0)
    check_against_loop(given, [1e-2, 3e-3, 3e-3], None, optimizer="adam", steps=150, schedule="cosine")
    given = problem(("exp",), m=2, time="discrete", horizon=40.0, is_complex=True)
    check_against_loop(given, [1e-2], None, optimizer="adam", steps=150, schedule="constant")


# Starts


def test_rows_that_differ_in_f_alone_start_at_the_same_rates_and_kernel() -> None:
    given = problem((*NAMES, "exp"), seeds=(3,) * 6 + (4,), modes=("plain",) * 5 + ("unit-norm", "plain"))
    w, U, c, _ = Packing(given).split(starting_weights(given))
    lam = RowFunctions(given.reparameterizations, torch.device("cpu"))(w)
    assert torch.allclose(lam[:6], lam[:1].expand(6, -1), rtol=1e-12)
    assert torch.equal(c[:5], c[:1].expand(5, -1))
    amplitude = c * U[..., 0]
    nu = -lam[5] / (1 - 2 * lam[5])
    assert torch.allclose(nu * amplitude[5], amplitude[0], rtol=1e-12)
    assert not torch.allclose(lam[6], lam[0], rtol=1e-3)  # another seed
    assert not torch.allclose(c[6], c[0], rtol=1e-3)


def test_starts_stay_in_the_range_of_f_and_do_not_depend_on_the_batch() -> None:
    """best with b = 5 reaches |λ| < 1/5 only."""
    given = problem(("exp", "best:b=5", "-exp(w)-1/10"), m=8)
    start = starting_weights(given)
    for row in range(3):
        assert torch.equal(start[row], starting_weights(given.rows([row]))[0])
        lam = given.reparameterizations[row](start[row, :8])
        assert bool((lam < 0).all())
        assert bool((lam.diff() < 0).all())
    assert float(given.reparameterizations[1](start[1, :8]).min()) > -0.2


@pytest.mark.parametrize(
    ("text", "time", "message"),
    [
        ("1+w**2", "continuous", "nowhere negative, so that no λ = f\\(w\\) is stable"),
        ("2+w**2", "discrete", "takes no value between 0 and 1, where modes start"),
        ("-1/(1+w**2)", "discrete", "takes no value between 0 and 1, where modes start"),
    ],
)
def test_an_f_without_stable_starts(text: str, time: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        starting_weights(problem(("direct", text), time=time))


@pytest.mark.parametrize("is_complex", [False, True])
def test_starts_in_discrete_time(is_complex: bool) -> None:
    given = problem(("exp", "tanh", "best:b=0.8", "sigmoid"), time="discrete", is_complex=is_complex, step_size=0.5)
    w, _, c, omega = Packing(given).split(starting_weights(given))
    lam = RowFunctions(given.reparameterizations, torch.device("cpu"))(w)
    assert torch.allclose(lam, lam[:1].expand(4, -1), rtol=1e-12)
    assert bool(((lam > 0) & (lam < 1)).all())
    assert (omega is not None) == is_complex == c.is_complex()


# Outcomes


def test_converged_and_unfinished_rows() -> None:
    """One mode reaches its best fit in 1,500 steps, not in 20."""
    long = fit_gradient(problem(("exp", "softplus"), m=1), [0.03, 0.03], steps=1500)
    short = fit_gradient(problem(("exp", "softplus"), m=1), [0.03, 0.03], steps=20)
    assert long.results() == [Result.CONVERGED] * 2
    assert short.results() == [Result.BUDGET_SPENT] * 2
    assert float(long.loss[0]) == pytest.approx(float(long.loss[1]), rel=1e-6)  # the same minimum over λ
    assert bool((long.loss < short.loss).all())
    assert long.rank.tolist() == [-1, -1]


def test_outcomes_of_settled_rows() -> None:
    """A vanished gradient at: a mode like any other, one too fast for the nodes, an unstable one, a diverged row; then
    a loss that still fell, and a gradient beyond a thousandth of the loss."""
    given = problem(("direct",) * 6, m=1)
    loss = kernel_loss(given, torch.device("cpu"), torch.float64, points=21).rows(range(6))  # rates up to 10 per step
    w = torch.tensor([-1.0, -11.0, 0.0, -1.0, -1.0, -1.0], dtype=torch.float64)
    one = torch.ones(6, dtype=torch.float64)
    late, gradient = one.clone(), torch.zeros(6, 3, dtype=torch.float64)
    late[4], gradient[5, 1] = 1 + 1e-5, 2e-3
    alive = torch.tensor([True, True, True, False, True, True])
    packed = torch.stack([w, one, one], dim=1)
    codes = outcome(loss, Descent((packed,), one, late, (gradient,), alive, one, {}, {})).tolist()
    budget = Result.BUDGET_SPENT
    assert [RESULTS[code] for code in codes] == [
        Result.CONVERGED,
        budget,
        Result.DIVERGED,
        Result.DIVERGED,
        budget,
        budget,
    ]


def test_a_row_with_an_unstable_mode_has_diverged() -> None:
    """Under `direct` large steps carry slow modes over 0: at once the end of a row on an infinite horizon; on a finite
    one training goes on, and the last λ decide."""
    rates = [1.0, 1e-4]
    infinite = fit_gradient(problem(("direct", "direct"), horizon=math.inf), rates, steps=50, schedule="constant")
    assert infinite.results() == [Result.DIVERGED, Result.BUDGET_SPENT]
    assert int(infinite.steps[0]) < 50
    assert bool((infinite.w < 0).all())  # the last good weights
    assert torch.isfinite(infinite.loss).all()
    infinite.model(0)
    given = problem(("direct", "direct"), horizon=5.0)
    finite = fit_gradient(given, rates, steps=50, schedule="constant", record_every=1)
    unstable = bool((finite.w[0] >= 0).any())
    assert int(finite.steps[0]) == 50
    assert finite.results()[0] is (Result.DIVERGED if unstable else Result.BUDGET_SPENT)
    assert finite.results()[1] is Result.BUDGET_SPENT


def test_a_diverging_row_does_not_touch_its_neighbours() -> None:
    """SGD with a huge learning rate overflows; the other rows are the same bit by bit."""
    given = problem(("exp", "direct", "softplus", "best"))
    settings: dict[str, Any] = {"optimizer": "sgd", "steps": 40, "points": 50, "record_every": 1}
    calm = fit_gradient(given, [1e-3] * 4, **settings)
    wild = fit_gradient(given, [1e-3, 1e6, 1e-3, 1e-3], **settings)
    assert wild.results()[1] is Result.DIVERGED
    assert int(wild.steps[1]) < 40
    for name in ("w", "U", "c", "loss", "steps", "gradient_over_weight", "result"):
        one, other = getattr(calm, name), getattr(wild, name)
        assert torch.equal(one[[0, 2, 3]], other[[0, 2, 3]])
        assert torch.isfinite(other).all()
    assert torch.equal(calm.history["loss"][:, [0, 2, 3]], wild.history["loss"][:, [0, 2, 3]])


def test_rows_do_not_depend_on_the_batch_they_are_in() -> None:
    """Targets with nodes of their own, f, modes and order mixed; equal to rounding, which these 50 steps do not
    enlarge beyond 1e-10."""
    names = ("exp", "softplus", "exp", "best")
    given = problem(
        names,
        targets=((POLYNOMIAL,), (SHIFT,), (SHIFT,), (POLYNOMIAL,)),
        seeds=(1, 2, 3, 4),
        modes=("plain", "unit-norm", "plain", "unit-norm"),
    )
    rates = [1e-2, 2e-2, 3e-2, 4e-2]
    whole = fit_gradient(given, rates, steps=50)
    for row in range(4):
        alone = fit_gradient(given.rows([row]), rates[row : row + 1], steps=50)
        assert torch.allclose(alone.w[0], whole.w[row], rtol=1e-10)
        assert float(alone.loss) == pytest.approx(float(whole.loss[row]), rel=1e-10)
        model = whole.model(row)
        assert torch.equal(model.layers[0].w, whole.w[row])


def test_all_losses_fall_in_training() -> None:
    for loss, time in (("sequences", "continuous"), ("w1inf", "continuous"), ("sequences", "discrete")):
        given = problem(("exp", "best:b=0.6"), loss=loss, time=time, horizon=30.0, step_size=0.5)
        found = fit_gradient(given, [1e-2, 1e-2], steps=200, record_every=200)
        assert bool((found.history["loss"][-1] < 0.2 * found.history["loss"][0]).all())


# How it runs


def small(**settings: Any) -> Fits:
    given = problem(("exp",) * 7, seeds=tuple(range(7)))
    return fit_gradient(given, [1e-2] * 7, steps=30, points=64, **settings)


def test_history_and_progress() -> None:
    calls: list[tuple[int, int]] = []
    found = small(record_every=7, progress=lambda done, total: calls.append((done, total)))
    every = small(record_every=1)
    assert {name: tuple(curve.shape) for name, curve in found.history.items()} == {
        "loss": (6, 7),  # steps 0, 7, 14, 21, 28 and the last weights
        "gradient_over_weight": (6, 7),
    }
    assert torch.equal(found.history["loss"], every.history["loss"][[0, 7, 14, 21, 28, 30]])
    assert torch.equal(every.history["gradient_over_weight"].amax(dim=0), found.gradient_over_weight)
    assert torch.equal(found.history["loss"][-1], found.loss)
    assert calls[-1] == (7 * 31, 7 * 31)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert small().history == {}


def test_chunks_of_rows_are_put_together_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """One row at a time; a row's own progress is that of the whole."""
    whole = small(record_every=10)
    monkeypatch.setattr(gradient_fit, "_CACHED_BYTES", 1)
    calls: list[int] = []
    single = small(record_every=10, progress=lambda done, total: calls.append(done))
    assert calls == list(range(1, 7 * 31 + 1))
    for name in ("w", "U", "c", "loss"):
        assert torch.allclose(getattr(single, name), getattr(whole, name), rtol=1e-10)
    assert torch.allclose(single.history["loss"], whole.history["loss"], rtol=1e-10)


def test_given_nodes_define_the_loss() -> None:
    """Uniform ones, like any others, in place of the trapezoidal rule on points."""
    given = problem(("exp", "best"))
    times = np.linspace(0.0, 20.0, 41)
    weights = np.full(41, 0.5)
    weights[[0, -1]] = 0.25
    points = fit_gradient(given, [1e-2] * 2, steps=40, points=41)
    nodes = fit_gradient(given, [1e-2] * 2, steps=40, nodes=sampled_nodes(times, weights))
    assert torch.allclose(points.w, nodes.w, rtol=1e-10)
    uneven = fit_gradient(given, [1e-2] * 2, steps=40, nodes=sampled_nodes(times**2 / 20))
    assert not torch.allclose(points.w, uneven.w, rtol=1e-3)
    with pytest.raises(ValueError, match="nodes: are for l2 and w1inf in continuous time, without points"):
        fit_gradient(given, [1e-2] * 2, points=41, nodes=sampled_nodes(times))


def test_w1inf_over_all_times_needs_an_integrable_target() -> None:
    given = problem(("exp",), targets=((parse_target("polynomial:p=0.8"),),), loss="w1inf", horizon=math.inf)
    with pytest.raises(ValueError, match="its L1 norm is infinite"):
        fit_gradient(given, [0.1], steps=1)


def test_threads_share_the_rows() -> None:
    one = small()
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        two = small()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert torch.allclose(one.w, two.w, rtol=1e-10)
    assert torch.allclose(one.loss, two.loss, rtol=1e-10)


def test_single_precision() -> None:
    single, double = small(dtype=torch.float32), small()
    assert {x.dtype for x in (single.w, single.U, single.c, single.loss)} == {torch.float32}
    assert torch.allclose(single.loss.double(), double.loss, rtol=1e-3)


def test_single_precision_does_not_reach_all_times() -> None:
    target = parse_target("polynomial:p=1.1")
    given = problem(("exp",), targets=((target,),), loss="w1inf", horizon=math.inf)
    assert torch.isfinite(fit_gradient(given, [1e-2], steps=2).loss).all()
    with pytest.raises(ValueError, match=r"dtype: torch.float32 has no times of .*; use torch.float64"):
        fit_gradient(given, [1e-2], steps=2, dtype=torch.float32)


class _NoReading(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        assert name not in ("aten::_local_scalar_dense", "aten::item", "aten::nonzero", "aten::is_nonzero"), name
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("loss", ["l2", "w1inf", "sequences"])
def test_no_value_is_read_within_the_loop(loss: str) -> None:
    """On a GPU each reading would wait for it."""
    given = problem(("exp", "direct"), loss=loss, modes=("plain", "unit-norm"))
    rows = kernel_loss(given, torch.device("cpu"), torch.float64, sequences=4).rows(range(2))
    start = starting_weights(given)
    with _NoReading():
        train(rows, start, Rule((1e-2, 1e-2), 5), record_every=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rates": [0.1]}, "learning_rates: 1 for 2 rows; one for each is needed"),
        ({"learning_rates": [0.1, 0.0]}, "learning_rates: each must be positive and finite, got 0.0"),
        ({"optimizer": "lion"}, "optimizer: 'lion' is not one of sgd, adam, adamw"),
        ({"schedule": "step"}, "schedule: 'step' is not one of cosine, constant"),
        ({"steps": 0}, "steps: at least 1 is needed, got 0"),
        ({"weight_decay": -1.0}, "weight_decay: must be finite and at least 0, got -1.0"),
        ({"record_every": -1}, "record_every: at least 0 is needed, got -1"),
        ({"points": 1}, "points: at least 2 is needed, got 1"),
        ({"dtype": torch.float16}, "dtype: torch.float16 is not one of torch.float64, torch.float32"),
    ],
)
def test_bad_input(change: dict[str, Any], message: str) -> None:
    settings = {"learning_rates": [0.1, 0.1], **change}
    with pytest.raises(ValueError, match=message):
        fit_gradient(problem(("exp", "best")), settings.pop("learning_rates"), **settings)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is there")
def test_an_absent_device() -> None:
    with pytest.raises(ValueError, match="device: CUDA is not available here; use 'cpu'"):
        fit_gradient(problem(("exp",)), [0.1], device="cuda")


def test_bad_sequences() -> None:
    given = problem(("exp",), loss="sequences")
    with pytest.raises(ValueError, match="sequences: at least 1 is needed, got 0"):
        fit_gradient(given, [0.1], steps=1, sequences=0)


@pytest.mark.parametrize("time", ["continuous", "discrete"])
@pytest.mark.parametrize(("horizon", "words"), [(1e9, "need about .* GiB"), (1e300, "at most 1e\\+09 are allowed")])
def test_more_steps_of_sequences_than_there_is_memory_for(time: str, horizon: float, words: str) -> None:
    given = problem(("exp",), loss="sequences", horizon=horizon, time=time)
    with pytest.raises(ValueError, match=f"horizon: .*{words}"):
        fit_gradient(given, [0.1], steps=1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("loss", ["l2", "w1inf", "sequences"])
@pytest.mark.parametrize("is_complex", [False, True])
def test_cuda_does_what_the_cpu_does(loss: str, is_complex: bool) -> None:
    """Other orders of summation only: equal to 1e-9 after 100 steps."""
    given = problem(("exp", "best", "direct"), loss=loss, is_complex=is_complex, modes=("plain", "unit-norm", "plain"))
    cpu, cuda = (fit_gradient(given, [1e-2] * 3, steps=100, device=device) for device in ("cpu", "cuda"))
    assert cuda.w.is_cuda
    for name in ("w", "U", "c", "loss"):
        assert torch.allclose(getattr(cpu, name), getattr(cuda, name).cpu(), rtol=1e-9, atol=1e-10)
    assert torch.equal(cpu.result, cuda.result.cpu())
