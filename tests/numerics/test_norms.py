"""Norms of exponential sums: against known values, high precision, and the properties that define a norm."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics.kernel_norms import panel_ends, sign_change_times
from numerics.norms import (
    derivative_estimate,
    derivative_norm,
    exponential_sum,
    kernel_norm,
    kernel_norms,
    l1_estimate,
    l1_norm,
    sequence_norm,
    sign_changes,
    target_norm,
    w1inf_estimate,
    w1inf_norm,
)
from numerics.targets import Samples, callable_target, parse_target

EPS = np.finfo(float).eps
COEFFICIENTS = st.lists(st.floats(-100, 100, allow_subnormal=False), min_size=1, max_size=6)


def kernel_with_zeros(values: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """e^{-t} Π(e^{-t} - a_j): its coefficients, its λ, and its zeros -log a_j."""
    coefficients = np.poly(values)[::-1]
    return coefficients, -(np.arange(len(coefficients)) + 1.0), np.sort(-np.log(values))


@pytest.mark.parametrize("rate", [1e-6, 1.0, 1e6])
def test_one_mode(rate: float) -> None:
    assert l1_norm([3.0], [-rate]) == pytest.approx(3 / rate, rel=20 * EPS)
    assert derivative_norm([3.0], [-rate]) == pytest.approx(6, rel=20 * EPS)
    assert w1inf_norm([3.0], [-rate]) == pytest.approx(3 / rate + 6, rel=20 * EPS)


@pytest.mark.parametrize(
    "zeros", [[0.9, 0.5, 0.1], [0.9, 0.7, 0.5, 0.3, 0.1, 0.01], np.linspace(0.1, 0.95, 9).tolist()]
)
def test_every_sign_change_is_found_and_the_integral_is_right(zeros: list[float]) -> None:
    coefficients, lam, expected = kernel_with_zeros(zeros)
    found = sign_changes(coefficients, lam)
    assert len(found) == len(expected)
    # A zero moves by the rounding error of ρ over its slope.
    scale = np.exp(np.outer(expected, lam)) @ np.abs(coefficients)
    slope = np.abs(exponential_sum(coefficients * lam, lam, expected))
    assert np.all(np.abs(found - expected) <= 100 * EPS * scale / slope + 10 * EPS * expected)
    with mpmath.workdps(30):
        ends = [mpmath.mpf(0), *(mpmath.mpf(z) for z in expected), mpmath.mpf(expected[-1]) + 5, mpmath.inf]
        exact_c = [mpmath.mpf(float(c)) for c in coefficients]

        def rho(t: mpmath.mpf) -> mpmath.mpf:
            return abs(sum(c * mpmath.exp(-(k + 1) * t) for k, c in enumerate(exact_c)))

        exact = sum(mpmath.quad(rho, [x, y]) for x, y in pairwise(ends))
    estimate = l1_estimate(coefficients, lam)
    assert abs(estimate.value - float(exact)) <= estimate.error
    assert estimate.error <= 1e-12


def test_the_variation_is_that_between_the_extrema() -> None:
    # ρ = e^{-t} - e^{-2t} rises to 1/4 at log 2 and falls back.
    estimate = derivative_estimate([1.0, -1.0], [-1.0, -2.0])
    assert abs(estimate.value - 0.5) <= estimate.error <= 1e-13


def test_scales_far_apart() -> None:
    estimate = w1inf_estimate([1.0, 1.0, 1.0], [-1e-8, -1.0, -1e8])
    exact = 1e8 + 1 + 1e-8 + 6
    assert abs(estimate.value - exact) <= estimate.error <= 1e-13 * exact


def test_equal_eigenvalues_cancel_exactly() -> None:
    assert w1inf_norm([1.0, -1.0], [-0.5, -0.5]) == 0
    assert w1inf_norm([0.0], [-1.0]) == 0
    assert sign_changes([1.0, -1.0, 2.0], [-1.0, -1.0, -3.0]).size == 0


@settings(max_examples=40, deadline=None)
@given(COEFFICIENTS, st.integers(0, 2**32 - 1), st.floats(0.01, 100))
def test_norm_properties(coefficients: list[float], seed: int, scale: float) -> None:
    c = np.array(coefficients)
    rng = np.random.default_rng(seed)
    lam, other = -np.exp(rng.uniform(-4, 4, len(c))), rng.standard_normal(len(c))
    size, change = l1_estimate(c, lam), derivative_estimate(c, lam)
    slack = size.error + change.error
    # Time scaling: ρ(at) has 1/a times the L¹ norm and the same variation; a·λ is rounded.
    stretch = np.abs(c) @ (1 / np.abs(lam)) * 10 * EPS
    assert abs(l1_norm(c, scale * lam) - size.value / scale) <= (2 * size.error + stretch) / scale
    # Twice the largest value is at most the variation; the integral is at most it, too.
    values = np.abs(exponential_sum(c, lam, np.geomspace(1e-4, 1e4, 200)))
    assert change.value >= 2 * max(np.max(values), abs(np.sum(c))) - change.error - 100 * EPS * np.sum(np.abs(c))
    assert size.value >= abs(np.sum(c / lam)) - size.error - 100 * EPS * np.sum(np.abs(c / lam))
    # Triangle inequality.
    together, alone = w1inf_estimate(c + other, lam), w1inf_estimate(other, lam)
    total = size.value + change.value + alone.value
    assert together.value <= total + slack + together.error + alone.error + 100 * EPS * total


def test_neighbouring_floats_and_alternating_signs() -> None:
    close = l1_estimate([1.0, -1.0], [-1.0, -np.nextafter(1.0, 2.0)])
    assert abs(close.value - EPS) <= close.error <= 1e-13
    c, lam = (-1.0) ** np.arange(40) * np.geomspace(1e-3, 10, 40), -np.geomspace(1e-8, 1e8, 40)
    estimate = l1_estimate(c, lam)
    assert abs(np.sum(c / -lam)) - estimate.error <= estimate.value <= np.sum(np.abs(c / lam)) + estimate.error
    assert len(sign_changes(c, lam)) <= 39
    # The zero of 1 - (1+δ) e^{-Rt}, far below the resolution 1/R of the kernel: its exact place does not matter.
    early = l1_estimate([1.0, -(1.0 + 1e-15)], [-1.0, -1e9])
    assert abs(early.value - (1 - 1e-9)) <= early.error


def test_arguments_are_not_changed() -> None:
    c, lam = np.array([1.0, -2.0, 0.5]), np.array([-3.0, -1.0, -1.0])
    before = c.copy(), lam.copy()
    w1inf_norm(c, lam)
    assert np.array_equal(c, before[0])
    assert np.array_equal(lam, before[1])


@pytest.mark.parametrize(
    ("c", "lam", "name"),
    [
        ([1.0], [0.0], "lam"),
        ([1.0], [1.0], "lam"),
        ([1.0], [float("nan")], "lam"),
        ([1.0], [float("-inf")], "lam"),
        ([float("nan")], [-1.0], "coefficients"),
        ([1.0, 2.0], [-1.0], "coefficients"),
        ([], [], "coefficients"),
        ([[1.0]], [[-1.0]], "coefficients"),
    ],
)
def test_bad_arguments(c: list[float], lam: list[float], name: str) -> None:
    for function in (l1_norm, derivative_norm, w1inf_norm, sign_changes):
        with pytest.raises(ValueError, match=name):
            function(c, lam)


def test_negative_times() -> None:
    with pytest.raises(ValueError, match="times"):
        exponential_sum([1.0], [-1.0], [-1.0])


# --- a target minus a sum of exponentials ---------------------------------------------------------------------------


def grid_times(lam: np.ndarray) -> np.ndarray:
    """A grid fine enough to separate the zeros of the kernels below."""
    end = 60 / np.min(-np.real(lam))
    dense = np.arange(1, 10 * (end if np.iscomplexobj(lam) else min(end, 30))) / 10
    return np.unique(np.concatenate([np.geomspace(1e-3, end, 700), dense]))


def roots_of(function: Callable[[mpmath.mpf], mpmath.mpf], times: np.ndarray, cuts: list[float]) -> list[mpmath.mpf]:
    """Sign changes at 30 digits between those of the computed values on a grid, jumps apart."""
    with mpmath.workdps(15):
        signs = [mpmath.sign(function(mpmath.mpf(x))) for x in times]
    found = []
    for i in np.flatnonzero(np.diff(np.array(signs, dtype=float))):
        if not any(times[i] <= cut <= times[i + 1] for cut in cuts):
            found.append(mpmath.findroot(function, (times[i], times[i + 1]), solver="anderson", tol=1e-55))
    return found


def reference_norm(
    rho: Callable[[mpmath.mpf], mpmath.mpf],
    slope: Callable[[mpmath.mpf], mpmath.mpf],
    jumps: list[tuple[float, float]],
    tail: Callable[[mpmath.mpf], mpmath.mpf],
    c: np.ndarray,
    lam: np.ndarray,
) -> mpmath.mpf:
    """‖ρ - Σ c e^{λt}‖ at 30 digits: quadrature between zeros of e, and |e(b) - e(a)| between zeros of e'."""
    factor = 2 if np.iscomplexobj(lam) else 1
    terms = [(factor * mpmath.mpmathify(x), mpmath.mpmathify(y)) for x, y in zip(c.tolist(), lam.tolist(), strict=True)]
    e = lambda t: rho(t) - mpmath.re(mpmath.fsum(x * mpmath.exp(rate * t) for x, rate in terms))  # noqa: E731
    de = lambda t: slope(t) - mpmath.re(mpmath.fsum(x * rate * mpmath.exp(rate * t) for x, rate in terms))  # noqa: E731
    times = grid_times(lam)
    breaks = [time for time, _ in jumps]
    last = mpmath.mpf(times[-1])
    zeros, turns = roots_of(e, times, breaks), roots_of(de, times, breaks)
    octaves = [last / 2**k for k in range(16)]
    cuts = sorted({mpmath.mpf(0), last, *map(mpmath.mpf, breaks), *zeros, *octaves})
    size = sum(abs(mpmath.quad(e, pair)) for pair in pairwise(cuts)) + tail(last)
    tiny = mpmath.mpf(10) ** -28
    ends = sorted({tiny, last, *turns, *(x for b in breaks for x in (mpmath.mpf(b) - tiny, mpmath.mpf(b) + tiny))})
    values = [mpmath.mpf(0), *map(e, ends), mpmath.mpf(0)]
    return size + sum(abs(b - a) for a, b in pairwise(values))


REFERENCES: dict[str, tuple[Any, Any, list[tuple[float, float]], Any]] = {
    "exponential": (lambda t: mpmath.exp(-t), lambda t: -mpmath.exp(-t), [], lambda x: mpmath.exp(-x)),
    "polynomial:p=1.5": (
        lambda t: (1 + t) ** -1.5, lambda t: -1.5 * (1 + t) ** -2.5, [], lambda x: 2 * (1 + x) ** -0.5
    ),
    "polynomial:p=2.5:s=4:scale=-2": (
        lambda t: -2 * (1 + t / 4) ** -2.5, lambda t: 1.25 * (1 + t / 4) ** -3.5, [],
        lambda x: 16 / mpmath.mpf(3) * (1 + x / 4) ** -1.5,
    ),
    "shift": (lambda t: mpmath.mpf(9 < t < 11), lambda t: mpmath.mpf(0), [(9, 1), (11, -1)], lambda x: mpmath.mpf(0)),
    "two-part": (
        lambda t: mpmath.exp(-t) + mpmath.exp(-((t - 9) ** 2)),
        lambda t: -mpmath.exp(-t) - 2 * (t - 9) * mpmath.exp(-((t - 9) ** 2)), [], lambda x: mpmath.exp(-x),
    ),
    "airy": (
        lambda t: mpmath.airyai(t - 6), lambda t: mpmath.airyai(t - 6, derivative=1), [], lambda x: mpmath.mpf(0)
    ),
    "shift:start=2:end=4:scale=-1.5+exponential:rate=0.5": (
        lambda t: mpmath.exp(-t / 2) - 1.5 * (2 < t < 4), lambda t: -mpmath.exp(-t / 2) / 2,
        [(2, -1.5), (4, 1.5)], lambda x: 2 * mpmath.exp(-x / 2),
    ),
}  # fmt: skip


def fitted(spec: str, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Rates spread over the time scales and coefficients near the best, so that e changes sign often."""
    lam = -np.geomspace(2e-2, 4, m)
    times = np.linspace(0, 60, 2000)
    return np.linalg.lstsq(np.exp(np.outer(times, lam)), parse_target(spec).rho(times), rcond=1e-9)[0], lam


@pytest.mark.parametrize("spec", REFERENCES)
def test_kernel_norm_of_real_sums(spec: str) -> None:
    c, lam = fitted(spec, 4)
    estimate = kernel_norm(parse_target(spec), c, lam)
    with mpmath.workdps(30):
        exact = reference_norm(*REFERENCES[spec], c, lam)
    assert abs(estimate.value - exact) <= estimate.error
    assert estimate.error <= 1e-12 * estimate.value


@pytest.mark.parametrize("spec", ["polynomial:p=1.5", "shift"])
def test_kernel_norm_of_complex_sums(spec: str) -> None:
    c, lam = np.array([0.3 - 0.2j, 0.1 + 0.1j]), np.array([-0.5 + 1j, -0.4 - 2.5j])
    estimate = kernel_norm(parse_target(spec), c, lam)
    with mpmath.workdps(30):
        exact = reference_norm(*REFERENCES[spec], c, lam)
    assert abs(estimate.value - exact) <= estimate.error
    assert estimate.error <= 1e-11 * estimate.value


NOTHING = parse_target("exponential:scale=0")


@pytest.mark.parametrize(("r", "omega"), [(1.0, 0.5), (0.5, 100.0), (1e-2, 3.0), (20.0, 1.0)])
def test_one_oscillating_mode(r: float, omega: float) -> None:
    """e^{-rt} cos ωt: geometric series over half periods, of |e| from its zeros and of the variation from its turns."""
    estimate = kernel_norm(NOTHING, [0.5], [complex(-r, omega)])
    with mpmath.workdps(40):
        r, omega = mpmath.mpf(r), mpmath.mpf(omega)
        primitive = lambda t: mpmath.exp(-r * t) * (omega * mpmath.sin(omega * t) - r * mpmath.cos(omega * t))  # noqa: E731
        half, q = mpmath.pi / (2 * omega), mpmath.exp(-r * mpmath.pi / omega)
        size = primitive(half) - primitive(0) + abs(primitive(3 * half) - primitive(half)) / (1 - q)
        turn = (mpmath.pi - mpmath.atan(r / omega)) / omega  # tan ωt = -r/ω
        depth = abs(mpmath.exp(-r * turn) * mpmath.cos(omega * turn))
        change = 1 + (1 + depth) + depth * (1 + q) / (1 - q)
        exact = size / (r**2 + omega**2) + change
    assert abs(estimate.value - exact) <= estimate.error
    assert estimate.error <= 1e-11 * estimate.value


def test_close_pairs_of_zeros_are_not_missed() -> None:
    """e = e^{-t}(x - a)(x - a - δ)(x - b), x = e^{-t}, between known zeros; ρ is the slowest term."""
    for gap in (1e-2, 1e-4, 1e-6):
        zeros = [0.5, 0.5 + gap, 0.05]
        coefficients, lam, times = kernel_with_zeros(zeros)
        target = parse_target(f"exponential:scale={float(coefficients[0])!r}")
        estimate = kernel_norm(target, -coefficients[1:], lam[1:])
        with mpmath.workdps(40):
            exact_c = [mpmath.mpf(float(x)) for x in coefficients]
            primitive = lambda t, c=exact_c: sum(-x / (k + 1) * mpmath.exp(-(k + 1) * t) for k, x in enumerate(c))  # noqa: E731
            values = [*(primitive(mpmath.mpf(t)) for t in (0, *times)), mpmath.mpf(0)]
            size = sum(abs(b - a) for a, b in pairwise(values))
        found = kernel_norms(target, -coefficients[None, 1:], lam[None, 1:])
        # The zeros of the rounded coefficients are off by 1e-15/gap, which changes the integral by that squared.
        assert abs(found.size[0] - float(size)) <= found.size_error[0]
        assert estimate.value == found.size[0] + found.change[0]
        assert len(sign_change_times(target, -coefficients[1:], lam[1:])[0]) == 3


def test_a_target_that_the_model_equals() -> None:
    target = parse_target("exponential:rate=0.5+exponential:rate=3:scale=-2")
    estimate = kernel_norm(target, [1.0, -2.0], [-0.5, -3.0])
    assert estimate.value <= estimate.error <= 1e-13


def test_no_model_leaves_the_norm_of_the_target() -> None:
    for spec in [*REFERENCES, "exponential:scale=-1+polynomial:p=2.5"]:
        target = parse_target(spec)
        alone, against_nothing = target_norm(target), kernel_norm(target, [0.0], [-1.0])
        assert abs(alone.value - against_nothing.value) <= alone.error + against_nothing.error
    # (1+t)^{-1.5} - (1+t)^{-2}: L¹ norm 2 - 1, and twice its maximum 27/64 - 81/256 at 1 + t = 16/9.
    estimate = target_norm(parse_target("polynomial:p=1.5+polynomial:p=2:scale=-1"))
    assert abs(estimate.value - (1 + 27 / 128)) <= estimate.error <= 1e-13


def test_time_scales_far_apart() -> None:
    estimate = kernel_norm(NOTHING, [1.0, 1.0, 1.0], [-1e-8, -1.0, -1e8])
    assert estimate.value == pytest.approx(1e8 + 1 + 1e-8 + 6, rel=1e-13)
    slow = kernel_norm(parse_target("exponential"), [1.0], [-1e-9])
    # e = e^{-t} - e^{-1e-9 t} < 0, from 0 down to almost -1 at t0 = log(1e9)/(1 - 1e-9), and back.
    peak = 1e-9 ** (1 / (1 - 1e-9)) - 1e-9 ** (1e-9 / (1 - 1e-9))
    assert slow.value == pytest.approx(1e9 - 1 + 2 * abs(peak), rel=1e-13)


def test_a_csv_kernel_and_a_callable() -> None:
    times = np.linspace(0, 5, 21)
    kernel = Samples(times, np.cos(times))
    estimate = kernel_norm(kernel, [0.5, -0.2], [-1.0, -0.3])

    def rho(t: mpmath.mpf) -> mpmath.mpf:
        i = min(int(t * 4), 19)
        if t >= 5:
            return mpmath.mpf(0)
        a, b = (mpmath.mpf(float(np.cos(times[j]))) for j in (i, i + 1))
        return a + (b - a) * (t * 4 - i)

    def slope(t: mpmath.mpf) -> mpmath.mpf:
        i = min(int(t * 4), 19)
        return mpmath.mpf(0) if t >= 5 else 4 * mpmath.mpf(float(np.cos(times[i + 1]) - np.cos(times[i])))

    breaks = [(float(x), 0.0) for x in times[1:]]
    with mpmath.workdps(30):
        model = np.array([0.5, -0.2]), np.array([-1.0, -0.3])
        exact = reference_norm(rho, slope, breaks, lambda x: mpmath.mpf(0), *model)
    assert abs(estimate.value - exact) <= estimate.error + 1e-15
    closed = parse_target("polynomial:p=2")
    tails = {"tail": closed.tail, "tail_variation": closed.tail_variation}
    for slope_given in (closed.slope, None):
        same = callable_target(closed.rho, slope_given, **tails)
        value = kernel_norm(same, [0.5, -0.2], [-1.0, -0.3]).value
        assert value == pytest.approx(kernel_norm(closed, [0.5, -0.2], [-1.0, -0.3]).value, rel=1e-11)


KERNEL_SPECS = st.sampled_from(["exponential:rate=0.7", "polynomial:p=1.5", "shift:start=1:end=3", "two-part"])


@settings(max_examples=25, deadline=None)
@given(KERNEL_SPECS, st.integers(0, 2**32 - 1), st.booleans())
def test_kernel_norm_properties(spec: str, seed: int, oscillating: bool) -> None:
    target, rng = parse_target(spec), np.random.default_rng(seed)
    lam = -np.exp(rng.uniform(-4, 3, 5)) * (1 + (1j * rng.uniform(0, 3, 5) if oscillating else 0))
    c = rng.standard_normal(5) * (1 + (1j if oscillating else 0))
    estimate = kernel_norm(target, c, lam)
    order = rng.permutation(5)
    permuted = kernel_norm(target, c[order], lam[order])
    assert abs(permuted.value - estimate.value) <= permuted.error + estimate.error
    model = kernel_norm(NOTHING, c, lam)
    own = target_norm(target)
    slack = estimate.error + model.error + own.error
    assert abs(own.value - model.value) - slack <= estimate.value <= own.value + model.value + slack
    # Two equal inputs count twice; opposite signs of everything change nothing.
    twice = kernel_norm([target, target], np.stack([c, c], axis=1), lam)
    assert twice.value == pytest.approx(2 * estimate.value, rel=1e-15)
    negative = kernel_norm(parse_target(f"{spec}:scale=-1"), -c, lam)
    assert abs(negative.value - estimate.value) <= negative.error + estimate.error
    if spec.startswith("exponential"):  # ρ(2t) has half the L¹ norm
        faster = kernel_norms(parse_target("exponential:rate=1.4"), c[None], 2 * lam[None])
        slower = kernel_norms(target, c[None], lam[None])
        assert faster.size[0] == pytest.approx(slower.size[0] / 2, rel=1e-11)
        assert faster.change[0] == pytest.approx(slower.change[0], rel=1e-11)


def test_batched_equals_looped() -> None:
    rng = np.random.default_rng(3)
    lam, c = -np.exp(rng.uniform(-5, 4, (7, 6))), rng.standard_normal((7, 6))
    target = parse_target("polynomial:p=1.3")
    batch = kernel_norms(target, c, lam)
    looped = [kernel_norm(target, *pair) for pair in zip(c, lam, strict=True)]
    together = batch.size + batch.change
    assert np.allclose(together, [one.value for one in looped], rtol=1e-13, atol=0)
    chunked = kernel_norms(target, np.tile(c, (300, 1)), np.tile(lam, (300, 1)))
    assert np.allclose(chunked.size.reshape(300, 7), batch.size, rtol=1e-13, atol=0)


def test_the_sum_of_exponentials_alone_agrees_with_its_own_method() -> None:
    rng = np.random.default_rng(5)
    for _ in range(5):
        lam, c = -np.exp(rng.uniform(-5, 5, 12)), rng.standard_normal(12)
        one, other = kernel_norm(NOTHING, c, lam), w1inf_estimate(c, lam)
        assert abs(one.value - other.value) <= one.error + other.error


@pytest.mark.parametrize(
    ("target", "c", "lam", "message"),
    [
        ("polynomial:p=1", [1.0], [-1.0], "L1 norm is infinite, since p = 1"),
        ("sine", [1.0], [-1.0], "does not decay"),
        ("exponential", [1.0], [0.0], "lam must be finite with negative real part"),
        ("exponential", [1.0], [1j], "lam must be finite with negative real part"),
        ("exponential", [np.nan], [-1.0], "coefficients must be finite"),
        ("exponential", [1.0, 2.0], [-1.0], "coefficients must have shape"),
        ("exponential", [1j], [-1.0], "coefficients are complex"),
        ("exponential", [1.0], [-1e-6 + 1e3j], "oscillations need"),
    ],
)
def test_bad_kernel_differences(target: str, c: list[complex], lam: list[complex], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        kernel_norm(parse_target(target), c, lam)
    assert "\n" not in str(caught.value)


def test_one_target_for_each_input() -> None:
    with pytest.raises(ValueError, match=r"shape \(m, 2\)"):
        kernel_norm([NOTHING, NOTHING], [1.0], [-1.0])
    with pytest.raises(ValueError, match="targets must not be empty"):
        kernel_norm([], [1.0], [-1.0])


# --- discrete time --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lam", [0.0, 0.5, -0.5, 0.999, -0.999, 0.99999])
def test_one_power(lam: float) -> None:
    """Σ |λ|^k + 1 + |λ - 1| Σ |λ|^k."""
    estimate = sequence_norm(NOTHING, [1.0], [lam])
    exact = (1 + abs(lam - 1)) / (1 - abs(lam)) + 1
    assert abs(estimate.value - exact) <= estimate.error + 4 * EPS * exact
    assert estimate.error <= 1e-13 * exact
    assert sequence_norm([0.0, 0.0], [1.0], [lam]).value == pytest.approx(exact, rel=1e-13)


@pytest.mark.parametrize("spec", ["polynomial:p=1.5", "exponential:rate=0.2", "two-part", "shift", "airy"])
@pytest.mark.parametrize("step", [1.0, 0.5])
def test_sequence_norm(spec: str, step: float) -> None:
    """600 terms at 30 digits; beyond them the model is below 1e-27 and ρ a decreasing tail."""
    c, lam = np.array([0.7 - 0.1j, 0.2, -0.3j]), np.array([0.9, -0.6, 0.5 + 0.6j])
    target = parse_target(spec)
    estimate = sequence_norm(target, c, lam, step)
    with mpmath.workdps(30):
        rho = REFERENCES.get(spec, (lambda t: mpmath.exp(-t * mpmath.mpf("0.2")),))[0]
        terms = [(mpmath.mpmathify(x), mpmath.mpmathify(y)) for x, y in zip(c.tolist(), lam.tolist(), strict=True)]
        e = [rho(mpmath.mpf(k * step)) - 2 * mpmath.re(sum(x * y**k for x, y in terms)) for k in range(600)]
        exact = sum(map(abs, e)) + abs(e[0]) + sum(abs(b - a) for a, b in pairwise(e)) + rho(mpmath.mpf(599 * step))
        if spec == "polynomial:p=1.5":  # Σ (1 + k·step)^{-1.5}, Euler-Maclaurin to the third derivative
            x = 1 + 600 * mpmath.mpf(step)
            exact += 2 / (step * mpmath.sqrt(x)) + x**-1.5 / 2 + step * 1.5 * x**-2.5 / 12
            exact -= mpmath.mpf(step) ** 3 * 1.5 * 2.5 * 3.5 * x**-4.5 / 720
        if spec == "exponential:rate=0.2":
            exact += mpmath.exp(-120 * mpmath.mpf(step)) / (1 - mpmath.exp(-mpmath.mpf(step) / 5))
    assert abs(estimate.value - exact) <= estimate.error + 1e-13
    assert estimate.error <= 1e-11 * estimate.value


def test_sequences_given_as_arrays_and_several_inputs() -> None:
    rho = [np.array([1.0, 0.5, -0.25]), np.array([0.3])]
    c, lam = np.array([[0.5, 1.0], [0.1, -1.0]]), np.array([0.8, -0.3])
    k = np.arange(400)
    exact = 0.0
    for i in range(2):
        e = np.pad(rho[i], (0, 400 - len(rho[i]))) - (lam[:, None] ** k).T @ c[:, i]
        exact += np.sum(np.abs(e)) + np.sum(np.abs(np.diff(e, prepend=0)))
    assert sequence_norm(rho, c, lam).value == pytest.approx(exact, rel=1e-14)
    # A long array that ends with a value falls to 0 after it.
    assert sequence_norm(np.ones(1000), [0.0], [0.5]).value == pytest.approx(1002, rel=1e-14)


@pytest.mark.parametrize("lam", [1 - 1e-5, -1 + 1e-5, 1 - 1e-10])
def test_slow_powers(lam: float) -> None:
    """Negative ones are summed one by one, in chunks; positive ones by ranges."""
    other = 0.5 if lam > 0 else -0.5
    estimate = sequence_norm(NOTHING, [1.0, 0.5], [lam, other])
    change = 1.5 + (1 - lam) * 1 / (1 - abs(lam)) + 0.5 * (1 - other) / 0.5
    assert estimate.value == pytest.approx(1 / (1 - abs(lam)) + 1 + change, rel=1e-11)


@pytest.mark.parametrize("step", [1.0, 0.01])
@pytest.mark.parametrize("spec", ["polynomial:p=1.5", "exponential:rate=0.01+shift", "two-part", "airy"])
def test_ranges_equal_single_terms(spec: str, step: float, monkeypatch: pytest.MonkeyPatch) -> None:
    c, lam = np.array([0.3, -0.02, 0.004, -0.2]), 1 - np.array([2e-2, 1e-3, 4e-5, 1.4])
    target = parse_target(spec)
    by_ranges = sequence_norm(target, c, lam, step)
    monkeypatch.setattr("numerics.sequence_norms._FEW_TERMS", 2**26)
    one_by_one = sequence_norm(target, c, lam, step)
    assert abs(by_ranges.value - one_by_one.value) <= by_ranges.error + one_by_one.error


@pytest.mark.parametrize(
    ("c", "lam", "message"),
    [
        ([1.0], [1.0], "inside the unit circle"),
        ([1.0], [-1.5], "inside the unit circle"),
        ([1.0], [np.nan], "inside the unit circle"),
        ([np.inf], [0.5], "coefficients must be finite"),
        ([1j], [0.5], "coefficients are complex"),
        ([1.0, 1.0], [0.5], "coefficients must have shape"),
        ([1.0], [1e-9 - 1.0], "at most 67108864 are summed"),
        ([1.0], [1 - 1e-16], "terms, at most"),
    ],
)
def test_bad_sequences(c: list[complex], lam: list[complex], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sequence_norm(parse_target("exponential"), c, lam)


def test_bad_sequence_targets() -> None:
    with pytest.raises(ValueError, match="L1 norm is infinite"):
        sequence_norm(parse_target("polynomial:p=1"), [1.0], [0.5])
    with pytest.raises(ValueError, match="step must be"):
        sequence_norm(NOTHING, [1.0], [0.5], step=0.0)
    with pytest.raises(ValueError, match="a target must be"):
        sequence_norm([np.nan, 1.0], [1.0], [0.5])


def test_panels_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    c, lam = np.array([0.5, -0.2j, 1.0]), np.array([-0.1 + 3j, -0.5 + 1j, -2.0])
    target = parse_target("polynomial:p=1.5+shift")
    whole = kernel_norm(target, c, lam)
    monkeypatch.setattr("numerics.kernel_norms._CHUNK", 500)
    parts = kernel_norm(target, c, lam)
    assert abs(parts.value - whole.value) <= whole.error


def test_a_jump_at_the_end_of_the_last_panel() -> None:
    """One mode of rate 1 and the first panel of length 1: the last panel ends at 64, and so does the kernel."""
    target = parse_target("shift:start=0:end=64")
    assert panel_ends(target, np.array([[-1.0]]))[-1] in (64.0, 128.0)
    for rate in (1.0, 0.5, 2.0):
        estimate = kernel_norm(target, [0.0, 1.0], [-rate, -rate])
        # e = 1 - e^{-rt} rises from 0 to 1 and falls back at 64.
        exact = 64 - (1 - np.exp(-64 * rate)) / rate + 2 * (1 - np.exp(-64 * rate)) + 2 * np.exp(-64 * rate)
        assert estimate.value == pytest.approx(exact, rel=1e-14)
