"""Models: eigenvalues, gains, discretizations and impulse responses by mpmath, recursion and exact convolution."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics.models import DiagonalModel, FullModel, Layer
from numerics.reparameterization import Reparameterization
from tests.strategies import diagonal_models, full_models

D = torch.float64
EPS = torch.finfo(D).eps
ZOH = {"time": "discrete", "step_size": 0.25, "discretization": "zoh"}
BILINEAR = {"time": "discrete", "step_size": 0.25, "discretization": "bilinear"}
NATIVE = {"time": "discrete"}


def tensor(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.complex128 if _holds_complex(values) else D)


def _holds_complex(values: Any) -> bool:
    return any(map(_holds_complex, values)) if isinstance(values, list) else isinstance(values, complex)


def real_model(**changes: Any) -> DiagonalModel:
    """Two modes, two inputs, one output."""
    arguments: dict[str, Any] = {
        "layers": (Layer(tensor([-1.0, 0.5]), tensor([[1.0, -2.0], [0.5, 3.0]])),),
        "c": tensor([2.0, -1.0]),
        "reparameterization": "exp",
    }
    return DiagonalModel(**{**arguments, **changes})


def complex_model(**changes: Any) -> DiagonalModel:
    arguments: dict[str, Any] = {
        "lam": tensor([-0.3 + 2j, -0.8 + 0.1j]),
        "U": tensor([[1 + 1j], [0.5 - 2j]]),
        "c": tensor([[2 - 1j, 1 + 0j], [0 + 1j, -1 + 3j]]),
        "reparameterization": "softplus",
    }
    return DiagonalModel.from_lam(**{**arguments, **changes})


# Eigenvalues, gains, discretizations


def exact_lam(model: DiagonalModel, index: int) -> mpmath.mpc:
    """λ of one mode of an unbatched first layer, by mpmath."""
    w = mpmath.mpf(float(model.layers[0].w[index]))
    table: dict[str, Callable[[mpmath.mpf], mpmath.mpf]] = {
        "exp": lambda x: -mpmath.exp(x),
        "softplus": lambda x: -mpmath.log1p(mpmath.exp(x)),
        "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    }
    value = table[model.reparameterization.text](w)
    omega = model.layers[0].omega
    if omega is None:
        return mpmath.mpc(value)
    angle = mpmath.mpf(float(omega[index]))
    native = model.is_discrete and model.step_size is None
    return value * mpmath.expj(angle) if native else mpmath.mpc(value, angle)


def exact_mode(model: DiagonalModel, index: int) -> tuple[mpmath.mpc, mpmath.mpc]:
    """(transition, factor of U) of one mode, by mpmath from the norms of its kernel."""
    lam = exact_lam(model, index)
    native = model.is_discrete and model.step_size is None
    gain = mpmath.mpf(1)
    if model.modes == "unit-norm" and native:
        size = abs(lam)
        total = mpmath.nsum(lambda k: size**k, [0, mpmath.inf])
        gain = 1 / (total + 1 + mpmath.nsum(lambda k: size**k * abs(lam - 1), [0, mpmath.inf]))
    elif model.modes == "unit-norm":
        rate = -mpmath.re(lam)
        integral = mpmath.quad(lambda t: mpmath.exp(-rate * t), [0, mpmath.inf])
        gain = 1 / (integral + 1 + abs(lam) * integral)
    if model.step_size is None:
        return lam, gain
    step = mpmath.mpf(model.step_size)
    if model.discretization == "zoh":  # ∫_0^Δ e^{λs} ds
        return mpmath.exp(lam * step), gain * mpmath.quad(lambda s: mpmath.exp(lam * s), [0, step])
    return (1 + lam * step / 2) / (1 - lam * step / 2), gain * step / (1 - lam * step / 2)


@pytest.mark.parametrize("modes", ["plain", "unit-norm"])
@pytest.mark.parametrize("time", [{}, ZOH, BILINEAR, NATIVE], ids=["continuous", "zoh", "bilinear", "native"])
@pytest.mark.parametrize("is_complex", [False, True], ids=["real", "complex"])
def test_transition_drive_and_impulse_response(is_complex: bool, time: dict[str, Any], modes: str) -> None:
    changes: dict[str, Any] = {"modes": modes, **time}
    if time is NATIVE:
        changes["reparameterization"] = "sigmoid"
        changes |= {"lam": tensor([0.9 * 1j, -0.3 + 0.4j])} if is_complex else {}
    model = complex_model(**changes) if is_complex else real_model(**changes)
    times = [0.0, 1.0, 2.0, 7.0, 30.0] if model.is_discrete else [0.0, 1e-3, 1.0, 2.5, 30.0]
    kernel = model.impulse_response(times)
    assert kernel.shape == (5, model.output_dim, model.input_dim)
    assert kernel.dtype == D
    with mpmath.workdps(30):
        modes_exact = [exact_mode(model, i) for i in range(2)]
        for i, (transition, factor) in enumerate(modes_exact):
            assert complex(model.transition()[i]) == pytest.approx(complex(transition), rel=8 * EPS, abs=0)
            expected = complex(factor) * model.layers[0].U[i].to(torch.complex128)
            torch.testing.assert_close(model.drive()[i].to(torch.complex128), expected, rtol=16 * EPS, atol=0)
        for j, t in enumerate(times):
            for k in range(model.output_dim):
                for d in range(model.input_dim):
                    total, size = mpmath.mpc(0), mpmath.mpf(0)
                    for i, (transition, factor) in enumerate(modes_exact):
                        power = transition ** int(t) if model.is_discrete else mpmath.exp(transition * mpmath.mpf(t))
                        c, u = mpmath.mpmathify(model.c[k, i].item()), mpmath.mpmathify(model.layers[0].U[i, d].item())
                        total, size = total + c * power * factor * u, size + abs(c * power * factor * u)
                    exact = 2 * total.real if is_complex else total.real
                    # |λ| t eps from the exponent, k eps from a power, and sixteen roundings
                    allowed = EPS * (16 + 4 * (1 + abs(complex(exact_lam(model, 0)))) * t) * 2 * float(size)
                    assert abs(float(kernel[j, k, d]) - float(exact)) <= allowed


def recursion(model: DiagonalModel, x: torch.Tensor) -> torch.Tensor:
    """y (T, k) of an unbatched discrete-time linear model with one layer from h_k = λ̄ h_{k-1} + B̄ x_k, x (T, d)."""
    transition, drive = model.transition(), model.drive()
    state, outputs = torch.zeros_like(transition), []
    for row in x:
        state = transition * state + drive @ row.to(drive.dtype)
        outputs.append(model.c @ state)
    y = torch.stack(outputs)
    return 2 * y.real if model.is_complex else y


@pytest.mark.parametrize("time", [ZOH, BILINEAR, NATIVE], ids=["zoh", "bilinear", "native"])
@pytest.mark.parametrize("is_complex", [False, True], ids=["real", "complex"])
def test_the_impulse_response_is_that_of_the_recursion(is_complex: bool, time: dict[str, Any]) -> None:
    changes: dict[str, Any] = dict(time)
    if time is NATIVE:
        changes |= {"reparameterization": "sigmoid"}
        changes |= {"lam": tensor([0.9 * 1j, -0.3 + 0.4j])} if is_complex else {}
    model = complex_model(**changes) if is_complex else real_model(**changes)
    kernel = model.impulse_response(range(40))
    x = torch.randn(40, model.input_dim, dtype=D, generator=torch.Generator().manual_seed(3))
    convolved = torch.stack([sum(kernel[j] @ x[t - j] for j in range(t + 1)) for t in range(40)])
    torch.testing.assert_close(recursion(model, x), convolved, rtol=0, atol=1e-13 * float(convolved.abs().max()))


def continuous_output(model: DiagonalModel, x: torch.Tensor, step: float) -> torch.Tensor:
    """y at (j+1)Δ of the continuous model for the input x_j on (jΔ, (j+1)Δ], by mpmath quadrature of the kernel."""
    rows = []
    with mpmath.workdps(25):
        lams = [exact_lam(model, i) for i in range(2)]
        for n in range(1, len(x) + 1):
            total = mpmath.mpc(0)
            for i, lam in enumerate(lams):
                weight = mpmath.mpmathify(model.c[0, i].item()) * mpmath.mpmathify(model.layers[0].U[i, 0].item())
                for j in range(n):
                    ages = [(n - j - 1) * mpmath.mpf(step), (n - j) * mpmath.mpf(step)]
                    kernel = mpmath.quad(lambda s, lam=lam: mpmath.exp(lam * s), ages)
                    total += weight * kernel * mpmath.mpf(float(x[j, 0]))
            rows.append([float(total.real) * (2 if model.is_complex else 1)])
    return tensor(rows)


@pytest.mark.parametrize("is_complex", [False, True], ids=["real", "complex"])
def test_zoh_is_exact_for_inputs_that_are_constant_on_each_step(is_complex: bool) -> None:
    arguments: dict[str, Any] = {"c": tensor([2 - 1j, 1 + 0j])} if is_complex else {}
    base = complex_model(**arguments) if is_complex else real_model(
        layers=(Layer(tensor([-1.0, 0.5]), tensor([[1.0], [0.5]])),)
    )  # fmt: skip
    sampled = dataclasses.replace(base, **{**ZOH, "c": base.c})
    x = torch.randn(8, 1, dtype=D, generator=torch.Generator().manual_seed(4))
    exact = continuous_output(base, x, 0.25)
    torch.testing.assert_close(recursion(sampled, x), exact, rtol=0, atol=64 * EPS * float(exact.abs().max()))


@pytest.mark.parametrize("is_complex", [False, True], ids=["real", "complex"])
def test_the_orders_of_the_discretizations(is_complex: bool) -> None:
    """e^{-t} sampled at t = (k+1)Δ (zoh) and at the midpoints' sum (bilinear, trapezoidal): the error at t = 4."""
    lam, u, c = (-0.5 + 1j, 1 + 2j, 2 - 1j) if is_complex else (-0.5, 1.0, 2.0)
    orders = {}
    for rule in ("zoh", "bilinear"):
        errors = []
        for steps in (64, 128):
            step = 4.0 / steps
            model = DiagonalModel.from_lam(
                tensor([lam]), tensor([[u]]), tensor([c]), "exp", time="discrete", step_size=step, discretization=rule
            )
            ends = torch.arange(1, steps + 1, dtype=D) * step
            # zoh holds the input of the step's end, the trapezoidal rule takes the mean of both ends
            x = torch.exp(-ends) if rule == "zoh" else 0.5 * (torch.exp(-ends) + torch.exp(-(ends - step)))
            exact = c * u * (complex(math.e) ** (4 * complex(lam)) - math.exp(-4)) / (lam + 1)
            y = recursion(model, x[:, None])[-1]
            errors.append(abs(float(y) - (2 if is_complex else 1) * complex(exact).real))
        orders[rule] = math.log2(errors[0] / errors[1])
    assert orders["zoh"] == pytest.approx(1, abs=0.1)
    assert orders["bilinear"] == pytest.approx(2, abs=0.1)


def test_slow_modes_keep_their_digits_when_discretized() -> None:
    for kind in (ZOH, BILINEAR):
        model = DiagonalModel.from_lam(tensor([-1e-12]), tensor([[1.0]]), tensor([1.0]), **kind)
        # to first order in λΔ; the next is 1e-13 of that
        assert float(model.drive()) == pytest.approx(0.25 * (1 - 0.125e-12), rel=4 * EPS, abs=0)
        assert float(model.stability_margin) == pytest.approx(0.25e-12 * (1 - 0.125e-12), rel=4 * EPS, abs=0)


def test_unit_norm_in_closed_form() -> None:
    lam = tensor([-0.25, -3.0])
    gains = DiagonalModel.from_lam(lam, tensor([[1.0], [1.0]]), tensor([1.0, 1.0]), modes="unit-norm").gain()
    torch.testing.assert_close(gains, tensor([1 / 6, 3 / 7]))
    pair = complex_model(lam=tensor([-3 + 4j]), U=tensor([[1 + 0j]]), c=tensor([1 + 0j]), modes="unit-norm")
    assert float(pair.gain()) == pytest.approx(3 / 9)
    native = DiagonalModel.from_lam(tensor([0.5, -0.5]), tensor([[1.0], [1.0]]), tensor([1.0, 1.0]),
                                    "tanh", modes="unit-norm", time="discrete")  # fmt: skip
    torch.testing.assert_close(native.gain(), tensor([1 / 4, 1 / 6]))  # 2 + 1 + 1 and 2 + 1 + 3


# Full matrices


@settings(max_examples=25)
@given(full_models(largest=3))
def test_full_matrices_against_mpmath(model: FullModel) -> None:
    times = [0.0, 1.0, 3.0, 10.0]
    kernel = model.impulse_response(times)
    with mpmath.workdps(25):
        A, B, C = (mpmath.matrix(x.tolist()) for x in (model.A, model.B, model.C))
        if not model.is_discrete:
            exact = [C * mpmath.expm(A * t) * B for t in times]
        else:
            exact = [C * A ** int(t) * B for t in times]
    for found, wanted in zip(kernel, exact, strict=True):
        expected = tensor([[float(wanted[i, j]) for j in range(wanted.cols)] for i in range(wanted.rows)])
        scale = float(model.C.norm() * model.B.norm()) * max(1.0, float(model.A.norm())) * 10
        assert float((found - expected).abs().max()) <= 1e-12 * scale


def test_a_diagonal_full_model_is_a_diagonal_model() -> None:
    diagonal = real_model(c=tensor([[2.0, -1.0], [0.0, 1.0]]))
    full = FullModel(torch.diag(diagonal.lam()), diagonal.layers[0].U, diagonal.c)
    times = torch.linspace(0, 20, 7, dtype=D)
    torch.testing.assert_close(full.impulse_response(times), diagonal.impulse_response(times), rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(full.stability_margin, diagonal.stability_margin)


@settings(max_examples=25)
@given(full_models(batch=(3,)))
def test_full_models_batched_equal_looped(model: FullModel) -> None:
    times = [0.0, 2.0, 5.0]
    kernel = model.impulse_response(times)
    for i in range(3):
        torch.testing.assert_close(model[i].impulse_response(times), kernel[i], rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(model[i].stability_margin, model.stability_margin[i], rtol=1e-12, atol=1e-12)
    assert model[:2].batch_shape == (2,)


# Batches


@settings(max_examples=25)
@given(diagonal_models(linear=True, batch=(3,)))
def test_batched_equals_looped(model: DiagonalModel) -> None:
    times = [0.0, 1.0, 6.0]
    kernel = model.impulse_response(times)
    scale = float((model.c.abs() @ model.drive().abs()).max())
    for i in range(3):
        one = model[i]
        assert one.batch_shape == ()
        torch.testing.assert_close(one.impulse_response(times), kernel[i], rtol=1e-13, atol=1e-14 * scale)
        torch.testing.assert_close(one.stability_margin, model.stability_margin[i], rtol=1e-14, atol=1e-16)
        torch.testing.assert_close(one.transition(), model.transition()[i], rtol=1e-14, atol=1e-16)
        torch.testing.assert_close(one.drive(), model.drive()[i], rtol=1e-14, atol=1e-16)


@settings(max_examples=25)
@given(diagonal_models(batch=None), st.data())
def test_sizes_margins_and_replaced_weights(model: DiagonalModel, data: st.DataObject) -> None:
    depth = len(model.layers)
    assert model.hidden_dims == tuple(x.w.shape[-1] for x in model.layers)
    assert model.c.shape == (*model.batch_shape, model.output_dim, model.hidden_dims[-1])
    for index in range(depth):
        lam, bar = model.lam(index), model.transition(index)
        distance = 1 - bar.abs() if model.is_discrete else -bar.real
        assert bool((distance >= model.stability_margin[..., None] - 4 * EPS).all())
        assert bool((model.gain(index) > 0).all())
        assert lam.is_complex() == model.is_complex
    weights = model.weights
    assert len(weights["omega"]) == (depth if model.is_complex else 0)
    same = model.replace_weights(w=weights["w"], U=weights["U"], c=model.c)
    assert torch.equal(same.transition(), model.transition())
    added = model.replace_weights(w=[w.expand(4, *w.shape) for w in weights["w"]])
    assert added.batch_shape == (4, *model.batch_shape)
    assert added.output_dim == model.output_dim
    assert torch.equal(added[data.draw(st.integers(0, 3))].c, model.c)


@pytest.mark.parametrize(
    ("w", "U", "c", "batch", "outputs"),
    [
        ((4,), (4, 2), (4,), (), 1),
        ((4,), (4, 2), (3, 4), (), 3),
        ((4,), (4, 2), (5, 3, 4), (5,), 3),
        ((5, 4), (4, 2), (4,), (5,), 1),
        ((5, 4), (4, 2), (5, 4), (5,), 1),
        ((5, 4), (5, 4, 2), (5, 3, 4), (5,), 3),
        ((4,), (5, 4, 2), (1, 3, 4), (5,), 3),
        ((5, 4), (4, 2), (6, 1, 1, 4), (6, 5), 1),
        ((6, 5, 4), (5, 4, 2), (6, 1, 4), (6, 5), 1),
    ],
)
def test_how_shapes_are_read(
    w: tuple[int, ...], U: tuple[int, ...], c: tuple[int, ...], batch: tuple[int, ...], outputs: int
) -> None:
    model = DiagonalModel((Layer(torch.zeros(w, dtype=D), torch.ones(U, dtype=D)),), torch.ones(c, dtype=D), "exp")
    assert model.batch_shape == batch
    assert model.output_dim == outputs
    assert model.impulse_response([0.0, 1.0]).shape == (*batch, 2, outputs, 2)


def test_the_chunks_of_a_long_response_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    times = torch.linspace(0, 9, 23, dtype=D)
    diagonal, full = (
        real_model(),
        FullModel(-torch.eye(2, dtype=D), torch.ones(2, 1, dtype=D), torch.ones(1, 2, dtype=D)),
    )
    whole = [model.impulse_response(times) for model in (diagonal, full)]
    monkeypatch.setattr("numerics.models.CHUNK", 4)
    monkeypatch.setattr("numerics.full_model.CHUNK", 12)
    for model, expected in zip((diagonal, full), whole, strict=True):
        torch.testing.assert_close(model.impulse_response(times), expected, rtol=1e-14, atol=0)


def test_a_response_larger_than_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numerics.model_checks.available_memory", lambda device: 1000)
    assert real_model().impulse_response([0.0] * 20).shape == (20, 1, 2)
    for model in (
        real_model(),
        FullModel(-torch.eye(1, dtype=D), torch.ones(1, 2, dtype=D), torch.ones(1, 1, dtype=D)),
    ):
        with pytest.raises(ValueError, match="times: needs about"):
            model.impulse_response([0.0] * 40)


# Gradients, dtypes, values that stay


def test_gradients_reach_every_weight() -> None:
    model = complex_model(modes="unit-norm")
    names = ("w", "omega", "U", "c")
    leaves = [model.weights[n][0].detach().clone().requires_grad_() for n in names]
    again = model.replace_weights(**dict(zip(names, leaves, strict=True)))
    gradients = torch.autograd.grad(again.impulse_response([0.5, 2.0]).abs().sum(), leaves)
    for leaf, gradient in zip(leaves, gradients, strict=True):
        assert gradient.shape == leaf.shape
        assert float(gradient.abs().max()) > 0
    assert torch.autograd.gradcheck(
        lambda *given: model.replace_weights(**dict(zip(names, given, strict=True))).impulse_response([0.5, 2.0]),
        leaves,
    )


def test_dtypes() -> None:
    single = complex_model().to(dtype=torch.float32)
    assert single.dtype == torch.float32
    assert single.c.dtype == torch.complex64
    assert single.impulse_response([0.0, 1.0]).dtype == torch.float32
    torch.testing.assert_close(single.to("cpu", D).impulse_response([1.0]), complex_model().impulse_response([1.0]),
                               rtol=1e-5, atol=1e-5)  # fmt: skip
    with pytest.raises(ValueError, match=r"dtype: torch\.float16 is not one of"):
        complex_model().to(dtype=torch.float16)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("time", [{}, ZOH, BILINEAR])
def test_the_gpu_gives_what_the_cpu_gives(time: dict[str, Any]) -> None:
    model = complex_model(modes="unit-norm", **time)
    kernel = model.to("cuda").impulse_response([0.0, 1.0, 9.0])
    assert kernel.is_cuda
    torch.testing.assert_close(kernel.cpu(), model.impulse_response([0.0, 1.0, 9.0]), rtol=1e-13, atol=1e-14)


def test_real_weights_of_a_complex_model_become_complex() -> None:
    model = complex_model(U=tensor([[1.0], [2.0]]), c=tensor([1.0, 1.0]))
    assert model.c.is_complex()
    assert model.layers[0].U.is_complex()


def test_models_are_frozen_and_leave_their_inputs_alone() -> None:
    w, U, c = tensor([-1.0, 0.5]), tensor([[1.0, -2.0], [0.5, 3.0]]), tensor([2.0, -1.0])
    before = [x.clone() for x in (w, U, c)]
    model = DiagonalModel((Layer(w, U),), c, "exp", modes="unit-norm", **ZOH)
    model.impulse_response([0, 1])
    assert model.layers[0].w.data_ptr() == w.data_ptr()  # nothing is copied
    assert all(torch.equal(x, y) for x, y in zip((w, U, c), before, strict=True))
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.c = c  # type: ignore[misc]


def test_names_and_objects_mean_the_same() -> None:
    by_object = real_model(reparameterization=Reparameterization("exp"))
    assert by_object.activation.name == "identity"
    assert torch.equal(by_object.lam(), real_model().lam())
    assert real_model(activation="tanh").is_linear is False


# What is refused, one hypothesis at a time


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": ()}, "layers: at least one"),
        ({"layers": (Layer(tensor([0.0]), tensor([[1.0], [2.0]])),)}, r"layer 1: U: has shape \(2, 1\).*\(1, any\)"),
        ({"layers": (Layer(tensor([0.0] * 2), tensor([[1.0]] * 2)), Layer(tensor([0.0]), tensor([[1.0]])))},
         r"layer 2: U: has shape \(1, 1\), its last axes should be \(1, 2\)"),
        ({"layers": (Layer(tensor([]), torch.zeros(0, 2, dtype=D)),)}, r"layer 1: w: has shape \(0,\); it must not be"),
        ({"layers": (Layer(tensor([0.0, math.nan]), tensor([[1.0]] * 2)),)}, "layer 1: w: contains a number"),
        ({"layers": (Layer(tensor([0.0, 1.0]), tensor([[1.0], [math.inf]])),)}, "layer 1: U: contains a number"),
        ({"layers": (Layer(tensor([0.0, 800.0]), tensor([[1.0]] * 2)),)}, "layer 1: w: 800.0 has no finite real λ"),
        ({"layers": (Layer(tensor([0.0, -800.0]), tensor([[1.0]] * 2)),)}, "layer 1: lam: Re λ = -0.0; Re λ < 0 is"),
        ({"layers": (Layer(torch.zeros(2), tensor([[1.0]] * 2)),)}, r"layer 1: U: has dtype torch\.float64, .*float32"),
        ({"layers": (Layer(torch.zeros(2, dtype=torch.int64), tensor([[1.0]] * 2)),)}, "layer 1: w: torch"),
        ({"layers": (Layer([0.0], tensor([[1.0]])),)}, "layer 1: w: a tensor is needed, got list"),
        ({"layers": (Layer(tensor(0.0), tensor([[1.0]])),)}, "layer 1: w: has shape.*at least 1 axes"),
        ({"layers": (Layer(tensor([0j]), tensor([[1.0]])),)}, "layer 1: w, omega: must be real"),
        ({"layers": (Layer(tensor([0.0]), tensor([[1j]])),), "c": tensor([1.0])}, "layer 1: U: is complex"),
        ({"layers": (Layer(tensor([0.0] * 2), tensor([[1.0]] * 2), tensor([1.0])),)}, "layer 1: omega: has shape"),
        ({"layers": (Layer(tensor([0.0]), tensor([[1.0]])), Layer(tensor([0.0]), tensor([[1.0]]), tensor([1.0])))},
         "layer 2: omega: real and complex λ cannot be mixed"),
        ({"c": tensor([1.0])}, r"c: has shape \(1,\), its last axes should be \(2\)"),
        ({"c": tensor([1.0, math.nan])}, "c: contains"),
        ({"c": tensor([1j, 1.0])}, "c: is complex"),
        ({"c": torch.ones(3, 1, 2, dtype=D), "layers": (Layer(torch.zeros(4, 2, dtype=D), tensor([[1.0]] * 2)),)},
         "layers, c: their batch shapes do not fit together: .*c \\(3,\\)"),
        ({"reparameterization": "expo"}, "did you mean exp"),
        ({"reparameterization": Reparameterization("exp", "discrete")}, "it is for discrete time"),
        ({"reparameterization": "direct"}, r"layer 1: lam: Re λ = 0\.5; Re λ < 0 is needed"),
        ({"reparameterization": "direct", "activation": "tanh"}, r"layer 1: lam: Re λ = 0\.5; Re λ < 0 is needed"),
        ({"reparameterization": "-sqrt(w)"}, r"layer 1: w: -1\.0 has no finite real λ under '-sqrt\(w\)'"),
        ({"reparameterization": "2*w", **NATIVE}, r"layer 1: lam: λ = -2\.0; |λ| < 1 is needed"),
        ({"activation": "tanhh"}, "activation: 'tanhh' is unknown; did you mean tanh"),
        ({"modes": "unit"}, "modes: 'unit' is not one of plain, unit-norm"),
        ({"time": "cont"}, "time: 'cont' is not one of continuous, discrete"),
        ({"step_size": 0.1, "discretization": "zoh"}, "step_size: 0.1 is for time 'discrete'"),
        ({"time": "discrete", "step_size": 0.1}, "discretization: a step_size needs one of zoh, bilinear"),
        ({"time": "discrete", "discretization": "zoh"}, "discretization: 'zoh' needs a step_size"),
        ({**ZOH, "discretization": "euler"}, "discretization: 'euler' is not one of"),
        ({**ZOH, "step_size": 0.0}, "step_size: a positive finite number"),
        ({**ZOH, "step_size": math.inf}, "step_size: a positive finite number"),
        ({**ZOH, "step_size": True}, "step_size: a positive finite number"),
        ({**ZOH, "step_size": 1e-18}, "step_size: 1e-18 makes"),
    ],
)  # fmt: skip
def test_what_a_diagonal_model_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        real_model(**changes)
    assert "\n" not in str(caught.value)


def test_the_limits_of_stability_themselves() -> None:
    for lam, kind in ((-1e-300, {}), (math.nextafter(1, 0), NATIVE), (-math.nextafter(1, 0), NATIVE)):
        model = DiagonalModel.from_lam(tensor([lam]), tensor([[1.0]]), tensor([1.0]), **kind)
        assert float(model.stability_margin) > 0
    for lam, kind in ((0.0, {}), (1.0, NATIVE), (-1.0, NATIVE)):
        with pytest.raises(ValueError, match="is needed for a stable mode"):
            DiagonalModel.from_lam(tensor([lam]), tensor([[1.0]]), tensor([1.0]), **kind)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lam": [tensor([-1.0])], "U": []}, "lam, U: 1 and 0 layers"),
        ({"lam": tensor([-1.0, 0.5]), "reparameterization": "exp"}, "layer 1: lam: 0.5 is not a value"),
        ({"reparameterization": "-exp(w)"}, "layer 1: reparameterization: no inverse"),
        ({"lam": torch.tensor([-1])}, r"layer 1: lam: torch\.int64"),
        (
            {"lam": [tensor([-1.0]), tensor([-1.0 + 1j])], "U": [tensor([[1.0]])] * 2},
            "layer 2: omega: real and complex",
        ),
    ],
)
def test_what_from_lam_refuses(changes: dict[str, Any], message: str) -> None:
    arguments = {"lam": tensor([-1.0]), "U": tensor([[1.0]]), "c": tensor([1.0])}
    with pytest.raises(ValueError, match=message):
        DiagonalModel.from_lam(**{**arguments, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"A": tensor([[1.0]])}, "A: its largest real part of an eigenvalue is 1; it must be negative"),
        ({"A": tensor([[-1.0]]), "time": "discrete"}, "A: its spectral radius is 1; it must be below 1"),
        ({"A": tensor([[-1.0, 0.0]])}, r"A: has shape \(1, 2\), its last axes should be \(2, 2\)"),
        ({"B": tensor([[1.0], [1.0]])}, r"B: has shape \(2, 1\), its last axes should be \(1, any\)"),
        ({"C": tensor([[1.0, 1.0]])}, r"C: has shape \(1, 2\), its last axes should be \(any, 1\)"),
        ({"A": tensor([[math.nan]])}, "A: contains"),
        ({"B": tensor([[1j]])}, "B: complex numbers"),
        ({"C": torch.ones(1, 1)}, r"C: has dtype torch\.float32"),
        ({"C": tensor([1.0])}, "C: has shape.*at least 2 axes"),
        ({"time": "x"}, "time: 'x' is not one of"),
        ({"B": torch.ones(2, 1, 1, dtype=D), "C": torch.ones(3, 1, 1, dtype=D)}, "batch shapes do not fit together"),
    ],
)
def test_what_a_full_model_refuses(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"A": tensor([[-1.0]]), "B": tensor([[1.0]]), "C": tensor([[1.0]])}
    assert FullModel(**arguments).hidden_dim == 1
    with pytest.raises(ValueError, match=message):
        FullModel(**{**arguments, **changes})


@pytest.mark.parametrize(
    ("model", "times", "message"),
    [
        (real_model(), [-1.0], "times: must be finite and at least 0"),
        (real_model(), [math.nan], "times: must be finite"),
        (real_model(), [], "times: shape"),
        (real_model(), None, "times: shape"),
        (real_model(), "abc", "times: an array of real numbers"),
        (real_model(), [[1.0], [1.0, 2.0]], "times: an array of real numbers"),
        (real_model(), torch.tensor([1j]), "times: shape"),
        (real_model(), torch.zeros(1).expand(2**40), "times: needs about"),
        (real_model(**ZOH), [0.5], "times: step indices"),
        (real_model(activation="tanh"), [0.0], "an impulse response needs one layer with activation identity"),
        (real_model(layers=(*real_model().layers, Layer(tensor([0.0] * 2), tensor([[1.0] * 2] * 2)))), [0.0],
         "has 2 with identity"),
    ],
)  # fmt: skip
def test_what_an_impulse_response_refuses(model: DiagonalModel, times: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.impulse_response(times)


def test_other_misuse() -> None:
    with pytest.raises(ValueError, match="w: 2 tensors for 1 layers"):
        real_model().replace_weights(w=[tensor([0.0, 0.0])] * 2)
    with pytest.raises(IndexError, match="no batch axis"):
        real_model()[0]
    with pytest.raises(IndexError, match="no batch axis"):
        FullModel(tensor([[-1.0]]), tensor([[1.0]]), tensor([[1.0]]))[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": ("a",)}, "layer 1: a Layer is needed, got str"),
        ({"layers": (Layer(tensor([0.0, 0.0]).to_sparse(), tensor([[1.0]] * 2)),)}, "layer 1: w: a dense tensor"),
        ({"layers": (Layer(torch.empty(2, dtype=D, device="meta"), tensor([[1.0]] * 2)),)}, "layer 1: w: a dense"),
        ({"activation": ["tanh"]}, "activation: .* is unknown"),
        ({"reparameterization": None}, "reparameterization: its text must be a text, got 'None'"),
        ({"time": "discrete", "step_size": 10**400, "discretization": "zoh"}, "step_size: a positive finite number"),
        ({"c": tensor([1.0, math.inf])}, "c: contains a number that is not finite, inf"),
    ],
)
def test_arguments_of_other_kinds(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        real_model(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("discretization", ["zoh", "bilinear"])
def test_a_step_that_overflows_is_not_taken_for_stable(discretization: str) -> None:
    layer = Layer(tensor([-1.0]), tensor([[1.0]]), tensor([1e300]))
    with pytest.raises(ValueError, match=r"layer 1: step_size: 1e\+300 makes"):
        DiagonalModel(
            (layer,), tensor([1.0]), Reparameterization("direct"), time="discrete", step_size=1e300,
            discretization=discretization,
        )  # fmt: skip


def test_a_full_model_after_more_steps_than_integers_count() -> None:
    model = FullModel(tensor([[0.5]]), tensor([[1.0]]), tensor([[1.0]]), "discrete")
    assert model.impulse_response([0.0, 1e300]).flatten().tolist() == [1.0, 0.0]


def test_weights_that_are_no_tensors() -> None:
    with pytest.raises(ValueError, match="w: a tensor is needed, got float"):
        real_model().replace_weights(w=[0.0])
    with pytest.raises(ValueError, match="layer 1: lam: a tensor is needed, got int"):
        DiagonalModel.from_lam(3, tensor([[1.0]]), tensor([1.0]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings",
    [{}, {"time": "discrete"}, {"time": "discrete", "step_size": 0.1, "discretization": "zoh"}],
)
def test_a_phase_that_overflows_where_the_mode_has_died(settings: dict[str, Any]) -> None:
    native = settings == {"time": "discrete"}
    f = Reparameterization("exp(-exp(w))/2", "discrete") if native else Reparameterization("-exp(w)/2")
    layer = Layer(tensor([0.0]), tensor([[1.0]]), tensor([1e10]))
    found = DiagonalModel((layer,), tensor([1.0]), f, **settings).impulse_response([0.0, 1e300])
    assert float(found[0]) != 0
    assert float(found[1]) == 0
