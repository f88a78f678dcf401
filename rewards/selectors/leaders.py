"""Who has earned most. Of equals, whoever has been known for longer comes first."""

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from django.db.models import Exists, F, QuerySet, Sum

from rewards.choices import RunStatus
from rewards.engine.business_days import sunday_of
from rewards.models import AwardRun, Score, ScoreHistory


class Leader(NamedTuple):
    """A host, and what it was paid for the days asked about."""

    user: int
    points: int


class HostPoints(NamedTuple):
    """A host by the name that the app knows, and what it was paid."""

    external_id: str
    points: int


def leaders(*, first: date, last: date, limit: int) -> list[Leader]:
    """Return the hosts that were paid most for `first`..`last`, the most first."""
    sums = (
        ScoreHistory.objects.in_days(first, last)
        .values_list("user_id")
        .annotate(all_points=Sum("points"))
        .order_by("-all_points", "user_id")
    )
    return [Leader(*row) for row in sums[:limit]]


def leaders_of_week(*, monday: date, limit: int) -> list[Leader]:
    """Return the leaders of the week of `monday`: from the scores, while they are of that week.

    Once a later day has a run, some scores are of a later week, and the ledger is added up.
    """
    later = AwardRun.objects.filter(reference_date__gt=sunday_of(monday))
    scores = (
        Score.objects.filter(~Exists(later), week_start=monday, weekly__gt=0)
        .order_by("-weekly", "user_id")
        .values_list("user_id", "weekly")
    )
    found = [Leader(*row) for row in scores[:limit]]
    return found or leaders(first=monday, last=sunday_of(monday), limit=limit)


def leaders_by_journal(*, monday: date) -> list[Leader]:
    """Return the leaders of the week of `monday` as its latest run to end has noted them."""
    run = (
        AwardRun.objects.filter(reference_date__range=(monday, sunday_of(monday)))
        .exclude(status=RunStatus.RUNNING)
        .order_by("-finished_at", "-pk")
        .values_list("leaders", flat=True)
        .first()
    )
    return [Leader(*row) for row in run or []]


def paid_hosts(*, first: date, last: date) -> QuerySet[ScoreHistory, int]:
    """Return the ids of the hosts that were paid for `first`..`last`, each once."""
    return ScoreHistory.objects.in_days(first, last).values_list("user_id", flat=True).distinct()


def ranking(*, first: date, last: date) -> Iterator[HostPoints]:
    """Yield all hosts that were paid for `first`..`last`, in the order of leaders."""
    sums = (
        ScoreHistory.objects.in_days(first, last)
        .values("user_id", external_id=F("user__external_id"))
        .annotate(all_points=Sum("points"))
        .order_by("-all_points", "user_id")
        .values_list("external_id", "all_points")
    )
    for row in sums.iterator(chunk_size=10_000):
        yield HostPoints(*row)
