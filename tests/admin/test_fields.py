"""What the admin's own fields accept, and their messages for the rest."""

from datetime import date

import pytest
from django.core.exceptions import ValidationError

from rewards.admin.fields import DayField, WholeNumberField
from rewards.choices import MAX_POINTS, MIN_POINTS

POINTS = WholeNumberField(min_value=MIN_POINTS, max_value=MAX_POINTS)


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), ("1000000", 1_000_000), ("007", 7), (" 25 ", 25)],
)
def test_digits_are_a_number(text, number):
    assert POINTS.clean(text) == number


@pytest.mark.parametrize(
    "text",
    [
        *("", None, "0", "-5", "\N{MINUS SIGN}5", "+5", "abc", "NaN", "<script>", "=1+1"),
        *("1.5", "1.0", "1,000", "1e3", "0x10"),  # other ways to write a number
        *("1_000", "１２", "٣", "²"),  # of which some are one for Python
        *("1000001", "99999999999", "9" * 5_000),
        *("1\n", "1\t", "1 2", "\xa01"),
    ],
)
def test_anything_else_is_refused_with_the_limits(text):
    with pytest.raises(ValidationError) as refusal:
        POINTS.clean(text)

    assert refusal.value.messages == ["Enter a whole number 1–1,000,000, digits 0–9 only."]


def test_a_day_has_one_notation():
    assert DayField().clean("2026-11-16") == DayField().clean(" 2026-11-16 ") == date(2026, 11, 16)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The date is empty; use YYYY-MM-DD."),
        ("16.11.2026", "Not a date of the form YYYY-MM-DD: '16.11.2026'."),
        ("11/16/2026", "Not a date of the form YYYY-MM-DD: '11/16/2026'."),
        ("20261116", "Not a date of the form YYYY-MM-DD: '20261116'."),
        (
            "２０２６-11-16",
            "Not a date of the form YYYY-MM-DD: '\\uff12\\uff10\\uff12\\uff16-11-16'.",
        ),
        ("2026-02-30", "No such day: '2026-02-30'."),
        ("2025-02-29", "No such day: '2025-02-29'; 2025 is not a leap year."),
        ("1999-12-31", "1999-12-31 is before the ledger's start 2000-01-01."),
        ("2100-01-01", "Year must be 2000-2099: '2100-01-01'."),
    ],
)
def test_an_invalid_day_is_refused_in_a_sentence(text, sentence):
    with pytest.raises(ValidationError) as refusal:
        DayField().clean(text)

    assert refusal.value.messages == [sentence]


def test_an_optional_day_may_be_empty():
    assert DayField(required=False).clean("") is None
