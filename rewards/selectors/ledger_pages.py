"""Pages of the ledger: of one host, and of one run."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from django.db import connection

from rewards.selectors.pages import Page, page_of
from rewards.selectors.scope import Scope


class LedgerRow(NamedTuple):
    """A row of the ledger, with its host."""

    user_id: int
    external_id: str
    rule_type: str
    reference_date: date
    points: int
    measured: int
    threshold: int
    run_id: int
    created_at: datetime


_COLUMNS = """
    award.user_id, external_id, award.rule_type, award.reference_date, award.points,
    award.measured, award.threshold, award.run_id, award.created_at
"""


class HostKey(NamedTuple):
    """The place of a row among those of its host."""

    reference_date: date
    rule_type: str


class RunKey(NamedTuple):
    """The place of a row among those of its run."""

    user_id: int
    rule_type: str


def ledger_of_host(
    *, user: int, days: Sequence[date], after: HostKey | None, limit: int, scope: Scope
) -> Page[LedgerRow, HostKey]:
    """Return `limit` rows of the host whose reference date is one of `days`, latest date first."""
    # The index begins with the date, so that a list of dates is one look-up for each of them.
    key = "AND (reference_date, rule_type) < (%(date)s, %(rule_type)s)"
    sql = f"""
        SELECT {_COLUMNS}
        FROM rewards_scorehistory AS award JOIN rewards_user AS host ON host.id = user_id
        WHERE user_id = %(user)s AND reference_date = ANY(%(days)s) {key if after else ""}
        ORDER BY reference_date DESC, rule_type DESC LIMIT %(limit)s
    """  # noqa: S608 - constants
    rows = _rows(
        sql,
        {
            "user": user,
            "days": [day for day in days if after is None or day <= after.reference_date],
            "limit": limit + 1,
        }
        | ({"date": after.reference_date, "rule_type": after.rule_type} if after else {}),
    )
    return page_of(rows, limit=limit, key=lambda row: HostKey(row.reference_date, row.rule_type))


def ledger_of_run(
    *, run: int, reference_date: date, after: RunKey | None, limit: int, scope: Scope
) -> Page[LedgerRow, RunKey]:
    """Return `limit` rows that the run wrote for its reference date, by user and rule type."""
    # Read in the order of the index, which begins with the date; rows of other runs are skipped.
    sql = f"""
        SELECT {_COLUMNS}
        FROM (
            SELECT * FROM rewards_scorehistory
            WHERE reference_date = %(reference_date)s AND run_id = %(run)s
            AND (user_id, rule_type) > (%(user)s, %(rule_type)s)
            ORDER BY user_id, rule_type LIMIT %(limit)s
        ) AS award
        JOIN rewards_user AS host ON host.id = user_id
        ORDER BY user_id, rule_type
    """  # noqa: S608 - constants
    first = RunKey(0, "")
    rows = _rows(
        sql,
        {
            "run": run,
            "reference_date": reference_date,
            "user": (after or first).user_id,
            "rule_type": (after or first).rule_type,
            "limit": limit + 1,
        },
    )
    return page_of(rows, limit=limit, key=lambda row: RunKey(row.user_id, row.rule_type))


def _rows(sql: str, parameters: dict[str, Any]) -> list[LedgerRow]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [LedgerRow(*row) for row in cursor.fetchall()]
