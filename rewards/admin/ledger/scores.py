"""The scores of hosts, for reading only."""

from django.contrib import admin

from rewards.admin.big_list import column
from rewards.admin.formatting import format_daily, format_number, format_weekly
from rewards.admin.host_search import host_column
from rewards.admin.ledger.leaderboard import LeaderboardAdmin
from rewards.models import Score


@admin.register(Score)
class ScoreAdmin(LeaderboardAdmin):
    ordering = ("user_id",)

    list_display = ("host", "lifetime_points", "weekly_points", "daily_points")
    list_display_links = None  # the first column is a link itself

    fields = list_display
    readonly_fields = list_display

    host = host_column()
    lifetime_points = column("lifetime", lambda score: format_number(score.lifetime))
    weekly_points = column("weekly", format_weekly)
    daily_points = column("daily", format_daily)
