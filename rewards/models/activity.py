from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Cast, Now

from rewards.choices import MAX_CALL_SECONDS, ActivityKind


def _most_seconds(calls: str) -> models.expressions.Combinable:
    """Return the seconds that so many calls can have lasted; of 24,856 calls they are 2^31."""
    return Cast(F(calls), models.BigIntegerField()) * MAX_CALL_SECONDS


class ActivityEvent(models.Model):
    """One thing a host did, as a source reported it; never changed once stored."""

    source = models.CharField(max_length=64, help_text="The system that reported the event.")
    event_id = models.CharField(max_length=128, help_text="The source's own key of the event.")

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="activity", db_index=False
    )
    kind = models.CharField(max_length=16, choices=ActivityKind)
    occurred_at = models.DateTimeField(help_text="Of a call: when it was completed.")
    duration_seconds = models.PositiveIntegerField(help_text="0 for a login.")

    business_date = models.DateField(help_text="The business day of occurred_at.")
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                name="rewards_activityevent_once_per_source",
                fields=["source", "event_id"],
                violation_error_message="This source has reported this event already.",
            ),
            models.CheckConstraint(
                name="rewards_activityevent_kind_is_known",
                condition=Q(kind__in=ActivityKind.values),
                violation_error_message="Unknown kind of activity.",
            ),
            models.CheckConstraint(
                name="rewards_activityevent_lasts_a_day_at_most",
                condition=Q(duration_seconds__range=(0, MAX_CALL_SECONDS)),
                violation_error_message=f"A call lasts 0 to {MAX_CALL_SECONDS:,} seconds.",
            ),
            models.CheckConstraint(
                name="rewards_activityevent_has_an_id",
                condition=~Q(event_id="") & ~Q(source=""),
                violation_error_message="An event needs a source and an id.",
            ),
        ]
        indexes: ClassVar = [
            # Read by the invariant that compares a day's events with its counts, by the host
            # page (a few days of one host) and by pruning (whole days, oldest first).
            models.Index(name="rewards_activityevent_by_day", fields=["business_date", "user"]),
        ]

    def __str__(self) -> str:
        return f"{self.source}:{self.event_id}"


class DailyActivity(models.Model):
    """How often a host did what on one business day; what awarding reads.

    Always equal to the counts of the day's events, because both are written in one transaction.
    A row exists only for a day on which something counted, so a row is an active day.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="daily_activity",
        db_index=False,
    )
    date = models.DateField(help_text="Business day.")

    logins = models.PositiveIntegerField(default=0)
    audio_calls = models.PositiveIntegerField(default=0, help_text="Completed audio calls.")
    video_calls = models.PositiveIntegerField(default=0, help_text="Completed video calls.")
    audio_seconds = models.PositiveBigIntegerField(default=0)
    video_seconds = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "daily activity"
        constraints: ClassVar = [
            # Date first: a day's rows lie together in user order, which is how a run reads them.
            models.UniqueConstraint(
                name="rewards_dailyactivity_once_per_day",
                fields=["date", "user"],
                violation_error_message="This host's day is counted already.",
            ),
            models.CheckConstraint(
                name="rewards_dailyactivity_is_an_active_day",
                condition=Q(logins__gte=1) | Q(audio_calls__gte=1) | Q(video_calls__gte=1),
                violation_error_message="A day without a login or a completed call is no row.",
            ),
            models.CheckConstraint(
                name="rewards_dailyactivity_seconds_have_calls",
                condition=Q(
                    audio_seconds__lte=_most_seconds("audio_calls"),
                    video_seconds__lte=_most_seconds("video_calls"),
                ),
                violation_error_message="There are more seconds than the calls can have lasted.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} on {self.date}"


class ActivityTotal(models.Model):
    """How much counted on one business day, of all hosts together.

    Triggers of the database keep it equal to the sum of DailyActivity, whichever way that is
    written, so that nobody has to add up a million rows to know that something has arrived. A
    day is kept in several slots, one for a writer, which would otherwise wait for each other.
    """

    date = models.DateField(help_text="Business day.")
    slot = models.PositiveSmallIntegerField()

    events = models.BigIntegerField(help_text="Logins and completed calls.")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                name="rewards_activitytotal_once_per_slot",
                fields=["date", "slot"],
                violation_error_message="This slot of the day exists already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.events} on {self.date}"
