"""Processes that share the batches of one run, and die of it."""

import time

from tests.faults.databases import AFTER_RECOVERY
from tests.faults.jobs import AWARD_DAILY, writes_awards
from tests.faults.pg_proxy import Interposer, Session, kill_before

ONE_HOST_A_BATCH = {"REWARDS_BATCH_SIZE": 1}


def wait_for_a_helper(interposer: Interposer) -> None:
    """Return when a process other than the first is about to write a batch of its own."""
    deadline = time.monotonic() + 60
    while not any(m.session > 1 and writes_awards(m) for m in interposer.messages):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_run_ends_though_a_process_that_helps_is_killed(golden_of, fault):
    golden = golden_of(AWARD_DAILY)
    killed = []
    with golden.before.server.copy(golden.before) as database:

        def strike(session: Session) -> None:
            if session.number == 1:
                wait_for_a_helper(interposer)
            else:
                killed.append(session.pid)
                kill_before(session)

        with database.interposer(where=writes_awards, strike=strike, times=2) as interposer:
            outcome = database.manage(
                *golden.argv, "--workers", "2", via=interposer, **ONE_HOST_A_BATCH
            )
        fault("F1", "killed with half of a run: a process that helps", len(killed))

        assert outcome.code == 0, outcome
        assert (database.broken(), database.state()) == (set(), golden.state)


def test_a_run_ends_though_the_process_that_opened_it_is_killed(golden_of, fault):
    golden = golden_of(AWARD_DAILY)
    killed = []
    with golden.before.server.copy(golden.before) as database:

        def strike(session: Session) -> None:
            wait_for_a_helper(interposer)
            killed.append(session.pid)
            kill_before(session)

        with database.interposer(
            where=lambda m: m.session == 1 and writes_awards(m), strike=strike
        ) as interposer:
            outcome = database.manage(
                *golden.argv, "--workers", "3", via=interposer, **ONE_HOST_A_BATCH
            )
            fault("F1", "killed with half of a run: the process that opened it", len(killed))
            assert database.broken() <= AFTER_RECOVERY
            database.settle()

        assert outcome.code == -9
        assert (database.broken(), database.state()) == (set(), golden.state)
