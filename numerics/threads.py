"""How many threads a computation is worth: on small tensors torch is several times slower with two than with one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread(wanted: bool = True) -> Iterator[None]:
    """Torch on one thread inside, where `wanted`; the previous number of threads afterwards, also after an error."""
    before = torch.get_num_threads()
    if wanted:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
