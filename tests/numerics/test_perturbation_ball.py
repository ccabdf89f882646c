"""The ball of weights: sizes, farthest points, moves."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics.models import DiagonalModel
from numerics.perturbation_ball import (
    GROUPS,
    Ball,
    chosen,
    farthest,
    moved,
    random_moves,
    reaches_boundary,
    scaled,
    size,
)
from tests.strategies import diagonal_models

FAST = settings(max_examples=25, deadline=None)


def inner(a: dict[str, tuple[torch.Tensor, ...]], b: dict[str, tuple[torch.Tensor, ...]]) -> torch.Tensor:
    """The real inner product, for one leading axis."""
    return torch.stack([(x.conj() * y).real.flatten(1).sum(1) for g in a for x, y in zip(a[g], b[g], strict=True)]).sum(
        0
    )


@FAST
@given(diagonal_models(batch=()), st.sampled_from(["joint", "block"]), st.integers(0, 100))
def test_no_move_of_size_one_gains_more_than_the_farthest(model: DiagonalModel, kind: str, seed: int) -> None:
    ball = Ball.of(model, kind, None)
    generator = torch.Generator().manual_seed(seed)
    gradient = random_moves(model, ball, (1,), generator)
    best = farthest(ball, gradient, 1)
    assert size(ball, best, 1).tolist() == pytest.approx([1.0], rel=1e-6)
    others = random_moves(model, ball, (200,), generator)
    assert size(ball, others, 1).tolist() == pytest.approx([1.0] * 200, rel=1e-6)
    repeated = {group: tuple(x.expand(200, *x.shape[1:]) for x in xs) for group, xs in gradient.items()}
    assert inner(repeated, others).max() <= inner(gradient, best).item() * (1 + 1e-6)


@FAST
@given(diagonal_models(batch=(2,)), st.sampled_from(["joint", "block"]))
def test_size_is_a_norm_and_keeps_batches_apart(model: DiagonalModel, kind: str) -> None:
    ball = Ball.of(model, kind, None)
    move = random_moves(model, ball, (3,), torch.Generator().manual_seed(0))
    factors = torch.tensor([[0.0, 1.0], [2.0, 3.0], [0.5, 4.0]], dtype=model.dtype)
    assert torch.allclose(size(ball, scaled(move, factors), 2), factors)
    picked = chosen(factors > 1, move, scaled(move, torch.zeros_like(factors)))
    assert torch.allclose(size(ball, picked, 2), (factors > 1).to(model.dtype))


def test_moved_adds_and_leaves_the_model_alone() -> None:
    model = DiagonalModel.from_lam(
        -torch.ones(2, dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    )
    other = moved(model, {"c": (torch.full((5, 1, 2), 0.5, dtype=torch.float64),)})
    assert other.batch_shape == (5,)
    assert other.c.unique().tolist() == [1.5]
    assert model.c.unique().tolist() == [1.0]


def test_layers_that_lead_nowhere_do_not_reach_the_boundary() -> None:
    """A second layer that does not see the slow mode of the first."""
    one = torch.ones(1, 1, dtype=torch.float64)
    lam = [torch.tensor([-1.0, -0.1], dtype=torch.float64), torch.tensor([-1.0], dtype=torch.float64)]
    U = [torch.ones(2, 1, dtype=torch.float64), torch.tensor([[1.0, 0.0]], dtype=torch.float64)]
    model = DiagonalModel.from_lam(lam, U, one[0])
    betas = torch.tensor([0.05, 0.1, 0.5, 1.0], dtype=torch.float64)
    assert reaches_boundary(model, Ball(groups=("w",)), betas).tolist() == [False, False, False, True]
    assert reaches_boundary(model, Ball(groups=("w", "U")), betas).tolist() == [False, True, True, True]


@pytest.mark.parametrize(
    ("kind", "groups", "message"),
    [("round", ("w",), "ball"), ("joint", (), "groups"), ("joint", ("v",), "groups"), ("joint", ("w", "w"), "twice")],
)
def test_what_is_no_ball(kind: str, groups: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Ball(kind, groups)


def test_all_groups_by_default() -> None:
    one = torch.ones(1, dtype=torch.complex128)
    lam, U, c = (-1 + 2j) * one, one[:, None], one
    assert Ball.of(DiagonalModel.from_lam(lam, U, c), "joint", None).groups == GROUPS
