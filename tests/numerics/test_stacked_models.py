"""Stacked models: their weights, outputs and gradients beside those of each model alone."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from numerics.layers import LayerKind, ModelShape, SequenceModel
from numerics.reparameterization import Reparameterization
from numerics.stacked_models import StackedModels
from numerics.training_table import Run

CPU = torch.device("cpu")
SHAPE = ModelShape(outputs=3, inputs=2, width=5, modes=3, depth=2)  # P is odd: no row is aligned as the first
CONTINUOUS = ("exp", "direct", "best:b=0.1", "exp")
DISCRETE = ("tanh", "sigmoid", "best:b=1.5", "direct")


def rows(names: tuple[str, ...], time: str, gain: str) -> list[Run]:
    kinds = [LayerKind(Reparameterization(name, time), gain) for name in names]
    return [Run(kind, 0.1, seed) for seed, kind in enumerate(kinds)]


def stacked(runs: list[Run], together: bool, shape: ModelShape = SHAPE) -> StackedModels:
    return StackedModels(shape, runs, "classification", device=CPU, dtype=torch.float64, together=together)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("gain", ["plain", "dc", "lru", "unit-norm"])
@pytest.mark.parametrize(("names", "time"), [(CONTINUOUS, "continuous"), (DISCRETE, "discrete")])
def test_each_row_is_its_model_alone(names: tuple[str, ...], time: str, gain: str, together: bool) -> None:
    """At other weights than those of the start: in discrete time some λ are negative."""
    runs = rows(names, time, gain)
    models = stacked(runs, together)
    weights = models.named(models.start)
    if time == "discrete":
        for block in (0, 1):
            weights[f"blocks.{block}.ssm.w"][0, :, block] *= -1.2
    theta = models.packed(weights)
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(4, 6, 11, 2, dtype=torch.float64, generator=generator)
    y = torch.randint(0, 3, (4, 6), generator=generator)
    found, outputs = models.evaluate(theta, x, y), models.outputs(theta, x[0])
    for row, run in enumerate(runs):
        alone = SequenceModel(SHAPE, run.kind, run.seed)
        for name, p in alone.named_parameters():
            assert torch.equal(models.named(models.start)[name][row], p.detach())
        alone.load_state_dict({name: value[row] for name, value in models.state(theta).items()})
        loss = F.cross_entropy(alone(x[row]), y[row])
        loss.backward()
        assert float(found.loss[row]) == pytest.approx(float(loss.detach()), rel=1e-13)
        grads = models.named(found.grads[0])
        for name, p in alone.named_parameters():
            assert p.grad is not None
            assert torch.allclose(grads[name][row], p.grad, rtol=1e-10, atol=1e-13), name
        assert torch.allclose(outputs[row], alone(x[0]).detach(), rtol=1e-12, atol=1e-13)
        ratio = torch.cat([(block.ssm.w.grad / block.ssm.w).flatten() for block in alone.blocks]).abs().max().detach()
        assert float(found.measures["gradient_over_weight"][row]) == pytest.approx(float(ratio), rel=1e-10)
        rates = torch.cat([block.ssm.rate().flatten() for block in alone.blocks])
        margin = (1 - rates.abs().max() if time == "discrete" else -rates.max()).detach()
        assert float(found.measures["margin"][row]) == pytest.approx(float(margin), rel=1e-13)


def test_weights_are_packed_and_named_without_loss() -> None:
    models = stacked(rows(CONTINUOUS, "continuous", "plain"), False)
    theta = torch.randn_like(models.start)
    assert torch.equal(models.packed(models.named(theta)), theta)
    state = models.state(theta)
    assert state.keys() == SequenceModel(SHAPE, models.kinds[0]).state_dict().keys()
    named = models.named(theta)
    named["decoder.bias"].zero_()
    assert torch.equal(models.packed(models.named(theta)), theta)  # copies
    with pytest.raises(ValueError, match=r"weights: decoder.bias: a shape of \(4, 3\) is needed"):
        models.packed({**named, "decoder.bias": torch.zeros(4, 2)})


@pytest.mark.parametrize("together", [False, True])
def test_an_f_that_does_not_move_with_w_has_gradient_0(together: bool) -> None:
    models = stacked(rows(("-1/2 + 0*w", "exp"), "continuous", "plain"), together)
    found = models.evaluate(models.start, torch.ones(2, 4, 11, 2, dtype=torch.float64), torch.ones(2, 4).long())
    slopes = models.named(found.grads[0])["blocks.0.ssm.w"]
    assert not slopes[0].any()
    assert slopes[1].all()
    alone = stacked(rows(("-1/2 + 0*w",), "continuous", "plain"), together)
    found = alone.evaluate(alone.start, torch.ones(1, 4, 11, 2, dtype=torch.float64), torch.ones(1, 4).long())
    assert not alone.named(found.grads[0])["blocks.0.ssm.w"].any()


def test_rows_of_one_program_share_time_and_gain() -> None:
    other = rows(("exp",), "continuous", "dc")
    with pytest.raises(ValueError, match="runs: the rows of one program need the same time and the same kind of modes"):
        stacked([*rows(("exp",), "continuous", "plain"), *other], True)
    with pytest.raises(ValueError, match="runs: the rows of one program"):
        stacked([*rows(("exp",), "continuous", "plain"), *rows(("exp",), "discrete", "plain")], True)
