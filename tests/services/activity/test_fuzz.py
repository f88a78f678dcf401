"""An import of any bytes ends with counts that add up, or with one sentence."""

import csv
import gzip
import json
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from rewards.exceptions import BadFile
from rewards.models import ActivityEvent, DailyActivity
from rewards.services.activity import importing
from rewards.services.activity.cells import BadRow, parse_json
from rewards.services.activity.reading import COLUMNS
from rewards.services.activity.rows import RowParser

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)

fuzzed = settings(
    max_examples=max(60, settings().max_examples),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

GOOD = (
    st.sampled_from(["e1", "e2", "e3", "e4"]),
    st.sampled_from(["u1", "u2"]),
    st.sampled_from(["login", "audio_call", "video_call"]),
    st.sampled_from(["2026-11-16T12:00:00Z", "2026-11-16T00:30:00+01:00"]),
    st.sampled_from(["0", "5", "0086400"]),
)
odd_id = st.text(max_size=140) | st.sampled_from(["", "a b", "=1", "é", "\x00", '"', ",", '","'])
ODD = (
    odd_id,
    odd_id,
    st.text(max_size=10),
    st.datetimes().map(lambda at: at.isoformat() + "Z")
    | st.sampled_from(["2026-11-16T12:00:00", "2026-02-30T12:00Z", "2026-11-16T24:00:00Z", ""]),
    st.integers().map(str) | st.sampled_from(["86401", "-1", "1e3", "１", "9" * 5_000, ""]),
)


@st.composite
def rows(draw):
    """Rows of few ids, so that these repeat; half of them with one or two odd cells."""
    cells = [draw(good) for good in GOOD]
    if draw(st.booleans()):
        for position in draw(st.sets(st.integers(0, 4), max_size=2)):
            cells[position] = draw(ODD[position])
    return cells


ends = st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\n \n"])


@st.composite
def csv_files(draw):
    """A header and rows, some quoted, and lines of text."""
    lines = [",".join(COLUMNS)]
    for cells in draw(st.lists(rows(), max_size=8)):
        quote = draw(st.sampled_from(["", "", "", '"']))
        lines.append(",".join(f"{quote}{cell}{quote}" for cell in cells))
    lines += draw(st.lists(st.text(max_size=60), max_size=2))
    return draw(ends).join(lines).encode("utf-8", "surrogatepass")


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
json_values = (
    scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(max_size=5), scalars)
)


@st.composite
def json_objects(draw):
    """The values of a row, some of them odd, with another key or without one."""
    cells = draw(rows())
    values = dict(zip(COLUMNS, cells, strict=True))
    if cells[4].isascii() and cells[4].isdigit() and len(cells[4]) < 4_000:
        values["duration_seconds"] = int(cells[4])
    if draw(st.integers(0, 3)) == 0:
        values[draw(st.sampled_from([*COLUMNS, "more"]))] = draw(json_values)
    if draw(st.integers(0, 3)) == 0:
        del values[draw(st.sampled_from(COLUMNS))]
    return json.dumps(values)


@st.composite
def json_files(draw):
    lines = ["{}", *draw(st.lists(json_objects(), max_size=8))]
    return draw(ends).join(lines).encode()


@st.composite
def damaged(draw, files):
    """Files with a few bytes changed, removed or inserted, plain or gzip."""
    data = draw(files)
    if draw(st.booleans()):
        data = gzip.compress(data, mtime=0)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        until = at + draw(st.integers(0, 4))
        data = data[:at] + draw(st.binary(max_size=4)) + data[until:]
    return data


COUNTS = ("logins", "audio_calls", "video_calls", "audio_seconds", "video_seconds")


def counted(events):
    """Return the rows that DailyActivity must have: its columns -> counts and seconds."""
    days = {}
    for user, day, kind, seconds in events:
        if kind == "login" or seconds >= 1:
            row = days.setdefault((user, day), Counter())
            row[f"{kind}s"] += 1
            row[f"{kind.removesuffix('_call')}_seconds"] += seconds
    return {(*key, *(row[column] for column in COUNTS)) for key, row in days.items()}


def check_import(data, name):
    """Import `data` twice and check what must hold; leave nothing behind."""
    with tempfile.TemporaryDirectory() as folder, transaction.atomic():
        path = Path(folder, name)
        path.write_bytes(data)
        reports, refusal = [], ""
        try:
            for _ in range(2):
                reports.append(
                    importing.import_activity(path=path, source="app", create_hosts=True, now=NOW)
                )
        except BadFile as bad:
            refusal = str(bad)
        if not reports:
            event("refused")
            assert refusal.startswith("Cannot read ")
            assert refusal.count("\n") == 0
            assert len(refusal) < 400
            assert not ActivityEvent.objects.exists()
        else:
            first, second = reports
            event("stored" if first.stored else "nothing stored")
            assert ActivityEvent.objects.count() == first.stored
            for report in reports:
                rejected = report.conflicts + report.rejected
                assert report.rows == report.stored + report.duplicates + rejected
                assert min(report.stored, report.duplicates, rejected) >= 0
                assert sum(report.by_reason.values()) == rejected
                assert (report.rejected_file is not None) == bool(rejected)
                if report.rejected_file:
                    lines = report.rejected_file.read_text().split("\n")
                    assert len(lines) == rejected + 2
            assert (second.stored, second.hosts_created) == (0, 0)
            assert second.duplicates == first.stored + first.duplicates
            assert (second.conflicts, second.rejected) == (first.conflicts, first.rejected)
            events = ActivityEvent.objects.values_list(
                "user", "business_date", "kind", "duration_seconds"
            )
            days = DailyActivity.objects.values_list("user", "date", *COUNTS)
            assert set(days) == counted(events)
        transaction.set_rollback(True)


@pytest.mark.django_db
@fuzzed
@given(data=csv_files())
def test_any_rows_of_csv(data):
    check_import(data, "a.csv")


@pytest.mark.django_db
@fuzzed
@given(data=json_files())
def test_any_lines_of_json(data):
    check_import(data, "a.jsonl")


@fuzzed
@given(text=json_objects() | json_values.map(json.dumps))
def test_any_event_of_a_request_is_checked_as_a_line(text):
    parser = RowParser(columns=None, zone=ZoneInfo("UTC"), now=NOW)
    chunk = parser.parse([text.encode()], first_line=1)

    rejected = [(found.category, found.reason) for found in chunk.rejected]
    accepted = list(csv.reader(row.decode() for row in chunk.rows))
    event("rejected" if rejected else "accepted")

    try:
        checked = parser.check(parse_json(text), position=1)
    except BadRow as bad:
        found = [(bad.category, bad.reason)], []
    else:
        found = [], [list(map(str, checked))]
    assert found == (rejected, accepted)


@pytest.mark.django_db
@fuzzed
@given(data=damaged(csv_files() | json_files()))
def test_any_damage(data):
    check_import(data, "a")


@pytest.mark.django_db
@fuzzed
@given(
    start=st.sampled_from(["", "{}\n", ",".join(COLUMNS) + "\n"]),
    data=st.binary(max_size=300),
    name=st.sampled_from(["a", "a.csv", "a.jsonl", "a.csv.gz"]),
)
def test_any_bytes(start, data, name):
    check_import(start.encode() + data, name)
