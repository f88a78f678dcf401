import json

import pytest
from django.core.management import CommandError, call_command

from tests.factories import (
    A_MONDAY,
    DailyActivityFactory,
    HostFactory,
    RewardRuleFactory,
    ScoreHistoryFactory,
)

pytestmark = pytest.mark.django_db


def test_it_says_of_each_rule_what_became_of_it(capsys):
    rule = RewardRuleFactory(threshold=2, points=30)
    host = HostFactory(external_id="alice")
    DailyActivityFactory(user=host, logins=2)
    award = ScoreHistoryFactory(user=host, rule=rule)

    call_command("explain", "alice", str(A_MONDAY))

    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "alice on Monday, 2026-11-16; active that week: Mon."
    assert "DAILY_LOGIN for 2026-11-16: AWARDED" in lines
    assert "  2 of 2 logins: paid 30 points." in lines
    assert "  In force: 2 logins a day for 30 points, from 2026-01-01." in lines
    assert any(f"Ledger row {award.pk}, written by attempt" in line for line in lines)
    assert "WEEKLY_CONSISTENCY for week 2026-11-16: NO VERSION YET" in lines
    assert err == ""


def test_it_gives_one_json_object(capsys):
    RewardRuleFactory(threshold=2)
    DailyActivityFactory(user=HostFactory(external_id="alice"))

    call_command("explain", "alice", str(A_MONDAY), format="json")

    answer = json.loads(capsys.readouterr().out)
    assert (answer["host"], answer["date"]) == ("alice", "2026-11-16")
    assert answer["active_days"] == ["2026-11-16"]
    assert answer["rules"][0] == {
        "rule_type": "DAILY_LOGIN",
        "reference_date": "2026-11-16",
        "outcome": "not earned",
        "sentence": "1 of 2 logins.",
        "notes": [],
        "measured": 1,
        "version": {"starts_on": "2026-01-01", "threshold": 2, "points": 10, "is_active": True},
        "award": None,
        "run": None,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nobody", "2026-11-16"], "no host has the external id 'nobody'."),
        (["\x1b[1m", "2026-11-16"], r"no host has the external id '\x1b[1m'."),
        (["alice", "2026-2-3"], "not a date of the form YYYY-MM-DD: '2026-2-3'"),
        (["alice", "2026-02-30"], "no such day: '2026-02-30'"),
        (["alice", "1999-12-31"], "1999-12-31 is before the ledger's start 2000-01-01"),
        (["alice"], "the following arguments are required: DATE"),
    ],
)
def test_what_it_cannot_explain_is_one_sentence(arguments, message):
    with pytest.raises(CommandError) as refusal:
        call_command("explain", *arguments)

    assert message in str(refusal.value)


def test_an_unknown_host_ends_it_with_the_code_of_wrong_usage():
    with pytest.raises(CommandError) as refusal:
        call_command("explain", "nobody", "2026-11-16")

    assert refusal.value.returncode == 2
