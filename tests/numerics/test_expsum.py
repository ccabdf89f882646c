"""Explicit exponential sums: exact where they can be, their error in high precision, their rate, and their models."""

import math
from itertools import pairwise

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics.expsum import best_grid, explicit_model, explicit_weights, grid_error_estimate
from numerics.kernel_norms import kernel_norm
from numerics.spectral import alias_error, mass_over_rate, signed_measure, slope_measure, spectral_measure
from numerics.targets import GammaDensity, SpectralMeasure, parse_target

EPS = np.finfo(float).eps


def error_norm(p: str, lam: np.ndarray, weights: np.ndarray) -> float:
    """∫|e| + |e(0)| + ∫|e'| for (1+t)^{-p} at 30 digits: between sign changes by antiderivatives, no quadrature."""
    with mpmath.workdps(30):
        q = mpmath.mpf(p)
        rates, c = [mpmath.mpf(float(-x)) for x in lam], [mpmath.mpf(float(x)) for x in weights]

        def e(t: mpmath.mpf) -> mpmath.mpf:
            return (1 + t) ** -q - mpmath.fsum(w * mpmath.exp(-x * t) for x, w in zip(rates, c, strict=True))

        def slope(t: mpmath.mpf) -> mpmath.mpf:
            return -q * (1 + t) ** (-q - 1) + mpmath.fsum(
                w * x * mpmath.exp(-x * t) for x, w in zip(rates, c, strict=True)
            )

        def after(t: mpmath.mpf) -> mpmath.mpf:
            tail = mpmath.fsum(w / x * mpmath.exp(-x * t) for x, w in zip(rates, c, strict=True))
            return (1 + t) ** (1 - q) / (q - 1) - tail

        grid = [mpmath.mpf(0), *(mpmath.mpf(10) ** (mpmath.mpf(k) / 25) for k in range(-75, 400))]

        def pieces(function, antiderivative):  # type: ignore[no-untyped-def]
            values = [function(t) for t in grid]
            ends = [mpmath.mpf(0)]
            for left, right, u, v in zip(grid, grid[1:], values, values[1:], strict=False):
                if u * v < 0:
                    ends.append(mpmath.findroot(function, (left, right), solver="anderson", tol=1e-25, verify=False))
            levels = [antiderivative(t) for t in ends] + [mpmath.mpf(0)]
            return mpmath.fsum(abs(u - v) for u, v in pairwise(levels))

        return float(pieces(e, after) + abs(e(mpmath.mpf(0))) + pieces(slope, e))


@pytest.mark.parametrize(("p", "m"), [("1.5", 4), ("2", 8), ("3", 12)])
def test_the_error_against_high_precision(p: str, m: int) -> None:
    target = parse_target(f"polynomial:p={p}")
    lam, weights = explicit_weights(target, m)
    exact = error_norm(p, lam, weights)
    assert kernel_norm(target, weights, lam).value == pytest.approx(exact, rel=1e-9)
    assert target.measure is not None
    # The estimate adds absolute values of the three parts: above the norm, and not far above.
    assert exact <= best_grid(target.measure.densities, m)[2] <= 2.2 * exact


@pytest.mark.parametrize("p", [1.5, 2.0, 3.0])
def test_the_rate(p: float) -> None:
    """log(1/error) = L with L²/((p-1)π²) + O(L log L) = m: its increments tend to π√((p-1)m)'s from below."""
    target = parse_target(f"polynomial:p={p}")
    assert target.measure is not None
    dims = (64, 256, 1024)
    falls = [-math.log(best_grid(target.measure.densities, m)[2]) for m in dims]
    slopes = np.diff(falls) / np.diff(np.sqrt(dims))
    limit = math.pi * math.sqrt(p - 1)
    assert 0.8 * limit < slopes[0] < slopes[1] < limit
    lam = [explicit_weights(target, m)[0][0] for m in dims]
    assert 0 > lam[2] > lam[1] > lam[0]
    assert -lam[2] < 1e-10


def test_no_other_grid_is_better() -> None:
    densities = (GammaDensity(1.7, 2.0, 1.0), GammaDensity(4.0, 0.5, 3.0))
    step, first, best = best_grid(densities, 12)
    assert grid_error_estimate(densities, 12, step, first) == pytest.approx(best, rel=1e-12)
    for factor in (0.9, 0.98, 1.02, 1.1):
        for shift in (-1.0, -0.2, 0.2, 1.0):
            assert grid_error_estimate(densities, 12, step * factor, first) >= best * (1 - 1e-3)
            assert grid_error_estimate(densities, 12, step, first + shift) >= best * (1 - 1e-3)


@pytest.mark.parametrize("p", [1.2, 2.0, 6.5])
@pytest.mark.parametrize("step", [1.0, 0.4])
def test_the_aliasing_error_is_uniform_in_time(p: float, step: float) -> None:
    """All nodes that matter, in high precision: |ρ_h/ρ - 1| ≤ ε_h at every time, and comes close to it."""
    with mpmath.workdps(30):
        ratios = []
        for t in [0, *(mpmath.mpf(2) ** (mpmath.mpf(k) / 4) for k in range(-4, 24))]:
            nodes = (mpmath.exp(mpmath.mpf(step) * k) for k in range(int(-100 / (p * step)), int(6 / step)))
            total = mpmath.mpf(step) * mpmath.fsum(x ** mpmath.mpf(p) * mpmath.exp(-x * (1 + t)) for x in nodes)
            ratios.append(float(abs(total / mpmath.gamma(p) * (1 + mpmath.mpf(t)) ** mpmath.mpf(p) - 1)))
    bound = alias_error(p, step)
    assert 0.9 * bound < max(ratios) <= bound * (1 + 1e-9)


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)), min_size=1, max_size=5, unique_by=lambda x: x[0]),
    st.integers(0, 9),
)
def test_finite_sums_are_exact(terms: list[tuple[float, float]], extra: int) -> None:
    target = parse_target("+".join(f"exponential:rate={rate!r}:scale={weight!r}" for rate, weight in terms))
    lam, weights = explicit_weights(target, len(terms) + extra)
    assert lam.shape == weights.shape == (len(terms) + extra,)
    assert np.all(np.diff(lam) <= 0)
    assert np.all(weights > 0)
    for rate, weight in terms:
        assert np.sum(weights[lam == -rate]) == pytest.approx(weight, rel=10 * EPS)


def test_too_few_modes_keep_the_largest_terms() -> None:
    target = parse_target("exponential:rate=1+exponential:rate=0.1:scale=0.5+exponential:rate=50:scale=0.01")
    lam, weights = explicit_weights(target, 2)
    np.testing.assert_allclose(lam, [-0.1, -1.0])
    np.testing.assert_allclose(weights, [0.5, 1.0])


def test_atoms_and_densities_together() -> None:
    target = parse_target("polynomial:p=3+exponential:rate=0.01:scale=2")
    lam, weights = explicit_weights(target, 16)
    assert -0.01 in lam
    alone = explicit_weights(parse_target("polynomial:p=3"), 15)
    expected = kernel_norm(parse_target("polynomial:p=3"), alone[1], alone[0]).value
    assert kernel_norm(target, weights, lam).value == pytest.approx(expected, rel=1e-6)


@settings(max_examples=25)
@given(st.floats(1.1, 6), st.floats(0.01, 100), st.floats(0.01, 100), st.integers(1, 40))
def test_rescaling_time(p: float, s: float, scale: float, m: int) -> None:
    """c (1+t/s)^{-p} at fixed m: the two norms in W weigh s differently, but no rule beats the optimum by rescaling."""
    one = (GammaDensity(p, 1.0, 1.0),)
    other = (GammaDensity(p, s, scale),)
    step, first, _ = best_grid(one, m)
    _, _, best = best_grid(other, m)
    assert best <= grid_error_estimate(other, m, step, first - math.log(s)) * (1 + 1e-3)


@pytest.mark.parametrize("modes", ["plain", "unit-norm"])
def test_the_model_has_the_kernel_and_balanced_factors(modes: str) -> None:
    target = parse_target("polynomial:p=1.5")
    lam, weights = explicit_weights(target, 16)
    model = explicit_model(target, 16, "softplus", modes)
    np.testing.assert_allclose(model.lam().numpy(), lam, rtol=1e-12)
    times = np.array([0.0, 0.3, 2.0, 50.0])
    kernel = model.impulse_response(torch.from_numpy(times))[:, 0, 0].numpy()
    np.testing.assert_allclose(kernel, np.exp(np.outer(times, lam)) @ weights, rtol=1e-11)
    c, u = model.c[0], model.layers[0].U[:, 0]
    assert torch.equal(c, u)
    expected = np.sum(weights) if modes == "plain" else np.sum(weights * (2 - 1 / lam))
    assert float(c @ u) == pytest.approx(expected, rel=1e-12)
    if modes == "unit-norm":  # Σ c u is the norm of the sum itself
        norm = kernel_norm(parse_target("exponential:scale=0"), weights, lam).value
        assert float(c @ u) == pytest.approx(norm, rel=1e-9)


def test_rates_beyond_the_range() -> None:
    target = parse_target("polynomial:p=1.5")
    with pytest.raises(ValueError, match=r"'best'.*m = 16 needs λ down to -6\..*best:b=0\.15"):
        explicit_model(target, 16, "best")
    with pytest.raises(ValueError, match="no inverse is known"):
        explicit_model(target, 16, "-exp(w)/2")
    with pytest.raises(ValueError, match="modes"):
        explicit_model(target, 16, "exp", "unit")
    with pytest.raises(ValueError, match=r"'sigmoid'.*needs λ down to"):
        explicit_model(target, 16, "sigmoid")
    assert explicit_model(target, 16, "best:b=0.15").hidden_dims == (16,)
    model = explicit_model(target, 16, "best", max_rate=2.0)
    assert model.hidden_dims == (16,)
    assert float(model.lam().min()) == pytest.approx(-2)


def test_folded_rates() -> None:
    """ρ̂(0) stays; the error tends to that of moving the fast part of the measure to max_rate, not to 0."""
    target = parse_target("polynomial:p=1.5")
    errors = []
    for m in (16, 32, 64):
        lam, weights = explicit_weights(target, m, 2.0)
        assert lam.shape == (m,)
        assert -lam[-1] == pytest.approx(2, rel=1e-12)
        assert np.sum(weights) == pytest.approx(1, abs=0.01)
        errors.append(kernel_norm(target, weights, lam).value)
    # ∫_{x>2} ‖e^{-xt} - e^{-2t}‖ dμ with ‖·‖ = 1/2 - 1/x + 2 max|·|: an upper bound of the limit, by convexity.
    bound = float(mpmath.quad(
        lambda x: (0.5 - 1 / x + 2 * ((2 / x) ** (2 / (x - 2)) - (2 / x) ** (x / (x - 2)))) * x**0.5 * mpmath.exp(-x),
        [2.0000001, 4, 10, 40],
    ) / mpmath.gamma(1.5))  # fmt: skip
    # The rule sums an integrand in y = log x with a kink at log 2: off by at most h²/8 times the jump of its slope.
    step = math.log(lam[0] / lam[1])
    kink = 2 * (1 / 4 + 1 / math.e) * 2**1.5 * math.exp(-2) / math.gamma(1.5)
    assert 0.05 < errors[2] <= bound + kink * step**2 / 8
    assert abs(errors[2] - errors[1]) <= 4 * kink * step**2 / 8  # the step with m = 32 is less than √3 times as long


def test_measures() -> None:
    target = parse_target("polynomial:p=3:s=2:scale=5+exponential:rate=4:scale=3")
    measure = spectral_measure(target)
    assert mass_over_rate(measure) == pytest.approx(5 * 2 / 2 + 3 / 4)
    slope = slope_measure(measure)
    assert slope == SpectralMeasure(((4.0, 12.0),), (GammaDensity(4.0, 2.0, 7.5),))
    assert mass_over_rate(slope) == pytest.approx(8)  # ∫|ρ'| = ρ(0)
    parts = signed_measure(parse_target("polynomial:p=3+exponential:rate=2:scale=-1"))
    assert parts is not None
    assert parts[0].densities == (GammaDensity(3.0, 1.0, 1.0),)
    assert parts[1].atoms == ((2.0, 1.0),)
    assert signed_measure(parse_target("shift")) is None


@pytest.mark.parametrize(
    ("spec", "m", "message"),
    [
        ("shift", 4, "not completely monotone"),
        ("exponential:scale=-1", 4, "not completely monotone"),
        ("polynomial:p=1", 4, "L1 norm is infinite"),
        ("exponential:scale=0", 4, "is 0"),
        ("exponential", 0, "m must be an integer from 1"),
        ("exponential", 10**6, "m must be an integer from 1"),
        ("exponential", 2.0, "m must be an integer from 1"),
        ("exponential", True, "m must be an integer from 1"),
    ],
)
def test_bad_input(spec: str, m: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        explicit_weights(parse_target(spec), m)


def test_bad_max_rate() -> None:
    for rate in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="max_rate must be greater than 0"):
            explicit_weights(parse_target("exponential"), 2, rate)
