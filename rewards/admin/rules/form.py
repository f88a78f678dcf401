"""The form of a rule version. It validates; services/rules.py writes."""

from datetime import date
from typing import Any

from django import forms

from rewards.admin.fields import DayField, WholeNumberField
from rewards.admin.locking import VersionTokenForm
from rewards.admin.theme import SwitchWidget, TextWidget
from rewards.choices import MAX_POINTS, MIN_POINTS, MIN_THRESHOLD, RULE_TYPE_SPECS, RuleType
from rewards.engine.business_days import ONE_DAY
from rewards.models import RewardRule
from rewards.models.rule import MAX_REASON
from rewards.reports.preview import LOOKBACKS
from rewards.selectors.rules import latest_version, version_token


class RuleForm(VersionTokenForm):
    points = WholeNumberField(
        min_value=MIN_POINTS,
        max_value=MAX_POINTS,
        help_text=f"What each award pays: {MIN_POINTS:,}–{MAX_POINTS:,} points.",  # noqa: RUF001 - a range
    )
    starts_on = DayField(
        label="First day",
        help_text="The first business day on which this version counts, as YYYY-MM-DD.",
    )
    is_active = forms.BooleanField(
        label="Active",
        required=False,
        widget=SwitchWidget(),
        help_text="Clear to pause the rule from the first day on.",
    )
    reason = forms.CharField(
        label="Why",
        max_length=MAX_REASON,
        widget=TextWidget(),
        help_text="One line for the history of this rule.",
    )
    field_order = ("threshold",)

    def __init__(self, *args: Any, rule_type: RuleType, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        spec = RULE_TYPE_SPECS[rule_type]
        self.fields["threshold"] = WholeNumberField(
            label=spec.unit.capitalize(),
            min_value=MIN_THRESHOLD,
            max_value=spec.max_threshold,
            help_text=f"Enough for an award: {MIN_THRESHOLD:,}–{spec.max_threshold:,} {spec.unit}.",  # noqa: RUF001 - a range
        )
        self.order_fields(self.field_order)

    @property
    def preview_days(self) -> int | None:
        """The days that a preview looks back; None to write the version."""
        text = self.data.get("_preview", "")
        return next((days for days in LOOKBACKS if str(days) == text), None)

    def parameters(self) -> dict[str, Any]:
        """Return what the service takes."""
        values = dict(self.cleaned_data)
        return values | {"expected_token": values.pop("version_token")}


def initial_values(rule_type: RuleType, version: RewardRule | None, today: date) -> dict[str, Any]:
    """Return the initial values of the form for `version`; None for the next version of the rule.

    The next version begins as a copy of the latest one, from tomorrow or the day after its first.
    """
    latest = latest_version(rule_type=rule_type)
    token = {"version_token": version_token(latest)}
    shown = version or latest
    if shown is None:
        return token | {"starts_on": today + ONE_DAY, "is_active": True}
    return token | {
        "threshold": shown.threshold,
        "points": shown.points,
        "is_active": shown.is_active,
        "starts_on": version.starts_on if version else max(today, shown.starts_on) + ONE_DAY,
        "reason": version.reason if version else "",
    }
