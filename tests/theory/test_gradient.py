"""Theorem 3.6: norms of the derivative of a mode against quadrature and summation, and the bad arguments."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import quad

from theory import gradient, reparameterization
from theory.formula import NAMED, named
from theory.notation import a, b, lam, r, t, tau, w

CASES = [(name, time) for name, entry in NAMED.items() for time in ("continuous", "discrete") if getattr(entry, time)]


def admissible_weight(name: str, time: str) -> float:
    return -0.7 if (name, time) == ("direct", "continuous") else 0.6


@pytest.mark.parametrize("rate", [0.05, 1.0, 7.0])
def test_norms_of_the_derivative_agree_with_quadrature(rate: float) -> None:
    def kernel(time: float) -> float:
        return float(gradient.mode_derivative().subs({lam: -rate, t: time}))

    pieces = [(0, 1 / rate), (1 / rate, 10 / rate), (10 / rate, 60 / rate)]
    l1 = sum(quad(kernel, *piece, epsrel=1e-10)[0] for piece in pieces)
    grid = np.linspace(0, 60 / rate, 200001)
    variation = np.abs(np.diff(grid * np.exp(-rate * grid))).sum()
    assert float(gradient.derivative_l1_norm().subs(lam, -rate)) == pytest.approx(l1, rel=1e-9)
    # a grid misses the top of the hump by at most the curvature there times the squared step
    assert float(gradient.derivative_total_variation().subs(lam, -rate)) == pytest.approx(variation, rel=1e-6)
    assert float(gradient.derivative_w1inf_norm().subs(lam, -rate)) == pytest.approx(l1 + variation, rel=1e-6)


def test_no_integral_or_case_distinction_survives() -> None:
    for result in (
        gradient.derivative_w1inf_norm(),
        gradient.complex_derivative_l1_norm(),
        gradient.discrete_derivative_l1_norm(),
    ):
        assert not result.has(sp.Integral, sp.Piecewise, sp.Sum, sp.Limit)


def test_complex_mode_has_the_norm_of_its_envelope() -> None:
    eigenvalue = -0.5 + 3j
    norm = sum(quad(lambda time: abs(time * np.exp(eigenvalue * time)), *piece)[0] for piece in ((0, 10), (10, 80)))
    assert float(gradient.complex_derivative_l1_norm().subs(r, 0.5)) == pytest.approx(norm, rel=1e-9)


@pytest.mark.parametrize("eigenvalue", [-0.9, -0.3, 0.0, 0.5, 0.95])
def test_discrete_norm_is_the_sum(eigenvalue: float) -> None:
    k = np.arange(1, 2000)
    total = np.abs(k * np.float64(eigenvalue) ** (k - 1)).sum()
    stated = gradient.discrete_derivative_l1_norm().subs(gradient.decay, abs(eigenvalue))
    assert float(stated) == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize(("name", "time"), CASES)
def test_mode_gradient_norm_is_the_gradient_scale(name: str, time: str) -> None:
    f = named(name, time)
    at = {w: admissible_weight(name, time)}
    scale = reparameterization.gradient_scale(f, time)
    assert float(gradient.mode_gradient_norm(f, time).subs(at)) == pytest.approx(float(scale.subs(at)), rel=1e-12)


@pytest.mark.parametrize(("name", "time"), CASES)
def test_zero_target_attains_the_bound(name: str, time: str) -> None:
    f, at = named(name, time), admissible_weight(name, time)
    loss = sp.lambdify(w, gradient.zero_target_loss(f, time))
    h = 1e-5
    slope = abs(loss(at + h) - loss(at - h)) / (2 * h)
    # truncation h² and rounding ε/h, both near 1e-10
    assert float(gradient.mode_gradient_norm(f, time).subs(w, at)) == pytest.approx(slope, rel=1e-7)


def test_w1inf_norm_of_a_reparameterized_mode() -> None:
    norm = gradient.mode_gradient_norm(-sp.exp(w), norm="W1inf")
    assert sp.simplify(norm - (sp.exp(-w) + 2 * sp.exp(-1))) == 0


def test_kernel_gradient_norm_multiplies_c_and_the_row_of_u() -> None:
    norm = gradient.kernel_gradient_norm(-sp.exp(w), sp.Integer(-3), [sp.Integer(1), sp.Integer(-2)])
    assert sp.simplify(norm - 9 * sp.exp(-w)) == 0


def test_printed_discrete_scale_is_too_small_for_negative_eigenvalues_only() -> None:
    ratio = gradient.mode_gradient_norm(sp.tanh(w), "discrete") / gradient.printed_discrete_scale(sp.tanh(w))
    assert float(ratio.subs(w, 1.3)) == pytest.approx(1)
    negative = -0.99
    expected = ((1 - negative) / (1 + negative)) ** 2
    assert float(ratio.subs(w, np.arctanh(negative))) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("name", "time"), CASES)
def test_memory_time_rate_is_the_slope_of_the_time_constant(name: str, time: str) -> None:
    f, at = named(name, time), admissible_weight(name, time)
    half_line = name in ("relu", "best", "reciprocal")
    rate = gradient.memory_time_rate(f, time, half_line=half_line)
    tau_at = gradient.time_constant(f, time).subs(w, at)
    expected = sp.diff(gradient.time_constant(f, time), w).subs(w, at)
    assert float(rate.subs(tau, tau_at)) == pytest.approx(float(expected), rel=1e-9)
    assert not rate.has(w, sp.Piecewise)


def test_memory_time_table() -> None:
    assert gradient.memory_time_rate(w) == tau**2
    assert gradient.memory_time_rate(-sp.exp(w)) == -tau
    best = gradient.memory_time_rate(-1 / (a * w**2 + b), half_line=True)
    assert sp.simplify(best**2 - 4 * a * (tau - b)) == 0
    softplus = gradient.memory_time_rate(-sp.log(1 + sp.exp(w)))
    assert sp.limit(softplus / tau, tau, sp.oo) == -1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gradient.mode_gradient_norm(-sp.exp(w), "hybrid"), "time: 'hybrid'"),
        (lambda: gradient.mode_gradient_norm(-sp.exp(w), norm="L2"), "norm: 'L2'"),
        (lambda: gradient.mode_gradient_norm(-sp.exp(w), "discrete", "W1inf"), "norm: 'W1inf'"),
        (lambda: gradient.mode_gradient_norm(sp.Integer(-1)), "f: -1"),
        (lambda: gradient.mode_gradient_norm(sp.exp(w)), "is not negative"),
        (lambda: gradient.time_constant(sp.exp(w)), "is not negative"),
        (lambda: gradient.kernel_gradient_norm(-sp.exp(w), sp.Integer(1), []), "u: "),
        (lambda: gradient.memory_time_rate(-1 / (w**2 + 1)), "no unique inverse"),
        (lambda: gradient.printed_discrete_scale(a), "f: a"),
    ],
)
def test_bad_arguments(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        call()
