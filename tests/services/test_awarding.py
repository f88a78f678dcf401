from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from rewards.choices import RuleType, RunStatus, RunTrigger
from rewards.exceptions import AlreadyRunning, BadPeriod
from rewards.models import AwardRun, Score, ScoreHistory
from tests import awards
from tests.factories import A_MONDAY, DailyActivityFactory, HostFactory, RewardRuleFactory
from tests.processes import held_by_another

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)


def award_day(day=A_MONDAY, **kwargs):
    return awards.award_daily(day=day, now=NOW, trigger=RunTrigger.COMMAND, **kwargs)


def award_week(monday=A_MONDAY, **kwargs):
    return awards.award_weekly(monday=monday, now=NOW, trigger=RunTrigger.COMMAND, **kwargs)


def test_a_host_is_paid_for_the_day_and_the_ledger_says_why():
    rule = RewardRuleFactory(threshold=2, points=30)
    activity = DailyActivityFactory(logins=3)

    report = award_day()

    award = ScoreHistory.objects.get()
    assert (award.user_id, award.rule, award.run_id) == (
        activity.user_id,
        rule,
        AwardRun.objects.get().pk,
    )
    assert (award.points, award.measured, award.threshold) == (30, 3, 2)
    assert (report.status, report.counts.awards, report.counts.points) == (RunStatus.DONE, 1, 30)


def test_a_second_run_awards_nothing():
    RewardRuleFactory()
    DailyActivityFactory()
    award_day()
    before = list(Score.objects.values()), list(ScoreHistory.objects.values())

    report = award_day()

    assert (report.attempt, report.counts.hosts_evaluated, report.counts.awards) == (2, 1, 0)
    assert (list(Score.objects.values()), list(ScoreHistory.objects.values())) == before


def test_a_dry_run_counts_and_writes_nothing():
    RewardRuleFactory()
    DailyActivityFactory()

    report = award_day(is_dry_run=True)

    assert (report.status, report.counts.awards, report.counts.points) == (None, 1, 10)
    assert not ScoreHistory.objects.exists()
    assert not AwardRun.objects.exists()
    assert not Score.objects.exists()


def test_a_day_pays_the_version_in_force_on_it_whenever_it_is_run():
    RewardRuleFactory(starts_on=date(2026, 1, 1), points=10)
    RewardRuleFactory(starts_on=A_MONDAY + timedelta(days=1), points=99)
    DailyActivityFactory()

    award_day()

    assert ScoreHistory.objects.get().points == 10


def test_a_paused_rule_pays_nothing():
    RewardRuleFactory(starts_on=date(2026, 1, 1))
    RewardRuleFactory(starts_on=A_MONDAY, is_active=False)
    DailyActivityFactory()

    report = award_day()

    assert (report.rules, report.counts.awards) == (0, 0)


@pytest.mark.parametrize(
    ("left_on", "awards"),
    [
        (None, 1),
        (A_MONDAY, 1),  # the last day still counts
        (A_MONDAY - timedelta(days=1), 0),
    ],
)
def test_a_host_earns_up_to_the_day_of_leaving(left_on, awards):
    RewardRuleFactory()
    DailyActivityFactory(user=HostFactory(left_on=left_on))

    assert award_day().counts.awards == awards


@pytest.mark.parametrize(("days_active", "awards"), [(4, 0), (5, 1)])
def test_a_week_is_paid_from_the_threshold_of_active_days(days_active, awards):
    RewardRuleFactory(rule_type=RuleType.WEEKLY_CONSISTENCY, threshold=5, points=100)
    host = HostFactory()
    for offset in range(days_active):
        DailyActivityFactory(user=host, date=A_MONDAY + timedelta(days=offset), logins=3)

    report = award_week()

    assert report.counts.awards == awards
    assert ScoreHistory.objects.filter(reference_date=A_MONDAY).count() == awards


def test_a_score_follows_the_latest_day_evaluated_and_a_backfill_moves_nobody_back():
    RewardRuleFactory()
    busy, idle = HostFactory(), HostFactory()
    tuesday = A_MONDAY + timedelta(days=1)
    last_friday = A_MONDAY - timedelta(days=3)
    for day in (last_friday, A_MONDAY, tuesday):
        DailyActivityFactory(user=busy, date=day)
    DailyActivityFactory(user=idle, date=A_MONDAY)

    for day in (A_MONDAY, tuesday, last_friday):
        award_day(day)

    assert list(
        Score.objects.order_by("user").values_list(
            "lifetime", "daily", "daily_date", "weekly", "week_start"
        )
    ) == [(30, 10, tuesday, 20, A_MONDAY), (10, 0, tuesday, 10, A_MONDAY)]


def test_a_new_week_begins_at_nothing_and_loses_nothing():
    RewardRuleFactory()
    activity = DailyActivityFactory()
    next_monday = A_MONDAY + timedelta(days=7)
    award_day()

    awards.award_daily(day=next_monday, now=NOW + timedelta(days=1), trigger=RunTrigger.COMMAND)

    score = Score.objects.get(user_id=activity.user_id)
    assert (score.lifetime, score.weekly, score.week_start) == (10, 0, next_monday)


@pytest.mark.parametrize(
    ("day", "message"),
    [
        (date(2026, 11, 24), "day 2026-11-24 has not ended in UTC"),
        (date(2026, 11, 25), "2026-11-25 is in the future"),
    ],
)
def test_a_day_is_evaluated_only_after_it_has_ended(day, message):
    with pytest.raises(BadPeriod, match=message):
        award_day(day)


def test_a_week_is_named_by_its_monday_and_evaluated_after_its_sunday():
    with pytest.raises(BadPeriod, match="not a Monday; did you mean 2026-11-16"):
        award_week(date(2026, 11, 18))
    with pytest.raises(BadPeriod, match="week 2026-11-23 has not ended"):
        award_week(date(2026, 11, 23))


def test_a_batch_takes_the_same_statements_for_any_number_of_hosts():
    RewardRuleFactory()
    RewardRuleFactory(rule_type=RuleType.DAILY_AUDIO_CALL_TARGET)
    counts = {}
    for offset, hosts in enumerate([1, 100, 5_000]):
        day = A_MONDAY + timedelta(days=offset)
        users = HostFactory.create_batch(hosts)
        type(DailyActivityFactory.build(user=users[0])).objects.bulk_create(
            DailyActivityFactory.build(user=user, date=day, audio_calls=1) for user in users
        )

        with CaptureQueriesContext(
            connection,
        ) as queries:
            award_day(day)

        counts[hosts] = [query["sql"].split()[0] for query in queries]

    # Open: rules, lock, left open?, attempt, activity counted, run, batches. Batch: take the
    # batch, facts, awarded keys, COPY, scores, mark the batch. Close: roll over, add up, mark.
    assert counts[1] == counts[100] == counts[5_000]


def test_a_run_that_was_interrupted_is_taken_over_and_completed(settings):
    settings.REWARDS_BATCH_SIZE = 1
    RewardRuleFactory()
    DailyActivityFactory.create_batch(3)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        award_day(on_progress=stop)
    report = award_day()

    run = AwardRun.objects.get()
    assert (run.status, run.awards, report.counts.awards) == (RunStatus.DONE, 3, 3)
    assert ScoreHistory.objects.count() == 3


def test_a_batch_that_fails_is_reported_and_the_rest_goes_on(settings):
    settings.REWARDS_BATCH_SIZE = 1
    RewardRuleFactory(points=10)
    poisoned, sound = HostFactory(), HostFactory()
    DailyActivityFactory(user=poisoned)
    DailyActivityFactory(user=sound)
    Score.objects.create(
        user=poisoned, lifetime=2**63 - 1, daily_date=A_MONDAY, week_start=A_MONDAY
    )

    report = award_day()

    assert report.status == RunStatus.PARTIAL
    assert f"hosts {poisoned.pk} to {poisoned.pk}" in report.error or "out of range" in report.error
    assert list(ScoreHistory.objects.values_list("user", flat=True)) == [sound.pk]


@pytest.mark.django_db(transaction=True)
def test_a_second_process_is_told_that_the_run_is_under_way():
    RewardRuleFactory()
    DailyActivityFactory()

    with (
        held_by_another((0x5244, A_MONDAY.toordinal())),
        pytest.raises(AlreadyRunning, match="running already"),
    ):
        award_day()


def test_ledger_and_scores_are_written_in_order_of_host():
    """Two runs that lock hosts in the same order wait for each other, and never deadlock."""
    RewardRuleFactory()
    for host in reversed(HostFactory.create_batch(5)):
        DailyActivityFactory(user=host)

    award_day()

    with connection.cursor() as cursor:
        cursor.execute("SELECT user_id FROM rewards_score ORDER BY ctid")
        locked = [user for (user,) in cursor]
    assert locked == sorted(locked)
    written = list(ScoreHistory.objects.order_by("pk").values_list("user", flat=True))
    assert written == sorted(written)
