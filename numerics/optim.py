"""Gradient descent for a batch of independent models in one loop: SGD, Adam, AdamW, with a cosine schedule.

Row b (the leading axis of every tensor) is model b, with its own learning rate η_b; s_k is the schedule's factor, g the
gradient at step k = 0, 1, ...:

    sgd            θ ← θ - η s_k (g + κθ)
    adam, adamw    μ ← β_1 μ + (1-β_1) g,   v ← β_2 v + (1-β_2) g²,
                   θ ← θ - η s_k · (μ/(1-β_1^{k+1})) / (√(v/(1-β_2^{k+1})) + ε)

with g + κθ for g in adam, and θ ← (1 - η s_k κ)θ before the step in adamw; κ is the weight decay. s_k is 1, or for the
cosine schedule (1 + cos(πk/K))/2, K the number of steps.

A row whose loss, gradient or weights are not finite, or that `evaluate` calls invalid, has diverged: from then on it
keeps the weights of its last good evaluation. Rows never mix, and no value is read within the loop, so that a GPU is
never waited for.
Source: Kingma and Ba, ICLR 2015; Loshchilov and Hutter, ICLR 2017 (the schedule, without restarts) and ICLR 2019.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from numerics.arguments import check_choice, check_count, shown

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("cosine", "constant")
WEIGHT_DECAY = {"sgd": 0.0, "adam": 0.0, "adamw": 0.01}
"""κ where none is given."""

Tensors = tuple[Tensor, ...]


@dataclass(frozen=True)
class Rule:
    """How the rows move: their learning rates, and what the module's text calls K, κ, β and ε.

    Raises ValueError for a learning rate that is not positive and finite, an unknown optimizer or schedule, no steps,
    and constants out of their range.
    """

    learning_rates: tuple[float, ...]
    steps: int
    optimizer: str = "adam"
    schedule: str = "cosine"
    weight_decay: float | None = None
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_choice("schedule", self.schedule, SCHEDULES)
        check_count("steps", self.steps, 1)
        for rate in self.learning_rates:
            if not (_is_number(rate) and 0 < rate < math.inf):
                raise ValueError(f"learning_rates: each must be positive and finite, got {shown(repr(rate))}")
        for name, value in (("weight_decay", self.decay), ("eps", self.eps)):
            if not (_is_number(value) and 0 <= value < math.inf):
                raise ValueError(f"{name}: must be finite and at least 0, got {shown(repr(value))}")
        if len(self.betas) != 2 or not all(_is_number(beta) and 0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas: two numbers of at least 0 and below 1 are needed, got {shown(repr(self.betas))}")

    @property
    def decay(self) -> float:
        """κ."""
        return WEIGHT_DECAY[self.optimizer] if self.weight_decay is None else self.weight_decay

    def factor(self, step: int) -> float:
        """s_k."""
        return 1.0 if self.schedule == "constant" else (1 + math.cos(math.pi * step / self.steps)) / 2

    def rows(self, index: Sequence[int] | range) -> Rule:
        """The rule of some of the rows."""
        rates = tuple(self.learning_rates[i] for i in index)
        return Rule(rates, self.steps, self.optimizer, self.schedule, self.weight_decay, self.betas, self.eps)


class BatchedOptimizer:
    """The state of an optimizer for weights (B, ...) of any shapes; see the module's text."""

    def __init__(self, rule: Rule, params: Sequence[Tensor]) -> None:
        self._rule = rule
        self._taken = 0
        self._rates = [
            torch.tensor(rule.learning_rates, dtype=p.dtype, device=p.device).reshape(-1, *[1] * (p.ndim - 1))
            for p in params
        ]
        self._means = [torch.zeros_like(p) for p in params]
        self._squares = [torch.zeros_like(p) for p in params]

    @property
    def taken(self) -> int:
        """k, the steps taken so far."""
        return self._taken

    def state(self) -> dict[str, Tensor]:
        """What `restore` needs besides the step k: copies of the moments; nothing for sgd."""
        if self._rule.optimizer == "sgd":
            return {}
        named = {"mean": self._means, "square": self._squares}
        return {f"{name}.{i}": x.clone() for name, xs in named.items() for i, x in enumerate(xs)}

    def restore(self, taken: int, state: Mapping[str, Tensor]) -> None:
        """Go on where `state` was taken, after so many steps; with other names or shapes a ValueError."""
        now = self.state()
        _check_alike(now, state)
        self._taken = taken
        if now:
            self._means = [state[f"mean.{i}"].clone() for i in range(len(self._means))]
            self._squares = [state[f"square.{i}"].clone() for i in range(len(self._squares))]

    def step(self, params: Sequence[Tensor], grads: Sequence[Tensor], alive: Tensor) -> Tensors:
        """The weights after one step, those of rows with `alive` (B,) False unchanged. Nothing given is changed."""
        moved = [self._moved(i, p.detach(), g.detach()) for i, (p, g) in enumerate(zip(params, grads, strict=True))]
        self._taken += 1
        return select(alive, moved, params)

    def _moved(self, index: int, param: Tensor, grad: Tensor) -> Tensor:
        rule, kappa = self._rule, self._rule.decay
        rate = self._rates[index] * rule.factor(self._taken)
        if kappa:
            if rule.optimizer == "adamw":
                param = param * (1 - rate * kappa)
            else:
                grad = grad.add(param, alpha=kappa)
        if rule.optimizer == "sgd":
            return param - rate * grad
        first, second = rule.betas
        mean = self._means[index].lerp_(grad, 1 - first)
        square = self._squares[index].mul_(second).addcmul_(grad, grad, value=1 - second)
        count = self._taken + 1
        spread = square.sqrt().div_(math.sqrt(1 - second**count)).add_(rule.eps)
        return param.addcdiv(mean * (rate / (first**count - 1)), spread)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a step needs to know at some weights: loss (B,), its gradient by every tensor of weights, `valid` (B,): is
    the row still one that may go on (None: all are), and other (B,) numbers to keep the largest of."""

    loss: Tensor
    grads: Tensors
    valid: Tensor | None = None
    measures: dict[str, Tensor] = field(default_factory=dict)


class Walk:
    """Rows on their way: at step k `judge` what was found at θ_k, then `move` on to θ_{k+1}.

    params: θ_k; alive (B,): the rows that have not diverged; steps (B,): those taken, with the one by which a row
    diverged. A row that has diverged keeps the weights of its last good evaluation.
    """

    def __init__(self, rule: Rule, params: Sequence[Tensor]) -> None:
        self._optimizer = BatchedOptimizer(rule, params)
        self.params = self._good = tuple(p.detach() for p in params)
        self.alive = torch.ones(self.params[0].shape[0], dtype=torch.bool, device=self.params[0].device)
        self.steps = torch.zeros(self.alive.shape, dtype=torch.int64, device=self.alive.device)

    @property
    def taken(self) -> int:
        """k."""
        return self._optimizer.taken

    def judge(self, found: Evaluation) -> Tensor:
        """The rows that are still alive; those that are not go back to their last good weights."""
        self.alive = self.alive & _is_good(found, self.params)
        self.params = select(self.alive, self.params, self._good)
        return self.alive

    def move(self, grads: Sequence[Tensor]) -> None:
        """One step of the optimizer from the weights that were judged."""
        self._good, self.params = self.params, self._optimizer.step(self.params, grads, self.alive)
        self.steps = self.steps + self.alive

    def state(self) -> dict[str, Tensor]:
        """Copies of all that `restore` needs besides k."""
        own = {f"param.{i}": p.clone() for i, p in enumerate(self.params)}
        own |= {f"good.{i}": p.clone() for i, p in enumerate(self._good)}
        return {**own, "alive": self.alive.clone(), "steps": self.steps.clone(), **self._optimizer.state()}

    def restore(self, taken: int, state: Mapping[str, Tensor]) -> None:
        """Go on where `state` was taken, at step k = `taken`, by the same numbers as without the interruption.

        Raises ValueError for the state of other rows, weights or another optimizer.
        """
        _check_alike(self.state(), state)
        moments = {name: x for name, x in state.items() if name.startswith(("mean.", "square."))}
        self._optimizer.restore(taken, moments)
        self.params, self._good = (
            tuple(state[f"{name}.{i}"].clone() for i in range(len(self.params))) for name in ("param", "good")
        )
        self.alive, self.steps = state["alive"].clone(), state["steps"].clone()


@dataclass(frozen=True, eq=False)
class Descent:
    """Where the rows came to.

    params: as given; loss (B,) at them; late_loss (B,): the loss when a tenth of the steps (rounded up) was left;
    grads: at params, arbitrary where a row has diverged; alive (B,): it has not; steps (B,): those taken,
    with the one by which a row diverged;
    largest: the largest (B,) of each measure; history: "loss" and each measure, (records, B), see `minimize`.
    """

    params: Tensors
    loss: Tensor
    late_loss: Tensor
    grads: Tensors
    alive: Tensor
    steps: Tensor
    largest: dict[str, Tensor]
    history: dict[str, Tensor]


def minimize(
    evaluate: Callable[[int, Tensors], Evaluation],
    params: Sequence[Tensor],
    rule: Rule,
    *,
    record_every: int = 0,
    on_step: Callable[[int], None] | None = None,
) -> Descent:
    """Run the rule for all its steps; `evaluate(k, θ_k)` is called for k = 0, ..., K.

    `record_every` = n > 0 keeps the loss and the measures of the steps 0, n, 2n, ... below K and those of step K.
    `on_step(k)` is called after each evaluation.
    """
    walk = Walk(rule, params)
    records: dict[str, list[Tensor]] = {}
    kept: dict[str, Tensor] = {}
    largest: dict[str, Tensor] = {}
    for step in range(rule.steps + 1):
        found = evaluate(step, walk.params)
        alive = walk.judge(found)
        values = {"loss": found.loss, **found.measures}
        kept = {name: torch.where(alive, value, kept.get(name, value)) for name, value in values.items()}
        largest = {name: torch.maximum(largest.get(name, kept[name]), kept[name]) for name in found.measures}
        if record_every and (step % record_every == 0 or step == rule.steps):
            for name, value in kept.items():
                records.setdefault(name, []).append(value)
        if step == rule.steps - math.ceil(rule.steps / 10):
            late = kept["loss"]
        if step < rule.steps:
            walk.move(found.grads)
        if on_step is not None:
            on_step(step)
    history = {name: torch.stack(values) for name, values in records.items()}
    return Descent(walk.params, kept["loss"], late, found.grads, walk.alive, walk.steps, largest, history)


def select(alive: Tensor, new: Sequence[Tensor], old: Sequence[Tensor]) -> Tensors:
    """The rows of `new` where alive (B,), else those of `old`."""
    return tuple(
        torch.where(alive.reshape(-1, *[1] * (n.ndim - 1)), n, o.detach()) for n, o in zip(new, old, strict=True)
    )


def _is_good(found: Evaluation, params: Tensors) -> Tensor:
    """Rows with finite numbers only: a sum is not finite as soon as one term is not (numbers so large that their sum
    overflows have diverged as well)."""
    total = found.loss
    for tensor in (*params, *found.grads):
        total = total + tensor.flatten(1).sum(dim=1)
    good = total - total == 0
    return good if found.valid is None else good & found.valid


def _check_alike(here: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Raises ValueError where a state has other names, shapes or dtypes."""
    shapes, others = ({name: (x.dtype, tuple(x.shape)) for name, x in state.items()} for state in (here, given))
    for name in dict.fromkeys((*shapes, *others)):
        if shapes.get(name) != others.get(name):
            raise ValueError(f"state: {name}: {shapes.get(name)} is needed, got {others.get(name)}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
