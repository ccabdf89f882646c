"""The spectral measure of a completely monotone kernel, and its trapezoidal rule in log x.

    ρ(t) = ∫_0^∞ e^{-xt} dμ(x),    μ = Σ_i weight_i δ_{rate_i} + Σ_j scale_j s_j^{p_j} x^{p_j-1} e^{-s_j x}/Γ(p_j) dx,

so that the density (p, s, scale) alone is the kernel scale·(1+t/s)^{-p}; it is in L¹ exactly for p > 1.

The rule. With x = e^y, g(y) = e^{-e^y t} μ'(e^y) e^y and nodes y = kh, k over all integers, Poisson summation gives

    h Σ_k g(kh) = Σ_k ĝ(2πk/h),   ĝ(ω) = ∫ g(y) e^{-iωy} dy = scale s^p Γ(p-iω)/Γ(p) · (s+t)^{-p+iω},

whose term k = 0 is ρ(t). Hence the rule with all nodes misses the kernel by at most a fixed fraction of it,

    |ρ_h(t) - ρ(t)| ≤ ε_h(p) ρ(t) for every t ≥ 0,   ε_h(p) = 2 Σ_{k≥1} |Γ(p + 2πik/h)|/Γ(p),

about e^{-π²/h} for small h, wherever the grid lies: a shift of the nodes only turns the phases.
-ρ' has the spectral measure x dμ: the density (p, s, scale) becomes (p+1, s, scale·p/s).
Source: derived here; the rule is that of Beylkin and Monzón, Appl. Comput. Harmon. Anal. 28 (2010).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from numerics.targets import Exponential, GammaDensity, Polynomial, SpectralMeasure, Target

Array = NDArray[np.float64]


def spectral_measure(target: Target) -> SpectralMeasure:
    """The spectral measure of a completely monotone, integrable target, without terms of weight 0.

    Raises: ValueError where the target is not integrable, or not (known to be) completely monotone.
    """
    target.require_integrable()
    if target.measure is None:
        raise ValueError(f"target {target.spec!r} is not completely monotone: it has no positive spectral measure")
    atoms = tuple(atom for atom in target.measure.atoms if atom[1] > 0)
    return SpectralMeasure(atoms, tuple(density for density in target.measure.densities if density.scale > 0))


def signed_measure(target: Target) -> tuple[SpectralMeasure, SpectralMeasure] | None:
    """(μ₊, μ₋) with ρ(t) = ∫ e^{-xt} d(μ₊ - μ₋), for sums of exponential and polynomial kernels; None for others."""
    parts: dict[bool, list[SpectralMeasure]] = {True: [], False: []}
    for term in target.terms:
        if not isinstance(term, Exponential | Polynomial):
            return None
        positive = replace(term, scale=abs(term.scale)).measure
        if positive is not None and term.scale:
            parts[term.scale > 0].append(positive)
    both = [_union(parts[sign]) for sign in (True, False)]
    return both[0], both[1]


def _union(measures: list[SpectralMeasure]) -> SpectralMeasure:
    return SpectralMeasure(
        tuple(atom for measure in measures for atom in measure.atoms),
        tuple(density for measure in measures for density in measure.densities),
    )


def slope_measure(measure: SpectralMeasure) -> SpectralMeasure:
    """x dμ(x), the spectral measure of -ρ'."""
    atoms = tuple((rate, rate * weight) for rate, weight in measure.atoms)
    densities = (GammaDensity(d.p + 1, d.s, d.scale * d.p / d.s) for d in measure.densities)
    return SpectralMeasure(atoms, tuple(densities))


def mass_over_rate(measure: SpectralMeasure) -> float:
    """‖ρ‖_{L¹} = ∫ dμ(x)/x."""
    atoms = [weight / rate for rate, weight in measure.atoms]
    return math.fsum([*atoms, *(d.scale * d.s / (d.p - 1) for d in measure.densities)])


def alias_error(p: float, step: float) -> float:
    """ε_h(p) = 2 Σ_{k≥1} |Γ(p + 2πik/h)|/Γ(p), the relative error of the rule with all nodes, h = `step`.

    The terms fall at least like e^{-π²k/h}·k^{p}, so the sum is cut where they no longer count in float64.
    """
    from scipy.special import gammaln, loggamma  # slow to import

    k = np.arange(1, 3 + math.ceil(step * (40 + p)))
    return float(2 * np.sum(np.exp(loggamma(p + 2j * np.pi * k / step).real - gammaln(p))))


def log_density(measure: SpectralMeasure, y: Array) -> Array:
    """log of dμ/dy of the densities at x = e^y, i.e. log(x μ'(x)); -inf where there is no density. Shape of y."""
    total = np.full(y.shape, -np.inf)
    for d in measure.densities:
        constant = math.log(d.scale) + d.p * math.log(d.s) - math.lgamma(d.p)
        total = np.logaddexp(total, constant + d.p * y - d.s * np.exp(y))
    return total
