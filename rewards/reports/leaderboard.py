"""The hosts with the most points, over a week or any days."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from rewards.engine.business_days import monday_of, sunday_of
from rewards.models import User
from rewards.selectors.leaders import (
    MAX_LEADERS,
    leaders,
    leaders_by_journal,
    points_of_hosts,
)
from rewards.selectors.time_limits import query_time_limit

__all__ = ["MAX_LEADERS", "LeaderboardRow", "leaderboard", "ranking"]

LEADERBOARD_TIMEOUT_MS = 15_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderboardRow:
    """A host, its points, and its place in their order."""

    rank: int
    user_id: int
    external_id: str
    points: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def leaderboard(*, first: date, last: date, limit: int = MAX_LEADERS) -> list[LeaderboardRow]:
    """Return the first `limit` hosts by their points for `first`..`last`, MAX_LEADERS at most.

    A whole week is read from the run journal. Other days are added up from the ledger, within
    LEADERBOARD_TIMEOUT_MS. Raises QueryTimedOut.
    """
    if first == monday_of(first) and last == sunday_of(first):
        found = leaders_by_journal(monday=first)[:limit]
    else:
        with query_time_limit(milliseconds=LEADERBOARD_TIMEOUT_MS):
            found = leaders(first=first, last=last, limit=limit)
    users = User.objects.in_bulk([user for user, _ in found])
    return [
        LeaderboardRow(rank=rank, user_id=user, external_id=str(users[user]), points=points)
        for rank, (user, points) in enumerate(found, start=1)
    ]


def ranking(*, first: date, last: date) -> Iterator[LeaderboardRow]:
    """Yield a row for every host with awards for `first`..`last`; without a time limit."""
    rows = points_of_hosts(first=first, last=last)
    for rank, (user_id, external_id, points) in enumerate(rows, start=1):
        yield LeaderboardRow(rank=rank, user_id=user_id, external_id=external_id, points=points)
