"""What a table of training runs says about stability, in words: the questions, tested over its seeds.

The answers are about the runs at hand: SUPPORTED or REFUTED is what exact paired tests over seeds decide at 5 %;
INCONCLUSIVE says what is missing. "Smaller than all" needs every single test to say so, at 5 % each (an intersection of
hypotheses); "not, because of one" is corrected by Holm for the number of columns. A column trains at a rate, for a
seed, where its run finished with a test loss below half of that of the best constant prediction; the width of its
trainable range is the number of consecutive rates of the grid at which it does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from statistics import median
from typing import TYPE_CHECKING, Any

from proofs_check.claim import Verdict

if TYPE_CHECKING:
    from numerics.paired import PairedComparison

Row = Mapping[str, Any]

TRAINED = 0.5
"""Of the constant prediction's loss: less is called trained."""
_LEVEL = 0.05
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
    answers = {
        "Does best keep the smallest maximal gradient over weight?": _ratio(first),
        "Is the range of learning rates at which best trains the widest?": _range(first),
        "Does best win at the largest rates?": _largest_rate(first),
        "Does direct lose learning rates because of f?": _lost(first, by_start=False),
        "Does direct lose learning rates because of a start at +1/2?": _lost(first, by_start=True),
        "Does the ranking change with the optimizer?": _optimizers(tables),
        "Does exp with unit-norm modes beat best with plain modes?": _unit_norm(first),
        "How sensitive is best to a and b?": _constants(first),
    }
    return [{"question": q, "verdict": verdict, "answer": text} for q, (verdict, text) in answers.items()]


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
        return sorted({row["seed"] for row in self.rows})

    @cached_property
    def best_columns(self) -> list[str]:
        """Those of best with plain modes."""
        return [column for column in self.columns if column.split(":")[0] == "best" and "/" not in column]

    def value(self, key: str, column: str, rate: float, seed: int) -> float:
        """A number of a run that finished; NaN where it diverged or is not in the table."""
        row = self._by_key.get((column, rate, seed))
        good = row is not None and row["result"] == "finished" and row[key] is not None
        return float(row[key]) if good and row is not None else math.nan

    def trains(self, column: str, rate: float, seed: int) -> bool:
        return self.chance is not None and self.value("test_loss", column, rate, seed) < TRAINED * self.chance

    def width(self, column: str, seed: int) -> int:
        """The most consecutive rates at which it trains."""
        longest = now = 0
        for rate in self.rates:
            now = now + 1 if self.trains(column, rate, seed) else 0
            longest = max(longest, now)
        return longest

    def trained_share(self, column: str, rate: float) -> float:
        return sum(self.trains(column, rate, seed) for seed in self.seeds) / len(self.seeds)

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
    """The first column against another, with Holm's p-value for all that were compared."""

    against: str
    found: PairedComparison
    corrected_p: float

    def __str__(self) -> str:
        return f"against {self.against} {self.found}"

    @property
    def is_smaller(self) -> bool:
        return self.found.sign(_LEVEL) < 0

    @property
    def is_not_smaller(self) -> bool:
        """Larger, or equal in every pair of enough."""
        same = self.found.ties == self.found.pairs and self.found.coverage >= 1 - _LEVEL
        return same or (self.corrected_p <= _LEVEL and self.found.rank_biserial > 0)


def _against(others: Sequence[str], compare: Callable[[str], PairedComparison]) -> list[_Compared]:
    from numerics.paired import holm

    found = [compare(other) for other in others]
    adjusted = holm([comparison.p_value for comparison in found])
    return [_Compared(*parts) for parts in zip(others, found, adjusted, strict=True)]


def _smallest(compared: Sequence[_Compared]) -> _Answer:
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


def _wanted(table: _Table, trained: bool = False) -> str | None:
    """What a question about best and others lacks."""
    if not table.best_columns:
        return "no column of best with plain modes"
    if len(table.columns) < 2:
        return "no other column to compare with"
    return _no_chance(table) if trained else None


def _no_chance(table: _Table) -> str | None:
    return None if table.chance is not None else "the loss of the best constant prediction is not given"


# --- the questions ---------------------------------------------------------------------------------------------------


def _ratio(table: _Table) -> _Answer:
    """Per seed the median over the rates of the log-ratio."""
    from numerics.paired import compare_paired

    if missing := _wanted(table):
        return _nothing(missing)
    best = table.best_columns[0]

    def log_ratio(other: str, rate: float, seed: int) -> float:
        ours, theirs = (
            math.inf if math.isnan(value) else math.log(max(value, 1e-300))
            for value in (table.value("gradient_over_weight", c, rate, seed) for c in (best, other))
        )
        return 0.0 if ours == theirs else ours - theirs

    def compare(other: str) -> PairedComparison:
        centre = [median(log_ratio(other, rate, seed) for rate in table.rates) for seed in table.seeds]
        return compare_paired([_exp(value) for value in centre], [_exp(-value) for value in centre], ratio=True)

    others = [column for column in table.columns if column not in table.best_columns]
    if not others:
        return _nothing("no other column to compare with")
    verdict, text = _smallest(_against(others, compare))
    return verdict, (
        f"{text} (per seed the median over {len(table.rates)} rates; the measure depends on the unit and the origin of "
        "w: claims training-start-ratio, training-ratio-origin)"
    )


def _exp(value: float) -> float:
    """e^x for x > 0 (NaN, as of a run that diverged, for ∞), else 1: the ratio of those of d and -d is e^d."""
    return math.nan if value == math.inf else math.exp(max(value, 0.0))


def _range(table: _Table) -> _Answer:
    from numerics.paired import compare_paired

    if missing := _wanted(table, trained=True):
        return _nothing(missing)
    best = table.best_columns[0]
    widths = {column: [table.width(column, seed) for seed in table.seeds] for column in table.columns}
    others = [column for column in table.columns if column not in table.best_columns]
    if not others:
        return _nothing("no other column to compare with")
    if not any(max(found) for found in widths.values()):
        return _nothing("no column trains at any rate")

    def compare(other: str) -> PairedComparison:
        return compare_paired([-n for n in widths[best]], [-n for n in widths[other]])

    verdict, text = _smallest(_against(others, compare))
    seen = ", ".join(f"{column} {median(found):g}" for column, found in widths.items())
    spacing = math.log10(table.rates[-1] / table.rates[0]) / max(len(table.rates) - 1, 1)
    return (
        verdict,
        f"median numbers of rates, {spacing:.2g} decades apart: {seen}; negative where best has more: {text}",
    )


def _largest_rate(table: _Table) -> _Answer:
    from numerics.paired import compare_paired

    if missing := _wanted(table, trained=True):
        return _nothing(missing)
    trained = [rate for rate in table.rates if any(table.trained_share(c, rate) > 0.5 for c in table.columns)]
    if not trained:
        return _nothing("no column trains at any rate in most seeds")
    rate, best = trained[-1], table.best_columns[0]
    others = [column for column in table.columns if column not in table.best_columns]
    if not others:
        return _nothing("no other column to compare with")

    def compare(other: str) -> PairedComparison:
        return compare_paired(table.losses(best, rate), table.losses(other, rate), ratio=True)

    verdict, text = _smallest(_against(others, compare))
    return verdict, f"test losses at {rate:g}, the largest rate at which any column trains in most seeds: {text}"


def _lost(table: _Table, by_start: bool) -> _Answer:
    """The rates that direct loses: by f against a stable one from the same start, by the start against itself."""
    from numerics.paired import compare_paired

    stable = next((c for c in ("exp", "softplus", *table.best_columns) if c in table.columns), "of a stable f")
    more, fewer = ("direct", "direct@published") if by_start else (stable, "direct")
    absent = [column for column in (more, fewer) if column not in table.columns]
    if absent:
        return _nothing(f"no column {' and '.join(absent)}")
    if missing := _no_chance(table):
        return _nothing(missing)
    widths = [[table.width(column, seed) for seed in table.seeds] for column in (more, fewer)]
    found = compare_paired([-n for n in widths[0]], [-n for n in widths[1]])
    verdict, text = _smallest([_Compared(fewer, found, found.p_value)])
    lost = [sum(row["result"] != "finished" for row in table.rows if row["column"] == c) for c in (more, fewer)]
    return verdict, (
        f"{more} trains at {median(widths[0]):g} rates, {fewer} at {median(widths[1]):g} (medians); "
        f"negative where {more} has more, {text}; "
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
    verdict, text = _smallest([_Compared(best, found, found.p_value)])
    return verdict, f"test losses of {ours} at {table.own_rate(ours):g}, {best} at {table.own_rate(best):g}: {text}"


def _constants(table: _Table) -> _Answer:
    """The optimum and the columns that are not shown to be worse."""
    from numerics.paired import compare_paired

    columns = table.best_columns
    if len(columns) < 3:
        return _nothing(f"a grid of at least three columns of best is needed, there are {len(columns)}")
    optimum = min(columns, key=lambda column: _median(table.own_losses(column)))
    others = [column for column in columns if column != optimum]
    compared = _against(
        others, lambda other: compare_paired(table.own_losses(optimum), table.own_losses(other), ratio=True)
    )
    worse = [one for one in compared if one.corrected_p <= _LEVEL and one.found.rank_biserial < 0]
    basin = [optimum, *(one.against for one in compared if one not in worse)]
    least = min((one.found.effect for one in compared), default=1.0)
    text = (
        f"least test loss {_median(table.own_losses(optimum)):.4g} with {optimum} at {table.own_rate(optimum):g}; not "
        f"shown to be worse: {', '.join(basin)}; smallest ratio of losses to another {least:.3g}"
    )
    detail = "; ".join(map(str, worse))
    if worse:
        return Verdict.SUPPORTED.name, f"{text}; worse: {detail}"
    few = len(compared) * 2.0 ** (1 - len(table.seeds)) > _LEVEL
    return _nothing(f"{'too few seeds' if few else 'no difference is shown'}: {text}")
