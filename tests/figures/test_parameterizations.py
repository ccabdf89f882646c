"""The parameterizations: slopes against closed forms, and a finding that other data refute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

import figures.parameterizations as module
from figures.figure import from_json, to_json
from figures.parameterizations import CONTINUOUS, FIGURE, Gradients, Parameterizations, compute, finding
from proofs_check.claim import Verdict


@pytest.fixture(scope="module")
def data() -> Iterator[Parameterizations]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "POINTS", {"quick": 31})
        yield compute()


def one(data: Parameterizations, f: str, along: str = "tau") -> Gradients:
    (found,) = (g for g in data.some(along) if g.reparam == f)
    return found


@pytest.mark.parametrize(
    ("f", "power"),
    [("direct", 2), ("relu", 2), ("exp", 1), ("softplus", 1), ("sigmoid", 1), ("best", 0.5), ("reciprocal", 0)],
)
def test_growth_of_the_scale_with_the_memory_time(data: Parameterizations, f: str, power: float) -> None:
    found = one(data, f)
    last = np.log(found.scale[-1] / found.scale[-2]) / np.log(found.tau[-1] / found.tau[-2])
    assert last == pytest.approx(power, abs=1e-3)
    assert found.mismatch < 1e-7


def test_best_alone_has_a_constant_gradient_over_weight(data: Parameterizations) -> None:
    for f in CONTINUOUS:
        for along in ("w", "tau"):
            assert (one(data, f, along).spread < 1 + 1e-6) == (f == "best")
    assert one(data, "best").over_weight == pytest.approx([2.0] * len(one(data, "best").w), rel=1e-6)


def test_the_origin_of_w_changes_the_ratio_and_not_the_scale(data: Parameterizations) -> None:
    plain, moved = one(data, "exp"), one(data, "-exp(w+5)")
    shared = [t for t in plain.tau if any(abs(t / s - 1) < 1e-6 for s in moved.tau)]
    assert len(shared) > 25
    scale = np.interp(shared, moved.tau, moved.scale) / np.interp(shared, plain.tau, plain.scale)
    ratio = np.interp(shared, moved.tau, moved.over_weight) / np.interp(shared, plain.tau, plain.over_weight)
    assert np.allclose(scale, 1, rtol=1e-6)
    assert not np.allclose(ratio, 1, rtol=0.1)


def test_discrete_best_starts_on_the_boundary(data: Parameterizations) -> None:
    found = {curve.reparam: curve for curve in data.curves if curve.time == "discrete"}
    assert 1.9 < max(found["best"].distance) <= 2
    assert max(found["tanh"].distance) < 2
    assert max(found["exp"].distance) <= 1


def test_the_data_survive_json(data: Parameterizations) -> None:
    assert from_json(Parameterizations, to_json(data)) == data


def test_the_finding(data: Parameterizations) -> None:
    found = finding(data)
    assert found.verdict is Verdict.SUPPORTED
    assert "constant for best alone" in found.reason


@pytest.mark.parametrize("f", ["best", "exp"])
def test_other_data_take_the_finding_away(data: Parameterizations, f: str) -> None:
    """best with another scale, and exp with that of best."""
    changed = tuple(
        replace(g, scale=tuple(abs(w) * (3 if f == "best" else 2) for w in g.w), closed=()) if g.reparam == f else g
        for g in data.gradients
    )
    assert finding(replace(data, gradients=changed)).verdict is Verdict.INCONCLUSIVE
    wrong = tuple(replace(g, closed=tuple(1.01 * x for x in g.closed)) if g.reparam == f else g for g in data.gradients)
    assert finding(replace(data, gradients=wrong)).verdict is Verdict.INCONCLUSIVE


def test_the_name() -> None:
    assert FIGURE.name == "parameterizations"
