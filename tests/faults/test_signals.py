"""A command that is told to stop does so at once, with its exit code, and can be run again."""

import signal
import time

import pytest

from tests.faults.databases import AFTER_RECOVERY
from tests.faults.jobs import AWARD_DAILY, IMPORT_ACTIVITY

SIGNALS = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]


@pytest.mark.parametrize(("signum", "code"), SIGNALS)
@pytest.mark.parametrize("job", [AWARD_DAILY, IMPORT_ACTIVITY], ids=str)
def test_a_signal_in_a_batch_ends_the_command_and_the_next_run_completes_it(
    job, signum, code, golden_of, fault
):
    golden = golden_of(job)
    # The command receives the signal while it waits for the reply to its second COPY.
    copies = [message for message in golden.messages if message.text.strip().startswith("COPY")]

    with golden.before.server.copy(golden.before) as database:
        with database.interposer(
            where=lambda message: message.number == copies[-1].number,
            strike=lambda session: session.kill(signum),
        ) as interposer:
            process = database.program(*golden.argv, via=interposer, **job.settings)
            _, err = process.communicate(timeout=30)
        fault("F4", f"{signal.Signals(signum).name}: {job}", interposer.fired)

        assert process.returncode == code
        assert "safe to run again" in err
        assert "Traceback" not in err
        assert database.broken() <= AFTER_RECOVERY
        database.settle()
        database.prepare(*golden.argv, **job.settings)
        assert (database.broken(), database.state()) == (set(), golden.state)


@pytest.mark.parametrize(("signum", "code"), SIGNALS)
def test_a_signal_ends_a_command_that_waits_for_a_lock_and_its_statement_too(
    signum, code, golden_of, fault
):
    golden = golden_of(AWARD_DAILY)
    with golden.before.server.copy(golden.before) as database, database.connect() as admin:
        admin.execute("BEGIN")
        admin.execute("SELECT * FROM rewards_score FOR UPDATE")
        process = database.program(*golden.argv)
        database.wait_until(lambda: database.waiting() == 1)

        process.send_signal(signum)
        _, err = process.communicate(timeout=20)
        fault("F4", f"{signal.Signals(signum).name} while waiting for a lock")

        assert (process.returncode, "Traceback" in err) == (code, False)
        # The server works for nobody any more, though the lock is still there.
        time.sleep(0.2)
        assert database.query(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        ) == [(2,)]
        admin.execute("ROLLBACK")
        database.prepare(*golden.argv)
        assert (database.broken(), database.state()) == (set(), golden.state)
