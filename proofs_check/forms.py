"""Forms of an expression: its logarithm and logarithmic slope, factor by factor, and a simpler equal one."""

from __future__ import annotations

import sympy as sp

from numerics.tails import agree, expandable

POINTS = [sp.Rational(p, 7) for p in (-93, -24, -5, -1, 2, 9, 17, 110)]


def simpler(expr: sp.Expr) -> sp.Expr:
    """What SymPy makes of the expression, where that is shorter, has no cases, and agrees at some points."""
    if not expandable(expr):
        return expr
    simple = sp.simplify(expr)
    if simple.has(sp.Piecewise) or sp.count_ops(simple) > sp.count_ops(expr):
        return expr
    return simple if all(agree(expr, simple, _near(expr, p)) for p in POINTS) else expr


def _near(expr: sp.Expr, point: sp.Rational) -> dict[sp.Symbol, sp.Rational]:
    """Values near a point for all symbols of an expression."""
    symbols = sorted(expr.free_symbols, key=str)
    return {x: abs(point) if x.is_nonnegative else point + k for k, x in enumerate(symbols)}


def resolved(expr: sp.Expr) -> sp.Expr:
    """The expression with 1 - tanh v as 2/(e^{2v} + 1), which does not cancel."""
    if not (isinstance(expr, sp.Add) and sp.S.One in expr.args and any(term.has(sp.tanh) for term in expr.args)):
        return expr
    return expr.replace(sp.tanh, lambda v: 1 - 2 / (sp.exp(2 * v) + 1))


def log_magnitude(expr: sp.Expr) -> sp.Expr:
    """log|expr|, factor by factor."""
    factors = (factor.as_base_exp() for factor in sp.Mul.make_args(expr))
    return sp.Add(*(p * sp.log(sp.Abs(base)) for base, p in factors))


def log_slope(expr: sp.Expr, symbol: sp.Symbol) -> sp.Expr:
    """expr'/expr, factor by factor."""
    factors = (factor.as_base_exp() for factor in sp.Mul.make_args(expr))
    return sp.Add(
        *(
            sp.diff(p * sp.log(base), symbol) if p.has(symbol) else p * sp.diff(base, symbol) / base
            for base, p in factors
        )
    )
