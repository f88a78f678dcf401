"""Open a file of rows and split it into lines, in bounded memory whatever it holds."""

import codecs
import csv
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from gzip import GzipFile
from io import BufferedReader
from itertools import chain
from pathlib import Path

from rewards.exceptions import BadFile

COLUMNS = ("event_id", "user_id", "kind", "occurred_at", "duration_seconds")
OPTIONAL = "duration_seconds"
"""The column that a file, and the key that an object, may leave out: a login has no duration."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a kind of file."""

    columns: tuple[str, ...]
    optional: frozenset[str]
    """Those that the header may leave out."""
    has_json: bool
    """Whether it may be JSON Lines too."""


ACTIVITY = Layout(COLUMNS, frozenset({OPTIONAL}), has_json=True)

MAX_LINE_BYTES = 65_536
"""A good row takes up to 400 bytes, or 1,800 as JSON with every character escaped."""

STDIN_NAME = "stdin"

Progress = Callable[[int, int], None]
"""Called with (bytes read, size of the file)."""

_BLOCK_BYTES = 1_048_576
_JSON_SUFFIXES = {".jsonl", ".ndjson", ".json"}
_GZIP_FIRST_BYTE = b"\x1f"  # no text begins with it, and a slow pipe delivers it alone
_ZIP_MAGIC = b"PK\x03\x04"
_READ_ERRORS = (EOFError, OSError, zlib.error)


class RowFile:
    """An open file of rows whose header was read."""

    columns: list[str] | None
    """In the order of the header; None for JSON Lines."""
    lines: Iterator[bytes]
    """The lines from `first_row_line` on, without their ends."""
    first_row_line: int
    blank: int
    """Blank lines before the header or the first row."""
    error: str
    """Why reading ended before the file did; all lines until then were complete."""

    def __init__(
        self, raw: BufferedReader, *, layout: Layout, name: str, suffix: str, size: int | None
    ) -> None:
        """Read up to the first line that is not blank. Raises BadFile."""
        self.name = name
        self.error = ""
        self._raw = raw
        self._size = size
        self.lines = self._lines()

        for number, line in enumerate(self.lines, 1):
            first = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if first.strip():
                break
        else:
            raise self._bad_file(self.error or "the file is empty")
        self.blank = number - 1
        self.first_row_line = number
        if first.startswith(_ZIP_MAGIC):
            raise self._bad_file("it is a zip archive or a spreadsheet, not CSV or JSON Lines")
        try:
            text = decode(first)
        except ValueError as error:
            raise self._bad_file(f"line {number} {error}; expected UTF-8 text") from None

        if layout.has_json and _is_json(suffix, text):
            if not text.lstrip().startswith("{"):
                raise self._bad_file(
                    f"line {number} is {quoted(text)}; expected one JSON object per line"
                )
            self.columns = None
            self.lines = chain([first], self.lines)
        else:
            self.columns = self._header(text, layout)
            self.first_row_line += 1

    def position(self) -> tuple[int, int] | None:
        """Return the bytes read and the size of the file; None for a pipe."""
        return None if self._size is None else (min(self._raw.tell(), self._size), self._size)

    def _lines(self) -> Iterator[bytes]:
        """Yield lines without their ends: LF, CRLF or CR.

        A line longer than MAX_LINE_BYTES is cut, but not below MAX_LINE_BYTES + 1.
        """
        is_gzip = self._raw.peek()[:1] == _GZIP_FIRST_BYTE
        stream: GzipFile | BufferedReader = GzipFile(fileobj=self._raw) if is_gzip else self._raw
        tail = b""
        while True:
            try:
                block = stream.read1(_BLOCK_BYTES)
            except _READ_ERRORS as error:
                # `tail` is dropped: a part of a row can look like a complete one.
                self.error = str(error)
                return
            if not block:
                break
            block = tail + block
            lines = block.splitlines()
            tail = b""
            if not block.endswith(b"\n"):
                # A CR at the end may be the first half of a CRLF.
                cr = b"\r" if block.endswith(b"\r") else b""
                tail = lines.pop()[: MAX_LINE_BYTES + 1] + cr
            yield from lines
        if tail:
            yield tail.removesuffix(b"\r")

    def _header(self, text: str, layout: Layout) -> list[str]:
        """Return the columns, in any order. Raises BadFile."""
        try:
            (names,) = csv.reader([text], strict=True)
        except csv.Error:
            problems = [f"bad quotes in the header {quoted(text)}"]
        else:
            known = layout.columns
            problems = [f"unknown column {quoted(name)}" for name in names if name not in known]
            problems += [f"column '{name}' twice" for name in known if names.count(name) > 1]
            problems += [
                f"no column '{name}'"
                for name in known
                if name not in names and name not in layout.optional
            ]
        if problems:
            raise self._bad_file(
                f"line {self.first_row_line}: {problems[0]}; expected {','.join(layout.columns)}"
            )
        return names

    def _bad_file(self, reason: str) -> BadFile:
        return BadFile(f"Cannot read {self.name}: {reason}.")


def decode(line: bytes) -> str:
    """Return the text of a line. Raises ValueError with what is wrong with it."""
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"has more than {MAX_LINE_BYTES:,} bytes")
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 at byte {error.start + 1}") from None
    if "\0" in text:
        raise ValueError(f"has a NUL at byte {line.index(0) + 1}")
    return text


def quoted(text: str) -> str:
    """Return up to 80 characters of `text` as ASCII in quotes."""
    return f"{text[:80]!a:.80}"


def _is_json(suffix: str, first_line: str) -> bool:
    """Decide by the name of the file, or if that says nothing, by its first line."""
    is_object_or_list = first_line.lstrip().startswith(("{", "["))
    return suffix in _JSON_SUFFIXES or (suffix != ".csv" and is_object_or_list)


@contextmanager
def open_rows(path: Path | None, layout: Layout = ACTIVITY) -> Iterator[RowFile]:
    """Open the file at `path`, or standard input for None. Raises BadFile."""
    name = f"{str(path)!a:.200}" if path else STDIN_NAME
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix if path else ""
    try:
        # Standard input stays open.
        raw = open(path or 0, "rb", closefd=path is not None)  # noqa: SIM115 - closed below
    except OSError as error:
        raise BadFile(f"Cannot open {name}: {error.strerror}.") from None
    with raw:
        status = os.fstat(raw.fileno())
        size = status.st_size if stat.S_ISREG(status.st_mode) else None
        yield RowFile(raw, layout=layout, name=name, suffix=suffix, size=size)


def check_rows(path: Path, layout: Layout = ACTIVITY) -> None:
    """Raise BadFile unless the file at `path` has a valid header or first row.

    A pipe is not opened, because it can be read only once.
    """
    if not is_pipe(path):
        with open_rows(path, layout):
            pass


def is_pipe(path: Path) -> bool:
    """Return whether `path` is neither a file nor a folder, such as /dev/stdin or `<(zcat F)`."""
    return os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path))
