"""The admin's theme: its names, its files and its sidebar."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def _link(
    title: str, icon: str, view: str, is_visible: Callable[[HttpRequest], bool]
) -> dict[str, object]:
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{view}"),
        "permission": is_visible,
    }


def _page(title: str, icon: str, model: str, page: str = "changelist") -> dict[str, object]:
    """Return a link for people who may view `model`."""
    return _link(
        title,
        icon,
        f"rewards_{model}_{page}",
        lambda request: request.user.has_perm(f"rewards.view_{model}"),
    )


def _superuser_page(title: str, icon: str, view: str) -> dict[str, object]:
    return _link(title, icon, view, lambda request: request.user.is_superuser)


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Rewards",
    "SITE_HEADER": "Rewards",
    "SITE_SUBHEADER": "What hosts earn, and why",
    "SITE_SYMBOL": "redeem",
    "SITE_URL": None,  # the admin is the site
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("rewards/icon.svg"),
        }
    ],
    "DASHBOARD_CALLBACK": "rewards.admin.overview.overview",
    "STYLES": [lambda request: static("rewards/admin.css")],
    "SCRIPTS": [lambda request: static("rewards/admin.js")],
    "SIDEBAR": {
        "navigation": [
            {
                "items": [
                    _link("Overview", "dashboard", "index", lambda request: True),
                    _page("Rules", "tune", "rewardrule"),
                    _page("Hosts", "headset_mic", "host"),
                    _page("Runs", "play_circle", "awardrun", "journal"),
                ]
            },
            {
                "title": "Ledger",
                "items": [
                    _page("Awards", "receipt_long", "scorehistory"),
                    _page("Leaderboard", "leaderboard", "score", "leaderboard"),
                ],
            },
            {
                "title": "Activity",
                "items": [
                    _page("Daily activity", "calendar_month", "dailyactivity"),
                    _page("Activity events", "bolt", "activityevent"),
                ],
            },
            {
                "title": "Set-up",
                "items": [
                    _superuser_page("Staff", "badge", "rewards_user_changelist"),
                    _superuser_page("Groups", "group", "auth_group_changelist"),
                    _superuser_page("API clients", "key", "rewards_apiclient_changelist"),
                    _superuser_page("Schedule", "schedule", "rewards_schedule_changelist"),
                ],
            },
        ]
    },
}
