"""Every day and week that has ended, where it stands, and the buttons that start a run of it."""

from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from rewards.admin.big_list import ReadOnlyAdmin
from rewards.admin.fields import DayField, DayInput
from rewards.admin.formatting import format_datetime, format_duration, format_number
from rewards.admin.theme import SelectWidget
from rewards.choices import Cadence, RunStatus
from rewards.engine.business_days import FIRST_MONDAY
from rewards.engine.periods import Period, PeriodState, PeriodStatus, due_periods
from rewards.exceptions import AlreadyRunning, BadPeriod, QueueUnreachable
from rewards.models import AwardRun
from rewards.selectors.periods import period_statuses
from rewards.selectors.runs import RunTotals, open_runs, run_totals
from rewards.services.awarding.run import RunReport
from rewards.services.run_requests import RequestOutcome, request_due, request_run
from rewards.wording import count

PERIODS = 40
"""Days and weeks on a page: five weeks of them."""

STATE_COLOURS: Mapping[PeriodState, str] = {
    PeriodState.DONE: "success",
    PeriodState.RUNNING: "info",
    PeriodState.MISSING: "warning",
    PeriodState.LATE: "warning",
    PeriodState.LATE_BEYOND_GRACE: "warning",
    PeriodState.RETRY: "warning",
    PeriodState.RULE_ADDED: "warning",
    PeriodState.INTERRUPTED: "danger",
    PeriodState.FAILED: "danger",
}

WANTS_A_RUN = STATE_COLOURS.keys() - {PeriodState.DONE, PeriodState.RUNNING}
"""States that show a button; any other period can be run by its date."""


class StartForm(forms.Form):
    """Which period to run."""

    cadence = forms.ChoiceField(
        label="What",
        choices=[(Cadence.DAILY, "A day"), (Cadence.WEEKLY, "A week, by its Monday")],
        widget=SelectWidget(),
    )
    day = DayField(label="Date", widget=DayInput(), earliest=FIRST_MONDAY)


class JournalAdmin(ReadOnlyAdmin[AwardRun]):
    """The pages beside the list of runs."""

    def get_urls(self) -> list[URLPattern]:
        def page(address: str, view: Callable[..., HttpResponse], name: str) -> URLPattern:
            return path(address, self.admin_site.admin_view(view), name=f"rewards_awardrun_{name}")

        return [
            page("journal/", self.journal_view, "journal"),
            page("start/", self.start_view, "start"),
            page("start-due/", self.start_due_view, "start_due"),
            *super().get_urls(),
        ]

    def has_start_permission(self, request: HttpRequest) -> bool:
        """Return whether whoever asks may start runs."""
        return request.user.has_perm("rewards.start_awardrun")

    def journal_view(self, request: HttpRequest) -> HttpResponse:
        """Show every period that has ended, latest first, gaps and all."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return self._journal(request, StartForm())

    def start_view(self, request: HttpRequest) -> HttpResponse:
        """Start a run of the period in the form, or of the one whose button was pressed."""
        if refusal := self._refusal(request):
            return refusal
        cadence, _, day = request.POST.get("period", "").partition(" ")
        form = StartForm({"cadence": cadence, "day": day} if cadence else request.POST)
        if not form.is_valid():
            return self._journal(request, form)
        period = Period(Cadence(form.cleaned_data["cadence"]), form.cleaned_data["day"])
        try:
            outcome = request_run(period=period, now=timezone.now())
        except BadPeriod as error:
            form.add_error("day", _sentence(error))
            return self._journal(request, form)
        except AlreadyRunning as error:
            messages.warning(request, _sentence(error))
        except QueueUnreachable as error:
            _log(request, str(period), "Opened, and no worker could be asked.")
            messages.error(request, _sentence(error))
        else:
            self._report(request, outcome, str(period))
        return HttpResponseRedirect(reverse("admin:rewards_awardrun_journal"))

    def start_due_view(self, request: HttpRequest) -> HttpResponse:
        """Start a run of every period that is due."""
        if refusal := self._refusal(request):
            return refusal
        try:
            outcome = request_due(now=timezone.now())
        except QueueUnreachable as error:
            messages.error(request, _sentence(error))
        else:
            self._report(request, outcome, "what is due")
        return HttpResponseRedirect(reverse("admin:rewards_awardrun_journal"))

    def _refusal(self, request: HttpRequest) -> HttpResponse | None:
        if not self.has_start_permission(request):
            raise PermissionDenied
        return None if request.method == "POST" else HttpResponseNotAllowed(["POST"])

    def _report(self, request: HttpRequest, outcome: RequestOutcome, asked: str) -> None:
        """Say what came of a start, and note in the admin's log who asked for it."""
        _log(request, asked, "Handed over to the workers." if outcome.is_enqueued else "Run.")
        if outcome.is_enqueued:
            messages.info(
                request,
                "That is too much to wait for, so the workers have been asked. How far they are "
                "shows here.",
            )
        elif not outcome.runs and not outcome.busy:
            messages.info(request, "Nothing is due.")
        for sentence in outcome.busy:
            messages.warning(request, sentence)
        for run in outcome.runs:
            level = messages.SUCCESS if run.status == RunStatus.DONE else messages.ERROR
            messages.add_message(request, level, _outcome(run))

    def _journal(self, request: HttpRequest, form: StartForm) -> HttpResponse:
        known = list(period_statuses(now=timezone.now()))
        page = Paginator(known[::-1], PERIODS).get_page(request.GET.get("page"))
        shown = list(page.object_list)
        days = [status.period.reference_date for status in shown]
        totals = run_totals(first=min(days), last=max(days)) if days else {}
        states = {status.period: status.state for status in known}
        return TemplateResponse(
            request,
            "admin/rewards/awardrun/journal.html",
            {
                **self.admin_site.each_context(request),
                "title": "Runs",
                "form": form,
                "may_start": self.has_start_permission(request),
                "due": sum(1 for _ in due_periods(iter(known))),
                "open_runs": [
                    {
                        "name": str(Period(Cadence(run.cadence), run.reference_date)),
                        "is_alive": states.get(Period(Cadence(run.cadence), run.reference_date))
                        == PeriodState.RUNNING,
                        "percent": 100 * run.batches_done // run.batches if run.batches else 100,
                        "text": f"{run.batches_done:,} of {count(run.batches, 'batch', 'batches')}, "  # noqa: E501
                        f"{count(run.awards, 'award')} since {format_datetime(run.started_at)}",
                    }
                    for run in open_runs()
                ],
                "page": page,
                "rows": [_row(status, totals.get(status.period)) for status in shown],
            },
        )


def _log(request: HttpRequest, asked: str, what: str) -> None:
    """Note in the admin's log who asked for a run; the journal has what came of it."""
    assert request.user.pk is not None  # noqa: S101 - tells the type checker
    LogEntry.objects.create(
        user_id=request.user.pk,
        content_type=ContentType.objects.get_for_model(AwardRun),
        object_repr=f"run of {asked}",
        action_flag=ADDITION,
        change_message=what,
    )


def _row(shown: PeriodStatus, total: RunTotals | None) -> dict[str, Any]:
    period, day = shown.period, shown.period.reference_date
    return {
        "name": str(period),
        "key": f"{period.cadence} {day}",
        "runs_query": f"?reference_date_from={day}&reference_date_to={day}"
        f"&cadence__exact={period.cadence}",
        "state": str(shown.state),
        "colour": STATE_COLOURS.get(shown.state, ""),
        "late": format_number(shown.late) if shown.late else "",
        "total": total
        and {
            "hosts": format_number(total.hosts),
            "rewarded": format_number(total.hosts_rewarded),
            "awards": format_number(total.awards),
            "points": format_number(total.points),
            "took": format_duration(round(total.seconds)),
            "attempts": total.attempts,
        },
        "wants_a_run": shown.state in WANTS_A_RUN,
    }


def _outcome(run: RunReport) -> str:
    name = run.period
    if not run.rules:
        return f"{name}: no rule was in force, so there was nothing to award."
    if run.status != RunStatus.DONE:
        return f"{name}: {run.status}. {run.error}"
    counts = run.counts
    return (
        f"{name}: {count(counts.points, 'point')} in {count(counts.awards, 'new award')}; "
        f"{count(counts.hosts_evaluated, 'host')} evaluated."
    )


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}"
