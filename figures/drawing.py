"""Figures computed, kept and written: in parallel, and not again where the same code has the same data already.

NAME.json           the data with all digits, and the settings they were computed with
NAME.txt            title, caption and finding
NAME.pdf .svg .png  the picture
NAME.tex .md .csv   the tables
work/               finished parts of long computations
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from figures.figure import KINDS, LEVELS, FigureKind, Finding, Kept, data_path, figure_kind, load, save
from figures.style import FORMATS, figure_contents, new_figure, style
from figures.table_files import TABLE_FORMATS, table_contents
from numerics.arguments import check_choice, shown, shown_path
from numerics.cores import usable_cores
from numerics.store import library_versions, write_file
from proofs_check.ledger import versions
from proofs_check.report import check_writable
from proofs_check.worker import end_with_parent

ALL_FORMATS = (*FORMATS, *TABLE_FORMATS)
ROOMS = ("theory", "numerics", "proofs_check", "figures")

OnFigure = Callable[[int, int, str], None]
"""Called with the numbers of finished and of all figures and the names of those in work."""


@dataclass(frozen=True)
class Drawn:
    """A figure whose files are written; computed: now, and not taken from data that were there."""

    name: str
    caption: str
    finding: Finding
    settings: Mapping[str, Any]
    files: tuple[Path, ...]
    computed: bool
    seconds: float

    def as_json(self) -> dict[str, Any]:
        kind = figure_kind(self.name)
        return {
            "name": self.name,
            "title": kind.title,
            "verdict": self.finding.verdict.name,
            "finding": self.finding.reason,
            "caption": self.caption,
            "claims": list(kind.claims),
            "settings": dict(self.settings),
            "files": [str(path) for path in self.files],
            "computed": self.computed,
            "seconds": round(self.seconds, 3),
        }


def chosen(names: Sequence[str]) -> list[str]:
    """The figures of these names, or all of them without names or for "all". ValueError for unknown ones."""
    for name in names:
        if name != "all":
            figure_kind(name)
    return [name for name in KINDS if not names or "all" in names or name in names]


def draw_figures(
    names: Sequence[str],
    folder: Path,
    *,
    level: str = "quick",
    seed: int = 0,
    formats: Sequence[str] = ALL_FORMATS,
    redraw: bool = False,
    jobs: int | None = None,
    on_figure: OnFigure | None = None,
) -> list[Drawn]:
    """Writes the figures into the folder, each in a worker process; `redraw` draws data that are there as they are.

    Raises ValueError for an unknown name, level or format, for a folder that cannot be written or (redraw) lacks the
    data; and, once all others are written, for figures that could not be computed, such as for a missing package.
    """
    wanted = chosen(names)
    check_choice("level", level, LEVELS)
    for item in formats:
        check_choice("format", item, ALL_FORMATS)
    if not any(item in _ends(figure_kind(name)) for item in formats for name in wanted):
        ends = ", ".join(_ends(figure_kind(wanted[0])))
        raise ValueError(f"format: {wanted[0]} is written as {ends}, not as {', '.join(formats)}")
    files = [f"{name}.{end}" for name in wanted for end in ("json", "txt", *formats)]
    check_writable(folder, files)
    task = _Task(folder, None if redraw else settings(level, seed), tuple(formats))
    if redraw:
        kept_figures(folder, wanted)
    found: dict[str, Drawn] = {}
    errors: dict[str, list[str]] = {}
    together, alone = _groups(wanted)
    with _ended_by_sigterm():
        for groups, size in ((together, jobs or usable_cores()), (alone, 1)):
            for name, outcome in _run(task, groups, size):
                if isinstance(outcome, Drawn):
                    found[name] = outcome
                else:
                    errors.setdefault(outcome, []).append(name)
                if on_figure is not None:
                    left = [other for other in wanted if other not in found]
                    on_figure(len(wanted) - len(left), len(wanted), ", ".join(left))
    if errors:
        reasons = [f"{', '.join(names)}: {reason}" for reason, names in errors.items()]
        others = "1 other figure is" if len(found) == 1 else f"{len(found)} other figures are"
        raise ValueError("; ".join(reasons) + (f"; {others} written" if found else ""))
    return [found[name] for name in wanted]


def _ends(kind: FigureKind[Any]) -> tuple[str, ...]:
    """The formats that a figure is written in."""
    return (*(FORMATS if kind.is_picture else ()), *(TABLE_FORMATS if kind.has_tables else ()))


def settings(level: str, seed: int) -> dict[str, Any]:
    """What data depend on: level, seed, and the versions of this code (a hash of its files) and of the libraries."""
    return {"level": level, "seed": seed, "code": _code(), "versions": {**versions(), **library_versions()}}


@cache
def _code() -> str:
    """SHA-256 of all modules that a number may depend on."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(path for room in ROOMS for path in (root / room).rglob("*") if path.suffix in (".py", ".csv")):
        name = path.relative_to(root).as_posix()
        if not name.startswith("figures/demos/"):
            digest.update(f"{name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _groups(names: Sequence[str]) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Figures of which each group is made by one worker, one after another; and those that want the machine alone."""
    groups: dict[str, list[str]] = {}
    alone: list[tuple[str, ...]] = []
    for name in names:
        kind = figure_kind(name)
        if kind.alone:
            alone.append((name,))
        else:
            groups.setdefault(kind.shares or name, []).append(name)
    # what shares a long computation begins first, so that the short ones fill the other workers meanwhile
    return [tuple(group) for _, group in sorted(groups.items(), key=lambda item: -len(item[1]))], alone


# In worker processes


@dataclass(frozen=True)
class _Task:
    """What is made of each figure; wanted: the settings to compute with, None to draw what is there."""

    folder: Path
    wanted: Mapping[str, Any] | None
    formats: tuple[str, ...]


Outcome = Drawn | str
"""A figure, or why it could not be made."""


def _run(task: _Task, groups: Sequence[tuple[str, ...]], size: int) -> Iterator[tuple[str, Outcome]]:
    """Makes the groups in `size` processes and gives each figure as its group is finished."""
    if not groups:
        return
    with _workers(min(size, len(groups))) as pool:
        futures: dict[Future[list[tuple[str, Outcome]]], tuple[str, ...]] = {
            pool.submit(_make_group, task, group): group for group in groups
        }
        for future in as_completed(futures):
            try:
                yield from future.result()
            except BrokenProcessPool:
                for name in futures[future]:
                    yield name, "its worker process died, or another one; perhaps memory ran out"


@contextmanager
def _workers(size: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with the block, at once where it is left by an interruption."""
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(size, multiprocessing.get_context("spawn"), initializer=_begin)
    try:
        yield pool
    except BaseException:
        for process in set(multiprocessing.active_children()) - before:
            process.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


class _Terminated(BaseException):
    """SIGTERM came."""


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the workers first, as an interruption does, and then this process."""
    if threading.current_thread() is not threading.main_thread():  # others receive no signals
        yield
        return

    def stop(*_: object) -> None:
        raise _Terminated

    previous = signal.signal(signal.SIGTERM, stop)
    terminated = False
    try:
        yield
    except _Terminated:
        terminated = True
    finally:
        signal.signal(signal.SIGTERM, previous)
    if terminated:
        os.kill(os.getpid(), signal.SIGTERM)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its workers itself
    end_with_parent()
    os.environ["OMP_NUM_THREADS"] = "1"


def _make_group(task: _Task, names: Sequence[str]) -> list[tuple[str, Outcome]]:
    outcomes: list[tuple[str, Outcome]] = []
    for name in names:
        try:
            outcomes.append((name, _make(task, figure_kind(name))))
        except ValueError as error:
            outcomes.append((name, str(error)))
    return outcomes


def _make(task: _Task, kind: FigureKind[Any]) -> Drawn:
    begun = time.perf_counter()
    kept = _kept(task, kind)
    computed = kept is None
    if kept is None:
        assert task.wanted is not None
        asked = dict(task.wanted)
        work = task.folder / "work" / hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]
        kept = Kept(asked, kind.compute(asked["level"], seed=asked["seed"], folder=work))
        save(kind, kept, task.folder)
    try:
        caption, finding = kind.caption(kept.data), kind.finding(kept.data)
        files = contents(kind, kept.data, task.formats)
    except Exception as error:
        if computed:
            raise
        path = shown_path(data_path(task.folder, kind.name))
        reason = f"{type(error).__name__}: {shown(error)}"
        raise ValueError(
            f"{path}: {kind.name} cannot be drawn from these data ({reason}); remove the file to compute them again"
        ) from None
    written = (write_file(task.folder / name, content) for name, content in files.items())
    paths = (data_path(task.folder, kind.name), *written)
    return Drawn(kind.name, caption, finding, kept.settings, paths, computed, time.perf_counter() - begun)


def _kept(task: _Task, kind: FigureKind[Any]) -> Kept[Any] | None:
    """The data that are there: any to redraw, else only those of the settings that are wanted."""
    if task.wanted is None:
        return load(kind, task.folder)
    try:
        kept = load(kind, task.folder)
    except ValueError:
        return None
    return kept if kept.settings == task.wanted else None


# What is written


def contents(kind: FigureKind[Any], data: Any, formats: Sequence[str] = ALL_FORMATS) -> dict[str, bytes]:
    """Caption, picture and tables of a figure, by the names of their files."""
    found = {f"{kind.name}.txt": f"{kind.title}. {told(kind, data)}\n".encode()}
    if kind.size is not None and kind.draw is not None:
        with style():
            picture = new_figure(*kind.size(data))
            kind.draw(data, picture)
        found |= figure_contents(picture, kind.name, [item for item in formats if item in FORMATS])
    for table in kind.tables(data):
        found |= table_contents(table, [item for item in formats if item in TABLE_FORMATS])
    return found


def told(kind: FigureKind[Any], data: Any) -> str:
    """The caption with the finding behind it."""
    finding = kind.finding(data)
    return f"{kind.caption(data)} {finding.verdict.name}: {finding.reason}"


def kept_figures(folder: Path, names: Sequence[str] = ()) -> list[tuple[FigureKind[Any], Kept[Any]]]:
    """The figures with the data that are in the folder. Raises ValueError where they are missing or damaged."""
    kinds = [figure_kind(name) for name in chosen(names)]
    return [(kind, load(kind, folder)) for kind in kinds]
