"""The curse of memory (Theorem 3.3): the layer induction with explicit constants, its sharpness, and its hypotheses."""

from __future__ import annotations

import sympy as sp

from theory.norms import kernel_norms
from theory.notation import beta, s, t

dimension = sp.Symbol("d", integer=True, positive=True)
"""Input dimension d."""
layers = sp.Symbol("l", integer=True, positive=True)
"""Number of layers ℓ."""
lipschitz = sp.Symbol("L", positive=True)
"""Lipschitz constant L of σ."""
gain = sp.Symbol("G", positive=True)
"""G = |c|_2 Π_l |U_l|_2, at most θ_max^{ℓ+1}."""
theta_max = sp.Symbol("theta_max", positive=True)
"""θ_max = sup_m |θ_m|_2."""
h = sp.Symbol("h", real=True)
"""A hidden state, the variable of σ."""


def convolve(profile: sp.Expr) -> sp.Expr:
    """One layer's effect on a bound: ∫_0^t e^{-β(t-s)} profile(s) ds, `profile` an expression in `t`.

    Source: the induction step of `layer_bound`. Raises ValueError when the integral stays unevaluated.
    """
    end = sp.Symbol("T", positive=True)
    integrand = sp.powsimp(sp.simplify(sp.exp(-beta * (end - s)) * profile.subs(t, s)))
    result = sp.integrate(integrand, (s, 0, end))
    if result.has(sp.Integral):
        raise ValueError(f"profile: no closed form of its convolution: {profile}")
    return sp.simplify(result.subs(end, t))


def induction_profile(power: sp.Expr) -> sp.Expr:
    """The time profile t^k e^{-βt}/k! of layer k + 1. Source: the induction of `layer_bound`."""
    return t**power / sp.factorial(power) * sp.exp(-beta * t)


def induction_step_ratio() -> sp.Expr:
    """The quotient of the convolved profile of order k by the profile of order k + 1, for symbolic k; it is 1.

    ∫_0^t e^{-β(t-s)} (s^k/k!) e^{-βs} ds = t^{k+1}/(k+1)! · e^{-βt}.   Source: the induction of `layer_bound`.
    """
    k = sp.Symbol("k", integer=True, nonnegative=True)
    return sp.simplify(convolve(induction_profile(k)) / induction_profile(k + 1))


def layer_bound(count: sp.Expr = layers) -> sp.Expr:
    """The sharp bound on the memory function of an ℓ-layer model, for an integer or the symbol ℓ.

    M(Ĥ)(t) ≤ √d · L^ℓ · |c|_2 Π_l |U_l|_2 · t^{ℓ-1}/(ℓ-1)! · e^{-βt},   t ≥ 0.

    Derivation. Let u^x = x·1_{t≥0}. The first layer has h⁽¹⁾' = e^{Λt}U_1x, so |h⁽¹⁾'|_2 ≤ √d |x|_∞ |U_1|_2 e^{-βt}, by
    |x|_2 ≤ √d |x|_∞. A layer l ≥ 2 is at equilibrium for t < 0 (h_{-∞} = 0 and a constant drive U_lσ(h⁽ˡ⁻¹⁾) bring
    it there), so h⁽ˡ⁾'(0) = 0. Differentiating its equation, h⁽ˡ⁾'' = Λ_l h⁽ˡ⁾' + U_l σ'(h⁽ˡ⁻¹⁾) h⁽ˡ⁻¹⁾', hence
    h⁽ˡ⁾'(t) = ∫_0^t e^{Λ_l(t-s)} U_l σ'(h⁽ˡ⁻¹⁾) h⁽ˡ⁻¹⁾' ds and |h⁽ˡ⁾'|_2 ≤ L|U_l|_2 ∫_0^t e^{-β(t-s)} |h⁽ˡ⁻¹⁾'|_2
    ds. By induction, with `induction_step_ratio`, |h⁽ˡ⁾'|_2 ≤ √d |x|_∞ L^{l-1} Π_{j≤l}|U_j|_2 t^{l-1}/(l-1)!
    e^{-βt}. The output adds L|c|_2, and dividing by |x|_∞ + 1 removes |x|_∞. Where σ is not differentiable, σ(h) is
    still absolutely continuous in t with |dσ(h)/dt| ≤ L|h'| almost everywhere, which is all that the integral needs;
    and |ŷ_{t+ε} - ŷ_t| ≤ L|c|_2|h⁽ˡ⁾_{t+ε} - h⁽ˡ⁾_t|_2 bounds every difference quotient of the output.

    Hypotheses: Re λ ≤ -β for every mode (Λ_l diagonal, or normal); σ L-Lipschitz (where ŷ has no derivative, the
    bound is one for limsup |Δŷ/Δt|); layers ≥ 2 at equilibrium before t = 0, automatic for σ(0) = 0. Source:
    Theorem 3.3, derived here with explicit constants. Raises ValueError for a count below 1 and ArithmeticError if
    the induction step failed.
    """
    count = sp.sympify(count)
    if count.is_positive is not True or count.is_integer is not True:
        raise ValueError(f"count: must be a positive integer, got {count}")
    if induction_step_ratio() != 1 or induction_profile(sp.Integer(0)) != sp.exp(-beta * t):
        raise ArithmeticError("the induction step does not reproduce the profile")
    return sp.sqrt(dimension) * lipschitz**count * gain * induction_profile(count - 1)


def iterated_bound(count: int) -> sp.Expr:
    """`layer_bound` for a given ℓ by ℓ - 1 literal convolutions instead of the induction.

    Source: as `layer_bound`. Raises ValueError for a count below 1.
    """
    if count < 1:
        raise ValueError(f"count: must be at least 1, got {count}")
    profile = sp.exp(-beta * t)
    for _ in range(count - 1):
        profile = convolve(profile)
    return sp.sqrt(dimension) * lipschitz**count * gain * profile


def printed_bound(count: sp.Expr = layers) -> sp.Expr:
    """The bound as printed, with k = ℓ - 1: (d+1) L^ℓ θ_max^{ℓ+1} t^{ℓ-1} e^{-βt}.

    It follows from `layer_bound` by √d ≤ d + 1, (ℓ-1)! ≥ 1 and |c|_2 Π|U_l|_2 ≤ θ_max^{ℓ+1}, where |U_l|_2 ≤ |U_l|_F
    ≤ |θ|_2 in the joint norm and |U_l|_2 ≤ |θ|_2 in the block norm. The limit m → ∞ is `limit_bound`. Source:
    Theorem 3.3.
    """
    return (dimension + 1) * lipschitz**count * theta_max ** (count + 1) * t ** (count - 1) * sp.exp(-beta * t)


def attained_memory(count: int) -> sp.Expr:
    """The memory function of the model that attains the bound, from its differential equations.

    σ = id, one mode a layer, λ = -β, U_1 = (1..1)/√d, U_l = c = 1:   M(Ĥ)(t) = √d · t^{ℓ-1}/(ℓ-1)! · e^{-βt}.

    Derivation. ŷ' = v_ℓ with v_1 = e^{-βt}U_1x and v_l' = -βv_l + v_{l-1}, v_l(0) = 0, solved in turn by `dsolve`;
    |U_1x| is largest for x = R(1..1), where it is √d R, and R/(R+1) → 1. Here L = 1 and every |U_l|_2 = |c|_2 = 1,
    so the bound is an equality.

    Source: derived here. Raises ValueError for a count below 1.
    """
    if count < 1:
        raise ValueError(f"count: must be at least 1, got {count}")
    size = sp.Symbol("R", positive=True)
    drive = dimension * size / sp.sqrt(dimension)
    v = sp.Function("v")
    rate = drive * sp.exp(-beta * t)
    for _ in range(count - 1):
        equation = sp.Eq(v(t).diff(t), -beta * v(t) + rate)
        rate = sp.simplify(sp.dsolve(equation, v(t), ics={v(0): 0}).rhs)
    return sp.simplify(sp.limit(rate / (size + 1), size, sp.oo))


def affine_chain_rate(count: int, offset: sp.Expr, *, start: str) -> sp.Expr:
    """ŷ' of a chain of one-mode layers with σ(h) = h + offset, λ = -β, U_l = c = 1, d = 1 under x·1_{t≥0}, in x and t.

    Layers l ≥ 2 start either at "equilibrium", h⁽ˡ⁾ = σ(h⁽ˡ⁻¹⁾)/β, so that h⁽ˡ⁾'(0) = 0, or from "zero", h⁽ˡ⁾(0) =
    0, so that h⁽ˡ⁾'(0) = σ(h⁽ˡ⁻¹⁾(0)) = offset. From zero the two-layer rate is (offset + x t)e^{-βt}: lower powers
    of t appear.

    Source: derived here. Raises ValueError for another start or a count below 1.
    """
    if start not in ("equilibrium", "zero"):
        raise ValueError(f"start: must be 'equilibrium' or 'zero', got {start!r}")
    if count < 1:
        raise ValueError(f"count: must be at least 1, got {count}")
    x = sp.Symbol("x", positive=True)
    rate = x * sp.exp(-beta * t)
    for _ in range(count - 1):
        # h'' = -βh' + σ'(·)(previous rate) with σ' = 1; only h'(0) knows how the layer started.
        initial = sp.sympify(offset) if start == "zero" else sp.Integer(0)
        rate = sp.expand(initial * sp.exp(-beta * t) + convolve(rate))
    return sp.simplify(rate)


def affine_chain_memory(count: int, offset: sp.Expr, *, start: str) -> sp.Expr:
    """The memory function of `affine_chain_rate`: sup_{x>0} (A + Bx)/(x + 1) = max(A, B) where ŷ' = A + Bx.

    Source: derived here; (A + Bx)/(x+1) is a mean of A and B with weights 1/(x+1) and x/(x+1), for A, B ≥ 0; for A < 0
    the same with x < 0, hence |A|. Raises as `affine_chain_rate`.
    """
    x = sp.Symbol("x", positive=True)
    rate = sp.expand(affine_chain_rate(count, offset, start=start))
    return sp.Max(sp.Abs(sp.simplify(rate.coeff(x, 0))), sp.simplify(rate.coeff(x, 1)))


def zero_start_bound(count: int, offset: sp.Expr) -> sp.Expr:
    """The bound when the deeper layers start at h = 0, for d = 1 and |c|_2 = |U_l|_2 = 1, one mode a layer.

    M(Ĥ)(t) ≤ L e^{-βt} max( |σ(0)| Σ_{j=2}^ℓ L^{ℓ-j} t^{ℓ-j}/(ℓ-j)!,  L^{ℓ-1} t^{ℓ-1}/(ℓ-1)! ).

    Derivation. As `layer_bound`, but h⁽ʲ⁾'(0) = U_jσ(0) adds |σ(0)|e^{-βt} at each layer j ≥ 2, which the later ℓ -
    j layers convolve to L^{ℓ-j}t^{ℓ-j}/(ℓ-j)!. So |ŷ'| ≤ A + B|x|_∞, and (A + B|x|)/(|x| + 1) ≤ max(A, B). (In
    general the j-th term carries |c|_2 Π_{l≥j}|U_l|_2 √m_{j-1}, the last √d.) B has the higher power: from some t
    on the maximum is B, the bound of `layer_bound`. The lower powers matter on a bounded range of t only, and the
    printed O(·) as t → ∞ is untouched.

    Source: derived here. Raises ValueError for a count below 1.
    """
    if count < 1:
        raise ValueError(f"count: must be at least 1, got {count}")
    decay = sp.exp(-beta * t)
    started, driven = sp.Integer(0), decay  # |h⁽ˡ⁾'| ≤ started + driven·|x|
    for _ in range(count - 1):
        passed_on = lipschitz * convolve(started) if started != 0 else sp.Integer(0)
        started, driven = sp.Abs(offset) * decay + passed_on, lipschitz * convolve(driven)
    terms = (sp.expand(sp.simplify(part / decay)) for part in (started, driven))
    return lipschitz * decay * sp.Max(*terms)


def limit_bound(model_memory: sp.Expr, value_error: sp.Expr, rate_error: sp.Expr) -> sp.Expr:
    """The step from the models to the target: M(H)(t) ≤ M(Ĥ_m)(t) + ‖H - Ĥ_m‖_{W^{1,∞}}.

    Derivation. |d/dt H_t(u^x)| ≤ |d/dt Ĥ_t(u^x)| + ‖d(H - Ĥ)/dt‖_∞ (|x|_∞ + 1); divide by |x|_∞ + 1 and take the
    supremum. With E(0) = 0 the second term vanishes as m → ∞, so M(H) ≤ liminf M(Ĥ_m). Only the rate's
    part of the norm is used; for linear H half of it suffices (`theory.norms.memory_over_variation`), but the
    value's part alone does not: e^{λt} has M = 1 at t = 0 and L¹ norm 1/|λ|.

    Hypotheses: H - Ĥ extends to u^x, which lies outside C_0, with the same rate norm; kernels do.
    Source: Theorem 3.3, derived here. Raises ValueError for a negative error.
    """
    for name, value in (("value_error", value_error), ("rate_error", rate_error)):
        if sp.sympify(value).is_negative:
            raise ValueError(f"{name}: must not be negative, got {value}")
    return model_memory + value_error + rate_error


def boundary_error(distance: sp.Expr, *, live: bool, ball: str) -> sp.Expr:
    """The norm of a mode as the perturbation ball moves it towards the stability boundary, from λ = w = -distance·β.

    live: lim_{δ→β} |c u|·‖e^{(λ+δ)t}‖ with c u = 1;   dead (c = u = 0): lim_{δ→β} |c̃ ũ|·‖e^{(λ+δ)t}‖, where moving
    w by δ leaves |c̃ũ| ≤ (β² - δ²)/2 in the joint ball and |c̃ũ| ≤ β² in the block ball (d = 1). Before the limit
    the norm is finite, so it is bounded over the ball exactly when the limit is finite.

    Derivation. Moving one mode alone changes the model by (moved mode) - (mode), so E_m(β) ≥ ‖moved mode - mode‖ -
    E_m(0). A mode with λ < 0 has a finite norm, so E_m(β) = ∞ as soon as the moved mode's norm is infinite; a live mode
    with λ ≥ 0 differs by an infinite norm from any of its moves. With distance = κ the moved eigenvalue is -(κβ - δ):
    live, ∞ for κ ≤ 1 and finite for κ > 1; so **finiteness at β0 forces λ_i < -β0 for each live mode**. A dead mode
    comes alive in the same ball: κ < 1 gives ∞ too, and at κ = 1 the block ball gives ∞, while the joint ball gives
    (β² - δ²)/2·(1/(β - δ) + 2) ≤ β + β², finite. (With c = 0 ≠ u it is |u|√(β² - δ²)/(β - δ) → ∞.) So every mode has
    λ_i ≤ -β0 and only modes with c = u = 0 (in the joint ball) may sit at -β0, where they add nothing to the output.
    The same holds with any σ that is unbounded along the mode (id, relu, gelu): a plateau input of height 1 and length
    T makes |h| ≥ T.

    Source: Theorem 3.3, derived here. Raises ValueError for a distance that is not positive or an unknown ball.
    """
    distance = sp.sympify(distance)
    if not distance.is_positive:
        raise ValueError(f"distance: must be positive, got {distance}")
    if ball not in ("joint", "block"):
        raise ValueError(f"ball: must be 'joint' or 'block', got {ball!r}")
    move = sp.Symbol("delta", positive=True)
    room = (beta**2 - move**2) / 2 if ball == "joint" else beta**2
    coefficient = sp.Integer(1) if live else room
    if (1 - distance).is_positive:
        return sp.oo  # the boundary is reached by a smaller move, with a positive coefficient
    rate = sp.Symbol("r", positive=True)
    norm = kernel_norms(sp.exp(-rate * t)).total.subs(rate, distance * beta - move)
    return sp.limit(sp.cancel(coefficient * norm), move, beta, "-")


def perturbation_jump(sigma: sp.Expr, low: sp.Expr, high: sp.Expr) -> sp.Expr:
    """How much the rate of c σ(h) changes, at the least, when its recurrent weight moves at all.

    ‖d/dt(Ĥ(·;λ) - Ĥ(·;λ̃))‖_∞ ≥ lim_{X→∞} |σ'(a)(λa + uX) - σ'(b)(λ̃b + uX)| |c|/(X + 1) = |c u|·|σ'(a) - σ'(b)|
    for every λ̃ ≠ λ.

    Derivation. e^{λs} and e^{λ̃s} are linearly independent, so x ↦ (h_t, h̃_t) maps the inputs of norm ≤ X onto a
    neighbourhood of 0 that grows like X; for X large it holds any pair (a, b), reached by an input of norm o(X).
    Raise x to x_t = X in the last instant before t, which changes h and h̃ as little as one likes. Then the rates
    are σ'(a)(λa + uX) and σ'(b)(λ̃b + uX). Supremum over a, b: |c u| osc σ'.

    Consequence (d = 1; otherwise with a factor 1/d). With v_i = c_iU_i, E_m(β) ≥ ½ osc(σ') Σ_i |v_i| - E_m(0) for every
    β > 0: take perturbed eigenvalues distinct from each other and from the old ones, so that every b_i is free; of
    the suprema over b of ±Σ_i v_i(σ'(a_i) - σ'(b_i)), whose sum is osc(σ') Σ|v_i|, one is at least half of that. So
    for σ not affine, E(0) = 0 and continuity of E at 0 force Σ|v_i| → 0, hence M(Ĥ_m)(t) ≤ L Σ|v_i| → 0 and M(H) = 0:
    **with one nonlinear layer, β0-stable approximation in the sense of Definition 2.5 over all of C_0 exists for
    targets without memory only**, whatever the reparameterization. The proof of Theorem 3.3 uses only E(0) = 0 and
    E(β0) < ∞; with finiteness in the place of continuity it is not empty (relu, gelu). On inputs bounded by R and
    with σ' Lipschitz there is no jump: |σ'(h̃) - σ'(h)| is then small with |h̃ - h|, uniformly.

    `low`, `high`: the states a, b, or ±∞. Here c = u = 1 and the states' own part of the rate is included before the
    limit is taken. Source: derived here. Raises ValueError when the limit stays unevaluated.
    """
    size, a, b = sp.symbols("X a b", positive=True)
    lam, lam_moved = sp.symbols("lambda lambda_tilde", negative=True)
    slope = sp.Lambda(h, sp.diff(sigma, h))
    jump_a, jump_b = sp.symbols("slope_a slope_b", real=True)
    ratio = (jump_a * (lam * a + size) - jump_b * (lam_moved * b + size)) / (size + 1)
    at_infinity = sp.limit(ratio, size, sp.oo)
    values = {jump_a: sp.limit(slope(h), h, low), jump_b: sp.limit(slope(h), h, high)}
    result = sp.Abs(sp.simplify(at_infinity.subs(values)))
    if result.has(sp.Limit):
        raise ValueError(f"sigma: its slope has no limit at {low} or {high}: {sigma}")
    return result


def saturates(sigma: sp.Expr) -> bool:
    """Whether σ keeps outputs and rates bounded for every state: σ and hσ'(h) have finite limits at ±∞.

    Then |c̃σ(h̃)| ≤ |c̃| sup|σ| and |d/dt c̃σ(h̃)| = |c̃σ'(h̃)(λ̃h̃ + ũx_t)| ≤ |c̃|(|λ̃| sup|hσ'| + L|ũ|‖x‖_∞),
    whatever the sign of λ̃: on inputs for which h̃ exists, compactly supported ones for instance, E_m(β) < ∞ for
    every β. Over C_0 the state itself is undefined for some inputs once λ̃ ≥ 0 (`undefined_state`), and "undefined
    counts as infinite" restores Theorem 3.3.

    Hypotheses: σ smooth on R. Source: derived here.
    """
    slope = sp.diff(sigma, h)
    limits = [sp.limit(expression, h, end) for expression in (sigma, h * slope) for end in (sp.oo, -sp.oo)]
    return all(bool(limit.is_finite) for limit in limits)


def large_input_distance(response: sp.Expr, size: sp.Expr, output_bound: sp.Expr) -> sp.Expr:
    """A lower bound of ‖H_t - Ĥ_t‖_∞ for a linear H and any Ĥ whose outputs are bounded.

    lim_{R→∞} (R|H_t(x)| - B)/(R‖x‖_∞ + 1) = |H_t(x)|/‖x‖_∞,   |Ĥ_t| ≤ B.

    Derivation. |H_t(Rx) - Ĥ_t(Rx)| ≥ R|H_t(x)| - B for every R > 0, and ‖Rx‖_∞ = R‖x‖_∞. The supremum over x of the
    limit is ‖H_t‖_∞. A bounded σ has |Ĥ_t| = |cᵀσ(h)| ≤ |c|_1 sup|σ| whatever the layers and weights, so that
    E_m(β) ≥ E_m(0) ≥ ‖H‖_∞: **no target but 0 is approximated in the norm of Definition 2.4 by models with a bounded
    activation**, and Theorem 3.3 says nothing about tanh or sigmoid. On inputs of bounded size it does.

    `response` = |H_t(x)|, `size` = ‖x‖_∞, `output_bound` = B. Source: derived here.
    Raises ValueError unless response ≥ 0, size > 0 and output_bound ≥ 0.
    """
    response, size, output_bound = (sp.sympify(value) for value in (response, size, output_bound))
    for name, value in (("response", response), ("output_bound", output_bound)):
        if not value.is_nonnegative:
            raise ValueError(f"{name}: must be at least 0 and finite, got {value}")
    if not size.is_positive:
        raise ValueError(f"size: must be positive, got {size}")
    scale = sp.Symbol("R", positive=True)
    return sp.limit((scale * response - output_bound) / (scale * size + 1), scale, sp.oo)


def bounded_sigma_growth(sigma: sp.Expr, lam: sp.Expr, rate: sp.Expr, size: sp.Expr) -> sp.Expr:
    """lim_{t→∞} e^{rate·t} |d/dt σ(h_t)|/(x+1) for the Heaviside input x = size: a lower bound for e^{rate·t}M(H)(t).

    H has one mode, c = u = 1, h_t = (e^{λt} - 1)x/λ → x/|λ|, so the limit is σ'(x/|λ|) x/(x+1) · lim e^{(rate+λ)t}:
    ∞ for rate > |λ|.

    Why it contradicts Theorem 3.3 read on compactly supported inputs with ‖x‖_∞ ≤ R. Let H be this model itself, Ĥ_m
    = H for every m (θ_max < ∞, E(0) = 0), β0 > |λ| arbitrary and σ' Lipschitz as well as `saturates`. (1) E(β) < ∞
    for all β, by `saturates`. (2) E is continuous. F(θ̃) = ‖H - Ĥ(·;θ̃)‖ is a supremum over reachable (X, h, h̃,
    x_t), X ≤ R, of functions that are continuous in θ̃ uniformly in (h, h̃, x_t). For λ̃ < 0 the reachable set moves
    continuously with θ̃. For λ̃ ≥ 0, ũ ≠ 0 its closure is everything with |h| ≤ X|u/λ|, h̃ ∈ R, |x_t| ≤ X, whatever
    θ̃, because faint inputs in the remote past set h̃ and leave h alone; and the sets for λ̃ < 0 fill it as λ̃ → 0.
    So F is continuous off {λ̃ ≥ 0, ũ = 0}, where it is lower semicontinuous and its limits are also reached from
    inside the ball. Hence E(β), the supremum of F over the closed ball of radius β, has no jump.
    (3) Yet M(H)(t)e^{β0 t} → ∞.

    Source: derived here. Raises ValueError unless lam < 0, rate > 0 and size > 0.
    """
    lam, rate, size = sp.sympify(lam), sp.sympify(rate), sp.sympify(size)
    for name, magnitude in (("lam", -lam), ("rate", rate), ("size", size)):
        if not magnitude.is_positive:
            raise ValueError(f"{name}: has the wrong sign or is zero, its magnitude being {magnitude}")
    state = (sp.exp(lam * t) - 1) * size / lam
    slope = sp.simplify(sp.diff(sigma, h).subs(h, sp.limit(state, t, sp.oo)))
    return slope * size / (size + 1) * sp.limit(sp.exp((rate + lam) * t), t, sp.oo)


def undefined_state(lam: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """An input in C_0 whose state oscillates without bound at λ ≥ 0: (x_{t-s}, the state integral truncated at s = t).

    x_{t-s} = e^{-λs} d/ds [√(1+s) sin log(1+s)],   ∫_0^T e^{λs} x_{t-s} ds = √(1+T) sin log(1+T).

    |x_{t-s}| ≤ e^{-λs}·(3/2)/√(1+s) → 0, so x belongs to C_0 (continued continuously to s < 0); the truncated
    integrals are unbounded of both signs, so h_t has no value, not even ±∞, and a bounded σ does not help. Hence
    Ĥ(·;θ̃) is not defined on C_0 once an active λ̃ ≥ 0, and with "undefined counts as infinite" E(β) = ∞ there.

    The first entry is an expression in `s`, the second in `t`, standing for T. Source: derived here. Raises
    ValueError for λ < 0.
    """
    lam = sp.sympify(lam)
    if lam.is_negative:
        raise ValueError(f"lam: must not be negative, got {lam}")
    potential = sp.sqrt(1 + s) * sp.sin(sp.log(1 + s))
    lagged = sp.exp(-lam * s) * sp.diff(potential, s)
    state = sp.simplify(potential.subs(s, t) - potential.subs(s, 0))
    return sp.simplify(lagged), state
