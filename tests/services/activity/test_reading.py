"""What a file is, and which lines it has, whatever its bytes and however they arrive."""

import gzip
import io
import os
import threading
from contextlib import contextmanager

import pytest

from rewards.exceptions import BadFile
from rewards.services.activity.reading import COLUMNS, MAX_LINE_BYTES, ActivityFile, opened

HEADER = ",".join(COLUMNS).encode()
LONG = b"x" * (MAX_LINE_BYTES + 1)


def compressed(data):
    """Return the same bytes in every test process: without the time of day."""
    return gzip.compress(data, mtime=0)


class OneByteAtATime(io.RawIOBase):
    """A pipe whose writer is slow: every read gives a single byte."""

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
    with opened(path) as file:
        yield file


def trickled(data, suffix=".csv"):
    raw = io.BufferedReader(OneByteAtATime(data))
    return ActivityFile(raw, name="pipe", suffix=suffix, size=None)


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"a\nb\n", [b"a", b"b"]),
        (b"a\nb", [b"a", b"b"]),  # no end of line at the end
        (b"a\r\nb\r\n", [b"a", b"b"]),
        (b"a\rb\r", [b"a", b"b"]),
        (b"a\r\nb\rc\nd", [b"a", b"b", b"c", b"d"]),  # all mixed
        (b"a\r\r\nb", [b"a", b"", b"b"]),
        (b"\n\n", [b"", b""]),
        (b"", []),
        (b"a\x0bb\x0cc\xe2\x80\xa8d\x1ce\n", [b"a\x0bb\x0cc\xe2\x80\xa8d\x1ce"]),  # none of these
        (LONG + b"yyy\nb\n", [LONG, b"b"]),
        (b"a\n" + LONG + b"\r\nb\n", [b"a", LONG, b"b"]),
    ],
)
def test_lines_end_with_lf_crlf_or_cr(data, lines, tmp_path):
    with activity_file(tmp_path, HEADER + b"\n" + data) as file:
        at_once = list(file.lines)
    slowly = list(trickled(HEADER + b"\n" + data).lines)

    # Of a long line, a different part may be left; that it is too long must show.
    assert [line[: len(LONG)] for line in at_once] == lines
    assert [line[: len(LONG)] for line in slowly] == lines


@pytest.mark.parametrize(
    ("data", "blank", "first_row_line"),
    [
        (HEADER + b"\n", 0, 2),
        (b"\xef\xbb\xbf" + HEADER + b"\r\n", 0, 2),  # a byte order mark, as Excel writes
        (b"\n \n\t\r\n" + HEADER + b"\n", 3, 5),
        (b"\xef\xbb\xbf\n" + HEADER + b"\n", 1, 3),
        (b'"event_id","user_id","kind","occurred_at","duration_seconds"\n', 0, 2),
    ],
)
def test_the_header_is_the_first_line_with_anything_in_it(data, blank, first_row_line, tmp_path):
    with activity_file(tmp_path, data) as file:
        found = file.columns, file.blank, file.first_row_line, list(file.lines)

    assert found == (list(COLUMNS), blank, first_row_line, [])


@pytest.mark.parametrize(
    ("name", "data", "is_json"),
    [
        ("a.csv", HEADER, False),
        ("a.jsonl", b"{}", True),
        ("a.ndjson", b"{}", True),
        ("a.json", b"{}", True),
        ("A.JSONL", b"{}", True),
        ("a.jsonl.gz", compressed(b"{}"), True),
        ("a.csv.gz", compressed(HEADER), False),
        ("a.csv", compressed(HEADER), False),  # compressed, whatever the name says
        ("a.gz", HEADER, False),  # and not, whatever the name says
        ("activity", b"{}", True),
        ("activity", HEADER, False),
        ("a.txt", b'\xef\xbb\xbf {"event_id": "e"}', True),
    ],
)
def test_what_a_file_is_goes_by_its_name_and_else_by_how_it_begins(name, data, is_json, tmp_path):
    with activity_file(tmp_path, data, name) as file:
        assert (file.columns is None) == is_json


def test_gzip_is_known_even_when_its_first_byte_comes_alone():
    assert list(trickled(compressed(HEADER + b"\na\n")).lines) == [b"a"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"\n\r\n  \n", "the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (compressed(b""), "the file is empty"),
        (HEADER.decode().encode("utf-16"), r"not UTF-8 at byte 1 \(line 1\): it looks like UTF-16"),
        (HEADER.decode().encode("utf-16-le"), "line 1: NUL byte"),
        (b"\nevent_id,caf\xe9\n", r"not UTF-8 at byte 13 \(line 2\); save it as UTF-8"),
        (b"event_id,us\0er\n", "line 1: NUL byte"),
        (LONG, "line 1 is too long: over 65536 bytes"),
        (b"PK\x03\x04zip", "is a zip archive or a spreadsheet; give plain or gzip-compressed CSV"),
        (HEADER.replace(b",", b";"), "1 column found; expected comma-separated: event_id,user_id"),
        (HEADER.replace(b",", b"\t"), "1 column found; expected comma-separated: event_id,user_id"),
        (b"event_id,user_id,kind,occurred_at", "header: missing column 'duration_seconds'"),
        (HEADER + b",kind", "header: duplicate column 'kind'"),
        (HEADER + b",points", "header: unknown column 'points'; expected event_id,user_id"),
        (HEADER + b",", "header: unknown column ''; expected"),
        (HEADER.upper(), "line 1 is no header: 'EVENT_ID,USER_ID"),
        (b'event_id,"user_id,kind', "header: quote not closed in "),
        (b"e1,u1,login,2026-11-16T12:00:00Z,0", "line 1 is no header: 'e1,u1,login,2026-11-16"),
        (b"{}", "line 1 is no header: '{}'"),
        (b"\x1f\x8b\x08", "cut off or damaged: the gzip data ends too early"),
        (b"\x1f\x8bnonsense", "cut off or damaged: Unknown compression method"),
        (compressed(HEADER)[:-9], "cut off or damaged: the gzip data ends too early"),
    ],
)
def test_a_file_without_a_header_to_go_by_is_refused(data, message, tmp_path):
    with pytest.raises(BadFile, match=f"activity.csv'.*{message}"), activity_file(tmp_path, data):
        pass


@pytest.mark.parametrize("data", [b"[", b'["a"]', b"null", b"event_id", b"1"])
def test_json_is_one_object_a_line(data, tmp_path):
    with (
        pytest.raises(BadFile, match="expected one JSON object a line; line 1 is "),
        activity_file(tmp_path, data, "a.jsonl"),
    ):
        pass


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (lambda whole: whole[:-8], "the gzip data ends too early"),
        (lambda whole: whole[:-8] + b"\0" * 8, "CRC check failed"),
        (lambda whole: whole + b"tail", "Not a gzipped file"),
    ],
)
def test_what_follows_damage_is_not_a_row(data, error, tmp_path):
    damaged = data(compressed(HEADER + b"\nwhole\nhalf a li"))

    with activity_file(tmp_path, damaged) as file:
        lines = list(file.lines)

    assert lines == [b"whole"]
    assert file.error.startswith(f"cut off or damaged: {error}")


def test_members_of_gzip_follow_each_other(tmp_path):
    with activity_file(tmp_path, compressed(HEADER + b"\na\n") + compressed(b"b\n")) as file:
        assert list(file.lines) == [b"a", b"b"]


def test_position_is_known_of_files_and_not_of_pipes(tmp_path):
    with activity_file(tmp_path, HEADER + b"\na\n") as file:
        list(file.lines)

        assert file.position() == (file.position()[1], len(HEADER) + 3)
    assert trickled(HEADER).position() is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "is a folder; give a file"),
        (lambda path: path.symlink_to(path), "cannot be opened: Too many levels of symbolic links"),
    ],
)
def test_what_cannot_be_opened_is_said(make, message, tmp_path):
    path = tmp_path / "activity.csv"
    make(path)

    with pytest.raises(BadFile, match=f"activity.csv'.*{message}"), opened(path):
        pass


def test_standard_input_is_left_open(monkeypatch, tmp_path):
    read, write = os.pipe()
    threading.Thread(target=lambda: (os.write(write, HEADER + b"\na\n"), os.close(write))).start()
    stdin = os.dup(0)
    os.dup2(read, 0)
    try:
        with opened(None) as file:
            lines = list(file.lines)
        os.fstat(0)
    finally:
        os.dup2(stdin, 0)

    assert (file.name, lines) == ("stdin", [b"a"])
