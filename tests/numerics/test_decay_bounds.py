"""The bounds of Theorem 3.3 beside measured memory functions: they hold, are attained, and their limits are right."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from numerics.activations import ACTIVATIONS
from numerics.decay_bounds import decay_bounds, decay_times, printed_upper, ratio_at_infinity, sharp_upper, theta_norm
from numerics.models import DiagonalModel, Layer
from numerics.reparameterization import Reparameterization
from tests.strategies import diagonal_models

F64 = torch.float64
ONE = torch.ones(1, 1, dtype=F64)
NATIVE = st.sampled_from([{"time": "continuous"}, {"time": "discrete"}])


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=F64)


def chain(depth: int, dim: int, rate: float, time: str = "continuous") -> DiagonalModel:
    """One mode a layer, U_1 = (1..1)/√d, all other weights 1: attains the sharp bound."""
    value = tensor(math.exp(-rate) if time == "discrete" else -rate)
    first = torch.full((1, dim), dim**-0.5, dtype=F64)
    U = [first, *[ONE] * (depth - 1)]
    return DiagonalModel.from_lam([value] * depth, U, tensor(1.0), time=time)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_both_bounds_hold_for_every_model(data: st.DataObject) -> None:
    model = data.draw(diagonal_models(largest=3, inputs=None, outputs=1, settings=data.draw(NATIVE)))
    found = decay_bounds(model, sorted({0.0, 1.0, 2.0, 5.0, 30.0}))
    assert found.holds
    assert found.ratio_min >= 1


@pytest.mark.parametrize("time", ["continuous", "discrete"])
@pytest.mark.parametrize(("depth", "dim"), [(1, 1), (1, 4), (2, 3), (3, 2)])
def test_the_sharp_bound_is_attained(depth: int, dim: int, time: str) -> None:
    found = decay_bounds(chain(depth, dim, 0.3, time))
    assert found.sharp == pytest.approx(found.memory_upper, rel=1e-9)
    assert found.ratio_min == pytest.approx(1, rel=1e-9)
    if depth == 1 or time == "continuous":
        assert found.ratio_at_infinity == pytest.approx(1, rel=1e-9)
    else:
        assert found.ratio_at_infinity is None
    assert found.margin == pytest.approx(0.3 if time == "continuous" else 1 - math.exp(-0.3))


def test_the_forms_by_hand() -> None:
    """Two layers under gelu, unit-norm modes: every factor of both forms written out with NumPy."""
    rng = np.random.default_rng(3)
    w, c = [-rng.uniform(0.2, 2, m) for m in (3, 2)], rng.normal(size=2)
    U = [rng.normal(size=(3, 2)), rng.normal(size=(2, 3))]
    layers = tuple(Layer(torch.tensor(a), torch.tensor(b)) for a, b in zip(w, U, strict=True))
    model = DiagonalModel(
        layers, torch.tensor(c), Reparameterization("direct"), activation=ACTIVATIONS["gelu"], modes="unit-norm"
    )
    t, slope = np.array([0.5, 3.0]), model.activation.lipschitz
    gains = [np.linalg.norm((-a / (1 - 2 * a))[:, None] * b, 2) for a, b in zip(w, U, strict=True)]
    decay = np.exp(max(a.max() for a in w) * t) * t
    stated = 2**0.5 * slope**2 * np.linalg.norm(c) * math.prod(gains) * decay
    assert sharp_upper(model, torch.tensor(t)).numpy() == pytest.approx(stated, rel=1e-9)
    theta = math.sqrt(sum(float((x**2).sum()) for x in (*w, *U, c)))
    assert float(theta_norm(model)) == pytest.approx(theta, rel=1e-14)
    assert printed_upper(model, torch.tensor(t)).numpy() == pytest.approx(3 * slope**2 * theta**3 * decay, rel=1e-13)


def test_the_default_times_reach_from_the_fastest_to_the_slowest_mode() -> None:
    model = DiagonalModel.from_lam(tensor(-50.0, -0.01), torch.ones(2, 1, dtype=F64), tensor(1.0, 1.0))
    times = decay_times(model)
    assert times[0] == 0
    assert times[1] * 50 < 0.02
    assert times[-1] * 0.01 == pytest.approx(45)
    discrete = decay_times(chain(1, 1, 0.1, "discrete"))
    assert np.array_equal(discrete, np.rint(discrete))
    assert len(np.unique(discrete)) == len(discrete)


def far_ratio(model: DiagonalModel, t: float) -> mpmath.mpf:
    """√d |c|_2 |U|_2 e^{-margin t}/|ρ̂(t)|_1 of one linear layer at 60 digits."""
    with mpmath.workdps(60):
        lam = [mpmath.mpmathify(x) for x in model.lam().tolist()]
        drive, c = model.drive().tolist(), model.c[0].tolist()
        dims = range(model.input_dim)
        wave = [x ** int(t) if model.is_discrete else mpmath.exp(x * t) for x in lam]
        kernel = [mpmath.fsum(a * b[j] * e for a, b, e in zip(c, drive, wave, strict=True)) for j in dims]
        twice = 2 if model.is_complex else 1
        size = mpmath.fsum(abs(twice * mpmath.re(x)) for x in kernel)
        slow = (
            max(abs(x) for x in lam) ** int(t) if model.is_discrete else mpmath.exp(max(mpmath.re(x) for x in lam) * t)
        )
        gain = float(torch.linalg.vector_norm(model.c[0]) * torch.linalg.matrix_norm(model.drive(), ord=2))
        return twice * mpmath.sqrt(model.input_dim) * gain * slow / size


@pytest.mark.parametrize("dim", [1, 3])
def test_the_limit_of_the_ratio_with_real_modes(dim: int) -> None:
    rng = np.random.default_rng(dim)
    lam = tensor(-0.5, -0.2, -3.0, -0.2)  # the slowest rate twice
    model = DiagonalModel.from_lam(lam, torch.tensor(rng.normal(size=(4, dim))), torch.tensor(rng.normal(size=4)))
    assert ratio_at_infinity(model) == pytest.approx(float(far_ratio(model, 400.0)), rel=1e-9)
    discrete = DiagonalModel.from_lam(
        tensor(0.9, -0.9, 0.4),
        torch.tensor(rng.normal(size=(3, dim))),
        torch.tensor(rng.normal(size=3)),
        time="discrete",
    )
    later = min(far_ratio(discrete, 1000), far_ratio(discrete, 1001))
    assert ratio_at_infinity(discrete) == pytest.approx(float(later), rel=1e-9)


@pytest.mark.parametrize("dim", [1, 3])
def test_the_limit_of_the_ratio_with_a_complex_mode(dim: int) -> None:
    """The infimum over phases, found by following more than a thousand periods."""
    rng = np.random.default_rng(dim)
    U = torch.tensor(rng.normal(size=(2, dim)) + 1j * rng.normal(size=(2, dim)))
    lam = torch.tensor([-0.01 + 1j * math.sqrt(2), -0.5 + 3j], dtype=torch.complex128)
    model = DiagonalModel.from_lam(lam, U, torch.tensor(rng.normal(size=2) + 1j * rng.normal(size=2)))
    least = min(far_ratio(model, float(t)) for t in np.linspace(200, 220, 2000))
    limit = ratio_at_infinity(model)
    assert limit is not None
    assert limit <= float(least) * (1 + 1e-9)
    assert limit == pytest.approx(float(least), rel=1e-3)


@pytest.mark.parametrize(
    ("time", "lam"), [("continuous", -0.01 + 0j), ("discrete", 0.99 + 0j), ("discrete", -0.99 + 0j)]
)
def test_the_limit_of_the_ratio_with_a_complex_mode_that_does_not_turn(time: str, lam: complex) -> None:
    """2 Re(c U) e^{λt}, however large |c U| is."""
    U, c = torch.tensor([[1.0, 0.5]], dtype=torch.complex128), torch.tensor([0.6 + 0.8j], dtype=torch.complex128)
    model = DiagonalModel.from_lam(torch.tensor([lam], dtype=torch.complex128), U, c, time=time)
    assert ratio_at_infinity(model) == pytest.approx(float(far_ratio(model, 50.0)), rel=1e-9)


def test_the_limit_of_the_ratio_with_several_layers() -> None:
    """Two layers with one slowest λ each: t e^{-rt}; where one layer has none, the bound is too large by t."""
    rng = np.random.default_rng(5)
    U = [torch.tensor(rng.normal(size=shape)) for shape in ((2, 2), (3, 2))]
    c = torch.tensor(rng.normal(size=3))
    model = DiagonalModel.from_lam([tensor(-0.1, -2.0), tensor(-3.0, -0.1, -1.0)], U, c)
    limit = ratio_at_infinity(model)
    far = decay_bounds(model, [2000.0, 4000.0])
    ratios = far.sharp / far.memory_upper  # with an error O(1/t)
    assert limit == pytest.approx(2 * ratios[1] - ratios[0], rel=1e-4)
    assert ratio_at_infinity(DiagonalModel.from_lam([tensor(-0.1, -2.0), tensor(-3.0, -0.2, -1.0)], U, c)) == math.inf
    assert ratio_at_infinity(DiagonalModel.from_lam(tensor(-0.1), 0 * ONE, tensor(1.0))) == math.inf


def test_no_limit_is_claimed_where_none_is_known() -> None:
    assert ratio_at_infinity(DiagonalModel.from_lam(tensor(-1.0), ONE, tensor(1.0), activation="tanh")) is None
    lam = torch.tensor([-0.5 + 1j, -0.5 + 2j], dtype=torch.complex128)
    assert ratio_at_infinity(DiagonalModel.from_lam(lam, torch.ones(2, 1, dtype=F64), tensor(1.0, 1.0))) is None


def test_json() -> None:
    row = decay_bounds(chain(1, 1, 0.5), [0.0, 1.0]).as_json()
    assert row["times"] == [0.0, 1.0]
    assert row["ratio_min"] == pytest.approx(1, rel=1e-9)
    dead = DiagonalModel.from_lam(tensor(-0.1), 0 * ONE, tensor(1.0))
    assert decay_bounds(dead, [0.0]).as_json()["ratio_min"] == "inf"


def test_what_is_refused() -> None:
    batch = DiagonalModel.from_lam(tensor(-1.0)[None], torch.ones(1, 1, 1, dtype=F64), torch.ones(1, 1, 1, dtype=F64))
    with pytest.raises(ValueError, match="model: one model is needed, this is a batch"):
        decay_bounds(batch)
    sampled = DiagonalModel.from_lam(
        tensor(-1.0), ONE, tensor(1.0), time="discrete", step_size=0.1, discretization="zoh"
    )
    with pytest.raises(ValueError, match=r"step_size 0\.1"):
        decay_bounds(sampled)
    with pytest.raises(ValueError, match="times: must be finite"):
        decay_bounds(chain(1, 1, 1.0), [-1.0])
