"""A worker process of the ledger: it examines one claim, or one variant of a claim, at a time.

The module imports nothing heavy, so that a fresh process can set its number of threads before NumPy is loaded.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from proofs_check.claim import Claim, Variant

READY = "ready"
"""What a worker sends once it has loaded the claims; the time limit of its first task starts then."""


@dataclass(frozen=True)
class Task:
    """A claim itself, or its mutant or control number `index`."""

    claim_id: str
    part: Literal["claim", "mutant", "control"] = "claim"
    index: int = 0

    def variant(self, claim: Claim) -> Variant | None:
        """The variant that the task is about; None for the claim itself."""
        if self.part == "claim":
            return None
        return (claim.mutants if self.part == "mutant" else claim.controls)[self.index]


def load_claims(loader: str) -> Mapping[str, Claim]:
    """The claims by id, from a function given as `module:function`."""
    module, function = loader.split(":")
    claims: Mapping[str, Claim] = getattr(import_module(module), function)()
    return claims


def serve(connection: Connection, loader: str, full: bool, seed: int) -> None:
    """Answer every Task that comes over `connection` by an Outcome, until the connection is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the ledger ends its workers itself
    end_with_parent()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    sys.stdout.flush()
    os.dup2(2, 1)  # a route that prints must not spoil the JSON on standard output

    from proofs_check.claim import Context
    from proofs_check.outcome import examine

    claims = load_claims(loader)
    context = Context(full=full, seed=seed)
    connection.send(READY)
    while True:
        try:
            task: Task = connection.recv()
        except EOFError:
            return
        claim = claims[task.claim_id]
        connection.send(examine(claim, task.variant(claim), context))


def end_with_parent() -> None:
    """Leave at once when the parent dies, even in the middle of a task."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
