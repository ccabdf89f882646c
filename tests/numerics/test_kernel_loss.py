"""Losses and gradients of batched kernels: against autograd, closed forms, other norms and direct simulation."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from numerics.fit_problem import LOSSES, FitProblem
from numerics.gradient_fit import kernel_loss
from numerics.gradient_start import Packing, starting_weights
from numerics.kernel_loss import KernelLoss
from numerics.loss_times import Resolution, TimeGrid, lag_covariance, plain_grid, product_grid, time_grid, white_noise
from numerics.mode_gains import gains
from numerics.models import DiagonalModel, Layer
from numerics.norms import kernel_norms
from numerics.reparameterization import Reparameterization
from numerics.targets import parse_target

CPU, DOUBLE = torch.device("cpu"), torch.float64
TARGETS = [parse_target(text) for text in ("polynomial:p=1.5", "shift", "exponential:rate=0.3")]
FS = {
    "continuous": ("exp", "softplus", "best", "direct"),
    "discrete": ("exp", "tanh", "best:b=0.8", "direct"),
}


def problem(time: str, is_complex: bool, loss: str, d: int = 1, m: int = 3, horizon: float = 14.0) -> FitProblem:
    """Four rows that differ in targets, f and kind of modes."""
    return FitProblem(
        tuple(tuple(TARGETS[(row + i) % 3] for i in range(d)) for row in range(4)),
        tuple(Reparameterization(text, time) for text in FS[time]),
        (0, 1, 2, 3),
        m,
        ("plain", "unit-norm", "unit-norm", "plain"),
        is_complex,
        time,
        0.5,
        loss,
        horizon,
    )


def weights(given: FitProblem) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Random weights; those of `direct` are stable."""
    generator = torch.Generator().manual_seed(11)
    normal = lambda *shape: torch.randn(4, *shape, dtype=DOUBLE, generator=generator)  # noqa: E731
    m = given.m
    w, U, c = normal(m), normal(m, given.input_dim), normal(m)
    w[3] = torch.linspace(-0.9, 0.8, m) if given.time == "discrete" else -w[3].abs()
    return (w, U, torch.complex(c, normal(m)), normal(m)) if given.is_complex else (w, U, c, None)


def random_grid(given: FitProblem) -> TimeGrid:
    """29 times in 5 rows of 6, with random quadrature weights."""
    random = np.random.default_rng(2)
    return product_grid(1.0 if given.time == "discrete" else 0.5, random.random(29), random.random(29))


def dense_loss(
    given: FitProblem, grid: TimeGrid, row: int, w: Tensor, U: Tensor, c: Tensor, omega: Any, C: Any
) -> Tensor:
    """The loss of one row by the equations of the model, with all exponentials, for autograd."""
    discrete, times = given.time == "discrete", torch.from_numpy(grid.times.ravel())
    f = given.reparameterizations[row](w)
    lam = f
    if omega is not None:
        lam = f * torch.exp(1j * omega) if discrete else torch.complex(f, omega)
    nu = torch.ones_like(f)
    if given.modes[row] == "unit-norm":
        nu = (1 - f.abs()) / (2 - f.abs() + (1 - lam).abs()) if discrete else -f / (1 - f + lam.abs())
    modes = lam ** times[:, None] if discrete else torch.exp(lam * times[:, None])
    errors, slopes = [], []
    for target, column in zip(given.targets[row], U.mT, strict=True):
        kernel, slope = (modes @ (c * nu * column * factor) for factor in (1.0, lam - 1 if discrete else lam))
        if given.is_complex:
            kernel, slope = 2 * kernel.real, 2 * slope.real
        t, delta = grid.times.ravel(), given.step_size
        rho = delta * target.rho(delta * t) if discrete else target.rho(t)
        change = delta * target.rho(delta * (t + 1)) - rho if discrete else target.slope(t)
        errors.append(torch.from_numpy(rho) - kernel)
        slopes.append(torch.from_numpy(change) - slope)
    e, q = torch.stack(errors), torch.from_numpy(grid.weights.ravel())
    if given.loss == "sequences":
        lags = e[:, : C.shape[1]].flatten()
        return lags @ torch.from_numpy(C.reshape(len(lags), -1)) @ lags
    if given.loss == "l2":
        return (q * e**2).sum()
    jumps = sum(abs(size) for target in given.targets[row] for time, size in target.jumps if time < given.horizon)
    changes = (torch.from_numpy(grid.slope_weights.ravel()) * torch.stack(slopes).abs()).sum()
    return (q * e.abs()).sum() + changes + (0.0 if discrete else jumps)


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize(("time", "is_complex", "loss"), list(product(FS, (False, True), LOSSES)))
def test_losses_and_gradients_are_those_of_autograd(time: str, is_complex: bool, loss: str, d: int) -> None:
    given = problem(time, is_complex, loss, d)
    grid, theta, C = random_grid(given), weights(given), None
    if loss == "sequences":
        root = np.random.default_rng(3).standard_normal((d * 28, 100))
        C = (root @ root.T).reshape(d, 28, d, 28)
    found, f, gradients = KernelLoss(given, grid, CPU, DOUBLE, covariance=C).rows(range(4))(*theta)
    for row in range(4):
        leaves = [x[row].clone().requires_grad_() for x in theta if x is not None]
        expected = dense_loss(given, grid, row, *(leaves if is_complex else [*leaves, None]), C)
        assert float(found[row]) == pytest.approx(float(expected.detach()), rel=1e-13)
        assert torch.equal(f[row], given.reparameterizations[row](theta[0][row]))
        for gradient, by in zip(gradients, torch.autograd.grad(expected, leaves), strict=False):
            # the least gradients come out of cancelling terms of the size of the loss
            size = float(by.abs().max() + expected.detach().abs())
            assert torch.allclose(gradient[row], by, rtol=1e-12, atol=1e-13 * size)


def test_gradients_at_zero_eigenvalues_in_discrete_time() -> None:
    """λ = 0 is nothing special: λ^0 = 1, and the slope of λ^1 there is 1."""
    given = problem("discrete", False, "l2", m=2).rows([3])
    w, c = torch.tensor([[0.0, -0.4]], dtype=DOUBLE), torch.tensor([[0.7, -0.2]], dtype=DOUBLE)
    U = torch.ones(1, 2, 1, dtype=DOUBLE)
    grid = random_grid(given)
    _, _, gradients = KernelLoss(given, grid, CPU, DOUBLE).rows([0])(w, U, c, None)
    rho, q = 0.5 * given.targets[0][0].rho(0.5 * grid.times.ravel()), grid.weights.ravel()
    k = np.arange(30)
    error = rho - 0.7 * (k == 0) + 0.2 * (-0.4) ** k
    assert float(gradients.w[0, 0]) == pytest.approx(-2 * q[1] * error[1] * 0.7, rel=1e-13)
    assert float(gradients.c[0, 0]) == pytest.approx(-2 * q[0] * error[0], rel=1e-13)


@pytest.mark.parametrize(("discrete", "is_complex"), list(product((False, True), (False, True))))
def test_gains_are_those_of_the_models_and_their_derivatives_those_of_autograd(
    discrete: bool, is_complex: bool
) -> None:
    f = torch.tensor([[-0.7, 0.2, 0.95]] if discrete else [[-0.01, -1.0, -30.0]], dtype=DOUBLE)
    omega = torch.tensor([[0.1, 2.0, -1.0]], dtype=DOUBLE) if is_complex else None
    direct = Reparameterization("direct", "discrete" if discrete else "continuous")
    model = DiagonalModel(
        (Layer(f, torch.ones(1, 3, 1, dtype=DOUBLE), omega),),
        torch.ones(1, 3, dtype=DOUBLE),
        direct,
        modes="unit-norm",
        time=direct.time,
    )
    found = gains(f, omega, discrete, torch.tensor([[True]]))
    assert torch.allclose(found.nu, model.gain(), rtol=1e-14, atol=0)
    leaves = [x.clone().requires_grad_() for x in (f, omega) if x is not None]
    lam = leaves[0]
    if is_complex:
        lam = leaves[0] * torch.exp(1j * leaves[1]) if discrete else torch.complex(*leaves)
    size = leaves[0].abs()
    nu = (1 - size) / (2 - size + (1 - lam).abs()) if discrete else -leaves[0] / (1 - leaves[0] + lam.abs())
    for derivative, by in zip(found[1:], torch.autograd.grad(nu.sum(), leaves), strict=False):
        assert torch.allclose(derivative, by, rtol=1e-12, atol=1e-15)
    plain = gains(f, omega, discrete, torch.tensor([[False]]))
    assert torch.equal(plain.nu, torch.ones_like(f))
    assert torch.equal(plain.by_f, torch.zeros_like(f))


# Times


@pytest.mark.parametrize("count", [1, 2, 7, 24, 29, 1000, 997])
def test_product_grid_holds_every_time_once(count: int) -> None:
    grid = product_grid(0.25, np.arange(1.0, count + 1))
    counted = grid.weights.ravel() > 0
    assert np.array_equal(grid.times.ravel()[counted], 0.25 * np.arange(count))
    assert np.array_equal(grid.weights.ravel()[:count], np.arange(1.0, count + 1))
    assert len(grid.outer) + len(grid.inner) <= 3 * math.sqrt(count) + 2


@pytest.mark.parametrize(("time", "is_complex", "loss"), list(product(FS, (False, True), ("l2", "w1inf"))))
def test_products_of_exponentials_are_the_exponentials(time: str, is_complex: bool, loss: str) -> None:
    given = problem(time, is_complex, loss)
    grid, theta = random_grid(given), weights(given)
    plain = plain_grid(grid.times.ravel(), grid.weights.ravel(), grid.slope_weights.ravel())
    found = KernelLoss(given, grid, CPU, DOUBLE).rows(range(4))(*theta)
    expected = KernelLoss(given, plain, CPU, DOUBLE).rows(range(4))(*theta)
    assert torch.allclose(found[0], expected[0], rtol=1e-13, atol=0)
    for one, other in zip(found[2], expected[2], strict=True):
        if one is not None:
            assert torch.allclose(one, other, rtol=1e-11, atol=1e-13 * float(other.abs().max()))


class _Largest(TorchDispatchMode):
    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and not func._schema.name.startswith("aten::expand"):
            self.numbers = max(self.numbers, result.numel())
        return result


def test_no_exponential_is_formed_for_every_mode_and_time() -> None:
    given = FitProblem(
        ((TARGETS[0],),) * 8, (Reparameterization("exp"),) * 8, (0,) * 8, 16, ("plain",) * 8, horizon=100.0
    )
    loss = kernel_loss(given, CPU, DOUBLE, points=1000).rows(range(8))
    theta = Packing(given).split(starting_weights(given))
    with _Largest() as largest:
        loss(*theta)
    assert largest.numbers <= 8 * max(1000, 2 * 16 * 40)


# Closed forms


def single(rate: float, a: float, *, loss: str, time: str = "continuous", **settings: Any) -> tuple[FitProblem, Any]:
    """One row with one real mode a e^{-rate t} (discrete: a rate^k) under `direct`, and the loss e^{-0.3t} minus it."""
    given = FitProblem(
        ((TARGETS[2],),), (Reparameterization("direct", time),), (0,), 1, ("plain",), time=time, loss=loss, **settings
    )
    w = torch.tensor([[rate if time == "discrete" else -rate]], dtype=DOUBLE)
    theta = (w, torch.full((1, 1, 1), a, dtype=DOUBLE), torch.ones(1, 1, dtype=DOUBLE), None)
    return given, theta


def test_l2_over_all_times() -> None:
    """∫(e^{-rt} - a e^{-st})² = 1/2r - 2a/(r+s) + a²/2s, with nodes that resolve energies to 1e-3 at worst."""
    r, s, a = 0.3, 1.1, 1.7
    given, theta = single(s, a, loss="l2")
    value, _, gradients = kernel_loss(given, CPU, DOUBLE).rows([0])(*theta)
    assert float(value) == pytest.approx(1 / (2 * r) - 2 * a / (r + s) + a**2 / (2 * s), rel=1e-8)
    assert float(gradients.U) == pytest.approx(-2 / (r + s) + a / s, rel=1e-8)
    assert float(gradients.w) == pytest.approx(-(2 * a / (r + s) ** 2 - a**2 / (2 * s**2)), rel=1e-8)


def test_uniform_points_are_the_trapezoidal_rule() -> None:
    """Its error falls by 4 when the step is halved, to the finite integral in closed form."""
    r, s, a, T = 0.3, 1.1, 1.7, 6.0
    given, theta = single(s, a, loss="l2", horizon=T)
    part = lambda x: -math.expm1(-x * T) / x  # noqa: E731
    exact = part(2 * r) - 2 * a * part(r + s) + a**2 * part(2 * s)
    errors = [float(kernel_loss(given, CPU, DOUBLE, points=n).rows([0])(*theta)[0]) - exact for n in (101, 201, 401)]
    assert errors[0] / errors[1] == pytest.approx(4, abs=0.02)
    assert errors[1] / errors[2] == pytest.approx(4, abs=0.01)
    whole = kernel_loss(given, CPU, DOUBLE).rows([0])(*theta)[0]
    assert float(whole) == pytest.approx(exact, rel=1e-8)


def test_l2_over_steps() -> None:
    """Σ_{k<K} (Δq^k - aλ^k)² in closed form; K = 100 one by one, 10^5 and all steps lumped, λ of both signs."""
    delta, a = 0.5, 0.4
    q = math.exp(-0.3 * delta)
    for lam, horizon in product((0.9, -0.6, 0.0), (100.0, 1e5, math.inf)):
        given, theta = single(lam, a, loss="l2", time="discrete", step_size=delta, horizon=horizon)
        part = lambda x, K=horizon: (1 - x**K) / (1 - x)  # noqa: E731
        exact = delta**2 * part(q * q) - 2 * a * delta * part(q * lam) + a**2 * part(lam * lam)
        found = kernel_loss(given, CPU, DOUBLE).rows([0])(*theta)[0]
        assert float(found) == pytest.approx(exact, rel=1e-12 if horizon == 100 else 1e-6)


def test_w1inf_is_the_norm_of_the_kernel() -> None:
    """∫|e| + |e(0)| + ∫|e'| by another module; the nodes do not sit on the changes of sign, hence 1 %."""
    given, theta = single(1.1, 1.7, loss="w1inf")
    norms = kernel_norms(TARGETS[2], np.array([[1.7]]), np.array([[-1.1]]))
    expected = float(np.ravel(norms.size)[0] + np.ravel(norms.change)[0])
    found = kernel_loss(given, CPU, DOUBLE).rows([0])(*theta)[0]
    assert float(found) == pytest.approx(expected, rel=1e-2)
    finite, theta = single(1.1, 1.7, loss="w1inf", horizon=200.0)
    found = kernel_loss(finite, CPU, DOUBLE, points=200_001).rows([0])(*theta)[0]
    assert float(found) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("lam", [0.9, -0.5])
def test_w1inf_over_steps(lam: float) -> None:
    """Σ_{k<K} |e_k| + Σ_{k<K} |e_k - e_{k-1}| with e_{-1} = 0, one by one."""
    given, theta = single(lam, 0.4, loss="w1inf", time="discrete", step_size=0.5, horizon=37.0)
    k = np.arange(37)
    e = 0.5 * np.exp(-0.15 * k) - 0.4 * lam**k
    found = kernel_loss(given, CPU, DOUBLE).rows([0])(*theta)[0]
    assert float(found) == pytest.approx(np.abs(e).sum() + np.abs(np.diff(e, prepend=0.0)).sum(), rel=1e-13)


def test_jumps_of_the_target_count_before_the_horizon() -> None:
    """shift jumps by 1 at 9 and at 11, which the slopes between do not see."""
    for horizon, jumps in ((14.0, 2.0), (10.0, 1.0), (math.inf, 2.0)):
        row = FitProblem(
            ((TARGETS[1],),), (Reparameterization("exp"),), (0,), 1, ("plain",), loss="w1inf", horizon=horizon
        )
        zero = (torch.zeros(1, 1).double(), torch.zeros(1, 1, 1).double(), torch.zeros(1, 1).double(), None)
        found = kernel_loss(row, CPU, DOUBLE).rows([0])(*zero)[0]
        assert float(found) == pytest.approx(jumps + min(horizon, 11.0) - 9.0, rel=1e-12)


# Sequences


@pytest.mark.parametrize(("time", "is_complex", "d"), [("continuous", False, 1), ("discrete", True, 2)])
def test_sequences_are_the_mean_squared_error_of_a_simulation(time: str, is_complex: bool, d: int) -> None:
    given = problem(time, is_complex, "sequences", d)
    theta, noise = weights(given), white_noise(given, 5, 9)
    steps = noise.shape[1]
    assert steps == (28 if time == "continuous" else 14)
    found = kernel_loss(given, CPU, DOUBLE, sequences=5, data_seed=9).rows(range(4))(*theta)[0]
    w, U, c, omega = theta
    for row in range(4):
        layer = Layer(w[row], U[row], None if omega is None else omega[row])
        f = given.reparameterizations[row]
        model = DiagonalModel((layer,), c[row], f, modes=given.modes[row], time=time)
        k, delta = np.arange(steps), given.step_size
        kernel = model.impulse_response(k if time == "discrete" else delta * k)[:, 0].numpy()
        rho = np.stack([target.rho(delta * k) for target in given.targets[row]], axis=1)
        lags = delta * rho - (kernel if time == "discrete" else delta * kernel)
        outputs = np.array(
            [[sum(lags[j] @ x[k - j] for j in range(k + 1)) for k in range(steps)] for x in noise]  # y - ŷ, in a loop
        )
        assert float(found[row]) == pytest.approx((outputs**2).mean(), rel=1e-12)


def test_lag_covariance_of_many_sequences_is_nearly_diagonal() -> None:
    """(1 - j/K) δ: the entries' standard error is at most √(2/N) at N sequences, here 0.0045; five of them."""
    K, N = 6, 100_000
    C = lag_covariance(np.random.default_rng(0).standard_normal((N, K, 2)))
    expected = np.einsum("jl,ab->ajbl", np.diag(1 - np.arange(K) / K), np.eye(2))
    assert np.abs(C - expected).max() < 5 * math.sqrt(2 / N)


# Rows


def test_rows_of_a_batch_do_not_know_of_each_other() -> None:
    given = problem("continuous", True, "w1inf", d=2)
    whole = KernelLoss(given, random_grid(given), CPU, DOUBLE)
    theta = weights(given)
    together = whole.rows(range(4))(*theta)
    for row in range(4):
        alone = whole.rows([row])(*(x[row : row + 1] for x in theta))  # type: ignore[index]
        assert torch.allclose(alone[0], together[0][row], rtol=1e-14)
        for one, many in zip(alone[2], together[2], strict=True):
            assert torch.allclose(one[0], many[row], rtol=1e-11, atol=1e-13)  # type: ignore[index]


def test_stable_and_resolved_rows() -> None:
    given = problem("continuous", False, "l2", m=2)
    loss = KernelLoss(given, random_grid(given), CPU, DOUBLE, resolution=Resolution(0.1, 10.0, 3.0)).rows(range(4))
    f = torch.tensor([[-1.0, -9.0], [-1.0, 0.0], [-0.05, -1.0], [-11.0, -1.0]]).double()
    assert loss.is_stable(f).tolist() == [True, False, True, True]
    assert loss.is_resolved(f, None).tolist() == [True, False, False, False]
    omega = torch.tensor([[0.0, -2.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]).double()
    assert loss.is_resolved(f, omega).tolist() == [True, False, False, False]
    assert not loss.is_resolved(f, 2 * omega).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "sequences", "horizon": 0.2}, "horizon: 0.2 is not one step"),
        ({"time": "discrete", "horizon": 0.5}, "horizon: at least 1 step is needed, got 0.5"),
        ({"time": "discrete", "horizon": 1e6, "loss": "w1inf"}, "horizon: at most 65536 steps are possible for w1inf"),
        ({"horizon": math.inf, "points": 10}, "points: uniform times need a finite horizon"),
        ({"horizon": 3.0, "points": 1}, "points: at least 2 is needed, got 1"),
    ],
)
def test_times_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    points = settings.pop("points", None)
    given, _ = single(0.5, 1.0, **{"loss": "l2", **settings})
    with pytest.raises(ValueError, match=message):
        time_grid(given, points)
