"""A small pool of worker processes with a time limit for each task, which leaves no process behind.

`concurrent.futures` cannot stop one task that overruns without giving up the whole pool; here the parent hands out
one task at a time and replaces a worker that overruns or dies.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any

from proofs_check.claim import Claim
from proofs_check.outcome import Outcome, stopped
from proofs_check.worker import READY, Task, serve

START_LIMIT_SECONDS = 180.0
"""Longest time for a worker to import the claims; ten times what a slow machine needs."""

OnOutcome = Callable[[Task, Outcome], None]


@dataclass
class _Worker:
    process: Any  # a SpawnProcess; typeshed has no public name for it
    connection: Connection
    ready: bool = False
    task: Task | None = None
    started: float = 0.0
    limit: float = START_LIMIT_SECONDS

    def begin(self, task: Task) -> None:
        """Hand out `task`; a worker that is still loading reads it afterwards."""
        self.task = task
        with suppress(OSError):  # the worker has died: `_collect` will read the end of the pipe
            self.connection.send(task)
        self.started = time.monotonic()

    @property
    def left(self) -> float:
        return self.started + self.limit - time.monotonic()

    def end(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()


class Pool:
    """Examines tasks in `size` processes; every claim is stopped after its own limit times `patience`."""

    def __init__(self, claims: Mapping[str, Claim], loader: str, size: int, full: bool, seed: int, patience: float):
        self._claims = claims
        self._arguments = (loader, full, seed)
        self._size = size
        self._patience = patience
        self._idle: list[_Worker] = []
        self._busy: list[_Worker] = []

    def run(self, tasks: Sequence[Task], on_outcome: OnOutcome) -> int | None:
        """Examine all tasks; returns the number of the signal that interrupted the run, if one did."""
        queue = deque(tasks)
        with _stop_signals() as stop:
            try:
                while queue or self._busy:
                    while queue and len(self._busy) < self._size:
                        worker = self._idle.pop() if self._idle else self._start()
                        self._busy.append(worker)
                        self._begin(worker, queue.popleft())
                    if stop.wait([worker.connection for worker in self._busy], min(w.left for w in self._busy)):
                        return stop.number
                    for worker in list(self._busy):
                        self._collect(worker, on_outcome)
            finally:
                for worker in (*self._busy, *self._idle):
                    worker.end()
        return None

    def _start(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, *self._arguments), daemon=True)
        with _interrupt_blocked():
            process.start()
        theirs.close()  # so that the pipe ends with the worker
        return _Worker(process, ours)

    def _begin(self, worker: _Worker, task: Task) -> None:
        worker.limit = self._limit(task) if worker.ready else START_LIMIT_SECONDS
        worker.begin(task)

    def _limit(self, task: Task) -> float:
        return self._claims[task.claim_id].limit_seconds * self._patience

    def _collect(self, worker: _Worker, on_outcome: OnOutcome) -> None:
        """Take what the worker has sent; replace one that died or overran."""
        assert worker.task is not None
        claim = self._claims[worker.task.claim_id]
        if worker.connection.poll():
            try:
                message = worker.connection.recv()
            except (EOFError, OSError):
                worker.process.join(5)
                what = "ended" if worker.ready else "ended while it loaded the claims"
                reason = f"the worker process {what}: {_how_ended(worker.process.exitcode)}"
                outcome = stopped(claim, reason, time.monotonic() - worker.started)
                return self._replace(worker, outcome, on_outcome)
            if message == READY:
                worker.ready, worker.started, worker.limit = True, time.monotonic(), self._limit(worker.task)
                return None
            task, worker.task = worker.task, None
            self._busy.remove(worker)
            self._idle.append(worker)
            on_outcome(task, message)
        elif worker.left <= 0:
            what = "stopped at the time limit" if worker.ready else "could not load the claims within"
            outcome = stopped(claim, f"{what} of {worker.limit:g} s", time.monotonic() - worker.started)
            self._replace(worker, outcome, on_outcome)
        return None

    def _replace(self, worker: _Worker, outcome: Outcome, on_outcome: OnOutcome) -> None:
        assert worker.task is not None
        self._busy.remove(worker)
        worker.end()
        on_outcome(worker.task, outcome)


def _how_ended(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


@contextmanager
def _interrupt_blocked() -> Iterator[None]:
    """Let a starting process inherit a blocked SIGINT; one sent meanwhile reaches us afterwards."""
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


class _Stop:
    """Remembers a stop signal and wakes the loop that waits for the workers."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._reader, self._writer = multiprocessing.Pipe(duplex=False)

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self.number is None:
            self.number = number
            self._writer.send_bytes(b"stop")

    def wait(self, connections: Sequence[Connection], timeout: float) -> bool:
        """Wait for a message, the time-out or a stop signal; True for the signal."""
        wait([self._reader, *connections], max(timeout, 0.0))
        return self.number is not None

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


@contextmanager
def _stop_signals() -> Iterator[_Stop]:
    """Catch SIGINT and SIGTERM; only the main thread of a process can."""
    stop = _Stop()
    previous = {}
    if threading.current_thread() is threading.main_thread():
        previous = {number: signal.signal(number, stop.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        stop.close()
