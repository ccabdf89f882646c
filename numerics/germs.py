"""Rules over growth and smoothness: what a formula does on a tail [M, ∞), tracked through its subexpressions.

Interval evaluation alone fails on a tail: w·e^{-w} over [M, ∞] is ∞·0. So every subexpression u(x), x ≥ M, carries
enclosures not only of its values but of

    u'(x),   the logarithmic slope u'(x)/u(x),   the elasticity x·u'(x)/u(x),   the limit at ∞ where one exists,

and whether u is known to be uniformly continuous. Products add logarithmic slopes and elasticities, a sum of terms
weighs them, e^v has logarithmic slope v'. The elasticity closes the circle: where it is ≥ 0 (≤ 0), |u| is monotone and
its range lies between u(M) and its limit; where it stays above c > 0, |u| → ∞; below -c < 0, u → 0, since
|u(x)/u(M)| ≥ (x/M)^c respectively ≤ (x/M)^{-c}.

A germ exists only where the rules prove that u is defined, finite and continuous on the tail; otherwise `Undecided`
is raised. Derivatives are meant almost everywhere (abs and max have kinks); all functions here are locally Lipschitz
where a finite slope is stated.

Source: derived here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import sympy as sp

from numerics.enclosure import WHOLE, ZERO, Interval, maximum

ONE = Interval.of(1)
UNIT = Interval.of(0, 1)
PLUS_INFINITY, MINUS_INFINITY = Interval(WHOLE.hi, WHOLE.hi), Interval(WHOLE.lo, WHOLE.lo)  # limits only
MAX_TERMS = 10


class Undecided(Exception):
    """The rules do not prove that the expression is defined and continuous on the tail."""


@dataclass(frozen=True)
class Germ:
    """What is known of u on [M, ∞): enclosures that hold at every (for slopes: almost every) x ≥ M."""

    value: Interval
    start: Interval
    """u(M)."""
    slope: Interval = WHOLE
    log_slope: Interval = WHOLE
    elasticity: Interval = WHOLE
    sign: int = 0
    """+1 or -1 where u has that strict sign on the whole tail; 0: unknown."""
    limit: Interval | None = None
    """The limit of u at ∞ exists and lies here; None: unknown."""
    uniform: bool = False
    """u is uniformly continuous on the tail."""

    def tends_to(self, infinity: Interval) -> bool:
        """Whether the limit is this infinity."""
        return self.limit is not None and self.limit.lo == infinity.lo and self.limit.hi == infinity.hi

    @property
    def diverges(self) -> bool:
        """Whether |u| → ∞."""
        return self.tends_to(PLUS_INFINITY) or self.tends_to(MINUS_INFINITY)

    @property
    def vanishes(self) -> bool:
        """Whether u → 0."""
        return self.limit is not None and self.limit.lo == 0 and self.limit.hi == 0


def _touches_zero(x: Interval) -> bool:
    """Whether 0 is inside or at an end, approached though perhaps never reached."""
    return bool(x.lo <= 0 <= x.hi)


def _beyond(x: Interval, sign: int) -> Interval:
    """What lies from x outwards, in the direction of `sign`."""
    return Interval(x.lo, PLUS_INFINITY.hi) if sign > 0 else Interval(MINUS_INFINITY.lo, x.hi)


def _within(x: Interval, sign: int) -> Interval:
    """What lies between 0 and x."""
    return Interval(ZERO.lo, x.hi) if sign > 0 else Interval(x.lo, ZERO.hi)


def _raise(x: Interval, p: Fraction) -> Interval:
    """x^p; for p < 0 as 1/x^{-p}, which gives half-infinite intervals where x touches 0."""
    if p < 0:
        return ONE / _raise(x, -p)
    return x ** (p.numerator if p.denominator == 1 else p)


class _Tail:
    """The rules on one tail [start, ∞) of the positive symbol `x`."""

    def __init__(self, x: sp.Symbol, start: Fraction) -> None:
        self.x = x
        self.domain = Interval(Interval.of(start).lo, PLUS_INFINITY.hi)
        self.reciprocal = Interval(ZERO.lo, (ONE / Interval.of(start)).hi)
        self.start = Interval.of(start)
        self.known: dict[sp.Expr, Germ] = {}

    def close(self, germ: Germ) -> Germ:
        """Lets the fields of a germ sharpen each other."""
        sign = germ.sign
        if sign == 0 and germ.value.lo > 0:
            sign = 1
        if sign == 0 and germ.value.hi < 0:
            sign = -1
        value, slope, limit = germ.value, germ.slope, germ.limit
        log_slope, elasticity = germ.log_slope, germ.elasticity
        if sign:
            value = value.intersect(_beyond(ZERO, sign))
            elasticity = elasticity.intersect(log_slope * self.domain)
            log_slope = log_slope.intersect(elasticity * self.reciprocal)
            if elasticity.lo >= 0:
                value = value.intersect(_beyond(germ.start, sign))
            if elasticity.hi <= 0:
                value = value.intersect(_within(germ.start, sign))
            if elasticity.lo > 0:
                limit = PLUS_INFINITY if sign > 0 else MINUS_INFINITY
            elif elasticity.hi < 0:
                limit = ZERO
            elif elasticity.lo >= 0 or elasticity.hi <= 0:
                limit = Interval(value.lo, value.hi) if limit is None else limit.intersect(Interval(value.lo, value.hi))
            slope = slope.intersect(value * log_slope)
            log_slope = log_slope.intersect(slope / value)
        uniform = germ.uniform or slope.is_finite() or (limit is not None and limit.is_finite())
        return Germ(value, germ.start, slope, log_slope, elasticity, sign, limit, uniform)

    def germ(self, expr: sp.Expr) -> Germ:
        """The germ of a SymPy expression in x. Raises Undecided."""
        if expr not in self.known:
            self.known[expr] = self.close(self._rule(expr))
        return self.known[expr]

    def _rule(self, expr: sp.Expr) -> Germ:
        if expr == self.x:
            return Germ(self.domain, self.start, ONE, self.reciprocal, ONE, 1, PLUS_INFINITY, True)
        if not expr.has(self.x):
            return self._constant(Interval.of(expr))
        if isinstance(expr, sp.Add):
            return self._sum(expr)
        if isinstance(expr, sp.Mul):
            germs = [self.germ(arg) for arg in expr.args]
            product = germs[0]
            for factor in germs[1:]:
                product = self.close(self.product(product, factor))
            return product
        if isinstance(expr, sp.Pow):
            if not expr.base.has(self.x):
                return self.germ(sp.exp(sp.log(expr.base) * expr.exp, evaluate=False))
            if not expr.exp.is_Rational:
                return self.germ(sp.exp(expr.exp * sp.log(expr.base), evaluate=False))
            return self.power(self.germ(expr.base), Fraction(int(expr.exp.p), int(expr.exp.q)))
        if isinstance(expr, sp.log):
            return self._log(expr.args[0])
        if isinstance(expr, sp.Max):
            return self._maximum([self.germ(arg) for arg in expr.args])
        rule = _FUNCTION_RULES.get(type(expr))
        if rule is None:
            raise Undecided(f"no rule for {type(expr).__name__}")
        return rule(self, self.germ(expr.args[0]))

    def _constant(self, c: Interval) -> Germ:
        sign = 1 if c.lo > 0 else -1 if c.hi < 0 else 0
        flat = ZERO if sign else WHOLE
        return Germ(c, c, ZERO, flat, flat, sign, c, True)

    # Algebra.

    def product(self, u: Germ, v: Germ) -> Germ:
        """u·v: logarithmic slopes and elasticities add."""
        sign = u.sign * v.sign
        limit = None
        for p, q in ((u, v), (v, u)):
            if p.vanishes and q.value.is_finite():
                limit = ZERO
            if p.diverges and q.sign and not _touches_zero(q.value):
                limit = PLUS_INFINITY if p.tends_to(PLUS_INFINITY) == (q.sign > 0) else MINUS_INFINITY
        if limit is None and u.limit is not None and v.limit is not None:
            indeterminate = any(
                _touches_zero(p) and not q.is_finite() for p, q in ((u.limit, v.limit), (v.limit, u.limit))
            )
            limit = None if indeterminate else u.limit * v.limit
        constant = any(p.value.lo == p.value.hi or p.slope.lo == p.slope.hi == 0 for p in (u, v))
        return Germ(
            u.value * v.value,
            u.start * v.start,
            u.value * v.slope + u.slope * v.value,
            u.log_slope + v.log_slope if sign else WHOLE,
            u.elasticity + v.elasticity if sign else WHOLE,
            sign,
            limit,
            u.uniform and v.uniform and (constant or (u.value.is_finite() and v.value.is_finite())),
        )

    def power(self, u: Germ, p: Fraction) -> Germ:
        """u^p for rational p: the logarithmic slope and the elasticity are multiplied by p."""
        whole = p.denominator == 1
        if (p < 0 and not u.sign) or (not whole and u.sign < 0) or (not whole and u.value.lo < 0):
            raise Undecided("a power of something that may reach zero or below")
        value = u.value if whole else u.value.intersect(_beyond(ZERO, 1))
        sign = (u.sign if p.numerator % 2 else abs(u.sign)) if whole else u.sign
        if p < 0 and u.vanishes:
            limit: Interval | None = PLUS_INFINITY if sign > 0 else MINUS_INFINITY
        elif u.limit is None or (p < 0 and _touches_zero(u.limit)):
            limit = None
        else:
            limit = _raise(u.limit, p)
        keeps_continuity = value.is_finite() if p > 1 else p > 0 or not _touches_zero(value)
        factor = Interval.of(p)
        return Germ(
            _raise(value, p),
            _raise(u.start, p),
            u.slope if p == 1 else factor * _raise(value, p - 1) * u.slope,
            factor * u.log_slope if u.sign else WHOLE,
            factor * u.elasticity if u.sign else WHOLE,
            sign,
            limit,
            u.uniform and keeps_continuity,
        )

    def quotient(self, u: Germ, v: Germ) -> Germ:
        """u/v."""
        return self.close(self.product(u, self.close(self.power(v, Fraction(-1)))))

    def _sum(self, expr: sp.Add) -> Germ:
        special = self._exp_minus_one(expr)
        if special is not None:
            return special
        terms = [self.germ(arg) for arg in expr.args if arg != 0]
        total = terms[0]
        for term in terms[1:]:
            total = replace(
                total, value=total.value + term.value, start=total.start + term.start, slope=total.slope + term.slope
            )
        plain = Germ(
            total.value, total.start, total.slope, limit=_limit_of_sum(terms), uniform=all(t.uniform for t in terms)
        )
        if len(terms) > MAX_TERMS or not any(t.sign for t in terms):
            return plain
        return self._weighted(plain, terms)

    def _weighted(self, plain: Germ, terms: Sequence[Germ]) -> Germ:
        """u = Σ u_j: u'/u = Σ (u_j/u)·(u_j'/u_j), with the weights u_j/u enclosed through the ratios u_k/u_j.

        Each ratio is enclosed by its own elasticity, so a term that is outgrown has a small weight and not [0, 1].
        """
        signed = [j for j, term in enumerate(terms) if term.sign]
        quotients = {(k, j): self.quotient(t, terms[j]) for j in signed for k, t in enumerate(terms) if k != j}
        vanishing = {pair for pair, quotient in quotients.items() if quotient.vanishes}
        ratio = {pair: quotient.value for pair, quotient in quotients.items()} | {(j, j): ONE for j in signed}
        shares = {j: sum((ratio[k, j] for k in range(len(terms))), ZERO) for j in signed}  # u/u_j
        pivots = [j for j in signed if shares[j].lo > 0 or shares[j].hi < 0]
        same_sign = len(signed) == len(terms) and len({t.sign for t in terms}) == 1
        if not pivots and not same_sign:
            return plain
        sign = terms[signed[0]].sign
        value = plain.value
        for j in pivots:
            sign = terms[j].sign * (1 if shares[j].lo > 0 else -1)
            value = value.intersect(terms[j].value * shares[j])
        log_slope, elasticity = ZERO, ZERO
        for k, term in enumerate(terms):
            weight = UNIT if same_sign else WHOLE
            if term.sign and k in shares:
                weight = weight.intersect(ONE / shares[k])
            for j in pivots:
                weight = weight.intersect(ratio[k, j] / shares[j])
            if term.sign:
                log_slope += weight * term.log_slope
                elasticity += weight * term.elasticity
            elif not (term.slope.lo == term.slope.hi == 0):
                log_slope += term.slope / value
                elasticity = WHOLE
        if same_sign:
            log_slope = log_slope.intersect(_hull(t.log_slope for t in terms))
            elasticity = elasticity.intersect(_hull(t.elasticity for t in terms))
        limit = plain.limit
        for j in pivots:
            outgrown = [k for k in range(len(terms)) if k != j and (k, j) in vanishing]
            if limit is None and len(outgrown) == len(terms) - 1:
                limit = terms[j].limit
        return replace(plain, value=value, sign=sign, log_slope=log_slope, elasticity=elasticity, limit=limit)

    # exp, log and what cancels near them.

    def _exp_minus_one(self, expr: sp.Add) -> Germ | None:
        """e^v - 1 and 1 - e^v without cancellation: elasticity(e^v - 1) = elasticity(v)·v e^v/(e^v - 1)."""
        if len(expr.args) != 2 or abs(expr.args[0]) != 1:
            return None
        c, other = expr.args
        if not isinstance(-c * other, sp.exp):
            return None
        v = self.germ((-c * other).args[0])
        flip = Interval.of(-1 if c == 1 else 1)
        growth = _through_ends(lambda z: z * z.exp() / z.expm1(), v.value, [(MINUS_INFINITY, ZERO), (ZERO, ONE)])
        germ = Germ(
            v.value.expm1(),
            v.start.expm1(),
            v.value.exp() * v.slope,
            v.log_slope * growth if v.sign else WHOLE,
            v.elasticity * growth if v.sign else WHOLE,
            v.sign,
            None if v.limit is None else v.limit.expm1(),
            v.uniform and bool(v.value.hi.is_finite()),
        )
        return self.product(self._constant(flip), self.close(germ))

    def exponential(self, v: Germ) -> Germ:
        """e^v: the logarithmic slope is v'."""
        return Germ(
            v.value.exp(),
            v.start.exp(),
            WHOLE,
            v.slope,
            v.value * v.elasticity if v.sign else WHOLE,
            1,
            None if v.limit is None else v.limit.exp(),
            v.uniform and bool(v.value.hi.is_finite()),
        )

    def _log(self, argument: sp.Expr) -> Germ:
        if isinstance(argument, sp.Add) and sp.S.One in argument.args:
            rest = argument - 1
            if isinstance(rest, sp.exp):
                return self._softplus(self.germ(rest.args[0]))
            z = self.germ(rest)
            if z.sign and z.value.lo > -1:
                return self._log_one_plus(z)
        u = self.germ(argument)
        if u.sign <= 0:
            raise Undecided("the logarithm of something that may reach zero or below")
        value = u.value.log()
        sign = 1 if value.lo > 0 else -1 if value.hi < 0 else 0
        return Germ(
            value,
            u.start.log(),
            u.log_slope,
            u.log_slope / value if sign else WHOLE,
            u.elasticity / value if sign else WHOLE,
            sign,
            MINUS_INFINITY if u.vanishes else None if u.limit is None else u.limit.log(),
            u.uniform and u.value.lo > 0,
        )

    def _log_one_plus(self, z: Germ) -> Germ:
        """log(1+z): elasticity(log(1+z)) = elasticity(z)·z/((1+z) log(1+z)), a decreasing factor, 1 at z = 0."""
        factor = _through_ends(lambda y: y / ((ONE + y) * y.log1p()), z.value, [(ZERO, ONE), (PLUS_INFINITY, ZERO)])
        return Germ(
            z.value.log1p(),
            z.start.log1p(),
            z.log_slope * (ONE - ONE / (ONE + z.value)),
            z.log_slope * factor,
            z.elasticity * factor,
            z.sign,
            None if z.limit is None else z.limit.log1p(),
            z.uniform,
        )

    def _softplus(self, v: Germ) -> Germ:
        """log(1+e^v): slope σ(v)v', logarithmic slope s(v)v'; s = σ/softplus falls from 1, v·s(v) rises to 1."""
        value = _softplus_range(v.value)
        sigmoid = ONE / (ONE + (-v.value).exp())
        share = _through_ends(
            lambda y: ONE / (ONE + (-y).exp()) / _softplus_range(y),
            v.value,
            [(MINUS_INFINITY, ONE), (PLUS_INFINITY, ZERO)],
        ).intersect(UNIT)
        elasticity, log_slope = WHOLE, share * v.slope
        if v.value.lo > 0:
            growth = _through_ends(
                lambda y: y / (ONE + (-y).exp()) / _softplus_range(y), v.value, [(PLUS_INFINITY, ONE)]
            )
            elasticity = v.elasticity * growth.intersect(UNIT)
            log_slope = log_slope.intersect(v.log_slope * growth.intersect(UNIT))
        return Germ(
            value,
            _softplus_range(v.start),
            sigmoid * v.slope,
            log_slope,
            elasticity,
            1,
            None if v.limit is None else _softplus_range(v.limit),
            v.uniform,
        )

    # Other functions.

    def _maximum(self, germs: Sequence[Germ]) -> Germ:
        for j, u in enumerate(germs):
            if all(u.value.lo >= v.value.hi for k, v in enumerate(germs) if k != j):
                return u
        value, start = germs[0].value, germs[0].start
        for g in germs[1:]:
            value, start = maximum(value, g.value), maximum(start, g.start)
        return Germ(value, start, _hull(g.slope for g in germs), uniform=all(g.uniform for g in germs))

    def absolute(self, u: Germ) -> Germ:
        """|u|."""
        if u.sign:
            return u if u.sign > 0 else self.product(self._constant(Interval.of(-1)), u)
        slope = u.slope.hull(-u.slope)
        limit = None if u.limit is None else u.limit.abs()
        return Germ(u.value.abs(), u.start.abs(), slope, limit=limit, uniform=u.uniform)

    def sine(self, u: Germ) -> Germ:
        """sin u; where 0 < |u| < 3, elasticity(sin u) = elasticity(u)·u cot u, which decreases in |u| from 1."""
        germ = self._bounded_function(u, Interval.sin, Interval.cos)
        size = u.value.abs()
        if not u.sign or not size.hi < 3:
            return germ
        factor = _through_ends(lambda y: y * y.cos() / y.sin(), size, [(ZERO, ONE)])
        return replace(germ, sign=u.sign, log_slope=u.log_slope * factor, elasticity=u.elasticity * factor)

    def cosine(self, u: Germ) -> Germ:
        """cos u."""
        return self._bounded_function(u, Interval.cos, lambda y: -y.sin())

    def arctangent(self, u: Germ) -> Germ:
        """atan u: elasticity(atan u) = elasticity(u)·u/((1+u²) atan u), a factor that decreases in |u| from 1 to 0."""
        germ = self._bounded_function(u, Interval.atan, lambda y: ONE / (ONE + y**2))
        germ = replace(germ, limit=None if u.limit is None else u.limit.atan())  # at ±∞ too, unlike sine and cosine
        if not u.sign:
            return germ
        factor = _through_ends(
            lambda y: y / ((ONE + y**2) * y.atan()), u.value.abs(), [(ZERO, ONE), (PLUS_INFINITY, ZERO)]
        ).intersect(UNIT)
        return replace(germ, sign=u.sign, log_slope=u.log_slope * factor, elasticity=u.elasticity * factor)

    def _bounded_function(
        self, u: Germ, function: Callable[[Interval], Interval], derivative: Callable[[Interval], Interval]
    ) -> Germ:
        limit = None if u.limit is None or not u.limit.is_finite() else function(u.limit)
        slope = derivative(u.value) * u.slope
        return Germ(function(u.value), function(u.start), slope, limit=limit, uniform=u.uniform)

    def sign_function(self, u: Germ) -> Germ:
        """sign u, where u has one."""
        if not u.sign:
            raise Undecided("a sign that may change")
        return self._constant(Interval.of(u.sign))


_FUNCTION_RULES: dict[type, Callable[[_Tail, Germ], Germ]] = {
    sp.exp: _Tail.exponential,
    sp.Abs: _Tail.absolute,
    sp.sin: _Tail.sine,
    sp.cos: _Tail.cosine,
    sp.atan: _Tail.arctangent,
    sp.sign: _Tail.sign_function,
}


def _hull(intervals: Iterable[Interval]) -> Interval:
    first, *rest = intervals
    for interval in rest:
        first = first.hull(interval)
    return first


def _through_ends(
    function: Callable[[Interval], Interval], z: Interval, limits: Sequence[tuple[Interval, Interval]]
) -> Interval:
    """The range of a monotone function on z from its values at the two ends; `limits` has those that are 0/0 or ∞/∞."""

    def at(end: Interval) -> Interval:
        for point, limit in limits:
            if end.lo == point.lo:
                return limit
        return function(end)

    return at(Interval(z.lo, z.lo)).hull(at(Interval(z.hi, z.hi)))


def _softplus_range(v: Interval) -> Interval:
    """log(1+e^v), increasing: log1p(e^v) at ends below 0, v + log1p(e^{-v}) at ends above."""

    def at(end: Interval) -> Interval:
        return end.exp().log1p() if end.lo <= 0 else end + (-end).exp().log1p()

    return at(Interval(v.lo, v.lo)).hull(at(Interval(v.hi, v.hi)))


def _limit_of_sum(terms: Sequence[Germ]) -> Interval | None:
    if any(g.tends_to(PLUS_INFINITY) for g in terms):
        below = all(g.tends_to(PLUS_INFINITY) or g.value.lo.is_finite() for g in terms)
        return PLUS_INFINITY if below else None
    if any(g.tends_to(MINUS_INFINITY) for g in terms):
        above = all(g.tends_to(MINUS_INFINITY) or g.value.hi.is_finite() for g in terms)
        return MINUS_INFINITY if above else None
    limit = ZERO
    for g in terms:
        if g.limit is None or not g.limit.is_finite():
            return None
        limit = limit + g.limit
    return limit


def germ_of(expr: sp.Expr, x: sp.Symbol, start: Fraction) -> Germ:
    """The germ of an expression in the positive symbol x on [start, ∞), in the form in which it stands.

    Raises Undecided.
    """
    try:
        return _Tail(x, start).germ(expr)
    except ValueError as error:  # a DomainError, or a node that cannot be evaluated
        raise Undecided(str(error)) from error
