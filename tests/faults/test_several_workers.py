"""Processes that share the batches of one run are killed."""

import pytest

from tests.faults.databases import RECOVERABLE
from tests.faults.jobs import AWARD_DAILY, writes_awards
from tests.faults.pg_proxy import PgProxy, Session, kill_before
from tests.processes import wait_until

ONE_HOST_A_BATCH = {"REWARDS_BATCH_SIZE": 1}


def wait_for_a_helper(proxy: PgProxy) -> None:
    """Wait until a process other than the first is about to write a batch of its own."""
    wait_until(lambda: any(m.session > 1 and writes_awards(m) for m in proxy.messages))


@pytest.mark.smoke
def test_a_run_completes_after_a_helper_is_killed(golden_of, fault):
    golden = golden_of(AWARD_DAILY)
    killed = []
    with golden.before.server.copy(golden.before) as database:

        def kill(session: Session) -> None:
            if session.number == 1:
                wait_for_a_helper(proxy)
            else:
                killed.append(session.pid)
                kill_before(session)

        with database.proxy(where=writes_awards, action=kill, times=2) as proxy:
            outcome = database.manage(*golden.argv, "--workers", "2", via=proxy, **ONE_HOST_A_BATCH)
        fault("F1", "killed in the middle of a run: a helping process", len(killed))

        assert outcome.code == 0, outcome
        assert (database.violations(), database.state()) == (set(), golden.state)


def test_a_run_completes_after_its_opener_is_killed(golden_of, fault):
    golden = golden_of(AWARD_DAILY)
    killed = []
    with golden.before.server.copy(golden.before) as database:

        def kill(session: Session) -> None:
            wait_for_a_helper(proxy)
            killed.append(session.pid)
            kill_before(session)

        with database.proxy(
            where=lambda m: m.session == 1 and writes_awards(m), action=kill
        ) as proxy:
            outcome = database.manage(*golden.argv, "--workers", "3", via=proxy, **ONE_HOST_A_BATCH)
            fault("F1", "killed in the middle of a run: the process that opened it", len(killed))
            assert database.violations() <= RECOVERABLE
            database.wait_until_idle()

        assert outcome.code == -9
        if database.state().unfinished:
            # The helpers ended before the server released the batch of the killed process: the
            # next call awards it.
            database.prepare(*golden.argv, **ONE_HOST_A_BATCH)
        assert (database.violations(), database.state()) == (set(), golden.state)
