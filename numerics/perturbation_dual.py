"""The supremum over a ball of weights of a sum of terms mode by mode, bounded by its Lagrangian dual.

Let the recurrent weights of mode i move by a_i, its row of U by b_i and its c by e_i (real numbers, in size the lengths
of the moves), and let the range of a_i be cut into cells. On cell k, a_i ≥ near, and the term of the mode is at most

    F_i = max_k [ still + x b_i + y e_i + q b_i e_i ].

By weak duality sup { Σ_i F_i : the moves lie in the ball } is at most, for all multipliers μ ≥ 0,

    joint:  μβ² + Σ_i max_k [ still - μ near² + sup_{b² + e² ≤ β² - near²} (xb + ye + qbe - μ(b² + e²)) ],
    block:  μ_U dimβ² + μ_c β² + Σ_i max_k [ still + sup_{b, e} (xb + ye + qbe - μ_U b² - μ_c e²) ],

dim = min(m, d) ≥ |δU|_F²/|δU|_2². The suprema over (b, e) are known in closed form, or by one more multiplier. Any
multipliers give a bound; golden section and Newton's method only make it small. Source: derived here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

_GOLDEN = (math.sqrt(5) - 1) / 2
_STEPS, _NESTED_STEPS = 40, 22
_NEWTON_STEPS = 5
_TINY, _HUGE = 1e-150, 1e150


class Terms(NamedTuple):
    """The numbers of F_i, of shape (n, *batch, m, cells) or broadcasting to it; still ≥ 0, x, y and q of any sign."""

    still: Tensor
    x: Tensor
    y: Tensor
    q: Tensor
    near: Tensor


def joint_supremum(terms: Terms, betas: Tensor) -> Tensor:
    """An upper bound of sup Σ_i F_i over the joint ball: (n, *batch); inf where a term is. betas (n,) ≥ 0."""
    beta = betas.view(-1, *[1] * (terms.still.ndim - 1))
    square = terms.near**2
    left = (beta**2 - square).clamp(min=0)

    def dual(log_mu: Tensor) -> Tensor:
        mu = torch.exp(log_mu)[..., None, None]
        value = terms.still - mu * square + disk_supremum(terms.x, terms.y, terms.q, mu, left)
        return value.amax(-1).sum(-1) + (mu * beta**2)[..., 0, 0]

    return _least(dual, _at_most(terms, beta), beta)


def block_supremum(terms: Terms, betas: Tensor, rows: int) -> Tensor:
    """An upper bound of sup Σ_i F_i over the block ball, where |δU|_F² ≤ rows·β² and `near` does not count."""
    beta = betas.view(-1, *[1] * (terms.still.ndim - 1))
    trivial = _at_most(terms, beta)
    both = bool((terms.x != 0).any()) and bool((terms.y != 0).any())
    if not both and not bool((terms.q != 0).any()):
        radius = math.sqrt(rows) * beta if bool((terms.x != 0).any()) else beta

        def single(log_mu: Tensor) -> Tensor:
            mu = torch.exp(log_mu)[..., None, None]
            value = terms.still + disk_supremum(terms.x, terms.y, terms.q, mu, beta**2)
            return value.amax(-1).sum(-1) + (mu * radius**2)[..., 0, 0]

        return _least(single, trivial, beta)
    return _both_blocks(terms, beta, trivial, rows)


def _both_blocks(terms: Terms, beta: Tensor, trivial: Tensor, rows: int) -> Tensor:
    size, radius = beta[..., 0, 0], math.sqrt(rows) * beta[..., 0, 0]
    half = terms.q.abs().flatten(-2).amax(-1) / 2
    slope = (terms.x.abs() + terms.y.abs()).flatten(-2).amax(-1) / size.clamp(min=_TINY) + half
    middle = torch.log(slope.clamp(_TINY, _HUGE))

    def dual(log_ratio: Tensor, log_excess: Tensor) -> Tensor:
        ratio, p = torch.exp(log_ratio / 2), half + torch.exp(log_excess)  # μ_U μ_c = p² ≥ (q/2)²
        mu_u, mu_c = (p * ratio)[..., None, None], (p / ratio)[..., None, None]
        free = (mu_c * terms.x**2 + mu_u * terms.y**2 + terms.q * terms.x * terms.y) / (4 * mu_u * mu_c - terms.q**2)
        return (terms.still + free).amax(-1).sum(-1) + p * (ratio * radius**2 + size**2 / ratio)

    def best_excess(log_ratio: Tensor) -> Tensor:
        return golden(lambda log_excess: dual(log_ratio, log_excess), middle - 16, middle + 5, _NESTED_STEPS)

    return torch.fmin(golden(best_excess, 0 * middle - 12, 0 * middle + 12, _NESTED_STEPS), trivial)


def _at_most(terms: Terms, beta: Tensor) -> Tensor:
    """Every mode with the whole of the moves, |b|, |e| ≤ β, whose worst lie at corners: (n, *batch)."""
    same = (terms.x + terms.y).abs() * beta + terms.q * beta**2
    opposite = (terms.x - terms.y).abs() * beta - terms.q * beta**2
    return (terms.still + torch.maximum(same, opposite)).amax(-1).sum(-1)


def _least(dual: Callable[[Tensor], Tensor], trivial: Tensor, beta: Tensor) -> Tensor:
    scale = torch.log((trivial / beta[..., 0, 0].clamp(min=_TINY) ** 2).clamp(1e-200, 1e200))
    return torch.fmin(golden(dual, scale - 25.0, scale + 6.0, _STEPS), trivial)


def disk_supremum(x: Tensor, y: Tensor, q: Tensor, mu: Tensor, left: Tensor) -> Tensor:
    """An upper bound, tight, of sup {xb + ye + qbe - μ(b² + e²) : b² + e² ≤ left}, b and e of any sign; q, too.

    With s, t = (b ± e)/√2 and X, Y = (x ± y)/√2 the form is Xs + Yt - (μ - q/2)s² - (μ + q/2)t²; for every p ≥ μ with
    p > |q|/2 it is at most X²/(4p - 2q) + Y²/(4p + 2q) + (p - μ)·left, least where the maximizer has the length √left
    or p = μ. Newton's method for 1/length starts below that p and stays there up to rounding.
    """
    if not bool((x != 0).any() or (y != 0).any() or (q != 0).any()):
        return torch.zeros_like(x)
    radius = left.sqrt().clamp(min=_TINY)
    along, across, half = (x + y).abs() / math.sqrt(2), (x - y).abs() / math.sqrt(2), q / 2
    p = torch.maximum(torch.maximum(half + along / (2 * radius), across / (2 * radius) - half), mu)
    floor = torch.maximum(mu, half.abs() * (1 + 1e-12) + 1e-200)
    p = torch.maximum(p, floor)
    for _ in range(_NEWTON_STEPS):
        first, second = along / (2 * (p - half)), across / (2 * (p + half))
        square = first**2 + second**2
        bend = first**2 / (p - half) + second**2 / (p + half)
        step = square / bend.clamp(min=1e-300) * (square.sqrt() / radius - 1)
        p = torch.maximum(p + torch.where(bend > 0, step, 0.0), floor)
    value = along**2 / (4 * (p - half)) + across**2 / (4 * (p + half)) + (p - mu) * left
    return torch.where(left > 0, value, 0.0)


def golden(function: Callable[[Tensor], Tensor], low: Tensor, high: Tensor, steps: int) -> Tensor:
    """The least value of a quasi-convex function that golden section meets, elementwise on [low, high]."""
    inner, outer = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_inner, at_outer = function(inner), function(outer)
    least = torch.fmin(at_inner, at_outer)
    for _ in range(steps):
        left = at_inner < at_outer
        low, high = torch.where(left, low, inner), torch.where(left, outer, high)
        fresh = torch.where(left, high - _GOLDEN * (high - low), low + _GOLDEN * (high - low))
        value = function(fresh)
        least = torch.fmin(least, value)
        inner, outer = torch.where(left, fresh, outer), torch.where(left, inner, fresh)
        at_inner, at_outer = torch.where(left, value, at_outer), torch.where(left, at_inner, value)
    return least
