"""The best reparameterization, the family with any wanted gradient scale, and in what sense best is best.

Everything is said in the memory time τ = -1/f (τ = 1/(1-f) in discrete time), in which the gradient scale of
Theorem 3.6 is |dτ/dw|: an equation for the scale is a statement about one integral.
"""

from __future__ import annotations

from collections.abc import Mapping

import sympy as sp

from theory.gradient import time_constant
from theory.notation import a, b, n, w

_F = sp.Function("F")
_G = sp.Function("G")
_x = sp.Symbol("x", positive=True)
_v = sp.Symbol("v", real=True)
_UNSAFE = (sp.Integral, sp.Piecewise, sp.floor, sp.tan, sp.cot, sp.sec, sp.csc)
"""Antiderivatives with these may be unevaluated or jump where the integrand does not."""
constant = sp.Symbol("C1", real=True)
"""The free constant of the general solution."""


def _check_time(time: str) -> None:
    if time not in ("continuous", "discrete"):
        raise ValueError(f"time: {time!r} is neither 'continuous' nor 'discrete'")


def from_memory_time(time_of_w: sp.Expr, time: str = "continuous") -> sp.Expr:
    """The reparameterization with a given memory time.

    f = -1/τ; in discrete time f = 1 - 1/τ.

    Hypotheses: τ(w) > 0 (f < 0); in discrete time τ(w) > 1/2, which is |f| < 1.
    Source: derived here, the inverse of τ = -1/f and of τ = 1/(1-f). Raises ValueError for an unknown time.
    """
    _check_time(time)
    return -1 / time_of_w if time == "continuous" else 1 - 1 / time_of_w


def ode_left_side(f: sp.Expr, time: str = "continuous") -> sp.Expr:
    """The left side of the equation for the best reparameterization.

    f'/f²; in discrete time f'/(1-f)². Both are dτ/dw.

    Source: the paper's best reparameterization; the equation is f'/f² = 2aw. Raises ValueError for an unknown time.
    """
    _check_time(time)
    return sp.diff(f, w) / (f**2 if time == "continuous" else (1 - f) ** 2)


def ode_residual(f: sp.Expr, time: str = "continuous") -> sp.Expr:
    """What f lacks to solve the equation for the best reparameterization.

    f'/f² - 2aw; in discrete time f'/(1-f)² - 2aw.

    Source: the paper's best reparameterization. Raises ValueError for an unknown time.
    """
    return sp.simplify(ode_left_side(f, time) - 2 * a * w)


def general_solution_by_dsolve(time: str = "continuous", rate: sp.Expr = 2 * a * w) -> sp.Expr:
    """The general solution of f'/f² = 2aw (f'/(1-f)² = 2aw) by SymPy's solver of differential equations.

    f = -1/(aw² + C1); in discrete time f = 1 - 1/(aw² + C1). `rate` is the right side, 2aw.

    Hypotheses: f ≠ 0 (f ≠ 1). The constant is free; `best` fixes it.
    Source: derived here by `sympy.dsolve`; in discrete time for F = f - 1, since (f-1)'/(f-1)² = f'/(1-f)².
    Raises ValueError for an unknown time.
    """
    _check_time(time)
    solution = sp.dsolve(sp.Eq(sp.diff(_F(w), w) / _F(w) ** 2, rate), _F(w)).rhs
    (free,) = solution.free_symbols - {w, *rate.free_symbols}
    return solution.subs(free, constant) + (0 if time == "continuous" else 1)


def general_solution_by_integration(time: str = "continuous", rate: sp.Expr = 2 * a * w) -> sp.Expr:
    """The general solution of f'/f² = 2aw (f'/(1-f)² = 2aw) by one integration.

    d(-1/f) = (f'/f²) dw = 2aw dw  ⇒  -1/f = aw² + C1. `rate` is the right side, 2aw.

    Hypotheses: f ≠ 0 (f ≠ 1). Nothing else is used, so on an interval every continuously differentiable solution has
    this form: two solutions have the same -1/f up to a constant, and f(0) fixes it.
    Source: derived here. In discrete time d(1/(1-f)) = f'/(1-f)² dw. Raises ValueError for an unknown time.
    """
    _check_time(time)
    time_of_w = -1 / _F(w) if time == "continuous" else 1 / (1 - _F(w))
    if sp.simplify(sp.diff(time_of_w, w) - ode_left_side(_F(w), time)) != 0:
        raise ArithmeticError("dτ/dw is not the left side of the equation")
    return from_memory_time(constant + sp.integrate(rate, w), time)


def best(time: str = "continuous") -> sp.Expr:
    """The best reparameterization.

    f(w) = -1/(aw² + b); in discrete time f(w) = 1 - 1/(aw² + b).

    Hypotheses: a > 0, b > 0 (b > 1/2 in discrete time): then f is smooth and negative (|f| < 1) on R. For b = 0 it has
    a pole at w = 0, for b < 0 two poles at ±√(-b/a), with f > 0 between them.
    Source: the paper's best reparameterization, derived here: the general solution with f(0) = -1/b (1 - 1/b).
    Raises ValueError for an unknown time.
    """
    general = general_solution_by_integration(time)
    (value,) = sp.solve(sp.Eq(general.subs(w, 0), from_memory_time(b, time)), constant)
    return general.subs(constant, value)


def poles(b_value: sp.Expr) -> tuple[sp.Expr, ...]:
    """The real poles of -1/(aw² + b), in increasing order.

    aw² + b = 0: none for b > 0, 0 for b = 0, ±√(-b/a) for b < 0.

    Hypotheses: a > 0; the sign of b is known. Source: derived here.
    Raises ValueError for a b without a known sign.
    """
    value = sp.sympify(b_value)
    if value.is_real is not True or (value.is_positive, value.is_zero, value.is_negative).count(True) != 1:
        raise ValueError(f"b_value: {b_value} has no known sign")
    roots = sp.roots(sp.Poly(a * w**2 + value, w))
    return tuple(sorted((root for root in roots if root.is_real), key=lambda root: root.subs(a, 1)))


def absolute_ode_branches() -> Mapping[tuple[int, int], tuple[sp.Expr, sp.Expr]]:
    """The continuously differentiable solutions of |f'|/f² = 2a|w| with f(0) = -1/b, as memory times.

    (s₋, s₊) ↦ (τ on w ≤ 0, τ on w ≥ 0),  τ = b + s aw², s = s₋ or s₊ ∈ {-1, +1}.

    Of the four only (+, +), which is best, stays positive on R: s = -1 reaches τ = 0 at |w| = √(b/a), see
    `branch_end`. So among continuously differentiable f < 0 on R the equation with moduli has one solution. It has more
    on |w| < √(b/a), and more on R when τ need only be absolutely continuous, see `zigzag_memory_time`.

    Hypotheses: f < 0, continuously differentiable near w = 0, f(0) = -1/b, a > 0, b > 0.
    Source: derived here. τ' is continuous with |τ'| = 2a|w|, so it can change its sign only where 2a|w| = 0, at w = 0:
    on each half line τ' is 2aw or -2aw throughout. Integrate from τ(0) = b.
    """
    signs = [(left, right) for left in (-1, 1) for right in (-1, 1)]
    rate = sp.integrate(2 * a * _v, (_v, 0, w))
    return {(left, right): (b + left * rate, b + right * rate) for left, right in signs}


def branch_end(sign: int) -> sp.Expr:
    """How far from w = 0 the branch τ = b + s aw² stays positive.

    s = +1: ∞; s = -1: √(b/a).

    Hypotheses: a > 0, b > 0. Source: derived here: the positive root of τ, if there is one.
    Raises ValueError for a sign other than ±1.
    """
    if sign not in (-1, 1):
        raise ValueError(f"sign: {sign} is neither -1 nor +1")
    roots = sp.solve(b + sign * a * _x**2, _x)
    return roots[0] if roots else sp.oo


def zigzag_memory_time() -> sp.Expr:
    """A second solution of |f'|/f² = 2a|w| almost everywhere, when f need not be continuously differentiable.

    τ = b + a |1 - |1 - w²||: it is b + aw² for w² ≤ 1, then b + a(2 - w²) down to b, then b + a(w² - 2).

    τ is locally Lipschitz, τ ≥ b > 0 and τ(0) = b; for w ∉ {0, ±1, ±√2} the chain rule gives |τ'| = 2a|w|.
    Hypotheses: a > 0, b > 0. Source: derived here. Uniqueness of best needs a continuous derivative, or the equation
    with its sign, f'/f² = 2aw.
    """
    return b + a * sp.Abs(1 - sp.Abs(1 - w**2))


def family(scale: sp.Expr, b_value: sp.Expr = b, time: str = "continuous", grows: str = "both") -> sp.Expr:
    """The reparameterization with a wanted gradient scale G.

    f(w) = -1/τ(w), τ(w) = b + |∫_0^w G|; in discrete time f(w) = 1 - 1/τ(w).

    Then f is continuous, |f'|/f² = G (|f'|/(1-f)² = G) for w ≠ 0, and f(0) = -1/b. `grows` chooses where the memory
    time grows: "both" (away from 0, as above), "right" (τ = b + ∫_0^w G) or "left" (τ = b - ∫_0^w G); any other choice
    of the sign of τ' = ±G that keeps τ > 0 has the scale G as well. Members: G = 2a|w| is best, G = a is the reciprocal
    -1/(a|w| + b), G = e^{-w} with b = 1, growing to the left, is -e^w. Not every member is stable in the sense of
    Definition 3.4, see `unstable_scale`.

    Hypotheses: G ≥ 0, continuous for w ≠ 0 and integrable at 0; b > 0, in discrete time b > 1/2 (|f| < 1; left to the
    caller where b is a symbol), and there G is the exact scale |f'|/(1-|f|)² only where f ≥ 0, everywhere for b ≥ 1.
    "right" and "left" need τ > 0 (τ > 1/2) also at the end where τ decreases.
    Source: derived here: |dτ/dw| = |f'|/f², so τ' = ±G, and integration from τ(0) = b gives τ; |∫_0^w G| is ∫_0^w G
    for w ≥ 0 and -∫_0^w G for w ≤ 0, as G ≥ 0.
    Raises ValueError for a G that is negative somewhere, has a singularity where it cannot be integrated or other than
    at 0, or has no antiderivative in closed form; for a b out of range; for τ that does not stay in range; for an
    unknown time or direction. What SymPy cannot decide is refused as well.
    """
    _check_time(time)
    if grows not in ("both", "right", "left"):
        raise ValueError(f"grows: {grows!r} is none of 'both', 'right', 'left'")
    smallest = sp.Integer(0) if time == "continuous" else sp.Rational(1, 2)
    value = sp.sympify(b_value)
    if value.is_number and not (value.is_finite and value.is_real and value > smallest):
        raise ValueError(f"b_value: {value} is not above {smallest}, which {time} time needs")
    if not value.is_positive:
        raise ValueError(f"b_value: {value} is not known to be positive")
    scale = sp.sympify(scale)
    _require_nonnegative(scale)
    right, left = _half_line_integral(scale, scale), _half_line_integral(scale.subs(w, -w), scale)
    if grows == "both":
        time_of_w = value + _glue(right, left)
    else:
        rising, falling = (right, left) if grows == "right" else (left, right)
        _require_room(value - smallest - sp.limit(falling, _x, sp.oo), scale, grows)
        rising_side, falling_side = (w, -w) if grows == "right" else (-w, w)
        time_of_w = value + _one_formula(rising, falling, rising_side, falling_side)
    return from_memory_time(time_of_w, time)


def _require_nonnegative(scale: sp.Expr) -> None:
    if scale.is_nonnegative:
        return
    try:
        negative = sp.solveset(scale < 0, w, sp.S.Reals)
    except (NotImplementedError, ValueError, TypeError):
        raise ValueError(f"scale: cannot decide whether {scale} is nowhere negative") from None
    if isinstance(negative, sp.ConditionSet):
        raise ValueError(f"scale: cannot decide whether {scale} is nowhere negative")
    if negative != sp.S.EmptySet:
        raise ValueError(f"scale: {scale} is negative for w in {negative}, a gradient scale is not")


def _half_line_integral(integrand: sp.Expr, scale: sp.Expr) -> sp.Expr:
    """∫_0^x of the integrand for x > 0, checked: its derivative is the integrand and it vanishes at 0."""
    g = integrand.subs(w, _x)
    try:
        singular = sp.singularities(g, _x, sp.Interval.open(0, sp.oo))
    except NotImplementedError:
        raise ValueError(f"scale: cannot find the singularities of {scale}") from None
    if singular != sp.S.EmptySet:
        raise ValueError(f"scale: {scale} is singular at |w| in {singular}")
    primitive = sp.integrate(g, _x)
    if primitive.has(*_UNSAFE) or sp.simplify(sp.diff(primitive, _x) - g) != 0:
        raise ValueError(f"scale: no antiderivative of {scale} in closed form was found")
    at_zero = sp.limit(primitive, _x, 0, "+")
    if not at_zero.is_finite:
        raise ValueError(f"scale: {scale} is not integrable at w = 0")
    return sp.simplify(primitive - at_zero)


def _glue(right: sp.Expr, left: sp.Expr) -> sp.Expr:
    """right(w) for w ≥ 0 and left(-w) for w ≤ 0, both 0 at 0, without a case distinction."""
    if sp.simplify(right - left) == 0:
        return right.subs(_x, sp.Abs(w))
    return _at_positive_part(right, w) + _at_positive_part(left, -w)


def _at_positive_part(integral: sp.Expr, argument: sp.Expr) -> sp.Expr:
    return integral.subs(_x, sp.Max(argument, 0))


def _one_formula(rising: sp.Expr, falling: sp.Expr, rising_side: sp.Expr, falling_side: sp.Expr) -> sp.Expr:
    """rising - falling, as one formula where -falling(-x) continues rising(x)."""
    if sp.simplify(rising.subs(_x, w) + falling.subs(_x, -w)) == 0:
        return sp.simplify(rising.subs(_x, rising_side))
    return _at_positive_part(rising, rising_side) - _at_positive_part(falling, falling_side)


def _require_room(room: sp.Expr, scale: sp.Expr, grows: str) -> None:
    """τ stays in range: its limit at the decreasing end is inside, or on the edge and not reached as G > 0."""
    if not (room.is_positive or (room.is_zero and scale.is_positive)):
        raise ValueError(f"grows: with {grows!r} and the scale {scale} the memory time leaves its range, room {room}")


def family_scale() -> sp.Expr:
    """The gradient scale of a family member for an unspecified G, on w > 0, derived.

    |f'|/f² = |dτ/dw| = |d/dw (b + ∫_0^w G(v) dv)| = |G(w)|, which is G(w) as G ≥ 0.

    Hypotheses: G continuous. Source: derived here by the fundamental theorem of calculus.
    """
    f = from_memory_time(b + sp.Integral(_G(_v), (_v, 0, w)))
    return sp.Abs(sp.simplify(ode_left_side(f)))


def unstable_scale() -> sp.Expr:
    """A gradient scale whose family member is not stable in the sense of Definition 3.4.

    G(w) = 2|w|e^{w²}, that is τ(w) = b - 1 + e^{w²}.

    Source: derived here, see `relative_memory_step`: no modulus g(β) exists, for any β > 0.
    """
    return 2 * sp.Abs(w) * sp.exp(w**2)


def relative_memory_step(f: sp.Expr, step: sp.Expr) -> sp.Expr:
    """The quantity of Definition 3.4 along the sequence w = n, w̃ = n + step, in the limit n → ∞.

    lim_n |f(w)| ∫_0^∞ |e^{f(w̃)t} - e^{f(w)t}| dt = lim_n |τ(w̃)/τ(w) - 1|.

    A limit that does not vanish along steps that do (step = 1/n) shows that f is not stable. For τ = b - 1 + e^{w²} it
    is e² - 1 with step = 1/n, and infinite with any fixed step.

    Hypotheses: f < 0. Source: derived here: for two rates the integrand does not change its sign, and its integral is
    |1/f(w̃) - 1/f(w)| = |τ(w̃) - τ(w)|; multiply by |f(w)| = 1/τ(w). Raises ValueError as `time_constant`.
    """
    time_of_w = time_constant(f)
    ratio = sp.expand(time_of_w.subs(w, n + step)) / time_of_w.subs(w, n)
    return sp.Abs(sp.limit(ratio, n, sp.oo) - 1)


def memory_time_upper(scale: sp.Expr, b_value: sp.Expr = b) -> sp.Expr:
    """The largest memory time that a bound on the gradient scale allows.

    |f'|/f² ≤ G almost everywhere and f(0) = -1/b  ⇒  τ(w) ≤ b + |∫_0^w G|.

    It is the memory time of `family(G)`: for G = 2a|w| the bound is b + aw², and best has the largest memory time at
    every w among all f that satisfy it. Equality at one w₀ > 0 forces τ = b + ∫_0^w G on [0, w₀]; equality everywhere
    holds for the family member alone.

    Hypotheses: f < 0 continuous, τ = -1/f absolutely continuous on bounded intervals, G as for `family`.
    Source: derived here: τ(w) - τ(0) = ∫_0^w τ', |τ'| = |f'|/f² ≤ G. If τ(w₀) attains the bound, then
    ∫_0^{w₀} (G - τ') = 0 with G - τ' ≥ 0, so τ' = G almost everywhere on [0, w₀]; likewise for w₀ < 0.
    Absolute continuity is needed: b plus a Cantor function has τ' = 0 almost everywhere and still grows.
    Raises ValueError as `family`.
    """
    return time_constant(family(scale, b_value))


def gradient_over_weight(f: sp.Expr) -> sp.Expr:
    """The gradient scale relative to the weight.

    |f'| / (f² |w|), for w ≠ 0. It is 2a for best, whatever w; e^{-w}/|w| for exp, unbounded as w → 0 and as w → -∞.

    Hypotheses: f(w) < 0 and differentiable. Source: the paper's best reparameterization, derived here.
    """
    return sp.simplify(sp.Abs(ode_left_side(f)) / sp.Abs(w))
