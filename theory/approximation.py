"""Theorem 3.5: when is an approximating sequence a stable approximation?

E_m(β) = sup_{|θ̃-θ_m|≤β} ‖H - Ĥ(·;θ̃)‖_{W^{1,∞}}, E(β) = limsup_m E_m(β); a β0-stable approximation has E(0) = 0 and
E continuous on [0, β0]. The theorem is read in three ways: perturbed are all of θ = (w, U, c) (`theory.all_weights`:
false), only the recurrent w (true where two sums stay bounded), or all of a bounded θ (true, of little use).

Throughout H and Ĥ are linear (σ = id): for a σ that is not affine, E over all of C_0 jumps at β = 0 as soon as an
eigenvalue can move (`theory.curse.perturbation_jump`), and no reading survives. ρ̂(t) = Σ_i c_i e^{λ_i t} U_i,
λ_i = f(w_i) < 0, and ω(β) = sup_{|w̃-w|≤β} |log(f(w̃)/f(w))|; a non-constant f is stable exactly when ω(β) → 0 as
β → 0, and g(β) = e^{ω(β)} - 1 is its least modulus in Definition 3.4.
"""

from __future__ import annotations

from typing import TypeAlias

import sympy as sp

from theory.norms import real_mode_norms
from theory.notation import lam, r, t

Number: TypeAlias = sp.Expr | int | float


def require_positive(name: str, value: Number) -> sp.Expr:
    """The value as a SymPy number; ValueError unless SymPy knows that it is positive."""
    number = sp.sympify(value)
    if not number.is_positive:
        raise ValueError(f"{name} must be positive, not {value}")
    return number


def require_nonnegative(name: str, value: Number) -> sp.Expr:
    """The value as a SymPy number; ValueError unless SymPy knows that it is at least 0."""
    number = sp.sympify(value)
    if not number.is_nonnegative:
        raise ValueError(f"{name} must be at least 0, not {value}")
    return number


def turning_time(ratio: Number = r) -> sp.Expr:
    """The time at which two decaying exponentials differ most.

    t* = log(r)/(r-1), the only zero of d/dt (e^{-t} - e^{-rt})
    Hypotheses: r > 0, r ≠ 1.
    Source: derived here. r e^{-rt} = e^{-t} is linear in t after taking logarithms: log r - r t = -t.
    Raises ValueError if the ratio is not positive, or is 1.
    """
    ratio = require_positive("ratio", ratio)
    if ratio == 1:
        raise ValueError(f"ratio must differ from 1, not {ratio}")
    time = sp.Dummy("t", real=True)
    (zero,) = sp.solve(sp.log(ratio) - ratio * time + time, time)
    return zero


def gap_integral(ratio: Number = r) -> sp.Expr:
    """Variation of the difference of two exponentials, K(r).

    K(r) = ∫_0^∞ |r e^{-rt} - e^{-t}| dt = 2 |e^{-t*} - e^{-rt*}| = 2 r^{-1/(r-1)} |1 - 1/r|,  t* = log(r)/(r-1)
    Hypotheses: r > 0; K(1) = 0.
    Source: derived here. D(t) = e^{-t} - e^{-rt} vanishes at 0 and at ∞ and D' = r e^{-rt} - e^{-t} changes sign only
    at t*, so ∫|D'| = |D(t*) - D(0)| + |D(∞) - D(t*)| = 2|D(t*)|; and e^{-rt*} = e^{-t*}/r.
    Moreover K(r) = K(1/r) (put t = u/r in the integral); K increases in |log r| (for r > 1, |D| increases with r at
    every t), and K < 2.
    Raises ValueError if the ratio is not positive.
    """
    ratio = require_positive("ratio", ratio)
    if ratio == 1:
        return sp.S.Zero
    peak = turning_time(ratio)
    return 2 * sp.Abs(sp.exp(-peak) - sp.exp(-ratio * peak))


def gap_integral_slope(ratio: Number = r) -> sp.Expr:
    """Derivative of K for r > 1: it is positive, so K increases.

    K'(r) = 2 t* e^{-rt*} > 0
    Hypotheses: r > 1.
    Source: derived here. K(r) = 2 max_t D(t; r), and at the maximum only the explicit r counts: ∂D/∂r = t e^{-rt}.
    Raises ValueError if the ratio is not positive, or is 1.
    """
    peak = turning_time(ratio)
    return 2 * peak * sp.exp(-sp.sympify(ratio) * peak)


def gap_integral_upper(omega: Number) -> sp.Expr:
    """A linear bound for K.

    K(e^{±ω}) ≤ (2/e) ω
    Hypotheses: ω ≥ 0.
    Source: derived here. r e^{-rt} - e^{-t} = ∫_1^r ∂_q(q e^{-qt}) dq, and ∫_0^∞ |(1 - qt) e^{-qt}| dt = 2/(e q): the
    antiderivative t e^{-qt} rises from 0 to 1/(eq) at t = 1/q and falls back. So K(r) ≤ ∫_1^r 2/(eq) dq = (2/e) log r.
    It is sharp as ω → 0.
    Raises ValueError if omega is negative.
    """
    q = sp.Symbol("q", positive=True)
    hump = t * sp.exp(-q * t)
    variation = 2 * hump.subs(t, 1 / q)  # up and down again
    return sp.integrate(variation, (q, 1, sp.exp(require_nonnegative("omega", omega))))


def mode_gap(ratio: Number = r) -> sp.Expr:
    """How far one mode moves when its eigenvalue goes from λ to λ̃ = rλ.

    ‖e^{rλt} - e^{λt}‖_{W^{1,∞}} = |1/r - 1|/|λ| + K(r)
    Hypotheses: λ < 0, r > 0.
    Source: derived here. e^{rλt} - e^{λt} keeps its sign, so its L¹ norm is |1/(r|λ|) - 1/|λ||. It is 0 at t = 0, so
    the derivative's norm is ∫|rλe^{rλt} - λe^{λt}|dt, which is K(r) after t → t/|λ|.
    Raises ValueError if the ratio is not positive.
    """
    ratio = require_positive("ratio", ratio)
    return sp.Abs(1 / ratio - 1) / sp.Abs(lam) + gap_integral(ratio)


def recurrent_error_upper(initial_error: Number, memory_sum: Number, weight_sum: Number, g: Number) -> sp.Expr:
    """The perturbed error when only the recurrent weights move.

    E_m(β) ≤ E_m(0) + A_m g + B_m K(1+g),  A_m = Σ_i |c_i||U_i|_1/|λ_i|,  B_m = Σ_i |c_i||U_i|_1,  g = g(β) = e^{ω(β)}-1
    Hypotheses: f < 0 with ω(β) < ∞; every |w̃_i - w_i| ≤ β (so for the l2 ball, too); c and U fixed.
    Source: Theorem 3.5, derived here. Mode i moves by |c_i||U_i|_1 times `mode_gap` at r_i = f(w̃_i)/f(w_i), which
    lies in [1/(1+g), 1+g]. There |1/r - 1| ≤ g, and K(r) ≤ K(1+g) because K increases in |log r|; triangle inequality.
    Attained: for m = 1, H = Ĥ_m and an f for which ω(β) is attained downward at w (exp: every w, w̃ = w - β) both sides
    are equal, since then r = 1/(1+g). With E_m(0) > 0 also, for H = Ĥ_m + ε(e^{λt} - e^{λ̃t}). For several distinct λ_i
    and c_iU_i ≥ 0 the part A_m g alone is attained by the L¹ error under exp, if every w_i may move by β; the
    derivatives of different modes change sign at different times, so the sum with B_m is then not attained.
    Raises ValueError if an argument is negative.
    """
    named = {"initial_error": initial_error, "memory_sum": memory_sum, "weight_sum": weight_sum, "g": g}
    start, memory, weight, gap = (require_nonnegative(name, value) for name, value in named.items())
    return start + _moved_modes(memory, weight, gap)


def _moved_modes(memory_sum: sp.Expr, weight_sum: sp.Expr, g: sp.Expr) -> sp.Expr:
    return memory_sum * g + weight_sum * gap_integral(1 + g)


def recurrent_modulus_upper(memory_sum: Number, weight_sum: Number, omega_beta: Number, omega_delta: Number) -> sp.Expr:
    """Continuity of E where the two sums stay bounded: Theorem 3.5 for the recurrent weights.

    0 ≤ E(β+δ) - E(β) ≤ A e^{ω(β)} (e^{ω(δ)} - 1) + B K(e^{ω(δ)}),  A = sup_m A_m,  B = sup_m B_m
    Hypotheses: as `recurrent_error_upper`, β, δ ≥ 0, and A, B < ∞. The ball may be l2, or max|w̃_i - w_i| ≤ β.
    Source: Theorem 3.5, amended, derived here. Let w̃ lie in the ball of radius β+δ and put ŵ = w + (w̃-w)β/(β+δ): it
    lies in the ball of radius β, and |w̃-ŵ| ≤ δ. Going from ŵ to w̃ costs at most Σ|c_i||U_i|_1 (g(δ)/|f(ŵ_i)| +
    K(1+g(δ))) as in `recurrent_error_upper`, where 1/|f(ŵ_i)| ≤ e^{ω(β)}/|λ_i|. So E_m(β+δ) ≤ E_m(β) + the bound, the
    same for all m, and limsup keeps it. When ω(δ) → 0 it tends to 0, uniformly for β ≤ β0: E is finite and continuous
    on [0, β0] for every β0 as soon as E(0) = 0. (For constant f, ω = 0 and E is constant.)
    Raises ValueError if an argument is negative.
    """
    memory, weight = require_nonnegative("memory_sum", memory_sum), require_nonnegative("weight_sum", weight_sum)
    growth = sp.exp(require_nonnegative("omega_beta", omega_beta))
    return _moved_modes(memory * growth, weight, sp.exp(require_nonnegative("omega_delta", omega_delta)) - 1)


def cancelling_pair_lower(
    weight: Number, eigenvalue: Number, moved_eigenvalue: Number, initial_error: Number = 0
) -> sp.Expr:
    """Why the sums must be bounded: two modes that cancel at β = 0 and do not at β > 0.

    E_m(β) ≥ |k| |1/λ̃ - 1/λ| - E_m(0),  for outputs k, -k at the same λ of which one moves to λ̃
    Hypotheses: λ, λ̃ < 0, both reached within the ball; the other weights stay.
    Source: derived here. k e^{λt} - k e^{λt} = 0 can be added to any approximating sequence: nothing changes at β = 0.
    Moving one of the two leaves k(e^{λ̃t} - e^{λt}), of L¹ norm |k||1/λ̃ - 1/λ|. With k = 1, λ = -1/m² and exp
    (λ̃ = e^{-β}λ) that is m²(e^β - 1) → ∞, so E(0) = 0 and E(β) = ∞ for every β > 0. Every non-constant f has such a
    pair, with k_m → ∞ at a w near which f is not constant: no stability of f can replace the bounded sums.
    Raises ValueError if an eigenvalue is not negative or the initial error is negative.
    """
    before = -1 / require_positive("-eigenvalue", -sp.sympify(eigenvalue))
    after = -1 / require_positive("-moved_eigenvalue", -sp.sympify(moved_eigenvalue))
    return sp.Abs(weight) * sp.Abs(after - before) - require_nonnegative("initial_error", initial_error)


def bounded_weights_modulus_upper(
    output_bound: Number, input_bound: Number, slowest: Number, omega_delta: Number, delta: Number, inputs: Number = 1
) -> sp.Expr:
    """Continuity of E under all perturbations when θ stays bounded, w included: the third reading of Theorem 3.5.

    E(β+δ) - E(β) ≤ √d ( δ (C + V)(2 + 1/ε) + C V (g/ε + K(1+g)) ),  g = e^{ω(δ)} - 1,  β + δ ≤ β0
    C ≥ |c̃|_2, V ≥ |Ũ|_F and ε ≤ |f(w̃)| for all weights in the balls of radius β0, ω the modulus of log|f| there.
    Hypotheses: sup_m |θ_m| < ∞ (for w, max_i|w_i| suffices), f < 0 continuous; f need not be stable. The ball is joint,
    with |Ũ-U|_F (where the move of U is measured by |Ũ-U|_2 ≤ δ, put √d δC for δC). Then C, V < ∞, the w̃_i
    lie in a compact interval, so that ε = min|f| > 0 and ω(δ) → 0 as δ → 0 there.
    Source: derived here. Shrink the ball as in `recurrent_modulus_upper`; θ̂ → θ̃ moves the products by
    Σ|c̃_iŨ_i - ĉ_iÛ_i|_1 ≤ √d(|c̃-ĉ||Ũ| + |ĉ||Ũ-Û|) ≤ √d δ(C + V), each mode having norm at most 2 + 1/ε; and the
    eigenvalues as in `recurrent_error_upper` with A ≤ √d CV/ε and B ≤ √d CV (Cauchy-Schwarz).
    The price is in `bounded_weights_memory_upper`.
    Raises ValueError if slowest or inputs is not positive or another argument is negative.
    """
    eps, d = require_positive("slowest", slowest), require_positive("inputs", inputs)
    output, input_ = require_nonnegative("output_bound", output_bound), require_nonnegative("input_bound", input_bound)
    mode_norm = real_mode_norms().total.subs(lam, -eps)
    gap = sp.exp(require_nonnegative("omega_delta", omega_delta)) - 1
    moved_products = require_nonnegative("delta", delta) * (output + input_) * mode_norm
    moved_modes = _moved_modes(output * input_ / eps, output * input_, gap)
    return sp.sqrt(d) * (moved_products + moved_modes)


def bounded_weights_memory_upper(
    output_bound: Number, input_bound: Number, slowest: Number, inputs: Number = 1
) -> sp.Expr:
    """What bounded weights can reach: exponentially decaying memory only.

    E(0) = 0, |c_m|_2 ≤ C, |U_m|_F ≤ V, |λ_i| ≥ ε for all m  ⇒  |ρ(t)|_1 ≤ √d C V e^{-εt}
    Hypotheses: real λ_i; ρ right-continuous of bounded variation, in L¹.
    Source: derived here. |ρ̂_m(t)|_1 ≤ Σ|c_i||U_i|_1e^{λ_it} ≤ e^{-εt} √d|c||U|_F, and |ρ(t) - ρ̂_m(t)|_1 is at most half
    the total variation of ρ - ρ̂_m, hence at most E_m(0)/2 → 0 (`theory.norms.memory_over_variation`).
    Raises ValueError if slowest or inputs is not positive or a bound is negative.
    """
    eps, d = require_positive("slowest", slowest), require_positive("inputs", inputs)
    output, input_ = require_nonnegative("output_bound", output_bound), require_nonnegative("input_bound", input_bound)
    return sp.sqrt(d) * output * input_ * sp.exp(-eps * t)
