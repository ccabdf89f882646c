"""The modulus of every f: enclosures against a grid of pairs and closed forms, and a finding that other data refute."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

import figures.modulus as module
from figures.figure import from_json, to_json
from figures.modulus import FIGURE, Moduli, Modulus, caption, closed_form, compute, finding
from numerics.memory_slopes import rates
from numerics.reparameterization import Reparameterization
from proofs_check.claim import Verdict
from theory.notation import beta

FEW = {
    "continuous": ("exp", "best:b=0.1", "direct", "-(2+sin(w**2))"),
    "discrete": ("sigmoid", "best:b=1", "best"),
}


@pytest.fixture(scope="module")
def data() -> Iterator[Moduli]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "REPARAMS", FEW)
        patch.setattr(module, "RADII", {"quick": ("1/100", "1/2")})
        yield compute()


def change(data: Moduli, reparam: str, **values: object) -> Moduli:
    return Moduli(tuple(replace(c, **values) if c.reparam == reparam else c for c in data.curves))  # type: ignore


def test_pairs_of_weights_come_near_the_enclosures_and_never_above(data: Moduli) -> None:
    """|f(w)/f(w̃) - 1|, in discrete time with 1 - f: its largest value over a grid."""
    w = np.linspace(-15, 15, 6001)
    for curve in data.curves:
        if curve.stable:
            f = Reparameterization(curve.reparam, curve.time)
            distance = [
                abs(r) if curve.time == "continuous" else 1 - r for r in (rates(f, w + s) for s in (0, *curve.betas))
            ]
            for moved, low, high in zip(distance[1:], curve.lower, curve.upper, strict=True):
                ratio = np.maximum(distance[0] / moved, moved / distance[0]) - 1
                assert ratio.max() <= high * (1 + 1e-8)
                assert ratio.max() >= 0.98 * low


def test_unstable_ones_are_shown_as_such(data: Moduli) -> None:
    found = {(curve.time, curve.reparam): curve for curve in data.curves}
    for key in (("continuous", "direct"), ("discrete", "best")):
        assert found[key].stable is False
        assert set(found[key].lower) == {math.inf}
    bounded = found["continuous", "-(2+sin(w**2))"]
    assert bounded.stable is False
    for low, high in zip(bounded.lower, bounded.upper, strict=True):
        assert 1.99 < low <= 2 <= high < 2.01


@pytest.mark.parametrize(
    ("text", "time", "value"),
    [
        ("exp", "continuous", math.expm1(0.5)),
        ("best:a=2:b=0.3", "continuous", 0.5 * (0.5 + math.sqrt(0.25 + 4 * 0.3 / 2)) * 2 / 0.6),
        ("reciprocal", "continuous", 1.0),
        ("tanh", "discrete", math.expm1(1.0)),
        ("reciprocal:b=1", "discrete", 0.5),
    ],
)
def test_closed_forms(text: str, time: str, value: float) -> None:
    assert float(closed_form(text, time)[1].subs(beta, 0.5)) == pytest.approx(value, rel=1e-12)


def test_no_closed_form_where_discrete_best_changes_its_sign() -> None:
    with pytest.raises(ValueError, match="b >= 1 only"):
        closed_form("best:b=0.6", "discrete")


def test_the_data_survive_json(data: Moduli) -> None:
    assert from_json(Moduli, to_json(data)) == data


def test_the_finding(data: Moduli) -> None:
    found = finding(data)
    assert found.verdict is Verdict.ENCLOSED
    assert "exp, best:b=0.1; not stable are direct (g* = ∞) and -(2+sin(w**2))" in found.reason
    assert "exp(β) - 1 (exp)" in caption(data)


def test_other_data_change_the_finding(data: Moduli) -> None:
    assert finding(change(data, "exp", inside=False)).verdict is Verdict.REFUTED
    assert finding(change(data, "exp", stable=None)).verdict is Verdict.INCONCLUSIVE
    assert finding(change(data, "exp", lower=(0.0, 0.0), upper=(math.inf, math.inf))).verdict is Verdict.INCONCLUSIVE
    assert "direct" in finding(change(data, "direct", lower=(2.0, 2.0))).reason.split("(g* finite")[0]


def test_an_enclosure_that_misses_the_closed_form_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "closed_form", lambda f, time: (2 * beta, 2 * beta))
    found: Modulus = module._modulus("exp", "continuous", [module.Fraction(1, 2)])
    assert found.inside is False


def test_the_name() -> None:
    assert FIGURE.name == "modulus"
