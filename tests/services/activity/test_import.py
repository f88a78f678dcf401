"""What an import stores, counts and reports."""

import csv
import gzip
import json
import logging
import stat
from datetime import UTC, date, datetime

import pytest

from rewards.exceptions import BadFile, RewardsError, UsageError
from rewards.models import ActivityEvent, DailyActivity, Host
from rewards.reports.verify.verification import verify_ledger
from rewards.services.activity import importing
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
        assert not {each.name for each in verify_ledger(today=A_MONDAY) if each.violations}
        return report

    return do


def row(event_id="e1", user_id="u1", kind="login", at="2026-11-16T12:00:00Z", seconds=0):
    return f"{event_id},{user_id},{kind},{at},{seconds}"


def listed(report):
    with report.rejected_file.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def counts(report):
    return report.stored, report.duplicates, report.conflicts, report.rejected


def test_events_are_stored_with_the_counts_that_awarding_reads(do_import):
    report = do_import(
        row("e1"),
        row("e2", kind="audio_call", seconds=60),
        row("e3", kind="audio_call", seconds=40),
        row("e4", kind="audio_call", seconds=0),  # not completed: an event that does not count
        row("e5", kind="video_call", seconds=7),
        row("e6", user_id="u2", at="2026-11-17T00:00:00Z"),
        row("e7", user_id="u2", kind="video_call", at="2026-11-18T00:00:00Z"),
    )

    assert counts(report) == (7, 0, 0, 0)
    assert report.is_complete
    assert report.rejected_file is None
    assert list(
        DailyActivity.objects.order_by("date").values_list(
            *("user__external_id", "date", "logins"),
            *("audio_calls", "audio_seconds", "video_calls", "video_seconds"),
        )
    ) == [
        ("u1", date(2026, 11, 16), 1, 2, 100, 1, 7),
        ("u2", date(2026, 11, 17), 1, 0, 0, 0, 0),
    ]
    event = ActivityEvent.objects.get(event_id="e2")
    assert (event.source, event.kind, event.duration_seconds) == ("app", "audio_call", 60)
    assert (event.occurred_at, event.business_date) == (
        datetime(2026, 11, 16, 12, tzinfo=UTC),
        A_MONDAY,
    )


def test_the_same_again_is_counted_as_duplicates_and_changes_nothing(do_import):
    lines = [row("e1"), row("e2", kind="audio_call", seconds=60)]
    do_import(*lines)
    before = list(DailyActivity.objects.values()), list(ActivityEvent.objects.values())

    report = do_import(*lines)

    assert counts(report) == (0, 2, 0, 0)
    assert report.is_complete
    assert (list(DailyActivity.objects.values()), list(ActivityEvent.objects.values())) == before


def test_another_spelling_of_the_same_content_is_a_duplicate(do_import):
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
@pytest.mark.parametrize("chunk_lines", [1, 100_000])
def test_an_id_with_other_content_is_a_conflict_and_the_first_one_stays(
    other, chunk_lines, do_import, monkeypatch
):
    monkeypatch.setattr(importing, "CHUNK_LINES", chunk_lines)
    first = {"kind": "audio_call", "seconds": 5}

    # Once in the same file, in one chunk or two, and once with the first stored long ago.
    for stored, duplicates in ((1, 1), (0, 2)):
        report = do_import(row(**first), row(**first | other), row(**first))

        assert counts(report) == (stored, duplicates, 1, 0)
        assert report.by_reason == {"conflict": 1}
        assert listed(report)[1][:3] == [
            "3",
            "conflict: id 'e1' already stored with different content",
            "e1",
        ]
    event = ActivityEvent.objects.get()
    assert (event.user.external_id, event.kind, event.duration_seconds) == ("u1", "audio_call", 5)


def test_ids_belong_to_their_source(do_import):
    do_import(row())

    report = do_import(row(user_id="u2"), source="web")

    assert counts(report) == (1, 0, 0, 0)
    assert ActivityEvent.objects.count() == 2


@pytest.mark.parametrize("source", ["", "a b", "é", "x" * 65, "a\n"])
def test_a_source_is_visible_ascii(source, do_import):
    with pytest.raises(UsageError, match=r"^bad source .*: use 1 to 64 visible ASCII characters"):
        do_import(row(), source=source)


def test_a_row_of_nobody_is_rejected(do_import):
    StaffFactory(external_id="s1")

    report = do_import(row("e1", user_id="nobody"), row("e2", user_id="s1"), row("e3"))

    assert counts(report) == (1, 0, 0, 2)
    assert report.by_reason == {"user": 2}
    assert [line[:2] for line in listed(report)[1:]] == [
        ["2", "unknown user 'nobody'"],
        ["3", "unknown user 's1': there is one, but not a host"],
    ]


def test_unknown_users_become_hosts_when_asked_for(do_import):
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


def test_a_user_whose_name_is_taken_is_rejected_and_not_mixed_up(do_import):
    StaffFactory(username="host:new")

    report = do_import(row(user_id="new"), create_hosts=True)

    assert (report.hosts_created, *counts(report)) == (0, 0, 0, 0, 1)


def test_bad_rows_are_listed_and_keep_no_good_one_out(do_import):
    report = do_import(
        row("e1"),
        row("e2", kind="call"),
        "",
        "=cmd(),u1,call,\t,-1",
        "half",
        row("e3", user_id="\u202eu1"),
        row("e4"),
    )

    assert counts(report) == (2, 0, 0, 4)
    assert (report.rows, report.blank) == (6, 1)
    assert report.by_reason == {"kind": 2, "line": 1, "user_id": 1}
    assert not report.is_complete
    known = "known: login, audio_call, video_call"
    assert listed(report) == [
        ["line", "reason", *COLUMNS],
        ["3", f"unknown kind 'call'; {known}", "e2", "u1", "call", "2026-11-16T12:00:00Z", "0"],
        ["5", f"unknown kind 'call'; {known}", "'=cmd()", "u1", "call", "'\\t", "'-1"],
        ["6", "1 cells, expected 5: 'half'", "", "", "", "", ""],
        [
            "7",
            "bad user_id '\\u202eu1' of 3 characters: use 1 to 128 visible ASCII characters",
            *["e3", "\\u202eu1", "login", "2026-11-16T12:00:00Z", "0"],
        ],
    ]
    assert stat.S_IMODE(report.rejected_file.stat().st_mode) == 0o600
    assert [
        path.name for path in report.rejected_file.parent.iterdir() if "part" in path.name
    ] == []


def test_the_list_of_an_earlier_import_is_replaced_or_gone(do_import):
    first = do_import("bad", "bad").rejected_file
    assert first.name == "a.csv.rejected.csv"

    second = do_import("bad")

    assert second.rejected_file == first
    assert len(listed(second)) == 2
    do_import(row())
    assert not first.exists()


def test_a_list_that_cannot_be_written_is_said_and_the_next_call_completes(do_import, tmp_path):
    blocked = tmp_path / "a.csv.rejected.csv"
    blocked.mkdir()

    with pytest.raises(RewardsError, match=r"rejected\.csv' cannot be written: Is a directory"):
        do_import(row(), "bad")

    blocked.rmdir()
    assert counts(do_import(row(), "bad")) == (0, 1, 0, 1)


@pytest.mark.parametrize(("most_lines", "most_rejected"), [(2, 20_000), (100_000, 1)])
def test_chunks_count_lines_through_the_file(most_lines, most_rejected, do_import, monkeypatch):
    monkeypatch.setattr(importing, "CHUNK_LINES", most_lines)
    monkeypatch.setattr(importing.rows, "MAX_REJECTED", most_rejected)
    seen = []

    report = do_import(
        row("e1"), "", "bad", row("e2"), row("e3"), "bad", row("e4"),
        on_progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip

    assert counts(report) == (4, 0, 0, 2)
    assert [line[0] for line in listed(report)[1:]] == ["4", "7"]
    assert len(seen) == (4 if most_lines == 2 else 3)
    assert seen[-1][0] == seen[-1][1]


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
def test_every_form_of_the_same_activity_is_the_same(name, header, write, do_import):
    lines = [row("e1"), row("e2", kind="audio_call", seconds=60), row("e3", user_id="u3")]
    do_import(*lines)

    report = do_import(*write(*lines), name=name, header=header)

    assert counts(report) == (0, 2, 0, 1)
    assert listed(report)[1][2:] == lines[2].split(",")


def test_only_whole_rows_before_damage_are_stored(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(f"{HEADER}\n{row('e1')}\n{row('e2')}".encode())[:-8])

    report = importing.import_activity(path=path, source="app", create_hosts=False, now=NOW)

    assert counts(report) == (1, 0, 0, 0)
    assert not report.is_complete
    assert report.error == (
        f"'{path}' is cut off or damaged: the gzip data ends too early (after line 2)"
    )


def test_nothing_but_a_header_is_no_rows(do_import):
    report = do_import()

    assert (report.rows, report.is_complete) == (0, True)


def test_a_file_that_is_none_leaves_the_earlier_list_alone(do_import):
    rejected = do_import("bad").rejected_file

    with pytest.raises(BadFile):
        do_import(row(), header="")

    assert rejected.exists()


def test_one_line_is_logged(do_import, caplog):
    logging.getLogger("rewards").addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO, "rewards.services.ingest"):
            do_import(row(), name="a\nb.csv")
            do_import("bad", name="a\nb.csv")
    finally:
        logging.getLogger("rewards").removeHandler(caplog.handler)

    lines = [record.getMessage() for record in caplog.records]
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]
    assert all("\n" not in line for line in lines)
    assert "rows=1 stored=1 duplicates=0 conflicts=0 rejected=0 hosts_created=0" in lines[0]


@pytest.mark.parametrize("rows", [1, 3_000])
def test_a_chunk_takes_the_same_statements_for_any_number_of_rows(rows, django_assert_num_queries):
    lines = [row(f"e{number}", user_id=f"new-{number}") for number in range(rows)]

    # Savepoint, temporary table, COPY, hosts, events with their counts, drop, release.
    with django_assert_num_queries(7):
        importing.store_rows(
            rows=[f"{n},2026-11-16,{line}\n".encode() for n, line in enumerate(lines)],
            source="app", create_hosts=True, now=NOW,
        )  # fmt: skip
