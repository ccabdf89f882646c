"""Memory functions of targets and fits: curves, where a power law leaves its bounds, what refutes the finding."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from figures.figure import from_json, to_json
from figures.memory_functions import (
    FIGURE,
    FittedMemory,
    MemoryFunctions,
    TargetMemory,
    caption,
    compute,
    draw,
    finding,
    size,
)
from figures.style import new_figure, style
from proofs_check.claim import Verdict


@pytest.fixture(scope="module")
def data() -> MemoryFunctions:
    return compute("quick", seed=1)


def changed(data: MemoryFunctions, place: int, **new: Any) -> MemoryFunctions:
    targets = list(data.targets)
    targets[place] = replace(targets[place], **new)
    return replace(data, targets=tuple(targets))


def with_fit(data: MemoryFunctions, place: int, **new: Any) -> MemoryFunctions:
    first, *others = data.targets[place].fits
    return changed(data, place, fits=(replace(first, **new), *others))


def test_the_curves(data: MemoryFunctions) -> None:
    power, exponential, airy, two = data.targets
    times = np.array(power.times)
    np.testing.assert_allclose(power.memory, (1 + times) ** -1.5)
    np.testing.assert_allclose(exponential.memory, np.exp(-np.array(exponential.times)))
    assert [[fit.pairs for fit in target.fits] for target in (airy, two)] == [[True, True]] * 2
    for target in data.targets:
        for fit in target.fits:
            sharp = np.array(fit.sharp)
            seen = sharp > 1e-250
            decay = np.exp(-fit.margin * np.array(target.times)[seen])
            np.testing.assert_allclose(sharp[seen] / sharp[0], decay, rtol=1e-6)
            np.testing.assert_allclose(np.array(fit.printed)[seen] / fit.printed[0], decay, rtol=1e-6)


def test_the_exponential_attains_the_sharp_bound_and_not_the_printed_one(data: MemoryFunctions) -> None:
    (fit,) = data.targets[1].fits
    np.testing.assert_allclose(fit.memory, fit.sharp, rtol=1e-9)
    assert fit.printed[0] == pytest.approx(4.0)  # (d+1)|θ|² with c = U = 1, w = log 1 = 0
    assert fit.slack < 1e-9


def test_where_the_power_law_leaves(data: MemoryFunctions) -> None:
    power, exponential, *_ = data.targets
    for fit in power.fits:
        left = power.left_at(fit)
        assert left is not None
        place = power.times.index(left)
        assert power.memory[place] > fit.sharp[place]
        assert power.memory[place - 1] <= fit.sharp[place - 1]
        assert fit.margin * left > 1
    assert exponential.left_at(exponential.fits[0]) is None


def test_a_target_that_was_never_within() -> None:
    fit = FittedMemory(1, False, 1.0, 0.0, (0.1, 0.1), (0.2, 0.2), (0.3, 0.3))
    assert TargetMemory("x", "x", "polynomial", (1.0, 2.0), (1.0, 1.0), (fit,)).left_at(fit) == 1.0


def test_the_finding(data: MemoryFunctions) -> None:
    found = finding(data)
    assert found.verdict is Verdict.SUPPORTED
    assert "None of 8 fits exceeds" in found.reason
    assert "polynomial:p=1.5 leaves the sharp bounds of m = 2, 4, 8 at t = " in found.reason


@pytest.mark.parametrize("bound", ["sharp", "printed"])
def test_a_memory_above_a_bound_refutes(data: MemoryFunctions, bound: str) -> None:
    curve = list(getattr(data.targets[2].fits[0], bound))
    curve[100] = data.targets[2].fits[0].memory[100] * 0.99
    found = finding(with_fit(data, 2, **{bound: tuple(curve)}))
    assert found.verdict is Verdict.REFUTED
    assert f"exceeds its {bound} bound at t = {data.targets[2].times[100]:.4g}, airy, 2 pairs" in found.reason


def test_a_target_above_bound_and_error_refutes(data: MemoryFunctions) -> None:
    memory = list(data.targets[0].memory)
    memory[50] = 3.0
    found = finding(changed(data, 0, memory=tuple(memory)))
    assert found.verdict is Verdict.REFUTED
    assert "the target exceeds the sharp bound" in found.reason


def test_a_power_law_that_does_not_leave_decides_nothing(data: MemoryFunctions) -> None:
    power = data.targets[0]
    kept = slice(0, 60)
    fits = tuple(
        replace(fit, memory=fit.memory[kept], sharp=fit.sharp[kept], printed=fit.printed[kept]) for fit in power.fits
    )
    short = changed(data, 0, times=power.times[kept], memory=power.memory[kept], fits=fits)
    assert finding(short).verdict is Verdict.INCONCLUSIVE


def test_margins_that_do_not_shrink_decide_nothing(data: MemoryFunctions) -> None:
    assert finding(with_fit(data, 0, margin=1e-9)).verdict is Verdict.INCONCLUSIVE


def test_kept_and_drawn(data: MemoryFunctions) -> None:
    assert from_json(FIGURE.data, json.loads(json.dumps(to_json(data)))) == data
    with style():
        figure = new_figure(*size(data))
        draw(data, figure)
        figure.canvas.draw()
    axes = figure.axes
    assert [ax.get_xscale() for ax in axes] == ["log", "linear", "linear", "linear"]
    circles = [[line for line in ax.lines if line.get_marker() == "o"] for ax in axes]
    assert [len(some) for some in circles] == [3, 0, 0, 0]
    assert "seed 1" in caption(data)
    assert all(f"{claim}" in caption(data) for claim in ("thm-3.3-sharp", "thm-3.3-one-layer", "thm-3.3-boundary"))
