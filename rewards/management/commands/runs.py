from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from rewards.choices import Cadence, RunTrigger
from rewards.management.base import MAX_DAYS, RewardsCommand, whole_number
from rewards.rules.periods import Period, PeriodState
from rewards.selectors.runs import RunTotals, run_totals
from rewards.services.due import is_overdue, periods

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
            type=whole_number(least=1, most=MAX_DAYS),
            default=14,
            metavar="N",
            help="default: %(default)s",
        )

    def handle(self, *, days: int, **_: Any) -> None:
        now = timezone.now()
        known = list(periods(now=now))
        overdue = [period for period in known if is_overdue(period, now=now)]
        since = known[-1].reference_date - timedelta(days=days) if known else None
        shown = [
            each for each in known if (since and each.reference_date > since) or each in overdue
        ]
        totals = (
            run_totals(
                first=min(each.reference_date for each in shown),
                last=max(each.reference_date for each in shown),
            )
            if shown
            else {}
        )
        rows = [(period, totals.get((period.cadence, period.reference_date))) for period in shown]
        self.report(
            _text(rows, overdue),
            {
                "periods": [_as_json(period, total) for period, total in rows],
                "overdue": [_as_json(each, None) | {"command": _command(each)} for each in overdue],
            },
        )
        if overdue:
            raise CommandError(f"overdue: {_names(overdue)}.", returncode=4)


def _name(period: Period) -> str:
    prefix = "week " if period.cadence == Cadence.WEEKLY else ""
    return f"{prefix}{period.reference_date}"


def _names(periods: Sequence[Period]) -> str:
    names = [_name(each) for each in periods[:MAX_NAMED]]
    if len(periods) > MAX_NAMED:
        names.append(f"and {len(periods) - MAX_NAMED:,} more")
    return ", ".join(names)


def _command(period: Period) -> str:
    option = "--week" if period.cadence == Cadence.WEEKLY else "--date"
    return f"manage.py award_{period.cadence} {option} {period.reference_date}"


def _text(rows: Sequence[tuple[Period, RunTotals | None]], overdue: Sequence[Period]) -> str:
    if not rows:
        return "No day has activity yet: import_activity brings some."
    cells = [_HEADER, *(_cells(period, total) for period, total in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADER))]
    lines = ["  ".join(map(_aligned, row, widths, range(len(row)))).rstrip() for row in cells]
    waiting = [each for each in overdue if each.state not in _BY_HAND]
    if waiting:
        lines.append(f"Overdue, until the next tick or: manage.py award_due ({_names(waiting)})")
    for period, total in rows:
        if period in overdue and period.state in _BY_HAND:
            lines.append(f"{_name(period)} {_BY_HAND[period.state]}: {_command(period)}")
            if period.state == PeriodState.FAILED and total and total.error:
                lines.append(f"    {total.error.splitlines()[0]}")
    return "\n".join(lines)


def _aligned(text: str, width: int, column: int) -> str:
    is_number = 2 <= column <= 7
    return text.rjust(width) if is_number else text.ljust(width)


def _cells(period: Period, total: RunTotals | None) -> tuple[str, ...]:
    late = f"{period.late:,}" if period.late else ""
    if total is None:
        return (_name(period), period.state, late, "", "", "", "", "", "")
    return (
        _name(period),
        period.state,
        late,
        f"{total.hosts:,}",
        f"{total.awards:,}",
        f"{total.points:,}",
        f"{total.seconds:,.1f}",
        f"{total.attempts:,}",
        RunTrigger(total.trigger).label.lower(),
    )


def _as_json(period: Period, total: RunTotals | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "cadence": period.cadence.value,
        "reference_date": period.reference_date.isoformat(),
        "state": period.state.value,
        "late": period.late,
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
