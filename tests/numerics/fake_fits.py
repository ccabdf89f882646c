"""A fitter and an evaluation that take no time and depend on each row's labels alone; for tests of what is around."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from numerics.fit_grid import Sweep, Unit
from numerics.fit_problem import RESULTS, FitProblem, Fits, Result
from numerics.fitting import resolve_device
from numerics.store import Columns
from numerics.sweep import run_unit


@dataclass(frozen=True)
class FakeRow:
    error_l2: float
    error_w1inf: float
    margin: float
    decay_rate: tuple[float, float] | None
    bound_ratio_min: float
    finite_up_to: float
    ratio_time: float | None = None
    rounding: float | None = None
    bound_ratio_late: float | None = None
    printed_ratio_min: float | None = None


def row_label(problem: FitProblem, b: int) -> str:
    specs = ", ".join(target.spec for target in problem.targets[b])
    text = problem.reparameterizations[b].text
    return f"{specs}|{text}|{problem.modes[b]}|{problem.seeds[b]}|{problem.m}|{problem.time}|{problem.loss}"


def fake_fit(problem: FitProblem, mode: str = "optimal", **given: Any) -> Fits:
    """Weights drawn from the labels of the row (gradient mode: and its learning rate), and from the warm fits' w."""
    device, dtype = resolve_device(given.get("device", "cpu")), given.get("dtype", torch.float64)
    rates = given.get("learning_rates") or [None] * len(problem)
    rows, m, d = len(problem), problem.m, problem.input_dim
    noise = np.stack(
        [
            np.random.default_rng(zlib.crc32(f"{row_label(problem, b)}|{rates[b]}".encode())).random((m, 3 + d))
            for b in range(rows)
        ]
    )
    w = torch.from_numpy(noise[:, :, 0] + 1)
    for smaller in given.get("warm", ()):
        w = w + smaller.w.cpu().double().sum(1, keepdim=True) / 100
    complex_c = torch.from_numpy(noise[:, :, 1] + 1j * noise[:, :, 2])
    loss = w.square().sum(1)
    codes = [RESULTS.index(Result.DIVERGED if seed == 3 else Result.CONVERGED) for seed in problem.seeds]
    return Fits(
        problem=problem,
        w=w.to(device, dtype),
        U=torch.from_numpy(noise[:, :, 3:].copy()).to(device, dtype),
        c=complex_c.to(device) if problem.is_complex else complex_c.real.contiguous().to(device, dtype),
        omega=torch.from_numpy(noise[:, :, 2].copy()).to(device, dtype) if problem.is_complex else None,
        loss=loss.to(device, dtype),
        result=torch.tensor(codes, device=device),
        steps=torch.full((rows,), given.get("steps", 7), device=device),
        rank=torch.full((rows,), m, device=device),
        gradient_over_weight=torch.zeros(rows, device=device, dtype=dtype),
        history={"loss": torch.stack([loss, loss / 2])},
    )


def fake_evaluation(fits: Fits) -> list[FakeRow]:
    return [
        FakeRow(
            error_l2=math.sqrt(loss) / fits.problem.m,
            error_w1inf=loss if loss > 3 else math.nan,
            margin=1 / loss,
            decay_rate=(1 / loss, 2 / loss) if loss > 3 else None,
            bound_ratio_min=1.5,
            finite_up_to=math.inf,
        )
        for loss in fits.loss.tolist()
    ]


def fake_unit(sweep: Sweep, unit: Unit, **settings: Any) -> Columns:
    """`run_unit` with the fake fitter; importable by the workers of a cluster."""
    return run_unit(sweep, unit, fitter=fake_fit, evaluate=fake_evaluation, **settings)


def same_tables(left: Columns, right: Columns, names: Sequence[str] | None = None) -> bool:
    """Bit by bit, NaN included."""
    return (names is not None or list(left) == list(right)) and all(
        left[name].dtype == right[name].dtype and left[name].tobytes() == right[name].tobytes()
        for name in (names or left)
    )
