"""The commands on models and targets: their numbers against closed forms, what they print, and bad input."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import stablessm
from numerics import curse as curse_module
from numerics.model_files import write_model
from numerics.models import DiagonalModel, FullModel
from numerics.perturbed_error import perturbed_error
from numerics.targets import parse_target
from proofs_check import curse_verdicts as verdicts_module
from proofs_check import tables

ROOT = Path(__file__).parent.parent
Run = Callable[..., SimpleNamespace]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> SimpleNamespace:
        capsys.readouterr()
        code = stablessm.main(arguments)
        captured = capsys.readouterr()
        return SimpleNamespace(code=code, out=captured.out, err=captured.err)

    return call


MODEL: dict[str, Any] = {
    **{"time": "continuous", "layers": [{"lam": [-0.5, -2.0], "U": [[1.0], [2.0]]}], "c": [1.0, -0.25]},
    **{"activation": "identity", "reparameterization": "exp", "modes": "plain"},
}
LAYER = MODEL["layers"][0]
TWO_LAYERS = {"layers": [{"lam": [-0.5], "U": [[1.0]]}, {"lam": [-1.0], "U": [[0.5]]}], "c": [1.0]}
TWO_INPUTS = {**MODEL, "layers": [{"lam": [-0.5, -2.0], "U": [[1.0, 0.5], [2.0, -1.0]]}]}
TWO_OUTPUTS = {**MODEL, "c": [[1.0, -0.25], [-3.0, 0.5]]}
DISCRETE = {"time": "discrete", "layers": [{"lam": [0.5, -0.8], "U": [[1.0], [2.0]]}], "c": [1.0, -0.25]}
SAMPLED = {**MODEL, "time": "discrete", "step_size": 0.1, "discretization": "zoh"}
COMPLEX = {"layers": [{"lam": [[-0.5, 2.0]], "U": [[1.0]]}], "c": [[0.5, 0.25]]}
FULL = {"time": "continuous", "A": [[-1.0, 1.0], [0.0, -2.0]], "B": [[0.0], [1.0]], "C": [[1.0, 0.0]]}
EXPONENTIAL = {"layers": [{"lam": [-1.0], "U": [[1.0]]}], "c": [1.0]}


@pytest.fixture
def save(tmp_path: Path) -> Callable[[Any], str]:
    """Writes a model (or a raw text) to a file of its own and returns the path."""

    def write(model: Any) -> str:
        path = tmp_path / f"model{len(list(tmp_path.iterdir()))}.json"
        path.write_text(model if isinstance(model, str) else json.dumps(model))
        return str(path)

    return write


# memory


def kernel(t: float) -> float:
    return math.exp(-0.5 * t) - 0.5 * math.exp(-2 * t)


@pytest.mark.parametrize(
    ("model", "times", "expected"),
    [
        (MODEL, [10, 0, 1.5], kernel),
        (TWO_INPUTS, [0, 1, 4], lambda t: abs(kernel(t)) + abs(0.5 * math.exp(-0.5 * t) + 0.25 * math.exp(-2 * t))),
        (TWO_OUTPUTS, [0, 1, 4], lambda t: max(kernel(t), abs(-3 * math.exp(-0.5 * t) + math.exp(-2 * t)))),
        (DISCRETE, [0, 1, 5], lambda k: abs(0.5**k - 0.5 * (-0.8) ** k)),
        (FULL, [0, 0.5, 3], lambda t: math.exp(-t) - math.exp(-2 * t)),
        (COMPLEX, [0, 0.7, 3], lambda t: abs(math.exp(-0.5 * t) * (math.cos(2 * t) - 0.5 * math.sin(2 * t)))),
    ],
    ids=["one input", "two inputs", "two outputs", "discrete", "full matrix", "complex"],
)
def test_memory_of_linear_models_is_the_kernel(
    run: Run, save: Callable[[Any], str], model: Any, times: list[float], expected: Callable[[float], float]
) -> None:
    result = run("memory", save(model), "--t", ",".join(map(str, times)), "--json")
    assert (result.code, result.err) == (0, "")
    answer = json.loads(result.out)
    assert list(answer) == ["t", "memory_lower", "memory_upper", "method"]
    assert answer["t"] == times
    for t, lower, upper in zip(times, answer["memory_lower"], answer["memory_upper"], strict=True):
        assert lower <= expected(t) * (1 + 1e-14) + 1e-15
        assert upper >= expected(t) * (1 - 1e-14) - 1e-15
        assert upper - lower < 1e-12


def test_memory_of_a_nonlinear_model_is_a_bracket(run: Run, save: Callable[[Any], str]) -> None:
    path = save({**TWO_LAYERS, "activation": "tanh"})
    answers = [json.loads(run("--seed", "5", "memory", path, "--t", "0.5,2", "--json").out) for _ in range(2)]
    assert answers[0] == answers[1]
    for lower, upper in zip(answers[0]["memory_lower"], answers[0]["memory_upper"], strict=True):
        assert 0 < lower <= upper
    printed = run("memory", path, "--t", "0.5,2")
    assert printed.code == 0
    assert "2 layers of 1+1 real modes (plain), tanh" in printed.out
    assert f"{answers[0]['method']}." in printed.out


def test_memory_for_a_reader(run: Run, save: Callable[[Any], str]) -> None:
    out = run("memory", save(SAMPLED), "--t", "0,10").out
    lines = out.splitlines()
    assert lines[0] == "M(k) = sup over constant inputs x of |y_k - y_{k-1}|/(|x|_∞ + 1)"
    assert "discrete time (step size 0.1, zoh)" in " ".join(out.split())
    assert [line.split()[0] for line in lines[4:7]] == ["k", "0", "10"]
    assert lines[-1] == "The ends: exact."
    assert max(map(len, lines)) <= 80


# perturb


def rows_of(result: SimpleNamespace) -> list[dict[str, Any]]:
    assert (result.code, result.err) == (0, "")
    return json.loads(result.out)["rows"]


def test_perturbing_the_readout_alone_is_exact(run: Run, save: Callable[[Any], str]) -> None:
    """ρ = e^{-t} is the model itself, so that ‖ρ - ρ̂‖ = |δc|(∫e^{-t} + total variation) = 3β."""
    arguments = ["--target", "exponential:rate=1", "--groups", "c", "--beta", "0.5,0,0.01"]
    result = run("perturb", save(EXPONENTIAL), *arguments, "--json")
    rows = rows_of(result)
    assert [row["beta"] for row in rows] == [0.5, 0.0, 0.01]
    for row in rows:
        assert row["lower"] <= 3 * row["beta"] + 1e-9
        assert 3 * row["beta"] - 1e-9 <= row["upper"]
        assert row["upper"] - row["lower"] < 1e-6
    answer = json.loads(result.out)
    assert {key: value for key, value in answer.items() if key != "rows"} == {
        "stability_margin": 1.0,
        "ball": "joint",
        "groups": ["c"],
    }


def test_infinity_where_the_ball_reaches_the_boundary(run: Run, save: Callable[[Any], str]) -> None:
    path, arguments = save(EXPONENTIAL), ["--target", "polynomial:p=1.5", "--beta", "2,0.9,1"]
    rows = rows_of(run("perturb", path, *arguments, "--json"))
    assert [row["upper"] == "inf" for row in rows] == [True, False, True]
    assert [row["lower"] == "inf" for row in rows] == [True, False, True]
    printed = run("perturb", path, *arguments)
    assert [line.split()[1:] for line in printed.out.splitlines() if "inf " in line] == [["inf", "inf", "(1)"]] * 2
    assert "(1) the ball reaches the boundary of stability" in printed.out
    assert "(2) attained below" in printed.out
    assert max(map(len, printed.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("model", "targets", "groups"),
    [
        (MODEL, "polynomial:p=1.5", ["w", "U", "c"]),
        (TWO_INPUTS, "polynomial:p=1.5,exponential:rate=2+shift", ["w", "U", "c"]),
        (COMPLEX, "airy", ["w", "omega", "U", "c"]),
        (SAMPLED, "polynomial:p=1.5", ["w", "U", "c"]),
        (FULL, "two-part", ["A", "B", "C"]),
        ({**EXPONENTIAL, "activation": "tanh"}, "exponential:rate=2", ["w", "U", "c"]),
        (TWO_LAYERS, "exponential:rate=2", ["w", "U", "c"]),
    ],
    ids=["linear", "two inputs", "complex", "sampled", "full matrix", "tanh", "two layers"],
)
def test_every_kind_of_model_has_one_form_of_answer(
    run: Run, save: Callable[[Any], str], model: Any, targets: str, groups: list[str]
) -> None:
    answer = json.loads(run("perturb", save(model), "--target", targets, "--beta", "0.05,0", "--json").out)
    assert list(answer) == ["rows", "stability_margin", "ball", "groups"]
    assert answer["groups"] == groups
    assert answer["stability_margin"] > 0
    assert [row["beta"] for row in answer["rows"]] == [0.05, 0.0]
    for row in answer["rows"]:
        assert list(row) == ["beta", "lower", "upper", "reason"]
        assert 0 <= row["lower"] <= float(row["upper"])
        assert row["reason"]
    assert float(answer["rows"][0]["upper"]) >= answer["rows"][1]["lower"]


def test_block_ball_and_groups(run: Run, save: Callable[[Any], str]) -> None:
    path, common = save(MODEL), ("--target", "polynomial:p=1.5", "--beta", "0.1", "--json")
    joint, block, only_w = (
        rows_of(run("perturb", path, *common, *more))[0] for more in ((), ("--ball", "block"), ("--groups", "w"))
    )
    assert block["upper"] >= joint["lower"]
    assert block["lower"] >= joint["lower"]
    assert only_w["upper"] <= joint["upper"]


def test_groups_of_a_full_model_go_by_either_name() -> None:
    matrices = (torch.tensor(FULL[key], dtype=torch.float64) for key in ("A", "B", "C"))
    model, target = FullModel(*matrices), parse_target("exponential:rate=1")
    found = [perturbed_error(model, target, [0.01], groups=groups) for groups in (("c",), ("C",))]
    assert found[0] == found[1]
    assert found[0].groups == ("C",)
    for groups, text in ((("w", "A"), "twice"), (("omega",), "omega"), ((), "at least one")):
        with pytest.raises(ValueError, match=text):
            perturbed_error(model, target, [0.01], groups=groups)


def test_float32_models_are_computed_in_float64() -> None:
    model = DiagonalModel.from_lam(torch.tensor([-1.0]), torch.ones(1, 1), torch.ones(1))
    table = perturbed_error(model, parse_target("exponential:rate=1"), [0.1], groups=("c",))
    assert table.rows[0].beta == 0.1
    assert abs(table.rows[0].lower - 0.3) < 1e-8


# limit


def test_limit_of_a_sum_of_two_exponentials(run: Run) -> None:
    """Γ of Σe^{-a_i t} has the eigenvalues of 1/(a_i + a_j), that of its derivative those of √(a_i a_j)/(a_i + a_j)."""
    rates = np.array([1.0, 3.0])
    gram = 1 / (rates[:, None] + rates)
    scaled = np.sqrt(rates)[:, None] * gram * np.sqrt(rates)
    second, change = np.linalg.eigvalsh(gram)[0], np.linalg.eigvalsh(scaled)[0]
    result = run("limit", "--target", "exponential:rate=1+exponential:rate=3", "--m", "1,2", "--json")
    rows = rows_of(result)
    assert [list(row) for row in rows] == [["m", "hankel_singular_value", "error_lower"]] * 2
    assert [row["m"] for row in rows] == [1, 2]
    assert rows[0]["hankel_singular_value"] == pytest.approx(second, rel=1e-10)
    assert rows[0]["error_lower"] == pytest.approx(second + change, rel=1e-10)
    assert rows[0]["error_lower"] <= (second + change) * (1 + 1e-14)
    assert rows[1]["error_lower"] == 0


def test_limit_beside_fits(run: Run) -> None:
    asked = ("limit", "--target", "polynomial:p=2", "--m", "4,2", "--fitted")
    rows = json.loads(run(*asked, "--json").out)["rows"]
    assert [row["m"] for row in rows] == [4, 2]
    assert all(row["error_lower"] < row["error_fitted"] < row["error_explicit"] for row in rows)
    assert {row["states"] for row in rows} == {"real"}
    lines = run(*asked).out.splitlines()
    head = next(line for line in lines if "E_m(0) ≥" in line and "fitted" in line)
    assert head.split()[-4:] == ["fitted", "ratio", "states", "explicit"]
    assert lines[-2].startswith("fitted: the best model found")
    assert max(map(len, lines)) <= 80


def test_limit_for_a_reader(run: Run) -> None:
    lines = run("limit", "--target", "polynomial:p=2", "--m", "8,1").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[-3:]] == ["m", "8", "1"]


# curse


def curse_row(reparam: str, m: int, beta: float, upper: float) -> curse_module.CurseRow:
    return curse_module.CurseRow(reparam, "plain", ("w",), m, beta, 0.5, upper, 0.25, 0.1, 1.0, 1.0)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replaces the table and its verdicts by ones that note what they were asked."""
    questions: list[dict[str, Any]] = []

    def table(target: Any, dims: Any, reparams: Any, betas: Any, **settings: Any) -> SimpleNamespace:
        settings.pop("on_progress")
        questions.append({"target": target.spec, "dims": dims, "reparams": reparams, "betas": betas, **settings})
        rows = tuple(curse_row(f, m, beta, math.inf) for f in reparams for m in dims for beta in betas)
        return SimpleNamespace(rows=rows, notes=("a note",), target=target)

    def verdicts(table: Any) -> list[Any]:
        names = dict.fromkeys(row.reparam for row in table.rows)
        words = {"-exp(w)": (None, "INCONCLUSIVE"), "direct": (False, "PROVED")}
        answers = [(name, *words.get(name, (True, "SUPPORTED"))) for name in names]
        return [
            SimpleNamespace(
                as_json=lambda name=name, stable=stable, word=word: {
                    **{"reparam": name, "modes": "plain", "groups": ["w"], "stable": stable, "verdict": word},
                    **{"reason": "because " * 15, "claim": None},
                }
            )
            for name, stable, word in answers
        ]

    monkeypatch.setattr(curse_module, "curse_table", table)
    monkeypatch.setattr(verdicts_module, "curse_verdicts", verdicts)
    return questions


def test_curse_has_defaults(run: Run, asked: list[dict[str, Any]]) -> None:
    assert run("curse", "--target", "polynomial:p=1.5").code == 0
    assert asked == [
        {
            **{"target": "polynomial:p=1.5:s=1.0", "dims": (4, 8, 16, 32), "reparams": ("direct", "exp", "best")},
            **{"betas": (0.01, 0.1), "modes": ("plain",), "groups": None, "sequence": "explicit"},
            **{"ball": "joint", "seed": 0},
        }
    ]


@pytest.mark.parametrize("option", [["--reparam", "-exp(w)"], ["--reparam=-exp(w)"], ["--reparam", " -exp(w) "]])
def test_a_leading_minus_belongs_to_the_formula(run: Run, asked: list[dict[str, Any]], option: list[str]) -> None:
    result = run("curse", "--target", "airy", *option, "--json")
    assert asked[0]["reparams"] == ("-exp(w)",)
    assert result.code == 3
    assert json.loads(result.out)["verdicts"][0]["verdict"] == "INCONCLUSIVE"


def test_settings_reach_the_table(run: Run, asked: list[dict[str, Any]]) -> None:
    settings = ["--m", "8, 2", "--reparam", "best:a=1:b=0.1,exp", "--beta", "0.5,0", "--sequence", "fitted"]
    settings += ["--modes", "unit-norm,plain", "--groups", "U,c", "--ball", "block"]
    assert run("--seed", "7", "curse", "--target", "two-part", *settings).code == 0
    assert asked == [
        {
            **{"target": "two-part", "dims": (8, 2), "reparams": ("best:a=1:b=0.1", "exp"), "betas": (0.5, 0.0)},
            **{"modes": ("unit-norm", "plain"), "groups": ("U", "c"), "sequence": "fitted", "ball": "block"},
            "seed": 7,
        }
    ]


def test_curse_for_a_reader(run: Run, asked: list[dict[str, Any]]) -> None:
    result = run("curse", "--target", "two-part", "--reparam", "direct,exp", "--beta", "0.001,0.01,0.1,1,10")
    lines = result.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "direct, plain modes, w moves" in lines
    assert sum("  NOT stable (PROVED): because" in line for line in lines) == 1
    assert sum("  stable (SUPPORTED): because" in line for line in lines) == 1
    assert result.out.count("[0.5, inf]") == 2 * 4 * 5
    for beta in ("0.001", "0.01", "0.1", "1", "10"):
        assert sum(f"E_m({beta})" in line.split() for line in lines) == 2
    assert lines[-1] == "a note"
    assert "None" not in result.out


def test_curse_with_real_numbers(run: Run) -> None:
    arguments = ["--target", "polynomial:p=1.5", "--m", "2,4", "--reparam", "direct,exp", "--groups", "w"]
    result = run("curse", *arguments, "--beta", "0.01,3", "--json")
    assert result.code in (0, 3)
    answer = json.loads(result.out)
    keys = [(row["reparam"], row["modes"], row["groups"], row["m"], row["beta"]) for row in answer["rows"]]
    assert keys == [(f, "plain", ["w"], m, beta) for f in ("direct", "exp") for m in (2, 4) for beta in (0.01, 3.0)]
    for row in answer["rows"]:
        assert float(row["lower"]) <= float(row["upper"])
        assert (row["upper"] == "inf") == (row["reparam"] == "direct" and row["beta"] == 3)
    assert [found["reparam"] for found in answer["verdicts"]] == ["direct", "exp"]
    undecided = any(found["verdict"] == "INCONCLUSIVE" for found in answer["verdicts"])
    assert result.code == (3 if undecided else 0)


# Bad input


def changed(**changes: Any) -> dict[str, Any]:
    return {**MODEL, **changes}


def layer(**changes: Any) -> dict[str, Any]:
    return changed(layers=[{**LAYER, **changes}])


TARGET = ["--target", "exponential"]
BAD_MODELS = [
    ("", ["is empty"]),
    ("{", ["is not JSON"]),
    ("[1, 2]", ["a JSON object"]),
    (layer(lam=[-0.5, 0.0]), ["lam", "0.0"]),
    (layer(lam=[-0.5, 0.5]), ["lam", "0.5"]),
    ({**DISCRETE, "layers": [{"lam": [0.5, -1.0], "U": [[1.0], [2.0]]}]}, ["lam", "|λ| < 1"]),
    (layer(U=[[1.0]]), ["U", "shape"]),
    (layer(U=[[1.0], [2.0, 3.0]]), ["U", "rows"]),
    (changed(c=[1.0]), ["c", "shape"]),
    (json.dumps(layer(lam=[-0.5, math.nan])), ["NaN"]),
    (json.dumps(changed(c=[math.inf, 1.0])), ["Infinity"]),
    (changed(layers=[]), ["layers", "at least one"]),
    (layer(lam=[], U=[]), ["empty"]),
    (changed(activation="tnah"), ["activation", "tnah", "tanh"]),
    (changed(reparameterization="exq"), ["exq", "did you mean exp"]),
    (changed(modes="odd"), ["modes", "odd", "unit-norm"]),
    (changed(lamda=[1]), ["lamda"]),
    ({**FULL, "A": [[1.0, 1.0], [0.0, -2.0]]}, ["A", "negative"]),
]


@pytest.mark.parametrize(("model", "parts"), BAD_MODELS, ids=[str(model)[:60] for model, _ in BAD_MODELS])
def test_bad_models(run: Run, save: Callable[[Any], str], model: Any, parts: list[str]) -> None:
    path = save(model)
    for arguments in (["memory", path, "--t", "0,1"], ["perturb", path, *TARGET, "--beta", "0.1"]):
        assert_bad(run, arguments, [Path(path).name, *parts])


def assert_bad(run: Run, arguments: Sequence[str], parts: Sequence[str]) -> None:
    start = time.perf_counter()
    result = run(*arguments)
    assert time.perf_counter() - start < 5
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert len(result.err) < 500
    for part in parts:
        assert part in result.err


BAD = [
    (["memory"], ["MODEL"]),
    (["memory", "GOOD"], ["--t"]),
    (["memory", "missing.json", "--t", "0"], ["missing.json", "No such file"]),
    (["memory", ".", "--t", "0"], [".json or .safetensors"]),
    (["memory", "folder.json", "--t", "0"], ["folder.json", "not a file"]),
    (["memory", "model.txt", "--t", "0"], ["model.txt", ".json or .safetensors"]),
    (["memory", "", "--t", "0"], [".json or .safetensors"]),
    (["memory", "GOOD", "--t", ""], ["--t", "at least 0"]),
    (["memory", "GOOD", "--t", "-1"], ["--t", "'-1'", "at least 0"]),
    (["memory", "GOOD", "--t", "0,nan"], ["--t", "'nan'"]),
    (["memory", "GOOD", "--t", "inf"], ["--t", "'inf'"]),
    (["memory", "GOOD", "--t", "0,,1"], ["--t", "''"]),
    (["memory", "GOOD", "--t", "1e999"], ["--t", "1e999"]),
    (["memory", "GOOD", "--t", ",".join(["1"] * 2000)], ["--t", "2000", "at most 1000"]),
    (["memory", "GOOD", "--t", "0", "--jsn"], ["--jsn", "did you mean --json"]),
    (["memory", "DISCRETE", "--t", "0,1.5"], ["step"]),
    (["perturb", "GOOD", "--beta", "0.1"], ["--target"]),
    (["perturb", "GOOD", *TARGET], ["--beta"]),
    (["perturb", "GOOD", *TARGET, "--beta", "-0.1"], ["--beta", "'-0.1'", "at least 0"]),
    (["perturb", "GOOD", *TARGET, "--beta", "nan"], ["--beta", "'nan'"]),
    (["perturb", "GOOD", *TARGET, "--beta", "0,inf"], ["--beta", "'inf'"]),
    (["perturb", "GOOD", *TARGET, "--beta", "much"], ["--beta", "'much'"]),
    (["perturb", "GOOD", *TARGET, "--beta", ""], ["--beta", "''"]),
    (["perturb", "GOOD", *TARGET, "--beta", "1e-999"], ["--beta", "1e-999"]),
    (["perturb", "GOOD", *TARGET, "--beta", "0.1", "--ball", "round"], ["--ball", "round", "joint", "block"]),
    (["perturb", "GOOD", *TARGET, "--beta", "0.1", "--groups", "w,V"], ["groups", "'V'", "omega"]),
    (["perturb", "GOOD", *TARGET, "--beta", "0.1", "--groups", "w,w"], ["--groups", "'w'", "twice"]),
    (["perturb", "GOOD", *TARGET, "--beta", "0.1", "--groups", ""], ["--groups"]),
    (["perturb", "GOOD", *TARGET, "--beta", "0.1", "--groups", "omega"], ["omega", "real model"]),
    (["perturb", "FULL", *TARGET, "--beta", "0.1", "--groups", "omega"], ["omega", "A, B, C"]),
    (["perturb", "FULL", *TARGET, "--beta", "0.1", "--groups", "w,A"], ["w, A", "twice"]),
    (["perturb", "GOOD", "--target", "exponentail", "--beta", "0.1"], ["did you mean exponential"]),
    (["perturb", "GOOD", "--target", "", "--beta", "0.1"], ["target"]),
    (["perturb", "GOOD", "--target", "polynomial", "--beta", "0.1"], ["needs p"]),
    (["perturb", "GOOD", "--target", "polynomial:q=2", "--beta", "0.1"], ["q=2", "p="]),
    (["perturb", "GOOD", "--target", "polynomial:p=1", "--beta", "0.1"], ["polynomial:p=1", "infinite"]),
    (["perturb", "GOOD", "--target", "polynomial:p=0.5", "--beta", "0.1"], ["polynomial:p=0.5", "infinite"]),
    (["perturb", "GOOD", "--target", "sine", "--beta", "0.1"], ["sine", "infinite"]),
    (["perturb", "GOOD", "--target", "airy+sine", "--beta", "0.1"], ["sine", "infinite"]),
    (["perturb", "GOOD", "--target", "airy,airy", "--beta", "0.1"], ["target", "2", "1"]),
    (["perturb", "TWO_INPUTS", "--target", "airy", "--beta", "0.1"], ["target", "1", "2"]),
    (["perturb", "FULL", "--target", "airy,airy", "--beta", "0.1"], ["target", "2", "1"]),
    (["perturb", "TWO_LAYERS", "--target", "airy,airy", "--beta", "0.1"], ["target", "2", "1"]),
    (["perturb", "TWO_LAYERS", "--target", "polynomial:p=1", "--beta", "0.1"], ["infinite"]),
    (["perturb", "TWO_OUTPUTS", *TARGET, "--beta", "0.1"], ["one output"]),
    (["perturb", "GOOD", "--target", "csv:file=gap.csv", "--beta", "0.1"], ["gap.csv", "line 3", "gap"]),
    (["perturb", "GOOD", "--target", "csv:file=twice.csv", "--beta", "0.1"], ["twice.csv", "line 3", "repeated"]),
    (["perturb", "GOOD", "--target", "csv:file=none.csv", "--beta", "0.1"], ["none.csv", "No such file"]),
    (["limit"], ["--target"]),
    (["limit", "--target", "exp"], ["'exp'", "exponential"]),
    (["limit", "--target", "polynomial:p=1"], ["infinite"]),
    (["limit", "--target", "sine"], ["infinite"]),
    (["limit", "--target", "airy,airy"], ["one target"]),
    (["limit", *TARGET, "--m", "0"], ["--m", "'0'", "at least 1"]),
    (["limit", *TARGET, "--m", "1.5"], ["--m", "'1.5'"]),
    (["limit", *TARGET, "--m", "-1"], ["--m", "'-1'"]),
    (["limit", *TARGET, "--m", ""], ["--m", "''"]),
    (["limit", *TARGET, "--m", "5000"], ["--m", "5000", "4096"]),
    (["limit", *TARGET, "--m", "99999999999999"], ["--m"]),
    (["limit", *TARGET, "--seed", "1"], ["--seed", "before the command"]),
    (["curse"], ["--target"]),
    (["curse", *TARGET, "--m", "0"], ["--m", "'0'"]),
    (["curse", *TARGET, "--m", "4,8,4"], ["--m", "'4'", "twice"]),
    (["curse", *TARGET, "--reparam", "exp,exp"], ["--reparam", "'exp'", "twice"]),
    (["curse", *TARGET, "--reparam", ""], ["--reparam"]),
    (["curse", *TARGET, "--reparam", "exp,"], ["--reparam", "'exp,'"]),
    (["curse", *TARGET, "--reparam", "exq"], ["exq", "did you mean exp"]),
    (["curse", *TARGET, "--reparam", "best:c=1"], ["c=1", "a="]),
    (["curse", *TARGET, "--reparam", "-exp("], ["formula"]),
    (["curse", *TARGET, "--reparam", "--json"], ["json"]),
    (["curse", *TARGET, "--beta", "-1"], ["--beta", "'-1'"]),
    (["curse", *TARGET, "--beta", "0.1,0.10"], ["--beta", "'0.1'", "twice"]),
    (["curse", *TARGET, "--modes", "fancy"], ["modes", "fancy", "unit-norm"]),
    (["curse", *TARGET, "--sequence", "guessed"], ["--sequence", "guessed", "explicit", "fitted"]),
    (["curse", *TARGET, "--ball", "round"], ["--ball", "round", "joint", "block"]),
    (["curse", *TARGET, "--groups", "w,V"], ["groups", "'V'"]),
    (["curse", *TARGET, "--groups", "omega"], ["omega"]),
    (["curse", "--target", "polynomial:p=1"], ["infinite"]),
    (["curse", "--target", "sine"], ["infinite"]),
    (["curse", "--target", "sine", "--sequence", "fitted"], ["infinite"]),
    (["curse", "--target", "airy"], ["airy", "completely monotone"]),
]


@pytest.mark.parametrize(("arguments", "parts"), BAD, ids=[" ".join(arguments)[:60] for arguments, _ in BAD])
def test_bad_input_is_one_clear_line(
    run: Run, arguments: list[str], parts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    models = {"GOOD": MODEL, **{name: globals()[name] for name in ("DISCRETE", "FULL", "TWO_INPUTS")}}
    models |= {name: globals()[name] for name in ("TWO_LAYERS", "TWO_OUTPUTS")}
    for name, model in models.items():
        Path(f"{name}.json").write_text(json.dumps(model))
    Path("model.txt").write_text(json.dumps(MODEL))
    Path("folder.json").mkdir()
    Path("gap.csv").write_text("t,rho\n0,1\n1,\n2,0\n")
    Path("twice.csv").write_text("t,rho\n0,1\n0,0.5\n")
    before = sorted(tmp_path.iterdir())
    assert_bad(run, [f"{word}.json" if word in models else word for word in arguments], parts)
    assert sorted(tmp_path.iterdir()) == before


def test_a_huge_json_is_refused_unread(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    path.touch()
    os.truncate(path, 2 * 2**30)  # a hole: it takes no space
    assert_bad(run, ["memory", str(path), "--t", "0"], ["huge.json", "MiB", "safetensors"])
    assert_bad(run, ["perturb", str(path), *TARGET, "--beta", "0"], ["huge.json", "MiB"])


def test_safetensors_that_are_truncated_or_a_batch(run: Run, tmp_path: Path) -> None:
    model = DiagonalModel.from_lam(-torch.ones(3, 2), torch.ones(3, 2, 1), torch.ones(2))
    path = tmp_path / "many.safetensors"
    write_model(model, path)
    for arguments in (["memory", str(path), "--t", "0"], ["perturb", str(path), *TARGET, "--beta", "0"]):
        assert_bad(run, arguments, ["many.safetensors", "one model", "(3,)"])
    os.truncate(path, path.stat().st_size - 7)
    assert_bad(run, ["memory", str(path), "--t", "0"], ["many.safetensors", "not a whole safetensors file"])


def test_numbers_beyond_double_precision(run: Run, save: Callable[[Any], str]) -> None:
    model = {**EXPONENTIAL, "layers": [{"lam": [-1e-308], "U": [[1.0]]}]}
    assert_bad(run, ["perturb", save(model), *TARGET, "--beta", "0"], [])


def test_a_memory_beyond_double_precision_has_an_infinite_upper_end(run: Run, save: Callable[[Any], str]) -> None:
    model = {"layers": [{"lam": [-1.0], "U": [[1e308]]}], "c": [1e308]}
    result = run("memory", save(model), "--t", "0", "--json")
    answer = json.loads(result.out)
    assert (result.code, answer["memory_upper"]) == (0, ["inf"])
    assert 0 <= answer["memory_lower"][0] < math.inf


def test_an_interrupt_ends_with_code_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any, **settings: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(curse_module, "curse_table", interrupted)
    result = run("curse", *TARGET)
    assert (result.code, result.out, result.err) == (130, "", "error: interrupted\n")


# What is printed and loaded


@pytest.mark.parametrize("value", [0.1, 1 / 3, 2 / 3, 123456.5, 1234567.0, 1e-300, 5e-324, 0.0, 1.0, 9.9999996])
@pytest.mark.parametrize("digits", [4, 6])
def test_bounds_are_rounded_outward(value: float, digits: int) -> None:
    low, high = tables.below(value, digits), tables.above(value, digits)
    assert float(low) <= value <= float(high)
    assert float(high) - float(low) <= 10.0 ** (1 - digits) * value
    assert tables.below(-value, digits).lstrip("-") == high


def test_infinity_and_short_numbers_print_plainly() -> None:
    assert tables.above(math.inf) == tables.above("inf") == "inf"
    assert tables.below(0.25) == tables.above(0.25) == "0.25"
    assert tables.below(100) == "100"


@pytest.mark.parametrize("command", ["memory", "perturb", "curse", "limit"])
def test_help_is_light_and_has_an_example(command: str) -> None:
    program = (
        f"import sys, stablessm\ncode = stablessm.main(['{command}', '--help'])\n"
        "sys.exit(code or int(bool({'torch', 'numpy', 'sympy', 'flint'} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"Example: stablessm {command}" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
