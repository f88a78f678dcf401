"""Periods, times, numbers and links as the admin shows them."""

from datetime import date, datetime

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from rewards.choices import RULE_TYPE_SPECS, Cadence, RuleType
from rewards.models import Score, ScoreHistory
from rewards.selectors.time_zone import business_date
from rewards.wording import count

NOTHING = "–"  # noqa: RUF001 - an en dash stands for a missing value


def business_today() -> date:
    """Return today's business day: the admin reads the clock here only."""
    return business_date(timezone.now())


def format_week(monday: date) -> str:
    return f"week of {monday}"


def format_period(cadence: str, reference_date: date) -> str:
    """Return a day, or a week by its Monday."""
    return format_week(reference_date) if cadence == Cadence.WEEKLY else f"{reference_date}"


def format_rule_period(rule_type: str, reference_date: date) -> str:
    """Return the period of an award of `rule_type`."""
    return format_period(RULE_TYPE_SPECS[RuleType(rule_type)].cadence, reference_date)


def format_evidence(award: ScoreHistory) -> str:
    """Return count and threshold of an award: "8 completed video calls (3 needed)"."""
    if award.evidence is None:
        return award.get_rule_type_display()
    measured, threshold = award.evidence
    noun = RULE_TYPE_SPECS[RuleType(award.rule_type)].noun
    return f"{count(measured, noun)} ({threshold:,} needed)"


def format_datetime(instant: datetime | None) -> str | None:
    """Return an instant to the second, with its zone."""
    return None if instant is None else f"{timezone.localtime(instant):%Y-%m-%d %H:%M:%S %Z}"


def format_number(value: int) -> str:
    return f"{value:,}"


def format_duration(seconds: int) -> str:
    """Return a duration in its two largest units."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def format_weekly(score: Score | None) -> str:
    """Return the points of a score's week."""
    return f"{score.weekly:,} ({format_week(score.week_start)})" if score else "none yet"


def format_daily(score: Score | None) -> str:
    """Return the points of a score's day."""
    return f"{score.daily:,} ({score.daily_date})" if score else "none yet"


def link(text: object, view: str, *args: object) -> SafeString:
    """Return a link to a page of the admin."""
    return format_html(
        '<a class="text-link" href="{}">{}</a>', reverse(f"admin:{view}", args=args), text
    )


def host_link(user: int, external_id: str | None) -> SafeString:
    """Return a link to the page of a host."""
    return link(external_id or user, "rewards_host_change", user)
