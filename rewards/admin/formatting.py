"""How the admin writes periods, moments, numbers and hosts."""

from datetime import date, datetime

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from rewards.choices import RULE_TYPE_SPECS, Cadence, RuleType
from rewards.selectors.time_zone import business_date


def business_today() -> date:
    """Return the business day it is now: the admin's one look at the clock."""
    return business_date(timezone.now())


def format_week(monday: date) -> str:
    """Return the name of a week."""
    return f"week of {monday}"


def format_period(cadence: str, reference_date: date) -> str:
    """Return what a reference date of `cadence` names: a day, or a week."""
    return format_week(reference_date) if cadence == Cadence.WEEKLY else f"{reference_date}"


def format_rule_period(rule_type: str, reference_date: date) -> str:
    """Return what a reference date of a rule type names."""
    return format_period(RULE_TYPE_SPECS[RuleType(rule_type)].cadence, reference_date)


def format_threshold(rule_type: str, threshold: int) -> str:
    """Return what a rule asks for, in its unit."""
    return RULE_TYPE_SPECS[RuleType(rule_type)].format_threshold(threshold)


def format_datetime(instant: datetime | None) -> str | None:
    """Return an instant to the second, with the zone it is written in."""
    return None if instant is None else f"{timezone.localtime(instant):%Y-%m-%d %H:%M:%S %Z}"


def format_number(value: int) -> str:
    """Return a number that can be read at a glance."""
    return f"{value:,}"


def link(text: object, view: str, *args: object) -> SafeString:
    """Return a link to a page of the admin."""
    return format_html(
        '<a class="text-link" href="{}">{}</a>', reverse(f"admin:{view}", args=args), text
    )


def host_link(user: int, external_id: str | None) -> SafeString:
    """Return a link to the page of a host."""
    return link(external_id or user, "rewards_host_change", user)


def format_duration(seconds: int) -> str:
    """Return how long something lasted, in the two units that matter."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
