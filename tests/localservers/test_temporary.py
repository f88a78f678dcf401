"""Temporary databases end with the process that made them, however that process ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from localservers.postgresql.database import LocalDatabase
from localservers.temporary import temporary_servers
from tests.processes import ROOT, is_running, wait_until

HANGING_TEST = """
import os, time

def test_that_hangs():
    with open(os.environ["READY"] + ".new", "w") as ready:
        ready.write(os.environ["LOCALDB_DIR"])
    os.rename(os.environ["READY"] + ".new", os.environ["READY"])
    time.sleep(600)
"""


def test_the_block_ends_its_servers_and_removes_the_folder():
    with temporary_servers(prefix="localservers-test-") as folder:
        databases = [LocalDatabase(folder / name, durable=False) for name in ("one", "two/deep")]
        for database in databases:
            with psycopg.connect(**database.ensure_running()) as connection:
                connection.execute("SELECT 1")
        processes = [database.cluster.process() for database in databases]
        assert all(map(is_running, processes))

    assert not any(map(is_running, processes))
    assert not folder.exists()


def test_without_its_python_the_guard_removes_the_folder(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with temporary_servers(prefix="localservers-test-") as folder:
        (folder / "data").mkdir()

    assert not folder.exists()


def test_a_forked_child_does_not_keep_the_block_open():
    with temporary_servers(prefix="localservers-test-") as folder:
        child = os.fork()
        if child == 0:
            time.sleep(600)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)

    assert not folder.exists()


@contextmanager
def hanging_test_run(tmp_path: Path, *options: str) -> Iterator[tuple[int, Path]]:
    """Run pytest on a test that does not end; yield pytest's pid and the folder of its server."""
    (tmp_path / "test_hanging.py").write_text(HANGING_TEST)
    ready = tmp_path / "ready"
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"DATABASE_URL", "LOCALDB_DIR"} and not name.startswith("PYTEST_")
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    log = (tmp_path / "log").open("wb")
    with (
        log,
        subprocess.Popen(
            [*command, "--config-file", str(ROOT / "pyproject.toml"), str(tmp_path)],
            cwd=ROOT,
            env=environment | {"READY": str(ready)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as run,
    ):
        try:
            wait_until(lambda: ready.exists() or run.poll() is not None)
            assert ready.exists(), (tmp_path / "log").read_text()
            yield run.pid, Path(ready.read_text())
        finally:
            os.killpg(run.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("workers", "kill"),
    [
        # Pytest itself dies; its workers go on for some seconds.
        ("-n2", os.kill),
        # Everything in its process group dies at once.
        ("-n0", os.killpg),
    ],
)
def test_a_killed_test_run_leaves_no_server(
    workers: str, kill: Callable[[int, int], None], tmp_path: Path
):
    with hanging_test_run(tmp_path, workers) as (pytest_pid, folder):
        server = LocalDatabase(folder / "database").cluster.process()
        assert is_running(server)

        kill(pytest_pid, signal.SIGKILL)

        wait_until(lambda: not is_running(server) and not folder.exists())
