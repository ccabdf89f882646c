"""E_m(β) of a linear model as a bracket: against closed forms, random perturbations and the loop over members."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics.models import DiagonalModel
from numerics.perturbation import error_at, linear_perturbed_error
from numerics.perturbation_ball import Ball, moved, random_moves, scaled, size
from numerics.targets import parse_target


@pytest.fixture(autouse=True)
def _doubles() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


FAST = settings(max_examples=15, deadline=None)


def one_mode(lam: float, c: float = 1.0, u: float = 1.0, f: str = "direct", modes: str = "plain") -> DiagonalModel:
    return DiagonalModel.from_lam(torch.tensor([lam]), torch.tensor([[u]]), torch.tensor([c]), f, modes=modes)


def positive(m: int, seed: int, d: int = 1, f: str = "direct", modes: str = "plain") -> DiagonalModel:
    generator = torch.Generator().manual_seed(seed)
    rates = torch.exp(torch.rand(m, generator=generator) * 5 - 2)
    U = 0.1 + torch.rand(m, d, generator=generator)
    return DiagonalModel.from_lam(-rates, U, 0.1 + torch.rand(m, generator=generator), f, modes=modes)


# --- closed forms ---------------------------------------------------------------------------------------------------


def test_one_mode_whose_c_moves() -> None:
    """ρ = ρ̂ = e^{-2t}: E(β) = β(2 + 1/2)."""
    error = linear_perturbed_error(one_mode(-2.0), parse_target("exponential:rate=2"), [0.0, 0.1, 1.0], groups=["c"])
    for end in (error.lower, error.upper):
        assert end.tolist() == pytest.approx([0.0, 0.25, 2.5], rel=1e-8, abs=1e-12)


def test_one_mode_whose_c_and_u_move_together() -> None:
    """(x + β/√2)² - x² = √2βx + β²/2 in the joint ball, (x + β)² - x² in the block ball; times 2 + 1/r."""
    target, betas = parse_target("exponential:rate=2"), [0.3]
    model = one_mode(-2.0, 1.0, 1.0)
    joint = linear_perturbed_error(model, target, betas, groups=["U", "c"])
    block = linear_perturbed_error(model, target, betas, groups=["U", "c"], ball="block")
    expected = 2.5 * (math.sqrt(2) * 0.3 + 0.045)
    assert joint.lower.item() == pytest.approx(expected, rel=1e-6)
    assert joint.upper.item() == pytest.approx(expected, rel=1e-4)
    assert block.lower.item() == pytest.approx(2.5 * (1.3**2 - 1), rel=1e-6)
    assert block.upper.item() == pytest.approx(2.5 * (1.3**2 - 1), rel=1e-4)


@pytest.mark.parametrize(("f", "slower"), [("direct", -2.0 + 0.5), ("exp", -2 * math.exp(-0.5)), ("best:b=0.1", None)])
def test_one_mode_whose_w_moves(f: str, slower: float | None) -> None:
    """E(β) = 1/r̃ - 1/r + K(r̃/r), K(q) = 2q^{-1/(q-1)}|1 - 1/q|, at the slowest r̃."""
    if slower is None:
        slower = -1 / ((math.sqrt(0.5 - 0.1) + 0.5) ** 2 + 0.1)
    error = linear_perturbed_error(one_mode(-2.0, f=f), parse_target("exponential:rate=2"), [0.5], groups=["w"])
    q = slower / -2.0
    expected = -1 / slower - 0.5 + 2 * q ** (-1 / (q - 1)) * abs(1 - 1 / q)
    assert error.lower.item() == pytest.approx(expected, rel=1e-6)
    assert error.lower.item() <= error.upper.item() <= expected * 1.02


def test_zero_model_is_the_bound_that_no_reparameterization_escapes() -> None:
    """c = u = 0 and target 0: E(β) = (β²/2)(2 + 1/r) in the joint ball."""
    target = parse_target("exponential:rate=1:scale=0")
    for f in ("direct", "exp", "softplus"):
        error = linear_perturbed_error(one_mode(-0.5, 0.0, 0.0, f), target, [0.2], groups=["U", "c"])
        assert error.lower.item() == pytest.approx(0.02 * 4, rel=1e-6)
        assert error.upper.item() == pytest.approx(0.02 * 4, rel=1e-3)


# --- the boundary of stability --------------------------------------------------------------------------------------


def test_infinite_exactly_where_the_ball_reaches_the_boundary() -> None:
    model, target = positive(4, 0), parse_target("polynomial:p=2")
    margin = model.stability_margin.item()
    betas = [0.0, 0.5 * margin, margin * (1 - 1e-9), margin, 2 * margin]
    error = linear_perturbed_error(model, target, betas)
    assert [math.isinf(x) for x in error.lower.tolist()] == [False, False, False, True, True]
    assert [math.isinf(x) for x in error.upper.tolist()] == [False, False, False, True, True]
    assert error.margin.item() == margin
    fixed = linear_perturbed_error(model, target, betas, groups=["U", "c"])
    assert torch.isfinite(fixed.upper).all()
    stable = linear_perturbed_error(positive(4, 0, f="exp"), target, [1.0, 5.0], groups=["w"])
    assert torch.isfinite(stable.upper).all()


@pytest.mark.parametrize("ball", ["joint", "block"])
def test_a_dead_mode_counts_only_where_it_can_be_revived(ball: str) -> None:
    """Modes at -1 (alive) and -0.1 (c = 0), which counts where c moves."""
    lam, U, c = torch.tensor([-1.0, -0.1]), torch.ones(2, 1), torch.tensor([1.0, 0.0])
    model, target = DiagonalModel.from_lam(lam, U, c), parse_target("exponential")
    only_w = linear_perturbed_error(model, target, [0.1, 0.5], ball=ball, groups=["w"])
    assert torch.isfinite(only_w.upper).all()
    with_c = linear_perturbed_error(model, target, [0.1, 0.11], ball=ball, groups=["w", "c"])
    assert [math.isinf(x) for x in with_c.lower.tolist()] == [True, True]


@pytest.mark.parametrize(("c", "u", "infinite"), [(0.0, 1.0, True), (1.0, 0.0, True), (0.0, 0.0, False)])
def test_a_dead_mode_at_the_very_distance_of_the_boundary(c: float, u: float, infinite: bool) -> None:
    """λ̃ = -ε leaves √(2·0.2ε) for c and U: |c̃Ũ|/ε is unbounded where one of them is there already."""
    model, target = one_mode(-0.2, c, u), parse_target("exponential:rate=1")
    joint = linear_perturbed_error(model, target, [0.2], starts=2, steps=2)
    block = linear_perturbed_error(model, target, [0.2], ball="block", starts=2, steps=2)
    assert math.isinf(joint.lower.item()) is infinite
    assert math.isinf(block.lower.item())


@pytest.mark.parametrize("groups", [["w"], ["w", "U"]])
def test_where_a_mode_that_stays_dead_lies_does_not_matter(groups: list[str]) -> None:
    target = parse_target("polynomial:p=2")
    found = []
    for lam in (-1e-3, -1.0):
        rates, inputs, outputs = torch.tensor([-1.0, lam]), torch.tensor([[1.0], [1.0]]), torch.tensor([1.0, 0.0])
        model = DiagonalModel.from_lam(rates, inputs, outputs)
        found.append(linear_perturbed_error(model, target, [0.5], groups=groups))
        assert found[-1].margin.item() == -lam
        assert error_at(moved(model, {g: tuple(x[0] for x in xs) for g, xs in found[-1].worst.items()}), [target])[
            0
        ].item() == pytest.approx(found[-1].lower.item(), rel=1e-9)
    assert found[0].lower.item() == pytest.approx(found[1].lower.item(), rel=1e-9)
    assert found[0].upper.item() == pytest.approx(found[1].upper.item(), rel=1e-9)


def test_models_in_single_precision_are_computed_in_double() -> None:
    model, target = one_mode(-1.0, f="exp"), parse_target("exponential:rate=1")
    single = linear_perturbed_error(model.to(dtype=torch.float32), target, [0.1], groups=["w"])
    double = linear_perturbed_error(model, target, [0.1], groups=["w"])
    assert single.lower.dtype == torch.float64
    assert single.upper.item() == pytest.approx(double.upper.item(), rel=1e-6)


@pytest.mark.parametrize("f", ["exp", "softplus"])
def test_beyond_double_precision_is_not_called_the_boundary(f: str) -> None:
    """e^{-800} rounds to 0, but -e^w never reaches it: a true lower end, and no finite upper one."""
    error = linear_perturbed_error(one_mode(-1.0, f=f), parse_target("exponential"), [800.0], groups=["w"])
    assert 1e80 < error.lower.item() < math.inf
    assert error.upper.item() == math.inf
    assert "boundary" not in error.reasons[0]


def test_native_discrete_time_has_its_own_boundary() -> None:
    lam, U, c = torch.tensor([0.5, -0.8]), torch.ones(2, 1), torch.ones(2)
    model = DiagonalModel.from_lam(lam, U, c, "direct", time="discrete")
    error = linear_perturbed_error(model, parse_target("exponential"), [0.1, 0.2], groups=["w"])
    assert torch.isfinite(error.upper[0])
    assert math.isinf(error.lower[1].item())


# --- soundness ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ball", ["joint", "block"])
@pytest.mark.parametrize("modes", ["plain", "unit-norm"])
def test_random_perturbations_stay_inside_the_bracket(ball: str, modes: str) -> None:
    model, target = (
        positive(6, 1, d=2, f="exp", modes=modes),
        [parse_target("polynomial:p=2"), parse_target("two-part")],
    )
    betas = [0.05, 0.3]
    error = linear_perturbed_error(model, target, betas, ball=ball)
    region = Ball.of(model, ball, None)
    move = random_moves(model, region, (2, 500), torch.Generator().manual_seed(0))
    move = scaled(move, torch.tensor(betas)[:, None].expand(2, 500))
    assert torch.allclose(size(region, move, 2), torch.tensor(betas)[:, None].expand(2, 500))
    values, _ = error_at(moved(model, move), target)
    assert (values.amax(1) <= error.upper).all()
    assert (values.amax(1) <= error.lower * (1 + 1e-9)).all()
    worst, _ = error_at(moved(model, error.worst), target)
    assert worst.tolist() == pytest.approx(error.lower.tolist(), rel=1e-6)
    assert (size(region, error.worst, 1) <= torch.tensor(betas) * (1 + 1e-12)).all()


@pytest.mark.slow
def test_the_lower_end_beats_ten_thousand_random_perturbations() -> None:
    model, target = positive(64, 2, f="softplus"), parse_target("polynomial:p=1.5")
    error = linear_perturbed_error(model, target, [0.1])
    move = random_moves(model, Ball(groups=("w", "U", "c")), (10_000,), torch.Generator().manual_seed(1))
    values, _ = error_at(moved(model, scaled(move, torch.full((10_000,), 0.1))), [target])
    assert values.max() <= error.lower[0]


def test_the_bracket_grows_with_beta_and_keeps_the_order_asked() -> None:
    model, target = positive(5, 3), parse_target("polynomial:p=3")
    betas = [0.1, 0.0, 0.05, 0.02]
    error = linear_perturbed_error(model, target, betas)
    order = sorted(range(4), key=betas.__getitem__)
    for end in (error.lower, error.upper):
        assert end[order].tolist() == sorted(end.tolist())
    assert [row["beta"] for row in error.as_json()["rows"]] == betas


def test_more_groups_and_the_larger_ball_give_more() -> None:
    model, target = positive(5, 4), parse_target("polynomial:p=2")
    few = linear_perturbed_error(model, target, [0.05], groups=["c"])
    more = linear_perturbed_error(model, target, [0.05], groups=["w", "U", "c"])
    block = linear_perturbed_error(model, target, [0.05], ball="block")
    assert few.lower < more.lower < block.lower
    assert few.upper < more.upper < block.upper


# --- batches and invariances ----------------------------------------------------------------------------------------


def test_batched_equals_looped() -> None:
    models = [positive(4, seed) for seed in range(3)]
    batch = DiagonalModel.from_lam(
        torch.stack([model.lam() for model in models]),
        torch.stack([model.layers[0].U for model in models]),
        torch.stack([model.c for model in models]),
    )
    target, betas = parse_target("polynomial:p=2"), [0.0, 0.01, 0.05]
    together = linear_perturbed_error(batch, target, betas)
    for index, model in enumerate(models):
        alone = linear_perturbed_error(model, target, betas)
        assert together.upper[:, index].tolist() == pytest.approx(alone.upper.tolist(), rel=1e-12)
        assert together.lower[:, index].tolist() == pytest.approx(alone.lower.tolist(), rel=1e-12)
        assert together.worst["c"][0][:, index].shape == alone.worst["c"][0].shape


@FAST
@given(st.permutations(range(4)), st.sampled_from(["joint", "block"]))
def test_the_order_of_modes_does_not_matter(order: list[int], ball: str) -> None:
    model, target = positive(4, 5), parse_target("polynomial:p=2")
    layer = model.layers[0]
    other = DiagonalModel.from_lam(model.lam()[order], layer.U[order], model.c[:, order])
    first, second = (linear_perturbed_error(m, target, [0.03], ball=ball) for m in (model, other))
    assert second.upper.item() == pytest.approx(first.upper.item(), rel=1e-9)
    assert second.lower.item() == pytest.approx(first.lower.item(), rel=1e-3)


@FAST
@given(st.floats(0.1, 10.0))
def test_time_scales(scale: float) -> None:
    """t → t/s with λ → sλ, w alone moving by sβ: ∫|e| is divided by s, the variation stays."""
    target, fast = parse_target("exponential:rate=1"), parse_target(f"exponential:rate={scale!r}")
    one = linear_perturbed_error(one_mode(-1.0), target, [0.2], groups=["w"])
    other = linear_perturbed_error(one_mode(-scale), fast, [0.2 * scale], groups=["w"])
    size_part, variation = 1 / 0.8 - 1, one.lower.item() - (1 / 0.8 - 1)
    assert other.lower.item() == pytest.approx(size_part / scale + variation, rel=1e-6)


# --- hypotheses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"betas": [-0.1]}, "beta"),
        ({"betas": [math.nan]}, "beta"),
        ({"betas": [math.inf]}, "beta"),
        ({"betas": []}, "beta"),
        ({"ball": "round"}, "ball"),
        ({"groups": ["v"]}, "groups"),
        ({"groups": []}, "groups"),
        ({"groups": ["c", "c"]}, "groups"),
        ({"groups": ["omega"]}, "omega"),
        ({"targets": []}, "target"),
        ({"targets": parse_target("polynomial:p=1")}, "infinite"),
        ({"targets": parse_target("sine")}, "infinite"),
    ],
)
def test_what_is_refused(change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"targets": parse_target("exponential"), "betas": [0.1], **change}
    with pytest.raises(ValueError, match=message):
        linear_perturbed_error(one_mode(-1.0), **arguments)  # type: ignore[arg-type]


def test_models_without_one_kernel_are_refused() -> None:
    lam, U, c = -torch.ones(2), torch.ones(2, 1), torch.ones(2)
    nonlinear = DiagonalModel.from_lam(lam, U, c, activation="tanh")
    with pytest.raises(ValueError, match="activation"):
        linear_perturbed_error(nonlinear, parse_target("exponential"), [0.1])
    with pytest.raises(ValueError, match="one output"):
        linear_perturbed_error(DiagonalModel.from_lam(lam, U, torch.ones(2, 2)), parse_target("exponential"), [0.1])
