from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date
from typing import Any, ClassVar, NoReturn, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Mod, Now
from django.db.models.lookups import Exact

from rewards.choices import (
    ADJUSTMENT,
    LEDGER_TYPES,
    MAX_POINTS,
    MIN_POINTS,
    RULE_TYPE_SPECS,
    Cadence,
)
from rewards.exceptions import LedgerIsAppendOnly
from rewards.models.rule import RewardRule
from rewards.models.run import AwardRun

AWARD_ONCE = "rewards_scorehistory_award_once"
"""The constraint that prevents an award from being paid twice."""

_WEEKLY_TYPES = [
    rule_type for rule_type, spec in RULE_TYPE_SPECS.items() if spec.cadence == Cadence.WEEKLY
]


_IS_EVEN = Q(Exact(Mod(F("entry"), 2), 0))


class ScoreHistoryQuerySet(models.QuerySet["ScoreHistory"]):
    def in_days(self, first: date, last: date) -> Self:
        """Return the awards whose reference date lies in `first`..`last`, both included."""
        return self.filter(reference_date__range=(first, last))

    def update(self, **kwargs: Any) -> NoReturn:
        raise LedgerIsAppendOnly("Awards are never changed.")

    def delete(self) -> NoReturn:
        raise LedgerIsAppendOnly("Awards are never deleted.")

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
            # Django returns ignored rows too: a score computed from them counts them twice.
            raise LedgerIsAppendOnly("Conflicts of awards are never ignored or updated.")
        return super().bulk_create(objs, batch_size=batch_size)

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise LedgerIsAppendOnly("Awards are never changed.")


class ScoreHistory(models.Model):
    """One award, with the evidence for it, or one correction.

    One award of a host, rule type and reference date stands at any time: its entries are 0 for the
    award, 1 for its undo, 2 for an award after that, and so on. An adjustment has no evidence; its
    entries only number the adjustments of a host and date.

    The ledger is append-only: the model refuses changes, and behind it database triggers refuse
    UPDATE, DELETE and TRUNCATE.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="awards", db_index=False
    )
    rule_type = models.CharField(max_length=32, choices=LEDGER_TYPES)
    reference_date = models.DateField(
        help_text="The business day evaluated, or the Monday of the week evaluated."
    )
    entry = models.SmallIntegerField(
        default=0, db_default=0, help_text="Even for an award, odd for the undo of the one before."
    )
    points = models.IntegerField(help_text="Negative for an undo or a deduction.")

    # Triggers enforce these two foreign keys, once per statement: models/database_rules.py.
    rule = models.ForeignKey(
        RewardRule,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="awards",
        db_index=False,
        db_constraint=False,
        help_text="The version in force on the last day of the period.",
    )
    measured = models.PositiveIntegerField(
        null=True, blank=True, help_text="The count that was evaluated."
    )
    threshold = models.PositiveIntegerField(
        null=True, blank=True, help_text="The threshold of the version."
    )
    run = models.ForeignKey(
        AwardRun,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
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
            # Date first: the rows of a run are appended at the right edge of the index, whatever
            # the size of the ledger, and the awards of a day are one range scan.
            models.UniqueConstraint(
                name=AWARD_ONCE,
                fields=["reference_date", "user", "rule_type", "entry"],
                violation_error_message="This host already has this award.",
            ),
            models.CheckConstraint(
                name="rewards_scorehistory_type_is_known",
                condition=Q(rule_type__in=[value for value, _ in LEDGER_TYPES]),
                violation_error_message="Unknown type of ledger row.",
            ),
            models.CheckConstraint(
                name="rewards_scorehistory_points_fit",
                condition=Q(points__range=(MIN_POINTS, MAX_POINTS))
                | Q(points__range=(-MAX_POINTS, -MIN_POINTS)),
                violation_error_message=f"Points are {MIN_POINTS} to {MAX_POINTS:,}, or negative.",
            ),
            models.CheckConstraint(
                name="rewards_scorehistory_entry_matches_its_sign",
                condition=Q(rule_type=ADJUSTMENT, entry__gte=0)
                | Q(_IS_EVEN, points__gt=0, entry__gte=0)
                | Q(~_IS_EVEN, points__lt=0, entry__gte=0),
                violation_error_message="An even entry is an award, an odd one its undo.",
            ),
            models.CheckConstraint(
                name="rewards_scorehistory_award_has_evidence",
                condition=Q(
                    ~Q(rule_type=ADJUSTMENT),
                    rule__isnull=False,
                    run__isnull=False,
                    measured__isnull=False,
                    threshold__isnull=False,
                )
                | Q(
                    rule_type=ADJUSTMENT,
                    rule__isnull=True,
                    run__isnull=True,
                    measured__isnull=True,
                    threshold__isnull=True,
                ),
                violation_error_message="An award has a run, a rule version and its counts; an "
                "adjustment has none of them.",
            ),
            models.CheckConstraint(
                name="rewards_scorehistory_was_earned",
                condition=Q(measured__gte=F("threshold"), threshold__gte=1),
                violation_error_message="The count is below the threshold.",
            ),
            models.CheckConstraint(
                name="rewards_scorehistory_week_begins_on_monday",
                condition=~Q(rule_type__in=_WEEKLY_TYPES) | Q(reference_date__iso_week_day=1),
                violation_error_message="The reference date of a weekly award is a Monday.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.points} points for {self.rule_type} of {self.reference_date}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise LedgerIsAppendOnly("Awards are never changed.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise LedgerIsAppendOnly("Awards are never deleted.")

    @property
    def cadence(self) -> Cadence:
        return Cadence.WEEKLY if self.rule_type in _WEEKLY_TYPES else Cadence.DAILY

    @property
    def evidence(self) -> tuple[int, int] | None:
        """The count that was evaluated, and the threshold; None for an adjustment."""
        if self.measured is None or self.threshold is None:
            return None
        return self.measured, self.threshold
