"""When beat rings: how often, or not at all.

Beat's own pages could start any task with any arguments, at times that never come or that clocks
skip. What is due stands in the database, so that nobody needs more than a tick.
"""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from rewards.admin.big_list import BigListAdmin
from rewards.admin.fields import WholeNumberField
from rewards.admin.formatting import format_datetime, format_number
from rewards.admin.staff import changes

MOST_MINUTES = 60
"""Less often than hourly, and a day would be paid late without anyone knowing why."""

for model in (ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule):
    admin.site.unregister(model)


class ScheduleForm(forms.ModelForm[PeriodicTask]):
    """Asks how often, and for nothing else of all that beat could do."""

    minutes = WholeNumberField(
        label="Every so many minutes",
        least=1,
        most=MOST_MINUTES,
        help_text=f"1–{MOST_MINUTES}; each time, whatever is due is awarded.",  # noqa: RUF001 - a range
    )

    class Meta:
        model = PeriodicTask
        fields = ("enabled",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        interval = self.instance.interval
        if interval is not None and interval.period == IntervalSchedule.MINUTES:
            self.initial["minutes"] = interval.every

    def save(self, commit: bool = True) -> Any:
        self.instance.interval, _ = IntervalSchedule.objects.get_or_create(
            every=self.cleaned_data["minutes"], period=IntervalSchedule.MINUTES
        )
        return super().save(commit)


@admin.register(PeriodicTask)
class ScheduleAdmin(BigListAdmin[PeriodicTask]):
    form = ScheduleForm
    list_title = "Schedule"
    list_display = ("name", "interval", "enabled", "last_rung")
    ordering = ("name",)
    actions = None
    fieldsets = (
        (None, {"fields": ("name", "task", "enabled", "minutes")}),
        ("Past", {"fields": ("last_rung", "times")}),
    )
    readonly_fields = ("name", "task", "last_rung", "times")

    @admin.display(description="last rung at", empty_value="never")
    def last_rung(self, task: PeriodicTask) -> str | None:
        return format_datetime(task.last_run_at)

    @admin.display(description="times rung")
    def times(self, task: PeriodicTask) -> str:
        return format_number(task.total_run_count)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        return changes(form)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: PeriodicTask | None = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: PeriodicTask | None = None) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: PeriodicTask | None = None) -> bool:
        return self.has_view_permission(request)
