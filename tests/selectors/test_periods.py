"""The states of all periods, as the database has them, and which are overdue."""

from datetime import UTC, datetime, timedelta

import pytest

from rewards.choices import Cadence, RuleType, RunStatus
from rewards.engine.periods import DUE, Period, PeriodState, PeriodStatus
from rewards.selectors.periods import is_overdue, period_statuses
from rewards.selectors.runs import lock_key
from tests.factories import (
    A_MONDAY,
    AwardRunFactory,
    DailyActivityFactory,
    HostFactory,
    RewardRuleFactory,
)
from tests.processes import held_by_another

ONE_DAY = timedelta(days=1)
SUNDAY = A_MONDAY + 6 * ONE_DAY
NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)


def statuses(now=NOW):
    return {status.period: status.state for status in period_statuses(now=now)}


def day(offset):
    return Period(Cadence.DAILY, A_MONDAY + offset * ONE_DAY)


WEEK = Period(Cadence.WEEKLY, A_MONDAY)


@pytest.mark.django_db
def test_without_activity_and_runs_there_is_no_period():
    assert list(period_statuses(now=NOW)) == []


@pytest.mark.django_db
def test_periods_begin_with_the_week_of_the_first_activity():
    DailyActivityFactory(date=A_MONDAY + 2 * ONE_DAY)

    found = list(period_statuses(now=NOW))

    assert [status.period for status in found] == [*(day(offset) for offset in range(7)), WEEK]
    assert [status.state for status in found].count(PeriodState.MISSING) == 2


@pytest.mark.django_db
def test_periods_begin_with_the_week_of_the_first_run():
    AwardRunFactory(reference_date=SUNDAY)

    assert next(period_statuses(now=NOW)).period == day(0)


@pytest.mark.django_db
def test_states_follow_journal_activity_and_rules(settings):
    settings.REWARDS_GRACE_DAYS = 5
    rule = RewardRuleFactory()
    runs = [
        {"events_seen": 1, "rule_versions": [rule.pk]},
        {"events_seen": 0, "rule_versions": [rule.pk]},  # late, beyond grace
        {"events_seen": 0, "rule_versions": [rule.pk]},  # late
        {"events_seen": 1, "rule_versions": []},
        {"status": RunStatus.FAILED, "hosts_failed": 1},
        {"status": RunStatus.RUNNING, "finished_at": None},
    ]
    for offset, run in enumerate(runs):
        DailyActivityFactory(date=A_MONDAY + offset * ONE_DAY)
        AwardRunFactory(reference_date=A_MONDAY + offset * ONE_DAY, **run)

    found = statuses()

    assert [found[day(offset)] for offset in range(7)] == [
        PeriodState.DONE,
        PeriodState.LATE_BEYOND_GRACE,
        PeriodState.LATE,
        PeriodState.RULE_ADDED,
        PeriodState.RETRY,
        PeriodState.INTERRUPTED,
        PeriodState.NO_ACTIVITY,
    ]


@pytest.mark.django_db
def test_a_weekly_rule_is_added_to_weeks_only():
    DailyActivityFactory()
    AwardRunFactory(events_seen=1)
    AwardRunFactory(events_seen=1, cadence=Cadence.WEEKLY)
    RewardRuleFactory(rule_type=RuleType.WEEKLY_CONSISTENCY)

    found = statuses()

    assert (found[day(0)], found[WEEK]) == (PeriodState.DONE, PeriodState.RULE_ADDED)


@pytest.mark.django_db(transaction=True)
def test_an_open_run_is_running_while_a_process_holds_its_lock():
    DailyActivityFactory()
    AwardRunFactory(status=RunStatus.RUNNING, finished_at=None)

    with held_by_another(lock_key(day(0)), function="pg_advisory_lock_shared"):
        assert statuses()[day(0)] == PeriodState.RUNNING
    assert statuses()[day(0)] == PeriodState.INTERRUPTED


@pytest.mark.django_db
def test_a_day_ends_in_the_time_zone(settings):
    settings.REWARDS_TIME_ZONE = "Asia/Kolkata"
    DailyActivityFactory()

    assert day(0) not in statuses(datetime(2026, 11, 16, 18, 29, tzinfo=UTC))
    assert day(0) in statuses(datetime(2026, 11, 16, 18, 30, tzinfo=UTC))


@pytest.mark.django_db
def test_the_queries_are_the_same_for_any_number_of_periods(django_assert_num_queries):
    host = HostFactory()
    for offset in range(0, 70, 2):
        DailyActivityFactory(user=host, date=A_MONDAY - offset * ONE_DAY)
        AwardRunFactory(reference_date=A_MONDAY - offset * ONE_DAY)

    # running periods, activity of each day, run journal, rule versions
    with django_assert_num_queries(4):
        assert len(list(period_statuses(now=NOW))) > 70


# --- Overdue ----------------------------------------------------------------------------------


def overdue(period, state, now):
    return is_overdue(PeriodStatus(period=period, state=PeriodState(state), late=0), now=now)


END_OF_MONDAY = datetime(2026, 11, 17, tzinfo=UTC)
END_OF_WEEK = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "end"), [(day(0), END_OF_MONDAY), (WEEK, END_OF_WEEK)], ids=["day", "week"]
)
def test_a_due_period_is_overdue_an_hour_after_its_end(period, end, settings):
    settings.REWARDS_OVERDUE_MINUTES = 60
    an_hour_later = end + timedelta(minutes=60)

    assert not overdue(period, "missing", now=end)
    assert not overdue(period, "missing", now=an_hour_later)
    assert overdue(period, "missing", now=an_hour_later + timedelta(microseconds=1))


def test_the_minutes_are_a_setting(settings):
    settings.REWARDS_OVERDUE_MINUTES = 5

    assert overdue(day(0), "missing", now=END_OF_MONDAY + timedelta(minutes=6))


def test_the_end_is_that_of_the_time_zone(settings):
    settings.REWARDS_TIME_ZONE = "America/Los_Angeles"  # eight hours later
    settings.REWARDS_OVERDUE_MINUTES = 60

    assert not overdue(day(0), "missing", now=END_OF_MONDAY + timedelta(hours=9))
    assert overdue(day(0), "missing", now=END_OF_MONDAY + timedelta(hours=9, minutes=1))


NEEDS_OPERATOR = {PeriodState.FAILED, PeriodState.LATE_BEYOND_GRACE}


@pytest.mark.parametrize("state", sorted(NEEDS_OPERATOR))
def test_what_needs_an_operator_is_overdue_at_once(state):
    assert overdue(day(0), state, now=END_OF_MONDAY)


@pytest.mark.parametrize("state", PeriodState)
def test_the_states_that_become_overdue(state):
    expected = state in NEEDS_OPERATOR | DUE - {PeriodState.LATE}

    assert overdue(day(0), state, now=END_OF_MONDAY + timedelta(days=9)) is expected
