"""Target kernels in closed form: exponential, polynomial, shift, two-part, Airy, sine.

Source: the targets of the StableSSM experiments; their polynomial (1 + 0.1 t)^{-1.1} has p = 1.1 and s = 10.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from numerics.target_base import (
    Array,
    Decay,
    GammaDensity,
    SpectralMeasure,
    TailBounds,
    Target,
    around,
    check_samples,
    checked_start,
    checked_times,
    exact,
    require,
    sign_of,
    spec_text,
)

if TYPE_CHECKING:
    import sympy as sp


_MOST_SAMPLES = 10_000_000
"""Times that are counted one by one."""


@dataclass(frozen=True)
class Exponential(Target):
    """scale · e^{-rate t}, rate > 0. Raises: ValueError for other or infinite parameters."""

    rate: float = 1.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        require("rate", self.rate, positive=True)
        require("scale", self.scale)

    @property
    def spec(self) -> str:
        return spec_text("exponential", rate=float(self.rate), scale=float(self.scale))

    def rho(self, t: ArrayLike) -> Array:
        return np.asarray(self.scale * np.exp(-self.rate * checked_times(t)))

    def slope(self, t: ArrayLike) -> Array:
        return -self.rate * self.rho(t)

    def tail(self, start: float = 0.0) -> TailBounds:
        return around(abs(self.right_limit(checked_start(start))) / self.rate)

    def tail_variation(self, start: float = 0.0) -> TailBounds:
        return around(abs(self.right_limit(checked_start(start))))

    def sampled_tail(self, first: int, step: float = 1.0) -> TailBounds:
        check_samples(first, step)
        return around(abs(self.right_limit(first * step)) / -math.expm1(-self.rate * step))

    @property
    def decay(self) -> Decay:
        return Decay("exponential", rate=self.rate)

    @property
    def first_moment(self) -> float:
        return self.scale / self.rate**2

    @property
    def time_scales(self) -> tuple[float, ...]:
        return (1 / self.rate,)

    @property
    def sign(self) -> int:
        return sign_of(self.scale)

    @property
    def is_monotone(self) -> bool:
        return True

    @property
    def measure(self) -> SpectralMeasure | None:
        return SpectralMeasure(atoms=((self.rate, self.scale),)) if self.scale >= 0 else None

    @property
    def expression(self) -> sp.Expr:
        import sympy as sp

        from theory.notation import t

        return exact(self.scale) * sp.exp(-exact(self.rate) * t)


@dataclass(frozen=True)
class Polynomial(Target):
    """scale · (1 + t/s)^{-p}, p > 0, s > 0; in L¹ only for p > 1. Raises: ValueError for other parameters."""

    p: float
    s: float = 1.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        require("p", self.p, positive=True)
        require("s", self.s, positive=True)
        require("scale", self.scale)

    @property
    def spec(self) -> str:
        return spec_text("polynomial", p=float(self.p), s=float(self.s), scale=float(self.scale))

    def rho(self, t: ArrayLike) -> Array:
        return np.asarray(self.scale * np.exp(-self.p * np.log1p(checked_times(t) / self.s)))

    def slope(self, t: ArrayLike) -> Array:
        return -self.p / (self.s + checked_times(t)) * self.rho(t)

    def tail(self, start: float = 0.0) -> TailBounds:
        """|scale| s/(p-1) (1+start/s)^{1-p} for p > 1."""
        scaled = checked_start(start) / self.s
        if self.p <= 1:
            return around(math.inf if self.scale else 0.0)
        return around(abs(self.scale) * self.s / (self.p - 1) * math.exp((1 - self.p) * math.log1p(scaled)))

    def tail_variation(self, start: float = 0.0) -> TailBounds:
        return around(abs(self.right_limit(checked_start(start))))

    def sampled_tail(self, first: int, step: float = 1.0) -> TailBounds:
        """|scale| (s/step)^p ζ(p, first + s/step), Hurwitz's zeta function."""
        from scipy.special import zeta

        check_samples(first, step)
        if self.p <= 1:
            return self.tail()
        ratio = self.s / step
        if self.p * abs(math.log(ratio)) > 600 or self.p * math.log(first + ratio) > 600:  # powers out of range
            return super().sampled_tail(first, step)
        return around(abs(self.scale) * float(ratio**self.p * zeta(self.p, first + ratio)))

    @property
    def decay(self) -> Decay:
        return Decay("polynomial", exponent=self.p)

    @property
    def first_moment(self) -> float:
        if self.p <= 2:
            return math.copysign(math.inf, self.scale) if self.scale else 0.0
        return self.scale * self.s**2 / ((self.p - 1) * (self.p - 2))

    @property
    def time_scales(self) -> tuple[float, ...]:
        return (self.s / max(1.0, self.p),)

    @property
    def sign(self) -> int:
        return sign_of(self.scale)

    @property
    def is_monotone(self) -> bool:
        return True

    @property
    def measure(self) -> SpectralMeasure | None:
        return SpectralMeasure(densities=(GammaDensity(self.p, self.s, self.scale),)) if self.scale >= 0 else None

    @property
    def expression(self) -> sp.Expr:
        from theory.notation import t

        return exact(self.scale) * (1 + t / exact(self.s)) ** -exact(self.p)

    def _why_not_integrable(self) -> str:
        return f"its L1 norm is infinite, since p = {self.p:g} is not greater than 1"


@dataclass(frozen=True)
class Shift(Target):
    """scale · 1_{start < t < end}, 0 ≤ start < end. Raises: ValueError for other parameters."""

    start: float = 9.0
    end: float = 11.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("start", "end", "scale"):
            require(name, getattr(self, name))
        if not 0 <= self.start < self.end:
            raise ValueError(f"start and end must satisfy 0 <= start < end, got {self.start!r} and {self.end!r}")

    @property
    def spec(self) -> str:
        return spec_text("shift", start=float(self.start), end=float(self.end), scale=float(self.scale))

    def rho(self, t: ArrayLike) -> Array:
        times = checked_times(t)
        return np.where((self.start < times) & (times < self.end), self.scale, 0.0)

    def slope(self, t: ArrayLike) -> Array:
        return np.zeros_like(checked_times(t))

    def right_limit(self, time: float) -> float:
        return self.scale if self.start <= time < self.end else 0.0

    def tail(self, start: float = 0.0) -> TailBounds:
        return around(abs(self.scale) * max(0.0, self.end - max(checked_start(start), self.start)))

    def tail_variation(self, start: float = 0.0) -> TailBounds:
        return around(abs(self.scale) * sum(time > checked_start(start) for time in (self.start, self.end)))

    def sampled_tail(self, first: int, step: float = 1.0) -> TailBounds:
        """|scale| times the number of k ≥ first with start < k·step < end."""
        check_samples(first, step)
        if (self.end - self.start) / step > _MOST_SAMPLES:
            return super().sampled_tail(first, step)
        begin = max(first, math.floor(self.start / step) - 1)
        k = np.arange(begin, max(begin, math.ceil(self.end / step) + 2), dtype=np.float64)
        return around(abs(self.scale) * int(np.count_nonzero((self.start < k * step) & (k * step < self.end))))

    @property
    def jumps(self) -> tuple[tuple[float, float], ...]:
        return tuple(pair for pair in ((self.start, self.scale), (self.end, -self.scale)) if pair[0] > 0)

    @property
    def decay(self) -> Decay:
        return Decay("compact")

    @property
    def first_moment(self) -> float:
        return self.scale * (self.end - self.start) * (self.end + self.start) / 2

    @property
    def time_scales(self) -> tuple[float, ...]:
        return (self.end - self.start, self.end)

    @property
    def sign(self) -> int:
        return sign_of(self.scale)

    @property
    def is_monotone(self) -> bool:
        return self.start == 0

    @property
    def expression(self) -> sp.Expr:
        import sympy as sp

        from theory.notation import t

        after = 1 if self.start == 0 else sp.Heaviside(t - exact(self.start))
        return exact(self.scale) * after * sp.Heaviside(exact(self.end) - t)


@dataclass(frozen=True)
class TwoPart(Target):
    """scale · (e^{-t} + e^{-(t-9)²}): an exponential and a hump. Raises: ValueError for an infinite scale."""

    scale: float = 1.0

    _CENTRE = 9.0
    _VANISHED = 1e3  # e^{-1000} is 0

    def __post_init__(self) -> None:
        require("scale", self.scale)

    @property
    def spec(self) -> str:
        return spec_text("two-part", scale=float(self.scale))

    def rho(self, t: ArrayLike) -> Array:
        times = np.minimum(checked_times(t), self._VANISHED)
        return np.asarray(self.scale * (np.exp(-times) + np.exp(-((times - self._CENTRE) ** 2))))

    def slope(self, t: ArrayLike) -> Array:
        times = np.minimum(checked_times(t), self._VANISHED)
        from_centre = times - self._CENTRE
        return np.asarray(self.scale * (-np.exp(-times) - 2 * from_centre * np.exp(-(from_centre**2))))

    def tail(self, start: float = 0.0) -> TailBounds:
        hump = 0.5 * math.sqrt(math.pi) * math.erfc(checked_start(start) - self._CENTRE)
        return around(abs(self.scale) * (math.exp(-start) + hump))

    @cached_property
    def _extrema(self) -> tuple[float, float]:
        """The minimum before the hump and its maximum, by bisection: with y = 9 - t, log(2y) - y² = y - 9."""
        found = []
        for low, high in ((9.0, 1.0), (1e-9, 1.0)):  # the difference is negative at `low`, positive at `high`
            for _ in range(60):
                y = 0.5 * (low + high)
                low, high = (y, high) if math.log(2 * y) - y * y - y + self._CENTRE < 0 else (low, y)
            found.append(self._CENTRE - low)
        return found[0], found[1]

    def tail_variation(self, start: float = 0.0) -> TailBounds:
        """Σ |ρ(b) - ρ(a)| over the monotone pieces; an error δ of an extremum changes it by O(δ²)."""
        ends = [checked_start(start), *(time for time in self._extrema if time > start)]
        values = [*(self.right_limit(time) for time in ends), 0.0]
        return around(sum(abs(y - x) for x, y in pairwise(values)))

    @property
    def breaks(self) -> tuple[float, ...]:
        return (self._CENTRE - 4, self._CENTRE, self._CENTRE + 4)

    @property
    def decay(self) -> Decay:
        return Decay("exponential", rate=1.0)

    @property
    def first_moment(self) -> float:
        """scale · (1 + e^{-81}/2 + 9 √π/2 erfc(-9))."""
        hump = 0.5 * math.exp(-(self._CENTRE**2)) + self._CENTRE * 0.5 * math.sqrt(math.pi) * math.erfc(-self._CENTRE)
        return self.scale * (1 + hump)

    @property
    def time_scales(self) -> tuple[float, ...]:
        return (1.0, self._CENTRE)

    @property
    def sign(self) -> int:
        return sign_of(self.scale)

    @property
    def expression(self) -> sp.Expr:
        import sympy as sp

        from theory.notation import t

        return exact(self.scale) * (sp.exp(-t) + sp.exp(-((t - 9) ** 2)))


@lru_cache(maxsize=1000)
def _airy_pieces(x: float, derivative: int) -> float:
    """∫_x^∞ |Ai| (derivative = -1) or ∫_x^∞ |Ai'| (0) for x ≥ -6, cut at the sign changes, to 30 digits."""
    import mpmath

    if x > 100:  # Ai(100) < 1e-290
        return 0.0
    with mpmath.workdps(30 + int(0.3 * max(x, 0.0) ** 1.5)):
        zeros = [mpmath.airyaizero(k, derivative=derivative + 1) for k in (1, 2, 3)] if x < 0 else []
        ends = [mpmath.mpf(x), *sorted(z for z in zeros if z > x)]
        values = [mpmath.airyai(end, derivative=derivative) for end in ends]
        values.append(mpmath.mpf(1) / 3 if derivative == -1 else mpmath.mpf(0))
        return float(sum(abs(b - a) for a, b in pairwise(values)))


@dataclass(frozen=True)
class Airy(Target):
    """scale · Ai(t - 6): oscillates until its last zero at t = 3.66, then decays like e^{-(2/3)(t-6)^{3/2}}."""

    scale: float = 1.0

    _SHIFT = 6.0
    _VANISHED = 110.0  # Ai(110) < 1e-335, that is 0

    def __post_init__(self) -> None:
        require("scale", self.scale)

    @property
    def spec(self) -> str:
        return spec_text("airy", scale=float(self.scale))

    def rho(self, t: ArrayLike) -> Array:
        from scipy.special import airy

        return np.asarray(self.scale * airy(np.minimum(checked_times(t) - self._SHIFT, self._VANISHED))[0])

    def slope(self, t: ArrayLike) -> Array:
        from scipy.special import airy

        return np.asarray(self.scale * airy(np.minimum(checked_times(t) - self._SHIFT, self._VANISHED))[1])

    def tail(self, start: float = 0.0) -> TailBounds:
        value = around(abs(self.scale) * _airy_pieces(checked_start(start) - self._SHIFT, -1))
        return TailBounds(value.lower, value.upper + abs(self.scale) * 1e-290)

    def tail_variation(self, start: float = 0.0) -> TailBounds:
        value = around(abs(self.scale) * _airy_pieces(checked_start(start) - self._SHIFT, 0))
        return TailBounds(value.lower, value.upper + abs(self.scale) * 1e-290)

    @property
    def decay(self) -> Decay:
        return Decay("superexponential")

    @property
    def first_moment(self) -> float:
        """∫ (x+6) Ai(x) dx from -6, where x Ai = Ai'': scale · (-Ai'(-6) + 6 ∫_{-6}^∞ Ai)."""
        import mpmath

        with mpmath.workdps(30):
            x = mpmath.mpf(-6)
            integral = mpmath.mpf(1) / 3 - mpmath.airyai(x, derivative=-1)
            return self.scale * float(-mpmath.airyai(x, derivative=1) + 6 * integral)

    @property
    def time_scales(self) -> tuple[float, ...]:
        return (0.4, self._SHIFT)

    @property
    def expression(self) -> sp.Expr:
        import sympy as sp

        from theory.notation import t

        return exact(self.scale) * sp.airyai(t - 6)


@dataclass(frozen=True)
class Sine(Target):
    """scale · sin(omega t), omega > 0: it does not decay and is not in L¹. Raises: ValueError for other parameters."""

    omega: float = 1.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        require("omega", self.omega, positive=True)
        require("scale", self.scale)

    @property
    def spec(self) -> str:
        return spec_text("sine", omega=float(self.omega), scale=float(self.scale))

    def rho(self, t: ArrayLike) -> Array:
        return np.asarray(self.scale * np.sin(self.omega * checked_times(t)))

    def slope(self, t: ArrayLike) -> Array:
        return np.asarray(self.scale * self.omega * np.cos(self.omega * checked_times(t)))

    def tail(self, start: float = 0.0) -> TailBounds:
        checked_start(start)
        return around(math.inf if self.scale else 0.0)

    def tail_variation(self, start: float = 0.0) -> TailBounds:
        return self.tail(start)

    @property
    def decay(self) -> Decay:
        return Decay("none")

    @property
    def first_moment(self) -> float:
        return math.nan if self.scale else 0.0

    @property
    def time_scales(self) -> tuple[float, ...]:
        return (1 / self.omega,)

    @property
    def expression(self) -> sp.Expr:
        import sympy as sp

        from theory.notation import t

        return exact(self.scale) * sp.sin(exact(self.omega) * t)

    def _why_not_integrable(self) -> str:
        return "its L1 norm is infinite, since a sine does not decay"
