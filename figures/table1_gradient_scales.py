"""Table 1: the gradient scale of every named reparameterization, as printed, as derived, and against memory time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from figures.figure import FigureKind, Finding
from figures.table_files import Table
from figures.wording import number
from proofs_check.claim import Verdict

if TYPE_CHECKING:
    import sympy as sp

    from numerics.enclosure import Interval

POINTS = (-1.7, -0.9, -0.4, 0.3, 0.8, 1.6)
"""w at which the formulas are checked, where λ is inside the boundary."""
TOLERANCE = 1e-6
"""Of the relative deviation: that of a central difference with step h = 1e-5 is about (h/distance to the boundary)²."""
_STEP = Fraction(1, 10**5)
_STABLE = {
    ("best", "continuous"): ("best:b=1/2", "best:b=0"),
    ("best", "discrete"): ("best:b=1", "best:b=1/2"),
    ("reciprocal", "discrete"): ("reciprocal:b=1", "reciprocal:b=1/2"),
}
"""Constants with which stability is decided where it depends on them."""


@dataclass(frozen=True)
class ScalePoint:
    """At one w (a = 1, b = 1/2): the formulas as they stand in the table, and |Δτ/Δw| by differences of f in numbers.

    of_memory_time: the derived one as a function of τ; None for λ < 0 in discrete time, where it does not hold.
    """

    w: float
    lam: float
    printed: float
    derived: float
    of_memory_time: float | None
    difference: float


@dataclass(frozen=True)
class ScaleRow:
    """One f in one time; formulas in LaTeX. decided: (f with its constants, verdict of its stability)."""

    name: str
    time: str
    formula: str
    printed: str
    derived: str
    of_memory_time: str
    decided: tuple[tuple[str, str], ...]
    points: tuple[ScalePoint, ...]


@dataclass(frozen=True)
class GradientScales:
    """All f in both times."""

    rows: tuple[ScaleRow, ...]


def compute(level: str = "quick", *, seed: int = 0, folder: Path | None = None) -> GradientScales:
    """Derived symbolically for every name that exists in the time; level and seed change nothing."""
    from theory.formula import NAMED

    names = [
        (name, time)
        for time in ("continuous", "discrete")
        for name, entry in NAMED.items()
        if (entry.continuous if time == "continuous" else entry.discrete) is not None
    ]
    return GradientScales(tuple(_row(name, time) for name, time in names))


def _row(name: str, time: str) -> ScaleRow:
    import sympy as sp

    from proofs_check.decide import decide
    from theory.formula import NAMED
    from theory.gradient import memory_time_rate, mode_gradient_norm, printed_discrete_scale
    from theory.notation import a, b, tau
    from theory.reparameterization import symbolic_formula

    f = symbolic_formula(name, time)
    derived = _short(mode_gradient_norm(f, time), name)
    printed = _short(printed_discrete_scale(f), name) if time == "discrete" else derived
    rate = memory_time_rate(f, time, half_line=NAMED[name].inverse_branch != "")
    if rate.subs({tau: 3, a: 1, b: sp.Rational(1, 2)}) < 0:
        rate = -rate  # of a branch on which the memory time falls
    return ScaleRow(
        name=name,
        time=time,
        formula=_latex(f),
        printed=_latex(printed),
        derived=_latex(derived),
        of_memory_time=_latex(sp.factor_terms(rate)),
        decided=tuple((text, decide(text, time=time).verdict.name) for text in _STABLE.get((name, time), (name,))),
        points=tuple(_points(f, time, printed, derived, rate)),
    )


def _short(scale: sp.Expr, name: str) -> sp.Expr:
    """The shortest equal form: of an even scale that for w > 0 with |w| for w, of relu that for w > 0."""
    import sympy as sp

    from theory.notation import w

    x = sp.Symbol("x", positive=True)
    right, left = scale.subs(w, x), scale.subs(w, -x)
    is_even = name == "relu" or sp.simplify((right - left).rewrite(sp.exp)) == 0
    some = right if is_even else scale
    forms = [
        form for form in (some, sp.simplify(some), sp.simplify(some.rewrite(sp.exp))) if not form.has(sp.Piecewise)
    ]
    found = min(forms, key=sp.count_ops)
    return found.subs(x, w if name == "relu" else sp.Abs(w))


def _points(f: sp.Expr, time: str, printed: sp.Expr, derived: sp.Expr, rate: sp.Expr) -> Iterator[ScalePoint]:
    """The formulas at POINTS beside differences of the memory time 1/(distance to the boundary) over a small step.

    By ball arithmetic of numerics on f alone: a route without a derivative.
    """
    from numerics.enclosure import Interval, compile_interval
    from theory.notation import a, b, tau, w

    constants = {a: 1, b: Fraction(1, 2)}
    of_f, of_printed, of_derived = (compile_interval(form.subs(constants), (w,)) for form in (f, printed, derived))
    of_rate = compile_interval(rate.subs(constants), (tau,))
    for point in POINTS:
        w_value = Fraction(str(point))
        lam, low, high = (_middle(of_f(Interval.of(w_value + shift))) for shift in (0, -_STEP, _STEP))
        if min(_distance(end, time) for end in (lam, low, high)) > 0:
            holds = time == "continuous" or lam >= 0
            memory_time = Interval.of(Fraction(1 / _distance(lam, time)))
            yield ScalePoint(
                w=point,
                lam=lam,
                printed=_middle(of_printed(Interval.of(w_value))),
                derived=_middle(of_derived(Interval.of(w_value))),
                of_memory_time=_middle(of_rate(memory_time)) if holds else None,
                difference=abs(1 / _distance(high, time) - 1 / _distance(low, time)) / float(2 * _STEP),
            )


def _middle(value: Interval) -> float:
    return (value.lower + value.upper) / 2


def _distance(lam: float, time: str) -> float:
    """To the stability boundary; its inverse is the memory time."""
    return -lam if time == "continuous" else 1 - abs(lam)


def _latex(expr: sp.Expr) -> str:
    """In commands that matplotlib's mathtext and LaTeX without packages have in common."""
    from sympy.printing.latex import LatexPrinter

    class Printer(LatexPrinter):  # type: ignore[misc]
        def _as_ordered_terms(self, expr: sp.Expr, order: str | None = None) -> list[sp.Expr]:
            terms = super()._as_ordered_terms(expr, order=order)
            return sorted(terms, key=lambda term: bool(term.could_extract_minus_sign()))

        def _print_Abs(self, expr: sp.Expr, exp: str | None = None) -> str:
            inside = self._print(expr.args[0])
            text = f"|{inside}|" if expr.args[0].is_Symbol else rf"\left|{inside}\right|"
            return text if exp is None else f"{text}^{{{exp}}}"

    turned = expr.replace(lambda part: part.is_Pow and part.exp.is_even and _is_negative(part.base), _turned)
    return re.sub(r"^- ", "-", Printer({"fold_short_frac": False}).doprint(turned)).replace(r" \right)", r"\right)")


def _is_negative(base: sp.Expr) -> bool:
    """A sum of which most terms are negative."""
    signs = [term.could_extract_minus_sign() for term in base.args] if base.is_Add else []
    return 2 * sum(signs) > len(signs)


def _turned(power: sp.Expr) -> sp.Expr:
    return (-power.base) ** power.exp


# Told


def caption(data: GradientScales) -> str:
    return (
        "The factor of f in the gradient bound of Theorem 3.6, derived by SymPy from the formula of each f (a, b > 0), "
        "in continuous and in discrete time. Printed: the theorem's |f'|/f² and |f'|/(1-f)² with f put in; what the "
        "paper's own table makes of them is not reproduced. Derived: the norm of the derivative of a mode, |f'|/f² and "
        "|f'|/(1-|f|)²; the two differ in discrete time where λ < 0. The last formula is the derived one as a function "
        "of the memory time τ = 1/|λ| (in discrete time 1/(1-λ), for λ ≥ 0); relu counts for w > 0 only. Stable: "
        "decided on the whole line. The formulas were compared at up to "
        f"{len(POINTS)} points with central differences of the memory time, for a = 1 and b = 1/2."
    )


def finding(data: GradientScales) -> Finding:
    """Whether the derived formulas agree with the differences, and how far off the printed ones are for λ < 0."""
    points = [(row, point) for row in data.rows for point in row.points]
    worst = max(abs(value / point.difference - 1) for _, point in points for value in _derived(point))
    wrong = [(row, p) for row, p in points if abs(p.printed / p.difference - 1) > TOLERANCE]
    text = f"The derived scales agree with differences of the memory time to {number(worst, 2)} at {len(points)} points"
    if worst > TOLERANCE:
        return Finding(Verdict.REFUTED, f"{text}: one of the formulas is false.")
    if not wrong:
        return Finding(Verdict.SUPPORTED, f"{text}, and so do the printed ones.")
    if other := [f"{row.name} at w = {p.w:g}" for row, p in wrong if row.time == "continuous" or p.lam >= 0]:
        return Finding(Verdict.REFUTED, f"{text}, but not the printed one, though it should, of {', '.join(other)}.")
    row, least = min(wrong, key=lambda pair: pair[1].printed / pair[1].difference)
    names = ", ".join(dict.fromkeys(row.name for row, _ in wrong))
    return Finding(
        Verdict.SUPPORTED,
        f"{text} (thm-3.6-kernel-equality and thm-3.6-discrete-exact prove them). The printed ones do not in "
        f"discrete time where λ < 0 ({names}): at w = {least.w:g} that of {row.name} (λ = {least.lam:.2f}) is "
        f"{least.difference / least.printed:.3g} times too small (thm-3.6-discrete-printed).",
    )


def _derived(point: ScalePoint) -> list[float]:
    return [point.derived, *([] if point.of_memory_time is None else [point.of_memory_time])]


def tables(data: GradientScales) -> tuple[Table, ...]:
    """One for each time."""
    found = []
    for time in ("continuous", "discrete"):
        scales = ("$|f'|/f^2$",) if time == "continuous" else ("printed: $|f'|/(1-f)^2$", "derived: $|f'|/(1-|f|)^2$")
        rows = []
        for row in data.rows:
            if row.time == time:
                formulas = (row.derived,) if time == "continuous" else (row.printed, row.derived)
                cells = [f"${formula}$" for formula in (row.formula, *formulas, row.of_memory_time)]
                rows.append((row.name, *cells, "; ".join(_decided(*one) for one in row.decided)))
        header = ("f", r"$\lambda = f(w)$", *scales, r"by memory time $\tau$", "stable")
        found.append(Table(f"table-1-{time}", header, tuple(rows), f"Gradient scales in {time} time"))
    return tuple(found)


def _decided(text: str, verdict: str) -> str:
    word = {True: "yes", False: "no", None: "open"}[Verdict[verdict].holds]
    return word if ":" not in text else f"{word} for {text.split(':', 1)[1].replace('=', ' = ')}"


FIGURE = FigureKind(
    name="table-1",
    title="Table 1: gradient scales",
    shows="How does the gradient of the loss in w scale with w, and with the memory time, for every f?",
    claims=(
        "thm-3.6-printed",
        "thm-3.6-kernel-equality",
        "thm-3.6-memory-time",
        "thm-3.6-discrete-printed",
        "thm-3.6-discrete-exact",
        "best-ode",
        "def-3.4-best-b0",
        "discrete-best-half",
    ),
    data=GradientScales,
    compute=compute,
    caption=caption,
    finding=finding,
    tables=tables,
)
