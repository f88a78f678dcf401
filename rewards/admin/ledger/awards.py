"""What was awarded, for reading and to take away."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from import_export.fields import Field
from import_export.resources import ModelResource

from rewards.admin.day_filter import DayRangeFilter
from rewards.admin.export import download, refusal
from rewards.admin.formatting import (
    business_today,
    format_datetime,
    format_number,
    format_rule_period,
    format_threshold,
    host_link,
    link,
)
from rewards.admin.host_search import HostSearchAdmin
from rewards.models import ScoreHistory


class AwardResource(ModelResource):  # type: ignore[type-arg]  # not generic at run time
    """An award as `export_history` names its parts: user_id is the host's external id."""

    user_id = Field("external_id", "user_id")

    class Meta:
        model = ScoreHistory
        fields = ("reference_date", "user_id", "rule_type", "points", "measured", "threshold")
        export_order = fields
        chunk_size = 10_000

    def filter_export(self, queryset: QuerySet[ScoreHistory], **kwargs: Any) -> QuerySet[Any]:
        """Read the columns shown alone: hosts and runs are wide, and a run is in many rows."""
        return queryset.values(
            "reference_date",
            "rule_type",
            "points",
            "measured",
            "threshold",
            external_id=F("user__external_id"),
        )


@admin.register(ScoreHistory)
class LedgerAdmin(HostSearchAdmin[ScoreHistory]):
    list_title = "Awards"
    day_field = "reference_date"
    # The whole of the index rewards_scorehistory_award_once, backwards.
    ordering = ("-reference_date", "-user_id", "-rule_type")
    lookups = frozenset({"reference_date_from", "reference_date_to", "rule_type__exact"})

    list_display = ("period", "host", "rule_type", "points_paid", "counted", "run_link")
    list_filter = (("reference_date", DayRangeFilter), "rule_type")
    list_select_related = ("user", "run")

    fieldsets = (
        ("Award", {"fields": ("host", "rule_type", "period", "points_paid")}),
        ("Why", {"fields": ("counted", "asked_for", "version", "run_link", "written_at")}),
    )
    readonly_fields = (
        "host",
        "period",
        "points_paid",
        "counted",
        "asked_for",
        "version",
        "run_link",
        "written_at",
    )

    @admin.display(description="reference date")
    def period(self, award: ScoreHistory) -> str:
        return format_rule_period(award.rule_type, award.reference_date)

    @admin.display(description="host")
    def host(self, award: ScoreHistory) -> SafeString:
        return host_link(award.user_id, award.user.external_id)

    @admin.display(description="points")
    def points_paid(self, award: ScoreHistory) -> str:
        return format_number(award.points)

    @admin.display(description="counted")
    def counted(self, award: ScoreHistory) -> str:
        return f"{award.measured:,} (needed {award.threshold:,})"

    @admin.display(description="asked for")
    def asked_for(self, award: ScoreHistory) -> str:
        return format_threshold(award.rule_type, award.threshold)

    @admin.display(description="by rule")
    def version(self, award: ScoreHistory) -> SafeString:
        return link(award.rule, "rewards_rewardrule_change", award.rule_id)

    @admin.display(description="by run")
    def run_link(self, award: ScoreHistory) -> SafeString:
        text = f"{format_rule_period(award.rule_type, award.reference_date)}, "
        return link(f"{text}attempt {award.run.attempt}", "rewards_awardrun_change", award.run_id)

    @admin.display(description="written at")
    def written_at(self, award: ScoreHistory) -> str | None:
        return format_datetime(award.created_at)

    # Taking it away

    list_before_template = "admin/rewards/list_export.html"

    def get_urls(self) -> list[URLPattern]:
        export = path(
            "export/<str:file_format>/",
            self.admin_site.admin_view(self.export_view),
            name="rewards_scorehistory_export",
        )
        return [export, *super().get_urls()]

    def export_view(self, request: HttpRequest, file_format: str) -> HttpResponseBase:
        """Send the rows that the list shows for the same address, all pages of it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows = self.get_changelist_instance(request).queryset
        there = reverse("admin:rewards_scorehistory_changelist")
        back = HttpResponseRedirect(f"{there}?{request.GET.urlencode()}")
        if rows.query.is_empty():
            # The address names a day or a host that does not exist: the list says so itself.
            list(messages.get_messages(request))
            return back
        if problem := refusal(file_format=file_format, rows=rows):
            messages.error(request, problem)
            return back
        return download(
            name=f"awards-{business_today()}",
            file_format=file_format,
            resource=AwardResource(),
            items=rows,
        )
