"""award_daily, award_weekly and verify_ledger from the outside."""

import json
from datetime import UTC, datetime

import pytest

from rewards.choices import RuleType
from rewards.models import Score, ScoreHistory
from tests.factories import ActivityEventFactory, DailyActivityFactory, RewardRuleFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def _work():
    RewardRuleFactory()
    RewardRuleFactory(rule_type=RuleType.WEEKLY_CONSISTENCY, points=100)
    for day in (16, 23):
        event = ActivityEventFactory(occurred_at=datetime(2026, 11, day, 12, tzinfo=UTC))
        DailyActivityFactory(user=event.user, date=event.business_date)


DAILY = ("award_daily", "--date", "2026-11-16")
WEEKLY = ("award_weekly", "--week", "2026-11-16")


def without_seconds(text):
    return [line.rsplit(" in ", 1)[0] for line in text.splitlines()]


@pytest.mark.usefixtures("_work")
@pytest.mark.parametrize(
    ("words", "line"),
    [
        (DAILY, "2026-11-16: Awarded 10 points in 1 awards; 1 hosts evaluated"),
        (WEEKLY, "week 2026-11-16: Awarded 100 points in 1 awards; 1 hosts evaluated"),
        # the last that has ended
        (("award_daily",), "2026-11-23: Awarded 10 points in 1 awards; 1 hosts evaluated"),
        (("award_weekly",), "week 2026-11-16: Awarded 100 points in 1 awards; 1 hosts evaluated"),
    ],
)
def test_a_period_is_awarded_and_reported(words, line, manage):
    code, out, err = manage(*words)

    assert (code, without_seconds(out), err) == (0, [line], "")
    assert ScoreHistory.objects.count() == 1
    assert without_seconds(manage(*words)[1]) == [
        f"{line.partition(':')[0]}: Awarded 0 points in 0 awards; 1 hosts evaluated"
    ]


@pytest.mark.usefixtures("_work")
@pytest.mark.parametrize(("words", "period"), [(DAILY, ""), (WEEKLY, "week ")])
def test_a_dry_run_says_would_and_writes_nothing(words, period, manage):
    code, out, err = manage(*words, "--dry-run")

    assert (code, err) == (0, "")
    assert out.startswith(f"{period}2026-11-16: Would award ")
    assert not ScoreHistory.objects.exists()


@pytest.mark.usefixtures("_work")
def test_a_range_is_awarded_oldest_first_and_reported_as_json(manage):
    code, out, err = manage(
        "award_daily", "--from", "2026-11-15", "--to", "2026-11-16", "--format", "json"
    )

    assert (code, err) == (0, "")
    runs = json.loads(out)["runs"]
    assert [run["reference_date"] for run in runs] == ["2026-11-15", "2026-11-16"]
    assert (
        runs[1].items()
        >= {
            "cadence": "daily",
            "status": "done",
            "hosts_evaluated": 1,
            "awards": 1,
            "points": 10,
            "by_rule": {"DAILY_LOGIN": {"awards": 1, "points": 10}},
            "error": "",
        }.items()
    )


@pytest.mark.usefixtures("_work")
@pytest.mark.parametrize("words", [DAILY, WEEKLY, ("verify_ledger",)])
@pytest.mark.parametrize("form", ["text", "json"])
def test_nothing_is_printed_at_verbosity_0(words, form, manage):
    assert manage(*words, "--verbosity", "0", "--format", form) == (0, "", "")


@pytest.mark.parametrize(("words", "period"), [(DAILY, ""), (WEEKLY, "week ")])
def test_without_an_active_rule_there_is_nothing_to_award(words, period, manage):
    DailyActivityFactory()

    assert manage(*words) == (
        0,
        f"{period}2026-11-16: nothing to award: no active rules.\n",
        "",
    )


def test_a_sound_ledger_is_said_with_what_was_checked(manage):
    code, out, err = manage("verify_ledger")

    assert (code, err) == (0, "")
    assert out.startswith("I1  ok ")
    assert "BROKEN" not in out


@pytest.mark.usefixtures("_work")
def test_a_broken_ledger_ends_with_code_5_and_is_repaired(manage):
    manage(*DAILY)
    Score.objects.update(lifetime=99)

    code, out, err = manage("verify_ledger", "--format", "json")

    assert (code, err) == (5, "CommandError: broken: I3, I19.\n")
    broken = [each for each in json.loads(out)["invariants"] if each["violations"]]
    assert [(each["name"], each["violations"]) for each in broken] == [
        ("I3", 1),
        ("I19", 1),
    ]
    code, out, err = manage("verify_ledger", "--repair-scores")
    assert (code, out.splitlines()[0], err) == (0, "Rebuilt 1 scores from the ledger.", "")
