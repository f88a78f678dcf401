"""The ranking of a week."""

from datetime import UTC, datetime

import pytest
from django.utils import timezone

from rewards.api.leaderboard import Leaderboard
from rewards.engine.business_days import ONE_DAY, ONE_WEEK
from rewards.reports.leaderboard import ranking
from tests.api.conftest import problem_of
from tests.api.reading import documented, pages
from tests.factories import (
    A_MONDAY,
    AwardRunFactory,
    HostFactory,
    RewardRuleFactory,
    ScoreHistoryFactory,
)

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
WEEK_BEFORE = A_MONDAY - ONE_WEEK
SUNDAY = A_MONDAY - ONE_DAY


@pytest.fixture(autouse=True)
def _fixed_clock(monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture
def store(db):
    """Return a function that stores an award of the week before, of a new host unless given."""
    rule, run = RewardRuleFactory(), AwardRunFactory(reference_date=SUNDAY)

    def award(points, host=None, day=WEEK_BEFORE):
        host = host or HostFactory()
        ScoreHistoryFactory(user=host, rule=rule, run=run, points=points, reference_date=day)
        return host

    return award


def at(monday, query=""):
    return f"/api/v1/leaderboard?week={monday}{query}"


def test_the_open_week_shows_what_its_last_run_recorded(api, store):
    hosts = [HostFactory(), HostFactory()]
    AwardRunFactory(
        leaders=[[hosts[1].pk, 30], [hosts[0].pk, 10]],
        finished_at=datetime(2026, 11, 18, 0, 6, tzinfo=UTC),
    )

    assert documented(Leaderboard, api.get(at(A_MONDAY)).json()) == {
        "week": "2026-11-16",
        "open": True,
        "as_of": "2026-11-18T00:06:00+00:00",
        "hosts": [
            {"rank": 1, "user_id": hosts[1].external_id, "points": 30},
            {"rank": 2, "user_id": hosts[0].external_id, "points": 10},
        ],
        "next": None,
    }


def test_the_open_week_is_empty_before_its_first_run(api, store):
    store(10)

    answer = documented(Leaderboard, api.get(at(A_MONDAY)).json())

    assert (answer["as_of"], answer["hosts"], answer["next"]) == (None, [], None)


def test_a_week_that_has_ended_ranks_every_host(api, store):
    first, second, third = store(10), store(30), store(10)
    store(5, host=third, day=SUNDAY)
    store(99, day=A_MONDAY)
    report = ranking(first=WEEK_BEFORE, last=SUNDAY)

    answer = documented(Leaderboard, api.get(at(WEEK_BEFORE)).json())

    assert answer == {
        "week": "2026-11-09",
        "open": False,
        "as_of": NOW.isoformat(),
        "hosts": [
            {"rank": row.rank, "user_id": row.external_id, "points": row.points} for row in report
        ],
        "next": None,
    }
    assert [host["user_id"] for host in answer["hosts"]] == [
        host.external_id for host in (second, third, first)
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 500])
def test_pages_have_no_gap_or_repeat(api, store, limit):
    for points in (10, 30, 10, 20, 10, 30, 5, 10):
        store(points)
    whole = api.get(at(WEEK_BEFORE)).json()["hosts"]

    found = pages(api, at(WEEK_BEFORE), "hosts", limit=limit)

    assert [row for page in found for row in page] == whole
    assert [row["rank"] for row in whole] == list(range(1, 9))


def test_hosts_that_are_added_meanwhile_are_no_repeats(api, store):
    hosts = [store(points) for points in (30, 20, 10)]
    more = iter([25, 15])

    found = pages(
        api,
        at(WEEK_BEFORE),
        "hosts",
        limit=1,
        meanwhile=lambda: (points := next(more, None)) and store(points),
    )

    ids = [row["user_id"] for page in found for row in page]
    assert len(set(ids)) == len(ids)
    assert {host.external_id for host in hosts} < set(ids)


def test_a_cursor_of_another_week_is_refused(api, store):
    store(10)
    store(20)
    cursor = api.get(at(WEEK_BEFORE, "&limit=1")).json()["next"]

    for monday in (A_MONDAY, WEEK_BEFORE - ONE_WEEK):
        problem_of(api.get(at(monday, f"&cursor={cursor}")), 422, "invalid")


@pytest.mark.parametrize(
    ("week", "sentence"),
    [
        ("2026-11-17", "Bad week: 2026-11-17 is not a Monday; use 2026-11-16."),
        ("2026-11-23", "The week of 2026-11-23 has not begun."),
        ("2026-W47", "Bad week: Not a date of the form YYYY-MM-DD: '2026-W47'."),
        ("%00", r"Bad week: Not a date of the form YYYY-MM-DD: '\x00'."),
        ("", "Bad week: The date is empty; use YYYY-MM-DD."),
    ],
)
def test_a_bad_week_is_refused(api, db, week, sentence):
    problem = problem_of(api.get(at(week)), 422, "invalid")

    assert problem["detail"] == sentence
    assert problem["errors"] == [{"parameter": "week", "detail": sentence}]


def test_the_first_week_is_accepted(api, db):
    assert api.get(at("1999-12-27")).json()["hosts"] == []
