"""The S4D-style layer of the published experiments, and the sequence model around it.

One layer maps u_0, ..., u_{L-1} in R^H to y in R^H, each channel h by a diagonal system with N complex modes:

    λ_n = f(w_n) + iω_n,   λ̄_n = e^{λ_n Δ_h}                         continuous time: w, ω, Δ are weights
    λ̄_n = f(w_n) e^{iω_n}                                            discrete time: w, ω are weights
    k_j = 2 Re Σ_n C_n γ_n λ̄_n^j,   y_t = Σ_{j≤t} k_j u_{t-j} + D u_t   by FFT, or one step after the other:
    h_t = λ̄ h_{t-1} + γ u_t,        y_t = 2 Re Σ_n C_n h_{t,n} + D u_t

and a block is u ↦ LayerNorm(u + GLU(W GELU(y) + b)). The model is an affine encoder (or an embedding of tokens), blocks,
and an affine decoder of the mean over time (or of every time). The input gain γ = g_0 · gain(λ), where gain is

    plain      (λ̄ - 1)/λ (zero-order hold)      discrete 1
    dc         plain · |λ|, as ΔB gives it      discrete |1 - λ̄|       the mode's response to a constant is 1
    lru        √(1 - |λ̄|²)                      in both times          the mode's ℓ² norm is 1
    unit-norm  plain · r/(1 + r + |λ|), r = -Re λ   discrete (1-|λ̄|)/(2-|λ̄|+|1-λ̄|)   its W^{1,∞} norm is 1

and g_0 a constant for which γ at the start is that of plain modes in continuous time. All variants of one seed start
at the same λ_n = -1/2 + iπn, w = f^{-1}(-1/2) (discrete: f^{-1}(e^{-Δ/2}), ω = πnΔ), and as one and the same function;
they differ in how they move. The start "published" is that of the published code, which differs from it for `direct`
alone: λ_n = +1/2 + iπn, growing modes. Δ is log-uniform in `step_sizes`, C_n standard complex normal, D standard normal.
Source: the paper's experiments and the code published with it; S4D-Lin, Gu et al., NeurIPS 2022; gains: Orvieto et
al., ICML 2023 (lru), numerics.models (unit-norm).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from numerics.arguments import check_counts, shown
from numerics.model_checks import check_choice
from numerics.reach import weights_for
from numerics.reparameterization import Reparameterization

GAINS = ("plain", "dc", "lru", "unit-norm")
STARTS = ("same", "published")
RATE = -0.5
"""Re λ at the start; in the published code's `direct` it is +1/2."""


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a sequence model.

    inputs: numbers per time, or tokens: the size of the alphabet (then inputs is 0); outputs: K; width H; modes N per
    channel; depth: blocks; pooled: one output for a sequence, else one for each time; step_sizes: the range of Δ.
    """

    outputs: int
    inputs: int = 1
    tokens: int = 0
    width: int = 64
    modes: int = 32
    depth: int = 1
    pooled: bool = True
    step_sizes: tuple[float, float] = (1e-3, 1e-1)

    def __post_init__(self) -> None:
        check_counts(**{name: (getattr(self, name), 1) for name in ("outputs", "width", "modes", "depth")})
        if (self.inputs < 1) == (self.tokens < 1):
            raise ValueError(f"inputs, tokens: one of the two is needed, got {self.inputs} and {self.tokens}")
        low, high = self.step_sizes
        if not 0 < low <= high < math.inf:
            raise ValueError(f"step_sizes: two positive numbers in order are needed, got {shown(self.step_sizes)}")


@dataclass(frozen=True)
class LayerKind:
    """What a table compares: the reparameterization with its time, the gain of the modes, and where they start."""

    reparameterization: Reparameterization
    gain: str = "plain"
    start: str = "same"

    def __post_init__(self) -> None:
        check_choice("modes", self.gain, GAINS)
        check_choice("start", self.start, STARTS)
        if self.start_rate > 0 and self.gain != "plain":
            raise ValueError(f"modes: growing modes have no norm; the published start needs plain, got {self.gain}")

    @property
    def is_discrete(self) -> bool:
        return self.reparameterization.time == "discrete"

    @property
    def start_rate(self) -> float:
        """Re λ at the start."""
        published = self.start == "published" and self.reparameterization.name == "direct"
        return -RATE if published else RATE


class S4DLayer(nn.Module):
    """The diagonal systems of one layer: (..., L, H) to (..., L, H); the equations are in the module's text.

    Weights: w, omega (H, N); C (H, N, 2), real and imaginary part; D (H,); log_step (H,) = log Δ in continuous time.
    Buffer: start_gain (H, N, 2), g_0.
    """

    def __init__(self, shape: ModelShape, kind: LayerKind, generator: torch.Generator) -> None:
        super().__init__()
        H, N = shape.width, shape.modes
        low, high = (math.log(x) for x in shape.step_sizes)
        log_step = low + (high - low) * torch.rand(H, generator=generator, dtype=torch.float64)
        real, imaginary = (torch.randn(H, N, generator=generator, dtype=torch.float64) for _ in range(2))
        skip = torch.randn(H, generator=generator, dtype=torch.float64)
        self.kind = kind
        step = log_step.exp()[:, None]
        omega = math.pi * torch.arange(N, dtype=torch.float64).expand(H, N)
        lam = torch.complex(torch.full_like(omega, kind.start_rate), omega)
        rate = torch.full_like(omega, kind.start_rate)
        if kind.is_discrete:
            rate, omega = (rate * step).exp(), omega * step
        else:
            self.log_step = nn.Parameter(log_step)
        self.w = nn.Parameter(weights_for(kind.reparameterization, rate[:, 0].numpy())[:, None].repeat(1, N))
        self.omega = nn.Parameter(omega.clone())
        self.C = nn.Parameter(torch.stack((real, imaginary), dim=-1) * math.sqrt(0.5))
        self.D = nn.Parameter(skip)
        gain = _gain(kind, rate, omega, None if kind.is_discrete else log_step)
        start = torch.expm1(lam * step) / lam / gain
        self.register_buffer("start_gain", torch.view_as_real(start))

    def rate(self) -> Tensor:
        """f(w): Re λ in continuous time, the signed modulus of λ̄ in discrete time."""
        return self.kind.reparameterization(self.w)

    def exponents(self, rate: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """log λ̄ (where f(w) < 0 in discrete time its principal value) and γ, both (H, N)."""
        rate = self.rate() if rate is None else rate
        log_step = None if self.kind.is_discrete else self.log_step
        gain = _gain(self.kind, rate, self.omega, log_step) * torch.view_as_complex(self.start_gain)
        return _log_multiplier(self.kind, rate, self.omega, log_step), gain

    def kernel(self, length: int, rate: Tensor | None = None) -> Tensor:
        """k_0, ..., k_{length-1}, (H, length).

        Of j = a + bs the powers λ̄^a and λ̄^{bs}, about √length of each, are multiplied in the sum over the modes, which
        makes it one product of matrices with 2√length exponentials a mode instead of length.
        """
        exponent, gain = self.exponents(rate)
        few = math.ceil(math.sqrt(length))
        steps = torch.arange(few, dtype=self.w.dtype, device=self.w.device)
        near = torch.exp(exponent[:, :, None] * steps)  # (H, N, few): λ̄^a
        far = torch.exp(exponent[:, :, None] * (few * steps))  # λ̄^{bs}
        far = far * (2 * torch.view_as_complex(self.C) * gain)[:, :, None]
        left, right = torch.cat((far.real, -far.imag), dim=1), torch.cat((near.real, near.imag), dim=1)
        return (left.mT @ right).flatten(-2)[:, :length]  # (H, few, few), b before a

    def forward(self, u: Tensor, rate: Tensor | None = None) -> Tensor:
        v = u.mT  # (..., H, L)
        return (causal_convolution(v, self.kernel(u.shape[-2], rate)) + self.D[:, None] * v).mT

    def step(self, u: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """One time: u (..., H) and the state h (..., H, N), complex, to y (..., H) and the next state."""
        exponent, gain = self.exponents()
        h = torch.exp(exponent) * h + gain * u[..., None]
        return 2 * (torch.view_as_complex(self.C) * h).sum(-1).real + self.D * u, h


class S4DBlock(nn.Module):
    """u ↦ LayerNorm(u + GLU(W GELU(S4D(u)) + b)), (..., L, H) to the same shape."""

    def __init__(self, shape: ModelShape, kind: LayerKind, generator: torch.Generator) -> None:
        super().__init__()
        self.ssm = S4DLayer(shape, kind, generator)
        self.mix = _linear(shape.width, 2 * shape.width, generator)
        self.norm = nn.LayerNorm(shape.width, dtype=torch.float64)

    def forward(self, u: Tensor, rate: Tensor | None = None) -> Tensor:
        return self._rest(u, self.ssm(u, rate))

    def step(self, u: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """One time: u (..., H) and the state h (..., H, N)."""
        y, h = self.ssm.step(u, h)
        return self._rest(u, y), h

    def _rest(self, u: Tensor, y: Tensor) -> Tensor:
        return self.norm(u + F.glu(self.mix(F.gelu(y)), -1))


class SequenceModel(nn.Module):
    """Encoder, blocks, decoder: (B, L, inputs), or tokens (B, L), to (B, outputs), or (B, L, outputs) if not pooled.

    In float64 as made; `seed` alone decides the start, so that models of different kinds start alike.
    """

    def __init__(self, shape: ModelShape, kind: LayerKind, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.shape, self.kind = shape, kind
        self.encoder: nn.Module = (
            _embedding(shape.tokens, shape.width, generator)
            if shape.tokens
            else _linear(shape.inputs, shape.width, generator)
        )
        self.blocks = nn.ModuleList(S4DBlock(shape, kind, generator) for _ in range(shape.depth))
        self.decoder = _linear(shape.width, shape.outputs, generator)

    def forward(self, x: Tensor, rates: Sequence[Tensor] | None = None) -> Tensor:
        """`rates`: f(w) of every block, where the caller has computed them (for models with different f together)."""
        u = self.encoder(x)
        for index, block in enumerate(self.blocks):
            u = block(u, None if rates is None else rates[index])
        return self.decoder(u.mean(-2) if self.shape.pooled else u)

    def initial_state(self, batch: int) -> list[Tensor]:
        """h_{-1} = 0 of every block, (batch, H, N)."""
        w = self.decoder.weight
        size = (batch, self.shape.width, self.shape.modes)
        return [torch.zeros(size, dtype=w.dtype.to_complex(), device=w.device) for _ in self.blocks]

    def step(self, x: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One time: x (B, inputs) or tokens (B,) to the features (B, H) before the decoder, and the next state."""
        u, following = self.encoder(x), []
        for block, h in zip(self.blocks, state, strict=True):
            u, h = block.step(u, h)
            following.append(h)
        return u, following

    def recurrent(self, x: Tensor) -> Tensor:
        """The same as `forward`, one time after the other: no kernel and no FFT."""
        state, features = self.initial_state(x.shape[0]), []
        for time in range(x.shape[1]):
            u, state = self.step(x[:, time], state)
            features.append(u)
        u = torch.stack(features, dim=1)
        return self.decoder(u.mean(-2) if self.shape.pooled else u)


# Convolution


class _CausalConvolution(torch.autograd.Function):
    """With its own derivative, u̅_s = Σ_t k_{t-s} y̅_t and k̅_j = Σ_t u_{t-j} y̅_t, which takes real transforms alone:
    that of torch takes complex ones of the whole length."""

    @staticmethod
    def forward(u: Tensor, k: Tensor) -> Tensor:
        size = 2 * u.shape[-1]
        return torch.fft.irfft(torch.fft.rfft(u, size) * torch.fft.rfft(k, size), size)[..., : u.shape[-1]]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        u, k = ctx.saved_tensors
        size = 2 * u.shape[-1]
        by_y = torch.fft.rfft(grads[0], size)
        by_u = torch.fft.irfft(by_y * torch.fft.rfft(k, size).conj(), size)[..., : u.shape[-1]]
        by_k = (by_y * torch.fft.rfft(u, size).conj()).sum_to_size(*k.shape[:-1], by_y.shape[-1])
        return by_u, torch.fft.irfft(by_k, size)[..., : u.shape[-1]]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, int | None], u: Tensor, k: Tensor) -> tuple[Tensor, int]:
        rows = (
            x.unsqueeze(0).expand(info.batch_size, *x.shape) if dim is None else x.movedim(dim, 0)
            for x, dim in zip((u, k), in_dims, strict=True)
        )
        u, k = rows
        k = k.reshape(k.shape[0], *[1] * (u.ndim - k.ndim), *k.shape[1:])
        return _CausalConvolution.apply(u, k), 0


def causal_convolution(u: Tensor, k: Tensor) -> Tensor:
    """y_t = Σ_{j≤t} k_j u_{t-j} by FFT: u (..., H, L) and k (H, L) to (..., H, L)."""
    return _CausalConvolution.apply(u, k)


# Multipliers and gains


def _log_multiplier(kind: LayerKind, rate: Tensor, omega: Tensor, log_step: Tensor | None) -> Tensor:
    """log λ̄."""
    if log_step is not None:
        return torch.complex(rate, omega) * log_step.exp()[:, None]
    angle = torch.where(rate < 0, omega + math.pi, omega)
    return torch.complex(rate.abs().clamp(min=torch.finfo(rate.dtype).tiny).log(), angle)


def _gain(kind: LayerKind, rate: Tensor, omega: Tensor, log_step: Tensor | None) -> Tensor:
    """gain(λ) of the module's text, as complex numbers."""
    exponent = _log_multiplier(kind, rate, omega, log_step)
    if kind.gain == "lru":
        return torch.complex(torch.sqrt(-torch.expm1(2 * exponent.real)), torch.zeros_like(omega))
    if log_step is not None:
        lam = torch.complex(rate, omega)
        plain = torch.expm1(exponent) / lam
        if kind.gain == "plain":
            return plain
        size = lam.abs()
        return plain * (size if kind.gain == "dc" else -rate / (1 - rate + size))
    gap = torch.expm1(exponent).abs()
    scale = {"plain": torch.ones_like(gap), "dc": gap}.get(kind.gain)
    if scale is None:
        inside = 1 - rate.abs()
        scale = inside / (1 + inside + gap)
    return torch.complex(scale, torch.zeros_like(scale))


# Starts


def _uniform(size: tuple[int, ...], bound: float, generator: torch.Generator) -> nn.Parameter:
    return nn.Parameter(bound * (2 * torch.rand(size, generator=generator, dtype=torch.float64) - 1))


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """With weights and bias uniform in ±1/√inputs, torch's own start, from the generator."""
    layer = nn.Linear(inputs, outputs, dtype=torch.float64)
    bound = 1 / math.sqrt(inputs)
    layer.weight, layer.bias = (_uniform(tuple(p.shape), bound, generator) for p in (layer.weight, layer.bias))
    return layer


def _embedding(tokens: int, width: int, generator: torch.Generator) -> nn.Embedding:
    return nn.Embedding(tokens, width, _weight=torch.randn(tokens, width, generator=generator, dtype=torch.float64))
