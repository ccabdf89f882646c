"""What a target kernel ρ(t), t ≥ 0, knows: values, slopes, jumps, tails, decay, spectral measure; sums of kernels.

tail(T) = ∫_T^∞ |ρ(t)| dt,    tail_variation(T) = total variation of ρ on (T, ∞), with ρ(∞) = 0.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numerics.arguments import real_array

if TYPE_CHECKING:
    import sympy as sp

Array = NDArray[np.float64]

EPS = float(np.finfo(np.float64).eps)
LARGEST = 1e100
"""Parameters, times and values of data are at most so large and positive parameters at least 1/LARGEST, which keeps
products of three of them in the range of float64."""
ULPS = 16
"""Closed forms are taken to be right to so many units in the last place; enclosures are widened by them."""


class TailBounds(NamedTuple):
    """lower ≤ the true value ≤ upper; upper may be inf."""

    lower: float
    upper: float


@dataclass(frozen=True)
class Decay:
    """How ρ decays: its kind and, where there is one, the rate of e^{-rate t} or the exponent of t^{-exponent}.

    Kinds: "polynomial", "exponential", "superexponential", "compact" (zero from some time on), "none" (no decay) and
    "unknown". In a sum the slowest term counts; cancellation between terms is not looked for.
    """

    kind: str
    rate: float | None = None
    exponent: float | None = None


@dataclass(frozen=True)
class GammaDensity:
    """The density scale · s^p x^{p-1} e^{-sx} / Γ(p) of rates x > 0; its Laplace transform is scale · (1+t/s)^{-p}."""

    p: float
    s: float
    scale: float


@dataclass(frozen=True)
class SpectralMeasure:
    """The positive measure μ of a completely monotone kernel, ρ(t) = ∫_0^∞ e^{-xt} μ(dx) (Bernstein's theorem).

    `atoms` are pairs (rate, weight): weight · e^{-rate t}; `densities` are the absolutely continuous parts.
    """

    atoms: tuple[tuple[float, float], ...] = ()
    densities: tuple[GammaDensity, ...] = ()


class Target(ABC):
    """One scalar kernel ρ on [0, ∞), continued by 0 to t < 0. Arrays of times may have any shape."""

    @property
    @abstractmethod
    def spec(self) -> str:
        """The text that `parse_target` reads (for a callable only its name)."""

    @abstractmethod
    def rho(self, t: ArrayLike) -> Array:
        """ρ(t), in the shape of t ≥ 0."""

    @abstractmethod
    def slope(self, t: ArrayLike) -> Array:
        """ρ'(t) where it exists."""

    @abstractmethod
    def tail(self, start: float = 0.0) -> TailBounds:
        """Enclosure of ∫_start^∞ |ρ(t)| dt; inf where ρ is not integrable."""

    @abstractmethod
    def tail_variation(self, start: float = 0.0) -> TailBounds:
        """Enclosure of the total variation of ρ on (start, ∞) with ρ(∞) = 0: ∫|ρ'| + jumps after `start`."""

    @property
    @abstractmethod
    def decay(self) -> Decay: ...

    @property
    @abstractmethod
    def first_moment(self) -> float:
        """∫_0^∞ t ρ(t) dt, ±inf where it diverges, NaN where it has no value or is not known."""

    @property
    @abstractmethod
    def time_scales(self) -> tuple[float, ...]:
        """Times over which ρ changes noticeably: the shortest decides where a logarithmic grid must begin."""

    @property
    def jumps(self) -> tuple[tuple[float, float], ...]:
        """(time, ρ(time+) - ρ(time-)) on (0, ∞)."""
        return ()

    @property
    def breaks(self) -> tuple[float, ...]:
        """Times in (0, ∞) at which ρ or ρ' jumps, or near which ρ has a narrow feature: panels end there."""
        return tuple(time for time, _ in self.jumps)

    @property
    def sign(self) -> int:
        """1 where ρ ≥ 0 everywhere, -1 where ρ ≤ 0 everywhere, 0 where neither is known."""
        return 0

    @property
    def is_monotone(self) -> bool:
        """Whether |ρ| is known not to increase on [0, ∞)."""
        return False

    @property
    def completely_monotone(self) -> bool:
        return self.measure is not None

    @property
    def measure(self) -> SpectralMeasure | None:
        """The spectral measure of a completely monotone kernel, None for all others."""
        return None

    @property
    def expression(self) -> sp.Expr | None:
        """ρ in theory.notation.t, every parameter the exact decimal that prints it; None where there is no formula."""
        return None

    @property
    def terms(self) -> tuple[Target, ...]:
        """The terms of a sum; the kernel itself where it is none."""
        return (self,)

    @property
    def has_slope(self) -> bool:
        """Whether `slope` is accurate to a few units in the last place."""
        return True

    def right_limit(self, time: float) -> float:
        """ρ(time+)."""
        return float(self.rho(time))

    def sampled_tail(self, first: int, step: float = 1.0) -> TailBounds:
        """Enclosure of Σ_{k ≥ first} |ρ(k·step)|, first ≥ 1.

        |ρ(k·step)| differs from its mean over ((k-1)·step, k·step) by at most the variation of ρ there, hence
        |Σ - ∫_{(first-1)·step}^∞ |ρ| / step| ≤ total variation on that range.
        """
        check_samples(first, step)
        begin = (first - 1) * step
        integral, variation = self.tail(begin), self.tail_variation(begin)
        return TailBounds(max(0.0, integral.lower / step - variation.upper), integral.upper / step + variation.upper)

    @property
    def is_integrable(self) -> bool:
        return math.isfinite(self.tail(0.0).upper)

    def require_integrable(self) -> None:
        """Raises ValueError where ∫|ρ| is infinite: no norm of ρ minus a stable model is finite then."""
        if not self.is_integrable:
            raise ValueError(f"target {self.spec!r}: {self._why_not_integrable()}")

    def _why_not_integrable(self) -> str:
        return "its L1 norm is infinite"

    def __add__(self, other: Target) -> Target:
        return TargetSum((*self.terms, *other.terms))


def checked_times(t: ArrayLike) -> Array:
    times = real_array("t", t)
    if not np.all(times >= 0):
        raise ValueError(f"t must be at least 0, got {float(times[~(times >= 0)][0])!r}")
    return times


def check_samples(first: int, step: float) -> None:
    if first < 1 or not 0 < step < math.inf:
        raise ValueError(f"first must be at least 1 and step positive, got {first!r} and {step!r}")


def around(value: float) -> TailBounds:
    """A value of a closed form, widened by its rounding error."""
    if math.isinf(value):
        return TailBounds(value, value)
    slack = ULPS * EPS * abs(value)
    return TailBounds(max(0.0, value - slack), value + slack + (5e-324 if value else 0.0))


def checked_start(start: float) -> float:
    if not start >= 0:
        raise ValueError(f"start must be at least 0, got {start!r}")
    return float(start)


def require(name: str, value: float, *, positive: bool = False) -> None:
    """Raises ValueError for a parameter that is not a finite number of a size that float64 can work with."""
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value!r}")
    if positive and not value > 0:
        raise ValueError(f"{name} must be greater than 0, got {value!r}")
    if abs(value) > LARGEST or (positive and value < 1 / LARGEST):
        sizes = f"between {1 / LARGEST:g} and" if positive else "at most"
        raise ValueError(f"{name} must be {sizes} {LARGEST:g} in size, got {value!r}")


def exact(value: float) -> sp.Rational:
    import sympy as sp

    return sp.Rational(repr(float(value)))


def sign_of(value: float) -> int:
    return (value > 0) - (value < 0)


def spec_text(name: str, **parameters: float) -> str:
    """The spec, without parameters that have the value of its own default (scale = 1)."""
    shown = {key: value for key, value in parameters.items() if (key, value) != ("scale", 1.0)}
    return ":".join([name, *(f"{key}={value!r}" for key, value in shown.items())])


_SLOWEST_FIRST = ("none", "unknown", "polynomial", "exponential", "superexponential", "compact")


@dataclass(frozen=True)
class TargetSum(Target):
    """The sum of two or more kernels. Tails are exact where all terms have one sign, otherwise enclosed.

    With terms of both signs: |∫|Σρ_i| lies between the largest tail minus the others' and the sum of all tails.
    """

    summands: tuple[Target, ...]

    @property
    def terms(self) -> tuple[Target, ...]:
        return self.summands

    @property
    def spec(self) -> str:
        return "+".join(term.spec for term in self.terms)

    def rho(self, t: ArrayLike) -> Array:
        return np.asarray(sum(term.rho(t) for term in self.terms))

    def slope(self, t: ArrayLike) -> Array:
        return np.asarray(sum(term.slope(t) for term in self.terms))

    def right_limit(self, time: float) -> float:
        return sum(term.right_limit(time) for term in self.terms)

    def tail(self, start: float = 0.0) -> TailBounds:
        return _combined([term.tail(start) for term in self.terms], self.sign != 0)

    def tail_variation(self, start: float = 0.0) -> TailBounds:
        bounds = _combined([term.tail_variation(start) for term in self.terms], self.is_monotone)
        return TailBounds(max(bounds.lower, abs(self.right_limit(start)) * (1 - ULPS * EPS)), bounds.upper)

    def sampled_tail(self, first: int, step: float = 1.0) -> TailBounds:
        return _combined([term.sampled_tail(first, step) for term in self.terms], self.sign != 0)

    @property
    def decay(self) -> Decay:
        classes = [term.decay for term in self.terms]
        kind = min((decay.kind for decay in classes), key=_SLOWEST_FIRST.index)
        same = [decay for decay in classes if decay.kind == kind]
        return min(same, key=lambda decay: (decay.rate or 0.0) + (decay.exponent or 0.0))

    @property
    def first_moment(self) -> float:
        return float(sum(term.first_moment for term in self.terms))

    @property
    def time_scales(self) -> tuple[float, ...]:
        return tuple(sorted({scale for term in self.terms for scale in term.time_scales}))

    @property
    def jumps(self) -> tuple[tuple[float, float], ...]:
        sizes: dict[float, float] = {}
        for term in self.terms:
            for time, size in term.jumps:
                sizes[time] = sizes.get(time, 0.0) + size
        return tuple(sorted((time, size) for time, size in sizes.items() if size))

    @property
    def breaks(self) -> tuple[float, ...]:
        return tuple(sorted({time for term in self.terms for time in term.breaks}))

    @property
    def sign(self) -> int:
        signs = {term.sign for term in self.terms}
        return signs.pop() if len(signs) == 1 else 0

    @property
    def is_monotone(self) -> bool:
        return self.sign != 0 and all(term.is_monotone for term in self.terms)

    @property
    def measure(self) -> SpectralMeasure | None:
        parts = [term.measure for term in self.terms]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        return SpectralMeasure(
            tuple(atom for part in known for atom in part.atoms),
            tuple(density for part in known for density in part.densities),
        )

    @property
    def expression(self) -> sp.Expr | None:
        import sympy as sp

        parts = [term.expression for term in self.terms]
        return None if any(part is None for part in parts) else sp.Add(*parts)

    @property
    def has_slope(self) -> bool:
        return all(term.has_slope for term in self.terms)

    def _why_not_integrable(self) -> str:
        term = next(term for term in self.terms if not term.is_integrable)
        return f"of its term {term.spec!r}, {term._why_not_integrable()}"


def _combined(bounds: list[TailBounds], exact: bool) -> TailBounds:
    """The bounds of a sum: added up, or between the largest minus the others and the sum."""
    upper = sum(bound.upper for bound in bounds)
    if exact:
        return TailBounds(sum(bound.lower for bound in bounds), upper)
    if math.isinf(upper):
        return TailBounds(0.0, upper)
    return TailBounds(max(0.0, *(bound.lower - (upper - bound.upper) for bound in bounds)), upper)
