"""A real SymPy expression as a closure over any arithmetic: balls, intervals, power series, complex balls.

The expression is walked once; nothing is ever printed to text and evaluated. Differences that lose digits or hide a
single occurrence of a variable are rewritten on the way:

    log(1 + u) → log1p(u),   exp(u) - 1 → expm1(u),   exp(u)/(1 + exp(u)) → 1/(1 + exp(-u)).
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Any

import sympy as sp

Closure = Callable[[Any], Any]


@dataclass(frozen=True)
class Arithmetic:
    """What a kind of number can do beside + - * /, which it has as operators.

    `functions` has the keys exp, log, log1p, expm1, sqrt, sin, cos, tan, sinh, cosh, tanh, atan, abs, sign and step
    (the Heaviside function, any value of [0, 1] at 0); airyai and airyaiprime are optional.
    """

    constant: Callable[[Fraction | str], Any]
    """A rational number, "pi" or "e"."""
    functions: Mapping[str, Closure]
    integer_power: Callable[[int], Closure]
    """n ≥ 2 ↦ (x ↦ x**n)."""
    rational_power: Callable[[Fraction], Closure]
    """p > 0 ↦ (x ↦ x**p) for x ≥ 0."""
    power: Callable[[Any, Any], Any]
    """(x, y) ↦ x**y for x > 0."""
    maximum: Callable[[Any, Any], Any]
    minimum: Callable[[Any, Any], Any]


_FUNCTIONS: dict[type[sp.Basic], str] = {
    sp.exp: "exp", sp.log: "log", sp.sin: "sin", sp.cos: "cos", sp.tan: "tan", sp.sinh: "sinh", sp.cosh: "cosh",
    sp.tanh: "tanh", sp.atan: "atan", sp.Abs: "abs", sp.sign: "sign", sp.Heaviside: "step",
    sp.airyai: "airyai", sp.airyaiprime: "airyaiprime",
}  # fmt: skip


def compile_expression(expr: Any, symbols: Sequence[sp.Symbol], arithmetic: Arithmetic) -> Callable[..., Any]:
    """A function of as many arguments as there are symbols, that evaluates the expression in the given arithmetic.

    Built from + - * / **, exp, log, sqrt, Abs, Max, Min, sign, Heaviside, sin, cos, tan, sinh, cosh, tanh, atan, pi, E
    and numbers. A SymPy Float counts as the binary number that it is. Raises ValueError for anything else.
    """
    expr = sp.sympify(expr)
    unknown = expr.free_symbols - set(symbols)
    if unknown:
        raise ValueError(f"the expression {expr} contains {sorted(map(str, unknown))}, for which no value is given")
    compiler = _Compiler(arithmetic, symbols, _worth_sharing(expr))
    root = compiler.build(expr)
    if compiler.direct:
        return root
    shared = compiler.shared_closures

    def evaluate(*values: Any) -> Any:
        environment = list(values)
        for closure in shared:
            environment.append(closure(environment))
        return root(environment)

    return evaluate


def real_derivative(expr: sp.Expr, symbol: sp.Symbol) -> sp.Expr | None:
    """The derivative of an expression all of whose parts are real, in terms of sign and Heaviside at kinks.

    |u|' = sign(u) u',   max(u, v)' = H(u - v) u' + H(v - u) v'. With sign(0) read as [-1, 1] and H(0) as [0, 1] it
    contains Clarke's generalized gradient. None where the expression itself jumps (sign, Heaviside).
    """
    expr = sp.sympify(expr)
    if expr.has(sp.sign, sp.Heaviside):
        return None
    return expr.replace(sp.Abs, _RealAbs).diff(symbol).replace(_RealAbs, sp.Abs)


class _RealAbs(sp.Function):  # type: ignore[misc]
    """|u| for u known to be real, which spares SymPy's derivative through re(u) and im(u)."""

    def _eval_is_extended_real(self) -> bool:
        return True

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return sp.sign(self.args[0])


def singular_parts(expr: sp.Expr) -> list[sp.Expr]:
    """Subexpressions at whose zeros the expression may be singular: elsewhere it is continuous, wherever it is real.

    Bases of negative and of symbolic powers, arguments of logarithms, and the cosines of tangents.
    """
    expr = sp.sympify(expr)
    powers = (power for power in expr.atoms(sp.Pow) if not power.exp.is_number or power.exp.is_negative)
    parts = {power.base for power in powers} | {logarithm.args[0] for logarithm in expr.atoms(sp.log)}
    parts |= {sp.cos(tangent.args[0]) for tangent in expr.atoms(sp.tan)}
    return sorted(parts, key=sp.default_sort_key)


def _worth_sharing(expr: sp.Expr) -> set[sp.Expr]:
    """Subexpressions that occur twice or more and cost more than looking up a stored value."""
    uses: Counter[sp.Expr] = Counter()

    def visit(node: sp.Expr) -> None:
        uses[node] += 1
        if uses[node] == 1:
            for argument in node.args:
                visit(argument)

    visit(expr)
    costly = (sp.Function, sp.exp)
    return {e for e, n in uses.items() if n > 1 and e.free_symbols and (e.has(*costly) or e.count_ops() > 2)}


def _identity(x: Any) -> Any:
    return x


def _compose(outer: Closure, inner: Closure) -> Closure:
    return outer if inner is _identity else lambda x: outer(inner(x))


class _Compiler:
    """Closures of one argument: the only symbol's value, or else the list of all values and shared results."""

    def __init__(self, arithmetic: Arithmetic, symbols: Sequence[sp.Symbol], shared: set[sp.Expr]) -> None:
        self.arithmetic = arithmetic
        self.direct = len(symbols) == 1 and not shared
        self.shared = shared
        self.shared_closures: list[Closure] = []
        self.slots = {symbol: i for i, symbol in enumerate(symbols)}
        self.symbol_count = len(symbols)

    def build(self, expr: sp.Expr) -> Closure:
        if expr in self.slots:
            return _identity if self.direct else operator.itemgetter(self.slots[expr])
        if not expr.free_symbols:
            value = self._node(expr)(None)
            return lambda _: value
        closure = self._node(expr)
        if expr not in self.shared:
            return closure
        self.slots[expr] = self.symbol_count + len(self.shared_closures)
        self.shared_closures.append(closure)
        return operator.itemgetter(self.slots[expr])

    def _node(self, expr: sp.Expr) -> Closure:
        if expr.is_Rational or expr.is_Float or expr in (sp.pi, sp.E):
            value = self._constant(expr)
            return lambda _: value
        if expr.is_Add:
            return self._sum(expr)
        if expr.is_Mul:
            return self._product(expr)
        if expr.is_Pow and expr.base is not sp.E:
            return self._power(expr)
        if expr.func is sp.log:
            return self._logarithm(expr.args[0])
        if expr.func in (sp.Max, sp.Min):
            pick = self.arithmetic.maximum if expr.func is sp.Max else self.arithmetic.minimum
            return reduce(lambda f, g: lambda x: pick(f(x), g(x)), map(self.build, expr.args))
        if _FUNCTIONS.get(expr.func) in self.arithmetic.functions:
            return _compose(self._function(_FUNCTIONS[expr.func]), self.build(expr.args[0]))
        raise ValueError(f"{type(expr).__name__} in {expr} cannot be evaluated rigorously")

    def _function(self, name: str) -> Closure:
        return self.arithmetic.functions[name]

    def _constant(self, expr: sp.Expr) -> Any:
        if expr in (sp.pi, sp.E):
            return self.arithmetic.constant("pi" if expr is sp.pi else "e")
        exact = sp.Rational(expr)
        return self.arithmetic.constant(Fraction(int(exact.p), int(exact.q)))

    def _sum(self, expr: sp.Expr) -> Closure:
        constant, rest = expr.as_coeff_Add()
        terms = list(sp.Add.make_args(rest))
        closures: list[tuple[bool, Closure]] = []  # (is it subtracted, the term without its sign)
        for term in terms:
            coefficient, factor = term.as_coeff_Mul()
            if constant and coefficient == -constant and isinstance(factor, sp.exp):
                expm1 = _compose(self._function("expm1"), self.build(factor.args[0]))
                closures.append(self._scaled(coefficient, expm1))
                constant = sp.S.Zero
            elif coefficient.is_negative:
                closures.append((True, self.build(-term)))
            else:
                closures.append((False, self.build(term)))
        return self._add_up(constant, closures)

    def _scaled(self, coefficient: sp.Rational, closure: Closure) -> tuple[bool, Closure]:
        size = abs(coefficient)
        if size != 1:
            value, unscaled = self._constant(size), closure
            closure = lambda x: value * unscaled(x)  # noqa: E731
        return bool(coefficient < 0), closure

    def _add_up(self, constant: sp.Expr, terms: list[tuple[bool, Closure]]) -> Closure:
        terms = sorted(terms, key=lambda term: term[0])  # begin with a term that is not subtracted
        subtracted, total = terms[0]
        if constant:
            value, first = self.build(constant)(None), total
            total = (lambda x: value - first(x)) if subtracted else (lambda x: first(x) + value)
        elif subtracted:
            total = _compose(operator.neg, total)
        for minus, term in terms[1:]:
            total = _difference(total, term) if minus else _addition(total, term)
        return total

    def _product(self, expr: sp.Expr) -> Closure:
        coefficient, rest = expr.as_coeff_Mul()
        factors = [_base_and_exponent(factor) for factor in sp.Mul.make_args(rest)]
        factors = _with_sigmoids(factors)
        above = [self.build(base**exponent) for base, exponent in factors if exponent > 0]
        below = [self.build(base ** (-exponent)) for base, exponent in factors if exponent < 0]
        size = abs(coefficient)
        value = self._constant(size)
        if above:
            quotient = reduce(_multiplication, above)
            if size != 1:
                factor = quotient
                quotient = lambda x: value * factor(x)  # noqa: E731
            if below:
                quotient = _quotient(quotient, reduce(_multiplication, below))
        else:
            divisor = reduce(_multiplication, below)
            quotient = lambda x: value / divisor(x)  # noqa: E731
        return _compose(operator.neg, quotient) if coefficient < 0 else quotient

    def _power(self, expr: sp.Expr) -> Closure:
        base, exponent = expr.base, expr.exp
        if exponent.is_Rational and exponent < 0:
            one, divisor = self._constant(sp.S.One), self.build(base**-exponent)
            return lambda x: one / divisor(x)
        if exponent == sp.Rational(1, 2):
            return _compose(self._function("sqrt"), self.build(base))
        if exponent.is_Integer:
            return _compose(self.arithmetic.integer_power(int(exponent)), self.build(base))
        if exponent.is_Rational:
            power = self.arithmetic.rational_power(Fraction(int(exponent.p), int(exponent.q)))
            return _compose(power, self.build(base))
        general, f, g = self.arithmetic.power, self.build(base), self.build(exponent)
        return lambda x: general(f(x), g(x))

    def _logarithm(self, argument: sp.Expr) -> Closure:
        one, rest = argument.as_coeff_Add()
        if one == 1 and rest.free_symbols:
            return _compose(self._function("log1p"), self.build(rest))
        return _compose(self._function("log"), self.build(argument))


def _addition(f: Closure, g: Closure) -> Closure:
    return lambda x: f(x) + g(x)


def _difference(f: Closure, g: Closure) -> Closure:
    return lambda x: f(x) - g(x)


def _multiplication(f: Closure, g: Closure) -> Closure:
    return lambda x: f(x) * g(x)


def _quotient(f: Closure, g: Closure) -> Closure:
    return lambda x: f(x) / g(x)


def _base_and_exponent(factor: sp.Expr) -> tuple[sp.Expr, sp.Rational]:
    """A factor as base**exponent with a rational exponent (1 where the exponent is symbolic)."""
    if factor.is_Pow and factor.exp.is_Rational:
        return factor.base, factor.exp
    return factor, sp.S.One


def _with_sigmoids(factors: list[tuple[sp.Expr, sp.Rational]]) -> list[tuple[sp.Expr, sp.Rational]]:
    """exp(u)/(1 + exp(u))**n → (1 + exp(-u))**-1 (1 + exp(u))**(1 - n), which has no ∞/∞ as u → ∞."""
    for i, (factor, _) in enumerate(factors):
        if not isinstance(factor, sp.exp):
            continue
        for j, (base, exponent) in enumerate(factors):
            if base == 1 + factor and exponent <= -1:
                changed = [pair for k, pair in enumerate(factors) if k not in (i, j)]
                changed.append((1 + sp.exp(-factor.args[0]), sp.S.NegativeOne))
                return [*changed, (base, exponent + 1)] if exponent != -1 else changed
    return factors
