"""Causal convolution of sequences with kernels of the same length, by FFT, with its own derivative.

    y_t = Σ_{j≤t} k_j u_{t-j},   u̅_s = Σ_{t≥s} k_{t-s} y̅_t,   k̅_j = Σ_{t≥j} u_{t-j} y̅_t

The derivative is written out since it needs real transforms alone; that of torch takes complex ones of the whole
length. The error of an FFT is relative to the largest numbers: at times when y is small it may be lost beside those
where y is large, as under a growing kernel (numerics.layers scales those).
Source: the convolution theorem, sequences padded with zeros to 2L.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def causal_convolution(u: Tensor, k: Tensor) -> Tensor:
    """y_t = Σ_{j≤t} k_j u_{t-j}: u (..., H, L) and k (H, L) to (..., H, L); also within torch.func transforms."""
    y: Tensor = _CausalConvolution.apply(u, k)[0]  # type: ignore[no-untyped-call]
    return y


class _CausalConvolution(torch.autograd.Function):
    """The transforms of u and k are further outputs, so that the derivative finds them made; gradients reach them
    (and are not None) in derivatives of the derivative alone."""

    @staticmethod
    def forward(u: Tensor, k: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        size = 2 * u.shape[-1]
        at_u, at_k = torch.fft.rfft(u, size), torch.fft.rfft(k, size)
        return torch.fft.irfft(at_u * at_k, size)[..., : u.shape[-1]], at_u, at_k

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor, Tensor]) -> None:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*output[1:])
        ctx.length = inputs[0].shape[-1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        (at_u, at_k), length = ctx.saved_tensors, ctx.length
        by_y, by_u, by_k = grads[0], _through_rfft(grads[1], length), _through_rfft(grads[2], length)
        if by_y is None:
            return by_u, by_k
        at_y = torch.fft.rfft(by_y, 2 * length)
        own_u = torch.fft.irfft(at_y * at_k.conj(), 2 * length)[..., :length]
        own_k = torch.fft.irfft((at_y * at_u.conj()).sum_to_size(at_k.shape), 2 * length)[..., :length]
        return own_u if by_u is None else own_u + by_u, own_k if by_k is None else own_k + by_k

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, int | None], u: Tensor, k: Tensor
    ) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[int, int, int]]:
        """Rows in front; a kernel of each row is the same for all other axes of its u."""
        u, k = (
            x.unsqueeze(0).expand(info.batch_size, *x.shape) if dim is None else x.movedim(dim, 0)
            for x, dim in zip((u, k), in_dims, strict=True)
        )
        k = k.reshape(k.shape[0], *[1] * (u.ndim - k.ndim), *k.shape[1:])
        return _CausalConvolution.apply(u, k), (0, 0, 0)  # type: ignore[no-untyped-call]


def _through_rfft(grad: Tensor | None, length: int) -> Tensor | None:
    """The gradient by x (..., L) from that by its real transform of the size 2L."""
    return None if grad is None else torch.fft.ifft(grad, 2 * length, norm="forward").real[..., :length]
