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


def test_independent_phases() -> None:
    assert cm.independent_phases_mean() == 8 / sp.pi**2
    times = np.linspace(0, 60 / 0.01, 3_000_001)
    gap = np.abs(np.cos(times) - np.cos((1 + 0.2 * np.sqrt(2)) * times))
    mean = float(np.trapezoid(0.01 * np.exp(-0.01 * times) * gap, times))
    assert mean == pytest.approx(8 / np.pi**2, abs=(0.01 / 0.28) ** 2)


def test_resonant_phases_are_farther_apart() -> None:
    """a/b = 3 in |cos ωt - cos ω̃t| = 2|sin at||sin bt|: ω̃ = 2ω."""
    times = np.linspace(0, 2 * np.pi, 200_001)
    mean = float(np.mean(np.abs(np.cos(times) - np.cos(2 * times))))
    series = 8 / np.pi**2 + 16 / np.pi**2 * sum(1 / ((36 * j**2 - 1) * (4 * j**2 - 1)) for j in range(1, 50))
    assert mean == pytest.approx(series, abs=1e-4)


def test_abel_mean_of_cosine() -> None:
    nu = sp.Symbol("nu", positive=True)
    assert sp.simplify(cm.abel_mean_of_cosine(nu) - r**2 / (r**2 + nu**2)) == 0
    assert cm.abel_mean_of_cosine(sp.S.Zero) == 1
    with pytest.raises(ValueError, match="frequency must be real"):
        cm.abel_mean_of_cosine(sp.I)


@pytest.mark.parametrize("frequency", [0.3, 2.0])
def test_free_frequency_jump(frequency: float) -> None:
    """L¹ norms of the change and of its slope at r = 0.01 against the bound, by a uniform grid."""
    rate, moved = 0.01, frequency + 0.2 * np.sqrt(2)
    times, step = np.linspace(0, 40 / rate, 2_000_001, retstep=True)
    kernels = [rate * np.exp(-rate * times) * np.cos(value * times) for value in (frequency, moved)]
    change = kernels[1] - kernels[0]
    norm = float(np.trapezoid(np.abs(change), dx=step) + np.abs(np.diff(change)).sum())
    assert norm >= float(cm.free_frequency_jump(sp.Float(frequency)))
    with pytest.raises(ValueError, match="frequency must be positive"):
        cm.free_frequency_jump(sp.S.Zero)


@pytest.mark.parametrize(("ratio", "frequency"), [(0.7, 1.0), (1.6, 3.0), (0.9, 0.0)])
def test_moved_rate_upper(ratio: float, frequency: float) -> None:
    rate = 0.5
    times, step = np.linspace(0, 120, 1_200_001, retstep=True)
    change = rate * np.cos(frequency * times) * (np.exp(-ratio * rate * times) - np.exp(-rate * times))
    norm = float(np.trapezoid(np.abs(change), dx=step) + np.abs(np.diff(change)).sum())
    assert norm <= float(cm.moved_rate_upper(sp.Float(abs(1 / ratio - 1)), sp.Float(rate), sp.Float(frequency)))
    with pytest.raises(ValueError, match="growth"):
        cm.moved_rate_upper(-sp.S.One, sp.S.One, sp.S.One)
    with pytest.raises(ValueError, match="rate"):
        cm.moved_rate_upper(sp.S.One, sp.S.Zero, sp.S.One)
