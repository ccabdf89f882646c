"""The perturbed error against β: its data beside those of other routes, and a finding that other data refute."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest

import figures.perturbation_error as module
from figures.figure import from_json, to_json
from figures.perturbation_error import FIGURE, Band, Estimate, PerturbationError, caption, compute, finding
from numerics.curse import curse_table
from numerics.targets import parse_target
from proofs_check.claim import Verdict


@pytest.fixture(scope="module")
def data() -> Iterator[PerturbationError]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SIZES", (8, 16))
        yield compute("quick", seed=1)


def change(data: PerturbationError, which: dict[str, object], **values: object) -> PerturbationError:
    """The data with fields of the bands, or estimates, that fit `which` changed by functions of the old ones."""

    def changed(one: Band | Estimate) -> Band | Estimate:
        fits = all(getattr(one, name, None) == value for name, value in which.items())
        if not fits or not all(hasattr(one, name) for name in values):
            return one
        return replace(one, **{name: value(getattr(one, name)) for name, value in values.items()})  # type: ignore

    bands, estimates = (tuple(map(changed, some)) for some in (data.bands, data.estimates))
    return replace(data, bands=bands, estimates=estimates)


def test_the_brackets_are_those_of_the_curse_table(data: PerturbationError) -> None:
    betas = module.RADII["quick"]
    table = curse_table(parse_target(module.TARGET), [8], ["exp"], betas, modes=("plain", "unit-norm"))
    for groups, modes in (("w", "plain"), ("all", "plain"), ("all", "unit-norm")):
        (band,) = (band for band in data.some("exp", groups, modes) if band.m == 8)
        rows = [row for row in table.rows if row.modes == modes and (len(row.groups) == 1) == (groups == "w")]
        for row, low, high in zip(rows, band.lower, band.upper, strict=True):
            assert low <= row.upper  # both hold the same number
            assert row.lower <= high
            assert high < 1.2 * low


def test_the_curse_costs_what_the_theorem_says(data: PerturbationError) -> None:
    """E_m(β) + E_m(0) ≥ (β²/2)(2 + 1/min|λ|) for all weights, whatever f is."""
    for f in ("softplus", "exp", "best:b=0.1"):
        for band in data.some(f, "all"):
            for beta, high in zip(band.betas, band.upper, strict=True):
                assert 1.2 * high >= beta**2 / 2 * (
                    2 + 1 / band.margin
                )  # E_m(0) is at most a fifth of it where it counts


def test_direct_is_infinite_from_its_margin_on(data: PerturbationError) -> None:
    for groups in ("w", "all"):
        for band in data.some("direct", groups):
            assert band.betas[-1] > band.margin > band.betas[-2]
            assert band.upper[-2] < math.inf == band.lower[-1]


def test_all_f_have_one_kernel(data: PerturbationError) -> None:
    for m in (8, 16):
        assert len({band.margin for band in data.bands if band.m == m and band.reparam == "exp"}) == 1
        margins = [band.margin for band in data.bands if band.m == m]
        assert max(margins) == pytest.approx(min(margins), rel=1e-9)


def test_the_two_steps_agree_until_an_eigenvalue_passes(data: PerturbationError) -> None:
    for estimate in data.estimates:
        if estimate.reparam != "direct":
            assert estimate.ratio_before < 1.5
            assert estimate.radius <= estimate.blow_up < math.inf
        first = next((beta for beta, n in zip(estimate.betas, estimate.passing, strict=True) if n), math.inf)
        assert first >= estimate.radius


def test_the_data_survive_json(data: PerturbationError) -> None:
    assert from_json(PerturbationError, to_json(data)) == data


def test_the_finding(data: PerturbationError) -> None:
    found = finding(data)
    assert found.verdict is Verdict.SUPPORTED
    assert "the discretization's" in found.reason
    assert "m = 8, 16" in caption(data)


@pytest.mark.parametrize(
    ("which", "values", "failed"),
    [
        (
            {"reparam": "direct"},
            {"upper": lambda x: (*x[:-1], 1e9), "lower": lambda x: (*x[:-1], 1.0)},
            "direct infinite",
        ),
        ({"reparam": "exp", "groups": "w", "m": 16}, {"upper": lambda x: (*x[:-1], math.inf)}, "w alone"),
        ({"reparam": "best:b=0.1", "groups": "all", "m": 16}, {"lower": lambda x: (1.0,) * len(x)}, "all weights"),
        ({"modes": "unit-norm", "m": 16}, {"upper": lambda x: tuple(10 * y for y in x)}, "unit-norm modes"),
        ({"reparam": "softplus", "m": 8}, {"euler": lambda x: (1e9,) * len(x)}, "no blow-up before"),
        ({"reparam": "softplus"}, {"euler": lambda x: (1e-9,) * len(x)}, "a blow-up of every f"),
        ({"reparam": "best:b=0.1"}, {"euler": lambda x: (1e-9,) * len(x)}, "a blow-up of every f"),
        ({"reparam": "direct", "m": 16}, {"margin": lambda x: 1e3 * x}, "min|λ| falling"),
        ({"reparam": "exp", "m": 8}, {"exact": lambda x: tuple(9 * y for y in x)}, "equal estimates"),
    ],
)
def test_other_data_take_the_finding_away(data: PerturbationError, which: dict, values: dict, failed: str) -> None:  # type: ignore
    found = finding(change(data, which, **values))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert failed in found.reason


def test_the_name() -> None:
    assert FIGURE.name == "perturbation-error"
