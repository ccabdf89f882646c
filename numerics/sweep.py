"""Sweeps: a grid of fits worked through unit by unit, here or on a cluster, and put together in one table.

A table has one row a fit, in the order of the grid (numerics.fit_grid). Its columns: what was asked (target, reparam,
modes, m, seed; in gradient mode optimizer and learning_rate), what came of it (error_l2, error_w1inf, rounding, margin,
decay_lower, decay_upper, bound_ratio_min, ratio_time, bound_ratio_late, printed_ratio_min, finite_up_to, result as in
numerics.fit_evaluation; loss, steps, rank, gradient_over_weight as in numerics.fit_problem), the device, the weights
w, omega, U, c of the model, filled up with NaN to the largest m. A number that does not exist is NaN.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from numerics.arguments import json_number
from numerics.fit_grid import Sweep, Unit
from numerics.fit_problem import Fits
from numerics.fitting import fit, resolve_device
from numerics.models import DiagonalModel, Layer
from numerics.reparameterization import Reparameterization
from numerics.store import Columns, Store, joined

THREADS = 2
"""Of a unit, on any machine: they decide which rows share a tensor, and so the last digits; a search for the best rates
can turn those into another local minimum. More cores are for more processes, cluster="local:8"."""
DTYPES = {"float64": torch.float64, "float32": torch.float32}
Progress = Callable[[int, int, str], None]
Evaluate = Callable[[Fits], Sequence[Any]]
"""Fits to the rows of numerics.fit_evaluation, one for each model."""

_WEIGHTS = ("w", "omega", "U", "c")


def run_sweep(
    sweep: Sweep,
    *,
    folder: str | os.PathLike[str] | None = None,
    cluster: str | None = None,
    device: str = "auto",
    dtype: str = "float64",
    memory_budget: int | None = None,
    threads: int = THREADS,
    on_progress: Progress | None = None,
    worker: Callable[..., Columns] | None = None,
) -> Columns:
    """The table of a sweep; with a folder, finished units are kept there and not computed again.

    cluster: "local:2" or the address of a scheduler, see numerics.cluster. device, dtype, memory_budget, threads: as in
    numerics.fitting.fit, on every worker. `worker` computes the columns of a unit (None: `run_unit`). `on_progress`
    gets the number of fits done, of all, and what is being fitted. Raises ValueError in one line for whatever the
    store, the cluster and the fitters refuse; whatever ends a run, units finished before it are kept in the folder.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype: {dtype!r} is not one of {', '.join(DTYPES)}")
    if cluster is None:
        resolve_device(device)
    else:
        from numerics.cluster import check_cluster

        check_cluster(cluster)
    units = sweep.units()
    asked = {"kind": "fit", **sweep.as_json(), "device": device, "dtype": dtype, "threads": threads}
    store = None if folder is None else Store.open(folder, asked)
    missing = {unit.key for unit in units} if store is None else set(store.missing(unit.key for unit in units))
    open_units = [unit for unit in units if unit.key in missing]
    count = _Count(sweep, units, open_units, on_progress)
    found: dict[str, Columns] = {}
    settings = {"device": device, "dtype": dtype, "memory_budget": memory_budget, "threads": threads}
    for unit, columns in _results(sweep, open_units, worker or run_unit, cluster, settings, count):
        if store is None:
            found[unit.key] = columns
        else:
            store.save(unit.key, columns)
        count.finished(unit)
    keys = [unit.key for unit in units]
    table = joined([found[key] for key in keys]) if store is None else store.table(keys)
    order = np.argsort(table.pop("row"))
    table = {name: column[order] for name, column in table.items()}
    if store is not None:
        store.write_table(table)
    return table


def run_unit(
    sweep: Sweep,
    unit: Unit,
    *,
    device: str = "auto",
    dtype: str = "float64",
    memory_budget: int | None = None,
    threads: int = THREADS,
    on_share: Callable[[int, float], None] | None = None,
    fitter: Callable[..., Fits] = fit,
    evaluate: Evaluate | None = None,
) -> Columns:
    """The columns of one unit; `on_share` is called with m and the share of its rows that are fitted.

    Nothing but the labels of the rows enters, their seeds among them: a unit gives equal rows whenever it is run.
    """
    if evaluate is None:
        from numerics.fit_evaluation import evaluate_fits

        evaluate = evaluate_fits
    settings: dict[str, Any] = {} if sweep.steps is None else {"steps": sweep.steps}
    if sweep.mode == "gradient":
        settings["learning_rates"] = [line.learning_rate for line in unit.lines]
        settings |= {"optimizer": unit.lines[0].optimizer, "schedule": sweep.schedule}
        settings["weight_decay"] = sweep.weight_decay
    smaller: list[Fits] = []
    parts: dict[int, Columns] = {}
    settings |= {"device": device, "dtype": DTYPES[dtype], "memory_budget": memory_budget, "threads": threads}
    problem = sweep.problem(unit.lines, min(sweep.m))
    for m in sorted(sweep.m):
        if on_share is not None:
            settings["progress"] = partial(on_share, m)
        fits = fitter(replace(problem, m=m), sweep.mode, warm=smaller, **settings)
        if sweep.mode == "optimal":
            smaller = [*smaller, fits]
        parts[m] = _columns(sweep, unit, fits, evaluate(fits), device)
    return joined([parts[m] for m in sweep.m])


def fitted_model(sweep: Sweep, table: Mapping[str, NDArray[Any]], row: int) -> DiagonalModel:
    """The model of one row of a table. Raises ValueError where its weights are no stable model."""
    m = int(table["m"][row])

    def weights(name: str) -> torch.Tensor:
        return torch.from_numpy(np.array(table[name][row, :m]))

    layer = Layer(weights("w"), weights("U"), weights("omega") if sweep.complex else None)
    f = Reparameterization(str(table["reparam"][row]), sweep.time)
    return DiagonalModel((layer,), weights("c"), f, modes=str(table["modes"][row]), time=sweep.time)


def json_rows(table: Mapping[str, NDArray[Any]]) -> list[dict[str, Any]]:
    """The rows without the weights, as plain values: null for NaN, "inf" for an infinite number."""
    rows = []
    for values in zip(*(column.tolist() for name, column in table.items() if name not in _WEIGHTS), strict=True):
        row = dict(zip((name for name in table if name not in _WEIGHTS), map(_plain, values), strict=True))
        lower, upper = row.pop("decay_lower"), row.pop("decay_upper")
        answer: dict[str, Any] = {}
        for name, value in row.items():
            answer[name] = value
            if name == "margin":
                answer["decay_rate"] = None if lower is None else [lower, upper]
        rows.append(answer)
    return rows


def _plain(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return None if value != value else json_number(value)


def _columns(sweep: Sweep, unit: Unit, fits: Fits, rows: Sequence[Any], device: str) -> Columns:
    lines, m, width = unit.lines, fits.problem.m, max(sweep.m)
    columns: dict[str, Any] = {
        "row": np.array([sweep.row(line, m) for line in lines]),
        "target": np.array([",".join(line.target) for line in lines]),
        "reparam": np.array([line.reparam for line in lines]),
        "modes": np.array([line.modes for line in lines]),
    }
    if sweep.mode == "gradient":
        columns["optimizer"] = np.array([line.optimizer for line in lines])
        columns["learning_rate"] = np.array([line.learning_rate for line in lines], dtype=np.float64)
    columns["m"] = np.full(len(lines), m)
    columns["seed"] = np.array([line.seed for line in lines])
    for name in ("error_l2", "error_w1inf", "rounding", "margin"):
        columns[name] = _numbers([getattr(row, name) for row in rows])
    intervals = [row.decay_rate or (None, None) for row in rows]
    columns["decay_lower"], columns["decay_upper"] = (_numbers(end) for end in zip(*intervals, strict=True))
    for name in ("bound_ratio_min", "ratio_time", "bound_ratio_late", "printed_ratio_min", "finite_up_to"):
        columns[name] = _numbers([getattr(row, name) for row in rows])
    columns["result"] = np.array([result.name.lower() for result in fits.results()])
    for name in ("loss", "steps", "rank", "gradient_over_weight"):
        columns[name] = getattr(fits, name).cpu().numpy()
    columns["device"] = np.full(len(lines), str(resolve_device(device)))
    for name in _WEIGHTS:
        weights = getattr(fits, name)
        columns[name] = np.zeros((len(lines), 0)) if weights is None else _filled_up(weights.cpu().numpy(), width)
    return columns


def _numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _filled_up(weights: NDArray[Any], width: int) -> NDArray[Any]:
    """(B, m, ...) with NaN after the last mode, up to the width."""
    full = np.full((len(weights), width, *weights.shape[2:]), np.nan, dtype=weights.dtype)
    full[:, : weights.shape[1]] = weights
    return full


class _Count:
    """Counts fits for the progress: what the folder held already, and each m of a unit as it is finished."""

    def __init__(self, sweep: Sweep, units: Sequence[Unit], missing: Sequence[Unit], report: Progress | None) -> None:
        self._total, self._report, self._sizes = sweep.size, report, sorted(sweep.m)
        open_fits = len(self._sizes) * sum(len(unit.lines) for unit in missing)
        self._done, self._within = self._total - open_fits, 0
        self._units = len(units)
        self._say("")

    def share(self, unit: Unit, m: int, share: float) -> None:
        """So much of the fits of one m is done; those with smaller m before it."""
        self._within = int(len(unit.lines) * (self._sizes.index(m) + share))
        self._say(f"{unit.key} of {self._units}, m={m}")

    def finished(self, unit: Unit) -> None:
        self._done, self._within = self._done + len(self._sizes) * len(unit.lines), 0
        self._say(f"{unit.key} of {self._units}")

    def _say(self, label: str) -> None:
        if self._report is not None:
            self._report(self._done + self._within, self._total, label)


def _results(
    sweep: Sweep,
    units: Sequence[Unit],
    worker: Callable[..., Columns],
    cluster: str | None,
    settings: Mapping[str, Any],
    count: _Count,
) -> Iterator[tuple[Unit, Columns]]:
    if cluster is not None and units:
        from numerics.cluster import run_on_cluster

        yield from run_on_cluster(cluster, worker, sweep, units, settings)
        return
    for unit in units:
        yield unit, worker(sweep, unit, on_share=partial(count.share, unit), **settings)
