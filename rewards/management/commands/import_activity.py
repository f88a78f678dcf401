from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from rewards.exceptions import UsageError
from rewards.management.base import RewardsCommand
from rewards.services.activity.importing import IngestReport, check_file, import_activity


class Command(RewardsCommand):
    help = "Store activity from CSV or JSON lines, gzip-compressed or not; safe to run again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE", help="- for standard input")
        parser.add_argument(
            "--source",
            default="app",
            help="the system that the event ids belong to, default: %(default)s",
        )
        parser.add_argument(
            "--create-hosts", action="store_true", help="make a host of every unknown user"
        )

    def handle(self, *, files: list[str], source: str, create_hosts: bool, **options: Any) -> None:
        if files.count("-") > 1:
            raise UsageError("standard input (-) can be read only once.")
        paths = [None if name == "-" else Path(name) for name in files]
        # Nothing is written when a later file is a wrong one.
        for path in paths:
            if path is not None:
                check_file(path=path)

        reports: list[IngestReport] = []
        try:
            for path in paths:
                reports.append(
                    import_activity(
                        path=path,
                        source=source,
                        create_hosts=create_hosts,
                        now=timezone.now(),
                        on_progress=self.progress(path.name if path else "stdin"),
                    )
                )
        finally:
            # What was stored is stored, also when a later file breaks off.
            if reports:
                self._report(reports)

        errors = [report.error for report in reports if report.error]
        listed = [_shown(str(report.rejected_file)) for report in reports if report.rejected_file]
        if listed:
            errors.append(f"rows were rejected; see {', '.join(listed)}")
        if errors:
            raise CommandError("; ".join(errors) + ".", returncode=4)

    def _report(self, reports: list[IngestReport]) -> None:
        rows = [_row(report) for report in reports]
        total = {count: sum(row[count] for row in rows) for count in _COUNTS}
        lines = [_line(_shown(row["file"]), row) for row in rows]
        if len(rows) > 1:
            lines.append(_line("total", total))
        self.report("\n".join(lines), {"files": rows, "total": total})


_COUNTS = ("rows", "stored", "duplicates", "conflicts", "rejected", "hosts_created", "blank")


def _row(report: IngestReport) -> dict[str, Any]:
    return {
        "file": report.file,
        **{count: getattr(report, count) for count in _COUNTS},
        "by_reason": dict(report.by_reason),
        "rejected_file": str(report.rejected_file) if report.rejected_file else None,
        "error": report.error,
        "seconds": round(report.seconds, 3),
    }


def _line(name: str, row: dict[str, Any]) -> str:
    line = f"{name}: {row['stored']:,} of {row['rows']:,} rows stored"
    for count in ("duplicates", "conflicts", "rejected"):
        if row[count]:
            line += f", {row[count]:,} {count}"
    if row.get("by_reason"):
        line += f" ({', '.join(f'{part} {n:,}' for part, n in row['by_reason'].items())})"
    if row["hosts_created"]:
        line += f"; {row['hosts_created']:,} hosts created"
    if "seconds" in row:
        line += f"; {row['seconds']:.1f} s"
    return line + "."


def _shown(name: str) -> str:
    """Return a file's name so that every terminal shows it, in one line."""
    return name if name.isprintable() else ascii(name)[1:-1]
