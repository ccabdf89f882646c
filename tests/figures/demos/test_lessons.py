"""The numbers of the lessons on the curse of memory and on reparameterization."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from figures.demos import lesson_curse, lesson_reparameterize
from figures.demos.one_mode import Point, mode_error
from numerics.targets import parse_target


def moved_rate_error(rate: float, moved: float) -> float:
    """‖|λ|e^{λt} - |λ|e^{λ̃t}‖ = |λ/λ̃ - 1| + |λ| K(λ̃/λ), K(r) = 2 r^{-1/(r-1)} |1 - 1/r|, by hand."""
    r = moved / rate
    return abs(rate / moved - 1) + abs(rate) * 2 * r ** (-1 / (r - 1)) * abs(1 - 1 / r)


@pytest.mark.parametrize("rate", [-1.0, -0.2, -0.01])
def test_the_error_of_one_mode_is_that_of_its_worst_end(rate: float) -> None:
    for point in mode_error("direct", rate, lesson_curse.RADII):
        if point.beta >= -rate:
            assert point.lower == point.upper == math.inf
        else:
            exact = moved_rate_error(rate, rate + point.beta)
            assert point.lower <= exact * (1 + 1e-9)
            assert exact <= point.upper * (1 + 1e-9)
            assert point.upper <= 1.001 * point.lower


def test_the_wall_comes_closer_with_the_memory() -> None:
    errors = [mode_error("direct", rate, lesson_curse.RADII) for rate in lesson_curse.RATES]
    finite = [sum(point.upper < math.inf for point in some) for some in errors]
    assert finite == sorted(finite, reverse=True)
    assert (finite[0], finite[-1]) == (len(lesson_curse.RADII), 3)
    assert lesson_curse.error_of_mode(-0.2, 0.2).lower == math.inf
    assert lesson_curse.error_of_mode(-0.2, 0.1).upper < 2


def test_the_curve_of_a_mode_ends_below_the_wall() -> None:
    curve = lesson_curse.curve_of_mode(-0.1)
    assert [point.beta for point in curve] == sorted(point.beta for point in curve)
    assert 0.098 < curve[-1].beta < 0.1
    assert curve[-1].lower > 90


def test_more_modes_are_closer_and_more_fragile() -> None:
    some = lesson_curse.approximations(8)
    assert [one.m for one in some] == [1, 2, 4, 8]
    for one, more in pairwise(some):
        assert more.points[0].upper < one.points[0].lower
        assert more.margin < one.margin / 3
    assert all(point.upper < math.inf for one in some for point in one.points)
    assert parse_target(lesson_curse.SLOW).rho(3.0) == pytest.approx(4**-1.5)


@pytest.mark.parametrize("time", [1, 50, 1000])
@pytest.mark.parametrize("beta", [0.01, 0.3])
def test_where_a_move_of_w_carries_the_memory_time(time: int, beta: float) -> None:
    direct, exp = (lesson_reparameterize.reach(f, time, beta) for f in ("direct", "exp"))
    assert direct.shortest == pytest.approx(1 / (1 / time + beta))
    assert direct.longest == (pytest.approx(1 / (1 / time - beta)) if beta < 1 / time else math.inf)
    assert exp.shortest == pytest.approx(time * math.exp(-beta))
    assert exp.longest == pytest.approx(time * math.exp(beta))
    best, w = lesson_reparameterize.reach("best:b=0.1", time, beta), math.sqrt(time - 0.1)
    assert best.longest == pytest.approx((w + beta) ** 2 + 0.1)


def test_w_alone_is_stable_under_exp_and_best() -> None:
    for time in lesson_reparameterize.TIMES:
        for f in ("exp", "best:b=0.1"):
            found = lesson_reparameterize.errors(f, time, "w alone")
            assert all(point.upper < 10 for point in found)
    last = lesson_reparameterize.error("exp", 1000, "w alone", 0.3)
    assert last.upper == pytest.approx(math.expm1(0.3), abs=3e-4)


def test_all_weights_cost_the_memory_time_and_unit_norm_modes_do_not() -> None:
    for f in ("exp", "best:b=0.1"):
        plain = lesson_reparameterize.error(f, 1000, "all weights: w, U, c", 0.3)
        repaired = lesson_reparameterize.error(f, 1000, "all weights, unit-norm mode", 0.3)
        assert plain.lower > 0.3**2 / 2 * (2 + 1000)
        assert repaired.upper < 0.5
        assert plain.upper < 1.02 * plain.lower


def test_a_point_is_a_bracket() -> None:
    for moving in lesson_reparameterize.MOVING:
        for point in lesson_reparameterize.errors("exp", 10, moving):
            assert isinstance(point, Point)
            assert 0 < point.lower <= point.upper < math.inf
