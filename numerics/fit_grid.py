"""The grid of a sweep: every combination of targets, reparameterizations, sizes, seeds and so on, and its units.

A line of the grid is one choice of (optimizer, target, reparameterization, modes, learning rate, seed); every line is
fitted at every m, the smaller ones first, from which the optimal mode starts the larger. A unit is up to `batch` lines
with all their m: one tensor program for each m. Which lines make a unit is decided by the grid alone, so that a folder
begun on one machine is gone on with on another, and rows are equal whatever was computed before them and wherever.
"""

from __future__ import annotations

import difflib
import itertools
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from numerics.arguments import check_choice, check_count, json_number, shown
from numerics.fit_problem import LOSSES, FitProblem
from numerics.fitting import FIT_MODES, check_steps
from numerics.model_checks import TIMES
from numerics.models import MODES
from numerics.optim import Rule
from numerics.reparameterization import Reparameterization
from numerics.targets import Target, parse_target

LARGEST_GRID = 10_000_000
LARGEST_FILE = 10_000_000
LARGEST_M = 4096
LARGEST_SEED = 2**63 - 1
_SMALLEST_BATCH, _LARGEST_BATCH, _UNITS = 16, 512, 8
_LISTS = ("target", "reparam", "m", "seeds", "modes", "learning_rate", "optimizer")
_GRADIENT_ONLY = ("learning_rate", "optimizer", "schedule", "weight_decay")


@dataclass(frozen=True)
class Line:
    """One choice of everything but m; `place`: its number in the grid, m left out."""

    place: int
    target: tuple[str, ...]
    reparam: str
    modes: str
    seed: int
    learning_rate: float | None
    optimizer: str | None


@dataclass(frozen=True)
class Unit:
    """Lines that are fitted together, with the name of their chunk."""

    key: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Sweep:
    """The grid: every combination of target, reparam, modes, seeds, m and, in gradient mode, learning_rate, optimizer.

    target: for every target the specs of the kernels of its d inputs. mode: "optimal" or "gradient". steps: at most so
    many (None: the fitter's own number). batch: lines of a unit (None: an eighth of the lines of one optimizer, from 16
    to 512). The rest as in numerics.fit_problem. Raises ValueError, in one line, naming the axis and its value.
    """

    target: tuple[tuple[str, ...], ...]
    reparam: tuple[str, ...]
    m: tuple[int, ...]
    seeds: tuple[int, ...] = (0,)
    modes: tuple[str, ...] = ("plain",)
    mode: str = "optimal"
    loss: str = "l2"
    complex: bool = False
    time: str = "continuous"
    step_size: float = 1.0
    horizon: float = math.inf
    steps: int | None = None
    learning_rate: tuple[float, ...] = ()
    optimizer: tuple[str, ...] = ()
    schedule: str = "cosine"
    weight_decay: float | None = None
    batch: int | None = None

    def __post_init__(self) -> None:
        for name in ("target", "reparam", "m", "seeds", "modes"):
            if not getattr(self, name):
                raise ValueError(f"{name}: at least one value is needed")
        if self.size > LARGEST_GRID:
            raise ValueError(f"the grid has {self.size} fits; at most {LARGEST_GRID} are allowed")
        for name in _LISTS:
            values = getattr(self, name)
            if len(set(values)) < len(values):
                twice = next(value for value in values if values.count(value) > 1)
                raise ValueError(f"{name}: {shown(_one_text(twice))} is given twice")
        for name, allowed in (("mode", FIT_MODES), ("loss", LOSSES), ("time", TIMES)):
            check_choice(name, getattr(self, name), allowed)
        for kind in self.modes:
            check_choice("modes", kind, MODES)
        for name, values, least in (
            ("m", self.m, 1),
            ("seeds", self.seeds, 0),
            ("steps", () if self.steps is None else (self.steps,), 1),
            ("batch", () if self.batch is None else (self.batch,), 1),
        ):
            for value in values:
                check_count(name, value, least)
        for name, values, most in (("m", self.m, LARGEST_M), ("seeds", self.seeds, LARGEST_SEED)):
            if max(values) > most:
                raise ValueError(f"{name}: {shown(max(values))} is too large; at most {most} is allowed")
        if not isinstance(self.complex, bool):
            raise ValueError(f"complex: true or false is needed, got {shown(self.complex)}")
        self._check_gradient()
        self._check_problem()

    def _check_gradient(self) -> None:
        if self.mode == "optimal":
            default = {field.name: field.default for field in fields(self)}
            for name in _GRADIENT_ONLY:
                if getattr(self, name) != default[name]:
                    raise ValueError(f"{name}: has a meaning in gradient mode alone, the mode is optimal")
            return
        if not self.learning_rate or not self.optimizer:
            object.__setattr__(self, "learning_rate", self.learning_rate or (0.01,))
            object.__setattr__(self, "optimizer", self.optimizer or ("adam",))
        for kind in self.optimizer:
            Rule(self.learning_rate, self.steps or 1, kind, self.schedule, self.weight_decay)

    def _check_problem(self) -> None:
        """Every target and every f can be read and fitted: nothing is found out in the middle of a run."""
        for name in ("step_size", "horizon"):
            if not _is_number(getattr(self, name)):
                raise ValueError(f"{name}: a number is needed, got {shown(repr(getattr(self, name)))}")
        if len({len(specs) for specs in self.target}) > 1:
            raise ValueError("target: every target needs the same number of kernels, one for each input")
        read = _Reader(self.time)
        for text in self.reparam:
            read.reparameterization(text)
        for specs in self.target:
            for kernel in read.kernels(specs):
                kernel.require_integrable()
        line = Line(0, self.target[0], self.reparam[0], self.modes[0], self.seeds[0], None, None)
        largest = self.problem((line,), max(self.m))
        if self.mode == "optimal":
            check_steps(largest)

    @property
    def axes(self) -> tuple[tuple[Any, ...], ...]:
        """The axes in the order of the table's rows, the last one fastest; m is the last but one."""
        return (
            self.optimizer or (None,), self.target, self.reparam, self.modes, self.learning_rate or (None,), self.m,
            self.seeds,
        )  # fmt: skip

    @property
    def size(self) -> int:
        """The number of fits."""
        return math.prod(len(axis) for axis in self.axes)

    def lines(self) -> Iterator[Line]:
        """The grid without m, in its order."""
        optimizers, targets, reparams, kinds, rates, _, seeds = self.axes
        choices = itertools.product(optimizers, targets, reparams, kinds, rates, seeds)
        for place, (optimizer, target, reparam, modes, rate, seed) in enumerate(choices):
            yield Line(place, target, reparam, modes, seed, rate, optimizer)

    def units(self) -> list[Unit]:
        """The lines in units; those of a unit share the optimizer."""
        lines = list(self.lines())
        group = len(lines) // len(self.optimizer or (None,))
        size = self.batch or min(max(-(-group // _UNITS), _SMALLEST_BATCH), _LARGEST_BATCH)
        parts = [
            lines[start : min(start + size, first + group)]
            for first in range(0, len(lines), group)
            for start in range(first, first + group, size)
        ]
        return [Unit(f"unit-{number:05d}", tuple(part)) for number, part in enumerate(parts)]

    def row(self, line: Line, m: int) -> int:
        """The place of a fit in the table."""
        before, seed = divmod(line.place, len(self.seeds))
        return (before * len(self.m) + self.m.index(m)) * len(self.seeds) + seed

    def problem(self, lines: Sequence[Line], m: int) -> FitProblem:
        """What is to be fitted for some lines at one m."""
        read = _Reader(self.time)
        return FitProblem(
            targets=tuple(read.kernels(line.target) for line in lines),
            reparameterizations=tuple(read.reparameterization(line.reparam) for line in lines),
            seeds=tuple(line.seed for line in lines),
            m=m,
            modes=tuple(line.modes for line in lines),
            is_complex=self.complex,
            time=self.time,
            step_size=self.step_size,
            loss=self.loss,
            horizon=self.horizon,
        )

    def as_json(self) -> dict[str, Any]:
        """The grid as it is read back by `sweep_of_json`."""
        answer = {field.name: getattr(self, field.name) for field in fields(self)}
        answer = {name: list(value) if isinstance(value, tuple) else value for name, value in answer.items()}
        answer["target"] = [specs[0] if len(specs) == 1 else list(specs) for specs in self.target]
        return {**answer, "horizon": json_number(self.horizon)}


def sweep_of_json(content: Mapping[str, Any]) -> Sweep:
    """The grid of a JSON object: its keys are the fields of `Sweep`.

    A list stands for an axis and a single value for a list of one; a target with several inputs is a list of specs;
    seeds may be their number, 8 for 0 to 7; horizon may be "inf". Raises ValueError naming an unknown key with the
    nearest known one, a missing key, or a value that cannot be.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"sweep: an object with axes is needed, got {shown(json.dumps(content))}")
    known = [field.name for field in fields(Sweep)]
    for key in content:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ValueError(f"sweep: {shown(key)!r} is no axis; {hint}known: {', '.join(known)}")
    for key in ("target", "reparam", "m"):
        if key not in content:
            raise ValueError(f"sweep: {key} is missing")
    given = dict(content)
    if isinstance(given.get("seeds"), int) and not isinstance(given["seeds"], bool):
        check_count("seeds", given["seeds"], 1)
        given["seeds"] = range(given["seeds"])
    if isinstance(given.get("seeds"), range) and len(given["seeds"]) > LARGEST_GRID:
        raise ValueError(f"seeds: there are {len(given['seeds'])}; at most {LARGEST_GRID} are allowed")
    for key in _LISTS:
        if key in given:
            value = given[key]
            given[key] = tuple(value) if isinstance(value, list | tuple | range) else (value,)
            if key != "target":
                _refuse_nested(key, given[key])
    given["target"] = tuple(tuple(specs) if isinstance(specs, list | tuple) else (specs,) for specs in given["target"])
    for key in ("target", "reparam", "modes", "optimizer"):
        texts = itertools.chain(*given["target"]) if key == "target" else given.get(key, ())
        for text in texts:
            if not isinstance(text, str):
                raise ValueError(f"{key}: texts are needed, got {shown(json.dumps(text))}")
    if given.get("horizon") == "inf":
        given["horizon"] = math.inf
    return Sweep(**given)


def read_sweep(path: str | os.PathLike[str]) -> Sweep:
    """The grid in a JSON file, see `sweep_of_json`. Raises ValueError, in one line, that begins with the path."""
    file = Path(path)
    try:
        with open(file, "rb") as stream:  # no more of it than may be: a device has no size and no end
            content = stream.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise ValueError(f"has more than {LARGEST_FILE} bytes")
        return sweep_of_json(json.loads(content.decode("utf-8-sig"), object_pairs_hook=_no_repeats))
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
    except json.JSONDecodeError as error:
        reason = f"is not JSON: {error}"
    except UnicodeDecodeError:
        reason = "is not UTF-8 text"
    except RecursionError:
        reason = "is nested too deeply"
    except ValueError as error:
        reason = str(error)
    raise ValueError(f"{shown(file, 120)}: {reason}")


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"sweep: {shown(next(key for key in keys if keys.count(key) > 1))!r} is given twice")
    return content


class _Reader:
    """Reads every spec and formula once."""

    def __init__(self, time: str) -> None:
        self._time = time
        self._targets: dict[str, Target] = {}
        self._fs: dict[str, Reparameterization] = {}

    def kernels(self, specs: Sequence[str]) -> tuple[Target, ...]:
        return tuple(self._targets.get(spec) or self._targets.setdefault(spec, parse_target(spec)) for spec in specs)

    def reparameterization(self, text: str) -> Reparameterization:
        return self._fs.get(text) or self._fs.setdefault(text, Reparameterization(text, self._time))


def _refuse_nested(key: str, values: tuple[Any, ...]) -> None:
    for value in values:
        if isinstance(value, list | dict):
            raise ValueError(f"{key}: single values are needed, got {shown(json.dumps(value))}")


def _one_text(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return not math.isnan(value)
    except OverflowError:  # a whole number beyond all floats
        return False
