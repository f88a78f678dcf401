"""The queries of each GET, with little data and with much."""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from rewards.choices import RuleType, RunTrigger
from rewards.engine.business_days import ONE_DAY, ONE_WEEK
from rewards.models import AwardRun, DailyActivity, User
from rewards.selectors import prepared
from tests.awards import award_daily
from tests.factories import A_MONDAY, AwardRunFactory, RewardRuleFactory

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
WEEK_BEFORE = A_MONDAY - ONE_WEEK

# Each request reads its key, with the client, first; then:
QUERIES = {
    # Host with score; activity of the week; awards of today and of the week; versions; streak.
    "/hosts/h-7": 6,
    # Host; rows.
    "/hosts/h-7/awards": 3,
    "/hosts/h-7/awards?limit=1": 3,
    # Host; activity, awards; versions of the day and of the week; runs, failed batches; events
    # around the day, short calls, late events.
    "/hosts/h-7/explanation?date=2026-11-16": 11,
    # Run; hosts.
    f"/leaderboard?week={A_MONDAY}": 3,
    # Begin; time limit, memory, ranking, both reset; commit.
    f"/leaderboard?week={WEEK_BEFORE}": 8,
    f"/leaderboard?week={WEEK_BEFORE}&limit=1": 8,
    # Runs.
    "/runs": 2,
    "/runs?limit=1": 2,
    # Run.
    "/runs/{run}": 2,
    # Run; begin, time limit, rows, reset, commit.
    "/runs/{run}/awards": 7,
    "/runs/{run}/awards?limit=1": 7,
}


def fill(hosts, *days):
    """Make more hosts active on `days`, and award them."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO rewards_user (external_id, username, is_host, password, is_superuser,
                first_name, last_name, email, is_staff, is_active, date_joined)
            SELECT 'h-' || n, 'host:h-' || n, true, '!', false, '', '', '', false, true, now()
            FROM generate_series(1 + (SELECT count(*) FROM rewards_user), %s) AS n
            """,
            [hosts],
        )
        for day in days:
            cursor.execute(
                """
                INSERT INTO rewards_dailyactivity (user_id, date, logins, audio_calls,
                    video_calls, audio_seconds, video_seconds)
                SELECT id, %s, 1, 1, 0, 0, 0 FROM rewards_user WHERE is_host
                ON CONFLICT DO NOTHING
                """,
                [day],
            )
            award_daily(day=day, now=NOW, trigger=RunTrigger.COMMAND)


def add_history(days):
    """Add earlier days with activity of one host, runs and rule versions."""
    host = User.objects.get(external_id="h-7")
    earlier = [A_MONDAY - n * ONE_DAY for n in range(8, days + 8)]
    DailyActivity.objects.bulk_create(
        DailyActivity(user=host, date=day, logins=1) for day in earlier
    )
    for day in earlier:
        AwardRunFactory(reference_date=day)
        RewardRuleFactory(rule_type=RuleType.DAILY_VIDEO_CALL_TARGET, starts_on=day)


def counted(api):
    run = AwardRun.objects.get(reference_date=WEEK_BEFORE, attempt=1)
    found = {}
    for address in QUERIES:
        with CaptureQueriesContext(connection) as queries:
            answer = api.get(f"/api/v1{address.format(run=run.pk)}")
        assert answer.status_code == 200, answer.content
        found[address] = len(queries)
    return found


@pytest.mark.django_db
def test_each_get_takes_the_same_queries_whatever_the_data(api, monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    RewardRuleFactory()
    RewardRuleFactory(rule_type=RuleType.DAILY_AUDIO_CALL_TARGET)

    fill(20, WEEK_BEFORE, A_MONDAY)
    api.get("/api/v1/runs")  # the first use of the key today is recorded
    few = counted(api)
    fill(2_000, WEEK_BEFORE, A_MONDAY)
    add_history(40)
    many = counted(api)

    assert few == QUERIES
    assert many == QUERIES


# --- Plans ------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/hosts/h-7", "/hosts/h-7/awards"])
def test_a_host_is_read_without_reading_others(api, monkeypatch, address):
    """Each query finds its rows by an index, however many hosts there are."""
    fetch, fetched = prepared._fetch, []

    def record(sql, parameters):
        fetched.append((sql, parameters))
        return fetch(sql, parameters)

    monkeypatch.setattr(timezone, "now", lambda: NOW)
    monkeypatch.setattr(prepared, "_fetch", record)
    RewardRuleFactory()
    fill(5_000, A_MONDAY, A_MONDAY + ONE_DAY)
    assert api.get(f"/api/v1{address}").status_code == 200
    assert len(fetched) == QUERIES[address]
    tables = ("rewards_user", "rewards_dailyactivity", "rewards_scorehistory", "rewards_score")
    found = set()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        for sql, parameters in fetched:
            cursor.execute(f"EXPLAIN {sql}", parameters)
            plan = "\n".join(line for (line,) in cursor.fetchall())
            found |= {table for table in tables if f" on {table}" in plan}
            assert not [table for table in tables if f"Seq Scan on {table} " in plan], plan
    assert found >= {"rewards_user", "rewards_scorehistory"}
