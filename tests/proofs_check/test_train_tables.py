"""The cells of a table of training runs, and the text that shows them."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from numerics.chance import constant_loss
from numerics.datasets import load_dataset
from numerics.markov import text_bits
from numerics.training_table import RunRecord
from proofs_check.train_answer import cells_json, statistics_json, training_answer
from proofs_check.train_tables import train_lines
from tests.training_rows import made_up_records, small_table

TABLE = small_table(data="digits")
RECORDS = made_up_records(TABLE)


def rows(records: list[RunRecord]) -> list[dict[str, Any]]:
    return [{"optimizer": "adamw", **record.as_json()} for record in records]


def test_cells_are_statistics_over_the_seeds() -> None:
    """A second route: NumPy over arrays columns × rates × seeds."""
    found = cells_json(rows(RECORDS))
    shape = (len(TABLE.kinds), len(TABLE.learning_rates), len(TABLE.seeds))
    cells = iter(found["cells"])
    losses = np.array([record.test_loss for record in RECORDS]).reshape(shape)
    ratios = np.array([record.gradient_over_weight for record in RECORDS]).reshape(shape)
    for column in range(shape[0]):
        for rate in range(shape[1]):
            cell = next(cells)
            some = losses[column, rate][np.isfinite(losses[column, rate])]
            assert cell["learning_rate"] == TABLE.learning_rates[rate]
            assert (cell["runs"], cell["nan"]) == (3, 3 - len(some))
            if len(some):
                assert cell["test_loss"]["mean"] == pytest.approx(some.mean(), rel=1e-14)
                assert cell["test_loss"]["standard_deviation"] == pytest.approx(some.std(ddof=1), rel=1e-12)
            else:
                assert cell["test_loss"] is None
            wanted = [np.median(ratios[column, rate]), ratios[column, rate].min(), ratios[column, rate].max()]
            assert [cell["gradient_over_weight"][name] for name in ("median", "least", "largest")] == wanted
    assert next(cells, None) is None


def test_statistics_of_few_and_of_huge_numbers() -> None:
    assert statistics_json([]) is None
    one = statistics_json([2.0])
    assert one is not None
    assert (one["mean"], one["standard_deviation"]) == (2.0, None)
    huge = statistics_json([1e308, 1.6e308])
    assert huge is not None
    assert huge["mean"] == pytest.approx(1.3e308)
    json.dumps(huge, allow_nan=False)


def test_the_answer_is_json_and_holds_its_numbers() -> None:
    dataset = load_dataset("digits")
    answer = training_answer([TABLE], dataset, [RECORDS])
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    assert answer["dataset"]["chance"] == constant_loss(dataset)
    assert answer["dataset"]["markov"] is None
    assert len(answer["rows"]) == len(RECORDS)


def test_a_text_has_the_markov_model_beside_it_and_is_in_bits() -> None:
    dataset = load_dataset("text", examples=200, length=64)
    table = small_table(data="text", columns=("exp",), rates=(5e-3,))
    records = made_up_records(table)
    answer = training_answer([table], dataset, [records])
    assert answer["dataset"]["markov"] == {"order": 2, "bits": text_bits(dataset, 2)}
    lines = list(train_lines(answer, None))
    mean = np.mean([record.test_loss for record in records]) / math.log(2)
    assert (
        f"{mean:#.3g}"
        in lines[lines.index("test loss (bits a character of the test text): mean (standard deviation)") + 2]
    )


def lines_of(records: list[RunRecord], **changes: Any) -> list[str]:
    answer = training_answer([TABLE], load_dataset("digits"), [records])
    return list(train_lines({**answer, "answers": [], **changes}, None))


def test_the_best_of_a_row_is_marked_and_a_diverged_seed_costs_more_than_a_larger_loss() -> None:
    lines = lines_of(RECORDS)
    marks = [line for line in lines[: lines.index("test accuracy in %: mean (standard deviation)")] if "*" in line]
    assert len(marks) == 4
    assert all(line.count("*") == 1 for line in marks)
    last = next(line for line in marks if line.lstrip().startswith("5e-1"))
    assert last.rstrip().endswith("*")  # best is the only one that finished
    table = small_table(columns=("direct", "exp"), rates=(5e-3,))
    records = made_up_records(table)
    lost = [*records[:2], RunRecord(records[2].run, "diverged", 3, *[math.nan] * 6), *records[3:]]
    row = next(line for line in lines_of(lost) if line.lstrip().startswith("5e-3"))
    assert "(NaN 1/3)" in row
    assert row.rstrip().endswith("*")
    assert "NaN 1/3: one of three runs diverged" in "\n".join(lines_of(lost))


def test_one_seed_has_no_spread() -> None:
    table = small_table(columns=("exp",), rates=(5e-3,), seeds=(4,))
    lines = lines_of(made_up_records(table))
    assert "3 epochs" in " ".join(lines)
    row = next(line for line in lines if line.lstrip().startswith("5e-3"))
    assert "(" not in row


def test_columns_that_do_not_fit_stand_below() -> None:
    columns = ("direct", "direct@published", "softplus", "exp", "best:b=0.1", "relu", "sigmoid")
    records = made_up_records(small_table(columns=columns))
    lines = lines_of(records)
    assert max(map(len, lines)) <= 80
    heads = [word for line in lines if line.split()[:1] == ["rate"] for word in line.split()[1:]]
    assert heads.count("relu") == heads.count("direct@published") == 4
