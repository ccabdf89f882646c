"""How slow the slowest mode of a model must be: its spectral margin against its error, for a target and a power law.

One linear layer, d = 1, real modes: ρ̂(t) = Σ_i a_i e^{-x_i t}, a_i = c_i ν_i U_i, x_i ≥ μ = min|λ_i|; e = ρ - ρ̂ is the
error of the kernel, 0 for t < 0. A target that is still there at a late time needs a mode that is still there, too.
"""

from __future__ import annotations

import sympy as sp

from theory.norms import memory_over_variation
from theory.notation import t

size = sp.Symbol("S", positive=True)
"""Σ|a_i|."""
memory = sp.Symbol("A", positive=True)
"""Σ|a_i|/x_i."""
variation = sp.Symbol("V", nonnegative=True)
"""Total variation of e on R: the part ‖d(H - Ĥ)/dt‖_∞ of the error."""
error = sp.Symbol("epsilon", positive=True)
"""∫|e|: the part ‖H - Ĥ‖_∞ of the error."""
power = sp.Symbol("p", positive=True)
"""The exponent of (1+t)^{-p}, p > 1."""
decay = sp.Symbol("kappa", positive=True)
"""κ where errors fall like e^{-κ√m}."""
root = sp.Symbol("n", positive=True)
"""√m."""


def margin_upper(value: sp.Expr, changed: sp.Expr = variation, total: sp.Expr = size, time: sp.Expr = t) -> sp.Expr:
    """The margin of a model whose target has the value ρ(t) at the time t.

    min|λ_i| ≤ log( S / (ρ(t) - V/2) ) / t     for every t > 0 with ρ(t) > V/2
    Hypotheses: see the module's text; value = |ρ(t)|, V = `changed`, S = `total`.
    Source: derived here. |ρ̂(t)| ≤ Σ|a_i|e^{-x_i t} ≤ S e^{-μt}, and |e(t)| ≤ V/2, since e comes from 0 and goes back
    to 0 (`theory.norms.memory_over_variation`). So ρ(t) - V/2 ≤ S e^{-μt}; take logarithms. S is Σ|c_iν_iU_i|, at
    most the constant |c|_2|νU|_2 of the sharp bound (`theory.curse.layer_bound`), whose exponential decay this uses.
    """
    return sp.log(total / (value - memory_over_variation() * changed)) / time


def margin_upper_by_tail(tail: sp.Expr, missed: sp.Expr = error, held: sp.Expr = memory, time: sp.Expr = t) -> sp.Expr:
    """The margin of a model whose target has the integral ∫_t^∞|ρ| left after the time t.

    min|λ_i| ≤ log( A / (∫_t^∞|ρ| - ∫|e|) ) / t     for every t > 0 with ∫_t^∞|ρ| > ∫|e|
    Hypotheses: see the module's text; tail = ∫_t^∞|ρ|, ε = ∫|e| = `missed`, A = `held`.
    Source: derived here. ∫_t^∞|ρ| ≤ ∫_t^∞|ρ̂| + ∫|e|, and ∫_t^∞|ρ̂| ≤ Σ|a_i|e^{-x_i t}/x_i ≤ A e^{-μt}. For a power law
    it says more than `margin_upper`: the tail t^{1-p} outlives the value t^{-p}. Where all a_i > 0, A = ∫ρ̂ ≤ ∫ρ + ∫|e|.
    """
    return sp.log(held / (tail - missed)) / time


def power_law_tail(time: sp.Expr = t, exponent: sp.Expr = power) -> sp.Expr:
    """∫_t^∞ (1+s)^{-p} ds = (1+t)^{1-p}/(p-1).

    Hypotheses: p > 1. Source: derived here, by the antiderivative.
    """
    return (1 + time) ** (1 - exponent) / (exponent - 1)


def power_law_margin_upper(exponent: sp.Expr = power, missed: sp.Expr = error, held: sp.Expr = memory) -> sp.Expr:
    """The margin of a model of (1+t)^{-p}: it vanishes with the error like ε^{1/(p-1)} log(1/ε).

    min|λ_i| ≤ log(A/ε) / T,    T = (2(p-1)ε)^{-1/(p-1)} - 1,    where T > 0
    Hypotheses: see the module's text; p > 1, ε ≥ ∫|e|.
    Source: derived here. `margin_upper_by_tail` at the time T with ∫_T^∞(1+t)^{-p} = 2ε, which `power_law_tail` gives;
    there the tail less ∫|e| is at least ε. So along every sequence of models with E_m(0) → 0 and log A_m =
    o(E_m(0)^{-1/(p-1)}) the margins tend to 0, whatever the reparameterization: E_m(0) ≥ ∫|e|. Positive sums need no
    hypothesis on A.
    """
    time = (2 * (exponent - 1) * missed) ** (-1 / (exponent - 1)) - 1
    return sp.log(held / missed) / time


def margin_rate_lower(exponent: sp.Expr = power, rate: sp.Expr = decay) -> sp.Expr:
    """How fast margins vanish at the least where errors fall like e^{-κ√m}.

    liminf_m log(1/min|λ_i|) / √m ≥ κ/(p-1)
    Hypotheses: ∫|e| ≤ e^{-κ√m + o(√m)}, log A_m = o(√m), target (1+t)^{-p}, p > 1.
    Source: derived here. In `power_law_margin_upper` put ε = e^{-κn}, n = √m: log(1/μ) ≥ log T - log log(A/ε), where
    log T = κn/(p-1) + O(1) and log log(A/ε) = O(log n). A factor e^{o(√m)} in ε moves log T by o(√m). The limit is
    taken at A = 1, for a number p as for the symbol.
    """
    missed = sp.exp(-rate * root)
    time = (2 * (exponent - 1) * missed) ** (-1 / (exponent - 1))
    reached = sp.expand_log(sp.log(time), force=True)  # without the 1, which T outgrows
    slower = sp.log(sp.expand_log(sp.log(1 / missed), force=True))
    return sp.simplify(sp.limit(sp.expand(reached) / root, root, sp.oo) - sp.limit(slower / root, root, sp.oo))


def trapezoidal_decay(exponent: sp.Expr = power) -> tuple[sp.Expr, sp.Expr]:
    """(κ, log(1/lowest rate)/√m) of the trapezoidal rule in log x for (1+t)^{-p} with m nodes.

    κ = π√(p-1),    log(1/min|λ_i|) / √m → π/√(p-1) = κ/(p-1)
    Hypotheses: p > 1; step h = π²/L, lowest rate e^{-L/(p-1)}, highest rate 2L, with m = L²/((p-1)π²) (1 + o(1)).
    Source: derived here. (1+t)^{-p} = ∫ x^{p-1}e^{-x}/Γ(p) e^{-xt} dx. Nodes left out below cost Σ h x^p(1/x + 2)/Γ(p),
    of order lowest^{p-1} = e^{-L}; those above cost O(high^p e^{-high}), less than e^{-L}. Aliasing: the n-th term of
    Poisson's formula is Γ(p - iξ)(1+t)^{-p+iξ}/Γ(p), ξ = 2πn/h, its size, value and slope at most |Γ(p+iξ)|/Γ(p)·
    (1/(p-1) + 1 + |p+iξ|/p), and |Γ(p+iξ)| ≤ C ξ^{p-1/2} e^{-πξ/2} (Stirling); the sum over n is e^{-π²/h} = e^{-L} up
    to powers of L. All three are e^{-L + O(log L)}, and the nodes are m = (L/(p-1) + log 2L)L/π² + 1, so L = π√((p-1)m)
    (1 + o(1)): κ√m = L, and the lowest rate is e^{-L/(p-1)}. Hence `margin_rate_lower` is attained.
    """
    length = sp.Symbol("L", positive=True)
    count = (length / (exponent - 1) + sp.log(2 * length)) * length / sp.pi**2 + 1
    ratio = sp.sqrt(sp.limit(length**2 / count, length, sp.oo))  # L/√m
    return sp.simplify(ratio), sp.simplify(ratio / (exponent - 1))


def equal_share_rate(weight: sp.Expr) -> sp.Expr:
    """The rate of margins that the best fits are expected to have: every time scale gets its share of the modes.

    log(1/min|λ_i|) / √m → π√(2/a),   a = p - 1/2 for the least (∫|e|²)^{1/2},   a = p - 1 for the least ∫|e|
    Hypotheses: weight = a > 0, target (1+t)^{-p}. A prediction, not a theorem.
    Source: derived here, by a heuristic argument that the claim compares with fits. The error of a rational
    interpolant of the Laplace transform at the mirror images x_i of its poles, each twice (the condition of optimality
    for ∫|e|²), is a mean over the spectral measure divided by B(-x)², B(z) = Π(z-x_i)/(z+x_i). With D modes per unit of
    y = log x the mean of log|B(-x)| is D ∫_R log coth(|u|/2) du = Dπ²/2, so that e is about e^{-π²D} of the part of the
    target at that scale. At the rate e^{-y} the target's part has the norm e^{-ay}: (1+t)^{-p} beyond t = e^y has
    the size t^{1/2-p} in L², t^{1-p} in L¹. All scales cost alike where ay + π²D(y) = aΛ up to the slowest rate e^{-Λ},
    where D vanishes; with more modes at one scale they would be missing at another. So m = ∫_0^Λ a(Λ - y)/π² dy =
    aΛ²/(2π²). The fast scales add O(Λ log Λ). The uniform D of the trapezoidal rule wastes half: `trapezoidal_decay`.
    Raises ValueError where the weight is not positive.
    """
    if sp.sympify(weight).is_positive is False:
        raise ValueError(f"weight: must be positive, got {weight}")
    order = sp.Symbol("k", integer=True, nonnegative=True)
    # log coth(u/2) = 2 Σ e^{-(2k+1)u}/(2k+1)
    damping = 2 * sp.summation(2 / (2 * order + 1) ** 2, (order, 0, sp.oo))
    slowest, scale = sp.symbols("Lambda y", positive=True)
    density = weight * (slowest - scale) / (2 * damping)
    count = sp.integrate(density, (scale, 0, slowest))
    return sp.simplify(slowest / sp.sqrt(count))
