"""The best f from its equation, and when exp is better: what lesson 5 computes and draws.

The gradient scale of a mode is the size of the derivative of its kernel in its weight w, per unit of |c||U|:

    plain modes       ‖∂_w e^{λt}‖_{L¹} = |f'|/f²                          (theory.gradient)
    unit-norm modes   ‖∂_w ν(λ)e^{λt}‖_{W^{1,∞}} = (|f'|/|f|) N(q)          (theory.unit_norm)

and the gradient over the weight is that divided by |w|. All f are compared at equal memory times τ = 1/|λ|, w = f⁻¹(λ).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from figures.demos.lesson_axes import titled_axes
from figures.figure import Finding
from figures.style import COLOURS
from proofs_check.claim import Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Array = NDArray[np.float64]

MODES = ("plain", "unit-norm")
SCALES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""a of best."""
FLOORS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""b of best."""
ORIGINS = tuple(i / 2 for i in range(-20, 21))
"""s of exp, f = -e^{w+s}."""
NAMES = ("direct", "softplus", "exp", "best", "reciprocal")
START = 2.0
"""The memory time at which the experiments of the paper start, λ = -1/2."""
SHORTEST, LONGEST = 0.05, 1e4
WINDOWS = ((1.0, 10.0), (10.0, 1000.0))
"""Memory times over which best and exp are compared: as at the start of training, and long ones."""
_POINTS = 401
_FARTHEST = 6.0
_LINES: Mapping[str, Any] = {"direct": "-.", "softplus": (0, (4, 1.5)), "reciprocal": (0, (1, 1.2))}


@dataclass(frozen=True)
class Curve:
    """One f against the memory times that it reaches, in increasing order: w, the gradient scale, and over |w|."""

    name: str
    tau: tuple[float, ...]
    w: tuple[float, ...]
    scale: tuple[float, ...]
    ratio: tuple[float, ...]

    def within(self, low: float, high: float) -> tuple[list[float], list[float]]:
        """Scales and ratios at the memory times from low to high."""
        places = [i for i, tau in enumerate(self.tau) if low <= tau <= high]
        return [self.scale[i] for i in places], [self.ratio[i] for i in places]


@dataclass(frozen=True)
class Comparison:
    """All f for one choice of a, b (of best and reciprocal), the origin s of exp, and the kind of modes."""

    a: float
    b: float
    s: float
    modes: str
    curves: tuple[Curve, ...]

    def curve(self, name: str) -> Curve:
        return next(curve for curve in self.curves if curve.name == name)


@lru_cache(maxsize=1024)
def compute(a: float, b: float, s: float, modes: str = "plain") -> Comparison:
    """The curves of all f. Raises ValueError for a, b that are not positive and another kind of modes."""
    if not (a > 0 and b > 0 and modes in MODES):
        raise ValueError(f"a, b, modes: {a:g}, {b:g}, {modes[:20]!r}; positive numbers and one of {MODES} are needed")
    return Comparison(a, b, s, modes, tuple(_curve(name, a, b, s, modes, _times(name, b)) for name in NAMES))


def at_start(comparison: Comparison) -> tuple[tuple[str, float, float, float], ...]:
    """(name, w, gradient scale, gradient over weight) at λ = -1/2 of every f that reaches it."""
    a, b, s, modes = comparison.a, comparison.b, comparison.s, comparison.modes
    rows = []
    for name in NAMES:
        if name in ("best", "reciprocal") and b >= START:
            continue
        curve = _curve(name, a, b, s, modes, np.array([START]))
        rows.append((name, curve.w[0], curve.scale[0], curve.ratio[0]))
    return tuple(rows)


def _times(name: str, b: float) -> Array:
    """Memory times, the ends of WINDOWS and b among them; those of best and reciprocal begin at b."""
    ends = [b, *(end for window in WINDOWS for end in window)]
    if name not in ("best", "reciprocal"):
        return np.union1d(np.geomspace(SHORTEST, LONGEST, _POINTS), ends)
    return np.union1d(b + np.geomspace(1e-4 * b, LONGEST - b, _POINTS), [end for end in ends if end > b])


def _curve(name: str, a: float, b: float, s: float, modes: str, tau: Array) -> Curve:
    """At the weights w = f⁻¹(-1/τ). The scale of -e^{w+s} at w is that of -e^w at w + s."""
    from numerics.reach import weights_for
    from numerics.reparameterization import Reparameterization

    spec = f"{name}:a={a:g}:b={b:g}" if name in ("best", "reciprocal") else name
    w = weights_for(Reparameterization(spec), -1 / tau).numpy()
    scale = np.broadcast_to(_scale(spec, modes)(w), tau.shape)
    if name == "exp":
        w = w - s
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = scale / np.abs(w)
    return Curve(name, *(tuple(np.asarray(x, dtype=np.float64).tolist()) for x in (tau, w, scale, ratio)))


@lru_cache(maxsize=1024)
def _scale(spec: str, modes: str) -> Callable[[Array], Any]:
    """The gradient scale as a function of w, from the expressions of the theory."""
    import sympy as sp

    from theory.formula import named
    from theory.gradient import mode_gradient_norm
    from theory.notation import w
    from theory.unit_norm import gradient_scale

    f = named(spec)
    scale: Callable[[Array], Any] = sp.lambdify(w, mode_gradient_norm(f) if modes == "plain" else gradient_scale(f))
    return scale


# What the numbers say


@dataclass(frozen=True)
class Window:
    """Best and exp over the memory times from low to high, as far as best reaches them.

    spread: the largest gradient scale over the smallest; largest: of the gradient over the weight. Both (best, exp).
    """

    low: float
    high: float
    spread: tuple[float, float]
    largest: tuple[float, float]


def window(comparison: Comparison, low: float, high: float) -> Window:
    """The numbers of `Window`. Where best begins in the window, its scale is 0 there, at w = 0."""
    begin = max(low, comparison.b)
    spreads, largest = [], []
    for name in ("best", "exp"):
        scales, ratios = comparison.curve(name).within(begin, high)
        vanishes = name == "best" and comparison.b >= low
        spreads.append(math.inf if vanishes else max(scales) / min(scales))
        passes_zero = name == "exp" and begin <= math.exp(-comparison.s) <= high
        largest.append(math.inf if passes_zero else max(ratios))
    return Window(begin, high, (spreads[0], spreads[1]), (largest[0], largest[1]))


def finding(found: Window) -> Finding:
    """Which of best and exp has the more uniform scale, and which the smaller largest gradient over weight."""
    text = (
        f"For memory times from {found.low:g} to {found.high:g}, **more uniform gradient scale: "
        f"{winner(found.spread)}** (it varies by a factor of {shown(found.spread[0])} for best, "
        f"{shown(found.spread[1])} for exp); **smaller gradient over weight: {winner(found.largest)}** (at most "
        f"{shown(found.largest[0])} for best, {shown(found.largest[1])} for exp)."
    )
    return Finding(Verdict.SUPPORTED, text)


def winner(values: tuple[float, float]) -> str:
    """Whose value is smaller, of (best, exp)."""
    best, exp = values
    if math.isclose(best, exp, rel_tol=1e-6):
        return "neither"
    return "best" if best < exp else "exp"


def shown(x: float) -> str:
    """Three digits, ∞ for infinity."""
    return "∞" if math.isinf(x) else f"{x:.3g}"


def ode_points(a: float, b: float, count: int = 13) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """w and the memory time -1/f, f from f' = 2aw f², f(0) = -1/b, solved numerically step by step.

    A second route to -1/(aw²+b): Dormand and Prince's method of order 8 with relative errors of 1e-10.
    """
    from scipy.integrate import solve_ivp

    places = np.linspace(0.0, _FARTHEST, count)
    found = solve_ivp(
        lambda w, f: 2 * a * w * f**2, (0.0, _FARTHEST), [-1 / b], "DOP853", places, rtol=1e-10, atol=1e-13
    )
    tau = (-1 / found.y[0]).tolist()
    return (*(-places[:0:-1]).tolist(), *places.tolist()), (*tau[:0:-1], *tau)


# Drawn


def draw_memory_time(comparison: Comparison, figure: Figure) -> None:
    """The memory time against w: the solution of the equation, its numerical solution, and exp."""
    ax = titled_axes(figure, "memory time against the weight")
    a, b, s = comparison.a, comparison.b, comparison.s
    for name in ("best", "exp"):
        curve = comparison.curve(name)
        ax.plot(curve.w, curve.tau, color=COLOURS[name], label=_label(name, s), linewidth=1.5)
        if name == "best":
            ax.plot([-w for w in curve.w], curve.tau, color=COLOURS[name], linewidth=1.5)
    ax.plot(*ode_points(a, b), "o", color=COLOURS["best"], markersize=3.5, label="equation solved step by step")
    ax.axhspan(SHORTEST / 10, b, color="#DDDDDD", linewidth=0, label=r"$\tau < b$: best is never here")
    ax.set(yscale="log", xlim=(-_FARTHEST, _FARTHEST), ylim=(SHORTEST / 2, 1e3))
    ax.set(xlabel="weight $w$", ylabel=r"memory time $\tau = 1/|\lambda|$")
    ax.minorticks_off()
    ax.legend(loc="upper center")


def draw_scale(comparison: Comparison, figure: Figure) -> None:
    """The gradient scale against the memory time."""
    ax = titled_axes(figure, f"gradient scale, {comparison.modes} modes")
    _against_time(ax, comparison, "scale")
    ax.set_ylabel("gradient scale")


def draw_ratio(comparison: Comparison, figure: Figure) -> None:
    """The gradient scale over |w| against the memory time."""
    ax = titled_axes(figure, f"gradient over weight, {comparison.modes} modes")
    _against_time(ax, comparison, "ratio")
    ax.set_ylabel("gradient scale over $|w|$")


def _against_time(ax: Axes, comparison: Comparison, field: str) -> None:
    for curve in comparison.curves:
        line = _LINES.get(curve.name, "-")
        width = 1.7 if curve.name in ("best", "exp") else 0.9
        values = getattr(curve, field)
        ax.plot(curve.tau, values, linestyle=line, color=COLOURS[curve.name], linewidth=width, label=curve.name)
    ax.axvline(START, color="#777777", linestyle=":", linewidth=0.8)
    ax.set(xscale="log", yscale="log", xlim=(SHORTEST, LONGEST), ylim=(1e-4, 1e5))
    ax.set_xlabel(r"memory time $\tau = 1/|\lambda|$")
    ax.minorticks_off()
    ax.legend(loc="upper left", ncols=2)


def _label(name: str, s: float) -> str:
    if name == "best":
        return r"best, $\tau = aw^2 + b$"
    return rf"exp, $\lambda = -e^{{w{s:+g}}}$" if s else r"exp, $\lambda = -e^w$"
