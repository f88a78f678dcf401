"""The distribution of a metric: how many hosts came to which count."""

from collections.abc import Collection
from datetime import date
from typing import Any, NamedTuple

from django.db import connection
from psycopg import sql

from rewards.choices import Cadence
from rewards.selectors.eligibility import LAST_ELIGIBLE_DAYS
from rewards.selectors.time_limits import query_time_limit

PREVIEW_TIMEOUT_MS = 20_000

# The metrics of a host's day, and of the rows of its week; named as in Facts.
_DAY_METRICS = {
    "logins": sql.SQL("logins"),
    "audio_calls": sql.SQL("audio_calls"),
    "video_calls": sql.SQL("video_calls"),
    "active_days": sql.SQL("1"),
}
_WEEK_METRICS = {
    "logins": sql.SQL("sum(logins)::bigint"),
    "audio_calls": sql.SQL("sum(audio_calls)::bigint"),
    "video_calls": sql.SQL("sum(video_calls)::bigint"),
    "active_days": sql.SQL("count(*)"),
}

_DAYS = sql.SQL("""
    SELECT date AS period, date AS last_day, user_id, {metric} AS measured
    FROM rewards_dailyactivity
    WHERE date BETWEEN {first} AND {last}
""")

# One week after the other, so that memory holds the hosts of one week only.
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

# The users whose eligibility ends are few: read once, and nobody else is looked up.
_ELIGIBLE = sql.SQL("""
    SELECT period, user_id, measured
    FROM ({activity}) AS activity
    WHERE NOT EXISTS (
        SELECT FROM ending
        WHERE ending.user_id = activity.user_id AND last_eligible_day < last_day
    )
""")
_WITH_ENDING = sql.SQL(f"WITH ending AS MATERIALIZED {LAST_ELIGIBLE_DAYS}")


class Measured(NamedTuple):
    """The number of hosts with the same count in the same period."""

    period: date
    """A business day, or the Monday of a week."""
    measured: int
    hosts: int


class Often(NamedTuple):
    """A host, and the number of periods in which it came to certain counts."""

    user: int
    external_id: str
    periods: int


class Reached(NamedTuple):
    """The hosts that came to certain counts: their number, and those who did most often."""

    hosts: int
    most_often: tuple[Often, ...]


def distribution(*, cadence: Cadence, metric: str, first: date, last: date) -> list[Measured]:
    """Return the counts of `metric` in the periods of `first`..`last`, in order.

    `metric` is a field of Facts. Only of hosts who were active in the period and eligible
    on its last day. For weeks, `first` is a Monday and `last` a Sunday.
    """
    query = sql.SQL("""
        {ending}
        SELECT period, measured, count(*) FROM ({measured}) AS measured GROUP BY 1, 2 ORDER BY 1, 2
    """).format(ending=_WITH_ENDING, measured=_measured(cadence, metric, first, last))
    return [Measured(*row) for row in _rows(query)]


def hosts_that_reached(
    *,
    cadence: Cadence,
    metric: str,
    first: date,
    last: date,
    counts: Collection[int],
    shown: int,
) -> Reached:
    """Return the hosts for whom `metric` came to one of `counts`; parameters as in distribution."""
    query = sql.SQL("""
        {ending}
        SELECT hosts, user_id, external_id, periods
        FROM (
            SELECT user_id, count(*) AS periods, count(*) OVER () AS hosts
            FROM ({measured}) AS measured
            WHERE measured = ANY({counts})
            GROUP BY user_id
            ORDER BY periods DESC, user_id
            LIMIT {shown}
        ) AS most_often
        JOIN rewards_user ON id = user_id
        ORDER BY periods DESC, user_id
    """).format(
        ending=_WITH_ENDING,
        measured=_measured(cadence, metric, first, last),
        counts=list(counts),
        shown=shown,
    )
    rows = _rows(query)
    return Reached(rows[0][0] if rows else 0, tuple(Often(*host) for _, *host in rows))


def _measured(cadence: Cadence, metric: str, first: date, last: date) -> sql.Composed:
    """Return the query of (period, user_id, measured) for each active, eligible host."""
    if cadence == Cadence.WEEKLY:
        activity = _WEEKS.format(metric=_WEEK_METRICS[metric], first=first, last=last)
    else:
        activity = _DAYS.format(metric=_DAY_METRICS[metric], first=first, last=last)
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
