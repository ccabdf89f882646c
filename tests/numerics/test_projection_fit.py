"""Optimal mode against closed forms, SciPy, autograd and itself."""

import dataclasses
import math

import mpmath
import numpy as np
import pytest
import torch
from scipy.optimize import least_squares as scipy_least_squares
from scipy.optimize import minimize as scipy_minimize

from numerics.fit_problem import RESULTS, FitProblem, Result
from numerics.kernel_columns import KernelColumns
from numerics.levenberg_marquardt import minimize, start_search
from numerics.norms import kernel_norm
from numerics.projection import curvature, jacobian_rank, project
from numerics.projection_fit import fit_optimal
from numerics.rate_evaluation import Evaluator, RateMap
from numerics.reparameterization import Reparameterization
from numerics.targets import callable_target, parse_target
from numerics.time_nodes import sampled_nodes, time_nodes

CPU = torch.device("cpu")


def problem(spec, m, fs=("exp",), rows=None, seeds=None, modes="plain", **settings):
    """One row for every f, or so many rows; several targets are separated by ';'."""
    rows = len(fs) if rows is None else rows
    targets = tuple(parse_target(each) for each in spec.split(";"))
    time = settings.get("time", "continuous")
    return FitProblem(
        targets=(targets,) * rows,
        reparameterizations=tuple(Reparameterization(fs[row % len(fs)], time) for row in range(rows)),
        seeds=tuple(range(rows)) if seeds is None else seeds,
        m=m,
        modes=(modes,) * rows,
        **settings,
    )


def kernel(fits, row):
    """λ (m,) and the coefficients (m, d) of ρ̂ = Σ C e^{λt}, or its half where modes are complex."""
    model = fits.model(row)
    return model.lam().numpy(), (model.c[0, :, None] * model.gain()[:, None] * model.layers[0].U).numpy()


# Derivatives


CASES = {
    "real": ("polynomial:p=1.5", 4, {}),
    "two inputs": ("polynomial:p=1.5;two-part", 3, {}),
    "complex": ("airy", 3, {"is_complex": True}),
    "complex, two inputs": ("airy;two-part", 2, {"is_complex": True}),
    "discrete": ("polynomial:p=1.5", 3, {"time": "discrete", "horizon": 300.0}),
    "complex discrete": ("airy", 2, {"time": "discrete", "horizon": 60.0, "is_complex": True}),
}


def evaluator_of(name, f):
    """Its evaluator, three random θ, and the parts of the problem."""
    spec, m, settings = CASES[name]
    targets = [parse_target(each) for each in spec.split(";")]
    discrete = settings.get("time") == "discrete"
    is_complex = settings.get("is_complex", False)
    nodes = time_nodes(targets, m, **settings)
    columns = KernelColumns(nodes, targets, m, is_complex=is_complex)
    kind = Reparameterization(f, "discrete" if discrete else "continuous")
    rates = RateMap([kind] * 3, m, is_complex=is_complex, is_discrete=discrete, device=CPU)
    generator = np.random.default_rng(5)
    size = np.exp(-np.exp(np.linspace(-3, 0.5, m))) if discrete else -np.exp(np.linspace(-2, 1, m))
    w = kind.inverse(torch.from_numpy(size * np.exp(-0.1 * generator.random((3, m)))))
    omega = torch.from_numpy(generator.uniform(0.1, 2, (3, m)))
    return Evaluator(columns, rates), torch.cat([w, omega], 1) if is_complex else w


def plain_loss(evaluator, theta):
    """|P⊥Y|² by an explicit orthonormal basis, differentiable."""
    columns, m = evaluator.columns, evaluator.rates.m
    f = evaluator.rates._functions[0]
    value = f(theta[:, :m])
    if evaluator.rates.is_complex and columns.is_discrete:
        lam = torch.polar(value, theta[:, m:])
    else:
        lam = torch.complex(value, theta[:, m:]) if evaluator.rates.is_complex else value
    times, half = columns.times, columns.half_log
    powers = lam[..., None] ** times if columns.is_discrete else torch.exp(lam[..., None] * times)
    z = torch.exp(half) * powers
    rows = torch.cat([z.real, z.imag], 1) if z.is_complex() else z
    rows = rows if columns.basis is None else rows @ columns.basis
    q, _ = torch.linalg.qr(rows.mT)
    target = columns.target.expand(len(theta), -1, -1)
    return (target - (target @ q) @ q.mT).square().sum((1, 2))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("f", ["direct", "softplus"])
def test_the_gradient_is_that_of_automatic_differentiation(name, f):
    evaluator, theta = evaluator_of(name, f)
    leaf = theta.clone().requires_grad_()
    loss = plain_loss(evaluator, leaf)
    (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    found = evaluator(theta, torch.arange(3))
    torch.testing.assert_close(found.loss, loss.detach(), rtol=1e-9, atol=0)
    scale = gradient.abs().max()
    torch.testing.assert_close(2 * found.gradient, gradient, rtol=1e-7, atol=1e-9 * float(scale))


@pytest.mark.parametrize("name", CASES)
def test_the_jacobian_is_kaufmans(name):
    """JᵀJ against P⊥ applied to difference quotients of A C with C held fixed."""
    evaluator, theta = evaluator_of(name, "direct")
    columns, rows = evaluator.columns, torch.arange(3)
    found = evaluator(theta, rows)
    p = columns.columns
    system, _ = columns.system(evaluator.rates(theta, rows)[0])
    q, _ = torch.linalg.qr(system[:, :p].mT)

    def values(theta):
        return columns.system(evaluator.rates(theta, rows)[0])[0][:, :p].mT @ found.coef  # (B, N, d)

    step = 1e-6
    jacobian = []
    for k in range(theta.shape[1]):
        move = torch.zeros_like(theta)
        move[:, k] = step
        slope = (values(theta + move) - values(theta - move)) / (2 * step)
        jacobian.append((slope - q @ (q.mT @ slope)).flatten(1))
    stacked = torch.stack(jacobian, -1)
    wanted = stacked.mT @ stacked
    scale = float(wanted.abs().amax())
    torch.testing.assert_close(found.normal, wanted, rtol=1e-6, atol=1e-8 * scale)


@pytest.mark.parametrize("name", ["real", "complex", "discrete", "complex discrete"])
def test_half_the_hessian_is_exact_at_a_minimum(name):
    """By differences of the gradient, whose own Jacobian is twice `hessian` where it vanishes (one input)."""
    evaluator, theta = evaluator_of(name, "softplus")
    search = minimize(evaluator, start_search(evaluator, theta), 200, 1e-14)
    theta = search.theta[:1]
    rows = torch.arange(1)
    found = evaluator(theta, rows)
    step = 1e-4
    columns = []
    for k in range(theta.shape[1]):
        move = torch.zeros_like(theta)
        move[:, k] = step
        columns.append((evaluator(theta + move, rows).gradient - evaluator(theta - move, rows).gradient) / (2 * step))
    wanted = torch.stack(columns, -1)
    scale = found.normal.diagonal(dim1=1, dim2=2).sqrt()
    scaled = (found.hessian - wanted) / (scale[:, :, None] * scale[:, None, :])
    assert float(scaled.abs().max()) < 1e-4
    gauss = (found.normal - wanted) / (scale[:, :, None] * scale[:, None, :])
    assert float(gauss.abs().max()) > 10 * float(scaled.abs().max())  # the diagonal is needed


def test_the_rank_counts_what_moves_the_kernel():
    """Two equal rates share one column; d(coef e^{λt}) then has rank m - 1 at least once."""
    target = parse_target("polynomial:p=1.5")
    columns = KernelColumns(time_nodes([target], 3), [target], 3)
    lam = -torch.tensor([[0.1, 1.0, 4.0]], dtype=torch.float64)
    phi = torch.ones_like(lam)[:, None]
    system, _ = columns.system(lam)
    assert jacobian_rank(system, 3, phi).tolist() == [3]
    assert jacobian_rank(system, 3, phi * torch.tensor([1.0, 1.0, 0.0])).tolist() == [2]  # f' = 0 there


def test_curvature_of_no_residual_is_none():
    coef = torch.ones(2, 3, 1, dtype=torch.float64)
    assert not curvature(torch.zeros_like(coef), coef, torch.ones(2, 1, 3, dtype=torch.float64)).any()


# Optima


def exact_loss(x, p):
    """min over c of ∫ ((1+t)^{-p} - Σ c e^{-xt})² in closed form: 1/(2p-1) - bᵀG⁻¹b, b = e^x E_p(x), G = 1/(x+y)."""
    with mpmath.workdps(40):
        b = mpmath.matrix([mpmath.exp(r) * mpmath.expint(p, r) for r in x])
        gram = mpmath.matrix([[1 / mpmath.mpf(r + s) for s in x] for r in x])
        return float(1 / mpmath.mpf(2 * p - 1) - (b.T * mpmath.lu_solve(gram, b))[0])


@pytest.mark.parametrize("p", [0.75, 1.5, 3.0])
@pytest.mark.parametrize("m", [1, 2])
def test_the_optimum_of_one_and_two_modes_in_closed_form(p, m):
    fits = fit_optimal(problem(f"polynomial:p={p}", m))
    assert fits.results() == [Result.CONVERGED]
    lam, _ = kernel(fits, 0)
    assert float(fits.loss[0]) == pytest.approx(exact_loss(-lam, p), rel=1e-6)
    best = scipy_minimize(
        lambda y: exact_loss(np.exp(y), p), np.log(-lam) + 0.3, method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-13, "maxiter": 400},
    )  # fmt: skip
    assert float(fits.loss[0]) == pytest.approx(best.fun, rel=1e-6)
    assert np.sort(-lam) == pytest.approx(np.sort(np.exp(best.x)), rel=2e-3)


@pytest.mark.parametrize(("p", "m"), [(1.5, 4), (2.0, 8), (3.0, 8)])
def test_every_start_finds_one_optimum_whose_loss_is_that_of_the_closed_form(p, m):
    fits = fit_optimal(problem(f"polynomial:p={p}", m, rows=6), starts=1)
    assert set(fits.results()) == {Result.CONVERGED}
    assert fits.loss.tolist() == pytest.approx([float(fits.loss[0])] * 6, rel=1e-6)
    lam, coef = kernel(fits, 0)
    assert float(fits.loss[0]) == pytest.approx(exact_loss(-lam, p), rel=1e-5)
    assert np.all(coef > 0)  # the best sum for a completely monotone kernel (Braess)
    assert fits.rank.tolist() == [m] * 6


def test_scipy_finds_nothing_better_near_by():
    target = parse_target("polynomial:p=1.5")
    times = np.linspace(0, 100, 1000)
    fits = fit_optimal(problem("polynomial:p=1.5", 6, horizon=100.0), nodes=sampled_nodes(times))
    lam, coef = kernel(fits, 0)
    residual = lambda y: math.sqrt(0.1) * (np.exp(-np.outer(times, np.exp(y[:6]))) @ y[6:] - target.rho(times))  # noqa: E731
    start = np.concatenate([np.log(-lam), coef[:, 0]])
    assert float(fits.loss[0]) == pytest.approx(np.sum(residual(start) ** 2), rel=1e-9)
    other = scipy_least_squares(residual, start, ftol=1e-15, xtol=1e-15, gtol=1e-15, max_nfev=50, x_scale="jac")
    assert 2 * other.cost >= float(fits.loss[0]) * (1 - 1e-6)
    far = start + np.random.default_rng(1).standard_normal(12) * np.repeat([0.3, 0.0], 6)
    other = scipy_least_squares(residual, far, ftol=1e-13, xtol=1e-13, gtol=1e-13, max_nfev=400, x_scale="jac")
    assert 2 * other.cost >= float(fits.loss[0]) * (1 - 1e-6)


def test_sums_of_exponentials_are_recovered():
    spec = "exponential:rate=0.1+exponential:rate=1:scale=-2+exponential:rate=7"
    fits = fit_optimal(problem(spec, 3, ("direct", "exp")), starts=6)
    for row in range(2):
        lam, coef = kernel(fits, row)
        order = np.argsort(-lam)
        assert -lam[order] == pytest.approx([0.1, 1, 7], rel=1e-6)
        assert coef[order, 0] == pytest.approx([1, -2, 1], rel=1e-6)
    assert set(fits.results()) == {Result.CONVERGED}
    assert float(fits.loss.max()) < 1e-24


@pytest.mark.parametrize("m", [2, 8])
def test_the_error_does_not_depend_on_f(m):
    fs = ("direct", "exp", "softplus", "reciprocal:b=0.001", "-exp(w)/2", "-w**2-1/10**9")
    fits = fit_optimal(problem("polynomial:p=1.5", m, fs))
    assert fits.loss.tolist() == pytest.approx([float(fits.loss[0])] * len(fs), rel=1e-6)
    for row in range(len(fs)):
        model = fits.model(row)
        assert float(model.reparameterization(fits.w[row]).max()) < 0


def test_a_bounded_range_is_kept_and_costs():
    fits = fit_optimal(problem("polynomial:p=1.5", 8, ("exp", "best:b=0.5", "sigmoid")), starts=3)
    fast = [np.abs(kernel(fits, row)[0]).max() for row in range(3)]
    assert fast[0] > 3
    assert fast[1] <= 2
    assert fast[2] <= 1
    assert float(fits.loss[0]) < float(fits.loss[1]) < float(fits.loss[2])


def test_rates_that_f_cannot_slow_down_to_are_not_asked_for():
    fits = fit_optimal(problem("polynomial:p=1.5", 3, ("-1-exp(w)", "-1/2-w**2")), starts=2)
    assert np.abs(kernel(fits, 0)[0]).min() >= 1
    assert np.abs(kernel(fits, 1)[0]).min() >= 0.5
    assert Result.DIVERGED not in fits.results()


def test_sixty_four_modes_saturate_without_nan():
    fits = fit_optimal(problem("polynomial:p=1.5", 64, ("exp", "direct"), horizon=100.0), steps=15)
    for tensor in (fits.w, fits.U, fits.c, fits.loss):
        assert bool(torch.isfinite(tensor).all())
    assert float(fits.loss.max()) < 1e-22
    assert Result.DIVERGED not in fits.results()


# Complex modes, several inputs, discrete time


def damped(lam, size):
    rho = lambda t: 2 * np.real(np.exp(np.multiply.outer(t, lam)) @ size)  # noqa: E731
    slope = lambda t: 2 * np.real(np.exp(np.multiply.outer(t, lam)) @ (size * lam))  # noqa: E731
    return callable_target(rho, slope, support=200.0, time_scales=(0.5, 5.0), name="damped")


def test_damped_cosines_are_recovered():
    lam, size = np.array([-0.2 + 1.5j, -0.5 + 0.4j]), np.array([1.0, 0.3 - 0.8j])
    rows = dataclasses.replace(problem("airy", 2, is_complex=True), targets=((damped(lam, size),),))
    fits = fit_optimal(rows)
    found, coef = kernel(fits, 0)
    found, coef = np.where(found.imag < 0, found.conj(), found), np.where(found.imag < 0, coef[:, 0].conj(), coef[:, 0])
    order = np.argsort(found.real)
    assert found[order] == pytest.approx(np.array([-0.5 + 0.4j, -0.2 + 1.5j]), rel=1e-7)
    assert coef[order] == pytest.approx(size[::-1], rel=1e-6)


@pytest.mark.parametrize("spec", ["airy", "shift", "two-part"])
def test_complex_modes_do_better_where_targets_oscillate_or_jump(spec):
    real = fit_optimal(problem(spec, 4))
    paired = fit_optimal(problem(spec, 2, is_complex=True))  # the same number of parameters
    assert float(paired.loss[0]) < 0.9 * float(real.loss[0])


def test_two_inputs_share_the_rates():
    specs = ["polynomial:p=1.5", "polynomial:p=3"]
    fits = fit_optimal(problem(";".join(specs), 3))
    lam, coef = kernel(fits, 0)
    assert coef.shape == (3, 2)
    assert float(fits.loss[0]) == pytest.approx(exact_loss(-lam, 1.5) + exact_loss(-lam, 3.0), rel=1e-5)
    best = scipy_minimize(
        lambda y: exact_loss(np.exp(y), 1.5) + exact_loss(np.exp(y), 3.0), np.log(-lam) + 0.1, method="Nelder-Mead",
        options={"xatol": 1e-6, "fatol": 1e-12, "maxiter": 600},
    )  # fmt: skip
    assert float(fits.loss[0]) == pytest.approx(best.fun, rel=1e-5)


def test_discrete_sums_of_powers_are_recovered_negative_ones_too():
    rho = lambda t: 0.9**t + 2 * np.cos(np.pi * t) * 0.7**t  # noqa: E731
    target = callable_target(rho, support=400.5, time_scales=(1.0, 10.0), name="powers")
    rows = problem("airy", 2, ("direct", "tanh"), time="discrete", horizon=400.0)
    fits = fit_optimal(dataclasses.replace(rows, targets=((target,),) * 2), starts=12)
    good = [row for row in range(2) if float(fits.loss[row]) < 1e-18]
    assert good
    lam, coef = kernel(fits, good[0])
    order = np.argsort(lam)
    assert lam[order] == pytest.approx([-0.7, 0.9], rel=1e-8)
    assert coef[order, 0] == pytest.approx([2, 1], rel=1e-8)


def test_a_discrete_loss_is_the_sum_over_steps_of_the_scaled_target():
    fits = fit_optimal(problem("polynomial:p=1.5", 3, time="discrete", step_size=0.25, horizon=500.0))
    steps = torch.arange(500)
    wanted = 0.25 * parse_target("polynomial:p=1.5").rho(0.25 * np.arange(500))
    response = fits.model(0).impulse_response(steps).flatten().numpy()
    assert float(fits.loss[0]) == pytest.approx(np.sum((wanted - response) ** 2), rel=1e-8)


def test_complex_discrete_modes():
    target = callable_target(lambda t: 0.9**t * np.cos(0.8 * t), support=200.5, time_scales=(1.0, 10.0), name="turning")
    rows = dataclasses.replace(
        problem("airy", 1, ("sigmoid",), time="discrete", is_complex=True, horizon=150.0), targets=((target,),)
    )
    fits = fit_optimal(rows)
    assert float(fits.loss[0]) < 1e-20
    lam, coef = kernel(fits, 0)
    assert abs(lam[0]) == pytest.approx(0.9, rel=1e-9)
    assert abs(np.angle(lam[0])) == pytest.approx(0.8, rel=1e-9)
    assert coef[0, 0] == pytest.approx(0.5, rel=1e-8)


# Batches, starts, modes


def test_a_row_does_not_depend_on_its_batch():
    """Loss and random numbers; both runs end where a step lowers the loss by less than 1e-8 of it."""
    fs = ("exp", "direct", "softplus")
    whole = problem("polynomial:p=1.5", 5, fs, rows=9)
    mixed = dataclasses.replace(
        whole, targets=tuple(((parse_target("polynomial:p=2"),) if row % 2 else whole.targets[row]) for row in range(9))
    )
    fits = fit_optimal(mixed, starts=2, workers=2)
    for row in (0, 3, 4, 8):
        single = fit_optimal(mixed.rows([row]), starts=2)
        assert float(single.loss[0]) == pytest.approx(float(fits.loss[row]), rel=1e-7)
    backwards = fit_optimal(mixed.rows(range(8, -1, -1)), starts=2)
    assert backwards.loss.flip(0).tolist() == pytest.approx(fits.loss.tolist(), rel=1e-7)


def test_more_modes_never_do_worse_from_a_warm_start():
    warm = []
    for m in (1, 2, 3, 5, 9):
        rows = problem("two-part", m, ("exp", "direct", "best:b=0.1"))
        fits = fit_optimal(rows, warm=warm, starts=2, steps=30)
        if warm:
            assert bool((fits.loss <= warm[0].loss * (1 + 1e-5)).all())
        warm = [fits]


def test_warm_starts_of_complex_and_of_discrete_models():
    for settings in ({"is_complex": True}, {"time": "discrete", "horizon": 100.0}):
        first = fit_optimal(problem("airy", 2, ("exp", "sigmoid") if "time" in settings else ("exp",), **settings))
        rows = dataclasses.replace(first.problem, m=3)
        second = fit_optimal(rows, warm=[first], starts=1, steps=20)
        assert bool((second.loss <= first.loss * (1 + 1e-5)).all())


def test_a_warm_fit_that_diverged_does_no_harm():
    first = fit_optimal(problem("polynomial:p=1.5", 2, rows=2))
    broken = dataclasses.replace(first, w=first.w * torch.tensor([[math.nan], [1.0]], dtype=torch.float64))
    fits = fit_optimal(problem("polynomial:p=1.5", 3, rows=2), warm=[broken])
    assert float(fits.loss[0]) == pytest.approx(float(fits.loss[1]), rel=1e-6)


def test_both_kinds_of_modes_have_one_kernel_and_balanced_factors():
    spec = "polynomial:p=1.5"
    plain, unit = fit_optimal(problem(spec, 4)), fit_optimal(problem(spec, 4, modes="unit-norm"))
    t = torch.linspace(0, 20, 50, dtype=torch.float64)
    responses = [fits.model(0).impulse_response(t) for fits in (plain, unit)]
    torch.testing.assert_close(*responses, rtol=1e-9, atol=1e-12)
    for fits in (plain, unit):
        torch.testing.assert_close(fits.c.abs(), fits.U[..., 0].abs(), rtol=1e-14, atol=0)
    paired = fit_optimal(problem("airy;two-part", 2, is_complex=True, modes="unit-norm"))
    torch.testing.assert_close(paired.c.abs(), torch.linalg.vector_norm(paired.U, dim=-1), rtol=1e-12, atol=0)


def test_single_precision_reaches_its_own_rounding():
    fits = fit_optimal(problem("polynomial:p=1.5", 3, horizon=50.0), dtype=torch.float32)
    wanted = fit_optimal(problem("polynomial:p=1.5", 3, horizon=50.0))
    assert fits.w.dtype == torch.float32
    assert float(fits.loss[0]) == pytest.approx(float(wanted.loss[0]), rel=1e-2)


def test_sampled_targets_with_a_kink_at_every_step(tmp_path):
    t = 0.1 * np.arange(400)
    rows = "\n".join(f"{time!r},{math.exp(-0.3 * time) * math.cos(time)!r}" for time in t.tolist())
    (tmp_path / "kernel.csv").write_text(f"t,rho\n{rows}\n", encoding="utf-8")
    fits = fit_optimal(problem(f"csv:file={tmp_path / 'kernel.csv'}", 1, is_complex=True))
    lam, coef = kernel(fits, 0)
    wanted = 2 * np.real(coef[0, 0] * np.exp(lam[0] * t))
    assert wanted == pytest.approx(np.exp(-0.3 * t) * np.cos(t), abs=1e-3)  # interpolation errs by h² max|ρ''|/8


def test_a_zero_target_and_a_dead_start_do_no_harm():
    fits = fit_optimal(problem("polynomial:p=1.5:scale=0", 3))
    assert float(fits.loss[0]) == 0
    assert fits.results() == [Result.CONVERGED]


def test_an_unstable_start_has_diverged_and_its_neighbours_have_not():
    evaluator, theta = evaluator_of("real", "direct")
    theta[1, 0] = 0.5
    theta[2, 1] = math.nan
    search = minimize(evaluator, start_search(evaluator, theta), 50, 1e-8)
    names = [RESULTS[code] for code in search.result.tolist()]
    assert names == [Result.CONVERGED, Result.DIVERGED, Result.DIVERGED]
    alone = minimize(evaluator, start_search(evaluator, theta[:1]), 50, 1e-8)
    torch.testing.assert_close(search.loss[:1], alone.loss, rtol=1e-7, atol=0)


def test_a_budget_that_is_spent_is_told():
    fits = fit_optimal(problem("polynomial:p=1.5", 8), steps=1)
    assert fits.results() == [Result.BUDGET_SPENT]
    assert fits.steps.tolist() == [1]


def test_setting_finished_rows_aside_changes_nothing():
    evaluator, theta = evaluator_of("real", "softplus")
    one = minimize(evaluator, start_search(evaluator, theta), 60, 1e-8)
    other = minimize(evaluator, start_search(evaluator, theta), 60, 1e-8, compact_every=3)
    torch.testing.assert_close(one.loss, other.loss, rtol=1e-7, atol=0)
    assert one.result.tolist() == other.result.tolist()


def test_compressed_nodes_have_the_loss_of_all_of_them():
    target = parse_target("polynomial:p=1.5")
    nodes = sampled_nodes(np.linspace(0, 100, 1000))
    some, every = (KernelColumns(nodes, [target], 6, compress=compress) for compress in (True, False))
    assert len(some) < 60 < len(every)
    lam = -torch.from_numpy(np.geomspace(0.02, 8, 6) * np.exp(0.3 * np.random.default_rng(0).standard_normal((5, 6))))
    phi = torch.ones_like(lam)[:, None]
    a, b = (project(columns.system(lam)[0], 6, phi) for columns in (some, every))
    torch.testing.assert_close(a.loss, b.loss, rtol=1e-8, atol=0)
    torch.testing.assert_close(a.coef, b.coef, rtol=1e-7, atol=0)
    torch.testing.assert_close(a.normal, b.normal, rtol=1e-6, atol=1e-12)


def test_a_small_step_under_heavy_damping_is_no_convergence():
    """A pair whose frequencies tend to 0: the loss is even in ω, and its valley is steep across and shallow along."""
    rows = FitProblem(
        ((parse_target("polynomial:p=2"),),) * 4,
        (Reparameterization("exp"), Reparameterization("direct")) * 2,
        (0, 5, 1, 2),
        2,
        ("plain",) * 4,
        is_complex=True,
    )
    fits = fit_optimal(rows)
    evaluator = Evaluator(
        KernelColumns(time_nodes(rows.targets[0], 2, is_complex=True), rows.targets[0], 2, is_complex=True),
        RateMap(rows.reparameterizations, 2, is_complex=True, is_discrete=False, device=torch.device("cpu")),
    )
    found = evaluator(torch.cat([fits.w, fits.omega], 1), torch.arange(4))
    along = found.gradient.abs() / (found.normal.diagonal(dim1=-2, dim2=-1) * found.loss[:, None]).sqrt()
    for row, result in enumerate(fits.results()):
        assert result is not Result.CONVERGED or float(along[row].max()) < 1e-2


# The norm W^{1,∞}


@pytest.mark.parametrize(("spec", "settings"), [("polynomial:p=1.5", {}), ("airy", {"is_complex": True})])
def test_w1inf_fits_are_better_in_their_own_norm(spec, settings):
    rows = problem(spec, 4, loss="w1inf", **settings)
    fits = fit_optimal(rows)
    other = fit_optimal(dataclasses.replace(rows, loss="l2"))
    norms = [kernel_norm(rows.targets[0], coef, lam).value for lam, coef in (kernel(fits, 0), kernel(other, 0))]
    assert norms[0] < 0.98 * norms[1]
    assert float(fits.loss[0]) == pytest.approx(norms[0], rel=2e-2)


def test_w1inf_of_two_inputs_that_die_at_different_times():
    """The second target and all modes underflow long before the first one is small."""
    rows = problem("polynomial:p=1.5;exponential", 3, loss="w1inf")
    fits = fit_optimal(rows)
    lam, coef = kernel(fits, 0)
    assert float(fits.loss[0]) == pytest.approx(kernel_norm(rows.targets[0], coef, lam).value, rel=2e-2)
    other = kernel(fit_optimal(dataclasses.replace(rows, loss="l2")), 0)
    assert float(fits.loss[0]) < 1.01 * kernel_norm(rows.targets[0], other[1], other[0]).value


def test_w1inf_counts_the_jumps_of_the_target():
    rows = problem("shift", 2, loss="w1inf")
    fits = fit_optimal(rows)
    lam, coef = kernel(fits, 0)
    assert float(fits.loss[0]) == pytest.approx(kernel_norm(rows.targets[0], coef, lam).value, rel=2e-2)


def test_w1inf_in_discrete_time_is_the_sum_over_steps():
    fits = fit_optimal(problem("polynomial:p=1.5", 2, ("tanh",), time="discrete", horizon=60.0, loss="w1inf"))
    error = (
        parse_target("polynomial:p=1.5").rho(np.arange(60.0))
        - fits.model(0).impulse_response(torch.arange(60)).flatten().numpy()
    )
    wanted = np.abs(error).sum() + np.abs(np.diff(error, prepend=0.0)).sum()
    assert float(fits.loss[0]) == pytest.approx(wanted, rel=1e-9)


# Refusals


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        ({"loss": "sequences", "horizon": 50.0}, {}, "loss: 'sequences' has no optimal mode"),
        ({}, {"starts": 0}, "starts: at least 1"),
        ({}, {"steps": 0}, "steps: at least 1"),
        ({}, {"workers": 0}, "workers: at least 1"),
        ({}, {"tolerance": 0.0}, "tolerance"),
        ({}, {"dtype": torch.float16}, "dtype"),
    ],
)
def test_bad_settings_are_named(settings, options, message):
    with pytest.raises(ValueError, match=message):
        fit_optimal(problem("polynomial:p=1.5", 2, **settings), **options)


def test_targets_without_a_finite_norm_are_named():
    with pytest.raises(ValueError, match="energy"):
        fit_optimal(problem("sine", 2))
    with pytest.raises(ValueError, match="target"):
        fit_optimal(problem("polynomial:p=0.9", 2, loss="w1inf"))


def test_a_step_that_leaves_one_time_is_named():
    with pytest.raises(ValueError, match="m: 2 modes need more than 2 times"):
        fit_optimal(problem("polynomial:p=1.5", 2, ("exp",), time="discrete", step_size=1e300))


def test_an_f_that_is_nowhere_stable_is_named():
    with pytest.raises(ValueError, match="nowhere negative"):
        fit_optimal(problem("polynomial:p=1.5", 2, ("exp(w)",)))


def test_warm_fits_of_other_rows_are_refused():
    first = fit_optimal(problem("polynomial:p=1.5", 2), steps=2)
    for other in (problem("polynomial:p=2", 3), problem("polynomial:p=1.5", 1)):
        with pytest.raises(ValueError, match="warm"):
            fit_optimal(other, warm=[first])


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_an_absent_device_is_named():
    with pytest.raises(ValueError, match="device: CUDA"):
        fit_optimal(problem("polynomial:p=1.5", 2), device="cuda")


def test_the_number_of_threads_is_as_before():
    before = torch.get_num_threads()
    fit_optimal(problem("polynomial:p=1.5", 2, rows=4), steps=2, workers=3)
    assert torch.get_num_threads() == before


def test_progress_reaches_the_number_of_rows():
    seen = []
    fit_optimal(problem("polynomial:p=1.5", 2, rows=3), steps=2, progress=lambda *state: seen.append(state))
    assert seen[-1] == (3, 3)
