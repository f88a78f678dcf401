"""The advisory lock of a period, held by this session and by others."""

import pytest
from django.db import connection

from rewards.choices import Cadence, RunStatus, RunTrigger
from rewards.engine.periods import Period
from rewards.exceptions import AlreadyRunning
from rewards.selectors.runs import lock_key
from rewards.services.awarding.lock import period_lock
from tests.factories import A_MONDAY, AwardRunFactory
from tests.processes import another_session, held_by_another

DAILY = Period(Cadence.DAILY, A_MONDAY)
WEEKLY = Period(Cadence.WEEKLY, A_MONDAY)
EXCLUSIVE, SHARED = "pg_advisory_lock", "pg_advisory_lock_shared"

pytestmark = pytest.mark.django_db


def modes():
    """Return the modes in which this session holds the lock of DAILY."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT mode FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
            " AND (classid::bigint, objid::bigint) = (%s, %s)",
            lock_key(DAILY),
        )
        return [mode for (mode,) in cursor]


@pytest.mark.parametrize(("shared", "mode"), [(False, "ExclusiveLock"), (True, "ShareLock")])
def test_the_lock_is_held_for_the_block(shared, mode):
    with period_lock(DAILY, shared=shared):
        assert modes() == [mode]

    assert modes() == []


@pytest.mark.parametrize("shared", [False, True])
def test_the_lock_is_released_after_an_error(shared):
    with pytest.raises(KeyboardInterrupt), period_lock(DAILY, shared=shared):
        raise KeyboardInterrupt

    assert modes() == []


def test_an_exclusive_lock_becomes_a_shared_one():
    with period_lock(DAILY, shared=False) as share:
        share()
        assert modes() == ["ShareLock"]

    assert modes() == []


@pytest.mark.parametrize(
    ("shared", "other"), [(False, EXCLUSIVE), (False, SHARED), (True, EXCLUSIVE)]
)
def test_a_lock_in_the_way_is_refused(shared, other):
    with (
        held_by_another(lock_key(DAILY), function=other),
        pytest.raises(AlreadyRunning),
        period_lock(DAILY, shared=shared),
    ):
        pytest.fail("the lock was acquired")

    assert modes() == []


def test_a_shared_lock_admits_others():
    with held_by_another(lock_key(DAILY), function=SHARED), period_lock(DAILY, shared=True):
        assert modes() == ["ShareLock"]


def test_the_lock_of_another_period_is_not_in_the_way():
    with held_by_another(lock_key(WEEKLY)), period_lock(DAILY, shared=False):
        assert modes() == ["ExclusiveLock"]


def end_this_session():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    with another_session() as session:
        session.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
    raise KeyboardInterrupt


def test_a_session_that_has_ended_needs_no_release():
    """The error of the block is raised, not one of the release."""
    with pytest.raises(KeyboardInterrupt), period_lock(DAILY, shared=True):
        end_this_session()

    connection.close()


@pytest.mark.parametrize(
    ("period", "run", "message"),
    [
        (
            DAILY,
            {"attempt": 2, "trigger": RunTrigger.BEAT},
            "award_daily for 2026-11-16 is already running in another process (attempt 2, started "
            "at 2026-11-17 00:05:00 UTC by Schedule); nothing was done.",
        ),
        (
            WEEKLY,
            {"attempt": 1, "cadence": Cadence.WEEKLY},
            "award_weekly for 2026-11-16 is already running in another process (attempt 1, started "
            "at 2026-11-17 00:05:00 UTC by Command line); nothing was done.",
        ),
        (
            WEEKLY,
            {},
            "award_weekly for 2026-11-16 is already running in another process (it is being "
            "opened); nothing was done.",
        ),
    ],
)
def test_the_refusal_names_the_other_run(period, run, message):
    AwardRunFactory(attempt=9, cadence=period.cadence)
    AwardRunFactory(status=RunStatus.RUNNING, finished_at=None, **run)

    with (
        held_by_another(lock_key(period)),
        pytest.raises(AlreadyRunning) as refused,
        period_lock(period, shared=True),
    ):
        pytest.fail("the lock was acquired")

    assert str(refused.value) == message
