"""The periods that have ended, and their states."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings

from rewards.engine.business_days import day_window
from rewards.engine.periods import (
    DUE,
    NEEDS_OPERATOR,
    PeriodState,
    PeriodStatus,
    closed_periods,
    first_week,
)
from rewards.selectors.activity import events_by_day
from rewards.selectors.rules import active_versions_of_all_days
from rewards.selectors.runs import journals, running_periods
from rewards.selectors.time_zone import business_date, business_time_zone


def period_statuses(*, now: datetime) -> Iterator[PeriodStatus]:
    """Yield every day and week that has ended at `now`, oldest first.

    From the first activity or run on. Four queries, for any number of periods.
    """
    # Before the journals, so that a run that ends meanwhile is seen as ended.
    running = running_periods()
    events = events_by_day()
    known = journals()
    first = first_week(events, known)
    if first is None:
        return iter(())
    return closed_periods(
        first=first,
        today=business_date(now),
        events=events,
        journals=known,
        running=running,
        versions_in_force=active_versions_of_all_days(),
        grace_days=settings.REWARDS_GRACE_DAYS,
    )


def is_overdue(status: PeriodStatus, *, now: datetime) -> bool:
    """Return whether someone has to look at the period.

    A period that only an operator can award is overdue at once, one that the next tick awards
    REWARDS_OVERDUE_MINUTES after its end.
    """
    if status.state in NEEDS_OPERATOR:
        return True
    if status.state not in DUE - {PeriodState.LATE}:
        return False
    _, end = day_window(status.period.last_day, business_time_zone())
    return now - end > timedelta(minutes=settings.REWARDS_OVERDUE_MINUTES)
