"""Settings that stored counts depend on do not change once there is activity."""

import logging

from django.conf import settings
from django.db import connection

from rewards.engine.business_days import business_date
from rewards.exceptions import MinCallSecondsChanged, SettingChanged, TimeZoneChanged
from rewards.models import ActivitySettings
from rewards.selectors.activity import events_across_time
from rewards.selectors.database import database_key
from rewards.selectors.time_zone import business_time_zone

logger = logging.getLogger(__name__)


def require_unchanged_settings() -> None:
    """Raise TimeZoneChanged or MinCallSecondsChanged unless the stored activity agrees."""
    require_unchanged_time_zone()
    require_unchanged_min_call_seconds()


_agreeing: set[tuple[object, ...]] = set()
"""The databases whose stored activity agrees with the settings of this process."""

_reported: set[tuple[object, ...]] = set()
"""Those that do not agree, as the log says."""


def require_unchanged_settings_once() -> bool:
    """Raise as require_unchanged_settings() does, which a request has no time for.

    Return whether the stored activity has recorded its settings. From then on they cannot differ,
    and this process does not ask the same database again. If they differ already, the log gets one
    error, not one for each request.
    """
    database = database_key()
    if database not in _agreeing:
        # Asked first: what is recorded after the check may be other settings.
        is_recorded = ActivitySettings.objects.exists()
        try:
            require_unchanged_settings()
        except SettingChanged as changed:
            if database not in _reported:
                _reported.add(database)
                logger.error("No event is stored: %s", changed)
            raise
        if not is_recorded:
            return False
        _agreeing.add(database)
    return True


def forget_unchanged_settings() -> None:
    """Let the next request check the settings again: for tests, which change them."""
    _agreeing.clear()
    _reported.clear()


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


def require_unchanged_min_call_seconds() -> None:
    """Raise MinCallSecondsChanged unless calls were counted with REWARDS_MIN_CALL_SECONDS."""
    stored = ActivitySettings.objects.values_list("min_call_seconds", flat=True).first()
    if stored not in {None, settings.REWARDS_MIN_CALL_SECONDS}:
        raise MinCallSecondsChanged(
            f"REWARDS_MIN_CALL_SECONDS={settings.REWARDS_MIN_CALL_SECONDS} is not the value that "
            f"the stored calls were counted with; set it to {stored}."
        )


def record_min_call_seconds() -> None:
    """Record the value with the first activity, in the transaction that stores it.

    Raises MinCallSecondsChanged if another process has recorded another value first. That process
    may not have committed yet: the insert waits for it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO rewards_activitysettings (id, min_call_seconds) VALUES (1, %s)"
            " ON CONFLICT DO NOTHING",
            [settings.REWARDS_MIN_CALL_SECONDS],
        )
        is_first = cursor.rowcount == 1
    if not is_first:
        require_unchanged_min_call_seconds()
