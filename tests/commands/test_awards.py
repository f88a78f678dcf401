"""award_daily, award_weekly and award_due from the outside."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from rewards.choices import BatchStatus, RuleType, RunStatus
from rewards.models import AwardRun, ScoreHistory
from rewards.services.awarding import run as awarding_run
from tests.factories import (
    A_MONDAY,
    ActivityEventFactory,
    DailyActivityFactory,
    HostFactory,
    RewardRuleFactory,
    ScoreFactory,
)

pytestmark = pytest.mark.django_db

DAILY = ("award_daily", "--date", "2026-11-16")
WEEKLY = ("award_weekly", "--week", "2026-11-16")


@pytest.fixture
def _activity():
    """Rules of both cadences, and one login on the 16th and on the 23rd."""
    RewardRuleFactory()
    RewardRuleFactory(rule_type=RuleType.WEEKLY_CONSISTENCY, points=100)
    for day in (16, 23):
        event = ActivityEventFactory(occurred_at=datetime(2026, 11, day, 12, tzinfo=UTC))
        DailyActivityFactory(user=event.user, date=event.business_date)


def without_seconds(text):
    return [line.rsplit(" in ", 1)[0] for line in text.splitlines()]


@pytest.mark.usefixtures("_activity")
@pytest.mark.parametrize(
    ("words", "period", "points"),
    [
        (DAILY, "2026-11-16", 10),
        (WEEKLY, "week 2026-11-16", 100),
        # the last that has ended
        (("award_daily",), "2026-11-23", 10),
        (("award_weekly",), "week 2026-11-16", 100),
    ],
)
def test_a_period_is_awarded_once(words, period, points, manage):
    code, out, err = manage(*words)

    assert (code, err) == (0, "")
    assert without_seconds(out) == [
        f"{period}: Awarded {points} points in 1 award; evaluated 1 host"
    ]
    assert ScoreHistory.objects.count() == 1
    assert without_seconds(manage(*words)[1]) == [
        f"{period}: Awarded 0 points in 0 awards; evaluated 1 host"
    ]


@pytest.mark.usefixtures("_activity")
@pytest.mark.parametrize(("words", "period"), [(DAILY, ""), (WEEKLY, "week ")])
def test_a_dry_run_writes_nothing(words, period, manage):
    code, out, err = manage(*words, "--dry-run")

    assert (code, err) == (0, "")
    assert out.startswith(f"{period}2026-11-16: Would award ")
    assert not ScoreHistory.objects.exists()


@pytest.mark.usefixtures("_activity")
def test_a_range_is_reported_as_json(manage):
    code, out, err = manage(
        "award_daily", "--from", "2026-11-15", "--to", "2026-11-16", "--format", "json"
    )

    assert (code, err) == (0, "")
    runs = json.loads(out)["runs"]
    assert [run.pop("seconds") >= 0 for run in runs] == [True, True]
    assert [run["reference_date"] for run in runs] == ["2026-11-15", "2026-11-16"]
    assert runs[1] == {
        "cadence": "daily",
        "reference_date": "2026-11-16",
        "status": "done",
        "attempt": 1,
        "hosts_evaluated": 1,
        "awards": 1,
        "points": 10,
        "by_rule": {"DAILY_LOGIN": {"awards": 1, "points": 10}},
        "error": "",
    }


@pytest.mark.usefixtures("_activity")
@pytest.mark.parametrize("words", [DAILY, WEEKLY, ("award_due",), ("verify_ledger",)])
@pytest.mark.parametrize("form", ["text", "json"])
def test_verbosity_0_prints_nothing(words, form, manage):
    assert manage(*words, "--verbosity", "0", "--format", form) == (0, "", "")


@pytest.mark.parametrize(("words", "period"), [(DAILY, ""), (WEEKLY, "week ")])
def test_without_rules_there_is_nothing_to_award(words, period, manage):
    DailyActivityFactory()

    assert manage(*words) == (0, f"{period}2026-11-16: nothing to award: no active rules.\n", "")


@pytest.fixture
def _failing_host():
    """A host whose score has no room for another point."""
    host = HostFactory()
    DailyActivityFactory(user=host)
    ScoreFactory(user=host, lifetime=2**63 - 1)


@pytest.mark.usefixtures("_failing_host")
@pytest.mark.parametrize(
    ("more_hosts", "code", "status"), [(0, 1, RunStatus.FAILED), (2, 4, RunStatus.PARTIAL)]
)
@pytest.mark.parametrize("words", [DAILY, ("award_due",)])
def test_a_run_that_is_not_done_fails_the_command(
    words, more_hosts, code, status, manage, settings
):
    settings.REWARDS_BATCH_SIZE = 1
    RewardRuleFactory()
    for _ in range(more_hosts):
        DailyActivityFactory()

    found, out, err = manage(*words)

    assert found == code
    assert out.startswith(f"2026-11-16: Awarded {more_hosts * 10} points in ")
    assert err.splitlines()[-1].startswith("CommandError: 2026-11-16: hosts ")
    run = AwardRun.objects.get(reference_date=A_MONDAY, cadence="daily", attempt=1)
    assert run.status == status
    assert run.batches.filter(status=BatchStatus.FAILED).count() == 1


@pytest.mark.usefixtures("_failing_host")
def test_a_failed_run_among_others_is_named(manage):
    RewardRuleFactory()
    DailyActivityFactory(date=A_MONDAY + timedelta(days=1))

    code, out, err = manage("award_daily", "--from", "2026-11-16", "--to", "2026-11-17")

    assert (code, len(out.splitlines())) == (1, 2)
    assert err.splitlines()[-1].startswith("CommandError: 2026-11-16: hosts ")
    assert "2026-11-17" not in err.splitlines()[-1]


@pytest.mark.usefixtures("_activity")
def test_award_due_reports_until_nothing_is_due(manage):
    code, out, err = manage("award_due")

    assert (code, err) == (0, "")
    assert [line.split(":")[0] for line in out.splitlines()] == [
        "2026-11-16",
        "week 2026-11-16",
        "2026-11-23",
    ]
    assert manage("award_due") == (0, "Nothing is due.\n", "")


@pytest.mark.usefixtures("_activity")
def test_award_due_continues_after_the_limit_of_one_call(manage, monkeypatch):
    monkeypatch.setattr("rewards.services.due.MAX_PERIODS", 1)

    assert len(manage("award_due")[1].splitlines()) == 3


@pytest.mark.usefixtures("_activity")
def test_a_range_that_has_not_ended_is_not_begun(manage):
    assert manage("award_daily", "--from=2026-11-16", "--to=2026-11-24")[0] == 2
    assert not AwardRun.objects.exists()


@pytest.mark.usefixtures("_activity")
def test_an_interrupted_range_is_reported_as_far_as_it_came(manage, monkeypatch):
    award = awarding_run.award

    def once(*, period, **kwargs):
        if period.reference_date != A_MONDAY:
            raise KeyboardInterrupt
        return award(period=period, **kwargs)

    monkeypatch.setattr(awarding_run, "award", once)

    code, out, _ = manage("award_daily", "--from=2026-11-16", "--to=2026-11-17")

    assert code == 130
    assert out.startswith("2026-11-16: Awarded 10 points")


@pytest.mark.parametrize("options", [["--workers=2", "--enqueue"], ["--dry-run", "--workers=2"]])
def test_ways_to_execute_exclude_each_other(options, manage):
    assert manage(*DAILY, *options) == (
        2,
        "",
        "CommandError: Choose one of --dry-run, --workers and --enqueue.\n",
    )


@pytest.mark.parametrize("workers", ["0", "65", "-1", "1_0", "１"])
def test_a_wrong_number_of_workers_is_refused(workers, manage):
    code, _, err = manage("award_daily", f"--workers={workers}")

    assert code == 2
    assert "argument --workers: not a whole number (digits 0-9) from 1 to 64" in err.lower()


@pytest.mark.parametrize("run", ["0", "1_0", "x"])
def test_a_wrong_run_is_refused(run, manage):
    code, _, err = manage("award_batches", run)

    assert code == 2
    assert "not a whole number (digits 0-9)" in err.lower()


def test_a_run_that_has_ended_needs_no_help(manage):
    assert manage("award_batches", "123") == (0, "Run 123 has ended.\n", "")
