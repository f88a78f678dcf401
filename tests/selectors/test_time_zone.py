from datetime import UTC, date, datetime

import pytest

from rewards.selectors.time_zone import business_date, business_time_zone


@pytest.mark.parametrize(
    ("zone", "day"),
    [("UTC", date(2026, 11, 16)), ("Europe/Berlin", date(2026, 11, 17))],
)
def test_the_business_day_is_that_of_the_setting(zone, day, settings):
    settings.REWARDS_TIME_ZONE = zone

    assert business_time_zone().key == zone
    assert business_date(datetime(2026, 11, 16, 23, 30, tzinfo=UTC)) == day
