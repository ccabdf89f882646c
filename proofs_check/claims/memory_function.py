"""Definition 2.1 worked out, the classes of Definition 2.2, and the kernel behind Lemma A.1."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from numerics.enclosure import enclose, less
from numerics.heaviside import LayeredModel, heaviside_rates
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
from proofs_check.comparison import Pair, compare_exact, compare_floats
from proofs_check.polynomial import prove_polynomial
from theory import memory
from theory.notation import lam, s, t

Array = NDArray[np.float64]

_RHO = (sp.exp(-s), -2 * sp.exp(-3 * s), 3 * sp.exp(-2 * s))
_SIZE = sp.Symbol("R", positive=True)


# --- M(H)(t) = |ρ(t)|_1 ---------------------------------------------------------------------------------------------


def _stated_norm(parameters: Parameters, vector: list[sp.Expr]) -> sp.Expr:
    p = sp.sympify(parameters["norm"])
    factor = sp.Rational(parameters["factor"])
    if p == sp.oo:
        return factor * sp.Max(*(sp.Abs(v) for v in vector))
    return factor * sp.Add(*(sp.Abs(v) ** p for v in vector)) ** (1 / p)


def _kernel_exact(parameters: Parameters, _: Context) -> Evidence:
    """Derives M from the definition for arbitrary kernels; where the statement differs, explicit ones separate them."""
    for size in (1, 2, 3):
        arbitrary = [sp.Function(f"rho_{i}", real=True) for i in range(size)]
        derived = memory.memory_function([rho(s) for rho in arbitrary])
        if sp.simplify(derived - _stated_norm(parameters, [rho(t) for rho in arbitrary])) == 0:
            continue
        kernel = _RHO[:size]
        explicit = memory.memory_function(kernel)
        stated = _stated_norm(parameters, [rho.subs(s, t) for rho in kernel])
        evidence = compare_exact(explicit, stated, {t: sp.Rational(1, 3)}, f"M(H)(t) for {size} inputs")
        if evidence.verdict is not Verdict.REFUTED:
            return inconclusive(f"M(H)(t) = {derived} was not compared with the statement for {size} inputs")
        return evidence
    return proved("for arbitrary kernels of one to three inputs the definition gives the stated norm of ρ(t)")


def _kernel_vertices(parameters: Parameters, context: Context) -> Evidence:
    """Measures the slope of the response by quadrature and searches over sign patterns, sizes and random inputs."""
    rng = context.rng("memory-kernel")
    density = sp.lambdify(s, list(_RHO))
    pairs = []
    for time in (0.2, 0.7, 1.5):
        step = 1e-3
        nodes, weights = np.polynomial.legendre.leggauss(12)
        lags = time + step * nodes
        # (∫_{t-ε}^{t+ε} ρ)/2ε differs from ρ(t) by at most ε² sup|ρ''|/6
        slope = np.array([float(np.dot(weights, values)) / 2 for values in density(lags)])
        inputs = [size * np.array(sign) for sign in product((-1.0, 1.0), repeat=3) for size in (1.0, 1e3, 1e8)]
        inputs += list(rng.normal(size=(200, 3)) * 10.0 ** rng.uniform(-2, 6, size=(200, 1)))
        best = max(abs(x @ slope) / (np.abs(x).max() + 1) for x in inputs)
        stated = float(_stated_norm(parameters, [rho.subs(s, time) for rho in _RHO]))
        curvature = 3 * step**2 * 18 / 6
        pairs.append(Pair(f"t = {time}", stated, best, curvature + 1e-7))
    return compare_floats(pairs, "the largest |dH_t(u^x)/dt|/(|x|_∞+1)")


KERNEL = Claim(
    id="def-2.1-kernel",
    label="Definition 2.1",
    title="The memory function of a linear functional is the size of its kernel",
    statement="For H_t(x) = ∫ρ(s)·x_{t-s}ds with a continuous kernel the memory function is M(H)(t) = |ρ(t)|_1, the "
    "sum of the absolute values of the components.",
    latex=r"\mathcal{M}(H)(t) = \sup_{x \neq 0} \frac{|\frac{d}{dt} H_t(u^x)|}{|x|_\infty + 1} = |\rho(t)|_1",
    hypotheses=(
        "ρ is real, integrable and continuous at t.",
        "H is extended to the Heaviside inputs by the same integral.",
    ),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"norm": "1", "factor": "1"},
    routes=(
        Route("definition and limit of large inputs", Method.SYMBOLIC, _kernel_exact),
        Route("quadrature and search over inputs", Method.FLOATING, _kernel_vertices),
    ),
    mutants=(
        Variant("Euclidean norm", {"norm": "2"}),
        Variant("maximum norm", {"norm": "oo"}),
        Variant("half, as at |x| = 1", {"factor": "1/2"}),
    ),
    theory=("theory.memory:memory_function", "theory.memory:heaviside_response"),
)


# --- the supremum is not attained -----------------------------------------------------------------------------------


def _attained_symbolic(parameters: Parameters, _: Context) -> Evidence:
    """R/(R + offset): its distance from the supremum, for every size R of the input."""
    offset = sp.Rational(parameters["offset"])
    ratio = memory.memory_ratio(_RHO[:1], _SIZE) * (_SIZE + 1) / (_SIZE + offset)
    supremum = sp.limit(ratio, _SIZE, sp.oo)
    gap = sp.simplify(supremum - ratio)
    if gap.is_positive:
        return proved(f"the supremum exceeds the ratio by {gap} > 0 at every size", gap=str(gap))
    if gap.is_zero:
        example = {"size": 1, "ratio": str(sp.simplify(ratio.subs(_SIZE, 1))), "supremum": str(supremum)}
        return refuted("the supremum is attained at every size", example, Verdict.PROVED)
    return inconclusive(f"the sign of the gap {gap} was not decided")


def _attained_polynomial(parameters: Parameters, _: Context) -> Evidence:
    """Hölder's inequality term by term, x_i v_i ≤ |x|_∞|v_i|; summed over any d, |x·v| ≤ |x|_∞|v|_1, a strict bound."""
    offset = sp.Rational(parameters["offset"])
    x, v = sp.symbols("x v", real=True)
    top, total = sp.symbols("x_max v_sum", positive=True)
    size = sp.Symbol("v_size", nonnegative=True)
    if prove_polynomial(x * v <= top * size, [x <= top, -x <= top, v <= size, -v <= size]) is not True:
        return inconclusive("z3 did not prove Hölder's inequality")
    outcome = prove_polynomial(sp.Lt(top * total, total * (top + offset), evaluate=False))
    if outcome is True:
        return proved("no input of any size and dimension reaches the supremum (z3)")
    if outcome is None:
        return inconclusive("z3 gave up")
    # top·total is the value x·v of x = top in one dimension
    return refuted("in one dimension the input x = x_max reaches the supremum (z3)", dict(outcome), Verdict.PROVED)


NOT_ATTAINED = Claim(
    id="def-2.1-not-attained",
    label="Definition 2.1",
    title="The supremum over Heaviside heights is approached by large ones and never attained",
    statement="For a linear functional with ρ(t) ≠ 0 every x has |dH_t(u^x)/dt|/(|x|_∞+1) < |ρ(t)|_1: the supremum in "
    "Definition 2.1 is a limit as |x|_∞ → ∞.",
    latex=r"\frac{|x \cdot \rho(t)|}{|x|_\infty + 1} < |\rho(t)|_1 \quad \forall x",
    hypotheses=("ρ(t) ≠ 0.",),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"offset": "1"},
    routes=(
        Route("distance from the supremum", Method.SYMBOLIC, _attained_symbolic),
        Route("all inputs in all dimensions", Method.POLYNOMIAL, _attained_polynomial),
    ),
    mutants=(Variant("without the +1 in the denominator", {"offset": "0"}),),
    theory=("theory.memory:memory_ratio",),
)


# --- one nonlinear layer --------------------------------------------------------------------------------------------

_STATE = sp.Symbol("h", real=True)
_ACTIVATIONS = {"tanh": sp.tanh(_STATE), "softplus": sp.log(1 + sp.exp(_STATE))}
_MODES = ((sp.Rational(-1, 2), sp.Integer(2), sp.Integer(1)), (sp.Integer(-2), sp.Integer(-1), sp.Integer(3)))
"""(λ_i, c_i, (Ux)_i) of the two modes tried."""


Mode = tuple[sp.Expr, sp.Expr, sp.Expr]


def _stated_rate(parameters: Parameters, sigma: sp.Expr, modes: tuple[Mode, ...] = _MODES) -> sp.Expr:
    """What the claim says about d/dt cᵀσ(h_t), from its formulas for the state and for the mode."""
    total = sp.Integer(0)
    for eigenvalue, c, drive in modes:
        state = sp.sympify(parameters["state"], locals={"lam": lam, "t": t}).subs(lam, eigenvalue)
        mode = sp.sympify(parameters["mode"], locals={"lam": lam, "t": t}).subs(lam, eigenvalue)
        total += c * sp.diff(sigma, _STATE).subs(_STATE, state * drive) * mode * drive
    return total


def _layer_exact(parameters: Parameters, _: Context) -> Evidence:
    """Solves the state's equation, differentiates the output and compares, for an arbitrary σ and symbolic modes.

    Where the two differ, explicit σ and modes show it.
    """
    arbitrary = sp.Function("sigma")(_STATE)
    modes = tuple((sp.Symbol(f"lambda_{i}", negative=True), *sp.symbols(f"c_{i} z_{i}", real=True)) for i in range(2))
    general = memory.one_layer_rate(arbitrary, _STATE, *zip(*modes, strict=True))
    if sp.simplify(general - _stated_rate(parameters, arbitrary, modes)) == 0:
        return proved("differentiating the solved states gives the stated sum for every σ and two symbolic modes")
    eigenvalues, readout, drive = zip(*_MODES, strict=True)
    time = sp.Rational(3, 4)
    for name, sigma in _ACTIVATIONS.items():
        derived = memory.one_layer_rate(sigma, _STATE, eigenvalues, readout, drive)
        stated = _stated_rate(parameters, sigma)
        left, right = enclose(derived, {t: time}), enclose(stated, {t: time})
        if less(left, right) or less(right, left):
            example = {"sigma": name, "t": str(time), "derived": left.lower, "stated": right.lower}
            return refuted(f"d/dt of the output differs for σ = {name}", example, Verdict.ENCLOSED)
    return inconclusive("d/dt of the output was not decided")


def _layer_simulated(parameters: Parameters, _: Context) -> Evidence:
    """Integrates the layer numerically under the Heaviside input."""
    eigenvalues, readout, drive = (np.array([float(v) for v in column]) for column in zip(*_MODES, strict=True))
    times = np.array([0.0, 0.4, 1.0, 3.0])
    pairs = []
    for name, sigma in _ACTIVATIONS.items():
        value, slope = (sp.lambdify(_STATE, f, "numpy") for f in (sigma, sp.diff(sigma, _STATE)))
        model = LayeredModel((eigenvalues,), (drive[:, None],), readout, value, slope)
        found, coarse = (heaviside_rates(model, np.ones((1, 1)), times, rtol=rtol)[0] for rtol in (1e-9, 1e-7))
        stated = sp.lambdify(t, _stated_rate(parameters, sigma), "numpy")(times)
        for time, left, right, rough in zip(times, stated, found, coarse, strict=True):
            pairs.append(Pair(f"σ = {name}, t = {time}", left, right, abs(rough - right) + 1e-9))
    return compare_floats(pairs, "the simulated d/dt of the output")


ONE_LAYER = Claim(
    id="def-2.1-nonlinear-one-layer",
    label="Definition 2.1",
    title="The memory function of one nonlinear layer",
    statement="Under the Heaviside input the state is h_t = Λ⁻¹(e^{Λt}-1)Ux, so M(Ĥ)(t) is the supremum over x of "
    "|Σ c_i σ'(h_i) e^{λ_i t}(Ux)_i|/(|x|_∞+1).",
    latex=r"\frac{d}{dt} c^T \sigma(h_t) = \sum_i c_i \, \sigma'(h_i) \, e^{\lambda_i t} (Ux)_i, \quad "
    r"h_i = \frac{e^{\lambda_i t} - 1}{\lambda_i} (Ux)_i",
    hypotheses=("λ_i ≠ 0, and the state is 0 at t = 0.", "σ is differentiable."),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"state": "(exp(lam*t)-1)/lam", "mode": "exp(lam*t)"},
    routes=(
        Route("solved state, differentiated output", Method.SYMBOLIC, _layer_exact),
        Route("simulation", Method.FLOATING, _layer_simulated),
    ),
    mutants=(
        Variant("mode of the doubled rate", {"mode": "exp(2*lam*t)"}),
        Variant("state that does not start at 0", {"state": "exp(lam*t)/lam"}),
        Variant("state of the wrong sign", {"state": "(1-exp(lam*t))/lam"}),
    ),
    theory=("theory.memory:one_layer_rate", "theory.memory:heaviside_state"),
)


# --- Definition 2.2 -------------------------------------------------------------------------------------------------

_P = sp.Symbol("p", positive=True)
_R = sp.Symbol("r", positive=True)


def _classes_exact(parameters: Parameters, _: Context) -> Evidence:
    """The limits at infinity, for symbolic r and p."""
    rate, order = (sp.sympify(parameters[k], locals={"r": _R, "p": _P}) for k in ("rate", "order"))
    exponential = memory.decay_class(memory.memory_function([sp.exp(-_R * s)]))
    evidence = compare_exact(exponential.rate, rate, {_R: 1}, "the exponential rate of e^{-rt}")
    if evidence.verdict is not Verdict.PROVED:
        return evidence
    polynomial = memory.decay_class(memory.memory_function([(1 + s) ** -_P]))
    evidence = compare_exact(polynomial.order, order, {_P: 2}, "the polynomial order of (1+t)^{-p}")
    if evidence.verdict is not Verdict.PROVED:
        return evidence
    if polynomial.exponential or polynomial.constant != 1:
        return inconclusive(f"(1+t)^-p was classified as {polynomial}")
    return proved("e^{-rt} is exponential with rate r; (1+t)^{-p} is polynomial of order p, t^p M → 1, not exponential")


def _classes_slopes(parameters: Parameters, _: Context) -> Evidence:
    """Slopes of log M against t and log t far out, M from differences of the response to a Heaviside input."""
    values = {_R: 0.7, _P: 1.6}
    rate, order = (sp.sympify(parameters[k], locals={"r": _R, "p": _P}).subs(values) for k in ("rate", "order"))
    nodes, weights = np.polynomial.legendre.leggauss(12)

    def log_memory(kernel: Callable[[Array], Array], times: Array) -> Array:
        """log of (H_{t+ε} - H_{t-ε})/2ε, ε = 1/2; for e^{-rt} it is off by a constant that drops out of slopes."""
        return np.log([float(np.dot(weights, kernel(time + nodes / 2))) / 2 for time in times])

    early, late = np.array([50.0, 900.0]), np.array([1e6, 1e8])
    seen_rate = -np.diff(log_memory(lambda u: np.exp(-0.7 * u), early))[0] / np.diff(early)[0]
    seen_order = -np.diff(log_memory(lambda u: (1 + u) ** -1.6, late))[0] / np.diff(np.log(late))[0]
    # d log(1+t)/d log t = 1 - 1/(1+t), so the second slope is off by at most p·1e-6
    pairs = [Pair("e^{-rt}", float(rate), seen_rate, 1e-9), Pair("(1+t)^-p", float(order), seen_order, 1e-5)]
    return compare_floats(pairs, "slope of log M")


CLASSES = Claim(
    id="def-2.2-classes",
    label="Definition 2.2",
    title="Exponential and polynomial kernels have exponential and polynomial memory",
    statement="The kernel e^{-rt} has exponentially decaying memory with every rate below r and none above; the kernel "
    "(1+t)^{-p} has polynomially decaying memory of order p, t^p M(t) → 1, and its memory is not exponential.",
    latex=r"e^{\beta t} e^{-rt} \to 0 \Leftrightarrow \beta < r, \qquad t^p (1+t)^{-p} \to 1",
    hypotheses=("r > 0, p > 0.",),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"rate": "r", "order": "p"},
    routes=(
        Route("limits at infinity", Method.SYMBOLIC, _classes_exact),
        Route("slopes far out", Method.FLOATING, _classes_slopes),
    ),
    mutants=(
        Variant("doubled rate", {"rate": "2*r"}),
        Variant("order one higher", {"order": "p+1"}),
        Variant("order halved", {"order": "p/2"}),
    ),
    theory=("theory.memory:decay_class",),
)


def _zero_exact(parameters: Parameters, _: Context) -> Evidence:
    """t^p M = (t^p e^{-rt})·(e^{rt}M): if e^{rt}M → 0, the limit of the product is that of t^p e^{-rt} times 0."""
    limit = sp.limit(t**_P * sp.exp(-_R * t), t, sp.oo)
    if limit != 0:
        return inconclusive(f"t^p e^(-rt) was found to tend to {limit}")
    found = memory.decay_class(sp.exp(-_R * t))
    if found.exponential and found.polynomial(zero_constant_allowed=parameters["zero_constant_allowed"]):
        return proved("e^{rt}M → 0 and t^p e^{-rt} → 0 give t^p M → 0 for every p, and 0 is an allowed constant")
    example = {"kernel": "exp(-r t)", "limit of t^p M": str(limit)}
    return refuted("t^p e^{-rt} → 0 for every p, never a positive constant", example, Verdict.PROVED)


def _zero_values(parameters: Parameters, _: Context) -> Evidence:
    """Looks at log(t^p M(t)) for M = e^{-t} and several p: does it settle where the reading allows it?"""
    times = np.array([1e3, 1e4, 1e5, 1e6])
    for order in (0.5, 1.0, 3.0, 20.0):
        logs = order * np.log(times) - times
        vanishing = bool(np.all(np.diff(logs) < -100))
        settled = bool(abs(logs[-1] - logs[-2]) < 1e-3)
        if not (settled or (vanishing and parameters["zero_constant_allowed"])):
            example = {"order": order, "log of t^p M": logs.tolist()}
            return refuted("t^p M(t) tends to no constant of the allowed kind", example, Verdict.SUPPORTED)
    return supported("t^p e^{-t} tends to an allowed constant for every order tried")


ZERO_CONSTANT = Claim(
    id="def-2.2-zero-constant",
    label="Definition 2.2",
    title="As printed, exponential memory is a case of polynomial memory",
    statement="'t^p M(t) → const' allows the constant 0; read so, every exponentially decaying memory is polynomially "
    "decaying as well. Only with a positive constant do the two classes exclude each other.",
    latex=r"e^{rt} \mathcal{M}(t) \to 0 \ (r > 0) \quad \Longrightarrow \quad "
    r"t^p \mathcal{M}(t) \to 0 \quad \forall p > 0",
    hypotheses=("The constant of Definition 2.2 may be zero.",),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"zero_constant_allowed": True},
    routes=(
        Route("limits at infinity", Method.SYMBOLIC, _zero_exact),
        Route("values far out", Method.FLOATING, _zero_values),
    ),
    mutants=(Variant("constant required to be positive", {"zero_constant_allowed": False}),),
    theory=("theory.memory:decay_class",),
)


# --- Lemma A.1 ------------------------------------------------------------------------------------------------------

_KERNELS = (sp.exp(-s), (1 + s) ** -2, sp.exp(-s) * sp.cos(2 * s), s * sp.exp(-s) - 2 * sp.exp(-3 * s))


def _recover_exact(parameters: Parameters, _: Context) -> Evidence:
    """Recovers an undetermined kernel by Leibniz' rule, then explicit ones from their integrated responses."""
    order, sign = parameters["derivative"], parameters["sign"]
    rho = sp.Function("rho")
    general = memory.recover_kernel(sp.Integral(rho(s), (s, 0, t)))
    if general != rho(t):
        return inconclusive(f"the derivative of the response of an arbitrary kernel came out as {general}")
    for kernel in _KERNELS:
        response = memory.heaviside_response([kernel], [sp.Integer(1)])
        stated = sign * sp.diff(response, t, order)
        what = f"the kernel {kernel} of the functional"
        evidence = compare_exact(kernel.subs(s, t), stated, {t: sp.Rational(1, 2)}, what)
        if evidence.verdict is not Verdict.PROVED:
            return evidence
    return proved("d/dt of the response to the unit Heaviside input is the kernel, arbitrary or explicit")


def _recover_numeric(parameters: Parameters, _: Context) -> Evidence:
    """Central differences, of the stated order, of responses found by quadrature."""
    from scipy.integrate import quad

    order, sign, step = parameters["derivative"], parameters["sign"], 1e-2
    stencil = {1: ((-1, -0.5), (1, 0.5)), 2: ((-1, 1.0), (0, -2.0), (1, 1.0))}[order]
    pairs = []
    for kernel in _KERNELS:
        density = sp.lambdify(s, kernel)
        for time in (0.5, 2.0):
            response = {k: quad(density, 0, time + k * step, epsabs=1e-13)[0] for k, _ in stencil}
            slope = sign * sum(weight * response[k] for k, weight in stencil) / step**order
            # ε²/6 sup|ρ''|, and every kernel here has |ρ''| ≤ 20
            pairs.append(Pair(f"ρ = {kernel}, t = {time}", slope, density(time), 20 * step**2 / 6 + 1e-8))
    return compare_floats(pairs, "the kernel recovered from the response")


RECOVERED = Claim(
    id="lemma-a.1-kernel",
    label="Lemma A.1",
    title="A kernel functional determines its kernel through Heaviside responses",
    statement="In the representation H_t(x) = ∫x_{t-s}·ρ(s)ds the kernel is unique: its j-th component is the "
    "derivative of the response to the Heaviside input along the j-th unit vector.",
    latex=r"\rho_j(t) = \frac{d}{dt} H_t(u^{e_j})",
    hypotheses=("ρ is integrable; the identity holds wherever ρ is continuous, and almost everywhere in general.",),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"derivative": 1, "sign": 1},
    routes=(
        Route("Leibniz' rule", Method.SYMBOLIC, _recover_exact),
        Route("quadrature and differences", Method.FLOATING, _recover_numeric),
    ),
    mutants=(
        Variant("second derivative", {"derivative": 2}),
        Variant("opposite sign", {"sign": -1}),
    ),
    theory=("theory.memory:recover_kernel", "theory.memory:heaviside_response"),
)

CLAIMS: tuple[Claim, ...] = (KERNEL, NOT_ATTAINED, ONE_LAYER, CLASSES, ZERO_CONSTANT, RECOVERED)
