"""Memory functions of PyTorch modules: exact linear references, brute force, isolation, modules that are refused."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from numerics.decay import estimate_decay
from numerics.sequence_map import SequenceMap
from numerics.torch_modules import ascend, module_memory_function


class LinearSSM(nn.Module):
    """h_k = λ h_{k-1} + U x_k, y_k = C h_k with random λ in (-0.9, 0.9)."""

    def __init__(self, modes: int, inputs: int, outputs: int, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.lam = nn.Parameter(1.8 * torch.rand(modes, generator=generator, dtype=torch.float64) - 0.9)
        self.U = nn.Parameter(torch.randn(modes, inputs, generator=generator, dtype=torch.float64))
        self.C = nn.Parameter(torch.randn(outputs, modes, generator=generator, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        h, outputs = x.new_zeros(x.shape[0], len(self.lam)), []
        for t in range(x.shape[1]):
            h = self.lam * h + x[:, t] @ self.U.T
            outputs.append(h @ self.C.T)
        return torch.stack(outputs, dim=1)

    def memory(self, steps: int) -> Tensor:
        """max over outputs of |ρ_k|_1, ρ_k = C λ^k U."""
        powers = self.lam.detach() ** torch.arange(steps)[:, None]
        kernel = torch.einsum("om,km,md->kod", self.C.detach(), powers, self.U.detach())
        return kernel.abs().sum(dim=2).amax(dim=1)


class Pointwise(nn.Module):
    """Any function of the inputs, after an optional module."""

    def __init__(self, function, inner: nn.Module | None = None) -> None:  # type: ignore[no-untyped-def]
        super().__init__()
        self.function, self.inner = function, inner or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.inner(x))


class CausalConvolution(nn.Module):
    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.layer = nn.Conv1d(inputs, outputs, width, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        padding = self.layer.kernel_size[0] - 1
        return self.layer(nn.functional.pad(x.mT, (padding, 0))).mT


class CausalTransformer(nn.Module):
    def __init__(self, causal: bool = True) -> None:
        super().__init__()
        self.layer, self.causal = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).double(), causal

    def forward(self, x: Tensor) -> Tensor:
        size, kind = x.shape[1], x.dtype
        mask = nn.Transformer.generate_square_subsequent_mask(size, dtype=kind) if self.causal else None
        return self.layer(x, src_mask=mask)


def seeded(make, *args: object, **kwargs: object) -> nn.Module:  # type: ignore[no-untyped-def]
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return make(*args, **kwargs)


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (3, 2), (6, 1)])
def test_linear_modules_are_exact(inputs: int, outputs: int) -> None:
    module = LinearSSM(5, inputs, outputs)
    found = module_memory_function(module, inputs, 30, starts=8)
    exact = module.memory(30)
    # M is a supremum approached as |x| → ∞; at |x| = 1e8 the ratio is smaller by the factor 1/(1 + 1e-8).
    assert torch.all(found.lower <= exact + found.rounding_estimate)
    assert torch.all(found.lower >= exact / (1 + 1.01e-8) - found.rounding_estimate)
    assert torch.all(found.rounding_estimate < 1e-12)
    assert found.at_edge.all()
    assert not found.drift.any()
    assert found.inputs.shape == (30, inputs)


def test_a_convolution_with_bias() -> None:
    module = seeded(CausalConvolution, 2, 3, 4)
    found = module_memory_function(module, 2, 7)
    taps = module.layer.weight.detach().flip(2)  # (3, 2, 4), the tap of lag 0 first
    exact = torch.cat([taps.abs().sum(1).amax(0), torch.zeros(3, dtype=torch.float64)])
    # The bias is at rest after the warm-up; the rounding of 1e8 + bias is part of the estimate.
    assert torch.all((found.lower - exact).abs() <= found.rounding_estimate + 1.01e-8 * exact)
    assert torch.all(found.rounding_estimate < 1e-13)


def test_a_saturating_module_against_a_line_search() -> None:
    # y_k = tanh(2 x_k): M(0) = max_r tanh(2r)/(r + 1), M(k) = 0 after it.
    module = Pointwise(lambda x: torch.tanh(2 * x), nn.Linear(1, 1, bias=False).double())
    nn.init.ones_(module.inner.weight)
    found = module_memory_function(module, 1, 4)
    grid = torch.linspace(0, 5, 2_000_001, dtype=torch.float64)
    values = torch.tanh(2 * grid) / (grid + 1)
    assert float(found.lower[0]) == pytest.approx(float(values.max()), rel=1e-6)
    assert abs(float(found.inputs[0])) == pytest.approx(float(grid[values.argmax()]), abs=2e-3)
    assert not found.at_edge[0]
    assert not found.lower[1:].any()


@pytest.mark.parametrize("make", [nn.LSTM, nn.GRU])
def test_recurrent_modules_beat_random_search(make: type[nn.Module]) -> None:
    module = seeded(make, 2, 6, batch_first=True).double()
    steps = 12
    found = module_memory_function(module, 2, steps)
    generator = torch.Generator().manual_seed(1)
    draws = torch.randn(3000, 2, generator=generator, dtype=torch.float64)
    draws *= 10 ** (3 * torch.rand(3000, 1, generator=generator, dtype=torch.float64) - 1.5)

    def ratios(x: Tensor) -> Tensor:
        """(N, K), by a loop that knows nothing of the search."""
        sequence = torch.cat([torch.zeros(len(x), steps, 2), x[:, None].expand(-1, steps, -1)], dim=1)
        y = module(sequence)[0].detach()
        change = y[:, steps:] - y[:, steps - 1 : -1]
        return change.abs().amax(2) / (x.abs().amax(1, keepdim=True) + 1)

    assert torch.all(found.lower >= ratios(draws).amax(dim=0))
    assert found.lower == pytest.approx(torch.diagonal(ratios(found.inputs)), rel=1e-9)  # attained
    assert torch.all(found.drift < 1e-2 * found.lower)


def test_transformers_and_other_outputs() -> None:
    found = module_memory_function(seeded(CausalTransformer), 4, 6, iterations=4, starts=2)
    assert torch.all(found.lower > 0)
    whole = seeded(nn.LSTM, 1, 3, proj_size=2, batch_first=True)
    first = module_memory_function(whole, 1, 5, iterations=4)
    named = module_memory_function(
        Pointwise(lambda r: {"sequence": r[0]}, whole), 1, 5, iterations=4, output=lambda r: r["sequence"]
    )
    assert first.lower.equal(named.lower)
    assert first.lower.dtype is torch.float32


def test_the_curve_feeds_the_decay_estimator() -> None:
    module = LinearSSM(1, 1, 1)
    with torch.no_grad():
        module.lam[:] = 0.8
    found = module_memory_function(module, 1, 60, iterations=4, starts=1)
    decay = estimate_decay(range(60), found.lower, errors=found.rounding_estimate)
    assert decay.kind == "exponential"
    assert decay.rate == pytest.approx(-math.log(0.8), rel=1e-9)


def test_other_dtypes() -> None:
    module = LinearSSM(4, 2, 1)
    exact = module.memory(20)
    single = module_memory_function(copy.deepcopy(module).float(), 2, 20, starts=8)
    assert single.lower.dtype is torch.float32
    gap = (single.lower.double() - exact).abs()
    assert torch.all(gap <= single.rounding_estimate + 1.1e-6 * exact + 1e-6)  # size 1e6, and λ rounded to float32
    double = module_memory_function(copy.deepcopy(module).float(), 2, 20, dtype=torch.float64, starts=8)
    assert double.lower.dtype is torch.float64


def test_seeds_and_chunks() -> None:
    module = seeded(nn.GRU, 2, 4, batch_first=True).double()
    options = {"iterations": 6, "starts": 3}
    first = module_memory_function(module, 2, 8, **options)
    again = module_memory_function(module, 2, 8, **options)
    assert all(a.equal(b) for a, b in zip(first, again, strict=True))
    small = module_memory_function(module, 2, 8, max_memory=100_000, **options)
    assert SequenceMap(module, 2).chunk_size(16, 100_000) < 40 < SequenceMap(module, 2).chunk_size(16, 2**30)
    assert small.lower == pytest.approx(first.lower, rel=1e-9)


def test_nothing_of_the_module_changes() -> None:
    calls = []
    module = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    model = Pointwise(lambda x: x, seeded(nn.GRU, 2, 4, batch_first=True))
    model.function = lambda r: r[0]
    model.extra = module
    model.extra.eval()
    model.extra[2].train()
    model.inner.weight_hh_l0.requires_grad_(False)
    model.inner.weight_ih_l0.grad = torch.ones_like(model.inner.weight_ih_l0)
    model.register_forward_hook(lambda *_: calls.append(1))
    modes = [part.training for part in model.modules()]
    state = {key: value.clone() for key, value in model.state_dict().items()}
    random = torch.get_rng_state()
    with torch.no_grad():
        module_memory_function(model, 2, 5, iterations=2, starts=1)
        assert not torch.is_grad_enabled()
    assert [part.training for part in model.modules()] == modes
    assert all(value.equal(state[key]) for key, value in model.state_dict().items())
    assert torch.get_rng_state().equal(random)
    assert model.inner.weight_ih_l0.grad.equal(torch.ones_like(model.inner.weight_ih_l0))
    assert model.inner.weight_hh_l0.grad is None
    assert not model.inner.weight_hh_l0.requires_grad
    assert model.inner.weight_ih_l0.requires_grad
    assert len(model._forward_hooks) == 1
    assert calls  # the copy's hook runs, as documented


class Streaming(nn.Module):
    """Keeps its state from call to call, with its graph."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRU(1, 2, batch_first=True)
        self.state: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        outputs, self.state = self.cell(x, self.state)
        return outputs


def test_modules_that_keep_their_state() -> None:
    module = seeded(Streaming)
    found = module_memory_function(module, 1, 5, iterations=2)
    assert module.state is None
    assert found.lower.equal(module_memory_function(module.cell, 1, 5, iterations=2).lower)
    module(torch.ones(4, 3, 1))  # now it holds the state of four sequences
    kept = module.state
    with pytest.raises(ValueError, match="module: fails on inputs of shape"):
        module_memory_function(module, 1, 5)
    assert module.state is kept


def test_the_state_is_kept_when_the_module_fails() -> None:
    module = Pointwise(lambda x: x.sum(dim=1), seeded(nn.Linear, 1, 1)).train()
    random = torch.get_rng_state()
    with pytest.raises(ValueError, match=r"must map .* to \(N, T, k\), got shape"):
        module_memory_function(module, 1, 4)
    assert module.training
    assert torch.get_rng_state().equal(random)


def test_older_weight_normalization() -> None:
    convolution = seeded(CausalConvolution, 1, 1, 3)
    with pytest.warns(FutureWarning, match="weight_norm"):
        convolution.layer = torch.nn.utils.weight_norm(convolution.layer)  # leaves a weight with a graph
    found = module_memory_function(convolution, 1, 3, iterations=2)
    taps = convolution.layer.weight.detach().flip(2)[0, 0].abs()
    assert found.lower == pytest.approx(taps, rel=1.01e-8)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Pointwise(lambda x: x.flip(1)), "not causal"),
        (Pointwise(lambda x: x.mean(1, keepdim=True).expand_as(x)), "not causal"),
        (CausalTransformer(causal=False), "not causal"),
        (Pointwise(lambda x: x.detach()), "no gradient"),
        (Pointwise(lambda x: x + torch.randn_like(x)), "answers differently"),
        (Pointwise(lambda x: x - x.mean(0)), "influence each other"),
        (nn.LSTM(4, 2).double(), "batch_first"),
        (Pointwise(lambda x: x / 0), "not finite"),
        (Pointwise(lambda x: torch.exp(x)), "not finite for inputs up to 1e"),
        (Pointwise(lambda x: x[0]), r"got shape \(8, 4\)"),
        (Pointwise(lambda x: {"y": x}), "got dict; give output="),
        (Pointwise(lambda x: x > 0), "got torch.bool"),
        (nn.Linear(3, 2).double(), "module: fails on inputs of shape"),
        (nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4).double()), "mixed dtypes"),
    ],
)
def test_modules_that_are_refused(module: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        module_memory_function(module, 4, 4)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps: at least 1"),
        ({"starts": 0}, "starts: at least 1"),
        ({"iterations": -1}, "iterations: at least 0"),
        ({"warmup": 0}, "warmup: at least 1"),
        ({"input_dim": 0}, "input_dim: at least 1"),
        ({"dtype": torch.int64}, "dtype: a real floating point type"),
        ({"max_memory": 10}, "max_memory: one sequence of 8 steps needs about"),
    ],
)
def test_bad_arguments(change: dict[str, object], message: str) -> None:
    arguments = {"module": nn.Identity(), "input_dim": 1, "steps": 4, **change}
    with pytest.raises(ValueError, match=message):
        module_memory_function(**arguments)  # type: ignore[arg-type]


def test_ascent_reaches_known_maxima() -> None:
    # |aᵀx|/(r + 1) grows with r: the vertex sign(a) at the largest size. x e^{-|x|²}-like: inside.
    a = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    starts = torch.ones(2, 3, dtype=torch.float64) * torch.tensor([[0.1], [-3.0]])
    linear = ascend(lambda x, r, _: (x @ a).abs() / (r + 1), starts, 30, (1e-3, 1e4), chunk=1)
    assert linear.values == pytest.approx([3.5 / (1 + 1e-4)] * 2)
    b = torch.tensor([0.3, -0.7, 0.2], dtype=torch.float64)
    inner = ascend(lambda x, r, _: torch.exp(-((x - b) ** 2).sum(1)), starts, 400, (1e-3, 1e4), chunk=2)
    assert inner.inputs == pytest.approx(b.expand(2, 3), abs=1e-3)
    assert starts.equal(torch.ones(2, 3, dtype=torch.float64) * torch.tensor([[0.1], [-3.0]]))


class InPlace(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x[:, 0] = 0
        return x.mul_(2.0).cumsum(1)


def test_a_module_that_works_in_place() -> None:
    sequence_map = SequenceMap(InPlace(), 2)
    inputs = torch.ones(1, 3, 2, dtype=torch.float64)
    assert sequence_map(inputs)[0, :, 0].tolist() == [0.0, 2.0, 4.0]
    assert bool((inputs == 1).all())
    assert module_memory_function(InPlace(), 1, 3, starts=2, iterations=2).lower.tolist() == pytest.approx([2.0] * 3)


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        (lambda x: x, {}, "module: a torch.nn.Module in Python is needed, got function"),
        (torch.jit.ScriptModule(), {}, "module: a torch.nn.Module in Python is needed"),
        (nn.LazyLinear(2), {}, "module: has lazy parameters"),
        (Pointwise(lambda x: x[..., :0]), {}, r"module: must map .* got shape \(1, 6, 0\)"),
        (nn.Linear(2, 2), {"steps": 2.5}, "steps: a whole number is needed, got 2.5"),
        (nn.Linear(2, 2), {"steps": 10**12}, "max_memory: one sequence of 2000000000000 steps needs"),
        (nn.Linear(2, 2), {"input_dim": "a"}, "input_dim: a whole number is needed, got a"),
        (nn.Linear(2, 2), {"seed": 2**70}, "seed: must be below"),
        (nn.Linear(2, 2), {"seed": "a"}, "seed: a whole number is needed"),
        (nn.Linear(2, 2), {"dtype": "float32"}, "dtype: a real floating point type is needed, got float32"),
        (nn.Linear(2, 2), {"device": "nowhere"}, "device: 'nowhere' is not a device"),
    ],
)
def test_what_is_refused_in_one_line(module: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        module_memory_function(module, **{"input_dim": 2, "steps": 3, **arguments})
    assert "\n" not in str(caught.value)
