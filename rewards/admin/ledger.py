"""What was awarded, and what it adds up to: for reading only."""

from django.contrib import admin
from django.utils.safestring import SafeString

from rewards.admin.day_filter import DayRangeFilter
from rewards.admin.host_search import HostSearchAdmin
from rewards.admin.wording import host_link, link, moment, number, period_of_rule, terms, week
from rewards.models import Score, ScoreHistory


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
        return period_of_rule(award.rule_type, award.reference_date)

    @admin.display(description="host")
    def host(self, award: ScoreHistory) -> SafeString:
        return host_link(award.user_id, award.user.external_id)

    @admin.display(description="points")
    def points_paid(self, award: ScoreHistory) -> str:
        return number(award.points)

    @admin.display(description="counted")
    def counted(self, award: ScoreHistory) -> str:
        return f"{award.measured:,} (needed {award.threshold:,})"

    @admin.display(description="asked for")
    def asked_for(self, award: ScoreHistory) -> str:
        return terms(award.rule_type, award.threshold)

    @admin.display(description="by rule")
    def version(self, award: ScoreHistory) -> SafeString:
        return link(award.rule, "rewards_rewardrule_change", award.rule_id)

    @admin.display(description="by run")
    def run_link(self, award: ScoreHistory) -> SafeString:
        text = f"{period_of_rule(award.rule_type, award.reference_date)}, "
        return link(f"{text}attempt {award.run.attempt}", "rewards_awardrun_change", award.run_id)

    @admin.display(description="written at")
    def written_at(self, award: ScoreHistory) -> str | None:
        return moment(award.created_at)


@admin.register(Score)
class ScoreAdmin(HostSearchAdmin[Score]):
    list_title = "Scores"
    ordering = ("user_id",)

    list_display = ("host", "lifetime_points", "weekly_points", "daily_points")
    list_display_links = None

    fields = ("host", "lifetime_points", "weekly_points", "daily_points")
    readonly_fields = fields

    @admin.display(description="host")
    def host(self, score: Score) -> SafeString:
        return host_link(score.user_id, score.user.external_id)

    @admin.display(description="lifetime")
    def lifetime_points(self, score: Score) -> str:
        return number(score.lifetime)

    @admin.display(description="weekly")
    def weekly_points(self, score: Score) -> str:
        return f"{number(score.weekly)} ({week(score.week_start)})"

    @admin.display(description="daily")
    def daily_points(self, score: Score) -> str:
        return f"{number(score.daily)} ({score.daily_date})"
