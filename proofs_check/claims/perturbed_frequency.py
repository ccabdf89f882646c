"""Perturbed errors of slow complex modes whose frequency is trained by itself: E(β) jumps at β = 0."""

from __future__ import annotations

import sympy as sp

from numerics.enclosure import enclose, less
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
    proved,
    refuted,
    supported,
)
from proofs_check.claims.perturbed_sequences import ROUNDING, one_layer
from proofs_check.comparison import Pair, compare_exact, compare_floats
from theory import complex_modes
from theory.notation import r

_RADIUS = sp.Rational(1, 5)
_NEARLY = 1 - 1e-4
"""Modes that cancel exactly would leave nothing but rounding."""
_SHIFT = 0.1939
"""A move δ < 1/5 of ω = 1 with ω̃/ω near no simple fraction."""


def _largest_cost(parameters: Parameters) -> sp.Expr | None:
    """An upper bound of E(1/5) at ω = 1 for the two variants in which nothing jumps; None otherwise."""
    if parameters["moved"] == "w":  # f = -e^w, both modes move
        return 2 * complex_modes.moved_rate_upper(sp.exp(_RADIUS) - 1, sp.Rational(1, 1000), sp.S.One)
    floor = sp.Rational(parameters["rate_floor"])
    if floor > 0:  # |λ̃e^{λ̃t} - λe^{λt}| ≤ |λ̃-λ||e^{λ̃t}| + |λ||e^{λ̃t} - e^{λt}|
        size = complex_modes.rate_floor_upper(floor, _RADIUS)
        return 2 * (size + _RADIUS + sp.sqrt(floor**2 + 1) * size)
    return None


def _jump_exact(parameters: Parameters, _: Context) -> Evidence:
    """The mean over independent phases; or an upper bound of E that stays below what is stated."""
    mean = sp.sympify(parameters["mean"])
    cost = _largest_cost(parameters)
    if cost is not None and less(enclose(cost, {}), enclose(2 * mean, {})):
        example = {"moved": parameters["moved"], "omega": "1", "beta": "1/5", "E at most": str(sp.N(cost, 6))}
        return refuted(f"E(1/5) ≤ {sp.N(cost, 4)} < 2·{mean}", example, Verdict.PROVED)
    evidence = compare_exact(complex_modes.independent_phases_mean(), mean, {}, "the mean of |cos x - cos y|")
    if evidence.verdict is not Verdict.PROVED:
        return evidence
    frequency, nu, k = sp.symbols("omega nu k", positive=True)
    same = sp.simplify(complex_modes.free_frequency_jump(frequency) - mean * (1 + frequency)) == 0
    fades = sp.limit(complex_modes.abel_mean_of_cosine(nu), r, 0, "+") == 0
    series = sp.summation(1 / (4 * k**2 - 1), (k, 1, sp.oo))
    if same and fades and series.is_finite:
        return proved(
            "every oscillating term of an absolutely convergent Fourier series fades; its constant part is 8/π²",
            jump=str(complex_modes.free_frequency_jump(frequency)),
            coefficients=str(series),
        )
    return inconclusive(f"jump as stated: {same}; cosines fade: {fades}; coefficients: {series}")


def _jump_brackets(parameters: Parameters, context: Context) -> Evidence:
    """The bracket of E(β) for a cancelling pair, and the L¹ norm of one move by quadrature, at small r."""
    import numpy as np

    from numerics.norms import kernel_norms
    from numerics.perturbation import linear_perturbed_error
    from numerics.targets import parse_target

    mean, floor = float(sp.sympify(parameters["mean"])), float(sp.Rational(parameters["rate_floor"]))
    zero, radius, table, pairs = parse_target("exponential:scale=0"), float(_RADIUS), {}, []
    for smallest in context.pick((0.006,), (0.006, 0.003)):
        rate = max(smallest, floor)
        outputs = [[rate / 2, 0.0], [-rate / 2 * _NEARLY, 0.0]]
        model = one_layer([[-rate, 1.0]] * 2, [[1.0, 0.0]] * 2, outputs, "exp")
        error = linear_perturbed_error(
            model, zero, [0.0, radius], ball="block", groups=(parameters["moved"],), starts=5, steps=4
        )
        (start, low), high = error.lower.tolist(), float(error.upper[1])
        if high * ROUNDING < 2 * mean:
            example = {"r": rate, "omega": 1.0, "moved": parameters["moved"], "E(1/5)": [low, high]}
            return refuted(f"E(1/5) ≤ {high:.4g} < {2 * mean:.4g} at r = {rate}", example, Verdict.SUPPORTED)
        table[f"r = {rate}"] = {"E(0)": start, "E(1/5)": [low, high]}
        moved = np.array([complex(-rate, 1), complex(-rate, 1 + _SHIFT)])
        size = kernel_norms(zero, np.array([[rate, -rate]]) / 2, moved[None])
        # The slowest oscillation of |cos - cos| has the frequency δ: the mean is off by less than (r/δ)².
        pairs.append(Pair(f"r = {rate}", mean, float(size.size[0]), (rate / _SHIFT) ** 2))
        table[f"r = {rate}"]["L1 norm of one move"] = float(size.size[0])
    evidence = compare_floats(pairs, "the L¹ norm of one move at small r")
    if evidence.verdict is not Verdict.SUPPORTED:
        return evidence
    if low < 2 * mean:
        return inconclusive(f"a lower end of {low} does not reach {2 * mean}")
    return supported(f"E(0) = {start:.1e}, yet E(1/5) ≥ {low:.4f} at r = {rate}", table=table)


FREE_FREQUENCY = Claim(
    id="sequence-free-frequency",
    label="Theorem 3.5",
    title="A free frequency makes the perturbed error jump at β = 0",
    statement="Let H = 0 be modelled by two complex modes of rate r and frequency ω > 0 that cancel, of outputs ±r/2, "
    "and let only the frequencies be perturbed. Along r → 0, liminf E_r(β) ≥ (8/π²)(1+ω) for every β > 0, although "
    "E_r(0) = 0 and the sums of Theorem 3.5 stay bounded: E is not continuous at 0, whatever the reparameterization of "
    "r. The L¹ norm of the change when one frequency moves by δ > 0 tends to exactly 8/π² if (ω+δ)/ω is irrational.",
    latex=r"\lim_{r \to 0} r \int_0^\infty e^{-rt} |\cos \omega t - \cos \tilde\omega t| \, dt = \frac{8}{\pi^2}, "
    r"\quad \liminf_{r \to 0} E_r(\beta) \geq \frac{8}{\pi^2} (1 + \omega) \quad (\beta > 0)",
    hypotheses=(
        "σ the identity, one input, one layer; kernels r e^{-rt} cos ωt, so that 2|c_iu_i|/r = 1 for each mode.",
        "w, U and c stay; β > 0 is fixed while r → 0. The same holds for one mode with H equal to it.",
        "In the numerical route the outputs differ by the factor 1 - 10⁻⁴, so that E_r(0) is about 10⁻⁴.",
    ),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"mean": "8/pi**2", "moved": "omega", "rate_floor": "0"},
    routes=(
        Route("independent phases", Method.SYMBOLIC, _jump_exact),
        Route("bracket and quadrature at small r", Method.FLOATING, _jump_brackets),
    ),
    mutants=(
        Variant("the constant 1", {"mean": "1"}),
        Variant("half as much", {"mean": "4/pi**2"}),
        Variant("the mean of one phase", {"mean": "4/pi"}),
        Variant("w moves instead", {"moved": "w"}),
        Variant("rates with a floor", {"rate_floor": "4"}),
    ),
    theory=(
        "theory.complex_modes:independent_phases_mean",
        "theory.complex_modes:abel_mean_of_cosine",
        "theory.complex_modes:free_frequency_jump",
        "theory.complex_modes:moved_rate_upper",
    ),
)

CLAIMS: tuple[Claim, ...] = (FREE_FREQUENCY,)
