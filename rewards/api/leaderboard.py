"""The hosts with the most points of a week."""

import datetime as dt

from django.http import JsonResponse
from django.utils import timezone
from ninja import Field, Router, Schema

from rewards.api.authentication import ApiRequest, KeyWith
from rewards.api.paging import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    ReferenceDate,
    invalid,
    page_response,
    read_cursor,
    refuse_other_parameters,
)
from rewards.engine.business_days import monday_of
from rewards.reports.leaderboard import LeaderKey, week_leaders
from rewards.selectors.time_zone import business_date

router = Router(tags=["leaderboard"])


class LeaderboardHost(Schema):
    rank: int
    user_id: str
    points: int


class Leaderboard(Schema):
    week: dt.date = Field(description="The Monday of the week.")
    open: bool = Field(description="Whether the week has not ended.")
    as_of: dt.datetime | None = Field(
        description="When the ranking was true; null before the first run of the open week."
    )
    hosts: list[LeaderboardHost]
    next: str | None = Field(description="The cursor of the next page; null on the last page.")


@router.get(
    "",
    auth=KeyWith("scores:read"),
    response=Leaderboard,
    summary="Rank the hosts of a week",
)
def leaderboard(
    request: ApiRequest,
    week: ReferenceDate,
    cursor: Cursor = "",
    limit: Limit = DEFAULT_LIMIT,
) -> JsonResponse:
    """The first 100 hosts of the open week, or all hosts with awards of a week that has ended.

    Hosts with equal points are ranked too: the one known for longer comes first.
    """
    refuse_other_parameters(request, "week", "cursor", "limit")
    now = timezone.now()
    this_week = monday_of(business_date(now))
    if week != monday_of(week):
        raise invalid("week", f"Bad week: {week} is not a Monday; use {monday_of(week)}.")
    if week > this_week:
        raise invalid("week", f"The week of {week} has not begun.")
    of = f"{request.path}?week={week}"
    found = week_leaders(
        monday=week,
        after=read_cursor(cursor, LeaderKey, of=of),
        limit=limit,
        now=now,
        visible=request.auth.visible,
    )
    return page_response(found.to_dict(), found.next, of=of)
