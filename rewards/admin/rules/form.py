"""The form that writes the next version of a rule, or mends one that has not begun."""

import copy
from datetime import date
from typing import Any, ClassVar

from django import forms
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.utils.html import format_html_join

from rewards.admin.fields import DayField, WholeNumberField
from rewards.admin.formatting import format_datetime
from rewards.admin.theme import TextWidget
from rewards.choices import (
    MAX_POINTS,
    MAX_THRESHOLD,
    MIN_POINTS,
    MIN_THRESHOLD,
    RULE_TYPE_SPECS,
    RuleType,
)
from rewards.exceptions import InvalidStartDate, RuleChanged, RuleRefused
from rewards.models import RewardRule, User
from rewards.models.rule import MAX_REASON
from rewards.reports.preview import LOOKBACKS
from rewards.selectors.rules import latest_version, version_token
from rewards.services import rules


def summary(rule: RewardRule) -> str:
    """Return all that an admin may choose of a version, in one line."""
    reason = f"; why: {rule.reason}" if rule.reason else ""
    return (
        f"{rule.asks} for {rule.points:,} points, "
        f"{'active' if rule.is_active else 'paused'}, from {rule.starts_on}{reason}"
    )


def writer(rule: RewardRule) -> str:
    """Return who wrote a version."""
    return str(rule.created_by) if rule.created_by else "the command line"


class RuleForm(forms.ModelForm[RewardRule]):
    """Asks for the terms of a version and has them written.

    Writing is the last step of validation, inside the transaction that the admin's view opens:
    only the service can say whether a version may be written, and so a refusal stands on the
    form like any other mistake, even when another admin was faster by a moment. A preview takes
    every step but the writing, and then shows the form again.
    """

    author: ClassVar[User]
    today: ClassVar[date]
    rule_type: ClassVar[RuleType | None]
    """All three are set on the class that the admin makes for each request; the type is None
    where the form asks for it."""

    threshold = WholeNumberField(least=MIN_THRESHOLD, most=MAX_THRESHOLD)
    points = WholeNumberField(
        least=MIN_POINTS,
        most=MAX_POINTS,
        help_text=f"What each award pays: {MIN_POINTS:,}–{MAX_POINTS:,} points.",  # noqa: RUF001 - a range
    )
    starts_on = DayField(
        label="First day",
        help_text="The first business day on which this counts, as YYYY-MM-DD.",
    )
    reason = forms.CharField(
        label="Why",
        max_length=MAX_REASON,
        widget=TextWidget(),
        help_text="One line for whoever reads the history of this rule.",
    )
    seen = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)
    """The mark that the rule bore when this form was opened."""

    class Meta:
        model = RewardRule
        fields = ("rule_type", "threshold", "points", "starts_on", "is_active", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Validation writes what was typed onto the instance, also when it is refused.
        self.original = copy.copy(self.instance)
        self.version = self.instance
        self.before = summary(self.instance) if self.instance.pk else ""
        if self.rule_type is not None:
            self.instance.rule_type = self.rule_type
            self.initial["seen"] = version_token(latest_version(rule_type=self.rule_type))
        else:
            # Nothing is chosen before someone chooses.
            self.fields["rule_type"] = forms.ChoiceField(
                choices=[("", "Choose a rule type"), *RuleType.choices],
                widget=self.fields["rule_type"].widget,
            )
        self._fit_threshold()

    @property
    def preview_days(self) -> int | None:
        """How far a preview is to look back; None where the version is to be written."""
        asked = self.data.get("_preview", "")
        return next((days for days in LOOKBACKS if str(days) == asked), None)

    def is_valid(self) -> bool:
        """Return whether the version was written, which after a preview it was not."""
        return super().is_valid() and self.preview_days is None

    def _fit_threshold(self) -> None:
        """Give the threshold the limits of the type chosen, or name those of all types."""
        field = self.fields["threshold"]
        assert isinstance(field, WholeNumberField)  # noqa: S101 - tells the type checker
        chosen = self.rule_type or self.data.get("rule_type", "")
        if chosen in RuleType.values:
            field.most = RULE_TYPE_SPECS[RuleType(chosen)].max_threshold
        if self.rule_type is not None:
            field.label = RULE_TYPE_SPECS[self.rule_type].unit.capitalize()
            field.help_text = f"How much is enough: {_limits(self.rule_type)}."
        else:
            field.help_text = format_html_join(
                "",
                "{}: {}<br>",
                ((rule_type.label, _limits(rule_type)) for rule_type in RuleType),
            )

    def full_clean(self) -> None:
        super().full_clean()
        if self.is_bound and not self.errors:
            self._write()

    def _write(self) -> None:
        chosen = {
            name: self.cleaned_data[name]
            for name in ("threshold", "points", "starts_on", "is_active", "reason")
        }
        chosen |= {
            "today": self.today,
            "author": self.author,
            "seen": self.cleaned_data["seen"] if "seen" in self.data else None,
            "is_dry_run": self.preview_days is not None,
        }
        rule_type = self.rule_type or RuleType(self.cleaned_data["rule_type"])
        try:
            if self.instance.pk:
                self.version = rules.change_pending(rule=self.original, **chosen)
            else:
                report = rules.set_rule(rule_type=rule_type, **chosen)
                self.version = report.version
                if not report.is_new:
                    self.add_error(None, "There is exactly this version already.")
        except RuleChanged:
            self.add_error(None, f"{_last_change(rule_type)} Reload this page to go on from there.")
        except InvalidStartDate as refusal:
            self.add_error("starts_on", str(refusal))
        except RuleRefused as refusal:
            self.add_error(None, str(refusal))

    def save(self, commit: bool = True) -> RewardRule:
        """Return what validation wrote."""
        return self.version


def _limits(rule_type: RuleType) -> str:
    fixed = RULE_TYPE_SPECS[rule_type]
    return f"{MIN_THRESHOLD:,}–{fixed.max_threshold:,} {fixed.unit}"  # noqa: RUF001 - a range


def _last_change(rule_type: RuleType) -> str:
    """Return who changed a rule last, when, and what it says now: the log also has withdrawals."""
    version = latest_version(rule_type=rule_type)
    entry = (
        LogEntry.objects.filter(
            content_type=ContentType.objects.get_for_model(RewardRule),
            object_repr__startswith=f"{rule_type.label} from ",
        )
        .select_related("user")
        .order_by("-action_time")
        .first()
    )
    if entry is not None and (version is None or entry.action_time >= version.created_at):
        who, when = str(entry.user), entry.action_time
    elif version is not None:
        who, when = writer(version), version.created_at
    else:
        return "This rule was changed since you opened it."
    now = summary(version) if version is not None else "nothing"
    return (
        f"This rule was changed by {who} at {format_datetime(when)}; "
        f"its latest version says: {now}."
    )
