import json
from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse

from rewards.admin import overview
from rewards.choices import Cadence, RuleType, RunStatus, RunTrigger
from rewards.models import AwardRun
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


def test_the_points_of_a_week_are_compared_with_the_week_before(client, login, awarded):
    login("Viewer")

    over = client.get(INDEX).context["week"]
    award(NEXT_MONDAY)
    begun = client.get(INDEX).context["week"]

    assert (over["name"], over["points"], over["before"]) == ("week of 2026-11-16", "170", "0")
    assert (begun["name"], begun["points"], begun["before"]) == ("week of 2026-11-23", "10", "170")
    assert begun["change"] is None  # a week that has just begun is not less than a whole one


def test_the_change_of_a_week_is_shown_once_it_is_over(client, login, awarded):
    login("Viewer")
    AwardRunFactory(
        reference_date=A_MONDAY - timedelta(days=1),
        by_rule={"DAILY_LOGIN": {"awards": 20, "points": 200}},
    )

    page = client.get(INDEX)

    assert page.context["week"]["change"] == "-15 %"
    assert "-15 %" in page.content.decode()


def test_a_host_with_several_awards_is_counted_once(client, login, activity):
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
        "rewarded": "2 of 2 active",
        "awards": "3",
        "points": "20 points",
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
    assert len(points["labels"]) == overview.CHART_DAYS


def test_an_open_run_shows_its_awards_so_far(client, login, awarded):
    login("Viewer")
    AwardRun.objects.filter(reference_date=A_MONDAY, cadence=Cadence.DAILY).update(
        status=RunStatus.RUNNING, finished_at=None, by_rule={}
    )

    points = json.loads(client.get(INDEX).context["charts"][0][1]["data"])

    assert sum(points["datasets"][0]["data"]) == 70


def test_the_leaders_are_those_of_the_ledger(client, login, awarded):
    login("Viewer")
    award(NEXT_MONDAY)

    latest, before = client.get(INDEX).context["leaders"]

    assert (latest["week"], before["week"]) == ("week of 2026-11-23", "week of 2026-11-16")
    assert [(rank, points) for rank, _, points in latest["rows"]] == [("1", "10")]
    assert [(rank, points) for rank, _, points in before["rows"]] == [("1", "170")]
    assert ">ada</a>" in before["rows"][0][1]


def test_periods_are_counted_by_state_the_worst_first(client, login, awarded):
    login("Viewer")
    ada, _ = awarded
    failed = A_MONDAY + timedelta(days=1)
    for attempt in (2, 3, 4):
        AwardRunFactory(
            reference_date=failed, attempt=attempt, status=RunStatus.FAILED, hosts_failed=1
        )
    ada.daily_activity.filter(date=A_MONDAY + timedelta(days=6)).update(logins=4)

    health = client.get(INDEX).context["health"]

    # The last Monday has no run; Sunday's event came late, to its week too, which waits for it.
    assert health["states"] == [
        ("failed", "danger", 1),
        ("missing", "warning", 1),
        ("late", "warning", 2),
    ]
    assert health["due"] == 2
    assert not health["is_well"]


def test_all_is_well_when_nothing_is_due(client, login, awarded):
    login("Viewer")
    award(NEXT_MONDAY)

    page = client.get(INDEX)

    assert page.context["health"]["due"] == 0
    assert "all is well" in page.content.decode()


def test_an_empty_database_shows_the_first_steps(client, login):
    login("superuser")

    page = client.get(INDEX)

    assert [step["is_done"] for step in page.context["steps"]] == [False, False, False]
    assert "manage.py import_activity FILE --create-hosts" in page.content.decode()


def test_first_steps_that_are_done_are_ticked(client, login, activity):
    login("superuser")

    before = client.get(INDEX).context["steps"]
    award(A_MONDAY)
    after = client.get(INDEX).context["steps"]

    assert [step["is_done"] for step in before] == [True, True, False]
    assert after == []


def test_without_a_role_nothing_is_shown(client, login, awarded):
    login("no role")

    page = client.get(INDEX).content.decode()

    assert "You have no role yet" in page
    assert "ada" not in page


def test_a_rule_added_after_a_run_is_not_well(client, login, activity):
    login("Viewer")
    award(A_MONDAY)
    RewardRuleFactory(rule_type=RuleType.DAILY_AUDIO_CALL_TARGET, starts_on=A_MONDAY)

    health = client.get(INDEX).context["health"]

    assert ("rule added", "warning", 1) in health["states"]
    assert not health["is_well"]


def test_each_rule_type_has_a_colour_of_its_own():
    assert len(set(overview.RULE_COLOURS.values())) == len(RuleType)
