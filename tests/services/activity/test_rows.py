"""Which rows are accepted, and what is said of the rest."""

import csv
import json
import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from rewards.services.activity.reading import COLUMNS, MAX_LINE_BYTES
from rewards.services.activity.rows import RowParser, _BusinessDates

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
GOOD = {
    "event_id": "e1",
    "user_id": "u1",
    "kind": "login",
    "occurred_at": "2026-11-16T12:00:00Z",
    "duration_seconds": "0",
}


def parsed(*lines, columns=COLUMNS, zone="UTC"):
    lines = [line if isinstance(line, bytes) else line.encode() for line in lines]
    parser = RowParser(columns=columns, zone=ZoneInfo(zone), now=NOW)
    return parser.parse(lines, first_line=2)


def csv_line(**cells):
    return ",".join((GOOD | cells).values())


def json_line(**values):
    return json.dumps(GOOD | {"duration_seconds": 0} | values)


def stored(chunk):
    """The rows as the database will read them: line, business date, cells."""
    return list(csv.reader(row.decode() for row in chunk.rows))


def refusal(chunk):
    """What is said of the only row, and by which part of it it is counted."""
    (rejection,) = chunk.rejected
    assert chunk.rows == []
    return rejection.part, rejection.reason


@pytest.mark.parametrize(
    "cells",
    [
        {},
        {"event_id": "!" * 128, "user_id": "~" * 128},
        {"kind": "audio_call", "duration_seconds": "86400"},
        {"kind": "video_call", "duration_seconds": "00005"},
        {"occurred_at": "2026-11-16T12:00Z"},
        {"occurred_at": "2026-11-16T12:00:00.123456+05:30"},
        {"occurred_at": "2026-11-16T12:00:00-00:00"},
        {"occurred_at": "2000-01-01T00:00:00Z"},  # the first instant of all
        {"occurred_at": "2026-11-24T03:05:00Z"},  # five minutes ahead of now
        # Text that a spreadsheet takes for a formula, a browser for markup: stored as it is.
        {"event_id": "=cmd()", "user_id": "+1"},
        {"event_id": "-1", "user_id": "@x"},
        {"event_id": "<script>", "user_id": "';DROP"},
        {"event_id": "\\.", "user_id": "\\N"},  # what COPY takes for an end and a NULL
    ],
)
def test_a_good_row_goes_on_as_it_is(cells):
    row = list((GOOD | cells).values())

    (as_csv,) = stored(parsed(csv_line(**cells)))
    (as_json,) = stored(
        parsed(json_line(**cells | {"duration_seconds": int(row[4])}), columns=None)
    )
    (quoted,) = stored(parsed(",".join(f'"{cell}"' for cell in row)))
    (reversed_,) = stored(parsed(",".join(row[::-1]), columns=COLUMNS[::-1]))

    assert as_csv == quoted == reversed_ == ["2", as_csv[1], *row]
    assert as_json == ["2", as_csv[1], *row[:4], str(int(row[4]))]


@pytest.mark.parametrize("event_id", ['a"b', "a,b", '"', ",", '","'])
def test_an_id_may_hold_quotes_and_commas(event_id):
    quoted = '"{}"'.format(event_id.replace('"', '""'))

    (row,) = stored(parsed(csv_line(event_id=quoted)))
    (as_json,) = stored(parsed(json_line(event_id=event_id), columns=None))

    assert row[2] == as_json[2] == event_id


@pytest.mark.parametrize(
    ("zone", "occurred_at", "day"),
    [
        ("UTC", "2026-11-16T23:59:59.999999Z", "2026-11-16"),
        ("Asia/Kolkata", "2026-11-15T18:29:59Z", "2026-11-15"),
        ("Asia/Kolkata", "2026-11-15T18:30:00Z", "2026-11-16"),  # the hour holds two days
        ("America/Los_Angeles", "2026-11-16T07:59:59Z", "2026-11-15"),
        ("UTC", "2026-11-16T00:30:00+01:00", "2026-11-15"),
        ("America/Santiago", "2026-09-06T04:00:00Z", "2026-09-06"),  # 00:00 does not exist
        ("America/Santiago", "2026-09-06T03:59:59Z", "2026-09-05"),
    ],
)
def test_a_row_is_counted_on_its_business_day(zone, occurred_at, day):
    (row,) = stored(parsed(csv_line(occurred_at=occurred_at), zone=zone))

    assert row[1] == day


def test_remembered_hours_are_bounded(monkeypatch):
    monkeypatch.setattr(_BusinessDates, "MAX_HOURS", 3)
    dates = _BusinessDates(ZoneInfo("UTC"), NOW)

    for hour in range(10):
        assert dates[b"2026-11-16T0%d" % hour, b"Z"] == b"2026-11-16"

    assert len(dates) <= 3


SECONDS = "use digits 0-9, 0 to 86400"
VISIBLE = "use 1 to 128 visible ASCII characters"


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        # ids
        ("event_id", "", f"event_id is empty; {VISIBLE}"),
        ("event_id", "x" * 129, f"'{'x' * 79} of 129 characters: {VISIBLE}"),
        ("event_id", "a b", f"bad event_id 'a b' of 3 characters: {VISIBLE}"),
        ("event_id", "a\x1b", f"bad event_id 'a\\x1b' of 2 characters: {VISIBLE}"),
        ("event_id", "\tx", f"bad event_id '\\tx' of 2 characters: {VISIBLE}"),
        ("user_id", "", f"user_id is empty; {VISIBLE}"),
        ("user_id", "u\u202e1", f"bad user_id 'u\\u202e1' of 3 characters: {VISIBLE}"),
        ("user_id", "u\u200b", f"bad user_id 'u\\u200b' of 2 characters: {VISIBLE}"),
        ("user_id", "ü", f"bad user_id '\\xfc' of 1 characters: {VISIBLE}"),
        # kinds
        ("kind", "", "unknown kind ''; known: login, audio_call, video_call"),
        ("kind", "call", "unknown kind 'call'; known: login, audio_call, video_call"),
        ("kind", "LOGIN", "unknown kind 'LOGIN'; known: login, audio_call, video_call"),
        # seconds
        ("duration_seconds", "", f"is not a whole number of seconds: ''; {SECONDS}"),
        ("duration_seconds", "-1", f"negative duration_seconds: '-1'; {SECONDS}"),
        ("duration_seconds", "1.5", "not a whole number of seconds: '1.5'"),
        ("duration_seconds", "NaN", "not a whole number of seconds: 'NaN'"),
        ("duration_seconds", "1e400", "not a whole number of seconds: '1e400'"),
        ("duration_seconds", "0x10", "not a whole number of seconds: '0x10'"),
        ("duration_seconds", "１２", "not a whole number of seconds: '\\uff11\\uff12'"),
        ("duration_seconds", "1_000", "not a whole number of seconds: '1_000'"),
        ("duration_seconds", "+1", "not a whole number of seconds: '+1'"),
        ("duration_seconds", " 1", "not a whole number of seconds: ' 1'"),
        ("duration_seconds", "²", "not a whole number of seconds: '\\xb2'"),
        ("duration_seconds", "86401", f"too long a call: '86401'; {SECONDS}"),
        ("duration_seconds", "2147483648", "too long a call: '2147483648'"),
        ("duration_seconds", "9223372036854775808", "too long a call: '9223372036854775808'"),
        ("duration_seconds", "9" * 5_000, f"too long a call: '{'9' * 79}; {SECONDS}"),
        # times
        ("occurred_at", "", "occurred_at is empty; use ISO 8601 with an offset, such as 2026"),
        ("occurred_at", "yesterday", "bad occurred_at 'yesterday': use ISO 8601 with an offset"),
        ("occurred_at", "2026-11-16", "bad occurred_at '2026-11-16': use ISO 8601"),
        ("occurred_at", "2026-11-16 12:00:00Z", "bad occurred_at '2026-11-16 12:00:00Z': use"),
        ("occurred_at", "20261116T120000Z", "bad occurred_at '20261116T120000Z': use"),
        ("occurred_at", "2026-11-16T12:00:00z", "bad occurred_at '2026-11-16T12:00:00z': use"),
        ("occurred_at", "1763294400", "bad occurred_at '1763294400': use"),
        ("occurred_at", "2026-11-16T12:00:00+16:00", "bad occurred_at '2026-11-16T12:00:00+16"),
        ("occurred_at", "2026-11-16T12:00:00.1234567Z", "bad occurred_at '2026-11-16T12:00:00.1"),
        ("occurred_at", "２０２６-11-16T12:00:00Z", "bad occurred_at '\\uff12\\uff10\\uff12"),
        ("occurred_at", "2026-11-16T12:00:00", "time zone missing: '2026-11-16T12:00:00'; add Z"),
        ("occurred_at", "2026-02-30T12:00:00Z", "no such time: '2026-02-30T12:00:00Z'"),
        ("occurred_at", "2026-11-16T24:00:00Z", "no such time: '2026-11-16T24:00:00Z'"),
        ("occurred_at", "2026-11-16T12:60:00Z", "no such time: '2026-11-16T12:60:00Z'"),
        ("occurred_at", "2026-12-31T23:59:60Z", "no such time: '2026-12-31T23:59:60Z'"),
        ("occurred_at", "0000-01-01T00:00:00Z", "no such time: '0000-01-01T00:00:00Z'"),
        (
            "occurred_at",
            "2026-11-24T03:05:01Z",
            "'2026-11-24T03:05:01Z' is in the future; accepted until 2026-11-24T03:05:00Z",
        ),
        ("occurred_at", "9999-12-31T23:59:59-15:59", "is in the future; accepted until"),
        ("occurred_at", "1999-12-31T23:59:59Z", "is too old; accepted from 2000-01-01"),
        ("occurred_at", "0001-01-01T00:00:00+15:59", "is too old; accepted from 2000-01-01"),
    ],
)
def test_a_bad_cell_is_named_with_its_value_and_what_is_accepted(column, value, reason):
    as_csv = refusal(parsed(csv_line(**{column: value})))

    assert as_csv[0] == column
    assert reason in as_csv[1]
    if column != "duration_seconds":
        assert refusal(parsed(json_line(**{column: value}), columns=None)) == as_csv


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("e1,u1,login,2026-11-16T12:00:00Z", "4 cells, expected 5: 'e1,u1,login,2026"),  # short
        (csv_line() + ",", "6 cells, expected 5"),  # long
        ("e1,u1,audio_call,2026-11-16T12:00:00Z,1,000", "6 cells, expected 5"),  # a comma in 1,000
        (csv_line(event_id='"e1'), "quote not closed: '\"e1,u1"),  # and the next line is a row
        (csv_line(event_id='"e"1'), "text after a closed quote: "),
        (b"e1,u\xe91,login,2026-11-16T12:00:00Z,0", "not UTF-8 at byte 5 of the line"),
        (csv_line(user_id="u\x001"), "NUL byte at byte 5 of the line"),
        ("x" * (MAX_LINE_BYTES + 1), f"line too long: over {MAX_LINE_BYTES} bytes"),
        ("\u2028", "1 cells, expected 5: '\\u2028'"),
    ],
)
def test_a_line_that_is_no_row_of_csv_is_explained(line, reason):
    part, said = refusal(parsed(line))

    assert part == "line"
    assert reason in said


@pytest.mark.parametrize(
    ("line", "part", "reason"),
    [
        (json_line()[:-1] + ",}", "line", "not JSON: "),  # a trailing comma
        ("{", "line", "not JSON: Expecting property name enclosed in double quotes at column 2"),
        (json_line() + json_line(), "line", "not JSON: Extra data at column "),
        ('{"duration_seconds": NaN}', "line", "not a JSON number: NaN"),
        ('{"duration_seconds": -Infinity}', "line", "not a JSON number: -Infinity"),
        ('{"kind": "login", "kind": "audio_call"}', "line", "key 'kind' twice"),
        (json_line(event_id="a\0b"), "event_id", "bad event_id 'a\\x00b' of 3 characters"),
        ('{"a\\ud800": 1, "a\\ud800": 2}', "line", "key 'a\\ud800' twice"),
        (json_line(user_id="\ud800"), "user_id", "bad user_id '\\ud800' of 1 characters"),
        ("[" * 60_000, "line", "nested too deep; expected one flat JSON object"),
        ('{"":' * 15_000, "line", "nested too deep; expected one flat JSON object"),
        ('{"duration_seconds": %s}' % ("9" * 5_000), "line", "number too long"),
        (json_line(duration_seconds=True), "duration_seconds", "number expected, whole and"),
        (json_line(duration_seconds=1.5), "duration_seconds", "without quotes, found 1.5"),
        (json_line(duration_seconds="5"), "duration_seconds", 'without quotes, found "5"'),
        (json_line(duration_seconds=None), "duration_seconds", "without quotes, found null"),
        (json_line(duration_seconds=-1), "duration_seconds", "negative duration_seconds: '-1'"),
        (json_line(duration_seconds=86_401), "duration_seconds", "too long a call: '86401'"),
        (json_line(duration_seconds=10**4_000), "duration_seconds", "too long a call: '1000"),
        (json_line(event_id=7), "event_id", "event_id: text expected, found 7"),
        (json_line(event_id=["e1"]), "event_id", "event_id: text expected, found a list"),
        (json_line(kind={}), "kind", "kind: text expected, found an object"),
        ("[1]", "line", "expected a JSON object, found '[1]'"),
        ("null", "line", "expected a JSON object, found 'null'"),
        ('{"event_id": "e1"}', "line", "key 'user_id' is missing"),
        (json_line(points=1), "line", "unknown key 'points'; known: event_id, user_id, kind"),
        (b"{\xff}", "line", "not UTF-8 at byte 2 of the line"),
    ],
)
def test_a_line_that_is_no_row_of_json_is_explained(line, part, reason):
    found_part, said = refusal(parsed(line, columns=None))

    assert found_part == part
    assert reason in said


def test_values_nested_as_deep_as_can_be_read_are_refused_in_words():
    for depth in range(100, 2_000, 7):
        line = json_line().replace('"e1"', "[" * depth + "]" * depth)

        assert refusal(parsed(line, columns=None))[0] in {"event_id", "line"}


def test_a_line_of_thousands_of_keys_is_refused_at_once():
    keys = [f'"{number}":1' for number in range(6_000)]
    line = f"{{{','.join([*keys, keys[-1]])}}}"
    began = time.process_time()

    part_and_reason = refusal(parsed(line, columns=None))

    assert part_and_reason == ("line", "key '5999' twice")
    assert time.process_time() - began < 0.1


def test_lines_are_counted_and_a_bad_one_keeps_no_good_one_out():
    chunk = parsed(csv_line(), "", "bad", " \t", '"open', csv_line(event_id="e2"))

    assert [row[0] for row in stored(chunk)] == ["2", "7"]
    assert [rejection.line for rejection in chunk.rejected] == [4, 6]
    assert chunk.blank == 2


def test_a_quoted_end_of_line_parts_a_row_into_two_bad_ones():
    # No good row can hold one, so that a row is always one line and an open quote costs one line.
    chunk = parsed('"e', '1",u1,login,2026-11-16T12:00:00Z,0', csv_line())

    assert [rejection.reason[:16] for rejection in chunk.rejected] == [
        "quote not closed",
        "quote not closed",
    ]
    assert [row[0] for row in stored(chunk)] == ["4"]


def test_what_is_kept_of_a_bad_row_is_bounded():
    (rejection,) = parsed(csv_line(event_id="x" * 60_000)).rejected

    assert [len(cell) for cell in rejection.cells] == [140, 2, 5, 20, 1]
    assert len(rejection.reason) < 250
