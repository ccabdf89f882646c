"""The spectral margin min|λ| of fitted models against m: it vanishes whatever f is, for power laws like e^{-κ√m}.

Without reparameterization the perturbed error is finite up to the margin only; the margins themselves are no other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from figures.figure import FigureKind, Finding
from figures.model_sizes import MARKS, root_sizes
from figures.style import PAGE, looks
from numerics.margin_rate import MarginRate, margin_rate
from proofs_check.claim import Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from figures.figure import Canvas
    from numerics.models import DiagonalModel
    from numerics.targets import Target

EXPONENTS = (1.5, 2.0, 3.0)
REPARAMS = ("direct", "softplus", "exp", "best:b=0.02")
SIZES = {"quick": (1, 2, 4, 8, 16), "full": (1, 2, 4, 8, 16, 32)}
_STEPS = 500
"""Of the search for the best rates: 100 are too few from m = 24 on."""
_ROUNDING = 1e-9
_SAME = 0.01
"""Margins of different f that count as equal, relatively: fits end within their tolerance."""


@dataclass(frozen=True)
class FittedMargin:
    """min|λ| of the fit with m modes to (1+t)^{-p}; `upper` is the least bound on it by its error over many times.

    converged: whether the search for the best rates came to its end.
    """

    exponent: float
    reparam: str
    m: int
    margin: float
    upper: float
    converged: bool


@dataclass(frozen=True)
class ExplicitMargin:
    """min|λ| of the trapezoidal rule."""

    exponent: float
    m: int
    margin: float


@dataclass(frozen=True)
class Prediction:
    """κ in min|λ| ≈ e^{-κ√m} for the fits with the least ∫|e|²."""

    exponent: float
    rate: float


@dataclass(frozen=True)
class StabilityMargin:
    level: str
    seed: int
    fitted: tuple[FittedMargin, ...]
    explicit: tuple[ExplicitMargin, ...]
    predictions: tuple[Prediction, ...]

    @property
    def reparams(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(row.reparam for row in self.fitted))

    @property
    def dims(self) -> tuple[int, ...]:
        return tuple(sorted({row.m for row in self.fitted}))

    def margins(self, exponent: float, reparam: str) -> dict[int, float]:
        """The margin for every m."""
        some = [row for row in self.fitted if (row.exponent, row.reparam) == (exponent, reparam)]
        return {row.m: row.margin for row in sorted(some, key=lambda row: row.m)}


# Computed


def compute(level: str = "quick", *, seed: int = 0, folder: Path | None = None) -> StabilityMargin:
    """Fits in L² for every p and f, the margins of the trapezoidal rule, and the predicted rates."""
    import sympy as sp

    from numerics.expsum import explicit_weights
    from numerics.targets import parse_target
    from theory.margins import equal_share_rate

    del folder
    dims = SIZES[level]
    targets = {p: parse_target(f"polynomial:p={p:g}") for p in EXPONENTS}
    fitted = [row for m in dims for row in _fitted_margins(targets, m, seed)]
    explicit = [ExplicitMargin(p, m, float(-explicit_weights(targets[p], m)[0].max())) for p in EXPONENTS for m in dims]
    rates = [Prediction(p, float(equal_share_rate(sp.nsimplify(p) - sp.Rational(1, 2)))) for p in EXPONENTS]
    return StabilityMargin(level, seed, tuple(fitted), tuple(explicit), tuple(rates))


def _fitted_margins(targets: dict[float, Target], m: int, seed: int) -> Iterator[FittedMargin]:
    """One batch of fits, all p and f."""
    from numerics.fit_problem import FitProblem, Result
    from numerics.projection_fit import fit_optimal
    from numerics.reparameterization import Reparameterization

    rows = [(p, f) for p in EXPONENTS for f in REPARAMS]
    problem = FitProblem(
        tuple((targets[p],) for p, _ in rows),
        tuple(Reparameterization(f) for _, f in rows),
        (seed,) * len(rows),
        m,
        ("plain",) * len(rows),
    )
    fits = fit_optimal(problem, starts=2, steps=_STEPS)
    for (p, f), model, result in zip(rows, fits.models(), fits.results(), strict=True):
        margin = float(model.stability_margin)
        yield FittedMargin(p, f, m, margin, _upper(targets[p], model), result is Result.CONVERGED)


def _upper(target: Target, model: DiagonalModel) -> float:
    """The least of both bounds of theory.margins on min|λ| over 200 times: by the value of ρ, and by its tail."""
    from numerics.norms import kernel_norms

    coefficients, lam = (model.c[0] * model.drive()[:, 0]).numpy(), model.lam().numpy()
    norms = kernel_norms(target, coefficients[None], lam[None])
    times = np.geomspace(0.1, 100 / -lam.max(), 200)
    left = np.array([target.tail(float(time)).lower for time in times])
    by_value, by_tail = _bounds()
    with np.errstate(invalid="ignore", divide="ignore"):  # at times where a bound says nothing
        bounds = np.concatenate([
            by_value(np.abs(coefficients).sum(), target.rho(times), norms.change[0], times),
            by_tail(np.abs(coefficients / lam).sum(), left, norms.size[0], times),
        ])  # fmt: skip
    return float(bounds[np.isfinite(bounds)].min(initial=math.inf))


@cache
def _bounds() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """By the value: of Σ|a_i|, |ρ(t)|, the variation of e, t; by the tail: of Σ|a_i/λ_i|, ∫_t^∞|ρ|, ∫|e|, t."""
    import sympy as sp

    from theory import margins
    from theory.notation import t

    value, tail = sp.symbols("rho R", positive=True)
    by_value = sp.lambdify([margins.size, value, margins.variation, t], margins.margin_upper(value), "numpy")
    by_tail = sp.lambdify([margins.memory, tail, margins.error, t], margins.margin_upper_by_tail(tail), "numpy")
    return by_value, by_tail


# Decided


def rates(data: StabilityMargin, exponent: float, reparam: str) -> MarginRate | None:
    """The extrapolated slope of log(1/min|λ|) in √m."""
    return margin_rate(data.margins(exponent, reparam))


def finding(data: StabilityMargin) -> Finding:
    """Refuted by a margin above its bound; else whether margins fall, agree over f, and have the predicted rate."""
    for row in data.fitted:
        if row.margin > row.upper * (1 + _ROUNDING):
            where = f"p = {row.exponent:g}, {row.reparam}, m = {row.m}"
            return Finding(
                Verdict.REFUTED, f"The margin {row.margin:.5g} exceeds its bound {row.upper:.5g} at {where}."
            )
    doubts, texts = list(_doubts(data)), []
    for prediction in data.predictions:
        found = rates(data, prediction.exponent, data.reparams[0])
        if found is None:
            return Finding(Verdict.INCONCLUSIVE, "Fewer than three m that are 1.4 times apart show no rate.")
        low, high = found.interval
        texts.append(
            f"{found.rate:.3f} in [{low:.3f}, {high:.3f}] for p = {prediction.exponent:g} ({prediction.rate:.3f})"
        )
    measured = f"extrapolated κ and predicted one: {', '.join(texts)}"
    if doubts:
        return Finding(Verdict.INCONCLUSIVE, f"{'; '.join(doubts)}; {measured}.")
    return Finding(
        Verdict.SUPPORTED,
        f"Margins fall with every m, stay below their bounds, and are those of every f to {100 * _spread(data):.1g} %; "
        f"{measured}.",
    )


def _doubts(data: StabilityMargin) -> Iterator[str]:
    short = sum(not row.converged for row in data.fitted)
    if short:
        yield f"{short} of {len(data.fitted)} fits did not converge"
    for prediction in data.predictions:
        p = prediction.exponent
        for f in data.reparams:
            found = rates(data, p, f)
            if not all(a > b for a, b in pairwise(data.margins(p, f).values())):
                yield f"the margins of {f} for p = {p:g} do not fall with every m"
            if found is not None and not found.interval[0] <= prediction.rate <= found.interval[1]:
                yield f"the interval of {f} for p = {p:g} does not hold the predicted κ"
    if _spread(data) > _SAME:
        yield f"margins of different f are up to {100 * _spread(data):.2g} % apart"


def _spread(data: StabilityMargin) -> float:
    """The largest relative distance of margins of two f, at the same p and m."""
    groups: dict[tuple[float, int], list[float]] = {}
    for row in data.fitted:
        groups.setdefault((row.exponent, row.m), []).append(row.margin)
    return max(max(some) / min(some) - 1 for some in groups.values())


# Drawn

_APART = 3.4
"""Points by which the marks of neighbouring f stand apart."""
_EXPLICIT: dict[str, Any] = {"color": "#BBBBBB", "linewidth": 1.6}
_BOUND: dict[str, Any] = {"color": "#444444", "linestyle": "", "marker": "_", "markersize": 9, "markeredgewidth": 1.0}
_GUIDE: dict[str, Any] = {"color": "#444444", "linestyle": (0, (4, 1.5)), "linewidth": 0.9}
_STAR: dict[str, Any] = {"marker": "*", "markersize": 8, "markerfacecolor": "white", "markeredgewidth": 0.8}
_SHADES = ("#08306B", "#2B83BF", "#5FA8D3")


def plot(data: StabilityMargin, axes: Sequence[Axes]) -> None:
    """One panel a p, and one of the slopes of all."""
    *panels, last = axes
    for ax, prediction in zip(panels, data.predictions, strict=True):
        _panel(ax, data, prediction)
    _slopes(last, data)


def _panel(ax: Axes, data: StabilityMargin, prediction: Prediction) -> None:
    from matplotlib.transforms import ScaledTranslation

    p = prediction.exponent
    ax.set_yscale("log")
    root_sizes(ax, data.dims)
    rule = [row for row in data.explicit if row.exponent == p]
    ax.plot([row.m for row in rule], [row.margin for row in rule], **_EXPLICIT)
    bounds = [max(row.upper for row in data.fitted if (row.exponent, row.m) == (p, m)) for m in data.dims]
    ax.plot(data.dims, bounds, **_BOUND)
    for place, reparam in enumerate(data.reparams):
        margins = data.margins(p, reparam)
        points = (place - (len(data.reparams) - 1) / 2) * _APART
        beside = ax.transData + ScaledTranslation(points / 72, 0, ax.figure.dpi_scale_trans)
        ax.plot(list(margins), list(margins.values()), transform=beside, zorder=3, **_marks(data)[reparam])
    last, margin = data.dims[-1], data.margins(p, data.reparams[0])[data.dims[-1]]
    sizes = [last / 8, last]
    ax.plot(sizes, [margin * math.exp(prediction.rate * (math.sqrt(last) - math.sqrt(m))) for m in sizes], **_GUIDE)
    ax.set(title=f"fits of $(1+t)^{{-{p:g}}}$", xlim=(0.5 * data.dims[0], 1.1 * last))
    ax.yaxis.minorticks_off()
    ax.grid(axis="y")
    ax.set_axisbelow(True)


def _marks(data: StabilityMargin) -> dict[str, dict[str, Any]]:
    look = looks(data.reparams)
    common: dict[str, Any] = {"linestyle": "", "markersize": 3.6, "markeredgewidth": 0.0}
    return {f: {**common, "color": look[f]["color"], "marker": MARKS[i]} for i, f in enumerate(data.reparams)}


def _slopes(ax: Axes, data: StabilityMargin) -> None:
    """Slopes between neighbouring m against 1/√m at their middle, their extrapolation to 0, and the prediction."""
    for prediction, colour in zip(data.predictions, _SHADES, strict=True):
        margins = data.margins(prediction.exponent, data.reparams[0])
        places, slopes = _steps(margins)
        ax.plot(places, slopes, color=colour, marker="o", markersize=3.2, linewidth=1.0)
        found = margin_rate(margins)
        if found is not None:
            low, high = found.interval
            ax.plot([0, places[-1]], [found.rate, slopes[-1]], color=colour, linewidth=0.8, linestyle=(0, (1, 1.4)))
            ax.vlines([0], [low], [high], color=colour, linewidth=1.6, clip_on=False)
        ax.plot([0], [prediction.rate], color=colour, clip_on=False, zorder=5, **_STAR)
        ax.annotate(f"$p = {prediction.exponent:g}$", (places[0], slopes[0]), (4, 0), textcoords="offset points",
                    va="center", color=colour)  # fmt: skip
    ax.set(xlabel=r"$1/\sqrt{m}$", ylabel=r"slope of $\log(1/\min|\lambda|)$ in $\sqrt{m}$", xlim=(-0.03, 1.02))
    ax.grid(axis="y")
    ax.set_axisbelow(True)


def _steps(margins: dict[int, float]) -> tuple[list[float], list[float]]:
    """(1/√m at the middle, slope) of neighbouring m, as numerics.margin_rate finds them for three at a time."""
    dims = list(margins)
    found = [margin_rate({m: margins[m] for m in dims[i : i + 3]}) for i in range(len(dims) - 2)]
    steps = {
        2 / (math.sqrt(a) + math.sqrt(b)): slope
        for rate in found
        if rate is not None
        for (a, b), slope in zip(pairwise(rate.dims), rate.slopes, strict=True)
    }
    return list(steps), list(steps.values())


def draw(data: StabilityMargin, figure: Canvas) -> None:
    from matplotlib.lines import Line2D

    axes = figure.subplots(2, 2)
    plot(data, axes.ravel().tolist())
    for ax in (axes[0, 0], axes[1, 0]):
        ax.set_ylabel(r"spectral margin $\min|\lambda|$")
    handles = [Line2D([], [], **look) for look in _marks(data).values()]
    handles += [Line2D([], [], **look) for look in (_BOUND, _EXPLICIT, _GUIDE)]
    handles += [Line2D([], [], linestyle="", color=_SHADES[0], **_STAR)]
    labels = [
        *data.reparams,
        "bound by the error",
        "explicit",
        r"predicted $e^{-\kappa\sqrt{m}}$",
        r"predicted $\kappa$",
    ]
    figure.legend(handles, labels, loc="outside upper center", ncols=4, columnspacing=2.2)


def size(data: StabilityMargin) -> tuple[float, float]:
    return PAGE, 4.9


def caption(data: StabilityMargin) -> str:
    return (
        f"Spectral margin min|λ| of models fitted to (1+t)^(-p) with the least ∫|e|² (optimal rates under "
        f"{', '.join(data.reparams)}, side by side; seed {data.seed}) and of the explicit sums (grey); the m axis is "
        "drawn in √m. The error of a fit bounds its margin from above (short bars): min|λ| ≤ log(S/(|ρ(t)| - V/2))/t "
        "and ≤ log(A/(∫_t^∞|ρ| - ε))/t for every t (PROVED, fitted-margin-shrinks). Dashed: the predicted slope "
        "κ = π√(2/(p-1/2)) as m → ∞ (SUPPORTED, fitted-margin-rate-l2), through the last point. Last panel: slopes "
        "between neighbouring m, extrapolated to m = ∞ with an interval (bar), and the predicted κ (star). With λ = w "
        "the perturbed error is infinite from β = min|λ| on (PROVED, thm-3.3-boundary)."
    )


FIGURE = FigureKind(
    name="stability-margin",
    title="Spectral margin against the number of modes",
    shows="How fast do the margins of fitted models vanish, and does f change that?",
    claims=("fitted-margin-shrinks", "fitted-margin-rate", "fitted-margin-rate-l2", "thm-3.3-boundary"),
    data=StabilityMargin,
    compute=compute,
    caption=caption,
    finding=finding,
    size=size,
    draw=draw,
)
