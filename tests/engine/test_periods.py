"""Which days and weeks want a run, as tables."""

from datetime import date, timedelta

import pytest

from rewards.choices import Cadence
from rewards.engine.business_days import days_between
from rewards.engine.periods import (
    MAX_FAILURES,
    Journal,
    Period,
    PeriodState,
    closed_periods,
    due_periods,
    first_period,
)

MONDAY = date(2026, 11, 16)
SUNDAY = date(2026, 11, 22)
NEXT_MONDAY = date(2026, 11, 23)
DAILY = (Cadence.DAILY, MONDAY)
WEEKLY = (Cadence.WEEKLY, MONDAY)


def day(offset):
    return MONDAY + timedelta(days=offset)


def journal(**kwargs):
    values = {"is_open": False, "events_seen": 5, "rule_versions": frozenset(), "failures": 0}
    return Journal(**values | {"is_incomplete": bool(kwargs.get("failures"))} | kwargs)


def periods(
    *,
    first=MONDAY,
    today=NEXT_MONDAY,
    events=None,
    journals=None,
    alive=(),
    rules=frozenset(),
    grace_days=3,
):
    return list(
        closed_periods(
            first=first,
            today=today,
            events=events or {},
            journals=journals or {},
            alive=frozenset(alive),
            rules_in_force=lambda cadence, day: rules,
            grace_days=grace_days,
        )
    )


def due(**kwargs):
    return [(each.cadence.value, each.reference_date) for each in due_periods(periods(**kwargs))]


def test_a_week_comes_after_its_seven_days_and_nothing_before_its_end():
    names = [(each.cadence, each.reference_date) for each in periods(today=day(9))]

    assert names == [
        *((Cadence.DAILY, day(offset)) for offset in range(7)),
        WEEKLY,
        (Cadence.DAILY, day(7)),
        (Cadence.DAILY, day(8)),
    ]


@pytest.mark.parametrize(
    ("events", "runs", "alive", "state"),
    [
        # Nothing counted: nothing to award.
        (0, None, (), PeriodState.NO_ACTIVITY),
        (5, None, (), PeriodState.MISSING),
        (5, journal(), (), PeriodState.DONE),
        # A run of a day on which nothing had happened is a run.
        (0, journal(events_seen=0), (), PeriodState.DONE),
        # An open run is alive while someone holds its lock, whatever its row says.
        (5, journal(is_open=True, events_seen=None), (DAILY,), PeriodState.RUNNING),
        (5, journal(is_open=True, events_seen=None), (WEEKLY,), PeriodState.INTERRUPTED),
        # Another attempt after a failure, but not for ever.
        (5, journal(events_seen=None, failures=1), (), PeriodState.RETRY),
        (5, journal(events_seen=None, failures=MAX_FAILURES - 1), (), PeriodState.RETRY),
        (5, journal(events_seen=None, failures=MAX_FAILURES), (), PeriodState.FAILED),
        # What others were in the way of is tried for as long as it takes.
        (5, journal(events_seen=None, is_incomplete=True), (), PeriodState.RETRY),
        # A failure after a run that was done is one too.
        (6, journal(failures=1), (), PeriodState.RETRY),
        # Late is what there is beyond what the last run saw.
        (6, journal(), (), PeriodState.LATE_BEYOND_GRACE),
        # Pruned activity is not late.
        (4, journal(), (), PeriodState.DONE),
    ],
)
def test_a_period_stands_where_its_runs_and_its_activity_put_it(events, runs, alive, state):
    known = {} if runs is None else {DAILY: runs}

    period = periods(events={MONDAY: events}, journals=known, alive=alive)[0]

    assert period.state == state


@pytest.mark.parametrize(
    ("paid_by", "in_force", "state"),
    [
        ({1}, {1}, PeriodState.DONE),
        ({1}, {1, 2}, PeriodState.RULE_ADDED),
        ({1}, {2}, PeriodState.RULE_ADDED),
        (set(), {1}, PeriodState.RULE_ADDED),
        # A rule that has been paused in the past takes nothing back.
        ({1, 2}, {1}, PeriodState.DONE),
    ],
)
def test_a_rule_that_a_run_did_not_know_makes_its_period_due_again(paid_by, in_force, state):
    known = {DAILY: journal(rule_versions=frozenset(paid_by))}

    period = periods(events={MONDAY: 5}, journals=known, rules=frozenset(in_force))[0]

    assert period.state == state


def test_a_rule_changes_nothing_for_a_day_without_activity():
    known = {DAILY: journal(events_seen=0)}

    assert periods(journals=known, rules=frozenset({1}))[0].state == PeriodState.DONE


@pytest.mark.parametrize(
    ("grace_days", "state"),
    [
        # Monday is the seventh closed day back from the next one.
        (7, PeriodState.LATE),
        (6, PeriodState.LATE_BEYOND_GRACE),
        (0, PeriodState.LATE_BEYOND_GRACE),
    ],
)
def test_late_activity_is_paid_by_itself_within_grace_only(grace_days, state):
    known = {DAILY: journal(events_seen=3)}

    period = periods(events={MONDAY: 5}, journals=known, grace_days=grace_days)[0]

    assert (period.state, period.late) == (state, 2)


def test_a_week_is_as_late_as_its_days_together():
    events = {day(0): 2, day(6): 4}

    week = periods(events=events, journals={WEEKLY: journal(events_seen=5)})[-1]

    assert (week.cadence, week.state, week.late) == (Cadence.WEEKLY, PeriodState.LATE, 1)


def test_what_is_due_comes_oldest_first_and_what_is_late_last():
    events = {day(offset): 5 for offset in (0, 1, 6)}
    done = {(Cadence.DAILY, day(6)): journal(events_seen=4)}

    assert due(events=events, journals=done) == [
        ("daily", day(0)),
        ("daily", day(1)),
        ("daily", day(6)),
    ]


def test_a_week_waits_for_its_days():
    events = {day(offset): 5 for offset in range(7)}
    done = {(Cadence.DAILY, each): journal() for each in days_between(MONDAY, day(5))}

    assert due(events=events, journals=done) == [("daily", SUNDAY)]
    assert due(events=events, journals=done, alive={(Cadence.DAILY, SUNDAY)}) == [
        ("daily", SUNDAY)  # not yet in the journal: whoever opens it is first
    ]
    done[Cadence.DAILY, SUNDAY] = journal()
    assert due(events=events, journals=done) == [("weekly", MONDAY)]


def test_a_day_that_was_given_up_holds_up_no_week():
    given_up = journal(events_seen=None, failures=MAX_FAILURES)

    assert due(events={MONDAY: 5}, journals={DAILY: given_up}) == [("weekly", MONDAY)]


def test_a_week_is_awarded_again_after_its_late_day():
    events = {SUNDAY: 5}
    late = {(Cadence.DAILY, SUNDAY): journal(events_seen=4), WEEKLY: journal(events_seen=4)}
    paid = late | {(Cadence.DAILY, SUNDAY): journal()}

    assert due(events=events, journals=late) == [("daily", SUNDAY)]
    assert due(events=events, journals=paid) == [("weekly", MONDAY)]


def test_a_day_without_activity_is_never_due():
    assert due() == []


@pytest.mark.parametrize(
    ("events", "journals", "first"),
    [
        ({}, {}, None),
        ({day(3): 1}, {}, MONDAY),
        ({day(9): 1}, {(Cadence.DAILY, day(2)): journal()}, MONDAY),
    ],
)
def test_everything_begins_with_the_week_of_the_first_activity_or_run(events, journals, first):
    assert first_period(events, journals) == first


def test_a_period_says_what_it_is():
    assert periods(events={MONDAY: 1})[0] == Period(
        cadence=Cadence.DAILY, reference_date=MONDAY, state=PeriodState.MISSING, late=0
    )
