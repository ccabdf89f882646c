"""Fitted and explicit errors beside the limit of approximation."""

from __future__ import annotations

import pytest

from numerics.hankel import approximation_limit, limit_table
from numerics.limit_comparison import limit_comparison
from numerics.targets import parse_target


def test_no_fit_is_better_than_the_limit() -> None:
    target, seen = parse_target("polynomial:p=2"), []
    found = limit_comparison(target, [8, 1, 3], on_progress=lambda done, total, _: seen.append((done, total)))
    assert [row.limit.m for row in found.rows] == [8, 1, 3]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    for row in found.rows:
        assert row.limit.error_lower == pytest.approx(limit_table(target, [row.limit.m]).rows[0].error_lower, rel=1e-9)
        assert row.error_explicit is not None
        assert approximation_limit(target, row.limit.m) <= row.error_fitted <= row.error_explicit


@pytest.mark.parametrize("spec", ["airy", "two-part", "shift"])
def test_targets_without_an_explicit_sequence(spec: str) -> None:
    rows = limit_comparison(parse_target(spec), [1, 4]).rows
    assert rows[0].states == "real"
    assert all(row.error_explicit is None and row.limit.error_lower < row.error_fitted for row in rows)
    assert rows[1].error_fitted <= rows[0].error_fitted  # both 4 for shift, which no model improves on
    assert spec != "airy" or rows[1].as_json()["states"] == "pairs"
