"""The answers to a table of training runs, on rows that are made up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from proofs_check.train_report import train_answers

RATES = (1e-2, 1e-1, 1.0)
CHANCE = 2.0
Rows = list[dict[str, Any]]


def row(column: str, rate: float, seed: int, loss: float, ratio: float = 1.0) -> dict[str, Any]:
    """A run; a loss that is not finite is one that diverged."""
    good = math.isfinite(loss)
    return {
        "column": column, "learning_rate": rate, "seed": seed, "result": "finished" if good else "diverged",
        "test_loss": loss if good else None, "gradient_over_weight": ratio,
    }  # fmt: skip


def table(
    losses: Mapping[str, tuple[float, ...]],
    seeds: int = 6,
    ratios: Mapping[str, float] | None = None,
    jitter: float = 0.01,
) -> Rows:
    """Losses by column, one for each rate; seeds differ by up to a few jitters, in another way for each column."""
    return [
        row(column, rate, seed, loss * (1 + jitter * ((7 * seed + 3 * place) % 5)), (ratios or {}).get(column, 1.0))
        for place, (column, values) in enumerate(losses.items())
        for rate, loss in zip(RATES, values, strict=True)
        for seed in range(seeds)
    ]


def answered(rows: Rows, chance: float | None = CHANCE) -> dict[str, tuple[str, str]]:
    """By one word of the question."""
    words = ("gradient", "range", "largest rates", "because of f", "+1/2", "optimizer", "unit-norm", "sensitive")
    answers = train_answers(rows, chance)
    assert len(answers) == len(words)
    return {word: (a["verdict"], a["answer"]) for word in words for a in answers if word in a["question"]}


WIDE = {"exp": (0.5, 0.5, 1.9), "best:b=0.1": (0.4, 0.4, 0.9), "direct": (0.5, math.nan, math.nan)}
RATIO = {"exp": 4.0, "best:b=0.1": 0.5, "direct": 100.0}


def test_best_wins_everything() -> None:
    found = answered(table(WIDE, ratios=RATIO))
    for word in ("gradient", "range", "largest rates"):
        assert found[word][0] == "SUPPORTED", found[word]
        assert "p = 0.0312" in found[word][1]
    assert "against exp ratio 0.125 [0.125, 0.125]" in found["gradient"][1]
    assert "exp 2, best:b=0.1 3, direct 1" in found["range"][1]
    assert "at 1, the largest rate" in found["largest rates"][1]


def test_best_loses_everything() -> None:
    swapped = {"best:b=0.1": WIDE["exp"], "exp": WIDE["best:b=0.1"]}
    found = answered(table(swapped, ratios={"best:b=0.1": 4.0, "exp": 0.5}))
    for word in ("gradient", "range", "largest rates"):
        assert found[word][0] == "REFUTED", found[word]
        assert "no, because of exp" in found[word][1]


def test_equal_ranges_are_not_the_widest() -> None:
    verdict, text = answered(table({"exp": (0.5, 0.5, 3.0), "best": (0.6, 0.4, 3.0)}))["range"]
    assert (verdict, "no, because of exp" in text) == ("REFUTED", True)


def test_three_seeds_decide_nothing() -> None:
    found = answered(table(WIDE, seeds=3, ratios=RATIO))
    for word in ("gradient", "range", "largest rates"):
        assert found[word][0] == "INCONCLUSIVE"
        assert "too few seeds, no p-value can be below 0.25 (six are the least)" in found[word][1]


def test_no_difference_is_not_decided() -> None:
    rows = table({"exp": (0.5, 0.5, 0.5), "best": (0.5, 0.5, 0.5)})
    assert answered(rows)["largest rates"][0] == "INCONCLUSIVE"


def test_a_diverged_run_has_the_largest_ratio() -> None:
    rows = table({"best": (0.5, 0.5, 0.5), "exp": (math.nan,) * 3}, ratios={"best": 5.0, "exp": 1.0})
    assert answered(rows)["gradient"][0] == "SUPPORTED"


@pytest.mark.parametrize(
    ("columns", "word", "text"),
    [
        (("exp", "direct"), "gradient", "no column of best"),
        (("best",), "range", "no other column"),
        (("best", "best:b=0.1"), "largest rates", "no other column"),
        (("exp", "direct"), "+1/2", "no column direct@published"),
        (("direct", "direct@published"), "because of f", "no column of a stable f"),
        (("exp", "best"), "unit-norm", "no column exp/unit-norm"),
        (("exp/unit-norm",), "unit-norm", "no column of best"),
        (("exp", "best"), "optimizer", "one optimizer only"),
        (("best", "best:b=0.1"), "sensitive", "at least three columns of best"),
    ],
)
def test_what_is_missing_is_named(columns: tuple[str, ...], word: str, text: str) -> None:
    verdict, answer = answered(table(dict.fromkeys(columns, (0.5, 0.5, 0.5))))[word]
    assert verdict == "INCONCLUSIVE"
    assert text in answer


def test_without_the_loss_of_guessing() -> None:
    found = answered(table(WIDE | {"direct@published": (1.9,) * 3}), chance=None)
    for word in ("range", "largest rates", "because of f", "+1/2"):
        assert found[word] == ("INCONCLUSIVE", "the loss of the best constant prediction is not given")


def test_nothing_trains() -> None:
    found = answered(table({"exp": (1.9,) * 3, "best": (1.8,) * 3}))
    assert "no column trains" in found["range"][1]
    assert "no column trains" in found["largest rates"][1]


def test_no_rows() -> None:
    assert {verdict for verdict, _ in answered([]).values()} == {"INCONCLUSIVE"}


def test_what_the_start_costs_and_what_f_costs() -> None:
    losses = {"exp": (0.5, 0.5, 0.5), "direct": (0.5, 0.5, math.nan), "direct@published": (1.9, 1.9, math.nan)}
    found = answered(table(losses))
    assert found["because of f"][0] == found["+1/2"][0] == "SUPPORTED"
    assert (
        "exp trains (test loss below 1, half of that of guessing) at 3 rates, direct at 2, of 3"
        in found["because of f"][1]
    )
    assert "difference -1 [-1, -1]" in found["because of f"][1]
    assert " at 2 rates, direct@published at 0" in found["+1/2"][1]
    assert "of 18 runs: 6 and 6" in found["+1/2"][1]
    found = answered(table(losses | {"direct": losses["exp"]}))
    assert found["because of f"][0] == "INCONCLUSIVE"  # all rates of the table: what is beyond is not seen
    found = answered(table(losses | {"exp": losses["direct"]}))
    assert found["because of f"][0] == "REFUTED"
    found = answered(table(losses | {"direct": losses["direct@published"]}))
    assert found["+1/2"] == ("INCONCLUSIVE", "neither direct nor direct@published trains at any rate")
    assert "too few seeds" in answered(table(losses, seeds=3))["+1/2"][1]


def with_optimizers(first: Mapping[str, float], second: Mapping[str, float], seeds: int = 7) -> Rows:
    rows = []
    for name, losses in (("adamw", first), ("sgd", second)):
        rows += [r | {"optimizer": name} for r in table({c: (v,) * 3 for c, v in losses.items()}, seeds)]
    return rows


def test_optimizers() -> None:
    found = answered(with_optimizers({"exp": 0.2, "best": 0.5}, {"exp": 0.7, "best": 0.4}))["optimizer"]
    assert found[0] == "SUPPORTED"
    assert "yes, for exp and best" in found[1]
    assert "adamw: exp < best; sgd: best < exp" in found[1]
    assert answered(with_optimizers({"exp": 0.2, "best": 0.5}, {"exp": 0.3, "best": 0.4}))["optimizer"][0] == "REFUTED"
    same = answered(with_optimizers({"exp": 0.2, "best": 0.5}, {"exp": 0.5, "best": 0.5}))["optimizer"]
    assert (same[0], "1 of 1 are not decided" in same[1]) == ("INCONCLUSIVE", True)


@pytest.mark.parametrize(
    ("ours", "best", "verdict"), [(0.2, 0.5, "SUPPORTED"), (0.5, 0.2, "REFUTED"), (0.5, 0.5, "INCONCLUSIVE")]
)
def test_unit_norm_at_the_best_rate_of_each(ours: float, best: float, verdict: str) -> None:
    rows = table({"best": (9.0, best, math.nan), "exp/unit-norm": (ours, 9.0, 9.0)})
    found = answered(rows)["unit-norm"]
    assert found[0] == verdict
    assert "exp/unit-norm at 0.01, best at 0.1" in found[1]


def test_the_basin_of_a_grid() -> None:
    losses = {"best:a=1:b=0.1": 0.2, "best:a=1:b=0.5": 0.2, "best:a=9:b=0.1": 0.9}
    rows = table({c: (v, 9.0, 9.0) for c, v in losses.items()})
    verdict, text = answered(rows)["sensitive"]
    assert verdict == "INCONCLUSIVE"  # 1/32 for each of two is not 5 % together
    rows = table({c: (v, 9.0, 9.0) for c, v in losses.items()}, seeds=7)
    verdict, text = answered(rows)["sensitive"]
    assert verdict == "SUPPORTED"
    assert "not shown to be worse: best:a=1:b=0." in text
    assert "; worse: against best:a=9:b=0.1" in text


def test_a_grid_whose_columns_diverge_in_turns_has_no_ratio() -> None:
    columns = [f"best:a=1:b={b}" for b in ("0.1", "0.5", "1")]
    rows = table(dict.fromkeys(columns, (0.2, 0.2, 0.2)))
    for line in rows:
        if (line["seed"] % 2 == 0) == (line["column"] == columns[0]):
            line.update(result="diverged", test_loss=None)
    text = answered(rows)["sensitive"][1]
    assert "not shown to be worse" in text
    assert "ratio" not in text


def test_a_seed_without_all_its_runs_does_not_count() -> None:
    """It is not one that diverged."""
    rows = table(WIDE, seeds=7, ratios=RATIO)
    lacking = [r for r in rows if (r["seed"], r["column"]) != (6, "best:b=0.1")]
    assert answered(lacking) == answered(table(WIDE, seeds=6, ratios=RATIO))
    alone = [r for r in rows if (r["column"] == "exp") == (r["seed"] < 3)]
    assert set(answered(alone).values()) == {("INCONCLUSIVE", "no seed has all its runs")}


def test_best_from_the_published_start_is_best() -> None:
    rows = table({"best@published": (0.4, 0.4, 0.9), **WIDE})
    assert "against best" not in answered(rows)["range"][1]


def test_rates_at_which_both_diverge_say_nothing() -> None:
    """Best is smaller at the one rate at which it finishes."""
    rows = table({"exp": (0.5, math.nan, math.nan), "best": (0.5, math.nan, math.nan)}, ratios={"exp": 2.0})
    verdict, text = answered(rows)["gradient"]
    assert (verdict, "best: yes: against exp ratio 0.5 [0.5, 0.5]" in text) == ("SUPPORTED", True)


def test_runs_that_all_diverge_say_nothing() -> None:
    dead = (math.nan,) * 3
    found = answered(table(dict.fromkeys(("best", "exp", "exp/unit-norm", "direct", "direct@published"), dead)))
    assert {verdict for verdict, _ in found.values()} == {"INCONCLUSIVE"}


def test_a_ratio_of_nothing_and_of_infinity() -> None:
    """No gradient at all, and one that overflowed (null in JSON)."""
    rows = table({"best": (0.5,) * 3, "exp": (0.5,) * 3}, ratios={"best": 0.0, "exp": 1e300})
    assert answered(rows)["gradient"][0] == "SUPPORTED"
    rows = [r | {"gradient_over_weight": None} if r["column"] == "exp" else r for r in rows]
    assert answered(rows)["gradient"][0] == "SUPPORTED"


def test_losses_of_nothing() -> None:
    losses = {"best": (0.0,) * 3, "exp": (0.5,) * 3, "exp/unit-norm": (0.0,) * 3}
    found = answered(table(losses))
    assert (found["largest rates"][0], found["unit-norm"][0]) == ("INCONCLUSIVE", "INCONCLUSIVE")
    assert "against exp ratio" in found["largest rates"][1]


def test_equal_ranges_that_fill_the_table_say_nothing() -> None:
    verdict, text = answered(table({"exp": (0.5, 0.5, 0.5), "best": (0.6, 0.4, 0.5), "relu": (1.9,) * 3}))["range"]
    assert verdict == "INCONCLUSIVE"
    assert "beyond the ends of the table at which columns train: 0.01 (exp, best), 1 (exp, best)" in text


def test_the_distance_of_rates_that_are_not_decades_apart() -> None:
    places = dict(zip(RATES, (1e-2, 2e-2, 1.0), strict=True))
    rows = [r | {"learning_rate": places[r["learning_rate"]]} for r in table(WIDE)]
    assert (
        "numbers of rates in a row, 0.3 to 1.7 decades apart, at which a run trains (test loss below 1, "
        in answered(rows)["range"][1]
    )
    alone = [r for r in table(WIDE) if r["learning_rate"] == 1.0]
    assert "numbers of rates in a row, at which a run trains (test loss below 1, " in answered(alone)["range"][1]


def test_the_largest_rate_is_one_at_which_some_column_trains() -> None:
    """Here exp in half of the seeds and best in the other half: neither column in most."""
    losses = {"exp": (0.5, 0.5, 0.5), "best": (0.5, 0.5, 0.5)}
    rows = [
        r | {"test_loss": 1.9} if r["learning_rate"] == 1.0 and (r["seed"] < 3) == (r["column"] == "exp") else r
        for r in table(losses)
    ]
    verdict, text = answered(rows)["largest rates"]
    assert verdict == "INCONCLUSIVE"
    assert text.startswith(
        "test losses at 1, the largest rate at which in most seeds a column trains, best: against exp"
    )


@pytest.mark.parametrize(("seeds", "verdict"), [(8, "INCONCLUSIVE"), (11, "SUPPORTED")])
def test_the_optimum_of_a_grid_is_one_of_all_pairs(seeds: int, verdict: str) -> None:
    """Eight others have eight comparisons with the optimum, but which column it is was seen first: 36."""
    losses = {f"best:a={a}:b={b}": (0.2 if a == b == 1 else 0.9, 9.0, 9.0) for a in (1, 2, 3) for b in (1, 2, 3)}
    assert answered(table(losses, seeds))["sensitive"][0] == verdict
