from typing import Any

from django.core.management.base import CommandParser

from rewards.management.base import RewardsCommand, whole_number
from rewards.services.awarding import award_shards

MAX_RUN = 999_999_999_999


class Command(RewardsCommand):
    help = "Help with a run that another process has opened, until it has no shard left to take."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "run",
            type=whole_number(least=1, most=MAX_RUN),
            help="number of the run, as in the journal",
        )

    def handle(self, *, run: int, **_: Any) -> None:
        has_ended = award_shards(run=run)
        self.report(
            f"Nothing is left to do for run {run}."
            if has_ended
            else f"Run {run} goes on: other processes are at its last shards.",
            {"run": run, "has_ended": has_ended},
        )
