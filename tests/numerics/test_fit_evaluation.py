"""Rows of evaluated fits: every column by another route, batches of mixed rows, and fits that came to nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import Tensor

from numerics.decay_bounds import decay_bounds, printed_upper, sharp_upper
from numerics.expsum import explicit_weights
from numerics.fit_evaluation import evaluate_fits
from numerics.fit_problem import RESULTS, FitProblem, Fits, Result
from numerics.models import DiagonalModel
from numerics.norms import kernel_norm, sequence_norm
from numerics.perturbation import linear_perturbed_error
from numerics.reparameterization import Reparameterization
from numerics.targets import Target, parse_target

SPECS = ("polynomial:p=1.5", "exponential:rate=0.5:scale=2")


def fits_of(
    specs: Sequence[Sequence[str]],
    fs: Sequence[str],
    lam: np.ndarray,
    coefficients: np.ndarray,
    *,
    modes: str = "plain",
    omega: np.ndarray | None = None,
    results: Sequence[Result] = (),
    **settings: Any,
) -> Fits:
    """Fits with f(w) = lam (B, m) and c U = coefficients (B, m, d), U of unit size."""
    rows, m = lam.shape
    targets = {spec: parse_target(spec) for row in specs for spec in row}
    f = [Reparameterization(name, settings.get("time", "continuous")) for name in fs]
    problem = FitProblem(
        tuple(tuple(targets[s] for s in row) for row in specs),
        tuple(f),
        tuple(range(rows)),
        m,
        (modes,) * rows,
        is_complex=omega is not None,
        **settings,
    )
    w = torch.stack([g.inverse(torch.tensor(x)) for g, x in zip(f, lam, strict=True)])
    size = np.linalg.norm(coefficients, axis=-1)
    U, c = torch.tensor(coefficients / size[..., None]), torch.tensor(size)
    codes = torch.tensor([RESULTS.index(r) for r in results or [Result.CONVERGED] * rows])
    wave = None if omega is None else torch.tensor(omega)
    none = torch.zeros(rows)
    c = c if wave is None else c * torch.polar(torch.ones_like(c), torch.arange(m, dtype=torch.float64).expand(rows, m))
    return Fits(problem, w, U, c, wave, none, codes, none, none, none, {})


def mixed(time: str = "continuous", modes: str = "plain", dim: int = 1, omega: float | None = None) -> Fits:
    """Six rows: two target lists, three f."""
    rng = np.random.default_rng(7)
    lam = -np.sort(np.exp(rng.uniform(-3, 0.5, size=(6, 3))))
    f = ("exp", "direct", "softplus")
    specs = [[SPECS[(row + j) % 2] for j in range(dim)] for row in range(6)]
    waves = None if omega is None else omega * rng.normal(size=(6, 3))
    lam = np.exp(lam) if time == "discrete" else lam
    settings: dict[str, Any] = {"time": time, "step_size": 0.5} if time == "discrete" else {}
    return fits_of(
        specs, [f[row % 3] for row in range(6)], lam, rng.normal(size=(6, 3, dim)), modes=modes, omega=waves, **settings
    )


def kernel(fits: Fits, row: int) -> tuple[Sequence[Target], np.ndarray, np.ndarray]:
    model = fits.model(row)
    return fits.problem.targets[row], (model.c[0, :, None] * model.drive()).numpy(), model.lam().numpy()


KINDS = [
    ("continuous", "plain", 1, None),
    ("continuous", "unit-norm", 2, None),
    ("continuous", "plain", 2, 3.0),
    ("discrete", "plain", 2, None),
    ("discrete", "unit-norm", 1, 1.0),
]


@pytest.mark.parametrize(("time", "modes", "dim", "omega"), KINDS)
def test_every_column_by_another_route(time: str, modes: str, dim: int, omega: float | None) -> None:
    fits = mixed(time, modes, dim, omega)
    for row, found in enumerate(evaluate_fits(fits)):
        model = fits.model(row)
        targets, c, lam = kernel(fits, row)
        assert (found.target, found.modes, found.m, found.seed) == (",".join(t.spec for t in targets), modes, 3, row)
        assert found.error_w1inf == pytest.approx(norm(targets, c, lam, time), rel=1e-11)
        assert found.error_l2 == pytest.approx(l2(targets, c, lam, time), rel=1e-9)
        assert found.margin == float(model.stability_margin)
        assert found.bound_ratio_min is not None
        bounds = decay_bounds(model)
        least = min(bounds.ratio_min, bounds.ratio_at_infinity or math.inf)
        assert found.bound_ratio_min == pytest.approx(least, rel=1e-9)
        at = bounds.ratio_at_infinity if found.ratio_time == math.inf else ratio_at(model, found.ratio_time)
        assert found.bound_ratio_min == pytest.approx(at, rel=1e-9)
        assert found.bound_ratio_late == pytest.approx(bounds.ratio_at_infinity, rel=1e-9)
        start = torch.zeros(1, dtype=torch.float64)
        larger = float(printed_upper(model, start) / sharp_upper(model, start))
        assert found.printed_ratio_min == pytest.approx(larger * found.bound_ratio_min, rel=1e-9)
        rate = -math.log1p(-found.margin) if time == "discrete" else found.margin
        assert found.decay_rate is not None
        assert found.decay_rate[0] <= rate <= found.decay_rate[1]
        assert found.decay_rate[1] <= (1.2 if omega else 1.01) * found.decay_rate[0]


def ratio_at(model: DiagonalModel, time: float | None) -> float:
    assert time is not None
    return decay_bounds(model, [time]).ratio_min


def norm(targets: Sequence[Target], c: np.ndarray, lam: np.ndarray, time: str) -> float:
    if time == "continuous":
        return kernel_norm(targets, c, lam).value
    return 0.5 * sequence_norm(list(targets), c / 0.5, lam, 0.5).value


def l2(targets: Sequence[Target], c: np.ndarray, lam: np.ndarray, time: str) -> float:
    """By scipy's quadrature with the tail in t = 1/u; in discrete time by a plain sum of 200,000 terms."""
    total, twice = 0.0, 2 if np.iscomplexobj(lam) else 1
    for place, target in enumerate(targets):
        if time == "discrete":
            k = np.arange(200_000.0)
            wave = sum(a * x**k for a, x in zip(c[:, place], lam, strict=True))
            total += float(np.sum((0.5 * target.rho(0.5 * k) - twice * wave.real) ** 2))
            continue

        def square(t: float, place: int = place, target: Target = target) -> float:
            return float(target.rho(t) - twice * (c[:, place] @ np.exp(lam * t)).real) ** 2

        knots = np.unique(np.concatenate([np.arange(0, 21.0), np.geomspace(20, 2000, 150)]))
        total += sum(quad(square, a, b)[0] for a, b in pairwise(knots))
        total += quad(lambda u: square(1 / u) / u**2 if u > 0 else 0.0, 0, 1 / 2000)[0]
    return math.sqrt(total)


def test_the_finite_radius_against_brackets() -> None:
    fits = mixed()
    for row, found in enumerate(evaluate_fits(fits)):
        assert found.finite_up_to == (found.margin if found.reparam == "direct" else math.inf)
        betas = [0.99 * found.margin, 1.01 * found.margin]  # type: ignore[operator]
        error = linear_perturbed_error(fits.model(row), fits.problem.targets[row], betas, starts=1, steps=1)
        assert [math.isinf(x) for x in error.lower.tolist()] == [False, found.reparam == "direct"]


def test_the_horizon_is_that_of_the_problem() -> None:
    lam, c = np.array([[-0.3, -2.0]]), np.array([[[0.5], [0.4]]])
    long, short = (evaluate_fits(fits_of([SPECS[:1]], ["exp"], lam, c, horizon=T))[0] for T in (math.inf, 5.0))
    part = quad(lambda t: (float(parse_target(SPECS[0]).rho(t)) - np.exp(lam[0] * t) @ c[0, :, 0]) ** 2, 0, 5)[0]
    assert short.error_l2 == pytest.approx(math.sqrt(part), rel=1e-9)
    assert short.error_w1inf == long.error_w1inf


def test_mixed_rows_are_as_alone() -> None:
    fits = mixed(dim=2)
    together = evaluate_fits(fits)
    for row in range(6):
        w, U, c, codes = (x[row : row + 1] for x in (fits.w, fits.U, fits.c, fits.result))
        none = torch.zeros(1)
        (alone,) = evaluate_fits(Fits(fits.problem.rows([row]), w, U, c, None, none, codes, none, none, none, {}))
        for name, value in alone.as_json().items():
            stated = value if value is None or isinstance(value, str) else pytest.approx(value, rel=1e-12)
            assert together[row].as_json()[name] == stated, name


def broken(fits: Fits, row: int, **changes: Tensor) -> Fits:
    values = {name: getattr(fits, name).clone() for name in changes}
    for name, value in changes.items():
        values[name][row] = value
    return replace(fits, **values)


@pytest.mark.parametrize(
    "changes",
    [
        {"w": torch.tensor(2.0)},  # row 1 is direct
        {"c": torch.tensor(math.nan)},
        {"U": torch.tensor(math.inf)},
        {"w": torch.tensor(math.nan)},
        {"result": torch.tensor(RESULTS.index(Result.DIVERGED))},
    ],
    ids=str,
)
def test_a_row_that_came_to_nothing_leaves_its_neighbours(changes: dict[str, Tensor]) -> None:
    fits = mixed()
    good, bad = evaluate_fits(fits), evaluate_fits(broken(fits, 1, **changes))
    assert bad[1].error_l2 == bad[1].error_w1inf == math.inf
    empty = (bad[1].margin, bad[1].decay_rate, bad[1].bound_ratio_min, bad[1].ratio_time, bad[1].finite_up_to)
    assert (*empty, bad[1].bound_ratio_late) == (None,) * 6
    for row in (0, 2, 3, 4, 5):
        assert bad[row].as_json() == good[row].as_json() or bad[row].error_l2 == pytest.approx(good[row].error_l2)


def test_a_model_that_is_zero() -> None:
    fits = mixed()
    (row, *_) = evaluate_fits(broken(fits, 0, c=torch.tensor(0.0)))
    assert (row.bound_ratio_min, row.ratio_time, row.decay_rate) == (None, None, None)
    assert row.error_w1inf == pytest.approx(kernel_norm(fits.problem.targets[0], [0.0], [-1.0]).value)


def test_a_target_without_a_norm() -> None:
    fits = fits_of([["sine"]], ["exp"], np.array([[-1.0]]), np.ones((1, 1, 1)), horizon=20.0)
    (row,) = evaluate_fits(fits)
    assert row.error_w1inf == math.inf
    assert row.error_l2 == pytest.approx(
        math.sqrt(quad(lambda t: (math.sin(t) - math.exp(-t)) ** 2, 0, 20)[0]), rel=1e-9
    )


def test_an_oscillation_too_fast_for_its_decay_leaves_the_errors_open() -> None:
    fits = fits_of([SPECS[:1]], ["exp"], np.array([[-1e-6]]), np.ones((1, 1, 1)), omega=np.array([[10.0]]))
    (row,) = evaluate_fits(fits)
    assert (row.error_l2, row.error_w1inf) == (None, None)
    assert row.margin == pytest.approx(1e-6)


@pytest.mark.parametrize(("time", "least"), [("continuous", 50), ("discrete", 25)])
def test_the_decay_of_one_oscillation_holds_its_rate(time: str, least: int) -> None:
    """Slow and fast turns, kernels that vanish at t = 0 among them; no rate where too few turns are seen."""
    rng = np.random.default_rng(2)
    rates, omega = np.exp(rng.uniform(-4, 1, size=(60, 1))), np.exp(rng.uniform(-5, 1, size=(60, 1)))
    omega[:10] = 0.0
    lam = np.exp(-rates) if time == "discrete" else -rates
    f = ["sigmoid" if time == "discrete" else "exp"] * 60
    fits = fits_of([SPECS[:1]] * 60, f, lam, np.ones((60, 1, 1)), omega=omega, **{"time": time})
    phase = torch.from_numpy(rng.uniform(0, 2 * np.pi, size=(60, 1)))
    phase[10:20] = math.pi / 2
    found = [row.decay_rate for row in evaluate_fits(replace(fits, c=torch.polar(torch.ones_like(phase), phase)))]
    known = [(ends, rate) for ends, rate in zip(found, rates[:, 0], strict=True) if ends is not None]
    assert len(known) >= least
    assert found[0] is not None
    for (low, high), rate in known:
        assert low * (1 - 1e-12) <= rate <= high * (1 + 1e-12)
        assert high <= 1.01 * low


def test_rates_that_nearly_agree_leave_the_decay_open() -> None:
    """e^{-t} - 0.999e^{-1.0001t} falls more slowly than e^{-t} for ten thousand memory times."""
    lam, c = np.array([[-1.0, -1.0001], [-1.0, -1.2]]), np.array([[[1.0], [-0.999]]] * 2)
    near, apart = evaluate_fits(fits_of([SPECS[:1]] * 2, ["exp", "exp"], lam, c))
    assert near.decay_rate is None
    assert apart.decay_rate is not None
    assert apart.decay_rate[0] <= 1 * (1 + 1e-12)
    assert apart.decay_rate[1] >= 1 * (1 - 1e-12)


def test_dead_modes_are_not_seen_in_the_decay() -> None:
    fits = fits_of([SPECS[:1]], ["direct"], np.array([[-0.01, -0.5]]), np.ones((1, 2, 1)))
    (row,) = evaluate_fits(broken(fits, 0, c=torch.tensor([0.0, 1.0])))
    assert row.decay_rate == pytest.approx((0.5, 0.5), rel=1e-9)
    assert (row.margin, row.finite_up_to) == (0.01, 0.01)
    assert row.bound_ratio_min == pytest.approx(math.sqrt(2))
    assert (row.ratio_time, row.bound_ratio_late) == (0, math.inf)


def test_the_slowest_mode_is_seen_late_however_small_it_is() -> None:
    """As in fits of (1+t)^{-2} with 64 modes."""
    fits = fits_of([SPECS[:1]], ["exp"], np.array([[-2e-9, -1e-8, -1.0]]), np.array([[[7.5e-18], [1.2e-16], [1.0]]]))
    (row,) = evaluate_fits(fits)
    assert row.decay_rate == pytest.approx((2e-9, 2e-9), rel=1e-9)


def test_positive_balanced_fits_are_tight_at_zero() -> None:
    """|c|_2 |U|_2 = Σ c_i u_i = ρ̂(0) where c_i = u_i."""
    lam, weights = explicit_weights(parse_target(SPECS[0]), 8)
    root = torch.tensor(np.sqrt(weights))[None]
    fits = fits_of([SPECS[:1]], ["exp"], lam[None], weights[None, :, None])
    balanced = replace(fits, U=root[..., None], c=root)
    (row,) = evaluate_fits(balanced)
    assert row.bound_ratio_min == pytest.approx(1, rel=1e-13)
    assert row.ratio_time == 0


def test_json() -> None:
    rows = [row.as_json() for row in evaluate_fits(mixed())]
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert rows[0]["finite_up_to"] == "inf"
    assert rows[0]["result"] == "converged"
    assert len(rows[0]["decay_rate"]) == 2
    ended = replace(evaluate_fits(mixed())[0], error_l2=math.inf, error_w1inf=None, result=Result.DIVERGED)
    empty = ended.as_json()
    assert (empty["error_l2"], empty["error_w1inf"], empty["result"]) == ("inf", None, "diverged")


def test_the_rounding_of_huge_coefficients_that_cancel() -> None:
    """The sum of all mode products, exact in rational arithmetic, is within the stated rounding of the error."""
    lam, size = np.array([[-1.0, -1.001, -0.7]]), np.array([[[1e10], [-1e10], [0.2]]])
    fits = fits_of([["exponential:rate=1"]], ["direct"], lam, size)
    (row,) = evaluate_fits(fits)
    _, c, rates = kernel(fits, 0)
    terms = [(Fraction(1), Fraction(1)), *((-Fraction(a), Fraction(-x)) for a, x in zip(c[:, 0], rates, strict=True))]
    exact = math.sqrt(sum(a * b / (x + y) for a, x in terms for b, y in terms))
    assert row.error_l2 is not None
    assert row.rounding is not None
    assert abs(row.error_l2 - exact) <= row.rounding
    assert row.rounding == pytest.approx(4 * 2.0**-52 * 2e10 / math.sqrt(2), rel=1e-3)
