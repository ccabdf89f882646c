"""E_m(β) against m: brackets in their places, infinite ones at the edge, and what refutes the finding."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import figures.error_against_size as error_against_size
from figures.error_against_size import (
    FIGURE,
    SETTINGS,
    Bracket,
    ErrorAgainstSize,
    caption,
    compute,
    draw,
    finding,
    size,
)
from figures.figure import from_json, to_json
from figures.style import new_figure, style
from proofs_check.claim import Verdict


@pytest.fixture(scope="module")
def data() -> ErrorAgainstSize:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(error_against_size, "REPARAMS", ("direct", "exp"))
        patch.setattr(error_against_size, "SIZES", {"quick": ((4, 8, 16), (0.01,))})
        return compute("quick", seed=3)


def changed(data: ErrorAgainstSize, change: Callable[[Bracket], Bracket]) -> ErrorAgainstSize:
    return replace(data, brackets=tuple(change(row) for row in data.brackets))


def test_the_brackets(data: ErrorAgainstSize) -> None:
    assert len(data.brackets) == 3 * 2 * 3
    for row in data.brackets:
        assert row.lower <= row.upper
        assert row.lower >= row.initial or math.isinf(row.lower)
        assert math.isinf(row.upper) == (row.reparam == "direct" and row.margin <= row.beta)
    narrow = [row.upper / row.lower for row in data.brackets if row.upper < math.inf]
    assert max(narrow) < 1.2
    assert [row.m for row in data.curve("all", "exp", 0.01)] == [4, 8, 16]


def test_the_lower_bound(data: ErrorAgainstSize) -> None:
    for cost in data.costs:
        (row,) = [r for r in data.curve("all", "exp", cost.beta) if r.m == cost.m]
        assert cost.lower == pytest.approx(cost.beta**2 * (2 + 1 / row.margin) / 2)
        assert cost.lower <= row.upper
    last = data.costs[-1]
    assert last.lower > 0.9 * data.curve("all", "exp", last.beta)[-1].lower  # it is most of the error there


def test_what_is_proved(data: ErrorAgainstSize) -> None:
    found = {(p.setting, p.reparam): (p.bounded, p.claim) for p in data.proved}
    assert found == {
        ("recurrent", "direct"): (False, "thm-3.3-boundary"),
        ("recurrent", "exp"): (True, "thm-3.5-recurrent-only"),
        ("all", "direct"): (False, "thm-3.3-boundary"),
        ("all", "exp"): (False, "all-weights-lower-bound"),
        ("unit-norm", "direct"): (False, "thm-3.3-boundary"),
        ("unit-norm", "exp"): (True, "unit-norm-bound"),
    }


def test_the_finding(data: ErrorAgainstSize) -> None:
    found = finding(data)
    assert found.verdict is Verdict.SUPPORTED
    assert "stays bounded for exp (recurrent); no f (all); exp (unit-norm)" in found.reason


def test_an_error_below_the_lower_bound_refutes(data: ErrorAgainstSize) -> None:
    def cheap(row: Bracket) -> Bracket:
        return replace(row, lower=0.1, upper=0.11) if (row.setting, row.reparam) == ("all", "exp") else row

    found = finding(changed(data, cheap))
    assert found.verdict is Verdict.REFUTED
    assert "lies below β²(2 + 1/min|λ|)/2 at exp, m = 16" in found.reason


@pytest.mark.parametrize("setting", ["recurrent", "unit-norm"])
def test_growth_where_a_bound_is_proved_refutes(data: ErrorAgainstSize, setting: str) -> None:
    def growing(row: Bracket) -> Bracket:
        return replace(row, lower=row.m, upper=row.m) if (row.setting, row.reparam) == (setting, "exp") else row

    found = finding(changed(data, growing))
    assert found.verdict is Verdict.REFUTED
    assert f"grows for exp, {setting}" in found.reason


def test_a_bounded_error_where_growth_is_proved_refutes(data: ErrorAgainstSize) -> None:
    found = finding(changed(data, lambda row: replace(row, lower=50.0, upper=50.0)))
    assert found.verdict is Verdict.REFUTED
    assert "stays bounded for direct, recurrent, against thm-3.3-boundary" in found.reason


def test_no_tendency_or_no_theorem_decides_nothing(data: ErrorAgainstSize) -> None:
    def unclear(row: Bracket) -> Bracket:
        value = 1.0 + row.m / 16 if row.m > 4 else 1.0
        return replace(row, lower=value, upper=value) if (row.setting, row.reparam) == ("recurrent", "exp") else row

    found = finding(changed(data, unclear))
    assert (found.verdict, "exp, recurrent" in found.reason) == (Verdict.INCONCLUSIVE, True)
    nothing = tuple(replace(p, bounded=None, claim=None) for p in data.proved)
    assert finding(replace(data, proved=nothing)).verdict is Verdict.INCONCLUSIVE


def test_kept_and_drawn(data: ErrorAgainstSize) -> None:
    assert from_json(FIGURE.data, json.loads(json.dumps(to_json(data), allow_nan=False))) == data
    with style():
        figure = new_figure(*size(data))
        draw(data, figure)
        figure.canvas.draw()
    assert [ax.get_title() for ax in figure.axes] == [setting.title for setting in SETTINGS]
    for ax, setting in zip(figure.axes, SETTINGS, strict=True):
        beyond = [y for line in ax.lines if line.get_marker() == "^" for y in np.asarray(line.get_ydata())]
        infinite = [row for row in data.brackets if row.setting == setting.name and math.isinf(row.upper)]
        assert beyond == [ax.get_ylim()[1]] * len(infinite)
        assert len(infinite) == 2
    assert "m = 4, 8, 16" in caption(data)
    assert "seed 3" in caption(data)
