"""The example modules: at rest under zeros, knobs that are what they say, and step responses below memory functions."""

import math

import pytest
import torch

from numerics.example_modules import EXAMPLES, example_module, step_responses
from numerics.layers import S4DLayer
from numerics.torch_modules import module_memory_function

KNOBS = {"rnn": 0.8, "gru": 1.0, "lstm": 1.0, "s4d": 0.1, "attention": 4}


def outputs(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    found = module(x)
    return found[0] if isinstance(found, tuple) else found


@pytest.mark.parametrize("name", EXAMPLES)
def test_at_rest_under_zeros_and_equal_for_equal_seeds(name: str) -> None:
    zeros, x = torch.zeros(1, 12, 1, dtype=torch.float64), torch.randn(2, 12, 1, dtype=torch.float64)
    module = example_module(name, 3, KNOBS[name], seed=5)
    still = outputs(module, zeros)
    assert torch.allclose(still, still[:, :1].expand_as(still), atol=1e-15)
    torch.manual_seed(1)  # the seed of torch itself does not matter
    assert torch.equal(outputs(module, x), outputs(example_module(name, 3, KNOBS[name], seed=5), x))
    assert not torch.equal(outputs(module, x), outputs(example_module(name, 3, KNOBS[name], seed=6), x))


def test_knobs() -> None:
    rnn, lstm = (dict(example_module(name, 4, 0.75).named_parameters()) for name in ("rnn", "lstm"))
    w = rnn["weight_hh_l0"]
    assert torch.equal(w, w.mT) or torch.allclose(w, w.mT, atol=1e-16)
    assert torch.allclose(torch.linalg.eigvalsh(w)[[0, -1]], torch.tensor([0.1875, 0.75], dtype=torch.float64))
    assert lstm["bias_ih_l0"].tolist() == [0.0] * 4 + [0.75] * 4 + [0.0] * 8
    layers = [part for part in example_module("s4d", 4, 0.3).modules() if isinstance(part, S4DLayer)]
    exponent, _ = layers[0].exponents()
    assert torch.allclose(exponent.real, torch.tensor(-0.3, dtype=torch.float64), rtol=1e-12)
    assert not exponent.imag.any()


def test_attention_forgets_what_left_its_window() -> None:
    module, x = example_module("attention", 3, 4), torch.randn(1, 10, 1, dtype=torch.float64)
    other = x.clone()
    other[:, 2] += 1.0
    change = (module(x) - module(other))[0, :, 0].abs() > 0
    assert change.tolist() == [False] * 2 + [True] * 4 + [False] * 4


def test_step_responses_of_a_gated_unit_by_hand() -> None:
    """h_k = zh_{k-1} + (1-z)n without feedback: the change after k steps is z^k(1-z)|n|."""
    gru = example_module("gru", 1, 0.5)
    weights = dict(gru.named_parameters())
    with torch.no_grad():
        weights["weight_hh_l0"].zero_()
    _, gate, new = weights["weight_ih_l0"][:, 0].tolist()
    found = step_responses(gru, [2.0], 5)[0]
    for k, value in enumerate(found.tolist()):
        by_hand = []
        for x in (2.0, -2.0):
            z = 1 / (1 + math.exp(-(0.5 + gate * x)))
            by_hand.append(z**k * (1 - z) * abs(math.tanh(new * x)) / 3)
        assert value == pytest.approx(max(by_hand), rel=1e-12)


@pytest.mark.parametrize("name", EXAMPLES)
def test_step_responses_stay_below_the_memory_function(name: str) -> None:
    module, warmup = example_module(name, 2, KNOBS[name]), 4
    found = module_memory_function(module, 1, 16, starts=1, iterations=6, warmup=warmup)
    steps = step_responses(module, [0.01, 0.5, 3.0, 40.0], 16, warmup=warmup)
    assert bool((steps <= found.lower * 1.02 + 4 * found.rounding_estimate).all())


def test_a_contraction_forgets_exponentially_for_every_input() -> None:
    """tanh stretches no distance, so that |h_k - h_{k-1}| ≤ ρ^k |U||x|."""
    module = example_module("rnn", 6, 0.7)
    size = float(torch.linalg.vector_norm(dict(module.named_parameters())["weight_ih_l0"].detach()))
    steps = step_responses(module, [1e-3, 0.1, 1.0, 10.0, 1e3], 30)
    bound = size * 0.7 ** torch.arange(30, dtype=torch.float64)
    assert bool((steps <= bound * (1 + 1e-12) + 1e-15).all())


@pytest.mark.parametrize(
    ("name", "hidden", "knob", "message"),
    [
        ("cnn", 4, 1.0, "name: "),
        ("rnn", 0, 0.5, "hidden: "),
        ("rnn", 4, 1.0, "knob: 1 is not allowed for rnn"),
        ("s4d", 4, 0.0, "knob: 0 is not allowed for s4d"),
        ("attention", 4, 2.5, "knob: 2.5 is not allowed for attention; a whole number"),
        ("gru", 4, math.nan, "knob: nan is not allowed for gru"),
    ],
)
def test_bad_arguments(name: str, hidden: int, knob: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        example_module(name, hidden, knob)


def test_bad_sizes() -> None:
    with pytest.raises(ValueError, match="sizes: positive numbers"):
        step_responses(example_module("rnn", 2, 0.5), [1.0, 0.0], 4)
