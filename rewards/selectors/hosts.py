"""One host: its activity, its awards, and the runs that evaluated it."""

import re
from collections.abc import Collection, Sequence
from datetime import date, datetime

from django.db.models import Q

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
    Score,
    ScoreHistory,
    User,
)
from rewards.models.user import EXTERNAL_ID_PATTERN
from rewards.selectors.prepared import fetch_prepared, loaded
from rewards.selectors.visible_hosts import VisibleHosts

MAX_STREAK = 366
"""Active days in a row are counted up to this number."""

# What the app asks most often is prepared: through the ORM, a GET of a host takes twice as long.

_HOST_COLUMNS = ("id", "external_id", "username", "first_name", "last_name", "is_host", "left_on")
_SCORE_COLUMNS = ("user_id", "lifetime", "daily", "daily_date", "weekly", "week_start")

_HOST = """
    SELECT host.id, external_id, username, first_name, last_name, is_host, left_on,
        user_id, lifetime, daily, daily_date, weekly, week_start
    FROM rewards_user AS host LEFT JOIN rewards_score AS score ON score.user_id = host.id
    WHERE external_id = %(external_id)s AND is_host
"""

_ACTIVITY_COLUMNS = (
    "id", "user_id", "date", "logins", "audio_calls", "video_calls", "audio_seconds",
    "video_seconds",
)  # fmt: skip

# The index begins with the date, so that a list of dates is one look-up for each of them.
_ACTIVITY = """
    SELECT id, user_id, date, logins, audio_calls, video_calls, audio_seconds, video_seconds
    FROM rewards_dailyactivity
    WHERE user_id = %(user)s AND date = ANY(%(days)s)
    ORDER BY date DESC
"""

# An undo has an odd entry.
_AWARDED = """
    SELECT rule_type, reference_date FROM rewards_scorehistory
    WHERE user_id = %(user)s AND reference_date = ANY(%(dates)s)
    AND rule_type <> %(adjustment)s
    GROUP BY rule_type, reference_date HAVING max(entry) %% 2 = 0
"""

# Each step is one look-up in the index of days. LIMIT keeps it from becoming a join.
_STREAK = """
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


def user_by_external_id(*, external_id: str) -> User | None:
    return User.objects.filter(external_id=external_id).first()


def host_by_external_id(*, external_id: str, visible: VisibleHosts) -> Host:
    """Return the host with its score. Raises UnknownHost, with the same words for every reason."""
    # No host has an id that the database would refuse as a parameter, such as one with a NUL.
    is_possible = re.fullmatch(EXTERNAL_ID_PATTERN, external_id)
    for row in fetch_prepared(_HOST, {"external_id": external_id}) if is_possible else ():
        of_host, of_score = row[: len(_HOST_COLUMNS)], row[len(_HOST_COLUMNS) :]
        host = loaded(Host, _HOST_COLUMNS, of_host)
        if of_score[0] is not None:
            host.score = loaded(Score, _SCORE_COLUMNS, of_score)
        else:
            Host._meta.get_field("score").set_cached_value(host, None)
        return host
    raise unknown_host(external_id)


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
    rows = fetch_prepared(_ACTIVITY, {"user": user, "days": list(days)})
    found = [loaded(DailyActivity, _ACTIVITY_COLUMNS, row) for row in rows]
    return {activity.date: activity for activity in found}


def awards_of_host(*, user: int, reference_dates: Collection[date]) -> list[ScoreHistory]:
    """Return the host's awards for these dates, latest first, with version and run."""
    return list(
        ScoreHistory.objects.filter(user_id=user, reference_date__in=reference_dates)
        .select_related("rule", "run")
        .order_by("-reference_date", "rule_type", "entry")
    )


def awarded_rules(*, user: int, reference_dates: Collection[date]) -> set[tuple[str, date]]:
    """Return (rule type, reference date) of the host's awards for these dates that stand."""
    parameters = {"user": user, "dates": list(reference_dates), "adjustment": ADJUSTMENT}
    return {(rule_type, day) for rule_type, day in fetch_prepared(_AWARDED, parameters)}


def streak_of_host(*, user: int, today: date) -> int:
    """Return the number of active days in a row up to today, MAX_STREAK at most.

    While the host has not been active today, up to yesterday.
    """
    ((days,),) = fetch_prepared(
        _STREAK, {"user": user, "today": today, "yesterday": today - ONE_DAY, "max": MAX_STREAK}
    )
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
