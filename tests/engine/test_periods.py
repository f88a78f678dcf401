"""Periods, their states, and which of them are due, as tables."""

from dataclasses import FrozenInstanceError
from datetime import date, timedelta

import pytest

from rewards.choices import Cadence
from rewards.engine.business_days import days_between
from rewards.engine.periods import (
    DUE,
    MAX_DAYS,
    MAX_FAILURES,
    Journal,
    Period,
    PeriodState,
    PeriodStatus,
    closed_periods,
    due_periods,
    first_week,
    require_range,
)
from rewards.exceptions import BadPeriod

MONDAY = date(2026, 11, 16)
SUNDAY = date(2026, 11, 22)
NEXT_MONDAY = date(2026, 11, 23)


def day(offset):
    return MONDAY + timedelta(days=offset)


def daily(offset):
    return Period(Cadence.DAILY, day(offset))


DAILY = daily(0)
WEEKLY = Period(Cadence.WEEKLY, MONDAY)


def journal(**kwargs):
    values = {"is_open": False, "events_seen": 5, "rule_versions": frozenset(), "failures": 0}
    return Journal(**values | {"is_incomplete": bool(kwargs.get("failures"))} | kwargs)


def statuses(
    *,
    first=MONDAY,
    today=NEXT_MONDAY,
    events=None,
    journals=None,
    running=(),
    versions_in_force=lambda cadence, day: frozenset(),
    grace_days=3,
):
    return list(
        closed_periods(
            first=first,
            today=today,
            events=events or {},
            journals=journals or {},
            running=frozenset(running),
            versions_in_force=versions_in_force,
            grace_days=grace_days,
        )
    )


def due(**kwargs):
    return [status.period for status in due_periods(iter(statuses(**kwargs)))]


# --- Periods ----------------------------------------------------------------------------------


def test_a_daily_period_is_its_one_day():
    assert (DAILY.days, DAILY.last_day, str(DAILY)) == ([MONDAY], MONDAY, "2026-11-16")


def test_a_weekly_period_is_its_seven_days():
    assert WEEKLY.days == [day(offset) for offset in range(7)]
    assert (WEEKLY.last_day, str(WEEKLY)) == (SUNDAY, "week 2026-11-16")


@pytest.mark.parametrize("period", [WEEKLY, DAILY, daily(3), daily(6)])
def test_a_period_has_the_monday_of_its_week(period):
    assert period.monday == MONDAY


def test_values_are_made_by_name():
    with pytest.raises(TypeError):
        PeriodStatus(DAILY, PeriodState.DONE, 0)
    with pytest.raises(TypeError):
        Journal(False, 5, frozenset(), False, 0)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (DAILY, "cadence"),
        (PeriodStatus(period=DAILY, state=PeriodState.DONE, late=0), "late"),
        (journal(), "failures"),
    ],
)
def test_values_do_not_change(value, field):
    with pytest.raises(FrozenInstanceError):
        setattr(value, field, 0)


# --- States -----------------------------------------------------------------------------------


def test_a_week_comes_after_its_seven_days():
    assert [status.period for status in statuses(today=day(9))] == [
        *(daily(offset) for offset in range(7)),
        WEEKLY,
        daily(7),
        daily(8),
    ]


def test_a_week_that_has_not_ended_is_not_listed():
    assert [status.period for status in statuses(today=SUNDAY)] == [
        daily(offset) for offset in range(6)
    ]


def test_no_period_has_ended_on_its_first_day():
    assert statuses(today=MONDAY) == []


@pytest.mark.parametrize(
    ("events", "runs", "running", "state"),
    [
        # Nothing counted: nothing to award.
        (0, None, (), PeriodState.NO_ACTIVITY),
        (1, None, (), PeriodState.MISSING),
        (5, journal(), (), PeriodState.DONE),
        # A run of a day without activity is a run.
        (0, journal(events_seen=0), (), PeriodState.DONE),
        # An open run is running while a process holds its lock, and interrupted otherwise.
        (5, journal(is_open=True, events_seen=None), (DAILY,), PeriodState.RUNNING),
        (5, journal(is_open=True, events_seen=None), (WEEKLY,), PeriodState.INTERRUPTED),
        # A helper may hold the lock a moment longer than the run lasts.
        (5, journal(), (DAILY,), PeriodState.DONE),
        # An open run comes before what earlier runs left.
        (5, journal(is_open=True, failures=MAX_FAILURES), (), PeriodState.INTERRUPTED),
        # A lock without a run in the journal is a process that opens one.
        (5, None, (DAILY,), PeriodState.MISSING),
        # A failed run is retried, up to three in a row.
        (5, journal(events_seen=None, failures=1), (), PeriodState.RETRY),
        (5, journal(events_seen=None, failures=2), (), PeriodState.RETRY),
        (5, journal(events_seen=None, failures=3), (), PeriodState.FAILED),
        (5, journal(events_seen=None, failures=4), (), PeriodState.FAILED),
        # Batches deferred by conflicts are retried without limit.
        (5, journal(events_seen=None, is_incomplete=True), (), PeriodState.RETRY),
        # A failure after a done run counts too, and comes before late activity.
        (6, journal(failures=1), (), PeriodState.RETRY),
        # Late activity is what has arrived since the last done run.
        (6, journal(), (), PeriodState.LATE_BEYOND_GRACE),
        # Less activity than the last run counted is not late.
        (4, journal(), (), PeriodState.DONE),
    ],
)
def test_the_state_of_a_period(events, runs, running, state):
    known = {} if runs is None else {DAILY: runs}

    status = statuses(events={MONDAY: events}, journals=known, running=running)[0]

    assert status.state == state


@pytest.mark.parametrize(
    ("paid_by", "in_force", "state"),
    [
        ({1}, {1}, PeriodState.DONE),
        ({1}, {1, 2}, PeriodState.RULE_ADDED),
        ({1}, {2}, PeriodState.RULE_ADDED),
        (set(), {1}, PeriodState.RULE_ADDED),
        # Pausing a rule in the past takes no award back.
        ({1, 2}, {1}, PeriodState.DONE),
    ],
)
def test_a_rule_that_the_last_run_did_not_know(paid_by, in_force, state):
    status = statuses(
        events={MONDAY: 5},
        journals={DAILY: journal(rule_versions=frozenset(paid_by))},
        versions_in_force=lambda cadence, day: frozenset(in_force),
    )[0]

    assert status.state == state


def test_rules_are_those_of_the_cadence_on_the_last_day():
    """A version that starts on Sunday is added to the week, and to no earlier day."""
    versions = {(Cadence.DAILY, SUNDAY): 1, (Cadence.WEEKLY, SUNDAY): 2}
    periods = [*(daily(offset) for offset in range(7)), WEEKLY]

    found = statuses(
        events={day(offset): 5 for offset in range(7)},
        journals={period: journal(events_seen=99) for period in periods},
        versions_in_force=lambda *key: frozenset({versions[key]} if key in versions else ()),
    )

    assert [status.period for status in found if status.state == PeriodState.RULE_ADDED] == [
        daily(6),
        WEEKLY,
    ]


def test_a_rule_changes_nothing_for_a_day_without_activity():
    status = statuses(
        journals={DAILY: journal(events_seen=0)},
        versions_in_force=lambda cadence, day: frozenset({1}),
    )[0]

    assert status.state == PeriodState.DONE


def test_one_event_is_enough_for_a_rule_to_be_added():
    status = statuses(
        events={MONDAY: 1},
        journals={DAILY: journal(events_seen=1)},
        versions_in_force=lambda cadence, day: frozenset({1}),
    )[0]

    assert status.state == PeriodState.RULE_ADDED


@pytest.mark.parametrize(
    ("grace_days", "state"),
    [
        # From the next Monday, this Monday is the seventh closed day back.
        (8, PeriodState.LATE),
        (7, PeriodState.LATE),
        (6, PeriodState.LATE_BEYOND_GRACE),
        (0, PeriodState.LATE_BEYOND_GRACE),
    ],
)
def test_late_activity_within_and_beyond_grace(grace_days, state):
    known = {DAILY: journal(events_seen=3)}

    status = statuses(events={MONDAY: 5}, journals=known, grace_days=grace_days)[0]

    assert status == PeriodStatus(period=DAILY, state=state, late=2)


@pytest.mark.parametrize(("grace_days", "state"), [(1, PeriodState.LATE), (0, "late beyond grace")])
def test_the_grace_of_a_week_counts_from_its_sunday(grace_days, state):
    events = {day(0): 2, day(6): 4}
    known = {WEEKLY: journal(events_seen=5)}

    week = statuses(events=events, journals=known, grace_days=grace_days)[-1]

    assert week == PeriodStatus(period=WEEKLY, state=PeriodState(state), late=1)


def test_nothing_is_late_before_the_first_done_run():
    status = statuses(events={MONDAY: 5}, journals={DAILY: journal(events_seen=None, failures=1)})

    assert status[0] == PeriodStatus(period=DAILY, state=PeriodState.RETRY, late=0)


def test_pruned_activity_is_not_late():
    assert statuses(events={MONDAY: 4}, journals={DAILY: journal()})[0].late == 0


# --- What is due ------------------------------------------------------------------------------


def test_every_state_is_due_or_not():
    assert set(PeriodState) - DUE == {
        PeriodState.NO_ACTIVITY,
        PeriodState.RUNNING,
        PeriodState.FAILED,
        PeriodState.LATE_BEYOND_GRACE,
        PeriodState.DONE,
    }


def test_due_periods_come_oldest_first_and_late_ones_last():
    events = {day(offset): 5 for offset in (0, 1, 6)}
    late = {DAILY: journal(events_seen=4)}

    assert due(events=events, journals=late, grace_days=7) == [daily(1), daily(6), DAILY]


def test_late_periods_come_oldest_first():
    late = {daily(offset): journal(events_seen=4) for offset in (0, 1)}

    assert due(events={day(0): 5, day(1): 5}, journals=late, grace_days=7) == [DAILY, daily(1)]


def test_a_week_waits_for_its_days():
    events = {day(offset): 5 for offset in range(7)}
    done = {Period(Cadence.DAILY, date): journal() for date in days_between(MONDAY, day(5))}

    assert due(events=events, journals=done) == [daily(6)]
    done[daily(6)] = journal()
    assert due(events=events, journals=done) == [WEEKLY]


def test_a_week_waits_for_a_day_that_is_running():
    running = {DAILY: journal(is_open=True, events_seen=None)}

    assert due(events={MONDAY: 5}, journals=running, running={DAILY}) == []


@pytest.mark.parametrize(
    ("paid", "expected"),
    [
        (0, [WEEKLY, daily(7)]),
        (7, [DAILY, Period(Cadence.WEEKLY, NEXT_MONDAY)]),
    ],
)
def test_a_week_waits_for_its_own_days_only(paid, expected):
    """Of two weeks with one active day each, the day of one is paid."""
    events = {MONDAY: 5, NEXT_MONDAY: 5}

    assert due(events=events, journals={daily(paid): journal()}, today=day(14)) == expected


def test_a_day_given_up_holds_up_no_week():
    given_up = {DAILY: journal(events_seen=None, failures=MAX_FAILURES)}

    assert due(events={MONDAY: 5}, journals=given_up) == [WEEKLY]


def test_a_week_is_awarded_again_after_its_late_day():
    events = {SUNDAY: 5}
    late = {daily(6): journal(events_seen=4), WEEKLY: journal(events_seen=4)}

    assert due(events=events, journals=late) == [daily(6)]
    assert due(events=events, journals=late | {daily(6): journal()}) == [WEEKLY]


def test_a_day_without_activity_is_never_due():
    assert due() == []


@pytest.mark.parametrize(
    ("events", "journals", "first"),
    [
        ({}, {}, None),
        ({day(3): 1}, {}, MONDAY),
        ({day(9): 1, day(3): 1}, {}, MONDAY),
        ({day(9): 1}, {daily(2): journal()}, MONDAY),
        ({}, {Period(Cadence.WEEKLY, NEXT_MONDAY): journal()}, NEXT_MONDAY),
    ],
)
def test_the_first_week_is_that_of_the_first_activity_or_run(events, journals, first):
    assert first_week(events, journals) == first


# --- Ranges of dates --------------------------------------------------------------------------


def test_a_range_has_at_most_400_days():
    assert MAX_DAYS == 400
    require_range(MONDAY, MONDAY)
    require_range(MONDAY, day(399))

    with pytest.raises(BadPeriod, match=r"^The range is too long: 401 days, at most 400\.$"):
        require_range(MONDAY, day(400))


def test_a_reversed_range_is_refused():
    message = "The range is reversed: 2026-11-16 is after 2026-11-15."

    with pytest.raises(BadPeriod, match=f"^{message}$"):
        require_range(MONDAY, day(-1))
