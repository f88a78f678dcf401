"""What a tick awards, in which order, and what it leaves to the next one."""

import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.core import mail
from django.db import OperationalError

from rewards.choices import BatchStatus, Cadence, RuleType, RunStatus, RunTrigger
from rewards.engine.periods import MAX_FAILURES, Period
from rewards.models import AwardBatch, AwardRun, DailyActivity, Score, ScoreHistory
from rewards.selectors.runs import lock_key
from rewards.services import db_errors, due
from rewards.services.awarding import batches
from rewards.services.awarding.options import RunOptions
from tests.awards import award_daily
from tests.factories import (
    A_MONDAY,
    DailyActivityFactory,
    HostFactory,
    RewardRuleFactory,
    ScoreFactory,
)
from tests.processes import held_by_another

pytestmark = pytest.mark.django_db

ONE_DAY = timedelta(days=1)
SUNDAY = A_MONDAY + 6 * ONE_DAY
NOW = datetime(2026, 11, 23, 0, 30, tzinfo=UTC)
"""Half an hour into the Monday after the week of A_MONDAY."""

WEEK = Period(Cadence.WEEKLY, A_MONDAY)


def day(offset):
    return Period(Cadence.DAILY, A_MONDAY + offset * ONE_DAY)


def award_due(now=NOW, **kwargs):
    return due.award_due(now=now, trigger=RunTrigger.BEAT, **kwargs)


def periods(report):
    return [run.period for run in report.runs]


@pytest.fixture
def rules():
    RewardRuleFactory()
    RewardRuleFactory(rule_type=RuleType.WEEKLY_CONSISTENCY, threshold=3, points=100)


@pytest.fixture
def host(rules):
    return HostFactory()


def test_missing_periods_are_awarded_oldest_first(host):
    for offset in (6, 0, 3):
        DailyActivityFactory(user=host, date=A_MONDAY + offset * ONE_DAY)

    report = award_due()

    assert periods(report) == [day(0), day(3), day(6), WEEK]
    assert (report.busy, report.is_complete) == ((), True)
    assert Score.objects.get().lifetime == 130
    assert set(AwardRun.objects.values_list("trigger", flat=True)) == {RunTrigger.BEAT}


def test_a_second_call_awards_nothing(host, django_assert_num_queries):
    DailyActivityFactory(user=host)
    award_due()

    # live runs, running periods, activity of each day, run journal, rule versions
    with django_assert_num_queries(5):
        report = award_due()

    assert (report.runs, report.is_complete) == ((), True)


def test_late_activity_is_paid_to_its_own_day_and_week(host):
    for offset in (4, 5):
        DailyActivityFactory(user=host, date=A_MONDAY + offset * ONE_DAY)
    award_due()
    DailyActivityFactory(user=host, date=SUNDAY)

    report = award_due()

    assert periods(report) == [day(6), WEEK]
    assert ScoreHistory.objects.filter(reference_date=SUNDAY).count() == 1
    assert ScoreHistory.objects.filter(rule_type=RuleType.WEEKLY_CONSISTENCY).count() == 1
    assert award_due().runs == ()


def test_activity_beyond_grace_is_not_awarded(host):
    DailyActivityFactory(user=host)
    award_due()
    DailyActivityFactory()

    assert award_due(now=NOW + 3 * ONE_DAY).runs == ()


def test_removed_activity_does_not_hide_late_activity(host):
    for _ in range(3):
        DailyActivityFactory(date=SUNDAY)
    award_due()
    DailyActivity.objects.filter(user=DailyActivity.objects.last().user_id).delete()
    award_daily(day=SUNDAY, now=NOW)

    DailyActivityFactory(user=host, date=SUNDAY)

    assert periods(award_due())[0] == day(6)


def test_a_rule_for_past_days_is_paid_by_the_next_call():
    DailyActivityFactory()
    assert [run.rules for run in award_due().runs] == [0, 0]
    RewardRuleFactory()

    report = award_due()

    assert periods(report) == [day(0)]
    assert Score.objects.get().lifetime == 10
    assert award_due().runs == ()


def test_a_failed_period_is_tried_three_times(host):
    DailyActivityFactory(user=host)
    ScoreFactory(user=host, lifetime=2**63 - 1)

    attempts = [periods(award_due()).count(day(0)) for _ in range(4)]

    assert attempts == [1, 1, 1, 0]


def test_failures_are_counted_from_the_last_done_run(host):
    """Two before a done run and two after it are not four in a row."""
    DailyActivityFactory(user=host, date=SUNDAY)
    ScoreFactory(user=host, lifetime=2**63 - 1)
    reports = [award_due() for _ in range(2)]
    Score.objects.update(lifetime=10)
    reports.append(award_due())
    late = DailyActivityFactory(date=SUNDAY).user
    Score.objects.create(user=late, lifetime=2**63 - 1, daily_date=SUNDAY, week_start=A_MONDAY)
    reports += [award_due() for _ in range(3)]

    runs = [run for report in reports for run in report.runs if run.period == day(6)]
    assert [run.status for run in runs] == ["failed"] * 2 + ["done"] + ["failed"] * 3


def test_a_deferred_batch_is_retried_without_limit(host, monkeypatch):
    DailyActivityFactory(user=host)
    monkeypatch.setattr(db_errors.time, "sleep", lambda seconds: None)
    locked = OperationalError("canceling statement due to lock timeout")
    locked.__cause__ = psycopg.errors.LockNotAvailable()

    def wait_in_vain(*args, **kwargs):
        raise locked

    with monkeypatch.context() as patch:
        patch.setattr(batches, "award_id_range", wait_in_vain)
        for _ in range(MAX_FAILURES + 1):
            assert [run.status for run in award_due().runs] == [RunStatus.FAILED]
    assert set(AwardBatch.objects.values_list("status", flat=True)) == {BatchStatus.DEFERRED}

    report = award_due()

    assert [run.status for run in report.runs] == [RunStatus.DONE] * 2
    assert Score.objects.get().lifetime == 10


def test_one_mail_tells_the_admins_of_a_failed_run(rules, settings):
    settings.ADMINS = [("", "ops@rewards.example")]
    settings.REWARDS_BATCH_SIZE = 1  # each batch fails
    for _ in range(2):
        host = HostFactory()
        DailyActivityFactory(user=host)
        ScoreFactory(user=host, lifetime=2**63 - 1)

    award_daily(day=A_MONDAY, now=NOW)

    (message,) = mail.outbox
    assert message.to == ["ops@rewards.example"]
    assert "reference_date=2026-11-16 status=failed" in message.subject
    assert AwardRun.objects.get().hosts_failed == 2


@pytest.mark.django_db(transaction=True)
def test_a_period_that_another_process_runs_is_left_to_it(host):
    DailyActivityFactory(user=host)
    DailyActivityFactory(user=host, date=A_MONDAY + ONE_DAY)

    with held_by_another(lock_key(day(0)), function="pg_advisory_lock_shared"):
        report = award_due()

    assert periods(report) == [day(1)]
    (sentence,) = report.busy
    assert "award_daily for 2026-11-16 is already running" in sentence
    assert report.is_complete


def test_the_deadline_leaves_the_rest_to_the_next_call(host):
    DailyActivityFactory(user=host)

    report = award_due(options=RunOptions(deadline=time.monotonic()))

    assert (report.runs, report.busy, report.is_complete) == ((), (), False)


def test_the_options_are_those_of_each_run(host):
    DailyActivityFactory(user=host)
    progress = []

    award_due(options=RunOptions(on_progress=lambda *batches: progress.append(batches)))

    assert progress == [(1, 1), (1, 1)]  # the day, the week


def test_a_call_awards_a_limited_number_of_periods(host, monkeypatch):
    monkeypatch.setattr(due, "MAX_PERIODS", 2)
    for offset in range(3):
        DailyActivityFactory(user=host, date=A_MONDAY + offset * ONE_DAY)

    first, second, third = award_due(), award_due(), award_due()

    assert (periods(first), first.is_complete) == ([day(0), day(1)], False)
    assert (periods(second), second.is_complete) == ([day(2), WEEK], False)
    assert (third.runs, third.is_complete) == ((), True)


def test_the_day_that_has_ended_is_that_of_the_time_zone(rules, settings):
    """At 23:30 UTC on Sunday it is Monday in Berlin."""
    settings.REWARDS_TIME_ZONE = "Europe/Berlin"
    DailyActivityFactory(date=SUNDAY)

    assert periods(award_due(now=datetime(2026, 11, 22, 22, 30, tzinfo=UTC))) == []
    assert periods(award_due(now=datetime(2026, 11, 22, 23, 30, tzinfo=UTC))) == [day(6), WEEK]
