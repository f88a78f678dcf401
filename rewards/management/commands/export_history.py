import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import IO, Any

from django.core.management.base import CommandParser

from rewards.engine.business_days import FIRST_MONDAY, LAST_DAY
from rewards.exceptions import UsageError
from rewards.management.base import RewardsCommand, reference_date
from rewards.reports.export import ledger_csv


class Command(RewardsCommand):
    help = "Print the ledger as CSV, sorted: user_id,rule_type,reference_date,points."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--from",
            type=reference_date,
            dest="first",
            default=FIRST_MONDAY,
            metavar="D",
            help="first reference date; default: all",
        )
        parser.add_argument(
            "--to",
            type=reference_date,
            dest="last",
            default=LAST_DAY,
            metavar="D",
            help="last reference date; default: all",
        )
        parser.add_argument(
            "--output", type=Path, metavar="F", help="file to write; default: standard output"
        )

    def handle(self, *, first: date, last: date, output: Path | None, **_: Any) -> None:
        if first > last:
            raise UsageError(f"The range is reversed: {first} is after {last}.")
        blocks = ledger_csv(first=first, last=last)
        if output is None:
            if self.is_json:
                raise UsageError("The export is CSV; use --format json with --output F.")
            for block in blocks:
                self.stdout.write(block.decode(), ending="")
            return
        try:
            with _replacing(output) as file:
                file.writelines(blocks)
        except OSError as error:
            raise UsageError(f"Cannot write {str(output)!a}: {error.strerror}.") from error
        self.report(f"Wrote {output}.", {"output": str(output)})


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that replaces `path` when the block ends without an error."""
    if path.exists() and not path.is_file():  # a pipe; or a folder, which is refused
        with path.open("wb") as pipe:
            yield pipe
        return
    temporary = path.with_name(f".{path.name[:50]}.{os.getpid()}.part")
    try:
        with temporary.open("xb") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
