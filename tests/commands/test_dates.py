"""The days and weeks that the commands accept, and the errors of the others."""

import pytest

from rewards.models import AwardRun, ScoreHistory
from tests.factories import DailyActivityFactory, RewardRuleFactory

pytestmark = pytest.mark.django_db


def nothing_written():
    return not AwardRun.objects.exists() and not ScoreHistory.objects.exists()


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("award_daily",), "--date"),
        (("award_daily", "--to=2026-11-01"), "--from"),
        (("award_daily", "--from=2026-11-01"), "--to"),
        (("award_weekly",), "--week"),
        (("award_weekly", "--to=2026-11-02"), "--from"),
        (("export_history",), "--from"),
        (("export_history",), "--to"),
        (("set_rule", "DAILY_LOGIN", "--threshold=1", "--points=1"), "--starts-on"),
    ],
)
def test_every_option_refuses_a_wrong_date(command, option, manage):
    code, out, err = manage(*command, f"{option}=2026-2-3")

    assert (code, out) == (2, "")
    assert err.startswith("usage: ")
    assert err.splitlines()[-1] == (
        f"manage.py {command[0]}: error: argument {option}: "
        "Not a date of the form YYYY-MM-DD: '2026-2-3'."
    )
    assert nothing_written()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "The date is empty; use YYYY-MM-DD."),
        ("2026-02-30", "No such day: '2026-02-30'."),
        ("２０２６-02-03", r"YYYY-MM-DD: '\uff12\uff10\uff12\uff16-02-03'."),  # other digits
        ("2026-02-03\n", r"Not a date of the form YYYY-MM-DD: '2026-02-03\n'."),
        ("x" * 10_000, f"Not a date of the form YYYY-MM-DD: '{'x' * 79}."),
        ("1969-12-31", "1969-12-31 is before the ledger's start 2000-01-01."),
        ("2100-01-01", "Year must be 2000-2099: '2100-01-01'."),
    ],
)
def test_a_wrong_date_has_its_reason_on_one_line(text, reason, manage):
    code, out, err = manage("award_daily", f"--date={text}")

    assert (code, out) == (2, "")
    line = err.splitlines()[-1]
    assert line.startswith("manage.py award_daily: error: argument --date: ")
    assert line.endswith(reason)
    assert len(line) < 220


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        # days that cannot be evaluated yet
        (
            ("award_daily", "--date", "2026-11-25"),
            "2026-11-25 is in the future (the business day is 2026-11-24, zone UTC).",
        ),
        (
            ("award_daily", "--date", "2026-11-24"),
            "The day 2026-11-24 has not ended in UTC; the last closed day is 2026-11-23.",
        ),
        (
            ("award_daily", "--from", "2026-11-23", "--to", "2026-11-24"),
            "The day 2026-11-24 has not ended in UTC; the last closed day is 2026-11-23.",
        ),
        # weeks that cannot be evaluated yet, or are none
        (
            ("award_weekly", "--week", "2026-11-18"),
            "2026-11-18 is not a Monday; did you mean 2026-11-16?",
        ),
        (
            ("award_weekly", "--from", "2026-11-09", "--to", "2026-11-17"),
            "2026-11-17 is not a Monday; did you mean 2026-11-16?",
        ),
        (
            ("award_weekly", "--week", "2026-11-23"),
            "The week 2026-11-23 has not ended in UTC; the last closed week is 2026-11-16.",
        ),
        (
            ("award_weekly", "--week", "2026-11-30"),
            "2026-11-30 is in the future (the business day is 2026-11-24, zone UTC).",
        ),
        # ranges
        (
            ("award_daily", "--from", "2026-11-02", "--to", "2026-11-01"),
            "The range is reversed: 2026-11-02 is after 2026-11-01.",
        ),
        (
            ("export_history", "--from", "2026-11-02", "--to", "2026-11-01"),
            "The range is reversed: 2026-11-02 is after 2026-11-01.",
        ),
        (
            ("award_daily", "--from", "2025-01-01", "--to", "2026-11-01"),
            "The range is too long: 670 days, at most 400.",
        ),
        (("award_daily", "--from", "2026-11-01"), "--from and --to are used together."),
        (("award_weekly", "--to", "2026-11-02"), "--from and --to are used together."),
        (
            ("award_daily", "--date", "2026-11-01", "--from", "2026-11-01", "--to", "2026-11-02"),
            "Choose one: --date, or --from with --to.",
        ),
        (
            ("award_weekly", "--week", "2026-11-02", "--to", "2026-11-09"),
            "Choose one: --week, or --from with --to.",
        ),
    ],
)
def test_wrong_periods_are_refused(words, sentence, manage):
    RewardRuleFactory()
    DailyActivityFactory()

    assert manage(*words) == (2, "", f"CommandError: {sentence}\n")
    assert nothing_written()


def test_days_follow_the_business_time_zone(manage, settings):
    settings.REWARDS_TIME_ZONE = "America/Los_Angeles"

    assert manage("award_daily", "--date", "2026-11-23") == (
        2,
        "",
        "CommandError: The day 2026-11-23 has not ended in America/Los_Angeles; "
        "the last closed day is 2026-11-22.\n",
    )


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("award_daily", "--week", "2026-11-16"), "unrecognized arguments: --week 2026-11-16"),
        (("award_daily", "--user", "0"), "unrecognized arguments: --user 0"),
        (("award_daily", "2026-11-16"), "unrecognized arguments: 2026-11-16"),
        (("award_daily", "--date"), "argument --date: expected one argument"),
        (("award_daily", "--format", "yaml"), "argument --format: invalid choice: 'yaml' (choose"),
        (("set_rule",), "the following arguments are required: TYPE, --threshold, --points"),
        (("import_activity",), "the following arguments are required: FILE"),
        (("verify_ledger", "--nothing"), "unrecognized arguments: --nothing"),
    ],
)
def test_an_unknown_option_prints_the_usage(words, reason, manage):
    code, out, err = manage(*words)

    assert (code, out) == (2, "")
    assert err.startswith(f"usage: manage.py {words[0]} ")
    assert reason in err.splitlines()[-1]
