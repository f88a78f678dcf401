import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from rewards.choices import RunTrigger
from rewards.models import AwardRun
from rewards.services.awarding import run as awarding_run
from rewards.services.due import award_due
from tests.factories import A_MONDAY, DailyActivityFactory, HostFactory, RewardRuleFactory

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
"""The Wednesday after A_MONDAY."""


@pytest.fixture(autouse=True)
def _wednesday(monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture
def host():
    RewardRuleFactory()
    return HostFactory()


def test_nothing_at_all_is_said_in_a_sentence(capsys):
    call_command("runs")

    assert capsys.readouterr().out == "No day has activity yet: import_activity brings some.\n"


def test_a_silent_day_is_news_too(host, capsys):
    DailyActivityFactory(user=host)
    award_due(now=NOW, trigger=RunTrigger.BEAT)

    call_command("runs")

    head, monday, tuesday = capsys.readouterr().out.splitlines()
    assert head.split() == [
        *("period", "state", "late", "hosts", "awards", "points", "seconds", "runs"),
        *("started", "by"),
    ]
    assert monday.split()[:5] == ["2026-11-16", "done", "1", "1", "10"]
    assert monday.endswith("1  schedule")
    assert tuesday.split() == ["2026-11-17", "no", "activity"]


def test_what_is_overdue_ends_with_4_and_the_command_that_mends_it(host, capsys):
    DailyActivityFactory(user=host)

    with pytest.raises(CommandError) as refusal:
        call_command("runs")

    assert (str(refusal.value), refusal.value.returncode) == ("overdue: 2026-11-16.", 4)
    assert capsys.readouterr().out.splitlines()[-1] == (
        "Overdue, until the next tick or: manage.py award_due (2026-11-16)"
    )


def test_activity_beyond_grace_is_listed_with_the_command_that_pays_it(host, capsys, settings):
    settings.REWARDS_GRACE_DAYS = 1
    DailyActivityFactory(user=host)
    award_due(now=NOW, trigger=RunTrigger.BEAT)
    DailyActivityFactory(user=HostFactory())

    with pytest.raises(CommandError, match=r"^overdue: 2026-11-16\.$"):
        call_command("runs")

    assert capsys.readouterr().out.splitlines()[-1] == (
        "2026-11-16 has activity that came too late to be paid by itself; to pay it, run: "
        "manage.py award_daily --date 2026-11-16"
    )


def test_json_has_the_periods_and_what_is_overdue(host, capsys):
    DailyActivityFactory(user=host)

    with pytest.raises(CommandError):
        call_command("runs", "--format", "json", "--days", "2")

    report = json.loads(capsys.readouterr().out)
    assert [row["state"] for row in report["periods"]] == ["missing", "no activity"]
    assert [row["command"] for row in report["overdue"]] == [
        "manage.py award_daily --date 2026-11-16"
    ]


@pytest.mark.parametrize("days", ["0", "-1", "1_0", "401", "x"])
def test_a_number_of_days_that_is_none_is_refused(days):
    with pytest.raises(CommandError, match=r"not a whole number \(digits 0-9\) from 1 to 400"):
        call_command("runs", f"--days={days}")


def test_award_due_says_what_it_did_and_then_that_nothing_is_due(host, capsys):
    DailyActivityFactory(user=host)

    call_command("award_due")
    call_command("award_due")

    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("2026-11-16: Awarded 10 points in 1 awards; 1 hosts evaluated in ")
    assert second == "Nothing is due."


def test_award_due_goes_on_until_nothing_is_left(host, capsys, monkeypatch):
    monkeypatch.setattr("rewards.services.due.MAX_PERIODS", 1)
    DailyActivityFactory(user=host)
    DailyActivityFactory(user=host, date=A_MONDAY + timedelta(days=1))

    call_command("award_due")

    assert [line[:10] for line in capsys.readouterr().out.splitlines()] == [
        "2026-11-16",
        "2026-11-17",
    ]


def test_a_range_that_has_not_ended_writes_nothing(host):
    DailyActivityFactory(user=host)

    with pytest.raises(CommandError, match="day 2026-11-18 has not ended"):
        call_command("award_daily", "--from=2026-11-16", "--to=2026-11-18")

    assert not AwardRun.objects.exists()


def test_what_was_awarded_is_reported_when_a_later_date_breaks_off(host, capsys, monkeypatch):
    DailyActivityFactory(user=host)
    award = awarding_run.award

    def once(*, period, **kwargs):
        if period.reference_date != A_MONDAY:
            raise KeyboardInterrupt
        return award(period=period, **kwargs)

    monkeypatch.setattr(awarding_run, "award", once)

    with pytest.raises(CommandError) as refusal:
        call_command("award_daily", "--from=2026-11-16", "--to=2026-11-17")

    assert refusal.value.returncode == 130
    assert capsys.readouterr().out.startswith("2026-11-16: Awarded 10 points")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers=2", "--enqueue"], "choose one: --dry-run, --workers or --enqueue."),
        (["--dry-run", "--workers=2"], "choose one: --dry-run, --workers or --enqueue."),
    ],
)
def test_who_works_is_said_once_and_within_limits(arguments, message):
    with pytest.raises(CommandError) as refusal:
        call_command("award_daily", "--date", "2026-11-16", *arguments)

    assert (str(refusal.value), refusal.value.returncode) == (message, 2)


@pytest.mark.parametrize("workers", ["0", "65", "-1", "1_0", "１"])
def test_a_number_of_workers_that_is_none_is_refused(workers):
    with pytest.raises(CommandError, match=r"not a whole number \(digits 0-9\) from 1 to 64"):
        call_command("award_daily", "--date=2026-11-16", f"--workers={workers}")


@pytest.mark.parametrize("run", ["0", "-1", "1_0", "x"])
def test_a_run_that_can_be_none_is_refused(run):
    with pytest.raises(CommandError, match=r"not a whole number \(digits 0-9\)|are required"):
        call_command("award_batches", run)
