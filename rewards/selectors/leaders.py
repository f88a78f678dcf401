"""Who has earned most. Of equals, whoever has been known for longer comes first."""

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from django.db.models import Count, Sum

from rewards.models import ScoreHistory


class Leader(NamedTuple):
    """A host, and what it was paid for the days asked about."""

    user: int
    points: int
    awards: int


def leaders(*, first: date, last: date, limit: int) -> list[Leader]:
    """Return the hosts that were paid most for `first`..`last`, the most first."""
    sums = (
        ScoreHistory.objects.in_days(first, last)
        .values_list("user_id")
        .annotate(all_points=Sum("points"), awards=Count("*"))
        .order_by("-all_points", "user_id")
    )
    return [Leader(*row) for row in sums[:limit]]


def ranking(*, first: date, last: date) -> Iterator[tuple[str | None, int, int]]:
    """Yield (external id, points, awards) of all hosts paid for `first`..`last`, as leaders."""
    sums = (
        ScoreHistory.objects.in_days(first, last)
        .values_list("user_id", "user__external_id")
        .annotate(all_points=Sum("points"), awards=Count("*"))
        .order_by("-all_points", "user_id")
    )
    for _, external_id, points, awards in sums.iterator(chunk_size=10_000):
        yield external_id, points, awards
