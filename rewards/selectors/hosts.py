"""One host: what it did, what it was paid, and by which runs."""

from collections.abc import Collection, Sequence
from datetime import date, datetime

from django.db.models import Q

from rewards.choices import ActivityKind, BatchStatus, Cadence
from rewards.models import (
    ActivityEvent,
    AwardBatch,
    AwardRun,
    DailyActivity,
    Host,
    ScoreHistory,
    User,
)


def user_named(*, external_id: str) -> User | None:
    """Return whoever the app knows by this key."""
    return User.objects.filter(external_id=external_id).first()


def hosts_named(*, name: str, most: int) -> list[int]:
    """Return the first `most` hosts whose first or last name begins so, in any case.

    Of two words and more, the first name begins with the first and the last name with the last.
    """
    words = name.split()
    # The indexes leave out empty names, and serve only a query that does so too.
    first = ~Q(first_name="") & Q(first_name__istartswith=words[0])
    last = ~Q(last_name="") & Q(last_name__istartswith=words[-1])
    named = Host.objects.filter(first & last if len(words) > 1 else first | last)
    return list(named.order_by("pk").values_list("pk", flat=True)[:most])


def activity_of_host(*, user: int, days: Collection[date]) -> dict[date, DailyActivity]:
    """Return what the host did on those of `days` on which it was active, latest first.

    Days are named one by one, since the index begins with the day: each is one step into it.
    """
    rows = DailyActivity.objects.filter(user_id=user, date__in=days).order_by("-date")
    return {row.date: row for row in rows}


def awards_of_host(*, user: int, reference_dates: Collection[date]) -> list[ScoreHistory]:
    """Return the host's awards of these dates, latest first, with version and run."""
    return list(
        ScoreHistory.objects.filter(user_id=user, reference_date__in=reference_dates)
        .select_related("rule", "run")
        .order_by("-reference_date", "rule_type")
    )


def events_in(
    *, user: int, days: Collection[date], windows: Sequence[tuple[datetime, datetime]], most: int
) -> list[ActivityEvent]:
    """Return the first `most` events of the host on `days` within one of `windows`, in order.

    A window is half-open.
    """
    within = Q()
    for start, end in windows:
        within |= Q(occurred_at__gte=start, occurred_at__lt=end)
    events = ActivityEvent.objects.filter(within, user_id=user, business_date__in=days)
    return list(events.order_by("occurred_at", "pk")[:most])


def short_calls(
    *, user: int, days: Collection[date], min_seconds: int, most: int
) -> list[ActivityEvent]:
    """Return the first `most` calls of the host on `days` that were too short to count."""
    calls = ActivityEvent.objects.filter(
        user_id=user, business_date__in=days, duration_seconds__lt=min_seconds
    ).exclude(kind=ActivityKind.LOGIN)
    return list(calls.order_by("occurred_at", "pk")[:most])


def late_events(
    *, user: int, days: Collection[date], since: datetime, most: int
) -> list[ActivityEvent]:
    """Return the last `most` events of the host on `days` to be received from `since` on."""
    events = ActivityEvent.objects.filter(
        user_id=user, business_date__in=days, received_at__gte=since
    )
    return list(events.order_by("-received_at", "-pk")[:most])


def last_runs(*, periods: Collection[tuple[Cadence, date]]) -> dict[Cadence, AwardRun]:
    """Return the latest run of each of `periods`, one for a cadence at most."""
    wanted = Q()
    for cadence, reference_date in periods:
        wanted |= Q(cadence=cadence, reference_date=reference_date)
    runs = AwardRun.objects.filter(wanted).order_by("cadence", "-attempt").distinct("cadence")
    return {Cadence(run.cadence): run for run in runs}


def failed_batches(*, user: int, runs: Collection[AwardRun]) -> dict[int, AwardBatch]:
    """Return, for each of `runs` that could not evaluate the host, the span that failed."""
    batches = AwardBatch.objects.filter(
        run__in=runs, status=BatchStatus.FAILED, after_user__lt=user, through_user__gte=user
    )
    return {batch.run_id: batch for batch in batches}
