"""The best reparameterization: its equation, uniqueness, the family of a wanted scale, extremality."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import quad

from theory import best
from theory.gradient import mode_gradient_norm
from theory.notation import a, b, n, w

VALUES = {a: sp.Rational(3, 2), b: sp.Rational(2, 5)}
x = sp.Symbol("x", positive=True)


@pytest.mark.parametrize("time", ["continuous", "discrete"])
def test_both_derivations_give_the_same_solution(time: str) -> None:
    by_dsolve, by_integration = best.general_solution_by_dsolve(time), best.general_solution_by_integration(time)
    assert sp.simplify(by_dsolve - by_integration) == 0
    assert best.ode_residual(by_dsolve, time) == 0
    assert best.ode_residual(best.best(time), time) == 0


@pytest.mark.parametrize(("time", "at_zero"), [("continuous", -sp.Rational(5, 2)), ("discrete", -sp.Rational(3, 2))])
def test_best_has_the_prescribed_value_at_zero(time: str, at_zero: sp.Expr) -> None:
    assert best.best(time).subs({**VALUES, w: 0}) == at_zero


def test_residual_sees_a_wrong_function() -> None:
    assert best.ode_residual(-1 / (a * w**2 / 2 + b)) == -a * w
    assert best.ode_residual(-sp.exp(w)) != 0


def test_poles_by_the_sign_of_b() -> None:
    assert best.poles(b) == ()
    assert best.poles(sp.Integer(0)) == (0,)
    negative = best.poles(sp.Integer(-2))
    assert [float(p.subs(a, 2)) for p in negative] == pytest.approx([-1.0, 1.0])


def test_branches_of_the_absolute_equation() -> None:
    branches = best.absolute_ode_branches()
    assert len(branches) == 4
    for left, right in branches.values():
        for half in (left, right):
            assert sp.simplify(sp.Abs(sp.diff(half, w)) - 2 * a * sp.Abs(w)) == 0
            assert half.subs(w, 0) == b
    end = best.branch_end(-1)
    assert branches[(-1, -1)][0].subs(w, end).simplify() == 0
    assert best.branch_end(1) == sp.oo


def test_zigzag_solves_the_absolute_equation_and_is_not_best() -> None:
    zigzag = best.zigzag_memory_time().subs(VALUES)
    slope = sp.lambdify(w, sp.diff(zigzag, w))
    for at in (-3.0, -1.2, -0.4, 0.7, 1.1, 1.3, 1.5, 4.0):
        assert abs(slope(at)) == pytest.approx(2 * 1.5 * abs(at))
    assert zigzag.subs(w, 0) == VALUES[b]
    assert float(zigzag.subs(w, sp.sqrt(2))) == pytest.approx(0.4)


SCALES = [
    2 * a * sp.Abs(w),
    a,
    sp.exp(-w),
    1 / (1 + w**2),
    (w - 1) ** 2,
    sp.sin(w) ** 2,
    1 / sp.sqrt(sp.Abs(w)),
    2 * sp.Abs(w) * sp.exp(w**2),
    sp.exp(w) / (1 + sp.exp(w)),
]


@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_family_member_has_the_wanted_scale(scale: sp.Expr) -> None:
    f = best.family(scale).subs(VALUES)
    assert not f.has(sp.Piecewise, sp.Integral)
    assert float(f.subs(w, 0)) == pytest.approx(-2.5)
    wanted = sp.lambdify(w, scale.subs(VALUES), "math")
    for at in (-1.7, -0.3, 0.2, 1.4):
        inside = f.subs(w, at / abs(at) * x)
        exact = sp.Abs(sp.diff(inside, x) / inside**2).subs(x, abs(at))
        assert float(exact) == pytest.approx(wanted(at), rel=1e-12)
        memory = 0.4 + abs(quad(wanted, 0, at, epsabs=1e-12)[0])
        assert float(-1 / f.subs(w, at)) == pytest.approx(memory, rel=1e-7)


def test_named_members() -> None:
    assert best.family(2 * a * sp.Abs(w)) == best.best()
    assert sp.simplify(best.family(a) + 1 / (a * sp.Abs(w) + b)) == 0
    assert best.family(sp.exp(-w), sp.Integer(1), grows="left") == -sp.exp(w)
    sigmoid = best.family(sp.exp(-w), sp.Integer(2), grows="left")
    assert sp.simplify(sigmoid + 1 / (1 + sp.exp(-w))) == 0


def test_a_one_sided_member_keeps_its_scale() -> None:
    f = best.family(1 / (1 + w**2), sp.Integer(2), grows="right")
    assert sp.simplify(best.ode_left_side(f) - 1 / (1 + w**2)) == 0


def test_discrete_family() -> None:
    f = best.family(2 * a * sp.Abs(w), sp.Integer(1), "discrete")
    assert sp.simplify(f - best.best("discrete").subs(b, 1)) == 0
    assert sp.simplify(mode_gradient_norm(sp.factor(f), "discrete") - 2 * a * sp.Abs(w)) == 0


def test_discrete_best_with_b_one_half_has_an_unbounded_scale() -> None:
    f = best.best("discrete").subs({a: 2, b: sp.Rational(1, 2)})
    for at in (sp.Rational(1, 10), sp.Rational(1, 100), sp.Rational(1, 2)):
        assert mode_gradient_norm(f, "discrete").subs(w, at) == 1 / (4 * at**3)


def test_unspecified_scale() -> None:
    assert best.family_scale() == sp.Abs(sp.Function("G")(w))


def test_an_unstable_member() -> None:
    f = best.family(best.unstable_scale(), sp.Integer(1))
    assert best.relative_memory_step(f, 1 / n) == sp.exp(2) - 1
    assert best.relative_memory_step(f, sp.Rational(1, 100)) == sp.oo
    assert best.relative_memory_step(best.best(), 1 / n) == 0
    ratio = float((f.subs(w, 20) / f.subs(w, sp.Rational(401, 20))).evalf(30))
    assert ratio == pytest.approx(np.exp(2), rel=2e-2)


def test_extremality_by_sampled_slopes() -> None:
    bound = sp.lambdify(w, best.memory_time_upper(2 * a * sp.Abs(w)).subs(VALUES))
    rng, edges = np.random.default_rng(0), np.linspace(0, 2, 201)
    for _ in range(50):
        fraction = rng.uniform(-1, 1, 200)
        time = 0.4 + np.concatenate([[0], np.cumsum(fraction * 1.5 * np.diff(edges**2))])
        assert np.all(time <= bound(edges) + 1e-12)


def test_gradient_over_weight() -> None:
    assert best.gradient_over_weight(best.best()) == 2 * a
    assert sp.simplify(best.gradient_over_weight(-sp.exp(w)) - sp.exp(-w) / sp.Abs(w)) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: best.best("hybrid"), "time: 'hybrid'"),
        (lambda: best.from_memory_time(w, "hybrid"), "time: 'hybrid'"),
        (lambda: best.family(w), "scale: w is negative"),
        (lambda: best.family(sp.cos(w)), "is negative"),
        (lambda: best.family(sp.Symbol("k") * sp.Abs(w)), "cannot decide"),
        (lambda: best.family(1 / w**2), "not integrable at w = 0"),
        (lambda: best.family((w - 1) ** -2), "singular"),
        (lambda: best.family(sp.log(1 + sp.exp(w))), "no antiderivative"),
        (lambda: best.family(sp.Integer(1), 0), "b_value: 0"),
        (lambda: best.family(sp.Integer(1), sp.nan), "b_value: nan"),
        (lambda: best.family(sp.Integer(1), sp.Symbol("k", real=True)), "b_value: k"),
        (lambda: best.family(sp.Integer(1), sp.Rational(1, 2), "discrete"), "b_value: 1/2"),
        (lambda: best.family(sp.Integer(1), grows="up"), "grows: 'up'"),
        (lambda: best.family(1 / (1 + w**2), sp.Integer(1), grows="right"), "leaves its range"),
        (lambda: best.branch_end(0), "sign: 0"),
        (lambda: best.poles(sp.Symbol("k", real=True)), "no known sign"),
        (lambda: best.poles(sp.I), "no known sign"),
    ],
)
def test_bad_arguments(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        call()
