"""The six properties of Definition B.1, decided for kernel functionals and for functionals that lack some."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sympy as sp

from theory.notation import n, s, t, tau

y = sp.Symbol("y", real=True)
"""The linear part of a functional, on which the readout acts."""


@dataclass(frozen=True)
class Functional:
    """A functional sequence: a readout of a time-dependent gain times integration against a measure of lags.

    H_t(x) = φ( g(t) · [ ∫_0^∞ x_{t-s} ρ(s) ds + ∫_0^∞ x_{t+s} α(s) ds + Σ_k a_k x_{t-s_k} ] ),

    `kernel` ρ and `anticipating` α in `s`, `atoms` the pairs (s_k, a_k), `gain` g in `t`, `readout` φ in `y`; d = 1.
    Raises ValueError when ρ or α is not absolutely integrable, when an atom has no weight or a lag occurs twice, when
    the measure or the gain is zero or when φ is constant.
    """

    kernel: sp.Expr = sp.S.Zero
    anticipating: sp.Expr = sp.S.Zero
    atoms: tuple[tuple[sp.Expr, sp.Expr], ...] = ()
    gain: sp.Expr = sp.S.One
    readout: sp.Expr = y

    def __post_init__(self) -> None:
        for name, density in (("kernel", self.kernel), ("anticipating", self.anticipating)):
            if density != 0 and not sp.integrate(sp.Abs(density), (s, 0, sp.oo)).is_finite:
                raise ValueError(f"{name}: not absolutely integrable: {density}")
        lags = [lag for lag, _ in self.atoms]
        if len(set(lags)) < len(lags) or any(weight.is_zero is not False for _, weight in self.atoms):
            raise ValueError(f"atoms: lags must differ and weights must not be zero, got {self.atoms}")
        if self.gain == 0:
            raise ValueError("gain: must not be zero everywhere")
        if self.kernel == 0 and self.anticipating == 0 and not self.atoms:
            raise ValueError("kernel, anticipating, atoms: the measure must not be zero")
        if not self.readout.has(y):
            raise ValueError(f"readout: must depend on y, got {self.readout}")


@dataclass(frozen=True)
class Finding:
    """Whether a property holds, with the reason or the witness against it."""

    holds: bool
    reason: str


_POINTS = tuple(sp.Rational(k, 2) for k in (-6, -3, -2, -1, 1, 2, 3, 5))


def _jumps(readout: sp.Expr) -> list[sp.Expr]:
    """The points where a readout jumps or blows up, among the edges of its steps and its singularities."""
    edges = [root for step in readout.atoms(sp.Heaviside, sp.sign) for root in sp.solve(step.args[0], y)]
    smooth = readout.replace(sp.Heaviside, lambda *args: sp.Integer(1)).replace(sp.sign, lambda arg: sp.Integer(1))
    poles = list(sp.singularities(smooth, y, domain=sp.S.Reals))

    def jumps_at(point: sp.Expr) -> bool:
        sides = {sp.limit(readout, y, point, side) for side in "+-"}
        return sides != {sp.simplify(readout.subs(y, point))}

    return [point for point in dict.fromkeys([*edges, *poles]) if jumps_at(point)]


def is_linear(functional: Functional) -> Finding:
    """Linear: H_t(kx + k'x') = k H_t(x) + k' H_t(x').

    The inner part is linear and its values fill R, so H is linear exactly when φ(p+q) = φ(p)+φ(q) and φ(kp) = kφ(p)
    on R. Hypotheses: as `Functional`. Source: Definition B.1, derived here. Raises ValueError when SymPy leaves it
    undecided.
    """
    p, q, k = sp.symbols("p q k", real=True)
    phi = sp.Lambda(y, functional.readout)
    defects = (phi(p + q) - phi(p) - phi(q), phi(k * p) - k * phi(p))
    if all(sp.simplify(defect) == 0 for defect in defects):
        return Finding(True, "the readout is additive and homogeneous")
    for first in _POINTS:
        for second in _POINTS:
            values = [sp.simplify(d.subs({p: first, q: second, k: second})) for d in defects]
            if any(value.is_zero is False for value in values):
                return Finding(False, f"defect {values} of additivity and homogeneity at ({first}, {second})")
    raise ValueError(f"readout: linearity undecided for {functional.readout}")


def is_continuous(functional: Functional) -> Finding:
    """Continuous: H_t(x') → H_t(x) as ‖x' - x‖_∞ → 0.

    The inner part is continuous, by |inner(x') - inner(x)| ≤ |g(t)|·|μ|(R)·‖x' - x‖_∞, and open, because a non-zero
    functional reaches a neighbourhood of each of its values; so H_t is continuous exactly when φ is, at every t with
    g(t) ≠ 0 (elsewhere H_t is constant). Hypotheses: as `Functional`. Source: Definition B.1, derived here.
    """
    jumps = _jumps(functional.readout)
    return Finding(False, f"the readout jumps at {jumps}") if jumps else Finding(True, "the readout is continuous")


def is_bounded(functional: Functional) -> Finding:
    """Bounded: sup_{x≠0} |H_t(x)|/(‖x‖_∞+1) + |H_t(0)| < ∞.

    With N = |g(t)|·|μ|(R), the inner parts of inputs of size X fill (-NX, NX), its ends perhaps included; so the
    supremum is finite exactly when φ is bounded on bounded sets and |φ(y)|/|y| stays bounded as y → ±∞. Hypotheses:
    as `Functional`; the limits at ±∞ exist. Source: Definition B.1, derived here.
    """
    for point in _jumps(functional.readout):
        if any(sp.limit(functional.readout, y, point, side).is_infinite for side in "+-"):
            return Finding(False, f"the readout is unbounded near {point}")
    slopes = [sp.limit(sp.Abs(functional.readout / y), y, end) for end in (sp.oo, -sp.oo)]
    if any(slope.is_infinite for slope in slopes):
        return Finding(False, f"|φ(y)|/|y| tends to {slopes} as y → ±∞")
    return Finding(True, f"|φ(y)|/|y| tends to {slopes} as y → ±∞")


def is_causal(functional: Functional) -> Finding:
    """Causal: inputs that agree up to time t have the same H_t.

    H_t ignores the future exactly when the measure of lags gives none to s < 0; else a change of the future alone moves
    the inner part through all of R, along which φ is not constant.
    Hypotheses: as `Functional`. Source: Definition B.1, derived here.
    """
    early = [lag for lag, _ in functional.atoms if lag.is_negative]
    if sp.simplify(functional.anticipating) != 0 or early:
        return Finding(False, f"weight on the future: density {functional.anticipating}, atoms at {early}")
    return Finding(True, "the measure lives on lags s ≥ 0")


def is_time_homogeneous(functional: Functional) -> Finding:
    """Time-homogeneous: H_t(x) = H_{t+τ}(x shifted by τ).

    The shift leaves the bracket unchanged, so the property is φ(g(t)p) = φ(g(t+τ)p) for all p in R.
    Hypotheses: as `Functional`. Source: Definition B.1, derived here. Raises ValueError when SymPy leaves it undecided.
    """
    p = sp.Symbol("p", real=True)
    phi = sp.Lambda(y, functional.readout)
    defect = phi(functional.gain * p) - phi(functional.gain.subs(t, t + tau) * p)
    if sp.simplify(defect) == 0:
        return Finding(True, "the gain does not change what the readout sees")
    for shift in _POINTS:
        value = sp.simplify(defect.subs({p: 1, t: 0, tau: abs(shift)}))
        if value.is_zero is False:
            return Finding(False, f"H_0 and H_{abs(shift)} differ by {value} on the shifted input")
    raise ValueError(f"gain: homogeneity undecided for {functional.gain}")


def is_regular(functional: Functional) -> Finding:
    """Regular, for uniformly bounded sequences: x^(n) → 0 almost everywhere with sup_n ‖x^(n)‖_∞ < ∞ ⇒ H_t(x^(n)) → 0.

    Without atoms the inner part tends to 0 by dominated convergence (‖x^(n)‖_∞|ρ| is the integrable majorant) and,
    since it reaches small values of either sign, H is regular exactly when φ(y) → φ(0) = 0. With an atom at s_k,
    hats of height h and width 1/n around t - s_k tend to 0 almost everywhere while H_t tends to φ(g(t) a_k h),
    non-zero for some h.

    The bound on the norms is not in the printed definition and cannot be dropped, see `spike_response`.
    Hypotheses: as `Functional`. Source: Definition B.1 with the bound added, derived here.
    """
    if functional.atoms:
        return Finding(False, f"point evaluation at lags {[lag for lag, _ in functional.atoms]} sees a null set")
    at_zero = sp.simplify(functional.readout.subs(y, 0))
    if at_zero != 0 or 0 in _jumps(functional.readout):
        return Finding(False, f"the readout is {at_zero} at 0 and must tend to 0 there")
    return Finding(True, "absolutely continuous measure; the readout is continuous and 0 at 0")


PROPERTIES: dict[str, Callable[[Functional], Finding]] = {
    "linear": is_linear,
    "continuous": is_continuous,
    "bounded": is_bounded,
    "causal": is_causal,
    "time-homogeneous": is_time_homogeneous,
    "regular": is_regular,
}


def properties(functional: Functional) -> dict[str, Finding]:
    """All six properties of Definition B.1, each with its reason.

    Source: Definition B.1. Raises ValueError when one is undecided.
    """
    return {name: check(functional) for name, check in PROPERTIES.items()}


_DECAY = sp.exp(-s)

FUNCTIONALS: dict[str, Functional] = {
    "kernel": Functional(kernel=_DECAY),
    "saturated": Functional(kernel=_DECAY, readout=sp.tanh(y)),
    "threshold": Functional(kernel=_DECAY, readout=sp.Heaviside(y - 1, 1)),
    "square": Functional(kernel=_DECAY, readout=y**2),
    "anticipating": Functional(anticipating=_DECAY),
    "modulated": Functional(kernel=_DECAY, gain=sp.cos(t)),
    "point": Functional(atoms=((sp.Integer(0), sp.Integer(1)),)),
}
"""∫x_{t-s}e^{-s}ds, which has all six properties, and functionals that lack some.

tanh of it lacks linearity alone; 1_{≥1} of it lacks continuity, and its square boundedness, besides linearity; looking
forward lacks causality alone, the gain cos t time-homogeneity alone, and x_t regularity alone.
"""


def homogeneous_size_upper(degree: sp.Expr, bound: sp.Expr, size: sp.Expr) -> sp.Expr:
    """The bound near 0 that homogeneity of degree p and boundedness give together.

    |H(x)| = X^p |H(x/X)| ≤ X^p · C(1 + 1) = 2C X^p,   X = ‖x‖_∞,

    from H(kx) = k^p H(x), k > 0, and |H(x)| ≤ C(‖x‖_∞ + 1).

    For p = 1, a linear H, this tends to 0 with X: bounded implies continuous at 0 and hence, by linearity,
    everywhere. Conversely continuity at 0 gives |H| ≤ 1 on ‖x‖_∞ ≤ δ, so |H(x)| ≤ (X/δ)^p, which is O(X + 1) for p
    ≤ 1. So **a linear functional is bounded exactly when it is continuous**: nothing linear lacks one of the two
    alone, and a functional that lacks continuity (or boundedness) and as little else as possible lacks linearity
    with it. For p = 0 the first step fails (the sign of a kernel functional), for p = 2 the second (its square).

    Hypotheses: C > 0, X > 0. Source: Definition B.1, derived here. Raises ValueError for a bound that is not positive.
    """
    if not sp.sympify(bound).is_positive:
        raise ValueError(f"bound: must be positive, got {bound}")
    k = sp.Symbol("k", positive=True)
    return sp.simplify((bound * (k * size + 1) / k**degree).subs(k, 1 / size))


def spike_response(kernel: sp.Expr, lag: sp.Expr, growth: sp.Expr) -> sp.Expr:
    """The response to spikes of height n^growth on the lags (lag, lag + 2/n), continuous and compactly supported.

    x^(n)_{t-s} = n^growth · max(0, 1 - |n(s - lag) - 1|),   H_t(x^(n)) = n^{growth-1} ∫_0^2 (1-|v-1|) ρ(lag + v/n) dv.

    The supports shrink and move off every point, so x^(n) → 0 everywhere; the weights 1-|v-1| have integral 1, so
    H_t(x^(n))·n^{1-growth} → ρ(lag) where ρ is continuous from the right (at Lebesgue points of any ρ in L¹). With
    growth = 1 the limit is ρ(lag), not 0. Hence **the printed regularity, almost everywhere convergence with no
    bound on the norms, fails for every kernel functional but H = 0**, and Lemma A.1 read literally speaks of H = 0
    alone; with uniformly bounded sequences (growth = 0) dominated convergence gives 0, and regularity is absolute
    continuity. However slowly the norms of x^(k) grow, they may not grow: with n = ‖x^(k)‖ → ∞ the same spikes do it.

    Hypotheses: lag ≥ 0, kernel in `s`. Source: derived here. Raises ValueError for a negative lag or an unevaluated
    integral.
    """
    lag = sp.sympify(lag)
    if lag.is_negative:
        raise ValueError(f"lag: must not be negative, got {lag}")
    v = sp.Symbol("v", nonnegative=True)
    inner = sp.sympify(kernel).subs(s, lag + v / n)
    response = n ** (growth - 1) * (sp.integrate(v * inner, (v, 0, 1)) + sp.integrate((2 - v) * inner, (v, 1, 2)))
    if response.has(sp.Integral):
        raise ValueError(f"kernel: no closed form of the response for {kernel}")
    return sp.simplify(response)


def null_set_response_upper(kernel: sp.Expr, growth: sp.Expr) -> sp.Expr:
    """The largest response to any input of size n^growth that lives on a set of measure 2/n.

    sup { |H_t(x)| : |x| ≤ n^growth, |{x ≠ 0}| ≤ 2/n } = n^growth ∫_0^{2/n} ρ(s) ds   for ρ ≥ 0 non-increasing,

    because the set on which ρ is largest is [0, 2/n]. By Egorov a sequence bounded by K that tends to 0 almost
    everywhere is, on [0, T], eventually below ε off a set of measure ε; so |H_t| ≤ K∫_T^∞|ρ| + ε∫|ρ| + K·(this
    supremum at growth 0 with 2/n = ε), and all three vanish as ε → 0, T → ∞. For any other ρ ∈ L¹ the last term is
    K sup_{|A| ≤ ε} ∫_A|ρ| ≤ K(hε + ∫_{|ρ|>h}|ρ|) for every h, which vanishes with ε → 0, then h → ∞. (With unbounded
    norms the argument fails: nothing ties the measure ε to the norm.)

    Hypotheses: ρ ≥ 0 non-increasing in `s`, ρ(0) < ∞. Source: derived here. Raises ValueError for a kernel that
    increases.
    """
    kernel = sp.sympify(kernel)
    if not sp.simplify(sp.diff(kernel, s)).is_nonpositive:
        raise ValueError(f"kernel: must be non-increasing, got {kernel}")
    return sp.simplify(n**growth * sp.integrate(kernel, (s, 0, 2 / n)))
