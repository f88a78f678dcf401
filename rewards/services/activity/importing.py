"""The story of an import: check the settings, open, parse, store, list rejected rows, report."""

import logging
import re
import time
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rewards.exceptions import UsageError
from rewards.selectors.time_zone import business_time_zone
from rewards.services.activity.reading import STDIN_NAME, Progress, open_rows
from rewards.services.activity.rejects import RejectedFile
from rewards.services.activity.rows import RowParser
from rewards.services.activity.storing import store_rows
from rewards.services.unchanged_settings import require_unchanged_settings

logger = logging.getLogger(__name__)

_SOURCE = re.compile(r"[!-~]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """The result for one file: rows = stored + duplicates + conflicts + rejected."""

    file: str
    rows: int
    """Lines that are neither blank nor the header."""
    stored: int
    duplicates: int
    """Rows with the same content as one stored before or earlier in the file."""
    conflicts: int
    """Rows with the id of a stored event and other content."""
    rejected: int
    """Rows that are invalid, or of an unknown user."""
    hosts_created: int
    blank: int
    by_reason: dict[str, int]
    """Number of conflicts and rejected rows by "line", column, "user" or "conflict"."""
    rejected_file: Path | None
    """The list of conflicts and rejected rows; None if there are none."""
    error: str
    """Why reading ended before the end of the file; empty if it did not."""
    seconds: float

    @property
    def is_complete(self) -> bool:
        """Whether every row of the file is now stored."""
        return not (self.conflicts or self.rejected or self.error)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {
            "rejected_file": str(self.rejected_file) if self.rejected_file else None,
            "seconds": round(self.seconds, 3),
        }


def import_activity(
    *,
    path: Path | None,
    source: str,
    create_hosts: bool,
    now: datetime,
    on_progress: Progress | None = None,
) -> ImportReport:
    """Import a file of CSV or JSON Lines, plain or gzip; standard input if `path` is None.

    Rows are stored in chunks, each in one transaction with its DailyActivity. A second call
    stores what an interrupted one has not, and nothing twice. A bad row is listed in the file of
    rejected rows and does not keep others from being stored. Rows of unknown users are rejected,
    or with `create_hosts` the hosts are created. Raises BadFile, UsageError or SettingChanged
    before anything is written, and RewardsError.
    """
    started = time.monotonic()
    if not _SOURCE.fullmatch(source):
        raise UsageError(f"Bad source {source!a:.80}: use 1 to 64 visible ASCII characters.")
    require_unchanged_settings()

    counts: Counter[str] = Counter()
    by_reason: Counter[str] = Counter()
    with open_rows(path) as file, RejectedFile(path) as rejected_file:
        parser = RowParser(columns=file.columns, zone=business_time_zone(), now=now)
        last_line = file.first_row_line - 1
        for chunk in parser.chunks(file.lines, first_line=file.first_row_line):
            result = store_rows(rows=chunk.rows, source=source, create_hosts=create_hosts, now=now)
            by_reason += rejected_file.add(chunk.rejections(result.rejected))

            last_line += chunk.lines
            counts.update(
                rows=chunk.lines - chunk.blank,
                blank=chunk.blank,
                stored=result.stored,
                hosts_created=result.hosts_created,
            )
            if on_progress is not None and (position := file.position()):
                on_progress(*position)

    bad_rows = by_reason.total()
    report = ImportReport(
        file=str(path or STDIN_NAME),
        rows=counts["rows"],
        stored=counts["stored"],
        duplicates=counts["rows"] - counts["stored"] - bad_rows,
        conflicts=by_reason["conflict"],
        rejected=bad_rows - by_reason["conflict"],
        hosts_created=counts["hosts_created"],
        blank=counts["blank"] + file.blank,
        by_reason=dict(sorted(by_reason.items())),
        rejected_file=rejected_file.path if bad_rows else None,
        error=file.error and f"Cannot read {file.name} after line {last_line}: {file.error}.",
        seconds=time.monotonic() - started,
    )
    logger.log(
        logging.INFO if report.is_complete else logging.WARNING,
        "import source=%s %s",
        source,
        " ".join(f"{name}={value!a}" for name, value in report.to_dict().items()),
    )
    return report
