"""The scores of hosts, for reading only."""

from django.contrib import admin
from django.utils.safestring import SafeString

from rewards.admin.formatting import format_number, format_week, host_link
from rewards.admin.ledger.leaderboard import LeaderboardAdmin
from rewards.models import Score


@admin.register(Score)
class ScoreAdmin(LeaderboardAdmin):
    ordering = ("user_id",)

    list_display = ("host", "lifetime_points", "weekly_points", "daily_points")
    list_display_links = None  # the first column is a link itself

    fields = list_display
    readonly_fields = list_display

    @admin.display(description="host")
    def host(self, score: Score) -> SafeString:
        return host_link(score.user_id, score.user.external_id)

    @admin.display(description="lifetime")
    def lifetime_points(self, score: Score) -> str:
        return format_number(score.lifetime)

    @admin.display(description="weekly")
    def weekly_points(self, score: Score) -> str:
        return f"{score.weekly:,} ({format_week(score.week_start)})"

    @admin.display(description="daily")
    def daily_points(self, score: Score) -> str:
        return f"{score.daily:,} ({score.daily_date})"
