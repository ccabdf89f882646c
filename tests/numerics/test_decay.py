"""The decay estimator: curves with a known truth, windows that cannot tell, invariances, coverage, bad arguments."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics.decay import DecayEstimate, _curvature, _tail, estimate_decay

LINEAR = np.linspace(0, 40, 200)
LOGARITHMIC = np.geomspace(0.1, 1e4, 200)
STEPS = np.arange(200.0)
ROUNDING = 1e-12  # 200 values of relative accuracy 1e-15 over at least three e-folds, with room


def within(truth: float, interval: tuple[float, float] | None) -> bool:
    return interval is not None and interval[0] <= truth <= interval[1]


@pytest.mark.parametrize("rate", [1e-3, 0.7, 50.0])
def test_exponentials_are_exact(rate: float) -> None:
    times = 28 / rate * np.linspace(0, 1, 200)
    found = estimate_decay(times, 3 * np.exp(-rate * times))
    assert (found.kind, found.verdict, found.exponent) == ("exponential", "SUPPORTED", None)
    assert found.rate == pytest.approx(rate, rel=ROUNDING)
    assert within(rate, found.rate_interval)
    assert found.e_folds == pytest.approx(28)


@pytest.mark.parametrize("exponent", [0.3, 1.1, 1.5, 4.0, 30.0])
@pytest.mark.parametrize("shift", [1.0, 10.0])
def test_shifted_power_laws_are_exact(exponent: float, shift: float) -> None:
    found = estimate_decay(LOGARITHMIC, (1 + LOGARITHMIC / shift) ** -exponent)
    assert (found.kind, found.verdict, found.rate) == ("polynomial", "SUPPORTED", None)
    assert found.exponent == pytest.approx(exponent, rel=ROUNDING)
    assert within(exponent, found.exponent_interval)
    assert found.growth == pytest.approx(math.log((1e4 + shift) / (0.1 + shift)))


def test_a_power_law_on_the_integers() -> None:
    found = estimate_decay(STEPS, (1 + STEPS) ** -1.5)
    assert found.kind == "polynomial"
    assert found.exponent == pytest.approx(1.5, rel=ROUNDING)


@pytest.mark.parametrize(
    ("times", "values", "rate"),
    [
        (LINEAR, LINEAR * np.exp(-LINEAR), 1.0),
        (LINEAR, LINEAR**3 * np.exp(-LINEAR), 1.0),
        (LINEAR, (1 + LINEAR) ** -0.5 * np.exp(-LINEAR), 1.0),
        (LINEAR, np.exp(-LINEAR) + np.exp(-0.5 * LINEAR), 0.5),
        (25 * LINEAR, np.exp(-25 * LINEAR) + 0.01 * np.exp(-0.25 * LINEAR), 0.01),
        (LOGARITHMIC, sum(4.0 ** (-1.5 * j) * np.exp(-(4.0**-j) * LOGARITHMIC) for j in range(5)), 4.0**-4),
        (np.arange(2000.0), np.exp(-np.arange(2000.0)), 1.0),  # underflows at 745
    ],
)
def test_exponentials_with_company(times: np.ndarray, values: np.ndarray, rate: float) -> None:
    found = estimate_decay(times, values)
    assert found.kind == "exponential"
    assert within(rate, found.rate_interval)


def test_oscillations_are_judged_by_their_envelope() -> None:
    times = np.linspace(0, 30, 3000)
    found = estimate_decay(times, np.exp(-times) * np.cos(5 * times))
    assert found.kind == "exponential"
    assert within(1.0, found.rate_interval)
    assert found.rate == pytest.approx(1, abs=1e-3)  # each sampled peak is low by at most (5·0.01)²/8
    sampled = estimate_decay(STEPS, np.exp(-0.1 * STEPS) * np.cos(1.3 * STEPS))
    assert sampled.kind == "exponential"
    assert within(0.1, sampled.rate_interval)
    waves = estimate_decay(LOGARITHMIC, (1 + LOGARITHMIC) ** -1.5 * np.cos(20 * np.log(LOGARITHMIC)))
    assert waves.kind == "polynomial"
    assert within(1.5, waves.exponent_interval)


@pytest.mark.parametrize(
    ("times", "values", "reason"),
    [
        (LINEAR, np.ones_like(LINEAR), "fall only by the factor 1 "),
        (LINEAR, np.exp(LINEAR), "do not decay"),
        (LINEAR, np.zeros_like(LINEAR), "no value is above"),
        (LINEAR, np.maximum(1 - LINEAR / 20, 0), "vanish after t = 19.8"),
        (STEPS, np.where(STEPS < 4, 1.0, 0.0), "vanish after t = 3"),
        (LINEAR[:5], np.exp(-LINEAR[:5]), "only 5 usable values"),
        (LINEAR / 4, np.exp(-((LINEAR / 4) ** 2)), "faster than an exponential"),
        (LOGARITHMIC, np.exp(-np.sqrt(LOGARITHMIC)), "not steadily"),
        (LOGARITHMIC, np.exp(-(LOGARITHMIC**0.25)), "not steadily"),
        (LOGARITHMIC, np.exp(-(np.log1p(LOGARITHMIC) ** 2)), "not steadily"),
        (LINEAR, np.exp(-LINEAR) + 0.01 * np.exp(-0.01 * LINEAR), "not steadily"),
        (LINEAR, (1 + LINEAR / 100) ** -100, "time scale grows by the factor 1.4 "),
        (LINEAR / 40, (1 + LINEAR / 40) ** -1.5, "fall only by the factor 2.83"),
    ],
)
def test_windows_that_cannot_tell(times: np.ndarray, values: np.ndarray, reason: str) -> None:
    found = estimate_decay(times, values)
    assert (found.kind, found.verdict) == (None, "INCONCLUSIVE")
    assert found.rate is found.exponent is found.rate_interval is found.exponent_interval is None
    assert reason in found.reason
    assert "\n" not in found.reason


def test_the_error_floor_ends_the_window() -> None:
    rng = np.random.default_rng(0)
    values = np.exp(-LINEAR) + 1e-6 * rng.uniform(-1, 1, size=LINEAR.size)
    found = estimate_decay(LINEAR, values, errors=1e-6)
    assert found.kind == "exponential"
    assert within(1.0, found.rate_interval)
    assert found.window[1] == pytest.approx(math.log(1e6 / 4), abs=1)
    assert estimate_decay(LINEAR, values).kind is None


def test_noise_that_hides_the_curvature_is_reported() -> None:
    rng = np.random.default_rng(1)
    times = np.linspace(0, 3.2, 12)
    values = np.exp(-times) * np.exp(0.2 * rng.normal(size=12))
    assert "noise" in estimate_decay(times, values, errors=0.2 * values).reason


def random_curve(rng: np.random.Generator) -> tuple[str, float, np.ndarray, np.ndarray, np.ndarray | None]:
    """A kind of decay, its truth, times, values and perhaps errors: exact curves, corrections of order 1/t, noise."""
    noise, count = float(rng.choice([0, 1e-3, 1e-2, 3e-2])), int(rng.choice([30, 100, 300]))
    if rng.random() < 0.5:
        kind, truth = "exponential", 10 ** rng.uniform(-2, 2)
        z = np.linspace(0, rng.uniform(5, 30), count)
        slower = [
            np.ones_like(z),
            z,
            (1 + z) ** rng.uniform(-1, 1),
            1 + rng.uniform(0.1, 3) * np.exp(-rng.uniform(0.5, 3) * z),
        ]
        times, values = z / truth, np.exp(-z) * slower[rng.integers(4)]
    else:
        kind, truth = "polynomial", rng.uniform(1.05, 4)
        z = np.geomspace(0.1, 10 ** rng.uniform(1, 4), count)
        times = z * 10 ** rng.uniform(-2, 2)
        values = (1 + z) ** -truth + rng.choice([0, rng.uniform(0, 2)]) * (1 + z) ** (-truth - 1)
    values = values * np.exp(noise * rng.normal(size=count))
    return kind, truth, times, values, noise * values if noise and rng.random() < 0.5 else None


@pytest.mark.slow
def test_coverage_of_the_intervals() -> None:
    # If at most 95 % of the answers were right, 80 of them would all be right in 1.7 % of the runs.
    rng, answers = np.random.default_rng(2), 0
    for _ in range(100):
        kind, truth, times, values, errors = random_curve(rng)
        found = estimate_decay(times, values, errors=errors)
        if found.kind:
            answers += 1
            assert found.kind == kind
            assert within(truth, found.rate_interval or found.exponent_interval)
    assert answers >= 80


@settings(max_examples=15)
@given(st.floats(0.5, 3), st.floats(-6, 6), st.floats(-6, 6), st.sampled_from(["exponential", "polynomial"]))
def test_scaling(truth: float, height: float, stretch: float, kind: str) -> None:
    times = np.linspace(0, 10, 60) if kind == "exponential" else np.geomspace(0.1, 100, 60)
    values = np.exp(-truth * times) if kind == "exponential" else (1 + times) ** -truth
    first = estimate_decay(times, values)
    second = estimate_decay(10**stretch * times, 10**height * values)
    assert first.kind == second.kind == kind
    if kind == "exponential":
        assert second.rate == pytest.approx(first.rate / 10**stretch, rel=ROUNDING)
    else:
        assert second.exponent == pytest.approx(first.exponent, rel=ROUNDING)
    assert second.growth == pytest.approx(first.growth, abs=ROUNDING)


def test_scaling_of_an_inexact_curve() -> None:
    values = LINEAR * np.exp(-LINEAR)
    first, second = estimate_decay(LINEAR, values), estimate_decay(100 * LINEAR, 1e-5 * values)
    assert np.array(second.rate_interval) * 100 == pytest.approx(first.rate_interval, rel=1e-6)


def test_curvature_against_its_definition() -> None:
    # κ = u''/u'² by central differences of u at the middle of a short window.
    def u(t: float) -> float:
        return -1.3 * math.log(t + 2) - 0.2 * t

    step = 1e-3
    slope = (u(5 + step) - u(5 - step)) / (2 * step)
    second = (u(5 + step) - 2 * u(5) + u(5 - step)) / step**2
    times = np.linspace(4.9, 5.1, 41)
    curve = _tail(times, np.exp([u(t) for t in times]), np.zeros(41))
    assert not isinstance(curve, str)
    assert _curvature(curve).value == pytest.approx(second / slope**2, rel=1e-3)


def test_arguments_are_not_changed() -> None:
    times, values = LINEAR.copy(), -np.exp(-LINEAR)
    before = values.copy()
    found = estimate_decay(times, values)
    assert isinstance(found, DecayEstimate)
    assert found.kind == "exponential"  # absolute values
    assert np.array_equal(times, LINEAR)
    assert np.array_equal(values, before)


def test_bad_arguments() -> None:
    good = np.exp(-LINEAR)
    with pytest.raises(ValueError, match="one length, got shapes"):
        estimate_decay(LINEAR, good[:-1])
    with pytest.raises(ValueError, match="at least one is needed"):
        estimate_decay([], [])
    for times in (-1 - LINEAR[::-1], np.zeros_like(LINEAR), np.full_like(LINEAR, np.nan)):
        with pytest.raises(ValueError, match="times: must be finite, at least 0 and increasing"):
            estimate_decay(times, good)
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="values: must be finite"):
            estimate_decay(LINEAR, np.where(LINEAR > 3, bad, good))
    for errors in (-1.0, np.nan, good[:-1]):
        with pytest.raises(ValueError, match="errors: a number or"):
            estimate_decay(LINEAR, good, errors=errors)


def test_values_that_fall_in_steps() -> None:
    times = np.arange(1.0, 60.0)
    found = estimate_decay(times, np.exp(-np.floor(times / 5)))
    assert found.verdict == "INCONCLUSIVE"


@pytest.mark.parametrize("name", ["times", "values", "errors"])
@pytest.mark.parametrize("bad", ["a", [[1.0], [1.0, 2.0]], 1j * np.ones(20), [10**400] * 20])
def test_arguments_that_are_no_real_numbers(name: str, bad: object) -> None:
    arguments: dict[str, Any] = {"times": np.arange(20.0), "values": np.exp(-np.arange(20.0)), "errors": 0.0, name: bad}
    with pytest.raises(ValueError, match=f"^{name}: an array of real numbers") as caught:
        estimate_decay(arguments["times"], arguments["values"], errors=arguments["errors"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "times", [np.r_[0:50:1.0, np.nan], np.r_[0:200:1.0, 5.0], np.r_[-1.0, 0:50:1.0], 1e-310 * np.arange(1, 50)]
)
def test_bad_times_in_one_line(times: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"^times: ") as caught:
        estimate_decay(times, np.ones(len(times)))
    assert "\n" not in str(caught.value)


def test_peaks_of_three_heights_do_not_overflow() -> None:
    """Three kinds of peaks: on its way the search for the best curvature tries absurd time scales."""
    times = np.array([4.0, 7, 9, 12, 15, 17, 20, 23, 25, 28, 31, 33, 36, 39])
    heights = np.tile([0.44202516, 0.62222704, 1.85418603], 5)[:14]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = estimate_decay(times, heights * np.exp(-0.3113436105988292 * times), errors=1e-15)
    assert found.verdict == "INCONCLUSIVE"
    assert "noise" in found.reason
