"""Activity of hosts."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import NamedTuple

from django.db import connection
from django.db.models import Sum

from rewards.choices import Cadence
from rewards.engine.values import Facts
from rewards.models import ActivityEvent, ActivityTotal, DailyActivity
from rewards.selectors.eligibility import LAST_ELIGIBLE_DAYS
from rewards.selectors.metrics import METRIC_SQL


class IdRange(NamedTuple):
    """Host ids from `after_user`, excluded, to `through_user`, included."""

    after_user: int
    through_user: int
    hosts: int = 0
    """Hosts in the range that were active, where that was counted."""


def id_ranges_of_active_hosts(*, days: Sequence[date], size: int) -> list[IdRange]:
    """Return ranges that hold all hosts active on `days`, `size` hosts each, in order of id.

    The last range may hold fewer.
    """
    # Each range starts where the last one ends, and reads no more rows of a day than it needs.
    active = " UNION ALL ".join(
        [
            "(SELECT user_id FROM rewards_dailyactivity"
            " WHERE date = %s AND user_id > through_user ORDER BY user_id LIMIT %s)"
        ]
        * len(days)
    )
    sql = f"""
        WITH RECURSIVE id_ranges (through_user, hosts) AS (
            VALUES (0::bigint, 0::bigint)
            UNION ALL
            SELECT next.* FROM id_ranges CROSS JOIN LATERAL (
                SELECT max(user_id), count(*) AS hosts
                FROM (SELECT DISTINCT user_id FROM ({active}) AS active ORDER BY user_id LIMIT %s)
                    AS first
            ) AS next
            WHERE next.hosts > 0
        )
        SELECT * FROM id_ranges
    """  # noqa: S608 - constants
    parameters: list[date | int] = []
    for day in days:
        parameters += [day, size]
    with connection.cursor() as cursor:
        cursor.execute(sql, [*parameters, size])
        ends = cursor.fetchall()
    return [IdRange(after, through, hosts) for (after, _), (through, hosts) in pairwise(ends)]


def has_more_active_hosts(*, days: Sequence[date], than: int) -> bool:
    """Return whether more hosts were active, each counted once for each of `days`."""
    return DailyActivity.objects.filter(date__in=days)[: than + 1].count() > than


def users_by_facts(
    *, days: Sequence[date], id_range: IdRange, metrics: Collection[str] = Facts._fields
) -> dict[Facts, list[int]]:
    """Return facts -> ids of the hosts who have them for `days`, a business day or a week.

    Only hosts of `id_range` who were active, and were eligible on the last day. Facts that are
    not among `metrics` are 0.
    """
    cadence, grouping = (
        (Cadence.DAILY, "") if len(days) == 1 else (Cadence.WEEKLY, "GROUP BY user_id")
    )
    columns = METRIC_SQL[cadence]
    selected = ", ".join([columns[m] if m in metrics else "0" for m in Facts._fields])
    # Each host is looked up in the small index of users whose eligibility ends. A join would be
    # planned without statistics of so recent a day, and could become a nested scan.
    sql = f"""
        SELECT logins, audio_calls, video_calls, active_days, array_agg(user_id)
        FROM (
            SELECT user_id, {selected}
            FROM rewards_dailyactivity
            WHERE date = ANY(%(days)s) AND user_id > %(after)s AND user_id <= %(through)s
            {grouping}
        ) AS activity (user_id, logins, audio_calls, video_calls, active_days)
        WHERE (
            SELECT true FROM {LAST_ELIGIBLE_DAYS} AS ending
            WHERE ending.user_id = activity.user_id AND last_eligible_day < %(last_day)s
        ) IS NULL
        GROUP BY logins, audio_calls, video_calls, active_days
    """  # noqa: S608 - constants
    with connection.cursor() as cursor:
        cursor.execute(
            sql,
            {
                "days": list(days),
                "after": id_range.after_user,
                "through": id_range.through_user,
                "last_day": days[-1],
            },
        )
        return {Facts._make(facts): users for *facts, users in cursor.fetchall()}


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
            generate_series(first, last, (last - first) / %s + 1) AS at,
            LATERAL (
                SELECT id, occurred_at, business_date FROM rewards_activityevent
                WHERE id >= at ORDER BY id LIMIT 1
            ) AS event
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, [number])
        rows: list[tuple[datetime, date]] = cursor.fetchall()
        return rows
