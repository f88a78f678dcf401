import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from rewards.choices import RunStatus, RunTrigger
from rewards.reports.status import status
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
