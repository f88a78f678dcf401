"""The interval of the tick.

The pages of django-celery-beat could start any task with any arguments, at times that never come
or that daylight saving skips. The database knows what is due, so one interval is enough.
"""

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from rewards.admin.big_list import BigListAdmin, column
from rewards.admin.fields import WholeNumberField
from rewards.admin.formatting import format_datetime, format_number
from rewards.admin.locking import LockedModelForm
from rewards.admin.log import describe_form
from rewards.models import Schedule
from rewards.services.schedule import MAX_MINUTES, set_schedule

for model in (ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule):
    admin.site.unregister(model)


class ScheduleForm(LockedModelForm[Schedule]):
    token_fields = ("enabled", "interval")

    minutes = WholeNumberField(
        label="Interval in minutes",
        min_value=1,
        max_value=MAX_MINUTES,
        help_text=f"1–{MAX_MINUTES}. At this interval, beat enqueues the award of what is due.",  # noqa: RUF001 - a range
    )

    class Meta:
        model = Schedule
        fields = ("enabled",)
        help_texts: ClassVar = {"enabled": "If off, nothing is awarded on schedule."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        interval = self.instance.interval
        if interval is not None and interval.period == IntervalSchedule.MINUTES:
            self.initial["minutes"] = interval.every


@admin.register(Schedule)
class ScheduleAdmin(BigListAdmin[Schedule]):
    form = ScheduleForm
    list_display = ("name", "interval", "enabled", "last_run")
    ordering = ("name",)
    actions = None
    fields = ("enabled", "minutes", "last_run", "run_count")
    readonly_fields = ("last_run", "run_count")

    last_run = column("last run", lambda schedule: format_datetime(schedule.last_run_at) or "never")
    run_count = column("runs so far", lambda schedule: format_number(schedule.total_run_count))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        chosen = form.cleaned_data
        set_schedule(schedule=obj, minutes=chosen["minutes"], is_enabled=chosen["enabled"])

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        return describe_form(form)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Schedule | None = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Schedule | None = None) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Schedule | None = None) -> bool:
        return self.has_view_permission(request)
