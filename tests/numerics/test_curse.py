"""The table of E_m(β) along sequences of models."""

from __future__ import annotations

import math

import pytest

from numerics.curse import curse_table
from numerics.targets import parse_target

TARGET = parse_target("polynomial:p=1.5")


def test_rows_in_the_order_asked() -> None:
    seen: list[tuple[int, int]] = []
    table = curse_table(
        TARGET, [4, 2], ["exp", "direct"], [0.1, 0.01], modes=["plain", "unit-norm"],
        on_progress=lambda done, total, _: seen.append((done, total)),
    )  # fmt: skip
    assert [row.m for row in table.rows[:4]] == [4, 4, 2, 2]
    assert [row.beta for row in table.rows[:4]] == [0.1, 0.01, 0.1, 0.01]
    assert [row.reparam for row in table.rows[::16]] == ["exp", "direct"]
    assert len(table.rows) == 2 * 2 * 2 * 2 * 2
    assert seen == [(k, 16) for k in range(1, 17)]
    assert all(row.lower <= row.upper for row in table.rows)


def test_the_models_of_all_reparameterizations_have_one_kernel() -> None:
    table = curse_table(TARGET, [6], ["direct", "exp", "softplus", "best:b=0.01"], [0.0], modes=["plain", "unit-norm"])
    for row in table.rows[1:]:
        assert row.initial == pytest.approx(table.rows[0].initial, rel=1e-9)
        assert row.margin == pytest.approx(table.rows[0].margin, rel=1e-9)
        assert row.weight_sum == pytest.approx(table.rows[0].weight_sum, rel=1e-9)


def test_direct_is_infinite_from_the_margin_on() -> None:
    (first,) = curse_table(TARGET, [8], ["direct"], [1.0], groups=["w"]).rows
    margin = first.margin
    below, at = curse_table(TARGET, [8], ["direct"], [margin * 0.999, margin], groups=["w"]).rows
    assert math.isfinite(below.upper)
    assert math.isinf(at.lower)
    assert at.as_json()["lower"] == "inf"


def test_a_formula_has_its_inverse_searched_for() -> None:
    named, formula = curse_table(TARGET, [6], ["exp", "-exp(w)"], [0.1], groups=["w"]).rows
    assert formula.lower == pytest.approx(named.lower, rel=1e-6)
    assert formula.margin == pytest.approx(named.margin, rel=1e-9)
    even = curse_table(TARGET, [6], ["-1/(w**2+0.01)", "best:b=0.01"], [0.1], groups=["w"]).rows
    assert even[0].lower == pytest.approx(even[1].lower, rel=1e-6)


def test_a_bounded_range_is_said() -> None:
    table = curse_table(TARGET, [4], ["best", "best:b=0.001", "sigmoid", "exp", "-exp(w)"], [0.1], groups=["w"])
    assert list(table.complete.values()) == [False, False, False, True, None]
    ranges = [note.split(";")[0] for note in table.notes]
    assert ranges == ["best: |λ| stays below 2", "best:b=0.001: |λ| stays below 1000", "sigmoid: |λ| stays below 1"]


def test_rates_beyond_a_wide_range_are_put_together() -> None:
    """(1+1000t)^{-1.5} has rates of some thousands, and best with b = 1/1000 reaches 1000."""
    row = curse_table(parse_target("polynomial:p=1.5:s=0.001"), [4], ["best:b=0.001"], [0.01], groups=["w"]).rows[0]
    assert 0 < row.lower <= row.upper < math.inf


def test_fitted_sequences_of_formulas_with_other_ranges_do_not_mix() -> None:
    """-1-exp(w) has no rate below 1; its fits are not those of exp, in whatever order they stand."""
    target, initial = parse_target("polynomial:p=2"), []
    for reparams in (["exp"], ["exp", "-1-exp(w)"], ["-1-exp(w)", "exp"]):
        rows = curse_table(target, [2], reparams, [0.0], groups=["w"], sequence="fitted").rows
        initial.append({row.reparam: row.initial for row in rows})
        assert all(row.margin >= 1 for row in rows if row.reparam != "exp")
    assert initial[0]["exp"] == pytest.approx(initial[1]["exp"], rel=1e-9)
    assert initial[1] == pytest.approx(initial[2], rel=1e-9)


def test_fitted_sequences() -> None:
    explicit, fitted = (
        curse_table(TARGET, [6], ["exp"], [0.01], groups=["w"], sequence=kind).rows[0]
        for kind in ("explicit", "fitted")
    )
    assert fitted.initial < explicit.initial


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dims": []}, "m:"),
        ({"reparams": []}, "reparam"),
        ({"betas": []}, "beta"),
        ({"betas": [-1.0]}, "beta"),
        ({"reparams": ["expp"]}, "did you mean exp"),
        ({"reparams": ["exp(w)"]}, "nowhere negative"),
        ({"reparams": ["-1-exp(w)"]}, "does not take the value"),
        ({"sequence": "random"}, "sequence"),
        ({"modes": ["wild"]}, "modes"),
        ({"groups": ["omega"]}, "omega"),
        ({"target": parse_target("two-part")}, "completely monotone"),
        ({"target": parse_target("polynomial:p=1")}, "infinite"),
    ],
)
def test_what_is_refused(change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"target": TARGET, "dims": [2], "reparams": ["exp"], "betas": [0.1], **change}
    with pytest.raises(ValueError, match=message):
        curse_table(**arguments)  # type: ignore[arg-type]
