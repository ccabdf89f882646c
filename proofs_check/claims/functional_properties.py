"""Definition B.1: its six properties, functionals that lack some of them, and regularity as printed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
import sympy as sp
from numpy.typing import NDArray

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
from theory import functionals
from theory.functionals import FUNCTIONALS, Functional, y
from theory.notation import n, s, t

Array = NDArray[np.float64]
Input = Callable[[Array], Array]

_LAGS = np.linspace(0.0, 40.0, 40_001)
_WEIGHTS = np.full(_LAGS.size, 2.0) + 2.0 * (np.arange(_LAGS.size) % 2)
_WEIGHTS[[0, -1]] = 1.0
_WEIGHTS *= (_LAGS[1] - _LAGS[0]) / 3.0
_NOISE = 1e-7
"""Simpson's rule at step 1e-3 on bumps of width 0.3 or more errs by (0.001/0.3)⁴ ~ 1e-10; the tail has e^-40."""


# --- an evaluator that knows only how a functional is written down ---------------------------------------------------


@dataclass(frozen=True)
class _Evaluator:
    """H_t(x) in floating point."""

    kernel: Array
    anticipating: Array
    atoms: tuple[tuple[float, float], ...]
    gain: Callable[[float], float]
    readout: Callable[[float], float]

    @classmethod
    def of(cls, functional: Functional) -> _Evaluator:
        def density(expression: sp.Expr) -> Array:
            values = sp.lambdify(s, expression, "numpy")(_LAGS)
            return np.broadcast_to(np.asarray(values, dtype=float), _LAGS.shape)

        return cls(
            density(functional.kernel),
            density(functional.anticipating),
            tuple((float(lag), float(weight)) for lag, weight in functional.atoms),
            sp.lambdify(t, functional.gain, "numpy"),
            sp.lambdify(y, functional.readout, "numpy"),
        )

    def inner(self, x: Input, time: float) -> float:
        past = np.dot(_WEIGHTS, self.kernel * x(time - _LAGS)) if self.kernel.any() else 0.0
        future = np.dot(_WEIGHTS, self.anticipating * x(time + _LAGS)) if self.anticipating.any() else 0.0
        points = sum(weight * float(x(np.array([time - lag]))[0]) for lag, weight in self.atoms)
        return float(self.gain(time)) * (float(past) + float(future) + points)

    def __call__(self, x: Input, time: float) -> float:
        return float(self.readout(self.inner(x, time)))


def _bumps(rng: np.random.Generator) -> Input:
    """A random element of C_0: three Gaussian bumps around the origin of time."""
    heights, centres = rng.normal(size=3), rng.uniform(-4, 4, size=3)
    widths = rng.uniform(0.3, 2, size=3)
    return lambda u: np.sum(
        [h * np.exp(-(((u - c) / w) ** 2)) for h, c, w in zip(heights, centres, widths, strict=True)], 0
    )


def _hat(centre: float, width: float) -> Input:
    return lambda u: np.maximum(0.0, 1.0 - np.abs(u - centre) / width)


def _scaled(factor: float, x: Input) -> Input:
    return lambda u: factor * x(u)


def _of_inner_size(h: _Evaluator, rng: np.random.Generator, time: float) -> Input:
    """Random bumps scaled so that the bracket lies between 0.5 and 4 in size, where readouts show their shape."""
    x = _bumps(rng)
    return _scaled(float(rng.choice([-1, 1]) * rng.uniform(0.5, 4)) / h.inner(x, time), x)


def _looks_linear(h: _Evaluator, rng: np.random.Generator) -> bool:
    for _ in range(8):
        x, z = _of_inner_size(h, rng, 0.4), _of_inner_size(h, rng, 0.4)
        p, q = rng.uniform(-3, 3, size=2)
        both = h(lambda u, x=x, z=z, p=p, q=q: p * x(u) + q * z(u), 0.4)  # type: ignore[misc]
        if abs(both - p * h(x, 0.4) - q * h(z, 0.4)) > _NOISE * (1 + abs(both)):
            return False
    return True


def _looks_continuous(h: _Evaluator, rng: np.random.Generator) -> bool:
    """Bisects the largest step of k ↦ H(kx) down to neighbouring inputs: a jump stays, a steep slope does not."""
    for _ in range(2):
        # H(kx) = readout(k·inner): the bracket is linear by the way it is written
        inner = h.inner(_of_inner_size(h, rng, 0.4), 0.4)
        grid = np.linspace(-8, 8, 801)
        values = np.array([float(h.readout(k * inner)) for k in grid])
        worst = int(np.abs(np.diff(values)).argmax())
        low, high = float(grid[worst]), float(grid[worst + 1])
        for _ in range(40):
            middle = (low + high) / 2
            left, centre, right = (float(h.readout(k * inner)) for k in (low, middle, high))
            low, high = (low, middle) if abs(centre - left) >= abs(right - centre) else (middle, high)
        if abs(float(h.readout(high * inner)) - float(h.readout(low * inner))) > 1e-3:
            return False
    return True


def _looks_bounded(h: _Evaluator, rng: np.random.Generator) -> bool:
    x = _of_inner_size(h, rng, 0.4)
    ratios = [abs(h(_scaled(k, x), 0.4)) / (k + 1) for k in (1e2, 1e4, 1e6, 1e8)]
    return bool(ratios[-1] < 10 * ratios[0] + 1e-12)


def _looks_causal(h: _Evaluator, rng: np.random.Generator) -> bool:
    for _ in range(4):
        time, change = float(rng.uniform(-1, 1)), float(rng.choice([-1, 1]) * rng.uniform(5, 20))
        x, later = _of_inner_size(h, rng, time), _hat(time + 1.0, 0.9)
        changed = h(lambda u, x=x, c=change, later=later: x(u) + c * later(u), time)  # type: ignore[misc]
        if abs(changed - h(x, time)) > _NOISE:
            return False
    return True


def _looks_time_homogeneous(h: _Evaluator, rng: np.random.Generator) -> bool:
    for shift in (0.7, 2.0, 5.3):
        x = _of_inner_size(h, rng, 0.0)
        if abs(h(x, 0.0) - h(lambda u, x=x, shift=shift: x(u - shift), shift)) > _NOISE:  # type: ignore[misc]
            return False
    return True


def _looks_regular(h: _Evaluator, rng: np.random.Generator) -> bool:
    """Hats of a fixed height that narrow around a lag: does H_0 die out with the width?"""
    for lag in (0.0, 1.0):
        for height in (-50.0, 1.0, 50.0):
            values = [abs(h(_scaled(height, _hat(-lag, width)), 0.0)) for width in (0.5, 0.05, 0.005)]
            # For a kernel |inner| ≤ |height|·width; the narrowest hat spans 10 steps, Simpson's rule is off by < half.
            if values[-1] > 2 * abs(height) * 0.005:
                return False
    return True


_EXPERIMENTS: dict[str, Callable[[_Evaluator, np.random.Generator], bool]] = {
    "linear": _looks_linear,
    "continuous": _looks_continuous,
    "bounded": _looks_bounded,
    "causal": _looks_causal,
    "time-homogeneous": _looks_time_homogeneous,
    "regular": _looks_regular,
}


def _compare_lacks(lacking: Iterable[str], stated: Iterable[str], reasons: dict[str, str], grade: Verdict) -> Evidence:
    lacking, stated = sorted(lacking), sorted(stated)
    if lacking != stated:
        example = {"lacks": lacking, "stated to lack": stated, "reasons": reasons}
        return refuted(f"it lacks {lacking or 'nothing'}, not {stated or 'nothing'}", example, grade)
    summary = f"it lacks {', '.join(lacking) or 'none of the six'} and has all the others"
    return proved(summary, reasons=reasons) if grade is Verdict.PROVED else supported(summary)


def _properties_exact(parameters: Parameters, _: Context) -> Evidence:
    """Decides all six properties symbolically."""
    found = functionals.properties(FUNCTIONALS[parameters["functional"]])
    lacking = [name for name, finding in found.items() if not finding.holds]
    reasons = {name: finding.reason for name, finding in found.items()}
    return _compare_lacks(lacking, parameters["lacks"], reasons, Verdict.PROVED)


def _properties_tried(parameters: Parameters, context: Context) -> Evidence:
    """Tries each property on inputs: sums of bumps, scaled, shifted, changed in the future, narrowed."""
    name = parameters["functional"]
    evaluator = _Evaluator.of(FUNCTIONALS[name])
    rng = context.rng(f"properties-{name}")
    lacking = [label for label, experiment in _EXPERIMENTS.items() if not experiment(evaluator, rng)]
    return _compare_lacks(lacking, parameters["lacks"], {}, Verdict.SUPPORTED)


_ROUTES = (
    Route("symbolic decision of all six", Method.SYMBOLIC, _properties_exact),
    Route("experiments on inputs", Method.FLOATING, _properties_tried),
)
_THEORY = (
    "theory.functionals:is_linear",
    "theory.functionals:is_continuous",
    "theory.functionals:is_bounded",
    "theory.functionals:is_causal",
    "theory.functionals:is_time_homogeneous",
    "theory.functionals:is_regular",
)
_REGULARITY = "Regularity is meant for uniformly bounded sequences of inputs (def-b.1-regular)."


_NOUNS = {
    "linear": "linearity",
    "continuous": "continuity",
    "bounded": "boundedness",
    "causal": "causality",
    "time-homogeneous": "time-homogeneity",
    "regular": "regularity",
}


def _lacking(
    name: str, functional: str, lacks: tuple[str, ...], statement: str, latex: str, mutants: tuple[Variant, ...]
) -> Claim:
    return Claim(
        id=f"def-b.1-{name}",
        label="Definition B.1",
        title=f"A functional that lacks {' and '.join(_NOUNS[name] for name in lacks)}"
        if lacks
        else "A kernel functional has all six properties",
        statement=statement,
        latex=latex,
        hypotheses=("Inputs are in C_0(R, R).", _REGULARITY),
        kind=Kind.DERIVED,
        expected=Verdict.PROVED,
        parameters={"functional": functional, "lacks": lacks},
        routes=_ROUTES,
        mutants=mutants,
        theory=_THEORY,
    )


def _nothing() -> Variant:
    return Variant("said to have all six", {"lacks": ()})


SIX = (
    _lacking(
        "kernel",
        "kernel",
        (),
        "The functional H_t(x) = ∫_0^∞ e^{-s} x_{t-s} ds is linear, continuous, bounded, causal, time-homogeneous and "
        "regular.",
        r"H_t(x) = \int_0^\infty e^{-s} x_{t-s} \, ds",
        (
            Variant("point evaluation instead", {"functional": "point"}),
            Variant("time-dependent gain", {"functional": "modulated"}),
            Variant("kernel that looks ahead", {"functional": "anticipating"}),
            Variant("squared output", {"functional": "square"}),
        ),
    ),
    _lacking(
        "linear",
        "saturated",
        ("linear",),
        "The functional tanh(∫ e^{-s} x_{t-s} ds) lacks linearity and has the other five properties.",
        r"H_t(x) = \tanh \int_0^\infty e^{-s} x_{t-s} \, ds",
        (_nothing(), Variant("without tanh", {"functional": "kernel"}), Variant("square", {"functional": "square"})),
    ),
    _lacking(
        "continuous",
        "threshold",
        ("linear", "continuous"),
        "The functional that is 1 where ∫ e^{-s} x_{t-s} ds ≥ 1 and 0 elsewhere lacks continuity, and with it "
        "linearity, and has the other four properties; linearity cannot be kept, since a bounded linear functional is "
        "continuous.",
        r"H_t(x) = 1\left[ \int_0^\infty e^{-s} x_{t-s} \, ds \geq 1 \right]",
        (
            _nothing(),
            Variant("continuity alone", {"lacks": ("continuous",)}),
            Variant("tanh", {"functional": "saturated"}),
        ),
    ),
    _lacking(
        "bounded",
        "square",
        ("linear", "bounded"),
        "The functional (∫ e^{-s} x_{t-s} ds)² lacks boundedness, and with it linearity, and has the other four "
        "properties; linearity cannot be kept, since a continuous linear functional is bounded.",
        r"H_t(x) = \left( \int_0^\infty e^{-s} x_{t-s} \, ds \right)^2",
        (
            _nothing(),
            Variant("boundedness alone", {"lacks": ("bounded",)}),
            Variant("tanh", {"functional": "saturated"}),
        ),
    ),
    _lacking(
        "causal",
        "anticipating",
        ("causal",),
        "The functional ∫_0^∞ e^{-s} x_{t+s} ds, which looks ahead, lacks causality alone.",
        r"H_t(x) = \int_0^\infty e^{-s} x_{t+s} \, ds",
        (_nothing(), Variant("looking back", {"functional": "kernel"})),
    ),
    _lacking(
        "time-homogeneous",
        "modulated",
        ("time-homogeneous",),
        "The functional cos(t)·∫ e^{-s} x_{t-s} ds lacks time-homogeneity alone.",
        r"H_t(x) = \cos(t) \int_0^\infty e^{-s} x_{t-s} \, ds",
        (_nothing(), Variant("constant gain", {"functional": "kernel"})),
    ),
    _lacking(
        "point-evaluation",
        "point",
        ("regular",),
        "The evaluation H_t(x) = x_t lacks regularity alone: it is given by a measure that is not absolutely "
        "continuous.",
        r"H_t(x) = x_t",
        (_nothing(), Variant("absolutely continuous measure", {"functional": "kernel"})),
    ),
)


# --- bounded and continuous are one property of linear functionals ---------------------------------------------------


def _homogeneous(degree: sp.Expr) -> Functional:
    """sign(y)|y|^p of a kernel functional: positively homogeneous of degree p."""
    return Functional(kernel=sp.exp(-s), readout=sp.sign(y) * sp.Abs(y) ** degree)


def _equivalence_exact(parameters: Parameters, _: Context) -> Evidence:
    """The bounds that homogeneity gives, and the functional of that degree where they fail."""
    degree = sp.Rational(parameters["degree"])
    size, constant, radius = sp.symbols("X C delta", positive=True)
    near_zero = sp.limit(functionals.homogeneous_size_upper(degree, constant, size), size, 0, "+")
    growth = sp.limit((size / radius) ** degree / (size + 1), size, sp.oo)
    if near_zero == 0 and growth.is_finite:
        return proved("2C‖x‖^p → 0 at 0, and (‖x‖/δ)^p = O(‖x‖ + 1)", growth=str(growth))
    witness = _homogeneous(degree)
    bounded, continuous = functionals.is_bounded(witness), functionals.is_continuous(witness)
    if bounded.holds == continuous.holds:
        return inconclusive(f"neither bound nor counterexample for degree {degree}")
    example = {"readout": str(witness.readout), "bounded": bounded.reason, "continuous": continuous.reason}
    return refuted(f"degree {degree} has one of the two properties alone", example, Verdict.PROVED)


def _equivalence_tried(parameters: Parameters, context: Context) -> Evidence:
    """Boundedness and continuity, tried on sign(y)|y|^p of kernel functionals."""
    degree = float(sp.Rational(parameters["degree"]))
    for rate in (0.5, 1.0, 3.0):
        rng = context.rng(f"equivalence-{rate}")

        def power(value: float) -> float:
            return float(np.sign(value) * abs(value) ** degree)

        nothing = np.zeros_like(_LAGS)
        evaluator = _Evaluator(np.exp(-rate * _LAGS), nothing, (), lambda _: 1.0, power)
        found = {"bounded": _looks_bounded(evaluator, rng), "continuous": _looks_continuous(evaluator, rng)}
        if found["bounded"] != found["continuous"]:
            return refuted(f"the two differ for ρ = e^(-{rate} s)", {"rate": rate, **found}, Verdict.SUPPORTED)
    return supported("boundedness and continuity agree for every functional of that degree tried")


EQUIVALENT = Claim(
    id="def-b.1-linear-bounded",
    label="Definition B.1",
    title="A linear functional is bounded exactly when it is continuous",
    statement="Among functionals that are positively homogeneous of degree 1, the linear ones included, bounded "
    "(|H(x)| ≤ C(‖x‖+1)) and continuous at 0 are the same; so no functional lacks continuity alone or boundedness "
    "alone.",
    latex=r"|H(x)| \leq C(\|x\|_\infty + 1), \quad H(kx) = k H(x) \quad \Longrightarrow \quad |H(x)| \leq C "
    r"\|x\|_\infty",
    hypotheses=("H(kx) = k^p H(x) for k > 0, with p = 1.", "For linear H continuity at 0 is continuity."),
    kind=Kind.DERIVED,
    expected=Verdict.PROVED,
    parameters={"degree": "1"},
    routes=(
        Route("scaling", Method.SYMBOLIC, _equivalence_exact),
        Route("powers of kernel functionals", Method.FLOATING, _equivalence_tried),
    ),
    mutants=(
        Variant("degree 0: a sign is bounded and jumps", {"degree": "0"}),
        Variant("degree 2: a square is continuous and unbounded", {"degree": "2"}),
    ),
    theory=("theory.functionals:homogeneous_size_upper",),
)


# --- regularity, as printed and amended -----------------------------------------------------------------------------


def _spikes_exact(parameters: Parameters, _: Context) -> Evidence:
    """Norms that grow: spikes as narrow as they are high. Bounded norms: Egorov and sets of vanishing measure."""
    growth = sp.Rational(parameters["norm_growth"])
    kernel = sp.sympify(parameters["kernel"], locals={"s": s})
    if growth <= 0:
        upper = sp.limit(functionals.null_set_response_upper(kernel, sp.Integer(0)), n, sp.oo)
        if upper != 0:
            return inconclusive(f"the largest response on a set of measure 2/n tends to {upper}")
        return proved(f"bounded inputs on sets of vanishing measure have vanishing responses for ρ = {kernel}; Egorov")
    response = functionals.spike_response(kernel, sp.Integer(1), sp.Integer(1)).subs(n, n**growth)
    limit = sp.limit(response, n, sp.oo)
    if limit.is_zero is not False:
        return inconclusive(f"the responses to spikes tend to {limit}")
    width = sp.simplify(2 / n**growth)
    example = {
        "kernel": str(kernel),
        "input": f"height {n**growth}, tent over the lags (1, 1 + {width})",
        "H_t(x^(n))": str(response),
        "limit": str(limit),
    }
    return refuted(f"x^(n) → 0 everywhere while H_t(x^(n)) → {limit}", example, Verdict.PROVED)


def _spikes_quadrature(parameters: Parameters, _: Context) -> Evidence:
    """Gauss quadrature of the responses to spikes of width 2n^(-q) at several lags, for several q."""
    growth = float(sp.Rational(parameters["norm_growth"]))
    density = sp.lambdify(s, sp.sympify(parameters["kernel"], locals={"s": s}), "numpy")
    nodes, weights = np.polynomial.legendre.leggauss(20)
    places = np.concatenate([(nodes + 1) / 2, (nodes + 3) / 2])  # v in (0, 1) and in (1, 2)
    tent = np.tile(weights / 2, 2) * (1 - np.abs(places - 1))
    for lag, narrowing in product((0.0, 1.0, 3.0), (0.25, 0.5, 1.0)):
        responses = []
        for count in (1e2, 1e5, 1e8):
            width = count**-narrowing
            responses.append(count**growth * width * float(np.dot(tent, density(lag + places * width))))
        if not responses[-1] < 0.1 * responses[0]:
            example = {"lag": lag, "width": f"2 n^-{narrowing}", "responses at n = 1e2, 1e5, 1e8": responses}
            return refuted("the responses to the spikes do not vanish", example, Verdict.SUPPORTED)
    return supported("the responses to the spikes vanish")


_SPIKE_ROUTES = (
    Route("limits of responses", Method.SYMBOLIC, _spikes_exact),
    Route("quadrature of responses", Method.FLOATING, _spikes_quadrature),
)

PRINTED_REGULAR = Claim(
    id="def-b.1-regular-printed",
    label="Definition B.1",
    title="Regularity as printed: almost everywhere convergence of the inputs is enough",
    statement="Every functional with an integrable kernel is regular: H_t(x^(n)) → 0 for every sequence in C_0 with "
    "x^(n) → 0 almost everywhere, however its norms grow.",
    latex=r"x^{(n)} \to 0 \ \mathrm{a.e.} \quad \Longrightarrow \quad H_t(x^{(n)}) \to 0",
    hypotheses=("x^(n) ∈ C_0.", "ρ is integrable; the counterexample has ρ(s) = e^{-s}."),
    kind=Kind.PRINTED,
    expected=Verdict.REFUTED,
    parameters={"norm_growth": "1", "kernel": "exp(-s)"},
    routes=_SPIKE_ROUTES,
    mutants=(
        Variant("norms that grow faster", {"norm_growth": "2"}),
        Variant("norms that grow more slowly", {"norm_growth": "1/2"}),
        Variant("polynomial kernel", {"kernel": "(1+s)**-2"}),
    ),
    controls=(
        Variant("bounded sequences", {"norm_growth": "0"}),
        Variant("bounded sequences, polynomial kernel", {"norm_growth": "0", "kernel": "(1+s)**-2"}),
    ),
    theory=("theory.functionals:spike_response", "theory.functionals:is_regular"),
    amended_by="def-b.1-regular",
)

REGULAR = Claim(
    id="def-b.1-regular",
    label="Definition B.1",
    title="Regularity for uniformly bounded sequences, which kernels have",
    statement="A functional with an integrable kernel has H_t(x^(n)) → 0 for every uniformly bounded sequence with "
    "x^(n) → 0 almost everywhere; for measures of lags this is absolute continuity, which is what Lemma A.1 needs. The "
    "bound cannot be weakened: norms that grow like n^q, however small q > 0, are too much.",
    latex=r"\sup_n \|x^{(n)}\|_\infty < \infty, \ x^{(n)} \to 0 \ \mathrm{a.e.} \quad \Longrightarrow \quad "
    r"H_t(x^{(n)}) \to 0",
    hypotheses=(
        "x^(n) ∈ C_0, sup ‖x^(n)‖_∞ < ∞ (norm growth n^0).",
        "ρ is integrable; the routes use ρ(s) = e^{-s}, the derivation covers every ρ.",
    ),
    kind=Kind.AMENDED,
    expected=Verdict.PROVED,
    parameters={"norm_growth": "0", "kernel": "exp(-s)"},
    routes=_SPIKE_ROUTES,
    mutants=(
        Variant("norms that grow like n", {"norm_growth": "1"}),
        Variant("norms that grow like √n", {"norm_growth": "1/2"}),
    ),
    theory=("theory.functionals:is_regular", "theory.functionals:null_set_response_upper"),
)

CLAIMS: tuple[Claim, ...] = (*SIX, EQUIVALENT, PRINTED_REGULAR, REGULAR)
