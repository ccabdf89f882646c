"""How near fitted and explicit models come to the limit of approximation: E_m(0) from above and from below.

    error_lower     no stable linear model with m states comes closer (numerics.hankel)
    error_fitted    the best that was found: real modes, and m/2 pairs of complex modes where m is even
    error_explicit  the quadrature rule of numerics.expsum, for completely monotone targets

all in the norm ∫|e| + total variation of e. A completely monotone target gets real modes only: complex ones never came
nearer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from numerics.arguments import json_number
from numerics.expsum import explicit_weights
from numerics.fitted_sequence import fitted_error, fitted_sequence
from numerics.hankel import LimitRow, limit_table
from numerics.norms import kernel_norm
from numerics.targets import Target

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class ComparisonRow:
    """The limit for m states, with what was reached; `states` of the fit: "real" modes or complex "pairs".

    `error_explicit` is None where the target is not completely monotone.
    """

    limit: LimitRow
    error_fitted: float
    states: str
    error_explicit: float | None

    def as_json(self) -> dict[str, Any]:
        """The fields of `LimitRow.as_json`, then "error_fitted", "states" and "error_explicit"."""
        explicit = None if self.error_explicit is None else json_number(self.error_explicit)
        own = {"error_fitted": json_number(self.error_fitted), "states": self.states, "error_explicit": explicit}
        return {**self.limit.as_json(), **own}


@dataclass(frozen=True)
class LimitComparison:
    """The rows, in the order asked."""

    rows: tuple[ComparisonRow, ...]

    def as_json(self) -> dict[str, Any]:
        """{"rows": [...]} of `ComparisonRow.as_json`."""
        return {"rows": [row.as_json() for row in self.rows]}


def limit_comparison(
    target: Target, dims: Sequence[int], *, seed: int = 0, on_progress: Progress | None = None
) -> LimitComparison:
    """E_m(0) of fitted and explicit models beside its lower bound, in the order of `dims`.

    Hypothesis: target in L¹. Source: derived here. Raises: ValueError as `limit_table`.
    """
    limits = {row.m: row for row in limit_table(target, dims).rows}
    sizes = sorted(limits)
    pairs = [] if target.completely_monotone else sorted(m // 2 for m in sizes if m % 2 == 0)
    total, done = len(sizes) + len(pairs), 0

    def step(_: int) -> None:
        nonlocal done
        done += 1
        if on_progress is not None:
            on_progress(done, total, "fits")

    best: dict[int, tuple[float, str]] = {}
    for states, counts, width in (("real", sizes, 1), ("pairs", pairs, 2)):
        sequence = fitted_sequence(target, counts, is_complex=width == 2, seed=seed, on_fit=step)
        for count, fits in sequence.items():
            best[width * count] = min((fitted_error(fits), states), best.get(width * count, (math.inf, states)))
    return LimitComparison(tuple(ComparisonRow(limits[m], *best[m], _explicit_error(target, m)) for m in dims))


def _explicit_error(target: Target, m: int) -> float | None:
    if not target.completely_monotone:
        return None
    lam, weights = explicit_weights(target, m)
    return kernel_norm(target, weights, lam).value
