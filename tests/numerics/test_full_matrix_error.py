"""E_m(β) of full-matrix models: closed forms, random perturbations by an independent norm, infinite cases."""

import math
from itertools import pairwise

import mpmath
import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.linalg import expm

from numerics.full_matrix_error import NO_UPPER, full_matrix_error
from numerics.full_model import FullModel
from numerics.kernel_cells import cut, geometric_edges, one_per_input
from numerics.targets import parse_target


def model(a: object, b: object, c: object, **settings: str) -> FullModel:
    return FullModel(*(torch.as_tensor(np.array(x, dtype=float)) for x in (a, b, c)), **settings)


def independent_norm(a: np.ndarray, b: np.ndarray, c: np.ndarray, end: float) -> float:
    """‖(1+t)^{-2} - ce^{At}B‖_W for d = 1 by scipy's quadrature on pieces, the tail of the target added."""

    def kernel(t: float) -> float:
        return (1 + t) ** -2 - float((c @ expm(a * t) @ b)[0, 0])

    def slope(t: float) -> float:
        return -2 * (1 + t) ** -3 - float((c @ a @ expm(a * t) @ b)[0, 0])

    ends = np.concatenate([[0], np.geomspace(0.05, end, 25)])
    pieces = [
        quad(lambda t, f=f: abs(f(t)), x, y, epsabs=1e-7, limit=60)[0]
        for f in (kernel, slope)
        for x, y in pairwise(ends)
    ]
    return abs(kernel(0)) + sum(pieces) + 1 / (1 + end) + (1 + end) ** -2


@pytest.mark.parametrize("beta", [0.01, 0.1, 0.43])
def test_one_mode_in_closed_form(beta: float) -> None:
    # The worst move is (1+β)²e^{-(1-β)t}; the difference to e^{-t} is positive and decreasing while (1+β)²(1-β) ≥ 1.
    with mpmath.workdps(30):
        b = mpmath.mpf(beta)
        exact = float((1 + b) ** 2 / (1 - b) - 1 + 2 * ((1 + b) ** 2 - 1))
    (row,) = full_matrix_error(model([[-1]], [[1]], [[1]]), parse_target("exponential:rate=1"), [beta], "block")
    assert row.lower == pytest.approx(exact, rel=1e-10)
    assert exact <= row.upper <= 3 * exact


def test_one_group_in_closed_form() -> None:
    # c alone: ‖βe^{-t}‖_W = 3β; A alone, to -1+β: 1/(1-β) - 1 + variation of e^{-(1-β)t} - e^{-t}.
    beta, target, one = 0.25, parse_target("exponential:rate=1"), model([[-1]], [[1]], [[1]])
    for ball in ("joint", "block"):
        (row,) = full_matrix_error(one, target, [beta], ball, ["c"])
        assert row.lower == pytest.approx(3 * beta, rel=1e-10)
        (row,) = full_matrix_error(one, target, [beta], ball, ["A"])
        with mpmath.workdps(30):
            r = mpmath.mpf(1 - beta)
            peak = mpmath.log(r) / (r - 1)
            exact = float(1 / r - 1 + 2 * (mpmath.exp(-r * peak) - mpmath.exp(-peak)))
        assert row.lower == pytest.approx(exact, rel=1e-4)  # the largest cell near the peak
        assert row.lower <= exact <= row.upper


@pytest.mark.parametrize("ball", ["joint", "block"])
def test_both_ends_against_random_perturbations(ball: str) -> None:
    a = np.array([[-1.0, 1.5, 0], [0, -0.7, 0.4], [-0.2, 0, -2]])
    b, c = np.array([[0.3], [1], [0.5]]), np.array([[0.5, 0.4, -0.2]])
    beta, rng = 0.1, np.random.default_rng(0)
    rows = full_matrix_error(model(a, b, c), parse_target("polynomial:p=2"), [beta, 0], ball)
    at_zero = independent_norm(a, b, c, 200.0)
    assert rows[1].lower <= at_zero * (1 + 1e-6)
    assert rows[1].lower == pytest.approx(at_zero, rel=1e-3)
    assert rows[1].upper == pytest.approx(at_zero, rel=2e-3)
    worst = 0.0
    for _ in range(12):
        moves = [rng.normal(size=x.shape) for x in (a, b, c)]
        if ball == "joint":
            size = math.sqrt(sum(float((m**2).sum()) for m in moves))
            moves = [m * beta / size for m in moves]
        else:
            moves = [m * beta / np.linalg.norm(m, 2) for m in moves]
        worst = max(worst, independent_norm(*(x + m for x, m in zip((a, b, c), moves, strict=True)), 200.0))
    assert worst <= rows[0].lower <= rows[0].upper


def test_infinite_from_the_radius_on() -> None:
    rotation = model([[-0.3, 2], [-2, -0.3]], [[1], [0]], [[1, 0]])
    target, edge = parse_target("polynomial:p=2"), 0.3 * math.sqrt(2)
    joint = full_matrix_error(rotation, target, [edge * (1 + 1e-9), edge * 0.99, 0.31, 0.29], "joint")
    assert [math.isinf(row.lower) for row in joint] == [True, False, False, False]
    assert [row.reason for row in joint[1:]] == [NO_UPPER, NO_UPPER, ""]
    block = full_matrix_error(rotation, target, [0.3 * (1 + 1e-9), 0.29], "block")
    assert math.isinf(block[0].lower)
    assert math.isfinite(block[1].upper)
    # a move of B and c alone never destabilises
    (fixed,) = full_matrix_error(rotation, target, [5.0], "joint", ["U", "c"])
    assert math.isfinite(fixed.upper)


def test_a_jordan_block_is_lost_at_a_hundredth() -> None:
    jordan = model([[-1, 100], [0, -1]], [[0], [0.01]], [[1, 0]])
    rows = full_matrix_error(jordan, parse_target("polynomial:p=2"), [0.0099, 0.01], "joint")
    assert math.isfinite(rows[0].upper)
    assert math.isinf(rows[1].lower)


def test_an_unseen_unstable_mode_costs_nothing_until_it_is_seen() -> None:
    # The mode at -0.1 has c = 0: at β = 0.1 the only move to the boundary leaves it unseen; beyond, A couples it too.
    hidden = model([[-0.1, 0], [0, -3]], [[1], [1]], [[0, 1]])
    target = parse_target("exponential:rate=3")
    (at_radius,) = full_matrix_error(hidden, target, [0.1], "block", ["A"])
    assert math.isfinite(at_radius.lower)
    (beyond,) = full_matrix_error(hidden, target, [0.2], "block", ["A"])
    assert math.isinf(beyond.lower)


def test_order_monotony_and_names() -> None:
    small = model([[-1, 0.5], [0, -2]], [[1, 0], [0, 1]], [[1, 1]])
    targets = [parse_target("exponential:rate=1"), parse_target("shift:start=1:end=2")]
    rows = full_matrix_error(small, targets, [0.2, 0.0, 0.1], "joint", ["w", "U", "c"])
    assert [row.beta for row in rows] == [0.2, 0.0, 0.1]
    assert rows[1].lower <= rows[2].lower <= rows[0].lower
    assert rows[1].lower >= 2  # the jumps
    assert all(row.lower <= row.upper for row in rows)
    assert rows == full_matrix_error(small, targets, [0.2, 0.0, 0.1])


@pytest.mark.parametrize(("rate", "scale"), [(1.0, 1.0), (2.0, -0.5)])
def test_cells_bound_the_norm_from_below(rate: float, scale: float) -> None:
    target = parse_target(f"exponential:rate={rate}:scale={scale}")
    cells = cut([target], geometric_edges(0.1, 100, 8))
    assert cells.integrals.sum() == pytest.approx(scale / rate, rel=1e-13)
    assert np.abs(np.diff(cells.values)).sum() == pytest.approx(abs(scale), rel=1e-13)
    shift = cut([parse_target("shift:start=1:end=2")], np.array([0, 0.5, 1, 1.5, 3]))
    assert shift.integrals[0] == pytest.approx([0, 0, 0.5, 0.5], abs=1e-15)
    assert shift.values[0] == pytest.approx([0, 0, 1, 1, 0])


def test_bad_input() -> None:
    target, fine = parse_target("exponential"), model([[-1]], [[1]], [[1]])
    with pytest.raises(ValueError, match="beta:"):
        full_matrix_error(fine, target, [-0.1])
    with pytest.raises(ValueError, match="beta:"):
        full_matrix_error(fine, target, [math.nan])
    with pytest.raises(ValueError, match="ball"):
        full_matrix_error(fine, target, [0.1], "cube")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="groups"):
        full_matrix_error(fine, target, [0.1], groups=["D"])
    with pytest.raises(ValueError, match="one output"):
        full_matrix_error(model([[-1]], [[1]], [[1], [1]]), target, [0.1])
    with pytest.raises(ValueError, match="continuous"):
        full_matrix_error(model([[0.5]], [[1]], [[1]], time="discrete"), target, [0.1])
    with pytest.raises(ValueError, match="p = 1"):
        full_matrix_error(fine, parse_target("polynomial:p=1"), [0.1])
    with pytest.raises(ValueError, match="target:"):
        one_per_input([target, target], 3)
