from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from django.core import mail
from django.db import OperationalError

from rewards.choices import BatchStatus, Cadence, RuleType, RunStatus, RunTrigger
from rewards.engine.periods import MAX_FAILURES, PeriodState
from rewards.exceptions import AlreadyRunning
from rewards.models import AwardBatch, AwardRun, DailyActivity, RewardRule, Score, ScoreHistory
from rewards.selectors.activity import counted_events, events_by_day
from rewards.selectors.runs import lock_key, running_periods
from rewards.services import db_errors, due, runs
from rewards.services.awarding import batches
from rewards.services.awarding import run as awarding_run
from rewards.services.awarding.options import RunOptions
from rewards.services.awarding.run import join_run
from tests import awards
from tests.factories import (
    A_MONDAY,
    AwardRunFactory,
    DailyActivityFactory,
    HostFactory,
    RewardRuleFactory,
    ScoreFactory,
)
from tests.processes import held_by_another

pytestmark = pytest.mark.django_db

NEXT_MONDAY = A_MONDAY + timedelta(days=7)
NOW = datetime(2026, 11, 23, 0, 30, tzinfo=UTC)
"""Half an hour into the Monday after the week of A_MONDAY."""

ONE_DAY = timedelta(days=1)


def catch_up(now=NOW, **kwargs):
    return due.award_due(now=now, trigger=RunTrigger.BEAT, **kwargs)


def names(report):
    return [(run.cadence.value, run.reference_date) for run in report.runs]


@pytest.fixture
def rules():
    RewardRuleFactory()
    RewardRuleFactory(rule_type=RuleType.WEEKLY_CONSISTENCY, threshold=3, points=100)


@pytest.fixture
def host():
    return HostFactory()


def test_all_that_was_missed_is_awarded_oldest_first_and_the_week_last(rules, host):
    for offset in (6, 0, 3):
        DailyActivityFactory(user=host, date=A_MONDAY + offset * ONE_DAY)

    report = catch_up()

    assert names(report) == [
        ("daily", A_MONDAY),
        ("daily", A_MONDAY + 3 * ONE_DAY),
        ("daily", A_MONDAY + 6 * ONE_DAY),
        ("weekly", A_MONDAY),
    ]
    assert report.is_complete
    assert Score.objects.get().lifetime == 130
    assert set(AwardRun.objects.values_list("trigger", flat=True)) == {RunTrigger.BEAT}


def test_a_second_call_does_nothing_in_a_handful_of_queries(rules, host, django_assert_num_queries):
    DailyActivityFactory(user=host)
    catch_up()

    with django_assert_num_queries(4):  # who is alive, activity of each day, journal, rules
        report = catch_up()

    assert (report.runs, report.is_complete) == ((), True)


def test_late_activity_is_paid_to_its_own_date_and_week(rules, host):
    sunday = A_MONDAY + 6 * ONE_DAY
    for offset in (4, 5):
        DailyActivityFactory(user=host, date=A_MONDAY + offset * ONE_DAY)
    catch_up()
    DailyActivityFactory(user=host, date=sunday)

    report = catch_up()

    assert names(report) == [("daily", sunday), ("weekly", A_MONDAY)]
    assert ScoreHistory.objects.filter(reference_date=sunday).count() == 1
    assert ScoreHistory.objects.filter(rule_type=RuleType.WEEKLY_CONSISTENCY).count() == 1
    assert catch_up().runs == ()


def test_activity_later_than_grace_is_left_to_a_person(rules, host):
    DailyActivityFactory(user=host)
    catch_up()
    DailyActivityFactory(user=HostFactory())
    now = NOW + 3 * ONE_DAY

    assert catch_up(now=now).runs == ()
    late = [each for each in due.periods(now=now) if each.late]
    assert [each.state for each in late] == [PeriodState.LATE_BEYOND_GRACE] * 2
    assert all(due.is_overdue(each, now=now) for each in late)


def test_a_period_that_fails_is_tried_once_in_a_call_and_three_times_in_all(rules, host):
    DailyActivityFactory(user=host)
    ScoreFactory(user=host, lifetime=2**63 - 1)

    attempts = [len([run for run in catch_up().runs if run.cadence == "daily"]) for _ in range(4)]

    assert attempts == [1, 1, 1, 0]
    day = next(due.periods(now=NOW))
    assert day.state == PeriodState.FAILED
    assert due.is_overdue(day, now=NOW)


def test_the_end_of_a_failed_run_is_mailed_to_the_admins_once(rules, settings):
    settings.ADMINS = [("", "ops@rewards.example")]
    settings.REWARDS_BATCH_SIZE = 1
    for _ in range(2):
        host = HostFactory()
        DailyActivityFactory(user=host)
        ScoreFactory(user=host, lifetime=2**63 - 1)

    awards.award_daily(day=A_MONDAY, now=NOW, trigger=RunTrigger.COMMAND)

    (message,) = mail.outbox
    assert message.to == ["ops@rewards.example"]
    assert "reference_date=2026-11-16 status=failed" in message.subject
    assert AwardRun.objects.get().rejected == 2


@pytest.mark.parametrize(
    ("minutes_after_midnight", "is_overdue"),
    [
        (60, False),
        (61, True),
    ],
)
def test_a_day_is_overdue_an_hour_after_its_end(host, minutes_after_midnight, is_overdue):
    DailyActivityFactory(user=host)
    now = datetime(2026, 11, 17, tzinfo=UTC) + timedelta(minutes=minutes_after_midnight)

    (day,) = due.periods(now=now)

    assert due.is_overdue(day, now=now) is is_overdue


def test_a_period_that_another_process_runs_is_left_to_it(rules, host, transactional_db):
    DailyActivityFactory(user=host)
    DailyActivityFactory(user=host, date=A_MONDAY + ONE_DAY)

    with held_by_another(lock_key(Cadence.DAILY, A_MONDAY), function="pg_advisory_lock_shared"):
        report = catch_up()

    assert names(report) == [("daily", A_MONDAY + ONE_DAY)]
    (sentence,) = report.busy
    assert "award_daily of 2026-11-16 is running already" in sentence


def test_time_that_is_over_leaves_the_rest_to_the_next_call(rules, host):
    DailyActivityFactory(user=host)

    report = catch_up(options=RunOptions(deadline=0))

    assert (report.runs, report.is_complete) == ((), False)


# --- The run itself ---------------------------------------------------------------------------


def test_a_run_pays_by_the_rules_it_began_with(rules, host, settings):
    """One is added in the past while the run is interrupted between two batches."""
    settings.REWARDS_BATCH_SIZE = 1
    DailyActivityFactory(user=host)
    DailyActivityFactory(user=HostFactory())

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        awards.award_daily(day=A_MONDAY, now=NOW, trigger=RunTrigger.COMMAND, on_progress=interrupt)
    RewardRule.objects.create(
        rule_type=RuleType.DAILY_LOGIN, threshold=1, points=99, starts_on=date(2026, 2, 1)
    )

    awards.award_daily(day=A_MONDAY, now=NOW, trigger=RunTrigger.COMMAND)

    assert list(ScoreHistory.objects.values_list("points", flat=True)) == [10, 10]
    assert AwardRun.objects.get().takeovers == 1


def test_a_run_whose_processes_die_again_and_again_is_closed_as_failed(rules, host):
    DailyActivityFactory(user=host)

    def die(run):
        raise KeyboardInterrupt

    for _ in range(runs.MAX_TAKEOVERS + 1):
        with pytest.raises(KeyboardInterrupt):
            awards.award_daily(
                day=A_MONDAY,
                now=NOW,
                trigger=RunTrigger.COMMAND,
                options=RunOptions(notify_workers=die, participate=False),
            )

    report = awards.award_daily(day=A_MONDAY, now=NOW, trigger=RunTrigger.COMMAND)

    given_up = AwardRun.objects.get(attempt=1)
    assert (given_up.status, given_up.rejected) == (RunStatus.FAILED, 1)
    assert "6 processes in a row died" in given_up.error
    assert (report.attempt, report.status, report.counts.awards) == (2, RunStatus.DONE, 1)


def test_a_run_that_comes_forward_may_be_taken_over_for_as_long_as_it_takes(rules, settings):
    settings.REWARDS_BATCH_SIZE = 1
    for _ in range(runs.MAX_TAKEOVERS + 3):
        DailyActivityFactory()

    def die(done, total):
        raise KeyboardInterrupt

    for _ in range(runs.MAX_TAKEOVERS + 2):
        with pytest.raises(KeyboardInterrupt):
            awards.award_daily(day=A_MONDAY, now=NOW, trigger=RunTrigger.COMMAND, on_progress=die)
    awards.award_daily(day=A_MONDAY, now=NOW, trigger=RunTrigger.COMMAND)

    run = AwardRun.objects.get()
    assert (run.status, run.awards) == (RunStatus.DONE, runs.MAX_TAKEOVERS + 3)


def test_a_lock_of_someone_else_defers_a_batch_however_often(rules, host, monkeypatch):
    DailyActivityFactory(user=host)
    monkeypatch.setattr(db_errors, "MAX_TRIES", 1)
    locked = OperationalError("canceling statement due to lock timeout")
    locked.__cause__ = psycopg.errors.LockNotAvailable()

    def wait_in_vain(*args, **kwargs):
        raise locked

    monkeypatch.setattr(batches, "award_range", wait_in_vain)
    for _ in range(MAX_FAILURES + 1):
        report = catch_up()
        assert [run.status for run in report.runs] == [RunStatus.FAILED]
    assert set(AwardBatch.objects.values_list("status", flat=True)) == {BatchStatus.DEFERRED}
    monkeypatch.undo()

    report = catch_up()

    assert [run.status for run in report.runs] == [RunStatus.DONE] * 2
    assert Score.objects.get().lifetime == 10


def test_whoever_only_watches_keeps_nobody_from_the_run_and_calls_again(rules, host, monkeypatch):
    """The messages to the workers were lost; the second call reaches one."""
    DailyActivityFactory(user=host)
    monkeypatch.setattr(awarding_run, "RENOTIFY_SECONDS", 0)
    calls = []

    def call(run):
        calls.append(running_periods())
        if len(calls) == 2:
            join_run(run_id=run.pk)

    report = awards.award_daily(
        day=A_MONDAY,
        now=NOW,
        trigger=RunTrigger.COMMAND,
        options=RunOptions(notify_workers=call, participate=False),
    )

    assert (report.status, report.counts.awards) == (RunStatus.DONE, 1)
    assert calls == [{(Cadence.DAILY, A_MONDAY)}, set()]


def test_a_rule_written_for_days_gone_by_is_paid_by_the_next_call(host):
    DailyActivityFactory(user=host)
    assert [run.rules for run in catch_up().runs] == [0, 0]
    RewardRuleFactory()

    report = catch_up()

    assert names(report) == [("daily", A_MONDAY)]
    assert Score.objects.get().lifetime == 10
    assert catch_up().runs == ()


def test_activity_that_was_taken_back_hides_no_late_one(rules, host):
    for _ in range(3):
        DailyActivityFactory(date=NEXT_MONDAY - ONE_DAY)
    catch_up()
    DailyActivity.objects.filter(user=DailyActivity.objects.last().user_id).delete()
    awards.award_daily(day=NEXT_MONDAY - ONE_DAY, now=NOW, trigger=RunTrigger.COMMAND)

    DailyActivityFactory(user=host, date=NEXT_MONDAY - ONE_DAY)

    assert names(catch_up())[0] == ("daily", NEXT_MONDAY - ONE_DAY)


def test_helping_with_a_run_that_has_ended_or_never_was_changes_nothing(rules, host):
    DailyActivityFactory(user=host)
    awards.award_daily(day=A_MONDAY, now=NOW, trigger=RunTrigger.COMMAND)
    before = list(AwardRun.objects.values())

    assert join_run(run_id=AwardRun.objects.get().pk)
    assert join_run(run_id=0)

    assert list(AwardRun.objects.values()) == before


def test_nobody_joins_a_run_that_is_being_opened(transactional_db):
    run = AwardRunFactory(status=RunStatus.RUNNING, finished_at=None)

    with (
        held_by_another(lock_key(Cadence.DAILY, A_MONDAY)),
        pytest.raises(AlreadyRunning, match="attempt"),
    ):
        join_run(run_id=run.pk)


def test_a_failed_batch_of_one_process_stays_done_by_another():
    run = AwardRunFactory()
    batch = AwardBatch(run=run, after_user=0, through_user=1, status="done", finished_at=NOW)
    batch.save()

    runs.fail_batch(batch, error="too late")

    batch.refresh_from_db()
    assert (batch.status, batch.error) == ("done", "")


def test_the_heartbeat_of_a_run_is_its_latest_batch():
    run = AwardRunFactory(status=RunStatus.RUNNING, finished_at=None)

    assert run.heartbeat_at == run.started_at
    run.batches.create(after_user=0, through_user=1, status="done", finished_at=NOW)
    assert run.heartbeat_at == NOW


# --- The totals of each day, whichever way daily activity is written ----------------------------


def test_the_total_of_a_day_follows_every_change_of_its_activity():
    first = DailyActivityFactory(logins=2, audio_calls=3, video_calls=4)
    DailyActivityFactory(logins=1)
    assert counted_events(days=[A_MONDAY]) == 10

    DailyActivity.objects.filter(pk=first.pk).update(logins=5)
    assert counted_events(days=[A_MONDAY]) == 13

    DailyActivity.objects.filter(pk=first.pk).update(date=NEXT_MONDAY)
    assert events_by_day() == {A_MONDAY: 1, NEXT_MONDAY: 12}

    first.delete()
    assert events_by_day() == {A_MONDAY: 1}
