"""A server that makes a job wait, ends it, or refuses it: one sentence, and a clean next run."""

import os
import signal

import pytest

from tests.faults.databases import AFTER_RECOVERY
from tests.faults.jobs import AWARD_DAILY, AWARD_WEEKLY, IMPORT_ACTIVITY, JOBS

TABLES = [
    "rewards_rewardrule",
    "rewards_awardrun",
    "rewards_awardbatch",
    "rewards_dailyactivity",
    "rewards_scorehistory",
    "rewards_score",
]
"""What a job of awards touches, in the order in which it comes to it."""


def assert_ended_with_a_sentence(outcome, *, codes):
    assert outcome.code in codes, outcome
    [said] = [line for line in outcome.err.splitlines() if line.startswith("CommandError: ")]
    assert outcome.err.endswith(said + "\n")


def test_the_batches_of_others_are_written_while_someone_keeps_a_score_locked(golden_of, fault):
    golden = golden_of(AWARD_WEEKLY)
    with golden.before.server.copy(golden.before) as database, database.connect() as admin:
        admin.execute("BEGIN")
        [(user,)] = admin.execute(
            "SELECT user_id FROM rewards_score ORDER BY user_id LIMIT 1 FOR UPDATE"
        ).fetchall()
        outcome = database.manage(*golden.argv, lock_timeout="100ms", **AWARD_WEEKLY.settings)
        fault("F8", "a score locked for long")

        assert_ended_with_a_sentence(outcome, codes={4})
        assert "lock timeout" in outcome.err
        paid = database.query(
            "SELECT user_id FROM rewards_scorehistory WHERE rule_type = 'WEEKLY_CONSISTENCY'"
        )
        assert paid
        assert (user,) not in paid
        assert database.broken() <= AFTER_RECOVERY
        admin.execute("ROLLBACK")
        database.prepare(*golden.argv, **AWARD_WEEKLY.settings)
        assert (database.broken(), database.state()) == (set(), golden.state)


def test_a_dead_process_whose_statement_still_waits_keeps_others_off_until_it_gives_up(
    golden_of, fault
):
    golden = golden_of(AWARD_DAILY)
    with golden.before.server.copy(golden.before) as database:
        with database.connect() as admin:
            admin.execute("BEGIN")
            admin.execute("LOCK TABLE rewards_score IN ACCESS EXCLUSIVE MODE")
            process = database.start(*golden.argv, lock_timeout="1s", **AWARD_DAILY.settings)
            database.wait_until(lambda: database.waiting() == 1)
            os.kill(process.pid, signal.SIGKILL)
            second = database.manage(*golden.argv, **AWARD_DAILY.settings)
            database.wait_until(lambda: database.waiting() == 0)
        fault("F8", "killed while its statement waits for a lock")

        assert (process.wait().code, second.code) == (-9, 3)
        database.settle()
        database.prepare(*golden.argv, **AWARD_DAILY.settings)
        assert (database.broken(), database.state()) == (set(), golden.state)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("end", ["pg_cancel_backend", "pg_terminate_backend"])
def test_a_statement_that_an_admin_ends_leaves_no_half_batch(table, end, golden_of, fault):
    golden = golden_of(AWARD_DAILY)
    with golden.before.server.copy(golden.before) as database:
        with database.connect() as admin:
            admin.execute("BEGIN")
            admin.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            process = database.start(*golden.argv, **AWARD_DAILY.settings)
            database.wait_until(lambda: database.waiting() == 1)
            ended = admin.execute(
                f"SELECT {end}(pid) FROM pg_stat_activity"  # noqa: S608 - one of the two above
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            ).fetchall()
        outcome = process.wait()
        fault("F9", f"{end} in a statement", len(ended))

        assert_ended_with_a_sentence(outcome, codes={1, 4})
        assert database.broken() <= AFTER_RECOVERY
        database.settle()
        database.prepare(*golden.argv, **AWARD_DAILY.settings)
        assert (database.broken(), database.state()) == (set(), golden.state)


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_a_read_only_database_is_left_alone(job, golden_of, fault):
    golden = golden_of(job)
    with golden.before.server.copy(golden.before) as database:
        before = database.state()
        database.execute(f"ALTER DATABASE {database.name} SET default_transaction_read_only = on")
        outcome = database.manage(*golden.argv, **job.settings)
        fault("F13", f"read-only database: {job}")

        assert_ended_with_a_sentence(outcome, codes={1})
        assert "read-only" in outcome.err
        assert "Traceback" not in outcome.err
        assert database.state() == before
        with database.server.admin() as admin:
            admin.execute(f"ALTER DATABASE {database.name} RESET default_transaction_read_only")
        database.prepare(*golden.argv, **job.settings)
        assert (database.broken(), database.state()) == (set(), golden.state)


@pytest.mark.parametrize("job", [AWARD_DAILY, IMPORT_ACTIVITY], ids=str)
def test_a_server_that_has_no_connection_left_says_so(job, golden_of, fault):
    golden = golden_of(job)
    with golden.before.server.copy(golden.before) as database:
        with database.server.admin() as admin:
            admin.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS false")
        outcome = database.manage(*golden.argv, **job.settings)
        fault("F12", f"no connection to be had: {job}")

        assert_ended_with_a_sentence(outcome, codes={1})
        assert "Cannot reach the database" in outcome.err
        assert "Traceback" not in outcome.err
        with database.server.admin() as admin:
            admin.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")
        database.prepare(*golden.argv, **job.settings)
        assert (database.broken(), database.state()) == (set(), golden.state)


@pytest.mark.parametrize("job", [AWARD_DAILY, IMPORT_ACTIVITY], ids=str)
def test_a_statement_that_takes_too_long_is_given_up_and_done_by_the_next_run(
    job, golden_of, fault
):
    golden = golden_of(job)
    with golden.before.server.copy(golden.before) as database, database.connect() as admin:
        admin.execute("BEGIN")
        admin.execute("LOCK TABLE rewards_dailyactivity IN ACCESS EXCLUSIVE MODE")
        outcome = database.manage(*golden.argv, statement_timeout="300ms", **job.settings)
        admin.execute("COMMIT")
        fault("F12", f"statement timeout: {job}")

        assert_ended_with_a_sentence(outcome, codes={1})
        assert "statement timeout" in outcome.err
        assert "Traceback" not in outcome.err
        database.prepare(*golden.argv, **job.settings)
        assert (database.broken(), database.state()) == (set(), golden.state)
