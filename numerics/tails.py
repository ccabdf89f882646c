"""Germs of a formula at ±∞ and at a point, in every algebraic form in which the rules can prove something.

The rules of `numerics.germs` work on an expression as it stands; a cancellation such as √(w²+1) - w needs another form
of the same expression. The forms are SymPy identities for real expressions, and each is compared with the original by
balls before it is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from typing import Any

import sympy as sp

from numerics.compiler import singular_parts
from numerics.enclosure import WHOLE, DomainError, Interval, enclose
from numerics.germs import Germ, Undecided, germ_of

MOST_TERMS = 30
MOST_OPERATIONS = 500


def tail_germs(expr: sp.Expr, symbol: sp.Symbol, start: Fraction, direction: int = 1) -> Iterator[tuple[sp.Expr, Germ]]:
    """Germs of an expression on [start, ∞) (direction +1) or, mirrored, on (-∞, -start] (direction -1).

    The germs are in the variable x = direction·symbol ≥ start > 0: slopes are derivatives in x. One is given for each
    algebraic form of the expression in which the rules prove that it is defined, finite and continuous there; all of
    them hold, and a cancellation that hides in one form may be gone in the next; the form, in its own positive symbol,
    comes with it. None is given where nothing is proved.
    """
    x = sp.Dummy("x", positive=True)
    yield from germs(expr.subs(symbol, direction * x), x, start)


def point_germs(
    expr: sp.Expr, symbol: sp.Symbol, point: sp.Expr, start: Fraction, direction: int
) -> Iterator[tuple[sp.Expr, Germ]]:
    """Germs at a point: of expr(point + direction/x) on x ≥ start, so that x → ∞ approaches the point from one side."""
    x = sp.Dummy("x", positive=True)
    yield from germs(expr.subs(symbol, point + direction / x), x, start)


def germs(expr: sp.Expr, x: sp.Symbol, start: Fraction) -> Iterator[tuple[sp.Expr, Germ]]:
    """The forms of an expression in the positive symbol x with their germs on [start, ∞), as in `tail_germs`."""
    if start <= 0:
        raise ValueError(f"start: {start} is not positive")
    plain = _without_kinks(_in_exponentials(expr), x, start)
    seen: set[sp.Expr] = set()
    for rewrite in _FORMS:
        if seen and not _rewritable(plain, x, start):
            return
        form = rewrite(plain, x, start)
        if sp.count_ops(form) > MOST_OPERATIONS:
            continue
        points = ({x: scale * start + Fraction(1, 3)} for scale in (1, 2, 5))
        if form not in seen and (not seen or all(agree(expr, form, point) for point in points)):
            seen.add(form)
            with suppress(Undecided):
                yield form, germ_of(form, x, start)


_FORMS: tuple[Callable[[sp.Expr, sp.Symbol, Fraction], sp.Expr], ...] = (
    lambda e, x, start: e,
    lambda e, x, start: sp.together(e),
    lambda e, x, start: 1 / sp.radsimp(1 / e),
    lambda e, x, start: e.replace(lambda u: isinstance(u, sp.Add), lambda u: _by_leading_power(u, x)),
    lambda e, x, start: sp.powsimp(
        e.replace(lambda u: isinstance(u, sp.Add), lambda u: _by_leading_exponential(u, x, start))
    ),
    lambda e, x, start: sp.expand(e),
    lambda e, x, start: sp.expand(e.xreplace({u: _softplus_reflected(u) for u in e.atoms(sp.log)})),
    lambda e, x, start: sp.expand(e.xreplace({u: _reflected(u, x, start) for u in e.atoms(sp.atan)})),
    lambda e, x, start: sp.simplify(e),
    lambda e, x, start: sp.expand(sp.simplify(e)),
)
"""Identities for real expressions, cheapest first; each result is compared with the original by balls as well."""


def _rewritable(expr: sp.Expr, x: sp.Symbol, start: Fraction) -> bool:
    """Whether a rewriting can neither cancel a singularity, since there is none on the tail, nor explode."""
    return expandable(expr) and all(
        any(germ.sign for _, germ in germs(part, x, start)) for part in singular_parts(expr) if part.has(x)
    )


def expandable(expr: sp.Expr) -> bool:
    """Whether no power of a sum would have more than a few dozen terms."""
    powers = (power for power in expr.atoms(sp.Pow) if power.exp.is_Integer)
    return all(abs(power.exp) <= MOST_TERMS for power in powers if power.base.atoms(sp.Add))


def _reflected(arctangent: sp.Expr, x: sp.Symbol, start: Fraction) -> sp.Expr:
    """atan v, v > 0, as π/2 - atan(1/v)."""
    v = arctangent.args[0]
    try:
        return sp.pi / 2 - sp.atan(1 / v) if germ_of(v, x, start).sign > 0 else arctangent
    except Undecided:
        return arctangent


def _softplus_reflected(logarithm: sp.Expr) -> sp.Expr:
    """log(1 + e^v) as v + log(1 + e^{-v})."""
    power = logarithm.args[0] - 1
    return power.args[0] + sp.log(1 + 1 / power) if isinstance(power, sp.exp) else logarithm


def _by_leading_power(total: sp.Add, x: sp.Symbol) -> sp.Expr:
    """Σ c_k x^k as x^K·Σ c_k x^{k-K} with the largest exponent K, so that roots of sums cancel against powers of x."""
    powers = [term.as_coeff_exponent(x) for term in total.args]
    if any(c.has(x) or not k.is_Rational for c, k in powers):
        return total
    leading = max(k for _, k in powers)
    return x**leading * sp.Add(*(c * x ** (k - leading) for c, k in powers))


def _by_leading_exponential(total: sp.Add, x: sp.Symbol, start: Fraction) -> sp.Expr:
    """u + v + … as u·(1 + v/u + …) with a term u that has an exponential and outgrows all others."""
    for u in total.args:
        if not u.has(sp.exp):
            continue
        ratios = [sp.powsimp(v / u) for v in total.args if v != u]
        with suppress(Undecided):
            if all(germ_of(ratio, x, start).vanishes for ratio in ratios):
                return u * sp.Add(1, *ratios)
    return total


def _in_exponentials(expr: sp.Expr) -> sp.Expr:
    expr = expr.replace(sp.tanh, lambda v: 1 - 2 / (sp.exp(2 * v) + 1)).rewrite((sp.sinh, sp.cosh), sp.exp)
    return expr.replace(sp.tan, lambda v: sp.sin(v) / sp.cos(v)).replace(sp.cot, lambda v: sp.cos(v) / sp.sin(v))


def _without_kinks(expr: sp.Expr, x: sp.Symbol, start: Fraction) -> sp.Expr:
    """The expression with |u| and max(u, v) resolved wherever the sign of u, or of u - v, is known on the tail."""

    def sign_of(u: sp.Expr) -> int:
        try:
            return germ_of(u, x, start).sign
        except Undecided:
            return 0

    def resolve_abs(u: sp.Expr) -> sp.Expr:
        sign = sign_of(u)
        return sign * u if sign else sp.Abs(u)

    def resolve_max(*args: sp.Expr) -> sp.Expr:
        for u in args:
            if all(sign_of(u - v) > 0 for v in args if v != u):
                return u
        return sp.Max(*args)

    return expr.replace(sp.Abs, resolve_abs).replace(sp.Max, resolve_max)


def agree(expr: sp.Expr, form: sp.Expr, values: Mapping[sp.Symbol, Any]) -> bool:
    """Whether two forms overlap as balls at a point, if the first is defined there: a check on an identity, no proof.

    False where one of them has a node that cannot be evaluated.
    """
    try:
        first = enclose(expr, values)
    except DomainError:
        return True
    except ValueError:
        return False
    try:
        gap = first - enclose(form, values)
    except ValueError:  # a DomainError too
        return False
    return bool(gap.lo <= 0 <= gap.hi)


def tail_range(
    expr: sp.Expr, symbol: sp.Symbol, part: Callable[[Germ], Interval] = lambda germ: germ.value
) -> Callable[[Interval], Interval]:
    """The range of an expression on boxes with one infinite end, for the `tail` argument of `numerics.optimum`.

    `part` chooses another enclosure of the germ, such as the logarithmic slope (in direction·symbol).
    """
    known: dict[Interval, Interval] = {}

    def enclosure(box: Interval) -> Interval:
        direction = 1 if box.upper == math.inf else -1
        end = box.lower if direction > 0 else -box.upper
        value = WHOLE
        for _, germ in tail_germs(expr, symbol, Fraction(end), direction) if 1 <= end < math.inf else ():
            value = value.intersect(part(germ))
            if value.is_finite():
                break
        return value

    def bound(box: Interval) -> Interval:
        if box not in known:
            known[box] = enclosure(box)
        return known[box]

    return bound
