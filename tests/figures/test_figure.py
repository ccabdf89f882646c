"""What a figure is: the data survive being kept, with all digits, and a damaged file is refused."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figures.figure import KINDS, FigureKind, Finding, Kept, data_path, figure_kind, from_json, load, save, to_json
from proofs_check.claim import Verdict


@dataclass(frozen=True)
class Curve:
    label: str
    points: tuple[tuple[float, float], ...]
    margin: float | None


@dataclass(frozen=True)
class Toy:
    level: str
    count: int
    decided: bool
    curves: tuple[Curve, ...]


def compute(level: str = "quick", *, seed: int = 0, folder: Path | None = None) -> Toy:
    return Toy(level, seed, True, (Curve("λ", ((0.1, math.inf), (1 / 3, -math.inf)), None),))


TOY = FigureKind(
    name="toy",
    title="A toy",
    shows="Is it kept?",
    claims=(),
    data=Toy,
    compute=compute,
    caption=lambda data: f"{len(data.curves)} curves.",
    finding=lambda data: Finding(Verdict.SUPPORTED, "it is"),
)

NUMBERS = st.floats(allow_nan=False)


@settings(max_examples=25)
@given(st.builds(Toy, st.text(), st.integers(), st.booleans(), st.lists(
    st.builds(Curve, st.text(), st.lists(st.tuples(NUMBERS, NUMBERS)).map(tuple), st.none() | NUMBERS)
).map(tuple)))  # fmt: skip
def test_data_survive_json_with_all_digits(data: Toy) -> None:
    text = json.dumps(to_json(data), allow_nan=False)
    assert from_json(Toy, json.loads(text)) == data


def test_nan_survives() -> None:
    found = from_json(Curve, to_json(Curve("x", ((math.nan, 1.0),), None)))
    assert math.isnan(found.points[0][0])


@pytest.mark.parametrize("value", [[1.0], {"a": 1}, object(), Curve("x", [(1.0, 2.0)], None)])  # type: ignore[arg-type]
def test_what_cannot_be_kept_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="data of a figure"):
        to_json(value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (float, "1.0"),
        (int, 1.0),
        (int, True),
        (str, 1),
        (bool, 1),
        (tuple[float, float], [1.0]),
        (tuple[str, ...], "ab"),
        (float | None, "x"),
    ],
)
def test_values_of_another_type_are_refused(kind: Any, value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        from_json(kind, value)


def test_a_field_too_many_or_too_few_is_refused() -> None:
    value = to_json(Curve("x", (), 1.0))
    with pytest.raises(ValueError, match="fields"):
        from_json(Curve, {**value, "more": 1})
    with pytest.raises(ValueError, match="fields"):
        from_json(Curve, {name: item for name, item in value.items() if name != "margin"})


def test_kept_data_are_read_again(tmp_path: Path) -> None:
    kept = Kept({"level": "quick", "seed": 3}, compute(seed=3))
    assert save(TOY, kept, tmp_path) == data_path(tmp_path, "toy")
    assert load(TOY, tmp_path) == kept


def test_a_missing_damaged_or_foreign_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"toy\.json: cannot be read"):
        load(TOY, tmp_path)
    path = save(TOY, Kept({}, compute()), tmp_path)
    whole = path.read_text(encoding="utf-8")
    others = [
        "",
        "[]",
        "1",
        whole[:-30],
        whole.replace('"toy"', '"other"'),
        whole.replace('"count": 0', '"count": "x"'),
        whole.replace('"settings": {}', '"settings": {"level": NaN}'),
        whole.replace('"settings": {}', '"settings": {"seed": 1e999}'),
        whole.replace('"margin": ', f'"margin": 1{"0" * 400}, "": '),
    ]
    for text in [*others, "[" * 100_000]:
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=r"toy\.json: is not a file of the data of toy"):
            load(TOY, tmp_path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="is not a file of the data"):
        load(TOY, tmp_path)


def test_an_unknown_figure_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="figure 'modulu': no such figure; allowed: all, parameterizations"):
        figure_kind("modulu")


@pytest.mark.parametrize("name", KINDS)
def test_a_figure_says_what_it_is(name: str) -> None:
    from proofs_check.ledger import CLAIMS, load_claims

    kind = figure_kind(name)
    assert kind.name == name
    assert kind.title
    assert not kind.title.endswith(".")
    assert kind.shows.endswith(("?", "."))
    assert (kind.size is None) == (kind.draw is None)
    assert set(kind.claims) <= set(load_claims(CLAIMS))
