"""The time zone whose calendar dates are the business days."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.conf import settings

from rewards.engine import business_days


def business_time_zone() -> ZoneInfo:
    """Return REWARDS_TIME_ZONE."""
    return ZoneInfo(settings.REWARDS_TIME_ZONE)


def business_date(instant: datetime) -> date:
    """Return the business day of `instant`, which must be aware."""
    return business_days.business_date(instant, business_time_zone())
