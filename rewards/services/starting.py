"""Starting runs for someone who waits: small ones at once, large ones by the workers."""

import time
from dataclasses import dataclass
from datetime import date, datetime

from rewards.choices import Cadence, RunTrigger
from rewards.rules.periods import days_of_period, due_periods
from rewards.selectors.activity import has_more_active_hosts
from rewards.services import queue
from rewards.services.awarding import Labour, RunReport, award
from rewards.services.due import award_due, periods

MAX_HOSTS = 5_000
"""Hosts, counted once for each day, that are judged while someone waits: about a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What came of a start."""

    runs: tuple[RunReport, ...]
    """Those that have ended meanwhile, oldest first."""
    busy: tuple[str, ...] = ()
    """A sentence for each period that another process is at work on."""
    is_handed_over: bool = False
    """Whether workers were asked instead, since it is too much to wait for."""


def start_period(*, cadence: Cadence, reference_date: date, now: datetime) -> Started:
    """Award one period: here if few hosts were active in it, else by the workers.

    A second call awards what has become due since, and nothing twice. Raises BadPeriod,
    AlreadyRunning, and QueueUnreachable; then the run is open, and the next tick or award_due
    goes on with it.
    """
    days = days_of_period(cadence, reference_date)
    is_large = has_more_active_hosts(days=days, than=MAX_HOSTS)
    report = award(
        cadence=cadence,
        reference_date=reference_date,
        now=now,
        trigger=RunTrigger.ADMIN,
        labour=Labour(invite=queue.invite_workers, takes_part=False, until=time.monotonic())
        if is_large
        else Labour(),
    )
    return Started(runs=() if is_large else (report,), is_handed_over=is_large)


def start_due(*, now: datetime) -> Started:
    """Award every period that is due: here if few hosts were active in all of them.

    A second call awards what has become due since. Raises QueueUnreachable; then nothing was
    done, and the next tick or award_due does it.
    """
    days = {
        day
        for period in due_periods(periods(now=now))
        for day in days_of_period(period.cadence, period.reference_date)
    }
    if has_more_active_hosts(days=sorted(days), than=MAX_HOSTS):
        queue.send("award_due")
        return Started(runs=(), is_handed_over=True)
    report = award_due(now=now, trigger=RunTrigger.ADMIN)
    return Started(runs=report.runs, busy=report.busy)
