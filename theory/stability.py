"""Definition 3.4: the integral, the least g, the characterization of stable reparameterizations, the named ones.

Write L = log|f| and ω(β) = sup{ |L(w̃)-L(w)| : |w̃-w| ≤ β }, its modulus of continuity.
"""

from __future__ import annotations

import sympy as sp

from theory.notation import a, b, beta, n, t, w

OMEGA = sp.Symbol("omega", nonnegative=True)
"""A value ω(β) of the modulus of continuity of log|f|."""
BOUND = sp.Symbol("g", nonnegative=True)
"""A value g(β) of a function admitted by Definition 3.4."""


def difference_integral(lam: sp.Expr, lam_tilde: sp.Expr) -> sp.Expr:
    """How far apart two decaying modes are.

    ∫_0^∞ |e^{λ̃t} - e^{λt}| dt = |1/λ̃ - 1/λ|
    Hypotheses: λ < 0 and λ̃ < 0, by SymPy's assumptions.
    Source: derived here. Call the slower rate r > 0 and the faster one r + δ, δ ≥ 0. The integrand
    e^{-rt} - e^{-(r+δ)t} = e^{-rt}(1 - e^{-δt}) is ≥ 0 at every t, so the absolute value can be dropped and the
    integral is 1/r - 1/(r+δ). In either order of λ and λ̃ this is |1/λ̃ - 1/λ|.
    Raises ValueError where λ or λ̃ is not known to be negative: see `divergence_at_boundary`.
    """
    for name, value in (("lam", lam), ("lam_tilde", lam_tilde)):
        if not sp.sympify(value).is_negative:
            raise ValueError(f"{name}: {value} is not known to be negative")
    rate, gap = sp.symbols("r delta", positive=True)
    integrand = sp.exp(-rate * t) * (1 - sp.exp(-gap * t))
    # the sign: the second factor starts at 0 and its derivative in t is positive
    if not sp.diff(1 - sp.exp(-gap * t), t).is_positive:
        raise ArithmeticError("the integrand's sign was not established")
    value = sp.simplify(sp.integrate(sp.expand(integrand), (t, 0, sp.oo)))
    difference = 1 / sp.sympify(lam_tilde) - 1 / sp.sympify(lam)
    slow, fast = sp.symbols("lambda_slow lambda_fast", negative=True)
    general = value.subs(gap, slow - fast).subs(rate, -slow)
    if sp.simplify(general - (1 / fast - 1 / slow)) != 0:
        raise ArithmeticError(f"the integral {value} is not a difference of reciprocals")
    return sp.Abs(difference)


def divergence_at_boundary(lam: sp.Expr, lam_tilde: sp.Expr) -> sp.Expr:
    """The integral of Definition 3.4 where a mode does not decay: lim_{T→∞} ∫_0^T |e^{λ̃t} - e^{λt}| dt = ∞.

    Hypotheses: λ ≠ λ̃, numbers or symbols, and at least one of them is ≥ 0.
    Source: derived here. Let μ > ν be the two. The integrand e^{μt}(1 - e^{-(μ-ν)t}) is ≥ 0 and, as μ ≥ 0, at least
    1 - e^{-(μ-ν)t}, which tends to 1; the integral of that lower bound is ∞.
    Raises ValueError where a hypothesis fails.
    """
    larger, smaller = sp.Max(lam, lam_tilde), sp.Min(lam, lam_tilde)
    if larger.is_nonnegative is not True:
        raise ValueError(f"lam, lam_tilde: {lam}, {lam_tilde}: neither is >= 0")
    if (larger - smaller).is_positive is not True:
        raise ValueError(f"lam, lam_tilde: {lam} and {lam_tilde} are equal")
    horizon = sp.Symbol("T", positive=True)
    partial_lower = sp.integrate(1 - sp.exp(-(larger - smaller) * t), (t, 0, horizon))
    return sp.limit(partial_lower, horizon, sp.oo)


def criterion(f: sp.Expr, f_tilde: sp.Expr) -> sp.Expr:
    """The quantity that Definition 3.4 bounds, in closed form.

    |f(w)| ∫_0^∞ |e^{f(w̃)t} - e^{f(w)t}| dt = |f(w)/f(w̃) - 1|
    Hypotheses: f(w) < 0 and f(w̃) < 0, by SymPy's assumptions.
    Source: derived here, from `difference_integral`. Raises ValueError where a sign is not known.
    """
    return sp.simplify(sp.Abs(f) * difference_integral(f, f_tilde))


def least_g(modulus: sp.Expr = OMEGA) -> sp.Expr:
    """The least g that Definition 3.4 admits, from the modulus of continuity ω of log|f|.

    g*(β) = sup_{|w̃-w| ≤ β} |f(w)/f(w̃) - 1| = e^{ω(β)} - 1
    Hypotheses: f < 0 on R. No continuity of f is assumed.
    Source: derived here. With L = log|f|, |f(w)/f(w̃) - 1| = |e^x - 1|, x = L(w) - L(w̃). The pairs (w, w̃) and (w̃, w)
    are both admitted and give x and -x. For x ≥ 0 the first is larger: (e^x - 1) - (1 - e^{-x}) = (e^{x/2} - e^{-x/2})²
    ≥ 0. As e^x - 1 increases continuously in x, its supremum over the pairs is e^{sup x} - 1.
    """
    x = sp.Symbol("x", nonnegative=True)
    advantage = (sp.exp(x) - 1) - (1 - sp.exp(-x))
    square = (sp.exp(x / 2) - sp.exp(-x / 2)) ** 2
    if sp.expand(advantage - square) != 0:
        raise ArithmeticError("the swapped pair was not shown to be smaller")
    return (sp.exp(x) - 1).subs(x, modulus)


def modulus_from_g(g: sp.Expr = BOUND) -> sp.Expr:
    """What stability forces upon log|f|: ω(β) ≤ log(1 + g(β)).

    Hypotheses: f < 0 on R satisfies Definition 3.4 with g.
    Source: derived here: e^{ω(β)} - 1 = g*(β) ≤ g(β) by `least_g`; solved for ω.
    """
    (solution,) = sp.solve(sp.Eq(least_g(OMEGA), BOUND), OMEGA)
    return solution.subs(BOUND, g)


def modulus_splitting() -> tuple[sp.Expr, sp.Expr]:
    """ω is subadditive on R, hence finite and continuous everywhere once it tends to 0 at 0.

    ω(β₁+β₂) ≤ ω(β₁) + ω(β₂); returned are the two steps of the splitting, δβ₁/(β₁+β₂) and δβ₂/(β₁+β₂).
    Hypotheses: log|f| is defined on all of R (on R without an interval, subadditivity fails).
    Source: derived here. Let |δ| ≤ β₁+β₂. The two steps add up to δ and are at most β₁ and β₂ in size, and the point
    between them lies in R, so |L(w+δ)-L(w)| ≤ ω(β₁) + ω(β₂). Hence ω(kβ) ≤ kω(β): finite near 0 means finite
    everywhere. And 0 ≤ ω(β+h) - ω(β) ≤ ω(h): where ω(h) → 0 as h → 0, ω is uniformly continuous. Therefore, if log|f|
    is uniformly continuous, e^ω - 1 is a continuous function that vanishes at 0, as Definition 3.4 asks.
    """
    first, second = sp.symbols("beta_1 beta_2", positive=True)
    delta = sp.Symbol("delta", real=True)
    steps = (delta * first / (first + second), delta * second / (first + second))
    if sp.simplify(sum(steps) - delta) != 0:
        raise ArithmeticError("the two steps do not add up")
    return steps


def characterization() -> tuple[sp.Expr, sp.Expr]:
    """The characterization: f is stable ⇔ f is constant, or f < 0 and log|f| is uniformly continuous on R.

    Returned are the g that is sufficient, e^ω - 1, and the bound on ω that is necessary, log(1 + g).
    Hypotheses: f: R → R, nothing else; a stable f that is not constant turns out to be continuous. g is finite.
    Source: derived here.
    (⇐) f constant: w̃ changes nothing, the integral is 0, g = 0 serves. f < 0 with L = log|f| uniformly continuous:
    ω(β) → 0 as β → 0, so by `modulus_splitting` ω is finite and continuous, and by `least_g` g = e^ω - 1 serves.
    (⇒) Let f be stable, not constant. Suppose f(w₀) ≥ 0, and choose w₁ with f(w₁) ≠ f(w₀), β = |w₁ - w₀|. By
    `divergence_at_boundary` the integral of this pair is ∞ (in either order). One of f(w₀), f(w₁) is not 0, since they
    differ; taking that weight as w, the factor |f(w)| is positive and g(β) = ∞, which is excluded. (So the value
    of 0·∞ never matters.) Hence f < 0, and ω ≤ log(1 + g) → 0 by `modulus_from_g`: L is uniformly continuous.
    """
    return least_g(OMEGA), modulus_from_g(BOUND)


def _is_negative_after_zero(k: sp.Expr, u: sp.Symbol) -> bool:
    """k < 0 for all u > 0, because k(0+) ≤ 0 and k' < 0."""
    slope = sp.simplify(sp.diff(k, u))
    return bool(sp.limit(k, u, 0, "+") <= 0 and slope.is_negative)


def _never_increases(h: sp.Expr, u: sp.Symbol) -> bool:
    """h' ≤ 0 for all u > 0: seen at once, or because its numerator is negative over a denominator ≥ 0."""
    slope = sp.simplify(sp.diff(h, u))
    if slope.is_nonpositive:
        return True
    numerator, denominator = sp.fraction(sp.together(slope))
    return bool(denominator.is_nonnegative and _is_negative_after_zero(sp.expand(numerator), u))


def least_g_at_tail(distance: sp.Expr) -> sp.Expr:
    """g* where the log of the distance to the boundary is increasing and concave: it is attained at w → -∞.

    g*(β) = lim_{w→-∞} D(w+β)/D(w) - 1,   D = |f| (discrete time, f ≥ 0: D = 1 - f)
    The same for a D whose mirror image D(-w), with the same g*, is like that.
    Hypotheses: D > 0; (log D)' is ≥ 0 and, as a function of u = e^w > 0, does not increase.
    Source: derived here. For w̃ = w + δ, 0 ≤ δ ≤ β, log D(w+δ) - log D(w) is ≥ 0, at most its value at δ = β, and its
    derivative in w, (log D)'(w+δ) - (log D)'(w), is ≤ 0: the supremum over w is the limit at -∞. The hypotheses are
    checked: h(u) = (log D)'(log u) has h' ≤ 0 directly, or because the numerator k of h' has k(0+) ≤ 0 and k' < 0; and
    h ≥ 0 since it falls to a limit ≥ 0 as u → ∞. exp: h = 1; sigmoid: 1/(1+u); softplus: u/((1+u)log(1+u)).
    Raises ValueError where a hypothesis is not established.
    """
    u = sp.Symbol("u", positive=True)
    for mirrored in (distance, distance.subs(w, -w)):
        rate = sp.simplify(sp.diff(sp.log(mirrored), w).subs(w, sp.log(u)))
        if _never_increases(rate, u) and sp.limit(rate, u, sp.oo).is_nonnegative:
            # log(u) + β is the logarithm of u e^β
            growth = mirrored.subs(w, sp.log(u * sp.exp(beta))) / mirrored.subs(w, sp.log(u))
            return sp.simplify(sp.limit(growth, u, 0, "+") - 1)
    raise ValueError(f"distance: log D was not shown to be monotone and concave for D = {distance}")


def growth_maximiser(memory_time: sp.Expr) -> sp.Expr:
    """Where τ(w+β)/τ(w) is largest on w ≥ 0, for a τ = 1/|f| that is even and increasing in |w|.

    The root of d/dw [τ(w+β)/τ(w)] = 0 in w > 0, or 0 where there is none.
    Hypotheses: τ is a rational function of |w|, even, positive, increasing for w > 0; the equation has at most one
    positive root. For best it is w* = (√(β²+4b/a) - β)/2.
    Source: derived here: the derivative is continuous in w, a, b, β and vanishes at the root alone, so on either side
    its sign is that at a sample point: it must be + before the root and - after it.
    Raises ValueError where a hypothesis is not established.
    """
    x = sp.Symbol("x", positive=True)
    inside = memory_time.subs(w, x)
    if sp.simplify(memory_time.subs(w, -x) - inside) != 0:
        raise ValueError(f"memory_time: {memory_time} is not even")
    if not sp.simplify(sp.diff(inside, x)).is_positive:
        raise ValueError(f"memory_time: {memory_time} was not shown to increase for w > 0")
    slope = sp.numer(sp.together(sp.diff(inside.subs(x, x + beta) / inside, x)))
    signs = {a: 2, b: 3, beta: 1}
    roots = [root for root in sp.solve(slope, x) if sp.N(root.subs(signs)) > 0]
    if len(roots) > 1:
        raise ValueError(f"memory_time: several critical points for {memory_time}")
    if not roots:
        if sp.factor(slope).is_negative is not True:
            raise ValueError(f"memory_time: the growth of {memory_time} was not shown to fall")
        return sp.Integer(0)
    (root,) = roots
    if not (slope.subs(x, root / 2).subs(signs) > 0 and slope.subs(x, 2 * root).subs(signs) < 0):
        raise ValueError(f"memory_time: the critical point of {memory_time} is not a maximum")
    return sp.simplify(root)


def least_g_even(memory_time: sp.Expr) -> sp.Expr:
    """g* for f = -1/τ with τ even and increasing in |w|: attained at a finite w.

    g*(β) = max_{w≥0} τ(w+β)/τ(w) - 1
    best, τ = aw²+b: g* = β(β+√(β²+4b/a))·a/(2b); reciprocal, τ = a|w|+b: g* = aβ/b.
    Hypotheses: those of `growth_maximiser`.
    Source: derived here. f(w)/f(w̃) = τ(w̃)/τ(w), and |w̃| ≤ |w|+β, so τ(w̃) ≤ τ(|w|+β): w ≥ 0, w̃ = w+β are the worst
    pairs. Where the ratio R(w) = τ(w+β)/τ(w) has R' = 0, τ'(w+β)τ(w) = τ(w+β)τ'(w), so R = τ'(w+β)/τ'(w). For best,
    R - 1 = aβ(2w+β)/(aw²+b) and R' has the sign of b/a - βw - w², positive before w* and negative after it; the maximum
    is R(w*) - 1 = (w*+β)/w* - 1 = β/w*, which is the value above.
    Raises ValueError where a hypothesis is not established.
    """
    x = growth_maximiser(memory_time)
    if x == 0:
        growth = memory_time.subs(w, beta) / memory_time.subs(w, 0)
    else:
        rate = sp.diff(memory_time, w)
        growth = rate.subs(w, x + beta) / rate.subs(w, x)
    return sp.factor(sp.radsimp(sp.simplify(growth - 1)))


def power_modulus(p: sp.Expr) -> sp.Expr:
    """The modulus of continuity of log|f| for f(w) = -exp(|w|^p), 0 < p ≤ 1.

    ω(β) = β^p,  so g*(β) = exp(β^p) - 1
    For p < 1 the derivative p w^{p-1} is unbounded at 0: f is stable though log|f| is not Lipschitz.
    Hypotheses: p is a number, 0 < p ≤ 1. (For p > 1, (w+β)^p - w^p → ∞ as w → ∞: ω is infinite, f is not stable.)
    Source: derived here. For w, β ≥ 0 the derivative in w of (w+β)^p - w^p is p(w+β)^{p-1} - pw^{p-1} ≤ 0, so its
    largest value is β^p, at w = 0. For any w, w̃, ||w̃|^p - |w|^p| ≤ ||w̃|-|w||^p ≤ |w̃-w|^p.
    Raises ValueError where the hypothesis fails.
    """
    p = sp.sympify(p)
    if not (p.is_positive and (1 - p).is_nonnegative):
        raise ValueError(f"p: {p} does not lie in (0, 1]")
    # x ↦ x^{p-1} does not increase: its derivative is (p-1) x^{p-2}
    x = sp.Symbol("x", positive=True)
    if not sp.diff(x ** (p - 1), x).is_nonpositive:
        raise ArithmeticError(f"the power {p} - 1 was not shown to decrease")
    increment = (w + beta) ** p - w**p
    return increment.subs(w, 0)


def log_lipschitz_constant(memory_time: sp.Expr) -> sp.Expr:
    """The Lipschitz constant of log|f| for f = -1/τ, τ even: sup_{w>0} τ'/τ.

    best, τ = aw²+b: sup 2a|w|/(aw²+b) = √(a/b), attained at w = √(b/a); it is also ω'(0+).
    Hypotheses: τ is a rational function for w > 0, positive there and at 0; τ'/τ has at most one critical point.
    Source: derived here: the supremum of a smooth function on (0, ∞) is a critical value or a limit at an end.
    Raises ValueError where τ vanishes at 0 or the supremum is infinite.
    """
    x = sp.Symbol("x", positive=True)
    inside = memory_time.subs(w, x)
    if not inside.subs(x, 0).is_positive:
        raise ValueError(f"memory_time: {memory_time} is not positive at w = 0")
    rate = sp.diff(sp.log(inside), x)
    candidates = [rate.subs(x, root) for root in sp.solve(sp.numer(sp.together(sp.diff(rate, x))), x)]
    candidates += [sp.limit(rate, x, 0, "+"), sp.limit(rate, x, sp.oo)]
    values = {sp.simplify(c) for c in candidates}
    largest = sp.simplify(sp.Max(*values))
    if largest is sp.oo:
        raise ValueError(f"memory_time: log of {memory_time} is not Lipschitz")
    return largest


def pair_limits(f: sp.Expr, w_n: sp.Expr, w_tilde_n: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """What a sequence of pairs shows about f: (lim |w̃_n - w_n|, lim f(w̃_n)/f(w_n)) as n → ∞.

    A first limit of 0 and a second one that is not 1 refute the stability of f: log|f| is not uniformly continuous.
    `best` with b = 0, f = -1/(aw²): w_n = 1/n, w̃_n = 2/n gives (0, 1/4); swapped, (0, 4). direct, f = w on w < 0:
    w_n = -1/n, w̃_n = -2/n gives (0, 2).
    Hypotheses: w_n, w̃_n are formulas in n. Source: derived here, from `characterization`.
    """
    index = sp.Symbol("n", positive=True)
    first, second = w_n.subs(n, index), w_tilde_n.subs(n, index)
    gap = sp.limit(sp.Abs(second - first), index, sp.oo)
    ratio = sp.limit(sp.simplify(f.subs(w, second) / f.subs(w, first)), index, sp.oo)
    return gap, ratio


def bounded_oscillation() -> tuple[sp.Expr, sp.Expr, sp.Expr, sp.Expr]:
    """A bounded f, away from 0, that is not stable: f(w) = -(2 + sin w²) has g*(β) = 2 for every β > 0.

    Returned: f, w_n, w̃_n, and g* = max|f|/min|f| - 1.
    Source: derived here. 1 ≤ |f| ≤ 3, so |f(w)/f(w̃) - 1| ≤ 2. With w_n = √(2πn - π/2), w̃_n = √(2πn + π/2) the sine is
    -1 and +1, so the ratio is 3 at every n, while w̃_n - w_n = π/(w̃_n + w_n) → 0: for every β > 0 some pair lies
    within β. So g* jumps from g*(0) = 0 to 2, and no continuous g with g(0) = 0 exists. log|f| is bounded, its
    oscillation faster and faster.
    """
    f = -(2 + sp.sin(w**2))
    low, high = sp.sqrt(2 * sp.pi * n - sp.pi / 2), sp.sqrt(2 * sp.pi * n + sp.pi / 2)
    largest, smallest = sp.Abs(f.subs(w, high)), sp.Abs(f.subs(w, low))
    if sp.simplify(largest) != 3 or sp.simplify(smallest) != 1:
        raise ArithmeticError("the extreme values of 2 + sin were not attained")
    return f, low, high, sp.simplify(largest / smallest - 1)
