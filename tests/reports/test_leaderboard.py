from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from rewards.choices import RunTrigger
from rewards.engine.business_days import ONE_DAY
from rewards.exceptions import QueryTimedOut
from rewards.reports import leaderboard as module
from rewards.reports.leaderboard import (
    LeaderboardRow,
    LeaderKey,
    WeekLeaders,
    leaderboard,
    ranking,
    week_leaders,
)
from rewards.selectors.leaders import recorded_leaders
from rewards.selectors.visible_hosts import ALL_HOSTS
from tests.awards import award_daily
from tests.factories import (
    A_MONDAY,
    AwardRunFactory,
    DailyActivityFactory,
    HostFactory,
    RewardRuleFactory,
    ScoreHistoryFactory,
)

pytestmark = pytest.mark.django_db

A_SUNDAY = A_MONDAY + timedelta(days=6)
NEXT_MONDAY = A_MONDAY + timedelta(days=7)
NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)


@pytest.fixture
def hosts():
    """Bea has 30 points and Ada and Cleo 10 each, for one Monday. Cleo has 40 for Tuesday."""
    hosts = [HostFactory(external_id=name) for name in ("ada", "bea", "cleo")]
    for host, points, day in [(0, 10, 0), (1, 30, 0), (2, 10, 0), (2, 40, 1)]:
        ScoreHistoryFactory(
            user=hosts[host],
            reference_date=A_MONDAY + day * ONE_DAY,
            points=points,
            rule=RewardRuleFactory(starts_on=A_MONDAY - (10 * host + day) * ONE_DAY),
        )
    return hosts


def row(rank, host, points):
    return LeaderboardRow(rank=rank, user_id=host.pk, external_id=host.external_id, points=points)


def test_other_days_are_added_up_from_the_ledger(hosts):
    ada, bea, cleo = hosts

    assert leaderboard(first=A_MONDAY, last=A_MONDAY).rows == [
        row(1, bea, 30),
        row(2, ada, 10),  # of equals, the host known for longer
        row(3, cleo, 10),
    ]
    assert leaderboard(first=A_MONDAY, last=A_MONDAY + ONE_DAY, limit=1).rows == [row(1, cleo, 50)]


def test_a_week_is_read_from_its_last_finished_run(hosts):
    ada, bea, _ = hosts
    AwardRunFactory(leaders=[[ada.pk, 7]], finished_at=NOW)
    AwardRunFactory(leaders=[[bea.pk, 9], [ada.pk, 8]], finished_at=NOW + ONE_DAY)
    AwardRunFactory(leaders=[[ada.pk, 99]], status="running", finished_at=None)
    AwardRunFactory(reference_date=NEXT_MONDAY, leaders=[[ada.pk, 1]], finished_at=NOW)

    assert leaderboard(first=A_MONDAY, last=A_SUNDAY).rows == [row(1, bea, 9), row(2, ada, 8)]
    assert leaderboard(first=A_MONDAY, last=A_SUNDAY, limit=1).rows == [row(1, bea, 9)]
    assert leaderboard(first=A_MONDAY - 7 * ONE_DAY, last=A_MONDAY - ONE_DAY).rows == []


def test_a_part_of_a_week_is_added_up(hosts):
    AwardRunFactory(leaders=[[hosts[0].pk, 7]], finished_at=NOW)

    assert [r.points for r in leaderboard(first=A_MONDAY + ONE_DAY, last=A_SUNDAY).rows] == [40]
    assert leaderboard(first=A_MONDAY, last=A_SUNDAY - ONE_DAY).rows[0] == row(1, hosts[2], 50)


def test_a_run_records_the_leaders_of_its_week():
    ada, bea = HostFactory(), HostFactory()
    RewardRuleFactory()
    DailyActivityFactory(user=ada)
    DailyActivityFactory(user=ada, date=NEXT_MONDAY)
    award_daily(day=A_MONDAY, now=NOW, trigger=RunTrigger.COMMAND)
    from_scores = recorded_leaders(monday=A_MONDAY, visible=ALL_HOSTS).leaders
    award_daily(day=NEXT_MONDAY, now=NOW, trigger=RunTrigger.COMMAND)
    DailyActivityFactory(user=bea)

    award_daily(day=A_MONDAY, now=NOW, trigger=RunTrigger.COMMAND)

    assert from_scores == [(ada.pk, 10)]
    # The scores are of the next week by now, so that the ledger was added up.
    recorded = recorded_leaders(monday=A_MONDAY, visible=ALL_HOSTS).leaders
    assert recorded == [(ada.pk, 10), (bea.pk, 10)]


def test_other_days_have_a_time_limit(hosts, monkeypatch):
    def slow(**_):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(5)")

    monkeypatch.setattr(module, "LEADERBOARD_TIMEOUT_MS", 10)
    monkeypatch.setattr(module, "leaders", slow)

    with pytest.raises(QueryTimedOut):
        leaderboard(first=A_MONDAY, last=A_MONDAY)


def test_a_ranking_has_every_host(hosts):
    ada, bea, cleo = hosts

    assert list(ranking(first=A_MONDAY, last=A_MONDAY)) == [
        row(1, bea, 30),
        row(2, ada, 10),
        row(3, cleo, 10),
    ]
    assert list(ranking(first=A_SUNDAY, last=A_SUNDAY)) == []


def test_a_row_is_named_by_the_external_id(hosts):
    assert row(1, hosts[0], 30).to_dict() == {
        "rank": 1,
        "user_id": hosts[0].pk,
        "external_id": "ada",
        "points": 30,
    }


# --- A week for a reader outside --------------------------------------------------------------


def week(monday=A_MONDAY, after=None, limit=9, now=NOW):
    return week_leaders(monday=monday, after=after, limit=limit, now=now, visible=ALL_HOSTS)


def test_the_open_week_shows_its_recorded_leaders(hosts):
    ada, bea, _ = hosts
    recorded_at = NOW - 4 * ONE_DAY
    AwardRunFactory(leaders=[[bea.pk, 9], [ada.pk, 8]], finished_at=recorded_at)

    for now in (NOW - 8 * ONE_DAY, NOW - 2 * ONE_DAY):  # its Monday and its Sunday
        assert week(now=now) == WeekLeaders(
            monday=A_MONDAY,
            is_open=True,
            rows=(row(1, bea, 9), row(2, ada, 8)),
            as_of=recorded_at,
            next=None,
        )
        assert week(now=now, limit=1).rows == (row(1, bea, 9),)


def test_an_open_week_without_a_run_has_no_leaders():
    assert week(now=NOW - 7 * ONE_DAY).to_dict() == {
        "week": "2026-11-16",
        "open": True,
        "as_of": None,
        "hosts": [],
    }


def test_a_week_that_has_ended_has_every_host_by_rank(hosts):
    ada, bea, cleo = hosts
    AwardRunFactory(leaders=[[ada.pk, 1]], finished_at=NOW)
    end = NOW - 1 * ONE_DAY
    place = LeaderKey(points=30, user_id=bea.pk, rank=2)

    assert week(now=end) == WeekLeaders(
        monday=A_MONDAY,
        is_open=False,
        rows=(row(1, cleo, 50), row(2, bea, 30), row(3, ada, 10)),
        as_of=end,
        next=None,
    )
    assert week(limit=2).rows == (row(1, cleo, 50), row(2, bea, 30))
    assert week(limit=2).next == place
    assert week(after=place).rows == (row(3, ada, 10),)
    assert list(week().rows) == list(ranking(first=A_MONDAY, last=A_SUNDAY))
    assert week(limit=1).to_dict() == {
        "week": "2026-11-16",
        "open": False,
        "as_of": NOW.isoformat(),
        "hosts": [{"rank": 1, "user_id": "cleo", "points": 50}],
    }


def test_a_week_that_has_ended_has_a_time_limit(hosts, monkeypatch):
    def slow(**_):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(5)")

    monkeypatch.setattr(module, "LEADERBOARD_TIMEOUT_MS", 10)
    monkeypatch.setattr(module, "ranking_page", slow)

    with pytest.raises(QueryTimedOut, match=r"canceled; ask again later\.$"):
        week()
