from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Max, Q

from rewards.choices import (
    OPEN_STATUSES,
    BatchStatus,
    Cadence,
    RunKind,
    RunStatus,
    RunTrigger,
)
from rewards.engine.periods import Period
from rewards.engine.values import AwardCounts
from rewards.models.rule import MAX_REASON


class AwardRun(models.Model):
    """One execution over one period: a row of the run journal.

    A running run is interrupted when no process holds the lock of its period
    (`rewards.selectors.runs.running_periods`); no column says so.
    """

    kind = models.CharField(
        max_length=8, choices=RunKind, default=RunKind.AWARD, db_default=RunKind.AWARD
    )
    cadence = models.CharField(max_length=8, choices=Cadence)
    reference_date = models.DateField(help_text="The business day, or the Monday of the week.")
    attempt = models.PositiveIntegerField(
        help_text="0 for the live run of its reference date, 1 for the first run after it, and so "
        "on."
    )
    trigger = models.CharField(max_length=8, choices=RunTrigger)
    reason = models.CharField(
        max_length=MAX_REASON,
        blank=True,
        default="",
        db_default="",
        help_text="Why an operator undid, released or discarded.",
    )
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Who undid, released or discarded; empty for the command line.",
    )
    rule_versions = models.JSONField(
        default=list,
        blank=True,
        help_text="Ids of the active rule versions when the run started; all batches pay by these.",
    )

    status = models.CharField(max_length=8, choices=RunStatus, default=RunStatus.RUNNING)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    counted_at = models.DateTimeField(
        null=True, blank=True, help_text="When the awards of a live run were added up last."
    )
    taken_over_at = models.DateTimeField(null=True, blank=True)
    takeovers = models.PositiveSmallIntegerField(
        default=0,
        help_text="Takeovers in a row after which no batch was finished.",
    )
    events_seen = models.PositiveBigIntegerField(
        help_text="Counted activity of the period when the run started; what came later is late."
    )
    hosts_evaluated = models.PositiveBigIntegerField(default=0)
    hosts_rewarded = models.PositiveBigIntegerField(
        default=0, help_text="Hosts that had no award for the reference date before."
    )
    hosts_failed = models.PositiveBigIntegerField(
        default=0, help_text="Hosts that were not evaluated because their batch failed."
    )
    awards = models.BigIntegerField(default=0, help_text="Negative for an undo.")
    points = models.BigIntegerField(default=0, help_text="Negative for an undo.")
    by_rule = models.JSONField(
        default=dict, help_text='For each rule type {"awards": number, "points": sum}.'
    )
    leaders = models.JSONField(
        default=list,
        blank=True,
        help_text="[user id, points] of each leader of the week when the run ended.",
    )
    error = models.TextField(blank=True)

    class Meta:
        verbose_name = "run"
        verbose_name_plural = "runs"
        ordering: ClassVar = ["-started_at", "-id"]
        permissions: ClassVar = [("start_awardrun", "Can start runs")]
        constraints: ClassVar = [
            models.UniqueConstraint(
                name="rewards_awardrun_once_per_attempt",
                fields=["reference_date", "cadence", "attempt"],
                violation_error_message="This attempt already exists.",
            ),
            models.CheckConstraint(
                name="rewards_awardrun_week_begins_on_monday",
                condition=~Q(cadence=Cadence.WEEKLY) | Q(reference_date__iso_week_day=1),
                violation_error_message="The reference date of a weekly run is a Monday.",
            ),
            models.CheckConstraint(
                name="rewards_awardrun_status_matches_its_end",
                condition=Q(status__in=OPEN_STATUSES, finished_at__isnull=True)
                | (~Q(status__in=OPEN_STATUSES) & Q(finished_at__isnull=False)),
                violation_error_message="A run has an end time unless it is open.",
            ),
            models.CheckConstraint(
                name="rewards_awardrun_live_is_attempt_0_of_a_day",
                condition=Q(kind=RunKind.LIVE, attempt=0, cadence=Cadence.DAILY)
                | (~Q(kind=RunKind.LIVE) & Q(attempt__gte=1)),
                violation_error_message="Attempt 0 of a day is its live run.",
            ),
            models.CheckConstraint(
                name="rewards_awardrun_status_matches_its_kind",
                condition=Q(kind=RunKind.LIVE)
                & ~Q(status__in=[RunStatus.RUNNING, RunStatus.PARTIAL])
                | ~Q(kind=RunKind.LIVE) & ~Q(status=RunStatus.LIVE),
                violation_error_message="Only a live run is live, and it has no batches.",
            ),
            models.CheckConstraint(
                name="rewards_awardrun_choices_are_known",
                condition=Q(
                    kind__in=RunKind.values,
                    cadence__in=Cadence.values,
                    status__in=RunStatus.values,
                    trigger__in=RunTrigger.values,
                ),
                violation_error_message="Unknown kind, cadence, status or trigger.",
            ),
        ]

    def __str__(self) -> str:
        if self.kind == RunKind.LIVE:
            return f"live run of {self.reference_date}"
        return f"{self.cadence} run of {self.reference_date}, attempt {self.attempt}"

    @property
    def period(self) -> Period:
        return Period(Cadence(self.cadence), self.reference_date)

    @property
    def counts(self) -> AwardCounts:
        return AwardCounts(
            hosts_evaluated=self.hosts_evaluated,
            hosts_rewarded=self.hosts_rewarded,
            awards=self.awards,
            points=self.points,
            by_rule=self.by_rule,
        )

    @property
    def heartbeat_at(self) -> datetime:
        """When its latest batch finished; before the first one, when the run started."""
        latest = self.batches.aggregate(latest=Max("finished_at"))["latest"]
        return latest or self.started_at


class AwardBatch(models.Model):
    """The hosts of a run that are evaluated and written in one transaction: a range of ids.

    A process claims a pending batch by locking its row, and marks it done in the transaction that
    writes its awards, so a crash leaves nothing to clean up.
    """

    run = models.ForeignKey(AwardRun, on_delete=models.PROTECT, related_name="batches")
    after_user = models.BigIntegerField(help_text="Hosts with a greater id than this,")
    through_user = models.BigIntegerField(help_text="up to and including this one.")
    hosts = models.PositiveIntegerField(
        default=0, help_text="Active hosts in the range when the run started."
    )

    status = models.CharField(max_length=8, choices=BatchStatus, default=BatchStatus.PENDING)
    finished_at = models.DateTimeField(null=True, blank=True)
    hosts_evaluated = models.PositiveIntegerField(default=0)
    hosts_rewarded = models.PositiveIntegerField(default=0)
    awards = models.IntegerField(default=0)
    points = models.BigIntegerField(default=0)
    by_rule = models.JSONField(default=dict)
    error = models.TextField(blank=True)

    class Meta:
        ordering: ClassVar = ["run", "after_user"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                name="rewards_awardbatch_once_per_id_range",
                fields=["run", "after_user"],
                violation_error_message="This id range of the run already exists.",
            ),
            models.CheckConstraint(
                name="rewards_awardbatch_id_range_is_not_empty",
                condition=Q(through_user__gt=models.F("after_user")),
                violation_error_message="An id range ends after it begins.",
            ),
            models.CheckConstraint(
                name="rewards_awardbatch_status_is_known",
                condition=Q(status__in=BatchStatus.values),
                violation_error_message="Unknown status.",
            ),
            models.CheckConstraint(
                name="rewards_awardbatch_status_matches_its_end",
                condition=Q(status=BatchStatus.PENDING, finished_at__isnull=True)
                | (~Q(status=BatchStatus.PENDING) & Q(finished_at__isnull=False)),
                violation_error_message="A batch has an end time unless it is pending.",
            ),
        ]

    def __str__(self) -> str:
        return f"hosts {self.after_user + 1} to {self.through_user} of {self.run_id}"
