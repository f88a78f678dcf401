"""The time zone of the stored activity does not change."""

from rewards.engine.business_days import business_date
from rewards.exceptions import TimeZoneChanged
from rewards.selectors.activity import events_across_time
from rewards.selectors.time_zone import business_time_zone


def require_unchanged_time_zone() -> None:
    """Raise TimeZoneChanged unless stored business days are those of REWARDS_TIME_ZONE.

    A sample of 200 events from the whole table takes milliseconds and detects a change of half an
    hour. One event in a hundred may differ: governments change their clocks, and time zone data
    follows late.
    """
    zone = business_time_zone()
    events = events_across_time(number=200)
    moved = [(at, day) for at, day in events if business_date(at, zone) != day]
    if len(moved) * 100 > len(events):
        at, day = moved[0]
        raise TimeZoneChanged(
            f"REWARDS_TIME_ZONE={zone} is not the time zone of the stored activity: the event at "
            f"{at:%FT%TZ} is stored for {day}, but is on {business_date(at, zone)} there; "
            "set the former time zone again."
        )
