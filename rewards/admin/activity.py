"""Activity, event by event and day by day. Read-only."""

from django.contrib import admin

from rewards.admin.big_list import column
from rewards.admin.day_filter import DayRangeFilter
from rewards.admin.formatting import (
    NOTHING,
    format_datetime,
    format_duration,
    format_number,
)
from rewards.admin.host_search import HostSearchAdmin, host_column
from rewards.choices import ActivityKind
from rewards.models import ActivityEvent, DailyActivity


@admin.register(DailyActivity)
class DailyActivityAdmin(HostSearchAdmin[DailyActivity]):
    day_field = "date"
    # The index rewards_dailyactivity_once_per_day, backwards.
    ordering = ("-date", "-user_id")
    lookups = frozenset({"date_from", "date_to"})

    list_display = ("day", "host", "login_count", "audio", "video")
    list_filter = (("date", DayRangeFilter),)

    fields = ("day", "host", "login_count", "audio", "video")
    readonly_fields = fields

    day = column("business day", lambda activity: str(activity.date))
    host = host_column()
    login_count = column("logins", lambda activity: format_number(activity.logins))
    audio = column(
        "completed audio calls",
        lambda activity: _calls(activity.audio_calls, activity.audio_seconds),
    )
    video = column(
        "completed video calls",
        lambda activity: _calls(activity.video_calls, activity.video_seconds),
    )


def _calls(number: int, seconds: int) -> str:
    return f"{number:,} ({format_duration(seconds)})" if number else "0"


@admin.register(ActivityEvent)
class ActivityEventAdmin(HostSearchAdmin[ActivityEvent]):
    day_field = "business_date"
    # The index rewards_activityevent_by_day, backwards; ties are one host's events of one day.
    ordering = ("-business_date", "-user_id", "-pk")
    lookups = frozenset({"business_date_from", "business_date_to", "kind__exact"})

    list_display = ("day", "host", "kind", "occurred", "lasted", "origin")
    list_filter = (("business_date", DayRangeFilter), "kind")

    fieldsets = (
        ("Event", {"fields": ("host", "kind", "occurred", "lasted", "day")}),
        ("Origin", {"fields": ("source", "event_id", "received")}),
    )
    readonly_fields = ("host", "occurred", "lasted", "day", "received")

    day = column("business day", lambda event: str(event.business_date))
    host = host_column()
    occurred = column("occurred at", lambda event: format_datetime(event.occurred_at))
    lasted = column("lasted", lambda event: _duration(event))
    origin = column("source and id", lambda event: f"{event.source} · {event.event_id}")
    received = column("received at", lambda event: format_datetime(event.received_at))


def _duration(event: ActivityEvent) -> str:
    if event.kind == ActivityKind.LOGIN:
        return NOTHING
    return format_duration(event.duration_seconds)
