"""How much hosts did: how many of them did how much, whatever their number."""

from collections.abc import Collection
from datetime import date
from typing import NamedTuple

from django.db import connection
from psycopg import sql

from rewards.choices import Cadence

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

# Those who did not earn then are few and found first, so that nobody else is looked up.
_DAYS = sql.SQL("""
    SELECT date AS period, user_id, {measure} AS measured
    FROM rewards_dailyactivity AS activity
    WHERE date BETWEEN {first} AND {last}
        AND NOT EXISTS (
            SELECT FROM rewards_user
            WHERE id = activity.user_id
                AND (NOT is_host OR left_on IS NOT NULL)
                AND (NOT is_host OR left_on < activity.date)
        )
""")
_WEEKS = sql.SQL("""
    SELECT date_trunc('week', date)::date AS period, user_id, {measure} AS measured
    FROM rewards_dailyactivity AS activity
    WHERE date BETWEEN {first} AND {last}
        AND NOT EXISTS (
            SELECT FROM rewards_user
            WHERE id = activity.user_id
                AND (NOT is_host OR left_on IS NOT NULL)
                AND (NOT is_host OR left_on < date_trunc('week', activity.date)::date + 6)
        )
    GROUP BY 1, 2
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
        SELECT period, measured, count(*) FROM ({each}) AS each GROUP BY 1, 2 ORDER BY 1, 2
    """).format(each=_each(cadence, measure, first, last))
    with connection.cursor() as cursor:
        cursor.execute(query.as_string())
        return [Measured(*row) for row in cursor]


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
    """).format(each=_each(cadence, measure, first, last), counts=list(counts), shown=shown)
    with connection.cursor() as cursor:
        cursor.execute(query.as_string())
        rows = cursor.fetchall()
    return Reached(rows[0][0] if rows else 0, tuple(Often(*host) for _, *host in rows))


def _each(cadence: Cadence, measure: str, first: date, last: date) -> sql.Composed:
    """Return the query of (period, user_id, measured) for each host."""
    if cadence == Cadence.WEEKLY:
        return _WEEKS.format(measure=_OF_WEEK[measure], first=first, last=last)
    return _DAYS.format(measure=_OF_DAY[measure], first=first, last=last)
