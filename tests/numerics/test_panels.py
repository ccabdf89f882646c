"""Integrals of |p| over [-1, 1] and sign changes: against high precision, for zeros of every kind."""

from itertools import pairwise

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics.panels import DEGREE, NODES, absolute_integrals, coefficients, differentiated, sign_changes

EPS = np.finfo(float).eps


def product_values(zeros: list[float]) -> np.ndarray:
    """e^u Π (u - z_j) at the nodes: a polynomial to rounding."""
    return (np.exp(NODES) * np.prod([NODES - z for z in zeros] or [np.ones_like(NODES)], axis=0))[None]


def exact_integral(zeros: list[float]) -> float:
    with mpmath.workdps(30):
        cuts = [mpmath.mpf(-1), *sorted(mpmath.mpf(z) for z in set(zeros) if -1 < z < 1), mpmath.mpf(1)]
        return float(
            sum(
                abs(mpmath.quad(lambda u: mpmath.exp(u) * mpmath.fprod(u - z for z in zeros), pair))
                for pair in pairwise(cuts)
            )
        )


@pytest.mark.parametrize(
    "zeros",
    [
        [],
        [0.3],
        [-0.5, 0.3, 0.9],
        [0.1, 0.1 + 1e-3],
        [0.1, 0.1 + 1e-6],
        [0.1, 0.1 + 1e-9, 0.1 + 2e-9],
        [0.3, 0.3],
        [0.3, 0.3, 0.3],
        [-1 + 1e-12, 1 - 1e-12],
        [-1.0, 1.0],
        [1.5, -2.0],
        np.linspace(-0.95, 0.95, 12).tolist(),
    ],
)
def test_known_zeros(zeros: list[float]) -> None:
    values = product_values(zeros)
    slack = 20 * EPS * np.abs(values).max()
    assert absolute_integrals(values)[0] == pytest.approx(exact_integral(zeros), rel=0, abs=slack)


def test_well_separated_sign_changes_are_returned() -> None:
    zeros = [-0.9, -0.5, 0.0, 0.30001, 0.30003]
    rows, found = sign_changes(np.vstack([product_values(zeros), product_values([]), product_values([0.5])]))
    assert np.sort(found[rows == 0]) == pytest.approx(zeros, abs=1e-9)  # rounding over a slope of 1e-5
    assert not np.any(rows == 1)
    assert found[rows == 2] == pytest.approx([0.5], abs=1e-14)


def test_random_polynomials_against_a_fine_grid() -> None:
    values = np.random.default_rng(0).standard_normal((40, DEGREE + 1))
    c = coefficients(values)
    theta = (np.arange(400_000) + 0.5) * np.pi / 400_000
    on_grid = np.cos(np.outer(theta, np.arange(DEGREE + 1.0)))
    expected = np.abs(on_grid @ c.T).T @ np.sin(theta) * np.pi / 400_000
    # The midpoint rule errs by at most h²/4 of the slope at each kink, and h²/24 of the second derivative elsewhere.
    slack = (np.pi / 400_000) ** 2 * 2 * DEGREE**2 * np.sum(np.abs(c), axis=1)
    assert np.all(np.abs(absolute_integrals(values) - expected) <= slack)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-12, 1e12))
def test_homogeneous_subadditive_and_rowwise(seed: int, factor: float) -> None:
    p, q = np.random.default_rng(seed).standard_normal((2, 3, DEGREE + 1))
    both = absolute_integrals(np.vstack([p, q]))
    assert np.allclose(both, [*absolute_integrals(p), *absolute_integrals(q)], rtol=1e-14)
    assert np.allclose(absolute_integrals(-factor * p), factor * both[:3], rtol=1e-12)
    assert np.all(absolute_integrals(p + q) <= (both[:3] + both[3:]) * (1 + 1e-12))


def test_zero_and_noise() -> None:
    assert absolute_integrals(np.zeros((2, DEGREE + 1))).tolist() == [0, 0]
    noise = 1 + EPS * np.random.default_rng(0).standard_normal((5, DEGREE + 1))
    assert np.allclose(absolute_integrals(noise), 2, rtol=1e-14)


def test_a_steep_decay_and_a_floor() -> None:
    """e^{-6(u+1)} is 6e-6 at the end; at a double zero, cells below the floor are left as they are."""
    values = np.exp(-6 * (NODES + 1))[None]
    exact = (1 - np.exp(-12)) / 6
    for floor in (0.0, 1e-10):
        assert absolute_integrals(values, np.array([floor]))[0] == pytest.approx(exact, rel=1e-14)
    below = np.array([1e-3 * np.cos(NODES) - 1e-3])  # a double zero at 0
    assert absolute_integrals(below, np.array([1e-6]))[0] == pytest.approx(2e-3 * (1 - np.sin(1)), rel=1e-9)


def test_derivatives() -> None:
    assert np.allclose(differentiated(np.sin(3 * NODES)[None]), 3 * np.cos(3 * NODES), atol=1e-12)
