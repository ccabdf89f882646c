"""Definition 3.4 in numbers: integrals by quadrature, least g by search over pairs."""

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import quad

from theory import stability
from theory.notation import a, b, beta, lam, lam_tilde, n, w
from theory.reparameterization import symbolic_formula

INSTANCE = {a: 3, b: sp.Rational(1, 2)}


def criterion_by_search(f: sp.Expr, radius: float, weights: np.ndarray) -> float:
    """The largest |f(w)/f(w̃) - 1| over a grid of weights and of steps in [-β, β]."""
    values = sp.lambdify(w, f, "numpy")
    steps = np.linspace(-radius, radius, 41)
    ratio = values(weights[:, None]) / values(weights[:, None] + steps[None, :])
    return float(np.abs(ratio - 1).max())


@pytest.mark.parametrize(("first", "second"), [(-1.0, -0.3), (-0.2, -5.0), (-2.0, -2.0)])
def test_difference_integral(first: float, second: float) -> None:
    value, error = quad(lambda t: abs(np.exp(second * t) - np.exp(first * t)), 0, np.inf)
    derived = stability.difference_integral(lam, lam_tilde).subs({lam: first, lam_tilde: second})
    assert float(derived) == pytest.approx(value, abs=error + 1e-12)


def test_criterion_is_the_normalised_integral() -> None:
    at = {lam: sp.Rational(-3, 2), lam_tilde: sp.Rational(-1, 4)}
    assert stability.criterion(lam, lam_tilde).subs(at) == 5


@pytest.mark.parametrize(("first", "second"), [(0, -1), (-1, 0), (2, 1), (1, -3)])
def test_divergence_at_the_boundary(first: int, second: int) -> None:
    assert stability.divergence_at_boundary(sp.Integer(first), sp.Integer(second)) == sp.oo


def test_divergence_for_every_mode_at_or_beyond_the_boundary() -> None:
    rate, gap = sp.Symbol("mu", nonnegative=True), sp.Symbol("delta", positive=True)
    assert stability.divergence_at_boundary(rate, rate - gap) == sp.oo
    assert stability.divergence_at_boundary(rate - gap, rate) == sp.oo


def test_least_g_and_its_inverse() -> None:
    x = np.linspace(-1.3, 1.3, 101)
    assert float(stability.least_g(sp.Float(1.3))) == pytest.approx(np.abs(np.expm1(x)).max())
    g = stability.least_g(stability.OMEGA)
    assert sp.simplify(stability.modulus_from_g(g) - stability.OMEGA) == 0
    assert stability.characterization() == (g, sp.log(1 + stability.BOUND))


def test_modulus_splitting_steps() -> None:
    first, second = stability.modulus_splitting()
    at = {"beta_1": 1, "beta_2": 3, "delta": 4}
    values = [step.subs({s: at[s.name] for s in step.free_symbols}) for step in (first, second)]
    assert values == [1, 3]


@pytest.mark.parametrize("name", ["exp", "softplus", "sigmoid"])
def test_least_g_at_tail(name: str) -> None:
    f = symbolic_formula(name)
    assert stability.least_g_at_tail(-f) == sp.exp(beta) - 1
    found = criterion_by_search(f, 0.8, np.linspace(-15, 5, 81))
    # at w = -15 the ratio is within e^{-15} of its limit
    assert found == pytest.approx(np.expm1(0.8), rel=1e-5)


def test_least_g_at_tail_of_a_mirror_image() -> None:
    assert stability.least_g_at_tail(1 / (1 + sp.exp(w))) == sp.exp(beta) - 1


@pytest.mark.parametrize("name", ["best", "reciprocal"])
@pytest.mark.parametrize("radius", [0.1, 1.0, 5.0])
def test_least_g_even(name: str, radius: float) -> None:
    f = symbolic_formula(name)
    derived = float(stability.least_g_even(sp.simplify(-1 / f)).subs({**INSTANCE, beta: radius}))
    found = criterion_by_search(f.subs(INSTANCE), radius, np.linspace(-8, 8, 16001))
    assert found <= derived * (1 + 1e-12)
    # the grid, of spacing 1e-3, misses a smooth maximum by order 1e-6
    assert found == pytest.approx(derived, rel=1e-5)


def test_least_g_of_best_is_attained_at_the_maximiser() -> None:
    tau = a * w**2 + b
    maximiser = stability.growth_maximiser(tau)
    growth = tau.subs(w, maximiser + beta) / tau.subs(w, maximiser) - 1
    assert sp.simplify(growth - stability.least_g_even(tau)) == 0
    printed = beta * (beta + sp.sqrt(beta**2 + 4 * b / a)) * a / (2 * b)
    assert sp.simplify(stability.least_g_even(tau) - printed) == 0


@pytest.mark.parametrize("p", [sp.Rational(1, 2), sp.Rational(1, 3), sp.Integer(1)])
def test_power_modulus(p: sp.Rational) -> None:
    points = np.linspace(-4, 4, 401)
    change = np.abs(np.abs(points[:, None]) ** float(p) - np.abs(points[None, :]) ** float(p))
    near = np.abs(points[:, None] - points[None, :]) <= 0.5 + 1e-9
    assert change[near].max() == pytest.approx(float(stability.power_modulus(p).subs(beta, 0.5)))


def test_log_lipschitz_constant() -> None:
    assert sp.simplify(stability.log_lipschitz_constant(a * w**2 + b) - sp.sqrt(a / b)) == 0
    assert stability.log_lipschitz_constant(a * sp.Abs(w) + b) == a / b
    points = np.linspace(0, 10, 100001)
    assert np.max(6 * points / (3 * points**2 + 0.5)) == pytest.approx(np.sqrt(6), rel=1e-6)


def test_pair_limits() -> None:
    assert stability.pair_limits(-1 / (a * w**2), 2 / n, 1 / n) == (0, 4)
    assert stability.pair_limits(w, -1 / n, -2 / n) == (0, 2)
    assert stability.pair_limits(-sp.exp(w), 1 / n, 2 / n) == (0, 1)


def test_bounded_oscillation() -> None:
    f, low, high, g = stability.bounded_oscillation()
    first, second = float(low.subs(n, 10**6)), float(high.subs(n, 10**6))
    values = sp.lambdify(w, f, "numpy")
    assert 0 < second - first < 1e-3
    assert values(second) / values(first) - 1 == pytest.approx(float(g), abs=1e-6)


def test_broken_hypotheses() -> None:
    with pytest.raises(ValueError, match="lam: 0 is not known"):
        stability.difference_integral(sp.Integer(0), lam_tilde)
    with pytest.raises(ValueError, match="lam_tilde: w is not known"):
        stability.difference_integral(lam, w)
    with pytest.raises(ValueError, match="lam: w is not known"):
        stability.criterion(w, lam_tilde)
    with pytest.raises(ValueError, match="neither is >= 0"):
        stability.divergence_at_boundary(sp.Integer(-1), sp.Integer(-2))
    with pytest.raises(ValueError, match="are equal"):
        stability.divergence_at_boundary(sp.Integer(1), sp.Integer(1))
    with pytest.raises(ValueError, match="distance: log D was not shown"):
        stability.least_g_at_tail(sp.exp(sp.exp(w)))
    with pytest.raises(ValueError, match="is not even"):
        stability.least_g_even(sp.exp(w))
    with pytest.raises(ValueError, match="was not shown to increase"):
        stability.least_g_even(1 / (w**2 + 1))
    with pytest.raises(ValueError, match="is not positive at w = 0"):
        stability.log_lipschitz_constant(a * w**2)
    for p in (0, 2):
        with pytest.raises(ValueError, match=f"p: {p} does not lie"):
            stability.power_modulus(sp.Integer(p))
