"""How much hosts did: how many of them did how much, whatever their number."""

from collections.abc import Collection
from datetime import date
from typing import Any, NamedTuple

from django.db import OperationalError, connection, transaction
from psycopg import sql

from rewards.choices import Cadence
from rewards.exceptions import TooMuchToRead

PATIENCE = 20_000
"""Milliseconds that a query may take: somebody waits for it, and others wait for the database."""

QUERY_CANCELED = "57014"

# The measures of a host's day, and of the rows that make up its week; named as in Facts.
_OF_DAY = {
    "logins": sql.SQL("logins"),
    "audio_calls": sql.SQL("audio_calls"),
    "video_calls": sql.SQL("video_calls"),
    "active_days": sql.SQL("1"),
}
_OF_WEEK = {
    "logins": sql.SQL("sum(logins)::bigint"),
    "audio_calls": sql.SQL("sum(audio_calls)::bigint"),
    "video_calls": sql.SQL("sum(video_calls)::bigint"),
    "active_days": sql.SQL("count(*)"),
}

_DAYS = sql.SQL("""
    SELECT date AS period, date AS last_day, user_id, {measure} AS measured
    FROM rewards_dailyactivity
    WHERE date BETWEEN {first} AND {last}
""")

# One week after the other, so that no more than the hosts of one are counted in memory.
_WEEKS = sql.SQL("""
    SELECT monday AS period, monday + 6 AS last_day, user_id, measured
    FROM (
        SELECT {first} + 7 * week AS monday
        FROM generate_series(0, ({last} - {first}) / 7) AS week
    ) AS weeks
    CROSS JOIN LATERAL (
        SELECT user_id, {measure} AS measured
        FROM rewards_dailyactivity
        WHERE date BETWEEN monday AND monday + 6
        GROUP BY user_id
    ) AS did
""")

# Those who did not earn then are few: found once, and nobody else is looked up.
_EARNING = sql.SQL("""
    SELECT period, user_id, measured
    FROM ({each}) AS did
    WHERE NOT EXISTS (
        SELECT FROM gone WHERE id = user_id AND (left_on IS NULL OR left_on < last_day)
    )
""")
_GONE = sql.SQL("""
    WITH gone AS MATERIALIZED (
        SELECT id, CASE WHEN is_host THEN left_on END AS left_on
        FROM rewards_user
        WHERE NOT is_host OR left_on IS NOT NULL
    )
""")


class Measured(NamedTuple):
    """How many hosts came to the same count in the same period."""

    period: date
    """A business day, or the Monday of a week."""
    measured: int
    hosts: int


class Often(NamedTuple):
    """A host, and in how many periods it came to certain counts."""

    user: int
    external_id: str
    periods: int


class Reached(NamedTuple):
    """The hosts that came to certain counts: how many, and those who did most often."""

    hosts: int
    most_often: tuple[Often, ...]


def distribution(*, cadence: Cadence, measure: str, first: date, last: date) -> list[Measured]:
    """Return the counts of `measure` in the periods of `first`..`last`, in order.

    `measure` is a field of Facts. As in awarding, of hosts who were active in the period and
    still earned on its last day. For weeks, `first` is a Monday and `last` a Sunday.
    """
    query = sql.SQL("""
        {gone}
        SELECT period, measured, count(*) FROM ({each}) AS each GROUP BY 1, 2 ORDER BY 1, 2
    """).format(gone=_GONE, each=_each(cadence, measure, first, last))
    return [Measured(*row) for row in _rows(query)]


def hosts_that_reached(
    *,
    cadence: Cadence,
    measure: str,
    first: date,
    last: date,
    counts: Collection[int],
    shown: int,
) -> Reached:
    """Return the hosts for whom `measure` came to one of `counts`, otherwise as distribution."""
    query = sql.SQL("""
        {gone}
        SELECT hosts, user_id, external_id, periods
        FROM (
            SELECT user_id, count(*) AS periods, count(*) OVER () AS hosts
            FROM ({each}) AS each
            WHERE measured = ANY({counts})
            GROUP BY user_id
            ORDER BY periods DESC, user_id
            LIMIT {shown}
        ) AS most_often
        JOIN rewards_user ON id = user_id
        ORDER BY periods DESC, user_id
    """).format(
        gone=_GONE,
        each=_each(cadence, measure, first, last),
        counts=list(counts),
        shown=shown,
    )
    rows = _rows(query)
    return Reached(rows[0][0] if rows else 0, tuple(Often(*host) for _, *host in rows))


def _each(cadence: Cadence, measure: str, first: date, last: date) -> sql.Composed:
    """Return the query of (period, user_id, measured) for each host that earned then."""
    if cadence == Cadence.WEEKLY:
        did = _WEEKS.format(measure=_OF_WEEK[measure], first=first, last=last)
    else:
        did = _DAYS.format(measure=_OF_DAY[measure], first=first, last=last)
    return _EARNING.format(each=did)


def _rows(query: sql.Composed) -> list[Any]:
    """Return what `query` finds. Raises TooMuchToRead when it would take longer than PATIENCE."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            # Room to count the hosts of a week in memory, for this query alone.
            cursor.execute(f"SET LOCAL statement_timeout = {PATIENCE}; SET LOCAL work_mem = '64MB'")
            cursor.execute(query.as_string())
            rows: list[Any] = cursor.fetchall()
            cursor.execute("SET LOCAL statement_timeout TO DEFAULT; SET LOCAL work_mem TO DEFAULT")
            return rows
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") != QUERY_CANCELED:
            raise
        raise TooMuchToRead(
            f"this took longer than {PATIENCE // 1000} seconds and was given up; look back over "
            "fewer days."
        ) from error
