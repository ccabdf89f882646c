"""Upper bounds of the perturbed error of a nonlinear or layered model, from Lipschitz bounds.

Comparison system. Let x have |x|_∞ ≤ R and h̄ be the rest state. A mode with λ = -r + iω and gain ν turns a drive
with deviation ≤ g (at all times) into a state with deviation ≤ V g and a rate ≤ Q g,

    V = ν∫|e^{λt}| = ν/r,      Q = ν(1 + |λ|∫|e^{λt}|) = ν(1 + |λ|/r)     (the total variation of δ + λe^{λt}).

Write |U|1 for the row sums of |U|, and d⁽ˡ⁾ for the largest componentwise deviation |h⁽ˡ⁾ - h̄⁽ˡ⁾| over time. Then

    d⁽¹⁾ ≤ R V|U_1|1,     d⁽ˡ⁾ ≤ L V|U_l|d⁽ˡ⁻¹⁾,
    |h⁽¹⁾'| ≤ R Q|U_1|1,   |h⁽ˡ⁾'| ≤ L V|U_l||h⁽ˡ⁻¹⁾'| (differentiate the drive) and ≤ L Q|U_l|d⁽ˡ⁻¹⁾,   l ≥ 2,

and the output has at most L|c|ᵀ times these (twice, for conjugate pairs). Over the ball V and Q are taken at the
worst λ̃, and a vector is carried as p + v, v ≥ 0 with |v|_2 ≤ e: |Ũ|(p + v) ≤ |U|p + (|U|v + |δU|(p + v)); times V,
the last is at most |V|U||_2 e + max V |δU|_F (|p|_2 + e) long.

With a, b the resulting gains of the output and its rate, and y_0 ≥ |Ĥ(0)| over the ball, any σ:

    E_m(β) ≤ sup_R (‖ρ‖_1 R + y_0 + min(aR, C))/(R + 1) + y_0 + sup_R (TV(ρ) R + min(bR, C'))/(R + 1),

C and C' = ∞ unless σ is bounded: |σ(h) - σ(h̄)| ≤ M gives C from |c|_1 M and, for ℓ ≥ 2, C' from L|c|ᵀQ|U_ℓ|1 M. One
layer: with slopes of σ in [κ - s, κ + s] (the mean slope (σ(h) - σ(0))/h lies there too) also

    E_m(β) ≤ sup_θ̃ ‖ρ - κρ̂_θ̃‖_W + s(a + b)/L + 2y_0,

where the first norm is bounded by the linear model's error and the increment of its kernel over the ball
(numerics.perturbation_upper). For σ = id it is the linear bound, κ = 1 and s = 0.

Source: derived here; the comparison is the one of Theorem 3.3's layer induction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from numerics.activations import ACTIVATIONS
from numerics.models import DiagonalModel
from numerics.nonlinear_simulation import rest_output
from numerics.norms import kernel_norm
from numerics.perturbation_ball import Ball
from numerics.perturbation_upper import increment_upper
from numerics.targets import Target

_ROUNDING = 1 + 1e-9
"""What bounds are multiplied by for the rounding of their float64 arithmetic."""
_RANGES = {"tanh": (-1.0, 1.0), "hardtanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}
_LEAST_SLOPE = {"identity": 1.0, "gelu": -0.1290}
"""inf σ', 0 for the others; gelu: 1 - sup σ' = 1 - 1.12890… as σ'(x) + σ'(-x) = 1."""


@dataclass(frozen=True)
class Gains:
    """|Ĥ(x) - Ĥ(0)| ≤ min(value·R, value_cap), |dĤ/dt| ≤ min(rate·R, rate_cap), |Ĥ(0)| ≤ rest, over the whole ball."""

    value: float
    rate: float
    value_cap: float
    rate_cap: float
    rest: float


def lipschitz_gains(model: DiagonalModel, ball: Ball, beta: float) -> Gains:
    """The gains of the module's text. Hypotheses: continuous time, one output, no batch axes; β ≥ 0."""
    lipschitz, last = model.activation.lipschitz, len(model.layers) - 1
    state, rate = _Length(torch.ones(model.input_dim, dtype=model.dtype, device=model.device), 0.0), None
    capped = _Length(torch.zeros_like(model.layers[last].w), math.inf)
    move = beta if "U" in ball.groups else 0.0
    for index, layer in enumerate(model.layers):
        weight, seen = layer.U.abs(), _seen(model, ball, index)
        size, speed = (torch.where(seen, gain, 0.0) for gain in _mode_gains(model, ball, beta, index))
        # |δU|_F, where the block ball bounds the spectral norm only
        moved = move if ball.kind == "joint" else move * math.sqrt(min(weight.shape))
        factor = 1.0 if index == 0 else lipschitz
        by_state = _through(speed, weight, moved, state).times(factor)
        by_rate = by_state if rate is None else _through(size, weight, moved, rate).times(factor)
        if index == last and index > 0 and model.activation.bounded:
            drive = torch.full_like(weight[0], _deviation(model, index - 1))
            capped = _through(speed, weight, moved, _Length(drive, 0.0))
        state = _through(size, weight, moved, state).times(factor)
        rate = min(by_state, by_rate, key=lambda x: x.total)
    assert rate is not None
    pair, c = (2.0 if model.is_complex else 1.0), model.c[0].abs()
    c_move = beta if "c" in ball.groups else 0.0

    def read(x: _Length) -> float:
        total = float(c @ x.known) + _product(float(c.norm()), x.extra) + _product(c_move, x.total)
        return pair * total * _ROUNDING

    one = _Length(torch.full_like(c, _deviation(model, last)), 0.0)
    cap = read(one) if model.activation.bounded else math.inf
    rest = _rest_bound(model, ball, beta)
    return Gains(lipschitz * read(state), lipschitz * read(rate), cap, lipschitz * read(capped), rest)


def nonlinear_upper(model: DiagonalModel, targets: Sequence[Target], ball: Ball, betas: Sequence[float]) -> list[float]:
    """The smaller of the two bounds of E_m(β) in the module's text, for each β; inf where neither is finite.

    Hypotheses as `lipschitz_gains`. The rounding of float64 is allowed for by a factor, not enclosed.
    """
    every = [lipschitz_gains(model, ball, beta) for beta in betas]
    direct = [_directly(targets, gains) for gains in every]
    if len(model.layers) > 1 or not betas:
        return [bound * _ROUNDING for bound in direct]
    high, low = model.activation.lipschitz, _LEAST_SLOPE.get(model.activation.name, 0.0)
    middle, half = 0.5 * (high + low), 0.5 * (high - low)
    base = _difference_norm(model, targets, middle)
    radii = torch.tensor(betas, dtype=model.dtype, device=model.device)
    growth = increment_upper(replace(model, activation=ACTIVATIONS["identity"]), ball, radii).tolist()
    bounds = []
    for first, gains, grown in zip(direct, every, growth, strict=True):
        # (XR + y_0)/(R + 1) ≤ max(X, y_0) ≤ X + y_0
        spread = half / high * (gains.value + gains.rate) if half else 0.0
        bounds.append(min(first, base + middle * grown + spread + 2 * gains.rest) * _ROUNDING)
    return bounds


def _directly(targets: Sequence[Target], gains: Gains) -> float:
    if not all(map(math.isfinite, (gains.value, gains.rate, gains.rest))):
        return math.inf
    size, change = _target_norms(targets)
    value = _supremum(size, gains.rest, gains.value, gains.value_cap) + gains.rest
    return value + _supremum(change, 0.0, gains.rate, gains.rate_cap)


@dataclass(frozen=True)
class _Length:
    """A nonnegative vector known + v with |v|_2 ≤ extra."""

    known: Tensor
    extra: float

    def times(self, factor: float) -> _Length:
        return _Length(self.known * factor, self.extra * factor)

    @property
    def total(self) -> float:
        """|known|_2 + extra."""
        return float(self.known.norm()) + self.extra


def _through(gains: Tensor, weight: Tensor, move: float, x: _Length) -> _Length:
    """Diag(gains) |Ũ| x for |δU|_F ≤ move."""
    scaled = gains.unsqueeze(-1) * weight
    known = scaled @ x.known
    spread = float(torch.linalg.matrix_norm(scaled, 2)) * x.extra if x.extra else 0.0
    return _Length(known, spread + _product(float(gains.max()) * move, x.total))


def _product(a: float, b: float) -> float:
    return a * b if a and b else 0.0


def _mode_gains(model: DiagonalModel, ball: Ball, beta: float, index: int) -> tuple[Tensor, Tensor]:
    """V and Q of every mode of a layer at the worst λ̃ of the ball."""
    layer = model.layers[index]
    low, high = model.reparameterization.bounds(layer.w, beta if "w" in ball.groups else 0.0)
    slow, fast = -high, -low  # r in [slow, fast]
    turn = beta if "omega" in ball.groups else 0.0
    omega = torch.zeros_like(slow) if layer.omega is None else layer.omega.abs()
    least, most = torch.hypot(slow, (omega - turn).clamp(min=0)), torch.hypot(fast, omega + turn)
    if model.modes == "plain":
        ratio = torch.hypot(torch.ones_like(slow), (omega + (turn if layer.omega is not None else 0.0)) / slow)
        return torch.where(slow > 0, 1 / slow, math.inf), 1 + ratio
    if layer.omega is None:
        least, most = slow, fast
    return 1 / (1 + slow + least), 1 - 1 / (1 + fast + most)


def _seen(model: DiagonalModel, ball: Ball, index: int) -> Tensor:
    """The modes that are driven and reach what follows, somewhere in the ball: the others, of any λ̃, cost nothing."""
    driven = (model.layers[index].U != 0).any(dim=-1) | ("U" in ball.groups)
    last = index + 1 == len(model.layers)
    behind, group = (model.c, "c") if last else (model.layers[index + 1].U, "U")
    return driven & ((behind != 0).any(dim=-2) | (group in ball.groups))


def _deviation(model: DiagonalModel, index: int) -> float:
    """M ≥ |σ(h) - σ(h̄)| for the states of a layer (bounded σ); h̄ = 0 in the first one and wherever σ(0) = 0."""
    low, high = _RANGES.get(model.activation.name, (-math.inf, math.inf))
    zero = model.activation.at_zero
    spread = max(high - zero, zero - low) if index == 0 or zero == 0 else high - low
    return spread * (math.sqrt(2) if model.is_complex else 1.0)


def _rest_bound(model: DiagonalModel, ball: Ball, beta: float) -> float:
    """|Ĥ(0)| over the ball: 0 for σ(0) = 0; one layer: |cᵀσ(0)| moves by c alone; else from the range of σ."""
    zero = model.activation.at_zero
    if zero == 0:
        return 0.0
    m, pair = model.c.shape[-1], (2 * math.sqrt(2) if model.is_complex else 1.0)
    c_move = beta if "c" in ball.groups else 0.0
    if len(model.layers) == 1:
        return float(rest_output(model).abs()) + pair * zero * math.sqrt(m) * c_move
    low, high = _RANGES.get(model.activation.name, (-math.inf, math.inf))
    return pair * max(abs(low), abs(high)) * (float(model.c.abs().sum()) + math.sqrt(m) * c_move)


def _target_norms(targets: Sequence[Target]) -> tuple[float, float]:
    """Upper bounds of ∫|ρ|_1 and of its variation on R, from the tails at 0."""
    size = sum(target.tail(0.0).upper for target in targets)
    return size, sum(abs(target.right_limit(0.0)) + target.tail_variation(0.0).upper for target in targets)


def _difference_norm(model: DiagonalModel, targets: Sequence[Target], scale: float) -> float:
    """‖ρ - κρ̂‖_W with its error added; κ = scale, ρ̂ linear with one layer."""
    weights = (scale * model.c[0, :, None] * model.drive(0)).cpu().numpy()
    norm = kernel_norm(targets, weights, model.lam(0).cpu().numpy())
    return norm.value + norm.error


def _supremum(slope: float, constant: float, gain: float, cap: float) -> float:
    """sup_{R ≥ 0} (slope·R + constant + min(gain·R, cap))/(R + 1): monotone between R = 0, cap/gain and ∞."""
    if not math.isfinite(cap):
        return max(constant, slope + gain)
    if gain == 0:
        return max(constant, slope)
    corner = cap / gain if math.isfinite(gain) else 0.0
    return max(constant, slope, (slope * corner + constant + cap) / (corner + 1))
