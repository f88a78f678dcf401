"""The distribution of a metric: how many hosts had which count."""

from collections.abc import Collection
from datetime import date
from typing import Any, NamedTuple

from django.db import connection
from psycopg import sql

from rewards.choices import Cadence
from rewards.selectors.eligibility import LAST_ELIGIBLE_DAYS
from rewards.selectors.metrics import METRIC_SQL
from rewards.selectors.time_limits import query_time_limit

PREVIEW_TIMEOUT_MS = 20_000

_DAYS = sql.SQL("""
    SELECT date AS period, date AS last_day, user_id, {metric} AS measured
    FROM rewards_dailyactivity
    WHERE date BETWEEN {first} AND {last}
""")

# A nested loop over weeks: memory holds the hosts of one week at a time.
_WEEKS = sql.SQL("""
    SELECT monday AS period, monday + 6 AS last_day, user_id, measured
    FROM (
        SELECT {first} + 7 * week AS monday
        FROM generate_series(0, ({last} - {first}) / 7) AS week
    ) AS weeks
    CROSS JOIN LATERAL (
        SELECT user_id, {metric} AS measured
        FROM rewards_dailyactivity
        WHERE date BETWEEN monday AND monday + 6
        GROUP BY user_id
    ) AS activity
""")

# The users whose eligibility ends are few, and are read once: an anti-join by hash.
_ELIGIBLE = sql.SQL("""
    SELECT period, user_id, measured
    FROM ({activity}) AS activity
    WHERE NOT EXISTS (
        SELECT FROM ending
        WHERE ending.user_id = activity.user_id AND last_eligible_day < last_day
    )
""")
_WITH_ENDING = sql.SQL(f"WITH ending AS MATERIALIZED {LAST_ELIGIBLE_DAYS}")


class Bucket(NamedTuple):
    """The number of hosts with the same count in a period."""

    period: date
    """A business day, or the Monday of a week."""
    measured: int
    hosts: int


class FrequentHost(NamedTuple):
    """A host, and the number of periods in which it had certain counts."""

    user_id: int
    external_id: str
    periods: int


class MatchingHosts(NamedTuple):
    """The number of hosts that had certain counts, and those that had them most often."""

    hosts: int
    most_often: tuple[FrequentHost, ...]


def distribution(*, cadence: Cadence, metric: str, first: date, last: date) -> list[Bucket]:
    """Return how many hosts had which count of `metric`, by period of `first`..`last`, in order.

    `metric` is a field of Facts. Only hosts that were active in the period and eligible on its
    last day. For weeks, `first` is a Monday and `last` a Sunday. Raises QueryTimedOut.
    """
    query = sql.SQL("""
        {ending}
        SELECT period, measured, count(*) FROM ({measured}) AS measured GROUP BY 1, 2 ORDER BY 1, 2
    """).format(ending=_WITH_ENDING, measured=_measured(cadence, metric, first, last))
    return [Bucket(*row) for row in _rows(query)]


def hosts_with_counts(
    *,
    cadence: Cadence,
    metric: str,
    first: date,
    last: date,
    counts: Collection[int],
    limit: int,
) -> MatchingHosts:
    """Return the hosts with one of `counts` of `metric`, and the first `limit` of them by name.

    The other parameters and the errors are those of distribution.
    """
    query = sql.SQL("""
        {ending}
        SELECT hosts, user_id, external_id, periods
        FROM (
            SELECT user_id, count(*) AS periods, count(*) OVER () AS hosts
            FROM ({measured}) AS measured
            WHERE measured = ANY({counts})
            GROUP BY user_id
            ORDER BY periods DESC, user_id
            LIMIT {limit}
        ) AS most_often
        JOIN rewards_user ON id = user_id
        ORDER BY periods DESC, user_id
    """).format(
        ending=_WITH_ENDING,
        measured=_measured(cadence, metric, first, last),
        counts=list(counts),
        limit=limit,
    )
    rows = _rows(query)
    return MatchingHosts(
        hosts=rows[0][0] if rows else 0,
        most_often=tuple(FrequentHost(*host) for _, *host in rows),
    )


def _measured(cadence: Cadence, metric: str, first: date, last: date) -> sql.Composed:
    """Return the query of (period, user_id, measured) of the active, eligible hosts."""
    activity = (_WEEKS if cadence == Cadence.WEEKLY else _DAYS).format(
        metric=sql.SQL(METRIC_SQL[cadence][metric]), first=first, last=last
    )
    return _ELIGIBLE.format(activity=activity)


def _rows(query: sql.Composed) -> list[Any]:
    with (
        # Memory to count the hosts of a week without a temporary file.
        query_time_limit(milliseconds=PREVIEW_TIMEOUT_MS, work_mem="64MB"),
        connection.cursor() as cursor,
    ):
        cursor.execute(query.as_string())
        rows: list[Any] = cursor.fetchall()
        return rows
