"""Rigorous evaluation of formulas: two-ended intervals, balls, power series and integrals (python-flint, Arb).

An `Interval` is a set of real numbers [lo, hi]; an infinite end is never one of them. Its ends are exact binary
numbers of any exponent, each rounded outward by every operation, so that the true value always lies inside:

    x ∈ X  ⇒  f(x) ∈ F(X).

Comparisons have three values: True and False only where every point agrees, None otherwise.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from typing import Any

import sympy as sp
from flint import acb, arb, arb_mat, arb_series, ctx, fmpq

from numerics.compiler import Arithmetic, compile_expression, real_derivative, singular_parts

_INFINITY, _MINUS_INFINITY, _ZERO, _ONE, _NAN = arb.pos_inf(), arb.neg_inf(), arb(0), arb(1), arb.nan()
_SIX_POINT_THREE = arb(fmpq(63, 10)).upper()  # more than 2π


class DomainError(ValueError):
    """The formula is not real on the given set: everywhere (`certain`), or perhaps somewhere."""

    def __init__(self, message: str, *, certain: bool) -> None:
        super().__init__(message)
        self.certain = certain


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Work with `bits` binary digits inside the block (53 elsewhere); compiled constants keep their precision."""
    with ctx.workprec(bits):
        yield


class Interval:
    """The real numbers x with lo ≤ x ≤ hi; ends may be infinite; `nonzero` says that 0 is excluded even at an end.

    So exp(Interval.of("-inf", 0)) is [0, 1] without 0, and `positive()` is True.
    """

    __slots__ = ("hi", "lo", "nonzero")

    def __init__(self, lo: arb, hi: arb, nonzero: bool = False) -> None:
        if lo <= hi:
            self.lo, self.hi, self.nonzero = lo, hi, nonzero
        else:  # a NaN: nothing is known
            self.lo, self.hi, self.nonzero = _MINUS_INFINITY, _INFINITY, False

    @classmethod
    def of(cls, lo: Any, hi: Any = None) -> Interval:
        """The interval from lo to hi, or around one number.

        Accepts int, Fraction, float (that binary number), str ("0.1" is 1/10, enclosed; "inf"), SymPy numbers and
        Intervals. Raises ValueError for NaN, for lo > hi, and for a point at infinity.
        """
        low = _as_interval(lo)
        if hi is None and isinstance(lo, Interval):
            return low
        high = low if hi is None else _as_interval(hi)
        if low.lo > high.hi or low.lo == _INFINITY or high.hi == _MINUS_INFINITY:
            ends = f"lo = {lo}" if hi is None else f"lo = {lo}, hi = {hi}"
            raise ValueError(f"{ends}: there is no real number in this range")
        return cls(low.lo, high.hi)

    @classmethod
    def from_ball(cls, ball: arb) -> Interval:
        """The interval of a ball; the whole line for NaN."""
        return cls(ball.lower(), ball.upper())

    @property
    def ball(self) -> arb:
        """The smallest ball around a finite interval (a little wider, by the rounding of its radius)."""
        return self.lo.union(self.hi)

    @property
    def lower(self) -> float:
        """The lower end, rounded down to a float."""
        return _float_down(self.lo)

    @property
    def upper(self) -> float:
        """The upper end, rounded up to a float."""
        return _float_up(self.hi)

    @property
    def excludes_zero(self) -> bool:
        return self.nonzero or self.lo > 0 or self.hi < 0

    def is_finite(self) -> bool:
        return bool(self.lo.is_finite() and self.hi.is_finite())

    def width(self) -> float:
        """An upper bound of hi - lo."""
        return _float_up((self.hi - self.lo).upper()) if self.is_finite() else math.inf

    def contains(self, x: Any) -> bool:
        """True where x (a number or an Interval) certainly lies inside."""
        inner = _as_interval(x)
        return bool(self.lo <= inner.lo and inner.hi <= self.hi and (not self.nonzero or inner.excludes_zero))

    def hull(self, other: Any) -> Interval:
        """The least interval that contains both."""
        y = _as_interval(other)
        return Interval(self.lo.min(y.lo), self.hi.max(y.hi), self.nonzero and y.nonzero)

    def intersect(self, other: Any) -> Interval:
        """The common part. Raises ValueError where there is none: two enclosures of one number cannot be disjoint."""
        y = _as_interval(other)
        lo, hi = self.lo.max(y.lo), self.hi.min(y.hi)
        if lo > hi:
            raise ValueError(f"{self} and {y} are disjoint")
        return Interval(lo, hi, self.nonzero or y.nonzero)

    def positive(self) -> bool | None:
        """x > 0?"""
        if self.lo > 0 or (self.lo >= 0 and self.nonzero):
            return True
        return False if self.hi <= 0 else None

    def negative(self) -> bool | None:
        """x < 0?"""
        return (-self).positive()

    def nonnegative(self) -> bool | None:
        """x ≥ 0?"""
        below = self.negative()
        return None if below is None else not below

    def nonpositive(self) -> bool | None:
        """x ≤ 0?"""
        return (-self).nonnegative()

    def __repr__(self) -> str:
        return f"[{self.lower!r}, {self.upper!r}]"

    def __eq__(self, other: object) -> bool:
        """The same two ends (not: the same number)."""
        return isinstance(other, Interval) and bool(self.lo == other.lo and self.hi == other.hi)

    def __hash__(self) -> int:
        return hash((self.lower, self.upper))

    def __neg__(self) -> Interval:
        return Interval(-self.hi, -self.lo, self.nonzero)

    def __add__(self, other: Any) -> Interval:
        y = other if isinstance(other, Interval) else _as_interval(other)
        nonzero = False
        if self.nonzero or y.nonzero:
            same_side = (self.lo >= 0 and y.lo >= 0) or (self.hi <= 0 and y.hi <= 0)
            nonzero = bool(same_side and (self.excludes_zero or y.excludes_zero))
        return Interval((self.lo + y.lo).lower(), (self.hi + y.hi).upper(), nonzero)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Interval:
        return self + (-(other if isinstance(other, Interval) else _as_interval(other)))

    def __rsub__(self, other: Any) -> Interval:
        return _as_interval(other) + (-self)

    def __mul__(self, other: Any) -> Interval:
        y = other if isinstance(other, Interval) else _as_interval(other)
        a, b, c, d = self.lo, self.hi, y.lo, y.hi
        nonzero = (self.nonzero or y.nonzero) and self.excludes_zero and y.excludes_zero
        if a >= 0 and c >= 0:
            return Interval(_times(a, c).lower(), _times(b, d).upper(), nonzero)
        products = (_times(a, c), _times(a, d), _times(b, c), _times(b, d))
        return Interval(min(p.lower() for p in products), max(p.upper() for p in products), nonzero)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Interval:
        """The quotient wherever the divisor is not 0; the whole line where 0 lies strictly inside the divisor."""
        y = other if isinstance(other, Interval) else _as_interval(other)
        a, b, c, d = self.lo, self.hi, y.lo, y.hi
        if d <= 0:
            if c >= 0:
                raise DomainError("division by zero", certain=True)
            a, b, c, d = -b, -a, -d, -c
        elif c < 0:
            return Interval(_MINUS_INFINITY, _INFINITY, self.excludes_zero)
        lo = _over(a, d if a >= 0 else c).lower()
        return Interval(lo, _over(b, c if b >= 0 else d).upper(), self.excludes_zero)

    def __rtruediv__(self, other: Any) -> Interval:
        return _as_interval(other) / self

    def __pow__(self, exponent: Any) -> Interval:
        """x**p; for p not an integer, of x ≥ 0 only (the principal branch is not real elsewhere)."""
        if isinstance(exponent, Fraction) and exponent.denominator == 1:
            exponent = int(exponent)
        if isinstance(exponent, int):
            if exponent < 0:
                return 1 / self**-exponent
            return self._integer_power(exponent)
        if isinstance(exponent, Fraction):
            if exponent < 0:
                return 1 / self**-exponent
            self._demand_at_least(_ZERO, "a fractional power")
            power = fmpq(exponent.numerator, exponent.denominator)
            return Interval((self.lo**power).lower().max(_ZERO), (self.hi**power).upper(), self.excludes_zero)
        result = (_as_interval(exponent) * self.log()).exp()  # x > 0 by log, or a limit x → 0
        return Interval(result.lo, result.hi, self.excludes_zero)

    def _integer_power(self, n: int) -> Interval:
        if n == 0:
            return Interval(_ONE, _ONE)
        if n % 2:
            return Interval((self.lo**n).lower(), (self.hi**n).upper(), self.nonzero)
        size = self.abs()
        return Interval((size.lo**n).lower().max(_ZERO), (size.hi**n).upper(), size.excludes_zero)

    def abs(self) -> Interval:
        if self.lo >= 0:
            return self
        if self.hi <= 0:
            return -self
        return Interval(_ZERO, self.hi.max(-self.lo), self.nonzero)

    __abs__ = abs

    def max0(self) -> Interval:
        """max(x, 0)."""
        return maximum(self, ZERO)

    def sign(self) -> Interval:
        """-1, 0 or 1; everything between -1 and 1 where the sign is not certain, as a kink's slope needs."""
        if self.lo > 0 or self.hi < 0:
            return Interval(_ONE, _ONE) if self.lo > 0 else Interval(-_ONE, -_ONE)
        lo = _ONE if self.lo >= 0 and self.nonzero else -_ONE
        return Interval(lo, -_ONE if self.hi <= 0 and self.nonzero else _ONE)

    def step(self) -> Interval:
        """1 for x > 0, 0 for x < 0, everything between at 0."""
        return (self.sign() + 1) / 2

    def exp(self) -> Interval:
        return Interval(self.lo.exp().lower().max(_ZERO), self.hi.exp().upper(), True)

    def expm1(self) -> Interval:
        return Interval(self.lo.expm1().lower().max(-_ONE), self.hi.expm1().upper(), self.nonzero)

    def log(self) -> Interval:
        self._demand_more_than(_ZERO, "log")
        lo = _MINUS_INFINITY if self.lo == 0 else self.lo.log().lower()
        return Interval(lo, self.hi.log().upper())

    def log1p(self) -> Interval:
        self._demand_more_than(-_ONE, "log1p")
        lo = _MINUS_INFINITY if self.lo == -1 else self.lo.log1p().lower()
        return Interval(lo, self.hi.log1p().upper(), self.nonzero)

    def sqrt(self) -> Interval:
        self._demand_at_least(_ZERO, "sqrt")
        return Interval(self.lo.sqrt().lower().max(_ZERO), self.hi.sqrt().upper(), self.nonzero)

    def sinh(self) -> Interval:
        return Interval(self.lo.sinh().lower(), self.hi.sinh().upper(), self.nonzero)

    def cosh(self) -> Interval:
        size = self.abs()
        return Interval(size.lo.cosh().lower().max(_ONE), size.hi.cosh().upper())

    def tanh(self) -> Interval:
        return Interval(self.lo.tanh().lower().max(-_ONE), self.hi.tanh().upper().min(_ONE), self.nonzero)

    def atan(self) -> Interval:
        return Interval(self.lo.atan().lower(), self.hi.atan().upper(), self.nonzero)

    def sin(self) -> Interval:
        return self._wave(arb.sin, Fraction(1, 2))

    def cos(self) -> Interval:
        return self._wave(arb.cos, Fraction(0))

    def tan(self) -> Interval:
        """Increasing between its poles (k + 1/2)π; the whole line where a pole may lie inside."""
        if not self.is_finite() or self._multiples_of_pi(Fraction(1, 2)):
            return WHOLE
        return Interval(self.lo.tan().lower(), self.hi.tan().upper())

    def _wave(self, function: Callable[[arb], arb], shift: Fraction) -> Interval:
        """sin or cos, which is (-1)^k at its extrema (k + shift)π and monotone between them."""
        if not self.is_finite() or self.hi - self.lo > _SIX_POINT_THREE:
            return Interval(-_ONE, _ONE)
        extrema = self._multiples_of_pi(shift)
        first, last = function(self.lo), function(self.hi)
        lo = -_ONE if any(k % 2 for k in extrema) else first.lower().min(last.lower())
        hi = _ONE if any(k % 2 == 0 for k in extrema) else first.upper().max(last.upper())
        return Interval(lo.max(-_ONE), hi.min(_ONE))

    def _multiples_of_pi(self, shift: Fraction) -> range:
        """All integers k for which (k + shift)π may lie inside (for a finite interval; three suffice)."""
        offset = fmpq(shift.numerator, shift.denominator)
        start, stop = (self.lo / arb.pi() - offset).lower(), (self.hi / arb.pi() - offset).upper()
        if not abs(start) < 2**50 or not abs(stop) < 2**50:
            return range(2)
        first = math.ceil(float(start))
        return range(first, min(math.floor(float(stop)), first + 2) + 1)

    def _demand_at_least(self, bound: arb, what: str) -> None:
        if self.lo < bound:
            raise DomainError(f"{what} of {self} is not real", certain=bool(self.hi < bound))

    def _demand_more_than(self, bound: arb, what: str) -> None:
        if self.lo < bound or self.hi <= bound:
            raise DomainError(f"{what} of {self} is not real", certain=bool(self.hi <= bound))


def _times(x: arb, y: arb) -> arb:
    """The product of two ends, where 0·∞ = 0: an infinite end is only approached."""
    product = x * y
    return _ZERO if product.is_nan() else product


def _over(x: arb, y: arb) -> arb:
    """The quotient of an end by an end ≥ 0, where x/0 = ±∞ is only approached."""
    if y == 0:
        return _ZERO if x == 0 else (_INFINITY if x > 0 else _MINUS_INFINITY)
    return x / y


def _float_down(x: arb) -> float:
    nearest = float(x) + 0.0  # no -0.0
    return nearest if arb(nearest) <= x else math.nextafter(nearest, -math.inf)


def _float_up(x: arb) -> float:
    nearest = float(x) + 0.0
    return nearest if arb(nearest) >= x else math.nextafter(nearest, math.inf)


def _rational(x: Fraction) -> arb:
    return arb(fmpq(x.numerator, x.denominator))


def _as_interval(x: Any) -> Interval:
    if isinstance(x, Interval):
        return x
    if isinstance(x, str):
        x = float(x) if x.strip().lstrip("+-") in ("inf", "oo") else Fraction(x)
    if isinstance(x, float):
        if math.isnan(x):
            raise ValueError("NaN is not a number of the real line")
        ball = arb(x)
    elif isinstance(x, Fraction):
        ball = _rational(x)
    elif isinstance(x, arb):
        ball = x
    elif isinstance(x, sp.Basic):
        if x in (sp.oo, -sp.oo):
            return _as_interval(math.inf if x is sp.oo else -math.inf)
        return compile_interval(x, ())()
    else:
        ball = arb(operator.index(x))
    return Interval(ball.lower(), ball.upper())


ZERO = Interval(_ZERO, _ZERO)
WHOLE = Interval(_MINUS_INFINITY, _INFINITY)


def maximum(x: Interval, y: Interval) -> Interval:
    """max(x, y)."""
    return Interval(x.lo.max(y.lo), x.hi.max(y.hi))


def minimum(x: Interval, y: Interval) -> Interval:
    """min(x, y)."""
    return Interval(x.lo.min(y.lo), x.hi.min(y.hi))


def less(x: Any, y: Any) -> bool | None:
    """x < y? None where the intervals overlap, so that neither answer is certain."""
    x, y = _as_interval(x), _as_interval(y)
    if x.hi < y.lo:
        return True
    return False if x.lo >= y.hi else None


# --- SymPy expressions over the four arithmetics -------------------------------------------------------------------


def _constant_ball(value: Fraction | str) -> arb:
    if isinstance(value, str):
        return arb.pi() if value == "pi" else arb.const_e()
    return _rational(value)


def _monomial(n: int) -> Callable[[Any], Any]:
    return (lambda x: x * x) if n == 2 else (lambda x: x**n)


def _flint_power(p: Fraction) -> Callable[[Any], Any]:
    exponent = fmpq(p.numerator, p.denominator)
    return lambda x: x**exponent


_NAMES = ("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "atan")

_INTERVALS = Arithmetic(
    constant=lambda value: Interval.from_ball(_constant_ball(value)),
    functions={name: getattr(Interval, name) for name in (*_NAMES, "abs", "sign", "step")},
    integer_power=lambda n: lambda x: x._integer_power(n),
    rational_power=lambda p: lambda x: x**p,
    power=operator.pow,
    maximum=maximum,
    minimum=minimum,
)

_BALLS = Arithmetic(
    constant=_constant_ball,
    functions={name: getattr(arb, name) for name in _NAMES}
    | {"abs": abs, "sign": arb.sgn, "step": lambda x: (x.sgn() + 1) / 2}
    | {"airyai": arb.airy_ai, "airyaiprime": lambda x: x.airy()[1]},
    integer_power=_monomial,
    rational_power=_flint_power,
    power=operator.pow,
    maximum=arb.max,
    minimum=arb.min,
)


def compile_interval(expr: Any, symbols: Sequence[sp.Symbol]) -> Callable[..., Interval]:
    """The natural interval extension of an expression: as many Intervals in as symbols, one out.

    Raises ValueError, naming it, for a SymPy node that is not known; the closure raises DomainError.
    """
    return compile_expression(expr, symbols, _INTERVALS)


def compile_ball(expr: Any, symbols: Sequence[sp.Symbol]) -> Callable[..., arb]:
    """The expression on balls, several times faster than on intervals.

    The result may be NaN or unbounded, which means that nothing is known. A finite result also shows that the
    expression is continuous on the balls, sign and Heaviside aside.
    """
    return compile_expression(expr, symbols, _BALLS)


def enclose(expr: Any, values: Mapping[sp.Symbol, Any]) -> Interval:
    """An enclosure of the expression's range where each symbol runs over its interval (or is that number).

    Raises ValueError for an unknown node or a symbol without a value, DomainError where it is not real.
    """
    closure = compile_interval(expr, tuple(values))
    return closure(*(Interval.of(value) for value in values.values()))


class MeanValue:
    """Enclosures of an expression's range on boxes, in mean-value form where that is tighter.

        f(X) ⊆ F(X) ∩ ( F(m) + Σ_i ∂_i F(X) · (X_i - m_i) ),   m the midpoint of X.

    The second form overestimates by O(width²) instead of O(width). It holds for continuous f with bounded partial
    derivatives almost everywhere (so kinks are allowed): by Lebourg's theorem f(x) - f(m) = g·(x - m) with g in
    Clarke's generalized gradient somewhere between. Continuity on X is shown by a finite ball evaluation.
    Source: Moore, Kearfott, Cloud, Introduction to Interval Analysis, SIAM 2009, chapter 6.
    """

    def __init__(self, expr: Any, symbols: Sequence[sp.Symbol]) -> None:
        partials = [real_derivative(expr, symbol) for symbol in symbols]
        known = [partial for partial in partials if partial is not None]
        self._has_slopes = len(known) == len(symbols)
        self.natural = compile_interval(expr, symbols)
        self._ball = compile_ball(expr, symbols)
        self._ball_slopes = [compile_ball(partial, symbols) for partial in known]
        self._slopes = [compile_interval(partial, symbols) for partial in known]
        self._singular = [(compile_interval(part, symbols), part.is_Symbol) for part in singular_parts(expr)]

    def centred(self, *box: arb) -> arb:
        """The mean-value form on a box of balls; NaN or infinite where it does not apply."""
        if not self._has_slopes or not self._ball(*box).is_finite():
            return _NAN
        if len(box) == 1:  # the same without the loop, which costs up to a third
            x, m = box[0], box[0].mid()
            return self._ball(m) + self._ball_slopes[0](x) * (x - m)
        middle = [x.mid() for x in box]
        value = self._ball(*middle)
        for slope, x, m in zip(self._ball_slopes, box, middle, strict=True):
            value += slope(*box) * (x - m)
        return value

    def __call__(self, *box: Interval) -> Interval:
        """The intersection of both forms on a box, infinite ends allowed. Raises DomainError."""
        natural = self.natural(*box)
        if not all(x.is_finite() for x in box):
            return natural
        centred = self.centred(*(x.ball for x in box))
        return natural.intersect(Interval.from_ball(centred)) if centred.is_finite() else natural

    def slopes(self, *box: Interval) -> list[Interval] | None:
        """Enclosures of the partial derivatives on a box on which the expression is continuous; None elsewhere.

        The expression is real-analytic but for isolated kinks and cusps along each coordinate, so that a slope ≥ 0
        (or ≤ 0) wherever it exists makes it monotone in that coordinate, on infinite boxes too. It may be undefined on
        a side of the box that lies in a hyperplane x_i = 0.
        """
        try:
            if self._has_slopes and all(_regular(part(*box), is_symbol) for part, is_symbol in self._singular):
                return [slope(*box) for slope in self._slopes]
        except DomainError:
            pass
        return None


def _regular(part: Interval, is_symbol: bool) -> bool:
    """Whether a divisor, say, vanishes nowhere inside the box; a symbol of its own may vanish on a side."""
    return part.excludes_zero or (is_symbol and bool(part.lo >= 0 or part.hi <= 0))


# --- derivatives through power series -------------------------------------------------------------------------------


def taylor(expr: Any, symbol: sp.Symbol, box: Any, order: int) -> list[Interval]:
    """Enclosures of the derivatives of order 0..order on a finite interval.

    The power series f(x + h) = Σ_k c_k h^k is computed for the ball around the box; f^(k) = k! c_k. At a kink (Abs,
    Max, Min) the first derivative is Clarke's generalized gradient and higher ones are the whole line, as wherever
    nothing is known. Raises ValueError for an infinite box or a negative order, DomainError where f is not real.
    """
    x = Interval.of(box)
    if not x.is_finite() or order < 0:
        raise ValueError(f"box = {x}, order = {order}: a finite box and an order of 0 or more are needed")
    cap, ctx.cap = ctx.cap, order + 1
    try:
        series = compile_expression(expr, (symbol,), _SERIES)(arb_series([x.ball, 1]))
        coefficients = [*series.coeffs(), *[_ZERO] * order][: order + 1]
    finally:
        ctx.cap = cap
    derivatives = [Interval.from_ball(c * math.factorial(k)) for k, c in enumerate(coefficients)]
    try:
        derivatives[0] = derivatives[0].intersect(compile_interval(expr, (symbol,))(x))
    except DomainError as error:
        if error.certain:
            raise
    return derivatives


def _coefficients(series: arb_series) -> list[arb]:
    """All coefficients, trailing zeros included."""
    known = series.coeffs()
    return [*known, *[_ZERO] * (ctx.cap - len(known))]


def _with_constant(series: arb_series, constant: arb) -> arb_series:
    """The series with its constant term replaced by a tighter one."""
    return arb_series([constant, *_coefficients(series)[1:]])


def _series_log1p(x: arb_series) -> arb_series:
    return _with_constant((1 + x).log(), _coefficients(x)[0].log1p())


def _series_expm1(x: arb_series) -> arb_series:
    return _with_constant(x.exp(), _coefficients(x)[0].expm1())


def _series_sinh(x: arb_series) -> arb_series:
    grown = x.exp()
    return _with_constant((grown - 1 / grown) / 2, _coefficients(x)[0].sinh())


def _series_cosh(x: arb_series) -> arb_series:
    grown = x.exp()
    return _with_constant((grown + 1 / grown) / 2, _coefficients(x)[0].cosh())


def _series_tanh(x: arb_series) -> arb_series:
    sech = 1 / _series_cosh(x)
    return _with_constant((sech * sech * x.derivative()).integral(), _coefficients(x)[0].tanh())


def _series_maximum(x: arb_series, y: arb_series) -> arb_series:
    a, b = _coefficients(x), _coefficients(y)
    if a[0] >= b[0]:
        return x
    if b[0] >= a[0]:
        return y
    slope = [p.union(q) for p, q in zip(a[1:2], b[1:2], strict=True)]
    return arb_series([a[0].max(b[0]), *slope, *[_NAN] * (ctx.cap - 2)])


def _series_sign(x: arb_series) -> arb_series:
    start = _coefficients(x)[0]
    certain = start > 0 or start < 0
    return arb_series([start.sgn()] if certain else [start.sgn(), *[_NAN] * (ctx.cap - 1)])


_SERIES = Arithmetic(
    constant=lambda value: arb_series([_constant_ball(value)]),
    functions={name: getattr(arb_series, name) for name in ("exp", "log", "sqrt", "sin", "cos", "tan", "atan")}
    | {
        "expm1": _series_expm1,
        "log1p": _series_log1p,
        "sinh": _series_sinh,
        "cosh": _series_cosh,
        "tanh": _series_tanh,
        "abs": lambda x: _series_maximum(x, -x),
        "sign": _series_sign,
        "step": lambda x: (_series_sign(x) + 1) / 2,
    },
    integer_power=_monomial,
    rational_power=_flint_power,
    power=lambda x, y: (y * x.log()).exp(),
    maximum=_series_maximum,
    minimum=lambda x, y: -_series_maximum(-x, -y),
)


# --- integrals ------------------------------------------------------------------------------------------------------


def integrate(expr: Any, symbol: sp.Symbol, lo: Any, hi: Any, *, tolerance: float = 1e-13) -> Interval:
    """An enclosure of the integral of a real expression over a finite range.

        ∫_lo^hi f(x) dx   by adaptive Gauss-Legendre quadrature with error bounds from complex ellipses (Petras).

    Abs, Max, sqrt, log and fractional powers are not holomorphic everywhere: where the method asks for a holomorphic
    value and the argument touches a cut, they answer NaN, and the range is bisected. The tolerance is a goal, relative
    and absolute; what was not reached shows as a wider interval, at worst the whole line (an integrand without bound).
    Raises ValueError for an infinite end, DomainError where the integrand cannot be shown to be real.
    Source: F. Johansson, Numerical integration in arbitrary-precision ball arithmetic, ICMS 2018.
    """
    start, stop = Interval.of(lo), Interval.of(hi)
    span = start.hull(stop)
    if not span.is_finite():
        raise ValueError(f"lo = {lo}, hi = {hi}: the range of integration must be finite")
    natural = compile_interval(expr, (symbol,))
    _demand_real(natural, span, depth=12)
    closures = [compile_expression(expr, (symbol,), _complex_balls(analytic)) for analytic in (False, True)]
    first, last = start.ball, stop.ball
    goal = arb(tolerance)
    inner = acb.integral(
        lambda x, analytic: acb(closures[analytic](x)), first.mid(), last.mid(), rel_tol=goal, abs_tol=goal
    )
    total = Interval.from_ball(inner.real)
    for end, sign in ((start, -1), (stop, 1)):  # an end known only as a ball, such as pi
        if end.lo < end.hi:
            total = total + natural(end) * (end - Interval.from_ball(end.ball.mid())) * sign
    return total


def _demand_real(natural: Callable[[Interval], Interval], box: Interval, depth: int) -> None:
    """Raises DomainError unless the integrand is real on the box, bisecting where that is not yet certain."""
    try:
        natural(box)
    except DomainError as error:
        if error.certain or depth == 0:
            raise
        middle = box.ball.mid()
        _demand_real(natural, Interval(box.lo, middle), depth - 1)
        _demand_real(natural, Interval(middle, box.hi), depth - 1)


def _complex_log1p(x: acb, analytic: bool) -> acb:
    y = 1 + x
    return acb(_NAN) if analytic and y.imag.contains(0) and not y.real > 0 else x.log1p()


def _complex_atan(x: acb, analytic: bool) -> acb:
    touches_cut = x.real.contains(0) and not abs(x.imag) < 1
    return acb(_NAN) if analytic and touches_cut else x.atan()


def _complex_power(x: acb, p: Fraction, analytic: bool) -> acb:
    if not analytic and x.contains(0):  # then x is a segment of the real line, of which the part x ≥ 0 matters
        return acb((Interval.from_ball(x.real).max0() ** p).ball)
    return x.pow(acb(_rational(p)), analytic=analytic)


def _complex_balls(analytic: bool) -> Arithmetic:
    """Complex balls, whose functions answer NaN on their cuts where a holomorphic value is asked for."""
    entire = {name: getattr(acb, name) for name in ("exp", "expm1", "sin", "cos", "tan", "sinh", "cosh", "tanh")}
    return Arithmetic(
        constant=lambda value: acb(_constant_ball(value)),
        functions=entire
        | {
            "log": lambda x: x.log(analytic=analytic),
            "log1p": lambda x: _complex_log1p(x, analytic),
            "sqrt": lambda x: x.sqrt(analytic=analytic),
            "atan": lambda x: _complex_atan(x, analytic),
            "abs": lambda x: x.real_abs(analytic=analytic),
            "sign": lambda x: x.real_sgn(analytic=analytic),
            "step": lambda x: x.real_heaviside(analytic=analytic),
        },
        integer_power=_monomial,
        rational_power=lambda p: lambda x: _complex_power(x, p, analytic),
        power=lambda x, y: x.pow(y, analytic=analytic),
        maximum=lambda x, y: x.real_max(y, analytic=analytic),
        minimum=lambda x, y: x.real_min(y, analytic=analytic),
    )


# --- matrices of kernels in high precision --------------------------------------------------------------------------


def hankel_rows(
    expr: Any, symbol: sp.Symbol, edges: Sequence[float], scale: float, nodes: int, goal: float
) -> tuple[list[list[float]], float, float]:
    """Rows R of K = Q R + E, QᵀQ = 1, QᵀE = 0, for K_ij = √(w_i w_j) k(t_i + t_j): (R/‖K‖_F, ‖E‖_F/‖K‖_F, ‖K‖_F).

    (t_i, w_i) is the Gauss-Legendre rule with `nodes` nodes on each panel between `edges` in u, t = scale·(e^u - 1).
    The factorization is pivoted Gram-Schmidt: the column with the largest rest comes next, until ‖E‖_F ≤ goal·‖K‖_F.
    k and the arithmetic have twice the bits of `goal` and 80 more: rests of size goal·‖K‖_F, whose squares are found by
    subtraction, keep 80 bits. Midpoints only: the result is not an enclosure, but has rounding errors far below
    float64's. Raises: ValueError where k is not real and finite at a node.
    """
    with precision(80 + 2 * math.ceil(-math.log2(goal))):
        rows = _kernel_matrix(compile_ball(expr, (symbol,)), *_log_panels(edges, scale, nodes))
        size, matrix = len(rows), arb_mat(rows)
        rests = [sum((x * x for x in row), _ZERO).mid() for row in rows]
        total = sum(rests, _ZERO).mid()
        if not total.is_finite():
            raise ValueError(f"{expr} is not real and finite at every node")
        norm = total.sqrt().mid()
        basis = arb_mat(size, size)  # its first rows
        found: list[list[arb]] = []
        while len(found) < size and sum(rests, _ZERO) > total * arb(goal) ** 2:
            pivot = max(range(size), key=rests.__getitem__)
            along = arb_mat(1, size, [r[pivot] for r in found] + [_ZERO] * (size - len(found))) * basis
            rest = [(x - y).mid() for x, y in zip(rows[pivot], along.entries(), strict=True)]
            length = sum((x * x for x in rest), _ZERO).sqrt()
            direction = [(x / length).mid() for x in rest]
            for j, x in enumerate(direction):
                basis[len(found), j] = x
            found.append([x.mid() for x in (arb_mat(1, size, direction) * matrix).entries()])
            rests = [(x - r * r).mid().max(_ZERO) for x, r in zip(rests, found[-1], strict=True)]
        left = float((sum(rests, _ZERO) / total).sqrt().mid()) if total > 0 else 0.0
        return [[float((x / norm).mid()) for x in row] for row in found], left, float(norm)


def _kernel_matrix(kernel: Callable[[arb], arb], times: Sequence[arb], roots: Sequence[arb]) -> list[list[arb]]:
    """The symmetric matrix √w_i k(t_i + t_j) √w_j, midpoints; `roots` are the √w_i."""
    size = len(times)
    half = [[(kernel(times[i] + times[j]) * roots[i] * roots[j]).mid() for j in range(i + 1)] for i in range(size)]
    return [[half[max(i, j)][min(i, j)] for j in range(size)] for i in range(size)]


def _log_panels(edges: Sequence[float], scale: float, nodes: int) -> tuple[list[arb], list[arb]]:
    """Times t_i and √w_i of the Gauss-Legendre rule on panels in u, where t = scale·(e^u - 1) and dt = scale·e^u du."""
    rule = [arb.legendre_p_root(nodes, k, weight=True) for k in range(nodes)]
    times: list[arb] = []
    roots: list[arb] = []
    for first, last in pairwise(edges):
        middle, half = (arb(last) + arb(first)) / 2, (arb(last) - arb(first)) / 2
        for x, weight in rule:
            u = (middle + half * x).mid()
            times.append((arb(scale) * u.expm1()).mid())
            roots.append((arb(scale) * u.exp() * half * weight).sqrt().mid())
    return times, roots
