"""Open a file of activity and part it into lines, in bounded memory whatever it holds."""

import csv
import gzip
import io
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO, cast

from rewards.exceptions import BadFile

COLUMNS = ("event_id", "user_id", "kind", "occurred_at", "duration_seconds")

MAX_LINE_BYTES = 65_536
"""A good row needs some 400, or 1,800 as JSON with every character escaped."""

STDIN_NAME = "stdin"

_BLOCK_BYTES = 1 << 20
_JSON_SUFFIXES = {".jsonl", ".ndjson", ".json"}
_GZIP_BEGINS = b"\x1f"  # as no text does; a pipe may give one byte at first
_ZIP_MAGIC = b"PK\x03\x04"
_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


class ActivityFile:
    """An open file of activity, its header read: what it is, and the lines with its rows."""

    def __init__(self, raw: BinaryIO, *, name: str, suffix: str, size: int | None) -> None:
        """Read as far as the first line with anything in it. Raises BadFile."""
        self.name = name
        self.error = ""
        """Why reading ended before the file did; the lines until then were whole."""

        self._raw = raw
        self._size = size
        self._stream: BinaryIO = raw
        if cast(io.BufferedReader, raw).peek(1)[:1] == _GZIP_BEGINS:
            self._stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw))
        self.lines: Iterator[bytes] = self._lines()

        self.blank = 0
        for line in self.lines:
            self._first = line if self.blank else line.removeprefix(_BOM)
            if self._first.strip():
                break
            self.blank += 1
        else:
            raise BadFile(f"{self.name}: {self.error or 'the file is empty'}.")
        self.first_row_line = self.blank + 1

        self.columns: list[str] | None = None
        """The header of a CSV file; None for JSON lines."""
        text = self._first_text()
        if _is_json(suffix, text):
            if not text.lstrip().startswith("{"):
                raise BadFile(
                    f"{self.name}: expected one JSON object a line; "
                    f"line {self.first_row_line} is {text[:200]!a:.80}."
                )
            self.lines = chain([self._first], self.lines)
        else:
            self.columns = self._header(text)
            self.first_row_line += 1

    def position(self) -> tuple[int, int] | None:
        """Return bytes read and bytes in all; None for what has no size, such as a pipe."""
        return None if self._size is None else (min(self._raw.tell(), self._size), self._size)

    def _lines(self) -> Iterator[bytes]:
        """Yield the lines without their ends: LF, CRLF or CR.

        Of a line longer than MAX_LINE_BYTES only so much is kept as shows that it is.
        """
        tail = b""
        while True:
            try:
                block = self._stream.read1(_BLOCK_BYTES)  # type: ignore[attr-defined]  # BinaryIO lacks it
            except (EOFError, zlib.error, OSError) as error:
                # What lies in `tail` may be half a row, and half a row can look like a good one.
                why = "the gzip data ends too early" if isinstance(error, EOFError) else str(error)
                self.error = f"cut off or damaged: {why}"
                return
            if not block:
                break
            block = tail + block
            # A CR at the very end may be half a CRLF.
            held_back = b"\r" if block.endswith(b"\r") else b""
            if held_back:
                block = block[:-1]
            if b"\r" in block:
                block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            lines = block.split(b"\n")
            tail = lines.pop()[: MAX_LINE_BYTES + 1] + held_back
            yield from lines
        if tail:
            yield tail.removesuffix(b"\r")

    def _first_text(self) -> str:
        """Return the line that decides what the file is. Raises BadFile if none can."""
        line, where = self._first, f"line {self.first_row_line}"
        if line.startswith(_ZIP_MAGIC):
            raise BadFile(
                f"{self.name} is a zip archive or a spreadsheet; "
                "give plain or gzip-compressed CSV or JSON lines."
            )
        if line.startswith(_UTF16_BOMS):
            raise BadFile(
                f"{self.name}: not UTF-8 at byte 1 ({where}): it looks like UTF-16; "
                "save it as UTF-8."
            )
        if len(line) > MAX_LINE_BYTES:
            raise BadFile(f"{self.name}: {where} is too long: over {MAX_LINE_BYTES} bytes.")
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise BadFile(
                f"{self.name}: not UTF-8 at byte {error.start + 1} ({where}); save it as UTF-8."
            ) from None
        if "\0" in text:
            raise BadFile(f"{self.name}: {where}: NUL byte; save the file as UTF-8 text.")
        return text

    def _header(self, text: str) -> list[str]:
        """Return the columns that `text` names: all of COLUMNS, in any order."""
        expected = ",".join(COLUMNS)
        try:
            (names,) = csv.reader([text], strict=True)
        except csv.Error:
            raise BadFile(f"{self.name}: header: quote not closed in {text[:200]!a:.80}.") from None
        if len(names) == 1 and any(column in text for column in COLUMNS):
            raise BadFile(f"{self.name}: 1 column found; expected comma-separated: {expected}.")
        if not set(names) & set(COLUMNS):
            raise BadFile(
                f"{self.name}: line {self.first_row_line} is no header: {text[:200]!a:.80}; "
                f"expected {expected}."
            )
        for name in names:
            if name not in COLUMNS:
                raise BadFile(
                    f"{self.name}: header: unknown column {name!a:.80}; expected {expected}."
                )
            if names.count(name) > 1:
                raise BadFile(f"{self.name}: header: duplicate column '{name}'.")
        for column in COLUMNS:
            if column not in names:
                raise BadFile(
                    f"{self.name}: header: missing column '{column}'; expected {expected}."
                )
        return names


def _is_json(suffix: str, first_line: str) -> bool:
    """Go by the name, and where that says nothing by how the text begins."""
    if suffix in _JSON_SUFFIXES or suffix == ".csv":
        return suffix in _JSON_SUFFIXES
    return first_line.lstrip().startswith(("{", "["))


@contextmanager
def opened(path: Path | None) -> Iterator[ActivityFile]:
    """Open the file at `path`, or standard input for None. Raises BadFile."""
    name = STDIN_NAME if path is None else f"{str(path)!a:.200}"
    suffixes = [suffix.lower() for suffix in path.suffixes] if path else []
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    try:
        # Standard input may stay open for others.
        raw = open(path or 0, "rb", closefd=path is not None)  # noqa: SIM115 - closed below
    except FileNotFoundError:
        raise BadFile(f"{name}: no such file.") from None
    except IsADirectoryError:
        raise BadFile(f"{name} is a folder; give a file.") from None
    except OSError as error:
        raise BadFile(f"{name} cannot be opened: {error.strerror}.") from None
    with raw:
        status = os.fstat(raw.fileno())
        if stat.S_ISDIR(status.st_mode):
            raise BadFile(f"{name} is a folder; give a file.")
        size = status.st_size if stat.S_ISREG(status.st_mode) else None
        suffix = suffixes[-1] if suffixes else ""
        yield ActivityFile(raw, name=name, suffix=suffix, size=size)
