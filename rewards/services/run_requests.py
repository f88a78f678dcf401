"""Run requests of someone who waits: small runs are executed at once, large ones by workers."""

import time
from dataclasses import dataclass
from datetime import datetime

from rewards.choices import RunTrigger
from rewards.engine.periods import Period, due_periods
from rewards.selectors.activity import has_more_active_hosts
from rewards.selectors.periods import period_statuses
from rewards.selectors.time_zone import business_date
from rewards.services import worker_queue
from rewards.services.awarding.options import SINGLE_PROCESS, RunOptions
from rewards.services.awarding.run import RunReport, award
from rewards.services.due import award_due

MAX_HOSTS = 5_000
"""Hosts, counted once for each day, that are evaluated at once: about a second of work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOutcome:
    """The result of a request."""

    runs: tuple[RunReport, ...]
    """Runs that have ended, oldest period first."""
    busy: tuple[str, ...] = ()
    """A sentence for each period that another process is working on."""
    is_enqueued: bool = False
    """Whether the workers were notified instead."""


def request_run(*, period: Period, now: datetime) -> RequestOutcome:
    """Award `period`, at once if few hosts were active in it.

    A second call awards what has become due since. Raises BadPeriod, AlreadyRunning and
    QueueUnreachable; after the last one the run is open, and the next tick continues it.
    """
    is_large = has_more_active_hosts(days=period.days, than=MAX_HOSTS)
    for_workers = RunOptions(
        notify_workers=worker_queue.notify_workers, participate=False, deadline=time.monotonic()
    )
    report = award(
        period=period,
        today=business_date(now),
        trigger=RunTrigger.ADMIN,
        options=for_workers if is_large else SINGLE_PROCESS,
    )
    return RequestOutcome(runs=() if is_large else (report,), is_enqueued=is_large)


def request_due(*, now: datetime) -> RequestOutcome:
    """Award every period that is due, at once if few hosts were active in all of them.

    A second call awards what has become due since. Raises QueueUnreachable; then nothing was done,
    and the next tick does it.
    """
    due = due_periods(period_statuses(now=now))
    days = {day for status in due for day in status.period.days}
    if has_more_active_hosts(days=sorted(days), than=MAX_HOSTS):
        worker_queue.enqueue("award_due")
        return RequestOutcome(runs=(), is_enqueued=True)
    report = award_due(now=now, trigger=RunTrigger.ADMIN)
    return RequestOutcome(runs=report.runs, busy=report.busy)
