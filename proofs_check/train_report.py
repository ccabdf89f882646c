"""What a table of training runs says about stability, in words: the questions, tested over its seeds.

The answers are about the runs at hand: SUPPORTED or REFUTED is what exact paired tests over seeds decide at 5 %;
INCONCLUSIVE says what is missing. "Smaller than all" needs every single test to say so, at 5 % each (an intersection of
hypotheses); "not, because of one" is corrected by Holm for the number of columns. A column trains at a rate, for a
seed, where its run finished with a test loss below half of that of the best constant prediction; the width of its
trainable range is the number of consecutive rates of the grid at which it does. Seeds count that have a run of every
column at every rate.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

from proofs_check.claim import Verdict

if TYPE_CHECKING:
    from numerics.paired import PairedComparison

Row = Mapping[str, Any]

TRAINED = 0.5
"""Of the constant prediction's loss: less is called trained."""
_LEVEL = 0.05
_LEAST = 1e-300
_Answer = tuple[str, str]


def train_answers(rows: Sequence[Row], chance: float | None = None) -> list[dict[str, str]]:
    """The answers, each {"question", "verdict", "answer"}, to rows as `numerics.training_table.RunRecord.as_json`.

    chance: the loss of the best constant prediction (`numerics.chance.constant_loss`); without it nothing is said to
    train. Rows may have a key "optimizer"; of several, the first answers all questions but that about optimizers.
    """
    parts: dict[str, list[Row]] = {}
    for row in rows:
        parts.setdefault(str(row.get("optimizer", "")), []).append(row)
    tables = {name: _Table(part, chance) for name, part in parts.items()}
    first = next(iter(tables.values()), _Table([], chance))
    questions: dict[str, Callable[[], _Answer]] = {
        "Does best keep the smallest maximal gradient over weight?": lambda: _ratio(first),
        "Is the range of learning rates at which best trains the widest?": lambda: _range(first),
        "Does best win at the largest rates?": lambda: _largest_rate(first),
        "Does direct lose learning rates because of f?": lambda: _lost(first, by_start=False),
        "Does direct lose learning rates because of a start at +1/2?": lambda: _lost(first, by_start=True),
        "Does the ranking change with the optimizer?": lambda: _optimizers(tables),
        "Does exp with unit-norm modes beat best with plain modes?": lambda: _unit_norm(first),
        "How sensitive is best to a and b?": lambda: _constants(first),
    }
    whole = all(table.seeds for table in tables.values())
    answers = {q: ask() if whole else _nothing("no seed has all its runs") for q, ask in questions.items()}
    return [{"question": q, "verdict": verdict, "answer": text} for q, (verdict, text) in answers.items()]


def trainable_widths(rows: Sequence[Row], chance: float, column: str) -> list[int]:
    """For each seed that has all its runs the most consecutive learning rates at which a column trains."""
    return _Table(rows, chance).widths(column)


@dataclass(frozen=True)
class _Table:
    """The runs of one optimizer."""

    rows: Sequence[Row]
    chance: float | None

    @cached_property
    def _by_key(self) -> dict[tuple[str, float, int], Row]:
        return {(row["column"], row["learning_rate"], row["seed"]): row for row in self.rows}

    @cached_property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(row["column"] for row in self.rows))

    @cached_property
    def rates(self) -> list[float]:
        return sorted({row["learning_rate"] for row in self.rows})

    @cached_property
    def seeds(self) -> list[int]:
        """Those with a run of every column at every rate."""
        counts = Counter(seed for _, _, seed in self._by_key)
        return sorted(seed for seed, count in counts.items() if count == len(self.columns) * len(self.rates))

    @cached_property
    def best_columns(self) -> list[str]:
        """Those of best with plain modes."""
        return [column for column in self.columns if re.split("[:@]", column)[0] == "best" and "/" not in column]

    @cached_property
    def others(self) -> list[str]:
        return [column for column in self.columns if column not in self.best_columns]

    def value(self, key: str, column: str, rate: float, seed: int) -> float:
        """A number of a run that finished, 0 as the smallest that has a logarithm; NaN where it diverged."""
        row = self._by_key[column, rate, seed]
        good = row["result"] == "finished" and row[key] is not None
        return max(float(row[key]), _LEAST) if good else math.nan

    def trains(self, column: str, rate: float, seed: int) -> bool:
        return self.chance is not None and self.value("test_loss", column, rate, seed) < TRAINED * self.chance

    def width(self, column: str, seed: int) -> int:
        """The most consecutive rates at which it trains."""
        longest = now = 0
        for rate in self.rates:
            now = now + 1 if self.trains(column, rate, seed) else 0
            longest = max(longest, now)
        return longest

    def widths(self, column: str) -> list[int]:
        return [self.width(column, seed) for seed in self.seeds]

    def losses(self, column: str, rate: float) -> list[float]:
        return [self.value("test_loss", column, rate, seed) for seed in self.seeds]

    def own_rate(self, column: str) -> float:
        """The rate with the least median test loss, a diverged run counting as ∞."""
        return min(self.rates, key=lambda rate: _median(self.losses(column, rate)))

    def own_losses(self, column: str) -> list[float]:
        return self.losses(column, self.own_rate(column))


def _median(values: Sequence[float]) -> float:
    return median(math.inf if math.isnan(value) else value for value in values)


# --- the verdict of several comparisons ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Compared:
    """The first column against another, with Holm's p-value for all that were compared.

    equal_counts: equality in every pair of enough says "not smaller" too. Of numbers that are not counts it does not:
    those are equal where both runs diverged."""

    against: str
    found: PairedComparison
    corrected_p: float
    equal_counts: bool = False

    def __str__(self) -> str:
        return f"against {self.against} {self.found}"

    @property
    def is_smaller(self) -> bool:
        return self.found.sign(_LEVEL) < 0

    @property
    def is_not_smaller(self) -> bool:
        same = self.found.ties == self.found.pairs and self.found.coverage >= 1 - _LEVEL
        return (same and self.equal_counts) or (self.corrected_p <= _LEVEL and self.found.rank_biserial > 0)


def compared_with(others: Sequence[str], compare: Callable[[str], PairedComparison]) -> list[_Compared]:
    from numerics.paired import holm

    found = [compare(other) for other in others]
    adjusted = holm([comparison.p_value for comparison in found])
    return [_Compared(*parts) for parts in zip(others, found, adjusted, strict=True)]


def smallest_of(compared: Sequence[_Compared]) -> _Answer:
    """Is the first smaller than all: yes, no, or not decided, with the comparisons."""
    text = "; ".join(map(str, compared))
    least = max(2.0 ** (1 - one.found.pairs) for one in compared)
    if all(one.is_smaller for one in compared):
        return Verdict.SUPPORTED.name, f"yes: {text}"
    if any(one.is_not_smaller for one in compared):
        where = ", ".join(one.against for one in compared if one.is_not_smaller)
        return Verdict.REFUTED.name, f"no, because of {where}: {text}"
    few = f"too few seeds, no p-value can be below {least:.3g} (six are the least): " if least > _LEVEL else ""
    return _nothing(f"{few}{text}")


def _nothing(reason: str) -> _Answer:
    return Verdict.INCONCLUSIVE.name, reason


def _compared_widths(table: _Table, first: str, others: Sequence[str]) -> list[_Compared]:
    """By the numbers of rates, negative so that more is smaller; equal ones say nothing where all rates are trained."""
    from numerics.paired import compare_paired

    def negative(column: str) -> list[int]:
        return [-n for n in table.widths(column)]

    compared = compared_with(others, lambda other: compare_paired(negative(first), negative(other)))
    inside = max(table.widths(first)) < len(table.rates)
    return [replace(one, equal_counts=inside) for one in compared]


def _wanted(table: _Table, trained: bool = False) -> str | None:
    """What a question about best and others lacks."""
    if not table.best_columns:
        return "no column of best with plain modes"
    if not table.others:
        return "no other column to compare with"
    return _no_chance(table) if trained else None


def _no_chance(table: _Table) -> str | None:
    return None if table.chance is not None else "the loss of the best constant prediction is not given"


# --- the questions ---------------------------------------------------------------------------------------------------


def _ratio(table: _Table) -> _Answer:
    """Per seed the median of the log-ratio, over the rates at which one of the two finished."""
    from numerics.paired import compare_paired

    if missing := _wanted(table):
        return _nothing(missing)
    best = table.best_columns[0]

    def size(column: str, rate: float, seed: int) -> float:
        value = table.value("gradient_over_weight", column, rate, seed)
        return math.inf if math.isnan(value) else math.log(value)

    def log_ratio(other: str, seed: int) -> float:
        pairs = [(size(best, rate, seed), size(other, rate, seed)) for rate in table.rates]
        found = median([x - y for x, y in pairs if min(x, y) < math.inf] or [0.0])
        return 0.0 if math.isnan(found) else found  # as often ∞ as -∞

    def compare(other: str) -> PairedComparison:
        centre = [log_ratio(other, seed) for seed in table.seeds]
        return compare_paired([_exp(value) for value in centre], [_exp(-value) for value in centre], ratio=True)

    verdict, text = smallest_of(compared_with(table.others, compare))
    return verdict, (
        f"{best}: {text} (per seed the median over {len(table.rates)} rates, a run that diverged having the largest; "
        "the measure depends on the unit and the origin of w: claims training-start-ratio, training-ratio-origin)"
    )


def _exp(value: float) -> float:
    """e^x for x > 0 (NaN, as of a run that diverged, for ∞), else 1: the ratio of those of d and -d is e^d."""
    return math.nan if value == math.inf else math.exp(min(max(value, 0.0), 700.0))


def _range(table: _Table) -> _Answer:
    if missing := _wanted(table, trained=True):
        return _nothing(missing)
    best = table.best_columns[0]
    if not any(max(table.widths(column)) for column in table.columns):
        return _nothing("no column trains at any rate")
    verdict, text = smallest_of(_compared_widths(table, best, table.others))
    seen = ", ".join(f"{column} {median(table.widths(column)):g}" for column in table.columns)
    ends = [
        f"{rate:g} ({', '.join(found)})"
        for rate in dict.fromkeys((table.rates[0], table.rates[-1]))
        if (found := [c for c in table.columns if any(table.trains(c, rate, seed) for seed in table.seeds)])
    ]
    beyond = (
        f"; ranges may go on beyond the ends of the table at which columns train: {', '.join(ends)}" if ends else ""
    )
    return verdict, (
        f"median numbers of rates in a row{_spacing(table.rates)}, at which a run trains{_trained(table)}: {seen}; "
        f"negative where {best} has more: {text}{beyond}"
    )


def _trained(table: _Table) -> str:
    return f" (test loss below {TRAINED * (table.chance or math.nan):.3g}, half of that of guessing)"


def _spacing(rates: Sequence[float]) -> str:
    steps = [math.log10(high / low) for low, high in pairwise(rates)]
    if not steps:
        return ""
    few, many = f"{min(steps):.2g}", f"{max(steps):.2g}"
    return f", {few if few == many else f'{few} to {many}'} decades apart"


def _largest_rate(table: _Table) -> _Answer:
    """The rate is chosen by what does not change where two columns change places in a seed: the tests stay exact."""
    from numerics.paired import compare_paired

    if missing := _wanted(table, trained=True):
        return _nothing(missing)

    def is_trained(rate: float) -> bool:
        seeds = [any(table.trains(column, rate, seed) for column in table.columns) for seed in table.seeds]
        return sum(seeds) > len(seeds) / 2

    rate = next((rate for rate in reversed(table.rates) if is_trained(rate)), None)
    if rate is None:
        return _nothing("no column trains at any rate in most seeds")
    best, ours = table.best_columns[0], table.losses(table.best_columns[0], rate)
    compared = compared_with(table.others, lambda other: compare_paired(ours, table.losses(other, rate), ratio=True))
    verdict, text = smallest_of(compared)
    return verdict, f"test losses at {rate:g}, the largest rate at which in most seeds a column trains, {best}: {text}"


def _lost(table: _Table, by_start: bool) -> _Answer:
    """The rates that direct loses: by f against a stable one from the same start, by the start against itself."""
    stable = next((c for c in ("exp", "softplus", *table.best_columns) if c in table.columns), "of a stable f")
    more, fewer = ("direct", "direct@published") if by_start else (stable, "direct")
    absent = [column for column in (more, fewer) if column not in table.columns]
    if absent:
        return _nothing(f"no column {' and '.join(absent)}")
    if missing := _no_chance(table):
        return _nothing(missing)
    widths = [table.widths(column) for column in (more, fewer)]
    if not any(map(max, widths)):
        return _nothing(f"neither {more} nor {fewer} trains at any rate")
    verdict, text = smallest_of(_compared_widths(table, more, [fewer]))
    lost = [
        sum(math.isnan(loss) for rate in table.rates for loss in table.losses(column, rate)) for column in (more, fewer)
    ]
    return verdict, (
        f"{more} trains{_trained(table)} at {median(widths[0]):g} rates, {fewer} at {median(widths[1]):g}, of "
        f"{len(table.rates)} (medians); negative where {more} has more, {text}; "
        f"diverged, of {len(table.rates) * len(table.seeds)} runs: {lost[0]} and {lost[1]}"
    )


def _optimizers(tables: Mapping[str, _Table]) -> _Answer:
    """Pairs of columns, each at its own best rate, that are ordered differently."""
    if len(tables) < 2:
        return _nothing("one optimizer only: a table has one; train a second with another")
    names = list(tables)[:2]
    both = [tables[name] for name in names]
    common = [column for column in both[0].columns if column in both[1].columns]
    pairs = list(combinations(common, 2))
    if not pairs:
        return _nothing("fewer than two columns in common")
    first, second = _signs(both, pairs)
    orders = [sorted(common, key=lambda column, table=table: _median(table.own_losses(column))) for table in both]  # type: ignore[misc]
    text = "columns by their median test loss, each at its best rate: " + "; ".join(
        f"{name}: {' < '.join(order)}" for name, order in zip(names, orders, strict=True)
    )
    changed = [f"{a} and {b}" for a, b in pairs if first[a, b] * second[a, b] < 0]
    if changed:
        return Verdict.SUPPORTED.name, f"yes, for {', '.join(changed)}; {text}"
    open_pairs = sum(first[pair] * second[pair] == 0 for pair in pairs)
    if not open_pairs:
        return Verdict.REFUTED.name, f"no, every pair of columns is ordered alike; {text}"
    return _nothing(f"no pair is shown to change its order, {open_pairs} of {len(pairs)} are not decided; {text}")


def _signs(tables: Sequence[_Table], pairs: Sequence[tuple[str, str]]) -> list[dict[tuple[str, str], int]]:
    """For each table and pair -1 or 1, which of the two has the smaller loss, 0 if undecided; Holm over all of them."""
    from numerics.paired import compare_paired, holm

    found = [
        [compare_paired(table.own_losses(a), table.own_losses(b), ratio=True) for a, b in pairs] for table in tables
    ]
    adjusted = iter(holm([one.p_value for row in found for one in row]))
    return [
        {pair: one.sign(1.0) if next(adjusted) <= _LEVEL else 0 for pair, one in zip(pairs, row, strict=True)}
        for row in found
    ]


def _unit_norm(table: _Table) -> _Answer:
    from numerics.paired import compare_paired

    ours = "exp/unit-norm"
    if ours not in table.columns or not table.best_columns:
        return _nothing(f"no column {ours if ours not in table.columns else 'of best with plain modes'}")
    best = table.best_columns[0]
    found = compare_paired(table.own_losses(ours), table.own_losses(best), ratio=True)
    verdict, text = smallest_of([_Compared(best, found, found.p_value)])
    return verdict, f"test losses of {ours} at {table.own_rate(ours):g}, {best} at {table.own_rate(best):g}: {text}"


def _constants(table: _Table) -> _Answer:
    """The optimum and the columns that are not shown to be worse, by Holm over all pairs: the optimum is chosen."""
    from numerics.paired import compare_paired, holm

    columns = table.best_columns
    if len(columns) < 3:
        return _nothing(f"a grid of at least three columns of best is needed, there are {len(columns)}")
    optimum = min(columns, key=lambda column: _median(table.own_losses(column)))
    losses = {column: table.own_losses(column) for column in columns}
    pairs = [(optimum, other) for other in columns if other != optimum]
    pairs += [pair for pair in combinations(columns, 2) if optimum not in pair]
    found = [compare_paired(losses[a], losses[b], ratio=True) for a, b in pairs]
    adjusted = holm([one.p_value for one in found])
    compared = [_Compared(b, one, p) for (a, b), one, p in zip(pairs, found, adjusted, strict=True) if a == optimum]
    worse = [one for one in compared if one.corrected_p <= _LEVEL and one.found.rank_biserial < 0]
    basin = [optimum, *(one.against for one in compared if one not in worse)]
    ratios = [one.found.effect for one in compared if not math.isnan(one.found.effect)]
    smallest = f"; smallest ratio of losses to another {min(ratios):.3g}" if ratios else ""
    text = (
        f"least test loss {_median(table.own_losses(optimum)):.4g} with {optimum} at {table.own_rate(optimum):g}; not "
        f"shown to be worse: {', '.join(basin)}{smallest}"
    )
    detail = "; ".join(map(str, worse))
    if worse:
        return Verdict.SUPPORTED.name, f"{text}; worse: {detail}"
    few = len(pairs) * 2.0 ** (1 - len(table.seeds)) > _LEVEL
    return _nothing(f"{'too few seeds' if few else 'no difference is shown'}: {text}")
