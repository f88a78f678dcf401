"""Form fields that take what a person means and refuse what only a parser would understand."""

import re
from datetime import date
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from rewards.admin.theme import DateWidget, TextWidget
from rewards.engine.business_days import FIRST_DAY, parse_day

_DIGITS = re.compile(r"[0-9]{1,12}")


class WholeNumberField(forms.Field):
    """A number of ASCII digits, from `least` to `most`.

    Django's own integer field also takes `1_000`, `1.0` and digits of other scripts: too much for
    what decides who is paid.
    """

    def __init__(self, *, least: int, most: int, **kwargs: Any) -> None:
        widget = TextWidget({"inputmode": "numeric", "autocomplete": "off"})
        super().__init__(**{"widget": widget} | kwargs)
        self.least = least
        self.most = most

    def to_python(self, value: str | None) -> int:
        text = (value or "").strip(" ")
        if _DIGITS.fullmatch(text) and self.least <= int(text) <= self.most:
            return int(text)
        raise ValidationError(
            f"Enter a whole number {self.least:,}–{self.most:,}, "  # noqa: RUF001 - a range
            "digits 0–9 only.",  # noqa: RUF001 - a range
            code="invalid",
        )


class DayInput(TextWidget):
    """A browser's own picker of dates, which sends YYYY-MM-DD."""

    input_type = "date"


class DayField(forms.DateField):
    """A date written YYYY-MM-DD, and in no other way."""

    def __init__(self, *, earliest: date = FIRST_DAY, **kwargs: Any) -> None:
        super().__init__(**{"widget": DateWidget()} | kwargs)
        self.earliest = earliest

    def to_python(self, value: Any) -> date | None:
        if value is None or isinstance(value, date):
            return value
        text = value.strip(" ")
        if not text and not self.required:
            return None
        try:
            return parse_day(text, first=self.earliest)
        except ValueError as error:
            raise ValidationError(str(error), code="invalid") from None
