"""Complex eigenvalues λ = -r + iω under perturbation: why a free frequency is never stable, and a tied one is.

For complex λ the normalised integral of the stability definition is

    D = r ∫_0^∞ |e^{λ̃t} - e^{λt}| dt,  r = -Re λ = -f(w).

Normalising by |λ| = √(r² + ω²) instead makes it larger: what fails below fails then too. What holds for a tied
frequency still holds, since |λ| ≤ √(1+T²) r; for a free one above a floor of the rates, while frequencies are bounded.
"""

from __future__ import annotations

import sympy as sp

from theory.notation import beta, r, t

frequency_ratio = sp.Symbol("a", positive=True)
"""a = |ω̃ - ω|/(2r): how far the frequency moves, against the decay rate."""
rate_ratio = sp.Symbol("R", positive=True)
"""R = r̃/r."""
tangent = sp.Symbol("tau", real=True)
"""τ in the tied form λ = -r(1 + iτ)."""


def frequency_shift_integral() -> sp.Expr:
    """Normalised integral when only the frequency moves, by β; a = β/(2r).

    G(a) = r ∫_0^∞ e^{-rt} |e^{iβt} - 1| dt = (2a/(1+a²)) coth(π/(2a)),  a = β/(2r)
    Hypotheses: r > 0, β > 0 (independent of ω).
    Source: derived here. |e^{iβt}-1| = 2|sin(βt/2)| has period P = 2π/β and equals 2 sin(βt/2) on [0, P]. The integral
    over period k is e^{-krP} times the first one, ∫_0^P re^{-rt} 2 sin(βt/2)dt = rβ(1+e^{-rP})/(r²+β²/4); the geometric
    series gives the factor 1/(1-e^{-rP}), and (1+e^{-rP})/(1-e^{-rP}) = coth(rP/2) = coth(π/(2a)).
    Bounds: |e^{iβt}-1| ≤ βt gives G(a) ≤ 2a.
    """
    period = 2 * sp.pi / beta
    first = sp.integrate(r * sp.exp(-r * t) * 2 * sp.sin(beta * t / 2), (t, 0, period))
    total = sp.simplify((first / (1 - sp.exp(-r * period))).subs(beta, 2 * frequency_ratio * r))
    # (1+E)/(1-E) = coth(π/2a) for E = e^{-π/a}; SymPy keeps the quotient of exponentials unless told.
    closed = sp.factor(total.rewrite(sp.exp))
    coth = sp.coth(sp.pi / (2 * frequency_ratio))
    rational = sp.simplify(closed / coth.rewrite(sp.exp))
    return rational * coth


def frequency_shift_limit() -> sp.Expr:
    """What a perturbation of a free frequency costs at long memory, however small it is.

    lim_{r → 0} r ∫_0^∞ e^{-rt} |e^{iβt} - 1| dt = 4/π  for every β > 0
    Source: derived here, from `frequency_shift_integral` with a = β/(2r) → ∞. (4/π is the mean of 2|sin|.)
    Consequence: let λ = -r(w) + iω with ω ∈ R trained freely and inf_w r(w) = 0, as any model of unbounded memory time
    has. Then the sup over w and over perturbations of ω by at most β is at least 4/π for every β > 0, and no
    continuous g with g(0) = 0 bounds it: no reparameterization of r alone is stable. The hypothesis inf r = 0 cannot
    be dropped (`rate_floor_upper`).
    """
    return sp.limit(frequency_shift_integral(), frequency_ratio, sp.oo)


def rate_change_upper() -> sp.Expr:
    """Normalised integral for a tied frequency: λ = -r(1+iτ), τ fixed.

    D ≤ √(1+τ²) |r/r̃ - 1| ≤ √(1+τ²) (e^{ω(β)} - 1),  ω the modulus of continuity of log r(w)
    Hypotheses: r, r̃ > 0; τ real, the same before and after. So f = -r stable ⇒ the tied complex mode is stable.
    Source: derived here. In the time s = rt, D = ∫|e^{-R(1+iτ)s} - e^{-(1+iτ)s}|ds with R = r̃/r. Integrate the
    derivative in R: |∂_R e^{-R(1+iτ)s}| = √(1+τ²) s e^{-Rs}, whose integral over s is √(1+τ²)/R²; and
    ∫_1^R dR'/R'² = 1 - 1/R. The bound is sharp to first order at R = 1, and an equality for τ = 0.
    Returns the bound for R ≥ 1; for R < 1 it is its negative.
    """
    lag, current = sp.Symbol("s", nonnegative=True), sp.Dummy("R", positive=True)
    slope = sp.sqrt(1 + tangent**2) * sp.integrate(lag * sp.exp(-current * lag), (lag, 0, sp.oo))
    return sp.simplify(sp.integrate(slope, (current, 1, rate_ratio)))


def tied_upper(tangent_bound: sp.Expr, modulus: sp.Expr, tangent_change: sp.Expr) -> sp.Expr:
    """Normalised integral for λ = -r(w)(1+iτ) with |τ| ≤ T, when w and τ both move.

    D ≤ √(1+T²) (e^{ω} - 1) + e^{ω} |τ̃ - τ|
    Hypotheses: T ≥ 0, |τ|, |τ̃| ≤ T at all weights (τ = T tanh v, say); |log(r̃/r)| ≤ ω = ω(β).
    Source: derived here: r first, then τ. Moving r costs `rate_change_upper`, where |r/r̃ - 1| ≤ e^ω - 1. Then
    r∫|e^{-r̃(1+iτ̃)t} - e^{-r̃(1+iτ)t}|dt = (r/r̃) ∫e^{-s}|e^{i(τ̃-τ)s} - 1|ds ≤ e^ω |τ̃-τ| (here G(a) ≤ 2a, a = |τ̃-τ|/2).
    It tends to 0 with β, uniformly in w, when f = -r is stable. |τ| bounded is needed: for R ≠ 1 fixed and τ → ∞ the
    phase (R-1)τs turns ever faster, and D tends to `fast_phase_limit`, 4/π as R → 1.
    Raises ValueError if an argument is negative.
    """
    for name, number in (("tangent_bound", tangent_bound), ("modulus", modulus), ("tangent_change", tangent_change)):
        if sp.sympify(number).is_negative:
            raise ValueError(f"{name} must not be negative, not {number}")
    rate_part = sp.sqrt(1 + sp.sympify(tangent_bound) ** 2) * (sp.exp(modulus) - 1)
    return rate_part + sp.exp(modulus) * tangent_change


def fast_phase_limit() -> sp.Expr:
    """Normalised integral of a tied mode whose τ grows without bound, as R = r̃/r → 1.

    lim_{R→1} lim_{τ→∞} ∫_0^∞ |e^{-R(1+iτ)s} - e^{-(1+iτ)s}| ds = 4/π
    Source: derived here. For τ → ∞ the phase (R-1)τs is equidistributed at every scale of s, so the inner limit is
    (1/2π) ∫∫ |e^{-Rs} - e^{iθ}e^{-s}| dθ ds (Riemann-Lebesgue); as R → 1 the integrand tends to e^{-s}·2|sin(θ/2)|,
    whose mean over θ is (4/π)e^{-s}.
    """
    angle, lag = sp.Symbol("theta", real=True), sp.Symbol("s", nonnegative=True)
    mean = sp.integrate(2 * sp.sin(angle / 2), (angle, 0, 2 * sp.pi)) / (2 * sp.pi)
    return mean * sp.integrate(sp.exp(-lag), (lag, 0, sp.oo))


def rate_floor_upper(rate_floor: sp.Expr, frequency_change: sp.Expr) -> sp.Expr:
    """A free frequency costs little where the rates have a floor.

    r ∫_0^∞ e^{-rt} |e^{iδt} - 1| dt ≤ δ/r ≤ δ/r_min,  δ = |ω̃ - ω|
    Hypotheses: r ≥ r_min > 0, δ ≥ 0. So with inf r > 0 (memory times bounded: e.g. r = 1 + e^w) and a stable f = -r a
    free frequency is stable.
    Source: derived here: |e^{iδt} - 1| ≤ δt and ∫re^{-rt}δt dt = δ/r. When r moves as well, r first, the frequency has
    no part in it and the cost is |r/r̃ - 1| ≤ e^{ω(β)} - 1; then ω, for r∫e^{-r̃t}|e^{iδt} - 1|dt ≤ e^{ω(β)} δ/r_min.
    Raises ValueError if the floor is not positive or the change is negative.
    """
    if not sp.sympify(rate_floor).is_positive:
        raise ValueError(f"rate_floor must be positive, not {rate_floor}")
    if sp.sympify(frequency_change).is_negative:
        raise ValueError(f"frequency_change must not be negative, not {frequency_change}")
    bound = sp.integrate(r * sp.exp(-r * t) * beta * t, (t, 0, sp.oo))
    return bound.subs({beta: frequency_change, r: rate_floor})


def log_frequency_ratio(log_frequency: sp.Expr, rate: sp.Expr, radius: sp.Expr) -> sp.Expr:
    """The argument a of G when the frequency is ω = e^v and v moves by β.

    a = |ω̃ - ω|/(2r) = e^v (e^β - 1)/(2r)
    Hypotheses: rate r > 0, radius β > 0.
    Source: derived here. For every β > 0, a → ∞ as r → 0 at fixed v (also when the frequency is capped, ω ≤ π), and as
    v → ∞ at fixed r. So the supremum of G(a) is at least lim G = 4/π (`frequency_shift_limit`): training log ω instead
    of ω does not make the mode stable. ω = r e^v with v bounded does: it is the tied form, τ = e^v.
    Raises ValueError for a rate or radius that is not known to be positive.
    """
    for name, number in (("rate", rate), ("radius", radius)):
        if not sp.sympify(number).is_positive:
            raise ValueError(f"{name} must be positive, not {number}")
    return sp.simplify((sp.exp(log_frequency + radius) - sp.exp(log_frequency)) / (2 * rate))


def independent_phases_mean() -> sp.Expr:
    """The mean distance of two cosines whose phases have nothing to do with each other.

    lim_{r → 0} r ∫_0^∞ e^{-rt} |cos ωt - cos ω̃t| dt = 8/π²  for ω, ω̃ > 0 with ω̃/ω irrational;  ≥ 8/π² for all ω̃ ≠ ω
    Hypotheses: ω, ω̃ > 0, ω̃ ≠ ω.
    Source: derived here. |cos ωt - cos ω̃t| = 2|sin at||sin bt|, a = (ω̃+ω)/2, b = (ω̃-ω)/2. With
    |sin x| = 2/π - (4/π) Σ_{k≥1} cos(2kx)/(4k²-1), an absolutely convergent series, the product is a series of cosines
    whose means r∫e^{-rt} cos(νt) dt = r²/(r²+ν²) tend to 0 unless ν = 0; so the limit is its constant part. That is
    2(2/π)², and for each k, l ≥ 1 with ka = lb, which makes ω̃/ω rational, (4/π)²/((4k²-1)(4l²-1)) > 0 more.
    Returns the double mean (1/π²)∫∫ 2 sin x sin y dx dy over [0, π]².
    """
    x, y = sp.symbols("x y", real=True)
    return sp.integrate(2 * sp.sin(x) * sp.sin(y), (x, 0, sp.pi), (y, 0, sp.pi)) / sp.pi**2


def abel_mean_of_cosine(frequency: sp.Expr) -> sp.Expr:
    """The weighted mean of a cosine over the lifetime 1/r of a mode.

    r ∫_0^∞ e^{-rt} cos(νt) dt = r²/(r² + ν²):  1 at ν = 0, and → 0 as r → 0 for every other ν
    Hypotheses: r > 0, ν real. Source: derived here, by integration.
    Raises ValueError unless the frequency is known to be real.
    """
    value = sp.sympify(frequency)
    if not value.is_real:
        raise ValueError(f"frequency must be real, not {frequency}")
    return sp.simplify(sp.integrate(r * sp.exp(-r * t) * sp.cos(value * t), (t, 0, sp.oo)))


def free_frequency_jump(frequency: sp.Expr) -> sp.Expr:
    """How far E(β) jumps at β = 0 when the frequency of a slow mode is free, at the least.

    liminf_{r → 0} sup_{|δ| ≤ β} ‖r e^{-rt}(cos((ω+δ)t) - cos ωt)‖_{W^{1,∞}} ≥ (8/π²)(1 + ω)  for every β > 0
    Hypotheses: ω > 0; the kernel r e^{-rt} cos ωt is one complex mode with 2|c u| = r, so that 2|c u|/r = 1 is bounded.
    Source: derived here. Take δ ∈ (0, β]. The L¹ norm tends to at least 8/π² (`independent_phases_mean`). The values
    at 0 are equal. Up to O(r) the slope is -r e^{-rt}(ω̃ sin ω̃t - ω sin ωt); for ω̃/ω irrational its L¹ norm tends to
    F(ω̃) = mean |ω sin x - ω̃ sin y| over independent phases (Weyl), convex and even in ω̃, hence increasing on ω̃ ≥
    0, so at least F(ω) = ω·8/π². A δ with ω̃/ω irrational exists in (0, β].
    Raises ValueError unless the frequency is known to be positive.
    """
    value = sp.sympify(frequency)
    if not value.is_positive:
        raise ValueError(f"frequency must be positive, not {frequency}")
    return independent_phases_mean() * (1 + value)


def moved_rate_upper(growth: sp.Expr, rate: sp.Expr, frequency: sp.Expr) -> sp.Expr:
    """What moving r alone costs a complex mode of the kernel r e^{-rt} cos ωt: little.

    ‖Re r(e^{(-r̃+iω)t} - e^{(-r+iω)t})‖_{W^{1,∞}} ≤ g (1 + r + |λ|),  |λ| = √(r²+ω²),  |r/r̃ - 1| ≤ g
    Hypotheses: r, r̃ > 0 with |r/r̃ - 1| ≤ g; ω real.
    Source: derived here. r∫|e^{-r̃t} - e^{-rt}|dt = |r/r̃ - 1| ≤ g, the values at 0 are equal, and the slope λ̃e^{λ̃t}
    - λe^{λt} = (λ̃-λ)e^{λ̃t} + λ(e^{λ̃t} - e^{λt}), |λ̃-λ| = |r̃-r|, costs r(|r̃-r|/r̃ + |λ||1/r̃ - 1/r|) ≤ g(r +
    |λ|).
    Raises ValueError if the growth is negative or the rate is not positive.
    """
    if sp.sympify(growth).is_negative:
        raise ValueError(f"growth must not be negative, not {growth}")
    if not sp.sympify(rate).is_positive:
        raise ValueError(f"rate must be positive, not {rate}")
    return growth * (1 + rate + sp.sqrt(rate**2 + sp.sympify(frequency) ** 2))
