"""The perturbation experiment as it was published: random moves of all weights, white noise, explicit Euler, dt = 1.

A model with one linear layer, one input and one output is stepped through k = 0, ..., T-1,

    euler:  h_k = h_{k-1} + (λh_{k-1} + Ux_k),      multiplier μ = 1 + λ
    exact:  h_k = e^{λ} h_{k-1} + Ux_k,             multiplier μ = e^{λ}

so that its kernel is Σ c_i U_i μ_i^k, that of the target ρ(k). The error of moved weights is the mean of (y - ŷ)² over
inputs of white noise of size 1, weighted over time by v_i² with v_i proportional to i², i = 1..T, of mean 1:

    Σ_{k<T} G_k (ρ(k) - Σ c̃_i Ũ_i μ̃_i^k)²,      G_k = (1/T) Σ_{i>k} v_i²

which is what the mean over ever more inputs tends to. A move adds β z/‖z‖_∞ to each of w, U and c, z Gaussian, the same
z for every β; the estimate is the largest error over the moves, and does not fall as β grows. So it is neither the
supremum over a ball of weights nor the norm of Definition 2.5, and it sees no more than T steps.

A multiplier of modulus above 1 grows. Under Euler's step that is so for λ > 0, and for λ < -2, where e^{λt} decays.
Source: the experiments of StableSSM; the mean over the noise and the multipliers: derived here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from numerics.arguments import check_choice, check_counts
from numerics.models import DiagonalModel, Layer
from numerics.perturbation import check_linear, checked_betas
from numerics.targets import Target

STEPS = ("euler", "exact")
HORIZON = 100
DRAWS = 30
LOWEST = -2.0 * (1 + 1e-12)
"""A little less than the λ whose multiplier under Euler's step is -1: bounds of an f that ends at -2 lie below it."""
_FARTHEST = 2.0**20
_BISECTIONS = 80


@dataclass(frozen=True, eq=False)
class RandomErrors:
    """The error of every move, and its multipliers: (n, draws) each.

    `least` and `largest` are the ends of μ̃ over the modes; outside [-1, 1] the step grows.
    """

    betas: Tensor
    errors: Tensor
    least: Tensor
    largest: Tensor

    @property
    def estimate(self) -> Tensor:
        """The largest error of a move of size β or less: (n,)."""
        highest = self.errors.amax(-1)
        return torch.stack([highest[self.betas <= beta].amax() for beta in self.betas])


def random_errors(
    model: DiagonalModel,
    target: Target,
    betas: Sequence[float] | Tensor,
    *,
    step: str = "euler",
    draws: int = DRAWS,
    horizon: int = HORIZON,
    seed: int = 0,
) -> RandomErrors:
    """The errors of random moves of all weights, as in the module's text.

    Hypotheses: one linear layer with one input and one output, real modes without a gain, continuous time, no batch.
    Shapes: betas (n,), each ≥ 0 and finite. Raises ValueError where a hypothesis fails, and for another step.
    """
    check_choice("step", step, STEPS)
    check_counts(draws=(draws, 1), horizon=(horizon, 1))
    _check(model, target)
    model = model.to(dtype=torch.float64)
    radii = checked_betas(betas, model)
    layer, c = model.layers[0], model.c[0]
    sizes = radii[:, None, None]
    w, u, c = (x + sizes * z for x, z in zip((layer.w, layer.U[:, 0], c), _moves(model, draws, seed), strict=True))
    lam = model.reparameterization(w)
    multiplier = 1 + lam if step == "euler" else torch.exp(lam)
    errors = weighted_error(c * u, multiplier, target, horizon)
    return RandomErrors(radii, errors, multiplier.amin(-1), multiplier.amax(-1))


def weighted_error(weights: Tensor, multipliers: Tensor, target: Target, horizon: int = HORIZON) -> Tensor:
    """Σ_k G_k (ρ(k) - Σ_i a_i μ_i^k)² of the module's text, inf where it overflows. Shapes: (..., m); (...)."""
    rho = torch.from_numpy(target.rho(range(horizon)))
    power, error = weights, torch.zeros(weights.shape[:-1], dtype=weights.dtype)
    for value, share in zip(rho, time_weights(horizon), strict=True):
        error = error + share * (value - power.sum(-1)).square()
        power = power * multipliers
    return error.nan_to_num(torch.inf, torch.inf)


def time_weights(horizon: int) -> Tensor:
    """G_k of the module's text: (horizon,)."""
    size = torch.arange(1, horizon + 1, dtype=torch.float64) ** 2
    squares = (size * horizon / size.sum()).square()
    return squares.flip(0).cumsum(0).flip(0) / horizon


def euler_model(model: DiagonalModel) -> DiagonalModel:
    """The model that has under Euler's step the kernel which `model` has at whole steps: λ → e^{λ} - 1.

    Raises ValueError as `random_errors`, and where f does not reach these λ.
    """
    _check(model)
    f, layer = model.reparameterization, model.layers[0]
    return DiagonalModel((Layer(f.inverse(torch.expm1(model.lam())), layer.U),), model.c, f)


def euler_radius(model: DiagonalModel) -> float:
    """The least β with f(w̃) < -2 for some |w̃_i - w_i| ≤ β: a multiplier of Euler's step passes -1; inf if none does.

    By bisection of f's bounds over the intervals; β up to 2^20 is looked at.
    Raises ValueError as `random_errors`.
    """
    _check(model)
    f, w = model.reparameterization, model.layers[0].w.double()
    low, high = torch.zeros_like(w), torch.full_like(w, _FARTHEST)
    never = ~(f.bounds(w, _FARTHEST)[0] < LOWEST)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        passes = f.bounds(w, middle)[0] < LOWEST
        low, high = torch.where(passes, low, middle), torch.where(passes, middle, high)
    return float(torch.where(never, torch.inf, high).amin())


def _moves(model: DiagonalModel, draws: int, seed: int) -> list[Tensor]:
    """Directions of max-norm 1 for w, U and c, of one draw after the other: (draws, m) each."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(draws, 3, model.hidden_dims[0], generator=generator, dtype=torch.float64)
    return list((z / z.abs().amax(-1, keepdim=True)).unbind(1))


def _check(model: DiagonalModel, target: Target | None = None) -> None:
    if model.is_complex or model.is_discrete or model.modes != "plain" or model.batch_shape:
        raise ValueError("model: one model with real plain modes in continuous time is needed")
    if model.input_dim != 1 or model.output_dim != 1 or len(model.layers) > 1 or not model.is_linear:
        raise ValueError("model: one linear layer with one input and one output is needed")
    if target is not None:
        check_linear(model, target)
