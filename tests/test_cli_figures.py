"""`stablessm figures`, `report` and `demo`: what they print, their exit codes, bad input in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from figures import drawing, report_page
from figures.demos.server import DEMOS
from figures.drawing import Drawn
from figures.figure import KINDS, Finding
from proofs_check import ledger
from proofs_check.claim import Verdict
from stablessm import main

ROOT = Path(__file__).parents[1]
DRAWN = Drawn(
    "modulus",
    "What was computed.",
    Finding(Verdict.ENCLOSED, "all are"),
    {"level": "quick"},
    (Path("a/modulus.json"), Path("a/modulus.pdf")),
    True,
    1.25,
)
REFUTED = replace(DRAWN, finding=Finding(Verdict.REFUTED, "one is not"))
UNDECIDED = replace(DRAWN, finding=Finding(Verdict.INCONCLUSIVE, "too few"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the command asks of figures.drawing; every call gives `DRAWN`."""
    calls: list[dict[str, Any]] = []

    def draw(names: Any, folder: Path, **options: Any) -> list[Drawn]:
        calls.append({"names": list(names), "folder": folder, **options})
        return [DRAWN]

    monkeypatch.setattr(drawing, "draw_figures", draw)
    return calls


def test_the_list_has_every_figure_with_its_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "--list"]) == 0
    text = capsys.readouterr().out
    assert [line.split()[0] for line in text.splitlines()[::2]] == list(KINDS)
    assert main(["figures", "--list", "--json", "modulus"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["figures"]
    assert found.keys() == {"name", "title", "shows", "claims"}


@pytest.mark.parametrize(("redirected", "code"), [(">&-", 0), (">&- 2>&-", 0), ("no-such 2>&-", 2)])
def test_a_closed_output_is_no_crash(redirected: str, code: int) -> None:
    command = f'"{sys.executable}" -m stablessm figures --list {redirected}'
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_options_reach_the_room(asked: list[dict[str, Any]], tmp_path: Path) -> None:
    arguments = ["--seed", "7", "figures", "modulus", "table-1", "--level", "full", "--out", str(tmp_path)]
    assert main([*arguments, "--format", "pdf,tex", "--redraw", "--jobs", "3"]) == 0
    (call,) = asked
    assert call.pop("on_figure") is None
    assert call == {
        "names": ["modulus", "table-1"],
        "folder": tmp_path,
        "level": "full",
        "seed": 7,
        "formats": ("pdf", "tex"),
        "redraw": True,
        "jobs": 3,
    }
    assert main(["figures"]) == 0
    assert asked[1]["names"] == []
    assert asked[1]["formats"] == drawing.ALL_FORMATS
    assert asked[1]["folder"] == Path("build/figures")


def test_what_is_printed(asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "modulus"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  ENCLOSED: all are",
        "Captions, data and pictures: build/figures",
    ]
    assert main(["figures", "modulus", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["figures"]
    assert (found["verdict"], found["finding"], found["caption"]) == ("ENCLOSED", "all are", "What was computed.")


@pytest.mark.parametrize(("drawn", "code"), [(DRAWN, 0), (UNDECIDED, 0), (REFUTED, 1)])
def test_a_refuted_figure_is_exit_code_1(drawn: Drawn, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "draw_figures", lambda *_, **__: [drawn])
    assert main(["figures"]) == code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["figures", "modulu"], "figure 'modulu': no such figure; allowed: all, parameterizations"),
        (["figures", "--list", "x"], "figure 'x': no such figure"),
        (["figures", "modulus", "--format", "gif"], "format: 'gif' is not one of png, pdf, svg, tex, md, csv"),
        (["figures", "modulus", "--format", "pdf,,svg"], "--format 'pdf,,svg': names separated by single commas"),
        (["figures", "modulus", "--jobs", "0"], "--jobs '0': a whole number of at least 1"),
        (["figures", "modulus", "--level", "slow"], "'slow'"),
        (["figures", "modulus", "--redraw", "--out", "FOLDER"], "modulus.json: cannot be read"),
        (["figures", "modulus", "--out", "FILE"], "--out"),
        (["report", "--out", "FILE"], "--out"),
        (["report", "--out", "FOLDER", "--figures", "FILE"], "--figures"),
        (["report", "--jobs", "x"], "--jobs 'x'"),
        (["demo", "cursed"], "demo 'cursed': no such demo; allowed: curse, reparameterize"),
        (["demo", "--port", "x"], "--port 'x': a whole number"),
        (["demo", "--port", "99999", "--no-browser"], "port: 99999 is not allowed"),
        (["demo", "--host", "no such host", "--no-browser"], "host"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    places = {"FILE": str(tmp_path / "file"), "FOLDER": str(tmp_path)}
    assert main([places.get(argument, argument) for argument in arguments]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert message in said


def test_demos_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [one.name for one in DEMOS]
    assert main(["demo", "curse", "--json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["demos"]] == ["curse"]


@pytest.mark.parametrize(("drawn", "code"), [(DRAWN, 0), (REFUTED, 1)])
def test_the_report_gathers_figures_and_verdicts(
    drawn: Drawn, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written: list[Any] = []
    verify = ledger.verify
    monkeypatch.setattr(drawing, "draw_figures", lambda *_, **__: [drawn])
    monkeypatch.setattr(drawing, "kept_figures", lambda folder: [folder])
    monkeypatch.setattr(ledger, "verify", lambda **options: verify(["def-3.4-best"], jobs=1))
    monkeypatch.setattr(report_page, "write_report", lambda *given: written.append(given) or [tmp_path / "report.html"])
    assert main(["report", "--out", str(tmp_path), "--figures", str(tmp_path / "figures"), "--json"]) == code
    answer = json.loads(capsys.readouterr().out)
    assert answer["files"] == [str(tmp_path / "report.html")]
    assert [claim["id"] for claim in answer["ledger"]["claims"]] == ["def-3.4-best"]
    assert answer["figures"][0]["name"] == "modulus"
    ((result, figures, out),) = written
    assert (result.as_expected, figures, out) == (True, [tmp_path / "figures"], tmp_path)
