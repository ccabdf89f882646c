"""Bounds for one moving mode: never below what a mode in the box does, and how close for real modes."""

from __future__ import annotations

import cmath
import itertools
import math
from collections.abc import Iterator
from typing import Any

import mpmath
import pytest
import torch
from torch import Tensor

from numerics.mode_bounds import UNIT_NORM_SPEED, Box, difference_norm, mode_reach, two_sided_gap
from numerics.models import DiagonalModel


@pytest.fixture(autouse=True)
def _doubles() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


TIMES: dict[str, dict[str, Any]] = {
    "continuous": {},
    "native": {"time": "discrete"},
    "zoh": {"time": "discrete", "step_size": 0.2, "discretization": "zoh"},
    "bilinear": {"time": "discrete", "step_size": 0.2, "discretization": "bilinear"},
}
BOXES, STEPS, ANGLES = 8, 800, 3
GRID = torch.cat([torch.zeros(1, dtype=torch.float64), torch.logspace(-6, 3, 3000, dtype=torch.float64)])


def modes(lam: Tensor, kind: str, time: str) -> DiagonalModel:
    ones = torch.ones_like(lam)
    return DiagonalModel.from_lam(lam, ones[..., None], ones, "direct", modes=kind, **TIMES[time])


def norm_lower(difference: DiagonalModel, weights: Tensor) -> Tensor:
    """‖Re(zΣ_i weights_i e^{λ_i t})‖_W over the last axis, the largest over some z; never more than it is.

    On any grid Σ|∫_cell g| ≤ ∫|g| and Σ|Δg| ≤ the variation, the integrals from the antiderivative; in discrete time
    the sums are cut off.
    """
    lam = difference.transition()
    if difference.is_discrete:
        kernel = (weights[..., None] * lam[..., None] ** torch.arange(STEPS)).sum(-2)
        area = kernel
        change = torch.cat([kernel[..., :1], kernel.diff(dim=-1)], dim=-1)
    else:
        powers = weights[..., None] * torch.exp(lam[..., None] * GRID)
        area, kernel = (powers / lam[..., None]).sum(-2).diff(dim=-1), powers.sum(-2)
        change = torch.cat([kernel[..., :1], kernel.diff(dim=-1), kernel[..., -1:]], dim=-1)
    if not difference.is_complex:
        return area.abs().sum(-1) + change.abs().sum(-1)
    turns = [cmath.rect(1.0, math.pi * index / ANGLES) for index in range(ANGLES)]
    return torch.stack([(z * area).real.abs().sum(-1) + (z * change).real.abs().sum(-1) for z in turns]).amax(0)


def reached(centre: Tensor, moved: Tensor, kind: str, time: str) -> tuple[Tensor, Tensor]:
    """Lower bounds of ‖ψ̃ - ψ‖_W and ‖ψ̃‖_W for λ̃ = moved, of shape (samples, boxes)."""
    both = modes(torch.stack([moved, centre.expand_as(moved)], dim=-1), kind, time)
    gain = both.drive()[..., 0]
    sign = torch.tensor([1.0, -1.0], dtype=gain.dtype)
    return norm_lower(both, gain * sign), norm_lower(both, gain * torch.tensor([1.0, 0.0], dtype=gain.dtype))


def boxes(time: str, is_complex: bool, size: float) -> Box:
    """Boxes of a relative size around random centres."""
    u = torch.rand(5, BOXES, generator=torch.Generator().manual_seed(3))
    if time == "native":
        centre = 0.9 * u[0] if is_complex else 1.8 * u[0] - 0.9
        low, high = centre - size * u[1] * (centre + 0.97), centre + size * u[2] * (0.97 - centre)
    else:
        centre = -torch.exp(4 * u[0] - 2)
        low, high = centre * (1 + 3 * size * u[1]), centre * (1 - size * u[2])
    if not is_complex:
        return Box(centre, low, high, None)
    return Box(centre, low, high, 4 * u[3] - 1, 2 * size * u[4])


def samples(box: Box, time: str) -> tuple[Tensor, Tensor]:
    """λ, and λ̃ at ends, corners and points between: (boxes,) and (samples, boxes)."""
    shares = torch.linspace(0, 1, 7)[:, None]
    real = torch.cat([box.low + shares * (box.high - box.low), box.centre[None]])
    if box.omega is None:
        return box.centre, real
    pairs = [(a, box.omega + s * box.turn) for a, s in itertools.product(real, (-1.0, -0.5, 0.0, 1.0))]
    if time == "native":
        centre = box.centre * torch.exp(1j * box.omega)
        return centre, torch.stack([a * torch.exp(1j * b) for a, b in pairs])
    return torch.complex(box.centre, box.omega), torch.stack([torch.complex(a, b) for a, b in pairs])


@pytest.mark.parametrize("size", [1e-4, 0.3, 0.95])
@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("kind", ["plain", "unit-norm"])
@pytest.mark.parametrize("time", TIMES)
def test_no_mode_in_the_box_exceeds_the_bounds(time: str, kind: str, is_complex: bool, size: float) -> None:
    """Against sums and integrals that are themselves lower bounds, so that only rounding is allowed for."""
    box = boxes(time, is_complex, size)
    centre, moved = samples(box, time)
    bound = mode_reach(modes(centre, kind, time), box)
    distance, norm = reached(centre, moved, kind, time)
    rounding = 1e-10 * bound.norm
    assert bool((distance <= bound.distance + rounding).all())
    assert bool((norm <= bound.norm + rounding).all())
    assert bool(torch.isfinite(bound.distance).all())
    if kind == "unit-norm" and time in ("continuous", "native"):
        assert bool((bound.norm <= 1).all())


@pytest.mark.parametrize("size", [1e-4, 0.3, 0.95])
def test_real_plain_modes_attain_both_bounds(size: float) -> None:
    """At an end of the box; where the sign changes the grid loses about (10^{9/3000} - 1)² < 5e-5 of the value."""
    box = boxes("continuous", False, size)
    bound = mode_reach(modes(box.centre, "plain", "continuous"), box)
    distance, norm = reached(box.centre, torch.stack([box.low, box.high]), "plain", "continuous")
    assert distance.amax(0).tolist() == pytest.approx(bound.distance.tolist(), rel=1e-4)
    assert norm.amax(0).tolist() == pytest.approx(bound.norm.tolist(), rel=1e-4)


@pytest.mark.parametrize("rate", [0.02, 0.1455, 1.0, 30.0])
def test_real_unit_norm_modes_are_as_close_as_their_speed(rate: float) -> None:
    """From λ to a near end of logarithmic distance η the mode moves by speed·η, the bound is the mean with 0.7523η."""
    centre, eta = torch.tensor([-rate]), 1e-3
    box = Box(centre, centre * math.exp(eta), centre, None)
    bound = mode_reach(modes(centre, "unit-norm", "continuous"), box).distance
    p = 1 / (1 + 2 * rate)
    speed = math.exp(-p) * (2 * p + (1 - p) / math.e)
    distance, _ = reached(centre, box.low[None], "unit-norm", "continuous")
    assert float(distance) == pytest.approx(speed * eta, rel=2e-3)
    assert float(bound) == pytest.approx((speed + UNIT_NORM_SPEED) / 2 * eta, rel=2e-3)
    assert float(distance) <= float(bound) <= 1.53 * float(distance)


def test_the_speed_of_unit_norm_modes_is_the_largest() -> None:
    p = torch.linspace(0, 1, 100_001)
    largest = float((torch.exp(-p) * (2 * p + (1 - p) / math.e)).max())
    assert largest < UNIT_NORM_SPEED < largest + 1e-4


@pytest.mark.parametrize("q", ["1e-8", "0.2", "0.999", "1.5", "40", "1e9"])
def test_two_sided_gap_against_quadrature(q: str) -> None:
    """∫|qe^{-qt} - e^{-t}|dt at 30 digits, cut where the sign changes, at t = log(q)/(q - 1)."""
    with mpmath.workdps(30):
        rate = mpmath.mpf(q)
        turn, ends = mpmath.log(rate) / (rate - 1), sorted([mpmath.mpf(1), 1 / rate])
        breaks = sorted({mpmath.mpf(0), turn, *ends, 10 * ends[0], 10 * ends[1]})
        expected = mpmath.quad(lambda t: abs(rate * mpmath.exp(-rate * t) - mpmath.exp(-t)), [*breaks, mpmath.inf])
    assert float(two_sided_gap(torch.tensor(float(q)))) == pytest.approx(float(expected), rel=1e-10)


def test_two_sided_gap_at_one_and_far_out() -> None:
    assert two_sided_gap(torch.tensor([1.0, 0.0, math.inf])).tolist() == [0.0, 2.0, 2.0]


def test_difference_norm_against_lower_sums() -> None:
    """Weights and rates of every order, as sums on the grid; equal rates give |a - b| of the norm 1/r + 2."""
    u = torch.exp(1.2 * torch.randn(4, 200, generator=torch.Generator().manual_seed(0)))
    a, b, r_a, r_b = u
    exact = difference_norm(a, r_a, b, r_b)
    pair = modes(-torch.stack([r_a, r_b], dim=-1), "plain", "continuous")
    sums = norm_lower(pair, torch.stack([a, -b], dim=-1))
    size = a * (1 / r_a + 2) + b * (1 / r_b + 2)
    assert bool((sums <= exact + 1e-12 * size).all())
    assert bool((exact <= sums + 1e-4 * size).all())
    assert difference_norm(a, r_a, b, r_a).tolist() == pytest.approx(((a - b).abs() * (1 / r_a + 2)).tolist())


@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("kind", ["plain", "unit-norm"])
@pytest.mark.parametrize("time", TIMES)
def test_bounds_grow_with_the_box_from_zero(time: str, kind: str, is_complex: bool) -> None:
    found = []
    for size in (0.0, 1e-6, 1e-3, 0.1, 0.5, 0.9):
        box = boxes(time, is_complex, size)
        centre, _ = samples(box, time)
        found.append(mode_reach(modes(centre, kind, time), box))
    assert bool((found[0].distance.abs() <= 1e-12 * found[0].norm).all())
    for small, large in itertools.pairwise(found):
        slack = 1 + 1e-12
        assert bool((small.distance <= large.distance * slack + 1e-12 * large.norm).all())
        assert bool((small.norm <= large.norm * slack).all())


@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("kind", ["plain", "unit-norm"])
@pytest.mark.parametrize("time", ["continuous", "native", "zoh", "bilinear"])
def test_bounds_are_infinite_at_the_boundary_of_stability(time: str, kind: str, is_complex: bool) -> None:
    box = boxes(time, is_complex, 0.1)
    box = box._replace(high=torch.full((BOXES,), 1.0 if time == "native" else 0.0))
    centre, _ = samples(boxes(time, is_complex, 0.1), time)
    bound = mode_reach(modes(centre, kind, time), box)
    assert bool(torch.isinf(bound.distance).all())
    assert bool(torch.isinf(bound.norm).all())
