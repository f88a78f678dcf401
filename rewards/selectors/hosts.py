"""One host: its activity, its awards, and the runs that evaluated it."""

import re
from collections.abc import Collection, Sequence
from datetime import date, datetime

from django.db import connection
from django.db.models import Max, Q

from rewards.choices import ADJUSTMENT, ActivityKind, BatchStatus, Cadence, RunKind
from rewards.engine.business_days import ONE_DAY
from rewards.engine.periods import Period
from rewards.exceptions import UnknownHost
from rewards.models import (
    ActivityEvent,
    AwardBatch,
    AwardRun,
    DailyActivity,
    Host,
    ScoreHistory,
    User,
)
from rewards.models.user import EXTERNAL_ID_PATTERN
from rewards.selectors.scope import Scope

MAX_STREAK = 366
"""Active days in a row are counted up to this number."""


def user_by_external_id(*, external_id: str) -> User | None:
    return User.objects.filter(external_id=external_id).first()


def host_by_external_id(*, external_id: str, scope: Scope) -> Host:
    """Return the host with its score. Raises UnknownHost, with the same words for every reason."""
    # No host has an id that the database would refuse as a parameter, such as one with a NUL.
    host = (
        Host.objects.select_related("score").filter(external_id=external_id).first()
        if re.fullmatch(EXTERNAL_ID_PATTERN, external_id)
        else None
    )
    if host is None:
        raise unknown_host(external_id)
    return host


def unknown_host(external_id: str) -> UnknownHost:
    return UnknownHost(f"No host has the external id {external_id!a:.80}.")


def hosts_named(*, name: str, limit: int) -> list[int]:
    """Return the ids of the first `limit` hosts whose name begins with `name`.

    Case-insensitive prefix search. One word matches either name; with several, the first must
    match the first name and the last one the last name.
    """
    words = name.split()
    # The indexes leave out empty names, and serve only a query that does so too.
    first = ~Q(first_name="") & Q(first_name__istartswith=words[0])
    last = ~Q(last_name="") & Q(last_name__istartswith=words[-1])
    named = Host.objects.filter(first & last if len(words) > 1 else first | last)
    return list(named.order_by("pk").values_list("pk", flat=True)[:limit])


def activity_of_host(*, user: int, days: Collection[date]) -> dict[date, DailyActivity]:
    """Return the activity of the host on those of `days` on which it was active, latest first."""
    # The index begins with the date, so that a list of dates is one look-up for each of them.
    rows = DailyActivity.objects.filter(user_id=user, date__in=days).order_by("-date")
    return {row.date: row for row in rows}


def awards_of_host(*, user: int, reference_dates: Collection[date]) -> list[ScoreHistory]:
    """Return the host's awards for these dates, latest first, with version and run."""
    return list(
        ScoreHistory.objects.filter(user_id=user, reference_date__in=reference_dates)
        .select_related("rule", "run")
        .order_by("-reference_date", "rule_type")
    )


def awarded_rules(*, user: int, reference_dates: Collection[date]) -> set[tuple[str, date]]:
    """Return (rule type, reference date) of the host's awards for these dates that stand."""
    entries = (
        ScoreHistory.objects.filter(user_id=user, reference_date__in=reference_dates)
        .exclude(rule_type=ADJUSTMENT)
        .values_list("rule_type", "reference_date")
        .annotate(last_entry=Max("entry"))
    )
    # An undo has an odd entry.
    return {(rule_type, day) for rule_type, day, entry in entries if entry % 2 == 0}


def streak_of_host(*, user: int, today: date) -> int:
    """Return the number of active days in a row up to today, MAX_STREAK at most.

    While the host has not been active today, up to yesterday.
    """
    # Each step is one look-up in the index of days. LIMIT keeps it from becoming a join.
    sql = """
        WITH RECURSIVE streak (date, days) AS (
            (
                SELECT date, 1 FROM rewards_dailyactivity
                WHERE user_id = %(user)s AND date IN (%(today)s, %(yesterday)s)
                ORDER BY date DESC LIMIT 1
            )
            UNION ALL
            SELECT before.date, days + 1
            FROM streak CROSS JOIN LATERAL (
                SELECT date FROM rewards_dailyactivity
                WHERE user_id = %(user)s AND date = streak.date - 1 LIMIT 1
            ) AS before
            WHERE days < %(max)s
        )
        SELECT count(*) FROM streak
    """
    with connection.cursor() as cursor:
        cursor.execute(
            sql,
            {"user": user, "today": today, "yesterday": today - ONE_DAY, "max": MAX_STREAK},
        )
        (days,) = cursor.fetchone()
    return int(days)


def events_in(
    *, user: int, days: Collection[date], windows: Sequence[tuple[datetime, datetime]], limit: int
) -> list[ActivityEvent]:
    """Return the first `limit` events of the host on `days` within one of `windows`, in order.

    A window is half-open: `[start, end)`.
    """
    within = Q()
    for start, end in windows:
        within |= Q(occurred_at__gte=start, occurred_at__lt=end)
    events = ActivityEvent.objects.filter(within, user_id=user, business_date__in=days)
    return list(events.order_by("occurred_at", "pk")[:limit])


def short_calls(
    *, user: int, days: Collection[date], min_seconds: int, limit: int
) -> list[ActivityEvent]:
    """Return the first `limit` calls of the host on `days` that were too short to count."""
    calls = ActivityEvent.objects.filter(
        user_id=user, business_date__in=days, duration_seconds__lt=min_seconds
    ).exclude(kind=ActivityKind.LOGIN)
    return list(calls.order_by("occurred_at", "pk")[:limit])


def late_events(
    *, user: int, days: Collection[date], since: datetime, limit: int
) -> list[ActivityEvent]:
    """Return the last `limit` events of the host on `days` that were received from `since` on."""
    events = ActivityEvent.objects.filter(
        user_id=user, business_date__in=days, received_at__gte=since
    )
    return list(events.order_by("-received_at", "-pk")[:limit])


def last_runs(*, periods: Collection[Period]) -> dict[Cadence, AwardRun]:
    """Return the latest award run of each of `periods`, of which at most one is of each cadence."""
    wanted = Q()
    for period in periods:
        wanted |= Q(cadence=period.cadence, reference_date=period.reference_date)
    runs = (
        AwardRun.objects.filter(wanted, kind=RunKind.AWARD)
        .order_by("cadence", "-attempt")
        .distinct("cadence")
    )
    return {Cadence(run.cadence): run for run in runs}


def failed_batches(*, user: int, runs: Collection[AwardRun]) -> dict[int, AwardBatch]:
    """Return run id -> the failed batch of the host, for those of `runs` that have one."""
    batches = AwardBatch.objects.filter(
        run__in=runs, status=BatchStatus.FAILED, after_user__lt=user, through_user__gte=user
    )
    return {batch.run_id: batch for batch in batches}
