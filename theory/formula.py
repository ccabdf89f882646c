"""The grammar of user formulas and the named reparameterizations.

A formula is text in one variable. It is read by a small recursive-descent parser into a SymPy expression: nothing is
evaluated as Python, decimals are exact rationals, and constants are tracked in floating point as well so that
`9**9**9**9` is refused before it is computed. The grammar:

    sum     = product { ("+" | "-") product }
    product = signed { ("*" | "/") signed }
    signed  = ("+" | "-") signed | power
    power   = atom [ "**" signed ]
    atom    = number | constant | variable | function "(" sum ")" | "(" sum ")"
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp
from sympy.printing.str import StrPrinter

from theory.notation import w as WEIGHT

MAX_LENGTH = 2000
MAX_DEPTH = 40
MAX_OPERATIONS = 300
MAX_EXPONENT = 1000
MAX_CONSTANT = 1e300


class FormulaError(ValueError):
    """A formula that cannot be read; the message is one line."""


@dataclass(frozen=True)
class _Function:
    symbolic: Callable[[sp.Expr], sp.Expr]
    numeric: Callable[[float], float]


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


FUNCTIONS: Mapping[str, _Function] = {
    "exp": _Function(sp.exp, math.exp),
    "log": _Function(sp.log, math.log),
    "sqrt": _Function(sp.sqrt, math.sqrt),
    "abs": _Function(sp.Abs, abs),
    "sin": _Function(sp.sin, math.sin),
    "cos": _Function(sp.cos, math.cos),
    "tan": _Function(sp.tan, math.tan),
    "tanh": _Function(sp.tanh, math.tanh),
    "sinh": _Function(sp.sinh, math.sinh),
    "cosh": _Function(sp.cosh, math.cosh),
    "atan": _Function(sp.atan, math.atan),
    "softplus": _Function(lambda x: sp.log(1 + sp.exp(x)), _softplus),
    "sigmoid": _Function(lambda x: 1 / (1 + sp.exp(-x)), lambda x: 0.5 + 0.5 * math.tanh(x / 2)),
    "relu": _Function(lambda x: sp.Max(x, 0), lambda x: max(x, 0.0)),
}
CONSTANTS: Mapping[str, tuple[sp.Expr, float]] = {"pi": (sp.pi, math.pi), "e": (sp.E, math.e)}


@dataclass(frozen=True)
class _Term:
    """A subexpression; `value` is its floating-point value where it is free of the variable."""

    expr: sp.Expr
    value: float | None


_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<op>\*\*|[-+*/()]))", re.ASCII
)


def _shorten(text: str, limit: int = 60) -> str:
    printable = "".join(c if c.isprintable() else "?" for c in text)
    return printable if len(printable) <= limit else printable[:limit] + "…"


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, position, end = [], 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            rest = text[position:].lstrip()
            hint = " (write ** for a power)" if rest[0] == "^" else ""
            raise FormulaError(f"formula: unexpected {_shorten(rest[0])!r} at {_shorten(rest, 20)!r}{hint}")
        tokens.append((str(match.lastgroup), match.group(match.lastgroup or 0)))
        position = match.end()
    return tokens


class _Parser:
    """Recursive descent over the grammar in the module's docstring."""

    def __init__(self, text: str, names: Mapping[str, _Term], variable_name: str) -> None:
        self.tokens = _tokens(text)
        self.names = names
        self.variable_name = variable_name
        self.position = 0
        self.depth = 0
        self.operations = 0
        self.used: set[str] = set()
        self.roots_and_logarithms: list[sp.Expr] = []
        self.divisors: list[sp.Expr] = []

    def parse(self) -> _Term:
        term = self._sum()
        if self.position < len(self.tokens):
            raise FormulaError(f"formula: unexpected {self._peek()!r}, an operator or the end was expected")
        return term

    def _peek(self) -> str | None:
        return self.tokens[self.position][1] if self.position < len(self.tokens) else None

    def _take(self, *texts: str) -> str | None:
        if self._peek() in texts:
            self.position += 1
            return self.tokens[self.position - 1][1]
        return None

    def _count(self) -> None:
        self.operations += 1
        if self.operations > MAX_OPERATIONS:
            raise FormulaError(f"formula: more than {MAX_OPERATIONS} operations")

    def _sum(self) -> _Term:
        term = self._product()
        while op := self._take("+", "-"):
            self._count()
            right = self._product()
            if op == "+":
                term = _apply(lambda x, y: x + y, lambda x, y: x + y, term, right)
            else:
                term = _apply(lambda x, y: x - y, lambda x, y: x - y, term, right)
        return term

    def _product(self) -> _Term:
        term = self._signed()
        while op := self._take("*", "/"):
            self._count()
            right = self._signed()
            if op == "*":
                term = _apply(lambda x, y: x * y, lambda x, y: x * y, term, right)
            else:
                if right.expr.is_zero:
                    raise FormulaError("formula: division by zero")
                self.divisors.append(right.expr)
                term = _apply(lambda x, y: x / y, lambda x, y: x / y, term, right)
        return term

    def _signed(self) -> _Term:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise FormulaError(f"formula: nested deeper than {MAX_DEPTH} levels")
        if op := self._take("+", "-"):
            self._count()
            term = self._signed()
            if op == "-":
                term = _apply(lambda x: -x, lambda x: -x, term)
        else:
            term = self._power()
        self.depth -= 1
        return term

    def _power(self) -> _Term:
        base = self._atom()
        if not self._take("**"):
            return base
        self._count()
        exponent = self._signed()
        if exponent.value is not None and base.value is None and abs(exponent.value) > MAX_EXPONENT:
            raise FormulaError(f"formula: exponent {_shorten(str(exponent.expr), 20)} is beyond ±{MAX_EXPONENT}")
        if base.expr.is_zero and exponent.value is not None and exponent.value <= 0:
            raise FormulaError("formula: zero to a power that is not positive")
        if not exponent.expr.is_integer:
            self.roots_and_logarithms.append(base.expr)
        if not exponent.expr.is_nonnegative:
            self.divisors.append(base.expr)
        return _apply(lambda x, y: x**y, _real_power, base, exponent)

    def _atom(self) -> _Term:
        if self.position >= len(self.tokens):
            raise FormulaError("formula: it ends where a number, a name or '(' was expected")
        kind, text = self.tokens[self.position]
        self.position += 1
        if kind == "number":
            return _number(text)
        if kind == "name":
            return self._named(text)
        if text == "(":
            return self._closing(self._sum())
        raise FormulaError(f"formula: unexpected {text!r} where a number, a name or '(' was expected")

    def _closing(self, term: _Term) -> _Term:
        if not self._take(")"):
            raise FormulaError("formula: a closing parenthesis is missing")
        return term

    def _named(self, name: str) -> _Term:
        if self._peek() == "(":
            function = FUNCTIONS.get(name)
            if function is None:
                allowed = ", ".join(FUNCTIONS)
                raise FormulaError(f"formula: {_shorten(name)!r} is not a known function; allowed: {allowed}")
            self._take("(")
            self._count()
            argument = self._closing(self._sum())
            if name in ("log", "sqrt"):
                self.roots_and_logarithms.append(argument.expr)
            return _apply(function.symbolic, function.numeric, argument)
        if name in FUNCTIONS:
            raise FormulaError(f"formula: the function {name!r} needs an argument, as in {name}({self.variable_name})")
        if name not in self.names:
            known = ", ".join(self.names)
            raise FormulaError(f"formula: unknown name {_shorten(name)!r}; known are {known} (give others a value)")
        self.used.add(name)
        return self.names[name]


def _number(text: str) -> _Term:
    value = float(text)
    if value > MAX_CONSTANT or (value == 0.0 and re.search(r"[1-9]", re.split("[eE]", text)[0])):
        raise FormulaError(f"formula: the number {_shorten(text, 20)!r} is out of range")
    exact = Fraction(text)
    return _Term(sp.Rational(exact.numerator, exact.denominator), value)


def _real_power(x: float, y: float) -> float:
    value = x**y
    if isinstance(value, complex):
        raise ValueError("not real")
    if value == 0.0 and x != 0.0:
        raise OverflowError
    return float(value)


def _apply(symbolic: Callable[..., sp.Expr], numeric: Callable[..., float], *terms: _Term) -> _Term:
    """The operation on constants in floating point first, so that the exact one is bounded in size."""
    value = None
    values = [term.value for term in terms]
    if all(v is not None for v in values):
        try:
            value = numeric(*values)
        except OverflowError:
            raise FormulaError("formula: a constant in it is out of range") from None
        except ZeroDivisionError:
            raise FormulaError("formula: division by zero") from None
        except ValueError:
            raise FormulaError("formula: a constant in it is not real") from None
        if not abs(value) <= MAX_CONSTANT:
            raise FormulaError("formula: a constant in it is out of range")
    expr = symbolic(*(term.expr for term in terms))
    if expr.has(sp.I, sp.nan, sp.zoo, sp.oo, -sp.oo):
        problem = "not real" if expr.has(sp.I) else "division by zero or infinite"
        raise FormulaError(f"formula: a part of it is {problem}")
    return _Term(expr, value)


def _constant_terms(values: Mapping[str, object] | None, reserved: str) -> dict[str, _Term]:
    terms = {name: _Term(*constant) for name, constant in CONSTANTS.items()}
    for name, value in (values or {}).items():
        if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
            raise FormulaError(f"constant: {_shorten(name)!r} is not a name")
        if name == reserved or name in FUNCTIONS or name in CONSTANTS:
            raise FormulaError(f"constant: the name {name!r} is taken")
        text = str(value)
        try:
            terms[name] = _Parser(text, {n: _Term(*c) for n, c in CONSTANTS.items()}, reserved).parse()
        except FormulaError as error:
            raise FormulaError(f"constant {name}={_shorten(text, 30)!r}: {error}") from None
    return terms


@dataclass(frozen=True)
class Formula:
    """A formula that was read: the expression, what must be ≥ 0 for the text to be real, and what it divides by.

    SymPy turns exp(log(w)) into w and w/w into 1; the arguments of roots and logarithms and the divisors still know
    that the text is not real for w < 0, or not defined at 0.
    """

    expr: sp.Expr
    roots_and_logarithms: tuple[sp.Expr, ...] = ()
    divisors: tuple[sp.Expr, ...] = ()


def read(text: str, values: Mapping[str, object] | None = None, variable: sp.Symbol = WEIGHT) -> Formula:
    """Reads a formula of one real variable.

    `values` gives the named constants (numbers, fractions, or text such as "1/3"); each must occur in the formula.
    Decimals are exact: 0.1 is 1/10. softplus(x), sigmoid(x) and relu(x) become log(1+e^x), 1/(1+e^{-x}), max(x, 0).

    Raises FormulaError, with a one-line message, for anything outside the grammar, for a formula without the
    variable, for constants that are not real or exceed 1e300, and for text that is too long or too deeply nested.
    """
    if len(text) > MAX_LENGTH:
        raise FormulaError(f"formula: {len(text)} characters; at most {MAX_LENGTH} are allowed")
    terms = _constant_terms(values, variable.name)
    parser = _Parser(text, {variable.name: _Term(variable, None), **terms}, variable.name)
    expr = parser.parse().expr
    if variable.name not in parser.used:
        raise FormulaError(f"formula: {_shorten(text)!r} does not contain {variable.name}")
    unused = set(values or {}) - parser.used
    if unused:
        raise FormulaError(f"constant: {', '.join(sorted(unused))} does not occur in the formula")
    divisors = (divisor for divisor in parser.divisors if divisor.has(variable))
    return Formula(expr, tuple(dict.fromkeys(parser.roots_and_logarithms)), tuple(dict.fromkeys(divisors)))


def parse(text: str, values: Mapping[str, object] | None = None, variable: sp.Symbol = WEIGHT) -> sp.Expr:
    """The SymPy expression of a formula, see `read`."""
    return read(text, values, variable).expr


@dataclass(frozen=True)
class Named:
    """A reparameterization with a name: formula texts in w and the default values of its parameters."""

    name: str
    continuous: str | None
    discrete: str | None
    defaults: Mapping[str, str]
    inverse_branch: str
    """The values of w that the inverse returns: "" for all of R, or an inequality such as "w >= 0"."""


NAMED: Mapping[str, Named] = {
    named.name: named
    for named in (
        Named("direct", "w", "w", {}, ""),
        Named("relu", "-relu(w)", "1 - relu(w)", {}, "w >= 0"),
        Named("exp", "-exp(w)", "exp(-exp(w))", {}, ""),
        Named("softplus", "-softplus(w)", "exp(-softplus(w))", {}, ""),
        Named("sigmoid", "-sigmoid(w)", "sigmoid(w)", {}, ""),
        Named("tanh", None, "tanh(w)", {}, ""),
        Named("best", "-1/(a*w**2 + b)", "1 - 1/(a*w**2 + b)", {"a": "1", "b": "1/2"}, "w >= 0"),
        Named("reciprocal", "-1/(a*abs(w) + b)", "1 - 1/(a*abs(w) + b)", {"a": "1", "b": "1/2"}, "w >= 0"),
    )
}


def _split_named(text: str) -> tuple[Named, dict[str, str]] | None:
    """The named reparameterization and the parameters of "best:a=1:b=0.1"; None where the text is a formula."""
    name, *settings = text.strip().split(":")
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) or (name == WEIGHT.name and not settings):
        return None
    if name not in NAMED:
        near = difflib.get_close_matches(name, NAMED, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise FormulaError(f"name: {_shorten(name)!r} is not a reparameterization; {hint}known: {', '.join(NAMED)}")
    parameters: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key not in NAMED[name].defaults or key in parameters:
            allowed = ", ".join(f"{k}=…" for k in NAMED[name].defaults) or "none"
            raise FormulaError(f"name: {_shorten(setting)!r} is not a parameter of {name!r}; allowed: {allowed}")
        parameters[key] = value
    return NAMED[name], parameters


def named(text: str, time: str = "continuous", values: Mapping[str, object] | None = None) -> sp.Expr:
    """The expression of a named reparameterization, for example "exp" or "best:a=1:b=0.1".

    `time` is "continuous" (λ = f(w)) or "discrete" (λ = f(w) of h_{k+1} = λ h_k + …). `values` may set parameters too.
    Raises FormulaError for an unknown name or parameter, and for a name that does not exist in that time.
    """
    split = _split_named(text)
    if split is None:
        raise FormulaError(f"name: {_shorten(text)!r} is not a name")
    return _read_named(*split, time, values).expr


def _read_named(entry: Named, parameters: Mapping[str, str], time: str, values: Mapping[str, object] | None) -> Formula:
    source = {"continuous": entry.continuous, "discrete": entry.discrete}.get(time)
    if source is None:
        raise FormulaError(f"name: {entry.name!r} is not defined in {time} time")
    twice = set(values or {}) & set(parameters)
    if twice:
        raise FormulaError(f"constant: {', '.join(sorted(twice))} has two values")
    return read(source, {**entry.defaults, **(values or {}), **parameters})


def resolve(text: str, time: str = "continuous", values: Mapping[str, object] | None = None) -> Formula:
    """A formula, or a named reparameterization, read. Raises FormulaError."""
    if time not in ("continuous", "discrete"):
        raise FormulaError(f"time: {_shorten(time)!r} is neither 'continuous' nor 'discrete'")
    split = _split_named(text) if len(text) <= MAX_LENGTH else None
    return read(text, values) if split is None else _read_named(*split, time, values)


class _Printer(StrPrinter):  # type: ignore[misc]
    """Prints in the grammar of this module."""

    def _print_Abs(self, expr: sp.Expr) -> str:
        return f"abs({self._print(expr.args[0])})"

    def _print_Max(self, expr: sp.Expr) -> str:
        other = [arg for arg in expr.args if arg != 0]
        return f"relu({self._print(other[0])})" if len(other) == 1 else super()._print_Function(expr)

    def _print_Exp1(self, expr: sp.Expr) -> str:
        return "e"


def format_formula(expr: sp.Expr) -> str:
    """The text of an expression, in the grammar that `parse` reads."""
    return str(_Printer().doprint(expr))
