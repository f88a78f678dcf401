"""Real processes and databases, for tests of races and crashes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from django.db import connection
from psycopg import sql

from localservers.process_group import ProcessGroup
from tests.fault_injection import BARRIER
from tests.settings import resources

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_SECONDS = 600
"""When a wait fails. Far above what the slowest machine needs: only a hang reaches it."""


@contextmanager
def database(name: str, *, template: str = "template0") -> Iterator[str]:
    """Create a copy of a database that has no connections, and drop it after the block."""
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    with connection._nodb_cursor() as server:
        server.execute(drop)
        server.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
    try:
        yield name
    finally:
        with connection._nodb_cursor() as server:
            server.execute(drop)


@contextmanager
def connected_to(name: str) -> Iterator[None]:
    """Connect Django to the database `name`."""
    before = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before


@contextmanager
def own_database(name: str, *, template: str = "template0") -> Iterator[None]:
    """Connect Django to a new database, which is dropped after the block."""
    with database(name, template=template), connected_to(name):
        yield


def environment(**settings: str) -> dict[str, str]:
    """Return the environment of a process that uses the database of this test."""
    params = connection.get_connection_params()
    host = str(params["host"])
    user, password, name = (
        quote(str(value or ""), safe="")
        for value in (params["user"], params.get("password"), connection.settings_dict["NAME"])
    )
    address = "127.0.0.1" if host.startswith("/") else host
    url = f"postgresql://{user}:{password}@{address}:{params['port']}/{name}"
    return {**os.environ, "DATABASE_URL": url, "DEBUG": "true", **settings}


def is_running(process: int | None) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def wait_until(
    condition: Callable[[], bool], failure: Callable[[], str] = lambda: "It never came true."
) -> None:
    """Wait until `condition` holds; fail with the text of `failure` after TIMEOUT_SECONDS."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, failure()
        time.sleep(0.02)


@cache
def _children() -> ProcessGroup:
    """The processes that tests start; they end with this one."""
    return resources.enter_context(ProcessGroup())


def start(program: Sequence[str], **settings: str) -> subprocess.Popen[str]:
    """Start Python in the project's folder with `program` as arguments."""
    return _children().start(
        [sys.executable, *program],
        cwd=ROOT,
        env=environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for `process`; return its exit code, standard output and standard error."""
    try:
        out, err = process.communicate(timeout=TIMEOUT_SECONDS)
    finally:
        process.kill()
    return process.returncode, out, err


def manage(*arguments: str, **settings: str) -> tuple[int, str, str]:
    """Run a command in its own process; return its exit code, output and error output."""
    return finish(start(["manage.py", *arguments], **settings))


def start_with_fault(*arguments: str, **settings: str) -> subprocess.Popen[str]:
    """Start a command under `tests.fault_injection`."""
    return start(["-m", "tests.fault_injection", *arguments], **settings)


def measured(*arguments: str, **settings: str) -> tuple[int, str, float]:
    """Run a command; return its exit code, its output and its peak of memory in MB."""
    # A small process in between: a child starts with the peak of its parent.
    program = """
import resource, subprocess, sys
code = subprocess.call([sys.executable, "manage.py", *sys.argv[1:]])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
    code, out, err = finish(start(["-c", program, *arguments], **settings))
    *lines, peak = (out or err).splitlines()
    unit = 1 if sys.platform == "darwin" else 1024
    return code, "\n".join(lines) + err, int(peak) * unit / 1_000_000


def another_session() -> psycopg.Connection:
    """Return a second connection to this test's database, in autocommit."""
    return psycopg.connect(environment()["DATABASE_URL"], autocommit=True)


@contextmanager
def held_by_another(key: tuple[int, int], *, function: str = "pg_advisory_lock") -> Iterator[None]:
    """Hold an advisory lock in another session, and release it before the block ends.

    A session that is only closed releases it some time later, during the next test.
    """
    with another_session() as session:
        session.execute(f"SELECT {function}(%s, %s)".encode(), key)
        try:
            yield
        finally:
            session.execute("SELECT pg_advisory_unlock_all()")


@contextmanager
def barrier() -> Iterator[Callable[[], None]]:
    """Hold every process that reaches its `--hold-at`. Yields a function that releases them all."""
    with another_session() as session:
        session.execute("SELECT pg_advisory_lock(%s)", [BARRIER])

        def release() -> None:
            session.execute("SELECT pg_advisory_unlock(%s)", [BARRIER])

        yield release


def wait_until_held(*processes: subprocess.Popen[Any]) -> None:
    """Wait until each of `processes`, or a child of it, waits at the barrier."""
    _wait_for_locks(AT_BARRIER, processes)


def wait_until_blocked(*processes: subprocess.Popen[Any]) -> None:
    """Wait until each of `processes` waits for the transaction of another one to end."""
    _wait_for_locks("locktype = 'transactionid'", processes)


def _wait_for_locks(condition: str, processes: Sequence[subprocess.Popen[Any]]) -> None:
    with another_session() as session:

        def all_wait() -> bool:
            for process in processes:
                assert process.poll() is None, process.communicate()
            return waiting_sessions(session, condition) == len(processes)

        wait_until(all_wait, lambda: f"{waiting_sessions(session, condition)} wait: {condition}")


AT_BARRIER = f"locktype = 'advisory' AND objid = {BARRIER}"


def waiting_sessions(session: psycopg.Connection, condition: str) -> int:
    """Return how many sessions of the database of `session` wait for such a lock."""
    # In this database only: other tests have barriers on the same server.
    query = (
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) "  # noqa: S608 - constants
        f"WHERE datname = current_database() AND NOT granted AND {condition}"
    )
    row = session.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])
