"""Unit-norm modes: every bound against computed norms, and each hypothesis alone."""

import numpy as np
import pytest
import sympy as sp

from numerics.norms import w1inf_norm
from theory import unit_norm
from theory.notation import lam, omega, r, tau, w


def gain(rates: np.ndarray) -> np.ndarray:
    return rates / (1 + 2 * rates)


def mode_change(rate: float, ratio: float) -> float:
    pair = rate * np.array([1.0, ratio])
    return w1inf_norm(gain(pair) * [-1, 1], -pair)


def test_gain_makes_the_norm_one() -> None:
    for rate in (1e-3, 1.0, 20.0):
        assert float(unit_norm.gain().subs(lam, -rate)) * w1inf_norm([1.0], [-rate]) == pytest.approx(1, rel=1e-9)
    complex_gain = unit_norm.complex_gain().subs({r: 2, omega: 3})
    assert complex_gain == 2 / (3 + sp.sqrt(13))


def test_output_change_is_attained_and_never_exceeded() -> None:
    rng = np.random.default_rng(0)
    bound = sp.lambdify(sp.symbols("c u b"), unit_norm.output_change_upper(*sp.symbols("c u b", positive=True)))
    for _ in range(200):
        c, u, dc, du = rng.normal(size=(4, 3))
        radius = float(np.sqrt(dc @ dc + du @ du))
        change = np.abs((c + dc) * (u + du) - c * u).sum()
        assert change <= bound(np.linalg.norm(c), np.linalg.norm(u), radius) * (1 + 1e-12)
    c = np.array([1.0, 2.0])
    dc = 0.3 * c / np.linalg.norm(c)
    attained = np.abs((c + dc) ** 2 - c**2).sum()
    assert attained == pytest.approx(bound(np.linalg.norm(c), np.linalg.norm(c), 0.3 * np.sqrt(2)), rel=1e-12)


@pytest.mark.parametrize("name", ["c_norm", "u_norm", "radius"])
def test_output_change_rejects_negative_numbers(name: str) -> None:
    values = {"c_norm": 1, "u_norm": 1, "radius": 1} | {name: -1}
    with pytest.raises(ValueError, match=f"{name} .*-1"):
        unit_norm.output_change_upper(**{k: sp.Integer(v) for k, v in values.items()})


@pytest.mark.parametrize("change", [0.02, 0.5, 2.0, 8.0])
def test_kappa_lies_between_its_bounds(change: float) -> None:
    upper = float(unit_norm.kappa_upper().subs(unit_norm.log_change, change))
    lower = float(unit_norm.kappa_lower().subs(unit_norm.log_change, change))
    found = max(mode_change(rate, np.exp(change)) for rate in np.geomspace(1e-4, 10, 31))
    assert lower * (1 - 1e-3) <= found <= upper
    assert upper <= min(2.0, 2 * np.expm1(change))


def test_kappa_slope_is_sharp() -> None:
    _least, largest, maximizer = (float(v) for v in unit_norm.gradient_factor_range())
    rate = (1 / maximizer - 1) / 2
    assert mode_change(rate, np.exp(1e-3)) / 1e-3 == pytest.approx(largest, rel=1e-3)


def test_gradient_factor_against_differences() -> None:
    l1, variation = (sp.lambdify(unit_norm.q, part) for part in unit_norm.log_derivative_norms())
    step = 1e-3
    for rate in (1e-3, 0.2, 3.0, 100.0):
        q = 1 / (1 + 2 * rate)
        quotient = mode_change(rate * np.exp(-step), np.exp(2 * step)) / (2 * step)
        assert l1(q) + variation(q) == pytest.approx(quotient, abs=1e-5)


def test_gradient_factor_range() -> None:
    least, largest, maximizer = unit_norm.gradient_factor_range()
    values = [float(unit_norm.gradient_factor().subs(unit_norm.q, q)) for q in np.linspace(1e-6, 1 - 1e-6, 401)]
    assert least == sp.exp(-1)
    assert float(least) <= min(values)
    assert max(values) <= float(largest)
    assert float(largest) == pytest.approx(0.7522247, abs=1e-7)
    assert float(maximizer) == pytest.approx(0.7746003, abs=1e-7)


def test_gradient_scale_of_exp_is_uniform_and_of_best_is_not() -> None:
    exponential, best = unit_norm.gradient_scale(-sp.exp(w)), unit_norm.gradient_scale(-1 / (w**2 + sp.Rational(1, 2)))
    for place in (-30, -1, 0, 3, 30):
        assert 1 / np.e <= float(exponential.subs(w, place)) <= 0.7523
    assert float(best.subs(w, 0)) == 0
    assert float(best.subs(w, 1000)) < 0.002
    with pytest.raises(ValueError, match="f must"):
        unit_norm.gradient_scale(sp.Integer(-1))


def test_perturbed_error_bound_holds_for_random_moves() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        m, radius = 3, 0.4
        weights, c, u = rng.uniform(-3, 2, m), rng.normal(size=m), rng.normal(size=m)
        step = rng.normal(size=(3, m))
        dw, dc, du = radius * step / np.linalg.norm(step)
        before, after = np.exp(weights), np.exp(weights + dw)
        coefficients = np.concatenate([(c + dc) * (u + du) * gain(after), -c * u * gain(before)])
        change = w1inf_norm(coefficients, -np.concatenate([after, before]))
        bound = unit_norm.perturbed_error_upper(
            sp.S.Zero, list(map(sp.Float, c)), list(map(sp.Float, u)), radius, radius
        )
        assert change <= float(bound)


def test_perturbed_error_needs_equal_lengths() -> None:
    with pytest.raises(ValueError, match="same length, not 1 and 2"):
        unit_norm.perturbed_error_upper(sp.S.Zero, [sp.S.One], [sp.S.One] * 2, sp.S.One, sp.S.One)


def test_balanced_weights() -> None:
    weights, rates = [sp.Rational(1, 2), sp.Integer(3)], [sp.Rational(1, 10), sp.Integer(2)]
    c = unit_norm.balanced_weights(weights, rates)
    assert float(sum(v**2 for v in c)) == pytest.approx(w1inf_norm([0.5, 3.0], [-0.1, -2.0]), rel=1e-9)
    for bad in (([-1], [1]), ([1], [0])):
        with pytest.raises(ValueError, match="must be positive"):
            unit_norm.balanced_weights(*bad)


def test_quantization_bound() -> None:
    step = 0.6
    bound = float(unit_norm.quantization_error_upper(sp.S.Zero, sp.S.One, sp.Float(step)))
    assert max(mode_change(rate, np.exp(step / 2)) for rate in np.geomspace(1e-3, 10, 21)) <= bound


def test_gains_of_discrete_modes() -> None:
    size = 0.9
    kernel = np.sqrt(1 - size**2) * size ** np.arange(1000)
    assert float(unit_norm.lru_mode_norm().subs(r, size)) == pytest.approx(kernel.sum(), rel=1e-9)
    norm, limit = unit_norm.step_size_mode_norm()
    step = 1e-3
    assert float(norm.subs({r: 2, tau: step})) == pytest.approx(
        step * np.exp(-2 * step * np.arange(30_000)).sum(), rel=1e-9
    )
    assert limit == 1 / r
