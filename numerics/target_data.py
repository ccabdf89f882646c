"""Target kernels from data: samples joined by straight lines, and Python functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from numerics.arguments import real_array
from numerics.target_base import (
    EPS,
    LARGEST,
    Array,
    Decay,
    TailBounds,
    Target,
    around,
    checked_start,
    checked_times,
    require,
    spec_text,
)


@dataclass(frozen=True, eq=False)
class Samples(Target):
    """Linear interpolation of (times, values), times increasing from 0; zero after the last time.

    Where the last value is not 0 the kernel jumps to 0 there. `name` is shown as the spec.
    Shapes: times and values (n,), n ≥ 2; both are copied.
    Raises: ValueError where they are not finite, differ in length, do not start at 0 or do not increase.
    """

    times: Array
    values: Array
    name: str = "samples"
    scale: float = 1.0

    def __post_init__(self) -> None:
        require("scale", self.scale)
        times, values = np.array(real_array("times", self.times)), np.array(real_array("values", self.values))
        if times.ndim != 1 or times.shape != values.shape or len(times) < 2:
            raise ValueError(f"times and values must have one length, 2 or more, got {times.shape} and {values.shape}")
        with np.errstate(over="ignore"):
            values *= self.scale
        for name, x in (("times", times), ("values", values)):
            if not np.all(np.abs(x) <= LARGEST):
                worst = float(x[~(np.abs(x) <= LARGEST)][0])
                raise ValueError(f"{name} must be finite and at most {LARGEST:g} in size, got {worst!r}")
        if times[0] != 0 or not np.all(np.diff(times) > 0):
            raise ValueError(f"times must start at 0 and increase, got {times[0]:g} first")
        if np.min(np.diff(times)) < 1 / LARGEST:
            raise ValueError(f"times must be at least {1 / LARGEST:g} apart, got {float(np.min(np.diff(times)))!r}")
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "values", values)

    @property
    def spec(self) -> str:
        return spec_text(self.name, scale=float(self.scale))

    def rho(self, t: ArrayLike) -> Array:
        return np.asarray(np.interp(checked_times(t), self.times, self.values, right=0.0))

    def slope(self, t: ArrayLike) -> Array:
        slopes = np.append(np.diff(self.values) / np.diff(self.times), 0.0)
        return np.asarray(slopes[np.searchsorted(self.times, checked_times(t), side="right") - 1])

    def right_limit(self, time: float) -> float:
        return 0.0 if time >= self.times[-1] else float(self.rho(time))

    def _from(self, start: float) -> tuple[Array, Array]:
        """The rows after `start`, with the interpolated row at `start` before them."""
        later = self.times > checked_start(start)
        return np.append(start, self.times[later]), np.append(self.rho(start), self.values[later])

    def tail(self, start: float = 0.0) -> TailBounds:
        """Each piece is a trapezoid, or two triangles where the values change sign."""
        times, values = self._from(start)
        left, right = np.abs(values[:-1]), np.abs(values[1:])
        crossing = np.where(values[:-1] * values[1:] < 0, left * right / np.where(left + right > 0, left + right, 1), 0)
        return around(float(np.sum(np.diff(times) * ((left + right) / 2 - crossing))))

    def tail_variation(self, start: float = 0.0) -> TailBounds:
        _, values = self._from(start)
        return around(float(np.sum(np.abs(np.diff(values))) + (abs(values[-1]) if len(values) > 1 else 0.0)))

    @property
    def jumps(self) -> tuple[tuple[float, float], ...]:
        return ((float(self.times[-1]), -float(self.values[-1])),) if self.values[-1] else ()

    @property
    def breaks(self) -> tuple[float, ...]:
        return tuple(self.times[1:].tolist())

    @property
    def decay(self) -> Decay:
        return Decay("compact")

    @property
    def first_moment(self) -> float:
        """Simpson's rule is exact for the cubic t ρ(t) of each piece."""
        t, v, step = self.times, self.values, np.diff(self.times)
        middle = (t[:-1] + t[1:]) * (v[:-1] + v[1:])
        return float(np.sum(step / 6 * (t[:-1] * v[:-1] + middle + t[1:] * v[1:])))

    @property
    def time_scales(self) -> tuple[float, ...]:
        return float(np.min(np.diff(self.times))), float(self.times[-1])

    @property
    def sign(self) -> int:
        return 1 if np.all(self.values >= 0) else -1 if np.all(self.values <= 0) else 0


@dataclass(frozen=True, eq=False)
class FromCallable(Target):
    """A kernel given as a function; see `callable_target`."""

    function: Callable[[Array], ArrayLike]
    derivative: Callable[[Array], ArrayLike] | None
    integral: Callable[[float], tuple[float, float]] | None
    variation: Callable[[float], tuple[float, float]] | None
    name: str
    known_jumps: tuple[tuple[float, float], ...]
    known_breaks: tuple[float, ...]
    scales: tuple[float, ...]
    known_decay: Decay
    moment: float

    @property
    def spec(self) -> str:
        return self.name

    @property
    def is_integrable(self) -> bool:
        return self.known_decay.kind == "compact" or super().is_integrable

    def rho(self, t: ArrayLike) -> Array:
        times = checked_times(t)
        values = np.asarray(self.function(times), dtype=np.float64)
        if values.shape != times.shape or not np.all(np.isfinite(values)):
            raise ValueError(f"target {self.name!r}: rho must return a finite array of the shape of t")
        return values

    @property
    def has_slope(self) -> bool:
        return self.derivative is not None

    def slope(self, t: ArrayLike) -> Array:
        """As given, or else a difference quotient of order 4, right to about ten digits away from jumps."""
        times = checked_times(t)
        if self.derivative is not None:
            return np.asarray(self.derivative(times), dtype=np.float64)
        step = EPS**0.2 * np.maximum(times, min(self.scales))
        centre = np.maximum(times, 2 * step)
        offset = times - centre
        weights, total = _difference_weights(offset / step), np.zeros_like(times)
        for k in range(5):
            total = total + weights[k] * self.rho(centre + (k - 2) * step)
        return np.asarray(total / step)

    def tail(self, start: float = 0.0) -> TailBounds:
        bounds = (0.0, math.inf) if self.integral is None else self.integral(checked_start(start))
        return TailBounds(*map(float, bounds))

    def tail_variation(self, start: float = 0.0) -> TailBounds:
        bounds = (0.0, math.inf) if self.variation is None else self.variation(checked_start(start))
        return TailBounds(*map(float, bounds))

    @property
    def jumps(self) -> tuple[tuple[float, float], ...]:
        return self.known_jumps

    @property
    def breaks(self) -> tuple[float, ...]:
        return tuple(sorted({*self.known_breaks, *(time for time, _ in self.known_jumps)}))

    @property
    def decay(self) -> Decay:
        return self.known_decay

    @property
    def first_moment(self) -> float:
        return self.moment

    @property
    def time_scales(self) -> tuple[float, ...]:
        return self.scales

    def _why_not_integrable(self) -> str:
        return "no bound of its L1 norm is known; give callable_target tail and tail_variation, or support"


def _difference_weights(x: Array) -> Array:
    """Weights of f(-2..2) for f'(x), exact for quartics: derivatives of the Lagrange polynomials, shape (5, *x)."""
    nodes = np.arange(-2.0, 3.0)
    weights = []
    for k in range(5):
        others = np.delete(nodes, k)
        polynomial = np.poly1d(others, r=True) / np.prod(nodes[k] - others)
        weights.append(polynomial.deriv()(x))
    return np.array(weights)


def callable_target(
    rho: Callable[[Array], ArrayLike],
    slope: Callable[[Array], ArrayLike] | None = None,
    *,
    tail: Callable[[float], tuple[float, float]] | None = None,
    tail_variation: Callable[[float], tuple[float, float]] | None = None,
    support: float | None = None,
    jumps: Sequence[tuple[float, float]] = (),
    breaks: Sequence[float] = (),
    time_scales: Sequence[float] = (1.0,),
    decay: Decay | None = None,
    first_moment: float = math.nan,
    name: str = "callable",
) -> Target:
    """The kernel t ↦ rho(t), a function of float64 arrays of times.

    A norm needs the tails: `tail(T)` and `tail_variation(T)` return (lower, upper) of ∫_T^∞|ρ| and of the variation on
    (T, ∞); or `support` is a time from which ρ is 0 (the kernel is cut there; a jump to 0 counts). Without a slope it
    is a difference quotient. Every jump and kink must be listed in `jumps` (time, size) and `breaks`, and features
    narrower than the shortest of `time_scales` may be missed.
    Raises: ValueError where the arguments contradict each other or are out of range.
    """
    scales = tuple(map(float, time_scales))
    if not scales or not all(math.isfinite(x) and x > 0 for x in scales):
        raise ValueError(f"time_scales must be positive numbers, got {time_scales!r}")
    if not all(math.isfinite(x) and x > 0 for x in (*breaks, *(time for time, _ in jumps))):
        raise ValueError(f"breaks and the times of jumps must be positive, got {breaks!r} and {jumps!r}")
    if support is None:
        return FromCallable(
            rho, slope, tail, tail_variation, name, tuple(jumps), tuple(breaks), scales,
            decay or Decay("unknown"), first_moment,
        )  # fmt: skip
    if tail is not None or tail_variation is not None:
        raise ValueError("support and tail exclude each other: after the support the tail is 0")
    return _cut(rho, slope, support, tuple(jumps), tuple(breaks), scales, first_moment, name)


def _cut(
    rho: Callable[[Array], ArrayLike],
    slope: Callable[[Array], ArrayLike] | None,
    support: float,
    jumps: tuple[tuple[float, float], ...],
    breaks: tuple[float, ...],
    scales: tuple[float, ...],
    first_moment: float,
    name: str,
) -> Target:
    """A callable kernel that is 0 from `support` on; its tails are only bounded by 0 before that time."""
    require("support", support, positive=True)
    last = float(np.asarray(rho(np.array([math.nextafter(support, 0.0)])), dtype=np.float64)[0])

    def inside(function: Callable[[Array], ArrayLike]) -> Callable[[Array], Array]:
        return lambda t: np.where(t < support, function(np.minimum(t, math.nextafter(support, 0.0))), 0.0)

    def bounds(start: float) -> tuple[float, float]:
        return (0.0, 0.0) if start >= support else (0.0, math.inf)

    all_jumps = (*(pair for pair in jumps if pair[0] < support), *(((support, -last),) if last else ()))
    return FromCallable(
        inside(rho), None if slope is None else inside(slope), bounds, bounds, name, all_jumps, (*breaks, support),
        (*scales, support), Decay("compact"), first_moment,
    )  # fmt: skip
