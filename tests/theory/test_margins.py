"""Margins against errors: equalities, quadrature, limits, and the prediction for the best fits."""

from __future__ import annotations

import math

import pytest
import sympy as sp
from scipy.integrate import quad

from theory import margins
from theory.notation import t


def test_the_bound_by_the_value_is_attained() -> None:
    """Model e^{-t}, error 4(e^{-t} - e^{-2t}): 1 at t = log 2, of variation 2."""
    bound = margins.margin_upper(sp.Rational(1, 2) + 1, sp.Integer(2), sp.Integer(1), sp.log(2))
    assert sp.simplify(bound - 1) == 0


def test_the_bound_by_the_tail_without_error_is_attained() -> None:
    rate = sp.Symbol("mu", positive=True)
    bound = margins.margin_upper_by_tail(sp.exp(-rate * t) / rate, sp.S.Zero, 1 / rate)
    assert sp.simplify(sp.expand_log(bound.subs(t, sp.Symbol("T", positive=True)), force=True) - rate) == 0


@pytest.mark.parametrize("p", [1.2, 2.0, 5.5])
def test_the_tail_of_a_power_law(p: float) -> None:
    stated = margins.power_law_tail(sp.Float(3.0), sp.Float(p))
    assert float(stated) == pytest.approx(quad(lambda u: u ** (p - 2), 0, 1 / 4)[0], rel=1e-9)  # 1 + t = 1/u


def test_the_power_law_bound_is_the_one_by_the_tail_at_its_time() -> None:
    p, missed, held = sp.Integer(3), sp.Rational(1, 1000), sp.Integer(2)
    time = (2 * (p - 1) * missed) ** (-1 / (p - 1)) - 1
    assert sp.simplify(margins.power_law_tail(time, p) - 2 * missed) == 0
    direct = margins.margin_upper_by_tail(margins.power_law_tail(time, p), missed, held, time)
    assert float(direct) == pytest.approx(float(margins.power_law_margin_upper(p, missed, held)), rel=1e-14)
    assert sp.limit(margins.power_law_margin_upper(sp.Integer(2), margins.error, sp.Integer(1)), margins.error, 0) == 0


def test_the_least_rate_is_that_of_the_trapezoidal_rule() -> None:
    kappa, slope = margins.trapezoidal_decay()
    assert sp.simplify(margins.margin_rate_lower().subs(margins.decay, kappa) - slope) == 0
    assert margins.trapezoidal_decay(sp.Integer(2)) == (sp.pi, sp.pi)


def test_the_least_rate_numerically() -> None:
    """log(1/bound)/√m at m = 10^8, less its logarithm."""
    root, kappa, p = 1e4, 3.0, 1.5
    bound = margins.power_law_margin_upper(sp.Rational(3, 2), sp.exp(-sp.Integer(3) * 10**4), sp.Integer(1))
    slope = -float(sp.log(bound).evalf(30)) / root
    assert slope == pytest.approx(kappa / (p - 1), abs=2 * math.log(kappa * root) / root)


def test_the_share_of_each_scale() -> None:
    assert float(margins.equal_share_rate(sp.Rational(3, 2))) == pytest.approx(math.pi * math.sqrt(2 / 1.5), rel=1e-14)
    mean = quad(lambda u: math.log(1 / math.tanh(u / 2)), 0, 50)[0]
    assert 2 * mean == pytest.approx(math.pi**2 / 2, rel=1e-8)
    with pytest.raises(ValueError, match="weight: must be positive"):
        margins.equal_share_rate(sp.Integer(-1))
