"""Complex eigenvalues: closed forms and bounds against direct quadrature, and each hypothesis alone."""

import numpy as np
import pytest
import sympy as sp

from theory import complex_modes as cm
from theory.notation import beta, r


def direct(fast: complex, slow: complex) -> float:
    """∫_0^∞ |e^{fast·s} - e^{slow·s}| ds for real parts of about -1."""
    times = np.linspace(0, 60, 600_001)
    return float(np.trapezoid(np.abs(np.exp(fast * times) - np.exp(slow * times)), times))


@pytest.mark.parametrize("a", [0.05, 0.5, 2.0, 20.0])
def test_frequency_shift_integral(a: float) -> None:
    value = float(cm.frequency_shift_integral().subs(cm.frequency_ratio, a))
    assert value == pytest.approx(direct(-1 + 2j * a, -1), rel=1e-5)
    assert value <= min(2 * a, 4 / np.pi)


def test_frequency_shift_limit() -> None:
    assert cm.frequency_shift_limit() == 4 / sp.pi
    assert not cm.frequency_shift_integral().has(sp.Integral, sp.Piecewise)


@pytest.mark.parametrize(("tangent", "ratio"), [(0.0, 2.0), (1.0, 1.5), (10.0, 1.1), (3.0, 1.001)])
def test_rate_change_upper(tangent: float, ratio: float) -> None:
    bound = float(cm.rate_change_upper().subs({cm.rate_ratio: ratio, cm.tangent: tangent}))
    value = direct(-ratio * (1 + 1j * tangent), -(1 + 1j * tangent))
    assert value <= bound * (1 + 1e-6)
    if tangent == 0 or ratio < 1.01:
        assert value == pytest.approx(bound, rel=1e-2)


def test_tied_upper_covers_both_moves() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        tangent, moved = rng.uniform(-3, 3, 2)
        ratio = float(np.exp(rng.uniform(-0.7, 0.7)))
        bound = cm.tied_upper(sp.Integer(3), sp.Float(abs(np.log(ratio))), sp.Float(abs(moved - tangent)))
        assert direct(-ratio * (1 + 1j * moved), -(1 + 1j * tangent)) <= float(bound)


@pytest.mark.parametrize("name", ["tangent_bound", "modulus", "tangent_change"])
def test_tied_upper_rejects_negative_numbers(name: str) -> None:
    values = {"tangent_bound": sp.S.One, "modulus": sp.S.One, "tangent_change": sp.S.One} | {name: -sp.S.One}
    with pytest.raises(ValueError, match=f"{name} .*-1"):
        cm.tied_upper(**values)


def test_fast_phase_limit() -> None:
    ratio, tangent = 1.001, 30_000.0
    assert float(cm.fast_phase_limit()) == pytest.approx(direct(-ratio - 1j * (ratio - 1) * tangent, -1), rel=2e-3)


def test_rate_floor() -> None:
    assert cm.rate_floor_upper(sp.Integer(2), sp.Integer(3)) == sp.Rational(3, 2)
    assert direct(-1 + 0.3j, -1) <= 0.3
    with pytest.raises(ValueError, match="rate_floor"):
        cm.rate_floor_upper(sp.S.Zero, sp.S.One)
    with pytest.raises(ValueError, match="frequency_change"):
        cm.rate_floor_upper(sp.S.One, -sp.S.One)


def test_log_frequency() -> None:
    ratio = cm.log_frequency_ratio(sp.S.Zero, r, beta)
    assert sp.limit(ratio.subs(beta, sp.Rational(1, 10)), r, 0, "+") == sp.oo
    assert float(ratio.subs({r: 0.5, beta: 0.1})) == pytest.approx(np.expm1(0.1))
    for bad in ((sp.S.Zero, beta), (r, sp.S.Zero)):
        with pytest.raises(ValueError, match="positive"):
            cm.log_frequency_ratio(sp.S.Zero, *bad)
