"""Singular values below float64's noise: mpmath with other rules, closed forms, the float64 routes, honest rows."""

import math
from collections.abc import Callable

import mpmath
import numpy as np
import pytest

from numerics import extended
from numerics.hankel import LimitRow, hankel_singular_values, limit_table
from numerics.targets import callable_target, parse_target
from tests.numerics.inertia import Rule, beyond, gauss_legendre, hankel_matrix, log_trapezoid

POLYNOMIAL = "polynomial:p=2+exponential:scale=-0.5"

CASES: dict[str, tuple[Callable[[mpmath.mpf], mpmath.mpf], Callable[[], Rule], tuple[int, ...]]] = {
    "airy": (lambda t: mpmath.airyai(t - 6), lambda: gauss_legendre(80, 0, 34), (25,)),
    "two-part": (
        lambda t: mpmath.exp(-t) + mpmath.exp(-((t - 9) ** 2)),
        lambda: [*gauss_legendre(74, 0, 14), *gauss_legendre(16, 14, 36)],
        (33,),
    ),
    POLYNOMIAL: (
        lambda t: (1 + t) ** -2 - mpmath.exp(-t) / 2,
        lambda: log_trapezoid(-14, 88, mpmath.mpf(1) / 4),
        (13,),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("spec", CASES)
def test_high_precision_by_inertia(spec: str) -> None:
    """Of another matrix, at 42 digits: j eigenvalues are larger than σ_j(1-1e-6), and j-1 than σ_j(1+1e-6)."""
    kernel, rule, indices = CASES[spec]
    spectrum = hankel_singular_values(parse_target(spec), max(indices))
    assert spectrum.method.endswith("extended precision")
    assert np.all(spectrum.resolved)
    with mpmath.workdps(42):
        matrix = hankel_matrix(kernel, rule())
        for j in indices:
            value = mpmath.mpf(float(spectrum.values[j - 1]))
            assert beyond(matrix, value * (1 - mpmath.mpf("1e-6"))) == j
            assert beyond(matrix, value * (1 + mpmath.mpf("1e-6"))) == j - 1


def test_it_agrees_with_the_float64_routes() -> None:
    """Galerkin's lower bounds in time, and the Cauchy matrix of a completely monotone kernel to tiny values."""
    smooth = parse_target("airy")
    values, _, upper = extended.singular_values(smooth, 12, True) or pytest.fail("no formula")
    compressed = hankel_singular_values(smooth, 9, derivative=True)
    assert compressed.method == "galerkin and extended precision" or np.all(compressed.resolved)
    np.testing.assert_allclose(values[:9], compressed.values, rtol=1e-6)
    assert np.all(compressed.lower <= upper[:9])
    monotone = parse_target("polynomial:p=5")
    values, lower, upper = extended.singular_values(monotone, 34, False) or pytest.fail("no formula")
    exact = hankel_singular_values(monotone, 34)
    assert exact.method == "cauchy"
    assert values[33] < 1e-16 * values[0]
    np.testing.assert_allclose(values, exact.values, rtol=2e-7)
    assert np.all((lower <= exact.upper_estimate) & (exact.lower <= upper))


def test_two_close_exponentials_of_both_signs() -> None:
    """e^{-at} - e^{-bt}, b - a = 1e-9: σ_1 - σ_2 and σ_1 σ_2 in closed form; float64 knows neither value to 1e-6."""
    a, b = 1.0, 1.0 + 1e-9
    spectrum = hankel_singular_values(parse_target(f"exponential:rate={a!r}+exponential:rate={b!r}:scale=-1"), 3)
    with mpmath.workdps(60):
        x, y = mpmath.mpf(repr(a)), mpmath.mpf(repr(b))
        trace, determinant = 1 / (2 * x) - 1 / (2 * y), -1 / (4 * x * y) + 1 / (x + y) ** 2
        root = mpmath.sqrt(trace**2 - 4 * determinant)
        exact = [float((root + abs(trace)) / 2), float((root - abs(trace)) / 2)]
    np.testing.assert_allclose(spectrum.values[:2], exact, rtol=1e-7)
    assert np.all(spectrum.lower[:2] <= exact)
    assert spectrum.values[2] == 0
    assert np.all(spectrum.resolved)


def test_scaling_time_and_size() -> None:
    """k(t) → c k(t/s) multiplies the singular values by c s."""
    base, _, _ = extended.singular_values(parse_target(POLYNOMIAL), 8, False, 1e-4) or pytest.fail("no formula")
    scaled = parse_target("polynomial:p=2:s=50:scale=3+exponential:rate=0.02:scale=-1.5")
    values, _, _ = extended.singular_values(scaled, 8, False, 1e-4) or pytest.fail("no formula")
    np.testing.assert_allclose(values, 150 * base, rtol=1e-6)


def test_what_has_no_analytic_formula() -> None:
    assert extended.formula(parse_target("airy+shift"), False) is None
    assert extended.formula(callable_target(np.exp, tail=lambda x: (0.0, 1.0)), False) is None
    assert extended.singular_values(parse_target("airy+airy:scale=-1"), 2, False) is not None
    nothing = hankel_singular_values(parse_target("airy+airy:scale=-1"), 2)
    assert nothing.values.tolist() == nothing.upper_estimate.tolist() == [0, 0]


def test_rows_without_formula_say_that_they_are_not_resolved() -> None:
    """A callable Ai(t-6): where float64 has noise, no noise is printed as a value, and the lower bound is 0."""
    airy = parse_target("airy")
    opaque = callable_target(airy.rho, slope=airy.slope, tail=airy.tail, tail_variation=airy.tail_variation)
    known, unknown = limit_table(airy, [4, 24]).rows, limit_table(opaque, [4, 24]).rows
    assert unknown[0].resolved
    assert unknown[0].hankel_singular_value == pytest.approx(known[0].hankel_singular_value, rel=1e-6)
    assert not unknown[1].resolved
    assert known[1].hankel_singular_value < 1e-20 < unknown[1].hankel_singular_value < 1e-11
    assert unknown[1].error_lower == 0 < known[1].error_lower
    assert [list(row) for row in limit_table(opaque, [4, 24]).as_json()["rows"]] == [
        ["m", "hankel_singular_value", "error_lower"],
        ["m", "hankel_singular_value", "error_lower", "resolved"],
    ]
    assert LimitRow(1, 0.0, 0.0).resolved


def test_values_too_small_to_be_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the floor bounds are wide, and above it nothing changes."""
    exact, _, _ = extended.singular_values(parse_target("airy"), 21, False) or pytest.fail("no formula")
    monkeypatch.setattr(extended, "_SMALLEST", 1e-20)
    values, lower, upper = extended.singular_values(parse_target("airy"), 26, False) or pytest.fail("no formula")
    assert values[20] > 1e-20
    assert np.all(upper[:21] - lower[:21] <= 1e-6 * values[:21])
    np.testing.assert_allclose(values[:21], exact[:21], rtol=1e-6)
    assert upper[24] > 9.77645e-24 > lower[24]  # σ_25, see above
    assert math.isfinite(upper[25])
