"""The settings that the stored activity was counted with do not change."""

from datetime import UTC, datetime, timedelta

import pytest

from rewards.exceptions import MinCallSecondsChanged, TimeZoneChanged
from rewards.models import ActivityEvent, ActivitySettings, DailyActivity
from rewards.services.activity.importing import import_activity
from rewards.services.unchanged_settings import (
    require_unchanged_settings,
    require_unchanged_time_zone,
)
from tests.factories import ActivityEventFactory, HostFactory

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 16, 12, tzinfo=UTC)


HEADER = "event_id,user_id,kind,occurred_at,duration_seconds\n"

CHANGED = "REWARDS_MIN_CALL_SECONDS={} is not the value that the stored calls were counted with; "


@pytest.fixture
def import_rows(tmp_path):
    """Return a function that imports rows, creating their hosts."""

    def run(*rows):
        path = tmp_path / "a.csv"
        path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
        return import_activity(path=path, source="app", create_hosts=True, now=NOON)

    return run


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


# --- REWARDS_MIN_CALL_SECONDS -----------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        # This call counts under the one value and not under the other.
        "e1,u1,audio_call,2026-11-16T11:00:00Z,10",
        # Rows that count under both values, or under neither, tell nothing. The next may.
        "e1,u1,audio_call,2026-11-16T11:00:00Z,600",
        "e1,u1,audio_call,2026-11-16T11:00:00Z,0",
        "e1,u1,login,2026-11-16T11:00:00Z,0",
    ],
)
def test_the_first_activity_fixes_the_min_call_seconds(row, import_rows, settings):
    import_rows(row)
    assert ActivitySettings.objects.get().min_call_seconds == 1

    settings.REWARDS_MIN_CALL_SECONDS = 30
    for refuse in (require_unchanged_settings, lambda: import_rows("e2" + row[2:])):
        with pytest.raises(MinCallSecondsChanged) as refused:
            refuse()
        assert str(refused.value) == CHANGED.format(30) + "set it to 1."
    assert ActivityEvent.objects.count() == 1

    settings.REWARDS_MIN_CALL_SECONDS = 1
    require_unchanged_settings()
    assert import_rows("e2" + row[2:]).stored == 1


@pytest.mark.parametrize("value", [0, 5])
def test_any_value_of_the_min_call_seconds_can_be_the_first(value, import_rows, settings):
    settings.REWARDS_MIN_CALL_SECONDS = value
    import_rows("e1,u1,audio_call,2026-11-16T11:00:00Z,3")

    require_unchanged_settings()
    assert DailyActivity.objects.count() == (value == 0)
    settings.REWARDS_MIN_CALL_SECONDS = 1
    with pytest.raises(MinCallSecondsChanged, match=f"set it to {value}"):
        require_unchanged_settings()


def test_an_import_that_stores_nothing_fixes_nothing(import_rows, settings):
    report = import_rows("e1,u1,audio_call,never,10")

    assert (report.rejected, ActivitySettings.objects.count()) == (1, 0)
    settings.REWARDS_MIN_CALL_SECONDS = 30
    require_unchanged_settings()
