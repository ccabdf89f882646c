"""Variable projection for sums of exponentials, batched: the loss, its coefficients and its derivatives by one QR.

For rates λ the best coefficients are linear least squares. With columns A = (e^{λ_i t_n})_{ni}, their derivatives
D = ∂A/∂λ and the target Y (one column for each of d inputs), all times the root of the weight of t_n,

    qr([A D Y]) = [R11 R12 R13]       coefficients      C = R11⁻¹ R13
                  [ 0  R22 R23]       loss              |R23|² + |R33|² = |P⊥Y|²,   P⊥ = I - A A⁺
                  [ 0   0  R33]       P⊥D = Q [0 R22]ᵀ, so that no Q is formed.

Kaufman's Jacobian of vec(P⊥Y) by λ_i is -(P⊥D_i) ⊗ C_i; hence, over the d inputs,

    JᵀJ = (R22ᵀR22) ∘ (C Cᵀ),      Jᵀr = -Σ_d (R22ᵀR23) ∘ C   (half the gradient of the loss, exactly).

Half the Hessian of the loss is JᵀJ - diag(s), s_i = Σ_d C_id r_dᵀ ∂²A_i, up to terms with a factor r_dᵀD_i. Those
vanish where the gradient C_i r_dᵀD_i does (d = 1): eliminating the coefficients from the Hessian of |Y - AC|²/2,

    H = CDᵀDC - diag(s) - (CDᵀA - E)(AᵀA)⁻¹(AᵀDC - E) = C R22ᵀR22 C - diag(s) + O(E),   E = diag(rᵀD_i),

so that steps with JᵀJ - diag(s) converge quadratically, however large the residual.

Complex λ, kernel 2 Re Σ c_i e^{λ_i t} = Σ a_i Re e^{λ_i t} + b_i Im e^{λ_i t}: columns Re and Im of each mode. Where λ
moves by φ dθ, the derivative of mode i is Re((a - ib) φ ∂e^{λt}/∂λ), that is (a Re φ + b Im φ) Re ∂ + (b Re φ - a Im φ)
Im ∂. Source: Golub and Pereyra, SIAM J. Numer. Anal. 10 (1973); Kaufman, BIT 15 (1975); the Hessian as derived here.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_BRED = 1e3
"""Rounding explains a loss where coefficients breed at most so many roundings of the target."""


class Projection(NamedTuple):
    """What one QR tells, for B rows with p columns (2m for complex modes, Re first), d inputs and P parameters.

    loss (B,): |P⊥Y|² plus the square of the rounding error that the coefficients breed; noise (B,): the part of it that
    rounding explains; coef (B, p, d); normal (B, P, P): JᵀJ; gradient (B, P): Jᵀr.
    """

    loss: Tensor
    noise: Tensor
    coef: Tensor
    normal: Tensor
    gradient: Tensor


def project(system: Tensor, columns: int, phi: Tensor) -> Projection:
    """The projection of a system (B, 2p + d, N), rows A, D, Y; phi (B, k, m): dλ/dθ for k kinds of parameters.

    Raises nothing: rows that are not finite have a loss that is not finite.
    """
    p = columns
    r = torch.linalg.qr(system.mT, mode="r").R
    corner = r[:, :p, :p]
    coef = torch.linalg.solve_triangular(corner, r[:, :p, 2 * p :], upper=True)
    moved, rest = r[:, p:, p : 2 * p], r[:, p:, 2 * p :]
    eps = torch.finfo(r.dtype).eps
    bred = (coef.abs() * torch.linalg.vector_norm(corner, dim=1)[..., None]).sum((1, 2))
    size = torch.linalg.vector_norm(r[:, :, 2 * p :], dim=(1, 2))
    share = _shares(coef, phi)
    gram, cross = moved.mT @ moved, moved.mT @ rest
    loss = rest.square().sum((1, 2)) + (eps * bred) ** 2
    noise = (8 * eps * (torch.minimum(bred, _BRED * size) + size)) ** 2
    return Projection(loss, noise, coef, _normal(gram, share), _gradient(cross, share))


def curvature(bend: Tensor, coef: Tensor, phi: Tensor) -> Tensor:
    """diag(s) by the parameters (B, P, P), of bend (B, m, d): ∂²e^{λ_i t}/∂λ_i² summed against the residual.

    The second derivative along φ_k and φ_l is Re(Σ_d (a - ib) bend φ_k φ_l).
    """
    if not phi.is_complex():
        return torch.diag_embed((bend * coef).sum(-1) * phi[:, 0].square())
    a, b = coef.chunk(2, dim=1)
    sigma = (torch.complex(a, -b) * bend).sum(-1)
    blocks = (sigma[:, None, None] * phi[:, :, None] * phi[:, None]).real  # (B, k, l, m)
    return torch.diag_embed(blocks).transpose(2, 3).flatten(3).flatten(1, 2)


def jacobian_rank(system: Tensor, columns: int, phi: Tensor) -> Tensor:
    """The numerical rank of J (B,): singular values of its scaled columns above max(N, P) eps of the largest."""
    p = columns
    r = torch.linalg.qr(system.mT, mode="r").R
    coef = torch.linalg.solve_triangular(r[:, :p, :p], r[:, :p, 2 * p :], upper=True)
    share = _shares(coef, phi).permute(0, 1, 3, 2)[:, :, :, None]
    pieces = r[:, None, None, p:, p : 2 * p] * share  # (B, k, d, rows, p)
    summed = pieces.view(*pieces.shape[:-1], -1, phi.shape[-1]).sum(-2)
    jacobian = summed.permute(0, 2, 3, 1, 4).flatten(3).flatten(1, 2)  # (B, d · rows, P)
    size = torch.linalg.vector_norm(jacobian, dim=1, keepdim=True)
    tiny = torch.finfo(size.dtype).tiny
    scaled = torch.where(torch.isfinite(jacobian), jacobian, 0.0) / size.clamp(min=tiny)
    values = torch.linalg.svdvals(scaled)
    least = max(system.shape[-1], jacobian.shape[-1]) * torch.finfo(values.dtype).eps
    return (values > least * values[:, :1]).sum(-1)


def _shares(coef: Tensor, phi: Tensor) -> Tensor:
    """By how much each column of D enters the derivative by each parameter: (B, k, p, d)."""
    if not phi.is_complex():
        return coef[:, None] * phi[..., None]
    a, b = (part[:, None] for part in coef.chunk(2, dim=1))
    re, im = phi.real[..., None], phi.imag[..., None]
    return torch.cat([a * re + b * im, b * re - a * im], dim=2)


def _normal(gram: Tensor, share: Tensor) -> Tensor:
    """JᵀJ: Σ_d over the columns that belong to each pair of parameters, (B, P, P)."""
    kinds, p = share.shape[1], share.shape[2]
    if kinds == 1:
        return gram * (share[:, 0] @ share[:, 0].mT)
    pairs = torch.einsum("bkpd,blqd->bklpq", share, share) * gram[:, None, None]
    summed = pairs.view(-1, kinds, kinds, 2, p // 2, 2, p // 2).sum((3, 5))  # (B, k, l, m, m)
    return summed.transpose(2, 3).reshape(-1, kinds * p // 2, kinds * p // 2)


def _gradient(cross: Tensor, share: Tensor) -> Tensor:
    """Jᵀr, (B, P)."""
    by_column = -(share * cross[:, None]).sum(-1)  # (B, k, p)
    kinds, p = share.shape[1:3]
    return by_column.flatten(1) if kinds == 1 else by_column.view(-1, kinds, 2, p // 2).sum(2).flatten(1)


def least_squares(system: Tensor, columns: int) -> tuple[Tensor, Tensor]:
    """The coefficients (B, p, d) and the loss (B,) alone; the rows of D in the system are not read."""
    p = columns
    short = torch.cat([system[:, :p], system[:, 2 * p :]], dim=1)
    r = torch.linalg.qr(short.mT, mode="r").R
    coef = torch.linalg.solve_triangular(r[:, :p, :p], r[:, :p, p:], upper=True)
    return coef, r[:, p:, p:].square().sum((1, 2))
