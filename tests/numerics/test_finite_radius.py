"""Up to which β the perturbed error is finite: against the brackets of E_m(β), and formulas against their names."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from numerics.finite_radius import boundary_distance, finite_up_to
from numerics.models import DiagonalModel, Layer
from numerics.perturbation import linear_perturbed_error
from numerics.reparameterization import Reparameterization
from numerics.targets import parse_target

F64 = torch.float64
TARGET = parse_target("polynomial:p=2")


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=F64)


def model_of(f: str, w: Tensor, time: str = "continuous", c: Tensor | None = None) -> DiagonalModel:
    layer, readout = Layer(w, torch.ones(*w.shape, 1, dtype=F64)), torch.ones_like(w) if c is None else c
    return DiagonalModel((layer,), readout, Reparameterization(f, time), time=time)


CASES = [
    ("direct", "continuous", (-0.5, -0.125), 0.125),
    ("relu", "continuous", (2.0, 0.25), 0.25),
    ("exp", "continuous", (-3.0, 0.0), math.inf),
    ("softplus", "continuous", (-3.0, 0.0), math.inf),
    ("best", "continuous", (3.0, 0.0), math.inf),
    ("w**2-4", "continuous", (0.5, -1.5), 0.5),
    ("direct", "discrete", (0.5, -0.875), 0.125),
    ("relu", "discrete", (0.5, 1.75), 0.25),
    ("tanh", "discrete", (0.5, 1.75), math.inf),
    ("best:b=0.25", "discrete", (1.0, -2.0), 0.5),
    ("best:b=2", "discrete", (1.0, -2.0), math.inf),
    ("best:b=0", "discrete", (0.9, -2.0), 0.9 - math.sqrt(0.5)),  # f(√½) rounds to a value inside
]


@pytest.mark.parametrize("ball", ["joint", "block"])
@pytest.mark.parametrize(("f", "time", "w", "stated"), CASES)
def test_the_brackets_are_finite_before_it_and_infinite_behind(
    f: str, time: str, w: tuple[float, ...], stated: float, ball: str
) -> None:
    model = model_of(f, tensor(*w), time)
    radius = float(finite_up_to(model))
    assert radius == pytest.approx(stated, rel=1e-8)
    if math.isinf(radius):
        assert bool(linear_perturbed_error(model, TARGET, [5.0], ball=ball, starts=1, steps=1).upper[0] < math.inf)
        return
    betas = [radius * 0.999, radius * 1.001]
    error = linear_perturbed_error(model, TARGET, betas, ball=ball, groups=["w"], starts=1, steps=1)
    assert math.isfinite(error.upper[0])
    assert math.isinf(error.lower[1])


@pytest.mark.parametrize("ball", ["joint", "block"])
def test_modes_that_cannot_be_seen_do_not_count(ball: str) -> None:
    model = model_of("direct", tensor(-1.0, -0.1), c=tensor(1.0, 0.0))
    model = model.replace_weights(U=tensor(1.0, 0.0)[:, None])
    for groups, stated in ((["w"], 1.0), (None, 0.1), (["w", "U"], 1.0), (["U", "c"], math.inf)):
        assert float(finite_up_to(model, groups)) == stated
        if math.isfinite(stated):
            betas = [0.999 * stated, 1.001 * stated]
            error = linear_perturbed_error(model, TARGET, betas, ball=ball, groups=groups, starts=1, steps=1)
            assert [math.isinf(x) for x in error.lower.tolist()] == [False, True]


@pytest.mark.parametrize(
    ("text", "twin"), [("w", "direct"), ("-exp(w)", "exp"), ("-log(1+exp(w))", "softplus"), ("-1/(w**2+1/2)", "best")]
)
def test_a_formula_is_its_named_twin(text: str, twin: str) -> None:
    w = tensor(-3.0, -0.25, -1e-3)
    found = boundary_distance(Reparameterization(text), w)
    named = boundary_distance(Reparameterization(twin), w)
    assert found.tolist() == pytest.approx(named.tolist(), abs=1e-9)
    assert torch.all(found <= named)  # from the stable side


def test_formulas_that_are_not_everywhere_real_or_stop_at_the_boundary() -> None:
    root = boundary_distance(Reparameterization("log(w)-1"), tensor(1.0, 2.5))
    assert root.tolist() == pytest.approx([1.0, math.e - 2.5], abs=1e-8)
    touching = boundary_distance(Reparameterization("-w**2"), tensor(-2.0, 0.5))
    assert touching.tolist() == pytest.approx([2.0, 0.5], abs=1e-8)
    odd = boundary_distance(Reparameterization("best:a=-1:b=4"), tensor(1.0))  # its denominator vanishes at w = 2
    assert odd.tolist() == pytest.approx([1.0], abs=1e-8)


@pytest.mark.parametrize(
    ("text", "time", "w", "stated"),
    [
        ("-1-sin(w)", "continuous", (0.3, 7.0), (0.3 + math.pi / 2, 7.0 - 1.5 * math.pi)),
        ("-0.9-sin(w)", "continuous", (0.3, 2.0), (0.3 + math.asin(0.9), math.pi + math.asin(0.9) - 2.0)),
        ("sin(w)", "discrete", (0.3, 9.0), (math.pi / 2 - 0.3, 9.0 - 2.5 * math.pi)),
    ],
)
def test_a_formula_with_hundreds_of_boundaries(
    text: str, time: str, w: tuple[float, ...], stated: tuple[float, ...]
) -> None:
    found = boundary_distance(Reparameterization(text, time), tensor(*w))
    # values are bounded to 1e-9, and f ≈ (w - edge)²/2 where it only touches its boundary
    assert found.tolist() == pytest.approx(stated, abs=2e-9 if text == "-0.9-sin(w)" else math.sqrt(2e-9))
    assert all(value <= true for value, true in zip(found.tolist(), stated, strict=True))  # from the stable side


def test_a_batch_is_its_members() -> None:
    w = tensor(-1.0, -0.3, -0.2, -4.0).reshape(2, 2)
    batch = DiagonalModel(
        (Layer(w, torch.ones(2, 2, 1, dtype=F64)),), torch.ones(2, 1, 2, dtype=F64), Reparameterization("direct")
    )
    assert finite_up_to(batch).tolist() == [float(finite_up_to(batch[i])) for i in range(2)] == [0.3, 0.2]


def test_unknown_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="groups"):
        finite_up_to(model_of("direct", tensor(-1.0)), ["A"])
