"""Keeping to the zone in which the activity was counted."""

from zoneinfo import ZoneInfo

from django.conf import settings

from rewards.calendar import business_date
from rewards.exceptions import ZoneChanged
from rewards.selectors.activity import events_across_time


def require_zone_of_events() -> None:
    """Raise ZoneChanged when REWARDS_TIME_ZONE is not the one that the activity was counted in.

    Each event is stored with its business day, and so tells: a look at events from all of the
    table takes milliseconds and finds a change of half an hour. One event in a hundred may
    differ, since governments change their clocks, and zone files follow late.
    """
    zone = ZoneInfo(settings.REWARDS_TIME_ZONE)
    events = events_across_time(number=200)
    moved = [(at, day) for at, day in events if business_date(at, zone) != day]
    if len(moved) * 100 > len(events):
        at, day = moved[0]
        raise ZoneChanged(
            f"REWARDS_TIME_ZONE={zone} is not the zone of the activity stored: what happened at "
            f"{at:%FT%TZ} counts on {day}, and there it was {business_date(at, zone)}; set it back."
        )
