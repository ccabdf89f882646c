"""Hankel singular values and the limit of approximation: against closed forms, mpmath, and other discretizations."""

import math
import time

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics import cauchy, galerkin
from numerics.expsum import explicit_weights
from numerics.hankel import MAX_DIM, approximation_limit, hankel_singular_values, limit_table
from numerics.kernel_norms import kernel_norm
from numerics.spectral import slope_measure, spectral_measure
from numerics.targets import Samples, callable_target, parse_target
from tests.numerics.inertia import below

EPS = np.finfo(float).eps


def in_log_time(p: str, dims: int, digits: int = 30) -> list[float]:
    """Singular values for (1+t)^{-p} by the trapezoidal rule in τ, t = sinh-free e^{τ - e^{-τ}}, at `digits` digits.

    Nothing is shared with the method under test: the kernel is sampled in time, and the eigenvalues of
    √(w_i w_j) ρ(t_i + t_j) are computed in high precision.
    """
    with mpmath.workdps(digits):
        q, step = mpmath.mpf(p), mpmath.mpf(1) / 5
        tau = [step * k for k in range(-18, dims - 18)]
        t = [mpmath.exp(x - mpmath.exp(-x)) for x in tau]
        w = [step * x * (1 + mpmath.exp(-y)) for x, y in zip(t, tau, strict=True)]
        matrix = mpmath.matrix(dims, dims)
        for i in range(dims):
            for j in range(i + 1):
                matrix[i, j] = matrix[j, i] = mpmath.sqrt(w[i] * w[j]) * (1 + t[i] + t[j]) ** -q
        return sorted((abs(float(x)) for x in mpmath.eigsy(matrix, eigvals_only=True)), reverse=True)


def test_the_values_for_p_2_in_time_and_in_high_precision() -> None:
    spectrum = hankel_singular_values(parse_target("polynomial:p=2"), 65)
    reference = in_log_time("2", 72, 20)
    for j in (1, 2, 3, 5):
        assert spectrum.values[j - 1] == pytest.approx(reference[j - 1], rel=1e-6)
    np.testing.assert_allclose(
        spectrum.values[[0, 1, 2, 4, 8]], [0.40176, 0.069753, 0.018490, 0.0022500, 9.0714e-5], rtol=4e-5
    )
    assert np.all(spectrum.upper_estimate - spectrum.lower <= 1e-8 * spectrum.values)
    assert np.all((spectrum.lower <= spectrum.values) & (spectrum.values <= spectrum.upper_estimate))


def cauchy_matrix(p: str, step: str, first: int, last: int, shift: str) -> list[list[mpmath.mpf]]:
    """The lower triangle of the scaled Cauchy matrix of another grid, in the present precision."""
    q, h = mpmath.mpf(p), mpmath.mpf(step)
    x = [mpmath.exp(h * k + mpmath.mpf(shift)) for k in range(first, last)]
    v = [mpmath.sqrt(h * z**q * mpmath.exp(-z) / mpmath.gamma(q)) for z in x]
    return [[v[i] * v[j] / (x[i] + x[j]) for j in range(i + 1)] for i in range(len(x))]


@pytest.mark.slow
def test_tiny_values_to_high_relative_accuracy() -> None:
    """p = 5: σ_17 = 5.6e-12, where float64 eigenvalues are noise; another grid, 40 digits.

    That grid has the aliasing error 1e-20 and leaves out Σ v²/2 = e^{-4·12.5}/96 = 2e-24 of slow modes.
    """
    value = mpmath.mpf(float(hankel_singular_values(parse_target("polynomial:p=5"), 34).values[16]))
    with mpmath.workdps(40):
        matrix = cauchy_matrix("5", "0.16", -78, 27, "0.07")
        assert len(matrix) - below(matrix, value * (1 - mpmath.mpf("1e-7"))) == 17
        assert len(matrix) - below(matrix, value * (1 + mpmath.mpf("1e-7"))) == 16


@pytest.mark.parametrize("p", [1.3, 2.0, 5.0, 20.0])
@pytest.mark.parametrize("derivative", [False, True])
def test_two_discretizations_agree(p: float, derivative: bool) -> None:
    """The bounds of a coarser and of a finer rule overlap, for all 40 values."""
    target = parse_target(f"polynomial:p={p}")
    spectrum = hankel_singular_values(target, 40, derivative)
    assert spectrum.method == "cauchy"
    assert np.all(spectrum.upper_estimate - spectrum.lower <= 1e-7 * spectrum.values)
    measure = slope_measure(spectral_measure(target)) if derivative else spectral_measure(target)
    depth = 60 + math.pi * math.sqrt(80 * (measure.densities[0].p - 1))
    values, (added, removed), rounding, _ = cauchy._attempt(measure, 40, depth)
    assert np.all(values * (1 + rounding) + removed >= spectrum.lower)
    assert np.all(values * (1 - rounding) - added <= spectrum.upper_estimate)


@pytest.mark.parametrize("p", [1.3, 2.0, 4.0])
def test_the_trace(p: float) -> None:
    """Σσ_j = ∫ρ(2t)dt = ‖ρ‖/2, and for the derivative ρ(0)/2."""
    target = parse_target(f"polynomial:p={p}")
    for derivative, trace in ((False, 0.5 / (p - 1)), (True, 0.5)):
        spectrum = hankel_singular_values(target, 200, derivative)
        assert np.sum(spectrum.lower) <= trace
        assert np.sum(spectrum.values) == pytest.approx(trace, rel=1e-4 if p < 1.5 else 1e-9)


@pytest.mark.parametrize(("rate", "scale"), [(1.0, 1.0), (0.01, -3.0), (250.0, 2.0)])
def test_one_exponential(rate: float, scale: float) -> None:
    target = parse_target(f"exponential:rate={rate}:scale={scale}")
    spectrum = hankel_singular_values(target, 3)
    assert spectrum.values[0] == pytest.approx(abs(scale) / (2 * rate), rel=100 * EPS)
    assert spectrum.values[1:].tolist() == [0, 0]
    assert hankel_singular_values(target, 1, derivative=True).values[0] == pytest.approx(abs(scale) / 2, rel=100 * EPS)
    assert limit_table(target, [1, 2]).as_json() == {
        "rows": [{"m": m, "hankel_singular_value": 0.0, "error_lower": 0.0} for m in (1, 2)]
    }


@settings(max_examples=20, deadline=None)
@given(st.floats(-3, 3), st.floats(-9, 3), st.sampled_from([1.0, -0.7]))
def test_two_exponentials(log_rate: float, log_gap: float, weight: float) -> None:
    """e^{-at} + w e^{-bt}: the eigenvalues of a 2×2 Gram matrix, for rates down to 1e-9 apart, in high precision."""
    a = math.exp(log_rate)
    b = a + 10**log_gap
    target = parse_target(f"exponential:rate={a!r}+exponential:rate={b!r}:scale={weight!r}")
    spectrum = hankel_singular_values(target, 3)
    with mpmath.workdps(60):
        # Formulas take a parameter for the decimal that prints it; that is half a unit of roundoff away from the float.
        x, y, w = (mpmath.mpf(repr(value) if weight < 0 else value) for value in (a, b, weight))
        trace = 1 / (2 * x) + w / (2 * y)
        determinant = w / (4 * x * y) - w / (x + y) ** 2
        root = mpmath.sqrt(trace**2 - 4 * determinant)
        exact = sorted((float(abs((trace + root) / 2)), float(abs((trace - root) / 2))), reverse=True)
    assert spectrum.values[2] == 0
    ambiguity = 0.0 if weight > 0 else 8 * EPS * b / (b - a)
    assert np.all(spectrum.lower[:2] <= np.array(exact) * (1 + ambiguity))
    assert np.all(np.array(exact) * (1 - ambiguity) <= spectrum.upper_estimate[:2])
    np.testing.assert_allclose(spectrum.values[:2], exact, rtol=(1e-9 if weight > 0 else 1e-6) + ambiguity)


@settings(max_examples=3, deadline=None)
@given(st.floats(1.2, 8), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_scaling_time_and_size(p: float, s: float, scale: float) -> None:
    base = hankel_singular_values(parse_target(f"polynomial:p={p!r}"), 20)
    other = parse_target(f"polynomial:p={p!r}:s={s!r}:scale={scale!r}")
    np.testing.assert_allclose(hankel_singular_values(other, 20).values, s * scale * base.values, rtol=1e-8)
    slope = hankel_singular_values(parse_target(f"polynomial:p={p!r}"), 20, derivative=True)
    scaled = hankel_singular_values(other, 20, derivative=True)
    np.testing.assert_allclose(scaled.values, scale * slope.values, rtol=1e-8)


def test_slow_decay_by_two_methods() -> None:
    """p = 1.1, where both the Cauchy factor and Lanczos with the Toeplitz matrix can be afforded."""
    measure = spectral_measure(parse_target("polynomial:p=1.1+exponential:rate=3"))
    by_factor, (added, removed), rounding, _ = cauchy._attempt(measure, 30, 24.0)
    by_lanczos, lower, upper = cauchy._by_lanczos(measure, 30)
    np.testing.assert_allclose(by_factor, by_lanczos, rtol=1e-5)
    assert np.all(by_factor * (1 + rounding) + removed >= lower)
    assert np.all(by_factor * (1 - rounding) - added <= upper)
    slow = hankel_singular_values(parse_target("polynomial:p=1.01"), 65)
    assert np.all(slow.upper_estimate - slow.lower <= 1e-6 * slow.values)
    assert math.pi > slow.values[0] > 2.6  # Carleman's operator, p = 1, has the norm π


def test_the_indicator_from_0() -> None:
    """1_{[0,b]}: after a reflection Γ is the Volterra operator, σ_j = 2b/((2j-1)π); ρ' is one jump and nothing else."""
    spectrum = hankel_singular_values(parse_target("shift:start=0:end=3"), 12)
    exact = 6 / ((2 * np.arange(12) + 1) * math.pi)
    np.testing.assert_allclose(spectrum.values, exact, rtol=1e-9)
    assert np.all(spectrum.lower <= exact)
    assert approximation_limit(parse_target("shift:start=0:end=3"), 4) == pytest.approx(1 + exact[4], rel=1e-9)


def test_the_shift() -> None:
    """1_{[9,11]} by a second route: step functions of width 1/64, whose compression is an exact matrix of fractions."""
    table = limit_table(parse_target("shift"), [1, 4, 9])
    width, n = 1 / 32, 11 * 32
    # ∫∫ 1_{9 ≤ s+t ≤ 11} over cells i, j of one width: a half on the diagonals that the ends cut, 1 between.
    index = np.arange(n)[:, None] + np.arange(n) + 1
    matrix = width * (0.5 * ((index == 9 * 32) | (index == 11 * 32)) + ((index > 9 * 32) & (index < 11 * 32)))
    values = np.sort(np.abs(np.linalg.eigvalsh(matrix)))[::-1]
    for row in table.rows:
        assert values[row.m] <= row.hankel_singular_value * (1 + 1e-9)  # a compression of a compression
        assert values[row.m] == pytest.approx(row.hankel_singular_value, rel=3e-3)
        assert row.error_lower == pytest.approx(2 + row.hankel_singular_value, rel=1e-9)
        assert row.error_lower <= 2 + row.hankel_singular_value


def test_compression_in_time_agrees_with_the_cauchy_matrix() -> None:
    target = parse_target("polynomial:p=3")
    end = 1e9
    values, lower, upper = galerkin.singular_values(target.rho, 8, (), end, 1 / 3, target.tail(end).upper)
    exact = hankel_singular_values(target, 8)
    np.testing.assert_allclose(values, exact.values, rtol=1e-6)
    assert np.all(lower <= exact.upper_estimate)
    assert np.all(upper >= exact.lower)
    signed = parse_target("polynomial:p=3+exponential:rate=1:scale=-1")
    end = 1e8
    expected, _, _ = galerkin.singular_values(signed.rho, 6, (), end, 1 / 3, signed.tail(end).upper)
    np.testing.assert_allclose(hankel_singular_values(signed, 6).values, expected, rtol=1e-6)


def test_a_smooth_kernel_in_high_precision() -> None:
    """The two-part kernel by Gauss-Legendre nodes on [0, 40] at 30 digits, its derivative by the same rule."""
    target = parse_target("two-part")
    with mpmath.workdps(30):
        nodes, weights = np.polynomial.legendre.leggauss(200)
    t, w = 20 * (1 + nodes), 20 * weights
    total = t[:, None] + t
    rho = np.exp(-total) + np.exp(-((total - 9) ** 2))
    slope = -np.exp(-total) - 2 * (total - 9) * np.exp(-((total - 9) ** 2))
    for derivative, kernel in ((False, rho), (True, slope)):
        spectrum = hankel_singular_values(target, 13, derivative)
        reference = np.sort(np.abs(np.linalg.eigvalsh(np.sqrt(np.outer(w, w)) * kernel)))[::-1][:13]
        np.testing.assert_allclose(spectrum.values, reference, rtol=1e-7)
        assert np.all(spectrum.lower <= reference * (1 + 1e-10))


@pytest.mark.parametrize("spec", ["airy", "polynomial:p=1.5+shift", "exponential:rate=0.01+shift:scale=0.1"])
def test_lower_bounds_fall_and_stay_below_the_target(spec: str) -> None:
    target = parse_target(spec)
    table = limit_table(target, [1, 2, 4, 8, 16])
    bounds = [row.error_lower for row in table.rows]
    assert bounds == sorted(bounds, reverse=True)
    norm = target.tail(0.0).upper + abs(target.right_limit(0.0)) + target.tail_variation(0.0).upper
    assert 0 <= bounds[0] <= norm


@pytest.mark.parametrize("spec", ["polynomial:p=1.5", "polynomial:p=3", "polynomial:p=1.2:s=0.1+exponential:rate=0.1"])
def test_no_explicit_model_is_closer_than_the_limit(spec: str) -> None:
    target = parse_target(spec)
    for row in limit_table(target, [1, 2, 4, 8, 16, 32]).rows:
        lam, weights = explicit_weights(target, row.m)
        estimate = kernel_norm(target, weights, lam)
        assert 0 < row.error_lower <= estimate.value + estimate.error
        assert row.hankel_singular_value < row.error_lower


@pytest.mark.parametrize("spec", ["polynomial:p=1.5", "polynomial:p=3+exponential:rate=5"])
def test_the_better_bound(spec: str) -> None:
    """Above the bound of the table here, below Weyl's σ_{i+j-1}(A+B) ≤ σ_i(A) + σ_j(B), and below every model."""
    target = parse_target(spec)
    size, change = (hankel_singular_values(target, 10, derivative).values for derivative in (False, True))
    for m in (1, 2, 4, 8):
        bound = approximation_limit(target, m)
        weyl = min(size[i] + change[m - i] for i in range(m + 1))
        assert limit_table(target, [m]).rows[0].error_lower <= bound <= weyl * (1 + 1e-8)
        lam, weights = explicit_weights(target, m)
        assert bound <= kernel_norm(target, weights, lam).value * (1 + 1e-12)
    assert approximation_limit(parse_target("exponential:scale=0"), 1) == 0


def test_samples_and_callables() -> None:
    times = np.linspace(0, 4, 41)
    target = Samples(times, np.exp(-times) * np.cos(3 * times))
    table = limit_table(target, [1, 2, 5])
    jump = abs(float(target.values[-1]))
    assert all(row.error_lower >= jump for row in table.rows)
    smooth = callable_target(lambda t: np.exp(-t) - 0.5 * np.exp(-2 * t), tail=lambda x: (0.0, math.exp(-x)))
    spectrum = hankel_singular_values(smooth, 3)
    exact = hankel_singular_values(parse_target("exponential+exponential:rate=2:scale=-0.5"), 3)
    np.testing.assert_allclose(spectrum.values[:2], exact.values[:2], rtol=1e-9)
    assert spectrum.lower[2] <= 1e-12
    assert approximation_limit(smooth, 2) < 1e-6


def test_64_dimensions_take_seconds() -> None:
    began = time.perf_counter()
    limit_table(parse_target("polynomial:p=1.5"), range(1, 65))
    assert time.perf_counter() - began < 10


def test_the_order_asked_is_kept_and_nothing_else_changes_it() -> None:
    target = parse_target("polynomial:p=2")
    table = limit_table(target, [8, 1, 8])
    assert [row.m for row in table.rows] == [8, 1, 8]
    assert table.rows[0] == table.rows[2]
    assert limit_table(parse_target("exponential:scale=0"), [3]).rows[0].error_lower == 0


@pytest.mark.parametrize("m", [0, -1, 1.5, True, MAX_DIM + 1])
def test_bad_dimensions(m: int) -> None:
    with pytest.raises(ValueError, match="m must be an integer from 1"):
        limit_table(parse_target("exponential"), [m])


def test_bad_targets() -> None:
    with pytest.raises(ValueError, match="at least one"):
        limit_table(parse_target("exponential"), [])
    for spec in ("sine", "polynomial:p=1", "shift+sine"):
        with pytest.raises(ValueError, match="L1 norm is infinite"):
            limit_table(parse_target(spec), [1])
