"""Multipliers, gains and kernels of modes: against one mode after another, against norms by summation, at λ = 0."""

from __future__ import annotations

import cmath
import math

import mpmath as mp
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from numerics.layer_modes import GAINS, input_gain, log_multiplier, mode_kernel
from numerics.mode_gains import gains
from numerics.norms import l1_norm

H, N = 3, 4
EPS = torch.finfo(torch.float64).eps


def modes(discrete: bool, *, seed: int = 0) -> tuple[Tensor, Tensor, Tensor | None]:
    """f, ω, log Δ of decaying modes; in discrete time of both signs."""
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(3, H, N, dtype=torch.float64, generator=generator)
    omega = math.pi * (8 * uniform[1] - 4)
    if discrete:
        return 0.99 * (2 * uniform[0] - 1), omega, None
    return -3 * uniform[0] - 0.01, omega, -1.0 - 2 * uniform[2, :, 0]


def scalar_gain(gain: str, f: float, omega: float, step: float | None) -> tuple[complex, complex]:
    """(λ̄, γ) of one mode as the formulas are written, in Python's own complex numbers."""
    if step is None:
        multiplier = f * cmath.exp(1j * omega)
        gap, inside = abs(1 - multiplier), 1 - abs(multiplier)
        scale = {"plain": 1.0, "dc": gap, "unit-norm": inside / (1 + inside + gap)}
    else:
        lam = complex(f, omega)
        multiplier = cmath.exp(lam * step)
        hold, r = (multiplier - 1) / lam, -f
        scale = {"plain": hold, "dc": hold * abs(lam), "unit-norm": hold * r / (1 + r + abs(lam))}
    return multiplier, {**scale, "lru": (1 - abs(multiplier) ** 2) ** 0.5}[gain]


@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize("gain", GAINS)
def test_modes_one_after_another(gain: str, discrete: bool) -> None:
    f, omega, log_step = modes(discrete)
    multiplier = log_multiplier(f, omega, log_step).exp()
    found = input_gain(gain, f, omega, log_step)
    for h in range(H):
        for n in range(N):
            step = None if log_step is None else math.exp(float(log_step[h]))
            wanted = scalar_gain(gain, float(f[h, n]), float(omega[h, n]), step)
            # a few roundings, of λ̄ by |log λ̄| < 13 more, divided by |λ|Δ > 1e-4 in the naive (λ̄ - 1)/λ
            assert complex(multiplier[h, n]) == pytest.approx(wanted[0], rel=0, abs=50 * EPS)
            assert complex(found[h, n]) == pytest.approx(wanted[1], rel=1e-11)


@pytest.mark.parametrize("discrete", [False, True])
def test_the_kernel_in_many_digits(discrete: bool) -> None:
    f, omega, log_step = modes(discrete, seed=1)
    weight = torch.complex(f + 1, omega)
    length = 30
    found = mode_kernel(log_multiplier(f, omega, log_step), weight, length)
    with mp.workdps(40):
        for h in range(H):
            for j in range(length):
                total = mp.mpf(0)
                for n in range(N):
                    if log_step is None:
                        multiplier = mp.mpf(float(f[h, n])) * mp.expj(mp.mpf(float(omega[h, n])))
                    else:
                        step = mp.e ** mp.mpf(float(log_step[h]))
                        multiplier = mp.e ** (mp.mpc(float(f[h, n]), float(omega[h, n])) * step)
                    total += 2 * mp.re(mp.mpc(complex(weight[h, n])) * multiplier**j)
                # rounding of log λ̄, about EPS·13, is multiplied by j; the weights are below 13
                assert float(found[h, j]) == pytest.approx(float(total), rel=0, abs=2 * N * 13 * 16 * length * EPS)


@pytest.mark.parametrize("length", [1, 2, 3, 16, 17, 784])
def test_kernels_of_every_length_begin_alike(length: int) -> None:
    f, omega, log_step = modes(False)
    exponent, weight = log_multiplier(f, omega, log_step), torch.complex(omega, f)
    powers = torch.exp(exponent[..., None] * torch.arange(length, dtype=torch.float64))
    direct = 2 * (weight[..., None] * powers).sum(1).real
    found = mode_kernel(exponent, weight, length)
    assert found.shape == (H, length)
    torch.testing.assert_close(found, direct, rtol=0, atol=2 * N * 13 * 13 * length * EPS)


def responses(gain: str, discrete: bool, steps: int) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """γ λ̄^j of every mode, (H, N, steps), by repeated multiplication, and |λ̄|."""
    f, omega, log_step = modes(discrete)
    f = f.clamp(-0.9, 0.9) if discrete else f.clamp(max=-0.5)
    multiplier = log_multiplier(f, omega, log_step).exp().numpy()[..., None]
    gamma = input_gain(gain, f, omega, log_step).numpy()[..., None]
    powers = np.cumprod(np.broadcast_to(multiplier, (*multiplier.shape[:2], steps - 1)), axis=-1)
    return np.concatenate([gamma, gamma * powers], axis=-1), np.abs(multiplier[..., 0])


@pytest.mark.parametrize("discrete", [False, True])
def test_what_the_gains_make_one(discrete: bool) -> None:
    steps = 3000  # |λ̄| ≤ max(0.9, e^{-0.5·e^{-3}}) = 0.976: what is cut off is below 1e-30
    dc, size = responses("dc", discrete, steps)
    assert size.max() < 0.98
    np.testing.assert_allclose(np.abs(dc.sum(-1)), 1.0, rtol=1e-12)
    lru, _ = responses("lru", discrete, steps)
    np.testing.assert_allclose((np.abs(lru) ** 2).sum(-1), 1.0, rtol=1e-12)


def test_unit_norm_modes_have_norm_one_in_discrete_time() -> None:
    k, _ = responses("unit-norm", True, 3000)
    norm = np.abs(k).sum(-1) + np.abs(np.diff(k, prepend=0.0, append=0.0)).sum(-1)
    np.testing.assert_allclose(norm, 1.0, rtol=1e-12)


def test_unit_norm_modes_have_norm_one_in_continuous_time() -> None:
    """L¹ norm of the mode, its jump at 0 and its variation, before the zero-order hold (plain is that of ν = 1)."""
    f, omega, log_step = modes(False)
    nu = (input_gain("unit-norm", f, omega, log_step) / input_gain("plain", f, omega, log_step)).numpy()
    size = np.abs(f.numpy() + 1j * omega.numpy())
    for h in range(H):
        for n in range(N):
            integral = l1_norm([1.0], [float(f[h, n])])  # |e^{λt}| = e^{ft}
            assert abs(nu[h, n]) * (integral + 1 + size[h, n] * integral) == pytest.approx(1.0, rel=1e-13)


@pytest.mark.parametrize("discrete", [False, True])
def test_unit_norm_is_the_gain_of_the_fitter(discrete: bool) -> None:
    f, omega, log_step = modes(discrete)
    ratio = input_gain("unit-norm", f, omega, log_step) / input_gain("plain", f, omega, log_step)
    wanted = gains(f, omega, discrete, torch.ones(H, 1, dtype=torch.bool)).nu
    torch.testing.assert_close(ratio, torch.complex(wanted, torch.zeros_like(wanted)), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("gain", ["plain", "dc", "unit-norm"])
def test_a_mode_at_zero_is_the_limit(gain: str) -> None:
    """λ = 0, which relu reaches for w ≤ 0 at ω = 0: no NaN in value or gradient."""

    def at(rate: float) -> tuple[complex, Tensor, Tensor]:
        f, omega = torch.tensor([[rate]], dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
        f.requires_grad_(), omega.requires_grad_()
        value = input_gain(gain, f, omega, torch.tensor([-1.0], dtype=torch.float64))
        slopes = torch.autograd.grad(value.real.sum() + value.imag.sum(), (f, omega))
        return complex(value.detach()), *slopes

    value, by_f, by_omega = at(0.0)
    near, near_by_f, _ = at(-1e-9)
    assert value == pytest.approx(near, abs=2e-9)
    assert bool(torch.isfinite(by_f).all() and torch.isfinite(by_omega).all())
    if gain == "plain":  # (e^{λΔ} - 1)/λ = Δ + λΔ²/2
        assert value == pytest.approx(math.exp(-1.0), rel=1e-15)
        assert float(by_f) == pytest.approx(math.exp(-2.0) / 2, rel=1e-14)
        assert float(near_by_f) == pytest.approx(float(by_f), rel=1e-6)


@pytest.mark.parametrize("f", [1.2, -1.2, 1.0, -1.0, 0.0])
def test_discrete_modes_beyond_the_circle(f: float) -> None:
    rate, omega = torch.tensor([[f]], dtype=torch.float64), torch.tensor([[0.7]], dtype=torch.float64)
    weight = torch.ones(1, 1, dtype=torch.complex128)
    wanted = [2 * (f**j) * math.cos(0.7 * j) for j in range(20)]
    found = mode_kernel(log_multiplier(rate, omega, None), weight, 20)[0]
    assert found.tolist() == pytest.approx(wanted, rel=1e-12, abs=1e-300)
    assert bool(torch.isnan(input_gain("lru", rate, omega, None).real)) == (abs(f) > 1)
    unit = float(input_gain("unit-norm", rate, omega, None).real)
    assert (unit < 0) == (abs(f) > 1)
    assert unit == pytest.approx((1 - abs(f)) / (2 - abs(f) + abs(1 - f * cmath.exp(0.7j))), rel=1e-14, abs=0)


@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize("gain", GAINS)
def test_gradients_of_gain_and_kernel(gain: str, discrete: bool) -> None:
    f, omega, log_step = modes(discrete)
    leaves = [x.clone().requires_grad_() for x in (f, omega, log_step) if x is not None]

    def kernel(f: Tensor, omega: Tensor, log_step: Tensor | None = None) -> Tensor:
        return mode_kernel(log_multiplier(f, omega, log_step), input_gain(gain, f, omega, log_step), 5)

    assert torch.autograd.gradcheck(kernel, leaves)
