"""Impulse responses of linear models with a bound on their rounding error: one layer, several layers, full matrices."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

_TAYLOR_TERMS = 20
_CHUNK_BYTES = 2**28
_STRETCH = 2.0**-26  # relative change of the eigenvalues in the difference quotient of `layered_kernel`


class Kernel(NamedTuple):
    """ρ at each time and a bound on the absolute error of each entry; both (*batch, T, k, d), real."""

    value: Tensor
    error: Tensor


def layered_kernel(
    lam: tuple[Tensor, ...], drives: tuple[Tensor, ...], c: Tensor, times: Tensor, *, discrete: bool
) -> Kernel:
    """The response of dy/dt to Heaviside inputs through linear diagonal layers.

    Continuous: ρ(t) = c (e^{Λ_ℓ·} * U_ℓ e^{Λ_{ℓ-1}·} * … * U_2 e^{Λ_1·})(t) U_1, so that d/dt y_t(u^x) = ρ(t) x.
    Discrete: ρ_k = Σ_{j_1+…+j_ℓ=k} c Λ_ℓ^{j_ℓ} U_ℓ ⋯ Λ_1^{j_1} U_1, so that y_k - y_{k-1} = ρ_k x. Complex: 2 Re.

    Method. One layer: the sum itself. Two continuous layers: (e^{at} - e^{bt})/(a - b) = t e^{at} φ_1((b-a)t), Re a ≥
    Re b, φ_1(z) = (e^z - 1)/z, exact for a = b. Otherwise the block triangular exponential (power), by repeated
    squaring with exact diagonal blocks: the blocks of e^{2Aτ} are sums of products, no difference occurs that
    the signs of U and the phases of λ do not bring.

    Error. Let ρ̄ be the comparison kernel: c, U, e^{λt} replaced by their absolute values. Every rounding is a relative
    error of a term of a sum that ρ̄ dominates, at most K of them in a row (n the total width, s squarings: K =
    (2n + 64)(1 + ℓ(s + 20)), the second factor 1 without squaring), plus an error u|λ|t of each exponent. The latter
    is at most ρ̄'s change when |λ_i|u is added to each Re λ_i; that change is convex in u, so that it is at most
    (u/η) times the change at η ≥ u, which is computed. As |ρ|, computed or not, is at most ρ̄, the error is at most
    2ρ̄.

    Shapes: lam[l] (*batch, m_l), drives[l] (*batch, m_l, m_{l-1}), c (*batch, k, m_ℓ), times (T,), integers where
    discrete. Source: derived here.
    """
    value = _chunked(lam, drives, c, times, discrete)
    if value.is_complex():
        value = 2 * value.real
    plain = comparison_kernel(lam, drives, c, times, discrete=discrete)
    stretched = comparison_kernel(lam, drives, c, times, discrete=discrete, stretch=_STRETCH)
    unit = torch.finfo(value.dtype).eps
    width = sum(layer.shape[-1] for layer in lam) + drives[0].shape[-1]
    squarings = _squarings(lam, times, discrete) if len(lam) > (1 if discrete else 2) else -_TAYLOR_TERMS
    roundings = (2 * width + 64) * (1 + len(lam) * (squarings + _TAYLOR_TERMS))
    error = unit * (roundings * plain + 8 * (stretched - plain) / _STRETCH)
    return Kernel(value, torch.fmin(error, 2 * (1 + unit * roundings) * plain))


def comparison_kernel(
    lam: tuple[Tensor, ...],
    drives: tuple[Tensor, ...],
    c: Tensor,
    times: Tensor,
    *,
    discrete: bool,
    stretch: float = 0.0,
) -> Tensor:
    """|c| (e^{Re Λ_ℓ·} * |U_ℓ| e^{Re Λ_{ℓ-1}·} * … )(t) |U_1|, doubled where complex; discrete with |Λ| for e^{Re Λ}.

    It dominates |ρ| entrywise, and for every L-Lipschitz σ, times L^ℓ, the rates of the nonlinear model: |d/dt
    σ(h)| ≤ L|h'| for real h and for σ on real and imaginary part alike, so |h⁽ˡ⁾'| ≤ L e^{Re Λ_l·} * |U_l||h⁽ˡ⁻¹⁾'|
    (layers ≥ 2 start at rest). `stretch` adds stretch·|λ| to Re λ (discrete: multiplies |λ| by 1 + stretch). Shapes
    as `layered_kernel`. Source: derived here.
    """
    if discrete:
        rates = tuple(layer.abs() * (1 + stretch) for layer in lam)
    else:
        rates = tuple(layer.real + stretch * layer.abs() for layer in lam)
    total = _chunked(rates, tuple(drive.abs() for drive in drives), c.abs(), times, discrete)
    return 2 * total if c.is_complex() else total


def _chunked(lam: tuple[Tensor, ...], drives: tuple[Tensor, ...], c: Tensor, times: Tensor, discrete: bool) -> Tensor:
    """`_kernel` over as many times at once as fit into memory."""
    width = sum(layer.shape[-1] for layer in lam)
    each = 64 * lam[0].shape[:-1].numel() * (width**2 if len(lam) > 1 else width * (c.shape[-2] + 1))
    parts = torch.split(times, max(1, _CHUNK_BYTES // each))
    return torch.cat([_kernel(lam, drives, c, part, discrete) for part in parts], dim=-3)


def _kernel(lam: tuple[Tensor, ...], drives: tuple[Tensor, ...], c: Tensor, times: Tensor, discrete: bool) -> Tensor:
    first, readout = drives[0].unsqueeze(-3), c.unsqueeze(-3)
    if len(lam) == 1:
        return (readout * mode_factor(lam[0], times, discrete).unsqueeze(-2)) @ first
    if discrete:
        return _discrete_kernel(lam, drives, readout, times)
    if len(lam) == 2:
        return readout @ (_pair(lam[1], lam[0], times) * drives[1].unsqueeze(-3)) @ first
    steps = _squarings(lam, times, discrete)
    blocks = _small_exponential(lam, drives, times * 0.5**steps)
    for step in range(steps):
        tau = times * 0.5 ** (steps - 1 - step)
        blocks = _squared(blocks, len(lam))
        for index, layer in enumerate(lam):
            blocks[index, index] = torch.diag_embed(mode_factor(layer, tau, False))
            if index:
                blocks[index, index - 1] = _pair(layer, lam[index - 1], tau) * drives[index].unsqueeze(-3)
    return readout @ blocks[len(lam) - 1, 0] @ first


def mode_factor(lam: Tensor, times: Tensor, discrete: bool) -> Tensor:
    """e^{λt}, or λ^k where discrete: (*batch, T, m)."""
    lam, t = lam.unsqueeze(-2), times.unsqueeze(-1)
    if not discrete:
        return torch.exp(lam * t)
    if not lam.is_complex():
        sign = torch.where((lam < 0) & (t % 2 == 1), -1.0, 1.0).to(lam.dtype)
        return sign * torch.pow(lam.abs(), t)
    return torch.polar(torch.pow(lam.abs(), t), lam.angle() * t)


def expm1(z: Tensor) -> Tensor:
    """e^z - 1 without cancellation at 0, for real or complex z."""
    if not z.is_complex():
        return torch.expm1(z)
    real = torch.expm1(z.real) * torch.cos(z.imag) - 2 * torch.sin(z.imag / 2) ** 2
    return torch.complex(real, torch.exp(z.real) * torch.sin(z.imag))


def phi1(z: Tensor) -> Tensor:
    """φ_1(z) = (e^z - 1)/z, 1 at 0."""
    zero = z == 0
    return torch.where(zero, torch.ones_like(z), expm1(z) / torch.where(zero, torch.ones_like(z), z))


def _pair(upper: Tensor, lower: Tensor, times: Tensor) -> Tensor:
    """∫_0^t e^{a(t-s)} e^{bs} ds for every a of `upper`, b of `lower`: (*batch, T, m_upper, m_lower)."""
    a, b = upper[..., None, :, None], lower[..., None, None, :]
    swap = a.real < b.real
    slow, gap = torch.where(swap, b, a), torch.where(swap, a - b, b - a)
    t = times[:, None, None]
    return t * torch.exp(slow * t) * phi1(gap * t)


def _squarings(lam: tuple[Tensor, ...], times: Tensor, discrete: bool) -> int:
    if discrete:
        return int(times.max()).bit_length()
    fastest = max(float(layer.abs().max()) for layer in lam) * float(times.max())
    return max(0, math.ceil(math.log2(fastest)) + 1) if fastest > 0 else 0


Blocks = dict[tuple[int, int], Tensor]


def _small_exponential(lam: tuple[Tensor, ...], drives: tuple[Tensor, ...], tau: Tensor) -> Blocks:
    """The blocks of e^{Aτ}, |λ|τ ≤ ½, by the Taylor series of e^{(A+μ)τ}: for real λ all terms have U's signs.

    A term with j blocks U is τ^j/j! times the terms of e^z, |z| ≤ 1 (the shift doubles |λ|τ): 20 suffice.
    """
    shift = torch.stack([layer.abs().amax(-1) for layer in lam]).amax(0)[..., None]
    rates = [layer + shift for layer in lam]
    step, count = tau[:, None, None], len(lam)
    eye = [torch.diag_embed(torch.ones_like(mode_factor(layer, tau, False))) for layer in lam]
    term: Blocks = {(p, p): eye[p] for p in range(count)}
    total = dict(term)
    for order in range(1, _TAYLOR_TERMS + count):
        following: Blocks = {}
        for p in range(count):
            for q in range(max(0, p - order), p + 1):
                part = rates[p][..., None, :, None] * term[p, q] if (p, q) in term else 0
                if (p - 1, q) in term:
                    part = part + drives[p].unsqueeze(-3) @ term[p - 1, q]
                following[p, q] = part * (step / order)
                total[p, q] = total[p, q] + following[p, q] if (p, q) in total else following[p, q]
        term = following
    damping = torch.exp(-shift * tau)[..., None, None]
    return {place: block * damping for place, block in total.items()}


def _squared(blocks: Blocks, count: int) -> Blocks:
    return _product(blocks, blocks, count)


def _product(left: Blocks, right: Blocks, count: int) -> Blocks:
    result: Blocks = {}
    for p in range(count):
        for q in range(p + 1):
            total = left[p, q] @ right[q, q]
            for r in range(q + 1, p + 1):
                total = total + left[p, r] @ right[r, q]
            result[p, q] = total
    return result


def _discrete_kernel(lam: tuple[Tensor, ...], drives: tuple[Tensor, ...], readout: Tensor, times: Tensor) -> Tensor:
    """The differences D_l = h⁽ˡ⁾_k - h⁽ˡ⁾_{k-1} obey D_k = P D_{k-1}, P_pq = U_p ⋯ U_{q+1} Λ_q; P^k bit by bit."""
    count = len(lam)
    step: Blocks = {}
    start = [drives[0].unsqueeze(-3)]
    for q, layer in enumerate(lam):
        step[q, q] = torch.diag_embed(layer).unsqueeze(-3)
        for p in range(q + 1, count):
            step[p, q] = drives[p].unsqueeze(-3) @ step[p - 1, q]
    for p in range(1, count):
        start.append(drives[p].unsqueeze(-3) @ start[-1])
    ones = torch.zeros_like(times)
    power: Blocks = {(p, p): torch.diag_embed(mode_factor(layer, ones, True)) for p, layer in enumerate(lam)}
    for p, q in step:
        if p != q:
            power[p, q] = torch.zeros_like(step[p, q]).expand(*lam[0].shape[:-1], times.numel(), -1, -1)
    whole = times.to(torch.int64)
    for bit in reversed(range(int(whole.max()).bit_length())):
        squared = _squared(power, count)
        odd = (whole >> bit).bitwise_and(1).bool()[:, None, None]
        raised = _product(squared, step, count)
        power = {place: torch.where(odd, raised[place], squared[place]) for place in squared}
        for p, layer in enumerate(lam):
            power[p, p] = torch.diag_embed(mode_factor(layer, (whole >> bit).to(times.dtype), True))
    last = sum(power[count - 1, q] @ start[q] for q in range(1, count)) + power[count - 1, 0] @ start[0]
    return readout @ last


def full_kernel(A: Tensor, B: Tensor, C: Tensor, times: Tensor, *, discrete: bool) -> Kernel:
    """ρ(t) = C e^{At} B, or C A^k B, by repeated squaring, with a running bound on the error.

    Continuous: e^{Aτ} with |A|_1 τ ≤ ½ by 20 Taylor terms, then X ← X². If X has the error e in the spectral norm,
    X² has at most 2|X|e + e² + n u |X|_F² (n the order; the product of two computed matrices); |X|_2 is bounded by
    tr((XᵀX)⁴)^{1/8}. The entries of C X B then err by at most |C_row|_2 (e + 2nu|X|_F)|B_column|_2.

    Shapes: A (*batch, n, n), B (*batch, n, d), C (*batch, k, n), times (T,). Source: derived here.
    """
    each = 128 * A.shape[:-2].numel() * A.shape[-1] ** 2
    parts = [_full_chunk(A, B, C, part, discrete) for part in torch.split(times, max(1, _CHUNK_BYTES // each))]
    return Kernel(torch.cat([p.value for p in parts], -3), torch.cat([p.error for p in parts], -3))


def _full_chunk(A: Tensor, B: Tensor, C: Tensor, times: Tensor, discrete: bool) -> Kernel:
    unit, order = torch.finfo(A.dtype).eps, A.shape[-1]
    matrix = A.unsqueeze(-3)
    eye = torch.eye(order, dtype=A.dtype, device=A.device).expand(*A.shape[:-2], times.numel(), -1, -1)
    if discrete:
        X, error = eye, torch.zeros_like(eye[..., 0, 0].real)
        whole = times.to(torch.int64)
        for bit in reversed(range(int(whole.max()).bit_length())):
            X, error = _square_with_error(X, error)
            odd = (whole >> bit).bitwise_and(1).bool()
            product = order * unit * _frobenius(X) * _frobenius(matrix)
            error = torch.where(odd, error * _frobenius(matrix) + product, error)
            X = torch.where(odd[:, None, None], X @ matrix, X)
    else:
        size = float(A.abs().sum(-2).max()) * float(times.max())
        steps = max(0, math.ceil(math.log2(size)) + 1) if size > 0 else 0
        small = matrix * (times * 0.5**steps)[:, None, None]
        X, term = eye, eye
        for index in range(1, _TAYLOR_TERMS):
            term = term @ small / index
            X = X + term
        error = torch.full_like(X[..., 0, 0].real, 4 * order**1.5 * unit)  # Σ|small|^j/j! ≤ √e; a unit for each product
        for _ in range(steps):
            X, error = _square_with_error(X, error)
    value = C.unsqueeze(-3) @ X @ B.unsqueeze(-3)
    bound = (error + 2 * order * unit * _frobenius(X))[..., None, None]
    rows, columns = torch.linalg.vector_norm(C, dim=-1), torch.linalg.vector_norm(B, dim=-2)
    return Kernel(value, bound * (rows[..., None, :, None] * columns[..., None, None, :]))


def _square_with_error(X: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
    gram = X.mH @ X
    fourth = gram @ gram
    norm = _frobenius(fourth) ** 0.25 * (1 + 1e-10)
    rounding = X.shape[-1] * torch.finfo(X.dtype).eps * _frobenius(X) ** 2
    return X @ X, 2 * norm * error + error**2 + rounding


def _frobenius(X: Tensor) -> Tensor:
    return torch.linalg.matrix_norm(X)
