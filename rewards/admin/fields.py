"""Form fields that accept one notation only, so that no value is guessed."""

import re
from datetime import date
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from rewards.admin.theme import DateWidget, TextWidget
from rewards.engine.business_days import FIRST_DAY, parse_day

_DIGITS = re.compile(r"[0-9]{1,12}")


class WholeNumberField(forms.Field):
    """A number of ASCII digits, from `min_value` to `max_value`.

    Django's own integer field also accepts `1_000`, `1.0` and digits of other scripts.
    """

    def __init__(self, *, min_value: int, max_value: int, **kwargs: Any) -> None:
        widget = TextWidget({"inputmode": "numeric", "autocomplete": "off"})
        super().__init__(**{"widget": widget} | kwargs)
        self.min_value = min_value
        self.max_value = max_value

    def to_python(self, value: str | None) -> int | None:
        text = (value or "").strip(" ")
        if not text and not self.required:
            return None
        if _DIGITS.fullmatch(text) and self.min_value <= int(text) <= self.max_value:
            return int(text)
        raise ValidationError(
            f"Enter a whole number {self.min_value:,}–{self.max_value:,}, "  # noqa: RUF001 - a range
            "digits 0–9 only.",  # noqa: RUF001 - a range
            code="invalid",
        )


class DayInput(TextWidget):
    """The browser's own date picker, which sends YYYY-MM-DD."""

    input_type = "date"


class DayField(forms.DateField):
    """A date written YYYY-MM-DD."""

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
