"""The H2-optimal reduction of a polynomial kernel by pyMOR's TF-IRKA, an independent route to the best L² fit.

For ρ(t) = scale (1 + t/s)^{-p} the transfer function is

    H(z) = ∫_0^∞ e^{-zt} ρ(t) dt = scale s e^{sz} E_p(sz),    H'(z) = s H(z) - scale s² e^{sz} E_{p-1}(sz),

with the generalized exponential integral E_p(z) = ∫_1^∞ e^{-zx} x^{-p} dx (put x = 1 + t/s, and E_p' = -E_{p-1}); by
Parseval the H2 norm of H - Ĥ is the L²(0, ∞) norm of ρ - ρ̂. TF-IRKA looks for a rational Ĥ of order m that matches H
and H' at the mirror images of its own poles, the first-order conditions of the optimum.
Source: Gugercin, Antoulas and Beattie, SIAM J. Matrix Anal. Appl. 30 (2008); Beattie and Gugercin, CDC 2012 (TF-IRKA).
"""

from __future__ import annotations

import importlib.util
import math

import numpy as np
from numpy.typing import NDArray

from numerics.arguments import check_count
from numerics.l2_errors import l2_squares
from numerics.targets import Polynomial

Array = NDArray[np.float64]

MISSING = "install stablessm[bench]"

_TOLERANCE = 1e-6
_ROUNDS = 200
_STARTS = ((0.1, 10.0), (0.001, 10.0))
"""Intervals over which the first poles are spread, in units of 1/s."""


class NotConvergedError(RuntimeError):
    """No start led TF-IRKA to a stable model with real poles."""


def has_pymor() -> bool:
    """Whether pyMOR can be imported; it comes with the extra `bench`."""
    return importlib.util.find_spec("pymor") is not None


def transfer_function(target: Polynomial, z: complex) -> tuple[complex, complex]:
    """(H(z), H'(z)) for Re z > 0. Source: the module's text."""
    import mpmath

    scaled = mpmath.mpmathify(target.s * z)
    grown = target.scale * target.s * mpmath.exp(scaled)
    value = grown * mpmath.expint(target.p, scaled)
    return complex(value), complex(target.s * (value - grown * mpmath.expint(target.p - 1, scaled)))


def reduced_model(target: Polynomial, m: int) -> tuple[Array, Array]:
    """(lam, weights) of the best ρ̂ = Σ weight_i e^{lam_i t}, λ_i < 0, that TF-IRKA finds; both have shape (m,).

    Source: the module's text. Raises ImportError without pyMOR, ValueError where m < 1, NotConvergedError.
    """
    check_count("m", m, 1)
    from pymor.core.logger import set_log_levels
    from pymor.models.transfer_function import TransferFunction
    from pymor.reductors.h2 import TFIRKAReductor

    set_log_levels({"pymor": "ERROR"})
    pairs: dict[complex, tuple[complex, complex]] = {}

    def at(z: complex, part: int) -> NDArray[np.complex128]:
        if z not in pairs:
            pairs[z] = transfer_function(target, complex(z))
        return np.array([[pairs[z][part]]])

    full = TransferFunction(1, 1, lambda z: at(z, 0), lambda z: at(z, 1))
    found = []
    for slow, fast in _STARTS:
        points = np.geomspace(slow, fast, m) if m > 1 else np.array([math.sqrt(slow * fast)])
        poles, residues = _poles_and_residues(TFIRKAReductor(full).reduce(points / target.s, _TOLERANCE, _ROUNDS))
        if poles.real.max() < 0 and not np.any(poles.imag):
            found.append((poles.real, residues.real))
    if not found:
        raise NotConvergedError(f"TF-IRKA found no real stable model of order {m} for {target.spec}")
    return min(found, key=lambda pair: l2_error(target, *pair))


def l2_error(target: Polynomial, lam: Array, weights: Array) -> float:
    """(∫_0^∞ (ρ - Σ weight_i e^{lam_i t})² dt)^{1/2}, by the panels of numerics.l2_errors, not those of a fit."""
    return math.sqrt(l2_squares(target, weights[None], lam[None])[0])


def _poles_and_residues(model: object) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """C(zE - A)^{-1}B = Σ residue_i/(z - pole_i), by the left and right eigenvectors of the pencil."""
    import scipy.linalg

    A, B, C, _, E = model.to_matrices()[:5]  # type: ignore[attr-defined]
    E = np.eye(len(A)) if E is None else E
    poles, left, right = scipy.linalg.eig(A, E, left=True, right=True)
    scale = np.einsum("ij,ik,kj->j", left.conj(), E, right)
    return poles, (C @ right)[0] * (left.conj().T @ B)[:, 0] / scale
