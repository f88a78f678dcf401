"""Bugs of similar systems, one test each."""

import signal
from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError

from rewards.choices import RuleType, RunStatus, RunTrigger
from rewards.engine.business_days import ONE_DAY, monday_of, week_days
from rewards.engine.evaluators import EVALUATORS
from rewards.engine.values import Facts, Rule
from rewards.exceptions import BadPeriod, RuleRefused
from rewards.models import ActivityEvent, AwardRun, DailyActivity, RewardRule, Score, ScoreHistory
from rewards.reports.verify.verification import verify_ledger
from rewards.services import rules
from tests import awards
from tests.factories import (
    A_MONDAY,
    ActivityEventFactory,
    DailyActivityFactory,
    HostFactory,
    RewardRuleFactory,
)
from tests.processes import (
    barrier,
    finish,
    manage,
    start_with_fault,
    wait_until_blocked,
    wait_until_held,
)

NOW = datetime(2026, 12, 1, 3, tzinfo=UTC)

# Processes use the real clock, so their day has to be in the past.
LONG_AGO = date(2024, 9, 2)


def award_day(day=A_MONDAY):
    return awards.award_daily(day=day, now=NOW, trigger=RunTrigger.COMMAND)


def award_week(monday=A_MONDAY):
    return awards.award_weekly(monday=monday, now=NOW, trigger=RunTrigger.COMMAND)


def ledger():
    return list(
        ScoreHistory.objects.order_by("user", "rule_type", "reference_date").values_list(
            "user", "rule_type", "reference_date", "points"
        )
    )


def scores():
    return list(Score.objects.order_by("user").values_list("user", "lifetime", "daily", "weekly"))


def broken():
    return verify_ledger(today=NOW.date()).broken


def delete_behind_the_orm(table):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table}")  # noqa: S608 - our own table
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.fixture
def a_day_long_ago(committed):
    """Twelve hosts who each earn 10 points for a login and 25 for a call."""
    RewardRuleFactory(starts_on=LONG_AGO)
    RewardRuleFactory(rule_type=RuleType.DAILY_AUDIO_CALL_TARGET, points=25, starts_on=LONG_AGO)
    hosts = HostFactory.create_batch(12)
    DailyActivity.objects.bulk_create(
        DailyActivity(user=host, date=LONG_AGO, logins=1, audio_calls=1, audio_seconds=60)
        for host in hosts
    )
    ActivityEvent.objects.bulk_create(
        ActivityEventFactory.build(
            user=host,
            kind=kind,
            duration_seconds=seconds,
            occurred_at=datetime(2024, 9, 2, tzinfo=UTC),
        )
        for host in hosts
        for kind, seconds in [("login", 0), ("audio_call", 60)]
    )
    return hosts


def paid_once(hosts):
    """Return what the ledger and the scores must be when each of `hosts` is paid exactly once."""
    rows = [
        (host.pk, rule_type, LONG_AGO, points)
        for host in hosts
        for rule_type, points in [("DAILY_AUDIO_CALL_TARGET", 25), ("DAILY_LOGIN", 10)]
    ]
    return rows, [(host.pk, 35, 35, 35) for host in hosts]


# --- Check, then add points, then write history: a race pays twice, a crash pays twice ---------


def test_a_race_pays_once(a_day_long_ago):
    award = ["award_daily", "--date", str(LONG_AGO)]
    hold = ["--hold-at", "advisory"]
    with barrier() as release:
        racers = [start_with_fault(*hold, *award, REWARDS_BATCH_SIZE="1") for _ in range(3)]
        wait_until_held(*racers)
        release()
        ends = [finish(racer) for racer in racers]

    codes = sorted(code for code, _, _ in ends)
    assert codes[0] == 0, ends
    assert set(codes) <= {0, 3}, ends
    assert (ledger(), scores()) == paid_once(a_day_long_ago)
    assert broken() == []


def test_a_race_pays_once_without_locks(a_day_long_ago):
    """Two processes read that nothing is awarded, and both write: the constraint decides."""
    award = ["award_daily", "--date", str(LONG_AGO)]
    with barrier() as release:
        first = start_with_fault(
            "--without-locks", "--hold-at", "INSERT INTO rewards_score AS", *award
        )
        wait_until_held(first)
        second = start_with_fault("--without-locks", *award)
        wait_until_blocked(second)
        release()
        ends = [finish(first), finish(second)]

    assert [code for code, _, _ in ends] == [0, 0], ends
    assert any("batch met a conflict" in err for _, _, err in ends), ends
    assert (ledger(), scores()) == paid_once(a_day_long_ago)
    assert broken() == []


@pytest.mark.parametrize(
    "statement",
    [
        "array_agg(user_id) FROM rewards_scorehistory",  # nothing of the batch is written
        "INSERT INTO rewards_score AS",  # the ledger is written, the scores are not
        'UPDATE "rewards_awardbatch"',  # both are written, nothing is committed
        'UPDATE "rewards_awardrun"',  # the batch is committed, the run is not closed
    ],
)
def test_a_crash_pays_once(a_day_long_ago, statement):
    award = ["award_daily", "--date", str(LONG_AGO)]

    code, _, err = finish(start_with_fault("--die-at", statement, *award, REWARDS_BATCH_SIZE="5"))
    after_the_crash = broken()
    again, _, _ = manage(*award)

    assert code == -signal.SIGKILL, err
    assert after_the_crash == []
    assert again == 0
    assert (ledger(), scores()) == paid_once(a_day_long_ago)
    assert broken() == []


def test_a_lock_ends_with_its_process(a_day_long_ago):
    award = ["award_daily", "--date", str(LONG_AGO)]
    code, _, _ = finish(start_with_fault("--die-at", "INSERT INTO rewards_score AS", *award))
    assert code == -signal.SIGKILL
    assert AwardRun.objects.get().status == RunStatus.RUNNING

    code, _, err = manage(*award)

    assert (code, AwardRun.objects.get().status) == (0, RunStatus.DONE), err


# --- The weekly reset, and what a week is ------------------------------------------------------


@pytest.mark.django_db
def test_a_second_weekly_run_keeps_the_week():
    RewardRuleFactory()
    RewardRuleFactory(rule_type=RuleType.WEEKLY_CONSISTENCY, threshold=5, points=100)
    host = HostFactory()
    for day in week_days(A_MONDAY):
        DailyActivityFactory(user=host, date=day)
        award_day(day)
    award_week()
    before = scores()

    award_week()

    assert before == scores() == [(host.pk, 170, 10, 170)]


@pytest.mark.django_db
def test_a_week_is_named_by_its_monday_everywhere():
    """Also across a new year, where week numbers restart."""
    monday = date(2025, 12, 29)
    RewardRuleFactory(starts_on=monday - ONE_DAY)
    RewardRuleFactory(
        rule_type=RuleType.WEEKLY_CONSISTENCY, threshold=1, points=100, starts_on=monday
    )
    new_year = date(2026, 1, 1)
    DailyActivityFactory(date=new_year)

    award_day(new_year)
    award_week(monday)

    assert {monday_of(day) for day in week_days(monday)} == {monday}
    assert AwardRun.objects.get(cadence="weekly").reference_date == monday
    assert ScoreHistory.objects.get(rule_type="WEEKLY_CONSISTENCY").reference_date == monday
    assert Score.objects.values_list("week_start", "weekly").get() == (monday, 110)
    for day in week_days(monday)[1:]:
        with pytest.raises(BadPeriod, match=f"did you mean {monday}"):
            award_week(day)


@pytest.mark.django_db
def test_a_host_that_left_earns_no_week():
    """Five active days are enough, but a host that left on Saturday is not eligible on Sunday."""
    RewardRuleFactory(rule_type=RuleType.WEEKLY_CONSISTENCY, threshold=5, points=100)
    saturday, sunday = week_days(A_MONDAY)[5:]
    stayed, left = HostFactory(left_on=sunday), HostFactory(left_on=saturday)
    for day in week_days(A_MONDAY)[:5]:
        for host in (stayed, left):
            DailyActivityFactory(user=host, date=day)

    award_week()
    award_week(A_MONDAY + timedelta(days=7))

    assert ledger() == [(stayed.pk, "WEEKLY_CONSISTENCY", A_MONDAY, 100)]


# --- What a day is, and which one is evaluated ----------------------------------------------------


@pytest.mark.django_db
def test_a_call_after_midnight_in_kolkata_counts_on_its_day(settings, tmp_path):
    """From 00:00 to 05:30 in Kolkata it is yesterday in UTC."""
    settings.REWARDS_TIME_ZONE = "Asia/Kolkata"
    RewardRuleFactory(rule_type=RuleType.DAILY_AUDIO_CALL_TARGET, starts_on=date(2024, 1, 1))
    for host in ("early", "late", "before"):
        HostFactory(external_id=host)
    file = tmp_path / "activity.csv"
    file.write_text(
        "event_id,user_id,kind,occurred_at,duration_seconds\n"
        "1,early,audio_call,2024-09-02T00:00:00+05:30,60\n"
        "2,late,audio_call,2024-09-01T23:59:59.999999Z,60\n"
        "3,before,audio_call,2024-09-01T18:29:59.999999Z,60\n"
    )

    call_command("import_activity", str(file), verbosity=0)
    award_day(LONG_AGO)

    assert sorted(ScoreHistory.objects.values_list("user__external_id", "reference_date")) == [
        ("early", LONG_AGO),
        ("late", LONG_AGO),
    ]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("zone", "now", "default"),
    [
        ("UTC", datetime(2026, 11, 18, 0, 5, tzinfo=UTC), date(2026, 11, 17)),
        ("Asia/Kolkata", datetime(2026, 11, 17, 18, 30, tzinfo=UTC), date(2026, 11, 17)),
        ("Asia/Kolkata", datetime(2026, 11, 17, 18, 29, tzinfo=UTC), date(2026, 11, 16)),
        ("America/Los_Angeles", datetime(2026, 11, 18, 7, 59, tzinfo=UTC), date(2026, 11, 16)),
    ],
)
def test_the_default_day_is_the_last_closed_one(settings, monkeypatch, zone, now, default):
    settings.REWARDS_TIME_ZONE = zone
    monkeypatch.setattr("django.utils.timezone.now", lambda: now)

    call_command("award_daily", verbosity=0)

    assert AwardRun.objects.get().reference_date == default


@pytest.mark.django_db
def test_a_late_run_evaluates_its_own_day():
    RewardRuleFactory(starts_on=date(2026, 1, 1), points=10)
    RewardRuleFactory(starts_on=A_MONDAY + ONE_DAY, points=99)
    host = DailyActivityFactory().user
    DailyActivityFactory(user=host, date=A_MONDAY + ONE_DAY)

    awards.award_daily(day=A_MONDAY, now=NOW + timedelta(days=40), trigger=RunTrigger.COMMAND)

    assert ledger() == [(host.pk, "DAILY_LOGIN", A_MONDAY, 10)]


# --- Rules that pay by accident ----------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("threshold", ["0", "-1", "", "None", "1.0", "1_0"])
def test_a_threshold_is_a_positive_number(threshold):
    with pytest.raises(CommandError, match="--threshold: not a whole number"):
        call_command("set_rule", "DAILY_LOGIN", f"--threshold={threshold}", "--points=10")

    assert not RewardRule.objects.exists()


@pytest.mark.parametrize("rule_type", RuleType)
def test_no_activity_earns_nothing(rule_type):
    rule = Rule(version=1, rule_type=rule_type, threshold=1, points=10)

    assert not EVALUATORS[rule_type](rule, Facts()).is_earned


@pytest.mark.django_db
def test_one_version_of_a_type_is_in_force():
    RewardRuleFactory(starts_on=date(2026, 1, 1), points=10)
    RewardRuleFactory(starts_on=A_MONDAY, points=25)
    host = DailyActivityFactory().user

    award_day()

    assert ledger() == [(host.pk, "DAILY_LOGIN", A_MONDAY, 25)]
    with pytest.raises(IntegrityError), transaction.atomic():
        RewardRuleFactory(starts_on=A_MONDAY, points=99)


@pytest.mark.django_db
def test_a_new_version_does_not_change_past_awards():
    old = RewardRuleFactory(starts_on=date(2026, 1, 1), points=10)
    host = DailyActivityFactory().user
    award_day()
    before = ledger(), scores()

    with pytest.raises(RuleRefused, match="is never changed"):
        rules.change_pending(
            rule=old, threshold=1, points=99, starts_on=A_MONDAY, is_active=True, today=A_MONDAY
        )
    rules.set_rule(
        rule_type=RuleType.DAILY_LOGIN,
        threshold=1,
        points=99,
        starts_on=A_MONDAY + ONE_DAY,
        is_active=True,
        today=A_MONDAY,
    )
    award_day()

    assert (ledger(), scores()) == before == ([(host.pk, "DAILY_LOGIN", A_MONDAY, 10)], scores())


@pytest.mark.django_db
def test_a_version_with_awards_is_never_deleted():
    rule = RewardRuleFactory()
    DailyActivityFactory()
    award_day()

    with pytest.raises(RuleRefused, match="is never changed"):
        rules.withdraw(rule=rule, today=A_MONDAY)
    with pytest.raises(ProtectedError):
        RewardRule.objects.all().delete()
    with pytest.raises(IntegrityError):
        delete_behind_the_orm("rewards_rewardrule")

    assert ScoreHistory.objects.get().rule == rule


# --- Errors swallowed, with "success" at the end -----------------------------------------------


@pytest.mark.django_db
def test_a_failed_batch_makes_the_run_partial(settings, capsys):
    settings.REWARDS_BATCH_SIZE = 1
    RewardRuleFactory(starts_on=LONG_AGO)
    poisoned, sound = HostFactory(), HostFactory()
    for host in (poisoned, sound):
        DailyActivityFactory(user=host, date=LONG_AGO)
    Score.objects.create(
        user=poisoned, lifetime=2**63 - 1, daily_date=LONG_AGO, week_start=LONG_AGO
    )

    with pytest.raises(CommandError, match="out of range") as failure:
        call_command("award_daily", date=LONG_AGO)

    assert failure.value.returncode == 4
    assert AwardRun.objects.get().status == RunStatus.PARTIAL
    assert ledger() == [(sound.pk, "DAILY_LOGIN", LONG_AGO, 10)]
