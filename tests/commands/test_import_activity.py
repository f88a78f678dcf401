"""import_activity from the outside: what it says, how it ends, what is stored."""

import csv
import gzip
import json
import os

import pytest

from rewards.models import ActivityEvent, DailyActivity
from tests.factories import HostFactory

pytestmark = pytest.mark.django_db

HEADER = "event_id,user_id,kind,occurred_at,duration_seconds"
FIRST = "first,u1,login,2026-11-16T12:00:00Z,0"
LAST = "last,u1,audio_call,2026-11-16T12:00:00Z,60"
VISIBLE = "use 1 to 128 visible ASCII characters"
SECONDS = "use digits 0-9, 0 to 86400"


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


def test_twice_stores_nothing_more_and_is_no_error(manage, tmp_path):
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
    assert (code, err) == (4, "CommandError: rows were rejected; see a.csv.rejected.csv.\n")


@pytest.mark.parametrize("form", ["text", "json"])
def test_nothing_but_errors_is_printed_at_verbosity_0(form, manage, tmp_path):
    write(tmp_path / "a.csv", HEADER, FIRST)

    words = ("import_activity", "--verbosity", "0", "--format", form)

    assert manage(*words, "a.csv") == (0, "", "")
    assert manage(*words, "none.csv") == (2, "", "CommandError: 'none.csv': no such file.\n")


def test_hosts_are_made_when_asked_for(manage, tmp_path):
    write(tmp_path / "a.csv", HEADER, FIRST.replace("u1", "u2"))

    code, out, _ = manage("import_activity", "a.csv", "--create-hosts")

    assert (code, without_seconds(out)) == (0, ["a.csv: 1 of 1 rows stored; 1 hosts created"])


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "the file is empty."),
        (HEADER.encode("utf-16"), "not UTF-8 at byte 1 (line 1): it looks like UTF-16; save"),
        (HEADER.encode() + b"\xe9", "not UTF-8 at byte 51 (line 1); save it as UTF-8."),  # latin-1
        (HEADER.encode() + b"\0", "line 1: NUL byte; save the file as UTF-8 text."),
        (HEADER.replace(",", ";").encode(), f"1 column found; expected comma-separated: {HEADER}."),
        (HEADER[:-17].encode(), f"header: missing column 'duration_seconds'; expected {HEADER}."),
        (HEADER.encode() + b",kind", "header: duplicate column 'kind'."),
        (HEADER.encode() + b",\x1b[2J", f"header: unknown column '\\x1b[2J'; expected {HEADER}."),
        (b"\n" + LAST.encode(), f"line 2 is no header: '{LAST}'; expected {HEADER}."),
        (b"PK\x03\x04", "is a zip archive or a spreadsheet; give plain or gzip-compressed CSV"),
        (b"\x1f\x8b\x08\x00", "cut off or damaged: the gzip data ends too early."),
        (b"x" * 70_000, "line 1 is too long: over 65536 bytes."),
    ],
)
def test_a_file_that_is_none_is_refused_and_nothing_of_any_is_stored(
    data, sentence, manage, tmp_path
):
    write(tmp_path / "good.csv", HEADER, FIRST)
    (tmp_path / "bad.csv").write_bytes(data)

    code, out, err = manage("import_activity", "good.csv", "bad.csv")

    assert (code, out) == (2, "")
    assert err.startswith("CommandError: 'bad.csv'")
    assert sentence in err
    assert err.count("\n") == 1
    assert stored() == set()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("none.csv", "'none.csv': no such file."),
        ("", "'.' is a folder; give a file."),
        ("..", "'..' is a folder; give a file."),
        ("a\nb.csv", "'a\\nb.csv': no such file."),
        ("a.csv/b", "'a.csv/b' cannot be opened: Not a directory."),
    ],
)
def test_what_cannot_be_opened_is_refused(name, sentence, manage, tmp_path):
    write(tmp_path / "a.csv", HEADER, FIRST)

    assert manage("import_activity", "a.csv", name) == (2, "", f"CommandError: {sentence}\n")
    assert stored() == set()


def test_standard_input_can_be_read_once_only(manage):
    assert manage("import_activity", "-", "-") == (
        2,
        "",
        "CommandError: standard input (-) can be read only once.\n",
    )


def test_a_bad_source_is_refused(manage, tmp_path):
    write(tmp_path / "a.csv", HEADER, FIRST)

    assert manage("import_activity", "a.csv", "--source", "my app") == (
        2,
        "",
        "CommandError: bad source 'my app': use 1 to 64 visible ASCII characters.\n",
    )


def test_a_file_is_named_so_that_any_terminal_shows_it(manage, tmp_path):
    name = os.fsdecode(b"caf\xe9\n.csv")
    write(tmp_path / name, HEADER, FIRST, "bad")

    code, out, err = manage("import_activity", name)

    assert code == 4
    assert without_seconds(out) == ["caf\\udce9\\n.csv: 1 of 2 rows stored, 1 rejected (line 1)"]
    assert err == "CommandError: rows were rejected; see caf\\udce9\\n.csv.rejected.csv.\n"


@pytest.mark.parametrize(
    "data",
    [
        f"{HEADER}\n{FIRST}\n{LAST}\n",
        f"\ufeff{HEADER}\r\n{FIRST}\r\n{LAST}\r\n",  # as Excel writes it
        f"\n{HEADER}\r{FIRST}\n\r\n{LAST}\r\n\n",  # ends of line mixed, blank lines between
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


def test_a_file_that_ends_too_early_is_stored_as_far_as_it_goes(manage, tmp_path):
    whole = gzip.compress(f"{HEADER}\n{FIRST}\n{LAST}".encode())
    (tmp_path / "a.csv.gz").write_bytes(whole[:-8])

    code, out, err = manage("import_activity", "a.csv.gz")

    assert (code, without_seconds(out)) == (4, ["a.csv.gz: 1 of 1 rows stored"])
    assert err == (
        "CommandError: 'a.csv.gz' is cut off or damaged: the gzip data ends too early "
        "(after line 2).\n"
    )


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
    ("NUL byte", "e,u\0 1,login,2026-11-16T12:00:00Z,0", "NUL byte at byte 4 of the line"),
    ("short row", "e,u1,login,2026-11-16T12:00:00Z", "4 cells, expected 5: 'e,u1,login,2026-11"),
    ("long row", row() + ",", "6 cells, expected 5: 'e,u1,login,2026-11-16T12:00:00Z,0,'"),
    ("open quote", row(event_id='"e'), "quote not closed: '\"e,u1,login,2026-11-16T12:00:00Z,0'"),
    ("huge cell", row(event_id="e" * 70_000), "line too long: over 65536 bytes"),
    # event ids
    ("other content", "first,u1,login,2026-11-16T12:00:01Z,0", "conflict: id 'first' already"),
    ("no id", row(event_id=""), f"event_id is empty; {VISIBLE}"),
    ("long id", row(event_id="e" * 129), f"bad event_id '{'e' * 79} of 129 characters: {VISIBLE}"),
    ("space in id", row(event_id="e 1"), f"bad event_id 'e 1' of 3 characters: {VISIBLE}"),
    ("control sign in id", row(event_id="\x1b[2J"), "bad event_id '\\x1b[2J' of 4 characters: "),
    ("right to left", row(event_id="\u202ee"), "bad event_id '\\u202ee' of 2 characters"),
    ("zero width", row(user_id="u\u200b1"), f"bad user_id 'u\\u200b1' of 3 characters: {VISIBLE}"),
    # numbers
    ("negative", row(duration_seconds="-1"), f"negative duration_seconds: '-1'; {SECONDS}"),
    ("part of one", row(duration_seconds="1.5"), "not a whole number of seconds: '1.5'"),
    ("no number", row(duration_seconds="NaN"), "not a whole number of seconds: 'NaN'"),
    ("exponent", row(duration_seconds="1e400"), "not a whole number of seconds: '1e400'"),
    ("thousands", row(duration_seconds='"1,000"'), "not a whole number of seconds: '1,000'"),
    ("hexadecimal", row(duration_seconds="0x10"), "not a whole number of seconds: '0x10'"),
    ("other digits", row(duration_seconds="１２"), "number of seconds: '\\uff11\\uff12'"),
    ("underscore", row(duration_seconds="1_000"), "not a whole number of seconds: '1_000'"),
    ("over a day", row(duration_seconds="86401"), f"too long a call: '86401'; {SECONDS}"),
    ("over 31 bits", row(duration_seconds="2147483648"), "too long a call: '2147483648'"),
    ("over 63 bits", row(duration_seconds="9223372036854775808"), "too long a call: '9223372036"),
    # who and what
    ("unknown user", row(user_id="u2"), "unknown user 'u2'"),
    ("unknown kind", row(kind="call"), "unknown kind 'call'; known: login, audio_call, video_call"),
    ("formula", row(kind="=cmd()"), "unknown kind '=cmd()'; known: login, audio_call, video_call"),
    ("markup", row(kind="<script>"), "unknown kind '<script>'; known: login"),
    # when
    ("no zone", row(occurred_at="2026-11-16T12:00:00"), "time zone missing: '2026-11-16T12"),
    ("no such day", row(occurred_at="2026-02-30T12:00:00Z"), "no such time: '2026-02-30T12"),
    ("too far ahead", row(occurred_at="2026-11-24T03:05:01Z"), "is in the future; accepted until"),
    ("too old", row(occurred_at="1999-12-31T23:59:59Z"), "is too old; accepted from 2000-01-01"),
]  # fmt: skip

BAD_JSON = [
    ("trailing comma", as_json()[:-1] + ",}", "not JSON: "),  # the rest depends on Python
    ("NaN", as_json().replace("0}", "NaN}"), "not a JSON number: NaN"),
    ("Infinity", as_json().replace("0}", "-Infinity}"), "not a JSON number: -Infinity"),
    ("key twice", as_json()[:-1] + ', "kind": "login"}', "key 'kind' twice"),
    ("NUL sign", as_json(event_id="e\0"), f"bad event_id 'e\\x00' of 2 characters: {VISIBLE}"),
    ("half a sign", as_json(event_id="\ud800"), "bad event_id '\\ud800' of 1 characters"),
    ("nested deep", "[" * 60_000, "nested too deep; expected one flat JSON object"),
    ("5,000 digits", as_json().replace("0}", "9" * 5_000 + "}"), "number too long"),
    ("true", as_json(duration_seconds=True), "number expected, whole and without quotes"),
    ("text", as_json(duration_seconds="0"), 'number expected, whole and without quotes, found "0"'),
    ("number for text", as_json(user_id=1), "user_id: text expected, found 1"),
    ("list", f"[{as_json()}]", "expected a JSON object, found '[{"),
    ("key missing", "{}", "key 'event_id' is missing"),
    ("key unknown", as_json(points=5), "unknown key 'points'; known: event_id, user_id, kind"),
]  # fmt: skip


def named(cases):
    return [pytest.param(*case, id=name) for name, *case in cases]


def check_the_bad_row_is_rejected_alone(manage, name, reason):
    code, out, err = manage("import_activity", name)

    assert code == 4
    assert without_seconds(out)[0].startswith(f"{name}: 2 of 3 rows stored, 1 ")
    assert err == f"CommandError: rows were rejected; see {name}.rejected.csv.\n"
    assert stored() == {"first", "last"}
    assert list(DailyActivity.objects.values_list("logins", "audio_calls")) == [(1, 1)]
    with open(f"{name}.rejected.csv", newline="", encoding="utf-8") as file:
        header, rejected = csv.reader(file)
    assert header == ["line", "reason", *HEADER.split(",")]
    assert rejected[1].removeprefix("'").find(reason) >= 0
    assert len(rejected[1]) < 250
    assert all(cell.isprintable() and cell[:1] not in {"=", "+", "-", "@"} for cell in rejected)
    return rejected


@pytest.mark.parametrize(("line", "reason"), named(BAD_CSV))
def test_a_bad_row_of_csv_is_rejected_alone(line, reason, manage, tmp_path):
    write(tmp_path / "a.csv", HEADER, FIRST, line, LAST)

    rejected = check_the_bad_row_is_rejected_alone(manage, "a.csv", reason)

    assert rejected[0] == "3"


@pytest.mark.parametrize(("line", "reason"), named(BAD_JSON))
def test_a_bad_line_of_json_is_rejected_alone(line, reason, manage, tmp_path):
    good = (
        as_json(event_id="first"),
        as_json(event_id="last", kind="audio_call", duration_seconds=60),
    )
    write(tmp_path / "a.jsonl", good[0], line, good[1])

    rejected = check_the_bad_row_is_rejected_alone(manage, "a.jsonl", reason)

    assert rejected[0] == "2"


def test_a_row_that_is_not_utf_8_is_rejected_alone(manage, tmp_path):
    data = "\n".join([HEADER, FIRST, row(event_id="é"), LAST]).encode("latin-1")
    (tmp_path / "a.csv").write_bytes(data)

    check_the_bad_row_is_rejected_alone(manage, "a.csv", "not UTF-8 at byte 1 of the line")


def test_a_host_with_more_calls_a_day_than_seconds_fit_in_an_integer_is_stored(manage, tmp_path):
    calls = [row(event_id=f"e{n}", kind="audio_call", duration_seconds="1") for n in range(25_000)]
    write(tmp_path / "a.csv", HEADER, *calls)

    code, _, err = manage("import_activity", "a.csv")

    assert (code, err) == (0, "")
    assert DailyActivity.objects.get().audio_calls == 25_000
