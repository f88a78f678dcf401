from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from rewards.calendar import FIRST_DAY, LAST_DAY
from rewards.exceptions import UsageError
from rewards.management.base import RewardsCommand, day
from rewards.selectors.ledger import history_csv


class Command(RewardsCommand):
    help = "Print the ledger as CSV: user_id,rule_type,reference_date,points, sorted by these."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--from", type=day, dest="first", default=FIRST_DAY, help="first date")
        parser.add_argument("--to", type=day, dest="last", default=LAST_DAY, help="last date")
        parser.add_argument("--output", type=Path, metavar="F", help="default: standard output")

    def handle(self, *, first: date, last: date, output: Path | None, **_: Any) -> None:
        if first > last:
            raise UsageError(f"the range is reversed: {first} is after {last}.")
        blocks = history_csv(first=first, last=last)
        if output is None:
            for block in blocks:
                self.stdout.write(block.decode(), ending="")
            return
        try:
            with output.open("wb") as file:
                for block in blocks:
                    file.write(block)
        except OSError as error:
            raise UsageError(f"cannot write {output}: {error.strerror}.") from error
        self.report(f"Wrote {output}.", {"output": str(output)})
