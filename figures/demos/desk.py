"""Asks about formulas, with a limit on the time that an answer may take.

The lessons run in threads, where no signal can stop a computation; so each question goes to a process
(`figures.demos.clerk`), which is killed when it is late, and a fresh one takes its place at the next question.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import signal
import subprocess
import sys
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

LIMIT_SECONDS = 20.0
"""For one answer. The verdict has a limit of 10 s of its own, and says then what it knows."""
CLERKS = 2
"""Processes that answer at the same time; other questions wait."""
LONGEST = 2000
"""Characters of a formula that are sent at all; the grammar allows no more."""

_START = "import sys; sys.path.insert(0, sys.argv[1]); from figures.demos.clerk import main; main()"
_ROOT = Path(__file__).resolve().parents[2]
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Desk:
    """Hands questions to at most `clerks` processes, which are started when they are needed."""

    def __init__(self, clerks: int = CLERKS, limit: float = LIMIT_SECONDS) -> None:
        self._limit = limit
        self._free = threading.BoundedSemaphore(clerks)
        self._idle: list[subprocess.Popen[str]] = []
        atexit.register(self.close)

    def ask(self, asked: str, text: str, constants: dict[str, str]) -> dict[str, Any]:
        """The answer of `figures.demos.clerk`. Raises ValueError for what is no formula, and where time runs out."""
        if len(text) > LONGEST:
            raise ValueError(f"formula: {len(text)} characters; at most {LONGEST} are allowed")
        if not self._free.acquire(timeout=3 * self._limit):
            raise ValueError("formula: too many questions at once; try again in a moment")
        try:
            line = self._answer(json.dumps({"asked": asked, "text": text, "constants": constants}))
        finally:
            self._free.release()
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            raise ValueError(found["error"])
        return found

    def _answer(self, question: str) -> str:
        clerk = self._idle.pop() if self._idle else _start()
        assert clerk.stdin is not None
        assert clerk.stdout is not None
        stopped = threading.Event()

        def stop() -> None:
            stopped.set()
            clerk.kill()

        late = threading.Timer(self._limit, stop)
        late.start()
        try:
            clerk.stdin.write(f"{question}\n")
            clerk.stdin.flush()
            line = clerk.stdout.readline()
        except OSError:
            line = ""
        finally:
            late.cancel()
        if line:
            self._idle.append(clerk)
            return line
        _end(clerk)
        reason = f"no answer within {self._limit:g} s" if stopped.is_set() else "it could not be examined"
        raise ValueError(f"formula: {reason}; try a simpler one")

    def close(self) -> None:
        """Ends the processes that are idle; the others end with their question, since nobody reads the answer."""
        while self._idle:
            _end(self._idle.pop())


def _start() -> subprocess.Popen[str]:
    """A process that Ctrl-C does not reach: it ends when its standard input does."""
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _START, str(_ROOT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        env={**os.environ, **dict.fromkeys(_THREADS, "1"), "PYTHONIOENCODING": "utf-8"},
        start_new_session=hasattr(signal, "SIGKILL"),
    )


def _end(clerk: subprocess.Popen[str]) -> None:
    clerk.kill()
    clerk.communicate()


_desk = Desk()


def ask(asked: str, text: str, a: str, b: str) -> dict[str, Any]:
    """The answer about a formula in w, in which a and b have these values. Raises ValueError as `Desk.ask`."""
    words = set() if ":" in text else set(re.findall(r"[A-Za-z_]\w*", text[:LONGEST], re.ASCII))
    constants = tuple((name, value) for name, value in (("a", a), ("b", b)) if name in words)
    return _remembered(asked, text.strip(), constants)


@lru_cache(maxsize=512)
def _remembered(asked: str, text: str, constants: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    return _desk.ask(asked, text, dict(constants))
