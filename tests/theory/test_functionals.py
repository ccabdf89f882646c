"""The six properties: each functional lacks what it should, and the spikes that break regularity as printed."""

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import quad

from theory import functionals
from theory.functionals import FUNCTIONALS, Functional, y
from theory.notation import n, s, t

LACKS = {
    "kernel": set(),
    "saturated": {"linear"},
    "threshold": {"linear", "continuous"},
    "square": {"linear", "bounded"},
    "anticipating": {"causal"},
    "modulated": {"time-homogeneous"},
    "point": {"regular"},
}


@pytest.mark.parametrize("name", FUNCTIONALS)
def test_properties(name: str) -> None:
    found = functionals.properties(FUNCTIONALS[name])
    assert {label for label, finding in found.items() if not finding.holds} == LACKS[name]
    assert all(finding.reason for finding in found.values())


def test_properties_are_decided_one_by_one() -> None:
    kernel = sp.exp(-s)
    assert not functionals.is_linear(Functional(kernel=kernel, readout=y + 1)).holds
    assert not functionals.is_continuous(Functional(kernel=kernel, readout=sp.sign(y))).holds
    assert not functionals.is_bounded(Functional(kernel=kernel, readout=1 / y)).holds
    assert functionals.is_bounded(Functional(kernel=kernel, readout=sp.sqrt(1 + y**2))).holds
    assert not functionals.is_causal(Functional(atoms=((sp.Integer(-1), sp.Integer(2)),))).holds
    assert functionals.is_causal(Functional(atoms=((sp.Integer(1), sp.Integer(2)),))).holds
    assert functionals.is_time_homogeneous(Functional(kernel=kernel, gain=sp.Integer(3))).holds
    assert not functionals.is_time_homogeneous(Functional(kernel=kernel, gain=1 / (1 + t))).holds
    assert not functionals.is_regular(Functional(kernel=kernel, readout=sp.cos(y))).holds
    assert not functionals.is_regular(Functional(kernel=kernel, readout=sp.Heaviside(y, 0))).holds


@pytest.mark.parametrize(("growth", "limit"), [(0, 0), (sp.Rational(1, 2), 0), (1, sp.exp(-1)), (2, sp.oo)])
def test_spikes(growth: sp.Expr, limit: sp.Expr) -> None:
    response = functionals.spike_response(sp.exp(-s), sp.Integer(1), growth)
    assert sp.limit(response, n, sp.oo) == limit


def test_spike_against_quadrature() -> None:
    response = functionals.spike_response((1 + s) ** -2, sp.Rational(1, 2), sp.Integer(1))
    count = 7

    def integrand(lag: float) -> float:
        return count * max(0.0, 1 - abs(count * (lag - 0.5) - 1)) / (1 + lag) ** 2

    expected = quad(integrand, 0.5, 0.5 + 2 / count, points=[0.5 + 1 / count])[0]
    assert float(response.subs(n, count)) == pytest.approx(expected, rel=1e-9)


def test_null_sets_bound_the_spikes() -> None:
    upper = functionals.null_set_response_upper(sp.exp(-s), sp.Integer(1))
    response = functionals.spike_response(sp.exp(-s), sp.Integer(0), sp.Integer(1))
    for count in (1, 5, 100):
        assert float(response.subs(n, count)) <= float(upper.subs(n, count))
    assert float(upper.subs(n, 4)) == pytest.approx(4 * -np.expm1(-0.5))


def test_homogeneous_bound() -> None:
    size, constant = sp.symbols("X C", positive=True)
    assert functionals.homogeneous_size_upper(sp.Integer(1), constant, size) == 2 * constant * size


def test_hypotheses() -> None:
    with pytest.raises(ValueError, match="kernel: not absolutely integrable: 1/"):
        Functional(kernel=1 / (1 + s))
    with pytest.raises(ValueError, match="anticipating: not absolutely integrable"):
        Functional(anticipating=sp.Integer(1))
    with pytest.raises(ValueError, match="the measure must not be zero"):
        Functional()
    for atoms in (((0, 0),), ((0, 1), (0, -1))):
        with pytest.raises(ValueError, match="atoms: lags must differ and weights must not be zero, got"):
            Functional(atoms=tuple((sp.Integer(lag), sp.Integer(weight)) for lag, weight in atoms))
    with pytest.raises(ValueError, match="gain: must not be zero everywhere"):
        Functional(kernel=sp.exp(-s), gain=sp.Integer(0))
    with pytest.raises(ValueError, match="readout: must depend on y, got 2"):
        Functional(kernel=sp.exp(-s), readout=sp.Integer(2))
    with pytest.raises(ValueError, match="lag: must not be negative, got -1"):
        functionals.spike_response(sp.exp(-s), sp.Integer(-1), sp.Integer(1))
    with pytest.raises(ValueError, match="kernel: must be non-increasing"):
        functionals.null_set_response_upper(s * sp.exp(-s), sp.Integer(0))
    with pytest.raises(ValueError, match="bound: must be positive, got 0"):
        functionals.homogeneous_size_upper(sp.Integer(1), sp.Integer(0), sp.Integer(1))
