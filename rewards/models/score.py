from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q


class Score(models.Model):
    """A host's cached sums of the ledger.

    `daily` is the sum for `daily_date`, the latest day evaluated; `weekly` the sum for its week.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, primary_key=True, related_name="score"
    )

    lifetime = models.PositiveBigIntegerField(default=0)
    daily = models.PositiveBigIntegerField(default=0)
    daily_date = models.DateField(help_text="The business day that daily belongs to.")
    weekly = models.PositiveBigIntegerField(default=0)
    week_start = models.DateField(help_text="The Monday of the week that weekly belongs to.")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                name="rewards_score_week_begins_on_monday",
                condition=Q(week_start__iso_week_day=1),
                violation_error_message="A week is named by its Monday.",
            ),
            models.CheckConstraint(
                name="rewards_score_periods_are_parts_of_the_whole",
                condition=Q(daily__lte=F("lifetime"), weekly__lte=F("lifetime")),
                violation_error_message="The daily or weekly points exceed the lifetime points.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.lifetime} points of {self.user_id}"
