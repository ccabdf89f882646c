"""Margins against m: bounds, rates, agreement over f, and what refutes the finding."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import figures.stability_margin as stability_margin
from figures.figure import from_json, to_json
from figures.stability_margin import (
    FIGURE,
    FittedMargin,
    StabilityMargin,
    _steps,
    caption,
    compute,
    draw,
    finding,
    size,
)
from figures.style import new_figure, style
from proofs_check.claim import Verdict


@pytest.fixture(scope="module")
def data() -> StabilityMargin:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stability_margin, "SIZES", {"quick": (2, 4, 8)})
        return compute("quick", seed=4)


def changed(data: StabilityMargin, chosen: dict[str, Any], **new: Any) -> StabilityMargin:
    def fits(row: FittedMargin) -> bool:
        return all(getattr(row, name) == value for name, value in chosen.items())

    return replace(data, fitted=tuple(replace(row, **new) if fits(row) else row for row in data.fitted))


def law(data: StabilityMargin, kappa: float) -> StabilityMargin:
    """Exact laws e^{-κ√m} for every p and f."""
    return replace(
        data, fitted=tuple(replace(r, margin=math.exp(-kappa * math.sqrt(r.m)), upper=1) for r in data.fitted)
    )


def test_the_margins(data: StabilityMargin) -> None:
    assert data.dims == (2, 4, 8)
    assert len(data.fitted) == 3 * 4 * 3
    for row in data.fitted:
        assert 0 < row.margin <= row.upper < 10
    for p in (1.5, 2.0, 3.0):  # the rule has no smaller error, and no smaller margin
        rule = {row.m: row.margin for row in data.explicit if row.exponent == p}
        assert all(data.margins(p, "exp")[m] < rule[m] for m in data.dims)


def test_the_prediction(data: StabilityMargin) -> None:
    for found in data.predictions:
        assert found.rate == pytest.approx(math.pi * math.sqrt(2 / (found.exponent - 0.5)))


def test_the_finding(data: StabilityMargin) -> None:
    found = finding(data)
    assert found.verdict is Verdict.SUPPORTED
    assert "for p = 1.5 (4.443)" in found.reason


def test_a_margin_above_its_bound_refutes(data: StabilityMargin) -> None:
    found = finding(changed(data, {"exponent": 2.0, "reparam": "exp", "m": 4}, upper=0.01))
    assert found.verdict is Verdict.REFUTED
    assert "at p = 2, exp, m = 4" in found.reason


def test_another_rate_is_not_supported(data: StabilityMargin) -> None:
    found = finding(law(data, 1.0))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "the interval of direct for p = 1.5 does not hold the predicted κ" in found.reason
    one = tuple(replace(prediction, rate=2 * prediction.rate) for prediction in data.predictions)
    assert finding(replace(data, predictions=one)).verdict is Verdict.INCONCLUSIVE


def test_margins_that_differ_over_f_are_told(data: StabilityMargin) -> None:
    margin = data.margins(3.0, "softplus")[8]
    found = finding(changed(data, {"exponent": 3.0, "reparam": "softplus", "m": 8}, margin=0.9 * margin))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "margins of different f are up to 11 % apart" in found.reason


def test_fits_that_did_not_converge_are_told(data: StabilityMargin) -> None:
    found = finding(changed(data, {"m": 8, "reparam": "exp"}, converged=False))
    assert (found.verdict, "3 of 36 fits did not converge" in found.reason) == (Verdict.INCONCLUSIVE, True)


def test_margins_that_rise_are_told(data: StabilityMargin) -> None:
    found = finding(changed(data, {"exponent": 2.0, "m": 8}, margin=0.5, upper=1.0))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "do not fall with every m" in found.reason


def test_two_sizes_show_no_rate(data: StabilityMargin) -> None:
    found = finding(replace(data, fitted=tuple(row for row in data.fitted if row.m > 2)))
    assert (found.verdict, "Fewer than three m" in found.reason) == (Verdict.INCONCLUSIVE, True)


def test_slopes_of_an_exact_law() -> None:
    places, slopes = _steps({m: math.exp(-3 * math.sqrt(m)) for m in (1, 4, 9, 16)})
    assert places == pytest.approx([2 / 3, 2 / 5, 2 / 7])
    assert slopes == pytest.approx([3.0] * 3)


def test_kept_and_drawn(data: StabilityMargin) -> None:
    assert from_json(FIGURE.data, json.loads(json.dumps(to_json(data)))) == data
    with style():
        figure = new_figure(*size(data))
        draw(data, figure)
        figure.canvas.draw()
    *panels, slopes = figure.axes
    assert [len(ax.lines) for ax in panels] == [7] * 3  # the rule, bounds, four f, the predicted slope
    stars = [y for line in slopes.lines if line.get_marker() == "*" for y in np.asarray(line.get_ydata())]
    assert stars == pytest.approx([prediction.rate for prediction in data.predictions])
    assert "fitted-margin-rate-l2" in caption(data)
    assert "seed 4" in caption(data)
