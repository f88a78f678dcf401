"""The state of each period that has ended, what its runs paid, and what needs attention."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rewards.choices import Cadence
from rewards.engine.periods import Period, PeriodState, PeriodStatus, due_periods
from rewards.selectors.periods import is_overdue, period_statuses
from rewards.selectors.runs import RunTotals, run_totals


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodRow:
    """A period that has ended, and the totals of its runs."""

    period: Period
    state: PeriodState
    late: int
    """Logins and completed calls that arrived after the last run."""
    totals: RunTotals | None
    """None without a run."""

    @property
    def command(self) -> str:
        """The command that awards the period."""
        option = "--week" if self.period.cadence == Cadence.WEEKLY else "--date"
        return f"manage.py award_{self.period.cadence} {option} {self.period.reference_date}"

    def to_dict(self) -> dict[str, Any]:
        totals = self.totals
        return _period_dict(self) | (
            {}
            if totals is None
            else {
                "runs": totals.attempts,
                "hosts_evaluated": totals.hosts,
                "awards": totals.awards,
                "points": totals.points,
                "seconds": round(totals.seconds, 3),
                "trigger": totals.trigger,
                "finished_at": totals.finished_at and totals.finished_at.isoformat(),
                "error": totals.error,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Every period that has ended, and which of them wait for a run or for an operator."""

    ended: tuple[PeriodStatus, ...]
    """Oldest first; a week comes after its days."""
    overdue: tuple[PeriodStatus, ...]
    due: int
    """The number of periods that the next tick awards."""

    @property
    def states(self) -> Counter[PeriodState]:
        """The number of periods in each state."""
        return Counter(status.state for status in self.ended)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The latest periods that have ended, and all that are overdue."""

    rows: tuple[PeriodRow, ...]
    """Oldest first."""
    overdue: tuple[PeriodRow, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "periods": [row.to_dict() for row in self.rows],
            "overdue": [_period_dict(row) | {"command": row.command} for row in self.overdue],
        }


def health(*, now: datetime) -> Health:
    """Return the state of every period that has ended at `now`. Four queries."""
    ended = tuple(period_statuses(now=now))
    return Health(
        ended=ended,
        overdue=tuple(status for status in ended if is_overdue(status, now=now)),
        due=sum(1 for _ in due_periods(iter(ended))),
    )


def status(*, now: datetime, days: int) -> Status:
    """Return the periods of the last `days` that have ended at `now`, and the overdue ones."""
    known = health(now=now)
    if not known.ended:
        return Status(rows=(), overdue=())
    overdue = {status.period for status in known.overdue}
    since = known.ended[-1].period.reference_date - timedelta(days=days)
    rows = period_rows(
        [
            status
            for status in known.ended
            if status.period.reference_date > since or status.period in overdue
        ]
    )
    return Status(rows=rows, overdue=tuple(row for row in rows if row.period in overdue))


def period_rows(statuses: Sequence[PeriodStatus]) -> tuple[PeriodRow, ...]:
    """Return a row with the totals of its runs for each of `statuses`. One query, or none."""
    if not statuses:
        return ()
    days = [status.period.reference_date for status in statuses]
    totals = run_totals(first=min(days), last=max(days))
    return tuple(
        PeriodRow(
            period=status.period,
            state=status.state,
            late=status.late,
            totals=totals.get(status.period),
        )
        for status in statuses
    )


def _period_dict(row: PeriodRow) -> dict[str, Any]:
    return {
        "cadence": row.period.cadence.value,
        "reference_date": row.period.reference_date.isoformat(),
        "state": row.state.value,
        "late": row.late,
    }
