"""The list of all runs, and the page of a run with its failures. Read-only."""

from collections import Counter
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from rewards.admin.big_list import column
from rewards.admin.day_filter import DayRangeFilter
from rewards.admin.formatting import (
    format_datetime,
    format_duration,
    format_number,
    format_period,
)
from rewards.admin.runs.journal import JournalAdmin
from rewards.admin.theme import badge
from rewards.choices import BatchStatus, RuleType, RunStatus
from rewards.models import AwardBatch, AwardRun
from rewards.wording import count

STATUS_COLOURS = {
    RunStatus.RUNNING: "info",
    RunStatus.LIVE: "info",
    RunStatus.HELD: "warning",
    RunStatus.DONE: "success",
    RunStatus.PARTIAL: "warning",
    RunStatus.FAILED: "danger",
}

MAX_FAILURES = 50
"""Failed batches shown on the page of a run; most have the same cause."""


class RunDayFilter(DayRangeFilter):
    latest_days = None  # runs are few: the list shows all of them


@admin.register(AwardRun)
class RunAdmin(JournalAdmin):
    list_title = "All runs"
    # The index rewards_awardrun_once_per_attempt, backwards.
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

    period = column("reference date", lambda run: format_period(run.cadence, run.reference_date))

    @badge(description="status", colours=STATUS_COLOURS)
    def state(self, run: AwardRun) -> tuple[str, str]:
        return run.status, run.get_status_display()

    started = column("started at", lambda run: format_datetime(run.started_at))
    finished = column("finished at", lambda run: format_datetime(run.finished_at) or "not yet")

    took = column("took", lambda run: _duration(run))

    hosts = column("hosts evaluated", lambda run: format_number(run.hosts_evaluated))
    award_count = column("awards", lambda run: format_number(run.awards))
    point_sum = column("points", lambda run: format_number(run.points))
    events = column(
        "activity counted",
        lambda run: count(run.events_seen, "login or completed call", "logins and completed calls"),
    )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        run = self.get_object(request, object_id)
        context = ({} if run is None else _run_context(run)) | (extra_context or {})
        return super().change_view(request, object_id, form_url, context)


def _duration(run: AwardRun) -> str:
    if run.finished_at is None:
        return "not finished"
    return format_duration(round((run.finished_at - run.started_at).total_seconds()))


def _run_context(run: AwardRun) -> dict[str, Any]:
    statuses = Counter(run.batches.values_list("status", flat=True))
    failures = run.batches.filter(status=BatchStatus.FAILED).order_by("after_user")
    more_failures = statuses[BatchStatus.FAILED] - MAX_FAILURES
    return {
        "by_rule": {
            "headers": ["Rule type", "Awards", "Points"],
            "rows": [
                [RuleType(rule_type).label, f"{sums['awards']:,}", f"{sums['points']:,}"]
                for rule_type, sums in sorted(run.by_rule.items())
            ],
        },
        "batches": ", ".join(
            f"{statuses[status]:,} {status.label.lower()}"
            for status in BatchStatus
            if statuses[status]
        ),
        "failures": [(_hosts(batch), batch.error) for batch in failures[:MAX_FAILURES]],
        "more_failures": (
            count(more_failures, "more failed batch", "more failed batches")
            if more_failures > 0
            else ""
        ),
        # The error of a run with failed batches only repeats theirs.
        "run_error": "" if statuses[BatchStatus.FAILED] else run.error,
    }


def _hosts(batch: AwardBatch) -> str:
    return f"Hosts with internal ids {batch.after_user + 1:,} to {batch.through_user:,}"
