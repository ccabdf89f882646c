"""Is log|d| uniformly continuous on a tail? Rules over growth and smoothness, and sequences where it is not.

Let L = log|d| on x ≥ M. Used here:

1. L' bounded ⇒ L Lipschitz ⇒ uniformly continuous. A finite limit of L, or a composition of uniformly continuous
   functions, will do as well.
2. |L'| → ∞ ⇒ not uniformly continuous: for δ > 0, |L(x+δ) - L(x)| ≥ δ·inf_{[x,x+δ]} |L'| → ∞. With y = 1/L' and
   y' → 0, the mean value theorem gives y(x + s·y(x))/y(x) → 1 uniformly in s ∈ [0, 1], hence
   L(x + y(x)) - L(x) = ∫_0^1 y(x)/y(x + s·y(x)) ds → 1: the ratio of d along x_n = n, x_n + y(x_n) tends to e.
3. L = G(φ(x), x) with G 2π-periodic in its first argument and |φ'| → ∞. If for two phases p, q the function
   x ↦ G(q, x) is uniformly continuous and |G(p, x) - G(q, x)| ≥ c > 0, then L is not: the solutions of
   φ(x_n) = 2πn + p and φ(x̃_n) = 2πn + q satisfy x̃_n - x_n → 0, while
   |L(x_n) - L(x̃_n)| ≥ |G(p, x_n) - G(q, x_n)| - |G(q, x_n) - G(q, x̃_n)| ≥ c - o(1).
4. Along the solutions of φ(x_n) = 2πn + p let L'(x_n) = S(x_n) → ±∞, and let |L''| ≤ B with B/S² → 0 and B'/B bounded.
   Then |L(x_n + 1/|S|) - L(x_n) ∓ 1| ≤ (B/2S²)·(1 + o(1)) → 0: the ratio of d tends to e once more.

In 2 and 4 the step can be repeated k times, for every k, within any β > 0 far enough out: sup |L(w̃) - L(w)| = ∞.

Source: derived here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy as sp

from numerics.enclosure import DomainError, Interval, enclose
from numerics.germs import Germ
from numerics.tails import expandable, germs
from proofs_check.forms import log_magnitude, log_slope, simpler
from theory.notation import n

PHASES = (sp.S.Zero, sp.pi / 2, sp.pi, 3 * sp.pi / 2)


@dataclass(frozen=True)
class TailAnswer:
    """What was found on one tail: the sign of d there (0: unknown) and whether log|d| is uniformly continuous."""

    sign: int
    uniform: bool | None
    reason: str
    counterexample: Mapping[str, Any] | None = None
    gap: Interval | None = None
    """Where log|d| is not uniformly continuous: |log|d(w̃)| - log|d(w)|| reaches this ever closer together."""
    steep: bool = False
    """Not uniformly continuous, and moreover sup |log|d(w̃)| - log|d(w)|| = ∞ over |w̃ - w| ≤ β, for every β > 0."""


def decide_tail(d: sp.Expr, symbol: sp.Symbol, start: Fraction, direction: int, name: str = "log|d|") -> TailAnswer:
    """Decides uniform continuity of log|d| on [start, ∞), or on (-∞, -start] for direction -1.

    `name` is what the reasons call log|d|.
    """
    side = "+∞" if direction > 0 else "-∞"
    x = sp.Dummy("x", positive=True)
    signed = None
    for form, germ in germs(d.subs(symbol, direction * x), x, start):
        if not germ.sign:
            continue
        signed = signed or (form, germ)
        answer = _smooth(germ, side, name)
        if answer:
            return answer
    if signed is None:
        return TailAnswer(0, None, f"towards {side} it is not decided whether f stays inside the stability boundary")
    form, germ = signed
    logarithm = log_magnitude(form)
    if any(g.uniform for _, g in germs(logarithm, x, start)):
        return TailAnswer(germ.sign, True, f"towards {side} {name} is composed of uniformly continuous functions")
    slope = log_slope(form, x)
    for _, g in germs(slope, x, start):
        if g.value.is_finite():
            return TailAnswer(germ.sign, True, _bounded_slope(g.value, side, name))
        if g.diverges:
            reason = f"the slope of {name} diverges towards {side}"
            return TailAnswer(germ.sign, False, reason, _steep_sequence(slope, g, x, start, direction), steep=True)
    fast = _fast_oscillation(logarithm, x, start, direction)
    if fast:
        return TailAnswer(germ.sign, False, f"{name} oscillates ever faster towards {side}", fast[1], gap=fast[0])
    steep = _steep_waves(logarithm, slope, x, start, direction)
    if steep:
        return TailAnswer(germ.sign, False, f"{name} oscillates ever more steeply towards {side}", steep, steep=True)
    return TailAnswer(germ.sign, None, f"the rules do not decide whether {name} is uniformly continuous towards {side}")


def _smooth(germ: Germ, side: str, name: str) -> TailAnswer | None:
    if germ.log_slope.is_finite():
        return TailAnswer(germ.sign, True, _bounded_slope(germ.log_slope, side, name))
    limit = germ.limit
    if limit is not None and limit.is_finite() and (limit.lo > 0 or limit.hi < 0):
        return TailAnswer(germ.sign, True, f"towards {side} {name} has a finite limit")
    return None


def _bounded_slope(slope: Interval, side: str, name: str) -> str:
    return f"towards {side} the slope of {name} is at most {max(abs(slope.lower), abs(slope.upper)):.6g}"


def _steep_sequence(
    slope: sp.Expr, germ: Germ, x: sp.Symbol, start: Fraction, direction: int
) -> Mapping[str, Any] | None:
    """x_n = n and n + 1/|L'(n)|, where 1/L' varies slowly: the ratio of d tends to e (the larger value first)."""
    step = simpler(1 / slope)
    if not any(g.vanishes for _, g in germs(sp.diff(step, x), x, start)):
        return None
    rising = germ.value.lo > 0
    near, far = direction * n, direction * (n + (step if rising else -step).subs(x, n))
    larger, smaller = (far, near) if rising else (near, far)
    return {"kind": "sequence", "w": str(larger), "w_tilde": str(sp.expand(smaller)), "ratio": float(sp.E)}


def _phases(logarithm: sp.Expr) -> list[sp.Expr]:
    return sorted({wave.args[0] for wave in logarithm.atoms(sp.sin, sp.cos)}, key=sp.count_ops)


def _fast_oscillation(
    logarithm: sp.Expr, x: sp.Symbol, start: Fraction, direction: int
) -> tuple[Interval, Mapping[str, Any] | None] | None:
    """Rule 3, with the two phases that lie farthest apart: their gap, and the sequence where the gap has a limit."""
    for phase in _phases(logarithm):
        speed = next((g for _, g in germs(sp.diff(phase, x), x, start) if g.diverges), None)
        if speed is None:
            continue
        frozen = {p: _freeze(logarithm, phase, p) for p in PHASES}
        steady = [q for q in PHASES if any(g.uniform for _, g in germs(frozen[q], x, start))]
        gaps = {(p, q): _gap(frozen[p] - frozen[q], x, start) for q in steady for p in PHASES}
        if any(gap.lo > 0 for gap in gaps.values()):
            p, q = max(gaps, key=lambda pair: gaps[pair].lower)
            turns = 2 * sp.pi * n * (1 if speed.value.lo > 0 else -1)
            w, w_tilde = (str(direction * _solution(phase, turns + angle, x)) for angle in (p, q))
            gap = gaps[p, q]
            if gap.lo == gap.hi or gap.width() < 1e-9:
                ratio = math.inf if gap.upper > 700 else math.exp((gap.lower + gap.upper) / 2)
                return gap, {"kind": "sequence", "w": w, "w_tilde": w_tilde, "ratio": ratio}
            return gap, None
    return None


def _gap(difference: sp.Expr, x: sp.Symbol, start: Fraction) -> Interval:
    """What the difference tends to, or else its range; 0 where nothing positive is known."""
    if difference.is_number:
        return Interval.of(difference)
    found = Interval.of(0)
    for _, g in germs(difference, x, start):
        if g.value.lo > 0:
            if g.limit is not None and (g.limit.lo == g.limit.hi or g.limit.width() < 1e-9):
                return g.limit
            found = g.value
    return found


def _steep_waves(
    logarithm: sp.Expr, slope: sp.Expr, x: sp.Symbol, start: Fraction, direction: int
) -> Mapping[str, Any] | None:
    """Rule 4."""
    for phase in _phases(logarithm):
        speed = next((g for _, g in germs(sp.diff(phase, x), x, start) if g.sign), None)
        bend = _without_waves(sp.expand(sp.diff(slope, x))) if expandable(slope) else None
        for p in PHASES if speed and bend is not None else ():
            steep = _freeze(slope, phase, p)
            rising = next((g.value.lo > 0 for _, g in germs(steep, x, start) if g.diverges), None)
            flat = rising is not None and any(g.vanishes for _, g in germs(bend / steep**2, x, start))
            if speed and flat and any(g.log_slope.is_finite() for _, g in germs(bend, x, start)):
                near = _solution(phase, (2 * sp.pi * n + p) * speed.sign, x)
                far = near + (1 / steep if rising else -1 / steep).subs(x, near)
                larger, smaller = (far, near) if rising else (near, far)
                w, w_tilde = str(direction * larger), str(direction * smaller)
                return {"kind": "sequence", "w": w, "w_tilde": w_tilde, "ratio": math.e}
    return None


def _without_waves(expr: sp.Expr) -> sp.Expr | None:
    """What bounds |expr|: a sum of terms with their sines and cosines left out, each with the sign +.

    None where a sine or cosine stands elsewhere than as a factor: below a fraction bar it bounds nothing.
    """
    bounds = []
    for term in sp.Add.make_args(expr):
        rest = [
            factor
            for factor in sp.Mul.make_args(term)
            if not (isinstance(factor.as_base_exp()[0], sp.sin | sp.cos) and factor.as_base_exp()[1].is_nonnegative)
        ]
        bounds.append(sp.Abs(sp.Mul(*rest)))
    bound = sp.Add(*bounds)
    return None if bound.has(sp.sin, sp.cos) else bound


def _freeze(expr: sp.Expr, phase: sp.Expr, value: sp.Expr) -> sp.Expr:
    """The expression with sin(kφ), cos(kφ), k an integer, at φ = value."""

    def at(function: Any, argument: sp.Expr) -> sp.Expr:
        multiple = sp.simplify(argument / phase)
        return function(multiple * value) if multiple.is_Integer else function(argument)

    return expr.replace(sp.sin, lambda u: at(sp.sin, u)).replace(sp.cos, lambda u: at(sp.cos, u))


def _solution(phase: sp.Expr, target: sp.Expr, x: sp.Symbol) -> sp.Expr:
    """x_n with φ(x_n) = target, as a formula in n; where SymPy finds none, a symbol that names the equation."""
    at = {n: sp.Integer(1000)}
    try:
        candidates = sp.solve(phase - target, x)
    except NotImplementedError:
        candidates = []
    for candidate in candidates:
        try:
            there = enclose(candidate.subs(at), {})
            if there.lo > 0 and enclose((phase.subs(x, candidate) - target).subs(at), {}).contains(0):
                return candidate
        except (DomainError, ValueError):
            continue
    return sp.Symbol(f"[x: {str(phase).replace(str(x), 'x')} = {target}]", positive=True)
