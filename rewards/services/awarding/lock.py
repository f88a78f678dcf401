"""The advisory lock of a period: it tells which runs have a process working on them.

The process that opens a run holds the lock exclusively for that moment, then shares it with all
processes that work on the run. PostgreSQL releases it when a process dies. The lock only saves
work: the ledger's constraint is what prevents an award from being paid twice.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection

from rewards.choices import RunStatus
from rewards.engine.periods import Period
from rewards.exceptions import AlreadyRunning
from rewards.models import AwardRun
from rewards.selectors.runs import lock_key


@contextmanager
def period_lock(period: Period, *, shared: bool) -> Iterator[Callable[[], None]]:
    """Hold the lock of `period`; yield a function that shares an exclusive lock from then on.

    Raises AlreadyRunning when another process holds the lock exclusively, or, for an exclusive
    lock, in either way.
    """
    key = lock_key(period)
    mode = "_shared" if shared else ""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_try_advisory_lock{mode}(%s, %s)", key)
        (is_acquired,) = cursor.fetchone()
    if not is_acquired:
        raise AlreadyRunning(_already_running(period))

    def share() -> None:
        nonlocal mode
        with connection.cursor() as cursor:
            # In this order, so that no other process comes between.
            cursor.execute("SELECT pg_advisory_lock_shared(%s, %s)", key)
            mode = "_shared"
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", key)

    try:
        yield share
    finally:
        if connection.is_usable():  # otherwise the session has ended, and its locks with it
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT pg_advisory_unlock{mode}(%s, %s)", key)


def _already_running(period: Period) -> str:
    run = AwardRun.objects.filter(
        cadence=period.cadence, reference_date=period.reference_date, status=RunStatus.RUNNING
    ).first()
    other = (
        f"attempt {run.attempt}, started at {run.started_at:%Y-%m-%d %H:%M:%S} UTC by "
        f"{run.get_trigger_display()}"
        if run
        else "it is being opened"
    )
    return (
        f"award_{period.cadence} for {period.reference_date} is already running in another process "
        f"({other}); nothing was done."
    )
