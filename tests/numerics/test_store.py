"""The results store: nothing finished is lost, nothing damaged is believed, nothing foreign is touched."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numerics import store as store_module
from numerics.store import Columns, Store, joined, library_versions, write_file

ROOT = Path(__file__).parent.parent.parent
ASKED = {"kind": "test", "m": [4, 8], "horizon": "inf", "target": ["polynomial:p=1.5"]}


def columns(start: int = 0, rows: int = 3) -> Columns:
    x = np.arange(start, start + rows)
    return {
        "seed": x,
        "name": np.array([f"ρ, {i}" for i in x]),
        "value": np.where(x % 2 == 0, x / 3.0, np.nan),
        "c": (x[:, None] + 1j * np.arange(2)).astype(complex),
        "good": x % 2 == 0,
    }


def same(left: Columns, right: Columns) -> bool:
    return list(left) == list(right) and all(
        left[name].dtype == right[name].dtype and left[name].tobytes() == right[name].tobytes() for name in left
    )


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_what_is_saved_is_read_back_bit_by_bit(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    store = Store.open(folder, ASKED)
    assert store.missing(["x", "y"]) == ["x", "y"]
    given = columns()
    kept = {name: column.copy() for name, column in given.items()}
    store.save("x", given)
    assert same(given, kept)
    assert same(store.load("x"), given)
    again = Store.open(folder, ASKED)
    assert again.missing(["x", "y"]) == ["y"]
    assert ("x" in again, "y" in again) == (True, False)
    again.save("y", columns(3))
    assert same(again.table(["x", "y"]), {**columns(0, 6), "name": np.array([f"ρ, {i}" for i in range(6)])})
    assert files(folder) == ["chunks/x.npz", "chunks/y.npz", "settings.json"]


def test_settings_say_what_made_the_numbers(tmp_path: Path) -> None:
    store = Store.open(tmp_path, ASKED)
    settings = json.loads((tmp_path / "settings.json").read_text())
    assert settings == store.settings
    assert settings["asked"] == ASKED
    assert settings["versions"] == library_versions()
    assert settings["versions"]["numpy"] == np.__version__
    assert set(settings) == {"format", "versions", "asked", "created"}
    assert Store.read(tmp_path).settings == settings


def test_table_csv_holds_one_cell_a_column(tmp_path: Path) -> None:
    path = Store.open(tmp_path, ASKED).write_table(columns())
    rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    assert rows[0] == ["seed", "name", "value", "good"]
    assert rows[2] == ["1", "ρ, 1", "nan", "False"]
    assert [float(row[2]) for row in rows[1::2]] == [0.0, 2 / 3.0]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"m": [4, 16]}, "begun with m [4, 8], asked for is [4, 16]"),
        ({"horizon": 3.0}, "begun with horizon inf, asked for is 3.0"),
        ({"m": list(range(99))}, "begun with m [4, 8], asked for is 99 values from 0, 1, 2, 3, 4, 5, 6…"),
        ({"extra": 1}, "begun with extra null, asked for is 1"),
    ],
)
def test_other_settings_are_refused_by_name(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    Store.open(tmp_path, ASKED).save("x", columns())
    with pytest.raises(ValueError, match="use another folder") as caught:
        Store.open(tmp_path, {**ASKED, **changed})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert same(Store.open(tmp_path, ASKED).load("x"), columns())


def test_another_version_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store.open(tmp_path, ASKED)
    newer = {**library_versions(), "torch": "99.1"}
    monkeypatch.setattr(store_module, "library_versions", lambda: newer)
    with pytest.raises(ValueError, match=r"begun with torch \d.*, asked for is 99\.1; use another folder"):
        Store.open(tmp_path, ASKED)


def test_another_format_is_refused(tmp_path: Path) -> None:
    Store.open(tmp_path, ASKED)
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 7}))
    for use in (lambda: Store.open(tmp_path, ASKED), lambda: Store.read(tmp_path)):
        with pytest.raises(ValueError, match="has format 7, this version reads 1"):
            use()


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"asked": 1}', "\xff\xfe"])
def test_settings_that_are_none_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "settings.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match="is not the settings file of a results folder"):
        Store.open(tmp_path, ASKED)
    assert (tmp_path / "settings.json").read_bytes() == content.encode("latin-1")


def test_foreign_files_are_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match=r"holds files that are not of a results folder, such as 'thesis\.tex'"):
        Store.open(tmp_path, ASKED)
    assert files(tmp_path) == ["thesis.tex"]


def test_files_beside_a_store_are_left_alone(tmp_path: Path) -> None:
    Store.open(tmp_path, ASKED)
    (tmp_path / "notes.txt").write_text("mine")
    Store.open(tmp_path, ASKED)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("below", ["file", "file/deeper", "\0"])
def test_an_impossible_folder_is_one_line(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"cannot be written|null") as caught:
        Store.open(tmp_path / below, ASKED)
    assert "\n" not in str(caught.value)


def test_a_folder_without_permission_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(store_module, "write_whole", refuse)
    with pytest.raises(ValueError, match="cannot be written: Permission denied"):
        Store.open(tmp_path, ASKED)


def test_no_store_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"settings\.json: cannot be read: No such file"):
        Store.read(tmp_path)


def test_every_damaged_byte_is_noticed(tmp_path: Path) -> None:
    """Whatever single byte is wrong or however many are missing, the columns are right or the chunk is missing."""
    store = Store.open(tmp_path, ASKED)
    store.save("x", columns())
    path = tmp_path / "chunks" / "x.npz"
    whole = path.read_bytes()
    believed = 0
    for position in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[position] ^= 0x41
        path.write_bytes(damaged)
        found = store._columns("x")
        believed += found is not None
        assert found is None or same(found, columns())
    assert believed < len(whole) / 6  # those in time stamps and the like, which carry nothing
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        assert store._columns("x") is None


def test_damage_is_said_once_and_repaired(tmp_path: Path) -> None:
    store = Store.open(tmp_path, ASKED)
    for key in "xyz":
        store.save(key, columns())
    for key in "xy":
        (tmp_path / "chunks" / f"{key}.npz").write_bytes(b"rubbish")
    with pytest.warns(UserWarning, match=r"x\.npz and 1 more are damaged and will be computed again") as said:
        assert store.missing("wxyz") == ["w", "x", "y"]
    assert len(said) == 1
    with pytest.raises(ValueError, match=r"x\.npz: the chunk is missing or damaged"):
        store.load("x")
    for key in "xy":
        store.save(key, columns())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.missing("xyz") == []


def test_a_chunk_of_another_folder_or_key_is_not_believed(tmp_path: Path) -> None:
    first, second = Store.open(tmp_path / "a", ASKED), Store.open(tmp_path / "b", {**ASKED, "m": [4]})
    first.save("x", columns())
    content = (tmp_path / "a" / "chunks" / "x.npz").read_bytes()
    (tmp_path / "b" / "chunks" / "x.npz").write_bytes(content)
    (tmp_path / "a" / "chunks" / "y.npz").write_bytes(content)
    assert ("x" in first, "y" in first, "x" in second) == (True, False, False)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line_and_keeps_what_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    store = Store.open(tmp_path, ASKED)
    store.save("x", columns())

    def full(_: int) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for work in (lambda: store.save("y", columns()), lambda: store.write_table(columns())):
            with pytest.raises(ValueError, match="the disk is full; the chunks finished before are kept") as caught:
                work()
            assert "\n" not in str(caught.value)
    assert files(tmp_path) == ["chunks/x.npz", "settings.json"]
    assert store.missing(["x", "y"]) == ["y"]


@pytest.mark.parametrize("key", ["", "a/b", "../x", ".hidden", "ü", "x" * 101])
def test_keys_stay_in_the_folder(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="key: letters, digits"):
        Store.open(tmp_path, ASKED).save(key, columns())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"a": np.zeros(2), "b": np.zeros(3)}, "differ in their number of rows: a 2, b 3"),
        ({"a": np.array([object()])}, "an array of numbers or texts is needed"),
        ({"a": np.float64(1)}, "an array of numbers or texts is needed"),
        ({"sha256": np.zeros(2)}, "sha256"),
    ],
)
def test_columns_that_are_no_table_are_refused(tmp_path: Path, wrong: Columns, words: str) -> None:
    store = Store.open(tmp_path, ASKED)
    with pytest.raises(ValueError, match=words):
        store.save("x", wrong)
    assert store.missing(["x"]) == ["x"]


def test_chunks_with_other_columns_are_not_joined() -> None:
    with pytest.raises(ValueError, match="their columns differ: a and b"):
        joined([{"a": np.zeros(1)}, {"b": np.zeros(1)}])
    with pytest.raises(ValueError, match="at least one"):
        joined([])


def test_old_temporary_files_go_and_new_ones_stay(tmp_path: Path) -> None:
    Store.open(tmp_path, ASKED)
    old, new = tmp_path / "chunks" / ".x.npz.1.aa.part", tmp_path / "chunks" / ".x.npz.2.bb.part"
    for part in (old, new):
        part.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    Store.open(tmp_path, ASKED)
    assert (old.exists(), new.exists()) == (False, True)


WRITER = """
import sys
import numpy as np
from numerics.store import Store
store = Store.open(sys.argv[1], {"kind": "race"})
print("open", flush=True)
for number in range(int(sys.argv[2])):
    noise = np.random.default_rng(number % 7).random(20_000)
    store.save(f"unit-{number % 7}", {"x": np.full(20_000, number % 7), "y": noise})
"""


def writer(folder: Path, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_two_processes_leave_whole_files(tmp_path: Path) -> None:
    processes = [writer(tmp_path, 30) for _ in range(2)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    store = Store.open(tmp_path, {"kind": "race"})
    assert store.missing([f"unit-{number}" for number in range(7)]) == []
    assert [int(store.load(f"unit-{number}")["x"][0]) for number in range(7)] == list(range(7))
    assert not [name for name in files(tmp_path) if name.endswith(".part")]


def test_of_two_beginners_the_first_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder begun by another process between our look and our write keeps the other's settings."""
    refuse = store_module._refuse_foreign

    def overtaken(folder: Path) -> None:
        refuse(folder)
        monkeypatch.setattr(store_module, "_refuse_foreign", refuse)
        Store.open(folder, {**ASKED, "m": [2]})

    monkeypatch.setattr(store_module, "_refuse_foreign", overtaken)
    with pytest.raises(ValueError, match=r"begun with m \[2\], asked for is \[4, 8\]"):
        Store.open(tmp_path, ASKED)
    assert Store.read(tmp_path).settings["asked"]["m"] == [2]


def test_a_killed_process_leaves_only_whole_chunks(tmp_path: Path) -> None:
    process = writer(tmp_path, 100_000)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    store = Store.open(tmp_path, {"kind": "race"})
    kept = [path.stem for path in (tmp_path / "chunks").glob("unit-*.npz")]
    assert kept
    assert store.missing(kept) == []


def test_a_place_that_cannot_be_written_is_one_line() -> None:
    with pytest.raises(ValueError, match=r"^/dev/null/x/y\.csv: cannot be written: Not a directory$"):
        write_file(Path("/dev/null/x/y.csv"), b"")


def test_a_folder_is_made_for_a_file(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a" / "b" / "c.txt", b"old")
    assert write_file(path, b"new").read_bytes() == b"new"
    assert [file.name for file in path.parent.iterdir()] == ["c.txt"]
