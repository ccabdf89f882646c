"""Plain training: the same function as the layer of the library, steps that a line of algebra confirms, divergence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from numerics.layers import LayerKind, ModelShape, SequenceModel
from numerics.plain_training import PlainColumn, PlainData, PlainModel, toeplitz, train_plain
from numerics.reparameterization import Reparameterization

COLUMNS = (
    "direct", "relu", "softplus", "exp", "best", "best:a=2:b=0.1", "-exp(w+5)", "direct@published", "exp/unit-norm",
)  # fmt: skip
STEP_SIZES = (0.05, 1.0)


def plain_and_library(column: str, steps: tuple[float, float] = STEP_SIZES) -> tuple[PlainModel, SequenceModel]:
    """A plain model and the library's model with its weights."""
    plain = PlainModel(PlainColumn.parse(column), 3, 4, 5, steps, seed=2)
    name, gain = column.removesuffix("/unit-norm"), "unit-norm" if column.endswith("/unit-norm") else "plain"
    name, start = name.removesuffix("@published"), "published" if name.endswith("@published") else "same"
    shape = ModelShape(3, width=4, modes=5, step_sizes=steps)
    library = SequenceModel(shape, LayerKind(Reparameterization(name), gain, start))
    block: Any = library.blocks[0]
    pairs = [
        (library.encoder.weight, plain.encode[:, None]), (library.encoder.bias, plain.encode_bias),
        (library.decoder.weight, plain.decode), (library.decoder.bias, plain.decode_bias),
        (block.mix.weight, plain.mix), (block.mix.bias, plain.mix_bias),
        (block.norm.weight, plain.norm_scale), (block.norm.bias, plain.norm_bias),
        (block.ssm.omega, plain.omega), (block.ssm.log_step, plain.log_step), (block.ssm.D, plain.skip),
        (block.ssm.C, torch.stack((plain.c_real, plain.c_imaginary), -1)), (block.ssm.w, plain.w),
    ]  # fmt: skip
    with torch.no_grad():
        for theirs, ours in pairs:
            assert theirs.shape == ours.shape
            if theirs is block.ssm.w:
                torch.testing.assert_close(theirs, ours, rtol=1e-12, atol=0)
            theirs.copy_(ours)
    return plain, library


def sequences(count: int = 6, length: int = 20) -> Tensor:
    return torch.randn(count, length, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("column", COLUMNS)
def test_same_function_and_gradient_as_the_library(column: str) -> None:
    plain, library = plain_and_library(column)
    block: Any = library.blocks[0]
    with torch.no_grad():  # away from the start, where unit-norm modes have another gain
        for w in (plain.w, block.ssm.w):
            w.mul_(1.25)
    x = sequences()
    ours, theirs = plain(x), library(x[..., None])
    for outputs in (ours, theirs):
        outputs.square().mean().backward()
    for found, expected in ((ours.detach(), theirs.detach()), (plain.w.grad, block.ssm.w.grad)):
        assert found is not None
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10 * float(expected.abs().max()))


def test_toeplitz() -> None:
    k = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert toeplitz(k)[0].tolist() == [[1, 0, 0], [2, 1, 0], [3, 2, 1]]
    assert toeplitz(k)[1].tolist() == [[4, 0, 0], [5, 4, 0], [6, 5, 4]]


@pytest.mark.parametrize("column", COLUMNS)
def test_the_weight_gives_the_rate(column: str) -> None:
    found = PlainColumn.parse(column)
    rate = found.rate(torch.tensor(found.weight(found.start_rate), dtype=torch.float64))
    assert float(rate) == pytest.approx(found.start_rate, rel=1e-12)
    assert found.start_rate == (0.5 if "published" in column else -0.5)


def data(count: int = 400, length: int = 8) -> PlainData:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, length))
    y = (x.sum(1) > 0).astype(np.int64)
    return PlainData(x[:-100], y[:-100], x[-100:], y[-100:])


def train(column: str = "exp", **changes: Any) -> Any:
    settings = {"learning_rate": 1e-2, "seed": 0, "steps": 12, "batch": 8, "width": 3, "modes": 2}
    return train_plain(column, data(), step_sizes=STEP_SIZES, **{**settings, **changes})


def test_learns_and_repeats() -> None:
    late = train(steps=200, learning_rate=3e-2, width=6, batch=32)
    assert late.test_accuracy > 0.9
    assert late.test_loss < math.log(2) / 2
    assert train() == train()
    assert train() != train(seed=1)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_one_step_is_what_the_rule_says(optimizer: str) -> None:
    """The margin after one step of one batch: AdamW moves every weight by η sign(g), after a decay by 1 - 0.01 η."""
    count = 300
    found = train("direct", steps=1, batch=count, optimizer=optimizer, learning_rate=1e-3)
    model = PlainModel(PlainColumn.parse("direct"), 2, 3, 2, STEP_SIZES, 0).float()
    x, y = torch.tensor(data().train_inputs).float(), torch.tensor(data().train_targets)
    torch.nn.functional.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
    w, g = model.w.detach(), model.w.grad
    assert g is not None
    moved = w - 1e-3 * g if optimizer == "sgd" else (1 - 1e-5) * w - 1e-3 * g.sign()
    assert found.margin == pytest.approx(-float(moved.max()), rel=1e-5)
    assert found.gradient_over_weight == pytest.approx(float((g / w).abs().max()), rel=1e-4)
    assert found.start_gradient_over_weight == found.gradient_over_weight


def test_a_run_that_diverges() -> None:
    found = train("direct@published", learning_rate=50.0, steps=60)
    assert math.isnan(found.test_loss)
    assert math.isnan(found.test_accuracy)
    assert found.gradient_over_weight > 0


@pytest.mark.parametrize("name", ["tanh", "best:c=1", "exp@published", "exp:a=1", "best:a", "", "-exp(2*w)"])
def test_unknown_columns(name: str) -> None:
    with pytest.raises(ValueError, match=r"^column: "):
        PlainColumn.parse(name)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"steps": 0}, "steps: "),
        ({"batch": 0}, "batch: "),
        ({"width": 0}, "width: "),
        ({"optimizer": "adam"}, "opt"),
        ({"dtype": "float16"}, "dtype: "),
    ],
)
def test_bad_arguments(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match="^" + text):
        train(**changes)
