"""Reparameterizations on tensors: against mpmath formulas written out here, and against theory's own inverses."""

import functools
import math
import pickle
from collections.abc import Callable
from typing import Any

import mpmath
import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics.reparameterization import Reparameterization
from theory.formula import NAMED, FormulaError
from theory.reparameterization import EIGENVALUE, reparameterization

EPS = torch.finfo(torch.float64).eps
derived = functools.cache(reparameterization)
Scalar = Callable[[mpmath.mpf], mpmath.mpf]
CONTINUOUS: dict[str, Scalar] = {
    "direct": lambda w: w,
    "relu": lambda w: -max(w, mpmath.mpf(0)),
    "exp": lambda w: -mpmath.exp(w),
    "softplus": lambda w: -mpmath.log1p(mpmath.exp(w)),
    "sigmoid": lambda w: -1 / (1 + mpmath.exp(-w)),
    "best": lambda w: -1 / (w**2 + mpmath.mpf(1) / 2),
    "best:a=3:b=0.1": lambda w: -1 / (3 * w**2 + mpmath.mpf(1) / 10),
    "reciprocal": lambda w: -1 / (abs(w) + mpmath.mpf(1) / 2),
    "reciprocal:b=2/3": lambda w: -1 / (abs(w) + mpmath.mpf(2) / 3),
}
DISCRETE: dict[str, Scalar] = {
    "direct": lambda w: w,
    "relu": lambda w: 1 - max(w, mpmath.mpf(0)),
    "exp": lambda w: mpmath.exp(-mpmath.exp(w)),
    "softplus": lambda w: mpmath.exp(-mpmath.log1p(mpmath.exp(w))),
    "sigmoid": lambda w: 1 / (1 + mpmath.exp(-w)),
    "tanh": mpmath.tanh,
    "best": lambda w: 1 - 1 / (w**2 + mpmath.mpf(1) / 2),
    "best:a=2:b=1": lambda w: 1 - 1 / (2 * w**2 + 1),
    "reciprocal": lambda w: 1 - 1 / (abs(w) + mpmath.mpf(1) / 2),
}
CASES = [(n, "continuous", f) for n, f in CONTINUOUS.items()] + [(n, "discrete", f) for n, f in DISCRETE.items()]
IDS = [f"{name}-{time}" for name, time, _ in CASES]
WEIGHTS = [-600.0, -40.0, -3.0, -0.7, -1e-12, 0.0, 1e-12, 0.7, 3.0, 40.0, 600.0]


def tensor(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_every_name_is_covered() -> None:
    for time, table in (("continuous", CONTINUOUS), ("discrete", DISCRETE)):
        assert {n for n, entry in NAMED.items() if getattr(entry, time)} == {n.split(":")[0] for n in table}


@pytest.mark.parametrize(("name", "time", "reference"), CASES, ids=IDS)
def test_values(name: str, time: str, reference: Scalar) -> None:
    with mpmath.workdps(300):
        exact = [float(reference(mpmath.mpf(w))) for w in WEIGHTS]
    found = Reparameterization(name, time)(tensor(WEIGHTS)).tolist()
    for value, expected in zip(found, exact, strict=True):
        # six roundings; in discrete time next to λ = 1, or λ ≤ 1 times the roundings of log λ
        assert value == pytest.approx(expected, rel=8 * EPS, abs=8 * EPS if time == "discrete" else 1e-300)


@pytest.mark.parametrize(("name", "time", "reference"), CASES, ids=IDS)
def test_gradients(name: str, time: str, reference: Scalar) -> None:
    weights = [-40.0, -3.0, -0.7, 0.7, 3.0, 30.0]
    with mpmath.workdps(60):
        exact = [float(mpmath.diff(reference, mpmath.mpf(w), h=mpmath.mpf(10) ** -25)) for w in weights]
    w = tensor(weights).requires_grad_()
    (found,) = torch.autograd.grad(Reparameterization(name, time)(w).sum(), w)
    torch.testing.assert_close(found, tensor(exact), rtol=1e-13, atol=8 * EPS if time == "discrete" else 1e-300)


@pytest.mark.parametrize(("name", "time", "reference"), CASES, ids=IDS)
def test_the_gradient_at_zero_is_finite(name: str, time: str, reference: Scalar) -> None:
    w = tensor([0.0]).requires_grad_()
    (found,) = torch.autograd.grad(Reparameterization(name, time)(w).sum(), w)
    with mpmath.workdps(40):
        h = mpmath.mpf(10) ** -15
        symmetric = float((reference(h) - reference(-h)) / (2 * h))  # the mean of the two one-sided slopes
    assert float(found) == pytest.approx(symmetric, abs=1e-12)


def reached(name: str, time: str) -> list[float]:
    """λ in the range of f, some next to its ends."""
    condition = derived(name, time).range
    candidates = [-1e6, -9.0, -1.5, -1 + 1e-9, -0.6, -1e-3, -1e-12, -1e-290]
    if time == "discrete":
        candidates = [-0.999, -0.5, 1e-290, 1e-9, 0.1, 0.5, 0.75, 1 - 1e-3, 1 - 1e-12]
    return [lam for lam in candidates if condition.subs(EIGENVALUE, sp.Rational(lam)) == sp.true]


@pytest.mark.parametrize(("name", "time", "reference"), CASES, ids=IDS)
def test_inverse_is_the_one_that_theory_derives(name: str, time: str, reference: Scalar) -> None:
    lams = reached(name, time)
    assert len(lams) >= 4
    formula = sp.lambdify(EIGENVALUE, derived(name, time).inverse, "mpmath")
    with mpmath.workdps(320):
        exact = [float(mpmath.mpf(formula(mpmath.mpf(lam)))) for lam in lams]
    found = Reparameterization(name, time).inverse(tensor(lams)).tolist()
    # a rounding of 1/|λ| before b is subtracted is relative to w² + b; elsewhere eight roundings
    for w, expected in zip(found, exact, strict=True):
        assert w == pytest.approx(expected, rel=16 * EPS, abs=16 * EPS)


@pytest.mark.parametrize(("name", "time", "reference"), CASES, ids=IDS)
def test_inverse_and_value_undo_each_other(name: str, time: str, reference: Scalar) -> None:
    f = Reparameterization(name, time)
    lams = tensor(reached(name, time))
    back = f(f.inverse(lams))
    # w carries a rounding of |w|, which moves λ by at most |λ||w| eps under these f
    scale = 1 + f.inverse(lams).abs()
    distance = (back - lams).abs() / lams.abs() if time == "continuous" else (back - lams).abs()
    if name.startswith(("direct", "relu")):
        scale = scale * 0 + 1
    assert bool((distance <= 16 * EPS * scale).all())


@pytest.mark.parametrize(
    ("name", "time", "lam"),
    [
        ("relu", "continuous", 0.5),
        ("exp", "continuous", 0.0),
        ("exp", "continuous", 1.0),
        ("softplus", "continuous", 0.25),
        ("sigmoid", "continuous", -1.0),
        ("sigmoid", "continuous", -1.5),
        ("best", "continuous", -2.001),
        ("best:b=0.1", "continuous", -10.5),
        ("reciprocal", "continuous", -3.0),
        ("best", "continuous", 0.0),
        ("exp", "discrete", 1.0),
        ("exp", "discrete", -0.1),
        ("softplus", "discrete", 1.5),
        ("sigmoid", "discrete", 0.0),
        ("tanh", "discrete", 1.0),
        ("best", "discrete", -1.001),
        ("best:b=1", "discrete", -0.25),
        ("direct", "continuous", math.nan),
    ],
)
def test_a_value_outside_the_range_is_named(name: str, time: str, lam: float) -> None:
    with pytest.raises(ValueError, match=rf"lam: {lam!r} is not a value of the reparameterization '{name}', range"):
        Reparameterization(name, time).inverse(tensor([-0.5 if time == "continuous" else 0.5, lam]))


def test_the_end_of_the_range_that_belongs_to_it() -> None:
    for text in ("best", "best:b=0.1", "best:a=7:b=1/3", "reciprocal:b=0.3"):
        for time in ("continuous", "discrete"):
            f = Reparameterization(text, time)
            assert float(f.inverse(f(tensor([0.0])))) < 1e-7  # the square root of a rounding error


@pytest.mark.parametrize("text", ["-exp(w)", "-1/(w**2+1)", "w*w - 3", "best:a=-1:b=9"])
def test_a_formula_has_no_inverse(text: str) -> None:
    with pytest.raises(ValueError, match="no inverse is known"):
        Reparameterization(text).inverse(tensor([-0.5]))


@pytest.mark.parametrize(("name", "time", "reference"), CASES, ids=IDS)
@settings(max_examples=25)
@given(w=st.floats(-30, 30), radius=st.floats(0, 5), places=st.lists(st.floats(-1, 1), min_size=3, max_size=3))
def test_bounds_enclose_and_are_tight(
    name: str, time: str, reference: Scalar, w: float, radius: float, places: list[float]
) -> None:
    lower, upper = (float(x) for x in Reparameterization(name, time).bounds(tensor([w]), radius))
    with mpmath.workdps(50):
        lo, hi = mpmath.mpf(w) - mpmath.mpf(radius), mpmath.mpf(w) + mpmath.mpf(radius)
        points = [lo, hi, *(mpmath.mpf(w) + mpmath.mpf(radius) * mpmath.mpf(p) for p in places)]
        if lo <= 0 <= hi:
            points.append(mpmath.mpf(0))  # f is monotone on both sides of 0
        values = [reference(point) for point in points]
        assert mpmath.mpf(lower) <= min(values)
        assert max(values) <= mpmath.mpf(upper)
        # 16 units of rounding and 16 of allowance, relative to |f|, in discrete time to at least 1 + 1/b ≤ 3; and one
        # unit of w ∓ radius, where |f'| ≤ 6 times that (log|f| has slope √(a/b) < 6 at most), or 1 for direct and relu
        for end, exact in ((lower, min(values)), (upper, max(values))):
            size = max(abs(float(exact)), 3.0 if time == "discrete" else 0.0)
            slope = max(6 * size, 1.0 if name in ("direct", "relu") else 0.0)
            assert abs(mpmath.mpf(end) - exact) <= EPS * (32 * size + (abs(w) + radius) * slope) + 1e-300


def test_the_bounds_of_direct_are_exact_where_the_sum_is() -> None:
    lower, upper = Reparameterization("direct").bounds(tensor([-0.5, -0.3]), 0.5)
    assert lower[0] == -1.0
    assert upper[0] == 0.0
    assert float(upper[1]) >= 0.2
    assert float(upper[1]) <= math.nextafter(0.2, 1)


@pytest.mark.parametrize(
    ("name", "formula"), [("exp", "-exp(w)"), ("best", "-1/(w**2+1/2)"), ("softplus", "-softplus(w)")]
)
def test_bounds_of_a_formula_are_those_of_its_name(name: str, formula: str) -> None:
    w = tensor([[-2.0, 0.1], [0.4, 3.0]])
    named, searched = (Reparameterization(text).bounds(w, 0.25) for text in (name, formula))
    for one, other in zip(named, searched, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


def test_bounds_of_a_monotone_formula_need_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numerics.formula_bounds._searched", None)
    w = tensor([0.5, -0.75, 3.0, -2.0])
    lower, upper = Reparameterization("-1/(w**2 + 1)").bounds(w, 0.25)
    for i, (near, far) in enumerate([(0.25, 0.75), (0.5, 1.0), (2.75, 3.25), (1.75, 2.25)]):
        assert float(lower[i]) == pytest.approx(-1 / (near**2 + 1), rel=4 * EPS, abs=0)
        assert float(upper[i]) == pytest.approx(-1 / (far**2 + 1), rel=4 * EPS, abs=0)


def test_a_pole_between_two_balls_does_not_make_a_formula_monotone() -> None:
    lower, upper = Reparameterization("1/(w - 1)").bounds(tensor([0.5, 1.5]), 0.25)  # f' < 0 on both sides
    assert lower.tolist() == pytest.approx([-4, 4 / 3], rel=1e-8)
    assert upper.tolist() == pytest.approx([-4 / 3, 4], rel=1e-8)
    lower, upper = Reparameterization("1/(w - 1)").bounds(tensor([1.0, 3.0]), 0.5)
    assert (float(lower[0]), float(upper[0])) == (-math.inf, math.inf)
    assert upper[1].item() == pytest.approx(2 / 3)


def test_bounds_of_a_formula_with_a_jump_in_its_slope() -> None:
    lower, upper = Reparameterization("-abs(w) - relu(w - 1)").bounds(tensor([0.0, 1.0, -2.0]), 0.5)
    assert lower.tolist() == pytest.approx([-0.5, -2.0, -2.5], abs=1e-8)
    assert upper.tolist() == pytest.approx([0.0, -0.5, -1.5], abs=1e-8)


def test_bounds_of_a_formula_that_is_not_monotone() -> None:
    lower, upper = Reparameterization("-2 - sin(w)").bounds(tensor([0.0, math.pi / 2]), 1.0)
    assert lower.tolist() == pytest.approx([-2 - math.sin(1), -3], abs=1e-8)
    assert upper.tolist() == pytest.approx([-2 + math.sin(1), -2 - math.cos(1)], abs=1e-8)
    assert float(lower[1]) <= -3


def test_bounds_reach_infinity_at_a_pole() -> None:
    lower, upper = Reparameterization("best:b=0").bounds(tensor([0.5]), 0.75)
    assert float(lower) == -math.inf
    assert float(upper) == pytest.approx(-1 / 1.25**2)


def test_bounds_follow_the_shape_of_a_radius() -> None:
    radius = tensor([0.0, 0.1, 0.2])[:, None]
    lower, upper = Reparameterization("exp").bounds(tensor([-1.0, 0.5]), radius)
    assert lower.shape == upper.shape == (3, 2)
    alone, _ = Reparameterization("exp").bounds(tensor([0.5]), 0.2)
    assert lower[2, 1] == alone[0]


def test_bounds_in_single_precision_enclose_the_double() -> None:
    w = torch.tensor([-1.5, 0.25])
    lower, upper = Reparameterization("exp").bounds(w, 0.1)
    assert lower.dtype == torch.float32
    assert bool((lower.double() <= -torch.exp(w.double() + 0.1)).all())
    assert bool((upper.double() >= -torch.exp(w.double() - 0.1)).all())


@pytest.mark.parametrize("radius", [-0.1, math.inf, math.nan])
def test_a_wrong_radius(radius: float) -> None:
    with pytest.raises(ValueError, match="radius: must be finite and at least 0"):
        Reparameterization("exp").bounds(tensor([0.0]), radius)


def test_a_radius_of_another_dtype() -> None:
    with pytest.raises(ValueError, match="radius: its dtype"):
        Reparameterization("exp").bounds(tensor([0.0]), torch.tensor(0.1))


def test_a_ball_on_which_the_formula_is_not_real() -> None:
    with pytest.raises(ValueError, match="reparameterization: "):
        Reparameterization("-sqrt(w)").bounds(tensor([-3.0]), 0.5)


@pytest.mark.parametrize(
    ("text", "w", "expected"),
    [
        ("-exp(log(w))", [2.0, -2.0], [-2.0, math.nan]),
        ("-w/w", [2.0, 0.0], [-1.0, math.nan]),
        ("-sqrt(w)", [4.0, -4.0], [-2.0, math.nan]),
        ("-softplus(3*w)", [400.0, -400.0], [-1200.0, 0.0]),
        ("-abs(w)**0.5 - pi", [4.0], [-2 - math.pi]),
        ("0*w - 2", [4.0, 5.0], [-2.0, -2.0]),
        ("-relu(w - 1) - e", [4.0, 0.0], [-3 - math.e, -math.e]),
        ("-2**w - tanh(w)*cos(w)**3", [0.5], [-(2**0.5) - math.tanh(0.5) * math.cos(0.5) ** 3]),
        ("-atan(w) - sinh(w) - cosh(w) - sin(w)*tan(w)", [0.5],
         [-math.atan(0.5) - math.exp(0.5) - math.sin(0.5) * math.tan(0.5)]),
    ],
)  # fmt: skip
def test_formulas(text: str, w: list[float], expected: list[float]) -> None:
    found = Reparameterization(text)(tensor(w)).tolist()
    assert found == pytest.approx(expected, rel=1e-14, abs=1e-300, nan_ok=True)


@pytest.mark.parametrize("text", ["", "exp:a=1", "tanh", "Best", "-exp(v)", "import os", "w.__class__", "best:a"])
def test_a_text_that_cannot_be_read(text: str) -> None:
    with pytest.raises(FormulaError):
        Reparameterization(text)


def test_another_time() -> None:
    with pytest.raises(ValueError, match="time: 'later'"):
        Reparameterization("exp", "later")


def test_values_and_their_specification() -> None:
    w = tensor([-1.0, 0.0, 2.0])
    for text, values in (("best", {"b": "0.1"}), ("-a*exp(w)", {"a": "1/3"}), ("best:a=2", {"b": 1})):
        f = Reparameterization(text, "continuous", values)
        again = Reparameterization(f.specification)
        assert sp.simplify(f.expr - again.expr) == 0
        assert torch.equal(f(w), again(w))
    assert Reparameterization(" exp ").specification == "exp"
    assert Reparameterization("best:a=2").name == "best"
    assert Reparameterization("-exp(w)").name is None


def test_it_is_a_value() -> None:
    f = Reparameterization("-a*exp(w)", values={"a": "2"})
    assert f == pickle.loads(pickle.dumps(f))
    assert hash(f) == hash(pickle.loads(pickle.dumps(f)))
    assert f != Reparameterization("-a*exp(w)", values={"a": "3"})


def test_single_precision_stays_single() -> None:
    for text, time, _ in CASES:
        f = Reparameterization(text, time)
        assert f(torch.tensor([0.3, 1.0])).dtype == torch.float32
        assert f.inverse(f(torch.tensor([0.3, 1.0]))).dtype == torch.float32


@pytest.mark.parametrize("text", ["exp", "-exp(w)"])
@pytest.mark.parametrize(
    ("w", "radius", "message"),
    [
        (tensor([math.nan]), 1.0, "w: must be finite, got nan"),
        (tensor([math.inf]), 1.0, "w: must be finite, got inf"),
        (torch.tensor([1]), 1.0, "w: a tensor of real floating point numbers is needed, got torch.int64"),
        ([1.0], 1.0, "w: a tensor of real floating point numbers is needed, got list"),
        (tensor([1.0]), "a", "radius: must be finite and at least 0, got a"),
        (tensor([1.0]), 10**400, "radius: must be finite and at least 0"),
        (tensor([1.0, 2.0]), tensor([1.0, 2.0, 3.0]), "radius: its shape"),
        (tensor([1.0, 2.0]), tensor([1.0, -2.0]), "radius: must be finite and at least 0, got -2.0"),
    ],
)
def test_bad_arguments_of_bounds(text: str, w: Any, radius: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Reparameterization(text).bounds(w, radius)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("lam", [[-1.0], torch.tensor([-1]), torch.tensor([-1j])])
def test_an_inverse_of_what_is_not_real(lam: Any) -> None:
    with pytest.raises(ValueError, match="lam: a tensor of real floating point numbers"):
        Reparameterization("exp").inverse(lam)


@pytest.mark.parametrize("arguments", [(None,), (3,), ("exp", None), ("-exp(w)", "continuous", {1: 2})])
def test_arguments_that_are_no_texts(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"must be a text|names with their values"):
        Reparameterization(*arguments)
