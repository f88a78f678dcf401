from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from rewards.choices import Cadence, RunTrigger
from rewards.engine.periods import Period, PeriodState, PeriodStatus
from rewards.management.base import MAX_DAYS, RewardsCommand, whole_number
from rewards.selectors.periods import is_overdue, period_statuses
from rewards.selectors.runs import RunTotals, run_totals

MAX_NAMED = 5

_HEADER = ("period", "state", "late", "hosts", "awards", "points", "seconds", "runs", "started by")

_BY_HAND = {
    PeriodState.FAILED: "has failed again and again; mend the cause, then run",
    PeriodState.LATE_BEYOND_GRACE: "has activity that came too late to be paid by itself; to pay "
    "it, run",
}
"""States in which nothing happens unless a person acts: what to tell that person."""


class Command(RewardsCommand):
    help = "Show what was awarded of the last days and weeks; exit code 4 when any is overdue."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--days",
            type=whole_number(min_value=1, max_value=MAX_DAYS),
            default=14,
            metavar="N",
            help="default: %(default)s",
        )

    def handle(self, *, days: int, **_: Any) -> None:
        now = timezone.now()
        known = list(period_statuses(now=now))
        overdue = [status for status in known if is_overdue(status, now=now)]
        since = known[-1].period.reference_date - timedelta(days=days) if known else None
        shown = [
            status
            for status in known
            if (since and status.period.reference_date > since) or status in overdue
        ]
        totals = (
            run_totals(
                first=min(status.period.reference_date for status in shown),
                last=max(status.period.reference_date for status in shown),
            )
            if shown
            else {}
        )
        rows = [(status, totals.get(status.period)) for status in shown]
        self.report(
            _text(rows, overdue),
            {
                "periods": [_as_json(status, total) for status, total in rows],
                "overdue": [
                    _as_json(each, None) | {"command": _command(each.period)} for each in overdue
                ],
            },
        )
        if overdue:
            raise CommandError(f"overdue: {_names(overdue)}.", returncode=4)


def _names(statuses: Sequence[PeriodStatus]) -> str:
    names = [str(status.period) for status in statuses[:MAX_NAMED]]
    if len(statuses) > MAX_NAMED:
        names.append(f"and {len(statuses) - MAX_NAMED:,} more")
    return ", ".join(names)


def _command(period: Period) -> str:
    option = "--week" if period.cadence == Cadence.WEEKLY else "--date"
    return f"manage.py award_{period.cadence} {option} {period.reference_date}"


def _text(
    rows: Sequence[tuple[PeriodStatus, RunTotals | None]], overdue: Sequence[PeriodStatus]
) -> str:
    if not rows:
        return "No activity yet. Load some with import_activity."
    cells = [_HEADER, *(_cells(status, total) for status, total in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADER))]
    lines = ["  ".join(map(_aligned, row, widths, range(len(row)))).rstrip() for row in cells]
    waiting = [each for each in overdue if each.state not in _BY_HAND]
    if waiting:
        lines.append(f"Overdue, until the next tick or: manage.py award_due ({_names(waiting)})")
    for status, total in rows:
        if status in overdue and status.state in _BY_HAND:
            lines.append(f"{status.period} {_BY_HAND[status.state]}: {_command(status.period)}")
            if status.state == PeriodState.FAILED and total and total.error:
                lines.append(f"    {total.error.splitlines()[0]}")
    return "\n".join(lines)


def _aligned(text: str, width: int, column: int) -> str:
    is_number = 2 <= column <= 7
    return text.rjust(width) if is_number else text.ljust(width)


def _cells(status: PeriodStatus, total: RunTotals | None) -> tuple[str, ...]:
    late = f"{status.late:,}" if status.late else ""
    if total is None:
        return (str(status.period), status.state, late, "", "", "", "", "", "")
    return (
        str(status.period),
        status.state,
        late,
        f"{total.hosts:,}",
        f"{total.awards:,}",
        f"{total.points:,}",
        f"{total.seconds:,.1f}",
        f"{total.attempts:,}",
        RunTrigger(total.trigger).label.lower(),
    )


def _as_json(status: PeriodStatus, total: RunTotals | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "cadence": status.period.cadence.value,
        "reference_date": status.period.reference_date.isoformat(),
        "state": status.state.value,
        "late": status.late,
    }
    if total is not None:
        row |= {
            "runs": total.attempts,
            "hosts_evaluated": total.hosts,
            "awards": total.awards,
            "points": total.points,
            "seconds": round(total.seconds, 3),
            "trigger": total.trigger,
            "finished_at": total.finished_at.isoformat() if total.finished_at else None,
            "error": total.error,
        }
    return row
