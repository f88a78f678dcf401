"""The ledger for a reader outside: the rows of a host, and those that a run wrote."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Generic, TypeVar

from rewards.engine.business_days import days_between
from rewards.selectors.hosts import host_by_external_id
from rewards.selectors.ledger_pages import (
    HostKey,
    LedgerRow,
    RunKey,
    ledger_of_host,
    ledger_of_run,
)
from rewards.selectors.runs import run_by_id
from rewards.selectors.time_limits import query_time_limit
from rewards.selectors.visible_hosts import VisibleHosts

__all__ = ["HostKey", "LedgerPage", "RunKey", "awards_of_host", "awards_of_run"]

LEDGER_TIMEOUT_MS = 10_000

Key = TypeVar("Key", HostKey, RunKey)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerPage(Generic[Key]):
    """Rows of the ledger, and where the next page begins."""

    rows: Sequence[LedgerRow]
    next: Key | None
    """None on the last page."""

    def to_dict(self) -> dict[str, Any]:
        return {"awards": [_row_dict(row) for row in self.rows]}


def awards_of_host(
    *,
    external_id: str,
    first: date,
    last: date,
    after: HostKey | None,
    limit: int,
    visible: VisibleHosts,
) -> LedgerPage[HostKey]:
    """Return a page of the host's ledger rows for `first`..`last`, latest reference date first.

    Raises UnknownHost.
    """
    host = host_by_external_id(external_id=external_id, visible=visible)
    days = list(days_between(first, last))
    page = ledger_of_host(user=host.pk, days=days, after=after, limit=limit, visible=visible)
    return LedgerPage(rows=page.rows, next=page.next)


def awards_of_run(
    *, run: int, after: RunKey | None, limit: int, visible: VisibleHosts
) -> LedgerPage[RunKey]:
    """Return a page of the ledger rows that the run wrote, by user, rule type and entry.

    Raises UnknownRun and, after LEDGER_TIMEOUT_MS, QueryTimedOut.
    """
    reference_date = run_by_id(run=run, visible=visible).reference_date
    with query_time_limit(milliseconds=LEDGER_TIMEOUT_MS, advice="ask again later"):
        page = ledger_of_run(
            run=run, reference_date=reference_date, after=after, limit=limit, visible=visible
        )
    return LedgerPage(rows=page.rows, next=page.next)


def _row_dict(row: LedgerRow) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "user_id": row.external_id,
        "rule_type": None if row.kind == "adjustment" else row.rule_type,
        "reference_date": row.reference_date.isoformat(),
        "entry": row.entry,
        "points": row.points,
        "measured": row.measured,
        "threshold": row.threshold,
        "run": row.run_id,
        "written_at": row.created_at.isoformat(),
    }
