"""What an import of hosts stores and reports."""

import csv
import gzip
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import psycopg
import pytest
from django.db import OperationalError, connection

from rewards.exceptions import BadFile, RewardsError
from rewards.models import Host, User
from rewards.services import db_errors, host_import
from rewards.services.host_import import HOSTS, import_hosts
from tests.factories import HostFactory, StaffFactory

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
MONDAY = date(2026, 11, 23)
HEADER = ",".join(HOSTS.columns)


@pytest.fixture
def do_import(tmp_path, db):
    """Return a function that imports lines and checks what must hold after any import."""

    def do(*lines, header=HEADER):
        path = tmp_path / "hosts.csv"
        path.write_bytes("\n".join([header, *lines]).encode("utf-8", "surrogateescape"))
        report = import_hosts(path=path, now=NOW)
        assert sum(counts(report)) == report.rows
        assert min(counts(report)) >= 0
        assert sum(report.by_reason.values()) == report.rejected
        return report

    return do


def counts(report):
    return report.created, report.updated, report.unchanged, report.rejected


def hosts():
    return {
        host.external_id: (host.first_name, host.last_name, host.left_on)
        for host in Host.objects.all()
    }


def reasons(report):
    with report.rejected_file.open(newline="", encoding="utf-8") as file:
        return [row["reason"] for row in csv.DictReader(file)]


def test_hosts_are_created_with_names_and_last_day(do_import):
    report = do_import("ada,Ada,King,", "bea,,,2026-11-23", '"c,c","Zoë ""Z""","d\'Or, Ü",')

    assert counts(report) == (3, 0, 0, 0)
    assert hosts() == {
        "ada": ("Ada", "King", None),
        "bea": ("", "", MONDAY),
        "c,c": ('Zoë "Z"', "d'Or, Ü", None),
    }
    ada = User.objects.get(external_id="ada")
    assert (ada.username, ada.is_host, ada.is_active, ada.is_staff) == (
        *("host:ada", True, True, False),
    )
    assert (ada.date_joined, ada.has_usable_password()) == (NOW, False)


@pytest.mark.parametrize("chunk_lines", [1, 50_000])
def test_a_second_import_changes_nothing(chunk_lines, do_import, monkeypatch):
    monkeypatch.setattr(host_import, "CHUNK_LINES", chunk_lines)
    lines = ["ada,Ada,King,", "bea,,,2026-11-23", "cleo,,,"]
    do_import(*lines)
    before = list(User.objects.order_by("pk").values())

    assert counts(do_import(*lines)) == (0, 0, 3, 0)
    assert list(User.objects.order_by("pk").values()) == before


def test_only_hosts_that_differ_are_updated(do_import):
    for name in "abcd":
        HostFactory(external_id=name, first_name="Ada", left_on=MONDAY)

    report = do_import("a,Ada,,2026-11-23", "b,Bea,,2026-11-23", "c,Ada,,2026-11-24", "d,Ada,,")

    assert counts(report) == (0, 3, 1, 0)
    assert hosts() == {
        "a": ("Ada", "", MONDAY),
        "b": ("Bea", "", MONDAY),
        "c": ("Ada", "", date(2026, 11, 24)),
        "d": ("Ada", "", None),
    }


@pytest.mark.parametrize(
    ("header", "line", "expected"),
    [
        ("user_id", "a", ("Ada", "King", MONDAY)),
        ("user_id,left_on", "a,", ("Ada", "King", None)),
        ("left_on,user_id", "2026-11-24,a", ("Ada", "King", date(2026, 11, 24))),
        ("last_name,user_id", "Byron,a", ("Ada", "Byron", MONDAY)),
        ("first_name,last_name,user_id", ",,a", ("", "", MONDAY)),
    ],
)
def test_a_column_left_out_stays_as_it_is(header, line, expected, do_import):
    HostFactory(external_id="a", first_name="Ada", last_name="King", left_on=MONDAY)

    do_import(line, header=header)

    assert hosts() == {"a": expected}


def test_a_column_left_out_is_empty_for_a_new_host(do_import):
    do_import("Byron,a", header="last_name,user_id")

    assert hosts() == {"a": ("", "Byron", None)}


def test_of_several_rows_of_a_host_the_last_counts(do_import):
    HostFactory(external_id="old")
    lines = [f"{name},{n},," for n in range(20) for name in ("old", "new")]

    assert counts(do_import(*lines)) == (1, 1, 38, 0)
    assert hosts() == {"old": ("19", "", None), "new": ("19", "", None)}
    assert counts(do_import(*lines)) == (0, 0, 40, 0)


def test_bad_rows_are_listed_and_keep_no_other_out(do_import):
    StaffFactory(external_id="s1")
    StaffFactory(username="host:taken")

    report = do_import(
        "a b,,,",
        "ada,Ada,,",
        "",
        "s1,,,",
        "taken,,,",
        "b,x\x7f,,",
        f"c,,{'x' * 151},",
        "d,,,2026-02-29",
        "e,,,24.11.2026",
        "f,g",
        '"h,,,',
        "i\udcff,,,",
        "j,\0,,",
        "bea,,,2026-11-23",
    )

    names = "use up to 150 characters, none of them a control character."
    assert counts(report) == (2, 0, 0, 11)
    assert report.blank == 1
    assert reasons(report) == [
        "Bad user_id 'a b': use 1 to 128 visible ASCII characters.",
        "User 's1' is not a host.",
        "Another user has the user name 'host:taken'.",
        f"Bad first_name 'x\\x7f': {names}",
        f"Bad last_name '{'x' * 79}: {names}",
        "Bad left_on: No such day: '2026-02-29'; 2026 is not a leap year.",
        "Bad left_on: Not a date of the form YYYY-MM-DD: '24.11.2026'.",
        "Expected 4 cells, found 2: 'f,g'.",
        "Bad quotes in '\"h,,,'.",
        "The line is not UTF-8 at byte 2.",
        "The line has a NUL at byte 3.",
    ]
    assert report.by_reason == {
        "first_name": 1, "last_name": 1, "left_on": 2, "line": 4, "user": 2, "user_id": 1,
    }  # fmt: skip
    assert hosts() == {"ada": ("Ada", "", None), "bea": ("", "", MONDAY)}
    staff = User.objects.get(external_id="s1")
    assert (staff.is_host, staff.left_on) == (False, None)


def test_the_list_of_rejected_rows_has_the_columns_in_order(do_import):
    report = do_import("no day,=1,a b", header="left_on,first_name,user_id")

    assert report.rejected_file.read_text().splitlines() == [
        f"line,reason,{HEADER}",
        "2,Bad user_id 'a b': use 1 to 128 visible ASCII characters.,a b,'=1,,no day",
    ]


@pytest.mark.parametrize("header", ["", "first_name", "user_id,points", '{"user_id": "a"}'])
def test_a_bad_header_is_refused(header, do_import):
    with pytest.raises(BadFile):
        do_import("a", header=header)

    assert not Host.objects.exists()


@pytest.mark.parametrize("number", [1, 3_000])
def test_the_number_of_statements_does_not_grow(number, do_import, django_assert_num_queries):
    # Savepoint, temporary table, COPY, creation, update, rejected rows, drop, release.
    with django_assert_num_queries(8):
        do_import(*(f"u{n},Ada,," for n in range(number)))


def test_concurrent_imports_in_opposite_order_end(committed, tmp_path):
    rows = [f"u{n},%s,," for n in range(2_000)]
    files = {"Ada": rows, "Bea": rows[::-1]}
    for name, lines in files.items():
        text = "\n".join([HEADER, *(line % name for line in lines)])
        (tmp_path / f"{name}.csv").write_text(text)
    together = threading.Barrier(2)

    def run(name):
        try:
            together.wait()
            return import_hosts(path=tmp_path / f"{name}.csv", now=NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(run, files))

    assert sum(report.created for report in reports) == 2_000
    assert [report.rejected for report in reports] == [0, 0]
    names = set(Host.objects.values_list("first_name", flat=True))
    assert len(names) == 1, names


@pytest.mark.parametrize("max_rejected", [1, 2, 9])
def test_rows_keep_their_numbers_when_a_chunk_ends_early(max_rejected, do_import, monkeypatch):
    monkeypatch.setattr(host_import, "MAX_REJECTED", max_rejected)

    report = do_import("a,,,", "bad", "", "b,,,", "bad", "c,,,", "bad")

    assert (counts(report), report.blank) == ((3, 0, 0, 3), 1)
    with report.rejected_file.open(newline="") as file:
        assert [row["line"] for row in csv.DictReader(file)] == ["3", "6", "8"]


def test_a_file_that_ends_too_early_is_an_error(tmp_path, db):
    path = tmp_path / "hosts.csv.gz"
    # Of random text, so that a part of it can be read.
    text = "".join(f"u{n},{os.urandom(8).hex()},,\n" for n in range(5_000))
    path.write_bytes(gzip.compress(f"{HEADER}\n{text}".encode())[:-10_000])

    report = import_hosts(path=path, now=NOW)

    assert report.error.startswith(f"Cannot read '{path}' after line ")
    assert 0 < report.created == report.rows == Host.objects.count() < 5_000


def test_progress_is_told_for_each_chunk(tmp_path, db, monkeypatch):
    monkeypatch.setattr(host_import, "CHUNK_LINES", 1)
    path = tmp_path / "hosts.csv"
    path.write_text(f"{HEADER}\na,,,\nb,,,\n")
    told = []

    import_hosts(path=path, now=NOW, on_progress=lambda *at: told.append(at))

    assert told == [(path.stat().st_size, path.stat().st_size)] * 2


def test_it_gives_up_after_repeated_conflicts(do_import, monkeypatch):
    monkeypatch.setattr(db_errors.time, "sleep", lambda seconds: None)
    tries = []

    def conflict(**_):
        tries.append(1)
        error = OperationalError("deadlock detected\nDETAIL: much")
        error.__cause__ = psycopg.errors.DeadlockDetected()
        raise error

    monkeypatch.setattr(host_import, "put_hosts_of_table", conflict)

    with pytest.raises(RewardsError) as refusal:
        do_import("a,,,")

    assert len(tries) == 5
    assert str(refusal.value) == (
        "Gave up after 5 conflicts with other processes: deadlock detected. "
        "The rows before were stored; safe to run again."
    )


def test_a_sequence_behind_its_rows_is_named(do_import):
    HostFactory(external_id="a")
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval('rewards_user_id_seq', max(id), false) FROM rewards_user")

    with pytest.raises(RewardsError, match="The sequence of rewards_user is behind its rows"):
        do_import("b,,,")

    assert set(hosts()) == {"a"}
