"""theory/README.md says where each statement is derived and which claims check it; here it is held to that."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from proofs_check.claims import all_claims

README = Path(__file__).parent.parent / "theory" / "README.md"


def rows(text: str) -> list[tuple[str, list[str], list[str]]]:
    """The table `Statement | File and function | Claims`: the statement, its functions, its claim ids."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        if len(cells) == 3 and cells[0].lower() != "statement" and not set(cells[0]) <= set("-: "):
            found.append((cells[0], re.findall(r"`([^`]+)`", cells[1]), re.findall(r"`([^`]+)`", cells[2])))
    return found


def problems(text: str, claims: dict[str, tuple[str, ...]]) -> list[str]:
    """What the table says wrongly or leaves out; `claims` gives the theory references of each claim id."""
    table = rows(text)
    found = []
    listed: set[str] = set()
    for statement, functions, ids in table:
        if not functions:
            found.append(f"{statement}: no function")
        for function in functions:
            file, _, name = function.partition(":")
            listed.add(f"theory.{file.removesuffix('.py')}:{name}")
            if not _exists(file, name):
                found.append(f"{statement}: {function} does not exist")
        found += [f"{statement}: no claim {id}" for id in ids if id not in claims]
    mentioned = {id for _, _, ids in table for id in ids}
    found += [f"claim {id} is in no row" for id in claims if id not in mentioned]
    needed = {reference for references in claims.values() for reference in references}
    return found + [f"{reference} is in no row" for reference in sorted(needed - listed)]


def _exists(file: str, name: str) -> bool:
    try:
        return file.endswith(".py") and callable(getattr(import_module(f"theory.{file.removesuffix('.py')}"), name))
    except (ImportError, AttributeError):
        return False


def test_table_agrees_with_the_code() -> None:
    claims = {claim.id: claim.theory for claim in all_claims().values()}
    assert problems(README.read_text(encoding="utf-8"), claims) == []


GOOD = "| Statement | File and function | Claims |\n|---|---|---|\n| A \\| B | `formula.py:parse` | `one`, `two` |\n"
KNOWN = {"one": ("theory.formula:parse",), "two": ()}


def test_a_good_table_passes() -> None:
    assert problems(GOOD, KNOWN) == []


@pytest.mark.parametrize(
    ("text", "claims", "problem"),
    [
        (GOOD.replace("parse", "no_such"), KNOWN, "formula.py:no_such does not exist"),
        (GOOD.replace("formula.py", "absent.py"), KNOWN, "absent.py:parse does not exist"),
        (GOOD.replace("`two`", "`three`"), KNOWN, "no claim three"),
        (GOOD.replace("`formula.py:parse`", ""), KNOWN, "no function"),
        (GOOD, {**KNOWN, "four": ()}, "claim four is in no row"),
        (GOOD, {**KNOWN, "two": ("theory.formula:named",)}, "theory.formula:named is in no row"),
        ("", KNOWN, "claim one is in no row"),
    ],
)
def test_a_bad_table_is_found(text: str, claims: dict[str, tuple[str, ...]], problem: str) -> None:
    assert any(problem in found for found in problems(text, claims))
