"""The hosts with the most points. Of hosts with equal points, the one known for longer leads."""

from collections.abc import Iterator
from datetime import date

from django.db.models import Exists, F, QuerySet, Sum

from rewards.choices import RunStatus
from rewards.engine.business_days import sunday_of
from rewards.models import AwardRun, Score, ScoreHistory

MAX_LEADERS = 100
"""Hosts that a run records as the leaders of its week."""

UserPoints = tuple[int, int]
"""User id and points."""


def leaders(*, first: date, last: date, limit: int) -> list[UserPoints]:
    """Return the hosts with the most points for `first`..`last`, in order of points."""
    sums = (
        ScoreHistory.objects.in_days(first, last)
        .values_list("user_id")
        .annotate(all_points=Sum("points"))
        .order_by("-all_points", "user_id")
    )
    return list(sums[:limit])


def leaders_of_week(*, monday: date, limit: int) -> list[UserPoints]:
    """Return the leaders of the week of `monday`: from the scores, while they are of that week.

    Once a later day has a run, some scores are of a later week, and the ledger is added up.
    """
    later = AwardRun.objects.filter(reference_date__gt=sunday_of(monday))
    scores = (
        Score.objects.filter(~Exists(later), week_start=monday, weekly__gt=0)
        .order_by("-weekly", "user_id")
        .values_list("user_id", "weekly")
    )
    return list(scores[:limit]) or leaders(first=monday, last=sunday_of(monday), limit=limit)


def leaders_by_journal(*, monday: date) -> list[UserPoints]:
    """Return the leaders of the week of `monday` that its last finished run recorded."""
    run = (
        AwardRun.objects.filter(reference_date__range=(monday, sunday_of(monday)))
        .exclude(status=RunStatus.RUNNING)
        .order_by("-finished_at", "-pk")
        .values_list("leaders", flat=True)
        .first()
    )
    return [(user, points) for user, points in run or []]


def awarded_hosts(*, first: date, last: date) -> QuerySet[ScoreHistory, int]:
    """Return the ids of the hosts with awards for `first`..`last`, each once."""
    return ScoreHistory.objects.in_days(first, last).values_list("user_id", flat=True).distinct()


def points_of_hosts(*, first: date, last: date) -> Iterator[tuple[int, str, int]]:
    """Yield (user id, external id, points) of all hosts with awards, in the order of leaders."""
    sums = (
        ScoreHistory.objects.in_days(first, last)
        .values("user_id", external_id=F("user__external_id"))
        .annotate(all_points=Sum("points"))
        .order_by("-all_points", "user_id")
        .values_list("user_id", "external_id", "all_points")
    )
    yield from sums.iterator(chunk_size=10_000)
