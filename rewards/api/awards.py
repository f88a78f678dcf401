"""The ledger rows of a host."""

import datetime as dt
from typing import Literal

from django.http import JsonResponse
from django.utils import timezone
from ninja import Field, Router, Schema

from rewards.api.authentication import ApiRequest, KeyWith
from rewards.api.paging import (
    DEFAULT_LIMIT,
    Cursor,
    From,
    Limit,
    To,
    date_range,
    page_response,
    read_cursor,
    refuse_other_parameters,
)
from rewards.choices import RuleType
from rewards.reports.ledger import HostKey, awards_of_host
from rewards.selectors.time_zone import business_date

router = Router(tags=["awards"])


class LedgerRow(Schema):
    kind: Literal["award", "undo", "adjustment"]
    user_id: str
    rule_type: RuleType | None = Field(description="null for an adjustment.")
    reference_date: dt.date = Field(description="The business day, or the Monday of the week.")
    entry: int = Field(description="Numbers the rows of a host, rule type and reference date.")
    points: int = Field(description="Negative for an undo, or an adjustment that deducts.")
    measured: int | None = Field(description="The count that was evaluated.")
    threshold: int | None
    run: int | None = Field(description="The id of the run that wrote the row.")
    written_at: dt.datetime


class LedgerPage(Schema):
    awards: list[LedgerRow]
    next: str | None = Field(description="The cursor of the next page; null on the last page.")


@router.get(
    "/{path:user_id}/awards",
    auth=KeyWith("scores:read"),
    response=LedgerPage,
    summary="List the awards of a host",
)
def host_awards(
    request: ApiRequest,
    user_id: str,
    first: From = None,
    last: To = None,
    cursor: Cursor = "",
    limit: Limit = DEFAULT_LIMIT,
) -> JsonResponse:
    """The ledger rows of the host for up to 400 reference dates, the latest date first."""
    refuse_other_parameters(request, "from", "to", "cursor", "limit")
    first, last = date_range(first, last, today=business_date(timezone.now()))
    page = awards_of_host(
        external_id=user_id,
        first=first,
        last=last,
        after=read_cursor(cursor, HostKey, of=request.path),
        limit=limit,
        visible=request.auth.visible,
    )
    return page_response(page.to_dict(), page.next, of=request.path)
