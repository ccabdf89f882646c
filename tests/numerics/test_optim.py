"""The batched optimizers against torch's own, one model after another; frozen rows; bad input."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from numerics.optim import OPTIMIZERS, SCHEDULES, BatchedOptimizer, Evaluation, Rule, Tensors, Walk, minimize

STEPS = 200
RATES = (1e-3, 1e-2, 5e-2)


def starts() -> Tensors:
    generator = torch.Generator().manual_seed(5)
    return tuple(torch.randn(3, *shape, dtype=torch.float64, generator=generator) for shape in ((4,), (2, 3)))


def row_loss(a: Tensor, b: Tensor) -> Tensor:
    """Not convex, with weights of different curvature."""
    return (
        (a.sin() * torch.arange(1.0, 5.0, dtype=a.dtype)).sum(-1) + (b**2 - 1).square().sum((-2, -1)) + a[..., 0] ** 2
    )


def evaluated(loss: Callable[..., Tensor]) -> Callable[[int, Tensors], Evaluation]:
    def evaluate(_: int, params: Tensors) -> Evaluation:
        leaves = [p.clone().requires_grad_() for p in params]
        value = loss(*leaves)
        return Evaluation(value.detach(), torch.autograd.grad(value.sum(), leaves))

    return evaluate


def looped(optimizer: str, schedule: str, decay: float) -> tuple[list[Tensors], list[list[float]]]:
    """torch.optim, a model at a time: the last weights and the losses at all steps."""
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    ends, losses = [], []
    for row, rate in enumerate(RATES):
        params = [p[row].clone().requires_grad_() for p in starts()]
        rule = kinds[optimizer](params, lr=rate, weight_decay=decay)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(rule, T_max=STEPS)
        losses.append([])
        for _ in range(STEPS):
            rule.zero_grad()
            loss = row_loss(*params)
            losses[-1].append(float(loss.detach()))
            loss.backward()
            rule.step()
            if schedule == "cosine":
                cosine.step()
        ends.append(tuple(p.detach() for p in params))
    return ends, losses


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("decay", [0.0, 0.03])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_trajectories_are_those_of_torch(optimizer: str, decay: float, schedule: str) -> None:
    """Both do the same operations in another order; over the 200 steps roundings do not grow on this loss."""
    rule = Rule(RATES, STEPS, optimizer, schedule, decay)
    found = minimize(evaluated(row_loss), starts(), rule, record_every=1)
    ends, losses = looped(optimizer, schedule, decay)
    for row in range(3):
        for batched, alone in zip(found.params, ends[row], strict=True):
            assert torch.allclose(batched[row], alone, rtol=1e-12, atol=1e-12)
        assert found.history["loss"][:-1, row].tolist() == pytest.approx(losses[row], rel=1e-12, abs=1e-12)
    assert found.steps.tolist() == [STEPS] * 3
    assert found.alive.all()
    assert torch.equal(found.history["loss"][-1], found.loss)
    assert torch.equal(found.late_loss, found.history["loss"][STEPS - STEPS // 10])


def test_one_step_by_hand() -> None:
    """Adam's first step is η g/(|g| + ε) whatever β, after the decay of adamw; that of SGD is η(g + κθ)."""
    theta, grad, alive = (
        torch.tensor([[2.0], [-3.0]]).double(),
        torch.tensor([[0.5], [4.0]]).double(),
        torch.ones(2) > 0,
    )
    one = Rule((0.1, 0.2), 10, "adamw", "constant", 0.5, eps=0.25)
    (moved,) = BatchedOptimizer(one, (theta,)).step((theta,), (grad,), alive)
    assert moved.flatten().tolist() == pytest.approx(
        [2 * 0.95 - 0.1 * 0.5 / 0.75, -3 * 0.9 - 0.2 * 4 / 4.25], rel=1e-14
    )
    (moved,) = BatchedOptimizer(Rule((0.1, 0.2), 10, "sgd", "constant", 0.5), (theta,)).step((theta,), (grad,), alive)
    assert moved.flatten().tolist() == pytest.approx([2 - 0.1 * 1.5, -3 - 0.2 * 2.5], rel=1e-14)
    assert theta.flatten().tolist() == [2.0, -3.0]


def test_decay_by_default() -> None:
    assert [Rule((1.0,), 1, name).decay for name in OPTIMIZERS] == [0.0, 0.0, 0.01]
    assert Rule((1.0,), 1, "adamw", weight_decay=0.0).decay == 0.0


# Rows that diverge


def breaking(at: float, broken: float) -> Callable[..., Tensor]:
    """A quadratic loss, in row 1 times `broken` as soon as its weight is below `at`."""

    def loss(theta: Tensor) -> Tensor:
        value = theta.square().sum(1)
        return value * torch.where((theta[:, 0] < at) & (torch.arange(3) == 1), broken, 1.0)

    return loss


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_diverged_row_keeps_its_last_good_weights_and_its_neighbours_do_not_notice(
    optimizer: str, broken: float
) -> None:
    start = torch.tensor([[3.0, 1.0], [0.9, 2.0], [1.0, 1.0]]).double()
    rule = Rule((0.1, 0.05, 0.02), 40, optimizer, "constant")
    sound = evaluated(breaking(-math.inf, 1.0))
    walk: list[Tensor] = []
    whole = minimize(lambda k, p: (walk.append(p[0]), sound(k, p))[1], (start,), rule, record_every=1)
    at = float(walk[5][1, 0] + walk[6][1, 0]) / 2  # so that θ_6 is the first bad one
    found = minimize(evaluated(breaking(at, broken)), (start,), rule, record_every=1)
    assert found.alive.tolist() == [True, False, True]
    assert found.steps.tolist() == [40, 6, 40]
    assert torch.equal(found.params[0][1], walk[5][1])
    for row in (0, 2):
        assert torch.equal(found.params[0][row], whole.params[0][row])
        assert torch.equal(found.history["loss"][:, row], whole.history["loss"][:, row])
    assert float(found.loss[1]) == float(walk[5][1].square().sum())
    assert torch.isfinite(found.history["loss"]).all()


def test_rows_are_stopped_by_a_gradient_that_is_not_finite_and_by_what_evaluate_calls_invalid() -> None:
    def evaluate(step: int, params: Tensors) -> Evaluation:
        (theta,) = params
        grad = 2 * theta
        if step >= 2:
            grad = torch.where(torch.arange(3)[:, None] == 0, math.nan, grad)
        return Evaluation(theta.square().sum(1), (grad,), theta[:, 0] > 0.5, {"norm": theta.norm(dim=1)})

    start = torch.tensor([[2.0, 0.0], [0.7, 0.0], [2.0, 0.0]]).double()
    found = minimize(evaluate, (start,), Rule((0.1,) * 3, 10, "sgd", "constant"), record_every=4)
    assert found.alive.tolist() == [False, False, False]  # 2 · 0.8^k < 1/2 from k = 7 on
    assert found.steps.tolist() == [2, 2, 7]
    assert found.params[0][:, 0].tolist() == pytest.approx([1.6, 0.56, 2 * 0.8**6])
    assert found.largest["norm"].tolist() == pytest.approx([2.0, 0.7, 2.0])
    assert found.history["norm"].shape == (4, 3)  # steps 0, 4, 8 and 10


def test_a_row_that_is_bad_from_the_start_stays_there() -> None:
    start = torch.tensor([[1.0], [math.nan], [2.0]]).double()
    found = minimize(evaluated(lambda theta: theta.square().sum(1)), (start,), Rule((0.1,) * 3, 5))
    assert found.alive.tolist() == [True, False, True]
    assert found.steps.tolist() == [5, 0, 5]
    assert math.isnan(found.params[0][1])
    assert torch.isfinite(found.params[0][[0, 2]]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rates": (0.1, 0.0)}, r"learning_rates: each must be positive and finite, got 0.0"),
        ({"learning_rates": (-1.0,)}, r"learning_rates: .* got -1.0"),
        ({"learning_rates": (math.nan,)}, r"learning_rates: .* got nan"),
        ({"learning_rates": (math.inf,)}, r"learning_rates: .* got inf"),
        ({"learning_rates": ("1",)}, r"learning_rates: .* got '1'"),
        ({"steps": 0}, r"steps: at least 1 is needed, got 0"),
        ({"steps": 1.5}, r"steps: a whole number is needed, got 1.5"),
        ({"optimizer": "adan"}, r"optimizer: 'adan' is not one of sgd, adam, adamw"),
        ({"schedule": "linear"}, r"schedule: 'linear' is not one of cosine, constant"),
        ({"weight_decay": -0.1}, r"weight_decay: must be finite and at least 0, got -0.1"),
        ({"eps": math.nan}, r"eps: must be finite and at least 0, got nan"),
        ({"betas": (0.9, 1.0)}, r"betas: .* got \(0.9, 1.0\)"),
    ],
)
def test_bad_input(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Rule(**{"learning_rates": (0.1,), "steps": 3, **change})  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


# Walks that are interrupted


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("at", [0, 1, 7, 9])
def test_a_walk_goes_on_from_its_state_bit_by_bit(optimizer: str, at: int) -> None:
    """With a row that has diverged before the interruption, and one that does after it."""
    rule, evaluate = Rule((0.01, 0.05, 0.02), 12, optimizer, weight_decay=0.02), evaluated(row_loss)

    def steps(walk: Walk, last: int) -> Walk:
        while walk.taken < last:
            found = evaluate(walk.taken, walk.params)
            bad = torch.tensor([walk.taken >= 9, walk.taken >= 3, False])
            walk.judge(Evaluation(torch.where(bad, math.nan, found.loss), found.grads))
            walk.move(found.grads)
        return walk

    whole, begun = steps(Walk(rule, starts()), 12), steps(Walk(rule, starts()), at)
    state = begun.state()
    kept = {name: x.clone() for name, x in state.items()}
    other = Walk(rule, tuple(torch.zeros_like(p) for p in starts()))
    other.restore(at, state)
    steps(begun, 12)  # does not touch the state taken before
    assert all(torch.equal(x, state[name]) for name, x in kept.items())
    steps(other, 12)
    assert other.alive.tolist() == whole.alive.tolist() == [False, False, True]
    assert other.steps.tolist() == whole.steps.tolist() == [9, 3, 12]
    for one, two in zip(other.params, whole.params, strict=True):
        assert torch.equal(one, two)


def test_a_state_of_another_walk_is_refused() -> None:
    walk = Walk(Rule(RATES, 5), starts())
    state = walk.state()
    cases = [
        ({**state, "param.1": torch.zeros(3, 2)}, "state: param.1: .* is needed, got"),
        ({**state, "alive": torch.ones(3)}, "state: alive: .*bool.* is needed, got .*float32"),
        ({name: x for name, x in state.items() if name != "mean.0"}, "state: mean.0: .* is needed, got None"),
        (Walk(Rule((0.1,), 5), tuple(p[:1] for p in starts())).state(), "state: param.0"),
    ]
    for given, message in cases:
        with pytest.raises(ValueError, match=message):
            walk.restore(1, given)
    with pytest.raises(ValueError, match=r"state: mean.0: None is needed"):
        Walk(Rule(RATES, 5, "sgd"), starts()).restore(1, state)
    assert walk.taken == 0
