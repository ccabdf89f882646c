"""Simulated memory functions: exact one-layer and linear cases, convergence, starts, and bad arguments."""

import math

import numpy as np
import pytest

from numerics.heaviside import LayeredModel, heaviside_rates, memory_estimate


def identity(x: np.ndarray) -> np.ndarray:
    return x


def tanh_slope(x: np.ndarray) -> np.ndarray:
    return 1 - np.tanh(x) ** 2


def chain(count: int, dim: int = 1) -> LayeredModel:
    weights = (np.full((1, dim), dim**-0.5), *(np.ones((1, 1)) for _ in range(count - 1)))
    return LayeredModel(tuple(np.array([-1.0]) for _ in range(count)), weights, np.ones(1), identity, np.ones_like)


def tanh_model(widths: tuple[int, ...], dim: int, seed: int) -> LayeredModel:
    rng = np.random.default_rng(seed)
    inputs = (dim, *widths[:-1])
    lam = tuple(-rng.uniform(0.3, 2, size=m) for m in widths)
    weights = tuple(rng.normal(size=(m, k)) for m, k in zip(widths, inputs, strict=True))
    return LayeredModel(lam, weights, rng.normal(size=widths[-1]), np.tanh, tanh_slope)


TIMES = np.array([0.0, 0.3, 1.0, 4.0])


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e4])
def test_one_layer_against_its_formula(size: float) -> None:
    model = tanh_model((3,), 2, 0)
    x = size * np.array([[1.0, -0.5]])
    drive = model.weights[0] @ x[0]
    lam = model.lam[0][:, None]
    states = np.expm1(lam * TIMES) / lam * drive[:, None]
    expected = model.readout @ (tanh_slope(states) * np.exp(lam * TIMES) * drive[:, None])
    assert heaviside_rates(model, x, TIMES)[0] == pytest.approx(expected, rel=1e-6, abs=1e-6 * size)


def test_rates_agree_with_differences_of_a_second_solver() -> None:
    model = tanh_model((3, 2), 1, 1)
    x, step, times = 1.3, 1e-3, np.arange(0, 2.0005, 1e-3)

    def field(states: list[np.ndarray]) -> list[np.ndarray]:
        drives = [np.array([x]), np.tanh(states[0])]
        return [a * v + u @ f for a, v, u, f in zip(model.lam, states, model.weights, drives, strict=True)]

    states = [np.zeros(3), np.zeros(2)]  # tanh(0) = 0, so this is the equilibrium
    outputs = []
    for _ in times:
        outputs.append(model.readout @ np.tanh(states[1]))
        half = [v + step / 2 * k for v, k in zip(states, field(states), strict=True)]
        states = [v + step * k for v, k in zip(states, field(half), strict=True)]  # midpoint rule
    difference = (outputs[1501] - outputs[1499]) / (2 * step)
    found = heaviside_rates(model, np.array([[x]]), np.array([1.5]))[0, 0]
    assert found == pytest.approx(difference, abs=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_estimate_reaches_the_linear_chain(count: int) -> None:
    times = TIMES[1:]
    found = memory_estimate(chain(count, 4), times, np.random.default_rng(0))
    exact = 2 * times ** (count - 1) / math.factorial(count - 1) * np.exp(-times)
    assert np.all(found.value <= exact + found.error + 1e-12)
    assert found.value == pytest.approx(exact, rel=2e-4)
    assert np.all(found.error < 1e-6)


def test_batch_equals_loop() -> None:
    model = tanh_model((3, 3), 2, 2)
    inputs = np.random.default_rng(3).normal(size=(5, 2))
    batch = heaviside_rates(model, inputs, TIMES)
    loop = np.concatenate([heaviside_rates(model, x[None], TIMES) for x in inputs])
    assert batch == pytest.approx(loop, abs=1e-7)


def test_tolerance_controls_the_error() -> None:
    model = tanh_model((3, 3), 1, 4)
    x = np.array([[2.0]])
    reference = heaviside_rates(model, x, TIMES, rtol=1e-12)
    errors = [np.abs(heaviside_rates(model, x, TIMES, rtol=rtol) - reference).max() for rtol in (1e-4, 1e-6, 1e-8)]
    assert errors[0] > errors[1] > errors[2]


def test_start_matters_only_where_sigma_is_not_zero_at_zero() -> None:
    plain = chain(2)
    shifted = LayeredModel(plain.lam, plain.weights, plain.readout, lambda x: x + 1, np.ones_like)
    x = np.array([[0.5]])
    calm, cold = (heaviside_rates(shifted, x, TIMES, start=start)[0] for start in ("equilibrium", "zero"))
    assert calm == pytest.approx(0.5 * TIMES * np.exp(-TIMES), abs=1e-7)
    assert cold == pytest.approx((1 + 0.5 * TIMES) * np.exp(-TIMES), abs=1e-7)
    same = [heaviside_rates(plain, x, TIMES, start=start)[0] for start in ("equilibrium", "zero")]
    assert same[0] == pytest.approx(same[1])


def test_constants_of_the_bound() -> None:
    model = tanh_model((3, 2), 2, 5)
    norms = [np.linalg.svd(u)[1][0] for u in model.weights]
    assert model.gain == pytest.approx(np.prod(norms) * np.sqrt(np.sum(model.readout**2)))
    assert model.decay_rate == min(np.abs(lam).min() for lam in model.lam)


def test_inputs_are_not_changed() -> None:
    model, inputs, times = tanh_model((2, 2), 2, 6), np.ones((1, 2)), TIMES.copy()
    heaviside_rates(model, inputs, times)
    assert np.array_equal(inputs, np.ones((1, 2)))
    assert np.array_equal(times, TIMES)


def test_bad_models() -> None:
    one = np.ones((1, 1))
    good = {"lam": (-np.ones(1),), "weights": (one,), "readout": np.ones(1)}

    def build(**changes: object) -> LayeredModel:
        return LayeredModel(**{**good, **changes}, sigma=np.tanh, slope=tanh_slope)  # type: ignore[arg-type]

    build()
    with pytest.raises(ValueError, match="not negative"):
        build(lam=(np.zeros(1),))
    with pytest.raises(ValueError, match="not negative"):
        build(lam=(np.array([np.nan]),))
    with pytest.raises(ValueError, match=r"weights: layer 0 has shape \(2, 1\)"):
        build(weights=(np.ones((2, 1)),))
    with pytest.raises(ValueError, match="readout: has shape"):
        build(readout=np.ones(2))
    with pytest.raises(ValueError, match="equally many layers"):
        build(lam=())


def test_bad_arguments() -> None:
    model = chain(1)
    with pytest.raises(ValueError, match="inputs: shape"):
        heaviside_rates(model, np.ones((1, 2)), TIMES)
    for times in (np.array([-1.0, 0.0]), np.array([1.0, 1.0]), np.array([])):
        with pytest.raises(ValueError, match="times: must increase"):
            heaviside_rates(model, np.ones((1, 1)), times)
    with pytest.raises(ValueError, match="draws: at least 1"):
        memory_estimate(model, TIMES, np.random.default_rng(0), draws=0)
    blown = LayeredModel(model.lam, model.weights, model.readout, identity, lambda x: np.full_like(x, np.nan))
    with pytest.raises(ValueError, match="sigma, slope: not finite"):
        heaviside_rates(blown, np.ones((1, 1)), TIMES)
