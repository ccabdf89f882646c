"""E_m(β) along sequences of models of one target: does E(β) = limsup_m E_m(β) stay bounded, is the sequence stable?

One table: for every reparameterization f, kind of modes, groups of weights that move, m and β the bracket of E_m(β).
The sequence is explicit (numerics.expsum, completely monotone targets) or fitted (numerics.fitted_sequence); the same
rates serve every f, balanced as |c_i| = |u_i|. An f with bounded range, such as best with |λ| ≤ 1/b, gets the sequence
with the faster rates put together at the end of its range, and a note. Source: Definition 2.5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from numerics.arguments import check_choice, json_number
from numerics.expsum import balanced_model, explicit_weights
from numerics.fitted_sequence import fitted_kernel, fitted_sequence
from numerics.models import MODES, DiagonalModel
from numerics.perturbation import linear_perturbed_error
from numerics.reach import largest_rate, weights_for
from numerics.reparameterization import Reparameterization
from numerics.spectral import spectral_measure
from numerics.starting_rates import slowest_start
from numerics.targets import Target

SEQUENCES = ("explicit", "fitted")
DEFAULT_GROUPS = (("w",), ("w", "U", "c"))
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class CurseRow:
    """lower ≤ E_m(β) ≤ upper, and E_m(0); `weight_sum` = Σ|c_i||u_i|ν_i and `memory_sum` = Σ|c_i||u_i|ν_i/|λ_i|."""

    reparam: str
    modes: str
    groups: tuple[str, ...]
    m: int
    beta: float
    lower: float
    upper: float
    initial: float
    margin: float
    weight_sum: float
    memory_sum: float

    def as_json(self) -> dict[str, Any]:
        return {
            "reparam": self.reparam,
            "modes": self.modes,
            "groups": list(self.groups),
            "m": self.m,
            "beta": self.beta,
            "lower": json_number(self.lower),
            "upper": json_number(self.upper),
            "error_at_zero": self.initial,
            "margin": self.margin,
        }


@dataclass(frozen=True)
class CurseTable:
    """The rows, in the order asked, with what they are about.

    `complete` says of every f whether its range holds the rates of the sequence for every m, also those not asked for;
    None where that is not known, as for a formula. A fitted sequence stays inside any range.
    """

    target: Target
    sequence: str
    ball: str
    rows: tuple[CurseRow, ...]
    complete: Mapping[str, bool | None]
    notes: tuple[str, ...]


def curse_table(
    target: Target,
    dims: Sequence[int],
    reparams: Sequence[str],
    betas: Sequence[float],
    *,
    modes: Sequence[str] = ("plain",),
    groups: Sequence[str] | None = None,
    sequence: str = "explicit",
    ball: str = "joint",
    seed: int = 0,
    on_progress: Progress | None = None,
) -> CurseTable:
    """The brackets of E_m(β) for all combinations; `groups` None means w alone, and all weights.

    Hypotheses: target in L¹, for the explicit sequence completely monotone; every f takes the values λ of the sequence.
    Raises ValueError where one fails, naming the argument.
    """
    check_choice("sequence", sequence, SEQUENCES)
    for kind in modes:
        check_choice("modes", kind, MODES)
    for name, given in (("m", dims), ("reparam", reparams), ("beta", betas), ("modes", modes)):
        if not len(given):
            raise ValueError(f"{name}: at least one value is needed")
    sets = DEFAULT_GROUPS if groups is None else (tuple(groups),)
    fs = [Reparameterization(text) for text in reparams]
    reach = [largest_rate(f) for f in fs]
    ends = list(zip(reach, (0.0 if f.name else slowest_start(f) for f in fs), strict=True))  # a named f comes as near 0
    first = dict(zip(reversed(ends), reversed(fs), strict=True))
    rules = {end: _rules(target, dims, sequence, f, end[0], seed) for end, f in first.items()}
    total, done, rows = len(fs) * len(modes) * len(sets) * len(dims), 0, []
    for f, end in zip(fs, ends, strict=True):
        for kind in modes:
            models = [balanced_model(lam, weights, weights_for(f, lam), f, kind) for lam, weights in rules[end]]
            for some in sets:
                for m, model in zip(dims, models, strict=True):
                    rows += _rows(target, m, model, f.text, some, betas, ball, seed)
                    done += 1
                    if on_progress is not None:
                        on_progress(done, total, f"{f.text} m={m}")
    complete = {
        f.text: True if sequence == "fitted" else _holds(f, limit, target, max(dims))
        for f, limit in zip(fs, reach, strict=True)
    }
    notes = tuple(
        f"{f.text}: |λ| stays below {limit:.4g}; faster rates of the sequence are put together there, so that E(0) > 0"
        for f, limit in zip(fs, reach, strict=True)
        if complete[f.text] is False
    )
    return CurseTable(target, sequence, ball, tuple(rows), complete, notes)


def _holds(f: Reparameterization, limit: float, target: Target, most: int) -> bool | None:
    """Whether the range of f holds the rates of the explicit sequence for every m; every named f comes as near 0."""
    measure = spectral_measure(target)
    fastest = math.inf if measure.densities else max(rate for rate, _ in measure.atoms)
    if fastest > limit:
        return False
    solved = not measure.densities and most >= len(measure.atoms)  # every rate there is has been found a w for
    return True if f.name is not None or solved else None


def _rules(
    target: Target, dims: Sequence[int], sequence: str, f: Reparameterization, limit: float, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(lam, weights) of the sequence for every m."""
    if sequence == "explicit":
        return [explicit_weights(target, m, limit) for m in dims]
    fits = fitted_sequence(target, dims, f, seed=seed)
    return [fitted_kernel(fits[m]) for m in dims]


def _rows(
    target: Target,
    m: int,
    model: DiagonalModel,
    text: str,
    groups: tuple[str, ...],
    betas: Sequence[float],
    ball: str,
    seed: int,
) -> list[CurseRow]:
    error = linear_perturbed_error(model, target, [0.0, *betas], ball=ball, groups=groups, seed=seed)
    weight = (model.c[0].abs() * model.drive()[:, 0].abs()).double()
    sums = float(weight.sum()), float((weight / model.lam().abs()).sum())
    lower, upper, margin = error.lower.tolist(), error.upper.tolist(), float(error.margin)
    return [
        CurseRow(text, model.modes, groups, m, beta, low, high, lower[0], margin, *sums)
        for beta, low, high in zip(betas, lower[1:], upper[1:], strict=True)
    ]
