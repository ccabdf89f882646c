"""Enclosures of norms: they contain the norm at 30 digits and the float64 value, and they are narrow."""

from itertools import pairwise

import mpmath
import numpy as np
import pytest

from numerics.kernel_norms import sign_change_times
from numerics.norm_enclosure import kernel_norm_enclosure
from numerics.norms import kernel_norm
from numerics.targets import parse_target


def fitted(spec: str, m: int, slowest: float = 1e-2) -> tuple[np.ndarray, np.ndarray]:
    lam = -np.geomspace(slowest, 5, m)
    times = np.concatenate([[0.0], np.geomspace(1e-2, 10 / slowest, 1000)])
    weights = np.sqrt(times + 0.01)
    model = np.exp(np.outer(times, lam)) * weights[:, None]
    return np.linalg.lstsq(model, parse_target(spec).rho(times) * weights, rcond=1e-12)[0], lam


def polynomial_norm(p: str, c: np.ndarray, lam: np.ndarray) -> mpmath.mpf:
    """‖(1+t)^{-p} - Σ c e^{λt}‖ at 40 digits from antiderivatives between zeros, refined from the floating-point ones.

    Any partition gives a lower bound of both integrals; that no zero is missing is what the enclosure proves.
    """
    terms = [(mpmath.mpf(x), mpmath.mpf(y)) for x, y in zip(c.tolist(), lam.tolist(), strict=True)]
    q = mpmath.mpf(p)
    functions = [
        lambda t: (1 + t) ** (1 - q) / (1 - q) - sum(x / y * mpmath.exp(y * t) for x, y in terms),
        lambda t: (1 + t) ** -q - sum(x * mpmath.exp(y * t) for x, y in terms),
        lambda t: -q * (1 + t) ** (-q - 1) - sum(x * y * mpmath.exp(y * t) for x, y in terms),
    ]
    total = abs(functions[1](mpmath.mpf(0)))
    zeros = sign_change_times(parse_target(f"polynomial:p={p}"), c, lam)
    for k in range(2):
        roots = [mpmath.findroot(functions[k + 1], mpmath.mpf(x)) for x in zeros[k]]
        values = [*(functions[k](x) for x in (mpmath.mpf(0), *roots)), mpmath.mpf(0)]
        total += sum(abs(b - a) for a, b in pairwise(values))
    return total


@pytest.mark.parametrize(("p", "m"), [("1.5", 1), ("1.5", 4), ("2.5", 8), ("1.5", 8)])
def test_a_polynomial_kernel(p: str, m: int) -> None:
    c, lam = fitted(f"polynomial:p={p}", m)
    target = parse_target(f"polynomial:p={p}")
    enclosure = kernel_norm_enclosure(target, c, lam)
    with mpmath.workdps(40):
        exact = polynomial_norm(p, c, lam)
        assert enclosure.lower <= exact <= enclosure.upper
    assert enclosure.width() <= 1.1e-9 * exact
    estimate = kernel_norm(target, c, lam)
    assert abs(estimate.value - exact) <= estimate.error
    assert enclosure.lower - estimate.error <= estimate.value <= enclosure.upper + estimate.error


@pytest.mark.parametrize(
    "spec",
    [
        "exponential",
        "polynomial:p=1.1:s=10",
        "shift",
        "two-part",
        "exponential:scale=-1+polynomial:p=2.5",
        "shift:start=0:end=1+polynomial:p=3:scale=0.5",
    ],
)
def test_other_kernels_against_floating_point(spec: str) -> None:
    target = parse_target(spec)
    c, lam = fitted(spec, 3, 5e-2)
    c, lam = c * 1.01, lam * 0.98  # the fit of an exponential is exact
    enclosure = kernel_norm_enclosure(target, c, lam, tolerance=1e-6)
    estimate = kernel_norm(target, c, lam)
    assert enclosure.lower - estimate.error <= estimate.value <= enclosure.upper + estimate.error
    assert enclosure.width() <= 1.1e-6 * estimate.value


def test_closed_forms() -> None:
    # e = e^{-t} - e^{-2t} ≥ 0: L¹ norm 1/2, and twice its maximum 1/4.
    one = kernel_norm_enclosure(parse_target("exponential"), [1.0], [-2.0])
    assert one.contains(1)
    assert one.width() <= 1.1e-9
    # ρ = 1 on (0, 2), no model: 2 + 2.
    two = kernel_norm_enclosure(parse_target("shift:start=0:end=2"), [0.0], [-1.0])
    assert two.contains(4)
    assert two.width() <= 1e-8
    # x² - 1.02 x + 0.2602 > 0 with x = e^{-t}: x times that has no zero, but almost.
    near = kernel_norm_enclosure(parse_target("exponential:scale=0.2602"), [1.02, -1.0], [-2.0, -3.0])
    with mpmath.workdps(30):
        c = [mpmath.mpf("0.2602"), -mpmath.mpf(1.02), mpmath.mpf(1)]
        size = c[0] + c[1] / 2 + c[2] / 3
        turns = mpmath.polyroots([3, 2 * c[1], c[0]])
        value = lambda x: c[0] * x + c[1] * x**2 + c[2] * x**3  # noqa: E731
        levels = [mpmath.mpf(0), *(value(x) for x in (1, *sorted(turns, reverse=True))), mpmath.mpf(0)]
        exact = size + sum(abs(b - a) for a, b in pairwise(levels))
    assert near.lower <= exact <= near.upper
    assert near.width() <= 1.1e-9 * exact


def test_a_tolerance_out_of_reach_and_a_term_of_weight_zero() -> None:
    target = parse_target("exponential+polynomial:p=1:scale=0")
    enclosure = kernel_norm_enclosure(target, [1.0], [-2.0], tolerance=1e-30, max_boxes=3000)
    assert enclosure.contains(1)
    assert enclosure.width() <= 1e-14


def test_few_boxes_give_a_wide_but_true_interval() -> None:
    c, lam = fitted("polynomial:p=1.5", 4)
    target = parse_target("polynomial:p=1.5")
    narrow, wide = (kernel_norm_enclosure(target, c, lam, max_boxes=boxes) for boxes in (100_000, 0))
    assert wide.lower <= narrow.lower
    assert wide.upper > narrow.upper + 1e-6
    assert wide.upper < 100


@pytest.mark.parametrize(
    ("spec", "c", "lam", "message"),
    [
        ("airy", [1.0], [-1.0], "no enclosure of its norm"),
        ("polynomial:p=1", [1.0], [-1.0], "L1 norm is infinite"),
        ("exponential", [1.0], [-1.0 + 1j], "lam must be real"),
        ("exponential", [1.0], [1.0], "negative real part"),
        ("exponential", [1.0, 2.0], [-1.0], "coefficients must have shape"),
    ],
)
def test_bad_arguments(spec: str, c: list[float], lam: list[complex], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernel_norm_enclosure(parse_target(spec), c, lam)
