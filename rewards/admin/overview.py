"""The first page: what was paid, whether the engine keeps up, and who leads."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from itertools import cycle
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from rewards.admin.formatting import format_number, format_week
from rewards.admin.ledger.leaderboard import cells, week_query
from rewards.choices import Cadence, RuleType
from rewards.engine.business_days import (
    ONE_WEEK,
    days_between,
    last_closed_day,
    monday_of,
    sunday_of,
)
from rewards.engine.periods import Period, PeriodState, PeriodStatus, due_periods
from rewards.models import AwardRun, DailyActivity, RewardRule
from rewards.reports.leaderboard import leaderboard
from rewards.selectors.periods import period_statuses
from rewards.selectors.runs import latest_evaluated_day, run_totals
from rewards.selectors.time_zone import business_time_zone
from rewards.selectors.totals import DayTotal, totals_by_day

DAYS = 28
"""Days of the charts, up to the latest one that has ended."""

LEADERS = 5

_PALETTE = ("#7c3aed", "#0ea5e9", "#10b981", "#f59e0b", "#ec4899", "#64748b", "#84cc16", "#ef4444")

COLOURS = dict(zip(RuleType, cycle(_PALETTE)))
"""The colours of the charts, by rule type in order."""

HEALTH = {
    PeriodState.FAILED: "danger",
    PeriodState.INTERRUPTED: "danger",
    PeriodState.RETRY: "warning",
    PeriodState.MISSING: "warning",
    PeriodState.LATE: "warning",
    PeriodState.LATE_BEYOND_GRACE: "warning",
    PeriodState.RUNNING: "info",
}
"""States worth a word, the worst first, and their colours."""


def overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Return what the first page shows, in a number of queries that no data changes.

    The theme calls this for the admin's index. The sums are the run journal's.
    """
    if not request.user.has_perms(["rewards.view_awardrun", "rewards.view_score"]):
        return context | {"has_no_role": True}
    now = timezone.now()
    # What is shown as latest is what was evaluated latest; whether that is late, the runs say.
    day = latest_evaluated_day() or last_closed_day(now, business_time_zone())
    monday = monday_of(day)
    first_day = day - timedelta(days=DAYS - 1)
    totals = totals_by_day(first=first_day, last=day)
    return context | {
        "steps": _first_steps(),
        "latest": _latest(day),
        "week": _week(totals, monday, is_over=day == sunday_of(monday)),
        "health": _health(list(period_statuses(now=now))),
        "charts": [
            ("Points a day", _chart(totals, first_day, day, "points")),
            ("Awards a day", _chart(totals, first_day, day, "awards")),
        ],
        "by_day": _table(totals),
        "leaders": [
            (title, format_week(first), week_query(first), _leaders(first))
            for title, first in (
                ("Top hosts of the latest week", monday),
                ("Top hosts of the week before", monday - ONE_WEEK),
            )
        ],
    }


def _leaders(monday: date) -> list[list[Any]]:
    rows = leaderboard(first=monday, last=sunday_of(monday), limit=LEADERS)
    return [cells(row) for row in rows]


def _first_steps() -> list[dict[str, Any]]:
    """Return what an installation still lacks to pay its first award; nothing once it has."""
    has_rule = RewardRule.objects.exists()
    has_activity = DailyActivity.objects.exists()
    has_awards = AwardRun.objects.filter(awards__gt=0).exists()
    if has_awards:
        return []
    return [
        {
            "title": "Write a rule",
            "text": "What is paid, for what, and from which day.",
            "href": reverse("admin:rewards_rewardrule_changelist"),
            "is_done": has_rule,
        },
        {
            "title": "Bring activity in",
            "text": "Logins and calls of hosts, as CSV or JSON lines:",
            "code": "python manage.py import_activity FILE --create-hosts",
            "is_done": has_activity,
        },
        {
            "title": "Award what is due",
            "text": "Every day and week that has ended, here under Runs, or with:",
            "code": "python manage.py award_due",
            "href": reverse("admin:rewards_awardrun_journal"),
            "is_done": False,
        },
    ]


def _latest(day: date) -> dict[str, Any]:
    """Return what a day came to, if it has been evaluated."""
    total = run_totals(first=day, last=day).get(Period(Cadence.DAILY, day))
    if total is None:
        return {"day": str(day)}
    return {
        "day": str(day),
        "share": f"{100 * total.hosts_rewarded / total.hosts:.0f} %" if total.hosts else "0 %",
        "rewarded": format_number(total.hosts_rewarded),
        "active": format_number(total.hosts),
        "awards": format_number(total.awards),
        "points": format_number(total.points),
    }


def _week(totals: Iterable[DayTotal], monday: date, *, is_over: bool) -> dict[str, Any]:
    """Return the points of a week against the one before; by how much only once it is over."""
    points: Counter[date] = Counter()
    for total in totals:
        points[monday_of(total.reference_date)] += total.points
    latest, before = points[monday], points[monday - ONE_WEEK]
    change = round(100 * (latest - before) / before) if before and is_over else None
    return {
        "name": format_week(monday),
        "points": format_number(latest),
        "before": format_number(before),
        "change": None if change is None else f"{change:+,} %",
        "is_less": latest < before,
    }


def _health(known: Sequence[PeriodStatus]) -> dict[str, Any]:
    """Return how many periods are due, missing, failed, late and so on."""
    counts = Counter(status.state for status in known)
    due = sum(1 for _ in due_periods(iter(known)))
    return {
        "due": due,
        "states": [(str(state), colour, counts[state]) for state, colour in HEALTH.items()],
        "is_well": not any(counts[state] for state in HEALTH if state != PeriodState.RUNNING),
        "is_empty": not known,
    }


def _chart(totals: Iterable[DayTotal], first: date, last: date, measure: str) -> dict[str, str]:
    """Return one measure of each day, by rule, as the theme's chart wants it."""
    days = list(days_between(first, last))
    values = {(t.rule_type, t.reference_date): getattr(t, measure) for t in totals}
    datasets = [
        {
            "label": rule_type.label,
            "data": [values.get((rule_type, day), 0) for day in days],
            "backgroundColor": COLOURS[rule_type],
        }
        for rule_type in RuleType
    ]
    return {
        "data": json.dumps({"labels": [f"{day:%d %b}" for day in days], "datasets": datasets}),
        "options": json.dumps(CHART_OPTIONS),
    }


_AXIS = {"stacked": True, "ticks": {"color": "#9ca3af"}, "border": {"display": False}}

CHART_OPTIONS: Mapping[str, Any] = {
    "animation": False,
    "responsive": True,
    "maintainAspectRatio": False,
    "scales": {
        "x": _AXIS | {"grid": {"display": False}},
        "y": _AXIS | {"grid": {"lineWidth": 1}, "beginAtZero": True},
    },
    "plugins": {
        "legend": {
            "position": "bottom",
            "labels": {
                "boxHeight": 6,
                "boxWidth": 6,
                "color": "#9ca3af",
                "pointStyle": "circle",
                "usePointStyle": True,
            },
        },
    },
    "interaction": {"mode": "index"},
}


def _table(totals: Iterable[DayTotal]) -> dict[str, Any]:
    """Return the charts as a table, latest day first, for whoever does not see them."""
    values = {(t.reference_date, t.rule_type): t for t in totals}
    days = sorted({day for day, _ in values}, reverse=True)
    return {
        "headers": ["Reference date", *(rule_type.label for rule_type in RuleType)],
        "rows": [
            [
                str(day),
                *(
                    f"{format_number(total.points)} ({format_number(total.awards)})"
                    if total
                    else "0"
                    for total in (values.get((day, rule_type)) for rule_type in RuleType)
                ),
            ]
            for day in days
        ],
    }
