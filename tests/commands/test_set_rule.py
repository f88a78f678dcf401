"""set_rule from the outside."""

import json

import pytest

from rewards.models import RewardRule
from tests.factories import RewardRuleFactory, ScoreHistoryFactory

pytestmark = pytest.mark.django_db

NUMBERS = ("--threshold", "2", "--points", "30")


def test_a_version_starts_tomorrow_by_default(manage):
    assert manage("set_rule", "DAILY_LOGIN", *NUMBERS) == (
        0,
        "Wrote DAILY_LOGIN from 2026-11-25: 2 logins a day for 30 points.\n",
        "",
    )
    assert RewardRule.objects.get().threshold == 2


def test_the_same_version_is_written_once(manage):
    manage("set_rule", "DAILY_LOGIN", *NUMBERS, "--inactive")

    assert manage("set_rule", "DAILY_LOGIN", *NUMBERS, "--inactive") == (
        0,
        "Nothing to do: this version exists: DAILY_LOGIN from 2026-11-25: 2 logins a day for "
        "30 points, paused.\n",
        "",
    )
    assert RewardRule.objects.count() == 1


def test_json_is_the_version(manage):
    code, out, err = manage("set_rule", "WEEKLY_CONSISTENCY", *NUMBERS, "--format", "json")

    assert (code, err) == (0, "")
    assert (
        json.loads(out).items()
        >= {
            "rule_type": "WEEKLY_CONSISTENCY",
            "starts_on": "2026-11-25",
            "threshold": 2,
            "points": 30,
            "is_active": True,
            "is_new": True,
        }.items()
    )


def test_nothing_is_printed_at_verbosity_0(manage):
    assert manage("set_rule", "DAILY_LOGIN", *NUMBERS, "--verbosity", "0") == (0, "", "")


@pytest.mark.parametrize("option", ["--threshold", "--points"])
@pytest.mark.parametrize(
    "text",
    [
        *("", "abc", "-5", "0", "1.5", "1.0", "1e3", "1_000", "1,000", "１２", "٣", "<script>"),
        *("=1+1", "NaN", "\N{MINUS SIGN}5", "0x10", " 5", "²", "1000001", "9" * 5_000),
    ],
)
def test_what_is_no_whole_number_is_refused(option, text, manage):
    words = ["set_rule", "DAILY_LOGIN", *NUMBERS]
    at = words.index(option)

    code, out, err = manage(*words[:at], f"{option}={text}", *words[at + 2 :])

    assert (code, out) == (2, "")
    said = err.splitlines()[-1]
    assert f"error: argument {option}: not a whole number (digits 0-9) from 1 to 1" in said
    assert said.endswith(f": {ascii(text)[:80]}")
    assert not RewardRule.objects.exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("DAILY_LOGIN", "--threshold", "101", "--points", "1"), "outside the limits of its rule"),
        (("WEEKLY_CONSISTENCY", "--threshold", "8", "--points", "1"), "outside the limits of its"),
    ],
)
def test_a_threshold_outside_the_limits_of_its_type_is_refused(words, sentence, manage):
    code, out, err = manage("set_rule", *words)

    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1
    assert not RewardRule.objects.exists()


@pytest.mark.parametrize("name", ["nosuch", "daily_login", "DAILY_LOGIN ", "DАILY_LOGIN", ""])
def test_an_unknown_type_is_refused_with_the_known_ones(name, manage):
    code, out, err = manage("set_rule", name, *NUMBERS)

    assert (code, out) == (2, "")
    assert "error: argument TYPE: invalid choice: " in err
    assert "(choose from 'DAILY_LOGIN', 'DAILY_AUDIO_CALL_TARGET', " in err


def test_a_version_begins_after_every_other_one(manage):
    RewardRuleFactory(starts_on="2026-12-01")

    code, out, err = manage("set_rule", "DAILY_LOGIN", *NUMBERS, "--starts-on", "2026-11-30")

    assert (code, out) == (2, "")
    assert "A version of DAILY_LOGIN already begins on 2026-12-01" in err
    assert err.count("\n") == 1


def test_a_version_does_not_begin_before_what_was_awarded(manage):
    ScoreHistoryFactory(rule__rule_type="DAILY_LOGIN")

    code, out, err = manage("set_rule", "DAILY_LOGIN", *NUMBERS, "--starts-on", "2026-11-16")

    assert (code, out) == (2, "")
    assert "DAILY_LOGIN has been awarded for 2026-11-16" in err
