"""All weights perturbed: the lower bounds against exhaustive search, their sharp cases, and the first moment."""

import numpy as np
import pytest
import sympy as sp

from numerics.norms import w1inf_norm
from theory import all_weights as theory
from theory.notation import beta, r, t


def circle_error(c: float, u: float, rate: float, ball: str, residual: float = 0.0) -> float:
    """E(1) of one mode with frozen λ = -rate, by search; the target is Ĥ + residual e^{-2 rate t}."""
    angle = np.linspace(0, 2 * np.pi, 361)
    a, b = np.cos(angle), np.sin(angle)
    if ball == "block":
        a, b = (x / np.maximum(np.abs(a), np.abs(b)) for x in (a, b))
    changes = (c + a) * (u + b) - c * u
    return max(w1inf_norm([residual, -x], [-2 * rate, -rate]) for x in changes)


def test_pair_move() -> None:
    c, u, a, b = sp.symbols("c u a b", real=True)
    assert theory.pair_move(c, u, a, b) == a * u + b * c + a * b


def test_largest_product_by_search() -> None:
    angle = np.linspace(0, np.pi / 2, 1001)
    assert float(theory.largest_product("joint", 3)) == pytest.approx(np.max(9 * np.sin(angle) * np.cos(angle)))
    assert theory.largest_product("block", 3) == 9


@pytest.mark.parametrize("ball", theory.BALLS)
@pytest.mark.parametrize(("c", "u"), [(0.0, 0.0), (1.0, -2.0), (-0.3, -0.3), (5.0, 0.0)])
@pytest.mark.parametrize("residual", [0.0, 1.0, -20.0])
def test_lower_bounds_hold_without_the_initial_error(ball: str, c: float, u: float, residual: float) -> None:
    for rate in (0.01, 1.0, 50.0):
        error = circle_error(c, u, rate, ball, residual)
        assert error >= float(theory.slow_mode_lower(rate, 1, ball)) * (1 - 1e-12)
        # the best direction of the weights may lie half a step of the grid away
        assert error >= float(theory.large_weights_lower(abs(c), abs(u), 1, ball)) * (1 - 4e-5)


@pytest.mark.parametrize("ball", theory.BALLS)
def test_one_mode_error_and_the_slow_bound_attained(ball: str) -> None:
    for x, rate in ((0.0, 0.1), (2.0, 1.0), (0.5, 30.0)):
        assert float(theory.one_mode_error(x, rate, 1, ball)) == pytest.approx(
            circle_error(x, x, rate, ball), rel=1e-12
        )
    assert sp.simplify(theory.one_mode_error(0, r, beta, ball) - theory.slow_mode_lower(r, beta, ball)) == 0


def test_several_inputs() -> None:
    assert theory.slow_mode_lower(1, 1, "joint", 4) == 3
    assert theory.large_weights_lower(1, 2, 1, "joint", 4) == 2 * sp.sqrt(8)
    assert theory.large_weights_lower(1, 2, 1, "block", 4) == 8


@pytest.mark.parametrize("ball", theory.BALLS)
def test_memory_upper_is_sharp_in_both_constants(ball: str) -> None:
    error = theory.one_mode_error(sp.Rational(1, 10**6), 1, 1, ball)
    bound = theory.memory_upper(error, 1, ball)
    rate = -sp.diff(sp.log(bound), t)
    assert 1 - 1e-5 < float(rate) <= 1  # the mode decays at rate 1
    error = theory.one_mode_error(10**6, 10**6, 1, ball)
    assert 1 <= float(theory.memory_upper(error, 1, ball).subs(t, 0)) / 1e12 < 1 + 1e-5


def test_memory_upper_grows_with_the_error() -> None:
    values = [float(theory.memory_upper(x, 1).subs(t, 2)) for x in (1.5, 2, 4, 8)]
    assert values == sorted(values)


@pytest.mark.parametrize("ball", theory.BALLS)
def test_zero_model_error_grows_without_bound(ball: str) -> None:
    m = sp.Symbol("m", positive=True)
    bound = theory.zero_model_error_lower(m, beta, ball)
    assert sp.limit(bound, m, sp.oo) == sp.oo
    assert float(bound.subs({m: 50, beta: 1})) == pytest.approx(circle_error(0, 0, 1 / 50, ball), rel=1e-12)


def test_triangle_weight() -> None:
    horizon, s = 3.0, np.random.default_rng(0).uniform(0, 3, (200_000, 2))
    counts, ends = np.histogram(s.sum(axis=1), bins=12, range=(0, 6))
    middle = 0.5 * (ends[1:] + ends[:-1])
    weight = np.array([float(theory.triangle_weight(sp.Float(horizon)).subs(t, x)) for x in middle])
    density = counts / counts.sum() / np.diff(ends)
    # five standard deviations of a count
    assert np.all(np.abs(density - weight / horizon**2) <= 5 * np.sqrt(counts) / counts.sum() / np.diff(ends))


def test_first_moment_lower_of_a_matrix_model() -> None:
    """E_c E_u of a rotating, decaying state: its kernel changes sign, so the norms are taken on a fine grid."""
    scale, turn = 0.5, 0.2
    times = np.linspace(0, 60, 60_001)
    decay = np.exp(-scale * times)
    flow = decay * np.array(
        [[np.cos(turn * times), -np.sin(turn * times)], [np.sin(turn * times), np.cos(turn * times)]]
    )
    c, u = np.array([1.0, 0.0]), np.array([1.0, 0.2])

    def norm(kernel: np.ndarray) -> float:
        return float(np.trapezoid(np.abs(kernel), times) + abs(kernel[0]) + np.abs(np.diff(kernel)).sum())

    directions = [np.array([np.cos(x), np.sin(x)]) for x in np.linspace(0, np.pi, 61)]
    error_c = max(norm(np.einsum("i,ijt,j->t", a, flow, u)) for a in directions)
    error_u = max(norm(np.einsum("i,ijt,j->t", c, flow, a)) for a in directions)
    kernel = sp.exp(-t / 2) * (sp.cos(t / 5) - sp.sin(t / 5) / 5)
    assert error_c * error_u >= float(theory.first_moment_lower(kernel, 1)) * (1 - 1e-6)


def test_first_moment_is_attained_by_positive_sums() -> None:
    p, s = np.array([0.5, 2.0, 0.1]), np.array([0.05, 1.0, 20.0])
    best = np.sqrt(p) * (2 + 1 / s)
    error = w1inf_norm(best / np.linalg.norm(best) * np.sqrt(p), -s)
    kernel = sum(sp.Float(x) * sp.exp(-sp.Float(y) * t) for x, y in zip(p, s, strict=True))
    assert error**2 == pytest.approx(float(theory.first_moment_lower(kernel, 1)), rel=1e-10)


@pytest.mark.parametrize(
    ("power", "moment"),
    [("2.5", sp.Rational(4, 3)), ("3", sp.Rational(1, 2)), ("2", sp.oo), ("1.5", sp.oo), ("2.01", None)],
)
def test_power_law_moment(power: str, moment: sp.Expr | None) -> None:
    p = sp.Rational(power)
    assert theory.power_law_moment(p) == (1 / ((p - 1) * (p - 2)) if moment is None else moment)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.largest_product("cube"), "ball.*cube"),
        (lambda: theory.slow_mode_lower(0), "slowest.*0"),
        (lambda: theory.slow_mode_lower(1, -1), "radius.*-1"),
        (lambda: theory.slow_mode_lower(1, 1, "cube"), "ball.*cube"),
        (lambda: theory.slow_mode_lower(1, 1, "joint", 0), "inputs.*0"),
        (lambda: theory.large_weights_lower(-1, 1), "output_norm.*-1"),
        (lambda: theory.large_weights_lower(1, -1), "input_norm.*-1"),
        (lambda: theory.memory_upper(-1), "error.*-1"),
        (lambda: theory.one_mode_error(-1), "weight.*-1"),
        (lambda: theory.zero_model_error_lower(0), "modes.*0"),
        (lambda: theory.triangle_weight(sp.Integer(0)), "horizon.*0"),
        (lambda: theory.first_moment_lower(sp.exp(-t), -1), "radius.*-1"),
        (lambda: theory.power_law_moment(sp.I), "power.*I"),
    ],
)
def test_broken_hypotheses(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
