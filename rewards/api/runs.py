"""The run journal, and what each run wrote."""

import datetime as dt

from django.http import JsonResponse
from django.utils import timezone
from ninja import Field, Router, Schema

from rewards.api.authentication import ApiRequest, KeyWith
from rewards.api.awards import LedgerPage
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
from rewards.choices import Cadence, RunKind, RunStatus, RunTrigger
from rewards.reports.journal import RunPlace, journal_page, journal_row
from rewards.reports.ledger import RunKey, awards_of_run
from rewards.selectors.time_zone import business_date

router = Router(tags=["runs"])


class RuleCounts(Schema):
    awards: int
    points: int


class Run(Schema):
    id: int
    kind: RunKind
    cadence: Cadence
    reference_date: dt.date = Field(description="The business day, or the Monday of the week.")
    attempt: int
    status: RunStatus
    trigger: RunTrigger
    started_at: dt.datetime
    finished_at: dt.datetime | None = Field(description="null while the run is open.")
    counted_at: dt.datetime | None = Field(
        description="When the counts of a live run were added up last."
    )
    hosts_evaluated: int = Field(
        description="The counts are 0 while the run is open, unless it is live."
    )
    hosts_rewarded: int
    hosts_failed: int
    awards: int = Field(description="Negative for an undo, as are its points.")
    points: int
    by_rule: dict[str, RuleCounts] = Field(description="The awards of each rule type.")


class RunPage(Schema):
    runs: list[Run]
    next: str | None = Field(description="The cursor of the next page; null on the last page.")


@router.get("", auth=KeyWith("scores:read"), response=RunPage, summary="List the runs")
def runs(
    request: ApiRequest,
    first: From = None,
    last: To = None,
    cursor: Cursor = "",
    limit: Limit = DEFAULT_LIMIT,
) -> JsonResponse:
    """The runs for up to 400 reference dates, the latest date first."""
    refuse_other_parameters(request, "from", "to", "cursor", "limit")
    first, last = date_range(first, last, today=business_date(timezone.now()))
    page = journal_page(
        first=first,
        last=last,
        after=read_cursor(cursor, RunPlace, of=request.path),
        limit=limit,
        visible=request.auth.visible,
    )
    return page_response(page.to_dict(), page.next, of=request.path)


@router.get("/{int:run_id}", auth=KeyWith("scores:read"), response=Run, summary="Show a run")
def run(request: ApiRequest, run_id: int) -> JsonResponse:
    """A row of the run journal."""
    refuse_other_parameters(request)
    return JsonResponse(journal_row(run=run_id, visible=request.auth.visible).to_dict())


@router.get(
    "/{int:run_id}/awards",
    auth=KeyWith("scores:read"),
    response=LedgerPage,
    summary="List the awards of a run",
)
def run_awards(
    request: ApiRequest, run_id: int, cursor: Cursor = "", limit: Limit = DEFAULT_LIMIT
) -> JsonResponse:
    """The ledger rows that the run wrote, by host, rule type and entry, each once."""
    refuse_other_parameters(request, "cursor", "limit")
    page = awards_of_run(
        run=run_id,
        after=read_cursor(cursor, RunKey, of=request.path),
        limit=limit,
        visible=request.auth.visible,
    )
    return page_response(page.to_dict(), page.next, of=request.path)
