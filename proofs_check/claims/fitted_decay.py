"""Theorem 3.3 for models that were fitted: their memory functions against the sharp and the printed bound."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

import sympy as sp

from numerics.enclosure import Interval, compile_interval, enclose, less, minimum, precision
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
    enclosed,
    inconclusive,
    refuted,
    supported,
)
from theory.notation import w

if TYPE_CHECKING:
    from numerics.models import DiagonalModel

TIMES = tuple(Fraction(2) ** k for k in (-3, 0, 2, 3, 5, 6, 8, 12))
STEPS = tuple(Fraction(k) for k in (1, 2, 4, 8, 32, 64, 256))
BITS = 128
SCALED = "polynomial:p=1.5:scale=100"
"""A scale far from 1 tells |c|_2 from |c|_2², and θ from θ²."""

QUANTITIES = ("d", "l", "P", "C", "U", "theta", "r", "t")
"""Of a stated bound: inputs, layers, members of a pair (1 or 2), |c|_2, Π|νU_l|_2, |θ|_2, margin (per step), time."""


# --- the fitted models ----------------------------------------------------------------------------------------------


def _fitted(rows: list[tuple[list[str], str, str]], m: int, **settings: Any) -> list[tuple[str, DiagonalModel]]:
    """The optimal fits of (targets, f, kind of modes), with their names."""
    from numerics.fit_problem import FitProblem
    from numerics.projection_fit import fit_optimal
    from numerics.reparameterization import Reparameterization
    from numerics.targets import parse_target

    time = settings.get("time", "continuous")
    problem = FitProblem(
        tuple(tuple(parse_target(text) for text in specs) for specs, _, _ in rows),
        tuple(Reparameterization(f, time) for _, f, _ in rows),
        (0,) * len(rows),
        m,
        tuple(kind for _, _, kind in rows),
        **settings,
    )
    models = fit_optimal(problem, starts=2).models()
    names = (f"{','.join(specs)}, {f}, {kind}, m = {m}, {time}" for specs, f, kind in rows)
    return list(zip(names, models, strict=True))


@cache
def fitted_models(full: bool) -> list[tuple[str, DiagonalModel]]:
    """Fits over all named f, both kinds of modes, one and two inputs, real and complex modes, both times; and a chain.

    The chain feeds the output of one fitted layer to the same layer again: two layers.
    """
    names = ("direct", "relu", "exp", "softplus", "sigmoid", "best:b=0.05", "reciprocal:b=0.05")
    real = [([SCALED], f, "plain") for f in names] + [([SCALED], "exp", "unit-norm")]
    found = []
    for m in (2, 4, 8) if full else (3,):
        found += _fitted(real, m)
    pair = ["polynomial:p=2", "polynomial:p=2"]
    found += _fitted([(pair, "direct", "plain"), (pair, "exp", "unit-norm")], 2)
    for m in (1, 2, 4) if full else (1,):
        found += _fitted([(["airy"], "exp", "plain"), (["airy"], "direct", "plain")], m, is_complex=True)
    found += _fitted([([SCALED], f, "plain") for f in ("tanh", "best:b=1")], 2, time="discrete")
    short = _fitted([([SCALED], "direct", "plain")], 2)
    return [*found, (f"two layers of: {short[0][0]}", _chain(short[0][1]))]


def _chain(model: DiagonalModel) -> DiagonalModel:
    from numerics.model_json import model_of_json
    from numerics.models import DiagonalModel

    weights, (c,) = model.layers[0].w.tolist(), model.c.tolist()
    U = model.layers[0].U.tolist()
    between = [[row[0] * readout for readout in c] for row in U]
    text = {"layers": [{"w": weights, "U": U}, {"w": weights, "U": between}], "c": c}
    chain = model_of_json(json.dumps(text))
    if not isinstance(chain, DiagonalModel):
        raise TypeError("a diagonal model is needed")
    return chain


def _times(model: DiagonalModel) -> tuple[Fraction, ...]:
    return STEPS if model.is_discrete else TIMES


def _stated(parameters: Parameters, layers: int) -> Iterator[tuple[str, sp.Expr]]:
    """The two bounds as formulas; the number of layers goes in before SymPy can stumble over t^(l-1) at l = 1."""
    symbols = {name: sp.Symbol(name, positive=True) for name in QUANTITIES} | {"l": sp.Integer(layers)}
    for form in ("sharp", "printed"):
        yield form, sp.sympify(parameters[form], locals=symbols)


# --- floating point -------------------------------------------------------------------------------------------------


def _measured(parameters: Parameters, context: Context) -> Evidence:
    """The memory functions of the library against the stated bounds, with the library's norms of the weights."""
    import numpy as np

    from numerics.decay_bounds import theta_norm
    from numerics.memory import memory_function

    tightest: dict[str, tuple[float, str]] = {}
    for name, model in fitted_models(context.full):
        times = [float(time) for time in _times(model)]
        memory = memory_function(model, times).lower.numpy()
        margin = float(model.stability_margin)
        values = {
            "d": model.input_dim,
            "P": 2 if model.is_complex else 1,
            "C": np.linalg.norm(model.c.numpy()),
            "U": math.prod(np.linalg.norm(model.drive(index).numpy(), 2) for index in range(len(model.layers))),
            "theta": float(theta_norm(model)),
            "r": -math.log1p(-margin) if model.is_discrete else margin,
            "t": np.array(times),
        }
        for form, formula in _stated(parameters, len(model.layers)):
            symbols = sorted(formula.free_symbols, key=str)
            bound = sp.lambdify(symbols, formula)(*(values[str(symbol)] for symbol in symbols)) + 0 * memory
            seen = memory > 0  # late values underflow
            ratio = np.where(seen, bound * (1 + 1e-12) / np.where(seen, memory, 1.0), math.inf)
            worst = int(ratio.argmin())
            where = f"{name}, t = {times[worst]:g}"
            if ratio[worst] < 1:
                example = {"fit": where, "memory": float(memory[worst]), f"{form} bound": float(bound[worst])}
                return refuted(f"the memory of a fit exceeds the {form} bound", example, Verdict.SUPPORTED)
            tightest[form] = min(tightest.get(form, (math.inf, "")), (float(ratio[worst]), where))
    details = {form: {"smallest bound/memory": ratio, "at": where} for form, (ratio, where) in tightest.items()}
    return supported("no fitted model exceeds either bound", tightest=details)


# --- balls ----------------------------------------------------------------------------------------------------------


class _Balls:
    """The weights of one model as exact numbers, and what follows from them in balls."""

    def __init__(self, model: DiagonalModel) -> None:
        self.model = model
        f = compile_interval(model.reparameterization.expr, (w,))
        self.lam = [[f(Interval.of(value)) for value in layer.w.tolist()] for layer in model.layers]
        self.rates = [[-x.abs().log() if model.is_discrete else -x for x in row] for row in self.lam]
        self.c = [_complex(value) for value in model.c[0].tolist()]
        self.drives = [
            [[self._driven(value, x) for value in row] for row, x in zip(layer.U.tolist(), row_lam, strict=True)]
            for layer, row_lam in zip(model.layers, self.lam, strict=True)
        ]

    def _driven(self, value: Any, lam: Interval) -> tuple[Interval, Interval]:
        """νU; the unit-norm fits here are real and in continuous time: ν = |λ|/(1 + 2|λ|)."""
        gain = Interval.of(1) if self.model.modes == "plain" else -lam / (1 - 2 * lam)
        real, imaginary = _complex(value)
        return gain * real, gain * imaginary

    def quantities(self, time: Fraction) -> dict[str, Interval]:
        model = self.model
        weights = [x for layer in model.layers for x in (layer.w, layer.U)] + [model.c]
        weights += [layer.omega for layer in model.layers if layer.omega is not None]
        numbers = [_complex(value) for x in weights for value in x.flatten().tolist()]
        margin = self.rates[0][0]
        for rate in (rate for row in self.rates for rate in row):
            margin = minimum(margin, rate)
        norms = Interval.of(1)
        for drive in self.drives:
            norms = norms * _operator_norm(drive)
        found = {"d": model.input_dim, "P": 2 if model.is_complex else 1, "t": time}
        exact = {name: Interval.of(value) for name, value in found.items()}
        return exact | {"C": _size(self.c), "U": norms, "theta": _size(numbers), "r": margin}

    def memory(self, time: Fraction) -> Interval:
        """|ρ̂(t)|_1, of one layer or of two with equal λ."""
        total = Interval.of(0)
        for place in range(self.model.input_dim):
            terms = (self._chained if len(self.lam) > 1 else self._single)(place, time)
            kernel = Interval.of(0)
            for term in terms:
                kernel = kernel + term
            total = total + kernel.abs()
        return total

    def _single(self, place: int, time: Fraction) -> Iterator[Interval]:
        omega = self.model.layers[0].omega
        for index, rate in enumerate(self.rates[0]):
            (cr, ci), (ur, ui) = self.c[index], self.drives[0][index][place]
            decay = (-(rate * time)).exp()
            if self.model.is_discrete and self.lam[0][index].negative() and time % 2:
                decay = -decay
            real, imaginary = cr * ur - ci * ui, cr * ui + ci * ur
            if omega is None:
                yield real * decay
            else:
                angle = Interval.of(float(omega[index])) * time
                yield 2 * decay * (real * angle.cos() - imaginary * angle.sin())

    def _chained(self, place: int, time: Fraction) -> Iterator[Interval]:
        """c_i (U_2)_ij (U_1)_j (e^{λ_i t} - e^{λ_j t})/(λ_i - λ_j), with t e^{λ_i t} for i = j."""
        first, second = self.drives
        for i, slow in enumerate(self.rates[0]):
            for j, fast in enumerate(self.rates[0]):
                weight = self.c[i][0] * second[i][j][0] * first[j][place][0]
                if i == j:
                    yield weight * time * (-(slow * time)).exp()
                else:
                    yield weight * ((-(slow * time)).exp() - (-(fast * time)).exp()) / (fast - slow)


def _complex(value: Any) -> tuple[Interval, Interval]:
    number = complex(value)
    return Interval.of(number.real), Interval.of(number.imag)


def _size(numbers: list[tuple[Interval, Interval]]) -> Interval:
    total = Interval.of(0)
    for real, imaginary in numbers:
        total = total + real**2 + imaginary**2
    return total.sqrt()


def _operator_norm(rows: list[list[tuple[Interval, Interval]]]) -> Interval:
    """|U|_2 of one column, or of two real ones with squares a, b and product g: s² - s(a + b) + ab - g² = 0."""
    if len(rows[0]) == 1:
        return _size([row[0] for row in rows])
    a, b = (_size([row[k] for row in rows]) ** 2 for k in (0, 1))
    g = Interval.of(0)
    for row in rows:
        g = g + row[0][0] * row[1][0]
    return ((a + b + ((a - b) ** 2 + 4 * g**2).sqrt()) / 2).sqrt()


def _in_balls(parameters: Parameters, context: Context) -> Evidence:
    """The same fits at the same times: weights exact, everything else enclosed."""
    pairs, undecided = 0, ""
    with precision(BITS):
        for name, model in fitted_models(context.full):
            balls = _Balls(model)
            stated = list(_stated(parameters, len(model.layers)))
            for time in _times(model):
                memory, values = balls.memory(time), balls.quantities(time)
                for form, formula in stated:
                    bound = enclose(formula, {symbol: values[str(symbol)] for symbol in formula.free_symbols})
                    pairs += 1
                    if less(bound, memory):
                        example = {"fit": f"{name}, t = {time}", "memory": memory.lower, "bound": bound.upper}
                        example |= {key: value.lower for key, value in values.items()}
                        return refuted(f"the memory of a fit exceeds the {form} bound", example, Verdict.ENCLOSED)
                    if (bound - memory).lower < 0:
                        undecided = undecided or f"{name}, t = {time}: the {form} bound is not separated"
    if undecided:
        return inconclusive(undecided)
    return enclosed(f"both bounds hold in balls at {pairs} pairs of a fit and a time", pairs=pairs)


DECAY = Claim(
    id="fitted-decay-bound",
    label="Theorem 3.3",
    title="Fitted models respect the bound",
    statement="Optimal fits under every named f, with plain and with unit-norm modes, one and two inputs, real and "
    "complex modes, in continuous and in discrete time, and two fitted layers in series, have at every time tried "
    "M(Ĥ)(t) ≤ P √d |c|_2 Π|νU_l|_2 t^{ℓ-1} e^{-rt} and M(Ĥ)(t) ≤ (d+1) |θ|_2^{ℓ+1} t^{ℓ-1} e^{-rt}, r the margin.",
    latex=r"\mathcal{M}(\hat H)(t) \leq P \sqrt{d} \, |c|_2 \prod_l |\nu U_l|_2 \, t^{\ell-1} e^{-rt}",
    hypotheses=(
        "σ the identity. P = 2 for complex modes, whose output is twice a real part, otherwise 1.",
        "|θ|_2 is the Euclidean norm of all weights of the model, w and ω included.",
        "In discrete time r = -log max|λ|. Times from 1/8 to 4096, steps from 1 to 256.",
    ),
    kind=Kind.DERIVED,
    expected=Verdict.ENCLOSED,
    parameters={
        "sharp": "P*sqrt(d)*C*U*t**(l-1)*exp(-r*t)",
        "printed": "(d+1)*theta**(l+1)*t**(l-1)*exp(-r*t)",
    },
    routes=(
        Route("memory functions in floating point", Method.FLOATING, _measured),
        Route("the same fits in balls", Method.ENCLOSURE, _in_balls),
    ),
    mutants=(
        Variant("twice the rate", {"sharp": "P*sqrt(d)*C*U*t**(l-1)*exp(-2*r*t)"}),
        Variant("without |c|", {"sharp": "P*sqrt(d)*U*t**(l-1)*exp(-r*t)"}),
        Variant("without |U|", {"sharp": "P*sqrt(d)*C*t**(l-1)*exp(-r*t)"}),
        Variant("without √d", {"sharp": "P*C*U*t**(l-1)*exp(-r*t)"}),
        Variant("without t^(ℓ-1)", {"sharp": "P*sqrt(d)*C*U*exp(-r*t)"}),
        Variant("complex modes counted once", {"sharp": "sqrt(d)*C*U*t**(l-1)*exp(-r*t)"}),
        Variant("printed, twice the rate", {"printed": "(d+1)*theta**(l+1)*t**(l-1)*exp(-2*r*t)"}),
        Variant("printed, θ to the power ℓ", {"printed": "(d+1)*theta**l*t**(l-1)*exp(-r*t)"}),
    ),
    theory=("theory.curse:layer_bound", "theory.curse:printed_bound"),
)

CLAIMS = (DECAY,)
