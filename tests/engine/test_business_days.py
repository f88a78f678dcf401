from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from rewards.engine import business_days


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("UTC", date(2026, 3, 29), 24),
        ("Europe/Berlin", date(2026, 3, 29), 23),  # clocks go forward at night
        ("Europe/Berlin", date(2026, 10, 25), 25),  # clocks go back at night
        ("America/Santiago", date(2026, 9, 6), 23),  # midnight does not exist
        ("Africa/Cairo", date(2026, 4, 24), 23),  # midnight does not exist
        ("Asia/Beirut", date(2026, 3, 29), 23),  # midnight does not exist
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),  # half an hour of summer time
        ("Pacific/Apia", date(2011, 12, 30), 0),  # the date that was left out
    ],
)
def test_a_day_lasts_from_midnight_to_midnight(zone, day, hours):
    start, end = business_days.day_window(day, ZoneInfo(zone))

    assert end - start == timedelta(hours=hours)


def test_a_window_is_in_utc():
    start, end = business_days.day_window(date(2026, 11, 16), ZoneInfo("Asia/Kolkata"))

    assert (start, end) == (
        datetime(2026, 11, 15, 18, 30, tzinfo=UTC),
        datetime(2026, 11, 16, 18, 30, tzinfo=UTC),
    )
    assert start.tzinfo is end.tzinfo is UTC


@pytest.mark.parametrize(
    "zone",
    [
        "UTC",
        "Europe/Berlin",
        "America/Santiago",
        "Africa/Cairo",
        "Asia/Kolkata",
        "America/St_Johns",
    ],
)
def test_an_instant_is_in_the_window_of_its_day(zone):
    zone = ZoneInfo(zone)
    microsecond = timedelta(microseconds=1)
    for offset in range(0, 366 * 11, 3):
        day = date(2000, 1, 1) + timedelta(days=offset)
        start, end = business_days.day_window(day, zone)

        assert business_days.business_date(start, zone) == day
        assert business_days.business_date(start - microsecond, zone) == day - timedelta(days=1)
        assert business_days.business_date(end - microsecond, zone) == day
        assert business_days.business_date(end, zone) == day + timedelta(days=1)


@pytest.mark.parametrize(
    ("zone", "instant", "shown", "day"),
    [
        # At 00:01 on the 7th the clocks go back to 23:01 on the 6th.
        ("America/St_Johns", datetime(2010, 11, 7, 3, tzinfo=UTC), 6, date(2010, 11, 7)),
        # At 23:30 on the 30th the clocks go forward to 00:30 on the 31st.
        ("America/Toronto", datetime(1919, 3, 31, 4, 45, tzinfo=UTC), 31, date(1919, 3, 30)),
    ],
)
def test_the_window_decides_where_the_clock_shows_another_day(zone, instant, shown, day):
    assert instant.astimezone(ZoneInfo(zone)).day == shown

    assert business_days.business_date(instant, ZoneInfo(zone)) == day
    start, end = business_days.day_window(day, ZoneInfo(zone))
    assert start <= instant < end


def test_a_week_is_named_by_its_monday():
    sunday = date(2027, 1, 3)  # the last day of the 53rd week of 2026

    monday = business_days.monday_of(sunday)

    assert monday == date(2026, 12, 28)
    assert business_days.sunday_of(monday) == sunday
    assert business_days.week_days(monday) == [
        *(date(2026, 12, day) for day in range(28, 32)),
        *(date(2027, 1, day) for day in range(1, 4)),
    ]
    assert {business_days.monday_of(day) for day in business_days.week_days(monday)} == {monday}


def test_days_between_include_both_ends():
    first = date(2026, 11, 16)

    assert list(business_days.days_between(first, first)) == [first]
    assert list(business_days.days_between(first, first - timedelta(days=1))) == []
    assert list(business_days.days_between(first, first + timedelta(days=2))) == [
        first,
        first + timedelta(days=1),
        first + timedelta(days=2),
    ]
    assert list(
        business_days.days_between(first, first + timedelta(days=13), business_days.ONE_WEEK)
    ) == [first, first + timedelta(days=7)]


@pytest.mark.parametrize(
    ("second", "day", "week"),
    [
        # Until 18:30 UTC it is Sunday in Kolkata.
        (59, date(2026, 11, 21), date(2026, 11, 9)),
        (60, date(2026, 11, 22), date(2026, 11, 16)),
    ],
)
def test_a_period_is_closed_once_it_has_ended_in_the_zone(second, day, week):
    zone = ZoneInfo("Asia/Kolkata")
    now = datetime(2026, 11, 22, 18, 29, tzinfo=UTC) + timedelta(seconds=second)

    assert business_days.last_closed_day(now, zone) == day
    assert business_days.last_closed_week(now, zone) == week


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The date is empty; use YYYY-MM-DD."),
        ("2026-02-30", "No such day: '2026-02-30'."),
        ("2026-01-32", "No such day: '2026-01-32'."),
        ("2025-02-29", "No such day: '2025-02-29'; 2025 is not a leap year."),
        ("2026-2-3", "Not a date of the form YYYY-MM-DD: '2026-2-3'."),
        ("20260203", "Not a date of the form YYYY-MM-DD: '20260203'."),
        ("2026-W05-1", "Not a date of the form YYYY-MM-DD: '2026-W05-1'."),
        ("2026/02/03", "Not a date of the form YYYY-MM-DD: '2026/02/03'."),
        ("2026-02-03T00:00", "Not a date of the form YYYY-MM-DD: '2026-02-03T00:00'."),
        ("2026-02-03\n", "Not a date of the form YYYY-MM-DD: '2026-02-03\\n'."),
        ("yesterday", "Not a date of the form YYYY-MM-DD: 'yesterday'."),
        ("1969-12-31", "1969-12-31 is before the ledger's start 2000-01-01."),
        ("10000-01-01", "Year must be 2000-2099: '10000-01-01'."),
        ("0000-01-01", "Year must be 2000-2099: '0000-01-01'."),
        ("-2026-01-01", "Year must be 2000-2099: '-2026-01-01'."),
        ("2100-01-01", "Year must be 2000-2099: '2100-01-01'."),
    ],
)
def test_a_text_that_is_no_date_is_refused(text, message):
    with pytest.raises(ValueError, match=r".") as refused:
        business_days.parse_day(text)

    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2000-01-01", date(2000, 1, 1)),
        ("2099-12-31", date(2099, 12, 31)),
        ("2024-02-29", date(2024, 2, 29)),
    ],
)
def test_the_days_of_the_ledger_are_accepted(text, day):
    assert business_days.parse_day(text) == day


def test_the_first_monday_is_accepted_where_a_week_may_be_meant():
    first = business_days.FIRST_MONDAY

    assert business_days.monday_of(business_days.FIRST_DAY) == first
    assert business_days.parse_day("1999-12-27", first=first) == first
    with pytest.raises(ValueError, match="1999-12-26 is before the ledger's start 2000-01-01"):
        business_days.parse_day("1999-12-26", first=first)


def test_a_long_text_is_shortened_in_its_refusal():
    with pytest.raises(ValueError, match="x") as refused:
        business_days.parse_day("x" * 1_000)

    assert str(refused.value) == f"Not a date of the form YYYY-MM-DD: '{'x' * 79}."
