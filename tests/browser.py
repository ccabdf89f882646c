"""A headless Chromium for tests that look at pages as a person does, and a page that reports what went wrong on it.

Fixtures, which tests/conftest.py gives to all tests:

    chromium   the browser, one for the session; skips the test where it or playwright is missing
    visit      visit(address, width=...) opens a page; at the end of the test nothing may have gone wrong on it:
               no error on the console, no exception, no request to another host than this machine
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

Visit = Callable[..., "Page"]

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_SECONDS = 60
"""Longest wait for a condition, on a slow machine with other tests beside."""
HERE = ("127.0.0.1", "localhost")


def missing() -> str:
    """What a browser test lacks here; "" for nothing."""
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed"
    if not any(shutil.which(name) for name in NAMES):
        return f"no Chromium: none of {', '.join(NAMES)} is on the path"
    return ""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A headless browser."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    path = next(found for name in NAMES if (found := shutil.which(name)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS), headless=True)
        yield browser
        browser.close()


class Watched:
    """What goes wrong on a page."""

    def __init__(self, page: Page) -> None:
        self.problems: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))
        page.on("request", self._request)
        page.on("websocket", lambda socket: self._address(socket.url))

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.problems.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _request(self, request: Request) -> None:
        self._address(request.url)

    def _address(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("data", "blob", "file", "about") and parts.hostname not in HERE:
            self.problems.append(f"request to {address[:200]}")


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """Opens pages that must stay without problems until the end of the test."""
    opened = []

    def open_page(address: str, width: int = 1200, height: int = 900, **options: Any) -> Page:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(1000 * PATIENCE_SECONDS)
        page = context.new_page()
        opened.append((context, Watched(page)))
        page.goto(address)
        return page

    yield open_page
    for context, _ in opened:
        context.close()
    assert [problem for _, watched in opened for problem in watched.problems] == []
