import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from rewards.choices import RunStatus, RunTrigger
from rewards.models import AwardRun
from rewards.reports.status import status
from rewards.services.awarding import run as awarding_run
from rewards.services.due import award_due
from tests.factories import (
    A_MONDAY,
    AwardRunFactory,
    DailyActivityFactory,
    HostFactory,
    RewardRuleFactory,
)

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


def test_without_activity_it_points_to_the_import(capsys):
    call_command("runs")

    assert capsys.readouterr().out == "No activity yet. Load some with import_activity.\n"


def test_each_period_is_a_line(host, capsys):
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


def test_overdue_periods_end_with_code_4(host, capsys):
    DailyActivityFactory(user=host)

    with pytest.raises(CommandError) as refusal:
        call_command("runs")

    assert (str(refusal.value), refusal.value.returncode) == ("Overdue: 2026-11-16.", 4)
    assert capsys.readouterr().out.splitlines()[-1] == (
        "Overdue: 2026-11-16. The next tick awards what is due, or run: manage.py award_due"
    )


def test_many_overdue_periods_are_not_all_named(host):
    for days in range(6):
        DailyActivityFactory(user=host, date=A_MONDAY - timedelta(days=days))

    with pytest.raises(CommandError, match=r"2026-11-14, 2026-11-15, and 2 more\.$"):
        call_command("runs")


def test_activity_after_the_grace_period_has_its_command(host, capsys, settings):
    settings.REWARDS_GRACE_DAYS = 1
    DailyActivityFactory(user=host)
    award_due(now=NOW, trigger=RunTrigger.BEAT)
    DailyActivityFactory(user=HostFactory())

    with pytest.raises(CommandError, match=r"^Overdue: 2026-11-16\.$"):
        call_command("runs")

    *_, monday, _, last = capsys.readouterr().out.splitlines()
    assert monday.split()[:6] == ["2026-11-16", "late", "beyond", "grace", "1", "1"]
    assert last == (
        "2026-11-16 has activity that arrived after the grace period. To award it, run: "
        "manage.py award_daily --date 2026-11-16"
    )


def test_a_failed_period_names_its_error(host, capsys):
    DailyActivityFactory(user=host)
    for attempt in (1, 2, 3):
        AwardRunFactory(
            attempt=attempt, status=RunStatus.FAILED, hosts_failed=1, error="first\nsecond"
        )

    with pytest.raises(CommandError):
        call_command("runs")

    assert capsys.readouterr().out.splitlines()[-2:] == [
        "2026-11-16 has failed repeatedly. Fix the cause, then run: "
        "manage.py award_daily --date 2026-11-16",
        "    first",
    ]


def test_json_is_the_report(host, capsys):
    DailyActivityFactory(user=host)

    with pytest.raises(CommandError):
        call_command("runs", "--format", "json", "--days", "2")

    assert json.loads(capsys.readouterr().out) == status(now=NOW, days=2).to_dict()


@pytest.mark.parametrize("days", ["0", "-1", "1_0", "401", "x"])
def test_a_number_of_days_that_is_none_is_refused(days):
    with pytest.raises(CommandError, match=r"not a whole number \(digits 0-9\) from 1 to 400"):
        call_command("runs", f"--days={days}")


def test_award_due_says_what_it_did_and_then_that_nothing_is_due(host, capsys):
    DailyActivityFactory(user=host)

    call_command("award_due")
    call_command("award_due")

    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("2026-11-16: Awarded 10 points in 1 award; evaluated 1 host in ")
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


@pytest.mark.parametrize("options", [["--workers=2", "--enqueue"], ["--dry-run", "--workers=2"]])
def test_ways_to_execute_exclude_each_other(options):
    with pytest.raises(CommandError) as refusal:
        call_command("award_daily", "--date", "2026-11-16", *options)

    assert str(refusal.value) == "Choose one of --dry-run, --workers and --enqueue."
    assert refusal.value.returncode == 2


@pytest.mark.parametrize("workers", ["0", "65", "-1", "1_0", "１"])
def test_a_number_of_workers_that_is_none_is_refused(workers):
    with pytest.raises(CommandError, match=r"not a whole number \(digits 0-9\) from 1 to 64"):
        call_command("award_daily", "--date=2026-11-16", f"--workers={workers}")


@pytest.mark.parametrize("run", ["0", "-1", "1_0", "x"])
def test_a_run_that_can_be_none_is_refused(run):
    with pytest.raises(CommandError, match=r"not a whole number \(digits 0-9\)|are required"):
        call_command("award_batches", run)
