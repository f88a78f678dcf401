from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Max, Q

from rewards.choices import Cadence, RunStatus, RunTrigger, ShardStatus


class AwardRun(models.Model):
    """One execution of a job over one reference date: a row of the run journal.

    Whether a running one is alive is not written anywhere: it is while a process holds its lock
    (`rewards.selectors.runs.alive_periods`), and interrupted otherwise.
    """

    cadence = models.CharField(max_length=8, choices=Cadence)
    reference_date = models.DateField(help_text="The business day, or the Monday of the week.")
    attempt = models.PositiveIntegerField(
        help_text="1 for the first run of its reference date, 2 for the next one, and so on."
    )
    trigger = models.CharField(max_length=8, choices=RunTrigger)
    rule_versions = models.JSONField(
        default=list,
        blank=True,
        help_text="Primary keys of the rule versions in force, settled when the run began, so "
        "that all its shards pay by the same ones.",
    )

    status = models.CharField(max_length=8, choices=RunStatus, default=RunStatus.RUNNING)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    taken_over_at = models.DateTimeField(null=True, blank=True)
    takeovers = models.PositiveSmallIntegerField(
        default=0,
        help_text="How often in a row a process took over from a dead one and did not finish a "
        "single shard.",
    )
    events_seen = models.PositiveBigIntegerField(
        help_text="Counted activity of the period when the run began; more of it now is late."
    )
    hosts_evaluated = models.PositiveBigIntegerField(default=0)
    rewarded = models.PositiveBigIntegerField(
        default=0, help_text="Hosts that had no award for the reference date before."
    )
    rejected = models.PositiveBigIntegerField(
        default=0, help_text="Hosts that were not judged, because their shard failed."
    )
    awards = models.PositiveBigIntegerField(default=0)
    points = models.PositiveBigIntegerField(default=0)
    by_rule = models.JSONField(
        default=dict, help_text='For each rule type {"awards": number, "points": sum}.'
    )
    leaders = models.JSONField(
        default=list,
        blank=True,
        help_text="[host, points] of those who led the week of the reference date when the run "
        "ended, so that nobody has to add a week up to see them.",
    )
    error = models.TextField(blank=True)

    class Meta:
        ordering: ClassVar = ["-started_at", "-id"]
        permissions: ClassVar = [("start_awardrun", "Can start runs")]
        constraints: ClassVar = [
            models.UniqueConstraint(
                name="rewards_awardrun_once_per_attempt",
                fields=["reference_date", "cadence", "attempt"],
                violation_error_message="This attempt has a run already.",
            ),
            models.CheckConstraint(
                name="rewards_awardrun_week_begins_on_monday",
                condition=~Q(cadence=Cadence.WEEKLY) | Q(reference_date__iso_week_day=1),
                violation_error_message="A weekly run is of a Monday.",
            ),
            models.CheckConstraint(
                name="rewards_awardrun_status_matches_its_end",
                condition=Q(status=RunStatus.RUNNING, finished_at__isnull=True)
                | (~Q(status=RunStatus.RUNNING) & Q(finished_at__isnull=False)),
                violation_error_message="A run has an end exactly when it no longer runs.",
            ),
            models.CheckConstraint(
                name="rewards_awardrun_choices_are_known",
                condition=Q(
                    cadence__in=Cadence.values,
                    status__in=RunStatus.values,
                    trigger__in=RunTrigger.values,
                ),
                violation_error_message="Unknown cadence, status or trigger.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.cadence} run of {self.reference_date}, attempt {self.attempt}"

    @property
    def heartbeat_at(self) -> datetime:
        """When the run was last seen to come forward: its latest shard, else its beginning."""
        latest = self.shards.aggregate(latest=Max("finished_at"))["latest"]
        return latest or self.started_at


class AwardShard(models.Model):
    """A span of host ids of a run: the work of one transaction.

    A process takes a pending shard by locking its row, and marks it in the transaction that
    writes its awards. So there is nothing to clean up after a process that died.
    """

    run = models.ForeignKey(AwardRun, on_delete=models.PROTECT, related_name="shards")
    after_user = models.BigIntegerField(help_text="Hosts with a greater id than this,")
    through_user = models.BigIntegerField(help_text="up to and including this one.")
    hosts = models.PositiveIntegerField(
        default=0, help_text="Active hosts in the span when the run began."
    )

    status = models.CharField(max_length=8, choices=ShardStatus, default=ShardStatus.PENDING)
    finished_at = models.DateTimeField(null=True, blank=True)
    hosts_evaluated = models.PositiveIntegerField(default=0)
    rewarded = models.PositiveIntegerField(default=0)
    awards = models.PositiveIntegerField(default=0)
    points = models.PositiveBigIntegerField(default=0)
    by_rule = models.JSONField(default=dict)
    error = models.TextField(blank=True)

    class Meta:
        ordering: ClassVar = ["run", "after_user"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                name="rewards_awardshard_once_per_span",
                fields=["run", "after_user"],
                violation_error_message="This span of the run exists already.",
            ),
            models.CheckConstraint(
                name="rewards_awardshard_span_is_not_empty",
                condition=Q(through_user__gt=models.F("after_user")),
                violation_error_message="A span ends after it begins.",
            ),
            models.CheckConstraint(
                name="rewards_awardshard_status_is_known",
                condition=Q(status__in=ShardStatus.values),
                violation_error_message="Unknown status.",
            ),
            models.CheckConstraint(
                name="rewards_awardshard_status_matches_its_end",
                condition=Q(status=ShardStatus.PENDING, finished_at__isnull=True)
                | (~Q(status=ShardStatus.PENDING) & Q(finished_at__isnull=False)),
                violation_error_message="A shard has an end exactly when it no longer waits.",
            ),
        ]

    def __str__(self) -> str:
        return f"hosts {self.after_user + 1} to {self.through_user} of {self.run_id}"
