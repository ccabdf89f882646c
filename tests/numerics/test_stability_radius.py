"""Stability radii: closed forms, random perturbations, and the equation that defines them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics.stability_radius import (
    StabilityRadius,
    Time,
    _explicit,
    _Family,
    _objective,
    complex_stability_radius,
    real_stability_radius,
)

EPS = np.finfo(float).eps
ROTATION = np.array([[-0.3, 2.0], [-2.0, -0.3]])


def stable(n: int, seed: int, time: Time = "continuous", margin: float = 0.3) -> np.ndarray:
    a = np.random.default_rng(seed).normal(size=(n, n))
    eigenvalues = np.linalg.eigvals(a)
    if time == "discrete":
        return a * (1 - margin) / np.abs(eigenvalues).max()
    return a - (eigenvalues.real.max() + margin) * np.eye(n)


def check_perturbation(a: np.ndarray, found: StabilityRadius, time: Time) -> None:
    """It has the claimed norm, and the perturbed matrix the claimed eigenvalue, on the boundary."""
    order = 2 if found.norm == "spectral" else "fro"
    assert np.linalg.norm(found.perturbation, order) == pytest.approx(found.upper, rel=1e-9)
    z = found.crossing
    assert abs(z.real if time == "continuous" else abs(z) - 1) <= 4 * EPS
    residual = np.linalg.svd(a + found.perturbation - z * np.eye(len(a)), compute_uv=False)[-1]
    assert residual <= 32 * len(a) * EPS * (1 + np.linalg.norm(a, 2))
    assert found.lower <= found.upper


@pytest.mark.parametrize("time", ["continuous", "discrete"])
def test_a_normal_matrix_has_its_distance_from_the_boundary(time: Time) -> None:
    q = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0]
    lam = np.array([-0.5, -1, -2, -7]) if time == "continuous" else np.array([0.5, -0.4, 0.1, 0])
    a = q @ np.diag(lam) @ q.T
    real = [real_stability_radius(a, time, norm) for norm in ("spectral", "frobenius")]
    for found in (complex_stability_radius(a, time), *real):
        check_perturbation(a, found, time)
        assert found.lower == pytest.approx(0.5, rel=1e-8)
        assert found.upper == pytest.approx(0.5, rel=1e-12)


def test_a_jordan_block_is_far_closer_than_its_eigenvalues() -> None:
    a = np.array([[-1.0, 100.0], [0.0, -1.0]])
    exact = (np.sqrt(10004) - 100) / 2  # the smaller singular value of a: σ_1 σ_2 = 1, σ_1² + σ_2² = 10002
    for found in (complex_stability_radius(a), real_stability_radius(a), real_stability_radius(a, norm="frobenius")):
        check_perturbation(a, found, "continuous")
        assert found.lower <= exact <= found.upper
        assert found.upper - found.lower <= 1e-8 * exact


def test_the_real_frobenius_radius_of_a_rotation_exceeds_the_spectral_one() -> None:
    spectral, frobenius = real_stability_radius(ROTATION), real_stability_radius(ROTATION, norm="frobenius")
    check_perturbation(ROTATION, frobenius, "continuous")
    assert spectral.lower == pytest.approx(0.3, rel=1e-3)
    assert spectral.upper == pytest.approx(0.3, rel=1e-10)
    assert frobenius.upper == pytest.approx(0.3 * np.sqrt(2), rel=1e-10)


def test_two_by_two_frobenius_in_closed_form() -> None:
    # A real 2 × 2 matrix becomes unstable with trace 0 (distance |trace|/√2) or with determinant 0 (σ_min).
    for seed in range(8):
        a = stable(2, seed)
        nearest = a - np.trace(a) / 2 * np.eye(2)
        candidates = [np.linalg.svd(a, compute_uv=False)[-1]]
        if np.linalg.det(nearest) > 0:
            candidates.append(abs(np.trace(a)) / np.sqrt(2))
        found = real_stability_radius(a, norm="frobenius")
        assert found.lower <= min(candidates) * (1 + 1e-9)
        assert found.upper == pytest.approx(min(candidates), rel=1e-6)


@pytest.mark.parametrize("time", ["continuous", "discrete"])
@pytest.mark.parametrize("n", [1, 3, 6])
def test_both_ends(time: Time, n: int) -> None:
    for seed in range(2):
        a = stable(n, seed, time)
        outer, inner = complex_stability_radius(a, time), real_stability_radius(a, time)
        wide = real_stability_radius(a, time, "frobenius")
        for found in (outer, inner, wide):
            check_perturbation(a, found, time)
        assert outer.lower >= outer.upper * (1 - 1e-8)
        assert inner.lower >= inner.upper * (1 - 2e-3)
        assert outer.lower <= inner.upper <= wide.upper * (1 + 1e-9)
        assert wide.upper <= np.sqrt(2) * inner.upper * (1 + 1e-6)
        # an independent route: a fine grid of the defining minimum
        s = np.linspace(0, np.pi, 4001) if time == "discrete" else np.linspace(0, 2 * np.linalg.norm(a, 2), 4001)
        z = np.exp(1j * s) if time == "discrete" else 1j * s
        grid = np.linalg.svd(a - z[:, None, None] * np.eye(n), compute_uv=False)[:, -1].min()
        assert outer.lower <= grid <= outer.upper + s[1]


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 10), st.sampled_from([2, 3]))
def test_invariance_under_rotation_and_scaling(seed: int, scale: float, n: int) -> None:
    a = stable(n, seed)
    q = np.linalg.qr(np.random.default_rng(seed + 1).normal(size=(n, n)))[0]
    here, there = complex_stability_radius(a), complex_stability_radius(scale * q @ a @ q.T)
    assert there.lower <= scale * here.upper * (1 + 1e-9)
    assert there.upper >= scale * here.lower * (1 - 1e-9)
    real = real_stability_radius(a, rel_tol=1e-2)
    moved = real_stability_radius(scale * q @ a @ q.T, rel_tol=1e-2)
    assert moved.lower <= scale * real.upper * (1 + 1e-9)
    assert moved.upper >= scale * real.lower * (1 - 1e-9)


@pytest.mark.parametrize("time", ["continuous", "discrete"])
def test_no_perturbation_below_the_lower_end_destabilises(time: Time) -> None:
    rng, a = np.random.default_rng(3), stable(4, 5, time)
    for norm in ("spectral", "frobenius"):
        found = real_stability_radius(a, time, norm)
        draws = rng.normal(size=(20_000, 4, 4)) * 0.02 * found.upper + found.perturbation
        order = 2 if norm == "spectral" else "fro"
        draws *= (found.lower * (1 - 1e-9) / np.linalg.norm(draws, order, axis=(1, 2)))[:, None, None]
        eigenvalues = np.linalg.eigvals(a + draws)
        assert eigenvalues.real.max() < 0 if time == "continuous" else np.abs(eigenvalues).max() < 1


@pytest.mark.parametrize("time", ["continuous", "discrete"])
def test_complex_matrices(time: Time) -> None:
    rng = np.random.default_rng(0)
    a = stable(3, 1, time) * np.exp(0.2j) if time == "discrete" else stable(3, 1) + 1j * rng.normal(size=(3, 3)) * 0.05
    found = complex_stability_radius(a, time)
    check_perturbation(a, found, time)
    assert found.lower >= found.upper * (1 - 1e-8)


def test_gradient_of_the_objective() -> None:
    rng = np.random.default_rng(0)
    for time in ("continuous", "discrete"):
        family = _Family(stable(4, 0, time), time, 1.0, 1.0)
        point = rng.normal(size=9)
        for power in (1, 4):
            objective = _objective(family, power)
            _, gradient = objective(point)
            step = 1e-6
            differences = [
                (objective(point + step * e)[0] - objective(point - step * e)[0]) / (2 * step) for e in np.eye(9)
            ]
            assert gradient == pytest.approx(differences, rel=1e-6, abs=1e-7)
        assert objective(point)[0] >= np.linalg.norm(_explicit(family, point)[0], 2)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="square"):
        complex_stability_radius(np.ones((2, 3)))
    with pytest.raises(ValueError, match="finite"):
        complex_stability_radius([[np.nan]])
    with pytest.raises(ValueError, match="stable"):
        complex_stability_radius([[0.0]])
    with pytest.raises(ValueError, match="stable"):
        real_stability_radius([[1.0]], "discrete")
    with pytest.raises(ValueError, match="real"):
        real_stability_radius([[-1.0 + 1j]])
    with pytest.raises(ValueError, match="time"):
        complex_stability_radius([[-1.0]], "sampled")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="norm"):
        real_stability_radius([[-1.0]], norm="max")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="rel_tol"):
        complex_stability_radius([[-1.0]], rel_tol=0)


def test_input_is_left_alone() -> None:
    a = ROTATION.copy()
    real_stability_radius(a, norm="frobenius")
    assert np.array_equal(a, ROTATION)


@pytest.mark.parametrize("time", ["continuous", "discrete"])
@pytest.mark.parametrize(("n", "coupling"), [(4, 300.0), (6, 100.0)])
def test_a_radius_far_below_the_size_of_the_matrix(time: Time, n: int, coupling: float) -> None:
    """(A - z)⁻¹ = -Σ_j kʲNʲ/(z - λ)ʲ⁺¹ for A = λ + kN, N nilpotent, and its norm depends on |z - λ| only.

    Pieces as short as the radius, 1e-8 or 1e-11 of |A|, would never come to an end.
    """
    place = -1.0 if time == "continuous" else 0.5
    a = place * np.eye(n) + np.diag(np.full(n - 1, coupling), 1)
    distance = 1.0 if time == "continuous" else 0.5
    powers = sum(np.diag(np.full(n - j, coupling**j / distance ** (j + 1)), j) for j in range(n))
    radius = 1 / np.linalg.norm(powers, 2)
    found = complex_stability_radius(a, time)
    slack = 64 * n * EPS * (np.linalg.norm(a, 2) + 1)
    assert found.lower <= radius * (1 + 1e-12)
    assert radius * (1 - 1e-12) <= found.upper
    assert found.upper - found.lower <= 1e-8 * radius + slack
