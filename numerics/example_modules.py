"""Five small sequence modules, each with one knob that sets how long it remembers, and their answers to single steps.

    rnn        h_k = tanh(W h_{k-1} + U x_k), W symmetric with eigenvalues from ρ/4 to ρ        knob ρ in (0, 1)
    gru        torch.nn.GRU, all biases 0 but that of the update gate                           knob that bias
    lstm       torch.nn.LSTM, all biases 0 but that of the forget gate                          knob that bias
    s4d        numerics.layers.SequenceModel, one block, λ = -r/Δ, f = -e^w                     knob r > 0, per step
    attention  one head of softmax attention over the last L inputs                             knob L ≥ 1

Inputs (N, T, 1) are mapped to (N, T, outputs). Under zero inputs every one of them is at rest from the start (attention
once its window is full of zeros). Weights are random, uniform in ±1/√hidden where not said otherwise. The knob is the
r of e^{-r} for s4d: the state keeps e^{-r} of itself in a step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from numerics.arguments import check_choice, check_counts
from numerics.layers import LayerKind, ModelShape, SequenceModel
from numerics.reach import weights_for
from numerics.reparameterization import Reparameterization
from numerics.sequence_map import SequenceMap, seeded

EXAMPLES = ("rnn", "gru", "lstm", "s4d", "attention")
_STEP = 0.25
"""Δ of s4d, which has one mode per channel, ω = 0."""
_FEEDBACK = 0.25
"""Of the recurrent weights of gru and lstm: with torch's own start the rest is unstable where forget gates are open."""


def example_module(name: str, hidden: int, knob: float, seed: int = 0) -> nn.Module:
    """The module of a name, in float64. Raises ValueError for another name, hidden < 1, and a knob out of range."""
    check_choice("name", name, EXAMPLES)
    check_counts(hidden=(hidden, 1), seed=(seed, 0))
    low, high = {"rnn": (0.0, 1.0), "s4d": (0.0, math.inf)}.get(name, (-math.inf, math.inf))
    whole = name == "attention"
    if not low < knob < high or (whole and (knob < 1 or knob != int(knob))):
        allowed = "a whole number of at least 1" if whole else f"a number between {low:g} and {high:g}"
        raise ValueError(f"knob: {knob:g} is not allowed for {name}; {allowed} is")
    generator = seeded(seed)
    if name == "s4d":
        return _s4d(hidden, knob, seed)
    if name == "attention":
        return _filled(WindowAttention(hidden, int(knob)), hidden, generator)
    kinds = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
    module = _filled(kinds[name](1, hidden, batch_first=True).double(), hidden, generator)
    weights = dict(module.named_parameters())
    with torch.no_grad():
        weights["bias_ih_l0"].zero_()
        weights["bias_hh_l0"].zero_()
        if name == "rnn":
            rotation, _ = torch.linalg.qr(torch.randn(hidden, hidden, generator=generator, dtype=torch.float64))
            rates = torch.linspace(1.0, 0.25, hidden, dtype=torch.float64) * knob
            weights["weight_hh_l0"].copy_((rotation * rates) @ rotation.mT)
        else:
            weights["weight_hh_l0"].mul_(_FEEDBACK)
            # The second block of rows is the update gate of torch.nn.GRU, and the forget gate of torch.nn.LSTM.
            weights["bias_ih_l0"][hidden : 2 * hidden] = knob
    return module


def step_responses(module: nn.Module, sizes: Sequence[float], steps: int, *, warmup: int = 1) -> Tensor:
    """How the outputs change after the input steps from 0 to x, for one input (d = 1).

    |y_k - y_{k-1}|_∞ / (|x| + 1),   0 ≤ k < steps,   y = H(x·1_{k≥0}), after `warmup` zeros

    For each of `sizes` the larger of x and -x at each k: the quantity whose supremum over x is the memory function
    (numerics.torch_modules.module_memory_function), so that no value is above it.
    Shapes: sizes (S,), result (S, steps). Source: Definition 2.1 in discrete time.
    Raises ValueError for sizes that are not positive, counts below 1, and as `SequenceMap`.
    """
    check_counts(steps=(steps, 1), warmup=(warmup, 1))
    if not all(0 < size < math.inf for size in sizes):
        raise ValueError(f"sizes: positive numbers are needed, got {list(sizes)}")
    mapped = SequenceMap(module, 1)
    height = torch.tensor(list(sizes), dtype=mapped.dtype, device=mapped.device)
    signed = torch.cat([height, -height])
    x = torch.cat([signed.new_zeros(len(signed), warmup), signed[:, None].expand(-1, steps)], dim=1)
    with mapped.isolated(), torch.no_grad():
        y = mapped(x[..., None])[:, warmup - 1 :]
    change = y.diff(dim=1).abs().amax(dim=2) / (signed.abs()[:, None] + 1)
    return torch.maximum(*torch.split(change, len(height)))


class WindowAttention(nn.Module):
    """Causal softmax attention of one head over the last L inputs, between two linear maps: (N, T, 1) to (N, T, 1).

    e_k = E x_k,   a_kj ∝ exp(⟨Q e_k, K e_j⟩/√hidden) for k - L < j ≤ k,   y_k = ⟨o, Σ_j a_kj V e_j⟩
    """

    def __init__(self, hidden: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.embed = nn.Linear(1, hidden, bias=False, dtype=torch.float64)
        self.query, self.key, self.value = (nn.Linear(hidden, hidden, False, dtype=torch.float64) for _ in range(3))
        self.read = nn.Linear(hidden, 1, bias=False, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        e = self.embed(x)
        score = self.query(e) @ self.key(e).mT / math.sqrt(e.shape[-1])  # (N, T, T)
        time = torch.arange(x.shape[1], device=x.device)
        age = time[:, None] - time
        seen = (age >= 0) & (age < self.window)
        weight = score.masked_fill(~seen, -math.inf).softmax(dim=-1)
        return self.read(weight @ self.value(e))


def _filled(module: nn.Module, hidden: int, generator: torch.Generator) -> nn.Module:
    """With all weights drawn from the generator, uniform in ±1/√hidden."""
    bound = 1 / math.sqrt(hidden)
    with torch.no_grad():
        for weight in module.parameters():
            weight.uniform_(-bound, bound, generator=generator)
    return module


def _s4d(hidden: int, rate: float, seed: int) -> SequenceModel:
    """With every Re λ = -rate/Δ; the encoder has no bias, so that zero inputs leave the state at 0."""
    shape = ModelShape(outputs=1, inputs=1, width=hidden, modes=1, pooled=False, step_sizes=(_STEP, _STEP))
    f = Reparameterization("exp")
    model = SequenceModel(shape, LayerKind(f), seed)
    (w,) = weights_for(f, torch.tensor([-rate / _STEP], dtype=torch.float64).numpy()).tolist()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name == "encoder.bias":
                weight.zero_()
            if name.endswith("ssm.w"):
                weight.fill_(w)
    return model
