"""Differentiable rates of nonlinear models under Heaviside inputs x·1_{t≥0}: many inputs and times in one batch.

With h⁽ˡ⁾' = v_l the layers' equations, differentiated, are v_1 = e^{Λ_1 t}U_1x and, for l ≥ 2, at rest before t = 0,

    v_l(t) = ∫_0^t e^{Λ_l(t-s)} U_l dσ(h⁽ˡ⁻¹⁾(s)),    h⁽ˡ⁾(t) = rest + ∫_0^t v_l,    d/dt y = cᵀ(σ'(h⁽ℓ⁾) v_ℓ).

The layers feed forward and their modes are decoupled, so nothing is stepped: on a panel [a, a+Δ] the drive is known at
n nodes, and the exponential integrals of the drive's interpolant are one small matrix per mode. Smooth σ: σ'(h)v at
Gauss nodes. σ with kinks (relu, hardtanh): exact increments of σ(h) over n cells, constant rate in each, second order.
Discrete time: increments of single steps, exact. Panels double in length from the fastest scale on, because the
states of the first layer are functions of e^{λs} whose singularities have Re s ≤ 0.

Tensors are laid out (mode, node, input), so that every product is a batched matrix product.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from numerics.activations import Activation
from numerics.linear_memory import expm1, mode_factor, phi1

_GRADED = 16  # Gauss nodes in each piece of the graded rule
_RADIANS = 6.0  # largest phase of a live mode in one panel
_LIVE = 45.0  # e^{-45} is below the rounding error of what it is added to
_DISCRETE_STEPS = 32
_MAX_PANELS = 20_000


@dataclass(frozen=True)
class System:
    """One model without batch axes: lam[l] (m_l,), drives[l] (m_l, m_{l-1}), c (k, m_ℓ), σ, and the kind of time."""

    lam: tuple[Tensor, ...]
    drives: tuple[Tensor, ...]
    c: Tensor
    sigma: Activation
    discrete: bool

    @property
    def depth(self) -> int:
        return len(self.lam)

    @property
    def increments(self) -> bool:
        """Whether drives are increments of σ(h) over cells, instead of σ'(h)v at nodes.

        A real first layer never changes the sign of a state, so relu has no kink before the third layer.
        """
        kinked = self.sigma.name == "hardtanh" or (
            self.sigma.name == "relu" and (self.depth > 2 or self.lam[0].is_complex())
        )
        return self.discrete or kinked

    def rest(self) -> list[Tensor]:
        """The states (m_l,) under x = 0."""
        states = [torch.zeros_like(self.lam[0])]
        for lam, drive in zip(self.lam[1:], self.drives[1:], strict=True):
            states.append(drive @ self.sigma(states[-1]) / (1 - lam if self.discrete else -lam))
        return states


def rate(sigma: Activation, h: Tensor, v: Tensor) -> Tensor:
    """d/dt σ(h) = σ'(h)v; of a complex h, real and imaginary part separately."""
    if h.is_complex():
        return torch.complex(sigma.slope(h.real) * v.real, sigma.slope(h.imag) * v.imag)
    return sigma.slope(h) * v


def increment(sigma: Activation, h: Tensor, step: Tensor) -> Tensor:
    """σ(h + step) - σ(h) without the cancellation of a small step."""
    if h.is_complex():
        return torch.complex(increment(sigma, h.real, step.real), increment(sigma, h.imag, step.imag))
    if sigma.name == "tanh":
        return torch.tanh(step) * (1 - torch.tanh(h) * torch.tanh(h + step))
    if sigma.name == "sigmoid":
        return 0.5 * torch.tanh(step / 2) * (1 - torch.tanh(h / 2) * torch.tanh((h + step) / 2))
    if sigma.name == "relu":
        return _relu_increment(h, step)
    if sigma.name == "hardtanh":
        return _relu_increment(h + 1, step) - _relu_increment(h - 1, step)
    if sigma.name == "identity":
        return step
    nodes, weights = _gauss(6)
    mean = sum(w * sigma.slope(h + x * step) for x, w in zip(nodes.tolist(), weights.tolist(), strict=True))
    return torch.where(step.abs() < 0.5, step * mean, sigma(h + step) - sigma(h))


def _relu_increment(h: Tensor, step: Tensor) -> Tensor:
    return torch.where(h > 0, torch.maximum(step, -h), torch.relu(h + step))


# --- one layer ------------------------------------------------------------------------------------------------------


def one_layer_rates(system: System, inputs: Tensor, times: Tensor, *, paired: bool) -> Tensor:
    """d/dt y = Σ c_i σ'(h_i) e^{λ_i t} g_i, h_i = (e^{λ_i t} - 1)/λ_i g_i, g = U x; discrete y_k - y_{k-1}.

    h_k = (1 - λ^{k+1})/(1 - λ) g. Where h = 0 and σ has a kink there (relu at t = 0), the derivative is the one from
    the right. Shapes: inputs (K, d), times (T,); result (K, T, k), or (K, k) where paired, then T = K.
    """
    g = inputs.to(system.lam[0].dtype) @ system.drives[0].mT
    factor = mode_factor(system.lam[0], times, system.discrete)  # (T, m)
    state = state_factor(system.lam[0], times, system.discrete)
    if not paired:
        g = g.unsqueeze(1)
    h, v = state * g, factor * g
    change = increment(system.sigma, h - v, v) if system.discrete else rate(system.sigma, h, v)
    return _output(system, change)


def state_factor(lam: Tensor, times: Tensor, discrete: bool) -> Tensor:
    """(e^{λt} - 1)/λ, at t = 0 1e-150 (so that h has the sign of v), or (1 - λ^{k+1})/(1 - λ): (T, m)."""
    t = times[:, None]
    if discrete:
        count = t + 1
        if not lam.is_complex():
            log = torch.log1p(lam.abs() - 1)
            even = -torch.expm1(count * log)
            odd_negative = (lam < 0) & (count % 2 == 1)
            return torch.where(odd_negative, 2 - even, even) / (1 - lam)
        return (1 - mode_factor(lam, times + 1, True)) / (1 - lam)
    value = t * phi1(lam * t)
    return torch.where(t > 0, value, torch.full_like(value, 1e-150))


def _output(system: System, change: Tensor) -> Tensor:
    """cᵀ·change over the last axis, 2 Re where complex: (..., k)."""
    result = change @ system.c.mT
    return 2 * result.real if result.is_complex() else result


# --- several layers -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Weights:
    """One layer on one panel, for R rows (times) and n drives: v = carry·v_start + W z, h - h_start = kappa·v_start
    + Y z. Shapes: carry, kappa (m, R, 1), W, Y (m, R, n)."""

    carry: Tensor
    W: Tensor
    kappa: Tensor
    Y: Tensor


@dataclass(frozen=True)
class _Panel:
    """`first` layer on the nodes: factors of g for v and h, and for h at the start; the deeper layers' weights, rows =
    nodes and end, in the last layer asked times and end; `rows`: the range of asked times."""

    speed: Tensor
    state: Tensor
    start: Tensor
    layers: tuple[_Weights, ...]
    rows: tuple[int, int]


@dataclass(frozen=True)
class Plan:
    """The panels of a system for increasing `times` and inputs with |U_1x| ≤ `drive_size`."""

    panels: tuple[_Panel, ...]
    times: Tensor
    nodes: int

    @property
    def points(self) -> int:
        return self.nodes * len(self.panels) + self.times.numel()


def make_plan(system: System, times: Tensor, drive_size: float, *, nodes: int, refine: int = 1) -> Plan:
    """A plan with `nodes` nodes a panel, each panel cut into `refine` (ignored in discrete time, which is exact).

    `times` (T,) increasing. Raises ValueError where the oscillation of the modes needs too many panels.
    """
    if system.discrete:
        nodes = _DISCRETE_STEPS
        if float(times[-1]) >= nodes * _MAX_PANELS:
            raise ValueError(f"times: at most {nodes * _MAX_PANELS - 1} steps for several layers, got {times[-1]:.0f}")
        starts = np.arange(0, float(times[-1]) + 1, nodes)
        edges = np.append(starts, starts[-1] + nodes)
    else:
        edges = _edges(system, float(times[-1]) or 1.0, drive_size, refine)
    asked = times.cpu().numpy()
    # A continuous panel holds (a, b], the first one 0 too; a discrete one the steps a..b-1.
    cuts = np.searchsorted(asked, edges, side="left" if system.discrete else "right")
    cuts[0] = 0
    panels = []
    cache: dict[tuple[float, int], _Weights] = {}
    for index, (left, right) in enumerate(itertools.pairwise(edges)):
        rows = (int(cuts[index]), int(cuts[index + 1]))
        inside = torch.as_tensor(asked[rows[0] : rows[1]] - left, dtype=times.dtype, device=times.device)
        panels.append(_panel(system, left, right - left, inside, nodes, rows, cache))
    return Plan(tuple(panels), times, nodes)


def _edges(system: System, horizon: float, drive_size: float, refine: int) -> np.ndarray:
    fastest = max(float(lam.abs().max()) for lam in system.lam) + drive_size
    doublings = max(1, math.ceil(math.log2(2 * fastest * horizon)))
    ends = [0.0, *(horizon * 0.5**j for j in range(doublings, -1, -1))]
    lam = torch.cat(list(system.lam)).cpu()
    edges, total = [0.0], 0
    for left, right in itertools.pairwise(ends):
        live = lam.imag[-lam.real * left < _LIVE] if lam.is_complex() else lam[:0]
        phase = float(live.abs().max()) * (right - left) if live.numel() else 0.0
        pieces = refine * max(1, math.ceil(phase / _RADIANS))
        total += pieces
        if total > _MAX_PANELS:
            raise ValueError(f"times: up to t = {horizon:g} the modes oscillate too often for {_MAX_PANELS} panels")
        edges.extend(np.linspace(left, right, pieces + 1)[1:])
    return np.array(edges)


def _panel(
    system: System,
    left: float,
    width: float,
    inside: Tensor,
    nodes: int,
    rows: tuple[int, int],
    cache: dict[tuple[float, int], _Weights],
) -> _Panel:
    like: dict[str, Any] = {"dtype": inside.dtype, "device": inside.device}
    if system.discrete:
        targets = torch.arange(nodes, **like)
        asked, end, first = inside, targets[-1:], left + targets
    elif system.increments:
        targets = torch.arange(1, nodes + 1, **like) / nodes
        asked, end, first = inside / width, targets[-1:], left + width * targets
    else:
        targets = torch.as_tensor(_gauss(nodes)[0], **like)
        asked, end, first = inside / width, torch.ones(1, **like), left + width * targets
    layers = []
    for index, lam in enumerate(system.lam[1:], start=1):
        key = (round(width, 15), index)
        if index < system.depth - 1:
            if key not in cache:
                cache[key] = _weights(system, lam, width, torch.cat([targets, end]), nodes)
            layers.append(cache[key])
        else:
            layers.append(_weights(system, lam, width, torch.cat([asked, end]), nodes))
    speed = mode_factor(system.lam[0], first, system.discrete).mT[:, :, None]
    state = state_factor(system.lam[0], first, system.discrete).mT[:, :, None]
    if system.discrete:
        start = state[:, :1] - speed[:, :1]
    else:
        start = state_factor(system.lam[0], torch.full((1,), left, **like), False).mT[:, :, None]
    return _Panel(speed, state, start, tuple(layers), rows)


def _weights(system: System, lam: Tensor, width: float, targets: Tensor, nodes: int) -> _Weights:
    if system.discrete:
        return _step_weights(lam, targets, nodes)
    return (_cell_weights if system.increments else _gauss_weights)(lam, width, targets, nodes)


def _step_weights(lam: Tensor, targets: Tensor, nodes: int) -> _Weights:
    """Steps q of a discrete panel: D_q = λ^{q+1} D_start + Σ_{r≤q} λ^{q-r} z_r; h is the sum of D."""
    steps = torch.arange(nodes, dtype=targets.dtype, device=targets.device)
    powers = mode_factor(lam, torch.arange(nodes + 1, dtype=targets.dtype, device=targets.device), True)  # (n + 1, m)
    lag = targets[:, None] - steps
    W = (powers[lag.clamp(min=0).long()] * (lag >= 0)[..., None]).permute(2, 0, 1)
    carry = powers[targets.long() + 1].mT[:, :, None]
    sums = torch.cumsum(powers, 0)
    Y = (sums[lag.clamp(min=0).long()] * (lag >= 0)[..., None]).permute(2, 0, 1)
    kappa = (sums[targets.long() + 1] - 1).mT[:, :, None]
    return _Weights(carry, W, kappa, Y)


def _cell_weights(lam: Tensor, width: float, targets: Tensor, nodes: int) -> _Weights:
    """Increments spread evenly over n cells of length δ = Δ/n: with θ ∈ [0, 1] the part of a cell before the target
    and a the cells after it, W = θφ_1(θλδ)e^{aλδ} and its integral Y = δ(aφ_1(λδ)φ_1(aλδ) + θ²φ_2(θλδ))."""
    z = (lam * (width / nodes))[:, None, None]
    reach = targets[:, None] * nodes - torch.arange(nodes, dtype=targets.dtype, device=targets.device)
    part, after = reach.clamp(0, 1), (reach - 1).clamp(min=0)
    W = part * phi1(part * z) * torch.exp(after * z)
    Y = width / nodes * (after * phi1(z) * phi1(after * z) + part**2 * _phi2(part * z))
    return _Weights(*_free(lam, width, targets, W, Y))


def _gauss_weights(lam: Tensor, width: float, targets: Tensor, nodes: int) -> _Weights:
    """∫_0^ξ e^{λΔ(ξ-s)} ℓ_r(s) Δ ds and its integral, ℓ_r the Lagrange polynomials of the Gauss nodes, by a Gauss rule
    graded towards s = ξ: halving pieces, down to the scale of the fastest λ."""
    pieces = max(1, math.ceil(math.log2(max(1.0, float(lam.abs().max()) * width))) + 1)
    x, w = _gauss(_GRADED)
    lengths = [0.5 ** (j + 1) for j in range(pieces)] + [0.5**pieces]
    lag = torch.as_tensor(np.concatenate([(0.0 if j == pieces else h) + h * x for j, h in enumerate(lengths)]))
    rule = torch.as_tensor(np.concatenate([h * w for h in lengths]))
    lag, rule = lag.to(targets), rule.to(targets)
    W, Y = [], []
    for part in torch.split(targets, max(1, 2**22 // (lam.numel() * lag.numel()))):
        delay = part[:, None] * lag  # (R, N)
        basis = _lagrange(part[:, None] - delay, nodes) * (width * part[:, None] * rule)[..., None]  # (R, N, n)
        z = lam[:, None] * (width * delay)[:, None, :]  # (R, m, N)
        basis = basis.to(z.dtype)
        W.append((torch.exp(z) @ basis).movedim(1, 0))
        Y.append(((width * delay)[:, None, :] * phi1(z) @ basis).movedim(1, 0))
    return _Weights(*_free(lam, width, targets, torch.cat(W, 1), torch.cat(Y, 1)))


def _free(lam: Tensor, width: float, targets: Tensor, W: Tensor, Y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    z = (lam * width)[:, None] * targets
    return torch.exp(z)[..., None], W, (width * targets * phi1(z))[..., None], Y


def _phi2(z: Tensor) -> Tensor:
    """φ_2(z) = (φ_1(z) - 1)/z, by its series Σ z^j/(j+2)! near 0."""
    near = z.abs() < 1
    small = torch.where(near, z, torch.zeros_like(z))
    series = torch.zeros_like(z)
    for j in range(18, -1, -1):
        series = series * small + 1 / math.factorial(j + 2)
    far = torch.where(near, torch.ones_like(z), z)
    return torch.where(near, series, (expm1(far) / far - 1) / far)


def _gauss(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on [0, 1]."""
    x, w = np.polynomial.legendre.leggauss(count)
    return (x + 1) / 2, w / 2


def _lagrange(points: Tensor, nodes: int) -> Tensor:
    """The Lagrange polynomials of the Gauss nodes at `points`, by discrete orthogonality: (..., n)."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    degrees = np.arange(nodes)
    inverse = (np.polynomial.legendre.legvander(x, nodes - 1) * (2 * degrees + 1) / 2 * w[:, None]).T
    values = np.polynomial.legendre.legvander(2 * points.cpu().numpy() - 1, nodes - 1)
    return torch.as_tensor(values @ inverse).to(points)


def march(system: System, inputs: Tensor, plan: Plan, owner: Tensor | None = None) -> Tensor:
    """The rates of the output, for every input at every time of the plan: (K, T, k).

    With `owner` (K,), increasing: input j at time plan.times[owner[j]] only, (K, k). Shapes: inputs (K, d).
    """
    g = (inputs.to(system.lam[0].dtype) @ system.drives[0].mT).mT[:, None, :]  # (m, 1, K)
    count = inputs.shape[0]
    h = [state[:, None].expand(-1, count) for state in system.rest()[1:]]
    v = [torch.zeros_like(state) for state in h]
    ends = None if owner is None else owner.tolist()
    found = []
    for panel in plan.panels:
        first, last = panel.rows
        drive = _first_drive(system, panel, g)
        for index, weights in enumerate(panel.layers):
            z = (system.drives[index + 1] @ drive.flatten(1)).reshape(-1, *drive.shape[1:])
            if index < system.depth - 2:
                drive, h[index], v[index] = _middle(system, weights, z, h[index], v[index])
                continue
            due = 0 if ends is None else sum(1 for time in ends if time < last)
            take = None if ends is None else torch.as_tensor(ends[:due], device=g.device, dtype=torch.long) - first
            if last > first and (ends is None or due):
                found.append(_asked(system, weights, z, h[index], v[index], take, last - first))
            v_end, h_end = _rows(weights, z, h[index], v[index], slice(-1, None))
            h[index], v[index] = h_end[:, 0], v_end[:, 0]
        if ends is not None and due:  # inputs whose time has come leave
            ends, g = ends[due:], g[..., due:]
            h, v = [state[:, due:] for state in h], [state[:, due:] for state in v]
            if not ends:
                break
    return torch.cat(found, dim=1 if owner is None else 0)


def _first_drive(system: System, panel: _Panel, g: Tensor) -> Tensor:
    state = panel.state * g
    if not system.increments:
        return rate(system.sigma, state, panel.speed * g)
    if system.discrete:
        step = panel.speed * g
        return increment(system.sigma, state - step, step)
    before = torch.cat([panel.start, panel.state[:, :-1]], 1)
    return increment(system.sigma, before * g, (panel.state - before) * g)


def _rows(weights: _Weights, z: Tensor, h: Tensor, v: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
    """v and h at some rows: (m, R, K)."""
    start = v[:, None, :]
    speed = weights.carry[:, rows] * start + weights.W[:, rows] @ z
    return speed, h[:, None, :] + weights.kappa[:, rows] * start + weights.Y[:, rows] @ z


def _middle(system: System, weights: _Weights, z: Tensor, h: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The drive that a layer hands on, and its state at the end of the panel."""
    speed, state = _rows(weights, z, h, v, slice(None))
    nodes, ends = slice(0, -1), (state[:, -1], speed[:, -1])
    if not system.increments:
        return rate(system.sigma, state[:, nodes], speed[:, nodes]), *ends
    if system.discrete:
        return increment(system.sigma, state[:, nodes] - speed[:, nodes], speed[:, nodes]), *ends
    before = torch.cat([h[:, None], state[:, :-2]], 1)
    return increment(system.sigma, before, state[:, nodes] - before), *ends


def _asked(
    system: System, weights: _Weights, z: Tensor, h: Tensor, v: Tensor, take: Tensor | None, rows: int
) -> Tensor:
    if take is None:
        speed, state = _rows(weights, z, h, v, slice(0, rows))
    else:
        due = take.numel()
        W, Y, carry, kappa = (w[:, take] for w in (weights.W, weights.Y, weights.carry, weights.kappa))
        drive, start = z[..., :due].mT, v[:, :due]
        speed = carry[..., 0] * start + (W * drive).sum(-1)
        state = h[:, :due] + kappa[..., 0] * start + (Y * drive).sum(-1)
    sigma = system.sigma
    change = increment(sigma, state - speed, speed) if system.discrete else rate(sigma, state, speed)
    return _output(system, change.movedim(0, -1) if take is not None else change.permute(2, 1, 0))
