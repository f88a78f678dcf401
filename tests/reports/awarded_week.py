"""A week of activity, all of it awarded, and ways to damage what is stored."""

from datetime import UTC, datetime

from django.db import connection

from rewards.choices import ActivityKind, RuleType, RunTrigger
from rewards.engine.business_days import ONE_DAY, week_days
from rewards.models import DailyActivity
from rewards.reports.verify.verification import verify_ledger
from tests import awards
from tests.factories import A_MONDAY, ActivityEventFactory, HostFactory, RewardRuleFactory

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
TODAY = NOW.date()
TUESDAY = A_MONDAY + ONE_DAY

_COUNTS = {
    ActivityKind.LOGIN: {"logins": 1},
    ActivityKind.AUDIO_CALL: {"audio_calls": 1, "audio_seconds": 60},
    ActivityKind.VIDEO_CALL: {"video_calls": 1, "video_seconds": 60},
}


def act(host, day, kind=ActivityKind.LOGIN):
    """Store an event of `host` at noon of `day`, together with its count."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    seconds = 0 if kind == ActivityKind.LOGIN else 60
    ActivityEventFactory(
        user=host, kind=kind, occurred_at=noon, duration_seconds=seconds, received_at=noon
    )
    row = DailyActivity.objects.filter(user=host, date=day).first()
    row = row or DailyActivity(user=host, date=day)
    for column, number in _COUNTS[kind].items():
        setattr(row, column, getattr(row, column) + number)
    row.save()


def award_day(day):
    awards.award_daily(day=day, now=NOW, trigger=RunTrigger.COMMAND)


def award_week(monday=A_MONDAY):
    awards.award_weekly(monday=monday, now=NOW, trigger=RunTrigger.COMMAND)


def create_awarded_week():
    """Return two hosts: Ana is active every day of the week, Bo on Monday only."""
    RewardRuleFactory(points=10)
    RewardRuleFactory(rule_type=RuleType.DAILY_AUDIO_CALL_TARGET, points=25)
    RewardRuleFactory(rule_type=RuleType.WEEKLY_CONSISTENCY, threshold=7, points=100)
    ana, bo = HostFactory(external_id="ana"), HostFactory(external_id="bo")
    for day in week_days(A_MONDAY):
        act(ana, day)
        act(ana, day, ActivityKind.AUDIO_CALL)
    act(bo, A_MONDAY)
    for day in week_days(A_MONDAY):
        award_day(day)
    award_week()
    return ana, bo


def damage(*statements):
    """Run SQL past triggers and foreign keys."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("SET LOCAL session_replication_role = origin")


def broken():
    return set(verify_ledger(today=TODAY).broken)
