"""Real processes on a real database: what tests of races and crashes are made of."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
from django.db import connection
from psycopg import sql

from tests.fault_injection import BARRIER

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 120
"""Seconds after which a process is taken to hang."""


@contextmanager
def database(name: str, *, template: str = "template0") -> Iterator[str]:
    """Make a database, a copy of one to which nobody is connected; it is gone afterwards."""
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
    """Let Django's connection work on the database `name`, in which whatever commits stays."""
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
    """Give the test a database of its own, whoever else is killed in it."""
    with database(name, template=template), connected_to(name):
        yield


def environment(**settings: str) -> dict[str, str]:
    """Return what a process needs to work on the database that this test works on."""
    params = connection.get_connection_params()
    host = str(params["host"])
    user, password, name = (
        quote(str(each or ""), safe="")
        for each in (params["user"], params.get("password"), connection.settings_dict["NAME"])
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


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {PATIENCE} seconds"
        time.sleep(0.02)


def start(program: Sequence[str], **settings: str) -> subprocess.Popen[str]:
    """Start Python on the project with `program` as arguments."""
    return subprocess.Popen(
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
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    return process.returncode, out, err


def manage(*arguments: str, **settings: str) -> tuple[int, str, str]:
    """Run a command in a process of its own; return its exit code, output and error."""
    return finish(start(["manage.py", *arguments], **settings))


def disturbed(*arguments: str, **settings: str) -> subprocess.Popen[str]:
    """Start a command under `tests.fault_injection`."""
    return start(["-m", "tests.fault_injection", *arguments], **settings)


def measured(*arguments: str, **settings: str) -> tuple[int, str, float]:
    """Run a command; return its exit code, its output and its peak of memory in MB."""
    # A process of its own in between, since a peak is inherited by whoever is started directly.
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
    """Hold an advisory lock in another session, which lets go of it before the block is left.

    A session that only closes does so some time later, in the middle of the next test.
    """
    with another_session() as session:
        session.execute(f"SELECT {function}(%s, %s)".encode(), key)
        try:
            yield
        finally:
            session.execute("SELECT pg_advisory_unlock_all()")


@contextmanager
def barrier() -> Iterator[Callable[[], None]]:
    """Hold back every process that comes to its `--hold-at`; yields what lets them all go."""
    with another_session() as session:
        session.execute("SELECT pg_advisory_lock(%s)", [BARRIER])

        def release() -> None:
            session.execute("SELECT pg_advisory_unlock(%s)", [BARRIER])

        yield release


def wait_until_held(processes: int) -> None:
    """Wait until so many processes wait at the barrier."""
    _wait_for_locks(f"locktype = 'advisory' AND objid = {BARRIER}", processes)


def wait_until_blocked(processes: int) -> None:
    """Wait until so many processes wait for what another one has written to be committed."""
    _wait_for_locks("locktype = 'transactionid'", processes)


def _wait_for_locks(condition: str, processes: int) -> None:
    # Of this database only: other tests wait at their own barriers on the same server.
    query = (
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) "  # noqa: S608 - our words
        f"WHERE datname = current_database() AND NOT granted AND {condition}"
    )
    deadline = time.monotonic() + PATIENCE
    with another_session() as session:
        while session.execute(query).fetchone() != (processes,):
            assert time.monotonic() < deadline, f"waited in vain for {condition}"
            time.sleep(0.02)
