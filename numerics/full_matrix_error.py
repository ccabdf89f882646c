"""The perturbed error E_m(β) of a linear model with a full state matrix, as a bracket.

    E_m(β) = sup ‖H - Ĥ(·; A + δA, B + δB, c + δc)‖_W,     ‖k‖_W = ∫|k|_1 + total variation of k on R,

over |δA|_F² + |δB|_F² + |δc|² ≤ β² (ball "joint") or |δA|_2, |δB|_2, |δc|_2 ≤ β (ball "block"), real perturbations.

Infinite where a δA of the ball moves an eigenvalue to Re ≥ 0 whose part of the kernel is not zero: with left and right
eigenvectors u, v of A + δA the kernel has the term (c̃v)(u*B̃)/(u*v) e^{zt}, not in L¹.

Lower end: projected ascent with autograd of a lower bound of the norm on a window (see `kernel_cells`).

Upper end: numerics.full_matrix_bounds. Source: derived here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from numerics.full_matrix_bounds import Array, Ball, Problem, upper_ends
from numerics.full_model import FullModel
from numerics.kernel_cells import cut, geometric_edges, one_per_input
from numerics.model_checks import check_bracketed
from numerics.stability_radius import StabilityRadius, real_stability_radius
from numerics.targets import Target

Weights = tuple[Tensor, Tensor, Tensor]
Norm = Callable[[Tensor, Tensor, Tensor], Tensor]

GROUPS = {"A": 0, "B": 1, "C": 2, "w": 0, "U": 1, "c": 2}
"""Names of the groups; those of a diagonal model are accepted."""
NO_UPPER = "no finite upper bound is proved"
_CHUNK = 2**25  # numbers held at once
_DEAD = 1e-60  # |e^{AT}|: what the model adds after T is then far below rounding
_TERMS = 14
"""Of the exponential series of Ah, |Ah| ≤ 1/32: the rest is below 1/(32^14 14!)."""


class ErrorRow(NamedTuple):
    """lower ≤ E_m(beta) ≤ upper, ends possibly inf, and why an end is what it is where that is not a computation."""

    beta: float
    lower: float
    upper: float
    reason: str


def full_matrix_error(
    model: FullModel,
    targets: Target | Sequence[Target],
    betas: Sequence[float],
    ball: Ball = "joint",
    groups: Sequence[str] = ("A", "B", "C"),
    *,
    starts: int = 6,
    steps: int = 25,
    seed: int = 0,
) -> list[ErrorRow]:
    """Brackets of E_m(β) for each β, in the order given; the equations are in the module's text.

    The lower end is a true one up to rounding; the upper end holds up to the error estimate of the quadrature that
    gives E_m(0), which is added to it. Hypotheses: continuous time, one output, no batch axes, float64.
    `targets`: one kernel for each input. `groups`: any of A, B, C (also w, U, c).
    Source: Definition 2.5; derived here. Raises: ValueError for a broken hypothesis, an unknown ball or group, β < 0.
    """
    problem = _checked(model, targets, betas, ball, groups)
    unique = sorted(set(betas))
    radius = real_stability_radius(problem.matrices[0], norm="frobenius" if ball == "joint" else "spectral")
    movable = 0 in problem.groups
    infinite = {beta: movable and beta >= radius.lower and _reaches_infinity(problem, beta, radius) for beta in unique}
    finite = [beta for beta in unique if not infinite[beta]]
    lower = dict(zip(finite, _lower_ends(problem, finite, radius, starts, steps, seed), strict=True))
    upper = dict(zip(finite, upper_ends(problem, finite), strict=True))
    rows = []
    for beta in betas:
        if infinite[beta]:
            reason = f"a move of A of norm {radius.upper:.6g} brings an eigenvalue that the kernel sees to Re = 0"
            rows.append(ErrorRow(beta, math.inf, math.inf, reason))
        else:
            reason = "" if math.isfinite(upper[beta]) else NO_UPPER
            rows.append(ErrorRow(beta, min(lower[beta], upper[beta]), upper[beta], reason))
    return rows


def _checked(
    model: FullModel, targets: Target | Sequence[Target], betas: Sequence[float], ball: str, groups: Sequence[str]
) -> Problem:
    check_bracketed(model, "a full state matrix", betas)
    if ball not in ("joint", "block"):
        raise ValueError(f"ball: must be 'joint' or 'block', got {ball!r}")
    for group in groups:
        if group not in GROUPS:
            raise ValueError(f"groups: {group!r} is unknown; known: {', '.join(GROUPS)}")
    cpu = model.to(device="cpu")
    kind: Ball = "joint" if ball == "joint" else "block"
    return Problem(cpu, one_per_input(targets, model.input_dim), kind, frozenset(GROUPS[g] for g in groups))


# Infinite errors


def _reaches_infinity(problem: Problem, beta: float, radius: StabilityRadius) -> bool:
    """Is there an explicit perturbation in the ball that is unstable in a mode which the kernel sees?

    Tried: the radius' perturbation D, D stretched, and both with small random moves of the groups that may move.
    """
    state, drive, read = problem.matrices
    d = radius.perturbation.real
    size = float(np.linalg.norm(d, "fro" if problem.ball == "joint" else 2))
    if beta < size * (1 - 1e-12):
        return False
    rng = np.random.default_rng(0)
    for stretch in np.unique(np.clip([1.0, 0.5 * (1 + beta / size), beta / size], 1.0, None)):
        spare = max(0.0, beta - stretch * size)
        for scale in (0.0, 0.25):
            used = stretch * size + scale * spare
            room = 0.5 * (max(0.0, beta**2 - used**2) ** 0.5 if problem.ball == "joint" else beta)
            sizes = (scale * spare, *(room if scale and k in problem.groups else 0.0 for k in (1, 2)))
            moves = [_of_norm(rng.normal(size=x.shape), s) for x, s in zip(problem.matrices, sizes, strict=True)]
            moved = state + stretch * d + moves[0]
            if _unstable_and_seen(moved, drive + moves[1], read + moves[2], radius.crossing):
                return True
    return False


def _of_norm(x: Array, size: float) -> Array:
    """x scaled to this Frobenius norm."""
    scaled: Array = x * (size / np.linalg.norm(x))
    return scaled


def _unstable_and_seen(a: Array, b: Array, c: Array, crossing: complex) -> bool:
    """Has the kernel a term e^{zt} with Re z ≥ 0, or with z = `crossing` an eigenvalue to rounding?

    With bases V, U of the right and left eigenvectors of z (of one vector each, unless z is multiple and not
    defective) the term of the highest order is c V (U*V)⁺ U*b; a single pair need only have cv ≠ 0 and u*b ≠ 0.
    """
    tolerance = 64 * len(a) * float(np.finfo(np.float64).eps) * float(np.linalg.norm(a, 2))
    for z in [*(z for z in np.linalg.eigvals(a) if z.real >= 0), crossing]:
        u, s, vh = np.linalg.svd(a - z * np.eye(len(a)))
        count = int(np.sum(s <= tolerance))
        if not count:
            continue
        seen, driven = c @ vh[-count:].conj().T, u[:, -count:].conj().T @ b
        if count > 1:
            seen = seen @ np.linalg.pinv(u[:, -count:].conj().T @ vh[-count:].conj().T)
            strength = np.linalg.norm(seen @ driven)
        else:
            strength = np.linalg.norm(seen) * np.linalg.norm(driven)
        if strength > 1e-9 * np.linalg.norm(c) * np.linalg.norm(b):
            return True
    return False


# Lower ends


def _lower_ends(
    problem: Problem, betas: list[float], radius: StabilityRadius, starts: int, steps: int, seed: int
) -> list[float]:
    """Projected ascent for all β and starts at once; running maxima, as E_m does not decrease in β."""
    if not betas:
        return []
    generator = torch.Generator().manual_seed(seed)
    weights: Weights = (problem.model.A, problem.model.B, problem.model.C)
    coarse, fine = _window(problem, 8, betas[-1]), _window(problem, 64, betas[-1], final=True)
    size = torch.tensor(betas, dtype=torch.float64).repeat_interleave(starts)
    moves = [torch.randn(len(size), *x.shape, generator=generator, dtype=torch.float64) for x in weights]
    direction = torch.from_numpy(np.ascontiguousarray(radius.perturbation.real))
    for k in range(min(starts, 2)):  # towards instability, and no move at all
        for move in moves:
            move[k::starts] = 0
        if k == 0:
            moves[0][k::starts] = direction
    moves = _to_ball(problem, moves, size)
    value, gradient = _value_and_gradient(weights, moves, coarse)
    for _ in range(steps):
        goal = _to_ball(problem, gradient, size)
        before, start = value, moves
        for step in (1.0, 0.4, 0.1):
            trial = [(1 - step) * m + step * g for m, g in zip(start, goal, strict=True)]
            trial_value = _values(weights, trial, coarse)
            moves = [_where(trial_value > value, t, m) for t, m in zip(trial, moves, strict=True)]
            value = torch.maximum(value, trial_value)
        if bool((value - before <= 1e-7 * value).all()):
            break
        value, gradient = _value_and_gradient(weights, moves, coarse)
    best = value.reshape(len(betas), starts).argmax(dim=1) + torch.arange(len(betas)) * starts
    exact = _values(weights, [move[best] for move in moves], fine)
    at_zero = fine(*weights)
    return torch.maximum(torch.cummax(exact, dim=0).values, at_zero).tolist()


def _where(mask: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return torch.where(mask[:, None, None], x, y)


def _to_ball(problem: Problem, directions: Sequence[Tensor], size: Tensor) -> list[Tensor]:
    """The point of the ball (of radius `size`, a batch) with the largest inner product with each direction."""
    masked = [x if k in problem.groups else torch.zeros_like(x) for k, x in enumerate(directions)]
    if problem.ball == "joint":
        norm = torch.sqrt(sum(((x**2).sum(dim=(1, 2)) for x in masked), torch.zeros_like(size)))
        return [x * (size / norm.clamp(min=1e-300))[:, None, None] for x in masked]
    result = []
    for x in masked:
        u, s, vh = torch.linalg.svd(x, full_matrices=False)
        kept = (s > 1e-12 * s[:, :1]).to(x.dtype)
        result.append(size[:, None, None] * (u * kept[:, None, :]) @ vh)
    return result


def _value_and_gradient(weights: Weights, moves: Sequence[Tensor], norm: Norm) -> tuple[Tensor, list[Tensor]]:
    values, gradients = [], []
    for part in _chunks(moves):
        leaves = [move.clone().requires_grad_() for move in part]
        value = norm(*(x + leaf for x, leaf in zip(weights, leaves, strict=True))).nan_to_num(nan=0.0, posinf=0.0)
        gradients.append(torch.autograd.grad(value.sum(), leaves))
        values.append(value.detach())
    return torch.cat(values), [torch.cat(xs).nan_to_num(0.0, 0.0, 0.0) for xs in zip(*gradients, strict=True)]


@torch.no_grad()
def _values(weights: Weights, moves: Sequence[Tensor], norm: Norm) -> Tensor:
    parts = [norm(*(x + move for x, move in zip(weights, part, strict=True))) for part in _chunks(moves)]
    return torch.cat(parts).nan_to_num(nan=0.0, posinf=0.0)


def _chunks(moves: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
    """Parts of the batch whose powers of e^{Ah}, about a hundred with those kept for the gradient, fit in _CHUNK."""
    size = max(1, _CHUNK // (100 * moves[0][0].numel()))
    return list(zip(*(torch.split(move, size) for move in moves), strict=True))


def _window(problem: Problem, per_doubling: int, beta: float, *, final: bool = False) -> Norm:
    """(A, B, c) batched (N, ·, ·) → lower bounds (N,) of the norm, from a window of 200 memory times;
    `final`: 10⁶, and the target's tail beyond, where the model's state has died out.

    The cells of `geometric_edges`: each panel's states e^{At}B come from its first one by the powers of one e^{Ah}.
    """
    a = problem.matrices[0]
    margin, scales = float(problem.model.stability_margin), [s for t in problem.targets for s in t.time_scales]
    largest = float(np.linalg.norm(a, 2)) + beta
    first = 0.25 * min([1 / largest, *scales])
    edges = geometric_edges(first, (1e6 if final else 200) * max([1 / margin, *scales]), per_doubling)
    cells = cut(problem.targets, edges)
    integrals, values = torch.from_numpy(cells.integrals.T.copy()), torch.from_numpy(cells.values.T.copy())
    doublings, levels = (len(edges) - 1) // per_doubling - 1, int(math.log2(per_doubling))
    step = first / per_doubling
    tail = sum(target.tail(float(edges[-1])).lower for target in problem.targets) if final else 0.0

    def norm(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        eye = torch.eye(a.shape[-1], dtype=a.dtype)
        series = eye.expand_as(a)
        for k in range(_TERMS, 1, -1):  # Σ_{k ≥ 0} (Ah)^k/(k+1)!
            series = eye + (a * (step / k)) @ series
        squares, integrators = [eye + step * a @ series], [step * series]  # e^{Ah} and ∫_0^h e^{As} ds, h doubled
        for _ in range(doublings + levels):
            integrators.append(integrators[-1] + squares[-1] @ integrators[-1])
            squares.append(squares[-1] @ squares[-1])
        begins = torch.stack([b.expand(*a.shape[:-1], b.shape[-1])] + [s @ b for s in squares[levels:-1]], dim=-3)
        states = begins.unsqueeze(-3)  # (N, panels, steps, n, d)
        for level in range(levels):
            power = torch.stack([squares[level], *squares[level : level + doublings]], dim=-3).unsqueeze(-3)
            states = torch.cat([states, power @ states], dim=-3)
        panel_integrators = torch.stack([integrators[0], *integrators[:doublings]], dim=-3).unsqueeze(-3)
        row = c[..., None, None, :, :]
        integral = (row @ panel_integrators @ states).squeeze(-2).flatten(-3, -2)
        size = (integrals - integral).abs().sum(dim=(-2, -1))
        last = (c @ squares[-1] @ b).squeeze(-2).unsqueeze(-2)
        kernel = values - torch.cat([(row @ states).squeeze(-2).flatten(-3, -2), last], dim=-2)
        ends = kernel[..., 0, :].abs().sum(dim=-1) + kernel[..., -1, :].abs().sum(dim=-1)
        beyond = tail * (squares[-1].abs().amax(dim=(-2, -1)) < _DEAD)
        return size + beyond + ends + kernel.diff(dim=-2).abs().sum(dim=(-2, -1))

    return norm
