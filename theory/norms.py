"""Exact norms of linear functionals H_t(x) = ∫_0^∞ ρ(s)·x_{t-s} ds: the norms in which the paper measures errors.

Inputs are x ∈ C_0(R, R^d) with ‖x‖_∞ = sup_t |x_t|_∞, so kernels are measured in the dual norm |ρ|_1 = Σ_j |ρ_j|.
A kernel is 0 for t < 0; its value at t = 0 is therefore a jump.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise, product
from typing import NamedTuple, TypeAlias

import sympy as sp

from theory.notation import lam, omega, r, t

Kernel: TypeAlias = sp.Expr | Sequence[sp.Expr]
"""ρ as an expression in t, or its d components."""


class Norms(NamedTuple):
    """The two parts of ‖H‖_{W^{1,∞}} of a time-homogeneous functional."""

    functional: sp.Expr
    """‖H_t‖_∞ = ∫ |ρ|_1."""
    derivative: sp.Expr
    """‖dH_t/dt‖_∞ = total variation of ρ on R."""

    @property
    def total(self) -> sp.Expr:
        """‖H‖_{W^{1,∞}} = ‖H_t‖_∞ + ‖dH_t/dt‖_∞."""
        return sp.simplify(self.functional + self.derivative)


def supremum_over_scale(value: sp.Expr, size: sp.Expr) -> sp.Expr:
    """Supremum over the scale a > 0 of the printed ratio |H_t(a x)| / (‖a x‖_∞ + 1).

    sup_{a>0} a|H_t(x)| / (a‖x‖_∞ + 1) = |H_t(x)| / ‖x‖_∞
    Hypotheses: value = |H_t(x)| > 0 and size = ‖x‖_∞ > 0; H_t is linear.
    Source: derived here. The ratio increases with a, since its derivative is |H_t(x)| / (a‖x‖_∞ + 1)² > 0; so the
    supremum is the limit a → ∞, and no finite x ≠ 0 attains it. The "+1" of the printed norm therefore changes
    nothing for a linear functional: its norm is the operator norm.
    Raises ValueError if SymPy cannot tell from their assumptions that both are positive.
    """
    for name, number in (("value", value), ("size", size)):
        if not sp.sympify(number).is_positive:
            raise ValueError(f"{name} must be positive, not {number}")
    scale = sp.Dummy("a", positive=True)
    ratio = scale * value / (scale * size + 1)
    if not sp.simplify(sp.diff(ratio, scale)).is_positive:
        raise ArithmeticError("the printed ratio is not increasing in the scale of the input")
    return sp.limit(ratio, scale, sp.oo)


def dual_norm(vector: Sequence[sp.Expr]) -> sp.Expr:
    """Largest x·v over |x|_∞ ≤ 1.

    max_{|x|_∞ ≤ 1} x·v = |v|_1
    Hypotheses: v real.
    Source: derived here. x·v is linear in x, so its maximum over the cube is attained at a vertex x ∈ {-1, 1}^d; all
    2^d vertices are tried.
    """
    vertices = product((-1, 1), repeat=len(vector))
    return sp.Max(*(sum(x * v for x, v in zip(vertex, vector, strict=True)) for vertex in vertices))


def absolute_integral(expression: sp.Expr, variable: sp.Symbol = t) -> sp.Expr:
    """∫_0^∞ |g| by the antiderivative G between the zeros 0 < z_1 < ... of g.

    ∫_0^∞ |g(t)| dt = Σ_k |G(z_{k+1}) - G(z_k)|, z_0 = 0, z_{last} = ∞
    Hypotheses: g continuous with finitely many zeros, all found by SymPy; the variable is a nonnegative symbol.
    Source: derived here. g keeps one sign between neighbouring zeros, so ∫|g| over that piece is |∫g|.
    Raises ValueError if the zeros or the antiderivative are not found in closed form, or cannot be ordered.
    """
    expression = sp.sympify(expression)
    if expression == 0:
        return sp.S.Zero
    if expression.has(sp.Abs):
        expression = sp.simplify(expression)
    try:
        one_sign = expression.is_positive or expression.is_negative
        roots = [] if one_sign else sp.solve(expression, variable)
    except NotImplementedError as error:
        raise ValueError(f"expression: the zeros of {expression} are not known in closed form") from error
    zeros = [z for z in roots if z.is_real is not False and not z.is_negative]
    if not all(z.is_nonnegative for z in zeros) or (len(zeros) > 1 and any(z.free_symbols for z in zeros)):
        raise ValueError(f"expression: the zeros {zeros} of {expression} cannot be ordered")
    zeros.sort(key=lambda z: z.evalf(30))
    antiderivative = sp.integrate(expression, variable)
    if antiderivative.has(sp.Integral, sp.Piecewise):
        raise ValueError(f"expression: no closed antiderivative of {expression}")
    ends = [antiderivative.subs(variable, z) for z in [sp.S.Zero, *zeros]]
    ends.append(sp.limit(antiderivative, variable, sp.oo))
    pieces = [sp.simplify(hi - lo) for lo, hi in pairwise(ends)]
    start = expression.subs(variable, 0)
    if start.is_positive or start.is_negative:  # spares SymPy the sign of the first piece
        pieces[0] = pieces[0] if start.is_positive else -pieces[0]
        return sp.simplify(pieces[0] + sum(sp.Abs(piece) for piece in pieces[1:]))
    return sp.simplify(sum(sp.Abs(piece) for piece in pieces))


def kernel_norms(kernel: Kernel, variable: sp.Symbol = t) -> Norms:
    """The exact norms of H_t(x) = ∫_0^∞ ρ(s)·x_{t-s} ds.

    ‖H_t‖_∞ = ∫_0^∞ |ρ|_1 dt,  ‖dH_t/dt‖_∞ = |ρ(0)|_1 + ∫_0^∞ |ρ'|_1 dt
    Hypotheses: ρ real, in L¹, absolutely continuous on [0, ∞) with ρ' ∈ L¹.
    Source: derived here.
    (1) By linearity the "+1" in the denominator of the printed norm drops out (`supremum_over_scale`), so the norm
    is the operator norm. |∫ρ(s)·x_{t-s}ds| ≤ ∫|ρ|_1 |x|_∞ ≤ ‖x‖_∞ ∫|ρ|_1, because |·|_1 is dual to |·|_∞
    (`dual_norm`); continuous x of compact support with x_{t-s} near the signs of ρ(s) come as close as one likes
    (Lusin). H_t(0) = 0 adds nothing.
    (2) For smooth x of compact support, dH_t(x)/dt = ∫ρ(s)·x'_{t-s}ds = ρ(0)·x_t + ∫_0^∞ ρ'(s)·x_{t-s}ds by parts:
    the functional of the measure dρ = ρ(0)δ_0 + ρ'(s)ds, the distributional derivative of ρ extended by 0 to t < 0.
    Its norm on C_0 is the total variation of that measure (Riesz), an atom |ρ(0)|_1 and ∫|ρ'|_1. For ρ of bounded
    variation with further jumps the same argument gives the total variation of ρ on R.
    Raises ValueError where `absolute_integral` does.
    """
    components = [kernel] if isinstance(kernel, sp.Expr) else list(kernel)
    functional = sum(absolute_integral(g, variable) for g in components)
    derivative = sum(
        sp.Abs(g.subs(variable, 0)) + absolute_integral(sp.diff(g, variable), variable) for g in components
    )
    return Norms(sp.simplify(functional), sp.simplify(derivative))


@cache
def real_mode_norms() -> Norms:
    """Norms of one real mode.

    ‖e^{λt}‖_{W^{1,∞}} = 1/|λ| + 2
    Hypotheses: λ < 0.
    Source: derived here. ∫e^{λt} = 1/|λ|; the jump at 0 costs 1 and the way back to 0 costs ∫|λ|e^{λt} = 1.
    """
    return kernel_norms(sp.exp(lam * t))


@cache
def complex_mode_norms() -> Norms:
    """Norms of one complex mode as a functional of complex inputs.

    ‖e^{λt}‖_{W^{1,∞}} = 1/r + 1 + |λ|/r,  λ = -r + iω
    Hypotheses: r > 0; inputs x ∈ C_0(R, C), |·| the complex modulus. Then the norm is ∫|e^{λt}| + 1 + ∫|λe^{λt}|.
    Source: derived here. |e^{λt}| = e^{-rt}. For real inputs the output e^{iθ}∫e^{λs}x_{t-s}ds has the smaller norm
    sup_θ ∫|Re(e^{iθ}e^{λs})|ds (`real_input_norm_lower`), and the real part of a mode has norms of its own.
    """
    eigenvalue = -r + sp.I * omega
    mode = sp.exp(eigenvalue * t)
    modulus = sp.simplify(sp.Abs(mode))
    slope = sp.simplify(sp.Abs(sp.diff(mode, t)))
    jump = sp.Abs(mode.subs(t, 0))
    return Norms(absolute_integral(modulus), sp.simplify(jump + absolute_integral(slope)))


def real_input_norm_lower() -> sp.Expr:
    """What is left at least of ∫|ρ| for a complex kernel on real inputs.

    (2/π) ∫|ρ| ≤ sup_{x real, ‖x‖_∞ ≤ 1} |∫ρ(s) x_{t-s} ds| ≤ ∫|ρ|
    Hypotheses: ρ ∈ L¹ complex.
    Source: derived here. The modulus of z is sup_θ Re(e^{iθ}z), so the middle is sup_θ ∫|Re(e^{iθ}ρ)|; a supremum is
    at least the mean over θ, and the mean of |Re(e^{iθ}ρ)| is |ρ| times the mean (2/π) of |cos θ|.
    Returns 2/π.
    """
    angle = sp.Symbol("theta", real=True)
    return sp.integrate(sp.cos(angle), (angle, -sp.pi / 2, sp.pi / 2)) / sp.pi


def real_input_norm_upper(rate: sp.Expr, frequency: sp.Expr) -> sp.Expr:
    """An upper bound for ‖H_t‖_∞ of the complex mode e^{(-r+iω)t} on real inputs, below 1/r when ω ≠ 0.

    sup_θ ∫e^{-rt}|cos(ωt+θ)|dt ≤ (1/r) √((1 + r/√(r²+4ω²))/2)
    Hypotheses: rate r > 0, frequency ω real.
    Source: derived here. By Cauchy-Schwarz the left is at most (∫e^{-rt})^{1/2} (∫e^{-rt}cos²(ωt+θ))^{1/2}; there
    cos² = (1 + cos(2ωt+2θ))/2 and |∫e^{-rt+2i(ωt+θ)}dt| = 1/|r-2iω|.
    Raises ValueError if the rate is not known to be positive.
    """
    if not sp.sympify(rate).is_positive:
        raise ValueError(f"rate must be positive, not {rate}")
    square = 1 / (2 * rate) + 1 / (2 * sp.sqrt(rate**2 + 4 * frequency**2))
    return sp.sqrt(square / rate)


def shift_error(width: sp.Expr) -> sp.Expr:
    """The least W^{1,∞} error with which a model with σ = id approximates a shift 1_{T<t<T+W}.

    min_{ρ̂} ‖1_{T<t<T+W} - ρ̂‖_{W^{1,∞}} = 2 + min(W, 2)
    Hypotheses: T > 0, width W > 0; ρ̂ absolutely continuous on [0, ∞) and → 0, as every Σc_ie^{λ_it}u_i, Re λ_i < 0.
    Source: derived here. The measure d(ρ-ρ̂) has the atoms +1 at T and -1 at T+W, where ρ̂ has none, so jumps alone
    cost 2: the target is never approximable in this norm. Let v be the total variation of ρ̂, which adds to those 2,
    since the atoms sit where dρ̂ has no mass. Then |ρ̂| ≤ v/2 (from 0 up to |ρ̂(t)| and back to 0), so on (T, T+W)
    |1-ρ̂| ≥ 1 - v/2, and the error is at least 2 + v + W max(0, 1-v/2). That is piecewise linear and convex in v,
    hence least at v = 0 or at the kink v = 2: min(2 + W, 4). For W ≤ 2 the zero model attains it; for W > 2 it is the
    infimum for continuous ρ̂ (trapezia of height 1 inside the shift, approximated in W^{1,1} by sums of modes).
    Raises ValueError if the width is not known to be positive.
    """
    if not sp.sympify(width).is_positive:
        raise ValueError(f"width must be positive, not {width}")
    variation = sp.Dummy("v", nonnegative=True)
    below_kink = 2 + variation + width * (1 - variation / 2)
    above_kink = 2 + variation
    return sp.Min(below_kink.subs(variation, 0), above_kink.subs(variation, 2))


def sine_integral(half_periods: sp.Expr) -> sp.Expr:
    """∫ |sin t| over n half periods.

    ∫_0^{nπ} |sin t| dt = 2n → ∞: sin t is not in L¹, so it is the kernel of no bounded functional on C_0
    Hypotheses: n a positive integer.
    Source: derived here. |sin| has period π and ∫_0^π sin = 2.
    Raises ValueError if n is not known to be a positive integer.
    """
    number = sp.sympify(half_periods)
    if not (number.is_integer and number.is_positive):
        raise ValueError(f"half_periods must be a positive integer, not {half_periods}")
    return number * sp.integrate(sp.sin(t), (t, 0, sp.pi))


def memory_over_variation() -> sp.Rational:
    """The best factor between the memory function and the norm of the derivative of a linear functional.

    M(H)(t) = |ρ(t)|_1 ≤ (1/2) ‖dH_t/dt‖_∞ for every t
    Hypotheses: ρ of bounded variation and 0 at both ends, ρ(-∞) = ρ(∞) = 0; t a point of continuity or t = 0+.
    Source: derived here. d/dt H_t(u^x) = x·ρ(t), so M(H)(t) = |ρ(t)|_1 as for `kernel_norms`. The variation of ρ on
    (-∞, t] is at least |ρ(t) - 0|_1, and on [t, ∞) again. Equality for ρ = e^{λt} at t = 0.
    Returns the factor 1/2, as |ρ(0)| / TV of the extremal kernel.
    """
    return sp.simplify(1 / real_mode_norms().derivative)
