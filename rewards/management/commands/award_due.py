from typing import Any

from django.utils import timezone

from rewards.choices import RunTrigger
from rewards.exceptions import AlreadyRunning
from rewards.management.award import RunCommand
from rewards.services.awarding.options import RunOptions
from rewards.services.awarding.run import RunReport
from rewards.services.due import award_due


class Command(RunCommand):
    help = "Award every day and week that is due, oldest first, then late activity."

    def handle(self, **_: Any) -> None:
        options = RunOptions(second_thread=True, on_progress=self.run_progress("award_due"))
        reports: list[RunReport] = []
        while True:
            due = award_due(now=timezone.now(), trigger=RunTrigger.COMMAND, options=options)
            reports.extend(due.runs)
            if due.is_complete or not due.runs:
                break
        self.report_runs(reports, default="" if due.busy else "Nothing is due.")
        self.require_done(reports)
        if due.busy:
            raise AlreadyRunning(" ".join(due.busy))
