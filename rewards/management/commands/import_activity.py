from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from rewards.exceptions import UsageError
from rewards.management.base import RewardsCommand
from rewards.services.activity.importing import ImportReport, import_activity
from rewards.services.activity.reading import STDIN_NAME, check_activity_file
from rewards.wording import count

_COUNTS = ("rows", "stored", "duplicates", "conflicts", "rejected", "hosts_created", "blank")


class Command(RewardsCommand):
    help = "Import activity from CSV or JSON Lines, plain or gzip. Safe to run again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE", help="- for standard input")
        parser.add_argument(
            "--source",
            default="app",
            help="name of the system that issued the event ids, default: %(default)s",
        )
        parser.add_argument(
            "--create-hosts", action="store_true", help="create a host for each unknown user id"
        )

    def handle(self, *, files: list[str], source: str, create_hosts: bool, **options: Any) -> None:
        if files.count("-") > 1:
            raise UsageError("Standard input (-) can be read only once.")
        paths = [None if name == "-" else Path(name) for name in files]
        # Before anything is stored, so that a mistyped name stops the whole import.
        for path in paths:
            if path is not None:
                check_activity_file(path)

        reports: list[ImportReport] = []
        try:
            for path in paths:
                reports.append(
                    import_activity(
                        path=path,
                        source=source,
                        create_hosts=create_hosts,
                        now=timezone.now(),
                        on_progress=self.progress(path.name if path else STDIN_NAME),
                    )
                )
        finally:
            # What was stored is reported, also when a later file fails.
            if reports:
                self._report(reports)

        errors = [report.error for report in reports if report.error]
        listed = [_printable(str(r.rejected_file)) for r in reports if r.rejected_file]
        if listed:
            errors.append(f"Rows were rejected: see {', '.join(listed)}.")
        if errors:
            raise CommandError(" ".join(errors), returncode=4)

    def _report(self, reports: list[ImportReport]) -> None:
        rows = [report.to_dict() for report in reports]
        total = {name: sum(row[name] for row in rows) for name in _COUNTS}
        lines = [_line(_printable(row["file"]), row) for row in rows]
        if len(rows) > 1:
            lines.append(_line("total", total))
        self.report("\n".join(lines), {"files": rows, "total": total})


def _line(name: str, row: dict[str, Any]) -> str:
    parts = [f"{row['stored']:,} of {count(row['rows'], 'row')} stored"]
    for noun in ("duplicate", "conflict"):
        if number := row[f"{noun}s"]:
            parts.append(count(number, noun))
    if row["rejected"]:
        parts.append(f"{row['rejected']:,} rejected")
    line = f"{name}: {', '.join(parts)}"
    if row.get("by_reason"):
        line += f" ({', '.join(f'{reason} {n:,}' for reason, n in row['by_reason'].items())})"
    if row["hosts_created"]:
        line += f"; {count(row['hosts_created'], 'host')} created"
    if "seconds" in row:
        line += f"; {row['seconds']:.1f} s"
    return f"{line}."


def _printable(name: str) -> str:
    """Return the name of a file in one line, without control characters."""
    return name if name.isprintable() else ascii(name)[1:-1]
