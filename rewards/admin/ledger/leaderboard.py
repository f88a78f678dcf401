"""Who leads: this week, last week, or over any days."""

from datetime import date
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from import_export.fields import Field
from import_export.resources import Resource
from import_export.widgets import IntegerWidget

from rewards.admin.export import download, refusal
from rewards.admin.fields import DayField, DayInput
from rewards.admin.formatting import business_today, format_number, host_link
from rewards.admin.host_search import HostSearchAdmin
from rewards.engine.business_days import (
    FIRST_MONDAY,
    ONE_DAY,
    ONE_WEEK,
    monday_of,
    sunday_of,
)
from rewards.exceptions import QueryTimedOut
from rewards.models import Score
from rewards.reports.leaderboard import MAX_LEADERS, LeaderboardRow, leaderboard, ranking
from rewards.selectors.leaders import awarded_hosts
from rewards.selectors.runs import latest_evaluated_day


class PeriodForm(forms.Form):
    """Two days, both included."""

    first = DayField(label="From", widget=DayInput(), earliest=FIRST_MONDAY)
    last = DayField(label="To", widget=DayInput())

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        first, last = cleaned.get("first"), cleaned.get("last")
        if first and last and first > last:
            self.add_error("last", f"The range is reversed: {first} is after {last}.")
        return cleaned


class RankingResource(Resource):  # type: ignore[type-arg]  # not generic at run time
    """The rows of a ranking; `user_id` is the host's external id."""

    rank = Field("rank", "rank", widget=IntegerWidget())
    user_id = Field("external_id", "user_id")
    points = Field("points", "points", widget=IntegerWidget())


class LeaderboardAdmin(HostSearchAdmin[Score]):
    """The pages beside the list of scores."""

    def get_urls(self) -> list[URLPattern]:
        return [
            path(
                "leaderboard/",
                self.admin_site.admin_view(self.leaderboard_view),
                name="rewards_score_leaderboard",
            ),
            path(
                "leaderboard/<str:file_format>/",
                self.admin_site.admin_view(self.leaderboard_export_view),
                name="rewards_score_leaderboard_export",
            ),
            *super().get_urls(),
        ]

    def leaderboard_view(self, request: HttpRequest) -> HttpResponse:
        """Show who was paid most for the days asked for, or for the latest week."""
        form = self._period(request)
        context = {
            **self.admin_site.each_context(request),
            "title": "Leaderboard",
            "form": form,
            "weeks": _weeks(form),
            "size": MAX_LEADERS,
        }
        if form.is_valid():
            first, last = form.cleaned_data["first"], form.cleaned_data["last"]
            context |= {"first": first, "last": last}
            try:
                rows = [cells(row) for row in leaderboard(first=first, last=last)]
            except QueryTimedOut:
                rows = []
                context["is_too_much"] = True
            if rows:
                context["ranking"] = {"headers": ["Rank", "Host", "Points"], "rows": rows}
            context["query"] = f"?{urlencode({'first': first, 'last': last})}"
        return TemplateResponse(request, "admin/rewards/leaderboard.html", context)

    def leaderboard_export_view(self, request: HttpRequest, file_format: str) -> HttpResponseBase:
        """Send the whole ranking of the days asked for, or of the latest week."""
        form = self._period(request)
        there = reverse("admin:rewards_score_leaderboard")
        back = HttpResponseRedirect(f"{there}?{request.GET.urlencode()}")
        if not form.is_valid():
            return back
        first, last = form.cleaned_data["first"], form.cleaned_data["last"]
        hosts = awarded_hosts(first=first, last=last)
        if problem := refusal(file_format=file_format, rows=hosts):
            messages.error(request, problem)
            return back
        return download(
            name=f"leaderboard-{first}-{last}",
            file_format=file_format,
            resource=RankingResource(),
            items=ranking(first=first, last=last),
        )

    def _period(self, request: HttpRequest) -> PeriodForm:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return PeriodForm(request.GET or _days(latest_monday()))


def cells(row: LeaderboardRow) -> list[Any]:
    """Return a row of a leaderboard as a page shows it."""
    return [
        format_number(row.rank),
        host_link(row.user_id, row.external_id),
        format_number(row.points),
    ]


def latest_monday() -> date:
    """Return the Monday of the week of the latest day evaluated, which scores call weekly too."""
    return monday_of(latest_evaluated_day() or business_today() - ONE_DAY)


def week_query(monday: date) -> str:
    """Return what makes the address of the leaderboard that of a week."""
    return f"?{urlencode(_days(monday))}"


def _days(monday: date) -> dict[str, str]:
    return {"first": str(monday), "last": str(sunday_of(monday))}


def _weeks(form: PeriodForm) -> list[dict[str, Any]]:
    """Return the links to the latest week and the one before."""
    latest = latest_monday()
    asked = {name: str(form[name].value()) for name in ("first", "last")}
    return [
        {"title": title, "link": week_query(monday), "active": asked == _days(monday)}
        for title, monday in (("Latest week", latest), ("Week before", latest - ONE_WEEK))
    ]
