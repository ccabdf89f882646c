"""A sweep on several processes: equal tables in any order, a worker that dies, and clusters that are none."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from numerics import cluster as cluster_module
from numerics.cluster import check_cluster
from numerics.fit_grid import Sweep, Unit, sweep_of_json
from numerics.store import Columns, Store
from numerics.sweep import run_sweep
from tests.numerics.fake_fits import fake_unit, same_tables

pytest.importorskip("distributed", reason="the extra cluster is not installed")

ROOT = Path(__file__).parent.parent.parent
SWEEP = sweep_of_json(
    {"target": ["exponential", "polynomial:p=2"], "reparam": ["exp", "softplus"], "m": [1, 3], "seeds": 5, "batch": 4}
)
MARKS = "STABLESSM_TEST_MARKS"
"""An environment variable: the folder where the workers of a test leave word of what they began."""


def mark(unit: Unit) -> list[int]:
    """Notes that this process begins the unit; the processes that have begun it so far."""
    path = Path(os.environ[MARKS]) / unit.key
    with open(path, "a", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    return [int(line) for line in path.read_text(encoding="ascii").split()]


def marked_unit(sweep: Sweep, unit: Unit, **given: Any) -> Columns:
    mark(unit)
    return fake_unit(sweep, unit, **given)


def deadly_once(sweep: Sweep, unit: Unit, **given: Any) -> Columns:
    """Waits to be ended, the first time that the third unit is begun."""
    if mark(unit) == [os.getpid()] and unit.key == "unit-00002":
        time.sleep(60)
    return fake_unit(sweep, unit, **given)


def deadly(sweep: Sweep, unit: Unit, **given: Any) -> Columns:
    """The third unit ends its worker every time."""
    if unit.key == "unit-00002":
        os.kill(os.getpid(), signal.SIGKILL)
    return fake_unit(sweep, unit, **given)


def refusing(sweep: Sweep, unit: Unit, **given: Any) -> Columns:
    if unit.key == "unit-00002":
        raise ValueError("m: there is not enough memory")
    return fake_unit(sweep, unit, **given)


@pytest.fixture
def marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "marks"
    folder.mkdir()
    monkeypatch.setenv(MARKS, str(folder))
    return folder


def run(**given: Any) -> Columns:
    return run_sweep(SWEEP, **{"worker": fake_unit, "device": "cpu", **given})


def times_begun(marks: Path) -> dict[str, int]:
    return {path.name: len(path.read_text(encoding="ascii").split()) for path in marks.iterdir()}


@pytest.mark.slow
def test_a_worker_that_dies_costs_its_unit_alone(tmp_path: Path, marks: Path) -> None:
    """One of two workers is killed while it works on the third unit; every other unit is computed once."""
    killed: list[int] = []

    def kill() -> None:
        path = marks / "unit-00002"
        while not (path.exists() and path.read_text(encoding="ascii").endswith("\n")):
            time.sleep(0.02)
        victim = path.read_text(encoding="ascii")
        handed_over = [other.name for other in marks.iterdir() if other != path and victim == other.read_text()]
        while not all((tmp_path / "out" / "chunks" / f"{key}.npz").exists() for key in handed_over):
            time.sleep(0.02)
        killed.append(int(victim))
        os.kill(killed[0], signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    table = run(folder=tmp_path / "out", cluster="local:2", worker=deadly_once)
    assert len(killed) == 1
    assert same_tables(table, run())
    begun = times_begun(marks)
    assert begun.pop("unit-00002") == 2
    assert set(begun.values()) == {1}
    assert len(begun) == len(SWEEP.units()) - 1


@pytest.mark.slow
def test_what_a_cluster_cannot_finish_is_one_line_and_the_rest_is_kept(tmp_path: Path) -> None:
    import dask

    keys = [unit.key for unit in SWEEP.units()]
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        pytest.raises(ValueError, match="unit-00002 ended every worker it was given to") as caught,
    ):
        run(folder=tmp_path, cluster="local:1", worker=deadly)
    assert "\n" not in str(caught.value)
    assert "unit-00002" in Store.read(tmp_path).missing(keys)
    assert same_tables(run(folder=tmp_path), run())


@pytest.mark.slow
def test_a_scheduler_elsewhere(tmp_path: Path, marks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through an address: without workers a line, with them the same table; what is finished is not asked for again."""
    from distributed import LocalCluster

    monkeypatch.setattr(cluster_module, "PATIENCE", 2.0)
    with LocalCluster(n_workers=0, threads_per_worker=1, dashboard_address=None, memory_limit=0) as remote:
        address = remote.scheduler_address
        with pytest.raises(ValueError, match=f"the scheduler at {address} has no workers"):
            run(folder=tmp_path / "out", cluster=address)
        remote.scale(2)
        monkeypatch.setattr(cluster_module, "PATIENCE", 30.0)
        table = run(folder=tmp_path / "out", cluster=address, worker=marked_unit)
        assert same_tables(table, run())
        for key in ("unit-00001", "unit-00003"):
            (tmp_path / "out" / "chunks" / f"{key}.npz").unlink()
        assert same_tables(run(folder=tmp_path / "out", cluster=address, worker=marked_unit), table)
        begun = times_begun(marks)
        assert {key for key, times in begun.items() if times == 2} == {"unit-00001", "unit-00003"}
        with pytest.raises(ValueError, match="m: there is not enough memory"):
            run(cluster=address, worker=refusing)
        for content in ({"m": [1, 3]}, {"m": 2, "mode": "gradient", "steps": 40}):
            sweep = sweep_of_json(
                {"target": "exponential", "reparam": ["exp", "best"], "seeds": 4, "batch": 3} | content
            )
            assert same_tables(run_sweep(sweep, cluster=address, device="cpu"), run_sweep(sweep, device="cpu"))
        versions = {**cluster_module.library_versions(), "numpy": "0.1"}
        monkeypatch.setattr(cluster_module, "library_versions", lambda: versions)
        with pytest.raises(ValueError, match=r"a worker has numpy \d.*, this machine 0\.1; make them equal"):
            run(cluster=address)


def test_nothing_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "PATIENCE", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ValueError, match=f"no scheduler answers at tcp://127.0.0.1:{port}") as caught:
        run(cluster=f"tcp://127.0.0.1:{port}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "local", "local:", "local:0", "local:-1", "local:2000", "host:8786", "tcp://"])
def test_a_cluster_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"cluster: .*(neither|workers are allowed)"):
        check_cluster(text)


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="a system without masks of signals")
def test_an_interrupt_waits_and_is_not_for_the_workers() -> None:
    program = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    said = []

    def begin() -> None:
        with cluster_module._interrupts_held():
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
            child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
            said.append(child.stdout.strip())

    with pytest.raises(KeyboardInterrupt):
        begin()
    assert said == ["True"]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_the_missing_package_is_named() -> None:
    program = (
        "import sys; sys.modules['distributed'] = None\n"
        "from numerics.cluster import check_cluster\n"
        "try: check_cluster('local:2')\n"
        "except ValueError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'cluster: dask.distributed is missing; install "stablessm[cluster]"'
