"""The convolution by FFT against the sum, its derivative against torch's own, and under torch.func.vmap."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from numerics.convolution import causal_convolution

TOLERANCE = 1e-13  # a few eps times log2(2L), sums of at most 64 products of order one


def normal(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(*size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def by_sum(u: Tensor, k: Tensor) -> Tensor:
    """Every product on its own."""
    length = u.shape[-1]
    y = torch.zeros(torch.broadcast_shapes(u.shape, k.shape), dtype=u.dtype)
    for t in range(length):
        for j in range(t + 1):
            y[..., t] += k[..., j] * u[..., t - j]
    return y


def by_torch(u: Tensor, k: Tensor) -> Tensor:
    """The same transforms, differentiated by torch."""
    size = 2 * u.shape[-1]
    return torch.fft.irfft(torch.fft.rfft(u, n=size) * torch.fft.rfft(k, n=size), n=size)[..., : u.shape[-1]]


@pytest.mark.parametrize("length", [1, 2, 7, 32])
def test_it_is_the_causal_sum(length: int) -> None:
    u, k = normal(3, 2, length), normal(2, length, seed=1)
    torch.testing.assert_close(causal_convolution(u, k), by_sum(u, k), rtol=0, atol=TOLERANCE)


def test_later_inputs_do_not_reach_earlier_outputs() -> None:
    u, k = normal(1, 9), normal(1, 9, seed=1)
    later = u.clone()
    later[:, 5:] += 1e3
    assert (causal_convolution(u, k) - causal_convolution(later, k))[:, :5].abs().max() < 1e3 * TOLERANCE


@pytest.mark.parametrize("shapes", [((2, 3, 5), (3, 5)), ((3, 4), (3, 4)), ((2, 2, 3, 1), (3, 1))])
def test_gradients(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    u, k = normal(*shapes[0]).requires_grad_(), normal(*shapes[1], seed=1).requires_grad_()
    assert torch.autograd.gradcheck(causal_convolution, (u, k))
    assert torch.autograd.gradgradcheck(causal_convolution, (u, k))


def test_gradients_are_those_of_torch() -> None:
    u, k, by_y = normal(4, 3, 33), normal(3, 33, seed=1), normal(4, 3, 33, seed=2)
    found = []
    for function in (causal_convolution, by_torch):
        leaves = [u.clone().requires_grad_(), k.clone().requires_grad_()]
        found.append(torch.autograd.grad((function(*leaves) * by_y).sum(), leaves))
    for own, reference in zip(*found, strict=True):
        torch.testing.assert_close(own, reference, rtol=0, atol=4 * 33 * TOLERANCE)


def test_a_loss_of_outputs_and_their_gradients() -> None:
    """Both the outputs and the transforms kept for the derivative are differentiated."""
    u, k = normal(2, 3, 9), normal(3, 9, seed=1)
    found = []
    for function in (causal_convolution, by_torch):
        leaves = [u.clone().requires_grad_(), k.clone().requires_grad_()]
        y = function(*leaves)
        slopes = torch.autograd.grad(y.sin().sum(), leaves, create_graph=True)
        loss = y.square().sum() + sum((slope**3).sum() for slope in slopes)
        found.append(torch.autograd.grad(loss, leaves))
    for own, reference in zip(*found, strict=True):
        torch.testing.assert_close(own, reference, rtol=1e-11, atol=1e-11)


ROWS = 3


@pytest.mark.parametrize("dims", [(0, 0), (0, None), (None, 0), (1, 0), (2, 1), (-1, -1), (None, 2)])
def test_vmap_is_the_loop(dims: tuple[int | None, int | None]) -> None:
    u, k, by_y = normal(ROWS, 4, 2, 5), normal(ROWS, 2, 5, seed=1), normal(4, 2, 5, seed=2)

    def slopes(u: Tensor, k: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        def loss(u: Tensor, k: Tensor) -> Tensor:
            return (causal_convolution(u, k).sin() * by_y).sum()

        return causal_convolution(u, k), torch.func.grad(loss, argnums=(0, 1))(u, k)

    def row(x: Tensor, dim: int | None, index: int) -> Tensor:
        return x[0] if dim is None else x[index]

    given = [x[0] if dim is None else x.movedim(0, dim) for x, dim in zip((u, k), dims, strict=True)]
    value, (by_u, by_k) = torch.func.vmap(slopes, in_dims=dims)(*given)
    for index in range(ROWS):
        wanted, (wanted_u, wanted_k) = slopes(row(u, dims[0], index), row(k, dims[1], index))
        for found, expected in ((value, wanted), (by_u, wanted_u), (by_k, wanted_k)):
            torch.testing.assert_close(found[index], expected, rtol=0, atol=10 * TOLERANCE)


@pytest.mark.parametrize("dims", [(0, 0), (0, None), (None, 0)])
def test_the_gradient_of_a_sum_over_vmapped_rows(dims: tuple[int | None, int | None]) -> None:
    u, k = normal(ROWS, 4, 2, 5), normal(ROWS, 2, 5, seed=1)
    found = []
    for function in (causal_convolution, by_torch):
        leaves = [(x if dim == 0 else x[0]).clone().requires_grad_() for x, dim in zip((u, k), dims, strict=True)]
        found.append(torch.autograd.grad(torch.func.vmap(function, in_dims=dims)(*leaves).sin().sum(), leaves))
    for own, reference in zip(*found, strict=True):
        torch.testing.assert_close(own, reference, rtol=0, atol=100 * TOLERANCE)


def test_float32_stays_float32() -> None:
    u, k = normal(2, 3, 8).float(), normal(3, 8).float()
    y = causal_convolution(u, k)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y.double(), by_sum(u.double(), k.double()), rtol=0, atol=1e-5)
