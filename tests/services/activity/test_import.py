"""What an import stores, counts and reports."""

import csv
import gzip
import json
import logging
import os
import stat
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from django.db import DataError, OperationalError

from rewards.exceptions import (
    BadFile,
    MinCallSecondsChanged,
    RewardsError,
    TimeZoneChanged,
    UsageError,
)
from rewards.models import ActivityEvent, DailyActivity, Host
from rewards.reports.verify.verification import verify_ledger
from rewards.services import db_errors
from rewards.services.activity import importing, rows, storing
from rewards.services.activity.reading import COLUMNS
from tests.factories import A_MONDAY, HostFactory, StaffFactory

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
HEADER = ",".join(COLUMNS)


@pytest.fixture(autouse=True)
def _hosts():
    for external_id in ("u1", "u2"):
        HostFactory(external_id=external_id)


@pytest.fixture
def do_import(tmp_path):
    """Return a function that imports lines and checks what must hold after any import."""

    def do(*lines, name="a.csv", source="app", create_hosts=False, header=HEADER, **kwargs):
        path = tmp_path / name
        text = "\n".join([header, *lines] if header else lines)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        report = importing.import_activity(
            path=path, source=source, create_hosts=create_hosts, now=NOW, **kwargs
        )
        assert report.rows == (
            report.stored + report.duplicates + report.conflicts + report.rejected
        )
        assert sum(report.by_reason.values()) == report.conflicts + report.rejected
        assert report.is_complete == (report.conflicts + report.rejected == 0)
        assert verify_ledger(today=A_MONDAY).broken == []
        assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob(".*"))
        return report

    return do


def row(event_id="e1", user_id="u1", kind="login", at="2026-11-16T12:00:00Z", seconds=0):
    return f"{event_id},{user_id},{kind},{at},{seconds}"


def rejected_rows(report):
    with report.rejected_file.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def counts(report):
    return report.stored, report.duplicates, report.conflicts, report.rejected


def daily_activity():
    return list(
        DailyActivity.objects.order_by("date", "user").values_list(
            *("user__external_id", "date", "logins"),
            *("audio_calls", "audio_seconds", "video_calls", "video_seconds"),
        )
    )


@pytest.mark.parametrize("chunk_lines", [1, 50_000])
def test_events_are_stored_and_counted(chunk_lines, do_import, monkeypatch):
    monkeypatch.setattr(rows, "CHUNK_LINES", chunk_lines)

    report = do_import(
        row("e1"),
        row("e2", kind="audio_call", seconds=60),
        row("e3", kind="audio_call", seconds=40),
        row("e4", kind="audio_call", seconds=0),  # not completed, so not counted
        row("e5", kind="video_call", seconds=7),
        row("e6", kind="video_call", seconds=5),
        row("e7", seconds=3),
        row("e8", user_id="u2", at="2026-11-17T00:00:00Z"),
        row("e9", user_id="u2", kind="video_call", at="2026-11-18T00:00:00Z"),
    )

    assert counts(report) == (9, 0, 0, 0)
    assert daily_activity() == [
        ("u1", date(2026, 11, 16), 2, 2, 100, 2, 12),
        ("u2", date(2026, 11, 17), 1, 0, 0, 0, 0),
    ]
    event = ActivityEvent.objects.get(event_id="e2")
    assert (event.source, event.kind, event.duration_seconds) == ("app", "audio_call", 60)
    assert (event.occurred_at, event.business_date) == (
        datetime(2026, 11, 16, 12, tzinfo=UTC),
        A_MONDAY,
    )


def test_a_call_counts_from_the_minimum_length_on(do_import, settings):
    settings.REWARDS_MIN_CALL_SECONDS = 10

    do_import(
        row("e1", kind="audio_call", seconds=9),
        row("e2", kind="audio_call", seconds=10),
        row("e3", kind="video_call", seconds=9),
        row("e4", kind="video_call", seconds=10),
        row("e5", seconds=9),  # a login
    )

    assert daily_activity() == [("u1", A_MONDAY, 1, 1, 10, 1, 10)]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("a.csv", [HEADER.removesuffix(",duration_seconds"), *(row("e1")[:-2], row("e2")[:-2])]),
        ("a.csv", [HEADER, row("e1")[:-1], row("e2", seconds="")]),
        (
            "a.jsonl",
            [
                json.dumps(dict(zip(COLUMNS, row(event_id).split(",")[:4], strict=False)))
                for event_id in ("e1", "e2")
            ],
        ),
    ],
)
def test_logins_are_imported_without_durations(name, lines, do_import):
    report = do_import(*lines, name=name, header="")

    assert counts(report) == (2, 0, 0, 0)
    assert daily_activity() == [("u1", A_MONDAY, 2, 0, 0, 0, 0)]
    assert counts(do_import(row("e1"), row("e2"))) == (0, 2, 0, 0)


def test_a_second_import_finds_only_duplicates(do_import):
    lines = [row("e1"), row("e2", kind="audio_call", seconds=60)]
    do_import(*lines)
    before = list(DailyActivity.objects.values()), list(ActivityEvent.objects.values())

    report = do_import(*lines)

    assert counts(report) == (0, 2, 0, 0)
    assert (list(DailyActivity.objects.values()), list(ActivityEvent.objects.values())) == before


def test_another_spelling_of_a_row_is_a_duplicate(do_import):
    do_import(row("e1", kind="audio_call", seconds=5))

    report = do_import(
        row("e1", kind="audio_call", at="2026-11-16T17:30:00.000+05:30", seconds="00005"),
        '"e1",u1,audio_call,2026-11-16T12:00Z,5',
    )

    assert counts(report) == (0, 2, 0, 0)


OTHER_CONTENT = [
    {"user_id": "u2"},
    {"kind": "video_call"},
    {"at": "2026-11-16T12:00:00.000001Z"},
    {"seconds": 6},
]


@pytest.mark.parametrize("other", OTHER_CONTENT)
@pytest.mark.parametrize("chunk_lines", [1, 50_000])
def test_an_id_with_other_content_is_a_conflict(other, chunk_lines, do_import, monkeypatch):
    monkeypatch.setattr(rows, "CHUNK_LINES", chunk_lines)
    first = {"kind": "audio_call", "seconds": 5}

    # First in one file, in one chunk or several, then with an event stored before.
    for stored, duplicates in ((1, 1), (0, 2)):
        report = do_import(row(**first), row(**first | other), row(**first))

        assert counts(report) == (stored, duplicates, 1, 0)
        assert report.by_reason == {"conflict": 1}
        assert rejected_rows(report)[1][:3] == [
            "3",
            "Conflict: event 'e1' is already stored with different content.",
            "e1",
        ]
    event = ActivityEvent.objects.get()
    assert (event.user.external_id, event.kind, event.duration_seconds) == ("u1", "audio_call", 5)


def test_the_first_of_many_rows_with_an_id_is_stored(do_import):
    # In no order, so that equal ids are not sorted as they come.
    ids = [f"e{number * 37 % 100}" for number in range(100)]
    lines = [row(event_id, seconds=seconds) for seconds in (1, 2, 3, 4) for event_id in ids]

    report = do_import(*lines)

    assert counts(report) == (100, 0, 300, 0)
    assert set(ActivityEvent.objects.values_list("duration_seconds")) == {(1,)}


def test_ids_belong_to_their_source(do_import):
    do_import(row("e1"), row("e2"))

    report = do_import(row("e1", user_id="u2"), row("e2", user_id="nobody"), source="web")

    assert counts(report) == (1, 0, 0, 1)
    assert ActivityEvent.objects.filter(event_id="e1").count() == 2


@pytest.mark.parametrize("source", ["!", "~" * 64])
def test_a_source_has_1_to_64_visible_characters(source, do_import):
    assert do_import(row(), source=source).stored == 1


@pytest.mark.parametrize("source", ["", "a b", "é", "x" * 65, "a\n"])
def test_a_bad_source_is_refused(source, do_import):
    with pytest.raises(UsageError) as refusal:
        do_import(row(), source=source)

    assert str(refusal.value) == f"Bad source {source!a}: use 1 to 64 visible ASCII characters."


def test_business_dates_are_those_of_the_time_zone(do_import, settings):
    settings.REWARDS_TIME_ZONE = "Asia/Kolkata"

    do_import(row(at="2026-11-15T18:29:59Z"), row("e2", at="2026-11-15T18:30:00Z"))

    days = ActivityEvent.objects.order_by("event_id").values_list("business_date", flat=True)
    assert list(days) == [date(2026, 11, 15), A_MONDAY]


@pytest.mark.parametrize(
    ("name", "value", "refusal"),
    [
        ("REWARDS_TIME_ZONE", "Asia/Kolkata", TimeZoneChanged),
        ("REWARDS_MIN_CALL_SECONDS", 2, MinCallSecondsChanged),
    ],
)
def test_changed_settings_are_refused(name, value, refusal, do_import, settings):
    do_import(row("e1", at="2026-11-16T23:00:00Z"), "bad")
    setattr(settings, name, value)

    with pytest.raises(refusal):
        do_import(row("e2"))

    assert ActivityEvent.objects.count() == 1


def test_a_row_of_an_unknown_user_is_rejected(do_import):
    StaffFactory(external_id="s1")

    report = do_import(row("e1", user_id="nobody"), row("e2", user_id="s1"), row("e3"))

    assert counts(report) == (1, 0, 0, 2)
    assert report.by_reason == {"user": 2}
    assert [line[:2] for line in rejected_rows(report)[1:]] == [
        ["2", "Unknown user 'nobody'."],
        ["3", "User 's1' is not a host."],
    ]


def test_hosts_are_created_on_request(do_import):
    staff = StaffFactory(external_id="s1")

    report = do_import(
        row("e1", user_id="new"), row("e2", user_id="new"), row("e3", user_id="s1"), row("e4"),
        create_hosts=True,
    )  # fmt: skip

    assert (report.hosts_created, *counts(report)) == (1, 3, 0, 0, 1)
    host = Host.objects.get(external_id="new")
    assert (host.is_host, host.is_staff, host.is_active) == (True, False, True)
    assert (host.username, host.date_joined, host.has_usable_password()) == ("host:new", NOW, False)
    staff.refresh_from_db()
    assert not staff.is_host
    assert do_import(row("e5", user_id="new"), create_hosts=True).hosts_created == 0


def test_a_taken_user_name_rejects_the_row(do_import):
    StaffFactory(username="host:new")

    report = do_import(row(user_id="new"), create_hosts=True)

    assert (report.hosts_created, *counts(report)) == (0, 0, 0, 0, 1)


def test_rejected_rows_are_listed(do_import):
    report = do_import(
        row("e1"),
        row("e2", kind="call"),
        "",
        "=cmd(),u1,call,\t,-1",
        "half",
        row("e3", user_id="nobody"),
        row("e4", user_id="\u202eu1"),
        row("e5"),
    )

    assert counts(report) == (2, 0, 0, 5)
    assert (report.rows, report.blank) == (7, 1)
    assert list(report.by_reason.items()) == [("kind", 2), ("line", 1), ("user", 1), ("user_id", 1)]
    kinds = "use one of login, audio_call, video_call."
    assert rejected_rows(report) == [
        ["line", "reason", *COLUMNS],
        ["3", f"Bad kind 'call': {kinds}", "e2", "u1", "call", "2026-11-16T12:00:00Z", "0"],
        ["5", f"Bad kind 'call': {kinds}", "'=cmd()", "u1", "call", "'\\t", "'-1"],
        ["6", "Expected 5 cells, found 1: 'half'.", "", "", "", "", ""],
        ["7", "Unknown user 'nobody'.", "e3", "nobody", "login", "2026-11-16T12:00:00Z", "0"],
        [
            "8",
            "Bad user_id '\\u202eu1': use 1 to 128 visible ASCII characters.",
            *["e4", "\\u202eu1", "login", "2026-11-16T12:00:00Z", "0"],
        ],
    ]
    assert stat.S_IMODE(report.rejected_file.stat().st_mode) == 0o600


def test_formulas_are_escaped_in_the_list(do_import):
    values = ["=1", "+1", "-1", "@1", "\t1", "\r1", "1=", "é\n"]
    lines = [
        json.dumps(dict.fromkeys(COLUMNS, value) | {"duration_seconds": 0}) for value in values
    ]

    report = do_import(*lines, name="a.jsonl", header="")

    assert [line[4] for line in rejected_rows(report)[1:]] == [
        *["'=1", "'+1", "'-1", "'@1", "'\\t1", "'\\r1", "1=", "\\xe9\\n"]
    ]


def test_the_list_of_an_earlier_import_is_replaced(do_import):
    first = do_import("bad", "bad").rejected_file
    assert first.name == "a.csv.rejected.csv"

    second = do_import("bad")

    assert second.rejected_file == first
    assert len(rejected_rows(second)) == 2
    assert do_import(row()).rejected_file is None
    assert not first.exists()


def test_the_list_of_an_earlier_import_survives_an_error(do_import, monkeypatch, tmp_path):
    rejected = do_import("bad").rejected_file
    before = rejected.read_bytes()
    monkeypatch.setattr(rows, "CHUNK_LINES", 2)
    store = importing.store_rows
    monkeypatch.setattr(
        importing, "store_rows", lambda **chunk: 1 / 0 if len(chunk["rows"]) > 1 else store(**chunk)
    )

    for lines in ((row(), "bad", row(), row()), (row("e2"), row("e3"))):
        with pytest.raises(ZeroDivisionError):
            do_import(*lines)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.csv.rejected.csv"]
    assert rejected.read_bytes() == before
    monkeypatch.undo()
    assert counts(do_import(row(), "bad", row("e2"))) == (1, 1, 0, 1)


def test_a_file_without_a_header_leaves_the_list_alone(do_import):
    rejected = do_import("bad").rejected_file

    with pytest.raises(BadFile):
        do_import(row(), header="")

    assert rejected.exists()


def test_a_list_that_cannot_be_written_ends_the_import(do_import, tmp_path):
    blocked = tmp_path / "a.csv.rejected.csv"
    blocked.mkdir()

    with pytest.raises(RewardsError) as refusal:
        do_import(row(), "bad")

    assert str(refusal.value) == (
        f"Cannot write '{blocked}': Is a directory. Safe to run again when this is fixed."
    )
    assert not list(tmp_path.glob(".*"))
    blocked.rmdir()
    assert counts(do_import(row(), "bad")) == (0, 1, 0, 1)


def test_a_long_file_name_has_a_list(do_import):
    assert do_import("bad", name=f"{'x' * 230}.csv").rejected_file.exists()


def test_progress_is_in_bytes_of_the_file(do_import, monkeypatch):
    monkeypatch.setattr(rows, "CHUNK_LINES", 2)
    seen = []

    do_import(row("e1"), "", "bad", on_progress=lambda done, total: seen.append((done, total)))

    size = len(f"{HEADER}\n{row('e1')}\n\nbad")
    assert seen == [(size, size)] * 2


def as_json(*lines):
    for line in lines:
        *texts, seconds = line.split(",")
        yield json.dumps(dict(zip(COLUMNS, [*texts, int(seconds)], strict=True)))


@pytest.mark.parametrize(
    ("name", "header", "write"),
    [
        ("a.csv.gz", HEADER, lambda *lines: lines),
        ("a.jsonl", "", as_json),
        ("a.jsonl.gz", "", as_json),
        ("a.csv", ",".join(COLUMNS[::-1]), lambda *ls: [",".join(x.split(",")[::-1]) for x in ls]),
    ],
)
def test_every_format_gives_the_same_rows(name, header, write, do_import):
    lines = [row("e1"), row("e2", kind="audio_call", seconds=60), row("e3", user_id="u3")]
    do_import(*lines)

    report = do_import(*write(*lines), name=name, header=header)

    assert counts(report) == (0, 2, 0, 1)
    assert rejected_rows(report)[1][2:] == lines[2].split(",")


def test_complete_rows_before_damage_are_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "CHUNK_LINES", 2)
    path = tmp_path / "a.csv.gz"
    lines = [HEADER, row("e1"), "", row("e2"), row("e3")]
    path.write_bytes(gzip.compress("\n".join(["", *lines]).encode())[:-8])

    report = importing.import_activity(path=path, source="app", create_hosts=False, now=NOW)

    assert (counts(report), report.blank, report.by_reason) == ((2, 0, 0, 0), 2, {})
    assert not report.is_complete
    assert report.error == (
        f"Cannot read '{path}' after line 5: "
        "Compressed file ended before the end-of-stream marker was reached."
    )


def test_a_header_alone_is_a_complete_import(do_import):
    report = do_import()

    assert (report.rows, report.is_complete, report.error) == (0, True, "")


@pytest.fixture
def log(caplog):
    logger = logging.getLogger("rewards")
    logger.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO, "rewards.services.activity"):
        yield caplog
    logger.removeHandler(caplog.handler)


def test_one_line_is_logged(do_import, log):
    do_import(row(), name="a\nb.csv")
    do_import("bad", name="a\nb.csv")

    first, second = (record.getMessage() for record in log.records)
    assert [record.levelname for record in log.records] == ["INFO", "WARNING"]
    assert "\n" not in first + second
    assert first.startswith("import source=app file='")
    assert " rows=1 stored=1 duplicates=0 conflicts=0 rejected=0 hosts_created=0 blank=0 " in first
    assert " by_reason={'line': 1} " in second


def test_a_report_as_values_for_json(do_import, monkeypatch):
    seconds = iter([100.0, 102.5678])
    monkeypatch.setattr(importing, "time", SimpleNamespace(monotonic=seconds.__next__))

    report = do_import(row(), "bad")

    assert list(report.to_dict().items()) == [
        ("file", str(report.rejected_file).removesuffix(".rejected.csv")),
        ("rows", 2),
        ("stored", 1),
        ("duplicates", 0),
        ("conflicts", 0),
        ("rejected", 1),
        ("hosts_created", 0),
        ("blank", 0),
        ("by_reason", {"line": 1}),
        ("rejected_file", str(report.rejected_file)),
        ("error", ""),
        ("seconds", 2.568),
    ]


def fail(error):
    raise error


def store(*lines, **kwargs):
    return storing.store_rows(
        rows=[f"{n},2026-11-16,{line}\n".encode() for n, line in enumerate(lines)],
        **{"source": "app", "create_hosts": False, "now": NOW} | kwargs,
    )


@pytest.mark.parametrize("number", [1, 3_000])
def test_the_number_of_statements_does_not_grow(number, django_assert_num_queries):
    lines = [row(f"e{n}", user_id=f"new-{n}") for n in range(number)]

    # Savepoint, temporary table, COPY, hosts, events with their counts, settings, drop, release.
    with django_assert_num_queries(8):
        store(*lines, create_hosts=True)
    # Without hosts, and with a query for duplicates and rejected rows.
    with django_assert_num_queries(7):
        store(*lines)


def test_a_chunk_gives_up_after_repeated_conflicts(monkeypatch):
    monkeypatch.setattr(db_errors.time, "sleep", lambda seconds: None)
    error = OperationalError("canceling statement\nCONTEXT: while locking")
    error.__cause__ = psycopg.errors.LockNotAvailable()
    tries = []
    monkeypatch.setattr(
        storing, "create_hosts_of_table", lambda **_: tries.append(1) or fail(error)
    )

    with pytest.raises(RewardsError) as refusal:
        store(row(), create_hosts=True)

    assert len(tries) == 5
    assert str(refusal.value) == (
        "Gave up after 5 conflicts with other processes: canceling statement. "
        "The rows before were stored; safe to run again."
    )


def test_an_error_that_is_no_conflict_is_raised(monkeypatch):
    error = DataError("no")
    monkeypatch.setattr(storing, "create_hosts_of_table", lambda **_: fail(error))

    with pytest.raises(DataError):
        store(row(), create_hosts=True)


def test_a_pipe_has_its_list_in_the_current_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    read, write = os.pipe()
    os.write(write, f"{HEADER}\nbad".encode())
    os.close(write)

    report = importing.import_activity(
        path=Path(f"/dev/fd/{read}"), source="app", create_hosts=False, now=NOW,
        on_progress=lambda *_: fail(AssertionError("the size of a pipe is unknown")),
    )  # fmt: skip

    assert report.rejected_file == Path(f"{read}.rejected.csv")
    assert report.rejected_file.exists()
