"""Complex eigenvalues: a trained frequency is unstable at long memory, a frequency tied to the rate is stable."""

from __future__ import annotations

import numpy as np
import sympy as sp

from numerics.enclosure import Interval, enclose, integrate, less
from proofs_check.claim import (
    Claim,
    Context,
    Evidence,
    Kind,
    Method,
    Parameters,
    Route,
    Variant,
    Verdict,
    inconclusive,
    refuted,
)
from proofs_check.comparison import Pair, compare_enclosures, compare_exact, compare_floats, compare_upper_bounds
from theory import complex_modes
from theory.notation import r, t

_A = complex_modes.frequency_ratio
_V = sp.Symbol("v", real=True)
_STEP = sp.Rational(1, 10)
"""The size β of the perturbation at which limits are looked at."""
_NORMALISED = "Definition 3.4 for complex eigenvalues is normalised by the decay rate r = -Re λ: r∫|e^{λ̃t} - e^{λt}|dt."


def _integral_between_zeros(a: sp.Expr, last: int) -> Interval:
    """∫_0^∞ e^{-s} |e^{2ias} - 1| ds by quadrature between the zeros kπ/a of sin(as), with the tail enclosed."""
    total, sign = Interval.of(0), 1
    for k in range(last):
        piece = integrate(
            2 * sp.exp(-t) * sp.sin(a * t), t, Interval.of(sp.pi * k / a), Interval.of(sp.pi * (k + 1) / a)
        )
        total, sign = total + piece * sign, -sign
    return total + Interval.of(0).hull(enclose(2 * sp.exp(-sp.pi * last / a), {}))


def _direct_integral(fast: complex, slow: complex) -> tuple[float, float]:
    """∫_0^∞ |e^{fast·s} - e^{slow·s}| ds on a uniform grid, with an estimate of its error."""
    speed = max(abs(fast), abs(slow))
    count = int(40 * max(speed, 1) * 25)
    times, step = np.linspace(0, 40, count + 1, retstep=True)
    values = np.abs(np.exp(fast * times) - np.exp(slow * times))
    # A kink inside a cell costs slope·step²/4; there are at most speed·40/π kinks.
    return float(np.trapezoid(values, dx=step)), float(speed * step**2 * (1 + 40 * speed / np.pi)) + 1e-12


# --- a free frequency -----------------------------------------------------------------------------------------------


def _stated_integral(parameters: Parameters) -> sp.Expr:
    amplitude = 2 * _A / (1 + _A ** sp.Integer(parameters["power"]))
    return amplitude * sp.coth(sp.Rational(parameters["angle"]) * sp.pi / _A)


def _integral_exact(parameters: Parameters, _: Context) -> Evidence:
    derived, stated = complex_modes.frequency_shift_integral(), _stated_integral(parameters)
    return compare_exact(derived.rewrite(sp.exp), stated.rewrite(sp.exp), {_A: 2}, "r∫e^{-rt}|e^{iβt}-1|dt")


def _integral_enclosed(parameters: Parameters, context: Context) -> Evidence:
    """Rigorous quadrature between the zeros at a = 1/2, 2 and larger."""
    cases = []
    for a in (sp.Rational(1, 2), sp.Integer(2), sp.Integer(context.pick(5, 40))):
        computed = _integral_between_zeros(a, int(12 * a) + 4)
        cases.append((f"a = {a}", computed, enclose(_stated_integral(parameters).subs(_A, a).rewrite(sp.exp), {})))
    return compare_enclosures(cases, "r∫e^{-rt}|e^{iβt}-1|dt")


FREQUENCY_INTEGRAL = Claim(
    id="complex-frequency-integral",
    label="Definition 3.4",
    title="The cost of moving a frequency",
    statement="When the frequency of a mode of decay rate r moves by β, the normalised integral of the stability "
    "definition is r∫e^{-rt}|e^{iβt}-1|dt = (2a/(1+a²))coth(π/(2a)), a = β/(2r).",
    latex=r"r \int_0^\infty e^{-rt} |e^{i\beta t} - 1| \, dt = \frac{2a}{1 + a^2} \coth \frac{\pi}{2a}, \quad a = "
    r"\frac{\beta}{2r}",
    hypotheses=("r > 0 and β > 0.", _NORMALISED),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"power": 2, "angle": "1/2"},
    routes=(
        Route("geometric series over periods", Method.SYMBOLIC, _integral_exact),
        Route("rigorous quadrature between zeros", Method.ENCLOSURE, _integral_enclosed),
    ),
    mutants=(Variant("coth(π/a)", {"angle": "1"}), Variant("1 + a in the denominator", {"power": 1})),
    theory=("theory.complex_modes:frequency_shift_integral",),
)


def _free_exact(parameters: Parameters, _: Context) -> Evidence:
    """The value at the infimum of the rates, for β = 1/10: a limit where the infimum is 0."""
    floor, stated = sp.Rational(parameters["rate_floor"]), sp.sympify(parameters["limit"])
    derived = complex_modes.frequency_shift_limit()
    if floor > 0:
        derived = complex_modes.frequency_shift_integral().subs(_A, _STEP / (2 * floor)).rewrite(sp.exp)
    return compare_exact(derived, stated, {}, "the integral as r → inf r")


def _free_direct(parameters: Parameters, _: Context) -> Evidence:
    """Direct quadrature of the integral at rates near their infimum, for two frequencies and two β."""
    floor, stated = float(sp.Rational(parameters["rate_floor"])), float(sp.sympify(parameters["limit"]))
    pairs = []
    for frequency, radius in ((0.0, 0.1), (1.0, 0.1), (0.0, 0.01)):
        rate = max(floor, radius / 60)  # in the time s = rt
        slow, fast = (complex(-1, value / rate) for value in (frequency, frequency + radius))
        value, error = _direct_integral(fast, slow)
        # |G(a) - 4/π| < 1/a² by the expansion of coth, here a = 30
        pairs.append(Pair(f"r = {rate:.1e}, β = {radius}", stated, value, error + 1 / 30**2))
    return compare_floats(pairs, "the integral near the infimum of the rates")


FREE_FREQUENCY = Claim(
    id="complex-free-frequency",
    label="Definition 3.4",
    title="A free frequency is never stable at unbounded memory",
    statement="Let λ = -r(w) + iω with ω trained freely and inf r = 0. For every β > 0 the normalised integral tends "
    "to 4/π as r → 0 when only ω moves by β: no g with g(0) = 0 bounds it, and no reparameterization of r alone is "
    "stable.",
    latex=r"\lim_{r \to 0} \; r \int_0^\infty |e^{(-r + i(\omega + \beta)) t} - e^{(-r + i\omega) t}| \, dt = "
    r"\frac{4}{\pi} \quad (\beta > 0)",
    hypotheses=(
        "The decay rates r(w) > 0 have infimum 0: memory times are unbounded.",
        "ω ∈ R is trained by itself.",
        f"{_NORMALISED} (With |λ| ≥ r for r the value is larger still.)",
    ),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"rate_floor": "0", "limit": "4/pi"},
    routes=(
        Route("limit of the closed form", Method.SYMBOLIC, _free_exact),
        Route("direct quadrature", Method.FLOATING, _free_direct),
    ),
    mutants=(
        Variant("half the limit", {"limit": "2/pi"}),
        Variant("it vanishes", {"limit": "0"}),
        Variant("rates with a floor", {"rate_floor": "1"}),
    ),
    theory=("theory.complex_modes:frequency_shift_limit", "theory.complex_modes:rate_floor_upper"),
)


def _floor_exact(parameters: Parameters, _: Context) -> Evidence:
    """The derived bound against the stated one; the closed form at a small shift, which nearly attains it."""
    stated = sp.Rational(parameters["weight"]) * 2 * _A
    shift = complex_modes.frequency_shift_integral().subs(_A, _STEP).rewrite(sp.exp)
    reached, bound = enclose(shift, {}), enclose(stated.subs(_A, _STEP), {})
    if less(bound, reached):
        example = {"shift_over_rate": float(2 * _STEP), "integral": reached.lower, "stated": bound.upper}
        return refuted("the integral is larger", example, Verdict.PROVED)
    derived = complex_modes.rate_floor_upper(sp.S.One, 2 * _A)
    return compare_exact(derived, stated, {_A: 1}, "the bound for r ≥ 1")


def _floor_enclosed(parameters: Parameters, _: Context) -> Evidence:
    """Rigorous quadrature between zeros, with a = δ/(2r)."""
    cases = []
    for a in (sp.Rational(1, 10), sp.Rational(1, 2), sp.Integer(3)):
        bound = enclose(sp.Rational(parameters["weight"]) * 2 * a, {})
        cases.append((f"δ/r = {2 * a}", _integral_between_zeros(a, int(12 * a) + 4), bound))
    return compare_upper_bounds(cases, "the bound δ/r")


RATE_FLOOR = Claim(
    id="complex-rate-floor",
    label="Definition 3.4",
    title="A free frequency is stable where rates have a floor",
    statement="When all decay rates are at least r_min > 0, moving a frequency by δ costs at most δ/r_min in the "
    "normalised integral: with a stable -r and bounded memory times a free frequency is stable, so inf r = 0 is needed "
    "for its instability.",
    latex=r"r \int_0^\infty e^{-rt} |e^{i\delta t} - 1| \, dt \leq \frac{\delta}{r} \leq \frac{\delta}{r_\mathrm{min}}",
    hypotheses=(
        "r ≥ r_min > 0 at every weight; -r, as a real reparameterization, is stable.",
        f"{_NORMALISED} (With |λ| for r this holds for bounded frequencies only.)",
    ),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"weight": "1"},
    routes=(
        Route("derivation", Method.SYMBOLIC, _floor_exact),
        Route("rigorous quadrature between zeros", Method.ENCLOSURE, _floor_enclosed),
    ),
    mutants=(Variant("half as much", {"weight": "1/2"}), Variant("nine tenths", {"weight": "9/10"})),
    theory=("theory.complex_modes:rate_floor_upper",),
)


# --- a tied frequency -----------------------------------------------------------------------------------------------

_MOVES = ((10, "11/10", "0"), (1, "3/2", "0"), (0, "2", "0"), (2, "1", "1/2"), (1, "1/2", "-1/4"))
"""(τ, R = r̃/r, τ̃ - τ)."""


def _stated_tied(parameters: Parameters, tangent: sp.Expr, ratio: sp.Expr, change: sp.Expr) -> sp.Expr:
    """The claim's bound, with T = max(|τ|, |τ̃|), e^ω = max(R, 1/R)."""
    power, weight = sp.Rational(parameters["power"]), sp.Rational(parameters["tangent_weight"])
    bound, growth = sp.Max(sp.Abs(tangent), sp.Abs(tangent + change)), sp.Max(ratio, 1 / ratio)
    return (1 + bound**2) ** power * (growth - 1) + weight * growth * sp.Abs(change)


def _tied_exact(parameters: Parameters, _: Context) -> Evidence:
    """Lower bounds |∫ g (e^{λ̃t} - e^{λt}) r dt|, |g| ≤ 1, that may exceed the stated bound; else the derivation."""
    for tangent, ratio_text, change_text in _MOVES:
        ratio, change = sp.Rational(ratio_text), sp.Rational(change_text)
        stated = _stated_tied(parameters, sp.Integer(tangent), ratio, change)
        # g = e^{iτs} turns the unperturbed mode into e^{-s}
        lower = sp.Abs(sp.simplify(1 / (ratio + sp.I * (ratio * (tangent + change) - tangent)) - 1))
        if less(enclose(stated, {}), enclose(sp.sqrt(sp.expand(lower**2)), {})):
            example = {"tau": tangent, "ratio": ratio_text, "tau_change": change_text, "integral_lower": float(lower)}
            return refuted("the integral is larger", {**example, "stated": float(stated)}, Verdict.PROVED)
    tau_max, modulus, change = sp.symbols("T omega delta", nonnegative=True)
    derived = complex_modes.tied_upper(tau_max, modulus, change)
    power, weight = sp.Rational(parameters["power"]), sp.Rational(parameters["tangent_weight"])
    stated = (1 + tau_max**2) ** power * (sp.exp(modulus) - 1) + weight * sp.exp(modulus) * change
    slope = complex_modes.rate_change_upper()
    ratio, tangent = complex_modes.rate_ratio, complex_modes.tangent
    if sp.simplify(slope - sp.sqrt(1 + tangent**2) * (1 - 1 / ratio)) != 0:
        return inconclusive(f"the derivation gives {slope} for a change of r")
    return compare_exact(derived, stated, {tau_max: 1, modulus: 1, change: 1}, "the bound for a tied frequency")


def _tied_enclosed(parameters: Parameters, _: Context) -> Evidence:
    """Rigorous quadrature of ∫|e^{-R(1+iτ̃)s} - e^{-(1+iτ)s}|ds at five points."""
    cases = []
    for tangent, ratio_text, change_text in _MOVES:
        ratio, change = sp.Rational(ratio_text), sp.Rational(change_text)
        moved, phase = ratio * (tangent + change), sp.Integer(tangent)
        real = sp.exp(-ratio * t) * sp.cos(moved * t) - sp.exp(-t) * sp.cos(phase * t)
        imaginary = sp.exp(-ratio * t) * sp.sin(moved * t) - sp.exp(-t) * sp.sin(phase * t)
        body = integrate(sp.sqrt(real**2 + imaginary**2), t, 0, 40, tolerance=1e-6)
        tail = enclose(sp.exp(-40) + sp.exp(-40 * ratio) / ratio, {})
        where = f"τ = {tangent}, R = {ratio_text}, τ̃ - τ = {change_text}"
        bound = enclose(_stated_tied(parameters, phase, ratio, change), {})
        cases.append((where, body + Interval.of(0).hull(tail), bound))
    return compare_upper_bounds(cases, "the bound for a tied frequency")


TIED_FREQUENCY = Claim(
    id="complex-tied",
    label="Definition 3.4",
    title="A frequency tied to the rate is stable",
    statement="Let λ = -r(w)(1+iτ) with |τ| ≤ T, and let -r be stable. When log r moves by at most ω = ω(β) and τ by "
    "δ, the normalised integral is at most √(1+T²)(e^ω-1) + e^ω|δ|, which tends to 0 with β uniformly in w: the mode "
    "is stable.",
    latex=r"r \int_0^\infty |e^{\tilde{\lambda} t} - e^{\lambda t}| \, dt \leq \sqrt{1 + T^2} \, (e^\omega - 1) + "
    r"e^\omega |\delta|",
    hypotheses=(
        "f = -r is stable with modulus ω of log r.",
        "τ is fixed, or trained within |τ| ≤ T.",
        f"{_NORMALISED} (With |λ| for r the bound grows by the factor √(1+T²) at most.)",
    ),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"power": "1/2", "tangent_weight": "1"},
    routes=(
        Route("derivation and test functions", Method.SYMBOLIC, _tied_exact),
        Route("rigorous quadrature", Method.ENCLOSURE, _tied_enclosed),
    ),
    mutants=(
        Variant("as for real λ", {"power": "0"}),
        Variant("moving τ is free", {"tangent_weight": "0"}),
    ),
    theory=("theory.complex_modes:tied_upper", "theory.complex_modes:rate_change_upper"),
)


def _untied_exact(parameters: Parameters, _: Context) -> Evidence:
    return compare_exact(
        complex_modes.fast_phase_limit(), sp.sympify(parameters["limit"]), {}, "the integral for τ → ∞, then R → 1"
    )


def _untied_direct(parameters: Parameters, _: Context) -> Evidence:
    """Direct quadrature at R = 1.01 and τ = 4000, where the phases part by 40 radians in the time 1/r."""
    ratio, tangent = 1.01, 4000.0
    # |e^{-Rs-iRτs} - e^{-s-iτs}| = |e^{-Rs-i(R-1)τs} - e^{-s}|
    value, error = _direct_integral(complex(-ratio, -(ratio - 1) * tangent), complex(-1, 0))
    # R - 1 changes the integral by at most 1 - 1/R, the finite phase speed 40 by less than 1/400.
    return compare_floats(
        [Pair("R = 1.01, τ = 4000", float(sp.sympify(parameters["limit"])), value, error + 1 - 1 / ratio + 1 / 400)],
        "the integral at large τ",
    )


UNBOUNDED_TANGENT = Claim(
    id="complex-tied-unbounded",
    label="Definition 3.4",
    title="A tied frequency needs a bounded ratio",
    statement="For λ = -r(1+iτ) with τ → ∞ the normalised integral of a change r̃ = Rr tends to a limit that itself "
    "tends to 4/π as R → 1: where τ is unbounded the mode is not stable.",
    latex=r"\lim_{R \to 1} \lim_{\tau \to \infty} \int_0^\infty |e^{-R(1+i\tau)s} - e^{-(1+i\tau)s}| \, ds = "
    r"\frac{4}{\pi}",
    hypotheses=("R ≠ 1 is held fixed while τ → ∞.", "r is not constant.", _NORMALISED),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"limit": "4/pi"},
    routes=(
        Route("mean over phases", Method.SYMBOLIC, _untied_exact),
        Route("direct quadrature", Method.FLOATING, _untied_direct),
    ),
    mutants=(Variant("it vanishes", {"limit": "0"}), Variant("one", {"limit": "1"})),
    theory=("theory.complex_modes:fast_phase_limit",),
)


# --- log-frequency --------------------------------------------------------------------------------------------------


def _frequency(parameters: Parameters) -> sp.Expr:
    return sp.sympify(parameters["frequency"], locals={"v": _V, "r": r})


def _log_exact(parameters: Parameters, _: Context) -> Evidence:
    """a = |ω̃-ω|/(2r) as r → 0 at v = log π and β = 1/10, then G(a)."""
    frequency, place = _frequency(parameters), sp.log(sp.pi)
    change = (frequency.subs(_V, place + _STEP) - frequency.subs(_V, place)) / (2 * r)
    if frequency == sp.exp(_V):
        change = complex_modes.log_frequency_ratio(place, r, _STEP)
    a = sp.limit(sp.simplify(change), r, 0, "+")
    shift = complex_modes.frequency_shift_integral()
    derived = sp.limit(shift, _A, sp.oo) if a == sp.oo else shift.subs(_A, a).rewrite(sp.exp)
    return compare_exact(derived, sp.sympify(parameters["limit"]), {}, "the integral as r → 0")


def _log_direct(parameters: Parameters, _: Context) -> Evidence:
    """Direct quadrature at r = 0.005 and ω = 1, where v moves by 1/10."""
    rate, stated = 0.005, float(sp.sympify(parameters["limit"]))
    start, end = (float(_frequency(parameters).subs({_V: v, r: sp.Rational(rate)})) for v in (0, _STEP))
    value, error = _direct_integral(complex(-1, (end - start) / rate), complex(-1, 0))
    # |G(a) - 4/π| < 1/a², a = (e^{0.1}-1)/(2r) = 10.5
    return compare_floats([Pair("r = 0.005", stated, value, error + 0.01)], "the integral at a small rate")


LOG_FREQUENCY = Claim(
    id="complex-log-frequency",
    label="Definition 3.4",
    title="Training log ω does not help",
    statement="With the LRU's parameterization ω = e^v, and even with ω capped at π, moving v by β changes the mode "
    "by a normalised integral that tends to 4/π as r → 0, for every β > 0: it is not stable either.",
    latex=r"\lim_{r \to 0} \; r \int_0^\infty e^{-rt} |e^{i(e^{v+\beta} - e^v) t} - 1| \, dt = \frac{4}{\pi}",
    hypotheses=("inf r = 0.", "v is trained by itself; e^v ≤ π allowed.", _NORMALISED),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"frequency": "exp(v)", "limit": "4/pi"},
    routes=(
        Route("limit of the closed form", Method.SYMBOLIC, _log_exact),
        Route("direct quadrature", Method.FLOATING, _log_direct),
    ),
    mutants=(
        Variant("the frequency follows the rate", {"frequency": "r*exp(v)"}),
        Variant("half the limit", {"limit": "2/pi"}),
    ),
    theory=("theory.complex_modes:log_frequency_ratio", "theory.complex_modes:frequency_shift_limit"),
)


CLAIMS: tuple[Claim, ...] = (
    FREQUENCY_INTEGRAL,
    FREE_FREQUENCY,
    RATE_FLOOR,
    TIED_FREQUENCY,
    UNBOUNDED_TANGENT,
    LOG_FREQUENCY,
)
