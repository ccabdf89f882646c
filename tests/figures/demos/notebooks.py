"""What holds for the notebook of every lesson: it runs as a script, and the claims that it names exist."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING

from figures.demos.server import demo

if TYPE_CHECKING:
    from playwright.sync_api import Page


def run_as_script(name: str) -> None:
    """Runs a lesson from top to bottom, away from the repository and without a display; nothing may be printed."""
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "PYTHONPATH")}
    environment["OMP_NUM_THREADS"] = "1"
    command = [sys.executable, "-W", "error::UserWarning", str(demo(name).file)]
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def claims_of(name: str) -> set[str]:
    """The ids that a lesson gives to `further`."""
    for node in ast.walk(ast.parse(demo(name).file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "further":
            found = ast.literal_eval(node.args[1])
            assert found
            return set(found)
    raise AssertionError(f"{name}: calls no further()")


@cache
def known_claims() -> frozenset[str]:
    """The ids of the ledger."""
    from proofs_check.ledger import CLAIMS, load_claims

    return frozenset(load_claims(CLAIMS))


def fits_its_width(page: Page, width: int) -> None:
    """No picture, table or control of a lesson reaches beyond the edge of the page."""
    page.get_by_role("heading", name="Further").wait_for()
    boxes = [item.bounding_box() for item in page.locator("img[alt], table, select, [role=slider]").all()]
    shown = [box for box in boxes if box is not None]
    assert len(shown) > 5
    for box in shown:
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width
