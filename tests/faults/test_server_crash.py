"""The server crashes in the middle of a job. After its restart, committed work is there."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from localservers.postgresql.database import LocalDatabase
from tests.faults.conftest import golden_maker, make_week
from tests.faults.databases import RECOVERABLE, Server, at
from tests.faults.jobs import AWARD_DAILY, IMPORT_ACTIVITY, Golden, Job
from tests.faults.pg_proxy import Session


@pytest.fixture(scope="module")
def durable_server(server: Server, folder: Path) -> Iterator[Server]:
    """A server that flushes its journal as in production. Tests may crash it."""
    durable_server = Server(
        local=LocalDatabase(folder / "durable", durable=True),
        folder=folder,
        commands=server.commands,
    )
    durable_server.start()
    yield durable_server
    durable_server.local.destroy()


@pytest.fixture(scope="module")
def golden_of(durable_server: Server, folder: Path):
    return golden_maker(make_week(durable_server, folder), folder)


def crash_and_restart(server: Server) -> None:
    """Shut the server down as after a kill: none of its processes may finish its work."""
    process = server.local.cluster.process()
    assert process is not None
    os.kill(process, signal.SIGQUIT)
    while server.local.cluster.process() is not None:
        time.sleep(0.01)
    server.start()


def crash_before(server: Server):
    """The server never receives the message."""

    def crash(session: Session) -> None:
        crash_and_restart(server)
        session.cut()

    return crash


def crash_during(server: Server):
    """The server receives the message and may or may not execute it."""

    def crash(session: Session) -> None:
        session.deliver()
        crash_and_restart(server)
        session.cut()

    return crash


CRASHES = {crash_before: "before a message", crash_during: "while executing a message"}


def crash_at(numbers: list[int], job: Job, golden: Golden, crash, fault) -> None:
    server = golden.before.server
    fault("F10", f"server crashed {CRASHES[crash]}: {job}", len(numbers))
    for number in numbers:
        with server.copy(golden.before) as database:
            with database.proxy(where=at(number), action=crash(server)) as proxy:
                outcome = database.manage(*golden.argv, via=proxy, **job.settings)
            assert proxy.fired

            where = golden.messages[number - 1]
            assert outcome.code in {0, 1}, (where, outcome)
            assert "Traceback" not in outcome.err, (where, outcome)
            assert outcome.code == 1 or database.state() == golden.state, (where, outcome)
            assert database.violations() <= RECOVERABLE, where
            database.wait_until_idle()
            database.prepare(*golden.argv, **job.settings)
            assert (database.violations(), database.state()) == (set(), golden.state), where


@pytest.mark.parametrize("crash", CRASHES, ids=lambda crash: crash.__name__)
def test_a_server_crash_at_the_commit_of_a_batch(crash, golden_of, fault):
    golden = golden_of(AWARD_DAILY)

    crash_at([golden.commits()[1]], AWARD_DAILY, golden, crash, fault)


@pytest.mark.parametrize("crash", CRASHES, ids=lambda crash: crash.__name__)
@pytest.mark.parametrize("job", [AWARD_DAILY, IMPORT_ACTIVITY], ids=str)
def test_a_server_crash_at_every_message(job, crash, golden_of, fault):
    golden = golden_of(job)

    numbers = [message.number for message in golden.messages if message.kind not in "^pX"]
    crash_at(numbers, job, golden, crash, fault)
