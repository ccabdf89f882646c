"""Upper ends of perturbed errors: never below the error at random weights, and close above the worst found."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from numerics import perturbation_split
from numerics.models import DiagonalModel
from numerics.perturbation import error_at, linear_perturbed_error
from numerics.perturbation_ball import Ball, moved, random_moves, scaled, size
from numerics.perturbation_dual import Terms, block_supremum, disk_supremum, golden, joint_supremum
from numerics.perturbation_shares import error_on_grid, setting
from numerics.perturbation_split import split_upper, worse_moves
from numerics.perturbation_upper import increment_upper
from numerics.targets import Target, parse_target


@pytest.fixture(autouse=True)
def _doubles() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


FAST = settings(max_examples=20, deadline=None)
TARGET = parse_target("polynomial:p=1.5")


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def a_model(m: int, d: int, seed: int, f: str = "exp", signs: bool = False, **settings: object) -> DiagonalModel:
    """Rates between e^{-2} and e^2; with step or native discrete time the multipliers that belong to them."""
    source = generator(seed)
    rates = torch.exp(4 * torch.rand(m, generator=source) - 2)
    complex_modes = settings.pop("complex_modes", False)
    lam: Tensor = -rates
    native = settings.get("time") == "discrete" and "step_size" not in settings
    if native:
        lam = torch.exp(-rates)
    if complex_modes:
        turn = torch.rand(m, generator=source) * 2
        lam = torch.polar(lam, turn) if native else torch.complex(lam, turn)
    shift = 0.5 if signs else 0.0
    c, U = torch.rand(m, generator=source) - shift, torch.rand(m, d, generator=source) - shift
    if complex_modes:
        c, U = c + 0.3j * torch.rand(m, generator=source), U + 0j
    return DiagonalModel.from_lam(lam, U, c, f, **settings)  # type: ignore[arg-type]


@pytest.fixture
def few_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of the ball are cheap to leave out where they are not what is tested."""
    monkeypatch.setattr(perturbation_split, "_CUTS", 2)


def split(model: DiagonalModel, targets: list[Target], ball: Ball, betas: Tensor, seed: int = 0) -> Tensor:
    """The split bound around a random θ*, which is sound for any."""
    star = random_moves(model, ball, (len(betas),), generator(seed))
    star = scaled(star, betas.view(-1, *[1] * len(model.batch_shape)).expand(len(betas), *model.batch_shape))
    wanted = torch.ones(len(betas), *model.batch_shape, dtype=torch.bool)
    return split_upper(model, targets, ball, betas, star, wanted)


def worst_at_random(model: DiagonalModel, targets: list[Target], ball: Ball, beta: float, draws: int) -> float:
    moves = scaled(random_moves(model, ball, (draws,), generator(5)), torch.full((draws,), beta))
    value, error = error_at(moved(model, moves), targets)
    return float((value - error).max())


# --- the dual -------------------------------------------------------------------------------------------------------


@FAST
@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3), st.floats(0, 3), st.floats(0.01, 4))
def test_disk_supremum_is_an_upper_bound_and_tight(x: float, y: float, q: float, mu: float, left: float) -> None:
    """Against the maximum over a polar grid, whose distance from the supremum is at most its mesh times the slope."""
    numbers = [torch.tensor(v) for v in (x, y, q, mu, left)]
    bound = float(disk_supremum(*numbers))
    angle, radius = torch.linspace(0, 2 * math.pi, 721)[:, None], math.sqrt(left) * torch.linspace(0, 1, 401)
    b, e = radius * torch.cos(angle), radius * torch.sin(angle)
    grid = float((x * b + y * e + q * b * e - mu * (b * b + e * e)).max())
    slope = abs(x) + abs(y) + (abs(q) + 2 * mu) * math.sqrt(left)
    assert grid <= bound * (1 + 1e-12) + 1e-12
    assert bound <= grid + slope * math.sqrt(left) * (2 * math.pi / 720 + 1 / 400) + 1e-6


def test_joint_supremum_of_linear_terms_is_cauchy_schwarz() -> None:
    """F_i = y_i e_i: β|y|_2 in both balls; F_i = q b_i e_i: max q β²/2 (joint)."""
    y, zero = torch.rand(1, 5, 1, generator=generator(0)), torch.zeros(1, 5, 1)
    betas = torch.tensor([0.7])
    linear = Terms(zero, zero, y, zero, zero)
    for bound in (joint_supremum(linear, betas), block_supremum(linear, betas, 1)):
        assert bound.item() == pytest.approx(0.7 * float(y.norm()), rel=1e-8)
    product = Terms(zero, zero, zero, y, zero)
    assert joint_supremum(product, betas).item() == pytest.approx(float(y.max()) * 0.49 / 2, rel=1e-6)
    assert block_supremum(product, betas, 1).item() == pytest.approx(float(y.max()) * 0.49, rel=1e-6)


def test_block_supremum_of_one_mode_is_its_corner() -> None:
    numbers = [torch.full((1, 1, 1), v) for v in (0.3, 1.0, 2.0, 0.5, 0.0)]
    expected = 0.3 + 1.0 * 0.7 + 2.0 * 0.7 + 0.5 * 0.49
    assert block_supremum(Terms(*numbers), torch.tensor([0.7]), 1).item() == pytest.approx(expected, rel=1e-6)
    numbers[3] = -numbers[3] * 8
    opposite = 0.3 + 1.0 * 0.7 + 4.0 * 0.49
    assert block_supremum(Terms(*numbers), torch.tensor([0.7]), 1).item() >= opposite * (1 - 1e-12)


def test_golden_section_finds_the_least_of_convex_functions() -> None:
    low = torch.tensor([-3.0, -3.0])
    least = golden(lambda x: (x - torch.tensor([0.5, 9.0])) ** 2 + 1, low, -low, 40)
    assert least.tolist() == pytest.approx([1.0, 37.0], rel=1e-6)


# --- soundness ------------------------------------------------------------------------------------------------------

KINDS = {
    "plain": {},
    "unit-norm": {"modes": "unit-norm"},
    "complex": {"complex_modes": True},
    "complex unit-norm": {"complex_modes": True, "modes": "unit-norm"},
    "native": {"time": "discrete"},
    "native unit-norm": {"time": "discrete", "modes": "unit-norm"},
    "native complex": {"time": "discrete", "complex_modes": True},
    "zoh": {"time": "discrete", "step_size": 0.1, "discretization": "zoh"},
    "bilinear": {"time": "discrete", "step_size": 0.1, "discretization": "bilinear"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", ["joint", "block"])
@pytest.mark.parametrize("d", [1, 2])
def test_triangle_bound_is_above_the_error_at_random_weights(kind: str, shape: str, d: int) -> None:
    model = a_model(3, d, 7, signs=True, **KINDS[kind])
    ball, beta, targets = Ball.of(model, shape, None), 0.3, [TARGET] * d
    start, error = error_at(model, targets)
    upper = float(start + error + increment_upper(model, ball, torch.tensor([beta])))
    assert worst_at_random(model, targets, ball, beta, 100) <= upper
    assert upper < 60 * float(start)


@pytest.mark.parametrize("groups", [["w"], ["U"], ["c"], ["U", "c"], ["w", "c"], ["w", "U", "c"]])
@pytest.mark.parametrize("shape", ["joint", "block"])
@pytest.mark.parametrize(
    ("d", "f", "modes"), [(1, "exp", "plain"), (2, "direct", "plain"), (1, "best:b=0.05", "unit-norm")]
)
def test_split_bound_is_above_the_error_at_random_weights(
    groups: list[str], shape: str, d: int, f: str, modes: str
) -> None:
    """Around a random θ*, for weights of any sign."""
    model = a_model(3, d, 3, f=f, signs=True, modes=modes)
    ball, targets = Ball.of(model, shape, groups), [TARGET, parse_target("two-part")][:d]
    beta = 0.7 * min(1.0, float(model.stability_margin))
    upper = float(split(model, targets, ball, torch.tensor([beta]))[0])
    assert worst_at_random(model, targets, ball, beta, 100) <= upper < math.inf


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["joint", "block"])
def test_both_bounds_are_above_ten_thousand_random_weights(shape: str) -> None:
    model = a_model(5, 1, 11, signs=True)
    ball, beta = Ball.of(model, shape, None), 0.5
    worst = worst_at_random(model, [TARGET], ball, beta, 10_000)
    start, error = error_at(model, [TARGET])
    assert worst <= float(start + error + increment_upper(model, ball, torch.tensor([beta])))
    assert worst <= float(split(model, [TARGET], ball, torch.tensor([beta]))[0])


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.sampled_from(["joint", "block"]), st.floats(0.02, 1.0))
def test_ends_are_in_order_and_close(seed: int, shape: str, beta: float) -> None:
    """Positive weights, any of a few f; the upper end is below 1.25 times the lower."""
    f = ["direct", "exp", "softplus", "best:b=0.1"][seed % 4]
    model = a_model(1 + seed % 6, 1, seed, f=f)
    radius = beta * min(0.5 * float(model.stability_margin), 1.0)
    bracket = linear_perturbed_error(model, TARGET, [radius], ball=shape)
    assert bracket.lower.item() <= bracket.upper.item() <= 1.25 * bracket.lower.item()


# --- what the split gains -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [["w"], ["c"], ["w", "U", "c"]])
def test_one_mode_is_nearly_exact_far_from_its_target(groups: list[str]) -> None:
    """With one mode its share is the target itself, and nothing but the cells of time and of w̃ is lost."""
    model = DiagonalModel.from_lam(torch.tensor([-4.0]), torch.tensor([[3.0]]), torch.tensor([0.5]), "exp")
    target = parse_target("exponential:rate=0.5")
    for shape in ("joint", "block"):
        bracket = linear_perturbed_error(model, target, [0.1, 1.0], ball=shape, groups=groups)
        assert bool((bracket.upper <= 1.02 * bracket.lower).all())


def test_split_beats_the_triangle_where_the_model_is_far_too_large() -> None:
    """Faster modes change no total variation, which the triangle inequality cannot see."""
    model = DiagonalModel.from_lam(-torch.tensor([2.0, 5.0, 9.0]), 3 * torch.ones(3, 1), torch.ones(3), "exp")
    ball, betas = Ball.of(model, "block", ["w"]), torch.tensor([0.5])
    bracket = linear_perturbed_error(model, TARGET, betas, ball="block", groups=["w"])
    triangle = error_at(model, [TARGET])[0] + increment_upper(model, ball, betas)
    assert bracket.upper.item() <= 1.03 * bracket.lower.item()
    assert float(triangle) >= 1.15 * bracket.lower.item()


def fitted(m: int) -> tuple[DiagonalModel, list[Target]]:
    """Σ 4^i e^{-4^i t} as a model and as a target: moves either way are nearly as bad."""
    rates = 4.0 ** torch.arange(m)
    model = DiagonalModel.from_lam(-rates, rates[:, None], torch.ones(m), "direct")
    return model, [parse_target("+".join(f"exponential:rate={rate}:scale={rate}" for rate in rates.tolist()))]


@pytest.mark.parametrize("groups", [["w"], ["c"], ["w", "U", "c"]])
@pytest.mark.parametrize("shape", ["joint", "block"])
def test_parts_of_the_ball_are_sound_and_sharper(
    groups: list[str], shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, targets = fitted(3)
    ball, beta = Ball.of(model, shape, groups), 0.5
    bracket = linear_perturbed_error(model, targets, [beta], ball=shape, groups=groups)
    betas, wanted = torch.tensor([beta]), torch.tensor([True])
    monkeypatch.setattr(perturbation_split, "_LOOSE", 1.0)
    monkeypatch.setattr(perturbation_split, "_CUTS", 4)
    cut = float(split_upper(model, targets, ball, betas, bracket.worst, wanted))
    monkeypatch.setattr(perturbation_split, "_CUTS", 0)
    whole = float(split_upper(model, targets, ball, betas, bracket.worst, wanted))
    assert bracket.lower.item() <= cut <= whole
    assert worst_at_random(model, targets, ball, beta, 300) <= cut
    if groups == ["w"] and shape == "block":
        assert cut < 0.9 * whole


@pytest.mark.parametrize("shape", ["joint", "block"])
def test_worse_moves_stay_in_the_ball_and_gain(shape: str) -> None:
    model, targets = fitted(4)
    ball, betas = Ball.of(model, shape, None), torch.tensor([0.1])
    start = scaled(random_moves(model, ball, (1,), generator(0)), betas)
    found = worse_moves(model, targets, ball, betas, start, torch.tensor([True]))
    at = setting(model, targets, ball, betas[0])
    assert at is not None
    alone = [{group: tuple(x[0] for x in xs) for group, xs in way.items()} for way in (start, found)]
    errors = [error_on_grid(at, way) for way in alone]
    assert float(size(ball, found, 1)) <= 0.1 * (1 + 1e-12)
    assert errors[0] < errors[1]
    assert errors[1] == pytest.approx(float(error_at(moved(model, found), targets)[0]), rel=0.02)


# --- invariances ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("few_cuts")
def test_bounds_do_not_depend_on_the_order_of_the_modes() -> None:
    model = a_model(4, 2, 5)
    order = torch.tensor([2, 0, 3, 1])
    layer = model.layers[0]
    other = model.replace_weights(w=layer.w[order], U=layer.U[order], c=model.c[:, order])
    zero = torch.zeros(2)
    for shape in ("joint", "block"):
        ball, betas = Ball.of(model, shape, None), torch.tensor([0.1, 0.4])
        increments = [increment_upper(x, ball, betas).tolist() for x in (model, other)]
        assert increments[0] == pytest.approx(increments[1])
        still = scaled(random_moves(model, ball, (2,), generator(0)), zero)
        wanted = torch.ones(2, dtype=torch.bool)
        bounds = [split_upper(x, [TARGET] * 2, ball, betas, still, wanted).tolist() for x in (model, other)]
        assert bounds[0] == pytest.approx(bounds[1], rel=1e-10)


@pytest.mark.usefixtures("few_cuts")
@pytest.mark.parametrize("shape", ["joint", "block"])
def test_bounds_of_a_batch_are_those_of_its_members(shape: str) -> None:
    parts = [a_model(3, 1, seed) for seed in (1, 2)]
    batch = parts[0].replace_weights(
        w=torch.stack([x.layers[0].w for x in parts]),
        U=torch.stack([x.layers[0].U for x in parts]),
        c=torch.stack([x.c for x in parts]),
    )
    ball, betas = Ball.of(batch, shape, None), torch.tensor([0.05, 0.5])
    together = increment_upper(batch, ball, betas)
    star = scaled(random_moves(batch, ball, (2,), generator(0)), betas[:, None].expand(2, 2))
    splits = split_upper(batch, [TARGET], ball, betas, star, torch.ones(2, 2, dtype=torch.bool))
    for index, part in enumerate(parts):
        own = {group: tuple(x[:, index] for x in xs) for group, xs in star.items()}
        alone = split_upper(part, [TARGET], ball, betas, own, torch.ones(2, dtype=torch.bool))
        assert together[:, index].tolist() == pytest.approx(increment_upper(part, ball, betas).tolist(), rel=1e-12)
        assert splits[:, index].tolist() == pytest.approx(alone.tolist(), rel=1e-12)


def test_bounds_grow_with_the_radius_and_vanish_with_it() -> None:
    model = a_model(4, 1, 2)
    betas = torch.tensor([0.0, 1e-6, 1e-3, 0.1, 0.5, 1.0])
    for shape in ("joint", "block"):
        bound = increment_upper(model, Ball.of(model, shape, None), betas)
        assert bound[0] == 0
        assert bool((bound.diff() > 0).all())
        bracket = linear_perturbed_error(model, TARGET, betas, ball=shape)
        assert bool((bracket.upper.diff() >= 0).all())


@pytest.mark.usefixtures("few_cuts")
def test_split_leaves_out_what_is_not_wanted() -> None:
    model = a_model(2, 1, 0)
    ball, betas = Ball.of(model, "joint", None), torch.tensor([0.1, 0.2])
    star = scaled(random_moves(model, ball, (2,), generator(0)), torch.zeros(2))
    bound = split_upper(model, [TARGET], ball, betas, star, torch.tensor([True, False]))
    assert math.isfinite(bound[0])
    assert bound[1] == math.inf
