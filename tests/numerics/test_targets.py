"""Target kernels: against mpmath at 30 digits, their own definitions, and bad input."""

import math
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics.targets import (
    Exponential,
    Polynomial,
    Samples,
    Target,
    TargetSum,
    callable_target,
    parse_target,
    parse_targets,
    read_csv,
)
from theory.notation import t as time_symbol

Kernel = Callable[[mpmath.mpf], mpmath.mpf]
TIMES = [0.0, 1e-6, 0.3, 1.0, 3.7, 8.9, 10.0, 12.5, 30.0]

# For each spec: ρ, its jumps, and approximate times of the sign changes of ρ and of ρ'.
KERNELS: dict[str, tuple[Kernel, list[float], list[float], list[float]]] = {
    "exponential": (lambda t: mpmath.exp(-t), [], [], []),
    "exponential:rate=2.5:scale=-3": (lambda t: -3 * mpmath.exp(-2.5 * t), [], [], []),
    "polynomial:p=1.5": (lambda t: (1 + t) ** -1.5, [], [], []),
    "polynomial:p=2.25:s=10:scale=0.5": (lambda t: 0.5 * (1 + t / 10) ** -2.25, [], [], []),
    "shift": (lambda t: mpmath.mpf(9 < t < 11), [9, 11], [], []),
    "shift:start=0:end=2:scale=-2": (lambda t: mpmath.mpf(-2 if 0 < t < 2 else 0), [2], [], []),
    "two-part": (lambda t: mpmath.exp(-t) + mpmath.exp(-((t - 9) ** 2)), [], [], [6.19, 8.9999]),
    "airy": (lambda t: mpmath.airyai(t - 6), [], [0.479, 1.912, 3.662], [1.18, 2.752, 4.981]),
    "exponential:rate=2+polynomial:p=3": (lambda t: mpmath.exp(-2 * t) + (1 + t) ** -3, [], [], []),
}


def reference(spec: str, start: float) -> tuple[mpmath.mpf, mpmath.mpf]:
    """∫_start^∞ |ρ| by quadrature between sign changes, and the variation of ρ on (start, ∞) from its extrema."""
    rho, jumps, zeros, extrema = KERNELS[spec]
    if jumps:
        begin = max(start, jumps[0]) if len(jumps) > 1 else start
        height = abs(rho(mpmath.mpf(jumps[-1]) - 1))
        return height * max(0, jumps[-1] - begin), height * sum(x > start for x in jumps)
    cuts = [mpmath.findroot(rho, x) for x in zeros]
    turns = [mpmath.findroot(lambda t: mpmath.diff(rho, t), x) for x in extrema]
    ends = [mpmath.mpf(start), *sorted(x for x in (*cuts, 9, *range(start.__ceil__() + 1, 40, 4)) if x > start)]
    scale = max(abs(rho(mpmath.mpf(start))), mpmath.mpf(10) ** -20) if start > 12 else 1  # the quadrature is absolute
    size = sum(abs(mpmath.quad(lambda t: rho(t) / scale, pair)) for pair in pairwise(ends))
    far = [mpmath.log(ends[-1]), mpmath.log(60), mpmath.log(100), 10, 40, 200, 400]
    size += abs(mpmath.quad(lambda x: rho(mpmath.exp(x)) / scale * mpmath.exp(x), far))
    values = [*(rho(x) for x in (mpmath.mpf(start), *sorted(x for x in turns if x > start))), mpmath.mpf(0)]
    return size * scale, sum(abs(b - a) for a, b in pairwise(values))


@pytest.mark.parametrize("spec", KERNELS)
def test_values_slopes_and_the_expression(spec: str) -> None:
    target, (rho, kinks, _, _) = parse_target(spec), KERNELS[spec]
    values, slopes = target.rho(TIMES), target.slope(np.array(TIMES))
    formula = sp.lambdify(time_symbol, target.expression, "mpmath")
    with mpmath.workdps(30):
        for time, value, slope in zip(TIMES, values, slopes, strict=True):
            exact = rho(mpmath.mpf(time))
            scale = max(abs(exact), 0.6 * float(spec == "airy"))  # near a zero of Ai its amplitude matters
            assert abs(value - exact) <= 2e-15 * (1 + time) * scale
            if not (kinks and time == 0):  # Heaviside(0) is anything
                assert abs(formula(mpmath.mpf(time)) - exact) <= 1e-25 + 1e-16 * abs(exact)
            if not any(abs(time - kink) < 1e-9 for kink in (*kinks, *([0.0] if kinks else []))):
                derivative = mpmath.diff(rho, mpmath.mpf(time), direction=1 if time < 1e-3 else 0)
                assert abs(slope - derivative) <= 1e-14 * (1 + time) * max(scale, abs(derivative))


@pytest.mark.parametrize("start", [0.0, 0.7, 9.5, 25.0])
@pytest.mark.parametrize("spec", KERNELS)
def test_tails_contain_the_true_integrals_and_are_narrow(spec: str, start: float) -> None:
    target = parse_target(spec)
    with mpmath.workdps(30):
        size, change = reference(spec, start)
        for bounds, exact in ((target.tail(start), size), (target.tail_variation(start), change)):
            assert bounds.lower <= exact * (1 + mpmath.mpf(10) ** -20)
            assert bounds.upper >= exact * (1 - mpmath.mpf(10) ** -20)
            assert bounds.upper - bounds.lower <= 1e-14 * bounds.upper + 1e-280


@pytest.mark.parametrize("spec", [spec for spec in KERNELS if "shift" not in spec])
def test_first_moment(spec: str) -> None:
    target, rho = parse_target(spec), KERNELS[spec][0]
    if spec == "polynomial:p=1.5":
        assert target.first_moment == np.inf
        return
    with mpmath.workdps(30):
        ends = [0, 2, 4, 6, 8, 10, 12, 20, 40]
        exact = mpmath.quad(lambda t: t * rho(t), ends)
        exact += mpmath.quad(lambda x: rho(mpmath.exp(x)) * mpmath.exp(2 * x), [mpmath.log(40), 40, 200, 400])
    assert target.first_moment == pytest.approx(float(exact), rel=1e-13)


def test_first_moments_without_quadrature() -> None:
    assert parse_target("shift").first_moment == 20
    assert parse_target("shift+exponential:scale=2").first_moment == 22
    assert parse_target("polynomial:p=2:scale=-1").first_moment == -np.inf
    assert np.isnan(parse_target("polynomial:p=2+polynomial:p=1.5:scale=-1").first_moment)
    assert np.isnan(parse_target("sine").first_moment)


def test_mixed_signs_are_enclosed() -> None:
    """ρ = (1+t)^{-2.5} - e^{-t}: below 0 up to a time t0, then above."""
    target = parse_target("polynomial:p=2.5+exponential:scale=-1")
    with mpmath.workdps(30):
        rho = lambda t: (1 + t) ** mpmath.mpf(-2.5) - mpmath.exp(-t)  # noqa: E731
        primitive = lambda t: -((1 + t) ** mpmath.mpf(-1.5)) / 1.5 + mpmath.exp(-t)  # noqa: E731
        zero = mpmath.findroot(rho, (2, 4), solver="anderson")
        for start in (0.0, 1.0, 10.0, 30.0):
            cuts = [mpmath.mpf(start), *([zero] if zero > start else [])]
            values = [*map(primitive, cuts), mpmath.mpf(0)]
            exact = sum(abs(b - a) for a, b in pairwise(values))
            bounds = target.tail(start)
            assert bounds.lower <= exact <= bounds.upper
            assert target.tail_variation(start).upper >= abs(target.right_limit(start)) - 1e-15
    far = target.tail(100.0)
    assert far.upper - far.lower <= 1e-14 * far.upper


@pytest.mark.parametrize("spec", ["exponential:rate=0.3", "polynomial:p=1.5:s=2", "two-part", "shift", "airy"])
@pytest.mark.parametrize("step", [1.0, 0.25])
def test_sampled_tails(spec: str, step: float) -> None:
    target = parse_target(spec)
    k = np.arange(3, 4_000_003)
    terms = np.abs(target.rho(k * step))
    beyond = target.tail((k[-1] + 0.5) * step).upper / step  # the midpoint rule, exact to step² ρ'/24
    exact = np.sum(terms) + beyond
    bounds = target.sampled_tail(3, step)
    assert bounds.lower <= exact * (1 + 1e-12)
    assert bounds.upper >= exact * (1 - 1e-12)
    if spec in ("exponential:rate=0.3", "polynomial:p=1.5:s=2", "shift"):
        assert bounds.upper - bounds.lower <= 1e-13 * bounds.upper


@pytest.mark.parametrize(
    "spec", ["exponential:rate=2", "polynomial:p=1.1:s=10", "polynomial:p=0.5", "polynomial:p=3+exponential"]
)
def test_the_spectral_measure_gives_the_kernel_back(spec: str) -> None:
    target = parse_target(spec)
    assert target.completely_monotone
    measure = target.measure
    assert measure is not None
    with mpmath.workdps(30):
        for time in (0.0, 0.5, 20.0):
            total = mpmath.fsum(weight * mpmath.exp(-rate * time) for rate, weight in measure.atoms)
            for density in measure.densities:
                p, s = mpmath.mpf(density.p), mpmath.mpf(density.s)

                def integrand(x: mpmath.mpf, p: mpmath.mpf = p, s: mpmath.mpf = s, time: float = time) -> mpmath.mpf:
                    rate = mpmath.exp(x)  # in log s, where the integrand decays on both sides
                    return mpmath.exp(-rate * time) * (s * rate) ** p * mpmath.exp(-s * rate) / mpmath.gamma(p)

                total += density.scale * mpmath.quad(integrand, [-200, -60, -20, -10, -5, -2, 0, 2, 6])
            assert abs(total - target.rho(time)) <= 1e-14 * total


def test_who_is_completely_monotone() -> None:
    no = ["shift", "two-part", "airy", "sine", "exponential:scale=-1", "exponential+shift", "polynomial:p=2:scale=-1"]
    assert not any(parse_target(spec).completely_monotone for spec in no)
    assert parse_target("exponential:rate=3:scale=0.5+polynomial:p=1.5").completely_monotone


def test_decay_classes() -> None:
    def decay(spec: str) -> tuple[str, float | None]:
        found = parse_target(spec).decay
        return found.kind, found.exponent if found.exponent is not None else found.rate

    assert decay("exponential:rate=2") == ("exponential", 2)
    assert decay("polynomial:p=1.5") == ("polynomial", 1.5)
    assert decay("shift") == ("compact", None)
    assert decay("two-part") == ("exponential", 1)
    assert decay("airy+shift") == ("superexponential", None)
    assert decay("sine+shift") == ("none", None)
    assert decay("exponential:rate=3+exponential:rate=0.5+shift") == ("exponential", 0.5)
    assert decay("exponential+polynomial:p=3+polynomial:p=2") == ("polynomial", 2)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("polynomial:p=1", "p = 1 "),
        ("polynomial:p=0.5:s=10", "p = 0.5 "),
        ("sine", "does not decay"),
        ("exponential+polynomial:p=0.9", "p = 0.9 "),
    ],
)
def test_kernels_that_are_not_integrable_say_so(spec: str, reason: str) -> None:
    target = parse_target(spec)
    assert not target.is_integrable
    assert target.tail(3.0).upper == np.inf
    with pytest.raises(ValueError, match=rf"L1 norm is infinite, since .*{reason}"):
        target.require_integrable()


# --- the grammar ----------------------------------------------------------------------------------------------------

NUMBERS = st.floats(1e-3, 1e3)
SPECS = st.one_of(
    st.builds(lambda r, c: Exponential(r, c), NUMBERS, st.floats(-100, 100)),
    st.builds(lambda p, s, c: Polynomial(p, s, c), NUMBERS, NUMBERS, st.floats(-100, 100)),
    st.sampled_from([parse_target(spec) for spec in ("shift", "two-part:scale=-1", "airy", "sine:omega=2.5")]),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(SPECS, min_size=1, max_size=4))
def test_a_spec_is_read_back(terms: list[Target]) -> None:
    target = terms[0] if len(terms) == 1 else TargetSum(tuple(terms))
    assert parse_target(target.spec) == target
    assert parse_targets(f"{target.spec}, shift") == [target, parse_target("shift")]
    times = np.array([0.0, 1.0, 10.0])
    assert np.allclose(target.rho(times), sum(term.rho(times) for term in terms), rtol=0, atol=1e-12)


def test_plus_signs_in_numbers_and_blanks() -> None:
    assert parse_target("exponential:rate=1e+1+shift") == Exponential(10.0) + parse_target("shift")
    assert parse_target(" exponential : rate = +2 ") == Exponential(2.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "known: exponential"),
        ("exponentail", "did you mean exponential"),
        ("Polynomial:p=2", "did you mean polynomial"),
        ("exponential+", "is not a target"),
        ("exponential,shift", "one target was expected"),
        ("exponential:rat=1", "did you mean rate"),
        ("exponential:rate=1:rate=1", "given twice"),
        ("exponential:rate", "not a parameter"),
        ("polynomial", "needs p"),
        ("polynomial:p=0", "p must be greater than 0"),
        ("polynomial:p=-1", "p must be greater than 0"),
        ("polynomial:p=2:s=0", "s must be greater than 0"),
        ("polynomial:p=nan", "finite decimal number"),
        ("polynomial:p=inf", "finite decimal number"),
        ("polynomial:p=1e400", "finite decimal number"),
        ("polynomial:p=1+1", "finite decimal number"),
        ("polynomial:p=__import__('os')", "finite decimal number"),
        ("shift:start=3:end=2", "start < end"),
        ("shift:start=-1", "start < end"),
        ('csv:file="x', "quote"),
        ("csv", "needs file"),
        ("csv:file=/no/such/file", "No such file"),
        ("exponential" * 2000, "characters"),
    ],
)
def test_bad_specs_get_one_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        parse_target(text)
    assert "\n" not in str(caught.value)


def test_bad_parameters_and_times() -> None:
    for build in (lambda: Exponential(0.0), lambda: Exponential(float("nan")), lambda: Polynomial(2.0, scale=np.inf)):
        with pytest.raises(ValueError, match="must be"):
            build()
    for bad in ([-1.0], [float("nan")]):
        with pytest.raises(ValueError, match="t must be at least 0"):
            Exponential().rho(bad)
    with pytest.raises(ValueError, match="start must be"):
        Exponential().tail(-1.0)


# --- CSV files ------------------------------------------------------------------------------------------------------


def written(tmp_path: Path, text: str, name: str = "kernel.csv") -> str:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_csv_kernel_is_linear_between_its_rows(tmp_path: Path) -> None:
    path = written(tmp_path, "t,rho\n# a comment\n0, 2\n1, -1\n3, 0.5\n\n")
    target = parse_target(f"csv:file={path}:scale=2")
    assert target.rho([0, 0.5, 1, 2, 3, 4]).tolist() == [4, 1, -2, -0.5, 1, 0]
    assert target.slope([0, 0.5, 1, 2.5, 3, 4]).tolist() == [-6, -6, 1.5, 1.5, 0, 0]
    assert target.jumps == ((3.0, -1.0),)
    # Zeros at 2/3 and 7/3: triangles 4/3, 1/3, 4/3 and 1/3; the variation is 6 + 3 + 1 for the jump to 0.
    assert target.tail(0.0).lower <= 10 / 3 <= target.tail(0.0).upper < 10 / 3 + 1e-13
    assert target.tail(1.0).lower <= 5 / 3 <= target.tail(1.0).upper
    assert target.tail_variation(0.0).lower <= 10 <= target.tail_variation(0.0).upper < 10 + 1e-13
    assert target.tail_variation(2.0).lower <= 2.5 <= target.tail_variation(2.0).upper
    assert target.tail(3.0) == target.tail_variation(5.0) == (0, 0)
    exact = sum(mpmath.quad(lambda t: t * target.rho(float(t)), pair) for pair in ((0, 1), (1, 2.999999999)))
    assert target.first_moment == pytest.approx(float(exact), rel=1e-7)
    assert target.decay.kind == "compact"


def test_a_path_with_separators_is_quoted(tmp_path: Path) -> None:
    path = written(tmp_path, "0,1\n1,0\n", "a+b,c.csv")
    target = parse_target(f'csv:file="{path}"+exponential')
    assert float(target.rho(0.5)) == 0.5 + np.exp(-0.5)
    assert np.array_equal(parse_target(target.spec).rho([0, 0.3]), target.rho([0, 0.3]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least 2 rows"),
        ("t,rho\n", "at least 2 rows"),
        ("0,1\n", "at least 2 rows"),
        ("0,1\n1,\n2,0\n", "line 2: a gap"),
        ("0,1\n1,nan\n2,0\n", "line 2: a gap"),
        ("0,1\n\n2,0\n", "line 2: 2 columns"),
        ("t,rho\n0,1\n1,2\n1,3\n", "line 4: the time 1 is repeated"),
        ("0,1\n2,1\n1,1\n", "line 3: the time 1 is less"),
        ("1,1\n2,1\n", "line 1: the first time must be 0"),
        ("0,1\nhello,2\n", "line 2: 'hello' is not a finite number"),
        ("0,1\n1,inf\n", "line 2: 'inf' is not a finite number"),
        ("0,1\n1,1e999\n", "line 2: '1e999' is not a finite number"),
        ("0,1,2\n", "line 1: 2 columns"),
    ],
)
def test_bad_csv_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        parse_target(f"csv:file={written(tmp_path, text)}")
    assert "\n" not in str(caught.value)


def test_a_csv_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "binary.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not UTF-8"):
        read_csv(str(path))
    with pytest.raises(ValueError, match="is not a file"):
        read_csv(str(tmp_path))
    with pytest.raises(ValueError, match="null characters"):
        read_csv("a\0b")
    with pytest.raises(ValueError, match="'csv' needs file"):
        parse_target('csv:file=""')


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/zero", path)])
def test_a_csv_file_without_an_end_is_not_read(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "endless.csv")
    with pytest.raises(ValueError, match="is not a file"):
        read_csv(str(tmp_path / "endless.csv"))


def test_a_path_with_a_space_at_its_end_is_quoted(tmp_path: Path) -> None:
    path = written(tmp_path, "0,1\n1,0\n", "end ")
    target = parse_target(f'csv:file="{path}"')
    assert parse_target(target.spec).spec == target.spec


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("exponential:rate=1e200", "rate"),
        ("exponential:rate=5e-324", "rate"),
        ("polynomial:p=1e308", "p"),
        ("polynomial:p=3:s=1e200", "s"),
        ("two-part:scale=1e308", "scale"),
        ("shift:end=1e300", "end"),
        ("sine:omega=1e-320", "omega"),
    ],
)
def test_parameters_beyond_the_range_of_float64(spec: str, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be .* in size, got"):
        parse_target(spec)


@pytest.mark.parametrize("text", ["0,1e308\n1,-1e308\n", "0,1\n1e300,1\n", "0,1\n5e-324,0\n"])
def test_data_beyond_the_range_of_float64(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"must be .* (in size|apart), got"):
        read_csv(written(tmp_path, text))


@pytest.mark.parametrize(
    "spec",
    ["exponential", "polynomial:p=1e100:s=1e-100:scale=1e100", "polynomial:p=1.5", "shift", "two-part", "airy",
     "exponential:rate=1e-100:scale=1e100", "polynomial:p=3:s=1e100:scale=1e100", "shift:end=1e100"],
)  # fmt: skip
def test_extreme_times_and_parameters_give_no_nan(spec: str) -> None:
    target = parse_target(spec)
    times = np.array([0.0, 1e-300, 1.0, 1e100, 1e200])
    with np.errstate(all="raise", under="ignore"):
        assert not np.isnan(target.rho(times)).any()
        assert not np.isnan(target.slope(times)).any()
    assert not math.isnan(target.first_moment)
    for first, step in ((1, 1.0), (7, 0.01)):
        assert 0 <= target.sampled_tail(first, step).lower <= target.sampled_tail(first, step).upper


@pytest.mark.parametrize("spec", ["polynomial:p=200:s=1000", "polynomial:p=50:s=1e10", "shift:end=1e9"])
def test_samples_too_many_or_too_small_for_the_closed_form(spec: str) -> None:
    """The enclosure by the integral, checked against it: Σ - ∫ lies between 0 and ρ(0+) for a monotone kernel."""
    target = parse_target(spec)
    found, integral = target.sampled_tail(1, 1.0), target.tail()
    assert found.lower <= integral.upper
    assert found.upper >= integral.lower - 1
    assert found.upper <= integral.upper + 2.001


@pytest.mark.parametrize(("first", "step"), [(0, 1.0), (1, 0.0), (1, -1.0), (1, math.inf)])
@pytest.mark.parametrize("spec", ["exponential", "polynomial:p=2", "shift", "two-part", "exponential+shift"])
def test_samples_that_make_no_sense(spec: str, first: int, step: float) -> None:
    with pytest.raises(ValueError, match="first must be at least 1 and step positive"):
        parse_target(spec).sampled_tail(first, step)


@pytest.mark.parametrize("t", ["a", [[1.0], [1.0, 2.0]], [1j], None, -np.ones((100, 100))])
def test_times_that_are_none_are_named_in_one_line(t: Any) -> None:
    with pytest.raises(ValueError, match=r"^t") as caught:
        parse_target("exponential").rho(t)
    assert "\n" not in str(caught.value)


def test_samples_are_copied_and_checked() -> None:
    times, values = np.array([0.0, 1.0]), np.array([1.0, 0.5])
    kernel = Samples(times, values, scale=2.0)
    values[0] = 7
    assert float(kernel.rho(0.0)) == 2
    with pytest.raises(ValueError, match="increase"):
        Samples(np.array([0.0, 0.0]), values)
    with pytest.raises(ValueError, match="one length"):
        Samples(times, np.ones(3))


# --- callables ------------------------------------------------------------------------------------------------------


def test_a_callable_kernel() -> None:
    exact = parse_target("polynomial:p=2")
    kernel = callable_target(
        lambda t: (1 + t) ** -2.0, tail=lambda x: exact.tail(x), tail_variation=lambda x: exact.tail_variation(x)
    )
    times = np.array([0.0, 1e-3, 1.0, 50.0])
    assert np.array_equal(kernel.rho(times), (1 + times) ** -2.0)
    assert np.allclose(kernel.slope(times), exact.slope(times), rtol=1e-9, atol=1e-12)
    assert kernel.tail(1.0) == exact.tail(1.0)
    assert kernel.is_integrable
    assert not kernel.has_slope


def test_a_callable_kernel_with_a_support() -> None:
    kernel = callable_target(lambda t: 2.0 - t, lambda t: -np.ones_like(t), support=1.0)
    assert kernel.rho([0.5, 0.999, 1.0, 3.0]) == pytest.approx([1.5, 1.001, 0, 0])
    assert kernel.slope([0.5, 2.0]).tolist() == [-1, 0]
    assert kernel.jumps[0] == pytest.approx((1.0, -1.0))
    assert kernel.tail(1.0) == (0, 0)
    kernel.require_integrable()


def test_bad_callables() -> None:
    with pytest.raises(ValueError, match="no bound of its L1 norm is known"):
        callable_target(np.exp).require_integrable()
    with pytest.raises(ValueError, match="finite array"):
        callable_target(lambda t: t[:1]).rho([0.0, 1.0])
    with pytest.raises(ValueError, match="time_scales"):
        callable_target(np.exp, time_scales=(0.0,))
    with pytest.raises(ValueError, match="exclude each other"):
        callable_target(np.exp, support=1.0, tail=lambda x: (0.0, 1.0))
    with pytest.raises(ValueError, match="breaks"):
        callable_target(np.exp, breaks=(0.0,))
