"""Explicit sequences of models for completely monotone targets: the trapezoidal rule in log x.

    ρ(t) = ∫ e^{-xt} dμ(x) ≈ Σ_k weight_k e^{-x_k t},   x_k = e^{y_0 + kh},  weight_k = h x_k μ'(x_k),  k = 0..m-1.

What the rule misses, in the norm ∫|e| + |e(0)| + ∫|e'| (that of one mode e^{-xt} is 1/x + 2), for (1+t/s)^{-p}, p > 1:

    aliasing     ≤ ε_h(p) (‖ρ‖_{L¹} + ρ(0)) + ε_h(p+1) ρ(0),  ε_h about e^{-π²/h}   (see numerics.spectral)
    slow modes     ∫_{x<a} (1/x + 2) dμ, about a^{p-1} = e^{-(p-1)|y_0|}
    fast modes     ∫_{x>b} (1/x + 2) dμ, about e^{-sb}

Balanced, π²/h = (p-1)|y_0| = L, and m = |y_0|/h + (log L)/h nodes: the error is e^{-L} up to powers of L, with
L²/((p-1)π²) + (L log L)/π² = m. So the rate is e^{-π√((p-1)m)}, reached slowly because of the second term. It is √2 in
the exponent away from the best possible e^{-π√(2(p-1)m)} (the rate of the Hankel singular values): the step that
resolves the slowest modes wastes half of the nodes. min|λ| = e^{y_0} → 0 as m grows, and Σ weight stays ρ(0).

Bounded rates. A reparameterization such as best reaches only 0 < |λ| ≤ R = 1/b. Where μ charges (R, ∞), sums of modes
with |λ_i| ≤ R cannot tend to ρ with Σ|weight_i| bounded, whatever the signs: a weak-* limit of the measures
Σ weight_i δ_{|λ_i|} would be a measure on [0, R] with the Laplace transform ρ, and there is only one, μ. With
`max_rate` all faster modes are put together at R. That keeps Σ weight, hence ρ̂(0); the error then has a positive limit.
Source: derived here; Beylkin and Monzón, Appl. Comput. Harmon. Anal. 28 (2010); Braess and Hackbusch, IMA J. Numer.
Anal. 25 (2005) for the best possible rate.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from numerics.spectral import alias_error, log_density, spectral_measure
from numerics.targets import GammaDensity, SpectralMeasure, Target

if TYPE_CHECKING:
    from torch import Tensor

    from numerics.models import DiagonalModel
    from numerics.reparameterization import Reparameterization

Array = NDArray[np.float64]

MAX_DIM = 4096
_LARGEST_LOG_STEP = 4.0
_LARGEST_LOG_RATE = 690.0  # e^{-690}: the smallest rates that are still normal doubles


def explicit_weights(target: Target, m: int, max_rate: float = math.inf) -> tuple[Array, Array]:
    """(lam, weights) of the explicit sum Σ weight_i e^{lam_i t} with m terms, slowest first, all weights positive.

    Step and first node minimize the error estimate of the module's text. Atoms of the measure are terms of their own
    while that lowers it, the largest first. A finite sum of at most m exponentials is reproduced exactly: its terms are
    split into equal parts until there are m (no mode is dead, Σ|weight| and every λ stay). Rates above `max_rate` are
    put together there.
    Shapes: both (m,). Source: derived here.
    Raises: ValueError where the target is not in L¹ or not completely monotone or 0, or m or max_rate is out of range.
    """
    if isinstance(m, bool) or not isinstance(m, int | np.integer) or not 1 <= m <= MAX_DIM:
        raise ValueError(f"m must be an integer from 1 to {MAX_DIM}, got {m!r}")
    if not max_rate > 0:
        raise ValueError(f"max_rate must be greater than 0, got {max_rate!r}")
    measure = spectral_measure(target)
    if not measure.atoms and not measure.densities:
        raise ValueError(f"target {target.spec!r} is 0: it needs no modes")
    rates, weights = _folded(*_rule(measure, m), max_rate)
    for n in range(m + 1, 2 * m + 64):  # folding has made room for more nodes
        if len(rates) >= m or not measure.densities:
            break
        more = _folded(*_rule(measure, n), max_rate)
        if len(more[0]) > m:
            break
        rates, weights = more
    rates, weights = _split(rates, weights, m)
    return -rates, weights


def explicit_model(
    target: Target,
    m: int,
    reparameterization: str | Reparameterization = "exp",
    modes: str = "plain",
    max_rate: float = math.inf,
) -> DiagonalModel:
    """The model of the explicit sum with balanced factors: one linear layer, one input, continuous time.

        plain:      c_i = u_i = √weight_i
        unit-norm:  c_i = u_i = √(weight_i/ν_i), ν = |λ|/(1+2|λ|), so that Σ c_i u_i = Σ weight_i (1/|λ_i| + 2)

    which is ‖ρ̂‖ in the norm ∫|ρ̂| + |ρ̂(0)| + ∫|ρ̂'|, the weights being positive. Both kernels are Σ weight_i e^{λ_i t}.
    Shapes: w (m,), U (m, 1), c (1, m), float64. Source: derived here.
    Raises: ValueError as `explicit_weights`; where f does not reach a rate (max_rate then keeps them in range, at the
    price of an error that does not tend to 0); for unknown modes or reparameterizations.
    """
    import torch

    from numerics.reparameterization import Reparameterization as Parameterization

    f = Parameterization(reparameterization) if isinstance(reparameterization, str) else reparameterization
    rates, weights = explicit_weights(target, m, max_rate)
    lam = torch.from_numpy(rates)
    try:
        f.inverse(lam)
    except ValueError as error:
        if f.name is None:
            raise
        raise ValueError(_out_of_reach(target, m, f.text, f.name, float(rates[-1]), str(error))) from None
    return balanced_model(rates, weights, f.inverse(lam), f, modes)


def balanced_model(lam: Array, weights: Array, w: Tensor, f: Reparameterization, modes: str) -> DiagonalModel:
    """The model of Σ weight_i e^{lam_i t}, f(w) = lam, with |c_i| = |u_i| and the signs in c.

        c_i u_i ν_i = weight_i,   ν_i = 1 (plain) or |λ_i|/(1 + 2|λ_i|) (unit-norm).

    Shapes: lam, weights, w (m,). Raises: ValueError as DiagonalModel.
    """
    import torch

    from numerics.models import DiagonalModel, Layer

    gain = lam / (2 * lam - 1) if modes == "unit-norm" else np.ones_like(lam)
    factor = torch.from_numpy(np.sqrt(np.abs(weights) / gain))
    c = factor * torch.from_numpy(np.sign(weights))
    return DiagonalModel((Layer(w, factor[:, None]),), c, f, modes=modes)


def _out_of_reach(target: Target, m: int, text: str, name: str | None, lam: float, reason: str) -> str:
    sequence = f"the explicit sequence for {target.spec!r} with m = {m}"
    start = f"reparameterization {text!r}: {sequence} needs λ down to {lam:.4g}"
    if name in ("best", "reciprocal"):
        return f"{start}, but λ is at least -1/b; take {name}:b={_floor_digits(-1 / lam)} or less, or give max_rate"
    return f"{start}, which it does not reach ({reason}); give max_rate"


def _floor_digits(value: float) -> str:
    """Two significant digits, rounded down."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return f"{math.floor(value / unit) * unit:.2g}"


def _rule(measure: SpectralMeasure, m: int) -> tuple[Array, Array]:
    """At most m rates, increasing, with their weights: atoms first where they matter most, the rest on the grid."""
    atoms = sorted(measure.atoms, key=lambda atom: -atom[1] * (1 / atom[0] + 2))
    sizes = [weight * (1 / rate + 2) for rate, weight in atoms]
    if not measure.densities:
        kept, grid = atoms[:m], np.zeros((2, 0))
    else:
        choices = range(min(len(atoms), m - 1) + 1)
        best = min(choices, key=lambda k: math.fsum(sizes[k:]) + best_grid(measure.densities, m - k)[2])
        kept = atoms[:best]
        step, first, _ = best_grid(measure.densities, m - best)
        y: Array = first + step * np.arange(m - best, dtype=np.float64)
        grid = np.array([np.exp(y), step * np.exp(log_density(measure, y))])
    rates = np.concatenate([[rate for rate, _ in kept], grid[0]])
    weights = np.concatenate([[weight for _, weight in kept], grid[1]])
    order = np.argsort(rates)
    order = order[weights[order] > 0]
    return rates[order], weights[order]


@lru_cache(maxsize=4096)
def best_grid(densities: tuple[GammaDensity, ...], n: int) -> tuple[float, float, float]:
    """(h, y_0, error estimate) of the n-node rule for the densities, minimizing the estimate of the module's text."""
    from scipy.optimize import minimize  # slow to import

    start = min(densities, key=lambda d: d.p)
    decay = math.pi * math.sqrt(max(start.p - 1, 1e-3) * n) + 1
    step = min(math.pi**2 / decay, 4.0)
    first = max(-math.log(start.s) - 0.8 * (n - 1) * step, -_LARGEST_LOG_RATE)

    def inside(point: Array) -> tuple[float, float]:
        first_node = np.clip(point[1], -_LARGEST_LOG_RATE, _LARGEST_LOG_RATE)
        return math.exp(min(point[0], _LARGEST_LOG_STEP)), float(first_node)

    def objective(point: Array) -> float:
        return math.log(grid_error_estimate(densities, n, *inside(point)))

    simplex = np.array([[0, 0], [-0.3, 0], [0, max(step, 1.0)]]) + np.array([math.log(step), first])
    options = {"initial_simplex": simplex, "xatol": 1e-4, "fatol": 1e-4, "maxiter": 400}
    best = minimize(objective, simplex[0], method="Nelder-Mead", options=options)
    return *inside(best.x), math.exp(best.fun)


def grid_error_estimate(densities: tuple[GammaDensity, ...], n: int, step: float, first: float) -> float:
    """The sum of the three errors of the module's text for the nodes y = first + k·step, k = 0..n-1.

    The sums over nodes left out are taken as integrals from half a step outside the last node kept.
    """
    from scipy.special import gammainc, gammaincc  # slow to import

    low = min(first - step / 2, _LARGEST_LOG_RATE)
    high = min(first + (n - 0.5) * step, _LARGEST_LOG_RATE)
    total = 0.0
    for d in densities:
        size = d.s / (d.p - 1)
        alias = alias_error(d.p, step) * (size + 1) + alias_error(d.p + 1, step)
        slow = size * gammainc(d.p - 1, d.s * math.exp(low)) + 2 * gammainc(d.p, d.s * math.exp(low))
        fast = size * gammaincc(d.p - 1, d.s * math.exp(high)) + 2 * gammaincc(d.p, d.s * math.exp(high))
        total += d.scale * float(alias + slow + fast)
    return total + 1e-300


def _folded(rates: Array, weights: Array, max_rate: float) -> tuple[Array, Array]:
    """All rates above max_rate put together there."""
    fast = rates > max_rate
    if not np.any(fast):
        return rates, weights
    return np.append(rates[~fast], max_rate), np.append(weights[~fast], np.sum(weights[fast]))


def _split(rates: Array, weights: Array, m: int) -> tuple[Array, Array]:
    """m terms with the same sum: each in equal parts, one more for the first ones where m is no multiple."""
    parts = np.full(len(rates), m // len(rates))
    parts[: m % len(rates)] += 1
    return np.repeat(rates, parts), np.repeat(weights / parts, parts)
