"""What the page of a host shows: its scores, its last twelve weeks, and one month day by day."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from rewards.admin.formatting import format_number, format_week, link
from rewards.choices import RULE_TYPE_SPECS, Cadence, RuleType
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

CALENDAR_WEEKS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A day, or a week, of the calendar."""

    level: str
    """Of what it shows: "awarded", "active" or "idle"; "none" for a day to come."""
    label: str
    """The same in words."""
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the host did and was paid, by date."""

    activity: Mapping[date, DailyActivity]
    daily: Mapping[date, Sequence[ScoreHistory]]
    weekly: Mapping[date, Sequence[ScoreHistory]]


def about(host: Host, *, month: date, today: date) -> dict[str, Any]:
    """Return what is shown beside the host's own fields, in two queries whatever there is.

    `month` is the first day of the month shown day by day.
    """
    mondays = list(
        days_between(monday_of(today) - (CALENDAR_WEEKS - 1) * ONE_WEEK, monday_of(today), ONE_WEEK)
    )
    month_days = list(days_between(month, _next_month(month) - ONE_DAY))
    days = {*days_between(mondays[0], today), *month_days}
    known = _known(
        activity_of_host(user=host.pk, days=days),
        awards_of_host(user=host.pk, reference_dates=days),
    )
    return {
        "scores": _scores(host),
        "calendar": _calendar(host, known, mondays, today),
        "month": _month(host, known, month, today),
        "today": today,
        "may_deactivate": host.left_on is None,
    }


def score_of(host: Host) -> Score | None:
    """Return the score of a host; one who never earned has none."""
    score: Score | None = getattr(host, "score", None)
    return score


def explain_url(host: int, day: date) -> str:
    """Return where a day of a host is explained."""
    return f"{reverse('admin:rewards_host_explain', args=[host])}?day={day}"


def _known(activity: Mapping[date, DailyActivity], awards: Iterable[ScoreHistory]) -> _Known:
    by_cadence: dict[Cadence, defaultdict[date, list[ScoreHistory]]] = {
        cadence: defaultdict(list) for cadence in Cadence
    }
    for award in awards:
        cadence = RULE_TYPE_SPECS[RuleType(award.rule_type)].cadence
        by_cadence[cadence][award.reference_date].append(award)
    return _Known(
        activity=activity, daily=by_cadence[Cadence.DAILY], weekly=by_cadence[Cadence.WEEKLY]
    )


def _scores(host: Host) -> list[dict[str, str]]:
    score = score_of(host)
    if score is None:
        return [{"title": "Lifetime", "value": "0", "note": "no award yet"}]
    return [
        {"title": "Lifetime", "value": format_number(score.lifetime), "note": "all awards"},
        {
            "title": "Weekly",
            "value": format_number(score.weekly),
            "note": format_week(score.week_start),
        },
        {
            "title": "Daily",
            "value": format_number(score.daily),
            "note": f"{score.daily_date:%A}, {score.daily_date}",
        },
    ]


def _calendar(host: Host, known: _Known, mondays: Sequence[date], today: date) -> dict[str, Any]:
    """Return the months over the weeks, and the rows: the weekdays, then the weeks as such."""
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
                    "cells": [_day_cell(host, known, days[weekday], today) for days in weeks],
                }
                for weekday in range(7)
            ),
            {"name": "Week", "cells": [_week_cell(host, known, monday) for monday in mondays]},
        ],
    }


def _day_cell(host: Host, known: _Known, day: date, today: date) -> Cell:
    if day > today:
        return Cell(level="none", label="", href="")
    points = sum(award.points for award in known.daily.get(day, ()))
    return _cell(host, day, f"{day:%a} {day}", points, is_active=day in known.activity)


def _week_cell(host: Host, known: _Known, monday: date) -> Cell:
    points = sum(award.points for award in known.weekly.get(monday, ()))
    active = sum(day in known.activity for day in week_days(monday))
    return _cell(
        host, monday, f"{format_week(monday)}, {active} active days", points, is_active=False
    )


def _cell(host: Host, day: date, name: str, points: int, *, is_active: bool) -> Cell:
    if points:
        level, what = "awarded", f"{points:,} points"
    elif is_active:
        level, what = "active", "active, no award"
    else:
        level, what = "idle", "no award" if "week" in name else "not active"
    return Cell(level=level, label=f"{name}: {what}", href=explain_url(host.pk, day))


def _month(host: Host, known: _Known, month: date, today: date) -> dict[str, Any]:
    days = [day for day in days_between(month, _next_month(month) - ONE_DAY) if day <= today]
    rows = [
        _month_row(host, known, day)
        for day in reversed(days)
        if day in known.activity or known.daily.get(day) or known.weekly.get(day)
    ]
    points = sum(
        award.points
        for awards in (known.daily, known.weekly)
        for day in days
        for award in awards.get(day, ())
    )
    earlier, later = _first_of(month - ONE_DAY), _next_month(month)
    active = sum(day in known.activity for day in days)
    return {
        "title": f"{month:%B %Y}",
        "summary": f"{active} active day{'' if active == 1 else 's'}, {points:,} points",
        "earlier": f"{earlier:%Y-%m}" if earlier >= FIRST_DAY else "",
        "later": f"{later:%Y-%m}" if later <= min(today, LAST_DAY) else "",
        "table": {
            "headers": ["Day", "Points", "Logins", "Audio", "Video", "For"],
            "rows": rows,
        },
    }


def _month_row(host: Host, known: _Known, day: date) -> list[str | SafeString]:
    did = known.activity.get(day)
    awards = [*known.daily.get(day, ()), *known.weekly.get(day, ())]
    return [
        format_html(
            '<a class="text-link" href="{}">{}</a>', explain_url(host.pk, day), f"{day:%a} {day}"
        ),
        format_number(sum(award.points for award in awards)) if awards else "–",  # noqa: RUF001 - nothing to show
        format_number(did.logins) if did else "0",
        format_number(did.audio_calls) if did else "0",
        format_number(did.video_calls) if did else "0",
        format_html_join(", ", "{}", ((_award(award),) for award in awards)),
    ]


def _award(award: ScoreHistory) -> SafeString:
    terms = RULE_TYPE_SPECS[RuleType(award.rule_type)]
    what = terms.counted.removeprefix("completed ")
    week_of = "week: " if terms.cadence == Cadence.WEEKLY else ""
    text = f"{week_of}{award.measured:,} of {award.threshold:,} {what}"
    return link(text, "rewards_scorehistory_change", award.pk)


def parse_month(text: str, *, today: date) -> date:
    """Read `YYYY-MM`; whatever else is asked for is the month at hand."""
    try:
        year, number_of_month = (int(part) for part in text.split("-"))
        month = date(year, number_of_month, 1)
    except ValueError:
        return _first_of(today)
    return month if FIRST_DAY <= month <= today else _first_of(today)


def _first_of(day: date) -> date:
    return day.replace(day=1)


def _next_month(month: date) -> date:
    return _first_of(month + timedelta(days=31))
