"""Many hosts: memory and work per batch do not grow with their number."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from rewards.choices import RuleType
from rewards.models import AwardRun, Score, ScoreHistory
from rewards.selectors.activity import IdRange, users_by_facts
from tests.factories import RewardRuleFactory
from tests.processes import measured
from tests.test_known_pitfalls import LONG_AGO

HOSTS = 100_000

MANY_HOSTS = """
    INSERT INTO rewards_user (
        external_id, username, password, is_host, is_active, is_staff, is_superuser,
        first_name, last_name, email, date_joined
    )
    SELECT 'host-' || n, 'host:host-' || n, '!', true, true, false, false, '', '', '', now()
    FROM generate_series(1, %(hosts)s) n;
    INSERT INTO rewards_dailyactivity
        (user_id, date, logins, audio_calls, video_calls, audio_seconds, video_seconds)
    SELECT id, %(day)s, 1 + id %% 3, id %% 8, id %% 5, 60 * (id %% 8), 60 * (id %% 5)
    FROM rewards_user
"""


def test_a_run_of_100_000_hosts_needs_little_memory(committed):
    for rule_type, threshold, points in [
        (RuleType.DAILY_LOGIN, 1, 10),
        (RuleType.DAILY_AUDIO_CALL_TARGET, 4, 25),
        (RuleType.DAILY_VIDEO_CALL_TARGET, 1, 35),
    ]:
        RewardRuleFactory(
            rule_type=rule_type, threshold=threshold, points=points, starts_on=LONG_AGO
        )
    with connection.cursor() as cursor:
        cursor.execute(MANY_HOSTS, {"hosts": HOSTS, "day": LONG_AGO})

    code, output, peak = measured("award_daily", "--date", str(LONG_AGO))

    run = AwardRun.objects.get()
    awards = HOSTS + HOSTS // 2 + HOSTS * 4 // 5
    assert code == 0, output
    assert (run.hosts_evaluated, run.awards) == (HOSTS, awards)
    assert (ScoreHistory.objects.count(), Score.objects.count()) == (awards, HOSTS)
    assert peak < 150, f"{peak:.0f} MB"


@pytest.mark.django_db
@pytest.mark.parametrize("days", [1, 7])
def test_a_batch_reads_its_own_hosts_only(days):
    with connection.cursor() as cursor:
        cursor.execute(MANY_HOSTS, {"hosts": 5_000, "day": LONG_AGO})
        cursor.execute("ANALYZE rewards_user, rewards_dailyactivity")
        cursor.execute("SELECT max(id) FROM rewards_user")
        (last,) = cursor.fetchone()

    hosts, plan = _explained(
        days=[LONG_AGO + timedelta(days=number) for number in range(days)],
        id_range=IdRange(last - 100, last),
    )

    assert hosts == 100
    assert _max_rows_read(plan) == 100


@pytest.mark.django_db
@pytest.mark.parametrize("days", [1, 7])
def test_a_batch_of_a_day_without_statistics_is_not_quadratic(days):
    """Runs follow right after a day, before ANALYZE has seen its rows or that many hosts left."""
    with connection.cursor() as cursor:
        cursor.execute(MANY_HOSTS, {"hosts": 2_000, "day": LONG_AGO})
        cursor.execute("ANALYZE rewards_user, rewards_dailyactivity")
        cursor.execute(
            "INSERT INTO rewards_dailyactivity"
            " (user_id, date, logins, audio_calls, video_calls, audio_seconds, video_seconds)"
            " SELECT user_id, date + 7 + n, logins, audio_calls, video_calls, audio_seconds,"
            " video_seconds FROM rewards_dailyactivity, generate_series(0, %s - 1) AS n",
            [days],
        )
        cursor.execute("UPDATE rewards_user SET left_on = %s WHERE id %% 2 = 0", [LONG_AGO])
        cursor.execute("SELECT max(id) FROM rewards_user")
        (last,) = cursor.fetchone()

    hosts, plan = _explained(
        days=[LONG_AGO + timedelta(days=7 + number) for number in range(days)],
        id_range=IdRange(last - 1_000, last),
    )

    assert hosts == 500
    assert _work(plan) < 10 * 1_000 * days


def _explained(*, days, id_range):
    """Return the number of hosts with facts in `id_range`, and the plan of the query."""
    with CaptureQueriesContext(connection) as captured:
        facts = users_by_facts(days=days, id_range=id_range)
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN (ANALYZE, FORMAT json) " + captured[0]["sql"])
            ((plan,),) = cursor.fetchone()
    return sum(map(len, facts.values())), plan["Plan"]


def _work(node):
    """Return the number of rows that all nodes of a plan read, kept or not."""
    rows = sum(
        node.get(name, 0)
        for name in ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter")
    )
    return rows * node["Actual Loops"] + sum(map(_work, node.get("Plans", [])))


def _max_rows_read(node):
    """Return the largest number of rows that one node of a plan read, kept or not."""
    own = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return max([own, *map(_max_rows_read, node.get("Plans", []))])
