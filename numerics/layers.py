"""The S4D-style layer of the published experiments, and the sequence model around it.

One layer maps u_0, ..., u_{L-1} in R^H to y in R^H, each channel h by a diagonal system with N complex modes:

    λ_n = f(w_n) + iω_n,   λ̄_n = e^{λ_n Δ_h}                         continuous time: w, ω, Δ are weights
    λ̄_n = f(w_n) e^{iω_n}                                            discrete time: w, ω are weights
    k_j = 2 Re Σ_n C_n γ_n λ̄_n^j,   y_t = Σ_{j≤t} k_j u_{t-j} + D u_t   by FFT, or one step after the other:
    h_t = λ̄ h_{t-1} + γ u_t,        y_t = 2 Re Σ_n C_n h_{t,n} + D u_t

and a block is u ↦ LayerNorm(u + GLU(W GELU(y) + b)). The model is an affine encoder (or an embedding of tokens),
blocks, and an affine decoder of the mean over time (or of every time). The input gain is γ = g_0 · gain, with one of
the gains of numerics.layer_modes (plain, dc, lru, unit-norm) and a complex constant g_0 for each mode by which γ is, at
the start, that of plain modes in continuous time. So all variants of one seed, in both times, start at the same

    λ_n = -1/2 + iπn, n = 0, ..., N - 1:   w = f^{-1}(-1/2),   discrete w = f^{-1}(e^{-Δ/2}), ω = πnΔ

and as one and the same function; they differ in how they move. The start "published" is that of the published code,
which differs from it for `direct` alone: λ_n = +1/2 + iπn, growing modes. Rounding errors of an FFT are relative to its
largest number, and under a mode that grows by e^σ a step they would bury what is small, the gradients above all; hence
k_j e^{-σj} and u_s e^{-σs} are convolved, and what comes out is multiplied by e^{σt}; σ = 0 where no mode grows.
Δ is log-uniform in `step_sizes`, C_n standard complex normal, D normal.
Source: the paper's experiments and the code published with it; S4D-Lin, Gu et al., NeurIPS 2022.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from numerics.arguments import check_choice, check_count, check_counts, shown
from numerics.convolution import causal_convolution as causal_convolution
from numerics.layer_modes import GAINS as GAINS
from numerics.layer_modes import input_gain, log_multiplier, mode_kernel
from numerics.reach import weights_for
from numerics.reparameterization import Reparameterization

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
        check_counts(inputs=(self.inputs, 0), tokens=(self.tokens, 0))
        if (self.inputs == 0) == (self.tokens == 0):
            raise ValueError(f"inputs, tokens: one of the two is needed, got {self.inputs} and {self.tokens}")
        sizes = self.step_sizes
        if not (isinstance(sizes, tuple) and len(sizes) == 2 and 0 < sizes[0] <= sizes[1] < math.inf):
            raise ValueError(f"step_sizes: two positive numbers in order are needed, got {shown(sizes)}")


@dataclass(frozen=True)
class LayerKind:
    """What a table compares: the reparameterization with its time, the gain of the modes, and where they start."""

    reparameterization: Reparameterization
    gain: str = "plain"
    start: str = "same"

    def __post_init__(self) -> None:
        if not isinstance(self.reparameterization, Reparameterization):
            raise ValueError(f"reparameterization: a Reparameterization is needed, got {self.reparameterization!r}")
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
        rate = torch.full_like(omega, kind.start_rate)
        plain = input_gain("plain", rate, omega, log_step)
        if kind.is_discrete:
            rate, omega = (rate * step).exp(), omega * step
        else:
            self.log_step = nn.Parameter(log_step)
        self.w = nn.Parameter(_start_weights(kind.reparameterization, rate[:, 0])[:, None].repeat(1, N))
        self.omega = nn.Parameter(omega.clone())
        self.C = nn.Parameter(torch.stack((real, imaginary), dim=-1) * math.sqrt(0.5))
        self.D = nn.Parameter(skip)
        start = plain / input_gain(kind.gain, rate, omega, None if kind.is_discrete else log_step)
        self.start_gain: Tensor
        self.register_buffer("start_gain", torch.view_as_real(start))

    def rate(self) -> Tensor:
        """f(w): Re λ in continuous time, the signed modulus of λ̄ in discrete time."""
        return self.kind.reparameterization(self.w)

    def exponents(self, rate: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """log λ̄ (where f(w) < 0 in discrete time up to 2πi) and γ, both (H, N)."""
        rate = self.rate() if rate is None else rate
        log_step = None if self.kind.is_discrete else self.log_step
        gain = input_gain(self.kind.gain, rate, self.omega, log_step) * torch.view_as_complex(self.start_gain)
        return log_multiplier(rate, self.omega, log_step), gain

    def kernel(self, length: int, rate: Tensor | None = None) -> Tensor:
        """k_0, ..., k_{length-1}, (H, length)."""
        exponent, gain = self.exponents(rate)
        return mode_kernel(exponent, torch.view_as_complex(self.C) * gain, length)

    def forward(self, u: Tensor, rate: Tensor | None = None) -> Tensor:
        v, length = u.mT, u.shape[-2]  # (..., H, L)
        exponent, gain = self.exponents(rate)
        growth = exponent.real.detach().amax(-1, keepdim=True).clamp(min=0)  # σ, the same for all modes of a channel
        envelope = torch.exp(growth * torch.arange(length, dtype=growth.dtype, device=growth.device))
        kernel = mode_kernel(exponent - growth, torch.view_as_complex(self.C) * gain, length)
        y = envelope * causal_convolution(v / envelope, kernel) + self.D[:, None] * v
        return y.mT.contiguous()  # gelu's derivative is ten times slower on tensors of two layouts

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
        check_count("seed", seed, 0)
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
            u, h = cast(S4DBlock, block).step(u, h)
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


# Starts


def _start_weights(f: Reparameterization, rate: Tensor) -> Tensor:
    """f^{-1}(rate)."""
    try:
        return weights_for(f, rate.numpy())
    except ValueError as error:
        raise ValueError(f"reparameterization: {shown(f.text)!r} cannot start at λ = f(w): {error}") from None


def _uniform(size: tuple[int, ...], bound: float, generator: torch.Generator) -> nn.Parameter:
    return nn.Parameter(bound * (2 * torch.rand(size, generator=generator, dtype=torch.float64) - 1))


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """With weights and bias uniform in ±1/√inputs, torch's own start, from the generator."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, inputs, outputs, dtype=torch.float64)  # type: ignore[no-untyped-call]
    bound = 1 / math.sqrt(inputs)
    layer.weight, layer.bias = (_uniform(tuple(p.shape), bound, generator) for p in (layer.weight, layer.bias))
    return layer


def _embedding(tokens: int, width: int, generator: torch.Generator) -> nn.Embedding:
    return nn.Embedding(tokens, width, _weight=torch.randn(tokens, width, generator=generator, dtype=torch.float64))
