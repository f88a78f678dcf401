"""Business days and weeks: plain functions of an instant, a date and a time zone.

A business day is a calendar date in a zone, and as instants the half-open window
`[start of the date, start of the next date)` in UTC: 24 hours, or 23 or 25 when the clocks
change. A week is Monday to Sunday and is named by its Monday. Nothing here reads the clock.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

FIRST_DAY = date(2000, 1, 1)
LAST_DAY = date(2099, 12, 31)
FIRST_MONDAY = date(1999, 12, 27)
"""The reference date of the first week: FIRST_DAY is its Saturday."""

ONE_DAY = timedelta(days=1)
ONE_WEEK = timedelta(days=7)

_ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_OTHER_YEAR = re.compile(r"(-[0-9]+|[0-9]{5,}|0000)-[0-9]{2}-[0-9]{2}")


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """Return the first instant of `day` in `zone`, in UTC.

    Where midnight does not exist, the day begins at the instant the clocks jump; where it
    comes twice, at the first of the two.
    """
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def day_window(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return `[start, end)` of `day` in UTC; empty for a date that `zone` left out."""
    return day_start(day, zone), day_start(day + ONE_DAY, zone)


def business_date(instant: datetime, zone: ZoneInfo) -> date:
    """Return the one business day whose window holds `instant` (which must be aware)."""
    day = instant.astimezone(zone).date()
    # A zone that turns its clocks back across midnight shows a date twice; the window decides.
    if instant >= day_start(day + ONE_DAY, zone):
        return day + ONE_DAY
    if instant < day_start(day, zone):
        return day - ONE_DAY
    return day


def monday_of(day: date) -> date:
    """Return the Monday that names the week of `day`."""
    return day - timedelta(days=day.weekday())


def sunday_of(monday: date) -> date:
    """Return the last day of the week named by `monday`."""
    return monday + timedelta(days=6)


def week_days(monday: date) -> list[date]:
    """Return the seven days of the week named by `monday`, in order."""
    return [monday + timedelta(days=offset) for offset in range(7)]


def last_closed_day(now: datetime, zone: ZoneInfo) -> date:
    """Return the latest business day that has ended at `now`."""
    return business_date(now, zone) - ONE_DAY


def last_closed_week(now: datetime, zone: ZoneInfo) -> date:
    """Return the Monday of the latest week that has ended at `now`."""
    return monday_of(business_date(now, zone)) - ONE_WEEK


def days_between(first: date, last: date, step: timedelta = ONE_DAY) -> Iterator[date]:
    """Yield `first`, then every `step`, up to and including `last`."""
    day = first
    while day <= last:
        yield day
        day += step


def parse_day(text: str, *, first: date = FIRST_DAY) -> date:
    """Read `YYYY-MM-DD` in ASCII digits, and nothing else that resembles a date.

    `first` is the earliest day accepted; a reference date may be FIRST_MONDAY.

    Raises ValueError with a sentence that says what is wrong. The standard parsers accept week
    dates, dates without hyphens and digits of other scripts: too much for what decides who is
    paid.
    """
    if not text:
        raise ValueError("The date is empty; use YYYY-MM-DD.")
    bad_year = f"Year must be {FIRST_DAY.year}-{LAST_DAY.year}: {text!a:.80}."
    if _OTHER_YEAR.fullmatch(text):
        raise ValueError(bad_year)
    if not _ISO_DAY.fullmatch(text):
        raise ValueError(f"Not a date of the form YYYY-MM-DD: {text!a:.80}.")
    year, month, number = (int(part) for part in text.split("-"))
    try:
        day = date(year, month, number)
    except ValueError:
        reason = f"; {year} is not a leap year" if (month, number) == (2, 29) else ""
        raise ValueError(f"No such day: '{text}'{reason}.") from None
    if day < first:
        raise ValueError(f"{text} is before the ledger's start {FIRST_DAY}.")
    if day > LAST_DAY:
        raise ValueError(bad_year)
    return day
