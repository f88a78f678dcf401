import re
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlencode

import pytest
from django.urls import reverse

from rewards.admin import export
from rewards.admin.ledger import leaderboard
from rewards.choices import RunTrigger
from rewards.exceptions import QueryTimedOut
from rewards.models import DailyActivity, Host
from rewards.selectors.leaders import MAX_LEADERS
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
    def timed_out(**_):
        raise QueryTimedOut

    monkeypatch.setattr(leaderboard, "leaderboard", timed_out)

    page = client.get(PAGE, {"first": "2026-11-15", "last": "2026-11-16"})

    assert "too much to add up while you wait" in page.content.decode()
    assert client.get(PAGE.replace("leaderboard/", "")).status_code == 200


def taken_away(client, file_format):
    address = reverse("admin:rewards_score_leaderboard_export", args=[file_format])
    return client.get(address, WEEK, follow=True)


def test_the_whole_ranking_can_be_taken_away(client, awards):
    expected = [
        ["rank", "user_id", "points"],
        [1, "ada", 20],
        [2, "bea", 10],
        [3, "cleo", 10],
    ]

    assert read_xlsx(taken_away(client, "xlsx").getvalue()) == expected
    assert read_csv(taken_away(client, "csv")) == [[str(cell) for cell in row] for row in expected]


def test_a_host_who_leads_cannot_have_a_formula_run(client, awards):
    Host.objects.filter(external_id="ada").update(external_id="=1+1")

    assert read_xlsx(taken_away(client, "xlsx").getvalue())[1] == [1, "'=1+1", 20]
    assert read_csv(taken_away(client, "csv"))[1] == ["1", "'=1+1", "20"]


def test_more_hosts_than_a_sheet_holds_are_refused(client, awards, monkeypatch):
    monkeypatch.setattr(export, "MAX_SHEET_ROWS", 2)

    page = taken_away(client, "xlsx")

    assert page.redirect_chain == [(f"{PAGE}?{urlencode(WEEK)}", 302)]
    assert "A sheet holds 2 rows" in page.content.decode()
    assert len(read_csv(taken_away(client, "csv"))) == 4


# Session, user, rights (2), the latest day evaluated; then the run that noted who leads, and names.
A_WEEK = 7
# Or, of other days: savepoint, time limit, leaders, time limit lifted, savepoint, names.
OTHER_DAYS = 11


@pytest.mark.parametrize("hosts", [100, 5_000])
@pytest.mark.parametrize(
    ("query", "queries"),
    [(WEEK, A_WEEK), ({"first": "2026-11-15", "last": "2026-11-17"}, OTHER_DAYS)],
)
def test_the_page_costs_the_same_queries_whatever_the_number_of_hosts(
    client, awards, django_assert_num_queries, hosts, query, queries
):
    client.get(PAGE)
    made = Host.objects.bulk_create(
        Host(username=f"host:{n}", external_id=str(n), is_host=True) for n in range(hosts)
    )
    DailyActivity.objects.bulk_create(
        DailyActivity(user=host, date=date(2026, 11, 17), logins=1) for host in made
    )
    award(date(2026, 11, 17))

    with django_assert_num_queries(queries):
        page = client.get(PAGE, query)

    assert len(page.context["ranking"]["rows"]) == MAX_LEADERS
