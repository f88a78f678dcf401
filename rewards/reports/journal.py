"""The run journal for a reader outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from rewards.models import AwardRun
from rewards.selectors.runs import RunPlace, run_by_id, runs_page
from rewards.selectors.visible_hosts import VisibleHosts

__all__ = ["JournalPage", "JournalRow", "RunPlace", "journal_page", "journal_row"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRow:
    """A run. The text of its error is internal, and not part of it."""

    run: AwardRun

    def to_dict(self) -> dict[str, Any]:
        run = self.run
        return {
            "id": run.pk,
            "kind": run.kind,
            "cadence": run.cadence,
            "reference_date": run.reference_date.isoformat(),
            "attempt": run.attempt,
            "status": run.status,
            "trigger": run.trigger,
            "started_at": run.started_at.isoformat(),
            "finished_at": run.finished_at and run.finished_at.isoformat(),
            "counted_at": run.counted_at and run.counted_at.isoformat(),
            "hosts_evaluated": run.hosts_evaluated,
            "hosts_rewarded": run.hosts_rewarded,
            "hosts_failed": run.hosts_failed,
            "awards": run.awards,
            "points": run.points,
            "by_rule": run.by_rule,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalPage:
    """Runs, and where the next page begins."""

    rows: Sequence[JournalRow]
    next: RunPlace | None
    """None on the last page."""

    def to_dict(self) -> dict[str, Any]:
        return {"runs": [row.to_dict() for row in self.rows]}


def journal_page(
    *, first: date, last: date, after: RunPlace | None, limit: int, visible: VisibleHosts
) -> JournalPage:
    """Return a page of the runs for reference dates in `first`..`last`, latest date first."""
    page = runs_page(first=first, last=last, after=after, limit=limit, visible=visible)
    return JournalPage(rows=[JournalRow(run=run) for run in page.rows], next=page.next)


def journal_row(*, run: int, visible: VisibleHosts) -> JournalRow:
    """Return a run. Raises UnknownRun."""
    return JournalRow(run=run_by_id(run=run, visible=visible))
