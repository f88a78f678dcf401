"""Catching up: what is due is read from the database, never from the clock of a schedule."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings

from rewards.calendar import business_date, day_window
from rewards.choices import RunTrigger
from rewards.exceptions import AlreadyRunning
from rewards.rules.periods import (
    DUE,
    Key,
    Period,
    PeriodState,
    closed_periods,
    days_of_period,
    due_periods,
    first_period,
)
from rewards.selectors.activity import events_by_day
from rewards.selectors.rules import versions_of_all_days
from rewards.selectors.runs import alive_periods, journals
from rewards.services.awarding import ALONE, Labour, Progress, RunReport, award

MAX_PERIODS = 100
"""Periods awarded by one call at the most; the next call goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueReport:
    """What catching up came to."""

    runs: tuple[RunReport, ...]
    """Oldest first; late activity last."""
    busy: tuple[str, ...]
    """A sentence for each period that another process is at work on."""
    is_complete: bool
    """Whether nothing is left that this call could have awarded."""


def award_due(
    *,
    now: datetime,
    trigger: RunTrigger,
    labour: Labour = ALONE,
    on_progress: Progress | None = None,
) -> DueReport:
    """Award every closed day with activity, and every closed week, that has no done run.

    Oldest first, a week after its days; then days of the last REWARDS_GRACE_DAYS that have late
    activity, and their weeks. A period for which a rule has been added since is due again. Each
    period is tried once in a call, and MAX_PERIODS at the most. A second call awards what has
    become due since, so nothing; that costs four queries. Two calls at once share the work.
    """
    runs: list[RunReport] = []
    busy: dict[Key, str] = {}
    tried: set[Key] = set()
    while len(tried) < MAX_PERIODS and not labour.is_over:
        period = next(
            (
                each
                for each in due_periods(periods(now=now))
                if (each.cadence, each.reference_date) not in tried
            ),
            None,
        )
        if period is None:
            return DueReport(runs=tuple(runs), busy=tuple(busy.values()), is_complete=True)
        tried.add((period.cadence, period.reference_date))
        try:
            runs.append(
                award(
                    cadence=period.cadence,
                    reference_date=period.reference_date,
                    now=now,
                    trigger=trigger,
                    labour=labour,
                    on_progress=on_progress,
                )
            )
        except AlreadyRunning as other:
            busy[period.cadence, period.reference_date] = str(other)
    return DueReport(runs=tuple(runs), busy=tuple(busy.values()), is_complete=False)


def periods(*, now: datetime) -> Iterator[Period]:
    """Yield every day and week that has ended, oldest first, and where it stands.

    From the first activity or run there is. Four queries, however many periods.
    """
    # Who is alive is asked first: a run that ends meanwhile is then seen to have ended.
    alive = alive_periods()
    events = events_by_day()
    known = journals()
    first = first_period(events, known)
    if first is None:
        return iter(())
    return closed_periods(
        first=first,
        today=_today(now),
        events=events,
        journals=known,
        alive=alive,
        rules_in_force=versions_of_all_days(),
        grace_days=settings.REWARDS_GRACE_DAYS,
    )


def is_overdue(period: Period, *, now: datetime) -> bool:
    """Return whether `period` should have been awarded by now, so that someone has to look.

    What the next tick does by itself is overdue REWARDS_OVERDUE_MINUTES after the period's end;
    what only a person can start is at once.
    """
    if period.state in {PeriodState.FAILED, PeriodState.LATE_BEYOND_GRACE}:
        return True
    if period.state not in DUE - {PeriodState.LATE}:
        return False
    last_day = days_of_period(period.cadence, period.reference_date)[-1]
    _, end = day_window(last_day, ZoneInfo(settings.REWARDS_TIME_ZONE))
    return now - end > timedelta(minutes=settings.REWARDS_OVERDUE_MINUTES)


def _today(now: datetime) -> date:
    return business_date(now, ZoneInfo(settings.REWARDS_TIME_ZONE))
