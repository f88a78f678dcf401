from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from rewards.choices import RunTrigger
from rewards.engine.periods import MAX_DAYS, NEEDS_OPERATOR, PeriodState
from rewards.management.base import RewardsCommand, whole_number
from rewards.reports.status import PeriodRow, Status, status

MAX_NAMED = 5

_HEADER = ("period", "state", "late", "hosts", "awards", "points", "seconds", "runs", "started by")
_NUMBERS = range(2, 8)
"""Columns that are aligned to the right."""

ADVICE = {
    PeriodState.FAILED: "has failed repeatedly. Fix the cause, then run",
    PeriodState.LATE_BEYOND_GRACE: "has activity that arrived after the grace period. To award "
    "it, run",
}
"""For each state of NEEDS_OPERATOR, what to tell the operator."""


class Command(RewardsCommand):
    help = "Show the runs of the last days and weeks; exit code 4 if any period is overdue."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--days",
            type=whole_number(min_value=1, max_value=MAX_DAYS),
            default=14,
            metavar="N",
            help="number of days to show; default: %(default)s",
        )

    def handle(self, *, days: int, **_: Any) -> None:
        report = status(now=timezone.now(), days=days)
        self.report(_text(report), report.to_dict())
        if report.overdue:
            raise CommandError(f"Overdue: {_names(report.overdue)}.", returncode=4)


def _names(rows: Sequence[PeriodRow]) -> str:
    names = [str(row.period) for row in rows[:MAX_NAMED]]
    if len(rows) > MAX_NAMED:
        names.append(f"and {len(rows) - MAX_NAMED:,} more")
    return ", ".join(names)


def _text(report: Status) -> str:
    if not report.rows:
        return "No activity yet. Load some with import_activity."
    cells = [_HEADER, *map(_cells, report.rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(_aligned, row, widths, range(len(row)))).rstrip() for row in cells]
    waiting = [row for row in report.overdue if row.state not in NEEDS_OPERATOR]
    if waiting:
        lines.append(
            f"Overdue: {_names(waiting)}. The next tick awards what is due, or run: "
            "manage.py award_due"
        )
    for row in report.overdue:
        if row.state in NEEDS_OPERATOR:
            lines.append(f"{row.period} {ADVICE[row.state]}: {row.command}")
            if row.state == PeriodState.FAILED and row.totals and row.totals.error:
                lines.append(f"    {row.totals.error.splitlines()[0]}")
    return "\n".join(lines)


def _aligned(text: str, width: int, column: int) -> str:
    return text.rjust(width) if column in _NUMBERS else text.ljust(width)


def _cells(row: PeriodRow) -> tuple[str, ...]:
    late = f"{row.late:,}" if row.late else ""
    totals = row.totals
    if totals is None:
        return (str(row.period), row.state, late, "", "", "", "", "", "")
    return (
        str(row.period),
        row.state,
        late,
        f"{totals.hosts:,}",
        f"{totals.awards:,}",
        f"{totals.points:,}",
        f"{totals.seconds:,.1f}",
        f"{totals.attempts:,}",
        RunTrigger(totals.trigger).label.lower(),
    )
