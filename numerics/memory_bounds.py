"""Upper bounds of the memory function M(t) = sup_x |d/dt y_t(u^x)|/(|x|_∞ + 1) of nonlinear models.

All are derived here. In continuous time T(λ) below is e^{λt}, in discrete time λ^k, and rates are differences of
successive outputs; L is the Lipschitz constant of σ; a complex model's output is 2 Re, a factor 2.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from numerics.activations import Activation
from numerics.heaviside_rates import System, state_factor
from numerics.linear_memory import comparison_kernel, mode_factor, phi1

_MONOTONE = ("identity", "tanh", "hardtanh", "relu", "sigmoid")
_UNIMODAL = ("tanh", "hardtanh", "sigmoid")  # bounded, with a slope that falls away from 0
_MAX_CORNERS_DIM = 10
_CHUNK = 2**22
_CELLS = 500
_MAX_STEPS = 5000
_ROUND_UP = 1 + 1e-10  # above all relative rounding errors here: sums of positive terms and e^{λt}, |λ|t ≤ 745


def memory_upper(system: System, times: Tensor) -> tuple[Tensor, str]:
    """The least of the bounds at each time, (T,), and the names of those that are least somewhere."""
    bounds = {"Lipschitz": lipschitz_upper(system, times), "comparison": comparison_upper(system, times)}
    if not system.lam[0].is_complex():
        if system.depth == 1 and system.drives[0].shape[-1] <= _MAX_CORNERS_DIM:
            bounds["slope"] = slope_upper(system, times)
        if system.sigma.name in _UNIMODAL and (not system.discrete or float(times.max()) <= _MAX_STEPS):
            bounds["saturation"] = saturation_upper(system, times)
    table = torch.stack(list(bounds.values()))
    best = set(table.argmin(0).tolist())
    names = [name for index, name in enumerate(bounds) if index in best]
    return table.amin(0), " and ".join(names)


def lipschitz_upper(system: System, times: Tensor) -> Tensor:
    """√d · L^ℓ · |c|_2 Π|U_l|_2 · t^{ℓ-1}/(ℓ-1)! · e^{-βt}, all Re λ ≤ -β; discrete binom(k+ℓ-1, ℓ-1) α^k, |λ| ≤ α.

    Induction on |v_l|_2 ≤ L|U_l|_2 ∫_0^t e^{-β(t-s)}|v_{l-1}|_2 ds, |v_1|_2 ≤ e^{-βt}|U_1|_2 √d|x|_∞, layers ≥ 2 at
    rest before t = 0. Discrete: D_l = Σ_{j≤k} Λ^{k-j}U_l(σ(h_j) - σ(h_{j-1})), and Σ_{j≤k} binom(j+ℓ-2, ℓ-2) =
    binom(k+ℓ-1, ℓ-1). Several outputs: the largest |c|_2. Shapes: times (T,); result (T,).
    """
    gain = float(torch.linalg.vector_norm(system.c, dim=-1).max()) * system.drives[0].shape[-1] ** 0.5
    for drive in system.drives:
        gain *= float(torch.linalg.matrix_norm(drive, ord=2)) * system.sigma.lipschitz
    growth = torch.ones_like(times)
    for order in range(1, system.depth):
        growth = growth * ((times + order) if system.discrete else times) / order
    if system.discrete:
        decay = max(float(lam.abs().max()) for lam in system.lam) ** times
    else:
        decay = torch.exp(max(float(lam.real.max()) for lam in system.lam) * times)
    pair = 2 if system.c.is_complex() else 1
    return gain * pair * growth * decay * _ROUND_UP


def comparison_upper(system: System, times: Tensor) -> Tensor:
    """L^ℓ max_{s ∈ {±1}^d} |c|ᵀ(T(Re Λ_ℓ) * |U_ℓ| T(Re Λ_{ℓ-1}) * … T(Re Λ_1))(t) |U_1 s|, discrete with |Λ|.

    |v_l| ≤ T(Re Λ_l) * |U_l| L|v_{l-1}| entrywise, and |v_1| = T(Re Λ_1)|U_1x|. The bound is a convex function of x,
    hence largest at a corner of the cube |x|_∞ ≤ R; for d > 10 |U_1 s| is replaced by the row sums of |U_1|.
    Shapes: times (T,); result (T,).
    """
    first, dim = system.drives[0], system.drives[0].shape[-1]
    few = dim <= _MAX_CORNERS_DIM
    reach = (first @ corners(dim, first)).abs() if few else first.abs().sum(-1, keepdim=True)  # (m_1, corners)
    eye = torch.eye(first.shape[0], dtype=first.dtype, device=first.device)
    weights = comparison_kernel(
        system.lam, (eye, *system.drives[1:]), system.c, times, discrete=system.discrete
    )  # (T, k, m_1)
    return _largest(weights, reach) * system.sigma.lipschitz**system.depth * _ROUND_UP


def _largest(weights: Tensor, reach: Tensor) -> Tensor:
    parts = torch.split(weights, max(1, _CHUNK // (weights.shape[-2] * reach.shape[-1])))
    return torch.cat([(part @ reach).amax((-2, -1)) for part in parts])


def slope_upper(system: System, times: Tensor) -> Tensor:
    """One real layer, slopes q ≤ σ' ≤ L, q ≤ 0: the largest over corners s of Σ_i sup_{q ≤ σ' ≤ L} σ' c_iT(λ_i)(Us)_i.

    d/dt y = Σ σ'(h_i)z_i with z_i = c_iT(λ_i)(Ux)_i is at most Σ(L z_i⁺ - q z_i⁻), z = z⁺ - z⁻, a convex function of x;
    -y' is the same at -x. q = 0 for monotone σ, 1 - L for gelu. For relu the slope is 1 where (Ux)_i > 0 and 0
    elsewhere (h_i has the sign of (Ux)_i), so that z_i = c_iT(λ_i)(Ux)_i⁺, and y', -y' are at most Σz_i⁺, Σz_i⁻, each
    convex in x. Shapes: times (T,); result (T,).
    """
    cube = corners(system.drives[0].shape[-1], system.drives[0])
    reach = system.drives[0] @ torch.cat([cube, -cube], 1)  # (m, 2^d)
    if system.sigma.name == "relu":
        reach = reach.clamp(min=0)
    weights = system.c * mode_factor(system.lam[0], times, system.discrete).unsqueeze(-2)  # (T, k, m)
    if system.sigma.name == "relu":
        sides = [_largest((sign * weights).clamp(min=0), reach) for sign in (1, -1)]
        return torch.maximum(*sides) * _ROUND_UP
    top, low = system.sigma.lipschitz, _least_slope(system.sigma)
    # L z⁺ - q z⁻ = (L+q)/2 z + (L-q)/2 |z|, and |z_i| = |c_iT(λ_i)||(Us)_i|.
    parts = torch.split(weights, max(1, _CHUNK // (weights.shape[-2] * reach.shape[-1])))
    found = [((top + low) / 2 * (w @ reach) + (top - low) / 2 * (w.abs() @ reach.abs())).amax((-2, -1)) for w in parts]
    return torch.cat(found) * _ROUND_UP


def _least_slope(sigma: Activation) -> float:
    """inf σ': 0 for monotone σ; gelu has σ'(h) + σ'(-h) = 1, otherwise -L."""
    if sigma.name in _MONOTONE:
        return 0.0
    return 1 - sigma.lipschitz if sigma.name == "gelu" else -sigma.lipschitz


def saturation_upper(system: System, times: Tensor) -> Tensor:
    """Real layers, σ with a slope that falls away from 0: Σ_i |c_i|(T_ℓ * L|U_ℓ| T_{ℓ-1} * … L|U_2| P)(t).

    P_i = |T(λ_i)| p_i S(φ_i p_i) bounds the rate of σ(h_i) in the first layer, divided by |x|_∞ + 1, p_i = |U_i|_1 and
    S(q) = sup_{s>0} σ'(s)s/(q+s) ≤ L: h_i = φ_i z, z = (Ux)_i, so that the rate is |T(λ_i)| σ'(φ_i|z|)|z|, where
    |x|_∞ ≥ |z|/p_i; put s = φ_i|z|, q = φ_ip_i. φ = (e^{λt} - 1)/λ; discrete: the increment is at most |λ^k z| times
    the largest slope between h_{k-1} and h_k, which have one sign: φ is the smaller factor. The deeper layers are as
    in `comparison_upper`; one more L for the last σ if ℓ ≥ 2.
    Shapes: times (T,); result (T,).
    """
    last = _first_profile(system, times) if system.depth == 1 else _deep_profile(system, times)
    return (last @ system.c.abs().mT).amax(-1) * _ROUND_UP


def _first_profile(system: System, times: Tensor) -> Tensor:
    """P at the times, decreasing in continuous time: (T, m)."""
    lam, reach = system.lam[0], system.drives[0].abs().sum(-1)
    state = state_factor(lam, times, system.discrete)
    speed = mode_factor(lam, times, system.discrete).abs()
    if system.discrete:
        earlier = state_factor(lam, (times - 1).clamp(min=0), True)
        state = torch.where(times[:, None] > 0, torch.minimum(state, earlier), torch.zeros_like(state))
    return speed * reach * saturation_factor(system.sigma, state * reach * (1 - 1e-9))


def _deep_profile(system: System, times: Tensor) -> Tensor:
    """L times the bound of the last layer's rates, marched over cells on which the drive is replaced by its largest
    value (P falls; a deeper rate grows at most by its drive's share in the cell), or over the steps: (T, m)."""
    if system.discrete:
        grid = torch.arange(int(times.max()) + 1, dtype=times.dtype, device=times.device)
    else:
        horizon = float(times.max()) or 1.0
        fastest = max(float(lam.abs().max()) for lam in system.lam)
        start = min(1e-3 / fastest, 1e-3 * horizon)
        cells = torch.logspace(math.log10(start), math.log10(horizon), _CELLS, dtype=times.dtype, device=times.device)
        even = torch.linspace(0, horizon, _CELLS, dtype=times.dtype, device=times.device)
        grid = torch.unique(torch.cat([times, cells, even]))
    profile, found = _first_profile(system, grid), {}
    rates = [torch.zeros_like(lam) for lam in system.lam[1:]]
    for index, now in enumerate(grid.tolist()):
        if not system.discrete:
            found[now] = rates[-1]
        width = 0.0 if index + 1 == len(grid) else float(grid[index + 1]) - now
        drive = profile[index]
        for layer, (lam, matrix) in enumerate(zip(system.lam[1:], system.drives[1:], strict=True)):
            push = matrix.abs() @ drive
            if system.discrete:
                rates[layer] = drive = lam.abs() * rates[layer] + push
            else:
                share = width * phi1(lam * width) * push
                drive = rates[layer] + share
                rates[layer] = torch.exp(lam * width) * rates[layer] + share
            drive = system.sigma.lipschitz * drive
        if system.discrete:
            found[now] = rates[-1]
    return system.sigma.lipschitz * torch.stack([found[time] for time in times.tolist()])


def saturation_factor(sigma: Activation, q: Tensor) -> Tensor:
    """S(q) = sup_{s>0} σ'(s)s/(q+s) from above, within a percent, for σ' even and falling on s > 0.

    On a cell [a, b] of s the ratio is at most σ'(a)b/(q+b); S falls with q, so a table is read at the next smaller q.
    Shapes: any. Source: derived here.
    """
    zero = torch.zeros(1, dtype=q.dtype, device=q.device)
    s = torch.cat([zero, torch.logspace(-7, 2.5, 4000, dtype=q.dtype, device=q.device)])
    slope = sigma.slope(s)
    if sigma.name == "hardtanh":
        slope = (s <= 1).to(q.dtype)
    knots = torch.cat([zero, torch.logspace(-6, 8, 3000, dtype=q.dtype, device=q.device)])
    rows = [(slope[:-1] * s[1:] / (part[:, None] + s[1:])).amax(-1) for part in torch.split(knots, 500)]
    table = torch.maximum(torch.cat(rows), slope[-1])
    return table[(torch.searchsorted(knots, q.contiguous(), right=True) - 1).clamp(min=0)]


def corners(dim: int, like: Tensor) -> Tensor:
    """The sign vectors with first entry 1, one of each pair ±s: (d, 2^{d-1})."""
    signs = list(itertools.product([1.0], *([[1.0, -1.0]] * (dim - 1))))
    return torch.tensor(signs, dtype=like.dtype, device=like.device).mT
