"""The layer and the model: against plain formulas, step by step, at the start of every variant, in batches of rows."""

from __future__ import annotations

import copy
import math
import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from numerics.fit_problem import RowFunctions
from numerics.layers import GAINS, LayerKind, ModelShape, S4DLayer, SequenceModel
from numerics.reparameterization import Reparameterization

CONTINUOUS = ("direct", "relu", "exp", "softplus", "sigmoid", "best", "best:b=0.1", "reciprocal", "-exp(w)/2")
DISCRETE = ("direct", "relu", "exp", "softplus", "sigmoid", "tanh", "best", "reciprocal", "1-1/(1+w**2)")
VARIANTS = [(f, "continuous") for f in CONTINUOUS] + [(f, "discrete") for f in DISCRETE]
SMALL = ModelShape(outputs=2, inputs=3, width=4, modes=5, depth=2, step_sizes=(0.05, 0.5))


def kind(f: str = "exp", time: str = "continuous", gain: str = "plain", start: str = "same") -> LayerKind:
    return LayerKind(Reparameterization(f, time), gain, start)


def normal(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(*size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def moved(model: SequenceModel, size: float = 0.3, seed: int = 7) -> SequenceModel:
    """With all weights away from the start."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(size * torch.randn(p.shape, generator=generator, dtype=p.dtype) * p.abs().mean().clamp(min=0.1))
    return model


def rates_of(layer: S4DLayer) -> Tensor:
    return layer.kind.reparameterization(layer.w.detach())


def direct_kernel(layer: S4DLayer, length: int) -> list[list[float]]:
    """Mode after mode in Python's complex numbers, from the weights and the two stated starts."""
    rate, omega = rates_of(layer), layer.omega.detach()
    C = torch.view_as_complex(layer.C.detach())
    start = torch.view_as_complex(layer.start_gain)
    rows = []
    for h in range(rate.shape[0]):
        row = [0.0] * length
        for n in range(rate.shape[1]):
            f, w0 = float(rate[h, n]), float(omega[h, n])
            if layer.kind.is_discrete:
                multiplier = f * complex(math.cos(w0), math.sin(w0))
                plain, size, r = 1.0, abs(1 - multiplier), 1 - abs(multiplier)
            else:
                step, lam = math.exp(float(layer.log_step[h].detach())), complex(f, w0)
                multiplier = math.exp(f * step) * complex(math.cos(w0 * step), math.sin(w0 * step))
                plain, size, r = (multiplier - 1) / lam, abs(lam), -f
            scale = {
                "plain": plain,
                "dc": plain * size,
                "lru": math.sqrt(max(1 - abs(multiplier) ** 2, 0.0)),
                "unit-norm": plain * r / (1 + r + size),
            }
            weight = complex(C[h, n]) * complex(start[h, n]) * scale[layer.kind.gain]
            for j in range(length):
                row[j] += 2 * (weight * multiplier**j).real
        rows.append(row)
    return rows


@pytest.mark.parametrize(("f", "time"), VARIANTS)
@pytest.mark.parametrize("gain", GAINS)
def test_kernel_mode_after_mode(f: str, time: str, gain: str) -> None:
    model = moved(SequenceModel(SMALL, kind(f, time, gain)), size=0.02 if gain == "lru" else 0.1)
    layer = model.blocks[0].ssm
    if gain == "lru":  # a growing mode has none
        assert bool((rates_of(layer).abs() < 1).all() if time == "discrete" else (rates_of(layer) < 0).all())
    length = 11
    with torch.no_grad():
        found = layer.kernel(length)
    wanted = torch.tensor(direct_kernel(layer, length), dtype=torch.float64)
    # (λ̄ - 1)/λ above loses 1/(|λ|Δ) < 100 times eps
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("f", "time"), VARIANTS)
def test_recurrent_form(f: str, time: str) -> None:
    x = normal(2, 23, 3)
    for gain in GAINS if f in ("exp", "tanh") else ("plain", "unit-norm"):
        model = moved(SequenceModel(SMALL, kind(f, time, gain), seed=3), size=0.1)
        with torch.no_grad():
            torch.testing.assert_close(model.recurrent(x), model(x), rtol=0, atol=1e-9)


@pytest.mark.parametrize("time", ["continuous", "discrete"])
@pytest.mark.parametrize("length", [1, 2, 17, 784])
def test_recurrent_form_of_every_length(length: int, time: str) -> None:
    shape = ModelShape(outputs=3, width=8, modes=6, depth=2, pooled=False)
    model = moved(SequenceModel(shape, kind("best:b=1", time)), size=0.05)
    x = normal(2, length, 1)
    with torch.no_grad():
        found = model(x)
        assert found.shape == (2, length, 3)
        torch.testing.assert_close(model.recurrent(x), found, rtol=0, atol=1e-9)


def test_recurrent_form_with_negative_zero_and_large_discrete_modes() -> None:
    model = SequenceModel(SMALL, kind("direct", "discrete"))
    with torch.no_grad():
        for block in model.blocks:
            block.ssm.w[:, 0], block.ssm.w[:, 1], block.ssm.w[:, 2] = -0.8, 0.0, 1.05
        x = normal(2, 40, 3)
        torch.testing.assert_close(model.recurrent(x), model(x), rtol=0, atol=1e-9)


def test_recurrent_form_of_growing_modes() -> None:
    """The published start of `direct`: at every time equal up to rounding of e^{Δt/2}, not of the largest number; so
    are the gradients of what divides that growth out again, as a normalization does."""
    layer = S4DLayer(replace(SMALL, step_sizes=(0.5, 2.0)), kind("direct", start="published"), torch.Generator())
    with torch.no_grad():
        layer.w[:, ::2] = -0.3
    u = normal(40, 4).requires_grad_()
    h, rows = torch.zeros(4, SMALL.modes, dtype=torch.complex128), []
    for row in u:
        y, h = layer.step(row, h)
        rows.append(y)
    envelope = (layer.log_step.exp() / 2 * torch.arange(40.0)[:, None]).exp().detach()
    assert envelope.max() > 1e10
    read, weights = normal(40, 4), [layer.w, layer.omega, layer.C, layer.log_step, u]
    stepped, found = torch.stack(rows) / envelope, layer(u) / envelope
    torch.testing.assert_close(stepped, found, rtol=0, atol=1e-12)
    by_steps, by_fft = (torch.autograd.grad((y * read).sum(), weights) for y in (stepped, found))
    for exact, grad in zip(by_steps, by_fft, strict=True):
        torch.testing.assert_close(grad, exact, rtol=0, atol=1e-11 * float(exact.abs().max()))


def test_tokens() -> None:
    shape = ModelShape(outputs=11, inputs=0, tokens=11, width=6, modes=3, pooled=False, step_sizes=(0.1, 1.0))
    model = SequenceModel(shape, kind("softplus"))
    x = torch.randint(11, (3, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert model(x).shape == (3, 9, 11)
        torch.testing.assert_close(model.recurrent(x), model(x), rtol=0, atol=1e-9)
        later = x.clone()
        later[:, 5:] = (later[:, 5:] + 1) % 11
        difference = (model(later) - model(x)).abs().amax((0, 2))
    assert difference[:5].max() < 1e-12
    assert difference[5] > 1e-3


@pytest.mark.parametrize("pooled", [True, False])
def test_the_model_written_out(pooled: bool) -> None:
    """Encoder, convolution as a sum, GELU, GLU, residual, LayerNorm, mean and decoder, from the weights alone."""
    shape = ModelShape(outputs=2, inputs=3, width=4, modes=5, depth=1, pooled=pooled, step_sizes=(0.05, 0.5))
    model = moved(SequenceModel(shape, kind()))
    x = normal(2, 9, 3)
    weights = {name: p.detach() for name, p in model.named_parameters()}
    k = torch.tensor(direct_kernel(model.blocks[0].ssm, 9), dtype=torch.float64)
    u = x @ weights["encoder.weight"].T + weights["encoder.bias"]
    y = weights["blocks.0.ssm.D"] * u
    for t in range(9):
        for j in range(t + 1):
            y[:, t] += k[:, j] * u[:, t - j]
    y = 0.5 * y * (1 + torch.erf(y / math.sqrt(2)))
    a, b = (y @ weights["blocks.0.mix.weight"].T + weights["blocks.0.mix.bias"]).chunk(2, dim=-1)
    z = u + a / (1 + torch.exp(-b))
    z = (z - z.mean(-1, keepdim=True)) / (z.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()
    z = z * weights["blocks.0.norm.weight"] + weights["blocks.0.norm.bias"]
    z = (z.mean(1) if pooled else z) @ weights["decoder.weight"].T + weights["decoder.bias"]
    torch.testing.assert_close(model(x).detach(), z, rtol=0, atol=1e-12)


# The start


def test_all_variants_start_as_one_function() -> None:
    x = normal(2, 30, 3)
    with torch.no_grad():
        wanted = SequenceModel(SMALL, kind("direct"), seed=5)(x)
        for f, time in VARIANTS:
            for gain in GAINS:
                found = SequenceModel(SMALL, kind(f, time, gain), seed=5)(x)
                torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("f", "time"), VARIANTS)
def test_the_start_is_minus_a_half_and_pi_n(f: str, time: str) -> None:
    layer = SequenceModel(SMALL, kind(f, time), seed=2).blocks[1].ssm
    step = SequenceModel(SMALL, kind("exp"), seed=2).blocks[1].ssm.log_step.exp()[:, None]
    omega = math.pi * torch.arange(5, dtype=torch.float64).expand(4, 5)
    rate = torch.full_like(omega, -0.5)
    if time == "discrete":
        rate, omega = (rate * step).exp(), omega * step
        assert not hasattr(layer, "log_step")
    torch.testing.assert_close(layer.rate().detach(), rate, rtol=1e-14, atol=0)
    torch.testing.assert_close(layer.omega.detach(), omega, rtol=1e-15, atol=0)


def test_the_gain_of_the_start_is_the_zero_order_hold() -> None:
    for gain in GAINS:
        for time in ("continuous", "discrete"):
            layer = SequenceModel(SMALL, kind("exp", time, gain), seed=2).blocks[0].ssm
            step = SequenceModel(SMALL, kind("exp"), seed=2).blocks[0].ssm.log_step.exp()[:, None]
            lam = torch.complex(torch.full((4, 5), -0.5, dtype=torch.float64), math.pi * torch.arange(5.0).double())
            wanted = (torch.exp(lam * step) - 1) / lam
            torch.testing.assert_close(layer.exponents()[1].detach(), wanted, rtol=1e-12, atol=0)


def test_the_published_start_differs_for_direct_alone() -> None:
    for f, time in VARIANTS:
        same, published = (SequenceModel(SMALL, kind(f, time, start=s)).state_dict() for s in ("same", "published"))
        changed = {name for name in same if not torch.equal(same[name], published[name])}
        ours = {f"blocks.{block}.ssm.{name}" for block in (0, 1) for name in ("w", "start_gain")}
        assert changed == (ours if f == "direct" else set())
    layer = SequenceModel(SMALL, kind("direct", start="published")).blocks[0].ssm
    assert torch.equal(layer.rate().detach(), torch.full((4, 5), 0.5, dtype=torch.float64))
    discrete = SequenceModel(SMALL, kind("direct", "discrete", start="published")).blocks[0].ssm
    torch.testing.assert_close(discrete.rate()[:, 0].detach(), (0.5 * layer.log_step.exp()).exp().detach())


def test_the_seed_decides_the_start() -> None:
    states = [SequenceModel(SMALL, kind(), seed=seed).state_dict() for seed in (4, 4, 5)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["encoder.weight"], states[2]["encoder.weight"])
    before = torch.random.get_rng_state()
    SequenceModel(SMALL, kind())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_random_start_has_its_distribution() -> None:
    shape = ModelShape(outputs=1, width=400, modes=50, step_sizes=(1e-3, 1e-1))
    layer = SequenceModel(shape, kind()).blocks[0].ssm
    share = ((layer.log_step.detach() / math.log(10)) + 3) / 2  # uniform in [0, 1]
    assert 0 <= share.min() < share.max() <= 1
    assert float(share.mean()) == pytest.approx(0.5, abs=5 / math.sqrt(12 * 400))
    C = layer.C.detach()
    assert float(C.square().sum(-1).mean()) == pytest.approx(1.0, abs=5 / math.sqrt(400 * 50))
    assert float(layer.D.detach().square().mean()) == pytest.approx(1.0, abs=5 * math.sqrt(2 / 400))


# Rows in one batch


@pytest.mark.parametrize("time", ["continuous", "discrete"])
@pytest.mark.parametrize("gain", GAINS)
def test_rows_with_different_f_are_the_loop(time: str, gain: str) -> None:
    names = CONTINUOUS[2:6] if time == "continuous" else DISCRETE[2:6]
    fs = [Reparameterization(name, time) for name in names]
    models = [moved(SequenceModel(SMALL, LayerKind(f, gain), seed=i), 0.05) for i, f in enumerate(fs)]
    x, by_y = normal(len(fs), 2, 13, 3), normal(2, 2, seed=1)
    template = copy.deepcopy(models[0]).to("meta")
    params, buffers = torch.func.stack_module_state(models)  # type: ignore[arg-type]
    functions = RowFunctions(fs, torch.device("cpu"))
    rates = [functions(params[f"blocks.{block}.ssm.w"]) for block in range(SMALL.depth)]

    def row(params: dict[str, Tensor], buffers: dict[str, Tensor], rates: list[Tensor], x: Tensor) -> Tensor:
        return torch.func.functional_call(template, (params, buffers), (x, rates))

    found = torch.func.vmap(row)(params, buffers, rates, x)
    grads = torch.autograd.grad((found.tanh() * by_y).sum(), list(params.values()))
    for index, model in enumerate(models):
        wanted = model(x[index])
        torch.testing.assert_close(found[index], wanted, rtol=0, atol=1e-12)
        own = torch.autograd.grad((wanted.tanh() * by_y).sum(), list(model.parameters()))
        for (name, _), batched, looped in zip(model.named_parameters(), grads, own, strict=True):
            torch.testing.assert_close(batched[index], looped, rtol=1e-9, atol=1e-12, msg=name)


def test_gradients_through_the_recurrent_form() -> None:
    model = moved(SequenceModel(SMALL, kind("best:b=0.1", gain="unit-norm")), 0.1)
    x = normal(2, 9, 3)
    found, wanted = (
        torch.autograd.grad(y.sin().sum(), list(model.parameters())) for y in (model(x), model.recurrent(x))
    )
    for own, reference in zip(found, wanted, strict=True):
        torch.testing.assert_close(own, reference, rtol=1e-9, atol=1e-11)


def test_float32() -> None:
    x = normal(2, 64, 3)
    for time in ("continuous", "discrete"):
        model = moved(SequenceModel(SMALL, kind("exp", time)), 0.05)
        single = copy.deepcopy(model).float()
        assert {t.dtype for t in (*single.parameters(), *single.buffers())} == {torch.float32}
        with torch.no_grad():
            found = single(x.float())
            assert found.dtype == torch.float32
            # float32 phases ω Δ j up to 4π·0.5·64 = 402 are off by 2e-5; LayerNorm outputs are of order one
            torch.testing.assert_close(found.double(), model(x), rtol=0, atol=1e-3)
            torch.testing.assert_close(single.recurrent(x.float()), found, rtol=0, atol=1e-3)


def test_relu_beyond_its_kink_stays_finite() -> None:
    """f(w) = 0 for w ≤ 0: with ω = 0 that is λ = 0, an integrator."""
    for gain in ("plain", "dc", "unit-norm"):
        model = SequenceModel(SMALL, kind("relu", gain=gain))
        with torch.no_grad():
            for block in model.blocks:
                block.ssm.w.fill_(-0.1)
        y = model(normal(2, 12, 3))
        grads = torch.autograd.grad(y.square().sum(), list(model.parameters()))
        assert all(bool(torch.isfinite(g).all()) for g in (y, *grads))


# Bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0}, "width: at least 1 is needed, got 0"),
        ({"modes": 2.5}, "modes: a whole number is needed, got 2.5"),
        ({"depth": 0}, "depth: at least 1"),
        ({"outputs": 0}, "outputs: at least 1"),
        ({"inputs": -1}, "inputs: at least 0"),
        ({"inputs": 0}, "inputs, tokens: one of the two is needed, got 0 and 0"),
        ({"inputs": 1, "tokens": 5}, "inputs, tokens: one of the two"),
        ({"step_sizes": (0.1, 0.01)}, r"step_sizes: two positive numbers in order are needed, got \(0.1, 0.01\)"),
        ({"step_sizes": (0.0, 0.01)}, "step_sizes: two positive"),
        ({"step_sizes": (0.1, math.inf)}, "step_sizes: two positive"),
        ({"step_sizes": (math.nan, 1.0)}, "step_sizes: two positive"),
        ({"step_sizes": (0.1,)}, "step_sizes: two positive"),
        ({"step_sizes": 0.1}, "step_sizes: two positive"),
    ],
)
def test_bad_shapes(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        ModelShape(**{"outputs": 1, **arguments})
    assert "\n" not in str(caught.value)


def test_bad_kinds() -> None:
    f = Reparameterization("direct")
    for arguments, message in (
        ((f, "norm"), "modes: 'norm' is not one of plain, dc, lru, unit-norm"),
        ((f, "plain", "zero"), "start: 'zero' is not one of same, published"),
        ((f, "unit-norm", "published"), "modes: growing modes have no norm"),
        (("exp",), "reparameterization: a Reparameterization is needed, got 'exp'"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            LayerKind(*arguments)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)
    assert LayerKind(Reparameterization("exp"), "unit-norm", "published").start_rate == -0.5


@pytest.mark.parametrize(
    ("f", "time"), [("best:b=3", "continuous"), ("-1-exp(w)", "continuous"), ("best:b=30", "discrete")]
)
def test_an_f_that_does_not_reach_the_start(f: str, time: str) -> None:
    with pytest.raises(ValueError, match=f"^reparameterization: '{re.escape(f)}' cannot start at λ = f") as caught:
        SequenceModel(SMALL, kind(f, time))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", [-1, 1.5, True])
def test_bad_seeds(seed: Any) -> None:
    with pytest.raises(ValueError, match=r"^seed: "):
        SequenceModel(SMALL, kind(), seed)
