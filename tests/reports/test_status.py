from datetime import UTC, datetime, timedelta

import pytest

from rewards.choices import Cadence, RunTrigger
from rewards.engine.business_days import ONE_DAY
from rewards.engine.periods import PeriodState
from rewards.reports.status import health, period_rows, status
from rewards.services.due import award_due
from tests.factories import A_MONDAY, DailyActivityFactory, HostFactory, RewardRuleFactory

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
"""The Wednesday after A_MONDAY."""


@pytest.fixture
def host():
    RewardRuleFactory()
    return HostFactory()


def test_nothing_is_known_without_activity():
    assert health(now=NOW).ended == ()
    assert status(now=NOW, days=14).to_dict() == {"periods": [], "overdue": []}
    assert period_rows([]) == ()


def test_health_counts_states_and_due_periods(host):
    DailyActivityFactory(user=host)
    DailyActivityFactory(user=host, date=A_MONDAY - 7 * ONE_DAY)

    known = health(now=NOW)

    assert len(known.ended) == 10  # a week of days, the week, Monday, Tuesday
    assert known.states == {PeriodState.MISSING: 3, PeriodState.NO_ACTIVITY: 7}
    assert known.due == 2  # the week waits for its days
    assert [str(overdue.period) for overdue in known.overdue] == [
        "2026-11-09",
        "week 2026-11-09",
        "2026-11-16",
    ]


def test_rows_have_the_totals_of_their_runs(host):
    DailyActivityFactory(user=host)
    award_due(now=NOW, trigger=RunTrigger.BEAT)

    monday, tuesday = status(now=NOW, days=2).to_dict()["periods"]

    assert monday.pop("seconds") >= 0
    assert datetime.fromisoformat(monday.pop("finished_at")).tzinfo
    assert monday == {
        "cadence": "daily",
        "reference_date": "2026-11-16",
        "state": "done",
        "late": 0,
        "runs": 1,
        "hosts_evaluated": 1,
        "awards": 1,
        "points": 10,
        "trigger": "beat",
        "error": "",
    }
    assert tuesday == {
        "cadence": "daily",
        "reference_date": "2026-11-17",
        "state": "no activity",
        "late": 0,
    }


@pytest.mark.parametrize(
    ("days", "shown"),
    [
        (1, ["2026-11-15", "2026-11-17"]),  # an overdue period is always shown
        (2, ["2026-11-15", "2026-11-16", "2026-11-17"]),
    ],
)
def test_the_latest_days_are_shown_and_all_overdue_ones(host, days, shown):
    DailyActivityFactory(user=host, date=A_MONDAY - ONE_DAY)
    DailyActivityFactory(user=host)
    award_due(now=NOW, trigger=RunTrigger.BEAT)
    DailyActivityFactory(date=A_MONDAY - ONE_DAY)

    report = status(now=NOW + timedelta(days=3), days=days + 3)

    # The grace period of the Sunday is over, and so is that of its week.
    assert [row.state for row in report.overdue] == [PeriodState.LATE_BEYOND_GRACE] * 2
    days_shown = [str(row.period) for row in report.rows if row.period.cadence == Cadence.DAILY]
    assert days_shown[: len(shown)] == shown


def test_the_command_of_a_period_awards_it(host):
    DailyActivityFactory(user=host, date=A_MONDAY - 7 * ONE_DAY)

    overdue = status(now=NOW, days=1).to_dict()["overdue"]

    assert [row["command"] for row in overdue] == [
        "manage.py award_daily --date 2026-11-09",
        "manage.py award_weekly --week 2026-11-09",
    ]
