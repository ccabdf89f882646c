"""Stable reparameterizations in discrete time: h_{k+1} = λ h_k + …, λ = f(w), boundary |λ| = 1.

Definition (Definition 3.4 with sums in place of integrals): f is stable if a continuous g: [0,∞) → [0,∞), g(0) = 0,
exists with

    sup_w |1-|f(w)|| · sup_{|w̃-w| ≤ β} Σ_{k≥0} |f(w̃)^k - f(w)^k| ≤ g(β),     0·∞ = ∞.

The factor needs its absolute value: with 1-|f(w)| as it stands, every f with |f| > 1 would pass, its left-hand side
being negative.
"""

from __future__ import annotations

import sympy as sp

from theory.notation import a, b, beta, w
from theory.reparameterization import symbolic_formula
from theory.stability import BOUND, OMEGA, least_g, least_g_at_tail, least_g_even, modulus_from_g

P = sp.Symbol("p", nonnegative=True)
"""The larger modulus, max(|λ|, |λ̃|) < 1."""
Q = sp.Symbol("q", nonnegative=True)
"""The smaller modulus, min(|λ|, |λ̃|)."""


def _geometric(ratio: sp.Expr) -> sp.Expr:
    """Σ_{k≥0} ratio^k, from the branch of SymPy's sum that converges."""
    k = sp.Symbol("k", integer=True, nonnegative=True)
    base = sp.Symbol("x", nonnegative=True)
    total = sp.summation(base**k, (k, 0, sp.oo))
    ((value, condition), *_) = total.args
    if condition != (base < 1):
        raise ArithmeticError(f"the geometric series has an unexpected form: {total}")
    return value.subs(base, ratio)


def same_sign_sum() -> sp.Expr:
    """Σ_{k≥0} |λ̃^k - λ^k| for λλ̃ ≥ 0, in p = max(|λ|, |λ̃|) ≥ q = min(|λ|, |λ̃|).

    Σ = 1/(1-p) - 1/(1-q)
    Hypotheses: p < 1. Source: derived here: |λ̃^k - λ^k| = p^k - q^k for every k, two geometric series.
    """
    return _geometric(P) - _geometric(Q)


def opposite_sign_sum() -> sp.Expr:
    """Σ_{k≥0} |λ̃^k - λ^k| for λλ̃ ≤ 0, in p = max(|λ|, |λ̃|) ≥ q = min(|λ|, |λ̃|).

    Σ = 1/(1-p) - 1/(1+q) = (p+q)/((1-p)(1+q))
    Hypotheses: p < 1. Source: derived here. For even k the two powers are both positive and differ by p^k - q^k; for
    odd k they have opposite signs and differ by p^k + q^k. The even k sum to 1/(1-p²) - 1/(1-q²), the odd ones to
    p/(1-p²) + q/(1-q²); together (1+p)/(1-p²) - (1-q)/(1-q²).
    """
    even = _geometric(P**2) - _geometric(Q**2)
    odd = P * _geometric(P**2) + Q * _geometric(Q**2)
    return sp.factor(sp.simplify(even + odd))


def difference_sum(lam: sp.Expr, lam_tilde: sp.Expr) -> sp.Expr:
    """How far apart two decaying discrete modes are, of any signs.

    Σ_{k≥0} |λ̃^k - λ^k| = |1/(1-sλ̃) - 1/(1-sλ)|,   s = the sign of the one that is larger in modulus
    Hypotheses: λ, λ̃ are real numbers of modulus < 1.
    Source: derived here, `same_sign_sum` and `opposite_sign_sum` in one formula: with |λ| = p, sλ = p; sλ̃ is q or -q.
    Raises ValueError where a hypothesis fails.
    """
    values = {"lam": sp.sympify(lam), "lam_tilde": sp.sympify(lam_tilde)}
    for name, value in values.items():
        if (sp.Abs(value) < 1) != sp.true:
            raise ValueError(f"{name}: |{value}| < 1 is not known")
    first, second = values.values()
    larger, smaller = max(abs(first), abs(second)), min(abs(first), abs(second))
    total = same_sign_sum() if first * second >= 0 else opposite_sign_sum()
    return sp.simplify(total.subs({P: larger, Q: smaller}))


def criterion(lam: sp.Expr, lam_tilde: sp.Expr) -> sp.Expr:
    """The quantity that the discrete definition bounds: (1-|λ|) Σ_k |λ̃^k - λ^k|.

    Same sign: |(1-|λ|)/(1-|λ̃|) - 1|. Opposite signs: (|λ|+|λ̃|)/(1+|λ̃|) where |λ̃| ≤ |λ|, and
    (1-|λ|)(|λ|+|λ̃|)/((1-|λ̃|)(1+|λ|)) where |λ| ≤ |λ̃|.
    Hypotheses and errors: as `difference_sum`. Source: derived here, from it.
    """
    return sp.simplify((1 - sp.Abs(lam)) * difference_sum(lam, lam_tilde))


def opposite_sign_criterion(larger_is_weight: bool) -> sp.Expr:
    """The quantity that the discrete definition bounds, for eigenvalues of opposite signs.

    (1-|λ|) Σ_k |λ̃^k - λ^k| = (p+q)/(1+q) where |λ| = p (`larger_is_weight`), (1-q)(p+q)/((1-p)(1+q)) where |λ| = q,
    with p ≥ q the two moduli.
    Hypotheses: λλ̃ ≤ 0, p < 1. Source: derived here: `opposite_sign_sum` times 1-p or 1-q. Both tend to 0 as p, q → 0.
    """
    return sp.factor((1 - (P if larger_is_weight else Q)) * opposite_sign_sum())


def least_g_bounds() -> tuple[sp.Expr, sp.Expr]:
    """The least g in discrete time between two moduli of continuity.

    e^{ω_M(β)} - 1 ≤ g*(β) ≤ e^{max(ω_u(β), ω_v(β))} - 1,   M = log(1-|f|), u = log(1-f), v = log(1+f)
    Where f ≥ 0 everywhere both ends are e^{ω_u} - 1. Returned: the two sides as functions of ω_M and of the maximum.
    Hypotheses: |f| < 1 on R. No continuity is assumed.
    Source: derived here. Lower: |λ̃^k - λ^k| ≥ ||λ̃|^k - |λ|^k|, so the sum is at least |1/(1-|λ̃|) - 1/(1-|λ|)| and the
    normalised sum at least |e^{M(w)-M(w̃)} - 1|; its supremum over the pairs is e^{ω_M} - 1 as in continuous time.
    Upper: let s be the sign of the larger of λ, λ̃. By `difference_sum`, and 1-|λ| ≤ 1-sλ, the normalised sum is at most
    |(1-sλ)/(1-sλ̃) - 1|, which is |e^x - 1| with x = u(w)-u(w̃) for s = 1, v(w)-v(w̃) for s = -1.
    """
    lower = sp.Symbol("omega_M", nonnegative=True)
    # lower: signs only add 1/(1-q) - 1/(1+q) = 2q/(1-q²); upper, opposite signs: sλ = p, sλ̃ = -q, or the reverse
    gaps = (
        opposite_sign_sum() - same_sign_sum() - 2 * Q / (1 - Q**2),
        opposite_sign_criterion(True) - (1 - (1 - P) / (1 + Q)),
        opposite_sign_criterion(False) * (1 + Q) / (1 - Q) - ((1 + Q) / (1 - P) - 1),
    )
    if any(sp.simplify(gap) != 0 for gap in gaps):
        raise ArithmeticError("the two bounds were not established")
    return least_g(lower), least_g(OMEGA)


def characterization() -> tuple[sp.Expr, sp.Expr]:
    """f is stable ⇔ f is constant, or |f| < 1 and both log(1-f) and log(1+f) are uniformly continuous on R.

    For continuous f the last condition is the same as: log(1-|f|) is uniformly continuous. Without continuity that is
    not enough: f(w) = ½ sign(w), f(0) = ½, has constant |f|, and g*(β) ≥ ⅔ for every β > 0.
    Returned: the g that is sufficient, e^{max(ω_u, ω_v)} - 1, and the necessary bound ω_M ≤ log(1 + g).
    Hypotheses: f: R → R, nothing else; a stable f that is not constant is continuous.
    Source: derived here.
    (⇐) f constant: the sum is 0. Otherwise `least_g_bounds`: max(ω_u, ω_v) is finite, continuous and 0 at 0, as in
    continuous time.
    (⇒) Let f be stable, not constant. Suppose |f(w₀)| ≥ 1, and choose w₁ with f(w₁) ≠ f(w₀). The terms of this pair's
    sum do not tend to 0 (the larger modulus is ≥ 1; where the moduli agree, the odd terms are 2|λ|^k), so it is ∞. The
    factor |1-|f|| is positive at w₀ or w₁, or 0·∞ = ∞ (values ±1): g(|w₁-w₀|) = ∞, which is excluded. Hence |f| < 1,
    and ω_M ≤ log(1 + g) by `least_g_bounds`. For u and v let g(β) ≤ ¼. Two values of the same sign: |u(w)-u(w̃)| ≤
    |M(w)-M(w̃)|, with equality where f ≥ 0, and because |d log(1+x)| ≤ |d log(1-x)| for 0 ≤ x < 1 where f ≤ 0; the same
    for v. Opposite signs: by `opposite_sign_criterion` (p+q)/(1+q) ≤ g(β), so p+q ≤ 2g(β) ≤ ½, and |u(w)-u(w̃)| ≤
    |log(1-p)| + |log(1-q)| ≤ 2(p+q) ≤ 4g(β); the same for v. So ω_u, ω_v ≤ max(log(1+g), 4g) → 0. In particular
    f = 1 - e^u is continuous.
    Continuous f with log(1-|f|) uniformly continuous: u = M where f ≥ 0, and u = log(2 - e^M), 1-Lipschitz in M ≤ 0,
    where f ≤ 0; between two points where f has opposite signs it vanishes, M = u = v = 0 there, so ω_u, ω_v ≤ 2ω_M.
    """
    largest = sp.Symbol("omega_uv", nonnegative=True)
    return least_g_bounds()[1].subs(OMEGA, largest), modulus_from_g(BOUND)


def sign_jump() -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """The f that shows why continuity matters: f = ½ for w ≥ 0, -½ for w < 0.

    Returned: its two values and the normalised sum (p+q)/(1+q) = 2/3 of any pair across the jump, for every β > 0,
    although log(1-|f|) is constant. Source: derived here, from `opposite_sign_criterion`.
    """
    half = sp.Rational(1, 2)
    return half, -half, criterion(half, -half)


def least_g_named(name: str) -> sp.Expr:
    """The least g of a named discrete reparameterization.

    exp, softplus, sigmoid (0 < f < 1): e^β - 1, attained at an end of the line; tanh: e^{2β} - 1.
    best with b ≥ 1 and reciprocal with b ≥ 1 (0 ≤ f < 1): 1 - f = 1/τ as in continuous time, hence the same g*.
    Hypotheses: b ≥ 1 for best and reciprocal (for ½ < b < 1 f changes sign: `best_modulus_upper`).
    Source: derived here. f ≥ 0: `least_g_bounds` is an equality, with D = 1 - f in `least_g_at_tail` or `least_g_even`.
    tanh: log(1 ∓ tanh w) = log 2 - log(1 + e^{±2w}) are mirror images, ω_u = ω_v. For ω_u, D(w) = 1 - tanh(w), scaled
    by 2: log D(-w/2) = log 2 - log(1+e^{-w}) is increasing and concave: ω_u(β) = 2β. As M = u for w ≥ 0 and the
    supremum is the limit w → ∞, ω_M(β) = 2β too, and the two bounds meet.
    Raises ValueError for direct and relu, which reach the boundary, and for an unknown name.
    """
    if name in ("exp", "softplus", "sigmoid"):
        return least_g_at_tail(1 - symbolic_formula(name, "discrete"))
    if name in ("best", "reciprocal"):
        return least_g_even(1 / (1 - symbolic_formula(name, "discrete")))
    if name == "tanh":
        halved = (1 - symbolic_formula(name, "discrete")).subs(w, w / 2).rewrite(sp.exp)
        return least_g_at_tail(sp.simplify(halved)).subs(beta, 2 * beta)
    raise ValueError(f"name: {name!r} has no least g in discrete time")


def best_boundary() -> sp.Expr:
    """The b at which discrete best reaches the boundary: f(0) = 1 - 1/b = -1, b = 1/2.

    |1 - 1/τ| < 1 ⇔ τ > 1/2, and τ = aw²+b ≥ b, attained at w = 0: |f| < 1 everywhere ⇔ b > 1/2; f ≥ 0 ⇔ b ≥ 1.
    Source: derived here.
    """
    (root,) = sp.solve(sp.Eq(symbolic_formula("best", "discrete").subs(w, 0), -1), b)
    return root


def best_modulus_upper() -> sp.Expr:
    """A Lipschitz constant of both log(1-f) and log(1+f) for discrete best with b > 1/2.

    K = max( √(a/b), √(a/(4b-2))/b ),  so g*(β) ≤ e^{Kβ} - 1
    Hypotheses: a > 0, b > 1/2. Source: derived here. With τ = aw²+b: u = log(1-f) = -log τ has |u'| = 2a|w|/τ ≤ √(a/b).
    v = log(1+f) = log(2τ-1) - log τ has |v'| = τ'/(τ(2τ-1)) = 2a|w|/(2aw²+c) · 1/τ with c = 2b-1 > 0; the first factor
    is at most √(a/(2c)), at w² = c/(2a), and 1/τ ≤ 1/b.
    """
    x, c = sp.symbols("x c", positive=True)
    tau = a * w**2 + b

    def highest(rate: sp.Expr) -> sp.Expr:
        (top,) = sp.solve(sp.numer(sp.together(sp.diff(rate.subs(w, x), x))), x)
        return sp.simplify(rate.subs(w, top))

    first = highest(sp.diff(tau, w) / tau)
    second = highest(sp.diff(tau, w) / (2 * a * w**2 + c)).subs(c, 2 * b - 1) / b
    return sp.Max(first, second)


def best_half_limits() -> tuple[sp.Expr, sp.Expr]:
    """Why discrete best with b = 1/2 is not stable, even away from w = 0.

    f(0) = -1 lies on the boundary. Near 0, 1+f = 2aw²/(aw²+1/2): along w_n = 1/n, w̃_n = 2/n the distance 1-|f| grows
    by a factor that tends to 4 while w̃_n - w_n → 0.
    Returned: the limits of |w̃_n - w_n| and of (1-|f(w̃_n)|)/(1-|f(w_n)|).
    Hypotheses: a > 0. Source: derived here.
    """
    index = sp.Symbol("n", positive=True)
    distance = 1 + symbolic_formula("best", "discrete").subs(b, best_boundary())
    first, second = 1 / index, 2 / index
    ratio = sp.simplify(distance.subs(w, second) / distance.subs(w, first))
    return sp.limit(second - first, index, sp.oo), sp.limit(ratio, index, sp.oo)
