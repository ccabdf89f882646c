"""The error of approximation E_m(0) against m: fitted models, explicit models, and the limit below which none comes.

For a power law (1+t)^{-p} the explicit sums lose a factor √2 in the exponent of e^{-κ√m} against the limit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures.figure import FigureKind, Finding
from figures.model_sizes import root_sizes
from figures.style import PAGE
from proofs_check.claim import Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from figures.figure import Canvas

TARGETS = (
    ("polynomial:p=1.5", "power law $(1+t)^{-1.5}$"),
    ("polynomial:p=2", "power law $(1+t)^{-2}$"),
    ("airy", r"Airy $\mathrm{Ai}(t-6)$"),
)
SIZES = {"quick": ((1, 2, 4, 8, 16), (1, 2, 4, 8)), "full": ((1, 2, 4, 8, 16, 32), (1, 2, 4, 6, 8, 12))}
"""m of power laws, and of Airy."""
_ROUNDING = 1e-9
"""Of norms in floating point, relative."""


@dataclass(frozen=True)
class ErrorRow:
    """E_m(0) of m states: `limit` ≤ that of every model; fitted with "real" modes or "pairs"; explicit where known."""

    m: int
    limit: float
    resolved: bool
    fitted: float
    states: str
    explicit: float | None


@dataclass(frozen=True)
class TargetErrors:
    """The errors for one target, by m; `exponent` p of a power law (1+t)^{-p}, else None."""

    spec: str
    title: str
    exponent: float | None
    rows: tuple[ErrorRow, ...]


@dataclass(frozen=True)
class ApproximationError:
    level: str
    seed: int
    targets: tuple[TargetErrors, ...]


def rates(exponent: float) -> dict[str, float]:
    """κ in e^{-κ√m} as m → ∞ for (1+t)^{-p}: π√(2(p-1)) of the limit, π√(p-1) of the explicit sums.

    Hypotheses: p > 1. Source: numerics.expsum; Braess and Hackbusch, IMA J. Numer. Anal. 25 (2005).
    """
    return {"limit": math.pi * math.sqrt(2 * (exponent - 1)), "explicit": math.pi * math.sqrt(exponent - 1)}


# Computed


def compute(level: str = "quick", *, seed: int = 0, folder: Path | None = None) -> ApproximationError:
    """Limits by Hankel singular values, errors of fits and of the trapezoidal rule, all in the norm of Definition 2.5.

    Airy is fitted with real modes for every m, and with pairs for even m.
    """
    del folder
    dims, waves = SIZES[level]
    sizes = [waves if spec == "airy" else dims for spec, _ in TARGETS]
    found = [_target_errors(spec, title, some, seed) for (spec, title), some in zip(TARGETS, sizes, strict=True)]
    return ApproximationError(level, seed, tuple(found))


def _target_errors(spec: str, title: str, dims: Sequence[int], seed: int) -> TargetErrors:
    from numerics.limit_comparison import limit_comparison
    from numerics.targets import parse_target

    target = parse_target(spec)
    rows = tuple(
        ErrorRow(
            row.limit.m, row.limit.error_lower, row.limit.resolved, row.error_fitted, row.states, row.error_explicit
        )
        for row in limit_comparison(target, dims, seed=seed).rows
    )
    return TargetErrors(spec, title, target.decay.exponent, rows)


# Drawn

_EXPLICIT, _FITTED, _LIMIT = "#888888", "#0072B2", "#000000"
_STYLES: dict[str, dict[str, Any]] = {
    "explicit": {"color": _EXPLICIT, "marker": "s", "markersize": 3.2},
    "fitted": {"color": _FITTED, "marker": "o", "markersize": 3.6},
    "limit": {"color": _LIMIT, "marker": "_", "markersize": 6},
}
_GUIDE: dict[str, Any] = {"linestyle": (0, (4, 1.5)), "linewidth": 0.8}


def plot(data: ApproximationError, axes: Sequence[Axes]) -> None:
    """One panel a target: √m to the right, so that e^{-κ√m} is straight."""
    for ax, target in zip(axes, data.targets, strict=True):
        _panel(ax, target)


def _panel(ax: Axes, target: TargetErrors) -> None:
    dims = [row.m for row in target.rows]
    ax.set_yscale("log")
    root_sizes(ax, dims, "states $m$" if target.exponent is None else "modes $m$")
    for name, look in _STYLES.items():
        values = [getattr(row, name) for row in target.rows]
        if None not in values:
            ax.plot(dims, values, linewidth=1.0, **look)
    least = min(row.limit for row in target.rows)
    ax.fill_between(dims, [row.limit for row in target.rows], least * 1e-3, color="#000000", alpha=0.07, linewidth=0)
    if target.exponent is not None:
        for name, rate in rates(target.exponent).items():
            _guide(ax, target, name, rate)
    ax.set(title=target.title, ylim=(least / 3, None), xlim=(0.6 * dims[0], 1.08 * dims[-1]))
    ax.yaxis.minorticks_off()
    ax.grid(axis="y")
    ax.set_axisbelow(True)


def _guide(ax: Axes, target: TargetErrors, name: str, rate: float) -> None:
    """A straight line of the asymptotic slope through the last point, back to a quarter of its m."""
    last = target.rows[-1]
    sizes = [last.m / 4, last.m]
    value = getattr(last, name)
    ax.plot(sizes, [value * math.exp(rate * (math.sqrt(last.m) - math.sqrt(m))) for m in sizes],
            color=_STYLES[name]["color"], **_GUIDE)  # fmt: skip


def draw(data: ApproximationError, figure: Canvas) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    axes = figure.subplots(1, len(data.targets))
    plot(data, axes.tolist())
    axes[0].set_ylabel("error $E_m(0)$")
    handles: list[Any] = [Line2D([], [], linewidth=1.0, **look) for look in _STYLES.values()]
    handles += [Patch(color="#000000", alpha=0.07, linewidth=0), Line2D([], [], color="#444444", **_GUIDE)]
    labels = ["explicit models", "fitted models", "limit", "no model", r"asymptotic slope $e^{-\kappa\sqrt{m}}$"]
    figure.legend(handles, labels, loc="outside upper center", ncols=5, columnspacing=1.4)


def size(data: ApproximationError) -> tuple[float, float]:
    return PAGE, 2.7


def caption(data: ApproximationError) -> str:
    slow = [target for target in data.targets if target.exponent is not None]
    parts = [(target.exponent, rates(target.exponent)) for target in slow if target.exponent is not None]
    slopes = ", ".join(f"{found['limit']:.3f} and {found['explicit']:.3f} for p = {p:g}" for p, found in parts)
    return (
        "Error of approximation E_m(0), in the norm ∫|e| + total variation of e of Definition 2.5, of models with m "
        "states. Limit: no stable linear model comes below σ_{m+1}(Γ_ρ) + σ_{m+1}(Γ_ρ'), singular values of the Hankel "
        "operators of ρ and of its derivative (Eckart and Young; computed in floating point). Fitted: local minima of "
        f"this norm, seed {data.seed}, each started from the fit before; of Airy the better of real modes and of pairs "
        "(two states each). Explicit: the trapezoidal rule in log λ, for completely monotone targets. The m axis "
        "is drawn in √m, so that e^(-κ√m) is straight; dashed lines through the last points have the slopes "
        f"κ = π√(2(p-1)) of the limit and π√(p-1) of the rule as m → ∞ ({slopes}), which are reached slowly."
    )


def finding(data: ApproximationError) -> Finding:
    """Refuted by a model below the limit; else how near the fits come, and whether the rule stays behind them."""
    rows = [(target, row) for target in data.targets for row in target.rows]
    for target, row in rows:
        for name, error in (("fitted", row.fitted), ("explicit", row.explicit)):
            if error is not None and error < row.limit * (1 - _ROUNDING):
                reason = (
                    f"{target.spec}, m = {row.m}: a model that is {name} has the error {error:.5g} < {row.limit:.5g}."
                )
                return Finding(Verdict.REFUTED, reason)
    lost = [f"{target.spec}, m = {row.m}" for target, row in rows if not math.isfinite(row.fitted)]
    if lost:
        return Finding(Verdict.INCONCLUSIVE, f"No fit ended as a stable model: {'; '.join(lost)}.")
    behind = all(row.explicit is None or row.explicit >= row.fitted for _, row in rows)
    gaps = "; ".join(f"{target.spec}: {_gap(target)}" for target in data.targets)
    rule = "the explicit sums never come nearer than the fits" if behind else "some explicit sums come nearer than fits"
    return Finding(
        Verdict.SUPPORTED, f"None of the models comes below the limit, and {rule}. Fitted error over limit: {gaps}."
    )


def _gap(target: TargetErrors) -> str:
    """The smallest and largest error of a fit over the limit, where that is resolved."""
    ratios = [row.fitted / row.limit for row in target.rows if row.resolved and row.limit > 0]
    return f"{min(ratios):.2g} to {max(ratios):.2g}" if ratios else "no limit is resolved"


FIGURE = FigureKind(
    name="approximation-error",
    title="Error of approximation against the number of modes",
    shows="How near do fitted and explicit models come to the limit below which no model comes?",
    claims=("unit-norm-completely-monotone", "fitted-margin-rate"),
    data=ApproximationError,
    compute=compute,
    caption=caption,
    finding=finding,
    size=size,
    draw=draw,
)
