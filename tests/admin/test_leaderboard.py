from datetime import date, timedelta

import pytest
from django.urls import reverse

from rewards.admin import leaderboard
from tests.admin.test_export import read_csv, read_xlsx
from tests.factories import A_MONDAY, HostFactory, RewardRuleFactory, ScoreHistoryFactory

PAGE = reverse("admin:rewards_score_leaderboard")
WEEK = {"first": "2026-11-16", "last": "2026-11-22"}


@pytest.fixture
def today(monkeypatch):
    """A Wednesday, on which it always is."""
    day = date(2026, 11, 18)
    monkeypatch.setattr(leaderboard, "business_today", lambda: day)
    return day


@pytest.fixture
def awards(login, today):
    """Ada leads this week, Bea led the last one, and Cleo ties with Bea this week."""
    login("Viewer")
    rule = RewardRuleFactory(points=10)
    ada, bea, cleo = (HostFactory(external_id=name) for name in ["ada", "bea", "cleo"])
    for host, days in [(ada, (0, 1)), (bea, (0, -1, -2, -3)), (cleo, (1,))]:
        for offset in days:
            ScoreHistoryFactory(
                user=host, rule=rule, reference_date=A_MONDAY + timedelta(days=offset)
            )


def rows(page):
    return [
        [
            cell if isinstance(cell, str) and "<" not in cell else cell.split(">")[1].split("<")[0]
            for cell in row
        ]
        for row in page.context["ranking"]["rows"]
    ]


def test_it_opens_with_this_week(client, awards):
    assert rows(client.get(PAGE)) == [
        ["1", "ada", "20", "2"],
        ["2", "bea", "10", "1"],
        ["3", "cleo", "10", "1"],
    ]


def test_last_week_is_one_link_away(client, awards):
    (link,) = [week["link"] for week in client.get(PAGE).context["weeks"] if not week["active"]]

    assert rows(client.get(PAGE + link)) == [["1", "bea", "30", "3"]]


def test_any_days_can_be_added_up(client, awards):
    page = client.get(PAGE, {"first": "2026-11-15", "last": "2026-11-16"})

    assert rows(page) == [["1", "bea", "20", "2"], ["2", "ada", "10", "1"]]


def test_days_without_awards_say_so(client, awards):
    page = client.get(PAGE, {"first": "2026-01-01", "last": "2026-01-31"})

    assert "Nothing has been awarded for 2026-01-01 to 2026-01-31." in page.content.decode()


@pytest.mark.parametrize(
    ("first", "last", "field", "message"),
    [
        ("", "2026-11-22", "first", "The date is empty; use YYYY-MM-DD."),
        ("2026-11-16", "20261122", "last", "Not a date of the form YYYY-MM-DD: '20261122'."),
        ("2026-02-30", "2026-11-22", "first", "No such day: '2026-02-30'."),
        (
            "2026-11-22",
            "2026-11-16",
            "last",
            "The range is reversed: 2026-11-22 is after 2026-11-16.",
        ),
        ("' OR 1=1--", "2026-11-16", "first", 'Not a date of the form YYYY-MM-DD: "\' OR 1=1--".'),
    ],
)
def test_days_that_make_no_sense_are_told_beside_their_field(
    client, awards, first, last, field, message
):
    query = {"first": first, "last": last}

    page = client.get(PAGE, query)

    assert page.context["form"].errors == {field: [message]}
    assert "ranking" not in page.context
    export = client.get(reverse("admin:rewards_score_leaderboard_export", args=["csv"]), query)
    assert export.status_code == 302


def test_too_much_to_add_up_is_not_waited_for(client, awards, monkeypatch):
    monkeypatch.setattr(leaderboard, "PATIENCE", "1ms")
    monkeypatch.setattr(leaderboard, "leaders", sleep)

    page = client.get(PAGE, WEEK)

    assert "too much to add up while you wait" in page.content.decode()
    assert client.get(PAGE.replace("leaderboard/", "")).status_code == 200


def sleep(**_):
    with leaderboard.connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(1)")


def test_the_whole_ranking_can_be_taken_away(client, awards, monkeypatch):
    monkeypatch.setattr(leaderboard, "LEADERS", 1)
    expected = [
        ["rank", "user_id", "points", "awards"],
        [1, "ada", 20, 2],
        [2, "bea", 10, 1],
        [3, "cleo", 10, 1],
    ]

    def export(file_format):
        address = reverse("admin:rewards_score_leaderboard_export", args=[file_format])
        return client.get(address, WEEK)

    assert read_xlsx(export("xlsx").getvalue()) == expected
    assert read_csv(export("csv")) == [[str(cell) for cell in row] for row in expected]


def test_the_page_costs_the_same_queries_for_one_host_and_for_many(
    client, awards, django_assert_num_queries
):
    client.get(PAGE)
    # Session, user, rights (2), savepoint, patience, leaders, savepoint, names.
    with django_assert_num_queries(9):
        client.get(PAGE)
    rule = RewardRuleFactory(points=10, starts_on=date(2026, 1, 2))
    for host in HostFactory.create_batch(150):
        ScoreHistoryFactory(user=host, rule=rule)

    with django_assert_num_queries(9):
        page = client.get(PAGE)

    assert len(page.context["ranking"]["rows"]) == leaderboard.LEADERS
