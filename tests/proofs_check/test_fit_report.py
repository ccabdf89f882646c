"""The answers to a sweep of fits, on rows that are made up."""

from __future__ import annotations

import math
from typing import Any

import pytest

from proofs_check.claims import all_claims
from proofs_check.fit_report import fit_answers

TARGET = "polynomial:p=2:s=1.0"


def row(m: int, **changes: Any) -> dict[str, Any]:
    """A fit that attains the bound at t = 0; margins fall like e^{-3√m}."""
    margin = math.exp(-3 * math.sqrt(m))
    values = {
        "target": TARGET, "reparam": "direct", "modes": "plain", "m": m, "seed": 0, "error_l2": 0.1, "error_w1inf": 0.5,
        "margin": margin, "decay_rate": [margin * 0.999, margin * 1.001], "bound_ratio_min": 1.0, "ratio_time": 0.0,
        "bound_ratio_late": 10.0 * m, "finite_up_to": margin, "result": "converged",
    }  # fmt: skip
    return values | changes


def answered(rows: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    return {a["question"].split()[0]: (a["verdict"], a["answer"]) for a in fit_answers(rows)}


def test_margins_that_fall() -> None:
    verdict, text = answered([row(m) for m in (4, 8, 16)])["Do"]
    assert verdict == "SUPPORTED"
    assert "κ = 3, in [3, 3]" in text
    assert "= 3.63" in text


def test_the_best_of_several_seeds_counts() -> None:
    rows = [row(m) for m in (4, 8, 16)] + [row(m, seed=1, error_l2=0.2, margin=0.5) for m in (4, 8, 16)]
    assert "κ = 3," in answered(rows)["Do"][1]


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([row(4), row(8)], "needs three m"),
        ([row(4), row(8), row(16, margin=0.9)], "do not fall"),
        ([row(4, reparam="exp")], "no fit of λ = w"),
        ([row(4, target="exponential:rate=1.0")], "no fit of λ = w"),
        ([row(4, target="csv:file=/no/such/file")], "no fit of λ = w"),
        ([], "no fit of λ = w"),
    ],
)
def test_margins_that_say_nothing(rows: list[dict[str, Any]], text: str) -> None:
    verdict, answer = answered(rows)["Do"]
    assert verdict == "INCONCLUSIVE"
    assert text in answer


def test_each_sequence_has_its_answer() -> None:
    rows = [row(m, modes=modes) for m in (4, 8, 16) for modes in ("plain", "unit-norm")]
    found = [a for a in fit_answers(rows) if a["question"].startswith("Do ")]
    assert [a["question"].rsplit(",", 1)[1] for a in found] == [" plain modes", " unit-norm modes"]


def test_the_bound_holds() -> None:
    rows = [row(4), row(8, bound_ratio_min=1.2), row(16, bound_ratio_min=1 - 1e-15)]
    verdict, text = answered(rows)["Does"]
    assert verdict == "SUPPORTED"
    assert "all 3" in text


@pytest.mark.parametrize(
    ("change", "text"),
    [({"bound_ratio_min": 0.9}, "exceeds the bound"), ({"decay_rate": [1e-9, 2e-9]}, "more slowly than its margin")],
)
def test_a_violation_is_named_and_not_called_a_proof(change: dict[str, Any], text: str) -> None:
    verdict, answer = answered([row(4), row(8, **change)])["Does"]
    assert verdict == "INCONCLUSIVE"
    assert text in answer
    assert "m = 8" in answer


def test_where_the_bound_is_tight() -> None:
    rows = [row(4), row(8, bound_ratio_min=1.5, ratio_time="inf", bound_ratio_late=1.5), row(16, bound_ratio_late=None)]
    text = answered(rows)["Where"][1]
    assert "2 of 3 fits attain it, 2 of them at t = 0" in text
    assert "1.5 at t → ∞" in text
    assert "1.5 to 40" in text


def test_finite_radii() -> None:
    rows = [row(4, finite_up_to=0.25), row(8, finite_up_to=0.5), row(4, reparam="exp", finite_up_to="inf")]
    assert answered(rows)["Up"] == ("SUPPORTED", "direct: 0.25 to 0.5; exp: every β")


def test_fits_that_came_to_nothing_are_left_out() -> None:
    nothing = {
        "margin": None,
        "decay_rate": None,
        "bound_ratio_min": None,
        "ratio_time": None,
        "bound_ratio_late": None,
    }
    rows = [row(4, **nothing, finite_up_to=None, error_l2="inf", result="diverged")]
    assert {verdict for verdict, _ in answered(rows).values()} == {"INCONCLUSIVE"}


def test_the_claims_that_answers_name_exist() -> None:
    text = " ".join(a["answer"] for a in fit_answers([row(m) for m in (4, 8, 16)]))
    named = {word.strip("(),") for word in text.split() if word.startswith(("fitted-", "thm-"))}
    assert named
    assert named <= set(all_claims())
