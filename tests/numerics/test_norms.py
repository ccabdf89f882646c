"""Norms of exponential sums: against known values, high precision, and the properties that define a norm."""

from itertools import pairwise

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics.norms import (
    derivative_estimate,
    derivative_norm,
    exponential_sum,
    l1_estimate,
    l1_norm,
    sign_changes,
    w1inf_estimate,
    w1inf_norm,
)

EPS = np.finfo(float).eps
COEFFICIENTS = st.lists(st.floats(-100, 100, allow_subnormal=False), min_size=1, max_size=6)


def kernel_with_zeros(values: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """e^{-t} Π(e^{-t} - a_j): its coefficients, its λ, and its zeros -log a_j."""
    coefficients = np.poly(values)[::-1]
    return coefficients, -(np.arange(len(coefficients)) + 1.0), np.sort(-np.log(values))


@pytest.mark.parametrize("rate", [1e-6, 1.0, 1e6])
def test_one_mode(rate: float) -> None:
    assert l1_norm([3.0], [-rate]) == pytest.approx(3 / rate, rel=20 * EPS)
    assert derivative_norm([3.0], [-rate]) == pytest.approx(6, rel=20 * EPS)
    assert w1inf_norm([3.0], [-rate]) == pytest.approx(3 / rate + 6, rel=20 * EPS)


@pytest.mark.parametrize(
    "zeros", [[0.9, 0.5, 0.1], [0.9, 0.7, 0.5, 0.3, 0.1, 0.01], np.linspace(0.1, 0.95, 9).tolist()]
)
def test_every_sign_change_is_found_and_the_integral_is_right(zeros: list[float]) -> None:
    coefficients, lam, expected = kernel_with_zeros(zeros)
    found = sign_changes(coefficients, lam)
    assert len(found) == len(expected)
    # A zero moves by the rounding error of ρ over its slope.
    scale = np.exp(np.outer(expected, lam)) @ np.abs(coefficients)
    slope = np.abs(exponential_sum(coefficients * lam, lam, expected))
    assert np.all(np.abs(found - expected) <= 100 * EPS * scale / slope + 10 * EPS * expected)
    with mpmath.workdps(30):
        ends = [mpmath.mpf(0), *(mpmath.mpf(z) for z in expected), mpmath.mpf(expected[-1]) + 5, mpmath.inf]
        exact_c = [mpmath.mpf(float(c)) for c in coefficients]

        def rho(t: mpmath.mpf) -> mpmath.mpf:
            return abs(sum(c * mpmath.exp(-(k + 1) * t) for k, c in enumerate(exact_c)))

        exact = sum(mpmath.quad(rho, [x, y]) for x, y in pairwise(ends))
    estimate = l1_estimate(coefficients, lam)
    assert abs(estimate.value - float(exact)) <= estimate.error
    assert estimate.error <= 1e-12


def test_the_variation_is_that_between_the_extrema() -> None:
    # ρ = e^{-t} - e^{-2t} rises to 1/4 at log 2 and falls back.
    estimate = derivative_estimate([1.0, -1.0], [-1.0, -2.0])
    assert abs(estimate.value - 0.5) <= estimate.error <= 1e-13


def test_scales_far_apart() -> None:
    estimate = w1inf_estimate([1.0, 1.0, 1.0], [-1e-8, -1.0, -1e8])
    exact = 1e8 + 1 + 1e-8 + 6
    assert abs(estimate.value - exact) <= estimate.error <= 1e-13 * exact


def test_equal_eigenvalues_cancel_exactly() -> None:
    assert w1inf_norm([1.0, -1.0], [-0.5, -0.5]) == 0
    assert w1inf_norm([0.0], [-1.0]) == 0
    assert sign_changes([1.0, -1.0, 2.0], [-1.0, -1.0, -3.0]).size == 0


@settings(max_examples=40, deadline=None)
@given(COEFFICIENTS, st.integers(0, 2**32 - 1), st.floats(0.01, 100))
def test_norm_properties(coefficients: list[float], seed: int, scale: float) -> None:
    c = np.array(coefficients)
    rng = np.random.default_rng(seed)
    lam, other = -np.exp(rng.uniform(-4, 4, len(c))), rng.standard_normal(len(c))
    size, change = l1_estimate(c, lam), derivative_estimate(c, lam)
    slack = size.error + change.error
    # Time scaling: ρ(at) has 1/a times the L¹ norm and the same variation; a·λ is rounded.
    stretch = np.abs(c) @ (1 / np.abs(lam)) * 10 * EPS
    assert abs(l1_norm(c, scale * lam) - size.value / scale) <= (2 * size.error + stretch) / scale
    # Twice the largest value is at most the variation; the integral is at most it, too.
    values = np.abs(exponential_sum(c, lam, np.geomspace(1e-4, 1e4, 200)))
    assert change.value >= 2 * max(np.max(values), abs(np.sum(c))) - change.error - 100 * EPS * np.sum(np.abs(c))
    assert size.value >= abs(np.sum(c / lam)) - size.error - 100 * EPS * np.sum(np.abs(c / lam))
    # Triangle inequality.
    together, alone = w1inf_estimate(c + other, lam), w1inf_estimate(other, lam)
    total = size.value + change.value + alone.value
    assert together.value <= total + slack + together.error + alone.error + 100 * EPS * total


def test_neighbouring_floats_and_alternating_signs() -> None:
    close = l1_estimate([1.0, -1.0], [-1.0, -np.nextafter(1.0, 2.0)])
    assert abs(close.value - EPS) <= close.error <= 1e-13
    c, lam = (-1.0) ** np.arange(40) * np.geomspace(1e-3, 10, 40), -np.geomspace(1e-8, 1e8, 40)
    estimate = l1_estimate(c, lam)
    assert abs(np.sum(c / -lam)) - estimate.error <= estimate.value <= np.sum(np.abs(c / lam)) + estimate.error
    assert len(sign_changes(c, lam)) <= 39
    # The zero of 1 - (1+δ) e^{-Rt}, far below the resolution 1/R of the kernel: its exact place does not matter.
    early = l1_estimate([1.0, -(1.0 + 1e-15)], [-1.0, -1e9])
    assert abs(early.value - (1 - 1e-9)) <= early.error


def test_arguments_are_not_changed() -> None:
    c, lam = np.array([1.0, -2.0, 0.5]), np.array([-3.0, -1.0, -1.0])
    before = c.copy(), lam.copy()
    w1inf_norm(c, lam)
    assert np.array_equal(c, before[0])
    assert np.array_equal(lam, before[1])


@pytest.mark.parametrize(
    ("c", "lam", "name"),
    [
        ([1.0], [0.0], "lam"),
        ([1.0], [1.0], "lam"),
        ([1.0], [float("nan")], "lam"),
        ([1.0], [float("-inf")], "lam"),
        ([float("nan")], [-1.0], "coefficients"),
        ([1.0, 2.0], [-1.0], "coefficients"),
        ([], [], "coefficients"),
        ([[1.0]], [[-1.0]], "coefficients"),
    ],
)
def test_bad_arguments(c: list[float], lam: list[float], name: str) -> None:
    for function in (l1_norm, derivative_norm, w1inf_norm, sign_changes):
        with pytest.raises(ValueError, match=name):
            function(c, lam)


def test_negative_times() -> None:
    with pytest.raises(ValueError, match="times"):
        exponential_sum([1.0], [-1.0], [-1.0])
