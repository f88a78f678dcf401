from typing import Any

from django.core.management.base import CommandParser

from rewards.management.base import RewardsCommand, whole_number
from rewards.services.awarding.options import RunOptions
from rewards.services.awarding.run import join_run

MAX_RUN = 999_999_999_999


class Command(RewardsCommand):
    help = "Award batches of a run that another process has opened, until none is left to claim."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "run",
            type=whole_number(min_value=1, max_value=MAX_RUN),
            help="id of the run, as in the run journal",
        )

    def handle(self, *, run: int, **_: Any) -> None:
        has_ended = join_run(run_id=run, options=RunOptions(second_thread=True))
        self.report(
            f"Run {run} has ended."
            if has_ended
            else f"Run {run} continues: other processes work on its last batches.",
            {"run": run, "has_ended": has_ended},
        )
