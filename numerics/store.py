"""The results store: a folder in which a long computation keeps every finished chunk, and goes on after a kill.

    settings.json      what was asked, the format, the versions of the libraries, when it was created
    chunks/KEY.npz     the columns of one finished chunk: arrays with one entry (or one sub-array) a row
    table.csv          the columns of numbers and texts of all chunks, written at the end

Why plain .npz and CSV: NumPy alone reads and writes them; nothing is unpickled, so that a file from elsewhere can run
no code; pandas, xarray and a spreadsheet open table.csv as it is. Every file is written beside its place, flushed to
the disk and then renamed, so that a killed run loses what was not finished and nothing else. Every chunk carries a
SHA-256 of its key, of the settings and of its columns: a damaged file, or one of another folder, is computed again.
Two processes in one folder may do the same work twice; the files they leave are whole, and those of one of them.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import os
import re
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numerics.arguments import shown, shown_path

FORMAT = 1
LIBRARIES = ("stablessm", "torch", "numpy", "scipy")
"""Whose versions decide whether a folder can be gone on with: their numbers may differ in the last digits."""
Columns = dict[str, NDArray[Any]]

_SETTINGS, _CHUNKS, _TABLE, _CHECKSUM = "settings.json", "chunks", "table.csv", "sha256"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_LEFT_BEHIND = 3600.0
"""Seconds after which a temporary file is that of a killed process, and removed."""


def library_versions() -> dict[str, str]:
    """The versions of the libraries that the numbers come from."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@dataclass(frozen=True)
class Store:
    """An open results folder; `settings` is the content of its settings.json."""

    folder: Path
    settings: Mapping[str, Any]

    @classmethod
    def open(cls, folder: str | os.PathLike[str], asked: Mapping[str, Any]) -> Store:
        """The store for what is asked (plain JSON values): a new folder, or one that was begun with the same.

        Raises ValueError, in one line: the folder was begun with other settings (naming them and both values), by
        another format or version; it holds files that are no store's; it cannot be written.
        """
        place = Path(folder)
        wanted = {"format": FORMAT, "versions": library_versions(), "asked": json.loads(json.dumps(asked))}
        try:
            place.mkdir(parents=True, exist_ok=True)
            if not (place / _SETTINGS).exists():
                _refuse_foreign(place)
                created = datetime.now(UTC).isoformat(timespec="seconds")
                content = json.dumps({**wanted, "created": created}, indent=1, allow_nan=False)
                write_whole(place / _SETTINGS, lambda part: part.write(content.encode()), replace=False)
            store = cls.read(place)
            (place / _CHUNKS).mkdir(exist_ok=True)
            _probe(place / _CHUNKS)
        except OSError as error:
            raise ValueError(f"{shown_path(place)}: cannot be written: {error.strerror or error}") from None
        difference = _difference({key: store.settings[key] for key in wanted}, wanted)
        if difference is not None:
            name, there, here = difference
            raise ValueError(
                f"{shown_path(place)}: begun with {name} {_value(there)}, asked for is {_value(here)}; "
                "use another folder"
            )
        return store

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> Store:
        """An existing store, whatever was asked for it. Raises ValueError where there is none, or of another format."""
        path = Path(folder) / _SETTINGS
        try:
            settings = json.loads(path.read_bytes().decode("utf-8"))
        except OSError as error:
            raise ValueError(f"{shown_path(path)}: cannot be read: {error.strerror or error}") from None
        except ValueError:
            settings = None
        if not isinstance(settings, dict) or not {"format", "versions", "asked"} <= set(settings):
            raise ValueError(f"{shown_path(path)}: is not the settings file of a results folder; use another folder")
        if settings["format"] != FORMAT:
            raise ValueError(f"{shown_path(path)}: has format {shown(settings['format'])}, this version reads {FORMAT}")
        return cls(Path(folder), settings)

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Those of the keys whose chunk is not there, or damaged; of damaged ones a warning says how many."""
        absent, damaged = [], []
        for key in keys:
            if not self._path(key).exists():
                absent.append(key)
            elif self._columns(key) is None:
                absent.append(key)
                damaged.append(self._path(key).name)
        if damaged:
            what = f"{damaged[0]} is" if len(damaged) == 1 else f"{damaged[0]} and {len(damaged) - 1} more are"
            warnings.warn(f"{shown_path(self.folder)}: {what} damaged and will be computed again", stacklevel=2)
        return absent

    def __contains__(self, key: str) -> bool:
        """Is there a whole chunk of this key?"""
        return self._path(key).exists() and self._columns(key) is not None

    def save(self, key: str, columns: Mapping[str, NDArray[Any]]) -> None:
        """Keeps a finished chunk: arrays of numbers or texts, all with the same number of rows on their first axis.

        Raises ValueError where the columns do not fit together, or the chunk cannot be written (a full disk among it);
        what was kept before stays.
        """
        arrays = {name: _plain(name, column) for name, column in columns.items()}
        if len({len(array) for array in arrays.values()}) > 1:
            sizes = ", ".join(f"{name} {len(array)}" for name, array in arrays.items())
            raise ValueError(f"columns: they differ in their number of rows: {sizes}")
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **{_CHECKSUM: np.array(self._sum(key, arrays))}, **arrays)
        keep_file(self._path(key), lambda part: part.write(buffer.getbuffer()))

    def load(self, key: str) -> Columns:
        """The columns of one chunk. Raises ValueError where it is missing or damaged."""
        columns = self._columns(key) if self._path(key).exists() else None
        if columns is None:
            raise ValueError(f"{shown_path(self._path(key))}: the chunk is missing or damaged")
        return columns

    def table(self, keys: Sequence[str]) -> Columns:
        """The chunks put together, row below row, in the order of the keys."""
        return joined([self.load(key) for key in keys])

    def write_table(self, columns: Mapping[str, NDArray[Any]]) -> Path:
        """Writes those columns that have one number or text a row to table.csv, floats with all their digits."""
        names = [name for name, column in columns.items() if column.ndim == 1 and column.dtype.kind != "c"]
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(zip(*(columns[name].tolist() for name in names), strict=True))
        path = self.folder / _TABLE
        keep_file(path, lambda part: part.write(text.getvalue().encode()))
        return path

    def _path(self, key: str) -> Path:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", key):
            raise ValueError(f"key: letters, digits and any of _ . - are needed, got {shown(key)!r}")
        return self.folder / _CHUNKS / f"{key}.npz"

    def _columns(self, key: str) -> Columns | None:
        """The columns of a chunk that is there; None where it is damaged."""
        try:
            content = self._path(key).read_bytes()
        except OSError as error:
            raise ValueError(f"{shown_path(self._path(key))}: cannot be read: {error.strerror or error}") from None
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                columns = {name: arrays[name] for name in arrays.files}
            checksum = str(columns.pop(_CHECKSUM))
        except Exception:  # damaged bytes make zipfile, zlib and NumPy raise almost anything
            return None
        return columns if checksum == self._sum(key, columns) else None

    def _sum(self, key: str, columns: Mapping[str, NDArray[Any]]) -> str:
        about = {name: self.settings[name] for name in ("format", "versions", "asked")}
        digest = hashlib.sha256(json.dumps([key, about], sort_keys=True).encode())
        for name in sorted(columns):
            column = np.ascontiguousarray(columns[name])
            digest.update(json.dumps([name, column.dtype.str, column.shape]).encode())
            digest.update(column.tobytes())
        return digest.hexdigest()


def keep_file(path: Path, write: Callable[[io.BufferedWriter], object]) -> None:
    """Writes a file of a results folder. Raises ValueError, in one line, where it cannot; an older file stays then."""
    try:
        write_whole(path, write)
    except OSError as error:
        reason = "the disk is full" if error.errno in _FULL else error.strerror or str(error)
        raise ValueError(
            f"{shown_path(path)}: cannot be written: {reason}; the chunks finished before are kept, the same "
            "command goes on from there"
        ) from None


def write_file(path: Path, content: bytes) -> Path:
    """Writes a file as a whole, in a folder that is made where there is none. Raises ValueError where that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, lambda part: part.write(content))
    except OSError as error:
        raise ValueError(f"{shown_path(path)}: cannot be written: {error.strerror or error}") from None
    return path


def joined(chunks: Sequence[Mapping[str, NDArray[Any]]]) -> Columns:
    """Chunks with the same columns, row below row. Raises ValueError where their columns differ."""
    if not chunks:
        raise ValueError("chunks: at least one is needed")
    for chunk in chunks:
        if list(chunk) != list(chunks[0]):
            raise ValueError(f"chunks: their columns differ: {', '.join(chunks[0])} and {', '.join(chunk)}")
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _plain(name: str, column: NDArray[Any]) -> NDArray[Any]:
    array = np.asarray(column)
    if array.dtype.kind not in "biufcU" or not array.ndim or name == _CHECKSUM:
        raise ValueError(f"columns: {name}: an array of numbers or texts is needed, got {array.dtype} {array.shape}")
    return array


def write_whole(path: Path, write: Callable[[io.BufferedWriter], object], replace: bool = True) -> None:
    """Writes beside the path, to the disk, then gives the file its name; without `replace` an older file stays."""
    part = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.part")
    try:
        with open(part, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(part, path)
        else:
            _link(part, path)
        _sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _link(part: Path, path: Path) -> None:
    """Names the file where no file of that name is there: of two processes that begin, the first decides."""
    try:
        os.link(part, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        os.replace(part, path)


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # not every system opens folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _probe(folder: Path) -> None:
    """Fails now where nothing can be written, and clears away what killed processes left half-written."""
    write_whole(folder / "probe", lambda part: part.write(b""))
    (folder / "probe").unlink(missing_ok=True)
    for part in (*folder.glob(".*.part"), *folder.parent.glob(".*.part")):
        with suppress(OSError):  # another process may have removed it
            if time.time() - part.stat().st_mtime > _LEFT_BEHIND:
                part.unlink()


def _refuse_foreign(folder: Path) -> None:
    foreign = sorted(path.name for path in folder.iterdir() if not path.name.endswith(".part"))
    if foreign and not (folder / _SETTINGS).exists():
        raise ValueError(
            f"{shown_path(folder)}: holds files that are not of a results folder, such as {shown(foreign[0])!r}; "
            "use a new folder"
        )


def _difference(there: Any, here: Any, name: str = "") -> tuple[str, Any, Any] | None:
    """The first place where two settings differ, with both values; a name that only one of them has is None there."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in dict.fromkeys((*here, *there)):
            label = f"{name} {key}" if name == "versions" else key
            found = _difference(there.get(key), here.get(key), label)
            if found is not None:
                return found
        return None
    return None if there == here else (name.removeprefix("versions "), there, here)


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return f"{len(value)} values from {text[1:20]}…" if isinstance(value, list) and len(text) > 60 else shown(text)
