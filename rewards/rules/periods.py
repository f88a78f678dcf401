"""Deciding which days and weeks want a run: plain functions over what the journal says."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from rewards.calendar import ONE_DAY, days_between, monday_of, week_days
from rewards.choices import Cadence

MAX_FAILURES = 3
"""A period that has failed so often in a row is left to a person."""


class PeriodState(StrEnum):
    """Where a period that has ended stands."""

    NO_ACTIVITY = "no activity"
    """Nothing counted, so there is nothing to award; a silent day is news too."""

    MISSING = "missing"
    """There is activity and no run."""

    RUNNING = "running"
    """A process is at work on it."""

    INTERRUPTED = "interrupted"
    """Every process that worked on it has died; whoever is next takes the run over."""

    RETRY = "retry"
    """The last run was not complete, and another one is due."""

    FAILED = "failed"
    """MAX_FAILURES runs in a row have failed: someone has to look."""

    LATE = "late"
    """Activity arrived after its last run, recently enough to be awarded by itself."""

    LATE_BEYOND_GRACE = "late beyond grace"
    """Activity arrived after its last run, so long after that a person decides."""

    RULE_ADDED = "rule added"
    """A rule that its last run did not know has been put in force for it since."""

    DONE = "done"


DUE = {
    PeriodState.MISSING,
    PeriodState.INTERRUPTED,
    PeriodState.RETRY,
    PeriodState.RULE_ADDED,
    PeriodState.LATE,
}
"""States in which a period wants a run that starts by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """What all runs of one period say together."""

    is_open: bool
    """Whether there is a run that has begun and not ended."""
    events_seen: int | None
    """By the last run that was done; None when none was."""
    rule_versions: frozenset[int]
    """That the last run that was done paid by."""
    is_incomplete: bool
    """Whether the last run left something undone."""
    failures: int
    """Runs since the last one that was done in which a shard failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A day or a week that has ended, and where it stands."""

    cadence: Cadence
    reference_date: date
    state: PeriodState
    late: int
    """Logins and completed calls that arrived after the last run."""


Key = tuple[Cadence, date]

RulesInForce = Callable[[Cadence, date], frozenset[int]]
"""Returns the primary keys of the active rule versions of a cadence that count on a day."""


def days_of_period(cadence: Cadence, reference_date: date) -> list[date]:
    """Return the business days that a reference date of `cadence` stands for, in order."""
    return week_days(reference_date) if cadence == Cadence.WEEKLY else [reference_date]


def closed_periods(
    *,
    first: date,
    today: date,
    events: Mapping[date, int],
    journals: Mapping[Key, Journal],
    alive: frozenset[Key],
    rules_in_force: RulesInForce,
    grace_days: int,
) -> Iterator[Period]:
    """Yield every period from `first`, a Monday, on that has ended before `today`, oldest first.

    A week comes after its seven days. `events` are the logins and completed calls of each
    business day, `alive` the periods that a process works on at this moment.
    """
    first_in_grace = today - grace_days * ONE_DAY
    for day in days_between(first, today - ONE_DAY):
        ended = [(Cadence.DAILY, day)]
        if day.weekday() == 6:
            ended.append((Cadence.WEEKLY, monday_of(day)))
        for cadence, reference_date in ended:
            counted = sum(events.get(each, 0) for each in days_of_period(cadence, reference_date))
            journal = journals.get((cadence, reference_date))
            seen = journal.events_seen if journal else None
            late = 0 if seen is None else max(0, counted - seen)
            yield Period(
                cadence=cadence,
                reference_date=reference_date,
                late=late,
                state=_state(
                    journal,
                    counted=counted,
                    late=late,
                    is_alive=(cadence, reference_date) in alive,
                    is_in_grace=day >= first_in_grace,
                    # The version of a week is the one in force on its Sunday, which is `day`.
                    rules=rules_in_force(cadence, day) if counted else frozenset(),
                ),
            )


def _state(
    journal: Journal | None,
    *,
    counted: int,
    late: int,
    is_alive: bool,
    is_in_grace: bool,
    rules: frozenset[int],
) -> PeriodState:
    if journal is None:
        return PeriodState.MISSING if counted else PeriodState.NO_ACTIVITY
    if is_alive:
        return PeriodState.RUNNING
    if journal.is_open:
        return PeriodState.INTERRUPTED
    if journal.is_incomplete:
        return PeriodState.RETRY if journal.failures < MAX_FAILURES else PeriodState.FAILED
    if rules - journal.rule_versions:
        return PeriodState.RULE_ADDED
    if late:
        return PeriodState.LATE if is_in_grace else PeriodState.LATE_BEYOND_GRACE
    return PeriodState.DONE


def due_periods(periods: Iterator[Period]) -> Iterator[Period]:
    """Yield those of `periods`, in their order, that want a run by themselves.

    First those that no run has done, then those with late activity. A week waits for its days.
    """
    unsettled: set[date] = set()
    late = []
    for period in periods:
        if period.cadence == Cadence.WEEKLY and period.reference_date in unsettled:
            continue
        if period.state == PeriodState.LATE:
            late.append(period)
        elif period.state in DUE:
            yield period
        if period.cadence == Cadence.DAILY and period.state in DUE | {PeriodState.RUNNING}:
            unsettled.add(monday_of(period.reference_date))
    yield from late


def first_period(events: Mapping[date, int], journals: Mapping[Key, Journal]) -> date | None:
    """Return the Monday of the week in which everything began; None when nothing has."""
    known = [*events, *(reference_date for _, reference_date in journals)]
    return monday_of(min(known)) if known else None
