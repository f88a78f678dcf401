import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from django.urls import reverse

from rewards.admin import export
from rewards.admin.ledger import leaderboard
from rewards.choices import RunTrigger
from rewards.exceptions import QueryTimedOut
from rewards.models import Host
from tests.admin.test_export import read_csv, read_xlsx
from tests.awards import award_daily
from tests.factories import A_MONDAY, DailyActivityFactory, HostFactory, RewardRuleFactory

PAGE = reverse("admin:rewards_score_leaderboard")
WEEK = {"first": "2026-11-16", "last": "2026-11-22"}


@pytest.fixture
def awards(login):
    """Ada leads this week, Bea led the last one, and Cleo ties with Bea this week."""
    login("Viewer")
    RewardRuleFactory(points=10)
    ada, bea, cleo = (HostFactory(external_id=name) for name in ["ada", "bea", "cleo"])
    for host, days in [(ada, (0, 1)), (bea, (0, -1, -2, -3)), (cleo, (1,))]:
        for offset in days:
            DailyActivityFactory(user=host, date=A_MONDAY + timedelta(days=offset))
    for offset in range(-3, 2):
        award(A_MONDAY + timedelta(days=offset))


def award(day):
    now = datetime(2026, 11, 18, 12, tzinfo=UTC)
    return award_daily(day=day, now=now, trigger=RunTrigger.COMMAND)


def rows(page):
    texts = (re.sub("<[^>]*>", "", cell) for row in page.context["ranking"]["rows"] for cell in row)
    return list(zip(*[texts] * 3, strict=True))


def test_it_opens_with_the_latest_week(client, awards):
    assert rows(client.get(PAGE)) == [
        ("1", "ada", "20"),
        ("2", "bea", "10"),
        ("3", "cleo", "10"),
    ]


def test_the_week_before_is_one_link_away(client, awards):
    (link,) = [week["link"] for week in client.get(PAGE).context["weeks"] if not week["active"]]

    assert rows(client.get(PAGE + link)) == [("1", "bea", "30")]


def test_any_days_can_be_added_up(client, awards):
    page = client.get(PAGE, {"first": "2026-11-15", "last": "2026-11-16"})

    assert rows(page) == [("1", "bea", "20"), ("2", "ada", "10")]


def test_days_without_awards_say_so(client, awards):
    page = client.get(PAGE, {"first": "2026-01-01", "last": "2026-01-31"})

    assert "Nothing was awarded for 2026-01-01 to 2026-01-31." in page.content.decode()


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
def test_invalid_days_are_refused_beside_their_field(client, awards, first, last, field, message):
    query = {"first": first, "last": last}

    page = client.get(PAGE, query)

    assert page.context["form"].errors == {field: [message]}
    assert "ranking" not in page.context
    export = client.get(reverse("admin:rewards_score_leaderboard_export", args=["csv"]), query)
    assert export.status_code == 302


def test_a_slow_query_is_reported(client, awards, monkeypatch):
    def timed_out(**_):
        raise QueryTimedOut("The query took too long.")

    monkeypatch.setattr(leaderboard, "leaderboard", timed_out)

    page = client.get(PAGE, {"first": "2026-11-15", "last": "2026-11-16"})

    assert "The query took too long. The export has no time limit." in page.content.decode()
    assert reverse("admin:rewards_score_leaderboard_export", args=["csv"]) in page.content.decode()


def exported(client, file_format):
    address = reverse("admin:rewards_score_leaderboard_export", args=[file_format])
    return client.get(address, WEEK, follow=True)


def test_all_hosts_are_exported(client, awards):
    expected = [
        ["rank", "user_id", "points"],
        [1, "ada", 20],
        [2, "bea", 10],
        [3, "cleo", 10],
    ]

    assert read_xlsx(exported(client, "xlsx").getvalue()) == expected
    assert read_csv(exported(client, "csv")) == [[str(cell) for cell in row] for row in expected]


def test_a_leading_host_cannot_inject_a_formula(client, awards):
    Host.objects.filter(external_id="ada").update(external_id="=1+1")

    assert read_xlsx(exported(client, "xlsx").getvalue())[1] == [1, "'=1+1", 20]
    assert read_csv(exported(client, "csv"))[1] == ["1", "'=1+1", "20"]


def test_more_hosts_than_a_sheet_holds_are_refused(client, awards, monkeypatch):
    monkeypatch.setattr(export, "MAX_SHEET_ROWS", 2)

    page = exported(client, "xlsx")

    assert page.redirect_chain == [(f"{PAGE}?{urlencode(WEEK)}", 302)]
    assert "A sheet holds 2 rows" in page.content.decode()
    assert len(read_csv(exported(client, "csv"))) == 4
