"""Derivatives, inverses, ranges, memory times and gradient scales of the named reparameterizations, in numbers."""

from functools import cache

import numpy as np
import pytest
import sympy as sp

from theory.formula import NAMED, FormulaError
from theory.notation import a, b, w
from theory.reparameterization import (
    EIGENVALUE,
    gradient_scale,
    memory_time,
    reparameterization,
    symbolic_formula,
)

derived = cache(reparameterization)

CASES = [
    (name, time)
    for name, entry in NAMED.items()
    for time in ("continuous", "discrete")
    if getattr(entry, time) is not None
]
POINTS = (0.3, 0.7, 1.9)


@pytest.mark.parametrize(("name", "time"), CASES)
def test_derivative_by_differences(name: str, time: str) -> None:
    found = derived(name, time)
    f, derivative = (sp.lambdify(w, e, ["numpy", {"Max": np.maximum}]) for e in (found.f, found.derivative))
    step = 1e-5
    for point in (*POINTS, -0.4, -1.3):
        slope = (f(point + step) - f(point - step)) / (2 * step)
        # central differences: error of order step² and rounding eps/step
        assert derivative(point) == pytest.approx(slope, abs=1e-8, rel=1e-8)


@pytest.mark.parametrize(("name", "time"), CASES)
def test_inverse_returns_the_weight_in_its_domain(name: str, time: str) -> None:
    found = derived(name, time)
    for point in POINTS if found.inverse_domain.start == 0 else (*POINTS, -0.4, -1.3):
        eigenvalue = sp.N(found.f.subs(w, point), 30)
        assert float(sp.re(sp.N(found.inverse.subs(EIGENVALUE, eigenvalue), 20))) == pytest.approx(point, rel=1e-9)


@pytest.mark.parametrize(("name", "time"), CASES)
def test_range_holds_all_values_and_no_others(name: str, time: str) -> None:
    found = derived(name, time)
    values = [sp.N(found.f.subs(w, sp.Rational(k, 4)), 30) for k in range(-40, 41)]
    assert all(found.range.subs(EIGENVALUE, value) == sp.true for value in values)
    for candidate in (sp.Rational(k, 8) for k in range(-40, 41)):  # each λ in the range is reached by its inverse
        if found.range.subs(EIGENVALUE, candidate) == sp.true:
            weight = sp.N(found.inverse.subs(EIGENVALUE, candidate), 30)
            assert abs(sp.N(found.f.subs(w, weight), 30) - candidate) < 1e-20
        else:
            assert candidate not in values


@pytest.mark.parametrize(("name", "time"), CASES)
def test_memory_time_is_the_norm_of_the_impulse_response(name: str, time: str) -> None:
    found = derived(name, time)
    for point in (-0.4, 0.3, 0.7):
        eigenvalue = float(found.f.subs(w, point))
        if time == "continuous":
            if eigenvalue >= 0:
                continue
            norm = -1 / eigenvalue
        else:
            if abs(eigenvalue) >= 1:
                continue
            norm = float(np.sum(np.abs(eigenvalue) ** np.arange(20000)))
        assert float(found.memory_time.subs(w, point)) == pytest.approx(norm, rel=1e-9)


@pytest.mark.parametrize(("name", "time"), CASES)
def test_gradient_scale_is_the_slope_of_the_memory_time(name: str, time: str) -> None:
    found = derived(name, time)
    tau = sp.lambdify(w, found.memory_time, ["numpy", {"Max": np.maximum}])
    for point in (0.3, 0.71):
        slope = abs(tau(point + 1e-5) - tau(point - 1e-5)) / 2e-5
        assert float(found.gradient_scale.subs(w, point)) == pytest.approx(slope, rel=1e-6)


def test_gradient_scales_of_the_memory_time() -> None:
    tau = sp.Symbol("tau", positive=True)
    scales = {"direct": tau**2, "exp": tau, "best": 2 * sp.sqrt(a * (tau - b)), "reciprocal": a}
    point = {a: 2, b: sp.Rational(1, 3)}
    for name, expected in scales.items():
        found = derived(name, symbolic=True)
        at = {**point, w: sp.Rational(-3, 2) if name == "direct" else sp.Rational(3, 2)}
        time = found.memory_time.subs(at)
        assert float(found.gradient_scale.subs(at)) == pytest.approx(float(expected.subs(tau, time).subs(point)))


@pytest.mark.parametrize("time", ["continuous", "discrete"])
def test_symbolic_parameters_agree_with_numbers(time: str) -> None:
    symbolic = derived("best", time, symbolic=True)
    numeric = derived("best:a=3:b=0.7", time)
    at = {a: 3, b: sp.Rational(7, 10), w: sp.Rational(2, 3)}
    for field in ("f", "derivative", "memory_time", "gradient_scale"):
        assert sp.simplify(getattr(symbolic, field).subs(at) - getattr(numeric, field).subs(at)) == 0


def test_discrete_gradient_scale_takes_the_modulus_of_a_negative_eigenvalue() -> None:
    assert gradient_scale(sp.tanh(w), "discrete").subs(w, -1).evalf() == pytest.approx(
        float((1 - sp.tanh(1) ** 2) / (1 - sp.tanh(1)) ** 2)
    )
    assert memory_time(sp.tanh(w), "discrete").subs(w, -1).evalf() == pytest.approx(float(1 / (1 - sp.tanh(1))))


def test_nothing_piecewise_survives() -> None:
    for name, time in CASES:
        found = derived(name, time)
        for expr in (found.f, found.derivative, found.inverse, found.memory_time, found.gradient_scale):
            assert not expr.has(sp.Piecewise, sp.Heaviside, sp.Integral, sp.Limit)


def test_broken_hypotheses() -> None:
    with pytest.raises(ValueError, match="time: 'half' is neither"):
        reparameterization("exp", "half")
    with pytest.raises(ValueError, match="time: 'half' is neither"):
        memory_time(-sp.exp(w), "half")
    with pytest.raises(ValueError, match="time: 'half' is neither"):
        gradient_scale(-sp.exp(w), "half")
    with pytest.raises(FormulaError, match="nonsense"):
        reparameterization("nonsense")
    with pytest.raises(FormulaError, match="tanh"):
        reparameterization("tanh", "continuous")
    with pytest.raises(FormulaError, match="tanh"):
        symbolic_formula("tanh", "continuous")
