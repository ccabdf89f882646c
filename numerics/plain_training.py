"""Training one small model at a time, written out plainly: a second route beside the batched trainer.

The model of numerics.layers (one block, continuous time, pooled classification) once more, in real arithmetic:

    k_j = 2 Σ_n e^{r_n Δ j} (P_n cos(ω_n Δ j) - Q_n sin(ω_n Δ j)),   r = f(w),  P + iQ = C γ,
    γ = g_0 ν (λ̄ - 1)/λ,   ν = 1, or |r|/(1 + |r| + |λ|) for unit-norm modes (g_0 = 1/ν at the start),
    y_t = Σ_{s≤t} k_{t-s} u_s + D u_t     a sum over a triangular Toeplitz matrix, no FFT

trained by torch.optim.AdamW or SGD with torch's CosineAnnealingLR. It shares neither code nor formulas with
numerics.layers, numerics.training, numerics.optim and numerics.reparameterization; its starts are drawn otherwise, so
that equal seeds give other runs. For a few modes and channels only: everything is done step by step.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from numerics.arguments import check_counts, shown

OPTIMIZERS = {"adamw": 0.01, "sgd": 0.0}
"""With their weight decay."""
DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class PlainColumn:
    """What is compared: f, its constants, the kind of modes, Re λ at the start. exp is -e^{w+shift}."""

    f: str
    a: float = 1.0
    b: float = 0.5
    shift: float = 0.0
    unit_norm: bool = False
    start_rate: float = -0.5

    @staticmethod
    def parse(name: str) -> PlainColumn:
        """`direct`, `relu`, `softplus`, `exp`, `-exp(w+5)`, `best:a=1:b=0.1`, with `@published` (direct alone: it
        starts at +1/2) or `/unit-norm` behind. Raises ValueError for any other."""
        text, unit_norm = name.removesuffix("/unit-norm"), name.endswith("/unit-norm")
        text, published = text.removesuffix("@published"), text.endswith("@published")
        if shifted := re.fullmatch(r"-exp\(w([+-][0-9.]+)\)", text):
            return PlainColumn("exp", shift=float(shifted[1]), unit_norm=unit_norm)
        f, *constants = text.split(":")
        values = dict(constant.split("=", 1) for constant in constants if "=" in constant)
        good = f in ("direct", "relu", "softplus", "exp", "best") and len(values) == len(constants)
        if not good or set(values) - ({"a", "b"} if f == "best" else set()) or (published and f != "direct"):
            raise ValueError(f"column: {shown(name)!r} is not one that plain training knows")
        numbers = {key: float(value) for key, value in values.items()}
        return PlainColumn(f, unit_norm=unit_norm, start_rate=0.5 if published else -0.5, **numbers)

    def rate(self, w: Tensor) -> Tensor:
        """f(w)."""
        match self.f:
            case "direct":
                return w
            case "relu":
                return -w.clamp(min=0)
            case "exp":
                return -(w + self.shift).exp()
            case "softplus":
                return -torch.where(w > 20, w, w.clamp(max=20).exp().log1p())
        return -1 / (self.a * w * w + self.b)

    def weight(self, rate: float) -> float:
        """w with f(w) = rate."""
        match self.f:
            case "direct":
                return rate
            case "relu":
                return -rate
            case "exp":
                return math.log(-rate) - self.shift
            case "softplus":
                return math.log(math.expm1(-rate))
        return math.sqrt((-1 / rate - self.b) / self.a)


class PlainModel(nn.Module):
    """Encoder, one block, decoder of the mean: (B, L) to (B, outputs), float64; see the module's text."""

    start_gain: Tensor

    def __init__(
        self,
        column: PlainColumn,
        outputs: int,
        width: int,
        modes: int,
        step_sizes: tuple[float, float],
        seed: int,
    ) -> None:
        super().__init__()
        rng = np.random.default_rng(seed)
        H, N = width, modes
        self.column = column

        def weight(value: NDArray[Any]) -> nn.Parameter:
            return nn.Parameter(torch.tensor(value, dtype=torch.float64))

        def uniform(*size: int, inputs: int) -> nn.Parameter:
            return weight(rng.uniform(-1, 1, size) / math.sqrt(inputs))

        omega = np.pi * np.tile(np.arange(N), (H, 1))
        rate = column.start_rate
        self.w = weight(np.full((H, N), column.weight(rate)))
        self.omega = weight(omega)
        self.log_step = weight(rng.uniform(math.log(step_sizes[0]), math.log(step_sizes[1]), H))
        self.c_real, self.c_imaginary = (weight(rng.normal(size=(H, N)) / math.sqrt(2)) for _ in range(2))
        self.skip = weight(rng.normal(size=H))
        self.encode, self.encode_bias = uniform(H, inputs=1), uniform(H, inputs=1)
        self.mix, self.mix_bias = uniform(2 * H, H, inputs=H), uniform(2 * H, inputs=H)
        self.norm_scale, self.norm_bias = weight(np.ones(H)), weight(np.zeros(H))
        self.decode, self.decode_bias = uniform(outputs, H, inputs=H), uniform(outputs, inputs=H)
        size = np.sqrt(rate**2 + omega**2)
        start = (1 + abs(rate) + size) / abs(rate) if column.unit_norm else np.ones((H, N))
        self.register_buffer("start_gain", torch.tensor(start, dtype=torch.float64))

    def kernel(self, length: int) -> Tensor:
        """k_0, ..., k_{length-1}, (H, length)."""
        r, omega, step = self.column.rate(self.w), self.omega, self.log_step.exp()[:, None]
        size = r * r + omega * omega
        growth, phase = (r * step).exp(), omega * step
        x, y = growth * phase.cos() - 1, growth * phase.sin()  # λ̄ - 1
        gain_real, gain_imaginary = (x * r + y * omega) / size, (y * r - x * omega) / size
        p = self.c_real * gain_real - self.c_imaginary * gain_imaginary
        q = self.c_real * gain_imaginary + self.c_imaginary * gain_real
        if self.column.unit_norm:
            share = -r / (1 - r + size.sqrt()) * self.start_gain
            p, q = p * share, q * share
        times = torch.arange(length, dtype=r.dtype)
        decay, angle = ((r * step)[..., None] * times).exp(), phase[..., None] * times
        return 2 * (decay * (p[..., None] * angle.cos() - q[..., None] * angle.sin())).sum(1)

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        u = x[..., None] * self.encode + self.encode_bias  # (B, L, H)
        y = torch.einsum("hts,bsh->bth", toeplitz(self.kernel(length)), u) + self.skip * u
        left, right = F.linear(F.gelu(y), self.mix, self.mix_bias).chunk(2, dim=-1)
        z = F.layer_norm(u + left * torch.sigmoid(right), self.norm_scale.shape, self.norm_scale, self.norm_bias)
        return F.linear(z.mean(1), self.decode, self.decode_bias)


def toeplitz(k: Tensor) -> Tensor:
    """T_{ts} = k_{t-s} for s ≤ t, else 0: (H, L) to (H, L, L)."""
    channels, length = k.shape
    rows = torch.cat((k.flip(1), torch.zeros_like(k)), dim=1)  # row t is this, moved t places to the right
    tiled = rows.repeat(1, length)[:, length - 1 :]
    return tiled[:, : length * (2 * length - 1)].reshape(channels, length, 2 * length - 1)[:, :, :length]


@dataclass(frozen=True)
class PlainData:
    """Sequences (n, L) and classes (n,) to train on and to test on."""

    train_inputs: NDArray[np.float64]
    train_targets: NDArray[np.int64]
    test_inputs: NDArray[np.float64]
    test_targets: NDArray[np.int64]


@dataclass(frozen=True)
class PlainResult:
    """What came of a run; test_loss is NaN where a loss, a gradient or a weight was not finite.

    gradient_over_weight: the largest |∂loss/∂w|/|w| over recurrent weights and steps, up to a divergence;
    start_gradient_over_weight: at the first step; margin: -max Re λ at the end.
    """

    test_loss: float
    test_accuracy: float
    gradient_over_weight: float
    start_gradient_over_weight: float
    margin: float


def train_plain(
    column: str,
    data: PlainData,
    *,
    learning_rate: float,
    seed: int,
    steps: int,
    batch: int,
    width: int,
    modes: int,
    step_sizes: tuple[float, float],
    optimizer: str = "adamw",
    dtype: str = "float32",
) -> PlainResult:
    """One run of `steps` steps, batches in the order of fresh permutations of the data.

    Hypotheses: sizes of at least 1, a known column, optimizer and dtype (float32, float64). Raises ValueError
    otherwise.
    """
    check_counts(steps=(steps, 1), batch=(batch, 1), width=(width, 1), modes=(modes, 1), seed=(seed, 0))
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer: {shown(optimizer)!r} is not one of {', '.join(OPTIMIZERS)}")
    if dtype not in DTYPES:
        raise ValueError(f"dtype: {shown(dtype)!r} is not one of {', '.join(DTYPES)}")
    outputs = int(data.train_targets.max()) + 1
    model = PlainModel(PlainColumn.parse(column), outputs, width, modes, step_sizes, seed).to(DTYPES[dtype])
    make = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[optimizer]
    weights = list(model.parameters())
    moves = make(weights, lr=learning_rate, weight_decay=OPTIMIZERS[optimizer], foreach=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(moves, steps)
    inputs, targets = torch.tensor(data.train_inputs, dtype=DTYPES[dtype]), torch.tensor(data.train_targets)
    ratios: list[float] = []
    for index in _batches(len(targets), batch, steps, seed):
        moves.zero_grad()
        loss = F.cross_entropy(model(inputs[index]), targets[index])
        loss.backward()  # type: ignore[no-untyped-call]
        grads = [p.grad for p in weights if p.grad is not None]
        if not bool(torch.cat([value.flatten() for value in (loss, *grads, *weights)]).isfinite().all()):
            return PlainResult(math.nan, math.nan, max(ratios, default=math.nan), _first(ratios), math.nan)
        ratios.append(_gradient_over_weight(model.w))
        moves.step()
        schedule.step()
    with torch.no_grad():
        inputs, targets = torch.tensor(data.test_inputs, dtype=DTYPES[dtype]), torch.tensor(data.test_targets)
        scores = model(inputs)
        test_loss, right = float(F.cross_entropy(scores, targets)), float((scores.argmax(1) == targets).double().mean())
        margin = -float(model.column.rate(model.w).max())
    found = (test_loss, right, margin) if math.isfinite(test_loss) else (math.nan,) * 3
    return PlainResult(found[0], found[1], max(ratios), ratios[0], found[2])


def _batches(count: int, batch: int, steps: int, seed: int) -> list[Tensor]:
    """Index sets; the last ones of a permutation that fill no batch are left out."""
    rng = np.random.default_rng([seed, 1])
    size = min(batch, count)
    found: list[Tensor] = []
    while len(found) < steps:
        order = rng.permutation(count)
        found += [torch.tensor(order[i : i + size]) for i in range(0, count - size + 1, size)]
    return found[:steps]


def _gradient_over_weight(w: nn.Parameter) -> float:
    assert w.grad is not None
    return float((w.grad.abs() / w.detach().abs()).max())


def _first(values: list[float]) -> float:
    return values[0] if values else math.nan
