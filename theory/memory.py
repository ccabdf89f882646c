"""Memory functions of kernels and of one nonlinear layer, decay classes, and the kernel of a functional."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from theory.notation import s, t

Kernel = Sequence[sp.Expr]
"""The components ρ_1..ρ_d of a kernel, expressions in the lag `s`."""


def _components(kernel: Kernel) -> tuple[sp.Expr, ...]:
    components = tuple(sp.sympify(component) for component in kernel)
    if not components:
        raise ValueError("kernel: at least one component is needed, got none")
    for component in components:
        if component.is_real is False:
            raise ValueError(f"kernel: a component is not real: {component}")
    return components


def heaviside_response(kernel: Kernel, x: Sequence[sp.Expr]) -> sp.Expr:
    """The response of a kernel functional to the Heaviside input u^x(t) = x·1_{t≥0}.

    H_t(u^x) = ∫_0^∞ u^x(t-s)·ρ(s) ds = x·∫_0^t ρ(s) ds,   t ≥ 0, because u^x(t-s) = 0 for s > t.

    Hypotheses: ρ is locally integrable; u^x lies outside C_0 and the functional is extended to it by the same integral.
    Source: Definition 2.1. Raises ValueError when x has another length than the kernel, or the integral stays
    unevaluated.
    """
    integrals = _response_integral(kernel, x)
    response = integrals.doit()
    if response.has(sp.Integral, sp.Piecewise):
        raise ValueError(f"kernel: no single closed form of its integral: {tuple(kernel)}")
    return response


def _response_integral(kernel: Kernel, x: Sequence[sp.Expr]) -> sp.Expr:
    """x·∫_0^t ρ(s) ds with its integrals left as they are."""
    components = _components(kernel)
    if len(x) != len(components):
        raise ValueError(f"x: {len(components)} components are needed, got {len(x)}")
    return sp.Add(*(xi * sp.Integral(rho, (s, 0, t)) for xi, rho in zip(x, components, strict=True)))


def memory_ratio(kernel: Kernel, size: sp.Expr) -> sp.Expr:
    """The ratio of Definition 2.1 along the best direction, x = size·(sign ρ_1(t), .., sign ρ_d(t)).

    |d/dt H_t(u^x)| / (|x|_∞ + 1) = size·|ρ(t)|_1 / (size + 1).

    It is strictly below |ρ(t)|_1 for every finite x and tends to it as |x|_∞ → ∞: the supremum is not attained.
    Source: Definition 2.1; derived in `memory_function`.
    """
    signs = sp.symbols(f"sigma_1:{len(kernel) + 1}", real=True)
    rate = sp.diff(_response_integral(kernel, [size * sign for sign in signs]), t)
    # The rate is linear in the σ_i, and σ_i = sign ρ_i(t) turns its i-th term into an absolute value.
    aligned = sp.Add(*(sp.Abs(sp.simplify(sp.diff(rate, sign))) for sign in signs))
    return sp.simplify(aligned / (size + 1))


def memory_function(kernel: Kernel) -> sp.Expr:
    """The memory function of a kernel functional, derived from its definition.

    M(H)(t) = sup_{x≠0} |d/dt H_t(u^x)| / (|x|_∞ + 1) = |ρ(t)|_1.

    Derivation. d/dt H_t(u^x) = d/dt x·∫_0^t ρ = x·ρ(t) where ρ is continuous. By Hölder |x·ρ(t)| ≤ |x|_∞|ρ(t)|_1,
    so the ratio is at most |ρ(t)|_1·|x|_∞/(|x|_∞+1) < |ρ(t)|_1. Along x = R·sign ρ(t) it equals |ρ(t)|_1·R/(R+1),
    which tends to |ρ(t)|_1 as R → ∞. The dual of the maximum norm, hence |·|_1, appears; the +1 only keeps the
    supremum from being attained.

    Hypotheses: real kernel, continuous at t. Source: Definition 2.1, derived here. Raises ValueError as
    `heaviside_response`.
    """
    size = sp.Symbol("R", positive=True)
    return sp.simplify(sp.limit(memory_ratio(kernel, size), size, sp.oo))


def heaviside_state(lam: sp.Expr, drive: sp.Expr) -> sp.Expr:
    """The state of one mode under a Heaviside input, solved from its differential equation.

    dh/dt = λh + (Ux) with h(0) = 0   ⇒   h(t) = λ^{-1}(e^{λt} - 1)(Ux).

    Hypotheses: λ ≠ 0. Source: the one-layer model with h_{-∞} = 0, solved here by `dsolve`. Raises ValueError for λ
    = 0.
    """
    lam = sp.sympify(lam)
    if lam.is_zero:
        raise ValueError(f"lam: must not be zero, got {lam}")
    h = sp.Function("h")
    solution = sp.dsolve(sp.Eq(h(t).diff(t), lam * h(t) + drive), h(t), ics={h(0): 0})
    return sp.simplify(solution.rhs)


def one_layer_rate(
    sigma: sp.Expr, h: sp.Symbol, lam: Sequence[sp.Expr], c: Sequence[sp.Expr], drive: Sequence[sp.Expr]
) -> sp.Expr:
    """The rate of the output of one nonlinear layer under a Heaviside input.

    d/dt cᵀσ(h_t) = Σ_i c_i σ'(h_i) e^{λ_i t} (Ux)_i,   h_i = λ_i^{-1}(e^{λ_i t} - 1)(Ux)_i,

    so that M(Ĥ)(t) is the supremum over x of its absolute value divided by |x|_∞ + 1.

    Derivation: `heaviside_state` gives h_i and dh_i/dt = e^{λ_i t}(Ux)_i; the chain rule gives the sum. `sigma` is an
    expression in the symbol `h`; `drive` is Ux. Source: Definition 2.1 for the one-layer model, differentiated here.
    Raises ValueError when the lengths of lam, c and drive differ.
    """
    if not len(lam) == len(c) == len(drive):
        raise ValueError(f"lam, c, drive: lengths differ: {len(lam)}, {len(c)}, {len(drive)}")
    states = (heaviside_state(lam_i, drive_i) for lam_i, drive_i in zip(lam, drive, strict=True))
    output = sp.Add(*(c_i * sigma.subs(h, state) for c_i, state in zip(c, states, strict=True)))
    return sp.diff(output, t)


@dataclass(frozen=True)
class DecayClass:
    """How a memory function decays.

    `rate`: the supremum of the β with e^{βt}M(t) → 0 (0 when there is none, ∞ when M vanishes);
    `order`: the p with M(t) = t^{-p+o(1)} (∞ for exponential decay); `constant`: lim t^p M(t) at p = order, or None.
    """

    decaying: bool
    rate: sp.Expr
    order: sp.Expr
    constant: sp.Expr | None

    @property
    def exponential(self) -> bool:
        """e^{βt}M(t) → 0 for some β > 0."""
        return bool(self.rate.is_extended_positive)

    def polynomial(self, *, zero_constant_allowed: bool) -> bool:
        """t^p M(t) → const for some p > 0, the constant allowed to vanish or required to be positive.

        With a constant that may vanish, every p below `order` works, so each exponential decay is polynomial as well.
        """
        if zero_constant_allowed:
            return bool(self.order.is_extended_positive)
        return bool(self.constant is not None and self.constant.is_positive and self.constant.is_finite)


def decay_class(memory: sp.Expr) -> DecayClass:
    """Decide the classes of Definition 2.2 for a memory function in closed form.

    rate = lim -log M(t)/t,   order = lim -log M(t)/log t,   constant = lim t^order M(t).

    Derivation. If e^{βt}M → 0 then log M ≤ -βt eventually, so limsup (log M)/t ≤ -β; conversely limsup (log M)/t =
    -γ < 0 gives e^{βt}M → 0 for every β < γ. Hence "exponential" means rate > 0. In the same way t^pM → 0 for every
    p < order and t^pM → ∞ for every p > order, so p = order alone can have a finite positive constant.

    As printed, "t^p M(t) → const" does not exclude const = 0; then every exponentially decaying memory is polynomially
    decaying too. Both readings are kept apart in `DecayClass.polynomial`.

    Hypotheses: M ≥ 0 in `t`, the limits exist. Source: Definition 2.2. Raises ValueError where a limit stays
    unevaluated.
    """
    memory = sp.simplify(memory)
    if memory.is_zero:
        return DecayClass(True, sp.oo, sp.oo, None)
    minus_log = -sp.expand_log(sp.log(memory), force=True)
    rate = sp.limit(minus_log / t, t, sp.oo)
    order = sp.oo if rate.is_extended_positive else sp.limit(minus_log / sp.log(t), t, sp.oo)
    limit = sp.limit(memory, t, sp.oo)
    constant = sp.limit(t**order * memory, t, sp.oo) if order.is_positive and order.is_finite else None
    if any(isinstance(value, sp.Limit) for value in (rate, order, limit, constant)):
        raise ValueError(f"memory: a limit at infinity has no closed form: {memory}")
    return DecayClass(bool(limit.is_zero), rate, order, constant)


def recover_kernel(response: sp.Expr) -> sp.Expr:
    """The kernel component ρ_j from the response to the Heaviside input along the j-th unit vector.

    ρ_j(t) = d/dt H_t(u^{e_j}).

    Derivation. A kernel functional has H_t(u^{e_j}) = ∫_0^t ρ_j(s) ds; by Lebesgue's differentiation theorem its
    derivative is ρ_j(t) for almost every t. So two kernels in L¹ with equal Heaviside responses agree almost
    everywhere: the kernel of Lemma A.1 is unique and M(H) determines |ρ|_1.

    Existence is Riesz's theorem, which is cited and not rederived: a continuous linear functional on C_0 is
    integration against a finite measure μ; causality puts μ on lags s ≥ 0, time-homogeneity makes it the same for
    every t, and regularity (for uniformly bounded sequences) makes it absolutely continuous: on a compact null set
    K that carries part of μ, choose inputs bounded by 1 that tend to the sign of μ on K and to 0 off it; they tend
    to 0 almost everywhere while H_t tends to |μ|(K).

    Hypotheses: `response` is an expression in `t`. Source: Lemma A.1 (uniqueness derived here).
    """
    return sp.simplify(sp.diff(response, t).doit())
