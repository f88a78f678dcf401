"""What verification finds to be right, and how it compares."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.db.models import F

from rewards.choices import ActivityKind, RuleType, RunStatus
from rewards.models import ActivityEvent, AwardRun, DailyActivity, Score, ScoreHistory
from rewards.reports.verify.verification import CTES, _parameters, verify_ledger
from tests.factories import (
    A_MONDAY,
    ActivityEventFactory,
    HostFactory,
    RewardRuleFactory,
)
from tests.reports.awarded_week import (
    TODAY,
    TUESDAY,
    act,
    award_day,
    award_week,
    broken,
    create_awarded_week,
    damage,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def hosts():
    return create_awarded_week()


def test_intact_data_has_no_violation_and_every_row_is_checked(hosts):
    verification = verify_ledger(today=TODAY)

    assert verification.broken == []
    assert {finding.name: finding.checked for finding in verification.findings} == {
        **dict.fromkeys(["I1", "I9", "I10", "I11", "I15", "I19", "I21", "I23"], 16),
        **dict.fromkeys(["I3", "I4", "I5", "I6"], 2),
        **dict.fromkeys(["I13", "I14"], 8),
        **dict.fromkeys(["I2", "I7"], 1),
        "I12": 8,
        "I16": 15,
        "I20": 6,
        "D1": 8,
    }


def test_findings_are_in_order_of_their_numbers(hosts):
    names = [finding.name for finding in verify_ledger(today=TODAY).findings]

    assert names[:3] == ["I1", "I2", "I3"]
    assert names[-2:] == ["I23", "D1"]
    assert names.index("I9") < names.index("I10")


def test_intact_data_is_compared_by_checksums_only(hosts, settings):
    """Rows are compared one by one only where checksums differ, which takes far longer."""
    settings.REWARDS_MIN_CALL_SECONDS = 60
    ctes = ", ".join(f"{name} AS ({sql})" for name, sql in CTES.items())
    inspected = ["days_to_inspect", "mismatching_days", "mismatching_periods"]
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH {ctes} SELECT {', '.join(f'(SELECT count(*) FROM {cte})' for cte in inspected)},"
            " (SELECT differ FROM lifetimes), (SELECT differ FROM periods)",
            _parameters(TODAY),
        )

        assert cursor.fetchone() == (0, 0, 0, False, False)


def test_an_empty_database_has_no_violation():
    assert broken() == set()


def test_scores_of_an_older_period_are_compared_one_by_one(hosts):
    _, bo = hosts
    Score.objects.filter(user=bo).update(
        daily=10, daily_date=A_MONDAY, weekly=10, week_start=A_MONDAY
    )
    assert broken() == set()

    Score.objects.filter(user=bo).update(daily=9)
    assert broken() == {"I4"}

    Score.objects.filter(user=bo).update(daily=9, weekly=9)
    assert broken() == {"I4", "I5"}


def test_the_largest_numbers_are_compared(hosts):
    ana, _ = hosts
    huge = 2**62
    Score.objects.filter(user=ana).update(lifetime=huge, daily=huge, weekly=huge)
    calls = 1_000_000
    DailyActivity.objects.filter(date=TUESDAY).update(
        audio_calls=calls, audio_seconds=86_400 * calls
    )

    assert broken() == {"I3", "I4", "I5", "I19", "D1"}


def test_more_seconds_than_an_integer_holds_are_compared(hosts):
    ana, _ = hosts
    calls = 25_000
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO rewards_activityevent
                (source, event_id, user_id, kind, occurred_at, duration_seconds, business_date)
            SELECT 'test', 'long-' || n, %s, 'video_call', '2026-11-17T12:00:00Z', 86400,
                '2026-11-17'
            FROM generate_series(1, %s) AS n
            """,
            [ana.pk, calls],
        )
    tuesday = DailyActivity.objects.filter(user=ana, date=TUESDAY)
    tuesday.update(video_calls=calls, video_seconds=calls * 86_400)
    assert broken() == set()

    tuesday.update(video_seconds=F("video_seconds") - 1)

    assert broken() == {"D1"}


def test_negative_seconds_are_found(hosts):
    damage(
        "ALTER TABLE rewards_dailyactivity DROP CONSTRAINT"
        " rewards_dailyactivity_audio_seconds_check",
        f"UPDATE rewards_dailyactivity SET audio_seconds = {-(2**62)} WHERE date = '2026-11-17'",
    )

    assert broken() == {"D1"}


def test_the_constraints_of_events_are_recognised():
    """Otherwise every event would be inspected a second time."""
    with connection.cursor() as cursor:
        cursor.execute(CTES["event_constraints"])

        assert cursor.fetchall() == [(True,)]


def test_seconds_of_a_login_are_ignored(hosts):
    ActivityEvent.objects.filter(kind=ActivityKind.LOGIN).update(duration_seconds=5)

    assert broken() == set()


def test_a_gap_between_done_runs_is_found(hosts):
    act(hosts[1], A_MONDAY - timedelta(days=3))
    act(hosts[1], A_MONDAY - timedelta(days=5))
    award_day(A_MONDAY - timedelta(days=5))

    assert broken() == {"I12"}

    award_day(A_MONDAY - timedelta(days=3))
    assert broken() == set()


def test_a_gap_between_done_weeks_is_found(hosts):
    two_weeks_before = A_MONDAY - timedelta(days=14)
    for monday in (two_weeks_before, A_MONDAY - timedelta(days=7)):
        act(hosts[1], monday)
        award_day(monday)
    award_week(two_weeks_before)

    assert broken() == {"I12"}


def test_awards_of_the_future_are_found(hosts):
    assert verify_ledger(today=A_MONDAY).broken == ["I6", "I15"]


def test_awards_before_the_first_day_are_found(hosts):
    day = date(1999, 12, 31)
    RewardRuleFactory(starts_on=day)
    act(hosts[0], day)
    award_day(day)

    assert broken() == {"I15"}


def test_later_and_other_versions_are_no_violation(hosts):
    for rule_type in ("DAILY_LOGIN", "WEEKLY_CONSISTENCY"):
        RewardRuleFactory(rule_type=rule_type, starts_on=A_MONDAY + timedelta(days=7))
    RewardRuleFactory(rule_type="DAILY_VIDEO_CALL_TARGET", starts_on=A_MONDAY)

    assert broken() == set()


def test_an_open_run_is_compared_by_its_batches(hosts):
    run = AwardRun.objects.filter(reference_date=A_MONDAY, cadence="daily")
    run.update(status=RunStatus.RUNNING, finished_at=None, awards=0, points=0)
    assert broken() == set()

    run.get().batches.update(points=1)
    assert broken() == {"I13"}


def test_a_short_call_counts_nothing(hosts, settings):
    settings.REWARDS_MIN_CALL_SECONDS = 60
    noon = datetime(2026, 11, 17, 12, tzinfo=UTC)
    call = ActivityEventFactory(
        user=hosts[1], kind=ActivityKind.VIDEO_CALL, occurred_at=noon, duration_seconds=59
    )
    assert broken() == set()

    ActivityEvent.objects.filter(pk=call.pk).update(duration_seconds=60)
    (found,) = [f for f in verify_ledger(today=TODAY).findings if f.violations]
    assert found.name == "D1"
    assert found.examples == [
        "host bo on 2026-11-17: counted 0 video calls, 1 in events; counted 0 video seconds, "
        "60 in events"
    ]


def test_the_bounds_of_a_business_day_belong_to_it(hosts):
    events = ActivityEvent.objects.filter(user=hosts[1])
    start = datetime(2026, 11, 16, tzinfo=UTC)
    end = start + timedelta(days=1)
    for occurred_at in (start, end - timedelta(microseconds=1)):
        # Clocks may differ by five minutes.
        events.update(occurred_at=occurred_at, received_at=occurred_at - timedelta(minutes=5))
        assert broken() == set()

    events.update(occurred_at=end, received_at=end)
    assert broken() == {"I16"}


def test_only_wrong_events_of_an_inspected_day_are_violations(hosts):
    start = datetime(2026, 11, 17, tzinfo=UTC)
    events = ActivityEvent.objects.filter(business_date=TUESDAY)
    events.update(occurred_at=start, received_at=start)
    events.filter(kind=ActivityKind.LOGIN).update(received_at=start - timedelta(hours=1))

    findings = verify_ledger(today=TODAY).findings

    assert [f.violations for f in findings if f.name == "I16"] == [1]


def test_a_week_is_settled_by_its_own_run(hosts):
    ana, bo = hosts
    for offset in range(1, 7):
        act(bo, A_MONDAY + timedelta(days=offset))
        award_day(A_MONDAY + timedelta(days=offset))

    # The runs of the days have seen all activity, the run of the week has not.
    assert broken() == set()

    act(ana, A_MONDAY)
    award_week()
    assert ScoreHistory.objects.filter(user=bo, rule_type="WEEKLY_CONSISTENCY").exists()
    damage("DELETE FROM rewards_scorehistory WHERE rule_type = 'WEEKLY_CONSISTENCY'")

    # Now it is the other way round.
    assert "I11" in broken()


def test_late_activity_is_no_violation_until_a_run_sees_it(hosts):
    act(hosts[1], TUESDAY)

    assert broken() == set()

    award_day(TUESDAY)
    assert broken() == set()
    assert ScoreHistory.objects.filter(user=hosts[1]).count() == 2


def test_an_ineligible_host_keeps_its_awards_and_misses_none(hosts):
    hosts[0].left_on = TUESDAY
    hosts[0].save()
    act(hosts[0], A_MONDAY + timedelta(days=7))
    award_day(A_MONDAY + timedelta(days=7))

    assert broken() == set()


def test_a_rule_added_after_the_run_is_no_violation(hosts):
    act(hosts[1], TUESDAY, ActivityKind.VIDEO_CALL)
    award_day(TUESDAY)
    RewardRuleFactory(rule_type=RuleType.DAILY_VIDEO_CALL_TARGET)

    assert broken() == set()

    award_day(TUESDAY)
    assert broken() == set()
    assert ScoreHistory.objects.filter(rule_type="DAILY_VIDEO_CALL_TARGET").count() == 1


def test_a_business_day_follows_its_time_zone(settings):
    settings.REWARDS_TIME_ZONE = "America/Los_Angeles"
    RewardRuleFactory()
    host = HostFactory()
    evening = datetime(2026, 11, 17, 7, 59, tzinfo=UTC)
    ActivityEventFactory(
        user=host, occurred_at=evening, received_at=evening, business_date=A_MONDAY
    )
    DailyActivity.objects.create(user=host, date=A_MONDAY, logins=1)

    assert broken() == set()

    damage("UPDATE rewards_activityevent SET occurred_at = occurred_at + interval '1 minute'")
    assert broken() == {"I16"}
