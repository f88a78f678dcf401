"""What the app shows a host of itself."""

import json
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from django.core.management import call_command
from django.utils import timezone

from rewards.api.hosts import Explained, HostToday
from rewards.choices import RuleType
from rewards.engine.business_days import ONE_DAY
from rewards.reports.explain.explanation import explain
from rewards.reports.progress import progress
from rewards.selectors.visible_hosts import ALL_HOSTS
from tests.api.conftest import problem_of
from tests.api.reading import documented
from tests.factories import (
    A_MONDAY,
    ActivityEventFactory,
    DailyActivityFactory,
    HostFactory,
    RewardRuleFactory,
    ScoreFactory,
    ScoreHistoryFactory,
    StaffFactory,
)

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)

ADDRESSES = ["", "/awards", f"/explanation?date={A_MONDAY}"]


@pytest.fixture(autouse=True)
def ana(db, monkeypatch):
    """A host with activity, a daily and a weekly rule, and an award."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    host = HostFactory(external_id="ana")
    rule = RewardRuleFactory()
    RewardRuleFactory(rule_type=RuleType.WEEKLY_CONSISTENCY, threshold=5)
    for offset in (-1, 0, 1, 2):
        DailyActivityFactory(user=host, date=A_MONDAY + offset * ONE_DAY)
    ScoreHistoryFactory(user=host, rule=rule, reference_date=A_MONDAY)
    ScoreFactory(user=host, daily_date=A_MONDAY, lifetime=20, weekly=10, daily=10)
    ActivityEventFactory(user=host, kind="audio_call", duration_seconds=1)
    return host


def at(user_id, rest=""):
    return f"/api/v1/hosts/{quote(user_id, safe='')}{rest}"


# --- Today ------------------------------------------------------------------------------------


def test_a_host_sees_where_it_stands(api):
    answer = documented(HostToday, api.get(at("ana")).json())

    assert answer == progress(external_id="ana", now=NOW, visible=ALL_HOSTS).to_dict()
    assert answer["scores"] == {
        "lifetime": {"points": 20},
        "weekly": {"week": "2026-11-16", "points": 10},
        "daily": {"date": "2026-11-18", "points": 0},
    }
    assert [rule["measured"] for rule in answer["rules"]] == [1, 3]
    assert answer["streak"] == 4


# --- The explanation of a day -----------------------------------------------------------------


def test_an_explanation_is_that_of_the_command(api, capsys):
    answer = api.get(at("ana", f"/explanation?date={A_MONDAY}")).json()

    call_command("explain", "ana", str(A_MONDAY), format="json")

    assert documented(Explained, answer) == json.loads(capsys.readouterr().out)
    assert answer["rules"][0]["outcome"] == "awarded"
    assert answer["rules"][1]["notes"]


def test_an_explanation_of_a_day_without_anything(api):
    HostFactory(external_id="bo")
    answer = api.get(at("bo", "/explanation?date=2000-01-01")).json()

    found = explain(external_id="bo", day=A_MONDAY.replace(2000, 1, 1), now=NOW)

    assert documented(Explained, answer) == found.to_dict()


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("", "Bad date: Field required."),
        ("?date=", "Bad date: The date is empty; use YYYY-MM-DD."),
        ("?date=yesterday", "Bad date: Not a date of the form YYYY-MM-DD: 'yesterday'."),
        (
            "?date=1999-12-31",
            "Bad date: 1999-12-31 is before the ledger's start 2000-01-01.",
        ),
        ("?date=%00", r"Bad date: Not a date of the form YYYY-MM-DD: '\x00'."),
    ],
)
def test_a_bad_date_is_refused(api, query, sentence):
    problem = problem_of(api.get(at("ana", f"/explanation{query}")), 422, "invalid")

    assert problem["detail"] == sentence
    assert problem["errors"] == [{"parameter": "date", "detail": sentence}]


# --- Which host -------------------------------------------------------------------------------


@pytest.mark.parametrize("rest", ADDRESSES)
@pytest.mark.parametrize("user_id", ["nobody", "staff", "Ana", " ", "a\0", "é", "x" * 100_000])
def test_who_is_no_host_is_unknown(api, user_id, rest):
    """The same words for a member of staff as for nobody."""
    StaffFactory(external_id="staff")

    problem = problem_of(api.get(at(user_id, rest)), 404, "unknown-host")

    assert problem["detail"] == f"No host has the external id {user_id!a:.80}."
    assert problem["errors"] == []


@pytest.mark.parametrize("rest", ADDRESSES)
@pytest.mark.parametrize("user_id", ["a/b", "a?b#c%41", "..", "a/awards/", "'; DROP TABLE--"])
def test_an_id_may_hold_any_visible_character(api, user_id, rest):
    user_id = user_id.replace(" ", "_")
    HostFactory(external_id=user_id)

    answer = api.get(at(user_id, rest))

    assert answer.status_code == 200
    assert answer.json().get("user_id", user_id) == user_id
    assert answer.json().get("host", user_id) == user_id


@pytest.mark.parametrize("rest", ADDRESSES)
def test_other_methods_of_a_list_are_refused(api, rest):
    problem_of(api.delete(at("ana", rest)), 405, "method-not-allowed")
