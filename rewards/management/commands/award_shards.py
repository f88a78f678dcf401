from typing import Any

from django.core.management.base import CommandParser

from rewards.management.base import RewardsCommand
from rewards.services.awarding import award_shards


class Command(RewardsCommand):
    help = "Help with a run that another process has opened, until it has no shard left to take."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", type=int, help="number of the run, as in the journal")

    def handle(self, *, run: int, **_: Any) -> None:
        has_ended = award_shards(run=run)
        self.report(
            f"Run {run} has ended."
            if has_ended
            else f"Run {run} goes on: other processes are at its last shards.",
            {"run": run, "has_ended": has_ended},
        )
