"""The programs of the fitters on CUDA tensors without a CUDA device: shapes, dtypes and devices, no values.

A tensor that was left on the CPU, and an operation that reads a value, fail here as they would fail or wait there. A
XX, and the fixture takes over; so the same
programs run on the device "meta" as well, where nothing is replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode

from numerics.fit_problem import FitProblem, RowFunctions
from numerics.gradient_fit import kernel_loss, outcome, train
from numerics.kernel_columns import KernelColumns
from numerics.levenberg_marquardt import minimize, start_search
from numerics.optim import Rule
from numerics.projection import jacobian_rank, least_squares
from numerics.rate_evaluation import Evaluator, RateMap
from numerics.reparameterization import Reparameterization
from numerics.targets import parse_target
from numerics.time_nodes import time_nodes

EVERYTHING = list(product(("continuous", "discrete"), (False, True), ("l2", "w1inf", "sequences")))


_TO, _GETITEM = Tensor.to, Tensor.__getitem__


def _moved(x: Tensor, *given: Any, **named: Any) -> Tensor:
    device, dtype = named.get("device"), named.get("dtype", x.dtype)
    for value in given:
        device, dtype = (device, value) if isinstance(value, torch.dtype) else (value, dtype)
    if torch.device(device or "cpu").type != "cuda":
        return _TO(x, *given, **named)
    return torch.empty(x.shape, device=device, dtype=dtype)


def _indexed(x: Tensor, index: Any) -> Tensor:
    """x[index] by operations on one axis each; tensors among the indices must be of one axis."""
    if x.device.type != "cuda":
        return _GETITEM(x, index)
    items = list(index) if isinstance(index, tuple) else [index]
    if Ellipsis in [item for item in items if not isinstance(item, Tensor)]:
        place = next(i for i, item in enumerate(items) if item is Ellipsis)
        missing = x.ndim - sum(item is not None for item in items) + 1
        items[place : place + 1] = [slice(None)] * missing
    axis = 0
    for item in items:
        if item is None:
            x, axis = x.unsqueeze(axis), axis + 1
        elif isinstance(item, slice):
            x = torch.ops.aten.slice.Tensor(x, axis, item.start, item.stop, item.step or 1)
            axis += 1
        elif isinstance(item, Tensor):
            x, axis = x.index_select(axis, item), axis + 1
        else:
            x = x.select(axis, item)
    return x


def _with_slope(f: RowFunctions, w: Tensor) -> tuple[Tensor, Tensor]:
    return f(w), f(w)


@pytest.fixture(params=["cuda", "meta"])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    if request.param == "cuda":
        monkeypatch.setattr(Tensor, "to", _moved)
        monkeypatch.setattr(Tensor, "__getitem__", _indexed)
        monkeypatch.setattr(Tensor, "__setitem__", lambda x, index, value: _indexed(x, index) + value)
        monkeypatch.setattr(Tensor, "__invert__", lambda x: torch.bitwise_not(x))
        monkeypatch.setattr(RowFunctions, "with_slope", _with_slope)
        with FakeTensorMode():
            yield torch.device("cuda")
    else:
        yield torch.device("meta")


def all_on(device: torch.device, *tensors: Tensor | None) -> bool:
    return all(tensor.device.type == device.type for tensor in tensors if tensor is not None)


@pytest.mark.parametrize(("time", "is_complex", "loss"), EVERYTHING)
def test_gradient_program(device: torch.device, time: str, is_complex: bool, loss: str) -> None:
    targets = ((parse_target("polynomial:p=2"),), (parse_target("shift"),), (parse_target("exponential"),))
    formula = "-log(1+exp(w))" if time == "continuous" else "1/(1+exp(-w))"
    fs = tuple(Reparameterization(text, time) for text in ("exp", "direct", formula))
    given = FitProblem(
        targets, fs, (0, 1, 2), 3, ("plain", "unit-norm", "plain"), is_complex, time, loss=loss, horizon=30.0
    )
    rows = kernel_loss(given, device, torch.float64, sequences=4).rows(range(3))
    start = torch.empty(3, 15 if is_complex else 9, dtype=torch.float64, device=device)
    descent = train(rows, start, Rule((1e-2,) * 3, 4, "adamw"), record_every=2)
    assert all_on(device, *descent.params, descent.loss, descent.late_loss, *descent.grads, descent.alive)
    assert all_on(device, descent.steps, outcome(rows, descent), *descent.largest.values(), *descent.history.values())
    assert descent.params[0].shape == start.shape
    assert {tuple(curve.shape) for curve in descent.history.values()} == {(3, 3)}


def test_a_tensor_left_on_the_cpu_is_caught(device: torch.device) -> None:
    """The check can fail: starting weights that were not moved."""
    given = FitProblem(((parse_target("shift"),),), (Reparameterization("exp"),), (0,), 2, ("plain",), horizon=9.0)
    rows = kernel_loss(given, device, torch.float64).rows(range(1))
    with pytest.raises(RuntimeError, match=r"device|meta"):
        train(rows, torch.ones(1, 6, dtype=torch.float64), Rule((1e-2,), 1))


def test_a_value_that_is_read_is_caught(device: torch.device) -> None:
    """The check can fail: what a value is, no program knows here."""
    with pytest.raises(Exception, match=r"data-dependent|_local_scalar_dense|meta"):
        bool(torch.ones(2, device=device).sum() > 0)


@pytest.mark.parametrize(("time", "is_complex"), list(product(("continuous", "discrete"), (False, True))))
def test_optimal_program(device: torch.device, time: str, is_complex: bool) -> None:
    """The search of optimal mode as it runs on a GPU, with no rows set aside."""
    target, m = parse_target("polynomial:p=2"), 2
    nodes = time_nodes([target], m, time=time, horizon=30.0, is_complex=is_complex)
    columns = KernelColumns(nodes, [target], m, is_complex=is_complex, device=device, compress=False)
    fs = [Reparameterization("exp", time), Reparameterization("direct", time)]
    rates = RateMap(fs, m, is_complex=is_complex, is_discrete=time == "discrete", device=device)
    theta = torch.empty(2, 4 if is_complex else 2, dtype=torch.float64, device=device)
    evaluator = Evaluator(columns, rates)
    search = minimize(evaluator, start_search(evaluator, theta), 3, 1e-8)
    assert all_on(device, *(getattr(search, field.name) for field in fields(search)))
    assert search.theta.shape == theta.shape
    lam, phi, _ = rates(search.theta, torch.arange(2, device=device))
    system, _ = columns.system(lam)
    coef, loss = least_squares(system, columns.columns)
    assert all_on(device, coef, loss, jacobian_rank(system, columns.columns, phi))
