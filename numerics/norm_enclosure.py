"""Rigorous enclosures of ‖e‖_{W^{1,∞}} for e(t) = ρ(t) - Σ_i c_i e^{λ_i t}, real c_i and λ_i < 0, by ball arithmetic.

    ‖e‖_{W^{1,∞}} = ∫_0^∞ |e| + |e(0)| + ∫_0^∞ |e'| + Σ |jumps of e|.

Method. For f = e or e' take any times a = t_0 < ... < t_n = b and I_k = ∫_{t_{k-1}}^{t_k} f, known through an
antiderivative. With σ_k the sign of I_k and f⁻ = max(-σ_k f, 0)

    Σ |I_k|  ≤  ∫_a^b |f|  =  Σ ( |I_k| + 2 ∫ f⁻ ).

The t_k are the sign changes found in floating point, of which nothing is assumed: on boxes [x, y] that cover (a, b),
∫ f⁻ ≤ (y - x) max(0, sup -σ_k f) with the supremum in mean-value form, and the boxes that contribute most are halved.
Beyond the last time the exponentials are bounded by Σ |c_i| e^{λ_i T}/|λ_i|, and the tail of ρ is a closed form.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from numerics.enclosure import Interval, MeanValue, compile_interval, integrate, precision
from numerics.kernel_norms import panel_ends, sign_change_times
from numerics.target_base import Target
from numerics.target_kernels import Exponential, Polynomial, Shift, TwoPart
from theory.notation import t

_BITS = 80
_BATCH = 64


def kernel_norm_enclosure(
    target: Target, coefficients: ArrayLike, lam: ArrayLike, *, tolerance: float = 1e-9, max_boxes: int = 100_000
) -> Interval:
    """An interval that contains ‖ρ - Σ_i c_i e^{λ_i t}‖_{W^{1,∞}}.

    `tolerance` is a goal for the relative width; what is not reached within `max_boxes` boxes shows as a wider
    interval. The target is a sum of exponential, polynomial, shift and two-part kernels, its parameters the decimals
    that print them; c, λ and the times of a shift are the binary numbers given.
    Shapes: coefficients and lam (m,), real.
    Raises: ValueError for other targets, complex or unstable λ, and targets that are not in L¹.
    """
    c, rates = np.asarray(coefficients), np.asarray(lam)
    if np.iscomplexobj(c) or np.iscomplexobj(rates):
        raise ValueError("lam must be real for an enclosure of the norm")
    target.require_integrable()
    for term in target.terms:
        if not isinstance(term, Exponential | Polynomial | Shift | TwoPart):
            raise ValueError(f"target {term.spec!r}: no enclosure of its norm; use a closed form without oscillation")
    zeros = sign_change_times(target, c, rates)
    with precision(_BITS):
        return _enclosed(_Difference(target, c.tolist(), rates.tolist()), zeros, tolerance, max_boxes)


@dataclass(frozen=True)
class _Smooth:
    """f on an interval without breaks, its antiderivative up to the hump, and the hump's weight in f."""

    f: sp.Expr
    antiderivative: sp.Expr
    hump: sp.Expr


class _Difference:
    """e = ρ - Σ c_i e^{λ_i t} and its parts."""

    def __init__(self, target: Target, c: list[float], rates: list[float]) -> None:
        self.target = target
        self.ends = panel_ends(target, np.array(rates)[None]).tolist()
        if self.ends[-1] in target.breaks:  # every jump comes before the last time
            self.ends.append(1.5 * self.ends[-1])
        self.last = Interval.of(self.ends[-1])
        self.modes = [(sp.Rational(x), sp.Rational(rate)) for x, rate in zip(c, rates, strict=True)]

    def smooth(self, begin: float) -> tuple[_Smooth, _Smooth]:
        """e and e' on the interval between breaks that starts at `begin`."""
        model = sum((-x * sp.exp(rate * t) for x, rate in self.modes), sp.S.Zero)
        model_integral = sum((-x / rate * sp.exp(rate * t) for x, rate in self.modes), sp.S.Zero)
        hump = sp.S.Zero
        for term in self.target.terms:
            value, integral, weight = _term(term, begin)
            model, model_integral, hump = model + value, model_integral + integral, hump + weight
        e = model + hump * sp.exp(-((t - 9) ** 2))
        return _Smooth(e, model_integral, hump), _Smooth(sp.diff(e, t), e, sp.S.Zero)

    def model_tail(self, power: int) -> Interval:
        """Σ |c_i| |λ_i|^{power - 1} e^{λ_i T}: more than ∫_T^∞ of the model (power 0), and of its derivative (1)."""
        terms = (sp.Abs(x) * sp.Abs(rate) ** (power - 1) * sp.exp(rate * t) for x, rate in self.modes)
        return compile_interval(sum(terms, sp.S.Zero), (t,))(self.last)


def _decimal(value: float) -> sp.Rational:
    return sp.Rational(repr(float(value)))


def _term(term: Target, begin: float) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """A term of the target after `begin`: its value, an antiderivative, and the weight of a hump e^{-(t-9)²} in it."""
    scale = _decimal(getattr(term, "scale", 1.0))
    if scale == 0:
        return sp.S.Zero, sp.S.Zero, sp.S.Zero
    if isinstance(term, Exponential):
        decay = sp.exp(-_decimal(term.rate) * t)
        return scale * decay, -scale / _decimal(term.rate) * decay, sp.S.Zero
    if isinstance(term, Polynomial):
        p, s = _decimal(term.p), _decimal(term.s)
        return scale * (1 + t / s) ** -p, scale * s / (1 - p) * (1 + t / s) ** (1 - p), sp.S.Zero
    if isinstance(term, Shift):
        height = scale if term.start <= begin < term.end else sp.S.Zero
        return height, height * t, sp.S.Zero
    return scale * sp.exp(-t), -scale * sp.exp(-t), scale


def _enclosed(e: _Difference, zeros: tuple[np.ndarray, ...], tolerance: float, max_boxes: int) -> Interval:
    breaks = sorted({0.0, e.ends[-1], *(time for time, _ in e.target.jumps if time < e.ends[-1])})
    total, pieces = _tails(e), []
    before = Interval.of(0)
    for begin, end in pairwise(breaks):
        functions = e.smooth(begin)
        value = compile_interval(functions[0].f, (t,))
        total = total + (value(Interval.of(begin)) - before).abs()  # the jump; |e(0)| at the start
        before = value(Interval.of(end))
        for function, times in zip(functions, zeros, strict=True):
            piece = _Piece(function, begin, end, [x for x in times if begin < x < end], e.ends)
            total = total + piece.inner
            pieces.append(piece)
    rest = Interval.of(0)
    for piece in pieces:
        rest = rest + piece.outer(tolerance * total.lower / len(pieces), max_boxes // len(pieces))
    return Interval(total.lo, (total + rest).hi)


class _Piece:
    """∫ |f| over [begin, end], on which f is smooth: `inner` encloses Σ |I_k|, `outer` bounds 2 ∫ f⁻."""

    def __init__(self, function: _Smooth, begin: float, end: float, cuts: list[float], ends: list[float]) -> None:
        self.evaluate = MeanValue(function.f, (t,))
        self.inner = Interval.of(0)
        self.boxes: list[tuple[float, float, float, int]] = []  # (-2 ∫ f⁻ at most, from, to, sign)
        antiderivative = compile_interval(function.antiderivative, (t,))
        for left, right in pairwise([begin, *cuts, end]):
            part = antiderivative(Interval.of(right)) - antiderivative(Interval.of(left))
            if function.hump != 0:
                part = part + integrate(function.hump * sp.exp(-((t - 9) ** 2)), t, left, right, tolerance=1e-18)
            self.inner = self.inner + part.abs()
            sign = -1 if part.upper <= 0 or (part.lower < 0 and -part.lower > part.upper) else 1
            for x, y in pairwise([left, *(end for end in ends if left < end < right), right]):
                self._add(x, y, sign)

    def _add(self, x: float, y: float, sign: int) -> None:
        values = self.evaluate(Interval.of(x, y))
        worst = -values.lower if sign > 0 else values.upper
        if worst > 0:
            heapq.heappush(self.boxes, (-2 * (y - x) * worst, x, y, sign))

    def outer(self, goal: float, max_boxes: int) -> Interval:
        """[0, Σ 2 (y - x) max(0, sup -σ f)] over the boxes, halved until the sum is below the goal."""
        count = 0
        atoms: list[float] = []  # the sizes of boxes between neighbouring numbers, which cannot be halved
        open_sum = -sum(box[0] for box in self.boxes)
        while self.boxes and open_sum > goal and count < max_boxes:
            for _ in range(min(_BATCH, len(self.boxes))):
                size, x, y, sign = heapq.heappop(self.boxes)
                middle = 0.5 * (x + y)
                if x < middle < y:
                    self._add(x, middle, sign)
                    self._add(middle, y, sign)
                else:
                    atoms.append(size)
                count += 2
            open_sum = -sum(box[0] for box in self.boxes)
        bound = Interval.of(0)
        for size in (*atoms, *(box[0] for box in self.boxes)):
            bound = bound + Interval.of(-size) * (1 + 2**-40)  # the product was rounded
        return Interval(Interval.of(0).lo, bound.hi)


def _tails(e: _Difference) -> Interval:
    """∫_T^∞ |e| + ∫_T^∞ |e'|, every jump being before T."""
    total = Interval.of(0)
    for power, of_term in enumerate((_tail_of_size, _tail_of_change)):
        own = _sum_of_tails(e.target, [of_term(term, e.last) for term in e.target.terms])
        model = e.model_tail(power)
        total = total + (own + Interval((-model).lo, model.hi)).max0()
    return total


def _sum_of_tails(target: Target, tails: list[Interval]) -> Interval:
    """Terms of one sign add up; otherwise the largest less the others bounds the sum from below."""
    total = sum(tails, Interval.of(0))
    if target.sign:
        return total
    lower = Interval.of(0)
    for tail in tails:
        least = (tail - (total - tail)).max0()
        lower = lower if lower.lo >= least.lo else least
    return Interval(lower.lo, total.hi)


def _tail_of_size(term: Target, last: Interval) -> Interval:
    """∫_T^∞ of |ρ|: minus the antiderivative at T, which vanishes at infinity; and at most half e^{-(T-9)²}/(T-9)."""
    if isinstance(term, Shift):
        return Interval.of(0)
    _, integral, hump = _term(term, last.lower)
    main = _at(integral, last).abs()
    return main if hump == 0 else main + _hump_tail(last, hump)


def _tail_of_change(term: Target, last: Interval) -> Interval:
    """|ρ(T)|: every kernel decreases in absolute value after T > 9."""
    value, _, hump = _term(term, last.lower)
    return _at(value + hump * sp.exp(-((t - 9) ** 2)), last).abs()


def _hump_tail(last: Interval, weight: sp.Expr) -> Interval:
    most = _at(sp.Abs(weight) * sp.exp(-((t - 9) ** 2)) / (2 * (t - 9)), last)
    return Interval(Interval.of(0).lo, most.hi)


def _at(expr: sp.Expr, where: Interval) -> Interval:
    evaluate: Callable[..., Interval] = compile_interval(expr, (t,))
    return evaluate(where)
