"""How far one mode's kernel can move, and how large it can become, while its recurrent weights move.

A mode is ψ(t) = g e^{λt} (discrete time: g λ^k) with λ = f(w) or f(w) + iω (discrete: f(w)e^{iω}) and a gain g. For λ̃
in a box around λ, upper bounds are given for

    distance = sup ‖ψ̃ - ψ‖_W,        norm = sup ‖ψ̃‖_W,

‖k‖_W = ∫|k| + total variation on R (discrete: Σ|k_j| + Σ|k_j - k_{j-1}|); for complex modes the supremum of ‖Re(zψ)‖_W
over |z| = 1. Each bound is monotone in the ends of the box, so that no maximum over a grid is taken.

Source: derived here. With r = -Re λ, q = r̃/r and K(q) = ∫|qe^{-qt} - e^{-t}|dt = 2q^{-1/(q-1)}|1 - 1/q|:

* real, g = 1: ‖e^{-rt}‖_W = 1/r + 2. The difference e^{-r̃t} - e^{-rt} keeps its sign, rises once and falls once, so
  ‖ψ̃ - ψ‖_W = |1/r̃ - 1/r| + K(q), increasing in |log q| on either side.
* real, unit-norm: ψ = e^{-rt}/(2 + 1/r). As a curve in log r its speed in ‖·‖_W is e^{-p}(2p + (1-p)/e) < 0.7523 with
  p = 1/(1+2r), so between two ends of logarithmic distance η the distance is at most the mean of those of the ends,
  plus 0.7523 η/2; the ends are differences of two exponentials, with a norm in closed form.
* complex: first r moves, then ω. |e^{λ̃t} - e^{λt}| ≤ |e^{-r̃t} - e^{-rt}| + e^{-r̃t}|e^{iδt} - 1| with
  r∫e^{-rt}|e^{iδt} - 1|dt ≤ min(|δ|/r, 4/π), and the derivative is split in the same order. By Cauchy-Schwarz in the
  weight e^{-rt}, ∫|Re(ze^{λt})| ≤ η/r with η² = (1 + r/√(r²+4ω²))/2, and the same for the derivative.
* discrete: Σ|λ̃^k - λ^k| ≤ |λ̃-λ|/((1-|λ|)(1-|λ̃|)) for any two (a convolution), and for 0 ≤ λ, λ̃ < 1 the difference
  keeps its sign: |1/(1-λ̃) - 1/(1-λ)| and a variation of at most K(log λ̃/log λ).
* a gain that moves: ‖g̃φ̃ - gφ‖ ≤ |g̃ - g|‖φ̃‖ + |g|‖φ̃ - φ‖, and never more than the sum of the two norms.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from numerics.models import DiagonalModel

UNIT_NORM_SPEED = 0.7523
"""Above max e^{-p}(2p + (1-p)/e) over [0, 1] = 0.75222…, at p = 1 - 1/(2e-1)."""


class Box(NamedTuple):
    """Where λ̃ may lie, in one common shape: f(w̃) in [low, high] around f(w) = centre, and |ω̃ - ω| ≤ turn.

    `omega` is None for real modes.
    """

    centre: Tensor
    low: Tensor
    high: Tensor
    omega: Tensor | None
    turn: Tensor | float = 0.0


class Reach(NamedTuple):
    """Upper bounds of ‖ψ̃ - ψ‖_W and ‖ψ̃‖_W over a box; inf where the box reaches the stability boundary."""

    distance: Tensor
    norm: Tensor


class _Gain(NamedTuple):
    """A gain at the centre, how far it moves over the box, and its largest modulus there."""

    centre: Tensor
    change: Tensor
    largest: Tensor


def mode_reach(model: DiagonalModel, box: Box) -> Reach:
    """The bounds of the module's text, for the modes of a model of one layer.

    Hypotheses: `box.centre` and `box.omega` are the model's own, `box` encloses f over the moves. Shapes: those of box.
    """
    unit_norm = model.modes == "unit-norm"
    if not model.is_discrete:
        if box.omega is None:
            return _real_unit_norm(box) if unit_norm else _real_plain(box)
        plain, start = _complex_plain(box), _complex_norm(-box.centre, box.omega)
        return _with_gain(plain, start, _unit_norm_gain(box), ceiling=1.0) if unit_norm else plain
    if model.step_size is None:
        disk = _native_disk(box)
        plain, start = _discrete_plain(disk), _discrete_norm(disk.modulus, disk.to_one)
        if not unit_norm:
            return plain
        slowest, fastest = 1 / plain.norm, 1 / _discrete_norm(disk.least, disk.least_to_one)
        gain = _Gain(1 / start, torch.maximum(fastest - 1 / start, 1 / start - slowest), fastest)
        return _with_gain(plain, start, gain, ceiling=1.0)
    disk, gain = _step_disk(model, box), _step_gain(model, box)
    return _with_gain(_discrete_plain(disk), _discrete_norm(disk.modulus, disk.to_one), gain, ceiling=math.inf)


def _with_gain(plain: Reach, start: Tensor, gain: _Gain, ceiling: float) -> Reach:
    """Bounds for g·φ from those of φ, from ‖φ‖ at the centre and from the range of g; no mode exceeds the ceiling."""
    norm = (gain.largest * plain.norm).clamp(max=ceiling)
    by_parts = gain.change * plain.norm + gain.centre * plain.distance
    distance = torch.minimum(by_parts, gain.centre * start + norm)
    return Reach(*(torch.where(plain.norm.isinf(), math.inf, bound) for bound in (distance, norm)))


# Continuous time


def two_sided_gap(q: Tensor) -> Tensor:
    """K(q) = ∫_0^∞ |qe^{-qt} - e^{-t}| dt = 2q^{-1/(q-1)}|1 - 1/q| = 2 max|e^{-qt} - e^{-t}|; 2 at q = 0 and q = ∞."""
    size = torch.log(q).abs()
    value = -2 * torch.exp(-size / torch.expm1(size)) * torch.expm1(-size)
    return torch.where(size == 0, 0.0, torch.where(size < 700, value, 2.0))


def _real_plain(box: Box) -> Reach:
    decay, ends = -box.centre, (-box.high, -box.low)
    distances = [(1 / r - 1 / decay).abs() + two_sided_gap(r / decay) for r in ends]
    return _unless(box.high >= 0, torch.maximum(*distances), 1 / ends[0] + 2)


def difference_norm(a: Tensor, r_a: Tensor, b: Tensor, r_b: Tensor) -> Tensor:
    """‖ae^{-r_a t} - be^{-r_b t}‖_W in closed form, for a, b, r_a, r_b > 0 in any common shape.

    k(t) = ae^{-r_a t} - be^{-r_b t} changes sign at most at t0 = log(a/b)/(r_a - r_b) and turns at most at
    t1 = log(ar_a/(br_b))/(r_a - r_b); either is put to 0 where it is negative. With P(t) = ∫_t^∞ k,
    ∫|k| = |P(0) - 2P(t0)|, and the variation on R is |k(0)| + |k(0) - k(t1)| + |k(t1)|. Source: derived here.
    """
    apart = torch.where(r_a == r_b, math.inf, r_a - r_b)
    ratio = torch.log(a / b)
    t0 = (ratio / apart).clamp(min=0)
    t1 = ((ratio + torch.log(r_a / r_b)) / apart).clamp(min=0)
    area = a / r_a - b / r_b - 2 * (a / r_a * torch.exp(-r_a * t0) - b / r_b * torch.exp(-r_b * t0))
    start, turn = a - b, a * torch.exp(-r_a * t1) - b * torch.exp(-r_b * t1)
    return area.abs() + start.abs() + (start - turn).abs() + turn.abs()


def _real_unit_norm(box: Box) -> Reach:
    decay, slow, fast = -box.centre, -box.high, -box.low
    ends = [difference_norm(1 / (2 + 1 / r), r, 1 / (2 + 1 / decay), decay) for r in (slow, fast)]
    distance = (ends[0] + ends[1] + UNIT_NORM_SPEED * torch.log(fast / slow)) / 2
    return _unless(box.high >= 0, distance.nan_to_num(2.0).clamp(max=2.0), torch.ones_like(slow))


def _complex_norm(decay: Tensor, omega: Tensor) -> Tensor:
    """The norm 1/r + 1 + |λ|/r of the complex mode, which is at least that of its real parts."""
    return (1 + torch.hypot(decay, omega)) / decay + 1


def _complex_plain(box: Box) -> Reach:
    assert box.omega is not None
    r, slow, fast, size = -box.centre, -box.high, -box.low, torch.hypot(box.centre, box.omega)
    shift = torch.maximum((1 / slow - 1 / r).abs(), (1 / fast - 1 / r).abs())
    relative = torch.maximum((r / slow - 1).abs(), (r / fast - 1).abs())
    swing = torch.clamp(box.turn / slow, max=4 / math.pi)
    by_decay = shift + relative + size * shift
    by_turn = swing / slow + box.turn / slow + torch.hypot(slow, box.omega) / slow * swing
    quickest, calmest = box.omega.abs() + box.turn, (box.omega.abs() - box.turn).clamp(min=0)
    share = ((1 + fast / torch.hypot(fast, 2 * calmest)) / 2).sqrt().nan_to_num(1.0)
    norm = share * (1 + torch.hypot(slow, quickest)) / slow + 1
    return _unless(box.high >= 0, torch.minimum(by_decay + by_turn, norm + _complex_norm(r, box.omega)), norm)


def _unit_norm_gain(box: Box) -> _Gain:
    """ν = r/(1 + r + |λ|), increasing in r and decreasing in |ω|."""
    assert box.omega is not None
    quickest, calmest = box.omega.abs() + box.turn, (box.omega.abs() - box.turn).clamp(min=0)
    centre = 1 / _complex_norm(-box.centre, box.omega)
    least, most = 1 / _complex_norm(-box.high, quickest), 1 / _complex_norm(-box.low, calmest).nan_to_num(2.0)
    return _Gain(centre, torch.maximum(most - centre, centre - least), most)


# Discrete time


class _Disk(NamedTuple):
    """The multipliers over a box: |λ| and |1 - λ| at the centre, their largest and least values, sup|λ̃ - λ|.

    `farthest` is the largest |λ̃|; `most` belongs to the λ̃ with the largest ‖λ̃^k‖, `least` to that with the least.
    `ends` are λ and the ends of its range where all of them are real and ≥ 0 (NaN elsewhere).
    """

    modulus: Tensor
    to_one: Tensor
    farthest: Tensor
    most: Tensor
    most_to_one: Tensor
    least: Tensor
    least_to_one: Tensor
    move: Tensor
    ends: tuple[Tensor, Tensor, Tensor]


def _real_disk(centre: Tensor, low: Tensor, high: Tensor) -> _Disk:
    """Real λ̃ in [low, high]. The norm n = 1/(1-|λ|)·(1 + |1-λ|) + 1 grows with |λ| on either side of 0."""
    norms = [_discrete_norm(end.abs(), (1 - end).abs()) for end in (low, high)]
    worst = torch.where(norms[0] > norms[1], low, high)
    nearest = torch.minimum(torch.maximum(low, torch.zeros_like(low)), high)
    same_sign = low >= 0
    ends = [torch.where(same_sign, end, math.nan) for end in (centre, low, high)]
    move = torch.maximum(high - centre, centre - low)
    farthest = torch.maximum(low.abs(), high.abs())
    return _Disk(
        modulus=centre.abs(),
        to_one=1 - centre,
        farthest=farthest,
        most=worst.abs(),
        most_to_one=1 - worst,
        least=nearest.abs(),
        least_to_one=1 - nearest,
        move=move,
        ends=(ends[0], ends[1], ends[2]),
    )


def _complex_disk(multiplier: Tensor, most: Tensor, least: Tensor, move: Tensor) -> _Disk:
    """Complex λ̃ with least ≤ |λ̃| ≤ most and |λ̃ - λ| ≤ move."""
    to_one, unknown = (1 - multiplier).abs(), torch.full_like(most, math.nan)
    nearest = torch.maximum(1 - most, to_one - move).clamp(min=0)
    return _Disk(multiplier.abs(), to_one, most, most, to_one + move, least, nearest, move, (unknown, unknown, unknown))


def _native_disk(box: Box) -> _Disk:
    if box.omega is None:
        return _real_disk(box.centre, box.low, box.high)
    most = torch.maximum(box.low.abs(), box.high.abs())
    least = torch.where(box.low * box.high <= 0, 0.0, torch.minimum(box.low.abs(), box.high.abs()))
    move = torch.maximum(box.high - box.centre, box.centre - box.low)
    move = move + box.centre.abs() * torch.clamp(torch.as_tensor(box.turn), max=2.0)
    return _complex_disk(torch.polar(box.centre.abs(), box.omega) * box.centre.sign(), most, least, move)


def _step_disk(model: DiagonalModel, box: Box) -> _Disk:
    """The multipliers e^{λΔ} (zoh) or (1 + λΔ/2)/(1 - λΔ/2) (bilinear): both move at most Δ|λ̃ - λ|."""
    step = float(model.step_size or 0)
    if box.omega is None:
        return _real_disk(*(_multiplier(model, end) for end in (box.centre, box.low, box.high)))
    shift = torch.maximum(box.high - box.centre, box.centre - box.low)
    corners = [
        _multiplier(model, torch.complex(end, omega)).abs()
        for end in (box.low, box.high)
        for omega in (box.omega.abs() + box.turn, (box.omega.abs() - box.turn).clamp(min=0))
    ]
    most = torch.stack(corners).amax(0)  # in f the modulus falls and then rises again, at most
    most = torch.where(box.high >= 0, 1.0, most)
    centre = _multiplier(model, torch.complex(box.centre, box.omega))
    return _complex_disk(centre, most, torch.zeros_like(most), step * (shift + box.turn))


def _multiplier(model: DiagonalModel, lam: Tensor) -> Tensor:
    scaled = lam * float(model.step_size or 0)
    return torch.exp(scaled) if model.discretization == "zoh" else (1 + scaled / 2) / (1 - scaled / 2)


def _step_gain(model: DiagonalModel, box: Box) -> _Gain:
    """The gain B̄/U. Without unit-norm modes it moves by at most |λ̃ - λ|Δ²/2, and for real λ it grows with λ."""
    step = float(model.step_size or 0)
    lam = box.centre if box.omega is None else torch.complex(box.centre, box.omega)
    centre = _input_gain(model, lam).abs()
    if box.omega is None:
        low, high = _input_gain(model, box.low), _input_gain(model, box.high)
        change, largest = torch.maximum(high - centre, centre - low), high
    else:
        shift = torch.maximum(box.high - box.centre, box.centre - box.low)
        change = (shift + box.turn) * step**2 / 2
        largest = (centre + change).clamp(max=step)
    if model.modes == "plain":
        return _Gain(centre, change, largest)
    unit = _unit_norm_gain(box if box.omega is not None else box._replace(omega=torch.zeros_like(box.centre)))
    return _Gain(centre * unit.centre, unit.change * largest + unit.centre * change, largest * unit.largest)


def _input_gain(model: DiagonalModel, lam: Tensor) -> Tensor:
    """(e^{λΔ} - 1)/λ, or Δ/(1 - λΔ/2); 0 at λ = -∞."""
    step = float(model.step_size or 0)
    gain = torch.expm1(lam * step) / lam if model.discretization == "zoh" else step / (1 - lam * step / 2)
    return gain


def _discrete_norm(modulus: Tensor, to_one: Tensor) -> Tensor:
    """‖λ^k‖_W = 1/(1-|λ|) + 1 + |1-λ|/(1-|λ|) from |λ| and |1-λ|."""
    return torch.where(modulus < 1, (1 + to_one) / (1 - modulus) + 1, math.inf)


def _discrete_plain(disk: _Disk) -> Reach:
    rest, rest_moved = 1 - disk.modulus, 1 - disk.farthest
    distance = disk.move / (rest * rest_moved) * (1 + disk.to_one) + disk.move / rest_moved
    lam, *ends = disk.ends
    exact = [
        (1 / (1 - end) - 1 / (1 - lam)).abs() + two_sided_gap(torch.log(end) / torch.log(lam)).nan_to_num(2.0)
        for end in ends
    ]
    closed = torch.maximum(*exact)
    distance = torch.where(closed < distance, closed, distance)
    return _unless(disk.farthest >= 1, distance, _discrete_norm(disk.most, disk.most_to_one))


def _unless(diverges: Tensor, distance: Tensor, norm: Tensor) -> Reach:
    return Reach(torch.where(diverges, math.inf, distance), torch.where(diverges, math.inf, norm))
