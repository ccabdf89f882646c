"""Starts of fits: what they are made of, and that they are good ones."""

import math

import numpy as np
import pytest
import torch

from numerics.complex_starts import complex_starts, hankel_modes
from numerics.kernel_columns import KernelColumns
from numerics.levenberg_marquardt import DIVERGED, start_search
from numerics.rate_evaluation import Evaluator, RateMap
from numerics.reach import weights_for
from numerics.reparameterization import Reparameterization
from numerics.starting_rates import (
    fastest_start,
    perturbed_rates,
    row_generator,
    slowest_start,
    smooth_rates,
    warm_rates,
    within,
)
from numerics.targets import callable_target, parse_target
from numerics.time_nodes import time_nodes

POWER = parse_target("polynomial:p=1.5")
EXP = Reparameterization("exp")


def columns_of(target, m, *, is_complex=False, **options):
    return KernelColumns(time_nodes([target], m, is_complex=is_complex, **options), [target], m, is_complex=is_complex)


def loss_of(columns, x):
    """The loss for log rates (B, m)."""
    rates = RateMap([EXP] * len(x), x.shape[1], is_complex=False, is_discrete=False, device=torch.device("cpu"))
    search = start_search(Evaluator(columns, rates), torch.from_numpy(x))
    assert not bool((search.result == DIVERGED).any())
    return search.loss.numpy()


def test_random_numbers_belong_to_the_row():
    draw = lambda *row: row_generator(*row).standard_normal(3).tolist()  # noqa: E731
    assert draw(1, 4, [POWER]) == draw(1, 4, [POWER])
    other = parse_target("polynomial:p=2")
    rows = [(1, 4, [POWER]), (2, 4, [POWER]), (1, 5, [POWER]), (1, 4, [other]), (1 << 40, 4, [POWER]), (-1, 4, [POWER])]
    assert len({tuple(draw(*row)) for row in rows}) == len(rows)


@pytest.mark.parametrize("m", [1, 2, 3, 8, 16])
@pytest.mark.parametrize("horizon", [100.0, math.inf])
def test_smooth_rates_are_within_a_factor_of_the_best_linear_spread_and_better_for_many_modes(m, horizon):
    columns = columns_of(POWER, m, horizon=horizon)
    curves = smooth_rates(columns, [POWER], math.inf)
    assert curves.shape == (len(curves), m)
    assert np.all(np.diff(curves, axis=1) >= 0)
    loss = loss_of(columns, curves)
    assert loss[0] == loss.min()
    ends = [(a, b) for a in np.linspace(-12, 0, 13) for b in np.linspace(-1, 4, 11) if b > a]
    linear = np.stack([np.linspace(a, b, m) if m > 1 else np.array([b]) for a, b in ends])
    best = loss_of(columns, linear).min()
    assert loss[0] <= (best if m >= 8 else 2 * best)


def test_no_start_is_faster_than_the_range_of_f():
    f = Reparameterization("best:b=0.5")
    limit = fastest_start(f)
    assert limit == pytest.approx(0.9 * 2, rel=1e-6)
    curves = smooth_rates(columns_of(POWER, 6), [POWER], limit)
    assert np.exp(curves).max() <= limit * (1 + 1e-9)
    assert fastest_start(EXP) == math.inf
    assert slowest_start(EXP) < 1e-300
    assert slowest_start(Reparameterization("-1-exp(w)")) == pytest.approx(1 / 0.9, rel=1e-6)
    discrete = Reparameterization("best:b=2", "discrete")  # λ ≥ 1/2
    assert fastest_start(discrete) == pytest.approx(0.9 * math.log(2), rel=1e-6)


def test_perturbed_starts_move_more_and_more_and_stay_sorted():
    curves = np.linspace(-4, 2, 12)[None]
    moves = []
    for start in range(5):
        x = [perturbed_rates(curves, start, np.random.default_rng(seed)) for seed in range(40)]
        assert all(np.all(np.diff(each) >= 0) for each in x)
        moves.append(np.mean([np.abs(each - curves[0]).mean() for each in x]))
    assert moves[0] < 0.1 * moves[1]
    assert moves[1] < moves[3]


@pytest.mark.parametrize(("n", "m"), [(1, 2), (1, 5), (4, 4), (4, 5), (4, 8), (8, 20)])
def test_warm_starts_keep_the_old_rates_or_their_curve(n, m):
    old = -np.exp(np.linspace(-3, 1, n)) + 0j
    curve, kept = warm_rates(old, m)
    assert curve.shape == kept.shape == (m,)
    assert np.all(kept[:n] == old)
    assert len(np.unique(kept)) == m
    assert np.all(curve < 0)
    if m == n:
        assert np.sort(curve) == pytest.approx(np.sort(old.real))


def test_starts_stay_where_the_nodes_resolve_them():
    columns = columns_of(POWER, 2)
    inside = within(np.array([-1e-30 + 0j, -1e30 + 1j]), columns, math.inf)
    slow, fast = columns.rates
    assert slow < -inside[0].real < 1.1 * slow
    assert 0.8 * fast < -inside[1].real < fast
    assert inside[1].imag == 1


@pytest.mark.parametrize("text", ["exp", "direct", "softplus", "best:b=0.01", "-exp(w)/2", "-1/(w**2+1/100)", "w-1/10"])
def test_weights_reach_the_rates(text):
    f = Reparameterization(text)
    lam = -np.geomspace(1e-3, 30, 7)
    assert f(weights_for(f, lam)).numpy() == pytest.approx(lam, rel=1e-12)


def test_weights_out_of_reach_are_named():
    with pytest.raises(ValueError, match="does not take the value"):
        weights_for(Reparameterization("-1/(w**2+1)"), np.array([-2.0]))


def damped(lam, size):
    """2 Re Σ size e^{λt} as a target."""
    rho = lambda t: 2 * np.real(np.exp(np.multiply.outer(t, lam)) @ size)  # noqa: E731
    slope = lambda t: 2 * np.real(np.exp(np.multiply.outer(t, lam)) @ (size * lam))  # noqa: E731
    return callable_target(rho, slope, support=200.0, time_scales=(0.5, 5.0), name="damped")


def test_the_hankel_matrix_finds_the_modes_of_an_exponential_sum():
    lam = np.array([-0.2 + 1.5j, -0.4 + 0.3j, -0.9 + 3j])
    target = damped(lam, np.array([1.0, 0.5 - 0.3j, 0.7j]))
    columns = columns_of(target, 3, is_complex=True, horizon=100.0)
    found = complex_starts(columns, [target], hankel_modes(columns, [target]), np.random.default_rng(0), 0)
    assert np.sort_complex(found) == pytest.approx(np.sort_complex(lam), rel=1e-6)


def test_more_complex_modes_than_the_samples_show_are_drawn():
    target = damped(np.array([-0.2 + 1.5j]), np.array([1.0]))
    columns = columns_of(target, 4, is_complex=True, horizon=100.0)
    for start in range(4):
        known = hankel_modes(columns, [target])
        found = complex_starts(columns, [target], known, np.random.default_rng(start), start)
        assert found.shape == (4,)
        assert np.all(found.imag >= 0)
        assert np.all(np.isfinite(found))
