"""A server of the demos, and a browser that visits them.

visit_demo(name, width=1200)   the page of a demo, once it shows its title
move(page, label, steps)       moves a slider by so many steps with the arrow keys
"""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from figures.demos.server import demo
from tests.browser import Visit

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

ROOT = Path(__file__).parents[3]
SERVE = "from figures.demos.server import serve; serve(None, 0, open_browser=False)"

VisitDemo = Callable[..., "Page"]


@pytest.fixture(scope="session")
def demo_server() -> Iterator[str]:
    """The address of a server of all demos, with a slash at its end."""
    if importlib.util.find_spec("marimo") is None:
        pytest.skip("marimo is not installed")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, f"the server said {line!r}"
        yield found[0]
    finally:
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.stdout.close()


@pytest.fixture
def visit_demo(demo_server: str, visit: Visit) -> VisitDemo:
    """Opens a demo, once its title and its first picture are there."""

    def open_demo(name: str, width: int = 1200) -> Page:
        page = visit(f"{demo_server}{name}/", width=width)
        page.get_by_role("heading", name=demo(name).title).wait_for()
        page.locator("img[alt]").first.wait_for()
        return page

    return open_demo


def move(page: Page, label: str, steps: int) -> None:
    """Moves the slider of a label by so many steps, to the right or (negative) to the left, with the arrow keys."""
    thumb = slider(page, label)
    thumb.focus()
    for _ in range(abs(steps)):
        thumb.press("ArrowRight" if steps > 0 else "ArrowLeft")


def slider(page: Page, label: str) -> Locator:
    """The thumb of the slider of a label: the text before the first formula of it, say."""
    return page.locator("marimo-slider").filter(has_text=label).get_by_role("slider")
