"""The ledger: verdicts, limits, crashes, interruptions, and the reports it writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from proofs_check import ledger, report
from proofs_check.claim import Context, Verdict
from proofs_check.formula_svg import FormulaSheet, displayed, parts_of, readable
from proofs_check.ledger import LedgerResult
from proofs_check.outcome import examine, json_value
from proofs_check.report_html import html
from tests.toy_claims import bad, good, toy

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def good_result() -> LedgerResult:
    return ledger.verify(mutants=True, jobs=2, seed=5, loader="tests.toy_claims:good")


@pytest.fixture(scope="module")
def bad_result() -> LedgerResult:
    return ledger.verify(mutants=True, jobs=2, loader="tests.toy_claims:bad")


def only(result: LedgerResult, id: str) -> LedgerResult:
    """The same run as if it had been about one claim."""
    claims = tuple(claim for claim in result.claims if claim.claim.id == id)
    return LedgerResult(claims, (), result.level, result.seed, result.jobs, result.seconds, result.versions)


def test_good_claims_are_as_expected(good_result: LedgerResult) -> None:
    assert good_result.exit_code() == 0
    assert good_result.as_expected
    assert [claim.claim.id for claim in good_result.claims] == list(good())
    assert [claim.outcome.verdict.name for claim in good_result.claims] == ["PROVED", "REFUTED", "PROVED"]
    assert [(claim.killed, claim.held) for claim in good_result.claims] == [(1, 0), (1, 1), (1, 0)]


def test_undecided_mutants_are_not_called_refuted(good_result: LedgerResult) -> None:
    claim = good_result.claims[0]
    (mutant,) = claim.mutants
    assert mutant.outcome is not None
    variant = replace(mutant.variant, inconclusive_because="a test")
    undecided = replace(mutant, variant=variant, outcome=replace(mutant.outcome, verdict=Verdict.INCONCLUSIVE))
    result = replace(good_result, claims=(replace(claim, mutants=(undecided,)), *good_result.claims[1:]))
    assert "Falsified variants refuted: 2 of 3, 1 INCONCLUSIVE as declared;" in report.state_line(result)
    assert "undecided, as declared: " in html(result)


def test_seed_and_draws_do_not_depend_on_the_processes(good_result: LedgerResult) -> None:
    details = good_result.claims[2].outcome.routes[2].details
    assert details["seed"] == 5
    again = examine(good()["toy-prints"], None, Context(seed=5)).routes[2].details
    assert details == again


def test_a_route_that_prints_does_not_reach_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    ledger.verify(["toy-prints"], jobs=1, loader="tests.toy_claims:good")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "this must not reach standard output" in captured.err


def test_full_level_reaches_the_routes() -> None:
    result = ledger.verify(["toy-prints"], level="full", jobs=1, loader="tests.toy_claims:good")
    assert result.claims[0].outcome.routes[2].details["full"] is True
    assert (result.claims[0].killed, len(result.claims)) == (None, 1)


@pytest.mark.parametrize(
    ("id", "code", "verdict", "killed"),
    [
        ("toy-wrong", 1, "PROVED", 1),
        ("toy-survivor", 1, "PROVED", 0),
        ("toy-raises", 3, "INCONCLUSIVE", 0),
        ("toy-one-raises", 3, "PROVED", 1),
        ("toy-dies", 3, "INCONCLUSIVE", 0),
        ("toy-slow", 3, "INCONCLUSIVE", 0),
        ("toy-declared", 0, "PROVED", 1),
        ("toy-undeclared", 3, "PROVED", 0),
        ("toy-declared-crash", 3, "PROVED", 0),
        ("toy-bad-control", 1, "REFUTED", 1),
        ("toy-none", 3, "INCONCLUSIVE", 0),
        ("toy-silent", 1, "PROVED", 1),
    ],
)
def test_what_can_go_wrong(bad_result: LedgerResult, id: str, code: int, verdict: str, killed: int) -> None:
    result = only(bad_result, id)
    assert result.exit_code() == code
    assert result.as_expected is (code == 0)
    assert (result.claims[0].outcome.verdict.name, result.claims[0].killed) == (verdict, killed)
    assert bool(report.surprises(result.claims[0])) is (code != 0)


def test_a_wrong_verdict_outweighs_an_undecided_one(bad_result: LedgerResult) -> None:
    assert {claim.claim.id for claim in bad_result.claims} == set(bad())
    assert bad_result.exit_code() == 1


@pytest.mark.parametrize(
    ("id", "reason"),
    [
        ("toy-raises", "ZeroDivisionError: in the route"),
        ("toy-dies", "the worker process ended: exit code 7"),
        ("toy-slow", "stopped at the time limit of 0.5 s"),
        ("toy-none", "the route returned NoneType"),
    ],
)
def test_reason_says_what_happened(bad_result: LedgerResult, id: str, reason: str) -> None:
    outcome = only(bad_result, id).claims[0].outcome
    assert reason in outcome.reason
    assert outcome.crashed


def test_unknown_id_is_refused_with_a_near_one() -> None:
    with pytest.raises(ValueError, match="unknown claim id 'toy-hold'; did you mean toy-holds"):
        ledger.verify(["toy-hold"], loader="tests.toy_claims:good")


def test_best_established_counterexample_is_shown() -> None:
    assert examine(good()["toy-printed"], None, Context()).counterexample == {"x": "pi/2", "value": 1}
    assert examine(good()["toy-holds"], None, Context()).counterexample is None


def test_json_values() -> None:
    import numpy as np
    import sympy as sp

    given = {"i": float("inf"), "n": float("nan"), "a": np.array([1.5, -np.inf]), "k": np.int64(3), "s": sp.pi / 2}
    given |= {"t": (1, True, None), "v": Verdict.PROVED, 4: np.float64(0.5)}
    assert json_value(given) == {
        **{"i": "inf", "n": "nan", "a": [1.5, "-inf"], "k": 3, "s": "pi/2"},
        **{"t": [1, True, None], "v": "PROVED", "4": 0.5},
    }


def test_report_json_keeps_its_contract(good_result: LedgerResult) -> None:
    text = json.dumps(report.as_json(good_result), allow_nan=False)
    value = json.loads(text)
    assert {"claims", "as_expected", "seconds", "versions", "interrupted", "seed", "level"} <= set(value)
    assert value["as_expected"] is True
    claim = value["claims"][1]
    needed = {"id", "label", "kind", "statement", "verdict", "expected", "routes", "mutants", "counterexample"}
    assert needed | {"controls", "amended_by", "hypotheses", "reason"} <= set(claim)
    assert claim["counterexample"] == {"x": "pi/2", "value": 1}
    assert {"name", "verdict", "seconds", "method", "summary"} <= set(claim["routes"][0])
    assert (claim["mutants"]["total"], claim["mutants"]["killed"]) == (1, 1)
    assert (claim["controls"]["total"], claim["controls"]["held"]) == (1, 1)
    assert value["claims"][0]["routes"][1]["details"] == {"ends": [1.0, "inf"]}
    assert value["claims"][0]["counterexample"] is None


class _Checker(HTMLParser):
    """Collects ids, links and texts, and demands that every element is closed in order."""

    VOID = frozenset({"meta", "br", "path", "use"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        assert len(values) == len(attrs)
        self.ids += [str(values["id"])] if "id" in values else []
        self.links += [str(values[key]) for key in ("href", "src") if key in values]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("which", ["good_result", "bad_result"])
def test_html_is_well_formed_and_self_contained(which: str, request: pytest.FixtureRequest) -> None:
    result: LedgerResult = request.getfixturevalue(which)
    page = html(result)
    checker = _Checker()
    checker.feed(page)
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))
    assert {claim.claim.id for claim in result.claims} <= set(checker.ids)
    assert checker.links
    assert all(link.startswith("#") and link[1:] in checker.ids for link in checker.links)
    assert "<script" not in page
    assert "http" not in page
    assert "Sine <is> bounded & small" in checker.text
    assert "Sine <is>" not in page
    assert 'aria-label="\\sup_{x' in page
    assert "sup sin = 1, exactly." in checker.text


def test_markdown_tells_what_fails(good_result: LedgerResult, bad_result: LedgerResult) -> None:
    text = report.markdown(good_result)
    assert "## False as printed" in text
    assert "Counterexample: x = pi/2, value = 1." in text
    assert "What holds instead: `toy-holds`" in text
    assert "Every verdict is the expected one" in text
    assert "## Not as expected" not in text
    assert "## Not as expected" in report.markdown(bad_result)


def test_reports_replace_former_ones_whole(
    good_result: LedgerResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report.write_reports(good_result, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(report.FILES)
    before = (tmp_path / "report.html").read_text()

    def fail(*paths: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        report.write_reports(good_result, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(report.FILES)
    assert (tmp_path / "report.html").read_text() == before


def test_identical_formulas_are_drawn_once_and_glyphs_shared() -> None:
    sheet = FormulaSheet()
    assert sheet.svg("x^2 + x") is sheet.svg("x^2 + x")
    assert sheet.definitions().count("<path") == 3
    assert sheet.svg("x") != sheet.svg("x^2")
    assert sheet.definitions().count("<path") == 3
    assert sheet.svg(r"\nonsense{<}") == r"<code>\nonsense{&lt;}</code>"
    assert not readable(r"\nonsense{x}")


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        (r"\frac{\frac{a}{b}}{c} + \frac12", r"\dfrac{\frac{a}{b}}{c} + \dfrac12"),
        (r"\{ \frac{a}{b} \}", r"\{ \dfrac{a}{b} \}"),
        (r"\fraction{x}", r"\fraction{x}"),
    ],
)
def test_outer_fractions_are_displayed(latex: str, expected: str) -> None:
    assert displayed(latex) == expected


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        (r"a = b, \quad c \quad \Rightarrow d", ["a = b,", "c", r"\Rightarrow d"]),
        (r"\{ a \quad b \} \quad c", [r"\{ a", r"b \}", "c"]),
        (r"\frac{a \quad b}{c}", [r"\frac{a \quad b}{c}"]),
        (r"\left( a \quad b \right)", [r"\left( a \quad b \right)"]),
        (r"x \qquad y", [r"x \qquad y"]),
        (r"\nonsense \quad y", [r"\nonsense \quad y"]),
    ],
)
def test_formulas_break_at_wide_spaces(latex: str, expected: list[str]) -> None:
    assert parts_of(latex) == expected
    assert FormulaSheet().lines(latex).count("<svg") == (0 if "nonsense" in latex else len(expected))


PROGRAM = """
import sys
import stablessm
from proofs_check import ledger
if __name__ == "__main__":
    ledger.CLAIMS = "tests.toy_claims:sleepy"
    raise SystemExit(stablessm.main(["verify", "--jobs", "2", "--out", sys.argv[1]]))
"""


def _wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def _alive(group: int) -> list[int]:
    """The processes of a process group that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="counts processes through /proc")
@pytest.mark.parametrize(
    ("number", "whole_group", "code"),
    [(signal.SIGINT, True, 130), (signal.SIGTERM, False, 143), (signal.SIGKILL, False, -9)],
)
def test_interrupt_leaves_the_report_and_no_orphan(number: int, whole_group: bool, code: int, tmp_path: Path) -> None:
    script, out, log = tmp_path / "interrupted.py", tmp_path / "out", tmp_path / "log"
    script.write_text(PROGRAM)
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, str(script), str(out)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
        try:
            assert _wait_for(lambda: log.read_text().count("PROVED") == 2), log.read_text()
            assert len(_alive(process.pid)) >= 3
            (os.killpg if whole_group else os.kill)(process.pid, number)
            assert process.wait(20) == code
            assert _wait_for(lambda: _alive(process.pid) == [], 10)
        finally:
            if _alive(process.pid):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert "Traceback" not in log.read_text()
    if number == signal.SIGKILL:
        assert list(out.iterdir()) == []
        return
    value = json.loads((out / "report.json").read_text())
    assert value["interrupted"] is True
    assert value["as_expected"] is False
    assert [claim["id"] for claim in value["claims"]] == ["toy-holds", "toy-also-holds"]
    assert value["unfinished"] == ["toy-sleeps"]
    assert "INTERRUPTED" in (out / "report.html").read_text()
    assert sorted(path.name for path in out.iterdir()) == sorted(report.FILES)


def test_worker_that_cannot_load_the_claims_is_reported() -> None:
    from proofs_check import pool
    from proofs_check.worker import Task

    claims = {"x": toy("x")}
    found = []
    workers = pool.Pool(claims, "tests.toy_claims:no_such_function", 1, False, 0, 1.0)
    assert workers.run([Task("x")], lambda task, outcome: found.append(outcome)) is None
    assert "while it loaded the claims" in found[0].reason
    assert found[0].crashed
