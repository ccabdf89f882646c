"""Slopes of the memory time against derivatives by autograd, and the weights of given times."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from numerics.memory_slopes import memory_slopes, rates, weights_of_times
from numerics.reparameterization import Reparameterization

W = np.linspace(-5.9, 5.9, 24)


@pytest.mark.parametrize("text", ["direct", "relu", "exp", "softplus", "sigmoid", "best", "reciprocal", "-exp(w+5)"])
def test_the_slope_is_that_of_autograd(text: str) -> None:
    f = Reparameterization(text)
    w, times, slopes = memory_slopes(f, W)
    x = torch.from_numpy(w).requires_grad_()
    value = f(x)
    (derivative,) = torch.autograd.grad(value.sum(), x)
    assert len(w) >= 12
    assert np.allclose(times, -1 / value.detach().numpy(), rtol=1e-14)
    assert np.allclose(slopes, (derivative.abs() / value.square()).detach().numpy(), rtol=1e-7)


def test_weights_where_f_is_not_negative_are_left_out() -> None:
    assert set(memory_slopes(Reparameterization("direct"), W)[0]) == set(W[W < 0])
    assert set(memory_slopes(Reparameterization("relu"), W)[0]) == set(W[W > 0])


def test_weights_of_times() -> None:
    times = np.array([0.1, 0.4, 1.0, 100.0])
    for text in ("exp", "direct", "-exp(w+5)"):
        f = Reparameterization(text)
        assert np.allclose(-1 / rates(f, weights_of_times(f, times)), times, rtol=1e-9)
    best = Reparameterization("best:b=0.5")  # |λ| ≤ 2
    assert np.allclose(-1 / rates(best, weights_of_times(best, times)), times[2:], rtol=1e-12)


def test_another_time_is_refused() -> None:
    with pytest.raises(ValueError, match="continuous time is needed, got discrete"):
        memory_slopes(Reparameterization("tanh", "discrete"), W)
