"""Days of 23 and 25 hours, without midnight or skipped by the zone; weeks across a new year."""

from datetime import UTC, date, datetime, timedelta

import pytest

from tests.faults.databases import Database
from tests.faults.jobs import write_logins

MICROSECOND = timedelta(microseconds=1)

DAYS = [
    # zone, day, its first instant and that of the next day; not computed, they are the oracle
    # 23 hours, clocks go forward at night
    ("Europe/Berlin", "2024-03-31", "2024-03-30T23:00", "2024-03-31T22:00"),
    # 25 hours, 02:00 to 03:00 occurs twice
    ("Europe/Berlin", "2024-10-27", "2024-10-26T22:00", "2024-10-27T23:00"),
    # 23 hours without midnight: the day begins at 01:00
    ("America/Santiago", "2024-09-08", "2024-09-08T04:00", "2024-09-09T03:00"),
    ("Africa/Cairo", "2024-04-26", "2024-04-25T22:00", "2024-04-26T21:00"),
    ("Asia/Beirut", "2024-03-31", "2024-03-30T22:00", "2024-03-31T21:00"),
    # 25 hours, midnight occurs twice: the day begins at the first one
    ("America/Havana", "2024-11-03", "2024-11-03T04:00", "2024-11-04T05:00"),
    # 25 hours, clocks go back across midnight: 23:00 to 24:00 of the date occurs twice
    ("America/Sao_Paulo", "2018-02-17", "2018-02-17T02:00", "2018-02-18T03:00"),
    # half an hour of daylight saving time
    ("Australia/Lord_Howe", "2024-04-07", "2024-04-06T13:00", "2024-04-07T13:30"),
    ("Australia/Lord_Howe", "2024-10-06", "2024-10-05T13:30", "2024-10-06T13:00"),
    # the days before and after a date that was skipped
    ("Pacific/Apia", "2011-12-29", "2011-12-29T10:00", "2011-12-30T10:00"),
    ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00", "2011-12-31T10:00"),
    # an offset with quarters of an hour, and one of more than half a day
    ("Asia/Kathmandu", "2024-02-29", "2024-02-28T18:15", "2024-02-29T18:15"),
    ("Pacific/Kiritimati", "2024-01-01", "2023-12-31T10:00", "2024-01-01T10:00"),
]


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(("zone", "day", "start", "end"), DAYS)
def test_an_instant_belongs_to_one_day_to_the_microsecond(
    zone, day, start, end, empty, folder, fault
):
    first, beyond = instant(start), instant(end)
    logins = [
        ("before", first - MICROSECOND),
        ("first", first),
        ("last", beyond - MICROSECOND),
        ("beyond", beyond),
    ]
    dates = [str(date.fromisoformat(day) + timedelta(days=offset)) for offset in (-2, 0, 2)]
    with empty.server.copy(empty) as database:
        set_rule(database, "DAILY_LOGIN")
        activity = write_logins(folder, logins)
        database.prepare("import_activity", str(activity), "--create-hosts", REWARDS_TIME_ZONE=zone)
        database.prepare(
            "award_daily", "--from", dates[0], "--to", dates[2], REWARDS_TIME_ZONE=zone
        )
        fault("F23", "day of 23 or 25 hours, or without one midnight")

        paid = database.query(
            "SELECT external_id FROM rewards_scorehistory JOIN rewards_user u ON u.id = user_id"
            " WHERE reference_date = %s ORDER BY 1",
            day,
        )
        assert paid == [("first",), ("last",)]
        assert len(database.state().ledger) == 4  # the other two on the days before and after
        assert database.violations(REWARDS_TIME_ZONE=zone) == set()


def test_a_date_that_the_zone_skips_has_no_awards(empty, folder, fault):
    zone = {"REWARDS_TIME_ZONE": "Pacific/Apia"}
    logins = [("host-of-the-30th-in-utc", instant("2011-12-30T12:00"))]
    with empty.server.copy(empty) as database:
        set_rule(database, "DAILY_LOGIN")
        database.prepare(
            "import_activity", str(write_logins(folder, logins)), "--create-hosts", **zone
        )
        database.prepare("award_daily", "--date", "2011-12-30", **zone)
        fault("F23", "a date that the zone skips")

        assert database.state().ledger == []
        database.prepare("award_daily", "--date", "2011-12-31", **zone)
        assert len(database.state().ledger) == 1


@pytest.mark.parametrize(
    "monday",
    [
        "2020-12-28",  # week 53, with three days in the next year
        "2019-12-30",  # week 1, with two days in the previous year
        "2024-02-26",  # with 29 February
        "2023-12-25",  # ends on 31 December
        "2024-01-01",  # begins on 1 January
        "2018-12-31",  # with one day in the previous year
    ],
)
def test_a_week_is_monday_to_sunday_across_years(monday, empty, folder, fault):
    first = instant(monday)
    beyond = first + timedelta(days=7)
    logins = [
        ("whole", first),
        ("whole", beyond - MICROSECOND),
        ("early", first - MICROSECOND),
        ("early", first),
        ("late", beyond - MICROSECOND),
        ("late", beyond),
    ]
    with empty.server.copy(empty) as database:
        set_rule(database, "WEEKLY_CONSISTENCY", threshold=2)
        database.prepare("import_activity", str(write_logins(folder, logins)), "--create-hosts")
        weeks = [str((first + timedelta(days=days)).date()) for days in (-7, 7)]
        database.prepare("award_weekly", "--from", weeks[0], "--to", weeks[1])
        fault("F26", "week across two years, or with a leap day")

        ledger = [row[:3] for row in database.state().ledger]
        assert ledger == [("whole", "WEEKLY_CONSISTENCY", date.fromisoformat(monday))]
        assert database.violations() == set()


def set_rule(database: Database, rule_type: str, threshold: int = 1) -> None:
    database.prepare(
        "set_rule", rule_type, "--threshold", str(threshold), "--points", "10",
        "--starts-on", "2000-01-01",
    )  # fmt: skip
