"""The hosts with the most points. Of hosts with equal points, the one known for longer leads."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import NamedTuple

from django.db import connection
from django.db.models import Exists, F, QuerySet, Sum
from django.db.models.functions import Coalesce

from rewards.choices import RunKind
from rewards.engine.business_days import sunday_of
from rewards.models import AwardRun, Score, ScoreHistory
from rewards.selectors.pages import Page, page_of
from rewards.selectors.visible_hosts import VisibleHosts

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


class RecordedLeaders(NamedTuple):
    """The leaders of a week, as a run recorded them."""

    leaders: list[UserPoints]
    as_of: datetime | None
    """When the run ended or, if it is live, was added up; None without a run."""


def recorded_leaders(*, monday: date, visible: VisibleHosts) -> RecordedLeaders:
    """Return the leaders of the week of `monday` that were recorded last."""
    run = (
        AwardRun.objects.filter(reference_date__range=(monday, sunday_of(monday)))
        .exclude(kind=RunKind.UNDO)
        .annotate(recorded_at=Coalesce("counted_at", "finished_at"))
        .filter(recorded_at__isnull=False)
        .order_by("-recorded_at", "-pk")
        .values_list("leaders", "recorded_at")
        .first()
    )
    recorded, as_of = run or ([], None)
    return RecordedLeaders([(user, points) for user, points in recorded], as_of)


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


class LeaderKey(NamedTuple):
    """The place of a host in the order of leaders."""

    points: int
    user_id: int
    rank: int


class Leader(NamedTuple):
    """A host, its points, and its place in their order."""

    key: LeaderKey
    external_id: str


def ranking_page(
    *, monday: date, after: LeaderKey | None, limit: int, visible: VisibleHosts
) -> Page[Leader, LeaderKey]:
    """Return `limit` of the hosts with awards of a week, in the order of leaders, after a place.

    The ledger of the week is added up for each page.
    """
    key = "(-sum(points), user_id) > (%(points)s, %(user)s)"
    sql = f"""
        SELECT all_points, user_id, external_id
        FROM (
            SELECT user_id, sum(points)::bigint AS all_points FROM rewards_scorehistory
            WHERE reference_date BETWEEN %(first)s AND %(last)s
            GROUP BY user_id HAVING {key if after else "true"}
            ORDER BY all_points DESC, user_id LIMIT %(limit)s
        ) AS sums
        JOIN rewards_user ON id = user_id
        ORDER BY all_points DESC, user_id
    """  # noqa: S608 - constants
    parameters: dict[str, date | int | None] = {
        "first": monday,
        "last": sunday_of(monday),
        "limit": limit + 1,
        "points": -after.points if after else None,
        "user": after.user_id if after else None,
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows = cursor.fetchall()
    first_rank = after.rank + 1 if after else 1
    ranked = [
        Leader(LeaderKey(points, user, rank), external_id)
        for rank, (points, user, external_id) in enumerate(rows, start=first_rank)
    ]
    return page_of(ranked, limit=limit, key=lambda leader: leader.key)
