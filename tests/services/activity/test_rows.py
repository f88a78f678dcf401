"""Which rows are accepted, and the reasons for rejecting others."""

import csv
import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from rewards.services.activity import rows
from rewards.services.activity.cells import BadRow, parse_json
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


def accepted(chunk):
    """Return the rows as the database will read them: line, business date, cells."""
    assert chunk.rejected == []
    return list(csv.reader(row.decode() for row in chunk.rows))


def rejection(chunk):
    """Return the category and the reason of the only row."""
    (found,) = chunk.rejected
    assert (chunk.rows, chunk.blank) == ([], 0)
    return found.category, found.reason


@pytest.mark.parametrize(
    "cells",
    [
        {},
        {"event_id": "!" * 128, "user_id": "~" * 128},
        {"kind": "audio_call", "duration_seconds": "86400"},
        {"kind": "audio_call", "duration_seconds": "86399"},
        {"kind": "audio_call", "duration_seconds": "85999"},
        {"kind": "audio_call", "duration_seconds": "79999"},
        {"kind": "video_call", "duration_seconds": "0" * 5_000 + "5"},
        {"occurred_at": "2026-11-16T12:00Z"},
        {"occurred_at": "2026-11-16T23:59:59.123456+15:59"},
        {"occurred_at": "2026-11-16T12:00:00-00:00"},
        {"occurred_at": "2000-01-01T00:00:00Z"},  # the first instant accepted
        {"occurred_at": "2026-11-24T03:05:00Z"},  # the last one, five minutes ahead of now
        # Formulas for a spreadsheet, markup for a browser: stored unchanged.
        {"event_id": "=cmd()", "user_id": "+1"},
        {"event_id": "-1", "user_id": "@x"},
        {"event_id": "<script>", "user_id": "';DROP"},
        {
            "event_id": "\\.",
            "user_id": "\\N",
        },  # the end of data and NULL in the text format of COPY
    ],
)
def test_a_valid_row_is_passed_on_unchanged(cells):
    row = list((GOOD | cells).values())

    (as_csv,) = accepted(parsed(csv_line(**cells)))
    (quoted,) = accepted(parsed(",".join(f'"{cell}"' for cell in row)))
    (reversed_,) = accepted(parsed(",".join(row[::-1]), columns=COLUMNS[::-1]))
    (rotated,) = accepted(parsed(",".join(row[1:] + row[:1]), columns=COLUMNS[1:] + COLUMNS[:1]))
    number = int(row[4][-5:])
    (as_json,) = accepted(parsed(json_line(**cells | {"duration_seconds": number}), columns=None))

    assert as_csv == quoted == reversed_ == rotated == ["2", as_csv[1], *row]
    assert as_json == ["2", as_csv[1], *row[:4], str(number)]


def test_ids_in_another_order_are_not_swapped():
    row = csv_line(event_id="u1", user_id="e1")

    (found,) = accepted(parsed(row, columns=("user_id", "event_id", *COLUMNS[2:])))

    assert found[2:] == list(GOOD.values())


@pytest.mark.parametrize("column", ["event_id", "user_id"])
@pytest.mark.parametrize("value", ['a"b', "a,b", '"', ",", '","'])
def test_an_id_may_contain_quotes_and_commas(column, value):
    quoted = '"{}"'.format(value.replace('"', '""'))

    (row,) = accepted(parsed(csv_line(**{column: quoted})))
    (as_json,) = accepted(parsed(json_line(**{column: value}), columns=None))

    assert row == as_json == ["2", "2026-11-16", *(GOOD | {column: value}).values()]


@pytest.mark.parametrize(
    ("zone", "occurred_at", "day"),
    [
        ("UTC", "2026-11-16T00:00:00Z", "2026-11-16"),
        ("UTC", "2026-11-16T23:59:59.999999Z", "2026-11-16"),
        ("UTC", "2026-11-16T00:30:00+01:00", "2026-11-15"),
        # An hour with two business days.
        ("Asia/Kolkata", "2026-11-15T18:29:59.999999Z", "2026-11-15"),
        ("Asia/Kolkata", "2026-11-15T18:30:00Z", "2026-11-16"),
        ("America/Los_Angeles", "2026-11-16T07:59:59Z", "2026-11-15"),
        # 00:00 does not exist.
        ("America/Santiago", "2026-09-06T03:59:59Z", "2026-09-05"),
        ("America/Santiago", "2026-09-06T04:00:00Z", "2026-09-06"),
        # The first business day begins in 1999 in UTC.
        ("Asia/Kolkata", "1999-12-31T18:30:00Z", "2000-01-01"),
    ],
)
def test_a_row_has_its_business_date(zone, occurred_at, day):
    (row,) = accepted(parsed(csv_line(occurred_at=occurred_at), zone=zone))

    assert row[1] == day


@pytest.mark.parametrize(
    ("zone", "occurred_at"),
    [
        ("UTC", "1999-12-31T23:59:59.999999Z"),
        ("Asia/Kolkata", "1999-12-31T18:29:59Z"),
        ("America/Los_Angeles", "2000-01-01T07:59:59Z"),
        ("UTC", "0001-01-01T00:00:00+15:59"),
        ("UTC", "2026-11-24T03:05:00.000001Z"),
        ("UTC", "2026-11-24T03:59:59Z"),  # in the same hour as accepted times
        ("UTC", "9999-12-31T23:59:59-15:59"),
    ],
)
def test_a_time_out_of_range_is_rejected(zone, occurred_at):
    good = csv_line(occurred_at="2026-11-24T03:04:00Z")

    chunk = parsed(good, csv_line(occurred_at=occurred_at), good, zone=zone)

    assert [(found.line, found.category) for found in chunk.rejected] == [(3, "occurred_at")]
    assert len(chunk.rows) == 2


def test_a_time_is_compared_with_now_to_the_microsecond():
    now = datetime(2026, 11, 24, 2, 54, 59, 500_000, tzinfo=UTC)
    parser = RowParser(columns=COLUMNS, zone=ZoneInfo("UTC"), now=now)
    times = ["02:59:59.5", "02:59:59.500001"]

    chunk = parser.parse(
        [csv_line(occurred_at=f"2026-11-24T{time}Z").encode() for time in times], first_line=1
    )

    assert (len(chunk.rows), [found.line for found in chunk.rejected]) == (1, [2])


def test_most_rows_take_the_fast_path(monkeypatch):
    monkeypatch.setattr(RowParser, "_cells", None)
    (plain,) = accepted(parsed(csv_line()))
    monkeypatch.undo()
    monkeypatch.setattr(rows, "_FORMATS", None)
    (quoted,) = accepted(parsed('"e1","u1","login","2026-11-16T12:00:00Z","0"'))

    assert plain == quoted == ["2", "2026-11-16", *GOOD.values()]


def test_cached_hours_are_limited(monkeypatch):
    monkeypatch.setattr(_BusinessDates, "MAX_HOURS", 3)
    dates = _BusinessDates(ZoneInfo("UTC"), NOW)

    sizes = [len(dates) for hour in range(7) if dates[b"2026-11-16T0%d" % hour, b"Z"]]

    assert sizes == [1, 2, 3, 1, 2, 3, 1]


IDS = ["", "x" * 129, "a b", " a", "a\t", "a\x1b", "\x7f", "u\u202e1", "u\u200b", "ü"]
BAD_CELLS = {
    "event_id": IDS,
    "user_id": IDS,
    "kind": ["", "call", "LOGIN", "login ", "login|audio_call"],
    "occurred_at": [
        "",
        "yesterday",
        "2026-11-16",
        "2026-11-16 12:00:00Z",
        "20261116T120000Z",
        "2026-11-16T12:00:00z",
        "2026-11-16T12:00:00.Z",
        "2026-11-16T12:00:00.1234567Z",
        "2026-11-16T12:00:00",
        "2026-11-16T12:00:00+16:00",
        "2026-11-16T12:00:00+01:60",
        "2026-11-16T12:00:00+0100",
        "2026-11-16T24:00:00Z",
        "2026-11-16T12:60:00Z",
        "2026-12-31T23:59:60Z",
        "2026-02-30T12:00:00Z",
        "2026-13-01T12:00:00Z",
        "0000-01-01T00:00:00Z",
        "1763294400",
        "２０２６-11-16T12:00:00Z",
    ],
    "duration_seconds": [
        *["-1", "+1", " 1", "1.5", "1e3", "0x10", "1_000", "NaN", "１２", "²"],
        *["86401", "86410", "87000", "90000", "100000", "2147483648", "9" * 5_000],
    ],
}


@pytest.mark.parametrize(
    ("column", "value"),
    [(column, value) for column, values in BAD_CELLS.items() for value in values],
)
def test_a_bad_cell_is_rejected_by_column(column, value):
    chunk = parsed(csv_line(**{column: value}))

    category, reason = rejection(chunk)
    assert category == column
    assert reason.startswith(f"Bad {column} {value[:40]!a}"[:40])
    assert len(reason) < 250
    if column != "duration_seconds":
        assert rejection(parsed(json_line(**{column: value}), columns=None)) == (column, reason)
        assert chunk.rejected[0].cells == [cell[:140] for cell in (GOOD | {column: value}).values()]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("event_id", "a\x1b", r"Bad event_id 'a\x1b': use 1 to 128 visible ASCII characters."),
        ("user_id", "", "Bad user_id '': use 1 to 128 visible ASCII characters."),
        ("kind", "call", "Bad kind 'call': use one of login, audio_call, video_call."),
        (
            "occurred_at",
            "2026-11-16T12:00:00",
            "Bad occurred_at '2026-11-16T12:00:00': use ISO 8601 with a time zone, such as "
            "2026-02-03T04:05:06Z or 2026-02-03T04:05:06+01:00.",
        ),
        (
            "occurred_at",
            "2026-02-30T12:00:00Z",
            "Bad occurred_at '2026-02-30T12:00:00Z': day is out of range for month.",
        ),
        (
            "occurred_at",
            "2026-11-24T03:05:01Z",
            "Bad occurred_at '2026-11-24T03:05:01Z': in the future; accepted until "
            "2026-11-24T03:05:00Z.",
        ),
        (
            "occurred_at",
            "1999-12-31T23:59:59Z",
            "Bad occurred_at '1999-12-31T23:59:59Z': too old; accepted from 2000-01-01.",
        ),
        (
            "duration_seconds",
            "-1",
            "Bad duration_seconds '-1': use whole seconds in digits 0-9, 0 to 86400.",
        ),
    ],
)
def test_a_reason_has_the_value_and_what_is_accepted(column, value, reason):
    assert rejection(parsed(csv_line(**{column: value}))) == (column, reason)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("e1,u1,login", "Expected 5 cells, found 3: 'e1,u1,login'."),
        ("e,u,audio_call,2026,1,000", "Expected 5 cells, found 6: 'e,u,audio_call,2026,1,000'."),
        ("\u2028", r"Expected 5 cells, found 1: '\u2028'."),
        ('"e,u,login', "Bad quotes in '\"e,u,login'."),  # costs no other line
        ('e"1,u,login,2026-11-16T12:00:00Z,0', None),  # odd: perhaps a part of a quoted cell
        ('"e"1,u,login', "Bad quotes in '\"e\"1,u,login'."),
        (b"e1,u\xe91,login", "The line is not UTF-8 at byte 5."),
        ("e1,u\x001,login", "The line has a NUL at byte 5."),
        ("x" * (MAX_LINE_BYTES + 1), "The line has more than 65,536 bytes."),
        ("x" * MAX_LINE_BYTES, f"Expected 5 cells, found 1: '{'x' * 79}."),
    ],
)
def test_a_bad_line_of_csv_is_rejected(line, reason):
    found = rejection(parsed(line))

    assert found == ("line", reason or f"Bad quotes in {line!a}.")


@pytest.mark.parametrize(
    ("line", "category", "reason"),
    [
        ("{", "line", "Not JSON: Expecting property name enclosed in double quotes at column 2."),
        (json_line() + "1", "line", "Not JSON: Extra data at column 115."),
        ('{"duration_seconds": NaN}', "line", "Not a JSON number: NaN."),
        ('{"duration_seconds": -Infinity}', "line", "Not a JSON number: -Infinity."),
        ('{"kind": "login", "kind": "audio_call"}', "line", "Key 'kind' twice."),
        (r'{"a": 0, "b\ud800": 1, "b\ud800": 2}', "line", r"Key 'b\ud800' twice."),
        ("[" * 60_000, "line", "Nested too deep: expected a flat JSON object."),
        ('{"":' * 15_000, "line", "Nested too deep: expected a flat JSON object."),
        ('{"duration_seconds": %s}' % ("9" * 5_000), "line", "Number too long."),
        ("[1]", "line", "Expected a JSON object, found a list."),
        ("null", "line", "Expected a JSON object, found null."),
        ("[NaN]", "line", "Not a JSON number: NaN."),
        ('{"a": {"b": [[1], [Infinity]]}}', "line", "Not a JSON number: Infinity."),
        ('{"a": {"b": 1, "b": 2}}', "line", "Key 'b' twice."),
        ('{"event_id": "e1"}', "line", "Missing key 'user_id'."),
        (
            json_line(points=1),
            "line",
            "Unknown key 'points'; known: event_id, user_id, kind, occurred_at, duration_seconds.",
        ),
        (b"{\xff}", "line", "The line is not UTF-8 at byte 2."),
        (json_line(event_id=7), "event_id", "Bad event_id: expected text, found 7."),
        (json_line(event_id=["e"]), "event_id", "Bad event_id: expected text, found a list."),
        (json_line(kind={}), "kind", "Bad kind: expected text, found an object."),
        (json_line(kind=None), "kind", "Bad kind: expected text, found null."),
        *(
            (
                json_line(duration_seconds=value),
                "duration_seconds",
                f"Bad duration_seconds: expected a whole number, found {found}.",
            )
            for value, found in [(True, "true"), (1.5, "1.5"), ("5", '"5"'), (None, "null")]
        ),
        (
            json_line(duration_seconds=86_401),
            "duration_seconds",
            "Bad duration_seconds '86401': use whole seconds in digits 0-9, 0 to 86400.",
        ),
        (
            json_line(duration_seconds=10**4_000),
            "duration_seconds",
            f"Bad duration_seconds '1{'0' * 78}: use whole seconds in digits 0-9, 0 to 86400.",
        ),
        (
            json_line(user_id="\ud800"),
            "user_id",
            r"Bad user_id '\ud800': use 1 to 128 visible ASCII characters.",
        ),
    ],
)
def test_a_bad_line_of_json_is_rejected(line, category, reason):
    assert rejection(parsed(line, columns=None)) == (category, reason)


NO_DURATION = (
    "Missing duration_seconds: only a login needs none; "
    "use whole seconds in digits 0-9, 0 to 86400."
)


def without_duration(kind):
    """Return a row without a duration, as each entrance parses it."""
    cells = list((GOOD | {"kind": kind}).values())[:4]
    return [
        parsed(",".join([*cells, ""])),
        parsed(",".join(f'"{cell}"' for cell in [*cells, ""])),
        parsed(",".join(cells), columns=COLUMNS[:4]),
        parsed(",".join(cells[::-1]), columns=COLUMNS[3::-1]),
        parsed(json.dumps(dict(zip(COLUMNS, cells, strict=False))), columns=None),
    ]


def test_a_login_needs_no_duration():
    for chunk in without_duration("login"):
        assert accepted(chunk) == [["2", "2026-11-16", *GOOD.values()]]


@pytest.mark.parametrize("kind", ["audio_call", "video_call"])
def test_a_call_needs_a_duration(kind):
    for chunk in without_duration(kind):
        assert rejection(chunk) == ("duration_seconds", NO_DURATION)


def test_the_kind_is_checked_before_a_missing_duration():
    for chunk in without_duration("call"):
        assert rejection(chunk)[0] == "kind"


def test_a_file_without_durations_has_one_cell_less():
    chunk = parsed(csv_line(), columns=COLUMNS[:4])

    assert rejection(chunk) == (
        "line",
        "Expected 4 cells, found 5: 'e1,u1,login,2026-11-16T12:00:00Z,0'.",
    )


def checked(event):
    """Return an event of a request as it is stored, or category and reason."""
    parser = RowParser(columns=None, zone=ZoneInfo("UTC"), now=NOW)
    try:
        return list(parser.check(parse_json(event), position=2))
    except BadRow as bad:
        return bad.category, bad.reason


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"kind": "audio_call", "duration_seconds": 86_400},
        {"event_id": 'a"b,', "user_id": ","},
        {"occurred_at": "2026-11-16T00:30:00+01:00"},
        {"occurred_at": "2026-11-24T03:05:00Z"},
    ],
)
def test_an_event_of_a_request_is_stored_as_a_row_of_a_file(values):
    line = json_line(**values)

    ((number, *stored),) = accepted(parsed(line, columns=None))

    assert checked(line) == [int(number), *stored]


@pytest.mark.parametrize(
    "line",
    [
        *(json_line(**{column: value}) for column in BAD_CELLS for value in BAD_CELLS[column]),
        json_line(kind="audio_call").replace(', "duration_seconds": 0', ""),
        json_line(duration_seconds=86_401),
        json_line(duration_seconds=True),
        json_line(event_id=["e"]),
        json_line(user_id="a\0"),
        json_line(more=1),
        json_line().replace("}", ', "kind": "login"}'),
        json_line().replace(" 0}", " NaN}"),
        json_line().replace(" 0}", " %s}" % ("9" * 5_000)),
        '{"event_id": "e1"}',
        "[1]",
        "null",
    ],
)
def test_an_event_of_a_request_is_rejected_as_a_row_of_a_file(line):
    assert checked(line) == rejection(parsed(line, columns=None))


def test_deeply_nested_values_are_rejected():
    # json.loads() accepts some depths at which json.dumps() fails.
    for depth in range(100, 2_000, 7):
        line = json_line().replace('"e1"', "[" * depth + "]" * depth)

        assert rejection(parsed(line, columns=None))[0] in {"event_id", "line"}


def test_lines_are_numbered_and_counted():
    chunk = parsed(csv_line(), "", "bad", " \t", '"open', csv_line(event_id="e2"))

    assert [row.split(b",")[0] for row in chunk.rows] == [b"2", b"7"]
    assert [found.line for found in chunk.rejected] == [4, 6]
    assert (chunk.blank, chunk.lines) == (2, 6)


def test_a_quoted_line_break_makes_two_bad_rows():
    chunk = parsed('"e', '1",u1,login,2026-11-16T12:00:00Z,0', csv_line())

    assert [found.line for found in chunk.rejected] == [2, 3]
    assert len(chunk.rows) == 1


def test_what_is_kept_of_a_bad_row_is_limited():
    (found,) = parsed(csv_line(event_id="x" * 60_000)).rejected

    assert [len(cell) for cell in found.cells] == [140, 2, 5, 20, 1]


@pytest.mark.parametrize(
    ("max_lines", "max_rejected", "chunks"),
    [
        (4, 9, [(2, 1, 1), (1, 2, 0)]),
        (9, 2, [(2, 2, 1), (1, 1, 0)]),
        (9, 1, [(1, 1, 1), (1, 1, 0), (1, 1, 0)]),
        (9, 9, [(3, 3, 1)]),
    ],
)
def test_a_chunk_ends_by_lines_or_rejections(max_lines, max_rejected, chunks, monkeypatch):
    monkeypatch.setattr(rows, "CHUNK_LINES", max_lines)
    monkeypatch.setattr(rows, "MAX_REJECTED", max_rejected)
    lines = [csv_line(), "", "bad", csv_line(), "bad", csv_line(), "bad"]
    parser = RowParser(columns=COLUMNS, zone=ZoneInfo("UTC"), now=NOW)

    found = list(parser.chunks(map(str.encode, lines), first_line=3))

    assert [(len(chunk.rows), len(chunk.rejected), chunk.blank) for chunk in found] == chunks
    assert [bad.line for chunk in found for bad in chunk.rejected] == [5, 7, 9]
    assert [row[:1] for chunk in found for row in chunk.rows] == [b"3", b"6", b"8"]


def test_rejections_of_the_database_are_in_order_of_line():
    long_cells = csv_line(event_id="x" * 128, user_id='"a,""b"', duration_seconds="0" * 200)
    chunk = parsed(csv_line(), "bad", long_cells, "bad")

    found = list(chunk.rejections({4: ("user", "Why.")}))

    assert [(bad.line, bad.category) for bad in found] == [(3, "line"), (4, "user"), (5, "line")]
    assert found[1].reason == "Why."
    assert found[1].cells == ["x" * 128, 'a,"b', "login", "2026-11-16T12:00:00Z", "0" * 140]
    assert [bad.line for bad in chunk.rejections({})] == [3, 5]
