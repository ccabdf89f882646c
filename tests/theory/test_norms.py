"""The exact norms: spot checks against quadrature, and each hypothesis alone."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from theory import norms
from theory.notation import lam, omega, r, t


@given(st.floats(1e-3, 50))
@settings(max_examples=10, deadline=None)
def test_real_mode(rate: float) -> None:
    size, variation = norms.real_mode_norms()
    assert float(size.subs(lam, -rate)) == pytest.approx(quad(lambda s: np.exp(-s), 0, np.inf)[0] / rate, rel=1e-8)
    assert variation == 2


def test_complex_mode() -> None:
    size, variation = norms.complex_mode_norms()
    rate, frequency = 0.7, 3.0
    times = np.linspace(0, 60, 600_001)
    mode = np.exp((-rate + 1j * frequency) * times)
    values = {r: rate, omega: frequency}
    assert float(size.subs(values)) == pytest.approx(np.trapezoid(np.abs(mode), times), rel=1e-7)
    assert float(variation.subs(values)) == pytest.approx(np.abs(np.diff(mode, prepend=0)).sum(), rel=1e-7)


def test_kernel_with_sign_changes_against_quadrature() -> None:
    kernel = 2 * sp.exp(-t) - 5 * sp.exp(-2 * t) + 2 * sp.exp(-3 * t)
    exact = norms.kernel_norms(kernel)
    function, slope = sp.lambdify(t, kernel), sp.lambdify(t, sp.diff(kernel, t))
    points = [0.3, 0.7, 1.0, 1.5, 2.0]
    assert float(exact.functional) == pytest.approx(
        quad(lambda s: abs(function(s)), 0, 60, points=points, limit=200)[0], rel=1e-6
    )
    variation = abs(function(0)) + quad(lambda s: abs(slope(s)), 0, 60, points=points, limit=200)[0]
    assert float(exact.derivative) == pytest.approx(variation, rel=1e-6)
    assert not exact.total.has(sp.Integral, sp.Piecewise)


def test_several_inputs_add() -> None:
    one, other = sp.exp(-t), -3 * sp.exp(-2 * t)
    both = norms.kernel_norms([one, other])
    assert both.total == norms.kernel_norms(one).total + norms.kernel_norms(other).total


def test_zero_kernel() -> None:
    assert norms.kernel_norms(sp.S.Zero).total == 0


def test_kernel_without_closed_zeros_is_rejected() -> None:
    with pytest.raises(ValueError, match="expression"):
        norms.absolute_integral(sp.exp(-t) - sp.exp(-sp.sqrt(2) * t) * sp.Rational(3, 2) + t * sp.exp(-3 * t))


def test_a_zero_of_unknown_sign_is_rejected() -> None:
    p, q = sp.symbols("p q", positive=True)
    with pytest.raises(ValueError, match=r"expression: the zeros .* cannot be ordered"):
        norms.absolute_integral(sp.exp(-p * t) - 2 * sp.exp(-q * t))


def test_scale_and_dual_norm() -> None:
    value, size = sp.symbols("a b", positive=True)
    assert norms.supremum_over_scale(value, size) == value / size
    assert norms.dual_norm([sp.Integer(3), sp.Integer(-4), sp.Integer(1)]) == 8
    for bad in ((sp.Symbol("x", real=True), sp.S.One), (sp.S.One, sp.S.Zero)):
        with pytest.raises(ValueError, match="positive"):
            norms.supremum_over_scale(*bad)


def test_real_inputs_see_less_of_a_complex_mode() -> None:
    rate, frequency = sp.S.One, sp.Integer(10)
    times = np.linspace(0, 40, 400_001)
    sup = max(
        np.trapezoid(np.exp(-times) * np.abs(np.cos(10 * times + angle)), times) for angle in np.linspace(0, np.pi, 40)
    )
    upper = float(norms.real_input_norm_upper(rate, frequency))
    assert float(norms.real_input_norm_lower()) <= sup <= upper < 1
    with pytest.raises(ValueError, match="rate"):
        norms.real_input_norm_upper(sp.S.Zero, frequency)


@pytest.mark.parametrize(("width", "error"), [(2, 4), (1, 3), (5, 4)])
def test_shift_error(width: int, error: int) -> None:
    assert norms.shift_error(sp.Integer(width)) == error


def test_shift_error_of_a_trapezium_comes_close_for_a_long_shift() -> None:
    times = np.linspace(0, 30, 300_001)
    target = ((times > 5) & (times < 20)).astype(float)
    model = np.clip(np.minimum(times - 5, 20 - times) / 0.01, 0, 1)
    error = 2 + np.abs(np.diff(model)).sum() + np.trapezoid(np.abs(target - model), times)
    assert 4 <= error <= 4 + 0.02


def test_shift_needs_a_width() -> None:
    with pytest.raises(ValueError, match="width"):
        norms.shift_error(sp.S.Zero)


def test_sine() -> None:
    count = 4
    assert norms.sine_integral(count) == 8
    assert quad(lambda s: abs(np.sin(s)), 0, count * np.pi, points=[np.pi, 2 * np.pi, 3 * np.pi])[0] == pytest.approx(8)
    for bad in (0, sp.Rational(1, 2)):
        with pytest.raises(ValueError, match="half_periods"):
            norms.sine_integral(bad)


def test_memory_factor() -> None:
    assert norms.memory_over_variation() == sp.Rational(1, 2)
