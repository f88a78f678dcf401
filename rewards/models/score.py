from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q


class Score(models.Model):
    """A host's cached sums of the ledger.

    `daily` is the sum for `daily_date`, the latest day evaluated; `weekly` the sum for its week.
    A sum is negative when more was undone or deducted than is left in its period.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, primary_key=True, related_name="score"
    )

    lifetime = models.BigIntegerField(default=0)
    daily = models.BigIntegerField(default=0)
    daily_date = models.DateField(help_text="The business day that daily belongs to.")
    weekly = models.BigIntegerField(default=0)
    week_start = models.DateField(help_text="The Monday of the week that weekly belongs to.")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                name="rewards_score_week_begins_on_monday",
                condition=Q(week_start__iso_week_day=1),
                violation_error_message="A week is named by its Monday.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.lifetime} points of {self.user_id}"
