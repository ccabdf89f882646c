"""Files of a training table: checkpoints of units in safetensors, and the columns of finished units.

    DIR/checkpoints/KEY.safetensors   where the rows of a unit are, or ended: `weights.NAME` (R, ...) for each weight
                                      and buffer of SequenceModel, `curves.NAME` (R, ...), `state.NAME`, what the
                                      optimizer needs to go on by the same numbers, as long as there are steps left
    DIR/chunks/KEY.npz                the records of a finished unit (numerics.store)

The metadata of a checkpoint say whose it is: the sizes, the runs, the step, what was asked of the table, the versions
of the libraries; and they hold a SHA-256 of all that and of the tensors. Files are read without unpickling; they are
written beside their place and then renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from numerics.arguments import check_count, shown, shown_path
from numerics.layers import LayerKind, ModelShape, SequenceModel
from numerics.reparameterization import Reparameterization
from numerics.store import Columns, keep_file
from numerics.training_table import NUMBERS, PER_EPOCH, PER_STEP, Run, RunRecord, TrainingTable, variant_name

FORMAT = "stablessm training 1"
CHECKPOINTS = "checkpoints"
"""The folder of them within a results folder."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The rows of a unit after `step` steps; tensors are on the CPU.

    asked: what decides the numbers, as plain values; weights: by their names in SequenceModel, (R, ...), buffers among
    them; state: what the walk of the optimizer needs besides, empty where the unit is finished; curves (R, ...).
    """

    shape: ModelShape
    runs: tuple[Run, ...]
    asked: Mapping[str, Any]
    step: int
    weights: Mapping[str, Tensor]
    state: Mapping[str, Tensor]
    curves: Mapping[str, Tensor]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes the file whole or not at all. Raises ValueError where it cannot be written."""
    from safetensors.torch import save

    tensors = {
        f"{group}.{name}": x.detach().cpu().contiguous()
        for group in ("weights", "state", "curves")
        for name, x in getattr(checkpoint, group).items()
    }
    metadata = {
        "format": FORMAT,
        "shape": json.dumps(asdict(checkpoint.shape)),
        "runs": json.dumps([run.as_json() for run in checkpoint.runs]),
        "step": str(checkpoint.step),
        "asked": json.dumps(checkpoint.asked, sort_keys=True),
    }
    content = save(tensors, {**metadata, "sha256": _checksum(metadata, tensors)})
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise ValueError(f"{shown_path(path.parent)}: cannot be made: {error.strerror or error}") from None
    keep_file(path, lambda part: part.write(content))


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Raises ValueError, in one line, for a file that is missing, damaged or no checkpoint."""
    place = Path(path)
    try:
        with open(place, "rb"):
            pass
    except OSError as error:
        raise ValueError(f"{shown_path(place)}: cannot be read: {error.strerror or error}") from None
    try:
        metadata, tensors = _content(place)
    except Exception:  # damaged bytes make safetensors raise almost anything
        raise ValueError(f"{shown_path(place)}: is damaged, or not a safetensors file") from None
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{shown_path(place)}: is not a checkpoint of a training table that this version reads")
    if metadata.pop("sha256", None) != _checksum(metadata, tensors):
        raise ValueError(f"{shown_path(place)}: the checkpoint is damaged: its content is not what its checksum says")
    try:
        sizes = json.loads(metadata["shape"])
        shape = ModelShape(**{**sizes, "step_sizes": tuple(sizes["step_sizes"])})
        runs = tuple(_run(label) for label in json.loads(metadata["runs"]))
        asked, step = json.loads(metadata["asked"]), int(metadata["step"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{shown_path(place)}: is not a checkpoint that this version reads: {error}") from None
    groups: dict[str, dict[str, Tensor]] = {"weights": {}, "state": {}, "curves": {}}
    for name, x in tensors.items():
        group, _, rest = name.partition(".")
        groups.setdefault(group, {})[rest] = x
    return Checkpoint(shape, runs, asked, step, groups["weights"], groups["state"], groups["curves"])


def load_checkpoint(
    path: str | os.PathLike[str], run: Run | int = 0, *, shape: ModelShape | None = None
) -> SequenceModel:
    """The model of one run of a checkpoint, with its weights at the end of training, or as far as it has come.

    `run`: the run, or its place in the file. A run that diverged has the weights of its last good step. `shape`: the
    sizes that the model must have. Raises ValueError, in one line, for a file that is missing, damaged or no
    checkpoint, a run that is not in it, weights that do not fit its sizes, and for other sizes than asked for.
    """
    found, place = read_checkpoint(path), shown_path(Path(path))
    if shape is not None and shape != found.shape:
        name = next(f.name for f in fields(shape) if getattr(shape, f.name) != getattr(found.shape, f.name))
        raise ValueError(
            f"{place}: holds models of {name} {shown(getattr(found.shape, name))}, "
            f"{shown(getattr(shape, name))} is asked for"
        )
    row = _row(found.runs, run, place)
    model = SequenceModel(found.shape, found.runs[row].kind, found.runs[row].seed)
    own = {name: tuple(x.shape) for name, x in model.state_dict().items()}
    given = {name: tuple(x.shape[1:]) for name, x in found.weights.items() if len(x) == len(found.runs)}
    if own != given or len({x.dtype for x in found.weights.values()}) != 1:
        wrong = next((name for name in own if own[name] != given.get(name)), "dtype")
        raise ValueError(f"{place}: its weights do not fit its sizes: {wrong} has another shape or is missing")
    model = model.to(next(iter(found.weights.values())).dtype)
    model.load_state_dict({name: x[row] for name, x in found.weights.items()})
    return model


# Columns of the store


def unit_columns(rows: Sequence[int], records: Sequence[RunRecord]) -> Columns:
    """The columns of a unit whose records are those of such rows of the table."""
    columns: Columns = {
        "row": np.array(rows),
        "column": np.array([variant_name(record.run.kind) for record in records]),
        "learning_rate": np.array([record.run.learning_rate for record in records]),
        "seed": np.array([record.run.seed for record in records]),
        "result": np.array([record.result for record in records]),
        "steps": np.array([record.steps for record in records]),
    }
    columns |= {name: np.array([getattr(record, name) for record in records]) for name in NUMBERS}
    return columns | {
        f"curve_{name}": np.stack([record.curves[name] for record in records]) for name in (*PER_STEP, *PER_EPOCH)
    }


def column_records(table: TrainingTable, columns: Mapping[str, NDArray[Any]]) -> dict[int, RunRecord]:
    """The records by their rows in the table."""
    runs = table.runs
    found = {}
    for i, row in enumerate(columns["row"].tolist()):
        numbers = {name: float(columns[name][i]) for name in NUMBERS}
        curves = {name: columns[f"curve_{name}"][i] for name in (*PER_STEP, *PER_EPOCH)}
        result, steps = str(columns["result"][i]), int(columns["steps"][i])
        found[row] = RunRecord(runs[row], result, steps, curves=curves, **numbers)
    return found


# Content


def _content(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    from safetensors import safe_open

    with safe_open(path, framework="pt", device="cpu") as file:
        return dict(file.metadata() or {}), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def _checksum(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name in sorted(tensors):
        x = tensors[name].numpy()
        digest.update(json.dumps([name, x.dtype.str, x.shape]).encode())
        digest.update(x.tobytes())
    return digest.hexdigest()


def _run(label: Mapping[str, Any]) -> Run:
    kind = LayerKind(Reparameterization(label["reparam"], label["time"]), label["modes"], label["start"])
    return Run(kind, float(label["learning_rate"]), int(label["seed"]))


def _row(runs: Sequence[Run], wanted: Run | int, place: str) -> int:
    if isinstance(wanted, Run):
        labels = [run.as_json() for run in runs]
        if wanted.as_json() in labels:
            return labels.index(wanted.as_json())
        what = f"{variant_name(wanted.kind)}, rate {wanted.learning_rate:g}, seed {wanted.seed}"
        raise ValueError(f"run: {shown(what)}: is not in {place}")
    check_count("run", wanted, 0)
    if wanted >= len(runs):
        raise ValueError(f"run: {shown(wanted)}: {place} has the runs 0 to {len(runs) - 1}")
    return wanted
