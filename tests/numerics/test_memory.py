"""Memory functions of models: exact linear ones against mpmath, brackets of nonlinear ones against other routes."""

from __future__ import annotations

import itertools
import math
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from numerics.activations import ACTIVATIONS
from numerics.heaviside import LayeredModel, heaviside_rates
from numerics.heaviside_rates import System, increment, make_plan, march, one_layer_rates
from numerics.linear_memory import Kernel
from numerics.memory import linear_kernel, memory_function
from numerics.memory_bounds import comparison_upper, lipschitz_upper, memory_upper, saturation_factor, saturation_upper
from numerics.models import DiagonalModel, FullModel, Layer

NONLINEAR = ["tanh", "hardtanh", "relu", "gelu", "sigmoid"]
F64 = torch.float64


def random_model(
    widths: tuple[int, ...], dim: int, seed: int, *, kind: str = "real", outputs: int = 1, **settings: Any
) -> DiagonalModel:
    """A random model; `kind` "real" or "complex"."""
    rng = np.random.default_rng(seed)
    native = settings.get("time") == "discrete" and "step_size" not in settings

    def weights(*shape: int) -> Tensor:
        value = rng.normal(size=shape) / math.sqrt(shape[-1])
        return torch.as_tensor(value + 1j * rng.normal(size=shape) if kind == "complex" else value)

    lams = []
    for m in widths:
        rates = -rng.uniform(0.1, 2, size=m)
        if native:
            factors = np.exp(rates) * (np.exp(1j * rng.normal(size=m)) if kind == "complex" else rng.choice([-1, 1], m))
            lams.append(torch.as_tensor(factors))
        else:
            lams.append(torch.as_tensor(rates + 1j * 3 * rng.normal(size=m) if kind == "complex" else rates))
    U = [weights(m, k) for m, k in zip(widths, (dim, *widths), strict=False)]
    return DiagonalModel.from_lam(lams, U, weights(outputs, widths[-1]), **settings)


def systems(model: DiagonalModel) -> System:
    depth = range(len(model.layers))
    lam, drives = tuple(map(model.transition, depth)), tuple(map(model.drive, depth))
    return System(lam, drives, model.c, model.activation, model.is_discrete)


# --- linear models --------------------------------------------------------------------------------------------------


def reference_kernel(model: DiagonalModel | FullModel, t: float) -> mpmath.matrix:
    """ρ(t) at 40 digits: by the exponential of the block system, or by stepping."""
    exact = mpmath.matrix
    if isinstance(model, FullModel):
        A, B, C = (exact(x.tolist()) for x in (model.A, model.B, model.C))
        power = A ** int(t) if model.is_discrete else mpmath.expm(A * mpmath.mpf(t), method="taylor")
        return C * power * B
    system = systems(model)
    drives, c = [exact(u.tolist()) for u in system.drives], exact(system.c.tolist())
    diagonals = [mpmath.diag(lam.tolist()) for lam in system.lam]
    if model.is_discrete:
        states = [mpmath.zeros(u.rows, drives[0].cols) for u in drives]
        for k in range(int(t) + 1):
            below = mpmath.eye(drives[0].cols) * (k == 0)
            for index, (D, u) in enumerate(zip(diagonals, drives, strict=True)):
                states[index] = below = D * states[index] + u * below
        result = c * states[-1]
    else:
        offsets = np.cumsum([0, *(u.rows for u in drives)])
        A = mpmath.zeros(int(offsets[-1]))
        start = mpmath.zeros(int(offsets[-1]), drives[0].cols)
        for index, (D, u) in enumerate(zip(diagonals, drives, strict=True)):
            at = int(offsets[index])
            for i, j in itertools.product(range(D.rows), range(D.rows)):
                A[at + i, at + j] = D[i, j]
            for i, j in itertools.product(range(u.rows), range(u.cols)):
                if index:
                    A[at + i, int(offsets[index - 1]) + j] = u[i, j]
                else:
                    start[i, j] = u[i, j]
        state = mpmath.expm(A * mpmath.mpf(t), method="taylor") * start
        result = c * state[int(offsets[-2]) :, :]
    return result.apply(lambda z: 2 * mpmath.re(z)) if model.is_complex else result


def check_kernel(model: DiagonalModel | FullModel, times: list[float], *, within: float) -> None:
    """The computed kernel is off by no more than it says, and it says little."""
    with mpmath.workdps(40):
        found = linear_kernel(model, torch.tensor(times, dtype=F64))
        assert isinstance(found, Kernel)
        bracket = memory_function(model, times)
        for row, t in enumerate(times):
            exact = reference_kernel(model, t)
            largest = max(mpmath.norm(exact[i, :], 1) for i in range(exact.rows))
            for i, j in itertools.product(range(exact.rows), range(exact.cols)):
                assert abs(found.value[row, i, j].item() - exact[i, j]) <= found.error[row, i, j].item()
            low, high = bracket.lower[row].item(), bracket.upper[row].item()
            assert low <= largest <= high
            assert high - low <= within * float(largest)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("time", ["continuous", "discrete"])
def test_linear_layers_against_mpmath(depth: int, kind: str, time: str) -> None:
    model = random_model((3, 2, 3, 2)[:depth], 2, depth, kind=kind, outputs=2, time=time)
    check_kernel(model, [0.0, 1.0, 2.0, 7.0, 30.0] if time == "discrete" else [0.01, 0.3, 2.0, 20.0], within=1e-8)


@pytest.mark.parametrize("depth", [2, 3])
def test_repeated_and_nearly_repeated_eigenvalues(depth: int) -> None:
    lam = [torch.tensor([-1.0, -400.0, -0.01], dtype=F64) * scale for scale in (1.0, 1.0, 1 + 1e-9)][:depth]
    rng = np.random.default_rng(0)
    U = [torch.as_tensor(rng.normal(size=(3, k))) for k in (1, 3, 3)][:depth]
    check_kernel(DiagonalModel.from_lam(lam, U, torch.ones(3, dtype=F64)), [1e-3, 1.0, 50.0], within=1e-8)


@pytest.mark.parametrize("discretization", ["zoh", "bilinear"])
def test_discretized_layers(discretization: str) -> None:
    model = random_model((2, 2), 1, 5, time="discrete", step_size=0.1, discretization=discretization)
    check_kernel(model, [0.0, 3.0, 50.0], within=1e-8)


@pytest.mark.parametrize("time", ["continuous", "discrete"])
def test_full_matrices_against_mpmath(time: str) -> None:
    A = np.array([[-0.3, 2.0, 0.0], [-2.0, -0.3, 5.0], [0.0, 0.0, -0.5]])
    A = A if time == "continuous" else A / 6
    B, C = np.array([[1.0, 0.5], [0.0, -1.0], [1.0, 2.0]]), np.array([[1.0, 0.0, 0.3]])
    model = FullModel(*(torch.as_tensor(x) for x in (A, B, C)), time=time)
    # Each of about eight squarings of a matrix with norm above 1 more than doubles the bound.
    check_kernel(model, [0.0, 1.0, 5.0, 20.0], within=1e-8)


def test_a_full_matrix_and_its_layers_agree() -> None:
    layered = random_model((2, 3), 2, 7)
    system = systems(layered)
    A = torch.block_diag(*(torch.diag(lam) for lam in system.lam))
    A[2:, :2] = system.drives[1]
    B = torch.cat([system.drives[0], torch.zeros(3, 2, dtype=F64)])
    C = torch.cat([torch.zeros(1, 2, dtype=F64), system.c], 1)
    times = [0.0, 0.5, 3.0, 12.0]
    left, right = memory_function(layered, times), memory_function(FullModel(A, B, C), times)
    assert torch.all(left.lower <= right.upper)
    assert torch.all(right.lower <= left.upper)


def test_one_layer_is_the_impulse_response() -> None:
    model = random_model((4,), 3, 8, outputs=2, modes="unit-norm")
    times = torch.tensor([0.0, 0.7, 5.0], dtype=F64)
    expected = model.impulse_response(times).abs().sum(-1).amax(-1)
    bracket = memory_function(model, times)
    assert bracket.method == "exact"
    assert bracket.lower == pytest.approx(expected, rel=1e-12)
    assert torch.all(bracket.at_infinity)
    rho = linear_kernel(model, times).value
    attained = (rho @ bracket.inputs[..., None]).squeeze(-1).abs().amax(-1)
    assert attained == pytest.approx(expected, rel=1e-12)


def test_json_keeps_the_order_asked() -> None:
    model = DiagonalModel.from_lam(
        torch.tensor([-1.0], dtype=F64), torch.ones(1, 1, dtype=F64), torch.ones(1, dtype=F64)
    )
    found = memory_function(model, [10.0, 0.0, 1.0, 1.0]).as_json()
    assert set(found) == {"t", "memory_lower", "memory_upper", "method"}
    assert found["t"] == [10.0, 0.0, 1.0, 1.0]
    for low, high, t in zip(found["memory_lower"], found["memory_upper"], found["t"], strict=True):
        assert low <= math.exp(-t) <= high
        assert high - low < 1e-13


# --- rates ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "widths", "tolerance"),
    [
        ("tanh", (4, 3), 1e-9),
        ("tanh", (4, 3, 3), 1e-9),
        ("sigmoid", (4, 3, 3), 1e-9),
        ("gelu", (4, 3), 1e-9),
        ("relu", (4, 3), 1e-9),
        ("relu", (4, 3, 3), 1e-3),
        ("hardtanh", (4, 3), 1e-3),
    ],
)
def test_rates_of_several_layers_against_scipy(name: str, widths: tuple[int, ...], tolerance: float) -> None:
    model = random_model(widths, 2, 11, activation=name)
    sigma = model.activation
    system = systems(model)
    x = torch.tensor([[1.0, -0.4], [30.0, 20.0], [0.01, 0.02]], dtype=F64)
    times = torch.tensor([0.0, 0.05, 1.0, 1.7, 9.0], dtype=F64)
    plan = make_plan(system, times, 30.0, nodes=48 if tolerance > 1e-6 else 12, refine=2)
    found = march(system, x, plan)[..., 0]
    reference = LayeredModel(
        tuple(lam.numpy() for lam in system.lam),
        tuple(u.numpy() for u in system.drives),
        system.c[0].numpy(),
        lambda h: sigma(torch.as_tensor(h)).numpy(),
        lambda h: sigma.slope(torch.as_tensor(h)).numpy(),
    )
    expected = heaviside_rates(reference, x.numpy(), times.numpy(), rtol=1e-11 if tolerance < 1e-6 else 1e-8)
    size = 1 + x.abs().amax(-1, keepdim=True).numpy()
    assert np.abs(found.numpy() - expected).max() <= tolerance * np.abs(size).max()
    owner = torch.tensor([1, 3, 4])
    paired = march(system, x, plan, owner)[:, 0]
    assert paired == pytest.approx(found[torch.arange(3), owner], rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("name", NONLINEAR)
@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_discrete_rates_against_a_loop(name: str, kind: str, depth: int) -> None:
    model = random_model((3, 2, 3)[:depth], 2, 12, kind=kind, activation=name, time="discrete", outputs=2)
    system = systems(model)
    x = torch.tensor([[1.0, -2.0], [0.1, 5.0]], dtype=F64)
    expected = discrete_loop(system, x, 70)
    times = torch.tensor([0.0, 1.0, 5.0, 31.0, 32.0, 69.0], dtype=F64)
    if depth == 1:
        found = one_layer_rates(system, x, times, paired=False)
    else:
        found = march(system, x, make_plan(system, times, 1.0, nodes=1))
    assert torch.allclose(found, expected[:, times.long()], rtol=1e-9, atol=1e-14)


def discrete_loop(system: System, x: Tensor, steps: int) -> Tensor:
    """y_k - y_{k-1} by stepping the model: (N, steps, k)."""
    kind = system.lam[0].dtype
    states = [s.expand(len(x), -1) for s in system.rest()]

    def output() -> Tensor:
        y = system.sigma(states[-1]) @ system.c.mT
        return 2 * y.real if y.is_complex() else y

    before, rates = output(), []
    for _ in range(steps):
        below = x.to(kind)
        for index, (lam, drive) in enumerate(zip(system.lam, system.drives, strict=True)):
            states[index] = lam * states[index] + below @ drive.mT
            below = system.sigma(states[index])
        after = output()
        rates.append(after - before)
        before = after
    return torch.stack(rates, 1)


@pytest.mark.parametrize(("name", "tolerance"), [("tanh", 1e-9), ("sigmoid", 1e-9), ("relu", 2e-3)])
@pytest.mark.parametrize("depth", [1, 2])
def test_complex_rates_against_scipy(name: str, tolerance: float, depth: int) -> None:
    from scipy.integrate import solve_ivp

    model = random_model((3, 2)[:depth], 2, 13, kind="complex", activation=name)
    system = systems(model)
    x, times = torch.tensor([[1.5, -0.5]], dtype=F64), torch.tensor([0.2, 1.0, 6.0], dtype=F64)
    rest = system.rest()
    cut = rest[0].numel()

    def field(_: float, flat: np.ndarray) -> np.ndarray:
        parts = [torch.as_tensor(flat[:cut]), torch.as_tensor(flat[cut:])][:depth]
        drives = [x[0].to(parts[0].dtype), *(system.sigma(p) for p in parts[:-1])]
        layers = zip(system.lam, parts, system.drives, drives, strict=True)
        return torch.cat([lam * h + u @ z for lam, h, u, z in layers]).numpy()

    start = torch.cat(rest).numpy()
    states = solve_ivp(field, (0, 6.5), start, method="DOP853", rtol=1e-11, atol=1e-12, dense_output=True).sol
    first = 0 if depth == 1 else cut
    expected = []
    for t in times.tolist():
        h, v = states(t), field(t, states(t))
        h, v = torch.as_tensor(h[first:]), torch.as_tensor(v[first:])
        change = torch.complex(system.sigma.slope(h.real) * v.real, system.sigma.slope(h.imag) * v.imag)
        expected.append(2 * (system.c @ change).real[0].item())
    if depth == 1:
        found = one_layer_rates(system, x, times, paired=False)
    else:
        found = march(system, x, make_plan(system, times, 5.0, nodes=64 if name == "relu" else 14, refine=2))
    assert found[0, :, 0].tolist() == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("name", NONLINEAR)
@given(h=st.floats(-6, 6), log_step=st.floats(-9, 1.2), sign=st.sampled_from([-1, 1]))
@settings(max_examples=25, deadline=None)
def test_increments_keep_their_digits(name: str, h: float, log_step: float, sign: int) -> None:
    step = sign * 10.0**log_step
    functions = {
        "tanh": mpmath.tanh,
        "sigmoid": lambda z: 1 / (1 + mpmath.exp(-z)),
        "gelu": lambda z: z * mpmath.ncdf(z),
        "relu": lambda z: max(z, mpmath.mpf(0)),
        "hardtanh": lambda z: min(max(z, mpmath.mpf(-1)), mpmath.mpf(1)),
    }
    with mpmath.workdps(40):
        f = functions[name]
        exact = f(mpmath.mpf(h) + mpmath.mpf(step)) - f(mpmath.mpf(h))
        found = increment(ACTIVATIONS[name], torch.tensor([h], dtype=F64), torch.tensor([step], dtype=F64)).item()
        # The rounding of 1 - tanh² and of h ± 1 costs an absolute 1e-15 of the step.
        assert abs(found - exact) <= 1e-13 * abs(exact) + 3e-15 * abs(step)


# --- brackets -------------------------------------------------------------------------------------------------------


def scalar_tanh_memory(lam: float, u: float, t: float) -> float:
    """sup_x sech²(φux)e^{λt}|u|x/(x+1), by bisection of the derivative of its logarithm in x at 30 digits."""
    with mpmath.workdps(30):
        phi = mpmath.expm1(lam * mpmath.mpf(t)) / lam * abs(u)
        low, high = mpmath.mpf(0), mpmath.mpf(10) ** 8
        for _ in range(160):  # 1/x - 1/(x+1) = 2φ tanh(φx)
            x = (low + high) / 2
            low, high = (x, high) if 1 / (x * (x + 1)) > 2 * phi * mpmath.tanh(phi * x) else (low, x)
        return float(mpmath.sech(phi * x) ** 2 * mpmath.exp(lam * mpmath.mpf(t)) * abs(u) * x / (x + 1))


@pytest.mark.parametrize(("lam", "u"), [(-1.0, 1.0), (-0.01, 3.0), (-20.0, 0.1)])
def test_one_tanh_mode_against_its_maximum(lam: float, u: float) -> None:
    one = torch.ones(1, dtype=F64)
    model = DiagonalModel.from_lam(lam * one, u * one[:, None], one, activation="tanh")
    times = [1e-3, 0.1, 1.0, 5.0]
    found = memory_function(model, times)
    exact = [scalar_tanh_memory(lam, u, t) for t in times]
    assert found.lower.tolist() == pytest.approx(exact, rel=1e-8)
    assert all(a <= b for a, b in zip(exact, found.upper.tolist(), strict=True))
    assert all(b <= 1.02 * a for a, b in zip(exact, found.upper.tolist(), strict=True))


def test_relu_with_positive_weights_is_exact() -> None:
    model = random_model((5,), 3, 21, activation="relu")
    model = model.replace_weights(c=model.c.abs())
    found = memory_function(model, [0.0, 0.4, 3.0])
    assert found.lower == pytest.approx(found.upper, rel=1e-9)
    assert torch.all(found.at_infinity)
    with_identity = DiagonalModel(model.layers, model.c, model.reparameterization)
    assert torch.all(found.upper <= memory_function(with_identity, [0.0, 0.4, 3.0]).upper * model.input_dim * 5)


def test_gelu_reaches_its_limit() -> None:
    """One mode: slope sup over h at t > 0 is at least the limit 1, and below sup σ' = 1.129."""
    one = torch.ones(1, dtype=F64)
    model = DiagonalModel.from_lam(-one, one[:, None], one, activation="gelu")
    found = memory_function(model, [0.0, 2.0, 5.0])
    decay = torch.exp(-torch.tensor([0.0, 2.0, 5.0], dtype=F64))
    assert found.lower[0].item() == pytest.approx(0.5, rel=1e-10)
    assert torch.all(found.lower[1:] >= decay[1:] * (1 - 1e-10))
    assert torch.all(found.upper <= 1.13 * decay)


@pytest.mark.parametrize("name", NONLINEAR)
@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize(
    "time", [{}, {"time": "discrete"}, {"time": "discrete", "step_size": 0.1, "discretization": "zoh"}]
)
@pytest.mark.parametrize("depth", [1, 2])
def test_the_bracket_holds_against_random_inputs(name: str, kind: str, time: dict[str, Any], depth: int) -> None:
    model = random_model((3, 3)[:depth], 2, 31, kind=kind, activation=name, **time)
    times = torch.tensor([0.0, 1.0, 4.0], dtype=F64)
    found = memory_function(model, times, steps=8)
    assert torch.all(found.lower <= found.upper)
    rng = np.random.default_rng(1)
    x = torch.as_tensor(rng.normal(size=(400, 2)) * 10.0 ** rng.uniform(-3, 3, size=(400, 1)))
    system = systems(model)
    if depth == 1:
        rates = one_layer_rates(system, x, times, paired=False)
    else:
        rates = march(system, x, make_plan(system, times, 1e4, nodes=32))
    worst = (rates.abs().amax(-1) / (x.abs().amax(-1, keepdim=True) + 1)).amax(0)
    assert torch.all(worst <= found.upper * (1 + 1e-9))
    # A search: for σ with kinks (or gelu far out, nearly a kink) it may miss a little, and the error of the quadrature,
    # then slow to converge, is subtracted below and not from `worst`.
    assert torch.all(found.lower >= worst * (0.97 if name in ("relu", "hardtanh", "gelu") else 1 - 1e-6))


def test_the_returned_input_gives_the_lower_end() -> None:
    model = random_model((6, 5), 3, 41, activation="tanh")
    system = systems(model)
    times = np.array([0.3, 2.0, 8.0])
    found = memory_function(model, torch.as_tensor(times))
    reference = LayeredModel(
        tuple(lam.numpy() for lam in system.lam),
        tuple(u.numpy() for u in system.drives),
        system.c[0].numpy(),
        np.tanh,
        lambda h: 1 - np.tanh(h) ** 2,
    )
    rates = np.abs(np.diagonal(heaviside_rates(reference, found.inputs.numpy(), times, rtol=1e-11)))
    assert rates / (1 + found.inputs.abs().amax(-1).numpy()) == pytest.approx(found.lower.numpy(), rel=1e-7)


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("time", ["continuous", "discrete"])
def test_bounds_are_attained_by_the_chain_and_fail_without_the_power(depth: int, time: str) -> None:
    lam = torch.tensor([-0.5 if time == "continuous" else 0.6], dtype=F64)
    U = [torch.ones(1, 4, dtype=F64) / 2, *([torch.ones(1, 1, dtype=F64)] * (depth - 1))]
    model = DiagonalModel.from_lam([lam] * depth, U, torch.ones(1, dtype=F64), time=time)
    times = torch.tensor([1.0, 3.0, 8.0], dtype=F64)
    exact = memory_function(model, times)
    system = systems(model)
    for bound in (lipschitz_upper(system, times), comparison_upper(system, times)):
        assert bound == pytest.approx(exact.upper, rel=1e-9)
        assert torch.all(bound >= exact.lower)
        assert bool((bound / times ** (depth - 1) < 0.9 * exact.lower).any())  # the mutant without t^{ℓ-1}


def test_the_mutant_without_the_power_fails_for_tanh_too() -> None:
    one = torch.ones(1, dtype=F64)
    model = DiagonalModel.from_lam([-0.1 * one] * 2, [one[:, None] * 0.01] * 2, one, activation="tanh")
    times = torch.tensor([20.0], dtype=F64)
    found = memory_function(model, times)
    upper = lipschitz_upper(systems(model), times)
    assert found.lower.item() <= upper.item()
    assert found.lower.item() > upper.item() / 20


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "hardtanh"])
def test_saturation_factor_against_a_fine_search(name: str) -> None:
    sigma = ACTIVATIONS[name]
    q = torch.tensor([0.0, 1e-8, 0.01, 0.7, 3.0, 100.0, 1e7], dtype=F64)
    s = torch.logspace(-9, 2, 400_001, dtype=F64)
    below = (sigma.slope(s) * s / (q[:, None] + s)).amax(-1)
    found = saturation_factor(sigma, q)
    assert torch.all(found >= below * (1 - 1e-14))  # the rounding of `below`
    assert torch.all(found <= 1.02 * below + 1e-12)


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("time", ["continuous", "discrete"])
def test_saturation_through_layers_lies_between(depth: int, time: str) -> None:
    """Below the comparison by row sums, which is its value without saturation; above all that the search finds."""
    model = random_model((3,) * depth, 2, 43, activation="tanh", time=time)
    model = model.replace_weights(U=[20 * model.layers[0].U, *(layer.U for layer in model.layers[1:])])
    system, times = systems(model), torch.tensor([0.0, 1.0, 4.0, 20.0], dtype=F64)
    upper = saturation_upper(system, times)
    rows = system.drives[0].abs().sum(-1, keepdim=True)
    plain = comparison_upper(System(system.lam, (rows, *system.drives[1:]), *_rest(system)), times)
    assert torch.all(upper <= 1.1 * plain)
    assert torch.all(upper[2:] < 0.5 * plain[2:])
    assert torch.all(upper >= memory_function(model, times).lower)
    # Faint weights do not saturate: the bound is then the comparison, up to the width of its cells.
    faint = System(system.lam, (1e-9 * rows, *system.drives[1:]), *_rest(system))
    assert saturation_upper(faint, times) == pytest.approx(1e-9 * plain, rel=0.1)
    assert torch.all(saturation_upper(faint, times) >= 1e-9 * plain * (1 - 1e-6))


def _rest(system: System) -> tuple[Any, ...]:
    return system.c, system.sigma, system.discrete


@pytest.mark.parametrize("kind", ["real", "complex"])
def test_batched_equals_looped(kind: str) -> None:
    models = [random_model((3, 2), 2, seed, kind=kind) for seed in range(3)]
    for name in ("identity", "tanh"):
        batch = stacked(models, name)
        found = memory_function(batch, [0.0, 0.5, 3.0])
        assert found.lower.shape == (3, 3)
        assert found.inputs.shape == (3, 3, 2)
        for index in range(3):
            alone = memory_function(batch[index], [0.0, 0.5, 3.0])
            assert found.lower[index] == pytest.approx(alone.lower, rel=1e-12, abs=1e-300)
            assert found.upper[index] == pytest.approx(alone.upper, rel=1e-12, abs=1e-300)


def stacked(models: list[DiagonalModel], name: str) -> DiagonalModel:
    depth = range(len(models[0].layers))
    lam = [torch.stack([m.lam(layer) for m in models]) for layer in depth]
    U = [torch.stack([m.layers[layer].U for m in models]) for layer in depth]
    return DiagonalModel.from_lam(lam, U, torch.stack([m.c for m in models]), activation=name)


def test_batched_full_models() -> None:
    A = torch.tensor([[[-1.0, 3.0], [0.0, -2.0]], [[-0.5, 1.0], [-1.0, -0.5]]], dtype=F64)
    B, C = torch.ones(2, 2, 1, dtype=F64), torch.ones(2, 1, 2, dtype=F64)
    found = memory_function(FullModel(A, B, C), [0.0, 2.0])
    for index in range(2):
        alone = memory_function(FullModel(A[index], B[index], C[index]), [0.0, 2.0])
        assert found.lower[index] == pytest.approx(alone.lower, rel=1e-12)


seeds = st.integers(0, 10**6)


@given(seed=seeds, depth=st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_permuting_modes_and_scaling_c_against_U(seed: int, depth: int) -> None:
    model = random_model((3, 2, 3)[:depth], 2, seed)
    times = [0.2, 3.0]
    expected = memory_function(model, times).lower
    rng = np.random.default_rng(seed)
    scale = torch.as_tensor(10 ** rng.uniform(-2, 2, size=model.hidden_dims[-1]))
    order = torch.as_tensor(rng.permutation(model.hidden_dims[-1]))
    lam = [model.lam(layer) for layer in range(depth)]
    U = [layer.U for layer in model.layers]
    lam[-1], U[-1] = lam[-1][order], (U[-1] * scale[:, None])[order]
    changed = DiagonalModel.from_lam(lam, U, (model.c / scale)[..., order])
    assert memory_function(changed, times).lower == pytest.approx(expected, rel=1e-8)


@given(seed=seeds, log_factor=st.floats(-2, 2))
@settings(max_examples=5, deadline=None)
def test_time_scaling(seed: int, log_factor: float) -> None:
    """λ → aλ, U_l → aU_l moves M(t) to a M(at): h is the same function of at."""
    factor = 10.0**log_factor
    for name in ("identity", "tanh"):
        model = random_model((2, 2), 1, seed, activation=name)
        times = torch.tensor([0.3, 2.0], dtype=F64)
        fast = DiagonalModel.from_lam(
            [factor * model.lam(layer) for layer in range(2)],
            [factor * layer.U for layer in model.layers],
            model.c,
            activation=name,
        )
        left = memory_function(fast, times / factor)
        right = memory_function(model, times)
        assert left.upper == pytest.approx(factor * right.upper, rel=1e-8)
        assert left.lower == pytest.approx(factor * right.lower, rel=1e-8 if name == "identity" else 0.02)


def test_several_outputs_give_the_largest() -> None:
    model = random_model((3, 3), 2, 51, outputs=2, activation="tanh")
    found = memory_function(model, [1.0, 4.0], steps=30)
    single = [memory_function(model.replace_weights(c=model.c[i : i + 1]), [1.0, 4.0], steps=30) for i in range(2)]
    assert found.lower == pytest.approx(torch.maximum(single[0].lower, single[1].lower), rel=1e-4)
    assert torch.all(found.upper >= torch.maximum(single[0].lower, single[1].lower))


def test_nothing_is_changed_and_seeds_repeat() -> None:
    model = random_model((3, 3), 2, 61, activation="tanh")
    before = [x.clone() for group in model.weights.values() for x in group]
    times = torch.tensor([1.0, 0.5], dtype=F64)
    first, second = memory_function(model, times, seed=3), memory_function(model, times, seed=3)
    assert torch.equal(first.inputs, second.inputs)
    assert torch.equal(times, torch.tensor([1.0, 0.5], dtype=F64))
    after = [x for group in model.weights.values() for x in group]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_upper_ends_name_their_bound() -> None:
    model = random_model((4,), 2, 71, activation="tanh")
    value, names = memory_upper(systems(model), torch.tensor([0.1, 50.0], dtype=F64))
    assert torch.all(value > 0)
    assert names in memory_function(model, [0.1, 50.0]).method


def test_bad_arguments() -> None:
    model = random_model((2, 2), 1, 81, activation="tanh")
    for times in ([], [-1.0], [math.nan], [math.inf]):
        with pytest.raises(ValueError, match="times"):
            memory_function(model, times)
    with pytest.raises(ValueError, match="starts: at least 1 is needed, got 0"):
        memory_function(model, [1.0], starts=0)
    with pytest.raises(ValueError, match="linear one is needed"):
        linear_kernel(model, torch.ones(1, dtype=F64))
    discrete = random_model((2, 2), 1, 81, activation="tanh", time="discrete")
    with pytest.raises(ValueError, match="step indices"):
        memory_function(discrete, [0.5])
    with pytest.raises(ValueError, match="at most"):
        memory_function(discrete, [10_000_000])
    restless = DiagonalModel.from_lam(
        [torch.tensor([-1e-6 + 1e4j], dtype=torch.complex128)] * 2,
        [torch.ones(1, 1, dtype=torch.complex128)] * 2,
        torch.ones(1, dtype=torch.complex128),
        activation="tanh",
    )
    with pytest.raises(ValueError, match="oscillate too often"):
        memory_function(restless, [1e3])


def test_numbers_that_overflow_give_no_nan() -> None:
    for name in ("identity", "tanh"):
        layer = Layer(torch.tensor([-1.0], dtype=torch.float64), torch.tensor([[1e300]], dtype=torch.float64))
        model = DiagonalModel((layer,), torch.tensor([1e300], dtype=torch.float64), "direct", name)  # type: ignore[arg-type]
        found = memory_function(model, [1.0])
        assert float(found.upper) == math.inf
        assert math.isfinite(float(found.lower))


def test_a_phase_that_float64_does_not_know_leaves_the_envelope() -> None:
    """ω = 1e10 at t = 1e7: the phase is lost, the bracket is still within three times 2|c||U|e^{-rt}."""
    one = torch.ones(1, dtype=torch.complex128)
    model = DiagonalModel.from_lam(torch.tensor([-1e-7 + 1e10j], dtype=torch.complex128), one[:, None], one)
    found = memory_function(model, [1e7])
    assert 0 <= found.lower.item() <= found.upper.item() <= 3.001 * 2 * math.exp(-1)
