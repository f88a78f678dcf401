"""Periods, and which of them are due: plain functions over what the run journal says."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property

from rewards.choices import Cadence
from rewards.engine.business_days import ONE_DAY, days_between, monday_of, week_days
from rewards.exceptions import BadPeriod
from rewards.wording import count

MAX_DAYS = 400
"""The longest range of dates that one command or request covers."""

MAX_FAILURES = 3
"""A period is not retried automatically after this many failures in a row."""


@dataclass(frozen=True)
class Period:
    """One business day, or one week: what a run evaluates."""

    cadence: Cadence
    reference_date: date
    """The business day, or the Monday of the week."""

    def __str__(self) -> str:
        week = "week " if self.cadence == Cadence.WEEKLY else ""
        return f"{week}{self.reference_date}"

    @cached_property
    def days(self) -> list[date]:
        """The business days of the period, in order."""
        if self.cadence == Cadence.WEEKLY:
            return week_days(self.reference_date)
        return [self.reference_date]

    @cached_property
    def last_day(self) -> date:
        """The day that decides which rule version counts and who is eligible."""
        return self.days[-1]

    @cached_property
    def monday(self) -> date:
        """The Monday of its week."""
        return monday_of(self.reference_date)


class PeriodState(StrEnum):
    """The state of a period that has ended."""

    NO_ACTIVITY = "no activity"
    """Nothing counted, so there is nothing to award."""

    MISSING = "missing"
    """There is activity and no run."""

    RUNNING = "running"
    """A process is working on it."""

    INTERRUPTED = "interrupted"
    """Every process that worked on it has ended early; the next one takes the run over."""

    RETRY = "retry"
    """The last run was not complete, and another one is due."""

    FAILED = "failed"
    """MAX_FAILURES runs in a row have failed: an operator has to act."""

    LATE = "late"
    """Activity arrived after its last run, within the grace period: it is awarded automatically."""

    LATE_BEYOND_GRACE = "late beyond grace"
    """Activity arrived after its last run and after the grace period: an operator decides."""

    RULE_ADDED = "rule added"
    """A rule version that its last run did not know has since been put in force for it."""

    DONE = "done"


DUE = {
    PeriodState.MISSING,
    PeriodState.INTERRUPTED,
    PeriodState.RETRY,
    PeriodState.RULE_ADDED,
    PeriodState.LATE,
}
"""States in which the next tick starts a run."""

NEEDS_OPERATOR = {PeriodState.FAILED, PeriodState.LATE_BEYOND_GRACE}
"""States in which nothing is awarded until an operator starts a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """What the run journal says of one period."""

    is_open: bool
    """Whether a run has started and not ended."""
    events_seen: int | None
    """By the last run that was done; None when none was."""
    rule_versions: frozenset[int]
    """Those of the last run that was done."""
    is_incomplete: bool
    """Whether the last run failed in whole or in part."""
    failures: int
    """Runs since the last one that was done in which a batch failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodStatus:
    """A period that has ended, and its state."""

    period: Period
    state: PeriodState
    late: int
    """Logins and completed calls that arrived after the last run."""


VersionsInForce = Callable[[Cadence, date], frozenset[int]]
"""Returns the primary keys of the active rule versions of a cadence on a day."""


def closed_periods(
    *,
    first: date,
    today: date,
    events: Mapping[date, int],
    journals: Mapping[Period, Journal],
    running: frozenset[Period],
    versions_in_force: VersionsInForce,
    grace_days: int,
) -> Iterator[PeriodStatus]:
    """Yield every period from `first`, a Monday, on that has ended before `today`, oldest first.

    A week comes after its seven days. `events` are the logins and completed calls of each
    business day, `running` the periods that a process is working on.
    """
    first_in_grace = today - grace_days * ONE_DAY
    for day in days_between(first, today - ONE_DAY):
        ended = [Period(Cadence.DAILY, day)]
        if day.weekday() == 6:
            ended.append(Period(Cadence.WEEKLY, monday_of(day)))
        for period in ended:
            counted = sum(events.get(day, 0) for day in period.days)
            journal = journals.get(period)
            seen = journal.events_seen if journal else None
            late = 0 if seen is None else max(0, counted - seen)
            yield PeriodStatus(
                period=period,
                late=late,
                state=_state(
                    journal,
                    counted=counted,
                    late=late,
                    is_running=period in running,
                    is_in_grace=day >= first_in_grace,
                    versions=versions_in_force(period.cadence, day) if counted else frozenset(),
                ),
            )


def _state(
    journal: Journal | None,
    *,
    counted: int,
    late: int,
    is_running: bool,
    is_in_grace: bool,
    versions: frozenset[int],
) -> PeriodState:
    if journal is None:
        return PeriodState.MISSING if counted else PeriodState.NO_ACTIVITY
    if journal.is_open:
        return PeriodState.RUNNING if is_running else PeriodState.INTERRUPTED
    if journal.is_incomplete:
        return PeriodState.RETRY if journal.failures < MAX_FAILURES else PeriodState.FAILED
    if versions - journal.rule_versions:
        return PeriodState.RULE_ADDED
    if late:
        return PeriodState.LATE if is_in_grace else PeriodState.LATE_BEYOND_GRACE
    return PeriodState.DONE


def due_periods(statuses: Iterator[PeriodStatus]) -> Iterator[PeriodStatus]:
    """Yield those of `statuses`, in their order, for which the next tick starts a run.

    Periods without a done run come first, then those with late activity. A week waits for its
    days.
    """
    waiting_weeks: set[date] = set()
    late = []
    for status in statuses:
        period = status.period
        if period.cadence == Cadence.WEEKLY and period.reference_date in waiting_weeks:
            continue
        if status.state == PeriodState.LATE:
            late.append(status)
        elif status.state in DUE:
            yield status
        if period.cadence == Cadence.DAILY and status.state in DUE | {PeriodState.RUNNING}:
            waiting_weeks.add(monday_of(period.reference_date))
    yield from late


def first_week(events: Mapping[date, int], journals: Mapping[Period, Journal]) -> date | None:
    """Return the Monday of the week of the first activity or run; None when there is neither."""
    known = [*events, *(period.reference_date for period in journals)]
    return monday_of(min(known)) if known else None


def require_range(first: date, last: date) -> None:
    """Require that `first`..`last` are at most MAX_DAYS in order. Raises BadPeriod."""
    if first > last:
        raise BadPeriod(f"The range is reversed: {first} is after {last}.")
    days = (last - first).days + 1
    if days > MAX_DAYS:
        raise BadPeriod(f"The range is too long: {count(days, 'day')}, at most {MAX_DAYS}.")
