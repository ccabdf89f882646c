"""The named reparameterizations λ = f(w): derivative, inverse, range, memory time and gradient scale, all derived."""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp
from sympy.logic.boolalg import Boolean

from theory.formula import FUNCTIONS, NAMED, FormulaError, named
from theory.notation import a, b, w

EIGENVALUE = sp.Symbol("lambda", real=True)
"""The argument λ of an inverse: real, of either sign in discrete time."""


@dataclass(frozen=True)
class Reparameterization:
    """One reparameterization λ = f(w) and what follows from its formula.

    `inverse` is in the symbol EIGENVALUE; it returns the w in `inverse_domain` (all of R, or w ≥ 0 for a formula that
    is even or flat on one side). `range` is the condition on λ that says where: it holds exactly for the values of f.
    """

    name: str
    time: str
    f: sp.Expr
    derivative: sp.Expr
    inverse: sp.Expr
    inverse_domain: sp.Interval
    range: Boolean
    memory_time: sp.Expr
    gradient_scale: sp.Expr


def _check_time(time: str) -> None:
    if time not in ("continuous", "discrete"):
        raise ValueError(f"time: {time!r} is neither 'continuous' nor 'discrete'")


def _tidy(expr: sp.Expr) -> sp.Expr:
    """The shorter of two simplified forms. sign(w) is kept: SymPy would turn it into a Piecewise."""
    sign = sp.Dummy("sign", real=True)
    kept = expr.subs(sp.sign(w), sign)
    forms = (sp.simplify(kept), sp.simplify(kept.rewrite(sp.exp)))
    return min(forms, key=sp.count_ops).subs(sign, sp.sign(w))


def derivative(f: sp.Expr) -> sp.Expr:
    """f'(w), where f is differentiable.

    d|x|/dx = sign x, and d max(x, 0)/dx = (1 + sign x)/2, which is 1/2 at the kink.
    Source: derived here by differentiation.
    """
    # max(x, y) = (x + y + |x - y|)/2 turns SymPy's Heaviside into a sign
    smooth = f.replace(sp.Max, lambda x, y: (x + y + sp.Abs(x - y)) / 2)
    return _tidy(sp.diff(smooth, w))


def memory_time(f: sp.Expr, time: str = "continuous") -> sp.Expr:
    """Memory time τ of the mode λ = f(w): the L¹ norm of its impulse response.

    Continuous: ∫_0^∞ |e^{λt}| dt = 1/|λ| for λ < 0. Discrete: Σ_{k≥0} |λ^k| = 1/(1-|λ|) for |λ| < 1, which is
    1/(1-λ) for λ ≥ 0 only.
    Hypotheses: λ < 0 (continuous) or |λ| < 1 (discrete) at the w where it is evaluated.
    Source: derived here, by the two sums above. Raises ValueError for another time.
    """
    _check_time(time)
    return _tidy(1 / sp.Abs(f) if time == "continuous" else 1 / (1 - sp.Abs(f)))


def gradient_scale(f: sp.Expr, time: str = "continuous") -> sp.Expr:
    """The factor of f in the gradient bound of Theorem 3.6: |dτ/dw| for the memory time τ.

    Continuous: |f'|/f². Discrete: |f'|/(1-|f|)², since Σ_k k|λ|^{k-1} = 1/(1-|λ|)²; for λ ≥ 0 this is |f'|/(1-f)².
    Hypotheses: λ < 0 (continuous) or |λ| < 1 (discrete) at the w where it is evaluated.
    Source: Theorem 3.6; in discrete time derived here. Raises ValueError for another time.
    """
    _check_time(time)
    rate = sp.Abs(derivative(f))
    return _tidy(rate / f**2 if time == "continuous" else rate / (1 - sp.Abs(f)) ** 2)


def symbolic_formula(name: str, time: str = "continuous") -> sp.Expr:
    """The formula of a named reparameterization with its parameters left as the symbols a, b > 0.

    Source: the formula texts of theory.formula. Raises FormulaError for a name unknown in that time.
    """
    _check_time(time)
    entry = NAMED.get(name)
    text = None if entry is None else {"continuous": entry.continuous, "discrete": entry.discrete}[time]
    if text is None:
        raise FormulaError(f"name: {name!r} is not a reparameterization in {time} time")
    functions = {key: function.symbolic for key, function in FUNCTIONS.items()}
    return sp.sympify(text, locals={"w": w, "a": a, "b": b, **functions})


def _on_domain(f: sp.Expr, domain: sp.Interval) -> tuple[sp.Expr, sp.Dummy]:
    """f in a symbol that knows its sign inside the domain, so that |w| and max(w, 0) disappear."""
    x = sp.Dummy("x", positive=True) if domain.start == 0 else sp.Dummy("x", real=True)
    return f.subs(w, x), x


def _range_on(f: sp.Expr, domain: sp.Interval) -> Boolean:
    """The values of f on the domain, where f is strictly monotone: between its limits at the two ends."""
    inside, x = _on_domain(f, domain)
    slope = sp.simplify(sp.diff(inside, x))
    if not (slope.is_positive or slope.is_negative):
        raise ValueError(f"f: {f} is not seen to be strictly monotone for w in {domain}")
    start = sp.limit(inside, x, domain.start, "+")
    end = sp.limit(inside, x, domain.end, "-")
    attained = domain.start == 0
    if slope.is_positive:
        return sp.And(start <= EIGENVALUE if attained else start < EIGENVALUE, end > EIGENVALUE)
    return sp.And(end < EIGENVALUE, start >= EIGENVALUE if attained else start > EIGENVALUE)


def _inverse_on(f: sp.Expr, domain: sp.Interval) -> sp.Expr:
    """The root w of f(w) = λ that lies in the domain."""
    inside, x = _on_domain(f, domain)
    root_symbol = sp.Dummy("w")
    # the branch is the one that returns w itself, tried at two points of the domain
    points = [{x: sp.Rational(k, 2), a: sp.Integer(2), b: sp.Rational(3, 4)} for k in (1, 3)]
    for root in sp.solve(sp.Eq(inside.subs(x, root_symbol), EIGENVALUE), root_symbol):
        values = [root.subs(EIGENVALUE, inside).subs(point) - point[x] for point in points]
        if all(abs(sp.N(value, 30)) < 1e-20 for value in values):
            return sp.simplify(root)
    raise ValueError(f"f: no root of f(w) = lambda was found for f = {f} with w in {domain}")


def reparameterization(text: str, time: str = "continuous", *, symbolic: bool = False) -> Reparameterization:
    """Everything derived from one name, such as "exp" or "best:a=1:b=0.1".

    f' by differentiation; inverse: the root of f(w) = λ in the inverse's domain; range: f is strictly monotone there
    (its derivative has one sign), so the range is bounded by the limits at the two ends; memory time τ (1/|f|, in
    discrete time 1/(1-|f|)); gradient scale |dτ/dw|.
    Hypotheses: a name of theory.formula that exists in this time; with symbolic=True a bare name, a and b stay symbols.
    Source: derived here from the formula; nothing is looked up.
    Raises FormulaError (a ValueError) for an unknown name or parameter, ValueError for another time.
    """
    _check_time(time)
    f = symbolic_formula(text, time) if symbolic else named(text, time)
    name = text.strip().split(":")[0]
    half_line = NAMED[name].inverse_branch == "w >= 0"
    domain = sp.Interval(0, sp.oo) if half_line else sp.Interval(-sp.oo, sp.oo)
    return Reparameterization(
        name=name,
        time=time,
        f=f,
        derivative=derivative(f),
        inverse=_inverse_on(f, domain),
        inverse_domain=domain,
        range=_range_on(f, domain),
        memory_time=memory_time(f, time),
        gradient_scale=gradient_scale(f, time),
    )
