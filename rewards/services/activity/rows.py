"""Turn lines into checked rows: what is accepted, and what is said of the rest."""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple, NoReturn
from zoneinfo import ZoneInfo

from rewards.choices import MAX_CALL_SECONDS, ActivityKind
from rewards.engine.business_days import FIRST_DAY, business_date
from rewards.services.activity.reading import COLUMNS, MAX_LINE_BYTES

MAX_AHEAD = timedelta(minutes=5)
"""How far the clock of a source may be ahead of ours."""

MAX_REJECTED = 20_000
"""So many bad rows end a chunk early, since all that is said of them is kept until it is stored."""

MAX_SHOWN = 140
"""So much of each cell of a bad row is kept."""

# A row as nearly all of them are: nothing quoted, each cell of the right form. Such a line goes
# on as it stands; any other is looked at cell by cell.
_PLAIN_ID = rb"[!#-+\--~]{1,128}"
_SECONDS = rb"[0-7]?[0-9]{1,4}|8[0-5][0-9]{3}|86[0-3][0-9]{2}|86400"
_PLAIN_ROW = re.compile(
    rb"%b,%b,(?:%b),([0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3])):[0-5][0-9]"
    rb"(?::[0-5][0-9](?:\.[0-9]{1,6})?)?(Z|[+-](?:0[0-9]|1[0-5]):[0-5][0-9]),(?:%b)"
    % (_PLAIN_ID, _PLAIN_ID, "|".join(ActivityKind.values).encode(), _SECONDS)
)

_VISIBLE_ID = re.compile(r"[!-~]{1,128}")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
    r"(Z|[+-](?:0[0-9]|1[0-5]):[0-5][0-9])?"
)
_INSTANT_FORM = "use ISO 8601 with an offset, such as 2026-02-03T04:05:06Z or +01:00 for the Z"
_SECONDS_FORM = f"use digits 0-9, 0 to {MAX_CALL_SECONDS}"


class BadRow(Exception):
    """A row that cannot be stored: which part of it, and a sentence of why."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(reason)
        self.part = part
        self.reason = reason


class Rejection(NamedTuple):
    """A row that was not stored, and why."""

    line: int
    part: str
    """What is wrong with it in a word, to count by: a column, "line", "user" or "conflict"."""
    reason: str
    cells: Sequence[str]
    """As in COLUMNS and cut to MAX_SHOWN; empty when the line could not be parted into cells."""


@dataclass(slots=True)
class Chunk:
    """What some lines came to."""

    rows: list[bytes] = field(default_factory=list)
    """Lines of CSV, checked: line number, business date, then as in COLUMNS."""
    rejected: list[Rejection] = field(default_factory=list)
    blank: int = 0


class _BusinessDates(dict[tuple[bytes, bytes], bytes]):
    """Hour and offset -> the one business date of the whole hour; empty if there is not one.

    Activity comes in order of time, more or less, so that nearly every row finds its hour here.
    """

    MAX_HOURS = 10_000

    def __init__(self, zone: ZoneInfo, latest: datetime) -> None:
        super().__init__()
        self.zone = zone
        self.latest = latest

    def __missing__(self, key: tuple[bytes, bytes]) -> bytes:
        if len(self) >= self.MAX_HOURS:
            self.clear()
        hour, offset = key
        found = b""
        try:
            first = datetime.fromisoformat(f"{hour.decode()}:00{offset.decode()}")
            last = first + timedelta(hours=1) - timedelta.resolution
            days = {self.day_of(first), self.day_of(last)}
        except (BadRow, ValueError, OverflowError):
            pass
        else:
            if len(days) == 1:
                found = days.pop().isoformat().encode()
        self[key] = found
        return found

    def day_of(self, instant: datetime) -> date:
        """Return the business date of `instant`. Raises BadRow outside of what is accepted."""
        if instant > self.latest:
            raise BadRow("occurred_at", f"in the future; accepted until {self.latest:%FT%TZ}")
        # So early or late a year has no neighbour to convert to.
        if instant.year >= FIRST_DAY.year - 1:
            day = business_date(instant, self.zone)
            if day >= FIRST_DAY:
                return day
        raise BadRow("occurred_at", f"too old; accepted from {FIRST_DAY}")


class RowParser:
    """Checks the rows of one file."""

    def __init__(self, *, columns: Sequence[str] | None, zone: ZoneInfo, now: datetime) -> None:
        """`columns` are the header's; None for JSON lines."""
        self._dates = _BusinessDates(zone, now + MAX_AHEAD)
        self._is_json = columns is None
        self._is_plain = columns is not None and tuple(columns) == COLUMNS
        self._order = [columns.index(column) for column in COLUMNS] if columns else []

    def parse(self, lines: Iterable[bytes], *, first_line: int) -> Chunk:
        """Part `lines`, of which the first has the number `first_line`, into good and bad.

        Stops after the bad row that makes MAX_REJECTED of them.
        """
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
            cells: Sequence[str] = ()
            try:
                cells = self._cells(line)
                add(b"%d,%b\n" % (number, self._checked(cells)))
            except BadRow as bad:
                shown = [cell[:MAX_SHOWN] for cell in cells]
                chunk.rejected.append(Rejection(number, bad.part, bad.reason, shown))
                if len(chunk.rejected) == MAX_REJECTED:
                    break
        return chunk

    def _cells(self, line: bytes) -> Sequence[str]:
        """Return the cells of `line` in the order of COLUMNS. Raises BadRow if there are none."""
        if len(line) > MAX_LINE_BYTES:
            raise BadRow("line", f"line too long: over {MAX_LINE_BYTES} bytes")
        if b"\0" in line:
            raise BadRow("line", f"NUL byte at byte {line.index(0) + 1} of the line")
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise BadRow("line", f"not UTF-8 at byte {error.start + 1} of the line") from None
        return _json_cells(text) if self._is_json else self._csv_cells(text)

    def _csv_cells(self, text: str) -> Sequence[str]:
        """Return the cells of a line of CSV. Raises BadRow.

        A quoted cell may hold the end of a line in CSV, but in none of ours, so that a row is
        always one line and an open quote costs no line but its own. Such a cell leaves an odd
        number of quotes on either of its lines, and neither is taken for a row.
        """
        problem = "quote not closed" if text.count('"') % 2 else ""
        try:
            (cells,) = csv.reader([text], strict=True)
        except csv.Error as error:
            problem = problem or (
                "quote not closed" if "end of data" in str(error) else "text after a closed quote"
            )
        if problem:
            raise BadRow("line", f"{problem}: {text[:MAX_SHOWN]!a:.80}")
        if len(cells) != len(COLUMNS):
            raise BadRow(
                "line",
                f"{len(cells)} cells, expected {len(COLUMNS)}: {text[:MAX_SHOWN]!a:.80}",
            )
        return [cells[position] for position in self._order]

    def _checked(self, cells: Sequence[str]) -> bytes:
        """Return business date and cells as a line of CSV. Raises BadRow."""
        event_id, user_id, kind, occurred_at, seconds = cells
        joined = ",".join(cells)
        # An id with a comma in it adds a cell, so that it cannot pass for a plain row.
        match = _PLAIN_ROW.fullmatch(joined.encode()) if joined.isascii() else None
        if match and (day := self._dates[match.groups()]):  # type: ignore[index]  # two groups
            return b"%b,%b" % (day, joined.encode())
        _require_id("event_id", event_id)
        _require_id("user_id", user_id)
        if kind not in ActivityKind.values:
            known = ", ".join(ActivityKind.values)
            raise BadRow("kind", f"unknown kind {kind!a:.80}; known: {known}")
        date = self._business_date(occurred_at)
        quoted = [f'"{each.replace(chr(34), chr(34) * 2)}"' for each in (event_id, user_id)]
        return f"{date},{','.join(quoted)},{kind},{occurred_at},{_seconds(seconds)}".encode()

    def _business_date(self, text: str) -> date:
        if not text:
            raise BadRow("occurred_at", f"occurred_at is empty; {_INSTANT_FORM}")
        match = _INSTANT.fullmatch(text)
        if match is None:
            raise BadRow(
                "occurred_at", f"bad occurred_at {text[:MAX_SHOWN]!a:.80}: {_INSTANT_FORM}"
            )
        if match[1] is None:
            raise BadRow("occurred_at", f"time zone missing: '{text}'; add Z or such as +01:00")
        try:
            instant = datetime.fromisoformat(text)
        except ValueError:
            raise BadRow("occurred_at", f"no such time: '{text}'") from None
        try:
            return self._dates.day_of(instant)
        except BadRow as bad:
            raise BadRow(bad.part, f"occurred_at '{text}' is {bad.reason}") from None


def _match_nothing(_: bytes) -> None:
    """Stand in for the pattern of plain rows where columns are in another order, or JSON."""


def _require_id(column: str, text: str) -> None:
    if not text:
        raise BadRow(column, f"{column} is empty; use 1 to 128 visible ASCII characters")
    if not _VISIBLE_ID.fullmatch(text):
        raise BadRow(
            column,
            f"bad {column} {text[:MAX_SHOWN]!a:.80} of {len(text)} characters: "
            "use 1 to 128 visible ASCII characters",
        )


def _seconds(text: str) -> int:
    if text.isascii() and text.isdigit():
        # Python refuses to read a number of thousands of digits.
        if len(text.lstrip("0")) <= 5 and int(text[-5:]) <= MAX_CALL_SECONDS:
            return int(text[-5:])
        problem = "too long a call"
    elif text.isascii() and text[:1] == "-" and text[1:].isdigit():
        problem = "negative duration_seconds"
    else:
        problem = "duration_seconds is not a whole number of seconds"
    raise BadRow("duration_seconds", f"{problem}: {text[:MAX_SHOWN]!a:.80}; {_SECONDS_FORM}")


def _json_cells(text: str) -> Sequence[str]:
    """Return the values of an object with the keys COLUMNS, the number as its digits."""
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise BadRow("line", f"not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise BadRow("line", "nested too deep; expected one flat JSON object") from None
    except ValueError:
        raise BadRow("line", "number too long") from None
    if not isinstance(value, dict):
        raise BadRow("line", f"expected a JSON object, found {text[:MAX_SHOWN]!a:.80}")
    try:
        cells = [value[column] for column in COLUMNS]
    except KeyError as error:
        raise BadRow("line", f"key '{error.args[0]}' is missing") from None
    if len(value) > len(COLUMNS):
        unknown = next(key for key in value if key not in COLUMNS)
        raise BadRow("line", f"unknown key {unknown!a:.80}; known: {', '.join(COLUMNS)}")
    seconds = cells.pop()
    for column, cell in zip(COLUMNS, cells, strict=False):
        if not isinstance(cell, str):
            raise BadRow(column, f"{column}: text expected, found {_shown(cell)}")
    if type(seconds) is not int:  # a bool is an int too
        raise BadRow(
            "duration_seconds",
            f"duration_seconds: number expected, whole and without quotes, found {_shown(seconds)}",
        )
    return [*cells, str(seconds)]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise BadRow("line", f"key {twice[:MAX_SHOWN]!a:.80} twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise BadRow("line", f"not a JSON number: {name}")


def _shown(value: object) -> str:
    # What is nested may be so deep that it could be read and cannot be written.
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return f"{json.dumps(value)[:MAX_SHOWN]:.80}"
