"""The leaderboard of the latest week, the week before, or any days, with an export."""

from datetime import date
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from import_export.fields import Field
from import_export.resources import Resource
from import_export.widgets import IntegerWidget

from rewards.admin.export import export_limit_error, streamed_export
from rewards.admin.fields import DayField, DayInput
from rewards.admin.formatting import business_today, format_datetime, format_number, host_link
from rewards.admin.host_search import HostSearchAdmin
from rewards.admin.pages import page, require
from rewards.engine.business_days import FIRST_MONDAY, ONE_DAY, ONE_WEEK, monday_of, sunday_of
from rewards.exceptions import QueryTimedOut
from rewards.models import Score
from rewards.reports.leaderboard import MAX_LEADERS, LeaderboardRow, leaderboard, ranking
from rewards.selectors.leaders import awarded_hosts
from rewards.selectors.runs import latest_evaluated_day


class DaysForm(forms.Form):
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
        """Show the hosts with the most points, for the requested days or the latest week."""
        form = self._days_form(request)
        context: dict[str, Any] = {"form": form, "weeks": _weeks(form), "size": MAX_LEADERS}
        if form.is_valid():
            days = form.cleaned_data
            context |= days | {"query": f"?{urlencode(days)}"}
            try:
                found = leaderboard(**days)
                rows = [cells(row) for row in found.rows]
                context["ranking"] = {"headers": ["Rank", "Host", "Points"], "rows": rows}
                context["as_of"] = format_datetime(found.as_of)
            except QueryTimedOut as error:
                context["error"] = str(error)
        return page(self, request, "leaderboard.html", title="Leaderboard", **context)

    def leaderboard_export_view(self, request: HttpRequest, file_format: str) -> HttpResponseBase:
        """Send all hosts with awards, for the requested days or the latest week."""
        form = self._days_form(request)
        leaderboard_page = reverse("admin:rewards_score_leaderboard")
        back = HttpResponseRedirect(f"{leaderboard_page}?{request.GET.urlencode()}")
        if not form.is_valid():
            return back
        days = form.cleaned_data
        if error := export_limit_error(file_format=file_format, rows=awarded_hosts(**days)):
            messages.error(request, error)
            return back
        return streamed_export(
            name=f"leaderboard-{days['first']}-{days['last']}",
            file_format=file_format,
            resource=RankingResource(),
            items=ranking(**days),
        )

    def _days_form(self, request: HttpRequest) -> DaysForm:
        require(self.has_view_permission(request))
        return DaysForm(request.GET or _days_of_week(latest_monday()))


def cells(row: LeaderboardRow) -> list[Any]:
    """Return a row of a leaderboard as a page shows it."""
    host = host_link(row.user_id, row.external_id)
    return [format_number(row.rank), host, format_number(row.points)]


def latest_monday() -> date:
    """Return the Monday of the week of the latest evaluated day."""
    return monday_of(latest_evaluated_day() or business_today() - ONE_DAY)


def week_query(monday: date) -> str:
    """Return the query string of the leaderboard for a week."""
    return f"?{urlencode(_days_of_week(monday))}"


def _days_of_week(monday: date) -> dict[str, str]:
    return {"first": str(monday), "last": str(sunday_of(monday))}


def _weeks(form: DaysForm) -> list[dict[str, Any]]:
    """Return the links to the latest week and the one before."""
    latest = latest_monday()
    shown = {name: str(form[name].value()) for name in ("first", "last")}
    return [
        {"title": title, "link": week_query(monday), "active": shown == _days_of_week(monday)}
        for title, monday in (("Latest week", latest), ("Week before", latest - ONE_WEEK))
    ]
