import os
import signal
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from localservers.postgresql.database import LocalDatabase
from localservers.temporary import temporary_servers
from tests.faults.databases import Database, Server
from tests.faults.forkserver import ForkServer
from tests.faults.jobs import Golden, Job, set_rules, write_week

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is created in it


@pytest.fixture(scope="session", autouse=True)
def _heed_ctrl_c() -> None:
    """Let started programs receive SIGINT, also if the tests run in the background."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder, in memory if possible: a copy of a database is hundreds of files."""
    parent = MEMORY if os.access(MEMORY, os.W_OK) else None
    with temporary_servers(prefix="rewards-faults-", parent=parent) as folder:
        yield folder


@pytest.fixture(scope="session")
def server(folder: Path) -> Iterator[Server]:
    """A server whose databases may be damaged. It is never crashed itself."""
    local = LocalDatabase(folder / "db", durable=False)
    commands = ForkServer(folder)
    server = Server(local=local, folder=folder, commands=commands)
    server.start()
    yield server
    commands.close()


@pytest.fixture(scope="session")
def empty(server: Server) -> Database:
    """Empty tables. Copy it, never change it."""
    return migrated(server)


@pytest.fixture(scope="session")
def week(server: Server, folder: Path) -> Database:
    """A week of activity with rules, without awards. Copy it, never change it."""
    return make_week(server, folder)


def migrated(server: Server) -> Database:
    database = server.database()
    database.prepare("migrate", "--verbosity", "0")
    database.wait_until_idle()
    return database


def make_week(server: Server, folder: Path) -> Database:
    database = migrated(server)
    set_rules(database)
    database.prepare("import_activity", str(write_week(folder)), "--create-hosts")
    database.wait_until_idle()
    return database


@pytest.fixture(scope="session")
def golden_of(week: Database, folder: Path) -> Callable[[Job], Golden]:
    return golden_maker(week, folder)


def golden_maker(week: Database, folder: Path) -> Callable[[Job], Golden]:
    """Return a function that runs a job once without a fault and keeps the result."""

    @cache
    def golden(job: Job) -> Golden:
        before = week.server.database(like=week.name)
        job.before(before)
        before.wait_until_idle()
        argv = job.argv(folder)
        with before.server.copy(before) as database:
            with database.proxy() as proxy:
                outcome = database.manage(*argv, via=proxy, **job.settings)
            assert outcome.code == 0, outcome
            assert database.violations() == set()
            state = database.state()
        assert state.unfinished == 0
        return Golden(before, argv, proxy.messages, state)

    return golden
