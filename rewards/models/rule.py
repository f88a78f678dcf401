from __future__ import annotations

import functools
import operator
from datetime import date
from typing import ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from rewards.choices import MAX_POINTS, MIN_POINTS, MIN_THRESHOLD, RULE_TYPE_SPECS, RuleType

MAX_REASON = 200


def _threshold_fits_its_type() -> Q:
    return functools.reduce(
        operator.or_,
        (
            Q(rule_type=rule_type, threshold__range=(MIN_THRESHOLD, spec.max_threshold))
            for rule_type, spec in RULE_TYPE_SPECS.items()
        ),
    )


class RewardRuleQuerySet(models.QuerySet["RewardRule"]):
    def in_force_on(self, day: date) -> RewardRuleQuerySet:
        """Return the version of each rule type in force on `day`, paused ones included."""
        return (
            self.filter(starts_on__lte=day)
            .order_by("rule_type", "-starts_on")
            .distinct("rule_type")
        )

    def pending(self, day: date) -> RewardRuleQuerySet:
        """Return the versions that begin after `day`."""
        return self.filter(starts_on__gt=day)


class RewardRule(models.Model):
    """A rule version: threshold and points from its first day until the next version begins.

    A version that has begun is never changed: a change is a new version, and so is a pause.
    """

    rule_type = models.CharField(max_length=32, choices=RuleType)
    threshold = models.PositiveIntegerField(
        validators=[MinValueValidator(MIN_THRESHOLD)],
        help_text="The count that is enough, in the unit of the rule type.",
    )
    points = models.PositiveIntegerField(
        validators=[MinValueValidator(MIN_POINTS), MaxValueValidator(MAX_POINTS)],
        help_text="1 to 1,000,000.",
    )
    is_active = models.BooleanField(
        "active", default=True, help_text="Clear to pause the rule from the first day on."
    )
    starts_on = models.DateField(
        "first day", help_text="The first business day on which this version counts."
    )

    reason = models.CharField(
        max_length=MAX_REASON,
        blank=True,
        default="",
        help_text="Shown in the history of the rule.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        help_text="The last editor of the version; empty for the command line.",
    )

    objects = RewardRuleQuerySet.as_manager()

    class Meta:
        verbose_name = "rule"
        verbose_name_plural = "rules"
        ordering: ClassVar = ["rule_type", "-starts_on"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                name="rewards_rewardrule_one_version_a_day",
                fields=["rule_type", "starts_on"],
                violation_error_message="A version of this rule already begins on this day.",
            ),
            models.CheckConstraint(
                name="rewards_rewardrule_type_is_known",
                condition=Q(rule_type__in=RuleType.values),
                violation_error_message="Unknown rule type.",
            ),
            models.CheckConstraint(
                name="rewards_rewardrule_threshold_fits_its_type",
                condition=_threshold_fits_its_type(),
                violation_error_message="The threshold is outside the limits of its rule type.",
            ),
            models.CheckConstraint(
                name="rewards_rewardrule_points_fit",
                condition=Q(points__range=(MIN_POINTS, MAX_POINTS)),
                violation_error_message=f"Points are {MIN_POINTS} to {MAX_POINTS:,}.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_rule_type_display()} from {self.starts_on}"

    @property
    def unit(self) -> str:
        """The unit of the threshold: "logins a day"."""
        return RULE_TYPE_SPECS[RuleType(self.rule_type)].unit

    @property
    def asks(self) -> str:
        """The threshold with its unit: "1 login a day"."""
        return RULE_TYPE_SPECS[RuleType(self.rule_type)].format_threshold(self.threshold)

    @property
    def version_token(self) -> str:
        """Changes whenever any field changes; for optimistic locking."""
        return (
            f"{self.pk}:{self.starts_on}:{self.threshold}:{self.points}:{self.is_active}:"
            f"{self.created_by_id or ''}:{self.reason}"
        )
