"""What the commands that award share: many dates, several processes, one report."""

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from rewards.choices import Cadence, RunStatus
from rewards.exceptions import UsageError
from rewards.management.base import RewardsCommand, whole_number
from rewards.models import AwardRun
from rewards.services import queue
from rewards.services.awarding import ALONE, Labour, Progress, RunReport

MAX_WORKERS = 64


class AwardCommand(RewardsCommand):
    """Award every date given, oldest first, and say what each came to."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="judge, and write nothing")
        parser.add_argument(
            "--workers",
            type=whole_number(least=1, most=MAX_WORKERS),
            default=1,
            metavar="N",
            help="local processes that share the work, without any queue; default: %(default)s",
        )
        parser.add_argument(
            "--enqueue",
            action="store_true",
            help="leave the work to the workers of the queue, and show how it comes forward",
        )

    def award_all(
        self,
        dates: Iterable[date],
        award: Callable[[date, Labour], RunReport],
        *,
        dry_run: bool,
        workers: int,
        enqueue: bool,
    ) -> None:
        """Call `award` for each date and end with exit code 4 when a run was not complete."""
        if dry_run + enqueue + (workers != 1) > 1:
            raise UsageError("choose one: --dry-run, --workers or --enqueue.")
        reports: list[RunReport] = []
        try:
            with _labour(workers=workers, enqueue=enqueue) as labour:
                reports.extend(award(each, labour) for each in dates)
        except BaseException:
            # What was awarded is awarded, also when a later date breaks off.
            if reports:
                self.report_runs(reports, is_cut_short=True)
            raise
        self.report_runs(reports)

    def run_progress(self, label: str) -> Progress | None:
        """Return how a run shows its progress; None when nobody looks: counting has its cost."""
        return self.progress(label) if self.is_watched else None

    def report_runs(
        self, reports: Sequence[RunReport], *, otherwise: str = "", is_cut_short: bool = False
    ) -> None:
        """Print what each run came to, or `otherwise`; raise unless all of them are done.

        A caller that `is_cut_short` has an error of its own to raise.
        """
        self.report(
            "\n".join(_line(each) for each in reports) or otherwise,
            {"runs": [_row(each) for each in reports]},
        )
        failed = [each for each in reports if each.status not in {None, RunStatus.DONE}]
        if failed and not is_cut_short:
            raise CommandError(
                "; ".join(f"{each.reference_date}: {_cause(each)}" for each in failed),
                returncode=1 if all(each.status == RunStatus.FAILED for each in failed) else 4,
            )


@contextmanager
def _labour(*, workers: int, enqueue: bool) -> Iterator[Labour]:
    """Yield who works on the runs; no local process outlives the block."""
    if enqueue:
        yield Labour(invite=queue.invite_workers, takes_part=False)
        return
    if workers == 1:
        yield ALONE
        return
    crew: list[subprocess.Popen[bytes]] = []

    def start(run: AwardRun) -> None:
        _dismiss(crew)
        command = [sys.executable, "-m", "django", "award_shards", str(run.pk), "--verbosity=0"]
        crew.extend(
            subprocess.Popen(command, cwd=settings.BASE_DIR)  # noqa: S603 - this very program
            for _ in range(min(workers, run.shards.count()) - 1)
        )

    try:
        yield Labour(invite=start)
    except BaseException:
        for process in crew:
            process.terminate()
        raise
    finally:
        _dismiss(crew)


def _dismiss(crew: list[subprocess.Popen[bytes]]) -> None:
    """Wait for processes that end by themselves, now that their run has ended."""
    while crew:
        crew.pop().wait()


def _cause(report: RunReport) -> str:
    """Return why a run was not complete: its first failure, and how many more there are."""
    first, *more = report.error.splitlines() or ["it has not ended yet"]
    return f"{first} (and {len(more):,} more like it)" if more else first


def _line(report: RunReport) -> str:
    name = f"{report.reference_date}"
    if report.cadence == Cadence.WEEKLY:
        name = f"week {name}"
    if not report.rules:
        return f"{name}: nothing to award: no active rules."
    verb = "Would award" if report.status is None else "Awarded"
    tally = report.tally
    return (
        f"{name}: {verb} {tally.points:,} points in {tally.awards:,} awards; "
        f"{tally.hosts:,} hosts judged in {report.seconds:.1f} s."
    )


def _row(report: RunReport) -> dict[str, Any]:
    return {
        "cadence": report.cadence.value,
        "reference_date": report.reference_date.isoformat(),
        "status": report.status.value if report.status else "dry run",
        "attempt": report.attempt,
        "hosts_evaluated": report.tally.hosts,
        "awards": report.tally.awards,
        "points": report.tally.points,
        "by_rule": report.tally.by_rule,
        "seconds": round(report.seconds, 3),
        "error": report.error,
    }
