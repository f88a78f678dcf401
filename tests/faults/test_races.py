"""Several processes at once: one set of awards, and nobody fails for the others' sake."""

import re
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.faults.databases import AFTER_RECOVERY, Database, day
from tests.faults.jobs import AWARD_DAILY, AWARD_WEEKLY, IMPORT_ACTIVITY, ROLL_OVER, Golden
from tests.faults.pg_proxy import Message, Session, Strike

BUSY = 3
"""The exit code of who finds another process at work on the same run."""

PARTIAL = 4
"""The exit code of who could not write every batch."""


def first_query_of_each(sessions: int) -> tuple[Callable[[Message], bool], Strike]:
    """Return (where, strike) that hold every process at its first query until all are there."""
    gate = threading.Barrier(sessions)
    seen: set[int] = set()

    def where(message: Message) -> bool:
        is_first = message.kind == "Q" and message.session not in seen
        seen.update({message.session} if is_first else set())
        return is_first

    def strike(session: Session) -> None:
        gate.wait(30)

    return where, strike


@pytest.mark.parametrize("processes", [2, 8])
@pytest.mark.parametrize("job", [AWARD_DAILY, AWARD_WEEKLY, IMPORT_ACTIVITY], ids=str)
def test_processes_with_the_same_job_make_one_set_of_awards(job, processes, golden_of, fault):
    golden = golden_of(job)
    where, strike = first_query_of_each(processes)

    with golden.before.server.copy(golden.before) as database:
        with database.interposer(where=where, strike=strike, times=processes) as interposer:
            started = [
                database.start(*golden.argv, via=interposer, **job.settings)
                for _ in range(processes)
            ]
            outcomes = [process.wait() for process in started]
        fault("F5", f"{processes} processes at once: {job}", interposer.fired // processes)

        codes = {outcome.code for outcome in outcomes}
        assert 0 in codes
        assert codes <= {0, BUSY}, outcomes
        assert interposer.fired == processes
        assert (database.broken(), database.state()) == (set(), golden.state)


@pytest.mark.parametrize("held", range(4))
def test_different_jobs_on_the_same_hosts_wait_for_each_other_and_all_end_well(held, week, fault):
    jobs = [
        ["award_daily", "--date", day(0)],
        ["award_daily", "--date", day(1)],
        ["award_weekly", "--week", day(0)],
        ["award_daily", "--date", day(7)],
    ]
    with week.server.copy(week) as database:
        for argv in jobs:
            database.prepare(*argv)
        expected = database.broken(), database.state()
    assert expected[0] <= {"I12"}  # nobody has awarded the days between

    with week.server.copy(week) as database:
        others = []

        def run_the_others(session: Session) -> None:
            """While one job is about to commit what it wrote, let the others meet its locks."""
            others.extend(database.start(*argv) for argv in jobs if argv is not jobs[held])
            database.wait_until(lambda: database.waiting() + sum(o.is_over for o in others) == 3)

        with database.interposer(
            where=commits_a_change_of_scores(), strike=run_the_others
        ) as held_up:
            outcomes = [database.manage(*jobs[held], via=held_up)]
        outcomes += [process.wait() for process in others]
        fault("F6", "other jobs meet an open batch", held_up.fired)

        assert {each.code for each in outcomes} == {0}, outcomes
        assert (database.broken(), database.state().ledger) == (expected[0], expected[1].ledger)
        # A host whose first award was written beside the run of a later day follows with the next.
        database.prepare(*jobs[3])
        assert (database.broken(), database.state()) == expected


def commits_a_change_of_scores() -> Callable[[Message], bool]:
    has_changed: list[bool] = []

    def where(message: Message) -> bool:
        if re.search(r"(INTO|UPDATE) rewards_score\b", message.text):
            has_changed.append(True)
        return message.text == "COMMIT" and bool(has_changed)

    return where


@pytest.mark.parametrize("job", [AWARD_DAILY, AWARD_WEEKLY, ROLL_OVER], ids=str)
def test_the_victim_of_a_deadlock_does_its_batch_again(job, golden_of, fault):
    golden = golden_of(job)
    with golden.before.server.copy(golden.before) as database, database.connect() as admin:
        hosts = hosts_written(database, golden)
        admin.execute("SET deadlock_timeout = '1min'")  # so that the job is the one to give way
        admin.execute("BEGIN")
        lock_score(admin, hosts[-1])
        process = database.start(*golden.argv)
        database.wait_until(lambda: database.waiting() == 1)

        lock_score(admin, hosts[0])
        admin.execute("COMMIT")
        outcome = process.wait()
        fault("F7", f"deadlock: {job}")

        assert outcome.code == 0, outcome
        assert outcome.err.count("met another process") == 1
        assert (database.broken(), database.state()) == (set(), golden.state)


def hosts_written(database: Database, golden: Golden) -> list[int]:
    """Return the hosts whose scores a job changes, in the order in which it locks them."""
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
@pytest.mark.parametrize("job", [AWARD_DAILY, AWARD_WEEKLY], ids=str)
def test_without_any_lock_the_constraint_alone_keeps_the_promise(job, processes, golden_of, fault):
    golden = golden_of(job)
    where, hold = first_query_of_each(processes)
    rewritten = []

    def unlocked(text: str) -> str:
        without = re.sub(r"pg_(try_)?advisory_\w*lock\w*\([^)]*\)", "true", text)
        without = re.sub(r" FOR (NO KEY )?UPDATE( OF \S+)?( SKIP LOCKED| NOWAIT)?", "", without)
        rewritten.extend([text] if text != without else [])
        return without

    with golden.before.server.copy(golden.before) as database:
        with database.interposer(
            where=where, strike=hold, times=processes, rewrite=unlocked
        ) as interposer:
            started = [
                database.start(*golden.argv, via=interposer, **job.settings)
                for _ in range(processes)
            ]
            outcomes = [process.wait() for process in started]
        fault("F11", f"{processes} processes without locks: {job}", min(len(rewritten), 1))

        assert {outcome.code for outcome in outcomes} <= {0, 1, BUSY, PARTIAL}, outcomes
        assert database.broken() <= AFTER_RECOVERY
        database.prepare(*golden.argv)
        # The journal counts what its locks let it see; the ledger and the scores need none.
        assert database.broken() <= {"I13"}
        assert database.state() == golden.state
