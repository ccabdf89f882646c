"""L² norms of kernel differences: against mpmath, closed forms and plain sums."""

from __future__ import annotations

import math
from itertools import pairwise

import mpmath
import numpy as np
import pytest

from numerics.l2_errors import l2_squares, l2_step_squares, powers
from numerics.targets import Target, parse_target

LAM = np.array([-0.01, -0.3, -2.0])
C = np.array([0.1, -0.5, 0.7])
WAVES = np.array([-0.05 + 1j, -0.5 + 20j])
Z = np.array([0.3 - 0.1j, 0.2j])


def reference(target: Target, c: np.ndarray, lam: np.ndarray, end: float) -> float:
    """∫ e² at 30 digits, with the power law from its formula."""
    assert target.expression is not None
    twice = 2 if np.iscomplexobj(lam) else 1
    pairs = [(mpmath.mpmathify(a), mpmath.mpmathify(x)) for a, x in zip(c.tolist(), lam.tolist(), strict=True)]
    (p,) = (d.p for d in target.measure.densities)  # type: ignore[union-attr]
    with mpmath.workdps(30):

        def square(t: mpmath.mpf) -> mpmath.mpf:
            return (
                (1 + t) ** -mpmath.mpf(p) - mpmath.fsum(twice * mpmath.re(a * mpmath.exp(x * t)) for a, x in pairs)
            ) ** 2

        knots = [
            k for k in (0, 0.5, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 60, 100, 300, 1000, 4000) if k < end
        ]
        return float(mpmath.quad(square, [*knots, end]))


@pytest.mark.parametrize("end", [50.0, math.inf])
@pytest.mark.parametrize("p", [1.1, 2.0])
def test_against_mpmath(p: float, end: float) -> None:
    target = parse_target(f"polynomial:p={p}")
    found = l2_squares(target, C[None], LAM[None], end)[0]
    assert found == pytest.approx(reference(target, C, LAM, mpmath.inf if math.isinf(end) else end), rel=1e-12)


def test_complex_modes_against_mpmath() -> None:
    target = parse_target("polynomial:p=1.5")
    assert l2_squares(target, Z[None], WAVES[None], 30.0)[0] == pytest.approx(
        reference(target, Z, WAVES, 30.0), rel=1e-11
    )


def gram(c: np.ndarray, lam: np.ndarray) -> float:
    """∫ (Σ c_i e^{λ_i t})² = -Σ c_i c_j/(λ_i + λ_j)."""
    return float(-np.sum(np.multiply.outer(c, c) / np.add.outer(lam, lam)))


def test_sums_of_exponentials_have_a_closed_form() -> None:
    target = parse_target("exponential:rate=0.5:scale=2")
    stated = gram(np.append(2.0, -C), np.append(-0.5, LAM))
    assert l2_squares(target, C[None], LAM[None])[0] == pytest.approx(stated, rel=1e-13)


def test_a_small_error_keeps_its_digits() -> None:
    """e = 1e-7 e^{-0.5t}: expanding the square in float64 would leave none."""
    target = parse_target("exponential:rate=0.5")
    found = l2_squares(target, np.array([[1 - 1e-7]]), np.array([[-0.5]]))[0]
    assert found == pytest.approx(1e-14, rel=1e-8, abs=0)


@pytest.mark.parametrize("spec", ["airy", "shift", "two-part"])
def test_kernels_with_features(spec: str) -> None:
    from scipy.integrate import quad

    target = parse_target(spec)
    knots = np.unique([*np.arange(0, 61.0), *target.breaks])
    parts = [quad(lambda t: float(target.rho(t) - np.exp(LAM * t) @ C) ** 2, a, b)[0] for a, b in pairwise(knots)]
    assert l2_squares(target, C[None], LAM[None], 60.0)[0] == pytest.approx(sum(parts), rel=1e-9)


def test_a_target_without_an_integral() -> None:
    target = parse_target("sine")
    assert l2_squares(target, C[None], LAM[None])[0] == math.inf
    assert l2_squares(target, 0 * C[None], LAM[None], 20.0)[0] == pytest.approx(10 - math.sin(40) / 4, rel=1e-12)
    assert l2_step_squares(target, C[None], np.exp(LAM)[None])[0] == math.inf


@pytest.mark.parametrize(
    "lam", [np.array([0.5, -0.7, 0.0]), np.array([0.99999, 0.999, 0.1]), np.array([0.9 + 0.3j, 0.5j, 0.1])]
)
@pytest.mark.parametrize("end", [7.0, 300_000.0])
def test_sequences_against_plain_sums(lam: np.ndarray, end: float) -> None:
    target, k = parse_target("polynomial:p=1.5"), np.arange(end)
    wave = sum(c * lam_i**k for c, lam_i in zip(C, lam, strict=True))
    e = 0.5 * target.rho(0.5 * k) - (2 * wave.real if np.iscomplexobj(lam) else wave)
    assert l2_step_squares(target, C[None], lam[None], 0.5, end)[0] == pytest.approx(math.fsum(e**2), rel=1e-10)


def test_an_infinite_sum_has_a_closed_form() -> None:
    """Σ (1+k)^{-3} = ζ(3), and a geometric series for the exponential far beyond the steps summed one by one."""
    zero = np.zeros((1, 1))
    zeta = l2_step_squares(parse_target("polynomial:p=1.5"), zero, zero + 0.5)[0]
    assert zeta == pytest.approx(float(mpmath.zeta(3)), rel=1e-13)
    alpha = 1 - 1e-7
    geometric = l2_step_squares(parse_target("polynomial:p=30"), np.array([[1.0]]), np.array([[alpha]]))[0]
    with mpmath.workdps(40):
        own = float(1 / (1 - mpmath.mpf(alpha) ** 2))  # 1 - α² loses half of its digits in float64
    cross = float(mpmath.nsum(lambda k: (1 + k) ** -60 - 2 * (1 + k) ** -30 * mpmath.mpf(alpha) ** k, [0, mpmath.inf]))
    assert geometric == pytest.approx(own + cross, rel=1e-12)


def test_powers() -> None:
    lam, k = np.array([0.0, -0.5, 0.9]), np.arange(5.0)
    assert powers(lam, k) == pytest.approx(lam[:, None] ** k, rel=1e-14)


def test_a_batch_is_its_members() -> None:
    target, rng = parse_target("polynomial:p=1.5"), np.random.default_rng(1)
    c, lam = rng.normal(size=(5, 3)), -np.exp(rng.normal(size=(5, 3)))
    for function, rates in ((l2_squares, lam), (l2_step_squares, np.exp(lam))):
        together = function(target, c, rates)
        alone = [function(target, c[i : i + 1], rates[i : i + 1])[0] for i in range(5)]
        assert together == pytest.approx(alone, rel=1e-12)


def test_too_many_steps_are_refused() -> None:
    with pytest.raises(ValueError, match=r"lam: .* steps are needed"):
        l2_step_squares(parse_target("polynomial:p=1.5"), np.ones((1, 1)), np.full((1, 1), -1 + 1e-8))
