"""The activations σ of the model: function, slope, least Lipschitz constant, value at 0."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from numerics.arguments import shown

Pointwise = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Activation:
    """A pointwise activation σ on real tensors of any shape, device and floating dtype.

    `slope` is σ', and at a kink (relu at 0, hardtanh at ±1) it is 0, as in autograd. `lipschitz` is sup |σ'|, rounded
    up where it is not a float. `bounded` says whether σ(R) is bounded; `at_zero` is σ(0).
    Source: the paper's σ; the constants derived below, where the activations are defined.
    """

    name: str
    function: Pointwise
    slope: Pointwise
    lipschitz: float
    bounded: bool
    at_zero: float

    def __call__(self, h: Tensor) -> Tensor:
        """σ(h); of a complex h the real and the imaginary part separately: σ(Re h) + i σ(Im h)."""
        if h.is_complex() and self.name != "identity":
            return torch.complex(self.function(h.real), self.function(h.imag))
        return self.function(h)


def _gelu(h: Tensor) -> Tensor:
    """x Φ(x) with the normal distribution function Φ(x) = erfc(-x/√2)/2, accurate in both tails."""
    return 0.5 * h * torch.erfc(-math.sqrt(0.5) * h)


def _gelu_slope(h: Tensor) -> Tensor:
    """Φ(x) + x Φ'(x)."""
    density = torch.exp(-0.5 * h * h) / math.sqrt(2 * math.pi)
    return 0.5 * torch.erfc(-math.sqrt(0.5) * h) + h * density


def _gelu_lipschitz() -> float:
    """sup |σ'| = Φ(√2) + √2 Φ'(√2) = (1 + erf 1)/2 + 1/(e√π): σ'' = Φ'(x)(2 - x²) vanishes at ±√2 only, and
    σ'(x) + σ'(-x) = 1 makes the one at √2 the larger. Rounded up: four roundings, each of at most one unit."""
    value = 0.5 * (1 + math.erf(1.0)) + math.exp(-1.0) / math.sqrt(math.pi)
    return value + 4 * math.ulp(value)


def _sigmoid_slope(h: Tensor) -> Tensor:
    return torch.sigmoid(h) * torch.sigmoid(-h)


def _tanh_slope(h: Tensor) -> Tensor:
    """1 - tanh² = 4 s(2x) s(-2x) with the sigmoid s, which keeps its digits in the tails."""
    return 4 * torch.sigmoid(2 * h) * torch.sigmoid(-2 * h)


ACTIVATIONS: Mapping[str, Activation] = {
    activation.name: activation
    for activation in (
        Activation("identity", lambda h: h, torch.ones_like, 1.0, False, 0.0),
        Activation("tanh", torch.tanh, _tanh_slope, 1.0, True, 0.0),
        Activation("hardtanh", functional.hardtanh, lambda h: (h.abs() < 1).to(h.dtype), 1.0, True, 0.0),
        Activation("relu", torch.relu, lambda h: (h > 0).to(h.dtype), 1.0, False, 0.0),
        Activation("gelu", _gelu, _gelu_slope, _gelu_lipschitz(), False, 0.0),
        Activation("sigmoid", torch.sigmoid, _sigmoid_slope, 0.25, True, 0.5),
    )
}


def activation(name: str) -> Activation:
    """The activation of this name. Raises ValueError, with the known names, for another."""
    if not isinstance(name, str) or name not in ACTIVATIONS:
        near = difflib.get_close_matches(str(name), ACTIVATIONS, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"activation: {shown(name)!r} is unknown; {hint}known: {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
