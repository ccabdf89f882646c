"""The small trainings of the claims: the setting that they state, and what is made of pairs."""

from __future__ import annotations

import math

import pytest

from numerics.zeros_and_ones import zeros_and_ones
from proofs_check.claim import Context, Verdict
from proofs_check.claims.training_direct import CLAIMS as DIRECT_CLAIMS
from proofs_check.claims.training_ratio import CLAIMS as RATIO_CLAIMS
from proofs_check.small_trainings import BATCH, EPOCHS, LENGTH, SEEDS, STEPS, Cell, Scores, ordered, seeds


@pytest.mark.slow
def test_each_route_alone_contradicts_each_mutant() -> None:
    """The ledger calls them INCONCLUSIVE, since floating point refutes nothing; here it is seen that they disagree."""
    for claim in (*RATIO_CLAIMS, *DIRECT_CLAIMS):
        for variant in claim.mutants:
            for route in claim.routes:
                found = route.check(claim.with_changes(variant), Context())
                assert found.verdict is Verdict.REFUTED, (claim.id, variant.name, route.name)


def test_both_routes_take_as_many_steps() -> None:
    data = zeros_and_ones()
    assert EPOCHS * (len(data.train_inputs) // BATCH) == STEPS
    assert data.length == LENGTH


def test_cells() -> None:
    assert Cell.parse("exp at 0.3 by sgd") == Cell("exp", 0.3, "sgd")
    assert Cell.parse("best:b=0.1 at 3") == Cell("best:b=0.1", 3.0, "adamw")


def made_up(losses: dict[str, list[float]]):  # type: ignore[no-untyped-def]
    return lambda column, *_: Scores(tuple(losses[column]), tuple(losses[column]))


def test_seeds_follow_the_run() -> None:
    runs = {(seed, full): seeds(Context(full=full, seed=seed)) for seed in (0, 7) for full in (False, True)}
    assert [len(found) for found in runs.values()] == [SEEDS, 2 * SEEDS] * 2
    assert not set(runs[0, True]) & set(runs[7, True])


SIX = [1.0, 1.1, 0.9, 1.2, 0.8, 1.05]


@pytest.mark.parametrize(
    ("second", "limits", "verdict"),
    [
        ([4 * x for x in SIX], {}, Verdict.SUPPORTED),
        ([4 * x for x in SIX], {"factor": 3.0}, Verdict.SUPPORTED),
        ([4 * x for x in SIX], {"factor": 5.0}, Verdict.REFUTED),
        ([4 * x for x in SIX], {"most": 5.0}, Verdict.SUPPORTED),
        ([4 * x for x in SIX], {"most": 3.0}, Verdict.REFUTED),
        ([x / 4 for x in SIX], {}, Verdict.REFUTED),
        ([math.nan] * 6, {}, Verdict.SUPPORTED),
        ([2, 2, 2, 2, 2, 0.1], {}, Verdict.INCONCLUSIVE),
    ],
)
def test_ordered(second: list[float], limits: dict[str, float], verdict: Verdict) -> None:
    trainer = made_up({"a": SIX, "b": second})
    assert ordered(trainer, ["a at 1 < b at 1"], "test_loss", Context(), **limits).verdict is verdict


@pytest.mark.parametrize(
    ("second", "verdict"),
    [([1.1 * x for x in SIX], Verdict.SUPPORTED), ([2 * x for x in SIX], Verdict.REFUTED),
     ([x / 2 for x in SIX], Verdict.REFUTED), ([2, 1, 1, 1, 1, 1], Verdict.INCONCLUSIVE)],
)  # fmt: skip
def test_alike(second: list[float], verdict: Verdict) -> None:
    trainer = made_up({"a": SIX, "b": second})
    found = ordered(trainer, ["a at 1 ~ b at 1"], "test_loss", Context(), within=1.5)
    assert found.verdict is verdict


def test_a_run_that_diverged_has_no_ratio() -> None:
    scores = Scores.of(iter([(0.5, 2.0), (math.nan, 3.0)]))
    assert scores.test_loss[0] == 0.5
    assert scores.gradient_over_weight[0] == 2.0
    assert math.isnan(scores.test_loss[1])
    assert math.isnan(scores.gradient_over_weight[1])
