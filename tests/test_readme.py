"""README.md is held to the code: its examples run, and the ledger on its first screen is the real one."""

from __future__ import annotations

import re
import shlex
import textwrap
from pathlib import Path

import pytest

from proofs_check.claims import all_claims
from stablessm import main

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    [line.split("#")[0].strip() for line in block.splitlines() if line.strip().startswith("stablessm ")]
    for block in re.findall(r"```\w*\n(.*?)```", README, re.DOTALL)
]
"""Of each block, in whose order they run: one may need what another made."""
LEDGER = re.findall(r"^  ([A-Z]+) +ok  (\w+) +(\S+) +(.+?)…?$", README, re.MULTILINE)


@pytest.mark.parametrize("commands", [block for block in COMMANDS if block], ids=lambda block: block[0])
def test_examples_run(commands: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for command in commands:
        assert main(shlex.split(command)[1:]) == 0, command
        assert capsys.readouterr().out


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_python_examples_run(block: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(textwrap.dedent(block), {})
    assert capsys.readouterr().out


def test_there_are_examples() -> None:
    assert sum(map(len, COMMANDS)) >= 15


@pytest.mark.parametrize(("verdict", "kind", "id", "title"), LEDGER)
def test_ledger_rows_are_real(verdict: str, kind: str, id: str, title: str) -> None:
    claim = all_claims()[id]
    assert (claim.expected.name, claim.kind.value) == (verdict, kind)
    assert claim.title.startswith(title)


def test_counts_are_real() -> None:
    expected = [claim.expected.name for claim in all_claims().values()]
    counts = ", ".join(f"{expected.count(name)} {name}" for name in ("PROVED", "ENCLOSED", "SUPPORTED", "REFUTED"))
    assert f"{len(expected)} statements: {counts}." in README


def test_every_claim_that_is_named_exists() -> None:
    named = {name for name in re.findall(r"`([a-z0-9.-]+)`", README) if "-" in name and not name.startswith("-")}
    assert named <= set(all_claims())
