"""Check rows of activity: accept them for storing, or reject them with a reason.

Files and requests are checked alike: the same row gets the same reason.
"""

import csv
import heapq
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import islice
from typing import NamedTuple
from zoneinfo import ZoneInfo

from rewards.choices import MAX_CALL_SECONDS, ActivityKind
from rewards.engine.business_days import FIRST_DAY, business_date
from rewards.models.user import EXTERNAL_ID_FORMAT, EXTERNAL_ID_PATTERN
from rewards.services.activity.cells import (
    MAX_SHOWN,
    BadRow,
    csv_cells,
    event_cells,
    parse_json,
)
from rewards.services.activity.reading import COLUMNS, OPTIONAL, decode, quoted

CHUNK_LINES = 50_000
"""The largest number of lines that are parsed and stored in one transaction."""

MAX_REJECTED = 20_000
"""A chunk ends early with this number of rejected rows: they are kept until it is stored."""

MAX_AHEAD = timedelta(minutes=5)
"""How far the clock of a source may be ahead of ours."""

_TIME = (
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3])):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?"
    r"(Z|[+-](?:0[0-9]|1[0-5]):[0-5][0-9])"
)
_SECONDS = r"0*(?:[0-7]?[0-9]{1,4}|8[0-5][0-9]{3}|86[0-3][0-9]{2}|86400)"
_KIND = "|".join(ActivityKind.values)

# Most rows have no quotes and valid cells: they are passed on as they are. Others are split.
_PLAIN_ID = r"[!#-+\--~]{1,128}"
_PLAIN_ROW = re.compile(f"{_PLAIN_ID},{_PLAIN_ID},(?:{_KIND}),{_TIME},{_SECONDS}".encode())

_ID_FORMAT = re.compile(EXTERNAL_ID_PATTERN), f"use {EXTERNAL_ID_FORMAT}"
_FORMATS = {
    "event_id": _ID_FORMAT,
    "user_id": _ID_FORMAT,
    "kind": (re.compile(_KIND), f"use one of {', '.join(ActivityKind.values)}"),
    "occurred_at": (
        re.compile(_TIME),
        "use ISO 8601 with a time zone, such as 2026-02-03T04:05:06Z or 2026-02-03T04:05:06+01:00",
    ),
    "duration_seconds": (
        re.compile(_SECONDS),
        f"use whole seconds in digits 0-9, 0 to {MAX_CALL_SECONDS}",
    ),
}

_NO_DURATION = (
    "Missing duration_seconds: only a login needs none; "
    f"use whole seconds in digits 0-9, 0 to {MAX_CALL_SECONDS}."
)


class CheckedEvent(NamedTuple):
    """An accepted event of a request: the values of its row, as text."""

    line: int
    """Its position among the events of the request, from 0."""
    business_date: str
    event_id: str
    external_id: str
    kind: str
    occurred_at: str
    seconds: str


class Rejection(NamedTuple):
    """A row that was not stored."""

    line: int
    category: str
    """"line", the column that is wrong, "user" or "conflict"."""
    reason: str
    cells: Sequence[str]
    """In the order of COLUMNS, cut to MAX_SHOWN; empty if the line could not be split."""


@dataclass(slots=True)
class Chunk:
    """The rows of a number of lines."""

    rows: list[bytes] = field(default_factory=list)
    """The accepted rows as CSV: line, business date, COLUMNS; of other files, line and columns."""
    rejected: list[Rejection] = field(default_factory=list)
    blank: int = 0
    """The number of blank lines."""
    first_cell: int = 2
    """The position of the first column of the file in an accepted row."""

    @property
    def lines(self) -> int:
        return len(self.rows) + len(self.rejected) + self.blank

    def rejections(self, by_database: Mapping[int, tuple[str, str]]) -> Iterator[Rejection]:
        """Yield the rejected rows in order of line, with those that the database rejected.

        `by_database` is line -> (category, reason).
        """
        return heapq.merge(self.rejected, self._rejected_rows(by_database))

    def _rejected_rows(self, by_database: Mapping[int, tuple[str, str]]) -> Iterator[Rejection]:
        for row in csv.reader(row.decode() for row in self.rows if by_database):
            line = int(row[0])
            if found := by_database.get(line):
                cells = row[self.first_cell :]
                yield Rejection(line, *found, [cell[:MAX_SHOWN] for cell in cells])


class _BusinessDates(dict[tuple[bytes, bytes], bytes]):
    """(Hour, offset) -> business date, or empty if the hour has not one date or is not accepted.

    Activity is roughly in order of time, so that nearly all rows find their hour here.
    """

    MAX_HOURS = 10_000

    def __init__(self, zone: ZoneInfo, latest: datetime) -> None:
        super().__init__()
        self.zone = zone
        self.latest = latest

    def __missing__(self, key: tuple[bytes, bytes]) -> bytes:
        if len(self) >= self.MAX_HOURS:
            self.clear()
        hour, offset = (part.decode() for part in key)
        self[key] = b""
        try:
            days = {self.day_of(f"{hour}:{rest}{offset}") for rest in ("00:00", "59:59.999999")}
        except ValueError:
            return b""
        if len(days) == 1:
            self[key] = days.pop().isoformat().encode()
        return self[key]

    def day_of(self, text: str) -> date:
        """Return the business date of a time. Raises ValueError with the reason."""
        instant = datetime.fromisoformat(text)
        if instant > self.latest:
            raise ValueError(f"in the future; accepted until {self.latest:%FT%TZ}")
        # Year 1 has no day before it in another time zone.
        if instant.year >= FIRST_DAY.year - 1:
            day = business_date(instant, self.zone)
            if day >= FIRST_DAY:
                return day
        raise ValueError(f"too old; accepted from {FIRST_DAY}")


class RowParser:
    """Checks the rows of one file, or the events of one request."""

    def __init__(self, *, columns: Sequence[str] | None, zone: ZoneInfo, now: datetime) -> None:
        """`columns` are those of the header; None for JSON."""
        self._dates = _BusinessDates(zone, now + MAX_AHEAD)
        self._is_plain = columns is not None and tuple(columns) == COLUMNS
        self._width = len(columns or ())
        self._order: list[int | None] | None = None
        if columns is not None:
            self._order = [columns.index(name) if name in columns else None for name in COLUMNS]

    def chunks(self, lines: Iterator[bytes], *, first_line: int) -> Iterator[Chunk]:
        """Yield the rows of `lines`, of which the first has the number `first_line`."""
        while (chunk := self.parse(islice(lines, CHUNK_LINES), first_line=first_line)).lines:
            yield chunk
            first_line += chunk.lines

    def parse(self, lines: Iterable[bytes], *, first_line: int) -> Chunk:
        """Return the rows of `lines`, up to the one that makes MAX_REJECTED rejections."""
        chunk = Chunk()
        add = chunk.rows.append
        dates = self._dates
        match_plain = _PLAIN_ROW.fullmatch if self._is_plain else _match_nothing
        for number, line in enumerate(lines, first_line):
            if (match := match_plain(line)) and (day := dates[match.groups()]):  # type: ignore[index]  # two groups
                add(b"%d,%b,%b\n" % (number, day, line))
                continue
            if not line.strip():
                chunk.blank += 1
                continue
            cells: list[str] = []
            try:
                cells = self._cells(line)
                add(b"%d,%b\n" % (number, self._checked(cells)))
            except BadRow as bad:
                shown = [cell[:MAX_SHOWN] for cell in cells]
                chunk.rejected.append(Rejection(number, bad.category, bad.reason, shown))
                if len(chunk.rejected) == MAX_REJECTED:
                    break
        return chunk

    def _cells(self, line: bytes) -> list[str]:
        try:
            text = decode(line)
        except ValueError as error:
            raise BadRow("line", f"The line {error}.") from None
        if self._order is None:
            return event_cells(parse_json(text))
        return csv_cells(text, self._order, width=self._width)

    def check(self, event: object, *, position: int) -> CheckedEvent:
        """Return an event of a request, which is a value of parse_json(). Raises BadRow."""
        cells = _with_duration(event_cells(event))
        day = self._day_of_plain(",".join(cells))
        return CheckedEvent(position, day.decode() if day else str(self._day_of(cells)), *cells)

    def _checked(self, cells: list[str]) -> bytes:
        """Return business date and cells as CSV. Raises BadRow."""
        cells = _with_duration(cells)
        joined = ",".join(cells)
        if day := self._day_of_plain(joined):
            return b"%b,%b" % (day, joined.encode())
        date = self._day_of(cells)
        *ids, kind, occurred_at, seconds = cells
        event_id, user_id = (text.replace('"', '""') for text in ids)
        return f'{date},"{event_id}","{user_id}",{kind},{occurred_at},{seconds}'.encode()

    def _day_of_plain(self, row: str) -> bytes:
        """Return the business date of a valid row without quotes; empty for any other row."""
        # A comma in an id adds a cell, so that it does not match.
        match = _PLAIN_ROW.fullmatch(row.encode()) if row.isascii() else None
        return self._dates[match.groups()] if match else b""  # type: ignore[index]  # two groups

    def _day_of(self, cells: Sequence[str]) -> date:
        """Return the business date of a row. Raises BadRow."""
        for cell, (column, (pattern, accepted)) in zip(cells, _FORMATS.items(), strict=True):
            if not cell and column == OPTIONAL:
                raise BadRow(column, _NO_DURATION)
            if not pattern.fullmatch(cell):
                raise BadRow(column, f"Bad {column} {quoted(cell)}: {accepted}.")
        occurred_at = cells[3]
        try:
            return self._dates.day_of(occurred_at)
        except ValueError as error:
            raise BadRow("occurred_at", f"Bad occurred_at '{occurred_at}': {error}.") from None


def _with_duration(cells: list[str]) -> list[str]:
    """Return the cells, with a duration of 0 for a login that has none."""
    return [*cells[:-1], "0"] if cells[2] == ActivityKind.LOGIN and not cells[-1] else cells


def _match_nothing(_: bytes) -> None:
    """Replaces the pattern of plain rows for JSON, and for columns in another order."""
