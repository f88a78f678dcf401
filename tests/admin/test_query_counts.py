"""The queries of each page, with little data and with much."""

from datetime import UTC, datetime, timedelta

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from rewards.choices import BatchStatus, RuleType, RunTrigger
from rewards.models import (
    AwardBatch,
    AwardRun,
    DailyActivity,
    RewardRule,
    ScoreHistory,
    User,
)
from tests.admin.conftest import fields
from tests.awards import award_daily
from tests.factories import A_MONDAY, AwardRunFactory, RewardRuleFactory, StaffFactory

NOW = datetime(2026, 11, 17, 12, tzinfo=UTC)

# Each page reads the session and the user first; then:
QUERIES = {
    # Latest evaluated day; totals by day and rule; rule, activity, award (do they exist?); totals
    # of the day; locks, activity, journal, rules (periods); live runs; leaders with names, of one
    # week (2) and of the week before, which has none (1).
    "index": 16,
    # Versions with their authors.
    "rewards_rewardrule_changelist": 3,
    # The version; all versions of its type.
    "rewards_rewardrule_change": 4,
    # Latest version; all versions of its type.
    "rewards_rewardrule_add?rule_type=DAILY_AUDIO_CALL_TARGET": 4,
    # Latest version; begin of the savepoints of view and service (2), lock, latest version, version
    # of the same day, later versions, versions of the type, open runs; author, uniqueness and three
    # constraints, each in a savepoint (11); end of the savepoints (2); version in force; hosts by
    # count, and hosts that lose, each with savepoint, time limit, memory, query, both reset, end of
    # savepoint (14); all versions.
    "rewards_rewardrule_add?rule_type=DAILY_AUDIO_CALL_TARGET&preview": 40,
    # Count, rows.
    "rewards_host_changelist": 4,
    # The host of this id, then its page (session, user, host, activity, awards, score).
    "rewards_host_changelist?q=h-7": 9,
    # The host of this id, hosts of this name; count, rows.
    "rewards_host_changelist?q=h-": 6,
    # Host, activity, awards, score.
    "rewards_host_change": 6,
    # Host for the page and for the report; activity, awards; versions of the day and of the week;
    # runs, failed batches; events around the day, short calls, late events.
    "rewards_host_explain?day=2026-11-16": 13,
    # Latest day, count, rows.
    "rewards_scorehistory_changelist": 5,
    "rewards_scorehistory_changelist?rule_type__exact=DAILY_LOGIN": 5,
    # Host, first and last day, count, rows.
    "rewards_scorehistory_changelist?q=h-7": 6,
    # Award, host, version, run.
    "rewards_scorehistory_change": 6,
    # Count, rows.
    "rewards_score_changelist": 4,
    # Latest evaluated day, for the form and for the links; leaders, names.
    "rewards_score_leaderboard": 6,
    # Latest evaluated day; savepoint, limit, leaders, no limit, savepoint; names.
    "rewards_score_leaderboard?first=2026-11-16&last=2026-11-17": 9,
    # Locks, activity, journal, rules (periods); open runs; live runs; totals of the periods shown.
    "rewards_awardrun_journal": 9,
    # Count, rows.
    "rewards_awardrun_changelist": 4,
    # Run, statuses of its batches, failed batches; the run again, for Django's own view.
    "rewards_awardrun_change": 6,
    # Latest day, count, rows.
    "rewards_dailyactivity_changelist": 5,
    # Host, first and last day, count, rows.
    "rewards_dailyactivity_changelist?q=h-7": 6,
    # Row, host.
    "rewards_dailyactivity_change": 4,
    # Latest day, count, rows.
    "rewards_activityevent_changelist": 5,
    # Row, host.
    "rewards_activityevent_change": 4,
    # Count, rows.
    "rewards_user_changelist": 4,
    # User; their groups for the version token and for the form; all groups.
    "rewards_user_change": 6,
}


def fill(hosts):
    """Make more hosts active on a Monday, and award it."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH host AS (
                INSERT INTO rewards_user (external_id, username, is_host, password, is_superuser,
                    first_name, last_name, email, is_staff, is_active, date_joined)
                SELECT 'h-' || n, 'host:h-' || n, true, '!', false, '', '', '', false, true, now()
                FROM generate_series(1 + (SELECT count(*) FROM rewards_user), %s) AS n
                RETURNING id, external_id
            ), activity AS (
                INSERT INTO rewards_dailyactivity (user_id, date, logins, audio_calls,
                    video_calls, audio_seconds, video_seconds)
                SELECT id, %s, 1, 1, 0, 0, 0 FROM host
            )
            INSERT INTO rewards_activityevent (source, event_id, user_id, kind, occurred_at,
                duration_seconds, business_date)
            SELECT 'app', external_id, id, 'login', %s, 0, %s FROM host
            """,
            [hosts, A_MONDAY, NOW - timedelta(days=1), A_MONDAY],
        )
    award_daily(day=A_MONDAY, now=NOW, trigger=RunTrigger.COMMAND)


def add_history(host, days):
    """Add earlier days with activity of `host` and a run, rule versions and failures."""
    earlier = [A_MONDAY - timedelta(days=n) for n in range(1, days + 1)]
    DailyActivity.objects.bulk_create(
        DailyActivity(user=host, date=day, logins=1) for day in earlier
    )
    for day in earlier:
        AwardRunFactory(reference_date=day)
        RewardRuleFactory(
            rule_type=RuleType.DAILY_VIDEO_CALL_TARGET, starts_on=day, created_by=StaffFactory()
        )
    run = AwardRun.objects.earliest("pk")
    for n in range(days):
        AwardBatch.objects.create(
            run=run,
            after_user=10_000_000 + n,
            through_user=10_000_001 + n,
            status=BatchStatus.FAILED,
            finished_at=NOW,
        )


def addresses():
    award = ScoreHistory.objects.earliest("pk")
    rows = {
        "rewards_rewardrule_change": RewardRule.objects.earliest("pk"),
        "rewards_host_change": award.user,
        "rewards_host_explain": award.user,
        "rewards_awardrun_change": award.run,
        "rewards_scorehistory_change": award,
        "rewards_activityevent_change": award.user.activity.get(),
        "rewards_dailyactivity_change": award.user.daily_activity.get(date=A_MONDAY),
        "rewards_user_change": User.objects.filter(is_staff=True).earliest("pk"),
    }
    for name in QUERIES:
        page, _, query = name.partition("?")
        arguments = [rows[page].pk] if page in rows else []
        yield name, f"{reverse(f'admin:{page}', args=arguments)}?{query}"


def counted(client):
    found = {}
    for name, address in addresses():
        values = None
        if name.endswith("&preview"):
            values = fields(client.get(address)) | {"threshold": "2", "reason": "?"}
        with CaptureQueriesContext(connection) as queries:
            page = (
                client.get(address, follow=True)
                if values is None
                else client.post(address, values | {"_preview": "28"})
            )
        assert page.status_code == 200
        assert values is None or page.context["preview"]["changes"][1][1]["number"]
        found[name] = len(queries)
    return found


def test_each_page_takes_the_same_queries_whatever_the_data(client, login, monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    login("superuser")
    RewardRuleFactory(threshold=1, points=10)
    RewardRuleFactory(rule_type=RuleType.DAILY_AUDIO_CALL_TARGET, threshold=1, points=20)

    fill(100)
    for _, address in addresses():
        client.get(address)  # what is read once: the session, content types
    few = counted(client)
    fill(5_000)
    add_history(ScoreHistory.objects.earliest("pk").user, days=40)
    many = counted(client)

    assert few == QUERIES
    assert many == QUERIES
