"""The log of a training loop: its numbers by NumPy, what it finds, that it changes nothing, what it refuses."""

from __future__ import annotations

import copy
import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.utils.prune
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization, remove_parametrizations

from numerics.layers import LayerKind, ModelShape, SequenceModel
from numerics.parametrizations import StableRate
from numerics.recurrence_log import RecurrenceLog, weight_ratios
from numerics.reparameterization import Reparameterization
from numerics.training_table import PER_STEP, QUANTILES

RATIOS = PER_STEP[1:-1]


class Rates(nn.Module):
    """Weights with a loss Σ slope·weight, so that the gradients are the slopes."""

    def __init__(self, **weights: Tensor) -> None:
        super().__init__()
        for name, value in weights.items():
            setattr(self, name, nn.Parameter(value))

    def loss(self, **slopes: Tensor) -> Tensor:
        return torch.stack([(slope * getattr(self, name)).sum() for name, slope in slopes.items()]).sum()


def normal(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# Ratios


@pytest.mark.parametrize("sizes", [[(1,)], [(7,)], [(10, 10)], [(4, 25), (50,), (2, 3, 5)], [()]])
def test_ratios_are_those_of_numpy(sizes: list[tuple[int, ...]]) -> None:
    grads = [normal(*size, seed=i) for i, size in enumerate(sizes)]
    weights = [normal(*size, seed=9 + i) for i, size in enumerate(sizes)]
    found = weight_ratios(grads, weights)
    pooled = np.concatenate([np.abs(g.numpy() / w.numpy()).ravel() for g, w in zip(grads, weights, strict=True)])
    assert tuple(found) == RATIOS
    wanted = [pooled.max(), *(np.quantile(pooled, q, method="inverted_cdf") for q in QUANTILES)]
    assert [float(value) for value in found.values()] == wanted


def test_ranks_are_exact() -> None:
    """0.9·n and 0.99·n in floating point may lie a rounding above a whole number."""
    for n in (1, 2, 10, 30, 70, 100, 110, 300, 700, 1100, 2048):
        found = weight_ratios([torch.arange(1.0, n + 1)], [torch.ones(n)])
        ranks = [-(-n * share // 100) for share in (50, 90, 99)]
        assert [int(value) for value in found.values()] == [n, *ranks]


def test_rows_are_the_loop() -> None:
    grads, weights = [normal(4, 3, 5), normal(4, 2, seed=1)], [normal(4, 3, 5, seed=2), normal(4, 2, seed=3)]
    found = weight_ratios(grads, weights, row_axes=1)
    for row in range(4):
        alone = weight_ratios([g[row] for g in grads], [w[row] for w in weights])
        assert {name: float(value[row]) for name, value in found.items()} == {k: float(v) for k, v in alone.items()}
    pairs = weight_ratios(
        [g.unflatten(0, (2, 2)) for g in grads], [w.unflatten(0, (2, 2)) for w in weights], row_axes=2
    )
    assert torch.equal(pairs[RATIOS[0]].flatten(), found[RATIOS[0]])
    scalars = weight_ratios([torch.tensor([3.0, -4.0])], [torch.tensor([-1.0, 2.0])], row_axes=1)
    assert scalars[RATIOS[0]].tolist() == [3.0, 2.0]


def test_zero_weights_and_numbers_that_are_none() -> None:
    grad, weight = torch.tensor([0.0, 0.0, 2.0, -1.0]), torch.tensor([0.0, 5.0, -4.0, -2.0])
    assert [float(v) for v in weight_ratios([grad], [weight]).values()] == [0.5, 0.0, 0.5, 0.5]
    found = weight_ratios([torch.tensor([1.0, 0.0])], [torch.tensor([0.0, 0.0])])
    assert [float(v) for v in found.values()] == [math.inf, 0.0, math.inf, math.inf]
    for grad, weight in ((math.nan, 1.0), (1.0, math.nan), (0.0, math.nan)):
        assert math.isnan(float(weight_ratios([torch.tensor([grad, 0.0])], [torch.tensor([weight, 1.0])])[RATIOS[0]]))


# What is recorded


def test_records_of_parametrized_rates() -> None:
    lam = -torch.linspace(0.2, 2.0, 6, dtype=torch.float64)
    model = nn.ModuleDict({"a": Rates(A=lam.clone()), "b": Rates(A=(lam / 4).exp(), B=lam.clone())})
    register_parametrization(model["a"], "A", StableRate("best:b=0.1"))
    register_parametrization(model["b"], "A", StableRate("tanh", "discrete"))
    log = RecurrenceLog(model)
    assert log.names == ("a.parametrizations.A.original", "b.parametrizations.A.original")
    slopes = normal(2, 6)
    for factor in (1.0, 3.0):
        model.zero_grad()
        loss = factor * ((slopes[0] * model["a"].A).sum() + (slopes[1] * model["b"].A).sum())  # type: ignore[operator]
        loss.backward()
        log.record(loss)
    curves = log.curves()
    assert tuple(curves) == ("step", *PER_STEP)
    # by hand: w² = -1/λ - 0.1, dλ/dw = 2wλ²; w = artanh λ, dλ/dw = 1 - λ²
    w, v = np.sqrt(-1 / lam.numpy() - 0.1), np.arctanh(np.exp(lam.numpy() / 4))
    g = slopes.numpy()
    first = np.abs(g[0] * 2 * w * lam.numpy() ** 2 / w)
    second = np.abs(g[1] * (1 - np.tanh(v) ** 2) / v)
    pooled = np.concatenate([first, second])
    for row, factor in enumerate((1.0, 3.0)):
        assert curves["gradient_over_weight"][row] == pytest.approx(factor * pooled.max(), rel=1e-12)
        for q in QUANTILES:
            wanted = factor * np.quantile(pooled, q, method="inverted_cdf")
            assert curves[f"gradient_over_weight_q{q:g}"][row] == pytest.approx(wanted, rel=1e-12)
        assert curves["margin"][row] == pytest.approx(min(0.2, 1 - math.exp(-0.05)), rel=1e-12)
        assert curves["train_loss"][row] == pytest.approx(
            factor * float(g[0] @ lam.numpy() + g[1] @ np.exp(lam.numpy() / 4)), rel=1e-12
        )
    assert curves["step"].tolist() == [0.0, 1.0]


def test_the_layers_of_a_sequence_model_are_found() -> None:
    shape = ModelShape(outputs=1, width=3, modes=2, depth=2, step_sizes=(0.1, 0.5))
    model = SequenceModel(shape, LayerKind(Reparameterization("exp")))
    log = RecurrenceLog(model)
    assert log.names == ("blocks.0.ssm.w", "blocks.1.ssm.w")
    with torch.no_grad():
        model.blocks[1].ssm.w[2, 1] = -3.0  # type: ignore[operator,union-attr,index]
    loss = model(normal(2, 9, 1)).square().sum()
    loss.backward()
    log.record(loss)
    assert log.curves()["margin"].tolist() == pytest.approx([math.exp(-3.0)], rel=1e-12)
    assert RecurrenceLog(model.blocks[0].ssm).names == ("w",)  # type: ignore[arg-type,union-attr]


def test_recurrent_matrices() -> None:
    """1 - spectral radius: by powers of the matrix, |W^k|^{1/k} → radius."""
    rnn = nn.RNN(2, 5, num_layers=2, bidirectional=True).double()
    log = RecurrenceLog(nn.Sequential(rnn))
    assert [name.removeprefix("0.weight_hh_") for name in log.names] == ["l0", "l0_reverse", "l1", "l1_reverse"]
    rnn(normal(7, 3, 2))[0].sum().backward()
    log.record()
    k = 2**14
    radii = []
    for name in log.names:
        W, log_norm = rnn.get_parameter(name.removeprefix("0.")).detach(), 0.0
        power = W
        for _ in range(14):  # squares, with the norm taken out
            power = power @ power
            size = float(power.norm())
            power, log_norm = power / size, 2 * log_norm + math.log(size)
        radii.append(math.exp(log_norm / k))
    assert log.curves()["margin"][0] == pytest.approx(1 - max(radii), abs=1e-2)
    assert math.isnan(log.curves()["train_loss"][0])
    assert RecurrenceLog(nn.RNNCell(2, 3)).names == ("weight_hh",)
    with torch.no_grad():
        rnn.weight_hh_l1[0, 0] = math.nan
    log.record(1.0)
    assert math.isnan(log.curves()["margin"][1])


def test_weights_named_by_the_user() -> None:
    model = Rates(A_log=torch.tensor([0.0, -1.0]), W=torch.tensor([[0.0, 2.0], [0.125, 0.0]]), v=torch.ones(3))
    slopes = {"A_log": torch.tensor([1.0, -3.0]), "W": torch.ones(2, 2), "v": torch.tensor([0.1, 0.2, 0.3])}
    loss = model.loss(**slopes)
    loss.backward()
    for weights, ratio, margin in (
        ({"A_log": "exp"}, math.inf, math.exp(-1.0)),
        ({"A_log": Reparameterization("exp", "discrete")}, math.inf, 1 - math.exp(-math.exp(-1.0))),
        ({"W": "matrix"}, math.inf, 0.5),
        ({"v": None}, 0.3, math.nan),
        ({"v": "-w**2"}, 0.3, 1.0),
        ({"v": Reparameterization("w/2-1.25", "discrete")}, 0.3, 0.25),
        ({"v": "direct"}, 0.3, -1.0),
    ):
        log = RecurrenceLog(model, weights)  # type: ignore[arg-type]
        log.record(loss)
        curves = log.curves()
        assert curves["gradient_over_weight"].tolist() == pytest.approx([ratio], rel=1e-6)
        assert curves["margin"].tolist() == pytest.approx([margin], rel=1e-6, nan_ok=True)


def test_nothing_is_changed_by_the_log() -> None:
    def train(logged: bool) -> dict[str, Tensor]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.RNN(1, 4, batch_first=True).double())
        cell = Rates(A=-torch.rand(4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.1)
        register_parametrization(cell, "A", StableRate("softplus"))
        optimizer = torch.optim.AdamW([*model.parameters(), *cell.parameters()], lr=0.1)
        logs = [RecurrenceLog(model), RecurrenceLog(cell)] if logged else []
        for step in range(5):
            optimizer.zero_grad()
            y = model(normal(2, 6, 1, seed=step))[0][:, -1]
            loss = (y * cell.A.exp()).square().sum()
            loss.backward()
            for log in logs:
                log.record(loss)
            optimizer.step()
        assert not any(part._forward_hooks or part._backward_hooks for part in (*model.modules(), *cell.modules()))
        state = {**model.state_dict(), **{f"cell.{k}": v for k, v in cell.state_dict().items()}}
        return {**state, "random": torch.random.get_rng_state()}

    plain, logged = train(False), train(True)
    assert all(torch.equal(plain[name], logged[name]) for name in plain)


def test_the_log_keeps_no_graph_and_follows_moved_parameters() -> None:
    model = Rates(A=torch.tensor([-1.0, -2.0]))
    register_parametrization(model, "A", StableRate("exp"))
    log = RecurrenceLog(model)
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        model = model.to(dtype)
        model.zero_grad()
        loss = model.loss(A=torch.ones(2, dtype=dtype))
        loss.backward()
        log.record(loss)
        assert not any(row.requires_grad for row in log._rows)
    model.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)
    with pytest.raises(ValueError, match="has no gradient"):
        log.record(0.0)  # the new parameter has none
    assert log.curves()["margin"].tolist() == pytest.approx([1.0] * 3, rel=1e-2)


@pytest.mark.parametrize("count", [0, 1, 1023, 1024, 1025, 2100])
def test_long_logs(count: int) -> None:
    model = Rates(A=torch.tensor([2.0]))
    model.loss(A=torch.tensor([3.0])).backward()
    log = RecurrenceLog(model, {"A": "direct"})
    for k in range(count):
        log.record(float(k))
    curves = log.curves()
    assert curves["train_loss"].tolist() == list(range(count))
    assert curves["step"].tolist() == list(range(count))
    assert set(curves["gradient_over_weight"]) == ({1.5} if count else set())


def test_the_table(tmp_path: Path) -> None:
    model = Rates(A=torch.tensor([0.1, 0.3], dtype=torch.float64))
    model.loss(A=torch.tensor([1.0, 1.0], dtype=torch.float64)).backward()
    log = RecurrenceLog(model, {"A": "direct"})
    log.record(torch.tensor([0.1]), step=100)
    log.record(math.nan, step=110)
    log.record(math.inf)
    path = tmp_path / "log.csv"
    path.write_text("old")
    log.write_csv(path)
    header, *rows = csv.reader(path.read_text().splitlines())
    assert header == ["step", *PER_STEP]
    assert [row[0] for row in rows] == ["100", "110", "111"]
    curves = log.curves()
    for index, row in enumerate(rows):
        wanted = [float(curves[name][index]) for name in PER_STEP]
        assert [float(cell) for cell in row[1:]] == pytest.approx(wanted, rel=0, abs=0, nan_ok=True)
    assert [file.name for file in tmp_path.iterdir()] == ["log.csv"]
    with pytest.raises(ValueError, match="cannot be written: "):
        log.write_csv(path / "log.csv")


def test_complex_weights_have_ratios() -> None:
    model = Rates(A=torch.tensor([-3 + 4j]), W=torch.tensor([[0, -0.5], [0.5, 0j]]))
    (model.A.abs().sum() + 2 * model.W.real.sum()).backward()  # type: ignore[operator]
    log = RecurrenceLog(model, {"A": None, "W": "matrix"})
    log.record()
    log = RecurrenceLog(model, {"A": None})
    log.record()
    curves = log.curves()
    assert curves["gradient_over_weight"].tolist() == pytest.approx([0.2])
    assert np.isnan(curves["margin"]).all()
    log = RecurrenceLog(model, {"W": "matrix"})
    log.record()
    assert log.curves()["margin"].tolist() == pytest.approx([0.5])


def test_shared_weights_are_counted_once() -> None:
    model = nn.ModuleList([nn.RNN(3, 3), nn.RNN(3, 3)])
    model[1].weight_hh_l0 = model[0].weight_hh_l0
    assert RecurrenceLog(model).names == ("0.weight_hh_l0",)


# Bad input


def test_no_recurrent_weight() -> None:
    with pytest.raises(ValueError, match=r"module: no recurrent weight was found in LSTM; name them") as caught:
        RecurrenceLog(nn.LSTM(2, 3))
    assert "\n" not in str(caught.value)
    frozen = Rates(A=torch.tensor([-1.0]))
    register_parametrization(frozen, "A", StableRate("exp"))
    frozen.requires_grad_(False)
    with pytest.raises(ValueError, match="no recurrent weight was found"):
        RecurrenceLog(frozen)
    with pytest.raises(ValueError, match="no recurrent weight was found"):
        RecurrenceLog(Rates(A=torch.ones(2)), {})


def test_what_is_not_the_recurrent_weight_itself_is_not_taken_for_it() -> None:
    """λ = -f(w), a mask beside the matrix, no weights at all."""

    class Negative(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return -x

        right_inverse = forward

    twice = Rates(A=torch.tensor([-1.0]))
    register_parametrization(twice, "A", StableRate("exp"))
    register_parametrization(twice, "A", Negative())
    empty = Rates(A=torch.zeros(0))
    register_parametrization(empty, "A", StableRate("exp"))
    pruned = torch.nn.utils.prune.random_unstructured(nn.RNN(2, 3), "weight_hh_l0", 0.5)
    for module in (twice, empty, pruned):
        with pytest.raises(ValueError, match="no recurrent weight was found"):
            RecurrenceLog(module)


def test_a_parametrization_that_is_removed_is_named() -> None:
    model = Rates(A=torch.tensor([-1.0]))
    register_parametrization(model, "A", StableRate("exp"))
    log = RecurrenceLog(model)
    remove_parametrizations(model, "A")
    with pytest.raises(ValueError, match=r"weights: 'parametrizations.A.original' is no parameter of Rates"):
        log.record(1.0)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"B": "exp"}, "weights: 'B' is no parameter of Rates"),
        ({"A.x": "exp"}, "weights: 'A.x' is no parameter of Rates"),
        ({"fixed": "exp"}, "weights: 'fixed' is not trained: its requires_grad is False"),
        ({"A": "matrix"}, r"weights: 'A' has shape \(2,\), a recurrent matrix is square"),
        ({"A": "matrices"}, "matrices"),
        ({"A": 3.0}, "weights: 'A' needs an f, 'matrix' or None, got 3.0"),
        ({"turning": "exp"}, "weights: 'turning' is complex, an f needs real weights"),
        ({"empty": None}, r"weights: 'empty' has shape \(0, 0\); it must not be empty"),
    ],
)
def test_bad_names(weights: Any, message: str) -> None:
    model = Rates(A=torch.ones(2), fixed=torch.ones(2), turning=torch.ones(2) * 1j, empty=torch.ones(0, 0))
    model.fixed.requires_grad_(False)  # type: ignore[operator]
    with pytest.raises(ValueError, match=message) as caught:
        RecurrenceLog(model, weights)
    assert "\n" not in str(caught.value)


def test_bad_records() -> None:
    model = Rates(A=torch.ones(2))
    log = RecurrenceLog(model, {"A": "direct"})
    with pytest.raises(ValueError, match=r"A: has no gradient; call record after loss.backward\(\)"):
        log.record(1.0)
    model.loss(A=torch.ones(2)).backward()
    with pytest.raises(ValueError, match=r"loss: one number is needed, got shape \(2,\)"):
        log.record(torch.ones(2))
    assert not log.curves()["step"].size


SNIPPET = """
import torch
from torch import nn
from torch.nn.utils.parametrize import register_parametrization
from numerics.parametrizations import StableRate
from numerics.recurrence_log import RecurrenceLog

class Memory(nn.Module):                                     # dh/dt = Ah + x, a time step of 1: (B, L) to (B, 1)
    def __init__(self, n):
        super().__init__()
        self.A, self.read = nn.Parameter(-torch.logspace(-2, 0, n)), nn.Linear(n, 1)

    def forward(self, x, h=0.0):
        for u in x.T:
            h = self.A.exp() * h + u[:, None]
        return self.read(h)

model = Memory(8)
register_parametrization(model, "A", StableRate("best:b=0.1"))   # A = -1/(w² + 0.1), w starts at the inverse
log = RecurrenceLog(model)                                   # finds the w of every StableRate
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
for _ in range(20):
    x = torch.randn(16, 30)
    loss = (model(x)[:, 0] - x[:, -10]).square().mean()      # remember the input of ten steps ago
    optimizer.zero_grad()
    loss.backward()
    log.record(loss)
    optimizer.step()
print({name: curve.max() for name, curve in log.curves().items()})   # log.write_csv("log.csv") keeps all steps
"""


def test_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    exec(SNIPPET, {})
    printed = eval(capsys.readouterr().out, {"np": np})
    assert printed["step"] == 19
    assert 0.005 < printed["margin"] < 0.02
    assert printed["gradient_over_weight"] > printed["gradient_over_weight_q0.5"] > 0
