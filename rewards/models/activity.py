from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Cast, Now

from rewards.choices import MAX_CALL_SECONDS, ActivityKind


def _max_seconds(calls: str) -> models.expressions.Combinable:
    """Return the longest that this number of calls can last. A bigint: 24,856 calls reach 2^31."""
    return Cast(F(calls), models.BigIntegerField()) * MAX_CALL_SECONDS


class ActivityEvent(models.Model):
    """One login or call of a host, as a source reported it; never changed once stored."""

    source = models.CharField(max_length=64, help_text="The system that reported the event.")
    event_id = models.CharField(max_length=128, help_text="The id of the event in its source.")

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="activity", db_index=False
    )
    kind = models.CharField(max_length=16, choices=ActivityKind)
    occurred_at = models.DateTimeField(help_text="For a call: when it was completed.")
    duration_seconds = models.PositiveIntegerField(help_text="0 for a login.")

    business_date = models.DateField(help_text="The business day of occurred_at.")
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                name="rewards_activityevent_once_per_source",
                fields=["source", "event_id"],
                violation_error_message="An event with this source and id is already stored.",
            ),
            models.CheckConstraint(
                name="rewards_activityevent_kind_is_known",
                condition=Q(kind__in=ActivityKind.values),
                violation_error_message="Unknown kind of activity.",
            ),
            models.CheckConstraint(
                name="rewards_activityevent_lasts_a_day_at_most",
                condition=Q(duration_seconds__range=(0, MAX_CALL_SECONDS)),
                violation_error_message=f"A duration is 0 to {MAX_CALL_SECONDS:,} seconds.",
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
    """The counts of one host for one business day; runs read these, not the events.

    One statement writes events and counts, so the counts always equal the events. A row exists only
    if something counted, so a row is an active day.
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
            # Date first: the rows of a day lie together in user order, as a run reads them.
            models.UniqueConstraint(
                name="rewards_dailyactivity_once_per_day",
                fields=["date", "user"],
                violation_error_message="This host already has counts for this day.",
            ),
            models.CheckConstraint(
                name="rewards_dailyactivity_is_an_active_day",
                condition=Q(logins__gte=1) | Q(audio_calls__gte=1) | Q(video_calls__gte=1),
                violation_error_message="A row needs a login or a completed call.",
            ),
            models.CheckConstraint(
                name="rewards_dailyactivity_seconds_have_calls",
                condition=Q(
                    audio_seconds__lte=_max_seconds("audio_calls"),
                    video_seconds__lte=_max_seconds("video_calls"),
                ),
                violation_error_message="The calls cannot have lasted this many seconds.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} on {self.date}"


class ActivityTotal(models.Model):
    """The counted activity of all hosts on one business day.

    Database triggers keep it equal to the sum of DailyActivity, so that checking for late activity
    does not sum a million rows. A day has several slots, so that concurrent writers do not wait for
    each other.
    """

    date = models.DateField(help_text="Business day.")
    slot = models.PositiveSmallIntegerField()

    events = models.BigIntegerField(help_text="Logins and completed calls.")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                name="rewards_activitytotal_once_per_slot",
                fields=["date", "slot"],
                violation_error_message="This slot of the day already exists.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.events} on {self.date}"


class ActivitySettings(models.Model):
    """The settings that the stored activity was counted with: one row, as soon as there is any."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)

    min_call_seconds = models.PositiveIntegerField(
        help_text="REWARDS_MIN_CALL_SECONDS of the counts in DailyActivity."
    )

    class Meta:
        verbose_name_plural = "activity settings"
        constraints: ClassVar = [
            models.CheckConstraint(
                name="rewards_activitysettings_is_one_row",
                condition=Q(id=1),
                violation_error_message="There is one row of settings.",
            ),
        ]

    def __str__(self) -> str:
        return f"calls of {self.min_call_seconds} seconds"
