"""A job that the server blocks, cancels or refuses fails with one sentence, then completes."""

import os
import signal

import pytest

from tests.faults.databases import RECOVERABLE
from tests.faults.jobs import AWARD_DAILY, AWARD_WEEKLY, IMPORT_ACTIVITY, JOBS

TABLES = [
    # job, a table that it uses, in the order of their first use
    (AWARD_DAILY, "rewards_rewardrule"),
    (AWARD_DAILY, "rewards_awardrun"),
    (AWARD_DAILY, "rewards_awardbatch"),
    (AWARD_DAILY, "rewards_dailyactivity"),
    (AWARD_DAILY, "rewards_scorehistory"),
    (AWARD_DAILY, "rewards_score"),
    (IMPORT_ACTIVITY, "rewards_user"),
    (IMPORT_ACTIVITY, "rewards_activityevent"),
    (IMPORT_ACTIVITY, "rewards_dailyactivity"),
    (IMPORT_ACTIVITY, "rewards_activitytotal"),
]


CANCEL_WAITING = """
    SELECT pg_cancel_backend(pid) FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND datname = current_database()
"""


def assert_failed_with_one_sentence(outcome, *, codes):
    assert outcome.code in codes, outcome
    [sentence] = [line for line in outcome.err.splitlines() if line.startswith("CommandError: ")]
    assert outcome.err.endswith(sentence + "\n")
    assert "Traceback" not in outcome.err


def test_a_locked_score_does_not_block_other_batches(golden_of, fault):
    golden = golden_of(AWARD_WEEKLY)
    with golden.before.server.copy(golden.before) as database, database.connect() as admin:
        admin.execute("BEGIN")
        [(user,)] = admin.execute(
            "SELECT user_id FROM rewards_score ORDER BY user_id LIMIT 1 FOR UPDATE"
        ).fetchall()
        outcome = database.manage(*golden.argv, lock_timeout="100ms", **AWARD_WEEKLY.settings)
        fault("F8", "a score locked longer than the lock timeout")

        assert_failed_with_one_sentence(outcome, codes={4})
        assert "lock timeout" in outcome.err
        paid = database.query(
            "SELECT user_id FROM rewards_scorehistory WHERE rule_type = 'WEEKLY_CONSISTENCY'"
        )
        assert paid
        assert (user,) not in paid
        assert database.violations() <= RECOVERABLE
        admin.execute("ROLLBACK")
        database.prepare(*golden.argv, **AWARD_WEEKLY.settings)
        assert (database.violations(), database.state()) == (set(), golden.state)


def test_a_killed_process_keeps_its_run_until_its_statement_ends(golden_of, fault):
    golden = golden_of(AWARD_DAILY)
    with golden.before.server.copy(golden.before) as database:
        with database.connect() as admin:
            admin.execute("BEGIN")
            admin.execute("LOCK TABLE rewards_score IN ACCESS EXCLUSIVE MODE")
            process = database.start(*golden.argv, **AWARD_DAILY.settings)
            database.wait_until(lambda: database.waiting() == 1)
            os.kill(process.pid, signal.SIGKILL)
            second = database.manage(*golden.argv, **AWARD_DAILY.settings)
            assert database.waiting() == 1
            admin.execute(CANCEL_WAITING)  # as the lock timeout does later
            database.wait_until(lambda: database.waiting() == 0)
        fault("F8", "killed while its statement waits for a lock")

        assert (process.wait().code, second.code) == (-9, 3)
        database.wait_until_idle()
        database.prepare(*golden.argv, **AWARD_DAILY.settings)
        assert (database.violations(), database.state()) == (set(), golden.state)


@pytest.mark.parametrize(("job", "table"), TABLES, ids=str)
@pytest.mark.parametrize("end", ["pg_cancel_backend", "pg_terminate_backend"])
def test_a_cancelled_statement_leaves_no_half_batch(job, table, end, golden_of, fault):
    golden = golden_of(job)
    with golden.before.server.copy(golden.before) as database:
        with database.connect() as admin:
            admin.execute("BEGIN")
            admin.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            process = database.start(*golden.argv, **job.settings)
            database.wait_until(lambda: database.waiting() == 1)
            ended = admin.execute(
                f"SELECT {end}(pid) FROM pg_stat_activity"  # noqa: S608 - one of the two above
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            ).fetchall()
        outcome = process.wait()
        fault("F9", f"{end} in a statement: {job}", len(ended))

        assert_failed_with_one_sentence(outcome, codes={1, 4})
        assert database.violations() <= RECOVERABLE
        database.wait_until_idle()
        database.prepare(*golden.argv, **job.settings)
        assert (database.violations(), database.state()) == (set(), golden.state)


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_a_read_only_database_is_not_changed(job, golden_of, fault):
    golden = golden_of(job)
    with golden.before.server.copy(golden.before) as database:
        before = database.state()
        database.execute(f"ALTER DATABASE {database.name} SET default_transaction_read_only = on")
        outcome = database.manage(*golden.argv, **job.settings)
        fault("F13", f"read-only database: {job}")

        assert_failed_with_one_sentence(outcome, codes={1})
        assert "read-only" in outcome.err
        assert database.state() == before
        with database.server.admin() as admin:
            admin.execute(f"ALTER DATABASE {database.name} RESET default_transaction_read_only")
        database.prepare(*golden.argv, **job.settings)
        assert (database.violations(), database.state()) == (set(), golden.state)


@pytest.mark.parametrize("job", [AWARD_DAILY, IMPORT_ACTIVITY], ids=str)
def test_a_database_without_connections_is_named(job, golden_of, fault):
    golden = golden_of(job)
    with golden.before.server.copy(golden.before) as database:
        with database.server.admin() as admin:
            admin.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS false")
        outcome = database.manage(*golden.argv, **job.settings)
        fault("F12", f"no connection available: {job}")

        assert_failed_with_one_sentence(outcome, codes={1})
        assert "Cannot reach the database" in outcome.err
        with database.server.admin() as admin:
            admin.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")
        database.prepare(*golden.argv, **job.settings)
        assert (database.violations(), database.state()) == (set(), golden.state)


@pytest.mark.parametrize("job", [AWARD_DAILY, IMPORT_ACTIVITY], ids=str)
def test_a_statement_that_times_out_is_done_by_the_next_run(job, golden_of, fault):
    golden = golden_of(job)
    with golden.before.server.copy(golden.before) as database, database.connect() as admin:
        admin.execute("BEGIN")
        admin.execute("LOCK TABLE rewards_dailyactivity IN ACCESS EXCLUSIVE MODE")
        outcome = database.manage(*golden.argv, statement_timeout="2s", **job.settings)
        admin.execute("COMMIT")
        fault("F12", f"statement timeout: {job}")

        assert_failed_with_one_sentence(outcome, codes={1})
        assert "statement timeout" in outcome.err
        database.prepare(*golden.argv, **job.settings)
        assert (database.violations(), database.state()) == (set(), golden.state)
