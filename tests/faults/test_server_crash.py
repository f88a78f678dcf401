"""The server itself crashes in the middle of a job: what was committed is there when it is back."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from localservers.postgresql.database import LocalDatabase
from tests.faults.conftest import golden_maker, make_week
from tests.faults.databases import AFTER_RECOVERY, Server, at
from tests.faults.jobs import AWARD_DAILY, IMPORT_ACTIVITY, Golden, Job
from tests.faults.pg_proxy import Session


@pytest.fixture(scope="module")
def mortal(server: Server, folder: Path) -> Iterator[Server]:
    """A server that writes its journal as production does, to be crashed at will."""
    mortal = Server(
        local=LocalDatabase(folder / "mortal", durable=True),
        folder=folder,
        commands=server.commands,
    )
    mortal.start()
    yield mortal
    mortal.local.destroy()


@pytest.fixture(scope="module")
def golden_of(mortal: Server, folder: Path):
    return golden_maker(make_week(mortal, folder), folder)


def crash_and_restart(server: Server) -> None:
    """Shut down at once, as after a kill: no process of the server may finish anything."""
    process = server.local.cluster.process()
    assert process is not None
    os.kill(process, signal.SIGQUIT)
    while server.local.cluster.process() is not None:
        time.sleep(0.01)
    server.start()


def crash_before(server: Server):
    """The message never reaches the server."""

    def strike(session: Session) -> None:
        crash_and_restart(server)
        session.cut()

    return strike


def crash_during(server: Server):
    """The server has the message; whether it finishes is a matter of luck."""

    def strike(session: Session) -> None:
        session.deliver()
        crash_and_restart(server)
        session.cut()

    return strike


CRASHES = {crash_before: "before a message", crash_during: "with a message under way"}


def crash_at(numbers: list[int], job: Job, golden: Golden, crash, fault) -> None:
    server = golden.before.server
    fault("F10", f"server crashed {CRASHES[crash]}: {job}", len(numbers))
    for number in numbers:
        with server.copy(golden.before) as database:
            with database.interposer(where=at(number), strike=crash(server)) as interposer:
                outcome = database.manage(*golden.argv, via=interposer, **job.settings)
            assert interposer.fired, "void"

            where = golden.messages[number - 1]
            assert outcome.code in {0, 1}, (where, outcome)
            assert "Traceback" not in outcome.err, (where, outcome)
            assert outcome.code == 1 or database.state() == golden.state, (where, outcome)
            assert database.broken() <= AFTER_RECOVERY, where
            database.settle()
            database.prepare(*golden.argv, **job.settings)
            assert (database.broken(), database.state()) == (set(), golden.state), where


@pytest.mark.parametrize("crash", CRASHES, ids=lambda crash: crash.__name__)
def test_a_crash_around_a_commit_of_a_batch_loses_and_doubles_nothing(crash, golden_of, fault):
    golden = golden_of(AWARD_DAILY)

    commits = [message.number for message in golden.messages if message.text == "COMMIT"]
    crash_at([commits[1]], AWARD_DAILY, golden, crash, fault)


@pytest.mark.parametrize("crash", CRASHES, ids=lambda crash: crash.__name__)
@pytest.mark.parametrize("job", [AWARD_DAILY, IMPORT_ACTIVITY], ids=str)
def test_a_crash_at_any_message_loses_and_doubles_nothing(job, crash, golden_of, fault):
    golden = golden_of(job)

    numbers = [message.number for message in golden.messages if message.kind not in "^pX"]
    crash_at(numbers, job, golden, crash, fault)
