"""Several processes at once write one set of awards, and none fails because of the others."""

import re
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.faults.databases import RECOVERABLE, Database, day
from tests.faults.forkserver import TIMEOUT_SECONDS
from tests.faults.jobs import (
    AWARD_DAILY,
    AWARD_DUE,
    AWARD_WEEKLY,
    IMPORT_ACTIVITY,
    REPAIR_SCORES,
    ROLL_OVER,
    SET_RULE,
    SMOKE,
    Golden,
)
from tests.faults.pg_proxy import Action, Message, Session

BUSY = 3
"""The exit code of a command that finds another process opening the same run."""

PARTIAL = 4
"""The exit code of a command that could not write every batch."""


def first_query_of_each(sessions: int) -> tuple[Callable[[Message], bool], Action]:
    """Return (where, action) that hold every process at its first query until all are there."""
    gate = threading.Barrier(sessions)
    seen: set[int] = set()

    def where(message: Message) -> bool:
        is_first = message.kind == "Q" and message.session not in seen
        seen.update({message.session} if is_first else set())
        return is_first

    def hold(session: Session) -> None:
        gate.wait(TIMEOUT_SECONDS)

    return where, hold


@pytest.mark.parametrize("processes", [2, 8])
@pytest.mark.parametrize(
    "job", [SMOKE, AWARD_WEEKLY, AWARD_DUE, IMPORT_ACTIVITY, SET_RULE, REPAIR_SCORES], ids=str
)
def test_processes_with_the_same_job_write_one_set_of_awards(job, processes, golden_of, fault):
    golden = golden_of(job)
    where, hold = first_query_of_each(processes)

    with golden.before.server.copy(golden.before) as database:
        with database.proxy(where=where, action=hold, times=processes) as proxy:
            started = [
                database.start(*golden.argv, via=proxy, **job.settings) for _ in range(processes)
            ]
            outcomes = [process.wait() for process in started]
        fault("F5", f"{processes} processes at once: {job}", proxy.fired // processes)

        codes = {outcome.code for outcome in outcomes}
        # Processes of award_due share its periods: each can find one busy.
        assert 0 in codes or job is AWARD_DUE
        assert codes <= {0, BUSY}, outcomes
        assert proxy.fired == processes
        assert (database.violations(), database.state()) == (set(), golden.state)


@pytest.mark.parametrize("held", range(4))
def test_jobs_on_the_same_hosts_wait_for_each_other(held, week, fault):
    jobs = [
        ["award_daily", "--date", day(0)],
        ["award_daily", "--date", day(1)],
        ["award_weekly", "--week", day(0)],
        ["award_daily", "--date", day(7)],
    ]
    with week.server.copy(week) as database:
        for argv in jobs:
            database.prepare(*argv)
        expected = database.violations(), database.state()
    assert expected[0] <= {"I12"}  # the days in between are not awarded

    with week.server.copy(week) as database:
        if held == 3:
            database.prepare(*jobs[1])  # a roll-over needs scores to move
        others = []

        def run_the_others(session: Session) -> None:
            """Let the other jobs wait for the locks of a job that is about to commit."""
            others.extend(database.start(*argv) for argv in jobs if argv is not jobs[held])
            database.wait_until(
                lambda: database.waiting() + sum(other.has_ended for other in others) == 3
            )

        with database.proxy(where=commits_a_change_of_scores(), action=run_the_others) as proxy:
            outcomes = [database.manage(*jobs[held], via=proxy)]
        outcomes += [process.wait() for process in others]
        fault("F6", "other jobs meet an open batch", proxy.fired)

        assert {outcome.code for outcome in outcomes} == {0}, outcomes
        assert (database.violations(), database.state().ledger) == (expected[0], expected[1].ledger)
        # The next run moves the score of a host whose first award was written beside a later day.
        database.prepare(*jobs[3])
        assert (database.violations(), database.state()) == expected


def commits_a_change_of_scores() -> Callable[[Message], bool]:
    has_changed: list[bool] = []

    def where(message: Message) -> bool:
        if re.search(r"(INTO|UPDATE) rewards_score\b", message.text):
            has_changed.append(True)
        return message.text == "COMMIT" and bool(has_changed)

    return where


@pytest.mark.parametrize("job", [AWARD_DAILY, AWARD_WEEKLY, ROLL_OVER], ids=str)
def test_the_victim_of_a_deadlock_retries_its_batch(job, golden_of, fault):
    golden = golden_of(job)
    with golden.before.server.copy(golden.before) as database, database.connect() as admin:
        hosts = hosts_written(database, golden)
        admin.execute("SET deadlock_timeout = '10min'")  # so that the job becomes the victim
        admin.execute("BEGIN")
        lock_score(admin, hosts[-1])
        process = database.start(*golden.argv)
        database.wait_until(lambda: database.waiting() == 1)

        lock_score(admin, hosts[0])
        admin.execute("COMMIT")
        outcome = process.wait()
        fault("F7", f"deadlock: {job}")

        assert outcome.code == 0, outcome
        assert outcome.err.count("met a conflict") == 1
        assert (database.violations(), database.state()) == (set(), golden.state)


def hosts_written(database: Database, golden: Golden) -> list[int]:
    """Return the user ids of the scores that a job changes, in the order of its locks."""
    before = database.state()
    changed = [row[0] for row in golden.state.ledger if row not in before.ledger] or [
        row[0] for row in golden.state.scores if row not in before.scores
    ]
    return [
        user
        for (user,) in database.query(
            "SELECT user_id FROM rewards_score s JOIN rewards_user u ON u.id = user_id "
            "WHERE external_id = ANY(%s) ORDER BY user_id",
            changed,
        )
    ]


def lock_score(admin: psycopg.Connection[tuple[Any, ...]], user: int) -> None:
    admin.execute("SELECT 1 FROM rewards_score WHERE user_id = %s FOR UPDATE", [user])


@pytest.mark.parametrize("processes", [2, 8])
@pytest.mark.parametrize("job", [SMOKE, AWARD_WEEKLY], ids=str)
def test_the_constraint_alone_prevents_double_awards(job, processes, golden_of, fault):
    golden = golden_of(job)
    where, hold = first_query_of_each(processes)
    rewritten = []

    def unlocked(text: str) -> str:
        without = re.sub(r"pg_(try_)?advisory_\w*lock\w*\([^)]*\)", "true", text)
        without = re.sub(r" FOR (NO KEY )?UPDATE( OF \S+)?( SKIP LOCKED| NOWAIT)?", "", without)
        rewritten.extend([text] if text != without else [])
        return without

    with golden.before.server.copy(golden.before) as database:
        with database.proxy(where=where, action=hold, times=processes, rewrite=unlocked) as proxy:
            started = [
                database.start(*golden.argv, via=proxy, **job.settings) for _ in range(processes)
            ]
            outcomes = [process.wait() for process in started]
        fault("F11", f"{processes} processes without locks: {job}", min(len(rewritten), 1))

        assert {outcome.code for outcome in outcomes} <= {0, 1, BUSY, PARTIAL}, outcomes
        assert database.violations() <= RECOVERABLE
        database.prepare(*golden.argv)
        # The counts of the journal need the locks; the ledger and the scores do not.
        assert database.violations() <= {"I13"}
        assert database.state() == golden.state
