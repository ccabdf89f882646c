"""How long the pictures of a lesson take to follow a slider, in a browser: `python -m tests.benchmarks.bench_demos`.

Each slider is moved by one key to places where nobody has been yet; the time runs from the key to the last picture that
changes. The aim is 0.5 s. Nothing else should run meanwhile.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

from figures.demos.server import DEMOS
from tests.browser import ARGUMENTS, NAMES
from tests.figures.demos.conftest import ROOT, SERVE

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

MOVES = 4
SETTLED = 2.5
"""Seconds after a key in which pictures may still change."""


def pictures(page: Page) -> list[str]:
    """Something short that changes with the pictures: a picture is as long as a book."""
    return page.locator("img[alt]").evaluate_all("all => all.map(one => one.src.length + one.src.slice(-80))")


def follow(page: Page, thumb: Locator, key: str) -> float:
    """Seconds from the key to the last picture that changed; 0 where none did."""
    seen, last = pictures(page), 0.0
    thumb.focus()
    begun = time.perf_counter()
    thumb.press(key)
    while (spent := time.perf_counter() - begun) < SETTLED:
        now = pictures(page)
        if now != seen:
            seen, last = now, spent
        page.wait_for_timeout(20)
    return last


def measure(page: Page, address: str) -> None:
    for demo in DEMOS:
        page.goto(f"{address}{demo.name}/")
        page.get_by_role("heading", name=demo.title).wait_for()
        page.locator("img[alt]").first.wait_for()
        page.wait_for_timeout(4000)
        sliders = page.locator("marimo-slider")
        for index in range(sliders.count()):
            thumb = sliders.nth(index).get_by_role("slider")
            place, end = (float(thumb.get_attribute(name) or 0) for name in ("aria-valuenow", "aria-valuemax"))
            key = "ArrowLeft" if place + MOVES > end else "ArrowRight"
            spent = [follow(page, thumb, key) for _ in range(MOVES)]
            label = " ".join(sliders.nth(index).inner_text().split())[:24]
            print(f"{demo.name:<16}{label:<26}median {median(spent):.2f} s, largest {max(spent):.2f} s", flush=True)


def main() -> None:
    from playwright.sync_api import sync_playwright

    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        raise SystemExit("bench_demos: no Chromium is on the path")
    process = subprocess.Popen([sys.executable, "-c", SERVE], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = re.search(r"http://\S+", process.stdout.readline())
    assert address
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
            measure(browser.new_page(viewport={"width": 1200, "height": 900}), address[0])
            browser.close()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


if __name__ == "__main__":
    main()
