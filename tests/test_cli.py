"""The door: arguments, messages, exit codes, and what goes to which stream."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import stablessm
from proofs_check import decide as decide_module
from proofs_check import ledger, text

ROOT = Path(__file__).parent.parent
Run = Callable[..., SimpleNamespace]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in this process on the toy claims."""
    monkeypatch.setattr(ledger, "CLAIMS", "tests.toy_claims:good")

    def call(*arguments: str) -> SimpleNamespace:
        capsys.readouterr()
        code = stablessm.main(arguments)
        captured = capsys.readouterr()
        return SimpleNamespace(code=code, out=captured.out, err=captured.err)

    return call


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replaces the judge by one that notes what it was asked and answers the same to everything."""
    questions: list[dict[str, Any]] = []
    answer = {
        **{"expression": "-exp(w)", "time": "continuous", "verdict": "PROVED", "stable": True, "negative": True},
        **{"attains_boundary": False, "boundary_distance": [0.0, 0.0], "log_lipschitz": [1.0, 1.0]},
        **{"modulus": [{"beta": 0.1, "g": [0.105, 0.106]}], "gradient_scale": "exp(-w)"},
        **{"gradient_over_weight": ["inf", "inf"], "counterexample": None, "reason": "log|f| is Lipschitz"},
    }

    def fake(text: str, **settings: Any) -> SimpleNamespace:
        questions.append({"text": text, **settings})
        verdict = "INCONCLUSIVE" if "tan" in text else "PROVED"
        return SimpleNamespace(as_json=lambda: {**answer, "verdict": verdict})

    monkeypatch.setattr(decide_module, "decide", fake)
    return questions


# The formula and its leading minus


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["reparam", "-exp(w)", "--json"], ["reparam", "--json", "--", "-exp(w)"]),
        (["reparam", "--json", "-1/(w**2+0.5)"], ["reparam", "--json", "--", "-1/(w**2+0.5)"]),
        (["reparam", "-w"], ["reparam", "--", "-w"]),
        (["reparam", "exp"], ["reparam", "--", "exp"]),
        (["reparam", "--", "-w"], ["reparam", "--", "-w"]),
        (["reparam", "--json", "--", "--w"], ["reparam", "--json", "--", "--w"]),
        (["reparam", "-a*w", "--set", "a=-1"], ["reparam", "--set", "a=-1", "--", "-a*w"]),
        (["reparam", "--beta", "-0.1", "-w"], ["reparam", "--beta", "-0.1", "--", "-w"]),
        (["reparam", "--beta=-0.1", "-w"], ["reparam", "--beta=-0.1", "--", "-w"]),
        (["reparam", "-w", "--jsno"], ["reparam", "--jsno", "--", "-w"]),
        (["reparam", "--help"], ["reparam", "--help"]),
        (["reparam"], ["reparam"]),
        (["--seed", "3", "reparam", "-w"], ["--seed", "3", "reparam", "--", "-w"]),
        (["--seed=3", "reparam", "-w"], ["--seed=3", "reparam", "--", "-w"]),
        (["--seed", "reparam", "verify", "-x"], ["--seed", "reparam", "verify", "-x"]),
        (["verify", "-x"], ["verify", "-x"]),
        (["claims", "reparam", "-x"], ["claims", "reparam", "-x"]),
        (["--version"], ["--version"]),
        ([], []),
    ],
)
def test_formula_is_separated_from_the_options(given: list[str], expected: list[str]) -> None:
    kept = list(given)
    assert stablessm.separate_formula(given) == expected
    assert given == kept


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-exp(w)", "--json"], "-exp(w)"),
        (["--json", "-1/(w**2+0.5)"], "-1/(w**2+0.5)"),
        (["--json", "-w"], "-w"),
        (["--json", "--", "-w"], "-w"),
        (["--json", "--time", "continuous", "best:a=1:b=0.1"], "best:a=1:b=0.1"),
    ],
)
def test_formula_reaches_the_judge(run: Run, asked: list[dict[str, Any]], arguments: list[str], text: str) -> None:
    result = run("reparam", *arguments)
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out)["stable"] is True
    assert asked == [{"text": text, "time": "continuous", "values": {}, "betas": ()}]


def test_settings_reach_the_judge(run: Run, asked: list[dict[str, Any]]) -> None:
    settings = ["--set", "a=-1/3", "--set", "b = 2", "--beta", "0.1, .5,1e-3", "--time", "discrete"]
    assert run("reparam", "-a*w", *settings).code == 0
    betas = (Fraction(1, 10), Fraction(1, 2), Fraction(1, 1000))
    assert asked == [{"text": "-a*w", "time": "discrete", "values": {"a": "-1/3", "b": "2"}, "betas": betas}]


def test_inconclusive_is_exit_code_3(run: Run, asked: list[dict[str, Any]]) -> None:
    assert run("reparam", "-tan(w)", "--json").code == 3


def test_reparam_for_a_reader(run: Run, asked: list[dict[str, Any]]) -> None:
    result = run("reparam", "exp")
    assert result.code == 0
    for part in ("stable (PROVED)", "log|f| is Lipschitz", "in [0.105, 0.106]", "in [inf, inf]", "exp(-w)"):
        assert part in result.out
    assert "\x1b" not in result.out
    assert "None" not in result.out


# Bad input


BAD = [
    (["reparam", "exp", "--beta", "-0.1"], ["--beta", "'-0.1'", "positive"]),
    (["reparam", "exp", "--beta", ",".join(["0.1"] * 50)], ["--beta", "50", "at most 20"]),
    (["reparam", "best:a=1", "--set", "a=2"], ["a has two values"]),
    (["reparam", "exp", "--beta=-0.1"], ["--beta", "'-0.1'", "positive"]),
    (["reparam", "exp", "--beta", "0"], ["--beta", "positive"]),
    (["reparam", "exp", "--beta", "nan"], ["--beta", "nan", "positive"]),
    (["reparam", "exp", "--beta", "inf"], ["--beta", "inf", "positive"]),
    (["reparam", "exp", "--beta", ""], ["--beta", "positive"]),
    (["reparam", "exp", "--beta", "0.1,,0.2"], ["--beta", "'0.1,,0.2'"]),
    (["reparam", "exp", "--beta", "1e999"], ["--beta", "1e999"]),
    (["reparam", "exp", "--beta", "1e-999"], ["--beta", "1e-999"]),
    (["reparam", "exp", "--beta", "1e999999999"], ["--beta", "1e999999999"]),
    (["reparam", "exp", "--beta", "1/3"], ["--beta", "1/3"]),
    (["reparam", "exp", "--beta", "٣"], ["--beta"]),
    (["reparam", "exp", "--beta"], ["--beta", "a value is needed"]),
    (["reparam", "exp", "--set", "a"], ["--set", "'a'", "NAME=VALUE"]),
    (["reparam", "exp", "--set", "=1"], ["--set", "NAME=VALUE"]),
    (["reparam", "exp", "--set", "a="], ["--set", "NAME=VALUE"]),
    (["reparam", "exp", "--set", "a=1", "--set", "a=2"], ["--set", "already"]),
    (["reparam", "exp", "--time", "never"], ["--time", "never", "continuous", "discrete"]),
    (["reparam", "exp", "--jsno"], ["--jsno", "did you mean --json"]),
    (["reparam", "-w", "--jsno"], ["--jsno", "did you mean --json"]),
    (["reparam", "--bta", "0.1", "exp"], ["--bta", "did you mean --beta"]),
    (["reparam", "exp", "--seed", "1"], ["--seed", "before the command"]),
    (["reparam", "exp", "-w"], ["-w", "unexpected"]),
    (["reparam"], ["EXPR"]),
    (["verfy"], ["verfy", "verify"]),
    (["xyzzy"], ["xyzzy"]),
    (["verify", "toy-hold"], ["toy-hold", "did you mean toy-holds"]),
    (["verify", "nothing-like-it"], ["nothing-like-it", "stablessm claims"]),
    (["verify", "--jobs", "0"], ["--jobs", "0"]),
    (["verify", "--jobs", "many"], ["--jobs", "many"]),
    (["verify", "--level", "fast"], ["--level", "fast", "quick", "full"]),
    (["verify", "--mutant"], ["--mutant", "--mutants"]),
    (["verify", "-j"], ["-j"]),
    (["--seed", "-1", "verify"], ["--seed", "-1"]),
    (["--seed", "x", "verify"], ["--seed", "x"]),
    (["--sed", "1", "verify"], ["--sed", "did you mean --seed"]),
    (["claims", "toy-hold"], ["toy-hold", "did you mean toy-holds"]),
    (["claims", ""], ["unknown claim id ''"]),
    (["claims", "a", "b"], ["b"]),
    (["reparam", "-exp("], []),
    (["reparam", "-json"], ["json"]),
    (["reparam", "__import__('os').system('echo no')"], []),
    (["reparam", "(" * 10_000], []),
    (["reparam", ""], []),
]


@pytest.mark.parametrize(("arguments", "parts"), BAD, ids=[" ".join(arguments)[:50] for arguments, _ in BAD])
def test_bad_input_is_one_clear_line(
    run: Run, arguments: Sequence[str], parts: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    start = time.perf_counter()
    result = run(*arguments)
    assert time.perf_counter() - start < 2
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert len(result.err) < 500
    for part in parts:
        assert part in result.err
    assert list(tmp_path.iterdir()) == []


def test_unwritable_out_is_found_before_the_run(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        result = run("verify", "--out", str(out))
        assert (result.code, result.out) == (2, "")
        assert result.err.count("\n") == 1
        assert str(out) in result.err
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "out" / "report.md").mkdir(parents=True)
    assert "report.md in it is a folder" in run("verify", "--out", str(tmp_path / "out")).err


def test_a_defect_keeps_its_traceback(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*arguments: Any, **settings: Any) -> None:
        raise ValueError("a defect, not bad input")

    monkeypatch.setattr(ledger, "verify", broken)
    with pytest.raises(ValueError, match="a defect"):
        stablessm.main(["verify", "--out", str(tmp_path)])


# Verify and claims


def test_verify_for_a_reader(run: Run, tmp_path: Path) -> None:
    result = run("--seed", "3", "verify", "--mutants", "--out", str(tmp_path / "deep" / "out"))
    assert result.code == 0
    assert "toy-printed" in result.out
    assert "False as printed:" in result.out
    assert "counterexample: x = pi/2, value = 1" in result.out
    assert "what holds: toy-holds" in result.out
    assert "Falsified variants refuted: 3 of 3; controls affirmed: 1 of 1" in result.out
    assert result.out.rstrip().endswith("deep/out/report.html")
    assert "\x1b" not in result.out
    assert result.err.count("\n") == 7  # a line for each of 3 claims, 3 mutants and 1 control
    assert json.loads((tmp_path / "deep" / "out" / "report.json").read_text())["seed"] == 3


def test_verify_json_alone_on_standard_output(run: Run, tmp_path: Path) -> None:
    result = run("verify", "toy-prints", "toy-holds", "--json", "--jobs", "1", "--out", str(tmp_path))
    value = json.loads(result.out)
    assert [claim["id"] for claim in value["claims"]] == ["toy-holds", "toy-prints"]
    assert value["claims"][0]["mutants"] == {**value["claims"][0]["mutants"], "total": 1, "killed": None}
    assert value["jobs"] == 1
    assert value == json.loads((tmp_path / "report.json").read_text())


def test_verify_exit_codes(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "CLAIMS", "tests.toy_claims:bad")
    assert run("verify", "toy-declared", "--mutants", "--out", str(tmp_path)).code == 0
    result = run("verify", "toy-wrong", "--out", str(tmp_path))
    assert result.code == 1
    assert "Not as expected:" in result.out
    assert run("verify", "toy-raises", "--out", str(tmp_path)).code == 3


def test_claims_lists_all(run: Run) -> None:
    result = run("claims")
    assert result.code == 0
    assert [line.split()[3] for line in result.out.splitlines()] == ["toy-holds", "toy-printed", "toy-prints"]
    listed = json.loads(run("claims", "--json").out)["claims"]
    assert [claim["id"] for claim in listed] == ["toy-holds", "toy-printed", "toy-prints"]
    assert listed[0]["statement"].startswith("For every x")


def test_table_breaks_only_at_a_given_width() -> None:
    title = "A statement that is a good deal longer than the terminal is wide, so that it must break"
    rows = [("A label",), ("  PROVED", "ok", "thm-1", title), ("  REFUTED", "ok", "thm-2-longer", "short")]
    wide = list(text.columns(rows, None))
    assert wide == ["A label", f"  PROVED   ok  thm-1         {title}", "  REFUTED  ok  thm-2-longer  short"]
    narrow = list(text.columns(rows, 60))
    assert narrow[1].startswith("  PROVED   ok  thm-1: A statement")
    assert len(narrow) == 5
    assert max(map(len, narrow)) <= 60


def test_one_claim_in_full(run: Run) -> None:
    result = run("claims", "toy-printed")
    for part in ("Sine <is>", "x is real.", "a smaller bound", "a true bound", "sup sin = 1, exactly.", "toy-holds"):
        assert part in result.out
    value = json.loads(run("claims", "toy-printed", "--json").out)
    assert value["derivation"] == [{"reference": "tests.toy_claims:bound_exact", "text": "sup sin = 1, exactly."}]
    assert value["controls"] == [{"name": "a true bound", "changes": {"upper": 2}}]


@pytest.mark.parametrize("command", [[], ["verify"], ["reparam"], ["claims"]])
def test_every_help_has_an_example(run: Run, command: list[str]) -> None:
    result = run(*command, "--help")
    assert result.code == 0
    assert "Example: stablessm" in result.out


def test_bare_command_shows_the_help(run: Run) -> None:
    result = run()
    assert result.code == 0
    assert "verify" in result.out


# The process


def test_version_is_that_of_the_project(run: Run) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    result = run("--version")
    assert result.code == 0
    assert result.out.split()[0] == "stablessm"
    if "not installed" not in result.out:
        assert result.out.split()[1] == project["version"]


def process(*arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    command = [sys.executable, "-m", "stablessm", *arguments]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=60, check=False, **settings)


def test_reader_that_leaves_is_no_error() -> None:
    script = f"'{sys.executable}' -m stablessm --help | head -1; '{sys.executable}' -m stablessm claims | head -1"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, text=True, capture_output=True, timeout=60, check=True)
    assert done.stderr == ""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "stablessm", "--help"]
    found = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (found.returncode, found.stderr) == (141, b"")


def test_help_is_quick() -> None:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        assert process("--help").returncode == 0
        times.append(time.perf_counter() - start)
    assert min(times) < 0.5


def test_message_on_a_terminal_that_knows_only_ascii() -> None:
    done = process("reparam", "-λ(w)", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_wheel_holds_the_packages_and_the_door(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    assert {name.split("/")[0] for name in names} == {"theory", "numerics", "proofs_check", "figures", "stablessm.py"}
    rooms = [path for room in ("theory", "numerics", "proofs_check", "figures") for path in (ROOT / room).rglob("*.py")]
    sources = {path.relative_to(ROOT).as_posix() for path in rooms} | {"stablessm.py", "proofs_check/report.css"}
    assert sources <= set(names)
