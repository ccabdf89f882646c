"""An upper bound of the perturbed error of a linear model with a full state matrix.

For |δA|_2 below the complex stability radius of A. Take α > 0 with A + α stable, r its complex radius, R(ω) =
(iω - A - α)⁻¹ and R̃ that of A + δA, |δA|_2 ≤ a < r. As σ_min(iω - A - α) ≥ r, |R̃| ≤ 1/(r - a), and from R̃ =
(1 + R̃δA)R = R(1 + δA R̃) follow |R̃x| ≤ κ|Rx| and |xR̃| ≤ κ|xR|, κ = r/(r - a). Hence, with ‖·‖ the L² norm over ω
(measure dω/2π) and |δB|_2 ≤ b, |δc|_2 ≤ g,

    ‖c̃R̃B̃ - cRB‖ ≤ κ( a min(|c|‖RB‖, |B|‖cR‖)/r + g‖RB‖ + b‖cR‖ + g b‖R‖ ),

since c̃R̃B̃ - cRB = cRδA R̃B + δc R̃B + cR̃δB + δc R̃δB, |cR| ≤ |c|/r and |RB| ≤ |B|/r. By Plancherel these are the L²
norms of e^{αt} times the kernels, from Lyapunov equations, and ∫|k| ≤ (2α)^{-1/2}‖e^{αt}k‖. The derivative of the
kernel is the same with AB, whose perturbation is at most b' = a|B| + |A|b + ab, or with cA. Over the joint ball
(a, b, g) is covered by boxes.
Source: derived here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from numerics.full_model import FullModel
from numerics.kernel_cells import geometric_edges
from numerics.quadrature import gauss_legendre
from numerics.stability_radius import complex_stability_radius
from numerics.targets import Target

Array = NDArray[np.float64]
Ball = Literal["joint", "block"]

_BOXES = 12


@dataclass(frozen=True)
class Problem:
    """A model, its targets, and the ball; `groups` holds 0, 1, 2 for A, B, C."""

    model: FullModel
    targets: list[Target]
    ball: Ball
    groups: frozenset[int]

    @property
    def matrices(self) -> tuple[Array, Array, Array]:
        return self.model.A.numpy(), self.model.B.numpy(), self.model.C.numpy()


def upper_ends(problem: Problem, betas: list[float]) -> list[float]:
    """An upper bound of E_m(β) for each β, up to the quadrature's error estimate; inf where none is finite."""
    if not betas:
        return []
    bounds = _DifferenceBounds.of(problem)
    at_zero = _unperturbed_upper(problem, bounds)
    return [at_zero + bounds.over_ball(problem, beta) for beta in betas]


@dataclass(frozen=True)
class _DifferenceBounds:
    """Shifts α (K,) with r, ‖RB‖, ‖RAB‖, ‖cR‖, ‖cAR‖, ‖R‖ of each; see the module's text."""

    shift: Array
    radius: Array
    driven: Array
    driven_slope: Array
    seen: Array
    seen_slope: Array
    whole: Array

    @classmethod
    def of(cls, problem: Problem) -> _DifferenceBounds:
        from scipy.linalg import solve_continuous_lyapunov  # slow to import

        a, b, c = problem.matrices
        margin, eye = float(problem.model.stability_margin), np.eye(len(a))
        rows = []
        for alpha in margin * np.array([0.003, 0.01, 0.03, 0.06, 0.1, 0.17, 0.25, 0.35, 0.5, 0.7]):
            moved = a + alpha * eye
            left = solve_continuous_lyapunov(moved.T, -eye)  # ∫ e^{Mᵀt} e^{Mt}
            right = solve_continuous_lyapunov(moved, -eye)
            squares = [np.trace(x.T @ left @ x) for x in (b, a @ b)]
            squares += [np.trace(x @ right @ x.T) for x in (c, c @ a)] + [np.trace(left)]
            if min(squares) >= 0:
                radius = complex_stability_radius(moved, rel_tol=1e-4).lower
                rows.append([alpha, radius, *np.sqrt(np.array(squares)) * (1 + 1e-9)])
        return cls(*np.array(rows).T)

    def over_ball(self, problem: Problem, beta: float) -> float:
        """A bound of ‖c̃e^{Ãt}B̃ - ce^{At}B‖_W over the ball."""
        if beta == 0:
            return 0.0
        allowed = np.array([float(k in problem.groups) for k in range(3)])
        if problem.ball == "block":
            return float(self.at(problem, *(beta * allowed)).max())
        boxes = np.stack(np.meshgrid(*[np.arange(_BOXES)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        boxes = boxes[(boxes**2).sum(axis=1) <= _BOXES**2]  # their lower corners lie in the ball
        corners = np.unique((boxes + 1) * allowed, axis=0) * (beta / _BOXES)
        return float(self.at(problem, *corners.T).max())

    def at(self, problem: Problem, a: Array | float, b: Array | float, g: Array | float) -> Array:
        """The bound for |δA|_2 ≤ a, |δB|_2 ≤ b, |δc| ≤ g, (N,) each."""
        state, drive, read = problem.matrices
        a, b, g = (np.atleast_1d(np.asarray(x, dtype=np.float64))[:, None] for x in (a, b, g))
        norm_a, norm_b, norm_c = (float(np.linalg.norm(x, 2)) for x in (state, drive, read))
        norm_ab, norm_ca = float(np.linalg.norm(state @ drive, 2)), float(np.linalg.norm(read @ state, 2))
        factor = np.where(a < self.radius, self.radius / np.maximum(self.radius - a, 1e-300), np.inf)
        factor = factor / np.sqrt(2 * self.shift)

        def size(norm_c: float, norm_b: float, seen: Array, driven: Array, b: Array, g: Array) -> Array:
            moved = a * np.minimum(norm_c * driven, norm_b * seen) / self.radius
            return np.asarray(np.min(factor * (moved + g * driven + b * seen + g * b * self.whole), axis=1))

        value = size(norm_c, norm_b, self.seen, self.driven, b, g)
        by_drive = size(norm_c, norm_ab, self.seen, self.driven_slope, a * norm_b + norm_a * b + a * b, g)
        by_read = size(norm_ca, norm_b, self.seen_slope, self.driven, b, a * norm_c + norm_a * g + a * g)
        jump = (g * norm_b + norm_c * b + g * b)[:, 0]
        return np.asarray(math.sqrt(drive.shape[1]) * (value + np.minimum(by_drive, by_read) + jump))


def _unperturbed_upper(problem: Problem, bounds: _DifferenceBounds) -> float:
    """E_m(0): quadrature on a window, its error estimated by halving the cells, and both tails beyond."""
    coarse, _ = _window_quadrature(problem, 32)
    fine, end = _window_quadrature(problem, 64)
    tail = _model_tail(problem, bounds, end)  # the kernels' variation beyond T adds up with that of the target
    rest = sum(t.tail(end).upper + t.tail_variation(end).upper for t in problem.targets)
    return fine + 2 * abs(fine - coarse) + rest + tail


def _window_quadrature(problem: Problem, per_doubling: int) -> tuple[float, float]:
    """∫_0^T (|k|_1 + |k'|_1) + |k(0)|_1 + jumps, by Gauss-Legendre between the edges, and T."""
    a, b, c = problem.matrices
    scales = [s for t in problem.targets for s in t.time_scales]
    first = 0.25 * min([1 / float(np.linalg.norm(a, 2)), *scales])
    end = 40 * max([1 / float(problem.model.stability_margin), *scales])
    edges = geometric_edges(first, end, per_doubling)
    end = float(edges[-1])
    breaks = [time for target in problem.targets for time in target.breaks if time < end]
    edges = np.unique(np.concatenate([edges, breaks]))
    times, measure = gauss_legendre(edges, 6)
    moved = FullModel(problem.model.A, problem.model.B, torch.cat([problem.model.C, problem.model.C @ problem.model.A]))
    kernels = moved.impulse_response(torch.from_numpy(times)).numpy()  # (T, 2, d)
    total = 0.0
    for j, target in enumerate(problem.targets):
        total += float(measure @ np.abs(target.rho(times) - kernels[:, 0, j]))
        total += abs(target.right_limit(0.0) - float((c @ b)[0, j]))
        if target.has_slope:
            total += float(measure @ np.abs(target.slope(times) - kernels[:, 1, j]))
            total += sum(abs(size) for time, size in target.jumps if time <= end)
        else:
            total += float(measure @ np.abs(kernels[:, 1, j])) + target.tail_variation().upper
    return total, end


def _model_tail(problem: Problem, bounds: _DifferenceBounds, end: float) -> float:
    """∫_T^∞ (|k̂|_1 + |k̂'|_1) ≤ √d (2α)^{-1/2}|c|(‖Re^{AT}B‖ + ‖RAe^{AT}B‖), with ‖Rx‖ ≤ ‖R‖|x|."""
    a, b, c = problem.matrices
    late = torch.linalg.matrix_exp(problem.model.A * end).numpy() @ b
    size = float(np.linalg.norm(c)) * (np.linalg.norm(late) + np.linalg.norm(a @ late))
    return float(np.min(bounds.whole / np.sqrt(2 * bounds.shift)) * size) * math.sqrt(b.shape[1])
