"""Take in what hosts did: files of activity become events and the counts that awarding reads."""

import csv
import heapq
import logging
import re
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path

from rewards.exceptions import UsageError
from rewards.selectors.time_zone import business_time_zone
from rewards.services.activity.reading import STDIN_NAME, opened
from rewards.services.activity.rejects import RejectedFile
from rewards.services.activity.rows import MAX_SHOWN, Chunk, Rejection, RowParser
from rewards.services.activity.storing import Stored, store_rows
from rewards.services.time_zone import require_unchanged_time_zone

logger = logging.getLogger(__name__)

CHUNK_LINES = 50_000
"""Most lines that are read and stored in one transaction."""

Progress = Callable[[int, int], None]
"""Told (bytes read, bytes in all)."""

_SOURCE = re.compile(r"[!-~]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """What one file came to: rows = stored + duplicates + conflicts + rejected."""

    file: str
    rows: int
    """Lines that are neither blank nor the header."""
    stored: int
    duplicates: int
    """Stored before, or twice in the file, with the very same content."""
    conflicts: int
    """Of an id stored before with other content."""
    rejected: int
    """Not a row, not a good one, or of an unknown user."""
    by_reason: Mapping[str, int] = field(default_factory=dict)
    """The conflicts and the rejected rows: "line", a column, "user" or "conflict" -> number."""
    hosts_created: int
    blank: int
    rejected_file: Path | None
    """Lists every conflict and rejected row; None when there is none."""
    error: str
    """Why reading ended before the file did; empty when it did not."""
    seconds: float

    @property
    def is_complete(self) -> bool:
        """Whether every row of the file is now stored."""
        return not (self.conflicts or self.rejected or self.error)


def check_file(*, path: Path) -> None:
    """Raise BadFile unless `import_activity` can read rows from the file at `path`.

    A pipe can be read only once, and so is left for the import itself.
    """
    if not _is_pipe(path):
        with opened(path):
            pass


def import_activity(
    *,
    path: Path | None,
    source: str,
    create_hosts: bool,
    now: datetime,
    on_progress: Progress | None = None,
) -> IngestReport:
    """Store the activity of one file of CSV or JSON lines, gzip-compressed or not.

    `path` None reads standard input. Each chunk is stored together with its DailyActivity or not
    at all, so that whatever kills the import, a second call completes it, and a third changes
    nothing. A bad row is listed in `PATH.rejected.csv` (for a pipe in the current folder, as
    `stdin.rejected.csv`) and never keeps a good one out. Users who are not there are bad rows,
    or with `create_hosts` become hosts. Raises BadFile, having written nothing, when no row can
    be read; UsageError for a bad source; TimeZoneChanged; RewardsError.
    """
    began = time.monotonic()
    if not _SOURCE.fullmatch(source):
        raise UsageError(f"bad source {source!a:.80}: use 1 to 64 visible ASCII characters.")
    require_unchanged_time_zone()

    rejected_path = _rejected_path(path)
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    with opened(path) as file, RejectedFile(rejected_path) as rejected_file:
        parser = RowParser(columns=file.columns, zone=business_time_zone(), now=now)
        counts["blank"] = file.blank
        line = file.first_row_line
        while True:
            chunk = parser.parse(islice(file.lines, CHUNK_LINES), first_line=line)
            lines = len(chunk.rows) + len(chunk.rejected) + chunk.blank
            if not lines:
                break
            line += lines

            rejected: Iterable[Rejection] = chunk.rejected
            if chunk.rows:
                stored = store_rows(
                    rows=chunk.rows, source=source, create_hosts=create_hosts, now=now
                )
                counts["stored"] += stored.stored
                counts["hosts_created"] += stored.hosts_created
                rejected = heapq.merge(rejected, _refused(chunk, stored))
            reasons += rejected_file.add(rejected)

            counts["blank"] += chunk.blank
            counts["rows"] += lines - chunk.blank
            if on_progress is not None and (position := file.position()):
                on_progress(*position)

        unfinished = file.error and f"{file.name} is {file.error} (after line {line - 1})"

    counts["conflicts"] = reasons["conflict"]
    counts["rejected"] = reasons.total() - reasons["conflict"]
    report = IngestReport(
        file=STDIN_NAME if path is None else str(path),
        rows=counts["rows"],
        stored=counts["stored"],
        duplicates=counts["rows"] - counts["stored"] - reasons.total(),
        conflicts=counts["conflicts"],
        rejected=counts["rejected"],
        by_reason=dict(sorted(reasons.items())),
        hosts_created=counts["hosts_created"],
        blank=counts["blank"],
        rejected_file=rejected_path if reasons else None,
        error=unfinished,
        seconds=time.monotonic() - began,
    )
    logger.log(
        logging.INFO if report.is_complete else logging.WARNING,
        "import file=%a source=%s rows=%d stored=%d duplicates=%d conflicts=%d rejected=%d "
        "hosts_created=%d seconds=%.3f error=%a",
        report.file,
        source,
        report.rows,
        report.stored,
        report.duplicates,
        report.conflicts,
        report.rejected,
        report.hosts_created,
        report.seconds,
        report.error,
    )
    return report


def _is_pipe(path: Path) -> bool:
    """Return whether `path` is neither a file nor a folder, such as /dev/stdin or `<(zcat F)`."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _rejected_path(path: Path | None) -> Path:
    if path is not None and _is_pipe(path):
        path = Path(path.name)
    return Path(f"{STDIN_NAME if path is None else path}.rejected.csv")


def _refused(chunk: Chunk, stored: Stored) -> Iterator[Rejection]:
    """Yield the rows of `chunk` that the database refused, with their cells, in order of line."""
    reasons = {line: ("user", reason) for line, reason in stored.unknown.items()}
    reasons |= {line: ("conflict", reason) for line, reason in stored.conflicts.items()}
    if not reasons:
        return
    for line, _, *cells in csv.reader(row.decode() for row in chunk.rows):
        if int(line) in reasons:
            part, reason = reasons[int(line)]
            yield Rejection(int(line), part, reason, [c[:MAX_SHOWN] for c in cells])
