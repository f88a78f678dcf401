"""The base class of the commands that import files of rows."""

from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from django.core.management.base import CommandError

from rewards.exceptions import UsageError
from rewards.management.base import RewardsCommand
from rewards.services.activity.reading import STDIN_NAME, Layout, check_rows


class FileReport(Protocol):
    """The result for one file."""

    @property
    def error(self) -> str: ...

    @property
    def rejected_file(self) -> Path | None: ...

    def to_dict(self) -> dict[str, Any]: ...


class ImportCommand(RewardsCommand):
    """Import the files named, report each and their total; exit code 4 if rows were rejected."""

    layout: Layout
    counts: Sequence[str]
    """The counts of a report that are added to a total."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE", help="- for standard input")

    def import_files(
        self,
        files: Sequence[str],
        import_file: Callable[[Path | None, Callable[[int, int], None]], FileReport],
    ) -> None:
        """Call `import_file` for each file, with its path and a function that shows progress."""
        if files.count("-") > 1:
            raise UsageError("Standard input (-) can be read only once.")
        paths = [None if name == "-" else Path(name) for name in files]
        # Before anything is stored, so that a mistyped name stops the whole import.
        for path in paths:
            if path is not None:
                check_rows(path, self.layout)

        reports: list[FileReport] = []
        try:
            for path in paths:
                on_progress = self.progress(path.name if path else STDIN_NAME)
                reports.append(import_file(path, on_progress))
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

    def summary(self, row: dict[str, Any]) -> str:
        """Return what was done with the rows of a file or of all, without a full stop."""
        raise NotImplementedError

    def _report(self, reports: Sequence[FileReport]) -> None:
        rows = [report.to_dict() for report in reports]
        total = {name: sum(row[name] for row in rows) for name in self.counts}
        lines = [self._line(_printable(row["file"]), row) for row in rows]
        if len(rows) > 1:
            lines.append(self._line("total", total))
        self.report("\n".join(lines), {"files": rows, "total": total})

    def _line(self, name: str, row: dict[str, Any]) -> str:
        seconds = f"; {row['seconds']:.1f} s" if "seconds" in row else ""
        return f"{name}: {self.summary(row)}{seconds}."


def by_reason(row: dict[str, Any]) -> str:
    """Return the reasons of a report with their numbers, in brackets; empty without any."""
    reasons = row.get("by_reason", {}).items()
    return f" ({', '.join(f'{reason} {n:,}' for reason, n in reasons)})" if reasons else ""


def _printable(name: str) -> str:
    """Return the name of a file in one line, without control characters."""
    return name if name.isprintable() else ascii(name)[1:-1]
