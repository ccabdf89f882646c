"""What the fitter is measured against: one model after another, by Adam in a loop and by SciPy's least squares.

    ρ̂(t) = Σ_i a_i e^{f(w_i) t},   loss = Σ_n weight_n (ρ(t_n) - ρ̂(t_n))²

Both are written to be as fast as a single model allows: Adam is torch's fused one and its graph has six operations; the
residual and the Jacobian of SciPy's share one QR factorization, which LAPACK makes in place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from numerics.threads import one_thread

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Samples:
    """A target at the nodes of a quadrature rule: `times`, `weights` and `values`, each of shape (N,)."""

    times: Tensor
    weights: Tensor
    values: Tensor


@dataclass(frozen=True, eq=False)
class AdamFit:
    """The weights after the last step and the loss before each step, shape (steps,)."""

    w: Tensor
    U: Tensor
    c: Tensor
    losses: Tensor

    @property
    def weights(self) -> Tensor:
        """The coefficients a = c U of the exponentials, shape (m,)."""
        return self.c * self.U


def adam_fit(
    samples: Samples,
    f: Callable[[Tensor], Tensor],
    start: tuple[Tensor, Tensor, Tensor],
    *,
    learning_rate: float,
    steps: int,
    cosine: bool = False,
) -> AdamFit:
    """One model trained by torch.optim.Adam in w, U and c, with a_i = c_i U_i, in a Python loop on one thread.

    The loss is Σ_n weight_n e(t_n)²; the learning rate stays, or falls like (1 + cos(πk/steps))/2 in step k.
    start: (w, U, c), each of shape (m,), which stay as they are.
    """
    w, U, c = (value.detach().clone().requires_grad_() for value in start)
    optimizer = torch.optim.Adam([w, U, c], lr=learning_rate, fused=True)
    (group,) = optimizer.param_groups
    losses = []
    with one_thread():
        for step in range(steps):
            if cosine:
                group["lr"] = learning_rate * (1 + math.cos(math.pi * step / steps)) / 2
            optimizer.zero_grad()
            error = torch.exp(torch.outer(samples.times, f(w))) @ (c * U) - samples.values
            loss = (samples.weights * error * error).sum()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.detach())
    return AdamFit(w.detach(), U.detach(), c.detach(), torch.stack(losses))


@dataclass(frozen=True, eq=False)
class LeastSquaresFit:
    """Rates λ = -e^x and coefficients, both of shape (m,), the loss, and how often the residual was evaluated."""

    lam: Array
    weights: Array
    loss: float
    evaluations: int


class Projected:
    """The residual of the least squares fit for given rates λ = -e^x, and its Jacobian, with A = √weight e^{-e^x t}:

        r = P⊥ √weight ρ,    ∂r/∂x_j ≈ -P⊥ ∂A/∂x_j a,    P⊥ = 1 - Q Qᵀ, A = Q R, R a = Qᵀ √weight ρ.

    Source: Kaufman's approximation of the Jacobian of variable projection, BIT 15 (1975). Both share one factorization.
    """

    def __init__(self, times: Array, weights: Array, values: Array, *, numpy_qr: bool = False) -> None:
        self._times = times
        self._root = np.sqrt(weights)[:, None]
        self._wanted = self._root[:, 0] * values
        self._factorize = _numpy_qr if numpy_qr else _lapack_qr
        self._at: Array | None = None
        self.evaluations = 0

    def _update(self, x: Array) -> None:
        if self._at is not None and np.array_equal(self._at, x):
            return
        self.evaluations += 1
        self._rates = np.exp(x)
        self._columns = np.exp(np.outer(-self._times, self._rates))
        self._columns *= self._root
        self._q, self.weights = self._factorize(self._columns, self._wanted)
        self._residual = self._wanted - self._q @ (self._q.T @ self._wanted)
        self._at = x.copy()

    def residual(self, x: Array) -> Array:
        self._update(x)
        return self._residual

    def jacobian(self, x: Array) -> Array:
        self._update(x)
        moved = self._columns * (self._rates * self.weights)
        moved *= self._times[:, None]
        moved -= self._q @ (self._q.T @ moved)
        return moved


def _lapack_qr(matrix: Array, wanted: Array) -> tuple[Array, Array]:
    """Q and the least squares solution, by LAPACK without the checks that numpy.linalg makes."""
    from scipy.linalg import lapack

    factors, tau, _, _ = lapack.dgeqrf(matrix)
    upper = factors[: matrix.shape[1]]
    q = lapack.dorgqr(factors, tau)[0]
    return q, lapack.dtrtrs(upper, q.T @ wanted)[0]


def _numpy_qr(matrix: Array, wanted: Array) -> tuple[Array, Array]:
    q, upper = np.linalg.qr(matrix)
    return q, np.linalg.solve(upper, q.T @ wanted)


def least_squares_fit(
    samples: Samples,
    lam: Array,
    *,
    tolerance: float,
    evaluations: int,
    method: str = "lm",
    numpy_qr: bool = False,
) -> LeastSquaresFit:
    """One model fitted by scipy.optimize.least_squares from the rates `lam` (m,), with the analytic Jacobian.

    It stops where a step lowers the loss by less than `tolerance` of it, or after so many evaluations. The other tests
    are left out: that of the gradient is absolute in "trf" and would stop it where the loss itself is small.
    """
    from scipy.optimize import least_squares

    times, weights, values = (tensor.numpy() for tensor in (samples.times, samples.weights, samples.values))
    problem = Projected(times, weights, values, numpy_qr=numpy_qr)
    others = dict.fromkeys(("xtol", "gtol"), np.finfo(float).eps if method == "lm" else None)
    found = least_squares(
        problem.residual,
        np.log(-lam),
        jac=problem.jacobian,
        method=method,
        ftol=tolerance,
        max_nfev=evaluations,
        **others,
    )
    loss = float(problem.residual(found.x) @ problem.residual(found.x))
    return LeastSquaresFit(-np.exp(found.x), problem.weights.copy(), loss, problem.evaluations)
