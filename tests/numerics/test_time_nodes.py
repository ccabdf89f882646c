"""Nodes in time against closed forms and SciPy's quadrature."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from numerics.targets import parse_target
from numerics.time_nodes import _gram_rule, sampled_nodes, time_nodes

SPECS = ["exponential:rate=2", "polynomial:p=1.5", "polynomial:p=0.8", "shift", "two-part", "airy"]


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("m", [1, 8, 32])
def test_energy_of_targets_and_modes(spec, m):
    target = parse_target(spec)
    nodes = time_nodes([target], m)
    assert np.all(np.diff(nodes.times) > 0)
    assert np.all(nodes.weights > 0)
    points = [0.0, 0.5, *target.breaks, 6, 20, 200]
    middle = sum(
        quad(lambda t: float(target.rho(t)) ** 2, a, b, epsabs=1e-13, limit=400)[0] for a, b in pairwise(points)
    )
    late = 0.0
    if target.decay.kind == "polynomial":
        p = float(spec.split("=")[1])
        late = 201 ** (1 - 2 * p) / (2 * p - 1)
    assert nodes.weights @ target.rho(nodes.times) ** 2 == pytest.approx(middle + late, rel=1e-5)
    for rate in np.geomspace(*nodes.rates, 7):
        assert 2 * rate * (nodes.weights @ np.exp(-2 * rate * nodes.times)) == pytest.approx(1, abs=1.1e-3)


@pytest.mark.parametrize("spec", SPECS)
def test_a_finite_horizon_ends_there_and_is_exact_to_1e_6(spec):
    target = parse_target(spec)
    nodes = time_nodes([target], 8, horizon=20.0)
    assert nodes.times[-1] < 20
    assert nodes.weights.sum() == pytest.approx(20, rel=1e-12)
    for rate in (0.01, 1.0, 4.0):
        exact = -math.expm1(-2 * rate * 20) / (2 * rate)
        assert nodes.weights @ np.exp(-2 * rate * nodes.times) == pytest.approx(exact, rel=1e-6)


def test_damped_oscillations_are_resolved():
    target = parse_target("airy")
    nodes = time_nodes([target], 4, is_complex=True)
    lam = -0.3 + 2.5j
    exact = -0.5 / (2 * lam.real) - 0.5 * (1 / (2 * lam)).real  # cos² = (1 + cos 2·)/2
    value = nodes.weights @ np.exp(lam * nodes.times).real ** 2
    assert value == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize(("points", "nodes"), [(10, 10), (11, 10), (40, 10), (5000, 6)])
def test_the_rule_for_equally_spaced_points_is_exact_below_twice_its_nodes(points, nodes):
    k = np.arange(points)
    x, weights = _gram_rule(points, nodes)
    assert np.all(weights > 0)
    assert np.all((x >= -1e-12) & (x <= points - 1 + 1e-12))
    for degree in range(2 * nodes):
        shifted = 2 * k / (points - 1) - 1
        exact = np.sum(shifted**degree)
        assert weights @ (2 * x / (points - 1) - 1) ** degree == pytest.approx(exact, abs=1e-12 * points)


@pytest.mark.parametrize("lam", [0.0, 0.5, 0.999, -0.7, -0.9999])
def test_lumped_steps_sum_powers_of_either_sign(lam):
    target = parse_target("polynomial:p=1.5")
    nodes = time_nodes([target], 8, time="discrete", horizon=100_000.0)
    assert len(nodes) < 500
    sign = np.where(nodes.odd, np.sign(lam), 1.0)
    powers = sign * np.where(nodes.times == 0, 1.0, np.abs(lam) ** nodes.times)
    wanted = float(np.sum(lam ** np.arange(100_000.0) * target.rho(np.arange(100_000.0))))
    assert nodes.weights @ (powers * target.rho(nodes.times)) == pytest.approx(wanted, rel=1e-9)


def test_discrete_sums_over_all_steps():
    nodes = time_nodes([parse_target("polynomial:p=1.5")], 4, time="discrete")
    slowest = nodes.rates[0]
    for lam in (0.2, 0.99, 1 - 10 * slowest):
        assert nodes.weights @ lam ** (2 * nodes.times) == pytest.approx(1 / (1 - lam**2), rel=1e-3)


def test_given_times_are_a_plain_sum():
    nodes = sampled_nodes(np.linspace(0, 100, 1000))
    assert nodes.weights == pytest.approx(np.full(1000, 0.1))
    assert sampled_nodes([0, 1, 3], [1, 2, 3]).weights == pytest.approx([1, 2, 3])


@pytest.mark.parametrize("times", [[0.0], [1.0, 1.0], [-1.0, 0.0], [0.0, math.inf]])
def test_given_times_must_increase(times):
    with pytest.raises(ValueError, match="times"):
        sampled_nodes(times)


def test_given_weights_must_be_positive():
    with pytest.raises(ValueError, match="weights"):
        sampled_nodes([0, 1, 2], [1, 0, 1])


@pytest.mark.parametrize("spec", ["sine", "polynomial:p=0.5"])
def test_infinite_energy_needs_a_horizon(spec):
    with pytest.raises(ValueError, match="energy"):
        time_nodes([parse_target(spec)], 2)
    assert len(time_nodes([parse_target(spec)], 2, horizon=10.0))


def test_w1inf_needs_an_integrable_target():
    with pytest.raises(ValueError, match="infinite"):
        time_nodes([parse_target("polynomial:p=0.9")], 2, loss="w1inf")


def test_complex_discrete_steps_are_limited():
    with pytest.raises(ValueError, match="horizon"):
        time_nodes([parse_target("polynomial:p=1.5")], 8, time="discrete", is_complex=True)
