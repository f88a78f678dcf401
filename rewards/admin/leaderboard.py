"""Who leads: this week, last week, or over any days."""

from datetime import date
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import PermissionDenied
from django.db import OperationalError, connection, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from rewards.admin.export import download
from rewards.admin.fields import DayField, DayInput
from rewards.admin.host_search import HostSearchAdmin
from rewards.admin.wording import business_today, host_link, number
from rewards.calendar import ONE_WEEK, monday_of, sunday_of
from rewards.models import Score, User
from rewards.selectors.leaders import leaders, ranking

LEADERS = 100
"""Hosts on the page; a download has all of them."""

PATIENCE = "15s"
"""How long the database may add up for a page before the reader is asked for fewer days."""

QUERY_CANCELED = "57014"


class PeriodForm(forms.Form):
    """Two days, both included."""

    first = DayField(label="From", widget=DayInput())
    last = DayField(label="To", widget=DayInput())

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        first, last = cleaned.get("first"), cleaned.get("last")
        if first and last and first > last:
            self.add_error("last", f"The range is reversed: {first} is after {last}.")
        return cleaned


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
        """Show who was paid most for the days asked for, or for this week."""
        form = self._period(request)
        context = {
            **self.admin_site.each_context(request),
            "title": "Leaderboard",
            "form": form,
            "weeks": _weeks(form),
            "size": LEADERS,
        }
        if form.is_valid():
            first, last = form.cleaned_data["first"], form.cleaned_data["last"]
            rows = _ranking(first, last)
            context |= {"first": first, "last": last, "is_too_much": rows is None}
            if rows:
                context["ranking"] = {"headers": ["Rank", "Host", "Points", "Awards"], "rows": rows}
            context["query"] = f"?{urlencode({'first': first, 'last': last})}"
        return TemplateResponse(request, "admin/rewards/leaderboard.html", context)

    def leaderboard_export_view(self, request: HttpRequest, file_format: str) -> HttpResponseBase:
        """Send the whole ranking of the days asked for, or of this week."""
        form = self._period(request)
        if not form.is_valid():
            there = reverse("admin:rewards_score_leaderboard")
            return HttpResponseRedirect(f"{there}?{request.GET.urlencode()}")
        first, last = form.cleaned_data["first"], form.cleaned_data["last"]
        return download(
            name=f"leaderboard-{first}-{last}",
            file_format=file_format,
            header=("rank", "user_id", "points", "awards"),
            rows=(
                (rank, *row) for rank, row in enumerate(ranking(first=first, last=last), start=1)
            ),
        )

    def _period(self, request: HttpRequest) -> PeriodForm:
        if not self.has_view_permission(request):
            raise PermissionDenied
        monday = monday_of(business_today())
        this_week = {"first": str(monday), "last": str(sunday_of(monday))}
        return PeriodForm(request.GET if request.GET else this_week)


def _weeks(form: PeriodForm) -> list[dict[str, Any]]:
    """Return the links to this week and the last one."""
    this_monday = monday_of(business_today())
    asked = (str(form["first"].value()), str(form["last"].value()))
    weeks = []
    for title, monday in (("This week", this_monday), ("Last week", this_monday - ONE_WEEK)):
        days = {"first": str(monday), "last": str(sunday_of(monday))}
        is_active = asked == tuple(days.values())
        weeks.append({"title": title, "link": f"?{urlencode(days)}", "active": is_active})
    return weeks


def _ranking(first: date, last: date) -> list[list[str | SafeString]] | None:
    """Return the rows of the page; None when that is too much to add up while someone waits."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [PATIENCE])
            rows = leaders(first=first, last=last, limit=LEADERS)
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") != QUERY_CANCELED:
            raise
        return None
    names = User.objects.in_bulk([leader.user for leader in rows])
    return [
        [
            number(rank),
            host_link(leader.user, names[leader.user].external_id),
            number(leader.points),
            number(leader.awards),
        ]
        for rank, leader in enumerate(rows, start=1)
    ]
