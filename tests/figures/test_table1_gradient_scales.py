"""Table 1: formulas that are derived, read back and compared with other routes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from figures.figure import from_json, to_json
from figures.table1_gradient_scales import POINTS, TOLERANCE, GradientScales, caption, compute, finding, tables
from figures.table_files import csv_text, latex
from proofs_check.claim import Verdict
from proofs_check.formula_svg import readable

CONTINUOUS: Mapping[str, Callable[[float], float]] = {
    "direct": lambda w: 1 / w**2,
    "relu": lambda w: 1 / w**2,
    "exp": lambda w: math.exp(-w),
    "softplus": lambda w: math.exp(w) / (1 + math.exp(w)) / math.log1p(math.exp(w)) ** 2,
    "sigmoid": lambda w: math.exp(-w),
    "best": lambda w: 2 * abs(w),
    "reciprocal": lambda w: 1.0,
}
"""Worked by hand, with a = 1."""
DISCRETE: Mapping[str, Callable[[float], float]] = {
    "direct": lambda w: (1 - abs(w)) ** -2,
    "exp": lambda w: math.exp(w - math.exp(w)) / (1 - math.exp(-math.exp(w))) ** 2,
    "softplus": lambda w: math.exp(-w),
    "sigmoid": lambda w: math.exp(w),
    "tanh": lambda w: math.exp(2 * abs(w)),
}


@pytest.fixture(scope="module")
def data() -> GradientScales:
    return compute()


def test_there_is_a_row_for_every_name_and_time(data: GradientScales) -> None:
    assert [row.name for row in data.rows if row.time == "continuous"] == list(CONTINUOUS)
    assert [row.name for row in data.rows if row.time == "discrete"] == [
        "direct", "relu", "exp", "softplus", "sigmoid", "tanh", "best", "reciprocal",
    ]  # fmt: skip
    assert from_json(GradientScales, to_json(data)) == data
    assert all(len(row.points) >= 2 for row in data.rows)
    assert len(next(row for row in data.rows if row.name == "exp").points) == len(POINTS)


@pytest.mark.parametrize("time", ["continuous", "discrete"])
def test_scales_are_those_worked_by_hand(data: GradientScales, time: str) -> None:
    known = CONTINUOUS if time == "continuous" else DISCRETE
    for row in data.rows:
        if row.time == time and row.name in known:
            for point in row.points:
                assert point.derived == pytest.approx(known[row.name](point.w), rel=1e-12)
                assert point.difference == pytest.approx(known[row.name](point.w), rel=TOLERANCE)
                if point.of_memory_time is not None:
                    assert point.of_memory_time == pytest.approx(point.derived, rel=1e-12)


def test_the_printed_scale_is_too_small_where_the_eigenvalue_is_negative(data: GradientScales) -> None:
    for row in data.rows:
        for point in row.points:
            ratio = point.printed / point.derived
            negative = row.time == "discrete" and point.lam < 0
            wanted = ((1 - abs(point.lam)) / (1 + abs(point.lam))) ** 2 if negative else 1.0
            assert ratio == pytest.approx(wanted, rel=1e-9)


def test_the_formulas_read_as_expected(data: GradientScales) -> None:
    found = {(row.name, row.time): row for row in data.rows}
    assert found["best", "continuous"].derived == "2 a |w|"
    assert found["best", "continuous"].of_memory_time == r"2 \sqrt{a} \sqrt{\tau - b}"
    assert found["softplus", "continuous"].of_memory_time == r"\tau^{2} \left(1 - e^{- \frac{1}{\tau}}\right)"
    assert found["exp", "continuous"].of_memory_time == r"\tau"
    assert found["tanh", "discrete"].derived == "e^{2 |w|}"
    assert found["tanh", "discrete"].printed == "e^{2 w}"
    for row in data.rows:
        for formula in (row.formula, row.printed, row.derived, row.of_memory_time):
            assert readable(formula)
            assert "operatorname" not in formula


def test_stability_is_decided(data: GradientScales) -> None:
    found = {(row.time, text): verdict for row in data.rows for text, verdict in row.decided}
    for name in ("exp", "softplus", "sigmoid"):
        assert Verdict[found["continuous", name]].holds
        assert Verdict[found["discrete", name]].holds
    for key in (
        ("continuous", "direct"), ("continuous", "relu"), ("continuous", "best:b=0"), ("discrete", "best:b=1/2"),
    ):  # fmt: skip
        assert found[key] == "REFUTED"
    assert Verdict[found["discrete", "best:b=1"]].holds


def test_the_finding_follows_the_data(data: GradientScales) -> None:
    good = finding(data)
    assert good.verdict is Verdict.SUPPORTED
    assert "do not in discrete time where λ < 0 (direct, relu, tanh, best, reciprocal)" in good.reason
    assert "898 times too small" in good.reason
    row = data.rows[2]
    wrong = replace(row, points=(replace(row.points[0], derived=2 * row.points[0].derived), *row.points[1:]))
    bad = finding(replace(data, rows=(*data.rows[:2], wrong, *data.rows[3:])))
    assert bad.verdict is Verdict.REFUTED
    wrong = replace(row, points=(replace(row.points[0], of_memory_time=1.0), *row.points[1:]))
    assert finding(replace(data, rows=(*data.rows[:2], wrong, *data.rows[3:]))).verdict is Verdict.REFUTED
    right = tuple(
        replace(row, points=tuple(replace(point, printed=point.difference) for point in row.points))
        for row in data.rows
    )
    assert finding(replace(data, rows=right)).reason.endswith("and so do the printed ones.")
    point = replace(row.points[0], printed=2 * row.points[0].printed)  # of exp in continuous time
    false = finding(replace(data, rows=(*data.rows[:2], replace(row, points=(point,)), *data.rows[3:])))
    assert false.verdict is Verdict.REFUTED
    assert false.reason.endswith("but not the printed one, though it should, of exp at w = -1.7.")


def test_tables_and_caption(data: GradientScales) -> None:
    first, second = tables(data)
    assert (len(first.rows), len(second.rows)) == (7, 8)
    assert (len(first.header), len(second.header)) == (5, 6)
    assert first.rows[5][-1] == "yes for b = 1/2; no for b = 0"
    assert second.rows[6][-1] == "yes for b = 1; no for b = 1/2"
    assert latex(second).isascii()
    assert "2 a |w|" in csv_text(first)
    assert "the theorem's |f'|/f² and |f'|/(1-f)²" in caption(data)
