"""Polynomial inequalities with quantified real parameters, decided by z3 (nlsat, an exact procedure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import sympy as sp
from sympy.logic.boolalg import Boolean, BooleanFalse, BooleanTrue

Counterexample = dict[str, str]


def _number(value: sp.Rational) -> Any:
    import z3

    return z3.RealVal(f"{value.p}/{value.q}")


def _term(expr: sp.Expr, variables: Mapping[sp.Symbol, Any]) -> Any:
    """A SymPy polynomial as a z3 real term."""
    if expr.is_Rational:
        return _number(expr)
    if expr.is_Symbol:
        return variables[expr]
    if expr.is_Add or expr.is_Mul:
        terms = [_term(argument, variables) for argument in expr.args]
        total = terms[0]
        for term in terms[1:]:
            total = total + term if expr.is_Add else total * term
        return total
    if expr.is_Pow and expr.exp.is_Integer and expr.exp >= 0:
        base, total = _term(expr.base, variables), _number(sp.Integer(1))
        for _ in range(int(expr.exp)):
            total = total * base
        return total
    raise ValueError(f"inequality: {expr} is not a polynomial with rational coefficients")


def _text(value: Any) -> str:
    """An exact value: a fraction, or an algebraic number as the k-th root of its polynomial."""
    import z3

    return str(value.sexpr()) if z3.is_algebraic_value(value) else str(value)


def _formula(relation: Boolean, variables: Mapping[sp.Symbol, Any]) -> Any:
    """A Boolean combination of SymPy relations as a z3 formula."""
    import z3

    if isinstance(relation, (BooleanTrue, BooleanFalse)):
        return z3.BoolVal(bool(relation))
    if isinstance(relation, (sp.And, sp.Or)):
        join = z3.And if isinstance(relation, sp.And) else z3.Or
        return join(*(_formula(argument, variables) for argument in relation.args))
    if isinstance(relation, sp.Not):
        return z3.Not(_formula(relation.args[0], variables))
    if isinstance(relation, sp.Implies):
        return z3.Implies(*(_formula(argument, variables) for argument in relation.args))
    if isinstance(relation, sp.core.relational.Relational):
        left, right = _term(relation.lhs, variables), _term(relation.rhs, variables)
        return {
            sp.Lt: left < right,
            sp.Le: left <= right,
            sp.Gt: left > right,
            sp.Ge: left >= right,
            sp.Eq: left == right,
            sp.Ne: left != right,
        }[type(relation)]
    raise ValueError(f"inequality: {relation!r} is not a relation between polynomials")


def _sign_assumptions(symbol: sp.Symbol) -> list[Boolean]:
    """What SymPy assumes about the sign of a symbol, as relations."""
    if symbol.is_extended_real is not True:
        raise ValueError(f"symbol: {symbol} is not declared real")
    signs = {
        sp.StrictGreaterThan: symbol.is_positive,
        sp.StrictLessThan: symbol.is_negative,
        sp.GreaterThan: symbol.is_nonnegative,
        sp.LessThan: symbol.is_nonpositive,
    }
    return [relation(symbol, 0, evaluate=False) for relation, known in signs.items() if known]


def prove_polynomial(
    claim: Boolean, assumptions: Iterable[Boolean] = (), *, seconds: float = 5.0
) -> Literal[True] | Counterexample | None:
    """Whether a polynomial statement holds for all real values of its symbols.

    ∀ symbols: assumptions ⇒ claim. The negation is handed to z3's nlsat, which decides the theory of real closed
    fields exactly. The signs that SymPy assumes of a symbol (positive, nonnegative, ...) count as assumptions.
    Returns True where it is proved; a counterexample, symbol → exact value as text (a fraction, or the algebraic
    number as a root of its polynomial), where it is false; None where z3 gave up within `seconds`.
    Hypotheses: relations between polynomials with rational coefficients, joined by And, Or, Not, Implies.
    Raises ValueError for anything else, and for a symbol that is not declared real.
    """
    import z3

    if seconds <= 0:
        raise ValueError(f"seconds: {seconds} is not positive")
    given = [sp.sympify(assumption) for assumption in assumptions]
    claim = sp.sympify(claim)
    symbols = sorted(set().union(claim.free_symbols, *(g.free_symbols for g in given)), key=str)
    variables = {symbol: z3.Real(f"x{index}") for index, symbol in enumerate(symbols)}
    solver = z3.SolverFor("QF_NRA")
    solver.set("timeout", max(1, int(1000 * seconds)))
    for relation in [*given, *(sign for symbol in symbols for sign in _sign_assumptions(symbol))]:
        solver.add(_formula(relation, variables))
    solver.add(z3.Not(_formula(claim, variables)))
    outcome = solver.check()
    if outcome == z3.unsat:
        return True
    if outcome == z3.sat:
        model = solver.model()
        return {str(symbol): _text(model.eval(variables[symbol], model_completion=True)) for symbol in symbols}
    return None


def satisfiable(assumptions: Iterable[Boolean], *, seconds: float = 5.0) -> bool | None:
    """Whether some real values meet all the assumptions: a statement with contradictory hypotheses says nothing.

    ∃ symbols: assumptions. None where z3 gave up within `seconds`. Raises ValueError as `prove_polynomial`.
    """
    outcome = prove_polynomial(sp.false, assumptions, seconds=seconds)
    return None if outcome is None else outcome is not True
