"""What hosts did."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import NamedTuple

from django.db import connection
from django.db.models import Sum

from rewards.models import ActivityEvent, ActivityTotal, DailyActivity
from rewards.rules import Facts


class Span(NamedTuple):
    """Host ids from `after_user`, excluded, to `through_user`, included."""

    after_user: int
    through_user: int
    hosts: int = 0
    """How many active ones there are in it, where that was counted."""


def spans_of_active_hosts(*, days: Sequence[date], size: int) -> list[Span]:
    """Return spans that tile the ids of all hosts active on `days`, each of `size` hosts.

    Ordered by id; the last span may hold fewer hosts.
    """
    # Each span begins where the one before ends, and reads no more of a day than fits into it.
    active = " UNION ALL ".join(
        [
            "(SELECT user_id FROM rewards_dailyactivity"
            " WHERE date = %s AND user_id > through_user ORDER BY user_id LIMIT %s)"
        ]
        * len(days)
    )
    sql = f"""
        WITH RECURSIVE spans (through_user, hosts) AS (
            VALUES (0::bigint, 0::bigint)
            UNION ALL
            SELECT next.* FROM spans CROSS JOIN LATERAL (
                SELECT max(user_id), count(*) AS hosts
                FROM (SELECT DISTINCT user_id FROM ({active}) AS active ORDER BY user_id LIMIT %s)
                    AS first
            ) AS next
            WHERE next.hosts > 0
        )
        SELECT * FROM spans
    """  # noqa: S608 - constants
    with connection.cursor() as cursor:
        cursor.execute(sql, [*(value for day in days for value in (day, size)), size])
        ends = cursor.fetchall()
    return [Span(after, through, hosts) for (after, _), (through, hosts) in pairwise(ends)]


def has_more_active_hosts(*, days: Sequence[date], than: int) -> bool:
    """Return whether more hosts than this were active, each counted once for each of `days`."""
    return DailyActivity.objects.filter(date__in=days)[: than + 1].count() > than


_OF_A_DAY = {
    "logins": "logins",
    "audio_calls": "audio_calls",
    "video_calls": "video_calls",
    "active_days": "1",
}
_OF_DAYS = {
    "logins": "sum(logins)",
    "audio_calls": "sum(audio_calls)",
    "video_calls": "sum(video_calls)",
    "active_days": "count(*)",
}


def hosts_by_facts(
    *, days: Sequence[date], span: Span, measures: Collection[str] = Facts._fields
) -> dict[Facts, list[int]]:
    """Return what was done on `days`, one business day or the seven of a week, and by whom.

    Hosts whose `measures` are the same are together; the facts that are not among them are left
    at 0. Only hosts of `span` who were active then and still earned on the last of the days,
    whatever has become of them since.
    """
    # A host has one row a day, so that a day has nothing to add up.
    counts, once_for_each_host = (
        (_OF_A_DAY, "") if len(days) == 1 else (_OF_DAYS, "GROUP BY user_id")
    )
    counted = ", ".join(
        counts[measure] if measure in measures else "0" for measure in Facts._fields
    )
    # Those who earn no longer are few, and have an index of their own, in which each host is looked
    # up by itself: a join would be planned by statistics that do not know of so new a day, and may
    # compare everyone with everyone.
    sql = f"""
        SELECT logins, audio_calls, video_calls, active_days, array_agg(user_id)
        FROM (
            SELECT user_id, {counted}
            FROM rewards_dailyactivity
            WHERE date = ANY(%(days)s) AND user_id > %(after)s AND user_id <= %(through)s
            {once_for_each_host}
        ) AS did (user_id, logins, audio_calls, video_calls, active_days)
        WHERE (
            SELECT true FROM rewards_user AS gone
            WHERE gone.id = user_id AND (NOT is_host OR left_on < %(last)s)
        ) IS NULL
        GROUP BY logins, audio_calls, video_calls, active_days
    """  # noqa: S608 - constants
    with connection.cursor() as cursor:
        cursor.execute(
            sql,
            {
                "days": list(days),
                "after": span.after_user,
                "through": span.through_user,
                "last": days[-1],
            },
        )
        return {
            Facts(logins, audio_calls, video_calls, active_days): hosts
            for logins, audio_calls, video_calls, active_days, hosts in cursor.fetchall()
        }


def counted_events(*, days: Sequence[date]) -> int:
    """Return how many logins and completed calls the days hold."""
    total = ActivityTotal.objects.filter(date__in=days).aggregate(total=Sum("events"))["total"]
    return total or 0


def event_time(*, source: str, event_id: str) -> datetime | None:
    """Return when an event of `source` occurred, or None when it is not stored."""
    return (
        ActivityEvent.objects.filter(source=source, event_id=event_id)
        .values_list("occurred_at", flat=True)
        .first()
    )


def events_by_day() -> dict[date, int]:
    """Return how many logins and completed calls each day holds that has any."""
    totals = ActivityTotal.objects.values("date").annotate(total=Sum("events"))
    return dict(totals.filter(total__gt=0).values_list("date", "total"))


def events_across_time(*, number: int) -> list[tuple[datetime, date]]:
    """Return (occurred_at, business date) of up to `number` events, evenly from all stored."""
    sql = """
        WITH ids AS (SELECT min(id) AS first, max(id) AS last FROM rewards_activityevent)
        SELECT DISTINCT ON (event.id) event.occurred_at, event.business_date
        FROM ids,
            generate_series(first, last, greatest((last - first) / %s, 1)) AS at,
            LATERAL (
                SELECT id, occurred_at, business_date FROM rewards_activityevent
                WHERE id >= at ORDER BY id LIMIT 1
            ) AS event
        LIMIT %s
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, [number, number])
        return [(at, day) for at, day in cursor]
