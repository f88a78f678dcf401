"""Pages of the ledger: of one host, and of one run."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from rewards.choices import ADJUSTMENT
from rewards.selectors.pages import Page, page_of
from rewards.selectors.prepared import fetch_prepared
from rewards.selectors.visible_hosts import VisibleHosts


class LedgerRow(NamedTuple):
    """A row of the ledger, with its host."""

    user_id: int
    external_id: str
    rule_type: str
    """A rule type, or ADJUSTMENT."""
    reference_date: date
    entry: int
    points: int
    measured: int | None
    """Evidence and run are None for an adjustment."""
    threshold: int | None
    run_id: int | None
    created_at: datetime

    @property
    def kind(self) -> str:
        """ "award", "undo" or "adjustment"."""
        if self.rule_type == ADJUSTMENT:
            return "adjustment"
        return "undo" if self.entry % 2 else "award"


_COLUMNS = """
    award.user_id, external_id, award.rule_type, award.reference_date, award.entry,
    award.points, award.measured, award.threshold, award.run_id, award.created_at
"""


class HostKey(NamedTuple):
    """The place of a row among those of its host."""

    reference_date: date
    rule_type: str
    entry: int


class RunKey(NamedTuple):
    """The place of a row among those of its run."""

    user_id: int
    rule_type: str
    entry: int


def ledger_of_host(
    *, user: int, days: Sequence[date], after: HostKey | None, limit: int, visible: VisibleHosts
) -> Page[LedgerRow, HostKey]:
    """Return `limit` rows of the host whose reference date is one of `days`, latest date first."""
    # The index begins with the date, so that a list of dates is one look-up for each of them.
    key = "AND (reference_date, rule_type, entry) < (%(date)s, %(rule_type)s, %(entry)s)"
    sql = f"""
        SELECT {_COLUMNS}
        FROM rewards_scorehistory AS award JOIN rewards_user AS host ON host.id = user_id
        WHERE user_id = %(user)s AND reference_date = ANY(%(days)s) {key if after else ""}
        ORDER BY reference_date DESC, rule_type DESC, entry DESC LIMIT %(limit)s
    """  # noqa: S608 - constants
    rows = _rows(
        sql,
        {
            "user": user,
            "days": [day for day in days if after is None or day <= after.reference_date],
            "limit": limit + 1,
        }
        | (
            {"date": after.reference_date, "rule_type": after.rule_type, "entry": after.entry}
            if after
            else {}
        ),
    )
    return page_of(
        rows, limit=limit, key=lambda row: HostKey(row.reference_date, row.rule_type, row.entry)
    )


def ledger_of_run(
    *, run: int, reference_date: date, after: RunKey | None, limit: int, visible: VisibleHosts
) -> Page[LedgerRow, RunKey]:
    """Return `limit` rows that the run wrote for its date, by user, rule type and entry."""
    # Read in the order of the index, which begins with the date; rows of other runs are skipped.
    sql = f"""
        SELECT {_COLUMNS}
        FROM (
            SELECT * FROM rewards_scorehistory
            WHERE reference_date = %(reference_date)s AND run_id = %(run)s
            AND (user_id, rule_type, entry) > (%(user)s, %(rule_type)s, %(entry)s)
            ORDER BY user_id, rule_type, entry LIMIT %(limit)s
        ) AS award
        JOIN rewards_user AS host ON host.id = user_id
        ORDER BY user_id, rule_type, entry
    """  # noqa: S608 - constants
    first = RunKey(0, "", 0)
    rows = _rows(
        sql,
        {
            "run": run,
            "reference_date": reference_date,
            "user": (after or first).user_id,
            "rule_type": (after or first).rule_type,
            "entry": (after or first).entry,
            "limit": limit + 1,
        },
    )
    return page_of(rows, limit=limit, key=lambda row: RunKey(row.user_id, row.rule_type, row.entry))


def _rows(sql: str, parameters: dict[str, Any]) -> list[LedgerRow]:
    return [LedgerRow(*row) for row in fetch_prepared(sql, parameters)]
