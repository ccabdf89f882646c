"""Unit-norm modes dh/dt = Λh + ν(Λ)Ux: the change of the model that makes approximation stable in all weights.

Throughout σ = id, ρ̂(t) = Σ_i c_i u_i φ_i(t), φ_i(t) = ν(λ_i) e^{λ_i t}, λ_i = f(w_i) < 0, one input (d = 1);
θ = (w, c, u) moves in the joint ball |θ̃ - θ|_2 ≤ β; ω is the modulus of continuity of log|f|, and ‖·‖ is ‖·‖_{W^{1,∞}}.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import sympy as sp

from theory.norms import absolute_integral, complex_mode_norms, real_mode_norms
from theory.notation import beta, lam, r, tau, w

q = sp.Symbol("q", positive=True)
"""q = 1/(1 + 2|λ|) ∈ (0, 1): near 1 for long memory, near 0 for short memory."""
ratio = sp.Symbol("R", positive=True)
"""Ratio R = |λ̃|/|λ| of a perturbed to an unperturbed eigenvalue."""
log_change = sp.Symbol("delta", nonnegative=True)
"""Bound for |log(λ̃/λ)|, the argument of κ."""


@cache
def gain() -> sp.Expr:
    """Gain of a real mode.

    ν(λ) = 1/‖e^{λt}‖_{W^{1,∞}} = |λ|/(1 + 2|λ|)
    Hypotheses: λ < 0.
    Source: derived here, from the norm 1/|λ| + 2 of one mode. ν < 1/2, and ν ~ |λ| for long memory.
    """
    return sp.factor(1 / real_mode_norms().total)


@cache
def complex_gain() -> sp.Expr:
    """Gain of a complex mode with complex output, λ = -r + iω.

    ν(λ) = 1/‖e^{λt}‖_{W^{1,∞}} = r/(1 + r + |λ|)
    Hypotheses: r > 0; complex inputs (for real inputs this makes the norm at most 1).
    Source: derived here, from the norm 1/r + 1 + |λ|/r of one complex mode.
    """
    return sp.simplify(1 / complex_mode_norms().total)


def output_change_upper(c_norm: sp.Expr, u_norm: sp.Expr, radius: sp.Expr = beta) -> sp.Expr:
    """The largest Σ|c̃_iũ_i - c_iu_i| in the ball |c̃-c|² + |ũ-u|² ≤ β².

    Σ|c̃_iũ_i - c_iu_i| ≤ β √(|c|² + |u|²) + β²/2
    Hypotheses: none on c and u; equality at c = u ≥ 0, δc = δu ∝ c.
    Source: derived here. With δc = c̃ - c, δu = ũ - u each term is at most |c_i||δu_i| + |u_i||δc_i| + |δc_i||δu_i|.
    By Cauchy-Schwarz in R^{2m} the first two sum to at most √(|c|²+|u|²) √(|δu|²+|δc|²) ≤ β√(|c|²+|u|²); and
    Σ|δc_i||δu_i| ≤ Σ(δc_i² + δu_i²)/2 ≤ β²/2.
    Raises ValueError for a negative norm or radius.
    """
    for name, number in (("c_norm", c_norm), ("u_norm", u_norm), ("radius", radius)):
        if sp.sympify(number).is_negative:
            raise ValueError(f"{name} must not be negative, not {number}")
    return radius * sp.sqrt(c_norm**2 + u_norm**2) + sp.sympify(radius) ** 2 / 2


@cache
def mode_difference_upper() -> sp.Expr:
    """Bound for the change of one unit-norm mode, in x = |λ| of the slower mode and R ≥ 1.

    ‖ν(λ̃)e^{λ̃t} - ν(λ)e^{λt}‖ ≤ 2(1 - 1/R),  |λ̃| = R|λ|, R ≥ 1
    Hypotheses: λ, λ̃ < 0; |λ̃| ≥ |λ| without loss of generality.
    Source: derived here. Write x = |λ| and split into (ν̃-ν)e^{λ̃t} + ν(e^{λ̃t}-e^{λt}).
    First part: ν̃‖e^{λ̃t}‖ = 1, so its norm is 1 - ν/ν̃ = (1 - 1/R)/(1 + 2x), and at most 1 - 1/R.
    Second part: ∫|e^{-Rxt}-e^{-xt}| = (1-1/R)/x; there is no jump at 0; the derivative costs
    ∫|xe^{-xt} - Rxe^{-Rxt}|dt = K(R) = 2R^{-1/(R-1)}(1-1/R) ≤ 2(1-1/R). Times ν = x/(1+2x) that is at most 1 - 1/R.
    Returns 2(1 - 1/R), summed from the two parts.
    """
    x, faster = sp.symbols("x R", positive=True)
    nu = gain().subs(lam, -x)
    first = sp.simplify(1 - nu / nu.subs(x, faster * x))
    second = nu * ((1 - 1 / faster) / x + 2 * (1 - 1 / faster))
    return sp.factor(sp.limit(first, x, 0) + sp.simplify(second)).subs(faster, ratio)


@cache
def log_derivative_norms() -> tuple[sp.Expr, sp.Expr]:
    """Norms of the derivative of a unit-norm mode in log|λ|, as (L¹, total variation).

    ∫|∂φ/∂log|λ|| = q(q - 1 + 2e^{-q}),  TV = (1-q)(q + e^{-1-q}),  q = 1/(1+2|λ|)
    Hypotheses: λ < 0, φ = ν(λ)e^{λt}.
    Source: derived here. With x = |λ| and s = xt: ∂φ/∂log x = ν (q - s)e^{-s}, as d log ν/d log x = 1 - 2x/(1+2x) = q.
    It changes sign at s = q; its derivative in t, νx(s - 1 - q)e^{-s}, at s = 1 + q; its value at 0 is νq.
    Moreover ν/x = q and ν = (1-q)/2.
    """
    x, lag = sp.Symbol("x", positive=True), sp.Symbol("t", nonnegative=True)
    mode = gain().subs(lam, -x) * sp.exp(-x * lag)
    change = x * sp.diff(mode, x)
    in_q = {x: (1 / q - 1) / 2}
    # In the time s = xt the integrands are polynomials times e^{-s}: ∫g dt = ∫g ds/x.
    scaled = sp.factor(change.subs(lag, lag / x).subs(in_q))
    slope = sp.factor((sp.diff(change, lag) / x).subs(lag, lag / x).subs(in_q))
    level = sp.factor(scaled.subs(lag, 0) / q)  # = ν > 0, taken out of the integrals
    l1 = level * absolute_integral(sp.cancel(scaled / level), lag) / x.subs(in_q)
    variation = level * (q + absolute_integral(sp.cancel(slope / level), lag))
    return sp.factor(sp.simplify(l1)), sp.simplify(variation)


@cache
def gradient_factor() -> sp.Expr:
    """Norm of the derivative of a unit-norm mode in log|λ|.

    N(q) = ‖∂φ/∂log|λ|‖ = e^{-q}(2q + (1-q)/e),  q = 1/(1+2|λ|) ∈ (0, 1)
    Hypotheses: λ < 0.
    Source: derived here: the sum of the two norms of `log_derivative_norms`. Note the norm: this is W^{1,∞}; the L¹
    part alone, q(q-1+2e^{-q}), goes to 0 for short memory (q → 0) and to 2/e for long memory (q → 1).
    """
    return sp.simplify(sum(log_derivative_norms()))


@cache
def gradient_factor_range() -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """Infimum, maximum and maximizer of N(q) on 0 < q < 1.

    1/e < N(q) ≤ N(q*) = (2 - 1/e)e^{-q*} = 0.75222..., q* = 2(e-1)/(2e-1) = 0.7746...
    Source: derived here. N' = e^{-q}(2 - 2/e - (2 - 1/e)q) has the one zero q*, where N' turns from + to -. So the
    infimum is the smaller of the limits N(0) = 1/e = 0.3679 (short memory) and N(1) = 2/e = 0.7358 (long memory).
    """
    factor = gradient_factor()
    (maximizer,) = sp.solve(sp.diff(factor, q), q)
    lowest = sp.Min(sp.limit(factor, q, 0, "+"), factor.subs(q, 1))
    return sp.simplify(lowest), sp.simplify(factor.subs(q, maximizer)), sp.simplify(maximizer)


def gradient_scale(f: sp.Expr) -> sp.Expr:
    """Size of the derivative of one unit-norm mode in its weight w, per unit of |c_i||u_i|.

    ‖∂φ/∂w‖_{W^{1,∞}} = (|f'(w)|/|f(w)|) N(q(w)),  q(w) = 1/(1 + 2|f(w)|)
    Hypotheses: f < 0 and differentiable.
    Source: derived here, by the chain rule through log|λ| = log(-f(w)). For f = -e^w, |f'|/|f| = 1: the scale stays in
    (1/e, 0.7523) at every w. For best, |f'|/|f| = 2a|w|/(aw²+b): 0 at w = 0 and ~ 2/|w| for long memory.
    Raises ValueError if f does not depend on w alone.
    """
    if f.free_symbols != {w}:
        raise ValueError(f"f must be an expression in w alone, not {f}")
    return sp.Abs(sp.diff(f, w) / f) * gradient_factor().subs(q, 1 / (1 + 2 * sp.Abs(f)))


@cache
def kappa_upper() -> sp.Expr:
    """Bound for the largest change κ(ω) of a unit-norm mode whose log|λ| moves by at most ω.

    κ(ω) := sup_{|log(λ̃/λ)| ≤ ω} ‖ν(λ̃)e^{λ̃t} - ν(λ)e^{λt}‖ ≤ min( 2(1 - e^{-ω}), N(q*) ω ),  N(q*) = 0.75222...
    Hypotheses: ω ≥ 0; all λ, λ̃ < 0.
    Source: derived here. The first bound is `mode_difference_upper` with R ≤ e^ω, and gives κ ≤ 2 and
    κ ≤ 2(e^ω - 1) at once. The second integrates ‖∂φ/∂log|λ|‖ ≤ N(q*) along log|λ|. Both are sharp: κ(ω)/ω → N(q*) as
    ω → 0, and κ(ω) ≥ K(e^ω) → 2 as ω → ∞ (take λ → 0, where only the L¹ part remains, `kappa_lower`).
    """
    largest = gradient_factor_range()[1]
    return sp.Min(mode_difference_upper().subs(ratio, sp.exp(log_change)), largest * log_change)


@cache
def kappa_lower() -> sp.Expr:
    """Lower bound for κ(ω), reached as λ → 0.

    κ(ω) ≥ K(e^ω),  K(R) = ∫_0^∞ |Re^{-Rs} - e^{-s}| ds = 2 R^{-1/(R-1)} (1 - 1/R)
    Hypotheses: ω > 0.
    Source: derived here. As |λ| → 0, ν ~ |λ|, and in the time s = |λ|t the two modes are e^{-s} and Re^{-Rs}, while
    their values and variations go to 0. The zero of the integrand is s = log R/(R-1), its antiderivative
    e^{-s} - e^{-Rs} vanishes at both ends.
    """
    lag = sp.Symbol("s", nonnegative=True)
    zero = sp.log(ratio) / (ratio - 1)
    half = (sp.exp(-lag) - sp.exp(-ratio * lag)).subs(lag, zero)
    return sp.simplify(2 * half).subs(ratio, sp.exp(log_change))


def perturbed_error_upper(
    error: sp.Expr, c: Sequence[sp.Expr], u: Sequence[sp.Expr], radius: sp.Expr, modulus: sp.Expr
) -> sp.Expr:
    """Bound for the perturbed error of unit-norm modes over all weights.

    E_m(β) ≤ E_m(0) + β√(|c|²+|u|²) + β²/2 + Σ|c_iu_i| κ(ω(β))
    Hypotheses: f < 0 (so every λ̃_i < 0), modulus = ω(β) the modulus of continuity of log|f|; d = 1; joint ball.
    Source: derived here. ρ̃ - ρ̂ = Σ(c̃_iũ_i - c_iu_i)φ̃_i + Σc_iu_i(φ̃_i - φ_i), and ‖φ̃_i‖ = 1. The first sum is bounded by
    `output_change_upper`, the second by κ, since |log(λ̃_i/λ_i)| ≤ ω(|w̃_i-w_i|) ≤ ω(β). (At a block ball of the same
    β the first becomes β(|c|+|u|) + β².)
    Consequence. Let f be stable and S = sup_m max(|c|, |u|) < ∞. For β' > β every θ̃' of the ball of β' lies within
    β' - β of some θ̃ of the ball of β, so 0 ≤ E_m(β') - E_m(β) ≤ √2(S+β)δ + δ²/2 + (S+β)²κ(ω(δ)), δ = β' - β, the same
    for all m. So E = limsup E_m is finite and continuous on every [0, β0] if E(0) = 0: a stable approximation for
    every β0.
    Raises ValueError if c and u have different lengths.
    """
    if len(c) != len(u):
        raise ValueError(f"c and u must have the same length, not {len(c)} and {len(u)}")
    c_norm, u_norm = (sp.sqrt(sum(v**2 for v in vector)) for vector in (c, u))
    weight = sum(sp.Abs(p * v) for p, v in zip(c, u, strict=True))
    kappa = kappa_upper().subs(log_change, modulus)
    return error + output_change_upper(c_norm, u_norm, radius) + weight * kappa


def balanced_weights(weights: Sequence[sp.Expr], rates: Sequence[sp.Expr]) -> list[sp.Expr]:
    """Output weights c_i = u_i that realize a positive sum of exponentials with unit-norm modes.

    c_i = u_i = √(a_i/ν_i):  Σc_iu_iν_ie^{-x_it} = Σa_ie^{-x_it},  |c|² = |u|² = Σa_i(1/x_i + 2) = ‖ρ̂‖_{W^{1,∞}}
    Hypotheses: weights a_i > 0 and rates x_i > 0.
    Source: derived here. ρ̂ is positive and decreasing, so ∫ρ̂ = Σa_i/x_i and TV = 2ρ̂(0) = 2Σa_i.
    Raises ValueError for a weight or a rate that is not known to be positive.
    """
    for name, values in (("weights", weights), ("rates", rates)):
        for value in values:
            if not sp.sympify(value).is_positive:
                raise ValueError(f"{name} must be positive, not {value}")
    nu = gain()
    return [sp.sqrt(a / nu.subs(lam, -x)) for a, x in zip(weights, rates, strict=True)]


def quantization_error_upper(outside: sp.Expr, inside: sp.Expr, step: sp.Expr) -> sp.Expr:
    """Error of replacing a completely monotone kernel by m unit-norm modes.

    E_m(0) ≤ η(outside) + N(q*) (h/2) η(inside)
    Hypotheses: ρ(t) = ∫e^{-xt}dμ(x), μ ≥ 0, ρ ∈ L¹, ρ(0) < ∞; η = μ/ν; the rates of [x_lo, x_hi] fall into m cells of
    width h = log(x_hi/x_lo)/m in log x, each with its η-mass at its midpoint; inside = η([x_lo, x_hi]), outside = the
    rest.
    Source: derived here. ρ = ∫φ_x dη(x), and η has the finite mass ∫(1/x + 2)dμ = ∫ρ + 2ρ(0) = ‖ρ‖. Modes outside have
    norm 1; moving a mode to its midpoint, by at most h/2 in log x, changes it by at most N(q*)h/2 (`kappa_upper`).
    Given ε, take [x_lo, x_hi] with η(outside) < ε, then m large: E_m(0) → 0, while Σc_iu_i = η(inside) ≤ ‖ρ‖ always.
    """
    return outside + gradient_factor_range()[1] * step / 2 * inside


def lru_mode_norm(gain_power: sp.Expr = sp.S.Half) -> sp.Expr:
    """ℓ¹ norm of the discrete mode with the LRU's gain (1-|λ|²)^p, in the symbol r = |λ|.

    Σ_k (1-|λ|²)^{1/2}|λ|^k = √((1+|λ|)/(1-|λ|)), unbounded as |λ| → 1
    Hypotheses: 0 < |λ| < 1. (The ℓ² norm is 1: that is what this gain normalizes.)
    Source: derived here: geometric series. The ℓ¹ norm is the operator norm from bounded inputs to bounded outputs; the
    gain 1-|λ| would make it 1.
    """
    series = 1 / (1 - r)  # Σ_k r^k for r < 1
    return sp.simplify(sp.factor((1 - r**2) ** gain_power) * series)


def step_size_mode_norm() -> tuple[sp.Expr, sp.Expr]:
    """ℓ¹ norm of the discrete mode with gain Δ, as in Mamba's ΔB, for step size Δ, with its limit as Δ → 0.

    Σ_k Δ e^{-rΔk} = Δ/(1 - e^{-rΔ}) → 1/r as Δ → 0
    Hypotheses: rate r > 0 fixed, Δ > 0.
    Source: derived here: geometric series. Long memory through a small step Δ costs nothing: the norm is bounded as Δ
    → 0. Long memory through r → 0 at a fixed step is not normalized: 1/r is unbounded. The gain is written in Δ = τ >
    0.
    """
    norm = tau / (1 - sp.exp(-r * tau))  # Σ_k q^k = 1/(1-q), q = e^{-rΔ} < 1
    return norm, sp.limit(norm, tau, 0, "+")
