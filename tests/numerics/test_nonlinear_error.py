"""E_m(β) of nonlinear and layered models: the simulation against an ODE solver, the bracket against closed forms."""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import minimize_scalar

from numerics.activations import ACTIVATIONS
from numerics.models import DiagonalModel
from numerics.nonlinear_bounds import _supremum, lipschitz_gains
from numerics.nonlinear_error import LARGE_INPUTS, REACHED, UNDEFINED, nonlinear_error
from numerics.nonlinear_simulation import output_and_rate, rest_output, steps_of
from numerics.norms import kernel_norm, target_norm
from numerics.perturbation_ball import Ball
from numerics.targets import parse_target

TINY = parse_target("exponential:rate=1:scale=1e-9")  # ‖H‖ = 3e-9: E_m(0) is the model's own norm to that
EDGES = np.array([0, 0.1, 0.4, 1.0, 2.5])


def tensor(x: object) -> torch.Tensor:
    return torch.as_tensor(np.array(x), dtype=torch.complex128 if np.iscomplexobj(x) else torch.float64)


def one_layer(
    activation: str, lam: Any = (-1.0,), u: Any = ((1.0,),), c: Any = (1.0,), f: str = "direct", **more: Any
) -> DiagonalModel:
    return DiagonalModel.from_lam(tensor(lam), tensor(u), tensor(c), f, activation=activation, **more)


def two_layers(activation: str, lam: Any = ((-1.0, -3.0), (-2.0,))) -> DiagonalModel:
    weights = [tensor([[1.0], [-0.5]]), tensor([[0.7, 0.4]])]
    return DiagonalModel.from_lam([tensor(x) for x in lam], weights, tensor([0.9]), activation=activation)


def solved(model: DiagonalModel, inputs: np.ndarray) -> tuple[float, float]:
    """Output and rate at 0 by scipy, cell by cell, for real models."""
    sigma = lambda h: model.activation(torch.from_numpy(h)).numpy()  # noqa: E731
    lams = [model.lam(k).numpy() for k in range(len(model.layers))]
    drives = [model.drive(k).numpy() for k in range(len(model.layers))]
    sizes = np.cumsum([0, *(len(x) for x in lams)])

    def field(x: np.ndarray, flat: np.ndarray) -> np.ndarray:
        parts = [flat[a:b] for a, b in pairwise(sizes)]
        given = [x, *(sigma(part) for part in parts[:-1])]
        return np.concatenate([lam * h + w @ g for lam, w, h, g in zip(lams, drives, parts, given, strict=True)])

    state = np.zeros(sizes[-1])
    for k in range(1, len(lams)):
        state[sizes[k] : sizes[k + 1]] = -(drives[k] @ sigma(state[sizes[k - 1] : sizes[k]])) / lams[k]
    for k in range(len(EDGES) - 2, -1, -1):
        span = (0, EDGES[k + 1] - EDGES[k])
        state = solve_ivp(lambda _, h, k=k: field(inputs[k], h), span, state, rtol=1e-11, atol=1e-12).y[:, -1]
    last, slope = state[sizes[-2] :], field(inputs[-1], state)[sizes[-2] :]
    c = model.c[0].numpy()
    return float(c @ sigma(last)), float(c @ (model.activation.slope(torch.from_numpy(last)).numpy() * slope))


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("layers", [1, 2])
def test_simulation_against_a_solver(activation: str, layers: int) -> None:
    lam, u, c = [-0.7, -2.0], [[1.0], [0.6]], [0.5, 1.2]
    model = one_layer(activation, lam, u, c) if layers == 1 else two_layers(activation)
    inputs = np.random.default_rng(0).normal(size=(len(EDGES), 1)) * 2
    value, rate = solved(model, inputs)
    results = []
    for split in (4, 8):
        steps = steps_of(EDGES, model.c, levels=12, split=split)
        got = output_and_rate(model, tensor(inputs).unsqueeze(0), steps)
        results.append([float(x) for x in got])
    allowed = [1e-9 + abs(a - b) for a, b in zip(*results, strict=True)]
    assert abs(results[1][0] - value) <= allowed[0]
    assert abs(results[1][1] - rate) <= allowed[1]
    assert max(allowed) < 1e-2


def test_one_layer_is_exact_in_one_step() -> None:
    model = one_layer("tanh", [-0.7, -2.0], [[1.0], [0.6]], [0.5, 1.2])
    inputs = np.random.default_rng(1).normal(size=(len(EDGES), 1))
    got = [float(x) for x in output_and_rate(model, tensor(inputs).unsqueeze(0), steps_of(EDGES, model.c))]
    assert got == pytest.approx(solved(model, inputs), abs=1e-9)


def test_complex_model_equals_its_real_form() -> None:
    # A pair with σ = id: 2 Re c e^{λt}, from the kernel's integrals over the cells.
    lam, c = -0.5 + 2j, 0.3 - 0.4j
    model = one_layer("identity", [lam], [[1.0 + 0j]], [c])
    inputs = np.random.default_rng(2).normal(size=(len(EDGES), 1))
    value, rate = output_and_rate(model, tensor(inputs).unsqueeze(0), steps_of(EDGES, model.c))
    powers = np.exp(lam * EDGES)
    expected = 2 * np.real(c * np.diff(powers) / lam) @ inputs[:-1, 0]
    slope = 2 * np.real(c) * inputs[-1, 0] + 2 * np.real(c * np.diff(powers)) @ inputs[:-1, 0]
    assert float(value) == pytest.approx(expected, rel=1e-13)
    assert float(rate) == pytest.approx(slope, rel=1e-13)


def test_batched_equals_looped() -> None:
    rng = np.random.default_rng(0)
    model = two_layers("tanh")
    c = tensor(rng.normal(size=(5, 1, 1)))
    w = [layer.w + tensor(0.01 * rng.normal(size=(5, *layer.w.shape))) for layer in model.layers]
    many = model.replace_weights(w=w, c=c)
    inputs = tensor(rng.normal(size=(5, len(EDGES), 1)))
    steps = steps_of(EDGES, model.c, levels=4)
    together = torch.stack(output_and_rate(many, inputs, steps))
    alone = [torch.stack(output_and_rate(many[i : i + 1], inputs[i : i + 1], steps)) for i in range(5)]
    assert torch.allclose(together, torch.cat(alone, dim=1), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("spec", ["polynomial:p=2", "shift:start=1:end=2", "exponential:rate=2"])
def test_a_linear_activation_gives_the_kernel_norm(spec: str) -> None:
    target, lam, v = parse_target(spec), [-0.5, -1.0, -3.0], [0.2, 0.8, 0.3]
    model = one_layer("identity", lam, [[1.0]] * 3, v)
    (row,) = nonlinear_error(model, target, [0.0])
    exact = kernel_norm(target, v, lam).value
    assert row.lower <= exact * (1 + 1e-9)
    assert row.lower == pytest.approx(exact, rel=2e-3)
    assert row.upper == pytest.approx(exact, rel=1e-8)


def test_two_linear_layers_are_one_kernel() -> None:
    # (0.7, 0.4)·(e^{-t}, -0.5e^{-3t}) * e^{-2t}·0.9 by partial fractions: 1/((s+a)(s+2)) = (1/(s+a) - 1/(s+2))/(2-a).
    target, model = parse_target("exponential:rate=1"), two_layers("identity")
    first, second = 0.9 * 0.7 / (2 - 1), -0.9 * 0.4 * 0.5 / (2 - 3)
    exact = kernel_norm(target, [first, second, -first - second], [-1.0, -3.0, -2.0]).value
    (row,) = nonlinear_error(model, target, [0.0])
    assert row.lower <= exact * (1 + 1e-9)
    assert row.lower == pytest.approx(exact, rel=1e-2)
    assert row.upper >= exact


def test_one_tanh_mode_by_hand() -> None:
    # H = 0, λ = -1, c = u = 1. |h| ≤ R, so the value's part is max tanh(R)/(R+1). The rate's is at most
    # σ'(h)(R + |h|)/(R + 1): for |h| ≤ 1 it grows with R to σ'(h) ≤ 1, attained for h = 0 and x_0 = R → ∞; for |h| > 1
    # it is at most its value 2|h|σ'(h)/(|h| + 1) < 1 at R = |h|.
    with mpmath.workdps(30):
        peak = mpmath.findroot(lambda r: (r + 1) / mpmath.cosh(r) ** 2 - mpmath.tanh(r), 1)
        exact = float(mpmath.tanh(peak) / (peak + 1) + 1)
    h = np.linspace(1, 20, 2001)
    assert np.all((1 - np.tanh(h) ** 2) * 2 * h / (h + 1) < 1)
    (row,) = nonlinear_error(one_layer("tanh"), TINY, [0.0])
    assert row.lower == pytest.approx(exact, rel=1e-3)
    assert row.lower <= exact + 3e-9
    assert row.upper >= exact


def test_the_constant_of_sigmoid() -> None:
    # σ(0) = ½: as x → 0 the value's part tends to |Ĥ(0)| = ½|Σc|, which is also added on its own.
    (row,) = nonlinear_error(one_layer("sigmoid", c=(3.0,), lam=(-5.0,)), TINY, [0.0])
    assert row.lower >= 3.0 * (1 - 1e-6)
    # the ½βm^{1/2} of moving c alone
    model = one_layer("sigmoid", (-5.0, -6.0), ((1e-3,), (1e-3,)), (1.0, 1.0))
    base, moved = nonlinear_error(model, TINY, [0.0, 0.1], groups=["c"], steps=12)
    assert moved.lower - base.lower == pytest.approx(2 * 0.5 * 0.1 * math.sqrt(2), rel=1e-2)
    # two layers: the rest of the second is U σ(0)/|λ|
    deep = two_layers("sigmoid")
    rest = 0.9 / (1 + math.exp(-(0.7 + 0.4) * 0.5 / 2))
    assert float(rest_output(deep)) == pytest.approx(rest, rel=1e-14)
    (row,) = nonlinear_error(deep, TINY, [0.0], steps=2)
    assert row.lower >= 2 * rest * (1 - 1e-6)


@pytest.mark.parametrize("activation", ["tanh", "hardtanh", "sigmoid"])
def test_a_bounded_model_is_no_better_than_none(activation: str) -> None:
    target = parse_target("polynomial:p=1.5")
    (row,) = nonlinear_error(one_layer(activation, c=(0.5,)), target, [0.0])
    norm = target_norm(target).value + (0.25 if activation == "sigmoid" else 0)
    assert row.lower >= norm * (1 - 1e-12)
    if activation != "sigmoid":
        assert row.upper == pytest.approx(norm, rel=1e-8)
        assert row.reason == LARGE_INPUTS


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
def test_the_jump_at_zero(activation: str) -> None:
    # E(0+) ≥ ½ osc(σ') Σ|c_iU_i| - E(0), with osc ≥ 1 for each of these.
    model = one_layer(activation, (-1.0, -2.0), ((1.0,), (1.0,)), (5.0, -5.0))
    base, moved = nonlinear_error(model, TINY, [0.0, 1e-6], groups=["w"])
    assert moved.lower >= 5.0 - base.upper
    assert moved.lower >= base.lower


@pytest.mark.parametrize(
    ("activation", "ball"), [("identity", "joint"), ("relu", "block"), ("gelu", "joint"), ("sigmoid", "block")]
)
def test_the_ends_are_ordered(activation: str, ball: str) -> None:
    target = parse_target("polynomial:p=2")
    for model in (one_layer(activation, modes="unit-norm", f="exp"), two_layers(activation)):
        rows = nonlinear_error(model, target, [0.2, 0.0, 0.05], ball, steps=3, starts=2)
        assert all(row.lower <= row.upper < math.inf for row in rows)
        assert rows[1].lower <= rows[2].lower <= rows[0].lower
        assert rows[1].upper <= rows[2].upper <= rows[0].upper


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
def test_no_simulated_output_exceeds_the_gains(activation: str) -> None:
    rng = np.random.default_rng(0)
    complex_model = one_layer(activation, [-0.5 + 2j, -1 + 1j], [[1.0 + 0.5j], [0.3j]], [0.5 - 1j, 0.2j])
    for model in (one_layer(activation), two_layers(activation), complex_model):
        steps = steps_of(EDGES, model.c, levels=8)
        gains = lipschitz_gains(model, Ball.of(model, "joint", None), 0.0)
        size = 10.0 ** rng.uniform(-3, 3, size=(400, 1, 1))
        inputs = tensor(size * np.sign(rng.normal(size=(400, len(EDGES), 1))))
        value, rate = output_and_rate(model, inputs, steps)
        radius = torch.from_numpy(size[:, 0, 0])
        moved = (value - rest_output(model)).abs()
        assert bool((moved <= torch.clamp(radius * gains.value, max=gains.value_cap)).all())
        assert bool((rate.abs() <= torch.clamp(radius * gains.rate, max=gains.rate_cap)).all())
        assert abs(float(rest_output(model))) <= gains.rest + 1e-15


def test_gains_hold_over_the_ball() -> None:
    model, rng = two_layers("tanh"), np.random.default_rng(4)
    for kind in ("joint", "block"):
        ball = Ball.of(model, kind, None)
        gains = lipschitz_gains(model, ball, 0.2)
        for _ in range(50):
            weights = (*model.weights["w"], *model.weights["U"], model.c)
            flat = [rng.normal(size=tuple(x.shape)) for x in weights]
            if kind == "joint":
                flat = [x * 0.2 / math.sqrt(sum(float((y**2).sum()) for y in flat)) for x in flat]
            else:
                flat = [0.2 * (np.sign(x) if x.ndim == 1 else x / np.linalg.norm(x, 2)) for x in flat]
            near = [x + tensor(d) for x, d in zip(weights, flat, strict=True)]
            other = model.replace_weights(w=near[:2], U=near[2:4], c=near[4])
            there = lipschitz_gains(other, Ball.of(other, kind, None), 0.0)
            assert there.value <= gains.value * (1 + 1e-8)
            assert there.rate <= gains.rate * (1 + 1e-8)
            assert there.value_cap <= gains.value_cap * (1 + 1e-8)
            assert there.rate_cap <= gains.rate_cap * (1 + 1e-8)


@settings(max_examples=25, deadline=None)
@given(*[st.floats(0, 10)] * 3, st.floats(0.01, 10))
def test_supremum_over_sizes(slope: float, constant: float, gain: float, cap: float) -> None:
    r = np.concatenate([[0], np.geomspace(1e-6, 1e9, 4000)])
    grid = ((slope * r + constant + np.minimum(gain * r, cap)) / (r + 1)).max()
    bound = _supremum(slope, constant, gain, cap)
    assert grid <= bound * (1 + 1e-12)
    assert bound <= grid * 1.01 + 1e-8
    assert _supremum(slope, constant, gain, math.inf) >= bound * (1 - 1e-12)


def test_infinite_at_the_boundary() -> None:
    target = parse_target("exponential:rate=1")
    for activation, reason in (("relu", REACHED), ("tanh", REACHED + UNDEFINED)):
        rows = nonlinear_error(one_layer(activation), target, [0.5, 1.0, 2.0], steps=2, starts=2)
        assert [math.isinf(row.lower) for row in rows] == [False, True, True]
        assert rows[1].reason == reason
        (fixed,) = nonlinear_error(one_layer(activation), target, [2.0], groups=["U", "c"], steps=2, starts=2)
        assert math.isfinite(fixed.upper)
        (stable,) = nonlinear_error(one_layer(activation, f="exp"), target, [2.0], steps=2, starts=2)
        assert math.isfinite(stable.upper)
    # a mode with c = 0 that may leave stability, c fixed: it is not seen
    dead = one_layer("relu", (-1.0, -9.0), ((1.0,), (1.0,)), (0.0, 1.0))
    (row,) = nonlinear_error(dead, target, [2.0], groups=["w", "U"], steps=4)
    (without,) = nonlinear_error(one_layer("relu", (-9.0,)), target, [2.0], groups=["w", "U"], steps=4)
    assert row.lower <= row.upper < math.inf
    assert without.lower <= row.upper
    deep = two_layers("tanh", ((-1.0, -3.0), (-0.1,)))
    assert math.isinf(nonlinear_error(deep, target, [0.2], steps=2, starts=2)[0].upper)


def test_the_linear_upper_end_is_kept_for_the_identity() -> None:
    # c alone, one mode: E(β) = ‖(1 - 1 ∓ β)e^{-t}‖ = 3β.
    (row,) = nonlinear_error(one_layer("identity"), parse_target("exponential:rate=1"), [0.1], groups=["c"])
    assert row.lower == pytest.approx(0.3, rel=1e-6)
    assert row.upper == pytest.approx(0.3, rel=1e-6)


def test_rows_do_not_depend_on_their_company() -> None:
    model, target = one_layer("gelu", (-1.0, -3.0), ((1.0,), (0.5,)), (0.5, 0.5)), parse_target("exponential:rate=1")
    together = nonlinear_error(model, target, [0.1, 0.0], steps=9)
    alone = [nonlinear_error(model, target, [beta], steps=9)[0] for beta in (0.1, 0.0)]
    for a, b in zip(together, alone, strict=True):
        assert a.lower == pytest.approx(b.lower, rel=1e-6)
        assert a.upper == b.upper


def test_relu_value_part_by_a_search_over_sizes() -> None:
    # H = 0, one relu mode c = u = 1, λ = -1: value sup R/(R+1) = 1, rate sup (σ'(h)(x_0 - h)): h → 0+, x_0 = R, or
    # h = R, x_0 = -R: 2R/(R+1) → 2.
    (row,) = nonlinear_error(one_layer("relu"), TINY, [0.0])
    assert row.lower == pytest.approx(3.0, rel=1e-6)
    assert row.upper == pytest.approx(3.0, rel=1e-6)
    best = minimize_scalar(lambda r: -2 * math.exp(r) / (math.exp(r) + 1), bounds=(-5, 20), method="bounded")
    assert -best.fun == pytest.approx(2.0, rel=1e-6)


def test_bad_input() -> None:
    target, model = parse_target("exponential"), one_layer("tanh")
    with pytest.raises(ValueError, match="beta:"):
        nonlinear_error(model, target, [-1.0])
    with pytest.raises(ValueError, match="ball"):
        nonlinear_error(model, target, [0.1], "cube")
    with pytest.raises(ValueError, match="groups"):
        nonlinear_error(model, target, [0.1], groups=["omega"])
    with pytest.raises(ValueError, match="target:"):
        nonlinear_error(model, [target, target], [0.1])
    with pytest.raises(ValueError, match="p = 1"):
        nonlinear_error(model, parse_target("polynomial:p=1"), [0.1])
    with pytest.raises(ValueError, match="window"):
        nonlinear_error(model, target, [0.1], window=-1.0)
    with pytest.raises(ValueError, match="continuous"):
        nonlinear_error(one_layer("tanh", lam=[0.5], time="discrete"), target, [0.1])
    with pytest.raises(ValueError, match="one output"):
        nonlinear_error(replace(model, c=tensor([[1.0], [2.0]])), target, [0.1])
