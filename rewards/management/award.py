"""The common part of the commands that award: periods, processes, report."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from typing import Any, ClassVar

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from rewards.choices import Cadence, RunStatus, RunTrigger
from rewards.engine.business_days import ONE_DAY, ONE_WEEK, monday_of
from rewards.engine.periods import Period
from rewards.exceptions import UsageError
from rewards.management.base import (
    RewardsCommand,
    date_range,
    day,
    reference_date,
    whole_number,
)
from rewards.models import AwardRun
from rewards.selectors.time_zone import business_date
from rewards.services import worker_queue
from rewards.services.awarding import run as awarding
from rewards.services.awarding.options import Progress, RunOptions
from rewards.services.awarding.run import RunReport
from rewards.wording import count

MAX_WORKERS = 64


class RunCommand(RewardsCommand):
    """A command that reports runs."""

    def run_progress(self, label: object) -> Progress | None:
        """Return the progress display of a run; None without a terminal, as it costs queries."""
        return self.progress(str(label)) if self.is_watched else None

    def report_runs(self, reports: Sequence[RunReport], *, default: str = "") -> None:
        """Print the result of each run, or `default` if there is none."""
        self.report(
            "\n".join(_line(report) for report in reports) or default,
            {"runs": [report.to_dict() for report in reports]},
        )

    def require_done(self, reports: Sequence[RunReport]) -> None:
        """Raise CommandError unless every run is done: exit code 1 if all failed, else 4."""
        failed = [report for report in reports if report.status not in {None, RunStatus.DONE}]
        if failed:
            raise CommandError(
                "; ".join(f"{report.period}: {_cause(report)}" for report in failed),
                returncode=1 if all(report.status == RunStatus.FAILED for report in failed) else 4,
            )


class AwardCommand(RunCommand):
    """Award periods of one cadence, oldest first."""

    cadence: ClassVar[Cadence]
    option: ClassVar[str]
    """The option that names a single period."""

    def add_arguments(self, parser: CommandParser) -> None:
        is_daily = self.cadence == Cadence.DAILY
        name, metavar = ("day", "DATE") if is_daily else ("week", "MONDAY")
        parse = day if is_daily else reference_date
        parser.add_argument(
            self.option,
            dest="single",
            type=parse,
            metavar=metavar,
            help=f"{name} to award; default: the last {name} that has ended",
        )
        parser.add_argument(
            "--from", type=parse, dest="first", metavar=metavar, help=f"first {name} of a range"
        )
        parser.add_argument(
            "--to", type=parse, dest="last", metavar=metavar, help=f"last {name} of a range"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="show what would be awarded, and write nothing"
        )
        parser.add_argument(
            "--workers",
            type=whole_number(min_value=1, max_value=MAX_WORKERS),
            default=1,
            metavar="N",
            help="number of local processes, without a broker; default: %(default)s",
        )
        parser.add_argument(
            "--enqueue", action="store_true", help="run on the Celery workers and show progress"
        )

    def handle(
        self,
        *,
        single: date | None,
        first: date | None,
        last: date | None,
        dry_run: bool,
        workers: int,
        enqueue: bool,
        **_: Any,
    ) -> None:
        if dry_run + enqueue + (workers != 1) > 1:
            raise UsageError("Choose one of --dry-run, --workers and --enqueue.")
        today = business_date(timezone.now())
        is_daily = self.cadence == Cadence.DAILY
        days = date_range(
            single=single,
            first=first,
            last=last,
            default=today - ONE_DAY if is_daily else monday_of(today) - ONE_WEEK,
            option=self.option,
        )
        periods = [Period(self.cadence, day) for day in days[:: 1 if is_daily else 7]]
        # Before anything is written. The end of a range may not be a Monday.
        for period in (periods[0], Period(self.cadence, days[-1])):
            awarding.require_ended(period, today=today)

        reports: list[RunReport] = []
        try:
            with _run_options(workers=workers, enqueue=enqueue) as options:
                for period in periods:
                    on_progress = self.run_progress(period)
                    reports.append(
                        awarding.dry_run(period=period, today=today, on_progress=on_progress)
                        if dry_run
                        else awarding.award(
                            period=period,
                            today=today,
                            trigger=RunTrigger.COMMAND,
                            options=replace(options, on_progress=on_progress),
                        )
                    )
        finally:
            # Also when a later period raises: what was awarded stays awarded.
            if reports:
                self.report_runs(reports)
        self.require_done(reports)


@contextmanager
def _run_options(*, workers: int, enqueue: bool) -> Iterator[RunOptions]:
    """Yield the options of the runs. Local helper processes end with the block."""
    if enqueue:
        yield RunOptions(notify_workers=worker_queue.notify_workers, participate=False)
        return
    if workers == 1:
        yield RunOptions(second_thread=True)
        return
    helpers: list[subprocess.Popen[bytes]] = []

    def start_helpers(run: AwardRun) -> None:
        _wait_for(helpers)
        command = [sys.executable, "-m", "django", "award_batches", str(run.pk), "--verbosity=0"]
        helpers.extend(
            subprocess.Popen(command, cwd=settings.BASE_DIR)  # noqa: S603 - this very program
            for _ in range(min(workers, run.batches.count()) - 1)
        )

    try:
        yield RunOptions(notify_workers=start_helpers, second_thread=True)
    except BaseException:
        for process in helpers:
            process.terminate()
        raise
    finally:
        _wait_for(helpers)


def _wait_for(helpers: list[subprocess.Popen[bytes]]) -> None:
    """Wait for helper processes; each ends when its run has ended."""
    while helpers:
        helpers.pop().wait()


def _cause(report: RunReport) -> str:
    """Return the first error of a run, and the number of the others."""
    first, *more = report.error.splitlines() or ["The run has not ended yet."]
    return f"{first} (and {count(len(more), 'similar error')})" if more else first


def _line(report: RunReport) -> str:
    if not report.rules:
        return f"{report.period}: nothing to award: no active rules."
    verb = "Would award" if report.status is None else "Awarded"
    counts = report.counts
    return (
        f"{report.period}: {verb} {count(counts.points, 'point')} in "
        f"{count(counts.awards, 'award')}; evaluated {count(counts.hosts_evaluated, 'host')} in "
        f"{report.seconds:.1f} s."
    )
