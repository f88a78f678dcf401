"""The story of an import of hosts: open, parse, store, list rejected rows, report."""

import logging
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from psycopg import sql

from rewards.exceptions import HostRefused, RewardsError
from rewards.services.activity.cells import MAX_SHOWN, BadRow, csv_cells
from rewards.services.activity.reading import STDIN_NAME, Layout, Progress, decode, open_rows
from rewards.services.activity.rejects import RejectedFile
from rewards.services.activity.rows import CHUNK_LINES, MAX_REJECTED, Chunk, Rejection
from rewards.services.db_errors import retry_chunk_on_conflict, sequence_behind
from rewards.services.hosts import (
    EDITABLE,
    checked_value,
    is_user_name_taken,
    put_hosts_of_table,
    require_external_id,
)

logger = logging.getLogger(__name__)

HOSTS = Layout(("user_id", *EDITABLE), frozenset(EDITABLE), has_json=False)

# Most rows have plain ids and names, and are passed on as they are.
_PLAIN_NAME = rb"[ !#-+\--~]{0,150}"
_PLAIN_ROW = re.compile(
    rb"[!#-+\--~]{1,128},%b,%b,([0-9]{4}-[0-9]{2}-[0-9]{2})?" % (_PLAIN_NAME, _PLAIN_NAME)
)

_CREATE = """
    CREATE TEMPORARY TABLE incoming (
        line bigint, external_id text, first_name text, last_name text, left_on date
    )
"""

_COPY = sql.SQL("COPY incoming ({columns}) FROM STDIN (FORMAT csv)")

_REJECTED = """
    SELECT line, external_id, host.is_host
    FROM incoming
    LEFT JOIN LATERAL (
        SELECT is_host FROM rewards_user WHERE external_id = incoming.external_id OFFSET 0
    ) AS host ON true
    WHERE host.is_host IS NOT TRUE
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostImportReport:
    """The result for one file: rows = created + updated + unchanged + rejected."""

    file: str
    rows: int
    """Lines that are neither blank nor the header."""
    created: int
    updated: int
    unchanged: int
    """Rows of hosts that had these values, or have them from a later row."""
    rejected: int
    """Rows that are invalid, or of a user who is not a host."""
    blank: int
    by_reason: dict[str, int]
    """Number of rejected rows by "line", column or "user"."""
    rejected_file: Path | None
    """The list of rejected rows; None if there are none."""
    error: str
    """Why reading ended before the end of the file; empty if it did not."""
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {
            "rejected_file": str(self.rejected_file) if self.rejected_file else None,
            "seconds": round(self.seconds, 3),
        }


def import_hosts(
    *, path: Path | None, now: datetime, on_progress: Progress | None = None
) -> HostImportReport:
    """Create and change hosts from a file of CSV, plain or gzip; standard input without `path`.

    A column that the header leaves out stays as it is; an empty cell clears a name or the last
    day. Of several rows of a host the last one counts. Rows are stored in chunks, each in one
    transaction. A second call changes nothing. A bad row is listed in the file of rejected rows and
    does not keep others from being stored. Raises BadFile before anything is written, and
    RewardsError.
    """
    started = time.monotonic()
    counts: Counter[str] = Counter()
    by_reason: Counter[str] = Counter()
    with (
        open_rows(path, HOSTS) as file,
        RejectedFile(path, columns=HOSTS.columns) as rejected_file,
    ):
        columns = file.columns or []
        parser = _Parser(columns)
        last_line = file.first_row_line - 1
        for chunk in parser.chunks(file.lines, first_line=file.first_row_line):
            created, updated, rejected = _store(chunk.rows, parser.columns, now)
            by_reason += rejected_file.add(chunk.rejections(rejected))

            last_line += chunk.lines
            counts.update(
                rows=chunk.lines - chunk.blank, blank=chunk.blank, created=created, updated=updated
            )
            if on_progress is not None and (position := file.position()):
                on_progress(*position)

    bad_rows = by_reason.total()
    report = HostImportReport(
        file=str(path or STDIN_NAME),
        rows=counts["rows"],
        created=counts["created"],
        updated=counts["updated"],
        unchanged=counts["rows"] - counts["created"] - counts["updated"] - bad_rows,
        rejected=bad_rows,
        blank=counts["blank"] + file.blank,
        by_reason=dict(sorted(by_reason.items())),
        rejected_file=rejected_file.path if bad_rows else None,
        error=file.error and f"Cannot read {file.name} after line {last_line}: {file.error}.",
        seconds=time.monotonic() - started,
    )
    logger.log(
        logging.WARNING if report.rejected or report.error else logging.INFO,
        "import of hosts %s",
        " ".join(f"{name}={value!a}" for name, value in report.to_dict().items()),
    )
    return report


class _Parser:
    """Checks the rows of one file."""

    def __init__(self, header: Sequence[str]) -> None:
        self.columns = [name for name in HOSTS.columns if name in header]
        """Those of the accepted rows."""
        self._order = [header.index(name) for name in self.columns]
        self._is_plain = tuple(header) == HOSTS.columns
        # Files have few different days, and a million rows.
        self._days: dict[bytes, bool] = {}

    def chunks(self, lines: Iterator[bytes], *, first_line: int) -> Iterator[Chunk]:
        """Yield the rows of `lines`, of which the first has the number `first_line`."""
        while (chunk := self._parse(islice(lines, CHUNK_LINES), first_line)).lines:
            yield chunk
            first_line += chunk.lines

    def _parse(self, lines: Iterable[bytes], first_line: int) -> Chunk:
        chunk = Chunk(first_cell=1)
        for number, line in enumerate(lines, first_line):
            match = _PLAIN_ROW.fullmatch(line) if self._is_plain else None
            if match and self._is_day(match[1] or b""):
                chunk.rows.append(b"%d,%b\n" % (number, line))
                continue
            if not line.strip():
                chunk.blank += 1
                continue
            cells: list[str] = []
            try:
                cells = self._cells(line)
                self._check(cells)
            except BadRow as bad:
                chunk.rejected.append(
                    Rejection(number, bad.category, bad.reason, self._shown(cells))
                )
                if len(chunk.rejected) == MAX_REJECTED:
                    break
            else:
                row = ",".join(
                    '"{}"'.format(cell.replace('"', '""')) if cell else "" for cell in cells
                )
                chunk.rows.append(f"{number},{row}\n".encode())
        return chunk

    def _is_day(self, text: bytes) -> bool:
        if text not in self._days:
            try:
                self._days[text] = not text or bool(checked_value("left_on", text.decode()))
            except HostRefused:
                self._days[text] = False
        return self._days[text]

    def _cells(self, line: bytes) -> list[str]:
        try:
            text = decode(line)
        except ValueError as error:
            raise BadRow("line", f"The line {error}.") from None
        return csv_cells(text, self._order, width=len(self.columns))

    def _check(self, cells: Sequence[str]) -> None:
        for column, cell in zip(self.columns, cells, strict=True):
            try:
                if column == "user_id":
                    require_external_id(cell)
                elif cell:
                    checked_value(column, cell)
            except HostRefused as refusal:
                raise BadRow(column, str(refusal)) from None

    def _shown(self, cells: Sequence[str]) -> list[str]:
        """Return the cells of a rejected row in the order of HOSTS; none if it was not split."""
        shown = dict(zip(self.columns, cells, strict=False))
        return [shown.get(name, "")[:MAX_SHOWN] for name in HOSTS.columns] if cells else []


@retry_chunk_on_conflict
def _store(
    rows: Sequence[bytes], columns: Sequence[str], now: datetime
) -> tuple[int, int, dict[int, tuple[str, str]]]:
    """Return how many hosts were created and updated, and line -> category and reason."""
    rejected = {}
    names = ["external_id" if name == "user_id" else name for name in columns]
    copy_sql = _COPY.format(columns=sql.SQL(", ").join(map(sql.Identifier, ["line", *names])))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CREATE)
        with connection.wrap_database_errors, cursor.copy(copy_sql) as copy:
            copy.write(b"".join(rows))
        created, updated = put_hosts_of_table(fields=columns, now=now)
        cursor.execute(_REJECTED)
        for line, external_id, is_host in cursor.fetchall():
            if is_host is False:
                reason = f"User '{external_id}' is not a host."
            elif is_user_name_taken(external_id):
                reason = f"Another user has the user name 'host:{external_id}'."
            else:
                raise RewardsError(sequence_behind("rewards_user"))
            rejected[line] = "user", reason
        cursor.execute("DROP TABLE incoming")
    return created, updated, rejected
