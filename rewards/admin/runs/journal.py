"""The run journal: every closed day and week, its state, and buttons that start runs."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from rewards.admin.big_list import ReadOnlyAdmin
from rewards.admin.fields import DayField, DayInput
from rewards.admin.formatting import (
    format_datetime,
    format_duration,
    format_number,
    format_period,
)
from rewards.admin.pages import page, require
from rewards.admin.theme import SelectWidget
from rewards.choices import Cadence, RunStatus
from rewards.engine.business_days import FIRST_MONDAY
from rewards.engine.periods import Period, PeriodState, PeriodStatus
from rewards.exceptions import AlreadyRunning, BadPeriod, QueueUnreachable
from rewards.models import AwardRun
from rewards.reports.status import PeriodRow, health, period_rows
from rewards.selectors.runs import OpenRun, open_live_runs, open_runs
from rewards.services.awarding.run import RunReport
from rewards.services.run_requests import RequestOutcome, request_due, request_run
from rewards.wording import count

PERIODS_PER_PAGE = 40
"""Five weeks of days and weeks."""

STATE_COLOURS: Mapping[PeriodState, str] = {
    PeriodState.FAILED: "danger",
    PeriodState.INTERRUPTED: "danger",
    PeriodState.RETRY: "warning",
    PeriodState.MISSING: "warning",
    PeriodState.RULE_ADDED: "warning",
    PeriodState.LATE: "warning",
    PeriodState.LATE_BEYOND_GRACE: "warning",
    PeriodState.RUNNING: "info",
    PeriodState.DONE: "success",
    PeriodState.NO_ACTIVITY: "",
}
"""The worst states first."""

RUN_BUTTON_STATES = {
    state for state, colour in STATE_COLOURS.items() if colour in {"danger", "warning"}
}
"""States with a button; other periods are run by their date."""


class StartForm(forms.Form):
    """The period to run."""

    cadence = forms.ChoiceField(
        label="What",
        choices=[(Cadence.DAILY, "A day"), (Cadence.WEEKLY, "A week, by its Monday")],
        widget=SelectWidget(),
    )
    day = DayField(label="Date", widget=DayInput(), earliest=FIRST_MONDAY)


class JournalAdmin(ReadOnlyAdmin[AwardRun]):
    """The pages beside the list of runs."""

    def get_urls(self) -> list[URLPattern]:
        def url(address: str, view: Callable[..., HttpResponse], name: str) -> URLPattern:
            return path(address, self.admin_site.admin_view(view), name=f"rewards_awardrun_{name}")

        return [
            url("journal/", self.journal_view, "journal"),
            url("start/", self.start_view, "start"),
            url("start-due/", self.start_due_view, "start_due"),
            *super().get_urls(),
        ]

    def has_start_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("rewards.start_awardrun")

    def journal_view(self, request: HttpRequest) -> HttpResponse:
        """Show every period that has ended, the latest first, with or without a run."""
        require(self.has_view_permission(request))
        return self._journal(request, StartForm())

    def start_view(self, request: HttpRequest) -> HttpResponse:
        """Start a run of the period in the form, or of the one whose button was pressed."""
        require(self.has_start_permission(request))
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        cadence, _, day = request.POST.get("period", "").partition(" ")
        form = StartForm({"cadence": cadence, "day": day} if cadence else request.POST)
        if not form.is_valid():
            return self._journal(request, form)
        period = Period(Cadence(form.cleaned_data["cadence"]), form.cleaned_data["day"])
        name = _name(period)
        try:
            _report(request, request_run(period=period, now=timezone.now()), name)
        except BadPeriod as error:
            form.add_error("day", str(error))
            return self._journal(request, form)
        except AlreadyRunning as error:
            messages.warning(request, str(error))
        except QueueUnreachable as error:
            _log(request, name, "Opened; no worker was notified.")
            messages.error(request, str(error))
        return _to_the_journal()

    def start_due_view(self, request: HttpRequest) -> HttpResponse:
        """Start a run of every period that is due."""
        require(self.has_start_permission(request))
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            _report(request, request_due(now=timezone.now()), "what is due")
        except QueueUnreachable as error:
            messages.error(request, str(error))
        return _to_the_journal()

    def _journal(self, request: HttpRequest, form: StartForm) -> HttpResponse:
        known = health(now=timezone.now())
        periods = Paginator(known.ended[::-1], PERIODS_PER_PAGE).get_page(request.GET.get("page"))
        return page(
            self,
            request,
            "awardrun/journal.html",
            title="Runs",
            form=form,
            may_start=self.has_start_permission(request),
            due=known.due,
            open_runs=_open_runs(known.ended),
            live=[live_text(run) for run in open_live_runs()],
            periods=periods,
            rows=[_row(row) for row in period_rows(list(periods.object_list))],
        )


def _report(request: HttpRequest, outcome: RequestOutcome, name: str) -> None:
    """Show the outcome of a request, and write it to the admin's log."""
    _log(request, name, "Enqueued for the workers." if outcome.is_enqueued else "Run.")
    if outcome.is_enqueued:
        messages.info(
            request,
            "The workers were notified, because the run is too large for a page. Their progress "
            "is shown here.",
        )
    elif not outcome.runs and not outcome.busy:
        messages.info(request, "Nothing is due.")
    for sentence in outcome.busy:
        messages.warning(request, sentence)
    for run in outcome.runs:
        level = messages.SUCCESS if run.status == RunStatus.DONE else messages.ERROR
        messages.add_message(request, level, _result(run))


def _log(request: HttpRequest, name: str, message: str) -> None:
    assert request.user.pk is not None  # noqa: S101 - tells the type checker
    LogEntry.objects.create(
        user_id=request.user.pk,
        content_type=ContentType.objects.get_for_model(AwardRun),
        object_repr=f"run of {name}",
        action_flag=ADDITION,
        change_message=message,
    )


def _to_the_journal() -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:rewards_awardrun_journal"))


def _name(period: Period) -> str:
    return format_period(period.cadence, period.reference_date)


def live_text(run: AwardRun) -> str:
    """Return what a live run has paid so far."""
    if run.counted_at is None:
        return f"Live awards of {run.reference_date}: not added up yet."
    held = " Held." if run.status == RunStatus.HELD else ""
    return (
        f"Live awards of {run.reference_date}: {count(run.awards, 'award')}, "
        f"{count(run.points, 'point')}, as of {format_datetime(run.counted_at)}.{held}"
    )


def _open_runs(ended: Iterable[PeriodStatus]) -> list[dict[str, Any]]:
    running = {status.period for status in ended if status.state == PeriodState.RUNNING}
    return [_open_run(run, running) for run in open_runs()]


def _open_run(run: OpenRun, running: set[Period]) -> dict[str, Any]:
    period = Period(Cadence(run.cadence), run.reference_date)
    batches = f"{run.batches_done:,} of {count(run.batches, 'batch', 'batches')}"
    return {
        "name": _name(period),
        "is_running": period in running,
        "percent": 100 * run.batches_done // run.batches if run.batches else 100,
        "text": f"{batches}, {count(run.awards, 'award')} since {format_datetime(run.started_at)}.",
    }


def _row(row: PeriodRow) -> dict[str, Any]:
    period, totals, day = row.period, row.totals, row.period.reference_date
    return {
        "name": _name(period),
        "key": f"{period.cadence} {day}",
        "runs_query": f"?reference_date_from={day}&reference_date_to={day}"
        f"&cadence__exact={period.cadence}",
        "state": str(row.state),
        "colour": STATE_COLOURS[row.state],
        "has_button": row.state in RUN_BUTTON_STATES,
        "late": format_number(row.late) if row.late else "",
        "totals": totals
        and {
            "hosts": format_number(totals.hosts),
            "rewarded": format_number(totals.hosts_rewarded),
            "awards": format_number(totals.awards),
            "points": format_number(totals.points),
            "took": format_duration(round(totals.seconds)),
            "runs": totals.attempts,
            "label": f"{count(totals.attempts, 'run')} of {_name(period)}",
        },
    }


def _result(run: RunReport) -> str:
    name = _name(run.period)
    if not run.rules:
        return f"{name}: no rule was in force, so there was nothing to award."
    if run.status != RunStatus.DONE:
        return f"{name}: {run.status}. {run.error}"
    counts = run.counts
    return (
        f"{name}: {count(counts.points, 'point')} in {count(counts.awards, 'new award')}; "
        f"{count(counts.hosts_evaluated, 'host')} evaluated."
    )
