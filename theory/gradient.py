"""Theorem 3.6: how large the gradient of the loss in a recurrent weight is, as an equality for the kernel.

Linear functionals: the target has the kernel ρ, the model the kernel ρ̂(t) = Σ_i c_i e^{λ_i t} U_i with real
λ_i = f(w_i) < 0, and sup_t ‖H_t - Ĥ_t‖_∞ = ∫_0^∞ |ρ(t) - ρ̂(t)|_1 dt.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import sympy as sp

from theory.notation import lam, omega, r, t, tau, w

decay = sp.Symbol("q", positive=True)
"""Modulus q = |λ| < 1 of a discrete-time eigenvalue."""
_steps = sp.Symbol("N", integer=True, nonnegative=True)
_half_line = sp.Symbol("x", positive=True)


def mode_derivative() -> sp.Expr:
    """The derivative of a mode in its eigenvalue.

    ∂_λ e^{λt} = t e^{λt}, for λ < 0 and t ≥ 0.

    Source: derived here. In discrete time the mode is λ^k and its derivative k λ^{k-1}.
    """
    return sp.diff(sp.exp(lam * t), lam)


def derivative_l1_norm() -> sp.Expr:
    """The L¹ norm of the derivative of a real mode.

    ∫_0^∞ |∂_λ e^{λt}| dt = ∫_0^∞ t e^{λt} dt = 1/λ², for λ < 0.

    Source: Theorem 3.6, derived here by integration; the integrand is not negative, so no modulus is left.
    """
    return sp.simplify(sp.integrate(mode_derivative(), (t, 0, sp.oo)))


def derivative_total_variation() -> sp.Expr:
    """The total variation on R of the derivative of a real mode, extended by 0 to t < 0.

    V(t e^{λt}) = 2/(e|λ|), for λ < 0.

    Source: derived here. v(t) = t e^{λt} is continuous on R (v(0) = 0), and v' = (1 + λt)e^{λt} vanishes at
    t* = -1/λ only: v rises from 0 to v(t*) = 1/(e|λ|) and falls back to 0. A function that is monotone between these
    points varies by the sum of the moduli of its increments, twice the height of the hump.
    """
    v = mode_derivative()
    turning_points = sp.solve(sp.diff(v, t), t)
    heights = [v.subs(t, 0), *(v.subs(t, point) for point in turning_points), sp.limit(v, t, sp.oo)]
    return sp.simplify(sum(sp.Abs(after - before) for before, after in pairwise(heights)))


def derivative_w1inf_norm() -> sp.Expr:
    """The norm of W^{1,∞} of the derivative of a real mode.

    ‖t e^{λt}‖_{W^{1,∞}} = 1/λ² + (2/e)/|λ|, for λ < 0.

    Source: derived here. The functional with kernel k has ‖H_t‖_∞ = ∫|k| and ‖dH_t/dt‖_∞ = the total variation of k
    on R, so the norm is the sum of `derivative_l1_norm` and `derivative_total_variation`.
    """
    return derivative_l1_norm() + derivative_total_variation()


def complex_derivative_l1_norm() -> sp.Expr:
    """The L¹ norm of the derivative of a complex mode, λ = -r + iω.

    ∫_0^∞ |t e^{λt}| dt = 1/r², whatever ω.

    Source: derived here: |e^{iωt}| = 1. The real part of such a mode has a smaller norm that depends on ω.
    """
    modulus = sp.simplify(sp.Abs(t * sp.exp((-r + sp.I * omega) * t)))
    return sp.integrate(modulus, (t, 0, sp.oo))


def discrete_derivative_l1_norm() -> sp.Expr:
    """The ℓ¹ norm of the derivative of a real mode in discrete time, h_{k+1} = λ h_k + U x_k.

    Σ_{k≥1} |k λ^{k-1}| = Σ_{k≥1} k q^{k-1} = 1/(1-q)², q = |λ| < 1. Returned in the symbol q.

    Source: derived here. The partial sum S_N is the derivative in q of Σ_{k=0}^N q^k = (1 - q^{N+1})/(1 - q), that is
    S_N = (1 - (N+1)q^N + N q^{N+1})/(1-q)²; with q = e^{-r}, r > 0, both powers vanish as N → ∞. The modulus matters:
    for λ < 0 the terms alternate and Σ k λ^{k-1} = 1/(1-λ)² is smaller than the norm.
    """
    partial = sp.diff((1 - decay ** (_steps + 1)) / (1 - decay), decay)
    numerator = sp.expand(sp.simplify(partial * (1 - decay) ** 2).subs(decay, sp.exp(-r)))
    limit = sum(sp.limit(term, _steps, sp.oo) for term in sp.Add.make_args(numerator))
    return limit / (1 - decay) ** 2


def _check(f: sp.Expr, time: str) -> None:
    if time not in ("continuous", "discrete"):
        raise ValueError(f"time: {time!r} is neither 'continuous' nor 'discrete'")
    if w not in f.free_symbols:
        raise ValueError(f"f: {f} does not contain w")
    if time == "continuous" and f.is_nonnegative:
        raise ValueError(f"f: {f} is not negative; Theorem 3.6 needs λ = f(w) < 0")


def mode_gradient_norm(f: sp.Expr, time: str = "continuous", norm: str = "L1") -> sp.Expr:
    """The norm of ∂_w e^{f(w)t} (of ∂_w f(w)^k in discrete time): the gradient scale of a reparameterization.

    continuous, L1:     |f'| / f²
    continuous, W1inf:  |f'| (1/f² + (2/e)/|f|)
    discrete, L1:       |f'| / (1 - |f|)²

    Hypotheses: f real and differentiable at w, with f(w) < 0 (with |f(w)| < 1 in discrete time).
    Source: Theorem 3.6, sharpened here to an equality: by the chain rule ∂_w e^{f(w)t} = f'(w) t e^{f(w)t}, and f'(w)
    leaves the norm as a factor. The paper prints |f'|/(1-f)² in discrete time, see `printed_discrete_scale`.
    Raises ValueError for an f without w, one that is nowhere negative (continuous), an unknown time or norm.
    """
    _check(f, time)
    norms = {
        ("continuous", "L1"): lambda: derivative_l1_norm().subs(lam, f),
        ("continuous", "W1inf"): lambda: (
            derivative_l1_norm().subs(lam, f) + derivative_total_variation().subs(lam, -sp.Abs(f))
        ),
        ("discrete", "L1"): lambda: discrete_derivative_l1_norm().subs(decay, sp.Abs(f)),
    }
    if (time, norm) not in norms:
        raise ValueError(f"norm: {norm!r} is not available in {time} time")
    return sp.Abs(sp.diff(f, w)) * norms[time, norm]()


def printed_discrete_scale(f: sp.Expr) -> sp.Expr:
    """The gradient scale that the paper prints for discrete time.

    |f'| / (1 - f)²

    Source: the discrete form of Theorem 3.6. It equals |f'|/(1-|f|)² where f ≥ 0 and is smaller by the factor
    ((1-|f|)/(1+|f|))² where f < 0, without a bound as f → -1: there it is no bound of the gradient.
    Raises ValueError for an f without w.
    """
    _check(f, "discrete")
    return sp.Abs(sp.diff(f, w)) / (1 - f) ** 2


def kernel_gradient_norm(
    f: sp.Expr, c: sp.Expr, u: Sequence[sp.Expr], time: str = "continuous", norm: str = "L1"
) -> sp.Expr:
    """The norm of the derivative of the model's kernel in one recurrent weight, and so a bound of the loss gradient.

    ‖∂ρ̂/∂w_i‖ = |c_i| |U_i|_1 · scale(w_i), and |∂Loss/∂w_i| ≤ ‖∂ρ̂/∂w_i‖ for Loss = ‖ρ - ρ̂‖;
    c is c_i, u the row U_i ∈ R^d, and the scale that of `mode_gradient_norm`.

    Hypotheses: linear functionals; f continuously differentiable, f(w_i) < 0; the norm of the loss is the same norm.
    Source: Theorem 3.6, derived here.
    Equality: only mode i depends on w_i, ∂ρ̂/∂w_i = c_i U_i f'(w_i) t e^{λ_i t}, and |U_i v|_1 = |U_i|_1 |v|.
    Bound: Loss(w+h) and Loss(w) differ, by the reverse triangle inequality, by at most ‖ρ̂_{w+h} - ρ̂_w‖, which is at
    most the integral of ‖∂ρ̂/∂w_i‖ from w to w+h; divide by |h| and let h → 0. The target drops out, and nothing is
    asked of the loss beyond having a derivative (otherwise the bound holds for every difference quotient in the limit).
    Constant: C = |c_i||U_i|_1 depends on c and U alone. It must not depend on λ_i: a C that may do so makes any power
    of λ admissible. It cannot be lowered: for the target H = 0 and one mode Loss = C/|f(w)|, with the derivative
    C|f'|/f²; and for the target Ĥ at w, in either norm, Loss(w+h)/|h| → ‖∂ρ̂/∂w_i‖.
    Raises ValueError as `mode_gradient_norm`, and for an empty u.
    """
    if not u:
        raise ValueError("u: a row of U with at least one entry is needed, got an empty one")
    return sp.Abs(c) * sum(sp.Abs(entry) for entry in u) * mode_gradient_norm(f, time, norm)


def zero_target_loss(f: sp.Expr, time: str = "continuous") -> sp.Expr:
    """The loss of a single mode (c = U = 1) against the target H = 0, which attains the bound of Theorem 3.6.

    ∫_0^∞ e^{f(w)t} dt = -1/f(w); in discrete time Σ_{k≥0} |f(w)|^k = 1/(1-|f(w)|).

    Its derivative in w has the modulus `mode_gradient_norm(f, time)`.
    Hypotheses: f(w) < 0 (|f(w)| < 1 in discrete time).
    Source: derived here by integration. Raises ValueError as `mode_gradient_norm`.
    """
    _check(f, time)
    if time == "discrete":
        return 1 / (1 - sp.Abs(f))
    return sp.integrate(sp.exp(lam * t), (t, 0, sp.oo)).subs(lam, f)


def time_constant(f: sp.Expr, time: str = "continuous") -> sp.Expr:
    """The time constant in which the printed gradient scale is a derivative.

    τ = -1/f(w) = 1/|λ|, the memory time; in discrete time τ = 1/(1-f(w)) = 1/(1-λ).

    Hypotheses: f(w) < 0; in discrete time f(w) < 1, and τ is the memory time 1/(1-|λ|) only where f(w) ≥ 0.
    By the chain rule |dτ/dw| = |f'|/f², in discrete time |f'|/(1-f)².
    Source: derived here. Raises ValueError as `mode_gradient_norm`.
    """
    _check(f, time)
    return sp.simplify(-1 / f if time == "continuous" else 1 / (1 - f))


def memory_time_rate(f: sp.Expr, time: str = "continuous", *, half_line: bool = False) -> sp.Expr:
    """The rate dτ/dw as a function of the memory time τ; its modulus is the gradient scale.

    direct τ² · relu τ² · exp τ · softplus τ²(1 - e^{-1/τ}), about τ for large τ · sigmoid τ - 1 ·
    best 2√(a(τ-b)) · reciprocal a.

    `half_line` restricts to w > 0, where the even reparameterizations and relu are one-to-one.
    Hypotheses: w ↦ τ is one-to-one on the branch; the sign is that of the branch.
    Source: derived here: solve τ = `time_constant`(f)(w) for w and put it into dτ/dw.
    Raises ValueError as `mode_gradient_norm`, and where SymPy finds no unique inverse.
    """
    variable = _half_line if half_line else w
    time_of_w = time_constant(f, time).subs(w, variable).rewrite(sp.exp)
    inverses = sp.solve(sp.Eq(time_of_w, tau), variable)
    if len(inverses) != 1:
        raise ValueError(f"f: {f} has no unique inverse in closed form, candidates: {inverses}")
    return sp.simplify(sp.diff(time_of_w, variable).subs(variable, inverses[0]))
