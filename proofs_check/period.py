"""The period of a formula made of sines and cosines of multiples of w."""

from __future__ import annotations

import sympy as sp


def period(expr: sp.Expr, symbol: sp.Symbol) -> sp.Expr | None:
    """P > 0 with expr(w + P) = expr(w), where all arguments of sin, cos and tan are rationally related multiples of w.

    A continuous function with a period is uniformly continuous, and its suprema are those over one period. None where
    no period was recognized; the identity is checked by substitution.
    """
    waves = {wave.args[0] for wave in expr.atoms(sp.sin, sp.cos, sp.tan)}
    speeds = [sp.diff(argument, symbol) for argument in waves if argument.has(symbol)]
    if not speeds or any(speed.has(symbol) for speed in speeds):
        return None
    ratios = [sp.nsimplify(speed / speeds[0]) for speed in speeds]
    if not all(ratio.is_Rational for ratio in ratios):
        return None
    length = sp.Abs(2 * sp.pi / speeds[0]) * sp.ilcm(*(ratio.q for ratio in ratios), 1)
    shifted = expr.replace(
        lambda e: isinstance(e, sp.sin | sp.cos | sp.tan),
        lambda e: e.func(sp.expand(e.args[0].subs(symbol, symbol + length))),
    )
    rest = {e: sp.Dummy() for e in expr.atoms(sp.sin, sp.cos, sp.tan)}
    return length if shifted == expr and not expr.xreplace(rest).has(symbol) else None
