"""The context of a host's page: its scores, its last twelve weeks, and one month day by day."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from rewards.admin.formatting import (
    NOTHING,
    business_today,
    format_evidence,
    format_number,
    format_week,
    link,
)
from rewards.choices import Cadence, RunKind
from rewards.engine.business_days import (
    FIRST_DAY,
    LAST_DAY,
    ONE_DAY,
    ONE_WEEK,
    days_between,
    monday_of,
    week_days,
)
from rewards.models import DailyActivity, Host, Score, ScoreHistory
from rewards.selectors.hosts import activity_of_host, awards_of_host
from rewards.wording import count

CALENDAR_WEEKS = 12

STATE_COLOURS = {"active": "success", "leaving": "warning"}
"""Other states have no colour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A day or a week of the calendar."""

    level: str
    """"awarded", "active" or "idle"; "none" for a day that has not come."""
    label: str
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _History:
    """The activity and the awards of the host, by date."""

    activity: Mapping[date, DailyActivity]
    daily: Mapping[date, Sequence[ScoreHistory]]
    weekly: Mapping[date, Sequence[ScoreHistory]]


def host_context(host: Host, *, month: date, today: date) -> dict[str, Any]:
    """Return the context of the page of `host`. Two queries, and one for its score.

    `month` is the first day of the month shown day by day.
    """
    mondays = list(
        days_between(monday_of(today) - (CALENDAR_WEEKS - 1) * ONE_WEEK, monday_of(today), ONE_WEEK)
    )
    days = {*days_between(mondays[0], today), *days_between(month, _next_month(month) - ONE_DAY)}
    history = _history(
        activity_of_host(user=host.pk, days=days),
        awards_of_host(user=host.pk, reference_dates=days),
    )
    state, text = host_state(host)
    return {
        "state": {"text": text, "colour": STATE_COLOURS.get(state, "")},
        "scores": _scores(host),
        "calendar": _calendar(host, history, mondays, today),
        "month": _month(host, history, month, today),
    }


def host_state(host: Host) -> tuple[str, str]:
    """Return the state of the host, as a key and in words."""
    if host.left_on is None:
        return "active", "active"
    if host.left_on >= business_today():
        return "leaving", f"leaves after {host.left_on}"
    return "left", f"left after {host.left_on}"


def score_of(host: Host) -> Score | None:
    """Return the score of a host; a host without an award has none."""
    score: Score | None = getattr(host, "score", None)
    return score


def explain_url(host: int, day: date) -> str:
    return f"{reverse('admin:rewards_host_explain', args=[host])}?day={day}"


def parse_month(text: str, *, today: date) -> date:
    """Read `YYYY-MM`; return this month if it is invalid or in the future."""
    try:
        year, number = (int(part) for part in text.split("-"))
        month = date(year, number, 1)
    except ValueError:
        return _first_of(today)
    return month if FIRST_DAY <= month <= today else _first_of(today)


def _history(activity: Mapping[date, DailyActivity], awards: Iterable[ScoreHistory]) -> _History:
    by_cadence: dict[Cadence, defaultdict[date, list[ScoreHistory]]] = {
        cadence: defaultdict(list) for cadence in Cadence
    }
    for award in awards:
        cadence = award.cadence
        by_cadence[cadence][award.reference_date].append(award)
    return _History(
        activity=activity, daily=by_cadence[Cadence.DAILY], weekly=by_cadence[Cadence.WEEKLY]
    )


def _scores(host: Host) -> list[dict[str, str]]:
    score = score_of(host)
    if score is None:
        return [{"title": "Lifetime", "value": "0", "note": "no award yet"}]
    return [
        {"title": title, "value": format_number(points), "note": note}
        for title, points, note in (
            ("Lifetime", score.lifetime, "all awards"),
            ("Weekly", score.weekly, format_week(score.week_start)),
            ("Daily", score.daily, f"{score.daily_date:%A}, {score.daily_date}"),
        )
    ]


def _calendar(host: Host, history: _History, mondays: Sequence[date], today: date) -> Any:
    """Return the months above the weeks, then a row for each weekday and one for the weeks."""
    weeks = [week_days(monday) for monday in mondays]
    months = [f"{days[-1]:%b}" for days in weeks]
    return {
        "months": [
            month if month != before else ""
            for before, month in zip(["", *months], months, strict=False)
        ],
        "rows": [
            *(
                {
                    "name": f"{weeks[0][weekday]:%a}",
                    "cells": [_day_cell(host, history, days[weekday], today) for days in weeks],
                }
                for weekday in range(7)
            ),
            {"name": "Week", "cells": [_week_cell(host, history, monday) for monday in mondays]},
        ],
    }


def _day_cell(host: Host, history: _History, day: date, today: date) -> Cell:
    if day > today:
        return Cell(level="none", label="", href="")
    points = sum(award.points for award in history.daily.get(day, ()))
    if day in history.activity:
        return _cell(host, day, f"{day:%a} {day}", points, "active", "active, no award")
    return _cell(host, day, f"{day:%a} {day}", points, "idle", "not active")


def _week_cell(host: Host, history: _History, monday: date) -> Cell:
    points = sum(award.points for award in history.weekly.get(monday, ()))
    active = sum(day in history.activity for day in week_days(monday))
    name = f"{format_week(monday)}, {count(active, 'active day')}"
    return _cell(host, monday, name, points, "idle", "no award")


def _cell(host: Host, day: date, name: str, points: int, level: str, text: str) -> Cell:
    if points:
        level, text = "awarded", count(points, "point")
    return Cell(level=level, label=f"{name}: {text}", href=explain_url(host.pk, day))


def _month(host: Host, history: _History, month: date, today: date) -> dict[str, Any]:
    days = [day for day in days_between(month, _next_month(month) - ONE_DAY) if day <= today]
    awards = {day: [*history.daily.get(day, ()), *history.weekly.get(day, ())] for day in days}
    active = sum(day in history.activity for day in days)
    points = sum(award.points for day in days for award in awards[day])
    earlier, later = _first_of(month - ONE_DAY), _next_month(month)
    return {
        "title": f"{month:%B %Y}",
        "summary": f"{count(active, 'active day')}, {count(points, 'point')}",
        "earlier": f"{earlier:%Y-%m}" if earlier >= FIRST_DAY else "",
        "later": f"{later:%Y-%m}" if later <= min(today, LAST_DAY) else "",
        "table": {
            "headers": ["Day", "Points", "Logins", "Audio", "Video", "Awards"],
            "rows": [
                _month_row(host, day, history.activity.get(day), awards[day])
                for day in reversed(days)
                if day in history.activity or awards[day]
            ],
        },
    }


def _month_row(
    host: Host, day: date, activity: DailyActivity | None, awards: Sequence[ScoreHistory]
) -> list[str | SafeString]:
    return [
        format_html(
            '<a class="text-link" href="{}">{}</a>', explain_url(host.pk, day), f"{day:%a} {day}"
        ),
        format_number(sum(award.points for award in awards)) if awards else NOTHING,
        format_number(activity.logins) if activity else "0",
        format_number(activity.audio_calls) if activity else "0",
        format_number(activity.video_calls) if activity else "0",
        format_html_join(", ", "{}", ((_award_link(award),) for award in awards)),
    ]


def _award_link(award: ScoreHistory) -> SafeString:
    is_weekly = award.cadence == Cadence.WEEKLY
    text = f"{'week: ' if is_weekly else ''}{format_evidence(award).replace('completed ', '')}"
    if award.run is not None and award.run.kind == RunKind.LIVE:
        text += f", live at {timezone.localtime(award.created_at):%H:%M}"
    return link(text, "rewards_scorehistory_change", award.pk)


def _first_of(day: date) -> date:
    return day.replace(day=1)


def _next_month(month: date) -> date:
    return _first_of(month + timedelta(days=31))
