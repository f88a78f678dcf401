"""A signal ends a command at once with its exit code, and another run completes its work."""

import signal

import pytest

from tests.faults.databases import RECOVERABLE
from tests.faults.forkserver import TIMEOUT_SECONDS
from tests.faults.jobs import AWARD_DAILY, IMPORT_ACTIVITY, SMOKE

SIGNALS = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]


@pytest.mark.parametrize(("signum", "code"), SIGNALS)
@pytest.mark.parametrize("job", [SMOKE, IMPORT_ACTIVITY], ids=str)
def test_a_signal_in_a_batch_ends_the_command(job, signum, code, golden_of, fault):
    golden = golden_of(job)
    # The command receives the signal while it waits for the reply to its second COPY.
    copies = [message for message in golden.messages if message.text.strip().startswith("COPY")]

    with golden.before.server.copy(golden.before) as database:
        with database.proxy(
            where=lambda message: message.number == copies[-1].number,
            action=lambda session: session.kill(signum),
        ) as proxy:
            process = database.start_program(*golden.argv, via=proxy, **job.settings)
            _, err = process.communicate(timeout=TIMEOUT_SECONDS)
        fault("F4", f"{signal.Signals(signum).name}: {job}", proxy.fired)

        assert process.returncode == code
        assert "safe to run again" in err
        assert "Traceback" not in err
        assert database.violations() <= RECOVERABLE
        database.wait_until_idle()
        database.prepare(*golden.argv, **job.settings)
        assert (database.violations(), database.state()) == (set(), golden.state)


@pytest.mark.parametrize(("signum", "code"), SIGNALS)
def test_a_signal_ends_a_command_that_waits_for_a_lock(signum, code, golden_of, fault):
    golden = golden_of(AWARD_DAILY)
    with golden.before.server.copy(golden.before) as database, database.connect() as admin:
        admin.execute("BEGIN")
        admin.execute("SELECT * FROM rewards_score FOR UPDATE")
        process = database.start_program(*golden.argv, DATABASE_LOCK_TIMEOUT=TIMEOUT_SECONDS)
        database.wait_until(lambda: database.waiting() == 1)

        process.send_signal(signum)
        _, err = process.communicate(timeout=TIMEOUT_SECONDS)
        fault("F4", f"{signal.Signals(signum).name} while waiting for a lock")

        assert (process.returncode, "Traceback" in err) == (code, False)
        # Its statement ends too, while the lock is still held: only `admin` is connected.
        database.wait_until(lambda: database.sessions() == 1)
        admin.execute("ROLLBACK")
        database.prepare(*golden.argv)
        assert (database.violations(), database.state()) == (set(), golden.state)
