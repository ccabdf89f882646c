"""Paired comparisons: every exact number against an enumeration of all signs, and against SciPy."""

from __future__ import annotations

import math
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from numerics.paired import TESTS, compare_paired, holm, signed_counts

Array = NDArray[np.float64]


def enumerated_p(d: Array, test: str) -> float:
    """Two-sided, by all signs of the d_i ≠ 0; ranks from SciPy."""
    moved = d[d != 0]
    weights = stats.rankdata(np.abs(moved)) if test == "wilcoxon" else np.ones(len(moved))
    seen = weights[moved > 0].sum()
    sums = np.array([sum(w for w, up in zip(weights, signs, strict=True) if up)
                     for signs in product((0, 1), repeat=len(moved))])  # fmt: skip
    return float(min(1.0, 2 * min((sums <= seen).mean(), (sums >= seen).mean())))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=8), st.sampled_from(list(TESTS)))
def test_p_value_with_ties_and_zeros(d: list[int], test: str) -> None:
    found = compare_paired(np.array(d, dtype=float), np.zeros(len(d)), test=test)
    assert found.p_value == pytest.approx(enumerated_p(np.array(d, dtype=float), test), rel=1e-12)
    assert found.ties == d.count(0)


@pytest.mark.parametrize("n", [3, 5, 6, 7, 10, 15])
def test_against_scipy(n: int) -> None:
    rng = np.random.default_rng(n)
    x, y = rng.normal(0.4, 1, n), rng.normal(size=n)
    wilcoxon, sign = compare_paired(x, y), compare_paired(x, y, test="sign")
    reference = stats.wilcoxon(x, y, method="exact")
    assert wilcoxon.p_value == pytest.approx(reference.pvalue, rel=1e-12)
    assert sign.p_value == pytest.approx(stats.binomtest(int((x > y).sum()), n).pvalue, rel=1e-12)
    total = n * (n + 1) / 2
    assert abs(wilcoxon.rank_biserial) == pytest.approx(1 - 2 * reference.statistic / total, abs=1e-12)
    assert sign.rank_biserial == pytest.approx(2 * (x > y).mean() - 1, abs=1e-12)


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize("n", [6, 9, 12])
def test_the_interval_is_what_the_test_does_not_reject(test: str, n: int) -> None:
    """A shift θ just inside has p > 5 %, one just outside p ≤ 5 %."""
    d = np.random.default_rng([n, len(test)]).normal(0.3, 1, n)
    low, high = compare_paired(d, np.zeros(n), test=test).interval
    for end, outward in ((low, -1), (high, 1)):
        inside, outside = (compare_paired(d, np.full(n, end + s * outward * 1e-9), test=test) for s in (-1, 1))
        assert inside.p_value > 0.05 >= outside.p_value


@pytest.mark.parametrize("test", TESTS)
def test_coverage_is_the_probability_to_contain_the_centre(test: str) -> None:
    """By all signs of distinct sizes: for a symmetric law they are equally probable given the sizes."""
    sizes = np.array([0.3, 1.0, 1.7, 2.9, 4.1, 5.0, 7.7])
    found = [compare_paired(sizes * signs, np.zeros(7), test=test) for signs in product((-1, 1), repeat=7)]
    assert np.mean([c.interval[0] <= 0 <= c.interval[1] for c in found]) == pytest.approx(found[0].coverage, abs=1e-12)
    assert found[0].coverage >= 0.95


def test_effects() -> None:
    d = np.array([1.0, 2.0, 10.0])
    walsh = [(a + b) / 2 for i, a in enumerate(d) for b in d[i:]]
    assert compare_paired(d, np.zeros(3)).effect == np.median(walsh)
    assert compare_paired(d, np.zeros(3), test="sign").effect == 2
    ratio = compare_paired([2.0, 8.0, 32.0], [1.0, 1.0, 1.0], ratio=True, test="sign")
    assert ratio.effect == pytest.approx(8)
    assert ratio.interval == pytest.approx((2, 32))


def test_three_seeds_never_decide_and_six_can() -> None:
    three = compare_paired([1.0, 2, 3], [10.0, 20, 30])
    assert (three.p_value, three.least_p, three.sign()) == (0.25, 0.25, 0)
    assert three.coverage == 0.75
    six = compare_paired(np.arange(6.0), np.arange(6.0) + np.arange(1, 7))
    assert (six.p_value, six.sign()) == (1 / 32, -1)
    assert six.coverage == 31 / 32


def test_diverged_runs_are_the_worst_and_tie_with_each_other() -> None:
    nan = math.nan
    found = compare_paired([1, 1, 1, 1, 1, 1, nan], [nan, nan, 2, 2, 2, 2, nan], ratio=True)
    assert (found.pairs, found.ties, found.sign()) == (7, 1, -1)
    assert found.p_value == 1 / 32
    assert found.interval[0] == 0  # e^{-∞}
    huge = compare_paired([1e300] * 6, [1e-300] * 6, ratio=True)
    assert (huge.effect, huge.sign()) == (math.inf, 1)
    mixed = compare_paired([nan, 1.0], [1.0, nan])
    assert str(mixed).startswith("difference undetermined [-inf, inf]")
    assert (mixed.p_value, mixed.rank_biserial, mixed.interval) == (1.0, 0.0, (-math.inf, math.inf))
    assert compare_paired([nan] * 6, [nan] * 6).p_value == 1
    assert compare_paired([nan] * 6, [nan] * 6).effect == 0


def test_within_a_factor() -> None:
    y = np.linspace(1, 2, 6)
    assert compare_paired(1.05 * y, y, ratio=True).within(1.1)
    assert not compare_paired(1.2 * y, y, ratio=True).within(1.1)
    assert not compare_paired(y / 1.2, y, ratio=True).within(1.1)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_test_of_bonferroni(p: list[float]) -> None:
    k = len(p)
    subsets = [s for size in range(1, k + 1) for s in combinations(range(k), size)]
    expected = [max(min(1.0, len(s) * min(p[j] for j in s)) for s in subsets if i in s) for i in range(k)]
    assert holm(p) == pytest.approx(expected, rel=1e-12, abs=0)


def test_signed_counts() -> None:
    sums = [sum(s) for s in product((0, 1), (0, 1), (0, 3))]
    assert signed_counts(np.array([1, 1, 3])) == [sums.count(total) for total in range(6)]


def test_the_text_names_what_it_says() -> None:
    text = str(compare_paired([1.0, 2, 3], [2.0, 4, 9], ratio=True))
    for part in ("ratio", "75.0 % interval", "p = 0.25", "rank-biserial -1.00", "n = 3"):
        assert part in text


@pytest.mark.parametrize(
    ("x", "y", "settings_", "text"),
    [
        ([], [], {}, "x: one score for each seed"),
        ([1.0], [1.0, 2.0], {}, "x, y: pairs are needed"),
        ([[1.0]], [[1.0]], {}, "x: one score for each seed"),
        ([1.0], [0.0], {"ratio": True}, "y: a positive score"),
        ([-math.inf], [0.0], {}, "x: a finite score"),
        ([1.0], ["a"], {}, "y: an array of real numbers"),
        ([1.0], [0.0], {"test": "t"}, "test: 't' is not one of"),
        ([1.0], [0.0], {"level": 0.0}, "level: must be between 0 and 1"),
    ],
)
def test_bad_arguments(x: list[float], y: list[float], settings_: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match="^" + text.replace("(", r"\(")):
        compare_paired(x, y, **settings_)  # type: ignore[arg-type]


def test_arguments_are_not_changed() -> None:
    x, y = np.array([1.0, math.nan]), np.array([2.0, 3.0])
    compare_paired(x, y)
    assert np.isnan(x[1])
