"""What every fitted model is worth: errors, spectral margin, measured decay, and the bound of Theorem 3.3 beside it.

Rows with the same targets, f and kind of modes are evaluated together:

    error_l2         (∫_0^T |ρ - ρ̂|² dt)^{1/2}, T the horizon of the problem; (Σ_k |Δρ(kΔ) - ρ̂_k|²)^{1/2}
    error_w1inf      ∫|ρ - ρ̂| + its total variation on R, over all times; a sum over the inputs, as for the square
    rounding         of error_l2: 4 eps Σ |c_i ν_i U_i| ‖mode i‖, large where huge coefficients cancel
    margin           min|Re λ|, in discrete time 1 - max|λ|
    decay_rate       the interval of the rate that numerics.decay sees in M(Ĥ)(t) = |ρ̂(t)|_1 late in its life
    bound_ratio_min  the smallest √d |c|_2 |νU|_2 e^{-margin t}/M(Ĥ)(t), over a grid of times and in the limit
    bound_ratio_late the limit of that ratio as t → ∞, where the slowest modes alone count
    printed_ratio_min  the smallest ratio of the printed form, (d+1)|θ|² e^{-margin t} with |θ| of this model, w in it
    finite_up_to     the β up to which E_m(β) is finite when all weights move

The decay is measured between 40 and 240 memory times of the slowest mode that is seen, where all others are gone unless
their rates nearly agree, and then there is no interval; for an oscillation at its peaks, up to 640 memory times where
these are rare, and not at all where there are fewer than 12 till then. Rates are per unit of time or per step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from numerics.arguments import json_number
from numerics.decay import estimate_decay
from numerics.decay_bounds import largest_wave, theta_norm
from numerics.finite_radius import finite_up_to
from numerics.fit_problem import FitProblem, Fits, Result
from numerics.l2_errors import l2_squares, l2_step_squares, powers
from numerics.models import DiagonalModel, Layer
from numerics.norms import kernel_norms, sequence_norm
from numerics.targets import Target

Array = NDArray[np.float64]

_TOGETHER = 64
"""Rows whose kernels share one grid of panels, those of similar oscillation."""
_LATE = (40.0, 240.0)
_DECAY_POINTS = 48
_RATIO_POINTS = 120
_LIVE = 45.0
_LAST = 640.0
"""Memory times after which e^{-rt} nears the end of the range of doubles."""
_PHASES, _FEWEST_PEAKS, _FEWEST_STEPS, _STEPS, _MOST_STEPS = 64, 12, 16, 128, 512
_STILL = 1e-15
"""Radians in a unit of time, in discrete time beyond a multiple of π, that do not count as a turn."""
_NEARLY = 0.025
"""Rates so near, relatively, do not die by e^5 while the decay is measured."""
_SEEN_MOVE = 1e-10
_UNSEEN = 1e-150
"""A coefficient below this part of the largest is taken for 0: late, a slow mode of 1e-18 is all there is."""
_SAME_RATE = 1e-13
_AT_ITS_LIMIT = 1e-12
_RATIOS = ("bound_ratio_min", "ratio_time", "bound_ratio_late")
"""What `_Kernel.ratios` finds."""


@dataclass(frozen=True)
class FitRow:
    """The evaluation of one fit; see the module's text.

    target: the specs of its inputs, separated by commas. An error is inf where the fit diverged, its weights are no
    stable model, or the target is not in L¹; None where it would take too long. The other numbers are None where they
    do not exist; ratio_time is where bound_ratio_min was found, inf in the limit t → ∞; bound_ratio_late is inf where
    the slowest mode is not seen, None for several slowest oscillations.
    """

    target: str
    reparam: str
    modes: str
    m: int
    seed: int
    error_l2: float | None
    error_w1inf: float | None
    rounding: float | None
    margin: float | None
    decay_rate: tuple[float, float] | None
    bound_ratio_min: float | None
    ratio_time: float | None
    bound_ratio_late: float | None
    printed_ratio_min: float | None
    finite_up_to: float | None
    result: Result

    def as_json(self) -> dict[str, Any]:
        """The fields by name, infinity as "inf", the result in lower case."""
        numbers = ("error_l2", "error_w1inf", "rounding", "margin", "finite_up_to", "printed_ratio_min", *_RATIOS)
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        found |= {name: None if found[name] is None else json_number(found[name]) for name in numbers}
        found["decay_rate"] = None if self.decay_rate is None else [json_number(end) for end in self.decay_rate]
        return found | {"result": self.result.name.lower()}


def evaluate_fits(fits: Fits) -> list[FitRow]:
    """One FitRow for every fit, in their order.

    On the CPU in float64, 1 to 4 ms a row at m = 16, more where oscillations or nearly equal rates make the decay hard
    to judge, and for long memory in discrete time. Source: Definitions 2.1 and 2.5, Theorem 3.3.
    """
    problem = fits.problem
    outcomes = fits.results()
    rows = [_failed(problem, row, outcome) for row, outcome in enumerate(outcomes)]
    weights = _Weights.of(fits)
    groups: dict[tuple[Any, ...], list[int]] = {}
    for row, outcome in enumerate(outcomes):
        if outcome is not Result.DIVERGED:
            key = (problem.target_index[row], problem.reparameterizations[row], problem.modes[row])
            groups.setdefault(key, []).append(row)
    for members in groups.values():
        good = weights.stable(problem, members)
        if good:
            model = weights.model(problem, good)
            found = _evaluated(model, problem.targets[good[0]], problem)
            for place, row in enumerate(good):
                rows[row] = replace(rows[row], **{name: values[place] for name, values in found.items()})
    return rows


def _failed(problem: FitProblem, row: int, outcome: Result) -> FitRow:
    return FitRow(
        target=",".join(target.spec for target in problem.targets[row]),
        reparam=problem.reparameterizations[row].specification,
        modes=problem.modes[row],
        m=problem.m,
        seed=problem.seeds[row],
        error_l2=math.inf,
        error_w1inf=math.inf,
        rounding=None,
        margin=None,
        decay_rate=None,
        bound_ratio_min=None,
        ratio_time=None,
        bound_ratio_late=None,
        printed_ratio_min=None,
        finite_up_to=None,
        result=outcome,
    )


@dataclass(frozen=True, eq=False)
class _Weights:
    """All weights of the fits on the CPU in double precision."""

    w: torch.Tensor
    U: torch.Tensor
    c: torch.Tensor
    omega: torch.Tensor | None

    @staticmethod
    def of(fits: Fits) -> _Weights:
        kept = [None if x is None else x.detach().cpu() for x in (fits.w, fits.U, fits.c, fits.omega)]
        w, U, c, omega = (x if x is None else x.to(torch.complex128 if x.is_complex() else torch.float64) for x in kept)
        assert w is not None
        assert U is not None
        assert c is not None
        return _Weights(w, U, c, omega)

    def stable(self, problem: FitProblem, rows: Sequence[int]) -> list[int]:
        """The rows, all with one f, whose weights are finite and give a stable model."""
        index = torch.tensor(rows)
        finite = torch.ones(len(rows), dtype=torch.bool)
        for x in (self.w, self.U, self.c, self.omega):
            if x is not None:
                finite &= torch.isfinite(x[index]).flatten(1).all(1)
        value = problem.reparameterizations[rows[0]](torch.where(finite[:, None], self.w[index], 1.0))
        inside = value.abs() < 1 if problem.time == "discrete" else (value < 0) & torch.isfinite(value)
        keep = finite & inside.all(1)
        return [row for row, good in zip(rows, keep.tolist(), strict=True) if good]

    def model(self, problem: FitProblem, rows: Sequence[int]) -> DiagonalModel:
        """The models of the rows, which have one f and one kind of modes, as a batch."""
        index = torch.tensor(rows)
        omega = None if self.omega is None else self.omega[index]
        layer = Layer(self.w[index], self.U[index], omega)
        f, modes = problem.reparameterizations[rows[0]], problem.modes[rows[0]]
        return DiagonalModel((layer,), self.c[index][:, None], f, modes=modes, time=problem.time)


def _evaluated(model: DiagonalModel, targets: Sequence[Target], problem: FitProblem) -> dict[str, list[Any]]:
    """The columns of FitRow for a batch of models with the same targets."""
    lam = model.lam().numpy()
    coefficients = (model.c[:, 0, :, None] * model.drive()).numpy()  # (B, m, d)
    columns: dict[str, list[Any]] = _errors(targets, coefficients, lam, problem)
    columns["rounding"] = _rounding(coefficients, lam, model.is_discrete)
    columns["margin"] = model.stability_margin.tolist()
    columns["finite_up_to"] = finite_up_to(model).tolist()
    gain = model.input_dim**0.5 * torch.linalg.vector_norm(model.c[:, 0], dim=-1)
    gain = gain * torch.linalg.matrix_norm(model.drive(), ord=2) * (2 if model.is_complex else 1)
    kernels = [_Kernel(*pair, model.is_discrete) for pair in zip(coefficients, lam, strict=True)]
    ratios = [kernel.ratios(size) for kernel, size in zip(kernels, gain.tolist(), strict=True)]
    columns |= {name: list(column) for name, column in zip(_RATIOS, zip(*ratios, strict=True), strict=True)}
    printed = ((model.input_dim + 1) * theta_norm(model) ** 2 / gain).tolist()
    columns["printed_ratio_min"] = [
        None if ratio is None else ratio * factor
        for ratio, factor in zip(columns["bound_ratio_min"], printed, strict=True)
    ]
    columns["decay_rate"] = [kernel.decay_rate() for kernel in kernels]
    return columns


# Errors


def _errors(
    targets: Sequence[Target], coefficients: NDArray[Any], lam: NDArray[Any], problem: FitProblem
) -> dict[str, list[float | None]]:
    """Both errors of every row, rows of similar oscillation together."""
    order = np.argsort(np.max(np.abs(lam.imag) / _distance(lam, problem.time), axis=1), kind="stable")
    squares, sizes = np.zeros(len(lam)), np.zeros(len(lam))
    for begin in range(0, len(order), _TOGETHER):
        some = order[begin : begin + _TOGETHER]
        for place, target in enumerate(targets):
            squares[some] += _halved(_square, problem, target, coefficients[some, :, place], lam[some])
            sizes[some] += _halved(_norm, problem, target, coefficients[some, :, place], lam[some])
    return {"error_l2": _known(np.sqrt(squares)), "error_w1inf": _known(sizes)}


def _rounding(coefficients: NDArray[Any], lam: NDArray[Any], discrete: bool) -> list[float]:
    """4 eps Σ |C_i| ‖e^{λ_i t}‖_2, of a sum of kernels of those sizes; ‖e^{λt}‖² = 1/(2r), ‖λ^k‖² = 1/(1 - |λ|²)."""
    squares = 1 - np.abs(lam) ** 2 if discrete else -2 * lam.real
    sizes = np.linalg.norm(coefficients, axis=-1) / np.sqrt(squares)
    found: list[float] = (4 * np.finfo(np.float64).eps * sizes.sum(-1)).tolist()
    return found


def _distance(lam: NDArray[Any], time: str) -> Array:
    return np.asarray(1 - np.abs(lam) if time == "discrete" else -lam.real)


def _square(problem: FitProblem, target: Target, c: NDArray[Any], lam: NDArray[Any]) -> Array:
    if problem.time == "discrete":
        return l2_step_squares(target, c, lam, problem.step_size, problem.horizon)
    return l2_squares(target, c, lam, problem.horizon)


def _norm(problem: FitProblem, target: Target, c: NDArray[Any], lam: NDArray[Any]) -> Array:
    if not target.is_integrable:
        return np.full(len(lam), math.inf)
    if problem.time == "continuous":
        norms = kernel_norms(target, c, lam)
        return norms.size + norms.change
    step = problem.step_size
    return np.array([step * sequence_norm(target, a / step, x, step).value for a, x in zip(c, lam, strict=True)])


def _halved(
    error: Callable[[FitProblem, Target, NDArray[Any], NDArray[Any]], Array],
    problem: FitProblem,
    target: Target,
    c: NDArray[Any],
    lam: NDArray[Any],
) -> Array:
    """An error of the rows; where it refuses them, in halves, and NaN for a single row that it refuses."""
    try:
        return error(problem, target, c, lam)
    except ValueError:
        if len(lam) == 1:
            return np.array([math.nan])
        parts = (slice(None, len(lam) // 2), slice(len(lam) // 2, None))
        return np.concatenate([_halved(error, problem, target, c[part], lam[part]) for part in parts])


def _known(values: Array) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values.tolist()]


# Memory


@dataclass(frozen=True, eq=False)
class _Kernel:
    """ρ̂ of one model: coefficients (m, d) and λ (m,), in discrete time multipliers."""

    coefficients: NDArray[Any]
    lam: NDArray[Any]
    discrete: bool

    def rates(self) -> Array:
        """The decay of each mode per unit of time or step, inf for λ = 0 in discrete time."""
        if not self.discrete:
            return np.asarray(-self.lam.real)
        with np.errstate(divide="ignore"):
            return np.asarray(-np.log(np.abs(self.lam)))

    def memory(self, times: Array) -> Array:
        """|ρ̂(t)|_1."""
        waves = powers(self.lam, times) if self.discrete else np.exp(np.multiply.outer(self.lam, times))
        sums = self.coefficients.T @ waves
        return np.asarray(np.abs(2 * sums.real if np.iscomplexobj(waves) else sums).sum(0))

    def ratios(self, gain: float) -> tuple[float | None, float | None, float | None]:
        """The least gain·e^{-margin t}/|ρ̂(t)|_1, where it is (inf for the limit), and its limit; None where ρ̂ = 0."""
        rates = self.rates()
        slow, fast = float(rates.min()), float(np.abs(rates if self.discrete else self.lam).max())
        start = 1.0 if self.discrete else 1e-2 / fast
        times = np.append(0.0, np.geomspace(start, max(_LIVE / slow, 2 * start), _RATIO_POINTS))
        times = np.unique(np.rint(times)) if self.discrete else times
        waves = np.exp(np.multiply.outer(np.minimum(slow - rates, 0.0), times))  # e^{margin t} e^{λt} cannot underflow
        if np.iscomplexobj(self.lam):
            angles = np.angle(self.lam) if self.discrete else self.lam.imag
            waves = waves * np.exp(1j * np.multiply.outer(angles, times))
        elif self.discrete:
            waves = np.where((self.lam < 0)[:, None] & (times % 2 == 1), -waves, waves)
        sums = self.coefficients.T @ waves
        sizes = np.abs(2 * sums.real if np.iscomplexobj(sums) else sums).sum(0)
        place, last = int(np.argmax(sizes)), self._last(rates, slow)
        largest = max(float(sizes[place]), last or 0.0)
        if not largest > 0:
            return None, None, None
        late = None if last is None else (gain / last if last > 0 else math.inf)
        at_infinity = last is not None and last > largest * (1 - _AT_ITS_LIMIT)
        return gain / largest, math.inf if at_infinity else float(times[place]), late

    def _last(self, rates: Array, slow: float) -> float | None:
        """lim sup of |ρ̂(t)|_1 e^{margin t}; None where several oscillations are slowest."""
        slowest = rates <= slow * (1 + _SAME_RATE)
        parts = self.coefficients[slowest]
        if np.iscomplexobj(self.lam):
            lam = complex(self.lam[slowest][0])
            return largest_wave(torch.from_numpy(2 * parts[0]), lam, self.discrete) if len(parts) == 1 else None
        signs = np.where(self.lam[slowest] < 0, -1.0, 1.0)[:, None] if self.discrete else np.ones((len(parts), 1))
        return max(float(np.abs((s * parts).sum(0)).sum()) for s in (np.ones_like(signs), signs))

    def decay_rate(self) -> tuple[float, float] | None:
        sizes, rates = np.abs(self.coefficients).max(axis=1), self.rates()
        seen = (sizes > _UNSEEN * sizes.max(initial=0.0)) & np.isfinite(rates)
        if not seen.any():
            return None
        slow = float(rates[seen].min())
        slowest = int(np.argmax(seen & (rates == slow)))
        if self._rivals(slowest, slow, seen):
            return None
        lam = complex(self.lam[slowest])
        turn = abs(math.remainder(float(np.angle(lam)), math.pi)) if self.discrete else abs(lam.imag)
        if turn > _STILL:
            return self._rate_of_peaks(slow, turn)
        times = np.linspace(_LATE[0] / slow, _LATE[1] / slow, _DECAY_POINTS)
        times = np.unique(np.rint(times)) if self.discrete else times
        return estimate_decay(times, self.memory(times)).rate_interval

    def _rivals(self, slowest: int, slow: float, seen: NDArray[np.bool_]) -> bool:
        """Whether modes of nearly the slowest rate still change the rate that is seen, and do not die while one looks.

        Mode i moves the logarithmic slope of |ρ̂| by |λ_i - λ| |C_i|e^{-r_i t}/|ρ̂(t)| at most, to first order.
        """
        with np.errstate(divide="ignore"):
            exponents = np.log(self.lam.astype(np.complex128)) if self.discrete else self.lam
        near = seen & (self.rates() < slow * (1 + _NEARLY))
        moved = np.abs(exponents[near] - exponents[slowest]) * np.abs(self.coefficients[near]).sum(axis=1)
        begin = np.rint(np.array([_LATE[0] / slow])) if self.discrete else np.array([_LATE[0] / slow])
        left = float((self.memory(begin) * np.exp(slow * begin))[0])
        return bool((moved > _SEEN_MOVE * slow * left).any())

    def _rate_of_peaks(self, slow: float, turn: float) -> tuple[float, float] | None:
        """From times of equal phase near a peak of an oscillation that turns by so much; None where these are few.

        In discrete time the highest of each block of steps, which holds half a turn: values low by at most P = -log cos
        of half the widest gap of its phases. That leaves a least-squares slope over a time T open by 1.5 P/T, and by
        3 P/T on half of the window.
        """
        first, most, half = _LATE[0] / slow, (_LAST - _LATE[0]) / slow, math.pi / turn
        wanted = (_LATE[1] - _LATE[0]) / slow / _DECAY_POINTS
        if self.discrete:
            step = float(math.floor(max(wanted, half + 1, _FEWEST_STEPS, min(_STEPS, most / _DECAY_POINTS * 2))))
        else:
            step = half * max(1, round(wanted / half))
        count = min(_DECAY_POINTS, int(most / step))
        if count < _FEWEST_PEAKS or (self.discrete and half > _MOST_STEPS):
            return None
        if not self.discrete:
            near = first + half * np.arange(_PHASES) / _PHASES
            times = near[np.argmax(self.memory(near) * np.exp(slow * (near - first)))] + step * np.arange(count)
            return estimate_decay(times, self.memory(times)).rate_interval
        steps = np.arange(min(step, _MOST_STEPS))
        block = math.ceil(first) + step * np.arange(count)[:, None] + steps
        sizes = self.memory(block.ravel()).reshape(block.shape)
        place = np.argmax(sizes * np.exp(slow * (block - block[:, :1])), axis=1)[:, None]
        times = np.take_along_axis(block, place, 1).ravel()
        interval = estimate_decay(times, np.take_along_axis(sizes, place, 1).ravel()).rate_interval
        if interval is None:
            return None
        phases = np.sort(turn * steps % math.pi)
        gap = float(np.diff(phases, append=phases[0] + math.pi).max())
        more = -3 * math.log(math.cos(min(gap / 2, 1.5))) / float(np.ptp(times))
        return interval[0] - more, interval[1] + more
