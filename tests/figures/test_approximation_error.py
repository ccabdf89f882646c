"""Errors of approximation beside their limit: known singular values, rates, and what refutes the finding."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

import figures.approximation_error as approximation_error
from figures.approximation_error import FIGURE, ApproximationError, caption, compute, draw, finding, rates, size
from figures.figure import from_json, to_json
from figures.style import new_figure, style
from proofs_check.claim import Verdict


@pytest.fixture(scope="module")
def data() -> ApproximationError:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(approximation_error, "SIZES", {"quick": ((1, 2, 4), (1, 2))})
        return compute("quick", seed=2)


def changed(data: ApproximationError, target: int, row: int, **new: Any) -> ApproximationError:
    targets = list(data.targets)
    rows = list(targets[target].rows)
    rows[row] = replace(rows[row], **new)
    targets[target] = replace(targets[target], rows=tuple(rows))
    return replace(data, targets=tuple(targets))


def test_the_limit_holds_known_singular_values(data: ApproximationError) -> None:
    """σ_2, σ_3, σ_5 of the Hankel operator of (1+t)^{-2}, and the same for its derivative added."""
    for row, value in zip(data.targets[1].rows, (0.069753, 0.018490, 0.0022500), strict=True):
        assert value < row.limit < 2 * value
        assert row.resolved


def test_what_is_explicit(data: ApproximationError) -> None:
    power, square, airy = data.targets
    assert all(row.explicit is not None and row.states == "real" for row in (*power.rows, *square.rows))
    assert [row.explicit for row in airy.rows] == [None, None]
    assert (power.exponent, square.exponent, airy.exponent) == (1.5, 2.0, None)
    assert airy.rows[1].states == "pairs"


def test_rates() -> None:
    assert rates(2.0) == pytest.approx({"limit": math.pi * math.sqrt(2), "explicit": math.pi})
    assert rates(1.5)["limit"] / rates(1.5)["explicit"] == pytest.approx(math.sqrt(2))


def test_the_finding(data: ApproximationError) -> None:
    found = finding(data)
    assert found.verdict is Verdict.SUPPORTED
    assert "the explicit sums never come nearer than the fits" in found.reason


@pytest.mark.parametrize("name", ["fitted", "explicit"])
def test_a_model_below_the_limit_refutes(data: ApproximationError, name: str) -> None:
    limit = data.targets[0].rows[1].limit
    found = finding(changed(data, 0, 1, **{name: 0.999 * limit}))
    assert found.verdict is Verdict.REFUTED
    assert f"polynomial:p=1.5, m = 2: a model that is {name} has the error" in found.reason


def test_a_limit_above_the_models_refutes(data: ApproximationError) -> None:
    assert finding(changed(data, 2, 0, limit=100.0)).verdict is Verdict.REFUTED


def test_fits_that_were_lost_decide_nothing(data: ApproximationError) -> None:
    found = finding(changed(data, 2, 1, fitted=math.inf))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "airy, m = 2" in found.reason


def test_an_explicit_model_that_comes_nearer_is_told(data: ApproximationError) -> None:
    row = data.targets[0].rows[0]
    found = finding(changed(data, 0, 0, explicit=(row.fitted + row.limit) / 2))
    assert (found.verdict, "some explicit sums come nearer" in found.reason) == (Verdict.SUPPORTED, True)


def test_a_limit_that_is_not_resolved_is_compared_with_nothing(data: ApproximationError) -> None:
    one = replace(data, targets=(replace(data.targets[0], rows=data.targets[0].rows[:1]),))
    found = finding(changed(one, 0, 0, limit=0.0, resolved=False))
    assert found.reason.endswith("polynomial:p=1.5: no limit is resolved.")


def test_kept_and_drawn(data: ApproximationError) -> None:
    assert from_json(FIGURE.data, json.loads(json.dumps(to_json(data)))) == data
    with style():
        figure = new_figure(*size(data))
        draw(data, figure)
        figure.canvas.draw()
    assert [len(ax.lines) for ax in figure.axes] == [5, 5, 2]  # explicit, fitted, limit and two slopes; Airy without
    assert [ax.get_xlabel() for ax in figure.axes] == ["modes $m$", "modes $m$", "states $m$"]
    assert "seed 2" in caption(data)
    assert "4.443 and 3.142 for p = 2" in caption(data)
