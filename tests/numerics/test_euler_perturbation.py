"""The published perturbation experiment: against a plain loop over sampled noise; radii against the inverse of f."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from numerics.euler_perturbation import (
    HORIZON,
    euler_model,
    euler_radius,
    random_errors,
    time_weights,
    weighted_error,
)
from numerics.expsum import explicit_model
from numerics.models import DiagonalModel
from numerics.targets import parse_target

RHO = parse_target("polynomial:p=1.5:s=2")


def model_of(f: str = "softplus", m: int = 4, modes: str = "plain") -> DiagonalModel:
    return explicit_model(RHO, m, f, modes)


def error_of(lam: list[float], weights: list[float], step: str, horizon: int) -> float:
    a, rates = (torch.tensor(x, dtype=torch.float64) for x in (weights, lam))
    return float(weighted_error(a, 1 + rates if step == "euler" else rates.exp(), RHO, horizon))


def looped_error(lam: list[float], weights: list[float], step: str, inputs: np.ndarray) -> float:
    """The experiment as it is written: the layer stepped through each input, the target convolved, the weighted MSE."""
    count, horizon = inputs.shape
    rho = RHO.rho(range(horizon))
    size = np.arange(1, horizon + 1) ** 2.0
    size = size / size.sum() * horizon
    total = 0.0
    for x in inputs:
        h, target = np.zeros(len(lam)), np.convolve(x, rho)[:horizon]
        for k in range(horizon):
            h = h + (np.array(lam) * h + x[k]) if step == "euler" else np.exp(lam) * h + x[k]
            total += (size[k] * (target[k] - float(np.array(weights) @ h))) ** 2
    return total / (count * horizon)


@pytest.mark.parametrize("step", ["euler", "exact"])
def test_the_mean_over_noise_is_that_of_sampled_inputs(step: str) -> None:
    lam, weights = [-0.3, -1.7], [0.5, 0.2]
    exact = error_of(lam, weights, step, 12)
    inputs = np.random.default_rng(3).normal(size=(1500, 12))
    values = [looped_error(lam, weights, step, part) for part in inputs.reshape(30, 50, 12)]
    spread = float(np.std(values) / math.sqrt(len(values)))
    assert abs(np.mean(values) - exact) < 4 * spread
    assert spread < 0.05 * exact


@pytest.mark.parametrize("step", ["euler", "exact"])
def test_unit_pulses_give_it_exactly(step: str) -> None:
    """White noise has the covariance 1: the mean over noise is the sum over unit pulses at every time."""
    lam, weights = [-0.3, -1.7], [0.5, 0.2]
    exact = error_of(lam, weights, step, 9)
    assert 9 * looped_error(lam, weights, step, np.eye(9)) == pytest.approx(exact, rel=1e-12)


def test_batched_equals_one_move_after_the_other() -> None:
    model, betas = model_of(), [0.0, 0.1, 1.0]
    found = random_errors(model, RHO, betas, draws=3, horizon=20, seed=5)
    z = torch.randn(3, 3, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    for i, beta in enumerate(betas):
        for j in range(3):
            dw, du, dc = (beta * part / part.abs().max() for part in z[j])
            lam = model.reparameterization(model.layers[0].w + dw)
            a = (model.c[0] + dc) * (model.layers[0].U[:, 0] + du)
            assert float(found.errors[i, j]) == pytest.approx(float(weighted_error(a, 1 + lam, RHO, 20)), rel=1e-12)
            assert float(found.least[i, j]) == pytest.approx(float((1 + lam).min()), rel=1e-12)
            assert float(found.largest[i, j]) == pytest.approx(float((1 + lam).max()), rel=1e-12)


def test_the_moves_lie_on_a_sphere_of_the_maximum_norm_and_the_estimate_does_not_fall() -> None:
    model = model_of("direct")
    found = random_errors(model, RHO, [1.0, 0.0, 0.25], draws=7)
    moved = torch.cat([found.least - 1 - model.lam().min(), found.largest - 1 - model.lam().max()], -1)
    assert float(moved.abs().max()) <= 4.0
    assert float(found.errors[1].std()) < 1e-15
    estimate = found.estimate
    assert float(estimate[0]) >= float(estimate[2]) >= float(estimate[1])
    assert float(estimate[0]) >= float(found.errors.max())


def test_at_rest_the_model_of_euler_has_the_kernel_of_the_exact_step() -> None:
    for f in ("direct", "softplus", "exp", "best:b=0.1"):
        model = model_of(f)
        euler = random_errors(euler_model(model), RHO, [0.0], step="euler", draws=1).errors
        exact = random_errors(model, RHO, [0.0], step="exact", draws=1).errors
        assert float(euler) == pytest.approx(float(exact), rel=1e-9)


@pytest.mark.parametrize(("f", "end"), [("direct", -2.0), ("softplus", math.log(math.expm1(2))), ("exp", math.log(2))])
def test_the_radius_is_the_distance_to_where_f_is_minus_two(f: str, end: float) -> None:
    model = euler_model(model_of(f, 8))
    expected = min(abs(end - float(w)) for w in model.layers[0].w)
    assert euler_radius(model) == pytest.approx(expected, rel=1e-11)


def test_the_radius_of_best_depends_on_b() -> None:
    model = euler_model(model_of("best:b=0.1", 8))
    assert euler_radius(model) == pytest.approx(float(model.layers[0].w.abs().min()) - math.sqrt(0.4), rel=1e-11)
    assert euler_radius(euler_model(explicit_model(RHO, 4, "best:b=0.5", max_rate=1.9))) == math.inf  # f ≥ -2


def test_a_move_passes_only_beyond_the_radius() -> None:
    model = euler_model(model_of("exp", 16))
    radius = euler_radius(model)
    found = random_errors(model, RHO, [radius * x for x in (0.5, 0.999, 1.5, 3.0)], draws=200)
    assert (found.least[:2] >= -1).all()
    assert (found.least[3] < -1).any()


def test_inside_the_radius_nothing_grows() -> None:
    """|μ| ≤ 1 bounds the kernel by Σ|a|, whatever the number of steps."""
    model = euler_model(model_of("exp"))
    found = random_errors(model, RHO, [0.5 * euler_radius(model)], draws=20)
    bound = time_weights(HORIZON).sum() * (1 + 4 * 9) ** 2
    assert float(found.errors.max()) < float(bound)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="step: 'rk4'"):
        random_errors(model_of(), RHO, [0.1], step="rk4")
    with pytest.raises(ValueError, match="beta: each must be finite"):
        random_errors(model_of(), RHO, [-0.1])
    with pytest.raises(ValueError, match="draws: at least 1"):
        random_errors(model_of(), RHO, [0.1], draws=0)
    with pytest.raises(ValueError, match="plain modes"):
        euler_radius(model_of(modes="unit-norm"))
