"""The perturbed error E_m(β) of a nonlinear or layered model against a linear target, as a bracket.

With G = H - Ĥ(·; θ̃), H_t(x) = ∫ρ(s)·x_{t-s} ds and any one time t (both are time-homogeneous; dG/dt(0) = 0),

    E_m(β) = sup_θ̃ { sup_x |G(x)|/(|x|_∞+1) + |Ĥ(0)| + sup_x |dG/dt(x)|/(|x|_∞+1) },   x ∈ C_0, x ≠ 0.

Lower end: ascent over θ̃, x and its size, x constant on cells of a window of the past and with a value of its own at
time 0, which the rate sees (continuous inputs come as close as one likes). One layer: the states are exact, and so is
the lower end up to rounding. Deeper ones: the change under halved substeps is subtracted.

Large inputs are admitted, and with them: a bounded σ has E_m(β) ≥ ‖H‖_{W^{1,∞}} + |Ĥ(0)|, whatever the weights. For
let x = Ru, u close to where H or its rate is attained and such that no state of the first layer vanishes (an open
dense set of u, modes with U_i = 0 aside). As R → ∞, |Ĥ| is bounded and |Ĥ|/(R+1) → 0; dĤ/dt is bounded for two or
more layers, and for one layer σ'(h_i)h_i' → 0, as |h_i| and |h_i'| grow like R and σ' decays exponentially. So no
bounded model is better than H ≈ 0 in this norm. For every σ that is not affine E_m jumps at β = 0 as soon as w moves:
E_m(0+) ≥ ½ osc(σ') Σ|c_iU_i| - E_m(0) for one layer and one input; both are consequences of the norm being taken over
inputs of any size.

Upper end: numerics.nonlinear_bounds. Infinite where the ball reaches the boundary of stability at a mode with nonzero
weight; for bounded σ the output stays bounded there but the state integral diverges for some x ∈ C_0, so Ĥ is not
defined on all of C_0, and undefined counts as infinite. Source: Definitions 2.4 and 2.5; derived here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from numerics.full_matrix_error import NO_UPPER, ErrorRow
from numerics.kernel_cells import cut, geometric_edges, one_per_input
from numerics.model_checks import check_bracketed
from numerics.models import DiagonalModel
from numerics.nonlinear_bounds import nonlinear_upper
from numerics.nonlinear_simulation import Steps, output_and_rate, rest_output, steps_of
from numerics.norms import target_norm
from numerics.perturbation_ball import Ball, Move, chosen, farthest, moved, random_moves, reaches_boundary, scaled
from numerics.targets import Target

_SIZES = (1e-8, 0.3, 1.0, 3.0, 20.0, 1e8)
"""Sizes R of the first inputs; the first and the last stand for 0 and ∞."""
_LOG_SIZES = (-19.0, 19.0)
_LEVELS = 6
"""Substeps of a cell: the first is 1/63 of it."""
_FORGOTTEN = 700.0
"""Memory times after which e^{-t/τ} has left the floating-point numbers."""
_CHUNK = 2**22
REACHED = "the ball reaches the boundary of stability at a mode with nonzero weight"
_CAUTION = 4.0
"""How many times the change under halved substeps is subtracted: true errors up to three times it were seen."""
UNDEFINED = "; sigma is bounded, but the state integral diverges for some input: undefined counts as infinite"
LARGE_INPUTS = "lower end: the norm of the target, by large inputs, which a bounded sigma cannot follow"


def nonlinear_error(
    model: DiagonalModel,
    targets: Target | Sequence[Target],
    betas: Sequence[float],
    ball: str = "joint",
    groups: Sequence[str] | None = None,
    *,
    window: float | None = None,
    starts: int = 6,
    steps: int = 36,
    seed: int = 0,
) -> list[ErrorRow]:
    """Brackets of E_m(β) for each β, in the order given; see the module's text.

    `window`: how far the inputs reach into the past, by default 20,000 memory times of the slowest mode or target; the
    target's own tail beyond is added where the model has forgotten what lies there.
    Hypotheses: continuous time, one output, no batch axes, float64; one integrable target for each input.
    Raises ValueError for a broken hypothesis, an unknown ball or group, β < 0.
    """
    many, region = _checked(model, targets, betas, ball, groups, window)
    unique = sorted(set(betas))
    radii = torch.tensor(unique, dtype=model.dtype, device=model.device)
    infinite = dict(zip(unique, reaches_boundary(model, region, radii).tolist(), strict=True))
    finite = [beta for beta in unique if not infinite[beta]]
    found = dict(zip(finite, _lower_ends(model, many, region, finite, window, starts, steps, seed), strict=True))
    uppers = dict(zip(finite, nonlinear_upper(model, many, region, finite), strict=True))
    floor = 0.0
    if model.activation.bounded:
        norm = target_norm(many)
        floor = max(0.0, norm.value - norm.error) + abs(float(rest_output(model)))
    rows = []
    for beta in betas:
        if infinite[beta]:
            rows.append(ErrorRow(beta, math.inf, math.inf, REACHED + (UNDEFINED if model.activation.bounded else "")))
            continue
        upper = uppers[beta]
        reasons = [LARGE_INPUTS] if floor > found[beta] else []
        reasons += [] if math.isfinite(upper) else [NO_UPPER]
        rows.append(ErrorRow(beta, min(max(found[beta], floor), upper), upper, "; ".join(reasons)))
    return rows


def _checked(
    model: DiagonalModel,
    targets: Target | Sequence[Target],
    betas: Sequence[float],
    ball: str,
    groups: Sequence[str] | None,
    window: float | None,
) -> tuple[list[Target], Ball]:
    check_bracketed(model, "a nonlinear or layered model", betas)
    if window is not None and not (window > 0 and math.isfinite(window)):
        raise ValueError(f"window: must be positive and finite, got {window!r}")
    return one_per_input(targets, model.input_dim), Ball.of(model, ball, groups)


@dataclass(frozen=True)
class _View:
    """The window: weights of the target on the inputs of each cell and at time 0, and the substeps of the model.

    H = Σ value·x and dH/dt = Σ rate·x, (K+1, d) each, the last row belonging to time 0. `tails` are lower bounds of
    ∫|ρ| and of the variation of ρ beyond `end`; `finer` the substeps of the final evaluation, where it is not exact.
    """

    value: Tensor
    rate: Tensor
    end: float
    tails: tuple[float, float]
    steps: Steps
    finer: tuple[Steps, Steps] | None = None

    @staticmethod
    def of(model: DiagonalModel, targets: Sequence[Target], window: float | None) -> _View:
        rates = torch.cat([model.lam(k).abs() for k in range(len(model.layers))])
        slow = min(float(-model.lam(k).real.max()) for k in range(len(model.layers)))
        scales = [scale for target in targets for scale in target.time_scales]
        end = window or 2e4 * max(1 / slow, *scales)
        first = min(0.1 * min(1 / float(rates.max()), *scales), 0.5 * end)
        edges = geometric_edges(first, end, 4 if len(model.layers) == 1 else 2)
        breaks = [time * (1 - gap) for target in targets for time in target.breaks for gap in (0.0, 1e-6)]
        edges = np.unique(np.concatenate([edges, breaks]))  # an input of its own for each jump
        edges = edges[edges <= end] if window else edges[edges <= 2 * end]
        cells = cut(targets, edges)
        like = model.layers[0].w
        zero = torch.zeros(1, len(targets))
        value = torch.cat([torch.from_numpy(cells.integrals.T.copy()), zero]).to(like)
        # d/dt ∫ρ(s)x_{-s} ds = ρ(0)x_0 + ∫ρ'(s)x_{-s} ds, jumps included
        at_edges = torch.from_numpy(cells.values.T.copy())
        rate = torch.cat([at_edges.diff(dim=0), at_edges[:1]]).to(like)
        last = float(edges[-1])
        tails = sum(t.tail(last).lower for t in targets), sum(t.tail_variation(last).lower for t in targets)
        if len(model.layers) == 1:
            return _View(value, rate, last, tails, steps_of(edges, like))
        finer = [steps_of(edges, like, levels=_LEVELS, split=split) for split in (3, 6)]
        return _View(value, rate, last, tails, steps_of(edges, like, levels=_LEVELS), (finer[0], finer[1]))


class _Probe(NamedTuple):
    """Inputs x = e^{log_size}·shape, |shape| ≤ 1: shapes (N, K+1, d) and (N,)."""

    shape: Tensor
    log_size: Tensor

    def of(self, mask: Tensor, other: _Probe) -> _Probe:
        """This one where the mask holds, else the other."""
        return _Probe(
            torch.where(mask[:, None, None], self.shape, other.shape), torch.where(mask, self.log_size, other.log_size)
        )


def _ratio(model: DiagonalModel, view: _View, probe: _Probe, kind: int, steps: Steps | None = None) -> Tensor:
    """|G(x)|/(|x|_∞ + 1) for kind 0, |dG/dt(x)|/(|x|_∞ + 1) for kind 1: (N,)."""
    size = probe.log_size.exp()
    inputs = probe.shape * size[:, None, None]
    got = output_and_rate(model, inputs, steps or view.steps)[kind]
    wanted = ((view.rate if kind else view.value) * inputs).sum(dim=(1, 2))
    return (wanted - got).abs() / (size + 1)


def _lower_ends(
    model: DiagonalModel,
    targets: Sequence[Target],
    ball: Ball,
    betas: list[float],
    window: float | None,
    starts: int,
    steps: int,
    seed: int,
) -> list[float]:
    """The best value for each β, not decreasing in β (betas increase)."""
    if not betas:
        return []
    view = _View.of(model, targets, window)
    first = [_first_probes(model, view, kind, starts) for kind in (0, 1)]
    beta = torch.tensor(betas, dtype=model.dtype, device=model.device).repeat_interleave(starts)
    generator = torch.Generator(device="cpu").manual_seed(seed)
    drawn = scaled(random_moves(model, ball, (starts,), generator), (torch.arange(starts) > 0).to(beta))
    may_move = _movable(model, ball, beta)
    move = _masked({group: tuple(_tiled(x, len(betas)) for x in xs) for group, xs in drawn.items()}, may_move)
    state = _State(move, *(_Probe(_tiled(p.shape, len(betas)), _tiled(p.log_size, len(betas))) for p in first))
    values, gradient = _parts(model, view, beta, state)
    for step in range(steps):
        trial = _moved_state(ball, state, gradient, step, may_move)
        new_values, new_gradient = _parts(model, view, beta, trial)
        state, values, gradient = _accepted(state, values, gradient, trial, new_values, new_gradient)
    total = values.sum(dim=0).reshape(len(betas), starts)
    best = (total.argmax(dim=1) + torch.arange(len(betas), device=total.device) * starts).tolist()
    exact = torch.cat([_final(model, view, beta[i : i + 1], _slice(state, i, 1)) for i in best])
    return torch.cummax(exact, dim=0).values.clamp(min=0).tolist()


def _movable(model: DiagonalModel, ball: Ball, beta: Tensor) -> list[Tensor]:
    """For each layer 1 where a mode stays stable over the ball, else 0, (N, m): only unseen modes do not."""
    if "w" not in ball.groups:
        return []
    radius = beta[:, None]
    tops = [model.reparameterization.bounds(layer.w.expand(len(beta), -1), radius)[1] for layer in model.layers]
    return [(top < 0).to(beta) for top in tops]


def _masked(move: Move, may_move: list[Tensor]) -> Move:
    """The move without that of w where it may leave stability."""
    if not may_move:
        return move
    return {**move, "w": tuple(x * mask for x, mask in zip(move["w"], may_move, strict=True))}


def _tiled(x: Tensor, count: int) -> Tensor:
    return x.repeat(count, *[1] * (x.ndim - 1))


class _State(NamedTuple):
    """A move in units of β, the inputs for the value and those for the rate; the leading axis is the start."""

    move: Move
    value: _Probe
    rate: _Probe


def _first_probes(model: DiagonalModel, view: _View, kind: int, count: int) -> _Probe:
    """The best `count` inputs at β = 0 among signs of the target, of the model's gradient and of their difference."""
    wanted = view.rate if kind else view.value
    gradients = []
    for base in (1e-3, -1e-3):
        inputs = torch.full_like(wanted, base).unsqueeze(0).requires_grad_()
        got = output_and_rate(model, inputs, view.steps)[kind]
        gradients.append(torch.autograd.grad(got.sum(), inputs)[0][0])
    at_zero = torch.zeros_like(wanted)
    at_zero[-1] = 1.0  # the states held at 0, the input at time 0 alone
    patterns = [wanted, *(wanted - g for g in gradients), *gradients, at_zero, torch.ones_like(wanted)]
    shapes = torch.stack([sign * x.sign() for x in patterns for sign in (1.0, -1.0)])
    sizes = torch.tensor(_SIZES, dtype=wanted.dtype, device=wanted.device).log()
    every = _Probe(shapes.repeat(len(sizes), 1, 1), sizes.repeat_interleave(len(shapes)))
    best = _ratio(model, view, every, kind).topk(min(count, len(every.log_size))).indices
    best = best.repeat(count)[:count]
    return _Probe(every.shape[best], every.log_size[best])


def _parts(model: DiagonalModel, view: _View, beta: Tensor, state: _State) -> tuple[Tensor, _State]:
    """The two ratios and |Ĥ(0)|, (3, N), and the gradient of their sum with respect to the state; in chunks."""
    m = sum(model.hidden_dims) * len(view.steps.widths)
    size = max(1, _CHUNK // m)
    pieces = [_parts_of(model, view, beta[i : i + size], _slice(state, i, size)) for i in range(0, len(beta), size)]
    if len(pieces) == 1:
        return pieces[0]
    gradients = [piece[1] for piece in pieces]
    move = {
        group: tuple(torch.cat(xs) for xs in zip(*(g.move[group] for g in gradients), strict=True))
        for group in state.move
    }
    probes = [_Probe(*(torch.cat(xs) for xs in zip(*(g[k] for g in gradients), strict=True))) for k in (1, 2)]
    return torch.cat([piece[0] for piece in pieces], dim=1), _State(move, *probes)


def _slice(state: _State, start: int, size: int) -> _State:
    part = slice(start, start + size)
    probes = (_Probe(probe.shape[part], probe.log_size[part]) for probe in (state.value, state.rate))
    return _State({group: tuple(x[part] for x in xs) for group, xs in state.move.items()}, *probes)


def _parts_of(model: DiagonalModel, view: _View, beta: Tensor, state: _State) -> tuple[Tensor, _State]:
    move = {group: tuple(x.detach().clone().requires_grad_() for x in xs) for group, xs in state.move.items()}
    probes = [_Probe(*(x.detach().clone().requires_grad_() for x in probe)) for probe in (state.value, state.rate)]
    there = moved(model, scaled(move, beta))
    values = torch.stack([*(_ratio(there, view, probe, k) for k, probe in enumerate(probes)), rest_output(there).abs()])
    leaves = [x for xs in move.values() for x in xs] + [x for probe in probes for x in probe]
    gradients = list(torch.autograd.grad(values.sum(), leaves, allow_unused=True))
    pairs = zip(leaves, gradients, strict=True)
    filled = [torch.zeros_like(x) if g is None else g.nan_to_num(0.0, 0.0, 0.0) for x, g in pairs]
    back: dict[str, tuple[Tensor, ...]] = {}
    for group, xs in move.items():
        back[group] = tuple(filled[: len(xs)])
        filled = filled[len(xs) :]
    return values.detach(), _State(back, _Probe(*filled[:2]), _Probe(*filled[2:]))


def _moved_state(ball: Ball, state: _State, gradient: _State, step: int, may_move: list[Tensor]) -> _State:
    """A trial point: in turn the weights alone, the inputs alone and both, by steps of different length."""
    which, share = step % 3, (1.0, 0.4, 0.1, 0.02)[(step // 3) % 4]
    move = state.move
    if which != 1:
        goal = _masked(farthest(ball, gradient.move, 1), may_move)
        move = {
            group: tuple((1 - share) * x + share * y for x, y in zip(xs, goal[group], strict=True))
            for group, xs in state.move.items()
        }
    if which == 0:
        return _State(move, state.value, state.rate)
    probes = [
        _Probe(
            (probe.shape + 2 * share * slope.shape.sign()).clamp(-1, 1),
            (probe.log_size + share * slope.log_size.sign()).clamp(*_LOG_SIZES),
        )
        for probe, slope in ((state.value, gradient.value), (state.rate, gradient.rate))
    ]
    return _State(move, *probes)


def _accepted(
    state: _State, values: Tensor, gradient: _State, trial: _State, new: Tensor, new_gradient: _State
) -> tuple[_State, Tensor, _State]:
    """The trial where the sum of the three parts has grown."""
    better = new.nan_to_num(nan=-math.inf).sum(dim=0) > values.sum(dim=0)

    def pick(a: _State, b: _State) -> _State:
        return _State(chosen(better, a.move, b.move), a.value.of(better, b.value), a.rate.of(better, b.rate))

    return pick(trial, state), torch.where(better, new, values), pick(new_gradient, gradient)


def _final(model: DiagonalModel, view: _View, beta: Tensor, state: _State) -> Tensor:
    """The sum of the three parts, each less its estimated error, four times the change under halved substeps: (N,).

    Where the model has forgotten what lies beyond the window, inputs of the same size there add the target's tail.
    """
    there = moved(model, scaled(state.move, beta))
    total = rest_output(there).abs()
    forgotten = (there.stability_margin * view.end >= _FORGOTTEN).to(total)
    for kind, probe in enumerate((state.value, state.rate)):
        size = probe.log_size.exp()
        total = total + size / (size + 1) * view.tails[kind] * forgotten
        if view.finer is None:
            total = total + _ratio(there, view, probe, kind)
        else:
            coarse, fine = (_ratio(there, view, probe, kind, steps) for steps in view.finer)
            total = total + (fine - _CAUTION * (fine - coarse).abs()).clamp(min=0)
    return total.nan_to_num(nan=0.0)
