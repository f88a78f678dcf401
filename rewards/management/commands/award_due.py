from typing import Any

from django.utils import timezone

from rewards.choices import RunTrigger
from rewards.exceptions import AlreadyRunning
from rewards.management.award import AwardCommand
from rewards.management.base import RewardsCommand
from rewards.services.awarding import RunReport
from rewards.services.due import award_due


class Command(AwardCommand):
    help = "Award every closed day and week with activity that has no done run, oldest first."

    # One call catches up by itself: it takes none of the arguments of a single run.
    add_arguments = RewardsCommand.add_arguments

    def handle(self, **_: Any) -> None:
        reports: list[RunReport] = []
        while True:
            due = award_due(
                now=timezone.now(),
                trigger=RunTrigger.COMMAND,
                on_progress=self.run_progress("award_due"),
            )
            reports.extend(due.runs)
            if due.is_complete or not due.runs:
                break
        self.report_runs(reports, otherwise="" if due.busy else "Nothing is due.")
        if due.busy:
            raise AlreadyRunning(" ".join(due.busy))
