"""Units of a sweep on many processes or machines, through dask.distributed (the extra `cluster`).

    local:2            two worker processes on this machine
    tcp://host:8786    the workers of a scheduler that runs there (`dask scheduler`, `dask worker tcp://host:8786`)

Every unit is a task, its result is handed over as soon as it is there, in any order. A worker that dies costs the unit
that it worked on, which another one computes again, and one finished so shortly before that it still held it. Every
worker needs the same versions of the libraries as this machine, else the rows would differ in their last digits.
"""

from __future__ import annotations

import logging
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

from numerics.arguments import shown
from numerics.fit_grid import Sweep, Unit
from numerics.store import Columns, library_versions
from numerics.threads import one_thread

if TYPE_CHECKING:
    from distributed import Client

PATIENCE = 10.0
"""Seconds to wait for a scheduler, and for the first worker."""
MOST_WORKERS = 1024
_ADDRESS = re.compile(r"(tcp|tls|ws|wss|ucx)://.+")


def check_cluster(cluster: str) -> None:
    """Raises ValueError for what is neither local:N nor an address, and where dask.distributed is missing."""
    local = re.fullmatch(r"local:(\d{1,9})", cluster, re.ASCII)
    if local is None and not _ADDRESS.fullmatch(cluster):
        raise ValueError(f"cluster: {shown(cluster)!r} is neither local:N nor an address such as tcp://host:8786")
    if local is not None and not 1 <= int(local[1]) <= MOST_WORKERS:
        raise ValueError(f"cluster: {shown(cluster)!r}: from 1 to {MOST_WORKERS} workers are allowed")
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise ValueError('cluster: dask.distributed is missing; install "stablessm[cluster]"') from None


def run_on_cluster(
    cluster: str,
    worker: Callable[..., Columns],
    sweep: Sweep,
    units: Sequence[Unit],
    settings: Mapping[str, Any],
) -> Iterator[tuple[Unit, Columns]]:
    """The units with the columns that `worker(sweep, unit, **settings)` gives for them, in the order they get ready.

    Raises ValueError, in one line, where the cluster cannot be reached or has no workers, where a unit ended one worker
    after another, and what the worker itself refuses.
    """
    check_cluster(cluster)
    with _client(cluster) as client:
        yield from _completed(client, worker, sweep, units, settings)


def _completed(
    client: Client,
    worker: Callable[..., Columns],
    sweep: Sweep,
    units: Sequence[Unit],
    settings: Mapping[str, Any],
) -> Iterator[tuple[Unit, Columns]]:
    from distributed import KilledWorker, as_completed
    from distributed.client import FutureCancelledError

    versions = library_versions()
    unit_of = {client.submit(_task, worker, sweep, unit, settings, versions, pure=False): unit for unit in units}
    try:
        for future in as_completed(list(unit_of)):
            unit = unit_of.pop(future)
            try:
                columns = future.result()
            except KilledWorker as error:
                raise ValueError(
                    f"cluster: {unit.key} ended every worker it was given to ({error.last_worker.address} the last); "
                    "is there enough memory?"
                ) from None
            except (FutureCancelledError, OSError) as error:
                raise ValueError(f"cluster: the scheduler is gone, before {unit.key}: {shown(error, 100)}") from None
            future.release()
            yield unit, columns
    finally:
        client.cancel(list(unit_of))


def _task(
    worker: Callable[..., Columns], sweep: Sweep, unit: Unit, settings: Mapping[str, Any], versions: Mapping[str, str]
) -> Columns:
    """On the worker: one unit."""
    for name, here in library_versions().items():
        if here != versions[name]:
            raise ValueError(f"cluster: a worker has {name} {here}, this machine {versions[name]}; make them equal")
    with one_thread():  # but for what the settings say
        return worker(sweep, unit, **settings)


@contextmanager
def _client(cluster: str) -> Iterator[Client]:
    import dask
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # a dead worker is told about by our own lines
    configuration = {
        "distributed.comm.timeouts.connect": PATIENCE,
        "distributed.admin.large-graph-warning-threshold": "1GB",
        "distributed.scheduler.worker-saturation": 1.0,  # a dead worker held no unit but the one that ended it
    }
    with dask.config.set(configuration):
        if cluster.startswith("local:"):
            count = int(cluster.partition(":")[2])
            with ExitStack() as stack:
                with _interrupts_held():
                    local = LocalCluster(
                        n_workers=count, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=0,
                        silence_logs=logging.CRITICAL,
                    )  # fmt: skip
                    client = stack.enter_context(Client(stack.enter_context(local)))
                    client.run(_leave_interrupts_to_the_client)
                yield client
            return
        try:
            remote = Client(cluster, timeout=PATIENCE)
        except (OSError, TimeoutError, ValueError) as error:
            raise ValueError(f"cluster: no scheduler answers at {shown(cluster)}: {shown(error, 100)}") from None
        with remote as client:
            try:
                client.wait_for_workers(1, timeout=PATIENCE)
            except TimeoutError:
                raise ValueError(f"cluster: the scheduler at {shown(cluster)} has no workers") from None
            yield client


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C waits until the workers run: processes begun meanwhile never see it, nor those that replace them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which would let the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_interrupts_to_the_client() -> None:
    """On a worker of this machine: a terminal sends Ctrl-C to it as well, and it would print a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
