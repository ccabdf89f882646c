"""How many threads a computation is worth: on small tensors torch is several times slower with two than with one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Torch on so many threads inside; the previous number of threads afterwards, also after an error."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_thread(wanted: bool = True) -> Iterator[None]:
    """Torch on one thread inside, where `wanted`; the previous number of threads afterwards, also after an error."""
    with on_threads(1 if wanted else torch.get_num_threads()):
        yield


class SharedCount:
    """progress(done, total, ...), one call at a time, for work that several threads count together."""

    def __init__(self, progress: Callable[..., None] | None, total: int) -> None:
        self._progress, self._total, self._done, self._lock = progress, total, 0, threading.Lock()

    def add(self, count: int, *more: object) -> None:
        """`more` goes to progress after the numbers."""
        with self._lock:
            self._done += count
            if self._progress is not None:
                self._progress(self._done, self._total, *more)
