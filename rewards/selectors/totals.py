"""Awards by day and rule type, from the run journal: the ledger is not read."""

from datetime import date
from typing import NamedTuple

from django.db import connection


class DayTotal(NamedTuple):
    """The awards of one rule type for one reference date."""

    reference_date: date
    rule_type: str
    awards: int
    points: int


def totals_by_day(*, first: date, last: date) -> list[DayTotal]:
    """Return the awards by reference date in `first`..`last` and by rule type, in order.

    A run adds its batches up when it ends; those of an open run are added up here.
    """
    sql = """
        SELECT reference_date, rule_type,
            sum((sums ->> 'awards')::bigint)::bigint, sum((sums ->> 'points')::bigint)::bigint
        FROM (
            SELECT reference_date, by_rule FROM rewards_awardrun
            WHERE reference_date BETWEEN %(first)s AND %(last)s AND status <> 'running'
            UNION ALL
            SELECT reference_date, batch.by_rule
            FROM rewards_awardrun run JOIN rewards_awardbatch batch ON batch.run_id = run.id
            WHERE reference_date BETWEEN %(first)s AND %(last)s AND run.status = 'running'
        ) AS parts, jsonb_each(by_rule) AS rules (rule_type, sums)
        GROUP BY reference_date, rule_type
        ORDER BY reference_date, rule_type
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, {"first": first, "last": last})
        return [DayTotal(*row) for row in cursor]
