"""The awards: a list with an export, and the page of each. Read-only."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from import_export.fields import Field
from import_export.resources import ModelResource

from rewards.admin.big_list import column
from rewards.admin.day_filter import DayRangeFilter
from rewards.admin.export import export_limit_error, streamed_export
from rewards.admin.formatting import (
    business_today,
    format_datetime,
    format_evidence,
    format_number,
    format_period,
    link,
)
from rewards.admin.host_search import HostSearchAdmin, host_column
from rewards.admin.pages import require
from rewards.models import ScoreHistory


class AwardResource(ModelResource):  # type: ignore[type-arg]  # not generic at run time
    """An award with the columns of `export_history`; `user_id` is the host's external id."""

    user_id = Field("external_id", "user_id")

    class Meta:
        model = ScoreHistory
        fields = ("reference_date", "user_id", "rule_type", "points", "measured", "threshold")
        export_order = fields
        chunk_size = 10_000

    def filter_export(self, queryset: QuerySet[ScoreHistory], **kwargs: Any) -> QuerySet[Any]:
        """Read only these columns: the rows of hosts and runs are wide."""
        return queryset.values(
            "reference_date",
            "rule_type",
            "points",
            "measured",
            "threshold",
            external_id=F("user__external_id"),
        )


@admin.register(ScoreHistory)
class AwardAdmin(HostSearchAdmin[ScoreHistory]):
    day_field = "reference_date"
    # The index rewards_scorehistory_award_once, backwards.
    ordering = ("-reference_date", "-user_id", "-rule_type")
    lookups = frozenset({"reference_date_from", "reference_date_to", "rule_type__exact"})

    list_display = ("period", "host", "rule_type", "points_paid", "counted", "run_link")
    list_filter = (("reference_date", DayRangeFilter), "rule_type")
    list_select_related = ("user", "run")
    list_before_template = "admin/rewards/list_export.html"

    fieldsets = (
        ("Award", {"fields": ("host", "rule_type", "period", "points_paid")}),
        ("Why", {"fields": ("counted", "version", "run_link", "written_at")}),
    )
    readonly_fields = (
        "host",
        "period",
        "points_paid",
        "counted",
        "version",
        "run_link",
        "written_at",
    )

    period = column("reference date", lambda award: _period(award))
    host = host_column()
    points_paid = column("points", lambda award: format_number(award.points))
    counted = column("counted", format_evidence)
    version = column(
        "rule version",
        lambda award: award.rule and link(award.rule, "rewards_rewardrule_change", award.rule_id),
    )
    run_link = column(
        "run",
        lambda award: award.run and link(award.run, "rewards_awardrun_change", award.run_id),
    )
    written_at = column("written at", lambda award: format_datetime(award.created_at))

    def get_urls(self) -> list[URLPattern]:
        export = path(
            "export/<str:file_format>/",
            self.admin_site.admin_view(self.export_view),
            name="rewards_scorehistory_export",
        )
        return [export, *super().get_urls()]

    def export_view(self, request: HttpRequest, file_format: str) -> HttpResponseBase:
        """Send all rows of the list with these URL parameters."""
        require(self.has_view_permission(request))
        rows = self.get_changelist_instance(request).queryset
        changelist = reverse("admin:rewards_scorehistory_changelist")
        back = HttpResponseRedirect(f"{changelist}?{request.GET.urlencode()}")
        if rows.query.is_empty():
            # The URL names a day or a host that does not exist; the list says so.
            list(messages.get_messages(request))
            return back
        if error := export_limit_error(file_format=file_format, rows=rows):
            messages.error(request, error)
            return back
        return streamed_export(
            name=f"awards-{business_today()}",
            file_format=file_format,
            resource=AwardResource(),
            items=rows,
        )


def _period(award: ScoreHistory) -> str:
    return format_period(award.cadence, award.reference_date)
