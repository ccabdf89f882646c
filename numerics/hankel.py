"""The limit of approximation: how close any stable linear model with m states can come to a target.

Let e = ρ - ρ̂ on [0, ∞), where ρ̂ has state dimension m (a conjugate pair counts 2), and
(Γ_kφ)(s) = ∫_0^∞ k(s+t) φ(t) dt on L²(0, ∞).

1. ‖e‖_{L¹} ≥ sup_ω |∫e(t) e^{-iωt} dt| ≥ ‖Γ_e‖, since Γ_e is a compression of the convolution by e, after a reflection.
2. Γ_ρ̂ has rank at most m: ρ̂(s+t) = cᵀe^{As} e^{At}b. Eckart and Young: ‖Γ_ρ - Γ_ρ̂‖ ≥ σ_{m+1}(Γ_ρ).
3. The derivative of e on R is the measure e(0) δ_0 + Σ_j J_j δ_{t_j} + e'(t) dt, with the jumps J_j of ρ at t_j > 0: ρ̂
   is smooth there and removes none of them. Its total variation is |e(0)| + Σ_j |J_j| + ∫|e'|. Parts 1 and 2 apply to
   e', since ρ̂'(s+t) = cᵀe^{As} A e^{At}b has rank m too. The atom at 0 adds nothing to a Hankel operator (s + t = 0 is
   a null set) and |e(0)| can be 0.

Together, for the norm ‖e‖_W = ∫|e| + total variation of e,

    E_m(0) ≥ σ_{m+1}(Γ_ρ) + σ_{m+1}(Γ_ρ') + Σ_j |J_j|,   ρ' the classical derivative between the jumps.

(Taking the jumps into the Hankel operator of ρ' as a distribution is never better: σ_{m+1}(X + Y) ≤ σ_{m+1}(X) + ‖Y‖
and ‖Γ_{J_j δ}‖ = |J_j|.) Hence a target that jumps at some t > 0 is never approximated in this norm.
Source: derived here; Eckart and Young 1936; Nehari 1957. Printed lower bounds are rounded down.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numerics import cauchy, extended, galerkin
from numerics.spectral import signed_measure, slope_measure
from numerics.targets import SpectralMeasure, Target

Array = NDArray[np.float64]

MAX_DIM = 1000
_SLOPE_ERROR = 1e-8  # of a difference quotient, relative to the largest singular value
_RESOLVED = 1e-6
"""A value is resolved where its bounds are no further apart than this fraction of it (or it is known to be 0)."""


@dataclass(frozen=True)
class HankelSpectrum:
    """The largest singular values σ_1 ≥ σ_2 ≥ … of Γ_ρ, or of Γ_ρ' where `derivative`; all arrays have shape (count,).

    values: best estimates; lower: true lower bounds (up to estimated quadrature error for the methods "galerkin" and
    "… and extended precision"); upper_estimate: bounds for method "cauchy", estimates otherwise.
    """

    values: Array
    lower: Array
    upper_estimate: Array
    derivative: bool
    method: str

    @property
    def resolved(self) -> NDArray[np.bool_]:
        """Where the bounds are at most 1e-6 of the value apart; elsewhere rounding errors may be all there is."""
        close = self.upper_estimate - self.lower <= _RESOLVED * self.values
        return np.asarray(close & ((self.values == 0) | (self.values >= np.finfo(np.float64).tiny)))


@dataclass(frozen=True)
class LimitRow:
    """For state dimension m: σ_{m+1}(Γ_ρ), and a lower bound of E_m(0), rounded down.

    Where `resolved` is False, `hankel_singular_value` is not the value to 1e-6 but an upper estimate of it. The lower
    bound holds all the same (and gets 0 from singular values that could be 0).
    """

    m: int
    hankel_singular_value: float
    error_lower: float
    resolved: bool = True

    def as_json(self) -> dict[str, Any]:
        """{"m", "hankel_singular_value", "error_lower"}, with "resolved": false where it is not True."""
        return {key: value for key, value in vars(self).items() if key != "resolved" or not value}


@dataclass(frozen=True)
class LimitTable:
    """Lower bounds of E_m(0) for several m, in the order asked."""

    target: str
    rows: tuple[LimitRow, ...]

    def as_json(self) -> dict[str, Any]:
        """{"rows": [...]} of `LimitRow.as_json`."""
        return {"rows": [row.as_json() for row in self.rows]}


def hankel_singular_values(target: Target, count: int, derivative: bool = False) -> HankelSpectrum:
    """The `count` largest Hankel singular values of a kernel, or of its derivative between the jumps.

        (Γφ)(s) = ∫_0^∞ k(s+t) φ(t) dt on L²(0, ∞),   k = ρ or ρ'.

    Completely monotone kernels (and their negatives): to high relative accuracy, however small, see numerics.cauchy.
    Differences of such: the same matrix with signs, to 1e-14 of σ_1. All others: compression in time, to 1e-6 relative
    where the value exceeds about 1e-8 of σ_1 (numerics.galerkin). Where that is not enough and the target has an
    analytic formula, in extended precision (numerics.extended), down to 1e-100 of σ_1; without a formula small values
    have large slack, or the lower bound 0, and are not `resolved`.
    Source: derived here. Raises: ValueError where count is not a positive integer up to MAX_DIM + 1, or ρ is not in L¹.
    """
    _require_positive("count", count, MAX_DIM + 1)
    target.require_integrable()
    parts = signed_measure(target)
    if parts is not None:
        plus, minus = (_without_zeros(slope_measure(part) if derivative else part) for part in parts)
        bounds, method = _from_measures(plus, minus, count)
    elif target.measure is not None:
        measure = _without_zeros(target.measure)
        bounds, method = cauchy.singular_values(slope_measure(measure) if derivative else measure, count), "cauchy"
    else:
        bounds, method = _in_time(target, count, derivative), "galerkin"
    spectrum = HankelSpectrum(*bounds, derivative=derivative, method=method)
    return spectrum if method == "cauchy" or np.all(spectrum.resolved) else _extended(target, spectrum)


def limit_table(target: Target, dims: Sequence[int]) -> LimitTable:
    """σ_{m+1}(Γ_ρ) and the lower bound of E_m(0), for each state dimension m in `dims`.

        E_m(0) ≥ σ_{m+1}(Γ_ρ) + σ_{m+1}(Γ_ρ') + Σ_j |J_j|   (see the module's text).

    Time: seconds for m up to 64. Exponents p near 1 need a grid of length 20/(p-1) in the logarithm of the rates: p =
    1.001 takes about 20 seconds; for p = 1.0001 it is cut, and the rows are not `resolved`.
    Source: derived here. Raises: ValueError where `dims` is empty or a dimension is not an integer from 1 to MAX_DIM,
    or where ρ is not in L¹.
    """
    if not len(dims):
        raise ValueError("m must list at least one dimension")
    for m in dims:
        _require_positive("m", m, MAX_DIM)
    count = max(dims) + 1
    size, change = (hankel_singular_values(target, count, derivative) for derivative in (False, True))
    jumps = math.fsum(abs(jump) for _, jump in target.jumps)
    shown, resolved = np.where(size.resolved, size.values, size.upper_estimate), size.resolved
    rows = [
        LimitRow(
            int(m), float(shown[m]), _down(_down(float(size.lower[m]) + float(change.lower[m])) + jumps),
            bool(resolved[m]),
        )
        for m in dims
    ]  # fmt: skip
    return LimitTable(target.spec, tuple(rows))


def approximation_limit(target: Target, m: int) -> float:
    """The best lower bound known here of E_m(0), the distance from ρ to all stable linear models with m states.

    It is that of `limit_table` or, where larger and ρ is completely monotone,

        E_m(0) ≥ ∫|e| + ∫|e'| ≥ ‖e - e'‖_{L¹} ≥ σ_{m+1}(Γ_{ρ-ρ'}),

    since ρ̂ - ρ̂' has state dimension m too. ρ - ρ' has the spectral measure (1+x) dμ, so that Γ_{ρ-ρ'} is the sum of two
    positive operators; their small singular values do not sit on the same vectors, and it gains up to a factor of 2.
    Source: derived here. Raises: ValueError as `limit_table`.
    """
    common = limit_table(target, [m]).rows[0].error_lower
    if target.measure is None:
        return common
    size = _without_zeros(target.measure)
    change = slope_measure(size)
    mixed = SpectralMeasure((*size.atoms, *change.atoms), (*size.densities, *change.densities))
    if mixed == SpectralMeasure():
        return common
    return max(common, float(cauchy.singular_values(mixed, m + 1)[1][m]))


def _require_positive(name: str, value: int, largest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value <= largest:
        raise ValueError(f"{name} must be an integer from 1 to {largest}, got {value!r}")


def _down(value: float) -> float:
    """The next float below, where it is positive."""
    return math.nextafter(value, 0.0) if value > 0 else 0.0


def _without_zeros(measure: SpectralMeasure) -> SpectralMeasure:
    return SpectralMeasure(
        tuple(atom for atom in measure.atoms if atom[1] > 0),
        tuple(density for density in measure.densities if density.scale > 0),
    )


def _from_measures(plus: SpectralMeasure, minus: SpectralMeasure, count: int) -> tuple[tuple[Array, Array, Array], str]:
    empty = SpectralMeasure()
    if plus == minus:
        return (np.zeros(count), np.zeros(count), np.zeros(count)), "cauchy"
    if empty in (plus, minus):
        return cauchy.singular_values(minus if plus == empty else plus, count), "cauchy"
    return cauchy.signed_singular_values(plus, minus, count), "signed cauchy"


def _extended(target: Target, spectrum: HankelSpectrum) -> HankelSpectrum:
    """The spectrum with all values up to the last that is not resolved replaced by those in extended precision."""
    count = int(np.flatnonzero(~spectrum.resolved)[-1]) + 1
    value, lower = float(spectrum.values[count - 1]), float(spectrum.lower[count - 1])
    guess = value / float(spectrum.values[0]) if lower > 0.5 * value else 1e-16
    found = extended.singular_values(target, count, spectrum.derivative, guess)
    if found is None:
        return spectrum
    values, low, upper = (np.concatenate([new, old[count:]]) for new, old in zip(
        found, (spectrum.values, spectrum.lower, spectrum.upper_estimate), strict=True
    ))  # fmt: skip
    lower_bounds = np.minimum(np.maximum(low, spectrum.lower), values)
    return HankelSpectrum(values, lower_bounds, upper, spectrum.derivative, f"{spectrum.method} and extended precision")


def _in_time(target: Target, count: int, derivative: bool) -> tuple[Array, Array, Array]:
    """By compression to [0, T], T such that the tail of |ρ| is below 1e-15 of ∫|ρ|."""
    end = _support(target)
    tail = target.tail_variation(end) if derivative else target.tail(end)
    kernel = target.slope if derivative else target.rho
    scales = [time for time in target.time_scales if time > end / 1e12]
    shortest = min(scales, default=end)
    values, lower, upper = galerkin.singular_values(kernel, count, target.breaks, end, shortest, tail.upper)
    if derivative and not target.has_slope:
        lower = np.maximum(lower - _SLOPE_ERROR * values[0], 0.0)
    return values, lower, upper


def _support(target: Target) -> float:
    if target.decay.kind == "compact" and target.breaks and target.tail(target.breaks[-1]).upper == 0:
        return target.breaks[-1]
    end, goal = max(target.time_scales), 1e-15 * target.tail(0.0).upper
    for _ in range(3000):
        if target.tail(end).upper <= goal or end > 1e150:
            break
        end *= 1.3
    return end
