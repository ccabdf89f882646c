"""Memory functions of kernels and of one layer: spot checks against quadrature, and each hypothesis alone."""

from itertools import product

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from theory import memory
from theory.notation import lam, s, t

p = sp.Symbol("p", positive=True)
r = sp.Symbol("r", positive=True)
h = sp.Symbol("h", real=True)


def test_memory_function_is_the_best_vertex() -> None:
    kernel = [sp.exp(-s), -2 * sp.exp(-3 * s), sp.exp(-s) * sp.cos(3 * s)]
    found = memory.memory_function(kernel)
    for time in (0.0, 0.3, 1.4):
        vector = np.array([float(rho.subs(s, time)) for rho in kernel])
        best = max(abs(np.dot(vertex, vector)) for vertex in product((-1, 1), repeat=3))
        assert float(found.subs(t, time)) == pytest.approx(best, rel=1e-12)


def test_memory_function_of_a_power_with_symbolic_exponent() -> None:
    assert sp.simplify(memory.memory_function([(1 + s) ** -p]) - (1 + t) ** -p) == 0


def test_ratio_stays_below_the_supremum() -> None:
    size = sp.Symbol("R", positive=True)
    ratio = memory.memory_ratio([sp.exp(-s), sp.exp(-2 * s)], size)
    supremum = memory.memory_function([sp.exp(-s), sp.exp(-2 * s)])
    values = [float((ratio / supremum).subs({size: k, t: 1})) for k in (1, 10, 1000)]
    assert values == pytest.approx([1 / 2, 10 / 11, 1000 / 1001])


def test_response_against_quadrature() -> None:
    kernel = sp.exp(-s) * sp.cos(2 * s)
    response = memory.heaviside_response([kernel], [sp.Integer(3)])
    expected = 3 * quad(sp.lambdify(s, kernel), 0, 1.7)[0]
    assert float(response.subs(t, 1.7)) == pytest.approx(expected, rel=1e-10)


@given(st.floats(-5, -0.01), st.floats(-3, 3), st.floats(0, 4))
@settings(max_examples=20, deadline=None)
def test_state_solves_its_equation(eigenvalue: float, drive: float, time: float) -> None:
    u = sp.Symbol("u", real=True)
    state = memory.heaviside_state(lam, u)
    residual = sp.diff(state, t) - lam * state - u
    values = {lam: eigenvalue, u: drive, t: time}
    assert abs(float(residual.subs(values))) <= 1e-13 * (1 + abs(drive)) * (1 + abs(eigenvalue))
    assert state.subs(t, 0) == 0


def test_one_layer_rate_against_differences() -> None:
    lams, c, drive = (-1, -3), (2, -1), (1, sp.Rational(1, 2))
    rate = memory.one_layer_rate(sp.tanh(h), h, lams, c, drive)

    def output(time: float) -> float:
        states = [np.expm1(a * time) / a * float(u) for a, u in zip(lams, drive, strict=True)]
        return float(np.dot(c, np.tanh(states)))

    step = 1e-4
    difference = (output(0.8 + step) - output(0.8 - step)) / (2 * step)
    assert float(rate.subs(t, 0.8)) == pytest.approx(difference, abs=1e-6)


@pytest.mark.parametrize(
    ("function", "rate", "order", "exponential"),
    [
        (3 * sp.exp(-r * t), r, sp.oo, True),
        ((1 + t) ** -p, 0, p, False),
        (sp.exp(-sp.sqrt(t)), 0, sp.oo, False),
        (1 / sp.log(t + 2), 0, 0, False),
        (sp.exp(-(t**2)), sp.oo, sp.oo, True),
        (sp.Integer(0), sp.oo, sp.oo, True),
    ],
)
def test_decay_class(function: sp.Expr, rate: sp.Expr, order: sp.Expr, exponential: bool) -> None:
    found = memory.decay_class(function)
    assert (found.rate, found.order, found.exponential) == (rate, order, exponential)
    assert found.decaying


def test_polynomial_class_depends_on_the_constant() -> None:
    exponential = memory.decay_class(sp.exp(-t))
    assert exponential.polynomial(zero_constant_allowed=True)
    assert not exponential.polynomial(zero_constant_allowed=False)
    power = memory.decay_class(2 * (1 + t) ** -3)
    assert power.constant == 2
    assert power.polynomial(zero_constant_allowed=False)
    logarithmic = memory.decay_class(sp.log(2 + t) / (1 + t) ** 2)
    assert not logarithmic.polynomial(zero_constant_allowed=False)
    assert logarithmic.polynomial(zero_constant_allowed=True)


def test_memory_that_does_not_decay() -> None:
    assert not memory.decay_class(1 + sp.exp(-t)).decaying


def test_kernel_is_recovered() -> None:
    rho = sp.Function("rho")
    assert memory.recover_kernel(sp.Integral(rho(s), (s, 0, t))) == rho(t)
    response = memory.heaviside_response([(1 + s) ** -2], [sp.Integer(1)])
    assert sp.simplify(memory.recover_kernel(response) - (1 + t) ** -2) == 0


def test_hypotheses() -> None:
    with pytest.raises(ValueError, match="kernel: at least one"):
        memory.memory_function([])
    with pytest.raises(ValueError, match="kernel: a component is not real"):
        memory.memory_function([sp.I * sp.exp(-s)])
    with pytest.raises(ValueError, match="x: 1 components are needed, got 2"):
        memory.heaviside_response([sp.exp(-s)], [sp.Integer(1), sp.Integer(1)])
    with pytest.raises(ValueError, match="kernel: no single closed form"):
        memory.heaviside_response([(1 + s) ** -p], [sp.Integer(1)])
    with pytest.raises(ValueError, match="lam: must not be zero, got 0"):
        memory.heaviside_state(sp.Integer(0), sp.Integer(1))
    with pytest.raises(ValueError, match="lengths differ: 1, 2, 1"):
        memory.one_layer_rate(h, h, [-1], [1, 1], [1])
