"""A run from its opening to its report, in one process."""

import time
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from itertools import count
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from rewards.choices import Cadence, RuleType, RunStatus, RunTrigger
from rewards.engine.periods import Period
from rewards.exceptions import AlreadyRunning, BadPeriod, MinCallSecondsChanged, TimeZoneChanged
from rewards.models import ActivitySettings, AwardRun, RewardRule, Score, ScoreHistory
from rewards.selectors.runs import lock_key, running_periods
from rewards.services.awarding import run as run_module
from rewards.services.awarding.options import RunOptions
from rewards.services.awarding.run import join_run, require_ended
from tests.awards import award_daily, award_weekly
from tests.factories import (
    A_MONDAY,
    ActivityEventFactory,
    AwardRunFactory,
    DailyActivityFactory,
    HostFactory,
    RewardRuleFactory,
)
from tests.processes import held_by_another

pytestmark = pytest.mark.django_db

A_TUESDAY = A_MONDAY + timedelta(days=1)
DAILY = Period(Cadence.DAILY, A_MONDAY)


@pytest.fixture
def rule():
    return RewardRuleFactory(threshold=2, points=30)


@pytest.fixture
def activity():
    return DailyActivityFactory(logins=3)


# --- What is paid -----------------------------------------------------------------------------


def test_an_award_names_its_host_rule_run_and_count(rule, activity):
    award_daily(day=A_MONDAY)

    award = ScoreHistory.objects.get()
    run = AwardRun.objects.get()
    assert (award.user_id, award.rule, award.run, award.reference_date) == (
        activity.user_id,
        rule,
        run,
        A_MONDAY,
    )
    assert (award.points, award.measured, award.threshold) == (30, 3, 2)
    assert (run.trigger, run.attempt, run.rule_versions) == (RunTrigger.COMMAND, 1, [rule.pk])


def test_the_report_of_a_run(rule, activity):
    report = award_daily(day=A_MONDAY)

    assert (report.period, report.rules, report.attempt) == (DAILY, 1, 1)
    assert 0 < report.seconds < 60
    figures = report.to_dict()
    assert 0 <= figures.pop("seconds") < 60
    assert figures == {
        "cadence": "daily",
        "reference_date": "2026-11-16",
        "status": "done",
        "attempt": 1,
        "hosts_evaluated": 1,
        "awards": 1,
        "points": 30,
        "by_rule": {"DAILY_LOGIN": {"awards": 1, "points": 30}},
        "error": "",
    }


@pytest.mark.parametrize("is_dry_run", [False, True])
def test_seconds_are_the_time_between_start_and_end(rule, activity, is_dry_run, monkeypatch):
    clock = SimpleNamespace(monotonic=count(1_000, 8).__next__)
    monkeypatch.setattr(run_module, "time", clock)

    report = award_daily(day=A_MONDAY, is_dry_run=is_dry_run)

    assert report.seconds >= 8
    assert report.seconds % 8 == 0


def test_seconds_are_rounded_to_milliseconds(rule, activity):
    report = award_daily(day=A_MONDAY)

    assert report.to_dict()["seconds"] == round(report.seconds, 3)


def test_a_second_run_awards_nothing(rule, activity):
    award_daily(day=A_MONDAY)
    before = list(Score.objects.values()), list(ScoreHistory.objects.values())

    report = award_daily(day=A_MONDAY)

    assert (report.attempt, report.counts.hosts_evaluated, report.counts.awards) == (2, 1, 0)
    assert (list(Score.objects.values()), list(ScoreHistory.objects.values())) == before


def test_a_late_run_pays_the_version_in_force_on_its_day(activity):
    RewardRuleFactory(starts_on=date(2026, 1, 1), points=10)
    RewardRuleFactory(starts_on=A_TUESDAY, points=99)

    award_daily(day=A_MONDAY)

    assert ScoreHistory.objects.get().points == 10


def test_a_paused_rule_pays_nothing(activity):
    RewardRuleFactory(starts_on=date(2026, 1, 1))
    RewardRuleFactory(starts_on=A_MONDAY, is_active=False)

    report = award_daily(day=A_MONDAY)

    assert (report.status, report.rules, report.counts.awards) == (RunStatus.DONE, 0, 0)


@pytest.mark.parametrize(
    ("left_on", "awards"),
    [
        (None, 1),
        (A_MONDAY, 1),  # the last day still counts
        (A_MONDAY - timedelta(days=1), 0),
    ],
)
def test_a_host_earns_up_to_the_last_day(left_on, awards, rule):
    DailyActivityFactory(user=HostFactory(left_on=left_on), logins=2)

    assert award_daily(day=A_MONDAY).counts.awards == awards


@pytest.mark.parametrize(("days_active", "awards"), [(4, 0), (5, 1)])
def test_a_week_is_paid_from_its_threshold_on(days_active, awards):
    RewardRuleFactory(rule_type=RuleType.WEEKLY_CONSISTENCY, threshold=5, points=100)
    host = HostFactory()
    for offset in range(days_active):
        DailyActivityFactory(user=host, date=A_MONDAY + timedelta(days=offset), logins=3)

    report = award_weekly(monday=A_MONDAY)

    assert report.counts.awards == awards
    assert ScoreHistory.objects.filter(reference_date=A_MONDAY).count() == awards


def test_a_run_moves_all_scores_to_its_day(rule):
    busy, idle = HostFactory(), HostFactory()
    DailyActivityFactory(user=busy, date=A_TUESDAY, logins=2)
    for host in (busy, idle):
        DailyActivityFactory(user=host, logins=2)

    award_daily(day=A_MONDAY)
    award_daily(day=A_TUESDAY)

    assert list(
        Score.objects.order_by("user").values_list("lifetime", "daily", "daily_date", "weekly")
    ) == [(60, 30, A_TUESDAY, 60), (30, 0, A_TUESDAY, 30)]


# --- A dry run --------------------------------------------------------------------------------


def test_a_dry_run_counts_and_writes_nothing(rule, activity):
    report = award_daily(day=A_MONDAY, is_dry_run=True)

    assert (report.period, report.status, report.attempt, report.rules) == (DAILY, None, None, 1)
    assert (report.counts.hosts_evaluated, report.counts.awards) == (1, 1)
    assert report.counts.points == 30
    assert (report.to_dict()["status"], report.error) == ("dry run", "")
    assert 0 < report.seconds < 60
    assert not ScoreHistory.objects.exists()
    assert not AwardRun.objects.exists()
    assert not Score.objects.exists()


def test_a_dry_run_adds_up_its_batches(rule, settings):
    settings.REWARDS_BATCH_SIZE = 2
    DailyActivityFactory.create_batch(3, logins=2)
    progress = []

    report = award_daily(
        day=A_MONDAY, is_dry_run=True, on_progress=lambda *batches: progress.append(batches)
    )

    assert (report.counts.hosts_evaluated, report.counts.points) == (3, 90)
    assert progress == [(1, 2), (2, 2)]


# --- What is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cadence", "day", "today", "message"),
    [
        (
            "daily",
            date(2026, 11, 24),
            date(2026, 11, 24),
            "The day 2026-11-24 has not ended in UTC; the last closed day is 2026-11-23.",
        ),
        (
            "daily",
            date(2026, 11, 25),
            date(2026, 11, 24),
            "2026-11-25 is in the future (the business day is 2026-11-24, zone UTC).",
        ),
        (
            "weekly",
            date(2026, 11, 18),
            date(2026, 11, 24),
            "2026-11-18 is not a Monday; did you mean 2026-11-16?",
        ),
        (
            "weekly",
            date(2026, 11, 16),
            date(2026, 11, 22),
            "The week 2026-11-16 has not ended in UTC; the last closed week is 2026-11-09.",
        ),
        (
            "weekly",
            date(2026, 11, 16),
            date(2026, 11, 16),
            "The week 2026-11-16 has not ended in UTC; the last closed week is 2026-11-09.",
        ),
        (
            "weekly",
            date(2026, 11, 30),
            date(2026, 11, 24),
            "2026-11-30 is in the future (the business day is 2026-11-24, zone UTC).",
        ),
    ],
)
def test_a_period_that_cannot_be_evaluated(cadence, day, today, message):
    with pytest.raises(BadPeriod) as refused:
        require_ended(Period(Cadence(cadence), day), today=today)

    assert str(refused.value) == message


@pytest.mark.parametrize("cadence", Cadence)
def test_a_period_has_ended_on_the_next_day(cadence):
    period = Period(cadence, A_MONDAY)

    require_ended(period, today=period.last_day + timedelta(days=1))


@pytest.mark.parametrize("is_dry_run", [False, True])
def test_a_day_that_has_not_ended_is_refused(rule, activity, is_dry_run):
    with pytest.raises(BadPeriod):
        award_daily(day=A_MONDAY, now=datetime(2026, 11, 16, 12, tzinfo=UTC), is_dry_run=is_dry_run)

    assert not AwardRun.objects.exists()


@pytest.mark.parametrize("is_dry_run", [False, True])
def test_another_time_zone_is_refused_before_a_run(rule, activity, settings, is_dry_run):
    ActivityEventFactory(occurred_at=datetime(2026, 11, 16, 23, tzinfo=UTC))
    settings.REWARDS_TIME_ZONE = "Asia/Kolkata"

    with pytest.raises(TimeZoneChanged):
        award_daily(day=A_MONDAY, is_dry_run=is_dry_run)

    assert not AwardRun.objects.exists()


@pytest.mark.parametrize("is_dry_run", [False, True])
def test_another_min_call_seconds_is_refused_before_a_run(rule, activity, settings, is_dry_run):
    ActivitySettings.objects.create(min_call_seconds=settings.REWARDS_MIN_CALL_SECONDS)
    settings.REWARDS_MIN_CALL_SECONDS += 1

    with pytest.raises(MinCallSecondsChanged):
        award_daily(day=A_MONDAY, is_dry_run=is_dry_run)

    assert not AwardRun.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("function", ["pg_advisory_lock", "pg_advisory_lock_shared"])
def test_a_period_that_another_process_runs(rule, activity, function):
    with (
        held_by_another(lock_key(DAILY), function=function),
        pytest.raises(AlreadyRunning) as refused,
    ):
        award_daily(day=A_MONDAY)

    assert not AwardRun.objects.exists()
    assert str(refused.value) == (
        "award_daily for 2026-11-16 is already running in another process (it is being opened); "
        "nothing was done."
    )


# --- Interruptions ----------------------------------------------------------------------------


def interrupt(*batches):
    raise KeyboardInterrupt


def test_an_interrupted_run_is_completed_by_the_next(rule, settings):
    settings.REWARDS_BATCH_SIZE = 1
    DailyActivityFactory.create_batch(3, logins=2)

    with pytest.raises(KeyboardInterrupt):
        award_daily(day=A_MONDAY, options=RunOptions(on_progress=interrupt))
    assert running_periods() == set()
    report = award_daily(day=A_MONDAY)

    run = AwardRun.objects.get()
    assert (run.status, run.awards, report.counts.awards) == (RunStatus.DONE, 3, 3)
    assert ScoreHistory.objects.count() == 3


def test_a_run_pays_by_the_rules_it_began_with(rule, activity, settings):
    settings.REWARDS_BATCH_SIZE = 1
    DailyActivityFactory(logins=2)

    with pytest.raises(KeyboardInterrupt):
        award_daily(day=A_MONDAY, options=RunOptions(on_progress=interrupt))
    RewardRule.objects.create(
        rule_type=RuleType.DAILY_LOGIN, threshold=1, points=99, starts_on=date(2026, 2, 1)
    )
    award_daily(day=A_MONDAY)

    assert list(ScoreHistory.objects.values_list("points", flat=True)) == [30, 30]


def test_a_deadline_in_the_past_only_opens_the_run(rule, activity):
    report = award_daily(day=A_MONDAY, options=RunOptions(deadline=0))

    assert (report.status, report.attempt, report.rules) == (RunStatus.RUNNING, 1, 1)
    assert report.to_dict()["status"] == "running"
    assert not ScoreHistory.objects.exists()


def test_a_partial_run_reports_its_errors(rule, settings):
    settings.REWARDS_BATCH_SIZE = 1
    failing, other = HostFactory(), HostFactory()
    for host in (failing, other):
        DailyActivityFactory(user=host, logins=2)
    Score.objects.create(user=failing, lifetime=2**63 - 1, daily_date=A_MONDAY, week_start=A_MONDAY)

    report = award_daily(day=A_MONDAY)

    run = AwardRun.objects.get()
    assert report.status == RunStatus.PARTIAL
    assert report.error == f"hosts 1 to {failing.pk} of {run.pk}: DataError: bigint out of range"
    assert list(ScoreHistory.objects.values_list("user", flat=True)) == [other.pk]


# --- Several processes ------------------------------------------------------------------------


def test_the_lock_is_shared_once_the_run_is_open(rule, activity):
    """Other processes can join from then on, and see that it is running."""
    modes = []

    def look(run):
        assert running_periods() == {DAILY}
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT mode FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
            )
            modes.extend(mode for (mode,) in cursor)

    award_daily(day=A_MONDAY, options=RunOptions(notify_workers=look))

    assert modes == ["ShareLock"]
    assert running_periods() == set()


def test_workers_are_notified_once_by_a_process_that_takes_part(rule, activity):
    notified = []

    report = award_daily(day=A_MONDAY, options=RunOptions(notify_workers=notified.append))

    assert notified == [AwardRun.objects.get()]
    assert (report.status, report.counts.awards) == (RunStatus.DONE, 1)


def test_a_process_that_only_waits_holds_no_lock(rule, activity, monkeypatch):
    """The first message to the workers was lost; the second one reaches one."""
    monkeypatch.setattr(run_module, "RENOTIFY_SECONDS", 0)
    monkeypatch.setattr(run_module, "POLL_SECONDS", 0.001)
    notified = []
    progress = []

    def notify(run):
        notified.append(running_periods())
        if len(notified) == 2:
            assert join_run(run_id=run.pk)

    report = award_daily(
        day=A_MONDAY,
        options=RunOptions(
            notify_workers=notify,
            participate=False,
            on_progress=lambda *batches: progress.append(batches),
        ),
    )

    assert (report.status, report.counts.awards) == (RunStatus.DONE, 1)
    assert notified == [{DAILY}, set()]
    assert progress[0] == (0, 1)


def test_a_process_that_only_waits_notifies_no_more_in_time(rule, activity):
    notified = []

    def notify(run):
        notified.append(run)
        assert not join_run(run_id=run.pk, options=RunOptions(deadline=0))

    report = award_daily(
        day=A_MONDAY,
        options=RunOptions(
            notify_workers=notify, participate=False, deadline=time.monotonic() + 0.5
        ),
    )

    assert report.status == RunStatus.RUNNING
    assert len(notified) == 1


def test_progress_puts_off_the_next_notification(rule, settings, monkeypatch):
    """Of three batches one finishes at each look, so that nothing has to be sent again."""
    settings.REWARDS_BATCH_SIZE = 1
    monkeypatch.setattr(run_module, "RENOTIFY_SECONDS", 0)
    DailyActivityFactory.create_batch(3, logins=2)
    notified = []
    one_batch = RunOptions(on_progress=interrupt)
    to_the_end = RunOptions()
    options = [to_the_end, one_batch, one_batch]

    def work(seconds):
        with suppress(KeyboardInterrupt):
            join_run(run_id=AwardRun.objects.get().pk, options=options.pop())

    monkeypatch.setattr(run_module.time, "sleep", work)
    report = award_daily(
        day=A_MONDAY, options=RunOptions(notify_workers=notified.append, participate=False)
    )

    assert (report.status, report.counts.awards) == (RunStatus.DONE, 3)
    assert len(notified) == 1


def test_joining_completes_a_run(rule, activity):
    award_daily(day=A_MONDAY, options=RunOptions(deadline=0))

    assert join_run(run_id=AwardRun.objects.get().pk)

    run = AwardRun.objects.get()
    assert (run.status, run.awards, run.points) == (RunStatus.DONE, 1, 30)


def test_joining_stops_at_the_deadline(rule, activity):
    award_daily(day=A_MONDAY, options=RunOptions(deadline=0))

    assert not join_run(run_id=AwardRun.objects.get().pk, options=RunOptions(deadline=0))

    assert AwardRun.objects.get().status == RunStatus.RUNNING


def test_joining_a_run_that_has_ended_changes_nothing(rule, activity):
    award_daily(day=A_MONDAY)
    before = list(AwardRun.objects.values())

    assert join_run(run_id=AwardRun.objects.get().pk)
    assert join_run(run_id=0)

    assert list(AwardRun.objects.values()) == before


@pytest.mark.django_db(transaction=True)
def test_a_run_that_is_being_opened_cannot_be_joined():
    run = AwardRunFactory(status=RunStatus.RUNNING, finished_at=None)

    with held_by_another(lock_key(DAILY)), pytest.raises(AlreadyRunning) as refused:
        join_run(run_id=run.pk)

    assert f"(attempt {run.attempt}, started at 2026-11-17 00:05:00 UTC by Command line)" in str(
        refused.value
    )


@pytest.mark.django_db(transaction=True)
def test_a_run_that_others_work_on_can_be_joined(rule, activity):
    award_daily(day=A_MONDAY, options=RunOptions(deadline=0))

    with held_by_another(lock_key(DAILY), function="pg_advisory_lock_shared"):
        assert join_run(run_id=AwardRun.objects.get().pk)

    assert ScoreHistory.objects.count() == 1


# --- Statements -------------------------------------------------------------------------------

STATEMENTS = [
    "WITH ids AS (SELECT min(id)",  # the time zone of the stored activity
    'SELECT "rewards_activitysettings"',
    "SELECT pg_try_advisory_lock(",
    'SELECT "rewards_awardrun"',  # an interrupted run
    # Open
    "SAVEPOINT",
    "LOCK TABLE rewards_rewardrule IN SHARE MODE",
    'SELECT DISTINCT ON ("rewards_rewardrule"',
    'SELECT MAX("rewards_awardrun"."attempt")',
    'SELECT SUM("rewards_activitytotal"."events")',
    'INSERT INTO "rewards_awardrun"',
    "WITH RECURSIVE id_ranges",
    'INSERT INTO "rewards_awardbatch"',
    "RELEASE SAVEPOINT",
    "SELECT pg_advisory_lock_shared(",
    "SELECT pg_advisory_unlock(",
    # A batch
    "SAVEPOINT",
    'SELECT "rewards_awardbatch"',  # claim
    "SELECT logins, audio_calls, video_calls, active_days",  # facts
    "SELECT rule_type, array_agg(user_id) FROM rewards_scorehistory",  # paid already
    "COPY rewards_scorehistory",
    "INSERT INTO rewards_score ",
    'UPDATE "rewards_awardbatch"',  # done
    "RELEASE SAVEPOINT",
    # No batch is left
    "SAVEPOINT",
    'SELECT "rewards_awardbatch"',
    "RELEASE SAVEPOINT",
    # Close
    "SELECT 1 AS",  # pending batches
    "SELECT max(user_id) FROM",  # idle hosts: none
    "SAVEPOINT",
    'SELECT "rewards_awardrun"',  # lock
    'SELECT "rewards_awardbatch"',  # sums
    'SELECT "rewards_score"',  # leaders
    'UPDATE "rewards_awardrun"',
    "RELEASE SAVEPOINT",
    "SELECT pg_advisory_unlock_shared(",
    'SELECT "rewards_awardrun"',  # the report
]


@pytest.mark.parametrize("hosts", [1, 100, 5_000])
def test_the_statements_of_a_run_with_one_batch(hosts, rule):
    RewardRuleFactory(rule_type=RuleType.DAILY_AUDIO_CALL_TARGET)
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH host AS (INSERT INTO rewards_user (external_id, username, password, is_host,"
            " is_active, is_staff, is_superuser, first_name, last_name, email, date_joined)"
            " SELECT n, n, '', true, true, false, false, '', '', '', now()"
            " FROM generate_series(1, %s) AS n RETURNING id)"
            " INSERT INTO rewards_dailyactivity (user_id, date, logins, audio_calls, video_calls,"
            " audio_seconds, video_seconds) SELECT id, %s, 2, 1, 0, 0, 0 FROM host",
            [hosts, A_MONDAY],
        )

    with CaptureQueriesContext(connection) as queries:
        report = award_daily(day=A_MONDAY)

    statements = [" ".join(query["sql"].split()) for query in queries]
    assert [
        statement[: len(start)] for statement, start in zip(statements, STATEMENTS, strict=True)
    ] == STATEMENTS
    assert report.counts.awards == 2 * hosts
