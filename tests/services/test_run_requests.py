"""Run requests: small ones at once, large ones by the workers."""

from datetime import UTC, datetime, timedelta

import pytest

from rewards.choices import Cadence, RuleType, RunStatus, RunTrigger
from rewards.engine.periods import Period
from rewards.exceptions import BadPeriod, QueueUnreachable
from rewards.models import AwardRun, ScoreHistory
from rewards.selectors.runs import lock_key, running_periods
from rewards.services import run_requests, worker_queue
from rewards.services.run_requests import request_due, request_run
from tests.factories import A_MONDAY, DailyActivityFactory, HostFactory, RewardRuleFactory
from tests.processes import held_by_another

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)
DAY = Period(Cadence.DAILY, A_MONDAY)
WEEK = Period(Cadence.WEEKLY, A_MONDAY)


@pytest.fixture(autouse=True)
def two_hosts_at_once(monkeypatch):
    monkeypatch.setattr(run_requests, "MAX_HOSTS", 2)
    RewardRuleFactory()
    RewardRuleFactory(rule_type=RuleType.WEEKLY_CONSISTENCY, threshold=2)


@pytest.fixture
def messages(monkeypatch):
    sent = []
    monkeypatch.setattr(worker_queue, "enqueue", lambda *message: sent.append(message))
    return sent


def test_a_small_run_is_executed_at_once(messages):
    DailyActivityFactory.create_batch(2)

    outcome = request_run(period=DAY, now=NOW)

    (report,) = outcome.runs
    assert (report.period, report.status, report.counts.awards) == (DAY, RunStatus.DONE, 2)
    assert (outcome.is_enqueued, outcome.busy, messages) == (False, (), [])
    assert AwardRun.objects.get().trigger == RunTrigger.ADMIN


def test_a_large_run_is_opened_for_the_workers(messages):
    DailyActivityFactory.create_batch(3)

    outcome = request_run(period=DAY, now=NOW)

    run = AwardRun.objects.get()
    assert (outcome.runs, outcome.is_enqueued) == ((), True)
    assert (run.status, run.trigger) == (RunStatus.RUNNING, RunTrigger.ADMIN)
    assert messages == [("award_batches", run.pk)]
    assert not ScoreHistory.objects.exists()
    assert running_periods() == set()


def test_a_week_is_as_large_as_its_days_together(messages):
    host = HostFactory()
    for offset in range(3):
        DailyActivityFactory(user=host, date=A_MONDAY + timedelta(days=offset))

    assert request_run(period=WEEK, now=NOW).is_enqueued


def test_a_period_that_has_not_ended_is_refused(messages):
    with pytest.raises(BadPeriod):
        request_run(period=DAY, now=datetime(2026, 11, 16, 12, tzinfo=UTC))

    assert not AwardRun.objects.exists()


def test_the_day_is_that_of_the_time_zone(settings):
    """At 23:30 UTC the day after has begun in Berlin."""
    settings.REWARDS_TIME_ZONE = "Europe/Berlin"

    outcome = request_run(period=DAY, now=datetime(2026, 11, 16, 23, 30, tzinfo=UTC))

    assert outcome.runs[0].status == RunStatus.DONE


def test_what_is_due_is_awarded_at_once(messages):
    DailyActivityFactory()

    outcome = request_due(now=NOW)

    assert [report.period for report in outcome.runs] == [DAY, WEEK]
    assert (outcome.is_enqueued, outcome.busy, messages) == (False, (), [])
    assert set(AwardRun.objects.values_list("trigger", flat=True)) == {RunTrigger.ADMIN}


def test_much_that_is_due_is_enqueued(messages):
    for offset in range(3):
        DailyActivityFactory(date=A_MONDAY + timedelta(days=offset))

    outcome = request_due(now=NOW)

    assert (outcome.runs, outcome.is_enqueued, messages) == ((), True, [("award_due",)])
    assert not AwardRun.objects.exists()


def test_a_day_and_its_late_week_are_counted_once(messages):
    """The days of a week that is due are the same hosts again."""
    first, second = DailyActivityFactory(), DailyActivityFactory()
    request_due(now=NOW)
    for activity in (first, second):
        activity.logins += 1
        activity.save()

    outcome = request_due(now=NOW + timedelta(days=1))

    assert not outcome.is_enqueued


def test_what_is_not_due_does_not_count(messages):
    """Activity of days that are awarded already."""
    for offset in range(3):
        DailyActivityFactory(date=A_MONDAY + timedelta(days=offset))
    while request_due(now=NOW).is_enqueued:
        run_requests.award_due(now=NOW, trigger=RunTrigger.BEAT)
    messages.clear()

    assert not request_due(now=NOW).is_enqueued
    assert messages == []


@pytest.mark.django_db(transaction=True)
def test_a_period_that_another_process_runs_is_reported(messages):
    DailyActivityFactory()

    with held_by_another(lock_key(DAY)):
        outcome = request_due(now=NOW)

    assert outcome.runs == ()
    assert "award_daily for 2026-11-16 is already running" in outcome.busy[0]


@pytest.mark.parametrize("request_it", [request_due, lambda now: request_run(period=DAY, now=now)])
def test_a_broker_outage_is_reported(monkeypatch, request_it):
    def fail(*message):
        raise QueueUnreachable

    monkeypatch.setattr(worker_queue, "enqueue", fail)
    DailyActivityFactory.create_batch(3)

    with pytest.raises(QueueUnreachable):
        request_it(now=NOW)

    assert not ScoreHistory.objects.exists()
