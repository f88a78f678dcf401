"""import_hosts: output, exit codes, and what is stored."""

import gzip
import json

import pytest

from rewards.models import Host
from tests.factories import HostFactory

pytestmark = pytest.mark.django_db

HEADER = "user_id,first_name,last_name,left_on"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(path, *lines):
    path.write_text("\n".join([HEADER, *lines]))


def without_seconds(text):
    return [line.rsplit(";", 1)[0] for line in text.splitlines()]


def test_hosts_are_created_and_changed(manage, tmp_path):
    HostFactory(external_id="old")
    write(tmp_path / "a.csv", "new,Ada,King,", "old,Bea,,2026-11-23")

    code, out, err = manage("import_hosts", "a.csv")

    assert (code, without_seconds(out), err) == (0, ["a.csv: 2 rows: 1 created, 1 updated"], "")
    assert {str(host): host.get_full_name() for host in Host.objects.all()} == {
        "new": "Ada King",
        "old": "Bea",
    }
    assert without_seconds(manage("import_hosts", "a.csv")[1]) == ["a.csv: 2 rows: 2 unchanged"]


def test_rejected_rows_are_an_exit_code_of_4(manage, tmp_path):
    write(tmp_path / "a.csv", "new,,,", "a b,,,", "c,,,never")

    code, out, err = manage("import_hosts", "a.csv")

    assert (code, without_seconds(out), err) == (
        4,
        ["a.csv: 3 rows: 1 created, 2 rejected (left_on 1, user_id 1)"],
        "CommandError: Rows were rejected: see a.csv.rejected.csv.\n",
    )
    assert (tmp_path / "a.csv.rejected.csv").read_text().startswith(f"line,reason,{HEADER}\n3,")


def test_a_report_as_json(manage, tmp_path):
    write(tmp_path / "a.csv", "a,,,", "", "b b,,,")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(f"{HEADER}\na,Ada,,".encode()))

    code, out, _ = manage("import_hosts", "a.csv", "b.csv.gz", "--format", "json")

    report = json.loads(out)
    assert [row.pop("seconds") >= 0 for row in report["files"]] == [True, True]
    first = {"rows": 2, "created": 1, "updated": 0, "unchanged": 0, "rejected": 1, "blank": 1}
    second = {"rows": 1, "created": 0, "updated": 1, "unchanged": 0, "rejected": 0, "blank": 0}
    named = {"file": "a.csv", "by_reason": {"user_id": 1}, "rejected_file": "a.csv.rejected.csv"}
    assert code == 4
    assert report == {
        "files": [
            {**first, **named, "error": ""},
            {**second, "file": "b.csv.gz", "by_reason": {}, "rejected_file": None, "error": ""},
        ],
        "total": {name: first[name] + second[name] for name in first},
    }


def test_a_bad_file_is_refused_before_any_is_stored(manage, tmp_path):
    write(tmp_path / "a.csv", "a,,,")
    (tmp_path / "b.csv").write_text("event_id,user_id\n")

    code, out, err = manage("import_hosts", "a.csv", "b.csv")

    assert (code, out) == (2, "")
    assert err == (
        "CommandError: Cannot read 'b.csv': line 1: unknown column 'event_id'; "
        f"expected {HEADER}.\n"
    )
    assert not Host.objects.exists()
