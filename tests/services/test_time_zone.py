"""The time zone that stored business days were made with does not change."""

from datetime import UTC, datetime, timedelta

import pytest

from rewards.exceptions import TimeZoneChanged
from rewards.services.time_zone import require_unchanged_time_zone
from tests.factories import ActivityEventFactory, HostFactory

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 16, 12, tzinfo=UTC)


def events(number, *, moved=0):
    """Store events at noon, the first `moved` of them for the day before."""
    user = HostFactory()
    return [
        ActivityEventFactory(
            user=user, occurred_at=NOON, business_date=NOON.date() - timedelta(days=n < moved)
        )
        for n in range(number)
    ]


def test_without_activity_any_zone_is_right(settings):
    settings.REWARDS_TIME_ZONE = "Asia/Kolkata"

    require_unchanged_time_zone()


@pytest.mark.parametrize("zone", ["UTC", "Africa/Monrovia"])
def test_the_same_zone_is_accepted(settings, zone):
    settings.REWARDS_TIME_ZONE = zone
    ActivityEventFactory(occurred_at=datetime(2026, 11, 16, 23, 59, tzinfo=UTC))

    require_unchanged_time_zone()


@pytest.mark.parametrize(
    ("zone", "instant", "there"),
    [
        ("Europe/Berlin", datetime(2026, 11, 16, 23, 30, tzinfo=UTC), "2026-11-17"),
        ("America/Los_Angeles", datetime(2026, 11, 16, 1, 30, tzinfo=UTC), "2026-11-15"),
    ],
)
def test_another_zone_is_refused_with_an_example(settings, zone, instant, there):
    settings.REWARDS_TIME_ZONE = zone
    ActivityEventFactory(occurred_at=instant)

    with pytest.raises(TimeZoneChanged) as refused:
        require_unchanged_time_zone()

    assert str(refused.value) == (
        f"REWARDS_TIME_ZONE={zone} is not the time zone of the stored activity: the event at "
        f"{instant:%FT%TZ} is stored for 2026-11-16, but is on {there} there; "
        "set the former time zone again."
    )


def test_one_event_in_a_hundred_may_differ():
    """Time zone data changes after the fact."""
    events(100, moved=1)

    require_unchanged_time_zone()


def test_two_events_in_a_hundred_may_not_differ():
    events(100, moved=2)

    with pytest.raises(TimeZoneChanged):
        require_unchanged_time_zone()


def test_one_event_in_ninety_nine_may_not_differ():
    events(99, moved=1)

    with pytest.raises(TimeZoneChanged):
        require_unchanged_time_zone()
