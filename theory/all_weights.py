"""Perturbing all weights θ = (w, U, c), as Definition 2.5 is printed: the curse of memory returns, whatever f is.

ρ̂(t) = Σ_i c_i e^{λ_i t} U_i with real λ_i < 0, U ∈ R^{m×d}. Two balls of radius β for the perturbation:
"joint": |w̃-w|² + |Ũ-U|_F² + |c̃-c|² ≤ β²;  "block": |c̃-c|_2, |Ũ-U|_2 (spectral norm) and max|w̃_i-w_i| each ≤ β.
The lower bounds below move only c and U, never w; f plays no part in them.
"""

from __future__ import annotations

from functools import cache

import sympy as sp

from theory.approximation import Number, require_nonnegative, require_positive
from theory.norms import memory_over_variation, real_mode_norms
from theory.notation import beta, lam, r, t

BALLS = ("joint", "block")


def _ball(ball: str) -> str:
    if ball not in BALLS:
        raise ValueError(f"ball must be one of {BALLS}, not {ball!r}")
    return ball


_memory_over_variation = cache(memory_over_variation)


@cache
def _mode_norm() -> sp.Expr:
    """‖e^{-rt}‖_{W^{1,∞}} in the symbol r."""
    return real_mode_norms().total.subs(lam, -r)


def pair_move(output: Number, input_: Number, da: Number, db: Number) -> sp.Expr:
    """Change of the weight c_iu_i of one mode when both its factors move.

    (c + a)(u + b) - cu = au + bc + ab
    Hypotheses: real numbers. Source: derived here. The product ab remains when c = u = 0.
    """
    c, u, a, b = (sp.sympify(value) for value in (output, input_, da, db))
    return sp.expand((c + a) * (u + b) - c * u)


def largest_product(ball: str = "joint", radius: Number = beta) -> sp.Expr:
    """The largest |a||b| in the ball, for |a| the move of c and |b| that of U.

    joint: a² + b² ≤ β² gives β²/2;  block: |a|, |b| ≤ β gives β²
    Hypotheses: β > 0.
    Source: derived here. joint: at a = β cos φ, b = β sin φ the product is (β²/2) sin 2φ, stationary at φ = π/4.
    Raises ValueError for another ball, or where β is not positive.
    """
    radius = require_positive("radius", radius)
    if _ball(ball) == "block":
        return radius**2
    return radius**2 * _largest_product_on_circle()


@cache
def _largest_product_on_circle() -> sp.Expr:
    """The largest sin φ cos φ."""
    angle = sp.Symbol("phi", positive=True)
    product = sp.sin(angle) * sp.cos(angle)
    (stationary,) = sp.solveset(sp.diff(product, angle), angle, sp.Interval(0, sp.pi / 2))
    return sp.simplify(product.subs(angle, stationary))


def slow_mode_lower(slowest: Number, radius: Number = beta, ball: str = "joint", inputs: Number = 1) -> sp.Expr:
    """What moving c_i and U_i of the slowest mode costs, whatever c, U, f and H are.

    E_m(β) ≥ q √d β² (2 + 1/min_i|λ_i|),  q = 1/2 (joint ball), q = 1 (block ball)
    Hypotheses: slowest = min|λ_i| > 0; at least one mode; σ = id.
    Source: derived here. Take b = y(1, ..., 1)/√d. For (x, y) = ±(x₀, y₀) the kernel moves by
    k = (xU_i + c_ib + xb)e^{λ_it}; the mean of the two moves is +x₀b₀e^{λ_it}. For ±(x₀, -y₀) it is -x₀b₀e^{λ_it}.
    With e = H - Ĥ the four errors ‖e - k‖ have by convexity a maximum of at least
    (‖e - x₀b₀e^{λ_it}‖ + ‖e + x₀b₀e^{λ_it}‖)/2 ≥ ‖x₀b₀e^{λ_it}‖ = |x₀||b₀|_1(2 + 1/|λ_i|), with |b₀|_1 = √d|y₀|
    and |x₀y₀| as large as `largest_product`. No term E_m(0) is lost. If a move makes H - Ĥ unbounded, all the more.
    Equality for d = 1, m = 1, H = 0, c = u = 0 and constant f.
    Raises ValueError for another ball, or where a number is not positive.
    """
    rate, d = require_positive("slowest", slowest), require_positive("inputs", inputs)
    return largest_product(ball, radius) * sp.sqrt(d) * _mode_norm().subs(r, rate)


def large_weights_lower(
    output_norm: Number, input_norm: Number, radius: Number = beta, ball: str = "joint", inputs: Number = 1
) -> sp.Expr:
    """What large weights cost.

    joint: E_m(β) ≥ 2β √(|U|_F² + d|c|_2²);  block: E_m(β) ≥ 2β (|U|_F + √d |c|_2)
    Hypotheses: output_norm = |c|_2, input_norm = |U|_F; λ_i < 0.
    Source: derived here. Moves (a, b) and (-a, -b) change the kernel by k₂ ± k₁, k₁ = Σ(a_iU_i + c_ib_i)e^{λ_it} and
    k₂ = Σa_ib_ie^{λ_it}. By convexity E_m(β) ≥ (‖(e-k₂) - k₁‖ + ‖(e-k₂) + k₁‖)/2 ≥ ‖k₁‖, and ‖k₁‖ ≥ |k₁(0)|_1 +
    ∫|k₁'|_1 ≥ 2|k₁(0)|_1, since k₁ → 0. Let ε ∈ {-1,1}^d make |Uε| largest; its square is at least the mean of
    |Uε|² over all ε, which is |U|_F². Now |k₁(0)|_1 ≥ ε·k₁(0) = a·(Uε) + c·(bε). With a along Uε and b = y c εᵀ/(|c|√d)
    (|b|_F = |b|_2 = y) that is |a||Uε| + √d y|c|: in the joint ball at most β√(|Uε|² + d|c|²), in the block ball
    β(|Uε| + √d|c|), both reached.
    In particular E_m(β) ≥ 2β|U|_F and E_m(β) ≥ 2β√d|c|, which move U or c alone.
    Raises ValueError for another ball, or a negative norm.
    """
    c, u = require_nonnegative("output_norm", output_norm), require_nonnegative("input_norm", input_norm)
    radius, d = require_positive("radius", radius), require_positive("inputs", inputs)
    jump_factor = 1 / _memory_over_variation()  # ‖k‖ ≥ 2|k(0)|
    if _ball(ball) == "block":
        return jump_factor * radius * (u + sp.sqrt(d) * c)
    return jump_factor * radius * sp.sqrt(u**2 + d * c**2)


def memory_upper(error: Number, radius: Number = beta, ball: str = "joint", inputs: Number = 1) -> sp.Expr:
    """The curse of memory for all weights: a finite perturbed error forces exponential decay, whatever f is.

    E(0) = 0, E = E(β) < ∞ for one β > 0  ⇒  |ρ(t)|_1 ≤ C e^{-t/T} for all t ≥ 0, with
    joint: C = E²/(8β²), T = 2E/(√d β²) - 2;  block: C = E²/(16β²), T = E/(√d β²) - 2
    Hypotheses: real λ_i < 0, σ = id, ρ ∈ L¹ of bounded variation, right-continuous. T ≥ 0 is a consequence; T = 0 says
    that ρ(t) = 0 for t > 0.
    Source: derived here. For η > 0 and all large m, E_m(β) ≤ E + η. Solved for 1/|λ|, `slow_mode_lower` gives
    1/min|λ_i| ≤ T(E + η). `large_weights_lower` and the inequality of the means give √d|c||U|_F ≤
    (d|c|² + |U|²)/2 ≤ (E+η)²/(8β²) (joint) and √d|c||U|_F ≤ ((√d|c| + |U|)/2)² ≤ (E+η)²/(16β²) (block). So
    |ρ̂_m(t)|_1 ≤ Σ|c_i||U_i|_1e^{λ_it} ≤ √d|c||U|_F e^{-t min|λ_i|} ≤ C(E+η) e^{-t/T(E+η)}. At every t,
    |ρ(t) - ρ̂_m(t)|_1 is at most half the total variation of ρ - ρ̂_m (`theory.norms.memory_over_variation`), hence at
    most E_m(0)/2; E(0) = limsup E_m(0) = 0. Let m → ∞, then η → 0.
    C and T cannot be improved by a factor: one mode, constant f = -r, c = u = x has (joint, d = 1)
    E = (√2βx + β²/2)(2 + 1/r); T → 1/r as x → 0, and C/x² → 1 as x → ∞, r → ∞. See `one_mode_error`.
    Returns the bound in t. Raises ValueError for another ball, or where a number is not positive.
    """
    value, radius, d = (
        require_positive("error", error),
        require_positive("radius", radius),
        require_positive("inputs", inputs),
    )
    rate, weight = sp.symbols("mu x", positive=True)
    # On the extreme case both norms balance: |U|_F = √d |c|_2 = x.
    (balanced,) = sp.solve(large_weights_lower(weight / sp.sqrt(d), weight, radius, ball, d) - value, weight)
    memory_time = sp.Symbol("T", real=True)
    slow = slow_mode_lower(rate, radius, ball, d).subs(rate, 1 / memory_time)
    (longest,) = sp.solve(sp.expand(slow - value), memory_time)
    return sp.simplify(balanced**2) * sp.exp(-t / sp.expand(longest))


def one_mode_error(weight: Number, rate: Number = r, radius: Number = beta, ball: str = "joint") -> sp.Expr:
    """The perturbed error of a single mode with a frozen eigenvalue, exactly: how sharp the bounds are.

    joint: E(β) = (√2 βx + β²/2)(2 + 1/r);  block: E(β) = (2βx + β²)(2 + 1/r)
    Hypotheses: d = 1, m = 1, c = u = x ≥ 0, constant f = -r < 0, H = Ĥ (so that E(0) = 0).
    Source: derived here. The kernel moves by (x(a + b) + ab)e^{-rt}. |x(a+b) + ab| ≤ x|a+b| + |ab|, and the largest
    |a + b| and the largest |ab| in the ball are reached at one point, a = b = β/√2 or a = b = β.
    Raises ValueError for another ball, a negative weight, or where rate or radius is not positive.
    """
    x, radius = require_nonnegative("weight", weight), require_positive("radius", radius)
    corner = sp.sqrt(largest_product(ball, radius))  # a = b
    return pair_move(x, x, corner, corner) * _mode_norm().subs(r, require_positive("rate", rate))


def zero_model_error_lower(modes: Number, radius: Number = beta, ball: str = "joint") -> sp.Expr:
    """The plainest case against all weights: the zero functional, modelled by modes that are never used.

    H = 0, c = u = 0, λ_i = -1/m:  E_m(0) = 0, but E_m(β) ≥ q β² (2 + m) → ∞ for every β > 0, q as in `slow_mode_lower`
    Hypotheses: f reaches the eigenvalues -1/m (exp, softplus, best, every f < 0 with sup f = 0 do, from some m on).
    Source: derived here. Moving one c_i and one u_i to b with b² = qβ² leaves the kernel qβ²e^{-t/m}, whose norm is
    qβ²(m + 2).
    Raises ValueError for another ball, or where a number is not positive.
    """
    return sp.expand(slow_mode_lower(1 / require_positive("modes", modes), radius, ball))


def triangle_weight(horizon: sp.Expr, lag: sp.Expr = t) -> sp.Expr:
    """Length of the line s + s' = r inside the square [0,T]²: the weight of ρ̂(r) in ∫_0^T∫_0^T ρ̂(s+s') ds ds'.

    min(r, 2T - r) for 0 ≤ r ≤ 2T;  it increases to r as T → ∞
    Hypotheses: T > 0.
    Source: derived here. s runs over [max(0, r-T), min(r, T)], of length r for r ≤ T and 2T - r for r ≥ T.
    Raises ValueError where the horizon is not positive.
    """
    horizon = require_positive("horizon", horizon)
    return sp.Min(lag, 2 * horizon - lag)


def first_moment_lower(kernel: sp.Expr, radius: Number = beta) -> sp.Expr:
    """Moving only c, or only u, already costs the first moment, for any state matrix.

    E_c(β) E_u(β) ≥ β² ( ∫_0^∞ tρ(t)dt + 4 ∫_0^∞ ρ(t)dt + 4ρ(0) ),  hence E(β)² ≥ the same
    where E_c(β) is the error E(β) with only c perturbed, |c̃-c|_2 ≤ β, and E_u(β) with only u perturbed; for every m
    the product of the two errors is at least this with ρ̂_m for ρ, if ρ̂_m ≥ 0 or not.
    Hypotheses: d = 1, ρ̂_m(t) = c·e^{At}u with any Hurwitz A (of any size); ρ ≥ 0 in L¹, right-continuous of bounded
    variation; E(0) = 0; E_c and E_u finite. If the moment is infinite, at least one of them is not.
    Source: derived here. c + a and c - a move the kernel by ±k, k = a·e^{At}u, so E_c,m(β) ≥ ‖k‖ by convexity, and
    ‖k‖ ≥ ∫_0^T k + 2k(0) = a·(w_T + 2u), w_T = ∫_0^T e^{As}u ds. The best a gives E_c,m(β) ≥ β|w_T + 2u|; in the same
    way E_u,m(β) ≥ β|v_T + 2c|, v_T = ∫_0^T e^{Aᵀs}c ds. By Cauchy-Schwarz the product is at least
    β²(v_T + 2c)·(w_T + 2u), and v_T·w_T = ∫_0^T∫_0^T ρ̂(s+s')ds ds' = ∫_0^{2T} min(r,2T-r)ρ̂(r)dr (`triangle_weight`),
    c·w_T = v_T·u = ∫_0^T ρ̂, c·u = ρ̂(0). As m → ∞, ρ̂ → ρ in L¹ and at t = 0, where the weights are bounded; then
    T → ∞ by monotone convergence, for which ρ ≥ 0 is needed.
    Attained by every sum ρ = Σ p_i e^{-s_it}, p_i > 0, with H = Ĥ and c_i = u_i = √p_i: both errors are then
    β√(Σ p_i(2 + 1/s_i)²) by Cauchy-Schwarz, reached at a_i ∝ √p_i(2 + 1/s_i), and Σp_i(2 + 1/s_i)² is the bracket.
    Raises ValueError where SymPy finds no closed form of an integral.
    """
    moments = [sp.integrate(weight * kernel, (t, 0, sp.oo)) for weight in (t, sp.S.One)]
    if any(moment.has(sp.Integral, sp.Piecewise) for moment in moments):
        raise ValueError(f"kernel: no closed form of the moments of {kernel}")
    first, mass = moments
    return require_positive("radius", radius) ** 2 * (first + 4 * mass + 4 * kernel.subs(t, 0))


def power_law_moment(power: Number) -> sp.Expr:
    """First moment of a polynomially decaying memory.

    ∫_0^∞ t(1+t)^{-p}dt = 1/((p-1)(p-2)) for p > 2, and ∞ for p ≤ 2
    Hypotheses: p real.
    Source: derived here. t(1+t)^{-p} = (1+t)^{1-p} - (1+t)^{-p}, integrated term by term up to X; X → ∞.
    Raises ValueError where p is not known to be real.
    """
    p = sp.sympify(power)
    if not p.is_real:
        raise ValueError(f"power must be real, not {power}")
    x, end = sp.symbols("x X", positive=True)
    partial = sp.integrate(sp.expand((x - 1) * x ** (-p)), (x, 1, end))
    return sp.simplify(sp.limit(partial, end, sp.oo))
