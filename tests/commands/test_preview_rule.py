import json
from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from rewards.choices import RuleType
from rewards.models import RewardRule
from rewards.reports.preview import preview_rule
from tests.factories import DailyActivityFactory, HostFactory, RewardRuleFactory

pytestmark = pytest.mark.django_db

AUDIO = "DAILY_AUDIO_CALL_TARGET"
YESTERDAY = date(2026, 11, 23)


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: datetime(2026, 11, 24, 3, tzinfo=UTC))


def preview(*arguments, threshold="4", points="40", **options):
    call_command(
        "preview_rule",
        AUDIO,
        f"--threshold={threshold}",
        f"--points={points}",
        *arguments,
        **options,
    )


def test_days_and_gaining_hosts_are_shown(capsys):
    RewardRuleFactory(rule_type=AUDIO, threshold=5, points=50)
    DailyActivityFactory(user=HostFactory(external_id="alice"), date=YESTERDAY, audio_calls=4)
    DailyActivityFactory(date=YESTERDAY, audio_calls=5)

    preview()

    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == f"{AUDIO}, 2026-11-17 to 2026-11-23; nothing was written."
    assert lines[1] == (
        "In force: 5 completed audio calls a day for 50 points. "
        "Proposed: 4 completed audio calls a day for 40 points."
    )
    (figures,) = [line.split() for line in lines if line.startswith("2026-11-23")]
    assert figures == ["2026-11-23", "2", "1", "2", "1", "0", "0", "50", "80"]
    assert "Would gain: 1 host: alice (1)." in lines
    assert "Would lose: nobody." in lines
    assert err == ""


def test_days_without_activity(capsys):
    preview()

    assert "There was no activity in these days." in capsys.readouterr().out


def test_json_is_the_preview(capsys):
    day = YESTERDAY - timedelta(days=20)
    DailyActivityFactory(user=HostFactory(external_id="alice"), date=day, audio_calls=4)

    preview("--days=28", format="json")

    expected = preview_rule(
        rule_type=RuleType(AUDIO), threshold=4, points=40, days=28, today=date(2026, 11, 24)
    )
    assert json.loads(capsys.readouterr().out) == expected.to_dict()
    assert not RewardRule.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": "1_0"}, "--threshold: not a whole number (digits 0-9) from 1 to 10,000"),
        ({"threshold": "10001"}, "--threshold: not a whole number (digits 0-9) from 1 to 10,000"),
        ({"points": "-5"}, "--points: not a whole number (digits 0-9) from 1 to 1,000,000: '-5'"),
        ({"points": "0"}, "--points: not a whole number (digits 0-9) from 1 to 1,000,000: '0'"),
    ],
)
def test_wrong_numbers_are_refused(arguments, message):
    with pytest.raises(CommandError) as refusal:
        preview(**arguments)

    assert message in str(refusal.value)


def test_a_threshold_has_the_limits_of_its_rule_type():
    with pytest.raises(CommandError) as refusal:
        call_command("preview_rule", "WEEKLY_CONSISTENCY", "--threshold=8", "--points=1")

    assert str(refusal.value) == "The threshold 8 is outside 1-7 active days a week."
    assert refusal.value.returncode == 2


def test_it_looks_back_one_week_or_four():
    with pytest.raises(CommandError, match="invalid choice: 14"):
        preview("--days=14")


def test_an_unknown_rule_type_is_refused():
    with pytest.raises(CommandError, match=f"choose from .*{RuleType.DAILY_LOGIN}"):
        call_command("preview_rule", "NOSUCH", "--threshold=1", "--points=1")
