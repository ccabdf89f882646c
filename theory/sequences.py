"""Concrete sequences of models for the power law (1+t)^{-2}: how well they approximate, and what perturbing them costs.

Positive sums ρ̂(t) = Σ_i a_i e^{-x_i t} with a_i, x_i > 0, one input, σ = id, λ_i = -x_i = f(w_i); e = ρ - ρ̂,
E_m(0) = ‖e‖ and ‖·‖ = ‖·‖_{W^{1,∞}}. (1+t)^{-2} = ∫_0^∞ x e^{-x} e^{-xt} dx has ∫ρ = 1, ρ(0) = 1 and ‖ρ‖ = 3.
"""

from __future__ import annotations

import sympy as sp

from theory.all_weights import largest_product
from theory.approximation import Number, recurrent_error_upper, require_nonnegative, require_positive
from theory.norms import real_mode_norms
from theory.notation import beta, lam, t
from theory.unit_norm import kappa_upper, log_change, output_change_upper


def trapezoidal_error_upper(step: Number, low: Number, high: Number) -> sp.Expr:
    """The error of the trapezoidal rule in y = log x for (1+t)^{-2}, rates x_k = low, ..., high in steps of h in log x.

    ‖(1+t)^{-2} - Σ_k h x_k² e^{-x_k} e^{-x_k t}‖ ≤ low + low² + (3 + 2 high) e^{-high} + 18/(e^{π²/(2h)} - 1)
    Hypotheses: 0 < h ≤ π, 0 < low ≤ high, high ≥ 2.
    Source: derived here, in three parts. A mode has norm 1/x + 2, so a node left out costs h(x + 2x²)e^{-x}.
    Below: the x = low·e^{-jh}, j ≥ 1, cost at most Σ h(x + 2x²) = h·low/(e^h - 1) + 2h·low²/(e^{2h} - 1) ≤ low + low².
    Above: (x + 2x²)e^{-x} decreases in x ≥ 1.79, so Σ h(x + 2x²)e^{-x} ≤ ∫_high^∞ (1 + 2x)e^{-x}dx = (3 + 2
    high)e^{-high}.
    Aliasing: with all nodes, Poisson summation gives the error Σ_{n≠0} z_n Γ(2 - iξ_n)(1+t)^{-2+iξ_n}, ξ_n = 2πn/h,
    |z_n| = 1. Its size and its value at 0 are at most |Γ(2+iξ)| each, its slope |Γ(3+iξ)| ∫(1+t)^{-3} = |Γ(3+iξ)|/2,
    together |Γ(2+iξ)|(2 + √(4+ξ²)/2). As ξ ≥ 2, |Γ(2+iξ)|² = (1+ξ²)πξ/sinh(πξ) ≤ 9ξ³e^{-πξ} and the bracket is at most
    2ξ; so both signs of n cost at most 12 ξ^{5/2} e^{-πξ/2} ≤ 18 e^{-πξ/4} (the largest ξ^{5/2}e^{-πξ/4}, at ξ = 10/π,
    is 1.484): a geometric series.
    Raises ValueError where a number is not positive.
    """
    named = {"step": step, "low": low, "high": high}
    h, least, largest = (require_positive(name, value) for name, value in named.items())
    above = (3 + 2 * largest) * sp.exp(-largest)
    return least + least**2 + above + 18 / (sp.exp(sp.pi**2 / (2 * h)) - 1)


def trapezoidal_rule(root: Number) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """A concrete sequence: step, lowest and highest rate of the rule with m = root² nodes.

    h = π/√m, highest rate √m, lowest rate √m e^{-(m-1)π/√m};  E_m(0) ≤ `trapezoidal_error_upper` → 0
    Hypotheses: m ≥ 4. Weights a_k = h x_k² e^{-x_k}.
    Source: derived here. All parts of the error fall like e^{-√m} or faster, and the lowest rate tends to 0.
    Raises ValueError where root is not positive.
    """
    n = require_positive("root", root)
    step = sp.pi / n
    return step, n * sp.exp(-(n**2 - 1) * step), n


def recurrent_sequence_upper(error: Number, memory: Number, value: Number, g: Number) -> sp.Expr:
    """Positive sums, only w moves: the perturbed error is bounded uniformly in m.

    E_m(β) ≤ E_m(0) + (∫ρ + E_m(0)) g + (ρ(0) + E_m(0)) K(1+g),  g = g*(β),  K(r) = 2 r^{-1/(r-1)} |1 - 1/r|
    Hypotheses: error = E_m(0), memory = ∫ρ, value = ρ(0); a_i > 0; every |w̃_i - w_i| ≤ β; f stable.
    Source: derived here. In `theory.approximation.recurrent_error_upper` the sums are A_m = Σ a_i/x_i = ∫ρ̂ ≤ ∫ρ +
    ∫|e| and B_m = Σ a_i = ρ̂(0) ≤ ρ(0) + |e(0)|, since the a_i are positive; and ∫|e|, |e(0)| ≤ ‖e‖ = E_m(0).
    Raises ValueError if an argument is negative.
    """
    start = require_nonnegative("error", error)
    return recurrent_error_upper(start, memory + start, value + start, g)


def dilated_power_law_norm(growth: Number) -> sp.Expr:
    """What it costs to slow down all modes of (1+t)^{-2} alike, by the factor q = 1/(1+growth).

    ‖ρ(qt) - ρ(t)‖ = growth + 2 max_t D(t),  D(t) = (1+qt)^{-2} - (1+t)^{-2} ≥ 0
    Under exp, moving every w_i by -β with growth = e^β - 1 turns ρ̂(t) into ρ̂(qt). So E_m(β) is at least this less
    E_m(0)/q in the block ball, since ‖ρ - ρ̂(qt)‖ ≥ ‖ρ - ρ(qt)‖ - ‖e(qt)‖ and ‖e(qt)‖ ≤ ‖e‖/q.
    Hypotheses: growth > 0.
    Source: derived here. D ≥ 0, ∫D = 1/q - 1 = growth; D(0) = 0 = D(∞), and D' = 0 where q(1+qt)^{-3} = (1+t)^{-3},
    that is 1+t = s(1+qt), s = q^{-1/3}, at the one time t* = (s-1)/(1-sq). So the variation is 2D(t*).
    Raises ValueError where growth is not positive.
    """
    more = require_positive("growth", growth)
    q = 1 / (1 + more)
    s = sp.cbrt(1 + more)
    peak = (s - 1) / (1 - s * q)
    return more + 2 * sp.simplify((1 + q * peak) ** -2 - (1 + peak) ** -2)


def dead_modes_error(slowest: Number, radius: Number = beta) -> sp.Expr:
    """All-weight perturbation of unused modes, exactly: H = 0, c = U = 0, only U and c move.

    E_m(β) = (β²/2)(2 + 1/min|λ_i|)  (joint ball)
    Hypotheses: d = 1; slowest = min|λ_i| > 0; any number of modes, any f.
    Source: derived here. The kernel becomes Σ a_ib_ie^{λ_it}, of norm at most Σ|a_i||b_i|(2 + 1/|λ_i|) ≤ (2 +
    1/min|λ_i|) |a||b|, and |a||b| ≤ β²/2 on |a|² + |b|² ≤ β² (`theory.all_weights.largest_product`). Equality: all of
    a and b in the slowest mode, |a| = |b| = β/√2.
    Raises ValueError where a number is not positive.
    """
    mode = real_mode_norms().total.subs(lam, -require_positive("slowest", slowest))
    return sp.expand(largest_product("joint", radius) * mode)


def unit_norm_growth(norm: Number, radius: Number = beta) -> sp.Expr:
    """What c and u alone cost in a positive sum of unit-norm modes with c_i = u_i, exactly.

    sup ‖ρ̂(θ̃) - ρ̂‖ = √2 β √N + β²/2,  N = ‖ρ̂‖ = |c|² = |u|²;  so E_m(β) ≥ √2 β √‖ρ̂‖ + β²/2 - E_m(0)
    Hypotheses: w fixed; joint ball; ‖ρ̂‖ = norm ≥ 0.
    Source: derived here. At most that by `theory.unit_norm.output_change_upper` with |c|² = |u|² = N
    (`theory.unit_norm.balanced_weights`); reached by c̃ = ũ = (1 + s)c with √2 s|c| = β: the kernel grows by (2s +
    s²)ρ̂, of norm (2s + s²)N = √2 β√N + β²/2. One mode, c = u = x: √2 βx + β²/2.
    Raises ValueError if an argument is negative.
    """
    size = sp.Symbol("N", positive=True)
    growth = output_change_upper(sp.sqrt(size), sp.sqrt(size), require_nonnegative("radius", radius))
    return growth.subs(size, require_nonnegative("norm", norm))


def unit_norm_sequence_upper(error: Number, norm: Number, radius: Number, modulus: Number) -> sp.Expr:
    """Positive sums of unit-norm modes, all weights move: the perturbed error is bounded uniformly in m.

    E_m(β) ≤ E_m(0) + √2 β √N + β²/2 + N κ(ω(β)),  N = ‖ρ‖ + E_m(0)
    Hypotheses: error = E_m(0), norm = ‖ρ‖, modulus = ω(β), f < 0; c_i = u_i as in `theory.unit_norm.balanced_weights`.
    Source: derived here, from `theory.unit_norm.perturbed_error_upper` with |c|² = |u|² = Σc_iu_i = ‖ρ̂‖ ≤ ‖ρ‖ + ‖e‖.
    Raises ValueError if an argument is negative.
    """
    start = require_nonnegative("error", error)
    size = require_nonnegative("norm", norm) + start
    kappa = kappa_upper().subs(log_change, require_nonnegative("modulus", modulus))
    return start + unit_norm_growth(size, radius) + size * kappa


def power_law_exceeds(rate: Number) -> sp.Expr:
    """The power law decays more slowly than every exponential, so that min|λ_i| → 0 along every sequence for it.

    log( (1+t)^{-2} / e^{-εt} ) = εt - 2 log(1+t) → ∞  for every ε > 0; this limit is returned
    Hypotheses: rate = ε > 0.
    Source: derived here. If |λ_i| ≥ ε for infinitely many m, Σ a_i = ρ̂(0) ≤ ρ(0) + E_m(0) bounds the weights
    c_i = u_i = √a_i, and `theory.approximation.bounded_weights_memory_upper` gives ρ(t) ≤ C e^{-εt} as E_m(0) → 0.
    Raises ValueError where rate is not positive.
    """
    return sp.limit(require_positive("rate", rate) * t - 2 * sp.log(1 + t), t, sp.oo)
