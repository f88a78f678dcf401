import json

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from rewards.reports.explain.explanation import explain
from tests.factories import (
    A_MONDAY,
    DailyActivityFactory,
    HostFactory,
    RewardRuleFactory,
    ScoreHistoryFactory,
)

pytestmark = pytest.mark.django_db


def test_each_rule_has_its_outcome(capsys):
    rule = RewardRuleFactory(threshold=2, points=30)
    host = HostFactory(external_id="alice")
    DailyActivityFactory(user=host, logins=2)
    award = ScoreHistoryFactory(user=host, rule=rule)

    call_command("explain", "alice", str(A_MONDAY))

    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "alice on Monday, 2026-11-16; active that week: Mon."
    assert "DAILY_LOGIN for 2026-11-16: AWARDED" in lines
    assert "  2 logins (2 needed): paid 30 points." in lines
    assert "  In force: 2 logins a day for 30 points, from 2026-01-01." in lines
    assert any(f"Ledger row {award.pk}, written by the daily run" in line for line in lines)
    assert "WEEKLY_CONSISTENCY for week 2026-11-16: NO VERSION YET" in lines
    assert err == ""


def test_json_is_the_explanation(capsys):
    RewardRuleFactory(threshold=2)
    DailyActivityFactory(user=HostFactory(external_id="alice"))

    call_command("explain", "alice", str(A_MONDAY), format="json")

    explanation = explain(external_id="alice", day=A_MONDAY, now=timezone.now())
    assert json.loads(capsys.readouterr().out) == explanation.to_dict()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nobody", "2026-11-16"], "No host has the external id 'nobody'."),
        (["\x1b[1m", "2026-11-16"], r"No host has the external id '\x1b[1m'."),
        (["alice", "2026-2-3"], "Not a date of the form YYYY-MM-DD: '2026-2-3'."),
        (["alice", "2026-02-30"], "No such day: '2026-02-30'."),
        (["alice", "1999-12-31"], "1999-12-31 is before the ledger's start 2000-01-01."),
        (["alice"], "the following arguments are required: DATE"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(CommandError) as refusal:
        call_command("explain", *arguments)

    assert message in str(refusal.value)


def test_an_unknown_host_ends_it_with_the_code_of_wrong_usage():
    with pytest.raises(CommandError) as refusal:
        call_command("explain", "nobody", "2026-11-16")

    assert refusal.value.returncode == 2
