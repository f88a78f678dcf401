"""The form that writes the next version of a rule, or mends one that has not begun."""

import copy
from datetime import date
from typing import Any, ClassVar

from django import forms
from django.utils.html import format_html_join

from rewards.admin.fields import DayField, WholeNumberField
from rewards.admin.wording import terms
from rewards.choices import MAX_POINTS, MIN_POINTS, MIN_THRESHOLD, RULE_TERMS, RuleType
from rewards.exceptions import RuleRefused
from rewards.models import RewardRule, User
from rewards.services import rules

_WIDEST = max(terms.max_threshold for terms in RULE_TERMS.values())


def summary(rule: RewardRule) -> str:
    """Return all that an admin may choose of a version, in one line."""
    return (
        f"{terms(rule.rule_type, rule.threshold)} pays {rule.points:,} points, "
        f"{'active' if rule.is_active else 'paused'}, from {rule.starts_on}"
    )


def _limits(rule_type: RuleType) -> str:
    fixed = RULE_TERMS[rule_type]
    return f"{MIN_THRESHOLD:,}–{fixed.max_threshold:,} {fixed.unit}"  # noqa: RUF001 - a range


class RuleForm(forms.ModelForm[RewardRule]):
    """Asks for the terms of a version and has them written.

    Writing is the last step of validation, inside the transaction that the admin's view opens:
    only the service can say whether a version may be written, and so a refusal stands on the
    form like any other mistake, even when another admin was faster by a moment.
    """

    author: ClassVar[User]
    today: ClassVar[date]
    """Both are set on the class that the admin makes for each request."""

    threshold = WholeNumberField(least=MIN_THRESHOLD, most=_WIDEST)
    points = WholeNumberField(
        least=MIN_POINTS,
        most=MAX_POINTS,
        help_text=f"What each award pays: {MIN_POINTS:,}–{MAX_POINTS:,} points.",  # noqa: RUF001 - a range
    )
    starts_on = DayField(
        label="First day",
        help_text="The first business day on which this version counts, as YYYY-MM-DD.",
    )

    class Meta:
        model = RewardRule
        fields = ("rule_type", "threshold", "points", "starts_on", "is_active")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Validation writes what was typed onto the instance, also when it is refused.
        self.original = copy.copy(self.instance)
        self.version = self.instance
        self.before = summary(self.instance) if self.instance.pk else ""
        if "rule_type" in self.fields:
            # Nothing is chosen before someone chooses.
            self.fields["rule_type"] = forms.ChoiceField(
                choices=[("", "Choose a rule type"), *RuleType.choices],
                widget=self.fields["rule_type"].widget,
            )
        self._fit_threshold()

    def _fit_threshold(self) -> None:
        """Give the threshold the limits of the type chosen, or name those of all types."""
        field = self.fields["threshold"]
        assert isinstance(field, WholeNumberField)  # noqa: S101 - tells the type checker
        chosen = self.instance.rule_type or self.data.get("rule_type", "")
        if chosen in RuleType.values:
            field.most = RULE_TERMS[RuleType(chosen)].max_threshold
        if self.instance.rule_type:
            field.help_text = f"How much is enough: {_limits(RuleType(chosen))}."
        else:
            field.help_text = format_html_join(
                "",
                "{}: {}<br>",
                ((rule_type.label, _limits(rule_type)) for rule_type in RuleType),
            )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        seen = self.data.get("seen")
        if self.instance.pk and seen and seen != self.before:
            raise forms.ValidationError(
                f"Someone changed this version meanwhile; it now says: {self.before}. "
                "Open it again and make your change there."
            )
        return cleaned

    def full_clean(self) -> None:
        super().full_clean()
        if self.is_bound and not self.errors:
            self._write()

    def _write(self) -> None:
        chosen = {
            name: self.cleaned_data[name]
            for name in ("threshold", "points", "starts_on", "is_active")
        }
        try:
            if self.instance.pk:
                rules.change_pending(rule=self.original, today=self.today, **chosen)
            else:
                report = rules.set_rule(
                    rule_type=RuleType(self.cleaned_data["rule_type"]),
                    today=self.today,
                    author=self.author,
                    **chosen,
                )
                self.version = report.version
                if not report.is_new:
                    self.add_error(None, "Someone else wrote exactly this version a moment ago.")
        except RuleRefused as refusal:
            self.add_error(None, str(refusal))

    def save(self, commit: bool = True) -> RewardRule:
        """Return what validation wrote."""
        return self.version
