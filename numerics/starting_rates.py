"""Where a fit starts: rates spread smoothly over the time scales of the target, perturbed by the seed of a row.

Real modes, x = log rate (λ = -e^x, in discrete time λ = exp(-e^x)). The best sums of exponentials have rates that
follow a smooth curve x(u), u the place of a mode in [-1, 1]. So the start is found among curves with few parameters:

    1. x linear in u, on a grid of both ends;
    2. from the best of these, Chebyshev polynomials of degree 5, then 11, their coefficients by Levenberg-Marquardt
       (the Jacobian by the coefficients is that by x times the polynomials).

Rows leave it by perturbations of the curve, smooth ones for even starts and mode by mode for odd ones. Rough ones alone
would not do: for m = 16 and (1+t)^{-1.5} they start with a hundred times the error of the curve and mostly end in
local minima, where two rates have met. The slowest rate has a coefficient of its own, since before a finite horizon the
best one may tend to 0 and leave the curve.

With fits of fewer modes at hand a start takes their curve with new places in it, and another one keeps their rates and
adds new ones in the widest gaps: its loss is no larger from the first step on.
Source: derived here.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from numerics.kernel_columns import KernelColumns
from numerics.levenberg_marquardt import DIVERGED, Evaluation, minimize, start_search
from numerics.projection import project
from numerics.rate_evaluation import Evaluator, RateMap
from numerics.reach import largest_rate
from numerics.reparameterization import Reparameterization
from numerics.targets import Target

Array = NDArray[np.float64]

_ENDS = 16
"""Grid points of each end of a linear spread."""
_DEGREES = (5, 11)
_CURVE_STEPS = 30
_CURVES = 3
_SET_ASIDE_EVERY = 4
_SLIGHT = 0.02
_INSIDE = 0.9
"""How far inside the range of f a start stays, where f is bounded: at the end f' may vanish."""


def row_generator(seed: int, m: int, targets: Sequence[Target]) -> np.random.Generator:
    """Random numbers of one row, the same in whatever batch it stands."""
    text = "\n".join(target.spec for target in targets)
    return np.random.default_rng([seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF, m, zlib.crc32(text.encode())])


def fastest_start(f: Reparameterization) -> float:
    """The largest rate of a start that f reaches: -λ, in discrete time -log λ."""
    if f.time == "continuous":
        return _INSIDE * largest_rate(f)
    zero = torch.zeros((), dtype=torch.float64)
    least = float(f.bounds(zero, 700.0)[0])
    return _INSIDE * -math.log(least) if least > 0 else math.inf


def slowest_start(f: Reparameterization) -> float:
    """The smallest rate of a start that f reaches, 0 where there is none."""
    nearest = float(f.bounds(torch.zeros((), dtype=torch.float64), 700.0)[1])
    if f.time == "continuous":
        return max(0.0, -nearest) / _INSIDE
    return -math.log(nearest) / _INSIDE if 0 < nearest < 1 else 0.0


def smooth_rates(
    columns: KernelColumns, targets: Sequence[Target], fastest: float = math.inf, slowest: float = 0.0
) -> Array:
    """Log rates of the best smooth spreads found, best first: (S, m), none faster or slower than stated."""
    m = columns.columns
    spreads = _linear_spreads(columns, targets, min(fastest, columns.fastest_start), slowest)
    device, dtype = columns.target.device, columns.target.dtype
    kind = Reparameterization("exp", "discrete" if columns.is_discrete else "continuous")
    rates = RateMap([kind], m, is_complex=False, is_discrete=columns.is_discrete, device=device)
    evaluator = Evaluator(columns, rates)
    x = torch.from_numpy(spreads).to(device, dtype)
    none = torch.zeros(len(x), dtype=torch.long, device=device)
    loss = torch.cat([_losses(evaluator, part, none[: len(part)]) for part in torch.split(x, 256)])
    x = x[torch.argsort(loss)[:_CURVES]]
    places = torch.linspace(-1, 1, m, device=device, dtype=dtype)
    for degree in _DEGREES:
        if degree < m:
            x = _bent(evaluator, x, places, degree, (slowest, fastest))
    order = torch.argsort(_losses(evaluator, x, none[: len(x)]))
    return np.sort(x[order].cpu().double().numpy(), axis=1)


def _losses(evaluator: Evaluator, x: Tensor, rows: Tensor) -> Tensor:
    lam, phi, _ = evaluator.rates(x, rows)
    loss = project(evaluator.columns.system(lam)[0], evaluator.columns.columns, phi).loss
    return torch.where(torch.isfinite(loss) & evaluator.columns.allows(lam), loss, math.inf)


def _linear_spreads(columns: KernelColumns, targets: Sequence[Target], fastest: float, slowest: float) -> Array:
    """Linear in u between ends on two grids, (G, m)."""
    m, scale = columns.columns, columns.unit
    scales = [s / scale for target in targets for s in target.time_scales]
    slow = max(1.5 * columns.rates[0], 0.1 / columns.last_time, 1.01 * slowest)
    fast = max(min(2e3 / min(scales), fastest), 4 * slow)
    starts = np.log(np.geomspace(slow, max(min(1 / min(scales), fast / 2), 2 * slow), _ENDS))
    ends = np.log(np.geomspace(max(min(0.5 / max(scales), fast / 2), 1.5 * slow), fast, _ENDS))
    if m == 1:
        return np.unique(np.concatenate([starts, ends]))[:, None]
    pairs = [(a, b) for a in starts for b in ends if b > a + 0.1]
    return np.stack([np.linspace(a, b, m) for a, b in pairs])


def _bent(evaluator: Evaluator, x: Tensor, places: Tensor, degree: int, ends: tuple[float, float]) -> Tensor:
    """The curves, as polynomials of this degree, after some steps of Levenberg-Marquardt on their coefficients."""
    basis = torch.stack([torch.cos(k * torch.acos(places.clamp(-1, 1))) for k in range(degree + 1)], dim=1)
    if degree + 1 < len(places):
        basis = torch.cat([basis, torch.eye(len(places), 1).to(basis)], dim=1)
    start = torch.linalg.lstsq(basis, x.mT, driver="gels").solution.mT

    def evaluate(theta: Tensor, rows: Tensor) -> Evaluation:
        curve = theta @ basis.mT
        full = evaluator(curve, torch.zeros_like(rows))
        return full._replace(
            allowed=full.allowed & ((curve.exp() >= ends[0]) & (curve.exp() <= ends[1])).all(-1),
            normal=basis.mT @ full.normal @ basis,
            hessian=basis.mT @ full.hessian @ basis,
            gradient=full.gradient @ basis,
            speed=full.speed.abs() @ basis.abs(),
        )

    first = start_search(evaluate, start)
    end = minimize(evaluate, first, _CURVE_STEPS, 1e-3, _SET_ASIDE_EVERY if x.device.type == "cpu" else 0)
    better = torch.isfinite(end.loss)[:, None] & (end.result != DIVERGED)[:, None]
    return torch.where(better, end.theta @ basis.mT, x)


def perturbed_rates(curves: Array, start: int, generator: np.random.Generator) -> Array:
    """Log rates of one start of one row, (m,), increasing: a curve of `smooth_rates`, perturbed.

    Start 0 is the best curve moved by a fiftieth of the mean gap; later ones take the others in turn and move by more.
    """
    x = curves[start % len(curves)]
    m = len(x)
    gap = (x[-1] - x[0]) / (m - 1) if m > 1 else 1.0
    size = gap * (_SLIGHT if start == 0 else 0.3 * math.sqrt(1 + start))
    if start % 2:
        return np.sort(x + size * generator.standard_normal(m))
    places = np.linspace(-1, 1, m) if m > 1 else np.zeros(1)
    return np.sort(x + size * np.polynomial.chebyshev.chebval(places, generator.standard_normal(min(m, 4))))


# From fewer modes


def warm_rates(known: NDArray[Any], m: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Two starts with m modes from n ≤ m fitted ones: the same curve with m places, and the old ones with new ones.

    known (n,): real λ, in discrete time log λ, complex where λ < 0. New log rates lie beyond the slow end, then halve
    the widest gap, again and again.
    """
    old = np.sort(np.log(-known.real))
    n = len(old)
    gap = (old[-1] - old[0]) / (n - 1) if n > 1 else 2.0
    padded = np.concatenate([[old[0] - gap], old, [old[-1] + gap]])
    curve = np.interp(np.linspace(-0.5, n - 0.5, m) if n < m else np.arange(n), np.arange(-1, n + 1), padded)
    spread, new = list(old), list[float]()
    while len(spread) < m:
        gaps = np.diff(spread)
        place = int(np.argmax(gaps)) if new and len(gaps) else -1
        added = (spread[place] + spread[place + 1]) / 2 if place >= 0 else spread[0] - gap
        spread.insert(place + 1, added)
        new.append(-math.exp(added))
    return -np.exp(curve), np.concatenate([known, new])


def within(
    start: NDArray[Any], columns: KernelColumns, fastest: float, slowest: float = 0.0, warm: bool = False
) -> NDArray[Any]:
    """λ of a start (in discrete time log λ) at rates that the nodes resolve and f reaches, warm ones up to the end."""
    slow = max(columns.rates[0] * (1 + 1e-6 if warm else 1.01), slowest * (_INSIDE * (1 + 1e-6) if warm else 1.01))
    fast = min(fastest / _INSIDE, columns.fastest_start / _INSIDE) * (1 - 1e-6 if warm else _INSIDE)
    clipped: NDArray[Any] = -np.clip(-start.real, slow, max(fast, slow)) + 1j * start.imag
    return clipped


# To weights
