"""Activity, event by event and day by day. Read-only."""

from django.contrib import admin
from django.utils.safestring import SafeString

from rewards.admin.day_filter import DayRangeFilter
from rewards.admin.formatting import (
    NOTHING,
    format_datetime,
    format_duration,
    format_number,
    host_link,
)
from rewards.admin.host_search import HostSearchAdmin
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

    @admin.display(description="business day")
    def day(self, activity: DailyActivity) -> str:
        return str(activity.date)

    @admin.display(description="host")
    def host(self, activity: DailyActivity) -> SafeString:
        return host_link(activity.user_id, activity.user.external_id)

    @admin.display(description="logins")
    def login_count(self, activity: DailyActivity) -> str:
        return format_number(activity.logins)

    @admin.display(description="completed audio calls")
    def audio(self, activity: DailyActivity) -> str:
        return _calls(activity.audio_calls, activity.audio_seconds)

    @admin.display(description="completed video calls")
    def video(self, activity: DailyActivity) -> str:
        return _calls(activity.video_calls, activity.video_seconds)


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

    @admin.display(description="business day")
    def day(self, event: ActivityEvent) -> str:
        return str(event.business_date)

    @admin.display(description="host")
    def host(self, event: ActivityEvent) -> SafeString:
        return host_link(event.user_id, event.user.external_id)

    @admin.display(description="occurred at")
    def occurred(self, event: ActivityEvent) -> str | None:
        return format_datetime(event.occurred_at)

    @admin.display(description="lasted", empty_value=NOTHING)
    def lasted(self, event: ActivityEvent) -> str | None:
        return None if event.kind == ActivityKind.LOGIN else format_duration(event.duration_seconds)

    @admin.display(description="source and id")
    def origin(self, event: ActivityEvent) -> str:
        return f"{event.source} · {event.event_id}"

    @admin.display(description="received at")
    def received(self, event: ActivityEvent) -> str | None:
        return format_datetime(event.received_at)
