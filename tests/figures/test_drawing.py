"""Figures computed, kept and written; every one of them is made once, at the quick level."""

from __future__ import annotations

import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import figures.drawing as drawing
from figures.drawing import ALL_FORMATS, chosen, contents, draw_figures, kept_figures, told
from figures.figure import KINDS, Kept, figure_kind, from_json, load, save, to_json
from figures.style import FORMATS, PAGE, new_figure, style
from figures.table_files import TABLE_FORMATS

ROOT = Path(__file__).parents[2]
TOGETHER, ALONE = drawing._groups(list(KINDS))


@pytest.mark.slow
@pytest.mark.parametrize("group", [*TOGETHER, *ALONE], ids="+".join)
def test_every_figure_is_made_at_the_quick_level(group: tuple[str, ...], tmp_path: Path) -> None:
    for name in group:
        kind = figure_kind(name)
        data = kind.compute("quick", seed=0, folder=tmp_path / "work")
        assert isinstance(data, kind.data)
        again = from_json(kind.data, json.loads(json.dumps(to_json(data), allow_nan=False)))
        assert to_json(again) == to_json(data)
        text = told(kind, data)
        assert kind.finding(data).verdict.name in text
        assert "$" not in text
        assert len(text) > 150, "a caption says what was computed and with what settings"
        files = contents(kind, again)
        ends = {name.rsplit(".", 1)[1] for name in files}
        assert ends >= {"txt"} | (set() if kind.size is None else set(FORMATS))
        assert kind.size is not None or ends >= set(TABLE_FORMATS)
        check_pictures(kind, data, files)


def check_pictures(kind: Any, data: Any, files: Mapping[str, bytes]) -> None:
    """Size as said, fonts inside, no picture of letters, and the same on a part of a page."""
    if kind.size is None:
        return
    width, height = kind.size(data)
    assert width <= PAGE
    png = files[f"{kind.name}.png"]
    assert struct.unpack(">II", png[16:24]) == (pytest.approx(300 * width, abs=1), pytest.approx(300 * height, abs=1))
    pdf = files[f"{kind.name}.pdf"]
    assert b"/FontFile2" in pdf, "the fonts are embedded"
    assert b"/Type3" not in pdf
    svg = files[f"{kind.name}.svg"].decode()
    assert "<text" in svg, "text stays text"
    assert not re.search(r'(href|src)="https?:', svg)
    with style():
        page = new_figure(8.27, 11.69)
        kind.draw(data, page.subfigures())
        page.canvas.draw()


def test_names_are_chosen_in_the_order_of_the_report() -> None:
    assert chosen([]) == chosen(["all"]) == chosen(["modulus", "all"]) == list(KINDS)
    assert chosen(["modulus", "parameterizations", "modulus"]) == ["parameterizations", "modulus"]
    with pytest.raises(ValueError, match="figure 'x': no such figure; allowed: all, "):
        chosen(["modulus", "x"])


def test_what_shares_a_computation_is_made_by_one_worker_and_a_measurement_alone() -> None:
    assert ("gradient-over-weight", "training-loss", "learning-rates") in [
        tuple(name for name in group if name != "table-2") for group in TOGETHER
    ]
    assert ALONE == [("throughput",)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    seen: list[tuple[int, int, str]] = []
    found = draw_figures(["parameterizations"], folder, seed=3, on_figure=lambda *step: seen.append(step))
    assert [figure.name for figure in found] == ["parameterizations"]
    assert found[0].computed
    assert seen[-1] == (1, 1, "")
    assert json.loads(json.dumps(found[0].as_json(), allow_nan=False))["settings"]["seed"] == 3
    return folder


def test_data_are_kept_with_their_settings_and_not_computed_again(made: Path) -> None:
    path = made / "parameterizations.json"
    before = path.stat().st_mtime_ns
    assert not draw_figures(["parameterizations"], made, seed=3)[0].computed
    assert path.stat().st_mtime_ns == before
    assert load(figure_kind("parameterizations"), made).settings == drawing.settings("quick", 3)
    assert {"python", "torch", "numpy", "sympy"} <= set(drawing.settings("quick", 3)["versions"])


def test_a_picture_is_drawn_again_from_any_data(made: Path, tmp_path: Path) -> None:
    kind = figure_kind("parameterizations")
    kept = load(kind, made)
    save(kind, Kept({**kept.settings, "code": "older", "level": "full"}, kept.data), tmp_path)
    (found,) = draw_figures(["parameterizations"], tmp_path, formats=("svg",), redraw=True)
    assert not found.computed
    assert [path.name for path in found.files] == [
        "parameterizations.json",
        "parameterizations.txt",
        "parameterizations.svg",
    ]
    assert (tmp_path / "parameterizations.svg").read_bytes() == (made / "parameterizations.svg").read_bytes()
    assert kept_figures(tmp_path, ["parameterizations"])[0][1].settings["code"] == "older"


def test_data_of_other_code_level_or_seed_are_not_taken(made: Path) -> None:
    kind = figure_kind("parameterizations")
    for change in ({"code": "older"}, {"level": "full"}, {"seed": 4}, {"versions": {}}):
        task = drawing._Task(made, {**drawing.settings("quick", 3), **change}, ALL_FORMATS)
        assert drawing._kept(task, kind) is None
    assert drawing._kept(drawing._Task(made, drawing.settings("quick", 3), ALL_FORMATS), kind) is not None


def test_redraw_without_data_says_which_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"parameterizations\.json: cannot be read"):
        draw_figures(["parameterizations"], tmp_path, redraw=True)


@pytest.mark.parametrize("is_empty", [True, False])
def test_data_that_cannot_be_drawn_are_named_and_nothing_is_written(made: Path, tmp_path: Path, is_empty: bool) -> None:
    content = json.loads((made / "parameterizations.json").read_text(encoding="utf-8"))
    if is_empty:
        content["data"]["gradients"] = []
    else:  # and hundreds of values
        content["data"]["curves"][0]["w"] = [1.0]
    (tmp_path / "parameterizations.json").write_text(json.dumps(content))
    with pytest.raises(
        ValueError, match=r"parameterizations\.json: parameterizations cannot be drawn from these data"
    ) as error:
        draw_figures(["parameterizations"], tmp_path, redraw=True)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["parameterizations.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"formats": ("tex", "md")}, "format: modulus is written as png, pdf, svg, not as tex, md"),
        ({"names": ["table-1"], "formats": ("pdf",)}, "format: table-1 is written as tex, md, csv, not as pdf"),
        ({"names": ["x"]}, "figure 'x': no such figure"),
        ({"level": "x"}, "level: 'x'"),
        ({"formats": ("gif",)}, "format: 'gif'"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    names = change.pop("names", ["modulus"])
    with pytest.raises(ValueError, match=message) as error:
        draw_figures(names, tmp_path / "out", **change)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="--out"):
        draw_figures(["modulus"], tmp_path / "file")
    (tmp_path / "modulus.pdf").mkdir()
    with pytest.raises(ValueError, match=r"modulus\.pdf in it is a folder"):
        draw_figures(["modulus"], tmp_path)


def test_a_figure_that_cannot_be_computed_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ValueError("scikit-learn is needed")

    kind = figure_kind("modulus")
    monkeypatch.setattr(drawing, "_make", lambda task, found: refuse() if found is kind else found.name)
    task = drawing._Task(tmp_path, None, ALL_FORMATS)
    outcomes = drawing._make_group(task, ["modulus", "parameterizations"])
    assert outcomes == [("modulus", "scikit-learn is needed"), ("parameterizations", "parameterizations")]


def test_one_reason_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "_run", lambda task, groups, size: [(name, "no room") for (name,) in groups])
    with pytest.raises(ValueError, match=r"^parameterizations, modulus: no room$"):
        draw_figures(["modulus", "parameterizations"], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_an_interruption_ends_every_process(number: int, code: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stablessm", "figures", "stability-margin", "--out", str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True, text=True)
    deadline = time.monotonic() + 60
    while not children(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1.0)  # the worker imports or computes
    workers = children(process.pid)
    os.kill(process.pid, number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == code, said
    goes_on = f"error: interrupted; finished figures are kept in {str(tmp_path)!r}, the same command goes on\n"
    assert said == (goes_on if number == signal.SIGINT else "")
    assert not list(tmp_path.rglob("*.part"))
    while any(runs(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in workers if runs(pid)]


def runs(pid: int) -> bool:
    """Not ended; one that has ended and whom nobody has asked for its exit code is a zombie, Z."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(found.stdout.strip()) and not found.stdout.startswith("Z")


def children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]
