"""Tables ready to use: their settings, what is given in their place, and bad input."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from numerics import datasets, training_presets
from numerics.dataset_files import NotFetchedError
from numerics.training_presets import LEVELS, layer_kinds, prepared_tables, table_folders, training_table
from numerics.training_table import TrainingTable, variant_name


def test_the_full_table_of_digits_is_that_of_the_paper_in_size() -> None:
    table = training_table("lr", "digits", "full")
    assert (len(table.kinds), len(table.learning_rates), len(table.seeds)) == (4, 7, 3)
    assert (table.width, table.modes, table.depth, table.epochs) == (64, 32, 1, 10)
    assert table.learning_rates == tuple(float(f"5e{k}") for k in range(-6, 1))


def test_what_is_given_takes_the_place_of_the_settings() -> None:
    table = training_table(
        data="text", columns=["exp@published"], gains=["plain", "dc"], seed=5, seeds=2, width=7, epochs=None
    )
    assert [variant_name(kind) for kind in table.kinds] == ["exp@published", "exp@published/dc"]
    assert (table.seeds, table.width) == ((5, 6), 7)
    assert table.epochs == training_table(data="text").epochs


def test_a_formula_may_hold_what_separates_names_elsewhere() -> None:
    (kind,) = layer_kinds(["-1/(w**2+1)@published"])
    assert (kind.reparameterization.text, kind.start) == ("-1/(w**2+1)", "published")
    (kind,) = layer_kinds(["-1/(w**2+1)"])
    assert (kind.reparameterization.text, kind.start) == ("-1/(w**2+1)", "same")


@pytest.mark.parametrize("level", LEVELS)
def test_every_column_of_a_grid_can_start(level: str) -> None:
    """-1/(aw² + b) = -1/2 has a solution exactly for b <= 2."""
    table = training_table("grid", "digits", level)
    for kind in table.kinds:
        values = dict(part.split("=") for part in kind.reparameterization.text.split(":")[1:])
        assert float(values["a"]) > 0
        assert 0 < float(values["b"]) < 2
    assert len(table.kinds) == {"quick": 9, "full": 20}[level]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"table": "heat"}, "table: 'heat' is not one of lr, grid"),
        ({"level": "slow"}, "level: 'slow' is not one of quick, full"),
        ({"seeds": 1001}, "seeds: at most 1000 are allowed, got 1001"),
        (
            {"seeds": 1000, "learning_rates": range(1, 51)},
            "runs: at most 100000 are allowed; 4 columns, 50 rates and 1000 seeds make 200000",
        ),
        ({"columns": ["exp", "exp"]}, "kinds: each may be given once only"),
        ({"columns": ["exp@here"]}, "start: 'here' is not one of same, published"),
        ({"learning_rates": [0.0]}, "learning_rates: each must be positive"),
        ({"width": 0}, "width: at least 1 is needed"),
    ],
)
def test_bad_input_is_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        training_table(**given)


def test_a_data_set_in_the_place_of_another_brings_its_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: Any) -> Any:
        raise NotFetchedError("no network")

    monkeypatch.setattr(datasets, "images", absent)
    with pytest.warns(UserWarning, match="digits is used instead"):
        (table,), dataset = prepared_tables(data="mnist", level="full", width=5)
    assert (dataset.name, table.data, table.width) == ("digits", "digits", 5)
    assert table.batch == training_table(data="digits", level="full").batch
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tables, dataset = prepared_tables(["sgd", "adamw"], data="digits", examples=100)
    assert [table.optimizer for table in tables] == ["sgd", "adamw"]
    assert len(dataset.train_inputs) == 100


def test_folders_of_one_and_of_several_tables() -> None:
    tables = [training_table(optimizer=name) for name in ("adamw", "sgd")]
    assert table_folders(None, tables) == [None, None]
    assert table_folders("a/b", tables[:1]) == [Path("a/b")]
    assert table_folders("a/b", tables) == [Path("a/b/adamw"), Path("a/b/sgd")]


def test_settings_are_fields_of_a_table() -> None:
    names = set(TrainingTable.__dataclass_fields__)
    for data, levels in training_presets._SETTINGS.items():
        assert set(levels) == set(LEVELS)
        for level, settings in levels.items():
            assert set(settings) <= names
            assert training_table(data=data, level=level)
