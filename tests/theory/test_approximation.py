"""Theorem 3.5: the closed forms against quadrature and against random models."""

import numpy as np
import pytest
import sympy as sp

from numerics.norms import l1_estimate, w1inf_estimate
from theory import approximation as theory
from theory.notation import lam, t

RATIOS = [0.01, 0.5, 0.99, 1.01, 3.0, 200.0]


@pytest.mark.parametrize("ratio", RATIOS)
def test_gap_integral_is_the_integral(ratio: float) -> None:
    estimate = l1_estimate([ratio, -1.0], [-ratio, -1.0])
    assert abs(float(theory.gap_integral(ratio)) - estimate.value) <= estimate.error + 1e-15


def test_gap_integral_is_even_and_below_two() -> None:
    q = sp.Symbol("q", positive=True)
    assert theory.gap_integral(1 / (1 + q)) == theory.gap_integral(1 + q)
    assert theory.gap_integral(1) == 0
    assert theory.gap_integral(2) == sp.Rational(1, 2)
    assert float(theory.gap_integral(10**9)) < 2


def test_turning_time_is_stationary() -> None:
    ratio = sp.Integer(5)
    derivative = sp.diff(sp.exp(-t) - sp.exp(-ratio * t), t).subs(t, theory.turning_time(ratio))
    assert abs(derivative.evalf(30)) < 1e-25


@pytest.mark.parametrize("ratio", [1.01, 3.0, 200.0])
def test_gap_integral_slope(ratio: float) -> None:
    step = 1e-6 * ratio
    difference = float(theory.gap_integral(ratio + step) - theory.gap_integral(ratio - step)) / (2 * step)
    assert float(theory.gap_integral_slope(ratio)) == pytest.approx(difference, rel=1e-7)


def test_gap_integral_upper() -> None:
    for omega in (1e-4, 0.1, 1.0, 5.0):
        assert float(theory.gap_integral(np.exp(omega))) <= float(theory.gap_integral_upper(omega))
    sharp = theory.gap_integral(sp.exp(sp.Rational(1, 10**6))) / theory.gap_integral_upper(sp.Rational(1, 10**6))
    assert abs(sharp.evalf(30) - 1) < 1e-10


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("eigenvalue", [-1e-4, -1.0, -1e4])
def test_mode_gap(ratio: float, eigenvalue: float) -> None:
    estimate = w1inf_estimate([1.0, -1.0], [ratio * eigenvalue, eigenvalue])
    value = float(theory.mode_gap(ratio).subs(lam, eigenvalue))
    assert abs(value - estimate.value) <= estimate.error + 1e-15 * value


def test_recurrent_error_upper_is_attained_by_one_mode() -> None:
    # exp, λ = -1, β = log 3: w̃ = w - β gives the ratio 1/3.
    attained = theory.mode_gap(sp.Rational(1, 3)).subs(lam, -1)
    assert sp.simplify(theory.recurrent_error_upper(0, 1, 1, 2) - attained) == 0


def test_the_memory_part_is_attained_by_several_modes() -> None:
    lam_values, c = np.array([-0.01, -1.0, -30.0]), np.array([0.3, 1.0, 2.0])
    moved = np.exp(-0.7) * lam_values
    estimate = l1_estimate(np.concatenate([c, -c]), np.concatenate([moved, lam_values]))
    assert abs(estimate.value - np.sum(c / -lam_values) * np.expm1(0.7)) <= 2 * estimate.error


def test_the_sum_with_the_jump_part_is_not_attained_by_distinct_modes() -> None:
    lam_values, c = np.array([-0.01, -30.0]), np.array([1.0, 1.0])
    moved = np.exp(-0.7) * lam_values
    change = w1inf_estimate(np.concatenate([c, -c]), np.concatenate([moved, lam_values]))
    bound = theory.recurrent_error_upper(0, np.sum(c / -lam_values), 2, np.expm1(0.7))
    assert change.value < float(bound) - 100 * change.error


def test_recurrent_modulus_upper_bounds_a_step_between_two_radii() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        w, c = rng.uniform(-5, 1, 3), rng.standard_normal(3)
        beta, delta = rng.uniform(0.1, 1, 2)
        first = w + rng.choice([-1, 1], 3) * beta
        second = first + rng.uniform(-1, 1, 3) * delta
        change = w1inf_estimate(np.concatenate([c, -c]), -np.exp(np.concatenate([second, first])))
        memory_sum, weight_sum = np.sum(np.abs(c) * np.exp(-w)), np.sum(np.abs(c))
        assert change.value <= float(theory.recurrent_modulus_upper(memory_sum, weight_sum, beta, delta)) + change.error


def test_cancelling_pair_lower() -> None:
    q, m = sp.symbols("q m", positive=True)
    slow = -1 / m**2
    assert sp.simplify(theory.cancelling_pair_lower(1, slow, slow / (1 + q)) - m**2 * q) == 0
    estimate = w1inf_estimate([1.0, -1.0], [-1e-4 * np.exp(-0.1), -1e-4])
    lower = float(theory.cancelling_pair_lower(1, -1e-4, -1e-4 * np.exp(-0.1), 0))
    assert lower == pytest.approx(1e4 * np.expm1(0.1))
    assert lower <= estimate.value


@pytest.mark.parametrize("d", [1, 3])
def test_bounded_weights_modulus_upper_and_memory(d: int) -> None:
    rng = np.random.default_rng(d)
    for _ in range(20):
        c, u, w = rng.standard_normal(3), rng.standard_normal((3, d)), rng.uniform(-1, 1, 3)
        step = 0.1 * rng.uniform(-1, 1)
        c2, u2, w2 = c + step * np.eye(3)[0], u + step * np.eye(3, d), w + step
        delta = max(np.linalg.norm(c2 - c), np.linalg.norm(u2 - u), abs(step))
        output = max(np.linalg.norm(c), np.linalg.norm(c2))
        input_ = max(np.linalg.norm(u), np.linalg.norm(u2))
        slowest = float(np.exp(min(w.min(), w2.min())))
        products = np.concatenate([c2[:, None] * u2, -c[:, None] * u])
        change = [w1inf_estimate(p, -np.exp(np.concatenate([w2, w]))) for p in products.T]
        bound = theory.bounded_weights_modulus_upper(output, input_, slowest, abs(step), delta, d)
        assert sum(x.value for x in change) <= float(bound) + sum(x.error for x in change)
        rho = np.abs(np.exp(-2.0 * np.exp(w)) @ (c[:, None] * u)).sum()
        assert rho <= float(theory.bounded_weights_memory_upper(output, input_, slowest, d).subs(t, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.gap_integral(-1), "ratio.*-1"),
        (lambda: theory.turning_time(1), "ratio.*1"),
        (lambda: theory.gap_integral_upper(-1), "omega.*-1"),
        (lambda: theory.recurrent_error_upper(-1, 1, 1, 1), "initial_error.*-1"),
        (lambda: theory.recurrent_error_upper(0, -1, 1, 1), "memory_sum.*-1"),
        (lambda: theory.recurrent_error_upper(0, 1, -1, 1), "weight_sum.*-1"),
        (lambda: theory.recurrent_error_upper(0, 1, 1, -1), "g .*-1"),
        (lambda: theory.recurrent_modulus_upper(1, 1, -1, 1), "omega_beta.*-1"),
        (lambda: theory.recurrent_modulus_upper(1, 1, 1, -1), "omega_delta.*-1"),
        (lambda: theory.cancelling_pair_lower(1, 1, -1), "eigenvalue.*"),
        (lambda: theory.cancelling_pair_lower(1, -1, 1), "moved_eigenvalue.*"),
        (lambda: theory.bounded_weights_modulus_upper(1, 1, 0, 1, 1), "slowest.*0"),
        (lambda: theory.bounded_weights_modulus_upper(1, 1, 1, 1, -1), "delta.*-1"),
        (lambda: theory.bounded_weights_memory_upper(1, 1, 1, 0), "inputs.*0"),
    ],
)
def test_broken_hypotheses(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
