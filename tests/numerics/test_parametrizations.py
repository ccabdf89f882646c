"""Each f as a parametrization: start, assignment and training of a user's own module; what it refuses."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization, remove_parametrizations

from numerics.parametrizations import StableRate
from numerics.reach import weights_for
from numerics.reparameterization import Reparameterization

CONTINUOUS = ("direct", "relu", "exp", "softplus", "sigmoid", "best:b=0.1", "reciprocal", "-exp(w)/2", "-log(2+w**2)")
DISCRETE = ("direct", "relu", "exp", "softplus", "sigmoid", "tanh", "best:b=1", "reciprocal", "1-1/(1+w**2)")
VARIANTS = [(f, "continuous") for f in CONTINUOUS] + [(f, "discrete") for f in DISCRETE]


class Memory(nn.Module):
    """h_k = e^A h_{k-1} + x_k, in discrete time A h_{k-1} + x_k, one output."""

    def __init__(self, A: Tensor, discrete: bool = False) -> None:
        super().__init__()
        self.A, self.discrete = nn.Parameter(A), discrete
        self.c = nn.Parameter(torch.ones_like(A))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros_like(self.A)
        for u in x:
            h = (self.A if self.discrete else self.A.exp()) * h + u
        return (self.c * h).sum()


def rates(f: str, time: str, dtype: torch.dtype = torch.float64) -> Tensor:
    """Values that this f takes."""
    if f == "-log(2+w**2)":
        return -torch.linspace(0.7, 3.0, 6, dtype=dtype)
    lam = torch.linspace(0.05, 0.95, 6, dtype=dtype)
    if f.startswith("reciprocal") and time == "continuous":
        return -1.9 * lam
    return -lam if time == "continuous" else lam


@pytest.mark.parametrize(("f", "time"), VARIANTS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_it_starts_at_the_rates_and_takes_new_ones(f: str, time: str, dtype: torch.dtype) -> None:
    lam = rates(f, time, dtype).reshape(2, 3)
    module = Memory(lam.clone(), time == "discrete")
    kept = module.A
    register_parametrization(module, "A", StableRate(f, time))
    original = module.parametrizations.A.original  # type: ignore[union-attr]
    assert original is kept  # the optimizer's parameter
    tolerance = {"rtol": 0.0, "atol": 32 * torch.finfo(dtype).eps}
    torch.testing.assert_close(module.A.detach(), lam, **tolerance)
    module.A = lam.flip(1)
    torch.testing.assert_close(module.A.detach(), lam.flip(1), **tolerance)
    assert module.A.dtype == dtype
    assert original is kept
    assert isinstance(kept, nn.Parameter)


@pytest.mark.parametrize(("f", "time"), VARIANTS)
def test_the_weight_is_on_the_stated_branch(f: str, time: str) -> None:
    lam = rates(f, time)
    rate = StableRate(f, time)
    torch.testing.assert_close(rate.right_inverse(lam), weights_for(Reparameterization(f, time), lam.numpy()))
    before = lam.clone()
    assert torch.equal(lam, before)
    assert rate.right_inverse(lam).data_ptr() != lam.data_ptr()


@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 0, 3), (3, 1, 2)])
@pytest.mark.parametrize("f", ["exp", "-exp(w)/2"])
def test_any_shape(f: str, shape: tuple[int, ...]) -> None:
    lam = torch.full(shape, -0.25)
    w = StableRate(f).right_inverse(lam)
    assert (w.shape, w.dtype, w.is_contiguous()) == (lam.shape, lam.dtype, True)
    torch.testing.assert_close(StableRate(f)(w), lam)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("f", ["exp", "best:b=0.1", "-exp(w)/2"])
def test_half_precision(f: str, dtype: torch.dtype) -> None:
    lam = -torch.linspace(0.1, 1.0, 7).to(dtype)
    w = StableRate(f).right_inverse(lam)
    assert w.dtype == dtype
    torch.testing.assert_close(StableRate(f)(w), lam, rtol=8 * torch.finfo(dtype).eps, atol=0)


def test_many_values_of_a_formula() -> None:
    lam = -torch.rand(70, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.01
    w = StableRate("-exp(w)/2").right_inverse(lam.T)
    torch.testing.assert_close(w, (-2 * lam.T).log(), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("f", "time"), VARIANTS)
def test_gradients_are_those_of_the_weight(f: str, time: str) -> None:
    lam, x = rates(f, time), torch.linspace(-1, 1, 8, dtype=torch.float64)
    module = Memory(lam.clone(), time == "discrete")
    register_parametrization(module, "A", StableRate(f, time))
    module(x).backward()
    found = module.parametrizations.A.original.grad  # type: ignore[union-attr]
    w = weights_for(Reparameterization(f, time), lam.numpy()).requires_grad_()
    plain = Memory(torch.zeros_like(lam), time == "discrete")
    value = Reparameterization(f, time)(w)
    (wanted,) = torch.autograd.grad(torch.func.functional_call(plain, {"A": value}, x), w)
    torch.testing.assert_close(found, wanted)
    assert bool((wanted != 0).any())


def test_training_keeps_stable_rates_stable() -> None:
    """Steps so large that direct leaves the half plane, exp cannot."""
    ends = {}
    for f in ("direct", "exp"):
        module = Memory(-torch.linspace(0.05, 0.5, 4, dtype=torch.float64))
        register_parametrization(module, "A", StableRate(f))
        optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
        for _ in range(3):
            optimizer.zero_grad()
            (-module(torch.ones(10, dtype=torch.float64))).backward()
            optimizer.step()
        ends[f] = float(module.A.detach().max())
    assert ends["direct"] > 0 >= ends["exp"]


def test_state_copy_and_removal() -> None:
    def made() -> Memory:
        module = Memory(-torch.linspace(0.1, 1.0, 5))
        register_parametrization(module, "A", StableRate("best:b=0.1"))
        return module

    module, other = made(), made()
    module.A = module.A.detach() * 0.5
    other.load_state_dict(module.state_dict())
    assert torch.equal(other.A, module.A)
    assert sorted(module.state_dict()) == ["c", "parametrizations.A.original"]
    twin = copy.deepcopy(module)
    assert torch.equal(twin.A, module.A)
    twin.A = -torch.ones(5)
    assert not torch.equal(twin.A, module.A)
    lam = module.A.detach().clone()
    remove_parametrizations(module, "A")
    assert torch.equal(module.A, lam)
    assert "best:b=0.1, continuous time" in repr(other)


@pytest.mark.slow
@pytest.mark.parametrize("f", ["best:b=0.1", "-exp(w)*2"])
def test_torch_compile_takes_it_whole(f: str) -> None:
    module = nn.Module()
    module.A = nn.Parameter(-torch.arange(1.0, 4.0))
    register_parametrization(module, "A", pickle.loads(pickle.dumps(StableRate(f))))
    compiled = torch.compile(lambda x: x * module.A, backend="eager", fullgraph=True)
    assert torch.equal(compiled(torch.ones(3)), module.A)


def test_vmap_over_stacked_models() -> None:
    models = [Memory(-torch.rand(4, generator=torch.Generator().manual_seed(i)).double() - 0.1) for i in range(3)]
    for model in models:
        register_parametrization(model, "A", StableRate("softplus"))
    params = {name: torch.stack([dict(m.named_parameters())[name] for m in models]) for name in models[0].state_dict()}
    x = torch.linspace(-1, 1, 6, dtype=torch.float64)
    found = torch.func.vmap(lambda row: torch.func.functional_call(models[0], row, x))(params)
    torch.testing.assert_close(found, torch.stack([model(x) for model in models]))


@pytest.mark.parametrize(
    ("f", "time", "lam", "message"),
    [
        ("exp", "continuous", [-1.0, 0.5], r"lam: 0.5 is not a value of .* 'exp', range \(-inf, 0\)"),
        ("exp", "continuous", [0.0], r"lam: 0.0 is not a value"),
        ("best:b=0.1", "continuous", [-10.5], r"lam: -10.5 is not a value .* range \[-10, 0\)"),
        ("tanh", "discrete", [1.0], r"lam: 1.0 is not a value of .* range \(-1, 1\)"),
        ("exp", "continuous", [float("nan")], "lam: nan is not a value"),
        ("direct", "continuous", [float("inf")], "lam: inf is not a value"),
        (
            "-exp(w)/2",
            "continuous",
            [0.25],
            r"does not take the value λ = 0.25 for w in \[-60, 60\], its values are in ",
        ),
        ("-1-exp(w)", "continuous", [-0.5], r"λ = -0.5 .* its values are in \[-1.14201e\+26, -1\]"),
        ("-exp(w)/2", "continuous", [float("nan")], "λ = nan"),
    ],
)
def test_rates_out_of_reach(f: str, time: str, lam: list[float], message: str) -> None:
    module = Memory(torch.tensor(lam))
    with pytest.raises(ValueError, match=message) as caught:
        register_parametrization(module, "A", StableRate(f, time))
    assert "\n" not in str(caught.value)
    torch.testing.assert_close(module.A.detach(), torch.tensor(lam), equal_nan=True)


@pytest.mark.parametrize("f", ["exp", "-exp(w)/2"])
@pytest.mark.parametrize("dtype", [torch.complex64, torch.int64])
def test_rates_that_are_not_real(f: str, dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match="lam: a tensor of real floating point numbers is needed"):
        StableRate(f).right_inverse(torch.full((2,), -1, dtype=dtype))


@pytest.mark.parametrize("arguments", [("expp",), ("exp", "never"), ("exp(", "continuous"), ("tanh",), (3.0,)])
def test_bad_f(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"^\S+: .") as caught:
        StableRate(*arguments)
    assert "\n" not in str(caught.value)


def test_a_pole_of_a_formula_is_no_solution() -> None:
    """-1/(w - 0.01) changes its sign at the pole, between two nodes of the grid, without taking the value there."""
    f = Reparameterization("-1/(w-0.01)")
    lam = torch.tensor([0.5, -0.5, -3.0], dtype=torch.float64)
    torch.testing.assert_close(f(weights_for(f, lam.numpy())), lam)
