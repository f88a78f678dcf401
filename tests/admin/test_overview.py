import json
from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse

from rewards.admin import overview
from rewards.choices import Cadence, RuleType, RunStatus, RunTrigger
from rewards.models import AwardRun, DailyActivity, Host
from rewards.selectors.ledger import totals_by_rule
from tests.awards import award_daily, award_weekly
from tests.factories import (
    A_MONDAY,
    AwardRunFactory,
    DailyActivityFactory,
    HostFactory,
    RewardRuleFactory,
)

INDEX = reverse("admin:index")
NEXT_MONDAY = A_MONDAY + timedelta(days=7)
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
"""A Tuesday; the latest day that has ended is NEXT_MONDAY."""


@pytest.fixture(autouse=True)
def _now(monkeypatch):
    monkeypatch.setattr(overview.timezone, "now", lambda: NOW)


@pytest.fixture
def activity(db):
    """Ada is active on all days of a week and the Monday after, Bea on its Monday only."""
    ada, bea = HostFactory(external_id="ada"), HostFactory(external_id="bea")
    for offset in range(8):
        DailyActivityFactory(user=ada, date=A_MONDAY + timedelta(days=offset), logins=3)
    DailyActivityFactory(user=bea, logins=1)
    RewardRuleFactory(rule_type=RuleType.DAILY_LOGIN, threshold=2, points=10)
    RewardRuleFactory(rule_type=RuleType.WEEKLY_CONSISTENCY, threshold=5, points=100)
    return ada, bea


def award(day):
    return award_daily(day=day, now=NOW, trigger=RunTrigger.COMMAND)


def award_week(monday):
    return award_weekly(monday=monday, now=NOW, trigger=RunTrigger.COMMAND)


@pytest.fixture
def awarded(activity):
    """Everything is awarded but the last day."""
    for offset in range(7):
        award(A_MONDAY + timedelta(days=offset))
    award_week(A_MONDAY)
    return activity


def test_the_points_of_the_week_stand_against_those_of_the_one_before(client, login, awarded):
    login("Viewer")

    over = client.get(INDEX).context["week"]
    award(NEXT_MONDAY)
    begun = client.get(INDEX).context["week"]

    assert (over["name"], over["points"], over["before"]) == ("week of 2026-11-16", "170", "0")
    assert (begun["name"], begun["points"], begun["before"]) == ("week of 2026-11-23", "10", "170")
    assert begun["change"] is None  # a week that has just begun is not less than a whole one


def test_by_how_much_a_week_differs_is_said_once_it_is_over(client, login, awarded):
    login("Viewer")
    AwardRunFactory(
        reference_date=A_MONDAY - timedelta(days=1),
        by_rule={"DAILY_LOGIN": {"awards": 20, "points": 200}},
    )

    page = client.get(INDEX)

    assert page.context["week"]["change"] == "-15 %"
    assert "-15 %" in page.content.decode()


def test_hosts_rewarded_are_counted_once_however_often_they_were_awarded(client, login, activity):
    login("Viewer")
    ada, bea = activity
    award(A_MONDAY)
    video = RewardRuleFactory(
        rule_type=RuleType.DAILY_VIDEO_CALL_TARGET, threshold=1, points=5, starts_on=A_MONDAY
    )
    for host in (ada, bea):
        host.daily_activity.filter(date=A_MONDAY).update(video_calls=1)
    award(A_MONDAY)

    latest = client.get(INDEX).context["latest"]

    assert video.points == 5
    assert latest == {
        "day": "2026-11-16",
        "share": "100 %",
        "rewarded": "2",
        "active": "2",
        "awards": "3",
        "points": "20",
    }


def test_the_charts_show_what_the_ledger_holds(client, login, awarded):
    login("Viewer")

    page = client.get(INDEX)

    points, awards = (json.loads(chart["data"]) for _, chart in page.context["charts"])
    for total in totals_by_rule(first=A_MONDAY, last=NEXT_MONDAY):
        position = list(RuleType).index(RuleType(total.rule_type))
        assert sum(points["datasets"][position]["data"]) == total.points
        assert sum(awards["datasets"][position]["data"]) == total.awards
    assert points["labels"][-1] == "22 Nov"
    assert len(points["labels"]) == overview.DAYS


def test_a_run_that_is_not_over_shows_what_it_has_written(client, login, awarded):
    login("Viewer")
    AwardRun.objects.filter(reference_date=A_MONDAY, cadence=Cadence.DAILY).update(
        status=RunStatus.RUNNING, finished_at=None, by_rule={}
    )

    points = json.loads(client.get(INDEX).context["charts"][0][1]["data"])

    assert sum(points["datasets"][0]["data"]) == 70


def test_the_leaders_are_those_of_the_ledger(client, login, awarded):
    login("Viewer")
    award(NEXT_MONDAY)

    (_, name, _, latest), (_, before_name, _, before) = client.get(INDEX).context["leaders"]

    assert (name, before_name) == ("week of 2026-11-23", "week of 2026-11-16")
    assert [(rank, points) for rank, _, points in latest] == [("1", "10")]
    assert [(rank, points) for rank, _, points in before] == [("1", "170")]
    assert ">ada</a>" in before[0][1]


def test_what_is_due_missing_failed_or_late_is_counted(client, login, awarded):
    login("Viewer")
    ada, _ = awarded
    failed = A_MONDAY + timedelta(days=1)
    for attempt in (2, 3, 4):
        AwardRunFactory(reference_date=failed, attempt=attempt, status=RunStatus.FAILED, rejected=1)
    ada.daily_activity.filter(date=A_MONDAY + timedelta(days=6)).update(logins=4)

    health = client.get(INDEX).context["health"]

    # The last Monday has no run; Sunday's event came late, to its week too, which waits for it.
    assert {state: count for state, _, count in health["states"] if count} == {
        "failed": 1,
        "missing": 1,
        "late": 2,
    }
    assert health["due"] == 2
    assert not health["is_well"]


def test_all_is_well_when_nothing_is_due(client, login, awarded):
    login("Viewer")
    award(NEXT_MONDAY)

    page = client.get(INDEX)

    assert page.context["health"]["due"] == 0
    assert "all is well" in page.content.decode()


def test_an_empty_installation_says_what_to_do_first(client, login):
    login("superuser")

    page = client.get(INDEX)

    assert [step["is_done"] for step in page.context["steps"]] == [False, False, False]
    assert "manage.py import_activity FILE --create-hosts" in page.content.decode()


def test_what_is_done_of_the_first_steps_is_ticked(client, login, activity):
    login("superuser")

    before = client.get(INDEX).context["steps"]
    award(A_MONDAY)
    after = client.get(INDEX).context["steps"]

    assert [step["is_done"] for step in before] == [True, True, False]
    assert after == []


def test_who_has_no_role_is_told_so_and_shown_nothing(client, login, awarded):
    login("no role")

    page = client.get(INDEX).content.decode()

    assert "You have no role yet" in page
    assert "ada" not in page


@pytest.mark.parametrize("hosts", [100, 5_000])
def test_the_page_costs_the_same_queries_whatever_the_number_of_hosts(
    client, login, awarded, django_assert_num_queries, hosts
):
    login("Viewer")
    client.get(INDEX)
    made = Host.objects.bulk_create(
        Host(username=f"host:{n}", external_id=str(n), is_host=True) for n in range(hosts)
    )
    DailyActivity.objects.bulk_create(
        DailyActivity(user=host, date=NEXT_MONDAY, logins=2) for host in made
    )
    award(NEXT_MONDAY)

    # Session, user, rights (2); latest day, its totals, days by rule; rules, activity, awards;
    # locks, activity, journal and rules of the periods; leaders of two weeks with names (4).
    with django_assert_num_queries(18):
        page = client.get(INDEX)

    assert page.context["latest"]["active"] == f"{hosts + 1:,}"
