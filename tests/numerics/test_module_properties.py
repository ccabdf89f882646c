"""Definition B.1 on modules: violations of each property, where only some inputs show them, and modules without."""

from dataclasses import fields

import pytest
import torch
from torch import Tensor, nn

from numerics.module_properties import Properties, check_properties
from tests.numerics.test_torch_modules import CausalConvolution, CausalTransformer, LinearSSM, Pointwise, seeded

STEPS = 16
ALL = {field.name for field in fields(Properties)}


def answers(module: nn.Module, inputs: int = 2, **options: object) -> Properties:
    return check_properties(module, inputs, STEPS, **options)  # type: ignore[arg-type]


def violated(found: Properties) -> set[str]:
    return {name for name in ALL if getattr(found, name).answer == "violated"}


def after(function) -> nn.Module:  # type: ignore[no-untyped-def]
    """A function of the outputs of a linear model."""
    return Pointwise(function, LinearSSM(3, 2, 2))


def fourier(x: Tensor) -> Tensor:
    """A causal convolution by FFT: causal up to rounding only."""
    length = x.shape[1]
    kernel = (1 + torch.arange(length, dtype=x.dtype)) ** -1.5
    spectrum = torch.fft.rfft(x, 2 * length, dim=1) * torch.fft.rfft(kernel, 2 * length)[None, :, None]
    return torch.fft.irfft(spectrum, 2 * length, dim=1)[:, :length]


@pytest.mark.parametrize(
    "module",
    [LinearSSM(4, 2, 2), Pointwise(fourier), Pointwise(lambda x: x.roll(1, 1) * 0 + x.cumsum(1))],
    ids=["state space", "fft", "sum"],
)
def test_linear_modules_have_all_properties(module: nn.Module) -> None:
    found = answers(module)
    assert violated(found) == set()
    assert all(getattr(found, name).answer == "holds" for name in ALL)
    assert max(found.linear.tolerance, found.causal.tolerance, found.time_homogeneous.tolerance) < 1e-11


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (after(torch.tanh), {"linear"}),
        (after(lambda y: y.clamp(-300, 300)), {"linear"}),  # linear on all inputs below 1e1
        (after(torch.relu), {"linear"}),
        (after(lambda y: y.abs().sqrt()), {"linear"}),
        (after(lambda y: y**2), {"linear", "bounded"}),
        (after(lambda y: y + 1e-7 * y**3), {"linear", "bounded"}),
        (after(torch.exp), {"linear", "bounded", "regular"}),
        (after(lambda y: y + 1), {"linear", "regular"}),
        (after(lambda y: (y > 1) * y), {"linear", "continuous"}),
        (after(lambda y: torch.where(y > 50, 1.0, 0.0) + 0 * y), {"linear", "continuous"}),
        (after(lambda y: torch.sign(y) + 0 * y), {"linear", "continuous", "regular"}),
        (Pointwise(lambda x: x * torch.cos(torch.arange(x.shape[1]))[:, None]), {"time_homogeneous"}),
        (Pointwise(lambda x: x.roll(-1, 1)), {"causal", "time_homogeneous"}),  # the last step has no future
        (Pointwise(lambda x: x.flip(1)), {"causal"}),  # its outputs after the warm-up are the warm-up's inputs: 0
        (Pointwise(lambda x: x + 0.01 * torch.arange(x.shape[1])[:, None]), {"linear", "time_homogeneous", "regular"}),
        (seeded(nn.GRU, 2, 4, bias=False, batch_first=True), {"linear"}),
        (seeded(CausalConvolution, 2, 2, 3), {"linear", "regular"}),
    ],
)
def test_what_is_lacking_is_found(module: nn.Module, expected: set[str]) -> None:
    assert violated(answers(module)) == expected


def test_transformers() -> None:
    causal, not_causal = (
        answers(seeded(CausalTransformer, c), 4, starts=2, iterations=3).causal for c in (True, False)
    )
    assert causal.answer == "holds"
    assert not_causal.answer == "violated"


def test_slow_growth_is_undecided() -> None:
    assert answers(after(lambda y: y * torch.log1p(y.abs()))).bounded.answer == "undecided"


def test_a_cell_that_has_not_settled_is_not_homogeneous() -> None:
    module = seeded(nn.LSTM, 2, 4, batch_first=True)
    early, late = (answers(module, warmup=warmup, starts=1, iterations=2).time_homogeneous for warmup in (2, 80))
    assert early.answer == "violated"
    assert late.answer == "holds"


def test_the_inputs_violate_what_they_should() -> None:
    """Each violation recomputed from the returned inputs alone, with the module itself."""
    module = after(lambda y: y.clamp(-300, 300))

    def outputs(x: Tensor, map_: nn.Module = module) -> Tensor:
        rest = torch.zeros(1, STEPS, x.shape[1], dtype=x.dtype)
        return map_(torch.cat([rest, x[None]], dim=1))[0, STEPS:].detach()

    linear = answers(module).linear
    x, other = linear.inputs
    sizes = []
    for a, b in ((1.0, 1.0), (2.0, -1.0), (-0.5, 3.0)):
        terms = outputs(a * x + b * other), a * outputs(x), b * outputs(other)
        gap = (terms[0] - terms[1] - terms[2]).abs().max() / sum(term.abs().max() for term in terms)
        sizes.append(float(gap))
    assert max(sizes) == pytest.approx(linear.size, rel=1e-9)
    looking = Pointwise(lambda x: x.roll(-1, 1))
    causal = answers(looking).causal
    x, other = causal.inputs
    first = int((x != other).any(dim=1).nonzero()[0])
    before = (outputs(x, looking) - outputs(other, looking))[:first].abs().max()
    assert float(before) > 0.1 * float(x.abs().max())
    jump = answers(after(lambda y: (y > 1) * y)).continuous
    x, other = jump.inputs
    step = after(lambda y: (y > 1) * y)
    assert float((outputs(x, step) - outputs(other, step)).abs().max()) == pytest.approx(jump.size)
    assert float((x - other).abs().max()) < 1e-10


def test_deterministic_and_without_traces() -> None:
    module = seeded(nn.GRU, 2, 3, batch_first=True, num_layers=2, dropout=0.5).train()
    weights = {key: value.clone() for key, value in module.state_dict().items()}
    random = torch.get_rng_state()
    first, second = answers(module, seed=3, iterations=2), answers(module, seed=3, iterations=2)
    for name in ALL:
        one, two = getattr(first, name), getattr(second, name)
        assert (one.answer, one.size, one.tolerance, one.explanation) == (
            two.answer,
            two.size,
            two.tolerance,
            two.explanation,
        )
        assert all(a.equal(b) for a, b in zip(one.inputs, two.inputs, strict=True))
    assert module.training
    assert torch.get_rng_state().equal(random)
    assert all(value.equal(weights[key]) for key, value in module.state_dict().items())


def test_small_memory_gives_the_same_answers() -> None:
    module = LinearSSM(3, 2, 2)
    assert violated(answers(module, max_memory=200_000, iterations=2)) == set()
    assert violated(answers(after(torch.relu), max_memory=200_000, iterations=2)) == {"linear"}


def test_bad_arguments() -> None:
    for change, message in (
        ({"steps": 3}, "steps: at least 4"),
        ({"starts": 0}, "starts: at least 1"),
        ({"iterations": -1}, "iterations: at least 0"),
        ({"warmup": -1}, "warmup: at least 0"),
        ({"input_dim": 0}, "input_dim: at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            check_properties(**{"module": nn.Identity(), "input_dim": 1, "steps": 4, **change})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="influence each other"):
        check_properties(nn.LSTM(2, 2), 2, 4)
