"""The run journal for a reader outside."""

from datetime import date
from typing import Any

from rewards.models import AwardRun
from rewards.selectors.pages import Page
from rewards.selectors.runs import RunPlace, run_by_id, runs_page
from rewards.selectors.scope import Scope

__all__ = ["RunPlace", "journal_page", "journal_run", "run_dict"]


def journal_page(
    *, first: date, last: date, after: RunPlace | None, limit: int, scope: Scope
) -> Page[AwardRun, RunPlace]:
    """Return a page of the runs for reference dates in `first`..`last`, latest date first."""
    return runs_page(first=first, last=last, after=after, limit=limit, scope=scope)


def journal_run(*, run: int, scope: Scope) -> AwardRun:
    """Return a run. Raises UnknownRun."""
    return run_by_id(run=run, scope=scope)


def run_dict(run: AwardRun) -> dict[str, Any]:
    """Return a run as a reader outside sees it: without the text of an error, which is internal."""
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
        "hosts_evaluated": run.hosts_evaluated,
        "hosts_rewarded": run.hosts_rewarded,
        "hosts_failed": run.hosts_failed,
        "awards": run.awards,
        "points": run.points,
        "by_rule": run.by_rule,
    }
