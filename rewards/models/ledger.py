from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date
from typing import Any, ClassVar, NoReturn, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from rewards.choices import MAX_POINTS, MIN_POINTS, RULE_TYPE_SPECS, Cadence, RuleType
from rewards.exceptions import LedgerIsAppendOnly
from rewards.models.rule import RewardRule
from rewards.models.run import AwardRun

AWARD_ONCE = "rewards_scorehistory_award_once"
"""Name of the constraint that makes the promise of this whole application."""

_WEEKLY_TYPES = [
    rule_type for rule_type, terms in RULE_TYPE_SPECS.items() if terms.cadence == Cadence.WEEKLY
]


class ScoreHistoryQuerySet(models.QuerySet["ScoreHistory"]):
    def in_days(self, first: date, last: date) -> Self:
        """Return the awards whose reference date lies in `first`..`last`, both included."""
        return self.filter(reference_date__range=(first, last))

    def update(self, **kwargs: Any) -> NoReturn:
        raise LedgerIsAppendOnly("awards are never changed")

    def delete(self) -> NoReturn:
        raise LedgerIsAppendOnly("awards are never deleted")

    def bulk_create(
        self,
        objs: Iterable[ScoreHistory],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_conflicts: bool = False,
        update_fields: Collection[str] | None = None,
        unique_fields: Collection[str] | None = None,
    ) -> list[ScoreHistory]:
        if update_conflicts or ignore_conflicts:
            # Ignored rows come back as if written: whoever feeds a score from them pays twice.
            raise LedgerIsAppendOnly("an award that exists is a conflict, to be met as one")
        return super().bulk_create(objs, batch_size=batch_size)

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise LedgerIsAppendOnly("awards are never changed")


class ScoreHistory(models.Model):
    """One award: who was paid what, for which period, by which rule, and what was measured.

    The ledger is append-only. Every door of the ORM refuses change, and triggers in the database
    refuse UPDATE, DELETE and TRUNCATE behind them.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="awards", db_index=False
    )
    rule_type = models.CharField(max_length=32, choices=RuleType)
    reference_date = models.DateField(
        help_text="The business day evaluated, or the Monday of the week evaluated."
    )
    points = models.PositiveIntegerField()

    # Triggers keep the promise of these two foreign keys, for all rows of a statement at once.
    rule = models.ForeignKey(
        RewardRule,
        on_delete=models.PROTECT,
        related_name="awards",
        db_index=False,
        db_constraint=False,
        help_text="The version that was in force.",
    )
    measured = models.PositiveIntegerField(help_text="What was counted.")
    threshold = models.PositiveIntegerField(help_text="What was asked for.")
    run = models.ForeignKey(
        AwardRun,
        on_delete=models.PROTECT,
        related_name="ledger_rows",
        db_index=False,
        db_constraint=False,
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = ScoreHistoryQuerySet.as_manager()

    class Meta:
        verbose_name = "award"
        verbose_name_plural = "awards"
        constraints: ClassVar = [
            # Date first: a run's rows land at the right edge of the index whatever the ledger's
            # size, and reading what a day has already been awarded is one range scan.
            models.UniqueConstraint(
                name=AWARD_ONCE,
                fields=["reference_date", "user", "rule_type"],
                violation_error_message="This host has this award already.",
            ),
            models.CheckConstraint(
                name="rewards_scorehistory_type_is_known",
                condition=Q(rule_type__in=RuleType.values),
                violation_error_message="Unknown rule type.",
            ),
            models.CheckConstraint(
                name="rewards_scorehistory_points_fit",
                condition=Q(points__range=(MIN_POINTS, MAX_POINTS)),
                violation_error_message=f"Points are {MIN_POINTS} to {MAX_POINTS:,}.",
            ),
            models.CheckConstraint(
                name="rewards_scorehistory_was_earned",
                condition=Q(measured__gte=F("threshold"), threshold__gte=1),
                violation_error_message="Less was measured than the rule asks for.",
            ),
            models.CheckConstraint(
                name="rewards_scorehistory_week_begins_on_monday",
                condition=~Q(rule_type__in=_WEEKLY_TYPES) | Q(reference_date__iso_week_day=1),
                violation_error_message="A weekly award is of a Monday.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.points} points for {self.rule_type} of {self.reference_date}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise LedgerIsAppendOnly("awards are never changed")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise LedgerIsAppendOnly("awards are never deleted")
