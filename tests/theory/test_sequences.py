"""Sequences for the power law (1+t)^{-2}: each closed form against sums and grids in floating point."""

import numpy as np
import pytest
import sympy as sp

from theory import sequences
from theory.approximation import gap_integral

TIMES = np.concatenate([[0.0], np.geomspace(1e-6, 1e9, 200_001)])


def norm(values: np.ndarray) -> float:
    """∫|e| + |e(0)| + variation on TIMES; ρ beyond 1e9 has 1e-9 of its integral."""
    return float(np.trapezoid(np.abs(values), TIMES) + abs(values[0]) + np.abs(np.diff(values)).sum() + abs(values[-1]))


def power_law(times: np.ndarray) -> np.ndarray:
    return (1 + times) ** -2.0


@pytest.mark.parametrize("root", [2, 4, 6])
def test_trapezoidal_error(root: int) -> None:
    step, low, high = (float(x) for x in sequences.trapezoidal_rule(root))
    rates = high * np.exp(-step * np.arange(root**2))
    assert rates[-1] == pytest.approx(low)
    model = sum(step * x**2 * np.exp(-x) * np.exp(-x * TIMES) for x in rates)
    error = norm(power_law(TIMES) - model)
    bound = float(sequences.trapezoidal_error_upper(*sequences.trapezoidal_rule(root)))
    assert error <= bound
    assert error >= bound / 100


def test_alias_bound() -> None:
    """12 ξ^{5/2}e^{-πξ/2} ≥ 2(2|Γ(2+iξ)| + |Γ(3+iξ)|/2) for ξ ≥ 2, and 12 ξ^{5/2}e^{-πξ/4} ≤ 18."""
    for xi in np.geomspace(2, 200, 60):
        gammas = [abs(complex(sp.gamma(p + sp.I * sp.Float(xi)).evalf(30))) for p in (2, 3)]
        assert 2 * (2 * gammas[0] + gammas[1] / 2) <= 12 * xi**2.5 * np.exp(-np.pi * xi / 2)
        assert 12 * xi**2.5 * np.exp(-np.pi * xi / 4) <= 18


def test_recurrent_sequence_upper() -> None:
    bound = sequences.recurrent_sequence_upper(sp.Rational(1, 10), 1, 1, 1)
    assert bound == sp.Rational(1, 10) + sp.Rational(11, 10) * (1 + gap_integral(2))
    with pytest.raises(ValueError, match="error"):
        sequences.recurrent_sequence_upper(-1, 1, 1, 1)


@pytest.mark.parametrize("growth", [0.1, 1.0, 7.0])
def test_dilated_power_law_norm(growth: float) -> None:
    change = power_law(TIMES / (1 + growth)) - power_law(TIMES)
    assert float(sequences.dilated_power_law_norm(growth)) == pytest.approx(norm(change), rel=1e-5)


def test_dilation_stays_below_the_bound_for_recurrent_weights() -> None:
    for growth in (sp.Rational(1, 10), sp.Integer(7)):
        upper = sequences.recurrent_sequence_upper(0, 1, 1, growth)
        assert 0.9 < float(sequences.dilated_power_law_norm(growth) / upper) < 1


def test_dead_modes_error() -> None:
    """The largest Σ|a_i||b_i|(2 + 1/x_i) over random points of the sphere stays below, the corner attains it."""
    rng = np.random.default_rng(0)
    rates, radius = np.array([0.05, 0.5, 3.0]), 0.7
    bound = float(sequences.dead_modes_error(sp.Rational(1, 20), sp.Rational(7, 10)))
    moves = rng.standard_normal((2000, 2, 3))
    moves *= radius / np.linalg.norm(moves, axis=(1, 2), keepdims=True)
    corner = np.array([[[1.0, 0, 0], [1.0, 0, 0]]]) * radius / np.sqrt(2)
    costs = np.abs(np.concatenate([moves, corner]).prod(axis=1)) @ (2 + 1 / rates)
    assert costs[:-1].max() <= bound
    assert costs[-1] == pytest.approx(bound)
    with pytest.raises(ValueError, match="slowest"):
        sequences.dead_modes_error(0)


def test_unit_norm_growth() -> None:
    x, radius = sp.Rational(3, 2), sp.Rational(1, 5)
    scaled = (x + radius / sp.sqrt(2)) ** 2 - x**2  # c = u = x, both grow by β/√2
    assert sp.simplify(sequences.unit_norm_growth(x**2, radius) - scaled) == 0
    assert sequences.unit_norm_growth(0, radius) == radius**2 / 2
    with pytest.raises(ValueError, match="norm"):
        sequences.unit_norm_growth(-1, radius)


def test_unit_norm_sequence_upper() -> None:
    bound = sequences.unit_norm_sequence_upper(sp.Rational(1, 10), 3, 1, 10)
    size = 3.1
    assert float(bound) == pytest.approx(0.1 + np.sqrt(2 * size) + 0.5 + size * 2 * (1 - np.exp(-10)))
    assert sequences.unit_norm_sequence_upper(0, 3, 0, 0) == 0


def test_power_law_exceeds() -> None:
    assert sequences.power_law_exceeds(sp.Rational(1, 1000)) == sp.oo
    with pytest.raises(ValueError, match="rate"):
        sequences.power_law_exceeds(0)
