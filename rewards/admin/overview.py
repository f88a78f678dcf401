"""The first page: what was paid, which runs are due, and the leaders."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from itertools import cycle
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from rewards.admin.formatting import format_datetime, format_number, format_week
from rewards.admin.ledger.leaderboard import cells, week_query
from rewards.admin.runs.journal import STATE_COLOURS, live_text
from rewards.choices import Cadence, RuleType
from rewards.engine.business_days import (
    ONE_WEEK,
    days_between,
    last_closed_day,
    monday_of,
    sunday_of,
)
from rewards.engine.periods import Period
from rewards.models import AwardRun, DailyActivity, RewardRule
from rewards.reports.leaderboard import leaderboard
from rewards.reports.status import health
from rewards.selectors.runs import latest_evaluated_day, open_live_runs, run_totals
from rewards.selectors.time_zone import business_time_zone
from rewards.selectors.totals import DayTotal, totals_by_day
from rewards.wording import count

CHART_DAYS = 28
"""Days of the charts, up to the latest evaluated one."""

LEADERS = 5

PALETTE = ("#7c3aed", "#0ea5e9", "#10b981", "#f59e0b", "#ec4899", "#64748b", "#84cc16", "#ef4444")
RULE_COLOURS = dict(zip(RuleType, cycle(PALETTE), strict=False))

SEVERITIES = ("danger", "warning", "info")


def overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Return the context of the admin's index, which the theme asks for.

    The number of queries is constant: the sums are read from the run journal.
    """
    if not request.user.has_perms(["rewards.view_awardrun", "rewards.view_score"]):
        return context | {"has_no_role": True}
    now = timezone.now()
    day = latest_evaluated_day() or last_closed_day(now, business_time_zone())
    monday = monday_of(day)
    first_day = day - timedelta(days=CHART_DAYS - 1)
    totals = totals_by_day(first=first_day, last=day)
    return context | {
        "steps": _first_steps(),
        "latest": _latest(day),
        "week": _week(totals, monday, is_over=day == sunday_of(monday)),
        "health": _health(now),
        "charts": [
            ("Points a day", _chart(totals, first_day, day, "points")),
            ("Awards a day", _chart(totals, first_day, day, "awards")),
        ],
        "by_day": _table(totals),
        "live": [live_text(run) for run in open_live_runs()],
        "leaders": [
            _leaders("Top hosts of the latest week", monday),
            _leaders("Top hosts of the week before", monday - ONE_WEEK),
        ],
    }


def _leaders(title: str, monday: date) -> dict[str, Any]:
    found = leaderboard(first=monday, last=sunday_of(monday), limit=LEADERS)
    return {
        "title": title,
        "week": format_week(monday),
        "as_of": format_datetime(found.as_of),
        "query": week_query(monday),
        "rows": [cells(row) for row in found.rows],
    }


def _first_steps() -> list[dict[str, Any]]:
    """Return the steps to the first award; none once there is one."""
    has_rule = RewardRule.objects.exists()
    has_activity = DailyActivity.objects.exists()
    if AwardRun.objects.filter(awards__gt=0).exists():
        return []
    return [
        {
            "title": "Set up a rule",
            "text": "What is paid, for what, and from which day.",
            "href": reverse("admin:rewards_rewardrule_changelist"),
            "is_done": has_rule,
        },
        {
            "title": "Import activity",
            "text": "Logins and calls of hosts, as CSV or JSON Lines:",
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
    """Return the totals of a day, if it has been evaluated."""
    total = run_totals(first=day, last=day).get(Period(Cadence.DAILY, day))
    if total is None:
        return {"day": str(day)}
    return {
        "day": str(day),
        "share": f"{100 * total.hosts_rewarded / total.hosts:.0f} %" if total.hosts else "0 %",
        "rewarded": f"{total.hosts_rewarded:,} of {total.hosts:,} active",
        "awards": format_number(total.awards),
        "points": count(total.points, "point"),
    }


def _week(totals: Iterable[DayTotal], monday: date, *, is_over: bool) -> dict[str, Any]:
    """Return the points of a week and of the one before; their difference once it is over."""
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


def _health(now: datetime) -> dict[str, Any]:
    """Return the number of periods in each state that needs attention, the worst first."""
    found = health(now=now)
    states = [
        (str(state), colour, found.states[state])
        for colour in SEVERITIES
        for state in STATE_COLOURS
        if STATE_COLOURS[state] == colour and found.states[state]
    ]
    return {
        "due": found.due,
        "states": states,
        "is_well": not any(colour in {"danger", "warning"} for _, colour, _ in states),
    }


def _chart(totals: Iterable[DayTotal], first: date, last: date, measure: str) -> dict[str, str]:
    """Return "points" or "awards" of each day, by rule, in the form of the theme's chart."""
    days = list(days_between(first, last))
    values = {(t.rule_type, t.reference_date): getattr(t, measure) for t in totals}
    datasets = [
        {
            "label": rule_type.label,
            "data": [values.get((rule_type, day), 0) for day in days],
            "backgroundColor": RULE_COLOURS[rule_type],
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
    """Return the charts as a table, the latest day first, for screen readers."""
    values = {(t.reference_date, t.rule_type): t for t in totals}
    days = sorted({day for day, _ in values}, reverse=True)
    return {
        "headers": ["Reference date", *(rule_type.label for rule_type in RuleType)],
        "rows": [
            [
                str(day),
                *(
                    f"{total.points:,} ({total.awards:,})" if total else "0"
                    for total in (values.get((day, rule_type)) for rule_type in RuleType)
                ),
            ]
            for day in days
        ],
    }
