"""The hosts with the most points, over a week or any days."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from rewards.engine.business_days import monday_of, sunday_of
from rewards.models import User
from rewards.selectors.leaders import (
    MAX_LEADERS,
    LeaderKey,
    UserPoints,
    leaders,
    points_of_hosts,
    ranking_page,
    recorded_leaders,
)
from rewards.selectors.time_limits import query_time_limit
from rewards.selectors.time_zone import business_date
from rewards.selectors.visible_hosts import ALL_HOSTS, VisibleHosts

__all__ = [
    "MAX_LEADERS",
    "LeaderKey",
    "Leaderboard",
    "LeaderboardRow",
    "WeekLeaders",
    "leaderboard",
    "ranking",
    "week_leaders",
]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaderboard:
    """The hosts with the most points, in order."""

    rows: list[LeaderboardRow]
    as_of: datetime | None
    """When a run has recorded them; None if they were added up now, or there are none."""


def leaderboard(*, first: date, last: date, limit: int = MAX_LEADERS) -> Leaderboard:
    """Return the first `limit` hosts by their points for `first`..`last`, MAX_LEADERS at most.

    A whole week is read from the run journal. Other days are added up from the ledger, within
    LEADERBOARD_TIMEOUT_MS. Raises QueryTimedOut.
    """
    if first == monday_of(first) and last == sunday_of(first):
        found, as_of = recorded_leaders(monday=first, visible=ALL_HOSTS)
    else:
        with query_time_limit(milliseconds=LEADERBOARD_TIMEOUT_MS):
            found, as_of = leaders(first=first, last=last, limit=limit), None
    return Leaderboard(rows=_named(found[:limit]), as_of=as_of)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeekLeaders:
    """Hosts of a week in the order of their points."""

    monday: date
    is_open: bool
    """Whether the week has not ended."""
    rows: tuple[LeaderboardRow, ...]
    as_of: datetime | None
    """When the rows were true; None while no run of the week has ended."""
    next: LeaderKey | None
    """Where the next page begins; None on the last page, and for the week that is open."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "week": self.monday.isoformat(),
            "open": self.is_open,
            "as_of": self.as_of and self.as_of.isoformat(),
            "hosts": [
                {"rank": row.rank, "user_id": row.external_id, "points": row.points}
                for row in self.rows
            ],
        }


def week_leaders(
    *, monday: date, after: LeaderKey | None, limit: int, now: datetime, visible: VisibleHosts
) -> WeekLeaders:
    """Return the leaders of a week, or a page of all its hosts with awards once it has ended.

    The leaders of the open week, MAX_LEADERS at most, are the first `limit` of those that its runs
    recorded last. A week that has ended is added up from the ledger, within
    LEADERBOARD_TIMEOUT_MS. Raises QueryTimedOut.
    """
    if monday >= monday_of(business_date(now)):
        recorded = recorded_leaders(monday=monday, visible=visible)
        rows = tuple(_named(recorded.leaders[:limit]))
        return WeekLeaders(monday=monday, is_open=True, rows=rows, as_of=recorded.as_of, next=None)
    with query_time_limit(
        milliseconds=LEADERBOARD_TIMEOUT_MS, work_mem="64MB", advice="ask again later"
    ):
        page = ranking_page(monday=monday, after=after, limit=limit, visible=visible)
    rows = tuple(
        LeaderboardRow(
            rank=key.rank, user_id=key.user_id, external_id=external_id, points=key.points
        )
        for key, external_id in page.rows
    )
    return WeekLeaders(monday=monday, is_open=False, rows=rows, as_of=now, next=page.next)


def ranking(*, first: date, last: date) -> Iterator[LeaderboardRow]:
    """Yield a row for every host with awards for `first`..`last`; without a time limit."""
    rows = points_of_hosts(first=first, last=last)
    for rank, (user_id, external_id, points) in enumerate(rows, start=1):
        yield LeaderboardRow(rank=rank, user_id=user_id, external_id=external_id, points=points)


def _named(found: Sequence[UserPoints]) -> list[LeaderboardRow]:
    """Return the rows of hosts that are in the order of their points. One query."""
    users = User.objects.in_bulk([user for user, _ in found])
    return [
        LeaderboardRow(rank=rank, user_id=user, external_id=str(users[user]), points=points)
        for rank, (user, points) in enumerate(found, start=1)
    ]
