"""Two treatments compared over the same seeds: exact tests, effect sizes and intervals for small samples.

Pair i has the scores x_i and y_i, and the difference d_i = x_i - y_i, or log(x_i/y_i). A run that diverged has the
score NaN and counts as worse (larger) than any that finished: d_i = +∞, -∞, or 0 where both diverged.

    wilcoxon   W = Σ_{d_i>0} rank|d_i| against all 2^n signs of the d_i, n the number of d_i ≠ 0; ranks of ties are
               averaged. Effect: the median of the Walsh averages (d_i + d_j)/2, i ≤ j (Hodges-Lehmann).
    sign       the number of d_i > 0 against all signs. Effect: the median of the d_i.

Both are exact under the null hypothesis that x and y are exchangeable within a pair. The interval is the shortest pair
of order statistics, the k-th least and the k-th largest, that covers with the wanted probability or more: of the d_i
for their median (no hypothesis but independence), of the Walsh averages for the centre of a symmetric distribution.
No two-sided p-value is below 2^{1-n}: 3 seeds never decide at 5 % (p ≥ 1/4), 6 are the least that can (1/32).

Source: Wilcoxon, Biometrics Bulletin 1 (1945); Hodges and Lehmann, Ann. Math. Statist. 34 (1963); Kerby, Comprehensive
Psychology 3 (2014), the rank-biserial correlation; Holm, Scand. J. Statist. 6 (1979).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numerics.arguments import check_choice, real_array

Array = NDArray[np.float64]

TESTS = {"wilcoxon": "exact Wilcoxon signed-rank test", "sign": "exact sign test"}
LEVEL = 0.05


@dataclass(frozen=True)
class PairedComparison:
    """What the pairs say.

    pairs: n + ties; ties: pairs with d_i = 0; test: its name; p_value: two-sided; least_p: the smallest that n pairs
    allow; effect, interval: of the differences, or of the ratio x/y where logarithms were compared (then 1 is no
    effect); coverage: of the interval, below the wanted one where too few pairs allow no better (the interval is then
    from the least to the largest); rank_biserial: (W_+ - W_-)/(W_+ + W_-) in [-1, 1] (sign: of the counts), 0 without
    a d_i ≠ 0.
    """

    pairs: int
    ties: int
    test: str
    p_value: float
    least_p: float
    effect: float
    interval: tuple[float, float]
    coverage: float
    rank_biserial: float
    is_ratio: bool

    def sign(self, level: float = LEVEL) -> int:
        """-1 where x is smaller at this level, 1 where it is larger, 0 where the pairs do not decide."""
        return 0 if self.p_value > level else int(math.copysign(1, self.rank_biserial))

    def within(self, factor: float) -> bool:
        """The whole interval lies within that factor of a ratio of 1: equivalence, at half the interval's level."""
        return 1 / factor < self.interval[0] and self.interval[1] < factor

    def __str__(self) -> str:
        low, high = self.interval
        name = "ratio" if self.is_ratio else "difference"
        tied = f", {self.ties} ties" if self.ties else ""
        effect = "undetermined" if math.isnan(self.effect) else f"{self.effect:.3g}"
        return (
            f"{name} {effect} [{low:.3g}, {high:.3g}] ({100 * self.coverage:.1f} % interval), "
            f"p = {self.p_value:.3g}, rank-biserial {self.rank_biserial:+.2f}, n = {self.pairs}{tied}"
        )


def compare_paired(
    x: ArrayLike, y: ArrayLike, *, ratio: bool = False, test: str = "wilcoxon", level: float = LEVEL
) -> PairedComparison:
    """Are the scores x larger or smaller than y? See the module's text.

    x, y: (n,), one pair for each seed, NaN (or ∞) for a run that diverged; with `ratio` positive, compared by their
    logarithms. Raises ValueError for lengths that differ, no pairs, scores ≤ 0 with `ratio`, -∞, an unknown test, and a
    level outside (0, 1).
    """
    check_choice("test", test, TESTS)
    if not 0 < level < 1:
        raise ValueError(f"level: must be between 0 and 1, got {level!r}")
    d = _differences(x, y, ratio)
    moved = d[d != 0]
    if test == "wilcoxon":
        weights, (lows, highs) = _doubled_ranks(np.abs(moved)), _walsh_averages(d)
        counts = signed_counts(np.arange(1, len(d) + 1))
    else:
        weights, lows, highs = np.ones(len(moved), dtype=np.int64), d, d
        counts = signed_counts(np.ones(len(d), dtype=np.int64))
    above, below = int(weights[moved > 0].sum()), int(weights[moved < 0].sum())
    tails = signed_counts(weights)
    p_value = min(1.0, 2 * sum(tails[: min(above, below) + 1]) / 2 ** len(moved))
    k, coverage = _order_statistic(counts, level)
    found = _median(lows, highs), np.sort(lows)[k - 1], np.sort(highs)[-k]
    with np.errstate(over="ignore"):
        effect, low, high = (float(np.exp(value)) if ratio else float(value) for value in found)
    return PairedComparison(
        pairs=len(d),
        ties=len(d) - len(moved),
        test=TESTS[test],
        p_value=p_value,
        least_p=min(1.0, 2.0 ** (1 - len(moved))),
        effect=effect,
        interval=(low, high),
        coverage=coverage,
        rank_biserial=(above - below) / (above + below) if len(moved) else 0.0,
        is_ratio=ratio,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the given order: all of them below α together hold with probability 1 - α.

    p̃_(i) = max_{j≤i} min(1, (k - j + 1) p_(j)) for the j-th least of k. Source: Holm (1979).
    """
    k, adjusted, largest = len(p_values), [0.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(k), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (k - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def signed_counts(weights: NDArray[np.int64]) -> list[int]:
    """How many of the 2^n subsets of whole weights have the sum 0, 1, 2, ..., exactly."""
    counts = [1]
    for weight in weights.tolist():
        longer = counts + [0] * weight
        for total, number in enumerate(counts):
            longer[total + weight] += number
        counts = longer
    return counts


def _differences(x: ArrayLike, y: ArrayLike, ratio: bool) -> Array:
    scores = []
    for name, given in (("x", x), ("y", y)):
        score = real_array(name, given)
        if score.ndim != 1 or not len(score):
            raise ValueError(f"{name}: one score for each seed is needed, got shape {score.shape}")
        score = np.where(np.isnan(score), np.inf, score)
        least = float(score.min())
        if least == -math.inf or (ratio and least <= 0):
            raise ValueError(f"{name}: a {'positive' if ratio else 'finite'} score is needed, got {least!r}")
        scores.append(np.log(score) if ratio else score)
    if len(scores[0]) != len(scores[1]):
        raise ValueError(f"x, y: pairs are needed, got {len(scores[0])} and {len(scores[1])} scores")
    both = np.isinf(scores[0]) & np.isinf(scores[1])
    first, second = (np.where(both, 0.0, score) for score in scores)
    return first - second


def _doubled_ranks(sizes: Array) -> NDArray[np.int64]:
    """2·rank, a whole number where the ranks of ties are averaged."""
    below, upto = np.searchsorted(np.sort(sizes), sizes, "left"), np.searchsorted(np.sort(sizes), sizes, "right")
    return (below + upto + 1).astype(np.int64)


def _walsh_averages(d: Array) -> Array:
    """(d_i + d_j)/2 for i ≤ j as their least and largest possible values: the average of ∞ and -∞ can be any."""
    i, j = np.triu_indices(len(d))
    left, right = d[i], d[j]
    open_ended = np.isinf(left) & np.isinf(right) & (left != right)
    average = np.where(open_ended, 0.0, left / 2 + np.where(open_ended, 0.0, right / 2))
    return np.stack([np.where(open_ended, end, average) for end in (-np.inf, np.inf)])


def _median(lows: Array, highs: Array) -> float:
    """Of the centres; NaN where an average of ∞ and -∞ decides it."""
    with np.errstate(invalid="ignore"):
        low, high = float(np.median(lows)), float(np.median(highs))
    return low if low == high else math.nan


def _order_statistic(counts: Sequence[int], level: float) -> tuple[int, float]:
    """The largest k ≥ 1 with 2P(S < k) ≤ level, or 1, and the coverage 1 - 2P(S < k).

    S, the number of centres below the true one, takes the value s in counts[s] of all equally probable cases; the k-th
    least centre exceeds the true one exactly where S < k.
    """
    total, below, k = sum(counts), counts[0], 1
    while k < len(counts) and 2 * (below + counts[k]) <= level * total:
        below += counts[k]
        k += 1
    return k, max(0.0, 1 - 2 * below / total)
