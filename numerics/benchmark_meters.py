"""Meters for a benchmark: seconds, exponentials, bytes of tensors alive, and what the machine can do."""

from __future__ import annotations

import statistics
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

T = TypeVar("T")

_CACHED = 2**14
"""Numbers in a tensor that stays in the nearest caches of one core, read and written."""
_EXPONENTIALS = {torch.ops.aten.exp, torch.ops.aten.exp_, torch.ops.aten.expm1, torch.ops.aten.expm1_}


def seconds(work: Callable[[], T], repeats: int = 1) -> tuple[float, T]:
    """(the median wall-clock seconds of `repeats` calls, what the last returned)."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        value = work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken), value


def exp_throughput(cores: int, numbers: int = 2**25) -> float:
    """float64 exponentials a second of torch.exp on tensors that stay in the caches, one thread on each core.

    The arguments are spread over [-30, 0], as those of e^{λt} are; the best of four runs.
    """

    def work(_: int = 0) -> None:
        given = torch.linspace(-30, 0, _CACHED, dtype=torch.float64)
        out = torch.empty_like(given)
        for _ in range(numbers // _CACHED):
            torch.exp(given, out=out)

    with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        best = min(seconds(lambda: list(pool.map(work, range(cores))))[0] for _ in range(4))
    return cores * (numbers // _CACHED) * _CACHED / best


class Tally:
    """Counts `exponentials` that torch evaluates inside, and the largest sum `peak` of bytes of tensors alive.

    Threads that are started inside are followed too. The bytes are those of the storages that operations returned
    inside; scratch memory within an operation is not seen.
    """

    def __init__(self) -> None:
        self.exponentials = 0
        self.peak = 0
        self._alive = 0
        self._known: dict[int, weakref.ref[Any]] = {}
        self._lock = threading.RLock()

    def __enter__(self) -> Tally:
        self._run = original = threading.Thread.run
        tally = self

        def run(thread: threading.Thread) -> None:  # a dispatch mode belongs to one thread
            with _Mode(tally):
                original(thread)

        threading.Thread.run = run  # type: ignore[method-assign, assignment]
        self._mode = _Mode(self)
        self._mode.__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        self._mode.__exit__(*error)  # type: ignore[no-untyped-call]
        threading.Thread.run = self._run  # type: ignore[method-assign]

    def meet(self, value: Tensor) -> None:
        """A tensor that an operation returned; its storage may be known."""
        storage = value.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        with self._lock:
            if key in self._known:
                return
            self._known[key] = weakref.ref(storage, lambda _: self._gone(key, size))
            self._alive += size
            self.peak = max(self.peak, self._alive)

    def _gone(self, key: int, size: int) -> None:
        with self._lock:
            self._known.pop(key, None)
            self._alive -= size


class _Mode(TorchDispatchMode):
    """Tells a Tally of every operation of one thread."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._tally = tally

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for value in tree_leaves(out):
            if isinstance(value, Tensor):
                self._tally.meet(value)
        if func.overloadpacket in _EXPONENTIALS and isinstance(out, Tensor):
            with self._tally._lock:
                self._tally.exponentials += out.numel()
        return out
