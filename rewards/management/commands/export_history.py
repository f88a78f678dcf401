import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import IO, Any

from django.core.management.base import CommandParser

from rewards.engine.business_days import FIRST_DAY, LAST_DAY
from rewards.exceptions import UsageError
from rewards.management.base import RewardsCommand, day
from rewards.reports.export import ledger_csv


class Command(RewardsCommand):
    help = "Print the ledger as CSV: user_id,rule_type,reference_date,points, sorted by these."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--from", type=day, dest="first", default=FIRST_DAY, help="first date")
        parser.add_argument("--to", type=day, dest="last", default=LAST_DAY, help="last date")
        parser.add_argument("--output", type=Path, metavar="F", help="default: standard output")

    def handle(self, *, first: date, last: date, output: Path | None, **_: Any) -> None:
        if first > last:
            raise UsageError(f"the range is reversed: {first} is after {last}.")
        blocks = ledger_csv(first=first, last=last)
        if output is None:
            if self.is_json:
                raise UsageError("the ledger itself is CSV; --format json reports on --output F.")
            for block in blocks:
                self.stdout.write(block.decode(), ending="")
            return
        try:
            with _whole(output) as file:
                file.writelines(blocks)
        except OSError as error:
            raise UsageError(f"cannot write {str(output)!a}: {error.strerror}.") from error
        self.report(f"Wrote {output}.", {"output": str(output)})


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of `path` once all is written, and never a part of it."""
    if path.exists() and not path.is_file():  # a pipe; or a folder, which is refused
        with path.open("wb") as pipe:
            yield pipe
        return
    aside = path.with_name(f".{path.name[:50]}.{os.getpid()}.part")
    try:
        with aside.open("xb") as file:
            yield file
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
