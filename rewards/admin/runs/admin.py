"""The run journal, with what went wrong where it can be read: for reading only."""

from collections import Counter
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from rewards.admin.day_filter import DayRangeFilter
from rewards.admin.formatting import format_datetime, format_duration, format_number, format_period
from rewards.admin.runs.journal import JournalAdmin
from rewards.admin.theme import badge
from rewards.choices import BatchStatus, RuleType, RunStatus
from rewards.models import AwardBatch, AwardRun

STATUS_COLOURS = {
    RunStatus.RUNNING: "info",
    RunStatus.DONE: "success",
    RunStatus.PARTIAL: "warning",
    RunStatus.FAILED: "danger",
}

MAX_FAILURES = 50
"""Failed batches shown on a run's page; they tend to say the same thing."""


class RunDayFilter(DayRangeFilter):
    """Runs are few: the list shows all of them, latest first, until days are asked for."""

    latest_days = None


@admin.register(AwardRun)
class RunAdmin(JournalAdmin):
    list_title = "Every run"
    # The whole of the index rewards_awardrun_once_per_attempt, backwards.
    ordering = ("-reference_date", "-cadence", "-attempt")
    lookups = frozenset(
        {"reference_date_from", "reference_date_to", "cadence__exact", "status__exact"}
    )

    list_display = (
        "period",
        "attempt",
        "state",
        "started",
        "took",
        "hosts",
        "award_count",
        "point_sum",
    )
    list_filter = (("reference_date", RunDayFilter), "cadence", "status")

    fieldsets = (
        ("Run", {"fields": ("period", "cadence", "attempt", "status", "trigger")}),
        ("Time", {"fields": ("started", "finished", "took")}),
        ("Result", {"fields": ("hosts", "award_count", "point_sum", "events")}),
    )
    readonly_fields = (
        "period",
        "started",
        "finished",
        "took",
        "hosts",
        "award_count",
        "point_sum",
        "events",
    )

    @admin.display(description="reference date")
    def period(self, run: AwardRun) -> str:
        return format_period(run.cadence, run.reference_date)

    @badge(description="status", colours=STATUS_COLOURS)
    def state(self, run: AwardRun) -> tuple[str, str]:
        return run.status, run.get_status_display()

    @admin.display(description="started at")
    def started(self, run: AwardRun) -> str | None:
        return format_datetime(run.started_at)

    @admin.display(description="finished at", empty_value="not yet")
    def finished(self, run: AwardRun) -> str | None:
        return format_datetime(run.finished_at)

    @admin.display(description="took", empty_value="not finished")
    def took(self, run: AwardRun) -> str | None:
        if run.finished_at is None:
            return None
        return format_duration(round((run.finished_at - run.started_at).total_seconds()))

    @admin.display(description="hosts evaluated")
    def hosts(self, run: AwardRun) -> str:
        return format_number(run.hosts_evaluated)

    @admin.display(description="awards")
    def award_count(self, run: AwardRun) -> str:
        return format_number(run.awards)

    @admin.display(description="points")
    def point_sum(self, run: AwardRun) -> str:
        return format_number(run.points)

    @admin.display(description="activity seen")
    def events(self, run: AwardRun) -> str:
        return f"{format_number(run.events_seen)} logins and completed calls when it began"

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        run = self.get_object(request, object_id)
        return super().change_view(
            request,
            object_id,
            form_url,
            ({} if run is None else _details(run)) | (extra_context or {}),
        )


def _details(run: AwardRun) -> dict[str, Any]:
    """Return what the page of a run shows beside its fields."""
    statuses = Counter(run.batches.values_list("status", flat=True))
    failures = run.batches.filter(status=BatchStatus.FAILED).order_by("after_user")
    return {
        "by_rule": {
            "headers": ["Rule type", "Awards", "Points"],
            "rows": [
                [
                    RuleType(rule_type).label,
                    format_number(sums["awards"]),
                    format_number(sums["points"]),
                ]
                for rule_type, sums in sorted(run.by_rule.items())
            ],
        },
        "batches": ", ".join(
            f"{format_number(statuses[status])} {status.label.lower()}"
            for status in BatchStatus
            if statuses[status]
        ),
        "failures": [(_span(batch), batch.error) for batch in failures[:MAX_FAILURES]],
        "more_failures": max(0, statuses[BatchStatus.FAILED] - MAX_FAILURES),
        # A run that broke as a whole says so itself; otherwise it only repeats its batches.
        "run_error": "" if statuses[BatchStatus.FAILED] else run.error,
    }


def _span(batch: AwardBatch) -> str:
    return f"Hosts with internal ids {batch.after_user + 1:,} to {batch.through_user:,}"
