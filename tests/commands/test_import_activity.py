"""import_activity: output, exit codes, and what is stored."""

import csv
import gzip
import json
import os

import pytest

from rewards.models import ActivityEvent, DailyActivity, Host
from tests.factories import DailyActivityFactory, HostFactory

pytestmark = pytest.mark.django_db

HEADER = "event_id,user_id,kind,occurred_at,duration_seconds"
FIRST = "first,u1,login,2026-11-16T12:00:00Z,0"
LAST = "last,u1,audio_call,2026-11-16T12:00:00Z,60"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _host():
    HostFactory(external_id="u1")


def write(path, *lines):
    data = "\n".join(lines)
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))
    return path


def stored():
    return set(ActivityEvent.objects.values_list("event_id", flat=True))


def without_seconds(text):
    return [line.rsplit(";", 1)[0] for line in text.splitlines()]


def test_a_good_file_is_stored(manage, tmp_path):
    write(tmp_path / "a.csv", HEADER, FIRST, LAST)

    code, out, err = manage("import_activity", "a.csv")

    assert (code, without_seconds(out), err) == (0, ["a.csv: 2 of 2 rows stored"], "")
    assert stored() == {"first", "last"}


def test_a_file_given_twice_is_stored_once(manage, tmp_path):
    write(tmp_path / "a.csv", HEADER, FIRST, LAST)

    code, out, err = manage("import_activity", "a.csv", "a.csv")

    assert (code, without_seconds(out), err) == (
        0,
        [
            "a.csv: 2 of 2 rows stored",
            "a.csv: 0 of 2 rows stored, 2 duplicates",
            "total: 2 of 4 rows stored, 2 duplicates.",
        ],
        "",
    )


def test_a_report_as_json(manage, tmp_path):
    write(tmp_path / "a.csv", HEADER, FIRST, "", "bad", FIRST, FIRST.replace("login", "video_call"))

    code, out, err = manage("import_activity", "a.csv", "--format", "json")

    report = json.loads(out)
    assert report["files"][0].pop("seconds") >= 0
    counts = {"rows": 4, "stored": 1, "duplicates": 1, "conflicts": 1, "rejected": 1}
    counts |= {"hosts_created": 0, "blank": 1}
    assert report == {
        "files": [
            {
                "file": "a.csv",
                **counts,
                "by_reason": {"conflict": 1, "line": 1},
                "rejected_file": "a.csv.rejected.csv",
                "error": "",
            }
        ],
        "total": counts,
    }
    assert (code, err) == (4, "CommandError: Rows were rejected: see a.csv.rejected.csv.\n")


@pytest.mark.parametrize("form", ["text", "json"])
def test_nothing_but_errors_is_printed_at_verbosity_0(form, manage, tmp_path):
    write(tmp_path / "a.csv", HEADER, FIRST)

    words = ("import_activity", "--verbosity", "0", "--format", form)

    assert manage(*words, "a.csv") == (0, "", "")
    assert manage(*words, "none.csv") == (
        2,
        "",
        "CommandError: Cannot open 'none.csv': No such file or directory.\n",
    )


def test_hosts_are_created_on_request(manage, tmp_path):
    write(tmp_path / "a.csv", HEADER, FIRST.replace("u1", "u2"))

    code, out, _ = manage("import_activity", "a.csv", "--create-hosts")

    assert (code, without_seconds(out)) == (0, ["a.csv: 1 of 1 row stored; 1 host created"])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEADER.encode("utf-16"),
        HEADER.encode() + b"\xe9",  # Latin-1
        HEADER.encode() + b"\0",
        HEADER.replace(",", ";").encode(),
        HEADER[9:].encode(),
        HEADER.encode() + b",kind",
        HEADER.encode() + b",\x1b[2J",
        LAST.encode(),
        b"PK\x03\x04",
        b"\x1f\x8b\x08\x00",
        b"x" * 70_000,
    ],
)
def test_a_bad_file_is_refused_before_any_is_stored(data, manage, tmp_path):
    write(tmp_path / "good.csv", HEADER, FIRST)
    (tmp_path / "bad.csv").write_bytes(data)

    code, out, err = manage("import_activity", "good.csv", "bad.csv")

    assert (code, out) == (2, "")
    assert err.startswith("CommandError: Cannot read 'bad.csv': ")
    assert err.count("\n") == 1
    assert err.strip().isprintable()
    assert stored() == set()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("none.csv", "Cannot open 'none.csv': No such file or directory."),
        ("", "Cannot open '.': Is a directory."),
        ("..", "Cannot open '..': Is a directory."),
        ("a\nb.csv", "Cannot open 'a\\nb.csv': No such file or directory."),
        ("a.csv/b", "Cannot open 'a.csv/b': Not a directory."),
    ],
)
def test_a_path_that_cannot_be_opened_is_refused(name, sentence, manage, tmp_path):
    write(tmp_path / "a.csv", HEADER, FIRST)

    assert manage("import_activity", "a.csv", name) == (2, "", f"CommandError: {sentence}\n")
    assert stored() == set()


def test_standard_input_is_imported(manage, tmp_path):
    write(tmp_path / "input", HEADER, FIRST, "bad")
    stdin = os.dup(0)
    with open("input") as file:
        os.dup2(file.fileno(), 0)
    try:
        code, out, err = manage("import_activity", "-")
    finally:
        os.dup2(stdin, 0)
        os.close(stdin)

    assert (code, without_seconds(out)) == (4, ["stdin: 1 of 2 rows stored, 1 rejected (line 1)"])
    assert err == "CommandError: Rows were rejected: see stdin.rejected.csv.\n"
    assert (tmp_path / "stdin.rejected.csv").exists()


def test_standard_input_can_be_read_only_once(manage):
    assert manage("import_activity", "-", "-") == (
        2,
        "",
        "CommandError: Standard input (-) can be read only once.\n",
    )


def test_a_bad_source_is_refused(manage, tmp_path):
    write(tmp_path / "a.csv", HEADER, FIRST)

    assert manage("import_activity", "a.csv", "--source", "my app") == (
        2,
        "",
        "CommandError: Bad source 'my app': use 1 to 64 visible ASCII characters.\n",
    )


def test_the_name_of_a_file_is_printable(manage, tmp_path):
    name = os.fsdecode(b"caf\xe9\n.csv")
    write(tmp_path / name, HEADER, FIRST, "bad")

    code, out, err = manage("import_activity", name)

    assert code == 4
    assert without_seconds(out) == ["caf\\udce9\\n.csv: 1 of 2 rows stored, 1 rejected (line 1)"]
    assert err == "CommandError: Rows were rejected: see caf\\udce9\\n.csv.rejected.csv.\n"


@pytest.mark.parametrize(
    "data",
    [
        f"{HEADER}\n{FIRST}\n{LAST}\n",
        f"\ufeff{HEADER}\r\n{FIRST}\r\n{LAST}\r\n",  # as Excel writes it
        f"\n{HEADER}\r{FIRST}\n\r\n{LAST}\r\n\n",  # mixed line ends, blank lines
        f"{HEADER}\n{FIRST}\n{LAST}\n{LAST}",  # a row twice
    ],
)
def test_every_common_form_of_csv_is_read(data, manage, tmp_path):
    write(tmp_path / "a.csv", data)

    code, _, err = manage("import_activity", "a.csv")

    assert (code, err, stored()) == (0, "", {"first", "last"})


def test_a_header_alone_is_nothing_to_do(manage, tmp_path):
    write(tmp_path / "a.csv", HEADER)

    code, out, err = manage("import_activity", "a.csv")

    assert (code, without_seconds(out), err) == (0, ["a.csv: 0 of 0 rows stored"], "")


def test_complete_rows_of_a_damaged_file_are_stored(manage, tmp_path):
    whole = gzip.compress(f"{HEADER}\n{FIRST}\n{LAST}".encode())
    (tmp_path / "a.csv.gz").write_bytes(whole[:-8])

    code, out, err = manage("import_activity", "a.csv.gz")

    assert (code, without_seconds(out)) == (4, ["a.csv.gz: 1 of 1 row stored"])
    assert err == (
        "CommandError: Cannot read 'a.csv.gz' after line 2: "
        "Compressed file ended before the end-of-stream marker was reached.\n"
    )


def test_all_errors_are_reported(manage, tmp_path):
    write(tmp_path / "a.csv", HEADER, "bad", FIRST, FIRST.replace("login", "audio_call"))
    write(tmp_path / "b.csv", HEADER, LAST, LAST, LAST, "bad", "bad")
    damaged = gzip.compress("\n".join([HEADER, *["bad"] * 1_500, FIRST]).encode())
    (tmp_path / "c.csv.gz").write_bytes(damaged[:-8])

    code, out, err = manage("import_activity", "a.csv", "b.csv", "c.csv.gz")

    assert (code, without_seconds(out)) == (
        4,
        [
            "a.csv: 1 of 3 rows stored, 1 conflict, 1 rejected (conflict 1, line 1)",
            "b.csv: 1 of 5 rows stored, 2 duplicates, 2 rejected (line 2)",
            "c.csv.gz: 0 of 1,500 rows stored, 1,500 rejected (line 1,500)",
            "total: 2 of 1,508 rows stored, 2 duplicates, 1 conflict, 1,503 rejected.",
        ],
    )
    assert err == (
        "CommandError: Cannot read 'c.csv.gz' after line 1501: "
        "Compressed file ended before the end-of-stream marker was reached. "
        "Rows were rejected: see a.csv.rejected.csv, b.csv.rejected.csv, c.csv.gz.rejected.csv.\n"
    )


def test_files_before_an_error_are_reported(manage, tmp_path):
    write(tmp_path / "a.csv", HEADER, FIRST)
    write(tmp_path / "b.csv", HEADER, "bad")
    (tmp_path / "b.csv.rejected.csv").mkdir()

    code, out, err = manage("import_activity", "a.csv", "b.csv")

    assert (code, without_seconds(out)) == (1, ["a.csv: 1 of 1 row stored"])
    assert err.startswith("CommandError: Cannot write 'b.csv.rejected.csv': ")


def row(**cells):
    good = {
        "event_id": "e",
        "user_id": "u1",
        "kind": "login",
        "occurred_at": "2026-11-16T12:00:00Z",
    }
    return ",".join((good | {"duration_seconds": "0"} | cells).values())


def as_json(**values):
    good = {
        "event_id": "e",
        "user_id": "u1",
        "kind": "login",
        "occurred_at": "2026-11-16T12:00:00Z",
    }
    return json.dumps(good | {"duration_seconds": 0} | values)


BAD_CSV = [
    # shape
    ("NUL byte", "e,u\0 1,login,2026-11-16T12:00:00Z,0", "line"),
    ("short row", "e,u1,login,2026-11-16T12:00:00Z", "line"),
    ("long row", row() + ",", "line"),
    ("open quote", row(event_id='"e'), "line"),
    ("huge cell", row(event_id="e" * 70_000), "line"),
    # ids
    ("other content", "first,u1,login,2026-11-16T12:00:01Z,0", "conflict"),
    ("no id", row(event_id=""), "event_id"),
    ("long id", row(event_id="e" * 129), "event_id"),
    ("space in id", row(event_id="e 1"), "event_id"),
    ("control character in id", row(event_id="\x1b[2J"), "event_id"),
    ("right to left", row(event_id="\u202ee"), "event_id"),
    ("zero width", row(user_id="u\u200b1"), "user_id"),
    # numbers
    ("negative", row(duration_seconds="-1"), "duration_seconds"),
    ("fraction", row(duration_seconds="1.5"), "duration_seconds"),
    ("no number", row(duration_seconds="NaN"), "duration_seconds"),
    ("exponent", row(duration_seconds="1e400"), "duration_seconds"),
    ("thousands", row(duration_seconds='"1,000"'), "duration_seconds"),
    ("hexadecimal", row(duration_seconds="0x10"), "duration_seconds"),
    ("other digits", row(duration_seconds="１２"), "duration_seconds"),
    ("underscore", row(duration_seconds="1_000"), "duration_seconds"),
    ("over a day", row(duration_seconds="86401"), "duration_seconds"),
    ("over 31 bits", row(duration_seconds="2147483648"), "duration_seconds"),
    ("over 63 bits", row(duration_seconds="9223372036854775808"), "duration_seconds"),
    # users and kinds
    ("unknown user", row(user_id="u2"), "user"),
    ("unknown kind", row(kind="call"), "kind"),
    ("formula", row(kind="=cmd()"), "kind"),
    ("markup", row(kind="<script>"), "kind"),
    # times
    ("no zone", row(occurred_at="2026-11-16T12:00:00"), "occurred_at"),
    ("no such day", row(occurred_at="2026-02-30T12:00:00Z"), "occurred_at"),
    ("too far ahead", row(occurred_at="2026-11-24T03:05:01Z"), "occurred_at"),
    ("too old", row(occurred_at="1999-12-31T23:59:59Z"), "occurred_at"),
]

BAD_JSON = [
    ("trailing comma", as_json()[:-1] + ",}", "line"),
    ("NaN", as_json().replace("0}", "NaN}"), "line"),
    ("Infinity", as_json().replace("0}", "-Infinity}"), "line"),
    ("key twice", as_json()[:-1] + ', "kind": "login"}', "line"),
    ("NUL", as_json(event_id="e\0"), "event_id"),
    ("surrogate", as_json(event_id="\ud800"), "event_id"),
    ("nested deep", "[" * 60_000, "line"),
    ("5,000 digits", as_json().replace("0}", "9" * 5_000 + "}"), "line"),
    ("true", as_json(duration_seconds=True), "duration_seconds"),
    ("text", as_json(duration_seconds="0"), "duration_seconds"),
    ("number for text", as_json(user_id=1), "user_id"),
    ("list", f"[{as_json()}]", "line"),
    ("key missing", "{}", "line"),
    ("key unknown", as_json(points=5), "line"),
]


def named(cases):
    return [pytest.param(*case, id=name) for name, *case in cases]


def check_only_the_bad_row_is_rejected(manage, name, line, category):
    code, out, err = manage("import_activity", name, "--format", "json")

    (report,) = json.loads(out)["files"]
    assert (report["rows"], report["stored"], report["by_reason"]) == (3, 2, {category: 1})
    assert (code, err) == (4, f"CommandError: Rows were rejected: see {name}.rejected.csv.\n")
    assert stored() == {"first", "last"}
    assert list(DailyActivity.objects.values_list("logins", "audio_calls")) == [(1, 1)]
    with open(f"{name}.rejected.csv", newline="", encoding="utf-8") as file:
        header, rejected = csv.reader(file)
    assert header == ["line", "reason", *HEADER.split(",")]
    assert rejected[0] == line
    assert len(rejected) == 7
    assert 10 < len(rejected[1]) < 250
    assert all(cell.isprintable() and cell[:1] not in {"=", "+", "-", "@"} for cell in rejected)


@pytest.mark.parametrize(("line", "category"), named(BAD_CSV))
def test_only_the_bad_row_of_csv_is_rejected(line, category, manage, tmp_path):
    write(tmp_path / "a.csv", HEADER, FIRST, line, LAST)

    check_only_the_bad_row_is_rejected(manage, "a.csv", "3", category)


@pytest.mark.parametrize(("line", "category"), named(BAD_JSON))
def test_only_the_bad_line_of_json_is_rejected(line, category, manage, tmp_path):
    first = as_json(event_id="first")
    last = as_json(event_id="last", kind="audio_call", duration_seconds=60)
    write(tmp_path / "a.jsonl", first, line, last)

    check_only_the_bad_row_is_rejected(manage, "a.jsonl", "2", category)


def test_only_the_row_that_is_not_utf_8_is_rejected(manage, tmp_path):
    data = "\n".join([HEADER, FIRST, row(event_id="é"), LAST]).encode("latin-1")
    (tmp_path / "a.csv").write_bytes(data)

    check_only_the_bad_row_is_rejected(manage, "a.csv", "3", "line")


def test_the_possible_seconds_of_a_day_may_exceed_31_bits(manage, tmp_path):
    DailyActivityFactory(user=Host.objects.get(), audio_calls=24_999, audio_seconds=1_000_000)
    write(tmp_path / "a.csv", HEADER, LAST)

    code, _, err = manage("import_activity", "a.csv")

    assert (code, err) == (0, "")
    assert DailyActivity.objects.get().audio_calls == 25_000
