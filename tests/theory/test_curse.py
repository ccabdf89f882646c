"""Theorem 3.3: the induction against literal iteration and quadrature, the hypotheses' functions, bad arguments."""

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import quad

from theory import curse
from theory.curse import dimension, gain, h, layers, lipschitz, theta_max
from theory.norms import kernel_norms
from theory.notation import beta, s, t


def test_induction_step() -> None:
    assert curse.induction_step_ratio() == 1


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_induction_equals_iteration(count: int) -> None:
    assert sp.simplify(curse.layer_bound(sp.Integer(count)) - curse.iterated_bound(count)) == 0
    general = curse.layer_bound().subs(layers, count)
    assert sp.simplify(general - curse.iterated_bound(count)) == 0


def test_convolution_against_quadrature() -> None:
    profile = curse.convolve(curse.induction_profile(sp.Integer(2)))
    rate, time = 0.7, 3.0
    expected = quad(lambda u: np.exp(-rate * (time - u)) * u**2 / 2 * np.exp(-rate * u), 0, time)[0]
    assert float(profile.subs({beta: rate, t: time})) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_attained(count: int) -> None:
    bound = curse.layer_bound(sp.Integer(count)).subs({lipschitz: 1, gain: 1})
    assert sp.simplify(curse.attained_memory(count) - bound) == 0


def test_printed_bound_is_weaker() -> None:
    for count in (1, 2, 4):
        for d in (1, 2, 50):
            values = {dimension: d, lipschitz: 2, gain: 3 ** (count + 1), theta_max: 3, beta: 1, t: 2}
            sharp = curse.layer_bound(sp.Integer(count)).subs(values)
            assert float(sharp) <= float(curse.printed_bound(sp.Integer(count)).subs(values))


def test_affine_chain_from_zero() -> None:
    x = sp.Symbol("x", positive=True)
    rate = curse.affine_chain_rate(2, sp.Integer(1), start="zero")
    assert sp.simplify(rate - (1 + x * t) * sp.exp(-beta * t)) == 0
    assert curse.affine_chain_memory(2, sp.Integer(1), start="zero").subs({t: 0}) == 1
    calm = curse.affine_chain_memory(3, sp.Integer(1), start="equilibrium")
    assert sp.simplify(calm - t**2 / 2 * sp.exp(-beta * t)) == 0


@pytest.mark.parametrize("count", [1, 2, 3])
def test_zero_start_bound_is_attained(count: int) -> None:
    bound = curse.zero_start_bound(count, sp.Rational(1, 2)).subs(lipschitz, 1)
    memory = curse.affine_chain_memory(count, sp.Rational(1, 2), start="zero")
    for time in (0.0, 0.4, 2.0, 7.0):
        values = {t: time, beta: 0.6}
        assert float(bound.subs(values)) == pytest.approx(float(memory.subs(values)), rel=1e-12)


def test_limit_bound() -> None:
    norms = kernel_norms(sp.exp(-3 * t))
    assert curse.limit_bound(sp.Integer(0), norms.functional, norms.derivative) == sp.Rational(7, 3)
    for name, arguments in (("value_error", (1, -1, 1)), ("rate_error", (1, 1, -1))):
        with pytest.raises(ValueError, match=f"{name}: must not be negative, got -1"):
            curse.limit_bound(*(sp.Integer(argument) for argument in arguments))


@pytest.mark.parametrize(
    ("distance", "live", "ball", "infinite"),
    [
        ("1/2", True, "joint", True),
        ("1/2", False, "joint", True),
        ("1", True, "joint", True),
        ("1", False, "joint", False),
        ("1", False, "block", True),
        ("3/2", True, "joint", False),
        ("3/2", False, "block", False),
    ],
)
def test_boundary(distance: str, live: bool, ball: str, infinite: bool) -> None:
    error = curse.boundary_error(sp.Rational(distance), live=live, ball=ball)
    assert (error == sp.oo) is infinite


def test_jump() -> None:
    assert curse.perturbation_jump(sp.tanh(h), sp.Integer(0), sp.oo) == 1
    assert curse.perturbation_jump(1 / (1 + sp.exp(-h)), sp.Integer(0), sp.oo) == sp.Rational(1, 4)
    assert curse.perturbation_jump(3 * h + 1, -sp.oo, sp.oo) == 0


def test_saturation() -> None:
    assert curse.saturates(sp.tanh(h))
    assert curse.saturates(1 / (1 + sp.exp(-h)))
    assert not curse.saturates(h)
    assert not curse.saturates(sp.log(1 + sp.exp(h)))


def test_bounded_sigma_growth() -> None:
    lam = sp.Rational(-1, 10)
    assert curse.bounded_sigma_growth(sp.tanh(h), lam, sp.Rational(1, 2), sp.Integer(1)) == sp.oo
    assert curse.bounded_sigma_growth(sp.tanh(h), lam, sp.Rational(1, 20), sp.Integer(1)) == 0
    at_rate = curse.bounded_sigma_growth(sp.tanh(h), lam, sp.Rational(1, 10), sp.Rational(1, 5))
    assert float(at_rate) == pytest.approx(0.2 / 1.2 / np.cosh(2) ** 2)


@pytest.mark.parametrize("eigenvalue", [0, 1])
def test_undefined_state(eigenvalue: int) -> None:
    lagged, state = curse.undefined_state(sp.Integer(eigenvalue))
    values = sp.lambdify(s, sp.exp(eigenvalue * s) * lagged)
    assert float(state.subs(t, 6)) == pytest.approx(quad(values, 0, 6)[0], rel=1e-8)
    assert all(abs(float(lagged.subs(s, lag))) <= 1.5 / np.sqrt(1 + lag) for lag in (0, 1, 10, 300))


def test_hypotheses() -> None:
    with pytest.raises(ValueError, match="count: must be a positive integer, got 0"):
        curse.layer_bound(sp.Integer(0))
    with pytest.raises(ValueError, match="count: must be a positive integer, got 1/2"):
        curse.layer_bound(sp.Rational(1, 2))
    for function in (curse.iterated_bound, curse.attained_memory):
        with pytest.raises(ValueError, match="count: must be at least 1, got 0"):
            function(0)
    with pytest.raises(ValueError, match="count: must be at least 1, got 0"):
        curse.zero_start_bound(0, sp.Integer(1))
    with pytest.raises(ValueError, match="count: must be at least 1, got 0"):
        curse.affine_chain_rate(0, sp.Integer(1), start="zero")
    with pytest.raises(ValueError, match="start: must be 'equilibrium' or 'zero', got 'rest'"):
        curse.affine_chain_rate(2, sp.Integer(1), start="rest")
    with pytest.raises(ValueError, match="distance: must be positive, got 0"):
        curse.boundary_error(sp.Integer(0), live=True, ball="joint")
    with pytest.raises(ValueError, match="ball: must be 'joint' or 'block', got 'round'"):
        curse.boundary_error(sp.Integer(1), live=True, ball="round")
    with pytest.raises(ValueError, match="lam: must not be negative, got -1"):
        curse.undefined_state(sp.Integer(-1))
    good = {"lam": sp.Integer(-1), "rate": sp.Integer(1), "size": sp.Integer(1)}
    for name in good:
        with pytest.raises(ValueError, match=f"{name}: has the wrong sign"):
            curse.bounded_sigma_growth(sp.tanh(h), **{**good, name: -good[name]})


def test_large_inputs_outrun_a_bounded_output() -> None:
    assert curse.large_input_distance(3, 2, 7) == sp.Rational(3, 2)
    size = 1e9
    assert (3 * size - 7) / (2 * size + 1) == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("arguments", "name"), [((-1, 1, 0), "response"), ((1, 0, 0), "size"), ((1, 1, sp.oo), "output")]
)
def test_what_large_inputs_need(arguments: tuple[object, ...], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        curse.large_input_distance(*arguments)  # type: ignore[arg-type]
