"""The format and the lines of a file, whatever its bytes and however they arrive."""

import gzip
import io
import os
import threading
from contextlib import contextmanager

import pytest

from rewards.exceptions import BadFile
from rewards.services.activity import reading
from rewards.services.activity.reading import (
    ACTIVITY,
    COLUMNS,
    MAX_LINE_BYTES,
    RowFile,
    check_rows,
    open_rows,
)

HEADER = ",".join(COLUMNS).encode()
BOM = b"\xef\xbb\xbf"


def compressed(data):
    """Return the same bytes in every test process: without the time of day."""
    return gzip.compress(data, mtime=0)


class OneByteAtATime(io.RawIOBase):
    """A pipe whose writer is slow: every read returns a single byte."""

    def __init__(self, data):
        self.data = iter(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        for byte in self.data:
            buffer[0] = byte
            return 1
        return 0


@contextmanager
def activity_file(tmp_path, data, name="activity.csv"):
    path = tmp_path / name
    path.write_bytes(data)
    with open_rows(path) as file:
        yield file


def slow_file(data):
    raw = io.BufferedReader(OneByteAtATime(data))
    return RowFile(raw, layout=ACTIVITY, name="pipe", suffix=".csv", size=None)


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"a\nb\n", [b"a", b"b"]),
        (b"a\nb", [b"a", b"b"]),  # no line end at the end
        (b"a\r\nb\r\n", [b"a", b"b"]),
        (b"a\rb\r", [b"a", b"b"]),
        (b"a\r\nb\rc\nd", [b"a", b"b", b"c", b"d"]),
        (b"a\r\r\nb", [b"a", b"", b"b"]),
        (b"a\n\r", [b"a", b""]),
        (b"\n\n", [b"", b""]),
        (b"", []),
        (b"a\x0bb\x0cc\xe2\x80\xa8d\x1ce\n", [b"a\x0bb\x0cc\xe2\x80\xa8d\x1ce"]),  # no line ends
        (b"x" * 60 + b"\nb\n", [b"x" * 60, b"b"]),
        (b"x" * 61 + b"\nb\n", [b"x" * 61, b"b"]),
        (b"a\n" + b"x" * 100 + b"\r\nb\n", [b"a", b"x" * 61, b"b"]),
    ],
)
def test_lines_end_with_lf_crlf_or_cr(data, lines, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_LINE_BYTES", 60)

    with activity_file(tmp_path, HEADER + b"\n" + data) as file:
        at_once = list(file.lines)
    slowly = list(slow_file(HEADER + b"\n" + data).lines)

    # Of a line that is too long, at least one byte too many is kept.
    assert [line[:61] for line in at_once] == lines
    assert [line[:61] for line in slowly] == lines


def test_memory_for_a_long_line_is_limited(monkeypatch):
    monkeypatch.setattr(reading, "MAX_LINE_BYTES", 60)

    (line,) = slow_file(HEADER + b"\n" + b"x" * 1_000).lines

    assert len(line) == 61


@pytest.mark.parametrize(
    ("data", "blank", "first_row_line"),
    [
        (HEADER + b"\n", 0, 2),
        (BOM + HEADER + b"\r\n", 0, 2),  # as Excel writes it
        (b"\n \n\t\r\n" + HEADER + b"\n", 3, 5),
        (BOM + b"\n" + HEADER + b"\n", 1, 3),
        (b'"event_id","user_id","kind","occurred_at","duration_seconds"\n', 0, 2),
    ],
)
def test_the_header_is_the_first_line_not_blank(data, blank, first_row_line, tmp_path):
    with activity_file(tmp_path, data) as file:
        found = file.columns, file.blank, file.first_row_line, list(file.lines), file.error

    assert found == (list(COLUMNS), blank, first_row_line, [], "")


def test_json_lines_have_no_header(tmp_path):
    with activity_file(tmp_path, b"\n{}\n{}", "a.jsonl") as file:
        found = file.columns, file.blank, file.first_row_line, list(file.lines)

    assert found == (None, 1, 2, [b"{}", b"{}"])


@pytest.mark.parametrize(
    ("name", "data", "is_json"),
    [
        ("a.csv", HEADER, False),
        ("a.jsonl", b"{}", True),
        ("a.ndjson", b"{}", True),
        ("a.json", b"{}", True),
        ("A.JSONL", b"{}", True),
        ("a.jsonl.gz", compressed(b"{}"), True),
        ("A.CSV.GZ", compressed(HEADER), False),
        ("a.csv", compressed(HEADER), False),  # compressed, whatever the name says
        ("a.csv.gz", HEADER, False),  # not compressed, whatever the name says
        ("activity", b"{}", True),
        ("activity", HEADER, False),
        ("a.txt", BOM + b' {"event_id": "e"}', True),
    ],
)
def test_the_format_follows_from_name_or_content(name, data, is_json, tmp_path):
    with activity_file(tmp_path, data, name) as file:
        assert (file.columns is None) == is_json


def test_gzip_is_recognised_by_its_first_byte_alone():
    assert list(slow_file(compressed(HEADER + b"\na\n")).lines) == [b"a"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"\n\r\n  \n", "the file is empty"),
        (BOM, "the file is empty"),
        (compressed(b""), "the file is empty"),
        (b"\nevent_id,caf\xe9\n", "line 2 is not UTF-8 at byte 13; expected UTF-8 text"),
        (BOM + b"\n" + BOM, f"line 2: unknown column '\\ufeff'; expected {HEADER.decode()}"),
        (HEADER.decode().encode("utf-16"), "line 1 is not UTF-8 at byte 1; expected UTF-8 text"),
        (
            HEADER.decode().encode("utf-16-le"),
            "line 1 has a NUL at byte 2; expected UTF-8 text",
        ),
        (
            b"x" * (MAX_LINE_BYTES + 1),
            "line 1 has more than 65,536 bytes; expected UTF-8 text",
        ),
        (b"PK\x03\x04zip", "it is a zip archive or a spreadsheet, not CSV or JSON Lines"),
    ],
)
def test_a_file_without_a_text_is_refused(data, reason, tmp_path):
    with pytest.raises(BadFile) as refusal, activity_file(tmp_path, data):
        pass

    assert str(refusal.value) == f"Cannot read '{tmp_path}/activity.csv': {reason}."


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (HEADER.replace(b",", b";"), f"unknown column '{HEADER.decode().replace(',', ';')}'"),
        (b"event_id,user_id,kind,duration_seconds", "no column 'occurred_at'"),
        (HEADER + b",kind", "column 'kind' twice"),
        (HEADER + b",points", "unknown column 'points'"),
        (HEADER + b",\x1b[2J", r"unknown column '\x1b[2J'"),
        (HEADER + b",", "unknown column ''"),
        (HEADER.upper(), "unknown column 'EVENT_ID'"),
        (b"e1,u1,login,2026-11-16T12:00:00Z,0", "unknown column 'e1'"),
        (b"{}", "unknown column '{}'"),
        (b'event_id,"user_id', "bad quotes in the header 'event_id,\"user_id'"),
    ],
)
def test_a_bad_header_is_refused(header, problem, tmp_path):
    with pytest.raises(BadFile) as refusal, activity_file(tmp_path, header):
        pass

    assert str(refusal.value) == (
        f"Cannot read '{tmp_path}/activity.csv': line 1: {problem}; expected {HEADER.decode()}."
    )


@pytest.mark.parametrize(
    ("name", "data"),
    [
        *(("a.jsonl", data) for data in [b"[", b'["a"]', b"null", b"event_id", b"1"]),
        ("a.ndjson", b"1"),
        ("a.json", b"1"),
        ("a", b"["),
    ],
)
def test_json_is_one_object_per_line(name, data, tmp_path):
    with pytest.raises(BadFile) as refusal, activity_file(tmp_path, data, name):
        pass

    assert str(refusal.value) == (
        f"Cannot read '{tmp_path}/{name}': line 1 is '{data.decode()}'; "
        "expected one JSON object per line."
    )


@pytest.mark.parametrize("data", [b"\x1f\x8b\x08", b"\x1f\x8bnonsense", compressed(HEADER)[:-9]])
def test_a_damaged_file_without_a_complete_line_is_refused(data, tmp_path):
    with (
        pytest.raises(BadFile, match=r"^Cannot read '.*': [CU].*\."),
        activity_file(tmp_path, data),
    ):
        pass


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda whole: whole[:-8], "Compressed file ended before the end-of-stream marker"),
        (lambda whole: whole[:-8] + b"\0" * 8, "CRC check failed"),
        (lambda whole: whole + b"tail", "Not a gzipped file"),
        (lambda whole: whole[:10] + b"\xff" + whole[11:], "Error -3 while decompressing data"),
    ],
)
def test_a_part_of_a_row_before_damage_is_dropped(damage, error, tmp_path):
    complete = compressed(HEADER + b"\na\n")
    damaged = damage(compressed(b"b\nhalf a li"))

    with activity_file(tmp_path, complete + damaged) as file:
        lines = list(file.lines)

    assert lines in ([b"a", b"b"], [b"a"])
    assert file.error.startswith(error)


def test_gzip_members_are_concatenated(tmp_path):
    with activity_file(tmp_path, compressed(HEADER + b"\na\n") + compressed(b"b\n")) as file:
        assert list(file.lines) == [b"a", b"b"]


def test_the_position_is_known_for_files_only(tmp_path):
    data = HEADER + b"\na\n"

    with activity_file(tmp_path, data) as file:
        list(file.lines)

        assert file.position() == (len(data), len(data))
    assert slow_file(HEADER).position() is None


def test_the_position_does_not_exceed_the_size(tmp_path):
    with activity_file(tmp_path, HEADER + b"\n") as file:
        with (tmp_path / "activity.csv").open("ab") as growing:
            growing.write(b"a\n")
        list(file.lines)

        assert file.position() == (len(HEADER) + 1, len(HEADER) + 1)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "No such file or directory"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    ],
)
def test_a_path_that_cannot_be_opened_is_refused(make, reason, tmp_path):
    path = tmp_path / "activity.csv"
    make(path)

    with pytest.raises(BadFile) as refusal:
        check_rows(path)

    assert str(refusal.value) == f"Cannot open '{path}': {reason}."


def test_a_pipe_is_not_opened_by_the_check(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)

    check_rows(path)  # would wait for a writer


@pytest.fixture
def _stdin():
    """Replace standard input by a pipe."""
    read, write = os.pipe()
    threading.Thread(target=lambda: (os.write(write, HEADER + b"\na\n"), os.close(write))).start()
    stdin = os.dup(0)
    os.dup2(read, 0)
    yield
    os.dup2(stdin, 0)
    os.close(read)


@pytest.mark.usefixtures("_stdin")
def test_standard_input_stays_open():
    with open_rows(None) as file:
        lines = list(file.lines)

    os.fstat(0)
    assert (file.name, lines, file.position()) == ("stdin", [b"a"], None)
